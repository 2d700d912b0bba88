"""Raw hidden states on disk, on demand: all frames of all layers, 0.7 GB for four minutes of MERT-95M.

A safetensors file written segment by segment: how many there are is known only at the end, so room is left for the
header, and the header is written last. It holds the sha256 of the numbers behind it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mess_core.errors import ArtefactMismatchError, StorageError
from mess_core.storage.files import TMP_SUFFIX
from mess_core.storage.kept import Kind
from mess_core.storage.untrusted import open_untrusted, parse_safetensors, printable, tensor_facts, understanding

MOST_RAW_BYTES = 2**40  # 12 hours of the largest encoder; it is hashed, never read whole
HEADER_BYTES = 512  # more than any header needs; safetensors allows trailing spaces


class RawWriter:
    """Collects hidden states (n_layers, n_frames, dim) of equal shape into one float16 tensor `hidden_states`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_suffix(path.suffix + TMP_SUFFIX)
        self._shape: tuple[int, ...] = ()
        self._n_segments = 0
        self._digest = hashlib.sha256()
        with self._explaining():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._temporary.open("wb")
            self._stream.write(b" " * (8 + HEADER_BYTES))

    def add(self, hidden_states: np.ndarray) -> None:
        """One segment."""
        self._shape = hidden_states.shape
        self._n_segments += 1
        data = np.ascontiguousarray(hidden_states, dtype=np.float16).tobytes()
        self._digest.update(data)
        with self._explaining():
            self._stream.write(data)

    def close(self) -> None:
        """Write the header and give the file its name."""
        with self._explaining():
            self._stream.seek(0)
            self._stream.write(_header([self._n_segments, *self._shape], self._digest.hexdigest()))
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
        start = stream.read(8 + HEADER_BYTES)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    with understanding(name):
        _, shape, _, _ = tensor_facts(start, size, name)["hidden_states"]
    if start != _header(list(shape), digest):
        raise ArtefactMismatchError(f"{name} is damaged: its sha256 changed.")


def read_raw(path: Path) -> np.ndarray:
    """The frames of a track, (n_segments, n_layers, n_frames, dim) float16; ArtefactMismatchError if it is damaged."""
    verify_raw(path)
    with open_untrusted(path, MOST_RAW_BYTES, name=path.name) as stream:
        return parse_safetensors(stream.read(), path.name)["hidden_states"]


def _header(shape: list[int], sha256: str) -> bytes:
    tensor = {"dtype": "F16", "shape": shape, "data_offsets": [0, int(np.prod(shape)) * 2]}
    header = json.dumps({"__metadata__": {"sha256": sha256}, "hidden_states": tensor}).encode()
    return struct.pack("<Q", HEADER_BYTES) + header.ljust(HEADER_BYTES)


KEPT = Kind("cache", lambda paths: paths.hidden_states.rglob("*.safetensors"), verify_raw)
