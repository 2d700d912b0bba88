"""The same passage, played by others: where the places of a score are in each recording of it.

    ScoreTimes     score beats <-> seconds, of one recording; between two known places time runs evenly
    Passages       the score times of a catalogue, and who else plays what is heard between two seconds

Two recordings can be compared where they name the same score and both know the beats in question. Where the beats come
from is said in `collections` (annotations, note alignments) and `targets.alignment` (performance MIDI against its
score).

Source: same-passage pairs as in (n)ASAP, Peter et al., TISMIR 6(1), 2023; a pair is kept if its tempi are within a
factor of two of each other: beyond it one of the two alignments is wrong, or a repeat was left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mess_core.config import ALL
from mess_core.errors import InputError
from mess_core.storage.database import Database
from mess_core.words import counted

MOST_TEMPO_RATIO = 2.0
FEWEST_BEATS = 2.0  # a shorter passage has no tempo to speak of


@dataclass(frozen=True, eq=False)
class ScoreTimes:
    """When the beats of a score are played in one recording.

    score : which score and which count of its beats; equal text means that beats can be compared
    beats : (n,) float64, strictly increasing
    times_s : (n,) float64, seconds of the recording, strictly increasing
    """

    score: str
    beats: np.ndarray
    times_s: np.ndarray

    @classmethod
    def of(cls, score: str, beats: Iterable[float], times_s: Iterable[float]) -> ScoreTimes:
        """From pairs in any order: equal beats become one at their earliest time, and time never runs backwards.

        Raises
        ------
        InputError
            If fewer than two beats remain, or the columns differ in length.
        """
        beat, time_s = (np.asarray(list(column), np.float64) for column in (beats, times_s))
        if len(beat) != len(time_s):
            raise InputError(
                f"{score}: {counted(len(beat), 'beat')} and {counted(len(time_s), 'time')}; expected as many of each."
            )
        is_known = np.isfinite(beat) & np.isfinite(time_s)
        beat, time_s = beat[is_known], time_s[is_known]
        order = np.lexsort((time_s, beat))
        beat, time_s = beat[order], time_s[order]
        is_first = np.diff(beat, prepend=-np.inf) > 0
        beat, time_s = beat[is_first], time_s[is_first]
        is_later = np.diff(np.maximum.accumulate(time_s), prepend=-np.inf) > 0  # what is not later than all before: out
        beat, time_s = beat[is_later], time_s[is_later]
        if len(beat) < 2:
            raise InputError(f"{score}: {counted(len(beat), 'beat')} with a time; expected at least two.")
        return cls(score, beat, time_s)

    def beat_at(self, time_s: float) -> float:
        """The beat at a second; NaN outside of what is known."""
        return float(np.interp(time_s, self.times_s, self.beats, left=np.nan, right=np.nan))

    def time_at(self, beat: float) -> float:
        """When a beat is played; NaN outside of what is known."""
        return float(np.interp(beat, self.beats, self.times_s, left=np.nan, right=np.nan))

    def tempo(self, from_beat: float, to_beat: float) -> tuple[np.ndarray, np.ndarray]:
        """Beats (n,) and the tempo from each to the next, (n,) in beats per minute, within a passage."""
        inside = self.beats[(self.beats > from_beat) & (self.beats < to_beat)]
        beats = np.concatenate([[from_beat], inside, [to_beat]])
        times_s = np.interp(beats, self.beats, self.times_s)
        return beats[:-1], 60 * np.diff(beats) / np.diff(times_s)


@dataclass(frozen=True)
class Passage:
    """A stretch of a recording. tempo : beats per minute, on average"""

    track_id: str
    start_s: float
    end_s: float
    tempo: float


@dataclass(frozen=True)
class SamePassage:
    """What is heard in a passage of one recording, and where others play it, the nearest in tempo first."""

    score: str
    from_beat: float
    to_beat: float
    asked: Passage
    others: tuple[Passage, ...]

    @property
    def beats_in_words(self) -> str:
        """Which beats sound, the first of the score called 1, as musicians count.

        Examples
        --------
        >>> passage = Passage("a", 0.0, 9.0, 60.0)
        >>> [SamePassage("s", *beats, passage, ()).beats_in_words for beats in ((0.0, 12.0), (2.4, 2.9))]
        ['Beats 1–12', 'Beat 3']
        """
        first, last = math.floor(self.from_beat) + 1, math.ceil(self.to_beat)
        return f"Beats {first}–{last}" if last > first else f"Beat {first}"


class Passages:
    """The score times of one data folder."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def write(self, track_id: str, score_times: Iterable[ScoreTimes]) -> None:
        """Keep them, in place of older ones of the same score; within a transaction of the caller's if there is one."""
        self.database.connection.executemany(
            "INSERT OR REPLACE INTO score_times VALUES (?, ?, ?, ?)",
            [(track_id, each.score, each.beats.tobytes(), each.times_s.tobytes()) for each in score_times],
        )

    def of_track(self, track_id: str) -> list[ScoreTimes]:
        """The scores that a recording is known to play, the longest first."""
        rows = self.database.connection.execute("SELECT * FROM score_times WHERE track_id = ?", (track_id,))
        return sorted((_read(row) for row in rows), key=lambda each: -len(each.beats))

    def same(self, track_id: str, start_s: float, end_s: float, library: str) -> SamePassage | None:
        """Who else in a library plays what a recording plays between two seconds.

        What lies before the first and after the last known beat is left out of the passage.

        Returns
        -------
        SamePassage or None
            None where the recording knows no score there.
        """
        best: SamePassage | None = None
        for own in self.of_track(track_id):
            start = max(start_s, float(own.times_s[0]))
            end = min(end_s, float(own.times_s[-1]))
            if end <= start or (to_beat := own.beat_at(end)) - (from_beat := own.beat_at(start)) < FEWEST_BEATS:
                continue
            asked = Passage(track_id, start, end, 60 * (to_beat - from_beat) / (end - start))
            others = self._others(own.score, track_id, from_beat, to_beat, asked.tempo, library)
            if best is None or len(others) > len(best.others):
                best = SamePassage(own.score, from_beat, to_beat, asked, others)
        return best

    def _others(
        self, score: str, track_id: str, from_beat: float, to_beat: float, tempo: float, library: str
    ) -> tuple[Passage, ...]:
        rows = self.database.connection.execute(
            "SELECT * FROM score_times WHERE score = ? AND track_id != ? AND EXISTS"
            " (SELECT 1 FROM library_tracks AS own WHERE own.track_id = score_times.track_id AND ? IN (library, ?))",
            (score, track_id, library, ALL),
        )
        found = []
        for row in rows:
            times = _read(row)
            start_s, end_s = times.time_at(from_beat), times.time_at(to_beat)
            if np.isfinite(start_s) and np.isfinite(end_s):
                passage = Passage(row["track_id"], start_s, end_s, 60 * (to_beat - from_beat) / (end_s - start_s))
                if 1 / MOST_TEMPO_RATIO <= passage.tempo / tempo <= MOST_TEMPO_RATIO:
                    found.append(passage)
        return tuple(sorted(found, key=lambda passage: (abs(np.log(passage.tempo / tempo)), passage.track_id)))


def _read(row: object) -> ScoreTimes:
    return ScoreTimes(row["score"], np.frombuffer(row["beats"]), np.frombuffer(row["times_s"]))  # type: ignore[index]
