"""MP3: where the audio begins behind its tags, and how long it is when the file does not say.

A recording at a variable bit rate tells its length in a first frame without sound (`Xing` or `Info`). Where that frame
is missing, as in recorded streams and cut files, libsndfile guesses the length from the first frames and stops there:
more than half of a recording can be lost without a word. So the frames are counted here, and libsndfile is shown the
first frame that is missing.

Source
------
ISO/IEC 11172-3 and 13818-3, layer III, frame header; Xing, VBR header; ID3.org, ID3v2.4.0, section 3.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

_ID3_HEADER_BYTES = 10
_CHUNK_BYTES = 2**20
_HEADER_BYTES = 4
_HAS_FRAME_COUNT = 1
_MAX_STRAYS = 100_000  # bytes that could have begun a frame and did not: a file made of them must not keep us busy

# kbit/s by the four bits of the header; 0 is "free", 15 is forbidden, and neither is read here
_BITRATES_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_BITRATES_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_SAMPLE_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_MPEG1 = 3


@dataclass(frozen=True)
class _Frame:
    n_bytes: int
    side_info_bytes: int


def skip_id3(file: BinaryIO) -> int:
    """Return where the audio begins, in bytes: behind ID3v2 tags and the zeros that may follow them."""
    offset = 0
    while True:
        file.seek(offset)
        tag = file.read(_ID3_HEADER_BYTES)
        if tag[:3] != b"ID3" or len(tag) < _ID3_HEADER_BYTES:
            break
        tag_bytes = 0
        for byte in tag[6:]:  # seven bits each
            tag_bytes = tag_bytes << 7 | byte & 0x7F
        has_footer = bool(tag[5] & 0x10)
        offset += _ID3_HEADER_BYTES * (1 + has_footer) + tag_bytes
    if offset:
        file.seek(offset)
        padding = file.read(2**16)
        offset += len(padding) - len(padding.lstrip(b"\0"))
    return offset


def is_mp3_frame(start: bytes) -> bool:
    """Say whether bytes begin with the header of an MPEG audio frame of layer III."""
    return _read_frame(start, 0) is not None


def missing_first_frame(file: BinaryIO, offset: int) -> bytes:
    """Return the frame that tells how many frames there are, or nothing if the file has it.

    Parameters
    ----------
    file : BinaryIO
        Seekable.
    offset : int
        Where the first frame begins, in bytes.
    """
    file.seek(offset)
    start = file.read(2048)  # the longest frame has 1441 bytes
    frame = _read_frame(start, 0)
    if frame is None:
        return b""
    tag_at = _HEADER_BYTES + frame.side_info_bytes
    if start[tag_at : tag_at + 4] in (b"Xing", b"Info") and start[tag_at + 7] & _HAS_FRAME_COUNT:
        return b""
    # the same header, but without checksum, at a bit rate where the frame has room, and without padding
    header = bytes([start[0], start[1] | 0x01, start[2] & 0x0D | 0x90, start[3]])
    first = _read_frame(header, 0)
    assert first is not None  # only legal bits were set
    tag = struct.pack(">4sII", b"Xing", _HAS_FRAME_COUNT, _count_frames(file, offset))
    return (header + bytes(first.side_info_bytes) + tag).ljust(first.n_bytes, b"\0")


def _count_frames(file: BinaryIO, offset: int) -> int:
    """Count the complete frames from `offset` on, stepping over what is no frame."""
    n_frames = n_strays = 0
    file.seek(offset)
    held = b""
    while chunk := file.read(_CHUNK_BYTES):
        held += chunk
        position = 0
        while position + _HEADER_BYTES <= len(held):
            frame = _read_frame(held, position)
            if frame is None:
                n_strays += 1
                position = held.find(b"\xff", position + 1)
                if position < 0:
                    position = len(held)
                if n_strays > _MAX_STRAYS:
                    return n_frames
            elif position + frame.n_bytes <= len(held):
                n_frames += 1
                position += frame.n_bytes
            else:
                break
        held = held[position:]
    return n_frames


def _read_frame(data: bytes, at: int) -> _Frame | None:
    """Read the frame header at a position; None if there is none of layer III."""
    if len(data) < at + _HEADER_BYTES or data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return None
    version = data[at + 1] >> 3 & 3
    rate_row = data[at + 2] >> 2 & 3
    if version not in _SAMPLE_RATES_HZ or rate_row == 3:
        return None
    is_mpeg1 = version == _MPEG1
    bitrate = (_BITRATES_MPEG1 if is_mpeg1 else _BITRATES_MPEG2)[data[at + 2] >> 4]
    if bitrate == 0:
        return None
    is_mono = data[at + 3] >> 6 == 3
    padding = data[at + 2] >> 1 & 1
    n_bytes = (144 if is_mpeg1 else 72) * bitrate * 1000 // _SAMPLE_RATES_HZ[version][rate_row] + padding
    side_info_bytes = (17 if is_mono else 32) if is_mpeg1 else (9 if is_mono else 17)
    return _Frame(n_bytes, side_info_bytes)
