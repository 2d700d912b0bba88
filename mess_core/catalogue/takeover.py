"""A file whose bytes changed: which track gives way, and what the next one takes over from it.

    retagged       other bytes, equal samples: the new track takes over everything, with embeddings and targets
    made anew      other samples at the same path: names, libraries and opinions, but nothing that was computed
    moved, renamed and retagged at once: as retagged, for equal samples go before an equal path
    moved, copied  the same bytes at another path: the same track, and nothing happens here
    copied, and the copy retagged: two tracks, and the first keeps everything
    swapped, and known content put in another's place: every track keeps what is its own

A track gives way when no file of it is left and another has its path or its samples. Its id then stands for the new
track (table `replaced`): in links, in searches, and in what comes late. The whole of a scan is settled at once, when it
is known what lies where by now.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """A path as the catalogue keeps it."""

    root_id: int
    relative_path: str | bytes


class CarriedEmbedding(NamedTuple):
    """An embedding of the old track, written again under the new id; the columns of the table after the id."""

    fingerprint: str
    path: str
    sha256: str
    size_bytes: int
    n_segments: int
    created_at: float


@dataclass
class Changed:
    """Where the bytes of one track lay, those of another lie now. Without places: elsewhere, and of equal samples.

    companions : (role, place) of the new one's
    """

    old_id: str
    new_id: str
    places: set[Place] = field(default_factory=set)
    companions: set[tuple[str, Place]] = field(default_factory=set)


def current_id(connection: sqlite3.Connection, track_id: str) -> str:
    """The id by which a file is known now, where it was known by this one before."""
    seen: set[str] = set()
    while track_id not in seen:
        seen.add(track_id)
        row = connection.execute(
            "SELECT track_id FROM replaced WHERE old_track_id = ?"
            " AND old_track_id NOT IN (SELECT track_id FROM tracks WHERE track_id = old_track_id)",
            (track_id,),
        ).fetchone()
        track_id = row[0] if row else track_id
    return track_id


def is_gone(root: Path, relative: str) -> bool:
    """Whether a file is surely no more, and not only on a disk that is not mounted: mount points are empty folders."""
    path = root / relative
    try:
        if path.is_file() or not root.is_dir():
            return False
        folder = next(parent for parent in path.parents if parent.is_dir())
        return any(folder.iterdir())
    except (OSError, ValueError):
        return False


def settle(
    connection: sqlite3.Connection,
    changed: Sequence[Changed],
    gone: Callable[[Place], bool],
    carried: Mapping[tuple[str, str], Sequence[CarriedEmbedding]],
    since: float,
) -> list[str]:
    """Take the changed paths from their old tracks, and hand over; within a transaction of the caller's.

    Parameters
    ----------
    changed : sequence of Changed
        All that was found in one scan, the new tracks entered already.
    gone : callable
        Whether the file at a place is no more.
    carried : mapping
        (old id, new id) -> embeddings that were written again under the new id.
    since : float
        When the scan began, s since the epoch.

    Returns
    -------
    list of str
        Files of embeddings that no row points to any more, relative to the data folder.
    """
    for change in changed:
        for role, place in {("audio", place) for place in change.places} | change.companions:
            connection.execute(
                "DELETE FROM files WHERE track_id = ? AND role = ? AND root_id = ? AND relative_path = ?",
                (change.old_id, role, *place),
            )
    n_places = {place for change in changed for place in change.places}
    equal = {(each.old_id, each.new_id) for each in changed if _has_equal_samples(connection, each)}
    of_others = {new_id for _, new_id in equal}  # known by their samples: they are not what their path was called
    by_old: dict[str, list[Changed]] = {}
    for change in changed:
        by_old.setdefault(change.old_id, []).append(change)
    dropped: list[str] = []
    for old_id, changes in by_old.items():
        is_left = False
        for place in audio_places(connection, old_id):
            if gone(place):
                connection.execute(
                    "DELETE FROM files WHERE track_id = ? AND role = 'audio' AND root_id = ? AND relative_path = ?",
                    (old_id, *place),
                )
            else:
                is_left = True
        same = [
            change
            for change in changes
            if (old_id, change.new_id) in equal and not (is_left and _was_here(connection, change.new_id, since))
        ]
        heirs = same or [
            change
            for change in changes
            if not (
                is_left or change.new_id in of_others or _is_known_elsewhere(connection, change.new_id, n_places, since)
            )
        ]
        for change in heirs:
            _inherit_names(connection, change)
        for change in same:
            _inherit_sound(connection, change, carried.get((old_id, change.new_id), ()))
        if not is_left:
            first = next(iter([*same, *heirs, *changes]))
            for change in same or changes:
                connection.execute(
                    "INSERT OR IGNORE INTO library_tracks SELECT library, ? FROM library_tracks WHERE track_id = ?",
                    (change.new_id, old_id),
                )
            if first in heirs:
                _inherit_opinions(connection, first)
            rows = connection.execute("SELECT path FROM embeddings WHERE track_id = ?", (old_id,)).fetchall()
            dropped += [row[0] for row in rows]
            connection.execute("DELETE FROM tracks WHERE track_id = ?", (old_id,))
            connection.execute("UPDATE replaced SET track_id = ? WHERE track_id = ?", (first.new_id, old_id))
            connection.execute("INSERT OR REPLACE INTO replaced VALUES (?, ?, ?)", (old_id, first.new_id, time.time()))
    return dropped


def audio_places(connection: sqlite3.Connection, track_id: str) -> list[Place]:
    rows = connection.execute(
        "SELECT root_id, relative_path FROM files WHERE track_id = ? AND role = 'audio'", (track_id,)
    )
    return [Place(*row) for row in rows.fetchall()]


def _has_equal_samples(connection: sqlite3.Connection, change: Changed) -> bool:
    row = connection.execute(
        "SELECT 1 FROM tracks AS old JOIN tracks AS new USING (samples_sha256)"
        " WHERE old.track_id = ? AND new.track_id = ?",
        (change.old_id, change.new_id),
    ).fetchone()
    return row is not None


def _is_known_elsewhere(connection: sqlite3.Connection, track_id: str, changed: set[Place], since: float) -> bool:
    """Whether a track was here before the scan, at a path of its own: what another file was called is not about it."""
    return _was_here(connection, track_id, since) and not set(audio_places(connection, track_id)) <= changed


def _was_here(connection: sqlite3.Connection, track_id: str, since: float) -> bool:
    row = connection.execute("SELECT 1 FROM tracks WHERE track_id = ? AND added_at < ?", (track_id, since)).fetchone()
    return row is not None


def _inherit_names(connection: sqlite3.Connection, change: Changed) -> None:
    """What was written by hand, said by tables, and lies beside the audio; what the new track has already stays."""
    both = (change.new_id, change.old_id)
    for table, columns in {
        "edits": "field, value",
        "details": "name, value",
        "score_times": "score, beats, times_s",
        "planted": "name, value",
    }.items():
        connection.execute(
            f"INSERT OR IGNORE INTO {table} (track_id, {columns}) SELECT ?, {columns} FROM {table} WHERE track_id = ?",
            both,
        )
    connection.execute(
        "INSERT OR IGNORE INTO library_tracks SELECT library, ? FROM library_tracks WHERE track_id = ?", both
    )
    columns = "role, root_id, relative_path, size_bytes, mtime_ns"
    connection.execute(
        f"INSERT OR IGNORE INTO files (track_id, {columns}) SELECT ?, {columns} FROM files WHERE track_id = ?"
        " AND role != 'audio' AND role NOT IN (SELECT role FROM files WHERE track_id = ?)",
        (*both, change.new_id),
    )


def _inherit_sound(connection: sqlite3.Connection, change: Changed, carried: Sequence[CarriedEmbedding]) -> None:
    """What was computed from the samples, which are the same."""
    facts = "loudness_lufs, duration_s, is_truncated, sounding_s, downmix"
    connection.execute(
        f"UPDATE tracks SET ({facts}) = (SELECT {facts} FROM tracks WHERE track_id = ?) WHERE track_id = ?",
        (change.old_id, change.new_id),
    )
    for table, columns in {
        "targets": "target, value, unit, quality, n_events, reason, version",
        "segment_targets": "target, segment, value, quality, version",
    }.items():
        connection.execute(
            f"INSERT OR IGNORE INTO {table} (track_id, {columns}) SELECT ?, {columns} FROM {table} WHERE track_id = ?",
            (change.new_id, change.old_id),
        )
    connection.executemany(
        "INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(change.new_id, *each) for each in carried],
    )


def _inherit_opinions(connection: sqlite3.Connection, change: Changed) -> None:
    """Judgements, plays, wishes, comparisons and questions name content that is no more: from now on, the new track."""
    both = (change.new_id, change.old_id)
    for table in ("judgements", "plays", "wishes"):  # what a file told of both was heard once
        connection.execute(f"UPDATE OR REPLACE {table} SET track_id = ? WHERE track_id = ?", both)
    for table in ("judgements", "plays"):
        connection.execute(f"UPDATE {table} SET query_track_id = ? WHERE query_track_id = ?", both)
    for name in ("anchor", "positive", "negative"):
        connection.execute(f"UPDATE OR IGNORE comparisons SET {name} = ? WHERE {name} = ?", both)
    for name in ("anchor", "first", "second"):
        connection.execute(f"UPDATE asked SET {name} = ? WHERE {name} = ?", both)
