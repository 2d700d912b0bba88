"""Listening events: what somebody heard, skipped, liked and disliked, as columns. Recommenders and taste start here.

A hundred thousand of them are one statement of SQL and six arrays; no object stands for a row.

Conventions
-----------
Times are seconds since 1970, oldest first. What is not known is NaN. Tracks are told by their place in `track_ids`,
which is sorted. The arrays are shared and read-only.
"""

from __future__ import annotations

import itertools
import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

import numpy as np

from mess_core.storage.remembered import Remembered

ACTIONS = ("play", "skip", "like", "dislike")

# Of judgements, those that count now: the latest of each listener on each track by itself, unless it takes one back.
COUNTING = (
    "verdict != 'none' AND judgement_id IN"
    " (SELECT max(judgement_id) FROM judgements WHERE query_track_id IS NULL GROUP BY listener, track_id)"
)
_NONE = len(ACTIONS)  # of a judgement: taken back
_GOES_ON = 256  # rows, the latest: of them a play may still go on
_READ_AGAIN = 4096  # so many more are read again with each change


@dataclass(frozen=True, eq=False)
class Events:
    """What one listener did, oldest first.

    track_ids : the tracks that occur, in order
    track : shape (n,), int64, place in `track_ids`
    at_s : shape (n,), float64, seconds since 1970, ascending
    action : shape (n,), int8, place in `ACTIONS`
    seconds : shape (n,), float64, heard; NaN where not known
    share : shape (n,), float64, of the track, 0 to 1; NaN where not known
    propensity : shape (n,), float64, with what probability it was recommended; NaN where nobody recommended it
    """

    track_ids: tuple[str, ...]
    track: np.ndarray
    at_s: np.ndarray
    action: np.ndarray
    seconds: np.ndarray
    share: np.ndarray
    propensity: np.ndarray

    def __len__(self) -> int:
        return len(self.track)

    def count(self, action: str) -> int:
        """How many are of this kind, one of `ACTIONS`."""
        return int((self.action == ACTIONS.index(action)).sum())

    def until(self, at_s: float) -> Events:
        """Those that are not later; itself where none is."""
        n = int(np.searchsorted(self.at_s, at_s, side="right"))
        if n == len(self):
            return self
        there, track = np.unique(self.track[:n], return_inverse=True)
        return _read_only(
            tuple(self.track_ids[place] for place in there), track.astype(np.int64), self.at_s[:n], self.action[:n],
            self.seconds[:n], self.share[:n], self.propensity[:n],
        )  # fmt: skip

    def after(self, at_s: float) -> Events:
        """Those that are later."""
        first = int(np.searchsorted(self.at_s, at_s, side="right"))
        there, track = np.unique(self.track[first:], return_inverse=True)
        return _read_only(
            tuple(self.track_ids[place] for place in there), track.astype(np.int64), self.at_s[first:],
            self.action[first:], self.seconds[first:], self.share[first:], self.propensity[first:],
        )  # fmt: skip


def events_of(connection: sqlite3.Connection, remembered: Remembered, listener: str) -> Events:
    """The events of a listener as they are now; as `Opinions.events` tells.

    Rows are only ever added, but for a play that goes on and for what is deleted or gets another id. So all but the
    latest are read once, and again only when one of them has changed; the latest are read whenever there are others.
    """
    until = _settled_until(connection)
    settled_stamp = remembered(
        ("settled stamp", listener), lambda: _stamp(connection, listener, until, is_settled=True)
    )
    latest_stamp = remembered(("latest stamp", listener), lambda: _stamp(connection, listener, until, is_settled=False))

    def read() -> Events:
        made_of = remembered.made_of
        key, of = ("settled events", listener), (until, settled_stamp)
        settled = made_of(key, of, lambda: _read(connection, listener, until, is_settled=True))
        return _in_order(_joined(settled, _read(connection, listener, until, is_settled=False)))

    events: Events = remembered.made_of(("events", listener), (until, settled_stamp, latest_stamp), read)
    return events


@dataclass(frozen=True, eq=False)
class _Rows:
    """Plays, then judgements, both as they lie in the catalogue: with those that were taken back (`_NONE`)."""

    track_ids: tuple[str, ...]
    track: np.ndarray
    columns: tuple[np.ndarray, ...]  # at_s, action, seconds, share, propensity

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(self.track_ids)


_Until = tuple[int, int]  # the last row of plays, and of judgements


def _settled_until(connection: sqlite3.Connection) -> _Until:
    """Up to which row nothing is expected to change; the same for thousands of rows that are added."""

    def of(table: str, key: str) -> int:
        last = connection.execute(f"SELECT max({key}) FROM {table}").fetchone()[0] or 0
        return max(0, int(last) - _GOES_ON) // _READ_AGAIN * _READ_AGAIN

    return of("plays", "play_id"), of("judgements", "judgement_id")


def _stamp(connection: sqlite3.Connection, listener: str, until: _Until, *, is_settled: bool) -> tuple[float, ...]:
    """Other numbers whenever these rows are others; a change of a file's bytes gives tracks other ids."""
    stamp = list(connection.execute("SELECT count(*), total(replaced_at) FROM replaced").fetchone())
    tables = (("plays", "play_id", "played_at"), ("judgements", "judgement_id", "judged_at"))
    for (table, key, at), last in zip(tables, until, strict=True):
        rows = f"{table} WHERE {key} <= ?" if is_settled else f"{table} NOT INDEXED WHERE {key} > ?"
        asked = f"SELECT count(*), max({key}), total({at}) FROM {rows} AND listener = ?"
        stamp += connection.execute(
            asked, (last, listener)
        ).fetchone()  # from the indexes; a play that grows ends later
    return tuple(stamp)


def _read(connection: sqlite3.Connection, listener: str, until: _Until, *, is_settled: bool) -> _Rows:
    cursor = connection.cursor()
    cursor.row_factory = None  # bare tuples: a tenth of a second less for a hundred thousand
    within = "<=" if is_settled else ">"
    rows = cursor.execute(
        # In the order of the rows: by the index each row would be looked for, three times as long.
        "SELECT track_id, played_at, is_skip != 0, seconds, share, propensity FROM plays NOT INDEXED"
        f" WHERE listener = ? AND play_id {within} ? ORDER BY play_id",
        (listener, until[0]),
    ).fetchall()
    rows += cursor.execute(
        f"SELECT track_id, judged_at, CASE verdict WHEN 'like' THEN {ACTIONS.index('like')} WHEN 'dislike' THEN"
        f" {ACTIONS.index('dislike')} ELSE {_NONE} END, NULL, NULL, CASE WHEN json_valid(context)"
        " AND json_type(context, '$.propensity') IN ('real', 'integer')"
        " THEN json_extract(context, '$.propensity') END FROM judgements NOT INDEXED"
        f" WHERE listener = ? AND query_track_id IS NULL AND judgement_id {within} ? ORDER BY judgement_id",
        (listener, until[1]),
    ).fetchall()
    ids, at, action, *measured = (list(map(itemgetter(place), rows)) for place in range(6))
    track_ids = tuple(sorted(set(ids)))
    places = {track_id: place for place, track_id in enumerate(track_ids)}
    track = np.fromiter(map(places.__getitem__, ids), np.int64, len(ids))
    return _Rows(track_ids, track, (_numbers(at), np.array(action, np.int8), *map(_numbers, measured)))


def _joined(settled: _Rows, latest: _Rows) -> _Rows:
    """All of both, those that were later last."""
    new = [track_id for track_id in latest.track_ids if track_id not in settled.known]
    track_ids, track = settled.track_ids, settled.track
    if new:
        track_ids = tuple(sorted((*track_ids, *new)))
        moved = np.array([bisect_left(settled.track_ids, each) for each in new])  # before which of the settled each is
        track = track + np.searchsorted(moved, track, side="right")
    of_latest = np.array([bisect_left(track_ids, each) for each in latest.track_ids], np.int64)[latest.track]
    columns = tuple(map(np.concatenate, zip(settled.columns, latest.columns, strict=True)))
    return _Rows(track_ids, np.concatenate([track, of_latest]), columns)


def _in_order(rows: _Rows) -> Events:
    """Those that count, oldest first: of judgements the latest on each track, unless it takes one back."""
    at_s, action = rows.columns[:2]
    is_judged = action >= ACTIONS.index("like")
    latest = np.full(len(rows.track_ids), -1)
    judged = np.flatnonzero(is_judged)
    latest[rows.track[judged]] = judged
    counts = ~is_judged
    counts[latest[latest >= 0]] = True
    chosen = np.flatnonzero(counts & (action != _NONE))
    # Of one time by what was done and by track, and not by row: the same events are the same wherever they are read.
    order = chosen[np.argsort(at_s[chosen], kind="stable")]
    if (np.diff(at_s[order]) == 0).any():
        order = chosen[np.lexsort((rows.track[chosen], action[chosen], at_s[chosen]))]
    track_ids, track = rows.track_ids, rows.track[order]
    occurs = np.bincount(track, minlength=len(track_ids)) > 0
    if not occurs.all():
        track_ids = tuple(itertools.compress(track_ids, occurs.tolist()))
        track = (np.cumsum(occurs) - 1)[track]
    return _read_only(track_ids, track, *(column[order] for column in rows.columns))


def _numbers(column: Sequence[Any]) -> np.ndarray:
    return np.array(column, np.float64)  # None becomes NaN


def _read_only(track_ids: tuple[str, ...], *columns: np.ndarray) -> Events:
    for column in columns:
        column.setflags(write=False)
    return Events(track_ids, *columns)
