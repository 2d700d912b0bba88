"""Which note of the performance is which note of the score, and when the score's beats were therefore played.

    read_score    score MIDI -> Score: the notes as written, in quarters, and where the beats are
    follow        performance, score -> rough path: the score position at each performed note
    match_notes   expected times -> pairs of notes of the same pitch
    align         all of it -> Alignment

A path first: the performed notes, one after another, are laid on the chords of the score, never backwards. A note that
the chord does not hold costs 1, a chord that nobody plays costs 1; passing over the beginning or the end costs next to
nothing, so that an excerpt finds its place. Notes struck together should stay on one chord, others should move on. This
is an edit distance between notes and chords; dynamic programming finds its minimum over all paths. Nothing is banded,
so a cut or a missing repeat is no trouble.

Then times: the path says when each chord was played; chords that contradict their neighbours are dropped, the score's
notes are expected at the interpolated times, and each is paired with the nearest performed note of its pitch if that
has no nearer partner itself. Pairs give better times, and those better pairs.

Conventions
-----------
Score positions in quarters from the start of the file, times in seconds. Score notes are ordered by onset, then pitch.

Source: the idea of Nakamura, Yoshii & Katayose (ISMIR 2017) and of parangonar (Peter 2023): a sequence first, matching
by pitch afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mess_core.errors import InputError
from mess_core.notes.midi import read_events
from mess_core.targets.notes import CHORD_WIDTH_S, NoteTable
from mess_core.words import counted

TICK_SLACK = 1 / 64  # quarters: written positions nearer than this are the same; engravers end notes a tick early
OMIT_COST = 1.0  # for passing over a chord of the score, in units of one wrong note ...
LONGER_COST = 0.1  # ... and for each further one in a row: a cut is one decision
MARGIN_COST = 0.02  # the same before the first and after the last played chord
CLUMP_COST = 0.25  # for leaving a chord while its notes are still coming, and for staying when they must be over
MATCH_S = 0.25  # a note this far from where it is expected is another note
N_REFINEMENTS = 2  # rounds of pairs -> times -> pairs; more do not help
JITTER_S = 0.06  # chords may always be this far from where their neighbours would have them
MOST_OMITTED = 8  # chords in a row; beats within a longer omission were not played
FEWEST_NOTES = 8
LEAST_SHARE = 0.65  # ASAP: 77 % at least with the right score, 22 % at most with another, 59 % an octave off
NOT_THIS_SCORE = "Check that the score belongs to this performance and is in its key."


@dataclass(frozen=True)
class Score:
    """What is written; note columns have shape (n_notes,)."""

    onset: np.ndarray  # quarters
    offset: np.ndarray  # quarters
    pitch: np.ndarray  # int
    voice: np.ndarray  # int: the track of the file, usually the hand
    beat: np.ndarray  # quarters, shape (n_beats,): as the time signatures have it, dotted in compound metres

    def __len__(self) -> int:
        return len(self.onset)


@dataclass(frozen=True)
class Alignment:
    """Pairs of notes, and the beats as played."""

    note_rows: np.ndarray  # shape (n_pairs,): rows of the performance ...
    score_rows: np.ndarray  # ... and of the score
    beat: np.ndarray  # quarters, shape (n_beats,): the score's beats within what was played
    beat_s: np.ndarray  # seconds, shape (n_beats,), increasing; NaN within a long omission
    share: float  # of all notes, played and written within what was played, that have a partner: 0..1


def read_score(path: Path) -> Score:
    """Read a score MIDI file.

    Raises
    ------
    InputError
        If the file is no MIDI that can be read.
    """
    events = read_events(path)
    rows = [(note.start, note.end, note.pitch, note.track, note.channel) for note in events.notes]
    start, end, pitch, track, channel = np.array(sorted(rows, key=lambda row: (row[0], row[2]))).reshape(-1, 5).T
    voice = np.unique(np.stack([track, channel]), axis=1, return_inverse=True)[1].reshape(-1)
    quarter = events.ticks_per_quarter
    return Score(start / quarter, end / quarter, pitch.astype(int), voice, events.beats())


def align(notes: NoteTable, score: Score) -> Alignment:
    """Find out which written note each played note is.

    Raises
    ------
    InputError
        If there is too little to align, or fewer than `LEAST_SHARE` of the notes find a partner: another piece.
    """
    if min(len(notes), len(score)) < FEWEST_NOTES:
        raise InputError(
            f"{counted(len(notes), 'played note')} and {counted(len(score), 'written note')} cannot be aligned;"
            f" {FEWEST_NOTES} of each are needed."
        )
    chord = chord_numbers(score.onset)
    onset = score.onset[np.unique(chord, return_index=True)[1]]
    position, is_hit = follow(notes.onset_s, notes.pitch, score.pitch, chord)
    note_rows, chord_of_note = np.flatnonzero(is_hit), position[is_hit]
    for _ in range(N_REFINEMENTS):
        played, chord_s = _credible(onset, _median_times(notes.onset_s[note_rows], chord_of_note, len(onset)))
        if len(played) < 2:
            raise InputError("The performance does not follow the score.", NOT_THIS_SCORE)
        expected_s = _times_at(score.onset, onset[played], played, chord_s)
        note_rows, score_rows = match_notes(notes.onset_s, notes.pitch, expected_s, score.pitch)
        chord_of_note = chord[score_rows]
    n_written = np.count_nonzero(np.isfinite(expected_s))
    share = 2 * len(note_rows) / (len(notes) + n_written)
    if share < LEAST_SHARE:
        raise InputError(
            f"The performance does not match the score: {share:.0%} of the notes find a partner, "
            f"expected {LEAST_SHARE:.0%} at least.",
            NOT_THIS_SCORE,
        )
    played, chord_s = _credible(onset, _median_times(notes.onset_s[note_rows], chord_of_note, len(onset)))
    beat = score.beat[(score.beat >= onset[played[0]] - TICK_SLACK) & (score.beat <= onset[played[-1]] + TICK_SLACK)]
    return Alignment(note_rows, score_rows, beat, _times_at(beat, onset[played], played, chord_s), share)


def chord_numbers(onset: np.ndarray) -> np.ndarray:
    """Number the chords of a score: for each note which chord it belongs to, from 0; shape (n_notes,)."""
    return np.concatenate([[0], np.cumsum(np.diff(onset) > TICK_SLACK)]) if len(onset) else np.zeros(0, dtype=int)


def follow(
    onset_s: np.ndarray, pitch: np.ndarray, score_pitch: np.ndarray, chord: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lay performed notes on the chords of a score along the cheapest path.

    Parameters
    ----------
    onset_s, pitch : ndarray, shape (n_notes,)
        Of the performed notes in order of time.
    score_pitch, chord : ndarray of int, shape (n_score_notes,)
        What `chord_numbers` gave.

    Returns
    -------
    position : ndarray of int, shape (n_notes,)
        The chord at each note, never decreasing.
    is_hit : ndarray of bool, shape (n_notes,)
        Whether that chord holds the note's pitch.
    """
    n_notes, n_chords = len(pitch), int(chord[-1]) + 1
    is_wrong = np.ones((128, n_chords), dtype=np.float32)
    is_wrong[score_pitch, chord] = 0
    number = np.arange(n_chords, dtype=np.float32)
    is_together = np.diff(onset_s, prepend=-np.inf) <= CHORD_WIDTH_S

    # cost[j]: the cheapest way to have played notes 0..i with note i at chord j. Note i-1 was there too, or at j-1, or,
    # with a jump, at some k before. A jump costs LONGER_COST * (j - k) and a constant, so the best k has the smallest
    # cost[k] - LONGER_COST * k: a running minimum. Three bits per cell are kept for the way back.
    cost = MARGIN_COST * number + is_wrong[pitch[0]]
    has_moved, has_jumped, is_lowest = (np.zeros((n_notes, (n_chords + 7) // 8), dtype=np.uint8) for _ in range(3))
    step = np.full(n_chords, np.inf, dtype=np.float32)
    jump = step.copy()
    for i in range(1, n_notes):
        level = cost - LONGER_COST * number
        lowest = np.minimum.accumulate(level)
        is_lowest[i - 1] = np.packbits(level == lowest)
        step[1:] = cost[:-1]
        jump[1:] = lowest[:-1] + (LONGER_COST * (number[1:] - 2) + OMIT_COST)
        move = np.minimum(step, jump)
        has_jumped[i] = np.packbits(jump < step)
        move_cost, stay_cost = (CLUMP_COST, 0.0) if is_together[i] else (0.0, CLUMP_COST)
        has_moved[i] = np.packbits(move + move_cost < cost + stay_cost)
        cost = np.minimum(move + move_cost, cost + stay_cost) + is_wrong[pitch[i]]

    position = np.empty(n_notes, dtype=int)
    j = int(np.argmin(cost + MARGIN_COST * number[::-1]))
    for i in range(n_notes - 1, -1, -1):
        position[i] = j
        if has_jumped[i, j >> 3] & has_moved[i, j >> 3] & (128 >> (j & 7)):
            j = int(np.flatnonzero(np.unpackbits(is_lowest[i - 1])[:j])[-1])
        elif has_moved[i, j >> 3] & (128 >> (j & 7)):
            j -= 1
    return position, is_wrong[pitch, position] == 0


def match_notes(
    onset_s: np.ndarray,
    pitch: np.ndarray,
    expected_s: np.ndarray,
    score_pitch: np.ndarray,
    tolerance_s: float = MATCH_S,
) -> tuple[np.ndarray, np.ndarray]:
    """Pair performed and written notes of one pitch that are each other's nearest.

    Parameters
    ----------
    onset_s, pitch : ndarray, shape (n_notes,)
        The performance, in order of time.
    expected_s, score_pitch : ndarray, shape (n_score_notes,)
        When each written note should be played, in order of time; NaN where unknown.
    tolerance_s : float, seconds

    Returns
    -------
    note_rows, score_rows : ndarray of int, shape (n_pairs,), in order of the score
    """
    pairs = []
    for key in np.unique(pitch):
        played = np.flatnonzero(pitch == key)
        written = np.flatnonzero((score_pitch == key) & np.isfinite(expected_s))
        if not len(written):
            continue
        to_played = _nearest(expected_s[written], onset_s[played])
        to_written = _nearest(onset_s[played], expected_s[written])
        is_mutual = to_written[to_played] == np.arange(len(written))
        is_near = np.abs(onset_s[played[to_played]] - expected_s[written]) <= tolerance_s
        keep = is_mutual & is_near
        pairs.append(np.stack([played[to_played[keep]], written[keep]]))
    if not pairs:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    note_rows, score_rows = np.concatenate(pairs, axis=1)
    order = np.argsort(score_rows)
    return note_rows[order], score_rows[order]


def _nearest(times_s: np.ndarray, grid_s: np.ndarray) -> np.ndarray:
    """For each time the number of the nearest grid point; `grid_s` is sorted."""
    right = np.clip(np.searchsorted(grid_s, times_s), 1, max(len(grid_s) - 1, 1))
    right = np.minimum(right, len(grid_s) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(times_s - grid_s[left] <= grid_s[right] - times_s, left, right)


def _median_times(onset_s: np.ndarray, chord: np.ndarray, n_chords: int) -> np.ndarray:
    """Median onset of the notes of each chord, seconds, shape (n_chords,); NaN where none was played."""
    order = np.lexsort((onset_s, chord))
    onset_s, chord = onset_s[order], chord[order]
    first = np.searchsorted(chord, np.arange(n_chords))
    n_notes = np.searchsorted(chord, np.arange(n_chords), side="right") - first
    times_s = np.full(n_chords, np.nan)
    first, n_notes, is_played = first[n_notes > 0], n_notes[n_notes > 0], n_notes > 0
    times_s[is_played] = (onset_s[first + (n_notes - 1) // 2] + onset_s[first + n_notes // 2]) / 2
    return times_s


def _credible(onset: np.ndarray, chord_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chords whose times agree with their neighbours' and increase: their numbers and times.

    A chord is foretold by interpolation between the neighbours one, two and three places away, and by the median of
    the three foretellings; it goes if it is off by more than half the mean interval around it.
    """
    played = np.flatnonzero(np.isfinite(chord_s))
    for _ in range(N_REFINEMENTS):
        n = len(played)
        if n < 2:
            break
        t_s, i = chord_s[played], np.arange(n)
        step = np.diff(onset[played])
        step[np.diff(played) - 1 > MOST_OMITTED] = np.median(step)  # a cut takes no time
        q = np.concatenate([[0.0], np.cumsum(step)])
        foretold_s = []
        for distance in (1, 2, 3):
            left, right = np.maximum(i - distance, 0), np.minimum(i + distance, n - 1)
            foretold_s.append(t_s[left] + (q - q[left]) / (q[right] - q[left]) * (t_s[right] - t_s[left]))
        interval_s = np.abs(t_s[np.minimum(i + 2, n - 1)] - t_s[np.maximum(i - 2, 0)]) / 4
        keep = np.abs(t_s - np.median(foretold_s, axis=0)) <= np.maximum(JITTER_S, interval_s / 2)
        keep[[0, -1]] = True  # nothing foretells the ends
        played = played[keep]
    t_s = chord_s[played]
    in_order = (t_s >= np.maximum.accumulate(t_s)) & (t_s <= np.minimum.accumulate(t_s[::-1])[::-1])
    played = played[in_order]
    played = played[np.diff(chord_s[played], prepend=-np.inf) > 0]
    return played, chord_s[played]


def _times_at(position: np.ndarray, onset: np.ndarray, number: np.ndarray, chord_s: np.ndarray) -> np.ndarray:
    """Times of score positions between played chords, seconds; NaN before, after, and within a long omission.

    Parameters
    ----------
    position : ndarray, shape (n_positions,), quarters
    onset, number, chord_s : ndarray, shape (n_played,)
        Where the played chords are written, which ones they are, and when they were played.
    """
    right = np.clip(np.searchsorted(onset, position - TICK_SLACK), 1, len(onset) - 1)
    is_omitted = number[right] - number[right - 1] - 1 > MOST_OMITTED
    is_on_chord = np.minimum(np.abs(onset[right] - position), np.abs(onset[right - 1] - position)) <= TICK_SLACK
    is_outside = (position < onset[0] - TICK_SLACK) | (position > onset[-1] + TICK_SLACK)
    return np.where((is_omitted & ~is_on_chord) | is_outside, np.nan, np.interp(position, onset, chord_s))
