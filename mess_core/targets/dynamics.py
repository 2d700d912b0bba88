"""Loudness over time: its range, its variance, and how it swells and fades.

    blocks -> K filter -> power in steps of 0.1 s -> momentary (0.4 s) and short-term (3 s) loudness at 10 Hz

Conventions
-----------
Loudness in LUFS is that of the mono mix; differences are in LU (1 LU = 1 dB). Powers are mean squares after the K
filter. What is silence is said relative to the recording's own loud parts, so that no target but the loudness knows at
what level it was made. A part of a recording takes that gate from the whole: its noise floor does not become music.

Source
------
ITU-R BS.1770-4 (K filter, gating); EBU Tech 3342 (loudness range); Todd 1992, "The dynamics of dynamics" (swells).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from mess_core.audio.loudness import LoudnessMeter
from mess_core.targets.base import TargetValue
from mess_core.targets.frames import SAMPLE_RATE_HZ

STEP_S = 0.1
MOMENTARY_STEPS = 4  # 0.4 s, BS.1770
SHORT_TERM_STEPS = 30  # 3 s, EBU Tech 3341
FLOOR_LUFS = -120.0  # what digital silence is called
ABSOLUTE_GATE_LUFS = -70.0  # BS.1770, for the loudness itself
RANGE_GATE_LU = -20.0  # EBU Tech 3342: below the mean power of what is not silence
INTEGRATED_GATE_LU = -10.0  # BS.1770
RANGE_PERCENTILES = (10, 95)  # EBU Tech 3342
MIN_RANGE_S = 10.0  # three spans of 3 s that have nothing in common; percentiles of fewer are one another's echo

LOUD_LU = -50.0  # what is not this far below the loudest step has a say in how loud the loud parts are
SOUNDING_LU = -40.0  # a step sounds if it is not this far below the loud parts (their 95th percentile): the noise floor
SILENT_LUFS = -80.0  # loud parts below are no music: the dither of 16 bits lies at -89
MIN_SPREAD_S = 2.0  # of sound: with less a spread means nothing
MIN_SWELL_SUPPORT_S = 8.0  # the shortest support that can hold a rise and a fall

TURN_LU = 3.0  # a turning point is confirmed when the contour has come back by this much
MIN_SWELL_S = 1.5  # from 10 % to 90 % of the change: a subito forte, smoothed, takes 1.3 s and is no crescendo
CONTOUR_MEDIAN_STEPS = 5
CONTOUR_SIGMA_S = 0.5
ONSET_PEAK_STEPS = 4  # loudness of a chord: the largest within 0.4 s of its onset


class LoudnessStream(LoudnessMeter):
    """Collects K-weighted power in steps of 0.1 s."""

    def __init__(self) -> None:
        super().__init__(SAMPLE_RATE_HZ, n_channels=1)

    def add_mono(self, block: np.ndarray) -> None:
        """Take the next samples, shape (n,)."""
        self.add(block[:, np.newaxis])

    def finish(self) -> Loudness:
        """Return what was collected; an unfinished last step is left out."""
        step_samples = round(STEP_S * SAMPLE_RATE_HZ)
        n_steps = self._n_frames // step_samples
        return Loudness(np.array(self._step_energies[:n_steps]) / step_samples)


@dataclass(frozen=True)
class Loudness:
    """The loudness contour of one support."""

    powers: np.ndarray  # (n_steps,), K-weighted mean square of each step of `STEP_S`
    gate_lufs: float | None = None  # of the recording this is a part of; None: found in it

    def between(self, start_s: float, end_s: float) -> Loudness:
        """The steps nearest to a part of the support."""
        return Loudness(self.powers[round(start_s / STEP_S) : round(end_s / STEP_S)], self.sounding_lufs)

    @cached_property
    def steps_lufs(self) -> np.ndarray:
        """Loudness of each step, shape (n_steps,)."""
        return to_lufs(self.powers)

    @cached_property
    def momentary_powers(self) -> np.ndarray:
        """Mean square over 0.4 s, every 0.1 s."""
        return _moving_mean(self.powers, MOMENTARY_STEPS)

    @cached_property
    def sounding_lufs(self) -> float:
        """Above this a step counts as music and not as noise floor."""
        if self.gate_lufs is not None:
            return self.gate_lufs
        loud = self.steps_lufs[self.steps_lufs > self.steps_lufs.max(initial=FLOOR_LUFS) + LOUD_LU]
        loud_parts_lufs = float(np.percentile(loud, 95)) if len(loud) else FLOOR_LUFS
        return loud_parts_lufs + SOUNDING_LU if loud_parts_lufs > SILENT_LUFS else SILENT_LUFS

    @cached_property
    def is_sounding(self) -> np.ndarray:
        """For each step, shape (n_steps,), bool."""
        return self.steps_lufs > self.sounding_lufs

    @property
    def sounding_s(self) -> float:
        """How long there is music."""
        return STEP_S * int(self.is_sounding.sum())

    def is_sounding_at(self, times_s: np.ndarray) -> np.ndarray:
        """Whether there is music at each time, shape (n,), bool; times beyond the last step take its answer."""
        if not len(self.powers):
            return np.zeros(len(times_s), dtype=bool)
        return self.is_sounding[np.clip((times_s / STEP_S).astype(int), 0, len(self.powers) - 1)]


def to_lufs(powers: np.ndarray) -> np.ndarray:
    """Loudness of K-weighted mean squares (BS.1770-4, equation 2), at least `FLOOR_LUFS`."""
    return np.maximum(LoudnessMeter.OFFSET_LU + 10 * np.log10(np.maximum(powers, 1e-30)), FLOOR_LUFS)


def gated(powers: np.ndarray, gate_lufs: float, relative_gate_lu: float) -> np.ndarray:
    """The powers that pass two gates, as in BS.1770: the first, then one relative to the mean of those that pass it."""
    loud = powers[to_lufs(powers) > gate_lufs]
    return loud[loud > loud.mean() * 10 ** (relative_gate_lu / 10)] if len(loud) else loud


# --- the targets ------------------------------------------------------------------------------------------


def measure(loudness: Loudness, onsets_s: np.ndarray, are_onsets_exact: bool = False) -> dict[str, TargetValue]:
    """All targets of this file; the onsets as in `contour`."""
    rises, falls = swell_strengths(contour(loudness, onsets_s, are_onsets_exact), loudness.sounding_s)
    return {
        "dynamic_range": dynamic_range(loudness),
        "dynamic_variance": dynamic_variance(loudness),
        "crescendo_strength": rises,
        "diminuendo_strength": falls,
        "loudness_lufs": loudness_lufs(loudness),
    }


def dynamic_range(loudness: Loudness) -> TargetValue:
    """P95 - P10 of gated short-term loudness [LU]."""
    duration_s = len(loudness.powers) * STEP_S
    if duration_s < MIN_RANGE_S - STEP_S / 2:
        return TargetValue.none(f"{duration_s:.1f} s long; a range of loudness over 3 s needs {MIN_RANGE_S:g} s")
    powers = _moving_mean(loudness.powers, SHORT_TERM_STEPS)
    levels_lufs = to_lufs(gated(powers, loudness.sounding_lufs, RANGE_GATE_LU))
    if loudness.sounding_s < MIN_SPREAD_S or not len(levels_lufs):
        return TargetValue.none(f"{loudness.sounding_s:.1f} s of sound; a spread needs {MIN_SPREAD_S:g} s")
    low, high = np.percentile(levels_lufs, RANGE_PERCENTILES)
    return TargetValue.good(high - low, len(levels_lufs))


def dynamic_variance(loudness: Loudness) -> TargetValue:
    """Variance of gated momentary loudness [LU²]."""
    levels_lufs = to_lufs(gated(loudness.momentary_powers, loudness.sounding_lufs, RANGE_GATE_LU))
    if loudness.sounding_s < MIN_SPREAD_S or not len(levels_lufs):
        return TargetValue.none(f"{loudness.sounding_s:.1f} s of sound; a spread needs {MIN_SPREAD_S:g} s")
    return TargetValue.good(np.var(levels_lufs), len(levels_lufs))


def loudness_lufs(loudness: Loudness) -> TargetValue:
    """Integrated loudness of the mono mix [LUFS]."""
    powers = gated(loudness.momentary_powers, ABSOLUTE_GATE_LUFS, INTEGRATED_GATE_LU)
    if not len(powers):
        return TargetValue.none("silent, or shorter than 0.4 s")
    return TargetValue.good(float(to_lufs(powers.mean())), len(powers))


def swell_strengths(contour_lufs: np.ndarray, sounding_s: float) -> tuple[TargetValue, TargetValue]:
    """(crescendo, diminuendo): loudness gained, and lost, in swells, per minute of music [LU/min]."""
    if sounding_s < MIN_SWELL_SUPPORT_S:
        nothing = TargetValue.none(f"{sounding_s:.1f} s of sound; swells need {MIN_SWELL_SUPPORT_S:g} s")
        return nothing, nothing
    changes_lu = swells_lu(contour_lufs)
    rises, falls = changes_lu[changes_lu > 0], -changes_lu[changes_lu < 0]
    return (
        TargetValue.good(rises.sum() / (sounding_s / 60), len(rises)),
        TargetValue.good(falls.sum() / (sounding_s / 60), len(falls)),
    )


def contour(loudness: Loudness, onsets_s: np.ndarray, are_onsets_exact: bool = False) -> np.ndarray:
    """The loudness contour in which swells are sought [LUFS at 10 Hz], smoothed; pauses lie at the sounding gate.

    It ends with the last onset: what follows is one chord dying away, at the end of almost every recording.

    Parameters
    ----------
    onsets_s : ndarray, shape (n_onsets,), increasing; with fewer than two the contour is left whole
    are_onsets_exact : bool
        If the onsets are those of the MIDI, the contour joins the loudness of chord to chord: then no decay of a struck
        string is a diminuendo.
    """
    levels_lufs = np.maximum(to_lufs(loudness.momentary_powers), loudness.sounding_lufs)
    if len(onsets_s) >= 2 and len(levels_lufs):
        steps = np.clip((onsets_s / STEP_S).astype(int), 0, len(levels_lufs) - 1)
        if are_onsets_exact:
            peaks = [levels_lufs[step : step + ONSET_PEAK_STEPS].max() for step in steps]
            levels_lufs = np.interp(np.arange(len(levels_lufs)), steps, peaks)
        levels_lufs = levels_lufs[: steps[-1] + ONSET_PEAK_STEPS]
    if not len(levels_lufs):
        return levels_lufs
    levels_lufs = median_filter(levels_lufs, CONTOUR_MEDIAN_STEPS, mode="nearest")
    return gaussian_filter1d(levels_lufs, CONTOUR_SIGMA_S / STEP_S, mode="nearest")


def swells_lu(levels_lufs: np.ndarray) -> np.ndarray:
    """Change over each rise (positive) and fall (negative) that is large and slow enough [LU].

    Parameters
    ----------
    levels_lufs : ndarray, shape (n_steps,), at 10 Hz
    """
    turns = turning_points(levels_lufs, TURN_LU)
    runs = [levels_lufs[start : end + 1] for start, end in pairwise(turns)]
    changes = [run[-1] - run[0] for run in runs if abs(run[-1] - run[0]) >= TURN_LU and _core_s(run) >= MIN_SWELL_S]
    return np.array(changes)


def turning_points(levels: np.ndarray, hysteresis: float) -> list[int]:
    """Rows where the contour turns: the first, every extremum from which it comes back by `hysteresis`, the last.

    Between turning points it rises and falls in turn (zig-zag segmentation).
    """
    turns, low, high = [0], 0, 0  # rows of the lowest and the highest value since the last turn
    direction = 0
    for row, level in enumerate(levels):
        if level > levels[high]:
            high = row
        if level < levels[low]:
            low = row
        if direction >= 0 and levels[high] - level >= hysteresis and high < row:
            turns += [high] if high > turns[-1] else []
            direction, low, high = -1, row, row
        elif direction <= 0 and level - levels[low] >= hysteresis and low < row:
            turns += [low] if low > turns[-1] else []
            direction, low, high = 1, row, row
    last = high if direction > 0 else low if direction < 0 else len(levels) - 1
    return turns + ([last] if last > turns[-1] else [])


def _core_s(levels_lufs: np.ndarray) -> float:
    """Time from 10 % to 90 % of the change between the first and the last value."""
    share = (levels_lufs - levels_lufs[0]) / (levels_lufs[-1] - levels_lufs[0])
    return STEP_S * float(np.argmax(share >= 0.9) - np.argmax(share >= 0.1))


def _moving_mean(powers: np.ndarray, n_steps: int) -> np.ndarray:
    """Mean of every `n_steps` neighbours, shape (n - n_steps + 1,)."""
    if len(powers) < n_steps:
        return np.zeros(0)
    return np.maximum(np.convolve(powers, np.full(n_steps, 1 / n_steps), mode="valid"), 0.0)
