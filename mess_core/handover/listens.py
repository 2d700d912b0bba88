"""What others wrote down of listening, as one kind of record. Which program wrote a file is told by what is in it.

    ListenBrainz   listens and feedback, JSON lines or arrays; the zip as it is sent
    Last.fm        pages of the API (`recenttracks`, `lovedtracks`), exporters' JSON and CSV, also without a header
    Spotify        extended and short streaming history; the zip as it is sent
    a plain table  CSV, TSV or Parquet: listener, track_id | path | artist and title, time, seconds, share, action

A record that is none is a `Refused` with the reason; a podcast, what is only just playing and what was not heard at all
are passed over.

Conventions
-----------
Times are seconds since 1970; without a time zone they are UTC, as all of these programs write them. Numbers of time
above 1e11 are milliseconds.

Source: Spotify, "Understanding my data" (extended streaming history); ListenBrainz documentation, JSON of listens;
Last.fm API, user.getRecentTracks. The CSV of Last.fm is of exporters by others: lastfm-to-csv, mainstream.ghan.nl.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from mess_core.collections.unpacking import unpack
from mess_core.config import MAX_DURATION_S
from mess_core.errors import InputError
from mess_core.storage.cells import undefused
from mess_core.storage.records import json_records, table_records
from mess_core.storage.untrusted import open_parquet, open_untrusted, printable

Origin = Literal["listenbrainz", "lastfm", "spotify", "table"]
Action = Literal["play", "skip", "like", "dislike"]

MOST_BYTES = 8 * 2**30  # of one file, which is read piece by piece
MOST_NAME = 500  # characters of an artist or title that are read
MOST_STRANGE = 1000  # records of a file without one that is understood: it is of another kind
LATEST_S = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
FIRST_MS = 1e11  # as seconds this were the year 5138, as milliseconds it is 1973
PAGES, ARRAYS = frozenset({"recenttracks", "lovedtracks", "payload"}), frozenset({"track", "listens", "scrobbles"})
CURE = (
    "Expected: an export of ListenBrainz, of Last.fm (JSON or CSV), Spotify's streaming history, or a table with the "
    "columns track_id or path or artist and title, time, and, if known, listener, seconds, share, action."
)

COLUMNS = {  # of tables, by what they are called
    "listener": ("listener", "user", "user_name", "username"),
    "track_id": ("track_id",),
    "path": ("path", "file", "location", "filename"),
    "artist": ("artist", "artist_name", "artist name", "performer"),
    "title": ("title", "track", "track_name", "track name", "song", "name"),
    "album": ("album", "album_name", "release_name", "release"),
    "time": ("time", "uts", "timestamp", "listened_at", "played_at", "date", "utc_time"),
    "seconds": ("seconds", "seconds_heard"),
    "share": ("share",),
    "action": ("action",),
    "mbid": ("recording_mbid", "track_mbid", "mbid"),
    "duration_s": ("duration_s", "duration"),
    "section": ("section",), "rank": ("rank",), "propensity": ("propensity",),
}  # fmt: skip
OWN_COLUMNS = {"listener", "track_id", "path", "seconds", "share", "action"}  # Last.fm's exporters have none of them
WITHOUT_HEADER = ("artist", "album", "title", "time")  # lastfm-to-csv
ACTIONS: dict[str, Action] = {
    "": "play", "play": "play", "played": "play", "listen": "play", "listened": "play", "completed": "play",
    "complete": "play", "skip": "skip", "skipped": "skip", "like": "like", "liked": "like", "love": "like",
    "loved": "like", "dislike": "dislike", "disliked": "dislike", "hate": "dislike", "hated": "dislike",
}  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = {name: number for number, name in enumerate(_MONTHS, 1)}
_DATE = re.compile(r"(\d{1,2}) ([A-Za-z]{3})[a-z]* (\d{4}),? (\d{1,2}):(\d{2})(?::(\d{2}))?$")


class Listen(NamedTuple):
    """What somebody did with a track that is told by names. Empty and None are what is not known.

    duration_s : of the track
    listener : as the file says
    has_share : whether the file tells shares, so that one that is not known is not to be made of the seconds
    """

    at_s: float
    action: Action
    artist: str = ""
    title: str = ""
    album: str = ""
    seconds: float | None = None
    share: float | None = None
    duration_s: float | None = None
    mbid: str = ""
    track_id: str = ""
    path: str = ""
    listener: str = ""
    section: str | None = None
    rank: int | None = None
    propensity: float | None = None
    has_share: bool = False


class Refused(NamedTuple):
    """A record that is none, and why."""

    place: str
    why: str


Found = tuple[Origin, Listen] | Refused | None  # None: passed over


class _WrongError(ValueError):
    """A record that is none; the text says why."""


def read_listens(path: Path) -> Iterator[Found]:
    """All records of a file, of a folder, or of the files in a zip, one at a time.

    Raises
    ------
    InputError
        If it is a file of another kind, or empty; of several only if all are.
    """
    if path.is_dir():
        yield from _several(path, path)
        return
    with open_untrusted(path, MOST_BYTES, error=InputError) as stream:
        head = stream.read(4)
    if head == b"PK\x03\x04":
        with tempfile.TemporaryDirectory(prefix="mess-") as folder:
            unpack(path, Path(folder) / "files")
            yield from _several(path, Path(folder) / "files")
    else:
        yield from _one(path)


def _several(path: Path, folder: Path) -> Iterator[Found]:
    n_understood = 0
    for each in sorted(folder.rglob("*")):
        if each.is_symlink() or not each.is_file():
            continue
        try:
            found = _one(each, each.relative_to(folder).as_posix())
            first = next(found, None)
        except InputError:  # another kind of file beside them: what they think of a person, a read-me
            continue
        n_understood += 1
        yield first
        yield from found
    if not n_understood:
        raise InputError(f"There is no listening history in {printable(path.name)}.", CURE)


def _one(path: Path, name: str = "") -> Iterator[Found]:
    """The records of one file; the first is only given when one is understood, or the file has ended."""
    shown = printable(name or path.name)
    with open_untrusted(path, MOST_BYTES, error=InputError) as stream:
        head = stream.read(4096)
        if not head.strip():
            raise InputError(f"{shown} is empty.", CURE)
        stream.seek(0)
        prefix = f"{shown}, " if name else ""
        if head.startswith(b"PAR1"):
            rows: Iterator[Found] = _parquet(path, prefix)
        elif head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{"):
            rows = _json(stream, prefix)
        elif b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InputError(f"{shown} is no listening history.", CURE)
        else:
            rows = _table(stream, prefix, shown)
        first = []
        for found in islice(rows, MOST_STRANGE):
            first.append(found)
            if not isinstance(found, Refused):
                break
        else:
            raise InputError(f"{shown} is no listening history: no record in it is understood.", CURE)
        yield from first
        yield from rows


def _refusing(read: Callable[[Any], tuple[Origin, Listen] | None], value: Any, place: str) -> Found:
    try:
        return read(value)
    except _WrongError as error:
        return Refused(place, str(error))


# --- JSON ---------------------------------------------------------------------------------------------------


def _json(stream: BinaryIO, prefix: str) -> Iterator[Found]:
    for record in json_records(stream, PAGES, ARRAYS):
        place = f"{prefix}record {record.number:,}"
        if record.value is None:
            yield Refused(place, f"It cannot be read: {printable(record.wrong)}.")
        else:
            loved = record.page == "lovedtracks"
            yield _refusing(_lastfm_loved if loved else _understood, record.value, place)


def _understood(value: Mapping[str, Any]) -> tuple[Origin, Listen] | None:
    if "track_metadata" in value or ("score" in value and "recording_mbid" in value):
        return _listenbrainz(value)
    if "ms_played" in value or "msPlayed" in value:
        return _spotify(value)
    if "artist" in value and ("date" in value or "@attr" in value):
        return _lastfm(value, "play")
    raise _WrongError("It is no listen of a kind that is known.")


def _lastfm_loved(value: Mapping[str, Any]) -> tuple[Origin, Listen] | None:
    return _lastfm(value, "like")


def _listenbrainz(value: Mapping[str, Any]) -> tuple[Origin, Listen] | None:
    told = _object(value.get("track_metadata"))
    more, mapped = _object(told.get("additional_info")), _object(told.get("mbid_mapping"))
    duration_ms = _number(more.get("duration_ms"))
    length_s = duration_ms / 1000 if duration_ms is not None else _number(more.get("duration"))
    mbids = (value.get("recording_mbid"), more.get("recording_mbid"), mapped.get("recording_mbid"))
    names: dict[str, Any] = {
        "artist": _text(told.get("artist_name")), "title": _text(told.get("track_name")),
        "album": _text(told.get("release_name")), "mbid": next(filter(None, map(_text, mbids)), ""),
    }  # fmt: skip
    action: Action = "play"
    if "score" in value:
        score = _number(value["score"])
        if score == 0:  # taken back
            return None
        if score not in (1, -1):
            raise _WrongError(f"Its score is {_brief(value['score'])}, expected 1 or -1.")
        action = "like" if score == 1 else "dislike"
    elif value.get("listened_at") is None and value.get("playing_now"):
        return None
    at = value.get("created") if action != "play" else value.get("listened_at")
    is_length = length_s is not None and 0 < length_s <= MAX_DURATION_S
    return "listenbrainz", _named(Listen(_when(at), action, duration_s=length_s if is_length else None, **names))


def _spotify(value: Mapping[str, Any]) -> tuple[Origin, Listen] | None:
    is_short = "msPlayed" in value
    played = value["msPlayed" if is_short else "ms_played"]
    milliseconds = _number(played)
    if milliseconds is None or not 0 <= milliseconds <= 1000 * MAX_DURATION_S:
        raise _WrongError(f"It was heard for {_brief(played)} ms, expected 0 to {1000 * MAX_DURATION_S:,.0f}.")
    names: dict[str, Any]
    if is_short:
        names = {"artist": _text(value.get("artistName")), "title": _text(value.get("trackName"))}
        is_skip = False
    else:
        stem = "master_metadata"
        names = {
            "artist": _text(value.get(f"{stem}_album_artist_name")), "title": _text(value.get(f"{stem}_track_name")),
            "album": _text(value.get(f"{stem}_album_album_name")),
        }  # fmt: skip
        skipped = value.get("skipped")  # null in the first years
        is_skip = skipped if isinstance(skipped, bool) else value.get("reason_end") == "fwdbtn"
    at = _when(value.get("endTime" if is_short else "ts"))
    is_music = bool(names["title"])  # else a podcast, a film, a book
    if not is_music or (milliseconds == 0 and not is_skip):
        return None
    return "spotify", _named(Listen(at, "skip" if is_skip else "play", seconds=milliseconds / 1000, **names))


def _lastfm(value: Mapping[str, Any], action: Action) -> tuple[Origin, Listen] | None:
    if _object(value.get("@attr")).get("nowplaying"):
        return None
    date = value.get("date")
    title = value.get("name") if isinstance(value.get("name"), str) else value.get("track")
    names: dict[str, Any] = {
        "artist": _text_within(value.get("artist")), "title": _text(title),
        "album": _text_within(value.get("album")), "mbid": _text(value.get("mbid")),
    }  # fmt: skip
    at = _when(date.get("uts") or date.get("#text") if isinstance(date, Mapping) else date)
    return "lastfm", _named(Listen(at, action, **names))


def _text_within(value: Any) -> str:
    """A name, or an object that has one."""
    told = _object(value)
    return _text(told.get("#text") or told.get("name")) if told else _text(value)


# --- tables -------------------------------------------------------------------------------------------------


def _table(stream: BinaryIO, prefix: str, shown: str) -> Iterator[Found]:
    rows = table_records(stream)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{shown} is empty.", CURE)
    shape = _Shape.of(first.cells)
    rest: Iterable[Any] = rows
    if shape is None and _is_headless(first.cells):
        shape, rest = _Shape("lastfm", dict(zip(WITHOUT_HEADER, range(4), strict=True))), _again(first, rows)
    if shape is None:
        raise InputError(f"{shown} is no listening history.", CURE)
    for row in rest:
        place = f"{prefix}line {row.number:,}"
        yield (
            Refused(place, f"It cannot be read: {row.wrong}.")
            if row.wrong
            else _refusing(shape.read, [undefused(cell) for cell in row.cells], place)
        )


def _again(first: Any, rows: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rows


def _is_headless(cells: Sequence[str]) -> bool:
    try:
        return len(cells) == 4 and bool(cells[2]) and _when(cells[3]) >= 0
    except _WrongError:
        return False


def _parquet(path: Path, prefix: str) -> Iterator[Found]:
    with open_parquet(path, cure=CURE, error=InputError) as table:
        shape = _Shape.of(table.names)
        if shape is None:
            raise InputError(f"{table.name} is no listening history.", CURE)
        number = 0
        for batch in table.batches([table.names[place] for place in shape.places.values()]):
            narrow = _Shape(shape.origin, {name: place for place, name in enumerate(shape.places)})
            for cells in batch:
                number += 1
                yield _refusing(narrow.read, cells, f"{prefix}row {number:,}")


class _Shape(NamedTuple):
    """Which cell of a row tells what."""

    origin: Origin
    places: dict[str, int]

    @classmethod
    def of(cls, header: Sequence[str]) -> _Shape | None:
        """None where it is no header of a table of listens."""
        names = [name.strip().lstrip("#").casefold().partition("#")[0] for name in header]
        places = {
            column: next(names.index(each) for each in known if each in names)
            for column, known in COLUMNS.items()
            if any(each in names for each in known)
        }
        tells_what = {"track_id", "path"} & places.keys() or {"artist", "title"} <= places.keys()
        if not tells_what or "time" not in places:
            return None
        return cls("table" if OWN_COLUMNS & places.keys() else "lastfm", places)

    def read(self, cells: Sequence[Any]) -> tuple[Origin, Listen] | None:
        given = {name: cells[place] for name, place in self.places.items() if place < len(cells)}
        said = {name: _text(given.get(name)) for name in ("artist", "title", "album", "mbid", "track_id", "path")}
        action = ACTIONS.get(_text(given.get("action")).casefold())
        if action is None:
            raise _WrongError(f"Its action is {_brief(given['action'])}, expected play, skip, like or dislike.")
        seconds = _within(given, "seconds", 0, MAX_DURATION_S)
        rank = _within(given, "rank", 1, 1e9)
        propensity = _within(given, "propensity", 0, 1)
        return self.origin, _named(
            Listen(
                _when(given.get("time")), action, seconds=seconds, share=_within(given, "share", 0, 1),
                duration_s=_within(given, "duration_s", 0, math.inf), listener=_text(given.get("listener")),
                section=_text(given.get("section")) or None, rank=None if rank is None else int(rank),
                has_share="share" in self.places,
                propensity=propensity or None, **said,
            )
        )  # fmt: skip


def _within(given: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    found = _number(value)
    if found is None or not low <= found <= high:
        raise _WrongError(f"Its {name} is {_brief(value)}, expected {low:g} to {high:,g}.")
    return found


# --- values -------------------------------------------------------------------------------------------------


def _named(listen: Listen) -> Listen:
    if not (listen.title or listen.mbid or listen.track_id or listen.path):
        raise _WrongError("It says no track.")
    return listen


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    """Text, as far as it is any; half characters are replaced."""
    if not isinstance(value, str):
        return ""
    text = value.strip()[:MOST_NAME]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _number(value: Any) -> float | None:
    """A finite number, also one that is written as text; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _when(value: Any) -> float:
    """Seconds since 1970."""
    number = _number(value)
    if number is not None:
        at_s = number / 1000 if number > FIRST_MS else number
    else:
        at = value if isinstance(value, datetime) else _date(value)
        at_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if not 0 <= at_s < LATEST_S:
        raise _WrongError(f"Its time is {_brief(value)}, expected one since 1970.")
    return at_s


def _date(value: Any) -> datetime:
    if not isinstance(value, str) or not value.strip():
        raise _WrongError("It says no time." if value in (None, "") else f"{_brief(value)} is no time.")
    text = value.strip()
    try:
        if match := _DATE.match(text):
            day, month, year, hour, minute, second = match.groups()
            return datetime(int(year), MONTHS[month.lower()], int(day), int(hour), int(minute), int(second or 0))
        return datetime.fromisoformat(text)
    except (ValueError, KeyError) as error:
        raise _WrongError(f"{_brief(value)} is no time; expected as 2026-05-01T12:00:00.") from error


def _brief(value: Any) -> str:
    return printable(repr(value)[:60])
