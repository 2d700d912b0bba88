"""The study of similarity: which way of comparing two embeddings finds what?

    vectors (n_tracks, n_layers, dim)
      -> measures: per layer those of `MEASURES`, over all layers "layer" (the app's own geometry, as nothing in
         particular is asked for) and "layer, CSLS", and what the caller adds
      -> rankings of the other tracks, one per query and measure
      -> tasks: the same work, the same performer, each property
      -> one figure per task, measure and layer, with chance and an interval over works

Tasks
-----
work       Another performance of the query's work. The same performer's other takes of it are neither right nor wrong
           and are taken out; with an unknown performer on either side any other track of the work is right.
performer  Another track of the query's performer among the tracks of other works, so that it is not the piece that is
           recognised. Tracks of unknown performers are taken out.
instrument Another track of the query's instrument, likewise: the same sound, whatever is played.
property   Mean rank difference to the k nearest tracks of other works, over that to all of them. Lower is better.

Conventions
-----------
A track without a work is a work of its own. Means, covariances and CSLS are those of the whole library, as in the app;
no label enters them.

Source
------
Mu & Viswanath (2018) for centring; Ledoit & Wolf (2004) for the shrinkage; Conneau et al. (2018) for CSLS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mess_core.encoders.base import EncoderInfo
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.evaluation.retrieval import (
    RetrievalScore,
    RetrievalTask,
    average_precision_task,
    estimate,
    rank_difference_task,
    ranking,
)
from mess_core.probing.data import narrowed
from mess_core.probing.probe import OnProgress, no_progress
from mess_core.probing.ridge import one_blas_thread
from mess_core.search.either import geometry_for
from mess_core.search.evaluated import WORK, says_correction_helps
from mess_core.search.evaluated import corrected as corrected_name
from mess_core.search.geometry import ROWS_PER_BLOCK, Geometry, LayerGeometry
from mess_core.search.hubness import (
    N_NEIGHBOURS,
    Hubness,
    csls,
    hubness_of,
    k_occurrences,
    local_means,
    mean_cosine,
    unit_vectors,
)
from mess_core.storage.untrusted import build, understanding

FORMAT = "mess-similarity-1"
PERFORMER = "performer"
INSTRUMENT = "instrument"
RETRIEVAL = (WORK, PERFORMER, INSTRUMENT)  # tasks scored by average precision; the others are rank differences
LAYER = LayerGeometry.name
LAYER_CSLS = corrected_name(LAYER)
BLOCK_CELLS = 1 << 23  # similarities held at a time where all pairs are needed

# (n_tracks, dim) float64, rows of the queries -> (n_queries, n_tracks), larger is closer
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SimilarityFigure:
    """What one measure gives in one task; `layer` is None for measures over all layers."""

    task: str
    measure: str
    layer: int | None
    score: RetrievalScore


@dataclass(frozen=True)
class SimilarityStudy:
    """All figures of one library by one encoder.

    n_tracks, n_groups : tracks, and works, of the library
    figures : tasks in the order work, performer, properties; measures in the order of computation inside each
    hubness : measure -> its hubness, for the measures over all layers
    anisotropy : per layer the mean cosine of all pairs, raw and centred
    above : what the caller added -> how much better the app's own comparison finds the work (paired, same draws)
    """

    n_tracks: int
    n_groups: int
    figures: tuple[SimilarityFigure, ...]
    hubness: Mapping[str, Hubness]
    anisotropy: tuple[tuple[float, float], ...]
    above: Mapping[str, RetrievalScore] = field(default_factory=dict)

    def score(self, task: str, measure: str, layer: int | None = None) -> RetrievalScore:
        """One figure's score; KeyError if there is none."""
        for figure in self.figures:
            if (figure.task, figure.measure, figure.layer) == (task, measure, layer):
                return figure.score
        raise KeyError((task, measure, layer))

    @property
    def csls_helps(self) -> bool:
        """Whether the app should correct: there are hubs, CSLS lessens them, and finds works at least as well.

        False where that cannot be measured because no work has two performers.
        """
        return says_correction_helps(self.to_dict(), LAYER)

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types that strict JSON knows."""
        plain = asdict(self)
        return {
            "format": FORMAT,
            **plain,
            "figures": list(plain["figures"]),
            "anisotropy": [list(pair) for pair in self.anisotropy],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> SimilarityStudy:
        """The study that `to_dict` described.

        Raises
        ------
        ArtefactMismatchError
            If it was written by another version, or parts of it are missing.
        """
        cure = "Evaluate again: python -m mess_core evaluate similarity"
        with understanding("The similarity study", cure):
            if stored.get("format") != FORMAT:
                raise ArtefactMismatchError(f"A similarity study of format {stored.get('format')}, not {FORMAT}.", cure)
            return build(
                cls,
                {name: stored[name] for name in ("n_tracks", "n_groups")},
                figures=tuple(
                    build(SimilarityFigure, figure, score=build(RetrievalScore, figure["score"]))
                    for figure in stored["figures"]
                ),
                hubness={name: build(Hubness, hubness) for name, hubness in stored["hubness"].items()},
                anisotropy=tuple((float(raw), float(centred)) for raw, centred in stored["anisotropy"]),
                above={name: build(RetrievalScore, score) for name, score in stored.get("above", {}).items()},
            )


@one_blas_thread()  # many small products: a second thread that must wait for its core costs more than it brings
def evaluate_similarity(
    vectors: np.ndarray,
    works: Sequence[str | None],
    performers: Sequence[str | None],
    properties: Mapping[str, np.ndarray],
    extra: Mapping[str, np.ndarray] | None = None,
    *,
    n_bootstraps: int = 1000,
    seed: int = 0,
    max_queries: int = 1000,
    info: EncoderInfo | None = None,
    instruments: Sequence[str | None] | None = None,
    on_progress: OnProgress = no_progress,
) -> SimilarityStudy:
    """Rank the library for each query by each measure, and score the rankings in each task.

    Parameters
    ----------
    vectors : ndarray, shape (n_tracks, n_layers, dim), float32
        At least two tracks.
    works, performers : sequences of str or None, length n_tracks
    properties : mapping of name to ndarray, shape (n_tracks,)
        NaN where a track has no value.
    extra : mapping of name to ndarray, shape (n_tracks, n_tracks), or None
        More similarities, row = query, larger is closer; the diagonal does not matter.
    max_queries : int
        A larger library is asked by a sample of its tracks; everything is searched all the same.
    info : EncoderInfo or None
        The encoder, or hearing, whose layers they are: a hearing compares in its own way.
    instruments : sequence of str or None, length n_tracks; or None
        Without two different ones there is no such task.
    on_progress : callable
        Told (n_done, n_total) after each measure and layer.

    Raises
    ------
    InputError
        If shapes differ, a number is not finite, or a name is that of another task or measure.
    """
    extra = dict(extra or {})
    named = {"works": works, "performers": performers} | ({} if instruments is None else {"instruments": instruments})
    _check(vectors, named, properties, extra)
    n_tracks, n_layers, _ = vectors.shape
    rows = np.arange(n_tracks)
    if n_tracks > max_queries:
        rows = np.sort(np.random.default_rng(seed).choice(n_tracks, max_queries, replace=False))
    work_codes, performer_codes = _codes(works, own_if_unknown=True), _codes(performers, own_if_unknown=False)
    instrument_codes = _codes(instruments or [None] * n_tracks, own_if_unknown=False)
    tasks = _tasks(rows, work_codes, performer_codes, instrument_codes, properties)

    keys: list[tuple[str, int | None]] = []
    parts: dict[str, list[np.ndarray]] = {name: [] for name in tasks}
    hubness = {}
    for measure, layer, similarities in similarities_of(vectors, rows, extra, info):
        order = ranking(similarities)
        for name, task in tasks.items():
            parts[name].append(task.parts(order))
        if layer is None:
            hubness[measure] = _hubness(order, rows)
        keys.append((measure, layer))
        on_progress(len(keys), n_layers * len(MEASURES) + 2 + len(extra))
    figures = [
        SimilarityFigure(name, *key, score)
        for name, task in tasks.items()
        for key, score in zip(
            keys,
            estimate(task, parts[name], work_codes[rows], n_bootstraps=n_bootstraps, seed=seed),
            strict=True,
        )
    ]
    layers = [vectors[:, layer].astype(np.float64) for layer in range(n_layers)]
    anisotropy = tuple((mean_cosine(layer), mean_cosine(centre(layer))) for layer in layers)
    own = parts[WORK][keys.index((LAYER, None))]
    apart = [own - parts[WORK][keys.index((name, None))] for name in extra]
    scores = estimate(tasks[WORK], apart, work_codes[rows], n_bootstraps=n_bootstraps, seed=seed) if apart else ()
    # Chance is that of a score, not of a difference of two.
    above = {name: replace(score, chance=None) for name, score in zip(extra, scores, strict=True)}
    return SimilarityStudy(n_tracks, len(np.unique(work_codes)), tuple(figures), hubness, anisotropy, above)


# --- measures -----------------------------------------------------------------------------------------------


def inner_products(items: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of the items in these rows with all items, (n_queries, n_items)."""
    products: np.ndarray = items[rows] @ items.T
    return products


def negative_distances(items: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Minus the Euclidean distance, (n_queries, n_items)."""
    items = items - items.mean(axis=0)  # the same distances; a large common part would cost digits
    squares = (items**2).sum(axis=1)
    return -np.sqrt((squares[rows, None] + squares - 2 * inner_products(items, rows)).clip(0))


def corrected(compare: Measure, items: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """CSLS of a measure, each item's neighbourhood being the library without itself."""
    n_items = len(items)
    used_to = np.empty(n_items)
    size = max(1, BLOCK_CELLS // n_items)
    for block in np.split(np.arange(n_items), range(size, n_items, size)):
        used_to[block] = local_means(compare(items, block), N_NEIGHBOURS, own=block)
    return csls(compare(items, rows), used_to[rows], used_to)


def in_geometry(geometry: Geometry) -> Measure:
    """How a geometry compares its own items when nothing in particular is asked for."""

    def compare(items: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if not geometry.is_linear:
            each = (geometry.similarities(item, items) for item in items[rows])
            return np.stack([geometry.total(parts, geometry.plain) for parts in each])
        asked = [geometry.query(item, geometry.plain) for item in items[rows]]
        similarities: np.ndarray = np.stack([vector for vector, _ in asked]) @ items.T
        return similarities + np.array([[constant] for _, constant in asked], similarities.dtype)

    return compare


def centre(vectors: np.ndarray) -> np.ndarray:
    """Rows without their mean, (n, dim); a row of which only rounding is left becomes zero."""
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    is_rounding = np.linalg.norm(centred, axis=1) <= 1e-6 * np.linalg.norm(mean)  # as in search
    centred[is_rounding] = 0.0
    return centred


def whiten(vectors: np.ndarray) -> np.ndarray:
    """Centred rows times the inverse root of their shrunk covariance, in their principal axes: (n, min(n, dim)).

    The covariance S, shrunk to (1 - λ) S + λ m I with m its mean eigenvalue, can be inverted with fewer rows than
    dimensions; Ledoit & Wolf's λ is the one expected to be nearest to the true covariance. All of it is computed from
    the singular values: the rows have nothing outside their own space.
    """
    centred = centre(vectors)
    n, dim = centred.shape
    axes, singular, _ = np.linalg.svd(centred, full_matrices=False)
    eigenvalues = singular**2 / n
    mean = eigenvalues.sum() / dim
    if mean == 0:
        return centred
    size = (eigenvalues**2).sum()
    noise = ((centred**2).sum(axis=1) ** 2).mean() / n - size / n  # of the entries of S, squared and summed
    off_sphere = size - dim * mean**2
    shrinkage = min(max(noise / off_sphere, 0.0), 1.0) if off_sphere > 0 else 1.0
    is_there = singular > 1e-9 * singular[0]  # not of rounding only
    root = np.sqrt((1 - shrinkage) * eigenvalues + shrinkage * mean)
    whitened: np.ndarray = axes * np.divide(singular, root, out=np.zeros_like(singular), where=is_there)
    return whitened


MEASURES: dict[str, Measure] = {
    "cosine": lambda vectors, rows: inner_products(unit_vectors(vectors), rows),
    "Euclidean": negative_distances,
    "dot": inner_products,
    "centred": lambda vectors, rows: inner_products(unit_vectors(centre(vectors)), rows),
    "whitened": lambda vectors, rows: inner_products(unit_vectors(whiten(vectors)), rows),
    "CSLS": lambda vectors, rows: corrected(inner_products, unit_vectors(centre(vectors)), rows),
}


def similarities_of(
    vectors: np.ndarray, rows: np.ndarray, extra: Mapping[str, np.ndarray], info: EncoderInfo | None
) -> Iterator[tuple[str, int | None, np.ndarray]]:
    """Measure, layer, similarities (n_queries, n_tracks); one at a time, for memory."""
    for layer in range(vectors.shape[1]):
        of_layer = narrowed(vectors[:, layer]).astype(np.float64)  # how wide it is counts where it is whitened
        for measure, compare in MEASURES.items():
            yield measure, layer, compare(of_layer, rows)
    kind = LayerGeometry if info is None else geometry_for(LAYER, info)
    geometry = kind.fit(vectors, info=info)
    items = np.empty((len(vectors), geometry.n_columns), np.float32)
    for start in range(0, len(vectors), ROWS_PER_BLOCK):
        items[start : start + ROWS_PER_BLOCK] = geometry.items(vectors[start : start + ROWS_PER_BLOCK])
    compare = in_geometry(geometry)
    yield LAYER, None, compare(items, rows)
    yield LAYER_CSLS, None, corrected(compare, items, rows)
    for measure, similarities in extra.items():
        yield measure, None, similarities[rows]


def _hubness(order: np.ndarray, rows: np.ndarray) -> Hubness:
    n_queries, n_tracks = order.shape
    others = order[order != rows[:, None]].reshape(n_queries, n_tracks - 1)
    nearest = others[:, :N_NEIGHBOURS]
    return hubness_of(k_occurrences(nearest, n_tracks), nearest.shape[1])


# --- tasks --------------------------------------------------------------------------------------------------


def _tasks(
    rows: np.ndarray,
    works: np.ndarray,
    performers: np.ndarray,
    instruments: np.ndarray,
    properties: Mapping[str, np.ndarray],
) -> dict[str, RetrievalTask]:
    is_other = rows[:, None] != np.arange(len(works))  # (n_queries, n_tracks), as all below
    is_same_work = works[rows, None] == works

    def known_and_same(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        is_known = (codes[rows, None] >= 0) & (codes >= 0)
        return is_known, is_known & (codes[rows, None] == codes)

    is_known, is_same_performer = known_and_same(performers)
    tasks = {
        WORK: average_precision_task(is_same_work, is_other & ~(is_same_work & is_same_performer)),
        PERFORMER: average_precision_task(is_same_performer, is_known & ~is_same_work),
    }
    if len(set(instruments.tolist()) - {-1}) > 1:
        is_known, is_same_instrument = known_and_same(instruments)
        tasks[INSTRUMENT] = average_precision_task(is_same_instrument, is_known & ~is_same_work)
    for name, values in properties.items():
        tasks[name] = rank_difference_task(np.asarray(values, np.float64), rows, ~is_same_work, N_NEIGHBOURS)
    return tasks


def _codes(names: Sequence[str | None], *, own_if_unknown: bool) -> np.ndarray:
    """One code per name, in their order; rows without a name are each on its own, or all -1."""
    known = sorted({name for name in names if name is not None})
    code_of = {name: code for code, name in enumerate(known)}
    return np.array(
        [
            code_of[name] if name is not None else len(known) + row if own_if_unknown else -1
            for row, name in enumerate(names)
        ]
    )


def _check(
    vectors: np.ndarray,
    named: Mapping[str, Sequence[str | None]],
    properties: Mapping[str, np.ndarray],
    extra: Mapping[str, np.ndarray],
) -> None:
    if vectors.ndim != 3 or len(vectors) < 2 or not np.isfinite(vectors).all():
        raise InputError(f"vectors {vectors.shape}, expected (n_tracks >= 2, n_layers, dim), all finite.")
    n_tracks = len(vectors)
    lengths = {name: len(values) for name, values in [*named.items(), *properties.items()]}
    for name, length in lengths.items():
        if length != n_tracks:
            raise InputError(f"{name} has {length} entries, expected {n_tracks}: one per track.")
    taken = set(RETRIEVAL) & set(properties) | {LAYER, LAYER_CSLS, *MEASURES} & set(extra)
    if taken:
        raise InputError(f"{sorted(taken)} is a task or measure of its own, expected another name.")
    for name, similarities in extra.items():
        if similarities.shape != (n_tracks, n_tracks):
            raise InputError(f"{name} has shape {similarities.shape}, expected {(n_tracks, n_tracks)}.")
        if not (np.isfinite(similarities) | np.eye(n_tracks, dtype=bool)).all():
            raise InputError(f"{name} holds a similarity of two tracks that is not finite.")
