"""Raw hidden states on disk, on demand: all frames of all layers, 0.7 GB for four minutes of MERT-95M.

A safetensors file written segment by segment: how many there are is known only at the end, so room is left for the
header, and the header is written last. It holds the sha256 of the numbers behind it.

A segment of a span that is shorter than the others has fewer frames: what it lacks is NaN.

    hidden_states (n_segments, n_layers, n_frames, dim)
    hidden_states (n_segments, n_frames, n_numbers)       where layers are not equally wide (`encoders.widths`)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.widths import with_padding, without_padding
from mess_core.errors import ArtefactMismatchError, StorageError
from mess_core.storage.files import TMP_SUFFIX
from mess_core.storage.kept import Kind
from mess_core.storage.untrusted import (
    MOST_TENSOR_HEADER_BYTES,
    map_array,
    open_untrusted,
    parse_json_value,
    printable,
    tensor_facts,
    tensor_metadata,
    understanding,
)

MOST_RAW_BYTES = 2**40  # 12 hours of the largest encoder; it is hashed, never read whole
HEADER_BYTES = 512  # more than any header needs but for its widths; safetensors allows trailing spaces
WIDTH_BYTES = 10  # of the largest of an encoder's widths, in digits, and what parts it from the next


class RawWriter:
    """Collects hidden states (n_layers, n_frames, dim) into one float16 tensor `hidden_states`.

    `widths` of the layers, where they differ.
    """

    def __init__(self, path: Path, widths: Sequence[int] = ()) -> None:
        self.path = path
        self.widths = tuple(widths)
        self._temporary = path.with_suffix(path.suffix + TMP_SUFFIX)
        self._shape: tuple[int, ...] = ()
        self._n_segments = 0
        self._digest = hashlib.sha256()
        with self._explaining():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._temporary.open("w+b")
            self._stream.write(b" " * (8 + _header_bytes(self.widths)))

    def add(self, hidden_states: np.ndarray) -> None:
        """One segment."""
        if self.widths:
            hidden_states = without_padding(hidden_states.swapaxes(0, 1), self.widths)
        with self._explaining():
            if self._n_segments and hidden_states.shape[self._frames] > self._shape[self._frames]:
                self._lengthen(hidden_states.shape)
            self._shape = self._shape or hidden_states.shape
            self._n_segments += 1
            self._append(hidden_states)

    @property
    def _frames(self) -> int:
        """The axis of frames."""
        return 0 if self.widths else 1

    def _append(self, hidden_states: np.ndarray) -> None:
        segment = np.full(self._shape, np.nan, np.float16)
        n_frames = hidden_states.shape[self._frames]
        segment[(slice(None),) * self._frames + (slice(n_frames),)] = hidden_states
        data = segment.tobytes()
        self._digest.update(data)
        self._stream.write(data)

    def _lengthen(self, shape: tuple[int, ...]) -> None:
        """The shorter segments that came first are written once more, with what they lack; they are few."""
        before, n_bytes = self._shape, int(np.prod(self._shape)) * 2
        self._stream.seek(8 + _header_bytes(self.widths))
        written = [self._stream.read(n_bytes) for _ in range(self._n_segments)]
        self._stream.seek(8 + _header_bytes(self.widths))
        self._shape, self._digest = shape, hashlib.sha256()
        for data in written:
            self._append(np.frombuffer(data, np.float16).reshape(before))

    def close(self) -> None:
        """Write the header and give the file its name."""
        with self._explaining():
            self._stream.seek(0)
            self._stream.write(_header([self._n_segments, *self._shape], self._digest.hexdigest(), self.widths))
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._temporary.replace(self.path)

    def abandon(self) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take is tried once more here
            self._stream.close()
        self._temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        """What the disk refuses becomes one sentence, and nothing is left behind."""
        try:
            yield
        except OSError as error:
            if hasattr(self, "_stream"):
                self.abandon()
            raise StorageError(
                f"The hidden states {self.path.name} could not be written to {self.path.parent}: {error.strerror}.",
                "Free some disk space, or extract without --keep-raw.",
            ) from error


def verify_raw(path: Path) -> None:
    """ArtefactMismatchError if the file is not what was written, or was written before it held its hash."""
    name = f"The file of hidden states {printable(path.name)}"
    with open_untrusted(path, MOST_RAW_BYTES, name=name) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(8)
        n_header = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        start += stream.read(min(n_header, MOST_TENSOR_HEADER_BYTES))
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    with understanding(name):
        _, shape, _, _ = tensor_facts(start, size, name)["hidden_states"]
        widths = _widths_in(start, name)
        if start != _header(list(shape), digest, widths):
            raise ArtefactMismatchError(f"{name} is damaged: its sha256 changed.")
        if widths and shape[2:] != (sum(widths),):
            raise ValueError(f"it has {shape} numbers for layers of {widths}")


def read_raw(path: Path) -> np.ndarray:
    """The frames of a track, (n_segments, n_layers, n_frames, dim) float16; ArtefactMismatchError if it is damaged."""
    verify_raw(path)
    mapped, widths = _mapped(path)
    hidden_states = np.array(mapped)
    if np.isinf(hidden_states).any():
        raise ArtefactMismatchError(f"{path.name} is damaged: hidden_states holds numbers that cannot be.")
    return with_padding(hidden_states, widths).swapaxes(1, 2) if widths else hidden_states


@dataclass(frozen=True, eq=False)
class RawFrames:
    """The frames of one track on the disk.

    numbers : (n_segments, n_layers, n_frames, dim) float16, or (n_segments, n_frames, n_numbers) where widths differ
    times_s : (n_segments, n_frames) float64, the middle of each frame in its track; segments overlap

    A segment that is shorter than the others lacks frames at its end: they are NaN.

    frame_s : from one frame to the next
    """

    numbers: np.ndarray
    widths: tuple[int, ...]
    times_s: np.ndarray
    frame_s: float

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_segments, n_layers, n_frames, dim)"""
        if not self.widths:
            return self.numbers.shape
        return (len(self.numbers), len(self.widths), self.numbers.shape[1], max(self.widths))

    def layer(self, layer: int) -> np.ndarray:
        """(n_segments, n_frames, width), read from the disk as far as it is looked at."""
        if not self.widths:
            view: np.ndarray = self.numbers[:, layer]
            return view
        first = sum(self.widths[:layer])
        part: np.ndarray = self.numbers[..., first : first + self.widths[layer]]
        return part

    def of_layers(self, layers: Sequence[int]) -> np.ndarray:
        """(n_rows, n_layers, dim) float16, in memory, of frames that are there; a narrow layer is 0 at its end."""
        n_segments, _, n_frames, dim = self.shape
        rows = np.zeros((n_segments * n_frames, len(layers), dim), np.float16)
        for place, layer in enumerate(layers):
            one = self.layer(layer)
            rows[:, place, : one.shape[-1]] = one.reshape(-1, one.shape[-1])
        return rows[self.is_there.ravel()]

    @property
    def is_there(self) -> np.ndarray:
        """(n_segments, n_frames) bool: which frames a segment has."""
        found: np.ndarray = ~np.isnan(self.layer(0)[..., 0])
        return found


def open_raw(path: Path, starts_s: np.ndarray, info: EncoderInfo) -> RawFrames:
    """The frames of a track, memory-mapped; what its header says is checked, its numbers are not hashed.

    Parameters
    ----------
    starts_s : ndarray, shape (n_segments,)
        When each segment begins, of the track's embedding.

    Raises
    ------
    ArtefactMismatchError
        If it is no such file, or not of these segments.
    """
    numbers, widths = _mapped(path)
    if len(numbers) != len(starts_s):
        raise ArtefactMismatchError(
            f"The file of hidden states {printable(path.name)} has {len(numbers)} segments, "
            f"and {len(starts_s)} segments were heard."
        )
    n_frames = numbers.shape[1 if widths else 2]
    frame_s = 1 / info.frame_rate_hz if info.frame_rate_hz else info.segment_s / n_frames
    times_s = starts_s.astype(float)[:, None] + (np.arange(n_frames) + 0.5) * frame_s
    return RawFrames(numbers, widths, times_s, frame_s)


def _mapped(path: Path) -> tuple[np.ndarray, tuple[int, ...]]:
    """The numbers of a file as they lie there, and the widths of layers."""
    name = f"The file of hidden states {printable(path.name)}"
    with open_untrusted(path, MOST_RAW_BYTES, name=name) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(8)
        n_header = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        start += stream.read(min(n_header, MOST_TENSOR_HEADER_BYTES))
    with understanding(name):
        dtype, shape, first, _ = tensor_facts(start, size, name)["hidden_states"]
        widths = _widths_in(start, name)
        if len(shape) != (3 if widths else 4) or 0 in shape:
            raise ValueError(f"it has numbers of the shape {shape}")
    return map_array(path, dtype, shape, first, MOST_RAW_BYTES, name=name), widths


def _header(shape: list[int], sha256: str, widths: tuple[int, ...]) -> bytes:
    tensor = {"dtype": "F16", "shape": shape, "data_offsets": [0, int(np.prod(shape)) * 2]}
    metadata = {"sha256": sha256} | ({"widths": json.dumps(widths)} if widths else {})
    header = json.dumps({"__metadata__": metadata, "hidden_states": tensor}).encode()
    return struct.pack("<Q", _header_bytes(widths)) + header.ljust(_header_bytes(widths))


def _header_bytes(widths: tuple[int, ...]) -> int:
    return HEADER_BYTES + WIDTH_BYTES * len(widths)


def _widths_in(start: bytes, name: str) -> tuple[int, ...]:
    """What the header says of the widths of layers; empty where they do not differ."""
    widths = parse_json_value(tensor_metadata(start, name).get("widths", "[]"), name)
    if not isinstance(widths, list) or not all(type(width) is int and width >= 1 for width in widths):
        raise ArtefactMismatchError(f"{name} is damaged: its layers cannot be {widths!r:.100} wide.")
    return tuple(widths)


KEPT = Kind("cache", lambda paths: paths.hidden_states.rglob("*.safetensors"), verify_raw)
