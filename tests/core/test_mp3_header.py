"""MP3: tags before the audio, and the length of files that do not tell it."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import soundfile

from mess_core.mp3_header import is_mp3_frame, missing_first_frame, skip_id3

RATE_HZ = 44_100


def encode_mp3(n_channels: int = 2, rate_hz: int = RATE_HZ, duration_s: int = 12) -> bytes:
    """Encode noise that swells and dies at a variable bit rate: its first frames say nothing about its length."""
    rng = np.random.default_rng(0)
    envelope = np.linspace(0, 1, duration_s * rate_hz)[:, None] ** 4
    file = io.BytesIO()
    samples = rng.standard_normal((duration_s * rate_hz, n_channels)) * 0.2 * envelope
    soundfile.write(file, samples, rate_hz, format="MP3", bitrate_mode="VARIABLE")
    return file.getvalue()


def without_length(mp3: bytes) -> bytes:
    """Take away the first frame, which carries the length."""
    at = 4
    while not (is_mp3_frame(mp3[at:]) and mp3[at : at + 2] == mp3[:2]):
        at += 1
    return mp3[at:]


def id3(n_bytes: int, flags: int = 0) -> bytes:
    """Build an ID3v2.4 tag of `n_bytes` bytes."""
    size = bytes(n_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\4\0" + bytes([flags]) + size + b"\1" * n_bytes + (b"3DI" + bytes(7) if flags & 0x10 else b"")


@pytest.mark.parametrize(
    ("before", "offset"),
    [
        (b"", 0),
        (id3(5000), 5010),
        (id3(300) + id3(20), 340),
        (id3(300, flags=0x10), 320),
        (id3(300) + bytes(500), 810),
        (b"ID3\4", 0),
    ],
)
def test_tags_are_skipped(before: bytes, offset: int) -> None:
    """One tag, two, with a footer, with zeros after it; half a header is no tag."""
    assert skip_id3(io.BytesIO(before + b"\xff\xfb\x90\x00")) == offset


def test_a_tag_longer_than_the_file_ends_the_walk() -> None:
    """The offset may lie beyond the end: nothing is found there."""
    assert skip_id3(io.BytesIO(id3(5)[:10])) == 15


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\xff\xfb\x90\x00", True),  # MPEG 1
        (b"\xff\xf3\x80\xc4", True),  # MPEG 2
        (b"\xff\xe3\x80\xc4", True),  # MPEG 2.5
        (b"\xff\xfb\xf0\x00", False),  # forbidden bit rate
        (b"\xff\xfb\x9c\x00", False),  # reserved rate
        (b"\xff\xeb\x90\x00", False),  # reserved version
        (b"\xff\xf1\x50\x80", False),  # AAC
        (b"\xff\xfd\x90\x00", False),  # layer II
        (b"\xff\xfe<\0", False),  # UTF-16
        (b"\xff\xfb", False),
        (b"", False),
    ],
)
def test_what_is_a_frame(start: bytes, expected: bool) -> None:
    """Layer III of any version, nothing else."""
    assert is_mp3_frame(start) is expected


@pytest.mark.parametrize(("n_channels", "rate_hz"), [(1, 44_100), (2, 44_100), (1, 22_050), (2, 22_050), (2, 8000)])
def test_the_missing_first_frame_tells_the_true_length(n_channels: int, rate_hz: int) -> None:
    """Libsndfile alone stops at a guess; with our frame it decodes to the end."""
    mp3 = encode_mp3(n_channels, rate_hz)
    assert missing_first_frame(io.BytesIO(mp3), 0) == b""
    bare = without_length(mp3)
    whole = soundfile.SoundFile(io.BytesIO(mp3))
    helped = soundfile.SoundFile(io.BytesIO(missing_first_frame(io.BytesIO(bare), 0) + bare))
    assert helped.frames == pytest.approx(whole.frames, abs=3000)
    assert len(helped.read()) == helped.frames
    guessed = soundfile.SoundFile(io.BytesIO(bare)).frames
    if rate_hz == RATE_HZ and n_channels == 2:
        assert abs(guessed - whole.frames) > rate_hz  # the loss this is there to prevent


def test_counting_gives_up_on_hostile_bytes() -> None:
    """Megabytes that could begin a frame anywhere and never do are not walked to the end."""
    started_s = time.perf_counter()
    assert len(missing_first_frame(io.BytesIO(b"\xff\xfb\x90\x00" + b"\xff" * 30_000_000), 0)) > 0
    assert time.perf_counter() - started_s < 2
