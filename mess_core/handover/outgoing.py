"""A library out of this data folder: tracks, embeddings, targets, score times, as files that any program reads.

    manifest.json            what is here, under which licence, and the sha256 of every file
    tracks.parquet           what is known of each track, names as edited; file names without where they lie
    targets.parquet, segment_targets.parquet, score_times.parquet
    embeddings/<encoder>/    one safetensors file per track, byte for byte as they are stored
    neighbours-<encoder>.parquet    the ten nearest of each track by default search
    README.txt               how to read it

Nothing in it is random and no date: the same library gives the same bytes. Music is not copied.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mess_core
from mess_core.catalogue.catalogue import TRACK_FIELDS, Track, readable
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.imported import info_of
from mess_core.encoders.registry import encoder_info
from mess_core.errors import ArtefactMismatchError, DataMissingError
from mess_core.handover.folders import ListedFile, OnProgress, no_progress, whole_folder, write_manifest
from mess_core.handover.parquet import (
    SCORE_TIMES,
    SEGMENT_TARGETS,
    TARGETS,
    TRACKS,
    TRACKS_PER_GROUP,
    Row,
    write_table,
)
from mess_core.handover.served import build_served
from mess_core.storage.untrusted import MOST_TENSORS_BYTES, parse_json, read_untrusted
from mess_core.targets.registry import VERSIONS
from mess_core.words import counted
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

FORMAT = "mess-library-2"
LICENCE = ("licence", "license")  # columns of the user's own table
OLDER = ("mess-library-1",)  # the same without album, album artist, disc, movement, conductor and details
NEIGHBOURS_UP_TO = 20_000  # tracks: every one is compared with every other
N_NEIGHBOURS = 10
README = """A library of MESS (Music Embedding Similarity Search), format {format}.

The tables are Parquet: pyarrow.parquet.read_table("tracks.parquet"). An embedding is read with
safetensors.numpy.load_file("embeddings/<encoder>/<first two digits>/<track id>.safetensors"): `mean` (layers, numbers)
is the whole track, `segments` (segments, layers, numbers) its parts, which begin at `starts_s`. Where the layers of an
encoder are not equally wide, they lie one after the other, (numbers) and (segments, numbers), as wide as its `widths`
say. manifest.json says which encoders made them, under which licences, and lists the sha256 of every file. To take all
of it into another data folder: python -m mess_core import FOLDER. The music itself is not here.
"""


@dataclass(frozen=True)
class Manifest:
    """What an exported library holds.

    counts : of tracks, and of rows in each table
    left_out : what a reader might miss, in sentences
    """

    library: str
    counts: Mapping[str, int]
    encoders: Sequence[Mapping[str, Any]]
    collections: Sequence[Mapping[str, Any]]
    left_out: Sequence[str]
    files: Sequence[ListedFile]

    @property
    def summary(self) -> str:
        n_bytes = sum(file.size_bytes for file in self.files)
        parts = [counted(self.counts[f"{name}s"], name) for name in ("track", "embedding")]
        return f"{', '.join(parts)}, {counted(len(self.files), 'file')} of {counted(n_bytes, 'byte')}."


@dataclass(frozen=True)
class _Embedded:
    """The embeddings of a library by one encoder: rows of the table, in order of track id."""

    info: EncoderInfo
    rows: Sequence[sqlite3.Row]


def embedding_path(info: EncoderInfo, track_id: str) -> str:
    """Where an embedding lies in an exported library."""
    return f"embeddings/{info.folder}/{track_id[:2]}/{track_id}.safetensors"


def export_library(
    workspace: Workspace,
    library: str,
    folder: Path,
    encoder_ids: Sequence[str] | None = None,
    on_progress: OnProgress = no_progress,
) -> Manifest:
    """Write a library into a folder, all of it or nothing; an older export in the same folder gives way.

    Parameters
    ----------
    encoder_ids : sequence of str, or None
        Whose embeddings; None stands for all.

    Raises
    ------
    DataMissingError
        If the library has no track, or no embedding by an encoder that was named.
    ArtefactMismatchError
        If an embedding is damaged: it is not handed over.
    InputError
        If the folder holds something else.
    """
    workspace.catalogue.require_library(library)
    tracks = workspace.catalogue.tracks(library)
    if not tracks:
        raise DataMissingError(f"The library {library!r} has no track.", "python -m mess_core add PATH")
    track_ids = [track.track_id for track in tracks]
    embedded = _embedded(workspace, set(track_ids), encoder_ids)
    with whole_folder(folder, "mess-library-") as new:
        tables = tables_of(workspace, library, tracks)
        counts = {name.removesuffix(".parquet"): write_table(new / name, rows) for name, rows in tables}
        n_total = sum(len(each.rows) for each in embedded)
        n_done = 0
        for each in embedded:
            for row in each.rows:
                on_progress(n_done, n_total)
                path = new / embedding_path(each.info, row["track_id"])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_stored(workspace, row))
                n_done += 1
        scopes = [Scope(workspace, library, each.info) for each in embedded]
        left_out = [sentence for scope in scopes if (sentence := _write_neighbours(scope, new))]
        (new / "README.txt").write_text(README.format(format=FORMAT), "utf-8", newline="\n")
        document = {
            "format": FORMAT,
            "mess": mess_core.__version__,
            "library": library,
            "counts": {**counts, "embeddings": n_total},
            "target_versions": dict(VERSIONS),
            "collections": _collections(tracks, workspace.catalogue.details(library)),
            "encoders": [
                {
                    "fingerprint": each.info.fingerprint,
                    "folder": each.info.folder,
                    "n_tracks": len(each.rows),
                    "licence": each.info.licence,
                    "facts": each.info.facts,
                }
                for each in embedded
            ],
            "left_out": left_out,
        }
        files = write_manifest(new, document)
        on_progress(n_total, n_total)
    return Manifest(
        library, document["counts"], document["encoders"], document["collections"], left_out, files  # type: ignore[arg-type]
    )  # fmt: skip


def _embedded(workspace: Workspace, track_ids: set[str], encoder_ids: Sequence[str] | None) -> list[_Embedded]:
    """By every encoder that was asked for, in order of its folder's name."""
    found = []
    connection = workspace.database.connection
    for encoder in connection.execute("SELECT fingerprint, encoder, facts FROM encoders").fetchall():
        if encoder_ids is not None and encoder["encoder"] not in encoder_ids:
            continue
        rows = [
            row
            for row in connection.execute(
                "SELECT track_id, path, sha256 FROM embeddings WHERE fingerprint = ? ORDER BY track_id",
                (encoder["fingerprint"],),
            )
            if row["track_id"] in track_ids
        ]
        if rows:
            found.append(
                _Embedded(
                    info_of(parse_json(encoder["facts"], workspace.paths.database.name), workspace.paths.database.name),
                    rows,
                )
            )
    for encoder_id in encoder_ids or ():
        info = encoder_info(encoder_id, workspace.paths)
        if encoder_id not in {each.info.id for each in found}:
            raise DataMissingError(
                f"No track of this library has an embedding by {info.id} yet.",
                f"python -m mess_core extract --encoder {info.id}",
            )
    return sorted(found, key=lambda each: each.info.folder)


def _stored(workspace: Workspace, row: sqlite3.Row) -> bytes:
    try:
        data = read_untrusted(workspace.store.path_of(row["path"]), MOST_TENSORS_BYTES)
    except (FileNotFoundError, ArtefactMismatchError):
        data = b""
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        raise ArtefactMismatchError(
            f"The embedding file {row['path']} is damaged or gone: it is not handed over.",
            "Run: python -m mess_core check --repair, then extract again.",
        )
    return data


def _write_neighbours(scope: Scope, folder: Path) -> str | None:
    """The nearest of each track; or a sentence that says why they are not there."""
    info, n_tracks = scope.info, scope.n_embedded
    if n_tracks > NEIGHBOURS_UP_TO:
        return f"Neighbours by {info.id}: {n_tracks} tracks are more than {NEIGHBOURS_UP_TO}; export the index instead."
    served, _ = build_served(scope)

    def rows() -> Iterator[list[Row]]:
        for track_id, nearest in zip(served.track_ids, served.nearest_of_each(N_NEIGHBOURS), strict=True):
            yield [(track_id, n, found.track_id, found.similarity) for n, found in enumerate(nearest, start=1)]

    write_table(folder / f"neighbours-{info.folder}.parquet", _joined(rows(), 1000))
    return None


def _collections(tracks: Sequence[Track], details: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Who described the tracks, and under which licence the music is: each by its own, where a table says it."""
    names = sorted({track.collection for track in tracks if track.collection})
    if not names:
        return []
    from mess_core.collections.published import COLLECTIONS

    return [
        {
            "id": name,
            "title": COLLECTIONS[name].title if name in COLLECTIONS else name,
            "licence": _licences(
                [details.get(track.track_id, {}) for track in tracks if track.collection == name],
                COLLECTIONS[name].licence if name in COLLECTIONS else "",
            ),
            "n_tracks": sum(track.collection == name for track in tracks),
        }
        for name in names
    ]


def _licences(details: Sequence[Mapping[str, str]], usual: str) -> str:
    """Under which licences some recordings are: "CC0 (3), CC BY 4.0 (1)", or the one that all are under.

    Examples
    --------
    >>> _licences([{"Licence": "CC0"}, {"license": "CC0"}, {"era": "late"}], "")
    'CC0 (2), unknown (1)'
    >>> _licences([{}, {}], "CC BY 4.0")
    'CC BY 4.0'
    """
    own = ({name.casefold(): text for name, text in each.items()} for each in details)
    found = Counter(next((each[name] for name in LICENCE if each.get(name)), usual or "unknown") for each in own)
    return next(iter(found)) if len(found) == 1 else ", ".join(f"{name} ({n})" for name, n in found.most_common())


# --- tables -------------------------------------------------------------------------------------------------


def tables_of(workspace: Workspace, library: str, tracks: Sequence[Track]) -> Iterator[tuple[str, Iterator[list[Row]]]]:
    """Every table of some tracks of a library with its rows, a few tracks at a time."""
    planted = workspace.catalogue.planted(library)
    connection = workspace.database.connection

    def of_track(track: Track) -> list[Row]:
        facts = tuple(getattr(track, name) for name in TRACK_FIELDS)
        truth = sorted(planted.get(track.track_id, {}).items())
        details = sorted(workspace.catalogue.details_of(track.track_id).items())
        return [(*facts, truth, _file_names(connection, track.track_id), details)]

    def of_table(query: str) -> Callable[[Track], list[Row]]:
        return lambda track: [tuple(row) for row in connection.execute(query, (track.track_id,))]

    def of_scores(track: Track) -> list[Row]:
        times = sorted(workspace.catalogue.passages.of_track(track.track_id), key=lambda each: each.score)
        return [(track.track_id, each.score, each.beats.tolist(), each.times_s.tolist()) for each in times]

    targets = of_table(
        "SELECT track_id, target, value, unit, quality, n_events, reason, version FROM targets"
        " WHERE track_id = ? ORDER BY target"
    )
    segments = of_table(
        "SELECT track_id, target, segment, value, quality, version FROM segment_targets"
        " WHERE track_id = ? ORDER BY target, segment"
    )
    tables = {TRACKS: of_track, TARGETS: targets, SEGMENT_TARGETS: segments, SCORE_TIMES: of_scores}
    for name, rows_of in tables.items():
        yield name, _joined(map(rows_of, tracks), TRACKS_PER_GROUP)


def _joined(of_tracks: Iterable[list[Row]], n: int) -> Iterator[list[Row]]:
    """The rows of n tracks together."""
    group: list[Row] = []
    for number, rows in enumerate(of_tracks, start=1):
        group += rows
        if number % n == 0:
            yield group
            group = []
    yield group


def _file_names(connection: sqlite3.Connection, track_id: str) -> list[dict[str, str]]:
    """Relative to their roots: where a person keeps music is not handed over."""
    rows = connection.execute(
        "SELECT role, relative_path FROM files WHERE track_id = ? ORDER BY role, root_id, relative_path", (track_id,)
    ).fetchall()
    names = []
    for row in rows:
        named = {"role": row["role"], "name": readable(os.fsdecode(row["relative_path"]))}
        if named not in names:
            names.append(named)
    return names
