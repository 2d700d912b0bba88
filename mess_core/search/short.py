"""Short rows: an upper bound of every row's inner product with a query, from a few numbers of each row.

The rows of a library lie near a small space: of the embeddings of music at hand, 46 directions hold nine tenths of what
768 numbers do. With these directions as the rows of P, orthonormal, and with what they leave of a vector,
left(x) = x - P'P x, which is at right angles to them,

    <q, x>  =  <P q, P x> + <left(q), left(x)>  <=  <P q, P x> + |left(q)| |left(x)|

by the inequality of Cauchy and Schwarz. P x and |left(x)| are kept. The bound holds for any query, so for any weights
in it, and for any P; it is only the closer the less is left. So nobody is missed: a row whose bound is below the k-th
largest product among rows already looked at is not among the k largest. Of music, a hundred in ten thousand are left.
In memory it is a sixteenth more.

The directions are the principal ones of a seeded sample of rows, about the origin, found nearly by subspace iteration.

Source
------
Li, Chan, Yiu & Mamoulis (2017), FEXIPRO, for main directions with a bound of the rest; here the rest of a row is one
number, and the bounds of all rows are one product. Halko, Martinsson & Tropp (2011), algorithm 4.4, for the directions.
"""

from __future__ import annotations

from typing import Self

import numpy as np

N_DIRECTIONS = 46  # with two lengths, rows of 48 numbers: three lines of the cache; with fewer, more rows are possible
N_SAMPLED, N_ITERATIONS, N_BESIDE = 2048, 3, 10  # rows; steps; directions that are followed besides, and dropped
ROWS_AT_ONCE = 1024
# Of the product of two lengths: sums of so many terms in single precision are never that wrong. In a square, likewise.
ROUNDING, SQUARE_ROUNDING = 1e-4, 1e-5
MOST_POSSIBLE = 1 / 8  # share of the rows: if more may be among the nearest, looking at all is as fast
N_TRIED, N_NEAREST = 10, 32  # rows that are asked about, to see whether bounds are of use; whom they look for
SEED = 0


class ShortRows:
    """Of rows (n_rows, n_columns) float32, finite; they are not kept. share : of their squares that is kept."""

    def __init__(self, rows: np.ndarray) -> None:
        self._directions = _main_directions(rows)
        n = len(self._directions)
        self._short = np.empty((len(rows), n + 2), np.float32)
        kept, whole = 0.0, 0.0
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = self._short[start : start + ROWS_AT_ONCE]
            part[:] = self.shortened(rows[start : start + ROWS_AT_ONCE])
            kept += float(np.vdot(part[:, :n], part[:, :n]))
            whole += float(np.vdot(part[:, -1], part[:, -1]))
        self._short[:, -1] *= ROUNDING
        self.share = kept / whole if whole > 0 else 1.0

    @classmethod
    def if_of_use(cls, rows: np.ndarray) -> Self | None:
        """None where most queries would pass too few rows over, as tried with some rows, or where one has no length."""
        with np.errstate(all="ignore"):
            if not np.isfinite(np.vecdot(rows, rows)).all():
                return None
        short, k = cls(rows), min(N_NEAREST, len(rows))
        n_possible = []
        for query in _sample(rows, N_TRIED):
            least = np.partition(rows @ query, -k)[-k]
            n_possible.append(np.count_nonzero(short.bounds(short.shortened(query[None])[0]) >= least))
        return short if np.median(n_possible) <= MOST_POSSIBLE * len(rows) else None

    def bounds(self, query: np.ndarray) -> np.ndarray:
        """What the inner product of each row with a query, shortened, is at most, (n_rows,) float32."""
        bounds: np.ndarray = self._short @ query
        return bounds

    def shortened(self, rows: np.ndarray) -> np.ndarray:
        """Of each row P x, the length of what it leaves, and the length of x, (n, n_directions + 2) float32."""
        along = rows @ self._directions.T
        squares = np.vecdot(rows, rows)
        left = np.maximum(squares - np.vecdot(along, along), 0) + SQUARE_ROUNDING * squares
        return np.concatenate([along, np.sqrt(left)[:, None], np.sqrt(squares)[:, None]], axis=1)


def _sample(rows: np.ndarray, n: int) -> np.ndarray:
    """At most n of the rows, seeded, in order."""
    chosen = np.random.default_rng(SEED).choice(len(rows), min(n, len(rows)), replace=False)
    return rows[np.sort(chosen)]


def _main_directions(rows: np.ndarray) -> np.ndarray:
    """Orthonormal, (n_directions, n_columns) float32: nearly those along which a sample of rows is longest."""
    sample, n_columns = _sample(rows, N_SAMPLED), rows.shape[1]
    followed = np.random.default_rng(SEED).standard_normal((n_columns, min(n_columns, N_DIRECTIONS + N_BESIDE)))
    for _ in range(N_ITERATIONS):
        basis = np.linalg.qr(followed)[0]
        followed = sample.T @ (sample @ basis.astype(np.float32))
    basis = np.linalg.qr(followed.astype(np.float64))[0]
    along = sample @ basis.astype(np.float32)
    turn = np.linalg.eigh((along.T @ along).astype(np.float64))[1][:, ::-1]  # the longest first
    main: np.ndarray = np.ascontiguousarray((basis @ turn[:, :N_DIRECTIONS]).T, np.float32)
    return main
