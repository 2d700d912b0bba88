"""Weighing: planted weights come back from answers, and what is not known is said to be unknown."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.learning.weighing import LAPSE, N_DRAWS, PRIOR_SD, Weighing, weigh

N_WAYS = 8
PLANTED = np.array([3.0, 0.0, 0.0, 1.5, 0.0, 0.0, 0.0, 0.0])


def chance(differences: np.ndarray, weights: np.ndarray, lapse: float = LAPSE) -> np.ndarray:
    """How probable "first" is, written again."""
    return lapse / 2 + (1 - lapse) / (1 + np.exp(-(differences * weights).sum(axis=1)))


def answers(n: int, seed: int, weights: np.ndarray = PLANTED) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    differences = rng.standard_normal((n, len(weights)))
    return differences, rng.random(n) < chance(differences, weights)


@pytest.mark.parametrize("seed", range(8))
def test_planted_weights_come_back_in_their_order(seed):
    """Two ways of eight, from three hundred answers of which a tenth are guesses."""
    found = weigh(*answers(300, seed))
    assert found.weights[0] > found.weights[3] > 2 * np.delete(found.weights, [0, 3]).max()
    assert found.n_answers == 300 and (found.weights >= 0).all()


def test_more_answers_come_nearer():
    misses = [
        np.mean([np.abs(weigh(*answers(n, seed)).weights - PLANTED).mean() for seed in range(4)])
        for n in (30, 300, 3000)
    ]
    assert misses[0] > 1.5 * misses[1] > 1.5**2 * misses[2] and misses[2] < 0.15


def test_the_fit_is_the_most_probable_one():
    """No weights near it, nor any drawn by chance, explain the answers and the prior better."""
    differences, is_first = answers(120, 3)

    def log_posterior(weights: np.ndarray) -> float:
        first = chance(differences, weights)
        return float(np.log(np.where(is_first, first, 1 - first)).sum() - (weights**2).sum() / 2 / PRIOR_SD**2)

    found = weigh(differences, is_first).weights
    best = log_posterior(found)
    rng = np.random.default_rng(0)
    for spread in (0.001, 0.05, 1.0):
        others = np.maximum(found + spread * rng.standard_normal((300, N_WAYS)), 0)
        assert max(map(log_posterior, others)) <= best + 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_answers_have_no_weights(seed):
    """Every way is as good as none, and the probabilities stay near a guess."""
    differences, is_first = answers(600, seed)
    shuffled = weigh(differences, np.random.default_rng(seed).permutation(is_first))
    assert shuffled.weights.max() < 0.5 < 1.5 < weigh(differences, is_first).weights[0]
    assert np.abs(shuffled.probabilities(differences) - 0.5).mean() < 0.12


def test_a_question_turned_round_with_the_other_answer_is_the_same():
    differences, is_first = answers(80, 1)
    turned = np.random.default_rng(2).random(80) < 0.5
    one = weigh(differences, is_first)
    other = weigh(np.where(turned[:, None], -differences, differences), is_first ^ turned)
    assert other.weights == pytest.approx(one.weights, abs=1e-9)
    assert other.covariance == pytest.approx(one.covariance, abs=1e-9)
    assert one.probabilities(-differences) == pytest.approx(1 - one.probabilities(differences), abs=1e-12)


def test_who_answers_the_opposite_gets_no_weight_below_nothing():
    found = weigh(*answers(300, 0, -PLANTED))
    assert (found.weights[[0, 3]] == 0).all()


def test_without_answers_it_is_the_prior():
    found = weigh(np.empty((0, 3)), np.empty(0, bool))
    assert found.weights == pytest.approx(np.full(3, 1 / 3))  # all alike
    assert found.covariance == pytest.approx(np.eye(3) * PRIOR_SD**2) and found.n_answers == 0


@pytest.mark.parametrize("n_ways", [0, 1])
def test_few_ways_can_be_weighed_too(n_ways):
    """Of recordings that are all the same no way differs."""
    found = weigh(np.ones((5, n_ways)), np.ones(5, bool))
    assert found.weights.shape == (n_ways,) and found.draws(0).shape[1] == n_ways
    assert found.information(np.ones((7, n_ways)), 0).shape == (7,)
    assert (found.probabilities(np.ones((7, n_ways))) >= 0.5).all()


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e3])
def test_the_covariance_is_positive_definite_and_never_wider_than_the_prior(scale):
    for n in (0, 1, 5, 200):
        differences, is_first = answers(n, n)
        found = weigh(scale * differences, is_first)
        covariance = found.covariance
        assert (found.draws(0) >= 0).all() and found.draws(0).shape == (N_DRAWS, N_WAYS)
        assert np.isfinite(covariance).all() and covariance == pytest.approx(covariance.T, abs=1e-9)
        spread = np.linalg.eigvalsh(covariance)
        assert spread.min() > 0 and spread.max() <= PRIOR_SD**2 + 1e-6


def test_repeated_answers_that_contradict_each_other_leave_a_way_undecided():
    differences = np.tile([[2.0, 0.0]], (40, 1))
    found = weigh(differences, np.arange(40) % 2 == 0)
    assert found.weights[0] < 0.05 and found.probabilities(differences)[0] == pytest.approx(0.5, abs=0.03)


# --- information --------------------------------------------------------------------------------------------


def test_information_is_never_below_nothing_nor_above_a_bit():
    differences = np.random.default_rng(0).standard_normal((500, N_WAYS)) * 3
    for n in (0, 40):
        told = weigh(*answers(n, 0)).information(differences, 1)
        assert told.min() >= -1e-12 and told.max() < 1
        assert told == pytest.approx(weigh(*answers(n, 0)).information(differences, 1))  # of one seed


def test_what_is_the_same_in_all_ways_tells_nothing():
    assert weigh(*answers(40, 0)).information(np.zeros((3, N_WAYS)), 1) == pytest.approx(0, abs=1e-12)


def test_most_is_told_where_weights_that_are_as_probable_disagree():
    """Of two ways of unknown weight one is for the first, the other for the second; and by how much differs."""
    undecided = Weighing(np.array([3.0, 3.0]), np.diag([4.0, 4.0]), 10)
    against, together, faint = undecided.information(np.array([[2.0, -2.0], [2.0, 2.0], [0.05, -0.05]]), 0)
    assert against > 5 * together and against > 5 * faint


def test_what_is_known_tells_nothing_more():
    """A way whose weight is certain, beside one that nobody knows."""
    certain = Weighing(np.array([2.0, 2.0]), np.diag([1e-8, 4.0]), 10)
    known, unknown = certain.information(np.array([[1.0, 0.0], [0.0, 1.0]]), 0)
    assert known == pytest.approx(0, abs=1e-6) and unknown > 0.05


def test_information_is_what_the_answer_tells_of_the_draws():
    """The definition: entropy of which draw it is, before and after the answer, weighted by how probable each is."""
    found = weigh(*answers(20, 5))
    differences = np.random.default_rng(1).standard_normal((6, N_WAYS))
    draws = found.draws(3)
    for row, told in zip(differences, found.information(differences, 3), strict=True):
        first = np.array([chance(row[None], draw)[0] for draw in draws])
        left = 0.0
        for likelihood in (first, 1 - first):
            after = likelihood / likelihood.sum()
            left += likelihood.mean() * -(after * np.log2(after)).sum()
        assert told == pytest.approx(np.log2(len(draws)) - left, abs=1e-9)


# --- what is said to be probable, is ------------------------------------------------------------------------


def test_probabilities_are_as_probable_as_they_say():
    """Of questions that are answered "first" with 70 % by the fit, about 70 % are; over many listeners."""
    said, is_first = [], []
    for seed in range(24):
        weights = np.maximum(np.random.default_rng(seed).normal(0, 1.5, N_WAYS), 0)
        found = weigh(*answers(150, seed, weights))
        new, answered = answers(400, 1000 + seed, weights)
        said.append(found.probabilities(new))
        is_first.append(answered)
    said, is_first = np.concatenate(said), np.concatenate(is_first)
    for low in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8):
        among = (said >= low) & (said < low + 0.15)
        assert is_first[among].mean() == pytest.approx(said[among].mean(), abs=0.06), low


def test_intervals_of_weights_hold_the_truth_about_as_often_as_they_say():
    """95 % intervals by the curvature, of weights that are clear of 0, where there is no room below."""
    weights = np.array([1.5, 1.0, 0.8])
    inside = []
    for seed in range(60):
        found = weigh(*answers(300, seed, weights))
        inside.append(np.abs(found.weights - weights) < 1.96 * np.sqrt(np.diag(found.covariance)))
    assert 0.88 <= np.mean(inside) <= 0.995
