"""Listening events: what somebody heard, skipped, liked and disliked, as columns. Recommenders and taste start here.

A hundred thousand of them are one statement of SQL and six arrays; no object stands for a row.

Conventions
-----------
Times are seconds since 1970, oldest first. What is not known is NaN. Tracks are told by their place in `track_ids`,
which is sorted. The arrays are shared and read-only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

ACTIONS = ("play", "skip", "like", "dislike")

# Of judgements, those that count now: the latest of each listener on each track by itself, unless it takes one back.
COUNTING = (
    "verdict != 'none' AND judgement_id IN"
    " (SELECT max(judgement_id) FROM judgements WHERE query_track_id IS NULL GROUP BY listener, track_id)"
)
_COUNTING_OF_ONE = COUNTING.replace("query_track_id IS NULL", "listener = :listener AND query_track_id IS NULL")


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


def events_stamp(connection: sqlite3.Connection, listener: str) -> tuple[float, ...]:
    """Other numbers whenever the events of a listener are others; a change of a file's bytes gives tracks other ids."""
    row = connection.execute(
        "SELECT * FROM"  # what the indexes hold: a play that grows ends later
        " (SELECT count(*), max(play_id), total(played_at) FROM plays WHERE listener = :listener),"
        " (SELECT count(*), max(judgement_id), total(judged_at) FROM judgements WHERE listener = :listener),"
        " (SELECT count(*), total(replaced_at) FROM replaced)",
        {"listener": listener},
    ).fetchone()
    return tuple(row)


def read_events(connection: sqlite3.Connection, listener: str) -> Events:
    """Read the events of a listener; as `Opinions.events` tells."""
    cursor = connection.cursor()
    cursor.row_factory = None  # bare tuples: a tenth of a second less for a hundred thousand
    rows = cursor.execute(
        # In the order of the rows: by the index each row would be looked for, three times as long.
        "SELECT track_id, played_at, is_skip != 0, seconds, share, propensity FROM plays NOT INDEXED"
        " WHERE listener = :listener"
        f" UNION ALL SELECT track_id, judged_at, CASE verdict WHEN 'like' THEN {ACTIONS.index('like')}"
        f" ELSE {ACTIONS.index('dislike')} END, NULL, NULL, CASE WHEN json_valid(context)"
        " AND json_type(context, '$.propensity') IN ('real', 'integer')"
        f" THEN json_extract(context, '$.propensity') END FROM judgements WHERE {_COUNTING_OF_ONE}",
        {"listener": listener},
    ).fetchall()
    ids, at, action, *measured = (list(map(itemgetter(place), rows)) for place in range(6))
    track_ids = tuple(sorted(set(ids)))
    places = {track_id: place for place, track_id in enumerate(track_ids)}
    track = np.fromiter(map(places.__getitem__, ids), np.int64, len(ids))
    at_s, actions = _numbers(at), np.array(action, np.int8)
    order = np.lexsort((track, actions, at_s))  # and not by row: the same events are the same wherever they are read
    seconds, share, propensity = (_numbers(column)[order] for column in measured)
    return _read_only(track_ids, track[order], at_s[order], actions[order], seconds, share, propensity)


def _numbers(column: Sequence[Any]) -> np.ndarray:
    return np.array(column, np.float64)  # None becomes NaN


def _read_only(track_ids: tuple[str, ...], *columns: np.ndarray) -> Events:
    for column in columns:
        column.setflags(write=False)
    return Events(track_ids, *columns)
