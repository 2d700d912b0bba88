"""Decoding, segments, excerpts and waveforms: equal to whole-file references, whatever the block size and length."""

from __future__ import annotations

import io
import itertools
import math
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from mess_core.audio import decode as audio
from mess_core.audio.decode import (
    Decoder,
    inspect_audio,
    n_segments,
    read_excerpt,
    segments,
    wav_bytes,
    waveform_peaks,
)
from mess_core.config import SILENCE_PEAK
from mess_core.errors import AudioError, InputError
from tests.wav import chunk, fmt, wav

REAL_AUDIO = Path(__file__).parents[2].parent / "shared" / "data" / "real-audio"
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (60_001, 2)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate_hz: int, subtype: str | None = "FLOAT", container: str = "WAV") -> Path:
    """Write a file with libsndfile, return its path."""
    soundfile.write(path, samples, rate_hz, format=container, subtype=subtype)
    return path


def decode(path: Path, rate_hz: int, **passage: float) -> tuple[np.ndarray, audio.DecodeFacts]:
    """Return all blocks joined, and the facts."""
    decoder = Decoder(path, rate_hz, **passage)
    blocks = list(decoder)
    assert all(block.dtype == np.float32 and block.ndim == 1 and len(block) for block in blocks)
    return np.concatenate(blocks), decoder.facts


# --- decoding ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("n_channels", [1, 2, 6])
def test_blocks_join_to_the_whole_file_resampled(tmp_path: Path, rate_hz: int, n_channels: int) -> None:
    """Streaming in blocks equals soxr on the mean of the channels of the whole file."""
    samples = np.random.default_rng(rate_hz).uniform(-0.5, 0.5, (70_001, n_channels)).astype(np.float32)
    found, facts = decode(write(tmp_path / "a.wav", samples, rate_hz), 24_000)
    expected = soxr.resample(samples.mean(axis=1), rate_hz, 24_000, quality="HQ")
    assert abs(len(found) - len(samples) * 24_000 / rate_hz) <= 1
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert facts.n_samples == len(found)
    assert facts.duration_s == len(samples) / rate_hz
    assert facts.peak == np.abs(found).max()
    assert (facts.n_bad_samples, facts.is_truncated) == (0, False)


@pytest.mark.parametrize(("container", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)])
def test_compressed_formats_equal_libsndfile(tmp_path: Path, container: str, subtype: str | None) -> None:
    """At the file's own rate the mono mix of what libsndfile reads at once."""
    path = write(tmp_path / "a", NOISE, 44_100, subtype, container)
    found, facts = decode(path, 44_100)
    expected, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(found, expected.mean(axis=1), atol=1e-5)  # two decoders of MP3 round as they like
    assert not facts.is_truncated


def test_the_hash_of_samples_is_that_of_the_music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags, container, integer or float, and block size do not matter; one bit of one sample does, and the rate."""
    import hashlib

    stored = np.rint(NOISE * 32768).astype(np.int16)  # libsndfile scales floats by 32767 when it writes them
    samples = stored / 32768
    wav_file = write(tmp_path / "a.wav", stored, 44_100, "PCM_16")
    head = b"44100 Hz 2 channels "
    expected = hashlib.sha256(head + samples.astype("<f4").tobytes()).hexdigest()
    assert audio.samples_sha256(wav_file) == expected
    for container, subtype in [("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("WAV", "FLOAT"), ("AIFF", "PCM_16")]:
        written = samples if subtype == "FLOAT" else stored
        assert audio.samples_sha256(write(tmp_path / "b", written, 44_100, subtype, container)) == expected
    (tmp_path / "c").write_bytes(wav_file.read_bytes() + chunk(b"id3 ", b"a title."))
    assert audio.samples_sha256(tmp_path / "c") == expected
    decoder = Decoder(wav_file, 16_000, hash_samples=True)
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 777)
    assert sum(map(len, decoder)) and decoder.facts.samples_sha256 == expected
    assert audio.samples_sha256(write(tmp_path / "d.wav", stored, 48_000, "PCM_16")) != expected
    stored[777, 1] += 1
    assert audio.samples_sha256(write(tmp_path / "e.wav", stored, 44_100, "PCM_16")) != expected


@pytest.mark.slow
@pytest.mark.parametrize("block_samples", [64, 999, 2**20])
def test_block_size_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_samples: int) -> None:
    """Small blocks or one: the same samples and facts."""
    path = write(tmp_path / "a.wav", NOISE, 44_100)
    expected, expected_facts = decode(path, 24_000)
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", block_samples)
    found, facts = decode(path, 24_000)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert facts.loudness_lufs == pytest.approx(expected_facts.loudness_lufs, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(8000, 24_000), (44_100, 24_000), (48_000, 24_000), (192_000, 24_000), (44_100, 16_000)]
)
def test_a_tone_stays_the_same_tone(tmp_path: Path, from_hz: int, to_hz: int) -> None:
    """Against the formula, and torchaudio as an independent resampler: within 1e-3 away from the ends."""
    import torch
    from torchaudio.functional import resample

    tone = 0.5 * np.sin(2 * np.pi * 1234.5 * np.arange(2 * from_hz) / from_hz)
    found, _ = decode(write(tmp_path / "a.wav", tone, from_hz), to_hz)
    middle = slice(to_hz // 2, 3 * to_hz // 2)
    expected = 0.5 * np.sin(2 * np.pi * 1234.5 * np.arange(len(found)) / to_hz)
    np.testing.assert_allclose(found[middle], expected[middle], atol=1e-3)
    other = resample(torch.from_numpy(tone), from_hz, to_hz, lowpass_filter_width=64).numpy()
    np.testing.assert_allclose(found[middle], other[middle], atol=1e-3)


def test_nothing_folds_back(tmp_path: Path) -> None:
    """A tone above the new half rate disappears; what is left is silence, and the facts say so."""
    tone = 0.5 * np.sin(2 * np.pi * 15_000 * np.arange(88_200) / 44_100)
    fade = np.minimum(1, np.minimum(np.arange(88_200), np.arange(88_200)[::-1]) / 8820)
    _, facts = decode(write(tmp_path / "a.wav", tone * np.sin(fade * np.pi / 2) ** 2, 44_100), 24_000)
    assert facts.peak < SILENCE_PEAK
    assert facts.loudness_lufs is not None  # a listener still hears it


def test_swapping_the_channels_changes_nothing(tmp_path: Path) -> None:
    """Mono is the mean, loudness the sum: neither knows left from right."""
    found, facts = decode(write(tmp_path / "a.wav", NOISE, 24_000), 24_000)
    swapped, swapped_facts = decode(write(tmp_path / "b.wav", NOISE[:, ::-1], 24_000), 24_000)
    np.testing.assert_array_equal(found, swapped)
    assert facts.loudness_lufs == pytest.approx(swapped_facts.loudness_lufs, abs=1e-9)


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_a_passage_equals_the_cut(tmp_path: Path, container: str, subtype: str) -> None:
    """Seeking gives the same frames as decoding from the start; an end beyond the file's is the file's."""
    path = write(tmp_path / "a", NOISE, 16_000, subtype, container)
    whole, _ = decode(path, 16_000)
    found, facts = decode(path, 16_000, start_s=1.5, length_s=0.75)
    np.testing.assert_allclose(found, whole[24_000:36_000], atol=1e-6)
    assert facts.duration_s == 0.75
    found, facts = decode(path, 16_000, start_s=3, length_s=100)
    np.testing.assert_allclose(found, whole[48_000:], atol=1e-6)
    assert not facts.is_truncated


@pytest.mark.parametrize(
    ("passage", "message"),
    [
        ({"start_s": 4.0}, r"a\.wav is 3\.8 s long; a passage from 4\.0 s on"),
        ({"start_s": -1.0}, "must be positive"),
        ({"start_s": math.nan}, "must be positive"),
        ({"length_s": 0.0}, "must be positive"),
        ({"length_s": math.inf}, "must be positive"),
    ],
)
def test_impossible_passages(tmp_path: Path, passage: dict[str, float], message: str) -> None:
    """A passage that is none is an InputError before any decoding."""
    with pytest.raises(InputError, match=message):
        Decoder(write(tmp_path / "a.wav", NOISE, 16_000), 16_000, **passage)


def test_facts_come_after_the_last_block(tmp_path: Path) -> None:
    """Asking too early is a mistake of the caller; iterating twice is not."""
    decoder = Decoder(write(tmp_path / "a.wav", NOISE, 16_000), 16_000, measure_loudness=False)
    with pytest.raises(RuntimeError, match="after the last block"):
        _ = decoder.facts
    assert len(np.concatenate(list(decoder))) == len(np.concatenate(list(decoder))) == len(NOISE)
    assert decoder.facts.loudness_lufs is None


def test_bad_samples_become_silence_and_are_counted(tmp_path: Path) -> None:
    """NaN, infinite and absurd samples are 0; integers stored as float are kept."""
    samples = NOISE.astype(np.float64)
    samples[100:110, 0] = np.nan
    samples[200, 1] = np.inf
    samples[300, 1] = -np.inf
    samples[400, :] = 1e300
    samples[500, 0] = 2e9
    found, facts = decode(write(tmp_path / "a.wav", samples, 24_000, "DOUBLE"), 24_000)
    assert facts.n_bad_samples == 14
    assert np.isfinite(found).all()
    assert found[100] == NOISE[100, 1] / 2
    assert found[400] == 0
    assert facts.peak == pytest.approx(1e9)
    assert math.isfinite(facts.loudness_lufs or 0)


@pytest.mark.parametrize(
    "samples",
    [np.zeros((30_000, 2)), np.full((30_000, 2), 1e-6), NOISE[:, :1] * [1, -1]],
    ids=["zeros", "dc", "cancels"],
)
def test_silence_is_told_and_not_refused(tmp_path: Path, samples: np.ndarray) -> None:
    """Zeros, next to nothing, and channels that cancel each other: decoded to the end with a small peak."""
    _, facts = decode(write(tmp_path / "a.wav", samples, 44_100), 24_000)
    assert facts.peak < SILENCE_PEAK


def test_one_sample(tmp_path: Path) -> None:
    """One sample is decoded; it is `segments` that finds it too short."""
    path = write(tmp_path / "a.wav", NOISE[:1], 24_000)
    assert decode(path, 24_000)[0] == pytest.approx(NOISE[0].mean())
    with pytest.raises(AudioError, match=r"is 4\.2e-05 s long; MESS needs at least 0\.1 s"):
        list(segments(Decoder(path, 24_000), 120_000, 60_000, 24_000))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
@pytest.mark.parametrize(
    ("container", "subtype", "tolerance"),
    [("WAV", "PCM_16", 0.001), ("FLAC", "PCM_16", 0.02), ("OGG", "VORBIS", 0.07), ("MP3", None, 0.02)],
)
def test_truncated_files_give_what_they_hold(
    tmp_path: Path,
    container: str,
    subtype: str | None,
    tolerance: float,
    share: float,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nearly all that the bytes hold is decoded, as in the whole file, and the cut is reported."""
    samples = np.tile(NOISE, (10, 1))
    path = write(tmp_path / "a", samples, 44_100, subtype, container)
    whole, _ = decode(path, 44_100)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    found, facts = decode(path, 44_100)
    assert facts.is_truncated
    assert len(found) == pytest.approx(share * len(whole), abs=tolerance * len(whole))
    np.testing.assert_allclose(found[:-4096], whole[: len(found) - 4096], atol=1e-6)
    capfd.readouterr()  # mpg123 talks to stderr


def test_a_file_with_nothing_to_decode(tmp_path: Path) -> None:
    """A header without audio behind it is an error, not an empty recording."""
    path = write(tmp_path / "a.flac", NOISE, 44_100, "PCM_16", "FLAC")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(AudioError, match=r"^a\.flac (is damaged: nothing in it can be decoded|cannot be decoded)"):
        decode(path, 24_000)


def test_a_length_that_lies_is_capped_while_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the header says, no more than the longest duration is ever decoded."""
    path = write(tmp_path / "a.wav", NOISE, 16_000)
    decoder = Decoder(path, 16_000)
    monkeypatch.setattr(audio, "MAX_DURATION_S", 1.0)
    assert sum(map(len, Decoder(path, 16_000))) == 16_000
    assert sum(map(len, decoder)) == len(NOISE)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_AUDIO.is_dir(), reason="the real recordings lie beside the repository, not in it")
def test_real_recordings() -> None:
    """All real recordings decode without complaint; a few equal the whole-file reference."""
    paths = sorted(path for path in REAL_AUDIO.iterdir() if path.suffix in (".flac", ".mp3", ".ogg", ".wav"))
    assert len(paths) >= 40
    for number, path in enumerate(paths):
        info = inspect_audio(path)
        passage = {} if number % 8 == 0 and info.duration_s < 200 else {"start_s": 1.0, "length_s": 2.0}
        found, facts = decode(path, 24_000, **passage)
        assert not facts.is_truncated and facts.n_bad_samples == 0, path.name
        assert 1e-3 < facts.peak < 2 and -60 < (facts.loudness_lufs or 0) < 0, path.name
        if not passage:
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
            expected = soxr.resample(samples.mean(axis=1), rate_hz, 24_000, quality="HQ")
            np.testing.assert_allclose(found, expected, atol=1e-5)


# --- memory -----------------------------------------------------------------------------------------------

PEAK_SCRIPT = """
    import resource, sys
    from pathlib import Path
    import pyloudnorm, scipy.signal, soundfile, soxr
    from mess_core.audio.decode import Decoder, segments, waveform_peaks
    path = Path(sys.argv[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n = sum(1 for _ in segments(Decoder(path, 24_000, measure_loudness=False), 120_000, 60_000, 24_000))
    print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """20 minutes of stereo WAV (212 MB) are decoded within 30 MB; three hours are in `benchmarks`."""
    path = tmp_path / "long.wav"
    minute = np.random.default_rng(0).integers(-9999, 9999, (60 * 44_100, 2), dtype="<i2").tobytes()
    with path.open("wb") as file:
        file.write(wav(fmt(n_channels=2, rate=44_100), chunk(b"data", b"", 20 * len(minute))))
        for _ in range(20):
            file.write(minute)
    command = [sys.executable, "-c", textwrap.dedent(PEAK_SCRIPT), str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    n, grown_kib = map(int, run.stdout.split())
    assert n == n_segments(20 * 60 * 24_000, 120_000, 60_000)
    assert grown_kib < 30 * 1024


# --- segments ---------------------------------------------------------------------------------------------


def in_blocks(samples: np.ndarray, sizes: list[int]) -> Iterator[np.ndarray]:
    """Cut samples into blocks of the given sizes, over and over; the block is reused, as a careless caller might."""
    start = 0
    while start < len(samples):
        for size in sizes:
            block = samples[start : start + size].copy()
            start += size
            yield block
            block[:] = np.nan


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    n=st.integers(1, 400),
    segment=st.integers(1, 90),
    hop_share=st.floats(0.01, 1),
    sizes=st.lists(st.integers(1, 150), min_size=1, max_size=4),
)
def test_the_segmentation_law(n: int, segment: int, hop_share: float, sizes: list[int]) -> None:
    """Starts, count, lengths, end-alignment, coverage and content, for any block sizes."""
    hop = max(1, round(segment * hop_share))
    samples = np.arange(n, dtype=np.float32)
    found = list(segments(in_blocks(samples, sizes), segment, hop, 1))
    assert len(found) == n_segments(n, segment, hop) == 1 + math.ceil(max(0, n - segment) / hop)
    starts = [start for start, _ in found]
    assert starts[:-1] == [hop * row for row in range(len(found) - 1)]
    assert starts[-1] == max(0, n - segment)
    for start, waveform in found:
        np.testing.assert_array_equal(waveform, samples[start : start + segment])
        assert len(waveform) == min(n, segment)
        assert waveform.dtype == np.float32 and waveform.flags.c_contiguous and waveform.base is None
    covered = np.zeros(n, dtype=bool)
    for start, waveform in found:
        covered[start : start + len(waveform)] = True
    assert covered.all()


def test_segments_are_handed_out_as_soon_as_they_are_complete() -> None:
    """No block is asked for before all segments that the last one completed were given."""
    asked = []

    def blocks() -> Iterator[np.ndarray]:
        for number in range(5):
            asked.append(number)
            yield np.zeros(10, np.float32)

    stream = segments(blocks(), 20, 10, 1)
    next(stream)
    assert asked == [0, 1]
    next(stream)
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("n", [0, 1, 1000, 2_399])
def test_too_short(n: int) -> None:
    """Less than the shortest duration: one sentence with both numbers."""
    with pytest.raises(AudioError, match=r"^The recording is .+ s long; MESS needs at least 0\.1 s\."):
        list(segments([np.zeros(n, np.float32)], 120_000, 60_000, 24_000))


@pytest.mark.parametrize("hop", [0, -1, 11])
def test_a_hop_must_leave_no_gap(hop: int) -> None:
    """A hop of nothing or beyond the segment is refused."""
    with pytest.raises(InputError, match=f"A hop of {hop} samples was given; expected 1 to 10"):
        list(segments([np.zeros(50, np.float32)], 10, hop, 1))


def test_no_samples_no_segments() -> None:
    """The count of nothing is nothing."""
    assert n_segments(0, 10, 5) == 0


# --- for the player ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate_hz", "player_hz"),
    [
        (8000, 8000),
        (44_100, 44_100),
        (48_000, 48_000),
        (88_200, 44_100),
        (96_000, 48_000),
        (192_000, 48_000),
        (64_000, 48_000),
    ],
)
def test_an_excerpt_is_the_passage_at_a_rate_players_take(tmp_path: Path, rate_hz: int, player_hz: int) -> None:
    """Exact at the file's own rate, resampled above 48 kHz."""
    path = write(tmp_path / "a.wav", NOISE, rate_hz)
    start_s = 1000 / rate_hz
    found, found_hz = read_excerpt(path, start_s, 0.3)
    assert (found_hz, found.dtype) == (player_hz, np.float32)
    expected = NOISE[1000 : 1000 + round(0.3 * rate_hz)]
    np.testing.assert_allclose(found, soxr.resample(expected, rate_hz, player_hz), atol=1e-5)


def test_excerpts_at_the_edges(tmp_path: Path) -> None:
    """Beyond the end it is cut; a start beyond the end or a wrong length is refused; surround becomes mono."""
    path = write(tmp_path / "a.wav", NOISE, 16_000)
    assert len(read_excerpt(path, 3.5, 10)[0]) == 60_001 - 56_000
    with pytest.raises(InputError, match=r"a\.wav is 3\.8 s long"):
        read_excerpt(path, 3.76, 1)
    for length_s in (0, -1, 60.1, math.nan):
        with pytest.raises(InputError, match="up to 60 s can be played"):
            read_excerpt(path, 0, length_s)
    six = np.random.default_rng(0).uniform(-0.5, 0.5, (20_000, 6)).astype(np.float32)
    found, _ = read_excerpt(write(tmp_path / "b.wav", six, 16_000), 0, 1)
    np.testing.assert_allclose(found, six[:16_000].mean(axis=1, keepdims=True), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(0, 300), n_channels=st.integers(1, 3), rate_hz=st.integers(8000, 96_000), seed=st.integers(0, 99))
def test_wav_bytes_is_read_back_exactly(n: int, n_channels: int, rate_hz: int, seed: int) -> None:
    """16-bit values survive, by libsndfile's reading."""
    stored = np.random.default_rng(seed).integers(-32768, 32768, (n, n_channels)) / 32768
    content = wav_bytes(stored.astype(np.float32), rate_hz)
    found, found_hz = soundfile.read(io.BytesIO(content), always_2d=True)
    assert found_hz == rate_hz
    np.testing.assert_array_equal(found, stored)


def test_wav_bytes_clips() -> None:
    """Too loud is clipped and never wrapped; what is no number is silence."""
    samples = np.array([[1.0], [-1.0], [7.0], [-7.0], [np.inf], [-np.inf], [np.nan]], dtype=np.float32)
    found, _ = soundfile.read(io.BytesIO(wav_bytes(samples, 8000)), dtype="int16")
    assert found.tolist() == [32767, -32768, 32767, -32768, 32767, -32768, 0]
    with pytest.raises(InputError, match=r"Samples of shape \(7,\) were given"):
        wav_bytes(samples[:, 0], 8000)


@pytest.mark.parametrize("n_frames", [1, 5, 99, 100, 101, 60_001])
@pytest.mark.parametrize("n_bins", [1, 7, 100, 800])
def test_peaks_are_the_maxima_of_equal_parts(tmp_path: Path, n_frames: int, n_bins: int) -> None:
    """Against the whole file cut at the same edges; a bin without a frame has the one it begins in."""
    samples = NOISE[:n_frames]
    found = waveform_peaks(write(tmp_path / "a.wav", samples, 16_000), n_bins)
    loudest = np.abs(samples).max(axis=1)
    edges = [row * n_frames // n_bins for row in range(n_bins + 1)]
    expected = [loudest[a : max(b, a + 1)].max() for a, b in itertools.pairwise(edges)]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
