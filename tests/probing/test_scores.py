"""Scores: laws that R² and its parts obey."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score

from mess_core.probing.scores import effective_n, score, sum_by


@pytest.fixture
def table():
    """Ninety rows in thirty units of three."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((90, 4))
    return (
        truth,
        truth + rng.standard_normal((90, 4)),
        np.tile(truth.mean(axis=0), (90, 1)),
        np.repeat(np.arange(30), 3),
    )


def test_against_known_implementations(table):
    """With the global mean as the training mean R² is scikit-learn's; Spearman is scipy's, also with ties."""
    truth, predicted, means, units = table
    truth[:, 3] = truth[:, 3].round()
    means[:] = truth.mean(axis=0)
    scores = score(truth, predicted, means, np.ones(90), units)
    assert np.allclose(scores.r2, r2_score(truth, predicted, multioutput="raw_values"))
    assert np.allclose(scores.mae, mean_absolute_error(truth, predicted, multioutput="raw_values"))
    assert np.allclose(scores.spearman, [spearmanr(a, b)[0] for a, b in zip(truth.T, predicted.T, strict=True)])


def test_the_training_mean_scores_zero_and_the_truth_one(table):
    truth, _, means, units = table
    assert np.array_equal(score(truth, means, means, np.ones(90), units).r2, np.zeros(4))
    perfect = score(truth, truth, means, np.ones(90), units)
    assert (perfect.r2 == 1).all() and (perfect.r2_within == 1).all() and (perfect.r2_between == 1).all()


def test_between_and_within_add_up_to_the_whole(table):
    """Weighted squared errors split exactly into those of unit means and those inside units."""
    truth, predicted, means, units = table
    weights = np.random.default_rng(1).uniform(0.1, 1, 30)[units]
    scores = score(truth, predicted, means, weights, units)
    column = weights[:, None]
    total = (column * (truth - means) ** 2).sum(axis=0)
    unit_truth = (sum_by(units, column * truth) / sum_by(units, column))[units]
    inside = (column * (truth - unit_truth) ** 2).sum(axis=0)
    assert np.allclose(scores.r2 * total, scores.r2_within * inside + scores.r2_between * (total - inside))


def test_only_differences_between_units_leave_nothing_within(table):
    """A target that is constant inside each unit has no R² within, and neither has one row per unit."""
    truth, predicted, means, units = table
    constant = truth[::3][units] + 1 / 3
    assert np.isnan(score(constant, predicted, means, np.ones(90), units).r2_within).all()
    assert np.isnan(score(truth, predicted, means, np.ones(90), np.arange(90)).r2_within).all()


def test_a_constant_prediction_has_no_rank_correlation(table):
    truth, predicted, means, units = table
    assert np.isnan(score(truth, 0 * predicted, means, np.ones(90), units).spearman).all()


def test_effective_n_lies_between_groups_and_rows():
    """Rows that repeat their group count once per group; independent rows count as rows."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 20)
    values = np.stack([rng.standard_normal(50)[groups], rng.standard_normal(1000)], axis=1)
    repeated, independent = effective_n(values, groups)
    assert np.isclose(repeated, 50)
    assert 700 < independent <= 1000
    assert effective_n(values[:10], np.arange(10)).tolist() == [10, 10]
    mixed = 0.5**0.5 * (values[:, :1] + values[:, 1:])  # ICC .5: 50 * 20 / (1 + 19 * .5) = 95
    assert 70 < effective_n(mixed, groups)[0] < 130
