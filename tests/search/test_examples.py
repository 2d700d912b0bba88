"""Examples on planted libraries: each is offered where the names allow it, and its neighbours keep its promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.passages import ScoreTimes
from mess_core.encoders.hearings import HEARINGS
from mess_core.encoders.nano import NANO
from mess_core.encoders.registry import DEFAULT
from mess_core.search.answers import (
    FoundTrack,
    answer,
    answer_passage,
    build_index,
    build_segment_index,
    make_plan,
    query_of,
)
from mess_core.search.examples import MOST_ANSWERS, ORDER, TRY_FROM, Example, examples_of, served_first
from mess_core.workspace.scope import scope_of, scope_to_listen
from mess_core.workspace.workspace import Workspace
from tests.planted import N_WORKS, discover, embed_works, plant_targets, plant_tracks, tracks_of_works


@pytest.fixture
def planted(home) -> list[Track]:
    """The library, not embedded."""
    tracks = tracks_of_works()
    plant_tracks(home, tracks)
    return tracks


def offered(home: Workspace, **given: object) -> dict[str, Example]:
    return {example.kind: example for example in examples_of(home, "planted", **given)}


def asked(home: Workspace, example: Example, discovery=None) -> tuple[FoundTrack, ...]:
    """The list that the example leads to."""
    usual = scope_to_listen(home, "planted").info.id
    scope, of_passage = scope_of(home, "planted", example.hearing or usual), example.passage is not None
    plan = make_plan(scope, example.question, discovery, is_of_passage=of_passage)
    query = query_of(plan.scope, home.catalogue.track(example.track_id))
    if of_passage:
        return answer_passage(build_segment_index(plan), plan, query, example.passage).found
    return answer(build_index(plan), plan, query).found


@pytest.mark.slow
def test_the_same_piece_is_found_on_other_instruments(home, planted):
    embed_works(home, planted)
    example = offered(home)["instrument"]
    query = home.catalogue.track(example.track_id)
    best = [found.track for found in asked(home, example)[: example.n_answers]]
    assert example.is_live and example.n_answers == 2
    assert {track.work for track in best} == {query.work} and query.instrument not in {t.instrument for t in best}
    assert query.work in example.says and query.instrument in example.says
    assert f"Ask for the {HEARINGS[example.hearing].title.lower()}" in example.says, "as the button is called there"


@pytest.mark.slow
def test_the_same_hands_play_other_pieces(home, planted):
    embed_works(home, planted)
    example = offered(home)["player"]
    query = home.catalogue.track(example.track_id)
    found = [each.track for each in asked(home, example)]
    assert example.is_live and example.n_answers == len(found) == N_WORKS - 1 == MOST_ANSWERS
    assert {track.performer for track in found} == {query.performer} and query.work not in {t.work for t in found}


@pytest.mark.slow
def test_where_playing_was_measured_the_same_hands_are_ordered_by_it(home, planted):
    """Of the same performer, the recording that is played most alike first: told by how detached it is."""
    embed_works(home, planted)
    ids = [track.track_id for track in planted]
    even = np.ones(len(ids))
    names = ("rubato", "tempo_variability", "velocity_std", "velocity_range", "onset_timing_std")
    detached = np.random.default_rng(4).permutation(len(ids)) / len(ids)
    plant_targets(home, ids, {**dict.fromkeys(names, even), "articulation_ratio": detached})
    example = offered(home)["player"]
    query = home.catalogue.track(example.track_id)
    away = dict(zip(ids, np.abs(detached - detached[ids.index(query.track_id)]), strict=True))
    others = [t for t in planted if t.performer == query.performer and t.work != query.work]
    assert [found.track.track_id for found in asked(home, example)] == sorted(
        (track.track_id for track in others), key=away.__getitem__
    )


def test_these_bars_are_found_with_others(home, planted):
    embed_works(home, planted)
    example = offered(home)["passage"]
    query = home.catalogue.track(example.track_id)
    best = [found.track for found in asked(home, example)[: example.n_answers]]
    assert example.is_live and example.n_answers == 2 and 0 < example.passage[0] < example.passage[1] < query.duration_s
    assert {track.work for track in best} == {query.work} and query.performer not in {t.performer for t in best}
    assert query.work != home.catalogue.track(offered(home)["instrument"].track_id).work  # not of one piece alone


def test_bars_are_those_of_the_score_where_it_is_known(home, planted):
    """At half a second a beat, sixteen beats from the fifth one on."""
    embed_works(home, planted)
    query = offered(home)["passage"].track_id
    home.catalogue.passages.write(query, [ScoreTimes.of("a waltz", np.arange(40), 0.1 + 0.5 * np.arange(40))])
    example = offered(home)["passage"]
    assert example.passage == pytest.approx((2.1, 10.1)) and "16 beats" in example.says


def test_what_is_as_bright_is_found_by_what_was_measured(home, planted):
    """The nearest in octaves, of other pieces; nothing need be discovered."""
    embed_works(home, planted)
    waits = offered(home)["brightness"]
    assert waits.waits_for == "as soon as brightness is measured" and waits.track_id is None
    ids = [track.track_id for track in planted]
    octaves = np.random.default_rng(3).permutation(len(ids)) / 10
    plant_targets(home, ids, {"spectral_centroid": 500 * 2**octaves})
    example = offered(home)["brightness"]
    query = home.catalogue.track(example.track_id)
    away = dict(zip(ids, np.abs(octaves - octaves[ids.index(query.track_id)]), strict=True))
    found = [each.track for each in asked(home, example)]
    nearest = sorted(away[track.track_id] for track in planted if track.work != query.work)[:10]
    assert example.is_live and query.work not in {track.work for track in found}
    assert [away[track.track_id] for track in found] == pytest.approx(nearest)
    assert octaves[ids.index(query.track_id)] > np.median(octaves)  # bright, as one can hear


def test_a_discovery_is_read_only_where_brightness_was_not_measured(home, planted):
    embed_works(home, planted)
    n_asked = []
    offered(home, discovery=lambda: n_asked.append(1))
    plant_targets(home, [t.track_id for t in planted], {"spectral_centroid": np.linspace(500, 4000, len(planted))})
    assert offered(home, discovery=lambda: n_asked.append(1))["brightness"].is_live and len(n_asked) == 1


@pytest.mark.slow
def test_without_values_evidence_for_brightness_is_enough(home, planted):
    embed_works(home, planted)
    ids = [track.track_id for track in planted]
    plant_targets(home, ids, {"spectral_centroid": 500 * 2 ** np.linspace(0, 3, len(ids))})
    discovery = discover(home, NANO)
    known = replace(discovery.aspects["brightness"], label="medium", searched=("spectral_centroid",))
    discovery = replace(discovery, aspects={**discovery.aspects, "brightness": known})
    with home.database.transaction() as connection:
        connection.execute("DELETE FROM targets")
    example = offered(home, discovery=lambda: discovery)["brightness"]
    assert example.is_live and example.question.geometry == "auto" and asked(home, example, discovery)


def test_with_few_recordings_every_example_says_what_it_waits_for(home, planted):
    """One short of twenty nothing can be asked; with the twentieth all that needs no values can."""
    first = served_first(planted)
    order = sorted(planted, key=lambda t: first.index(t.track_id) if t.track_id in first else len(first))
    embed_works(home, order[: TRY_FROM - 1])
    examples = offered(home)
    assert list(examples) == list(ORDER)
    assert {e.waits_for for e in examples.values()} == {"as soon as 20 recordings can be compared"}
    embed_works(home, order[:TRY_FROM])
    assert [e.kind for e in examples_of(home, "planted") if e.is_live] == ["instrument", "player", "passage"]


@pytest.mark.slow
def test_what_the_examples_need_is_served_first(home, planted):
    """Each query and all that answers it are among the first twenty; they answer then as they do in the end."""
    first = served_first(planted)
    assert len(first) <= TRY_FROM and len(set(first)) == len(first)
    order = sorted(planted, key=lambda t: first.index(t.track_id) if t.track_id in first else len(first))
    embed_works(home, order[:TRY_FROM])
    early = {kind: (e.track_id, e.n_answers) for kind, e in offered(home).items() if e.is_live}
    embed_works(home, planted)
    assert {kind: (e.track_id, e.n_answers) for kind, e in offered(home).items() if e.is_live} == early
    assert len(early) == 3 and {track_id for track_id, _ in early.values()} <= {*first}


@pytest.mark.slow
def test_a_recording_that_cannot_be_embedded_is_not_waited_for(home, planted):
    damaged = offered(home)["instrument"].track_id
    embed_works(home, [track for track in planted if track.track_id != damaged])
    example = offered(home)["instrument"]
    assert example.is_live and example.track_id != damaged


@pytest.mark.parametrize(
    ("left_out", "kinds"),
    [
        ({"work"}, ["brightness"]),
        ({"instrument"}, ["player", "brightness", "passage"]),
        ({"performer"}, ["instrument", "brightness"]),
        ({"work", "performer", "instrument"}, ["brightness"]),
    ],
    ids=lambda each: "-".join(sorted(each)),
)
def test_what_the_names_do_not_say_is_not_offered(home, left_out, kinds):
    plant_tracks(home, [replace(track, **dict.fromkeys(left_out)) for track in tracks_of_works()])
    assert [example.kind for example in examples_of(home, "planted")] == kinds


def test_one_performer_on_one_instrument_is_no_other(home):
    """Two recordings of each piece by the same hands on the same piano: neither on another one nor by others."""
    plant_tracks(home, [replace(t, performer="Ann", instrument="piano") for t in tracks_of_works()])
    assert [example.kind for example in examples_of(home, "planted")] == ["player", "brightness"]


def test_an_empty_library_has_none(home):
    assert examples_of(home, "all") == [] and served_first([]) == []


def test_a_small_library_need_not_have_twenty(home):
    tracks = tracks_of_works()[:6]
    plant_tracks(home, tracks)
    assert offered(home)["instrument"].waits_for == "as soon as 6 recordings can be compared"
    embed_works(home, tracks)
    assert offered(home)["instrument"].is_live


def test_the_default_encoder_is_the_one_of_the_same_music():
    assert NANO.id == DEFAULT  # what is embedded first is what the examples listen with
