"""A performance's notes -> the MIDI targets and their companions.

    read_performance   MIDI file, and its score or beats if there are any -> Performance
    measure            Performance, support -> {target id: TargetValue}
    measure_midi       both

Where tempo comes from, best first: beats that are given; the beats of a score the performance could be aligned with; an
estimate from the onsets alone. What a score would have told and an estimate tells instead is "weak", and says so. A
score that does not fit is refused with a reason, and then there is none.

Conventions
-----------
A support is the whole performance, from the first onset to the last release, or the notes that begin in a segment
[start_s, start_s + length_s). An alignment is made once, of the whole performance; each value is then measured from
what lies within its support.

Source: stated in `notes`, `local_tempo`, `key_overlap`, `velocity` and `alignment` beside this file. Asynchrony and
melody lead after Goebl (JASA 2001).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mess_core.errors import InputError
from mess_core.targets.alignment import Alignment, Score, align, chord_numbers, read_score
from mess_core.targets.base import TargetValue
from mess_core.targets.key_overlap import STACCATO_BELOW, overlaps_by_score, overlaps_by_skyline
from mess_core.targets.local_tempo import (
    TREND_BEATS,
    estimate_periods,
    flexibility,
    rubato,
    sounding_periods,
    tempo_variability,
)
from mess_core.targets.notes import NoteTable, find_chords, read_notes
from mess_core.targets.velocity import spread, spread_range

FEWEST, ENOUGH = 3, 8  # events below which there is no value, and below which it is weak
FEWEST_PERIODS = 4  # beat periods: two tempi after smoothing
FEWEST_PULSES = 20  # chords from which a pulse may be estimated
TICK_S = 0.001  # times from different files of one performance differ by their rounding
MAD_TO_SD = 1.4826  # of a normal distribution

NO_NOTES = "no notes"
NO_SCORE = "estimated without a score"

MIDI_TARGETS = (
    "rubato", "tempo_variability", "velocity_mean", "velocity_std", "velocity_range", "onset_timing_std",
    "articulation_ratio", "chord_asynchrony", "melody_lead", "pedal_ratio", "legato_fraction", "staccato_fraction",
    "note_density", "mean_pitch",
)  # fmt: skip


@dataclass(frozen=True)
class Performance:
    """Notes, and what is known of the music they play."""

    notes: NoteTable
    beats_s: np.ndarray | None = None  # as given: seconds, increasing, NaN where unknown
    score: Score | None = None  # only together with its alignment
    alignment: Alignment | None = None
    refusal: str = ""  # why the score that was given is not used


def measure_midi(
    midi: Path,
    *,
    score: Path | None = None,
    beats_s: np.ndarray | None = None,
    start_s: float | None = None,
    length_s: float | None = None,
) -> dict[str, TargetValue]:
    """Measure one MIDI file over one support; for many segments of one file use `read_performance` and `measure`.

    Parameters
    ----------
    midi : Path
    score : Path, optional
        The score as MIDI.
    beats_s : ndarray, shape (n_beats,), optional
        When the beats were played, seconds, increasing; NaN where a beat's time is not known or means nothing, as in
        a cadenza (ASAP marks these bR).
    start_s, length_s : float, seconds, optional
        A segment; without them the whole performance.

    Returns
    -------
    dict of str to TargetValue
        One for each of `MIDI_TARGETS`.

    Raises
    ------
    InputError
        If a file is not MIDI, beats do not increase, or the segment has no length.
    """
    return measure(read_performance(midi, score=score, beats_s=beats_s), start_s=start_s, length_s=length_s)


def read_performance(midi: Path, *, score: Path | None = None, beats_s: np.ndarray | None = None) -> Performance:
    """Read a performance and align it with its score if there is one; arguments as in `measure_midi`."""
    return prepare(read_notes(midi), score=None if score is None else read_score(score), beats_s=beats_s)


def prepare(notes: NoteTable, *, score: Score | None = None, beats_s: np.ndarray | None = None) -> Performance:
    """The same from notes that are read already."""
    if beats_s is not None:
        beats_s = np.array(beats_s, dtype=float)
        if beats_s.ndim != 1 or (np.diff(beats_s[np.isfinite(beats_s)]) <= 0).any():
            raise InputError(f"Beats of shape {beats_s.shape} were given; expected times in seconds that increase.")
        beats_s.setflags(write=False)
    if score is None or not len(notes):
        return Performance(notes, beats_s)
    try:
        return Performance(notes, beats_s, score, align(notes, score))
    except InputError as error:
        return Performance(notes, beats_s, refusal=error.message)


def measure(
    performance: Performance, *, start_s: float | None = None, length_s: float | None = None
) -> dict[str, TargetValue]:
    """Measure one support; arguments and result as in `measure_midi`."""
    if (start_s is None) != (length_s is None):
        raise InputError("A segment needs start_s and length_s, in seconds; only one was given.")
    if length_s is not None and not length_s > 0:
        raise InputError(f"A segment of {length_s} s was asked for; expected more than 0 s.")
    everything = performance.notes
    if start_s is None or length_s is None:
        start_s = float(everything.onset_s[0]) if len(everything) else 0.0
        end_s = float(everything.release_s.max()) if len(everything) else 0.0
        rows = np.arange(len(everything))
    else:
        end_s = start_s + length_s
        rows = everything.rows(start_s, end_s)
    if not len(rows):
        return {target: TargetValue.none(NO_NOTES) for target in MIDI_TARGETS}
    notes = everything.take(rows)
    values = (
        _tempo(performance, notes, start_s, end_s)
        | _velocity(notes)
        | _articulation(performance, notes, rows)
        | _chords(performance, rows)
        | {"onset_timing_std": _timing(performance, rows)}
        | _density(notes, start_s, end_s)
    )
    return {target: values[target] for target in MIDI_TARGETS}


def _judge(
    statistic: Callable[[], float],
    n_events: int,
    events: str,
    *,
    fewest: int = FEWEST,
    enough: int = ENOUGH,
    doubt: str = "",
) -> TargetValue:
    """A value as good as the number of events it rests on."""
    if n_events < fewest:
        return TargetValue.none(f"only {n_events} {events}, {fewest} needed", n_events)
    value = statistic()
    if not np.isfinite(value):
        return TargetValue.none("undefined for these notes", n_events)
    if n_events < enough:
        doubt = "; ".join(filter(None, [doubt, f"only {n_events} {events}"]))
    return TargetValue.weak(value, n_events, doubt) if doubt else TargetValue.good(value, n_events)


def _without_score(performance: Performance) -> str:
    return f"{NO_SCORE}: {performance.refusal}" if performance.refusal else NO_SCORE


def _tempo(performance: Performance, notes: NoteTable, start_s: float, end_s: float) -> dict[str, TargetValue]:
    """From beats if they are known, else from the clearest pulse."""
    period_s = _periods(performance, start_s, end_s)
    if period_s is None:
        chords = find_chords(notes.onset_s)
        doubt = _without_score(performance)
        pulse_s = estimate_periods(chords.onset_s, chords.n_notes) if len(chords) >= FEWEST_PULSES else np.zeros(0)
        limits = {"fewest": FEWEST_PULSES, "enough": FEWEST_PULSES}
        return {
            "tempo_variability": _judge(
                lambda: tempo_variability(pulse_s), len(chords), "chords", doubt=doubt, **limits
            ),
            "rubato": _judge(lambda: flexibility(pulse_s), len(chords), "chords", doubt=doubt, **limits),
        }
    n_beats = int(np.isfinite(period_s).sum())
    return {
        "tempo_variability": _judge(lambda: tempo_variability(period_s), n_beats, "beats", fewest=FEWEST_PERIODS),
        "rubato": _judge(lambda: rubato(period_s), n_beats, "beats", fewest=FEWEST_PERIODS, enough=TREND_BEATS),
    }


def _periods(performance: Performance, start_s: float, end_s: float) -> np.ndarray | None:
    """Beat periods within the support, fermatas NaN; None if nobody knows the beats.

    With a score they are per quarter: where the metre changes, the beat may, and the pulse goes on.
    """
    if performance.beats_s is not None:
        beats_s, period_s = performance.beats_s, np.diff(performance.beats_s)
    elif performance.alignment is not None:
        beats_s = performance.alignment.beat_s
        period_s = np.diff(beats_s) / np.diff(performance.alignment.beat)
    else:
        return None
    is_within = (beats_s[:-1] >= start_s - TICK_S) & (beats_s[1:] <= end_s + TICK_S)
    is_within |= np.isnan(period_s)  # a beat without a time interrupts
    return sounding_periods(period_s[is_within])


def _velocity(notes: NoteTable) -> dict[str, TargetValue]:
    chords = find_chords(notes.onset_s)
    n_notes = len(notes)
    return {
        "velocity_mean": _judge(lambda: float(notes.velocity.mean()), n_notes, "notes", fewest=1),
        "velocity_std": _judge(lambda: spread(notes.velocity, chords), len(chords), "chords"),
        "velocity_range": _judge(lambda: spread_range(notes.velocity), n_notes, "notes", enough=20),
    }


def _articulation(performance: Performance, notes: NoteTable, rows: np.ndarray) -> dict[str, TargetValue]:
    """Key overlap with the successor the score names, else along the outer lines."""
    if performance.alignment is not None and performance.score is not None:
        note_rows, score_rows = _pairs_within(performance.alignment, rows)
        overlap = overlaps_by_score(performance.notes, performance.score, note_rows, score_rows)
        doubt = ""
    else:
        overlap, doubt = overlaps_by_skyline(notes), _without_score(performance)
    statistics: dict[str, Callable[[], float]] = {
        "articulation_ratio": lambda: float(np.median(overlap)),
        "legato_fraction": lambda: float(np.mean(overlap > 0)),
        "staccato_fraction": lambda: float(np.mean(overlap < STACCATO_BELOW)),
    }
    return {
        target: _judge(statistic, len(overlap), "pairs of successive notes", doubt=doubt)
        for target, statistic in statistics.items()
    }


def _pairs_within(alignment: Alignment, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matches whose played note is one of these consecutive rows."""
    is_within = (alignment.note_rows >= rows[0]) & (alignment.note_rows <= rows[-1])
    return alignment.note_rows[is_within], alignment.score_rows[is_within]


def _chords(performance: Performance, rows: np.ndarray) -> dict[str, TargetValue]:
    """How far apart the notes of a chord begin, and how early the top one: chords as written, else as heard."""
    notes = performance.notes
    if performance.alignment is not None and performance.score is not None:
        note_rows, score_rows = _pairs_within(performance.alignment, rows)
        number = chord_numbers(performance.score.onset)[score_rows]
    else:
        chords = find_chords(notes.onset_s[rows])
        note_rows, number = rows, np.repeat(np.arange(len(chords)), chords.n_notes)
    spread_ms, lead_ms = [], []
    for members in np.split(note_rows, np.flatnonzero(np.diff(number)) + 1):
        if len(members) > 1:
            onset_ms = 1000 * notes.onset_s[members]
            top = int(np.argmax(notes.pitch[members]))
            spread_ms.append(float(np.ptp(onset_ms)))
            lead_ms.append(float(np.mean(np.delete(onset_ms, top)) - onset_ms[top]))
    return {
        "chord_asynchrony": _judge(lambda: float(np.median(spread_ms)), len(spread_ms), "chords of several notes"),
        "melody_lead": _judge(lambda: float(np.median(lead_ms)), len(lead_ms), "chords of several notes"),
    }


def _timing(performance: Performance, rows: np.ndarray) -> TargetValue:
    """How far notes fall from the grid that runs straight from beat to beat, as a robust SD in ms."""
    alignment, score = performance.alignment, performance.score
    if alignment is None or score is None:
        return TargetValue.none(f"needs a score: {performance.refusal}" if performance.refusal else "needs a score")
    if len(alignment.beat) < 2:
        return TargetValue.none("fewer than two beats were played")
    note_rows, score_rows = _pairs_within(alignment, rows)
    grid_s = np.interp(score.onset[score_rows], alignment.beat, alignment.beat_s, left=np.nan, right=np.nan)
    residual_ms = 1000 * (performance.notes.onset_s[note_rows] - grid_s)
    residual_ms = residual_ms[np.isfinite(residual_ms)]
    return _judge(
        lambda: float(MAD_TO_SD * np.median(np.abs(residual_ms - np.median(residual_ms)))), len(residual_ms), "notes"
    )


def _density(notes: NoteTable, start_s: float, end_s: float) -> dict[str, TargetValue]:
    """Notes per second, register, and the share of time with the pedal down."""
    n_notes, n_spans = len(notes), len(notes.pedal_down_s)
    down_s = np.minimum(notes.pedal_up_s, end_s) - np.maximum(notes.pedal_down_s, start_s)
    pedal_ratio = float(np.sum(np.maximum(down_s, 0)) / (end_s - start_s))
    return {
        "note_density": _judge(lambda: n_notes / (end_s - start_s), n_notes, "notes", fewest=2),
        "mean_pitch": _judge(lambda: float(notes.pitch.mean()), n_notes, "notes", fewest=1),
        "pedal_ratio": TargetValue.good(pedal_ratio, n_spans)
        if n_spans
        else TargetValue.weak(0.0, 0, "the file holds no pedal: not used, or not recorded"),
    }
