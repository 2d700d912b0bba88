"""Rows: the vectors of a library, and those with the largest inner product with a query.

Up to 200 000 rows, and of narrow rows any number, every row is looked at: exact, and about as fast as memory can be
read. Wide rows lie in blocks of columns, each small enough for a query's share to stay in the processor's first cache
(one thread then reads at 94 % of the memory's rate instead of 50); a block that a query gives no weight is not read.
Of many rows that are not narrow, a few numbers of each say what its product is at most (`short.py`), and only those
are read that may be among the nearest: the same are found, with the same products to the last bit. Where too many may
be, all are read; so they are for many queries at once.

Above that a graph (HNSW), and above a million an inverted file in half precision (IVF), look at a part. They are built
on rows as they are; the weights in the query decide where the walk goes, so the fewer parts a query gives weight to,
the further it must look: `share` says how much of the query is not zero. Picking candidates by another weighting and
ranking them again finds a third of what it should (science §3.1), so that is not done.

Rows that would take more memory than is set aside for them (`storage.far`) are not held at all, whatever their number:
their codes are (`codes.py`), and what comes first by these, by the weights of the query, is read and compared as it is.

Source
------
Douze et al., The Faiss library (2024); Malkov & Yashunin (2018) for HNSW.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from mess_core.errors import InputError
from mess_core.search.codes import Codes, Largest
from mess_core.search.short import MOST_POSSIBLE, ShortRows

Kind = Literal["flat", "hnsw", "ivf", "codes"]
FLAT_UP_TO, HNSW_UP_TO = 200_000, 1_000_000  # rows
NARROW = 512  # columns; a million such rows are read in 60 ms
COLUMNS_PER_BLOCK = 768  # of wide rows
ROWS_PER_BLOCK = 1024  # in parts: a second copy of the library would be large
QUERIES_PER_BLOCK = 64
FEW = 4  # queries; more are answered together, by one pass over all rows
SHORT_FROM = (1024, 256)  # rows and columns from which rows are looked at by bounds first
LOOKED_AT = 2  # rows at first, for each wanted
MOST_LEFT = 0.5  # share of a query's square, as of one of few layers of a block; bounds of its products are loose

AGAIN, AGAIN_PER_WANTED = 500, 4  # rows that codes name, which are compared as they are: at least, for each wanted
MOST_AGAIN = 0.5  # share of the rows from which all are compared: to read them in order is quicker

HNSW_LINKS, HNSW_EFFORT_TO_BUILD = 32, 200
HNSW_EFFORT, HNSW_MOST = 64, 1024  # nodes looked at per query: at full share, at most
IVF_EFFORT = 16  # lists looked at, likewise
IVF_ROWS_PER_LIST = 40  # at least, to place a list by


class FarItems(NamedTuple):
    """How rows are had that are not held.

    some : callable (rows) -> ndarray, shape (n, n_columns), float32
    compared : columns that queries look at, in blocks, as of a geometry
    """

    some: Callable[[np.ndarray], np.ndarray]
    compared: Sequence[slice]


def kind_for(n_rows: int, n_columns: int, most_bytes: float = math.inf) -> Kind:
    """Which index answers at this size, where rows may take so much memory."""
    if 4 * n_rows * n_columns > most_bytes:
        return "codes"
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
    kind : "flat", "hnsw", "ivf", "codes" or None
        None chooses by size; "codes" alone does not hold the rows.
    far : FarItems or None
        How rows are had again; needed for codes.
    """

    can_filter: ClassVar[bool] = False  # whether rows that are not wanted are left out at once

    def __init__(
        self,
        n_rows: int,
        n_columns: int,
        block: Callable[[int, int], np.ndarray],
        kind: Kind | None = None,
        far: FarItems | None = None,
    ) -> None:
        self.n_rows, self.n_columns = n_rows, n_columns
        self.kind: Kind = kind or kind_for(n_rows, n_columns)
        width = n_columns if n_columns <= NARROW else COLUMNS_PER_BLOCK
        self._columns = [slice(a, min(a + width, n_columns)) for a in range(0, n_columns, width)]
        self._blocks: list[np.ndarray] = []
        self._short: list[ShortRows | None] = []
        if self.kind == "codes":
            if far is None:
                raise InputError("Codes are kept of rows that can be had again.", "Say how, or hold the rows.")
            self._block, self._some = block, far.some
            self._codes = Codes(n_rows, far.compared, block, far.some)
            return
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
        is_large = n_rows >= SHORT_FROM[0] and n_columns >= SHORT_FROM[1]
        self._short = [ShortRows.if_of_use(own) for own in self._blocks] if is_large else []

    @property
    def title(self) -> str:
        """Of what answers, as a person reads it."""
        if self.kind == "codes":
            return f"FAISS by codes, the best {AGAIN} compared exactly"
        return "FAISS"

    @property
    def size_bytes(self) -> int:
        """Of the rows in memory, and of whatever leads to them."""
        if self.kind == "codes":
            return self._codes.size_bytes
        return sum(own.nbytes for own in self._blocks) if self.kind == "flat" else size_of(self._index)

    def open(self) -> None:
        """Make ready what answers, where that is something else than these rows; it is not timed as a lookup."""

    def search(
        self, queries: np.ndarray, k: int, share: float = 1.0, wanted: Mapping[str, Collection[str]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Inner products (n_queries, k) in falling order, and their rows; -1 where an approximate index found fewer.

        `wanted` says what rows must say, one of these by each name; what cannot filter looks at all.
        """
        import faiss

        faiss.omp_set_num_threads(1)  # holds for the calling thread only; a second one waits more than it helps
        k = int(min(k, self.n_rows))
        if self.kind == "codes":
            return self._by_codes(queries, k)
        if self.kind == "flat":
            if not 0 < len(queries) <= FEW:
                return self._scan(queries, k)
            found = [self._nearest(query, k) for query in queries[:, None]]
            return tuple(np.concatenate(each) for each in zip(*found, strict=True))  # type: ignore[return-value]
        parameters: Any
        if self.kind == "hnsw":
            effort = round(min(HNSW_EFFORT / max(share, 1e-3), HNSW_MOST))
            parameters = faiss.SearchParametersHNSW(efSearch=max(effort, 2 * k))  # type: ignore[attr-defined]
        else:
            n_lists = self._index.nlist
            parameters = faiss.SearchParametersIVF(nprobe=round(min(IVF_EFFORT / max(share, 1e-3), n_lists)))  # type: ignore[call-arg]
        similarities, rows = self._index.search(queries, k, params=parameters)
        return similarities, rows

    def search_any(
        self, queries: np.ndarray, k: int, share: float = 1.0, wanted: Mapping[str, Collection[str]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k rows that are nearest to any of some queries: the largest product of each (k,), falling, and the rows.

        As `search` where there is one query.
        """
        k = int(min(k, self.n_rows))
        if self.kind == "flat" and len(queries) > 1:
            products, rows = _largest(self._products(queries).max(axis=0, keepdims=True), k)
            return products[0], rows[0]
        products, rows = (each.ravel() for each in self.search(queries, k, share, wanted))
        if len(queries) > 1:
            order = np.argsort(-products, kind="stable")
            best = order[np.sort(np.unique(rows[order], return_index=True)[1])][:k]  # of each row once
            products, rows = products[best], rows[best]
        return products, rows

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of these rows, (n, n_columns) float32."""
        if self.kind == "flat":
            return np.concatenate([own[rows] for own in self._blocks], axis=1)
        if self.kind == "codes":
            wanted = np.asarray(rows, np.int64)
            return self._some(wanted) if wanted.size else np.empty((0, self.n_columns), np.float32)
        vectors: np.ndarray = self._index.reconstruct_batch(np.asarray(rows))
        return vectors

    def search_exactly(self, queries: np.ndarray, k: int) -> np.ndarray:
        """The rows that `search` should find, (n_queries, k), by looking at all of them: what recall is measured by."""
        return self._largest_of_all(queries, min(k, self.n_rows)).rows

    def _largest_of_all(self, queries: np.ndarray, k: int) -> Largest:
        best = Largest(len(queries), k)
        for start in range(0, self.n_rows, ROWS_PER_BLOCK):
            stop = min(start + ROWS_PER_BLOCK, self.n_rows)
            rows = self._block(start, stop) if self.kind == "codes" else self.rows(np.arange(start, stop))
            best.add(queries @ rows.T, start)
        return best

    def _by_codes(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """What codes name first, compared as it is; where that is most of the rows, all are, one after the other."""
        n = max(AGAIN, AGAIN_PER_WANTED * k)
        if n >= MOST_AGAIN * self.n_rows:
            best = self._largest_of_all(queries, k)
            return best.values.astype(np.float32), best.rows
        products, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        for number, named in enumerate(np.sort(self._codes.nearest(queries, n), axis=1)):
            parts = [named[start : start + ROWS_PER_BLOCK] for start in range(0, n, ROWS_PER_BLOCK)]
            exact = np.concatenate([np.vecdot(self._some(part), queries[number]) for part in parts])
            order = np.argsort(-exact, kind="stable")[:k]
            products[number], rows[number] = exact[order], named[order]
        return products, rows

    def _nearest(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `_scan`, of one query (1, n_columns), reading what is needed."""
        rows = self._possible(query, k)
        if rows is None:
            return self._scan(query, k)
        products, places = self._scan(query, k, rows)
        return products, rows[places]

    def _possible(self, query: np.ndarray, k: int) -> np.ndarray | None:
        """Rows among which the k nearest to a query are, in order; None where these are too many to be of use."""
        most = int(MOST_POSSIBLE * self.n_rows)
        if not self._short or LOOKED_AT * k > most:
            return None
        asked, left, whole = [], 0.0, 0.0
        for short, columns in zip(self._short, self._columns, strict=True):
            part = query[:, columns]
            if not part.any():
                continue
            if short is None:
                return None
            (shortened,) = short.shortened(part)
            asked.append((short, shortened))
            left, whole = left + shortened[-2] ** 2, whole + shortened[-1] ** 2
        if not asked or left > MOST_LEFT * whole:
            return None
        bounds = sum(short.bounds(shortened) for short, shortened in asked)
        first = np.argpartition(bounds, -LOOKED_AT * k)[-LOOKED_AT * k :]
        least = np.partition(self._products(query, first)[0], -k)[-k]
        rows = np.flatnonzero(~(bounds < least))  # all, if the query is no number
        return rows if len(rows) <= most else None

    def _scan(self, queries: np.ndarray, k: int, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The k largest products (n_queries, k) with all rows, or some, in falling order, and where they are."""
        if len(self._blocks) == 1:
            import faiss

            among = self._blocks[0] if rows is None else self._blocks[0][rows]
            found: tuple[np.ndarray, np.ndarray] = faiss.knn(queries, among, k, faiss.METRIC_INNER_PRODUCT)
            return found
        parts = [queries[start : start + QUERIES_PER_BLOCK] for start in range(0, len(queries), QUERIES_PER_BLOCK)]
        found_parts = [_largest(self._products(part, rows), k) for part in parts]
        return tuple(np.concatenate(each) for each in zip(*found_parts, strict=True))  # type: ignore[return-value]

    def _products(self, queries: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Inner products with all rows, or some, (n_queries, n_rows) float32."""
        products = np.zeros((len(queries), self.n_rows if rows is None else len(rows)), np.float32)
        for own, columns in zip(self._blocks, self._columns, strict=True):
            part = queries[:, columns]
            if not part.any():
                continue
            among = own if rows is None else own[rows]
            if len(queries) > FEW:
                products += part @ among.T
            else:
                for row, wanted in zip(products, part, strict=True):
                    row += np.vecdot(among, wanted)
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
        n_parts = min(-(-self.n_rows // step), 2 * IVF_ROWS_PER_LIST * n_lists // step) or 1  # all rows of a few
        starts = np.linspace(0, max(self.n_rows - step, 0), n_parts, dtype=int)
        training = np.concatenate([block(start, min(start + step, self.n_rows)) for start in starts.tolist()])
        lists = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(self.n_columns), self.n_columns, n_lists, faiss.ScalarQuantizer.QT_fp16,
            faiss.METRIC_INNER_PRODUCT, False,
        )  # fmt: skip
        lists.train(training)
        return lists


def size_of(index: Any) -> int:
    """Bytes of an index of faiss, counted as it would be written; nothing of that is kept."""
    import faiss

    total = 0

    def count(data: bytes) -> int:
        nonlocal total
        total += len(data)
        return len(data)

    faiss.write_index(index, faiss.PyCallbackIOWriter(count))  # type: ignore[attr-defined]
    return total


def _largest(products: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest of each row, in falling order, the first of equals first, and where they are."""
    least = -np.partition(-products, k - 1, axis=1)[:, k - 1]
    found, rows = np.empty((len(products), k), products.dtype), np.empty((len(products), k), np.int64)
    for number, row in enumerate(products):
        among = np.flatnonzero(~(row < least[number]))
        rows[number] = among[np.argsort(-row[among], kind="stable")[:k]]
        found[number] = row[rows[number]]
    return found, rows
