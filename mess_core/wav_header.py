"""WAV: what the header says, checked before anything trusts it, and the samples behind it.

Anybody may upload a WAV file, and a decoder that believes a hostile header reads or writes where it should not.
Here the file's chunks are walked with bounds, only uncompressed codecs are let through, and the samples are turned
into numbers by NumPy: the WAV parser of libsndfile never sees a file.

Conventions
-----------
A frame is one sample of every channel. Samples are float32 in [-1, 1), as libsndfile scales them.

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

MAX_CHUNKS = 256  # editors write a dozen; a file of nothing but chunks would keep the walk busy for ever

_UNKNOWN_SIZE = 0xFFFFFFFF  # what a program writes that cannot seek back to complete its header
_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # all but the first two bytes of the standard GUIDs

# (format tag, bits) -> (name as libsndfile says it, NumPy type of one stored sample)
_CODECS = {
    (_PCM, 8): ("PCM_U8", "u1"),
    (_PCM, 16): ("PCM_16", "<i2"),
    (_PCM, 24): ("PCM_24", "V3"),  # NumPy has no 24-bit integer
    (_PCM, 32): ("PCM_32", "<i4"),
    (_FLOAT, 32): ("FLOAT", "<f4"),
    (_FLOAT, 64): ("DOUBLE", "<f8"),
}
_REFUSED = {
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

    codec: str  # "PCM_16", "FLOAT", …
    sample_rate_hz: int
    n_channels: int
    n_frames: int
    frame_bytes: int
    data_offset: int  # bytes from the start of the file
    is_truncated: bool  # the header promises more than the file holds, or the last frame is incomplete
    sample_type: str


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
    AudioError
        If the file is not a WAV file, not PCM or float, or contradicts itself.
    """
    file_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(12)
    if not is_wav(start):
        raise AudioError(f"{name} is not a WAV file.")
    is_64_bit = start[:4] != b"RIFF"
    (riff_bytes,) = struct.unpack("<I", start[4:8])

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
            is_unfinished = chunk_bytes == 0 and (riff_bytes == _UNKNOWN_SIZE or riff_bytes + 8 < file_bytes)
            is_open_ended = chunk_bytes == _UNKNOWN_SIZE or is_unfinished
            present_bytes = file_bytes - position
            promised_bytes = present_bytes if is_open_ended else chunk_bytes
            n_frames, left_over = divmod(min(promised_bytes, present_bytes), layout.frame_bytes)
            return WavHeader(
                codec=layout.codec,
                sample_rate_hz=layout.sample_rate_hz,
                n_channels=layout.n_channels,
                n_frames=n_frames,
                frame_bytes=layout.frame_bytes,
                data_offset=position,
                is_truncated=promised_bytes > present_bytes or left_over > 0,
                sample_type=layout.sample_type,
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
    if header.codec == "PCM_24":
        # three bytes in the upper part of a 32-bit integer: the sign comes right by itself
        wide = np.zeros((len(stored) // 3, 4), dtype=np.uint8)
        wide[:, 1:] = np.frombuffer(stored, dtype=np.uint8).reshape(-1, 3)
        samples = wide.view("<i4")[:, 0].astype(np.float32) * np.float32(2.0**-31)
    else:
        raw = np.frombuffer(stored, dtype=header.sample_type)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a double beyond float32 becomes Inf, which the caller counts
            samples = raw.astype(np.float32)
        if header.codec == "PCM_U8":
            samples -= 128.0
        if header.codec.startswith("PCM"):
            samples *= np.float32(2.0 ** (1 - 8 * raw.itemsize))
    return samples.reshape(-1, header.n_channels)


@dataclass(frozen=True)
class _Layout:
    codec: str
    sample_type: str
    sample_rate_hz: int
    n_channels: int
    frame_bytes: int


def _read_layout(body: bytes, name: str) -> _Layout:
    """Read a `fmt ` chunk of at least 16 bytes, let only uncompressed codecs through."""
    if len(body) < 16:
        raise _broken(name, "its format chunk is too short")
    tag, n_channels, sample_rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _EXTENSIBLE:
        if len(body) < 40 or body[26:40] != _SUBFORMAT_TAIL:
            raise _unsupported(name, "an unknown extensible codec")
        (tag,) = struct.unpack("<H", body[24:26])
    if tag not in (_PCM, _FLOAT):
        raise _unsupported(name, _REFUSED.get(tag, f"codec 0x{tag:04x}"))
    if (tag, bits) not in _CODECS:
        raise _unsupported(name, f"{bits}-bit {'PCM' if tag == _PCM else 'float'}")
    if n_channels == 0 or frame_bytes != n_channels * bits // 8:
        raise _broken(name, f"{n_channels} channels of {bits} bits do not make frames of {frame_bytes} bytes")
    codec, sample_type = _CODECS[tag, bits]
    return _Layout(codec, sample_type, sample_rate_hz, n_channels, frame_bytes)


def _read_data_bytes_64(body: bytes, name: str) -> int:
    if len(body) < 24:
        raise _broken(name, "its ds64 chunk is too short")
    _, data_bytes, _ = struct.unpack("<QQQ", body)
    return data_bytes


def _broken(name: str, why: str) -> AudioError:
    return AudioError(f"{name} has a damaged WAV header: {why}.", "Export it again from the program that made it.")


def _unsupported(name: str, codec: str) -> AudioError:
    return AudioError(
        f"{name} is a WAV file with {codec}; MESS reads PCM of 8, 16, 24 or 32 bits and float of 32 or 64 bits.",
        "Convert it to 16-bit PCM or FLAC.",
    )
