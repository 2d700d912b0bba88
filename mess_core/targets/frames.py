"""A stream of blocks -> overlapping frames -> magnitude spectra, and filters that remember their state.

Conventions
-----------
All audio targets hear the mono mix at `SAMPLE_RATE_HZ`. Frame i of a stream starts at sample i * hop. Nothing is
padded: what does not fill a frame is left out, so that a target knows only its own support.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, signal

SAMPLE_RATE_HZ = 22_050  # overtones up to 11 kHz; the rate all of librosa's published figures refer to


class Framer:
    """Cuts blocks into frames of `window_samples`, one every `hop_samples`."""

    def __init__(self, window_samples: int, hop_samples: int) -> None:
        self.window_samples = window_samples
        self.hop_samples = hop_samples
        self._held = np.zeros(0, dtype=np.float32)  # the samples that frames still to come begin with

    def add(self, block: np.ndarray) -> np.ndarray:
        """Return the frames this block completes, shape (n_frames, window_samples), read-only."""
        samples = np.concatenate([self._held, block])
        n_frames = max(0, (len(samples) - self.window_samples) // self.hop_samples + 1)
        self._held = samples[n_frames * self.hop_samples :]
        if not n_frames:
            return np.zeros((0, self.window_samples), dtype=np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(samples, self.window_samples)
        return windows[:: self.hop_samples][:n_frames]


class Filter:
    """An IIR filter in second-order sections that goes on where the last block ended."""

    def __init__(self, sections: np.ndarray) -> None:
        self._sections = sections
        self._state = np.zeros((len(sections), 2))

    def add(self, block: np.ndarray) -> np.ndarray:
        """Return the filtered block, shape (n,), float64."""
        filtered, self._state = signal.sosfilt(self._sections, block, zi=self._state)
        # in silence the state dies away into denormal numbers, which are many times slower to compute with
        self._state[np.abs(self._state) < 1e-30] = 0.0
        return filtered


def hann(window_samples: int) -> np.ndarray:
    """The periodic Hann window, shape (window_samples,), float32."""
    return signal.get_window("hann", window_samples).astype(np.float32)


def magnitudes(frames: np.ndarray, window: np.ndarray) -> np.ndarray:
    """|STFT|, shape (n_frames, window_samples // 2 + 1), float32; a sine of amplitude 1 has a peak of 1.

    Parameters
    ----------
    frames : ndarray, shape (n_frames, window_samples), float32
    window : ndarray, shape (window_samples,), float32
    """
    return np.abs(fft.rfft(frames * (window * (2 / window.sum())), axis=1))


def bin_frequencies_hz(window_samples: int) -> np.ndarray:
    """Frequency of each bin of `magnitudes`, shape (window_samples // 2 + 1,)."""
    return fft.rfftfreq(window_samples, 1 / SAMPLE_RATE_HZ)


def triangles(edges_hz: np.ndarray, window_samples: int) -> np.ndarray:
    """Overlapping triangular bands: each begins and ends at the peaks of its neighbours.

    Parameters
    ----------
    edges_hz : ndarray, shape (n_bands + 2,), increasing

    Returns
    -------
    ndarray, shape (window_samples // 2 + 1, n_bands), float32; each band sums to 1
    """
    f_hz = bin_frequencies_hz(window_samples)[:, np.newaxis]
    low, peak, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    bands = np.clip(np.minimum((f_hz - low) / (peak - low), (high - f_hz) / (high - peak)), 0, None)
    return (bands / np.maximum(bands.sum(axis=0), 1e-12)).astype(np.float32)


def mel_edges_hz(n_bands: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Edges of `triangles` that are equally far apart on the mel scale (O'Shaughnessy 1987), shape (n_bands + 2,)."""
    low, high = 2595 * np.log10(1 + np.array([low_hz, high_hz]) / 700)
    return 700 * (10 ** (np.linspace(low, high, n_bands + 2) / 2595) - 1)


def rows_within(n_rows: int, hop_s: float, width_s: float, start_s: float, end_s: float) -> slice:
    """Which of `n_rows` frames lie entirely within [start_s, end_s]; frame i covers [i hop_s, i hop_s + width_s]."""
    tolerance_s = 1e-6
    first = int(np.ceil((start_s - tolerance_s) / hop_s))
    last = int(np.floor((end_s - width_s + tolerance_s) / hop_s))
    return slice(max(first, 0), max(min(last + 1, n_rows), 0, first))
