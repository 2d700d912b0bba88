"""The one SQLite file that holds the truth: its schema, its connections, its transactions.

Write-ahead logging lets readers go on while a writer commits; `synchronous=FULL` means that what was acknowledged
survives a kill and a power cut. Every write goes through `transaction`, which takes the write lock at once, so two
processes wait for each other instead of failing half-way.

`SCHEMA` is the whole of the current schema; `MIGRATIONS` bring an older file to it when it is opened.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mess_core.errors import ArtefactMismatchError, StorageError, UnknownTrackError
from mess_core.storage.files import TMP_SUFFIX, inside, own_files, sync_folder
from mess_core.storage.paths import COPIES
from mess_core.storage.remembered import Remembered

Guard = Callable[[sqlite3.Connection], object]  # called inside a transaction; raises to refuse the write
Watch = Callable[[sqlite3.Connection | None], object]  # raises to refuse a catalogue; None: one that is to be made
SCHEMA_VERSION = 9
COUNTED = ("tracks", "library_tracks", "details", "encoders", "embeddings", "targets")  # see `remembered`
BUSY_TIMEOUT_S = 30.0
PREFIX, SUFFIX = "mess-", ".sqlite"  # of copies
RESTORE = (
    "Restore it from a backup, or run: python -m mess_core check --rebuild, which sets it aside, takes the newest of"
    " the daily copies, and adds what the other files tell."
)


def _counting(tables: Sequence[str]) -> str:
    """Statements that count the changes of each table's rows, whoever makes them; a step of MIGRATIONS goes by it."""
    statements = ["CREATE TABLE changes (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID"]
    for table in tables:
        statements.append(f"INSERT INTO changes VALUES ('{table}', 0)")
        for action in ("INSERT", "UPDATE", "DELETE"):
            statements.append(
                f"CREATE TRIGGER {table}_{action.lower()} AFTER {action} ON {table}"
                f" BEGIN UPDATE changes SET n = n + 1 WHERE name = '{table}'; END"
            )
    return ";\n".join([*statements, ""])


SCHEMA = """
CREATE TABLE roots (                       -- the only table that holds absolute paths; can be re-pointed
    root_id       INTEGER PRIMARY KEY,
    path          TEXT NOT NULL UNIQUE     -- relative to the data folder where it lies inside it
);
CREATE TABLE tracks (
    track_id      TEXT PRIMARY KEY,        -- first 16 hex digits of sha256
    sha256        TEXT NOT NULL,           -- of the audio file: the same bytes at two paths are one track
    title         TEXT NOT NULL,           -- untrusted text, as are all names below
    work          TEXT, composer TEXT, performer TEXT, instrument TEXT, session TEXT,
    duration_s    REAL NOT NULL,
    sample_rate_hz INTEGER NOT NULL, n_channels INTEGER NOT NULL, codec TEXT NOT NULL,
    is_truncated  INTEGER NOT NULL,
    loudness_lufs REAL,                    -- NULL until decoded once, or when silent
    added_at      REAL NOT NULL,
    split         TEXT,                    -- train | validation | test, where a collection has such
    collection    TEXT,                    -- which collection described it; NULL: a folder of files
    album TEXT, album_artist TEXT, disc TEXT, movement TEXT, conductor TEXT,
    samples_sha256 TEXT,                   -- of the decoded samples: equal for a file that was only retagged
    sounding_s    TEXT,                    -- JSON [[start, end], …]: where it is not silent
    downmix       TEXT                     -- mean | energy; these three are NULL until decoded once
);
CREATE INDEX tracks_by_samples ON tracks (samples_sha256);
CREATE INDEX tracks_by_title ON tracks (title, track_id);
CREATE INDEX tracks_by_length ON tracks    -- for what is counted of all of them
    (track_id, duration_s);
CREATE TABLE details (                     -- further columns of the user's own table, by their names there
    track_id      TEXT NOT NULL REFERENCES tracks ON DELETE CASCADE,
    name          TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (track_id, name)
);
CREATE TABLE replaced (                    -- a file whose bytes changed: its old id, for links and for what comes late
    old_track_id  TEXT PRIMARY KEY,
    track_id      TEXT NOT NULL,
    replaced_at   REAL NOT NULL
);
CREATE TABLE edits (                       -- what a person wrote over; it stays when the collection is read again
    track_id      TEXT NOT NULL,           -- no foreign key: when the same content comes back, it fits again
    field         TEXT NOT NULL, value TEXT,
    PRIMARY KEY (track_id, field)
);
CREATE TABLE score_times (                 -- when the beats of a score are played (see passages.py)
    track_id      TEXT NOT NULL REFERENCES tracks ON DELETE CASCADE,
    score         TEXT NOT NULL,
    beats         BLOB NOT NULL, times_s BLOB NOT NULL, -- float64
    PRIMARY KEY (track_id, score)
);
CREATE INDEX score_times_by_score ON score_times (score);
CREATE TABLE files (                       -- where a track's audio, MIDI and score lie
    track_id      TEXT NOT NULL REFERENCES tracks ON DELETE CASCADE,
    role          TEXT NOT NULL,           -- audio | midi | score
    root_id       INTEGER NOT NULL REFERENCES roots,
    relative_path TEXT NOT NULL,
    size_bytes    INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    PRIMARY KEY (track_id, role, root_id, relative_path)
);
CREATE INDEX files_by_path ON files (root_id, relative_path);
CREATE TABLE planted (                     -- truth known by construction, of the demo library
    track_id      TEXT NOT NULL REFERENCES tracks ON DELETE CASCADE,
    name          TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (track_id, name)
);
CREATE TABLE library_tracks (
    library       TEXT NOT NULL,
    track_id      TEXT NOT NULL REFERENCES tracks ON DELETE CASCADE,
    PRIMARY KEY (library, track_id)
);
CREATE INDEX library_tracks_by_track ON library_tracks (track_id);
CREATE TABLE encoders (                    -- what each fingerprint stands for, and how fast it was here
    fingerprint   TEXT PRIMARY KEY,
    encoder       TEXT NOT NULL, facts TEXT NOT NULL,
    seconds_per_segment REAL
);
CREATE TABLE embeddings (
    track_id      TEXT NOT NULL REFERENCES tracks ON DELETE CASCADE,
    fingerprint   TEXT NOT NULL REFERENCES encoders,
    path          TEXT NOT NULL,           -- relative to the data folder
    sha256        TEXT NOT NULL, size_bytes INTEGER NOT NULL, n_segments INTEGER NOT NULL,
    created_at    REAL NOT NULL,
    PRIMARY KEY (track_id, fingerprint)
);
CREATE TABLE targets (                     -- proxy targets of whole tracks, one row each, current version only
    track_id      TEXT NOT NULL REFERENCES tracks ON DELETE CASCADE,
    target        TEXT NOT NULL,
    value         REAL,                    -- NULL where it is undefined; `reason` says why
    unit          TEXT NOT NULL, quality TEXT NOT NULL, n_events INTEGER NOT NULL, reason TEXT NOT NULL,
    version       TEXT NOT NULL,           -- of the formulas and of the file it was measured on
    PRIMARY KEY (track_id, target)
);
CREATE TABLE segment_targets (             -- the same of segments, in the order of the embedding's segments
    track_id      TEXT NOT NULL REFERENCES tracks ON DELETE CASCADE,
    target        TEXT NOT NULL,
    segment       INTEGER NOT NULL,
    value         REAL, quality TEXT NOT NULL,
    version       TEXT NOT NULL,
    PRIMARY KEY (track_id, target, segment)
);
CREATE TABLE jobs (
    job_id        INTEGER PRIMARY KEY,
    kind          TEXT NOT NULL, arguments TEXT NOT NULL,
    key           TEXT NOT NULL,           -- what makes two requests the same job
    resource      TEXT,                    -- jobs that name the same one never run at the same time
    state         TEXT NOT NULL,           -- queued | running | done | failed | cancelled
    priority      INTEGER NOT NULL,
    n_done        INTEGER NOT NULL DEFAULT 0, n_total INTEGER NOT NULL DEFAULT 0,
    message       TEXT NOT NULL DEFAULT '', hint TEXT NOT NULL DEFAULT '',
    owner         TEXT, lease_until REAL, is_cancelling INTEGER NOT NULL DEFAULT 0,
    attempts      INTEGER NOT NULL DEFAULT 0,  -- claims since the last progress
    created_at    REAL NOT NULL, started_at REAL, finished_at REAL,
    dismissed_at  REAL                     -- when a person had read how it ended
);
CREATE UNIQUE INDEX one_active_job_per_key ON jobs (key) WHERE state IN ('queued', 'running');
CREATE TABLE job_failures (
    job_id        INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
    subject       TEXT NOT NULL, message TEXT NOT NULL, hint TEXT NOT NULL,
    PRIMARY KEY (job_id, subject)
);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE judgements (                  -- what a person thought; never changed, taking back is a row with 'none'
    judgement_id  INTEGER PRIMARY KEY,     -- grows: the largest of (listener, query, track) is the one that counts
    listener      TEXT NOT NULL,
    query_track_id TEXT,                   -- what it was judged as an answer to; NULL: judged by itself
    track_id      TEXT NOT NULL,           -- no foreign keys here and in plays: an opinion outlives a removed track.
                                           -- The id stands for the content: when the track comes back, it fits again
    verdict       TEXT NOT NULL CHECK (verdict IN ('like', 'dislike', 'none')),
    context       TEXT NOT NULL,           -- JSON: request, encoder, library, section, rank, propensity
    judged_at     REAL NOT NULL,
    origin        TEXT                     -- NULL: said here; else from listenbrainz | lastfm | table
);
CREATE INDEX judgements_by_track ON judgements (listener, track_id, judged_at);
CREATE UNIQUE INDEX judgements_taken_in ON judgements (listener, track_id, judged_at, origin) WHERE origin IS NOT NULL;
CREATE TABLE plays (                       -- what a person heard (see opinions.py)
    play_id       INTEGER PRIMARY KEY,
    listener      TEXT NOT NULL,
    track_id      TEXT NOT NULL,
    query_track_id TEXT,
    seconds       REAL CHECK (seconds >= 0), -- NULL: not known
    played_at     REAL NOT NULL,           -- when it ended, as far as is known
    share         REAL CHECK (share BETWEEN 0 AND 1), -- of the track that was heard; NULL: not known
    is_skip       INTEGER NOT NULL DEFAULT 0,
    section       TEXT, rank INTEGER, propensity REAL, -- what recommended it, where, how probably; NULL: nobody did
    origin        TEXT                     -- NULL: heard here; else from listenbrainz | lastfm | spotify | table
);
CREATE INDEX plays_by_track ON plays (listener, track_id, played_at);
CREATE UNIQUE INDEX plays_taken_in ON plays (listener, track_id, played_at, origin) WHERE origin IS NOT NULL;
CREATE TABLE wishes (                      -- what recommendations are to heed
    wish_id       INTEGER PRIMARY KEY,
    listener      TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('less', 'ignore')), -- less of its like; it is no reason for anything
    track_id      TEXT NOT NULL,           -- no foreign key, as above
    wished_at     REAL NOT NULL,
    UNIQUE (listener, kind, track_id)
);
CREATE TABLE comparisons (                 -- which of two a person found more like a third; never changed
    comparison_id INTEGER PRIMARY KEY,
    anchor        TEXT NOT NULL, positive TEXT NOT NULL, negative TEXT NOT NULL, -- track ids, no foreign keys as above
    question      TEXT NOT NULL, listener TEXT NOT NULL,
    judged_at     REAL NOT NULL,
    side          TEXT NOT NULL CHECK (side IN ('first', 'second', '')), -- where the chosen one stood
    UNIQUE (anchor, positive, negative, question, listener, judged_at)
);
CREATE TABLE sittings (                    -- somebody judges, one question after the other (see sittings.py)
    sitting_id    INTEGER PRIMARY KEY,
    listener      TEXT NOT NULL, library TEXT NOT NULL, question TEXT NOT NULL, encoder TEXT NOT NULL,
    n_wanted      INTEGER NOT NULL, seed INTEGER NOT NULL,
    begun_at      REAL NOT NULL, ended_at REAL
);
CREATE TABLE asked (                       -- what is asked in it: kept before it is put
    asked_id      TEXT PRIMARY KEY,        -- says nothing of what is asked
    sitting_id    INTEGER NOT NULL REFERENCES sittings ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    anchor        TEXT NOT NULL, first TEXT NOT NULL, second TEXT NOT NULL, -- track ids, no foreign keys as above
    spans_s       TEXT NOT NULL,           -- JSON [[start, end], …] of the three clips
    purpose       TEXT NOT NULL CHECK (purpose IN ('random', 'active', 'repeat', 'catch')),
    repeats       INTEGER,                 -- the number of the question that it turns around
    answer        TEXT CHECK (answer IN ('first', 'second', 'neither')), -- NULL until it is given
    answered_at   REAL, heard_s TEXT NOT NULL DEFAULT '[0, 0, 0]',
    UNIQUE (sitting_id, number)
);
""" + _counting(COUNTED)

# Step n leads from schema n to n + 1 and is never edited again, whatever becomes of SCHEMA later.
MIGRATIONS = (
    """
CREATE TABLE judgements (
    judgement_id  INTEGER PRIMARY KEY,
    listener      TEXT NOT NULL,
    query_track_id TEXT,
    track_id      TEXT NOT NULL,
    verdict       TEXT NOT NULL CHECK (verdict IN ('like', 'dislike', 'none')),
    context       TEXT NOT NULL,
    judged_at     REAL NOT NULL
);
CREATE TABLE plays (
    play_id       INTEGER PRIMARY KEY,
    listener      TEXT NOT NULL,
    track_id      TEXT NOT NULL,
    query_track_id TEXT,
    seconds       REAL NOT NULL CHECK (seconds > 0),
    played_at     REAL NOT NULL
);
""",
    """
ALTER TABLE tracks ADD COLUMN split TEXT;
ALTER TABLE tracks ADD COLUMN collection TEXT;
CREATE TABLE edits (
    track_id      TEXT NOT NULL,
    field         TEXT NOT NULL, value TEXT,
    PRIMARY KEY (track_id, field)
);
CREATE TABLE score_times (
    track_id      TEXT NOT NULL REFERENCES tracks ON DELETE CASCADE,
    score         TEXT NOT NULL,
    beats         BLOB NOT NULL, times_s BLOB NOT NULL,
    PRIMARY KEY (track_id, score)
);
CREATE INDEX score_times_by_score ON score_times (score);
""",
    """
ALTER TABLE tracks ADD COLUMN album TEXT;
ALTER TABLE tracks ADD COLUMN album_artist TEXT;
ALTER TABLE tracks ADD COLUMN disc TEXT;
ALTER TABLE tracks ADD COLUMN movement TEXT;
ALTER TABLE tracks ADD COLUMN conductor TEXT;
ALTER TABLE tracks ADD COLUMN samples_sha256 TEXT;
ALTER TABLE tracks ADD COLUMN sounding_s TEXT;
ALTER TABLE tracks ADD COLUMN downmix TEXT;
ALTER TABLE jobs ADD COLUMN dismissed_at REAL;
CREATE INDEX tracks_by_samples ON tracks (samples_sha256);
CREATE TABLE details (
    track_id      TEXT NOT NULL REFERENCES tracks ON DELETE CASCADE,
    name          TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (track_id, name)
);
CREATE TABLE replaced (
    old_track_id  TEXT PRIMARY KEY,
    track_id      TEXT NOT NULL,
    replaced_at   REAL NOT NULL
);
""",
    """
CREATE TABLE comparisons (
    comparison_id INTEGER PRIMARY KEY,
    anchor        TEXT NOT NULL, positive TEXT NOT NULL, negative TEXT NOT NULL,
    question      TEXT NOT NULL, listener TEXT NOT NULL,
    judged_at     REAL NOT NULL,
    side          TEXT NOT NULL CHECK (side IN ('first', 'second', '')),
    UNIQUE (anchor, positive, negative, question, listener, judged_at)
);
""",
    """
CREATE TABLE sittings (
    sitting_id    INTEGER PRIMARY KEY,
    listener      TEXT NOT NULL, library TEXT NOT NULL, question TEXT NOT NULL, encoder TEXT NOT NULL,
    n_wanted      INTEGER NOT NULL, seed INTEGER NOT NULL,
    begun_at      REAL NOT NULL, ended_at REAL
);
CREATE TABLE asked (
    asked_id      TEXT PRIMARY KEY,
    sitting_id    INTEGER NOT NULL REFERENCES sittings ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    anchor        TEXT NOT NULL, first TEXT NOT NULL, second TEXT NOT NULL,
    spans_s       TEXT NOT NULL,
    purpose       TEXT NOT NULL CHECK (purpose IN ('random', 'active', 'repeat', 'catch')),
    repeats       INTEGER,
    answer        TEXT CHECK (answer IN ('first', 'second', 'neither')),
    answered_at   REAL, heard_s TEXT NOT NULL DEFAULT '[0, 0, 0]',
    UNIQUE (sitting_id, number)
);
""",
    """
ALTER TABLE judgements ADD COLUMN origin TEXT;
CREATE INDEX judgements_by_track ON judgements (listener, track_id, judged_at);
CREATE UNIQUE INDEX judgements_taken_in ON judgements (listener, track_id, judged_at, origin) WHERE origin IS NOT NULL;
ALTER TABLE plays RENAME TO plays_before;
CREATE TABLE plays (
    play_id       INTEGER PRIMARY KEY,
    listener      TEXT NOT NULL,
    track_id      TEXT NOT NULL,
    query_track_id TEXT,
    seconds       REAL CHECK (seconds >= 0),
    played_at     REAL NOT NULL,
    share         REAL CHECK (share BETWEEN 0 AND 1),
    is_skip       INTEGER NOT NULL DEFAULT 0,
    section       TEXT, rank INTEGER, propensity REAL,
    origin        TEXT
);
INSERT INTO plays (play_id, listener, track_id, query_track_id, seconds, played_at)
    SELECT play_id, listener, track_id, query_track_id, seconds, played_at FROM plays_before;
DROP TABLE plays_before;
CREATE INDEX plays_by_track ON plays (listener, track_id, played_at);
CREATE UNIQUE INDEX plays_taken_in ON plays (listener, track_id, played_at, origin) WHERE origin IS NOT NULL;
CREATE TABLE wishes (
    wish_id       INTEGER PRIMARY KEY,
    listener      TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('less', 'ignore')),
    track_id      TEXT NOT NULL,
    wished_at     REAL NOT NULL,
    UNIQUE (listener, kind, track_id)
);
""",
    _counting(("tracks", "library_tracks", "details", "encoders", "embeddings", "targets")),
    """
CREATE INDEX tracks_by_title ON tracks (title, track_id);
CREATE INDEX tracks_by_length ON tracks (track_id, duration_s);
CREATE INDEX library_tracks_by_track ON library_tracks (track_id);
""",
)


class Database:
    """One connection per thread to the same file; made, with its schema, on first use.

    Parameters
    ----------
    path : Path
    watch : callable
        Asked before a new file is made (with None), and with every connection that was opened: raises to refuse it.
    """

    def __init__(
        self, path: Path, watch: Callable[[sqlite3.Connection | None], object] = lambda connection: None
    ) -> None:
        self.path = path
        self._watch = watch
        self._local = threading.local()
        self._lock = threading.Lock()
        self._opened: weakref.WeakSet[sqlite3.Connection] = weakref.WeakSet()  # by any thread
        self._file: tuple[int, int] | None = None  # the one that was opened first, as the system knows it
        self._elsewhere: Path | None = None
        self.remembered = Remembered(lambda: self.connection, self.connect)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode: a read needs nothing, a write needs `transaction`.

        What SQLite refuses, also while rows are read, is a StorageError.
        """
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
            self._remember(connection)
            self._file = self._file or self._file_now()
        return connection

    @property
    def is_replaced(self) -> bool:
        """Whether the file that was opened is gone, or another lies in its place: what was read counts no more."""
        return self._file is not None and self._file != self._file_now()

    def _file_now(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. Waits for other writers; a full disk becomes a StorageError with nothing written.

        Raises
        ------
        StorageError
            If the disk refuses.
        UnknownTrackError
            If what a row belongs to was removed meanwhile.
        """
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            if "FOREIGN KEY" in str(error):
                raise UnknownTrackError("What this belongs to was removed meanwhile: it is not kept.") from error
            raise  # a row that may not be: a defect of ours, not of the disk
        except (sqlite3.DatabaseError, StorageError) as error:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.DatabaseError, StorageError):
                    connection.execute("ROLLBACK")
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"The catalogue {self.path} could not be written: {error}.", _cure(error)) from error

    def close(self) -> None:
        """Close this thread's connection, and the one that watches for changes."""
        self.remembered.forget()
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def close_all(self) -> None:
        """Close what any thread has opened. Whoever is at work still opens another when it asks next."""
        self.remembered.forget()
        with self._lock:
            opened, self._local = list(self._opened), threading.local()
        for connection in opened:
            connection.close()

    def setting(self, name: str) -> str | None:
        row = self.connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row["value"] if row else None

    def set_setting(self, name: str, value: str) -> None:
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def connect(self) -> sqlite3.Connection:
        """Another connection, for any thread, that only reads."""
        try:
            connection = self._connect(str(self._readable()))
            self._remember(connection)
            return connection
        except sqlite3.Error as error:
            raise StorageError(f"The catalogue {self.path} could not be opened: {error}.", _cure(error)) from error

    def _remember(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            self._opened.add(connection)

    def _open(self) -> sqlite3.Connection:
        try:
            try:
                return self._open_to_write()
            except (sqlite3.OperationalError, StorageError, OSError) as error:
                if not _takes_no_more(error) or not self.path.exists() or not self.path.stat().st_size:
                    raise
                return self._open_to_read()
        except (sqlite3.Error, OSError) as error:
            cause = error.__cause__ if isinstance(error, StorageError) else error
            if not isinstance(cause, sqlite3.Error | OSError) or isinstance(cause, StorageError):
                raise
            raise StorageError(f"The catalogue {self.path} could not be opened: {cause}.", _cure(cause)) from cause

    def _open_to_write(self) -> sqlite3.Connection:
        if not self.path.exists() or not self.path.stat().st_size:
            self._watch(None)
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT, 0o600))  # it holds what somebody listened to
        connection = self._connect(str(self.path))
        try:
            _log_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._migrate(connection)
            self._watch(connection)
        except BaseException:
            connection.close()  # which takes a half-done migration back
            raise
        return connection

    def _open_to_read(self) -> sqlite3.Connection:
        """Where nothing may be written: SQLite's log needs a file of its own, so without one it is read in a copy."""
        connection = self._connect(str(self._readable()))
        try:
            connection.execute("PRAGMA query_only = ON")
            self._check_version(connection)
            self._watch(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _readable(self) -> Path:
        """The file itself where it can be opened; else a copy of it and of its log, made once."""
        if self._elsewhere is None:
            probe = sqlite3.connect(self.path)
            try:
                probe.execute("PRAGMA schema_version").fetchone()
                return self.path
            except sqlite3.OperationalError as error:
                if not _takes_no_more(error):
                    raise
            finally:
                probe.close()
            folder = Path(tempfile.mkdtemp(prefix="mess-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            for suffix in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy(f"{self.path}{suffix}", folder)
            self._elsewhere = folder / self.path.name
        return self._elsewhere

    def _connect(self, path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            factory=Connection,
            check_same_thread=False,  # each stays with its thread, but for `close_all`
        )
        connection.name = str(self.path)
        connection.row_factory = sqlite3.Row
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the file to the current schema, in one transaction: the old one or the new one, never between."""
        if _version(connection) < SCHEMA_VERSION:
            if _version(connection):
                copy_catalogue(connection, self.path.parent, f"schema-{_version(connection)}")
            else:
                self._watch(None)
            connection.execute("BEGIN IMMEDIATE")  # two first starts at once: the second waits, then finds it done
            version = _version(connection)
            for step in MIGRATIONS[version - 1 :] if version else [SCHEMA]:
                for statement in step.split(";\n"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {max(version, SCHEMA_VERSION)}")
            connection.execute("COMMIT")
        self._check_version(connection)

    def _check_version(self, connection: sqlite3.Connection) -> None:
        if _version(connection) != SCHEMA_VERSION:
            raise ArtefactMismatchError(
                f"The catalogue {self.path} has schema {_version(connection)}, this MESS reads {SCHEMA_VERSION}.",
                "Use the newer MESS that made it, or another data folder (MESS_HOME)."
                if _version(connection) > SCHEMA_VERSION
                else "It is brought up to date when the folder can be written to.",
            )


class Cursor(sqlite3.Cursor):
    """A cursor whose every failure is a sentence: damage shows when a page is read, which may be at any row."""

    def execute(self, statement: str, *arguments: Any) -> Cursor:
        with self._explaining(statement):
            super().execute(statement, *arguments)
        return self

    def executemany(self, statement: str, *arguments: Any) -> Cursor:
        with self._explaining(statement):
            super().executemany(statement, *arguments)
        return self

    def fetchone(self) -> Any:
        with self._explaining():
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with self._explaining():
            return super().fetchall()

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return iter(self.fetchall())  # at once: a Python call for every row would cost more than the rows

    @contextlib.contextmanager
    def _explaining(self, statement: str = "SELECT") -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a row that may not be, a statement that is none: not the disk's fault
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # where a file is damaged, messages are, too
            done = "read" if statement.lstrip()[:6].upper() in ("SELECT", "PRAGMA") else "written"
            name = getattr(self.connection, "name", "")
            raise StorageError(f"The catalogue {name} could not be {done}: {error}.", _cure(error)) from error


class Connection(sqlite3.Connection):
    """A connection whose cursors explain themselves. name : of the file, for people"""

    name = ""

    def cursor(self, factory: Any = Cursor) -> Any:
        return super().cursor(factory)

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor = self.cursor().execute(statement, *arguments)
        return cursor

    def executemany(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor = self.cursor().executemany(statement, *arguments)
        return cursor


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. Of two that do so at once SQLite refuses one without waiting; we wait."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except (sqlite3.OperationalError, StorageError) as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def copy_catalogue(connection: sqlite3.Connection, root: Path, name: str, keep: int = 0) -> Path:
    """Copy the whole catalogue aside, under another name first; of those that are called alike only some are kept.

    Parameters
    ----------
    root : Path
        The data folder.
    name : str
        What the copy is called, as `schema-3`, or by its day.
    keep : int
        How many copies that are named by a day are kept, the newest; 0 keeps all.
    """
    path = inside(root, f"{COPIES}/{PREFIX}{name}{SUFFIX}")
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{TMP_SUFFIX}")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        connection.execute("VACUUM INTO ?", (str(temporary),))
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageError(
            f"The catalogue could not be copied to {path.parent}: {str(getattr(error, 'message', error)).rstrip('.')}.",
            "Free some disk space or check the folder's permissions, then try again: nothing was changed.",
        ) from error
    for older in catalogue_copies(root)[keep:] if keep else []:
        with contextlib.suppress(OSError):
            older.unlink()
    return path


def catalogue_copies(root: Path) -> list[Path]:
    """The copies of the catalogue that are named by their day, the newest first."""
    found = own_files(root, (root / COPIES).glob(f"{PREFIX}[0-9]*-[0-9]*-[0-9]*{SUFFIX}"))
    return sorted(found, key=lambda path: path.name, reverse=True)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _takes_no_more(error: Exception) -> bool:
    """Whether a disk that is full, or may not be written to, is the reason: then what is there can still be read."""
    text = str(error.__cause__ or error)  # and not the name of the file
    signs = (
        "readonly",
        "read-only",
        "Read-only",
        "unable to open",
        "full",
        "No space",
        "Permission denied",
        "disk I/O",
    )
    return any(sign in text for sign in signs)


def _cure(error: Exception) -> str:
    text = str(error)
    if "full" in text or "disk I/O" in text or "No space" in text:
        return "Free some disk space, then try again: nothing was lost."
    if "locked" in text:
        return "Another program holds it; close that program and try again."
    if "readonly" in text or "read-only" in text or "query_only" in text:
        return "The data folder may not be written to: what is there can be searched, nothing can be changed."
    if "malformed" in text or "not a database" in text or "no such" in text or "decode" in text:
        return RESTORE
    return "Check that the folder exists and may be written to."
