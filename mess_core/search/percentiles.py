"""Percentiles: how near is near? A similarity is placed among those of random pairs of the library itself.

100 = closer than all pairs. The similarities of up to 100 000 pairs are kept per part; those of the total are made of
them, so any weights have their percentile at once. A few values are counted: sorting the pairs for weights
that change with every touch of a slider would take longer. Those of a part are sorted once, and those of the total by
the plain weights, which every question has that asks for nothing in particular.
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
        self._sorted: dict[int, np.ndarray] = {}

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
        """Percentiles (n,) of totals; NaN without a pair."""
        pairs = self.pairs
        if not pairs.shape[1]:
            return np.full(len(similarities), np.nan)
        (weighted,) = np.nonzero(weights)
        if len(weighted) == 1 and weights[weighted[0]] == 1:
            return self.of_part(similarities, int(weighted[0]))
        if np.array_equal(weights, self._geometry.plain):
            return _placed(similarities, self._sorted_plain)
        totals = self._totals(weights)
        if len(similarities) > FEW:
            return _placed(similarities, np.sort(totals))
        low, high = _edges(similarities)
        below = np.array([np.count_nonzero(totals < edge) for edge in low])
        up_to = np.array([np.count_nonzero(totals <= edge) for edge in high])
        percentiles: np.ndarray = 50.0 * (below + up_to) / len(totals)
        return percentiles

    @cached_property
    def _sorted_plain(self) -> np.ndarray:
        return np.sort(self._totals(self._geometry.plain))

    def _totals(self, weights: np.ndarray) -> np.ndarray:
        """Of the pairs, (n_pairs,)."""
        (weighted,) = np.nonzero(weights)
        if self._geometry.is_linear:
            linear: np.ndarray = weights[weighted].astype(np.float32) @ self.pairs[weighted]
            return linear
        return self._geometry.total(self.pairs.T, weights)

    def of_part(self, similarities: np.ndarray, part: int) -> np.ndarray:
        """Percentiles (n,) of similarities in one part; NaN without a pair."""
        if part not in self._sorted:
            self._sorted[part] = np.sort(self.pairs[part])
        return _placed(similarities, self._sorted[part])


def _placed(similarities: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Percentiles (n,) among pairs in ascending order; NaN without a pair."""
    if not len(pairs):
        return np.full(len(similarities), np.nan)
    low, high = _edges(similarities)
    counts = np.searchsorted(pairs, low, "left") + np.searchsorted(pairs, high, "right")
    percentiles: np.ndarray = 50.0 * counts / len(pairs)
    return percentiles


def _edges(similarities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs are kept in single precision: what differs by less is equal."""
    slack = 1e-6 * (1.0 + np.abs(similarities))
    return (similarities - slack).astype(np.float32), (similarities + slack).astype(np.float32)
