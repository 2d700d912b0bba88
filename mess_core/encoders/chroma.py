"""Chroma: how much sounds at each of the twelve pitch classes, a control.

Which notes are heard says which piece is played, whoever plays it. Twelve numbers find another recording of a piece
nearly as often as an encoder does; whoever claims that an encoder has understood music must beat them.

A spectrum fine enough to tell semitones from about 100 Hz on; each of its bins counts for the two pitch classes that
its frequency lies between, in proportion to nearness. Natural logarithm of the power in each class.

Source: Fujishima (1999) for the pitch class profile; Müller, Fundamentals of Music Processing (2015), §3.1.2.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mess_core.encoders.base import Encoder, EncoderEntry, check_waveforms
from mess_core.encoders.mel import MEL, SAMPLE_RATE_HZ, LogMel

N_CLASSES = 12  # C first
FFT_SAMPLES = 4096  # 171 ms at 24 kHz: bins of 5.9 Hz, a semitone at 100 Hz
LOWEST_HZ, HIGHEST_HZ = 65.4, 4186.0  # C2 to C8: below, semitones blur; above, there is hardly a fundamental
A4_HZ, CLASS_OF_A = 440.0, 9

CHROMA = replace(
    MEL,
    id="chroma",
    title="Chroma",
    summary="Power at each of the twelve pitch classes, mean and deviation: which notes, not how. A control.",
    source="mess_core/encoders/chroma.py",
    dim=N_CLASSES,
    layer_0="12 pitch classes, from C",
)


def chroma_filters(
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    fft_samples: int = FFT_SAMPLES,
    lowest_hz: float = LOWEST_HZ,
    highest_hz: float = HIGHEST_HZ,
) -> np.ndarray:
    """What each bin of a spectrum counts for each pitch class, (n_bins, 12) float32; rows sum to 1, or to 0."""
    bins_hz = np.fft.rfftfreq(fft_samples, 1 / sample_rate_hz)
    is_used = (bins_hz >= lowest_hz) & (bins_hz <= highest_hz)
    semitones = 12 * np.log2(np.where(is_used, bins_hz, A4_HZ) / A4_HZ) + CLASS_OF_A
    away = np.abs((semitones[:, None] - np.arange(N_CLASSES) + 6) % 12 - 6)  # around the octave, 0 to 6
    filters: np.ndarray = ((1 - away).clip(0) * is_used[:, None]).astype(np.float32)
    return filters


class Chroma(Encoder):
    """The control: one layer of log-chroma frames."""

    def __init__(self) -> None:
        self.info = CHROMA
        self.log_chroma = LogMel(fft_samples=FFT_SAMPLES, filters=chroma_filters())

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        import torch

        waveforms = check_waveforms(waveforms, self.info)
        with torch.inference_mode():
            return self.log_chroma(torch.from_numpy(waveforms))[:, None].numpy()


ENTRIES = (EncoderEntry(CHROMA, load=lambda info, paths, device: Chroma()),)
