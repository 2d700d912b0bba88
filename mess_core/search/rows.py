"""Rows: the vectors of a library, and those with the largest inner product with a query.

Up to 200 000 rows, and of narrow rows any number, every row is looked at: exact, and about as fast as memory can be
read. Wide rows lie in blocks of columns, each small enough for a query's share to stay in the processor's first cache
(one thread then reads at 94 % of the memory's rate instead of 50); a block that a query gives no weight is not read.

Above that a graph (HNSW), and above a million an inverted file in half precision (IVF), look at a part. They are built
on rows as they are; the weights in the query decide where the walk goes, so the fewer parts a query gives weight to,
the further it must look: `share` says how much of the query is not zero. Picking candidates by another weighting and
ranking them again finds a third of what it should (science §3.1), so that is not done.

Source
------
Douze et al., The Faiss library (2024); Malkov & Yashunin (2018) for HNSW.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

Kind = Literal["flat", "hnsw", "ivf"]
FLAT_UP_TO, HNSW_UP_TO = 200_000, 1_000_000  # rows
NARROW = 512  # columns; a million such rows are read in 60 ms
COLUMNS_PER_BLOCK = 768  # of wide rows
ROWS_PER_BLOCK = 1024  # in parts: a second copy of the library would be large
QUERIES_PER_BLOCK = 64

HNSW_LINKS, HNSW_EFFORT_TO_BUILD = 32, 200
HNSW_EFFORT, HNSW_MOST = 64, 1024  # nodes looked at per query: at full share, at most
IVF_EFFORT = 16  # lists looked at, likewise
IVF_ROWS_PER_LIST = 40  # at least, to place a list by


def kind_for(n_rows: int, n_columns: int) -> Kind:
    """Which index answers at this size."""
    if n_rows <= FLAT_UP_TO or n_columns <= NARROW:
        return "flat"
    return "hnsw" if n_rows <= HNSW_UP_TO else "ivf"


class RowIndex:
    """Rows that never change.

    Parameters
    ----------
    n_rows, n_columns : int
    block : callable (start, stop) -> ndarray, shape (stop - start, n_columns), float32
        The rows, asked for in parts.
    kind : "flat", "hnsw", "ivf" or None
        None chooses by size.
    """

    def __init__(
        self, n_rows: int, n_columns: int, block: Callable[[int, int], np.ndarray], kind: Kind | None = None
    ) -> None:
        self.n_rows, self.n_columns = n_rows, n_columns
        self.kind: Kind = kind or kind_for(n_rows, n_columns)
        width = n_columns if n_columns <= NARROW else COLUMNS_PER_BLOCK
        self._columns = [slice(a, min(a + width, n_columns)) for a in range(0, n_columns, width)]
        self._blocks: list[np.ndarray] = []
        if self.kind == "flat":
            self._blocks = [np.empty((n_rows, own.stop - own.start), np.float32) for own in self._columns]
        else:
            self._index = self._empty(block)
        for start in range(0, n_rows, ROWS_PER_BLOCK):
            part = block(start, min(start + ROWS_PER_BLOCK, n_rows))
            if self.kind == "flat":
                for own, columns in zip(self._blocks, self._columns, strict=True):
                    own[start : start + len(part)] = part[:, columns]
            else:
                self._index.add(part)
        if self.kind == "ivf":
            self._index.make_direct_map()

    def search(self, queries: np.ndarray, k: int, share: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Inner products (n_queries, k) in falling order, and their rows; -1 where an approximate index found fewer."""
        import faiss

        faiss.omp_set_num_threads(1)  # holds for the calling thread only; a second one waits more than it helps
        k = int(min(k, self.n_rows))
        if self.kind == "flat":
            if len(self._blocks) == 1:
                found: tuple[np.ndarray, np.ndarray] = faiss.knn(
                    queries, self._blocks[0], k, faiss.METRIC_INNER_PRODUCT
                )
                return found
            parts = [queries[start : start + QUERIES_PER_BLOCK] for start in range(0, len(queries), QUERIES_PER_BLOCK)]
            found_parts = [_largest(self._products(part), k) for part in parts]
            return tuple(np.concatenate(each) for each in zip(*found_parts, strict=True))  # type: ignore[return-value]
        parameters: Any
        if self.kind == "hnsw":
            effort = round(min(HNSW_EFFORT / max(share, 1e-3), HNSW_MOST))
            parameters = faiss.SearchParametersHNSW(efSearch=max(effort, 2 * k))  # type: ignore[attr-defined]
        else:
            n_lists = self._index.nlist
            parameters = faiss.SearchParametersIVF(nprobe=round(min(IVF_EFFORT / max(share, 1e-3), n_lists)))  # type: ignore[call-arg]
        similarities, rows = self._index.search(queries, k, params=parameters)
        return similarities, rows

    def search_any(self, queries: np.ndarray, k: int, share: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """The k rows that are nearest to any of some queries: the largest product of each (k,), falling, and the rows.

        As `search` where there is one query.
        """
        k = int(min(k, self.n_rows))
        if self.kind == "flat" and len(queries) > 1:
            products, rows = _largest(self._products(queries).max(axis=0, keepdims=True), k)
            return products[0], rows[0]
        products, rows = (each.ravel() for each in self.search(queries, k, share))
        if len(queries) > 1:
            order = np.argsort(-products, kind="stable")
            best = order[np.sort(np.unique(rows[order], return_index=True)[1])][:k]  # of each row once
            products, rows = products[best], rows[best]
        return products, rows

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of these rows, (n, n_columns) float32."""
        if self.kind == "flat":
            return np.concatenate([own[rows] for own in self._blocks], axis=1)
        vectors: np.ndarray = self._index.reconstruct_batch(np.asarray(rows))
        return vectors

    def search_exactly(self, queries: np.ndarray, k: int) -> np.ndarray:
        """The rows that `search` should find, (n_queries, k), by looking at all of them: what recall is measured by."""
        best = np.full((len(queries), 0), 0.0)
        rows = np.full((len(queries), 0), 0)
        for start in range(0, self.n_rows, ROWS_PER_BLOCK):
            here = np.arange(start, min(start + ROWS_PER_BLOCK, self.n_rows))
            best = np.concatenate([best, queries @ self.rows(here).T], axis=1)
            rows = np.concatenate([rows, np.broadcast_to(here, (len(queries), len(here)))], axis=1)
            order = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best, rows = np.take_along_axis(best, order, 1), np.take_along_axis(rows, order, 1)
        return rows

    def _products(self, queries: np.ndarray) -> np.ndarray:
        """Inner products of wide rows, (n_queries, n_rows) float32."""
        products = np.zeros((len(queries), self.n_rows), np.float32)
        for own, columns in zip(self._blocks, self._columns, strict=True):
            part = queries[:, columns]
            if not part.any():
                continue
            if len(queries) > 4:
                products += part @ own.T
            else:
                for row, wanted in zip(products, part, strict=True):
                    row += np.vecdot(own, wanted)
        return products

    def _empty(self, block: Callable[[int, int], np.ndarray]) -> Any:
        """An approximate index without rows."""
        import faiss

        faiss.omp_set_num_threads(1)
        if self.kind == "hnsw":
            graph = faiss.IndexHNSWFlat(self.n_columns, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
            graph.hnsw.efConstruction = HNSW_EFFORT_TO_BUILD
            return graph
        n_lists = max(1, min(round(4 * np.sqrt(self.n_rows)), self.n_rows // IVF_ROWS_PER_LIST))
        step = 64  # rows at a time, spread over all of them
        n_parts = min(self.n_rows // step, 2 * IVF_ROWS_PER_LIST * n_lists // step) or 1
        starts = np.linspace(0, max(self.n_rows - step, 0), n_parts, dtype=int)
        training = np.concatenate([block(start, min(start + step, self.n_rows)) for start in starts.tolist()])
        lists = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(self.n_columns), self.n_columns, n_lists, faiss.ScalarQuantizer.QT_fp16,
            faiss.METRIC_INNER_PRODUCT, False,
        )  # fmt: skip
        lists.train(training)
        return lists


def _largest(products: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest of each row, in falling order, and where they are."""
    rows = np.argpartition(-products, k - 1, axis=1)[:, :k] if k < products.shape[1] else None
    if rows is None:
        rows = np.broadcast_to(np.arange(products.shape[1]), products.shape)
    found = np.take_along_axis(products, rows, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(rows, order, axis=1)
