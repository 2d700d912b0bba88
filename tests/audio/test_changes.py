"""Changes: each does what it says, measured on sounds of which that is known."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.audio.changes import Change, apply
from mess_core.errors import InputError

RATE = 16_000


def tone(hz: float = 440.0, seconds: float = 2.0, level: float = 0.1, n_channels: int = 1) -> np.ndarray:
    mono = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return np.repeat(mono[:, None], n_channels, axis=1).astype(np.float32)


def loudest_hz(samples: np.ndarray) -> float:
    middle = samples[len(samples) // 4 : -len(samples) // 4, 0]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(np.fft.rfftfreq(len(middle), 1 / RATE)[spectrum.argmax()])


def rms_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def test_nothing_is_nothing():
    sound = tone(n_channels=2)
    assert Change().is_none and Change().words == "as it is"
    assert np.array_equal(apply(Change(), sound, RATE), sound)


@pytest.mark.slow
@pytest.mark.parametrize("semitones", [-12, -1, 3, 12])
def test_pitch_moves_and_the_length_stays(semitones):
    changed = apply(Change(semitones=semitones), tone(n_channels=2), RATE)
    assert changed.shape == (2 * RATE, 2)
    assert loudest_hz(changed) == pytest.approx(440 * 2 ** (semitones / 12), abs=2)


@pytest.mark.slow
@pytest.mark.parametrize("tempo", [0.5, 1.25, 2.0])
def test_tempo_changes_the_length_and_the_pitch_stays(tempo):
    changed = apply(Change(tempo=tempo), tone(), RATE)
    assert len(changed) == pytest.approx(2 * RATE / tempo, abs=1)
    assert loudest_hz(changed) == pytest.approx(440, abs=2)


def test_brightness_tilts_about_one_kilohertz():
    """Three decibels an octave: two octaves up 6 louder, one down 3 quieter, at the middle nothing."""
    for hz, gain_db in ((1000, 0), (4000, 6), (500, -3)):
        assert rms_db(apply(Change(tilt_db=3), tone(hz), RATE)) - rms_db(tone(hz)) == pytest.approx(gain_db, abs=0.05)


def test_a_hall_dies_away_as_long_as_it_says():
    """After a click the tail falls by 60 dB within the time; the click itself stays, and the length grows."""
    click = np.zeros((RATE // 2, 1), np.float32)
    click[0] = 0.5
    changed = apply(Change(hall_s=1.0), click, RATE)
    tail = changed[1:RATE, 0].astype(np.float64)
    assert len(changed) == RATE // 2 + RATE - 1 and changed[0, 0] == pytest.approx(0.5, abs=1e-6)
    assert np.sum(tail**2) / 0.25 == pytest.approx(0.5, rel=1e-3)
    parts = [rms_db(part[:, None]) for part in np.array_split(tail, 10)]
    assert np.diff(parts).mean() == pytest.approx(-6.0, abs=0.5)


@pytest.mark.parametrize("snr_db", [0, 10, 30])
def test_noise_is_as_far_below_as_it_says(snr_db):
    noise = apply(Change(snr_db=snr_db), tone(), RATE) - tone()
    assert rms_db(tone()) - rms_db(noise) == pytest.approx(snr_db, abs=0.1)


def test_level_is_level_and_nothing_clips():
    assert rms_db(apply(Change(level_db=-20), tone(), RATE)) == pytest.approx(rms_db(tone()) - 20, abs=1e-3)
    loud = apply(Change(level_db=12), tone(level=0.9), RATE)
    assert np.abs(loud).max() == pytest.approx(1.0, abs=1e-6)
    assert np.allclose(loud, tone(level=0.9) / 0.9, atol=1e-3)  # as a whole: no wave is cut


def test_chance_is_seeded():
    change = Change(hall_s=0.5, snr_db=20)
    assert apply(change, tone(), RATE, seed=1).tobytes() == apply(change, tone(), RATE, seed=1).tobytes()
    assert apply(change, tone(), RATE, seed=1).tobytes() != apply(change, tone(), RATE, seed=2).tobytes()


@pytest.mark.parametrize("asked", [{"semitones": 13}, {"tempo": 0}, {"tilt_db": float("nan")}, {"hall_s": -1}])
def test_what_cannot_be_meant_is_refused(asked):
    with pytest.raises(InputError, match="expected"):
        Change(**asked)
    with pytest.raises(InputError, match="shape"):
        apply(Change(), np.zeros(RATE, np.float32), RATE)


def test_silence_stays_silent():
    silence = np.zeros((RATE, 1), np.float32)
    for change in (Change(hall_s=1), Change(snr_db=10), Change(tilt_db=6), Change(level_db=12)):
        assert not apply(change, silence, RATE).any()
