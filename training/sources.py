"""What MESS-nano may learn from: music as notes, under permissive licences, and nothing else.

    find_sources   folders -> what can be read, by name     POP909, Vienna 4x22, our own demo pieces
    read_music     one of them -> notes, pedal, beats, key

ASAP, SMD and every recording are for evaluation. `refuse_evaluation` stands at the door of everything that reads a
file here, so that none of them is learned from by a wrong argument.

Conventions: times in seconds from the start of the file, pitches and velocities as in MIDI.

Source
------
POP909: Wang et al. (2020), MIT licence. Vienna 4x22: Goebl (1999), performances on a computer-monitored grand piano,
CC BY 4.0 according to those who pass it on; its own repository states no licence.
Key: Krumhansl (1990), table 2.1, correlated as in her chapter 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mess_core.collections.demo import PERFORMERS, DemoPlan, perform
from mess_core.collections.demo_scores import PIECES, read_score
from mess_core.errors import DataMissingError, InputError
from mess_core.notes.midi import Note, PedalSpan, notes_of, read_events, read_midi

SHARES = {"pop909": 0.7, "vienna": 0.15, "demo": 0.15}  # of the recordings; what is absent is shared by the others
N_HELD_OUT = 40  # the last songs of POP909 are never learned from: the curves are also drawn on them
FOR_EVALUATION = ("asap", "smd", "maestro", "real-audio")  # folders, and what files made of them are called
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@dataclass(frozen=True)
class Source:
    """A piece that can be read. `path` is None for a demo piece, whose name says which it is."""

    collection: str
    name: str
    path: Path | None = None


@dataclass(frozen=True, eq=False)
class Music:
    """A piece as notes.

    parts : the notes of each part, by start: melody, second melody, piano; or the one part of a pianist
    beats_s : (n_beats,), empty where nobody knows them
    key : 0..11 for C..B major, 12..23 for minor
    """

    name: str
    parts: tuple[tuple[Note, ...], ...]
    pedal: tuple[PedalSpan, ...]
    beats_s: np.ndarray
    key: int

    @property
    def end_s(self) -> float:
        return max(note.end_s for part in self.parts for note in part)


def refuse_evaluation(path: Path) -> Path:
    """The path, if it may be learned from.

    Raises
    ------
    InputError
        If it belongs to what is kept for evaluation, or is no MIDI file.
    """
    for name in path.resolve().parts:
        words = name.lower().replace("_", "-").removesuffix(".mid").split("-")
        for kept in FOR_EVALUATION:
            if name.lower() == kept or (path.name == name and kept in words):
                raise InputError(f"{path.name} belongs to {kept}, which is kept for evaluation.", "Leave it out.")
    if path.suffix.lower() not in (".mid", ".midi"):
        raise InputError(f"{path.name} is no MIDI file: recordings are kept for evaluation.", "Give folders of MIDI.")
    return path


def find_sources(
    pop909: Path | None, vienna: Path | None, *, demo: bool = True, held_out: bool = False
) -> dict[str, list[Source]]:
    """What there is, by collection; `held_out` gives the songs of POP909 that are not learned from.

    Raises
    ------
    DataMissingError
        If a folder holds no MIDI. None leaves a collection out.
    """
    found: dict[str, list[Source]] = {}
    for collection, folder in (("pop909", pop909), ("vienna", vienna)):
        if folder is None:
            continue
        paths = [refuse_evaluation(path) for path in sorted(folder.glob("*.mid"))]
        if not paths:
            raise DataMissingError(f"There is no MIDI in {folder}.", f"Give the folder of {collection}.")
        if collection == "pop909":
            paths = paths[-N_HELD_OUT:] if held_out else paths[:-N_HELD_OUT]
        found[collection] = [Source(collection, path.stem, path) for path in paths]
    if held_out:
        return {collection: sources for collection, sources in found.items() if collection == "pop909"}
    if not demo:
        if not found:
            raise InputError("There is nothing to learn from.", "Give a folder of MIDI, or do not leave the demo out.")
        return found
    plans = [f"{piece}-{performer}" for piece in range(len(PIECES)) for performer in range(len(PERFORMERS))]
    return found | {"demo": [Source("demo", plan) for plan in plans]}


def choose_source(sources: dict[str, list[Source]], rng: np.random.Generator) -> Source:
    """A collection by its share, then any piece of it."""
    collections = sorted(sources)
    shares = np.array([SHARES[collection] for collection in collections])
    chosen = sources[collections[rng.choice(len(collections), p=shares / shares.sum())]]
    return chosen[rng.integers(len(chosen))]


@lru_cache(maxsize=1200)
def read_music(source: Source) -> Music:
    """Notes, pedal and beats of a piece, and the key that its notes suggest."""
    if source.collection == "demo":
        parts, pedal, beats_s = _demo(source.name)
    elif source.collection == "pop909":
        parts, pedal, beats_s = _pop909(refuse_evaluation(source.path or Path()))
    else:
        played, pedal = read_midi(refuse_evaluation(source.path or Path()))
        parts, beats_s = (played,), np.zeros(0)
    parts = tuple(part for part in parts if part)
    if not parts:
        raise InputError(f"{source.name} holds no notes.", "Leave it out.")
    notes = [note for part in parts for note in part]
    return Music(f"{source.collection} {source.name}", parts, pedal, beats_s, find_key(notes))


def _pop909(path: Path) -> tuple[tuple[tuple[Note, ...], ...], tuple[PedalSpan, ...], np.ndarray]:
    events = read_events(path)
    parts = [
        notes_of(events, path.name, track)
        for part in ("MELODY", "BRIDGE", "PIANO")
        for track, name in events.names.items()
        if name == part
    ]
    ticks = events.beats() * events.ticks_per_quarter
    return tuple(parts), (), np.array(events.seconds(ticks.tolist()))


def _demo(name: str) -> tuple[tuple[tuple[Note, ...], ...], tuple[PedalSpan, ...], np.ndarray]:
    """One of our pieces, played by one of our performers: as in the demo library, in another mood."""
    piece, performer = (int(number) for number in name.split("-"))
    performance = perform(DemoPlan(PIECES[piece], PERFORMERS[performer], "piano"), seed=1000)
    score = read_score(PIECES[piece], performance.score_length)
    onsets = np.array([note.onset for note in score])
    starts_s = np.array([note.start_s for note in performance.notes])
    at, first = np.unique(onsets, return_index=True)
    beat = PIECES[piece].beat
    beats_s = np.interp(
        np.arange(np.ceil(at[0] / beat), at[-1] / beat) * beat, at, np.maximum.accumulate(starts_s[first])
    )
    melody = tuple(note for note, written in zip(performance.notes, score, strict=True) if written.voice == 0)
    others = tuple(note for note, written in zip(performance.notes, score, strict=True) if written.voice != 0)
    by_start = [tuple(sorted(part, key=lambda note: note.start_s)) for part in (melody, others)]
    return tuple(by_start), performance.pedal, beats_s


def find_key(notes: list[Note] | tuple[Note, ...]) -> int:
    """The key whose profile the durations of the pitch classes follow best: 0..11 major, 12..23 minor.

    Examples
    --------
    >>> find_key([Note(i, i + 1, pitch, 64) for i, pitch in enumerate((62, 66, 69, 67, 64, 61, 62))])
    2
    """
    seconds = np.bincount(
        [note.pitch % 12 for note in notes], weights=[note.end_s - note.start_s for note in notes], minlength=12
    )
    profiles = np.array([np.roll(profile, tonic) for profile in (MAJOR, MINOR) for tonic in range(12)])
    profiles = profiles - profiles.mean(axis=1, keepdims=True)
    fits = profiles @ (seconds - seconds.mean()) / np.linalg.norm(profiles, axis=1)
    return int(np.argmax(fits))
