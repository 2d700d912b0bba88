"""Loudness: EBU's own test signals, and pyloudnorm as the reference."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest

from mess_core.audio.loudness import LoudnessMeter

RATE_HZ = 48_000


def measure(samples: np.ndarray, rate_hz: int = RATE_HZ, block_frames: int = 10_007) -> float | None:
    """Measure in blocks that fit nothing."""
    meter = LoudnessMeter(rate_hz, samples.shape[1])
    for start in range(0, len(samples), block_frames):
        meter.add(samples[start : start + block_frames])
    return meter.integrated_lufs()


def sine(level_dbfs: float, duration_s: float) -> np.ndarray:
    """1 kHz in both channels; shape (n, 2)."""
    t = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    wave = 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * 1000 * t)
    return np.stack([wave, wave], axis=1).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "expected_lufs"),
    [
        pytest.param([(-23, 20)], -23.0, id="case-1"),
        pytest.param([(-33, 20)], -33.0, id="case-2"),
        pytest.param([(-36, 10), (-23, 60), (-36, 10)], -23.0, id="case-3-relative-gate"),
        pytest.param([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0, id="case-4-both-gates"),
        pytest.param([(-26, 20), (-20, 20.1), (-26, 20)], -23.0, id="case-5"),
    ],
)
def test_ebu_tech_3341(parts: list[tuple[float, float]], expected_lufs: float) -> None:
    """The minimum requirements of EBU Tech 3341, table 1: within 0.1 LU."""
    assert measure(np.concatenate([sine(*part) for part in parts])) == pytest.approx(expected_lufs, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [8000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_equals_pyloudnorm(rate_hz: int, n_channels: int) -> None:
    """Programme whose level wanders over 60 dB, at a length that fits no step: the same within 1e-3 LU."""
    rng = np.random.default_rng(rate_hz + n_channels)
    for n_frames in rng.integers(0.5 * rate_hz, 9 * rate_hz, 3):
        time_s = np.arange(n_frames) / rate_hz
        level_db = np.interp(time_s, np.arange(0, 10, 0.5), rng.uniform(-60, 0, 20))
        samples = rng.standard_normal((n_frames, n_channels)) * 10 ** (level_db[:, None] / 20) * 0.3
        expected = pyloudnorm.Meter(rate_hz).integrated_loudness(samples)
        assert measure(samples.astype(np.float32), rate_hz) == pytest.approx(expected, abs=1e-3)


def test_block_size_does_not_matter() -> None:
    """One block or many: the same loudness."""
    samples = np.random.default_rng(0).standard_normal((RATE_HZ * 3, 2)).astype(np.float32)
    whole = measure(samples, block_frames=len(samples))
    for block_frames in (999, 4800, 19_200, 65_536):
        assert measure(samples, block_frames=block_frames) == pytest.approx(whole, abs=1e-9)


def test_silence_and_snippets_have_no_loudness() -> None:
    """Nothing above the gate, or less than one gate block: None, not minus infinity."""
    assert measure(np.zeros((RATE_HZ * 2, 2), np.float32)) is None
    assert measure(sine(-90, 2)) is None
    assert measure(sine(-20, 0.39)) is None
    assert measure(sine(-20, 0.4)) == pytest.approx(-20, abs=0.5)
    assert LoudnessMeter(RATE_HZ, 2).integrated_lufs() is None


def test_the_low_frequency_channel_does_not_count() -> None:
    """Six channels in WAV order: the fourth weighs nothing, the surrounds 1.5 dB more."""
    programme = sine(-23, 2)[:, :1]
    surround = np.zeros((len(programme), 6), np.float32)
    surround[:, 3:4] = programme
    assert measure(surround) is None
    surround[:, 4:5] = programme
    assert measure(surround) == pytest.approx(measure(programme) + 1.49, abs=0.01)


def test_input_is_left_alone() -> None:
    """Measuring changes nothing."""
    samples = sine(-23, 1)
    before = samples.copy()
    measure(samples)
    np.testing.assert_array_equal(samples, before)
