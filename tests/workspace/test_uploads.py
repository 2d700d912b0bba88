"""Uploads: named by content, checked, bounded, and never a path that the sender chose."""

import errno
import hashlib
import os
from datetime import datetime
from types import SimpleNamespace

import pytest

from mess_core.errors import AudioError, InputError, StorageError
from mess_core.upkeep.check import check
from mess_core.upkeep.sweep import sweep
from mess_core.workspace import uploads as module
from mess_core.workspace.uploads import UploadWriter, keep_recording, recording_title, title_of


def send(home, data: bytes, name: str = "a.wav", piece: int = 1000):
    writer = UploadWriter(home, name, len(data))
    try:
        for start in range(0, len(data), piece):
            writer.write(data[start : start + piece])
        return writer.finish()
    finally:
        writer.abandon()


def stored(home) -> list[str]:
    return sorted(path.name for path in home.paths.uploads.iterdir())


def test_an_upload_is_a_track_in_no_library(home, write_wav):
    data = write_wav("a").read_bytes()
    track = send(home, data, "My Song.wav")
    assert track.title == "My Song" and track.sha256 == hashlib.sha256(data).hexdigest()
    assert home.catalogue.audio_path(track.track_id).read_bytes() == data
    assert not home.catalogue.is_in_library(track.track_id)
    assert stored(home) == [f"{track.sha256}.wav"]


def test_the_same_file_twice_is_one(home, write_wav):
    data = write_wav("a").read_bytes()
    first, second = send(home, data, "first.wav"), send(home, data, "second.wav")
    assert first == second and len(stored(home)) == 1


def test_a_file_that_is_in_a_library_is_not_copied(home, write_wav):
    from mess_core.collections.opening import read_track

    path = write_wav("known")
    home.catalogue.add(path.parent, [read_track(path)], "music")
    assert send(home, path.read_bytes(), "other name.wav").title == "known"
    assert stored(home) == []


@pytest.mark.parametrize(
    ("data", "match"),
    [(b"", "'a.wav' is empty"), (b"<html>" * 100, r"^a\.wav is no audio that MESS reads"), (b"RIFF", r"^a\.wav is")],
)
def test_what_is_no_audio_is_refused_and_leaves_nothing(home, data, match):
    with pytest.raises(AudioError, match=match):
        send(home, data)
    assert stored(home) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("notes.txt", "notes.txt"), ("C:\\take 1\\a.b.m4a", "a.b.m4a"), ("a\nb.mp3", "a b.mp3"), ("", "upload"),
     ("x" * 999 + ".opus", "x" * 100 + "…" + "x" * 95 + ".opus")],
)  # fmt: skip
def test_a_refusal_names_the_file_as_its_sender_does(home, name, said):
    with pytest.raises(AudioError) as caught:
        send(home, b"these are words\n" * 100, name)
    assert str(caught.value).startswith(f"{said} is no audio")


def test_a_file_that_is_too_large_is_refused_before_and_while_it_comes(home, monkeypatch):
    monkeypatch.setattr(module, "MAX_UPLOAD_BYTES", 5_000)
    with pytest.raises(InputError, match="larger than"):
        send(home, b"x" * 5_001)
    writer = UploadWriter(home, "unannounced.wav")
    with pytest.raises(InputError, match="larger than"):
        for _ in range(6):
            writer.write(b"x" * 1_000)
    writer.abandon()
    assert stored(home) == []


def test_a_flood_of_uploads_meets_the_quota(home, write_wav, monkeypatch):
    data = write_wav("a").read_bytes()
    monkeypatch.setattr(module, "UPLOADS_QUOTA_BYTES", len(data) + 10)
    send(home, data)
    with pytest.raises(StorageError, match="Uploads already take"):
        send(home, write_wav("b", seed=1).read_bytes())
    monkeypatch.setattr(module, "UPLOADS_QUOTA_BYTES", 2 * len(data))  # two of the same length: exactly as much
    send(home, write_wav("b", seed=1).read_bytes())


def test_sizes_are_said_in_gigabytes(home, monkeypatch):
    monkeypatch.setattr(module, "_used_bytes", lambda folder: 19_960_000_000)
    monkeypatch.setattr(module, "UPLOADS_QUOTA_BYTES", 20_000_000_000)
    with pytest.raises(StorageError, match=r"Uploads already take 20\.0 GB of 20 GB\."):
        UploadWriter(home, "a.wav", 50_000_000)
    monkeypatch.setattr(module, "MAX_UPLOAD_BYTES", 2_000_000_000)
    with pytest.raises(InputError, match=r"'a\.wav' is larger than 2 GB"):
        UploadWriter(home, "a.wav", 2_000_000_001)


def test_the_last_of_the_disk_is_never_taken(home, write_wav, monkeypatch):
    monkeypatch.setattr(module, "KEEP_FREE_BYTES", 10**18)
    with pytest.raises(StorageError, match="no room"):
        send(home, write_wav("a").read_bytes())


def test_half_a_gibibyte_of_the_disk_stays_free(home, write_wav, monkeypatch):
    """What fills the disk up to there is taken; one byte more is not."""
    data = write_wav("a").read_bytes()
    free = len(data) + 2**29
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    send(home, data)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free - 1))
    with pytest.raises(StorageError, match="no room"):
        send(home, data)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("../../etc/passwd.wav", "passwd"),
        ("C:\\music\\a.wav", "a"),
        ("a\r\nb.wav", "a  b"),
        ("\u202egnp.wav", "gnp"),
        ("", "upload"),
        ("x" * 999 + ".wav", "x" * 200),
        ("<b>bold</b>.wav", "b>"),
        (".wav", ".wav"),
    ],
)
def test_a_name_becomes_a_title_and_never_a_path(home, write_wav, name, title):
    assert title_of(name) == title
    track = send(home, write_wav("a").read_bytes(), name)
    assert stored(home) == [f"{track.sha256}.wav"]


def test_old_uploads_are_swept_and_kept_ones_are_not(home, write_wav, monkeypatch):
    old = send(home, write_wav("a").read_bytes())
    kept = send(home, write_wav("b", seed=1).read_bytes())
    home.keep_upload(kept.track_id, "mine")
    with home.database.transaction() as connection:
        connection.execute("UPDATE tracks SET added_at = 0")
    sweep(home)
    assert stored(home) == [f"{kept.sha256}.wav"]
    assert home.catalogue.find_sha256(old.sha256) is None


def test_a_damaged_upload_is_found_and_dropped(home, write_wav):
    track = send(home, write_wav("a").read_bytes())
    path = home.catalogue.audio_path(track.track_id)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert [problem.kind for problem in check(home)] == ["upload"]
    check(home, repair=True)
    assert check(home) == [] and stored(home) == []


def test_a_disk_that_fills_up_at_the_end_leaves_nothing(home, write_wav, monkeypatch):
    """Buffered bytes meet the full disk only when they are flushed."""

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(StorageError, match=r"could not be stored: No space left on device\. Free some"):
        send(home, write_wav("a").read_bytes())
    assert stored(home) == []


def test_a_recording_is_an_upload_named_after_its_minute(home, write_wav):
    data = write_wav("a").read_bytes()
    track = keep_recording(home, data, recording_title(datetime(2026, 11, 20, 14, 3, 59)))
    assert track.title == "recording 2026-11-20 14:03"
    assert track.sha256 == hashlib.sha256(data).hexdigest() and track.duration_s == 3.0
    assert home.catalogue.audio_path(track.track_id).read_bytes() == data
    assert not home.catalogue.is_in_library(track.track_id)


def test_a_recording_is_named_by_this_machines_clock_unless_the_page_says_otherwise(home, write_wav):
    before = recording_title(datetime.now())
    title = keep_recording(home, write_wav("a").read_bytes()).title
    assert before <= title <= recording_title(datetime.now())
    assert keep_recording(home, write_wav("b", seed=1).read_bytes(), "Op. 2 no. 1").title == "Op. 2 no. 1"


def test_the_same_recording_is_kept_once_under_its_first_name(home, write_wav):
    """A page runs again with the same bytes."""
    data = write_wav("a").read_bytes()
    first, second = keep_recording(home, data, "first"), keep_recording(home, data, "second")
    assert first == second and stored(home) == [f"{first.sha256}.wav"]
    assert keep_recording(home, data, "third") == send(home, data, "fourth.wav") == first


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "'hum' is empty. Choose a file with sound in it."),
        (
            b"<html>" * 100,
            "hum is no audio that MESS reads. Save it anew as WAV or FLAC, in a program that plays it.",
        ),
        (b"RIFF\0\0\0\0WAVE", "hum has a damaged WAV header: "),
    ],
    ids=["empty", "html", "cut"],
)
def test_what_is_no_recording_is_refused_in_a_sentence(home, data, sentence):
    with pytest.raises(AudioError) as caught:
        keep_recording(home, data, "hum")
    assert str(caught.value).startswith(sentence)
    assert stored(home) == []


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"level": 0.0}, "'hum' is silent. Check that the right microphone is chosen and not muted."),
        ({"level": 0.00005}, "'hum' is silent. Check"),
        ({"seconds": 0.05}, "'hum' is 0.05 s long; MESS needs at least 0.1 s. Record a longer passage."),
    ],
    ids=["silent", "noise floor", "short"],
)
def test_a_recording_with_nothing_to_compare_is_refused_at_once(home, write_wav, facts, sentence):
    with pytest.raises(AudioError) as caught:
        keep_recording(home, write_wav("a", **facts).read_bytes(), "hum")
    assert str(caught.value).startswith(sentence)
    assert stored(home) == [] and home.catalogue.stale_uploads(now=9e9) == []


def test_a_recording_meets_the_same_limits(home, write_wav, monkeypatch):
    data = write_wav("a").read_bytes()
    monkeypatch.setattr(module, "UPLOADS_QUOTA_BYTES", len(data) - 1)
    with pytest.raises(StorageError, match="Uploads already take"):
        keep_recording(home, data)
    monkeypatch.setattr(module, "MAX_UPLOAD_BYTES", len(data) - 1)
    with pytest.raises(InputError, match="larger than"):
        keep_recording(home, data)
    assert stored(home) == []
