"""Files that lie elsewhere: read for a while, and what is not there is said in one sentence."""

from __future__ import annotations

import errno
from pathlib import Path

import fsspec
import pytest

from mess_core.errors import AudioError, DataMissingError, DependencyMissingError, InputError, StorageError
from mess_core.storage import remote
from mess_core.storage.remote import Elsewhere, parse_elsewhere


def read(elsewhere: Elsewhere, path: str) -> bytes:
    with elsewhere.local(Path(path)) as local:
        return local.read_bytes()


@pytest.fixture
def bucket():
    """A store in memory that holds one file."""
    files = fsspec.filesystem("memory")
    files.pipe("/bucket/a b/ä.wav", b"sound" * 1000)
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_another_path_is_read_in_place(tmp_path):
    """A folder that is mounted elsewhere; what lies outside of it stays where it is."""
    elsewhere = parse_elsewhere(f"/music={tmp_path}")
    for path, there in {"/music/x/a.wav": f"{tmp_path}/x/a.wav", "/other/a.wav": "/other/a.wav"}.items():
        with elsewhere.local(Path(path)) as local:
            assert local == Path(there)
    assert parse_elsewhere("") is None


def test_a_path_that_vanished_is_not_taken_for_a_file_that_did(tmp_path):
    """As of a disk that is not mounted any more: it is said once, and not of every file."""
    with pytest.raises(DataMissingError, match="gone does not answer, or is not there any more"):
        read(Elsewhere(Path("/music"), f"{tmp_path}/gone"), "/music/a.wav")
    with Elsewhere(Path("/music"), str(tmp_path)).local(Path("/music/a.wav")) as local:
        assert not local.exists()


@pytest.mark.parametrize("place", ["memory://bucket", "memory://bucket/"])
def test_a_file_of_a_store_is_copied_for_a_while(bucket, place):
    with Elsewhere(Path("/music"), place).local(Path("/music/a b/ä.wav")) as local:
        assert local.read_bytes() == b"sound" * 1000 and local.name == "ä.wav"
    assert not local.exists() and not local.parent.exists()


@pytest.mark.parametrize("scheme", ["file", "local"])
def test_a_store_of_files_is_read_by_fsspec(tmp_path, scheme):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.wav").write_bytes(b"sound")
    assert read(Elsewhere(Path("/music"), f"{scheme}://{tmp_path}/music"), "/music/a.wav") == b"sound"


def test_arrow_reads_its_stores_through_the_same_door(tmp_path, monkeypatch):
    """S3 itself is on no test's machine: the scheme of local files goes the same way."""
    monkeypatch.setattr(remote, "BY_ARROW", ("file",))
    (tmp_path / "a.wav").write_bytes(b"sound")
    elsewhere = Elsewhere(Path("/music"), f"file://{tmp_path}")
    assert read(elsewhere, "/music/a.wav") == b"sound"
    with pytest.raises(AudioError, match=r"b\.wav could not be read from file://"):
        read(elsewhere, "/music/b.wav")


def test_one_file_that_is_gone_is_not_the_whole_place(bucket):
    elsewhere = Elsewhere(Path("/music"), "memory://bucket")
    with pytest.raises(AudioError, match=r"gone\.wav could not be read from memory://bucket"):
        read(elsewhere, "/music/gone.wav")
    bucket.rm("/bucket", recursive=True)
    with pytest.raises(DataMissingError, match="memory://bucket does not answer, or is not there any more"):
        read(elsewhere, "/music/a b/ä.wav")


def test_a_full_disk_is_the_fault_of_this_machine(bucket, monkeypatch):
    def full(self, mode="r", *rest):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StorageError, match="The disk for temporary files is full"):
        read(Elsewhere(Path("/music"), "memory://bucket"), "/music/a b/ä.wav")


@pytest.mark.parametrize("text", ["music", "/music=", "=s3://bucket", "music=s3://bucket"])
def test_what_cannot_be_meant_is_refused(text):
    with pytest.raises(InputError, match="Where files lie for other machines cannot be"):
        parse_elsewhere(text)


def test_a_store_that_nothing_reads_is_said(monkeypatch):
    with pytest.raises(InputError, match="cannot be read"):
        read(Elsewhere(Path("/music"), "nosuch://bucket"), "/music/a.wav")

    def absent(place):
        raise ImportError("Install boxfs to access Box")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(DependencyMissingError, match="Install boxfs") as refused:
        read(Elsewhere(Path("/music"), "box://bucket"), "/music/a.wav")
    assert refused.value.hint == "pip install fsspec[box]"
