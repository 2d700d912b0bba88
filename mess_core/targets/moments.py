"""Moments of half a second: which pitches sound, and with what timbre.

    blocks -> frames of 0.37 s every 0.1 s -> |STFT|, mean of five -> three bins per semitone    (n_moments, N_BINS)
                                                                   -> cepstrum of mel bands      (n_moments, N_CEPSTRUM)
                                                                   -> noisiness, treble          (n_moments, 2)

Half a second is the shortest window of tonal complexity and the grid of form; both share the long frames that keep
semitones apart down to about 130 Hz.

Source
------
Mauch and Dixon 2010, "Approximate note transcription" (pitch bins, tuning); Davis and Mermelstein 1980 (cepstrum).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from mess_core.targets.dynamics import Loudness
from mess_core.targets.frames import (
    SAMPLE_RATE_HZ,
    Framer,
    bin_frequencies_hz,
    hann,
    magnitudes,
    mel_edges_hz,
    rows_within,
    triangles,
)

WINDOW_SAMPLES = 8192  # 0.37 s, bins of 2.7 Hz
HOP_SAMPLES = 2205  # 0.1 s
FRAMES_PER_MOMENT = 5
MOMENT_S = FRAMES_PER_MOMENT * HOP_SAMPLES / SAMPLE_RATE_HZ  # 0.5 s
REACH_S = ((FRAMES_PER_MOMENT - 1) * HOP_SAMPLES + WINDOW_SAMPLES) / SAMPLE_RATE_HZ  # what the frames of one cover

LOWEST_PITCH, HIGHEST_PITCH = 28, 100  # MIDI: E1 to E7; below, bins are wider than a semitone
TOP_BIN_PITCH = 112  # overtones up to 5.3 kHz
BINS_PER_SEMITONE = 3
BIN_PITCHES = np.arange(LOWEST_PITCH * BINS_PER_SEMITONE - 1, TOP_BIN_PITCH * BINS_PER_SEMITONE + 2) / BINS_PER_SEMITONE
N_BINS = len(BIN_PITCHES)

N_MEL_BANDS = 40
N_CEPSTRUM = 12  # coefficients 1..12; coefficient 0 is the level, which loudness says better
CEPSTRUM_RANGE_DB = 60.0  # below the loudest band the noise floor would speak

NOISE_HZ = (200.0, 10_000.0)
TREBLE_HZ = 5000.0  # recordings that end at 8 kHz (speech, old ones) have some above it, too
COLOUR_RANGE_DB = 120.0  # below the loudest bin: digital silence has a logarithm, too


class MomentStream:
    """Collects half-seconds."""

    def __init__(self) -> None:
        self._framer = Framer(WINDOW_SAMPLES, HOP_SAMPLES)
        self._window = hann(WINDOW_SAMPLES)
        self._pitch_bands = pitch_bands()
        self._mel_bands = triangles(mel_edges_hz(N_MEL_BANDS, 60.0, 10_000.0), WINDOW_SAMPLES)
        self._waiting = np.zeros((0, WINDOW_SAMPLES // 2 + 1), dtype=np.float32)  # spectra of an unfinished moment
        self._pitch_parts: list[np.ndarray] = []
        self._cepstrum_parts: list[np.ndarray] = []
        self._colour_parts: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Take the next samples, shape (n,)."""
        spectra = np.concatenate([self._waiting, magnitudes(self._framer.add(block), self._window)])
        n_moments = len(spectra) // FRAMES_PER_MOMENT
        self._waiting = spectra[n_moments * FRAMES_PER_MOMENT :]
        if not n_moments:
            return
        whole = spectra[: n_moments * FRAMES_PER_MOMENT].reshape(n_moments, FRAMES_PER_MOMENT, -1)
        mean = whole.mean(axis=1)  # (n_moments, n_bins of the STFT)
        self._pitch_parts.append(mean @ self._pitch_bands)
        self._cepstrum_parts.append(cepstrum(mean @ self._mel_bands))
        self._colour_parts.append(colour(mean))

    def finish(self) -> Moments:
        """Return what was collected; an unfinished last moment is left out."""
        return Moments(
            np.concatenate([np.zeros((0, N_BINS), dtype=np.float32), *self._pitch_parts]),
            np.concatenate([np.zeros((0, N_CEPSTRUM), dtype=np.float32), *self._cepstrum_parts]),
            np.concatenate([np.zeros((0, 2), dtype=np.float32), *self._colour_parts]),
        )


@dataclass(frozen=True)
class Moments:
    """One row per half-second."""

    pitch_spectra: np.ndarray  # (n_moments, N_BINS), magnitude at `BIN_PITCHES` before tuning
    cepstra: np.ndarray  # (n_moments, N_CEPSTRUM), dB
    colours: np.ndarray  # (n_moments, 2): noisiness and treble, dB
    start_s: float = 0.0  # when the first moment begins, from the start of the support

    def between(self, start_s: float, end_s: float) -> Moments:
        """The moments of the whole recording that lie entirely within a part of it, which is then the support."""
        rows = rows_within(len(self.cepstra), MOMENT_S, REACH_S, start_s, end_s)
        return Moments(
            self.pitch_spectra[rows], self.cepstra[rows], self.colours[rows], rows.start * MOMENT_S - start_s
        )

    def is_sounding(self, loudness: Loudness) -> np.ndarray:
        """Whether there is music in the middle of each moment, shape (n_moments,), bool."""
        return loudness.is_sounding_at(self.start_s + np.arange(len(self.cepstra)) * MOMENT_S + REACH_S / 2)


def pitch_bands() -> np.ndarray:
    """Map |STFT| to bins of a third of a semitone, shape (WINDOW_SAMPLES // 2 + 1, N_BINS), float32.

    A bin is a triangle two thirds of a semitone wide; where that is narrower than two bins of the STFT it becomes
    linear interpolation between them.
    """
    f_hz = bin_frequencies_hz(WINDOW_SAMPLES)[:, np.newaxis]
    centre_hz = pitch_to_hz(BIN_PITCHES)
    third = 2 ** (1 / (12 * BINS_PER_SEMITONE))
    half_width_hz = np.maximum(centre_hz * (third - 1), SAMPLE_RATE_HZ / WINDOW_SAMPLES)
    bands = np.clip(1 - np.abs(f_hz - centre_hz) / half_width_hz, 0, None)
    return (bands / bands.sum(axis=0)).astype(np.float32)


def cepstrum(bands: np.ndarray) -> np.ndarray:
    """Coefficients 1..12 of the cosine transform of band levels in dB, shape (n, N_CEPSTRUM), float32."""
    levels_db = 20 * np.log10(np.maximum(bands, 1e-10))
    levels_db = np.maximum(levels_db, levels_db.max(axis=1, keepdims=True) - CEPSTRUM_RANGE_DB)
    return fft.dct(levels_db, axis=1, norm="ortho")[:, 1 : N_CEPSTRUM + 1].astype(np.float32)


def colour(spectra: np.ndarray) -> np.ndarray:
    """Noisiness and treble of each spectrum, shape (n, 2), float32, dB.

        noisiness = geometric / arithmetic mean of the power from 200 Hz to 10 kHz: 0 would be flat, tones lie far below
        treble    = power above 5 kHz / all power

    Parameters
    ----------
    spectra : ndarray, shape (n, WINDOW_SAMPLES // 2 + 1), magnitudes
    """
    loudest = np.maximum(spectra.max(axis=1, keepdims=True), 1e-20)
    power = np.maximum(spectra / loudest, 10 ** (-COLOUR_RANGE_DB / 20)) ** 2
    low, high, treble = (round(f_hz * WINDOW_SAMPLES / SAMPLE_RATE_HZ) for f_hz in (*NOISE_HZ, TREBLE_HZ))
    band = power[:, low:high]
    noisiness_db = 10 * (np.log10(band).mean(axis=1) - np.log10(band.mean(axis=1)))
    treble_db = 10 * np.log10(power[:, treble:].sum(axis=1) / power.sum(axis=1))
    return np.column_stack([noisiness_db, treble_db]).astype(np.float32)


def pitch_to_hz(pitches: np.ndarray) -> np.ndarray:
    """Frequency of MIDI pitches, A4 = 440 Hz."""
    return 440.0 * 2 ** ((np.asarray(pitches) - 69) / 12)
