"""That a catalogue and a data folder belong together, and that what is swept can be fetched back for a while.

Beside the catalogue lies a file that says which folder it is and how often its catalogue was renewed, which happens
every hour. A catalogue that is fresh, of another folder or older than its folder would take everything that it does
not know for rubbish: it is refused.

    mess.sqlite.generation      which folder this is, and the generation of its catalogue; sealed JSON
    copies/mess-DAY.sqlite      the catalogue of that day, seven of them; before a migration: mess-schema-N.sqlite
    trash/DAY/…                 what nothing pointed to on that day, for thirty days
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from mess_core.errors import ArtefactMismatchError, StorageError
from mess_core.storage.database import SUFFIX, Database, catalogue_copies, copy_catalogue
from mess_core.storage.files import TMP_SUFFIX, inside, own_files, read_sealed, write_sealed
from mess_core.storage.paths import TRASH, Paths
from mess_core.words import counted

FOLDER, GENERATION = "folder", "generation"  # settings, and entries of the file
FORMAT = "mess-generation-1"
N_COPIES = 7
TRASH_KEEP_DAYS = 30
REBUILD = "python -m mess_core check --rebuild reads back what the files tell; nothing is deleted meanwhile."


@dataclass(frozen=True)
class Marker:
    """Which data folder this is, and how often its catalogue was renewed."""

    folder: str
    generation: int


class Custody:
    """Watches over one data folder. `is_rebuilding` lets any catalogue through."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.is_rebuilding = False

    # --- catalogue and folder ---------------------------------------------------------------------------------

    def watch(self, connection: sqlite3.Connection | None) -> None:
        """Refuse a catalogue that does not belong to the files beside it; None stands for one that is not there yet.

        Raises
        ------
        ArtefactMismatchError
            With the cure.
        """
        if self.is_rebuilding:
            return
        if connection is None:
            n_files = self._n_sealed()
            if n_files:
                raise ArtefactMismatchError(
                    f"{self.paths.root} holds {counted(n_files, 'file')} of a catalogue, but no catalogue.",
                    REBUILD,
                )
            return
        known, marked = marker_of(connection), self.read()
        if known is None and marked is None:
            self._check_known(connection)
            self.adopt(connection)
        elif known is None or (marked is not None and known.folder != marked.folder):
            raise ArtefactMismatchError(f"The catalogue {self.paths.database} is not that of this folder.", REBUILD)
        elif marked is None:
            self._write(known)
        elif known.generation < marked.generation:
            raise ArtefactMismatchError(
                f"The catalogue {self.paths.database} is older than the files beside it, which it does not all know.",
                REBUILD,
            )

    def read(self) -> Marker | None:
        """What the folder says; None where it says nothing that can be used."""
        try:
            document = read_sealed(self._path)
            return Marker(str(document[FOLDER]), int(document[GENERATION]))
        except (OSError, ArtefactMismatchError, KeyError, TypeError, ValueError):
            return None

    def adopt(self, connection: sqlite3.Connection) -> None:
        """Let a catalogue and this folder belong together from now on; where nothing can be written, next time."""
        marked = self.read()
        known = marker_of(connection) or Marker(marked.folder if marked else uuid.uuid4().hex, 0)
        generation = max(known.generation, marked.generation if marked else 0) + 1
        with contextlib.suppress(StorageError, sqlite3.Error):
            connection.executemany(
                f"INSERT OR {'REPLACE' if self.is_rebuilding else 'IGNORE'} INTO settings VALUES (?, ?)",
                [(FOLDER, known.folder), (GENERATION, str(generation))],
            )
            made = marker_of(connection)
            if made is not None:
                self._write(made)

    def renew(self, database: Database) -> None:
        """One generation more, in the catalogue first: it is never behind its folder, whenever this is interrupted."""
        with database.transaction() as connection:
            known = marker_of(connection)
            if known is None:
                return
            newer = Marker(known.folder, known.generation + 1)
            connection.execute("UPDATE settings SET value = ? WHERE name = ?", (str(newer.generation), GENERATION))
        self._write(newer)

    def _check_known(self, connection: sqlite3.Connection) -> None:
        """A folder of before there were generations: most of its files should be known."""
        names = {row[0] for row in connection.execute("SELECT path FROM embeddings")}
        names |= {
            f"uploads/{os.fsdecode(row[0])}"
            for row in connection.execute(
                "SELECT relative_path FROM files JOIN roots USING (root_id) WHERE roots.path = 'uploads'"
            )
        }
        there = [path.relative_to(self.paths.root).as_posix() for path in self._stored()]
        n_unknown = sum(name not in names for name in there)
        if 2 * n_unknown > len(there):
            raise ArtefactMismatchError(
                f"The catalogue {self.paths.database} does not know {n_unknown} of the {len(there)} files beside it.",
                REBUILD,
            )

    def _stored(self) -> list[Path]:
        """Embeddings and uploads, whole ones."""
        paths = [*self.paths.embeddings.rglob("*.safetensors"), *self.paths.uploads.glob("*")]
        return [path for path in own_files(self.paths.root, paths) if path.suffix != TMP_SUFFIX]

    def _n_sealed(self) -> int:
        discoveries = own_files(self.paths.root, self.paths.probing.glob("*/*.json"))
        return len(self._stored()) + len(list(discoveries))

    def _write(self, marker: Marker) -> None:
        with contextlib.suppress(StorageError):  # a full disk: the next one will do
            document = {"format": FORMAT, FOLDER: marker.folder, GENERATION: marker.generation}
            write_sealed(self._path, document)

    @property
    def _path(self) -> Path:
        return self.paths.database.with_name(f"{self.paths.database.name}.generation")

    # --- copies -----------------------------------------------------------------------------------------------

    def copy_daily(self, database: Database, now: float | None = None) -> Path | None:
        """Copy the catalogue aside unless that was done today; returns the copy that was made."""
        day = datetime.fromtimestamp(time.time() if now is None else now).date().isoformat()
        newest = self.newest_copy()
        if newest is not None and newest[1] == day:
            return None
        return copy_catalogue(database.connection, self.paths.root, day, keep=N_COPIES)

    def newest_copy(self) -> tuple[Path, str] | None:
        """The newest daily copy and its day."""
        found = catalogue_copies(self.paths.root)
        return (found[0], found[0].name[len("mess-") : -len(SUFFIX)]) if found else None

    # --- trash ------------------------------------------------------------------------------------------------

    def discard(self, path: Path, now: float | None = None) -> bool:
        """Put a file of ours, which nothing points to, into the trash; whether that could be done."""
        day = datetime.fromtimestamp(time.time() if now is None else now).date().isoformat()
        name = path.relative_to(self.paths.root).as_posix()
        try:
            target = inside(self.paths.root, f"{TRASH}/{day}/{name}", TRASH)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                target = target.with_name(f"{uuid.uuid4().hex[:8]}-{target.name}")
            path.replace(target)
        except (OSError, ArtefactMismatchError):
            return False
        return True

    def empty_trash(self, now: float | None = None) -> None:
        """Delete what has been in the trash for thirty days."""
        today = datetime.fromtimestamp(time.time() if now is None else now).date()
        for folder in self.paths.trash.glob("*-*-*"):
            with contextlib.suppress(OSError, ValueError, ArtefactMismatchError):
                if (today - date.fromisoformat(folder.name)).days > TRASH_KEEP_DAYS:
                    shutil.rmtree(inside(self.paths.root, f"{TRASH}/{folder.name}", TRASH))


def marker_of(connection: sqlite3.Connection) -> Marker | None:
    """What a catalogue says of the folder that it belongs to."""
    rows = connection.execute("SELECT name, value FROM settings WHERE name IN (?, ?)", (FOLDER, GENERATION)).fetchall()
    found = {row[0]: row[1] for row in rows}
    try:
        return Marker(found[FOLDER], int(found[GENERATION]))
    except (KeyError, ValueError):
        return None
