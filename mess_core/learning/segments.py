"""Segments of moments: what a student may look at in time, where the others have the mean.

Of a long moment at most 64 are kept, evenly chosen, and fewer where all together would not fit in memory. What a
segment has beyond the mean of its moment is its *departure*, with each layer in the length that the moment itself has
there: so the numbers of a moment plus the mean of its departures are its numbers, and a weighted mean is as cheap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mess_core.encoders.widths import without_padding
from mess_core.errors import InputError
from mess_core.search.learned import LEAST

MOST_SEGMENTS = 64  # of a moment
MOST_BYTES = 512 * 2**20  # of all


@dataclass(frozen=True, eq=False)
class SegmentSet:
    """The segments of some moments, one moment after the other.

    vectors : (n_segments, n_layers, dim) float16
    counts : (n_moments,) int, how many each moment has, at least one
    """

    vectors: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        if int(self.counts.sum()) != len(self.vectors) or not (self.counts > 0).all():
            raise InputError(f"Moments with {int(self.counts.sum())} segments in all, and {len(self.vectors)} vectors.")

    @property
    def has_several(self) -> bool:
        """Whether there is anything to choose from: some moment has two."""
        return bool((self.counts > 1).any())

    def each(self) -> Iterator[np.ndarray]:
        """Of one moment after the other, (n, n_layers, dim)."""
        yield from np.split(self.vectors, np.cumsum(self.counts)[:-1])

    def of(self, rows: np.ndarray) -> SegmentSet:
        """Those of some moments, in the order given."""
        ends = np.cumsum(self.counts)
        chosen = [np.arange(ends[row] - self.counts[row], ends[row]) for row in rows]
        kept = np.concatenate(chosen) if chosen else np.empty(0, int)
        return SegmentSet(self.vectors[kept], self.counts[rows])


def evenly(n: int, most: int) -> np.ndarray:
    """At most so many of n places, evenly spread, each the middle of its part.

    Examples
    --------
    >>> evenly(9, 3).tolist(), evenly(2, 3).tolist()
    ([1, 4, 7], [0, 1])
    """
    return np.arange(n) if n <= most else np.floor((np.arange(most) + 0.5) * n / most).astype(int)


def most_of_each(n_moments: int, n_numbers: int) -> int:
    """How many segments of a moment are kept, so that all fit; float16."""
    return int(np.clip(MOST_BYTES // max(1, 2 * n_moments * n_numbers), 1, MOST_SEGMENTS))


def departures(segments: np.ndarray, vector: np.ndarray, centre: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """What the segments of a moment have beyond their mean, (n, n_numbers) float32.

    Parameters
    ----------
    segments : ndarray, shape (n, n_layers, dim)
    vector : ndarray, shape (n_layers, dim)
        The embedding of the moment, which says how long each layer is. One without direction has no departures.
    """
    lengths = np.linalg.norm(vector - centre, axis=1)
    least = np.maximum(LEAST * np.linalg.norm(centre, axis=1), np.finfo(np.float32).tiny)
    over = np.where(lengths > least, 1 / np.maximum(lengths, least), 0.0) / np.sqrt(len(widths))
    apart = segments.astype(np.float32)
    apart = (apart - apart.mean(axis=0)) * over[:, None].astype(np.float32)
    found: np.ndarray = without_padding(apart, widths).astype(np.float32)
    return found
