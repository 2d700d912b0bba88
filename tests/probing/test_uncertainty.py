"""Uncertainty: intervals by hand, gains that no baseline can raise, quantiles that mathematics knows."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm, t

from mess_core.probing.uncertainty import (
    DEALING,
    MIN_GROUPS,
    TRAINING,
    gains,
    groups_for_half,
    r_squared_intervals,
    simultaneous_quantile,
)


def sums(n_repeats, n_groups, n_figures, seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 1.0, (n_repeats, n_groups, n_figures)), 8 + rng.gamma(2.0, 1.0, (n_repeats, n_groups, 1))


def test_an_interval_by_hand():
    """Leaving out one group at a time, and the spread over fold assignments, written as loops."""
    errors, totals = sums(3, 15, 1)
    low, high = r_squared_intervals(errors, totals)
    error, total = errors.mean(axis=0)[:, 0], totals.mean(axis=0)[:, 0]
    left_out = [np.log(sum(np.delete(error, g)) / sum(np.delete(total, g))) for g in range(15)]
    tested = 14 / 15 * sum((each - np.mean(left_out)) ** 2 for each in left_out)
    dealt = np.var([np.log(e.sum() / w.sum()) for e, w in zip(errors, totals, strict=True)], ddof=1)
    reach = t.ppf(0.975, 14) * np.sqrt(TRAINING**2 * tested + DEALING * dealt)
    theta = np.log(error.sum() / total.sum())
    assert low[0] == pytest.approx(1 - np.exp(theta + reach)) and high[0] == pytest.approx(1 - np.exp(theta - reach))
    assert low[0] < 1 - np.exp(theta) < high[0] < 1


def test_one_assignment_knows_nothing_of_others():
    errors, totals = sums(1, 12, 2)
    low, high = r_squared_intervals(errors, totals)
    wider = r_squared_intervals(np.concatenate([errors, 1.3 * errors]), np.concatenate([totals, totals]))
    assert np.isfinite([low, high]).all() and (wider[1] - wider[0] > high - low).all()


@pytest.mark.parametrize("n_groups", [1, 5, MIN_GROUPS - 1])
def test_few_groups_have_no_interval(n_groups):
    assert np.isnan(r_squared_intervals(*sums(2, n_groups, 3))).all()


def test_a_gain_is_a_difference_of_r_squared():
    errors, totals = sums(4, 20, 5)
    rivals = sums(4, 20, 5, seed=1)[0]
    found = gains(errors, rivals, totals)
    r2 = [1 - each.sum(axis=(0, 1)) / totals.sum() for each in (errors, rivals)]
    assert np.allclose(found.value, r2[0] - r2[1]) and np.allclose(found.shares.sum(axis=0), 0, atol=1e-9)
    assert np.allclose(gains(rivals, errors, totals).value, -found.value)


def test_equal_predictions_gain_exactly_nothing():
    """Also where rounding tells them apart: the interval is the point 0, which is not above it."""
    errors, totals = sums(2, 20, 3)
    found = gains(errors, errors * (1 + 1e-15), totals)
    assert (found.value == 0).all() and (found.error == 0).all() and (found.intervals(4.0)[0] == 0).all()


def test_one_gain_reaches_as_far_as_student_says():
    """A single figure of many groups: about two standard errors, and about Student's with few groups."""
    for n_groups in (12, 200):
        shares = np.random.default_rng(2).standard_normal((n_groups, 1))
        quantile = simultaneous_quantile([(np.arange(n_groups), shares)], n_groups, 20_000, np.random.default_rng(0))
        assert quantile == pytest.approx(t.ppf(0.975, n_groups - 1), rel=0.07)


@pytest.mark.slow
def test_many_gains_reach_as_far_as_the_largest_of_them():
    """Independent figures: the quantile of the largest of a hundred normal values. Equal ones count once."""
    shares = np.random.default_rng(3).standard_normal((2000, 100))
    codes = np.arange(2000)
    rng = np.random.default_rng
    independent = simultaneous_quantile([(codes, shares)], 2000, 4000, rng(0))
    assert independent == pytest.approx(norm.ppf(1 - (1 - 0.95 ** (1 / 100)) / 2), rel=0.03)
    alone = simultaneous_quantile([(codes, shares[:, :1])], 2000, 4000, rng(0))
    assert simultaneous_quantile([(codes, shares[:, [0] * 50])], 2000, 4000, rng(0)) == pytest.approx(alone)
    in_two = simultaneous_quantile([(codes, shares[:, :60]), (codes, shares[:, 60:])], 2000, 4000, rng(0))
    assert in_two == pytest.approx(independent), "how figures are handed over does not matter"


def test_another_baseline_never_raises_the_lower_end():
    """More figures reach further, and the least of more ends is lower: whatever is added, of whatever worth."""
    rng = np.random.default_rng(4)
    errors, totals = sums(3, 24, 10)
    for _ in range(50):
        rivals = [errors * rng.uniform(0.3, 4.0, 10) + rng.gamma(1.0, 0.5, errors.shape) for _ in range(4)]
        ends = []
        for n in range(1, 5):
            found = [gains(errors, rival, totals) for rival in rivals[:n]]
            each = [(np.arange(24), one.shares) for one in found]
            reach = simultaneous_quantile(each, 24, 300, np.random.default_rng(0))
            ends.append(np.min([one.intervals(reach)[0] for one in found], axis=0))
        assert all((after <= before).all() for before, after in itertools.pairwise(ends))


def test_nothing_to_learn_from_reaches_everywhere():
    rng = np.random.default_rng(0)
    assert simultaneous_quantile([], 20, 100, rng) == np.inf
    assert simultaneous_quantile([(np.arange(20), np.zeros((20, 4)))], 20, 100, rng) == np.inf


@pytest.mark.parametrize("n_groups", [10, 24, 400])
def test_so_many_more_groups_halve_the_width(n_groups):
    def width(n):
        return t.ppf(0.975, n - 1) / np.sqrt(n)

    more = groups_for_half(n_groups)
    assert width(n_groups + more) <= width(n_groups) / 2 < width(n_groups + more - 1)
