"""Tables of millions of interactions, read in pieces: CSV with any separator, packed or not, and Parquet.

    path -> pieces of some columns (Arrow) -> ids as numbers, times as seconds, weights -> `Interactions`

`collections.table` reads what people write by hand: any encoding, any quotes, one dictionary for each row. A listening
log has a hundred million rows and one form; here a piece is in memory as columns, and of text only what is new in it.
Which kind a file is says its beginning, not its name.

Conventions
-----------
Users and items are numbered as they first occur. Ids are text, whatever they were: a column of whole numbers in which
one cell was empty comes out of many programs as `12.0`, so where every id is a whole number, `12.0` and `12` are one.
Times are seconds since 1970; a date without a zone is UTC. Rows of a user with equal times stay as in the file.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.columns import MOST_INTERACTIONS, Interactions, of_numbers
from mess_core.storage.untrusted import open_parquet, open_untrusted, printable

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 64 * 2**30  # of one file, of which a piece at a time is in memory
PIECE_BYTES = 16 * 2**20
PIECE_ROWS = 1 << 18
MOST_HEADER_BYTES = 64 * 2**10
PARQUET = b"PAR1"
PACKED = {b"BZh": "bz2", b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
SEPARATORS = "\t;,|"  # of as many, the first; without any, cells are parted by spaces
WHOLE = re.compile(r"(-?\d+)(?:\.0*)?")
CURE = "Expected a table with a row for each interaction, CSV or Parquet."
NO_HEADER = " If its first line is a row already, say how the columns are called (`names`)."


def read_rows(
    path: Path,
    user: str,
    item: str,
    at: str = "",
    weight: str = "",
    *,
    names: Sequence[str] = (),
    separator: str = "",
) -> Interactions:
    """Interactions from the columns of a table.

    Parameters
    ----------
    path : Path
    user, item : names of columns
    at, weight : names of columns, optional
        At: a date, or seconds since 1970, or any number that grows. Weight: above 0.
    names : sequence of str
        Of all columns, where the file has no header.
    separator : str
        By default what the first line has most of.

    Raises
    ------
    InputError
        If it is no such table; the column, or the row and its cell, is named.
    """
    file = printable(path.name)
    places: tuple[dict[str, int], dict[str, int]] = ({}, {})
    columns: tuple[list[np.ndarray], ...] = ([], [], [], [])
    users, items, times, weights = columns
    n_rows = 0
    for piece in pieces(path, list(dict.fromkeys(filter(None, (user, item, at, weight)))), names, separator):
        users.append(numbered(piece.column(user), places[0], f"{file} has no {user!r}", n_rows))
        items.append(numbered(piece.column(item), places[1], f"{file} has no {item!r}", n_rows))
        if at:
            times.append(numbers(piece.column(at), at, n_rows, is_time=True))
        if weight:
            weights.append(numbers(piece.column(weight), weight, n_rows))
        n_rows += piece.num_rows
        if n_rows > MOST_INTERACTIONS:
            raise InputError(f"{file} has more than {MOST_INTERACTIONS:,} interactions.", "Take fewer users.")
    if not n_rows:
        raise InputError(f"{file} holds no interactions.", CURE)
    user_ids, user_of = as_whole(tuple(places[0]), np.concatenate(users))
    item_ids, item_of = as_whole(tuple(places[1]), np.concatenate(items))
    at_s, weight_of = (np.concatenate(column) if column else None for column in (times, weights))
    return of_numbers(user_ids, item_ids, user_of, item_of, at_s, weight_of)


def pieces(
    path: Path, wanted: Sequence[str], names: Sequence[str] = (), separator: str = ""
) -> Iterator[pa.RecordBatch]:
    """Some columns of a table, a piece at a time; those of CSV are text. Parameters and errors as `read_rows`."""
    import pyarrow as pa
    from pyarrow import csv

    there = names or column_names(path, separator)
    for column in wanted:
        if (n := list(there).count(column)) != 1:
            known = f"There is: {', '.join(map(printable, there))}.{'' if names else NO_HEADER}"
            raise InputError(f"{printable(path.name)} has {n or 'no'} columns {column!r}.", known)
    if _is_parquet(path):
        with open_parquet(path, most_bytes=MOST_BYTES, cure=CURE, error=InputError) as table:
            yield from table.record_batches(wanted, PIECE_ROWS)
        return
    separator = separator or _separator(first_line(path))
    with _unpacked(path) as source, _explaining(path):
        reader = csv.open_csv(
            source,
            csv.ReadOptions(block_size=PIECE_BYTES, column_names=there, skip_rows=0 if names else 1),
            csv.ParseOptions(delimiter=separator),
            csv.ConvertOptions(include_columns=list(wanted), column_types=dict.fromkeys(wanted, pa.string())),
        )
        yield from reader


def column_names(path: Path, separator: str = "") -> list[str]:
    """Of Parquet, or what the first line of a text file says."""
    if _is_parquet(path):
        with open_parquet(path, most_bytes=MOST_BYTES, cure=CURE, error=InputError) as table:
            return list(table.names)
    header = first_line(path).removeprefix("\ufeff")
    return [name.strip().strip('"') for name in header.split(separator or _separator(header))]


def first_line(path: Path) -> str:
    """The first line of a text file, packed or not; InputError if it is no text."""
    with _unpacked(path) as source, _explaining(path):
        start: bytes = source.read(MOST_HEADER_BYTES)
        return start.split(b"\n", 1)[0].rstrip(b"\r").decode("utf-8")


def numbered(column: pa.Array, places: dict[str, int], what: str, n_before: int = 0) -> np.ndarray:
    """The number of each id, (n,) int64; `places` remembers them and grows. what : of which there is none, in words"""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        plain = _plain(column)
        is_missing = pc.is_null(plain, nan_is_null=True)
        if pa.types.is_string(plain.type):
            is_missing = pc.or_(is_missing, pc.equal(plain, ""))
        encoded = plain.dictionary_encode()  # in the order in which they occur
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as cause:
        raise InputError(f"{what} that is text or a number.", CURE) from cause
    if pc.any(is_missing).as_py():
        raise InputError(f"{what} in row {n_before + pc.index(is_missing, True).as_py() + 1}.", CURE)
    names = encoded.dictionary.to_pylist()
    own = np.fromiter((places.setdefault(str(each), len(places)) for each in names), np.int64, len(names))
    found: np.ndarray = own[encoded.indices.to_numpy()]
    return found


def numbers(column: pa.Array, name: str, n_before: int = 0, *, is_time: bool = False) -> np.ndarray:
    """A column as numbers, (n,) float64; of times, as seconds since 1970, also from dates."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = [pa.float64(), *[pa.timestamp("us"), pa.timestamp("us", "UTC")] * is_time]
    if pa.types.is_temporal(column.type):
        kinds = kinds[1:]  # a date as a number is one of days, or of what it is counted in

    def cast(cells: pa.Array) -> np.ndarray | None:
        for kind in kinds:
            with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
                found = pc.cast(_plain(cells), kind)
                if found.null_count:
                    return None
                if kind == pa.float64():
                    return np.asarray(found.to_numpy(zero_copy_only=False))
                return np.asarray(pc.cast(found, pa.int64()).to_numpy(), np.float64) / 1e6
        return None

    values = cast(column)
    if values is None:
        row = next((row for row in range(len(column)) if cast(column.slice(row, 1)) is None), 0)
        shown, expected = printable(str(column[row].as_py())), "seconds or a date" if is_time else "a number"
        raise InputError(f"Row {n_before + row + 1} has {shown!r} as {name!r}, expected {expected}.", CURE)
    return values


def _plain(column: pa.Array) -> pa.Array:
    """Cells, each written out; of text, without the spaces around it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    is_text = pa.types.is_binary(plain.type) or pa.types.is_string(plain.type)
    return pc.utf8_trim_whitespace(plain.cast(pa.string())) if is_text else plain


def as_whole(ids: Sequence[str], number: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Ids and the number of each row, the same thing under one id where all are whole numbers.

    Examples
    --------
    >>> ids, number = as_whole(["7", "12.0", "12"], np.array([0, 1, 2, 1]))
    >>> ids, number.tolist()
    (('7', '12'), [0, 1, 1, 1])
    >>> as_whole(["1.0", "1.1"], np.array([0, 1]))[0]
    ('1.0', '1.1')
    """
    matches = [WHOLE.fullmatch(each) for each in ids] if any("." in each for each in ids) else [None]
    if not all(matches):
        return tuple(ids), number
    places: dict[str, int] = {}
    moved = np.array([places.setdefault(match[1], len(places)) for match in matches if match])
    return tuple(places), moved[number]


def _separator(line: str) -> str:
    best = max(SEPARATORS, key=line.count)
    return best if best in line else " "


def _is_parquet(path: Path) -> bool:
    with open_untrusted(path, MOST_BYTES, cure=CURE, error=InputError) as stream:
        return stream.read(len(PARQUET)) == PARQUET


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Any]:
    """A file as a stream of bytes, unpacked as its beginning says."""
    import pyarrow as pa

    with open_untrusted(path, MOST_BYTES, cure=CURE, error=InputError) as stream:
        start = stream.read(4)
        stream.seek(0)
        packed = next((how for mark, how in PACKED.items() if start.startswith(mark)), None)
        file = pa.PythonFile(stream, mode="r")
        yield file if packed is None else pa.CompressedInputStream(file, packed)


@contextlib.contextmanager
def _explaining(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as cause:
        first = printable(str(cause).split("\n")[0][:200]).rstrip(".")
        raise InputError(f"{printable(path.name)} is no table that can be read: {first}.", CURE) from cause
