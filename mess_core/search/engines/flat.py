"""FAISS, in the memory of this process: what search asks by itself (`rows.py`), under the contract of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
        self._index: RowIndex | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def stamps(self) -> dict[str, str]:
        return {row_id: stamp_of(words) for row_id, words in self._words.items()}

    def delete(self, ids: Sequence[str]) -> None:
        for row_id in ids:
            self._rows.pop(row_id, None)
            self._words.pop(row_id, None)
        self._index = None

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
        ids, index = list(self._rows), None
        if wanted:
            ids = [row_id for row_id in ids if _says(self._words[row_id], wanted)]
            index = self._index_of(ids) if ids else None
        elif ids:
            index = self._index = self._index or self._index_of(ids)
        if index is None:
            return [], np.empty(0)
        products, rows = index.search(vector[None], k)
        return [ids[row] for row in rows[0]], products[0]

    def _index_of(self, ids: Sequence[str]) -> RowIndex:
        return RowIndex(len(ids), self.n_columns, lambda start, stop: self.rows(ids[start:stop]), "flat")

    def _put(self, ids: Sequence[str], rows: np.ndarray, metadata: Sequence[dict[str, str]]) -> None:
        self._rows.update(zip(ids, rows, strict=True))
        self._words.update(zip(ids, metadata, strict=True))
        self._index = None


def _says(words: Mapping[str, str], wanted: Wanted) -> bool:
    return all(words.get(name) in values for name, values in wanted.items())
