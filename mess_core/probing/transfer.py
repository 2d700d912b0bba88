"""Transfer: whether directions that were found in one library tell anything in another.

A library that is too small to be probed borrows the directions of a larger one. What a straight line tells of
brightness there it tells nearly everywhere; what it tells of tempo may be true of that library alone. So each borrowed
direction is followed here, and the places of this library's recordings on it are compared with what was measured.

Source
------
Spearman (1904). The bound is a choice: below it half of the order is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.probing.scores import spearman

LEAST_RHO = 0.6  # of an aspect that may be borrowed
FEWEST = 10  # recordings; with fewer a rank correlation says nothing
MOST = 300  # recordings of a library that are looked at


def transfer(directions: Directions, vectors: np.ndarray, values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Rank correlation of each direction with what was measured.

    Parameters
    ----------
    vectors : ndarray, shape (n_tracks, n_layers, dim)
        Track embeddings of the borrowing library.
    values : mapping of target to ndarray, shape (n_tracks,)
        NaN where nothing was measured.

    Returns
    -------
    dict
        Target -> rho; only of targets measured in at least `FEWEST` tracks, and not everywhere alike.
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
            found[target] = float(rho)
    return found


def borrowed(aspects: Mapping[str, AspectEvidence], rho: Mapping[str, float]) -> dict[str, AspectEvidence]:
    """The evidence for aspects in a library that borrows them: what does not hold there has none.

    An aspect carries the rho of its weakest direction; None, its evidence as it was, where nothing could be compared.
    """
    carried = {}
    for name, evidence in aspects.items():
        known = [rho[target] for target in evidence.searched if target in rho]
        weakest = min(known, default=None)
        label = "none" if weakest is not None and weakest < LEAST_RHO else evidence.label
        carried[name] = replace(evidence, transfer=weakest, label=label)
    return carried
