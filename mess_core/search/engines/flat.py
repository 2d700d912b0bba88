"""FAISS, in the memory of this process: what search asks by itself (`rows.py`), under the contract of the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.search.engines.contract import Engine, Wanted, stamp_of
from mess_core.search.rows import RowIndex


class FaissEngine(Engine):
    """Rows that are gone with the process, and put again from the embeddings, which are kept."""

    name = "faiss"
    title = "FAISS"
    lasts = False

    def __init__(self, key: str, widths: Sequence[int], names: Sequence[str] = ()) -> None:
        super().__init__(key, widths, names)
        self._rows: dict[str, np.ndarray] = {}
        self._words: dict[str, Mapping[str, str]] = {}
        self._gathered: _Gathered | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def stamps(self) -> dict[str, str]:
        return {row_id: stamp_of(words) for row_id, words in self._words.items()}

    def delete(self, ids: Sequence[str]) -> None:
        for row_id in ids:
            self._rows.pop(row_id, None)
            self._words.pop(row_id, None)
        self._gathered = None

    def drop(self) -> None:
        self.delete(list(self._rows))

    def about(self) -> str:
        import faiss

        return f"{self.title} {faiss.__version__}, in this process"

    def close(self) -> None:
        """Nothing is open."""

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        return np.stack([self._rows[row_id] for row_id in ids]) if ids else np.empty((0, self.n_columns), np.float32)

    def nearest(self, vector: np.ndarray, k: int, wanted: Wanted) -> tuple[list[str], np.ndarray]:
        import faiss

        if not self._rows:
            return [], np.empty(0)
        gathered = self._gathered = self._gathered or self._gather()
        if not wanted:
            products, rows = gathered.index.search(vector[None], k)
            return [gathered.ids[row] for row in rows[0]], products[0]
        among = np.flatnonzero(np.logical_and.reduce([gathered.says(name, words) for name, words in wanted.items()]))
        if not len(among):
            return [], np.empty(0)
        items = gathered.index.rows(among)
        products, rows = faiss.knn(vector[None], items, min(k, len(among)), faiss.METRIC_INNER_PRODUCT)
        return [gathered.ids[row] for row in among[rows[0]]], products[0]

    def _gather(self) -> _Gathered:
        ids = list(self._rows)
        index = RowIndex(len(ids), self.n_columns, lambda start, stop: self.rows(ids[start:stop]), "flat")
        said = {}
        for name in self.names:
            codes: dict[str | None, int] = {}
            of_rows = [codes.setdefault(self._words[row_id].get(name), len(codes)) for row_id in ids]
            said[name] = (codes, np.array(of_rows))
        return _Gathered(ids, index, said)

    def _put(self, ids: Sequence[str], rows: np.ndarray, metadata: Sequence[dict[str, str]]) -> None:
        self._rows.update(zip(ids, rows, strict=True))
        self._words.update(zip(ids, metadata, strict=True))
        self._gathered = None


@dataclass(frozen=True, eq=False)
class _Gathered:
    """All rows as one index. said : by name, a number for each word, and which number each row has, (n_rows,) int"""

    ids: list[str]
    index: RowIndex
    said: Mapping[str, tuple[Mapping[str | None, int], np.ndarray]]

    def says(self, name: str, words: Collection[str]) -> np.ndarray:
        """Which rows say one of some words, (n_rows,) bool."""
        codes, of_rows = self.said[name]
        says: np.ndarray = np.isin(of_rows, [codes[word] for word in words if word in codes])
        return says
