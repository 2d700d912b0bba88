"""Search: which tracks of a library are nearest to a query, and how near is that.

The `layer` geometry
--------------------
Embeddings of one layer share a large common part (raw cosines of unrelated music are often above .9), so each layer is
centred on the library's mean before it is made a unit vector. The blocks of all layers, one after the other, are the
item; the query is the same with the layer weights on its blocks. Their inner product is then exactly the weighted mean
of the layers' cosines, in [-1, 1], for any weights and without rebuilding anything:

    s_w(q, x) = sum_l w_l cos(q_l, x_l)

Percentile
----------
How near is near? A similarity is placed among those of random pairs of the library itself: 100 = closer than all.

Source: Mu & Viswanath 2018 for centring; FAISS (Douze et al. 2024) for the exact inner-product index.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mess_core.embeddings import EmbeddingSet
from mess_core.encoders.base import EncoderInfo
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError

if TYPE_CHECKING:
    import faiss

MAX_PAIRS = 100_000  # pairs that stand for the library: the percentile is exact to 0.3 points
PERCENTILE_SEED = 0
SHARD_ABOVE_BYTES = 64 * 1024**2  # a single FAISS query uses one thread; above this a second one halves its time


@dataclass(frozen=True)
class Neighbour:
    """One search result. `percentile`: share of the library's pairs that are less similar, in percent."""

    rank: int
    track_id: str
    similarity: float
    percentile: float | None


class NeighbourIndex:
    """One library by one encoder, ready to be asked; never changed after it was built.

    Parameters
    ----------
    embeddings : EmbeddingSet
        At least one track.
    """

    def __init__(self, embeddings: EmbeddingSet) -> None:
        import faiss

        if not embeddings.track_ids:
            raise DataMissingError(
                f"No track of this library has an embedding by {embeddings.info.id} yet.",
                f"python -m mess_core extract --encoder {embeddings.info.id}",
            )
        self.info: EncoderInfo = embeddings.info
        self.track_ids = embeddings.track_ids
        self.content = embeddings.content
        self.centre = embeddings.vectors.mean(axis=0, dtype=np.float64).astype(np.float32)  # (n_layers, dim)
        faiss.omp_set_num_threads(1)  # of no use to a single query, and its waiting threads slow the shards down
        n_shards = os.cpu_count() or 1 if embeddings.vectors.nbytes > SHARD_ABOVE_BYTES else 1
        self._shard_starts = np.linspace(0, len(self), n_shards, endpoint=False, dtype=int)
        self._shards = [
            self._shard(embeddings.vectors[start:stop])
            for start, stop in zip(self._shard_starts, [*self._shard_starts[1:], len(self)], strict=True)
        ]
        self._faiss: Any = self._shards[0]
        if n_shards > 1:
            self._faiss = faiss.IndexShards(self.centre.size, True, True)  # type: ignore[call-arg]  # one thread each, rows numbered through
            for shard in self._shards:
                self._faiss.add_shard(shard)

    def __len__(self) -> int:
        return len(self.track_ids)

    def search(
        self, query: np.ndarray, k: int = 10, *, weights: np.ndarray | None = None, exclude: Collection[str] = ()
    ) -> list[Neighbour]:
        """The k nearest tracks, the nearest first; equal similarities in order of track id.

        Parameters
        ----------
        query : ndarray, shape (n_layers, embedding_dim)
            A track embedding by the same encoder.
        k : int
            Above the library's size all tracks are returned.
        weights : ndarray, shape (n_layers,), or None
            Layer weights, not negative; all layers alike by default.
        exclude : collection of str
            Track ids that must not come back: the query itself.
        """
        if k < 1:
            raise InputError(f"k is {k}, expected at least 1 neighbour.")
        vector = self._query(query, self._weights(weights))
        # Ties at the border are only known once something below them was seen, so look until there is.
        n_wanted = min(len(self), k + len(exclude) + 1)
        while True:
            similarities, rows = self._faiss.search(vector[None], n_wanted)
            found = [
                (float(similarity), self.track_ids[row])
                for similarity, row in zip(similarities[0], rows[0], strict=True)
                if row >= 0 and self.track_ids[row] not in exclude
            ]
            is_settled = len(found) > k and found[k][0] < found[k - 1][0]
            if is_settled or n_wanted == len(self):
                break
            n_wanted = min(len(self), 2 * n_wanted)
        found.sort(key=lambda pair: (-pair[0], pair[1]))
        return [
            Neighbour(rank, track_id, similarity, self.percentile(similarity) if weights is None else None)
            for rank, (similarity, track_id) in enumerate(found[:k], start=1)
        ]

    def percentile(self, similarity: float) -> float | None:
        """Share of the library's pairs with a lower similarity (ties count half), in percent; None without a pair."""
        pairs = self.pair_similarities
        if not len(pairs):
            return None
        below, up_to = np.searchsorted(pairs, similarity, "left"), np.searchsorted(pairs, similarity, "right")
        return float(100.0 * (below + up_to) / 2 / len(pairs))

    @functools.cached_property
    def pair_similarities(self) -> np.ndarray:
        """Sorted similarities, all layers alike, of all pairs of the library, or of 100 000 seeded ones."""
        n = len(self)
        if n * (n - 1) // 2 <= MAX_PAIRS:
            items = self._items(np.arange(n))
            pairs = (items @ items.T)[np.triu_indices(n, 1)]
        else:
            rng = np.random.default_rng(PERCENTILE_SEED)
            first = rng.integers(0, n, MAX_PAIRS)
            second = (first + rng.integers(1, n, MAX_PAIRS)) % n  # never the same row twice
            pairs = np.concatenate(
                [
                    np.einsum("ij,ij->i", self._items(first[part]), self._items(second[part]))
                    for part in np.array_split(np.arange(MAX_PAIRS), 200)  # bounded memory
                ]
            )
        pairs = np.sort(pairs / self.info.n_layers)
        pairs.setflags(write=False)
        return pairs

    def _shard(self, vectors: np.ndarray) -> faiss.IndexFlatIP:
        import faiss

        shard = faiss.IndexFlatIP(self.centre.size)
        for start in range(0, len(vectors), 1024):  # in parts: a second copy of the library would be large
            part = vectors[start : start + 1024]
            shard.add(self._blocks(part).reshape(len(part), -1))
        return shard

    def _items(self, rows: np.ndarray) -> np.ndarray:
        """Indexed vectors (n, n_layers * dim) of these rows."""
        items = np.empty((len(rows), self.centre.size), np.float32)
        shard_of = np.searchsorted(self._shard_starts, rows, side="right") - 1
        for number, shard in enumerate(self._shards):
            (places,) = np.nonzero(shard_of == number)
            if len(places):
                items[places] = shard.reconstruct_batch(rows[places] - self._shard_starts[number])
        return items

    def _weights(self, weights: np.ndarray | None) -> np.ndarray:
        n_layers = self.info.n_layers
        if weights is None:
            return np.full(n_layers, 1.0 / n_layers, np.float32)
        weights = np.asarray(weights, dtype=np.float32)
        if weights.shape != (n_layers,):
            raise InputError(f"{self.info.id} has {n_layers} layers, got weights of shape {weights.shape}.")
        if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() == 0:
            raise InputError(f"Layer weights must be finite, not negative and not all zero, got {weights.tolist()}.")
        return weights / weights.sum()

    def _query(self, query: np.ndarray, weights: np.ndarray) -> np.ndarray:
        if query.shape != self.centre.shape:
            raise ArtefactMismatchError(
                f"The query has shape {query.shape}, this index holds {self.centre.shape} by {self.info.id}.",
                "Extract the query with the same encoder.",
            )
        blocks: np.ndarray = self._blocks(query[None])[0] * weights[:, None]
        return blocks.ravel()

    def _blocks(self, vectors: np.ndarray) -> np.ndarray:
        """Centred layers as unit vectors (n, n_layers, dim); a layer without direction is zero: similar to nothing."""
        centred = vectors - self.centre
        norms = np.linalg.norm(centred, axis=-1, keepdims=True)
        # A library of one track, or of copies, has nothing but rounding left after centring.
        has_direction = norms > 1e-6 * np.linalg.norm(self.centre, axis=-1)[:, None]
        unit: np.ndarray = np.divide(centred, norms, out=np.zeros_like(centred), where=has_direction)
        return unit
