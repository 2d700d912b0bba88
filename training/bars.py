"""The bars of MESS-nano: embeddings in, figures beside those of the controls out.

    piece        finds the piece, played by others on other instruments      each layer, and the app's plain search
    instrument   finds recordings of the same kind by other performers       real recordings
    recording    finds the other end of a recording                          real recordings
    probes       tell a property from a layer, grouped by piece              beside log-mel

Conventions
-----------
Vectors (n_rows, n_layers, dim), as the app pools them. Every figure stands beside chance and a 95 % interval over
groups: works or performers. A ratio is over the same figure of log-mel, a difference is from that of chroma, both drawn
together. The best of thirteen layers flatters itself: "chosen" takes for each group the layer that is best for the
others, and of R² the nested figure is told, with the interval of `probing.uncertainty`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mess_core.evaluation.retrieval import RetrievalTask, average_precision_task, estimate, ranking
from mess_core.probing.data import ProbeData
from mess_core.probing.probe import fit_cells
from mess_core.probing.resampling import draw_groups, intervals
from mess_core.probing.result import ProbeSettings
from mess_core.probing.scores import sum_by
from mess_core.search.geometry import LayerGeometry

N_BOOTSTRAPS = 2000
LEAST_BETTER = 0.01  # of R²: less is not better
CHOSEN = "chosen"  # for each group the layer that is best for all others
SEARCH = "search"  # all layers, as the app's plain question has it


@dataclass(frozen=True)
class Figure:
    """One number of one encoder. `layer` is a number, "chosen" or "search"."""

    bar: str
    encoder: str
    layer: int | str
    value: float
    low: float | None
    high: float | None
    chance: float | None = None
    ratio: float | None = None  # over log-mel
    ratio_low: float | None = None
    ratio_high: float | None = None
    above: float | None = None  # chroma
    above_low: float | None = None
    above_high: float | None = None

    @property
    def verdict(self) -> str:
        """Whether it is above chroma, as the interval of the difference has it."""
        if self.above_low is None or self.above_high is None:
            return ""
        is_what = "above" if self.above_low > 0 else "below" if self.above_high < 0 else "not above"
        return f"{self.encoder} {is_what} chroma"


@dataclass(frozen=True, eq=False)
class Question:
    """Which rows are right, and among which, for every row as a query.

    relevant, candidates : (n_rows, n_rows) bool; groups : (n_rows,) what intervals are drawn over
    """

    bar: str
    relevant: np.ndarray
    candidates: np.ndarray
    groups: np.ndarray

    @cached_property
    def task(self) -> RetrievalTask:
        return average_precision_task(self.relevant, self.candidates)


def ask_for(bar: str, kinds: Sequence[str], apart: Sequence[str], groups: Sequence[str]) -> Question:
    """Rows of the same kind are right; rows that share `apart` with the query are no candidates."""
    kind, other, group = (np.unique(list(values), return_inverse=True)[1] for values in (kinds, apart, groups))
    candidates = other[:, None] != other
    return Question(bar, (kind[:, None] == kind) & candidates, candidates, group)


def retrieval_figures(
    question: Question,
    vectors: np.ndarray,
    encoder: str,
    control: np.ndarray,
    chroma: np.ndarray | None = None,
    *,
    seed: int = 0,
) -> list[Figure]:
    """Mean average precision at each layer, at the layer chosen elsewhere, and with the app's search.

    Each over that of log-mel, and less that of chroma.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, n_layers, dim)
    control : ndarray, shape (n_rows, 1, 256), log-mel
    chroma : ndarray, shape (n_rows, 1, 24), or None
    """
    layers = range(vectors.shape[1])
    groups, has_answer = question.groups, question.task.wholes > 0
    of_layers = [_precisions(question, vectors[:, [layer]]) for layer in layers]
    parts = [*of_layers, _chosen(np.stack(of_layers), groups, has_answer), _precisions(question, vectors)]
    reference = _precisions(question, control)
    rival = None if chroma is None else _precisions(question, chroma)
    scores = estimate(question.task, parts, groups, n_bootstraps=N_BOOTSTRAPS, seed=seed)
    figures = []
    for layer, part, score in zip([*layers, CHOSEN, SEARCH], parts, scores, strict=True):
        ratio, low, high = _ratio(part, reference, groups, has_answer, seed)
        above = (None, None, None) if rival is None else _difference(part, rival, groups, has_answer, seed)
        value = float("nan") if score.value is None else score.value
        figures.append(
            Figure(question.bar, encoder, layer, value, score.low, score.high, score.chance, ratio, low, high, *above)
        )
    return figures


def _precisions(question: Question, vectors: np.ndarray) -> np.ndarray:
    """Average precision of each query by the app's geometry over these layers."""
    geometry = LayerGeometry.fit(vectors)
    items = geometry.items(vectors)
    queries = np.stack([geometry.query(item, geometry.plain)[0] for item in items])
    return question.task.parts(ranking(queries @ items.T))


def _chosen(parts: np.ndarray, groups: np.ndarray, has_answer: np.ndarray) -> np.ndarray:
    """Precisions (n_rows,) of each group's queries at the layer that is best for all other groups; parts per layer."""
    chosen = np.empty(parts.shape[1])
    for group in np.unique(groups):
        others = parts[:, (groups != group) & has_answer]
        layer = int(others.mean(axis=1).argmax()) if others.shape[1] else 0
        chosen[groups == group] = parts[layer, groups == group]
    return chosen


def _difference(
    part: np.ndarray, reference: np.ndarray, groups: np.ndarray, has_answer: np.ndarray, seed: int
) -> tuple[float, float, float]:
    """Of two means over queries, with an interval: the same groups are drawn for both."""
    present, codes = np.unique(groups[has_answer], return_inverse=True)
    sums = sum_by(codes, np.stack([part - reference, np.ones(len(part))], axis=1)[has_answer])
    drawn = draw_groups(len(present), N_BOOTSTRAPS, np.random.default_rng(seed)) @ sums
    differences = (drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12))[:, None]
    low, high = intervals(differences, N_BOOTSTRAPS)
    return float(differences[0, 0]), float(low[0]), float(high[0])


def _ratio(
    part: np.ndarray, reference: np.ndarray, groups: np.ndarray, has_answer: np.ndarray, seed: int
) -> tuple[float, float, float]:
    """Of two means over queries, with an interval: the same groups are drawn for both."""
    present, codes = np.unique(groups[has_answer], return_inverse=True)
    sums = sum_by(codes, np.stack([part, reference], axis=1)[has_answer])
    counts = draw_groups(len(present), N_BOOTSTRAPS, np.random.default_rng(seed))
    drawn = counts @ sums
    ratios = (drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12))[:, None]
    low, high = intervals(ratios, N_BOOTSTRAPS)
    return float(ratios[0, 0]), float(low[0]), float(high[0])


def probe_figures(
    vectors: np.ndarray,
    targets: Mapping[str, np.ndarray],
    works: Sequence[str],
    performances: Sequence[str],
    encoder: str,
    control: np.ndarray,
    chroma: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Each target: R² with the layer chosen in training; the best layer, its gain, and every layer's R².

    Parameters
    ----------
    vectors : ndarray, shape (n_windows, n_layers, dim)
    control : ndarray, shape (n_windows, 256), log-mel of the same windows
    chroma : ndarray, shape (n_windows, 24), or None
    """
    rivals = {"log-mel": control} | ({} if chroma is None else {"chroma": chroma})
    data = ProbeData(vectors, targets, works, rivals, tracks=performances)
    result = fit_cells(data, ProbeSettings(n_bootstraps=N_BOOTSTRAPS // 4, n_permutations=0))
    reference = fit_cells(
        ProbeData(control[:, None], targets, works, tracks=performances),
        ProbeSettings(n_bootstraps=N_BOOTSTRAPS // 4, n_permutations=0),
    )
    rows = []
    for target in targets:
        cells = [cell for cell in result.cells if cell.target == target and cell.r2 is not None]
        (baseline,) = (cell for cell in reference.cells if cell.target == target)
        (summary,) = (each for each in result.targets if each.target == target)
        if not cells:
            continue
        best = max(cells, key=lambda cell: cell.r2 or -np.inf)
        rows.append(
            {
                "bar": "probe",
                "encoder": encoder,
                "target": target,
                "layer": best.layer,
                "r2": best.r2,
                "nested": summary.nested_r2,
                "low": summary.nested_r2_low,
                "high": summary.nested_r2_high,
                "log_mel": baseline.r2,
                "gain": best.gain,
                "gain_low": best.gain_low,
                "gain_high": best.gain_high,
                "layers": [cell.r2 for cell in cells],
            }
        )
    return rows


@dataclass(frozen=True)
class Bar:
    """What was set out to be reached, what was reached."""

    what: str
    wanted: float
    reached: float
    unit: str = ""
    is_ceiling: bool = False

    @property
    def is_met(self) -> bool:
        return self.reached <= self.wanted if self.is_ceiling else self.reached >= self.wanted


def judge(
    figures: Sequence[Figure], probes: Sequence[Mapping[str, Any]], speed: Mapping[str, float], encoder: str
) -> list[Bar]:
    """Every bar of an encoder: MAP as a multiple of log-mel's, R² against log-mel's, speed and memory."""
    own = {name: [f for f in figures if (f.encoder, f.bar) == (encoder, name)] for name in bars_of(figures)}

    def ratio(figure: Figure) -> float:
        return figure.ratio or 0.0

    bars = [
        Bar("piece at the best layer", 2.5, ratio(best_layer(own["piece"])), "x log-mel"),
        Bar("piece by the plain search", 2.0, ratio(own["piece"][-1]), "x log-mel"),
        Bar("real: same instrument, other performers", 1.0, ratio(best_layer(own["instrument"])), "x log-mel"),
        Bar("real: same recording, far apart", 1.0, ratio(best_layer(own["recording"])), "x log-mel"),
    ]
    told = [row for row in probes if row["encoder"] == encoder]
    bars += [Bar(f"probe: {row['target']}", row["log_mel"], row["r2"], "R2") for row in told]
    n_better = sum(row["r2"] - row["log_mel"] > LEAST_BETTER for row in told)
    bars += [
        Bar("probes better than log-mel", len(told) // 2 + 1, n_better, f"of {len(told)}"),
        Bar("file to embedding", 100, speed["times_real_time"], "x real time"),
        Bar("peak memory above the loaded model", 250, speed["peak_mb"], "MB", is_ceiling=True),
        Bar("loading", 0.5, speed["load_s"], "s", is_ceiling=True),
    ]
    return bars


def bars_of(figures: Sequence[Figure]) -> list[str]:
    """Names of what was asked, in order."""
    return list(dict.fromkeys(figure.bar for figure in figures))


def best_layer(figures: Sequence[Figure]) -> Figure:
    """The figure of the best single layer."""
    return max((figure for figure in figures if figure.layer not in (CHOSEN, SEARCH)), key=lambda figure: figure.value)


def as_json(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    return [asdict(figure) for figure in figures]
