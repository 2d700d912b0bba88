"""Explaining: one index where the search has the directions already, and the same numbers as the search itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from mess_core.encoders.mel import MEL
from mess_core.search.answers import Plan, build_index, make_plan, query_of
from mess_core.search.explaining import names_in_common, plan_of_reasons, similarities_to
from mess_core.search.question import Question
from mess_core.search.reasons import find_reasons
from mess_core.search.track_facts import facts_of
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def bright(bright_library: Path) -> Workspace:
    """Only read."""
    return Workspace(bright_library)


def plan_of(workspace: Workspace, *, is_discovered: bool = True, **request: object) -> Plan:
    scope = Scope(workspace, "music", MEL)
    return make_plan(scope, Question(**request), scope.discovery_for_search() if is_discovered else None)


def test_a_search_along_directions_is_explained_by_its_own_index(bright):
    plan = plan_of(bright, aspects={"brightness": 1.0})
    assert plan_of_reasons(plan) is plan


def test_a_search_by_measured_values_is_explained_by_them(bright):
    plan = plan_of(bright, aspects={"brightness": 1.0}, geometry="measured")
    assert plan_of_reasons(plan) is plan
    without = plan_of_reasons(plan_of(bright, aspects={"brightness": 1.0}, avoid=("dynamics",), geometry="measured"))
    assert without is not None and without.key == plan.key


@pytest.mark.parametrize("request_", [{}, {"avoid": ("brightness",)}, {"geometry": "layer"}])
def test_any_other_search_is_explained_by_that_of_all_directions(bright, request_):
    plan = plan_of_reasons(plan_of(bright, **request_))
    assert plan is not None and plan.key == plan_of(bright, aspects={"brightness": 1.0}).key
    track_id = bright.catalogue.track_ids("music")[0]
    embedding = bright.store.read(track_id, MEL).mean
    assert find_reasons(build_index(plan), embedding, [track_id])[track_id]


def test_without_discovery_there_are_no_reasons(bright):
    assert plan_of_reasons(plan_of(bright, is_discovered=False)) is None


def test_every_track_is_as_similar_as_the_search_says(bright):
    plan = plan_of(bright, is_discovered=False)
    index = build_index(plan)
    track_ids = bright.catalogue.track_ids("music")
    query = query_of(plan.scope, bright.catalogue.track(track_ids[3])).embedding.mean
    *numbers, unknown = similarities_to(index, query, [*track_ids, "0000000000000000"])
    found = index.search(query, Question(k=100)).neighbours
    assert unknown is None and dict(zip(track_ids, numbers, strict=True)) == {
        each.track_id: each.similarity for each in found
    }
    assert max(numbers) == numbers[3] == pytest.approx(1.0, abs=1e-5)


def test_names_in_common_are_those_of_work_and_performer(bright):
    """Twelve recordings: six works, each by two performers."""
    tracks = [bright.catalogue.track(track_id) for track_id in bright.catalogue.track_ids("music")]
    common = [names_in_common(facts_of(bright, tracks[0].track_id), track) for track in tracks]
    assert sorted(common) == sorted([["work", "performer"], ["work"], *[["performer"]] * 5, *[[]] * 5])
