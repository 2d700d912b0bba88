"""Layouts: rows of a space as points on a plane, by UMAP and, beside it, by PCA, so arranged that points move.

UMAP draws near together what is near together, and gives the rest up: distances between far groups, their sizes and
the directions of the axes mean nothing. Two maps of nearly the same space may therefore look entirely different. Here
each layer starts from the layout of its neighbour, with the smaller steps the more the two have in common
(`rate_between`); what comes out is turned, and mirrored if need be, to lie on the neighbour's as well as it can. On the
demo library's 13 layers (mean of 6 seeds):

    each layer starts                        a point moves by    trustworthiness    continuity
    from its own PCA, then turned            .40 radii           .927               .895
    from its neighbour, rate 1               .40                 .927               .896
    from its neighbour, rate down to .1      .35                 .930               .898
    from its neighbour, rate down to .02     .30                 .931               .894
    from its neighbour, rate down to .01     .27                 .930               .890
    all at once by umap.AlignedUMAP          .22                 .921               .900

AlignedUMAP takes ten times as long, and no layer can be kept before all are done. Small steps whatever the layers have
in common would leave the neighbour's clusters standing in a layer of mere noise.

Conventions
-----------
Layouts (n, 2) float32 are centred. Their unit is UMAP's own: a layer must begin at the size at which its neighbour
ended, or its points would first have to fly apart or together. What is shown is brought to a mean square of 1.

Source
------
McInnes, Healy & Melville (2018), UMAP. Schönemann (1966) for the orthogonal Procrustes problem.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

import numpy as np

from mess_core.maps.neighbours import NearestRows
from mess_core.maps.settings import MapSettings, Metric
from mess_core.parallel import compiling_alone

FIRST_RATE, LEAST_RATE = 1.0, 0.02  # UMAP's learning rate: from nothing, and from the layout of the same space
MANY, EPOCHS_FEW, EPOCHS_MANY = 10_000, 500, 200  # UMAP's own defaults
START_RADIUS = 5.0  # of PCA, from which the first layer starts; UMAP puts its own starts into a square of 10
NEGATIVE_SAMPLES = 5.0
NOISE = 1e-3  # points in the very same place would never part

# numba's default threading layer aborts the process if two threads enter it.
_one_at_a_time = threading.Lock()
_has_compiled = threading.Event()


@contextlib.contextmanager
def _first_time_alone() -> Iterator[None]:
    """What numba compiles is read from its cache, or put there, when it is called first: by one process at a time.

    UMAP keeps its slowest functions in no cache; kept, the first map of a process is drawn seven seconds sooner.
    """
    if _has_compiled.is_set():
        yield
        return
    with compiling_alone():
        from umap import layouts, umap_

        for function in (
            umap_.smooth_knn_dist,
            umap_.compute_membership_strengths,
            layouts._nb_optimize_layout_euclidean_single_epoch,
        ):
            function.enable_caching()
        yield
    _has_compiled.set()


def umap_layout(
    nearest: NearestRows,
    settings: MapSettings,
    metric: Metric,
    start: np.ndarray,
    *,
    rate: float | None = None,
    seed: int | None = None,
) -> np.ndarray:
    """Lay out by UMAP, on one thread: the same input and seed give the same bytes.

    Parameters
    ----------
    nearest : NearestRows
        At least n_neighbours - 1 of each row; more are not used.
    start : ndarray, shape (n, 2)
        Where points begin: PCA, or the layout of a neighbouring layer.
    rate : float or None
        How far points may move, as of `rate_between`; None: as far as they like, from a start of any size.
    seed : int or None
        Another one than that of the settings.
    """
    n = len(nearest.rows)
    n_others = min(settings.n_neighbours, n) - 1
    itself = np.arange(n, dtype=np.int32)[:, None]
    rows = np.concatenate([itself, nearest.rows[:, :n_others]], axis=1)
    distances = np.concatenate([np.zeros((n, 1), np.float32), nearest.distances[:, :n_others]], axis=1)
    rng = np.random.RandomState(settings.seed if seed is None else seed)
    points = (START_RADIUS * normalise(start) if rate is None else start) + NOISE * rng.standard_normal((n, 2))
    n_epochs = EPOCHS_FEW if n <= MANY else EPOCHS_MANY
    # Ignored: that TensorFlow is not installed, and numba's hints.
    with _one_at_a_time, warnings.catch_warnings(action="ignore"), _first_time_alone():
        import numba
        from umap.layouts import optimize_layout_euclidean
        from umap.umap_ import find_ab_params, fuzzy_simplicial_set, make_epochs_per_sample

        n_threads = numba.get_num_threads()
        numba.set_num_threads(1)
        try:
            graph, _, _ = fuzzy_simplicial_set(
                np.empty((n, 1)), n_others + 1, None, metric, knn_indices=rows, knn_dists=distances
            )
            graph = graph.tocoo()
            graph.sum_duplicates()
            graph.data[graph.data < graph.data.max() / n_epochs] = 0.0  # would not be drawn once
            graph.eliminate_zeros()
            a, b = find_ab_params(1.0, settings.min_dist)
            points = np.ascontiguousarray(points, np.float32)
            points = optimize_layout_euclidean(
                points,
                points,
                graph.row,
                graph.col,
                n_epochs,
                n,
                make_epochs_per_sample(graph.data, n_epochs),
                a,
                b,
                rng.randint(-(2**31) + 1, 2**31 - 1, 3).astype(np.int64),
                1.0,
                FIRST_RATE if rate is None else rate,
                NEGATIVE_SAMPLES,
                move_other=True,
            )
        finally:
            numba.set_num_threads(n_threads)
    return (points - points.mean(axis=0, dtype=np.float64)).astype(np.float32)


def rate_between(shared: float, chance: float) -> float:
    """How far points may move from the layout of another space.

    The less the two have in common, the farther: what is not in this space must not be left standing.

    Parameters
    ----------
    shared, chance : float
        Share of neighbours that the spaces have in common, and that unrelated spaces would have.

    Examples
    --------
    >>> [round(rate_between(shared, 0.1), 2) for shared in (0.1, 0.55, 1.0)]
    [1.0, 0.14, 0.02]
    """
    likeness = min(1.0, max(0.0, (shared - chance) / max(1.0 - chance, 1e-9)))
    return float(FIRST_RATE * (LEAST_RATE / FIRST_RATE) ** likeness)


def pca_layout(space: np.ndarray) -> np.ndarray:
    """The two directions of greatest spread: what a straight line shows; the baseline of every map.

    Examples
    --------
    >>> pca_layout(np.array([[0.0, 0, 1], [0, 0, 2], [0, 0, 6]])).astype(float).round(2).tolist()
    [[-0.93, 0.0], [-0.46, 0.0], [1.39, 0.0]]
    """
    centred = space.astype(np.float64) - space.mean(axis=0, dtype=np.float64)
    if len(centred) < centred.shape[1]:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        points = vectors[:, ::-1][:, :2] * np.sqrt(values[::-1][:2].clip(0.0))
    else:
        _, vectors = np.linalg.eigh(centred.T @ centred)
        points = centred @ vectors[:, ::-1][:, :2]
    points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    largest = points[np.abs(points).argmax(axis=0), [0, 1]]
    points = points * np.where(largest < 0, -1.0, 1.0) + 0.0  # an eigenvector has no sign of its own; no -0.0
    return normalise(points).astype(np.float32)


def normalise(points: np.ndarray) -> np.ndarray:
    """Centred, with a mean squared distance of 1 from the centre; float64."""
    centred: np.ndarray = points - points.mean(axis=0, dtype=np.float64)
    radius = np.sqrt((centred**2).sum(axis=1).mean())
    return centred / (radius if radius > 0 else 1.0)


def align(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Turn, and mirror if need be, a layout onto another one of the same tracks; distances within it stay.

    Examples
    --------
    >>> square = np.array([[1.0, 1], [1, -1], [-1, -1], [-1, 0]])
    >>> bool(np.allclose(align(normalise(square)[:, ::-1], normalise(square)), normalise(square), atol=1e-6))
    True
    """
    one, other = (some - some.mean(axis=0, dtype=np.float64) for some in (points, reference))
    left, _, right = np.linalg.svd(one.T @ other)
    aligned: np.ndarray = (one @ (left @ right)).astype(np.float32)
    return aligned


def movement(points: np.ndarray, reference: np.ndarray) -> float:
    """The median distance that points are apart on two layouts, in radii of a map; two unrelated maps: about 1.3."""
    return float(np.median(np.linalg.norm(normalise(points) - normalise(reference), axis=1)))
