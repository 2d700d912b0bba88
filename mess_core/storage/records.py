"""Long files of short records, read one at a time: half a gigabyte takes no more memory than the longest of them.

    json_records(stream, ...)    JSON arrays, arrays within pages, or one object a line
    table_records(stream)        rows of CSV or TSV, as cells

What is no record is told in its place, and reading goes on behind it. Nothing is believed: a record is at most
`MOST_RECORD` characters long and as deep as Python reads, numbers may be infinite, and text may hold half characters.
For documents of ours, which are checked before they are read, there is `untrusted`.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, Literal, NamedTuple

MOST_RECORD = 2**20  # characters; a listen has 300 to 3000
CHUNK = 2**18  # bytes read at a time
HEAD = 512  # characters that the beginning of an object is told from
LEAST_DEPTH = 500  # of objects and arrays within each other that Python refuses: 1000 less what it is amid itself
MOST_FIRST_KEYS = 8  # with which records of one file begin
MOST_LINES = 10  # that one cell may hold; more are a quote that was forgotten
SEPARATORS = ",;\t|"

_FILLER = re.compile(r"[\s,:\[\]}]*")
_FIRST = re.compile(r'\{\s*"([^"\\]{1,64})"\s*:')
_KEY = re.compile(r'"((?:[^"\\]|\\.){0,200})"\s*:\s*')
_STRAY = re.compile(r'[^\[\]{},"]+')
_OBJECT = re.compile(r"(?<=[\[,\n])\s*(?=\{)")


class JsonRecord(NamedTuple):
    """An object of a file, or why there is none where one should be.

    number : in the file, from 1
    page : the last of the given names below which it stands; empty where there is none
    """

    number: int
    page: str
    value: dict[str, Any] | None
    wrong: str = ""


class TableRecord(NamedTuple):
    """A row of a table, or why there is none. number : of its first line, from 1"""

    number: int
    cells: list[str]
    wrong: str = ""


# --- JSON ---------------------------------------------------------------------------------------------------


def json_records(stream: BinaryIO, objects: Collection[str] = (), arrays: Collection[str] = ()) -> Iterator[JsonRecord]:
    r"""The objects that stand in arrays, or one after the other; not those that stand within them.

    Parameters
    ----------
    stream : binary file
    objects, arrays : collections of str
        Names of what holds records: below the first kind stands an object that does, below the second an array of
        them, or a single one. What begins with such a name, or has one before any other array or object, is no record.

    Examples
    --------
    >>> [record.value for record in json_records(io.BytesIO(b'[{"a": 1}, {"a": [{}]}]'))]
    [{'a': 1}, {'a': [{}]}]
    >>> [record.value for record in json_records(io.BytesIO(b'{"a": 1}\n{"a": \n{"a": 3}'))]
    [{'a': 1}, None, {'a': 3}]
    >>> page = io.BytesIO(b'{"page": {"n": 9, "rows": [{"a": 1}]}}')
    >>> list(json_records(page, ["page"], ["rows"]))
    [JsonRecord(number=1, page='page', value={'a': 1}, wrong='')]
    """
    window, decode = _Window(stream), json.JSONDecoder().raw_decode
    number, page, enters = 0, "", False
    first_keys: dict[str, None] = {}
    holds = re.compile(
        r'\{\s*"(?:%s)"\s*:\s*\{|\{[^{}\[\]]*"(?:%s)"\s*:\s*[\[{]'  # noqa: UP031  # braces enough without more
        % ("|".join(map(re.escape, objects)) or "$.", "|".join(map(re.escape, arrays)) or "$.")
    )
    while window.has(HEAD):
        window.at = _FILLER.match(window.text, window.at).end()  # type: ignore[union-attr]  # it matches nothing, too
        if not window.has(HEAD):
            break
        text, at = window.text, window.at
        found: JsonRecord | None = None
        if text[at] == "{":
            first = _FIRST.match(text, at)
            is_known = first is not None and first[1] in first_keys  # begins as records do, not as what holds them
            if enters or (not is_known and holds.match(text, at, at + HEAD)):
                enters = False
                window.at += 1
                continue
            number += 1
            value, wrong = window.decode(decode)
            found = JsonRecord(number, page, value, wrong)
            if value is None:
                window.seek(_beginning(first_keys))
            elif first and len(first_keys) < MOST_FIRST_KEYS:
                first_keys[first[1]] = None
        elif text[at] == '"' and (named := _KEY.match(text, at)):
            key, window.at = named[1], named.end()
            begins = window.text[window.at] if window.has(1) else ""
            enters = key in objects and begins == "{"
            if enters or (key in arrays and begins in ("[", "{")):
                page = key if enters else page or key
            elif begins and begins not in ",]}" and window.decode(decode)[1]:
                window.at += 1  # a value that is none; what follows is looked at for itself
        else:
            number += 1
            stray = _STRAY.match(text, at)
            window.at = stray.end() if stray else at + 1
            found = JsonRecord(number, page, None, "it is no object")
        if found:
            yield found


def _beginning(first_keys: Collection[str]) -> re.Pattern[str]:
    """With what the next record begins: as others before it did."""
    if not first_keys:
        return _OBJECT
    return re.compile(rf'\{{\s*"(?:{"|".join(map(re.escape, first_keys))})"\s*:')


class _Window:
    """The part of a file that is looked at, as text; what is before `at` is done with."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self.text, self.at, self.is_end = "", 0, False

    def has(self, n: int) -> bool:
        """Whether there is anything more; then at least so many characters of it, but at the end."""
        while len(self.text) - self.at < n and not self.is_end:
            data = self._stream.read(max(CHUNK, n))
            self.is_end = not data
            self.text, self.at = self.text[self.at :] + self._decoder.decode(data, final=self.is_end), 0
        return self.at < len(self.text)

    def decode(self, decode: Any) -> tuple[Any, str]:
        """The value here, which is passed; or None, why, and no other one is passed."""
        while True:
            try:
                value, self.at = decode(self.text, self.at)
            except RecursionError:
                self.at += LEAST_DEPTH  # at least so many objects and arrays begin here, none of which ends
                return None, "it is nested too deeply"
            except ValueError as error:
                n = len(self.text) - self.at
                if self.is_end or n >= MOST_RECORD:
                    is_long = n >= MOST_RECORD and not self.is_end
                    wrong = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                    return None, f"it is longer than {MOST_RECORD:,} characters, or damaged" if is_long else wrong
                self.has(min(2 * n + CHUNK, MOST_RECORD))
            else:
                return value, ""

    def seek(self, beginning: re.Pattern[str]) -> None:
        """Go to the next match behind here, or to the end."""
        self.at += 1
        while self.has(2 * HEAD):
            if match := beginning.search(self.text, self.at):
                self.at = match.start()
                return
            if self.is_end:
                self.at = len(self.text)
                return
            self.at = max(self.at, len(self.text) - HEAD)


# --- tables -------------------------------------------------------------------------------------------------


def table_records(stream: BinaryIO) -> Iterator[TableRecord]:
    r"""The rows of a table that are not empty, header included; the separator is the one that cuts the first row best.

    Quoted cells may hold line breaks. A quote that is never closed is a letter, and only of its own row.

    Examples
    --------
    >>> [row.cells for row in table_records(io.BytesIO(b'a;b\n1;"x\ny"\n2;"z\n3;q'))]
    [['a', 'b'], ['1', 'x\ny'], ['2', '"z'], ['3', 'q']]
    """
    lines, waiting = _lines(stream), deque[tuple[int, str | None]]()
    separator = ""
    while True:
        number, line = waiting.popleft() if waiting else next(lines, (0, ""))
        if not number:
            return
        if line is None:
            yield TableRecord(number, [], f"it is longer than {MOST_RECORD:,} characters, or damaged")
            continue
        bare = line.strip().strip('"')
        if not separator:
            if bare[:4].lower() == "sep=" and len(bare) <= 5:
                separator = bare[4:] or "\t"
                continue
            separator = max(SEPARATORS, key=lambda each: len(_cells(line or "", each, csv.QUOTE_MINIMAL)))
        if not line.strip():
            continue
        whole, n_more = line, 0
        while whole.count('"') % 2 and n_more < MOST_LINES:
            if n_more == len(waiting):
                waiting.append(next(lines, (0, None)))
            more = waiting[n_more][1]
            if more is None:
                break
            whole, n_more = whole + more, n_more + 1
        if whole.count('"') % 2:
            cells = _cells(line, separator, csv.QUOTE_NONE)
        else:
            cells = _cells(whole, separator, csv.QUOTE_MINIMAL)
            for _ in range(n_more):
                waiting.popleft()
        if any(cells):
            yield TableRecord(number, cells)


def _cells(text: str, separator: str, quoting: Literal[0, 3]) -> list[str]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting, skipinitialspace=True)
    try:
        return [cell.strip() for cell in next(reader, [])]
    except csv.Error:  # a cell of more than 131 072 characters
        return text.strip().split(separator)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, str | None]]:
    """Lines with their numbers, each with its end; None for one that is too long."""
    head = stream.read(CHUNK)
    text = io.TextIOWrapper(io.BufferedReader(_Joined(head, stream)), _encoding_of(head), "replace", newline=None)
    number = 0
    while line := text.readline(MOST_RECORD):
        number += 1
        is_whole = line.endswith("\n") or len(line) < MOST_RECORD
        while not (line.endswith("\n") or len(line) < MOST_RECORD):
            line = text.readline(MOST_RECORD)
        yield number, line.replace("\0", "") if is_whole else None


def _encoding_of(head: bytes) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
    ):  # fmt: skip
        if head.startswith(mark):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


class _Joined(io.RawIOBase):
    """What was read of a stream already, and the rest of it."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = head, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head[: len(buffer)] if self._head else self._stream.read(len(buffer))
        self._head = self._head[len(data) :] if self._head else b""
        buffer[: len(data)] = data
        return len(data)
