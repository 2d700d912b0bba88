"""Triplets: by rated profiles within one excerpt, and by what people answered."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.catalogue.comparisons import Comparison
from mess_core.errors import DataMissingError, InputError
from mess_core.learning.triplets import answers_of, halves_agreement, rated_triplets

ROW_OF = {f"t{row}": row for row in range(20)}


def votes(n: int, listener: str = "ann", side: str = "", seed: int = 0) -> list[Comparison]:
    rng = np.random.default_rng(seed)
    three = [rng.permutation(20)[:3] for _ in range(n)]
    return [Comparison(*(f"t{row}" for row in rows), listener=listener, side=side) for rows in three]


def test_rated_triplets_stay_within_a_span_and_are_the_clear_half():
    """The nearer is nearer in standardised profiles, and none that was left out is clearer than one that was kept."""
    rng = np.random.default_rng(0)
    profiles, spans = rng.standard_normal((24, 3)) * [1, 10, 100], np.repeat(np.arange(4), 6)
    found = rated_triplets(profiles, spans).rows
    standard = (profiles - profiles.mean(axis=0)) / profiles.std(axis=0)

    def margin(anchor, one, other):
        return np.linalg.norm(standard[anchor] - standard[other]) - np.linalg.norm(standard[anchor] - standard[one])

    margins = [margin(*row) for row in found]
    assert min(margins) > 0 and (spans[found] == spans[found[:, :1]]).all()
    everything = [
        abs(margin(a, b, c))
        for a in range(24) for b in range(24) for c in range(b)
        if len({a, b, c}) == 3 and spans[a] == spans[b] == spans[c]
    ]  # fmt: skip
    assert len(found) == len(everything) // 2
    assert min(margins) == pytest.approx(sorted(everything)[len(everything) // 2])


def test_two_performances_give_no_triplet():
    assert len(rated_triplets(np.arange(4.0)[:, None], np.array([0, 0, 1, 1]))) == 0


@pytest.mark.parametrize(("noise", "low", "high"), [(0.0, 0.999, 1.0), (1.0, 0.6, 0.95), (1e6, 0.45, 0.55)])
def test_halves_of_raters_agree_as_far_as_they_say_the_same(noise, low, high):
    rng = np.random.default_rng(0)
    true = rng.standard_normal((40, 3))
    rows = np.repeat(np.arange(40), 12)
    ratings = true[rows] + noise * rng.standard_normal((len(rows), 3))
    assert low <= halves_agreement(ratings, rows, np.repeat(np.arange(5), 8), 40) <= high


def test_single_raters_have_no_halves():
    assert halves_agreement(np.ones((4, 2)), np.arange(4), np.zeros(4, int), 4) is None


# --- votes ------------------------------------------------------------------------------------------------------


def test_answers_become_triplets_that_count_how_many_say_so():
    said = [Comparison("t0", "t1", "t2", listener=who) for who in ("ann", "bob", "cid")]
    said += [Comparison("t0", "t2", "t1", listener="dan")]
    found = answers_of([*said, *votes(40, "eve")], ROW_OF)
    pairs = {
        tuple(row): weight for row, weight in zip(found.triplets.rows.tolist(), found.triplets.weights, strict=True)
    }
    assert pairs[0, 1, 2] == 3 and pairs[0, 2, 1] == 1
    assert found.agreement == pytest.approx((3 * 2 + 1 * 0) / 3 / 4)  # of the other three: two agree, or none


def test_who_contradicts_himself_has_said_nothing():
    both = [Comparison("t0", "t1", "t2"), Comparison("t0", "t2", "t1")]
    found = answers_of([*both, *votes(40)], ROW_OF)
    assert found.n_contradictory == 2 and len(found.triplets) == 40
    assert "2 answers contradicted by the same listener" in found.notices[0]


def test_only_contradictions_are_nothing_to_learn_from():
    both = [Comparison("t0", *pair) for pair in (("t1", "t2"), ("t2", "t1"))]
    with pytest.raises(InputError, match="All 2 answers contradict each other"):
        answers_of(both, ROW_OF)


def test_who_always_picks_one_side_is_left_out_by_name():
    said = [*votes(10, "deaf", "first"), *votes(9, "few", "second", 1), *votes(40, "ann", "", 2)]
    found = answers_of(said, ROW_OF)
    assert found.excluded == ("deaf",) and found.triplets.weights.sum() == 49
    assert found.notices[0] == "deaf always picks the same side, and is not counted."


def test_another_question_is_no_contradiction():
    """What sounds more alike need not be played more alike: nobody contradicts himself, nor others, by saying so."""
    said = [Comparison("t0", "t1", "t2", "Which sounds more like X?", who) for who in ("ann", "bob")]
    said += [Comparison("t0", "t2", "t1", "Which is played more like X?", who) for who in ("ann", "bob")]
    found = answers_of([*said, *votes(40, "eve")], ROW_OF)
    assert found.n_contradictory == 0 and found.agreement == 1
    pairs = {
        tuple(row): weight for row, weight in zip(found.triplets.rows.tolist(), found.triplets.weights, strict=True)
    }
    assert pairs[0, 1, 2] == pairs[0, 2, 1] == 2


def test_who_told_too_few_known_answers_is_left_out_by_name():
    """Once: who also picked one side is named for that; who is not among the listeners, not at all."""
    said = [*votes(10, "deaf", "first"), *votes(12, "far away", seed=1), *votes(40, "ann", seed=2)]
    found = answers_of(said, ROW_OF, {"deaf", "far away", "nobody"})
    assert (found.excluded, found.inattentive) == (("deaf",), ("far away",)) and found.triplets.weights.sum() == 40
    assert found.notices[1] == "far away told too few of the questions with a known answer, and is not counted."
    both = answers_of([*said, *votes(9, "bob", seed=3)], ROW_OF, {"bob", "far away"})
    assert "bob and far away" in both.notices[1] and "and are not counted" in both.notices[1]


def test_clips_that_vanished_are_counted():
    found = answers_of([*votes(40), Comparison("t0", "t1", "gone")], ROW_OF)
    assert found.n_vanished == 1 and "1 answer on recordings that are not in this library any more" in found.notices[0]


def test_five_answers_are_too_few():
    with pytest.raises(DataMissingError, match="5 answers can be learned from, and 30 are needed"):
        answers_of(votes(5), ROW_OF)


def test_no_answers_say_where_to_begin():
    with pytest.raises(DataMissingError, match="Nobody has judged"):
        answers_of([], ROW_OF)
