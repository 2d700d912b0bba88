"""Phrases and sections: where harmony, timbre and loudness change together.

    chroma, cepstrum, loudness at 2 Hz -> novelty -> boundaries -> sections

Novelty (Foote 2000) is a checkerboard moved along the diagonal of the matrix of all similarities. With inner products
as similarity and a Gaussian checkerboard it is a square, and the matrix need not be made:

    N(t) = sum_ij s_i s_j g_i g_j <x_(t+i), x_(t+j)> = |sum_i s_i g_i x_(t+i)|²      s = -1 before t, +1 after

Source
------
Foote 2000; nPVI: Patel and Daniele 2003. Low confidence: listeners themselves disagree about phrases.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d
from scipy.signal import find_peaks

from mess_core.targets.base import TargetValue
from mess_core.targets.dynamics import STEP_S, Loudness
from mess_core.targets.moments import MOMENT_S, REACH_S, Moments
from mess_core.words import counted

KERNEL_S = 8.0  # four seconds before against four after: phrases; 16 s would show sections
KERNEL_SIGMA = 0.4  # of half the kernel: its ends weigh 4 %
MIN_GAP_S = 3.0
MIN_SUPPORT_S = 2 * KERNEL_S
MARGIN_MADS = 1.5  # a boundary stands out this far from the median, and from what surrounds it
MIN_SECTIONS = 3  # for any statement about regularity
GOOD_SECTIONS = 5
# A feature that varies less than this hardly varies: it is not blown up to the size of the others.
MIN_SD_CHROMA, MIN_SD_CEPSTRUM_DB, MIN_SD_LOUDNESS_LU = 0.02, 3.0, 2.0
MIN_NOVELTY = 0.01  # of the largest possible; below lies what repeats itself without any change


def measure(moments: Moments, chroma: np.ndarray, loudness: Loudness, duration_s: float) -> dict[str, TargetValue]:
    """All targets of this file."""
    names = ("num_phrases", "phrase_regularity", "npvi")
    if duration_s < MIN_SUPPORT_S:
        return dict.fromkeys(names, TargetValue.none(f"{duration_s:.1f} s long; phrases need {MIN_SUPPORT_S:g} s"))
    if loudness.sounding_s < MIN_SUPPORT_S / 2:
        return dict.fromkeys(names, TargetValue.none(f"{loudness.sounding_s:.1f} s of sound; phrases need more"))
    boundaries_s = find_boundaries(features(moments, chroma, loudness))
    if not len(boundaries_s):
        return dict.fromkeys(names, TargetValue.none("no boundary was found: nothing changes"))
    lengths_s = np.diff([0.0, *boundaries_s, duration_s])
    return {
        "num_phrases": _trusted(len(lengths_s) / (duration_s / 60), len(lengths_s), MIN_SECTIONS),
        "phrase_regularity": _needs_sections(phrase_regularity(lengths_s), len(lengths_s)),
        "npvi": _needs_sections(npvi(lengths_s), len(lengths_s)),
    }


def phrase_regularity(lengths_s: np.ndarray) -> float:
    """1 / (1 + coefficient of variation of the lengths): 1 if all are equal.

    Examples
    --------
    >>> phrase_regularity(np.array([8.0, 8.0, 8.0]))
    1.0
    """
    return float(1 / (1 + np.std(lengths_s) / np.mean(lengths_s)))


def npvi(lengths_s: np.ndarray) -> float:
    """Normalised pairwise variability: 100 x mean of |difference| / mean of two neighbours.

    Examples
    --------
    >>> npvi(np.array([2.0, 1.0, 2.0])).__round__(1)
    66.7
    """
    before, after = lengths_s[:-1], lengths_s[1:]
    return float(100 * np.mean(np.abs(before - after) / ((before + after) / 2)))


def features(moments: Moments, chroma: np.ndarray, loudness: Loudness) -> np.ndarray:
    """Harmony, timbre and loudness of each moment, standardised, each of the three with the same weight.

    Returns
    -------
    ndarray, shape (n_moments, 12 + N_CEPSTRUM + 1)
    """
    is_sounding = moments.is_sounding(loudness)[:, np.newaxis]
    steps = ((np.arange(len(chroma)) * MOMENT_S + REACH_S / 2) / STEP_S).astype(int)
    levels_lufs = np.maximum(loudness.steps_lufs, loudness.sounding_lufs)
    levels_lufs = levels_lufs[np.clip(steps[:, np.newaxis] + np.arange(-2, 3), 0, len(levels_lufs) - 1)].mean(axis=1)
    groups = [
        (np.where(is_sounding, chroma, 0.0), MIN_SD_CHROMA),
        (np.where(is_sounding, moments.cepstra, 0.0), MIN_SD_CEPSTRUM_DB),
        (levels_lufs[:, np.newaxis], MIN_SD_LOUDNESS_LU),
    ]
    scaled = []
    for values, min_sd in groups:
        centred = values - values.mean(axis=0)
        sd = np.sqrt((centred**2).mean())  # one for the group: rare coefficients stay small
        scaled.append(centred / (max(sd, min_sd) * np.sqrt(values.shape[1])))
    return np.concatenate(scaled, axis=1)


def novelty(rows: np.ndarray) -> np.ndarray:
    """How much what follows each moment differs from what precedes it, shape (n_moments,)."""
    n_half = round(KERNEL_S / 2 / MOMENT_S)
    offsets = np.arange(-n_half, n_half) + 0.5
    kernel = np.sign(offsets) * np.exp(-0.5 * (offsets / (KERNEL_SIGMA * n_half)) ** 2)
    kernel /= np.abs(kernel).sum() / 2  # then the sum is a difference of two means
    padded = np.pad(rows, ((n_half, n_half), (0, 0)), mode="edge")
    difference = correlate1d(padded, kernel, axis=0)[n_half:-n_half]  # kernel[0] meets row t - n_half
    return (difference**2).sum(axis=1)


def find_boundaries(rows: np.ndarray) -> np.ndarray:
    """Times between the sections, seconds, without the two ends; shape (n_boundaries,).

    Parameters
    ----------
    rows : ndarray, shape (n_moments, n_features), as `features` returns
    """
    values = novelty(rows)
    median = np.median(values)
    margin = max(MARGIN_MADS * np.median(np.abs(values - median)), MIN_NOVELTY)
    gap = round(MIN_GAP_S / MOMENT_S)
    peaks, _ = find_peaks(values, height=median + margin, prominence=margin, distance=gap)
    peaks = peaks[(peaks >= gap) & (peaks <= len(values) - gap)]
    return peaks * MOMENT_S + (REACH_S - MOMENT_S) / 2


def _trusted(value: float, n_sections: int, n_needed: int) -> TargetValue:
    if n_sections < n_needed:
        return TargetValue.weak(value, n_sections, f"it rests on {counted(n_sections, 'section')}")
    return TargetValue.good(value, n_sections)


def _needs_sections(value: float, n_sections: int) -> TargetValue:
    if n_sections < MIN_SECTIONS:
        return TargetValue.none(f"{n_sections} sections; regularity needs {MIN_SECTIONS}", n_sections)
    return _trusted(value, n_sections, GOOD_SECTIONS)
