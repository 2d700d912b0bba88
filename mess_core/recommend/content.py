"""By content alone: a user is the mean of what the user took to, and an item is as good as it is near to that.

    points of items (n_items, d) --mean over what each user has--> users (n_users, d)
      both at length one -> score = cosine -> items that nobody has yet are ranked like any other

Nothing is learned and no other user is asked, so this is what an encoder gives by itself: the first row of every study,
and all there is on the day on which an item comes out. Taste that has two sides is between two stools here.

Conventions
-----------
Row i of the points belongs to item i of the training rows (`study.items` joins them by id). A row of zeros is an item
without audio: it is not recommended, and says nothing of who has it. To a user of whom nothing is known nothing is
recommended: with equal scores it would be what has the lowest numbers, and these are often what is popular.

Source
------
Tamm & Aljanaki (2024), the KNN of their study. In the second one users were means over rows of a table that was put in
order only afterwards, so over the points of other tracks; its figures are those of chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.columns import Interactions
from mess_core.recommend.shelf import unit


@dataclass(frozen=True, eq=False)
class UserMean:
    """Cosine with the mean of what a user has.

    points : (n_items, d), zero where an item has none
    by_weight : whether what a user took to more counts more; by default each item counts once
    """

    points: np.ndarray
    by_weight: bool = False
    name: str = "usermean"

    def fit(self, train: Interactions) -> InOneSpace:
        points = points_for(self.points, train)
        users = user_sums(points, train, by_weight=self.by_weight)
        return InOneSpace(unit(users), unit(points), has_point(points))


@dataclass(frozen=True, eq=False)
class InOneSpace:
    """Users and items as points of one space.

    users : (n_users, d), zero of whom nothing is known; items : (n_items, d)
    is_known : (n_items,) bool; others are not recommended
    """

    users: np.ndarray
    items: np.ndarray
    is_known: np.ndarray

    def scores(self, users: np.ndarray) -> np.ndarray:
        asked = self.users[users]
        found: np.ndarray = asked @ self.items.T
        found[:, ~self.is_known] = -np.inf
        found[~has_point(asked)] = -np.inf
        return found


def user_sums(points: np.ndarray, train: Interactions, *, by_weight: bool = False) -> np.ndarray:
    """The sum of what each user has, (n_users, d); zero of who has nothing. As a direction it is the mean."""
    histories = (train.matrix if by_weight else train.has).astype(points.dtype)
    return np.asarray(histories @ points)


def has_point(points: np.ndarray) -> np.ndarray:
    """Which rows hold anything, (n,) bool."""
    return np.asarray(points.any(axis=1))


def points_for(points: np.ndarray, train: Interactions) -> np.ndarray:
    """Points of the items of some training rows, (n_items, d) float32.

    Raises
    ------
    InputError
        If there is not one for each, or one is no number.
    """
    found = np.asarray(points, np.float32)
    if found.ndim != 2 or len(found) != train.n_items:
        raise InputError(f"Points {found.shape} for {train.n_items:,} items, expected one row for each.")
    if not np.isfinite(found).all():
        odd = train.item_ids[int((~np.isfinite(found).all(axis=1)).argmax())]
        raise InputError(f"The point of {odd!r} holds a NaN or infinity.", "Give zeros to what has none.")
    return found
