"""Packed arrays: what was gathered from many small files, kept as one, beside its hash.

They lie in the cache and may be deleted at any time. Their names come from the content they were made of, so they are
never older than it. Ten thousand small files take seconds to open, one takes none.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path

import numpy as np

from mess_core.errors import ArtefactMismatchError, StorageError
from mess_core.files import write_atomically


def write_packed(path: Path, array: np.ndarray) -> None:
    """An array and its hash; a full disk is no reason to fail, only to be slower next time."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    data = buffer.getvalue()
    try:
        write_atomically(_hash_path(path), hashlib.sha256(data).hexdigest().encode())  # first: no array without a hash
        write_atomically(path, data)
    except StorageError:
        with contextlib.suppress(OSError):
            remove_packed(path)


def read_packed(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array, or None if it is not there, damaged, or of another shape: then it is made again."""
    try:
        verify_packed(path)
        array: np.ndarray = np.load(path, allow_pickle=False)
    except (FileNotFoundError, ArtefactMismatchError, ValueError):
        return None
    return array if array.shape == shape else None


def verify_packed(path: Path) -> None:
    """ArtefactMismatchError if the file is not what was written."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not _hash_path(path).is_file() or _hash_path(path).read_bytes() != digest.encode():
        raise ArtefactMismatchError(f"The cache file {path.name} is damaged: its sha256 changed.")


def remove_packed(path: Path) -> None:
    path.unlink(missing_ok=True)
    _hash_path(path).unlink(missing_ok=True)


def _hash_path(path: Path) -> Path:
    return path.with_suffix(".sha256")
