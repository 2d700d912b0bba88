"""Records of long files: read one by one as Python reads the whole, whatever stands between them, and however long."""

from __future__ import annotations

import csv
import io
import json
import random
import tracemalloc

import pytest

from mess_core.storage import records as module
from mess_core.storage.records import MOST_RECORD, json_records, table_records

PAGES, ARRAYS = ("recenttracks", "lovedtracks", "payload"), ("track", "listens", "scrobbles")


class Slow(io.BytesIO):
    """A file that gives a few bytes at a time, as few as it likes."""

    def read(self, n: int = -1) -> bytes:
        return super().read(min(n, 7))


def values(data: bytes | str, kind=io.BytesIO) -> list:
    stream = kind(data.encode() if isinstance(data, str) else data)
    return [record.value for record in json_records(stream, PAGES, ARRAYS)]


def some_records(n: int, seed: int = 0) -> list[dict]:
    rng = random.Random(seed)
    texts = ["a", 'with "quotes" \\ and {braces} [x], ', "née ♪\u2028", "\n\t", "", '{"listened_at": 1}']
    return [
        {
            "listened_at": rng.randrange(10**9),
            "track_metadata": {"names": [{"name": rng.choice(texts)} for _ in range(rng.randrange(3))], "x": None},
            rng.choice(texts): rng.choice([True, 1.5, -3, [], {}, [[]]]),
        }
        for _ in range(n)
    ]


@pytest.mark.parametrize("kind", [io.BytesIO, Slow])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_records_are_what_the_whole_file_holds(kind, indent, is_ascii):
    given = some_records(200)
    whole = json.dumps(given, indent=indent, ensure_ascii=is_ascii)
    lines = "\n".join(json.dumps(each, indent=indent, ensure_ascii=is_ascii) for each in given)
    for text in (whole, lines, f"\ufeff{whole}", f"\r\n {lines}\r\n"):
        assert values(text, kind) == given
    numbers = [record.number for record in json_records(io.BytesIO(whole.encode()))]
    assert numbers == list(range(1, 201))


def test_records_in_pages_are_found_and_what_stands_beside_them_is_not():
    a, b, c = ({"name": name, "artist": {"#text": "x", "track": "no"}, "image": [{"size": "s"}]} for name in "abc")
    page = {"recenttracks": {"@attr": {"page": "1", "user": "u"}, "track": [a, b], "more": [1, {"x": 2}]}}
    last = {"recenttracks": {"track": c, "@attr": {"page": "2"}}}
    for document in (page, [page, last], [[a, b], [c]], {"username": "u", "n": 3, "scrobbles": [a, b, c]}):
        expected = [a, b] if document is page else [a, b, c]
        assert values(json.dumps(document)) == expected, document
    loved = {"lovedtracks": {"track": [{"name": "a"}], "@attr": {}}}
    found = list(json_records(io.BytesIO(json.dumps([page, loved]).encode()), PAGES, ARRAYS))
    assert [record.page for record in found] == ["recenttracks", "recenttracks", "lovedtracks"]
    own = [{"track": "Song", "artist": "A", "date": 1}, {"track": "Other", "artist": "B", "date": 2}]
    assert values(json.dumps(own)) == own  # a name of a page that holds nothing


@pytest.mark.parametrize(
    "broken",
    ['{"listened_at": 3, "x": }', '{"listened_at": 3, "x": "open', '{"listened_at" 3}', '{"listened_at": 3,, }',
     "nonsense", "12", '"text"', "null",
     '{"listened_at": 1' + "0" * 5000 + "}", '{"listened_at": ' + "[" * 30_000 + "}", "{}{"],
    ids=lambda text: text[:24],
)  # fmt: skip
@pytest.mark.parametrize("joint", [",", ",\n", "\n"])
def test_one_that_is_broken_is_told_and_stops_nothing(broken, joint):
    """Of six records the third is none: the others are there, and at least one is told as broken."""
    good = some_records(6)
    texts = [json.dumps(each) for each in good]
    text = joint.join([*texts[:3], broken, *texts[3:]])
    found = list(json_records(io.BytesIO((f"[{text}]" if "," in joint else text).encode()), PAGES, ARRAYS))
    assert [record.value for record in found if record.value] == good
    assert any(record.value is None and record.wrong for record in found) or broken == "{}{"


def test_a_file_that_breaks_off_gives_what_is_whole():
    good = some_records(50)
    text = json.dumps(good)
    found = list(json_records(io.BytesIO(text[:-40].encode())))
    assert [record.value for record in found if record.value] == good[:49]
    assert found[-1].value is None and found[-1].number == 50


def test_a_record_that_is_too_long_is_passed_over_without_being_held():
    long = b'{"a": "' + b"x" * (4 * MOST_RECORD) + b'"}'
    data = b'[{"a": 1},' + long + b',{"a": 2}]'
    tracemalloc.start()
    found = list(json_records(io.BytesIO(data)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [record.value for record in found] == [{"a": 1}, None, {"a": 2}] and "longer than" in found[1].wrong
    assert peak < 8 * MOST_RECORD


@pytest.mark.parametrize("fill", [b"x", b"[", b"{", b'"', b"}", b"\xff", b'{"a": [', b"1,"])
def test_what_is_no_json_at_all_ends(fill):
    """A quarter of a megabyte of anything is read to their end, without a value."""
    found = list(json_records(io.BytesIO(fill * (2**18 // len(fill)))))
    assert not any(record.value for record in found)


# --- tables -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_are_those_of_the_csv_module(separator, encoding, end):
    given = [["artist", "title", "time"], ["a, b; c", 'say "x"', "1"], ["née", "two\nlines", "2"], ["", "last", "3"]]
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=separator, lineterminator=end).writerows(given)
    rows = list(table_records(io.BytesIO(stream.getvalue().encode(encoding))))
    assert [row.cells for row in rows] == given
    assert [row.number for row in rows] == [1, 2, 3, 5]


def test_a_quote_that_is_not_closed_spoils_only_its_own_row():
    text = 'artist,title\nA,"open\n' + "\n".join(f"B,t{number}" for number in range(100))
    rows = [row.cells for row in table_records(io.BytesIO(text.encode()))]
    assert rows == [["artist", "title"], ["A", '"open'], *(["B", f"t{number}"] for number in range(100))]


def test_lines_that_are_too_long_are_told(monkeypatch):
    monkeypatch.setattr(module, "MOST_RECORD", 100)
    data = b"a,b\n1," + b"x" * 1000 + b"\n2,y\n\0\n" + b"3,z"
    rows = list(table_records(io.BytesIO(data)))
    assert [row.cells for row in rows] == [["a", "b"], [], ["2", "y"], ["3", "z"]] and "longer" in rows[1].wrong


def test_an_old_encoding_and_a_separator_that_is_named_are_read():
    assert [row.cells for row in table_records(io.BytesIO("sep=;\nné,e;x\n".encode("latin-1")))] == [["né,e", "x"]]
    assert list(table_records(io.BytesIO(b""))) == []
