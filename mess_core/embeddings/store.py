"""Embeddings: from hidden states to vectors, and the store that keeps them.

Pooling
-------
    hidden states (n_segments, n_layers, n_frames, dim)
      -> pool_frames: mean over frames (or mean and std, for `mel`)     (n_segments, n_layers, embedding_dim) float16
      -> plain mean over segments                                       (n_layers, embedding_dim) float32

The store
---------
One safetensors file per track and encoder, named by content identity, never changed: written to a temporary name,
flushed to disk, renamed, and only then entered in the catalogue with its sha256. No vector format notices a flipped
bit by itself, so every read is checked against that hash. Of an encoder whose layers differ in width a file holds the
layers one after the other (`encoders.widths`) and says how wide each is; whoever reads it gets rows as of any other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mess_core.audio.decode import DecodeFacts
from mess_core.catalogue.takeover import CarriedEmbedding
from mess_core.config import MAX_DURATION_S
from mess_core.embeddings.coverage import fingerprints, is_embedded
from mess_core.embeddings.joining import same_time
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.widths import with_padding, without_padding
from mess_core.errors import ArtefactMismatchError, DataMissingError, StorageError, UnknownTrackError
from mess_core.storage.custody import Custody
from mess_core.storage.database import Database, Guard
from mess_core.storage.far import FarRows, Rows
from mess_core.storage.files import TMP_SUFFIX, inside, own_files, write_all_atomically, write_atomically
from mess_core.storage.kept import Problem
from mess_core.storage.packed import open_packed, read_packed, remove_packed, write_packed, write_packed_in_parts
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import (
    MOST_TENSORS_BYTES,
    are_possible,
    parse_json,
    parse_safetensors,
    printable,
    read_untrusted,
    sha256_of,
    tensor_metadata,
    understanding,
)
from mess_core.words import counted

FORMAT = "mess-embedding-1"
BATCH = 256  # embeddings that are written and entered together; or fewer,
BATCH_BYTES = 64 * 2**20  # as 13 recordings of four minutes by the widest encoder have
IN_LAYERS = ("segments", "mean", "frame_std")  # the parts of an embedding that have a row for each layer
HALF, HALF_ROUNDING = "-half", 1e-3  # name of an array in half precision; what that may change, of a layer's length
EMBEDDINGS = "embeddings"  # folder of the data folder
PACKED_KEEP_S = 30 * 24 * 3600.0  # packed arrays of libraries as they were are made again if anybody wants them
TMP_KEEP_S = 3600.0  # a temporary file older than this has no living writer
_BY_OTHER_VERSIONS = "fingerprint IN (SELECT fingerprint FROM encoders WHERE encoder = ? AND fingerprint != ?)"


@dataclass(frozen=True)
class TrackEmbedding:
    """What is kept of one track.

    segments : (n_segments, n_layers, embedding_dim) float16, frames pooled
    starts_s : (n_segments,) float32, where each segment begins; the last one is end-aligned
    mean : (n_layers, embedding_dim) float32, plain mean over segments: the track embedding
    frame_std : (n_layers, dim) float32, standard deviation over all frames
    """

    segments: np.ndarray
    starts_s: np.ndarray
    mean: np.ndarray
    frame_std: np.ndarray


@dataclass(frozen=True)
class EmbeddingSet:
    """The track embeddings of one library by one encoder; row i belongs to `track_ids[i]`.

    vectors : (n_tracks, n_layers, embedding_dim) float32, read-only
    content : str, sha256 over ids and hashes: two sets with equal `content` are equal
    """

    info: EncoderInfo
    track_ids: tuple[str, ...]
    vectors: np.ndarray
    content: str


@dataclass(frozen=True)
class OpenedEmbeddings:
    """As an `EmbeddingSet`; vectors that are too large for memory are `FarRows` of the same shape."""

    info: EncoderInfo
    track_ids: tuple[str, ...]
    vectors: Rows
    content: str


@dataclass(frozen=True)
class StoredFacts:
    """What the file of an embedding says of itself. shapes : of its four arrays, in order; widths : of its layers"""

    track_id: str
    fingerprint: str
    shapes: tuple[tuple[int, ...], ...]
    widths: tuple[int, ...]
    last_start_s: float
    sha256: str
    size_bytes: int

    @property
    def n_segments(self) -> int:
        return self.shapes[1][0]

    def fits(self, info: EncoderInfo) -> bool:
        """Whether this encoder makes arrays of these shapes."""
        n, layers = self.n_segments, info.n_layers
        expected = ((n, layers, info.embedding_dim), (n,), (layers, info.embedding_dim), (layers, info.dim))
        return n > 0 and self.shapes == expected and self.widths == info.widths


def pool_frames(hidden_states: np.ndarray, pooling: Literal["mean", "mean+std"]) -> np.ndarray:
    """(…, n_frames, dim) -> (…, embedding_dim): the mean over frames, followed by their std if asked."""
    mean = hidden_states.mean(axis=-2)
    if pooling == "mean":
        return mean
    return np.concatenate([mean, hidden_states.std(axis=-2)], axis=-1)


class TrackPooler:
    """Collects a track segment by segment and pools it; holds n_segments vectors, never hidden states."""

    def __init__(self, info: EncoderInfo) -> None:
        self.info = info
        self.starts_s: list[float] = []
        self.segments: list[np.ndarray] = []
        self._n_frames = 0
        self._sum = np.zeros((info.n_layers, info.dim))
        self._sum_of_squares = np.zeros((info.n_layers, info.dim))
        self._sum_of_segments = np.zeros((info.n_layers, info.embedding_dim))

    def add(self, start_s: float, hidden_states: np.ndarray) -> None:
        """One segment: hidden states (n_layers, n_frames, dim)."""
        pooled = pool_frames(hidden_states, self.info.pooling)
        self.starts_s.append(start_s)
        kept = without_padding(pooled, self.info.widths) if self.info.widths else pooled
        self.segments.append(kept.astype(np.float16))
        self._sum_of_segments += pooled
        self._n_frames += hidden_states.shape[1]
        self._sum += hidden_states.sum(axis=1, dtype=np.float64)
        self._sum_of_squares += np.einsum("lfd,lfd->ld", hidden_states, hidden_states)

    def pool(self) -> TrackEmbedding:
        segments = np.stack(self.segments)
        frame_mean = self._sum / self._n_frames
        variance = self._sum_of_squares / self._n_frames - frame_mean**2
        return TrackEmbedding(
            segments=with_padding(segments, self.info.widths) if self.info.widths else segments,
            starts_s=np.asarray(self.starts_s, np.float32),
            mean=(self._sum_of_segments / len(self.segments)).astype(np.float32),
            frame_std=np.sqrt(variance.clip(min=0.0)).astype(np.float32),
        )


def layers_of(info: EncoderInfo, of: Mapping[EncoderInfo, np.ndarray]) -> np.ndarray:
    """The layers of a hearing, (…, n_layers, dim), from those of each of its encoders, of one shape but for dim."""
    parts = [of[part.info][..., list(part.layers), :] for part in info.parts]
    joined = np.zeros((*parts[0].shape[:-2], info.n_layers, info.dim), parts[0].dtype)
    first = 0
    for part in parts:
        n_layers, dim = part.shape[-2:]
        joined[..., first : first + n_layers, : min(dim, info.dim)] = part[..., : info.dim]
        first += n_layers
    return joined


def side_by_side(info: EncoderInfo, of: Mapping[EncoderInfo, TrackEmbedding]) -> TrackEmbedding:
    """The embedding of a hearing.

    Its segments are those of its first encoder; of the others, the segment that sounds at the same time.

    Parameters
    ----------
    of : mapping of each of its encoders to TrackEmbedding
    """
    first = info.encoders[0]
    starts_s = of[first].starts_s
    segments = {}
    for each, embedding in of.items():
        numbers = same_time(starts_s, first.segment_s, embedding.starts_s, each.segment_s)
        segments[each] = embedding.segments[np.where(numbers < 0, _nearest(starts_s, embedding.starts_s), numbers)]
    return TrackEmbedding(
        segments=layers_of(info, segments),
        starts_s=starts_s,
        mean=layers_of(info, {each: embedding.mean for each, embedding in of.items()}),
        frame_std=layers_of(info, {each: embedding.frame_std for each, embedding in of.items()}),
    )


def _nearest(starts_s: np.ndarray, others_s: np.ndarray) -> np.ndarray:
    """Where nothing sounds at the same time, as after the last whole segment: the one that begins nearest."""
    return np.abs(starts_s[:, None] - others_s).argmin(axis=1)


class _NotInHalfError(Exception):
    """Numbers are too large, or too small, for half precision."""


def _halved(part: np.ndarray) -> np.ndarray:
    """Vectors (n, n_layers, dim) in half precision."""
    with np.errstate(over="ignore"):
        halved = part.astype(np.float16)
        changed = np.linalg.norm(halved.astype(np.float32) - part, axis=-1)
    if not (changed <= HALF_ROUNDING * np.linalg.norm(part, axis=-1)).all():
        raise _NotInHalfError
    return halved


class EmbeddingStore:
    """The embeddings of one data folder."""

    def __init__(self, paths: Paths, database: Database, custody: Custody | None = None) -> None:
        self.paths = paths
        self.database = database
        self.custody = custody or Custody(paths)

    def write(
        self,
        track_id: str,
        info: EncoderInfo,
        embedding: TrackEmbedding,
        guard: Guard | None = None,
        heard: DecodeFacts | None = None,
        precision: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep one track's embedding. Either all of it is there afterwards, or nothing is.

        Parameters
        ----------
        guard : callable or None
            Called with the connection inside the transaction; raises if the writer has lost its right to write.
        heard : DecodeFacts or None
            What decoding has found out of the track, kept with it.
        precision : mapping or None
            What its file says of the precision it was computed in (`Certificate.figures`); None is float32.

        Raises
        ------
        UnknownTrackError
            If the track was removed meanwhile; nothing is left of it.
        """
        data = _pack(track_id, info, embedding, precision)
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._free_path(self.paths.embeddings / info.folder / track_id[:2], track_id, sha256)
        older = self._row(track_id, info)
        name = path.relative_to(self.paths.root).as_posix()
        was_there = path.exists()
        write_atomically(path, data)
        try:
            with self.database.transaction() as connection:
                if guard is not None:
                    guard(connection)
                if heard is not None:
                    _note_heard(connection, track_id, heard)
                remember_encoder(connection, info)
                connection.execute(
                    "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (track_id, info.fingerprint, name, sha256, len(data), len(embedding.segments), time.time()),
                )
        except UnknownTrackError:
            if not was_there:
                self.remove_files([name])
            raise
        if older is not None and self.paths.root / older["path"] != path:
            self.remove_files([older["path"]])

    def write_many(
        self,
        info: EncoderInfo,
        embeddings: Iterable[tuple[str, TrackEmbedding, Mapping[str, Any] | None]],
        on_written: Callable[[int], object] = lambda n_drawn: None,
    ) -> int:
        """Keep embeddings that were made elsewhere, many at a time; of each all is there afterwards, or nothing.

        Parameters
        ----------
        embeddings : iterable of (track id, embedding, precision as in `write`)
            Drawn as they are written, so many at a time as `BATCH` and `BATCH_BYTES` allow.
        on_written : callable
            Called with the number that was drawn so far.

        Returns
        -------
        int
            How many were kept: all but those of tracks that were removed meanwhile.
        """
        n_drawn = n_kept = n_bytes = 0
        batch: dict[str, tuple[bytes, int]] = {}
        for track_id, embedding, precision in embeddings:
            batch[track_id] = data, _ = _pack(track_id, info, embedding, precision), len(embedding.segments)
            n_drawn, n_bytes = n_drawn + 1, n_bytes + len(data)
            if len(batch) >= BATCH or n_bytes >= BATCH_BYTES:
                n_kept += self._write_batch(info, batch)
                batch, n_bytes = {}, 0
                on_written(n_drawn)
        n_kept += self._write_batch(info, batch)
        on_written(n_drawn)
        return n_kept

    def _write_batch(self, info: EncoderInfo, batch: Mapping[str, tuple[bytes, int]]) -> int:
        """Files by track id, each with its number of segments: all on the disk, then all in the catalogue."""
        if not batch:
            return 0
        hashes = {track_id: hashlib.sha256(data).hexdigest() for track_id, (data, _) in batch.items()}
        folder = self.paths.embeddings / info.folder
        paths = {each: self._free_path(folder / each[:2], each, hashes[each]) for each in batch}
        were_there = {track_id for track_id, path in paths.items() if path.exists()}
        names = {track_id: path.relative_to(self.paths.root).as_posix() for track_id, path in paths.items()}
        write_all_atomically({paths[track_id]: data for track_id, (data, _) in batch.items()})
        older: list[str] = []
        kept: list[str] = []
        with self.database.transaction() as connection:
            remember_encoder(connection, info)
            for track_id, (data, n_segments) in batch.items():
                if connection.execute("SELECT 1 FROM tracks WHERE track_id = ?", (track_id,)).fetchone() is None:
                    continue
                row = connection.execute(
                    "SELECT path FROM embeddings WHERE track_id = ? AND fingerprint = ?", (track_id, info.fingerprint)
                ).fetchone()
                if row is not None and row["path"] != names[track_id]:
                    older.append(row["path"])
                connection.execute(
                    "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (track_id, info.fingerprint, names[track_id], hashes[track_id], len(data), n_segments, time.time()),
                )  # fmt: skip
                kept.append(track_id)
        self.remove_files([*older, *(names[each] for each in batch.keys() - set(kept) - were_there)])
        return len(kept)

    def write_again(self, track_id: str, new_id: str) -> list[CarriedEmbedding]:
        """Write a track's embeddings of every encoder once more, for another track with the same samples.

        Files only: the catalogue enters them together with the track. What is damaged is left out.
        """
        carried = []
        rows = self.database.connection.execute("SELECT * FROM embeddings WHERE track_id = ?", (track_id,)).fetchall()
        for row in rows:
            with contextlib.suppress(ArtefactMismatchError):
                data = _renamed(self._verified_bytes(row), new_id, row["path"])
                sha256 = hashlib.sha256(data).hexdigest()
                folder = Path(row["path"]).parts[1]
                path = self._free_path(self.paths.embeddings / folder / new_id[:2], new_id, sha256)
                write_atomically(path, data)
                relative = path.relative_to(self.paths.root).as_posix()
                facts = (row["fingerprint"], relative, sha256, len(data), row["n_segments"], row["created_at"])
                carried.append(CarriedEmbedding(*facts))
        return carried

    def facts_of_file(self, path: Path) -> StoredFacts:
        """Read what a file says of itself, without the catalogue. ArtefactMismatchError if it is no whole embedding."""
        return _stored_facts(
            read_untrusted(path, MOST_TENSORS_BYTES, name=f"The embedding file {printable(path.name)}"), path.name
        )

    def enter(self, path: Path, info: EncoderInfo, facts: StoredFacts) -> None:
        """Enter a file that lies in its place into the catalogue; a row that is there stays."""
        name = path.relative_to(self.paths.root).as_posix()
        with self.database.transaction() as connection:
            remember_encoder(connection, info)
            connection.execute(
                "INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?, ?, ?, ?, ?)",
                (facts.track_id, info.fingerprint, name, facts.sha256, facts.size_bytes, facts.n_segments, time.time()),
            )

    def bytes_of(self, track_id: str, fingerprint: str) -> bytes:
        """One track's embedding as it lies on the disk, verified; errors as `read`."""
        row = self._row_of(track_id, fingerprint)
        if row is None:
            raise DataMissingError(f"Track {track_id} has no such embedding.")
        return self._verified_bytes(row)

    def take(self, track_id: str, info: EncoderInfo, data: bytes) -> None:
        """Keep an embedding byte for byte as another data folder has it; one that is here already stays.

        Raises
        ------
        ArtefactMismatchError
            If it is not of this track by this encoder.
        UnknownTrackError
            If there is no such track; nothing is left of it.
        """
        facts = _stored_facts(data, f"{track_id}.safetensors")
        if (facts.track_id, facts.fingerprint) != (track_id, info.fingerprint) or not facts.fits(info):
            raise ArtefactMismatchError(f"The embedding of {track_id} by {info.id} is not what its name says.")
        path = self._free_path(self.paths.embeddings / info.folder / track_id[:2], track_id, facts.sha256)
        was_there = path.exists()
        write_atomically(path, data)
        try:
            self.enter(path, info, facts)
        except UnknownTrackError:
            if not was_there:
                self.remove_files([path.relative_to(self.paths.root).as_posix()])
            raise

    def read(self, track_id: str, info: EncoderInfo) -> TrackEmbedding:
        """One track's embedding, verified.

        Raises
        ------
        DataMissingError
            If it was not extracted yet.
        ArtefactMismatchError
            If the file is gone or damaged; `check --repair` forgets it so that it is extracted again.
        """
        if info.parts:
            return side_by_side(info, {each: self.read(track_id, each) for each in info.encoders})
        row = self._row(track_id, info)
        if row is None:
            raise DataMissingError(
                f"Track {track_id} has no embedding by {info.id}.", f"python -m mess_core extract --encoder {info.id}"
            )
        return _unpack(self._verified_bytes(row), row["path"])

    def has(self, track_id: str, info: EncoderInfo) -> bool:
        return all(self._row(track_id, each) is not None for each in info.encoders)

    def file_paths(self, track_id: str) -> list[Path]:
        """The files of a track's embeddings by every encoder; none that the catalogue places elsewhere."""
        rows = self.database.connection.execute("SELECT path FROM embeddings WHERE track_id = ?", (track_id,))
        paths = []
        for row in rows:
            with contextlib.suppress(ArtefactMismatchError):
                paths.append(self.path_of(row["path"]))
        return paths

    def path_of(self, name: str) -> Path:
        """The file that the catalogue names. ArtefactMismatchError if that leads out of the folder of embeddings."""
        return inside(self.paths.root, name, EMBEDDINGS)

    def remove_files(self, names: Iterable[str]) -> None:
        """Delete files that no row points to any more; what cannot be deleted is swept later."""
        for name in names:
            with contextlib.suppress(OSError, ArtefactMismatchError):
                self.path_of(name).unlink(missing_ok=True)

    def known(self, info: EncoderInfo) -> Mapping[str, str]:
        """track_id -> sha256 of every embedding by this encoder; of a hearing, of what all its parts have embedded."""
        key = ("known", info.fingerprint)
        known: dict[str, str]
        if info.parts:
            each = [self.known(encoder) for encoder in info.encoders]

            def join() -> dict[str, str]:
                common = each[0].keys() & set.intersection(*(set(known) for known in each))
                return {track_id: " ".join(known[track_id] for known in each) for track_id in sorted(common)}

            known = self.database.remembered.made_of(key, each, join)
            return known

        def read() -> dict[str, str]:
            rows = self.database.connection.execute(
                "SELECT track_id, sha256 FROM embeddings WHERE fingerprint = ?", (info.fingerprint,)
            )
            return dict(map(tuple, rows))

        known = self.database.remembered(key, read, ("embeddings",))
        return known

    def among(self, info: EncoderInfo, track_ids: Sequence[str]) -> set[str]:
        """Those of some tracks that are embedded by this encoder, or by all of a hearing."""
        rows = self.database.connection.execute(
            f"SELECT value FROM json_each(:asked) AS asked WHERE {is_embedded(info, 'asked.value')}",
            {"asked": json.dumps(list(track_ids)), **fingerprints(info)},
        )
        return {track_id for (track_id,) in rows}

    def content(self, track_ids: Sequence[str], info: EncoderInfo) -> str:
        """What `load` would return, as a key: it changes when a track is added, removed or extracted again."""
        known = self.known(info)
        present = [(track_id, known[track_id]) for track_id in sorted(track_ids) if track_id in known]
        return hashlib.sha256(json.dumps([info.fingerprint, present]).encode()).hexdigest()

    def load(self, track_ids: Sequence[str], info: EncoderInfo) -> EmbeddingSet:
        """The track embeddings of those tracks that have one, in order of track id.

        Packed into one cache file on first use: ten thousand small files take seconds to open, one takes none.
        """
        while True:
            content = self.content(track_ids, info)
            try:
                return self._load(track_ids, info)
            except (ArtefactMismatchError, DataMissingError):
                if self.content(track_ids, info) == content:  # else something was removed while we read
                    raise

    def _load(self, track_ids: Sequence[str], info: EncoderInfo) -> EmbeddingSet:
        known = self.known(info)
        present = tuple(track_id for track_id in sorted(track_ids) if track_id in known)
        content = self.content(track_ids, info)
        if info.parts:
            vectors = layers_of(info, {each: self._load(present, each).vectors for each in info.encoders})
            vectors.setflags(write=False)
            return EmbeddingSet(info, present, vectors, content)
        shape = (len(present), info.n_layers, info.embedding_dim)
        path = self.paths.packed / f"{content}.npy"
        packed = read_packed(path, (len(present), info.n_numbers) if info.widths else shape)
        if packed is not None:
            vectors = with_padding(packed, info.widths) if info.widths else packed
        else:
            vectors = np.empty(shape, np.float32)
            for row, track_id in enumerate(present):
                vectors[row] = self.read(track_id, info).mean
            write_packed(path, without_padding(vectors, info.widths) if info.widths else vectors)
        vectors.setflags(write=False)
        return EmbeddingSet(info, present, vectors, content)

    def open(self, track_ids: Sequence[str], info: EncoderInfo, most_bytes: float) -> OpenedEmbeddings:
        """As `load`, but vectors that would take more memory than this stay on the disk.

        There they lie in half precision, which changes a vector by less than a thousandth of its length; where it would
        by more, in single precision.

        Raises
        ------
        StorageError
            Besides those of `load`: if there is no room for them on the disk.
        """
        while True:
            content = self.content(track_ids, info)
            known = self.known(info)
            present = tuple(track_id for track_id in sorted(track_ids) if track_id in known)
            if len(present) * info.n_layers * info.embedding_dim * 4 <= most_bytes:
                near = self.load(track_ids, info)
                return OpenedEmbeddings(info, near.track_ids, near.vectors, near.content)
            try:
                return OpenedEmbeddings(info, present, self._far(present, info), content)
            except (ArtefactMismatchError, DataMissingError):
                if self.content(track_ids, info) == content:  # else something was removed while we read
                    raise

    def _far(self, present: Sequence[str], info: EncoderInfo) -> FarRows:
        if info.parts:
            far = {each: self._far(present, each) for each in info.encoders}
            return FarRows(
                (len(present), info.n_layers, info.dim),
                lambda rows: layers_of(info, {each: own[rows] for each, own in far.items()}),
            )
        content = self.content(present, info)
        shape = (len(present), *((info.n_numbers,) if info.widths else (info.n_layers, info.embedding_dim)))
        paths = [self.paths.packed / f"{content}{how}.npy" for how in (HALF, "")]

        def read() -> Iterator[np.ndarray]:
            for start in range(0, len(present), BATCH):
                yield np.stack([self.read(track_id, info).mean for track_id in present[start : start + BATCH]])

        def packed(part: np.ndarray) -> np.ndarray:
            return without_padding(part, info.widths) if info.widths else part

        opened = open_packed(paths[0], shape) or open_packed(paths[1], shape)
        if opened is None:
            try:
                write_packed_in_parts(paths[0], shape, np.float16, (packed(_halved(part)) for part in read()))
            except _NotInHalfError:
                write_packed_in_parts(paths[1], shape, np.float32, map(packed, read()))
            opened = open_packed(paths[0], shape) or open_packed(paths[1], shape)
        if opened is None:
            raise StorageError(
                f"{paths[0].name} is not what was written a moment ago.", "Look after the disk, then ask again."
            )
        if not info.widths:
            return opened
        return opened.changed((info.n_layers, info.embedding_dim), lambda part: with_padding(part, info.widths))

    def segment_counts(self, track_ids: Sequence[str], info: EncoderInfo) -> np.ndarray:
        """How many segments each of these embedded tracks has, (n_tracks,) int."""
        info = info.encoders[0]  # whose segments those of a hearing are
        rows = self.database.connection.execute(
            "SELECT track_id, n_segments FROM embeddings WHERE fingerprint = ?", (info.fingerprint,)
        )
        known = {row["track_id"]: row["n_segments"] for row in rows}
        return np.array([known[track_id] for track_id in track_ids], int)

    def speed(self, info: EncoderInfo) -> float | None:
        """Seconds per segment of this encoder here; None until it has run. Of a hearing nobody can say."""
        row = self.database.connection.execute(
            "SELECT seconds_per_segment FROM encoders WHERE fingerprint = ?", (info.fingerprint,)
        ).fetchone()
        return row["seconds_per_segment"] if row else None

    def set_speed(self, info: EncoderInfo, seconds_per_segment: float) -> None:
        """Remember how fast this encoder was here, for the next estimate."""
        with self.database.transaction() as connection:
            remember_encoder(connection, info)
            connection.execute(
                "UPDATE encoders SET seconds_per_segment = ? WHERE fingerprint = ?",
                (seconds_per_segment, info.fingerprint),
            )

    # --- keeping it whole -----------------------------------------------------------------------------------

    def check(self, *, repair: bool = False) -> Iterator[Problem]:
        """Verify every stored array; with `repair`, forget what is damaged so that it is extracted again."""
        rows = self.database.connection.execute("SELECT * FROM embeddings ORDER BY path").fetchall()
        for row in rows:
            try:
                _unpack(self._verified_bytes(row), row["path"])
            except StorageError as error:
                yield Problem("embedding", error.message, error.hint)
            except ArtefactMismatchError as error:
                now = self._row_of(row["track_id"], row["fingerprint"])
                if now is None or now["path"] != row["path"]:  # forgotten or extracted again while we looked
                    continue
                yield Problem("embedding", error.message, error.hint)
                if repair:
                    self.forget(row["track_id"], row["fingerprint"])

    def forget(self, track_id: str, fingerprint: str) -> None:
        """Drop one embedding, row first, so that a row never points to nothing."""
        row = self._row_of(track_id, fingerprint)
        if row is None:
            return
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM embeddings WHERE track_id = ? AND fingerprint = ?", (track_id, fingerprint))
        self.remove_files([row["path"]])

    def has_other_versions(self, info: EncoderInfo) -> bool:
        """Whether another version of an encoder was ever used here."""
        row = self.database.connection.execute(
            "SELECT 1 FROM encoders WHERE encoder = ? AND fingerprint != ?", (info.id, info.fingerprint)
        ).fetchone()
        return row is not None

    def size_of_other_versions(self, info: EncoderInfo) -> int:
        """Bytes of what other versions of an encoder have embedded. Nothing reads it any more."""
        row = self.database.connection.execute(
            f"SELECT coalesce(sum(size_bytes), 0) AS n FROM embeddings WHERE {_BY_OTHER_VERSIONS}",
            (info.id, info.fingerprint),
        ).fetchone()
        return int(row["n"])

    def forget_other_versions(self, info: EncoderInfo) -> None:
        """Drop what other versions of an encoder have embedded, rows first."""
        with self.database.transaction() as connection:
            rows = connection.execute(
                f"DELETE FROM embeddings WHERE {_BY_OTHER_VERSIONS} RETURNING path", (info.id, info.fingerprint)
            ).fetchall()
        self.remove_files(row["path"] for row in rows)

    def sweep(self, now: float | None = None) -> int:
        """Put what no row points to into the trash, left-over temporary files aside; returns how many files went."""
        now = now or time.time()
        for packed in own_files(self.paths.root, self.paths.packed.glob("*.npy")):
            if now - packed.stat().st_mtime > PACKED_KEEP_S:
                remove_packed(packed)
        for left in own_files(self.paths.root, self.paths.packed.glob(f"*{TMP_SUFFIX}")):
            with contextlib.suppress(OSError):
                if now - left.stat().st_mtime > TMP_KEEP_S:
                    left.unlink()
        known = {row["path"] for row in self.database.connection.execute("SELECT path FROM embeddings")}
        n_swept = 0
        for path in sorted(own_files(self.paths.root, self.paths.embeddings.rglob("*"))):
            if path.relative_to(self.paths.root).as_posix() in known:
                continue
            with contextlib.suppress(OSError):  # somebody else was faster
                if now - path.stat().st_mtime > TMP_KEEP_S:  # a younger one may be a write that is under way
                    if path.suffix == TMP_SUFFIX:
                        path.unlink()
                        n_swept += 1
                    else:
                        n_swept += self.custody.discard(path, now)
        return n_swept

    def _free_path(self, folder: Path, track_id: str, sha256: str) -> Path:
        """Where these bytes go: never in place of others, so that a row has its own until it points to the new ones.

        The same audio gives other bytes where another batch, processor or library of linear algebra rounds otherwise.
        """
        path = folder / f"{track_id}.safetensors"
        try:
            is_free = not path.exists() or sha256_of(path, MOST_TENSORS_BYTES) == sha256
        except (OSError, ArtefactMismatchError):
            is_free = False
        return path if is_free else path.with_name(f"{track_id}-{sha256[:16]}.safetensors")

    def raw_path(self, track_id: str, info: EncoderInfo) -> Path:
        """Where `extract --keep-raw` puts the hidden states themselves."""
        return self.paths.hidden_states / info.folder / f"{track_id}.safetensors"

    def _row(self, track_id: str, info: EncoderInfo) -> sqlite3.Row | None:
        return self._row_of(track_id, info.fingerprint)

    def _row_of(self, track_id: str, fingerprint: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.database.connection.execute(
            "SELECT * FROM embeddings WHERE track_id = ? AND fingerprint = ?", (track_id, fingerprint)
        ).fetchone()
        return row

    def _verified_bytes(self, row: sqlite3.Row) -> bytes:
        path = self.path_of(row["path"])
        cure = "Run: python -m mess_core check --repair, then extract again."
        try:
            name = f"The embedding file {printable(row['path'])}"
            data = read_untrusted(path, MOST_TENSORS_BYTES, name=name, cure=cure)
        except FileNotFoundError as error:  # what the disk withholds may be whole, and is not forgotten
            raise ArtefactMismatchError(f"The embedding file {row['path']} is gone.", cure) from error
        if hashlib.sha256(data).hexdigest() != row["sha256"]:
            raise ArtefactMismatchError(f"The embedding file {row['path']} is damaged: its sha256 changed.", cure)
        return data


def remember_encoder(connection: sqlite3.Connection, info: EncoderInfo) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO encoders (fingerprint, encoder, facts) VALUES (?, ?, ?)",
        (info.fingerprint, info.id, json.dumps(info.facts, sort_keys=True)),
    )


def _note_heard(connection: sqlite3.Connection, track_id: str, heard: DecodeFacts) -> None:
    """What decoding found out of a track, and its header did not say."""
    connection.execute(
        "UPDATE tracks SET loudness_lufs = ?, duration_s = ?, is_truncated = ?, samples_sha256 = ?,"
        " sounding_s = ?, downmix = ? WHERE track_id = ?",
        (
            heard.loudness_lufs,
            heard.duration_s,
            heard.is_truncated,
            heard.samples_sha256,
            json.dumps(heard.sounding_s),
            heard.downmix,
            track_id,
        ),
    )


def _pack(
    track_id: str, info: EncoderInfo, embedding: TrackEmbedding, precision: Mapping[str, Any] | None = None
) -> bytes:
    from safetensors.numpy import save

    facts: dict[str, Any] = {"format": FORMAT, "track_id": track_id, "encoder": info.id}
    facts |= {"fingerprint": info.fingerprint, "licence": info.licence}
    if precision:
        facts["precision"] = dict(precision)
    arrays = dict(vars(embedding))
    if info.widths:
        facts["widths"] = info.widths
        arrays |= {part: without_padding(arrays[part], info.widths) for part in IN_LAYERS}
    # One entry, because safetensors writes several in random order and the same input must give the same bytes.
    metadata = {"mess": json.dumps(facts, sort_keys=True)}
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata=metadata)


def _renamed(data: bytes, track_id: str, name: str) -> bytes:
    """The same file as if it had been made of another track: all but the id in its header stays."""
    from safetensors.numpy import save

    _unpack(data, name)  # refuses what is damaged
    facts = _facts_in(data, name)
    metadata = {"mess": json.dumps(facts | {"track_id": track_id}, sort_keys=True)}
    return save(parse_safetensors(data, name), metadata=metadata)


def _facts_in(data: bytes, name: str) -> dict[str, Any]:
    """What the header says: track, encoder, fingerprint, licence; and widths, where layers differ in them."""
    name = f"The embedding file {printable(name)}"
    with understanding(name):
        facts = parse_json(tensor_metadata(data, name)["mess"], name)
        are_right = all(isinstance(facts[key], str) for key in ("track_id", "fingerprint"))
        if facts["format"] != FORMAT or not are_right or not isinstance(facts.get("widths", []), list):
            raise ArtefactMismatchError(f"{name} does not say what it is.")
    return facts


class RememberingStore(EmbeddingStore):
    """A store that reads an embedding once and keeps it, up to so many bytes: for whoever answers all day.

    What is kept is known by its sha256, so an embedding that was made anew is read anew. Damage that a file takes after
    it was read is not noticed here; `check` reads them all.
    """

    def __init__(self, paths: Paths, database: Database, custody: Custody, most_bytes: int) -> None:
        super().__init__(paths, database, custody)
        self.most_bytes, self.n_bytes = most_bytes, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, TrackEmbedding] = OrderedDict()  # what was asked for last is last

    def read(self, track_id: str, info: EncoderInfo) -> TrackEmbedding:
        """As `EmbeddingStore.read`; its arrays cannot be written."""
        row = None if info.parts else self._row(track_id, info)
        if row is None:
            return super().read(track_id, info)
        sha256 = str(row["sha256"])
        with self._lock:
            if sha256 in self._kept:
                self._kept.move_to_end(sha256)
                return self._kept[sha256]
        embedding = _unpack(self._verified_bytes(row), row["path"])
        for array in vars(embedding).values():
            array.setflags(write=False)
        with self._lock:
            if sha256 not in self._kept:
                self._kept[sha256] = embedding
                self.n_bytes += _n_bytes(embedding)
            while self.n_bytes > self.most_bytes:
                self.n_bytes -= _n_bytes(self._kept.popitem(last=False)[1])
        return embedding


def _n_bytes(embedding: TrackEmbedding) -> int:
    return sum(int(array.nbytes) for array in vars(embedding).values())


def _stored_facts(data: bytes, name: str) -> StoredFacts:
    arrays = vars(_unpack(data, name))
    facts = _facts_in(data, name)
    shapes, widths = tuple(array.shape for array in arrays.values()), tuple(facts.get("widths", ()))
    sha256 = hashlib.sha256(data).hexdigest()
    last_s = float(arrays["starts_s"].max())
    return StoredFacts(facts["track_id"], facts["fingerprint"], shapes, widths, last_s, sha256, len(data))


def precision_in(data: bytes) -> dict[str, Any] | None:
    """What the file of an embedding says of the precision it was computed in; None is float32."""
    try:
        said = _facts_in(data, "of an embedding").get("precision")
    except ArtefactMismatchError:
        return None
    return said if isinstance(said, dict) else None


def _unpack(data: bytes, name: str) -> TrackEmbedding:
    return embedding_of(data, _facts_in(data, name).get("widths", []), f"The embedding file {printable(name)}")


def embedding_of(data: bytes, widths: Sequence[int], name: str, cure: str = "") -> TrackEmbedding:
    """The embedding in a file.

    Parameters
    ----------
    widths : sequence of int
        Of the layers; empty where they are equally wide.

    Raises
    ------
    ArtefactMismatchError
        If it is none: its parts do not fit each other, or hold numbers that cannot be.
    """
    arrays = parse_safetensors(data, name, cure)
    with understanding(name, cure):
        if widths:
            arrays |= {part: _in_layers(arrays[part], widths) for part in IN_LAYERS}
        embedding = TrackEmbedding(**arrays)
    _check_embedding(embedding, name, cure)
    return embedding


def _in_layers(numbers: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Each layer in a row of its own; ValueError where there are not so many numbers, or rows would be too large."""
    if not all(type(width) is int and width >= 1 for width in widths) or numbers.shape[-1:] != (sum(widths),):
        raise ValueError("its layers are of another width than it says")
    n_bytes = math.prod(numbers.shape[:-1]) * len(widths) * max(widths) * numbers.itemsize
    if n_bytes > MOST_TENSORS_BYTES:
        raise ValueError(f"its layers would take {counted(n_bytes, 'byte')}")
    return with_padding(numbers, widths)


def _check_embedding(embedding: TrackEmbedding, name: str, cure: str = "") -> None:
    """ArtefactMismatchError unless the parts of an embedding fit each other and hold numbers that can be."""
    n = len(embedding.segments) if embedding.segments.ndim == 3 else 0
    layers = embedding.segments.shape[1:]
    expected = {
        "segments": ((n, *layers), np.float16),
        "starts_s": ((n,), np.float32),
        "mean": (layers, np.float32),
        "frame_std": ((*layers[:1], *embedding.frame_std.shape[1:2]), np.float32),
    }
    for part, (shape, kind) in expected.items():
        array = getattr(embedding, part)
        if not n or array.shape != shape or array.dtype != kind or not are_possible(array):
            raise ArtefactMismatchError(f"{name} is none: its {part} cannot be.", cure)
    starts_s = embedding.starts_s
    if starts_s[0] < 0 or starts_s[-1] > MAX_DURATION_S or (np.diff(starts_s) < 0).any():
        raise ArtefactMismatchError(f"{name} is none: its segments begin at no possible time.", cure)
    if (embedding.frame_std < 0).any():
        raise ArtefactMismatchError(f"{name} is none: it varies by less than nothing.", cure)
