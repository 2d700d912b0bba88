"""The catalogue: identity by content, libraries as sets, missing music is not deleted music."""

import shutil
import sqlite3

import pytest

from mess_core.catalogue.catalogue import ALL, Track
from mess_core.collections.opening import read_track
from mess_core.collections.walking import audio_files
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, StorageError, UnknownTrackError
from mess_core.storage.database import SCHEMA_VERSION, Database
from mess_core.workspace.workspace import Workspace


def add(home: Workspace, path, library="music"):
    new = read_track(path)
    home.catalogue.add(path.parent, [new], library)
    return new.track


def test_the_same_bytes_at_two_paths_are_one_track_with_two_files(home, write_wav, tmp_path):
    path = write_wav("a")
    copy = tmp_path / "music" / "copy.wav"
    shutil.copy(path, copy)
    first, second = add(home, path), add(home, copy)
    assert first.track_id == second.track_id
    assert home.catalogue.file_paths(first.track_id) == [path, copy]
    assert len(home.catalogue.tracks("music")) == 1


def test_a_track_is_found_by_all_its_names_in_the_order_of_titles(home, write_wav):
    first, second = (add(home, write_wav(name, seed=seed)) for seed, name in enumerate(("b Etude", "a")))
    home.catalogue.edit(first.track_id, performer="Anna", instrument="piano", composer="etude")
    assert home.catalogue.labels("music") == {second.track_id: "a", first.track_id: "b Etude · Anna · piano"}
    assert list(home.catalogue.labels("music")) == [second.track_id, first.track_id]
    assert home.catalogue.labels("elsewhere") == {} and len(home.catalogue.labels(ALL)) == 2


def test_a_track_survives_the_loss_of_one_of_its_files(home, write_wav, tmp_path):
    path = write_wav("a")
    shutil.copy(path, tmp_path / "music" / "copy.wav")
    track = add(home, path)
    add(home, tmp_path / "music" / "copy.wav")
    path.unlink()
    assert home.catalogue.audio_path(track.track_id).name == "copy.wav"


def test_missing_music_is_named_and_not_forgotten(home, write_wav):
    path = write_wav("a")
    track = add(home, path)
    shutil.move(path.parent, path.parent.with_name("unmounted"))
    assert home.catalogue.missing_roots() == [path.parent]
    with pytest.raises(DataMissingError, match=r"The audio of 'a' is not at .*nothing is forgotten"):
        home.catalogue.audio_path(track.track_id)
    assert home.catalogue.tracks("music") == [track]


def test_all_is_the_union_and_an_upload_is_in_no_library(home, write_wav):
    first, second = add(home, write_wav("a", seed=1), "one"), add(home, write_wav("b", seed=2), "two")
    upload = add(home, write_wav("c", seed=3), None)
    assert set(home.catalogue.track_ids(ALL)) == {first.track_id, second.track_id}
    assert not home.catalogue.is_in_library(upload.track_id)


def test_removing_a_library_keeps_what_another_one_holds(home, write_wav):
    path = write_wav("a")
    track = add(home, path, "one")
    add(home, path, "two")
    other = add(home, write_wav("b", seed=1), "one")
    assert home.remove_library("one") == 1
    assert home.catalogue.tracks("two") == [track]
    with pytest.raises(UnknownTrackError):
        home.catalogue.track(other.track_id)
    assert path.exists()


def test_unknown_names_are_told_what_there_is(home, write_wav):
    add(home, write_wav("a"), "Chopin")
    with pytest.raises(UnknownTrackError, match="no library called 'Liszt'; there is: Chopin"):
        home.catalogue.require_library("Liszt")
    with pytest.raises(UnknownTrackError, match="no track 'nosuch'"):
        home.catalogue.track("nosuch")


@pytest.mark.parametrize("name", [ALL, ""])
def test_reserved_library_names_are_refused(home, write_wav, name):
    with pytest.raises(InputError, match="cannot be called"):
        add(home, write_wav("a"), name)


@pytest.mark.parametrize(
    "name",
    ["Für Elise ♪", "e\u0301", "\u202egnp.wav", "-rf", "a\nb", "CON", "=HYPERLINK(1)", "<img src=x>", "a" * 240, " "],
)
def test_hostile_file_names_round_trip(home, write_wav, name):
    path = write_wav(name)
    track = add(home, path)
    assert home.catalogue.audio_path(track.track_id) == path


def test_a_name_that_is_not_utf8_round_trips(home, write_wav):
    path = write_wav("a")
    odd = path.with_name(b"b\xff\xfe.wav".decode("utf-8", "surrogateescape"))
    path.rename(odd)
    track = add(home, odd)
    assert home.catalogue.audio_path(track.track_id) == odd
    assert track.title == "b\ufffd\ufffd"
    assert list(home.catalogue.known_files(odd.parent)) == [odd.name]


def test_links_that_form_a_loop_end(write_wav):
    path = write_wav("a")
    (path.parent / "loop").symlink_to(path.parent, target_is_directory=True)
    assert list(audio_files(path.parent)) == [path]


def test_midi_beside_the_audio_is_its_companion(home, write_wav):
    path = write_wav("a")
    path.with_suffix(".mid").write_bytes(b"MThd")
    track = add(home, path)
    assert home.catalogue.file_paths(track.track_id, "midi") == [path.with_suffix(".mid")]


def test_the_data_folder_may_be_moved(write_wav, tmp_path):
    """Nothing in it holds its own absolute path."""
    home = Workspace(tmp_path / "before")
    path = home.paths.demo / "a.wav"
    path.parent.mkdir(parents=True)
    shutil.copy(write_wav("a"), path)
    track = add(home, path, "demo")
    home.database.close()
    shutil.move(tmp_path / "before", tmp_path / "after")
    assert Workspace(tmp_path / "after").catalogue.audio_path(track.track_id) == tmp_path / "after" / "demo" / "a.wav"


def test_a_newer_schema_is_refused_politely(home):
    _ = home.database.connection
    home.database.close()
    with sqlite3.connect(home.paths.database) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(ArtefactMismatchError, match="Use the newer MESS"):
        _ = Database(home.paths.database).connection


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "mess.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match=r"could not be opened.*backup"):
        _ = Database(tmp_path / "mess.sqlite").connection


def test_a_transaction_is_all_or_nothing(home):
    with pytest.raises(ZeroDivisionError), home.database.transaction() as connection:
        connection.execute("INSERT INTO settings VALUES ('a', 'b')")
        _ = 1 / 0
    assert home.database.setting("a") is None


def test_what_is_made_of_a_library_is_made_again_only_when_that_is_another(home, write_wav):
    """A job that says how far it is changes nothing of it; a name, a track, also from another process, does."""
    other = Workspace(home.paths.root)
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return len(made)

    def ask() -> int:
        return int(home.database.remembered.made_of("made", home.catalogue.content("music"), make))

    first = add(home, write_wav("a", seed=1))
    assert ask() == ask() == 1
    other.database.set_setting("a job", "half done")
    assert ask() == 1
    other.catalogue.edit(first.track_id, work="Etude")
    assert ask() == 2
    second = add(home, write_wav("b", seed=2), "elsewhere")
    assert ask() == 2
    home.catalogue.add_to_library("music", [second.track_id])
    assert ask() == 3
    with pytest.raises(RuntimeError), home.database.transaction() as connection:
        connection.execute("UPDATE tracks SET title = 'taken back'")
        assert ask() == 4
        raise RuntimeError
    assert ask() == 3


def test_what_is_remembered_is_read_again_after_any_change(home, write_wav):
    """Also after one by another process, which is another connection here; inside a transaction nothing is."""
    other = Workspace(home.paths.root)
    asked: list[int] = []

    def count() -> int:
        asked.append(1)
        return int(home.database.connection.execute("SELECT count(*) FROM settings").fetchone()[0])

    before = home.catalogue.remembered("settings", count)
    assert home.catalogue.remembered("settings", count) == before and len(asked) == 1
    other.database.set_setting("from elsewhere", "1")
    assert home.catalogue.remembered("settings", count) == before + 1 and len(asked) == 2
    home.database.set_setting("from here", "1")
    assert home.catalogue.remembered("settings", count) == before + 2
    with pytest.raises(RuntimeError), home.database.transaction() as connection:
        connection.execute("INSERT INTO settings VALUES ('taken back', '1')")
        assert home.catalogue.remembered("settings", count) == before + 3
        raise RuntimeError
    assert home.catalogue.remembered("settings", count) == before + 2


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, ()),
        ({"is_truncated": True}, ("breaks off",)),
        ({"downmix": "energy", "sounding_s": "[[0.0, 60.0]]"}, ("cancel each other",)),
        ({"duration_s": 0.4}, ("less than 1 s",)),
        ({"duration_s": 0.05}, ()),  # cannot be heard at all, which is said elsewhere
        ({"sounding_s": "[[0.0, 0.4]]"}, ("less than 1 s",)),
        ({"sounding_s": "[[10.0, 20.0], [30.0, 35.5]]"}, ("44 s of it are silence",)),
        ({"sounding_s": "[[0.0, 59.0]]"}, ()),
        ({"sounding_s": "no json"}, ()),
    ],
)
def test_what_is_to_be_known_of_a_track_is_said(facts, words):
    """Only what is so; a row that somebody else wrote is no reason to stop."""
    plain = {"track_id": "a", "sha256": "a", "title": "A", "duration_s": 60.0, "sample_rate_hz": 8000, "n_channels": 2}
    notices = Track(**{**plain, "codec": "WAV", **facts}).notices
    assert len(notices) == len(words)
    assert all(word in notice for word, notice in zip(words, notices, strict=True))
