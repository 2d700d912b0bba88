"""What a question lets into its list at all is what passes its filters, whatever else the list goes by."""

from __future__ import annotations

import pytest

from mess_core.errors import DataMissingError
from mess_core.search.filtered import filtered, is_filtered
from mess_core.search.question import Question
from tests.planted import a_track, plant_tracks


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
