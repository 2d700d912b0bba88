"""A catalogue and its folder belong together: one that is fresh, foreign or older takes nothing for rubbish."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import time
from datetime import date
from pathlib import Path

import pytest

from mess_core.cli.doctor import examine
from mess_core.cli.main import main
from mess_core.embeddings.store import TMP_KEEP_S
from mess_core.encoders.mel import MEL
from mess_core.errors import ArtefactMismatchError
from mess_core.storage.custody import N_COPIES, TRASH_KEEP_DAYS
from mess_core.storage.database import catalogue_copies
from mess_core.upkeep.backup import back_up
from mess_core.upkeep.check import check
from mess_core.upkeep.rebuild import RECOVERED, rebuild
from mess_core.upkeep.sweep import sweep
from mess_core.work.add import AddRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import Workspace
from tests.reliability.conftest import Everything

DAY_S = 86400.0


def kept(home: Workspace) -> dict[str, bytes]:
    """What nothing can make again, or only in hours."""
    folders = (home.paths.embeddings, home.paths.uploads, home.paths.root / "probing")
    return {
        path.relative_to(home.paths.root).as_posix(): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }


def age(home: Workspace) -> None:
    """Everything was written long ago, as it is for a sweep."""
    long_ago = time.time() - 100 * DAY_S
    for path in home.paths.root.rglob("*"):
        if path.is_file():
            os.utime(path, (long_ago, long_ago))


def lose_the_catalogue(home: Workspace) -> None:
    home.database.close()
    for path in home.paths.root.glob("mess.sqlite*"):
        path.unlink()


def put_back(home: Workspace, old: Path) -> None:
    home.database.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{home.paths.database}{suffix}").unlink(missing_ok=True)
    shutil.copy(old, home.paths.database)


def test_a_folder_without_its_catalogue_is_refused_and_read_back(everything: Everything, capsys) -> None:
    """By every verb, in one sentence with the cure; nothing is made and nothing is gone."""
    home = everything.home
    before, known = kept(home), home.store.known(MEL)
    age(home)
    lose_the_catalogue(home)
    for verb in (["doctor"], ["similar", "x"], ["check"], ["check", "--repair"], ["remove", "music"], ["extract"]):
        code = main(["--home", str(home.paths.root), *verb])
        said = capsys.readouterr()
        assert "--rebuild" in said.out + said.err and "Traceback" not in said.err
        assert code == (0 if verb == ["doctor"] else 2)
    assert not home.paths.database.exists() and kept(home) == before

    assert main(["--home", str(home.paths.root), "--json", "check", "--rebuild"]) == 0
    told = json.loads(capsys.readouterr().out)["rebuilt"]
    assert told["base"] == "a new catalogue" and told["n_uploads"] == 1 and told["unusable"] == []
    after = Workspace(home.paths.root)
    assert after.store.known(MEL) == known and told["n_nameless"] == len(known)
    assert after.catalogue.n_tracks(RECOVERED) == len(known) + 1
    sweep(after, time.time() + 2 * TMP_KEEP_S)
    assert kept(after) == before and check(after) == []


def test_what_is_read_back_gets_its_names_and_sound_when_its_folder_is_added(
    everything: Everything, bright_library: Path
) -> None:
    home = everything.home
    lose_the_catalogue(home)
    home = Workspace(home.paths.root)
    rebuild(home)
    track_id = home.catalogue.track_ids(RECOVERED)[0]
    submit(home, AddRequest(bright_library.parent, "music", encoder_id=MEL.id))
    from tests.conftest import work

    work(home)
    track = home.catalogue.track(track_id)
    assert home.catalogue.n_tracks("music") == 12 and home.jobs.latest("extract").message.startswith("Nothing to do")
    if home.catalogue.likely_audio_path(track_id).is_file():
        assert track.sha256[16:] != "0" * 48 and track.codec != "unknown" and track.sample_rate_hz == 24000


def test_an_older_catalogue_is_refused_and_completed(everything: Everything, tmp_path: Path) -> None:
    """Restored from this morning: what was made since is read back, what it knows is kept."""
    home = everything.home
    track_id = home.catalogue.track_ids("music")[0]
    lost = home.store.read(track_id, MEL)
    home.store.forget(track_id, MEL.fingerprint)
    home.catalogue.edit(track_id, title="By hand")
    back_up(home, tmp_path / "morning")
    sweep(home)  # an hour passes
    home.store.write(track_id, MEL, lost)
    before = kept(home)
    age(home)
    put_back(home, tmp_path / "morning" / "mess.sqlite")
    older = Workspace(home.paths.root)
    with pytest.raises(ArtefactMismatchError, match=r"older than the files beside it.*--rebuild"):
        sweep(older)
    assert "--rebuild" in " ".join(finding.cure for finding in examine(older))
    told = rebuild(older)
    assert (told.n_embeddings, told.n_nameless, told.base) == (1, 0, "the catalogue that is there")
    assert older.store.has(track_id, MEL) and older.catalogue.track(track_id).title == "By hand"
    again = Workspace(home.paths.root)
    sweep(again, time.time() + 2 * TMP_KEEP_S)
    assert kept(again) == before and check(again) == []


def test_the_catalogue_of_another_folder_is_refused(everything: Everything, tmp_path: Path) -> None:
    home = everything.home
    other = Workspace(tmp_path / "other")
    other.database.set_setting("demo", "removed")
    other.database.close()
    before = kept(home)
    age(home)
    put_back(home, other.paths.database)
    with pytest.raises(ArtefactMismatchError, match="not that of this folder"):
        sweep(Workspace(home.paths.root))
    Path(f"{home.paths.database}.generation").unlink()  # as a MESS of before left it
    foreign = sqlite3.connect(home.paths.database)
    foreign.execute("DELETE FROM settings")
    foreign.commit()
    foreign.close()
    with pytest.raises(ArtefactMismatchError, match="does not know 37 of the 37 files"):
        sweep(Workspace(home.paths.root))
    assert kept(home) == before


def test_a_folder_of_before_there_were_generations_is_adopted(everything: Everything) -> None:
    home = everything.home
    home.database.close()
    Path(f"{home.paths.database}.generation").unlink()
    older = sqlite3.connect(home.paths.database)
    older.execute("DELETE FROM settings WHERE name IN ('folder', 'generation')")
    older.commit()
    older.close()
    again = Workspace(home.paths.root)
    assert check(again) == [] and Path(f"{home.paths.database}.generation").exists()


def test_a_damaged_catalogue_is_set_aside_and_the_newest_copy_taken(everything: Everything) -> None:
    home = everything.home
    home.catalogue.edit(home.catalogue.track_ids("music")[0], title="By hand")
    sweep(home)
    home.database.close()
    damaged = b"no database" * 100
    home.paths.database.write_bytes(damaged)
    again = Workspace(home.paths.root)
    told = rebuild(again)
    assert told.base == f"the copy of {date.today().isoformat()}"
    assert check(again) == [] and again.catalogue.n_tracks("music") == 12
    assert "By hand" in {track.title for track in again.catalogue.tracks("music")}
    (aside,) = (home.paths.root / "copies").glob("set-aside-*.sqlite")
    assert aside.read_bytes() == damaged


def test_damaged_files_are_not_read_back_and_are_named(everything: Everything) -> None:
    home = everything.home
    embedding, upload = everything.files("embedding")[0], everything.files("upload")[0]
    embedding.write_bytes(embedding.read_bytes()[:100])
    upload.write_bytes(upload.read_bytes() + b"\0")
    n_known = len(everything.files("embedding"))
    lose_the_catalogue(home)
    home = Workspace(home.paths.root)
    told = rebuild(home)
    assert (told.n_embeddings, told.n_uploads) == (n_known - 1, 0) and len(told.unusable) == 2
    assert embedding.name in " ".join(told.unusable) and upload.name in " ".join(told.unusable)


def test_the_catalogue_is_copied_once_a_day_and_seven_are_kept(everything: Everything) -> None:
    home = everything.home
    noon = time.mktime((2026, 1, 10, 12, 0, 0, 0, 0, -1))
    for hour in range(0, 24 * 12, 7):
        home.custody.copy_daily(home.database, noon + hour * 3600)
    copies = catalogue_copies(home.paths.root)
    assert [path.name for path in copies] == [f"mess-2026-01-{day:02d}.sqlite" for day in range(22, 22 - N_COPIES, -1)]
    assert not list((home.paths.root / "copies").glob("*.tmp"))
    for path in copies:
        with contextlib.closing(sqlite3.connect(path)) as copy:
            assert copy.execute("SELECT count(*) FROM tracks").fetchone() == (13,)
    sweep(home)
    assert catalogue_copies(home.paths.root)[0].name == f"mess-{date.today().isoformat()}.sqlite"
    (finding,) = [finding for finding in examine(home) if finding.subject == "catalogue copies"]
    assert finding.is_ok and date.today().isoformat() in finding.state and "--rebuild" in finding.state


def test_a_migration_leaves_a_copy_of_what_was(tmp_path: Path) -> None:
    from tests.storage.first_schema import ROWS_1, SCHEMA_1

    old = sqlite3.connect(tmp_path / "mess.sqlite")
    old.executescript(f"{SCHEMA_1} PRAGMA user_version = 1; {ROWS_1}")
    old.close()
    _ = Workspace(tmp_path).database.connection
    with contextlib.closing(sqlite3.connect(tmp_path / "copies" / "mess-schema-1.sqlite")) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (1,)
        assert copy.execute("SELECT count(*) FROM tracks").fetchone() == (1,)


def test_what_is_swept_lies_in_the_trash_for_thirty_days(everything: Everything) -> None:
    """Embeddings that nothing points to, uploads that nobody kept."""
    home = everything.home
    (upload,) = everything.files("upload")
    orphan = everything.files("embedding")[0].with_name("0123456789abcdef.safetensors")
    orphan.write_bytes(b"of a track that nobody knows")
    stray = home.paths.uploads / f"{'0' * 64}.wav"
    stray.write_bytes(b"of nobody")
    age(home)
    now = time.time() + 8 * DAY_S
    sweep(home, now)
    gone = {path.relative_to(home.paths.root).as_posix() for path in (orphan, stray, upload)}
    assert not any((home.paths.root / name).exists() for name in gone)
    (day,) = (home.paths.root / "trash").iterdir()
    assert {path.relative_to(day).as_posix() for path in day.rglob("*") if path.is_file()} == gone
    sweep(home, now + TRASH_KEEP_DAYS * DAY_S)
    assert day.exists()
    sweep(home, now + (TRASH_KEEP_DAYS + 2) * DAY_S)
    assert not day.exists() and check(home) == []


@pytest.mark.skipif(os.name == "nt", reason="rights of files")
def test_a_new_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    home = Workspace(tmp_path / "new" / "home")
    home.database.set_setting("a", "b")
    sweep(home)

    def rights(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert rights(home.paths.root) == 0o700
    assert {rights(path) for path in home.paths.root.glob("mess.sqlite*")} == {0o600}
    old = tmp_path / "old"
    old.mkdir(mode=0o755)
    _ = Workspace(old).database.connection
    assert rights(old) == 0o755
    subjects = {finding.subject: finding for finding in examine(Workspace(old))}
    assert "chmod" in subjects["data folder rights"].cure and not subjects["data folder rights"].is_ok
    assert "data folder rights" not in {finding.subject for finding in examine(home)}
