"""Packed arrays: what was gathered from many small files, kept as one, beside its hash.

They lie in the cache and may be deleted at any time. Their names come from the content they were made of, so they are
never older than it. Ten thousand small files take seconds to open, one takes none.

What is too large for memory is written in parts, and its rows are read from the disk when they are wanted
(`open_packed`). Its hash is compared once, when it is opened: 5 GB take some seconds. Rows that are read later are not
hashed again, so what a disk loses after that is noticed by `check`, or when it is opened the next time. Nobody changes
such a file: a newer one takes its place, and who has opened the older one goes on with that. Rows are read, not mapped
into memory: a sector that the disk withholds, or a file that somebody cuts, is then an error in a sentence and not the
end of the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import tempfile
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mess_core.errors import ArtefactMismatchError, StorageError
from mess_core.storage.far import FarRows
from mess_core.storage.files import TMP_SUFFIX, sync_folder, write_atomically
from mess_core.storage.kept import Kind
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import npy_facts_in, open_untrusted, printable, read_npy, read_untrusted, sha256_of

MOST_PACKED_BYTES = 2**38  # it is hashed in parts


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


def write_packed_in_parts(path: Path, shape: tuple[int, ...], dtype: type, parts: Iterable[np.ndarray]) -> None:
    """An array that is never in memory as a whole, and its hash.

    Parameters
    ----------
    parts : iterable of ndarray, shape (n, …)
        Its rows in order.

    Raises
    ------
    StorageError
        If the disk refuses: nothing is left then.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=TMP_SUFFIX)
        temporary, hashed, n_rows = Path(name), hashlib.sha256(), 0
        with os.fdopen(handle, "wb") as stream:
            head = io.BytesIO()
            facts = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(head, facts)
            hashed.update(head.getvalue())
            stream.write(head.getvalue())
            for part in parts:
                numbers: np.ndarray = np.ascontiguousarray(part, dtype)
                n_rows += len(numbers)
                hashed.update(numbers.data)
                stream.write(numbers.data)
            stream.flush()
            os.fsync(stream.fileno())
        if n_rows != shape[0]:
            raise ValueError(f"{n_rows} rows were given of {shape[0]}")
        write_atomically(_hash_path(path), hashed.hexdigest().encode())  # first: no array without a hash
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError) or isinstance(error, StorageError):  # that is of what the parts are made of
            raise
        raise StorageError(
            f"{path.name} could not be written to {path.parent}: {error.strerror or error}.",
            f"A library of this size needs {math.prod(shape) * np.dtype(dtype).itemsize / 1e9:.1f} GB for its vectors:"
            " free some disk space, then ask again.",
        ) from error


def open_packed(path: Path, shape: tuple[int, ...]) -> FarRows | None:
    """The rows of an array on the disk, or None if it is not there, damaged, or of another shape.

    The file stays open as long as they are wanted. StorageError where the disk later withholds some of them.
    """
    name = f"The cache file {printable(path.name)}"
    try:
        with open_untrusted(path, MOST_PACKED_BYTES, name=name) as opened:
            _compare(hashlib.file_digest(opened, "sha256").hexdigest(), path, name)
            opened.seek(0)
            facts = npy_facts_in(opened, os.fstat(opened.fileno()).st_size, "f", name)
            if facts.shape != shape or facts.is_fortran:
                return None
            stream = os.fdopen(os.dup(opened.fileno()), "rb", buffering=0)  # the same file, whatever takes its place
    except (OSError, ArtefactMismatchError):
        return None
    n_bytes, one_by_one = math.prod(shape[1:]) * facts.dtype.itemsize, threading.Lock()

    def read(first: int, into: np.ndarray) -> None:
        """Rows from this one on."""
        view, at, done = memoryview(into.data).cast("B"), facts.offset + first * n_bytes, 0
        try:
            while done < len(view):
                n = _read_at(stream, at + done, view[done:], one_by_one)
                if not n:
                    raise OSError("it was cut")
                done += n
        except OSError as error:
            raise StorageError(
                f"{name} cannot be read any more: {error.strerror or error}.",
                "It is made again when MESS is started again.",
            ) from error

    def make(rows: slice | np.ndarray) -> np.ndarray:
        first, n = (rows.start, rows.stop - rows.start) if isinstance(rows, slice) else (int(rows[0]), len(rows))
        numbers = np.empty((n, *shape[1:]), facts.dtype)
        if isinstance(rows, slice) or int(rows[-1]) - first + 1 == n:
            if numbers.size:
                read(first, numbers)
        else:
            _ask_ahead(stream.fileno(), facts.offset, n_bytes, rows)
            for place, row in enumerate(rows.tolist()):
                read(row, numbers[place])
        return numbers.astype(np.float32)

    found = FarRows(shape, make)
    weakref.finalize(make, stream.close)  # of whatever was made of it, too
    return found


def _read_at(stream: io.FileIO, at: int, into: memoryview, one_by_one: threading.Lock) -> int:
    """Bytes from a place on, as many as come; returns how many. Threads that share a file do not move its place."""
    if hasattr(os, "preadv"):
        return os.preadv(stream.fileno(), [into], at)
    with one_by_one:
        stream.seek(at)
        return stream.readinto(into) or 0


def _ask_ahead(handle: int, offset: int, n_bytes: int, rows: np.ndarray) -> None:
    """Tell the disk of all rows at once, where the system can: it fetches many as fast as a few."""
    if hasattr(os, "posix_fadvise"):
        for row in rows.tolist():
            os.posix_fadvise(handle, offset + row * n_bytes, n_bytes, os.POSIX_FADV_WILLNEED)


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
    _compare(sha256_of(path, MOST_PACKED_BYTES, name=name), path, name)


def _compare(digest: str, path: Path, name: str) -> None:
    """ArtefactMismatchError if another hash was written beside the file."""
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
