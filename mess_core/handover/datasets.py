"""Data sets of other libraries become a library of MESS: `mirdata`, and `datasets` of Hugging Face.

    mirdata Dataset    tracks with `audio_path`, plain attributes, annotations   -> tracks, names, columns
    datasets.Dataset   rows with an audio column, ClassLabels, plain columns     -> tracks, names, columns

Attributes and columns that are called as one of ours (work, composer, performer, …), or as one of their other names,
become that; the rest are columns of the user's table, which can be probed and grouped by. Annotations become columns by
the rule of `annotations.py`. Audio stays where it is; what a data set holds as bytes is written into a folder that the
caller names. Neither library is imported here: what is given is asked for what it has.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.catalogue.catalogue import NAMES, NewTrack
from mess_core.collections.collection import MOST_DETAILS, Recording, tidy
from mess_core.collections.opening import open_recording
from mess_core.errors import InputError, MessError
from mess_core.handover.annotations import columns_beside, read_jams, read_layer, texts_of
from mess_core.handover.folders import OnProgress, no_progress
from mess_core.storage.files import write_atomically
from mess_core.storage.untrusted import printable
from mess_core.words import counted, listed
from mess_core.workspace.workspace import Workspace

# What data sets call what we call otherwise; the first that is there counts.
OTHER_NAMES = {
    "title": ("title", "track_title", "name"),
    "work": ("work", "piece", "piece_name", "composition", "work_id", "piece_id"),
    "composer": ("composer", "canonical_composer"),
    "performer": ("performer", "artist", "artist_name", "player", "pianist", "musician"),
    "instrument": ("instrument",),
    "session": ("session",),
    "album": ("album", "release"),
    "split": ("split",),
}
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aiff")


@dataclass(frozen=True)
class TakenDataset:
    """What became of a data set. refused : (name, why) of what was left out"""

    library: str
    n_rows: int
    n_registered: int
    refused: tuple[tuple[str, str], ...]

    @property
    def summary(self) -> str:
        left_out = f", {len(self.refused)} left out" if self.refused else ""
        return f"{self.n_registered} of {counted(self.n_rows, 'recording')} registered in {self.library}{left_out}."


def take_mirdata(
    workspace: Workspace,
    dataset: Any,
    library: str,
    *,
    audio: str = "audio_path",
    columns: Mapping[str, str] | None = None,
    on_progress: OnProgress = no_progress,
) -> TakenDataset:
    """Register the tracks of a mirdata Dataset; its files are where it has them, and nothing is copied.

    Parameters
    ----------
    dataset : mirdata.core.Dataset
        Downloaded already.
    audio : str
        The attribute that holds the path of the audio.
    columns : mapping of our name to its attribute
        `{"work": "piece_id"}`, where it is not told by its name.

    Raises
    ------
    InputError
        If it is no such data set, or no track can be used.
    """
    if not callable(getattr(dataset, "load_tracks", None)):
        raise InputError(f"A {type(dataset).__name__} is no Dataset of mirdata.", "mirdata.initialize(name, data_home)")
    tracks, name = dataset.load_tracks(), tidy(getattr(dataset, "name", "")) or "mirdata"

    def rows() -> Iterator[tuple[str, Callable[[], Recording]]]:
        for track_id, track in tracks.items():
            yield str(track_id), lambda track=track: _of_mirdata(track, audio, columns or {})  # type: ignore[misc]

    return _register(workspace, rows(), len(tracks), library, name, on_progress)


def _of_mirdata(track: Any, audio: str, columns: Mapping[str, str]) -> Recording:
    path = getattr(track, audio, None)
    if not path:
        raise InputError(f"It has no {audio}.", "Name the attribute that holds its path: audio=….")
    told: dict[str, Any] = {}
    for name in sorted(name for name in dir(track) if not name.startswith("_")):
        if name.startswith("audio") or name.endswith("_path") or name in ("to_jams", "get_path", "track_id"):
            continue
        try:
            value = getattr(track, name)
        except Exception:  # an annotation whose file is not there: the track has none
            continue
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            value = "; ".join(value)
        if _is_plain(value):
            told[name] = value
        elif not callable(value) and not isinstance(value, tuple | dict | np.ndarray):
            told |= columns_beside(value, name)
    return _recording(Path(path), told, columns)


def take_hugging_face(
    workspace: Workspace,
    dataset: Any,
    library: str,
    *,
    column: str = "",
    folder: Path | None = None,
    columns: Mapping[str, str] | None = None,
    on_progress: OnProgress = no_progress,
) -> TakenDataset:
    """Register the rows of a Hugging Face Dataset that has an audio column.

    Parameters
    ----------
    dataset : datasets.Dataset
        One split.
    column : str
        Which one is audio; by default the only one.
    folder : path or None
        Where audio goes that the data set holds as bytes; without it, only rows that name a file are registered.
    columns : mapping of our name to its column
        `{"work": "piece"}`, where it is not told by its name.

    Raises
    ------
    InputError
        If it is no such data set, has no or several audio columns, or no row can be used.
    """
    features = getattr(dataset, "features", None)
    if not isinstance(features, Mapping) or not callable(getattr(dataset, "cast_column", None)):
        raise InputError(f"A {type(dataset).__name__} is no Dataset of Hugging Face.", "Take one split of it.")
    audio = [name for name, kind in features.items() if type(kind).__name__ == "Audio"]
    if (column and column not in audio) or (not column and len(audio) != 1):
        there_is = ", ".join(audio) or "none"
        raise InputError(f"Which column is audio? {there_is}.", "Name it: column=….")
    column = column or audio[0]
    as_stored = dataset.cast_column(column, type(features[column])(decode=False))

    def rows() -> Iterator[tuple[str, Callable[[], Recording]]]:
        for number in range(len(as_stored)):
            yield (
                f"row {number}",
                lambda number=number: _of_row(  # type: ignore[misc]
                    as_stored[number], features, column, folder, columns or {}
                ),
            )

    return _register(workspace, rows(), len(as_stored), library, "hugging-face", on_progress)


def _of_row(
    row: Mapping[str, Any], features: Mapping[str, Any], column: str, folder: Path | None, columns: Mapping[str, str]
) -> Recording:
    told = {}
    for name, value in row.items():
        if name == column:
            continue
        kind = features[name]
        if callable(getattr(kind, "int2str", None)) and isinstance(value, int) and value >= 0:
            value = kind.int2str(value)
        if _is_plain(value):
            told[name] = value
    audio = row[column] or {}
    path, data = audio.get("path"), audio.get("bytes")
    if path and Path(path).is_file():
        return _recording(Path(path), told, columns)
    if not data:
        raise InputError("Its audio is neither a file here nor in the data set.")
    if folder is None:
        raise InputError("The data set holds its audio as bytes.", "Name a folder for them: folder=….")
    suffix = Path(path or "").suffix.lower()
    target = folder / f"{hashlib.sha256(data).hexdigest()[:16]}{suffix if suffix in SUFFIXES else '.wav'}"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, data)
    if not told.get("title") and path:
        told["title"] = Path(path).stem
    return _recording(target, told, columns)


def annotate(workspace: Workspace, library: str, files: list[Path]) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Take in annotations of recordings of a library, as columns of the user's table; see `annotations.py`.

    Parameters
    ----------
    files : list of path
        `piece.jams`, or `piece.<layer>.csv`; folders stand for all such files below them. `piece` is the name of an
        audio file without its suffix, a title, or a track id.

    Returns
    -------
    int, tuple of (file, why)
        How many recordings were annotated, and what was left out.

    Raises
    ------
    InputError
        If there is no such file, or none can be used.
    """
    workspace.catalogue.require_library(library)
    found: dict[str, dict[str, str]] = {}
    refused: list[tuple[str, str]] = []
    names = workspace.catalogue.called(library)
    paths = [each for path in files for each in _below(path)]
    for path in paths:
        stem, _, layer = path.stem.rpartition(".") if path.suffix.lower() == ".csv" else (path.stem, "", "")
        track_ids = names.get(stem, set()) or names.get(path.stem, set())
        if len(track_ids) != 1 or (path.suffix.lower() == ".csv" and not stem):
            why = f"names {len(track_ids)} recordings" if track_ids else "no such recording in this library"
            refused.append((path.name, why))
            continue
        track_id = min(track_ids)
        try:
            duration_s = workspace.catalogue.track(track_id).duration_s
            columns = read_layer(path, tidy(layer) or "layer", duration_s) if layer else read_jams(path)
        except MessError as error:
            refused.append((path.name, error.message))
            continue
        found.setdefault(track_id, {}).update(texts_of(columns))
    if not found:
        examples = "; ".join(f"{printable(name)}: {why}" for name, why in refused[:3])
        where = listed([printable(str(path)) for path in files[:3]])
        raise InputError(
            f"No annotation can be used ({examples or f'there is none in {where}'}).",
            "Expected files called piece.jams or piece.<layer>.csv, where piece is a recording's file, title or id.",
        )
    workspace.catalogue.add_details(found)
    return len(found), tuple(refused)


def _below(path: Path) -> list[Path]:
    path = path.expanduser()
    if path.is_dir():
        found = (each for each in path.rglob("*") if each.suffix.lower() in (".jams", ".csv") and each.is_file())
        return sorted(each for each in found if each.suffix.lower() == ".jams" or "." in each.stem)  # no other tables
    if not path.is_file():
        raise InputError(f"There is no file or folder at {printable(str(path))}.", "Check the path.")
    return [path]


# --- registering --------------------------------------------------------------------------------------------


def _recording(audio: Path, told: Mapping[str, Any], columns: Mapping[str, str]) -> Recording:
    """What is told of a recording, parted into our names and the rest."""
    wrong = [name for name in columns if name not in NAMES]
    if wrong:
        raise InputError(f"A track has no {wrong[0]!r}.", f"It has: {', '.join(NAMES)}.")
    names: dict[str, str] = {}
    used = set()
    for name in NAMES:
        for other in (columns[name],) if name in columns else OTHER_NAMES.get(name, (name,)):
            if (value := tidy(told.get(other))) is not None:
                names[name] = value
                used.add(other)
                break
    rest = {name: value for name, value in told.items() if name not in used and value is not None and value != ""}
    details = {name: text for name, value in list(rest.items())[:MOST_DETAILS] if (text := _text(value))}
    return Recording(audio.expanduser().resolve(), **names, details=details)  # type: ignore[arg-type]


def _register(
    workspace: Workspace,
    rows: Iterator[tuple[str, Callable[[], Recording]]],
    n_rows: int,
    library: str,
    collection: str,
    on_progress: OnProgress,
) -> TakenDataset:
    new: list[NewTrack] = []
    refused: list[tuple[str, str]] = []
    for number, (name, read) in enumerate(rows):
        on_progress(number, n_rows)
        try:
            opened = open_recording(read(), collection)
            new.append(replace(opened, track=replace(opened.track, collection=collection)))
        except MessError as error:
            refused.append((name, str(error)))
        except OSError as error:
            refused.append((name, f"its audio cannot be read: {error.strerror}"))
    on_progress(n_rows, n_rows)
    if not new:
        examples = "; ".join(f"{name}: {why}" for name, why in refused[:3])
        raise InputError(f"No recording of the data set can be used ({examples or 'it has none'}).")
    root = Path(os.path.commonpath([each.audio.parent for each in new]))
    workspace.add(root, new, library)
    return TakenDataset(library, n_rows, len(new), tuple(refused))


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | np.integer | np.floating) and not (
        isinstance(value, float | np.floating) and not np.isfinite(value)
    )


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float | np.floating) else tidy(str(value))
