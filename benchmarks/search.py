"""How fast is one question, beside a baseline and beside what the memory allows?

    python -m benchmarks.search

A single query reads every vector once, so the limit is the rate at which one thread reads memory, measured here on
the same array. The baseline is what is usually done: cosine by scikit-learn, and an index built for every query.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from mess_core.embeddings import EmbeddingSet
from mess_core.encoders.mert import MERT_95M
from mess_core.search import NeighbourIndex

SIZES = (50, 200, 10_000)  # tracks


def best_s(action: Callable[[], object], rounds: int) -> float:
    """The best of several runs: what the machine can do when nothing else disturbs it."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    n_layers, dim = MERT_95M.n_layers, MERT_95M.embedding_dim
    print(f"{n_layers} layers x {dim} = {n_layers * dim} numbers per track; one query, k = 10; times in ms")
    print(" tracks     MB    query   GB/s  of limit  sklearn  rebuilt  equal")
    for n_tracks in SIZES:
        print(measure(n_tracks))


def measure(n_tracks: int) -> str:
    """One line of the table."""
    from sklearn.metrics.pairwise import cosine_similarity

    rng = np.random.default_rng(0)
    shape = (n_tracks, MERT_95M.n_layers, MERT_95M.embedding_dim)
    vectors = rng.standard_normal(shape, dtype=np.float32) + 3  # a large common part, as real embeddings have
    embeddings = EmbeddingSet(MERT_95M, tuple(f"{row:08d}" for row in range(n_tracks)), vectors, "benchmark")
    index = NeighbourIndex(embeddings)
    query, flat, rows = vectors[n_tracks // 2], vectors.reshape(-1), vectors.reshape(n_tracks, -1)
    index.percentile(0.0)  # made once per index, not once per query
    rounds = 300 if n_tracks < 1000 else 30
    with threadpool_limits(1):
        limit_s = best_s(lambda: flat.dot(flat), rounds)  # one thread, every number read once
        query_s = best_s(lambda: index.search(query), rounds)
        sklearn_s = best_s(lambda: cosine_similarity(rows, query.reshape(1, -1)), 3)
    rebuilt_s = best_s(lambda: NeighbourIndex(embeddings).search(query), 2)
    found = [neighbour.track_id for neighbour in index.search(query)]
    is_equal = found == brute_force(vectors, query, embeddings.track_ids)
    # What fits into the processor's cache is not limited by memory.
    share = f"{limit_s / query_s:8.0%}" if vectors.nbytes > 64e6 else "       –"
    rate = vectors.nbytes / query_s / 1e9
    return (
        f"{n_tracks:7d} {vectors.nbytes / 1e6:6.0f} {query_s * 1e3:8.3f} {rate:6.1f}  {share}"
        f" {sklearn_s * 1e3:8.1f} {rebuilt_s * 1e3:8.1f}  {is_equal}"
    )


def brute_force(vectors: np.ndarray, query: np.ndarray, track_ids: tuple[str, ...]) -> list[str]:
    """The definition in NumPy: the ten largest mean cosines of centred layers."""
    centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    wanted = query - centre
    wanted /= np.linalg.norm(wanted, axis=-1, keepdims=True)
    similarity = np.empty(len(vectors))
    for row, vector in enumerate(vectors):
        block = vector - centre
        similarity[row] = ((block * wanted).sum(-1) / np.linalg.norm(block, axis=-1)).mean()
    return [track_ids[row] for row in np.argsort(-similarity, kind="stable")[:10]]


if __name__ == "__main__":
    main()
