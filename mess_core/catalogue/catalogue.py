"""The catalogue: which tracks there are, where their files lie, and which libraries they are in.

A track is what a person sees and clicks; its identity is the content of its audio file, so the same bytes at two paths
are one track with two files, and a moved file is still the same track. A path has one track: where a file's bytes
changed, the track of the new bytes takes over what was known of the old one (see `takeover`). A *library* is a named
set of tracks; `all` is the union of them. An upload is a track that is in no library.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mess_core.catalogue.passages import Passages, ScoreTimes
from mess_core.catalogue.takeover import CarriedEmbedding, Changed, Place, audio_places, current_id, is_gone, settle
from mess_core.config import ALL as ALL
from mess_core.config import MIN_DURATION_S, SHORT_S, UPLOAD_KEEP_S
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, MessError, UnknownTrackError
from mess_core.spelling import did_you_mean
from mess_core.storage.database import Database, Guard
from mess_core.storage.files import inside
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import parse_json_value, printable

TRACK_ID_DIGITS = 16
FORGETS = "It is never followed; `check --repair` forgets it."
MIN_SILENCE_S = 5.0  # that is worth a word
MONO_ON_TWO_SPEAKERS_LU = 3.01  # 10 log10(2), BS.1770 adds the power of the channels


@dataclass(frozen=True)
class Track:
    """One row of the catalogue. Names are untrusted text; what is not known is None."""

    track_id: str
    sha256: str
    title: str
    duration_s: float
    sample_rate_hz: int
    n_channels: int
    codec: str
    is_truncated: bool = False
    loudness_lufs: float | None = None
    work: str | None = None
    composer: str | None = None
    performer: str | None = None
    instrument: str | None = None
    session: str | None = None
    split: str | None = None
    collection: str | None = None
    album: str | None = None
    album_artist: str | None = None
    disc: str | None = None
    movement: str | None = None
    conductor: str | None = None
    samples_sha256: str | None = None
    sounding_s: str | None = None
    downmix: str | None = None

    @property
    def heard_lufs(self) -> float | None:
        """Loudness as heard from two speakers: both play a mono file, which doubles its power."""
        if self.loudness_lufs is None:
            return None
        return self.loudness_lufs + (MONO_ON_TWO_SPEAKERS_LU if self.n_channels == 1 else 0.0)

    @property
    def extent_s(self) -> tuple[float, float]:
        """From the first sound to the last, in seconds; all of it where that is not known."""
        spans_s = _spans_s(self.sounding_s)
        return (spans_s[0][0], spans_s[-1][1]) if spans_s else (0.0, self.duration_s)

    @property
    def notices(self) -> tuple[str, ...]:
        """What is to be known before it is compared with others, a sentence each."""
        spans_s = _spans_s(self.sounding_s)
        sounding_s = sum(end_s - start_s for start_s, end_s in spans_s)
        said = []
        if self.is_truncated:
            said.append("The file breaks off before its header says it should.")
        if self.downmix == "energy":
            said.append("Its channels cancel each other: one was turned over before they were mixed.")
        length_s = sounding_s or self.duration_s
        if MIN_DURATION_S <= length_s < SHORT_S:
            said.append(f"It sounds for less than {SHORT_S:g} s: encoders hear it repeated.")
        elif spans_s and self.duration_s - sounding_s >= MIN_SILENCE_S:
            said.append(f"{self.duration_s - sounding_s:.0f} s of it are silence, which takes no part in a comparison.")
        return tuple(said)


def _spans_s(sounding_s: str | None) -> list[tuple[float, float]]:
    """The spans of a catalogue row, seconds; none where they are not known, or are not what we write."""
    try:
        spans = parse_json_value(sounding_s or "[]", "the spans of a track")
        return [(float(start_s), float(end_s)) for start_s, end_s in spans]
    except (MessError, ValueError, TypeError):
        return []


@dataclass(frozen=True)
class NewTrack:
    """A track as a data set hands it over: the facts of its audio, and where its files lie."""

    track: Track
    audio: Path
    companions: Mapping[str, Path] = field(default_factory=dict)  # role (midi, score) -> path
    planted: Mapping[str, float] = field(default_factory=dict)
    score_times: Sequence[ScoreTimes] = ()
    details: Mapping[str, str] | None = None  # None: nothing is said of them, what is known stays


@dataclass(frozen=True)
class Described:
    """What a collection says of a track whose audio is known and has not changed. names : by the words of `Track`"""

    track_id: str
    names: Mapping[str, str]
    companions: Mapping[str, Path] = field(default_factory=dict)
    score_times: Sequence[ScoreTimes] = ()
    details: Mapping[str, str] | None = None


@dataclass(frozen=True)
class MissingTrack:
    """A track of which no file is left. path : where one was"""

    track_id: str
    title: str
    path: Path


@dataclass(frozen=True)
class SeenFile:
    """Where a file of a track was seen, and how it was then. role : audio | midi | score; name : below the root"""

    track_id: str
    role: str
    root: Path
    name: str | bytes
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Lost:
    """Recordings whose files are no more where they were; one that was retagged may be among the new ones.

    samples : their hashes
    lengths : rate in Hz, channels and whole seconds of each; None for seconds where it broke off before its end
    """

    samples: set[str] = field(default_factory=set)
    lengths: set[tuple[int, int, int | None]] = field(default_factory=set)

    def may_have(self, track: Track) -> bool:
        """Whether a new file may be one of them, by its header: decoding it tells. Headers may be wrong by a second."""
        whole_s = int(track.duration_s)
        seconds = (None, whole_s - 1, whole_s, whole_s + 1)
        return any((track.sample_rate_hz, track.n_channels, each) in self.lengths for each in seconds)


@dataclass(frozen=True)
class LibrarySummary:
    """A library at a glance."""

    name: str
    n_tracks: int


NAMES = (  # what a person may write over
    "title", "work", "movement", "composer", "performer", "conductor", "instrument", "album", "album_artist", "disc",
    "session", "split",
)  # fmt: skip
FILTERS = ("composer", "performer", "instrument", "collection", "split")  # by which a search can be narrowed
OF_THE_FILE = ("sha256", "duration_s", "sample_rate_hz", "n_channels", "codec")
UNKNOWN_CODEC = "unknown"  # of a track of which only embeddings are known, until its file is met again
TRACK_FIELDS = tuple(f.name for f in fields(Track))
LENGTHS = "tracks INDEXED BY tracks_by_length USING (track_id)"  # of which no more is read than id and duration_s
MOST_LISTED = 50_000  # found tracks whose rows are noted before they are put in order
MOST_PASSED = 4  # rows of a table are passed over as fast as one of them is found by its id
AMONG = "IN (SELECT value FROM json_each(?))"  # of a JSON list: any number of ids in one question
ROWS = ("tracks", "library_tracks")  # the tables that say which tracks a library has, and all that a Track tells
TRACK_COLUMNS = ", ".join(f"tracks.{name}" for name in TRACK_FIELDS)
_TRUNCATED = TRACK_FIELDS.index("is_truncated")
# A known track takes on the names of a collection that describes it; what that does not know stays.
INSERT_TRACK = (
    f"INSERT INTO tracks ({', '.join(TRACK_FIELDS)}, added_at) VALUES ({', '.join('?' * len(TRACK_FIELDS))}, ?)"
    " ON CONFLICT (track_id) DO UPDATE SET"
    f" title = iif(excluded.collection IS NULL AND codec != '{UNKNOWN_CODEC}', title, excluded.title), "
    + ", ".join(f"{name} = iif(codec = '{UNKNOWN_CODEC}', excluded.{name}, {name})" for name in OF_THE_FILE)
    + ", "
    + ", ".join(f"{name} = coalesce(excluded.{name}, {name})" for name in (*NAMES[1:], "collection"))
)


def track_id_of(sha256: str) -> str:
    return sha256[:TRACK_ID_DIGITS]


def members(library: str) -> str:
    """The ids of a library's tracks, each once, as what is selected from; asked with `{"library": library}`."""
    of = "" if library == ALL else " WHERE library = :library"
    return f"(SELECT {'DISTINCT ' if library == ALL else ''}track_id FROM library_tracks{of})"


def is_member(library: str, column: str = "tracks.track_id") -> str:
    """Whether a track is of a library, as a condition on the column of its id; asked likewise. For a few rows."""
    of = "" if library == ALL else "library = :library AND "
    return f"EXISTS (SELECT 1 FROM library_tracks AS own WHERE {of}own.track_id = {column})"


def is_member_of_many(library: str, column: str = "tracks.track_id") -> str:
    """The same for all rows: where the library holds every track, which is counted once, none of them is looked for.

    That would take ten times as long as reading them.
    """
    all_are = f"(SELECT count(*) FROM {members(library)}) = (SELECT count(*) FROM tracks)"
    return f"({all_are} OR {is_member(library, column)})"


class Catalogue:
    """Tracks, files and libraries of one data folder."""

    def __init__(self, paths: Paths, database: Database) -> None:
        self.paths = paths
        self.database = database
        self.passages = Passages(database)
        self.remembered = database.remembered

    # --- reading --------------------------------------------------------------------------------------------

    def libraries(self) -> list[LibrarySummary]:
        """Every library, the largest first."""

        def read() -> list[LibrarySummary]:
            rows = self.database.connection.execute(
                "SELECT library AS name, count(*) AS n_tracks FROM library_tracks GROUP BY library"
                " ORDER BY n_tracks DESC, library"
            )
            return [LibrarySummary(**row) for row in rows]

        return list(self.remembered("libraries", read, ("library_tracks",)))

    def sharing(self, library: str) -> list[str]:
        """The other libraries that hold some of its tracks, by name."""
        rows = self.database.connection.execute(
            "SELECT DISTINCT library FROM library_tracks WHERE library != ? AND track_id IN"
            " (SELECT track_id FROM library_tracks WHERE library = ?) ORDER BY library",
            (library, library),
        )
        return [str(row["library"]) for row in rows]

    def length_s(self, library: str) -> float:
        """How long all tracks of a library are together, in seconds."""

        def read() -> float:
            (seconds,) = self.database.connection.execute(
                f"SELECT total(duration_s) FROM tracks INDEXED BY tracks_by_length WHERE {is_member_of_many(library)}",
                {"library": library},
            ).fetchone()
            return float(seconds)

        return float(self.remembered(("length_s", library), read, ROWS))

    def tracks(self, library: str) -> list[Track]:
        """The tracks of a library, ordered by track id: the order of every array made from them."""
        rows = self.database.connection.execute(
            f"SELECT {TRACK_COLUMNS} FROM {members(library)} JOIN tracks USING (track_id) ORDER BY track_id",
            {"library": library},
        )
        return [_track(row) for row in rows]

    def find(self, library: str, text: str = "", limit: int | None = None) -> tuple[list[Track], int]:
        """Tracks whose names hold every word of a text, by title, and how many there are in all.

        Parameters
        ----------
        text : str
            Words in any order, of the names of a track (`NAMES`) or its details; or its id.
        limit : int, optional
            How many are read at most.
        """
        connection, words = self.database.connection, text.split()
        asked: dict[str, Any] = {"library": library, "limit": -1 if limit is None else limit}
        for n, word in enumerate(words):
            asked |= {f"word{n}": word, f"part{n}": f"%{_literal(word)}%"}
        here, where = self._tracks_of(library), "".join(f" AND {_has_word(n)}" for n in range(len(words)))
        is_here = is_member_of_many(library) if limit is None else is_member(library)
        by_title = f"tracks WHERE {is_here}" if self._is_most(library) else here
        n_found = self.n_tracks(library)
        if words:
            # Names are read once: what has the words is counted by finding it, unless it is much. Of much, the first by
            # title come soon where the index of titles is gone along.
            found = connection.execute(f"SELECT tracks.rowid FROM {here}{where} LIMIT {MOST_LISTED}", asked).fetchall()
            n_found = len(found)
            if n_found < MOST_LISTED:
                by_title, where = "tracks WHERE rowid IN (SELECT value FROM json_each(:found))", ""
                asked["found"] = json.dumps([rowid for (rowid,) in found])
            else:
                (n_found,) = connection.execute(f"SELECT count(*) FROM {here}{where}", asked).fetchone()
        rows = connection.execute(
            f"SELECT {TRACK_COLUMNS} FROM {by_title}{where} ORDER BY title, track_id LIMIT :limit", asked
        )
        return [_track(row) for row in rows], n_found

    def added_s(self, library: str) -> Mapping[str, float]:
        """When each track of a library was registered, seconds since 1970, by track id."""

        def read() -> dict[str, float]:
            rows = self.database.connection.execute(
                f"SELECT track_id, added_at FROM {self._tracks_of(library)}", {"library": library}
            )
            return dict(map(tuple, rows))

        known: dict[str, float] = self.remembered(("added_s", library), read, ROWS)
        return known

    def track_ids(self, library: str) -> list[str]:
        """The ids of a library's tracks, in order."""

        def read() -> list[str]:
            rows = self.database.connection.execute(
                f"SELECT track_id FROM {members(library)} ORDER BY track_id", {"library": library}
            )
            return [track_id for (track_id,) in rows]

        return list(self.remembered(("track_ids", library), read, ROWS))

    def first_ids(self, library: str, most: int) -> list[str]:
        """The first of `track_ids`."""
        rows = self.database.connection.execute(
            f"SELECT track_id FROM {members(library)} ORDER BY track_id LIMIT :most", {"library": library, "most": most}
        )
        return [track_id for (track_id,) in rows]

    def content(self, library: str) -> int:
        """A number, of this process, that is another where anything that `tracks` gives is."""

        def read() -> int:
            rows = self.database.connection.execute(
                f"SELECT {TRACK_COLUMNS} FROM {members(library)} JOIN tracks USING (track_id) ORDER BY track_id",
                {"library": library},
            )
            return hash(tuple(map(tuple, rows)))

        return int(self.remembered(("content", library), read, ROWS))

    def n_tracks(self, library: str) -> int:
        """How many tracks a library has."""

        def read() -> int:
            (n_tracks,) = self.database.connection.execute(
                f"SELECT count(*) FROM {members(library)}", {"library": library}
            ).fetchone()
            return int(n_tracks)

        return int(self.remembered(("n_tracks", library), read, ("library_tracks",)))

    def _is_most(self, library: str) -> bool:
        """Whether its rows are found sooner by passing over those of other libraries than by looking for each."""
        return self.n_tracks(library) * MOST_PASSED > self.n_tracks(ALL)

    def _tracks_of(self, library: str) -> str:
        """The tracks of a library in no order, with a condition to which others may be added; asked as `members`."""
        if self._is_most(library):
            return f"tracks NOT INDEXED WHERE {is_member_of_many(library)}"
        return f"{members(library)} CROSS JOIN tracks USING (track_id) WHERE TRUE"

    def labels(self, library: str) -> Mapping[str, str]:
        """What one finds a track of a library by, by track id: its title, then who plays it, on what, and whose it is.

        A name that the title says already is not repeated.
        """

        def read() -> dict[str, str]:
            rows = self.database.connection.execute(
                "SELECT track_id, title, performer, instrument, composer"
                f" FROM {self._tracks_of(library)} ORDER BY title, track_id",
                {"library": library},
            )
            return {track_id: _label(title, names) for track_id, title, *names in rows}

        of = self.remembered.version_of(*ROWS)
        labels: dict[str, str] = self.remembered.made_of(("labels", library), of, read)
        return labels

    def names(self, library: str) -> Mapping[str, Sequence[str]]:
        """Which names occur in a library, in order, by what it can be narrowed by (`FILTERS`)."""

        def read() -> dict[str, list[str]]:
            rows = self.database.connection.execute(
                f"SELECT DISTINCT {', '.join(FILTERS)} FROM {self._tracks_of(library)}", {"library": library}
            ).fetchall()
            return {kind: sorted({row[kind] for row in rows if row[kind]}) for kind in FILTERS}

        of = self.remembered.version_of(*ROWS)
        names: dict[str, list[str]] = self.remembered.made_of(("names", library), of, read)
        return names

    def details(self, library: str) -> Mapping[str, Mapping[str, str]]:
        """What the user's own table says further of tracks: track id -> column -> text."""

        def read() -> dict[str, dict[str, str]]:
            rows = self.database.connection.execute(
                "SELECT track_id, name, value FROM details"
                f" WHERE {is_member_of_many(library, 'details.track_id')} ORDER BY track_id, rowid",
                {"library": library},
            )
            found: dict[str, dict[str, str]] = {}
            for row in rows:
                found.setdefault(row["track_id"], {})[row["name"]] = row["value"]
            return found

        details: dict[str, dict[str, str]] = self.remembered(("details", library), read, ("details", *ROWS))
        return details

    def detail_names(self, library: str) -> list[str]:
        """The columns of which any track of a library has a value, in order."""

        def read() -> list[str]:
            rows = self.database.connection.execute(
                "SELECT name, rowid, min(track_id) AS first FROM details"
                f" WHERE {is_member_of_many(library, 'details.track_id')} GROUP BY name ORDER BY first, rowid",
                {"library": library},
            )
            return [row["name"] for row in rows]

        return list(self.remembered(("detail_names", library), read, ("details", *ROWS)))

    def detail_values(self, library: str) -> list[tuple[str, str]]:
        """What the columns say that tell recordings apart: pairs of column and text that at least two tracks share."""
        counts = Counter(pair for details in self.details(library).values() for pair in details.items())
        return sorted(pair for pair, n_tracks in counts.items() if n_tracks > 1)

    def values_of(self, library: str, name: str) -> list[str]:
        """What tracks of a library have as one of their names, or in a column of the user's own table, in order."""
        said = {details[name] for details in self.details(library).values() if name in details}
        if name in (*NAMES, *FILTERS):
            rows = self.database.connection.execute(
                f"SELECT DISTINCT {name} AS value FROM {self._tracks_of(library)}", {"library": library}
            )
            said |= {row["value"] for row in rows if row["value"]}
        return sorted(said)

    def names_said(self, library: str) -> list[str]:
        """Which names (`NAMES`, `FILTERS`) any track of a library has."""

        def read() -> list[str]:
            known = dict.fromkeys((*NAMES, *FILTERS))
            row = self.database.connection.execute(
                f"SELECT {', '.join(f'max({name}) AS {name}' for name in known)} FROM {self._tracks_of(library)}",
                {"library": library},
            ).fetchone()
            return [name for name in known if row[name]]

        return list(self.remembered(("names said", library), read, ROWS))

    def details_of(self, track_id: str) -> dict[str, str]:
        return self.details_of_many([track_id]).get(track_id, {})

    def details_of_many(self, track_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """As `details`, of these tracks."""
        rows = self.database.connection.execute(
            f"SELECT track_id, name, value FROM details WHERE track_id {AMONG} ORDER BY rowid", (json.dumps(track_ids),)
        )
        found: dict[str, dict[str, str]] = {}
        for row in rows:
            found.setdefault(row["track_id"], {})[row["name"]] = row["value"]
        return found

    def is_in_library(self, track_id: str) -> bool:
        """False for an upload that joined none."""
        row = self.database.connection.execute(
            "SELECT 1 FROM library_tracks WHERE track_id = ?", (track_id,)
        ).fetchone()
        return row is not None

    def require_library(self, library: str) -> None:
        names = [summary.name for summary in self.libraries()]
        if library not in (*names, ALL):
            known = ", ".join(names) or "none yet"
            raise UnknownTrackError(
                f"There is no library called {library!r}; there is: {known}.",
                did_you_mean(library, [*names, ALL], otherwise="Make the demo library with: python -m mess_core demo"),
            )

    def track(self, track_id: str) -> Track:
        """A track, by its id or by one that its file had before its bytes changed."""
        row = self._track_row(track_id) or self._track_row(current_id(self.database.connection, track_id))
        if row is None:
            raise UnknownTrackError(f"There is no track {track_id!r} in the catalogue.")
        return _track(row)

    def tracks_of(self, track_ids: Sequence[str]) -> dict[str, Track]:
        """Those of these tracks that are in the catalogue, by their ids, in no order."""
        rows = self.database.connection.execute(
            f"SELECT {TRACK_COLUMNS} FROM tracks WHERE track_id {AMONG}", (json.dumps(track_ids),)
        )
        return {row["track_id"]: _track(row) for row in rows}

    def has(self, track_id: str) -> bool:
        """Whether this very content is catalogued."""
        return self._track_row(track_id) is not None

    def _track_row(self, track_id: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.database.connection.execute(
            f"SELECT {TRACK_COLUMNS} FROM tracks WHERE track_id = ?", (track_id,)
        ).fetchone()
        return row

    def find_sha256(self, sha256: str) -> Track | None:
        row = self.database.connection.execute(
            f"SELECT {TRACK_COLUMNS} FROM tracks WHERE sha256 = ?", (sha256,)
        ).fetchone()
        return _track(row) if row else None

    def file_paths(self, track_id: str, role: str = "audio") -> list[Path]:
        """Every path at which a track's file was seen, whether or not it is there now.

        A track that came with another library has no audio here: a path of its own stands for it, at which nothing is.
        """
        rows = self.database.connection.execute(
            "SELECT roots.path AS root, relative_path FROM files JOIN roots USING (root_id)"
            " WHERE track_id = ? AND role = ? ORDER BY root_id, relative_path",
            (track_id, role),
        )
        paths = []
        for row in rows:
            with contextlib.suppress(ArtefactMismatchError):  # `check` names it; nothing is read or served by it
                paths.append(self._file(row["root"], row["relative_path"]))
        return paths or ([self._absent(track_id)] if role == "audio" else [])

    def file_paths_of(self, track_ids: Sequence[str]) -> dict[str, list[Path]]:
        """As `file_paths`, of the audio of each of these tracks."""
        rows = self.database.connection.execute(
            "SELECT track_id, roots.path AS root, relative_path FROM files JOIN roots USING (root_id)"
            f" WHERE track_id {AMONG} AND role = 'audio' ORDER BY root_id, relative_path",
            (json.dumps(track_ids),),
        )
        paths: dict[str, list[Path]] = {track_id: [] for track_id in track_ids}
        for row in rows:
            with contextlib.suppress(ArtefactMismatchError):
                paths[row["track_id"]].append(self._file(row["root"], row["relative_path"]))
        return {track_id: found or [self._absent(track_id)] for track_id, found in paths.items()}

    def likely_audio_path(self, track_id: str) -> Path:
        """A path at which the audio is now; where it is nowhere, the first at which it was seen."""
        return _likely(self.file_paths(track_id))

    def likely_audio_paths(self, track_ids: Sequence[str]) -> dict[str, Path]:
        """The same of each of these tracks."""
        return {track_id: _likely(paths) for track_id, paths in self.file_paths_of(track_ids).items()}

    def audio_path(self, track_id: str) -> Path:
        """A path at which the audio is now.

        Raises
        ------
        DataMissingError
            If the file is nowhere it was seen: the disk may be unmounted; nothing is forgotten.
        """
        path = self.likely_audio_path(track_id)
        if path == self._absent(track_id):
            raise DataMissingError(
                f"The audio of {self.track(track_id).title!r} was never here: it came with an imported library.",
                "If you have the recording, add its folder: python -m mess_core add FOLDER",
            )
        if not path.is_file():
            raise DataMissingError(
                f"The audio of {self.track(track_id).title!r} is not at {path}.",
                "Mount the disk or move the file back; nothing is forgotten meanwhile.",
            )
        return path

    def missing_roots(self) -> list[Path]:
        """Folders that hold catalogued music and are not there now."""
        rows = self.database.connection.execute("SELECT path FROM roots").fetchall()
        return [root for row in rows if (root := self._root(row["path"])) is not None and not root.exists()]

    def missing_files(self, library: str, roots: Collection[Path] = ()) -> list[MissingTrack]:
        """Tracks of a library of which no file is left, by path.

        What lies on a folder that is not there, or is empty as a mount point is, does not count: its disk may come
        back. What never had a file here, as an imported track, does not count either.

        Parameters
        ----------
        roots : collection of Path
            Folders of which it is known that they will not come back: what was below them is gone, too.
        """
        rows = self.database.connection.execute(
            "SELECT track_id, title, root_id, relative_path FROM files JOIN tracks USING (track_id)"
            f" WHERE role = 'audio' AND track_id IN (SELECT track_id FROM {members(library)})"
            " ORDER BY track_id, root_id, relative_path",
            {"library": library},
        ).fetchall()
        stored = {row["root_id"]: self._root(row["path"]) for row in self._roots()}
        given_up = [root.resolve() for root in roots]
        missing: dict[str, MissingTrack] = {}
        there: set[str] = set()
        for row in rows:
            root, name = stored[row["root_id"]], os.fsdecode(row["relative_path"])
            path = (self.paths.root if root is None else root) / name
            is_given_up = any(path.is_relative_to(each) for each in given_up) and not path.is_file()
            if root is None or is_given_up or is_gone(root, name):
                missing.setdefault(row["track_id"], MissingTrack(row["track_id"], row["title"], path))
            else:
                there.add(row["track_id"])
        return sorted((each for each in missing.values() if each.track_id not in there), key=lambda each: each.path)

    def planted(self, library: str) -> dict[str, dict[str, float]]:
        """Truth known by construction: track_id -> name -> value."""
        ids = {track.track_id for track in self.tracks(library)}
        truth: dict[str, dict[str, float]] = {}
        for row in self.database.connection.execute("SELECT * FROM planted ORDER BY track_id, name"):
            if row["track_id"] in ids:
                truth.setdefault(row["track_id"], {})[row["name"]] = row["value"]
        return truth

    def known_files(self, root: Path) -> dict[str, tuple[int, int, str]]:
        """Audio files already seen under a root: relative path -> (size_bytes, mtime_ns, track_id).

        A path that an older MESS gave to two tracks is none of them: it is read again, and gets the one that it is.
        """
        rows = self.database.connection.execute(
            "SELECT relative_path, size_bytes, mtime_ns, track_id FROM files JOIN roots USING (root_id)"
            " WHERE role = 'audio' AND roots.path = ? GROUP BY relative_path HAVING count(DISTINCT track_id) = 1",
            (self._stored_root(root),),
        )
        return {
            os.fsdecode(row["relative_path"]): (row["size_bytes"], row["mtime_ns"], row["track_id"]) for row in rows
        }

    def tracks_at(self, path: Path) -> list[str]:
        """The ids of the tracks whose audio was seen at a path, under whichever root; at most one, but for old doubles.

        The path's folder is taken as the disk has it; a link to a file is a path of its own.
        """
        return [row["track_id"] for place in self._places(path) for row in self._at(place)]

    def lost(self) -> Lost:
        """What has known samples and no file where, and as, it was seen: retagged, it may lie elsewhere.

        What lies on a folder that is not there does not count, as in `missing_files`.
        """
        rows = self.database.connection.execute(
            "SELECT track_id, samples_sha256, sample_rate_hz, n_channels, duration_s, is_truncated,"
            " root_id, relative_path, size_bytes, mtime_ns FROM files JOIN tracks USING (track_id)"
            " WHERE role = 'audio' AND samples_sha256 IS NOT NULL"
        ).fetchall()
        roots = {row["root_id"]: self._root(row["path"]) for row in self._roots()}
        there: set[str] = set()
        for row in rows:
            root, name = roots[row["root_id"]], os.fsdecode(row["relative_path"])
            if not (root is None or _is_other(root, name, (row["size_bytes"], row["mtime_ns"]))):
                there.add(row["track_id"])
        found = Lost()
        for row in rows:
            if row["track_id"] not in there:
                found.samples.add(row["samples_sha256"])
                form = row["sample_rate_hz"], row["n_channels"]
                found.lengths.add((*form, None if row["is_truncated"] else int(row["duration_s"])))
        return found

    def changes(self, new_tracks: Sequence[NewTrack]) -> list[Changed]:
        """From which known tracks new ones may take over: those at their path, and those of their samples.

        A track of equal samples counts where it lost a path to other bytes among these, or has none left at all.
        A copy that was retagged while the first stays takes nothing, and neither does one that was known before.
        """
        changed: dict[tuple[str, str], Changed] = {}
        of_samples: dict[str, list[str]] = {}
        for new in new_tracks:
            track_id, samples = new.track.track_id, new.track.samples_sha256
            for place in self._places(new.audio):
                for row in self._at(place):
                    if row["track_id"] != track_id:
                        change = changed.setdefault((row["track_id"], track_id), Changed(row["track_id"], track_id))
                        change.places.add(place)
                        change.companions.update(
                            (role, each) for role, path in new.companions.items() for each in self._places(path)
                        )
            if samples is not None and track_id not in of_samples.setdefault(samples, []):
                of_samples[samples].append(track_id)
        there = {new.track.track_id for new in new_tracks}
        losing = {change.old_id for change in changed.values()}
        taken = {place for change in changed.values() for place in change.places}
        for samples, new_ids in of_samples.items():
            rows = self.database.connection.execute(
                "SELECT track_id FROM tracks WHERE samples_sha256 = ? ORDER BY added_at DESC, track_id", (samples,)
            )
            known = {row["track_id"]: None for row in rows}  # in order
            settled = {pair for pair in changed if pair[0] in known and pair[1] in new_ids}  # at the same path
            done = {track_id for pair in settled for track_id in pair}
            old_ids = [
                track_id
                for track_id in known
                if track_id not in there | done and (track_id in losing or self._has_no_path(track_id, taken))
            ]
            heirs = [track_id for track_id in new_ids if track_id not in done and not self.has(track_id)]
            for n, track_id in enumerate(heirs if old_ids else ()):  # one each; the last one for all that are left
                old_id = old_ids[min(n, len(old_ids) - 1)]
                changed[old_id, track_id] = Changed(old_id, track_id)
        return list(changed.values())

    def _has_no_path(self, track_id: str, taken: Collection[Place]) -> bool:
        """Whether a track that had paths has none left. An imported one never had any, and waits for its own file."""
        places = audio_places(self.database.connection, track_id)
        return bool(places) and all(place in taken or self._is_gone(place) for place in places)

    def seen(self, track_ids: Sequence[str]) -> list[SeenFile]:
        """Where the files of these tracks were seen; what leads out of the data folder is left out."""
        roots = {row["root_id"]: self._root(row["path"]) for row in self._roots()}
        rows = self.database.connection.execute(
            f"SELECT track_id, role, root_id, relative_path, size_bytes, mtime_ns FROM files WHERE track_id {AMONG}"
            " ORDER BY track_id, role, root_id, relative_path",
            (json.dumps(track_ids),),
        )
        return [
            SeenFile(track_id, role, root, *rest)
            for track_id, role, at, *rest in rows
            if (root := roots[at]) is not None
        ]

    # --- writing --------------------------------------------------------------------------------------------

    def note_seen(self, files: Iterable[SeenFile]) -> None:
        """Enter where files of known tracks were seen by another data folder; what is known here stays."""
        with self.database.transaction() as connection:
            root_ids: dict[Path, int] = {}
            for each in files:
                if each.root not in root_ids:
                    root_ids[each.root] = self._root_id(connection, each.root)
                connection.execute(
                    "INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?, ?)",
                    (each.track_id, each.role, root_ids[each.root], each.name, each.size_bytes, each.mtime_ns),
                )

    def add(
        self,
        root: Path,
        new_tracks: Iterable[NewTrack],
        library: str | None,
        *,
        carried: Mapping[tuple[str, str], Sequence[CarriedEmbedding]] | None = None,
        since: float | None = None,
        guard: Guard | None = None,
    ) -> list[str]:
        """Register tracks whose files lie under `root`, in one transaction. Copies nothing.

        A track that is known gets its new path and the names a collection has for it; what was edited by hand stays.
        Where other bytes lay at a path before, their track gives way (see `takeover`).

        Parameters
        ----------
        carried : mapping
            (old id, new id) -> embeddings of the old track, written again under the new id: of equal samples.
        since : float, optional
            When the scan began (s since the epoch): a track that was there before and lies elsewhere too is not the
            one that a changed file has become. By default, now.
        guard : callable, optional
            Called with the connection inside the transaction; raises if the writer has lost its right to write.

        Returns
        -------
        list of str
            Files of embeddings that no row points to any more, relative to the data folder.
        """
        check_library_name(library)
        since = time.time() if since is None else since
        with self.database.transaction() as connection:
            if guard is not None:
                guard(connection)
            write_files = self._file_writer(connection, root)
            new_tracks = list(new_tracks)
            changed = self.changes(new_tracks)
            for new in new_tracks:
                track_id = new.track.track_id
                connection.execute("DELETE FROM replaced WHERE old_track_id = ?", (track_id,))  # these bytes are back
                connection.execute(INSERT_TRACK, (*(getattr(new.track, name) for name in TRACK_FIELDS), time.time()))
                _apply_edits(connection, track_id)
                self.passages.write(track_id, new.score_times)
                _write_details(connection, track_id, new.details)
                write_files(track_id, {"audio": new.audio, **new.companions})
                connection.executemany(
                    "INSERT OR REPLACE INTO planted VALUES (?, ?, ?)",
                    [(track_id, name, value) for name, value in new.planted.items()],
                )
                if library is not None:
                    connection.execute("INSERT OR IGNORE INTO library_tracks VALUES (?, ?)", (library, track_id))
            if not changed:
                return []
            dropped = settle(connection, changed, self._is_gone, carried or {}, since)
            for change in changed:
                _apply_edits(connection, change.new_id)
            return dropped

    def add_nameless(self, track: Track, library: str) -> None:
        """Enter a track of which no file is known; one that is there stays as it is."""
        columns = (*TRACK_FIELDS, "added_at")
        with self.database.transaction() as connection:
            connection.execute(
                f"INSERT OR IGNORE INTO tracks ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                (*(getattr(track, name) for name in TRACK_FIELDS), time.time()),
            )
            connection.execute("INSERT OR IGNORE INTO library_tracks VALUES (?, ?)", (library, track.track_id))

    def forget_moved(self, root: Path) -> None:
        """Forget paths below a root at which a track's file is no more, where it lies elsewhere by now.

        A track of which no file is left keeps every path: the disk may be unmounted.
        """
        with self.database.transaction() as connection:
            rows = connection.execute(
                "SELECT track_id, role, root_id, relative_path FROM files JOIN roots USING (root_id)"
                " WHERE roots.path = ? AND (track_id, role) IN"
                " (SELECT track_id, role FROM files GROUP BY track_id, role HAVING count(*) > 1)",
                (self._stored_root(root),),
            ).fetchall()
            for row in rows:
                others = self.file_paths(row["track_id"], row["role"])
                place = Place(row["root_id"], row["relative_path"])
                if self._is_gone(place) and any(path.is_file() for path in others):
                    connection.execute(
                        "DELETE FROM files WHERE track_id = ? AND role = ? AND root_id = ? AND relative_path = ?",
                        tuple(row),
                    )

    def describe(self, root: Path, described: Iterable[Described], library: str, *, guard: Guard | None = None) -> None:
        """Known tracks join a library and take on what is said of them now; what was edited by hand stays."""
        check_library_name(library)
        columns = (*NAMES, "collection")
        with self.database.transaction() as connection:
            if guard is not None:
                guard(connection)
            write_files = self._file_writer(connection, root)
            for each in described:
                known = {name: each.names[name] for name in columns if each.names.get(name) is not None}
                if known:
                    connection.execute(
                        f"UPDATE tracks SET {', '.join(f'{name} = ?' for name in known)} WHERE track_id = ?",
                        (*known.values(), each.track_id),
                    )
                    _apply_edits(connection, each.track_id)
                self.passages.write(each.track_id, each.score_times)
                _write_details(connection, each.track_id, each.details)
                write_files(each.track_id, each.companions)
                connection.execute("INSERT OR IGNORE INTO library_tracks VALUES (?, ?)", (library, each.track_id))

    def add_details(self, details: Mapping[str, Mapping[str, str]]) -> None:
        """Track id -> column -> text, beside what is known of tracks; a column that is there is written over."""
        with self.database.transaction() as connection:
            for track_id, columns in details.items():
                connection.executemany(
                    "DELETE FROM details WHERE track_id = ? AND name = ?", [(track_id, name) for name in columns]
                )
                connection.executemany(
                    "INSERT INTO details VALUES (?, ?, ?)", [(track_id, *pair) for pair in columns.items()]
                )

    def called(self, library: str) -> dict[str, set[str]]:
        """What each track of a library may be called -> whose name it is. An id is only ever its own track's."""
        known: dict[str, set[str]] = {}
        tracks = self.tracks(library)
        for track in tracks:
            files = self.file_paths(track.track_id)
            for name in {track.title, *(path.name for path in files), *(path.stem for path in files)}:
                known.setdefault(name, set()).add(track.track_id)
        return {**known, **{track.track_id: {track.track_id} for track in tracks}}

    def edit(self, track_id: str, **names: str | None) -> None:
        """Write over a track's names; they stay when its folder or collection is read again.

        Raises
        ------
        InputError
            If a name is none of `NAMES`, or a title is empty.
        """
        track_id = self.track(track_id).track_id
        for name, value in names.items():
            if name not in NAMES:
                raise InputError(f"A track has no {name!r} that can be edited.", f"It has: {', '.join(NAMES)}.")
            if name == "title" and not (value or "").strip():
                raise InputError("A title cannot be empty.", "Every recording is shown by its title.")
        with self.database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO edits VALUES (?, ?, ?)",
                [(track_id, name, (value or "").strip() or None) for name, value in names.items()],
            )
            _apply_edits(connection, track_id)

    def add_to_library(self, library: str, track_ids: Sequence[str]) -> None:
        """Tracks that are known join a library."""
        check_library_name(library)
        with self.database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO library_tracks VALUES (?, ?)", [(library, track_id) for track_id in track_ids]
            )

    def remove_library(self, library: str) -> list[str]:
        """Forget a library; returns the ids of the tracks that are in no other one."""
        with self.database.transaction() as connection:
            rows = connection.execute(
                "SELECT track_id FROM library_tracks WHERE library = ? AND track_id NOT IN"
                " (SELECT track_id FROM library_tracks WHERE library != ?)",
                (library, library),
            ).fetchall()
            connection.execute("DELETE FROM library_tracks WHERE library = ?", (library,))
            return [row["track_id"] for row in rows]

    def remove_tracks(self, track_ids: Sequence[str]) -> None:
        """Forget tracks; no file is touched."""
        with self.database.transaction() as connection:
            connection.executemany("DELETE FROM tracks WHERE track_id = ?", [(track_id,) for track_id in track_ids])
            connection.execute("DELETE FROM roots WHERE root_id NOT IN (SELECT root_id FROM files)")

    def stale_uploads(self, now: float | None = None) -> list[str]:
        """Uploads that joined no library within seven days."""
        limit = (now or time.time()) - UPLOAD_KEEP_S
        rows = self.database.connection.execute(
            "SELECT track_id FROM tracks WHERE added_at < ? AND track_id NOT IN (SELECT track_id FROM library_tracks)",
            (limit,),
        )
        return [row["track_id"] for row in rows]

    def _file_writer(self, connection: sqlite3.Connection, root: Path) -> Callable[[str, Mapping[str, Path]], None]:
        """Writes the files of a track by role; one that does not lie below `root` has its own folder for a root."""
        root_ids: dict[Path, int] = {}  # asked once each: resolving a path asks the disk for every part of it

        def root_id(folder: Path) -> int:
            if folder not in root_ids:
                root_ids[folder] = self._root_id(connection, folder)
            return root_ids[folder]

        def write(track_id: str, files: Mapping[str, Path]) -> None:
            for role, path in files.items():
                own = root if path.is_relative_to(root) else path.parent
                stat = path.stat()
                connection.execute(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)",
                    (track_id, role, root_id(own), _stored_path(path, own), stat.st_size, stat.st_mtime_ns),
                )

        return write

    # --- paths ----------------------------------------------------------------------------------------------

    def _places(self, path: Path) -> list[Place]:
        """Under which roots a path lies, and how it is called there."""
        path = path.parent.resolve() / path.name
        roots = {root: row["root_id"] for row in self._roots() if (root := self._root(row["path"])) is not None}
        return [Place(roots[parent], _stored_path(path, parent)) for parent in path.parents if parent in roots]

    def _roots(self) -> list[sqlite3.Row]:
        return self.database.connection.execute("SELECT root_id, path FROM roots").fetchall()

    def _at(self, place: Place) -> list[sqlite3.Row]:
        return self.database.connection.execute(
            "SELECT DISTINCT track_id FROM files WHERE role = 'audio' AND root_id = ? AND relative_path = ?", place
        ).fetchall()

    def _is_gone(self, place: Place) -> bool:
        (root,) = (self._root(row["path"]) for row in self._roots() if row["root_id"] == place.root_id)
        return root is None or is_gone(root, os.fsdecode(place.relative_path))

    def _root_id(self, connection: sqlite3.Connection, root: Path) -> int:
        stored = self._stored_root(root)
        connection.execute("INSERT OR IGNORE INTO roots (path) VALUES (?)", (stored,))
        row = connection.execute("SELECT root_id FROM roots WHERE path = ?", (stored,)).fetchone()
        return int(row["root_id"])

    def _stored_root(self, root: Path) -> str:
        """A root inside the data folder is kept relative to it, so that the folder may be moved or copied."""
        root = root.resolve()
        workspace = self.paths.root.resolve()
        return str(root.relative_to(workspace)) if root.is_relative_to(workspace) else str(root)

    def _root(self, stored: str) -> Path | None:
        """The folder that a row of `roots` names; None if it is relative and leads out of the data folder."""
        if Path(stored).is_absolute() and "\0" not in stored:
            return Path(stored)
        try:
            return self.paths.root if stored == "." else inside(self.paths.root, stored)
        except ArtefactMismatchError:
            return None

    def _file(self, stored_root: str, relative: str | bytes) -> Path:
        """The file that a row names. ArtefactMismatchError if it leads out of its root.

        Links in a music folder are the user's own and are followed; in the data folder none leads out of it.
        """
        root, name = self._root(stored_root), os.fsdecode(relative)
        if root is None:
            raise ArtefactMismatchError(f"The folder {stored_root[:300]!r} leads out of the data folder.", FORGETS)
        if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts or not Path(name).parts:
            raise ArtefactMismatchError(f"The path {name[:300]!r} leads out of {root}.", FORGETS)
        if root.is_relative_to(self.paths.root):
            inside(self.paths.root, (root / name).relative_to(self.paths.root).as_posix())
        return root / name

    def check_paths(self, *, repair: bool = False) -> list[ArtefactMismatchError]:
        """Every row of `files` that leads out of its folder; with `repair`, these rows are forgotten."""
        rows = self.database.connection.execute(
            "SELECT files.rowid, roots.path AS root, relative_path FROM files JOIN roots USING (root_id)"
        ).fetchall()
        problems = []
        for row in rows:
            try:
                self._file(row["root"], row["relative_path"])
            except ArtefactMismatchError as error:
                problems.append(error)
                if repair:
                    with self.database.transaction() as connection:
                        connection.execute("DELETE FROM files WHERE rowid = ?", (row["rowid"],))
        return problems

    def _absent(self, track_id: str) -> Path:
        """What stands for audio that was never here; a folder of its own, so that no two are of one album."""
        return self.paths.root / "absent" / track_id / f"audio of {track_id}"


def _likely(paths: Sequence[Path]) -> Path:
    return next((path for path in paths if path.is_file()), paths[0])


def _is_other(root: Path, relative: str, seen: tuple[int, int]) -> bool:
    """Whether a file is gone, or has another size or time than it had."""
    try:
        stat = (root / relative).stat()
    except (OSError, ValueError):
        return is_gone(root, relative)
    return (stat.st_size, stat.st_mtime_ns) != seen


def _apply_edits(connection: sqlite3.Connection, track_id: str) -> None:
    for row in connection.execute("SELECT field, value FROM edits WHERE track_id = ?", (track_id,)).fetchall():
        if row["field"] in NAMES:
            connection.execute(f"UPDATE tracks SET {row['field']} = ? WHERE track_id = ?", (row["value"], track_id))


def _write_details(connection: sqlite3.Connection, track_id: str, details: Mapping[str, str] | None) -> None:
    """In place of what was known."""
    if details is None:
        return
    connection.execute("DELETE FROM details WHERE track_id = ?", (track_id,))
    connection.executemany(
        "INSERT INTO details VALUES (?, ?, ?)", [(track_id, name, value) for name, value in details.items()]
    )


def check_library_name(library: str | None) -> None:
    """Raise an InputError if no library may be called so; None is no library."""
    if library is None:
        return
    if library == ALL:
        raise InputError(f"A library cannot be called {library!r}.", f"{ALL!r} is the union of all of them.")
    if not any(character.isprintable() and not character.isspace() for character in library):
        raise InputError(f"A library cannot be called {printable(library)!r}.", "Give it a name that can be seen.")


def _label(title: str, names: Sequence[str]) -> str:
    """Examples
    --------
    >>> _label("Etude, Chopin", ["Anna", "piano", "Chopin"])
    'Etude, Chopin · Anna · piano'
    """
    further = [name for name in names if name and name.casefold() not in title.casefold()]
    return " · ".join([title, *dict.fromkeys(further)])


def _has_word(n: int) -> str:
    """Whether the n-th word that is looked for is in a name of a track or in its details, or is its id."""
    names = " OR ".join(f"tracks.{name} LIKE :part{n} ESCAPE '!'" for name in NAMES)
    told = f"SELECT details.track_id FROM details WHERE value LIKE :part{n} ESCAPE '!'"
    return f"({names} OR tracks.track_id = :word{n} OR tracks.track_id IN ({told}))"


def _literal(word: str) -> str:
    """A word as LIKE takes it, its wildcards standing for themselves."""
    return "".join(f"!{letter}" if letter in "%_!" else letter for letter in word)


def readable(name: str) -> str:
    """A file name as text that can be shown and stored: bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(name).decode("utf-8", "replace")


def _stored_path(path: Path, root: Path) -> str | bytes:
    """Text where the name is text; the bytes themselves where it is not UTF-8, which SQLite's TEXT cannot hold."""
    relative = path.relative_to(root).as_posix()
    raw = os.fsencode(relative)
    return relative if raw.decode("utf-8", "replace") == relative else raw


def _track(row: sqlite3.Row) -> Track:
    """A row of `TRACK_COLUMNS`; by place, as by name a hundred thousand would take a second."""
    facts = list(row)
    facts[_TRUNCATED] = bool(facts[_TRUNCATED])
    return Track(*facts)
