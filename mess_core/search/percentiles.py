"""Percentiles: how near is near? A similarity is placed among those of random pairs of the library itself.

100 = closer than all pairs. The similarities of up to 100 000 pairs are kept per part; those of the total are their
weighted sum, so any weights have their percentile at once. A few values are counted, which is faster than sorting.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from mess_core.search.geometry import Geometry, library_pairs
from mess_core.search.rows import RowIndex

PAIRS_PER_BLOCK = 512  # bounded memory: two copies of so many rows
FEW = 50  # values that are counted one by one


class Percentiles:
    """The pairs of one library in one geometry."""

    def __init__(self, geometry: Geometry, rows: RowIndex) -> None:
        self._geometry = geometry
        self._rows = rows

    @cached_property
    def pairs(self) -> np.ndarray:
        """Similarities of pairs in each part, (n_parts, n_pairs) float32."""
        first, second = library_pairs(self._rows.n_rows)
        pairs = np.empty((len(self._geometry.parts), len(first)), np.float32)
        for start in range(0, len(first), PAIRS_PER_BLOCK):
            part = slice(start, start + PAIRS_PER_BLOCK)
            one, other = self._rows.rows(first[part]), self._rows.rows(second[part])
            pairs[:, part] = self._geometry.similarities(one, other).T
        return pairs

    def of(self, similarities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Percentiles (n,) of totals, or of one part if only that one has weight; NaN without a pair."""
        pairs = self.pairs
        if not pairs.shape[1]:
            return np.full(len(similarities), np.nan)
        (weighted,) = np.nonzero(weights)
        totals = weights[weighted].astype(np.float32) @ pairs[weighted]
        # Pairs are kept in single precision: what differs by less is equal.
        slack = 1e-6 * (1.0 + np.abs(similarities))
        low, high = similarities - slack, similarities + slack
        if len(similarities) <= FEW:
            below = np.array([np.count_nonzero(totals < edge) for edge in low.astype(np.float32)])
            up_to = np.array([np.count_nonzero(totals <= edge) for edge in high.astype(np.float32)])
        else:
            totals.sort()
            below, up_to = np.searchsorted(totals, low, "left"), np.searchsorted(totals, high, "right")
        percentiles: np.ndarray = 50.0 * (below + up_to) / len(totals)
        return percentiles
