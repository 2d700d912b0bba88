"""Vectors of another program as an encoder of ours: a `.npy` file, and a text file that names the track of each row.

    vectors (n, dim) or (n, n_layers, dim)  +  names, one line per row  [+ when each begins, in seconds (n,)]
      -> `imported:<name>`: searched, probed and mapped like any encoder; it embeds nothing new

A name is a track id, a title, or the name of an audio file with or without its suffix. One vector stands for a whole
track, so it has one segment: its moments are all at the beginning. With times a row is a segment, and a track has as
many rows as it is named in: its embedding is their mean, and moments, passages and probing by segments go by them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mess_core.catalogue.catalogue import ALL
from mess_core.config import HOP_S, MAX_DURATION_S, SEGMENT_S
from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.imported import IMPORTED, MOST_LAYERS, MOST_NUMBERS, check_name, keep_imported
from mess_core.errors import InputError
from mess_core.handover.folders import OnProgress, no_progress
from mess_core.storage.untrusted import LARGEST, are_possible, npy_facts, printable, read_npy, read_text
from mess_core.words import counted
from mess_core.workspace.workspace import Workspace

LARGEST_HALF = float(np.finfo(np.float16).max)  # segments are kept in half precision
N_NAMED = 3  # examples in a sentence


@dataclass(frozen=True)
class ImportedVectors:
    """What became of a table of vectors. refused : (name, why) of each row that was left out"""

    info: EncoderInfo
    library: str
    n_rows: int
    n_new: int
    n_known: int
    refused: tuple[tuple[str, str], ...]

    @property
    def summary(self) -> str:
        known = f", known before: {self.n_known}" if self.n_known else ""
        return f"{self.n_new} of {counted(self.n_rows, 'vector')} taken in as {self.info.id}{known}."


def import_vectors(
    workspace: Workspace,
    name: str,
    npy_path: Path,
    ids_path: Path,
    library: str = ALL,
    on_progress: OnProgress = no_progress,
    *,
    starts_path: Path | None = None,
    segment_s: float | None = None,
) -> ImportedVectors:
    """Take in vectors as the encoder `imported:<name>`, from files.

    Parameters
    ----------
    npy_path : Path
        Numbers of shape (n, dim) or (n, n_layers, dim).
    ids_path : Path
        A text file of n lines; what each names is looked for in `library`.
    starts_path : Path or None
        A `.npy` file of n numbers: when each row begins in its track, in seconds. None: a row is a whole track.
    segment_s : float or None
        How long a row is, with `starts_path`; see `take_vectors`.

    Raises
    ------
    InputError
        If the files cannot be read or do not fit each other, or as `take_vectors`.
    """
    check_name(name)
    workspace.catalogue.require_library(library)
    lines = _read_lines(ids_path)
    vectors = _read_vectors(npy_path, len(lines), ids_path.name)
    starts_s = None if starts_path is None else _read_starts(starts_path, len(lines), ids_path.name)
    return take_vectors(
        workspace, name, vectors, lines, library, on_progress, starts_s=starts_s, segment_s=segment_s,
        where=printable(npy_path.name),
    )  # fmt: skip


def take_vectors(
    workspace: Workspace,
    name: str,
    vectors: np.ndarray,
    lines: Sequence[str],
    library: str = ALL,
    on_progress: OnProgress = no_progress,
    *,
    starts_s: np.ndarray | None = None,
    segment_s: float | None = None,
    where: str = "the array",
) -> ImportedVectors:
    """Take in vectors as the encoder `imported:<name>`.

    Parameters
    ----------
    vectors : ndarray, shape (n, dim) or (n, n_layers, dim)
    lines : sequence of str
        What each row is of, n in all; looked for in `library`.
    starts_s : ndarray, shape (n,), seconds, or None
        When each row begins in its track; None: a row is a whole track.
    segment_s : float or None
        How long a row is; None: as long as it usually is from one to the next.
    where : str
        What the vectors are called in a sentence.

    Raises
    ------
    InputError
        If arrays and names do not fit each other, two rows are of one track (or of one moment of it), no row can be
        used, or the name stands for other vectors already.
    """
    check_name(name)
    workspace.catalogue.require_library(library)
    vectors = _checked(vectors, where)
    lines = [str(line) for line in lines]
    counts = {len(vectors), len(lines), *(() if starts_s is None else (len(starts_s),))}
    if len(counts) > 1:
        raise InputError(
            f"{where} has {counted(len(vectors), 'row')}, beside {counted(len(lines), 'name')}"
            f"{'' if starts_s is None else ' and ' + counted(len(starts_s), 'time')}.",
            "Expected one of each per row.",
        )
    info = _info_of(name, vectors, lines, starts_s, segment_s)
    known = workspace.catalogue.called(library)
    found: dict[str, list[int]] = {}  # track id -> rows
    refused: list[tuple[str, str]] = []
    for row, line in enumerate(lines):
        track_ids = known.get(line, set())
        if len(track_ids) != 1:
            why = f"names {len(track_ids)} tracks of this library" if track_ids else "no such track in this library"
            refused.append((line, why))
        elif not are_possible(vectors[row]):
            is_finite = np.isfinite(vectors[row]).all()
            why = f"a number beyond {LARGEST:g}" if is_finite else "a NaN or infinity"
            refused.append((line, f"its vector holds {why}"))
        elif starts_s is not None and not 0 <= starts_s[row] <= MAX_DURATION_S:
            refused.append((line, f"it begins at {starts_s[row]:g} s"))
        else:
            found.setdefault(min(track_ids), []).append(row)
    for track_id, rows in found.items():
        _check_rows(track_id, rows, starts_s)
    if not found:
        examples = "; ".join(f"{line}: {why}" for line, why in refused[:N_NAMED])
        raise InputError(f"No row of {where} can be used ({examples}).", "Each name is a track's, or its file's.")
    keep_imported(info, workspace.paths)
    new = [track_id for track_id in sorted(found) if not workspace.store.has(track_id, info)]
    made = ((track_id, _of_track(vectors, found[track_id], starts_s, info), None) for track_id in new)
    n_new = workspace.store.write_many(info, made, lambda n_done: on_progress(n_done, len(new)))
    return ImportedVectors(info, library, len(vectors), n_new, len(found) - len(new), tuple(refused))


def _check_rows(track_id: str, rows: Sequence[int], starts_s: np.ndarray | None) -> None:
    """InputError if several rows are of one track, or of one moment of it where they have times."""
    if starts_s is None and len(rows) > 1:
        raise InputError(
            f"Lines {rows[0] + 1} and {rows[1] + 1} are of one track, {track_id}.",
            "Leave one vector per track, or say when each begins.",
        )
    if starts_s is not None and len({*starts_s[rows].tolist()}) < len(rows):
        raise InputError(f"Two rows of the track {track_id} begin at one time.", "Leave one vector per moment.")


def _checked(vectors: np.ndarray, where: str) -> np.ndarray:
    """(n, n_layers, dim) float32; what single precision cannot hold becomes infinite."""
    array = np.asarray(vectors)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{where} holds {array.dtype}, expected real numbers.")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(f"{where} has shape {array.shape}, expected (n, dim) or (n, n_layers, dim).")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32, copy=False)
    return single if single.ndim == 3 else single[:, None]


def _read_starts(path: Path, n_lines: int, ids_name: str) -> np.ndarray:
    name, cure = printable(path.name), "Write it with numpy.save: seconds, one number per row."
    shape = npy_facts(path, name=name, cure=cure, error=InputError).shape
    if shape != (n_lines,):
        raise InputError(f"{name} has shape {shape}, expected ({n_lines},): one time per line of {ids_name}.", cure)
    return read_npy(path, name=name, cure=cure, error=InputError).astype(np.float32)


def _read_vectors(path: Path, n_lines: int, ids_name: str) -> np.ndarray:
    """(n, n_layers, dim) float32. Read once its shape is right."""
    name, cure = printable(path.name), "Write it with numpy.save: (n, dim) or (n, n_layers, dim)."
    shape = npy_facts(path, name=name, cure=cure, error=InputError).shape
    if len(shape) not in (2, 3) or 0 in shape:
        raise InputError(f"{name} has shape {shape}, expected (n, dim) or (n, n_layers, dim).")
    if shape[0] != n_lines:
        raise InputError(
            f"{name} has {counted(shape[0], 'row')}, {printable(ids_name)} has {counted(n_lines, 'line')}.",
            "Expected one line per row.",
        )
    if math.prod(shape[1:-1]) > MOST_LAYERS or shape[-1] > MOST_NUMBERS:
        raise InputError(
            f"{name} has vectors of shape {shape[1:]}, more than {MOST_LAYERS} layers of {MOST_NUMBERS:,}."
        )
    return _checked(read_npy(path, name=name, cure=cure, error=InputError), name)


def _read_lines(path: Path) -> list[str]:
    text = read_text(path, cure="Expected UTF-8, one track per line.", error=InputError)
    return [line.strip() for line in text.rstrip().split("\n")]


def _info_of(
    name: str, vectors: np.ndarray, lines: Sequence[str], starts_s: np.ndarray | None, segment_s: float | None
) -> EncoderInfo:
    """The facts; the revision is the content, so other vectors are another encoder."""
    content = hashlib.sha256(json.dumps([vectors.shape, list(lines)]).encode())
    content.update(np.ascontiguousarray(vectors, "<f4").tobytes())
    long_s, hop_s = SEGMENT_S, HOP_S
    if starts_s is not None:
        content.update(np.ascontiguousarray(starts_s, "<f4").tobytes())
        hop_s = _usual_hop_s(lines, starts_s)
        long_s = hop_s if segment_s is None else segment_s
        if not (np.isfinite(long_s) and long_s > 0):
            raise InputError(f"A segment cannot be {segment_s} s long.", "Expected seconds above 0.")
    return EncoderInfo(
        id=f"{IMPORTED}{name}",
        title=f"{name}, imported",
        summary="Vectors made by another program; it embeds nothing new.",
        source="imported",
        revision=content.hexdigest(),
        licence="unknown",
        files=(),
        sample_rate_hz=0,  # it hears nothing
        frame_rate_hz=0.0,
        n_layers=vectors.shape[1],
        dim=vectors.shape[2],
        layer_0="as imported",
        normaliser="none",
        segment_s=long_s,
        hop_s=hop_s,
    )


def _usual_hop_s(lines: Sequence[str], starts_s: np.ndarray) -> float:
    """From one row of a track to its next, in the middle of all; as ours are where no track has two."""
    by_name: dict[str, list[float]] = {}
    for line, start_s in zip(lines, starts_s.tolist(), strict=True):
        by_name.setdefault(line, []).append(start_s)
    gaps = [gap for times in by_name.values() for gap in np.diff(sorted(times)).tolist() if gap > 0]
    return round(float(np.median(gaps)), 3) if gaps else HOP_S


def _of_track(
    vectors: np.ndarray, rows: Sequence[int], starts_s: np.ndarray | None, info: EncoderInfo
) -> TrackEmbedding:
    """Of the rows of a track, in order of time."""
    if starts_s is None:
        return _embedding(vectors[list(rows)], np.zeros(1), info)
    ordered = sorted(rows, key=lambda row: float(starts_s[row]))
    return _embedding(vectors[ordered], starts_s[ordered], info)


def _embedding(vectors: np.ndarray, starts_s: np.ndarray, info: EncoderInfo) -> TrackEmbedding:
    """(n_segments, n_layers, dim): segments, and their mean. Numbers too large for half precision are cut there."""
    return TrackEmbedding(
        segments=vectors.clip(-LARGEST_HALF, LARGEST_HALF).astype(np.float16),
        starts_s=np.asarray(starts_s, np.float32),
        mean=vectors.mean(axis=0, dtype=np.float64).astype(np.float32),
        frame_std=np.zeros((info.n_layers, info.dim), np.float32),  # of one frame
    )
