"""Recommendation: whether what is recommended is what users took to later, beside chance and with intervals over users.

    split -> train -> recommender -> the k best of all items a user does not have -> figures of each user -> their mean

All items are ranked, or all of a kind (`HeldOut.among`): of samples, recommenders come out in another order. A user
counts once, however much is tested. With hits at some places of the k, and R relevant items that were held back:

    hit rate    1 if there is any           precision   hits / k          recall   hits / R
    MRR         1 / place of the first hit, 0 without one
    nDCG        Σ 1 / log2(place + 1) over hits, over the same for hits at the first min(R, k) places
    coverage    share of the ranked items that are in anybody's list; of no single user, so without an interval

What lists show beside that, whoever likes it, is in `exposure`.

With one relevant item hit rate is recall, and a tenth of it precision at ten.

Intervals
---------
Users are drawn, with all that is theirs (bootstrap, `probing.resampling`). They say how far a figure would move with
other users of the same items, trained as it is. Whether one recommender is better than another is said by the interval
of their difference, user by user, and not by whether two intervals overlap.

Source
------
Krichene & Rendle (2020), On sampled metrics; Järvelin & Kekäläinen (2002). Chance: a relevant
item is as likely at any place as at any other; the first is at place i after i - 1 misses without replacement.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mess_core.errors import InputError
from mess_core.evaluation.exposure import (
    BY_POPULARITY,
    diversity,
    gini,
    novelty,
    popularity_lift,
    recall_by_popularity,
)
from mess_core.probing.resampling import BCA_MIN_GROUPS, intervals
from mess_core.recommend.base import NOBODY, Recommender, recommend_items
from mess_core.recommend.columns import HeldOut, leave_one_out, read_sequences
from mess_core.recommend.controls import AnyItem, NextItem, Popular
from mess_core.recommend.factors import ImplicitFactors, why_no_factors
from mess_core.recommend.knn import Ease, ItemNeighbours, why_no_ease

if TYPE_CHECKING:
    pass

HIT_RATE, RECALL, NDCG, MRR, PRECISION = "hit rate", "recall", "nDCG", "MRR", "precision"
NOVELTY, DIVERSITY, COVERAGE, LIFT, GINI = "novelty", "diversity", "coverage", "popularity lift", "Gini"
N_HAD = "items had"  # of a user, in training: no figure, but what figures are looked at by
ACCURACY = (HIT_RATE, RECALL, NDCG, MRR, PRECISION)
METRICS = (*ACCURACY, *BY_POPULARITY, NOVELTY, LIFT, DIVERSITY, COVERAGE, GINI)
K = 10
N_BOOTSTRAPS = 2000
FEWEST_FOR_INTERVAL = 5  # users; of fewer, drawing them says little
DRAWS_AT_ONCE = 100
NO_AUDIO = "There is no audio to these items: diversity and what is alike in sound cannot be told."


@dataclass(frozen=True)
class RecommendationFigure:
    """One number of a recommender; None where there is none.

    value, low, high : with its interval (95 %, users drawn)
    chance : what any order would give; only of what counts hits
    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    chance: float | None = None


@dataclass(frozen=True, eq=False)
class RecommenderResult:
    """What one recommender came to.

    figures : one per metric
    per_user : metric -> (n_tested,) float64, NaN where it has no number; not in documents
    took_s : fitting and recommending, seconds
    """

    name: str
    figures: tuple[RecommendationFigure, ...]
    per_user: Mapping[str, np.ndarray]
    took_s: float

    def figure(self, metric: str) -> RecommendationFigure:
        """That of a metric.

        Raises
        ------
        KeyError
            If there is none.
        """
        for each in self.figures:
            if each.metric == metric:
                return each
        raise KeyError(metric)


@dataclass(frozen=True)
class Gain:
    """How much better one recommender is than another, user by user, with its interval (95 %)."""

    name: str
    over: str
    metric: str
    value: float
    low: float | None
    high: float | None

    @property
    def is_shown(self) -> bool:
        """Whether it is better beyond its interval."""
        return self.low is not None and self.low > 0


@dataclass(frozen=True, eq=False)
class RecommendationStudy:
    """Several recommenders on one split. users : that were tested, places among the users"""

    how: str
    k: int
    n_users: int
    n_items: int
    n_train: int
    users: np.ndarray
    results: tuple[RecommenderResult, ...]
    notices: tuple[str, ...] = ()

    def result(self, name: str) -> RecommenderResult:
        """That of a recommender.

        Raises
        ------
        KeyError
            If there is none.
        """
        for each in self.results:
            if each.name == name:
                return each
        raise KeyError(name)

    def gain(self, name: str, over: str, metric: str = NDCG, *, seed: int = 0) -> Gain:
        """Of one recommender over another."""
        difference = self.result(name).per_user[metric] - self.result(over).per_user[metric]
        value, low, high = mean_of_users(difference, seed=seed)
        return Gain(name, over, metric, value or 0.0, low, high)

    def as_document(self) -> dict[str, Any]:
        """The shape of `evaluate sequences --json`."""
        return {
            "split": self.how,
            "k": self.k,
            "n_users": self.n_users,
            "n_items": self.n_items,
            "n_train": self.n_train,
            "n_tested": len(self.users),
            "recommenders": [
                {"name": each.name, "took_s": each.took_s, "figures": [asdict(figure) for figure in each.figures]}
                for each in self.results
            ],
            "notices": list(self.notices),
        }


def evaluate_recommenders(
    split: HeldOut,
    recommenders: Sequence[Recommender],
    k: int = K,
    *,
    points: np.ndarray | None = None,
    n_bootstraps: int = N_BOOTSTRAPS,
    seed: int = 0,
) -> RecommendationStudy:
    """Fit each on the training rows, and hold its lists against what was held back.

    Parameters
    ----------
    split : HeldOut
    recommenders : sequence of Recommender
        Of different names.
    k : int
    points : ndarray, shape (n_items, d), optional
        Of the items, for diversity; zero where an item has none.
    n_bootstraps, seed : int

    Raises
    ------
    InputError
        If nobody is tested, names repeat, or k is out of its range.
    """
    names = [each.name for each in recommenders]
    if len(set(names)) < len(names):
        raise InputError(f"Recommenders are called {', '.join(names)}, expected different names.")
    if not 1 <= k <= split.is_ranked.sum():
        raise InputError(f"k is {k}, expected 1 to {split.is_ranked.sum()}, the number of items.")
    if not len(split.tested):
        raise InputError(
            "Nobody took to anything new in what is tested.", "Expected users with two different items at least."
        )
    results = []
    for recommender in recommenders:
        began = time.perf_counter()
        lists = recommend_items(recommender.fit(split.train), split.train, split.tested, k, split.among)
        took_s = time.perf_counter() - began
        figures, per_user = measure_lists(lists, split, points=points, n_bootstraps=n_bootstraps, seed=seed)
        results.append(RecommenderResult(recommender.name, figures, per_user, took_s))
    notices = () if points is not None else (NO_AUDIO,)
    train = split.train
    return RecommendationStudy(
        split.how, k, train.n_users, train.n_items, len(train), split.tested, tuple(results), notices
    )  # fmt: skip


def measure_lists(
    lists: np.ndarray,
    split: HeldOut,
    *,
    points: np.ndarray | None = None,
    n_bootstraps: int = N_BOOTSTRAPS,
    seed: int = 0,
) -> tuple[tuple[RecommendationFigure, ...], dict[str, np.ndarray]]:
    """All figures of lists, and those of each user.

    Parameters
    ----------
    lists : ndarray, shape (n_tested, k) int64
        Items for each of `split.tested`, the best first; `NOBODY` where there are fewer.
    split : HeldOut
    points, n_bootstraps, seed
        As in `evaluate_recommenders`.

    Returns
    -------
    figures : one per metric
    per_user : metric -> (n_tested,) float64, NaN where it has no number
    """
    users, relevant = split.tested, split.relevant[split.tested]
    chances = chance_at(split, lists.shape[1])
    hits = _hits(lists, relevant)
    per_user = {
        **accuracy(hits, np.diff(relevant.indptr)),
        **recall_by_popularity(lists, hits, relevant, split.train),
        NOVELTY: novelty(lists, split.train),
        LIFT: popularity_lift(lists, users, split.train),
    }
    if points is not None:
        per_user[DIVERSITY] = diversity(lists, points)
    figures = [
        RecommendationFigure(
            metric, *mean_of_users(values, n_bootstraps=n_bootstraps, seed=seed), chance=chances.get(metric)
        )
        for metric, values in per_user.items()
    ]
    shown = np.bincount(lists[lists != NOBODY], minlength=split.train.n_items)[split.is_ranked]
    figures.append(RecommendationFigure(COVERAGE, float((shown > 0).mean())))
    figures.append(RecommendationFigure(GINI, gini(shown)))
    return tuple(figures), per_user


def evaluate_sequences(path: Path, k: int = K, *, seed: int = 0) -> RecommendationStudy:
    """The recommenders that need no audio, on a file of sequences, the last item of each user tested.

    Those that cannot be fitted here are left out, and a notice says why.

    Parameters
    ----------
    path : Path
        As in `recommend.columns.read_sequences`.
    k : int
    seed : int
        Of random lists, of factors and of intervals.
    """
    split = leave_one_out(read_sequences(path))
    known: list[Recommender] = [AnyItem(seed), Popular(), NextItem(), ItemNeighbours()]
    left_out = []
    for recommender, why_not in ((Ease(), why_no_ease(split.train)), (ImplicitFactors(seed=seed), why_no_factors())):
        if why_not is None:
            known.append(recommender)
        else:
            left_out.append(f"{recommender.name} is left out: {why_not}")
    study = evaluate_recommenders(split, known, k, seed=seed)
    return replace(study, notices=(*study.notices, *left_out))


# --- of each user -------------------------------------------------------------------------------------------


def accuracy(hits: np.ndarray, n_relevant: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of each user.

    Parameters
    ----------
    hits : ndarray, shape (n_users, k), bool
        Whether what stands at each place is relevant, the best first.
    n_relevant : ndarray, shape (n_users,), int >= 1

    Examples
    --------
    >>> {name: values.round(3).tolist() for name, values in accuracy(np.array([[False, True]]), np.array([2])).items()}
    {'hit rate': [1.0], 'recall': [0.5], 'nDCG': [0.387], 'MRR': [0.5], 'precision': [0.5]}
    """
    k = hits.shape[1]
    n_hits = hits.sum(axis=1)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(n_relevant, k) - 1]
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)
    return {
        HIT_RATE: (n_hits > 0).astype(np.float64),
        RECALL: n_hits / n_relevant,
        NDCG: hits @ discounts / ideal,
        MRR: 1.0 / first,
        PRECISION: n_hits / k,
    }


def chance_at(split: HeldOut, k: int) -> dict[str, float]:
    """What any order of what is ranked gives the users who are tested, by metric."""
    n_left = split.is_ranked.sum() - (split.train.has[split.tested] @ split.is_ranked).astype(int)
    return by_chance(np.diff(split.relevant[split.tested].indptr), n_left, k)


def by_chance(n_relevant: np.ndarray, n_left: np.ndarray, k: int) -> dict[str, float]:
    """What any order of n_left items gives, n_relevant of them relevant; means over users. Both (n_users,) int >= 1"""
    k_shown = np.minimum(k, n_left)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gained, ideal = np.cumsum(discounts)[k_shown - 1], np.cumsum(discounts)[np.minimum(n_relevant, k) - 1]
    none_yet, first = np.ones(len(n_left)), np.zeros(len(n_left))
    for place in range(1, k + 1):
        left = np.maximum(n_left - place + 1, 0)
        here = np.divide(n_relevant, left, out=np.zeros(len(left)), where=left > 0).clip(max=1.0)
        first += none_yet * here / place
        none_yet = none_yet * (1 - here)
    share = n_relevant / n_left
    found = {
        HIT_RATE: 1 - none_yet, RECALL: k_shown / n_left, NDCG: share * gained / ideal, MRR: first,
        PRECISION: share * k_shown / k,
    }  # fmt: skip
    return {metric: float(values.mean()) for metric, values in found.items()}


def mean_of_users(
    values: np.ndarray, *, n_bootstraps: int = N_BOOTSTRAPS, seed: int = 0
) -> tuple[float | None, float | None, float | None]:
    """The mean over users, and its interval; NaN is left out, None where there is no such number, or too few users.

    Parameters
    ----------
    values : ndarray, shape (n_users,)
    """
    known = values[np.isfinite(values)]
    n = len(known)
    if not n:
        return None, None, None
    if n < FEWEST_FOR_INTERVAL or not n_bootstraps:
        return float(known.mean()), None, None
    rng = np.random.default_rng(seed)
    draws = []
    for start in range(0, n_bootstraps, DRAWS_AT_ONCE):
        n_draws = min(DRAWS_AT_ONCE, n_bootstraps - start)
        draws.append(rng.multinomial(n, np.full(n, 1 / n), size=n_draws) @ known / n)
    left_out = (known.sum() - known) / (n - 1)
    replicates = np.concatenate([[known.mean()], *draws, left_out if n >= BCA_MIN_GROUPS else []])[:, None]
    (low,), (high,) = intervals(replicates, n_bootstraps)
    return float(known.mean()), float(low), float(high)


# --- helpers ------------------------------------------------------------------------------------------------


def _hits(lists: np.ndarray, relevant: Any) -> np.ndarray:
    """Which places of lists (n_users, k) hold what is relevant (n_users, n_items) sparse; (n_users, k) bool."""
    rows = np.repeat(np.arange(len(lists)), lists.shape[1])
    items = np.where(lists == NOBODY, 0, lists)
    found = np.asarray(relevant[rows, items.ravel()]).reshape(lists.shape) > 0
    return found & (lists != NOBODY)
