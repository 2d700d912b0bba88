"""Danceability: how little the loudness wanders from what it was, at times from a third of a second to nine seconds.

    blocks -> deviation s of every 10 ms -> y, the running sum of s - mean -> F(tau), what a line leaves of y in windows
    of tau -> alpha = slope of log F over log tau -> 1 / mean alpha

Detrended fluctuation analysis. A loudness that is noise has alpha = 0.5, one that wanders (a random walk) 1.5. A beat
that returns keeps the sum in bounds over long windows, so alpha falls and 1 / alpha rises; rubato, swells and pauses
let it wander. The gain does not matter.

The name is the paper's. No one was asked here whether anything can be danced to, and it is no other service's figure.

Source
------
Streich and Herrera 2005, "Detrended fluctuation analysis of music signals: danceability estimation"; windows and
constants as in essentia (danceability.cpp): 310 to 8800 ms, each 1.1 times the one before, a 50th of a window apart.
"""

from __future__ import annotations

import numpy as np

from mess_core.targets.base import TargetValue
from mess_core.targets.dynamics import Loudness
from mess_core.targets.frames import SAMPLE_RATE_HZ, Framer

STEP_SAMPLES = SAMPLE_RATE_HZ // 100  # 10 ms
STEP_S = STEP_SAMPLES / SAMPLE_RATE_HZ
SHORTEST_MS, LONGEST_MS, RATIO = 310.0, 8800.0, 1.1
JUMPS = 50  # a window begins every 50th of its length
OFFSET = 3.0  # steps, added to both lengths of a slope: it takes off what a line explains of the shortest windows
MIN_S = 20.0  # of sound: two windows of the longest kind that have nothing in common, and a little
BATCH_STEPS = 4096
LEAST_CHANGE = 1e-3  # of the mean: a held tone varies by less than that from one 10 ms to the next


class DeviationStream:
    """Collects the standard deviation of every 10 ms."""

    def __init__(self) -> None:
        self._framer = Framer(STEP_SAMPLES, STEP_SAMPLES)
        self._parts: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Take the next samples, shape (n,)."""
        self._parts.append(self._framer.add(block).std(axis=1))

    def finish(self) -> np.ndarray:
        """Return what was collected, shape (n_steps,), float32; an unfinished last step is left out."""
        return np.concatenate([np.zeros(0, dtype=np.float32), *self._parts])


def window_steps() -> np.ndarray:
    """The lengths of the windows, shape (n_lengths,), in steps of 10 ms."""
    n = int(np.log(LONGEST_MS / SHORTEST_MS) / np.log(RATIO)) + 1
    return (SHORTEST_MS * RATIO ** np.arange(n) / 10).astype(int)


def fluctuations(walk: np.ndarray) -> np.ndarray:
    """Root mean square of what a line leaves of the walk, over windows of each length, shape (n_lengths,).

    A line's part of a window follows from three running sums; they begin anew with every `BATCH_STEPS`, where they are
    small enough that differences of them are exact.

    Parameters
    ----------
    walk : ndarray, shape (n_steps,), longer than the longest window
    """
    lengths = window_steps()
    left, counted = np.zeros(len(lengths)), np.zeros(len(lengths))
    for first in range(0, len(walk), BATCH_STEPS):
        y = walk[first : first + BATCH_STEPS + lengths[-1]]
        y = np.concatenate([[0.0], y - y.mean()])  # a zero before: sums of none
        sums, squares, moments = np.cumsum(y), np.cumsum(y**2), np.cumsum(y * (np.arange(len(y)) - 1))
        for place, n in enumerate(lengths):
            jump = max(n // JUMPS, 1)
            starts = np.arange(-first % jump, min(BATCH_STEPS, len(y) - n), jump)
            ends = starts + n
            total = sums[ends] - sums[starts]
            slope = moments[ends] - moments[starts] - (starts + (n - 1) / 2) * total
            residual = squares[ends] - squares[starts] - total**2 / n - slope**2 * 12 / (n * (n**2 - 1))
            left[place] += np.maximum(residual, 0).sum()
            counted[place] += n * len(starts)
    return np.sqrt(left / counted)


def exponents(deviations: np.ndarray) -> np.ndarray:
    """Scaling exponent between each length of windows and the next, shape (n_lengths - 1,); NaN of what never changes.

    Parameters
    ----------
    deviations : ndarray, shape (n_steps,), longer than the longest window
    """
    deviations = deviations / max(deviations.mean(dtype=np.float64), 1e-30)
    if deviations.std() < LEAST_CHANGE:
        return np.full(len(window_steps()) - 1, np.nan)
    f = fluctuations(np.cumsum(deviations - deviations.mean()))
    return np.diff(np.log(f)) / np.diff(np.log(window_steps() + OFFSET))


def measure(deviations: np.ndarray, loudness: Loudness) -> dict[str, TargetValue]:
    """All targets of this file."""
    if loudness.sounding_s < MIN_S or len(deviations) <= window_steps()[-1]:
        reason = f"{loudness.sounding_s:.1f} s of sound; danceability needs {MIN_S:g} s"
        return {"danceability": TargetValue.none(reason, len(deviations))}
    alpha = float(np.mean(exponents(deviations)))
    if not alpha > 0:
        return {"danceability": TargetValue.none("its loudness does not change", len(deviations))}
    return {"danceability": TargetValue.good(1 / alpha, len(deviations))}
