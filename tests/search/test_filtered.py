"""What a question lets into its list at all is what passes its filters, whatever else the list goes by."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mess_core.errors import DataMissingError, InputError
from mess_core.search.between import Extent, commonly_known, extent_of
from mess_core.search.filtered import filtered, is_filtered
from mess_core.search.question import Between, Question, parse_between
from tests.planted import a_track, plant_targets, plant_tracks


@pytest.fixture
def ids(home) -> list[str]:
    """Six recordings, of two performers and three instruments; their ids in that order."""
    tracks = [a_track(number, performer=f"p{number % 2}", instrument=f"i{number % 3}") for number in range(6)]
    plant_tracks(home, tracks, "music")
    return [track.track_id for track in tracks]


@pytest.mark.parametrize(
    ("asked", "let_in"),
    [
        ({}, {0, 1, 2, 3, 4, 5}),
        ({"performers": ("p0",)}, {0, 2, 4}),
        ({"performers": ("p0", "p1"), "instruments": ("i1",)}, {1, 4}),
        ({"where": (("performer", "P1"),), "instruments": ("i0",)}, {3}),
        ({"performers": ("nobody",)}, set()),
        (
            {"k": 1, "max_per_performer": 1, "versions": "collapse"},
            {0, 1, 2, 3, 4, 5},
        ),  # these are the list's
    ],
)
def test_filters_let_in_what_passes_all_of_them(home, ids, asked, let_in):
    question = Question(**asked)
    assert filtered(home, "music", question, ids) == {ids[number] for number in let_in}
    assert is_filtered(question) == bool({"performers", "instruments", "where"} & set(asked))
    assert filtered(home, "music", question, []) == frozenset()


def test_tags_cannot_filter_what_nobody_has_heard(home, ids):
    with pytest.raises(DataMissingError):
        filtered(home, "music", Question(heard_as=("violin",)), ids)


# --- measured values --------------------------------------------------------------------------------------


@pytest.fixture
def measured(home, ids) -> list[str]:
    """Tempi of 60 to 100 beats a minute, of the last recording unknown; keys of C, C, G, B, A-flat, D-flat."""
    plant_targets(
        home,
        ids,
        {
            "tempo": np.array([60, 70, 80, 90, 100, np.nan]),
            "key_pitch_class": np.array([0.0, 0.0, 7.0, 11.0, 8.0, 1.0]),
            "energy": np.full(6, np.nan),
        },
    )
    return ids


@pytest.mark.parametrize(
    ("between", "let_in"),
    [
        (["tempo=70:90"], {1, 2, 3}),  # both limits lie within
        (["tempo=:70"], {0, 1}),
        (["tempo=95:"], {4}),
        (["tempo=:"], {0, 1, 2, 3, 4}),  # whatever it is, as long as it was measured
        (["tempo=70:90", "key_pitch_class=0:0"], {1}),
        (["key_pitch_class=11:1"], {0, 1, 3, 5}),  # around the circle
        (["energy=:"], set()),
    ],
)
def test_measured_values_let_in_what_lies_between(home, measured, between, let_in):
    question = Question(between=parse_between(between))
    assert filtered(home, "music", question, measured) == {measured[number] for number in let_in}
    assert is_filtered(question)


def test_a_value_measured_again_is_the_one_that_counts(home, measured):
    question = Question(between=parse_between(["tempo=:70"]))
    assert len(filtered(home, "music", question, measured)) == 2
    plant_targets(home, measured, {"tempo": np.full(6, 65.0)})
    assert len(filtered(home, "music", question, measured)) == 6


def test_spans_say_what_is_known_here(home, measured):
    others = plant_tracks(home, [a_track(9)], "others")
    plant_targets(home, others, {"tempo": np.array([200.0])})
    assert commonly_known(home, "music")[:3] == ["tempo", "key_pitch_class", "mode"]
    assert "energy" not in commonly_known(home, "music") and extent_of(home, "music", "energy") is None
    assert extent_of(home, "music", "tempo") == Extent("tempo", 60.0, 100.0, 5)
    assert extent_of(home, "others", "tempo") == Extent("tempo", 200.0, 200.0, 1)


@pytest.mark.parametrize(
    "text", ["tempo", "tempo=90", "tempo=fast:", "tempo=90:80", "tempo=nan:80", "=1:2", "tempoo=1:2", "", "tempo=1:2:3"]
)
def test_limits_that_cannot_be_meant_are_refused(text):
    with pytest.raises(InputError):
        parse_between([text])
    with pytest.raises(InputError, match="twice"):
        parse_between(["tempo=1:2", "tempo=3:4"])


@pytest.mark.parametrize("one", [Between("tempo", 90, 110.25), Between("loudness_lufs", high=-14), Between("energy")])
def test_limits_come_back_from_their_text(one):
    assert parse_between([str(one)]) == (one,)
    assert not one.lets_in(math.nan)
