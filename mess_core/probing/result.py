"""What probing found: one cell per layer and target, one summary per target, and the same as JSON.

Conventions
-----------
None means "there is no such number", and `reason` says why when a cell has no R². Arrays hold NaN for it in memory and
null in JSON. R² and everything derived from it is a fraction, 1 being perfect and 0 the training mean.

Of a target of classes all that is called R² is the share of the (balanced) errors of guessing the commonest class that
the layer avoids: 1 is perfect, 0 is guessing. `classes` has it as people say it, in shares that are right.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from mess_core.errors import ArtefactMismatchError, InputError, UnknownTrackError
from mess_core.probing.uncertainty import MIN_GROUPS
from mess_core.spelling import check_name, did_you_mean
from mess_core.storage.untrusted import build, understanding
from mess_core.targets.base import Target
from mess_core.targets.registry import target_of
from mess_core.words import counted

FORMAT = "mess-probe-2"
TOO_SURE = "mess-probe-1"  # the same with intervals that covered .75 to .85 instead of .95: these are not read
ALPHAS = tuple(float(alpha) for alpha in np.logspace(-2, 7, 28))  # on standardised features
UNTRAINED = "untrained"  # the baseline that takes as long as the encoder itself: the same network, not trained
LABELS = (("high", 0.8), ("medium", 0.5), ("experimental", 0.2))  # from the lower end of R²'s interval
MAX_P = 0.05
LEAST_PERMUTATIONS = 199  # below it p is too rough for the word "encodes"

Level = Literal["track", "segment"]


@dataclass(frozen=True)
class ProbeSettings:
    """How to probe. Everything that chance decides follows from `seed`.

    alphas : candidates for the ridge penalty on standardised features; one alone is taken as it is
    n_folds : test folds, of whole groups
    n_repeats : fold assignments; R² is their mean, p belongs to the first
    n_bootstraps : draws behind the intervals of gains; 0 asks for no intervals at all
    n_permutations : draws behind p
    columns : of the user's own table, whose numbers are probed in place of the measured targets
    without : baselines left out on purpose; the result names them, and nothing in it "encodes"
    """

    alphas: tuple[float, ...] = ALPHAS
    n_folds: int = 5
    n_repeats: int = 8
    n_bootstraps: int = 2000
    n_permutations: int = 1000
    seed: int = 0
    columns: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassScores:
    """How well classes are told apart, out of fold, each with its interval (95 %, classes.py).

    accuracy : share of rows that are right when the most probable class is named
    balanced : mean over classes of the share that is right when the class is named that is most probable for its size
    auc : mean over classes of how often a row of it looks more like it than a row of another one does
    """

    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    balanced: float | None = None
    balanced_low: float | None = None
    balanced_high: float | None = None
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None


@dataclass(frozen=True)
class ClassFacts:
    """The classes of one target.

    names, counts : in the order of their codes, which `TargetProbe.values` and `predicted` hold; rows of each
    left_out : a sentence for each class that is in too few groups
    commonest : share of rows that are right when the commonest class of the training set is named
    nested : when the layer, too, is chosen inside each training set
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    commonest: float | None = None
    nested: ClassScores = dataclasses.field(default_factory=ClassScores)


@dataclass(frozen=True)
class ProbeCell:
    """How well one layer tells one target.

    level : "track" or "segment", what a row is
    r2, r2_low, r2_high : pooled out-of-fold R² and its interval (95 %, see uncertainty.py); none below 10 groups
    r2_within, r2_between : inside and between tracks (segment level) or groups (track level)
    p, p_adj : chance of such an R² under exchanged groups; p_adj for the best of all cells (max-T)
    baseline, baseline_name : R² of the best baseline; the training mean (0) is always one of them
    gain, gain_low, gain_high : R² over that; the least of the ends over all baselines, which hold for all cells at once
    alpha : median over the folds; is_on_grid_edge if any fold chose the smallest or the largest
    n, n_groups, n_eff : rows, groups, and how many independent rows they are worth
    label : from r2_low: "high", "medium", "experimental" or "none"
    encodes : exceeds every baseline on this library: gain_low > 0, p_adj < .05, and r2_within > 0 at segment level
    spearman, mae : rank correlation; mean absolute error in the unit of the (transformed) target
    r2_sd : standard deviation of R² over repeats
    in_best_set : its distance to the target's best layer is within one standard error of that (paired) difference
    classes : the shares that are right, of a target of classes; None of numbers
    """

    layer: int
    target: str
    level: Level
    r2: float | None = None
    r2_low: float | None = None
    r2_high: float | None = None
    r2_within: float | None = None
    p_adj: float | None = None
    baseline: float | None = None
    baseline_name: str | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    alpha: float | None = None
    n: int = 0
    label: str = "none"
    encodes: bool = False
    spearman: float | None = None
    mae: float | None = None
    r2_between: float | None = None
    r2_sd: float | None = None
    p: float | None = None
    n_groups: int = 0
    n_eff: float | None = None
    reason: str = ""
    is_on_grid_edge: bool = False
    in_best_set: bool = False
    classes: ClassScores | None = None


@dataclass(frozen=True, eq=False)
class TargetProbe:
    """What all layers say about one target.

    best_layer, best_set : highest R², and the layers within one standard error of it
    nested_r2, nested_r2_low, nested_r2_high : R² when the layer, too, is chosen inside each training set: the honest
        figure for "the best layer"
    nested_layers : the layers so chosen, one per fold of each repeat
    p_best : chance of the best layer's R², over all layers of this target
    ceiling : the highest R² that can be expected of anybody, where the target is a mean of ratings; None if not known
    baselines, identities : name -> R² of each baseline (one, or one per layer) and of each leak detector
    values : (n_rows,), the target; predicted : (n_layers, n_rows) float32, out of fold; folds : (n_rows,) int, -1 where
        not used; all three of the first repeat, and empty where they were left on the disk (predictions.py). Of
        classes, `values` and `predicted` are codes
    classes : what they are called; None of numbers
    """

    target: str
    reason: str = ""
    best_layer: int | None = None
    best_set: tuple[int, ...] = ()
    nested_r2: float | None = None
    nested_r2_low: float | None = None
    nested_r2_high: float | None = None
    nested_layers: tuple[int, ...] = ()
    p_best: float | None = None
    ceiling: float | None = None
    baselines: Mapping[str, tuple[float | None, ...]] = dataclasses.field(default_factory=dict)
    identities: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    values: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))
    predicted: np.ndarray = dataclasses.field(default_factory=lambda: np.empty((0, 0)))
    folds: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    classes: ClassFacts | None = None


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """Every cell and every target of one run.

    groups, tracks : (n_rows,) ids, empty where predictions were left on the disk; tracks is None at track level
    cells : n_targets x n_layers, targets in the order given, layers ascending inside each
    has_null : whether p was computed; before that no cell `encodes` anything
    missing_baselines : what the layers should have been compared with and were not
    described : target -> what it is (title, unit, kind, source, …), so that nobody needs the registry of that day
    """

    level: Level
    n_rows: int
    n_layers: int
    n_groups: int
    settings: ProbeSettings
    groups: tuple[str, ...]
    tracks: tuple[str, ...] | None
    cells: tuple[ProbeCell, ...]
    targets: tuple[TargetProbe, ...]
    has_null: bool = False
    missing_baselines: tuple[str, ...] = ()
    described: Mapping[str, Target] = dataclasses.field(default_factory=dict)

    def about(self, target: str) -> Target:
        """What a target is: as it was described when it was probed, else as the registry knows it."""
        return self.described.get(target) or target_of(target)

    @property
    def why_no_word(self) -> str:
        """Why no cell of this run may be said to "encode" anything, whatever its figures; empty if one may."""
        if self.missing_baselines:
            return f"not compared with {', '.join(self.missing_baselines)}"
        if self.settings.n_permutations < LEAST_PERMUTATIONS:
            return f"{counted(self.settings.n_permutations, 'permutation')}, fewer than {LEAST_PERMUTATIONS}"
        if self.n_groups < MIN_GROUPS:
            return f"{counted(self.n_groups, 'group')}, fewer than {MIN_GROUPS}"
        return ""

    @property
    def has_intervals(self) -> bool:
        """Whether any cell has one: not while it is provisional, nor with few groups, nor as an old version kept it."""
        return any(cell.r2_low is not None for cell in self.cells)

    def cell(self, layer: int, target: str) -> ProbeCell:
        """The cell of one layer and target; UnknownTrackError, a KeyError, if there is none."""
        for cell in self.cells:
            if (cell.layer, cell.target) == (layer, target):
                return cell
        self.target(target)
        raise UnknownTrackError(f"There is no layer {layer!r}.", f"Layers are 0 to {self.n_layers - 1}.")

    def target(self, target: str) -> TargetProbe:
        """The summary of one target; UnknownTrackError, a KeyError, if it was not probed."""
        for summary in self.targets:
            if summary.target == target:
                return summary
        probed = [summary.target for summary in self.targets]
        raise UnknownTrackError(f"The target {target!r} was not probed.", did_you_mean(str(target), probed))

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types that strict JSON knows."""
        plain: dict[str, Any] = _plain({"format": FORMAT, **asdict(self)})
        return plain

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ProbeResult:
        """The result that `to_dict` described.

        Raises
        ------
        ArtefactMismatchError
            If it was written by another version, or parts of it are missing.
        """
        cure = "Probe again: python -m mess_core probe"
        with understanding("The probe result", cure):
            if stored.get("format") == TOO_SURE:
                stored = _without_intervals(stored)
            if stored.get("format") != FORMAT:
                raise ArtefactMismatchError(
                    f"A probe result of format {stored.get('format')!r}, expected {FORMAT}.", cure
                )
            plain = {"described": {}} | {name: stored[name] for name in _field_names(cls) if name in stored}
            alphas = tuple(float(alpha) for alpha in stored["settings"]["alphas"])
            texts = {
                name: tuple(str(text) for text in stored["settings"].get(name, ())) for name in ("columns", "without")
            }
            result = build(
                cls,
                plain,
                settings=build(ProbeSettings, stored["settings"], alphas=alphas, **texts),
                groups=tuple(str(group) for group in stored["groups"]),
                tracks=None if stored["tracks"] is None else tuple(str(track) for track in stored["tracks"]),
                missing_baselines=tuple(str(name) for name in stored["missing_baselines"]),
                cells=tuple(_read_cell(cell) for cell in stored["cells"]),
                targets=tuple(_read_target(summary) for summary in stored["targets"]),
                described={name: _read_description(each) for name, each in plain["described"].items()},
            )
            if not all(0 <= cell.layer < result.n_layers for cell in result.cells):
                raise ValueError("it has a cell of a layer that is not there")
            return result


def check_settings(settings: ProbeSettings) -> None:
    """Refuse settings that cannot be used.

    Raises
    ------
    InputError
        If alphas are not positive, finite and ascending, or a number is below its least value.
    """
    if not isinstance(settings, ProbeSettings):
        raise InputError(f"Settings are a {type(settings).__name__}, expected ProbeSettings(n_folds=5, …).")
    for name in settings.without:
        check_name("baseline to leave out", name, [UNTRAINED])
    alphas = np.array(settings.alphas)
    if len(alphas) == 0 or not (np.isfinite(alphas) & (alphas > 0)).all() or (np.diff(alphas) <= 0).any():
        raise InputError(f"Alphas {settings.alphas}, expected at least one, each above 0, ascending.")
    for name, least in (("n_folds", 2), ("n_repeats", 1), ("n_bootstraps", 0), ("n_permutations", 0), ("seed", 0)):
        if getattr(settings, name) < least:
            raise InputError(f"{name} is {getattr(settings, name)}, expected at least {least}.")


def label_of(r2_low: float | None) -> str:
    """How far to trust a cell, from the lower end of R²'s interval.

    Examples
    --------
    >>> label_of(0.83), label_of(0.2), label_of(0.19), label_of(None)
    ('high', 'experimental', 'none', 'none')
    """
    for label, least in LABELS:
        if r2_low is not None and r2_low >= least:
            return label
    return "none"


def is_encoded(cell: ProbeCell) -> bool:
    """Whether the word "encodes" may be used: better than every baseline, than chance, and not only between tracks."""
    if cell.gain_low is None or cell.p_adj is None:
        return False
    is_inside = cell.level == "track" or (cell.r2_within is not None and cell.r2_within > 0)
    return cell.gain_low > 0 and cell.p_adj < MAX_P and is_inside


def _without_intervals(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A result of an earlier version, of which R² and p are right and the intervals too narrow."""
    unknown = {"r2_low": None, "r2_high": None, "gain_low": None, "gain_high": None, "label": "none", "encodes": False}
    nested = {"nested_r2_low": None, "nested_r2_high": None}
    return {
        **stored,
        "format": FORMAT,
        "missing_baselines": (),
        "cells": [{**cell, **unknown} for cell in stored["cells"]],
        "targets": [{**summary, **nested} for summary in stored["targets"]],
    }


def _field_names(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def _read_cell(stored: Mapping[str, Any]) -> ProbeCell:
    classes = stored.get("classes")
    return build(ProbeCell, stored, classes=None if classes is None else build(ClassScores, classes))


def _read_classes(stored: Mapping[str, Any] | None) -> ClassFacts | None:
    if stored is None:
        return None
    texts = {name: tuple(str(text) for text in stored[name]) for name in ("names", "left_out")}
    counts = tuple(int(count) for count in stored["counts"])
    return build(ClassFacts, stored, **texts, counts=counts, nested=build(ClassScores, stored["nested"]))


def _read_description(stored: Mapping[str, Any]) -> Target:
    more, less = (str(word) for word in stored["words"])
    return build(Target, stored, levels=tuple(str(level) for level in stored["levels"]), words=(more, less))


def _read_target(stored: Mapping[str, Any]) -> TargetProbe:
    values, predicted = np.array(stored["values"], np.float64), np.array(stored["predicted"], np.float32)
    return build(
        TargetProbe,
        {"ceiling": None} | {name: stored[name] for name in _field_names(TargetProbe) if name in stored},
        best_set=tuple(int(layer) for layer in stored["best_set"]),
        nested_layers=tuple(int(layer) for layer in stored["nested_layers"]),
        baselines={name: tuple(_number(r2) for r2 in each) for name, each in stored["baselines"].items()},
        identities={name: _number(r2) for name, r2 in stored["identities"].items()},
        values=values,  # in which None became NaN
        predicted=predicted.reshape(len(stored["predicted"]), len(stored["values"])),
        folds=np.array(stored["folds"], np.int64),
        classes=_read_classes(stored.get("classes")),
    )


def _number(stored: Any) -> float | None:
    return None if stored is None else float(stored)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
