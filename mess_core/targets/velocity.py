"""How hard keys are struck.

    velocity_to_db    MIDI velocity -> level relative to the hardest stroke
    spread            SD over chords, each represented by its hardest note
    spread_range      95th minus 5th percentile over all notes

Conventions
-----------
MIDI velocity 1..127. What a velocity sounds like depends on the instrument and on the session (Goebl & Bresin 2003):
compare within one.

Source: Dannenberg, "The interpretation of MIDI velocity" (ICMC 2006): amplitude is the square of a line in velocity.
"""

from __future__ import annotations

import numpy as np

from mess_core.targets.notes import Chords

RANGE_DB = 60.0  # from velocity 127 down to 1, as Dannenberg measured on average
EXTREMES = (5, 95)  # percent; maximum minus minimum would be a statistic of two slips


def velocity_to_db(velocity: np.ndarray, range_db: float = RANGE_DB) -> np.ndarray:
    """Level of a velocity in dB relative to velocity 127.

    Examples
    --------
    >>> velocity_to_db(np.array([1, 64, 127])).round(1)
    array([-60. , -11.5,   0. ])
    """
    r = 10 ** (range_db / 20)
    b = 127 / (126 * np.sqrt(r)) - 1 / 126
    m = (1 - b) / 127
    return 40 * np.log10(m * np.asarray(velocity) + b)  # 20 log10 of the square


def spread(velocity: np.ndarray, chords: Chords) -> float:
    """SD over the chords' maxima: how the touch varies in time, the balance within chords left out."""
    return float(np.std(np.maximum.reduceat(velocity, chords.first)))


def spread_range(velocity: np.ndarray) -> float:
    """From soft strokes to hard ones, without the extreme 5 % on either side."""
    low, high = np.percentile(velocity, EXTREMES)
    return float(high - low)
