"""Packed arrays: what was written comes back or nothing does."""

import hashlib
import os

import numpy as np
import pytest

from mess_core.errors import ArtefactMismatchError
from mess_core.storage.packed import read_packed, remove_packed, verify_packed, write_packed

ARRAY = np.arange(24, dtype=np.float32).reshape(4, 6)


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "cache" / "one.npy"  # its folder is made
    write_packed(path, ARRAY)
    return path


def test_what_was_written_comes_back(packed):
    read = read_packed(packed, (4, 6))
    np.testing.assert_array_equal(read, ARRAY)
    assert read.dtype == np.float32
    verify_packed(packed)
    write_packed(packed, 2 * ARRAY)  # in place of the older one
    np.testing.assert_array_equal(read_packed(packed, (4, 6)), 2 * ARRAY)


def test_another_shape_or_nothing_there_is_none(packed):
    assert read_packed(packed, (6, 4)) is None and read_packed(packed, (24,)) is None
    assert read_packed(packed.with_name("other.npy"), (4, 6)) is None


def test_every_kind_of_damage_is_none_and_named(packed):
    """Bits of the array or of its hash, a cut, a hash that is gone or no text: never numbers."""
    data, beside = packed.read_bytes(), packed.with_suffix(".sha256")
    digest = beside.read_bytes()
    rng = np.random.default_rng(0)
    flipped = []
    for position in rng.integers(0, 8 * len(data), 30):
        wrong = bytearray(data)
        wrong[position // 8] ^= 1 << position % 8
        flipped.append((bytes(wrong), digest))
    for array, hash_ in [*flipped, (data[:-1], digest), (b"", digest), (data, b""), (data, b"\xff\xfe"), (data, None)]:
        packed.write_bytes(array)
        beside.unlink(missing_ok=True)
        if hash_ is not None:
            beside.write_bytes(hash_)
        assert read_packed(packed, (4, 6)) is None
        with pytest.raises(ArtefactMismatchError, match=r"one\.npy is damaged"):
            verify_packed(packed)


def test_no_pickle_is_ever_opened(packed, tmp_path):
    """An array of objects, with the right hash beside it, is refused; and none is written."""
    with pytest.raises(ValueError, match="pickle"):
        write_packed(tmp_path / "objects.npy", np.array([{}], object))
    np.save(packed, np.array([{}], object), allow_pickle=True)
    packed.with_suffix(".sha256").write_text(hashlib.sha256(packed.read_bytes()).hexdigest())
    assert read_packed(packed, (1,)) is None


def test_a_full_disk_is_no_failure(tmp_path, monkeypatch):
    """Nothing is kept, nothing is raised, nothing is left behind."""

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "one.npy"
    write_packed(path, ARRAY)
    assert read_packed(path, (4, 6)) is None and not list(tmp_path.iterdir())


def test_removing_takes_the_hash_too(packed):
    remove_packed(packed)
    assert not list(packed.parent.iterdir())
    remove_packed(packed)  # as often as one likes
