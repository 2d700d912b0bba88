"""Tables as people save them: CSV from any spreadsheet, in any encoding, with any of four separators.

    read_table(path)     rows by their number in the file, each by the names in the header
    read_header(path)    these names; empty where there is no such table

A first line `sep=;`, empty lines and lines that begin with # before the header are passed over, and quoted cells may
hold line breaks. Quotes that do not come in pairs are letters. Whatever is wrong with the whole is one sentence.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from mess_core.errors import InputError
from mess_core.storage.legacy_text import decode
from mess_core.storage.untrusted import MOST_ROWS, MOST_TABLE_BYTES, printable, read_untrusted

SEPARATORS = ",;\t|"
CURE = "Save it as CSV in UTF-8."
LINES_BEFORE = 100  # that are no header

Record = tuple[int, list[str]]  # its number in the file, from 1, and its cells


def read_table(path: Path) -> dict[int, dict[str, str]]:
    """The rows that are not empty, each by the names in the header; a cell without a name is called `column 5`.

    Raises
    ------
    InputError
        If it is no table that can be read.
    """
    names, rows = _parts(path)
    found = {}
    for number, cells in rows:
        if number > MOST_ROWS:
            raise InputError(f"{printable(path.name)} has more than {MOST_ROWS:,} rows.", "Split it.")
        row: dict[str, str] = {}
        for place, (name, cell) in enumerate(zip_longest(names, cells, fillvalue=""), start=1):
            if cell or name:
                row.setdefault(name or f"column {place}", cell)
        if any(cells):
            found[number] = row
    return found


def read_header(path: Path) -> list[str]:
    """The column names of a table; empty where there is none that can be read."""
    try:
        return [name for name in _parts(path)[0] if name]
    except (InputError, OSError):
        return []


def _parts(path: Path) -> tuple[list[str], Iterator[Record]]:
    """The names in the header, and the records below it."""
    data = read_untrusted(path, MOST_TABLE_BYTES, cure=CURE, error=InputError)
    text = decode(data)
    if text is None:
        raise InputError(f"{printable(path.name)} is in an encoding that cannot be told.", CURE)
    lines = text.removeprefix("\ufeff").replace("\x00", "")
    try:
        separator, skipped, names = _header(lines)
        records = list(_records(lines, separator))
    except csv.Error as error:
        raise InputError(f"{printable(path.name)} cannot be read as a table: {error}.", CURE) from error
    return names, ((number, cells) for number, cells in records if number > skipped)


def _header(text: str) -> tuple[str, int, list[str]]:
    """The separator, the number of the record that is the header, and the names in it."""
    separator, commented = "", 0
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        bare = line.strip().strip('"')
        if number == 1 and bare[:4].lower() == "sep=" and len(bare) <= 5:
            separator = bare[4:] or "\t"
        elif bare.startswith("#"):
            commented = commented or number * bool(_names(bare.lstrip("# "), separator)[1] & FIRST_COLUMNS)
        elif bare or number > LINES_BEFORE:
            has_names = bool(_names(bare, separator)[1] & FIRST_COLUMNS)
            at = commented if commented and not has_names else number  # #audio,title: a header after all
            separator = _names(text.splitlines()[at - 1].lstrip("# "), separator)[0]
            at, cells = next(iter(_records(text, separator, after=at - 1)), (at, []))
            return separator, at, [name.lstrip("#").strip() for name in cells]
    return separator or ",", 0, []


FIRST_COLUMNS = {"audio", "midi", "file", "path", "filename", "filepath", "location"}


def _names(line: str, separator: str) -> tuple[str, set[str]]:
    """The separator of a header, and its names in lower case."""
    best = separator or max(SEPARATORS, key=lambda each: len(_cells(line, each)))
    return best, {cell.strip().lower() for cell in _cells(line, best)}


def _cells(line: str, separator: str) -> Sequence[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _records(text: str, separator: str, after: int = 0) -> Iterator[Record]:
    """Records by their number in the file; an odd number of quotes is read as letters."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if text.count('"') % 2 == 0 else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting, skipinitialspace=True)
    for number, cells in enumerate(reader, start=1):
        if number > after:
            yield number, [cell.strip() for cell in cells]
