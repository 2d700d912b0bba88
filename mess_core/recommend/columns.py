"""Interactions as columns: which user took to which item, in which order, and how much. Recommenders learn from them.

    sequences "user item item …"  ─┐
    a table with named columns    ─┼-> columns, by user and within a user in order -> split -> train, test
    events of several listeners   ─┘

A user is a listener, an item a track. What comes back within a user is kept: to `matrix` it is one pair with more
weight.

Conventions
-----------
Rows are sorted by user, then time; equal times stay in the order in which they were given. Users and items are told by
their place in `user_ids` and `item_ids`; both halves of a split have the same. Arrays are read-only.

Splits
------
Leaving one out tests the last item of each user, whenever that was: others' later rows are then trained on, so what is
popular leaks back in time. A share of each user's rows, likewise. A cut at one time leaks nothing; it is what using
a recommender is like, and needs times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mess_core.catalogue.listening import Events
from mess_core.collections.table import read_table
from mess_core.errors import InputError
from mess_core.recommend.signals import DISLIKE, ratings
from mess_core.storage.untrusted import MOST_TABLE_BYTES, printable, read_text

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_INTERACTIONS = 50_000_000  # 1.6 GB of columns
SEQUENCES = "Expected one line for each user: the user, then the items in order, with spaces between."


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who took to what.

    user_ids, item_ids : in the order of their numbers
    user, item : (n,) int64, places in them
    at_s : (n,) float64, seconds since 1970; NaN where only the order is known
    weight : (n,) float64 > 0, how much one says
    """

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    user: np.ndarray
    item: np.ndarray
    at_s: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    @property
    def is_timed(self) -> bool:
        """Whether it is known when everything was."""
        return bool(np.isfinite(self.at_s).all())

    @cached_property
    def matrix(self) -> csr_matrix:
        """Summed weights of each pair, (n_users, n_items) float64, sparse."""
        return self._matrix(self.weight)

    @cached_property
    def has(self) -> csr_matrix:
        """1 where a user took to an item, however often, (n_users, n_items) float64, sparse."""
        found = self._matrix(np.ones(len(self)))
        found.data[:] = 1.0
        return found

    def _matrix(self, values: np.ndarray) -> csr_matrix:
        from scipy.sparse import csr_matrix

        return csr_matrix((values, (self.user, self.item)), shape=(self.n_users, self.n_items))

    @cached_property
    def last(self) -> np.ndarray:
        """The last item of each user, (n_users,) int64; -1 where there is none."""
        found = np.full(self.n_users, -1)
        found[self.user] = self.item  # in order: the last assignment stays
        return found

    def only(self, rows: np.ndarray) -> Interactions:
        """Some rows, (n,) bool; the same users and items."""
        columns = (self.user[rows], self.item[rows], self.at_s[rows], self.weight[rows])
        return _read_only(self.user_ids, self.item_ids, *columns)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What is trained on, and what is tested.

    how : in words
    among : (n_items,) bool, the items that are ranked; None: all
    """

    train: Interactions
    test: Interactions
    how: str
    among: np.ndarray | None = None

    @cached_property
    def relevant(self) -> csr_matrix:
        """1 where a user took to an item in the test and not before, (n_users, n_items), sparse."""
        found = (self.test.has - self.test.has.multiply(self.train.has)).tocsr()
        if self.among is not None:
            found = found.multiply(self.among[None, :].astype(np.float64)).tocsr()
        found.eliminate_zeros()
        return found

    @property
    def is_ranked(self) -> np.ndarray:
        """(n_items,) bool."""
        return np.ones(self.train.n_items, bool) if self.among is None else self.among

    @cached_property
    def tested(self) -> np.ndarray:
        """Users who took to something new, (m,) int64; of those without a past nothing can be known."""
        has_past = np.diff(self.train.has.indptr) > 0
        return np.flatnonzero((np.diff(self.relevant.indptr) > 0) & has_past)


# --- from what there is -------------------------------------------------------------------------------------


def interactions_of(
    users: Sequence[str],
    items: Sequence[str],
    at_s: Sequence[float] | np.ndarray | None = None,
    weights: Sequence[float] | np.ndarray | None = None,
) -> Interactions:
    """Interactions from rows; users and items are numbered as they first occur.

    Parameters
    ----------
    users, items : of each row
    at_s : of each row, optional
        Seconds since 1970; by default, rows of a user are in order.
    weights : of each row, optional
        Above 0; by default 1.

    Raises
    ------
    InputError
        If the columns differ in length, or a number cannot be one.

    Examples
    --------
    >>> rows = interactions_of(["ann", "bo", "ann"], ["x", "x", "y"])
    >>> rows.item.tolist(), rows.last.tolist(), rows.has.toarray().tolist()
    ([0, 1, 0], [1, 0], [[1.0, 1.0], [1.0, 0.0]])
    """
    user_ids, user = _numbered(users)
    item_ids, item = _numbered(items)
    return of_numbers(user_ids, item_ids, user, item, at_s, weights)


def of_numbers(
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    user: np.ndarray,
    item: np.ndarray,
    at_s: Sequence[float] | np.ndarray | None = None,
    weights: Sequence[float] | np.ndarray | None = None,
) -> Interactions:
    """Interactions from rows whose users and items are numbers already: places in `user_ids` and `item_ids`, (n,) int.

    The rest as `interactions_of`; what reads millions of rows has no text of each.
    """
    n = len(user)
    times = np.full(n, np.nan) if at_s is None else np.asarray(at_s, np.float64)
    weight = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    if not n == len(item) == len(times) == len(weight):
        raise InputError(f"{n} users, {len(item)} items, {len(times)} times and {len(weight)} weights in one table.")
    if n > MOST_INTERACTIONS:
        raise InputError(f"{n:,} interactions, expected at most {MOST_INTERACTIONS:,}.", "Take fewer users.")
    if not (np.isfinite(weight) & (weight > 0)).all():
        row = int(np.argmin(np.isfinite(weight) & (weight > 0)))
        raise InputError(f"The weight of row {row + 1} is {weight[row]:g}, expected a number above 0.")
    if at_s is not None and not np.isfinite(times).all():
        row = int(np.argmin(np.isfinite(times)))
        raise InputError(f"The time of row {row + 1} is {times[row]:g}, expected seconds.", "Leave out the times.")
    return _sorted(tuple(user_ids), tuple(item_ids), user.astype(np.int64), item.astype(np.int64), times, weight)


def from_events(
    events: Mapping[str, Events], weigh: Callable[[Events], np.ndarray] = ratings, until_s: float = np.inf
) -> Interactions:
    """Interactions from what several listeners did: what speaks for a track, unless it is disliked now.

    Parameters
    ----------
    events : of each listener
    weigh : callable (events) -> (n,) float64
        What each event says; rows at or below 0 are left out.
    until_s : float
        What was later is left out, also a dislike.
    """
    listeners = sorted(events)
    item_ids = tuple(sorted({track_id for each in events.values() for track_id in each.track_ids}))
    place = {track_id: number for number, track_id in enumerate(item_ids)}
    columns: list[tuple[np.ndarray, ...]] = []
    for number, listener in enumerate(listeners):
        own = events[listener].until(until_s)
        worth = weigh(own)
        disliked = np.unique(own.track[own.action == DISLIKE])
        counts = (worth > 0) & ~np.isin(own.track, disliked)
        items = np.array([place[track_id] for track_id in own.track_ids], np.int64)
        columns.append((np.full(counts.sum(), number), items[own.track[counts]], own.at_s[counts], worth[counts]))
    user, item, at_s, weight = (
        (np.concatenate(parts) for parts in zip(*columns, strict=True)) if columns else (np.empty(0),) * 4
    )
    return _sorted(tuple(listeners), item_ids, user.astype(np.int64), item.astype(np.int64), at_s, weight)


def read_sequences(path: Path) -> Interactions:
    """A file with a line for each user: the user, then the items in order, with spaces between.

    Raises
    ------
    InputError
        If it is none; the line is named.
    """
    name = printable(path.name)
    text = read_text(path, MOST_TABLE_BYTES, cure=SEQUENCES, error=InputError)
    users: list[str] = []
    items: list[str] = []
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        user, *own = line.split()
        if not own:
            raise InputError(f"Line {number} of {name} has a user and no item.", SEQUENCES)
        if user in seen:
            raise InputError(f"Line {number} of {name} begins with {printable(user)!r}, as one before.", SEQUENCES)
        seen.add(user)
        users += [user] * len(own)
        items += own
    if not users:
        raise InputError(f"{name} holds no interactions.", SEQUENCES)
    return interactions_of(users, items)


def read_interactions(path: Path, user: str, item: str, weight: str = "", at: str = "") -> Interactions:
    """A table with a row for each interaction, CSV or with tabs.

    Parameters
    ----------
    path : Path
    user, item : names of columns
    weight, at : names of columns, optional
        At: seconds since 1970, or any number that grows.

    Raises
    ------
    InputError
        If a column is not there, or a cell is no number; the row is named.
    """
    rows, name = read_table(path), printable(path.name)
    if not rows:
        raise InputError(f"{name} holds no interactions.", "Expected a header, and a row for each.")
    known = next(iter(rows.values()))
    for column in filter(None, (user, item, weight, at)):
        if column not in known:
            raise InputError(f"{name} has no column {column!r}.", f"There is: {', '.join(map(printable, known))}.")

    def numbers(column: str) -> list[float] | None:
        return [_number(row[column], f"Row {number} of {name}", column) for number, row in rows.items()]

    return interactions_of(
        [row[user] for row in rows.values()],
        [row[item] for row in rows.values()],
        numbers(at) if at else None,
        numbers(weight) if weight else None,
    )


def _number(cell: str, where: str, column: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where} has {printable(cell)!r} as {column!r}, expected a number.")
    return value


# --- splits -------------------------------------------------------------------------------------------------


def leave_one_out(interactions: Interactions) -> HeldOut:
    """The last row of each user is tested; users of one row only train.

    To choose settings, split the training half once more.

    Examples
    --------
    >>> split = leave_one_out(interactions_of(["a", "a", "a", "b"], ["x", "y", "z", "x"]))
    >>> split.train.item.tolist(), split.test.item.tolist(), split.tested.tolist()
    ([0, 1, 0], [2], [0])
    """
    return _split(interactions, _from_the_end(interactions) == 0, "the last item of each user is tested")


def split_each_user(interactions: Interactions, share: float = 0.1) -> HeldOut:
    """The last share of the rows of each user is tested, one at least; users of one row only train."""
    if not 0 < share < 1:
        raise InputError(f"A share of {share:g} is to be tested, expected one between 0 and 1.")
    n_rows = np.bincount(interactions.user, minlength=interactions.n_users)
    n_tested = np.maximum(1, np.floor(share * n_rows + 1e-9)).astype(int)
    is_tested = _from_the_end(interactions) < n_tested[interactions.user]
    return _split(interactions, is_tested, f"the last {100 * share:g} % of each user are tested")


def split_at(interactions: Interactions, at_s: float) -> HeldOut:
    """All rows from one time on are tested.

    Raises
    ------
    InputError
        If only an order is known.
    """
    if not interactions.is_timed:
        raise InputError(
            "Only the order of each user's interactions is known, not their times.", "Leave one out instead."
        )
    train = interactions.only(interactions.at_s < at_s)
    return HeldOut(train, interactions.only(interactions.at_s >= at_s), "all from one time on is tested")


def _from_the_end(interactions: Interactions) -> np.ndarray:
    """How many rows of the same user follow each, (n,)."""
    ends = np.cumsum(np.bincount(interactions.user, minlength=interactions.n_users))
    found: np.ndarray = ends[interactions.user] - 1 - np.arange(len(interactions))
    return found


def _split(interactions: Interactions, is_tested: np.ndarray, how: str) -> HeldOut:
    n_rows = np.bincount(interactions.user, minlength=interactions.n_users)
    is_tested = is_tested & (n_rows[interactions.user] > 1)
    return HeldOut(interactions.only(~is_tested), interactions.only(is_tested), how)


# --- helpers ------------------------------------------------------------------------------------------------


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    places: dict[str, int] = {}
    numbers = np.fromiter((places.setdefault(name, len(places)) for name in names), np.int64, len(names))
    return tuple(places), numbers


def _sorted(
    user_ids: tuple[str, ...],
    item_ids: tuple[str, ...],
    user: np.ndarray,
    item: np.ndarray,
    at_s: np.ndarray,
    weight: np.ndarray,
) -> Interactions:
    order = np.lexsort((at_s, user))  # stable; NaN are equal to each other here
    return _read_only(user_ids, item_ids, user[order], item[order], at_s[order], weight[order])


def _read_only(user_ids: tuple[str, ...], item_ids: tuple[str, ...], *columns: np.ndarray) -> Interactions:
    for column in columns:
        column.setflags(write=False)
    return Interactions(user_ids, item_ids, *columns)
