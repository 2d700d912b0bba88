"""Key overlap: how long a key stays down after the next one of its line has been struck.

    overlaps_by_score     successors as the score has them
    overlaps_by_skyline   successors guessed: the top line and the bottom line

Conventions
-----------
Key overlap ratio (KOR) = (release - next onset) / (next onset - onset): above 0 is legato, -1 would be a key released
as it is struck. Shape (n_pairs,), clipped to `CLIP`. The pedal has no part in it.

Source: Repp (JASA 1995, 1997) for the ratio; Bresin & Battel (JNMR 2000) for its sizes: staccato lasts some 40 % of the
IOI, legato depends on tempo. The rule for successors is partitura's: at the written end of the note, in its voice, the
nearest pitch, at most an octave away and another key.
"""

from __future__ import annotations

import numpy as np

from mess_core.targets.alignment import TICK_SLACK, Score
from mess_core.targets.notes import NoteTable, bottom_line, find_chords, skyline

CLIP = (-1.0, 5.0)
SHORTEST_IOI_S = 0.050  # nearer than this the next note belongs to the same chord
WIDEST_STEP = 12  # semitones to the note that follows in the same voice
STACCATO_BELOW = -0.4  # a note that lasts less than 60 % of its IOI


def overlaps(notes: NoteTable, rows: np.ndarray, next_rows: np.ndarray) -> np.ndarray:
    """KOR of each note and its successor; pairs on one key or struck together are left out."""
    ioi_s = notes.onset_s[next_rows] - notes.onset_s[rows]
    keep = (ioi_s > SHORTEST_IOI_S) & (notes.pitch[rows] != notes.pitch[next_rows])
    return np.clip((notes.release_s[rows] - notes.onset_s[next_rows])[keep] / ioi_s[keep], *CLIP)


def overlaps_by_skyline(notes: NoteTable) -> np.ndarray:
    """KOR along the top line and the bottom line; where both are the same notes they count once."""
    chords = find_chords(notes.onset_s)
    if len(chords) < 2:
        return np.zeros(0)
    top, bottom = skyline(notes, chords), bottom_line(notes, chords)
    pairs = np.concatenate([np.stack([line[:-1], line[1:]], axis=1) for line in (top, bottom)])
    rows, next_rows = np.unique(pairs, axis=0).T
    return overlaps(notes, rows, next_rows)


def overlaps_by_score(notes: NoteTable, score: Score, note_rows: np.ndarray, score_rows: np.ndarray) -> np.ndarray:
    """KOR between matched notes that follow each other in the score.

    Parameters
    ----------
    note_rows, score_rows : ndarray of int, shape (n_matches,)
        Which played note is which written one.
    """
    played = np.full(len(score), -1)
    played[score_rows] = note_rows
    pairs = []
    starts = np.searchsorted(score.onset, score.offset - TICK_SLACK)
    ends = np.searchsorted(score.onset, score.offset + TICK_SLACK, side="right")
    for row in np.sort(score_rows):
        there = np.arange(max(starts[row], row + 1), ends[row])
        there = there[(score.voice[there] == score.voice[row]) & (played[there] >= 0)]
        step = np.abs(score.pitch[there] - score.pitch[row])
        there, step = there[(step > 0) & (step <= WIDEST_STEP)], step[(step > 0) & (step <= WIDEST_STEP)]
        if len(there):
            pairs.append((played[row], played[there[np.argmin(step)]]))
    rows, next_rows = np.array(pairs, dtype=int).reshape(-1, 2).T
    return overlaps(notes, rows, next_rows)
