"""Exposure: what lists show, whoever likes it. Popularity, surprise, variety, and how evenly items get their turn.

    novelty     mean of -log2(share of users who have the item) [bits], of an item nobody has as of one that one has
    lift        how much more users have the recommended items than have those of the user's own, as a share
    diversity   mean of 1 - cosine over pairs of the list, by points of the items: content
    Gini        how unevenly lists are made of items: 0 if each is as often in one, towards 1 if a few always are
    recall of the head, middle, tail    of the items that make up the first, second and third part of all rows

Conventions
-----------
Lists are (n_users, k) items, the best first, or `NOBODY` where there are fewer. Of a list without a number it is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.base import NOBODY
from mess_core.recommend.columns import Interactions
from mess_core.recommend.shelf import unit

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BY_POPULARITY = ("recall of the head", "recall of the middle", "recall of the tail")


def novelty(lists: np.ndarray, train: Interactions) -> np.ndarray:
    """Mean surprise of a list, (n_users,) bits; NaN of an empty one. lists : (n_users, k) items, or `NOBODY`"""
    n_having = np.asarray(train.has.sum(axis=0), np.float64).ravel()
    bits = -np.log2(np.maximum(n_having, 1.0) / max(train.n_users, 1))
    return _mean_where(bits[lists], lists != NOBODY)


def diversity(lists: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Mean of 1 - cosine over the pairs of each list, (n_users,); NaN where there is no pair. points : (n_items, d)"""
    if len(points) <= lists.max(initial=-1):
        raise InputError(f"{len(points)} points for lists that name item {int(lists.max())}.")
    directions = unit(np.asarray(points, np.float64))
    found = np.full(len(lists), np.nan)
    for row, items in enumerate(lists):
        own = directions[items[items != NOBODY]]
        n = len(own)
        if n > 1:
            total = own.sum(axis=0)
            found[row] = 1.0 - (total @ total - (own**2).sum()) / (n * (n - 1))
    return found


def popularity_lift(lists: np.ndarray, users: np.ndarray, train: Interactions) -> np.ndarray:
    """How much more popular a list is than what its user has, (n_users,), as a share of that; NaN of an empty one.

    Parameters
    ----------
    lists : ndarray, shape (n_users, k)
        Items, or `NOBODY`.
    users : ndarray, shape (n_users,)
    """
    n_having = np.asarray(train.has.sum(axis=0), np.float64).ravel()
    own = (train.has[users] @ n_having) / np.maximum(np.diff(train.has.indptr)[users], 1)
    shown = _mean_where(n_having[lists], lists != NOBODY)
    return np.divide(shown - own, own, out=np.full(len(users), np.nan), where=own > 0)


def gini(shown: np.ndarray) -> float | None:
    """How unevenly items are shown, 0 to 1; None where nothing is. shown : (n_items,), how often each is in a list

    Examples
    --------
    >>> gini(np.array([2, 2, 2])), gini(np.array([0, 4]))
    (0.0, 0.5)
    """
    n, total = len(shown), float(shown.sum())
    if not total:
        return None
    ranks = np.arange(1, n + 1)
    return max(0.0, float((2 * ranks - n - 1) @ np.sort(shown)) / (n * total))


def recall_by_popularity(
    lists: np.ndarray, hits: np.ndarray, relevant: csr_matrix, train: Interactions
) -> dict[str, np.ndarray]:
    """Recall of relevant items by how popular they were in training; NaN for users without one of that part.

    The parts are a third of all training rows each, most popular items first: a few, some, and very many. Items that
    nobody had are of the last.
    """
    n_having = np.asarray(train.has.sum(axis=0), np.float64).ravel()
    order = np.argsort(-n_having, kind="stable")
    before = np.cumsum(n_having[order]) - n_having[order]
    part = np.empty(len(order), np.int64)
    part[order] = np.minimum(3 * before / max(n_having.sum(), 1.0), 2).astype(np.int64)
    part[n_having == 0] = 2
    found = {}
    for number, name in enumerate(BY_POPULARITY):
        n_relevant = relevant @ (part == number).astype(np.float64)
        n_hits = (hits & (part[lists] == number)).sum(axis=1)
        found[name] = np.divide(n_hits, n_relevant, out=np.full(len(lists), np.nan), where=n_relevant > 0)
    return found


def _mean_where(values: np.ndarray, is_there: np.ndarray) -> np.ndarray:
    n = is_there.sum(axis=1)
    sums = np.where(is_there, values, 0.0).sum(axis=1)
    return np.divide(sums, n, out=np.full(len(n), np.nan), where=n > 0)
