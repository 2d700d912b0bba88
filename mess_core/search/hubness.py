"""Hubness: a few tracks that are near to everything, and many that nothing ever finds.

In high dimensions the nearest neighbours of many queries are the same few rows (hubs), because these lie near the
centre of the library. N_k(x) counts how many queries have x among their k nearest; its skewness is the hubness.

CSLS corrects it: a similarity counts as much as it exceeds what both sides are used to. Query [2 q, 1] and item
[x, -r(x)] have the same inner product up to a constant of the query, so an index needs one more dimension only.

Conventions
-----------
similarities (n_queries, n_rows), larger is closer. A row is never its own neighbour.

Source
------
Radovanović, Nanopoulos & Ivanović (2010) for N_k and its skewness; Feldbauer & Flexer (2019) and scikit-hubness for the
other figures. Conneau et al. (2018), eq. 3 (CSLS).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mess_core.errors import InputError
from mess_core.words import counted

N_NEIGHBOURS = 10
HUB_SKEWNESS = 1.4  # act above


@dataclass(frozen=True)
class Hubness:
    """How unevenly the places among the k nearest are dealt.

    skewness : third standardised moment of N_k; 0 if every row is found equally often
    largest : N_k of the greatest hub
    antihub_share : share of rows that no query finds
    robin_hood : share of all places that would have to change hands for every row to have as many
    """

    k: int
    skewness: float
    largest: int
    antihub_share: float
    robin_hood: float


def k_occurrences(nearest: np.ndarray, n_rows: int) -> np.ndarray:
    """N_k: how many queries have each row among their k nearest.

    Parameters
    ----------
    nearest : ndarray, shape (n_queries, k), int
        Rows, each at most once per query.

    Returns
    -------
    ndarray, shape (n_rows,), int64

    Examples
    --------
    >>> k_occurrences(np.array([[1], [2], [1]]), 3).tolist()
    [0, 2, 1]
    """
    if nearest.ndim != 2 or (nearest.size and not 0 <= nearest.min() <= nearest.max() < n_rows):
        raise InputError(f"Neighbours of shape {nearest.shape}, expected (n_queries, k) rows from 0 to {n_rows - 1}.")
    return np.bincount(nearest.ravel(), minlength=n_rows)


def hubness_of(occurrences: np.ndarray, k: int) -> Hubness:
    """The figures of one N_k, (n_rows,)."""
    if len(occurrences) == 0 or occurrences.sum() == 0:
        raise InputError(f"{counted(len(occurrences), 'row')} found 0 times, expected at least one neighbour.")
    off = occurrences - occurrences.mean()
    spread = float(np.sqrt((off**2).mean()))
    return Hubness(
        k=k,
        skewness=float((off**3).mean() / spread**3) if spread > 0 else 0.0,
        largest=int(occurrences.max()),
        antihub_share=float((occurrences == 0).mean()),
        robin_hood=float(0.5 * np.abs(off).sum() / occurrences.sum()),
    )


def local_means(similarities: np.ndarray, k: int, own: np.ndarray | None = None) -> np.ndarray:
    """What a row is used to, r: its mean similarity to its k nearest, or to all others if these are fewer.

    Parameters
    ----------
    own : ndarray, shape (n_queries,), int, or None
        The row that each query is; None if it is none, or if its own similarity is -inf already.

    Returns
    -------
    ndarray, shape (n_queries,), float64; 0 without any other row
    """
    n_queries, n_rows = similarities.shape
    if own is not None:
        similarities = similarities.copy()
        similarities[np.arange(n_queries), own] = -np.inf
    first = max(n_rows - k, 0)
    nearest = np.partition(similarities, min(first, n_rows - 1), axis=1)[:, first:]
    is_other = nearest > -np.inf
    means: np.ndarray = np.where(is_other, nearest, 0).sum(axis=1, dtype=np.float64) / is_other.sum(axis=1).clip(1)
    return means


def csls(similarities: np.ndarray, query_means: np.ndarray, item_means: np.ndarray) -> np.ndarray:
    """Cross-domain similarity local scaling, 2 s(q, x) - r(q) - r(x), with r of `local_means`."""
    scaled: np.ndarray = 2 * similarities - query_means[:, None] - item_means
    return scaled


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, (n, dim); a row without direction stays zero: similar to nothing."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)


def mean_cosine(vectors: np.ndarray) -> float:
    """Anisotropy: the mean cosine over all pairs of different rows, (n >= 2, dim).

    Exact without visiting a pair: the sum over all pairs is the squared length of the sum of the unit vectors.
    """
    n = len(vectors)
    if n < 2:
        raise InputError(f"{counted(n, 'vector')}, expected at least 2 to have a pair.")
    units = unit_vectors(vectors.astype(np.float64))
    total = units.sum(axis=0)
    return float((total @ total - (units**2).sum()) / (n * (n - 1)))
