"""Attention: a moment heard by those of its segments that matter, instead of by their mean.

    segments of a moment -> departures from its mean (n, n_numbers) -> a weight each, softmax(departure · towards)
      -> the numbers of the moment plus the weighted mean of departures -> a projection -> points

With `towards` 0 all weights are equal, and the moment is what it is to everyone else. What is learned is one direction:
it can only find what segments tell by themselves, not by what comes before and after.

Source
------
Attention pooling with one query and linear keys: Ilse et al. (2018), without their hidden layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mess_core.learning.segments import SegmentSet, departures, evenly
from mess_core.probing.ridge import one_blas_thread
from mess_core.search.learned import Transform, unit_numbers

N_TIME_AXES = 32  # directions in which segments differ most from their moment, among which it learns where to look
N_LOOKED_AT = 1024  # segments that say which these are


@dataclass(frozen=True, eq=False)
class Attention:
    """transform : from numbers to points, by one line; towards : (n_numbers,) float32, what a segment is chosen by"""

    transform: Transform
    towards: np.ndarray

    def weights(self, vectors: np.ndarray, segments: SegmentSet) -> list[np.ndarray]:
        """How much each segment of each moment counts; they add up to 1."""
        return [_softmax(apart @ self.towards) for apart in self._departures(vectors, segments)]

    def points(self, vectors: np.ndarray, segments: SegmentSet) -> np.ndarray:
        """Embeddings of moments (n, n_layers, dim) and their segments -> points (n, n_out) float32."""
        centre, widths = self.transform.centre, self.transform.widths
        numbers = unit_numbers(vectors, centre, widths) * self.transform.scale
        for row, apart in enumerate(self._departures(vectors, segments)):
            numbers[row] += _softmax(apart @ self.towards) @ apart
        (line,) = self.transform.steps
        return line(numbers).astype(np.float32)

    def _departures(self, vectors: np.ndarray, segments: SegmentSet) -> list[np.ndarray]:
        centre, widths = self.transform.centre, self.transform.widths
        return [departures(own, vector, centre, widths) for own, vector in zip(segments.each(), vectors, strict=True)]


@dataclass(frozen=True, eq=False)
class TurnedSegments:
    """The departures of a lesson, small enough to learn on.

    turned : (n, n_segments, n_axes) float32, by the axes that are projected; 0 where there is no segment
    seen : (n, n_segments, n_time_axes) float32, by the axes that segments differ in most
    mask : (n, n_segments) bool, which there are
    axes : (n_numbers, n_time_axes) float32
    """

    turned: np.ndarray
    seen: np.ndarray
    mask: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(
        cls, vectors: np.ndarray, segments: SegmentSet, centre: np.ndarray, widths: tuple[int, ...], onto: np.ndarray
    ) -> TurnedSegments:
        """`onto` (n_numbers, n_axes) is what is projected. One moment after the other: little is held at once."""
        n, most = len(vectors), int(segments.counts.max())
        asked, of_each = set(evenly(n, N_LOOKED_AT).tolist()), max(1, N_LOOKED_AT // n)
        looked = [
            departures(own, vectors[row], centre, widths)[evenly(len(own), of_each)]
            for row, own in enumerate(segments.each())
            if row in asked
        ]
        axes = _widest(np.concatenate(looked))
        turned = np.zeros((n, most, onto.shape[1]), np.float32)
        seen, mask = np.zeros((n, most, axes.shape[1]), np.float32), np.zeros((n, most), bool)
        for row, own in enumerate(segments.each()):
            apart = departures(own, vectors[row], centre, widths)
            turned[row, : len(own)], seen[row, : len(own)], mask[row, : len(own)] = apart @ onto, apart @ axes, True
        return cls(turned, seen, mask, axes)


def _widest(apart: np.ndarray) -> np.ndarray:
    """Principal axes of departures, the widest first, in the unit in which their mean square is 1."""
    with one_blas_thread():
        squares, left = np.linalg.eigh((apart @ apart.T).astype(np.float64))
        order = np.argsort(-squares)[: min(N_TIME_AXES, len(squares), apart.shape[1])]
        order = order[squares[order] > 1e-6 * max(float(squares.max(initial=0.0)), 1e-12)]
        axes = apart.T @ (left[:, order] / np.sqrt(squares[order]))
    size = float(np.sqrt(squares[order].mean() / len(apart))) if len(order) else 1.0
    return np.asarray(axes / size, np.float32)


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max())
    found: np.ndarray = (raised / raised.sum()).astype(np.float32)
    return found
