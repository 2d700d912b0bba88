"""Frames: passages copied between the segments of other recordings are found, first and to a quarter second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mess_core.audio.decode import Decoder
from mess_core.collections.demo import perform, plan_demo
from mess_core.library import Library, open_library
from mess_core.notes.synthesis import render
from mess_core.search.frames import AROUND_S, HOP_S, LONGEST_S, RATE_HZ, locate, pitch_classes
from mess_core.search.matching import Moment
from tests.conftest import SHARED

N_PLANTED = 18
FILE_HZ = 24_000
FOUND = Moment(query_s=0.0, track_s=5.0, length_s=10.0, similarity=0.7)  # what segments know: to 2.5 s


def played(row: int = 0, rate_hz: int = RATE_HZ, tempo: float = 1.0, instrument: str | None = None) -> np.ndarray:
    """A performance of the demo library, faster or on another instrument if that is asked for."""
    plan = plan_demo()[row]
    heard = perform(plan)
    notes = [replace(note, start_s=note.start_s / tempo, end_s=note.end_s / tempo) for note in heard.notes]
    pedal = [replace(span, start_s=span.start_s / tempo, end_s=span.end_s / tempo) for span in heard.pedal]
    duration_s = heard.duration_s / tempo
    return render(notes, pedal, instrument or plan.instrument, sample_rate_hz=rate_hz, duration_s=duration_s)


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """20 s at the rate of the frames."""
    return played()


def cut(samples: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    return samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]


def test_a_frame_every_twentieth_of_a_second_of_length_one(music):
    """Frame i is at i * HOP_S; only silence has less."""
    frames = pitch_classes(music)
    assert frames.shape == (len(music) // round(HOP_S * RATE_HZ) + 1, 12)
    np.testing.assert_allclose(np.linalg.norm(frames[10:200], axis=1), 1, atol=0.01)
    assert not pitch_classes(np.zeros(RATE_HZ, np.float32)).any()


def test_frames_know_no_level(music):
    """40 dB softer, the same."""
    np.testing.assert_allclose(pitch_classes(0.01 * music), pitch_classes(music), atol=1e-3)


def test_a_note_is_its_pitch_class():
    """A sine of 440 Hz is A, in every octave."""
    for octave in (0.5, 1, 2, 4):
        sine = np.sin(2 * np.pi * 440 * octave * np.arange(RATE_HZ) / RATE_HZ)
        assert (pitch_classes(sine)[5:15].argmax(axis=1) == 9).all()


@pytest.mark.parametrize("start_s", [3.0, 6.21, 9.87])
def test_a_copy_is_found_to_a_frame(music, start_s):
    """At another level, with noise 15 dB below it."""
    rng = np.random.default_rng(0)
    passage = cut(music, start_s, start_s + 6.0)
    passage = 0.3 * (passage + rng.standard_normal(len(passage)) * passage.std() * 10 ** (-15 / 20))
    place = locate(FOUND, pitch_classes(passage), 41.5, pitch_classes(cut(music, 1.0, 20.0)), 1.0)
    assert place.is_copy
    assert place.moment.query_s == 41.5 and place.moment.similarity == FOUND.similarity
    assert place.moment.track_s == pytest.approx(start_s, abs=HOP_S)
    assert place.moment.length_s == pytest.approx(6.0, abs=HOP_S)


@pytest.mark.parametrize("tempo", [0.8, 1.25])
def test_the_same_music_at_another_tempo_is_followed_and_is_no_copy(music, tempo):
    """On another instrument, too: its beginning to a quarter of a second, and its length."""
    other = played(tempo=tempo, instrument="organ")
    place = locate(FOUND, pitch_classes(cut(music, 5.0, 13.0)), 5.0, pitch_classes(other), 0.0)
    assert not place.is_copy
    assert place.moment.track_s == pytest.approx(5.0 / tempo, abs=0.25)
    assert place.moment.length_s == pytest.approx(8.0 / tempo, abs=0.5)


@pytest.mark.slow
def test_what_is_not_there_leaves_the_find_as_it_was(music):
    """Another piece; and a passage that is too short, or longer than what was heard of the track."""
    other = pitch_classes(played(row=60))
    found = locate(FOUND, pitch_classes(np.random.default_rng(0).standard_normal(6 * RATE_HZ)), 0.0, other, 0.0)
    assert found.moment == FOUND and not found.is_copy
    for start_s, end_s in ((3.0, 4.5), (0.0, 20.0)):
        found = locate(FOUND, pitch_classes(cut(music, start_s, end_s)), 0.0, pitch_classes(cut(music, 0.0, 15.0)), 0.0)
        assert found.moment == FOUND and not found.is_copy


def test_of_a_long_passage_the_segments_know_the_end(music):
    """Only its beginning is heard again."""
    long = np.concatenate([music, music[::-1], music])
    passage = pitch_classes(cut(long, 5.0, 5.0 + LONGEST_S + HOP_S))
    find = Moment(query_s=2.5, track_s=2.5, length_s=42.5, similarity=0.9)
    moment = locate(find, passage, 5.0, pitch_classes(cut(long, 0.0, 5.0 + LONGEST_S + 2 * AROUND_S)), 0.0).moment
    assert moment.track_s == pytest.approx(5.0, abs=HOP_S)
    assert moment.track_s + moment.length_s == pytest.approx(45.0)


# --- in a library -------------------------------------------------------------------------------------------


def real_recordings() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Half of the real recordings, to take passages from; and the other half, to plant them in."""
    if not (SHARED / "real-audio").is_dir():
        pytest.skip("the real recordings are not here")
    heard = []
    for path in sorted((SHARED / "real-audio").iterdir()):
        if path.suffix in (".ogg", ".flac", ".mp3") and path.stem != "librispeech_5703":
            samples = np.concatenate(list(Decoder(path, FILE_HZ, length_s=20.0)))
            heard += [samples] if len(samples) > 19 * FILE_HZ else []
    return heard[::2], heard[1::2]


@pytest.mark.slow
def test_planted_passages_are_first_and_found_to_a_quarter_of_a_second(tmp_path):
    """18 passages at another level, with noise, copied to anywhere: at least 17 come first, 17 begin where they do."""
    sources, hosts = real_recordings()
    rng = np.random.default_rng(5)
    (tmp_path / "hosts").mkdir()
    planted: list[tuple[Path, float, float, float]] = []  # source, its passage, and where it lies in the host
    for number in range(N_PLANTED):
        again, row = divmod(number, len(sources))  # of a source once more: its first half, then its second
        whole, host = sources[row], hosts[(number * 5) % len(hosts)]
        source = np.array_split(whole, 2)[again]
        path = tmp_path / f"source {number}.wav"
        length_s = rng.uniform(5, 8)
        start_s = rng.uniform(1, len(source) / FILE_HZ - length_s - 1)
        at_s = rng.uniform(1, len(host) / FILE_HZ - 1)
        passage = source[round(start_s * FILE_HZ) : round((start_s + length_s) * FILE_HZ)]
        noise = rng.standard_normal(len(passage)) * passage.std() * 10 ** (-rng.uniform(15, 30) / 20)
        passage = (passage + noise) * 10 ** (rng.uniform(-9, 0) / 20)
        at = round(at_s * FILE_HZ)
        soundfile.write(path, source, FILE_HZ)
        soundfile.write(
            tmp_path / "hosts" / f"host {number}.wav", np.concatenate([host[:at], passage, host[at:]]), FILE_HZ
        )
        planted.append((path, start_s, start_s + length_s, at_s))
    library: Library = open_library("planted", encoder="nano", home=tmp_path / "home")
    library.add(tmp_path / "hosts")
    library.embed()
    n_first = n_near = 0
    for number, (path, start_s, end_s, at_s) in enumerate(planted):
        first = library.similar(path, passage=(start_s, end_s)).found[0]
        n_first += first.track.title == f"host {number}"
        n_near += first.moment is not None and abs(first.moment.track_s - at_s) <= 0.25
    assert n_first >= 17
    assert n_near >= 17
