"""Tables that name recordings: their rows as text, and the track that each name means.

A recording is named by its track id, its title, or its file: the id first, then what its file is called, with or
without folder and ending, then the title. A name that two recordings share is none.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mess_core.catalogue.catalogue import track_id_of
from mess_core.catalogue.takeover import current_id
from mess_core.collections.table import read_table
from mess_core.errors import InputError
from mess_core.storage.cells import undefused
from mess_core.storage.untrusted import MOST_ROWS, open_parquet
from mess_core.workspace.workspace import Workspace

PARQUET = ".parquet"
_ID = re.compile("[0-9a-f]{16}([0-9a-f]{48})?")


class RecordingNames:
    """What recordings are called here: by id or the hash of their bytes, then by file, then by title."""

    def __init__(self, workspace: Workspace) -> None:
        rows = workspace.database.connection.execute(
            "SELECT track_id, title, relative_path FROM tracks LEFT JOIN files USING (track_id)"
            " WHERE role = 'audio' OR role IS NULL"
        ).fetchall()
        self._connection = workspace.database.connection
        self._ids = {row["track_id"] for row in rows}
        self._by: list[dict[str, str | None]] = [{}, {}, {}]
        for row in rows:
            path = PurePosixPath((row["relative_path"] or "").replace("\\", "/"))
            for names, name in zip(self._by, (str(path), path.stem, row["title"]), strict=True):
                is_taken = name in names and names[name] != row["track_id"]
                names[name] = None if is_taken else row["track_id"]

    def id_of(self, name: str) -> str | None:
        """The track of a name; None if there is none, or several."""
        if name in self._ids:
            return name
        if _ID.fullmatch(name):  # the hash of the file, or the id it had before its bytes changed
            now = current_id(self._connection, track_id_of(name))
            if now in self._ids:
                return now
        path = PurePosixPath(name.replace("\\", "/"))
        for names, key in zip(self._by, (str(path), path.stem, name), strict=True):
            if names.get(key):
                return names[key]
        return None


def read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table as text, with their numbers."""
    if path.suffix.lower() != PARQUET:
        return [
            (number, {name: undefused(cell) for name, cell in row.items()}) for number, row in read_table(path).items()
        ]
    with open_parquet(path, MOST_ROWS, error=InputError) as table:
        rows: list[tuple[int, dict[str, str]]] = []
        for batch in table.batches():
            for cells in batch:
                text = ("" if cell is None else str(cell) for cell in cells)
                rows.append((len(rows) + 1, dict(zip(table.names, text, strict=True))))
        return rows
