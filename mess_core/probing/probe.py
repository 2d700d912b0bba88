"""Probing: which layer of an encoder carries which property, measured so that one may believe it.

    embeddings (n_rows, n_layers, dim), targets, groups, baselines
      -> rows where a target is defined, dealt to folds by group          folds.py
      -> out-of-fold ridge predictions, alpha chosen inside training      ridge.py
      -> R² between, within and pooled, Spearman, error                   scores.py
      or out-of-fold probabilities of classes, likewise                   classes.py
      -> intervals, gain over every baseline                              uncertainty.py
      -> how often chance does as well                                    resampling.py
      -> one cell per layer and target                                    result.py

`fit_cells` gives everything but p, in less than a second for fifty tracks; `add_null` repeats it on exchanged groups
and adds p. `probe_layers` does both.

Conventions
-----------
Rows, targets and baselines are described in data.py. Targets defined for the same rows share the work. Leaving
out single rows chooses alpha if no two rows share a group, else the other folds do.

Source
------
Hewitt & Liang (2019) for control targets; Westfall & Young (1993) for max-T.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mess_core.errors import InputError
from mess_core.probing.arguments import as_names, as_numbers, named_arrays, numbers_and_classes
from mess_core.probing.classes import (
    MOST_REPEATS,
    ClassPredictions,
    Naming,
    avoided,
    class_totals,
    least_error,
    null_shares,
    predict_classes,
    score_classes,
    some_alphas,
)
from mess_core.probing.data import (
    TRAIN_MEAN,
    Block,
    ClassBlock,
    Matrix,
    ProbeData,
    blocks_of,
    class_blocks_of,
    matrices_of,
    narrowed,
)
from mess_core.probing.folds import assign_folds
from mess_core.probing.regressor import RegressorProbe
from mess_core.probing.resampling import adjusted_p, permute_blocks
from mess_core.probing.result import (
    ALPHAS,
    ClassFacts,
    ProbeCell,
    ProbeResult,
    ProbeSettings,
    TargetProbe,
    check_settings,
    is_encoded,
    label_of,
)
from mess_core.probing.ridge import FoldedFeatures, Inner, OutOfFold, one_blas_thread, predict_out_of_fold
from mess_core.probing.scores import Scores, effective_n, r_squared, score, squared_sums
from mess_core.probing.uncertainty import (
    MIN_GROUPS,
    Gains,
    gains,
    r_squared_intervals,
    simultaneous_quantile,
    t_quantile,
)

BOOTSTRAP, PERMUTATION = 1, 2  # each use of chance has its own stream, so that none shifts another
NULL_ELEMENTS = 1 << 23  # rows x permuted targets held at a time
COARSE = 3  # on permuted targets every third alpha is tried: a factor of ten apart
SIGNIFICANT_DIGITS = 5  # of a target's spread, kept of predictions
DETAILS = ("r2_between", "r2_within", "spearman", "mae")  # of `Scores`, as they are called in a cell

OnProgress = Callable[[int, int], None]
Predict = Callable[..., OutOfFold]  # as `predict_out_of_fold`


def no_progress(n_done: int, n_total: int) -> None:
    """Say nothing."""


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
    n_permutations: int | None = None,
    seed: int = 0,
    probe: Any = None,
    on_progress: OnProgress = no_progress,
) -> ProbeResult:
    """Probe every layer for every target: `fit_cells`, then `add_null`.

    Parameters
    ----------
    vectors, targets, groups, baselines, identities, tracks
        As of `ProbeData`; lists do as well. A target of text has classes: logistic regression tells it, not ridge.
    alphas, n_folds, n_repeats, n_bootstraps, n_permutations, seed
        As of `ProbeSettings`; the null is 1000 permutations, with `probe` none: each of them fits everything once more.
    probe : regressor of scikit-learn or None
        In the place of ridge; see `regressor.py` for what then holds and what does not. It tells no classes.

    Raises
    ------
    InputError
        If they do not fit each other, or are no numbers.
    """
    if n_permutations is None:
        n_permutations = ProbeSettings.n_permutations if probe is None else 0
    alphas = (alphas,) if isinstance(alphas, int | float) else alphas
    values, classes = numbers_and_classes(targets)
    if classes and probe is not None:
        name = next(iter(classes))
        raise InputError(f"The target {name!r} has classes, which a regressor does not tell.", "Leave `probe` out.")
    data = ProbeData(
        as_numbers("vectors", vectors),
        named_arrays("targets", values),
        as_names("groups", groups),
        {name: as_numbers(name, values) for name, values in named_arrays("baselines", baselines or {}).items()},
        {name: as_numbers(name, values) for name, values in named_arrays("identities", identities or {}).items()},
        None if tracks is None else as_names("tracks", tracks),
        classes=classes,
    )
    settings = ProbeSettings(tuple(map(float, alphas)), n_folds, n_repeats, n_bootstraps, n_permutations, seed)
    if probe is not None:
        settings, predict = replace(settings, alphas=(1.0,)), RegressorProbe(probe)
        return add_null(fit_cells(data, settings, on_progress, predict), data, on_progress, predict)
    return add_null(fit_cells(data, settings, on_progress), data, on_progress)


@one_blas_thread()
def fit_cells(
    data: ProbeData,
    settings: ProbeSettings,
    on_progress: OnProgress = no_progress,
    predict: Predict = predict_out_of_fold,
) -> ProbeResult:
    """Everything but p: R² and its parts, intervals, gain over baselines, best layers.

    Parameters
    ----------
    data : ProbeData
    settings : ProbeSettings
    on_progress : callable (n_done, n_total)
        Counts fitted feature matrices. What it raises ends the work.
    predict : callable
        What predicts out of fold.

    Returns
    -------
    ProbeResult
        With `has_null` False. A target that cannot be probed has cells without R², and a reason.

    Raises
    ------
    InputError
        If the settings cannot be used.
    """
    check_settings(settings)
    n_rows, n_layers, _ = data.vectors.shape
    blocks, reasons = blocks_of(data, settings.n_folds)
    matrices = matrices_of(data)
    class_blocks, of_classes = class_blocks_of(data, settings.n_folds)
    reasons |= of_classes
    n_repeats = len(blocks) * settings.n_repeats + len(class_blocks) * _class_repeats(settings)
    n_total, n_done = n_repeats * len(matrices), itertools.count(1)

    def report() -> None:
        on_progress(next(n_done), n_total)

    fitted = [_fit_block(block, matrices, n_layers, settings, report, predict) for block in blocks]
    fitted += [_fit_classes(each, matrices, n_layers, settings, report) for each in class_blocks]
    blocks += [each.block for each in class_blocks]
    columns = [
        (block, fits, column, _rivals(fits, column, target, data))
        for block, fits in zip(blocks, fitted, strict=True)
        for column, target in enumerate(block.targets)
    ]
    n_groups = len(set(data.groups))
    reach = _reach([(block, rivals) for block, _, _, rivals in columns], n_groups, settings)
    cells: dict[str, list[ProbeCell]] = {}
    summaries: dict[str, TargetProbe] = {}
    for block, fits, column, rivals in columns:
        target = block.targets[column]
        cells[target] = _cells(fits, column, block, rivals, reach, data, settings)
        summaries[target] = _summary(fits, column, block, data, settings, cells[target])
    for target, reason in reasons.items():
        n = int(np.isfinite(data.targets[target]).sum())
        cells[target] = [ProbeCell(layer, target, data.level, n=n, reason=reason) for layer in range(n_layers)]
        summaries[target] = TargetProbe(target, reason)
    return ProbeResult(
        level=data.level,
        n_rows=n_rows,
        n_layers=n_layers,
        n_groups=n_groups,
        settings=settings,
        groups=tuple(map(str, data.groups)),
        tracks=None if data.tracks is None else tuple(map(str, data.tracks)),
        missing_baselines=tuple(data.missing),
        cells=tuple(cell for target in data.targets for cell in cells[target]),
        targets=tuple(summaries[target] for target in data.targets),
        described={target: data.described[target] for target in data.targets if target in data.described},
    )


@one_blas_thread()
def add_null(
    result: ProbeResult,
    data: ProbeData,
    on_progress: OnProgress = no_progress,
    predict: Predict = predict_out_of_fold,
) -> ProbeResult:
    """Add p: how often groups that exchanged their targets give as high an R².

    Everything is repeated for each permutation, the choice of alpha included, in the folds of the first repeat; alpha
    is judged by generalised cross-validation where single rows may be left out, else by the other folds among every
    third candidate, which costs a tenth. The observed arrangement runs along as permutation 0, treated in the same way
    and in the same (single) precision, so the comparison stays exact. All targets move together.

    Parameters
    ----------
    result : ProbeResult
        Of `fit_cells`.
    data : ProbeData
        The same as given there.
    on_progress : callable (n_done, n_total)
        Counts layers times batches of permutations. What it raises ends the work.
    predict : callable
        What `fit_cells` was given.
    """
    settings, n_layers, n_arrangements = result.settings, result.n_layers, result.settings.n_permutations + 1
    blocks, _ = blocks_of(data, settings.n_folds)
    class_blocks, _ = class_blocks_of(data, settings.n_folds)
    if settings.n_permutations == 0:
        return result
    if not blocks and not class_blocks:
        return replace(result, has_null=True)
    keys = np.random.default_rng([settings.seed, PERMUTATION]).random((n_arrangements, result.n_groups))
    keys[0] = np.linspace(0.0, 0.5, result.n_groups)  # ascending: everything stays in place
    batches = [(block, part) for block in blocks for part in _batches(block, n_arrangements)]
    of_classes = [(each, part) for each in class_blocks for part in _batches(each.block, n_arrangements, each.names)]
    n_total, n_done = (len(batches) + len(of_classes)) * n_layers, itertools.count(1)
    every = [*blocks, *(each.block for each in class_blocks)]
    null = {target: np.empty((n_arrangements, n_layers)) for block in every for target in block.targets}
    for block, part in batches:
        rows = permute_blocks(block.all_groups, keys[part])
        permuted = block.values[rows.T].reshape(len(block.rows), -1)  # (n_rows, n_in_part x n_targets)
        folds = _folds(block, settings, 0)
        for layer in range(n_layers):
            folded = FoldedFeatures(narrowed(data.vectors[block.rows, layer]), folds, block.weights)
            inner, alphas = _inner(block, settings), np.array(settings.alphas)
            if inner == "rows":
                inner = "trace"
            elif inner == "folds":
                alphas = alphas[::COARSE]
            out = predict(folded, permuted, alphas, inner=inner, dtype=np.float32)
            errors = block.weights @ (permuted - out.predicted) ** 2
            totals = block.weights @ (permuted - out.train_means[folds]) ** 2
            r2 = np.nan_to_num(r_squared(errors, totals), nan=0.0).reshape(-1, len(block.targets))
            for column, target in enumerate(block.targets):
                null[target][part, layer] = r2[:, column]
            on_progress(next(n_done), n_total)
    for each, part in of_classes:
        block, (target,) = each.block, each.block.targets
        permuted = block.values[:, 0].astype(int)[permute_blocks(block.all_groups, keys[part]).T]
        folds, is_single = _folds(block, settings, 0), _inner(block, settings) == "rows"
        alphas = np.array(settings.alphas)[:: 1 if is_single else COARSE]
        for layer in range(n_layers):
            folded = FoldedFeatures(narrowed(data.vectors[block.rows, layer]), folds)
            null[target][part, layer] = null_shares(folded, permuted, len(each.names), alphas, is_single=is_single)
            on_progress(next(n_done), n_total)
    return _with_p(result, null)


# --- fitting --------------------------------------------------------------------------------------------------


def _folds(block: Block, settings: ProbeSettings, repeat: int) -> np.ndarray:
    return assign_folds(block.group_ids.tolist(), settings.n_folds, seed=settings.seed, repeat=repeat)


def _inner(block: Block, settings: ProbeSettings, *, is_error_needed: bool = False) -> Inner | None:
    """How alpha is chosen: leaving out rows where each is a group of its own, else by the other folds."""
    if len(settings.alphas) == 1 and not (is_error_needed and settings.n_folds > 2):
        return None
    return "rows" if block.n_groups == len(block.rows) else "folds"


@dataclass(frozen=True, eq=False)
class _Fits:
    """All feature matrices on one block. Errors and totals: (n_repeats, n_groups, n_targets), see uncertainty.py.

    errors : (name, layer) -> errors
    totals : of the training means, the same for every matrix
    nested_errors : errors when the layer is chosen inside each training set; None if there was no way to choose
    nested_layers : (n_repeats x n_folds, n_targets), the layers so chosen
    scores : layer -> the scores of each repeat
    alphas : layer -> (n_repeats x n_folds, n_targets)
    predicted : (n_layers, n_rows, n_targets) and folds (n_rows,), of the first repeat
    classes : of a target of classes, what layers come to in shares that are right; facts : what it is
    least_error : of a gain: where all is right no group pulls, and it is not sure for that
    """

    errors: dict[tuple[str, int | None], np.ndarray]
    totals: np.ndarray
    nested_errors: np.ndarray | None
    nested_layers: np.ndarray
    scores: list[list[Scores]]
    alphas: list[np.ndarray]
    predicted: np.ndarray
    folds: np.ndarray
    classes: tuple[Naming, ...] = ()
    facts: ClassFacts | None = None
    least_error: float = 0.0

    @property
    def n_layers(self) -> int:
        return len(self.scores)

    def of_layers(self, name: str, column: int) -> np.ndarray:
        """Errors of one target beside each layer, (n_repeats, n_groups, n_layers); `name` is "" for the encoder."""
        if name == TRAIN_MEAN:
            return np.repeat(self.totals[:, :, [column]], self.n_layers, axis=2)
        layers = [layer if (name, layer) in self.errors else None for layer in range(self.n_layers)]
        return np.stack([self.errors[name, layer][:, :, column] for layer in layers], axis=2)

    def r2(self, errors: np.ndarray, column: int) -> np.ndarray:
        """R² of (n_repeats, n_groups, …) errors, mean over repeats; 0 where there is nothing to explain."""
        r2: np.ndarray = np.nan_to_num(r_squared(errors.sum(axis=(0, 1)), self.totals[:, :, column].sum()), nan=0.0)
        return r2


def _fit_block(
    block: Block,
    matrices: list[Matrix],
    n_layers: int,
    settings: ProbeSettings,
    report: Callable[[], None],
    predict: Predict = predict_out_of_fold,
) -> _Fits:
    alphas = np.array(settings.alphas)
    errors: dict[tuple[str, int | None], list[np.ndarray]] = {(matrix.name, matrix.layer): [] for matrix in matrices}
    totals: list[np.ndarray] = []
    nested_errors: list[np.ndarray] = []
    of_repeats: list[tuple[np.ndarray, list[OutOfFold], np.ndarray]] = []
    for repeat in range(settings.n_repeats):
        folds = _folds(block, settings, repeat)
        outs: list[OutOfFold] = []
        for matrix in matrices:
            inner = _inner(block, settings, is_error_needed=matrix.is_layer)
            folded = FoldedFeatures(matrix.features[block.rows], folds, block.weights)
            out = predict(folded, block.values, alphas, inner=inner)
            of_groups, total = _squared_sums(block, out, folds)
            errors[matrix.name, matrix.layer].append(of_groups)
            if matrix.is_layer:
                outs.append(out)
            report()
        totals.append(total)
        layers = _choose_layers([out.errors for out in outs])
        if len(layers):
            picked = np.take_along_axis(np.stack([out.predicted for out in outs]), layers[folds][None], axis=0)[0]
            nested_errors.append(_squared_sums(block, replace(outs[0], predicted=picked), folds)[0])
        of_repeats.append((folds, outs, layers))
    return _Fits(
        errors={of: np.stack(each) for of, each in errors.items()},
        totals=np.stack(totals),
        nested_errors=np.stack(nested_errors) if nested_errors else None,
        nested_layers=np.concatenate([layers for _, _, layers in of_repeats]),
        scores=[[_score(block, outs[layer], folds) for folds, outs, _ in of_repeats] for layer in range(n_layers)],
        alphas=[np.concatenate([outs[layer].alphas for _, outs, _ in of_repeats]) for layer in range(n_layers)],
        predicted=np.stack([out.predicted for out in of_repeats[0][1]]),
        folds=of_repeats[0][0],
    )


def _class_repeats(settings: ProbeSettings) -> int:
    return min(settings.n_repeats, MOST_REPEATS)


def _fit_classes(
    each: ClassBlock, matrices: list[Matrix], n_layers: int, settings: ProbeSettings, report: Callable[[], None]
) -> _Fits:
    """As `_fit_block`, of one target of classes."""
    block, n_classes, alphas = each.block, len(each.names), some_alphas(settings.alphas)
    codes = block.values[:, 0].astype(int)
    dealt = [_folds(block, settings, repeat) for repeat in range(_class_repeats(settings))]

    def naming(said: Sequence[ClassPredictions], *, is_shown: bool) -> Naming:
        with_intervals = is_shown and settings.n_bootstraps > 0
        return score_classes(codes, said, dealt, block.groups, n_classes, with_intervals=with_intervals)

    said: dict[tuple[str, int | None], list[ClassPredictions]] = {}
    for matrix in matrices:
        said[matrix.name, matrix.layer] = of_repeats = []
        for folds in dealt:
            folded = FoldedFeatures(matrix.features[block.rows], folds)
            of_repeats.append(predict_classes(folded, codes, n_classes, alphas, is_error_needed=matrix.is_layer))
            report()
    namings = {of: naming(predictions, is_shown=of[0] == "") for of, predictions in said.items()}
    layers = [_choose_layers([said["", layer][repeat].errors[:, None] for layer in range(n_layers)])
              for repeat in range(len(dealt))]  # fmt: skip
    picked = [
        _of_layers([said["", layer][repeat] for layer in range(n_layers)], chosen[:, 0], folds)
        for repeat, (chosen, folds) in enumerate(zip(layers, dealt, strict=True))
    ]
    nested = naming(picked, is_shown=True)
    totals = class_totals(codes, block.groups, n_classes)
    guesses = [(said["", 0][repeat].shares.argmax(axis=1)[folds] == codes).mean() for repeat, folds in enumerate(dealt)]
    return _Fits(
        errors={of: found.errors[:, :, None] for of, found in namings.items()},
        totals=np.tile(totals[:, None], (len(dealt), 1, 1)),
        nested_errors=nested.errors[:, :, None],
        nested_layers=np.concatenate(layers),
        scores=[[_class_score(errors, totals) for errors in namings["", layer].errors] for layer in range(n_layers)],
        alphas=[np.concatenate([each.alphas for each in said["", layer]])[:, None] for layer in range(n_layers)],
        predicted=np.stack([said["", layer][0].named()[:, None].astype(float) for layer in range(n_layers)]),
        folds=dealt[0],
        classes=tuple(namings["", layer] for layer in range(n_layers)),
        least_error=least_error(codes, block.groups, n_classes),
        facts=ClassFacts(
            names=each.names,
            counts=tuple(np.bincount(codes, minlength=n_classes).tolist()),
            left_out=each.left_out,
            commonest=float(np.mean(guesses)),
            nested=nested.scores,
        ),
    )


def _class_score(errors: np.ndarray, totals: np.ndarray) -> Scores:
    """Of one repeat: what has no order has neither rank correlation nor parts."""
    none = np.full(1, np.nan)
    return Scores(1.0 - errors.sum(keepdims=True) / totals.sum(), none, none, none, none)


def _of_layers(said: Sequence[ClassPredictions], layers: np.ndarray, folds: np.ndarray) -> ClassPredictions:
    """What the layer said that was chosen for each fold, (n_folds,)."""
    probabilities = np.stack([each.probabilities for each in said])
    return replace(said[0], probabilities=probabilities[layers[folds], np.arange(len(folds))])


def _choose_layers(errors_of: Sequence[np.ndarray]) -> np.ndarray:
    """The layer with the least inner error in each training set, (n_folds, n_targets); empty if none was judged."""
    errors = np.stack(errors_of)
    if np.isnan(errors).any():
        return np.empty((0, errors.shape[2]), int)
    layers: np.ndarray = errors.argmin(axis=0)
    return layers


def _score(block: Block, out: OutOfFold, folds: np.ndarray) -> Scores:
    return score(block.values, out.predicted, out.train_means[folds], block.weights, block.units)


def _squared_sums(block: Block, out: OutOfFold, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return squared_sums(block.values, out.predicted, out.train_means[folds], block.weights, block.groups)


# --- gains over baselines -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Rivals:
    """The baselines of one target and the gains over them; figures are baselines x layers."""

    names: list[str]
    r2: np.ndarray  # (n_rivals, n_layers)
    gains: Gains

    def least(self, figures: np.ndarray) -> np.ndarray:
        """Of every layer over all baselines, (n_layers,)."""
        smallest: np.ndarray = figures.reshape(len(self.names), -1).min(axis=0)
        return smallest


def _rivals(fits: _Fits, column: int, target: str, data: ProbeData) -> _Rivals:
    twins = data.not_for.get(target, ())
    names = [TRAIN_MEAN, *(name for name in data.baselines if name not in twins)]
    errors = np.concatenate([fits.of_layers(name, column) for name in names], axis=2)
    own = np.tile(fits.of_layers("", column), len(names))
    r2 = fits.r2(errors, column).reshape(len(names), fits.n_layers)
    r2[0] = 0.0  # the training mean, without what rounding makes of it
    found = gains(own, errors, fits.totals[:, :, [column]])
    return _Rivals(names, r2, replace(found, error=np.maximum(found.error, fits.least_error)))


def _reach(rivals: Sequence[tuple[Block, _Rivals]], n_groups: int, settings: ProbeSettings) -> float:
    """How many standard errors the gains of all cells over all baselines reach at once; NaN without draws."""
    if settings.n_bootstraps == 0:
        return np.nan
    rng = np.random.default_rng([settings.seed, BOOTSTRAP])
    shares = (
        (np.unique(block.all_groups), each.gains.shares) for block, each in rivals if block.n_groups >= MIN_GROUPS
    )
    reach = simultaneous_quantile(shares, n_groups, settings.n_bootstraps, rng)
    return reach if np.isfinite(reach) else t_quantile(n_groups)  # no group pulls anywhere: all right, or all alike


# --- from fits to cells ---------------------------------------------------------------------------------------


def _cells(
    fits: _Fits, column: int, block: Block, rivals: _Rivals, reach: float, data: ProbeData, settings: ProbeSettings
) -> list[ProbeCell]:
    """The cells of one target."""
    n_layers = fits.n_layers
    own = fits.of_layers("", column)
    totals = fits.totals[:, :, [column]]
    r2 = fits.r2(own, column)
    low, high = _intervals(own, totals, settings, fits)
    gain_low, gain_high = map(rivals.least, rivals.gains.intervals(reach if block.n_groups >= MIN_GROUPS else np.nan))
    best_rival = rivals.r2.argmax(axis=0)
    behind = gains(np.repeat(own[:, :, [r2.argmax()]], n_layers, axis=2), own, totals)
    is_best = behind.value <= np.sqrt((behind.shares**2).mean(axis=0) / block.n_groups)
    n_effective = None if fits.classes else float(effective_n(block.values[:, [column]], block.groups)[0])
    tried = some_alphas(settings.alphas).tolist() if fits.classes else settings.alphas
    edges = {tried[0], tried[-1]} if len(tried) > 1 else set()
    cells = []
    for layer in range(n_layers):
        alphas = fits.alphas[layer][:, column]
        per_repeat = [[getattr(scores, name)[column] for name in DETAILS] for scores in fits.scores[layer]]
        details = dict(zip(DETAILS, map(_number, np.mean(per_repeat, axis=0)), strict=True))
        r2_of_repeats = [scores.r2[column] for scores in fits.scores[layer]]
        baseline = rivals.r2[best_rival[layer], layer]
        cells.append(
            ProbeCell(
                layer=layer,
                target=block.targets[column],
                level=data.level,
                **details,  # type: ignore[arg-type]
                r2=_number(r2[layer]),
                r2_low=_number(low[layer]),
                r2_high=_number(high[layer]),
                r2_sd=float(np.std(r2_of_repeats, ddof=1)) if len(r2_of_repeats) > 1 else None,
                baseline=_number(baseline),
                baseline_name=rivals.names[best_rival[layer]],
                gain=_number(rivals.least(rivals.gains.value)[layer]),
                gain_low=_number(gain_low[layer]),
                gain_high=_number(gain_high[layer]),
                alpha=_number(np.quantile(alphas, 0.5, method="lower")),
                n=len(block.rows),
                n_groups=block.n_groups,
                n_eff=n_effective,
                label=label_of(_number(low[layer])),
                is_on_grid_edge=bool(edges & set(alphas.tolist())),
                in_best_set=bool(is_best[layer]),
                classes=fits.classes[layer].scores if fits.classes else None,
            )
        )
    return cells


def _intervals(
    errors: np.ndarray, totals: np.ndarray, settings: ProbeSettings, fits: _Fits
) -> tuple[np.ndarray, np.ndarray]:
    """Of R² in every layer; NaN where none were asked for. Of classes they are those of balanced accuracy."""
    if fits.facts is not None:
        n_classes = len(fits.facts.names)
        scores = [each.scores for each in fits.classes]
        ends = [[avoided(end, n_classes) for end in (each.balanced_low, each.balanced_high)] for each in scores]
        low, high = np.array(ends, np.float64).T
        return low, high
    if settings.n_bootstraps == 0:
        return np.full(errors.shape[2], np.nan), np.full(errors.shape[2], np.nan)
    return r_squared_intervals(errors, totals)


def _summary(
    fits: _Fits, column: int, block: Block, data: ProbeData, settings: ProbeSettings, cells: list[ProbeCell]
) -> TargetProbe:
    """The summary of one target."""
    nested_r2: list[float | None] = [None, None, None]
    if fits.facts is not None:
        nested, n_classes = fits.facts.nested, len(fits.facts.names)
        nested_r2 = [avoided(each, n_classes) for each in (nested.balanced, nested.balanced_low, nested.balanced_high)]
    elif fits.nested_errors is not None:
        errors = fits.nested_errors[:, :, [column]]
        low, high = _intervals(errors, fits.totals[:, :, [column]], settings, fits)
        nested_r2 = [_number(figure) for figure in (fits.r2(errors, column)[0], low[0], high[0])]
    values, predicted, folds = _scatter(fits, column, block, len(data.vectors))
    return TargetProbe(
        target=block.targets[column],
        best_layer=max(cells, key=lambda cell: -np.inf if cell.r2 is None else cell.r2).layer,
        best_set=tuple(cell.layer for cell in cells if cell.in_best_set),
        nested_r2=nested_r2[0],
        nested_r2_low=nested_r2[1],
        nested_r2_high=nested_r2[2],
        nested_layers=tuple(fits.nested_layers[:, column].tolist()),
        ceiling=data.ceilings.get(block.targets[column]),
        baselines={name: _all_r2(fits, name, column) for name in data.baselines},
        identities={name: _all_r2(fits, name, column)[0] for name in data.identities},
        values=values,
        predicted=predicted,
        folds=folds,
        classes=fits.facts,
    )


def _all_r2(fits: _Fits, name: str, column: int) -> tuple[float | None, ...]:
    each = [errors[:, :, column] for (of, _), errors in fits.errors.items() if of == name]
    return tuple(_number(fits.r2(errors, column).item()) for errors in each)


def _scatter(fits: _Fits, column: int, block: Block, n_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, predictions and folds over all rows; predictions to the digits that mean something, whatever computes."""
    here = block.values[:, column]
    decimals = SIGNIFICANT_DIGITS - int(np.floor(np.log10(here.std())))
    values = np.full(n_rows, np.nan)
    predicted = np.full((len(fits.predicted), n_rows), np.nan, np.float32)
    folds = np.full(n_rows, -1, np.int64)
    values[block.rows] = here
    predicted[:, block.rows] = fits.predicted[:, :, column].round(decimals)
    folds[block.rows] = fits.folds
    for array in (values, predicted, folds):
        array.setflags(write=False)
    return values, predicted, folds


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# --- the null -------------------------------------------------------------------------------------------------


def _batches(block: Block, n_arrangements: int, classes: Sequence[str] = ()) -> Iterator[slice]:
    """Parts of all arrangements small enough to hold; of classes each is a column."""
    step = max(1, NULL_ELEMENTS // (len(block.rows) * (len(classes) or len(block.targets))))
    for start in range(0, n_arrangements, step):
        yield slice(start, min(start + step, n_arrangements))


def _with_p(result: ProbeResult, null: dict[str, np.ndarray]) -> ProbeResult:
    """Null R² of each target, (n_arrangements, n_layers), the observed one first -> p of every cell and target."""
    p, p_adj = (part.reshape(len(null), -1) for part in adjusted_p(np.concatenate(list(null.values()), axis=1)))
    p_best, _ = adjusted_p(np.stack([r2.max(axis=1) for r2 in null.values()], axis=1))
    place = {target: number for number, target in enumerate(null)}
    cells = []
    for cell in result.cells:
        if cell.target in place:
            number = place[cell.target], cell.layer
            cell = replace(cell, p=float(p[number]), p_adj=float(p_adj[number]))
            cell = replace(cell, encodes=not result.why_no_word and is_encoded(cell))
        cells.append(cell)
    targets = [
        replace(summary, p_best=float(p_best[place[summary.target]])) if summary.target in place else summary
        for summary in result.targets
    ]
    return replace(result, cells=tuple(cells), targets=tuple(targets), has_null=True)
