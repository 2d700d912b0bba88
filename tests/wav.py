"""WAV files made of chunks, whatever these claim."""

from __future__ import annotations

import struct


def chunk(chunk_id: bytes, body: bytes, size: int | None = None) -> bytes:
    """Build a RIFF chunk, padded to an even length; `size` overrides what the header claims."""
    return chunk_id + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def fmt(tag: int = 1, n_channels: int = 1, rate: int = 8000, bits: int = 16, frame_bytes: int | None = None) -> bytes:
    """Build a `fmt ` chunk."""
    frame_bytes = n_channels * bits // 8 if frame_bytes is None else frame_bytes
    body = struct.pack("<HHIIHH", tag, n_channels, rate, (rate * frame_bytes) % 2**32, frame_bytes, bits)
    return chunk(b"fmt ", body)


def wav(*chunks: bytes, form: bytes = b"RIFF", size: int | None = None) -> bytes:
    """Build a WAV file of chunks."""
    body = b"WAVE" + b"".join(chunks)
    return form + struct.pack("<I", len(body) if size is None else size) + body
