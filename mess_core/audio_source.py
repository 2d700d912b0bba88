"""An open audio file as a sequence of frames, whatever its format, and what its header says.

What a file is, is read from its content and never from its name. WAV is read here (`wav_header`); FLAC, Ogg and MP3 are
read by libsndfile. Every failure, of the system or of a decoder, becomes an `AudioError` that names the file.

Conventions
-----------
A frame is one sample of every channel. Samples are float32, full scale is 1. Names in errors are printable.
"""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mess_core.config import MAX_DURATION_S
from mess_core.errors import AudioError
from mess_core.mp3_header import is_mp3_frame, missing_first_frame, skip_id3
from mess_core.wav_header import decode_samples, is_wav, read_wav_header

MAX_CHANNELS = 64
MIN_RATE_HZ, MAX_RATE_HZ = 4000, 768_000  # the shelf of the loudness filter, at 1.5 kHz, needs 3 kHz

_OGG_PAGE_BYTES = 65_307  # the largest there is
_UNKNOWN_LENGTH = 2**63 - 1  # what libsndfile says where a FLAC header does not know, as after a pipe


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about itself, after the checks."""

    codec: str  # "WAV PCM_16", "FLAC PCM_24", "OGG VORBIS", "MP3"
    sample_rate_hz: int
    n_channels: int
    n_frames: int
    is_truncated: bool  # as far as the header tells; `DecodeFacts` knows for certain

    @property
    def duration_s(self) -> float:
        return self.n_frames / self.sample_rate_hz


def inspect_audio(path: Path) -> AudioInfo:
    """Read what the header says, without decoding.

    Raises
    ------
    AudioError
        If the file cannot be read, is not WAV, FLAC, Ogg or MP3, is empty or longer than `MAX_DURATION_S`.
    """
    with open_audio(path) as source:
        return source.info


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits. Raises AudioError if it cannot be read."""
    with _open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(path: Path) -> str:
    """Return the file's name with everything that is not printable escaped: names are untrusted text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in Path(path).name)


class Source(Protocol):
    """An open audio file, positioned at its first frame."""

    info: AudioInfo

    def seek(self, frame: int) -> None:
        """Go to a frame."""
        ...

    def read(self, n_frames: int) -> np.ndarray:
        """Return shape (n, n_channels), float32, the caller's own; n < n_frames only at the end or before damage."""
        ...


@contextmanager
def open_audio(path: Path) -> Iterator[Source]:
    """Open a file as what its first bytes say it is. Raises AudioError as `inspect_audio`."""
    name = safe_name(path)
    with _open_file(path) as file:
        offset = skip_id3(file)
        file.seek(offset)
        start = file.read(12)
        if not start and offset == 0:
            raise AudioError(f"{name} is empty.")
        source: Source
        if is_wav(start) and offset == 0:
            source = _WavSource(file, name)
        elif start[:4] in (b"fLaC", b"OggS"):
            source = _SndfileSource(_View(file, offset), name)
        elif is_mp3_frame(start):
            source = _SndfileSource(_View(file, offset, missing_first_frame(file, offset)), name)
        else:
            raise AudioError(
                f"{name} is not WAV, FLAC, Ogg or MP3, whatever its name says.", "Convert it to one of these formats."
            )
        _check_info(source.info, name)
        yield source


@contextmanager
def _open_file(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file; what the system refuses, now or while reading, becomes an AudioError."""
    path, name = Path(path), safe_name(path)
    try:
        if "\0" in str(path):
            raise AudioError(f"{name} is not a file name.")
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise AudioError(f"{name} is a folder, not an audio file.")
        if not stat.S_ISREG(mode):
            raise AudioError(f"{name} is not a regular file.")  # reading a pipe could wait for ever
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise AudioError(f"{name} does not exist.", "Was it moved, or is its disk not connected?") from error
    except OSError as error:
        raise AudioError(f"{name} cannot be read: {error.strerror or error}.") from error


class _WavSource:
    def __init__(self, file: io.BufferedReader, name: str) -> None:
        self._file = file
        self._header = header = read_wav_header(file, name)
        self._frame = 0
        self.info = AudioInfo(
            f"WAV {header.codec}", header.sample_rate_hz, header.n_channels, header.n_frames, header.is_truncated
        )

    def seek(self, frame: int) -> None:
        self._frame = frame

    def read(self, n_frames: int) -> np.ndarray:
        header = self._header
        n_wanted = max(0, min(n_frames, header.n_frames - self._frame))
        self._file.seek(header.data_offset + self._frame * header.frame_bytes)
        stored = self._file.read(n_wanted * header.frame_bytes)
        stored = stored[: len(stored) // header.frame_bytes * header.frame_bytes]  # the file may have shrunk
        self._frame += len(stored) // header.frame_bytes
        return decode_samples(stored, header)


class _SndfileSource:
    """FLAC, Ogg or MP3 by libsndfile."""

    def __init__(self, file: _View, name: str) -> None:
        import soundfile

        class Forward(soundfile.SoundFile):
            """Reads on from where it is: soundfile seeks after every read, after which an MP3 decoder starts anew."""

            def seekable(self) -> bool:
                return False

        self._errors = soundfile.SoundFileError
        self._name = name
        try:
            self._sound = sound = Forward(file)
            n_frames = sound.frames
            if n_frames == _UNKNOWN_LENGTH:
                n_frames = self._count_frames()
                file.seek(0)
                self._sound = Forward(file)
        except self._errors as error:
            raise AudioError(f"{name} cannot be decoded: {_reason(error)}.") from error
        if sound.format not in ("FLAC", "OGG", "MP3"):
            raise AudioError(f"{name} is {sound.format}; MESS reads WAV, FLAC, Ogg and MP3.")
        codec = "MP3" if sound.format == "MP3" else f"{sound.format} {sound.subtype}"
        is_truncated = sound.format == "OGG" and not file.ends_with_last_ogg_page()
        self.info = AudioInfo(codec, sound.samplerate, sound.channels, n_frames, is_truncated)

    def seek(self, frame: int) -> None:
        if frame == 0:
            return  # not every damaged file can seek, but every file begins at its beginning
        try:
            self._sound.seek(frame)
        except self._errors as error:
            position_s = frame / self.info.sample_rate_hz
            raise AudioError(f"{self._name} cannot be read from {position_s:.1f} s on: {_reason(error)}.") from error

    def read(self, n_frames: int) -> np.ndarray:
        # where decoding fails, libsndfile does not say how far it came; no decoder writes NaN
        samples = np.full((n_frames, self._sound.channels), np.nan, dtype=np.float32)
        try:
            return self._sound.read(out=samples)
        except self._errors:
            is_missing = np.isnan(samples[:, -1])
            return samples[: is_missing.argmax()] if is_missing.any() else samples

    def _count_frames(self) -> int:
        """Decode once, to the end or to more than `_check_info` lets through."""
        n_frames = 0
        while n_frames <= MAX_DURATION_S * self._sound.samplerate:
            n_read = len(self.read(2**16 // self._sound.channels))
            if n_read == 0:
                break
            n_frames += n_read
        return n_frames


class _View(io.RawIOBase):
    """What libsndfile is shown of a file: some first bytes of our own, then the file from an offset on.

    So libsndfile never reads the tags before the audio, and cannot find another format behind them.
    """

    def __init__(self, file: io.BufferedReader, offset: int, first: bytes = b"") -> None:
        self._file, self._offset, self._first = file, offset, first
        self._size = len(first) + file.seek(0, io.SEEK_END) - offset
        self._position = 0

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + position)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        n_wanted = len(buffer)
        data = self._first[self._position : self._position + n_wanted]
        if len(data) < n_wanted:
            self._file.seek(self._offset + self._position + len(data) - len(self._first))
            data += self._file.read(n_wanted - len(data))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def ends_with_last_ogg_page(self) -> bool:
        """Say whether the last page is complete and marked as the last; a stream that was cut has no such page."""
        self._file.seek(max(0, self._offset + self._size - _OGG_PAGE_BYTES))
        tail = self._file.read(_OGG_PAGE_BYTES)
        page = tail[max(0, tail.rfind(b"OggS")) :]
        if len(page) < 27:
            return False
        is_last = bool(page[5] & 0x04)
        n_parts = page[26]
        return is_last and len(page) >= 27 + n_parts + sum(page[27 : 27 + n_parts])


def _check_info(info: AudioInfo, name: str) -> None:
    if not 1 <= info.n_channels <= MAX_CHANNELS:
        raise AudioError(f"{name} has {info.n_channels} channels; MESS reads 1 to {MAX_CHANNELS}.")
    if not MIN_RATE_HZ <= info.sample_rate_hz <= MAX_RATE_HZ:
        raise AudioError(
            f"{name} has {info.sample_rate_hz} samples per second; MESS reads {MIN_RATE_HZ} to {MAX_RATE_HZ}."
        )
    if info.n_frames <= 0:
        raise AudioError(f"{name} holds no samples.")
    if info.duration_s > MAX_DURATION_S:
        raise AudioError(
            f"{name} is {info.duration_s / 3600:.3g} h long; MESS reads up to {MAX_DURATION_S / 3600:g} h."
        )


def _reason(error: Exception) -> str:
    return getattr(error, "error_string", str(error)).removeprefix("Error : ").rstrip(". ") or "unknown reason"
