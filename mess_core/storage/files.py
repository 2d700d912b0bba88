"""Writing a file so that a reader sees the old one or the new one, whole; and JSON that notices when it is changed.

A data folder may come from somebody else: what names a path in it is not trusted. `inside` makes a path of such a name,
`own_files` leaves out what links lead to; nothing else joins a name that was read to a folder.

A *sealed* document is a JSON object like any other, whose last entry is the sha256 of every byte before it. So one
flipped bit, a cut or a run of zeros is noticed by whoever reads it, and the hash cannot be parted from what it is of.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from mess_core.errors import ArtefactMismatchError, StorageError
from mess_core.storage.untrusted import MOST_DOCUMENT_BYTES, parse_json, printable, read_untrusted
from mess_core.words import counted

TMP_SUFFIX = ".tmp"
SEAL = "seal"
N_FLUSHED = 32  # files at a time


def inside(folder: Path, name: str, within: str = "") -> Path:
    """The path of what a folder holds, by a name that was read from somewhere.

    Parameters
    ----------
    folder : Path
    name : str
        Relative to the folder.
    within : str
        The part of the folder in which it must lie.

    Raises
    ------
    ArtefactMismatchError
        If it lies elsewhere, also by a link, or is no name.
    """
    path = folder / name
    limit = folder / within
    try:
        is_plain = "\0" not in name and ".." not in path.relative_to(limit).parts and path != limit
        is_inside = is_plain and _real(path).is_relative_to(_real(folder) / within)
    except (OSError, ValueError):  # absolute, elsewhere, a loop of links
        is_inside = False
    if not is_inside:
        raise ArtefactMismatchError(
            f"The path {name[:300]!r} leads out of {limit}.", "It is never followed; `check --repair` forgets it."
        )
    return path


def own_files(root: Path, paths: Iterable[Path], *, of_any_kind: bool = False) -> Iterator[Path]:
    """Of some paths, the files that lie in a data folder themselves: no links, and none behind a link out of it.

    `of_any_kind` lets through what is no file as well, where that is to be named.
    """
    is_own: dict[Path, bool] = {}
    for path in paths:
        if path.parent not in is_own:
            is_own[path.parent] = _real(path.parent).is_relative_to(_real(root))
        if is_own[path.parent] and (of_any_kind or (path.is_file() and not path.is_symlink())):
            yield path


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def write_atomically(path: Path, data: bytes) -> None:
    """Write under a temporary name, flush to the disk, rename: a reader sees the old file or the new one, whole."""
    with _explained(path, data):
        temporary = _write_aside(path, data)
        try:
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_all_atomically(files: Mapping[Path, bytes]) -> None:
    """Write many files, each as `write_atomically` does: none is renamed before all are on the disk.

    A disk that is asked to flush many files at once does so in a few turns: this takes a fraction of the time that one
    after the other takes.
    """
    asides: dict[Path, Path] = {}  # final -> temporary
    try:
        with ThreadPoolExecutor(N_FLUSHED) as pool:
            running = {path: pool.submit(_explained_aside, path, data) for path, data in files.items()}
            wait(running.values())
            asides = {path: each.result() for path, each in running.items() if each.exception() is None}
            for each in running.values():
                each.result()  # raises what went wrong
        for path in list(asides):
            with _explained(path, files[path]):
                asides[path].replace(path)
            del asides[path]
        for folder in {path.parent for path in files}:
            sync_folder(folder)
    finally:
        for temporary in asides.values():
            temporary.unlink(missing_ok=True)


def _explained_aside(path: Path, data: bytes) -> Path:
    with _explained(path, data):
        return _write_aside(path, data)


def _write_aside(path: Path, data: bytes) -> Path:
    """Write under a temporary name beside `path` and flush to the disk; nothing is left if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=TMP_SUFFIX)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


@contextlib.contextmanager
def _explained(path: Path, data: bytes) -> Iterator[None]:
    """What the disk refuses, in a sentence."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path.name} ({counted(len(data), 'byte')}) could not be written to {path.parent}:"
            f" {error.strerror or error}.",
            "Free some disk space or check the folder's permissions, then start again: what was done is kept.",
        ) from error


def seal(document: Mapping[str, Any], indent: int | None = 1) -> bytes:
    """A JSON object as text, with its seal.

    Examples
    --------
    >>> unseal(seal({"overlap": 0.5}), "a.json")
    {'overlap': 0.5}
    """
    head = json.dumps(document, indent=indent, allow_nan=False).encode()[:-1].rstrip()
    return head + _tail(head)


def unseal(data: bytes, name: str, cure: str = "", unsealed: Collection[str] = ()) -> dict[str, Any]:
    """The document that was sealed.

    Parameters
    ----------
    name : str
        What the file is called in an error; `cure` is the error's hint.
    unsealed : collection of str
        Values of its entry `format` that were written before there were seals: nothing can be said against these.

    Raises
    ------
    ArtefactMismatchError
        If any byte has changed, or there is no seal.
    """
    document = parse_json(data, name, cure)
    if SEAL in document:
        head = data[: -len(_tail(b""))]
        if data != head + _tail(head):
            raise ArtefactMismatchError(f"{name} is damaged: its sha256 changed.", cure)
        del document[SEAL]
    elif document.get("format") not in unsealed:
        raise ArtefactMismatchError(f"{name} is damaged, or was made by another version.", cure)
    return document


def read_sealed(path: Path, name: str = "", cure: str = "", unsealed: Collection[str] = ()) -> dict[str, Any]:
    """The document that was sealed in a file; errors as `unseal` and `read_untrusted`."""
    name = name or printable(path.name)
    return unseal(read_untrusted(path, MOST_DOCUMENT_BYTES, name=name, cure=cure), name, cure, unsealed)


def write_sealed(path: Path, document: Mapping[str, Any]) -> None:
    """Keep a document, sealed, in place of an older one; errors as `write_atomically`."""
    write_atomically(path, seal(document))


def _tail(head: bytes) -> bytes:
    """What closes a sealed document; always of the same length."""
    return f',\n "{SEAL}": "{hashlib.sha256(head).hexdigest()}"\n}}'.encode()


def sync_folder(folder: Path) -> None:
    """Make the rename itself durable; Windows cannot open a folder and does not need it."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
