"""Geometries: two ways of saying how alike two recordings are, each an exact inner product.

A geometry turns an embedding into an *item*, a row of numbers, and a query with weights into a vector whose inner
product with an item, plus a constant, is the similarity. Weights live in the query alone, so changing them rebuilds
nothing. The similarity is a weighted mean of the similarities in its *parts*: what a listener can give weight to.

`LayerGeometry`: similarity as the encoder sees it, a cosine in [-1, 1]
    Embeddings of one layer share a large common part (raw cosines of unrelated music are often above .9), so each layer
    is centred on the library's mean before it is made a unit vector. The item is all layers, one after the other, and
    the sizes they had before; those have no weight in a query.
    A part is a set of layers; one part is all of them.

        s_w(q, x) = sum_a w_a mean over the layers l of a of cos(q_l, x_l)

`DirectionGeometry`: similarity in named respects, 0 for the same, -1 for half of all pairs, without lower end
    One coordinate per target (`probing.directions`), of unit spread over the library. A part is an aspect, with the
    coordinates z_a of its targets, and tau_a² the median over pairs of the library of |z_a(x) - z_a(y)|².

        s_w(q, x) = sum_a w_a s_a,   s_a = -|z_a(q) - z_a(x)|² / tau_a²

    item [z_a / tau_a, |z_a|² / tau_a²], query [2 w_a z_a(q) / tau_a, -w_a], constant -sum_a w_a |z_a(q)|² / tau_a²

"Not Y" takes a target's share out of everything: every number of a layer, or every coordinate, becomes what a straight
line on Y's coordinates leaves of it, so that nothing linear in them remains. (Removing Y's ridge directions from the
layers instead hardly changes who is near: on the demo library, neighbours stay alike in brightness at .63 of chance
against .59 before, where taking out the straight line gives .87.)

Source
------
Mu & Viswanath (2018) for centring. Belrose et al. (2023) for linear erasure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions

MAX_PAIRS = 100_000  # pairs that stand for a library: a percentile is exact to 0.3 points
PAIR_SEED = 0
ALL_LAYERS = "all layers"  # the part of `LayerGeometry` that no aspect was asked for
SIZE_UNIT = 2.0**-10  # of sizes in an item: a graph is laid out by products of items, where they must not matter
LEAST_SPREAD = 1e-4  # of a coordinate, the discovery library's being 1: less is rounding in single precision
ROWS_PER_BLOCK = 1024
LEAST_LEFT = 1e-3  # share of an aspect's variance that "not Y" must leave, or nothing meaningful is left


class Geometry(Protocol):
    """What search needs to know of a geometry."""

    name: str
    parts: tuple[str, ...]
    plain: np.ndarray  # weights of the parts, (n_parts,), when nothing in particular is asked for
    n_columns: int

    def items(self, vectors: np.ndarray) -> np.ndarray:
        """Embeddings (n, n_layers, dim) -> items (n, n_columns) float32."""

    def query(self, item: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """An item and weights (n_parts,) -> the query (n_columns,) float32 and the constant to add."""

    def similarities(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Similarity in each part, (n, n_parts) float64, of items row by row; `one` may be a single row."""

    def distances(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Squared distance in everything, (n,), about 1 for a typical pair: for near-duplicates, and for strangers."""


class LayerGeometry:
    """Centred cosine, layer by layer.

    Parameters
    ----------
    vectors : ndarray, shape (n_tracks, n_layers, dim)
        The library: its mean is what is removed.
    evidence : mapping of aspect to AspectEvidence
        Whose layers serve which aspect; without it all layers weigh the same.
    directions, avoid : Directions and targets
        What "not Y" removes.
    """

    name = "layer"

    def __init__(
        self,
        vectors: np.ndarray,
        evidence: Mapping[str, AspectEvidence] | None = None,
        directions: Directions | None = None,
        avoid: Sequence[str] = (),
    ) -> None:
        self.centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)  # (n_layers, dim)
        self.n_columns = self.centre.size + len(self.centre)
        n_layers = len(self.centre)
        layers_of = {aspect: found.layers for aspect, found in (evidence or {}).items() if found.layers}
        self.parts = (*layers_of, ALL_LAYERS)
        self.shares = np.full((len(self.parts), n_layers), 1.0 / n_layers)  # of each layer in each part
        for number, layers in enumerate(layers_of.values()):
            self.shares[number] = 0.0
            self.shares[number, list(layers)] = 1.0 / len(layers)
        self.plain = np.array([float(part == ALL_LAYERS) for part in self.parts])
        squares = np.einsum("nld,nld->l", vectors, vectors, dtype=np.float64) / len(vectors)
        spread = np.sqrt((squares - (self.centre.astype(np.float64) ** 2).sum(axis=1)).clip(0.0))
        # A library of one track, or of copies, leaves nothing but rounding.
        self._least = 1e-6 * np.linalg.norm(self.centre, axis=1)  # (n_layers,)
        self._spread = np.where(spread > self._least, spread, 1.0).astype(np.float32)  # typical size of a layer
        self._eraser: Eraser | None = None
        if avoid:
            if directions is None:
                raise InputError(f"Nothing is known of {', '.join(avoid)} here, so it cannot be left out.")
            self._eraser = Eraser(directions, avoid, vectors)
            self._told = self._eraser.fit(vectors.reshape(len(vectors), -1))

    def items(self, vectors: np.ndarray) -> np.ndarray:
        """A layer without direction is zero: similar to nothing."""
        _check_shape(vectors, self.centre)
        centred = vectors - self.centre
        if self._eraser is not None:
            centred -= (self._eraser.coordinates(vectors) @ self._told).reshape(centred.shape).astype(np.float32)
        norms = np.linalg.norm(centred, axis=-1, keepdims=True)
        unit = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > self._least[:, None])
        return np.concatenate([unit.reshape(len(vectors), -1), SIZE_UNIT * norms[..., 0] / self._spread], axis=1)

    def query(self, item: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        vector = np.zeros(self.n_columns, np.float32)
        blocks = item[: self.centre.size].reshape(self.centre.shape) * (weights @ self.shares)[:, None]
        vector[: self.centre.size] = blocks.ravel()
        return vector, 0.0

    def similarities(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        parts: np.ndarray = self._cosines(one, other) @ self.shares.T
        return parts

    def _cosines(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Of each layer, (n, n_layers) float64."""
        n = self.centre.size
        one, other = (
            items.reshape(-1, items.shape[-1])[:, :n].reshape(-1, *self.centre.shape) for items in (one, other)
        )
        return np.vecdot(one, other).astype(np.float64)

    def distances(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Half the mean over layers of |q_l - x_l|² over the library's mean square; sizes count, unlike in a cosine."""
        size, other_size = (
            items.reshape(-1, items.shape[-1])[:, self.centre.size :] / SIZE_UNIT for items in (one, other)
        )
        squares = size**2 + other_size**2 - 2 * size * other_size * self._cosines(one, other)
        distances: np.ndarray = squares.mean(axis=1) / 2
        return distances


class DirectionGeometry:
    """Distance along named directions.

    Parameters
    ----------
    directions : Directions
    evidence : mapping of aspect to AspectEvidence
        By which targets each aspect is searched. Aspects without any, or of which "not Y" leaves nothing, are no parts.
    vectors : ndarray, shape (n_tracks, n_layers, dim)
        The library: its spread is the unit.
    avoid : sequence of str
        Targets whose share is taken out.
    """

    name = "direction"

    def __init__(
        self,
        directions: Directions,
        evidence: Mapping[str, AspectEvidence],
        vectors: np.ndarray,
        avoid: Sequence[str] = (),
    ) -> None:
        searched = {aspect: found.searched for aspect, found in evidence.items() if found.searched}
        self.targets = tuple(dict.fromkeys(target for targets in searched.values() for target in targets))
        self._project = directions.projection(self.targets)
        raw = self._project(vectors)
        self._mean, self._scale = raw.mean(axis=0), _or_one(raw.std(axis=0), LEAST_SPREAD)
        coordinates = (raw - self._mean) / self._scale
        self._eraser = Eraser(directions, avoid, vectors)
        self._told = self._eraser.fit(coordinates)
        coordinates -= self._eraser.coordinates(vectors) @ self._told

        pairs = library_pairs(len(vectors))
        columns: dict[str, list[int]] = {}
        self._taus: dict[str, float] = {}
        for aspect, targets in searched.items():
            own = [self.targets.index(target) for target in targets]
            if avoid and coordinates[:, own].var(axis=0).sum() < LEAST_LEFT * len(own):
                continue
            distances = ((coordinates[pairs[0]][:, own] - coordinates[pairs[1]][:, own]) ** 2).sum(axis=1)
            columns[aspect] = own
            self._taus[aspect] = (
                float(np.sqrt(_or_one(np.median(distances), LEAST_SPREAD**2))) if len(distances) else 1.0
            )
        self.parts = tuple(columns)
        is_plain = np.array([evidence[part].has_evidence for part in self.parts], float)
        self.plain = (is_plain if is_plain.any() else np.ones(len(self.parts))) / max(is_plain.sum() or len(columns), 1)
        self._columns = columns
        self._widths = np.array([len(own) + 1 for own in columns.values()], int)
        self._starts = np.concatenate([[0], np.cumsum(self._widths)]).astype(int)
        self.n_columns = int(self._starts[-1])
        self._is_square = np.zeros(self.n_columns, bool)  # the last column of each aspect
        self._is_square[self._starts[1:] - 1] = True
        part_of = np.repeat(np.arange(len(columns)), self._widths)
        self._sums = -np.eye(len(columns))[part_of]  # (n_columns, n_parts): adds up an aspect's squares, signed
        self._sums[self._is_square] = 0.0

    def items(self, vectors: np.ndarray) -> np.ndarray:
        coordinates = (self._project(vectors) - self._mean) / self._scale
        coordinates -= self._eraser.coordinates(vectors) @ self._told
        items = np.empty((len(vectors), self.n_columns), np.float32)
        for start, (aspect, own) in zip(self._starts, self._columns.items(), strict=False):
            block = coordinates[:, own] / self._taus[aspect]
            items[:, start : start + len(own)] = block
            items[:, start + len(own)] = (block**2).sum(axis=1)
        return items

    def query(self, item: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        of_column = np.repeat(weights, self._widths)
        vector = np.where(self._is_square, -of_column, 2 * of_column * item).astype(np.float32)
        return vector, float(-weights @ item[self._is_square])

    def similarities(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        squares = np.subtract(one, other, dtype=np.float64) ** 2
        parts: np.ndarray = np.atleast_2d(squares) @ self._sums
        return parts

    def coordinates(self, items: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Items (n, n_columns) as points (n, n_targets) float64 whose squared distance is minus the similarity."""
        places = ~self._is_square
        points: np.ndarray = items[:, places] * np.sqrt(np.repeat(weights, self._widths)[places])
        return points

    def coordinate(self, items: np.ndarray, aspect: str) -> tuple[str, np.ndarray]:
        """The target an aspect is mainly searched by, and where items (n, n_columns) lie on it, in SDs: (n,)."""
        place = self.parts.index(aspect)
        values: np.ndarray = items[:, self._starts[place]] * self._taus[aspect]
        return self.targets[self._columns[aspect][0]], values

    def distances(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Mean over aspects of the squared distance."""
        distances: np.ndarray = -self.similarities(one, other).mean(axis=1)
        return distances


class Eraser:
    """What a straight line on the coordinates of some targets tells of other numbers, fitted on a library."""

    def __init__(self, directions: Directions, targets: Sequence[str], vectors: np.ndarray) -> None:
        self._project = directions.projection(targets)
        library = self._project(vectors)
        self._mean = library.mean(axis=0)
        self._inverse = np.linalg.pinv(library - self._mean, rcond=1e-9)

    def coordinates(self, vectors: np.ndarray) -> np.ndarray:
        """(n, n_targets), centred on the library."""
        return self._project(vectors) - self._mean

    def fit(self, numbers: np.ndarray) -> np.ndarray:
        """Slopes (n_targets, n_numbers) of the library's numbers (n, n_numbers) on its coordinates."""
        slopes = np.zeros((len(self._inverse), numbers.shape[1]))
        for start in range(0, len(numbers), ROWS_PER_BLOCK):  # in double precision, but never all at once
            part = slice(start, start + ROWS_PER_BLOCK)
            slopes += self._inverse[:, part] @ numbers[part].astype(np.float64)
        return slopes


def library_pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of all pairs of a library, or of 100 000 seeded ones; never a row with itself."""
    if n * (n - 1) // 2 <= MAX_PAIRS:
        first, second = np.triu_indices(n, 1)
        return first, second
    rng = np.random.default_rng(PAIR_SEED)
    first = rng.integers(0, n, MAX_PAIRS)
    return first, (first + rng.integers(1, n, MAX_PAIRS)) % n


def _or_one(values: np.ndarray, least: float) -> np.ndarray:
    return np.where(np.asarray(values) > least, values, 1.0)


def _check_shape(vectors: np.ndarray, centre: np.ndarray) -> None:
    if vectors.shape[1:] != centre.shape:
        raise ArtefactMismatchError(
            f"The query has shape {vectors.shape[1:]}, this index holds {centre.shape}.",
            "Extract the query with the same encoder.",
        )
