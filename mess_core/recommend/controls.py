"""Controls: recommenders that know next to nothing. What does not beat them has learned nothing.

    random      any item
    popular     what most users have, for everybody the same
    next        what others took next after the last item of a user, counted (a Markov chain of the first order)
    alike       what lies nearest to the last item of a user, by points of the items: content, and no other user

Each has embarrassed published models: on MovieLens-1M counting what follows equals a transformer as its authors
published it, and on LastFM what is popular comes close to recurrent networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.base import Fitted
from mess_core.recommend.columns import Interactions
from mess_core.recommend.shelf import unit

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class AnyItem:
    """Random. seed : the same order for a user, whoever else is asked for"""

    seed: int = 0
    name: str = "random"

    def fit(self, train: Interactions) -> Fitted:
        return _Drawn(train.n_items, self.seed)


@dataclass(frozen=True)
class Popular:
    """By how many users have each item."""

    name: str = "popular"

    def fit(self, train: Interactions) -> Fitted:
        return _SameForAll(np.asarray(train.has.sum(axis=0), np.float64).ravel())


@dataclass(frozen=True)
class NextItem:
    """By how often others took an item just after the last one of a user; equal ones by how popular they are."""

    name: str = "next"

    def fit(self, train: Interactions) -> Fitted:
        from scipy.sparse import csr_matrix

        follows = train.user[1:] == train.user[:-1]
        pair = (train.item[:-1][follows], train.item[1:][follows])
        times = csr_matrix((np.ones(int(follows.sum())), pair), shape=(train.n_items, train.n_items))
        popularity = np.asarray(train.has.sum(axis=0), np.float64).ravel()
        return _After(train.last, times, popularity / (1.0 + train.n_users))


@dataclass(frozen=True, eq=False)
class AlikeToLast:
    """By the cosine with the last item of a user that has a point. points : (n_items, d), zero where it has none"""

    points: np.ndarray
    name: str = "alike"

    def fit(self, train: Interactions) -> Fitted:
        if len(self.points) != train.n_items:
            raise InputError(f"{len(self.points)} points for {train.n_items} items, expected one for each.")
        points = unit(np.asarray(self.points, np.float64))
        has_point = np.asarray(points.any(axis=1))
        return _Beside(train.only(has_point[train.item]).last, points)


@dataclass(frozen=True)
class _Drawn:
    n_items: int
    seed: int

    def scores(self, users: np.ndarray) -> np.ndarray:
        drawn = [np.random.default_rng([self.seed, int(user)]).random(self.n_items) for user in users]
        return np.array(drawn).reshape(len(users), self.n_items)


@dataclass(frozen=True, eq=False)
class _SameForAll:
    of_items: np.ndarray

    def scores(self, users: np.ndarray) -> np.ndarray:
        return np.tile(self.of_items, (len(users), 1))


@dataclass(frozen=True, eq=False)
class _After:
    last: np.ndarray
    times: csr_matrix
    popularity: np.ndarray  # below 1: it decides among equals alone

    def scores(self, users: np.ndarray) -> np.ndarray:
        found = np.tile(self.popularity, (len(users), 1))
        has_last = self.last[users] >= 0
        found[has_last] += self.times[self.last[users][has_last]].toarray()
        return found


@dataclass(frozen=True, eq=False)
class _Beside:
    last: np.ndarray
    points: np.ndarray

    def scores(self, users: np.ndarray) -> np.ndarray:
        last = self.last[users]
        found: np.ndarray = self.points[last] @ self.points.T
        found[last < 0] = -np.inf  # of whom nothing is known; nor is it of an item without a point
        found[:, ~self.points.any(axis=1)] = -np.inf
        return found
