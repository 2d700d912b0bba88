"""Moments: what is never on two sides of a split, and the same bars in every recording."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.catalogue.passages import ScoreTimes
from mess_core.errors import InputError
from mess_core.learning.moments import MomentSet, cut_passages, deal, passage_rows, require_disjoint
from tests.learning.worlds import moments

WORKS = [f"w{row // 4}" for row in range(40)]
PLAYERS: list[str | None] = [f"p{row % 4}" if row % 7 else None for row in range(40)]
FORTY = moments(WORKS, PLAYERS, np.ones((40, 1, 3), np.float32))


@pytest.mark.parametrize(("by", "n_folds"), [("work", 5), ("performer", 3)])
def test_nothing_is_on_both_sides(by, n_folds):
    """Asserted here with sets, whatever the code asserts; every row is tested once."""
    tested = []
    for fold in deal(FORTY, by, n_folds, seed=3):
        column = FORTY.works if by == "work" else FORTY.performers
        sides = [{column[row] for row in rows} - {None} for rows in (fold.train, fold.test)]
        assert not sides[0] & sides[1]
        assert fold.train_sha256 != fold.test_sha256
        tested += fold.test.tolist()
    assert sorted(tested) == list(range(40))


def test_passages_of_one_recording_stay_together():
    """Two passages of a recording that is known under two works tie these works to each other."""
    vectors = np.ones((6, 1, 2), np.float32)
    tied = MomentSet(
        tuple("abcdef"), ("r0", "r0", "r1", "r2", "r3", "r4"), tuple("stuvwx"), ("w0", "w1", "w0", "w1", "w2", "w3"),
        (None,) * 6, vectors, np.ones(6),
    )  # fmt: skip
    groups = tied.groups("work")
    assert len(set(groups[:4])) == 1 and len(set(groups)) == 3


def test_a_split_that_leaks_is_noticed():
    with pytest.raises(AssertionError, match="on both sides"):
        require_disjoint(FORTY, np.array([0, 1]), np.array([2, 3]), "work")
    with pytest.raises(AssertionError, match="on both sides"):
        require_disjoint(FORTY, np.array([1]), np.array([5]), "performer")
    require_disjoint(FORTY, np.array([0]), np.array([4, 8]), "work")


def test_the_same_seed_deals_the_same_and_another_anew():
    def hashes(seed):
        return [fold.test_sha256 for fold in deal(FORTY, "work", 5, seed)]

    assert hashes(0) == hashes(0) != hashes(1)


def test_one_work_is_too_few():
    one = moments(["w"] * 6, [None] * 6, np.ones((6, 1, 2), np.float32))
    with pytest.raises(InputError, match="1 work that shares nothing with others here, and 5 are needed"):
        next(deal(one, "work", 5, 0))


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="2 moments"):
        MomentSet(("a", "a"), ("r", "r"), ("s", "s"), ("w", "w"), (None, None), np.ones((2, 1, 2)), np.ones(2))
    with pytest.raises(InputError, match="not finite"):
        moments(["w"], [None], np.full((1, 1, 2), np.nan, np.float32))


# --- passages ---------------------------------------------------------------------------------------------------


def played(score: str, n_beats: int, seconds_per_beat: float, first: int = 0) -> ScoreTimes:
    beats = np.arange(first, n_beats + 1.0)
    return ScoreTimes(score, beats, 2.0 + seconds_per_beat * (beats - first))


def test_the_same_bars_are_cut_in_every_recording():
    """Forty beats at two tempi: two passages of sixteen, each where its recording plays it."""
    spans = cut_passages([("a", [played("s", 40, 0.5)]), ("b", [played("s", 40, 0.75)])])
    assert [(span.name, span.recording, span.start_s, span.end_s) for span in spans] == [
        ("s 0", "a", 2.0, 10.0), ("s 0", "b", 2.0, 14.0), ("s 16", "a", 10.0, 18.0), ("s 16", "b", 14.0, 26.0)
    ]  # fmt: skip


def test_who_plays_alone_or_three_times_as_slowly_is_left_out():
    assert cut_passages([("a", [played("s", 40, 0.5)]), ("b", [played("t", 40, 0.5)])]) == []
    three = [("a", [played("s", 20, 0.5)]), ("b", [played("s", 20, 0.5)]), ("c", [played("s", 20, 1.5)])]
    assert {span.recording for span in cut_passages(three)} == {"a", "b"}


def test_what_a_recording_does_not_know_is_not_cut_there():
    spans = cut_passages([("a", [played("s", 40, 0.5)]), ("b", [played("s", 40, 0.5, first=10)])])
    assert {(span.name, span.recording) for span in spans} == {("s 16", "a"), ("s 16", "b")}


def test_a_passage_is_heard_by_the_segments_that_lie_in_it():
    starts_s = np.arange(0, 20, 2.5)
    assert passage_rows(starts_s, 5.0, 5.0, 12.0).tolist() == [1, 2, 3]
    assert passage_rows(starts_s, 5.0, 6.0, 7.0).tolist() in ([1], [2])
