"""Relevance of one's own: which way of comparing embeddings finds what somebody says is relevant?

    pairs      (query, track), perhaps with how relevant it is
    groups     tracks of one group are relevant to each other
    triplets   (anchor, positive, negative): the positive is nearer to the anchor than the negative

Pairs and groups are scored by rankings of all other tracks, in which what nobody named is not relevant: average
precision (MAP), reciprocal rank (MRR), recall and discounted gain (nDCG) of the k nearest, each a mean over queries.
Triplets are scored by how many are so. Measures are those of the study of similarity, per layer, and its own over all
layers.

The best of many layers flatters itself. So the layer, and for "any" the measure, too, is chosen on the queries of other
works and scored on those of the works left out: that is the figure to quote.

Conventions
-----------
Intervals draw works among the queries (`evaluation.retrieval`). Works that share a relevance group are drawn together,
unless that leaves fewer than ten to draw from, as where the groups are a few genres.

Source
------
Manning, Raghavan & Schütze (2008), chapter 8. Järvelin & Kekäläinen (2002) with gains 2^g - 1 (Burges et al. 2005).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mess_core.encoders.base import EncoderInfo
from mess_core.errors import InputError
from mess_core.evaluation.retrieval import (
    RetrievalScore,
    RetrievalTask,
    average_precision_task,
    discounted_gain_task,
    estimate,
    ranking,
    recall_task,
    reciprocal_rank_task,
)
from mess_core.evaluation.similarity import MEASURES, similarities_of
from mess_core.probing.folds import assign_folds, connect_groups
from mess_core.probing.probe import OnProgress, no_progress
from mess_core.probing.ridge import one_blas_thread
from mess_core.probing.uncertainty import MIN_GROUPS
from mess_core.words import counted

PAIRS, GROUPED, TRIPLETS = "pairs", "groups", "triplets"
MAP, MRR, RECALL, NDCG, RIGHT = "MAP", "MRR", "Recall", "nDCG", "triplets right"
WORK, WORK_OR_GROUP = "work", "work or group"  # what is drawn together
DRAWN = {WORK: ("work",), WORK_OR_GROUP: ("work or group", "works or groups")}
ANY = "any"  # measure: chosen, too
N_FOLDS = 5
MOST_QUERIES, MOST_TRIPLETS = 1000, 5000  # of more a sample is scored


@dataclass(frozen=True, eq=False)
class Relevance:
    """What is relevant among the rows of a matrix.

    rows : (n_queries,) int, the row that each query is
    gains : (n_queries, n_rows) float, how relevant each row is to it, 0 for what is not; of triplets (n_queries, 0)
    triplets : (n_queries, 2) int, the rows of positive and negative; else (0, 2)
    groups : (n_queries,) code of what is drawn together
    n_vanished : lines of the table that name what is not here
    drawn : what is drawn together, as a noun
    """

    kind: str
    rows: np.ndarray
    gains: np.ndarray
    triplets: np.ndarray
    groups: np.ndarray
    n_vanished: int = 0
    drawn: str = WORK


@dataclass(frozen=True)
class RelevanceFigure:
    """One metric by one measure in one layer; `layer` is None for measures over all layers."""

    metric: str
    measure: str
    layer: int | None
    score: RetrievalScore


@dataclass(frozen=True)
class NestedFigure:
    """One metric by a measure whose layer was chosen on other works; `chosen` is what each fold chose."""

    metric: str
    measure: str
    chosen: tuple[str, ...]
    score: RetrievalScore


@dataclass(frozen=True)
class RelevanceStudy:
    """Every figure of one library by one encoder.

    k : nearest that recall and discounted gain look at
    nested : for each metric and measure; none where there are too few works
    """

    kind: str
    encoder: str
    library: str
    k: int
    n_tracks: int
    n_queries: int
    n_groups: int
    drawn: str
    n_vanished: int
    figures: tuple[RelevanceFigure, ...]
    nested: tuple[NestedFigure, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(figure.metric for figure in self.figures))

    def score(self, metric: str, measure: str, layer: int | None = None) -> RetrievalScore:
        """One figure's score; KeyError if there is none."""
        for figure in self.figures:
            if (figure.metric, figure.measure, figure.layer) == (metric, measure, layer):
                return figure.score
        raise KeyError((metric, measure, layer))

    def as_document(self) -> dict[str, Any]:
        """The shape of `evaluate similarity --relevance --json`; keys may be added, not renamed."""
        return asdict(self)


@one_blas_thread()
def evaluate_relevance(
    vectors: np.ndarray,
    relevance: Relevance,
    k: int = 10,
    *,
    info: EncoderInfo | None = None,
    library: str = "",
    n_bootstraps: int = 1000,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> RelevanceStudy:
    """Score every measure in every layer, and the nested choice among them.

    Parameters
    ----------
    vectors : ndarray, shape (n_tracks, n_layers, dim), float32
    relevance : Relevance
    k : int
    info : EncoderInfo or None
        A hearing compares in its own way.

    Raises
    ------
    InputError
        If k is below 1, or no query has an answer.
    """
    if k < 1:
        raise InputError(f"k is {k}, expected at least 1.")
    n_tracks, n_layers, _ = vectors.shape
    tasks = _tasks(relevance, n_tracks, k)
    has_answer = np.any([task.wholes > 0 for task, _ in tasks.values()], axis=0)
    if not has_answer.any():
        raise InputError("No query has anything relevant to find in this library.", "Name recordings that are in it.")
    keys: list[tuple[str, int | None]] = []
    parts: dict[str, list[np.ndarray]] = {name: [] for name in tasks}
    for measure, layer, similarities in similarities_of(vectors, relevance.rows, {}, info):
        order = None if relevance.kind == TRIPLETS else ranking(similarities)
        for name, (_, score) in tasks.items():
            parts[name].append(score(similarities, order))
        keys.append((measure, layer))
        on_progress(len(keys), n_layers * len(MEASURES) + 2)
    groups = relevance.groups
    figures = [
        RelevanceFigure(name, measure, layer, score)
        for name, (task, _) in tasks.items()
        for (measure, layer), score in zip(
            keys, estimate(task, parts[name], groups, n_bootstraps=n_bootstraps, seed=seed), strict=True
        )
    ]
    nested = [
        figure
        for name, (task, _) in tasks.items()
        for figure in _nested(name, task, keys, np.stack(parts[name]), groups, n_bootstraps, seed)
    ]
    return RelevanceStudy(
        kind=relevance.kind,
        encoder="" if info is None else info.id,
        library=library,
        k=k,
        n_tracks=n_tracks,
        n_queries=int(has_answer.sum()),
        n_groups=len(np.unique(groups[has_answer])),
        drawn=relevance.drawn,
        n_vanished=relevance.n_vanished,
        figures=tuple(figures),
        nested=tuple(nested),
    )


# (similarities, order) -> what each query scores, (n_queries,)
Scorer = Callable[[np.ndarray, Any], np.ndarray]


def _tasks(relevance: Relevance, n_tracks: int, k: int) -> dict[str, tuple[RetrievalTask, Scorer]]:
    """Name -> the task, whose wholes are 1 where a query has an answer, and how it is scored."""
    if relevance.kind == TRIPLETS:
        ones = np.ones(len(relevance.rows))
        task = RetrievalTask(ones, lambda order: ones, 0.5)
        return {RIGHT: (task, lambda similarities, order: _right(similarities, relevance.triplets))}
    candidates = relevance.rows[:, None] != np.arange(n_tracks)
    relevant = relevance.gains > 0
    tasks = {
        MAP: average_precision_task(relevant, candidates),
        MRR: reciprocal_rank_task(relevant, candidates, n_tracks - 1),
        f"{RECALL}@{k}": _as_mean(recall_task(relevant, candidates, k), relevant & candidates, candidates, k),
        f"{NDCG}@{k}": discounted_gain_task(relevance.gains, candidates, k),
    }
    return {name: (task, _by_order(task)) for name, task in tasks.items()}


def _by_order(task: RetrievalTask) -> Scorer:
    return lambda similarities, order: task.parts(order)


def _as_mean(task: RetrievalTask, sought: np.ndarray, candidates: np.ndarray, k: int) -> RetrievalTask:
    """Recall as a mean over queries: those of many relevant tracks count no more than others."""
    has_answer = task.wholes > 0
    wholes = np.where(has_answer, task.wholes, 1.0)
    n_relevant, n_candidates = sought.sum(axis=1), candidates.sum(axis=1)
    by_chance = n_relevant * np.minimum(k, n_candidates) / n_candidates.clip(1) / wholes
    chance = float(by_chance[has_answer].mean()) if has_answer.any() else None
    return RetrievalTask(has_answer.astype(np.float64), lambda order: task.parts(order) / wholes, chance)


def _right(similarities: np.ndarray, triplets: np.ndarray) -> np.ndarray:
    """1 where the positive is nearer than the negative, a tie counting half, (n_triplets,)."""
    each = np.arange(len(triplets))
    apart = similarities[each, triplets[:, 0]] - similarities[each, triplets[:, 1]]
    right: np.ndarray = (apart > 0) + 0.5 * (apart == 0)
    return right


def _nested(
    metric: str,
    task: RetrievalTask,
    keys: Sequence[tuple[str, int | None]],
    parts: np.ndarray,
    groups: np.ndarray,
    n_bootstraps: int,
    seed: int,
) -> list[NestedFigure]:
    """Of every measure with a layer to choose, and of all together; parts (n_keys, n_queries)."""
    has_answer = task.wholes > 0
    if len(np.unique(groups[has_answer])) < N_FOLDS:
        return []
    folds = np.full(len(groups), -1)
    folds[has_answer] = assign_folds([str(group) for group in groups[has_answer]], N_FOLDS, seed=seed)
    found: list[NestedFigure] = []
    picked: list[np.ndarray] = []
    for measure in (*MEASURES, ANY):
        among = [place for place, (name, layer) in enumerate(keys) if layer is not None and measure in (name, ANY)]
        of_query = np.zeros(len(groups))
        chosen = []
        for fold in range(N_FOLDS):
            train, test = has_answer & (folds != fold), folds == fold
            best = among[int(parts[among][:, train].mean(axis=1).argmax())]
            of_query[test] = parts[best][test]
            chosen.append(f"{keys[best][0]}, layer {keys[best][1]}" if measure == ANY else f"layer {keys[best][1]}")
        picked.append(of_query)
        found.append(NestedFigure(metric, measure, tuple(chosen), RetrievalScore(None, None, None, None, 0, 0)))
    scores = estimate(task, picked, groups, n_bootstraps=n_bootstraps, seed=seed)
    return [NestedFigure(each.metric, each.measure, each.chosen, score)
            for each, score in zip(found, scores, strict=True)]  # fmt: skip


def relevance_of_pairs(
    pairs: Mapping[tuple[int, int], float], works: np.ndarray, *, n_vanished: int = 0, seed: int = 0
) -> Relevance:
    """Of (query row, relevant row) -> how relevant; `works` (n_rows,) codes."""
    rows = _some(np.unique([query for query, _ in pairs]), seed)
    place = {int(row): number for number, row in enumerate(rows)}
    gains = np.zeros((len(rows), len(works)), np.float32)
    for (query, row), gain in pairs.items():
        if query in place:
            gains[place[query], row] = gain
    return Relevance(PAIRS, rows, gains, np.empty((0, 2), int), works[rows], n_vanished)


def relevance_of_groups(
    labels: Sequence[str | None], works: np.ndarray, *, n_vanished: int = 0, seed: int = 0
) -> Relevance:
    """Of the group of each row, None for a row without; `works` (n_rows,) codes."""
    known = np.array([label is not None for label in labels])
    rows = _some(np.flatnonzero(known), seed)
    names = np.array([label or "" for label in labels])
    gains = ((names[rows, None] == names) & known & (rows[:, None] != np.arange(len(names)))).astype(np.float32)
    together = connect_groups([str(row) for row in range(len(names))], [str(work) for work in works], labels)
    clusters = np.unique(np.array(together), return_inverse=True)[1]
    drawn = WORK_OR_GROUP
    if len(np.unique(clusters[rows])) < MIN_GROUPS:
        clusters, drawn = works, WORK
    return Relevance(GROUPED, rows, gains, np.empty((0, 2), int), clusters[rows], n_vanished, drawn)


def relevance_of_triplets(
    triplets: Sequence[tuple[int, int, int]], works: np.ndarray, *, n_vanished: int = 0, seed: int = 0
) -> Relevance:
    """Of (anchor, positive, negative) rows."""
    each = np.array(triplets, int).reshape(-1, 3)
    each = each[_some(np.arange(len(each)), seed, MOST_TRIPLETS)]
    return Relevance(TRIPLETS, each[:, 0], np.empty((len(each), 0)), each[:, 1:], works[each[:, 0]], n_vanished)


def _some(rows: np.ndarray, seed: int, most: int = MOST_QUERIES) -> np.ndarray:
    """At most so many queries, drawn at random, in order."""
    rows = np.asarray(rows, int)
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def said_of(study: RelevanceStudy) -> str:
    """What it was scored on, in a sentence."""
    what = {PAIRS: "query", GROUPED: "query", TRIPLETS: "triplet"}[study.kind]
    plural = {"query": "queries", "triplet": "triplets"}[what]
    works = counted(study.n_groups, *DRAWN[study.drawn])
    said = f"{counted(study.n_queries, what, plural)} of {works}, by {study.kind}, among "
    said += f"{counted(study.n_tracks, 'recording')}."
    if study.n_vanished:
        said += f" {counted(study.n_vanished, 'line')} name what is not embedded here, and are left out."
    if not study.nested:
        said += f" Too few of them to choose a layer on others: at least {N_FOLDS} are needed."
    return said
