"""Audio of nearly any format, read by FFmpeg through PyAV.

FFmpeg is given an open file and nothing else: no name, no protocol, only the formats and codecs listed here. So a file
that refers to others (a playlist, a film in parts) cannot make it open anything. Whatever a file says, decoding ends:
packets that bring no sound, samples per frame, channels, seconds of waiting and the length as a whole are bounded.

Conventions
-----------
A frame is one sample of every channel; what FFmpeg calls a frame is a piece here. Samples are float32, full scale is 1.
A passage holds the same samples as the same slice of the whole: where packets say exactly when they sound they are
counted and passed over up to shortly before it, elsewhere all that precedes it is decoded.
"""

from __future__ import annotations

import io
import itertools
import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from mess_core.config import MAX_DURATION_S
from mess_core.errors import AudioError

MAX_CHANNELS = 64
MAX_PIECE_FRAMES = 2**22  # the longest piece of a codec has 2**18
MAX_SILENT_PACKETS = 20_000  # in a row that bring no sound: no decoder waits for so many
MAX_COUNTED_PACKETS = 5_000_000  # twelve hours have 2.6 million of 16 ms
MAX_DEMUX_ERRORS = 100
MAX_GAP_S = 10.0  # what was lost within is silence; a longer jump of the clock is none of the recording
MAX_BOXES = 100_000
MAX_ANNOUNCED = 5_000_000  # packets of an MP4 file, the picture's included: five hours of film have three million
COUNT_S = 20.0  # twelve hours of MP3 are counted in eight
WAIT_S = 30.0  # for one reading of the file
PREROLL_PACKETS = 32  # decoded before a passage and thrown away: MP3 at its lowest bit rate reaches back 22

# FFmpeg's formats by the first word of `AudioInfo.codec`, which is also a file's suffix.
FORMATS = {
    "wav": "WAV", "w64": "W64", "aiff": "AIFF", "caf": "CAF", "au": "AU", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3",
    "aac": "AAC", "mov": "MP4", "mp4": "MP4", "m4a": "MP4", "3gp": "MP4", "3g2": "MP4", "mj2": "MP4",
    "matroska": "MKV", "webm": "MKV", "asf": "WMA", "wv": "WV", "ape": "APE", "tta": "TTA", "tak": "TAK", "mpc": "MPC",
    "mpc8": "MPC", "ac3": "AC3", "eac3": "EAC3", "dts": "DTS", "dtshd": "DTS", "amr": "AMR", "dsf": "DSF", "iff": "IFF",
    "avi": "AVI", "flv": "FLV", "mpeg": "MPEG", "mpegts": "MPEG", "voc": "VOC", "shn": "SHN",
}  # fmt: skip
CODECS = frozenset(
    """
    aac aac_latm ac3 adpcm_g722 adpcm_ima_qt adpcm_ima_wav adpcm_ms adpcm_yamaha alac amrnb amrwb ape dca dsd_lsbf
    dsd_lsbf_planar dsd_msbf dsd_msbf_planar eac3 flac g722 gsm gsm_ms mp1 mp1float mp2 mp2float mp3 mp3float mpc7 mpc8
    opus pcm_alaw pcm_f32be pcm_f32le pcm_f64be pcm_f64le pcm_mulaw pcm_s16be pcm_s16be_planar pcm_s16le
    pcm_s16le_planar pcm_s24be pcm_s24le pcm_s24le_planar pcm_s32be pcm_s32le pcm_s32le_planar pcm_s64be pcm_s64le
    pcm_s8 pcm_s8_planar pcm_u16be pcm_u16le pcm_u24be pcm_u24le pcm_u32be pcm_u32le pcm_u8 shorten speex tak truehd
    tta vorbis wavpack wmalossless wmapro wmav1 wmav2
    """.split()  # noqa: SIM905
)
# Their decoders are the same after `PREROLL_PACKETS` wherever they began.
_RESTARTING = frozenset("aac ac3 alac ape eac3 flac mp2float mp3float opus tak tta vorbis wavpack".split())  # noqa: SIM905
_EXACT = frozenset("aac aiff ape au caf flac mov mp3 ogg tak tta w64 wav wv".split())  # formats  # noqa: SIM905
_TELL_THE_LENGTH = _EXACT - {"aac"} | {"asf", "avi", "dsf", "flv", "iff", "matroska", "mpc", "mpc8", "mpeg",
                                              "mpegts", "voc"}  # fmt: skip
# An MP3 tells its length in a first frame without sound: sync, side information, Xing or Info, "frames are counted".
_MP3_LENGTH = re.compile(rb"\xff[\xe2-\xff].{11,36}(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f]", re.DOTALL)
_NO_BOXES = frozenset(
    b"mdat free skip wide ftyp styp stsz stz2 stsc stco co64 stts ctts trun stss mvhd tkhd mdhd hdlr data elst".split()
)
_SLACK_S = 0.15  # how far a header may be off: paddings of encoders, the last packet


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about itself, after the checks."""

    codec: str  # "WAV PCM_16", "FLAC PCM_24", "OGG VORBIS", "MP3", "MP4 AAC"
    sample_rate_hz: int
    n_channels: int
    n_frames: int  # as far as the header tells, or as counted where it cannot be trusted
    is_truncated: bool  # as far as the header tells; `DecodeFacts` knows for certain

    @property
    def duration_s(self) -> float:
        return self.n_frames / self.sample_rate_hz


class AvSource:
    """An open audio file, positioned at its first frame.

    Parameters
    ----------
    file : BinaryIO
        Seekable; begins with the audio.
    name : str
        What to call it in an error.
    is_length_known : bool
        False where its header is not to be believed: then packets are counted.
    is_truncated : bool
        What the caller knows.
    n_frames : int, optional
        The length, if it was counted before.

    Raises
    ------
    AudioError
        If it is none of the formats, its codec is none of those read here, or nothing in it can be decoded.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        *,
        is_length_known: bool = True,
        is_truncated: bool = False,
        n_frames: int | None = None,
    ) -> None:
        self._file, self._name = file, name
        self._n_lost = 0  # packets since the last piece
        self._open()
        self._pieces = self._decode()
        try:
            first = next(self._pieces, None)
            if first is None:
                raise AudioError(f"{name} cannot be decoded: nothing in it is sound.")
            piece, self._first_pts = first
            self._rate_hz, self._n_channels = piece.sample_rate, piece.layout.nb_channels
            if not 1 <= self._n_channels <= MAX_CHANNELS:
                raise AudioError(f"{name} has {self._n_channels} channels; MESS reads 1 to {MAX_CHANNELS}.")
            self._pieces = itertools.chain([first], self._pieces)
            tick = self._stream.time_base * self._rate_hz if self._stream.time_base else None  # in frames
            self._is_exact = bool(
                tick
                and 1 in (tick.numerator, tick.denominator)
                and self._first_pts is not None
                and self._format in _EXACT
                and (self._codec in _RESTARTING or self._codec.startswith("pcm_"))
            )
            self._tick = tick
            codec = self._codec_name()
            promised = self._promised_frames() if is_length_known else None
            is_promise = promised is not None and self._format in _EXACT
            self.slack_frames = round((_SLACK_S if is_promise else MAX_DURATION_S) * self._rate_hz)
            n_frames = n_frames or promised or self._count_frames()
        except BaseException:
            self.close()
            raise
        self.info = AudioInfo(codec, self._rate_hz, self._n_channels, n_frames, is_truncated)
        self._to_rate = ToRate(self._rate_hz)
        self._held: deque[np.ndarray] = deque()
        self._n_held = 0
        self._frame = 0  # the next one handed out
        self._is_fresh = True

    def seek(self, frame: int) -> None:
        """Go to a frame."""
        if frame == self._frame:
            return
        if not (self._is_exact and self._skip_to(frame)):
            self._restart()
            self._discard(frame)

    def read(self, n_frames: int) -> np.ndarray:
        """Return shape (n, n_channels), float32, the caller's own; n < n_frames only at the end or before damage."""
        while self._n_held < n_frames and self._hold_next():
            pass
        parts = []
        n_missing = n_frames
        while self._held and n_missing:
            part = self._held.popleft()
            if len(part) > n_missing:
                self._held.appendleft(part[n_missing:])
                part = part[:n_missing]
            parts.append(part)
            n_missing -= len(part)
        n_read = n_frames - n_missing
        self._n_held -= n_read
        self._frame += n_read
        if not parts:
            return np.zeros((0, self._n_channels), dtype=np.float32)
        return np.concatenate(parts)

    def close(self) -> None:
        """Let go of FFmpeg's memory; the file stays open."""
        self._container.close()

    # --- opening ------------------------------------------------------------------------------------------

    def _open(self) -> None:
        import av

        self._errors = (av.error.FFmpegError, ValueError)
        try:
            self._container = _open_container(self._file)
        except _TooMuchError as error:
            raise AudioError(f"{self._name} {error}.", "It is damaged: convert it.") from error
        except self._errors as error:
            raise AudioError(
                f"{self._name} is no audio that MESS reads.", "Save it anew as WAV or FLAC, in a program that plays it."
            ) from error
        self._format = self._container.format.name.split(",")[0]
        try:
            self._choose_stream()
        except BaseException:
            self.close()
            raise

    def _choose_stream(self) -> None:
        import av

        streams = self._container.streams.audio
        if not streams:
            raise AudioError(f"{self._name} holds no sound.", "Is it a film or a picture?")
        self._stream = next((stream for stream in streams if self._codec_of(stream) in CODECS), streams[0])
        self._codec = self._codec_of(self._stream)
        if self._codec not in CODECS:
            named = self._codec or "a codec without a name"
            raise AudioError(f"{self._name} holds {named}, which MESS does not read.", "Convert it to WAV or FLAC.")
        for stream in self._container.streams:
            if stream is not self._stream:
                stream.discard = av.stream.Discard.all
        context = self._stream.codec_context
        context.thread_count = 1
        context.options = {"max_samples": str(MAX_PIECE_FRAMES)}

    @staticmethod
    def _codec_of(stream: Any) -> str:
        return str(stream.codec_context.name) if stream.codec_context is not None else ""

    def _codec_name(self) -> str:
        container, codec = FORMATS[self._format], self._codec.removesuffix("float").removesuffix("_planar").upper()
        if codec == "FLAC":
            bits = _flac_bits(self._stream.codec_context.extradata or b"")
            return f"{container} PCM_{bits}" if container == "FLAC" else f"{container} FLAC"
        for word in ("LE", "BE"):
            codec = codec.removesuffix(word)
        codec = codec.replace("PCM_S", "PCM_").replace("PCM_F32", "FLOAT").replace("PCM_F64", "DOUBLE")
        return container if codec == container else f"{container} {codec}"

    # --- length -------------------------------------------------------------------------------------------

    def _promised_frames(self) -> int | None:
        """What the header says, where such a header can say it."""
        if self._format not in _TELL_THE_LENGTH:
            return None
        if self._format == "mp3":
            position = self._file.tell()  # FFmpeg reads on from there
            self._file.seek(0)
            start = self._file.read(2**16)
            self._file.seek(position)
            if not _MP3_LENGTH.search(start):
                return None  # FFmpeg guesses by the first frames' bit rate
        if self._stream.duration and self._tick:
            n_frames = round(self._stream.duration * self._tick)
        elif self._container.duration:
            n_frames = round(self._container.duration * self._rate_hz / 1_000_000)
        else:
            return None
        return n_frames if n_frames > 0 else None

    def _count_frames(self) -> int:
        """Sum what the packets last, without decoding; where they do not say, decode."""
        self._reopen()
        n_ticks = 0
        until_s = time.monotonic() + COUNT_S
        for packet in itertools.islice(self._packets(), MAX_COUNTED_PACKETS):
            n_ticks += packet.duration or 0
            if time.monotonic() > until_s:
                break
            if self._tick and n_ticks * self._tick > 2 * MAX_DURATION_S * self._rate_hz:
                break
        self._restart_decoding()
        if n_ticks > 0 and self._tick:
            return max(1, round(n_ticks * self._tick))
        n_frames = 0
        for piece, _ in self._pieces:
            n_frames += piece.samples
            if n_frames > MAX_DURATION_S * self._rate_hz or time.monotonic() > until_s:
                break
        self._restart_decoding()
        return n_frames

    # --- packets and pieces -------------------------------------------------------------------------------

    def _packets(self) -> Iterator[Any]:
        """The packets of the stream, the last one empty; errors in between are stepped over."""
        import av

        n_errors = 0
        while n_errors < MAX_DEMUX_ERRORS:
            try:
                yield from self._container.demux(self._stream)
                return
            except av.error.EOFError:
                return
            except self._errors:
                n_errors += 1

    def _decode(self, first: Iterator[Any] | None = None) -> Iterator[tuple[Any, int | None]]:
        """Pieces of sound and when they begin, in ticks; what cannot be decoded is passed over."""
        import av

        n_silent = 0
        for packet in self._packets() if first is None else first:
            try:
                pieces = packet.decode()
            except av.error.EOFError:
                return
            except self._errors:
                pieces = []
                self._n_lost += 1
            n_silent = 0 if pieces else n_silent + 1
            if n_silent > MAX_SILENT_PACKETS:
                return
            for piece in pieces:
                if piece.samples > 0:
                    yield piece, piece.pts

    def _reopen(self) -> None:
        self.close()
        self._open()

    def _restart_decoding(self) -> None:
        self._reopen()
        self._n_lost = 0
        self._pieces = self._decode()

    def _restart(self) -> None:
        if not self._is_fresh:
            self._restart_decoding()
            self._to_rate = ToRate(self._rate_hz)
        self._held.clear()
        self._n_held = self._frame = 0

    def _hold_next(self) -> bool:
        """Decode one piece more; False at the end."""
        self._is_fresh = False
        decoded = next(self._pieces, None)
        if decoded is None:
            rest = self._to_rate.finish()
            self._hold(self._with_channels(rest))
            return len(rest) > 0
        piece, pts = decoded
        if self._n_lost:  # and it goes on: the header counts what was lost, and FFmpeg what is no sound
            self._fill_gap(pts, 2 * self._n_lost * piece.samples)
            self._n_lost = 0
            self.slack_frames = round(MAX_DURATION_S * self._rate_hz)
        self._hold(self._with_channels(self._to_rate.add(_samples(piece), piece.sample_rate)))
        return True

    def _hold(self, samples: np.ndarray) -> None:
        if len(samples):
            self._held.append(samples)
            self._n_held += len(samples)

    def _fill_gap(self, pts: int | None, most: int) -> None:
        """Silence in place of what could not be decoded, so that all behind it stays at its time."""
        if not self._is_exact or pts is None:
            return
        n_lost = self._frame_of(pts) - (self._frame + self._n_held)
        if 0 < n_lost <= min(most, MAX_GAP_S * self._rate_hz):
            self._hold(np.zeros((n_lost, self._n_channels), dtype=np.float32))

    def _frame_of(self, pts: int) -> int:
        return round((pts - (self._first_pts or 0)) * (self._tick or 0))

    def _with_channels(self, samples: np.ndarray) -> np.ndarray:
        """The channels of the first piece: a stream may change what it holds."""
        return with_channels(samples, self._n_channels)

    # --- passages -----------------------------------------------------------------------------------------

    def _discard(self, frame: int) -> None:
        while self._frame < frame:
            if not len(self.read(min(frame - self._frame, 2**16))):
                return

    def _skip_to(self, frame: int) -> bool:
        """Pass over packets up to shortly before a frame; False where the clock of the file does not allow it."""
        self._restart_decoding()
        self._held.clear()
        self._n_held = 0
        self._is_fresh = False
        before: deque[Any] = deque(maxlen=PREROLL_PACKETS)
        packets = self._packets()
        last_pts: int | None = None
        for packet in packets:
            if packet.pts is None or (last_pts is not None and packet.pts < last_pts):
                return False
            last_pts = packet.pts
            before.append(packet)
            if self._frame_of(packet.pts + (packet.duration or 0)) > frame:
                break
        else:
            return False
        self._to_rate = ToRate(self._rate_hz)
        self._pieces = self._decode(itertools.chain(list(before), packets))
        begun = next(self._pieces, None)
        if begun is None or begun[1] is None or begun[0].sample_rate != self._rate_hz:
            return False
        self._frame = self._frame_of(begun[1])
        if not 0 <= self._frame <= frame:
            return False
        self._n_lost = 0
        self._pieces = itertools.chain([begun], self._pieces)
        self._discard(frame)
        return True


def with_channels(samples: np.ndarray, n_channels: int) -> np.ndarray:
    """So many channels, shape (n, n_channels): the same ones, or the mean of all in each."""
    if samples.shape[1] == n_channels:
        return samples
    return np.repeat(samples.mean(axis=1, keepdims=True), n_channels, axis=1)


class ToRate:
    """Brings pieces to one rate: a stream may change its own on the way."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = self._from_hz = rate_hz
        self._stream: Any = None
        self._n_channels = 1

    def add(self, samples: np.ndarray, from_hz: int) -> np.ndarray:
        if from_hz == self._from_hz and self._stream is None:
            return samples
        rest = self.finish() if (from_hz, samples.shape[1]) != (self._from_hz, self._n_channels) else None
        self._from_hz, self._n_channels = from_hz, samples.shape[1]
        if from_hz != self._rate_hz:
            if self._stream is None:
                import soxr

                self._stream = soxr.ResampleStream(from_hz, self._rate_hz, samples.shape[1], dtype="float32")
            samples = self._stream.resample_chunk(samples)
        if rest is None or not len(rest) or rest.shape[1] != samples.shape[1]:
            return samples
        return np.concatenate([rest, samples])

    def finish(self) -> np.ndarray:
        """What the filter still holds, shape (n, n_channels)."""
        rest = np.zeros((0, self._n_channels), dtype=np.float32)
        if self._stream is not None:
            rest = self._stream.resample_chunk(rest, last=True)
            self._stream = None
        return rest


def metadata_of(file: BinaryIO) -> dict[str, str]:
    """The texts that a file says of itself and of its sound, each byte as the Latin-1 letter of its number.

    Raises
    ------
    av.error.FFmpegError, ValueError
        If FFmpeg cannot read it.
    """
    with _open_container(file, metadata_encoding="latin-1", metadata_errors="strict") as container:
        streams = container.streams.audio[:1]
        return {name: text for holder in (*streams, container) for name, text in holder.metadata.items()}


def _open_container(file: BinaryIO, metadata_encoding: str = "utf-8", metadata_errors: str = "ignore") -> Any:
    """FFmpeg with a file, the formats and codecs that are read, and nothing else."""
    import av

    _check_mp4(file)
    file.seek(0)
    options = {
        "format_whitelist": ",".join(FORMATS),
        "codec_whitelist": ",".join(sorted(CODECS)),
        "protocol_whitelist": "none",
        "max_streams": "100",
    }
    return av.open(
        _Nameless(file), "r", container_options=options, buffer_size=2**16, io_open=_refuse, timeout=(WAIT_S, WAIT_S),
        metadata_encoding=metadata_encoding, metadata_errors=metadata_errors,
    )  # fmt: skip


class _Nameless:
    """All that FFmpeg is shown of a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.tell = file.read, file.tell

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go there, or say that there is no such place: headers may point anywhere."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


class _TooMuchError(ValueError):
    pass


def _check_mp4(file: BinaryIO) -> None:
    """_TooMuchError if an MP4 file announces more packets than any recording has: FFmpeg makes a table of them at once.

    Such tables need not be in the file: ISO 14496-12 lets a few bytes announce thousands of millions of samples of a
    track (stsz), of a chunk (stsc), of a fragment (trun), and of their times (ctts).
    """
    n_bytes = file.seek(0, io.SEEK_END)
    file.seek(4)
    if file.read(4) not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp", b"sidx"):
        return
    tables: dict[bytes, bytes] = {}  # of the sample table that we are in
    n_announced = 0.0
    for kind, start, end in [*_boxes(file, 0, n_bytes), (b"stbl", 0, 0)]:
        if kind in (b"stsz", b"stz2", b"stsc", b"stco", b"co64", b"stts", b"trun", b"ctts", b"cmov"):
            file.seek(start)
            table = tables[kind] = file.read(min(end - start, 2**24))
            if kind == b"trun":
                n_announced += int.from_bytes(table[4:8], "big")
            elif kind == b"ctts":
                n_announced += float(_column(table, 0, 2).sum())
            elif kind == b"cmov":
                n_announced = np.inf  # tables that are compressed: nobody has made such files for twenty years
        elif kind == b"stbl":
            n_samples = float(int.from_bytes((tables.get(b"stsz") or tables.get(b"stz2", b""))[8:12], "big"))
            first, each = (_column(tables.get(b"stsc", b""), row, 3) for row in (0, 1))
            n_chunks = int.from_bytes((tables.get(b"stco") or tables.get(b"co64", b""))[4:8], "big")
            n_by_chunks = float((np.diff(first, append=n_chunks + 1).clip(0) * each).sum())
            times = tables.get(b"stts", b"")
            is_pcm = len(times) >= 16 and times[4:8] == b"\0\0\0\1" and times[12:16] == b"\0\0\0\1"
            n_announced += max(n_samples, n_by_chunks) / (1024 if is_pcm else 1)  # of PCM so many are one packet
            tables = {}
        if n_announced > MAX_ANNOUNCED:
            raise _TooMuchError("announces more packets than any recording has")


def _column(table: bytes, column: int, n_columns: int) -> np.ndarray:
    """A column of the entries of a box, shape (n_entries,)."""
    entries = np.frombuffer(table[8 : 8 + max(0, len(table) - 8) // (4 * n_columns) * 4 * n_columns], ">u4")
    return entries.reshape(-1, n_columns)[:, column].astype(np.float64)


def _boxes(file: BinaryIO, position: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Boxes of an MP4 file, and those within them: kind, where the body begins, where it ends."""
    for _ in range(MAX_BOXES):
        if position + 8 > end:
            return
        file.seek(position)
        head = file.read(16)
        n_bytes, body = int.from_bytes(head[:4], "big"), position + 8
        if n_bytes == 1:
            n_bytes, body = int.from_bytes(head[8:16], "big"), position + 16
        stop = position + n_bytes
        if stop < body or stop > end:  # up to the end of what it is in, or damaged
            stop = end
        kind = head[4:8]
        yield kind, body, stop
        if depth < 10 and kind not in _NO_BOXES:
            # whatever could hold boxes is looked into: FFmpeg finds a table in any place
            inner = {b"meta": 4, b"stsd": 16}.get(kind, 0)
            yield from _boxes(file, body + inner, stop, depth + 1)
        position = stop


def _refuse(url: str, flags: int, options: dict) -> Any:
    raise PermissionError("A file of audio opens no other file.")


def _samples(piece: Any) -> np.ndarray:
    """Samples of a piece, shape (n, n_channels), float32."""
    array = piece.to_ndarray()
    n_channels = piece.layout.nb_channels
    array = array.T if piece.format.is_planar else array.reshape(-1, n_channels)
    kind = array.dtype
    with np.errstate(over="ignore", invalid="ignore"):  # a double beyond float32 becomes Inf, which the caller counts
        samples = np.array(array, dtype=np.float32, order="C")
    if kind == np.uint8:
        samples -= 128.0
    if kind.kind != "f":
        samples *= np.float32(2.0 ** (1 - 8 * kind.itemsize))
    return samples


def _flac_bits(stream_info: bytes) -> int:
    """Bits of a sample, from FLAC's STREAMINFO."""
    return ((stream_info[12] & 1) << 4 | stream_info[13] >> 4) + 1 if len(stream_info) >= 14 else 16
