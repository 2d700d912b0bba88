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
from mess_core.storage.files import write_atomically
from mess_core.storage.kept import Kind
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import MOST_ARRAY_BYTES, printable, read_npy, read_untrusted, sha256_of


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
        array = read_npy(path)
    except (OSError, ArtefactMismatchError):  # one that the disk withholds is made again, too
        return None
    return array if array.shape == shape else None


def verify_packed(path: Path) -> None:
    """ArtefactMismatchError if the file is not what was written."""
    name = f"The cache file {printable(path.name)}"
    digest = sha256_of(path, MOST_ARRAY_BYTES, name=name)
    try:
        is_whole = read_untrusted(_hash_path(path), len(digest), name=name) == digest.encode()
    except FileNotFoundError:
        is_whole = False
    if not is_whole:
        raise ArtefactMismatchError(f"{name} is damaged: its sha256 changed.")


def remove_packed(path: Path) -> None:
    path.unlink(missing_ok=True)
    _hash_path(path).unlink(missing_ok=True)


def _without_array(paths: Paths) -> list[Path]:
    return [path for path in paths.packed.glob("*.sha256") if not path.with_suffix(".npy").exists()]


def _hash_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


KEPT = Kind(
    "cache", lambda paths: paths.packed.glob("*.npy"), verify_packed, orphans=_without_array, remove=remove_packed
)
