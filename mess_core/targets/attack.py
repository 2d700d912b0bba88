"""How notes begin: the rise of the envelope, at a resolution of 1 ms.

    blocks -> 200 to 8000 Hz -> mean square in cells of 1 ms -> RMS over 5 ms, in dB -> one row per onset -> median

A piano's attack lasts 5 to 30 ms; the frames of a spectrum are too long to see it.

Source
------
Peeters 2004, section 3.1 (attack from fixed thresholds); LogAttackTime as in essentia (20 % to 90 % of the amplitude).
The hammer's speed changes loudness and attack together: read these targets beside loudness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from mess_core.targets.base import TargetValue
from mess_core.targets.frames import SAMPLE_RATE_HZ, Filter, Framer
from mess_core.words import counted

BAND_HZ = (200.0, 8000.0)
CELL_SAMPLES = 22  # 1 ms
CELL_S = CELL_SAMPLES / SAMPLE_RATE_HZ
SMOOTH_CELLS = 5  # 5 ms
FLOOR_DB, FLOOR_S = -60.0, 0.25  # below the loudest within 0.25 s: what lies deeper is silence, however deep
QUIETEST = 1e-15  # mean square, -150 dBFS: digital silence has a logarithm too

BEFORE_S = 0.06  # the floor is the median of 60 to 10 ms before the onset
BEFORE_END_S = 0.01
AFTER_S = 0.15  # the peak is sought up to here
# an onset from the flux is moved to the foot of the steepest rise this near: further away, partials that beat against
# each other rise as steeply as notes do (50 ms: rank correlation with attacks at the MIDI's onsets .97; 25 ms: .995)
REFINE_S = 0.025
MIN_LEAP_DB = 6.0  # less than that is no attack of its own
MIN_APART_S = 0.04  # the next onset must leave this one room
BATCH_ONSETS = 1024  # at a time: their surroundings take 2 MB
LOW_SHARE, HIGH_SHARE = 0.2, 0.9  # "weakest effort" bounds of the rise
LOW_AMPLITUDE_DB, HIGH_AMPLITUDE_DB = -13.98, -0.92  # 20 % and 90 % of the peak amplitude, essentia
MIN_LOG_ATTACK_TIME = -5.0  # essentia's value for less than 0.1 ms
MIN_ATTACKS = 3
GOOD_ATTACKS = 10


class EnvelopeStream:
    """Collects the energy of the middle band in cells of 1 ms."""

    def __init__(self) -> None:
        self._band_pass = Filter(signal.butter(2, BAND_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos"))
        self._framer = Framer(CELL_SAMPLES, CELL_SAMPLES)
        self._parts: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Take the next samples, shape (n,)."""
        cells = self._framer.add(self._band_pass.add(block).astype(np.float32))
        self._parts.append(np.einsum("ij,ij->i", cells, cells) / CELL_SAMPLES)

    def finish(self) -> np.ndarray:
        """Return the envelope, shape (n_cells,), float32, dBFS; cell i ends at (i + 1) `CELL_S`.

        It never lies more than 60 dB below what is near: a rise from digital silence is as steep as one from noise,
        and a recording's level does not matter.
        """
        power = np.concatenate([np.zeros(0, dtype=np.float32), *self._parts])
        if not len(power):
            return power
        envelope_db = 10 * np.log10(np.maximum(uniform_filter1d(power, SMOOTH_CELLS, mode="nearest"), QUIETEST))
        near_db = maximum_filter1d(envelope_db, 2 * round(FLOOR_S / CELL_S) + 1, mode="nearest")
        return np.maximum(envelope_db, near_db + FLOOR_DB)


@dataclass(frozen=True)
class Attacks:
    """One row per onset with a clear attack."""

    onsets_s: np.ndarray  # (n_attacks,), from the start of the support
    slopes: np.ndarray  # (n_attacks,), dB/s, from 20 % to 90 % of the leap
    sharpness: np.ndarray  # (n_attacks,), dB/s, the steepest moment
    log_times: np.ndarray  # (n_attacks,), log10 s, from 20 % to 90 % of the peak amplitude; NaN if it starts above 20 %

    def between(self, start_s: float, end_s: float) -> Attacks:
        """The attacks whose surroundings lie within a part of the support."""
        rows = (self.onsets_s >= start_s + BEFORE_S) & (self.onsets_s + AFTER_S <= end_s)
        return Attacks(self.onsets_s[rows] - start_s, self.slopes[rows], self.sharpness[rows], self.log_times[rows])


def find_attacks(envelope_db: np.ndarray, onsets_s: np.ndarray) -> Attacks:
    """Measure the rise at each onset that has one.

    Parameters
    ----------
    envelope_db : ndarray, shape (n_cells,), dBFS
    onsets_s : ndarray, shape (n_onsets,), increasing, accurate to a few ms
    """
    n_before, n_after = round(BEFORE_S / CELL_S), round(AFTER_S / CELL_S)
    n_floor = n_before - round(BEFORE_END_S / CELL_S)
    rows = np.round(onsets_s / CELL_S).astype(int)
    is_apart = np.append(np.diff(onsets_s) >= MIN_APART_S, True)[: len(rows)]
    is_whole = (rows >= n_before) & (rows + n_after < len(envelope_db))
    room_cells = np.append(np.diff(onsets_s), np.inf)[: len(rows)].clip(max=AFTER_S) / CELL_S  # until the next onset
    is_usable = np.flatnonzero(is_apart & is_whole)
    parts = []
    for start in range(0, max(len(is_usable), 1), BATCH_ONSETS):
        batch = is_usable[start : start + BATCH_ONSETS]
        around = envelope_db[rows[batch, np.newaxis] + np.arange(-n_before, n_after + 1)]  # (n, 60 + 150 cells)
        floor, rise = np.median(around[:, :n_floor], axis=1), around[:, n_floor:]  # the rise from 10 ms before
        rise = np.where(np.arange(rise.shape[1]) <= room_cells[batch, np.newaxis], rise, -np.inf)
        parts.append(_measure_rises(onsets_s[batch], floor, rise))
    return Attacks(*(np.concatenate(columns) for columns in zip(*map(_columns, parts), strict=True)))


def _measure_rises(onsets_s: np.ndarray, floor: np.ndarray, rise: np.ndarray) -> Attacks:
    """Measure rises, shape (n_onsets, n_cells), above floors, shape (n_onsets,); drop those that do not leap."""
    peak = rise.max(axis=1, initial=-np.inf)
    is_attack = peak - floor >= MIN_LEAP_DB
    floor, rise, peak = floor[is_attack], rise[is_attack], peak[is_attack]

    leap = peak - floor
    rise_s = _crossing_s(rise, floor + HIGH_SHARE * leap) - _crossing_s(rise, floor + LOW_SHARE * leap)
    amplitude_s = _crossing_s(rise, peak + HIGH_AMPLITUDE_DB) - _crossing_s(rise, peak + LOW_AMPLITUDE_DB)
    lowest = np.where(np.isfinite(rise), rise, floor[:, np.newaxis])  # what lies beyond the next onset
    steps = np.diff(uniform_filter1d(lowest, SMOOTH_CELLS, axis=1, mode="nearest"), axis=1)
    is_rising = np.arange(steps.shape[1]) < np.argmax(rise, axis=1)[:, np.newaxis]
    return Attacks(
        onsets_s=onsets_s[is_attack],
        slopes=(HIGH_SHARE - LOW_SHARE) * leap / np.maximum(rise_s, CELL_S),
        sharpness=np.where(is_rising, steps, 0.0).max(axis=1, initial=0.0) / CELL_S,
        log_times=np.where(
            floor < peak + LOW_AMPLITUDE_DB,
            np.maximum(np.log10(np.maximum(amplitude_s, 1e-9)), MIN_LOG_ATTACK_TIME),
            np.nan,
        ),
    )


def refine_onsets(envelope_db: np.ndarray, onsets_s: np.ndarray) -> np.ndarray:
    """Move each onset to the foot of the steepest rise within 25 ms, seconds, shape (n_onsets,).

    A rise counts the less the further away it is: of a chord whose notes are spread, the same one is taken every time.
    """
    n_near = round(REFINE_S / CELL_S)
    steps = np.diff(uniform_filter1d(envelope_db, SMOOTH_CELLS, mode="nearest"))
    if not len(steps) or not len(onsets_s):
        return onsets_s
    rows = np.round(onsets_s / CELL_S).astype(int)
    near = np.clip(rows[:, np.newaxis] + np.arange(-n_near, n_near + 1), 0, len(steps) - 1)
    nearness = 1 - np.abs(np.arange(-n_near, n_near + 1)) / (n_near + 1)
    steepest = near[np.arange(len(rows)), np.argmax(steps[near] * nearness, axis=1)]
    before = np.clip(steepest[:, np.newaxis] - np.arange(n_near), 0, len(steps) - 1)
    is_foot = steps[before] <= 0.1 * steps[steepest][:, np.newaxis]  # where the rise has all but stopped
    n_back = np.where(is_foot.any(axis=1), np.argmax(is_foot, axis=1), n_near)
    return np.maximum.accumulate((steepest - n_back + 1) * CELL_S)


# --- the targets ------------------------------------------------------------------------------------------


def measure(attacks: Attacks) -> dict[str, TargetValue]:
    """All targets of this file."""
    return {
        "attack_slopes": _median(attacks.slopes),
        "attack_sharpness": _median(attacks.sharpness),
        "log_attack_time": _median(attacks.log_times),
    }


def _median(values: np.ndarray) -> TargetValue:
    """The median over the attacks."""
    values = values[np.isfinite(values)]
    if len(values) < MIN_ATTACKS:
        return TargetValue.none(f"{len(values)} clear attacks; expected at least {MIN_ATTACKS}", len(values))
    if len(values) < GOOD_ATTACKS:
        return TargetValue.weak(np.median(values), len(values), f"it rests on {counted(len(values), 'attack')}")
    return TargetValue.good(np.median(values), len(values))


def _columns(attacks: Attacks) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return attacks.onsets_s, attacks.slopes, attacks.sharpness, attacks.log_times


def _crossing_s(rise_db: np.ndarray, threshold_db: np.ndarray) -> np.ndarray:
    """When each row first reaches its threshold, interpolated; seconds from the start of the row, shape (n_rows,)."""
    threshold_db = threshold_db[:, np.newaxis]
    row = np.arange(len(rise_db))
    after = np.argmax(rise_db >= threshold_db - 1e-9, axis=1)
    before = np.maximum(after - 1, 0)
    low, high = rise_db[row, before], rise_db[row, after]
    share = np.clip((threshold_db[:, 0] - low) / np.where(high > low, high - low, 1.0), 0, 1)
    return CELL_S * (before + np.where(after > before, share, 0.0))
