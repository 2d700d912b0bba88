"""The tables of an exported library, as Parquet: any program reads them, and typed columns come back as they were.

A table is written and read a few tracks at a time, in row groups that never divide a track.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mess_core.catalogue.catalogue import Track
from mess_core.errors import ArtefactMismatchError
from mess_core.handover.folders import COPY_AGAIN
from mess_core.storage.untrusted import open_parquet

if TYPE_CHECKING:
    import pyarrow

TRACKS, TARGETS, SEGMENT_TARGETS, SCORE_TIMES = (
    "tracks.parquet", "targets.parquet", "segment_targets.parquet", "score_times.parquet"
)  # fmt: skip
TRACKS_PER_GROUP = 32  # 100 000 rows of segment targets, if they last four minutes

Row = tuple[Any, ...]


def schema_of(table: str) -> pyarrow.Schema:
    """The columns of a table; those that may be empty are nullable."""
    import pyarrow as pa

    text, number, count = pa.string(), pa.float64(), pa.int64()

    def columns(**types: pyarrow.DataType) -> list[pyarrow.Field]:
        return [pa.field(name, kind, nullable=False) for name, kind in types.items()]

    if table == TRACKS:
        kinds = {"str": text, "float": number, "int": count, "bool": pa.bool_()}
        own = [
            pa.field(f.name, kinds[str(f.type).removesuffix(" | None")], nullable=str(f.type).endswith("None"))
            for f in fields(Track)
        ]
        named = pa.struct(columns(role=text, name=text))
        planted, files = pa.field("planted", pa.map_(text, number)), pa.field("files", pa.list_(named))
        return pa.schema([*own, planted, files, pa.field("details", pa.map_(text, text))])
    if table == TARGETS:
        known = columns(unit=text, quality=text, n_events=count, reason=text, version=text)
        return pa.schema([*columns(track_id=text, target=text), pa.field("value", number), *known])
    if table == SEGMENT_TARGETS:
        before = columns(track_id=text, target=text, segment=count)
        return pa.schema([*before, pa.field("value", number), *columns(quality=text, version=text)])
    if table == SCORE_TIMES:
        return pa.schema(columns(track_id=text, score=text, beats=pa.list_(number), times_s=pa.list_(number)))
    return pa.schema(columns(track_id=text, rank=count, neighbour=text, similarity=number))


def write_table(path: Path, groups: Iterable[list[Row]]) -> int:
    """Write rows in the order of the columns, one row group each; returns how many rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = schema_of(path.name)
    n_rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in groups:
            if rows:
                columns = [
                    pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=len(rows))
                n_rows += len(rows)
    return n_rows


def read_table(path: Path) -> Iterator[list[Row]]:
    """The row groups of a table, each row in the order of today's columns.

    A column that may be empty, and that an older MESS did not know, is empty.

    Raises
    ------
    ArtefactMismatchError
        If it is no such table.
    """
    with open_parquet(path, cure=COPY_AGAIN) as table:
        expected = schema_of(path.name)
        there = {field.name: field for field in table.stored}
        is_of_ours = len(there) == len(table.stored) and all(
            field.equals(there[field.name]) if field.name in there else field.nullable for field in expected
        )
        if not is_of_ours or not there.keys() <= set(expected.names):
            raise ArtefactMismatchError(f"{path.name} has other columns than expected.", COPY_AGAIN)
        places = [table.names.index(name) if name in there else None for name in expected.names]
        for rows in table.row_groups():
            yield [tuple(None if place is None else row[place] for place in places) for row in rows]
