"""Signs of a voice: partials that glide, syllables, and the pauses of speech.

    spectra every 23 ms -> 10 cents per bin, 500 to 4000 Hz -> how far each band moves from one to the next -> glides
    deviation of every 10 ms -> 3 to 7 Hz of its course -> syllables; how much of it lies below half the mean -> pauses

Keys, strings with frets, valves and machines hold their pitch; a voice slides into, out of and between notes, and so
do its partials, all together. A violin's vibrato (some 15 cents either way, six times a second) moves by 13 cents
between two frames at most, less than is counted here; a singer's moves by more.

Source
------
Glides: Lehner, Sonnleitner and Widmer 2013, "Towards light-weight, real-time-capable singing voice detection"
("fluctogram"). Syllables and pauses: Scheirer and Slaney 1997, "Construction and evaluation of a robust multifeature
speech/music discriminator" (4 Hz modulation energy, percentage of low-energy frames).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from mess_core.targets.danceability import STEP_S
from mess_core.targets.dynamics import Loudness
from mess_core.targets.frames import rows_within
from mess_core.targets.spectrum import FREQUENCIES_HZ, HOP_S, WINDOW_S

PAIR_S = 2 * HOP_S  # of four frames the first two are compared, and the last two: all would cost twice as much
LOW_HZ, HIGH_HZ = 500.0, 4000.0  # below, a bin of the spectrum is wider than a glide; above, a voice has few partials
BINS_PER_OCTAVE = 120  # 10 cents
N_BINS = round(np.log2(HIGH_HZ / LOW_HZ) * BINS_PER_OCTAVE)
BAND_BINS = 180  # an octave and a half: several partials, which a voice moves together
BAND_STARTS = (6, 90, 174)
REACH = 6  # bins: a glide is sought up to this far; one that lies at the end of it is a jump
LEAST_GLIDE = 2  # bins: 20 cents in 23 ms
ALIKE = 0.8  # correlation of a band with itself, moved: below it, something else began

SYLLABLES_HZ = (3.0, 7.0)
WINDOW_STEPS, WINDOW_HOP_STEPS = 200, 50  # 2 s every 0.5 s
LOUD_SHARE = 0.03  # of the loud windows' level (95th percentile): windows below are pauses between pieces of music
PAUSE_SHARE = 0.5  # of the mean of its window
MIN_WINDOWS = 5  # 4 s


class GlideStream:
    """Collects how much glides, from frame to frame."""

    def __init__(self) -> None:
        bins = LOW_HZ * 2 ** (np.arange(N_BINS) / BINS_PER_OCTAVE) / FREQUENCIES_HZ[1]
        self._below = bins.astype(int)
        self._share = (bins - self._below).astype(np.float32)
        self._waiting = np.zeros((0, N_BINS), dtype=np.float32)  # the first frame of an unfinished pair
        self._parts: list[np.ndarray] = []

    def add(self, spectra: np.ndarray) -> None:
        """Take the next frames, shape (n_frames, n_bins), as `spectrum.SpectrumStream.add` returns them."""
        below, above = (np.take(spectra, bins, axis=1) for bins in (self._below, self._below + 1))
        rows = np.concatenate([self._waiting, below + self._share * (above - below)])
        n_pairs = len(rows) // 2
        self._waiting = rows[2 * n_pairs :]
        if n_pairs:
            rows = rows[: 2 * n_pairs]
            rows = rows / np.maximum(rows.max(axis=1, keepdims=True), 1e-20)
            self._parts.append(gliding(rows[::2], rows[1::2]))

    def finish(self) -> Glides:
        """Return what was collected."""
        return Glides(np.concatenate([np.zeros(0, dtype=np.float32), *self._parts]))


def gliding(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Share of the bands that glide between each row and the one after it, shape (n_rows,), float32.

    Parameters
    ----------
    earlier, later : ndarray, shape (n_rows, N_BINS)
    """
    befores, afters = (np.lib.stride_tricks.sliding_window_view(rows, BAND_BINS, axis=1) for rows in (earlier, later))
    n_gliding = np.zeros(len(earlier), dtype=np.float32)
    for start in BAND_STARTS:
        before, after = befores[:, start], afters[:, start - REACH : start + REACH + 1]
        before = before - before.mean(axis=1, keepdims=True)
        squares = np.einsum("ijb,ijb->ij", after, after) - np.einsum("ijb->ij", after) ** 2 / BAND_BINS
        alike = np.einsum("ib,ijb->ij", before, after) / np.sqrt(np.maximum(squares, 1e-9))
        moved = np.abs(np.argmax(alike, axis=1) - REACH)
        is_alike = alike.max(axis=1) > ALIKE * np.sqrt(np.einsum("ib,ib->i", before, before))
        n_gliding += (moved >= LEAST_GLIDE) & (moved < REACH) & is_alike
    return n_gliding / len(BAND_STARTS)


@dataclass(frozen=True)
class Glides:
    """One value for every two frames of the spectrum."""

    shares: np.ndarray  # (n_pairs,), of the bands that glide
    start_s: float = 0.0  # when the first frame begins, from the start of the support

    def between(self, start_s: float, end_s: float) -> Glides:
        """Those that lie entirely within a part of the support, which is then the support."""
        rows = rows_within(len(self.shares), PAIR_S, HOP_S + WINDOW_S, start_s, end_s)
        return Glides(self.shares[rows], rows.start * PAIR_S - start_s)

    def sounding_share(self, loudness: Loudness) -> tuple[float, int]:
        """Mean where there is music, NaN if there is none; and over how many frames."""
        centres_s = self.start_s + np.arange(len(self.shares)) * PAIR_S + (HOP_S + WINDOW_S) / 2
        sounding = self.shares[loudness.is_sounding_at(centres_s)]
        return (float(sounding.mean()), len(sounding)) if len(sounding) else (float("nan"), 0)


def syllables(deviations: np.ndarray) -> tuple[float, float]:
    """How much the level moves at the pace of syllables [log of relative power], and the share of pauses [0..1].

    Parameters
    ----------
    deviations : ndarray, shape (n_steps,), as `danceability.DeviationStream` collects them

    Returns
    -------
    modulation, pauses : float
        NaN where fewer than `MIN_WINDOWS` windows sound.
    """
    if len(deviations) < WINDOW_STEPS:
        return float("nan"), float("nan")
    windows = np.lib.stride_tricks.sliding_window_view(deviations, WINDOW_STEPS)[::WINDOW_HOP_STEPS]
    means = windows.mean(axis=1, dtype=np.float64)
    is_loud = means > LOUD_SHARE * np.percentile(means, 95)
    if is_loud.sum() < MIN_WINDOWS:
        return float("nan"), float("nan")
    window = np.hanning(WINDOW_STEPS)
    frequencies_hz = fft.rfftfreq(WINDOW_STEPS, STEP_S)
    is_syllabic = (frequencies_hz >= SYLLABLES_HZ[0]) & (frequencies_hz <= SYLLABLES_HZ[1])
    powers, pauses = [], []
    for row in np.flatnonzero(is_loud):  # one by one: a copy of all windows would be four times the recording
        relative = windows[row] / means[row]
        spectrum = np.abs(fft.rfft((relative - 1) * window)) ** 2
        powers.append(2 * spectrum[is_syllabic].sum() / WINDOW_STEPS**2)
        pauses.append(np.mean(relative < PAUSE_SHARE))
    return float(np.log(max(np.median(powers), 1e-9))), float(np.mean(pauses))
