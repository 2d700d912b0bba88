"""Preview: some seconds from the middle of a recording, as loud as any other, to tell at once what it is.

The beginning of a recording is often silence, applause, or the same for all movements; the middle is music. It is made
quieter where it is louder than broadcasts are (EBU R 128), never louder: what is soft stays clear of noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mess_core.audio.decode import read_excerpt

PREVIEW_S = 8.0
FADE_S = 0.05  # at both ends: a cut in the middle of a note would click
TARGET_LUFS = -23.0  # EBU R 128


def preview(path: Path, duration_s: float, loudness_lufs: float | None) -> tuple[np.ndarray, int]:
    """The middle of a recording.

    Parameters
    ----------
    path : Path
    duration_s : float, seconds
    loudness_lufs : float or None
        Of the whole recording, as heard from two speakers; None where it is not known.

    Returns
    -------
    ndarray, shape (n_samples, n_channels), float32
        At most `PREVIEW_S` long.
    int, Hz

    Raises
    ------
    AudioError
        If the file is gone, or is no audio that MESS reads.
    """
    start_s = max(0.0, (duration_s - PREVIEW_S) / 2)
    audio, rate_hz = read_excerpt(path, start_s, PREVIEW_S)
    if loudness_lufs is not None and np.isfinite(loudness_lufs):
        audio = audio * np.float32(10 ** (min(0.0, TARGET_LUFS - loudness_lufs) / 20))
    return faded(audio, rate_hz), rate_hz


def faded(audio: np.ndarray, rate_hz: int) -> np.ndarray:
    """Audio (n_samples, n_channels) that begins and ends in silence."""
    n_fade = min(round(FADE_S * rate_hz), len(audio) // 2)
    fade = np.ones(len(audio), np.float32)
    fade[:n_fade] = np.linspace(0, 1, n_fade, endpoint=False)
    fade[len(audio) - n_fade :] = np.linspace(1, 0, n_fade, endpoint=False)
    return audio * fade[:, None]
