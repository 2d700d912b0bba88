"""ASAP: 1,066 performances of 236 piano scores, with the times of every beat in performance and score.

Beat i of a performance is beat i of its score, so the same passage is known in every performance of a piece. About half
of the performances were cut out of MAESTRO. Their audio is looked for

    at `audio_performance`    the cut itself, where ASAP's own script made it
    in a MAESTRO folder       `maestro-v3.0.0` or `maestro`, in this folder or beside it: a recording of MAESTRO gets
                              the score times of every performance that was cut out of it, moved to where it begins

and the others have MIDI only. A performer is known by surname: two people of one name are one here.

Source: Foscarin et al., ASAP, ISMIR 2020; Peter et al., (n)ASAP, TISMIR 6(1), 2023.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mess_core.catalogue.passages import ScoreTimes
from mess_core.collections import maestro
from mess_core.collections.collection import (
    Collection,
    Description,
    Download,
    Recording,
    below,
    tidy,
)
from mess_core.collections.table import read_header, read_table
from mess_core.collections.walking import beside
from mess_core.config import AUDIO_SUFFIXES
from mess_core.errors import InputError, StorageError
from mess_core.storage.untrusted import read_text

TABLE = "metadata.csv"
COLUMNS = ("composer", "title", "folder", "midi_performance", "performance_annotations", "midi_score_annotations")
MAESTRO_NAMES = ("maestro-v3.0.0", "maestro")
MAESTRO_PREFIX = "{maestro}/"
TAKE = re.compile(r"(_\d{4}_)?\d{2}M?(_\d{4})?$")  # which of a competition's recordings: 02M, _2009_01, 05_2013
LONGEST_ANNOTATION_BYTES = 4 * 2**20


@dataclass(frozen=True)
class BeatFiles:
    """Where the beats of one performance and of its score are, and when the performance begins in its recording."""

    score: str
    performance: Path
    written: Path
    start_s: float = 0.0


def score_times(files: Iterable[BeatFiles]) -> tuple[ScoreTimes, ...]:
    """The score times of each performance whose beats are as many as those of its score."""
    found = []
    for each in files:
        try:
            times_s = _read_beats(each.performance)
            if len(times_s) == len(_read_beats(each.written)):
                found.append(ScoreTimes.of(each.score, np.arange(len(times_s)), times_s + each.start_s))
        except InputError:  # one performance without beats
            continue
    return tuple(found)


def _read_beats(path: Path) -> np.ndarray:
    """Times of the beats, shape (n_beats,), seconds: the first of three columns."""
    try:
        text = read_text(path, LONGEST_ANNOTATION_BYTES, error=InputError)
    except StorageError as error:
        raise InputError(error.message, error.hint) from error
    try:
        return np.array([float(line.split()[0]) for line in text.splitlines() if line.strip()])
    except ValueError as error:
        raise InputError(f"The beats in {path.name} cannot be read: {error}.") from error


def performer_of(stem: str) -> str:
    """Who plays, by the name of the file; in capitals or not, it is the same person.

    Examples
    --------
    >>> performer_of("KOLESO06"), performer_of("Richardson_2013_01M"), performer_of("Bult-ItoS02M")
    ('Koleso', 'Richardson', 'Bult-ItoS')
    """
    name = TAKE.sub("", stem).strip("_").replace("_", " ")
    return name.title() if name.isupper() or name.islower() else name


def _seconds(text: str | None) -> float:
    """A time in the table; empty is 0.

    Raises
    ------
    InputError
        If it is no time.
    """
    try:
        value = float(text or 0)
    except ValueError as error:
        raise InputError(f"{text!r} is no time in seconds.") from error
    if not 0 <= value < math.inf:
        raise InputError(f"{text!r} is no time in seconds.")
    return value


def _maestro_folder(folder: Path) -> Path | None:
    candidates = [place / name for place in (folder, folder.parent) for name in MAESTRO_NAMES]
    return next((path for path in candidates if path.is_dir()), None)


def _performance(folder: Path, row: Mapping[str, str]) -> tuple[Recording, BeatFiles]:
    """One row: the performance with its MIDI, its score, and its own audio where that was cut out.

    Raises
    ------
    InputError
        If the row lacks something, a path leads out of the folder, or the MIDI is not there.
    """
    lacking = [name for name in COLUMNS if not row.get(name)]
    if lacking:
        raise InputError(f"The row has no {', '.join(lacking)}.")
    midi = below(folder, row["midi_performance"])
    if not midi.is_file():
        raise InputError(f"{row['midi_performance']} is not in {folder}.")
    written = below(folder, row["midi_score"]) if row.get("midi_score") else None
    audio = beside(below(folder, row["audio_performance"]), AUDIO_SUFFIXES) if row.get("audio_performance") else None
    composer, title = tidy(row["composer"]), tidy(row["title"].replace("_", " "))
    beats = BeatFiles(
        f"asap {row['folder']}",
        below(folder, row["performance_annotations"]),
        below(folder, row["midi_score_annotations"]),
    )
    recording = Recording(
        audio,
        title=f"{composer}: {title}",
        work=f"{composer}: {title}",
        composer=composer,
        performer=tidy(performer_of(midi.stem)),
        instrument="piano",
        midi=midi,
        score=written if written and written.is_file() else None,
        score_times=partial(score_times, (beats,)),
    )
    return recording, beats


def _maestro_recordings(folder: Path, names: Sequence[str]) -> dict[str, Recording]:
    """Recordings of MAESTRO by the name of their audio in its table: those that are here with audio."""
    try:
        rows = {row.get("audio_filename", ""): row for row in maestro.read_rows(folder).values()}
    except InputError:  # the audio alone: what it is, ASAP knows
        rows = {}
    found = {}
    for name in dict.fromkeys(names):
        if name in rows:
            recording = maestro.recording_of(folder, rows[name])
        else:
            recording = Recording(beside(below(folder, name), AUDIO_SUFFIXES))
        if recording.audio is not None:
            found[name] = recording
    return found


def _whole(recording: Recording, cuts: Sequence[tuple[Recording, BeatFiles]], is_cut: bool) -> Recording:
    """A recording of MAESTRO with what ASAP knows about what is played in it.

    Work and composer are ASAP's, as for the performances without audio: of one piece, one name.
    """
    first = cuts[0][0]
    works = " + ".join(dict.fromkeys(cut.work or "" for cut, _ in cuts))
    return replace(
        recording,
        title=works,
        work=works,
        composer=first.composer,
        performer=first.performer,
        instrument="piano",
        score=None if is_cut else first.score,
        score_times=partial(score_times, tuple(beats for _, beats in cuts)),
    )


def _describe(folder: Path) -> Description:
    rows = read_table(folder / TABLE)
    workspace = _maestro_folder(folder)
    refused: list[tuple[str, str]] = []
    played: dict[int, tuple[Recording, BeatFiles]] = {}  # by row
    sources: dict[int, str] = {}  # row -> the recording of MAESTRO that it was cut from
    for number, row in rows.items():
        try:
            played[number] = _performance(folder, row)
            source = row.get("maestro_audio_performance", "").removeprefix(MAESTRO_PREFIX)
            if source and played[number][0].audio is None and workspace is not None:
                recording, beats = played[number]
                played[number] = (recording, replace(beats, start_s=_seconds(row.get("start"))))
                below(workspace, source)
                sources[number] = source
        except InputError as error:
            refused.append((f"row {number}", error.message))
    wholes = _maestro_recordings(workspace, list(sources.values())) if workspace is not None else {}
    recordings, done = [], set()
    for number, (recording, _) in played.items():
        source = sources.get(number, "")
        if source not in wholes:
            recordings.append(recording)
        elif source not in done:
            done.add(source)
            cuts = [played[other] for other, name in sources.items() if name == source]
            cuts.sort(key=lambda cut: cut[1].start_s)  # as they are heard
            is_cut = len(cuts) > 1 or any(rows[number].get(name) for name in ("start", "end"))
            recordings.append(_whole(wholes[source], cuts, is_cut))
    is_outside = workspace is not None and bool(wholes) and workspace.parent != folder
    return Description(recordings, refused, folder.parent if is_outside else None)


ASAP = Collection(
    id="asap",
    title="ASAP",
    summary="1,066 performances of 236 piano scores with the time of every beat; audio for half of them from MAESTRO.",
    is_at=lambda folder: set(COLUMNS) <= set(read_header(folder / TABLE)),
    read=_describe,
    licence="CC BY-NC-SA 4.0",
    homepage="https://github.com/CPJKU/asap-dataset",
    downloads=(
        Download(
            "https://github.com/CPJKU/asap-dataset/archive/4097b45757bed854818cf87e77b92323ebf90615.zip",
            350_000_000,
            None,
            "MIDI, scores and beats; the audio is MAESTRO's",
            "asap.zip",
        ),
    ),
)
