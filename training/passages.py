"""Passages: sixteen seconds of a piece, arranged twice: the same music in two timbres.

    Music -> Choice (where, how transposed, which parts)
          -> twice: Passage (parts with their voices, drums, pedal, beats), each at its own tempo and touch

Conventions: times in seconds from the start of the passage. Articulation ratio: key held over the time to the next
onset of the part, 1 being legato.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from mess_core.notes.midi import Note, PedalSpan
from training.sources import Music
from training.voices import FAMILY_NAMES, HIGHEST, LOWEST, Hit, Kit, Voice, draw_kit, draw_voice

PASSAGE_S = 16.0
FEWEST_NOTES = 6
SHORTEST_NOTE_S = 0.05
MOST_PEDAL_S = 4.0
MELODIC = tuple(family for family in FAMILY_NAMES if family != "bass")


@dataclass(frozen=True)
class Part:
    """Notes of one voice, by start, and how loud the voice is in the mix."""

    notes: tuple[Note, ...]
    voice: Voice
    gain_db: float


@dataclass(frozen=True, eq=False)
class Passage:
    """What is played.

    beats_s : (n_beats,), also before the start and after the end; empty where unknown
    key : 0..11 for C..B major, 12..23 for minor, as transposed
    """

    parts: tuple[Part, ...]
    pedal: tuple[PedalSpan, ...]
    hits: tuple[Hit, ...]
    kit: Kit
    beats_s: np.ndarray
    key: int
    duration_s: float = PASSAGE_S

    def pedal_of(self, part: Part) -> tuple[PedalSpan, ...]:
        """The pedal, for a voice that rings; nobody holds a flute with the foot."""
        return self.pedal if part.voice.instrument.decay_s else ()


@dataclass(frozen=True)
class Choice:
    """What the two arrangements of a passage share: where in the piece, at which pitch, which parts."""

    start_s: float
    semitones: int
    tempo: float  # over that of the piece
    parts: tuple[int, ...]
    split: int | None  # a pianist's part may be shared by two voices at this pitch
    octaves: tuple[int, ...]


def choose(music: Music, rng: np.random.Generator) -> Choice:
    """Draw what the arrangements share."""
    tempo = float(2 ** rng.uniform(-0.4, 0.4))
    latest_s = max(music.end_s - PASSAGE_S * tempo, 0.0)
    numbers = range(len(music.parts))
    fullest = max(numbers, key=lambda number: len(music.parts[number]))
    draw = rng.random()
    parts = tuple(numbers) if draw > 0.45 else (fullest,) if draw > 0.15 else (int(rng.integers(len(music.parts))),)
    return Choice(
        start_s=float(rng.uniform(0, latest_s)),
        semitones=int(rng.integers(-6, 7)),
        tempo=tempo,
        parts=parts,
        split=int(rng.integers(52, 65)) if len(parts) == 1 and rng.random() < 0.3 else None,
        octaves=tuple(int(rng.choice([-1, 0, 0, 0, 0, 1])) if len(parts) > 1 else 0 for _ in range(len(parts) + 1)),
    )


def arrange(music: Music, choice: Choice, rng: np.random.Generator) -> Passage | None:
    """One arrangement: own voices, touch and tempo. None if hardly anything would be heard."""
    tempo = choice.tempo * float(2 ** rng.uniform(-0.12, 0.12))
    groups = [music.parts[number] for number in choice.parts]
    if choice.split is not None:
        low = tuple(note for note in groups[0] if note.pitch < choice.split)
        groups = [tuple(note for note in groups[0] if note.pitch >= choice.split), low]
    touched = [
        _touch(_cut(part, choice, tempo, 12 * octave), rng)
        for part, octave in zip(groups, choice.octaves, strict=False)
    ]
    parts = tuple(
        Part(notes, _voice_for(notes, rng), float(rng.uniform(-9, 0)) if number else 0.0)
        for number, notes in enumerate(notes for notes in touched if notes)
    )
    if sum(len(part.notes) for part in parts) < FEWEST_NOTES:
        return None
    beats_s = (music.beats_s - choice.start_s) / tempo
    with_drums = len(choice.parts) > 1 and len(beats_s) > 1 and rng.random() < 0.6
    tonic = (music.key % 12 + choice.semitones) % 12
    return Passage(
        parts=parts,
        pedal=_pedal(music, choice, tempo, beats_s, rng),
        hits=_hits(beats_s, rng) if with_drums else (),
        kit=draw_kit(rng),
        beats_s=beats_s,
        key=tonic + 12 * (music.key // 12),
    )


def _cut(part: tuple[Note, ...], choice: Choice, tempo: float, octave: int) -> list[Note]:
    """The notes that begin within the passage, moved to it."""
    shift = choice.semitones + octave
    lowest, highest = min((n.pitch for n in part), default=60) + shift, max((n.pitch for n in part), default=60) + shift
    shift += 12 * (lowest < LOWEST) - 12 * (highest > HIGHEST)
    cut = []
    for note in part:
        start_s, end_s = ((time_s - choice.start_s) / tempo for time_s in (note.start_s, note.end_s))
        if 0 <= start_s < PASSAGE_S - 2 * SHORTEST_NOTE_S and LOWEST <= note.pitch + shift <= HIGHEST:
            cut.append(Note(start_s, max(end_s, start_s + SHORTEST_NOTE_S), note.pitch + shift, note.velocity))
    return cut


def _touch(notes: list[Note], rng: np.random.Generator) -> tuple[Note, ...]:
    """Another touch: how long keys are held, how loud, how it swells, how exactly it is in time."""
    held = float(rng.choice([1.0, 1.0, rng.uniform(0.2, 0.6), rng.uniform(0.6, 1.0), rng.uniform(1.0, 1.4)]))
    mean, depth = rng.uniform(32, 104), rng.uniform(0, 28)
    period_s, phase = rng.uniform(3, 16), rng.uniform(0, 2 * np.pi)
    jitter_s = rng.choice([0.0, 0.004, 0.012])
    usual = np.mean([note.velocity for note in notes]) if notes else 0.0
    contrast = rng.uniform(0.5, 1.5)
    touched = []
    for note in notes:
        swell = depth * np.sin(2 * np.pi * note.start_s / period_s + phase)
        velocity = int(np.clip(mean + contrast * (note.velocity - usual) + swell, 5, 127))
        start_s = max(note.start_s + jitter_s * rng.standard_normal(), 0.0)
        end_s = min(start_s + max(held * (note.end_s - note.start_s), SHORTEST_NOTE_S), PASSAGE_S)
        touched.append(replace(note, start_s=start_s, end_s=end_s, velocity=velocity))
    return tuple(sorted(touched, key=lambda note: (note.start_s, note.pitch)))


def _voice_for(notes: tuple[Note, ...], rng: np.random.Generator) -> Voice:
    """Any family, pianos more often; what lies low may be a bass."""
    if np.median([note.pitch for note in notes]) < 50 and rng.random() < 0.4:
        return draw_voice("bass", rng)
    family = "piano" if rng.random() < 0.2 else MELODIC[rng.integers(len(MELODIC))]
    return draw_voice(family, rng)


def _pedal(
    music: Music, choice: Choice, tempo: float, beats_s: np.ndarray, rng: np.random.Generator
) -> tuple[PedalSpan, ...]:
    """The pianist's own pedal, one with every second beat, or none."""
    if music.pedal and rng.random() < 0.7:
        spans = [((p.start_s - choice.start_s) / tempo, (p.end_s - choice.start_s) / tempo) for p in music.pedal]
    elif len(beats_s) > 2 and rng.random() < 0.25:
        spans = [(a + 0.06, b) for a, b in pairwise(beats_s[:: int(rng.choice([1, 2]))])]
    else:
        return ()
    clipped = [(max(a, 0.0), min(b, a + MOST_PEDAL_S, PASSAGE_S)) for a, b in spans]
    return tuple(PedalSpan(float(a), float(b)) for a, b in clipped if a < b)


def _hits(beats_s: np.ndarray, rng: np.random.Generator) -> tuple[Hit, ...]:
    """A pattern on the beat: hats on its subdivision, kick and snare in turn, now and then one more."""
    n_parts = int(rng.choice([1, 2, 2, 4]))
    hat, loud = rng.random() < 0.85, int(rng.integers(60, 121))
    extra = rng.uniform(0, 0.2)
    hits = []
    for number, (start_s, end_s) in enumerate(pairwise(beats_s)):
        for step in range(n_parts):
            time_s = float(start_s + (end_s - start_s) * step / n_parts)
            names = ["hat"] if hat else []
            if step == 0:
                names.append("kick" if number % 2 == 0 else "snare")
            elif rng.random() < extra:
                names.append("kick" if rng.random() < 0.5 else "snare")
            if 0 <= time_s < PASSAGE_S - 0.1:
                hits += [Hit(time_s, name, loud - 25 * (name == "hat")) for name in names]
    return tuple(hits)
