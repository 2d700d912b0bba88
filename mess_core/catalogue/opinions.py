"""Opinions: what a person thought of a track, and for how long they heard it. A taste profile is made from these.

A judgement is about a track as an answer to a query, or about a track by itself. The same track may be a good answer
to one query and a bad one to another, so the latest verdict per listener, query and track counts; earlier ones are
kept as history, and taking a verdict back is one more row. Opinions outlive the tracks they are about.

Conventions
-----------
A listener is a name; `me` where nobody said who it is. Seconds are of sound heard, not of time spent on a page.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from typing import Any, Literal, get_args

from mess_core.catalogue.takeover import current_id
from mess_core.config import MAX_DURATION_S
from mess_core.errors import InputError
from mess_core.storage.database import Database
from mess_core.storage.untrusted import parse_json_value

Verdict = Literal["like", "dislike", "none"]  # none: taken back
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
ME = "me"
MIN_HEARD_S = 0.5  # below it a track was passed over, not heard


class Opinions:
    """The judgements and plays of one data folder. What a method has returned from is on the disk."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # --- judgements -----------------------------------------------------------------------------------------

    def judge(
        self,
        track_id: str,
        verdict: Verdict,
        *,
        query_track_id: str | None = None,
        listener: str = ME,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a verdict; it replaces an earlier one of the same listener on the same query and track.

        Parameters
        ----------
        track_id : str
        verdict : "like", "dislike" or "none"
            "none" takes an earlier verdict back.
        query_track_id : str, optional
            What the track was found for; None if it was judged by itself.
        listener : str
        context : mapping, optional
            How the track came to be judged, as JSON can hold it: request, encoder, library, rank.

        Raises
        ------
        InputError
            If the verdict is none of the three, a name is not text, or the context is not JSON.
        """
        if verdict not in VERDICTS:
            raise InputError(f"The verdict is {verdict!r}, expected one of: {', '.join(VERDICTS)}.")
        _check_names(track_id, query_track_id, listener)
        try:
            document = json.dumps(dict(context or {}), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"The context of a judgement must be JSON: {error}.") from error
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT INTO judgements (listener, query_track_id, track_id, verdict, context, judged_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (listener, *_current(connection, query_track_id, track_id), verdict, document, time.time()),
            )

    def verdicts(self, query_track_id: str | None = None, listener: str = ME) -> dict[str, Verdict]:
        """Return the verdicts that count for one query, or for no query.

        Parameters
        ----------
        query_track_id : str, optional
            None asks for tracks that were judged by themselves, not for those of every query.
        listener : str

        Returns
        -------
        dict of str to "like" or "dislike"
            By track id; what was taken back is not there.
        """
        # By number and not by time: a clock that was set back must not bring an old verdict back.
        rows = self.database.connection.execute(
            "SELECT track_id, verdict FROM judgements WHERE verdict != 'none' AND judgement_id IN"
            " (SELECT max(judgement_id) FROM judgements WHERE listener = ? AND query_track_id IS ? GROUP BY track_id)"
            " ORDER BY track_id",
            (listener, query_track_id),
        )
        return {row["track_id"]: row["verdict"] for row in rows}

    # --- plays ----------------------------------------------------------------------------------------------

    def add_play(self, track_id: str, seconds: float, *, query_track_id: str | None = None, listener: str = ME) -> None:
        """Keep that a track was heard for so long, in addition to what was heard before.

        Parameters
        ----------
        track_id : str
        seconds : float
            Above 0, at most `MAX_DURATION_S`.
        query_track_id : str, optional
            What the track was found for.
        listener : str

        Raises
        ------
        InputError
            If the time is none that a track can be heard for, or a name is not text.
        """
        if not 0 < seconds <= MAX_DURATION_S:  # false of NaN too
            raise InputError(
                f"A track was heard for {seconds:g} s; expected more than 0, at most {MAX_DURATION_S:g} s."
            )
        _check_names(track_id, query_track_id, listener)
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT INTO plays (listener, query_track_id, track_id, seconds, played_at) VALUES (?, ?, ?, ?, ?)",
                (listener, *_current(connection, query_track_id, track_id), float(seconds), time.time()),
            )

    def seconds_heard(self, listener: str = ME) -> dict[str, float]:
        """Return for how many seconds a listener heard each track, by track id."""
        rows = self.database.connection.execute(
            "SELECT track_id, total(seconds) AS seconds FROM plays WHERE listener = ? GROUP BY track_id"
            " ORDER BY track_id",
            (listener,),
        )
        return {row["track_id"]: row["seconds"] for row in rows}

    # --- all of it ------------------------------------------------------------------------------------------

    def export(self, listener: str = ME) -> list[dict[str, Any]]:
        """Return everything kept of a listener, history included, oldest first, as JSON can hold it.

        Returns
        -------
        list of dict
            Each with all the keys kind ("judgement" or "play"), listener, track_id, query_track_id, verdict, context,
            seconds and at (seconds since 1970); what does not belong to its kind is None.
        """
        rows = self.database.connection.execute(
            "SELECT 'judgement' AS kind, listener, track_id, query_track_id, verdict, context, NULL AS seconds,"
            " judged_at AS at, judgement_id AS number FROM judgements WHERE listener = :listener"
            " UNION ALL SELECT 'play', listener, track_id, query_track_id, NULL, 'null', seconds, played_at, play_id"
            " FROM plays WHERE listener = :listener ORDER BY at, kind, number",
            {"listener": listener},
        )
        entries = [
            {**row, "context": parse_json_value(row["context"], "The context of a judgement", is_text=False)}
            for row in rows
        ]
        return [{key: value for key, value in entry.items() if key != "number"} for entry in entries]


def heard_since(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """Turn two successive reports of a player into what was heard between them.

    Parameters
    ----------
    before, now : mapping of str to float
        Seconds heard by track id, counted since the player appeared. A player that appeared anew counts from 0 again:
        a smaller number is a new beginning, never a negative time.

    Returns
    -------
    dict of str to float
        Seconds heard by track id; less than `MIN_HEARD_S` is left out. To let short times add up to a long one, keep
        as the next `before` what was counted, and not all of `now`: `{**before, **{id: now[id] for id in heard}}`.

    Examples
    --------
    >>> heard_since({"a": 10.0, "b": 30.0}, {"a": 12.5, "b": 4.0, "c": 0.1})
    {'a': 2.5, 'b': 4.0}
    """
    heard = {}
    for track_id, seconds in now.items():
        known = before.get(track_id, 0.0)
        heard[track_id] = seconds - known if seconds >= known else seconds
    return {track_id: seconds for track_id, seconds in heard.items() if seconds >= MIN_HEARD_S}


def _current(connection: sqlite3.Connection, query: str | None, track: str) -> tuple[str | None, str]:
    """Both ids as they are by now: a page may be older than the file whose bytes changed."""
    return None if query is None else current_id(connection, query), current_id(connection, track)


def _check_names(track_id: str, query_track_id: str | None, listener: str) -> None:
    for what, name in (("track", track_id), ("query", query_track_id), ("listener", listener)):
        if what == "query" and name is None:
            continue
        try:
            is_text = isinstance(name, str) and name.encode() != b""
        except UnicodeEncodeError:  # half of a surrogate pair: SQLite's TEXT cannot hold it
            is_text = False
        if not is_text:
            raise InputError(f"The {what} of an opinion is {name!r}, expected its name.")
