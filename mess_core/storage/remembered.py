"""Remembered: what was read from the database or made of it, given again while that is as it was, up to some bytes.

    remembered(key, read)           read again whenever anybody has written to the database, here or in another process
    remembered(key, read, tables)   read again whenever one of these tables was written to (of those in `COUNTED`)
    remembered.made_of(key, of, …)  made again whenever what it is made of is another

Pages ask the same of a hundred thousand rows several times a run. While a job runs or music plays the database is
written to every second, and most of what pages ask is not touched by it: what is read of all rows names the tables that
it reads, which triggers count the changes of; what takes long to make goes by `made_of`, and only what that depends on
is read again. So nothing is ever stale, and nothing has to be told that something changed.

What comes out is shared and must not be changed. Of what is made, that which was asked for longest ago is forgotten
first as soon as all of it together is larger than `MOST_BYTES`; the latest is kept however large it is.
"""

from __future__ import annotations

import itertools
import sqlite3
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

MOST_BYTES = 1_000_000_000  # a library of 10⁵ tracks and ten listeners takes 0.7 GB
SAMPLED = 100  # of a longer sequence so many are looked at, and the others taken to be as large


class Remembered:
    """What one process remembers of a database.

    connection, connect : the calling thread's connection, and a way to another one
    """

    def __init__(self, connection: Callable[[], sqlite3.Connection], connect: Callable[[], sqlite3.Connection]) -> None:
        self._connection, self._connect = connection, connect
        self._lock = threading.Lock()
        self._watching: sqlite3.Connection | None = None
        self._counted: tuple[int, dict[str, int]] = (-1, {})  # as of which version, the changes of each table
        self._known: dict[Hashable, tuple[Any, Any]] = {}
        self._made: dict[Hashable, tuple[Any, Any, int]] = {}  # what was asked for last is last

    def __call__(self, key: Hashable, read: Callable[[], Any], tables: Sequence[str] = ()) -> Any:
        """What `read` gives, or gave since the last change; `key` names it.

        Parameters
        ----------
        tables : sequence of str
            All that it reads, where every one of them is counted (`database.COUNTED`); empty: any change counts.
        """
        if self._connection().in_transaction:  # which may still be taken back
            return read()
        version = self._version(tables)  # before reading: a change meanwhile is seen the next time
        known = self._known.get(key)
        if known is None or known[0] != version:
            known = self._known[key] = (version, read())
        return known[1]

    def made_of(self, key: Hashable, of: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, or gave when `of` was equal: all that it depends on; `key` names it."""
        if self._connection().in_transaction:
            return make()
        with self._lock:
            made = self._made.pop(key, None)
            if made is not None and made[0] == of:
                self._made[key] = made
                return made[1]
        value = make()
        with self._lock:
            self._made.pop(key, None)
            self._made[key] = (of, value, bytes_of(value, apart_from=_parts(of)))
            self._forget_oldest()
        return value

    def version_of(self, *tables: str) -> tuple[int, ...]:
        """Another one after every commit that changes these tables, each of which is counted (`database.COUNTED`)."""
        version = self._version(tables)
        return version if isinstance(version, tuple) else (version,)

    @property
    def n_bytes(self) -> int:
        """How much is remembered of what was made, about."""
        return sum(n_bytes for _, _, n_bytes in self._made.values())

    def _forget_oldest(self) -> None:
        total = self.n_bytes
        for key in list(self._made)[:-1]:
            if total <= MOST_BYTES:
                break
            total -= self._made.pop(key)[2]

    def _version(self, tables: Sequence[str]) -> int | tuple[int, ...]:
        """Another one after every commit of any other connection (this one never writes) that concerns these tables."""
        with self._lock:
            if self._watching is None:
                self._watching = self._connect()
            version = int(self._watching.execute("PRAGMA data_version").fetchone()[0])
            if not tables:
                return version
            if self._counted[0] != version:
                self._counted = (version, dict(map(tuple, self._watching.execute("SELECT name, n FROM changes"))))
            return tuple(self._counted[1][table] for table in tables)

    def forget(self) -> None:
        """As if nothing had been asked yet."""
        with self._lock:
            if self._watching is not None:
                self._watching.close()
            self._watching = None
            self._counted = (-1, {})
            self._known = {}
            self._made = {}


def bytes_of(value: Any, apart_from: Iterable[Any] = ()) -> int:
    """How much memory a value holds, about: arrays exactly, of long sequences by a sample.

    Parameters
    ----------
    value : Any
    apart_from : iterable
        What it only refers to, and others hold.

    Examples
    --------
    >>> import numpy as np
    >>> array = np.zeros((1000, 100))
    >>> 800_000 <= bytes_of((array, array)) < 801_000, bytes_of((array,), apart_from=[array]) < 1000
    (True, True)
    """
    seen = {id(each) for each in apart_from}
    waiting, total = [(value, 1.0)], 0.0  # with how many of its like each stands for
    while waiting:
        one, times = waiting.pop()
        if id(one) in seen:
            continue
        if not isinstance(one, str | int | float):  # of which many may be one and the same
            seen.add(id(one))
        whole = one.base if isinstance(one, np.ndarray) and one.base is not None else None
        total += times * sys.getsizeof(one)  # of an array with its numbers, unless it is a view
        held, n_held = ([whole], 1) if whole is not None else _held_by(one)
        waiting += [(each, times * n_held / len(held)) for each in held]
    return int(total)


def _held_by(value: Any) -> tuple[list[Any], int]:
    """What a value holds, a sample of it, and how much that is."""
    if isinstance(value, Mapping):
        half = SAMPLED // 2
        held = [*itertools.islice(value.keys(), half), *itertools.islice(value.values(), half)]
        return held, 2 * len(value)
    if isinstance(value, tuple | list | set | frozenset):
        return list(itertools.islice(value, SAMPLED)), len(value)
    held = [] if isinstance(value, type) else list(getattr(value, "__dict__", {}).values())
    return held, len(held)


def _parts(of: Any) -> Iterable[Any]:
    """What something is made of, and what that is made of."""
    yield of
    yield from of if isinstance(of, tuple) else getattr(of, "__dict__", {}).values()
