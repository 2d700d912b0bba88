"""Opinions: what a person thought of a track, and for how long they heard it. A taste profile is made from these.

A judgement is about a track as an answer to a query, or about a track by itself. The same track may be a good answer
to one query and a bad one to another, so the latest verdict per listener, query and track counts; earlier ones are
kept as history, and taking a verdict back is one more row. Opinions outlive the tracks they are about.

A play is one hearing of a track. Players report piecemeal, so what goes on where the last report ended is the same one.
A wish is what a listener asks of recommendations: less of what a track stands for, or no reason made of it.

Conventions
-----------
A listener is a name; `me` where nobody said who it is. Seconds are of sound heard, not of time spent on a page; the
share is of the track's duration, 0 to 1. A play's time is when it ended, as players tell it; what was taken in from a
file has the file's time, which may be when it began. Times are seconds since 1970, in whole microseconds: that is how
files can tell them.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

from mess_core.catalogue.listening import COUNTING, Events, events_of
from mess_core.catalogue.takeover import current_id
from mess_core.config import MAX_DURATION_S
from mess_core.errors import InputError, StorageError
from mess_core.storage.database import BUSY_TIMEOUT_S, PREFIX, SUFFIX, Database
from mess_core.storage.files import own_files
from mess_core.storage.paths import COPIES
from mess_core.storage.untrusted import parse_json_value

Verdict = Literal["like", "dislike", "none"]  # none: taken back
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
ME = "me"
Wish = Literal["less", "ignore"]  # less of what a track stands for; a track is no reason for anything
WISHES: tuple[Wish, ...] = get_args(Wish)
MIN_HEARD_S = 0.5  # below it a track was passed over, not heard
SAME_PLAY_S = 60.0  # what goes on within it is the same play: a telephone rang, another track was compared
SAME_S = 2e-6  # between a time that is here, perhaps with more digits, and the same in a file
CHECKPOINT_S = 1.0  # for readers to end, when what was forgotten leaves the log, too


class TakenEvent(NamedTuple):
    """What a file tells of one track of the catalogue. action : as in `listening.ACTIONS`; else as of `add_play`"""

    listener: str
    track_id: str
    at_s: float
    action: str
    seconds: float | None = None
    share: float | None = None
    section: str | None = None
    rank: int | None = None
    propensity: float | None = None


class Opinions:
    """The judgements, plays and wishes of one data folder. What a method has returned from is on the disk."""

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
                (
                    listener,
                    *_current(connection, query_track_id, track_id),
                    verdict,
                    document,
                    whole_microseconds(time.time()),
                ),
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

    def add_play(
        self,
        track_id: str,
        seconds: float,
        *,
        share: float | None = None,
        is_skip: bool = False,
        query_track_id: str | None = None,
        section: str | None = None,
        rank: int | None = None,
        propensity: float | None = None,
        listener: str = ME,
    ) -> None:
        """Keep that a track was heard for so long, in addition to what was heard before.

        What goes on within `SAME_PLAY_S` of where the last play of the track ended, in the same place (query and
        section), is the same play, until the track was heard whole or skipped.

        Parameters
        ----------
        track_id : str
        seconds : float
            Above 0, at most `MAX_DURATION_S`.
        share : float, optional
            Of the track, 0 to 1; None where it is not known.
        is_skip : bool
            Whether the listener went on to the next instead of hearing it out; then `seconds` may be 0.
        query_track_id : str, optional
            What the track was found for.
        section, rank, propensity : str, int, float, optional
            By which section the track was recommended, as which from the top (1 is the first), and with what
            probability it was shown there, above 0, at most 1; None where the listener found it without help.
        listener : str

        Raises
        ------
        InputError
            If the time is none that a track can be heard for, a number is out of its range, or a name is not text.
        """
        is_time = 0 < seconds <= MAX_DURATION_S or (is_skip and seconds == 0)  # false of NaN too
        if not is_time:
            raise InputError(
                f"A track was heard for {seconds:g} s; expected more than 0, at most {MAX_DURATION_S:g} s."
            )
        _check_names(track_id, query_track_id, listener)
        if section is not None:
            _check_name("section", section)
        if share is not None and not 0 <= share <= 1:
            raise InputError(f"The share of a track that was heard is {share:g}, expected 0 to 1.")
        if rank is not None and rank < 1:
            raise InputError(f"The rank of a recommendation is {rank}, expected 1 or more.")
        if propensity is not None and not 0 < propensity <= 1:
            raise InputError(f"The propensity of a recommendation is {propensity:g}, expected above 0, at most 1.")
        now = whole_microseconds(time.time())
        with self.database.transaction() as connection:
            query, track = _current(connection, query_track_id, track_id)
            last = connection.execute(
                "SELECT play_id FROM plays WHERE listener = ? AND track_id = ? AND query_track_id IS ? AND section IS ?"
                " AND origin IS NULL AND NOT is_skip AND coalesce(share, 0) < 1 AND abs(? - played_at) <= ?"
                " ORDER BY played_at DESC LIMIT 1",
                (listener, track, query, section, now - seconds, SAME_PLAY_S),
            ).fetchone()
            if last is None:
                connection.execute(
                    "INSERT INTO plays (listener, query_track_id, track_id, seconds, played_at, share, is_skip,"
                    " section, rank, propensity) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (listener, query, track, float(seconds), now, share, int(is_skip), section, rank, propensity),
                )
            else:
                connection.execute(
                    "UPDATE plays SET seconds = seconds + ?, share = min(1.0, share + ?), is_skip = ?, played_at = ?"
                    " WHERE play_id = ?",  # the share of a play of which one is not known is not known
                    (float(seconds), share, int(is_skip), now, last["play_id"]),
                )

    def seconds_heard(self, listener: str = ME) -> dict[str, float]:
        """Return for how many seconds a listener heard each track, by track id."""
        rows = self.database.connection.execute(
            "SELECT track_id, total(seconds) AS seconds FROM plays WHERE listener = ? GROUP BY track_id"
            " ORDER BY track_id",
            (listener,),
        )
        return {row["track_id"]: row["seconds"] for row in rows}

    # --- what files tell ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def taking_in(self, n_moved: list[int]) -> Iterator[None]:
        """What `take_in` keeps within is told by one file, perhaps not for the first time.

        A moment that the file tells now of another track than before is moved: at the end the old one goes, and how
        many those were is added to `n_moved`.
        """
        connection = self.database.connection
        connection.execute("CREATE TEMP TABLE told (listener TEXT, track_id TEXT, at REAL, origin TEXT)")
        connection.execute("CREATE INDEX temp.told_when ON told (listener, at)")
        try:
            yield
            with self.database.transaction():
                for table, column in (("plays", "played_at"), ("judgements", "judged_at")):
                    same = f"SELECT 1 FROM told WHERE told.listener = {table}.listener AND told.at = {column}"
                    n_moved.append(
                        connection.execute(
                            f"DELETE FROM {table} WHERE origin IS NOT NULL"
                            f" AND EXISTS ({same} AND told.origin = {table}.origin)"
                            f" AND NOT EXISTS ({same} AND told.track_id = {table}.track_id)"
                        ).rowcount
                    )
        finally:
            connection.execute("DROP TABLE told")

    def take_in(self, told: Iterable[TakenEvent], origin: str) -> int:
        """Keep what a file tells, all of it or nothing; returns how much of it was new. Only within `taking_in`.

        What is here already, from whatever source, is not kept again. A verdict counts unless there is one of the same
        listener on the same track that is as new.

        Parameters
        ----------
        told : iterable of TakenEvent
            Times as of `whole_microseconds`.
        origin : str
            "listenbrainz", "lastfm", "spotify" or "table"
        """
        heard, judged, moments = [], [], []
        for event in told:
            track = event.track_id
            moments.append((event.listener, track, event.at_s, origin))
            if event.action in ("play", "skip"):
                more = (event.share, int(event.action == "skip"), event.section, event.rank, event.propensity)
                heard.append((event.listener, track, event.at_s, event.seconds, *more, origin))
            else:
                came = {"section": event.section, "rank": event.rank, "propensity": event.propensity}
                context = json.dumps({name: value for name, value in came.items() if value is not None})
                judged.append((event.listener, track, event.at_s, event.action, context, origin))
        with self.database.transaction() as connection:
            connection.executemany("INSERT INTO told VALUES (?, ?, ?, ?)", moments)
            n_before = connection.total_changes
            connection.executemany(
                "INSERT OR IGNORE INTO plays"
                " (listener, track_id, played_at, seconds, share, is_skip, section, rank, propensity, origin)"
                " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE NOT EXISTS (SELECT 1 FROM plays"
                f" WHERE listener = ?1 AND track_id = ?2 AND played_at BETWEEN ?3 - {SAME_S} AND ?3 + {SAME_S})",
                heard,
            )
            connection.executemany(
                "INSERT OR IGNORE INTO judgements (listener, track_id, judged_at, verdict, context, origin)"
                " SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM judgements WHERE listener = ?1"
                f" AND track_id = ?2 AND query_track_id IS NULL AND judged_at >= ?3 - {SAME_S})",
                judged,
            )
            return connection.total_changes - n_before

    # --- wishes ---------------------------------------------------------------------------------------------

    def wish(self, kind: Wish, track_id: str, listener: str = ME) -> None:
        """Keep a wish of a listener's until it is taken back: "less" of what a track stands for, or "ignore" it.

        Raises
        ------
        InputError
            If it is no such wish, or a name is not text.
        """
        _check_wish(kind)
        _check_names(track_id, None, listener)
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO wishes (listener, kind, track_id, wished_at) VALUES (?, ?, ?, ?)",
                (listener, kind, current_id(connection, track_id), whole_microseconds(time.time())),
            )

    def unwish(self, kind: Wish, track_id: str, listener: str = ME) -> None:
        """Take a wish back; one that was never made is none."""
        _check_wish(kind)
        _check_names(track_id, None, listener)
        with self.database.transaction() as connection:
            connection.execute(
                "DELETE FROM wishes WHERE listener = ? AND kind = ? AND track_id = ?",
                (listener, kind, current_id(connection, track_id)),
            )

    def wishes(self, listener: str = ME) -> dict[Wish, tuple[str, ...]]:
        """Return the tracks of each kind of wish, in the order in which they were made; both kinds are always there."""
        rows = self.database.connection.execute(
            "SELECT kind, track_id FROM wishes WHERE listener = ? ORDER BY wish_id", (listener,)
        ).fetchall()
        return {kind: tuple(row["track_id"] for row in rows if row["kind"] == kind) for kind in WISHES}

    # --- all of it ------------------------------------------------------------------------------------------

    def events(self, listener: str = ME, *, until_s: float | None = None) -> Events:
        """Return what a listener heard, skipped, liked and disliked, oldest first; read again when it has changed.

        Of verdicts those that count now, on tracks by themselves: as an answer to a query a track is judged together
        with it.

        Parameters
        ----------
        listener : str
        until_s : float, optional
            Seconds since 1970. What is later is left out, as what a wrong clock has put into the future.
        """
        found = events_of(self.database.connection, self.database.remembered, listener)
        return found if until_s is None else found.until(until_s)

    def listeners(self) -> list[str]:
        """Return who has events, by name."""
        each = "SELECT min(listener) AS listener FROM plays UNION ALL SELECT (SELECT min(listener) FROM plays"
        rows = self.database.connection.execute(
            # From one name to the next by the index: there are few of them, and a hundred thousand plays.
            f"WITH RECURSIVE names AS ({each} WHERE listener > names.listener) FROM names WHERE listener IS NOT NULL)"
            f" SELECT listener FROM names WHERE listener IS NOT NULL UNION SELECT listener FROM judgements"
            f" WHERE {COUNTING} ORDER BY listener"
        )
        return [row["listener"] for row in rows]

    def forget(self, listener: str, from_s: float | None = None, to_s: float | None = None) -> int:
        """Delete what a listener heard and said, from the disk, too; answers given on the page Judge stay.

        SQLite marks what is deleted as free and leaves its bytes: here they are overwritten with zeros, and the log
        is emptied, where no other process is just reading it (else that happens when the last one ends). The copies
        that are made of the catalogue once a day, and before it changes its schema, forget it likewise. What remains
        are backups elsewhere, and what a file system or a solid-state disk keeps of old blocks.

        Parameters
        ----------
        listener : str
        from_s, to_s : float, optional
            Seconds since 1970: only what is not before the one, and before the other. With neither, all of it: also
            verdicts on answers to queries, and wishes.

        Returns
        -------
        int
            How many plays, verdicts and wishes there were.

        Raises
        ------
        StorageError
            If the disk refuses; where only a copy does, it is named.
        """
        times = _times(from_s, to_s)
        is_all = from_s is None and to_s is None
        with _overwriting(self.database.connection), self.database.transaction() as connection:
            n_deleted = _delete(connection, listener, times, is_all=is_all)
        root = self.database.path.parent
        for path in sorted(own_files(root, (root / COPIES).glob(f"{PREFIX}*{SUFFIX}"))):
            try:
                with contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as copy, copy:
                    copy.execute("PRAGMA secure_delete = ON")
                    _delete(copy, listener, times, is_all=is_all)
            except sqlite3.Error as error:
                raise StorageError(
                    f"It is forgotten, but not in the copy {path}: {error}.", "Delete that file by hand."
                ) from error
        return n_deleted

    def n_kept(self, listener: str, from_s: float | None = None, to_s: float | None = None) -> int:
        """How many plays, verdicts and wishes `forget` would delete."""
        from_at, to_at = _times(from_s, to_s)
        row = self.database.connection.execute(
            "SELECT (SELECT count(*) FROM plays WHERE listener = :who AND played_at >= :a AND played_at < :b)"
            " + (SELECT count(*) FROM judgements WHERE listener = :who AND judged_at >= :a AND judged_at < :b)"
            " + (SELECT count(*) FROM wishes WHERE listener = :who AND :all)",
            {"who": listener, "a": from_at, "b": to_at, "all": from_s is None and to_s is None},
        ).fetchone()
        return int(row[0])

    def n_on_library_alone(self, library: str) -> int:
        """How many plays and verdicts of anybody are on tracks that are in this library and in no other."""
        row = self.database.connection.execute(
            "WITH alone AS (SELECT track_id FROM library_tracks GROUP BY track_id"
            " HAVING count(*) = 1 AND max(library) = :library)"
            " SELECT (SELECT count(*) FROM plays WHERE track_id IN alone)"
            " + (SELECT count(*) FROM judgements WHERE track_id IN alone)",
            {"library": library},
        ).fetchone()
        return int(row[0])

    def export(self, listener: str = ME) -> list[dict[str, Any]]:
        """Return everything kept of a listener, history included, oldest first, as JSON can hold it.

        Returns
        -------
        list of dict
            Each with all the keys kind ("judgement", "play" or "wish"), listener, track_id, query_track_id, verdict,
            context, seconds, share, is_skip, section, rank, propensity, wish, origin and at (seconds since 1970); what
            does not belong to its kind is None.
        """
        rows = self.database.connection.execute(
            "SELECT 'judgement' AS kind, listener, track_id, query_track_id, verdict, context, NULL AS seconds,"
            " NULL AS share, NULL AS is_skip, NULL AS section, NULL AS rank, NULL AS propensity, NULL AS wish, origin,"
            " judged_at AS at, judgement_id AS number FROM judgements WHERE listener = :listener"
            " UNION ALL SELECT 'play', listener, track_id, query_track_id, NULL, 'null', seconds, share, is_skip,"
            " section, rank, propensity, NULL, origin, played_at, play_id FROM plays WHERE listener = :listener"
            " UNION ALL SELECT 'wish', listener, track_id, NULL, NULL, 'null', NULL, NULL, NULL, NULL, NULL, NULL,"
            " kind, NULL, wished_at, wish_id FROM wishes WHERE listener = :listener ORDER BY at, kind, number",
            {"listener": listener},
        )
        entries = [
            {**row, "context": parse_json_value(row["context"], "The context of a judgement", is_text=False)}
            for row in rows
        ]
        for entry in entries:
            entry["is_skip"] = None if entry["is_skip"] is None else bool(entry["is_skip"])
        return [{key: value for key, value in entry.items() if key != "number"} for entry in entries]


def whole_microseconds(seconds: float) -> float:
    """A time as a file can tell it, so that what comes back from one is known again."""
    return round(seconds, 6)


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


@contextlib.contextmanager
def _overwriting(connection: sqlite3.Connection) -> Iterator[None]:
    """What is deleted within is overwritten with zeros, in the file and in its log."""
    before = connection.execute("PRAGMA secure_delete").fetchone()[0]
    connection.execute("PRAGMA secure_delete = ON").fetchone()
    try:
        yield
        connection.execute(f"PRAGMA busy_timeout = {CHECKPOINT_S * 1000:.0f}").fetchone()
        with contextlib.suppress(StorageError):  # it is deleted; only the log still holds it for a while
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA secure_delete = {before}").fetchone()
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}").fetchone()


def _delete(connection: sqlite3.Connection, listener: str, times: tuple[float, float], *, is_all: bool) -> int:
    """How many rows of a listener went; an old copy need not have each table."""
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}
    n_deleted = 0
    for table, column in (("plays", "played_at"), ("judgements", "judged_at")):
        if table in there:
            n_deleted += connection.execute(
                f"DELETE FROM {table} WHERE listener = ? AND {column} >= ? AND {column} < ?", (listener, *times)
            ).rowcount
    if is_all and "wishes" in there:
        n_deleted += connection.execute("DELETE FROM wishes WHERE listener = ?", (listener,)).rowcount
    return n_deleted


def _times(from_s: float | None, to_s: float | None) -> tuple[float, float]:
    from_at, to_at = (-math.inf if from_s is None else from_s), (math.inf if to_s is None else to_s)
    if math.isnan(from_at) or math.isnan(to_at):
        raise InputError("A time from which, or up to which, something is to be forgotten is no number.")
    return from_at, to_at


def _check_wish(kind: str) -> None:
    if kind not in WISHES:
        raise InputError(f"The wish is {kind!r}, expected one of: {', '.join(WISHES)}.")


def _check_names(track_id: str, query_track_id: str | None, listener: str) -> None:
    for what, name in (("track", track_id), ("query", query_track_id), ("listener", listener)):
        if what == "query" and name is None:
            continue
        _check_name(what, name)


def _check_name(what: str, name: str | None) -> None:
    try:
        is_text = isinstance(name, str) and name.encode() != b""
    except UnicodeEncodeError:  # half of a surrogate pair: SQLite's TEXT cannot hold it
        is_text = False
    if not is_text:
        raise InputError(f"The {what} of an opinion is {name!r}, expected its name.")
