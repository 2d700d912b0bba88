"""Ratings: whether a recommender puts what a user liked above what the same user did not.

    train -> recommender -> scores of the tested items of each user -> the chance that a liked one is above another

Lists of the best are judged by what users came across, and what is popular is come across more: being shown counts as
being liked. Where listeners rated tracks that were drawn at random for them, every item had the same chance, and this
figure speaks of taste alone. It is the area under the ROC curve of each user: .5 is any order, equals count half.

Source
------
Cañamares & Castells (2018), Should I follow the crowd?; Steck (2010), Training and testing of recommender systems on
data missing not at random.
"""

from __future__ import annotations

import numpy as np

from mess_core.errors import InputError
from mess_core.evaluation.tagging import roc_auc
from mess_core.recommend.base import USERS_AT_ONCE, Fitted
from mess_core.recommend.columns import Interactions

LIKED_FROM = 3.0  # of 1 to 4


def auc_of_users(fitted: Fitted, test: Interactions, liked_from: float = LIKED_FROM) -> np.ndarray:
    """Of each user the area under the ROC curve of the tested ratings, (n_users,); NaN of who liked all or none.

    Parameters
    ----------
    fitted : Fitted
        On other rows of the same users and items.
    test : Interactions
        The weights are ratings.
    liked_from : float

    Raises
    ------
    InputError
        If nobody liked one and not another.
    """
    found = np.full(test.n_users, np.nan)
    users, first = np.unique(test.user, return_index=True)
    ends = np.append(first[1:], len(test))
    for start in range(0, len(users), USERS_AT_ONCE):
        block = slice(start, start + USERS_AT_ONCE)
        scores = fitted.scores(users[block])
        for user, own, begin, end in zip(users[block], scores, first[block], ends[block], strict=True):
            found[user] = roc_auc(own[test.item[begin:end]], test.weight[begin:end] >= liked_from)
    if np.isnan(found).all():
        raise InputError(f"Nobody rated one item {liked_from:g} or more and another less.", "Test more rows.")
    return found
