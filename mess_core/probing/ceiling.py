"""The ceiling of a rating: how much of it anybody can tell, people included.

A mean over n listeners holds what they agree on and what is left of their disagreement, of variance s²/n. Nothing that
is heard in the recording tells the second part, so no prediction, however good, has an R² above the first one's share,
which is the reliability of the mean:

    ceiling = 1 - mean over recordings of (s² / n) / variance over recordings of the mean

It is what two halves of the listeners would say of each other, corrected to the whole (Spearman & Brown), without the
luck of how they are halved.

In a table, a column `X` with columns `X sd` and `X raters` beside it has one.

Source: Shrout & Fleiss (1979), ICC(1, k); Schoppe et al. (2016) for ceilings of predictions.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from mess_core.config import RATERS, SPREAD


def ceiling(means: np.ndarray, spreads: np.ndarray, n_raters: np.ndarray) -> float | None:
    """The highest R² that a prediction of mean ratings can be expected to have, 0 to 1.

    Parameters
    ----------
    means, spreads, n_raters : ndarray, shape (n_recordings,)
        Mean and standard deviation (over all raters) of each recording's ratings, and how many there are. A recording
        that lacks one of them, or has less than two raters, does not count.

    Returns
    -------
    float or None
        None where fewer than three recordings count, or their means do not differ.

    Examples
    --------
    >>> ceiling(np.array([0.0, 1.0, 2.0, 3.0]), np.full(4, 1.0), np.full(4, 5.0))
    0.85
    """
    counts = np.isfinite(means) & np.isfinite(spreads) & (spreads >= 0) & (n_raters >= 2)
    means, spreads, n_raters = means[counts], spreads[counts], n_raters[counts]
    if len(means) < 3 or not means.var() > 0:
        return None
    disagreement = (spreads**2 / (n_raters - 1)).mean()  # the unbiased variance of a mean, from the plain s²
    return float(np.clip(1 - disagreement / means.var(ddof=1), 0.0, 1.0))


def is_companion(column: str, columns: Collection[str]) -> bool:
    """Whether a column only says how sure another one is."""
    return any(column.endswith(end) and column.removesuffix(end) in columns for end in (SPREAD, RATERS))
