"""Geometries: three ways of saying how alike two recordings are, each an exact inner product.

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

`MeasuredGeometry`: the same of what was measured of the recordings, without any encoder
    Its vectors are no embeddings but values (`search.measured`): one layer with a number per target, in standard
    deviations of the library; its directions are the axes.

"Not Y" takes a target's share out of everything: every number of a layer, or every coordinate, becomes what a straight
line on Y's coordinates leaves of it, so that nothing linear in them remains. (Removing Y's ridge directions from the
layers instead hardly changes who is near: on the demo library, neighbours stay alike in brightness at .63 of chance
against .59 before, where taking out the straight line gives .87.)

A geometry is fitted on a library (`fit`) and holds plain arrays that never change.

Source
------
Mu & Viswanath (2018) for centring. Belrose et al. (2023) for linear erasure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple, Protocol, Self

import numpy as np

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.widths import without_padding
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions, Projection
from mess_core.storage.far import FarRows, Rows, parts_of

MAX_PAIRS = 100_000  # pairs that stand for a library: a percentile is exact to 0.3 points
PAIR_SEED = 0
ALL_LAYERS = "all layers"  # the part of `LayerGeometry` that no aspect was asked for
SIZE_UNIT = 2.0**-10  # of sizes in an item: a graph is laid out by products of items, where they must not matter
LEAST_SPREAD = 1e-4  # of a coordinate, the discovery library's being 1: less is rounding in single precision
ROWS_PER_BLOCK = 1024
LEAST_LEFT = 1e-3  # share of an aspect's variance that "not Y" must leave, or nothing meaningful is left


class Lookup(NamedTuple):
    """One way of looking up rows for a query.

    vector, constant : larger products with items, and the constant, are nearer; of several vectors, (n, n_columns), the
        larger product counts
    bound : what a row can at most have in total by it, of what its product and constant make
    """

    vector: np.ndarray
    constant: float
    bound: Callable[[float], float]


class Geometry(Protocol):
    """What search needs to know of a geometry.

    name : as in `Question.geometry`
    words : what its similarity is, as a page says it
    has_directions : its parts are directions, along which `coordinate` places items
    compares_values : its vectors are measured values, not embeddings: that two are equal makes no copies of them
    is_linear : its similarity is the product of query and item, and the weighted sum of those in its parts
    supports_avoid : something can be left out of it
    has_hearings : its parts are hearings, in one or several of which a neighbour is one
    any_key : what is transposed is the same to it, and `semitones` says by how much it is
    works_on_segments : segments can be compared in it; what does not gives way to `MainLayerGeometry`
    most_segments : how many are kept in memory; None for any number
    parts : what a listener can give weight to, n_parts of them
    plain : (n_parts,) float64, the weights when nothing in particular is asked for
    n_columns : length of an item
    compared : the columns that a query looks at, in blocks that have one weight each, such as layers
    """

    name: ClassVar[str]
    words: ClassVar[str]
    has_directions: ClassVar[bool]
    compares_values: ClassVar[bool]
    is_linear: ClassVar[bool]
    supports_avoid: ClassVar[bool]
    has_hearings: ClassVar[bool]
    any_key: ClassVar[bool]
    works_on_segments: ClassVar[bool]
    most_segments: ClassVar[int | None]

    @property
    def compared(self) -> tuple[slice, ...]: ...

    @property
    def parts(self) -> tuple[str, ...]: ...

    @property
    def plain(self) -> np.ndarray: ...

    @property
    def n_columns(self) -> int: ...

    @classmethod
    def fit(
        cls,
        vectors: Rows,
        evidence: Mapping[str, AspectEvidence] | None = None,
        directions: Directions | None = None,
        avoid: Sequence[str] = (),
        info: EncoderInfo | None = None,
    ) -> Self:
        """The geometry of a library.

        Parameters
        ----------
        vectors : ndarray or FarRows, shape (n_tracks, n_layers, dim), float32
            The library, or what was measured of it: whatever the geometry compares.
        evidence : mapping of aspect to AspectEvidence, or None
            By which layers and targets each aspect is searched.
        directions : Directions or None
            Those that were discovered.
        avoid : sequence of str
            Targets whose share is taken out.
        info : EncoderInfo or None
            Of whose layers they are; None stands for layers of equal width, of which the middle one is the main one.

        Raises
        ------
        DataMissingError
            If it has directions, and none are given.
        InputError
            If what is to be avoided cannot be taken out.
        """

    def items(self, vectors: np.ndarray) -> np.ndarray:
        """Embeddings (n, n_layers, dim) -> items (n, n_columns) float32."""

    def query(self, item: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """An item and weights (n_parts,) -> the query (n_columns,) float32 and the constant to add."""

    def similarities(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Similarity in each part, (n, n_parts) float64, of items row by row; `one` may be a single row."""

    def lookups(self, item: np.ndarray, weights: np.ndarray) -> list[Lookup]:
        """By which the nearest rows are found: the k nearest are among the k nearest of one of these."""

    def total(self, parts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Similarities in each part (…, n_parts) -> in total, (…)."""

    def matrix(
        self, one: np.ndarray, other: np.ndarray, weights: np.ndarray, recordings: np.ndarray | None = None
    ) -> np.ndarray:
        """Similarities of all segments of one recording with all of others, (n_one, n_other) float64.

        `recordings` (n_other,) says of which each is, 0, 1, … in ascending order; None: all of one.
        """

    def semitones(self, one: np.ndarray, other: np.ndarray, recordings: np.ndarray) -> np.ndarray:
        """By how many semitones each recording is taken to sound higher than one, -5 to 6: (n_recordings,) int.

        Of segments, as `matrix`, or of a single item each, that of the whole recording.
        """

    def distances(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Squared distance in everything, (n,), about 1 for a typical pair: for near-duplicates, and for strangers."""

    def coordinate(self, items: np.ndarray, aspect: str) -> tuple[str, np.ndarray]:
        """The target an aspect is mainly searched by, and where items (n, n_columns) lie on it, in SDs: (n,).

        Raises
        ------
        InputError
            If there is no direction for the aspect.
        """


class InOneKey:
    """What geometries have in common that compare two segments the same way whatever else the recordings hold."""

    any_key: ClassVar[bool] = False

    def matrix(
        self: Geometry, one: np.ndarray, other: np.ndarray, weights: np.ndarray, recordings: np.ndarray | None = None
    ) -> np.ndarray:
        """Products of queries and items."""
        asked = [self.query(item, weights) for item in one]
        vectors = np.stack([vector for vector, _ in asked]).astype(np.float64)
        constants = np.array([[constant] for _, constant in asked])
        similarities: np.ndarray = vectors @ other.T.astype(np.float64) + constants
        return similarities

    def semitones(self, one: np.ndarray, other: np.ndarray, recordings: np.ndarray) -> np.ndarray:
        """Nothing is taken to be transposed."""
        return np.zeros(recordings[-1] + 1, int)


@dataclass(frozen=True, eq=False)
class LayerGeometry(InOneKey):
    """Centred cosine, layer by layer.

    centre : (n_layers, dim) float32, the library's mean, which is removed
    widths : how many numbers each layer has; an item has so many of each
    spread : (n_layers,) float32, how long the library's centred vectors typically are
    parts : the aspects whose layers are known, and all layers
    shares : (n_parts, n_layers) float64, of each layer in each part
    plain : (n_parts,) float64
    eraser : what takes "not Y" out of every number of the layers; None if nothing is avoided
    """

    centre: np.ndarray
    widths: tuple[int, ...]
    spread: np.ndarray
    parts: tuple[str, ...]
    shares: np.ndarray
    plain: np.ndarray
    eraser: Eraser | None

    name: ClassVar[str] = "layer"
    words: ClassVar[str] = (
        "the cosine between embeddings, averaged over layers, without the common part of the library: 1 is the same, "
        "0 is unrelated"
    )
    has_directions: ClassVar[bool] = False
    compares_values: ClassVar[bool] = False
    is_linear: ClassVar[bool] = True
    supports_avoid: ClassVar[bool] = True
    has_hearings: ClassVar[bool] = False
    works_on_segments: ClassVar[bool] = False
    most_segments: ClassVar[int | None] = None

    @classmethod
    def fit(
        cls,
        vectors: Rows,
        evidence: Mapping[str, AspectEvidence] | None = None,
        directions: Directions | None = None,
        avoid: Sequence[str] = (),
        info: EncoderInfo | None = None,
    ) -> Self:
        """Without evidence all layers weigh the same; directions say what "not Y" removes."""
        centre = cls.common_part(vectors)
        n_layers, dim = centre.shape
        layers_of = {aspect: found.layers for aspect, found in (evidence or {}).items() if found.layers}
        parts = (*layers_of, ALL_LAYERS)
        shares = np.full((len(parts), n_layers), 1.0 / n_layers)
        for number, layers in enumerate(layers_of.values()):
            shares[number] = 0.0
            shares[number, list(layers)] = 1.0 / len(layers)
        squares = _sum_of(vectors, lambda part: np.einsum("nld,nld->l", part, part, dtype=np.float64)) / len(vectors)
        spread = np.sqrt((squares - (centre.astype(np.float64) ** 2).sum(axis=1)).clip(0.0))
        if avoid and directions is None:
            raise InputError(f"Nothing is known of {', '.join(avoid)} here, so it cannot be left out.")
        eraser = None
        if avoid and directions is not None:
            eraser = Eraser.fit(directions, avoid, vectors, vectors)
        return cls(
            centre=_fixed(centre),
            widths=(info.widths if info else ()) or (dim,) * n_layers,
            spread=_fixed(np.where(spread > _rounding(centre), spread, 1.0).astype(np.float32)),
            parts=parts,
            shares=_fixed(shares),
            plain=_fixed(np.array([float(part == ALL_LAYERS) for part in parts])),
            eraser=eraser,
        )

    @classmethod
    def common_part(cls, vectors: Rows) -> np.ndarray:
        """What is removed from every recording of a library, (n_layers, dim) float32: its mean."""
        if isinstance(vectors, FarRows):
            total = _sum_of(vectors, lambda part: part.sum(axis=0, dtype=np.float64))
            return (total / len(vectors)).astype(np.float32)
        mean: np.ndarray = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    @property
    def compared(self) -> tuple[slice, ...]:
        """Its layers."""
        return self._layers

    @cached_property
    def n_columns(self) -> int:
        return self.n_numbers + len(self.centre)

    @cached_property
    def n_numbers(self) -> int:
        """Columns of an item that hold its layers; those of their sizes follow."""
        return sum(self.widths)

    @cached_property
    def _layers(self) -> tuple[slice, ...]:
        """The columns of each layer."""
        ends = np.cumsum(self.widths).tolist()
        return tuple(slice(end - width, end) for end, width in zip(ends, self.widths, strict=True))

    @cached_property
    def _least(self) -> np.ndarray:
        """Lengths (n_layers,) up to which a vector is without direction."""
        return _rounding(self.centre)

    def items(self, vectors: np.ndarray) -> np.ndarray:
        """A layer without direction is zero: similar to nothing."""
        _check_shape(vectors, self.centre)
        centred = vectors - self.centre
        if self.eraser is not None:
            centred -= self.eraser.told(vectors).reshape(centred.shape).astype(np.float32)
        norms = np.linalg.norm(centred, axis=-1, keepdims=True)
        unit = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > self._least[:, None])
        sizes = SIZE_UNIT * norms[..., 0] / self.spread
        return np.concatenate([without_padding(unit, self.widths), sizes], axis=1)

    def query(self, item: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        vector = np.zeros(self.n_columns, np.float32)
        vector[: self.n_numbers] = item[: self.n_numbers] * np.repeat(weights @ self.shares, self.widths)
        return vector, 0.0

    def lookups(self, item: np.ndarray, weights: np.ndarray) -> list[Lookup]:
        return [Lookup(*self.query(item, weights), as_it_is)]

    def total(self, parts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        together: np.ndarray = parts @ weights
        return together

    def similarities(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        parts: np.ndarray = self.layer_cosines(one, other) @ self.shares.T
        return parts

    def layer_cosines(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Of each layer, (n, n_layers) float64."""
        cosines = [np.vecdot(one[..., layer], other[..., layer]) for layer in self._layers]
        return np.atleast_2d(np.stack(cosines, axis=-1).astype(np.float64))

    def distances(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Half the mean over layers of |q_l - x_l|² over the library's mean square; sizes count, unlike in a cosine."""
        size, other_size = (
            items.reshape(-1, items.shape[-1])[:, self.n_numbers :] / SIZE_UNIT for items in (one, other)
        )
        squares = size**2 + other_size**2 - 2 * size * other_size * self.layer_cosines(one, other)
        distances: np.ndarray = squares.mean(axis=1) / 2
        return distances

    def coordinate(self, items: np.ndarray, aspect: str) -> tuple[str, np.ndarray]:
        raise _no_direction(aspect)


@dataclass(frozen=True, eq=False)
class MainLayerGeometry(LayerGeometry):
    """The same in one layer alone, the encoder's main one: for segments.

    layer : which one of the encoder's
    """

    layer: int

    words: ClassVar[str] = (
        "the cosine between embeddings of one layer, without the common part of the library: 1 is the same, 0 is "
        "unrelated"
    )
    supports_avoid: ClassVar[bool] = False
    works_on_segments: ClassVar[bool] = True
    most_segments: ClassVar[int | None] = 100_000  # in single precision: 300 MB with MERT-95M

    @classmethod
    def fit(
        cls,
        vectors: Rows,
        evidence: Mapping[str, AspectEvidence] | None = None,
        directions: Directions | None = None,
        avoid: Sequence[str] = (),
        info: EncoderInfo | None = None,
    ) -> Self:
        """Its one part is the layer: no aspect has another."""
        if avoid:
            raise InputError(f"{', '.join(avoid)} cannot be left out of one layer.")
        layer = info.main_layer if info else vectors.shape[1] // 2
        width = info.width_of(layer) if info else vectors.shape[2]
        own_layer: Rows
        if isinstance(vectors, FarRows):
            own_layer = vectors.changed((1, vectors.shape[2]), lambda part: part[:, [layer]])
        else:
            own_layer = vectors[:, [layer]]
        own = vars(LayerGeometry.fit(own_layer)) | {"widths": (width,)}
        return cls(**own, layer=layer)

    def items(self, vectors: np.ndarray) -> np.ndarray:
        return super().items(vectors[:, [self.layer]])


@dataclass(frozen=True, eq=False)
class DirectionGeometry(InOneKey):
    """Distance along named directions.

    targets : n_targets of them, by which some aspect is searched
    projection : what tells their coordinates
    mean, scale : (n_targets,) float64, of the library's coordinates: its spread is the unit
    parts : the aspects, but those without evidence of any kind, or of which "not Y" leaves nothing
    columns : for each part the places of its targets among all
    taus : (n_parts,) float64
    plain : (n_parts,) float64
    eraser : what takes "not Y" out of every coordinate; None if nothing is avoided
    """

    targets: tuple[str, ...]
    projection: Projection
    mean: np.ndarray
    scale: np.ndarray
    parts: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    taus: np.ndarray
    plain: np.ndarray
    eraser: Eraser | None

    name: ClassVar[str] = "direction"
    words: ClassVar[str] = (
        "minus the squared distance along the aspects' directions: 0 is the same, -1 is half of all pairs"
    )
    has_directions: ClassVar[bool] = True
    compares_values: ClassVar[bool] = False
    is_linear: ClassVar[bool] = True
    supports_avoid: ClassVar[bool] = True
    has_hearings: ClassVar[bool] = False
    works_on_segments: ClassVar[bool] = True
    most_segments: ClassVar[int | None] = None

    @classmethod
    def fit(
        cls,
        vectors: Rows,
        evidence: Mapping[str, AspectEvidence] | None = None,
        directions: Directions | None = None,
        avoid: Sequence[str] = (),
        info: EncoderInfo | None = None,
    ) -> Self:
        """Evidence says by which targets each aspect is searched, and which aspects are asked for when none is."""
        if directions is None:
            raise DataMissingError("There are no directions to search along.", "Discover what the encoder tells first.")
        evidence = evidence or {}
        searched = {aspect: found.searched for aspect, found in evidence.items() if found.searched}
        targets = tuple(dict.fromkeys(target for own in searched.values() for target in own))
        projection = directions.projection(targets)
        raw = _projected(projection, vectors)
        mean, scale = raw.mean(axis=0), _or_one(raw.std(axis=0), LEAST_SPREAD)
        coordinates = (raw - mean) / scale
        eraser = None
        if avoid:
            eraser = Eraser.fit(directions, avoid, vectors, coordinates)
            coordinates -= eraser.told(vectors)

        first, second = library_pairs(len(vectors))
        columns: dict[str, tuple[int, ...]] = {}
        taus = []
        for aspect, names in searched.items():
            own = [targets.index(target) for target in names]
            if avoid and coordinates[:, own].var(axis=0).sum() < LEAST_LEFT * len(own):
                continue
            distances = ((coordinates[first][:, own] - coordinates[second][:, own]) ** 2).sum(axis=1)
            columns[aspect] = tuple(own)
            taus.append(float(np.sqrt(_or_one(np.median(distances), LEAST_SPREAD**2))) if len(distances) else 1.0)
        is_plain = np.array([evidence[part].has_evidence for part in columns], float)
        plain = (is_plain if is_plain.any() else np.ones(len(columns))) / max(is_plain.sum() or len(columns), 1)
        return cls(
            targets=targets,
            projection=projection,
            mean=_fixed(mean),
            scale=_fixed(scale),
            parts=tuple(columns),
            columns=tuple(columns.values()),
            taus=_fixed(np.array(taus)),
            plain=_fixed(plain),
            eraser=eraser,
        )

    @cached_property
    def n_columns(self) -> int:
        return int(self._starts[-1])

    @property
    def compared(self) -> tuple[slice, ...]:
        """Its parts."""
        return tuple(slice(*ends) for ends in zip(self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True))

    @cached_property
    def _widths(self) -> np.ndarray:
        """Columns of an item that each part takes, (n_parts,): its targets, and their square."""
        return np.array([len(own) + 1 for own in self.columns], int)

    @cached_property
    def _starts(self) -> np.ndarray:
        """Where those of each part begin, (n_parts + 1,)."""
        return np.concatenate([[0], np.cumsum(self._widths)]).astype(int)

    @cached_property
    def _is_square(self) -> np.ndarray:
        """The last column of each part, (n_columns,) bool."""
        is_square = np.zeros(self.n_columns, bool)
        is_square[self._starts[1:] - 1] = True
        return is_square

    @cached_property
    def _sums(self) -> np.ndarray:
        """(n_columns, n_parts): adds up a part's squares, signed."""
        sums = -np.eye(len(self.columns))[np.repeat(np.arange(len(self.columns)), self._widths)]
        sums[self._is_square] = 0.0
        return sums

    def items(self, vectors: np.ndarray) -> np.ndarray:
        coordinates = (self.projection(vectors) - self.mean) / self.scale
        if self.eraser is not None:
            coordinates -= self.eraser.told(vectors)
        items = np.empty((len(vectors), self.n_columns), np.float32)
        for start, own, tau in zip(self._starts, self.columns, self.taus, strict=False):
            block = coordinates[:, own] / tau
            items[:, start : start + len(own)] = block
            items[:, start + len(own)] = (block**2).sum(axis=1)
        return items

    def query(self, item: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        of_column = np.repeat(weights, self._widths)
        vector = np.where(self._is_square, -of_column, 2 * of_column * item).astype(np.float32)
        return vector, float(-weights @ item[self._is_square])

    def lookups(self, item: np.ndarray, weights: np.ndarray) -> list[Lookup]:
        return [Lookup(*self.query(item, weights), as_it_is)]

    def total(self, parts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        together: np.ndarray = parts @ weights
        return together

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
        if aspect not in self.parts:
            raise _no_direction(aspect)
        place = self.parts.index(aspect)
        values: np.ndarray = items[:, self._starts[place]] * self.taus[place]
        return self.targets[self.columns[place][0]], values

    def distances(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Mean over aspects of the squared distance."""
        distances: np.ndarray = -self.similarities(one, other).mean(axis=1)
        return distances


@dataclass(frozen=True, eq=False)
class MeasuredGeometry(DirectionGeometry):
    """Distance in what was measured: values in place of predictions.

    Measured are whole recordings. Of their segments only some targets are known, so segments are compared as the
    encoder hears them.
    """

    name: ClassVar[str] = "measured"
    words: ClassVar[str] = "minus the squared distance in the measured values: 0 is the same, -1 is half of all pairs"
    compares_values: ClassVar[bool] = True
    works_on_segments: ClassVar[bool] = False


GEOMETRIES: dict[str, type[Geometry]] = {
    geometry.name: geometry for geometry in (LayerGeometry, DirectionGeometry, MeasuredGeometry)
}  # by the names that a question knows


def of_segments(geometry: type[Geometry]) -> type[Geometry]:
    """In which geometry segments are compared where tracks are compared in this one."""
    return geometry if geometry.works_on_segments else MainLayerGeometry


@dataclass(frozen=True, eq=False)
class Eraser:
    """What a straight line on the coordinates of some targets tells of other numbers, fitted on a library.

    projection : what tells the coordinates
    mean : (n_targets,) float64, of the library's
    slopes : (n_targets, n_numbers) float64
    """

    projection: Projection
    mean: np.ndarray
    slopes: np.ndarray

    @classmethod
    def fit(cls, directions: Directions, targets: Sequence[str], vectors: Rows, numbers: Rows) -> Self:
        """The line from a library's vectors (n, n_layers, dim) to its numbers, of each (n_numbers,) or (…)."""
        projection = directions.projection(targets)
        library = _projected(projection, vectors)
        mean = library.mean(axis=0)
        inverse = np.linalg.pinv(library - mean, rcond=1e-9)
        slopes = np.zeros((len(targets), math.prod(numbers.shape[1:])))
        for start in range(0, len(numbers), ROWS_PER_BLOCK):  # in double precision, but never all at once
            part = slice(start, start + ROWS_PER_BLOCK)
            own = numbers[part]
            slopes += inverse[:, part] @ own.reshape(len(own), -1).astype(np.float64)
        return cls(projection, _fixed(mean), _fixed(slopes))

    def told(self, vectors: Rows) -> np.ndarray:
        """What the line says of others, (n, n_numbers) float64."""
        told: np.ndarray = (_projected(self.projection, vectors) - self.mean) @ self.slopes
        return told


def library_pairs(n: int, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rows of all pairs of a library, or of as many seeded ones (100 000); never a row with itself."""
    most = MAX_PAIRS if most is None else most
    if n * (n - 1) // 2 <= most:
        first, second = np.triu_indices(n, 1)
        return first, second
    rng = np.random.default_rng(PAIR_SEED)
    first = rng.integers(0, n, most)
    return first, (first + rng.integers(1, n, most)) % n


def _projected(projection: Projection, vectors: Rows) -> np.ndarray:
    """Coordinates of all rows, (n, n_targets) float64; of far ones, one part after the other."""
    if isinstance(vectors, FarRows):
        return np.concatenate([projection(part) for part in parts_of(vectors)])
    return projection(vectors)


def _sum_of(vectors: Rows, of_part: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What all rows add up to; of far ones, one part after the other."""
    if not isinstance(vectors, FarRows):
        return of_part(vectors)
    return np.sum([of_part(part) for part in parts_of(vectors)], axis=0)


def as_it_is(value: float) -> float:
    return value


def _or_one(values: np.ndarray, least: float) -> np.ndarray:
    return np.where(np.asarray(values) > least, values, 1.0)


def _rounding(centre: np.ndarray) -> np.ndarray:
    """Lengths (n_layers,) that rounding may leave: all there is in a library of one track, or of copies."""
    least: np.ndarray = 1e-6 * np.linalg.norm(centre, axis=1)
    return least


def _fixed(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def _no_direction(aspect: str) -> InputError:
    return InputError(f"This library has no direction for {aspect!r}.", "Discover what the encoder tells first.")


def _check_shape(vectors: np.ndarray, centre: np.ndarray) -> None:
    if vectors.shape[1:] != centre.shape:
        raise ArtefactMismatchError(
            f"The query has shape {vectors.shape[1:]}, this index holds {centre.shape}.",
            "Extract the query with the same encoder.",
        )
