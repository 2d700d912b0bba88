"""Places: scores of any scale as where each stands among all, so that several sources can be held together."""

from __future__ import annotations

import numpy as np


def places_of(scores: np.ndarray) -> np.ndarray:
    """Each score as its place among all, above 0 to 1; equal ones share theirs, NaN has none.

    Examples
    --------
    >>> places_of(np.array([3.0, np.nan, 1.0, 3.0])).round(2).tolist()
    [0.83, nan, 0.33, 0.83]
    """
    from scipy.stats import rankdata

    found = np.full(len(scores), np.nan)
    is_known = ~np.isnan(scores)
    found[is_known] = rankdata(scores[is_known]) / max(is_known.sum(), 1)
    return found
