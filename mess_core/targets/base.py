"""What a proxy target is, what one measurement of it is, and the scale it is probed on.

Conventions
-----------
A target is a pure function of one signal (audio or MIDI) over one support (a track or a segment). What cannot be
measured is NaN with a reason, never a filler.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mess_core.errors import InputError

LOGIT_EDGE = 1e-3  # shares are measured to about three digits; closer to 0 or 1 the logit would only enlarge that error
TRANSFORMS = ("id", "log", "log2", "log1p", "logit", "rank")  # each keeps the order
CIRCLE = "circle"  # of places on a circle, which have no order: no line tells them, so on the probed scale they are NaN


@dataclass(frozen=True)
class TargetValue:
    """One measurement."""

    value: float  # in the target's unit; NaN if undefined
    quality: str  # "good" | "weak" | "none"; "none" exactly where the value is NaN
    n_events: int  # onsets, notes, frames ... it rests on
    reason: str = ""  # why there is no value, or why it is weak; "" otherwise

    @classmethod
    def good(cls, value: float, n_events: int) -> TargetValue:
        """A value that rests on enough."""
        return cls(float(value), "good", int(n_events))

    @classmethod
    def weak(cls, value: float, n_events: int, reason: str) -> TargetValue:
        """A value to be used with care, and why."""
        return cls(float(value), "weak", int(n_events), reason)

    @classmethod
    def none(cls, reason: str, n_events: int = 0) -> TargetValue:
        """No value, and why."""
        return cls(math.nan, "none", int(n_events), reason)


@dataclass(frozen=True)
class Target:
    """One proxy target."""

    id: str
    title: str  # as a listener calls it
    unit: str
    dimension: str  # "timbre" | "rhythm" | "dynamics" | "harmony" | "articulation" | "form" | "expression"
    signal: str  # "audio" | "midi"
    tier: str  # how far to trust it: "high" | "medium" | "low"
    transform: str  # the scale it is probed on, one of `TRANSFORMS`, or `CIRCLE`
    levels: tuple[str, ...]  # ("track",) or ("track", "segment")
    summary: str  # one sentence for a musicologist
    is_companion: bool = False  # measured and stored, but not one of the 22
    words: tuple[str, str] = ("higher", "lower")  # what has more of it is …, what has less is …
    term: str = ""  # as the literature calls it, where that is another word
    kind: str = "numbers"  # or "classes", which have names and no order
    source: str = ""  # where its values come from, if they are not measured here

    @property
    def measured_as(self) -> str:
        """What is measured, as the literature calls it, within a sentence."""
        return self.term or self.title[:1].lower() + self.title[1:]


@dataclass(frozen=True)
class TargetEntry:
    """A target of another package, measured on sound (entry point of the group `mess.targets`).

    measure : callable (`targets.audio.Sound`) -> TargetValue, of a track, and of a segment if that is among its levels
    version : grows when its formula changes: every track is then measured again, as when the package comes or goes
    aspects : new ones that it stands for, alone or with other targets of other packages
    """

    target: Target
    measure: Callable[[Any], TargetValue]
    version: int = 1
    aspects: tuple[str, ...] = ()


def transform(values: np.ndarray, kind: str) -> np.ndarray:
    """Put values on the scale they are probed on.

    Parameters
    ----------
    values : ndarray, shape (n,)
        In the target's unit. NaN stays NaN.
    kind : str, one of `TRANSFORMS`, or `CIRCLE`
        `logit` takes shares and keeps `LOGIT_EDGE` away from 0 and 1. `rank` gives the normal scores of the ranks
        (Blom 1958), ties their mean rank; unlike the others it depends on all values given.

    Returns
    -------
    ndarray, shape (n,), float64
        NaN also where a logarithm does not exist.

    Examples
    --------
    >>> transform(np.array([1000.0, 2000.0, np.nan]), "log2").round(2)
    array([ 9.97, 10.97,   nan])
    """
    values = np.array(values, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "id":
            scaled = values
        elif kind == "log":
            scaled = np.log(values)
        elif kind == "log2":
            scaled = np.log2(values)
        elif kind == "log1p":
            scaled = np.log1p(values)
        elif kind == "logit":
            shares = np.clip(values, LOGIT_EDGE, 1 - LOGIT_EDGE)
            scaled = np.log(shares / (1 - shares))
        elif kind == "rank":
            scaled = _normal_scores(values)
        elif kind == CIRCLE:
            scaled = np.full(values.shape, np.nan)
        else:
            raise InputError(f"The transform {kind!r} was asked for; expected one of {', '.join(TRANSFORMS)}.")
    return np.where(np.isfinite(scaled), scaled, np.nan)


def error_in_units(value: float, error: float, kind: str) -> float:
    """An error on the probed scale, as an error in the target's unit near a value; NaN for `rank` and `CIRCLE`.

    Examples
    --------
    >>> round(error_in_units(1000.0, 0.5, "log2"))  # half an octave up
    414
    """
    scaled = float(transform(np.array([value]), kind)[0]) + error
    if kind == "id":
        return error
    if kind == "log":
        return math.exp(scaled) - value
    if kind == "log2":
        return 2.0**scaled - value
    if kind == "log1p":
        return math.expm1(scaled) - value
    if kind == "logit":
        return 1.0 / (1.0 + math.exp(-scaled)) - value
    return math.nan


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Normal quantiles of the ranks, (rank - 3/8) / (n + 1/4): Blom 1958."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    is_known = np.isfinite(values)
    scores = np.full(values.shape, np.nan)
    scores[is_known] = ndtri((rankdata(values[is_known]) - 0.375) / (is_known.sum() + 0.25))
    return scores
