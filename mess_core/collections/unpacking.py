"""Unpack a zip that somebody else made: only plain files, only below the folder, only as much as it says.

An archive is looked through before its first byte is written. It is unpacked beside its final name and renamed when it
is complete; a file that was already unpacked is not unpacked again.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mess_core.errors import ArtefactMismatchError, StorageError

CHUNK_BYTES = 1024 * 1024
MOST_FILES = 500_000
MOST_RATIO = 50  # unpacked over packed size: audio and MIDI reach 3, tables 20, what is only made to be large 1000
FREE_BYTES = 16 * 2**20  # which no ratio is asked of
JUNK = "__MACOSX"
CURE = "Fetch it again. If it is what was published, unpack it by hand and add its folder."


def unpack(
    archive: Path,
    folder: Path,
    on_progress: Callable[[float], None] = lambda share: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Unpack an archive; where all of it lies in one folder, that folder is the one that is made.

    Parameters
    ----------
    folder : Path, what is made; must not exist
    on_progress : callable (share), from 0 to 1

    Returns
    -------
    bool
        False if it was stopped: what is unpacked is kept for the next call.

    Raises
    ------
    ArtefactMismatchError
        If it is no zip, is damaged, would write elsewhere, or holds more than it should. Nothing was written then, or
        only files that were whole.
    StorageError
        If the disk is too small.
    """
    beside = folder.with_name(f"{folder.name}.unpacking")
    try:
        with zipfile.ZipFile(archive) as file:
            members = _checked(archive, file)
            total = sum(member.file_size for member in members)
            _check_space(archive, beside, members)
            done = 0
            for member in members:
                if should_stop():
                    return False
                if not _is_there(beside / member.filename, member) and not _write(file, member, beside, should_stop):
                    return False
                done += member.file_size
                on_progress(done / max(total, 1))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArtefactMismatchError(f"{archive.name} is damaged: {error}.", CURE) from error
    inside = list(beside.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        inside[0].replace(folder)
        beside.rmdir()
    else:
        beside.replace(folder)
    return True


def _checked(archive: Path, file: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The plain files of an archive."""

    def refuse(what: str) -> ArtefactMismatchError:
        return ArtefactMismatchError(f"{archive.name} is not unpacked: {what}.", CURE)

    infos = file.infolist()
    if len(infos) > MOST_FILES:
        raise refuse(f"it holds {len(infos):,} files, more than {MOST_FILES:,}")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        path = PurePosixPath(info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        is_inside = not path.is_absolute() and ".." not in path.parts and path.parts != ()
        if not is_inside or "\\" in info.filename or ":" in info.filename or "\0" in info.orig_filename:
            raise refuse(f"{info.filename!r} leads out of its folder")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refuse(f"{info.filename!r} is a link or something else that is no file")
        if info.flag_bits & 1:
            raise refuse(f"{info.filename!r} is encrypted")
        if info.is_dir() or path.parts[0] == JUNK:
            continue
        if path.as_posix() in members:
            raise refuse(f"{info.filename!r} is there twice")
        members[path.as_posix()] = info
    total = sum(info.file_size for info in members.values())
    if total > FREE_BYTES + MOST_RATIO * archive.stat().st_size:
        raise refuse(f"it says that it holds {total / 1e6:,.0f} MB, far more than can be in it")
    if not members:
        raise refuse("it holds no file")
    return list(members.values())


def _check_space(archive: Path, beside: Path, members: list[zipfile.ZipInfo]) -> None:
    beside.mkdir(parents=True, exist_ok=True)
    needed = sum(info.file_size for info in members if not _is_there(beside / info.filename, info))
    free = shutil.disk_usage(beside).free
    if needed > free:
        raise StorageError(
            f"{archive.name} needs {needed / 1e6:,.0f} MB in {beside.parent} to be unpacked, and {free / 1e6:,.0f} MB "
            "are free.",
            "Free some disk space, then start again: what is here is kept.",
        )


def _is_there(path: Path, member: zipfile.ZipInfo) -> bool:
    """A file has its name only when it is whole."""
    return path.is_file() and path.stat().st_size == member.file_size


def _write(file: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, should_stop: Callable[[], bool]) -> bool:
    """Unpack one file; its checksum is compared when its last byte is read."""
    path = folder / member.filename
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with file.open(member) as source, part.open("wb") as target:
        while chunk := source.read(CHUNK_BYTES):
            if should_stop():
                return False
            target.write(chunk)
    part.replace(path)
    return True
