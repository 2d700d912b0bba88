"""A recommender: from interactions to a score of every item for every user. All are asked in one way.

    Recommender.fit(train) -> Fitted.scores(users) (m, n_items) -> the k best, without what a user already has

A recommender is its settings, and fitting leaves it as it was; what was learned is a thing of its own. With the same
settings, the seed among them, and the same rows it is the same.

Conventions
-----------
Larger is better. Of equal scores the item of the lower number comes first, on every machine: how ties fall moves what
is measured. An item of which a recommender knows nothing has -inf and is not recommended.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.columns import Interactions

USERS_AT_ONCE = 256
NOBODY = -1  # in place of an item, where there are fewer than were asked for


class Fitted(Protocol):
    """What a recommender learned."""

    def scores(self, users: np.ndarray) -> np.ndarray:
        """Of all items for some users of the training rows, (m,) int64 -> (m, n_items) float."""


class Recommender(Protocol):
    """A way to recommend, with its settings."""

    @property
    def name(self) -> str:
        """As tables call it."""

    def fit(self, train: Interactions) -> Fitted:
        """Learn from interactions."""


def recommend_items(
    fitted: Fitted, train: Interactions, users: np.ndarray, k: int, among: np.ndarray | None = None
) -> np.ndarray:
    """The k best items of each user that the user does not have yet.

    Parameters
    ----------
    among : ndarray, shape (n_items,), bool, optional
        The items that are ranked; by default all.

    Returns
    -------
    ndarray, shape (m, k) int64
        The best first; `NOBODY` where there are fewer.

    Raises
    ------
    InputError
        If k is below 1, or a score is no number.
    """
    if k < 1:
        raise InputError(f"{k} items were asked for, expected 1 or more.")
    found = np.full((len(users), k), NOBODY)
    for start in range(0, len(users), USERS_AT_ONCE):
        block = users[start : start + USERS_AT_ONCE]
        scores = fitted.scores(block)
        scores = np.array(scores, np.result_type(scores, np.float32))  # a copy: what is left out is written into it
        if scores.shape != (len(block), train.n_items) or np.isnan(scores).any():
            raise InputError(f"Scores {scores.shape} hold no number for each of {train.n_items} items.")
        row, item = train.has[block].nonzero()
        scores[row, item] = -np.inf
        if among is not None:
            scores[:, ~among] = -np.inf
        for row, best in enumerate(_best(scores, k)):
            found[start + row, : len(best)] = best
    return found


def _best(scores: np.ndarray, k: int) -> list[np.ndarray]:
    """Places of the k largest of each row, the lower place first where they are equal; without those at -inf."""
    n = scores.shape[1]
    least = np.partition(scores, n - k, axis=1)[:, n - k] if k < n else np.full(len(scores), -np.inf)
    found = []
    for row, enough in zip(scores, least, strict=True):
        places = np.flatnonzero((row >= enough) & (row > -np.inf))
        found.append(places[np.argsort(-row[places], kind="stable")[:k]])
    return found
