"""The one SQLite file that holds the truth: its schema, its connections, its transactions.

Write-ahead logging lets readers go on while a writer commits; `synchronous=FULL` means that what was acknowledged
survives a kill and a power cut. Every write goes through `transaction`, which takes the write lock at once, so two
processes wait for each other instead of failing half-way.

`SCHEMA` is the whole of the current schema; `MIGRATIONS` bring an older file to it when it is opened.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

from mess_core.errors import ArtefactMismatchError, StorageError

SCHEMA_VERSION = 4
BUSY_TIMEOUT_S = 30.0

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
    context       TEXT NOT NULL,           -- JSON: request, encoder, library, rank
    judged_at     REAL NOT NULL
);
CREATE TABLE plays (                       -- what a person heard
    play_id       INTEGER PRIMARY KEY,
    listener      TEXT NOT NULL,
    track_id      TEXT NOT NULL,
    query_track_id TEXT,
    seconds       REAL NOT NULL CHECK (seconds > 0),
    played_at     REAL NOT NULL
);
"""

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
)


class Database:
    """One connection per thread to the same file; made, with its schema, on first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode: a read needs nothing, a write needs `transaction`."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
        return connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. Waits for other writers; a full disk becomes a StorageError with nothing written."""
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.IntegrityError:
            raise  # a row that may not be: a defect of ours, not of the disk
        except sqlite3.DatabaseError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise StorageError(f"The catalogue {self.path} could not be written: {error}.", _cure(error)) from error

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def setting(self, name: str) -> str | None:
        row = self.connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row["value"] if row else None

    def set_setting(self, name: str, value: str) -> None:
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            try:
                connection.row_factory = sqlite3.Row
                _log_ahead(connection)
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
                self._migrate(connection)
            except BaseException:
                connection.close()  # which takes a half-done migration back
                raise
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"The catalogue {self.path} could not be opened: {error}.", _cure(error)) from error
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the file to the current schema, in one transaction: the old one or the new one, never between."""
        if _version(connection) < SCHEMA_VERSION:
            connection.execute("BEGIN IMMEDIATE")  # two first starts at once: the second waits, then finds it done
            version = _version(connection)
            for step in MIGRATIONS[version - 1 :] if version else [SCHEMA]:
                for statement in step.split(";\n"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {max(version, SCHEMA_VERSION)}")
            connection.execute("COMMIT")
        if _version(connection) != SCHEMA_VERSION:
            raise ArtefactMismatchError(
                f"The catalogue {self.path} has schema {_version(connection)}, this MESS reads {SCHEMA_VERSION}.",
                "Use the newer MESS that made it, or another data folder (MESS_HOME).",
            )


class Remembered:
    """What was read from the database, given again until anybody has written to it, here or in another process.

    Pages ask the same of ten thousand rows several times a run. What comes out is shared and must not be changed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._watching: sqlite3.Connection | None = None
        self._known: dict[Hashable, tuple[int, Any]] = {}

    def __call__(self, key: Hashable, read: Callable[[], Any]) -> Any:
        """What `read` gives, or gave since the last change; `key` names it."""
        if self._database.connection.in_transaction:  # which may still be taken back
            return read()
        version = self._version()  # before reading: a change meanwhile is seen the next time
        known = self._known.get(key)
        if known is None or known[0] != version:
            known = self._known[key] = (version, read())
        return known[1]

    def _version(self) -> int:
        """Another number after every commit of any other connection; this one never writes."""
        with self._lock:
            if self._watching is None:
                self._watching = sqlite3.connect(self._database.path, check_same_thread=False)
            return int(self._watching.execute("PRAGMA data_version").fetchone()[0])


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. Of two that do so at once SQLite refuses one without waiting; we wait."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _cure(error: Exception) -> str:
    text = str(error)
    if "full" in text or "disk I/O" in text or "No space" in text:
        return "Free some disk space, then try again: nothing was lost."
    if "locked" in text:
        return "Another program holds it; close that program and try again."
    if "malformed" in text or "not a database" in text:
        return "Restore it from a backup of the data folder, or start with another folder (MESS_HOME)."
    return "Check that the folder exists and may be written to."
