"""Folders that are handed over: they appear whole, say what they hold, and notice when anything of it changed.

    writing   a temporary folder beside it, renamed when all is there; its manifest is written last
    reading   manifest sealed, every file listed with size and sha256; no path may lead out of the folder

What is handed over comes from elsewhere: nothing in a manifest is believed before it was checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mess_core.errors import ArtefactMismatchError, InputError, MessError, StorageError
from mess_core.storage.files import TMP_SUFFIX, read_sealed, seal, sync_folder
from mess_core.storage.untrusted import build, open_untrusted, printable, sha256_of, understanding
from mess_core.words import counted

MANIFEST = "manifest.json"
UNFINISHED = ".unfinished"  # lies in a folder of ours that is being written or taken away
LEFT_OVER_S = 3600.0  # a temporary folder older than this has no living writer
MOST_LISTED_BYTES = 2**40  # of one file, which is hashed and not read whole
COPY_AGAIN = "Copy the folder again, or export it again."

OnProgress = Callable[[int, int], object]  # (n_done, n_total)


@dataclass(frozen=True)
class ListedFile:
    """One file of a folder; `path` is relative to it, with slashes."""

    path: str
    size_bytes: int
    sha256: str


def no_progress(n_done: int, n_total: int) -> None:
    """Tell nobody."""


# --- writing ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def whole_folder(folder: Path, kind: str) -> Iterator[Path]:
    """A temporary folder to write into, which becomes `folder` if nothing is raised; an older export gives way.

    Parameters
    ----------
    kind : str
        What the format's name begins with: only such a folder is replaced.

    Raises
    ------
    InputError
        If there is something else already.
    StorageError
        If the disk refuses.
    """
    folder = folder.expanduser().absolute()
    _check_free(folder, kind)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.", suffix=TMP_SUFFIX))
        try:
            (new / UNFINISHED).touch()
            yield new
            (new / UNFINISHED).unlink()
            new.chmod(0o755)  # temporary folders are private
            if folder.exists():
                old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.", suffix=TMP_SUFFIX))
                (folder / UNFINISHED).touch()
                folder.rename(old / folder.name)
                (old / UNFINISHED).touch()
                new.rename(folder)
                shutil.rmtree(old, ignore_errors=True)
            else:
                new.rename(folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except MessError:  # some of which are an OSError, too
        raise
    except OSError as error:
        raise StorageError(
            f"{folder} could not be written: {error.strerror or error}.",
            "Free some disk space or check the folder's permissions, then start again.",
        ) from error


def write_manifest(folder: Path, document: Mapping[str, Any]) -> list[ListedFile]:
    """Write the manifest of a folder that is complete; returns the files it lists."""
    files = [_listed(folder, path) for path in _files(folder)]
    (folder / MANIFEST).write_bytes(seal({**document, "files": [vars(file) for file in files]}))
    return files


def _check_free(folder: Path, kind: str) -> None:
    cure = "Name a new folder, or an export that may be replaced."
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file.", cure)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if not there:
        return
    try:
        document = read_sealed(folder / MANIFEST)
        with understanding(MANIFEST):
            known = {MANIFEST, UNFINISHED, *(str(file["path"]) for file in document["files"])}
            is_ours = str(document["format"]).startswith(kind)
    except (OSError, ArtefactMismatchError) as error:
        raise InputError(f"{folder} is not empty, and no export of this kind.", cure) from error
    if not is_ours:
        raise InputError(f"{folder} is not empty, and no export of this kind.", cure)
    if there - known:
        raise InputError(f"{folder} also holds {min(there - known)}, which is no part of the export there.", cure)


def _sweep(folder: Path) -> None:
    """Delete what killed writers of the same folder left."""
    for other in folder.parent.glob(f"{_escaped(folder.name)}.*{TMP_SUFFIX}"):
        with contextlib.suppress(OSError):
            if (other / UNFINISHED).exists() and time.time() - other.stat().st_mtime > LEFT_OVER_S:
                shutil.rmtree(other, ignore_errors=True)


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (UNFINISHED, MANIFEST))


def _listed(folder: Path, path: Path) -> ListedFile:
    return ListedFile(path.relative_to(folder).as_posix(), path.stat().st_size, sha256_of(path, MOST_LISTED_BYTES))


# --- reading ------------------------------------------------------------------------------------------------


def read_manifest(folder: Path, expected: str, older: Collection[str] = ()) -> dict[str, Any]:
    """The manifest of a folder; `expected` is the format this MESS writes, `older` are those it reads, too.

    Raises
    ------
    ArtefactMismatchError
        If there is none, or it is damaged, or of a newer format.
    """
    try:
        document = read_sealed(folder / MANIFEST, MANIFEST, COPY_AGAIN)
    except FileNotFoundError as error:
        raise ArtefactMismatchError(
            f"There is no {MANIFEST} in {folder}: it is no export, or only part of one.", COPY_AGAIN
        ) from error
    kind, _, number = expected.rpartition("-")
    found = re.fullmatch(rf"{re.escape(kind)}-(\d+)", str(document.get("format")))
    if found is None:
        raise ArtefactMismatchError(
            f"The manifest in {folder} is of format {document.get('format')!r}, expected {expected!r}.",
            "Name the folder of an export of this kind.",
        )
    if int(found[1]) != int(number) and found[0] not in older:
        raise ArtefactMismatchError(
            f"{folder} is of format {found[0]}, this MESS reads {expected}.",
            "Update MESS, or export again with the same version as here.",
        )
    return document


def verify_files(folder: Path, listed: object, on_progress: OnProgress = no_progress) -> dict[str, ListedFile]:
    """Every listed file, by its path, after its size and sha256 were compared.

    Raises
    ------
    InputError
        If a path leads out of the folder.
    ArtefactMismatchError
        If a file is gone or differs; it is named.
    """
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise ArtefactMismatchError(f"{MANIFEST} lists no files.", COPY_AGAIN)
    files = {}
    for entry in listed:
        try:
            file = build(ListedFile, entry)
            if file.size_bytes < 0:
                raise ValueError("a size that cannot be")
        except (TypeError, ValueError) as error:
            raise ArtefactMismatchError(f"{MANIFEST} lists a file without path, size or sha256.", COPY_AGAIN) from error
        check_below(folder, file.path)
        files[file.path] = file
    for n_done, file in enumerate(files.values()):
        on_progress(n_done, len(files))
        verify_file(folder, file)
    on_progress(len(files), len(files))
    return files


def verify_file(folder: Path, file: ListedFile) -> Path:
    """Where a listed file lies, unchanged; errors as `verify_files`."""
    path, name = folder / file.path, printable(file.path)
    try:
        with open_untrusted(path, MOST_LISTED_BYTES, name=name, cure=COPY_AGAIN) as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            if size_bytes != file.size_bytes:
                raise ArtefactMismatchError(
                    f"{name} is damaged: it has {counted(size_bytes, 'byte')}, expected {file.size_bytes:,}.",
                    COPY_AGAIN,
                )
            if hashlib.file_digest(stream, "sha256").hexdigest() != file.sha256:
                raise ArtefactMismatchError(f"{name} is damaged: its sha256 changed.", COPY_AGAIN)
    except FileNotFoundError as error:
        raise ArtefactMismatchError(f"{name} is missing: the copy is not complete.", COPY_AGAIN) from error
    return path


def check_below(folder: Path, relative: str) -> None:
    """Refuse a path that is not plainly below the folder, links followed."""
    path = PurePosixPath(relative)
    is_plain = path.as_posix() == relative and not path.is_absolute() and ".." not in path.parts and path.parts
    if not is_plain or set(relative) & set("\\:\0") or not _is_below(folder, relative):
        raise InputError(f"{MANIFEST} names {relative!r}, which leads out of the folder.", "Trust no such export.")


def _is_below(folder: Path, relative: str) -> bool:
    try:
        return (folder / relative).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, half a character
        return False
