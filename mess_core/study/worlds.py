"""A planted world: made-up users of a real library, of whom it is known what they go by.

    taste   each user likes the sound of two recordings, and takes to what lies near to either
    camp    a dozen users share a list that was drawn by chance, and each takes to half of it: no sound tells it
    new     some recordings come out late: until then nobody has them, after it users take to them by taste alone

So it is known what a study must find: on what is new only sound helps, on the rest the camp is told by other users
alone, and with the recordings exchanged sound is worth nothing. A study that finds anything else is broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.columns import HeldOut, Interactions, of_numbers, split_at
from mess_core.recommend.shelf import unit

FEWEST_ITEMS, FEWEST_USERS = 40, 10
LATER_S = 1e6  # when what is new comes out, seconds after the beginning


@dataclass(frozen=True)
class World:
    """How a world is planted.

    n_users : of so many a camp
    n_taken, n_later : how many items a user takes to by taste, before and after the new ones are out
    new : share of the items that come out late
    sharpness : how strictly users go by their taste: a cosine higher by 1 / sharpness is e times as likely
    """

    n_users: int = 200
    n_of_a_camp: int = 12
    n_taken: int = 6
    n_later: int = 6
    new: float = 0.2
    sharpness: float = 12.0
    seed: int = 0


def plant(item_ids: Sequence[str], points: np.ndarray, world: World | None = None) -> Interactions:
    """Who takes to what, and when.

    Parameters
    ----------
    item_ids : sequence of str
    points : ndarray, shape (n_items, d)
        By which they sound alike.
    world : World, optional

    Raises
    ------
    InputError
        If there are too few items or users to plant anything in.
    """
    world = world or World()
    n = len(item_ids)
    if n < FEWEST_ITEMS or world.n_users < FEWEST_USERS:
        raise InputError(
            f"{n} recordings and {world.n_users} users, expected {FEWEST_ITEMS} and {FEWEST_USERS} at least.",
            "Plant it in a larger library.",
        )
    rng = np.random.default_rng(world.seed)
    directions = unit(np.asarray(points, np.float64) - points.mean(axis=0))
    is_new = np.zeros(n, bool)
    is_new[rng.permutation(n)[: max(1, round(world.new * n))]] = True
    old = np.flatnonzero(~is_new)
    n_camps = max(1, world.n_users // world.n_of_a_camp)
    camps = [rng.choice(old, max(8, len(old) // 5), replace=False) for _ in range(n_camps)]
    columns: list[tuple[int, int, float]] = []
    for user in range(world.n_users):
        liked = directions[rng.choice(n, 2, replace=False)]
        appeal = world.sharpness * (directions @ liked.T).max(axis=1) + rng.gumbel(size=n)
        camp = rng.permutation(camps[user % n_camps])
        half = len(camp) // 2
        before = np.concatenate([_best(appeal, old, world.n_taken), camp[:half]])
        after = np.concatenate([_best(appeal, np.flatnonzero(is_new), world.n_later), camp[half:]])
        columns += [(user, int(item), float(at)) for at, item in enumerate(rng.permutation(before))]
        columns += [(user, int(item), LATER_S + at) for at, item in enumerate(rng.permutation(after))]
    user_of, item_of, at_s = (np.array(column) for column in zip(*columns, strict=True))
    names = tuple(f"planted {number + 1}" for number in range(world.n_users))
    return of_numbers(names, item_ids, user_of, item_of, at_s)


def split_planted(rows: Interactions) -> HeldOut:
    """Until the new items are out, and from then on."""
    return split_at(rows, LATER_S)


def _best(appeal: np.ndarray, items: np.ndarray, k: int) -> np.ndarray:
    return items[np.argsort(-appeal[items], kind="stable")[:k]]
