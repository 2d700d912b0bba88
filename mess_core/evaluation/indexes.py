"""Indexes: what an approximate index finds, how fast and in how much memory, on the user's own library.

Recordings of the library are asked for their ten nearest, each alone and on one thread, by exact search and by each of

    hnsw     a graph that is walked (Malkov & Yashunin 2018)          whole vectors, and links
    ivf      lists around centres, some of them read                  half precision
    lsh      bits, the sides of random planes (Charikar 2002)         a bit each, compared by how many differ
    pq       parts of a vector, each as one of a few centres          a byte or less each (Jégou et al. 2011)
    ivf-pq   such codes in lists
    codes    a few numbers of each row, and the best 500 rows compared exactly (`mess_core/search/codes.py`): what
             searches use where rows do not fit in memory

`recall` is the share of the true ten that come back; `recall_in_100` how many of them are among the first
hundred, which is what whole vectors of a hundred candidates would make of it. Intervals are over the recordings
that were asked for.
Lookups by hnsw and ivf are those that searches use (`mess_core/search/rows.py`), with their efforts. lsh and pq are
only measured: what they lose is lost for similarities, too, which searches show.

Source
------
Douze et al., The Faiss library (2024); recall and time per query as Aumüller, Bernhardsson & Faithfull (2020).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mess_core.errors import DataMissingError, InputError
from mess_core.search.geometry import LayerGeometry
from mess_core.search.recall import read_recall
from mess_core.search.rows import AGAIN, FLAT_UP_TO, FarItems, Kind, RowIndex, size_of
from mess_core.storage.far import search_memory_bytes
from mess_core.words import counted
from mess_core.workspace.scope import Scope

K = 10
MANY = 100  # candidates
N_QUERIES = 100
N_DRAWS, SEED = 1000, 0
FEWEST = 50  # recordings; with fewer the ten nearest are a large part of all
LSH_BITS = (256, 1024, 2048)
PQ_PARTS = (32, 128)
ROWS_PER_CENTRE = 39  # that faiss wants to place a centre by
LEAST_BITS, MOST_BITS = 4, 8  # of a part's code

Search = Callable[[np.ndarray, int], np.ndarray]  # (1, n_columns), k -> (k,) rows


@dataclass(frozen=True)
class IndexFigure:
    """What one index comes to.

    setting : what of it was chosen
    recall, low, high : share of the true ten nearest that are found, with its interval
    recall_in_100 : of these, among the first hundred
    median_ms, p95_ms : of one lookup
    size_bytes : of the index in memory
    build_s : how long it took to make
    """

    name: str
    setting: str
    recall: float
    low: float
    high: float
    recall_in_100: float
    median_ms: float
    p95_ms: float
    size_bytes: int
    build_s: float


@dataclass(frozen=True)
class IndexStudy:
    """All indexes on one library; the first is exact search."""

    library: str
    encoder: str
    n_tracks: int
    n_columns: int
    n_queries: int
    figures: tuple[IndexFigure, ...]
    notices: tuple[str, ...]

    def as_document(self) -> dict[str, Any]:
        return asdict(self)


def study_indexes(scope: Scope, n_queries: int = N_QUERIES) -> IndexStudy:
    """Measure every index on the recordings of a library, compared as a whole (all layers weigh the same).

    Of a library that is larger than the memory for its rows, so many seeded recordings are measured as it holds; what
    its own search finds is among the notices.

    Raises
    ------
    DataMissingError
        If fewer than fifty of its recordings are embedded.
    """
    track_ids, aside = scope.embedded_ids, []
    n_tracks = len(track_ids)
    row_bytes = 4 * (scope.info.n_numbers + scope.info.n_layers)
    if n_tracks * row_bytes > search_memory_bytes():
        n_measured = max(int(search_memory_bytes() / row_bytes), FEWEST)
        chosen = np.random.default_rng(SEED).choice(n_tracks, min(n_measured, n_tracks), replace=False)
        track_ids = [track_ids[row] for row in np.sort(chosen).tolist()]
        aside.append(
            f"Measured on {counted(len(track_ids), 'seeded recording')} of {n_tracks:,}, as many as memory is set aside"
            " for; among more, each index finds less."
        )
        if known := read_recall(scope, LayerGeometry.name):
            aside.append(f"Searches of the whole library go by codes. {known[0].words}")
        n_tracks = len(track_ids)
    embeddings = scope.workspace.store.load(track_ids, scope.info) if aside else scope.embeddings()
    if n_tracks < FEWEST:
        raise DataMissingError(
            f"{counted(n_tracks, 'recording')} of {scope.library!r} embedded by {scope.info.id}, expected {FEWEST}.",
            "Indexes are told apart in libraries that are larger.",
        )
    geometry = LayerGeometry.fit(embeddings.vectors, info=scope.info)
    if geometry.any_key:
        raise InputError(f"{scope.info.title} compares in any key, by several lookups at once.", "Take an encoder.")
    figures, notices = measure_indexes(
        geometry.items(embeddings.vectors),
        lambda items: np.stack([geometry.query(item, geometry.plain)[0] for item in items]),
        n_queries,
        geometry.compared,
    )
    n_asked = min(n_queries, n_tracks)
    notices = tuple(dict.fromkeys([*aside, *notices]))  # one kind after the other says the same
    return IndexStudy(scope.library, scope.info.id, n_tracks, geometry.n_columns, n_asked, figures, notices)


def measure_indexes(
    items: np.ndarray,
    queries_of: Callable[[np.ndarray], np.ndarray],
    n_queries: int = N_QUERIES,
    blocks: Sequence[slice] | None = None,
) -> tuple[tuple[IndexFigure, ...], tuple[str, ...]]:
    """Figures of every index on rows, exact search first, and what should be known of them.

    Parameters
    ----------
    items : ndarray, shape (n_rows, n_columns), float32
    queries_of : callable (items) -> ndarray, shape (n, n_columns)
        What is looked up for rows.
    blocks : sequence of slice, or None
        Columns that have a weight of their own, as of a geometry; None: all have the same.
    """
    n_rows = len(items)
    asked = np.sort(np.random.default_rng(SEED).choice(n_rows, min(n_queries, n_rows), replace=False))
    queries = np.ascontiguousarray(queries_of(items[asked]), np.float32)
    is_compared = (queries != 0).any(axis=0)  # the rest are there for distances
    items, queries = np.ascontiguousarray(items[:, is_compared]), np.ascontiguousarray(queries[:, is_compared])
    n_columns, places = items.shape[1], np.concatenate([[0], np.cumsum(is_compared)]).tolist()
    blocks = [slice(places[own.start], places[own.stop]) for own in blocks or [slice(0, len(is_compared))]]
    exact = RowIndex(n_rows, n_columns, lambda start, stop: items[start:stop], "flat")
    truth = [
        [row for row in rows.tolist() if row != own][:K]
        for rows, own in zip(exact.search_exactly(queries, K + 1), asked.tolist(), strict=True)
    ]
    figures, notices = [], []
    for name, setting, make in _makers(items, blocks):
        started = time.perf_counter()
        made = make()
        if isinstance(made, str):
            notices.append(made)
            continue
        search, size_bytes = made
        figures.append(
            _measure(name, setting, search, size_bytes, time.perf_counter() - started, queries, asked, truth)
        )
    if n_rows <= FLAT_UP_TO:
        notices.append(
            f"Searches look at all {n_rows:,} rows here: an approximate index takes over above {FLAT_UP_TO:,}."
        )
    return tuple(figures), tuple(notices)


def _makers(
    items: np.ndarray, blocks: Sequence[slice]
) -> list[tuple[str, str, Callable[[], tuple[Search, int] | str]]]:
    """Name, setting, and what makes an index: how it is searched and how large it is, or why it cannot be made."""
    kinds: tuple[tuple[str, str, Kind], ...] = (
        ("exact", "every row", "flat"), ("hnsw", "as searches use it", "hnsw"), ("ivf", "as searches use it", "ivf"),
        ("codes", f"the best {AGAIN} exactly", "codes"),
    )  # fmt: skip
    made: list[tuple[str, str, Callable[[], tuple[Search, int] | str]]] = []
    for name, setting, kind in kinds:
        made.append((name, setting, lambda kind=kind: _of_rows(items, blocks, kind)))  # type: ignore[misc]
    for bits in LSH_BITS:
        made.append(("lsh", f"{bits} bits", lambda bits=bits: _lsh(items, bits)))  # type: ignore[misc]
    for parts in PQ_PARTS:
        made.append(("pq", f"{parts} parts", lambda parts=parts: _pq(items, parts, in_lists=False)))  # type: ignore[misc]
    made.append(("ivf-pq", f"{PQ_PARTS[-1]} parts", lambda: _pq(items, PQ_PARTS[-1], in_lists=True)))
    return made


def _of_rows(items: np.ndarray, blocks: Sequence[slice], kind: Kind) -> tuple[Search, int]:
    far = FarItems(lambda rows: items[rows], blocks)
    index = RowIndex(len(items), items.shape[1], lambda start, stop: items[start:stop], kind, far)
    return lambda query, k: index.search(query, k)[1][0], index.size_bytes


def _lsh(items: np.ndarray, n_bits: int) -> tuple[Search, int]:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexLSH(items.shape[1], n_bits, True)  # rotated at random
    index.add(items)
    return lambda query, k: index.search(query, k)[1][0], size_of(index)


def _pq(items: np.ndarray, n_parts: int, *, in_lists: bool) -> tuple[Search, int] | str:
    """Columns are filled up with zeros, which no product notices, so that parts are equally long."""
    import faiss

    n_rows, n_columns = items.shape
    n_bits = min(MOST_BITS, int(np.log2(max(n_rows // ROWS_PER_CENTRE, 1))))
    if n_bits < LEAST_BITS:
        needed = ROWS_PER_CENTRE * 2**LEAST_BITS
        return f"PQ is left out: codes are learned from {needed} rows at least, here are {n_rows}."
    width = -(-n_columns // n_parts) * n_parts
    filled = np.zeros((n_rows, width), np.float32)
    filled[:, :n_columns] = items
    faiss.omp_set_num_threads(1)
    n_lists = 1
    if in_lists:
        n_lists = max(1, min(round(4 * np.sqrt(n_rows)), n_rows // ROWS_PER_CENTRE))
        index: Any = faiss.IndexIVFPQ(
            faiss.IndexFlatIP(width), width, n_lists, n_parts, n_bits, faiss.METRIC_INNER_PRODUCT
        )
        index.nprobe = min(16, n_lists)
    else:
        index = faiss.IndexPQ(width, n_parts, n_bits, faiss.METRIC_INNER_PRODUCT)
    n_enough = ROWS_PER_CENTRE * max(2**n_bits, n_lists)  # more rows take longer and place centres no better
    index.train(np.ascontiguousarray(filled[:: max(1, n_rows // n_enough)]))
    index.add(filled)

    def search(query: np.ndarray, k: int) -> np.ndarray:
        long = np.zeros((1, width), np.float32)
        long[:, :n_columns] = query
        found: np.ndarray = index.search(long, k)[1][0]
        return found

    return search, size_of(index)


def _measure(
    name: str,
    setting: str,
    search: Search,
    size_bytes: int,
    build_s: float,
    queries: np.ndarray,
    asked: np.ndarray,
    truth: Sequence[Sequence[int]],
) -> IndexFigure:
    """Ask for each recording twice: its ten, which is timed, and a hundred."""
    shares, many, times = [], [], []
    search(queries[:1], K + 1)
    for query, own, wanted in zip(queries[:, None], asked.tolist(), truth, strict=True):
        started = time.perf_counter()
        rows = search(query, K + 1)
        times.append(time.perf_counter() - started)
        found = [row for row in rows.tolist() if row != own][:K]
        shares.append(len({*found} & {*wanted}) / len(wanted))
        many.append(len({*search(query, MANY + 1).tolist()} & {*wanted}) / len(wanted))
    share = np.array(shares)
    draws = np.random.default_rng(SEED).integers(0, len(share), (N_DRAWS, len(share)))
    low, high = np.percentile(share[draws].mean(axis=1), [2.5, 97.5])
    return IndexFigure(
        name, setting, float(share.mean()), float(low), float(high), float(np.mean(many)),
        1e3 * float(np.median(times)), 1e3 * float(np.percentile(times, 95)), int(size_bytes), build_s,
    )  # fmt: skip
