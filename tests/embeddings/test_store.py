"""Pooling against NumPy, and a store in which every flipped bit is found."""

import errno
import itertools
import json
import os
import time
from dataclasses import replace

import numpy as np
import pytest

from mess_core.collections.opening import read_track
from mess_core.embeddings import store as module
from mess_core.embeddings.store import RememberingStore, TrackPooler, pool_frames
from mess_core.errors import ArtefactMismatchError, DataMissingError, StorageError
from mess_core.upkeep.check import check
from mess_core.workspace.scope import Scope
from tests.conftest import FakeEncoder
from tests.planted import INFO, TWO_LAYERS, embedding, plant_library


@pytest.fixture
def track_ids(home, write_wav):
    """Three registered tracks with embeddings."""
    new = [read_track(write_wav(name, seed=seed)) for seed, name in enumerate("abc")]
    home.catalogue.add(new[0].audio.parent, new, "music")
    for seed, item in enumerate(new):
        home.store.write(item.track.track_id, INFO, embedding(seed))
    return sorted(item.track.track_id for item in new)


def test_pooling_equals_numpy():
    rng = np.random.default_rng(0)
    segments = rng.standard_normal((4, INFO.n_layers, 9, INFO.dim)).astype(np.float32)
    pooler = TrackPooler(INFO)
    for number, hidden_states in enumerate(segments):
        pooler.add(2.5 * number, hidden_states)
    pooled = pooler.pool()
    np.testing.assert_allclose(pooled.mean, segments.mean(axis=(0, 2)), atol=1e-6)
    np.testing.assert_allclose(pooled.segments, segments.mean(axis=2).astype(np.float16))
    frames = segments.transpose(1, 0, 2, 3).reshape(INFO.n_layers, -1, INFO.dim)
    np.testing.assert_allclose(pooled.frame_std, frames.std(axis=1), atol=1e-6)
    np.testing.assert_array_equal(pooled.starts_s, [0, 2.5, 5, 7.5])


def test_mean_and_std_pooling_doubles_the_dimension():
    hidden_states = np.arange(24, dtype=np.float32).reshape(1, 8, 3)
    pooled = pool_frames(hidden_states, "mean+std")
    np.testing.assert_allclose(pooled[0], [*hidden_states[0].mean(0), *hidden_states[0].std(0)])


def test_reading_gives_back_what_was_written(home, track_ids):
    read = home.store.read(track_ids[0], INFO)
    rewritten = home.store.read(track_ids[0], INFO)
    for name in vars(read):
        np.testing.assert_array_equal(getattr(read, name), getattr(rewritten, name))
    assert read.segments.dtype == np.float16 and read.mean.dtype == np.float32


def test_the_same_embedding_gives_the_same_bytes(home, track_ids):
    path = home.store.file_paths(track_ids[0])[0]
    before = path.read_bytes()
    home.store.write(track_ids[0], INFO, home.store.read(track_ids[0], INFO))
    assert path.read_bytes() == before


def test_other_fingerprints_never_meet(home, track_ids):
    """The same encoder with another segment length is another encoder."""
    other = FakeEncoder(segment_s=10.0).info
    assert not home.store.has(track_ids[0], other)
    with pytest.raises(DataMissingError, match="no embedding by fake"):
        home.store.read(track_ids[0], other)
    assert home.store.load(track_ids, other).track_ids == ()


def test_other_versions_of_an_encoder_are_found(home, track_ids):
    """Those of this version, and of other encoders, are not meant."""
    older, other = replace(INFO, revision="older"), replace(INFO, id="another")
    home.store.write(track_ids[0], older, embedding())
    home.store.write(track_ids[1], other, embedding())
    sizes = [path.stat().st_size for path in home.store.file_paths(track_ids[0])]
    assert Scope(home, "music", INFO).n_by_other_versions == 1 and home.store.size_of_other_versions(INFO) in sizes
    assert Scope(home, "music", other).n_by_other_versions == home.store.size_of_other_versions(other) == 0
    home.store.forget_other_versions(INFO)
    assert home.store.size_of_other_versions(INFO) == 0 and not home.store.has(track_ids[0], older)
    assert home.store.has(track_ids[0], INFO) and home.store.has(track_ids[1], other)
    assert len(list(home.paths.embeddings.rglob("*.safetensors"))) == 4


def test_every_flipped_bit_is_found_and_named(home, track_ids):
    """200 random bits, one at a time: none goes unnoticed."""
    path = home.store.file_paths(track_ids[0])[0]
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, 8 * len(data), 200):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(ArtefactMismatchError, match=f"{track_ids[0]}.safetensors is damaged"):
            home.store.read(track_ids[0], INFO)
    path.write_bytes(data)
    assert check(home) == []


@pytest.mark.parametrize("part", range(0, 16, 5))
def test_truncation_is_found(home, track_ids, part):
    path = home.store.file_paths(track_ids[0])[0]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * part // 16])
    (problem,) = check(home)
    assert problem.kind == "embedding" and track_ids[0] in problem.what


def test_repair_forgets_what_is_damaged_and_nothing_else(home, track_ids):
    first, second, third = track_ids
    path = home.store.file_paths(first)[0]
    path.write_bytes(path.read_bytes()[:-1])
    home.store.file_paths(second)[0].unlink()
    problems = check(home, repair=True)
    assert len(problems) == 2 and all("extract again" in problem.cure for problem in problems)
    assert check(home) == []
    assert not home.store.has(first, INFO) and not home.store.has(second, INFO) and home.store.has(third, INFO)


def test_the_packed_matrix_is_checked_and_made_again(home, track_ids):
    loaded = home.store.load(track_ids, INFO)
    assert loaded.track_ids == tuple(track_ids)
    (packed,) = (home.paths.cache / "packed").glob("*.npy")
    packed.write_bytes(packed.read_bytes()[:-1] + b"\x00")
    assert [problem.kind for problem in check(home)] == ["cache"]
    np.testing.assert_array_equal(home.store.load(track_ids, INFO).vectors, loaded.vectors)
    assert check(home) == []


def test_a_packed_hash_that_is_no_text_is_named_too(home, track_ids):
    """Damage of the hash is damage; repairing makes both again."""
    home.store.load(track_ids, INFO)
    (beside,) = (home.paths.cache / "packed").glob("*.sha256")
    beside.write_bytes(b"\xff" + beside.read_bytes()[1:])
    assert [problem.kind for problem in check(home, repair=True)] == ["cache"]
    assert not list((home.paths.cache / "packed").iterdir()) and check(home) == []
    assert home.store.load(track_ids, INFO).track_ids == tuple(track_ids)


def test_segments_are_counted_without_opening_a_file(home, track_ids):
    """In the order asked for, by this encoder only."""
    home.store.write(track_ids[1], INFO, embedding(1, n_segments=5))
    home.store.write(track_ids[1], FakeEncoder(revision="2").info, embedding(1, n_segments=9))
    for path in home.paths.embeddings.rglob("*.safetensors"):
        path.unlink()
    assert home.store.segment_counts(track_ids, INFO).tolist() == [3, 5, 3]
    assert home.store.segment_counts(track_ids[1::-1], INFO).tolist() == [5, 3]
    assert home.store.segment_counts([], INFO).tolist() == []


def test_packed_vectors_cannot_be_changed(home, track_ids):
    with pytest.raises(ValueError, match="read-only"):
        home.store.load(track_ids, INFO).vectors[0] = 0


def test_content_changes_with_the_library(home, track_ids):
    keys = {home.store.content(track_ids[:n], INFO) for n in range(4)}
    assert len(keys) == 4
    assert home.store.content(track_ids[::-1], INFO) == home.store.content(track_ids, INFO)


def test_a_full_disk_leaves_nothing_behind(home, track_ids, monkeypatch):
    """The system says ENOSPC: one sentence, no torn file, no row; the old embedding is still there."""

    def full(_):
        raise OSError(28, "No space left on device")

    before = home.store.read(track_ids[0], INFO)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"could not be written .*No space left.*Free some disk space"):
        home.store.write(track_ids[0], INFO, embedding(9))
    monkeypatch.undo()
    np.testing.assert_array_equal(home.store.read(track_ids[0], INFO).mean, before.mean)
    assert not list(home.paths.embeddings.rglob("*.tmp"))


def test_a_refused_write_leaves_no_row(home, track_ids):
    def refuse(_):
        raise StorageError("lost")

    other = FakeEncoder(revision="2").info
    with pytest.raises(StorageError, match="lost"):
        home.store.write(track_ids[0], other, embedding(), refuse)
    assert not home.store.has(track_ids[0], other)


# --- many at a time -----------------------------------------------------------------------------------------


def test_many_at_a_time_are_written_as_one_after_the_other(home, track_ids, monkeypatch):
    """The same files and rows, in batches that end anywhere; older ones go, and what is drawn is told."""
    monkeypatch.setattr(module, "BATCH", 2)
    made = [(track_id, embedding(10 + number), None) for number, track_id in enumerate(track_ids)]
    before = [path for track_id in track_ids for path in home.store.file_paths(track_id)]
    told: list[int] = []
    assert home.store.write_many(INFO, iter(made), told.append) == 3 and told == [2, 3]
    of_many = {each: home.store.bytes_of(each, INFO.fingerprint) for each in track_ids}
    assert not any(path.exists() for path in before) and not list(home.paths.embeddings.rglob("*.tmp"))
    for track_id, new, _ in made:
        home.store.write(track_id, INFO, new)
    assert of_many == {each: home.store.bytes_of(each, INFO.fingerprint) for each in track_ids}
    assert not check(home)


def test_a_batch_ends_where_it_is_large(home, track_ids, monkeypatch):
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    told: list[int] = []
    home.store.write_many(TWO_LAYERS, [(each, embedding(1), None) for each in track_ids], told.append)
    assert told == [1, 2, 3, 3] and home.store.write_many(INFO, []) == 0


def test_of_a_track_that_was_removed_meanwhile_nothing_is_kept(home, track_ids):
    """The others are."""
    home.forget_tracks([track_ids[1]])
    gone = home.paths.embeddings / INFO.folder / track_ids[1][:2]
    assert home.store.write_many(INFO, [(each, embedding(5), None) for each in track_ids]) == 2
    assert not list(gone.glob(f"{track_ids[1]}*")) and not check(home)
    assert home.store.known(INFO).keys() == {track_ids[0], track_ids[2]}


@pytest.mark.parametrize("n_before_it", [0, 1, 2])
def test_a_full_disk_in_the_midst_of_many_leaves_nothing_behind(home, track_ids, monkeypatch, n_before_it):
    """Whichever file it refuses: no file of the batch, no row; what was there is there."""
    before = {each: home.store.bytes_of(each, INFO.fingerprint) for each in track_ids}
    n_flushed, real = itertools.count(), os.fsync

    def full(handle: int) -> None:
        if next(n_flushed) == n_before_it:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="could not be written"):
        home.store.write_many(INFO, [(each, embedding(7), None) for each in track_ids])
    monkeypatch.undo()
    assert before == {each: home.store.bytes_of(each, INFO.fingerprint) for each in track_ids}
    assert sorted(home.paths.embeddings.rglob("*.*")) == sorted(
        path for each in track_ids for path in home.store.file_paths(each)
    )


def test_sweep_deletes_old_leftovers_only(home, track_ids):
    folder = home.store.file_paths(track_ids[0])[0].parent
    old, young = folder / "old.tmp", folder / "young.tmp"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (0, time.time() - 2 * module.TMP_KEEP_S))
    assert home.store.sweep() == 1
    assert not old.exists() and young.exists()
    assert check(home) == []


def test_an_embedding_says_what_it_is(home, track_ids):
    """Exported or found by itself, a file names its encoder, fingerprint and licence."""
    data = home.store.file_paths(track_ids[0])[0].read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    facts = json.loads(header["__metadata__"]["mess"])
    assert facts["fingerprint"] == INFO.fingerprint and facts["track_id"] == track_ids[0] and facts["licence"] == "none"


def test_a_store_that_remembers_reads_once_and_again_what_was_made_anew(home, monkeypatch):
    """The same embeddings as the other store gives, read-only; no more bytes than it may keep."""
    ids = plant_library(home, TWO_LAYERS, n=4)
    n_bytes = sum(array.nbytes for array in vars(home.store.read(ids[0], TWO_LAYERS)).values())
    store = RememberingStore(home.paths, home.database, home.custody, most_bytes=2 * n_bytes)
    for track_id in (*ids, *reversed(ids)):
        plain, kept = home.store.read(track_id, TWO_LAYERS), store.read(track_id, TWO_LAYERS)
        for name, array in vars(plain).items():
            np.testing.assert_array_equal(getattr(kept, name), array)
            assert not getattr(kept, name).flags.writeable
        assert store.n_bytes <= 2 * n_bytes
    n_read = []
    real = RememberingStore._verified_bytes
    monkeypatch.setattr(RememberingStore, "_verified_bytes", lambda self, row: n_read.append(row) or real(self, row))
    assert store.read(ids[0], TWO_LAYERS) is store.read(ids[0], TWO_LAYERS) and not n_read
    other = replace(home.store.read(ids[1], TWO_LAYERS), mean=np.ones((2, 6), np.float32))
    home.store.write(ids[0], TWO_LAYERS, other)
    np.testing.assert_array_equal(store.read(ids[0], TWO_LAYERS).mean, other.mean)
    assert len(n_read) == 1
    with pytest.raises(DataMissingError):
        store.read("nobody", TWO_LAYERS)
