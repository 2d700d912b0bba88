"""Neighbours in the space that a map shows: exact, by matrix products, and where a newcomer goes.

A *space* is a matrix of rows whose Euclidean distances are those that count: vectors as they are, or made unit vectors,
between which half the squared distance is 1 - cosine. Up to 20 000 rows this is as fast as an approximate search, needs
nothing compiled, and is exact.

Conventions
-----------
space (n, dim) float32. Neighbours never include the row itself; equal distances are ordered by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mess_core.errors import InputError
from mess_core.maps.settings import Metric
from mess_core.words import counted

MIN_TRACKS = 5  # below this there is no shape to show
ROWS_PER_BLOCK = 1024
SAME = 1e-6  # of the largest number: what differs by less is the same, up to rounding in single precision


@dataclass(frozen=True, eq=False)
class NearestRows:
    """The k nearest of each row, nearest first. rows : (n, k) int32; distances : (n, k) float32, by the metric"""

    rows: np.ndarray
    distances: np.ndarray


def space_of(vectors: np.ndarray, metric: Metric, is_centred: bool, centre: np.ndarray | None = None) -> np.ndarray:
    """Vectors (n, dim) as rows whose Euclidean distances count.

    Parameters
    ----------
    centre : ndarray, shape (dim,), or None
        What is removed if `is_centred`: by default the vectors' own mean.

    Raises
    ------
    InputError
        If a vector holds NaN or infinity.
    """
    n_bad = int((~np.isfinite(vectors)).any(axis=1).sum())
    if n_bad:
        raise InputError(
            f"The vectors of {n_bad} of {counted(len(vectors), 'track')} hold NaN or infinity.", "Extract them again."
        )
    space = vectors.astype(np.float64)
    least = SAME * np.linalg.norm(space, axis=1).max(initial=0.0)  # less is what rounding leaves of equal vectors
    if is_centred:
        space -= space.mean(axis=0) if centre is None else centre
    norms = np.linalg.norm(space, axis=1, keepdims=True)
    space = np.where(norms > least, space, 0.0)
    if metric == "cosine":
        space /= np.where(norms > least, norms, 1.0)
    return space.astype(np.float32)


def check_space(space: np.ndarray) -> None:
    """InputError if there is nothing to lay out."""
    n = len(space)
    if n < MIN_TRACKS:
        raise InputError(f"A map needs at least {MIN_TRACKS} embedded tracks, this library has {n}.", "Add some music.")
    unit = SAME * float(np.abs(space).max()) or 1.0
    n_different = len(np.unique(np.round(space.astype(np.float64) / unit), axis=0))
    if n_different < MIN_TRACKS:
        raise InputError(
            f"Only {n_different} of {counted(n, 'track')} differ from each other,"
            f" a map needs at least {MIN_TRACKS} that do.",
            "Add other music.",
        )


def squared_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """All of them, (n_one, n_other) float32, not negative."""
    squares = np.einsum("nd,nd->n", one, one)[:, None] + np.einsum("nd,nd->n", other, other)[None]
    squares -= 2 * (one @ other.T)
    return np.maximum(squares, 0, out=squares)


def find_nearest(space: np.ndarray, k: int, metric: Metric, others: np.ndarray | None = None) -> NearestRows:
    """The k nearest rows of each row, or, given `others` (n_others, dim), of each of these among the rows of `space`.

    Examples
    --------
    >>> find_nearest(np.array([[0.0], [1.0], [3.0]], np.float32), 1, "euclidean").rows.ravel().tolist()
    [1, 0, 1]
    """
    asked = space if others is None else others
    rows = np.empty((len(asked), k), np.int32)
    distances = np.empty((len(asked), k), np.float32)
    for start in range(0, len(asked), ROWS_PER_BLOCK):
        block = asked[start : start + ROWS_PER_BLOCK]
        squares = squared_distances(block, space)
        if others is None:
            squares[np.arange(len(block)), start + np.arange(len(block))] = np.inf
        candidates = np.sort(np.argpartition(squares, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(np.take_along_axis(squares, candidates, axis=1), axis=1, kind="stable")
        found = np.take_along_axis(candidates, order, axis=1)
        rows[start : start + len(block)] = found
        distances[start : start + len(block)] = np.take_along_axis(squares, found, axis=1)
    return NearestRows(rows, distances / 2 if metric == "cosine" else np.sqrt(distances))


def place(nearest: NearestRows, positions: np.ndarray) -> np.ndarray:
    """Where newcomers go, (n, 2): the mean of their neighbours' positions, weighted by one over the distance.

    Beside an exact copy a newcomer lies exactly on it.

    Parameters
    ----------
    nearest : NearestRows
        Of the newcomers among the rows of the map.
    positions : ndarray, shape (n_rows, 2)

    Examples
    --------
    >>> place(NearestRows(np.array([[0, 1]]), np.array([[1.0, 3.0]])), np.array([[0.0, 0.0], [4.0, 0.0]])).tolist()
    [[1.0, 0.0]]
    """
    distances = nearest.distances.astype(np.float64)
    least = SAME * np.maximum(distances.max(axis=1, keepdims=True), 1e-30)
    weights = np.where(distances <= least, 1.0 / least, 1.0 / np.maximum(distances, least))
    is_copy = distances <= least
    weights = np.where(is_copy.any(axis=1, keepdims=True), is_copy, weights)
    weights = weights / weights.sum(axis=1, keepdims=True)
    placed: np.ndarray = np.einsum("nk,nkd->nd", weights, positions[nearest.rows].astype(np.float64))
    return placed
