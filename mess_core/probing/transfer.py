"""Transfer: whether directions that were found in one library tell anything in another.

A library that is too small to be probed borrows the directions of a larger one. What a straight line tells of
brightness there it tells nearly everywhere; what it tells of tempo may be true of that library alone. So each borrowed
direction is followed here, and the places of this library's recordings on it are compared with what was measured.

Recordings of one work are alike, so the interval counts works, not recordings: as if each work were one recording,
which is true where its recordings do not differ, and else wider than need be.

Source
------
Spearman (1904). Interval on the scale of the inverse hyperbolic tangent, variance (1 + rho² / 2) / (n - 3): Bonett &
Wright, Sample size requirements for estimating Pearson, Kendall and Spearman correlations (Psychometrika, 2000). The
bound is a choice: below it half of the order is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mess_core.probing.aspects import AspectEvidence, Transfer
from mess_core.probing.directions import Directions
from mess_core.probing.scores import spearman
from mess_core.probing.uncertainty import MIN_GROUPS

LEAST_RHO = 0.6  # of an aspect that may be borrowed
FEWEST = 10  # recordings; with fewer a rank correlation says nothing
MOST = 300  # recordings of a library that are looked at
Z95 = 1.959964  # 97.5th percentile of the normal distribution
EPSILON = 1e-6  # a perfect order has no finite tangent


def transfer(
    directions: Directions, vectors: np.ndarray, values: Mapping[str, np.ndarray], works: Sequence[str]
) -> dict[str, Transfer]:
    """Rank correlation of each direction with what was measured.

    Parameters
    ----------
    vectors : ndarray, shape (n_tracks, n_layers, dim)
        Track embeddings of the borrowing library.
    values : mapping of target to ndarray, shape (n_tracks,)
        NaN where nothing was measured.
    works : sequence of str, length n_tracks
        What each track is a recording of.

    Returns
    -------
    dict
        Target -> figure; only of targets measured in at least `FEWEST` tracks, and not everywhere alike.
    """
    targets = [target for target in directions.targets if target in values]
    if not targets or not len(vectors):
        return {}
    coordinates = directions.projection(targets)(vectors)
    found = {}
    for column, target in enumerate(targets):
        is_known = np.isfinite(values[target])
        if is_known.sum() < FEWEST:
            continue
        rho = spearman(values[target][is_known, None], coordinates[is_known, column, None])[0]
        if np.isfinite(rho):
            n_works = len(np.unique(np.asarray(works)[is_known]))
            low, high = interval(float(rho), n_works) if n_works >= MIN_GROUPS else (None, None)
            found[target] = Transfer(float(rho), low, high, int(is_known.sum()), n_works)
    return found


def interval(rho: float, n: int) -> tuple[float, float]:
    """95 % interval of a rank correlation over `n` > 3 independent pairs.

    >>> [round(end, 2) for end in interval(0.8, 24)]
    [0.54, 0.92]
    """
    middle = np.arctanh(np.clip(rho, -1 + EPSILON, 1 - EPSILON))
    reach = Z95 * np.sqrt((1 + rho**2 / 2) / (n - 3))
    return float(np.tanh(middle - reach)), float(np.tanh(middle + reach))


def borrowed(aspects: Mapping[str, AspectEvidence], found: Mapping[str, Transfer]) -> dict[str, AspectEvidence]:
    """The evidence for aspects in a library that borrows them: what does not hold there has none.

    An aspect carries the figure of its weakest direction; where nothing could be compared none, and its evidence as it
    was.
    """
    carried = {}
    for name, evidence in aspects.items():
        known = [found[target] for target in evidence.searched if target in found]
        weakest = min(known, default=None, key=lambda each: each.rho)
        label = "none" if weakest is not None and weakest.rho < LEAST_RHO else evidence.label
        carried[name] = replace(evidence, transfer=weakest, label=label)
    return carried
