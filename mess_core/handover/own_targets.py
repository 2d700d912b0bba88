"""Targets of one's own, taken in: a column of a table, values by track, or a function of every recording.

    track_id | file | path | audio | title,  difficulty, …        CSV or Parquet

The first of these columns that the table has says which recording a row is of, as tables of judgements do
(`mess_core/handover/naming.py`). What is not here is counted and passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mess_core.catalogue.catalogue import ALL
from mess_core.errors import DataMissingError, InputError
from mess_core.handover.folders import OnProgress, no_progress
from mess_core.handover.naming import RecordingNames, read_rows
from mess_core.storage.untrusted import printable
from mess_core.targets.own import OwnTarget, measure_own, own_target, save_own, summary_of
from mess_core.words import counted
from mess_core.workspace.workspace import Workspace

NAMING = ("track_id", "sha256", "path", "file", "filename", "filepath", "audio", "location", "title")
SIGNALS = ("audio", "midi", "track")
N_NAMED = 3  # examples in a sentence


@dataclass(frozen=True)
class TakenTarget:
    """What was taken in.

    target : as it is kept
    n_vanished : rows of recordings that are not here
    refused : (row or recording, why) of what gives no value
    """

    target: OwnTarget
    n_vanished: int = 0
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def summary(self) -> str:
        """In a sentence or two."""
        said = f"{summary_of(self.target)}."
        if self.n_vanished:
            said += f" {counted(self.n_vanished, 'row')} left out: their recordings are not in the catalogue."
        return said


def import_target(
    workspace: Workspace, path: Path, column: str, *, name: str = "", kind: str = "", title: str = "", unit: str = ""
) -> TakenTarget:
    """Take in one column of a table.

    Raises
    ------
    InputError
        If it is no such table, or two rows of one recording say different things.
    DataMissingError
        If none of its recordings is here.
    """
    rows = read_rows(path)
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    by = next((each for wanted in NAMING for each in columns if each.lower() == wanted), None)
    if by is None or column not in columns:
        lacking = f"{column!r}" if by is not None else f"that names recordings ({', '.join(NAMING)})"
        raise InputError(
            f"{printable(path.name)} has no column {lacking}.", f"Its columns: {', '.join(map(printable, columns))}."
        )
    known = RecordingNames(workspace)
    values: dict[str, str] = {}
    rows_of: dict[str, int] = {}
    n_vanished = 0
    for number, row in rows:
        if not row.get(column) or not row.get(by):
            continue
        track_id = known.id_of(row[by])
        if track_id is None:
            n_vanished += 1
            continue
        if values.setdefault(track_id, row[column]) != row[column]:
            raise InputError(
                f"Rows {rows_of[track_id]} and {number} of {printable(path.name)} are of one recording and say "
                f"{values[track_id]!r} and {row[column]!r}.",
                "Leave one value for each.",
            )
        rows_of.setdefault(track_id, number)
    if not values and n_vanished:
        raise DataMissingError(
            f"None of the recordings in {printable(path.name)} is in the catalogue.", "Add their folder first."
        )
    source = f"the column {column} of {printable(path.name)}"
    target = own_target(name or column, values, source, kind=kind, title=title, unit=unit)
    refused = [
        (f"row {rows_of[track_id]}", f"{value[:40]!r} is no number")
        for track_id, value in values.items()
        if track_id not in target.values
    ]
    save_own(workspace.paths, target)
    return TakenTarget(target, n_vanished, tuple(refused))


def take_target(
    workspace: Workspace,
    name: str,
    values: Any,
    *,
    library: str = ALL,
    signal: str = "audio",
    kind: str = "",
    title: str = "",
    unit: str = "",
    summary: str = "",
    on_progress: OnProgress = no_progress,
) -> TakenTarget:
    """Take in values by track, or call a function for every recording of a library, once.

    Parameters
    ----------
    values : mapping or pandas Series of track id to value; or callable
        An id may be whatever names a recording in a table. A callable is given one recording, and returns a number, a
        class, None or a `TargetValue`.
    signal : "audio", "midi" or "track"
        What a callable is given: a `targets.audio.Sound`, a `targets.midi.Performance`, or a `Track`.

    Raises
    ------
    InputError
        If no recording has a value, or the values or the signal cannot be meant.
    """
    if callable(values):
        if signal not in SIGNALS:
            raise InputError(f"A function of {signal!r} was given; expected one of {', '.join(SIGNALS)}.")
        workspace.catalogue.require_library(library)
        source = f"the function {getattr(values, '__qualname__', type(values).__name__)} of {signal}"
        found, refused = measure_own(name, _signals(workspace, library, signal, on_progress), values)
        n_vanished = 0
    else:
        source = "values given in Python"
        found, n_vanished, refused = _by_track(workspace, values)
    target = own_target(name, found, source, kind=kind, title=title, unit=unit, summary=summary)
    save_own(workspace.paths, target)
    return TakenTarget(target, n_vanished, tuple(refused))


def _by_track(workspace: Workspace, values: Any) -> tuple[dict[str, Any], int, list[tuple[str, str]]]:
    """Values under the ids of today, how many are of no recording here, and nothing refused."""
    items = getattr(values, "items", None)
    if not callable(items):
        raise InputError(
            f"The values are {type(values).__name__}, expected a mapping or a Series by track id, or a function.",
        )
    known = RecordingNames(workspace)
    found: dict[str, Any] = {}
    n_vanished = 0
    for named, value in items():
        track_id = known.id_of(str(named))
        if track_id is None:
            n_vanished += 1
        else:
            found[track_id] = value
    if not found and n_vanished:
        raise DataMissingError(
            "None of these recordings is in the catalogue.", "Give values by track id, path or title."
        )
    return found, n_vanished, []


def _signals(workspace: Workspace, library: str, signal: str, on_progress: OnProgress) -> Iterator[tuple[str, Any]]:
    """Each recording of a library, as a function wants it, or the error that stands in its place."""
    from mess_core.targets import audio, midi

    def read(track_id: str) -> Any:
        files = workspace.measurements.files(track_id)
        if signal == "audio":
            return audio.hear(files.audio).sound
        if files.midi is None:
            raise InputError("there is no MIDI beside the audio")
        return midi.read_performance(files.midi, score=files.score)

    tracks: Sequence[Any] = workspace.catalogue.tracks(library)
    for n_done, track in enumerate(tracks):
        on_progress(n_done, len(tracks))
        try:
            yield track.track_id, track if signal == "track" else read(track.track_id)
        except Exception as error:  # a file that cannot be read: said of it, and the others are measured
            yield track.track_id, error
    on_progress(len(tracks), len(tracks))


def as_document(taken: TakenTarget) -> Mapping[str, Any]:
    """The shape of `targets --csv --json`."""
    target = taken.target
    return {
        "name": target.name,
        "kind": target.kind,
        "unit": target.unit,
        "source": target.source,
        "n_values": len(target.values),
        "n_vanished": taken.n_vanished,
        "refused": [{"name": name, "reason": why} for name, why in taken.refused],
    }
