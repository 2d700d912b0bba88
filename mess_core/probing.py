"""Probing: which layer of an encoder carries which property, measured so that one may believe it.

    embeddings (n_rows, n_layers, dim), targets, groups, baselines
      -> rows where a target is defined, dealt to folds by group          folds.py
      -> out-of-fold ridge predictions, alpha chosen inside training      ridge.py
      -> R² between, within and pooled, Spearman, error                   scores.py
      -> intervals over groups, gain over the best baseline, p            resampling.py
      -> one cell per layer and target                                    probe_result.py

`fit_cells` gives everything but p, in less than a second for fifty tracks; `add_null` repeats it on exchanged groups
and adds p. `probe_layers` does both.

Conventions
-----------
A row is a track or, if `tracks` is given, a segment; then each row weighs 1 / (segments of its track), so that long
pieces do not dominate. Targets come transformed, NaN where undefined. Targets defined for the same rows share the work.
Leaving out single rows chooses alpha if no two rows share a group, else the other folds do.

Source
------
Spec: science.md §2. Hewitt & Liang (2019) for control targets; Westfall & Young (1993) for max-T.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mess_core.errors import InputError
from mess_core.folds import assign_folds
from mess_core.probe_result import (
    ALPHAS,
    Level,
    ProbeCell,
    ProbeResult,
    ProbeSettings,
    TargetProbe,
    is_encoded,
    label_of,
)
from mess_core.resampling import adjusted_p, draw_groups, intervals, permute_blocks
from mess_core.ridge import FoldedFeatures, Inner, OutOfFold, predict_out_of_fold
from mess_core.scores import Scores, effective_n, r_squared, score, sum_by

TRAIN_MEAN = "train mean"  # the name of the dullest baseline, whose R² is 0
FOLDS, BOOTSTRAP, PERMUTATION = range(3)  # each use of chance has its own stream, so that none shifts another
NULL_ELEMENTS = 1 << 24  # rows x permuted targets held at a time
SIGNIFICANT_DIGITS = 5  # of a target's spread, kept of predictions

OnProgress = Callable[[int, int], None]


def no_progress(n_done: int, n_total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True, eq=False)
class ProbeData:
    """What is probed; checked when made.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, n_layers, dim)
        Track or segment embeddings.
    targets : mapping of target id to ndarray, shape (n_rows,)
        Transformed; NaN where undefined.
    groups : sequence of str, length n_rows
        Rows of one group are never on both sides of a split.
    baselines : mapping of name to ndarray, shape (n_rows, n_features) or (n_rows, n_layers, n_features)
        What the layers must beat. With layers, as of an untrained twin, each is compared with its own layer. A missing
        value is taken as the feature's mean, and a column that says so is added.
    identities : mapping of name to ndarray, shape (n_rows, n_features)
        Leak detectors, such as composers one-hot: shown, never subtracted.
    tracks : sequence of str, length n_rows, or None
        Given when rows are segments.

    Raises
    ------
    InputError
        If shapes do not agree or the vectors hold NaN.
    """

    vectors: np.ndarray
    targets: Mapping[str, np.ndarray]
    groups: Sequence[str]
    baselines: Mapping[str, np.ndarray] = field(default_factory=dict)
    identities: Mapping[str, np.ndarray] = field(default_factory=dict)
    tracks: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 3 or 0 in self.vectors.shape:
            raise InputError(
                f"Vectors of shape {self.vectors.shape}, expected (n_rows, n_layers, dim), none of them 0."
            )
        n_rows, n_layers, _ = self.vectors.shape
        if not np.isfinite(self.vectors).all():
            bad = int((~np.isfinite(self.vectors)).any(axis=(1, 2)).sum())
            raise InputError(f"The vectors of {bad} of {n_rows} rows hold NaN or infinity.", "Extract them again.")
        for what, ids in (("groups", self.groups), ("tracks", self.tracks)):
            if ids is not None and len(ids) != n_rows:
                raise InputError(f"{len(ids)} {what} for {n_rows} rows, expected one per row.")
        for name, values in self.targets.items():
            if np.shape(values) != (n_rows,):
                raise InputError(f"Target {name} has shape {np.shape(values)}, expected ({n_rows},).")
            if np.isinf(values).any():
                raise InputError(f"Target {name} holds infinity; an undefined value is NaN.")
        for name, values in {**self.baselines, **self.identities}.items():
            is_layered = values.ndim == 3 and values.shape[1] == n_layers and name in self.baselines
            if len(values) != n_rows or 0 in values.shape or not (values.ndim == 2 or is_layered):
                layered = f" or ({n_rows}, {n_layers}, n_features)" if name in self.baselines else ""
                raise InputError(f"{name} has shape {values.shape}, expected ({n_rows}, n_features){layered}.")
            if np.isinf(values).any():
                raise InputError(f"{name} holds infinity; an undefined value is NaN.")
        clash = ({TRAIN_MEAN} | set(self.identities)) & set(self.baselines)
        if clash:
            raise InputError(f"The name {min(clash)!r} is taken.", "Give the baseline another name.")

    @property
    def level(self) -> Level:
        return "track" if self.tracks is None else "segment"


def probe_layers(
    vectors: np.ndarray,
    targets: Mapping[str, np.ndarray],
    groups: Sequence[str],
    baselines: Mapping[str, np.ndarray] | None = None,
    *,
    identities: Mapping[str, np.ndarray] | None = None,
    tracks: Sequence[str] | None = None,
    alphas: Sequence[float] = ALPHAS,
    n_folds: int = 5,
    n_repeats: int = 1,
    n_bootstraps: int = 2000,
    n_permutations: int = 1000,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> ProbeResult:
    """Probe every layer for every target: `fit_cells`, then `add_null`. See `ProbeData` and `ProbeSettings`."""
    data = ProbeData(vectors, targets, groups, baselines or {}, identities or {}, tracks)
    settings = ProbeSettings(tuple(map(float, alphas)), n_folds, n_repeats, n_bootstraps, n_permutations, seed)
    return add_null(fit_cells(data, settings, on_progress), data, on_progress)


def fit_cells(data: ProbeData, settings: ProbeSettings, on_progress: OnProgress = no_progress) -> ProbeResult:
    """Everything but p: R² and its parts, intervals, gain over baselines, best layers.

    Parameters
    ----------
    data : ProbeData
    settings : ProbeSettings
    on_progress : callable (n_done, n_total)
        Counts fitted feature matrices. What it raises ends the work.

    Returns
    -------
    ProbeResult
        With `has_null` False. A target that cannot be probed has cells without R², and a reason.

    Raises
    ------
    InputError
        If the settings cannot be used.
    """
    _check(settings)
    n_rows, n_layers, _ = data.vectors.shape
    blocks, reasons = _blocks(data, settings)
    matrices = _matrices(data)
    n_total = len(blocks) * settings.n_repeats * len(matrices)
    cells: dict[str, list[ProbeCell]] = {}
    summaries: dict[str, TargetProbe] = {}
    for number, block in enumerate(blocks):
        n_before = number * settings.n_repeats * len(matrices)

        def report(n_done: int, n_before: int = n_before) -> None:
            on_progress(n_before + n_done, n_total)

        fits = _fit_block(block, matrices, n_layers, settings, report)
        for column, target in enumerate(block.targets):
            cells[target], summaries[target] = _summarise(fits, column, block, data, settings)
    for target, reason in reasons.items():
        n = int(np.isfinite(data.targets[target]).sum())
        cells[target] = [ProbeCell(layer, target, data.level, n=n, reason=reason) for layer in range(n_layers)]
        summaries[target] = TargetProbe(target, reason)
    return ProbeResult(
        level=data.level,
        n_rows=n_rows,
        n_layers=n_layers,
        n_groups=len(set(data.groups)),
        settings=settings,
        groups=tuple(map(str, data.groups)),
        tracks=None if data.tracks is None else tuple(map(str, data.tracks)),
        cells=tuple(cell for target in data.targets for cell in cells[target]),
        targets=tuple(summaries[target] for target in data.targets),
    )


def add_null(result: ProbeResult, data: ProbeData, on_progress: OnProgress = no_progress) -> ProbeResult:
    """Add p: how often groups that exchanged their targets give as high an R².

    Everything is repeated for each permutation, the choice of alpha included, in the folds of the first repeat. The
    observed arrangement runs along as permutation 0, in the same (single) precision. All targets move together.

    Parameters
    ----------
    result : ProbeResult
        Of `fit_cells`.
    data : ProbeData
        The same as given there.
    on_progress : callable (n_done, n_total)
        Counts layers times batches of permutations.
    """
    settings, n_layers = result.settings, result.n_layers
    if settings.n_permutations == 0:
        return result
    blocks, _ = _blocks(data, settings)
    columns = [target for block in blocks for target in block.targets]
    if not columns:
        return replace(result, has_null=True)
    rng = np.random.default_rng([settings.seed, PERMUTATION])
    keys = rng.random((settings.n_permutations, result.n_groups))
    batches = [(block, part) for block in blocks for part in _batches(block, settings.n_permutations + 1)]
    null = np.empty((settings.n_permutations + 1, n_layers, len(columns)))
    for number, (block, part) in enumerate(batches):
        rows = np.concatenate([np.arange(len(block.rows))[None], permute_blocks(block.all_groups, keys)])[part]
        permuted = block.values[rows.T].reshape(len(block.rows), -1)  # (n_rows, n_in_part x n_targets)
        place = [columns.index(target) for target in block.targets]
        folds = _folds(block, settings, 0)
        for layer in range(n_layers):
            folded = FoldedFeatures(data.vectors[block.rows, layer], folds, block.weights)
            out = predict_out_of_fold(
                folded, permuted, np.array(settings.alphas), inner=_inner(block, settings, False), dtype=np.float32
            )
            root = np.sqrt(block.weights)[:, None]
            errors = ((root * (permuted - out.predicted)) ** 2).sum(axis=0)
            totals = ((root * (permuted - out.train_means[folds])) ** 2).sum(axis=0)
            null[part, layer, place[0] : place[-1] + 1] = r_squared(errors, totals).reshape(-1, len(place))
            on_progress(number * n_layers + layer + 1, len(batches) * n_layers)
    return _with_p(result, null, columns)


# --- the rows of a target -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Block:
    """Targets that are defined for the same rows.

    values : (n_rows_here, n_targets); groups, units : codes 0, 1, …; all_groups : codes among all groups of the data
    """

    targets: tuple[str, ...]
    rows: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    groups: np.ndarray
    all_groups: np.ndarray
    units: np.ndarray
    group_ids: np.ndarray

    @property
    def n_groups(self) -> int:
        return int(self.groups.max()) + 1


def _blocks(data: ProbeData, settings: ProbeSettings) -> tuple[list[_Block], dict[str, str]]:
    """Targets grouped by where they are defined, and why the others cannot be probed."""
    group_ids = np.asarray(data.groups, dtype=str)
    all_groups = np.unique(group_ids, return_inverse=True)[1]
    by_rows: dict[bytes, list[str]] = {}
    reasons: dict[str, str] = {}
    for target, values in data.targets.items():
        is_defined = np.isfinite(values)
        reason = _reason(np.asarray(values)[is_defined], group_ids[is_defined], settings.n_folds)
        if reason:
            reasons[target] = reason
        else:
            by_rows.setdefault(is_defined.tobytes(), []).append(target)
    blocks = []
    for is_defined_bytes, targets in by_rows.items():
        rows = np.flatnonzero(np.frombuffer(is_defined_bytes, bool))
        groups = np.unique(all_groups[rows], return_inverse=True)[1]
        units, weights = groups, np.ones(len(rows))
        if data.tracks is not None:
            units = np.unique(np.asarray(data.tracks, dtype=str)[rows], return_inverse=True)[1]
            weights = 1.0 / np.bincount(units)[units]
        values = np.stack([np.asarray(data.targets[target], np.float64)[rows] for target in targets], axis=1)
        blocks.append(_Block(tuple(targets), rows, values, weights, groups, all_groups[rows], units, group_ids[rows]))
    return blocks, reasons


def _reason(values: np.ndarray, groups: np.ndarray, n_folds: int) -> str:
    """Why a target cannot be probed; empty if it can."""
    n_groups = len(set(groups))
    if len(values) == 0:
        return "undefined for every row"
    if n_groups < n_folds:
        return f"defined in {n_groups} group{'s' * (n_groups != 1)}, fewer than the {n_folds} folds"
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return f"the same for all {len(values)} rows where it is defined"
    return ""


def _folds(block: _Block, settings: ProbeSettings, repeat: int) -> np.ndarray:
    return assign_folds(block.group_ids.tolist(), settings.n_folds, seed=settings.seed, repeat=repeat)


def _inner(block: _Block, settings: ProbeSettings, is_error_needed: bool) -> Inner | None:
    if len(settings.alphas) == 1 and not (is_error_needed and settings.n_folds > 2):
        return None
    return "rows" if block.n_groups == len(block.rows) else "folds"


def _check(settings: ProbeSettings) -> None:
    alphas = np.array(settings.alphas)
    if len(alphas) == 0 or not (np.isfinite(alphas) & (alphas > 0)).all() or (np.diff(alphas) <= 0).any():
        raise InputError(f"Alphas {settings.alphas}, expected at least one, each above 0, ascending.")
    for name, least in (("n_folds", 2), ("n_repeats", 1), ("n_bootstraps", 0), ("n_permutations", 0)):
        if getattr(settings, name) < least:
            raise InputError(f"{name} is {getattr(settings, name)}, expected at least {least}.")


# --- fitting --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Matrix:
    """One feature matrix: a layer of the encoder (name ""), or a baseline, or a leak detector."""

    name: str
    layer: int | None
    features: np.ndarray


def _matrices(data: ProbeData) -> list[_Matrix]:
    matrices = [_Matrix("", layer, data.vectors[:, layer]) for layer in range(data.vectors.shape[1])]
    for name, features in {**data.baselines, **data.identities}.items():
        if features.ndim == 3:
            matrices += [_Matrix(name, layer, _complete(features[:, layer])) for layer in range(features.shape[1])]
        else:
            matrices.append(_Matrix(name, None, _complete(features)))
    return matrices


def _complete(features: np.ndarray) -> np.ndarray:
    """Missing values become their column's mean, and a column says which were missing."""
    is_missing = np.isnan(features)
    if not is_missing.any():
        return features
    n_known = np.maximum((~is_missing).sum(axis=0), 1)
    means = np.where(is_missing, 0.0, features).sum(axis=0) / n_known
    return np.concatenate([np.where(is_missing, means, features), is_missing[:, is_missing.any(axis=0)]], axis=1)


@dataclass(frozen=True, eq=False)
class _Fits:
    """All feature matrices on one block; arrays over repeats hold the mean, unless said otherwise.

    r2 : matrix -> (n_replicates, n_targets), in the order of `draw_groups`; nested : the same for the chosen layer
    details : layer -> score name -> (n_repeats, n_targets)
    alphas : (n_layers, n_repeats x n_folds, n_targets)
    predicted : (n_layers, n_rows, n_targets) and folds (n_rows,), of the first repeat
    chosen : (n_repeats x n_folds, n_targets), the layer chosen inside each training set
    """

    r2: dict[tuple[str, int | None], np.ndarray]
    nested: np.ndarray
    details: list[dict[str, np.ndarray]]
    alphas: np.ndarray
    predicted: np.ndarray
    folds: np.ndarray
    chosen: np.ndarray


def _fit_block(
    block: _Block,
    matrices: list[_Matrix],
    n_layers: int,
    settings: ProbeSettings,
    report: Callable[[int], None],
) -> _Fits:
    rng = np.random.default_rng([settings.seed, BOOTSTRAP])
    counts = draw_groups(block.n_groups, settings.n_bootstraps, rng)
    alphas = np.array(settings.alphas)
    r2: dict[tuple[str, int | None], np.ndarray] = {}
    nested = np.zeros((len(counts), len(block.targets)))
    repeats: list[tuple[np.ndarray, list[OutOfFold], np.ndarray]] = []
    scores: list[list[Scores]] = [[] for _ in range(n_layers)]
    for repeat in range(settings.n_repeats):
        folds = _folds(block, settings, repeat)
        outs: list[OutOfFold] = []
        for number, matrix in enumerate(matrices):
            is_layer = matrix.name == ""
            inner = _inner(block, settings, is_layer and n_layers > 1)
            folded = FoldedFeatures(matrix.features[block.rows], folds, block.weights)
            out = predict_out_of_fold(folded, block.values, alphas, inner=inner)
            errors, totals = _sums(block, out.predicted, out.train_means[folds])
            key = (matrix.name, matrix.layer)
            r2[key] = r2.get(key, 0.0) + _replicate(counts, errors, totals) / settings.n_repeats
            if is_layer:
                outs.append(out)
                means = out.train_means[folds]
                scores[len(outs) - 1].append(
                    score(block.values, out.predicted, means, block.weights, block.groups, block.units)
                )
            report(repeat * len(matrices) + number + 1)
        chosen = _choose_layers(outs)
        picked = np.take_along_axis(np.stack([out.predicted for out in outs]), chosen[folds][None], axis=0)[0]
        nested += _replicate(counts, *_sums(block, picked, outs[0].train_means[folds])) / settings.n_repeats
        repeats.append((folds, outs, chosen))
    names = ("r2", "r2_between", "r2_within", "spearman", "mae")
    return _Fits(
        r2=r2,
        nested=nested,
        details=[{name: np.stack([getattr(s, name) for s in of_layer]) for name in names} for of_layer in scores],
        alphas=np.stack([np.concatenate([outs[layer].alphas for _, outs, _ in repeats]) for layer in range(n_layers)]),
        predicted=np.stack([out.predicted for out in repeats[0][1]]),
        folds=repeats[0][0],
        chosen=np.concatenate([chosen for _, _, chosen in repeats]),
    )


def _choose_layers(outs: list[OutOfFold]) -> np.ndarray:
    """The layer with the least inner error in each training set, (n_folds, n_targets)."""
    if len(outs) == 1:
        return np.zeros(outs[0].errors.shape, int)
    return np.stack([np.nan_to_num(out.errors, nan=np.inf) for out in outs]).argmin(axis=0)


def _sums(block: _Block, predicted: np.ndarray, train_means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared errors and totals of each group, (n_groups, n_targets)."""
    weights = block.weights[:, None]
    errors = sum_by(block.groups, weights * (block.values - predicted) ** 2)
    return errors, sum_by(block.groups, weights * (block.values - train_means) ** 2)


def _replicate(counts: np.ndarray, errors: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """R² of every resample; 0 where a resample has nothing to explain."""
    return np.nan_to_num(r_squared(counts @ errors, counts @ totals), nan=0.0)


# --- from fits to cells ---------------------------------------------------------------------------------------


def _summarise(
    fits: _Fits, column: int, block: _Block, data: ProbeData, settings: ProbeSettings
) -> tuple[list[ProbeCell], TargetProbe]:
    """The cells of one target, and its summary."""
    n_layers, n_draws, target = len(fits.details), settings.n_bootstraps, block.targets[column]
    r2 = np.stack([fits.r2["", layer][:, column] for layer in range(n_layers)], axis=1)  # (n_replicates, n_layers)
    rivals = _rivals(fits, column, data, n_layers)
    names = list(rivals)
    stacked = np.stack([rivals[name] for name in names])  # (n_baselines, n_replicates, n_layers)
    gain = r2 - stacked.max(axis=0)
    best_rival = stacked[:, 0].argmax(axis=0)
    bounds = [*intervals(r2, n_draws), *intervals(gain, n_draws)]
    best_layer = int(r2[0].argmax())
    behind = r2[:, [best_layer]] - r2
    spread = behind[1 : 1 + n_draws].std(axis=0) if n_draws else np.zeros(n_layers)
    is_best = behind[0] <= spread
    n_effective = float(effective_n(block.values[:, [column]], block.groups)[0])
    edges = {settings.alphas[0], settings.alphas[-1]} if len(settings.alphas) > 1 else set()
    cells = []
    for layer in range(n_layers):
        details = {name: values[:, column] for name, values in fits.details[layer].items()}
        alphas = fits.alphas[layer][:, column]
        low, high, gain_low, gain_high = (_number(bound[layer]) for bound in bounds)
        cells.append(
            ProbeCell(
                layer=layer,
                target=target,
                level=data.level,
                r2=_number(r2[0, layer]),
                r2_low=low,
                r2_high=high,
                r2_within=_number(details["r2_within"].mean()),
                r2_between=_number(details["r2_between"].mean()),
                r2_sd=_number(details["r2"].std(ddof=1)) if settings.n_repeats > 1 else None,
                baseline=_number(stacked[best_rival[layer], 0, layer]),
                baseline_name=names[best_rival[layer]],
                gain=_number(gain[0, layer]),
                gain_low=gain_low,
                gain_high=gain_high,
                alpha=_number(np.exp(np.median(np.log(alphas)))),
                n=len(block.rows),
                n_groups=block.n_groups,
                n_eff=n_effective,
                label=label_of(low),
                spearman=_number(details["spearman"].mean()),
                mae=_number(details["mae"].mean()),
                is_on_grid_edge=bool(edges & set(alphas.tolist())),
                in_best_set=bool(is_best[layer]),
            )
        )
    nested_low, nested_high = (_number(bound[0]) for bound in intervals(fits.nested[:, [column]], n_draws))
    has_choice = len(settings.alphas) > 1 or settings.n_folds > 2 or n_layers == 1
    summary = TargetProbe(
        target=target,
        best_layer=best_layer,
        best_set=tuple(np.flatnonzero(is_best).tolist()),
        nested_r2=_number(fits.nested[0, column]) if has_choice else None,
        nested_r2_low=nested_low if has_choice else None,
        nested_r2_high=nested_high if has_choice else None,
        nested_layers=tuple(fits.chosen[:, column].tolist()) if has_choice else (),
        baselines={name: _by_layer(fits, name, column) for name in data.baselines},
        identities={name: _number(fits.r2[name, None][0, column]) for name in data.identities},
        **_scatter(fits, column, block, len(data.vectors)),
    )
    return cells, summary


def _rivals(fits: _Fits, column: int, data: ProbeData, n_layers: int) -> dict[str, np.ndarray]:
    """Baseline name -> R² (n_replicates, n_layers), the training mean first."""
    shape = (len(fits.nested), n_layers)
    rivals = {TRAIN_MEAN: np.zeros(shape)}
    for name, features in data.baselines.items():
        layers = range(n_layers) if features.ndim == 3 else [None] * n_layers
        rivals[name] = np.stack([fits.r2[name, layer][:, column] for layer in layers], axis=1)
    return rivals


def _by_layer(fits: _Fits, name: str, column: int) -> tuple[float | None, ...]:
    return tuple(_number(r2[0, column]) for (of, _), r2 in fits.r2.items() if of == name)


def _scatter(fits: _Fits, column: int, block: _Block, n_rows: int) -> dict[str, np.ndarray]:
    """What the scatter of predicted against true needs, over all rows; rounded so that the JSON stays short."""
    values = block.values[:, column]
    decimals = SIGNIFICANT_DIGITS - int(np.floor(np.log10(values.std())))
    arrays = {
        "values": np.full(n_rows, np.nan),
        "predicted": np.full((len(fits.predicted), n_rows), np.nan),
        "folds": np.full(n_rows, -1, np.int64),
    }
    arrays["values"][block.rows] = values
    arrays["predicted"][:, block.rows] = fits.predicted[:, :, column].round(decimals)
    arrays["folds"][block.rows] = fits.folds
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# --- the null -------------------------------------------------------------------------------------------------


def _batches(block: _Block, n_permutations: int) -> Iterator[slice]:
    step = max(1, NULL_ELEMENTS // (len(block.rows) * len(block.targets)))
    for start in range(0, n_permutations, step):
        yield slice(start, min(start + step, n_permutations))


def _with_p(result: ProbeResult, null: np.ndarray, columns: list[str]) -> ProbeResult:
    """Null R² (1 + n_permutations, n_layers, n_targets) -> p of every cell and of every target's best layer."""
    n_rows, n_layers, n_targets = null.shape
    p, p_adj = (part.reshape(n_layers, n_targets) for part in adjusted_p(null.reshape(n_rows, -1)))
    p_best = adjusted_p(null.max(axis=1))[0]
    cells = []
    for cell in result.cells:
        if cell.target in columns:
            place = cell.layer, columns.index(cell.target)
            cell = replace(cell, p=float(p[place]), p_adj=float(p_adj[place]))
            cell = replace(cell, encodes=is_encoded(cell))
        cells.append(cell)
    targets = [
        replace(summary, p_best=float(p_best[columns.index(summary.target)])) if summary.target in columns else summary
        for summary in result.targets
    ]
    return replace(result, cells=tuple(cells), targets=tuple(targets), has_null=True)
