"""Beyond the nearest: what a question may name beside its query, and a library in order along an aspect."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from mess_core.errors import DataMissingError, InputError, UnknownTrackError
from mess_core.handover.exports import as_csv, as_document, as_json, as_m3u8
from mess_core.probing.discovery import Discovery
from mess_core.search.answers import Answer, answer, answer_along, build_index, make_plan, query_of
from mess_core.search.question import Question
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.planted import (
    QUERY,
    TWO_LAYERS,
    a_track,
    discover,
    pace,
    plant_heard_library,
    plant_tags,
    plant_tracks,
    strict,
    told,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> tuple[Workspace, list[str], Discovery]:
    """Only read by the tests that take it: brightness and tempo are told, and were measured."""
    home = Workspace(tmp_path_factory.mktemp("planted") / "home")
    ids = plant_heard_library(home, TWO_LAYERS)
    return home, ids, discover(home, TWO_LAYERS)


def ask(planted, row: int | None = QUERY, *, is_discovered: bool = True, **request: object) -> Answer:
    home, ids, discovery = planted
    scope = Scope(home, "planted", TWO_LAYERS)
    plan = make_plan(scope, Question(**request), discovery if is_discovered else None)
    if row is None:
        return answer_along(build_index(plan), plan)
    return answer(build_index(plan), plan, query_of(plan.scope, home.catalogue.track(ids[row])))


def ids_of(found: Answer) -> list[str]:
    return [item.track.track_id for item in found.found]


# --- several recordings, and the furthest -----------------------------------------------------------------------


def test_like_two_is_between_them_in_what_is_asked_for(planted):
    """Along brightness alone: the first are around the middle of two, by the planted numbers."""
    _, ids, _ = planted
    bright = told(ids)
    dull, brilliant = int(np.argsort(bright)[4]), int(np.argsort(bright)[-5])
    middle = (bright[dull] + bright[brilliant]) / 2
    found = ask(planted, dull, aspects={"brightness": 1}, like=(ids[brilliant],), k=5)
    others = np.delete(bright, [dull, brilliant])
    apart = np.abs(bright[[ids.index(each) for each in ids_of(found)]] - middle).mean()
    assert apart < 1.5 * np.sort(np.abs(others - middle))[:5].mean() + 0.1
    assert not {ids[dull], ids[brilliant]} & set(ids_of(found))


def test_not_like_a_brighter_one_is_darker(planted):
    _, ids, _ = planted
    bright = told(ids)
    order = np.argsort(bright)
    query, brighter = int(order[20]), int(order[27])
    plain = ask(planted, query, aspects={"brightness": 1}, k=6)
    away = ask(planted, query, aspects={"brightness": 1}, unlike=(ids[brighter],), k=6)

    def mean(found: Answer) -> float:
        return float(bright[[ids.index(each) for each in ids_of(found)]].mean())

    assert mean(away) < mean(plain) - 0.2 * (bright[brighter] - bright[query])
    mirror = 2 * bright[query] - bright[brighter]
    assert abs(mean(away) - mirror) < abs(bright.min() - mirror), "not the end of the library"


def test_what_is_said_of_several(planted):
    """The score is no pair's; each row stands beside each recording, in the document and the table."""
    _, ids, _ = planted
    found = ask(planted, like=(ids[7],), unlike=(ids[9],), k=4)
    document = strict(as_json(found))
    assert document["request"]["like"] == [ids[7]] and document["request"]["unlike"] == [ids[9]]
    assert document["score"].startswith("the mean over what it should be like, less half of that mean over what it")
    for result in document["results"]:
        assert result["percentile"] is None and result["nearness"] is None
        assert [each["track_id"] for each in result["standings"]] == [None, ids[7], ids[9]]
        assert [each["is_wanted"] for each in result["standings"]] == [True, True, False]
        query, liked, other = (each["similarity"] for each in result["standings"])
        assert result["similarity"] == pytest.approx((query + liked) / 2 - other / 2, abs=1e-6)
    heading, *rows = csv.reader(io.StringIO(as_csv(found)))
    assert heading[-9:-6] == ["query_similarity", "query_percentile", "query_nearness"]
    assert heading[-3:] == [f"{ids[9]}_{name}" for name in ("similarity", "percentile", "nearness")]
    assert all(len(row) == len(heading) for row in rows) and float(rows[0][-9]) > float(rows[0][-3])


def test_the_furthest_come_first_and_say_how_far(planted):
    nearest, furthest = ask(planted, k=99), ask(planted, k=99, reverse=True)
    assert ids_of(furthest) == ids_of(nearest)[::-1]
    assert [item.neighbour.rank for item in furthest.found] == list(range(1, 40))
    assert furthest.found[0].neighbour.percentile < 10 and furthest.is_strange == nearest.is_strange


@pytest.mark.parametrize(
    ("named", "error", "text"),
    [
        ({"like": ("{query}",)}, InputError, "The query is named once more"),
        ({"unlike": ("{query}",)}, InputError, "The query is named once more"),
        ({"like": ("{other}",), "unlike": ("{other}",)}, InputError, "should be like .* and should not"),
        ({"like": ("{other}", "{other}")}, InputError, "named twice"),
        ({"like": ("nosuch",)}, UnknownTrackError, "The recording nosuch is not here"),
        ({"unlike": ("{elsewhere}",)}, UnknownTrackError, "t900 is not in the library planted"),
        ({"like": ("{deaf}",)}, DataMissingError, "t901 is not embedded yet by fake"),
        ({"like": tuple(map(str, range(21)))}, InputError, "21 recordings are named at once, expected at most 20"),
    ],
)
def test_what_cannot_be_named_is_one_sentence(own, named, error, text):
    home, ids, _ = own
    (elsewhere,) = plant_tracks(home, [a_track(900)], "elsewhere")
    (deaf,) = plant_tracks(home, [a_track(901)], "planted")
    names = {"query": ids[QUERY], "other": ids[5], "elsewhere": elsewhere, "deaf": deaf}
    named = {key: tuple(each.format(**names) for each in tracks) for key, tracks in named.items()}
    with pytest.raises(error, match=text) as caught:
        ask(own, **named)
    assert caught.value.message.endswith(".")


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> tuple[Workspace, list[str], None]:
    home = Workspace(tmp_path_factory.mktemp("own") / "home")
    return home, plant_heard_library(home, TWO_LAYERS), None


def test_a_recording_without_a_value_is_like_nothing_measured(tmp_path):
    home = Workspace(tmp_path / "home")
    ids = plant_heard_library(home, TWO_LAYERS)
    with home.database.transaction() as connection:
        connection.execute("DELETE FROM targets WHERE track_id = ? AND target = 'tempo'", (ids[6],))
    with pytest.raises(DataMissingError, match=r"t\d+ lacks a measured value that is asked for"):
        ask((home, ids, None), geometry="measured", aspects={"tempo": 1}, like=(ids[6],))


def test_a_passage_and_words_have_their_own_order(planted):
    home, ids, discovery = planted
    scope = Scope(home, "planted", TWO_LAYERS)
    for request in ({"like": (ids[3],)}, {"reverse": True}, {"along": "brightness"}):
        with pytest.raises(InputError, match="A passage is looked for by itself"):
            make_plan(scope, Question(**request), discovery, is_of_passage=True)
    with pytest.raises(InputError, match="What fits words least is not looked for"):
        make_plan(scope, Question(words=("violin",), reverse=True), discovery)
    with pytest.raises(InputError, match="Words and an aspect are two orders"):
        make_plan(scope, Question(words=("violin",), along="tempo"), discovery)


def test_words_beside_several_recordings_go_by_what_all_of_them_have(own):
    """Half of the score is likeness: of the same score as without words, and nobody that was named comes back."""
    home, ids, _ = own
    plant_tags(home, {track_id: {"mtt:violin": 0.5} for track_id in ids})
    by_likeness = ids_of(ask(own, like=(ids[7],), unlike=(ids[9],), k=99))
    in_words = ask(own, like=(ids[7],), unlike=(ids[9],), words=("violin",), k=99)
    assert ids_of(in_words) == by_likeness and len(by_likeness) == len(ids) - 3


# --- along an aspect ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("aspect", "numbers"), [("brightness", told), ("tempo", pace)])
@pytest.mark.parametrize("geometry", ["auto", "direction", "measured"])
def test_a_library_in_order_is_the_planted_order(planted, geometry, aspect, numbers):
    """All but the query, the least first; by values to the last place, by directions but for a little noise."""
    _, ids, _ = planted
    found = ask(planted, along=aspect, geometry=geometry, k=99)
    planted_at = numbers(ids)[[ids.index(each) for each in ids_of(found)]]
    assert sorted(ids_of(found)) == ids[1:] and ids[QUERY] not in ids_of(found)
    assert np.corrcoef(planted_at, np.arange(39))[0, 1] > 0.9
    if geometry == "measured":
        assert (np.diff(planted_at) > 0).all()
        assert (np.diff([item.neighbour.value for item in found.found]) > 0).all()
    falling = ask(planted, along=aspect, geometry=geometry, k=99, reverse=True)
    assert ids_of(falling) == ids_of(found)[::-1]


def test_where_the_query_stands_is_counted(planted):
    """Its percentile is the share of the others with a smaller value; numbers are in the unit and in SDs."""
    _, ids, _ = planted
    bright = told(ids)
    found = ask(planted, 8, along="brightness", geometry="measured", k=99)
    below = 100 * np.mean(np.delete(bright, 8) < bright[8])
    dial = found.dial
    assert dial.query_percentile == pytest.approx(below) and dial.unit == "Hz" and dial.target == "spectral_centroid"
    assert dial.query_at == pytest.approx((bright[8] - bright.mean()) / bright.std(), abs=1e-6)
    for item in found.found:
        row = ids.index(item.track.track_id)
        assert item.neighbour.value == pytest.approx(1000 * 2 ** bright[row])
        assert item.neighbour.similarity == pytest.approx((bright[row] - bright.mean()) / bright.std(), abs=1e-5)
        assert item.neighbour.percentile == pytest.approx(100 * ((bright < bright[row]).sum() + 0.5) / 40)
    word = "brighter" if below >= 50 else "darker"
    assert dial.of_query.startswith(f"The query is {word} than {max(below, 100 - below):.0f} %")


def test_an_order_needs_no_query_and_no_discovery(planted):
    """Without a discovery it is by what was measured; filters hold."""
    found = ask(planted, None, along="tempo", is_discovered=False, k=99)
    assert len(found.found) == 40 and found.query is None and found.plan.geometry == "measured"
    assert found.dial.of_query == "" and found.asked == ""
    some = ask(planted, None, along="tempo", is_discovered=False, k=99, performers=("performer 1",))
    assert ids_of(some) == [each for each in ids_of(found) if each in set(ids_of(some))] and len(some.found) == 20
    assert as_m3u8(found).count("#EXTINF") == 40


def test_the_document_says_what_was_ordered(planted):
    document = as_document(ask(planted, along="brightness", geometry="measured", aspects={"tempo": 1}, k=3))
    assert document["dial"]["aspect"] == "brightness" and document["dial"]["unit"] == "Hz"
    assert "standard deviations" in document["score"]
    assert any("tempo" in notice or "alone" in notice for notice in document["notices"])
    assert all(result["value"] > 0 and result["nearness"] is None for result in document["results"])
    assert as_document(ask(planted, k=3))["dial"] is None


@pytest.mark.parametrize(
    ("request_", "error", "text"),
    [
        ({"along": "brightnes"}, InputError, "There is no aspect 'brightnes'"),
        ({"along": "tempo", "geometry": "layer"}, InputError, "Whole layers have no order"),
        ({"along": "tempo", "avoid": ("tempo",)}, InputError, "tempo is both the order and left out"),
        ({"along": "tempo", "like": ("x",)}, InputError, "has nothing to be like"),
        ({"along": "rubato"}, InputError, "rubato"),
    ],
)
def test_an_order_that_cannot_be_meant_is_one_sentence(planted, request_, error, text):
    with pytest.raises(error, match=text) as caught:
        ask(planted, **request_)
    assert caught.value.message.endswith(".")


def test_an_aspect_without_evidence_is_ordered_by_its_values(planted):
    home, ids, discovery = planted
    without = replace(
        discovery, aspects={name: replace(found, label="none") for name, found in discovery.aspects.items()}
    )
    assert ask((home, ids, without), along="tempo").plan.geometry == "measured"
