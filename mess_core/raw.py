"""Raw hidden states on disk, on demand: all frames of all layers, 0.7 GB for four minutes of MERT-95M.

A safetensors file written segment by segment: how many there are is known only at the end, so room is left for the
header, and the header is written last.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from mess_core.files import TMP_SUFFIX

HEADER_BYTES = 512  # more than any header needs; safetensors allows trailing spaces


class RawWriter:
    """Collects hidden states (n_layers, n_frames, dim) of equal shape into one float16 tensor `hidden_states`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_suffix(path.suffix + TMP_SUFFIX)
        self._shape: tuple[int, ...] = ()
        self._n_segments = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._temporary.open("wb")
        self._stream.write(b" " * (8 + HEADER_BYTES))

    def add(self, hidden_states: np.ndarray) -> None:
        """One segment."""
        self._shape = hidden_states.shape
        self._n_segments += 1
        self._stream.write(np.ascontiguousarray(hidden_states, dtype=np.float16).tobytes())

    def close(self) -> None:
        """Write the header and give the file its name."""
        shape = [self._n_segments, *self._shape]
        tensor = {"dtype": "F16", "shape": shape, "data_offsets": [0, int(np.prod(shape)) * 2]}
        header = json.dumps({"hidden_states": tensor}).encode().ljust(HEADER_BYTES)
        self._stream.seek(0)
        self._stream.write(struct.pack("<Q", HEADER_BYTES) + header)
        self._stream.close()
        self._temporary.replace(self.path)

    def abandon(self) -> None:
        self._stream.close()
        self._temporary.unlink(missing_ok=True)
