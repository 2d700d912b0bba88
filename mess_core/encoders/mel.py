"""Log-mel frames and MFCC: MESS-nano's front-end, and by themselves the controls that every encoder must beat.

A spectrogram whose frequencies are spaced as the ear spaces them, in natural logarithm of power. It has no weights
and learns nothing: what an encoder cannot do better than this, it has not learned.

Source: Slaney's mel scale and area normalisation as in librosa.filters.mel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mess_core.config import SILENCE_PEAK
from mess_core.encoders.base import HEARD, Encoder, EncoderEntry, EncoderInfo, check_waveforms

if TYPE_CHECKING:
    import torch

SAMPLE_RATE_HZ = 24_000
N_BANDS = 128
FFT_SAMPLES = 1024  # 43 ms at 24 kHz
MEL_HOP_SAMPLES = 480  # 20 ms: 50 frames per second
MEL_MIN_HZ = 20.0
LOG_FLOOR = 1e-6
PEAK_LEVEL = 0.5  # every segment is scaled to this peak, unless it is silence
MEL_NORMALISER = f"peak-0.5/1, {HEARD}"

MEL = EncoderInfo(
    id="mel",
    title="Log-mel",
    summary="Log-mel spectrum, mean and standard deviation over time: the control every encoder must beat.",
    source="mess_core/encoders/mel.py",
    revision="1",
    licence="Apache-2.0",
    files=(),
    sample_rate_hz=SAMPLE_RATE_HZ,
    frame_rate_hz=SAMPLE_RATE_HZ / MEL_HOP_SAMPLES,
    n_layers=1,
    dim=N_BANDS,
    layer_0="128 log-mel bands",
    normaliser=MEL_NORMALISER,
    pooling="mean+std",
)

N_CEPSTRA = 20
DELTA_FRAMES = 9  # 180 ms: the slope of a line fitted to so many frames, as in librosa.feature.delta

MFCC = replace(
    MEL,
    id="mfcc",
    title="MFCC",
    summary="20 mel cepstra with their first and second derivative: the classical description of timbre, a control.",
    dim=3 * N_CEPSTRA,
    layer_0="20 mel-frequency cepstral coefficients, delta, delta-delta",
)


def mel_filters(
    fft_samples: int, sample_rate_hz: int = SAMPLE_RATE_HZ, n_bands: int = N_BANDS, lowest_hz: float = MEL_MIN_HZ
) -> np.ndarray:
    """Triangles of equal area, evenly spaced on the mel scale up to half the rate, (n_bins, n_bands) float32.

    Those of librosa.filters.mel, to rounding; importing that takes ten times as long as loading an encoder.
    """
    step = np.log(6.4) / 27  # above 1 kHz a mel is this much of a neper; below, 200 / 3 Hz
    break_hz, break_mel = 1000.0, 15.0
    edges_mel = np.linspace(lowest_hz * 3 / 200, break_mel + np.log(sample_rate_hz / 2 / break_hz) / step, n_bands + 2)
    above_hz = break_hz * np.exp(step * (edges_mel - break_mel))
    edges_hz = np.where(edges_mel < break_mel, edges_mel * 200 / 3, above_hz)  # (n_bands + 2,)
    bins_hz = np.arange(fft_samples // 2 + 1)[:, None] * sample_rate_hz / fft_samples
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    filters: np.ndarray = (triangles.clip(0) * 2 / (high - low)).astype(np.float32)
    return filters


class LogMel:
    """Waveforms (n, n_samples) -> log-mel (n, n_mel_frames, 128), standardised by band; 5 s have 251 frames."""

    def __init__(
        self,
        mean: np.ndarray | float = 0.0,
        std: np.ndarray | float = 1.0,
        fft_samples: int = FFT_SAMPLES,
        filters: np.ndarray | None = None,
    ) -> None:
        import torch

        # (n_bins, 128), or as many bands as other filters have
        self.filters = torch.from_numpy(mel_filters(fft_samples) if filters is None else filters)
        self.window = torch.hann_window(fft_samples)
        self.mean = torch.as_tensor(mean, dtype=torch.float32)
        self.std = torch.as_tensor(std, dtype=torch.float32)

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        import torch

        peak = waveforms.abs().amax(dim=1, keepdim=True)
        # Silence stays what it is: scaling it up would make music of its dither.
        waveforms = torch.where(peak > SILENCE_PEAK, waveforms * (PEAK_LEVEL / peak.clamp_min(SILENCE_PEAK)), waveforms)
        spectra = torch.stft(
            waveforms, len(self.window), MEL_HOP_SAMPLES, window=self.window, center=True, return_complex=True
        )
        power = (spectra.real.square() + spectra.imag.square()).transpose(1, 2)  # (n, n_mel_frames, n_bins)
        return (torch.log(power @ self.filters + LOG_FLOOR) - self.mean) / self.std


class Mel(Encoder):
    """The control: one layer of log-mel frames."""

    def __init__(self) -> None:
        self.info = MEL
        self.log_mel = LogMel()

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        import torch

        waveforms = check_waveforms(waveforms, self.info)
        with torch.inference_mode():
            return self.log_mel(torch.from_numpy(waveforms))[:, None].numpy()


class Mfcc(Encoder):
    """The classical control: cosine transform of the log-mel bands, with slopes over time."""

    def __init__(self) -> None:
        import scipy.fft
        import torch

        self.info = MFCC
        self.log_mel = LogMel()
        cosines = scipy.fft.dct(np.eye(N_BANDS), norm="ortho")[:, :N_CEPSTRA]
        self.cosines = torch.from_numpy(cosines.astype(np.float32))  # (128, 20)
        steps = torch.arange(DELTA_FRAMES, dtype=torch.float32) - DELTA_FRAMES // 2
        self.slope = (steps / steps.square().sum()).view(1, 1, -1)

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        import torch

        waveforms = check_waveforms(waveforms, self.info)
        with torch.inference_mode():
            cepstra = self.log_mel(torch.from_numpy(waveforms)) @ self.cosines  # (n, n_frames, 20)
            delta = self._slope(cepstra)
            return torch.cat([cepstra, delta, self._slope(delta)], dim=-1)[:, None].numpy()

    def _slope(self, frames: torch.Tensor) -> torch.Tensor:
        """Slope per frame of each coefficient; the first and last frames are repeated at the edges."""
        import torch.nn.functional as F

        n, n_frames, n_coefficients = frames.shape
        rows = frames.transpose(1, 2).reshape(-1, 1, n_frames)
        rows = F.pad(rows, (DELTA_FRAMES // 2, DELTA_FRAMES // 2), mode="replicate")
        return F.conv1d(rows, self.slope).view(n, n_coefficients, n_frames).transpose(1, 2)


ENTRIES = (
    EncoderEntry(MEL, load=lambda info, paths, device: Mel()),
    EncoderEntry(MFCC, load=lambda info, paths, device: Mfcc()),
)
