"""Teachers: the piece is taken out, and what is alike to them is told by hand."""

from __future__ import annotations

import numpy as np

from mess_core.learning.teachers import (
    deviations,
    graded_gains,
    kernel_set,
    label_set,
    nearest_share,
    span_means,
    squared_distances,
)

SPANS = np.repeat(np.arange(5), 4)


def test_a_deviation_knows_nothing_of_the_piece():
    """Whatever is added to all performances of a span changes nothing; scale by scale it is of unit size."""
    rng = np.random.default_rng(0)
    profiles = rng.standard_normal((20, 3))
    found = deviations(profiles, SPANS, np.arange(20))
    moved = deviations(profiles + 100 * rng.standard_normal((5, 3))[SPANS], SPANS, np.arange(20))
    np.testing.assert_allclose(moved, found, atol=1e-9)
    np.testing.assert_allclose((found**2).mean(axis=0), 1)
    np.testing.assert_allclose(span_means(found, SPANS)[0], 0, atol=1e-12)


def test_two_performances_are_no_teacher_and_an_unknown_scale_is_the_mean():
    profiles = np.array([[1.0, 2.0], [3.0, 2.0], [0.0, np.nan], [1.0, 4.0], [2.0, 6.0], [5.0, 8.0]])
    found = deviations(profiles, np.array([0, 0, 1, 1, 1, 1]), np.arange(6))
    assert np.isnan(found[:2]).all() and np.isfinite(found[2:]).all() and found[2, 1] == 0


def test_the_unit_is_that_of_the_training_rows():
    profiles = np.concatenate([np.arange(4.0), 100 * np.arange(4.0)])[:, None]
    found = deviations(profiles, np.repeat([0, 1], 4), np.arange(4))
    np.testing.assert_allclose([(found[:4] ** 2).mean(), (found[4:] ** 2).mean()], [1, 10_000])


def test_a_kernel_counts_the_nearer_more():
    values = np.array([[0.0], [1.0], [3.0], [9.0]])
    found = kernel_set(squared_distances(values), ~np.eye(4, dtype=bool), np.random.default_rng(0), 8)
    assert found.index[0, found.mask[0]].tolist() == [1, 2, 3]
    assert np.all(np.diff(found.probability[0, found.mask[0]]) < 0)
    np.testing.assert_allclose(found.probability.sum(axis=1), 1)


def test_labels_share_and_draw_no_more_than_asked():
    labels = np.array([0, 0, 0, 1, 1, -1, -1, 2])
    found = label_set(labels, ~np.eye(8, dtype=bool), np.random.default_rng(0), 3)
    assert found.index[0][found.probability[0] > 0].tolist() == [1, 2] and found.mask[0].sum() <= 5
    assert found.probability[0].max() == 0.5
    assert not found.mask[[5, 6, 7]].any()  # unknown, or alone


def test_gains_are_shares_of_candidates_that_are_further_away():
    """Against the definition, counted one by one; what is no candidate gains nothing."""
    rng = np.random.default_rng(1)
    distances, candidates = rng.random((6, 21)), rng.random((6, 21)) < 0.7
    gains = graded_gains(distances, candidates)
    for row, column in np.ndindex(gains.shape):
        others = candidates[row].sum() - 1
        further = (candidates[row] & (distances[row] > distances[row, column])).sum()
        assert gains[row, column] == (np.floor(4 * further / others) if candidates[row, column] else 0)


def test_the_nearest_share_is_the_nearest():
    distances = np.array([[5.0, 1.0, 3.0, 0.0, 2.0, 9.0, 8.0, 7.0, 6.0, 4.0]])
    candidates = np.ones((1, 10), bool)
    candidates[0, 3] = False
    assert np.flatnonzero(nearest_share(distances, candidates, 0.3)[0]).tolist() == [1, 2, 4]
