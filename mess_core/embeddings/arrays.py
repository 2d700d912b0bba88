"""Arrays: the embeddings of a library as NumPy and pandas have them, by track, by segment or by frame.

track      (n_tracks, n_layers, dim)      one row a track
segment    (n_segments, n_layers, dim)    the rows of a track in order of time, with where each begins and ends
frame      (n_frames, n_layers, dim)      of `extract --keep-raw`, with the time of each
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mess_core.embeddings.hidden_states import RawFrames, open_raw
from mess_core.embeddings.store import EmbeddingSet, EmbeddingStore
from mess_core.encoders.base import EncoderInfo
from mess_core.errors import DataMissingError, InputError, StorageError
from mess_core.storage.dataframe import frame_of
from mess_core.storage.paths import path_named

if TYPE_CHECKING:
    import pandas
    import pyarrow

Grain = Literal["track", "segment", "frame"]
GRAINS = ("track", "segment", "frame")


@dataclass(frozen=True)
class EmbeddingTable(EmbeddingSet):
    """Embeddings of one library by one encoder; row i belongs to `track_ids[i]`.

    vectors : (n_rows, n_layers, dim) float32; track ids repeat where a row is a part of a track
    layers : which layers of the encoder these are
    starts_s, ends_s : (n_rows,) float64, when a row begins and ends in its track; empty of whole tracks
    metadata : what is known of each track, by id
    missing : tracks that are embedded and have no rows here, as their frames were not kept
    """

    level: Grain = "track"
    layers: tuple[int, ...] = ()
    starts_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    ends_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.track_ids)

    def to_frame(self, *, vectors: bool = False) -> pandas.DataFrame:
        """One row for each row of `vectors`, with all that is known of its track.

        Parameters
        ----------
        vectors : bool
            Also the numbers themselves, in columns `layer:number`; only sensible of few layers.
        """
        rows = [{"track_id": track_id} | dict(self.metadata.get(track_id, {})) for track_id in self.track_ids]
        for number in range(len(self.starts_s)):
            rows[number] |= {"start_s": float(self.starts_s[number]), "end_s": float(self.ends_s[number])}
        frame = frame_of(rows, ["track_id", *(("start_s", "end_s") if self.level != "track" else ())])
        if vectors:
            import pandas

            names = [f"{layer}:{number}" for layer in self.layers for number in range(self.vectors.shape[2])]
            numbers = pandas.DataFrame(self.vectors.reshape(len(frame), -1), columns=names)
            frame = pandas.concat([frame, numbers], axis=1)
        return frame

    def to_arrow(self) -> pyarrow.Table:
        """The same as a table of Arrow: metadata, and the vectors of each layer in a column of lists, layer_5 say."""
        import pyarrow as pa

        table = pa.Table.from_pandas(self.to_frame(), preserve_index=False)
        for place, layer in enumerate(self.layers):
            flat = pa.array(np.ascontiguousarray(self.vectors[:, place]).ravel(), pa.float32())
            table = table.append_column(
                f"layer_{layer}", pa.FixedSizeListArray.from_arrays(flat, self.vectors.shape[2])
            )
        about = {"encoder": self.info.id, "fingerprint": self.info.fingerprint, "licence": self.info.licence}
        told = {f"mess.{name}": value for name, value in (about | {"level": self.level}).items()}
        return table.replace_schema_metadata({**(table.schema.metadata or {}), **told})

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write it for any other program; the folder is made where there is none.

        Raises
        ------
        InputError
            If the path is none.
        StorageError
            If the disk refuses it.
        """
        import pyarrow.parquet as pq

        file = path_named(path).expanduser()
        table = self.to_arrow()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, file)
        except OSError as error:
            raise StorageError(
                f"{file.name} could not be written to {file.parent}: {error.strerror or error}.",
                "Name another path, or check the folder's permissions and the disk's space.",
            ) from error


def layers_asked(layers: int | Sequence[int] | None, info: EncoderInfo) -> tuple[int, ...]:
    """Which layers are meant: all where nothing is said.

    Raises
    ------
    InputError
        If the encoder has none of that number, what is asked for is no whole number, or none are asked for.

    Examples
    --------
    >>> from mess_core.encoders.mel import MEL
    >>> layers_asked(None, MEL), layers_asked(0, MEL)
    ((0,), (0,))
    """
    if layers is None:
        return tuple(range(info.n_layers))
    if isinstance(layers, str) or not isinstance(layers, int | np.integer | Iterable):
        raise InputError(f"layers are {layers!r}, expected whole numbers, as [0, 5].", "None stands for all.")
    found = (layers,) if isinstance(layers, int | np.integer) else tuple(layers)
    for layer in found:
        if not isinstance(layer, int | np.integer) or isinstance(layer, bool):
            raise InputError(f"A layer is {layer!r}, expected a whole number from 0 to {info.n_layers - 1}.")
        if not 0 <= layer < info.n_layers:
            raise InputError(f"There is no layer {layer!r}: {info.id} has layers 0 to {info.n_layers - 1}.")
    if not found:
        raise InputError("No layer is asked for.", "Name some, or leave out layers for all.")
    return tuple(int(layer) for layer in found)


def gather_arrays(
    store: EmbeddingStore,
    track_ids: Sequence[str],
    info: EncoderInfo,
    level: Grain = "track",
    layers: int | Sequence[int] | None = None,
) -> EmbeddingTable:
    """The embeddings of those tracks that have one, in order of track id.

    Parameters
    ----------
    level : "track", "segment" or "frame"
        Frames need hidden states that were kept; segments overlap, so a moment comes in two of them.
    layers : int, sequence of int or None
        None is all.

    Raises
    ------
    InputError
        If there is no such level or layer.
    DataMissingError
        If frames are asked for and none were kept.
    """
    if level not in GRAINS:
        raise InputError(f"There is no level {level!r}.", f"Choose one of: {', '.join(GRAINS)}.")
    asked = layers_asked(layers, info)
    tracks = store.load(track_ids, info)
    facts = {"level": level, "layers": asked}
    if level == "track":
        is_all = asked == tuple(range(info.n_layers))
        vectors = tracks.vectors if is_all else tracks.vectors[:, list(asked)]
        return EmbeddingTable(info, tracks.track_ids, vectors, tracks.content, **facts)  # type: ignore[arg-type]
    parts, ids, starts, ends, missing = [], [], [], [], []
    for track_id in tracks.track_ids:
        if level == "frame" and not store.raw_path(track_id, info).is_file():
            missing.append(track_id)
            continue
        if level == "segment":
            embedding = store.read(track_id, info)
            numbers = embedding.segments[:, list(asked)]
            starts_s = embedding.starts_s.astype(float)
            ends_s = starts_s + info.segment_s
        else:
            frames = raw_frames(store, track_id, info)
            numbers = frames.of_layers(asked)
            starts_s = frames.times_s[frames.is_there] - frames.frame_s / 2
            ends_s = starts_s + frames.frame_s
        parts.append(numbers.astype(np.float32))
        ids += [track_id] * len(numbers)
        starts.append(starts_s)
        ends.append(ends_s)
    if level == "frame" and not parts:
        raise DataMissingError(f"Of no track here were the frames kept by {info.id}.", _keep_raw(info))
    width = info.dim if level == "frame" else info.embedding_dim
    return EmbeddingTable(
        info, tuple(ids), np.concatenate(parts) if parts else np.empty((0, len(asked), width), np.float32),
        tracks.content, starts_s=np.concatenate(starts or [np.empty(0)]), ends_s=np.concatenate(ends or [np.empty(0)]),
        missing=tuple(missing), **facts,  # type: ignore[arg-type]
    )  # fmt: skip


def _keep_raw(info: EncoderInfo) -> str:
    return f"library.embed(keep_raw=True), or python -m mess_core extract --encoder {info.id} --library NAME --keep-raw"


def raw_frames(store: EmbeddingStore, track_id: str, info: EncoderInfo) -> RawFrames:
    """The frames of a track as `extract --keep-raw` keeps them, in no memory before they are looked at.

    Raises
    ------
    DataMissingError
        If they were not kept.
    ArtefactMismatchError
        If the file is no such thing; its numbers are only checked by `hidden_states.verify_raw`.
    """
    path = store.raw_path(track_id, info)
    if not path.is_file():
        raise DataMissingError(f"The frames of {track_id} by {info.id} were not kept.", _keep_raw(info))
    return open_raw(path, store.read(track_id, info).starts_s, info)
