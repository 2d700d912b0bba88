"""Preview: the middle, no louder than others, without a click at its ends."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from mess_core.audio.preview import FADE_S, PREVIEW_S, TARGET_LUFS, preview
from mess_core.errors import AudioError

RATE = 8000


@pytest.fixture
def ramp(tmp_path):
    """A recording that says of each sample when it is: its value is its time in minutes."""

    def write(seconds: float):
        path = tmp_path / "ramp.wav"
        soundfile.write(path, np.arange(round(seconds * RATE)) / RATE / 60, RATE, subtype="FLOAT")
        return path

    return write


@pytest.mark.parametrize("seconds", [3.0, 8.0, 20.0, 59.0])
def test_it_is_the_middle_or_all_there_is(ramp, seconds):
    audio, rate_hz = preview(ramp(seconds), seconds, None)
    length_s = min(seconds, PREVIEW_S)
    assert rate_hz == RATE and audio.shape == (round(length_s * RATE), 1)
    inside = audio[round(FADE_S * RATE) : -round(FADE_S * RATE), 0]
    assert inside[0] * 60 == pytest.approx((seconds - length_s) / 2 + FADE_S, abs=1e-3)
    assert np.allclose(np.diff(inside) * 60, 1 / RATE, atol=5e-6)


@pytest.mark.parametrize(
    ("lufs", "gain_db"), [(None, 0), (-30.0, 0), (TARGET_LUFS, 0), (-13.0, -10), (float("-inf"), 0)]
)
def test_it_is_made_quieter_never_louder(ramp, lufs, gain_db):
    path = ramp(20.0)
    plain, attenuated = preview(path, 20.0, None)[0], preview(path, 20.0, lufs)[0]
    assert np.allclose(attenuated, plain * 10 ** (gain_db / 20), rtol=1e-4)


def test_it_begins_and_ends_in_silence(ramp):
    audio = np.abs(preview(ramp(20.0), 20.0, None)[0][:, 0])
    assert audio[0] == 0 and audio[-1] < 0.01 * audio[len(audio) // 2]


def test_a_file_that_is_gone_is_said(tmp_path):
    with pytest.raises(AudioError):
        preview(tmp_path / "gone.wav", 5.0, None)
