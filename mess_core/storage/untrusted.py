"""The one door through which files from elsewhere come in: nothing in them is believed before it was checked.

A data folder, an export, a table, a MIDI file, a checkpoint may come from anybody, and a disk may have bitten it.
Whoever reads one reads it here; no other module parses JSON, `.npy`, safetensors or Parquet (a test walks the code).

    read_untrusted(path, most_bytes)      the bytes of a regular file: MIDI, tables, playlists, text
    open_untrusted(path, most_bytes)      the same as an open stream, for what is hashed or read piece by piece
    read_text(path, most_bytes)           UTF-8, with or without a mark at its start
    read_json(path) · parse_json(data)    an object of bounded depth and size; no NaN, no key twice, real text
    read_npy(path) · npy_facts(path)      numbers of a plain shape, as many as the file has bytes for
    read_npz(path)                        several of them by name, unpacked to a bounded size
    parse_safetensors(data)               named arrays, each within the bytes there are
    open_parquet(path)                    a table, read a bounded piece at a time
    build(cls, plain) · understanding     what a document says, each entry of its kind; anything else is a sentence

What they have in common, as keywords:

    name    what the file is called in a sentence; by default its own name, made printable
    cure    the hint: what to do about it
    error   the kind of error that refuses it: `ArtefactMismatchError` for what MESS keeps or is handed over,
            `InputError` for what a user names

A file that is not there is a `DataMissingError` (also a FileNotFoundError), or `error` where that is an InputError. One
that the disk or its permissions withhold is a `StorageError` (also an OSError). Everything else is `error`: a pipe, a
device, a folder, a loop of links, a file too large, too deep, cut off or of other content. Each is one sentence.
Limits are checked before anything is allocated, so a hostile file costs no more memory than its limit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar

import numpy as np

from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, MessError, StorageError
from mess_core.words import counted

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

MOST_DOCUMENT_BYTES = 512 * 2**20  # a discovery over all segments of 10 000 tracks has 200 MB
MOST_TABLE_BYTES = 256 * 2**20  # a million rows of 250 characters
MOST_MIDI_BYTES = 16 * 2**20  # the longest of MAESTRO has 0.3 MB
MOST_PLAYLIST_BYTES = 16 * 2**20  # 100 000 paths
MOST_ARRAY_BYTES = 16 * 2**30  # 400 000 vectors of 13 x 768
MOST_TENSORS_BYTES = 4 * 2**30  # hidden states apart, which are never read whole

MOST_DEPTH = 64  # arrays and objects within each other; ours have 8
MOST_CONTAINERS = 2_000_000  # an empty list in memory is 30 times its text
MOST_VALUES = 20_000_000
MOST_DIGITS = 40  # of one number: 17 tell a double, 20 a 64-bit integer
MOST_EXPONENT_DIGITS = 2  # more may be infinite; then each number is looked at

MOST_NPY_HEADER_BYTES = 4096
MOST_TENSOR_HEADER_BYTES = 4 * 2**20  # the largest checkpoint has 0.1 MB
MOST_DIMENSIONS = 8
LARGEST = 1e12  # a number beyond it is none of an encoder's, and the square of a sum of a million fits a float32

MOST_ROWS = 1_000_000
MOST_GROUP_ROWS = 4_000_000  # segment targets of 32 recordings of 3 hours
MOST_COLUMN_BYTES = 128 * 2**20  # of one row group, uncompressed
BYTES_PER_CELL = 8  # so many values of a column as there would be numbers, lists counted out: empty ones take no byte
MOST_CELL_BYTES = 64 * 2**10
MOST_FIXED_BYTES = 64  # a decimal, a UUID, a half-precision number
MOST_FOOTER_BYTES = 16 * 2**20
ROWS_PER_BATCH = 8192

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}

Refusal = type[MessError]
T = TypeVar("T")


# --- bytes --------------------------------------------------------------------------------------------------


def printable(name: str) -> str:
    r"""A file's name, fit for a sentence and a terminal.

    Examples
    --------
    >>> printable("a\x1b[31m.json")
    'a\\x1b[31m.json'
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


def harmless(text: str) -> str:
    r"""A line for a terminal: what a name in it could do to the terminal, or to the line, is written out.

    Examples
    --------
    >>> harmless("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    return "".join(
        c
        if c.isprintable() or unicodedata.category(c) == "Zs"
        else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )


@contextlib.contextmanager
def open_untrusted(
    path: Path, most_bytes: int, *, name: str = "", cure: str = "", error: Refusal = ArtefactMismatchError
) -> Iterator[io.BufferedReader]:
    """A regular file of at most so many bytes, open for reading; what the disk refuses later is a sentence, too.

    The file is opened without waiting, for the other end of a pipe, say, and looked at only then: what was a file a
    moment ago may be something else when it is opened.
    """
    name = name or printable(Path(path).name)
    flags = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
    with _explaining(name, cure, error):
        handle = os.open(path, flags)
        try:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise error(f"{name} is {_kind(facts.st_mode)}, expected a file.", cure)
            if facts.st_size > most_bytes:
                raise error(f"{name} has {counted(facts.st_size, 'byte')}, expected at most {most_bytes:,}.", cure)
            stream = os.fdopen(handle, "rb")
        except BaseException:
            os.close(handle)
            raise
        with stream:
            yield stream


def read_untrusted(
    path: Path, most_bytes: int, *, name: str = "", cure: str = "", error: Refusal = ArtefactMismatchError
) -> bytes:
    """The bytes of a regular file of at most so many."""
    name = name or printable(Path(path).name)
    with open_untrusted(path, most_bytes, name=name, cure=cure, error=error) as stream:
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(size + 1)
        if len(data) > size:
            raise error(f"{name} grew while it was read.", cure)
        return data


def sha256_of(
    path: Path, most_bytes: int, *, name: str = "", cure: str = "", error: Refusal = ArtefactMismatchError
) -> str:
    """The sha256 of a regular file of at most so many bytes, which is not read whole."""
    with open_untrusted(path, most_bytes, name=name, cure=cure, error=error) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_text(
    path: Path,
    most_bytes: int = MOST_TABLE_BYTES,
    *,
    name: str = "",
    cure: str = "",
    error: Refusal = ArtefactMismatchError,
) -> str:
    """A text file in UTF-8, with or without a byte-order mark."""
    name = name or printable(Path(path).name)
    return _decoded(read_untrusted(path, most_bytes, name=name, cure=cure, error=error), name, cure, error)


# --- JSON ---------------------------------------------------------------------------------------------------

_STRING = re.compile(
    rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL
)  # one that is never closed runs to the end: linear in any case
_LONG_NUMBER = re.compile(rb"[0-9.]{%d}" % (MOST_DIGITS + 1))
_LARGE_EXPONENT = re.compile(rb"[eE][+-]?[0-9]{%d}" % (MOST_EXPONENT_DIGITS + 1))
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(
    path: Path,
    most_bytes: int = MOST_DOCUMENT_BYTES,
    *,
    name: str = "",
    cure: str = "",
    error: Refusal = ArtefactMismatchError,
) -> dict[str, Any]:
    """The object that a JSON file holds."""
    name = name or printable(Path(path).name)
    return parse_json(read_untrusted(path, most_bytes, name=name, cure=cure, error=error), name, cure, error)


def parse_json(data: bytes | str, name: str, cure: str = "", error: Refusal = ArtefactMismatchError) -> dict[str, Any]:
    """The object that JSON holds, as `parse_json_value`, or refused."""
    document = parse_json_value(data, name, cure, error)
    if not isinstance(document, dict):
        raise error(f"{name} is damaged: it holds no object.", cure)
    return document


def parse_json_value(
    data: bytes | str,
    name: str,
    cure: str = "",
    error: Refusal = ArtefactMismatchError,
    *,
    is_text: bool = True,
) -> Any:
    """What JSON holds, after its depth, its size and its numbers were checked on the text.

    Parameters
    ----------
    name : str
        What it is called in an error; `cure` is the hint.
    is_text : bool
        Refuse half a character, which can be neither stored nor shown.

    Raises
    ------
    error
        If it is no JSON in UTF-8, is deeper than `MOST_DEPTH`, holds more than `MOST_CONTAINERS` objects and arrays or
        `MOST_VALUES` values, a number of more than `MOST_DIGITS` digits, a number that is not finite, the same key
        twice, or half a character.

    Examples
    --------
    >>> parse_json_value(b'{"a": [1, 2.5]}', "a.json")
    {'a': [1, 2.5]}
    """
    text = _decoded(data, f"{name} is damaged: it", cure, error) if isinstance(data, bytes) else data
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    marks = np.frombuffer(_STRING.sub(b"", raw), np.uint8)
    opens = (marks == ord("[")) | (marks == ord("{"))
    closes = (marks == ord("]")) | (marks == ord("}"))
    n_containers = int(np.count_nonzero(opens))
    n_values = n_containers + int(np.count_nonzero(marks == ord(",")))
    if n_containers > MOST_CONTAINERS or n_values > MOST_VALUES:
        raise error(f"{name} holds {counted(n_values, 'value')}, expected at most {MOST_VALUES:,}.", cure)
    depth = int(np.cumsum(opens.astype(np.int32) - closes).max(initial=0))
    if depth > MOST_DEPTH:
        raise error(f"{name} is nested {depth:,} deep, expected at most {MOST_DEPTH}.", cure)
    outside = marks.tobytes()
    if _LONG_NUMBER.search(outside):
        raise error(f"{name} holds a number of more than {MOST_DIGITS} digits.", cure)

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number in JSON")

    def finite(digits: str) -> float:
        if not math.isfinite(number := float(digits)):
            raise ValueError(f"{digits} is too large")
        return number

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("it holds the same key twice")
        return found

    has_large = _LARGE_EXPONENT.search(outside) is not None
    del marks, opens, closes, outside
    try:
        document = json.loads(
            text, parse_constant=refuse, parse_float=finite if has_large else None, object_pairs_hook=once
        )
        if is_text and _SURROGATE.search(raw):
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as cause:
        raise error(f"{name} is damaged: it holds half a character.", cure) from cause
    except (ValueError, RecursionError, MemoryError) as cause:
        raise error(f"{name} is damaged: {cause}.", cure) from cause
    return document


# --- arrays -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NpyFacts:
    """What the header of a `.npy` file says, found possible. offset : where its numbers begin, bytes"""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    offset: int


def npy_facts(
    path: Path, kinds: str = "fiu", *, name: str = "", cure: str = "", error: Refusal = ArtefactMismatchError
) -> NpyFacts:
    """Shape and kind of a `.npy` file, none of whose numbers is read; `kinds` are those of NumPy's dtypes."""
    name = name or printable(Path(path).name)
    with open_untrusted(path, MOST_ARRAY_BYTES, name=name, cure=cure, error=error) as stream:
        return npy_facts_in(stream, os.fstat(stream.fileno()).st_size, kinds, name, cure, error)


def read_npy(
    path: Path,
    most_bytes: int = MOST_ARRAY_BYTES,
    kinds: str = "fiu",
    *,
    name: str = "",
    cure: str = "",
    error: Refusal = ArtefactMismatchError,
) -> np.ndarray:
    """The array of a `.npy` file, in C order: plain numbers, as many as its header says and it has bytes for."""
    name = name or printable(Path(path).name)
    with open_untrusted(path, most_bytes, name=name, cure=cure, error=error) as stream:
        facts = npy_facts_in(stream, os.fstat(stream.fileno()).st_size, kinds, name, cure, error)
        stream.seek(facts.offset)
        flat = np.fromfile(stream, facts.dtype, math.prod(facts.shape))
        if flat.size != math.prod(facts.shape):
            raise error(f"{name} breaks off: it was cut while it was read.", cure)
    array: np.ndarray = flat.reshape(facts.shape, order="F" if facts.is_fortran else "C")
    return np.ascontiguousarray(array)


def read_npz(
    path: Path,
    most_bytes: int = MOST_ARRAY_BYTES,
    kinds: str = "fiuU",
    *,
    name: str = "",
    cure: str = "",
    error: Refusal = ArtefactMismatchError,
) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name: numbers, or text of a fixed width, all together of at most so many bytes."""
    name = name or printable(Path(path).name)
    arrays = {}
    with open_untrusted(path, most_bytes, name=name, cure=cure, error=error) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                n_bytes = sum(entry.file_size for entry in archive.infolist())
                if n_bytes > most_bytes:
                    raise error(f"{name} unpacks to {counted(n_bytes, 'byte')}, expected at most {most_bytes:,}.", cure)
                for entry in archive.infolist():
                    data = archive.read(
                        entry
                    )  # of no more than it says: it is cut off there, and its checksum is wrong
                    part = f"{name}, {printable(entry.filename)}"
                    facts = npy_facts_in(io.BytesIO(data), len(data), kinds, part, cure, error)
                    flat = np.frombuffer(data, facts.dtype, math.prod(facts.shape), facts.offset)
                    array = flat.reshape(facts.shape, order="F" if facts.is_fortran else "C")
                    arrays[entry.filename.removesuffix(".npy")] = np.ascontiguousarray(array)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as cause:
            raise error(f"{name} is no .npz file, or breaks off.", cure) from cause
    return arrays


def npy_facts_in(
    stream: BinaryIO, size: int, kinds: str, name: str, cure: str = "", error: Refusal = ArtefactMismatchError
) -> NpyFacts:
    """What the header of an opened `.npy` file of this size says, as far as it can be."""
    start = stream.read(12)
    if start[:6] != b"\x93NUMPY" or len(start) < 12:
        raise error(f"{name} is no .npy file.", cure)
    if start[6] not in (1, 2):  # 3 is for columns with names
        raise error(f"{name} is a .npy file of version {start[6]}, expected 1 or 2: plain numbers.", cure)
    n_prefix = 10 if start[6] == 1 else 12
    (n_header,) = struct.unpack("<H" if start[6] == 1 else "<I", start[8:n_prefix])
    header = start[n_prefix:] + stream.read(min(n_header, MOST_NPY_HEADER_BYTES))
    header = header[:n_header]
    # `eval` of what is nested deeply, or of a number of many digits, is where such a header does its harm.
    if n_header > MOST_NPY_HEADER_BYTES or header.count(b"(") + header.count(b"[") + header.count(b"{") > MOST_DEPTH:
        raise error(f"{name} has a header of {counted(n_header, 'byte')} that describes no plain array.", cure)
    stream.seek(8)
    read = np.lib.format.read_array_header_1_0 if start[6] == 1 else np.lib.format.read_array_header_2_0
    try:
        shape, is_fortran, dtype = read(stream, max_header_size=MOST_NPY_HEADER_BYTES)
    except Exception as cause:  # whatever a literal of any kind does in NumPy
        raise error(f"{name} is damaged: its header cannot be read.", cure) from cause
    if dtype.kind not in kinds or dtype.hasobject or dtype.subdtype is not None:
        raise error(f"{name} is no .npy file of {_words(kinds)}: it holds {dtype.name}.", cure)
    if len(shape) > MOST_DIMENSIONS or any(length < 0 or length > size for length in shape):
        raise error(f"{name} says that its shape is {_brief(shape)}, which cannot be.", cure)
    offset = n_prefix + n_header
    expected = offset + math.prod(shape) * dtype.itemsize
    if expected != size:
        raise error(f"{name} has {counted(size, 'byte')}, expected {expected:,} for shape {_brief(shape)}.", cure)
    return NpyFacts(tuple(shape), dtype, bool(is_fortran), offset)


def parse_safetensors(
    data: bytes, name: str, cure: str = "", error: Refusal = ArtefactMismatchError, *, is_finite: bool = True
) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, each within the bytes there are.

    Parameters
    ----------
    is_finite : bool
        Refuse a NaN, an infinity, and a number beyond `LARGEST`.

    Examples
    --------
    >>> from safetensors.numpy import save
    >>> parse_safetensors(save({"mean": np.zeros((2, 3), np.float32)}), "a.safetensors")["mean"].shape
    (2, 3)
    """
    facts = tensor_facts(data[: 8 + MOST_TENSOR_HEADER_BYTES], len(data), name, cure, error)
    arrays = {}
    for key, (dtype, shape, start, end) in facts.items():
        array = np.frombuffer(data, dtype, count=(end - start) // dtype.itemsize, offset=start).reshape(shape).copy()
        if is_finite and not are_possible(array):
            raise error(f"{name} is damaged: {printable(key)} holds numbers that cannot be.", cure)
        arrays[key] = array
    return arrays


def are_possible(array: np.ndarray) -> bool:
    """Whether all numbers are finite and none is beyond `LARGEST`.

    Examples
    --------
    >>> are_possible(np.array([1.0, -5.0])), are_possible(np.array([3e38])), are_possible(np.array([np.nan]))
    (True, False, False)
    """
    return float(array.min(initial=0)) >= -LARGEST and float(array.max(initial=0)) <= LARGEST  # both false of NaN


def tensor_facts(
    start: bytes, size: int, name: str, cure: str = "", error: Refusal = ArtefactMismatchError
) -> dict[str, tuple[np.dtype[Any], tuple[int, ...], int, int]]:
    """What the header of a safetensors file says, found possible: by name, (dtype, shape, first byte, last + 1).

    Parameters
    ----------
    start : bytes
        The beginning of the file, header included; `size` is that of all of it.
    """
    header, n_header = _tensor_header(start, size, name, cure, error)
    header.pop("__metadata__", None)
    found = {}
    covered = 0
    for key, entry in header.items():
        try:
            kind, shape, (first, last) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            whole = (first, last, *shape)
            if not all(type(number) is int and number >= 0 for number in whole) or len(shape) > MOST_DIMENSIONS:
                raise TypeError("no whole numbers")
        except (KeyError, TypeError, ValueError) as cause:
            raise error(f"{name} is damaged: its header says nothing of {printable(key)}.", cure) from cause
        if not isinstance(kind, str) or kind not in DTYPES:
            expected = ", ".join(DTYPES)
            raise error(f"{name} holds {printable(key)} as {printable(str(kind))}, expected one of {expected}.", cure)
        dtype = np.dtype(DTYPES[kind])
        if last - first != math.prod(shape) * dtype.itemsize or 8 + n_header + last > size:
            raise error(f"{name} is damaged: {printable(key)} lies outside of it or has another size.", cure)
        covered += last - first
        found[key] = (dtype, shape, 8 + n_header + first, 8 + n_header + last)
    if covered != size - 8 - n_header:
        raise error(f"{name} is damaged: it has {counted(size, 'byte')}, its arrays another number.", cure)
    return found


def map_array(
    path: Path,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    offset: int,
    most_bytes: int,
    *,
    name: str = "",
    cure: str = "",
    error: Refusal = ArtefactMismatchError,
) -> np.ndarray:
    """Numbers of a file that lie at an offset, read-only and in no memory before they are looked at."""
    with open_untrusted(path, most_bytes, name=name, cure=cure, error=error) as stream:
        if offset + math.prod(shape) * dtype.itemsize > os.fstat(stream.fileno()).st_size:
            raise error(f"{name or printable(Path(path).name)} breaks off.", cure)
        return np.memmap(stream, dtype, "r", offset, shape)


def tensor_metadata(start: bytes, name: str, cure: str = "", error: Refusal = ArtefactMismatchError) -> dict[str, str]:
    """What a safetensors file says of itself; empty where it says nothing. `start` as of `tensor_facts`."""
    metadata = _tensor_header(start, len(start), name, cure, error)[0].get("__metadata__") or {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise error(f"{name} is damaged: what it says of itself is no text.", cure)
    return metadata


def _tensor_header(start: bytes, size: int, name: str, cure: str, error: Refusal) -> tuple[dict[str, Any], int]:
    n_header = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else size
    if n_header > min(size - 8, MOST_TENSOR_HEADER_BYTES):
        raise error(f"{name} is damaged: it is no safetensors file, or breaks off.", cure)
    return parse_json(start[8 : 8 + n_header], name, cure, error), n_header


# --- Parquet ------------------------------------------------------------------------------------------------


class ParquetTable:
    """An open Parquet file whose size, rows and columns were found possible; `open_parquet` makes it.

    Text is read as a dictionary, so a long cell that is repeated a million times is in memory once.

    names, n_rows : of its columns, and how many rows there are
    stored : the schema of its columns as they were written
    """

    def __init__(
        self, file: pyarrow.parquet.ParquetFile, stored: pyarrow.Schema, name: str, cure: str, error: Refusal
    ) -> None:
        self._file, self.name, self._cure, self._error = file, name, cure, error
        self.stored = stored
        self.names: tuple[str, ...] = tuple(stored.names)
        self.n_rows: int = file.metadata.num_rows

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of some columns, in their order, at most `ROWS_PER_BATCH` at a time."""
        wanted = list(columns if columns is not None else self.names)
        with self._explaining():
            for batch in self.record_batches(wanted or self.names[:1]):
                yield self._rows([batch.column(name) for name in wanted], batch.num_rows)

    def record_batches(
        self, columns: Sequence[str], n_rows: int = ROWS_PER_BATCH, most_bytes: int = MOST_COLUMN_BYTES
    ) -> Iterator[pyarrow.RecordBatch]:
        """The same as Arrow has them, for tables of millions of rows; text is a dictionary, of any length.

        most_bytes : of a column in one row group, uncompressed
        """
        with self._explaining():
            for number in range(self._file.num_row_groups):
                self._check_group(number, columns, most_bytes)
                yield from self._file.iter_batches(n_rows, [number], list(columns))

    def row_groups(self) -> Iterator[list[tuple[Any, ...]]]:
        """All columns of a row group at a time."""
        with self._explaining():
            for number in range(self._file.num_row_groups):
                self._check_group(number, self.names)
                table = self._file.read_row_group(number)
                columns = [column.combine_chunks() for column in table.columns]
                yield self._rows(columns, table.num_rows)

    def _rows(self, columns: Sequence[Any], n_rows: int) -> list[tuple[Any, ...]]:
        for name, column in zip(self.names, columns, strict=False):
            n_bytes, longest = _text_size(column)
            if longest > MOST_CELL_BYTES or n_bytes > MOST_COLUMN_BYTES:
                raise self._error(
                    f"{self.name} holds text of {counted(max(n_bytes, longest), 'byte')} in {printable(name)!r},"
                    f" expected at most {MOST_CELL_BYTES:,} a cell.",
                    self._cure,
                )
        return list(zip(*(_pylist(column) for column in columns), strict=True)) if columns else [()] * n_rows

    def _check_group(self, number: int, wanted: Collection[str], most_bytes: int = MOST_COLUMN_BYTES) -> None:
        """Nothing of a row group is read before its parts were seen to be small enough."""
        group = self._file.metadata.row_group(number)
        if not 0 <= group.num_rows <= MOST_GROUP_ROWS:
            raise self._error(
                f"{self.name} has {counted(group.num_rows, 'row')} in one group, expected at most {MOST_GROUP_ROWS:,}.",
                self._cure,
            )
        for place in range(group.num_columns):
            column = group.column(place)
            if column.path_in_schema.split(".")[0] not in wanted:
                continue
            n_bytes = max(column.total_uncompressed_size, column.total_compressed_size)
            if not 0 <= n_bytes <= most_bytes or not 0 <= column.num_values <= most_bytes // BYTES_PER_CELL:
                raise self._error(
                    f"{self.name} holds {counted(n_bytes, 'byte')} in column {printable(column.path_in_schema)!r},"
                    f" expected at most {most_bytes:,} for {counted(group.num_rows, 'row')}.",
                    self._cure,
                )

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        with _explaining_parquet(self.name, self._cure, self._error):
            yield


@contextlib.contextmanager
def open_parquet(
    path: Path,
    most_rows: int | None = None,
    most_bytes: int = MOST_ARRAY_BYTES,
    *,
    name: str = "",
    cure: str = "",
    error: Refusal = ArtefactMismatchError,
) -> Iterator[ParquetTable]:
    """A Parquet file, of which only the list of its parts has been read.

    Examples
    --------
    >>> with open_parquet(path) as table:                           # doctest: +SKIP
    ...     for rows in table.batches(["audio", "title"]):
    ...         ...
    """
    import pyarrow.parquet as pq

    name = name or printable(Path(path).name)
    limits = {"thrift_string_size_limit": MOST_FOOTER_BYTES, "thrift_container_size_limit": MOST_ROWS}
    with open_untrusted(path, most_bytes, name=name, cure=cure, error=error) as stream:
        with _explaining_parquet(name, cure, error):
            _check_footer(stream, name, cure, error)
            metadata = pq.read_metadata(stream)
            texts = []
            for place in range(len(metadata.schema)):
                column = metadata.schema.column(place)
                if column.physical_type == "BYTE_ARRAY":
                    texts.append(column.path)
                elif column.physical_type == "FIXED_LEN_BYTE_ARRAY" and column.length > MOST_FIXED_BYTES:
                    raise error(
                        f"{name} holds {counted(column.length, 'byte')} a cell in {printable(column.path)!r}.", cure
                    )
            if most_rows is not None and not 0 <= metadata.num_rows <= most_rows:
                raise error(f"{name} has {counted(metadata.num_rows, 'row')}, expected at most {most_rows:,}.", cure)
            stream.seek(0)
            file = pq.ParquetFile(stream, read_dictionary=texts, pre_buffer=False, **limits)
            stored = metadata.schema.to_arrow_schema()
        yield ParquetTable(file, stored, name, cure, error)


def _check_footer(stream: io.BufferedReader, name: str, cure: str, error: Refusal) -> None:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 8))
    end = stream.read(8)
    if size < 12 or end[4:] not in (b"PAR1", b"PARE"):
        raise error(f"{name} is no table that can be read: it is no Parquet, or breaks off.", cure)
    (n_footer,) = struct.unpack("<I", end[:4])
    if n_footer > min(size - 12, MOST_FOOTER_BYTES):
        raise error(f"{name} says that its list of parts has {counted(n_footer, 'byte')}, which cannot be.", cure)
    stream.seek(0)


def _text_size(array: Any) -> tuple[int, int]:
    """Bytes of text in an Arrow array if each cell were written out, and of its longest cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_dictionary(kind):
        if not len(array.dictionary) or not len(array):
            return 0, 0
        lengths = pc.binary_length(array.dictionary)
        used = lengths.take(array.indices)
        return pc.sum(pc.cast(used, pa.int64())).as_py() or 0, pc.max(used).as_py() or 0
    if pa.types.is_struct(kind):
        parts = [_text_size(part) for part in array.flatten()]
    elif pa.types.is_map(kind):
        parts = [_text_size(array.keys), _text_size(array.items)]
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        parts = [_text_size(array.flatten())]
    else:
        return array.nbytes, 0
    return sum(n_bytes for n_bytes, _ in parts), max((longest for _, longest in parts), default=0)


def _pylist(array: Any) -> list[Any]:
    """The cells; equal text is one string."""
    import pyarrow as pa

    if not pa.types.is_dictionary(array.type):
        cells: list[Any] = array.to_pylist()
        return cells
    texts = array.dictionary.to_pylist()
    return [None if place is None else texts[place] for place in array.indices.to_pylist()]


@contextlib.contextmanager
def _explaining_parquet(name: str, cure: str, error: Refusal) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except MessError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as cause:
        first = str(cause).split("\n")[0][:200]
        raise error(f"{name} is no table that can be read: {printable(first).rstrip('.')}.", cure) from cause


# --- what a document says -----------------------------------------------------------------------------------

_KINDS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


def build(cls: type[T], plain: Any, **known: Any) -> T:
    """A dataclass of what a document says of it: no entry more, none less but those with a default, each of its kind.

    Kinds are checked where the annotation is str, int, float or bool, or one of these or None; `known` are entries that
    the caller has read itself.

    Raises
    ------
    TypeError, ValueError
        If an entry is missing, unknown, or of another kind; `understanding` makes it a sentence.

    Examples
    --------
    >>> @dataclass
    ... class Point:
    ...     x: float
    ...     name: str | None = None
    >>> build(Point, {"x": 1})
    Point(x=1, name=None)
    """
    if not isinstance(plain, Mapping):
        raise TypeError(f"{cls.__name__} is no object")
    values = {**plain, **known}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
        allowed = _KINDS.get(kind.removesuffix(" | None"))
        if allowed is None or field.name in known or field.name not in values:
            continue
        value = values[field.name]
        if value is None and kind.endswith(" | None"):
            continue
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            raise TypeError(f"{field.name} is {_brief_value(value)}, expected {kind}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{field.name} is {value}")
    return cls(**values)


@contextlib.contextmanager
def understanding(name: str, cure: str = "", error: Refusal = ArtefactMismatchError) -> Iterator[None]:
    """Whatever goes wrong while a document is taken at its word is one sentence: it says what nobody could mean."""
    try:
        yield
    except MessError:
        raise
    except Exception as cause:
        what = f"{type(cause).__name__} {cause}" if isinstance(cause, (KeyError, IndexError)) else str(cause)
        raise error(f"{name} is damaged: {printable(what).rstrip('.') or type(cause).__name__}.", cure) from cause


def _brief_value(value: object) -> str:
    text = repr(value)
    return printable(text if len(text) <= 60 else f"{text[:60]}…")


# --- words --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _explaining(name: str, cure: str, error: Refusal) -> Iterator[None]:
    try:
        yield
    except MessError:  # some of which are an OSError, too
        raise
    except FileNotFoundError as cause:
        kind = error if issubclass(error, InputError) else DataMissingError
        raise kind(f"There is no file {name}.", cure) from cause
    except OSError as cause:
        reason = cause.strerror or str(cause)
        if cause.errno in NO_FILE:
            raise error(f"{name} is no file that can be read: {reason}.", cure) from cause
        hint = "Check the disk it lies on and the permissions."
        raise StorageError(f"{name} cannot be read: {reason}.", hint) from cause
    except ValueError as cause:  # a NUL in the path
        raise error(f"{name} is no name of a file.", cure) from cause


NO_FILE = {errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ENODEV}


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def _decoded(data: bytes, name: str, cure: str, error: Refusal) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise error(f"{name} is no text in UTF-8: {cause.reason} at byte {cause.start:,}.", cure) from cause


def _brief(shape: Sequence[int]) -> str:
    text = str(tuple(shape)) if len(shape) <= MOST_DIMENSIONS else f"{len(shape)} dimensions"
    return text if len(text) <= 100 else f"{text[:100]}…"


def _words(kinds: str) -> str:
    names = {"f": "real numbers", "i": "whole numbers", "u": "whole numbers", "b": "yes or no"}
    return "real numbers" if "f" in kinds else names[kinds[0]]
