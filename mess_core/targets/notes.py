"""The notes of a performance as a table, and what can be heard in them without a score: chords and the top line.

    read_notes    MIDI file -> NoteTable
    find_chords   onsets -> Chords: notes struck together
    skyline       the highest note of each chord, one after the other; bottom_line the lowest

Conventions
-----------
Times in seconds, pitches and velocities as in MIDI. A note ends where its key comes up: the pedal prolongs the sound,
never the touch. Notes are ordered by onset, then pitch. An inter-onset interval (IOI) is one between chords.

Source: Goebl, "Melody lead in piano performance" (JASA 2001): within a chord onsets differ by 10 to 30 ms, the melody
comes some 30 ms early; hence 50 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mess_core.notes.midi import Note, PedalSpan, read_midi

CHORD_WIDTH_S = 0.050  # onsets this close to the first one belong to one chord


@dataclass(frozen=True)
class NoteTable:
    """What was played: notes by onset and pitch, shape (n_notes,) each, and when the sustain pedal was down."""

    onset_s: np.ndarray
    release_s: np.ndarray
    pitch: np.ndarray  # int
    velocity: np.ndarray  # int, 1..127
    pedal_down_s: np.ndarray  # shape (n_spans,)
    pedal_up_s: np.ndarray  # shape (n_spans,)

    def __post_init__(self) -> None:
        for column in (self.onset_s, self.release_s, self.pitch, self.velocity, self.pedal_down_s, self.pedal_up_s):
            column.setflags(write=False)

    def __len__(self) -> int:
        return len(self.onset_s)

    @classmethod
    def of(cls, notes: Sequence[Note], pedal: Sequence[PedalSpan] = ()) -> NoteTable:
        """From notes in any order."""
        ordered = sorted(notes, key=lambda note: (note.start_s, note.pitch))
        spans = _merged(pedal)
        return cls(
            onset_s=np.array([note.start_s for note in ordered], dtype=float),
            release_s=np.array([note.end_s for note in ordered], dtype=float),
            pitch=np.array([note.pitch for note in ordered], dtype=int),
            velocity=np.array([note.velocity for note in ordered], dtype=int),
            pedal_down_s=np.array([span.start_s for span in spans], dtype=float),
            pedal_up_s=np.array([span.end_s for span in spans], dtype=float),
        )

    def rows(self, start_s: float, end_s: float) -> np.ndarray:
        """Which notes begin within [start_s, end_s): the row numbers."""
        return np.arange(*np.searchsorted(self.onset_s, [start_s, end_s]))

    def take(self, rows: np.ndarray) -> NoteTable:
        """The notes of these rows, in order; the pedal as it is."""
        return NoteTable(
            self.onset_s[rows],
            self.release_s[rows],
            self.pitch[rows],
            self.velocity[rows],
            self.pedal_down_s,
            self.pedal_up_s,
        )


@dataclass(frozen=True)
class Chords:
    """Notes struck together; a single note is a chord of one. Columns have shape (n_chords,)."""

    first: np.ndarray  # row of the first note in the table; a chord is a run of rows
    n_notes: np.ndarray
    onset_s: np.ndarray  # of its first note

    def __len__(self) -> int:
        return len(self.first)


def _merged(pedal: Sequence[PedalSpan]) -> list[PedalSpan]:
    """Spans that overlap, as those of two tracks may, as one."""
    merged: list[PedalSpan] = []
    for span in sorted(pedal, key=lambda span: span.start_s):
        if merged and span.start_s <= merged[-1].end_s:
            merged[-1] = PedalSpan(merged[-1].start_s, max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return merged


def read_notes(path: Path) -> NoteTable:
    """Read a MIDI file, all tracks together, without drums; a note that is there twice counts once.

    Raises
    ------
    InputError
        If the file is not MIDI.
    """
    return NoteTable.of(*read_midi(path))


def find_chords(onset_s: np.ndarray, width_s: float = CHORD_WIDTH_S) -> Chords:
    """Group notes that begin within `width_s` of the first of them.

    Parameters
    ----------
    onset_s : ndarray, shape (n_notes,), seconds, increasing

    Examples
    --------
    >>> find_chords(np.array([0.0, 0.03, 0.5])).n_notes
    array([2, 1])
    """
    first: list[int] = []
    begun_s = -np.inf
    for row, time_s in enumerate(onset_s):
        if time_s - begun_s > width_s:
            first.append(row)
            begun_s = time_s
    rows = np.array(first, dtype=int)
    return Chords(rows, np.diff(np.append(rows, len(onset_s))), onset_s[rows])


def skyline(notes: NoteTable, chords: Chords) -> np.ndarray:
    """Rows of the highest note of each chord, shape (n_chords,)."""
    return _largest(notes.pitch, chords)


def bottom_line(notes: NoteTable, chords: Chords) -> np.ndarray:
    """Rows of the lowest note of each chord, shape (n_chords,)."""
    return _largest(-notes.pitch, chords)


def _largest(keys: np.ndarray, chords: Chords) -> np.ndarray:
    spans = zip(chords.first, chords.n_notes, strict=True)
    return np.array([first + int(np.argmax(keys[first : first + n])) for first, n in spans], dtype=int)
