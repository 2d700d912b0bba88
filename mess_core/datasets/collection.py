"""A collection: a body of recordings whose folders and tables say what each one is.

    folder on disk -> read -> Recording, one per performance: where its files are, and what it is
    Recording -> open_recording -> NewTrack, for the catalogue: the audio was opened, and its content is its identity

Every other file here describes one collection; `COLLECTIONS` in `registry.py` is the list of them. They read names and
tables only: ten thousand recordings are described before the first one is opened. Nothing below a folder is trusted:
a path in a table may not lead out of it, and a row that cannot be used is reported, not fatal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from mess_core.catalogue import NAMES, NewTrack, Track
from mess_core.errors import InputError
from mess_core.passages import ScoreTimes


@dataclass(frozen=True)
class Recording:
    """One performance as a collection describes it.

    audio : None where the collection has only the MIDI; it can be rendered
    midi, score : the notes as played and as written, MIDI files both
    score_times : when the beats of its score are played, in seconds of the audio; read when it is opened, because
        ten thousand annotation files take long
    """

    audio: Path | None
    title: str | None = None
    work: str | None = None
    composer: str | None = None
    performer: str | None = None
    instrument: str | None = None
    session: str | None = None
    split: str | None = None
    midi: Path | None = None
    score: Path | None = None
    score_times: Callable[[], Sequence[ScoreTimes]] = field(default=tuple)

    @property
    def names(self) -> dict[str, str]:
        """What is known of it, by the catalogue's words."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class Description:
    """All that a collection says of a folder.

    refused : what could not be used, and why: (name of the row or file, sentence)
    """

    recordings: Sequence[Recording]
    refused: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Download:
    """One file that a collection is published as. sha256 is None where the publisher gives none."""

    url: str
    size_bytes: int
    sha256: str | None
    holds: str  # in words: "all audio and MIDI"


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


def open_recording(recording: Recording, collection: str | None) -> NewTrack:
    """Open a recording: hash, header, score times.

    Raises
    ------
    AudioError
        If its audio is none that MESS reads.
    InputError
        If it has no audio.
    """
    from mess_core.datasets.folder import read_track

    if recording.audio is None:
        raise InputError("It has no audio, only MIDI.", "Render it: python -m mess_core add --render")
    new = read_track(recording.audio, recording.title)
    companions = {role: path for role in ("midi", "score") if (path := getattr(recording, role)) is not None}
    return NewTrack(
        replace(new.track, **recording.names, collection=collection),
        new.audio,
        {**new.companions, **companions},
        score_times=tuple(recording.score_times()),
    )


def described(track: Track, recording: Recording, collection: str | None) -> Track:
    """A known track as its collection describes it now."""
    return replace(track, **recording.names, collection=collection or track.collection)


def below(root: Path, relative: str) -> Path:
    """A path that a table names, which must stay below the collection's folder.

    Raises
    ------
    InputError
        If it leads out of the folder.
    """
    path = (root / relative).resolve()
    if not path.is_relative_to(root.resolve()):
        raise InputError(f"The path {relative!r} leads out of {root}.", "Paths in a table are relative to it.")
    return root / relative


assert {f.name for f in fields(Recording)} >= set(NAMES)
