"""Teachers: what says that two moments are alike, other than their sound.

    profiles (n, n_scales)   what was rated, or what was measured of the notes
      -> deviations          less the mean over all performances of the same span: how, without what
      -> candidate sets      for each moment some others, and how much it is like each of them

A deviation is defined where at least three performances of a span are known: of two, each is the other's opposite. A
mean over the performances of a span needs no training set, for a span is never on two sides of a split; the size of a
deviation does, so its unit is that of the training rows.

Conventions
-----------
NaN in a profile: not known. A candidate set has one row per moment and as many columns as the largest needs; `mask`
says which are used, and `probability` adds up to 1 over them, or to 0 for a moment that has no candidate.

Source
------
Teacher kernel and content removal: the expressive deviation of Repp (1992) from the mean of many performances. SupCon:
Khosla et al. (2020); with equal probability for all positives its loss is the cross-entropy that is used here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FEWEST_PERFORMANCES = 3  # of a span, for a deviation from their mean to say anything
N_OTHERS = 64  # candidates of other works for each moment: what a batch would hold
NEAR_SHARE = 0.05  # of all candidates, by the teacher's distance: what counts as alike (R1)
GRADES = 4  # gains are 0 to 4


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """For each moment some others. index, probability, mask : (n, k)"""

    index: np.ndarray
    probability: np.ndarray
    mask: np.ndarray


def span_means(values: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the rows of the same span, NaN left out, and how many there are; (n, n_scales) both."""
    n_spans = int(spans.max(initial=-1)) + 1
    is_known = np.isfinite(values)
    sums = np.zeros((n_spans, values.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, spans, np.where(is_known, values, 0.0))
    np.add.at(counts, spans, is_known)
    return (sums / np.maximum(counts, 1))[spans], counts[spans]


def deviations(profiles: np.ndarray, spans: np.ndarray, train: np.ndarray) -> np.ndarray:
    """How each moment differs from the others of its span, in standard deviations of the training rows.

    Parameters
    ----------
    profiles : ndarray, shape (n, n_scales)
    spans : ndarray, shape (n,), int
    train : ndarray, int
        Rows that say how large a deviation usually is.

    Returns
    -------
    ndarray, shape (n, n_scales)
        Rows of NaN where the span has fewer than three performances; a single scale that is unknown is 0, the mean.

    Examples
    --------
    >>> profiles, spans = np.array([[1.0], [2.0], [3.0], [9.0]]), np.array([0, 0, 0, 1])
    >>> deviations(profiles, spans, np.arange(4)).round(2).ravel().tolist()
    [-1.22, 0.0, 1.22, nan]
    """
    means, counts = span_means(profiles, spans)
    apart = np.where((counts >= FEWEST_PERFORMANCES) & np.isfinite(profiles), profiles - means, np.nan)
    is_known = np.isfinite(apart)
    filled = np.where(is_known, apart, 0.0)
    size = np.sqrt((filled[train] ** 2).sum(axis=0) / np.maximum(is_known[train].sum(axis=0), 1))
    found = filled / np.where(size > 0, size, 1.0)
    found[~is_known.any(axis=1)] = np.nan
    return found


def squared_distances(values: np.ndarray) -> np.ndarray:
    """Of all rows (n, n_scales) to each other, (n, n) float64; NaN where one of them is."""
    squares = (values**2).sum(axis=1)
    return np.maximum(squares[:, None] + squares - 2 * values @ values.T, 0.0)


def kernel_set(distances: np.ndarray, allowed: np.ndarray, rng: np.random.Generator, most: int) -> CandidateSet:
    """Candidates that count the more the nearer the teacher finds them: p ∝ exp(-d² / median d²).

    Parameters
    ----------
    distances : ndarray, shape (n, n)
        Squared; NaN is no candidate.
    allowed : ndarray, shape (n, n), bool
    most : int
        Of each moment; where more are allowed they are drawn.
    """
    allowed = allowed & np.isfinite(distances)
    width = float(np.median(distances[allowed])) if allowed.any() else 1.0
    return _drawn(allowed, lambda row, chosen: np.exp(-distances[row, chosen] / (width or 1.0)), rng, most)


def label_set(labels: np.ndarray, allowed: np.ndarray, rng: np.random.Generator, most: int) -> CandidateSet:
    """All that share a label, each as much as any other (SupCon), among some that do not; -1 shares none."""
    same = (labels[:, None] == labels) & (labels >= 0) & allowed
    n_positive = int(same.sum(axis=1).max(initial=0))
    has_any = same.any(axis=1)
    return _drawn(
        allowed & has_any[:, None],
        lambda row, chosen: same[row, chosen].astype(float),
        rng,
        most + n_positive,
        first=same,
    )


def _drawn(
    allowed: np.ndarray,
    weigh: Callable[[int, np.ndarray], np.ndarray],
    rng: np.random.Generator,
    most: int,
    first: np.ndarray | None = None,
) -> CandidateSet:
    n = len(allowed)
    rows = []
    for row in range(n):
        chosen = np.flatnonzero(allowed[row])
        if len(chosen) > most:
            kept = np.flatnonzero(first[row]) if first is not None else np.empty(0, int)
            others = np.setdiff1d(chosen, kept)
            chosen = np.concatenate([kept, rng.choice(others, most - len(kept), replace=False)])
        rows.append(chosen)
    width = max((len(chosen) for chosen in rows), default=0)
    index, mask = np.zeros((n, width), int), np.zeros((n, width), bool)
    probability = np.zeros((n, width))
    for row, chosen in enumerate(rows):
        index[row, : len(chosen)], mask[row, : len(chosen)] = chosen, True
        weights = weigh(row, chosen)
        probability[row, : len(chosen)] = weights / max(weights.sum(), np.finfo(float).tiny)
    return CandidateSet(index, probability, mask)


def graded_gains(distances: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """How much each candidate is worth, 0 to 4: ⌊4 p⌋, p being the share of candidates that are further away.

    Parameters
    ----------
    distances : ndarray, shape (n_queries, n_rows)
        By the teacher; equal ones have the same gain.
    candidates : ndarray, shape (n_queries, n_rows), bool

    Examples
    --------
    >>> graded_gains(np.array([[0.0, 1.0, 2.0, 3.0, 9.0]]), np.array([[True, True, True, True, False]])).tolist()
    [[4.0, 2.0, 1.0, 0.0, 0.0]]
    """
    from scipy.stats import rankdata

    gains = np.zeros(distances.shape)
    for row, is_candidate in enumerate(candidates):
        n = int(is_candidate.sum())
        if n < 2:
            continue
        ranks = rankdata(distances[row, is_candidate])
        gains[row, is_candidate] = np.floor(GRADES * (n - ranks) / (n - 1))
    return gains


def nearest_share(distances: np.ndarray, candidates: np.ndarray, share: float = NEAR_SHARE) -> np.ndarray:
    """Which candidates are alike to the teacher: the nearest of each query by its distance, bool as they are."""
    within = np.where(candidates, distances, np.inf)
    n_near = np.ceil(share * candidates.sum(axis=1)).astype(int)
    order = np.argsort(within, axis=1, kind="stable")
    is_near = np.zeros(candidates.shape, bool)
    for row, n in enumerate(n_near):
        is_near[row, order[row, :n]] = True
    return is_near & candidates
