"""A library larger than memory: how long its index takes to build, how much memory, how fast and how well it answers.

    python -m benchmarks.million [--tracks 100000 1000000] [--home FOLDER] [--memory 1] [--others]

Made-up tracks of 13 layers of 192 numbers, registered in a catalogue and searched as pages search, by `build_index`
and `search`. No million of files is made: the packed array is written as the store writes it where vectors are too
large for memory, and making it from files is not timed (`benchmarks.vectors` says what an import takes). Each size
runs in a process of its own, whose memory is the most that was ever resident, without the system's cache of files.

    made       writing the packed array: 5 GB for a million
    index      opening it (its sha256), fitting the geometry, codes, and what must be known before the first answer;
               of which recall, looking at all rows for 50 recordings
    first      the first question, which also samples percentiles, nearness and what is unlike everything
    query      the next 200, each another recording: median, and 95 % of them (goal 150 ms)
    processor  what a query keeps it busy for, on the mean, whatever else runs on the machine
    lookup     of which: codes looked through and 500 rows read and compared
    cold       a query after the system was told to forget the file
    recall     of the true ten nearest, by all layers, three, and one: by codes alone, and with the best 500 compared
               again; 95 % interval over the recordings that ask
    NumPy      baseline: the array mapped into memory and one product with each row (no centring, no layers of unit
               length: less than what is asked), k largest
    limit      one thread reads as many bytes as the codes have

The vectors are those of `benchmarks.search`: layers that show the same directions, each turned its own way, as unequal
as those of music are. Nothing is clustered, so the nearest are hardly nearer than the next.

What was measured is written beside the library, `figures.json`, for `benchmarks.growth`.

`--memory` is MESS_SEARCH_GB, by default so little that all sizes go by codes. `--others` compares the same numbers of
each row as PQ with four bits and as eight bits (FAISS): bytes, milliseconds, and which of the true ten are in the first
500.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.planted_map import embeddings_known
from benchmarks.search import DECAY, N_LATENT, NOISE, K
from mess_core.catalogue.catalogue import track_id_of
from mess_core.embeddings.store import HALF
from mess_core.encoders.nano import NANO
from mess_core.search.answers import build_index, make_plan
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.recall import Recall, measure_recall
from mess_core.search.rows import AGAIN
from mess_core.storage.far import MEMORY_VARIABLE
from mess_core.storage.packed import write_packed_in_parts
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

FIGURES = "figures.json"
LIBRARY, ROWS_AT_ONCE, N_QUERIES, N_ASKED = "million", 4096, 200, 50
LAYERS = {"three layers": (2, 6, 10), "one layer": (6,), "all layers": range(NANO.n_layers)}
PLAIN = "all layers"
GOAL_P95_MS = 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--home", type=Path, help="keep the made-up libraries here, or use those that are here")
    parser.add_argument("--memory", default="1e-3", help="gigabytes that rows may take")
    parser.add_argument("--others", action="store_true", help="compare PQ and eight bits, too")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ[MEMORY_VARIABLE] = options.memory
    if options.alone:
        with threadpool_limits(1):
            for line in lines(options.home, options.tracks[0], options.others):
                print(line, flush=True)
        return
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {MEMORY_VARIABLE}={options.memory}")
    with tempfile.TemporaryDirectory() as folder:
        for n_tracks in options.tracks:
            home = (options.home or Path(folder)) / str(n_tracks)
            made_s = make_library(home, n_tracks)
            print(f"\n{n_tracks:,} tracks of {NANO.n_layers} x {NANO.embedding_dim}"
                  + (f", made in {made_s:.0f} s" if made_s else ""), flush=True)  # fmt: skip
            others = ["--others"] if options.others else []
            command = [sys.executable, "-m", "benchmarks.million", "--alone", "--home", str(home), *others]
            subprocess.run([*command, "--tracks", str(n_tracks), "--memory", options.memory], check=True)
    print(f"load {os.getloadavg()[0]:.1f}")


# --- the library ------------------------------------------------------------------------------------------------


def make_library(home: Path, n_tracks: int) -> float:
    """In its folder, unless it is there; returns how long writing its array took, in seconds."""
    workspace = Workspace(home)
    if workspace.catalogue.n_tracks(LIBRARY) == n_tracks:
        workspace.close()
        return 0.0
    workspace.database.set_setting("demo", "removed")
    ids = [track_id_of(f"{number:016x}".ljust(64, "0")) for number in range(n_tracks)]
    with workspace.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO tracks (track_id, sha256, title, work, composer, duration_s, sample_rate_hz, n_channels,"
            " codec, is_truncated, added_at) VALUES (?, ?, ?, ?, ?, 240, 44100, 2, 'FLAC', 0, 0)",
            (
                (
                    track_id,
                    track_id.ljust(64, "0"),
                    f"nocturne {number}",
                    f"work {number // 4}",
                    f"composer {number % 997}",
                )
                for number, track_id in enumerate(ids)
            ),
        )
        connection.executemany("INSERT INTO library_tracks VALUES (?, ?)", ((LIBRARY, each) for each in ids))
    embeddings_known(workspace, ids, NANO)
    path = workspace.paths.packed / f"{workspace.store.content(ids, NANO)}{HALF}.npy"
    started_s = time.perf_counter()
    shape = n_tracks, NANO.n_layers, NANO.embedding_dim
    write_packed_in_parts(path, shape, np.float16, made_up(n_tracks))
    took_s = time.perf_counter() - started_s
    workspace.close()
    return took_s


def made_up(n_tracks: int) -> Iterator[np.ndarray]:
    """Vectors (n, n_layers, dim), so many at a time."""
    rng, width = np.random.default_rng(0), NANO.embedding_dim
    lengths = np.arange(1, N_LATENT + 1, dtype=np.float32) ** (-DECAY / 2)
    turns = [
        np.linalg.qr(rng.standard_normal((width, min(N_LATENT, width))))[0].astype(np.float32).T
        for _ in range(NANO.n_layers)
    ]
    common = 3 + rng.standard_normal((NANO.n_layers, width), dtype=np.float32)
    for start in range(0, n_tracks, ROWS_AT_ONCE):
        n = min(ROWS_AT_ONCE, n_tracks - start)
        latent = rng.standard_normal((n, N_LATENT), dtype=np.float32) * lengths
        noise = NOISE / width**0.5 * rng.standard_normal((n, NANO.n_layers, width), dtype=np.float32)
        yield common + np.stack([latent[:, : len(turn)] @ turn for turn in turns], axis=1) + noise


# --- what is measured -------------------------------------------------------------------------------------------


def lines(home: Path, n_tracks: int, with_others: bool) -> Iterator[str]:
    workspace = Workspace(home)
    scope = Scope(workspace, LIBRARY, NANO)
    started_s = time.perf_counter()
    plan = make_plan(scope, Question(k=K), None)
    index = build_index(plan)
    built_s = time.perf_counter() - started_s
    codes = index.rows._codes
    yield f"  index {built_s:.1f} s, {index.rows.size_bytes / 1e6:,.0f} MB, {index.rows.kind}; {peak()}"
    (path,) = workspace.paths.packed.glob(f"*{HALF}.npy")
    rng = np.random.default_rng(1)
    asked = rng.choice(n_tracks, N_QUERIES + 1, replace=False).tolist()
    vectors = workspace.store.open(index.track_ids, NANO, 0.0).vectors

    def ask(row: int, question: Question = plan.question) -> float:
        mean = vectors[np.array([row])][0]
        return timed(lambda: index.search(mean, question, exclude=[index.track_ids[row]]))

    first_s = ask(asked[0])
    yield f"  first {first_s:.1f} s; {peak()}"
    busy_s = time.process_time()
    times_ms = 1e3 * np.array([ask(row) for row in asked[1:]])
    busy_ms = 1e3 * (time.process_time() - busy_s) / N_QUERIES
    median_ms, p95_ms = float(np.median(times_ms)), float(np.quantile(times_ms, 0.95))
    lookup_ms = 1e3 * (index.answered_by.median_s or 0.0)
    yield (
        f"  query median {median_ms:.1f} ms, 95 % {p95_ms:.1f} ms (goal {GOAL_P95_MS}),"
        f" lookup {lookup_ms:.1f} ms; {busy_ms:.1f} ms of the processor; {peak()}"
    )
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # before anything is mapped into memory
    hubs_ms = [1e3 * ask(row, replace(plan.question, hubs="on")) for row in asked[1:11]]
    yield f"  corrected for hubs: median {np.median(hubs_ms):.0f} ms"
    cold_ms = [1e3 * ask(row) for row in rng.choice(n_tracks, 10, replace=False).tolist() if forget(path)]
    if cold_ms:
        yield f"  cold median {np.median(cold_ms):.1f} ms, most {max(cold_ms):.1f} ms"
    truth, queries, chosen = truth_of(index)
    figures: dict[str, float] = {}
    for name, figure in zip(LAYERS, measured(index), strict=True):
        alone = found_in(codes.nearest, queries[name], truth[name], chosen, K + 1)
        figures[f"recall, {name}"], figures[f"codes alone, {name}"] = figure.share, alone
        yield (
            f"  recall@{K} {name:>12}: codes {alone:.3f}, compared again {figure.share:.3f}"
            f" ({figure.low:.3f} to {figure.high:.3f})"
        )
    if with_others:
        for line, own in others(index, queries, truth, chosen):
            figures |= own
            yield line
    numpy_ms = baseline(path, n_tracks)
    yield f"  NumPy, mapped: {numpy_ms:,.0f} ms"
    flat = np.zeros(max(index.rows.size_bytes // 4, 1), np.float32)
    limit_s = min(timed(lambda: flat.dot(flat)) for _ in range(5))
    rate = flat.nbytes / limit_s / 1e9
    yield f"  limit {1e3 * limit_s:.1f} ms to read as many bytes as the codes, {rate:.1f} GB/s"
    yield f"  {index.answered_by.words}"
    figures |= {
        "tracks": n_tracks, "index s": built_s, "first s": first_s, "query ms": median_ms, "query 95 % ms": p95_ms,
        "processor ms": busy_ms,
        "lookup ms": lookup_ms, "NumPy ms": numpy_ms, "vectors B": path.stat().st_size,
        "codes B": index.rows.size_bytes, "catalogue B": workspace.paths.database.stat().st_size,
        "resident B": resident,
    }  # fmt: skip
    (home / FIGURES).write_text(json.dumps(figures, indent=1))
    workspace.close()


def peak() -> str:
    return f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB resident"


def timed(action: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    action()
    return time.perf_counter() - started_s


def forget(path: Path) -> bool:
    """Ask the system to drop what it keeps of a file, where it can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    with path.open("rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def weighted(index: NeighbourIndex) -> NeighbourIndex:
    """The same rows and codes, with parts of these layers."""
    shares = np.zeros((len(LAYERS), NANO.n_layers))
    for part, layers in enumerate(LAYERS.values()):
        shares[part, list(layers)] = 1 / len(layers)
    other = copy.copy(index)
    other.geometry = replace(index.geometry, parts=tuple(LAYERS), shares=shares, plain=np.eye(len(LAYERS))[-1])  # type: ignore[type-var]
    return other


def measured(index: NeighbourIndex) -> list[Recall]:
    """The figures of each part alone."""
    plain, *alone = measure_recall(weighted(index), N_ASKED)
    assert [figure.weighting for figure in alone] == list(LAYERS)[:-1]
    return [*alone, plain]


def truth_of(index: NeighbourIndex) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """The true nearest of some recordings, and what is looked up for them."""
    geometry = weighted(index).geometry
    chosen = np.sort(np.random.default_rng(2).choice(len(index), N_ASKED, replace=False))
    items = index.rows.rows(chosen)
    queries = {
        name: np.stack([geometry.query(item, np.eye(len(LAYERS))[part])[0] for item in items])
        for part, name in enumerate(LAYERS)
    }
    rows = index.rows.search_exactly(np.concatenate(list(queries.values())), K + 1)
    truth = dict(zip(LAYERS, rows.reshape(len(LAYERS), N_ASKED, -1), strict=True))
    return truth, queries, chosen


def found_in(
    nearest: Callable[[np.ndarray, int], np.ndarray], queries: np.ndarray, truth: np.ndarray, chosen: np.ndarray, n: int
) -> float:
    """Share of the true ten among the first n."""
    shares = []
    for own, query, wanted in zip(chosen, queries, truth, strict=True):
        true_rows = wanted[wanted != own][:K]
        rows = nearest(query[None], n)[0]
        rows = rows[rows != own][: K if n == K + 1 else n]
        shares.append(np.isin(true_rows, rows).mean())
    return float(np.mean(shares))


def others(
    index: NeighbourIndex, queries: dict[str, np.ndarray], truth: dict[str, np.ndarray], chosen: np.ndarray
) -> Iterator[tuple[str, dict[str, float]]]:
    """The same numbers of each row, in other codes: a line for each, and its figures."""
    import faiss

    faiss.omp_set_num_threads(1)
    codes = index.rows._codes
    kinds = {
        "half precision": codes._index,
        "eight bits": faiss.IndexScalarQuantizer(
            codes.n_numbers, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        ),
        "PQ, four bits": faiss.IndexPQFastScan(codes.n_numbers, codes.n_numbers, 4, faiss.METRIC_INNER_PRODUCT),
    }
    sample = np.concatenate(
        [codes._index.reconstruct_n(start, 64) for start in np.linspace(0, len(index) - 64, 160, dtype=int).tolist()]
    )
    for name, other in kinds.items():
        started_s = time.perf_counter()
        if other is not codes._index:
            other.train(sample)
            for start in range(0, len(index), ROWS_AT_ONCE):
                other.add(codes._index.reconstruct_n(start, min(ROWS_AT_ONCE, len(index) - start)))
        built_s = time.perf_counter() - started_s

        def nearest(query: np.ndarray, n: int, other: faiss.Index = other) -> np.ndarray:
            found: np.ndarray = other.search(codes._shortened(query), n)[1]
            return found

        took_ms = 1e3 * np.median([timed(lambda query=query: nearest(query[None], AGAIN)) for query in queries[PLAIN]])
        within = {each: found_in(nearest, queries[each], truth[each], chosen, AGAIN) for each in LAYERS}
        yield (
            f"  {name:>14}: {other.code_size} bytes a row, made in {built_s:.1f} s, {took_ms:.1f} ms,"
            f" in the first {AGAIN}: {', '.join(f'{share:.3f}' for share in within.values())}",
            {f"{name}, ms": float(took_ms), f"{name}, bytes": other.code_size, f"{name}, in 500": within[PLAIN]},
        )


def baseline(path: Path, n_tracks: int) -> float:
    """Milliseconds of a product with every row of the mapped array."""
    mapped = np.load(path, mmap_mode="r").reshape(n_tracks, -1)
    vector = np.random.default_rng(3).standard_normal(mapped.shape[1], dtype=np.float32)

    def ask() -> np.ndarray:
        products = np.empty(n_tracks, np.float32)
        for start in range(0, n_tracks, ROWS_AT_ONCE):
            products[start : start + ROWS_AT_ONCE] = mapped[start : start + ROWS_AT_ONCE].astype(np.float32) @ vector
        return np.argpartition(products, -K)[-K:]

    return 1e3 * min(timed(ask) for _ in range(2))


if __name__ == "__main__":
    main()
