"""Which pitch classes sound, and how far they spread around the circle of fifths.

    pitch spectra -> tuned -> explained as a sum of notes with overtones -> 12 pitch classes -> complexity

A plain chroma counts the overtones: a single C would also hold G and E. Here each moment is written as a sum of notes,
each with a fixed series of overtones and none negative, and only the notes are counted.

Source
------
Mauch and Dixon 2010 (NNLS chroma); Weiss and Mueller 2014, "Quantifying and visualizing tonal complexity".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from mess_core.targets.base import TargetValue
from mess_core.targets.frames import SAMPLE_RATE_HZ, hann, magnitudes
from mess_core.targets.moments import (
    BIN_PITCHES,
    BINS_PER_SEMITONE,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    MOMENT_S,
    WINDOW_SAMPLES,
    Moments,
    pitch_bands,
    pitch_to_hz,
)

N_OVERTONES = 16
OVERTONE_DECAY = 0.75  # amplitude of each overtone relative to the one before; between Mauch's 0.6 and 0.9
N_UPDATES = 150
COMPRESSION = 0.7  # exponent of the notes' amplitudes: a soft inner voice is a harmony note too
MIN_SHARE = 0.15  # notes below this share of the loudest are mostly overtones that the template does not fit
TUNING_PITCHES = (52, 100)  # E3 up: there a third of a semitone is wider than a bin of the STFT
LONG_MOMENTS = 20  # 10 s
MIN_MOMENTS = 4  # 2 s


def measure(chroma: np.ndarray, is_sounding: np.ndarray) -> dict[str, TargetValue]:
    """All targets of this file.

    Parameters
    ----------
    chroma : ndarray, shape (n_moments, 12)
    is_sounding : ndarray, shape (n_moments,), bool
    """
    chroma = chroma[is_sounding & (chroma.sum(axis=1) > 0)]
    if len(chroma) < MIN_MOMENTS:
        nothing = TargetValue.none(
            f"{len(chroma) * MOMENT_S:.1f} s of sound; harmony needs {MIN_MOMENTS * MOMENT_S:g} s", len(chroma)
        )
        return {"harmonic_complexity": nothing, "chroma_entropy": nothing}
    return {
        "harmonic_complexity": TargetValue.good(_over_scales(tonal_complexity, chroma), len(chroma)),
        "chroma_entropy": TargetValue.good(_over_scales(entropy, chroma), len(chroma)),
    }


def tonal_complexity(chroma: np.ndarray) -> np.ndarray:
    """Spread around the circle of fifths, 0 for one pitch class, 1 for an even spread.

        Gamma = sqrt(1 - |sum_k c_(7k mod 12) exp(2 pi i k / 12)|)

    Parameters
    ----------
    chroma : ndarray, shape (..., 12), each row sums to 1

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    >>> c_major_triad = np.isin(np.arange(12), [0, 4, 7]) / 3
    >>> tonal_complexity(c_major_triad).round(4)
    np.float64(0.5967)
    """
    by_fifths = chroma[..., 7 * np.arange(12) % 12]
    resultant = np.abs(by_fifths @ np.exp(2j * np.pi * np.arange(12) / 12))
    return np.sqrt(np.clip(1 - resultant, 0, 1))


def entropy(chroma: np.ndarray) -> np.ndarray:
    """Entropy relative to that of twelve equal pitch classes, shape (...).

    Examples
    --------
    >>> entropy(np.isin(np.arange(12), [0, 4, 7]) / 3).round(4)
    np.float64(0.4421)
    """
    return np.maximum(-(chroma * np.log2(np.maximum(chroma, 1e-12))).sum(axis=-1) / np.log2(12), 0.0)


def _over_scales(spread: Callable[[np.ndarray], np.ndarray], chroma: np.ndarray) -> float:
    """Mean over moments, windows of 10 s (or of what there is) and the whole: local and global harmony alike."""
    long = min(LONG_MOMENTS, len(chroma))
    sums = np.cumsum(np.concatenate([np.zeros((1, 12)), chroma]), axis=0)
    windows = (chroma, (sums[long:] - sums[:-long]) / long, chroma.mean(axis=0, keepdims=True))
    return float(np.mean([spread(window).mean() for window in windows]))


# --- notes ------------------------------------------------------------------------------------------------


def chroma_of(moments: Moments) -> np.ndarray:
    """Pitch classes of each moment, C first, shape (n_moments, 12); each row sums to 1, or is 0 in silence.

    Apply it to a whole recording: its tuning is estimated once.
    """
    notes = explain_as_notes(tune(moments.pitch_spectra, tuning_semitones(moments.pitch_spectra)))
    loudest = notes.max(axis=1, keepdims=True, initial=0.0)
    notes = np.where(notes >= MIN_SHARE * loudest, notes, 0.0) ** COMPRESSION
    chroma = np.zeros((len(notes), 12))
    np.add.at(chroma.T, (np.arange(LOWEST_PITCH, HIGHEST_PITCH + 1) % 12), notes.T)
    total = chroma.sum(axis=1, keepdims=True)
    return chroma / np.where(total > 0, total, 1.0)


def tuning_semitones(pitch_spectra: np.ndarray) -> float:
    """How far the recording lies above A4 = 440 Hz, in [-0.5, 0.5): the phase of a wave one semitone long."""
    lowest, highest = TUNING_PITCHES
    rows = (lowest <= BIN_PITCHES) & (highest >= BIN_PITCHES)
    mean = pitch_spectra[:, rows].sum(axis=0)
    return float(np.angle(mean @ np.exp(2j * np.pi * BIN_PITCHES[rows])) / (2 * np.pi))


def tune(pitch_spectra: np.ndarray, semitones: float) -> np.ndarray:
    """Move the spectra down by a fraction of a semitone, by interpolation; same shape."""
    shift = semitones * BINS_PER_SEMITONE
    whole = int(np.floor(shift))
    padded = np.pad(pitch_spectra, ((0, 0), (3, 3)), mode="edge")
    n_bins = pitch_spectra.shape[1]
    low = padded[:, 3 + whole : 3 + whole + n_bins]
    high = padded[:, 4 + whole : 4 + whole + n_bins]
    return low + (shift - whole) * (high - low)


def explain_as_notes(pitch_spectra: np.ndarray) -> np.ndarray:
    """Amplitudes of the notes whose sum comes nearest to each spectrum, none negative.

    Multiplicative updates (Lee and Seung 2001) of least squares; only the templates' products with each other and with
    the spectra are needed, so that an update costs 73 x 73 products per moment.

    Returns
    -------
    ndarray, shape (n_moments, HIGHEST_PITCH - LOWEST_PITCH + 1), float32
    """
    templates = note_templates()  # (n_notes, N_BINS)
    gram = templates @ templates.T
    likeness = pitch_spectra @ templates.T
    notes = np.maximum(likeness, 0)
    for _ in range(N_UPDATES):
        notes = notes * likeness / np.maximum(notes @ gram, 1e-20)
    return notes


@cache
def note_templates() -> np.ndarray:
    """What each note from `LOWEST_PITCH` to `HIGHEST_PITCH` looks like in the bins, shape (n_notes, N_BINS), float32.

    Each is made as a sound and analysed like one, so that the smear of low notes is part of it. Rows have length 1.
    """
    t_s = np.arange(WINDOW_SAMPLES) / SAMPLE_RATE_HZ
    n = np.arange(1, N_OVERTONES + 1)
    bands, window, highest_hz = pitch_bands(), hann(WINDOW_SAMPLES), pitch_to_hz(BIN_PITCHES[-1])
    templates = []
    for pitch in range(LOWEST_PITCH, HIGHEST_PITCH + 1):
        f_hz = pitch_to_hz(np.array(pitch)) * n
        amplitudes = OVERTONE_DECAY ** (n - 1) * (f_hz < highest_hz)
        partials = magnitudes(np.sin(2 * np.pi * np.outer(f_hz, t_s)).astype(np.float32), window)
        template = amplitudes @ (partials @ bands)
        templates.append(template / np.linalg.norm(template))
    return np.array(templates, dtype=np.float32)
