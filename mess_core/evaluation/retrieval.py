"""Retrieval: whether what is nearest is also what was meant, beside chance and with an interval over works.

    similarities (n_queries, n_rows) -> ranking: the rows of each query, nearest first
      -> a task's parts and wholes per query -> ratio of their sums -> interval over groups

Mean average precision answers for a relation ("the same work"): 1 is perfect. The rank difference ratio answers for a
number ("tempo"): how far the nearest are from the query in rank of that number, over how far all candidates are. It
is 1 for a random ranking, and lower is better. Recall, reciprocal rank and discounted gain look at the k nearest alone.

Conventions
-----------
relevant, candidates (n_queries, n_rows) bool. What is no candidate is taken out of the ranking; a query must not be
its own candidate. Equal similarities stay in row order. Queries to which there is no answer are left out.

Intervals
---------
Works are drawn among the queries; the library they search stays as it is. So an interval tells how far a figure would
move with other queries to this library. With another library it can move twice as far: on random vectors 95 %
intervals held chance in 70 to 90 % of the cases.

Source
------
Manning, Raghavan & Schütze (2008), §8.4 (average precision). Chance: with R relevant rows among N in random order,
place i is relevant with probability R / N, and places i and j both with R (R - 1) / (N (N - 1)); summed over i,
E[AP] = (H_N + (R - 1) / (N - 1) (N - H_N)) / N, H_N being the harmonic number. Field & Welsh (2007) for the bootstrap
of whole groups. Järvelin & Kekäläinen (2002) for the discounted gain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.errors import InputError
from mess_core.probing.resampling import draw_groups, intervals
from mess_core.probing.scores import sum_by
from mess_core.search.hubness import N_NEIGHBOURS

N_BOOTSTRAPS = 2000


@dataclass(frozen=True)
class RetrievalScore:
    """One figure; None where there is no such number.

    value, low, high : with its interval (95 %, groups drawn); no interval with one group
    chance : what a random ranking is expected to give
    n_queries, n_groups : that had an answer
    """

    value: float | None
    low: float | None
    high: float | None
    chance: float | None
    n_queries: int
    n_groups: int


@dataclass(frozen=True, eq=False)
class RetrievalTask:
    """What a ranking is asked, ready for any ranking of the same queries.

    wholes : (n_queries,), what the part of each query is divided by; 0 for a query without an answer
    parts : ranking (n_queries, n_rows) -> (n_queries,)
    chance : of the ratio, None without any query
    """

    wholes: np.ndarray
    parts: Callable[[np.ndarray], np.ndarray]
    chance: float | None


def mean_average_precision(
    similarities: np.ndarray,
    relevant: np.ndarray,
    candidates: np.ndarray,
    groups: np.ndarray,
    *,
    n_bootstraps: int = N_BOOTSTRAPS,
    seed: int = 0,
) -> RetrievalScore:
    """Mean over queries of the average precision of their ranked candidates.

    Parameters
    ----------
    similarities : ndarray, shape (n_queries, n_rows)
        Larger is closer; finite where there is a candidate.
    groups : ndarray, shape (n_queries,), int
        Code of the work of each query. Works are drawn, not queries.

    Raises
    ------
    InputError
        If shapes differ or a candidate's similarity is not finite.
    """
    _check(similarities, groups, relevant=relevant, candidates=candidates)
    task = average_precision_task(relevant, candidates)
    return estimate(task, [task.parts(ranking(similarities))], groups, n_bootstraps=n_bootstraps, seed=seed)[0]


def rank_difference_ratio(
    similarities: np.ndarray,
    values: np.ndarray,
    candidates: np.ndarray,
    groups: np.ndarray,
    k: int = N_NEIGHBOURS,
    *,
    rows: np.ndarray | None = None,
    n_bootstraps: int = N_BOOTSTRAPS,
    seed: int = 0,
) -> RetrievalScore:
    """Mean rank difference to the k nearest candidates, over that to all candidates; summed over queries.

    Parameters
    ----------
    similarities, candidates, groups
        As in `mean_average_precision`.
    values : ndarray, shape (n_rows,)
        The property; a row with NaN is no candidate and no query. Ranks are averaged over ties.
    rows : ndarray, shape (n_queries,), int, or None
        The row that each query is; by default query i is row i.

    Raises
    ------
    InputError
        If shapes differ, k is below 1 or a candidate's similarity is not finite.
    """
    _check(similarities, groups, candidates=candidates)
    rows = np.arange(len(similarities)) if rows is None else rows
    n_queries, n_rows = similarities.shape
    if values.shape != (n_rows,) or rows.shape != (n_queries,) or rows.max(initial=0) >= n_rows:
        raise InputError(f"{len(values)} values and {len(rows)} query rows for similarities {similarities.shape}.")
    if k < 1:
        raise InputError(f"k is {k}, expected at least 1 neighbour.")
    task = rank_difference_task(values, rows, candidates, k)
    return estimate(task, [task.parts(ranking(similarities))], groups, n_bootstraps=n_bootstraps, seed=seed)[0]


def ranking(similarities: np.ndarray) -> np.ndarray:
    """Rows of each query, nearest first, equal ones in row order; (n_queries, n_rows) int64."""
    return np.argsort(-similarities, axis=1, kind="stable")


def average_precision_task(relevant: np.ndarray, candidates: np.ndarray) -> RetrievalTask:
    """Average precision of the candidates; queries without a relevant candidate have no answer."""
    sought = relevant & candidates
    n_relevant = sought.sum(axis=1)
    has_answer = n_relevant > 0

    def average_precisions(order: np.ndarray) -> np.ndarray:
        hits = np.take_along_axis(sought, order, axis=1)
        query, column = np.nonzero(hits)
        n_hits = hits.cumsum(axis=1, dtype=np.int32)[query, column]
        place = np.take_along_axis(candidates, order, axis=1).cumsum(axis=1, dtype=np.int32)[query, column]
        sums = np.bincount(query, weights=n_hits / place, minlength=len(order))
        precisions: np.ndarray = sums / n_relevant.clip(1)
        return precisions

    by_chance = expected_average_precision(n_relevant[has_answer], candidates[has_answer].sum(axis=1))
    return RetrievalTask(
        has_answer.astype(np.float64), average_precisions, float(by_chance.mean()) if has_answer.any() else None
    )


def expected_average_precision(n_relevant: np.ndarray, n_candidates: np.ndarray) -> np.ndarray:
    """Average precision that a random order has in the mean, for 1 <= n_relevant <= n_candidates.

    Examples
    --------
    >>> expected_average_precision(np.array([1, 1, 2]), np.array([1, 2, 2])).tolist()
    [1.0, 0.75, 1.0]
    """
    harmonic = (1 / np.arange(1, n_candidates.max(initial=0) + 1)).cumsum()[n_candidates - 1]
    others = (n_relevant - 1) / (n_candidates - 1).clip(1)
    expected: np.ndarray = (harmonic + others * (n_candidates - harmonic)) / n_candidates
    return expected


def recall_task(relevant: np.ndarray, candidates: np.ndarray, k: int) -> RetrievalTask:
    """Relevant candidates among the k nearest, over as many as could be there: min(k, all relevant)."""
    sought = relevant & candidates
    n_relevant, n_candidates = sought.sum(axis=1), candidates.sum(axis=1)
    wholes = np.minimum(k, n_relevant).astype(np.float64)

    def hits(order: np.ndarray) -> np.ndarray:
        found, places = _places(sought, candidates, order)
        n_hits: np.ndarray = (found & (places <= k)).sum(axis=1).astype(np.float64)
        return n_hits

    expected = n_relevant * np.minimum(k, n_candidates) / n_candidates.clip(1)
    return RetrievalTask(wholes, hits, float(expected.sum() / wholes.sum()) if wholes.any() else None)


def reciprocal_rank_task(relevant: np.ndarray, candidates: np.ndarray, k: int) -> RetrievalTask:
    """One over the place of the first relevant candidate, 0 if it is not among the k nearest."""
    sought = relevant & candidates
    n_relevant, n_candidates = sought.sum(axis=1), candidates.sum(axis=1)
    has_answer = n_relevant > 0

    def reciprocals(order: np.ndarray) -> np.ndarray:
        found, places = _places(sought, candidates, order)
        first = np.where(found, places, np.inf).min(axis=1, initial=np.inf)
        found_reciprocals: np.ndarray = np.where(first <= k, 1 / first, 0.0)
        return found_reciprocals

    # None was relevant before place i, and the one there is.
    expected, none_yet = np.zeros(len(sought)), has_answer.astype(np.float64)
    for place in range(1, k + 1):
        left = (n_candidates - place + 1).clip(0)
        here = np.divide(n_relevant, left, out=np.zeros(len(sought)), where=left > 0).clip(max=1.0)
        expected += none_yet * here / place
        none_yet = none_yet * (1 - here)
    chance = float(expected[has_answer].mean()) if has_answer.any() else None
    return RetrievalTask(has_answer.astype(np.float64), reciprocals, chance)


def discounted_gain_task(gains: np.ndarray, candidates: np.ndarray, k: int) -> RetrievalTask:
    """nDCG: Σ (2^gain - 1) / log2(place + 1) over the k nearest, over the most it could be; each query counts as one.

    Parameters
    ----------
    gains : ndarray, shape (n_queries, n_rows)
        How much each row is worth to a query, 0 or more.
    """
    worth = np.where(candidates, 2.0 ** np.where(candidates, gains, 0.0) - 1, 0.0)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = -np.sort(-worth, axis=1)[:, :k]
    most = ideal @ discounts[: ideal.shape[1]]
    has_answer = most > 0

    def shares(order: np.ndarray) -> np.ndarray:
        is_candidate = np.take_along_axis(candidates, order, axis=1)
        places = is_candidate.cumsum(axis=1, dtype=np.int32)
        of_place = np.where(is_candidate & (places <= k), discounts[np.minimum(places, k).clip(1) - 1], 0.0)
        sums = (np.take_along_axis(worth, order, axis=1) * of_place).sum(axis=1)
        found: np.ndarray = np.divide(sums, most, out=np.zeros(len(sums)), where=has_answer)
        return found

    n_candidates = candidates.sum(axis=1)
    reached = np.array([discounts[: min(k, n)].sum() for n in n_candidates])
    means = worth.sum(axis=1) / n_candidates.clip(1) * reached
    chance = float((means[has_answer] / most[has_answer]).mean()) if has_answer.any() else None
    return RetrievalTask(has_answer.astype(np.float64), shares, chance)


def _places(sought: np.ndarray, candidates: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In the order of a ranking: which rows are sought, and the place of each among the candidates, from 1."""
    places = np.take_along_axis(candidates, order, axis=1).cumsum(axis=1, dtype=np.int32)
    return np.take_along_axis(sought, order, axis=1), places


def rank_difference_task(values: np.ndarray, rows: np.ndarray, candidates: np.ndarray, k: int) -> RetrievalTask:
    """Rank difference to the k nearest candidates, over that to all. Ranks are fractions of the rows with a value."""
    from scipy.stats import rankdata

    is_known = np.isfinite(values)
    ranks = np.zeros(len(values))
    ranks[is_known] = rankdata(values[is_known]) / max(is_known.sum(), 1)
    candidates = candidates & is_known & is_known[rows][:, None]
    n_candidates = candidates.sum(axis=1)

    def mean_difference(others: np.ndarray, is_chosen: np.ndarray) -> np.ndarray:
        sums = np.abs(others - ranks[rows][:, None]).sum(axis=1, where=is_chosen)
        means: np.ndarray = sums / is_chosen.sum(axis=1).clip(1)
        return means

    # The k nearest candidates are among the first k rows and as many more as there are others to skip.
    width = k + (len(values) - n_candidates.min(initial=len(values), where=n_candidates > 0))

    def nearest_differences(order: np.ndarray) -> np.ndarray:
        front = order[:, :width]
        is_candidate = np.take_along_axis(candidates, front, axis=1)
        return mean_difference(ranks[front], is_candidate & (is_candidate.cumsum(axis=1) <= k))

    wholes = mean_difference(ranks, candidates)
    return RetrievalTask(wholes, nearest_differences, 1.0 if wholes.any() else None)


def estimate(
    task: RetrievalTask, parts: Sequence[np.ndarray], groups: np.ndarray, *, n_bootstraps: int, seed: int
) -> tuple[RetrievalScore, ...]:
    """Ratio of the sums over queries, and how far it would move with other groups.

    Parameters
    ----------
    parts : sequence of ndarray, each of shape (n_queries,)
        What `RetrievalTask.parts` gave for each of several rankings; all see the same bootstraps.
    groups : ndarray, shape (n_queries,), int
    """
    has_answer = task.wholes > 0
    if not has_answer.any():
        return (RetrievalScore(None, None, None, None, 0, 0),) * len(parts)
    present, codes = np.unique(groups[has_answer], return_inverse=True)
    n_draws = n_bootstraps if len(present) > 1 else 0
    counts = draw_groups(len(present), n_draws, np.random.default_rng(seed))
    counts = counts if n_draws else counts[:1]
    ratios = counts @ sum_by(codes, np.stack(parts, axis=1)[has_answer])
    ratios /= (counts @ sum_by(codes, task.wholes[has_answer]))[:, None]
    return tuple(
        RetrievalScore(
            float(value),
            float(low) if n_draws else None,
            float(high) if n_draws else None,
            task.chance,
            int(has_answer.sum()),
            len(present),
        )
        for value, low, high in zip(ratios[0], *intervals(ratios, n_draws), strict=True)
    )


def _check(similarities: np.ndarray, groups: np.ndarray, **masks: np.ndarray) -> None:
    for name, mask in masks.items():
        if similarities.ndim != 2 or mask.shape != similarities.shape or mask.dtype != bool:
            raise InputError(f"{name} is {mask.dtype} {mask.shape}, expected bool {similarities.shape}.")
    if groups.shape != (len(similarities),):
        raise InputError(f"groups has shape {groups.shape}, expected one code for each of {len(similarities)} queries.")
    if not (np.isfinite(similarities) | ~masks["candidates"]).all():
        raise InputError("A candidate's similarity is not finite.")
