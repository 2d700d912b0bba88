"""Codes: of rows that are too large for memory, what their products with any query nearly are.

Of every row a few numbers are kept, in half precision: how far it reaches along the main directions of the library. The
directions are those of one block of columns each, as of a layer, because weights live in the query: whatever weight a
block gets, a query has the same weight along its directions,

    <q, x>  =  sum over blocks of w_b <q_b, x_b>   ~   sum over blocks of w_b <P_b q_b, P_b x_b>

so that one set of codes serves all weightings. What a block loses is what its directions leave of its rows (`short.py`
bounds it, where rows are at hand). The 320 numbers that a row has are dealt to the blocks by how much of a block's
squares each holds: the least that any block loses, not the least of all together.

What comes first by the codes is read from the disk and compared as it is (`rows.py`), so products that are shown are
exact, and only who is not among the first is missed: `recall.py` measures how many, on the library itself.

`python -m benchmarks.million` has the figures, and those of the same numbers in eight bits and of PQ with four: eight
bits lose nothing more, but a processor undoes them more slowly than it reads twice as many bytes; PQ is looked through
in a fraction of the time, and loses some of the nearest.

Source
------
Jégou, Douze & Schmid (2011) for codes and comparing again what they name; Jolliffe (2002), ch. 6, for directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

N_NUMBERS = 320  # of each row: 640 bytes, a quarter of a gigabyte for 400 000 rows
N_SAMPLED = 8192  # rows by which directions are found: some ten for each number of a layer
ROWS_AT_ONCE = 1024
MULTIPLE = 16  # of numbers, which a processor takes at once
LARGEST = 6e4  # in half precision
FEW = 4  # queries; more are answered together, by one pass over all codes
SEED = 0


class Codes:
    """Of rows that are asked for in parts.

    Parameters
    ----------
    n_rows : int
    compared : sequence of slice
        As of a geometry.
    block : callable (start, stop) -> ndarray, shape (stop - start, n_columns), float32
    some : callable (rows, ascending) -> ndarray, shape (n, n_columns), float32
    """

    def __init__(
        self,
        n_rows: int,
        compared: Sequence[slice],
        block: Callable[[int, int], np.ndarray],
        some: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        chosen = np.random.default_rng(SEED).choice(n_rows, min(n_rows, N_SAMPLED), replace=False)
        self._columns = [own for own in compared if own.stop > own.start]
        self._directions, self.shares = _directions(some(np.sort(chosen)), self._columns)
        width = sum(own.stop - own.start if turn is None else len(turn)
                    for own, turn in zip(self._columns, self._directions, strict=True))  # fmt: skip
        self.n_numbers = max(-(-width // MULTIPLE), 1) * MULTIPLE
        self._index: Any = faiss.IndexScalarQuantizer(
            self.n_numbers, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        for start in range(0, n_rows, ROWS_AT_ONCE):
            self._index.add(self._shortened(block(start, min(start + ROWS_AT_ONCE, n_rows))))
        self.n_rows = n_rows

    @property
    def size_bytes(self) -> int:
        return int(self.n_rows * self._index.sa_code_size())

    def nearest(self, queries: np.ndarray, n: int) -> np.ndarray:
        """Rows (n_queries, n) with nearly the largest products, in falling order."""
        import faiss

        faiss.omp_set_num_threads(1)
        asked, n = self._shortened(queries), min(n, self.n_rows)
        if len(asked) <= FEW:
            rows: np.ndarray = self._index.search(asked, n)[1]
            return rows
        best = Largest(len(asked), n)
        for start in range(0, self.n_rows, ROWS_AT_ONCE):
            codes = self._index.reconstruct_n(start, min(ROWS_AT_ONCE, self.n_rows - start))
            best.add(asked @ codes.T, start)
        return best.rows

    def _shortened(self, rows: np.ndarray) -> np.ndarray:
        """Rows or queries (n, n_columns) along the directions of their blocks, (n, n_numbers) float32."""
        short, first = np.zeros((len(rows), self.n_numbers), np.float32), 0
        for own, turn in zip(self._columns, self._directions, strict=True):
            part = rows[:, own] if turn is None else rows[:, own] @ turn.T
            short[:, first : first + part.shape[1]] = part
            first += part.shape[1]
        return np.clip(short, -LARGEST, LARGEST, out=short)


class Largest:
    """The largest of some numbers that come in parts, for each of several queries; the first of equals first.

    values, rows : (n_queries, n), falling, and where they are; -inf and -1 as long as there are none
    """

    def __init__(self, n_queries: int, n: int) -> None:
        self.values = np.full((n_queries, n), -np.inf)
        self.rows = np.full((n_queries, n), -1, np.int64)

    def add(self, values: np.ndarray, first: int) -> None:
        """Numbers (n_queries, m) of the rows from `first` on."""
        if not self.values.shape[1]:
            return
        is_among = values > self.values[:, -1:]
        for query in np.flatnonzero(is_among.any(axis=1)):
            places = np.flatnonzero(is_among[query])
            all_values = np.concatenate([self.values[query], values[query, places]])
            order = np.argsort(-all_values, kind="stable")[: self.values.shape[1]]
            self.values[query] = all_values[order]
            self.rows[query] = np.concatenate([self.rows[query], places + first])[order]


def _directions(sample: np.ndarray, columns: Sequence[slice]) -> tuple[list[np.ndarray | None], list[float]]:
    """Of each block its directions (n, width) float32, None where all columns stay, and the share of squares they hold.

    Blocks of which nothing is kept have one direction, so that a query that looks at nothing else finds something.
    """
    widths = [own.stop - own.start for own in columns]
    if sum(widths) <= N_NUMBERS:
        return [None] * len(widths), [1.0] * len(widths)
    found, shares = [], []
    for own in columns:
        part = sample[:, own]
        squares, turned = np.linalg.eigh((part.T @ part).astype(np.float64))
        squares = squares[::-1].clip(min=0)
        total = squares.sum()
        found.append(np.ascontiguousarray(turned[:, ::-1].T, np.float32))
        shares.append(squares / total if total > 0 else squares)
    every = np.concatenate(shares)
    block_of = np.repeat(np.arange(len(widths)), widths)
    chosen = np.argsort(-every, kind="stable")[:N_NUMBERS]
    counts = np.maximum(np.bincount(block_of[chosen], minlength=len(widths)), 1)
    return (
        [turned[:count] for turned, count in zip(found, counts, strict=True)],
        [float(own[:count].sum()) for own, count in zip(shares, counts, strict=True)],
    )
