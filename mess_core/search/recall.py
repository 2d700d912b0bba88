"""Recall: what an approximate index misses, measured on the library it serves.

For each kind of weighting the share of the true ten nearest that a search returns, and how long it takes. Few weighted
parts are the hard case: the walk was laid out for all of them.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mess_core.errors import ArtefactMismatchError
from mess_core.search.neighbours import NeighbourIndex
from mess_core.storage.files import read_sealed, write_sealed
from mess_core.storage.kept import MADE_AGAIN, Kind, verify_document
from mess_core.storage.paths import file_name
from mess_core.storage.untrusted import build
from mess_core.workspace.scope import Scope

K = 10
N_QUERIES = 50
SEED = 0


@dataclass(frozen=True)
class Recall:
    """share : of the true ten nearest, found; median_s : of one query"""

    weighting: str
    share: float
    median_s: float


def measure_recall(index: NeighbourIndex, n_queries: int = N_QUERIES) -> list[Recall]:
    """Search by nothing in particular, by three parts and by each of the first three, from tracks of the library."""
    geometry = index.geometry
    n_parts = len(geometry.parts)
    weightings = {"nothing in particular": geometry.plain}
    if n_parts > 3:
        weightings["three aspects"] = np.where(np.arange(n_parts) < 3, 1 / 3, 0.0)
    for number in range(min(3, n_parts - 1)):
        weightings[geometry.parts[number]] = np.eye(n_parts)[number]
    chosen = np.random.default_rng(SEED).choice(len(index), min(n_queries, len(index)), replace=False)
    items = index.rows.rows(np.sort(chosen))
    found = []
    for name, weights in weightings.items():
        vectors = np.stack([geometry.query(item, weights)[0] for item in items])
        truth = index.rows.search_exactly(vectors, K)
        share = np.count_nonzero(vectors[0]) / vectors.shape[1]
        n_hits, times = 0, []
        for vector, wanted in zip(vectors, truth, strict=True):
            start = time.perf_counter()
            rows = index.rows.search(vector[None], K, share)[1][0]
            times.append(time.perf_counter() - start)
            n_hits += len(np.intersect1d(rows, wanted))
        found.append(Recall(name, n_hits / truth.size, float(np.median(times))))
    return found


def recall_path(scope: Scope, geometry: str) -> Path:
    """Where the figures of an approximate index lie."""
    return scope.workspace.paths.recall / f"{file_name(scope.library)}-{scope.info.folder}-{geometry}.json"


def keep_recall(scope: Scope, index: NeighbourIndex) -> None:
    """Measure what the index of a library misses, and keep that."""
    figures = {"kind": index.rows.kind, "recall": [asdict(figure) for figure in measure_recall(index)]}
    write_sealed(recall_path(scope, index.geometry.name), figures)


def read_recall(scope: Scope, geometry: str) -> list[Recall]:
    """What the approximate index of a library misses; empty if it is exact or was not measured yet."""
    try:
        return [build(Recall, figure) for figure in read_sealed(recall_path(scope, geometry))["recall"]]
    except (OSError, KeyError, TypeError, ValueError, ArtefactMismatchError):
        return []


KEPT = Kind("cache", lambda paths: paths.recall.glob("*.json"), lambda path: verify_document(path, MADE_AGAIN))
