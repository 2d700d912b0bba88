"""Listeners of made-up items: interactions whose answer is known, and the points of the items."""

from __future__ import annotations

import numpy as np

from mess_core.recommend.columns import HeldOut, Interactions, of_numbers
from mess_core.recommend.splits import hot_and_cold

N_OF_EACH = 20  # items of a user


def ids(letter: str, n: int) -> tuple[str, ...]:
    return tuple(f"{letter}{place:04}" for place in range(n))


def by_ear(
    seed: int = 0, n_users: int = 200, n_items: int = 320, dim: int = 12, noise: float = 1.0
) -> tuple[Interactions, np.ndarray]:
    """Each user has a direction, and takes to what points along it, but for some noise; with the points."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n_items, dim)).astype(np.float32)
    liking = rng.standard_normal((n_users, dim)) @ points.T + noise * rng.standard_normal((n_users, n_items))
    best = rng.permuted(np.argsort(-liking, axis=1)[:, :N_OF_EACH], axis=1)
    user = np.repeat(np.arange(n_users), N_OF_EACH)
    return of_numbers(ids("u", n_users), ids("i", n_items), user, best.ravel()), points


def nobody_has_yet(rows: Interactions, share: float = 0.25) -> HeldOut:
    """The last items of all come out after everything else was taken to; only they are ranked."""
    is_new = rows.item >= (1 - share) * rows.n_items
    return hot_and_cold(HeldOut(rows.only(~is_new), rows.only(is_new), "new items are tested"))[1]


def by_company(
    seed: int = 0, n_users: int = 200, n_items: int = 120, n_groups: int = 6, n_each: int = 8
) -> tuple[Interactions, np.ndarray]:
    """Users of a group take to items of a group, and how an item sounds has nothing to do with it; with the points."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(n_items) % n_groups
    item = [rng.choice(np.flatnonzero(group == user % n_groups), n_each, replace=False) for user in range(n_users)]
    user = np.repeat(np.arange(n_users), n_each)
    points = rng.standard_normal((n_items, 12)).astype(np.float32)
    return of_numbers(ids("u", n_users), ids("i", n_items), user, np.concatenate(item)), points
