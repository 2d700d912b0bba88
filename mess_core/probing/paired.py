"""Two runs beside each other: the difference in R² of each cell, over the same rows and folds.

What both predicted for one row is of models that were trained on the same other rows, so most of what is chance in one
is chance in the other: the difference is surer than either. Its interval is that of a gain (uncertainty.py), wide
enough for all cells to hold at once; Holm's p says the same cell by cell.

Compared are the predictions that a run keeps, those of the first fold assignment. Two runs by encoders of as many
layers are compared layer by layer, others by the best layer of each, which flatters both. Of classes it is the
difference in errors of guessing avoided, by the class that each named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from mess_core.errors import InputError
from mess_core.probing.classes import class_errors, class_totals
from mess_core.probing.discovery import Discovery
from mess_core.probing.resampling import holm_adjusted, two_sided_p
from mess_core.probing.result import MAX_P, TargetProbe
from mess_core.probing.scores import squared_sums
from mess_core.probing.uncertainty import MIN_GROUPS, Gains, gains, simultaneous_quantile, t_quantile
from mess_core.storage.dataframe import frame_of
from mess_core.words import counted, listed, spans

if TYPE_CHECKING:
    import pandas

N_DRAWS = 2000
COMPARING = 3  # a stream of chance of its own, beside those of probe.py
MOST_NAMED = 6


@dataclass(frozen=True)
class PairedCell:
    """One target: how much better the first run tells it than the second.

    layer, other_layer : of the first and of the second run
    r2, other_r2 : over the same rows and folds (those of the first fold assignment)
    delta, delta_low, delta_high : r2 - other_r2, intervals that hold for all cells at once; none below ten groups
    p, p_holm : of no difference
    n, n_groups : rows and groups that both predicted
    """

    target: str
    layer: int
    other_layer: int
    r2: float
    other_r2: float
    delta: float
    delta_low: float | None
    delta_high: float | None
    p: float | None
    p_holm: float | None
    n: int
    n_groups: int

    @property
    def differs(self) -> bool:
        return self.p_holm is not None and self.p_holm < MAX_P


@dataclass(frozen=True)
class RunComparison:
    """Every cell that two runs share.

    by_layer : whether layer is compared with layer, or best with best
    left_out : (target, why) of what cannot be compared
    """

    first: str
    second: str
    by_layer: bool
    cells: tuple[PairedCell, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def clearest(self) -> list[PairedCell]:
        """Of each target the cell in which the difference is the surest."""
        found: dict[str, PairedCell] = {}
        for cell in self.cells:
            best = found.setdefault(cell.target, cell)
            if _surer(cell) < _surer(best):
                found[cell.target] = cell
        return list(found.values())

    def to_frame(self) -> pandas.DataFrame:
        """One row for each cell, a column for each field of `PairedCell`."""
        return frame_of((asdict(cell) for cell in self.cells), [each.name for each in fields(PairedCell)])

    def sentences(self) -> list[str]:
        """What came out."""
        if not self.cells:
            return [f"Nothing can be compared: {self.left_out[0][1] if self.left_out else 'no target is in both'}."]
        how = "layer by layer" if self.by_layer else "the best layer of each, which flatters both"
        said = [f"{counted(len(self.cells), 'cell')} compared over the same recordings and folds, {how}."]
        for word, sign in (("better", 1), ("worse", -1)):
            told: dict[str, list[int]] = {}
            for cell in self.cells:
                if cell.differs and sign * cell.delta > 0:
                    told.setdefault(cell.target, []).append(cell.layer)
            if told:
                named = [f"{target} ({spans('layer', layers)})" for target, layers in told.items()]
                said.append(f"The first tells {listed(named, MOST_NAMED)} {word} than the second.")
        if len(said) == 1:
            said.append("No difference is shown.")
        return said


def _surer(cell: PairedCell) -> tuple[float, float]:
    """What is the smaller the surer a difference is."""
    return 1.0 if cell.p is None else cell.p, -abs(cell.delta)


def compare_runs(first: Discovery, second: Discovery, *, seed: int = 0) -> RunComparison:
    """Compare two runs of the same recordings, each with its predictions (`Run.whole`).

    Raises
    ------
    InputError
        If they are not of the same rows, level, groups and folds.
    """
    _require_paired(first, second)
    by_layer = first.result.n_layers == second.result.n_layers
    groups = np.unique(np.asarray(first.result.groups, str), return_inverse=True)[1]
    weights = _weights(first.result.tracks, len(groups))
    theirs = {summary.target: summary for summary in second.result.targets}
    shared: list[tuple[TargetProbe, list[tuple[int, int]], np.ndarray, np.ndarray, np.ndarray, Gains]] = []
    left_out: list[tuple[str, str]] = []
    for own in first.result.targets:
        other = theirs.get(own.target)
        if other is None:
            left_out.append((own.target, "only the first run has it"))
        elif own.best_layer is None or other.best_layer is None:
            left_out.append((own.target, own.reason or other.reason))
        elif why := _why_unlike(own, other):
            left_out.append((own.target, why))
        else:
            rows = np.flatnonzero((own.folds >= 0) & np.isfinite(own.values))
            pairs = [(layer, layer) for layer in range(first.result.n_layers)]
            pairs = pairs if by_layer else [(own.best_layer, other.best_layer)]
            codes = np.unique(groups[rows], return_inverse=True)[1]
            errors = [
                _sums(probe, layers, rows, codes, weights)
                for probe, layers in zip((own, other), zip(*pairs, strict=True), strict=True)
            ]
            (mine, totals), (its, _) = errors
            r2 = np.stack([1 - each.sum(axis=0) / totals.sum() for each in (mine, its)])
            shared.append((own, pairs, rows, r2, groups[rows], gains(mine[None], its[None], totals[None, :, None])))
    left_out += [(target, "only the second run has it") for target in theirs.keys() - _names(first)]
    return RunComparison(
        first.title, second.title, by_layer, tuple(_paired_cells(shared, first.result.n_groups, seed)), tuple(left_out)
    )


def _paired_cells(
    shared: list[tuple[TargetProbe, list[tuple[int, int]], np.ndarray, np.ndarray, np.ndarray, Gains]],
    n_groups: int,
    seed: int,
) -> Iterator[PairedCell]:
    counts = [len(np.unique(codes)) for *_, codes, _ in shared]
    rng = np.random.default_rng([seed, COMPARING])
    wide = [
        (np.unique(codes), each.shares) for (*_, codes, each), n in zip(shared, counts, strict=True) if n >= MIN_GROUPS
    ]
    reach = simultaneous_quantile(wide, n_groups, N_DRAWS, rng)
    reach = reach if np.isfinite(reach) else t_quantile(max(n_groups, 2))
    p_of: list[float | None] = [
        two_sided_p(float(value), float(error), n) if n >= MIN_GROUPS else None
        for (*_, each), n in zip(shared, counts, strict=True)
        for value, error in zip(each.value, each.error, strict=True)
    ]
    adjusted = iter(zip(p_of, holm_adjusted(p_of), strict=True))
    for (own, pairs, rows, r2, _, each), n in zip(shared, counts, strict=True):
        low, high = each.intervals(reach)
        for place, (layer, other_layer) in enumerate(pairs):
            p, p_holm = next(adjusted)
            yield PairedCell(
                target=own.target,
                layer=layer,
                other_layer=other_layer,
                r2=float(r2[0, place]),
                other_r2=float(r2[1, place]),
                delta=float(each.value[place]),
                delta_low=float(low[place]) if n >= MIN_GROUPS else None,
                delta_high=float(high[place]) if n >= MIN_GROUPS else None,
                p=p,
                p_holm=p_holm,
                n=len(rows),
                n_groups=n,
            )


def _require_paired(first: Discovery, second: Discovery) -> None:
    if first.level != second.level:
        raise InputError(f"One run is of {first.level}s, the other of {second.level}s.", "Compare two of one level.")
    if first.row_ids != second.row_ids:
        n_shared = len(set(first.row_ids) & set(second.row_ids))
        raise InputError(
            f"The runs are not of the same recordings: {n_shared} rows are in both, of {len(first.row_ids)} and "
            f"{len(second.row_ids)}.",
            "Embed the same recordings with both encoders, and probe both again.",
        )
    if first.result.groups != second.result.groups:
        raise InputError(
            f"The runs keep other things apart: {first.group} and {second.group}.", "Compare two of one grouping."
        )


def _why_unlike(own: TargetProbe, other: TargetProbe) -> str:
    """Why two probes of a target cannot be paired; empty if they can."""
    if (own.classes is None) != (other.classes is None) or not np.allclose(own.values, other.values, equal_nan=True):
        return "its values are others in the two runs"
    if not np.array_equal(own.folds, other.folds):
        return "the runs deal the groups to other folds: give both the same seed and number of folds"
    if own.classes is not None and other.classes is not None and own.classes.names != other.classes.names:
        return "its classes are others in the two runs"
    return ""


def _sums(
    probe: TargetProbe, layers: tuple[int, ...], rows: np.ndarray, codes: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Errors of some layers, (n_groups, n_pairs), and of guessing, (n_groups,)."""
    values, predicted = probe.values[rows], probe.predicted[list(layers)][:, rows]
    if probe.classes is not None:
        truth, n_classes = values.astype(int), len(probe.classes.names)
        told = [class_errors(truth, each.astype(int), codes, n_classes) for each in predicted]
        return np.stack(told, axis=1), class_totals(truth, codes, n_classes)
    folds, weight = probe.folds[rows], weights[rows]
    means = np.empty(len(rows))
    for fold in np.unique(folds):
        train = folds != fold
        means[~train] = weight[train] @ values[train] / weight[train].sum()
    truth = np.repeat(values[:, None], len(layers), axis=1)
    errors, totals = squared_sums(truth, predicted.T, np.repeat(means[:, None], len(layers), axis=1), weight, codes)
    return errors, totals[:, 0]


def _weights(tracks: tuple[str, ...] | None, n_rows: int) -> np.ndarray:
    """1 / (segments of its track), as in data.py."""
    if tracks is None:
        return np.ones(n_rows)
    units = np.unique(np.asarray(tracks, str), return_inverse=True)[1]
    weights: np.ndarray = 1.0 / np.bincount(units)[units]
    return weights


def _names(found: Discovery) -> set[str]:
    return {summary.target for summary in found.result.targets}
