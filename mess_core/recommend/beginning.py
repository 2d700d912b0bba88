"""Beginning: a dozen recordings to say something about, before anything is known of a listener.

They are to be as different as the library is: it is cut into a dozen regions of about equal variety, and each is stood
for by the recording in its middle, which is more typical of it than what lies at its edge.

Source
------
k-means with the nearest recording in place of each mean, which is k-medoids but for the last step.
"""

from __future__ import annotations

import numpy as np

from mess_core.recommend.shelf import Shelf

N_STARTERS = 12
ENOUGH_LIKED = 3  # tracks, from which on there is a taste to go by
MOST_CLUSTERED = 20_000  # recordings; of more, some by chance


def starters(shelf: Shelf, n: int = N_STARTERS, seed: int = 0) -> list[int]:
    """Rows to begin with, those of the larger regions first.

    Parameters
    ----------
    shelf : Shelf
    n : int
    seed : int
        Of where the search for regions begins.
    """
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(seed)
    rows = np.arange(len(shelf))
    if len(rows) > MOST_CLUSTERED:
        rows = np.sort(rng.choice(rows, MOST_CLUSTERED, replace=False))
    points = shelf.points[rows].astype(np.float64)
    n = min(n, len(np.unique(points, axis=0)))
    if n == 0:
        return []
    regions = KMeans(n, n_init=4, random_state=seed).fit(points)
    apart = ((points[:, None] - regions.cluster_centers_) ** 2).sum(axis=2)
    of_each = [np.flatnonzero(regions.labels_ == number) for number in range(n)]
    largest_first = sorted((own for own in of_each if len(own)), key=lambda own: (-len(own), own[0]))
    return [int(rows[own[np.argmin(apart[own, regions.labels_[own[0]]])]]) for own in largest_first]
