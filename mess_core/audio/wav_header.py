"""WAV: what the header says, checked before anything trusts it, and the samples behind it.

Most music that people keep uncompressed is WAV, and its sizes lie often: recorders that lost power, programs that
could not seek back, files past 4 GB. Here the chunks are walked with bounds, everything that is there is read, what is
missing is reported, and NumPy turns the samples into numbers, which is as fast as reading them. Compressed codecs
are left to others.

Conventions
-----------
A frame is one sample of every channel. Samples are float32 in [-1, 1), as libsndfile scales them. A sample of fewer
bits than its bytes hold lies in the upper ones, as the format has it, unless the samples show that it does not.

Source
------
Microsoft, Multimedia Programming Interface and Data Specifications 1.0 (RIFF, WAVE); Microsoft, Multiple channel
audio data and WAVE files (WAVE_FORMAT_EXTENSIBLE); EBU Tech 3306 (RF64) and ITU-R BS.2088 (BW64).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from mess_core.errors import AudioError
from mess_core.words import counted

MAX_CHUNKS = 256  # editors write a dozen; a file of nothing but chunks would keep the walk busy for ever

_UNKNOWN_SIZE = 0xFFFFFFFF  # what a program writes that cannot seek back to complete its header
_NEAR_LIMIT_BYTES = 2**13  # others write the largest size they know, less what comes before the samples
_PROBES, _PROBE_BYTES = 16, 2**14  # where, and how much of it, the samples are looked at for how they lie
_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # all but the first two bytes of the standard GUIDs

# (format tag, bytes of a stored sample) -> NumPy type
_TYPES = {
    (_PCM, 1): "u1",
    (_PCM, 2): "<i2",
    (_PCM, 3): "V3",  # NumPy has no 24-bit integer
    (_PCM, 4): "<i4",
    (_PCM, 8): "<i8",
    (_FLOAT, 4): "<f4",
    (_FLOAT, 8): "<f8",
}
_NAMES = {
    0x0002: "Microsoft ADPCM",
    0x0006: "A-law",
    0x0007: "µ-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0040: "G.721 ADPCM",
    0x0050: "MPEG layer I or II",
    0x0055: "MP3",
    0x0161: "Windows Media Audio",
}


@dataclass(frozen=True)
class WavHeader:
    """Where the samples of a WAV file lie and how they are stored; sizes are those of the file, not promises."""

    codec: str  # "PCM_16", "FLOAT", …, as libsndfile says it
    sample_rate_hz: int
    n_channels: int
    n_frames: int
    frame_bytes: int
    data_offset: int  # bytes from the start of the file
    is_truncated: bool  # the header promises more than the file holds, or the last frame is incomplete
    sample_type: str
    scale: float  # of a stored sample


class OtherCodecError(AudioError):
    """A WAV file whose samples are not plain numbers."""


def is_wav(start: bytes) -> bool:
    """Say whether the first 12 bytes are those of a WAV, RF64 or BW64 file."""
    return start[:4] in (b"RIFF", b"RF64", b"BW64") and start[8:12] == b"WAVE"


def read_wav_header(file: BinaryIO, name: str) -> WavHeader:
    """Walk the chunks up to the samples.

    Parameters
    ----------
    file : BinaryIO
        Seekable.
    name : str
        What to call the file in an error.

    Raises
    ------
    OtherCodecError
        If its samples are not PCM or float.
    AudioError
        If the file is not a WAV file, or contradicts itself.
    """
    file_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(12)
    if not is_wav(start):
        raise AudioError(f"{name} is not a WAV file.")
    is_64_bit = start[:4] != b"RIFF"

    data_bytes_64 = None
    layout = None
    position = 12
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8:
            raise _broken(name, "no data chunk")
        chunk_id, chunk_bytes = struct.unpack("<4sI", chunk)
        position += 8
        if chunk_id == b"ds64" and is_64_bit:
            data_bytes_64 = _read_data_bytes_64(file.read(min(chunk_bytes, 24)), name)
        elif chunk_id == b"fmt ":
            layout = _read_layout(file.read(min(chunk_bytes, 40)), name)
        elif chunk_id == b"data":
            if layout is None:
                raise _broken(name, "its data comes before its format")
            if chunk_bytes == _UNKNOWN_SIZE and data_bytes_64 is not None:
                chunk_bytes = data_bytes_64
            present_bytes = file_bytes - position
            if chunk_bytes == 0:
                is_open_ended = not _is_chunks(file, position, file_bytes)
            elif chunk_bytes > present_bytes:
                is_open_ended = (chunk_bytes + _NEAR_LIMIT_BYTES) % 2**31 <= _NEAR_LIMIT_BYTES
            else:  # past 4 GB the size begins again at 0
                overflows = not is_64_bit and present_bytes - chunk_bytes >= 2**32 - _NEAR_LIMIT_BYTES
                is_open_ended = overflows and not _is_chunks(file, position + chunk_bytes, file_bytes)
            promised_bytes = present_bytes if is_open_ended else chunk_bytes
            n_frames, left_over = divmod(min(promised_bytes, present_bytes), layout.frame_bytes)
            bits, scale = layout.bits, layout.scale
            if bits < 8 * layout.sample_bytes and _is_in_lower_bits(file, position, n_frames, layout):
                scale = 2.0 ** (1 - bits)
            return WavHeader(
                codec=layout.codec,
                sample_rate_hz=layout.sample_rate_hz,
                n_channels=layout.n_channels,
                n_frames=n_frames,
                frame_bytes=layout.frame_bytes,
                data_offset=position,
                is_truncated=promised_bytes > present_bytes or left_over > 0,
                sample_type=layout.sample_type,
                scale=scale,
            )
        position += chunk_bytes + chunk_bytes % 2  # chunks start at even positions
    raise _broken(name, f"more than {MAX_CHUNKS} chunks before the samples")


def decode_samples(stored: bytes, header: WavHeader) -> np.ndarray:
    """Turn stored bytes into samples.

    Parameters
    ----------
    stored : bytes
        Of whole frames.
    header : WavHeader
        How they are stored.

    Returns
    -------
    ndarray, shape (n_frames, n_channels), float32
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a double beyond float32 becomes Inf, which the caller counts
        samples = _numbers(stored, header.sample_type).astype(np.float32)
    if header.sample_type == "u1":
        samples -= 128.0
    if header.scale != 1.0:
        samples *= np.float32(header.scale)
    return samples.reshape(-1, header.n_channels)


def _numbers(stored: bytes, sample_type: str) -> np.ndarray:
    """Stored samples as NumPy has them, shape (n,); 24 bits in the upper part of 32."""
    if sample_type != "V3":
        return np.frombuffer(stored, dtype=sample_type)
    wide = np.zeros((len(stored) // 3, 4), dtype=np.uint8)
    wide[:, 1:] = np.frombuffer(stored, dtype=np.uint8).reshape(-1, 3)  # the sign comes right by itself
    return wide.view("<i4")[:, 0]


@dataclass(frozen=True)
class _Layout:
    codec: str
    sample_type: str
    sample_rate_hz: int
    n_channels: int
    frame_bytes: int
    bits: int  # that say something
    scale: float

    @property
    def sample_bytes(self) -> int:
        return self.frame_bytes // self.n_channels


def _read_layout(body: bytes, name: str) -> _Layout:
    """Read a `fmt ` chunk of at least 16 bytes, let only uncompressed codecs through."""
    if len(body) < 16:
        raise _broken(name, "its format chunk is too short")
    tag, n_channels, sample_rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    valid_bits = bits
    if tag == _EXTENSIBLE:
        if len(body) < 40 or body[26:40] != _SUBFORMAT_TAIL:
            raise _other(name, "an unknown extensible codec")
        valid_bits, tag = *struct.unpack("<H", body[18:20]), *struct.unpack("<H", body[24:26])
    if tag not in (_PCM, _FLOAT):
        raise _other(name, _NAMES.get(tag, f"codec 0x{tag:04x}"))
    sample_bytes, left_over = divmod(frame_bytes, n_channels) if n_channels else (0, 0)
    if n_channels == 0 or left_over or bits > 8 * sample_bytes:
        raise _broken(
            name,
            f"{counted(n_channels, 'channel')} of {counted(bits, 'bit')} do not make frames of "
            f"{counted(frame_bytes, 'byte')}",
        )
    kind = "PCM" if tag == _PCM else "float"
    if (tag, sample_bytes) not in _TYPES or bits == 0 or (tag == _FLOAT and bits != 8 * sample_bytes):
        raise _other(name, f"{bits}-bit {kind}")
    if not 0 < valid_bits <= bits or tag == _FLOAT:
        valid_bits = bits
    if tag == _FLOAT:
        codec, scale = ("FLOAT" if sample_bytes == 4 else "DOUBLE"), 1.0
    else:
        codec = "PCM_U8" if sample_bytes == 1 else f"PCM_{8 * -(-valid_bits // 8)}"
        scale = 2.0 ** (1 - 8 * sample_bytes) if sample_bytes != 3 else 2.0**-31
    return _Layout(codec, _TYPES[tag, sample_bytes], sample_rate_hz, n_channels, frame_bytes, valid_bits, scale)


def _is_in_lower_bits(file: BinaryIO, start: int, n_frames: int, layout: _Layout) -> bool:
    """Say whether samples of fewer bits than they have room lie in the lower ones, judged by some from everywhere."""
    if layout.sample_bytes not in (2, 4):
        return False
    n_probed = _PROBE_BYTES // layout.frame_bytes + 1
    low_mask = (1 << (8 * layout.sample_bytes - layout.bits)) - 1
    uses_low = False
    for number in range(_PROBES):
        first = number * max(0, n_frames - n_probed) // _PROBES
        file.seek(start + first * layout.frame_bytes)
        stored = file.read(min(n_probed, n_frames) * layout.frame_bytes)
        values = np.frombuffer(stored[: len(stored) // layout.frame_bytes * layout.frame_bytes], layout.sample_type)
        values = values.astype(np.int64)
        if values.size and max(values.max(), -values.min() - 1) >= 1 << (layout.bits - 1):
            return False
        uses_low = uses_low or bool((values & low_mask).any())
    return uses_low


def _is_chunks(file: BinaryIO, position: int, file_bytes: int) -> bool:
    """Say whether what follows is chunks up to the end of the file, or nothing."""
    for _ in range(MAX_CHUNKS):
        if position >= file_bytes:
            return True
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8 or not all(32 <= byte < 127 for byte in chunk[:4]):
            return False
        chunk_bytes = int.from_bytes(chunk[4:], "little")
        position += 8 + chunk_bytes + chunk_bytes % 2
        if position > file_bytes + 1:
            return False
    return False


def _read_data_bytes_64(body: bytes, name: str) -> int:
    if len(body) < 24:
        raise _broken(name, "its ds64 chunk is too short")
    _, data_bytes, _ = struct.unpack("<QQQ", body)
    return int(data_bytes)


def _broken(name: str, why: str) -> AudioError:
    return AudioError(f"{name} has a damaged WAV header: {why}.", "Export it again from the program that made it.")


def _other(name: str, codec: str) -> OtherCodecError:
    return OtherCodecError(
        f"{name} is a WAV file with {codec}, which MESS does not read.", "Convert it to 16-bit PCM or FLAC."
    )
