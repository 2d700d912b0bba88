"""The WAV guard: what is read, what is refused, and that no header can make it do anything else."""

from __future__ import annotations

import io
import struct
import time
import warnings

import numpy as np
import pytest
import soundfile

from mess_core.audio.wav_header import decode_samples, read_wav_header
from mess_core.errors import AudioError
from tests.wav import chunk, fmt, wav

EXTENSIBLE_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def read(content: bytes) -> tuple[np.ndarray, bool]:
    """Return all samples and whether the file is truncated."""
    header = read_wav_header(io.BytesIO(content), "a.wav")
    stored = content[header.data_offset :][: header.n_frames * header.frame_bytes]
    return decode_samples(stored, header), header.is_truncated


SAMPLES = np.arange(-50, 50, dtype="<i2") * 300
DATA = SAMPLES.tobytes()
EXPECTED = (SAMPLES / 32768).astype(np.float32)[:, None]


@pytest.mark.parametrize("n_channels", [1, 2, 3, 8])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64"])
def test_samples_are_those_of_libsndfile(container: str, subtype: str, n_channels: int) -> None:
    """Every codec in every container gives bit for bit what libsndfile gives."""
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    soundfile.write(file, rng.uniform(-1, 1, (1001, n_channels)), 44_100, format=container, subtype=subtype)
    file.seek(0)
    expected, _ = soundfile.read(file, dtype="float32", always_2d=True)
    samples, is_truncated = read(file.getvalue())
    np.testing.assert_array_equal(samples, expected)
    assert samples.dtype == np.float32
    assert not is_truncated
    assert read_wav_header(file, "a.wav").codec == soundfile.info(io.BytesIO(file.getvalue())).subtype


@pytest.mark.parametrize(
    ("content", "is_truncated"),
    [
        pytest.param(wav(fmt(), chunk(b"data", DATA)), False, id="plain"),
        pytest.param(wav(fmt(), chunk(b"data", DATA, 0xFFFFFFFF), size=0xFFFFFFFF), False, id="streamed"),
        pytest.param(wav(fmt(), chunk(b"data", DATA, 0), size=0xFFFFFFFF), False, id="streamed-zero"),
        pytest.param(wav(fmt(), chunk(b"data", DATA, 0), size=36), False, id="recorder-lost-power"),
        pytest.param(wav(fmt(), chunk(b"data", DATA, 4000)), True, id="cut"),
        pytest.param(wav(fmt(), chunk(b"data", DATA + b"x", 201)), True, id="half-a-frame"),
        pytest.param(wav(chunk(b"LIST", b"abc"), fmt(), chunk(b"bext", bytes(602)), chunk(b"data", DATA)), False),
        pytest.param(wav(fmt(), chunk(b"id3 ", b"odd"), chunk(b"data", DATA), chunk(b"LIST", b"abcd")), False),
        pytest.param(
            wav(
                chunk(b"ds64", struct.pack("<QQQI", 0, 200, 100, 0)),
                fmt(),
                chunk(b"data", DATA, 2**32 - 1),
                form=b"BW64",
            ),
            False,
            id="bw64",
        ),
        pytest.param(
            wav(
                chunk(b"ds64", struct.pack("<QQQI", 0, 9**15, 0, 0)),
                fmt(),
                chunk(b"data", DATA, 2**32 - 1),
                form=b"RF64",
            ),
            True,
            id="rf64-cut",
        ),
    ],
)
def test_what_exists_is_read_and_what_is_missing_reported(content: bytes, is_truncated: bool) -> None:
    """Sizes that are absent, wrong or unpadded never cost a sample that is there."""
    samples, found_truncated = read(content)
    np.testing.assert_array_equal(samples, EXPECTED)
    assert found_truncated is is_truncated


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0xFFFFF000])
@pytest.mark.parametrize("riff_size", [None, 0, 36, 0xFFFFFFFF])
def test_sizes_of_programs_that_could_not_seek_back(size: int, riff_size: int | None) -> None:
    """What recorders and pipes write means "until the end", and nothing is called cut."""
    samples, is_truncated = read(wav(fmt(), chunk(b"data", DATA, size), size=riff_size))
    np.testing.assert_array_equal(samples, EXPECTED)
    assert not is_truncated


@pytest.mark.parametrize("is_low", [False, True])
@pytest.mark.parametrize(("bits", "sample_bytes"), [(24, 4), (20, 4), (18, 4), (12, 2), (10, 2), (20, 3), (16, 4)])
def test_odd_widths(bits: int, sample_bytes: int, is_low: bool) -> None:
    """Samples of fewer bits than they have room, in the upper bits as the format has it or in the lower ones."""
    stored = np.random.default_rng(0).integers(-(1 << bits - 1), 1 << bits - 1, 3000)
    if sample_bytes == 3 and is_low:
        pytest.skip("nothing is known to write so")
    wide = (stored << (0 if is_low else 8 * sample_bytes - bits)).astype("<i8")
    data = wide.view(np.uint8).reshape(-1, 8)[:, :sample_bytes].tobytes()
    content = wav(fmt(bits=bits, frame_bytes=sample_bytes), chunk(b"data", data))
    assert read_wav_header(io.BytesIO(content), "a.wav").codec == f"PCM_{16 if bits <= 16 else 24}"
    samples, is_truncated = read(content)
    np.testing.assert_array_equal(samples[:, 0], (stored / 2.0 ** (bits - 1)).astype(np.float32))
    assert not is_truncated


@pytest.mark.parametrize(("extreme", "is_low"), [(2047, True), (-2048, True), (2048, False), (-2049, False)])
def test_lower_bits_hold_only_what_fits(extreme: int, is_low: bool) -> None:
    """Twelve bits end at 2047 and -2048: one number beyond, and all sixteen are meant."""
    stored = np.array([1, extreme, 3] * 100, "<i2")
    samples, _ = read(wav(fmt(bits=12, frame_bytes=2), chunk(b"data", stored.tobytes())))
    np.testing.assert_array_equal(samples[:, 0], (stored / (2048 if is_low else 32768)).astype(np.float32))


def test_an_empty_data_chunk_before_other_chunks_is_empty() -> None:
    """Size 0 means "until the end" only where the RIFF header was never completed either."""
    samples, is_truncated = read(wav(fmt(), chunk(b"data", b""), chunk(b"LIST", b"abcd")))
    assert samples.shape == (0, 1)
    assert not is_truncated


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a WAV file"),
        (b"RIFF\0\0\0\0AVI ", "is not a WAV file"),
        (wav(), "no data chunk"),
        (wav(fmt()), "no data chunk"),
        (wav(fmt(), chunk(b"junk", b"", 4000)), "no data chunk"),
        (wav(chunk(b"data", DATA), fmt()), "its data comes before its format"),
        (wav(chunk(b"fmt ", b"\1\0"), chunk(b"data", DATA)), "format chunk is too short"),
        (wav(chunk(b"ds64", b"123"), fmt(), form=b"RF64"), "ds64 chunk is too short"),
        (wav(fmt(n_channels=0), chunk(b"data", DATA)), "0 channels"),
        (wav(fmt(n_channels=2, frame_bytes=3), chunk(b"data", DATA)), "do not make frames of 3 bytes"),
        (wav(*[chunk(b"junk", b"")] * 300, fmt(), chunk(b"data", DATA)), "more than 256 chunks"),
        (wav(fmt(bits=0, frame_bytes=2), chunk(b"data", DATA)), "with 0-bit PCM"),
        (wav(fmt(tag=3, bits=16), chunk(b"data", DATA)), "with 16-bit float"),
        (wav(fmt(tag=0x0002), chunk(b"data", DATA)), "with Microsoft ADPCM"),
        (wav(fmt(tag=0x0011, bits=4, frame_bytes=256), chunk(b"data", DATA)), "with IMA ADPCM"),
        (wav(fmt(tag=0x0006, bits=8), chunk(b"data", DATA)), "with A-law"),
        (wav(fmt(tag=0x0007, bits=8), chunk(b"data", DATA)), "with µ-law"),
        (wav(fmt(tag=0x0031), chunk(b"data", DATA)), "with GSM 6.10"),
        (wav(fmt(tag=0x0040), chunk(b"data", DATA)), "with G.721 ADPCM"),
        (wav(fmt(tag=0x1234), chunk(b"data", DATA)), "with codec 0x1234"),
        (wav(fmt(tag=0xFFFE), chunk(b"data", DATA)), "with an unknown extensible codec"),
    ],
)
def test_bad_headers_are_refused(content: bytes, message: str) -> None:
    """Each kind of nonsense is named, and the file with it."""
    with pytest.raises(AudioError, match=rf"^a\.wav .*{message}"):
        read_wav_header(io.BytesIO(content), "a.wav")


def test_a_refused_codec_inside_extensible_is_named() -> None:
    """The sub-format counts, not the outer tag."""
    body = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8000, 8000, 1, 8, 22, 8, 4) + struct.pack("<H", 7) + EXTENSIBLE_TAIL
    with pytest.raises(AudioError, match="with µ-law"):
        read_wav_header(io.BytesIO(wav(chunk(b"fmt ", body), chunk(b"data", DATA))), "a.wav")


@pytest.mark.slow
def test_mutated_headers_are_refused_or_consistent() -> None:
    """20 000 random mutations: an AudioError or a header that lies inside the file, quickly, without a warning."""
    rng = np.random.default_rng(0)
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, 200, 100, 0))
    extensible = struct.pack("<HHIIHHHHI", 0xFFFE, 2, 8000, 32000, 4, 16, 22, 16, 3) + b"\1\0" + EXTENSIBLE_TAIL
    seeds = [
        wav(fmt(), chunk(b"data", DATA)),
        wav(chunk(b"fmt ", extensible), chunk(b"LIST", b"abc"), chunk(b"data", DATA)),
        wav(ds64, fmt(tag=3, bits=32), chunk(b"data", DATA, 0xFFFFFFFF), form=b"RF64"),
    ]
    n_accepted = 0
    slowest_s = 0.0
    for number in range(20_000):
        content = bytearray(seeds[number % len(seeds)])
        for position in rng.integers(0, min(len(content), 120), rng.integers(1, 5)):
            content[position] = rng.choice([0, 1, 0x7F, 0xFF, rng.integers(256)])
        content = content[: rng.integers(0, len(content))] if number % 5 == 0 else content
        started_s = time.perf_counter()
        try:
            header = read_wav_header(io.BytesIO(content), "a.wav")
            end = header.data_offset + header.n_frames * header.frame_bytes
            assert header.frame_bytes > 0 <= header.n_frames and end <= max(len(content), header.data_offset)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                samples, _ = read(bytes(content))
            assert samples.shape == (header.n_frames, header.n_channels)
            n_accepted += 1
        except AudioError:
            pass
        slowest_s = max(slowest_s, time.perf_counter() - started_s)
    assert 1000 < n_accepted < 19_000
    assert slowest_s < 0.5
