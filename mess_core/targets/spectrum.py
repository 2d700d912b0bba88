"""The shape of the spectrum: centroid, rolloff, bandwidth, zero crossings, brightness.

    blocks -> frames of 93 ms every 23 ms -> |STFT| S_k at f_k -> one number per frame -> median over sounding frames

Source
------
Peeters 2004, "A large set of audio features", sections 6 and 7; librosa's defaults (magnitudes, roll-off at 85 %).
Brightness: MIRtoolbox's default cut of 1500 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

from mess_core.targets.base import TargetValue
from mess_core.targets.dynamics import Loudness
from mess_core.targets.frames import SAMPLE_RATE_HZ, Filter, Framer, bin_frequencies_hz, hann, magnitudes, rows_within

WINDOW_SAMPLES = 2048  # 93 ms
HOP_SAMPLES = 512  # 23 ms
HOP_S = HOP_SAMPLES / SAMPLE_RATE_HZ
WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE_HZ
ROLLOFF_SHARE = 0.85
BRIGHT_HZ = 1500.0
RUMBLE_HZ = 20.0  # zero crossings are counted above it: an offset or rumble would hide them
MIN_FRAMES = 20  # half a second of sound

FREQUENCIES_HZ = bin_frequencies_hz(WINDOW_SAMPLES)


class SpectrumStream:
    """Collects the shape of the spectrum, frame by frame."""

    def __init__(self) -> None:
        self._framer = Framer(WINDOW_SAMPLES, HOP_SAMPLES)
        self._window = hann(WINDOW_SAMPLES)
        self._high_pass = Filter(signal.butter(2, RUMBLE_HZ, "highpass", fs=SAMPLE_RATE_HZ, output="sos"))
        self._crossings = Framer(WINDOW_SAMPLES, HOP_SAMPLES)
        self._was_negative = False
        self._parts: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> np.ndarray:
        """Take the next samples, shape (n,); return the spectra that end in them, (n_frames, n_bins)."""
        spectra = magnitudes(self._framer.add(block), self._window)
        crossings = self._crossings.add(self._changes_sign(block)).sum(axis=1)
        self._parts.append(np.column_stack([*describe(spectra), crossings / WINDOW_S]).astype(np.float32))
        return spectra

    def finish(self) -> SpectrumFrames:
        """Return what was collected."""
        return SpectrumFrames(np.concatenate([np.zeros((0, 5), dtype=np.float32), *self._parts]))

    def _changes_sign(self, block: np.ndarray) -> np.ndarray:
        """1 where a sample has another sign than the one before, shape (n,), float32."""
        is_negative = np.concatenate([[self._was_negative], np.signbit(self._high_pass.add(block))])
        self._was_negative = is_negative[-1]
        return (is_negative[1:] != is_negative[:-1]).astype(np.float32)


def describe(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Centroid [Hz], roll-off [Hz], bandwidth [Hz] and brightness [0..1] of each spectrum.

        centroid c = sum f S / sum S      roll-off = min f: sum up to f of S >= 0.85 sum S
        bandwidth  = sqrt(sum (f - c)² S / sum S)      brightness = sum over f > 1500 Hz of S² / sum S²

    Parameters
    ----------
    spectra : ndarray, shape (n_frames, n_bins), magnitudes at `FREQUENCIES_HZ`

    Returns
    -------
    four ndarrays, each shape (n_frames,); meaningless for an empty spectrum, which no sounding frame has
    """
    s = np.maximum(spectra, 1e-20).astype(np.float64)
    total = s.sum(axis=1)
    centroid = s @ FREQUENCIES_HZ / total
    mean_square = s @ FREQUENCIES_HZ**2 / total
    bandwidth = np.sqrt(np.maximum(mean_square - centroid**2, 0.0))
    rolloff = FREQUENCIES_HZ[np.argmax(np.cumsum(s, axis=1) >= ROLLOFF_SHARE * total[:, np.newaxis], axis=1)]
    energy = s**2
    brightness = energy[:, FREQUENCIES_HZ > BRIGHT_HZ].sum(axis=1) / energy.sum(axis=1)
    return centroid, rolloff, bandwidth, brightness


@dataclass(frozen=True)
class SpectrumFrames:
    """One row per frame."""

    table: np.ndarray  # (n_frames, 5): centroid, roll-off, bandwidth [Hz], brightness [0..1], zero crossings [1/s]
    start_s: float = 0.0  # when the first frame begins, from the start of the support

    def between(self, start_s: float, end_s: float) -> SpectrumFrames:
        """The frames of the whole recording that lie entirely within a part of it, which is then the support."""
        rows = rows_within(len(self.table), HOP_S, WINDOW_S, start_s, end_s)
        return SpectrumFrames(self.table[rows], rows.start * HOP_S - start_s)

    @property
    def centres_s(self) -> np.ndarray:
        """The middle of each frame, shape (n_frames,), from the start of the support."""
        return self.start_s + np.arange(len(self.table)) * HOP_S + WINDOW_S / 2


def measure(frames: SpectrumFrames, loudness: Loudness) -> dict[str, TargetValue]:
    """All targets of this file: medians over the sounding frames."""
    sounding = frames.table[loudness.is_sounding_at(frames.centres_s)]
    names = ("spectral_centroid", "spectral_rolloff", "spectral_bandwidth", "brightness", "zero_crossing_rate")
    if len(sounding) < MIN_FRAMES:
        reason = f"{len(sounding) * HOP_S:.1f} s of sound; a spectrum needs {MIN_FRAMES * HOP_S:.1f} s"
        return dict.fromkeys(names, TargetValue.none(reason, len(sounding)))
    medians = np.median(sounding, axis=0)
    return {name: TargetValue.good(value, len(sounding)) for name, value in zip(names, medians, strict=True)}
