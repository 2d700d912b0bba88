"""Recall: what an approximate index misses, measured on the library it serves.

For each kind of weighting the share of the true ten nearest that a search returns, and how long it takes. Few weighted
parts are the hard case: the walk was laid out for all of them. The true ones are found by looking at all rows once, for
all weightings together. A recording that asks is not among its own nearest: everybody finds that.

What is kept is kept with the key of what the index was built of, and measured again when that is another.
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
SEED, N_DRAWS = 0, 1000


@dataclass(frozen=True)
class Recall:
    """share : of the true ten nearest, found; low, high : 95 % of samples like this one; median_s : of one query"""

    weighting: str
    share: float
    median_s: float
    low: float
    high: float
    n_asked: int

    @property
    def words(self) -> str:
        """In a sentence.

        Examples
        --------
        >>> Recall("nothing in particular", 0.998, 0.05, 0.994, 1.0, 50).words
        'Of the ten nearest it finds 99.8 % (99.4 to 100.0), as 50 recordings of this library say.'
        """
        return (
            f"Of the ten nearest it finds {100 * self.share:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f}),"
            f" as {self.n_asked} recordings of this library say."
        )


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
    chosen = np.sort(chosen)
    items = index.rows.rows(chosen)
    vectors = [np.stack([geometry.query(item, weights)[0] for item in items]) for weights in weightings.values()]
    truth = index.rows.search_exactly(np.concatenate(vectors), K + 1).reshape(len(weightings), len(chosen), -1)
    found = []
    for name, asked, true_rows in zip(weightings, vectors, truth, strict=True):
        share = np.count_nonzero(asked[0]) / asked.shape[1]
        shares, times = [], []
        for own, vector, true_of_one in zip(chosen, asked, true_rows, strict=True):
            start = time.perf_counter()
            rows = index.rows.search(vector[None], K + 1, share)[1][0]
            times.append(time.perf_counter() - start)
            wanted, rows = (each[each != own][:K] for each in (true_of_one, rows))
            shares.append(len(np.intersect1d(rows, wanted)) / max(len(wanted), 1))
        draws = np.random.default_rng(SEED).integers(0, len(shares), (N_DRAWS, len(shares)))
        low, high = np.percentile(np.array(shares)[draws].mean(axis=1), [2.5, 97.5])
        found.append(
            Recall(name, float(np.mean(shares)), float(np.median(times)), float(low), float(high), len(shares))
        )
    return found


def recall_path(scope: Scope, geometry: str) -> Path:
    """Where the figures of an approximate index lie."""
    return scope.workspace.paths.recall / f"{file_name(scope.library)}-{scope.info.folder}-{geometry}.json"


def keep_recall(scope: Scope, index: NeighbourIndex, key: str) -> list[Recall]:
    """What the index of a library misses: as it was measured of an index with this key, or now, and then kept."""
    document = _document(scope, index.geometry.name)
    if (document.get("key"), document.get("kind")) == (key, index.rows.kind) and (known := _figures(document)):
        return known
    figures = measure_recall(index)
    write_sealed(
        recall_path(scope, index.geometry.name),
        {"kind": index.rows.kind, "key": key, "recall": [asdict(figure) for figure in figures]},
    )
    return figures


def read_recall(scope: Scope, geometry: str) -> list[Recall]:
    """What the approximate index of a library misses; empty if it is exact or was not measured yet."""
    return _figures(_document(scope, geometry))


def _document(scope: Scope, geometry: str) -> dict[str, object]:
    try:
        return read_sealed(recall_path(scope, geometry))
    except (OSError, ArtefactMismatchError):
        return {}


def _figures(document: dict[str, object]) -> list[Recall]:
    figures = document.get("recall")
    try:
        return [build(Recall, figure) for figure in figures] if isinstance(figures, list) else []
    except (KeyError, TypeError, ValueError, ArtefactMismatchError):
        return []


KEPT = Kind("cache", lambda paths: paths.recall.glob("*.json"), lambda path: verify_document(path, MADE_AGAIN))
