"""Clips: the same bars where a score is known to all, else the same share of the way; all equally loud."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile

from mess_core.audio.preview import FADE_S
from mess_core.catalogue.passages import ScoreTimes
from mess_core.catalogue.sittings import Clip
from mess_core.errors import AudioError
from mess_core.learning.clips import CLIP_S, LONGEST_CLIP_S, PEAK_DB, cut_clips, read_clip
from tests.planted import a_track, plant_tracks

RATE_HZ = 24_000
N_BEATS = 121


def long_track(number: int, sounding_s: str | None = None):
    return replace(a_track(number), duration_s=90.0, sounding_s=sounding_s)


@pytest.fixture
def perform(home):
    """Tracks whose score times are planted: of each (tempo in beats per minute, second of the first beat)."""

    def perform(*tempi: tuple[float, float], scores: str = "a waltz"):
        tracks = [long_track(number) for number in range(len(tempi))]
        plant_tracks(home, tracks)
        with home.database.transaction():
            for track, (tempo, lead_s) in zip(tracks, tempi, strict=True):
                beats = np.arange(float(N_BEATS))
                home.catalogue.passages.write(
                    track.track_id, [ScoreTimes.of(scores, beats, lead_s + beats * 60 / tempo)]
                )
        return tracks

    return perform


def cut(home, tracks, share=0.5):
    return cut_clips(tracks, home.catalogue.passages, "planted", share)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.85])
def test_of_one_score_the_same_bars_are_cut_out(home, perform, share):
    """From one beat to another in all three, whatever their tempo and wherever they begin."""
    tempi = [(90, 2.0), (120, 5.0), (80, 0.5)]
    tracks = perform(*tempi)
    clips = cut(home, tracks, share)
    assert [clip.track_id for clip in clips] == [track.track_id for track in tracks]
    bars = [((clip.start_s - lead) * tempo / 60, (clip.end_s - lead) * tempo / 60)
            for clip, (tempo, lead) in zip(clips, tempi, strict=True)]  # fmt: skip
    assert bars == [pytest.approx(bars[0], abs=1e-6)] * 3
    assert clips[0].end_s - clips[0].start_s <= CLIP_S + 0.01 and 0 <= bars[0][0] < bars[0][1] <= N_BEATS - 1


def test_who_does_not_know_the_score_is_heard_where_the_others_are_by_their_share(home, perform):
    """Then it is so for all three: not the same bars of two, and other ones of the third."""
    tracks = [*perform((90, 2.0), (120, 5.0)), long_track(9)]
    assert cut(home, tracks, 0.25) == tuple(Clip(track.track_id, 20.0, 30.0) for track in tracks)


def test_bars_that_are_far_too_long_in_slow_hands_are_not_cut_out(home, perform):
    """Half as fast is heard for twenty seconds and a little: by the share of the way, then."""
    tracks = perform((120, 0.0), (110, 0.0), (60, 0.0))
    clips = cut(home, tracks, 0.1)
    assert [clip.end_s - clip.start_s for clip in clips] == pytest.approx(
        [CLIP_S, CLIP_S * 12 / 11, 2 * CLIP_S], abs=0.1
    )
    slower = perform((120, 0.0), (110, 0.0), (59, 0.0))  # beyond a factor of two one alignment is wrong
    assert {round(clip.end_s - clip.start_s, 6) for clip in cut(home, slower, 0.1)} == {CLIP_S}


def test_a_short_recording_in_quick_hands_is_not_half_a_minute_in_slow_ones(home, perform):
    """It is heard whole; the same bars of another would take twenty-one seconds."""
    quick, *slow = perform((120, 0.0), (66, 0.0), (66, 0.0))
    quick = replace(quick, duration_s=11.5)
    clips = cut(home, [quick, *slow])
    assert [clip.end_s - clip.start_s for clip in clips] == pytest.approx([11.5, CLIP_S, CLIP_S])
    shorter = cut(home, [replace(quick, duration_s=10.5), *slow])
    assert [clip.end_s - clip.start_s for clip in shorter] == pytest.approx([10.5, 10.5 * 120 / 66, 10.5 * 120 / 66])


def test_where_a_known_score_is_only_a_few_seconds_the_share_is_taken(home, perform):
    tracks = [long_track(number) for number in range(3)]
    plant_tracks(home, tracks)
    with home.database.transaction():
        for track in tracks:
            times = ScoreTimes.of("s", np.arange(7.0), 40 + np.arange(7.0) / 2)  # three seconds
            home.catalogue.passages.write(track.track_id, [times])
    assert {clip.end_s - clip.start_s for clip in cut(home, tracks)} == {CLIP_S}


def test_in_a_catch_the_anchor_is_heard_twice_alike(home, perform):
    """With a score and without: one of the two clips is the anchor's to the last digit."""
    of_score, without = perform((90, 2.0), (120, 5.0)), [long_track(8), long_track(9)]
    for one, other in (of_score, without):
        anchor, first, second = cut(home, [one, one, other], 0.37)
        assert anchor == first and second.track_id == other.track_id
        anchor, first, second = cut(home, [one, other, one], 0.37)
        assert anchor == second != first


@pytest.mark.parametrize(("share", "start_s"), [(0.0, 5.0), (0.5, 40.0), (1.0, 75.0)])
def test_silence_at_both_ends_is_no_part_of_the_way(home, share, start_s):
    tracks = [long_track(number, "[[5.0, 20.0], [30.0, 85.0]]") for number in range(3)]
    assert {(clip.start_s, clip.end_s) for clip in cut(home, tracks, share)} == {(start_s, start_s + CLIP_S)}


def test_a_short_recording_is_heard_whole_beside_long_ones(home):
    short = replace(a_track(1), duration_s=LONGEST_CLIP_S)
    short_in_silence = replace(a_track(2), duration_s=60.0, sounding_s="[[20.0, 25.5]]")
    just_longer = replace(a_track(3), duration_s=LONGEST_CLIP_S + 0.1)
    found = cut(home, [short, short_in_silence, just_longer], 1.0)
    assert [(clip.start_s, clip.end_s) for clip in found] == [
        (0.0, LONGEST_CLIP_S), (20.0, 25.5), (pytest.approx(2.1), pytest.approx(12.1))
    ]  # fmt: skip


# --- how they sound -----------------------------------------------------------------------------------------


def write(path: Path, sound: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    soundfile.write(path, sound, rate_hz, subtype="FLOAT")
    return path


def noise(seconds: float, n_channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((round(seconds * RATE_HZ), n_channels))


def tone(seconds: float, hz: float = 440.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)[:, None]


def loudness(audio: np.ndarray, rate_hz: int) -> float:
    """As two speakers play it: what is mono comes from both."""
    both = audio if audio.shape[1] == 2 else np.repeat(audio, 2, axis=1)
    return float(pyloudnorm.Meter(rate_hz).integrated_loudness(both.astype(np.float64)))


@pytest.mark.parametrize("gain", [0.003, 0.02, 0.3])
@pytest.mark.parametrize("sound", [tone(12), noise(12, 1) / 5, noise(12, 2) / 5, noise(12, 3) / 5],
                         ids=["tone", "mono", "stereo", "three channels"])  # fmt: skip
def test_every_clip_is_equally_loud(tmp_path, sound, gain):
    audio, rate_hz = read_clip(write(tmp_path / "a.wav", gain * sound), Clip("a", 1.0, 11.0))
    assert loudness(audio, rate_hz) == pytest.approx(-23.0, abs=0.5)
    assert audio.dtype == np.float32 and len(audio) == 10 * RATE_HZ == 10 * rate_hz
    assert audio.shape[1] == (2 if sound.shape[1] == 2 else 1)


def test_loud_parts_elsewhere_do_not_make_a_clip_soft(tmp_path):
    """It is the clip that is measured, not its recording."""
    sound = np.concatenate([0.01 * noise(10, 1), 0.2 * noise(10, 1)]).clip(-1, 1)
    path = write(tmp_path / "a.wav", sound)
    heard = [loudness(*read_clip(path, Clip("a", start_s, start_s + 9.5))) for start_s in (0.0, 10.5)]
    assert heard == pytest.approx([-23.0, -23.0], abs=0.5)


@pytest.mark.parametrize("every", [0.1, 0.5, 2.0])
def test_nothing_is_louder_than_its_peak_allows(tmp_path, every):
    """Clicks with silence between them would be far above full scale at that loudness."""
    sound = 0.0005 * noise(12, 1)
    sound[:: round(every * RATE_HZ)] = 0.3
    audio, _ = read_clip(write(tmp_path / "a.wav", sound), Clip("a", 1.0, 11.0))
    assert np.abs(audio).max() == pytest.approx(10 ** (PEAK_DB / 20), abs=1e-4)
    at_full_scale = np.clip(3 * noise(12, 1), -1, 1)
    audio, _ = read_clip(write(tmp_path / "b.wav", at_full_scale), Clip("b", 1.0, 11.0))
    assert np.abs(audio).max() < 10 ** (PEAK_DB / 20)


@pytest.mark.parametrize("seconds", [0.05, 0.3, 12.0])
def test_silence_stays_silent(tmp_path, seconds):
    """Of a digital silence there is no loudness, and near silence is not blown up to noise."""
    audio, _ = read_clip(write(tmp_path / "a.wav", np.zeros((round(seconds * RATE_HZ), 1))), Clip("a", 0.0, seconds))
    assert len(audio) == round(seconds * RATE_HZ) and not audio.any()
    hiss = 1e-5 * noise(seconds, 1)  # about -100 dB
    audio, _ = read_clip(write(tmp_path / "b.wav", hiss), Clip("b", 0.0, seconds))
    assert np.abs(audio).max() <= np.abs(hiss).max() * 1.01


def test_a_sound_too_short_to_be_measured_is_heard_as_it_is(tmp_path):
    audio, _ = read_clip(write(tmp_path / "a.wav", 0.1 * tone(0.3)), Clip("a", 0.0, 0.3))
    assert np.abs(audio).max() == pytest.approx(0.1, abs=1e-3)


def test_both_ends_are_silent_and_the_middle_is_untouched(tmp_path):
    """A cut in the middle of a note would click."""
    sound = 0.1 * tone(12)
    audio, rate_hz = read_clip(write(tmp_path / "a.wav", sound), Clip("a", 1.0, 11.0))
    n_fade = round(FADE_S * rate_hz)
    middle = audio[n_fade:-n_fade, 0]
    gain = np.abs(middle).max() / 0.1
    assert np.abs(middle - gain * sound[RATE_HZ + n_fade : 11 * RATE_HZ - n_fade, 0]).max() < 1e-4
    assert audio[0] == 0 and abs(audio[-1, 0]) < 0.01 and np.abs(audio[: n_fade // 10]).max() < 0.15 * gain * 0.1


def test_the_clip_is_the_stretch_it_names(tmp_path):
    """A file whose sound tells the second it is in."""
    seconds = np.arange(20 * RATE_HZ)[:, None] / RATE_HZ
    sound = 0.2 * np.sin(2 * np.pi * (200 + 100 * np.floor(seconds)) * seconds)
    audio, rate_hz = read_clip(write(tmp_path / "a.wav", sound), Clip("a", 7.0, 9.0))
    for second, part in ((7, audio[:RATE_HZ, 0]), (8, audio[RATE_HZ:, 0])):
        spectrum = np.abs(np.fft.rfft(part))
        assert np.argmax(spectrum) * rate_hz / len(part) == pytest.approx(200 + 100 * second, abs=2)


def test_a_file_that_is_gone_is_a_sentence(tmp_path):
    with pytest.raises(AudioError):
        read_clip(tmp_path / "gone.wav", Clip("a", 0.0, 10.0))
