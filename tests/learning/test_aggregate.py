"""What all listeners together say: the order that was planted, and nothing of who guesses."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.catalogue.comparisons import Comparison
from mess_core.learning.aggregate import reliability, strengths
from mess_core.learning.agreement import Listening, Share

PLANTED = {"a": 2.0, "b": 1.0, "c": 0.0, "d": -1.0}


def listening(right: int, n: int) -> Listening:
    return Listening(n, 0, Share(right, n), Share(0, 0))


def answers(n: int, listener: str, rng: np.random.Generator, scale: float = 1.0) -> list[Comparison]:
    found = []
    for _ in range(n):
        one, other = rng.permutation(list(PLANTED))[:2]
        is_one = rng.random() < 1 / (1 + np.exp(-scale * (PLANTED[one] - PLANTED[other])))
        first, second = (one, other) if is_one else (other, one)
        found.append(Comparison("x", str(first), str(second), listener=listener))
    return found


def test_planted_strengths_come_back():
    found = strengths(answers(2000, "me", np.random.default_rng(0)), {"me": listening(99, 100)})
    assert [each.track_id for each in found] == list("abcd")
    told = np.array([each.strength for each in found])
    np.testing.assert_allclose(told - told.mean(), np.array([1.5, 0.5, -0.5, -1.5]), atol=0.2)


def test_two_of_one_pair_are_the_log_odds():
    """Without a prior to speak of: b chosen three times of four is log 3 apart."""
    pairs = [Comparison("x", "b", "c", judged_at=float(n)) for n in range(300)]
    pairs += [Comparison("x", "c", "b", judged_at=float(n)) for n in range(100)]
    first, second = strengths(pairs, {"me": listening(98, 98)})
    assert first.strength - second.strength == pytest.approx(np.log(3), abs=0.03)
    assert (first.track_id, first.n_answers) == ("b", 400)


def test_who_guesses_weighs_nothing():
    honest = answers(60, "honest", np.random.default_rng(1))
    guesses = answers(600, "guesser", np.random.default_rng(2), scale=-5.0)
    known = {"honest": listening(10, 10), "guesser": listening(3, 10)}
    assert reliability(known["guesser"]) == 0.0
    alone = {each.track_id: each.strength for each in strengths(honest, known)}
    together = {each.track_id: each.strength for each in strengths(honest + guesses, known)}
    assert together == pytest.approx(alone, abs=1e-4)


def test_questions_and_anchors_are_apart():
    mixed = [Comparison("x", "a", "b"), Comparison("y", "b", "a"), Comparison("x", "b", "a", question="brighter?")]
    found = {(each.question, each.anchor): each.track_id for each in reversed(strengths(mixed, {}))}
    assert found["which is more alike?", "x"] == "a" and found["which is more alike?", "y"] == "b"
    assert found["brighter?", "x"] == "b"


def test_only_guessers_say_nothing():
    found = strengths([Comparison("x", "a", "b", listener="g")], {"g": listening(0, 10)})
    assert [each.strength for each in found] == [0.0, 0.0]
