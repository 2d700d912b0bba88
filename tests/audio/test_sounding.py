"""Silence is in no segment, and channels that cancel are heard: for any cut into blocks, and as planted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from mess_core.audio import decode as audio
from mess_core.audio.decode import Decoder, n_segments, segments
from mess_core.audio.sounding import EDGE_S, MIN_GAP_S, Channels, Sounding, mix_to_mono
from mess_core.config import SILENCE_PEAK
from mess_core.embeddings.extraction import ExtractedTrack, FailedTrack, WantedTrack, extract
from mess_core.encoders.mel import Mel
from mess_core.targets.audio import hear, measure_audio, measure_audio_segments, segment_spans_s
from mess_core.targets.base import TargetValue

RATE_HZ = 8000
LOUD, DITHER = 0.5, 10 ** (-90 / 20)


def tune(seconds: float, seed: int = 0) -> np.ndarray:
    """Notes with harmonics, loud from the first sample to the last, shape (n,)."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(0.4 * RATE_HZ)) / RATE_HZ
    notes = []
    for _ in range(round(seconds / 0.4) + 1):
        f_hz = 220 * 2 ** (rng.integers(0, 24) / 12)
        notes.append(sum(np.cos(2 * np.pi * k * f_hz * t) * np.exp(-2 * t) / k for k in range(1, 5)) * 0.2)
    return np.concatenate(notes)[: round(seconds * RATE_HZ)]


def write(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, samples, rate_hz, subtype=subtype, format="WAV")
    return path


def silence(seconds: float, level: float = 0.0) -> np.ndarray:
    """Zeros, or dither of a peak level."""
    return np.random.default_rng(1).uniform(-level, level, round(seconds * RATE_HZ))


def embedded(path: Path) -> ExtractedTrack:
    *_, last = extract([WantedTrack(path.name, path.name, path)], Mel())
    assert isinstance(last, ExtractedTrack), last
    return last


def similarity(one: ExtractedTrack, other: ExtractedTrack, *others: ExtractedTrack) -> float:
    """Cosine of the mean vectors, from the centre of all."""
    vectors = np.stack([track.embedding.mean.ravel() for track in (one, other, *others)])
    vectors = vectors - vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return float(vectors[0] @ vectors[1])


# --- spans ------------------------------------------------------------------------------------------------


def by_definition(loud: np.ndarray, gap: int, edge: int) -> list[tuple[int, int]]:
    """Frame by frame: runs of silence of a gap and longer separate; short ones at the ends do not count."""
    spans: list[list[int]] = []
    for frame in np.flatnonzero(loud):
        if spans and frame - spans[-1][1] < gap:
            spans[-1][1] = int(frame) + 1
        else:
            spans.append([int(frame), int(frame) + 1])
    if spans and spans[0][0] < edge:
        spans[0][0] = 0
    if spans and len(loud) - spans[-1][1] < edge:
        spans[-1][1] = len(loud)
    return [(start, end) for start, end in spans]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    runs=st.lists(st.tuples(st.booleans(), st.integers(1, 120)), max_size=12),
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=4),
)
def test_spans_are_those_of_the_definition(runs: list[tuple[bool, int]], sizes: list[int]) -> None:
    """Whatever the blocks; and what is said to be over never changes."""
    loud = np.concatenate([np.full(n, is_loud) for is_loud, n in runs] or [np.zeros(0, bool)])
    samples = np.where(loud, LOUD, DITHER)[:, np.newaxis] * [0, 1]  # only the second channel sounds
    sounding = Sounding(10)  # a gap is 50 frames, an edge is one
    said: list[tuple[int, int]] = []
    start = 0
    while start < len(samples):
        for size in sizes:
            if len(block := samples[start : start + size]):
                sounding.add(block)
                now = [(first, end) for first, end, is_over in sounding.spans() if is_over]
                assert now[: len(said)] == said
                said = now
            start += size
    sounding.finish()
    expected = by_definition(loud, round(MIN_GAP_S * 10), round(EDGE_S * 10))
    assert [(first, end) for first, end, _ in sounding.spans()] == expected
    assert all(is_over for *_, is_over in sounding.spans())


def test_silence_is_below_80_dbfs_in_every_channel_and_nothing_else() -> None:
    for level, is_silent in [(SILENCE_PEAK * 0.99, True), (SILENCE_PEAK * 1.01, False), (10 ** (-60 / 20), False)]:
        sounding = Sounding(100)
        sounding.add(np.full((1000, 2), level) * [0, -1])
        sounding.finish()
        assert (sounding.kept() == []) is is_silent


def test_what_is_short_counts_only_alone() -> None:
    """A click beside music is no music; a few one-shots are all there is."""
    for lengths, kept in [((30, 200, 30), [200]), ((30, 40), [30, 40]), ((5, 30), [30]), ((5,), [])]:
        sounding = Sounding(100)
        for length in lengths:
            sounding.add(np.full((length, 1), LOUD))
            sounding.add(np.zeros((600, 1)))
        sounding.finish()
        assert [end - start for start, end in sounding.kept()] == kept


# --- segments ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("block_samples", [500, 2**16, 2**22])
@pytest.mark.parametrize("to_hz", [RATE_HZ, 6000, 12_000])
def test_segments_lie_over_the_spans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to_hz: int, block_samples: int
) -> None:
    """Each span has the segments that it has as a recording of its own, at its place; clicks have none."""
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", block_samples)
    parts = [tune(13.0), tune(3.0, 1), tune(7.3, 2)]
    click = np.full(100, LOUD)
    gaps = [7.0, 5.5, 20.0, 9.0]
    whole = np.concatenate(
        [silence(gaps[0]), parts[0], silence(gaps[1]), parts[1], silence(gaps[2], DITHER), click, silence(9), parts[2]]
    )
    found = list(segments(Decoder(write(tmp_path / "a", whole), to_hz), 5 * to_hz, 5 * to_hz // 2, to_hz))
    row = 0
    begins = [7.0, 25.5, 25.5 + 3 + 20 + 100 / RATE_HZ + 9]
    for part, begin_s in zip(parts, begins, strict=True):
        path = write(tmp_path / "b", part)
        alone = list(segments(Decoder(path, to_hz), 5 * to_hz, 5 * to_hz // 2, to_hz))
        assert len(alone) == n_segments(round(len(part) * to_hz / RATE_HZ), 5 * to_hz, 5 * to_hz // 2)
        for start, waveform in alone:
            found_start, found_waveform = found[row]
            assert found_start / to_hz == pytest.approx(begin_s + start / to_hz, abs=2 / to_hz)
            assert len(found_waveform) == len(waveform)
            if to_hz == RATE_HZ:
                np.testing.assert_array_equal(found_waveform, waveform)
            row += 1
    assert row == len(found)
    decoder = Decoder(tmp_path / "a", to_hz)
    for _ in decoder:
        pass
    spans_s = segment_spans_s(np.array(decoder.facts.sounding_s), 5.0, 2.5, to_hz)
    np.testing.assert_allclose(spans_s[:, 0], [start / to_hz for start, _ in found], atol=2 / to_hz)


def test_rests_are_music(tmp_path: Path) -> None:
    """Up to five seconds of nothing change no start; music without silence is cut as ever."""
    music = np.concatenate([silence(0.05), tune(8.0), silence(4.9), tune(6.0, 1), silence(0.05)])
    starts = [start for start, _ in segments(Decoder(write(tmp_path / "a", music), RATE_HZ), 40_000, 20_000, RATE_HZ)]
    assert starts == [0, 20_000, 40_000, 60_000, 80_000, 100_000, len(music) - 40_000]


PADDED = {
    "60 s after": lambda song: [song, silence(60)],
    "10 s around": lambda song: [silence(10), song, silence(10)],
    "120 s before": lambda song: [silence(120), song],
    "120 s after": lambda song: [song, silence(120)],
    "dither around": lambda song: [silence(33, DITHER), song, silence(77, DITHER)],
    "120 s within": lambda song: [song[: 9 * RATE_HZ], silence(120), song[9 * RATE_HZ :]],
    "odd padding": lambda song: [silence(12.3456), song, silence(21.0001)],
    "a click in the silence": lambda song: [song, silence(30), np.full(50, 0.3), silence(30)],
}


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[ExtractedTrack]:
    """Three other songs: without company every two are unlike."""
    folder = tmp_path_factory.mktemp("others")
    return [embedded(write(folder / f"o{seed}", tune(12.0, seed))) for seed in (1, 2, 3)]


@dataclass(frozen=True)
class Bare:
    """A song without silence around it, in so many channels; its embedding and its targets."""

    samples: np.ndarray
    n_channels: int
    track: ExtractedTrack
    measured: dict[str, TargetValue]


@pytest.fixture(scope="module", params=[1, 2])
def bare(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Bare:
    song = tune(18.0)
    path = write(tmp_path_factory.mktemp("bare") / "bare", np.stack([song] * request.param, 1))
    return Bare(song, request.param, embedded(path), measure_audio(path))


@pytest.mark.slow
@pytest.mark.parametrize("name", PADDED)
def test_a_padded_song_is_the_song(tmp_path: Path, others: list[ExtractedTrack], bare: Bare, name: str) -> None:
    """Embedding and targets hardly change, whatever silence is put where."""
    padded = np.concatenate(PADDED[name](bare.samples))
    path = write(tmp_path / "padded", np.stack([padded] * bare.n_channels, 1))
    found = embedded(path)
    # cut in two, the middle of the song has other segments: that many notes differ from their centre
    assert similarity(bare.track, found, *others) > (0.85 if name == "120 s within" else 0.99)
    assert len(found.embedding.starts_s) == pytest.approx(len(bare.track.embedding.starts_s), abs=1)
    sounding_s = sum(end - start for start, end in found.facts.sounding_s)
    assert sounding_s == pytest.approx(18.0, abs=0.05)
    assert found.facts.duration_s == pytest.approx(len(padded) / RATE_HZ)
    measured = measure_audio(path)
    for target in ("spectral_centroid", "onset_density", "dynamic_variance", "harmonic_complexity", "tempo"):
        if name != "120 s within" or target != "tempo":
            assert measured[target].value == pytest.approx(bare.measured[target].value, rel=0.05), target
    assert len(measure_audio_segments(path, 5.0, 2.5)) == len(found.embedding.starts_s)


def test_times_go_there_and_back(tmp_path: Path) -> None:
    """What is heard at a time of the recording is found there again."""
    path = write(tmp_path / "a", np.concatenate([silence(11), tune(4.0), silence(8), tune(6.0, 1), silence(9)]))
    heard = hear(path)
    assert heard.sound.duration_s == pytest.approx(10.0, abs=0.01)
    onsets_s = heard.recorded_s(heard.sound.onsets_s)
    inside = ((onsets_s > 10.9) & (onsets_s < 15.1)) | ((onsets_s > 22.9) & (onsets_s < 29.1))
    assert len(onsets_s) > 10 and inside.all()


def test_silent_clicks_and_inaudible(tmp_path: Path) -> None:
    """Each is said as what it is."""
    ultrasonic = np.cos(2 * np.pi * 20_000 * np.arange(96_000) / 48_000) * np.hanning(96_000)
    cases = {
        "silence": (silence(3, DITHER), RATE_HZ, "is silent: its loudest sample is at -9"),
        "clicks": (np.concatenate([silence(8), [LOUD], silence(8), [LOUD], silence(8)]), RATE_HZ, "holds only clicks"),
        "bats": (ultrasonic, 48_000, "holds nothing below 12 kHz"),
    }
    for name, (samples, rate_hz, message) in cases.items():
        path = write(tmp_path / name, samples, rate_hz)
        *_, failed = extract([WantedTrack(name, name, path)], Mel())
        assert isinstance(failed, FailedTrack) and message in failed.error.message, name


def test_a_one_shot_is_repeated(tmp_path: Path) -> None:
    """A tenth of a second to one: its own samples over and over; with silence behind it, the same."""
    kick = tune(0.4)
    for tail_s in (0.0, 3.0, 20.0):
        path = write(tmp_path / "kick", np.concatenate([kick, silence(tail_s)]))
        ((start, waveform),) = segments(Decoder(path, RATE_HZ), 5 * RATE_HZ, 5 * RATE_HZ // 2, RATE_HZ)
        assert start == 0
        np.testing.assert_allclose(waveform, np.resize(kick, RATE_HZ), atol=1e-6)
        assert embedded(path).embedding.starts_s.tolist() == [0.0]
    assert len(measure_audio_segments(path, 5.0, 2.5)) == 1


# --- channels ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gains", "downmix"),
    [
        ([1, 1], "mean"),
        ([1, -1], "energy"),
        ([1, -0.9], "energy"),
        ([-0.5, 0.55], "energy"),
        ([1, -0.5], "mean"),
        ([1, 0], "mean"),
        ([1, -1, 1, -1], "energy"),
        ([0.2, 0.3, -0.5], "energy"),
        ([1], "mean"),
    ],
)
def test_channels_that_cancel_are_heard(
    tmp_path: Path, others: list[ExtractedTrack], gains: list[float], downmix: str
) -> None:
    """The song is the song, whatever was wired the wrong way round; below 20 dB of loss nothing changes."""
    song = tune(9.0)
    stereo = song[:, np.newaxis] * gains
    found = embedded(write(tmp_path / "a", stereo))
    assert found.facts.downmix == downmix
    assert similarity(embedded(write(tmp_path / "b", song)), found, *others) > 0.99
    assert measure_audio(tmp_path / "a")["spectral_centroid"].value == pytest.approx(
        measure_audio(tmp_path / "b")["spectral_centroid"].value, rel=0.01
    )
    assert audio.waveform_peaks(tmp_path / "a", 10).max() > 0.05


def test_two_pairs_that_cancel_are_both_heard() -> None:
    """Turned over are those that run against the loudest, and so each pair is heard."""
    one, other = tune(3.0), tune(3.0, 1)
    block = np.stack([other, -other, one * 2, -one * 2], 1)
    channels = Channels(4)
    for start in range(0, len(block), 777):
        channels.add(block[start : start + 777])
    signs = channels.signs()
    assert signs is not None
    mono = mix_to_mono(block.astype(np.float32), signs)[:, 0]
    sign = np.sign(mono @ other)
    np.testing.assert_allclose(np.abs(mono), np.abs(sign * other / 2 + np.sign(mono @ one) * one), atol=1e-5)


def test_channels_that_have_nothing_in_common_are_averaged() -> None:
    """Sixty-four of them lose eighteen decibels by chance alone."""
    channels = Channels(64)
    channels.add(np.random.default_rng(0).standard_normal((20_000, 64)))
    assert channels.signs() is None
