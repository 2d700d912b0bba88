"""More ways to hold back: by user, by item, and at random. Those in time and in order are in `columns`.

    split ── split_users ──> validation | test     the same training rows, and no user in both
    split ── hot_and_cold ─> hot | cold            tested items that were trained on, and those that nobody has yet
    rows  ── split_rows ───> train | test          any row, where neither time nor order is known

Settings are chosen on one half of the users and told of the other: chosen and told on the same ones, they would flatter
themselves. Hot and cold are two questions. What others did says nothing of an item that nobody has; its sound does. So
each is ranked among its own kind: in one list the many hot ones would bury the few cold, whatever was recommended.

Source
------
Users are divided as in Tamm & Aljanaki (2024), Comparative analysis of pretrained audio representations in music
recommender systems. Schein et al. (2002), Methods and metrics for cold-start recommendations, for the two questions.
"""

from __future__ import annotations

import math

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.columns import HeldOut, Interactions


def split_users(split: HeldOut, share: float = 0.5, seed: int = 42) -> tuple[HeldOut, HeldOut]:
    """A share of the tested users for choosing settings, and the others; both have all training rows.

    Raises
    ------
    InputError
        If there are not two users who are tested.

    Examples
    --------
    >>> from mess_core.recommend.columns import interactions_of, leave_one_out
    >>> whole = leave_one_out(interactions_of(list("aabbccdd"), list("xyxyxyxy")))
    >>> [part.tested.tolist() for part in split_users(whole, 0.5, seed=0)]
    [[0, 1], [2, 3]]
    """
    from sklearn.model_selection import train_test_split

    if not 0 < share < 1:
        raise InputError(f"A share of {share:g} of the users is asked for, expected one between 0 and 1.")
    users = np.unique(split.test.user)
    if len(users) < 2:
        raise InputError(
            f"{len(users)} of the users are tested, expected two at least to divide them.", "Hold back more rows."
        )
    n_second = min(max(1, math.ceil((1 - share) * len(users))), len(users) - 1)
    first, _ = train_test_split(users, test_size=n_second, random_state=seed)
    is_first = np.isin(split.test.user, first)
    return tuple(  # type: ignore[return-value]
        HeldOut(split.train, split.test.only(rows), f"{split.how}, {which} of the users", split.among)
        for rows, which in ((is_first, f"{share:.0%}"), (~is_first, f"the other {1 - share:.0%}"))
    )


def hot_and_cold(split: HeldOut) -> tuple[HeldOut, HeldOut]:
    """Tested items that were trained on, ranked among all such; and those without a training row, among themselves.

    Either may be empty: then nobody is tested in it.

    Examples
    --------
    >>> from mess_core.recommend.columns import interactions_of, split_at
    >>> whole = split_at(interactions_of(list("aab"), list("xyy"), [1, 9, 9]), 5)
    >>> [part.test.item.tolist() for part in hot_and_cold(whole)]
    [[], [1, 1]]
    """
    is_hot = np.zeros(split.train.n_items, bool)
    is_hot[split.train.item] = True
    return tuple(  # type: ignore[return-value]
        HeldOut(split.train, split.test.only(items[split.test.item]), f"{split.how}, {which} items", items)
        for items, which in ((is_hot, "hot"), (~is_hot, "cold"))
    )


def split_rows(interactions: Interactions, share: float = 0.2, seed: int = 0) -> HeldOut:
    """Any share of all rows is tested: where rows are in no order, as ratings that were asked for."""
    if not 0 < share < 1:
        raise InputError(f"A share of {share:g} is to be tested, expected one between 0 and 1.")
    n = len(interactions)
    is_tested = np.zeros(n, bool)
    is_tested[np.random.default_rng(seed).permutation(n)[: int(share * n)]] = True
    how = f"{100 * share:g} % of all rows are tested"
    return HeldOut(interactions.only(~is_tested), interactions.only(is_tested), how)
