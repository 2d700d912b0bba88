"""Trying an engine on a library: whether it answers, how fast, and whether it finds what is there to be found."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from mess_core.search.answers import Plan, build_index
from mess_core.search.engines.answering import EngineRows
from mess_core.search.rows import RowIndex
from mess_core.words import counted

N_QUERIES, K, SEED = 20, 10, 0
ROUNDING = 1e-6  # of products in single precision


@dataclass(frozen=True)
class Trial:
    """What came of it.

    about : what answered, with its version and where
    n_rows, n_put : rows of the library, and how many of them were put when it was opened, in `opened_s` seconds
    median_s, beside_s : of one lookup, and of the same by FAISS here
    share : of the true ten nearest of some recordings, found
    """

    engine: str
    about: str
    n_rows: int
    n_put: int
    opened_s: float
    median_s: float
    beside_s: float
    share: float

    @property
    def words(self) -> str:
        """In a sentence."""
        said = f"{self.about}: {counted(self.n_rows, 'row')}, {self.median_s * 1e3:.1f} ms a lookup"
        if self.beside_s != self.median_s:
            said += f" (FAISS {self.beside_s * 1e3:.1f} ms), {self.share:.1%} of the ten nearest found"
        return f"{said}; {counted(self.n_put, 'row')} put, opened in {self.opened_s:.1f} s" if self.n_put else said


def try_engine(plan: Plan, name: str) -> Trial:
    """Ask an engine for the nearest of some recordings of a plan's library.

    Raises
    ------
    MessError
        If it does not answer, or nothing is embedded.
    """
    import faiss

    index = build_index(replace(plan, engine=name))
    rows, geometry = index.rows, index.geometry
    about, n_put, opened_s = f"FAISS {faiss.__version__}, in this process", 0, 0.0
    if isinstance(rows, EngineRows):
        started_s = time.perf_counter()
        rows.ask()
        opened_s, n_put, about = time.perf_counter() - started_s, rows.n_put or 0, rows.about()
    chosen = np.random.default_rng(SEED).choice(len(index), min(N_QUERIES, len(index)), replace=False)
    times: list[tuple[float, float]] = []
    n_found = n_true = 0
    for item in rows.rows(np.sort(chosen)):
        vector = np.atleast_2d(geometry.lookups(item, geometry.plain)[0].vector)[:1]
        k = min(K, max(1, len(index) - 1))
        started_s = time.perf_counter()
        found = rows.search(vector, k)[1][0]
        between_s = time.perf_counter()
        least = float(RowIndex.search(rows, vector, k)[0][0, -1])
        times.append((between_s - started_s, time.perf_counter() - between_s))
        products = rows.rows(found[found >= 0]) @ vector[0]
        n_found += int(np.count_nonzero(products >= least - ROUNDING * (1 + abs(least))))
        n_true += k
    if isinstance(rows, EngineRows):
        rows.close()
        if rows.failure is not None:
            raise rows.failure
    median_s, beside_s = np.median(times, axis=0).tolist()
    is_other = isinstance(rows, EngineRows)
    return Trial(
        name, about, len(index), n_put, opened_s, median_s, beside_s if is_other else median_s, n_found / n_true
    )
