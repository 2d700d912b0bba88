"""Items as points: what an encoder heard of each, joined to the items of interactions by id.

    vectors and the id of each row ─┬─ .npy and a text file of ids     ─┐
                                    ├─ .npz: `ids` and `vectors`        ├─ join by id ─> (n_items, d), a row an item
                                    ├─ Parquet: an id, and a list or    │
                                    │  a column for each number         │
                                    └─ a library, seen by an encoder   ─┘

Row i belongs to `item_ids[i]`, whatever the order of the table: joined by place, a table that was sorted once too often
gives every item the sound of another, and all figures are those of chance. An item of which there is no audio has a
row of zeros, and no cosine with anything; how many these are is said.

The control is the same table with its rows exchanged: as many points, as near to each other, of no meaning. What a
recommender reaches on it, it owes to something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mess_core.errors import DataMissingError, InputError
from mess_core.recommend.gathering import hearings_of
from mess_core.recommend.shelf import make_points
from mess_core.storage.untrusted import (
    LARGEST,
    MOST_ARRAY_BYTES,
    are_possible,
    open_parquet,
    printable,
    read_npy,
    read_npz,
    read_text,
)
from mess_core.study.tables import as_whole, numbered
from mess_core.words import counted
from mess_core.workspace.scope import Scope

IDS, VECTORS = "ids", "vectors"  # in a .npz
CURE = "Write .npy beside a text file of ids, .npz with ids and vectors, or Parquet with an id and its vector."

Table = tuple[Sequence[str], np.ndarray]  # the id of each row, and the vectors, (n, d)


@dataclass(frozen=True, eq=False)
class ItemPoints:
    """What is known of items by ear.

    points : (n_items, d) float32, read-only; zero where there is no audio
    name : of the encoder or file
    n_unused : rows of the table that are of no item here
    """

    points: np.ndarray
    name: str
    n_unused: int = 0

    @property
    def has_audio(self) -> np.ndarray:
        """(n_items,) bool."""
        return np.asarray(self.points.any(axis=1))

    @property
    def summary(self) -> str:
        unused = f"; {counted(self.n_unused, 'row')} of it of no item" if self.n_unused else ""
        return f"{self.name} has heard {self.has_audio.sum():,} of {counted(len(self.points), 'item')}{unused}."


def join(item_ids: Sequence[str], table: Table, name: str) -> ItemPoints:
    """The row of each item.

    Raises
    ------
    InputError
        If ids and vectors differ in number, an id is there twice, a vector holds no numbers, or none is of an item.

    Examples
    --------
    >>> found = join(["x", "y", "z"], (["z", "x", "w"], np.array([[3.0], [1.0], [9.0]])), "mel")
    >>> found.points.ravel().tolist(), found.summary
    ([1.0, 0.0, 3.0], 'mel has heard 2 of 3 items; 1 row of it of no item.')
    """
    ids, vectors = table
    if vectors.ndim != 2 or not 0 < len(ids) == len(vectors):
        raise InputError(f"{name} has {len(ids):,} ids and vectors {vectors.shape}, expected (n, d) and n ids.", CURE)
    places = {each: row for row, each in enumerate(ids)}
    if len(places) < len(ids):
        twice = next(each for row, each in enumerate(ids) if places[each] != row)
        raise InputError(f"{name} has {printable(twice)!r} twice.", "Leave one vector for each id.")
    rows = np.array([places.get(each, -1) for each in item_ids], np.int64)
    is_there = rows >= 0
    if not is_there.any():
        raise InputError(
            f"None of {counted(len(ids), 'id')} of {name} is an item: they are like {printable(str(ids[0]))!r}, "
            f"items like {printable(str(item_ids[0]))!r}.",
            "Take the ids of the interactions.",
        )
    points = np.zeros((len(item_ids), vectors.shape[1]), np.float32)
    with np.errstate(over="ignore"):  # what single precision cannot hold is refused below
        points[is_there] = vectors[rows[is_there]]
    if not are_possible(points):
        is_odd = ~(np.abs(points) <= LARGEST).all(axis=1)  # also of NaN
        raise InputError(
            f"The vector of {printable(item_ids[int(is_odd.argmax())])!r} in {name} holds a NaN or infinity, or a "
            f"number beyond {LARGEST:g}; so do {counted(int(is_odd.sum()) - 1, 'other')}.",
            "Leave these rows out: items without a row count as without audio.",
        )
    points.setflags(write=False)
    return ItemPoints(points, name, len(ids) - int(is_there.sum()))


def shuffled(items: ItemPoints, seed: int = 0) -> ItemPoints:
    """The control: rows that have audio are exchanged among themselves."""
    rows = np.flatnonzero(items.has_audio)
    points = items.points.copy()
    points[rows] = items.points[np.random.default_rng(seed).permutation(rows)]
    points.setflags(write=False)
    return replace(items, points=points, name=f"{items.name}, shuffled")


# --- tables ---------------------------------------------------------------------------------------------------


def read_vectors(path: Path, ids_path: Path | None = None, id_column: str = "id") -> Table:
    """Vectors and their ids from a file, told by its suffix.

    Parameters
    ----------
    path : Path
        `.npy`, `.npz` or Parquet.
    ids_path : Path, optional
        Of `.npy`: a text file with a line for each row.
    id_column : str
        Of Parquet; all other columns of numbers, or the one of lists, are the vector.

    Raises
    ------
    InputError
        If it is no such file.
    """
    name = printable(path.name)
    if path.suffix == ".npy":
        if ids_path is None:
            raise InputError(f"{name} does not say whose its rows are.", "Give the text file of its ids, too.")
        lines = read_text(ids_path, cure=CURE, error=InputError).splitlines()
        return _whole([line.strip() for line in lines], read_npy(path, cure=CURE, error=InputError))
    if path.suffix == ".npz":
        arrays = read_npz(path, cure=CURE, error=InputError)
        if IDS not in arrays or VECTORS not in arrays:
            raise InputError(f"{name} holds {', '.join(map(printable, arrays))}, expected {IDS} and {VECTORS}.", CURE)
        return _whole([str(each) for each in arrays[IDS].ravel().tolist()], arrays[VECTORS])
    return _parquet(path, id_column)


def _parquet(path: Path, id_column: str) -> Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    with open_parquet(path, cure=CURE, error=InputError) as table:
        kinds = {column.name: column.type for column in table.stored}
        lists = [name for name, kind in kinds.items() if pa.types.is_nested(kind)]
        single = [
            name
            for name, kind in kinds.items()
            if name != id_column and (pa.types.is_floating(kind) or pa.types.is_integer(kind))
        ]
        if id_column not in kinds or len(lists) > 1 or not (lists or single):
            raise InputError(
                f"{table.name} has the columns {', '.join(map(printable, kinds))[:200]}: no {id_column!r}, or no "
                "vector, or two.",
                CURE,
            )
        wanted = lists or single
        ids: dict[str, int] = {}
        rows: list[np.ndarray] = []
        blocks: list[np.ndarray] = []
        lengths: set[int | None] = set()
        for piece in table.record_batches([id_column, *wanted], most_bytes=MOST_ARRAY_BYTES):
            rows.append(numbered(piece.column(id_column), ids, f"{table.name} has no id", sum(map(len, rows))))
            if lists:
                lengths.update(pc.unique(pc.list_value_length(piece.column(lists[0]))).to_pylist())
            columns = [piece.column(each).flatten() if lists else piece.column(each) for each in wanted]
            flat = [np.asarray(each.to_numpy(zero_copy_only=False), np.float32) for each in columns]
            blocks.append(np.stack(flat, axis=1))
    if not ids or len(lengths) > 1 or None in lengths:
        raise InputError(f"{printable(path.name)} holds no vectors, or some of different lengths.", CURE)
    names, place = list(ids), np.concatenate(rows)
    return _whole([names[each] for each in place], np.concatenate(blocks).reshape(len(place), -1))


def _whole(ids: Sequence[str], vectors: np.ndarray) -> Table:
    names, number = as_whole(ids, np.arange(len(ids)))  # as interactions have them
    return [names[place] for place in number], vectors


# --- a library ------------------------------------------------------------------------------------------------


def vectors_of(scope: Scope, layer: int | None = None) -> Table:
    """What an encoder, or a hearing, heard of a library.

    Parameters
    ----------
    scope : Scope
    layer : int, optional
        Of an encoder, as it is; by default all layers, each centred and counting alike, along their main directions.

    Raises
    ------
    DataMissingError
        If it has heard nothing of the library.
    InputError
        If there is no such layer.
    """
    ids, info = scope.embedded_ids, scope.info
    if not ids:
        raise DataMissingError(
            f"{info.title} has heard nothing of {scope.library!r}.", f"python -m mess_core extract --encoder {info.id}"
        )
    if layer is None:
        return ids, make_points(hearings_of(scope, ids))[0]
    if info.parts or not 0 <= layer < info.n_layers:
        raise InputError(
            f"{info.title} has no layer {layer} of its own.", f"Expected 0 to {info.n_layers - 1} of an encoder."
        )
    return ids, scope.embeddings().vectors[:, layer, : info.width_of(layer)]
