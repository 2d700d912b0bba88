"""What does a database cost that is asked for the nearest, beside FAISS and plain NumPy?

    python -m benchmarks.engines [--rows 10000 100000] [--columns 68] [--user NAME] [--home FOLDER]

Rows are made up, with blocks of the widths that aspects have; a query weighs all of them, three, or one. All engines
are asked the same queries in turns, so that what disturbs one disturbs the others. PostgreSQL is what MESS_DSN names,
or a server that is started for it (`serve-db`; `--user`, as whom, where you are root). What is not installed is left
out, and said.

    put       all rows into an empty collection, once; `opened` is opening it again, as a new process would
    query     the ten nearest with their products by block: median and 95th percentile
    filtered  the same among the hundredth of the rows that say a word
    found     of the ten nearest by NumPy in double precision, over all queries: recall
    apart     largest difference of a score from NumPy's
    size      bytes of the collection on the disk, or in memory

NumPy is the product of all rows with the query, in single precision, and a partial sort: what has no ids, no words, and
is gone with the process.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from mess_core.errors import MessError
from mess_core.search.engines.contract import Engine, fill
from mess_core.search.engines.flat import FaissEngine
from mess_core.search.engines.lance import LanceEngine
from mess_core.search.engines.postgres import DSN_VARIABLE, PostgresEngine, connect
from mess_core.search.engines.serving import serve

K, N_QUERIES, SEED = 10, 60, 0
KEY = "be4c4" * 5
WEIGHED = (None, 3, 1)  # blocks that have weight; None: all
NAME, WORD, ONE_IN = "composer", "rare", 100
WIDTH = 4  # of a block: three targets of an aspect, and their square; of wide rows, as of layers, more
MOST_BLOCKS = 17


@dataclass(eq=False)
class Measured:
    """Of one engine."""

    name: str
    put_s: float = 0.0
    opened_s: float = 0.0
    query_s: list[float] = field(default_factory=list)
    filtered_s: list[float] = field(default_factory=list)
    n_found: int = 0
    n_true: int = 0
    apart: float = 0.0
    n_bytes: int = 0

    @property
    def line(self) -> str:
        query, most, filtered = (
            f"{1e3 * value:8.2f}"
            for value in (np.median(self.query_s), np.quantile(self.query_s, 0.95), np.median(self.filtered_s))
        )
        return (
            f"{self.name:<44} {self.put_s:7.2f} {self.opened_s:7.2f} {query} {most} {filtered}"
            f" {self.n_found / self.n_true:7.1%} {self.apart:9.1e} {self.n_bytes / 2**20:8.1f}"
        )


def main() -> None:
    """Print a table for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--columns", type=int, default=68)
    parser.add_argument("--user", help="as whom PostgreSQL runs, where you are root")
    parser.add_argument("--home", type=Path, help="where LanceDB writes (default: a temporary folder)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mess-", dir=options.home))
    try:
        with threadpool_limits(1), _server(options.user) as dsn:
            for n_rows in options.rows:
                print(
                    f"\n{n_rows:,} rows x {options.columns}, {N_QUERIES} queries, k = {K}; seconds, then milliseconds"
                )
                print(f"{'':<44} {'put':>7} {'opened':>7} {'query':>8} {'p95':>8} {'filtered':>8}"
                      f" {'found':>7} {'apart':>9} {'MiB':>8}")  # fmt: skip
                for line in lines(n_rows, options.columns, folder, dsn):
                    print(line, flush=True)
    finally:
        shutil.rmtree(folder)


def lines(n_rows: int, n_columns: int, folder: Path, dsn: str) -> Iterator[str]:
    """One for each engine that is there."""
    rng = np.random.default_rng(SEED)
    width = max(WIDTH, n_columns // MOST_BLOCKS)
    widths = [width] * (n_columns // width) + ([n_columns % width] if n_columns % width else [])
    items = rng.standard_normal((n_rows, n_columns)).astype(np.float32)
    places = np.cumsum(widths)[:-1]
    ids = [f"{row:012x}" for row in range(n_rows)]
    words = [{NAME: WORD if row % ONE_IN == 0 else f"composer {row % 37}"} for row in range(n_rows)]
    queries = [
        (items[row], weights_of(len(widths), n, rng)) for n, row in enumerate(rng.integers(0, n_rows, N_QUERIES))
    ]

    def open_faiss() -> Engine:
        return FaissEngine(KEY, widths, [NAME])

    opening: dict[str, Callable[[], Engine]] = {"faiss": open_faiss}
    opening["lancedb"] = lambda: LanceEngine(folder / "lancedb", KEY, widths, [NAME])
    if dsn:
        opening["pgvector"] = lambda: PostgresEngine(dsn, KEY, widths, [NAME])
    else:
        yield "pgvector is left out: no server, or its packages are not installed"
    engines: dict[str, Engine] = {}
    found: dict[str, Measured] = {"numpy": Measured("NumPy", n_bytes=items.nbytes)}
    for name, open_it in opening.items():
        try:
            engine = open_it()
        except MessError as error:
            yield f"{name} is left out: {error.message}"
            continue
        engine.drop()
        engine.close()
        engine = open_it()
        own = found[name] = Measured(engine.about().split(", at ")[0].split(", in ")[0])
        started_s = time.perf_counter()
        fill(engine, ids, lambda part: items[np.asarray(part)], words)
        own.put_s = time.perf_counter() - started_s
        if engine.lasts:
            engine.close()
            started_s = time.perf_counter()
            engine = open_it()
            assert fill(engine, ids, lambda part: items[np.asarray(part)], words) == 0
            own.opened_s = time.perf_counter() - started_s
        engines[name] = engine
    rare = np.arange(0, n_rows, ONE_IN)
    for item, weights in queries:
        blocks = np.split(item, places)
        vector = (item * np.repeat(weights, widths)).astype(np.float32)
        truth = (items.astype(np.float64) * np.repeat(weights, widths)) @ item.astype(np.float64)
        ask_all(found, engines, items, vector, blocks, weights, truth, rare)
    for name, engine in engines.items():
        found[name].n_bytes = size_bytes(engine, folder, items)
        engine.drop()
        engine.close()
    yield from (own.line for own in found.values())


def ask_all(
    found: Mapping[str, Measured],
    engines: Mapping[str, Engine],
    items: np.ndarray,
    vector: np.ndarray,
    blocks: list[np.ndarray],
    weights: np.ndarray,
    truth: np.ndarray,
    rare: np.ndarray,
) -> None:
    """One query, of NumPy and of each engine in turn."""
    for rows, times in ((None, "query_s"), (rare, "filtered_s")):
        totals = truth if rows is None else truth[rows]
        least = np.partition(totals, -K)[-K]
        started_s = time.perf_counter()
        products = (items if rows is None else items[rows]) @ vector
        first = np.argpartition(products, -K)[-K:]
        first = first[np.argsort(-products[first])]
        getattr(found["numpy"], times).append(time.perf_counter() - started_s)
        count(found["numpy"], first if rows is None else rows[first], products[first], truth, least)
        for name, engine in engines.items():
            started_s = time.perf_counter()
            answer = engine.search(blocks, weights, K, {} if rows is None else {NAME: [WORD]})
            getattr(found[name], times).append(time.perf_counter() - started_s)
            count(found[name], np.array([int(row_id, 16) for row_id in answer.ids]), answer.totals, truth, least)


def count(own: Measured, rows: np.ndarray, totals: np.ndarray, truth: np.ndarray, least: float) -> None:
    """How many of the rows found are among the true nearest, and how far their scores are off."""
    own.n_found += int(np.count_nonzero(truth[rows] >= least))
    own.n_true += K
    own.apart = max(own.apart, float(np.abs(totals - truth[rows]).max(initial=0.0)))


def weights_of(n_blocks: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Of all blocks, of three, or of one, by turns; they add up to 1."""
    n_weighed = WEIGHED[n % len(WEIGHED)] or n_blocks
    weights = np.zeros(n_blocks)
    weights[rng.permutation(n_blocks)[:n_weighed]] = rng.random(n_weighed) + 0.1
    return weights / weights.sum()


def size_bytes(engine: Engine, folder: Path, items: np.ndarray) -> int:
    """On the disk; of FAISS, of the rows in memory."""
    if isinstance(engine, LanceEngine):
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if isinstance(engine, PostgresEngine):
        with engine._connected() as connection:
            found = connection.execute("SELECT pg_total_relation_size(%s)", (f"mess.rows_{KEY}",)).fetchone()
        return int(found[0]) if found else 0
    return items.nbytes


@contextlib.contextmanager
def _server(user: str | None) -> Iterator[str]:
    """The DSN of a server that answers; empty where there is none."""
    named = os.environ.get(DSN_VARIABLE, "")
    folder = Path(tempfile.mkdtemp(prefix="mess-"))
    try:
        with contextlib.ExitStack() as stack:
            try:
                dsn = named or stack.enter_context(serve(folder, user))
                connect(dsn).close()
            except MessError as error:
                print(f"PostgreSQL: {error}")
                dsn = ""
            yield dsn
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
