"""Opening files: what they are by content, and one clear sentence for each that cannot be used."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from mess_core.audio.source import audio_start, inspect_audio, open_audio, safe_name, sha256_file
from mess_core.errors import AudioError
from tests.wav import chunk, fmt, wav

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (16_000, 2)).astype(np.float32)
RATE_HZ = 16_000


def encoded(container: str, subtype: str | None = None, samples: np.ndarray = NOISE, rate_hz: int = RATE_HZ) -> bytes:
    """Encode samples with libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def flac_that_claims(n_frames: int) -> bytes:
    """Encode FLAC whose header lies about its length; 0 means unknown."""
    content = bytearray(encoded("FLAC"))
    content[21] = content[21] & 0xF0 | n_frames >> 32
    content[22:26] = struct.pack(">I", n_frames & 0xFFFFFFFF)
    return bytes(content)


def encode_mp3(n_channels: int = 2, rate_hz: int = 44_100, duration_s: int = 12) -> bytes:
    """Encode noise that swells and dies at a variable bit rate: its first frames say nothing about its length."""
    rng = np.random.default_rng(0)
    envelope = np.linspace(0, 1, duration_s * rate_hz)[:, None] ** 4
    file = io.BytesIO()
    samples = rng.standard_normal((duration_s * rate_hz, n_channels)) * 0.2 * envelope
    soundfile.write(file, samples, rate_hz, format="MP3", bitrate_mode="VARIABLE")
    return file.getvalue()


def without_length(mp3: bytes) -> bytes:
    """Take away the first frame, which carries the length."""
    return mp3[mp3.index(mp3[:2], 4) :]


def id3(n_bytes: int, flags: int = 0) -> bytes:
    """Build an ID3v2.4 tag of `n_bytes` bytes."""
    size = bytes(n_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\4\0" + bytes([flags]) + size + b"\1" * n_bytes + (b"3DI" + bytes(7) if flags & 0x10 else b"")


def ape(n_bytes: int) -> bytes:
    """Build an APEv2 tag with a header and `n_bytes` bytes behind it."""
    return b"APETAGEX" + struct.pack("<IIII", 2000, n_bytes, 1, 0xA0000000) + bytes(8) + b"\1" * n_bytes


@pytest.mark.parametrize(
    ("before", "offset"),
    [
        (b"", 0),
        (id3(5000), 5010),
        (id3(300) + id3(20), 340),
        (id3(300, flags=0x10), 320),
        (id3(300) + bytes(500), 810),
        (ape(50), 82),
        (id3(300) + ape(50) + bytes(9), 401),
        (b"ID3\4", 0),
    ],
)
def test_what_lies_before_the_audio_is_skipped(before: bytes, offset: int) -> None:
    """One tag, two, with a footer, with zeros after it; half a header is no tag."""
    assert audio_start(io.BytesIO(before + b"\xff\xfb\x90\x00")) == offset


def test_a_tag_longer_than_the_file_ends_the_walk() -> None:
    """The offset may lie beyond the end: nothing is found there."""
    assert audio_start(io.BytesIO(id3(5)[:10])) == 15


@pytest.mark.parametrize("name", ["music.wav", "music.mp3", "music", "no audio.txt"])
@pytest.mark.parametrize(
    ("container", "subtype", "codec"),
    [
        ("WAV", "PCM_16", "WAV PCM_16"),
        ("RF64", "FLOAT", "WAV FLOAT"),
        ("FLAC", "PCM_24", "FLAC PCM_24"),
        ("OGG", "VORBIS", "OGG VORBIS"),
        ("OGG", "OPUS", "OGG OPUS"),
        ("MP3", None, "MP3"),
        ("AIFF", "PCM_24", "AIFF PCM_24"),
        ("W64", "PCM_16", "W64 PCM_16"),
        ("CAF", "PCM_16", "CAF PCM_16"),
        ("AU", "FLOAT", "AU FLOAT"),
        ("WAV", "ULAW", "WAV PCM_MULAW"),
        ("WAV", "ALAW", "WAV PCM_ALAW"),
    ],
)
def test_content_decides_and_not_the_name(
    tmp_path: Path, name: str, container: str, subtype: str | None, codec: str
) -> None:
    """Any format under any name is recognised."""
    (tmp_path / name).write_bytes(encoded(container, subtype))
    info = inspect_audio(tmp_path / name)
    rate_hz = 48_000 if subtype == "OPUS" else RATE_HZ  # the rate of every Opus decoder
    assert (info.codec, info.sample_rate_hz, info.n_channels, info.is_truncated) == (codec, rate_hz, 2, False)
    assert info.duration_s == pytest.approx(1.0, abs=0.01 if subtype == "OPUS" else 0.0)


@pytest.mark.parametrize("container", ["FLAC", "MP3"])
def test_tags_before_the_audio_are_skipped(tmp_path: Path, container: str) -> None:
    """Tags, and zeros behind them, change nothing."""
    path = tmp_path / "tagged"
    path.write_bytes(id3(70_000) + bytes(100) + encoded(container))
    assert inspect_audio(path).n_frames == len(NOISE)


@pytest.mark.parametrize("before", [id3(20), ape(20), bytes(100), b"junk" * 9, id3(20) + b"junk"])
@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "AIFF"])
def test_bytes_before_the_audio_cost_nothing(tmp_path: Path, before: bytes, container: str) -> None:
    """Whatever a program has put before the header, what follows is read as it is without."""
    plain, path = tmp_path / "plain", tmp_path / "a"
    plain.write_bytes(encoded(container))
    path.write_bytes(before + plain.read_bytes())
    with open_audio(plain) as expected, open_audio(path) as found:
        assert found.info == expected.info
        np.testing.assert_array_equal(found.read(10**6), expected.read(10**6))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is no audio that MESS reads"),
        (bytes(5000), "is no audio that MESS reads"),
        (id3(500), "holds no sound"),
        (b"RIFF", "is no audio that MESS reads"),
        (wav(fmt(tag=0x0040), chunk(b"data", bytes(400))), "with G.721 ADPCM"),
        (wav(fmt(tag=0x1234), chunk(b"data", bytes(400))), "with codec 0x1234"),
        (b"fLaC" + bytes(100), "is no audio|cannot be decoded"),
        (b"OggS" + bytes(100), "is no audio|cannot be decoded|holds no sound"),
        (encoded("OGG")[:100], "is no audio|cannot be decoded"),
        (b"\xff\xfb\x90\x00" * 3, "is no audio|cannot be decoded"),
        (encoded("WAV", samples=NOISE[:0]), "holds no samples"),
        (wav(fmt(n_channels=1000), chunk(b"data", bytes(4000))), "has 1000 channels; MESS reads 1 to 64"),
        (wav(fmt(rate=0), chunk(b"data", bytes(400))), "has 0 samples per second; MESS reads 4000 to 768000"),
        (wav(fmt(rate=1), chunk(b"data", bytes(400))), "has 1 samples per second"),
        (wav(fmt(rate=4 * 10**9), chunk(b"data", bytes(400))), "has 4000000000 samples per second"),
        (flac_that_claims(RATE_HZ * 3600 * 13), "is 13 h long; MESS reads up to 12 h"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",  # an Ogg file has a random number in it
)
def test_each_bad_file_gets_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    """The sentence names the file and the cause, and comes at once."""
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    av.logging.get_level()  # the import is not part of the time
    started_s = time.perf_counter()
    with pytest.raises(AudioError, match=f"^bad\\.wav .*{message}") as caught:
        inspect_audio(path)
    assert time.perf_counter() - started_s < 0.5
    assert "Traceback" not in str(caught.value) and "<" not in caught.value.message


def test_what_the_system_refuses(tmp_path: Path) -> None:
    """Missing, folder, pipe, link loop, no permission, NUL: an AudioError, and no waiting."""
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    with pytest.raises(AudioError, match=r"^gone\.wav does not exist\."):
        inspect_audio(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match="is a folder, not an audio file"):
        inspect_audio(tmp_path)
    with pytest.raises(AudioError, match=r"^pipe\.wav is not a regular file"):
        inspect_audio(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match=r"^loop\.wav cannot be read: "):
        inspect_audio(tmp_path / "loop.wav")
    with pytest.raises(AudioError, match="is not a file name"):
        inspect_audio(tmp_path / "a\0b.wav")
    with pytest.raises(AudioError, match=r"^gone\.wav does not exist\."):
        sha256_file(tmp_path / "gone.wav")


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions, simulated because root may read everything."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "locked.wav").write_bytes(encoded("WAV"))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioError, match=r"^locked\.wav cannot be read: Permission denied\."):
        inspect_audio(tmp_path / "locked.wav")


def test_a_disk_that_fails_while_reading(tmp_path: Path) -> None:
    """An error in the middle is one sentence as well."""
    (tmp_path / "a.wav").write_bytes(encoded("WAV"))
    with pytest.raises(AudioError, match=r"a\.wav cannot be read: Input/output error"), open_audio(tmp_path / "a.wav"):
        raise OSError(5, "Input/output error")


def test_twelve_sparse_gigabytes_are_refused_at_once(tmp_path: Path) -> None:
    """A file that costs its sender nothing costs us nothing."""
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, 12 * 10**9, 0, 0))
    path = tmp_path / "bomb.wav"
    path.write_bytes(wav(ds64, fmt(n_channels=2, rate=44_100), chunk(b"data", b"", 0xFFFFFFFF), form=b"RF64"))
    os.truncate(path, 12 * 10**9 + 80)
    with pytest.raises(AudioError, match=r"^bomb\.wav is 18\.9 h long; MESS reads up to 12 h\."):
        inspect_audio(path)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Dvořák – Größe 🎻.wav", "Dvořák – Größe 🎻.wav"),
        ("-rf.wav", "-rf.wav"),
        ("line\nbreak.wav", "line\\nbreak.wav"),
        ("\u202egnp.wav", "\\u202egnp.wav"),
        (os.fsdecode(b"\xff\xfe.wav"), "\\udcff\\udcfe.wav"),
        ("x" * 250 + ".wav", "x" * 250 + ".wav"),
    ],
)
@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_hostile_names_are_read_and_shown(tmp_path: Path, name: str, shown: str, container: str) -> None:
    """No name reaches a decoder, and every name in a message is printable."""
    path = tmp_path / name
    path.write_bytes(encoded(container))
    assert inspect_audio(path).n_frames == len(NOISE)
    assert safe_name(path) == shown
    shown.encode()


def test_sha256(tmp_path: Path) -> None:
    """The hash of the bytes."""
    (tmp_path / "a").write_bytes(b"abc" * 10**6)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"abc" * 10**6).hexdigest()


def test_a_flac_of_unknown_length_is_counted(tmp_path: Path) -> None:
    """A FLAC made by a pipe has no length in its header."""
    (tmp_path / "a.flac").write_bytes(flac_that_claims(0))
    assert inspect_audio(tmp_path / "a.flac").n_frames == len(NOISE)
    with open_audio(tmp_path / "a.flac") as source:
        source.seek(4000)
        np.testing.assert_allclose(source.read(100), NOISE[4000:4100], atol=1e-4)


def test_a_cut_ogg_is_known_by_its_header(tmp_path: Path) -> None:
    """Its last page is not marked as the last."""
    content = encoded("OGG", samples=np.tile(NOISE, (5, 1)))
    (tmp_path / "a.ogg").write_bytes(content[: len(content) // 2])
    assert inspect_audio(tmp_path / "a.ogg").is_truncated


@pytest.mark.slow
def test_an_mp3_without_length_is_read_to_its_end(tmp_path: Path) -> None:
    """Libsndfile alone loses a part of it in silence."""
    whole = encode_mp3()
    (tmp_path / "whole.mp3").write_bytes(whole)
    (tmp_path / "bare.mp3").write_bytes(id3(99) + without_length(whole))
    assert inspect_audio(tmp_path / "bare.mp3").duration_s == pytest.approx(12, abs=0.1)
    with open_audio(tmp_path / "whole.mp3") as a, open_audio(tmp_path / "bare.mp3") as b:
        expected, found = a.read(10**6)[:, 0], b.read(10**6)[:, 0]
    loud = expected[400_000:410_000]
    lags = range(-2500, 2500)
    errors = [np.abs(found[400_000 + lag : 410_000 + lag] - loud).max() for lag in lags]
    assert min(errors) < 1e-3 * np.abs(loud).max()


@pytest.mark.slow
@pytest.mark.parametrize("container", ["FLAC", "OGG", "MP3", "WAV"])
def test_random_damage_never_escapes(tmp_path: Path, container: str, capfd: pytest.CaptureFixture[str]) -> None:
    """150 damaged files: an AudioError or finite shapes, nothing else."""
    rng = np.random.default_rng(1)
    content = encoded(container)
    path = tmp_path / "a"
    for _ in range(150):
        damaged = bytearray(content)
        for position in rng.integers(0, min(len(content), int(rng.choice([64, 600, 10**6]))), 6):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            with open_audio(path) as source:
                while len(block := source.read(4096)):
                    assert block.dtype == np.float32 and block.shape[1] == source.info.n_channels
        except AudioError as error:
            assert error.message.startswith("a ")
    capfd.readouterr()  # mpg123 talks to stderr
