"""What is probed: embeddings, targets, groups and baselines, checked and put in the shape that fitting needs.

Conventions
-----------
A row is a track or, if `tracks` is given, a segment; then each row weighs 1 / (segments of its track), so that long
pieces do not dominate. Targets come transformed, NaN where undefined.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mess_core.errors import InputError
from mess_core.probing.result import UNTRAINED as UNTRAINED
from mess_core.probing.result import Level
from mess_core.targets.base import Target
from mess_core.words import counted

TRAIN_MEAN = "train mean"  # the name of the dullest baseline, whose R² is 0
MIN_FOLDS = 3  # of classes: one is tested on, one judges the penalty, and one is left to train on


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
    not_for : mapping of target id to baseline names
        Baselines that hold the target itself, and so are no rivals for it.
    missing : sequence of str
        Baselines that should be here and are not. Named in the result, in which then nothing "encodes".
    ceilings : mapping of target id to float
        The highest R² that can be expected of anybody (`ceiling.py`), where that is known.
    conditions : mapping of target id to text
        Which rows of a target count, where not all that are measured do; said where too few are left.
    classes : mapping of target id to names
        Targets that have classes and no order: their values are codes, places in these names (`encode_classes`).
    described : mapping of target id to Target
        What a target is, where the registry does not know it.

    Raises
    ------
    InputError
        If shapes do not agree, the vectors hold NaN, a track is in several groups, or a code is that of no class.
    """

    vectors: np.ndarray
    targets: Mapping[str, np.ndarray]
    groups: Sequence[str]
    baselines: Mapping[str, np.ndarray] = field(default_factory=dict)
    identities: Mapping[str, np.ndarray] = field(default_factory=dict)
    tracks: Sequence[str] | None = None
    not_for: Mapping[str, Collection[str]] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()
    ceilings: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    described: Mapping[str, Target] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.vectors.ndim != 3 or 0 in self.vectors.shape:
            cure = "Of one layer: vectors[:, None, :]." if self.vectors.ndim == 2 else ""
            shape = self.vectors.shape
            raise InputError(f"Vectors of shape {shape}, expected (n_rows, n_layers, dim), each above 0.", cure)
        n_rows, n_layers, _ = self.vectors.shape
        if not np.isfinite(self.vectors).all():
            bad = int((~np.isfinite(self.vectors)).any(axis=(1, 2)).sum())
            raise InputError(
                f"The vectors of {bad} of {counted(n_rows, 'row')} hold NaN or infinity.", "Extract them again."
            )
        for what, ids in (("groups", self.groups), ("tracks", self.tracks)):
            if ids is not None and len(ids) != n_rows:
                is_turned = len(ids) == n_layers
                cure = "Are rows and layers exchanged? vectors.swapaxes(0, 1) turns them." if is_turned else ""
                raise InputError(f"{len(ids)} {what} for {counted(n_rows, 'row')}, expected one per row.", cure)
        group_of = dict(zip(() if self.tracks is None else self.tracks, self.groups, strict=False))
        for track, group in zip(() if self.tracks is None else self.tracks, self.groups, strict=False):
            if group_of[track] != group:
                raise InputError(f"Track {track} is in groups {group} and {group_of[track]}, expected one.")
        for name, values in self.targets.items():
            if np.shape(values) != (n_rows,):
                raise InputError(f"Target {name} has shape {np.shape(values)}, expected ({n_rows},).")
            if np.asarray(values).dtype.kind not in "fiub":
                raise InputError(f"Target {name} holds {np.asarray(values).dtype.name}, expected numbers.")
            if np.isinf(values).any():
                raise InputError(f"Target {name} holds infinity; an undefined value is NaN.")
        for name, values in {**self.baselines, **self.identities}.items():
            is_layered = values.ndim == 3 and values.shape[1] == n_layers and name in self.baselines
            if len(values) != n_rows or 0 in values.shape or not (values.ndim == 2 or is_layered):
                layered = f" or ({n_rows}, {n_layers}, n_features)" if name in self.baselines else ""
                raise InputError(f"{name} has shape {values.shape}, expected ({n_rows}, n_features){layered}.")
            if np.isinf(values).any():
                raise InputError(f"{name} holds infinity; an undefined value is NaN.")
        for name, names in self.classes.items():
            codes = np.asarray(self.targets.get(name, ()), np.float64)
            codes = codes[np.isfinite(codes)]
            if name not in self.targets or not np.isin(codes, np.arange(len(names))).all():
                raise InputError(f"Target {name} has codes that are none of its {len(names)} classes.")
            if self.tracks is not None:
                raise InputError(f"{name} has classes, which are told of whole tracks.", "Leave `tracks` out.")
        clash = ({TRAIN_MEAN} | set(self.identities)) & set(self.baselines)
        if clash:
            raise InputError(f"The name {min(clash)!r} is taken.", "Give the baseline another name.")

    @property
    def level(self) -> Level:
        return "track" if self.tracks is None else "segment"


@dataclass(frozen=True, eq=False)
class Block:
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


def blocks_of(data: ProbeData, n_folds: int) -> tuple[list[Block], dict[str, str]]:
    """Targets grouped by where they are defined, and why the others cannot be probed."""
    group_ids = np.asarray(data.groups, dtype=str)
    all_groups = np.unique(group_ids, return_inverse=True)[1]
    by_rows: dict[bytes, list[str]] = {}
    reasons: dict[str, str] = {}
    for target, values in data.targets.items():
        if target in data.classes:
            continue
        is_defined = np.isfinite(values)
        reason = _reason(np.asarray(values)[is_defined], group_ids[is_defined], n_folds)
        if reason:
            condition = data.conditions.get(target)
            reasons[target] = f"{reason}: {condition}" if condition else reason
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
        blocks.append(Block(tuple(targets), rows, values, weights, groups, all_groups[rows], units, group_ids[rows]))
    return blocks, reasons


@dataclass(frozen=True, eq=False)
class ClassBlock:
    """One target of classes. block : of it alone, its values the codes of `names`; left_out : a sentence each"""

    block: Block
    names: tuple[str, ...]
    left_out: tuple[str, ...]


def encode_classes(labels: Sequence[str | None]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as codes, (n_rows,) float64, NaN where there is none, and the names of the codes in alphabetical order.

    Examples
    --------
    >>> encode_classes(["piano", None, "cello", "piano"])
    (array([ 1., nan,  0.,  1.]), ('cello', 'piano'))
    """
    names = tuple(sorted({label for label in labels if label}))
    code_of = {name: float(code) for code, name in enumerate(names)}
    return np.array([code_of[label] if label else np.nan for label in labels], np.float64), names


def class_blocks_of(data: ProbeData, n_folds: int) -> tuple[list[ClassBlock], dict[str, str]]:
    """The targets of classes, each without the classes that are in fewer groups than there are folds; why others not.

    A class in fewer groups cannot be in every training set and every test set.
    """
    group_ids = np.asarray(data.groups, dtype=str)
    all_groups = np.unique(group_ids, return_inverse=True)[1]
    blocks: list[ClassBlock] = []
    reasons: dict[str, str] = {}
    for target, names in data.classes.items():
        codes = np.asarray(data.targets[target], np.float64)
        n_groups = [len(np.unique(all_groups[codes == code])) for code in range(len(names))]
        is_kept = [n >= n_folds for n in n_groups]
        left_out = tuple(
            f"{name} is left out: in {counted(n, 'group')}, fewer than the {n_folds} folds"
            for name, n in zip(names, n_groups, strict=True)
            if 0 < n < n_folds
        )
        kept = tuple(name for name, is_in in zip(names, is_kept, strict=True) if is_in)
        if not any(n_groups):
            reasons[target] = "undefined for every row"
        elif n_folds < MIN_FOLDS:
            reasons[target] = f"{n_folds} folds leave none to choose the penalty with: at least {MIN_FOLDS} are needed"
        elif not kept:
            reasons[target] = f"each of its classes is in fewer groups than the {n_folds} folds"
        elif len(kept) == 1:
            others = f", and {counted(len(left_out), 'other')} in fewer" if left_out else ""
            reasons[target] = f"only one class, {kept[0]}, is in at least {counted(n_folds, 'group')}{others}"
        else:
            rows = np.flatnonzero(np.isin(codes, np.flatnonzero(is_kept)))
            values = (np.cumsum(is_kept) - 1)[codes[rows].astype(int)].astype(np.float64)
            groups = np.unique(all_groups[rows], return_inverse=True)[1]
            weights = np.ones(len(rows))
            block = Block((target,), rows, values[:, None], weights, groups, all_groups[rows], groups, group_ids[rows])
            blocks.append(ClassBlock(block, kept, left_out))
    return blocks, reasons


def _reason(values: np.ndarray, groups: np.ndarray, n_folds: int) -> str:
    """Why a target cannot be probed; empty if it can."""
    n_groups = len(set(groups))
    if len(values) == 0:
        return "undefined for every row"
    if n_groups < n_folds:
        return f"defined in {counted(n_groups, 'group')}, fewer than the {n_folds} folds"
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return f"the same for all {counted(len(values), 'row')} where it is defined"
    return ""


@dataclass(frozen=True)
class Matrix:
    """One feature matrix: a layer of the encoder (name ""), or a baseline, or a leak detector."""

    name: str
    layer: int | None
    features: np.ndarray

    @property
    def is_layer(self) -> bool:
        return self.name == ""


def matrices_of(data: ProbeData) -> list[Matrix]:
    matrices = [Matrix("", layer, narrowed(data.vectors[:, layer])) for layer in range(data.vectors.shape[1])]
    for name, features in {**data.baselines, **data.identities}.items():
        if features.ndim == 3:
            layers = [_complete(narrowed(features[:, layer])) for layer in range(features.shape[1])]
            matrices += [Matrix(name, layer, own) for layer, own in enumerate(layers)]
        else:
            matrices.append(Matrix(name, None, _complete(features)))
    return matrices


def narrowed(features: np.ndarray) -> np.ndarray:
    """Features (n_rows, dim) without the zeros at the end of every row, which fill up a layer narrower than others.

    They would tell nothing and take as long as numbers that do.
    """
    (told,) = np.nonzero(np.nan_to_num(features).any(axis=0))
    return features[:, : told[-1] + 1] if len(told) else features[:, :1]


def _complete(features: np.ndarray) -> np.ndarray:
    """Missing values become their column's mean, and a column says which were missing."""
    is_missing = np.isnan(features)
    if not is_missing.any():
        return features
    n_known = np.maximum((~is_missing).sum(axis=0), 1)
    means = np.where(is_missing, 0.0, features).sum(axis=0) / n_known
    return np.concatenate([np.where(is_missing, means, features), is_missing[:, is_missing.any(axis=0)]], axis=1)
