"""How the tempo moves: exactly where beats are known, an estimate where they are not.

    tempo_variability, rubato    beat periods -> one number
    estimate_periods             onsets -> local pulse, without a score

Conventions
-----------
A beat period is in seconds per beat, shape (n_periods,); NaN where it is not known. `sounding_periods` takes out
fermatas. The estimate is a period every `FRAME_S`: it follows whatever pulse is clearest, often not the beat but its
half, a third or, in triplets, two thirds; so its spread may be compared between tracks but is no rubato.

Source: Repp (JASA 1992, 1998) and Todd (JASA 1992) for beat periods and their phrase-wise trend; Schreiber, Zalkow &
Müller (ISMIR 2020) for the coefficient of variation of tempo. The estimate is ours: how much more often than chance the
intervals between chords are a period, twice it or half of it; a preference for moderate periods (Parncutt 1994; van
Noorden & Moelants 1999); and the smoothest strong path (Viterbi).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve1d, gaussian_filter1d, median_filter

SMOOTH_BEATS = 3  # periods are averaged over this many beats before they become a tempo
TREND_BEATS = 17  # the tempo around a beat is the median over this many: about two phrases of two bars
FERMATA_RATIO = 3.0  # a period this much above the median is a stop, not a tempo

FRAME_S = 0.5
SHORTEST_S, LONGEST_S, STEPS_PER_OCTAVE = 0.18, 1.6, 24  # periods the estimate may take
LAG_STEP_S = 0.01
PEAK_WIDTH = 0.07  # of a period: how far an onset may be off the pulse
N_MULTIPLES = 2
HALF_WEIGHT = 0.5  # of the evidence for half a period: a pulse that is divided evenly keeps its level
CHANCE_WIDTH_S = 0.3  # sigma over lags: the histogram without its peaks is what chance would give
CHANCE_FLOOR = 1.0  # of the median chance, added to every frame: few intervals prove little
WINDOW_S = 1.5  # sigma of the window around a frame, cut at three sigma
PULSE_S, PULSE_OCTAVES = 0.55, 0.5  # moderate pulses are preferred, log-normally
EVIDENCE_FLOOR = 0.05  # of the strongest evidence in the piece
JUMP_COST = 60.0  # per squared octave between frames
TREND_FRAMES = 33  # 16 s: what `TREND_BEATS` are at the preferred pulse, twice over


def sounding_periods(period_s: np.ndarray) -> np.ndarray:
    """The same periods with NaN in place of fermatas."""
    known = period_s[np.isfinite(period_s)]
    limit_s = FERMATA_RATIO * np.median(known) if len(known) else np.inf
    return np.where(period_s <= limit_s, period_s, np.nan)


def tempo_variability(period_s: np.ndarray) -> float:
    """Coefficient of variation of tempo: periods averaged over three beats, only then beats per minute.

    Examples
    --------
    >>> tempo_variability(np.full(8, 0.5))
    0.0
    """
    smooth_s = np.lib.stride_tricks.sliding_window_view(period_s, SMOOTH_BEATS).mean(axis=-1)
    tempo_bpm = 60 / smooth_s[np.isfinite(smooth_s)]
    return float(np.std(tempo_bpm) / np.mean(tempo_bpm)) if len(tempo_bpm) else float("nan")


def rubato(period_s: np.ndarray) -> float:
    """SD of log2 beat period about its running median, octaves; at the ends the median is over what there is."""
    octaves = np.log2(period_s[np.isfinite(period_s)])
    half = TREND_BEATS // 2
    trend = np.array([np.median(octaves[max(i - half, 0) : i + half + 1]) for i in range(len(octaves))])
    return float(np.std(octaves - trend)) if len(octaves) else float("nan")


def estimate_periods(onset_s: np.ndarray, n_notes: np.ndarray) -> np.ndarray:
    """The clearest pulse every half second, from chords alone.

    Parameters
    ----------
    onset_s, n_notes : ndarray, shape (n_chords,)
        When each chord begins, and its number of notes; two chords at least.

    Returns
    -------
    ndarray, shape (n_frames,), seconds per pulse
    """
    n_steps = int(np.log2(LONGEST_S / SHORTEST_S) * STEPS_PER_OCTAVE) + 1
    grid = np.log2(SHORTEST_S) + np.arange(n_steps) / STEPS_PER_OCTAVE  # log2 seconds
    evidence = _evidence(onset_s, np.sqrt(n_notes), 2**grid)
    path = _smooth_path(evidence, grid)
    # The grid is coarse, 3 %: the evidence's centre of gravity around the path is finer.
    near = np.clip(path[:, None] + np.arange(-3, 4), 0, n_steps - 1)
    weights = np.take_along_axis(evidence, near, axis=1) ** 2 + 1e-12
    return 2 ** ((weights * grid[near]).sum(axis=1) / weights.sum(axis=1))


def _evidence(onset_s: np.ndarray, weights: np.ndarray, periods_s: np.ndarray) -> np.ndarray:
    """How well each period explains the intervals around each frame, shape (n_frames, n_periods), at most 1."""
    longest_s = N_MULTIPLES * LONGEST_S * (1 + 3 * PEAK_WIDTH)
    lags_s = np.arange(0, longest_s, LAG_STEP_S)
    histogram = np.zeros((int((onset_s[-1] - onset_s[0]) / FRAME_S) + 1, len(lags_s)))  # frame x lag
    for apart in range(1, len(onset_s)):
        lag_s = onset_s[apart:] - onset_s[:-apart]
        keep = lag_s < lags_s[-1]
        if not keep.any():
            break
        middle_s = (onset_s[apart:] + onset_s[:-apart])[keep] / 2
        frame = np.minimum(np.rint((middle_s - onset_s[0]) / FRAME_S).astype(int), len(histogram) - 1)
        bins = np.rint(lag_s[keep] / LAG_STEP_S).astype(int)
        np.add.at(histogram, (frame, bins), (weights[apart:] * weights[:-apart])[keep])
    reach = round(3 * WINDOW_S / FRAME_S)
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) * FRAME_S / WINDOW_S) ** 2)
    histogram = convolve1d(histogram, window, axis=0, mode="constant")
    chance = gaussian_filter1d(histogram, CHANCE_WIDTH_S / LAG_STEP_S, axis=1, mode="nearest")
    floor = CHANCE_FLOOR * np.median(chance)

    def excess(candidates_s: np.ndarray) -> np.ndarray:
        """A comb is the wider the longer its period: what it collects means something only against chance."""
        ratio = lags_s[:, None] / candidates_s
        comb = sum(np.exp(-0.5 * ((ratio - k) / PEAK_WIDTH) ** 2) / k for k in range(1, N_MULTIPLES + 1))
        return (histogram + floor) @ comb / np.maximum((chance + floor) @ comb, 1e-9) - 1

    evidence = np.maximum(excess(periods_s) + HALF_WEIGHT * excess(periods_s / 2), 0)
    return evidence / max(evidence.max(), 1e-9)


def _smooth_path(evidence: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The steps of the grid with most evidence and fewest jumps, shape (n_frames,): Viterbi."""
    prior = -0.5 * ((grid - np.log2(PULSE_S)) / PULSE_OCTAVES) ** 2
    gain = 2 * np.log(evidence + EVIDENCE_FLOOR) + prior
    jump = -JUMP_COST * (grid[:, None] - grid) ** 2
    best, came_from = gain[0], np.zeros(evidence.shape, dtype=int)
    for frame in range(1, len(gain)):
        arrive = best[:, None] + jump
        came_from[frame] = arrive.argmax(axis=0)
        best = arrive.max(axis=0) + gain[frame]
    path = np.full(len(gain), int(np.argmax(best)))
    for frame in range(len(gain) - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path


def flexibility(period_s: np.ndarray) -> float:
    """SD of estimated log2 period about its running median over 16 s, octaves."""
    octaves = np.log2(period_s)
    return float(np.std(octaves - median_filter(octaves, TREND_FRAMES, mode="nearest")))
