"""A folder with a table of your own: one row for each recording, saying where its files are and what it is.

The table is called `mess.csv`, `manifest.csv` or `mess.parquet` and lies in the folder. Its columns, of which only
`audio` or `midi` is needed:

    audio, midi, score                 paths below the folder; a row has audio, or MIDI to be rendered
    file, path, filename               other names for `audio`, as many tables have them
    title, work, composer, performer   names
    instrument, session, split         names

Other columns are left out and named once. A row that cannot be used is refused by its number; the others stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mess_core.catalogue import NAMES
from mess_core.datasets.collection import Collection, Description, Recording, below, read_header, read_table, tidy
from mess_core.errors import InputError

TABLES = ("mess.csv", "manifest.csv", "mess.parquet")
FILES = ("audio", "midi", "score")
ALIASES = ("file", "path", "filename")
COLUMNS = (*FILES, *NAMES, *ALIASES)
MOST_ROWS = 1_000_000


def _parquet_header(path: Path) -> list[str]:
    """The column names of a Parquet file; empty where there is none that can be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):
        return []


def _read_parquet(path: Path) -> dict[int, dict[str, str]]:
    """The rows by number, from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows > MOST_ROWS:
            raise InputError(f"{path.name} has more than {MOST_ROWS:,} rows.", "Split it.")
        known = [name for name in file.schema_arrow.names if name in COLUMNS]
        rows: list[dict[str, Any]] = file.read(columns=known).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path.name} cannot be read as Parquet: {error}.", "Write it again, or use a CSV.") from error
    return {
        number: {name: "" if value is None else str(value).strip() for name, value in row.items()}
        for number, row in enumerate(rows, 1)
    }


def header_of(table: Path) -> list[str]:
    """The column names of a table; empty where it cannot be read."""
    if not table.is_file():
        return []
    return _parquet_header(table) if table.suffix == ".parquet" else read_header(table)


def table_in(folder: Path) -> Path | None:
    """The first table of the folder that names audio or MIDI."""
    tables = (folder / name for name in TABLES)
    return next((table for table in tables if {"audio", "midi", *ALIASES} & set(header_of(table))), None)


def _recording(folder: Path, row: Mapping[str, str]) -> Recording:
    files: dict[str, Path] = {}
    audio = next((text for name in ("audio", *ALIASES) if (text := row.get(name))), "")
    for role in FILES:
        if text := audio if role == "audio" else row.get(role):
            files[role] = below(folder, text)
            if not files[role].is_file():
                raise InputError(f"There is no {role} file {text!r}.")
    if not {"audio", "midi"} & set(files):
        raise InputError("It names neither audio nor MIDI.")
    names: dict[str, Any] = {name: tidy(row.get(name)) for name in NAMES}
    return Recording(files.get("audio"), midi=files.get("midi"), score=files.get("score"), **names)


def _describe(folder: Path) -> Description:
    table = table_in(folder)
    if table is None:
        raise InputError(
            f"{folder} holds no table of recordings.",
            f"Expected {' or '.join(TABLES)} with a column audio or midi; other columns: score, {', '.join(NAMES)}.",
        )
    rows = _read_parquet(table) if table.suffix == ".parquet" else read_table(table)
    unknown = [name for name in header_of(table) if name not in COLUMNS]
    refused = []
    if unknown:
        names = ", ".join(filter(None, (tidy(name) for name in unknown[:20])))
        refused.append((table.name, f"Columns that mean nothing here were left out: {names}."))
    recordings: list[Recording] = []
    first_row: dict[Path, int] = {}
    for number, row in rows.items():
        try:
            recording = _recording(folder, row)
            file = (recording.audio or recording.midi or folder).resolve()
            if file in first_row:
                raise InputError(f"It names the same file as row {first_row[file]}.")
        except InputError as error:
            refused.append((f"row {number}", error.message))
            continue
        first_row[file] = number
        recordings.append(recording)
    return Description(recordings, refused)


MANIFEST = Collection(
    id="manifest",
    title="Folder with a table",
    summary="Recordings of your own, described by mess.csv or mess.parquet: work, performer, instrument, session.",
    is_at=lambda folder: table_in(folder) is not None,
    read=_describe,
)
