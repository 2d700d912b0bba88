"""A collection: a body of recordings whose folders and tables say what each one is.

    folder on disk -> read -> Recording, one per performance: where its files are, and what it is
    Recording -> open_recording -> NewTrack, for the catalogue (`opening`)

Every other file here describes one collection; `COLLECTIONS` in `published.py` is the list of them. They read names and
tables only: ten thousand recordings are described before the first one is opened. Nothing below a folder is trusted:
a path in a table may not lead out of it, and a row that cannot be used is reported, not fatal.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mess_core.catalogue.catalogue import NAMES
from mess_core.catalogue.passages import ScoreTimes
from mess_core.errors import InputError

MOST_TEXT = 300  # characters of a name
MOST_PATH_BYTES = 4096
MOST_DETAILS = 200  # of a track


@dataclass(frozen=True)
class Recording:
    """One performance as a collection describes it.

    audio : None where the collection has only the MIDI; it can be rendered
    midi, score : the notes as played and as written, MIDI files both
    score_times : when the beats of its score are played, in seconds of the audio; read when it is opened, because
        ten thousand annotation files take long
    details : further columns of the user's own table; None where there is no such table
    """

    audio: Path | None
    title: str | None = None
    work: str | None = None
    composer: str | None = None
    performer: str | None = None
    instrument: str | None = None
    session: str | None = None
    split: str | None = None
    album: str | None = None
    album_artist: str | None = None
    disc: str | None = None
    movement: str | None = None
    conductor: str | None = None
    midi: Path | None = None
    score: Path | None = None
    score_times: Callable[[], Sequence[ScoreTimes]] = field(default=tuple)
    details: Mapping[str, str] | None = None

    @property
    def names(self) -> dict[str, Any]:
        """What is known of it, by the catalogue's words; all of it text."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class Description:
    """All that a collection says of a folder.

    refused : what could not be used, and why: (name of the row or file, sentence)
    root : the folder below which all files lie, where that is not the folder itself: audio may lie beside it
    unread : how many files there are of kinds that may be music and are not read
    n_unlisted : audio files beside those that the user's own table names
    """

    recordings: Sequence[Recording]
    refused: Sequence[tuple[str, str]] = ()
    root: Path | None = None
    unread: Mapping[str, int] = field(default_factory=dict)
    n_unlisted: int = 0


@dataclass(frozen=True)
class Download:
    """One file that a collection is published as. sha256 is None where the publisher gives none.

    size_bytes : as published, or about so where there is no sha256
    name : what the file is called here, where the address does not say
    """

    url: str
    size_bytes: int
    sha256: str | None
    holds: str  # in words: "all audio and MIDI"
    name: str = ""


@dataclass(frozen=True)
class Collection:
    """One kind of collection.

    title, licence, summary : for people; licence is empty where the music is the user's own
    is_at : whether a folder looks like this collection, by names alone
    read : describe a folder; InputError if it is not what it should be
    """

    id: str
    title: str
    summary: str
    is_at: Callable[[Path], bool]
    read: Callable[[Path], Description]
    licence: str = ""
    homepage: str = ""
    downloads: Sequence[Download] = ()


def below(root: Path, relative: str) -> Path:
    """A path that a table names, which must stay below the collection's folder; a link in it is the user's own.

    Raises
    ------
    InputError
        If it leads out of the folder, or is no path.
    """
    if "\0" in relative or len(os.fsencode(relative)) > MOST_PATH_BYTES:
        raise InputError("It names what is no path.")
    path = Path(os.path.normpath(root / relative))
    if not path.is_relative_to(os.path.normpath(root)):
        raise InputError("Its path leads out of the folder.", "Paths in a table are relative to the table.")
    return path


def tidy(text: object) -> str | None:
    r"""A name from a table or a tag, fit to be shown: one line without control characters, of bounded length.

    Examples
    --------
    >>> tidy("  Clair\x00 de\nlune ")
    'Clair de lune'
    """
    start = str(text or "")[: 4 * MOST_TEXT]
    is_shown = {char: unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn") for char in set(start)}
    words = "".join(char if is_shown[char] else " " for char in start).split()
    return " ".join(words)[:MOST_TEXT].strip() or None


assert {f.name for f in fields(Recording)} >= set(NAMES)
