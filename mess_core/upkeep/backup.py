"""Backup: a copy of a data folder that is made while others write."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from mess_core.errors import InputError, MessError, StorageError
from mess_core.storage.files import TMP_SUFFIX, own_files
from mess_core.storage.kept import Problem
from mess_core.storage.paths import CACHE, COPIES, TRASH, UPLOADS
from mess_core.upkeep.check import check
from mess_core.words import counted
from mess_core.workspace.workspace import Workspace

MOST_ROUNDS = 10  # of a copy that is made while others remove
NOT_COPIED = (CACHE, COPIES, TRASH)


def back_up(workspace: Workspace, folder: Path) -> None:
    """Copy the data folder, also while servers and workers write and people remove; without the cache and trash.

    Files first, then the catalogue, then what its rows name and was not there yet. What was removed in between
    is missing, so the copy is checked like any data folder and what changed is copied again, until it is whole.
    Copying with other tools is safe only while nothing runs, because the catalogue's last commits lie in a second
    file.

    Raises
    ------
    InputError
        If the folder is not empty, or lies in the data folder.
    StorageError
        If the disk refuses, or the copy is not whole, as where the data folder is damaged itworkspace.
    """
    if folder.resolve().is_relative_to(workspace.paths.root):
        raise InputError(
            f"{folder} lies in the data folder itworkspace.", "Name a folder elsewhere, best on another disk."
        )
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty.", "Name a new folder for the copy.")
    problems: list[Problem] | None = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for _ in range(MOST_ROUNDS):
            _copy_changed(workspace, folder)
            _copy_catalogue(workspace, folder)
            _copy_changed(workspace, folder)  # what the catalogue names was written before its rows
            copy = Workspace(folder)
            before, problems = problems, check(copy)
            _prune(copy)
            copy.database.close()
            if not problems or problems == before:  # the second time: they are wrong here, too
                break
    except MessError:
        raise
    except (OSError, sqlite3.Error) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"The copy to {folder} was not finished: {what}.", "Free some space there, then copy to a new folder."
        ) from error
    if problems:
        raise StorageError(
            f"The copy in {folder} is not whole, damaged or missing: {counted(len(problems), 'file')};"
            f" {problems[0].what}",
            "Run: python -m mess_core check, and copy again to a new folder.",
        )


def _copy_changed(workspace: Workspace, folder: Path) -> None:
    """Copy every file that is not there, or has another size or time."""
    for path in sorted(own_files(workspace.paths.root, workspace.paths.root.rglob("*"))):
        relative = path.relative_to(workspace.paths.root)
        is_left_out = relative.parts[0] in NOT_COPIED or path.name.startswith(workspace.paths.database.name)
        if is_left_out or path.suffix == TMP_SUFFIX:
            continue
        target = folder / relative
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            now = path.stat()
            if target.exists():
                then = target.stat()
                if (then.st_size, then.st_mtime_ns) == (now.st_size, now.st_mtime_ns):
                    continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


def _copy_catalogue(workspace: Workspace, folder: Path) -> None:
    temporary = folder / f"{workspace.paths.database.name}{TMP_SUFFIX}"
    with contextlib.closing(sqlite3.connect(temporary)) as copy:
        workspace.database.connection.backup(copy)
    temporary.chmod(0o600)
    temporary.replace(folder / workspace.paths.database.name)


def _prune(copy: Workspace) -> None:
    """Drop from a copy what was removed while it was made: nothing in its catalogue names it."""
    connection = copy.database.connection
    named = {row["path"] for row in connection.execute("SELECT path FROM embeddings")}
    named |= {f"{UPLOADS}/{name}" for name in copy.catalogue.known_files(copy.paths.uploads)}
    for path in own_files(copy.paths.root, [*copy.paths.embeddings.rglob("*"), *copy.paths.uploads.glob("*")]):
        if path.relative_to(copy.paths.root).as_posix() not in named:
            path.unlink()
