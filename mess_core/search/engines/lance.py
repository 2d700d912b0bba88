"""LanceDB: rows in files of a folder, read as they are needed; no server.

A table for each collection, rows_KEY, with the columns id, stamp, item (so many float32) and w0, w1, …: the words by
which rows are filtered, one for each name. Every change is a new version of the table, written whole before it counts:
a process that is killed leaves the version before. No index is made, so every row is compared: exact.

Filters are expressions of LanceDB's own, in which words are values, never parts of a text.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.errors import DependencyMissingError, EngineError
from mess_core.installation import how_to_add
from mess_core.search.engines.contract import Engine, Wanted, stamp_of

PREFIX = "rows_"
KEPT_VERSIONS = timedelta(hours=1)  # older ones are deleted: whoever reads one has long ended
TIDIED_EVERY = 16  # versions
MOST_IN_A_LIST = 1000  # ids in one expression


class LanceEngine(Engine):
    """A table of a folder, made if it is not there. Parameters beside those of `Engine`: folder : Path"""

    name = "lancedb"
    title = "LanceDB"
    lasts = True

    def __init__(self, folder: Path, key: str, widths: Sequence[int], names: Sequence[str] = ()) -> None:
        super().__init__(key, widths, names)
        self.folder = folder
        self._lancedb = _lancedb()
        self._table = self._open()

    def _open(self) -> Any:
        import pyarrow as pa

        words = [pa.field(f"w{n}", pa.string(), metadata={"name": name}) for n, name in enumerate(self.names)]
        item = pa.field("item", pa.list_(pa.float32(), self.n_columns), nullable=False)
        self._schema = pa.schema(
            [pa.field("id", pa.string(), nullable=False), pa.field("stamp", pa.string(), nullable=False), item, *words]
        )
        with _explaining(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            table = self._lancedb.connect(self.folder).create_table(
                f"{PREFIX}{self.key}", schema=self._schema, exist_ok=True
            )
            found = [(field.name, str(field.type), (field.metadata or {}).get(b"name")) for field in table.schema]
            wanted = [(field.name, str(field.type), (field.metadata or {}).get(b"name")) for field in self._schema]
            with contextlib.suppress(OSError):
                os.utime(self._path)  # of tables that nobody opens, the oldest go first
        if found != wanted:
            raise EngineError(
                f"The table {PREFIX}{self.key} of {self.folder} has other columns than MESS keeps.",
                "Delete that folder; it is made again, or name another one.",
            )
        return table

    @property
    def _path(self) -> Path:
        return self.folder / f"{PREFIX}{self.key}.lance"

    def __len__(self) -> int:
        with _explaining(self.folder):
            return int(self._latest().count_rows())

    def stamps(self) -> dict[str, str]:
        with _explaining(self.folder):
            found = self._latest().search().select(["id", "stamp"]).to_arrow()
        ids = found["id"].to_pylist()
        if len(set(ids)) < len(ids):  # two processes wrote at the same moment: none of them can be told from the other
            self.drop()
            self._table = self._open()
            return {}
        return dict(zip(ids, found["stamp"].to_pylist(), strict=True))

    def delete(self, ids: Sequence[str]) -> None:
        from lancedb.expr import col

        with _explaining(self.folder):
            for start in range(0, len(ids), MOST_IN_A_LIST):
                self._latest().delete(col("id").isin(list(ids[start : start + MOST_IN_A_LIST])))

    def drop(self) -> None:
        with _explaining(self.folder):
            self._lancedb.connect(self.folder).drop_table(f"{PREFIX}{self.key}", ignore_missing=True)

    def about(self) -> str:
        return f"{self.title} {self._lancedb.__version__}, in {self.folder}"

    def close(self) -> None:
        """Nothing stays open between two questions."""

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        from lancedb.expr import col

        found = np.empty((len(ids), self.n_columns), np.float32)
        place = {row_id: n for n, row_id in enumerate(ids)}
        n_found = 0
        with _explaining(self.folder):
            for start in range(0, len(ids), MOST_IN_A_LIST):
                wanted = col("id").isin(list(ids[start : start + MOST_IN_A_LIST]))
                table = self._table.search().where(wanted).select(["id", "item"]).to_arrow()
                items = table["item"].combine_chunks().flatten().to_numpy().reshape(-1, self.n_columns)
                for row_id, item in zip(table["id"].to_pylist(), items, strict=True):
                    found[place[row_id]] = item
                n_found += table.num_rows
        if n_found != len(ids):
            raise EngineError(f"{len(ids) - n_found} rows that were found in {self.folder} are gone.", "Ask again.")
        return found

    def nearest(self, vector: np.ndarray, k: int, wanted: Wanted) -> tuple[list[str], np.ndarray]:
        from lancedb.expr import col

        with _explaining(self.folder):
            asked = self._latest().search(vector, vector_column_name="item").distance_type("dot").bypass_vector_index()
            filters = [col(f"w{self.names.index(name)}").isin(list(words)) for name, words in wanted.items()]
            for n, each in enumerate(filters):
                filters[0] = each if n == 0 else filters[0].and_(each)
            if filters:
                asked = asked.where(filters[0], prefilter=True)
            found = asked.select(["id", "_distance"]).limit(k).to_arrow()
        return found["id"].to_pylist(), 1.0 - found["_distance"].to_numpy().astype(np.float64)

    def _put(self, ids: Sequence[str], rows: np.ndarray, metadata: Sequence[dict[str, str]]) -> None:
        import pyarrow as pa

        columns = {
            "id": list(ids),
            "stamp": [stamp_of(words) for words in metadata],
            "item": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), self.n_columns),
            **{f"w{n}": [words.get(name) for words in metadata] for n, name in enumerate(self.names)},
        }
        batch = pa.table(columns, schema=self._schema)
        with _explaining(self.folder):
            table = self._latest()
            merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(batch)
            if table.version % TIDIED_EVERY == 0:
                with contextlib.suppress(RuntimeError, OSError, ValueError):  # another process does it at the moment
                    table.optimize(cleanup_older_than=KEPT_VERSIONS)

    def _latest(self) -> Any:
        """The table, as others have left it."""
        self._table.checkout_latest()
        return self._table


def tidy(folder: Path, most: int) -> int:
    """Delete the tables that were opened longest ago, but the latest `most`; how many."""
    tables = sorted(folder.glob(f"{PREFIX}*.lance"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in tables[most:]:
        shutil.rmtree(path, ignore_errors=True)
    return len(tables[most:])


def _lancedb() -> Any:
    try:
        import lancedb
    except ImportError as error:
        raise DependencyMissingError("LanceDB is not installed.", how_to_add("engines")) from error
    return lancedb


@contextlib.contextmanager
def _explaining(folder: Path) -> Iterator[None]:
    """Whatever goes wrong in there, in a sentence."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        if isinstance(error, EngineError):
            raise
        what = " ".join(str(error).split())[:200]
        raise EngineError(
            f"LanceDB cannot use {folder}: {type(error).__name__}, {what}",
            "It holds nothing that cannot be made again: delete it, or check the disk.",
        ) from error
