"""A shard: one of N parts of any set of tracks, for machines that know nothing of each other.

A track's part goes by its content id alone. So parts are the same on every machine, whatever else is in its library;
they are disjoint, and together they are all. A cut of a longer file is in the part of that file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mess_core.errors import InputError

MOST_SHARDS = 1_000_000


@dataclass(frozen=True)
class Shard:
    """Which part, counted from 1, of how many."""

    number: int
    of: int

    def holds(self, track_id: str) -> bool:
        """Whether a track is in this part.

        Examples
        --------
        >>> [Shard(number, 3).holds("00000000000000ff@0-5000") for number in (1, 2, 3)]
        [True, False, False]
        """
        return self.of == 1 or int(track_id.partition("@")[0], 16) % self.of == self.number - 1


def parse_shard(text: str) -> Shard:
    """A shard as it is typed; the whole where nothing is.

    Raises
    ------
    InputError
        If it cannot be meant.

    Examples
    --------
    >>> parse_shard("2/8"), parse_shard("")
    (Shard(number=2, of=8), Shard(number=1, of=1))
    """
    if not text:
        return Shard(1, 1)
    found = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text)
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= of <= MOST_SHARDS:
        raise InputError(
            f"There is no shard {text[:40]!r}.", "Expected I/N, the I-th of N parts, counted from 1: --shard 1/8"
        )
    return Shard(number, of)
