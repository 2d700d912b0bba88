"""Faithfulness: does searching by an aspect find what is alike in that aspect, and only in that?

Ask for each aspect a, take the ten nearest recordings of each query, and look at the *measured* targets of every
aspect b, not at the predicted ones the search went by:

    M[a, b] = mean over b's targets of  mean rank difference between query and its ten nearest by a
                                        ---------------------------------------------------------
                                        the same between query and all candidates

1 is chance, 0 is perfect. The matrix of all M is the leak matrix: the diagonal says what a slider does, the rest what
it does besides. An aspect *passes* if M[a, a] is at most .8 and no aspect whose targets are not correlated with a's
(|rho| < .5) is served better. Aspects that are correlated cannot be told apart here and are named as one family.

Nothing of a query's work is used to choose layers, alphas or directions, and none of its recordings is a candidate:
recognising the piece would look like hearing its brightness. Beside it stand what no search can exceed (the oracle:
nearest by the ranks of the measured targets themselves), what a search by measured values finds, which needs no
encoder, what a search knows that was not asked for the aspect, and what the same measurements make of a plain log-mel
spectrum: directions are learned from labels, so part of what a slider does is the labels' doing, and only what remains
above log-mel with the same directions is the encoder's.

Conventions
-----------
Ranks are shares of the rows where a target is defined, from 0 to 1. Intervals: 95 %, works drawn with replacement; the
directions are taken as they are, so these say how far other queries would move a figure, not other training works.
Differences are paired: both sides see the same draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mess_core.errors import DataMissingError
from mess_core.probing.aspects import ASPECTS, AspectEvidence, weigh_aspects
from mess_core.probing.aspects import MEASURED as MEASURED_LABEL
from mess_core.probing.data import ProbeData
from mess_core.probing.directions import Directions, fit_directions
from mess_core.probing.folds import assign_folds
from mess_core.probing.probe import fit_cells
from mess_core.probing.resampling import draw_groups, intervals
from mess_core.probing.result import ProbeSettings
from mess_core.probing.scores import average_ranks, spearman
from mess_core.search.geometry import ALL_LAYERS, DirectionGeometry, Geometry, LayerGeometry, MeasuredGeometry
from mess_core.search.measured import COMMON, axes, standardised
from mess_core.storage.untrusted import build, understanding
from mess_core.words import counted

K = 10
MIN_WORKS = 3  # one to ask about, two to learn from
N_FOLDS = 10  # of works left out together; the more, the closer to what a search with all works knows
MAX_RATIO = 0.8  # of an aspect that passes
FAMILY_RHO = 0.5  # from here on two aspects are one family
N_BOOTSTRAPS = 1000
INNER_BOOTSTRAPS = 200  # enough for the standard error that chooses layers

DIRECTION, LAYER, MEASURED, ORACLE, NOT = "direction", "layer", "measured", "oracle", "not"

OnProgress = Callable[[int, int], None]


def no_progress(n_done: int, n_total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Ratio:
    """One cell: 1 is chance, 0 perfect; None where nothing could be measured."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Faithfulness:
    """The leak matrix of one library and encoder.

    rows : way of searching -> aspect asked for -> aspect looked at -> Ratio; ways are "direction", "layer", "measured"
        (not in what earlier versions kept), "oracle", and "not": all layers, the aspect left out, where its own column
        should come near to 1
    references : searches that were not asked for any aspect (name) -> aspect looked at -> Ratio
    differences : rival (a way of searching) -> aspect -> own column by "direction" minus that by the rival; below 0 the
        encoder adds something to what the labels give
    correlations : aspect -> aspect -> the largest |rho| between a target of one and a target of the other
    labels : aspect -> label of its evidence on the whole library
    """

    k: int
    n_queries: int
    n_groups: int
    rows: Mapping[str, Mapping[str, Mapping[str, Ratio]]]
    references: Mapping[str, Mapping[str, Ratio]]
    correlations: Mapping[str, Mapping[str, float]]
    labels: Mapping[str, str]
    differences: Mapping[str, Mapping[str, Ratio]] = field(default_factory=dict)

    def adds(self, aspect: str) -> bool | None:
        """Whether the encoder finds more of an aspect than every rival given the same labels; None without a rival."""
        found = [row[aspect] for row in self.differences.values() if aspect in row]
        if not found:
            return None
        return all(each.high is not None and each.high < 0 for each in found)

    @property
    def judged(self) -> list[str]:
        """Aspects that are offered without a warning, and whose targets could be looked at."""
        rows = self.rows[DIRECTION]
        return [aspect for aspect, label in self.labels.items() if label != "none" and aspect in rows.get(aspect, {})]

    def family(self, aspect: str) -> list[str]:
        """Aspects that cannot be told apart from this one here."""
        others = self.correlations.get(aspect, {})
        return [other for other, rho in others.items() if other != aspect and rho >= FAMILY_RHO]

    def leaks(self, aspect: str, way: str = DIRECTION) -> list[str]:
        """Uncorrelated aspects that a search by this one serves better than this one itself; the worst first."""
        row = self.rows[way].get(aspect, {})
        own = row[aspect].value if aspect in row else None
        if own is None:
            return []
        foreign = {
            other: ratio.value
            for other, ratio in row.items()
            if ratio.value is not None and other != aspect and other not in self.family(aspect)
        }
        return sorted((other for other, value in foreign.items() if value < own), key=foreign.__getitem__)

    def passes(self, aspect: str, way: str = DIRECTION) -> bool:
        """Whether the aspect does what it says, and nothing else better."""
        own = self.rows[way].get(aspect, {}).get(aspect)
        return own is not None and own.value is not None and own.value <= MAX_RATIO and not self.leaks(aspect, way)

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types that strict JSON knows."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Faithfulness:
        """What `to_dict` described.

        Raises
        ------
        ArtefactMismatchError
            If it is not that.
        """

        def read(row: Mapping[str, Any]) -> dict[str, Ratio]:
            return {aspect: build(Ratio, cell) for aspect, cell in row.items()}

        with understanding("The leak matrix", "Evaluate again: python -m mess_core evaluate faithfulness"):
            return build(
                cls,
                stored,
                rows={way: {aspect: read(row) for aspect, row in rows.items()} for way, rows in stored["rows"].items()},
                references={name: read(row) for name, row in stored["references"].items()},
                correlations={
                    aspect: {other: float(rho) for other, rho in row.items()}
                    for aspect, row in stored["correlations"].items()
                },
                labels={aspect: str(label) for aspect, label in stored["labels"].items()},
                differences={way: read(row) for way, row in stored.get("differences", {}).items()},
            )


def measure_faithfulness(
    data: ProbeData,
    aspects: Mapping[str, AspectEvidence],
    settings: ProbeSettings,
    references: Mapping[str, np.ndarray] | None = None,
    rivals: Mapping[str, np.ndarray] | None = None,
    *,
    n_folds: int = N_FOLDS,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> Faithfulness:
    """Measure the leak matrix.

    Parameters
    ----------
    data : ProbeData
        At track level; baselines are not needed.
    aspects : mapping
        The evidence found on all of it, for the labels.
    settings : ProbeSettings
        Those of the discovery; chance draws fewer samples inside the training sets.
    references : mapping of name to ndarray, shape (n_rows, n_features) or (n_rows, n_layers, dim)
        Embeddings to compare with, searched by the mean cosine of their centred layers.
    rivals : mapping of name to ndarray, shaped alike
        Embeddings to which the same is done as to the encoder's: directions from the same labels in the same folds.
    on_progress : callable (n_done, n_total)
        Counts queries. What it raises ends the work.

    Raises
    ------
    DataMissingError
        If there are fewer than three groups.
    """
    groups = np.unique(np.asarray(data.groups, dtype=str), return_inverse=True)[1]
    n_groups = int(groups.max()) + 1
    if n_groups < MIN_WORKS:
        raise DataMissingError(
            f"{counted(n_groups, 'work')} {'is' if n_groups == 1 else 'are'} too few to measure what aspects do.",
            "Add recordings of others.",
        )
    ranks = {target: _ranks(values) for target, values in data.targets.items()}
    looked_at = {
        aspect: [target for target in targets if target in ranks and np.isfinite(ranks[target]).sum() > K]
        for aspect, targets in ASPECTS.items()
    }
    looked_at = {aspect: targets for aspect, targets in looked_at.items() if targets}
    shown = sorted({target for targets in looked_at.values() for target in targets})
    table = np.stack([ranks[target] for target in shown], axis=1) if shown else np.empty((len(groups), 0))

    tallies: dict[tuple[str, str], _Tally] = {}

    def tally(way: str, aspect: str, queries: np.ndarray, similarities: np.ndarray) -> None:
        key = way, aspect
        if key not in tallies:
            tallies[key] = _Tally(np.zeros((n_groups, len(shown))), np.zeros((n_groups, len(shown))))
        tallies[key].add(similarities, queries, groups, table)

    n_done = 0
    for queries, evidence, directions in held_out_directions(data, settings, n_folds, seed):
        for aspect, similarities in _by_aspect(
            DirectionGeometry.fit(data.vectors, evidence, directions), data, queries
        ):
            tally(DIRECTION, aspect, queries, similarities)
        for aspect, similarities in _by_aspect(LayerGeometry.fit(data.vectors, evidence), data, queries):
            tally(LAYER, aspect, queries, similarities)
        for aspect in (aspect for aspect, found in aspects.items() if found.has_evidence and evidence[aspect].searched):
            geometry = LayerGeometry.fit(data.vectors, None, directions, evidence[aspect].searched)
            items = geometry.items(data.vectors)
            tally(NOT, aspect, queries, items[queries] @ items.T)
        n_done += len(queries)
        on_progress(n_done, len(groups))
    for name, vectors in (rivals or {}).items():
        rival = replace(data, vectors=vectors if vectors.ndim == 3 else vectors[:, None], baselines={}, identities={})
        for queries, evidence, directions in held_out_directions(rival, settings, n_folds, seed):
            theirs = DirectionGeometry.fit(rival.vectors, evidence, directions)
            for aspect, similarities in _by_aspect(theirs, rival, queries):
                tally(same_directions(name), aspect, queries, similarities)
    everybody = np.arange(len(groups))
    for aspect, targets in looked_at.items():
        tally(MEASURED, aspect, *_by_values(aspect, targets, data))
        tally(ORACLE, aspect, everybody, _oracle(table[:, [shown.index(target) for target in targets]]))
    for name, vectors in (references or {}).items():
        layers = vectors if vectors.ndim == 3 else vectors[:, None]
        items = LayerGeometry.fit(layers).items(layers)
        tally("", name, everybody, items @ items.T)

    counts = draw_groups(n_groups, N_BOOTSTRAPS, np.random.default_rng([seed, 1]))
    columns = {b: [shown.index(t) for t in targets] for b, targets in looked_at.items()}
    rows: dict[str, dict[str, dict[str, Ratio]]] = {DIRECTION: {}, LAYER: {}, MEASURED: {}, NOT: {}, ORACLE: {}, "": {}}
    for (way, aspect), each in tallies.items():
        rows.setdefault(way, {})[aspect] = {b: _ratio(each.of(counts, columns[b])) for b in columns}
    differences = {
        way: {
            aspect: _ratio(tallies[DIRECTION, aspect].of(counts, columns[aspect]) - each.of(counts, columns[aspect]))
            for (other, aspect), each in tallies.items()
            if other == way and aspect in columns and (DIRECTION, aspect) in tallies
        }
        for way in map(same_directions, rivals or {})
    }
    return Faithfulness(
        k=K,
        n_queries=len(groups),
        n_groups=n_groups,
        references=rows.pop(""),
        rows=rows,
        correlations=_correlations(data, looked_at),
        labels={aspect: found.label for aspect, found in aspects.items()},
        differences=differences,
    )


def same_directions(name: str) -> str:
    """The way of searching in which another embedding is given the directions that the encoder is given."""
    return f"{name}, same directions"


def held_out_directions(
    data: ProbeData, settings: ProbeSettings, n_folds: int = N_FOLDS, seed: int = 0
) -> Iterator[tuple[np.ndarray, dict[str, AspectEvidence], Directions]]:
    """For each part of the queries, what probing without their works finds: (query rows, evidence, directions)."""
    folds = assign_folds(list(data.groups), min(n_folds, len(set(data.groups))), seed=seed)
    inner = replace(settings, n_bootstraps=INNER_BOOTSTRAPS, n_permutations=0, n_repeats=1)
    for fold in range(int(folds.max()) + 1):
        train = np.flatnonzero(folds != fold)
        known = ProbeData(
            data.vectors[train],
            {target: values[train] for target, values in data.targets.items()},
            [str(data.groups[row]) for row in train.tolist()],
        )
        result = fit_cells(known, replace(inner, n_folds=min(inner.n_folds, len(set(known.groups)))))
        yield np.flatnonzero(folds == fold), weigh_aspects(result), fit_directions(known, result)


def held_out_similarities(data: ProbeData, settings: ProbeSettings, seed: int = 0) -> np.ndarray:
    """Similarities by all aspects with evidence alike, each query's work left out of fitting, (n_rows, n_rows)."""
    similarities = np.empty((len(data.groups), len(data.groups)))
    for queries, evidence, directions in held_out_directions(data, settings, seed=seed):
        geometry = DirectionGeometry.fit(data.vectors, evidence, directions)
        items = geometry.items(data.vectors)
        asked = [geometry.query(items[query], geometry.plain) for query in queries]
        similarities[queries] = np.stack([vector for vector, _ in asked]) @ items.T
        similarities[queries] += np.array([[constant] for _, constant in asked])
    return similarities


@dataclass(eq=False)
class _Tally:
    """Sums over queries, by group: rank differences to the nearest, and to all candidates; (n_groups, n_targets)."""

    nearest: np.ndarray
    everything: np.ndarray

    def add(self, similarities: np.ndarray, queries: np.ndarray, groups: np.ndarray, ranks: np.ndarray) -> None:
        """Add queries; `similarities` is (n_queries, n_rows)."""
        for query, row in zip(queries, similarities, strict=True):
            candidates = np.flatnonzero(groups != groups[query])
            best = candidates[np.argsort(-row[candidates], kind="stable")[:K]]
            differences = np.abs(ranks - ranks[query])
            near, far = _mean(differences[best]), _mean(differences[candidates])
            is_known = np.isfinite(near) & np.isfinite(far)
            self.nearest[groups[query]] += np.where(is_known, near, 0.0)
            self.everything[groups[query]] += np.where(is_known, far, 0.0)

    def of(self, counts: np.ndarray, columns: Sequence[int]) -> np.ndarray:
        """Ratio of the targets of one aspect, (n_replicates,); `counts` (n_replicates, n_groups)."""
        below = counts @ self.everything[:, columns]
        of_target = np.where(below > 0, (counts @ self.nearest[:, columns]) / np.where(below > 0, below, 1.0), np.nan)
        ratio: np.ndarray = of_target.mean(axis=1)
        return ratio


def _ratio(replicates: np.ndarray) -> Ratio:
    """A figure with its interval; the first replicate is the sample itself."""
    if not np.isfinite(replicates[0]):
        return Ratio(None, None, None)
    low, high = intervals(np.nan_to_num(replicates, nan=1.0)[:, None], N_BOOTSTRAPS)
    return Ratio(float(replicates[0]), float(low[0]), float(high[0]))


def _by_aspect(geometry: Geometry, data: ProbeData, queries: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """For each aspect of a geometry the similarities of queries to all rows, (n_queries, n_rows)."""
    items = geometry.items(data.vectors)
    found = []
    for number, aspect in enumerate(geometry.parts):
        if aspect == ALL_LAYERS:
            continue
        weights = np.zeros(len(geometry.parts))
        weights[number] = 1.0
        asked = np.stack([geometry.query(items[query], weights)[0] for query in queries])
        found.append((aspect, asked @ items.T))
    return found


def _by_values(aspect: str, targets: Sequence[str], data: ProbeData) -> tuple[np.ndarray, np.ndarray]:
    """Rows that have all values of an aspect, and their similarities to all rows: -inf to those that have not."""
    n_known = {target: int(np.isfinite(data.targets[target]).sum()) for target in targets}
    targets = [target for target in targets if n_known[target] >= COMMON * max(n_known.values())]
    scaled = np.stack([data.targets[target] for target in targets], axis=1)
    rows = np.flatnonzero(np.isfinite(scaled).all(axis=1))
    similarities = np.full((len(rows), len(scaled)), -np.inf)
    if len(rows):
        vectors = standardised(scaled[rows])[0]
        evidence = {aspect: AspectEvidence((), tuple(targets), MEASURED_LABEL, tuple(targets))}
        geometry = MeasuredGeometry.fit(vectors, evidence, axes(targets))
        items = geometry.items(vectors)
        for number, item in enumerate(items):
            similarities[number, rows] = geometry.similarities(item, items)[:, 0]
    return rows, similarities


def _oracle(ranks: np.ndarray) -> np.ndarray:
    """Similarity by the measured targets themselves, (n_rows, n_rows); what is not defined is far from everything."""
    differences = np.abs(ranks[:, None] - ranks[None])
    similarities: np.ndarray = -np.where(np.isfinite(differences), differences, 2.0).sum(axis=-1)
    return similarities


def _ranks(values: np.ndarray) -> np.ndarray:
    is_defined = np.isfinite(values)
    ranks = np.full(len(values), np.nan)
    ranks[is_defined] = average_ranks(values[is_defined]) / max(int(is_defined.sum()), 1)
    return ranks


def _mean(differences: np.ndarray) -> np.ndarray:
    """Mean over rows without NaN, (n_targets,); NaN where there is none."""
    is_known = np.isfinite(differences)
    n_known = is_known.sum(axis=0)
    return np.where(n_known > 0, np.where(is_known, differences, 0.0).sum(axis=0) / np.maximum(n_known, 1), np.nan)


def _correlations(data: ProbeData, looked_at: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """Largest |rho| between targets of two aspects, over rows where both are defined."""

    def rho(one: str, other: str) -> float:
        pair = np.stack([data.targets[one], data.targets[other]])
        both = pair[:, np.isfinite(pair).all(axis=0)]
        found = spearman(both[0][:, None], both[1][:, None])[0] if both.shape[1] > 2 else np.nan
        return float(abs(found)) if np.isfinite(found) else 0.0

    return {
        a: {b: max(rho(one, other) for one in targets for other in others) for b, others in looked_at.items()}
        for a, targets in looked_at.items()
    }
