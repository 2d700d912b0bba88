"""The door: every hostile file is one sentence, in bounded memory and time; what is sound comes through unchanged."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, MessError
from mess_core.storage import untrusted
from mess_core.storage.untrusted import (
    npy_facts,
    open_parquet,
    open_untrusted,
    parse_json,
    parse_json_value,
    parse_safetensors,
    printable,
    read_json,
    read_npy,
    read_npz,
    read_text,
    read_untrusted,
)

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROOT = Path(__file__).parent.parent.parent


def is_sentence(error: MessError) -> bool:
    """One line of bounded length, that ends as a sentence does, without a stack or a control character."""
    return error.message.isprintable() and error.message.endswith(".") and len(error.message) < 600


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    """A `.npy` file with a header of our own."""
    text = header.encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def tensors(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text + data


# --- bytes --------------------------------------------------------------------------------------------------


def test_a_file_is_read_as_it_is(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert read_untrusted(path, 3) == b"abc"
    with open_untrusted(path, 3) as stream:
        assert stream.read() == b"abc"
    path.write_bytes("\ufeffé".encode())
    assert read_text(path) == "é"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop", "socket", "long", "nul", "large", "below a file"])
def test_what_is_no_file_of_that_size_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "a.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "socket":
        listening = socket.socket(socket.AF_UNIX)
        path = tmp_path / "s"
        listening.bind(str(path))
    elif kind == "long":
        path = tmp_path / ("a" * 5000)
    elif kind == "nul":
        path = tmp_path / "a\0b"
    elif kind == "below a file":
        path.touch()
        path = path / "b"
    else:
        with path.open("wb") as file:
            file.truncate(2**40)  # of which no block is written
    for error in (ArtefactMismatchError, InputError):
        with pytest.raises(error) as caught:
            read_untrusted(path, 1000, cure="Do this.", error=error)
        assert is_sentence(caught.value)
    if kind == "socket":
        listening.close()


def test_a_file_that_is_missing_is_missing(tmp_path):
    with pytest.raises(DataMissingError):
        read_untrusted(tmp_path / "none", 10)
    with pytest.raises(FileNotFoundError):  # the same, as who caught it before does
        read_untrusted(tmp_path / "none", 10)
    with pytest.raises(InputError, match="no file none"):
        read_untrusted(tmp_path / "none", 10, error=InputError)


def test_names_are_made_printable():
    assert printable("a\n\x1b[31m\ud800.json") == "a\\n\\x1b[31m\\ud800.json"
    assert len(printable("a" * 5000)) <= 201


# --- JSON ---------------------------------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.slow
@given(plain, st.booleans())
@settings(max_examples=200)
def test_what_json_can_say_comes_through(value, is_ascii):
    assert parse_json_value(json.dumps(value, ensure_ascii=is_ascii).encode(), "a") == value


HOSTILE_JSON = {
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "deep after a string with brackets": b'["]]]]]]]]]]", ' + b"[" * 100 + b"]" * 100 + b"]",
    "deep never closed": b'{"a": ' + b"[" * 70,
    "many lists": b"[" + b"[]," * 3_000_000 + b"0]",
    "digits": b'{"a": ' + b"9" * 6000 + b"}",
    "digits of a float": b'{"a": 0.' + b"9" * 6000 + b"}",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "too large": b'{"a": 1e999}',
    "twice": b'{"a": 1, "a": 2}',
    "half a character": b'{"a": "\\ud800"}',
    "half a character as a key": b'{"\\udc00": 1}',
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "no object": b"[1]",
    "cut": b'{"a": ',
    "empty": b"",
    "zeros": b"\0" * 1000,
    "quotes": b'{"a": "' + b'\\"' * 1_000_000,
    "open strings": b'"a\\' * 1_000_001,
}


@pytest.mark.parametrize("kind", HOSTILE_JSON)
def test_json_that_harms_is_refused(kind):
    with pytest.raises(ArtefactMismatchError) as caught:
        parse_json(HOSTILE_JSON[kind], "a.json", "Delete it.")
    assert is_sentence(caught.value) and caught.value.hint == "Delete it."


@pytest.mark.slow
@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_are_json_or_a_sentence(data):
    try:
        parse_json_value(data, "a.json")
    except ArtefactMismatchError as error:
        assert is_sentence(error)


def test_brackets_in_text_are_text():
    document = {"a": "[" * 1000, 'b"\\': '"[[[{{\\', "c": ["9" * 6000, "NaN", "1e999"]}
    assert parse_json(json.dumps(document).encode(), "a.json") == document


def test_large_exponents_of_finite_numbers_are_read():
    assert parse_json(b'{"a": 1e-300, "b": 1.5E+300, "c": 1e-999}', "a") == {"a": 1e-300, "b": 1.5e300, "c": 0.0}


# --- arrays -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f8", "i1", "<u4", ">i8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (4, 3), (2, 3, 4)])
def test_numbers_come_through(tmp_path, dtype, order, shape):
    array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape), dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    found = read_npy(tmp_path / "a.npy")
    assert found.dtype == array.dtype and found.flags.c_contiguous
    np.testing.assert_array_equal(found, array)
    assert npy_facts(tmp_path / "a.npy").shape == shape


def zipped() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


HOSTILE_NPY = {
    "huge": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 768), }"),
    "product overflows": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"),
    "digits": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 3000 + ",), }"),
    "digits of infinity": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1e999,), }"),
    "negative": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1), }", b"\0" * 4),
    "yes": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (True,), }", b"\0" * 8),
    "deep": npy("{'descr': " + "(" * 3000 + ")" * 3000 + ", 'fortran_order': False, 'shape': (1,), }"),
    "deep minus": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "-" * 3900 + "1,), }"),
    "many dimensions": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 60 + "), }", b"\0" * 4),
    "header says more": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{}",
    "columns": npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", b"\0" * 4),
    "cells of arrays": npy("{'descr': ('<f4', (1000000,)), 'fortran_order': False, 'shape': (1,), }", b"\0" * 4),
    "no bytes each": npy("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000,), }"),
    "text": npy("{'descr': '<U1000000', 'fortran_order': False, 'shape': (1,), }"),
    "dates": npy("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8),
    "complex": npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8),
    "objects": pickled(),
    "version 3": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", b"\0" * 4, version=3),
    "version 9": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", b"\0" * 4, version=9),
    "cut": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10,), }", b"\0" * 39),
    "more": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10,), }", b"\0" * 41),
    "no header": npy("1"),
    "zip": zipped(),
    "false zip": b"PK\x03\x04" + b"\0" * 100,
    "magic alone": b"\x93NUMPY",
    "empty": b"",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE_NPY)
def test_npy_that_harms_is_refused(tmp_path, kind):
    (tmp_path / "a.npy").write_bytes(HOSTILE_NPY[kind])
    for read in (read_npy, npy_facts):
        with pytest.raises(InputError) as caught:
            read(tmp_path / "a.npy", cure="Write it again.", error=InputError)
        assert is_sentence(caught.value)


@pytest.mark.parametrize("save_as", [np.savez, np.savez_compressed])
def test_several_arrays_come_through(tmp_path, save_as):
    arrays = {"ids": np.array(["a", "bb"]), "vectors": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    save_as(tmp_path / "a.npz", **arrays)
    found = read_npz(tmp_path / "a.npz")
    assert found.keys() == arrays.keys() and all(np.array_equal(found[name], arrays[name]) for name in arrays)


def archived(data: bytes, **said: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", data)
    whole = buffer.getvalue()
    for old, new in ((len(data), size) for size in said.values()):
        whole = whole.replace(struct.pack("<I", old), struct.pack("<I", new))
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*HOSTILE_NPY, "much", "says less", "cut zip"])
def test_npz_that_harms_is_refused(tmp_path, kind):
    """The same within an archive; one that unpacks to a gigabyte, one that says it is less than it is, one cut off."""
    much = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (25000000,), }", b"\0" * 10**8)
    hostile = {"much": archived(much), "says less": archived(much, size=100), "cut zip": zipped()[:-30]}
    data = hostile.get(kind) or archived(HOSTILE_NPY[kind])
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_npz(tmp_path / "a.npz", 10**7, cure="Write it again.", error=InputError)
    assert is_sentence(caught.value)


def test_tensors_come_through():
    arrays = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.zeros((0, 4), np.float32), "c": np.array(7)}
    found = parse_safetensors(save(arrays, metadata={"mess": "x"}), "a")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].flags.writeable


def one(**changes: object) -> dict[str, object]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


HOSTILE_TENSORS = {
    "BF16": tensors(one(dtype="BF16", data_offsets=[0, 4]), b"\0" * 4),
    "F8": tensors(one(dtype="F8_E4M3", data_offsets=[0, 2]), b"\0" * 2),
    "no kind": tensors(one(dtype=["F32"]), b"\0" * 8),
    "huge": tensors(one(shape=[10**15, 10**15], data_offsets=[0, 4 * 10**30])),
    "outside": tensors(one(data_offsets=[10**12, 10**12 + 8]), b"\0" * 8),
    "backwards": tensors(one(data_offsets=[8, 0]), b"\0" * 8),
    "negative": tensors(one(shape=[-2], data_offsets=[0, -8]), b"\0" * 8),
    "fraction": tensors(one(shape=[2.0]), b"\0" * 8),
    "many dimensions": tensors(one(shape=[1] * 100, data_offsets=[0, 4]), b"\0" * 4),
    "three offsets": tensors(one(data_offsets=[0, 8, 8]), b"\0" * 8),
    "header says more": struct.pack("<Q", 2**63) + b"{}",
    "header of the whole file": struct.pack("<Q", 100) + b"{}",
    "deep header": tensors(b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "no object": tensors([1]),
    "entry is text": tensors({"a": "b"}),
    "more bytes": tensors(one(), b"\0" * 9),
    "cut": tensors(one(), b"\0" * 7),
    "NaN": tensors(one(), struct.pack("<2f", 1.0, float("nan"))),
    "infinite": tensors(one(), struct.pack("<2f", 1.0, -float("inf"))),
    "3e38": tensors(one(), struct.pack("<2f", 1.0, 3e38)),
    "empty": b"",
    "four bytes": b"\0" * 4,
}


@pytest.mark.parametrize("kind", HOSTILE_TENSORS)
def test_tensors_that_harm_are_refused(kind):
    with pytest.raises(ArtefactMismatchError) as caught:
        parse_safetensors(HOSTILE_TENSORS[kind], "a.safetensors", "Copy it again.")
    assert is_sentence(caught.value)


# --- Parquet ------------------------------------------------------------------------------------------------


def parquet_rows(path: Path, columns: list[str] | None = None, **limits: int) -> list[tuple]:
    with open_parquet(path, **limits) as table:
        return [row for rows in table.batches(columns) for row in rows]


@pytest.mark.slow
def test_tables_come_through(tmp_path):
    named = pa.struct([pa.field("role", pa.string()), pa.field("name", pa.string())])
    columns = {
        "title": ["a", None, "b", "a"] * 5000,
        "large": pa.array(["x", "y", None, ""] * 5000, pa.large_string()),
        "n": list(range(20_000)),
        "x": [0.5, None, 1.5, 2.5] * 5000,
        "files": pa.array(
            [[{"role": "r", "name": "n"}], [], None, [{"role": "s", "name": "m"}]] * 5000, pa.list_(named)
        ),
        "planted": pa.array([[("k", 1.0)], [], [], []] * 5000, pa.map_(pa.string(), pa.float64())),
    }
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7000)
    expected = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    assert parquet_rows(tmp_path / "a.parquet") == expected
    assert parquet_rows(tmp_path / "a.parquet", ["n", "title"]) == [(row[2], row[0]) for row in expected]
    with open_parquet(tmp_path / "a.parquet") as opened:
        groups = list(opened.row_groups())
    assert [len(rows) for rows in groups] == [7000, 7000, 6000]
    assert [row for rows in groups for row in rows] == expected
    with pytest.raises(ArtefactMismatchError, match="20,000 rows"):
        parquet_rows(tmp_path / "a.parquet", most_rows=19_999)


def often(text: str, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([text]))


def write_hostile_parquet(path: Path, kind: str) -> None:
    if kind == "one long cell":
        table = pa.table({"title": ["a" * 300_000_000]})
        pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)
    elif kind == "a long cell often":
        pq.write_table(
            pa.table({"title": often("a" * 1_000_000, 20_000)}), path, compression="zstd", store_schema=False
        )
    elif kind == "a long cell often in lists":
        cells = pa.ListArray.from_arrays(pa.array(range(0, 100_001, 5000), pa.int32()), often("a" * 60_000, 100_000))
        pq.write_table(pa.table({"title": cells}), path, compression="zstd")
    elif kind == "many rows":
        pq.write_table(pa.table({"n": np.zeros(20_000_000, np.int8)}), path, compression="zstd", row_group_size=2**40)
    elif kind == "wide cells":
        cells = pa.array([b"a" * 2_000_000] * 50, pa.binary(2_000_000))
        pq.write_table(pa.table({"n": cells}), path, compression="zstd")
    elif kind == "long footer":
        path.write_bytes(b"PAR1" + b"\0" * 100 + struct.pack("<I", 2**31) + b"PAR1")
    elif kind == "no footer":
        path.write_bytes(b"PAR1" + b"\0" * 100 + struct.pack("<I", 50) + b"PAR1")
    elif kind == "magic alone":
        path.write_bytes(b"PAR1PAR1")
    elif kind == "encrypted":
        path.write_bytes(b"PARE" + b"\0" * 100 + struct.pack("<I", 50) + b"PARE")
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        pq.write_table(pa.table({"title": [str(n) for n in range(10_000)]}), path)
        data = bytearray(path.read_bytes())
        data[10 : len(data) // 2] = b"\xff" * (len(data) // 2 - 10)
        path.write_bytes(data)


HOSTILE_PARQUET = ("one long cell", "a long cell often", "a long cell often in lists", "many rows", "wide cells",
                   "long footer", "no footer", "magic alone", "encrypted", "empty", "damaged pages")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE_PARQUET)
def test_parquet_that_harms_is_refused_in_little_memory(tmp_path, kind):
    """In a process that may have 1 GB in all: what is refused was not read first."""
    path = tmp_path / "a.parquet"
    write_hostile_parquet(path, kind)
    code = """
        import resource, sys
        from pathlib import Path
        from mess_core.errors import InputError
        from mess_core.storage.untrusted import open_parquet
        import pyarrow.parquet, pyarrow.compute
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            with open_parquet(Path(sys.argv[1]), error=InputError) as table:
                for rows in table.batches():
                    pass
            print("read")
        except InputError as error:
            print("refused", error.message.isprintable())
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.startswith("refused True\n"), done.stdout + done.stderr
    assert int(done.stdout.split("\n")[1]) < 500  # MB more than with nothing read


# What is known to be that large, in bytes.
LARGEST_KNOWN = {
    "MOST_DOCUMENT_BYTES": 200e6,  # a discovery over all segments of 10 000 tracks
    "MOST_TABLE_BYTES": 1_000_000 * 250,  # rows of so many characters
    "MOST_MIDI_BYTES": 0.3e6,  # the longest of MAESTRO
    "MOST_PLAYLIST_BYTES": 100_000 * 100,  # paths of so many characters
    "MOST_ARRAY_BYTES": 400_000 * 13 * 768 * 4,  # vectors of MERT-95M
    "MOST_TENSORS_BYTES": 1.3e9,  # the weights of MERT-330M
    "MOST_TENSOR_HEADER_BYTES": 0.1e6,  # of the largest checkpoint
    "MOST_COLUMN_BYTES": 4_000_000 * 8,  # a number for each segment of 32 recordings of 3 hours
    "MOST_FOOTER_BYTES": 0.5e6,
}


@pytest.mark.parametrize("limit", LARGEST_KNOWN)
def test_a_limit_leaves_room_for_what_is_known_and_for_little_more(limit):
    assert LARGEST_KNOWN[limit] <= getattr(untrusted, limit) <= 100 * LARGEST_KNOWN[limit]


def test_limits_can_be_told_from_each_other():
    assert untrusted.MOST_PLAYLIST_BYTES < untrusted.MOST_TABLE_BYTES < untrusted.MOST_DOCUMENT_BYTES


def test_a_whole_document_is_an_object(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}
