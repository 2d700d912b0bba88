"""Far rows: those of an array that is too large for memory, made when they are asked for.

They are asked for as an array's are, by a slice or by numbers, and come as an array. What goes through all of them goes
in parts (`parts_of`), so that no more than one part is there at a time.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator

import numpy as np

from mess_core.config import SEARCH_MEMORY_GB
from mess_core.errors import InputError

ROWS_AT_ONCE = 1024
MEMORY_VARIABLE = "MESS_SEARCH_GB"


class FarRows:
    """Rows float32 that are somewhere else.

    Parameters
    ----------
    shape : tuple of int
        (n_rows, …)
    make : callable (slice of step 1, or rows in ascending order) -> ndarray, shape (n, …), float32
    """

    def __init__(self, shape: tuple[int, ...], make: Callable[[slice | np.ndarray], np.ndarray]) -> None:
        self.shape, self._make = shape, make

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step != 1:
                raise IndexError(f"far rows come one after the other, not every {step}th")
            return self._make(slice(start, max(start, stop)))
        rows = np.asarray(rows, np.int64)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows from {rows.min()} to {rows.max()}, there are {len(self)}")
        if not rows.size:
            return self._make(slice(0, 0))
        if rows[0] >= 0 and (np.diff(rows) > 0).all():
            return self._make(rows)
        wanted, places = np.unique(rows % max(len(self), 1), return_inverse=True)
        return self._make(wanted)[places]

    def changed(self, shape: tuple[int, ...], how: Callable[[np.ndarray], np.ndarray]) -> FarRows:
        """What is made of each row by itself, `shape` being that of a row."""
        return FarRows((len(self), *shape), lambda rows: how(self._make(rows)))


Rows = np.ndarray | FarRows


def parts_of(rows: Rows) -> Iterator[np.ndarray]:
    """All rows in order, so many at a time."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield rows[start : start + ROWS_AT_ONCE]


def search_memory_bytes() -> float:
    """How much memory the rows of one index may take: of MESS_SEARCH_GB, else of `config`.

    Raises
    ------
    InputError
        If that is no size.
    """
    said = os.environ.get(MEMORY_VARIABLE, "")
    try:
        gigabytes = float(said) if said.strip() else SEARCH_MEMORY_GB
    except ValueError:
        gigabytes = math.nan
    if not 0 < gigabytes < math.inf:
        raise InputError(
            f"{MEMORY_VARIABLE} is {said[:50]!r}, expected gigabytes of memory, a number above 0.",
            f"Take it away for the usual {SEARCH_MEMORY_GB:g}.",
        )
    return gigabytes * 1e9
