"""Recognising tracks of the catalogue by what others call them, and saying how sure that is.

    1      by track id, path, or MusicBrainz id (where a column of the user's own table has it)
    0.95   artist and title are the same, but for case, accents and punctuation
    0.9    the same without remarks: "feat. …", what stands in brackets, " - Remastered 2011"
    0.6 to 0.85   nearly the same: by shared three-letter pieces of their words; numbers must agree

An artist is a performer, the album's artist or a composer; a title is a title or a work, so that classical recordings
are found by either. Of several recordings that fit alike, the one of the same album is meant, then the one whose length
is nearest, then the first. By composer and work alone only the length can tell who plays: where it does not, none is
meant.

Source: overlap of three-letter pieces, Dice (1945), as is usual in record linkage: Christen (2012), Data Matching,
chapter 5.
"""

from __future__ import annotations

import math
import re
import sqlite3
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from mess_core.catalogue.takeover import current_id
from mess_core.handover.listens import Listen
from mess_core.workspace.workspace import Workspace

BY_ID, BY_NAMES, WITHOUT_REMARKS = 1.0, 0.95, 0.9
FUZZY_LOW, FUZZY_HIGH = 0.6, 0.85  # what the least likeness that counts is worth, and a perfect one
LEAST_LIKENESS, LEAST_TITLE, LEAST_ARTIST = 0.75, 0.7, 0.5  # of both, Dice; below it names are other names
SAME_LENGTH_S = 3.0  # that two rips of one recording may differ by
OTHER_LENGTH = 0.15  # of a track: from there on its length speaks against it
LENGTH_PENALTY = 0.1  # in likeness
MOST_WORDS, MOST_POSTINGS, MOST_CANDIDATES = 8, 2000, 24  # that are looked at for one pair of names
MBID_NAMES = {"recording_mbid", "musicbrainz_trackid", "musicbrainz track id", "musicbrainz_recordingid", "mbid"}

_REMARK = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_GUESTS = re.compile(r"\s(?:feat|ft|featuring)\b\.?\s.*$", re.IGNORECASE)
_ADDED = re.compile(
    r"\s[-–—]\s[^-–—]*\b(?:remaster\w*|live|mono|stereo|version|edit|mix|remix|bonus|demo|acoustic|single)\b.*$",
    re.IGNORECASE,
)
_ARTISTS = re.compile(r"\s*[;/,]\s*|\s+(?:&|and|x|vs\.?)\s+", re.IGNORECASE)
_WORD, _APOSTROPHE = re.compile(r"[^\W_]+"), re.compile("['’`]")
_NUMBER = re.compile(r"\d|^[ivx]+$")


class Match(NamedTuple):
    """A track, how long it is in seconds, and how sure it is that it is the one."""

    track_id: str
    duration_s: float
    confidence: float


@dataclass(frozen=True)
class _Named:
    """A track and what it may be called. who : of `artists`, those that play, and not those that wrote"""

    track_id: str
    duration_s: float
    album: str
    titles: tuple[str, ...]
    players: tuple[str, ...]
    composers: tuple[str, ...]


class TrackNames:
    """The names of all tracks of a catalogue, read once.

    Parameters
    ----------
    workspace : Workspace
    least_confidence : float, 0 to 1
        Below it nothing is recognised.
    """

    def __init__(self, workspace: Workspace, least_confidence: float = FUZZY_LOW) -> None:
        self.least_confidence = least_confidence
        self._connection = workspace.database.connection
        self._tracks: list[_Named] = []
        self._rows: dict[str, int] = {}
        self._exact: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._bare: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for row in self._connection.execute(
            "SELECT track_id, title, work, movement, composer, performer, conductor, album, album_artist, duration_s"
            " FROM tracks ORDER BY track_id"
        ):
            self._add(row)
        self._paths, self._mbids = self._read_paths(), self._read_mbids()
        self._pieces: dict[str, frozenset[str]] = {}

    def _add(self, row: sqlite3.Row) -> None:
        get = row.__getitem__
        players = _different([*_split(get("performer")), *_split(get("album_artist")), *_split(get("conductor"))])
        composers = _different(_split(get("composer")))
        work, movement = get("work") or "", get("movement") or ""
        titles = _different([get("title"), work, f"{work} {movement}" if work and movement else ""])
        place = len(self._tracks)
        album = normal(get("album") or "")
        self._tracks.append(_Named(get("track_id"), get("duration_s"), album, titles, players, composers))
        self._rows[get("track_id")] = place
        for title in titles:
            for artist in (*players, *composers):
                _enter(self._exact, (normal(artist), normal(title)), place)
                _enter(self._bare, (normal(bare(artist)), normal(bare(title))), place)
        for word in {word for name in (*titles, *players, *composers) for word in normal(name).split()}:
            self._by_word[word].append(place)

    def _read_paths(self) -> dict[str, int | None]:
        """By each way a path may be written: whole, within its folder, and only the name, where that is one track's."""
        found: dict[str, int | None] = {}
        rows = self._connection.execute(
            "SELECT track_id, path, relative_path FROM files JOIN roots USING (root_id) WHERE role = 'audio'"
        )
        for row in rows:
            place = self._rows[row["track_id"]]
            relative = _as_path(row["relative_path"])
            for name in {str(relative), str(_as_path(row["path"]) / relative), relative.name}:
                found[name] = place if found.get(name, place) == place else None
        return found

    def _read_mbids(self) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        marks = ", ".join("?" * len(MBID_NAMES))
        for row in self._connection.execute(
            f"SELECT track_id, value FROM details WHERE lower(name) IN ({marks})", sorted(MBID_NAMES)
        ):
            key, place = row["value"].strip().lower(), self._rows[row["track_id"]]
            found[key] = place if found.get(key, place) == place else None
        return found

    def find(self, listen: Listen) -> Match | None:
        """The track that is meant, or None where none is, or nobody could tell which."""
        place, confidence = self._find(listen)
        if place is None or confidence < self.least_confidence:
            return None
        track = self._tracks[place]
        return Match(track.track_id, track.duration_s, confidence)

    def _find(self, listen: Listen) -> tuple[int | None, float]:
        place = self._by_id(listen)
        if place is not None:
            return place, BY_ID
        artist, title = listen.artist, listen.title
        if not normal(artist) or not normal(title):
            return None, 0.0
        for index, confidence, plain in ((self._exact, BY_NAMES, _same), (self._bare, WITHOUT_REMARKS, bare)):
            for name in dict.fromkeys([artist, *_split(artist)]):
                found = index.get((normal(plain(name)), normal(plain(title))))
                if found:
                    place = self._one_of(found, listen, normal(plain(name)))
                    return place, confidence if place is not None else 0.0
        return self._nearly(listen)

    def _by_id(self, listen: Listen) -> int | None:
        if listen.track_id:
            place = self._rows.get(listen.track_id)
            if place is None:
                place = self._rows.get(current_id(self._connection, listen.track_id))
            if place is not None:
                return place
        if listen.path:
            path = _as_path(listen.path)
            found = self._paths.get(str(path), self._paths.get(path.name))
            if found is not None:
                return found
        return self._mbids.get(listen.mbid.lower()) if listen.mbid else None

    def _one_of(self, places: Sequence[int], listen: Listen, artist: str) -> int | None:
        """Which of the recordings is meant whose names are the same."""
        if len(places) == 1:
            return places[0]
        played = [each for each in places if artist in {normal(bare(name)) for name in self._tracks[each].players}]
        if listen.album:
            album = normal(listen.album)
            places = [each for each in places if self._tracks[each].album == album] or places
            if len(places) == 1:
                return places[0]
        nearest = sorted(places, key=lambda each: (self._apart_s(each, listen), self._tracks[each].track_id))
        is_told = self._apart_s(nearest[1], listen) - self._apart_s(nearest[0], listen) > SAME_LENGTH_S
        if listen.duration_s and is_told and self._apart_s(nearest[0], listen) <= SAME_LENGTH_S:
            return nearest[0]
        return next((each for each in nearest if each in played), None)

    def _apart_s(self, place: int, listen: Listen) -> float:
        return abs(self._tracks[place].duration_s - listen.duration_s) if listen.duration_s else 0.0

    def _nearly(self, listen: Listen) -> tuple[int | None, float]:
        artist, title = normal(bare(listen.artist)), normal(bare(listen.title))
        words = {word for word in f"{artist} {title}".split() if word in self._by_word}
        weights: Counter[int] = Counter()
        for word in sorted(words, key=lambda word: (len(self._by_word[word]), word))[:MOST_WORDS]:
            places = self._by_word[word]
            if len(places) <= MOST_POSTINGS:
                weight = math.log1p(len(self._tracks) / len(places))
                for place in places:
                    weights[place] += weight  # type: ignore[assignment]  # a sum, not a count
        rated = []
        for place, _ in sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:MOST_CANDIDATES]:
            likeness = self._likeness(self._tracks[place], artist, title)
            length_s = self._tracks[place].duration_s
            if likeness and listen.duration_s and self._apart_s(place, listen) > max(OTHER_LENGTH * length_s, 10.0):
                likeness -= LENGTH_PENALTY
            if likeness >= LEAST_LIKENESS:
                rated.append((-likeness, self._apart_s(place, listen), self._tracks[place].track_id, place))
        if not rated:
            return None, 0.0
        best, *others = sorted(rated)
        if any(other[0] == best[0] and other[1] == best[1] for other in others):
            return None, 0.0  # two that cannot be told apart: a guess
        share = (-best[0] - LEAST_LIKENESS) / (1 - LEAST_LIKENESS)
        return best[3], round(FUZZY_LOW + (FUZZY_HIGH - FUZZY_LOW) * share, 3)

    def _likeness(self, track: _Named, artist: str, title: str) -> float:
        """Of artist and title together, 0 to 1; 0 where either is another one."""
        numbers = _numbers(title)
        of_title = max(
            (self._dice(title, each) for each in map(_plain, track.titles) if _numbers(each) == numbers), default=0.0
        )
        if of_title < LEAST_TITLE:
            return 0.0
        of_artist = max((self._dice(artist, _plain(each)) for each in (*track.players, *track.composers)), default=0.0)
        return 0.6 * of_title + 0.4 * of_artist if of_artist >= LEAST_ARTIST else 0.0

    def _dice(self, one: str, other: str) -> float:
        mine, its = self._pieces_of(one), self._pieces_of(other)
        return 2 * len(mine & its) / (len(mine) + len(its)) if mine and its else 0.0

    def _pieces_of(self, name: str) -> frozenset[str]:
        found = self._pieces.get(name)
        if found is None:
            if len(self._pieces) > 50_000:
                self._pieces.clear()
            pieces = {f" {word} "[at : at + 3] for word in name.split() for at in range(len(word))}
            found = self._pieces[name] = frozenset(pieces)
        return found


def normal(name: str) -> str:
    """A name without case, accents and punctuation.

    Examples
    --------
    >>> normal("  Beyoncé & JAY-Z: “Déjà Vu” "), normal("Ноктюрн №2")
    ('beyonce jay z deja vu', 'ноктюрн no2')
    """
    if not name.isascii():
        name = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return " ".join(_WORD.findall(_APOSTROPHE.sub("", name.casefold())))


def bare(name: str) -> str:
    """A name without what is often added to it; itself where nothing else would be left.

    Examples
    --------
    >>> bare("Déjà Vu (feat. JAY-Z) [Live] - Remastered 2011"), bare("(Untitled)"), bare("Queen feat. Bowie")
    ('Déjà Vu', '(Untitled)', 'Queen')
    """
    left = _GUESTS.sub("", _ADDED.sub("", _REMARK.sub(" ", name))).strip()
    return left if normal(left) else name


def _plain(name: str) -> str:
    return normal(bare(name))


def _same(name: str) -> str:
    return name


def _numbers(name: str) -> frozenset[str]:
    """The words of a name that number something: the fifth is not the sixth, however alike they are written."""
    return frozenset(word for word in name.split() if _NUMBER.search(word))


def _split(names: str | None) -> list[str]:
    """Whom a field names: all together, and each."""
    return [names, *_ARTISTS.split(names)] if names else []


def _different(names: Iterable[str]) -> tuple[str, ...]:
    return tuple({normal(name): name for name in names if name and normal(name)}.values())


def _enter(index: dict[tuple[str, str], list[int]], key: tuple[str, str], place: int) -> None:
    places = index[key]
    if not places or places[-1] != place:
        places.append(place)


def _as_path(name: str | bytes) -> PurePosixPath:
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    return PurePosixPath(text.replace("\\", "/"))
