"""Retrieval: average precision and rank differences against known implementations, chance by simulation, intervals."""

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from mess_core.errors import InputError
from mess_core.evaluation.retrieval import (
    RetrievalScore,
    average_precision_task,
    expected_average_precision,
    mean_average_precision,
    rank_difference_ratio,
)

N = 60
WORKS = np.repeat(np.arange(12), 5)
SAME_WORK = WORKS[:, None] == WORKS
OTHERS = ~np.eye(N, dtype=bool)


@pytest.fixture
def similarities() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, N))


def test_average_precision_is_that_of_scikit_learn(similarities):
    """Without ties; each query with candidates of its own."""
    candidates = OTHERS & (np.random.default_rng(1).random((N, N)) < 0.7)
    relevant = np.random.default_rng(2).random((N, N)) < 0.1
    asked = [q for q in range(N) if (relevant & candidates)[q].any()]
    expected = [average_precision_score(relevant[q][candidates[q]], similarities[q][candidates[q]]) for q in asked]
    score = mean_average_precision(similarities, relevant, candidates, WORKS, n_bootstraps=10)
    assert score.value == pytest.approx(np.mean(expected))
    assert (score.n_queries, score.n_groups) == (len(asked), 12)


def test_all_relevant_first_is_one_and_last_is_the_worst(similarities):
    perfect = mean_average_precision(similarities + 100 * SAME_WORK, SAME_WORK, OTHERS, WORKS)
    assert (perfect.value, perfect.low, perfect.high) == (1, 1, 1)
    worst = mean_average_precision(similarities - 100 * SAME_WORK, SAME_WORK, OTHERS, WORKS)
    assert worst.value == pytest.approx(np.mean([hit / (55 + hit) for hit in range(1, 5)]))


def test_what_is_no_candidate_does_not_matter(similarities):
    """Neither its place in the ranking, nor whether its similarity is a number."""
    score = mean_average_precision(similarities, SAME_WORK, OTHERS, WORKS)
    for of_itself in (99.0, -99.0, np.nan, -np.inf):
        np.fill_diagonal(similarities, of_itself)
        assert mean_average_precision(similarities, SAME_WORK, OTHERS, WORKS) == score


def test_ties_stay_in_row_order(similarities):
    """Three equal candidates, the second relevant: precision 1/2."""
    relevant = np.array([[False, True, False]])
    everybody = np.ones((1, 3), bool)
    score = mean_average_precision(np.zeros((1, 3)), relevant, everybody, np.array([0]))
    assert score == RetrievalScore(0.5, None, None, pytest.approx(11 / 18), 1, 1)
    rounded = similarities.round()
    untied = rounded - 1e-6 * np.arange(N)
    by_row = mean_average_precision(untied, SAME_WORK, OTHERS, WORKS)
    assert mean_average_precision(rounded, SAME_WORK, OTHERS, WORKS) == by_row


@pytest.mark.parametrize(("n_relevant", "n_candidates"), [(1, 1), (1, 2), (2, 2), (1, 10), (3, 10), (9, 10), (20, 200)])
def test_chance_by_simulation(n_relevant, n_candidates):
    """The closed form is the mean over random orders; scikit-learn judges some of them."""
    (expected,) = expected_average_precision(np.array([n_relevant]), np.array([n_candidates]))
    order = np.random.default_rng(0).random((4000, n_candidates)).argsort(axis=1)
    is_hit = order < n_relevant
    precisions = (is_hit * is_hit.cumsum(axis=1) / np.arange(1, n_candidates + 1)).sum(axis=1) / n_relevant
    for hits, precision in zip(is_hit[:20], precisions[:20], strict=True):
        assert average_precision_score(hits, -np.arange(n_candidates)) == pytest.approx(precision)
    assert expected == pytest.approx(precisions.mean(), abs=4 * precisions.std() / 4000**0.5 + 1e-12)


def test_a_random_ranking_is_at_chance(similarities):
    """Both figures, in most of many draws; and a perfect one is not."""
    values = np.random.default_rng(5).standard_normal(N)
    inside = []
    for seed in range(40):
        drawn = np.random.default_rng(seed).standard_normal((N, N))
        for score in (
            mean_average_precision(drawn, SAME_WORK, OTHERS, WORKS, n_bootstraps=300),
            rank_difference_ratio(drawn, values, ~SAME_WORK, WORKS, n_bootstraps=300),
        ):
            inside.append(score.low <= score.chance <= score.high)
    assert np.mean(inside) > 0.85  # percentiles over twelve works are a little narrow
    oracle = -np.abs(values[:, None] - values)
    assert rank_difference_ratio(oracle, values, ~SAME_WORK, WORKS).high < 0.3


def test_rank_differences_against_a_loop(similarities):
    """With ties, rows without a value and fewer candidates than neighbours."""
    rng = np.random.default_rng(3)
    values = rng.integers(0, 20, N).astype(float)
    values[rng.choice(N, 9, replace=False)] = np.nan
    candidates = ~SAME_WORK & (rng.random((N, N)) < rng.uniform(0, 0.5, N)[:, None])
    known = [row for row in range(N) if np.isfinite(values[row])]
    ranks = dict(zip(known, rankdata(values[known]) / len(known), strict=True))
    near, every = [], []
    for query in known:
        rows = sorted((row for row in known if candidates[query, row]), key=lambda row: -similarities[query, row])
        if rows:
            differences = [abs(ranks[query] - ranks[row]) for row in rows]
            near.append(np.mean(differences[:10]))
            every.append(np.mean(differences))
    score = rank_difference_ratio(similarities, values, candidates, WORKS, n_bootstraps=10)
    assert score.value == pytest.approx(sum(near) / sum(every))
    assert (score.chance, score.n_queries) == (1, len(near))


def test_a_sample_of_queries_says_which_rows_it_is(similarities):
    """The same rows as if all were asked and the others had nothing to find."""
    values = np.arange(N, dtype=float)
    rows = np.array([3, 50, 17])
    asked = np.isin(np.arange(N), rows)[:, None] & OTHERS
    sample = rank_difference_ratio(similarities[rows], values, OTHERS[rows], WORKS[rows], 4, rows=rows)
    assert sample == rank_difference_ratio(similarities, values, asked, WORKS, 4)


def test_only_the_order_of_values_matters(similarities):
    values = np.random.default_rng(4).standard_normal(N)
    score = rank_difference_ratio(similarities, values, OTHERS, WORKS)
    assert rank_difference_ratio(similarities, np.exp(values), OTHERS, WORKS) == score


def test_with_all_candidates_near_the_ratio_is_one(similarities):
    score = rank_difference_ratio(similarities, np.arange(N) ** 2.0, OTHERS, WORKS, k=N)
    assert score.value == pytest.approx(1)


def test_works_are_drawn_not_queries():
    """Queries that repeat their work's precision add nothing: the interval stays as wide."""
    rng = np.random.default_rng(0)
    similarities = rng.standard_normal((12, 100))
    relevant = rng.random((12, 100)) < 0.1
    everybody = np.ones((12, 100), bool)
    once = mean_average_precision(similarities, relevant, everybody, np.arange(12))
    repeated = mean_average_precision(*(np.repeat(a, 5, axis=0) for a in (similarities, relevant, everybody)), WORKS)
    assert repeated.n_queries == 5 * once.n_queries and repeated.n_groups == once.n_groups
    assert (repeated.value, repeated.low, repeated.high) == pytest.approx((once.value, once.low, once.high))


def test_nothing_to_find_is_no_figure(similarities):
    """No relevant row; no value; values that are all alike."""
    nothing = RetrievalScore(None, None, None, None, 0, 0)
    assert mean_average_precision(similarities, np.zeros((N, N), bool), OTHERS, WORKS) == nothing
    assert mean_average_precision(similarities, ~OTHERS, OTHERS, WORKS) == nothing
    for value in (np.nan, 1.0):
        assert rank_difference_ratio(similarities, np.full(N, value), OTHERS, WORKS) == nothing


def test_one_work_or_no_draws_have_no_interval(similarities):
    for groups, n_bootstraps in ((np.zeros(N, int), 100), (WORKS, 0)):
        score = mean_average_precision(similarities, SAME_WORK, OTHERS, groups, n_bootstraps=n_bootstraps)
        assert score.value is not None and (score.low, score.high) == (None, None)


def test_inputs_stay_as_they_are_and_the_seed_decides(similarities):
    values = np.random.default_rng(4).standard_normal(N)
    for array in (similarities, SAME_WORK, OTHERS, WORKS, values):
        array.setflags(write=False)
    first, same, other = (mean_average_precision(similarities, SAME_WORK, OTHERS, WORKS, seed=s) for s in (0, 0, 1))
    assert first == same and (first.value, first.chance) == (other.value, other.chance) and first.low != other.low
    first, same = (rank_difference_ratio(similarities, values, OTHERS, WORKS) for _ in range(2))
    assert first == same


def test_what_does_not_fit_is_refused(similarities):
    with pytest.raises(InputError, match=r"relevant is bool \(60, 59\)"):
        mean_average_precision(similarities, SAME_WORK[:, 1:], OTHERS, WORKS)
    with pytest.raises(InputError, match="candidates is int"):
        mean_average_precision(similarities, SAME_WORK, OTHERS.astype(int), WORKS)
    with pytest.raises(InputError, match="groups has shape"):
        mean_average_precision(similarities, SAME_WORK, OTHERS, WORKS[1:])
    with pytest.raises(InputError, match="59 values"):
        rank_difference_ratio(similarities, np.zeros(59), OTHERS, WORKS)
    for rows in (np.arange(N - 1), np.arange(N + 1) % N, np.arange(N)[:, None] % 2, np.arange(1, N + 1)):
        with pytest.raises(InputError, match=f"{len(rows)} query rows for similarities"):
            rank_difference_ratio(similarities, np.arange(N, dtype=float), OTHERS, WORKS, rows=rows)
    with pytest.raises(InputError, match="k is 0"):
        rank_difference_ratio(similarities, np.zeros(N), OTHERS, WORKS, 0)
    similarities[0, 1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        mean_average_precision(similarities, SAME_WORK, OTHERS, WORKS)


def test_a_task_is_itself_and_no_other():
    """What holds arrays is not compared number by number, and may be a key."""
    one, other = average_precision_task(SAME_WORK, OTHERS), average_precision_task(SAME_WORK, OTHERS)
    assert one == one and one != other and len({one, other, one}) == 2
