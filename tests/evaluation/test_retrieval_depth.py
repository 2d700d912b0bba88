"""What looks at the k nearest alone: by hand, by counting all orders, and by scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from mess_core.evaluation.retrieval import (
    RetrievalTask,
    discounted_gain_task,
    ranking,
    recall_task,
    reciprocal_rank_task,
)

SIMILARITIES = np.array([[0.9, 0.8, 0.7, 0.6, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5]])
RELEVANT = np.array([[False, True, False, True, False], [True, False, False, False, False]])
CANDIDATES = np.array([[False, True, True, True, True], [True, True, True, True, False]])


def scores(task: RetrievalTask, similarities: np.ndarray = SIMILARITIES) -> list[float]:
    parts = task.parts(ranking(similarities))
    return [float(part / whole) if whole else np.nan for part, whole in zip(parts, task.wholes, strict=True)]


def test_recall_is_counted_over_what_could_be_there():
    """Of the first query both are within three, one within two; of the second the one relevant comes last of four."""
    assert scores(recall_task(RELEVANT, CANDIDATES, 3)) == [1.0, 0.0]
    assert scores(recall_task(RELEVANT, CANDIDATES, 2)) == [0.5, 0.0]
    assert scores(recall_task(RELEVANT, CANDIDATES, 1)) == [1.0, 0.0]
    assert scores(recall_task(RELEVANT, CANDIDATES, 4)) == [1.0, 1.0]


def test_the_reciprocal_rank_is_that_of_the_first():
    assert scores(reciprocal_rank_task(RELEVANT, CANDIDATES, 10)) == [1.0, 0.25]
    assert scores(reciprocal_rank_task(RELEVANT, CANDIDATES, 3)) == [1.0, 0.0]


def test_the_discounted_gain_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    gains, similarities = rng.integers(0, 5, (20, 30)).astype(float), rng.random((20, 30))
    task = discounted_gain_task(gains, np.ones((20, 30), bool), 10)
    expected = [ndcg_score(2.0 ** gains[[row]] - 1, similarities[[row]], k=10) for row in range(20)]
    np.testing.assert_allclose(scores(task, similarities), expected)


def test_a_query_without_answer_has_no_weight():
    nothing = np.zeros_like(RELEVANT)
    for task in (
        recall_task(nothing, CANDIDATES, 3),
        reciprocal_rank_task(nothing, CANDIDATES, 3),
        discounted_gain_task(nothing.astype(float), CANDIDATES, 3),
    ):
        assert not task.wholes.any() and task.chance is None


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_chance_is_the_mean_over_all_orders(k):
    """Every order of five candidates, counted; a row that is no candidate changes nothing."""
    relevant = np.array([[True, False, True, False, False, True]])
    candidates = np.array([[True, True, True, True, True, False]])
    gains = np.array([[3.0, 0.0, 1.0, 2.0, 0.0, 4.0]])
    orders = [np.array([[*order, 5]]) for order in itertools.permutations(range(5))]
    for task in (
        recall_task(relevant, candidates, k),
        reciprocal_rank_task(relevant, candidates, k),
        discounted_gain_task(gains, candidates, k),
    ):
        counted = np.mean([task.parts(order)[0] for order in orders]) / task.wholes[0]
        assert task.chance == pytest.approx(counted)
