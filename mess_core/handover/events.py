"""Listening events, to and from other programs: what `listens` reads of a file is kept for the tracks that it means.

A file is read once, record by record, and kept in portions; a portion is on the disk or not. What is kept is known
again, so a file may be taken in as often as one likes: after a kill, or after music was added, when more of it is
recognised. Listens to what is not in the catalogue are counted and named, and not kept.

    listener, track_id, artist, title, time, seconds, share, action, section, rank, propensity       CSV or Parquet

is what goes out: plays, skips, and the verdicts that count now, on tracks by themselves. It comes back as it was; in
another catalogue its tracks are recognised by their names. Nothing leaves the machine.
"""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mess_core.catalogue.listening import COUNTING
from mess_core.catalogue.opinions import ME, TakenEvent, whole_microseconds
from mess_core.errors import DataMissingError
from mess_core.handover.judgements import PARQUET
from mess_core.handover.listens import Listen, Origin, Refused, read_listens
from mess_core.handover.recognising import FUZZY_LOW, Match, TrackNames
from mess_core.storage.cells import defused
from mess_core.storage.files import write_atomically
from mess_core.words import counted, listed
from mess_core.workspace.workspace import Workspace

COLUMNS = (
    "listener", "track_id", "artist", "title", "time", "seconds", "share", "action", "section", "rank", "propensity",
)  # fmt: skip
NUMBERS = ("seconds", "share", "propensity")  # of these columns
PORTION = 5000  # events that are kept at once
MOST_REMEMBERED = 20_000  # names whose track is remembered while a file is read, and names that are counted
MOST_NAMED = 5  # records that are none
MOST_UNMATCHED = 10
HEARD_OUT = 0.9  # of a track: who goes on to the next only then has not skipped it


@dataclass(frozen=True)
class TakenEvents:
    """What was taken in.

    n_new : events that were not here
    n_known : that were, of tracks that are
    n_moved : of the new ones, those that the same file once told of another track, as which they are forgotten
    n_unmatched : of tracks that are not in the catalogue, or that nobody could tell
    n_passed_over : what is no event: podcasts, what was not heard at all
    n_refused : records that are none; `refused` has the first of them, (where, why)
    n_future : of the new and known ones, those that are later than now
    by_confidence : (how sure, how many events), the surest first
    unmatched : (artist – title, how many events), the most frequent first
    listeners : whose events they are
    """

    n_new: int
    n_known: int
    n_moved: int
    n_unmatched: int
    n_passed_over: int
    n_refused: int
    n_future: int
    by_confidence: tuple[tuple[str, int], ...]
    unmatched: tuple[tuple[str, int], ...]
    refused: tuple[tuple[str, str], ...]
    listeners: tuple[str, ...]

    @property
    def n_matched(self) -> int:
        return self.n_new + self.n_known

    @property
    def summary(self) -> str:
        """In a few sentences."""
        told = [f"{counted(self.n_new, 'event')} taken in, {self.n_known:,} known already."]
        if self.n_moved:
            told.append(f"{counted(self.n_moved, 'event')} recognised as another recording than before.")
        if self.by_confidence:
            sure = [f"{n:,} with confidence {confidence}" for confidence, n in self.by_confidence]
            told.append(f"Recognised: {listed(sure)}.")
        if self.n_unmatched:
            told.append(
                f"{counted(self.n_unmatched, 'event')} left out: what was heard is not in the catalogue, or cannot be "
                "told. Take the file in again when you have added music."
            )
        if self.n_passed_over:
            told.append(f"{counted(self.n_passed_over, 'record')} passed over: no music, or not heard.")
        if self.n_future:
            told.append(f"{counted(self.n_future, 'event')} in the future: kept, but not counted until then.")
        if self.n_refused:
            told.append(f"{counted(self.n_refused, 'record')} could not be understood.")
        return " ".join(told)


def import_events(
    workspace: Workspace,
    path: Path,
    *,
    listener: str | None = None,
    least_confidence: float = FUZZY_LOW,
) -> TakenEvents:
    """Take in what a file, a zip or a folder of files tells of listening.

    Parameters
    ----------
    listener : str, optional
        Whose it is, whatever the file says; None leaves it to the file, and is `me` where that says nothing.
    least_confidence : float, 0 to 1
        Below it no track is recognised.

    Raises
    ------
    InputError
        If it is no listening history.
    StorageError
        If the disk refuses; what was kept until then stays.
    """
    taking = _Taking(workspace, TrackNames(workspace, least_confidence), listener)
    n_moved: list[int] = []
    with workspace.opinions.taking_in(n_moved):
        for found in read_listens(path):
            if isinstance(found, tuple) and not isinstance(found, Refused):
                taking.take(*found)
            else:
                taking.pass_over(found)
        taking.keep_all()
    return taking.result(sum(n_moved))


class _Taking:
    """What was read so far."""

    def __init__(self, workspace: Workspace, names: TrackNames, listener: str | None) -> None:
        self._opinions, self._names, self._listener = workspace.opinions, names, listener
        self._now = time.time()
        self._waiting: dict[Origin, list[TakenEvent]] = {}
        self._matches: dict[tuple[Any, ...], Match | None] = {}
        self._unmatched: Counter[tuple[str, str]] = Counter()
        self._confidences: Counter[float] = Counter()
        self._listeners: dict[str, None] = {}
        self._refused: list[tuple[str, str]] = []
        self._n: Counter[str] = Counter()

    def take(self, origin: Origin, listen: Listen) -> None:
        match = self._match(listen)
        if match is None:
            self._count_unmatched(listen)
            return
        share, is_play = listen.share, listen.action in ("play", "skip")
        if share is None and not listen.has_share and listen.seconds is not None and match.duration_s > 0:
            share = min(1.0, listen.seconds / match.duration_s)
        action = listen.action
        if origin == "spotify" and action == "skip" and share is not None and share >= HEARD_OUT:
            action = "play"
        who = self._listener or listen.listener or ME
        self._listeners[who] = None
        self._confidences[match.confidence] += 1
        self._n["future"] += listen.at_s > self._now
        waiting = self._waiting.setdefault(origin, [])
        waiting.append(
            TakenEvent(
                who, match.track_id, whole_microseconds(listen.at_s), action,
                listen.seconds if is_play else None, share if is_play else None,
                listen.section, listen.rank, listen.propensity,
            )
        )  # fmt: skip
        if len(waiting) >= PORTION:
            self._keep(origin)

    def pass_over(self, found: Refused | None) -> None:
        if found is None:
            self._n["passed over"] += 1
            return
        self._n["refused"] += 1
        if len(self._refused) < MOST_NAMED:
            self._refused.append((found.place, found.why))

    def _match(self, listen: Listen) -> Match | None:
        """The track that is meant; asked once for all listens to it, as long as it is remembered."""
        length_s = listen.duration_s and round(listen.duration_s)
        key = (listen.artist, listen.title, listen.album, length_s, listen.mbid, listen.track_id, listen.path)
        if key not in self._matches:
            if len(self._matches) >= MOST_REMEMBERED:
                self._matches.clear()
            self._matches[key] = self._names.find(listen)
        return self._matches[key]

    def _count_unmatched(self, listen: Listen) -> None:
        self._n["unmatched"] += 1
        name = (listen.artist, listen.title or listen.path or listen.track_id or listen.mbid)
        if name not in self._unmatched and len(self._unmatched) >= MOST_REMEMBERED:
            # The half that came least often makes room: one of the most frequent is never among them.
            self._unmatched = Counter(dict(self._unmatched.most_common(MOST_REMEMBERED // 2)))
        self._unmatched[name] += 1

    def _keep(self, origin: Origin) -> None:
        portion = self._waiting.pop(origin, [])
        n_new = self._opinions.take_in(portion, origin)
        self._n["new"] += n_new
        self._n["known"] += len(portion) - n_new

    def keep_all(self) -> None:
        for origin in list(self._waiting):
            self._keep(origin)

    def result(self, n_moved: int) -> TakenEvents:
        bands: Counter[str] = Counter()
        for confidence, n in sorted(self._confidences.items(), reverse=True):
            bands[f"{confidence:g}" if confidence > 0.85 else "0.6 to 0.85"] += n
        return TakenEvents(
            self._n["new"], self._n["known"], n_moved, self._n["unmatched"], self._n["passed over"], self._n["refused"],
            self._n["future"], tuple(bands.items()),
            tuple((" – ".join(filter(None, name)), n) for name, n in self._unmatched.most_common(MOST_UNMATCHED)),
            tuple(self._refused), tuple(self._listeners),
        )  # fmt: skip


# --- out ----------------------------------------------------------------------------------------------------


def export_events(workspace: Workspace, path: Path, *, listener: str | None = None) -> int:
    """Write the events of one listener or of all, as Parquet where the name says so, else as CSV; returns how many.

    In CSV a cell that a spreadsheet would run begins with a quote.

    Raises
    ------
    DataMissingError
        If there is none.
    """
    rows = list(_rows(workspace, listener))
    if not rows:
        who = f"{listener!r} has" if listener else "Nobody has"
        raise DataMissingError(f"{who} listened to anything yet, so there is nothing to export.", "Listen first.")
    if path.suffix.lower() == PARQUET:
        write_atomically(path, _parquet(rows))
    else:
        stream = io.StringIO(newline="")
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows([defused(cell) for cell in row] for row in rows)
        write_atomically(path, stream.getvalue().encode("utf-8", "replace"))
    return len(rows)


def _rows(workspace: Workspace, listener: str | None) -> Iterator[tuple[Any, ...]]:
    """Oldest first, as `COLUMNS`."""
    of_whom = "" if listener is None else "listener = :listener AND"
    rows = workspace.database.connection.execute(
        "SELECT listener, track_id, coalesce(performer, composer, album_artist) AS artist, title, at, seconds, share,"
        " action, section, rank, propensity FROM (SELECT listener, track_id, played_at AS at, seconds, share,"
        f" iif(is_skip, 'skip', 'play') AS action, section, rank, propensity FROM plays WHERE {of_whom} true"
        " UNION ALL SELECT listener, track_id, judged_at, NULL, NULL, verdict, iif(json_valid(context),"
        " json_extract(context, '$.section'), NULL), iif(json_valid(context), json_extract(context, '$.rank'), NULL),"
        " iif(json_valid(context), json_extract(context, '$.propensity'), NULL)"
        f" FROM judgements WHERE {of_whom} {COUNTING}) LEFT JOIN tracks USING (track_id)"
        " ORDER BY at, listener, action, track_id",
        {"listener": listener},
    )
    for row in rows:
        told = dict(row)
        told["time"] = datetime.fromtimestamp(told["at"], UTC).isoformat()
        told["section"] = told["section"] if isinstance(told["section"], str) else None  # as whoever judged said it
        told["rank"] = told["rank"] if isinstance(told["rank"], int) and told["rank"] > 0 else None
        is_propensity = isinstance(told["propensity"], float | int) and 0 < told["propensity"] <= 1
        told["propensity"] = float(told["propensity"]) if is_propensity else None
        yield tuple(told[column] for column in COLUMNS)


def _parquet(rows: list[tuple[Any, ...]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {**dict.fromkeys(NUMBERS, pa.float64()), "rank": pa.int64()}
    columns = zip(COLUMNS, zip(*rows, strict=True), strict=True)
    table = pa.table({name: pa.array(column, kinds.get(name, pa.string())) for name, column in columns})
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()
