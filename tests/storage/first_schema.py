"""The catalogue as its first version made it, and rows in it."""

from __future__ import annotations

# The schema of version 1, word for word as MESS 0.1.0 wrote it. Never edited.
SCHEMA_1 = """
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
    added_at      REAL NOT NULL
);
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
    created_at    REAL NOT NULL, started_at REAL, finished_at REAL
);
CREATE UNIQUE INDEX one_active_job_per_key ON jobs (key) WHERE state IN ('queued', 'running');
CREATE TABLE job_failures (
    job_id        INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
    subject       TEXT NOT NULL, message TEXT NOT NULL, hint TEXT NOT NULL,
    PRIMARY KEY (job_id, subject)
);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
ROWS_1 = """
INSERT INTO roots VALUES (1, 'music');
INSERT INTO tracks VALUES ('t1', 't1000', 'Für Elise ♪', NULL, 'Beethoven', NULL, NULL, NULL, 3.0, 24000, 1, 'WAV', 0,
    -20.5, 1.5);
INSERT INTO files VALUES ('t1', 'audio', 1, CAST(x'62ff2e776176' AS TEXT), 7, 8);
INSERT INTO planted VALUES ('t1', 'tempo', 90.0);
INSERT INTO library_tracks VALUES ('demo', 't1');
INSERT INTO encoders VALUES ('f1', 'nano', '{}', 0.25);
INSERT INTO embeddings VALUES ('t1', 'f1', 'embeddings/t1', 'e1', 9, 2, 2.5);
INSERT INTO targets VALUES ('t1', 'tempo', NULL, 'BPM', 'low', 0, 'too few', '1');
INSERT INTO segment_targets VALUES ('t1', 'tempo', 0, 91.0, 'low', '1');
INSERT INTO jobs VALUES (1, 'probe', '{}', 'k', NULL, 'queued', 0, 0, 0, '', '', NULL, NULL, 0, 0, 1.0, NULL, NULL);
INSERT INTO job_failures VALUES (1, 't1', 'm', 'h');
INSERT INTO settings VALUES ('demo', 'wanted');
"""
