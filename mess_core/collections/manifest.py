"""A folder with a table of your own: one row for each recording, saying where its files are and what it is.

The table is called `mess.csv`, `manifest.csv` or `mess.parquet` and lies in the folder. Its columns, of which only
`audio` or `midi` is needed:

    audio, midi, score                      paths below the folder; a row has audio, or MIDI to be rendered
    file, path, filename, …                 other names for `audio`, as many tables have them
    title, work, movement, composer, performer, conductor, instrument, session, split,
    album, album_artist, disc               names
    name, track title, artist, …            other names for these

What columns hold that are called otherwise is said when a folder is added (`--columns piece=work`), and a table of any
name can be added itself. All other columns are kept as the track's details. Capitals, spaces and underscores in a
column's name do not count, nor does how a path is written: with backslashes, in other case or with accents composed
otherwise, it finds its file. A row that cannot be used is refused by its number; the others stay.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mess_core.catalogue.catalogue import NAMES
from mess_core.collections.collection import MOST_DETAILS, Collection, Description, Recording, below, tidy
from mess_core.collections.table import read_header, read_table
from mess_core.collections.walking import find_music
from mess_core.errors import InputError, MessError
from mess_core.spelling import check_name, did_you_mean
from mess_core.storage.untrusted import MOST_ROWS, MOST_TABLE_BYTES, open_parquet, printable

TABLES = ("mess.csv", "mess.tsv", "mess.txt", "manifest.csv", "mess.parquet")
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")  # of a table that is added itself
OWN = "mess"  # a table of this stem is meant for MESS, whatever is in it
GONE = "The file that it names is not there."
FILES = ("audio", "midi", "score")
ALIASES = {
    "audio": ("audio", "audio file", "audio path", "file", "path", "filename", "file name", "file path", "filepath",
              "audio filename", "location"),
    "midi": ("midi", "midi file", "midi path", "midi filename"),
    "score": ("score", "score file", "score path"),
    "title": ("title", "track title", "track name", "song title", "song name", "track", "song", "name"),
    "work": ("work", "work title", "work name"),
    "movement": ("movement", "movement title", "movement name"),
    "composer": ("composer", "composers", "composer name"),
    "performer": ("performer", "performers", "performer name", "artist", "artists", "artist name"),
    "conductor": ("conductor", "conductors", "conductor name"),
    "album": ("album", "album title", "album name"),
    "album artist": ("album artist", "albumartist"),
    "disc": ("disc", "disc number", "discnumber"),
}  # fmt: skip


def _key(name: str) -> str:
    """A column's name as it is compared."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())


def _read_parquet(path: Path) -> dict[int, dict[str, str]]:
    """The rows by number, from 1."""
    found: dict[int, dict[str, str]] = {}
    with open_parquet(
        path, MOST_ROWS, MOST_TABLE_BYTES, cure="Write it again, or use a CSV.", error=InputError
    ) as table:
        for rows in table.batches():
            for row in rows:
                cells = ("" if value is None else str(value).strip() for value in row)
                found[len(found) + 1] = dict(zip(table.names, cells, strict=True))
    return found


def header_of(table: Path) -> list[str]:
    """The column names of a table; empty where it cannot be read."""
    if table.suffix.lower() != ".parquet":
        return read_header(table)
    try:
        with open_parquet(table, MOST_ROWS, MOST_TABLE_BYTES, error=InputError) as file:
            return list(file.names)
    except MessError:
        return []


def _tables(folder: Path) -> list[Path]:
    """What may be a table here, in the order in which it is asked; names in any case."""
    try:
        names = {path.name.lower(): path for path in sorted(folder.iterdir(), reverse=True) if path.is_file()}
    except OSError:
        return []
    return [names[name] for name in TABLES if name in names]


def table_in(folder: Path, meant: Mapping[str, str] = MappingProxyType({})) -> Path | None:
    """The first table of the folder that names audio or MIDI, and in more than its header."""
    found = (table for table in _tables(folder) if _names_files(table, meant) and not _is_without_rows(table))
    return next(found, None)


def is_table(path: Path) -> bool:
    """Whether a path is called as tables are."""
    return path.suffix.lower() in TABLE_SUFFIXES


def _names_files(table: Path, meant: Mapping[str, str] = MappingProxyType({})) -> bool:
    keys = {_key(column) for column, role in meant.items() if role in ("audio", "midi")}
    return not {*ALIASES["audio"], *ALIASES["midi"], *keys}.isdisjoint(map(_key, header_of(table)))


def parse_columns(text: str) -> dict[str, str]:
    """`file=audio,piece=work`, as on the command line: what a column of a table is called, and what it holds.

    Raises
    ------
    InputError
        If it has another form, or nothing is called so here.

    Examples
    --------
    >>> parse_columns("file=audio, piece = work")
    {'file': 'audio', 'piece': 'work'}
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        column, equals, role = (each.strip() for each in part.rpartition("="))
        if not (equals and column and role):
            raise InputError(f"{part.strip()!r} does not say what a column holds.", "Write THEIR=OURS: piece=work.")
        if column in found:
            raise InputError(f"The column {column!r} is named twice.", "Once will do.")
        found[column] = role
    check_meant(found)
    return found


def check_meant(meant: Mapping[str, str]) -> None:
    """InputError for what no column can hold."""
    for role in meant.values():
        check_name("name for a column here", role, (*FILES, *NAMES))


def _is_without_rows(table: Path) -> bool:
    """Whether there is nothing below the header but comments; what cannot be read is said when it is described."""
    try:
        return all(_is_comment(row) and not _is_here(table.parent, row) for row in _rows_of(table).values())
    except MessError:
        return False


def _is_comment(row: Mapping[str, str]) -> bool:
    return next(iter(row.values()), "").startswith("#")


def _is_here(folder: Path, row: Mapping[str, str]) -> bool:
    """Whether what looks like a comment is the name of a file after all."""
    try:
        return bool(_find(folder, next(iter(row.values()))))
    except InputError:
        return False


def _rows_of(table: Path) -> dict[int, dict[str, str]]:
    return _read_parquet(table) if table.suffix.lower() == ".parquet" else read_table(table)


def unusable_table(folder: Path) -> tuple[str, str] | None:
    """A table that is meant for MESS and cannot be used, and why not."""
    for table in _tables(folder):
        if _names_files(table) and _is_without_rows(table):
            return printable(table.name), f"The table is not used: {printable(table.name)} has no rows."
        if table.stem.lower() != OWN:
            continue
        try:
            if table.suffix.lower() == ".parquet":
                with open_parquet(table, MOST_ROWS, MOST_TABLE_BYTES, error=InputError):
                    pass
            else:
                read_table(table)
        except MessError as error:
            return printable(table.name), f"The table is not used. {error.message} {error.hint}".strip()
        columns = ", ".join(filter(None, (tidy(name) for name in header_of(table)[:10]))) or "none"
        return printable(table.name), f"The table is not used: it has no column audio or midi. Its columns: {columns}."
    return None


@lru_cache(maxsize=256)
def _entries(folder: Path, mtime_ns: int) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The names in a folder by how they are compared: accents composed; case folded, too."""
    names = sorted(path.name for path in folder.iterdir())
    composed = {unicodedata.normalize("NFC", name): name for name in names}
    return composed, {composed_name.casefold(): name for composed_name, name in composed.items()}


def _find(folder: Path, text: str) -> Path:
    """The file that a table means, which may be written otherwise.

    Raises
    ------
    InputError
        If it leads out of the folder, or is not there.
    """
    is_url = bool(re.match(r"[a-z][a-z0-9+.-]+:/|file:", text.strip(), re.IGNORECASE))  # one letter is a drive
    try:
        path = below(folder, text)
        if path.is_file():
            return path
    except InputError:
        if not is_url:
            raise
    except OSError as error:  # longer than names can be
        raise InputError(GONE) from error
    if is_url:
        raise InputError("A URL is not taken.", "Write the path below the table's folder.")
    if "\\" in text:
        path = below(folder, text.replace("\\", "/"))
    found = folder
    for part in path.relative_to(below(folder, ".")).parts:
        try:
            composed, folded = _entries(found, found.stat().st_mtime_ns)
        except OSError:
            break
        name = unicodedata.normalize("NFC", part)
        found = found / composed.get(name, folded.get(name.casefold(), part))
    if not found.is_file():
        raise InputError(GONE)
    return found


def _recording(folder: Path, row: Mapping[str, str], roles: Mapping[str, list[str]]) -> Recording:
    """One row; `roles` says which columns hold what."""

    def text(role: str) -> str:
        return next((row[column] for column in roles.get(role, ()) if row.get(column)), "")

    files = {role: _find(folder, text(role)) for role in FILES if text(role)}
    if not {"audio", "midi"} & set(files):
        raise InputError("It names neither audio nor MIDI.")
    names: dict[str, Any] = {name: tidy(text(name)) for name in NAMES}
    used = {next((c for c in columns if row.get(c)), None) for columns in roles.values()}  # another name is a detail
    further = ((tidy(column), tidy(value)) for column, value in row.items() if column not in used)
    details = {column: value for column, value in further if column and value}
    kept = dict(list(details.items())[:MOST_DETAILS])
    return Recording(files.get("audio"), midi=files.get("midi"), score=files.get("score"), details=kept, **names)


def _roles(columns: list[str], meant: Mapping[str, str]) -> dict[str, list[str]]:
    """Which columns hold what, the best first: what was said of them, then how they are called.

    Raises
    ------
    InputError
        If something was said of a column that there is not.
    """
    by_key: dict[str, list[str]] = {}
    for column in columns:
        by_key.setdefault(_key(column), []).append(column)
    said: dict[str, list[str]] = {}
    for column, role in meant.items():
        if _key(column) not in by_key:
            raise InputError(f"The table has no column {column!r}.", did_you_mean(column, columns))
        said.setdefault(role, []).extend(by_key.pop(_key(column)))
    asked = {name: ALIASES.get(_key(name), (_key(name),)) for name in (*FILES, *NAMES)}
    return {
        name: [*said.get(name, ()), *(column for key in keys for column in by_key.get(key, ()))]
        for name, keys in asked.items()
    }


def describe_table(
    folder: Path, table: Path | None = None, meant: Mapping[str, str] = MappingProxyType({})
) -> Description:
    """What a table says of the recordings below its folder.

    Parameters
    ----------
    table : Path or None
        None is the one that the folder has by its name.
    meant : mapping of column to what it holds
        As `parse_columns` reads it; other columns are told by what they are called.

    Raises
    ------
    InputError
        If there is no table, or it cannot be used.
    """
    if table is not None and not _names_files(table, meant):
        shown = ", ".join(filter(None, (tidy(name) for name in header_of(table)[:10]))) or "none"
        cure = "Say which one holds the files: --columns COLUMN=audio."
        raise InputError(f"{printable(table.name)} has no column audio or midi. Its columns: {shown}.", cure)
    table = table or table_in(folder, meant)
    if table is None and (unusable := unusable_table(folder)):
        raise InputError(unusable[1])
    if table is None:
        raise InputError(
            f"{folder} holds no table of recordings.",
            f"Expected {' or '.join(TABLES)} with a column audio or midi; other columns: score, {', '.join(NAMES)}.",
        )
    rows = _rows_of(table)
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    numbers = {column for column in columns if _key(column) == "track" and _is_numbering(rows.values(), column)}
    roles = _roles([column for column in columns if column not in numbers], meant)
    refused: list[tuple[str, str]] = []
    n_own = len(columns) - sum(map(len, roles.values()))
    if n_own > MOST_DETAILS:
        why = f"It has {n_own} columns of its own; of a recording the first {MOST_DETAILS} that say anything are kept."
        refused.append((printable(table.name), why))
    recordings: list[Recording] = []
    first_row: dict[Path, int] = {}
    for number, row in rows.items():
        try:
            recording = _recording(folder, row, roles)
            file = (recording.audio or recording.midi or folder).resolve()
            if file in first_row:
                raise InputError("It names the same file as a row above it.")
        except InputError as error:
            if not _is_comment(row):
                refused.append((_row_name(number, row, roles), f"{error.message} {error.hint}".strip()))
            continue
        first_row[file] = number
        recordings.append(recording)
    listed = {file for recording in recordings for file in (recording.audio,) if file}
    n_unlisted = sum(path not in listed for path in find_music(folder).audio)
    return Description(recordings, refused, n_unlisted=n_unlisted)


def _is_numbering(rows: Iterable[Mapping[str, str]], column: str) -> bool:
    """Whether a column says which track of an album it is (3, 3/12, A2), and not what it is called."""
    return all(re.fullmatch(r"([A-Z]?\d+([/.-]\d+)?)?", row.get(column, "")) for row in rows)


def _row_name(number: int, row: Mapping[str, str], roles: Mapping[str, list[str]]) -> str:
    named = next((row[column] for role in FILES for column in roles[role] if row.get(column)), "")
    return f"row {number} ({printable(named)[:100]})" if named else f"row {number}"


MANIFEST = Collection(
    id="manifest",
    title="Folder with a table",
    summary="Recordings of your own, described by mess.csv or mess.parquet: work, performer, instrument, session.",
    is_at=lambda folder: table_in(folder) is not None,
    read=describe_table,
)
