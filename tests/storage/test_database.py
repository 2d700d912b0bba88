"""The one SQLite file: an old one is brought up to date whole or not at all, whoever opens it, and however many."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mess_core.errors import ArtefactMismatchError, StorageError
from mess_core.storage import database as module
from mess_core.storage.database import MIGRATIONS, SCHEMA_VERSION, Database
from mess_core.workspace.workspace import Workspace
from tests.storage.first_schema import ROWS_1, SCHEMA_1

KILLED_JUST_BEFORE = """
import os, signal, sqlite3, sys
from pathlib import Path
from mess_core.storage.database import Connection, Database

class Dying(Connection):
    def execute(self, statement, *values):
        if statement.startswith(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(statement, *values)

connect = sqlite3.connect
sqlite3.connect = lambda *arguments, **options: connect(*arguments, **{**options, "factory": Dying})
Database(Path(sys.argv[1])).connection
"""

OPENED_TOGETHER = """
import sys
from pathlib import Path
from mess_core.storage.database import Database
database = Database(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
database.set_setting(sys.argv[2], "was here")
"""


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """A catalogue as version 1 left it, with a row in every table."""
    path = tmp_path / "mess.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(f"{SCHEMA_1} PRAGMA user_version = 1; {ROWS_1}")
    connection.close()
    return path


def contents(path: Path) -> dict[str, list[tuple]]:
    """Every table and its rows, read past MESS; text as bytes, because a file name need not be UTF-8."""
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    names = [name.decode() for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    rows["version"] = connection.execute("PRAGMA user_version").fetchall()
    connection.close()
    return rows


def structure(connection: sqlite3.Connection) -> set[str]:
    """The schema that is in a file, without comments and spacing."""
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {re.sub(r"\s+", " ", re.sub(r"--.*", "", row[0])).replace(" )", ")").replace(" ,", ",") for row in rows}


def test_every_version_has_its_step():
    assert len(MIGRATIONS) == SCHEMA_VERSION - 1


def test_the_old_schema_is_the_one_that_was_released(version_1):
    assert contents(version_1)["version"] == [(1,)]
    assert all(contents(version_1).values())


def test_an_old_file_keeps_everything_and_becomes_what_a_new_one_is(version_1, tmp_path):
    before = contents(version_1)
    old, new = Database(version_1), Database(tmp_path / "new.sqlite")
    assert structure(old.connection) == structure(new.connection)
    assert old.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert old.connection.execute("PRAGMA foreign_key_check").fetchall() == []
    old.close(), new.close()
    after = contents(version_1)
    assert after.pop("version") == [(SCHEMA_VERSION,)] and before.pop("version") == [(1,)]
    before["tracks"] = [(*row, *[None] * 10) for row in before["tracks"]]  # from split to downmix, unknown
    before["jobs"] = [(*row, None) for row in before["jobs"]]  # not dismissed
    assert {name: after.pop(name) for name in before} == before
    assert {n for _, n in after.pop("changes")} == {0}
    new_tables = (
        "judgements", "plays", "edits", "score_times", "details", "replaced", "comparisons", "sittings", "asked",
        "wishes",
    )  # fmt: skip
    assert after == {name: [] for name in new_tables}


def test_what_schema_6_kept_of_listening_is_kept(version_1, monkeypatch):
    """Plays get more columns and a looser rule; each stays as it was, and what was not asked for then is not known."""
    monkeypatch.setattr(module, "SCHEMA_VERSION", 6)
    monkeypatch.setattr(module, "MIGRATIONS", MIGRATIONS[:5])
    old = Database(version_1)
    with old.transaction() as connection:
        connection.execute("INSERT INTO plays VALUES (7, 'Ada', 't1', 'q', 12.5, 1.75e9)")
        connection.execute("INSERT INTO judgements VALUES (3, 'Ada', NULL, 't1', 'like', '{}', 1.75e9)")
    old.close()
    monkeypatch.undo()
    after = Workspace(version_1.parent)
    rows = after.database.connection.execute("SELECT * FROM plays").fetchall()
    assert [tuple(row) for row in rows] == [(7, "Ada", "t1", "q", 12.5, 1.75e9, None, 0, None, None, None, None)]
    events = after.opinions.events("Ada")
    assert events.track_ids == ("t1",) and events.action.tolist() == [0, 2] and events.seconds[0] == 12.5


def test_an_old_data_folder_is_opened_and_judged_in(version_1):
    home = Workspace(version_1.parent)
    assert [track.title for track in home.catalogue.tracks("demo")] == ["Für Elise ♪"]
    home.opinions.judge("t1", "like")
    home.database.close()
    assert Workspace(version_1.parent).opinions.verdicts() == {"t1": "like"}


def test_opening_again_changes_nothing(version_1):
    _ = Database(version_1).connection
    before = contents(version_1)
    _ = Database(version_1).connection
    assert contents(version_1) == before


def test_a_step_that_fails_leaves_the_old_file(version_1, monkeypatch):
    before = contents(version_1)
    monkeypatch.setattr(module, "MIGRATIONS", ("CREATE TABLE half (x);\nDELETE FROM tracks;\nnonsense",))
    with pytest.raises(StorageError, match="could not be opened"):
        _ = Database(version_1).connection
    assert contents(version_1) == before
    monkeypatch.undo()
    assert Database(version_1).setting("demo") == "wanted"


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["CREATE TABLE plays", "PRAGMA user_version =", "COMMIT"])
def test_a_kill_during_migration_leaves_the_old_file(version_1, statement):
    before = contents(version_1)
    killed = subprocess.run([sys.executable, "-c", KILLED_JUST_BEFORE, str(version_1), statement])
    assert killed.returncode == -signal.SIGKILL
    assert contents(version_1) == before
    assert Database(version_1).setting("demo") == "wanted"


@pytest.mark.slow
@pytest.mark.parametrize("is_old", [True, False], ids=["old", "new"])
def test_processes_that_open_it_at_once_wait_for_each_other(version_1, tmp_path, is_old):
    path = version_1 if is_old else tmp_path / "new.sqlite"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPENED_TOGETHER, str(path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in processes] == [""] * 4
    assert all(Database(path).setting(str(number)) == "was here" for number in range(4))
    assert contents(path)["version"] == [(SCHEMA_VERSION,)]


def test_a_newer_schema_is_refused_and_not_touched(version_1):
    connection = sqlite3.connect(version_1)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    before = contents(version_1)
    with pytest.raises(ArtefactMismatchError, match=rf"has schema {SCHEMA_VERSION + 1}, .*Use the newer MESS"):
        _ = Database(version_1).connection
    assert contents(version_1) == before


def test_what_was_acknowledged_is_flushed(home):
    """2 is FULL: a commit waits until the disk has it."""
    assert home.database.connection.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_a_damaged_file_is_said_and_a_row_that_may_not_be_is_a_defect(tmp_path):
    database = Database(tmp_path / "mess.sqlite")
    with pytest.raises(StorageError, match="malformed") as caught, database.transaction():
        raise sqlite3.DatabaseError("database disk image is malformed")
    assert "backup" in caught.value.hint
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:
        connection.execute("INSERT INTO settings VALUES (NULL, NULL)")
    database.set_setting("still", "works")
    assert database.setting("still") == "works"
