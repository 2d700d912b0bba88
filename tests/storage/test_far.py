"""Far rows: as those of an array, without ever being one."""

import numpy as np
import pytest

from mess_core.errors import InputError, StorageError
from mess_core.storage.far import FarRows, parts_of, search_memory_bytes
from mess_core.storage.packed import open_packed, verify_packed, write_packed_in_parts

ROWS = np.random.default_rng(0).standard_normal((2500, 3, 4)).astype(np.float16)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "packed" / "far.npy"  # its folder is made
    write_packed_in_parts(path, ROWS.shape, np.float16, (ROWS[start : start + 700] for start in range(0, 2500, 700)))
    return path


def test_rows_on_the_disk_are_those_of_the_array(path):
    """By a slice, by numbers in any order, from the end and twice; in parts; the file is a plain one of NumPy."""
    far, near = open_packed(path, ROWS.shape), ROWS.astype(np.float32)
    assert len(far) == 2500 and far.shape == near.shape and far.ndim == 3
    for rows in (slice(0, 5), slice(2000, 9999), slice(7, 3), slice(-3, None)):
        np.testing.assert_array_equal(far[rows], near[rows])
    rng = np.random.default_rng(1)
    for rows in ([], [4], [5, 4, 4, -1], rng.integers(0, 2500, 900), np.arange(2500)):
        np.testing.assert_array_equal(far[np.array(rows, int)], near[np.array(rows, int)])
    np.testing.assert_array_equal(np.concatenate(list(parts_of(far))), near)
    np.testing.assert_array_equal(np.concatenate(list(parts_of(near))), near)
    np.testing.assert_array_equal(np.load(path), ROWS)
    assert far[:3].dtype == np.float32
    verify_packed(path)


def test_what_is_made_of_each_row_is_made_when_it_is_asked_for(path):
    made = open_packed(path, ROWS.shape).changed((4,), lambda part: 2 * part.sum(axis=1))
    np.testing.assert_array_equal(made[np.array([9, 3])], 2 * ROWS.astype(np.float32)[[9, 3]].sum(axis=1))
    assert made.shape == (2500, 4)


@pytest.mark.parametrize("rows", [np.array([2500]), np.array([-2501, 3]), slice(0, 9, 2)])
def test_rows_that_are_not_there_are_refused(path, rows):
    with pytest.raises(IndexError):
        open_packed(path, ROWS.shape)[rows]


def test_damage_is_noticed_when_it_is_opened(path):
    """A bit anywhere, a cut, another shape, a hash that is gone: then it is not there, and is made again."""
    data, beside = path.read_bytes(), path.with_suffix(".sha256")
    digest, rng = beside.read_bytes(), np.random.default_rng(2)
    for position in rng.integers(0, 8 * len(data), 20):
        wrong = bytearray(data)
        wrong[position // 8] ^= 1 << position % 8
        path.write_bytes(wrong)
        assert open_packed(path, ROWS.shape) is None
    for array, hash_ in ((data[:-2], digest), (b"", digest), (data, b"x")):
        path.write_bytes(array)
        beside.write_bytes(hash_)
        assert open_packed(path, ROWS.shape) is None
    path.write_bytes(data)
    beside.write_bytes(digest)
    assert open_packed(path, ROWS.shape) is not None and open_packed(path, (2500, 12)) is None
    beside.unlink()
    assert open_packed(path, ROWS.shape) is None and open_packed(path.with_name("no.npy"), ROWS.shape) is None


def test_a_file_that_is_cut_afterwards_is_a_sentence(path):
    """No signal ends the process, as of a file that is mapped into memory; one that is replaced is read on."""
    far = open_packed(path, ROWS.shape)
    newer = path.with_name("newer.npy")
    write_packed_in_parts(newer, ROWS.shape, np.float16, [-ROWS])
    newer.replace(path)
    np.testing.assert_array_equal(far[:2], ROWS[:2])
    now = open_packed(path, ROWS.shape) or open_packed(path, ROWS.shape)
    assert now is None  # the hash beside it is the older one's
    write_packed_in_parts(path, ROWS.shape, np.float16, [-ROWS])
    far = open_packed(path, ROWS.shape)
    with path.open("r+b") as stream:
        stream.truncate(5000)
    with pytest.raises(StorageError, match=r"far\.npy cannot be read any more: it was cut"):
        far[2000:2003]


def test_nothing_is_left_of_what_could_not_be_written(tmp_path):
    """A source that fails, fewer rows than were said, a folder that is none."""

    def failing():
        yield ROWS[:10]
        raise RuntimeError("no more")

    for parts, error in ((failing(), RuntimeError), ([ROWS[:10]], ValueError)):
        with pytest.raises(error):
            write_packed_in_parts(tmp_path / "a.npy", ROWS.shape, np.float16, parts)
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="could not be written") as caught:
        write_packed_in_parts(tmp_path / "file" / "a.npy", ROWS.shape, np.float16, [ROWS])
    assert "0.0 GB" in caught.value.hint


@pytest.mark.parametrize("said", ["0", "-1", "nan", "inf", "much", "4 GB", "1e999"])
def test_a_budget_that_is_none_is_one_sentence(monkeypatch, said):
    monkeypatch.setenv("MESS_SEARCH_GB", said)
    with pytest.raises(InputError, match="expected gigabytes of memory, a number above 0") as caught:
        search_memory_bytes()
    assert repr(said) in caught.value.message and "usual 4" in caught.value.hint


def test_a_budget_is_in_gigabytes(monkeypatch):
    for said, expected in (("", 4e9), (" ", 4e9), ("0.5", 5e8), ("12", 12e9)):
        monkeypatch.setenv("MESS_SEARCH_GB", said)
        assert search_memory_bytes() == expected
    monkeypatch.delenv("MESS_SEARCH_GB")
    assert search_memory_bytes() == 4e9


def test_no_rows_at_all():
    far = FarRows((0, 2), lambda rows: np.empty((0, 2), np.float32))
    assert list(parts_of(far)) == [] and far[:].shape == far[np.array([], int)].shape == (0, 2)
