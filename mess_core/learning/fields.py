"""Fields: what the catalogue says of two recordings beside their sound, as far as it does not give the answer away.

Usable is a name that some recordings share and others do not: composer, performer, instrument, album, and columns of
the user's own table with 2 to 50 values. What is taught is never among them. Neither is what the question itself
settles (of a work, its composer and movement; who plays, where the work is asked of others), nor a column that says
the taught name in other words: nearly all recordings with one of its values then have one name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NAMED = ("composer", "performer", "instrument", "album")  # of the catalogue
MOST_VALUES = 50  # of a column of the user's own
GIVEN_AWAY: Mapping[str, tuple[str, ...]] = {
    "works": ("work", "movement", "composer", "performer"),
    "performers": ("performer",),
}  # by what teaches
TELLS = 0.95  # share of recordings whose taught name a column says, from which on it is that name in other words


@dataclass(frozen=True, eq=False)
class Fields:
    """names : of the fields; codes : (n, n_fields) int, equal where a field is, -1 where it is not known"""

    names: tuple[str, ...]
    codes: np.ndarray

    def of(self, rows: np.ndarray) -> Fields:
        """Those of some rows."""
        return Fields(self.names, self.codes[rows])

    def shared(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Whether rows agree, each field for itself; rows of any shape -> (..., n_fields) float32."""
        first, second = self.codes[one], self.codes[other]
        found: np.ndarray = ((first == second) & (first >= 0)).astype(np.float32)
        return found


def usable_fields(
    columns: Mapping[str, Sequence[str | None]], source: str, taught: Sequence[str | None] | None = None
) -> Fields | None:
    """The fields that two recordings may be compared by; None if there is none.

    Parameters
    ----------
    columns : name -> its value in each row
    source : what teaches
    taught : the name that is taught, of each row; None where no name is
    """
    kept = {
        name: values
        for name, values in columns.items()
        if name not in GIVEN_AWAY.get(source, ()) and _divides(name, values) and not _tells(values, taught)
    }
    if not kept:
        return None
    codes = []
    for values in kept.values():
        known = {value: code for code, value in enumerate(sorted({value for value in values if value is not None}))}
        codes.append([-1 if value is None else known[value] for value in values])
    return Fields(tuple(kept), np.array(codes, int).T)


def _divides(name: str, values: Sequence[str | None]) -> bool:
    """Some have it in common, and not all."""
    counts = Counter(value for value in values if value is not None)
    return 2 <= len(counts) <= (len(values) if name in NAMED else MOST_VALUES) and max(counts.values()) > 1


def _tells(values: Sequence[str | None], taught: Sequence[str | None] | None) -> bool:
    if taught is None:
        return False
    of: dict[str, Counter[str]] = {}
    for value, name in zip(values, taught, strict=True):
        if value is not None and name is not None:
            of.setdefault(value, Counter())[name] += 1
    n = sum(counts.total() for counts in of.values())
    return bool(n) and sum(max(counts.values()) for counts in of.values()) >= TELLS * n
