"""Learned: a similarity that was taught, by people's answers or by what performers do, as a geometry like the others.

    vectors (n, n_layers, dim)
      -> less the centre, each layer a unit vector, each number times its scale    -> numbers (n, n_numbers)
      -> a straight line, and what a network of one hidden layer adds to it, if any -> points (n, n_out)
      -> the cosine of two points, or minus their squared distance

Query and library go the same way, so it is one exact inner product, and percentiles, moments and copies need nothing of
their own. How a metric is taught is said in `learning`; here is what came out: arrays, what it was taught by, and where
it lies. One is kept for a library and an encoder: the one that was activated. It knows the fingerprint of its encoder
and is refused for any other: numbers of another version mean something else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.widths import without_padding
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search.geometry import SIZE_UNIT, InOneKey, Lookup, as_it_is, library_pairs
from mess_core.storage.beside import beside, read_beside, sweep_beside, unnamed_beside, write_beside
from mess_core.storage.far import Rows
from mess_core.storage.files import read_sealed, write_sealed
from mess_core.storage.kept import Beside, Kind, verify_document
from mess_core.storage.paths import Paths, file_name
from mess_core.storage.untrusted import (
    build,
    parse_safetensors,
    printable,
    understanding,
)
from mess_core.workspace.scope import Scope

FORMAT = "mess-metric-1"
LEARN_AGAIN = "Learn it again: python -m mess_core learn --activate."
EVERYTHING = "all that was learned"  # its one part
LEAST = 1e-6  # length, relative to the centre's, up to which a layer has no direction
LAYER_NORM = 1e-5  # added to a variance, as torch's LayerNorm does
STEPS = (0, 1, 3)  # none: the numbers themselves; a line; a line, and the way into a hidden layer and out of it
FOR_SPREAD = 2000  # pairs that say how far apart two points usually are


@dataclass(frozen=True, eq=False)
class Line:
    """A straight line. weight : (n_in, n_out) float32; bias : (n_out,) float32"""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        found: np.ndarray = numbers @ self.weight + self.bias
        return found


@dataclass(frozen=True, eq=False)
class Transform:
    """The way from embeddings to points.

    centre : (n_layers, dim) float32, what is removed from every embedding
    scale : (n_numbers,) float32, what each number is multiplied by; 0 leaves it out
    steps : none, a line, or a line and the two of a hidden layer, between which numbers are standardised and bent
    is_distance : points are compared by their distance; else by their cosine
    widths : how many numbers each layer has
    """

    centre: np.ndarray
    scale: np.ndarray
    steps: tuple[Line, ...]
    is_distance: bool
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        n = len(self.scale)
        is_whole = self.centre.ndim == 2 and len(self.widths) == len(self.centre) and n == sum(self.widths)
        is_whole &= len(self.steps) in STEPS
        if is_whole and self.steps:
            line, *hidden = self.steps
            n_ins = (n, n, *(step.weight.shape[-1] for step in hidden[:1]))
            is_whole = all(
                step.weight.ndim == 2 and step.weight.shape[0] == n_in and step.bias.shape == step.weight.shape[1:]
                for step, n_in in zip(self.steps, n_ins, strict=False)
            ) and (not hidden or hidden[-1].weight.shape[1] == line.weight.shape[1])
        if not is_whole:
            raise ArtefactMismatchError("The parts of a learned metric do not fit together.", LEARN_AGAIN)

    @property
    def n_out(self) -> int:
        """Coordinates of a point."""
        return int(self.steps[0].weight.shape[1]) if self.steps else len(self.scale)

    def points(self, vectors: np.ndarray) -> np.ndarray:
        """Embeddings (n, n_layers, dim) -> points (n, n_out) float32.

        Raises
        ------
        ArtefactMismatchError
            If they were made by another encoder.
        """
        if vectors.shape[1:] != self.centre.shape:
            raise ArtefactMismatchError(
                f"The recording has an embedding of {vectors.shape[1:]}, this metric was learned on "
                f"{self.centre.shape}.",
                "Use the encoder that it was learned with.",
            )
        numbers = unit_numbers(vectors, self.centre, self.widths) * self.scale
        if not self.steps:
            return numbers.astype(np.float32)
        line, *hidden = self.steps
        points = line(numbers)
        if hidden:
            points = points + hidden[1](bent(hidden[0](numbers)))
        return points.astype(np.float32)

    def similarities(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Of all points (n, n_out) with all others (m, n_out): (n, m) float64, larger is closer."""
        one, other = one.astype(np.float64), other.astype(np.float64)
        if self.is_distance:
            squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
            return -squares
        similarities: np.ndarray = unit(one) @ unit(other).T
        return similarities


def unit_numbers(vectors: np.ndarray, centre: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Embeddings with each layer centred and a unit vector, one after the other, (n, n_numbers) float32.

    A layer without direction is zero.
    """
    centred = vectors - centre
    lengths = np.linalg.norm(centred, axis=-1, keepdims=True)
    least = np.maximum(LEAST * np.linalg.norm(centre, axis=1)[:, None], np.finfo(np.float32).tiny)
    numbers = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > least)
    found: np.ndarray = without_padding(numbers, widths).astype(np.float32)
    return found


def bent(numbers: np.ndarray) -> np.ndarray:
    """Layer norm and GELU, of (n, n_numbers), as torch's without weights of their own."""
    from scipy.special import ndtr

    deviations = numbers - numbers.mean(axis=1, keepdims=True)
    standard = deviations / np.sqrt((deviations**2).mean(axis=1, keepdims=True) + LAYER_NORM)
    found: np.ndarray = standard * ndtr(standard)
    return found


def unit(points: np.ndarray) -> np.ndarray:
    """Points (n, n_out) as unit vectors; zero stays zero, similar to nothing."""
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    found: np.ndarray = np.divide(points, lengths, out=np.zeros_like(points), where=lengths > 0)
    return found


@dataclass(frozen=True, eq=False)
class LearnedMetric:
    """What was learned, and by what.

    source : what taught it: "expression", "works", "performers", "ratings", "judgements"
    student : what learned: "layers", "diagonal", "linear", "mlp", "predicted"
    content : hash of the embeddings it was learned on
    trained_on : how many of what, and a hash of them: for its card
    figure : in a sentence, how good it was where it had not been trained, beside what search does without it
    """

    library: str
    encoder: str
    fingerprint: str
    source: str
    student: str
    content: str
    trained_on: Mapping[str, Any]
    figure: str
    transform: Transform
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Changes whenever an index built with it would."""
        return hashlib.sha256(_arrays(self.transform)).hexdigest()

    @property
    def basis(self) -> str:
        """What a search by it ranks by, in a sentence."""
        return f"Ranked by a similarity that was learned from {SOURCES.get(self.source, self.source)}."

    def geometry(self, vectors: Rows) -> LearnedGeometry:
        """In which a library (n_tracks, n_layers, dim) is compared."""
        return LearnedGeometry.of(self.transform, vectors)


SOURCES = {
    "expression": "how performances of one passage differ",
    "works": "which recordings are of one work",
    "performers": "which recordings are by one performer",
    "ratings": "how listeners rated passages",
    "judgements": "what listeners found more alike",
}  # what can teach, as a sentence goes on


@dataclass(frozen=True, eq=False)
class LearnedGeometry(InOneKey):
    """Cosine, or squared distance, of the points of a learned metric.

    transform : from embeddings to points
    spread : how far apart two points of the library usually are: the median
    """

    transform: Transform
    spread: float

    name: ClassVar[str] = "learned"
    words: ClassVar[str] = "how alike two recordings are by what was learned: larger is closer"
    has_directions: ClassVar[bool] = False
    compares_values: ClassVar[bool] = False
    is_linear: ClassVar[bool] = True
    supports_avoid: ClassVar[bool] = False
    has_hearings: ClassVar[bool] = False
    works_on_segments: ClassVar[bool] = False  # it was taught with whole recordings or passages
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
        """No library makes one by itself: it is learned, and then `of` its transform."""
        raise DataMissingError("A learned similarity is not there before somebody taught it.", LEARN_AGAIN)

    @classmethod
    def of(cls, transform: Transform, vectors: Rows) -> Self:
        """That of a transform and a library (n_tracks, n_layers, dim)."""
        first, second = library_pairs(len(vectors), FOR_SPREAD)
        if not len(first):
            return cls(transform, 1.0)
        distances = np.linalg.norm(transform.points(vectors[first]) - transform.points(vectors[second]), axis=1)
        return cls(transform, float(np.median(distances)) or 1.0)

    @property
    def parts(self) -> tuple[str, ...]:
        return (EVERYTHING,)

    @property
    def plain(self) -> np.ndarray:
        return np.ones(1)

    @cached_property
    def n_columns(self) -> int:
        return self.transform.n_out + 1

    @property
    def compared(self) -> tuple[slice, ...]:
        """All at once."""
        return (slice(0, self.n_columns),)

    def items(self, vectors: np.ndarray) -> np.ndarray:
        """Of a cosine, the unit vector and how long it was; of a distance, the point and its square."""
        points = self.transform.points(vectors) / np.float32(self.spread)
        if self.transform.is_distance:
            return np.column_stack([points, (points**2).sum(axis=1)]).astype(np.float32)
        lengths = np.linalg.norm(points, axis=1)
        return np.column_stack([unit(points), SIZE_UNIT * lengths]).astype(np.float32)

    def query(self, item: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        if self.transform.is_distance:
            vector = np.append(2 * item[:-1], -1.0) * weights[0]
            return vector.astype(np.float32), -float(weights[0] * item[-1])
        return (np.append(item[:-1], 0.0) * weights[0]).astype(np.float32), 0.0

    def lookups(self, item: np.ndarray, weights: np.ndarray) -> list[Lookup]:
        return [Lookup(*self.query(item, weights), as_it_is)]

    def total(self, parts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        together: np.ndarray = parts @ weights
        return together

    def similarities(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        one, other = (np.atleast_2d(items)[:, :-1].astype(np.float64) for items in (one, other))
        if self.transform.is_distance:
            return -((one - other) ** 2).sum(axis=1, keepdims=True)
        cosines: np.ndarray = (one * other).sum(axis=1, keepdims=True)
        return cosines

    def distances(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Squared distance of the points, 1 for a typical pair."""
        if self.transform.is_distance:
            return -self.similarities(one, other)[:, 0]
        length, other_length = (np.atleast_2d(items)[:, -1] / SIZE_UNIT for items in (one, other))
        squares: np.ndarray = (
            length**2 + other_length**2 - 2 * length * other_length * self.similarities(one, other)[:, 0]
        )
        return squares.clip(0.0)

    def coordinate(self, items: np.ndarray, aspect: str) -> tuple[str, np.ndarray]:
        raise InputError(f"This metric has no direction for {aspect!r}.", "Compare by another geometry.")


# --- kept -----------------------------------------------------------------------------------------------------


def metric_path(paths: Paths, library: str, info: EncoderInfo) -> Path:
    """Where the activated metric of a library lies."""
    return paths.learned / info.folder / f"{file_name(library)}-metric.json"


def save_metric(paths: Paths, info: EncoderInfo, metric: LearnedMetric) -> Path:
    """Keep a metric in place of an older one."""
    path, arrays = metric_path(paths, metric.library, info), _arrays(metric.transform)
    sha256 = write_beside(path, arrays)
    write_sealed(path, {**card_of(metric), "arrays_sha256": sha256})
    sweep_beside(path, [sha256])
    return path


def card_of(metric: LearnedMetric) -> dict[str, Any]:
    """All that is said of a metric, without its arrays."""
    names = (
        "library", "encoder", "fingerprint", "source", "student", "content", "trained_on", "figure", "provenance"
    )  # fmt: skip
    own = {name: getattr(metric, name) for name in names}
    transform = metric.transform
    return {
        "format": FORMAT,
        **own,
        "is_distance": transform.is_distance,
        "widths": list(transform.widths),
        "n_steps": len(transform.steps),
    }


def load_metric(scope: Scope) -> LearnedMetric | None:
    """The metric that was activated for a library and an encoder; None if none was.

    Raises
    ------
    ArtefactMismatchError
        If it is damaged, or was learned with another version of the encoder.
    """
    path = metric_path(scope.workspace.paths, scope.library, scope.info)
    try:
        document = read_sealed(path, cure=LEARN_AGAIN)
    except FileNotFoundError:
        _refuse_other_versions(scope, path.name)
        return None
    metric = _read(path, document)
    if metric.fingerprint != scope.info.fingerprint:
        raise _other_version(scope)
    return metric


def forget_metric(scope: Scope) -> None:
    """Take the metric of a library away; its document first, so that nobody reads half of it."""
    path = metric_path(scope.workspace.paths, scope.library, scope.info)
    path.unlink(missing_ok=True)
    sweep_beside(path, [])


def require_metric(scope: Scope) -> LearnedMetric:
    """The same, DataMissingError if there is none."""
    metric = load_metric(scope)
    if metric is None:
        raise DataMissingError(
            f"No similarity was learned for {scope.library!r} with {scope.info.id} yet.",
            f"python -m mess_core learn --library {scope.library} --encoder {scope.info.id} --from works --activate",
        )
    return metric


def _refuse_other_versions(scope: Scope, name: str) -> None:
    for path in scope.workspace.paths.learned.glob(f"{scope.info.id.replace(':', '-')}-*/*.json"):
        if path.name == name:
            raise _other_version(scope)


def _other_version(scope: Scope) -> ArtefactMismatchError:
    return ArtefactMismatchError(
        f"What was learned for {scope.library!r} was learned with another version of {scope.info.id}, whose numbers "
        "mean something else.",
        LEARN_AGAIN,
    )


def metric_bytes(metric: LearnedMetric) -> bytes:
    """Its arrays as a safetensors file."""
    return _arrays(metric.transform)


def _arrays(transform: Transform) -> bytes:
    """As a safetensors file; the same transform gives the same bytes."""
    from safetensors.numpy import save

    arrays = {"centre": transform.centre, "scale": transform.scale}
    for place, step in enumerate(transform.steps):
        arrays |= {f"weight_{place}": step.weight, f"bias_{place}": step.bias}
    return save({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()})


def _read(path: Path, document: Mapping[str, Any]) -> LearnedMetric:
    name = printable(path.name)
    with understanding(name, LEARN_AGAIN):
        if document.get("format") != FORMAT:
            raise ArtefactMismatchError(f"{name} is of format {document.get('format')}, not {FORMAT}.", LEARN_AGAIN)
        data = read_beside(path, str(document["arrays_sha256"]), LEARN_AGAIN)
        arrays = parse_safetensors(data, f"The arrays of {name}", LEARN_AGAIN)
        n_steps = int(document["n_steps"])
        if n_steps not in STEPS:
            raise ArtefactMismatchError(f"{name} has {n_steps} steps, expected one of {STEPS}.", LEARN_AGAIN)
        transform = Transform(
            centre=arrays["centre"],
            scale=arrays["scale"],
            steps=tuple(Line(arrays[f"weight_{place}"], arrays[f"bias_{place}"]) for place in range(n_steps)),
            is_distance=bool(document["is_distance"]),
            widths=tuple(int(width) for width in document["widths"]),
        )
        known = ("format", "arrays_sha256", "is_distance", "widths", "n_steps")
        entries = {key: value for key, value in document.items() if key not in known}
        own = {key: dict(entries[key]) for key in ("trained_on", "provenance")}
        return build(LearnedMetric, entries, transform=transform, **own)


def _files(paths: Paths) -> Iterator[Path]:
    yield from paths.learned.glob("*/*-metric.json")


def _understand(path: Path, document: Mapping[str, Any]) -> tuple[Beside, ...]:
    if document.get("format") != FORMAT:
        return ()  # of another version: it is not read
    metric = _read(path, document)
    sha256 = hashlib.sha256(_arrays(metric.transform)).hexdigest()
    return ((beside(path, sha256), sha256),)


def _unnamed(paths: Paths) -> list[Path]:
    """Arrays that no document beside them names."""
    return unnamed_beside(paths.learned.glob("*/*-metric.*.safetensors"), ["arrays_sha256"])


KEPT = Kind("metric", _files, lambda path: verify_document(path, LEARN_AGAIN, (), _understand), LEARN_AGAIN, _unnamed)
