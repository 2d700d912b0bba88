"""An open audio file as a sequence of frames, whatever its format, and what its header says.

What a file is, is read from its content and never from its name. WAV of plain numbers is read here (`wav_header`), all
else by FFmpeg (`av_source`). Every failure, of the system or of a decoder, becomes an `AudioError` that names the file.

Conventions
-----------
A frame is one sample of every channel. Samples are float32, full scale is 1. Names in errors are printable.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np

from mess_core.audio.av_source import MAX_CHANNELS, AudioInfo, AvSource, ToRate, with_channels
from mess_core.audio.wav_header import OtherCodecError, WavHeader, decode_samples, is_wav, read_wav_header
from mess_core.config import MAX_DURATION_S
from mess_core.errors import AudioError

MIN_RATE_HZ, MAX_RATE_HZ = 4000, 768_000  # the shelf of the loudness filter, at 1.5 kHz, needs 3 kHz

_ID3_HEADER_BYTES = 10
_APE_HEADER_BYTES = 32
_STRAY_BYTES = 2**22  # as many may lie before the audio; FFmpeg gives up after 2**20
_BEGINNINGS = re.compile(rb"(?:RIFF|RF64|BW64).{4}WAVE|fLaC\0\0\0\x22|OggS\0\x02|FORM.{4}AIF[FC]", re.DOTALL)
_CONTAINERS = frozenset(
    (b"RIFF", b"RF64", b"BW64", b"FORM", b"OggS", b"fLaC", b"caff", b"riff", b"\x1a\x45\xdf\xa3", b"PK\3\4")
) | {b"FLV\1", b"\x30\x26\xb2\x75", b"\0\0\1\xba", b".snd", b"wvpk", b"MAC ", b"TTA1", b"tBaK", b"MPCK"}
_MANY_FRAMES = 6
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_1_II = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_OGG_HEADER_BYTES = 27
_MAX_LINKS = 2000  # of a chained Ogg file: twelve hours of radio in songs of 20 s


def inspect_audio(path: Path) -> AudioInfo:
    """Read what the header says; where it does not tell the length, packets are counted. At most one is decoded.

    Raises
    ------
    AudioError
        If the file cannot be read, is no audio that MESS reads, is empty or longer than `MAX_DURATION_S`.
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
    """An open audio file, positioned at its first frame.

    slack_frames : how many fewer than `info.n_frames` may be read before the file counts as truncated
    """

    info: AudioInfo
    slack_frames: int

    def seek(self, frame: int) -> None:
        """Go to a frame."""
        ...

    def read(self, n_frames: int) -> np.ndarray:
        """Return shape (n, n_channels), float32, the caller's own; n < n_frames only at the end."""
        ...

    def close(self) -> None:
        """Let go of what is held; the file stays open."""
        ...


@contextmanager
def open_audio(path: Path, n_frames: int | None = None) -> Iterator[Source]:
    """Open a file as what its first bytes say it is. Raises AudioError as `inspect_audio`.

    Parameters
    ----------
    n_frames : int, optional
        Its length if that is known, which then need not be counted again.
    """
    name = safe_name(path)
    with _open_file(path) as file:
        source = _source(file, name, n_frames)
        try:
            _check_info(source.info, name)
            yield source
        finally:
            source.close()


def _source(file: io.BufferedReader, name: str, n_frames: int | None) -> Source:
    offset = audio_start(file)
    file.seek(offset)
    start = file.read(12)
    if not start:
        raise AudioError(f"{name} {'holds no sound' if offset else 'is empty'}.")
    view: BinaryIO = cast(BinaryIO, io.BufferedReader(_View(file, offset), 2**16)) if offset else file
    if is_wav(start):
        try:
            return _WavSource(view, read_wav_header(view, name))
        except OtherCodecError as other:
            try:
                return AvSource(view, name)
            except AudioError:
                raise other from None  # it names the codec
    if _is_free_format(start):
        return _FreeFormatSource(view, name)
    is_length_known, is_truncated = True, False
    if start[:4] == b"OggS":
        links, is_length_known, is_complete = _read_ogg_pages(view)
        is_truncated = not is_complete
        if len(links) > 1:
            return _ChainedSource(view, name, links, is_truncated)
    return AvSource(view, name, is_length_known=is_length_known, is_truncated=is_truncated, n_frames=n_frames)


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


# --- what lies before the audio -----------------------------------------------------------------------------


def audio_start(file: BinaryIO) -> int:
    """Return where the audio begins, in bytes: behind tags, zeros, and other bytes before a header that is known."""
    offset = _skip_tags(file)
    file.seek(offset)
    start = file.read(2**16)
    if not _is_stray(start) or _first_frame(start) == 0:
        return offset
    start += file.read(_STRAY_BYTES)
    header, frame = _BEGINNINGS.search(start), _first_frame(start)
    if header and (frame is None or header.start() < frame):
        return offset + header.start()
    return offset + (frame or 0)


def _skip_tags(file: BinaryIO) -> int:
    """Return what follows ID3v2 and APE tags, and the zeros behind them."""
    offset = 0
    while True:
        file.seek(offset)
        tag = file.read(_APE_HEADER_BYTES)
        if tag[:3] == b"ID3" and len(tag) >= _ID3_HEADER_BYTES:
            tag_bytes = 0
            for byte in tag[6:_ID3_HEADER_BYTES]:  # seven bits each
                tag_bytes = tag_bytes << 7 | byte & 0x7F
            has_footer = bool(tag[5] & 0x10)
            offset += _ID3_HEADER_BYTES * (1 + has_footer) + tag_bytes
        elif tag[:8] == b"APETAGEX" and len(tag) == _APE_HEADER_BYTES:
            offset += _APE_HEADER_BYTES + int.from_bytes(tag[12:16], "little")
        else:
            break
    if offset:
        file.seek(offset)
        padding = file.read(_STRAY_BYTES)
        n_zeros = len(padding) - len(padding.lstrip(b"\0"))
        at = padding.find(b"ftyp", n_zeros, n_zeros + 8)
        offset += n_zeros if at < 4 else at - 4  # an MP4 begins with a size, and so with zeros
    return offset


def _is_mp3_frame(start: bytes) -> bool:
    """Say whether bytes begin like a frame of MPEG audio: eleven set bits, a layer, a bit rate and a sample rate."""
    return (
        len(start) >= 4
        and start[0] == 0xFF
        and start[1] & 0xE0 == 0xE0
        and start[1] & 0x06 != 0
        and start[2] & 0xF0 != 0xF0
        and start[2] & 0x0C != 0x0C
    )


def _first_frame(start: bytes) -> int | None:
    """Return where many frames of MP3, MP2 or AAC begin to follow each other: single ones are found in any bytes."""
    for found in re.finditer(rb"\xff[\xe2-\xe5\xf0-\xf5\xf8-\xfd]", start):
        at, n_frames = found.start(), 0
        while n_frames < _MANY_FRAMES and (n_bytes := _frame_bytes(start, at)):
            at, n_frames = at + n_bytes, n_frames + 1
        if n_frames == _MANY_FRAMES:
            return found.start()
    return None


def _frame_bytes(data: bytes, at: int) -> int:
    """Length of the frame of MPEG audio (ISO 11172-3, layers II and III) or of AAC (ISO 13818-7, ADTS) at a position.

    0 if there is none, or its header does not tell.
    """
    if len(data) < at + 6 or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return 0
    version, layer, rate_row = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3), data[at + 2] >> 2 & 3
    if layer == 4 and version >= 2:  # AAC
        n_bytes = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        return n_bytes if n_bytes > 7 and data[at + 2] >> 2 & 15 < 13 else 0
    if (
        layer not in (2, 3)
        or version == 1
        or (version == 0 and layer == 2)
        or rate_row == 3
        or data[at + 2] >> 4 in (0, 15)
    ):
        return 0
    is_first = version == 3  # MPEG-1; else MPEG-2 (2) or 2.5 (0), at half and a quarter of its rates
    kbits = ((_KBITS_1 if layer == 3 else _KBITS_1_II) if is_first else _KBITS_2)[data[at + 2] >> 4]
    rate_hz = (44_100, 48_000, 32_000)[rate_row] >> (0, 1, 2)[(3, 2, 0).index(version)]
    return (144 if is_first or layer == 2 else 72) * kbits * 1000 // rate_hz + (data[at + 2] >> 1 & 1)


def _is_free_format(start: bytes) -> bool:
    """Say whether bytes begin with a frame of layer III that does not tell its bit rate."""
    return _is_mp3_frame(start) and start[1] & 0x06 == 0x02 and start[2] >> 4 == 0


def _is_stray(before: bytes) -> bool:
    """Say whether bytes are the beginning of no format themselves: a film or an archive may hold sound files."""
    return before[:4] not in _CONTAINERS and before[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


@dataclass(frozen=True)
class _Link:
    """A part of a chained Ogg file, which could be a file of its own."""

    start: int  # bytes
    end: int
    n_streams: int
    has_sound: bool  # it has a page on which something ends that is heard


def _read_ogg_pages(file: BinaryIO) -> tuple[list[_Link], bool, bool]:
    """Walk the pages of an Ogg file: (its links, it is one stream and nothing else, its last page is marked as that).

    Streams that begin together are one link. Bytes between pages are passed over.
    """
    starts: list[int] = []
    n_streams: list[int] = []
    has_sound: list[bool] = []
    is_last, is_beginning, is_whole = False, False, True
    position = 0
    while True:
        file.seek(position)
        header = file.read(_OGG_HEADER_BYTES)
        if header[:4] != b"OggS":
            found = _find_ogg_page(file, position)
            if found is None:
                is_whole = is_whole and not header
                break
            position, is_whole = found, False
            continue
        page = header + file.read(header[-1])
        page += file.read(sum(page[_OGG_HEADER_BYTES:]))
        is_last = _is_last_page(page)
        granule = int.from_bytes(page[6:14], "little", signed=True)
        is_first = len(page) >= _OGG_HEADER_BYTES and bool(page[5] & 0x02) and granule <= 0
        if not starts or (is_first and not is_beginning):
            starts.append(position)
            n_streams.append(0)
            has_sound.append(False)
        is_beginning = is_first
        n_streams[-1] += is_first
        has_sound[-1] |= granule > 0
        position += len(page)
    links = [_Link(*each) for each in zip(starts, [*starts[1:], position], n_streams, has_sound, strict=True)]
    return links, n_streams == [1] and is_whole, is_last


def _find_ogg_page(file: BinaryIO, position: int) -> int | None:
    """Where the next page begins, in bytes."""
    file.seek(position)
    before = b""
    while more := file.read(2**20):
        found = (before + more).find(b"OggS\0")
        if found >= 0:
            return position - len(before) + found
        position += len(more)
        before = (before + more)[-4:]
    return None


def _is_last_page(page: bytes) -> bool:
    """Say whether a page is marked as the last of its stream, and complete."""
    if len(page) < _OGG_HEADER_BYTES or not page[5] & 0x04:
        return False
    table = page[_OGG_HEADER_BYTES : _OGG_HEADER_BYTES + page[_OGG_HEADER_BYTES - 1]]
    return len(page) >= _OGG_HEADER_BYTES + page[_OGG_HEADER_BYTES - 1] + sum(table)


class _View(io.RawIOBase):
    """A file from an offset on, up to another, so that no decoder sees the tags before the audio."""

    def __init__(self, file: BinaryIO, offset: int, end: int | None = None) -> None:
        self._file, self._offset, self._end = file, offset, end
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            position += (self._file.seek(0, io.SEEK_END) if self._end is None else self._end) - self._offset
        elif whence == io.SEEK_CUR:
            position += self._position
        self._position = max(0, position)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        start = self._offset + self._position
        n_most = len(buffer) if self._end is None else max(0, min(len(buffer), self._end - start))
        self._file.seek(start)
        read = self._file.read(n_most)
        buffer[: len(read)] = read
        self._position += len(read)
        return len(read)


class _WavSource:
    slack_frames = 0

    def __init__(self, file: BinaryIO, header: WavHeader) -> None:
        self._file = file
        self._header = header
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

    def close(self) -> None:
        pass


class _FreeFormatSource:
    """MP3 whose frames do not tell their bit rate: libsndfile reads it, FFmpeg does not."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        import soundfile

        class Forward(soundfile.SoundFile):
            """Reads on from where it is: soundfile seeks after every read, after which an MP3 decoder starts anew."""

            def seekable(self) -> bool:
                return False

        self._errors, self._name = soundfile.SoundFileError, name
        file.seek(0)
        try:
            self._sound = Forward(file)
        except self._errors as error:
            raise AudioError(f"{name} cannot be decoded: nothing in it is sound.") from error
        self.info = AudioInfo("MP3", self._sound.samplerate, self._sound.channels, self._sound.frames, False)
        self.slack_frames = round(MAX_DURATION_S * self._sound.samplerate)  # its length is guessed

    def seek(self, frame: int) -> None:
        try:
            self._sound.seek(frame)
        except self._errors as error:
            raise AudioError(
                f"{self._name} cannot be read from {frame / self.info.sample_rate_hz:.1f} s on."
            ) from error

    def read(self, n_frames: int) -> np.ndarray:
        # where decoding fails, libsndfile does not say how far it came; no decoder writes NaN
        samples = np.full((n_frames, self._sound.channels), np.nan, dtype=np.float32)
        try:
            return self._sound.read(out=samples)
        except self._errors:
            is_missing = np.isnan(samples[:, -1])
            return samples[: is_missing.argmax()] if is_missing.any() else samples

    def close(self) -> None:
        self._sound.close()


class _ChainedSource:
    """Ogg files one behind the other, as recorded radio has them, at the rate and with the channels of the first.

    A passage is found by decoding all that precedes it, so it holds the samples of the whole whatever a link promises.
    """

    def __init__(self, file: BinaryIO, name: str, links: list[_Link], is_truncated: bool) -> None:
        self._file, self._name = file, name
        self._links: list[_Link] = []
        self.slack_frames = 0
        infos: list[AudioInfo] = []
        first_error: AudioError | None = None
        n_lost = sum(link.has_sound for link in links[_MAX_LINKS:])
        for link in links[:_MAX_LINKS]:
            try:
                source = self._open(link)
                source.close()
                _check_kind(source.info, name)
            except AudioError as error:
                first_error = first_error or error
                n_lost += link.has_sound
                continue
            self._links.append(link)
            infos.append(source.info)
            self.slack_frames += source.slack_frames * infos[0].sample_rate_hz // source.info.sample_rate_hz
        if not infos:
            raise first_error or AudioError(f"{name} holds no sound.")
        self._rate_hz, self._n_channels = infos[0].sample_rate_hz, infos[0].n_channels
        n_frames = sum(round(info.duration_s * self._rate_hz) for info in infos)
        self.info = AudioInfo(infos[0].codec, self._rate_hz, self._n_channels, n_frames, is_truncated or n_lost > 0)
        self._blocks, self._held, self._frame = self._decode(), self._no_samples(), 0

    def seek(self, frame: int) -> None:
        if frame < self._frame:
            self._blocks, self._held, self._frame = self._decode(), self._no_samples(), 0
        while self._frame < frame and len(self.read(min(frame - self._frame, 2**16))):
            pass

    def read(self, n_frames: int) -> np.ndarray:
        parts, n_held = [self._held], len(self._held)
        while n_held < n_frames and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            n_held += len(block)
        held = np.concatenate(parts)
        samples, self._held = held[:n_frames].copy(), held[n_frames:]
        self._frame += len(samples)
        return samples

    def close(self) -> None:
        self._blocks.close()

    def _open(self, link: _Link) -> AvSource:
        view = cast(BinaryIO, io.BufferedReader(_View(self._file, link.start, link.end), 2**16))
        return AvSource(view, self._name, is_length_known=link.n_streams == 1)  # of several, packets are counted

    def _no_samples(self) -> np.ndarray:
        return np.zeros((0, self._n_channels), dtype=np.float32)

    def _decode(self) -> Generator[np.ndarray, None, None]:
        """Blocks of all links."""
        for link in self._links:
            source, to_rate = self._open(link), ToRate(self._rate_hz)
            try:
                while len(samples := source.read(2**16)):
                    yield to_rate.add(with_channels(samples, self._n_channels), source.info.sample_rate_hz)
                yield with_channels(to_rate.finish(), self._n_channels)
            finally:
                self.slack_frames = max(self.slack_frames, source.slack_frames)  # more where something was damaged
                source.close()


def _check_info(info: AudioInfo, name: str) -> None:
    _check_kind(info, name)
    if info.n_frames <= 0:
        raise AudioError(f"{name} holds no samples.")
    if info.duration_s > MAX_DURATION_S:
        raise AudioError(
            f"{name} is {info.duration_s / 3600:.3g} h long; MESS reads up to {MAX_DURATION_S / 3600:g} h."
        )


def _check_kind(info: AudioInfo, name: str) -> None:
    if not 1 <= info.n_channels <= MAX_CHANNELS:
        raise AudioError(f"{name} has {info.n_channels} channels; MESS reads 1 to {MAX_CHANNELS}.")
    if not MIN_RATE_HZ <= info.sample_rate_hz <= MAX_RATE_HZ:
        raise AudioError(
            f"{name} has {info.sample_rate_hz} samples per second; MESS reads {MIN_RATE_HZ} to {MAX_RATE_HZ}."
        )
