"""What the tests share: an empty data folder, small recordings, a small library, an encoder of one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mess_core.encoders.base import Encoder, EncoderInfo, check_waveforms
from mess_core.home import Home

RATE_HZ = 24_000
SHARED = Path(__file__).parents[2] / "shared" / "data"  # large data that is not part of the repository


class FakeEncoder(Encoder):
    """Two layers whose hidden states are simple functions of the waveform, so that tests can compute the answer."""

    def __init__(self, **facts: object) -> None:
        defaults = {
            "id": "fake",
            "title": "Fake",
            "summary": "",
            "source": "tests",
            "revision": "1",
            "licence": "none",
            "files": (),
            "sample_rate_hz": RATE_HZ,
            "frame_rate_hz": 10.0,
            "n_layers": 2,
            "dim": 3,
            "layer_0": "none",
            "normaliser": "none",
        }
        self.info = EncoderInfo(**{**defaults, **facts})
        self.batch_sizes: list[int] = []

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        waveforms = check_waveforms(waveforms, self.info)
        self.batch_sizes.append(len(waveforms))
        n, n_samples = waveforms.shape
        frames = waveforms[:, : n_samples // 2400 * 2400].reshape(n, 1, -1, 2400)
        facts = np.stack([frames.mean(-1), np.abs(frames).mean(-1), frames.max(-1)], axis=-1)  # (n, 1, n_frames, 3)
        return np.concatenate([facts, 2 * facts], axis=1).astype(np.float32)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty data folder."""
    return Home(tmp_path / "home")


@pytest.fixture
def write_wav(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recording of seeded noise around a tone: `write_wav("a", seconds=3, seed=1)`."""

    def write(name: str, seconds: float = 3.0, seed: int = 0, level: float = 0.2, folder: str = "music") -> Path:
        rng = np.random.default_rng(seed)
        time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
        tone = np.sin(2 * np.pi * (200 + 40 * seed) * time_s)
        samples = level * (tone + 0.1 * rng.standard_normal(len(time_s)))
        path = tmp_path / folder / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, samples, RATE_HZ)
        return path

    return write
