"""Joining: which segments of two layouts lie at the same time of a recording.

Two encoders cut a recording each in its own way, and targets are measured in one of these ways. What belongs together
is told by when it sounds, never by its number: segment 3 is another moment where segments begin every second.
"""

from __future__ import annotations

import numpy as np


def same_time(starts_s: np.ndarray, segment_s: float, others_s: np.ndarray, other_segment_s: float) -> np.ndarray:
    """Of each segment the one of another layout whose middle is nearest to its own.

    Parameters
    ----------
    starts_s, others_s : ndarray, shapes (n_segments,) and (n_others,), ascending, seconds
        Where the segments begin.
    segment_s, other_segment_s : float, seconds
        How long they are.

    Returns
    -------
    ndarray, shape (n_segments,), int
        Numbers of the others, of two as near the earlier one; -1 where the middle of neither lies in the other.

    Examples
    --------
    >>> same_time(np.array([0.0, 1.0, 2.0, 30.0]), 5.0, np.array([0.0, 2.5]), 5.0).tolist()
    [0, 0, 1, -1]
    """
    if not len(others_s):
        return np.full(len(starts_s), -1)
    middles = np.asarray(starts_s, np.float64) + segment_s / 2
    others = np.asarray(others_s, np.float64) + other_segment_s / 2
    after = np.searchsorted(others, middles)
    before, after = (after - 1).clip(0), after.clip(max=len(others) - 1)
    nearest = np.where(np.abs(middles - others[before]) <= np.abs(others[after] - middles), before, after)
    is_same = np.abs(middles - others[nearest]) <= max(segment_s, other_segment_s) / 2
    return np.where(is_same, nearest, -1)
