"""Batches: crops of recordings as the encoder would hear them, never twice the same.

    shards -> Recordings (in memory) -> draw(step) -> Batch

A batch holds four crops of each piece: two moments of each of two twins. So for every crop there is another moment of
the same recording, and the same piece in another timbre. Each crop is scaled to its own peak, as the encoder does, then
heard through another loudspeaker (a smooth curve over the bands) and over another noise.

What is drawn follows from (seed, step) alone: training that was interrupted goes on as if it had not been.

Conventions: n crops; 251 mel frames (5 s) and 126 frames of labels; nothing is standardised here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mess_core.config import SEGMENT_S
from mess_core.encoders.mel import LOG_FLOOR, N_BANDS, PEAK_LEVEL
from training.data import PACKED, unpack
from training.labels import FRAME_RATE_HZ, N_KEYS
from training.recordings import from_bytes
from training.voices import DRUMS, FAMILY_NAMES

N_FRAMES = round(SEGMENT_S * FRAME_RATE_HZ) + 1
N_MEL_FRAMES = 2 * N_FRAMES - 1
COLUMNS = {"active": N_KEYS, "onsets": N_KEYS, "drums": len(DRUMS), "families": len(FAMILY_NAMES)}
QUIETEST_PEAK = 1e-3  # a crop below it is not scaled up further
FRAMES = ("active", "onsets", "drums", "families", "velocity", "articulation", "loudness", "beat", "chord")


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops with their labels; T = 126 frames. Undefined numbers are NaN.

    log_mel : (n, 251, 128) float32
    active, onsets : (n, T, 88) float32; drums (n, T, 3); families (n, T, n_families)
    velocity, articulation, loudness, beat : (n, T) float32; chord : (n, T) int64
    tempo_bpm : (n,) float32; key : (n,) int64
    recording, music : (n,) int64, equal where crops belong together
    """

    log_mel: torch.Tensor
    active: torch.Tensor
    onsets: torch.Tensor
    drums: torch.Tensor
    families: torch.Tensor
    velocity: torch.Tensor
    articulation: torch.Tensor
    loudness: torch.Tensor
    beat: torch.Tensor
    chord: torch.Tensor
    tempo_bpm: torch.Tensor
    key: torch.Tensor
    recording: torch.Tensor
    music: torch.Tensor


class Recordings:
    """All recordings of some shards, in memory: 30 MB an hour.

    Parameters
    ----------
    shards : sequence of Path, or of arrays as `data.pack` makes them
    """

    def __init__(self, shards: Sequence[Path | dict[str, np.ndarray]]) -> None:
        loaded = [_read(shard) if isinstance(shard, Path) else shard for shard in shards]
        self.arrays = {name: np.concatenate([arrays[name] for arrays in loaded]) for name in loaded[0]}
        names, self.music = np.unique(self.arrays["music"], return_inverse=True)
        self.n_music = len(names)

    def __len__(self) -> int:
        return len(self.arrays["log_mel"])

    def draw(self, seed: int, step: int, n_music: int, device: str = "cpu") -> Batch:
        """The batch of a step: 4 crops of each of `n_music` passages."""
        rng = np.random.default_rng([seed, step])
        pairs = rng.choice(len(self) // 2, n_music, replace=n_music > len(self) // 2)
        rows = (2 * pairs[:, None] + [0, 0, 1, 1]).reshape(-1)
        latest = self.arrays["chord"].shape[1] - N_FRAMES
        starts = rng.integers(0, latest, len(rows))
        batch = self.crop(rows, starts, device)
        generator = torch.Generator(device).manual_seed(int(rng.integers(1 << 62)))
        return replace(batch, log_mel=heard_elsewhere(batch.log_mel, generator))

    def crop(self, rows: np.ndarray, starts: np.ndarray, device: str = "cpu") -> Batch:
        """Crops of recordings `rows` from frames `starts`, each scaled to its own peak."""
        frames = starts[:, None] + np.arange(N_FRAMES)
        mel_frames = 2 * starts[:, None] + np.arange(N_MEL_FRAMES)
        at = rows[:, None]
        values: dict[str, np.ndarray] = {}
        for name in FRAMES:
            part = self.arrays[name][at, frames]
            if name in PACKED:
                part = unpack({name: part}, name, COLUMNS[name])
            values[name] = part.astype(np.int64 if name == "chord" else np.float32)
        values["tempo_bpm"] = self.arrays["tempo_bpm"][rows].astype(np.float32)
        values["key"] = self.arrays["key"][rows].astype(np.int64)
        values["recording"] = rows.astype(np.int64)
        values["music"] = self.music[rows].astype(np.int64)
        peaks = self.arrays["peaks"][at, frames].astype(np.float32).max(axis=1)
        gain = torch.from_numpy(PEAK_LEVEL / np.maximum(peaks, QUIETEST_PEAK)).to(device)
        stored = torch.from_numpy(self.arrays["log_mel"][at, mel_frames]).to(device)
        power = from_bytes(stored) + 2 * torch.log(gain)[:, None, None]
        log_mel = torch.logaddexp(power, power.new_tensor(LOG_FLOOR).log())
        return Batch(log_mel, **{name: torch.from_numpy(value).to(device) for name, value in values.items()})


def _read(shard: Path) -> dict[str, np.ndarray]:
    with np.load(shard) as arrays:
        return dict(arrays)


def heard_elsewhere(log_mel: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Through another loudspeaker and over another noise.

    Parameters
    ----------
    log_mel : Tensor, shape (n, n_mel_frames, 128)
    """
    n, device = len(log_mel), log_mel.device

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, 1, 1, generator=generator, device=device)

    bands = torch.linspace(-1, 1, N_BANDS, device=device)
    curve = uniform(-1.2, 1.2) * bands
    for _ in range(2):
        curve = curve + uniform(-0.6, 0.6) * torch.cos(torch.pi * (uniform(0.3, 3) * bands + uniform(0, 2)))
    edge = uniform(0.3, 1.4)  # above it treble is missing, on one recording in five
    dull = (bands - edge).clamp_min(0) * -25 * (uniform(0, 1) < 0.2)
    level = uniform(-1.2, 0.6)
    hiss = uniform(-16, -5) + uniform(-2, 1) * bands
    unevenness = 0.5 * torch.randn(log_mel.shape, generator=generator, device=device)
    floor = torch.clamp(hiss + unevenness, min=float(np.log(LOG_FLOOR)))
    return torch.logaddexp(log_mel + curve + dull + level, floor)
