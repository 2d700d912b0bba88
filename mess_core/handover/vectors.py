"""Vectors of another program as an encoder of ours: a `.npy` file, and a text file that names the track of each row.

    vectors (n, dim) or (n, n_layers, dim)  +  names, one line per row
      -> `imported:<name>`: searched, probed and mapped like any encoder; it embeds nothing new

A name is a track id, a title, or the name of an audio file with or without its suffix. One vector stands for a whole
track, so it has one segment: its moments are all at the beginning.
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
) -> ImportedVectors:
    """Take in vectors as the encoder `imported:<name>`.

    Parameters
    ----------
    npy_path : Path
        Numbers of shape (n, dim) or (n, n_layers, dim).
    ids_path : Path
        A text file of n lines; what each names is looked for in `library`.

    Raises
    ------
    InputError
        If the files cannot be read or do not fit each other, two rows are of one track, no row can be used, or the name
        stands for other vectors already.
    """
    check_name(name)
    workspace.catalogue.require_library(library)
    lines = _read_lines(ids_path)
    vectors = _read_vectors(npy_path, len(lines), ids_path.name)
    info = _info_of(name, vectors, lines)
    known = _names(workspace, library)
    found: dict[str, int] = {}  # track id -> row
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
        elif (track_id := min(track_ids)) in found:
            raise InputError(
                f"Lines {found[track_id] + 1} and {row + 1} of {ids_path.name} are of one track, {track_id}.",
                "Leave one vector per track.",
            )
        else:
            found[track_id] = row
    if not found:
        examples = "; ".join(f"{line}: {why}" for line, why in refused[:N_NAMED])
        raise InputError(f"No row of {npy_path.name} can be used ({examples}).", "Each line names a track or its file.")
    keep_imported(info, workspace.paths)
    new = [track_id for track_id in sorted(found) if not workspace.store.has(track_id, info)]
    made = ((track_id, _embedding(vectors[found[track_id]], info), None) for track_id in new)
    n_new = workspace.store.write_many(info, made, lambda n_done: on_progress(n_done, len(new)))
    return ImportedVectors(info, library, len(vectors), n_new, len(found) - len(new), tuple(refused))


def _read_vectors(path: Path, n_lines: int, ids_name: str) -> np.ndarray:
    """(n, n_layers, dim) float32; what single precision cannot hold becomes infinite. Read once its shape is right."""
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
    array = read_npy(path, name=name, cure=cure, error=InputError)
    with np.errstate(over="ignore"):
        vectors = array.astype(np.float32, copy=False)
    return vectors if vectors.ndim == 3 else vectors[:, None]


def _read_lines(path: Path) -> list[str]:
    text = read_text(path, cure="Expected UTF-8, one track per line.", error=InputError)
    return [line.strip() for line in text.rstrip().split("\n")]


def _info_of(name: str, vectors: np.ndarray, lines: Sequence[str]) -> EncoderInfo:
    """The facts; the revision is the content, so other vectors are another encoder."""
    content = hashlib.sha256(json.dumps([vectors.shape, list(lines)]).encode())
    content.update(np.ascontiguousarray(vectors, "<f4").tobytes())
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
    )


def _names(workspace: Workspace, library: str) -> dict[str, set[str]]:
    """What each track of a library may be called -> whose name it is. An id is only ever its own track's."""
    known: dict[str, set[str]] = {}
    tracks = workspace.catalogue.tracks(library)
    for track in tracks:
        files = workspace.catalogue.file_paths(track.track_id)
        for name in {track.title, *(path.name for path in files), *(path.stem for path in files)}:
            known.setdefault(name, set()).add(track.track_id)
    return {**known, **{track.track_id: {track.track_id} for track in tracks}}


def _embedding(vector: np.ndarray, info: EncoderInfo) -> TrackEmbedding:
    """(n_layers, dim): the mean, and the only segment. Numbers too large for half precision are cut there."""
    return TrackEmbedding(
        segments=vector.clip(-LARGEST_HALF, LARGEST_HALF).astype(np.float16)[None],
        starts_s=np.zeros(1, np.float32),
        mean=np.ascontiguousarray(vector),
        frame_std=np.zeros((info.n_layers, info.dim), np.float32),  # of one frame
    )
