"""Trust: a plane cannot hold many dimensions, so how much of what is seen is there?

    trustworthiness   are points that lie together on the map together in the space? (no false neighbours)
    continuity        are points that are together in the space together on the map? (nothing torn apart)
    preservation      of one point: the share of its k nearest in the space that are among its k nearest on the map

All three are 1 for a perfect map. Of a map with its points shuffled the first two are about .5, and preservation is
k / (n - 1): a map is worth looking at only as far as it is above that.

Source
------
Venna & Kaski (2001), eq. 2 and 3; `sklearn.manifold.trustworthiness` gives the same, in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mess_core.maps.neighbours import NearestRows, squared_distances

JUDGED_AT_MOST = 3000  # points judged, each against all others; a figure is then exact to about .002
ROWS_PER_BLOCK = 256


@dataclass(frozen=True)
class Trust:
    """How far a layout is to be trusted.

    preservation : mean over points; chance : what it would be if the points were shuffled
    k : neighbours that count; n_judged : points that trustworthiness and continuity rest on
    """

    trustworthiness: float
    continuity: float
    preservation: float
    chance: float
    k: int
    n_judged: int


def neighbours_judged(n: int, n_neighbours: int) -> int:
    """How many neighbours count: as many as asked, but fewer than half of all, above which the measures end."""
    return max(1, min(n_neighbours, (n - 1) // 2))


def nearest_on_map(points: np.ndarray, k: int, others: np.ndarray | None = None) -> np.ndarray:
    """The k nearest points of each point, (n, k) int; of `others` (n_others, 2) among the points."""
    from scipy.spatial import KDTree

    tree = KDTree(points)
    if others is not None:
        return tree.query(others, np.arange(1, k + 1))[1]
    found = tree.query(points, np.arange(1, k + 2))[1]
    is_itself = found == np.arange(len(points))[:, None]
    is_itself[~is_itself.any(axis=1), -1] = True  # hidden behind more than k points in the very same place
    return found[~is_itself].reshape(len(points), k)


def shares_kept(in_space: np.ndarray, on_map: np.ndarray) -> np.ndarray:
    """Preservation of every point, (n,), from neighbours (n, k) in the space and on the map.

    Examples
    --------
    >>> shares_kept(np.array([[1, 2]]), np.array([[2, 3]])).tolist()
    [0.5]
    """
    is_kept = (in_space[:, :, None] == on_map[:, None, :]).any(axis=2)
    shares: np.ndarray = is_kept.mean(axis=1)
    return shares


def measure_trust(
    space: np.ndarray, nearest: NearestRows, points: np.ndarray, k: int, seed: int
) -> tuple[Trust, np.ndarray]:
    """Judge a layout; also the preservation of every point, (n,) float64.

    Parameters
    ----------
    space : ndarray, shape (n, dim)
    nearest : NearestRows
        At least k of each row, in the space.
    points : ndarray, shape (n, 2)
    """
    n = len(space)
    in_space, on_map = nearest.rows[:, :k], nearest_on_map(points, k)
    judged = np.arange(n)
    if n > JUDGED_AT_MOST:
        judged = np.sort(np.random.default_rng(seed).choice(n, JUDGED_AT_MOST, replace=False))
    kept = shares_kept(in_space, on_map)
    trust = Trust(
        trustworthiness=_one_minus_penalty(space, judged, on_map[judged], k),
        continuity=_one_minus_penalty(points.astype(np.float64), judged, in_space[judged], k),
        preservation=float(kept.mean()),
        chance=k / (n - 1),
        k=k,
        n_judged=len(judged),
    )
    return trust, kept


def overlap(one: np.ndarray, other: np.ndarray, k: int) -> float:
    """Mean share of neighbours that two layouts of the same tracks have in common; of two seeds: stability."""
    return float(shares_kept(nearest_on_map(one, k), nearest_on_map(other, k)).mean())


def _one_minus_penalty(rows: np.ndarray, judged: np.ndarray, neighbours: np.ndarray, k: int) -> float:
    """1 less the scaled sum of how far each claimed neighbour's rank among `rows` exceeds k."""
    n, excess = len(rows), 0.0
    for start in range(0, len(judged), ROWS_PER_BLOCK):
        own = judged[start : start + ROWS_PER_BLOCK]
        squares = squared_distances(rows[own], rows)
        squares[np.arange(len(own)), own] = np.inf
        claimed = np.take_along_axis(squares, neighbours[start : start + len(own)], axis=1)
        squares.sort(axis=1)
        ranks = 1 + np.stack([np.searchsorted(row, values) for row, values in zip(squares, claimed, strict=True)])
        excess += float((ranks - k).clip(0).sum())
    return 1.0 - excess * 2.0 / (len(judged) * k * (2 * n - 3 * k - 1))
