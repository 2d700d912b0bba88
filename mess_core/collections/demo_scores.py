"""The 24 pieces of the demo library as text, and the short way from that text to notes with beats.

Nineteen are themes whose composers died more than a century ago, set down here from memory and simplified; five are
ours, composed by a seeded walk. They were chosen to differ in harmony, register, texture, form, mode and metre.

Notation of a voice: notes separated by spaces, bars by `|` (checked against the metre). A note is pitch and length:
`F#4q` is a quarter; lengths are w h q e s (whole .. sixteenth) and t (an eighth triplet), `.` adds half, several
letters add up (`hq` = 3 quarters), a missing length repeats the last one. `C4+E4+G4` is a chord, `r` a rest.
Notation of the harmony: chord symbols, bars by `|`; chords share a bar equally unless `:` gives quarters (`G7:1`).
A figure turns the harmony into an accompaniment (`FIGURES`).

Conventions: positions and lengths in quarter notes from the first bar; pitches as MIDI numbers; voice 0 is the melody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

QUARTERS = {"w": 4.0, "h": 2.0, "q": 1.0, "e": 0.5, "s": 0.25, "t": 1 / 3}
CHORDS = {
    "": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "m7": (0, 3, 7, 10), "maj7": (0, 4, 7, 11),
    "dim": (0, 3, 6), "dim7": (0, 3, 6, 9), "m7b5": (0, 3, 6, 10), "sus4": (0, 5, 7),
}  # fmt: skip
Figure = Callable[[float, int, list[int]], Iterator[tuple[float, float, list[int]]]]
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class ScoreNote:
    """One note as written."""

    onset: float  # quarters
    duration: float  # quarters
    pitch: int
    voice: int  # 0 is the melody

    @property
    def offset(self) -> float:
        return self.onset + self.duration


@dataclass(frozen=True)
class Piece:
    """One piece of the demo library."""

    work: str
    title: str
    composer: str
    mode: str  # major or minor
    metre: tuple[int, int]
    tempo_bpm: float  # beats per minute; the beat is a dotted note in 3/8 and 6/8
    dynamics: str  # crescendo, diminuendo, arch or level: the plan of the whole
    voices: tuple[str, ...]  # the melody first
    harmony: str = ""
    figure: str = ""
    centre: int = 57  # the accompaniment's chords lie within half an octave of this pitch
    bass: int = 36  # the lowest pitch of the accompaniment
    phrase_bars: int = 4
    loop_from_bar: int = 0  # 1 when the first bar is an upbeat

    @property
    def bar(self) -> float:
        """Length of a bar in quarters."""
        return self.metre[0] * 4 / self.metre[1]

    @property
    def beat(self) -> float:
        """Length of a beat in quarters."""
        return 1.5 if self.metre[1] == 8 else 1.0

    @property
    def phrase(self) -> float:
        """Length of a phrase in quarters."""
        return self.phrase_bars * self.bar

    @property
    def first_downbeat(self) -> float:
        return self.loop_from_bar * self.bar


# --- text -> notes ----------------------------------------------------------------------------------------


def pitch_of(name: str) -> int:
    """MIDI number of a note name.

    Examples
    --------
    >>> pitch_of("C4"), pitch_of("F#3"), pitch_of("Bb2")
    (60, 54, 46)
    """
    return _STEPS[name[0]] + name.count("#") - name[1:].count("b") + 12 * (int(name[-1]) + 1)


def _length(letters: str) -> float:
    total = last = 0.0
    for letter in letters:
        last = last / 2 if letter == "." else QUARTERS[letter]
        total += last
    return total


def read_voice(text: str, bar: float, voice: int) -> list[ScoreNote]:
    """Notes of one voice; a bar line in the wrong place is an error in our own text and stops at once."""
    notes: list[ScoreNote] = []
    position, duration = 0.0, 1.0
    for token in text.split():
        if token == "|":
            if abs(position / bar - round(position / bar)) > 1e-6:
                raise ValueError(f"Bar line at quarter {position:g} in bars of {bar:g}: {text[:60]} ...")
            continue
        *names, last = token.split("+")
        match = re.match(r"(r|[A-G][#b]?\d)([whqest.]*)$", last)
        if match is None:
            raise ValueError(f"{token!r} is not a note.")
        names.append(match[1])
        duration = _length(match[2]) if match[2] else duration
        notes.extend(ScoreNote(position, duration, pitch_of(name), voice) for name in names if name != "r")
        position += duration
    return notes


def read_harmony(text: str, bar: float) -> Iterator[tuple[float, float, int, tuple[int, ...]]]:
    """Chords as (onset, duration, root pitch class, pitch classes), onset and duration in quarters."""
    for i, symbols in enumerate(text.split("|")):
        onset = i * bar
        chords = symbols.split()
        for symbol in chords:
            name, _, quarters = symbol.partition(":")
            duration = float(quarters) if quarters else bar / len(chords)
            if name != "-":
                letters = 2 if name[1:2] in ("#", "b") else 1
                root = pitch_of(name[:letters] + "4") % 12
                yield onset, duration, root, tuple((root + step) % 12 for step in CHORDS[name[letters:]])
            onset += duration


def _block(duration: float, bass: int, chord: list[int]) -> Iterator[tuple[float, float, list[int]]]:
    yield 0.0, duration, [bass, *chord]


def _oom_pah(step: float, n_chords: int) -> Figure:
    """Bass, then `n_chords` chords, every `step` quarters."""

    def figure(duration: float, bass: int, chord: list[int]) -> Iterator[tuple[float, float, list[int]]]:
        for i in range(round(duration / step)):
            yield i * step, step, [bass] if i % (n_chords + 1) == 0 else chord

    return figure


def _cycle(order: tuple[int, ...], step: float = 0.5) -> Figure:
    """Single notes every `step` quarters: 0 is the bass, 1, 2, 3 the chord from below, 4 the lowest an octave up."""

    def figure(duration: float, bass: int, chord: list[int]) -> Iterator[tuple[float, float, list[int]]]:
        tones = [bass, *chord[:3], chord[0] + 12]
        for i in range(round(duration / step)):
            yield i * step, step, [tones[order[i % len(order)]]]

    return figure


def _pulse(duration: float, bass: int, chord: list[int]) -> Iterator[tuple[float, float, list[int]]]:
    yield 0.0, duration, [bass]
    for i in range(round(duration / 0.5)):
        yield i * 0.5, 0.5, chord


FIGURES: dict[str, Figure] = {  # (duration, bass, chord) -> (onset within the chord, duration, pitches)
    "block": _block,
    "pulse": _pulse,
    "waltz": _oom_pah(1.0, 2),
    "march": _oom_pah(1.0, 1),
    "stride": _oom_pah(0.5, 1),
    "alberti": _cycle((1, 3, 2, 3)),
    "arpeggio": _cycle((0, 1, 2, 3, 2, 1)),
    "wave": _cycle((0, 1, 2, 3, 4, 3, 2, 1)),
}


def _accompaniment(piece: Piece) -> list[ScoreNote]:
    """The harmony played in the piece's figure. Chords take the position nearest to `centre`, so they move little."""
    first_voice = len(piece.voices)
    notes = []
    for onset, duration, root, pitch_classes in read_harmony(piece.harmony, piece.bar):
        bass = piece.bass + (root - piece.bass) % 12
        low = piece.centre - 6
        chord = sorted(low + (pitch_class - low) % 12 for pitch_class in pitch_classes)
        for at, length, pitches in FIGURES[piece.figure](duration, bass, chord):
            # A lone note belongs to the lowest accompanying voice; the tones of a chord are voices of their own.
            notes += [
                ScoreNote(onset + at, length, pitch, first_voice + i + (len(pitches) > 1 and pitches[0] != bass))
                for i, pitch in enumerate(pitches)
            ]
    return notes


@lru_cache(maxsize=64)
def _written(piece: Piece) -> tuple[tuple[ScoreNote, ...], float]:
    """Every written note once, and the length of the piece in quarters, rounded up to whole bars."""
    notes = [note for i, text in enumerate(piece.voices) for note in read_voice(text, piece.bar, i)]
    n_bars = np.ceil(max(note.offset for note in notes) / piece.bar - 1e-6)
    if piece.harmony:
        notes += _accompaniment(piece)
    return tuple(notes), float(n_bars * piece.bar)


def read_score(piece: Piece, length: float) -> tuple[ScoreNote, ...]:
    """The score from its beginning, repeated (without the upbeat bar) as often as needed.

    Parameters
    ----------
    piece : Piece
    length : float
        How much of it, in quarters; notes that begin later are left out.

    Returns
    -------
    tuple of ScoreNote
        By onset and pitch. No two share onset and pitch, and none sounds when its pitch begins again.
    """
    written, total = _written(piece)
    start = piece.first_downbeat
    notes = list(written)
    shift = total - start
    while start + shift < length:
        notes += [
            ScoreNote(note.onset + shift, note.duration, note.pitch, note.voice)
            for note in written
            if note.onset >= start
        ]
        shift += total - start

    by_place: dict[tuple[float, int], ScoreNote] = {}
    for note in sorted(notes, key=lambda note: note.voice):  # where voices meet, the melody's note stays
        if note.onset < length - 1e-6:
            by_place.setdefault((round(note.onset, 6), note.pitch), note)
    next_onset: dict[int, float] = {}
    kept = []
    for place in sorted(by_place, reverse=True):
        note = by_place[place]
        duration = min(note.duration, next_onset.get(note.pitch, np.inf) - note.onset)
        next_onset[note.pitch] = note.onset
        kept.append(ScoreNote(note.onset, float(duration), note.pitch, note.voice))
    return tuple(reversed(kept))


# --- pieces of our own ------------------------------------------------------------------------------------

_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 11)}
_PROGRESSIONS = {  # scale degrees per bar: an opening, a half close, an answer, a full close
    "major": ((0, 5, 3, 4, 0, 3, 4, 0), (0, 2, 5, 3, 1, 4, 4, 0), (0, 3, 0, 4, 5, 1, 4, 0)),
    "minor": ((0, 3, 6, 2, 5, 1, 4, 0), (0, 5, 3, 4, 0, 3, 4, 0), (0, 4, 0, 3, 5, 1, 4, 0)),
}
_QUALITIES = {
    "major": ("", "m", "m", "", "7", "m", "dim"),
    "minor": ("m", "dim", "", "m", "7", "", ""),
}
_NATURAL_SEVENTH = 10  # the chord on degree 6 in minor is built on the lowered seventh


def _compose(seed: int, tonic: int, mode: str, rhythms: tuple[str, ...], bar: float, low: int) -> tuple[str, str]:
    """A melody and its harmony over 16 bars: chord tones on the beats, scale steps between, closing on the tonic.

    Parameters
    ----------
    seed : int
    tonic : int, pitch class
    mode : {"major", "minor"}
    rhythms : tuple of str, lengths of the notes of one bar in the notation above, separated by spaces
    bar : float, quarters
    low : int, MIDI pitch; the melody stays within 17 semitones above it

    Returns
    -------
    tuple of (melody, harmony), in the notation of this module
    """
    rng = np.random.default_rng(seed)
    scale = _SCALES[mode]
    first, second = rng.permutation(3)[:2]
    degrees = _PROGRESSIONS[mode][first] + _PROGRESSIONS[mode][second]
    chosen = [rhythms[i] for i in rng.integers(len(rhythms), size=4)]
    pitch = low + 7 + (tonic - low - 7) % 12
    melody, harmony = [], []
    for i, degree in enumerate(degrees):
        root = tonic + (_NATURAL_SEVENTH if mode == "minor" and degree == 6 else scale[degree])
        quality = _QUALITIES[mode][degree]
        harmony.append(_NAMES[root % 12] + quality)
        chord = {(root + step) % 12 for step in CHORDS[quality]}
        # A lowered seventh in the harmony is lowered in the melody too.
        lowered = mode == "minor" and (tonic + _NATURAL_SEVENTH) % 12 in chord
        steps = {(tonic + (10 if lowered and step == 11 else step)) % 12 for step in scale}
        is_close = i % 8 == 7
        rhythm = ["w" if bar == 4 else "h."] if is_close else chosen[i % 4].split()
        position = 0.0
        for letters in rhythm:
            wanted = chord if position == int(position) else steps
            if is_close:
                wanted = {tonic % 12}
            towards = 1 if pitch < low + 4 else -1 if pitch > low + 13 else int(rng.choice((-1, 1)))
            # The nearest wanted pitch within the range, the drawn direction first; only a close may stay.
            reach = range(0 if is_close else 1, 18)
            candidates = (p for k in reach for p in (pitch + towards * k, pitch - towards * k))
            pitch = next(p for p in candidates if p % 12 in wanted and low <= p <= low + 17)
            melody.append(f"{_NAMES[pitch % 12]}{pitch // 12 - 1}{letters}")
            position += _length(letters)
        melody.append("|")
    return " ".join(melody), " | ".join(harmony)


def _own(work: str, title: str, seed: int, tonic: int, mode: str, rhythms: tuple[str, ...], low: int = 67,
         metre: tuple[int, int] = (4, 4), **rest: object) -> Piece:  # fmt: skip
    melody, harmony = _compose(seed, tonic, mode, rhythms, metre[0] * 4 / metre[1], low)
    return Piece(work, title, "MESS, composed by dice", mode, metre, voices=(melody,), harmony=harmony, **rest)  # type: ignore[arg-type]


def _repeated(chords: str, length: str, times: int) -> str:
    """Each chord of a list `times` times: the throbbing left hand of a prelude."""
    return " ".join(f"{chord}{length}" for chord in chords.split() for _ in range(times))


def _broken_prelude(chords: str) -> tuple[str, str, str]:
    """Bach's figure: per half bar the lowest note held, the second held after it, the upper three broken twice."""
    bass, tenor, upper = [], [], []
    for line in chords.split("|"):
        one, two, *three = line.split()
        bass += [f"{one}h"] * 2
        tenor += ["rs", f"{two}qe."] * 2
        upper += ["re", *(f"{name}s" for name in three * 2)] * 2
    return " ".join(upper), " ".join(tenor), " ".join(bass)


_FRERE = (
    "F4q G4 A4 F4 | F4 G4 A4 F4 | A4 Bb4 C5h | A4q Bb4 C5h | C5e D5 C5 Bb4 A4q F4 | C5e D5 C5 Bb4 A4q F4 | "
    "F4q C4 F4h | F4q C4 F4h"
)
_CANON = (
    "F#5q E5 D5 C#5 | B4 A4 B4 C#5 | D5 C#5 B4 A4 | G4 F#4 G4 E4 | D5e F#5 A5 G5 F#5 D5 F#5 E5 | "
    "D5 B4 D5 A5 G5 B5 A5 G5 | F#5 D5 E5 C#5 D5 F#5 A5 A4 | B4 G4 A4 F#4 D4 D5 D5 C#5"
)


def _octave(text: str, shift: int) -> str:
    return re.sub(r"\d", lambda digit: str(int(digit[0]) + shift), text)


PIECES: tuple[Piece, ...] = (
    Piece(
        "ode-to-joy", "Ode to Joy", "Ludwig van Beethoven", "major", (4, 4), 116, "crescendo",
        ("F#4q F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | F#4q. E4e E4h | "
         "F#4q F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | E4q. D4e D4h | "
         "E4q E4 F#4 D4 | E4 F#4e G4 F#4q D4 | E4 F#4e G4 F#4q E4 | D4 E4 A3h | "
         "F#4q F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | E4q. D4e D4h",),
        "D | D A7 | D | D:1 A7:3 | D | D A7 | D | A7:2 D:2 | A7 D | A7 D | A7 F#7 | Bm:1 E7:1 A7:2 | "
        "D | D A7 | D | A7:2 D:2", "block", centre=57, bass=38,
    ),
    Piece(
        "greensleeves", "Greensleeves", "Traditional", "minor", (6, 8), 52, "arch",
        ("rq. rq A4e | C5q D5e E5e. F#5s E5e | D5q B4e G4e. A4s B4e | C5q A4e A4e. G#4s A4e | B4q G#4e E4q A4e | "
         "C5q D5e E5e. F#5s E5e | D5q B4e G4e. A4s B4e | C5e. B4s A4e G#4e. F#4s G#4e | A4q. A4q. | "
         "G5q. G5e. F#5s E5e | D5q B4e G4e. A4s B4e | C5q A4e A4e. G#4s A4e | B4q G#4e E4q. | "
         "G5q. G5e. F#5s E5e | D5q B4e G4e. A4s B4e | C5e. B4s A4e G#4e. F#4s G#4e | A4q. A4q A4e",),
        "- | Am | G | Am | E | Am | G | Am E7 | Am | C | G | Am | E | C | G | Am E7 | Am",
        "arpeggio", centre=57, bass=40, loop_from_bar=1,
    ),
    Piece(
        "minuet-in-g", "Minuet in G", "Christian Petzold", "major", (3, 4), 126, "level",
        ("D5q G4e A4 B4 C5 | D5q G4 G4 | E5q C5e D5 E5 F#5 | G5q G4 G4 | C5q D5e C5 B4 A4 | B4q C5e B4 A4 G4 | "
         "F#4q G4e A4 B4 G4 | A4h. | D5q G4e A4 B4 C5 | D5q G4 G4 | E5q C5e D5 E5 F#5 | G5q G4 G4 | "
         "C5q D5e C5 B4 A4 | B4q C5e B4 A4 G4 | A4q B4e A4 G4 F#4 | G4h. | "
         "B5q G5e A5 B5 G5 | A5q D5e E5 F#5 D5 | G5q E5e F#5 G5 D5 | C#5q B4e C#5 A4q | A4e B4 C#5 D5 E5 F#5 | "
         "G5q F#5 E5 | F#5 A4 C#5 | D5h.",
         "G3+B3+D4h A3q | B3h. | C4h. | B3h. | A3h. | G3h. | D4q B3 G3 | D4q D3e C4 B3 A3 | "
         "B3h A3q | G3q B3 G3 | C4h. | B3q C4e B3 A3 G3 | A3h F#3q | G3h B3q | C4q D4 D3 | G3h G2q | "
         "G3h. | F#3h. | E3q G3 E3 | A3h A2q | A3h. | B3q D4 C#4 | D4q F#3 A3 | D4q D3 C4"),
    ),
    Piece(
        "prelude-in-c", "Prelude in C", "Johann Sebastian Bach", "major", (4, 4), 69, "arch",
        _broken_prelude(
            "C4 E4 G4 C5 E5|C4 D4 A4 D5 F5|B3 D4 G4 D5 F5|C4 E4 G4 C5 E5|C4 E4 A4 E5 A5|C4 D4 F#4 A4 D5|"
            "B3 D4 G4 D5 G5|B3 C4 E4 G4 C5|A3 C4 E4 G4 C5|D3 A3 D4 F#4 C5|G3 B3 D4 G4 B4"
        ),
    ),
    Piece(
        "canon-in-d", "Canon in D", "Johann Pachelbel", "major", (4, 4), 56, "crescendo",
        (_CANON, "rw rw " + _CANON[: _CANON.index("| F#5 D5")], "rw rw rw rw " + _CANON[: _CANON.index("| D5e")]),
        " | ".join(["D A Bm F#m | G D G A"] * 4), "block", centre=57, bass=38,
        phrase_bars=2,
    ),
    Piece(
        "fuer-elise", "Für Elise", "Ludwig van Beethoven", "minor", (3, 8), 46, "level",
        ("rq E5s D#5 | E5 D#5 E5 B4 D5 C5 | A4e rs C4s E4 A4 | B4e rs E4s G#4 B4 | C5e rs E4s E5 D#5 | "
         "E5 D#5 E5 B4 D5 C5 | A4e rs C4s E4 A4 | B4e rs E4s C5 B4 | A4e rs B4s C5 D5 | E5e. G4s F5 E5 | "
         "D5e. F4s E5 D5 | C5e. E4s D5 C5 | B4e rs E4s E5 r | rs E5s E6 r r D#5 | E5 D#5 E5 D#5 E5 D#5 | "
         "E5 D#5 E5 B4 D5 C5 | A4e rs C4s E4 A4 | B4e rs E4s G#4 B4 | C5e rs E4s E5 D#5 | E5 D#5 E5 B4 D5 C5 | "
         "A4e rs C4s E4 A4 | B4e rs E4s C5 B4 | A4e re E5s D#5",
         "rq. | rq. | A2s E3 A3 re. | E2s E3 G#3 re. | A2s E3 A3 re. | rq. | A2s E3 A3 re. | E2s E3 G#3 re. | "
         "A2s E3 A3 re. | C3s G3 C4 re. | G2s G3 B3 re. | A2s E3 A3 re. | E2s E3 E4 re. | rq. | rq. | rq. | "
         "A2s E3 A3 re. | E2s E3 G#3 re. | A2s E3 A3 re. | rq. | A2s E3 A3 re. | E2s E3 G#3 re. | A2s E3 A3 re."),
        loop_from_bar=1,
    ),
    Piece(
        "lullaby", "Lullaby", "Johannes Brahms", "major", (3, 4), 88, "diminuendo",
        ("rh A4e A4 | C5q. A4e A4q | C5h A4e C5 | F5q E5q. D5e | D5q C5 G4e A4 | Bb4q G4 G4e A4 | Bb4h G4e Bb4 | "
         "E5e D5 C5q E5 | F5h F4e F4 | F5h D5e Bb4 | C5h A4e F4 | Bb4q C5 D5 | C5h F4e F4 | F5h D5e Bb4 | "
         "C5h A4e F4 | Bb4q A4 G4 | F4h A4e A4",),
        "- | F | F | F | F | C7 | C7 | C7 | F | Bb | F | C7 | F | Bb | F | C7 | F",
        "waltz", centre=60, bass=41, loop_from_bar=1,
    ),
    Piece(
        "amazing-grace", "Amazing Grace", "Traditional", "major", (3, 4), 84, "arch",
        ("rh D4q | G4h B4e G4 | B4h A4q | G4h E4q | D4h D4q | G4h B4e G4 | B4h A4q | D5h. | D5h B4q | "
         "D5q. B4e D5 B4 | G4h D4q | E4q. G4e G4 E4 | D4h D4q | G4h B4e G4 | B4h A4q | G4h. | rh D4q",),
        "- | G | G | C | G | G | Em:2 A7:1 | D | D7 | G | G7 | C | G | G | Em:2 D7:1 | G | G",
        "block", centre=55, bass=43, loop_from_bar=1,
    ),
    Piece(
        "scarborough-fair", "Scarborough Fair", "Traditional", "minor", (3, 4), 112, "diminuendo",
        ("D4h D4q | A4h A4q | E4q. F4e E4q | D4h. | rq A4q C5 | D5h C5q | A4q B4 G4 | A4h. | rq D5q D5 | "
         "D5q C5 A4 | A4q G4 F4 | E4q C4h | D4h A4q | G4q F4 E4 | D4h C4q | D4h.",),
        "Dm | Dm | C | Dm | F | G | G | Am | Dm | F | F | C | Dm | C | C | Dm", "arpeggio", centre=53, bass=38,
    ),
    Piece(
        "frere-jacques", "Frère Jacques", "Traditional", "major", (4, 4), 112, "crescendo",
        (" | ".join([_FRERE] * 3), "rw rw | " + _octave(" | ".join([_FRERE] * 3)[: -len(" | F4q C4 F4h") * 2], -1),
         "rw rw rw rw | " + _octave(_FRERE + " | " + _FRERE, 1)),
    ),
    Piece(
        "gymnopedie", "Gymnopédie No. 1", "Erik Satie", "major", (3, 4), 76, "level",
        ("rh. | rh. | rq F#5q A5 | G5 F#5 C#5 | B4 C#5 D5 | A4h. | F#4h.h. rh. | rh. | rq F#5q A5 | G5 F#5 C#5 | "
         "B4 C#5 D5 | A4h. | C#5h. | F#5h. | E4h.h.",
         " | ".join(["G2h. | D2h."] * 9), " | ".join(["rq B3+D4+F#4h | rq A3+C#4+F#4h"] * 9)),
    ),
    Piece(
        "prelude-in-e-minor", "Prelude in E minor", "Frédéric Chopin", "minor", (4, 4), 70, "diminuendo",
        ("rh. B4e. B5s | B4h. C5q | B4h. C5q | B4h. C5q | B4h. Bb4q | A4h. B4q | A4h. B4q | A4h. B4q | "
         "A4e B4 D5 C5 E4q A4 | F#4h. A4q | G4q F#4 E4h",
         "rw | " + _repeated("G3+B3+E4", "e", 8) + " | " + _repeated("F#3+A3+E4 F#3+A3+D#4", "e", 4) + " | "
         + _repeated("F3+A3+D#4 F3+G#3+D4", "e", 4) + " | " + _repeated("E3+G#3+D4 E3+G3+C#4", "e", 4) + " | "
         + _repeated("E3+F#3+C#4 E3+F#3+C4", "e", 4) + " | " + _repeated("E3+F#3+C4 D#3+F#3+C4", "e", 4) + " | "
         + _repeated("D3+F#3+C4 D3+F3+B3", "e", 4) + " | " + _repeated("C3+E3+B3 C3+E3+A3", "e", 4) + " | "
         + _repeated("B2+D#3+A3 B2+D#3+F#3", "e", 4) + " | " + _repeated("E3+G3+B3", "e", 8)),
        loop_from_bar=1,
    ),
    Piece(
        "moonlight", "Moonlight Sonata", "Ludwig van Beethoven", "minor", (4, 4), 58, "arch",
        ("rw | rw | rw | rw | rh. re. G#4s | G#4h. G#4e. G#4s | G#4h A4h | G#4h F#4q B4 | E4w",
         "G#3t C#4 E4 " * 8 + "A3 C#4 E4 " * 2 + "A3 D4 F#4 " * 2 + "G#3 B#3 F#4 G#3 C#4 E4 G#3 C#4 D#4 F#3 B#3 D#4 "
         + "E3 G#3 C#4 " + "G#3 C#4 E4 " * 3 + "G#3 D#4 F#4 " * 4 + "G#3 C#4 E4 " * 2 + "A3 C#4 F#4 " * 2
         + "G#3 B3 E4 " * 2 + "A3 B3 D#4 " * 2 + "G#3 B3 E4 " * 4,
         "C#2+C#3w | B1+B2 | A1+A2h F#1+F#2 | G#1+G#2 G#1+G#2 | C#2+C#3w | C2+C3 | C#2+C#3h F#1+F#2 | B1+B2w | "
         "E2+E3"),
    ),
    Piece(
        "mountain-king", "In the Hall of the Mountain King", "Edvard Grieg", "minor", (4, 4), 118, "crescendo",
        ("B2e C#3 D3 E3 F#3 D3 F#3q | F3e C#3 F3q E3e C3 E3q | B2e C#3 D3 E3 F#3 D3 F#3 B3 | A3 F#3 D3 F#3 A3h | "
         "B2e C#3 D3 E3 F#3 D3 F#3q | F3e C#3 F3q E3e C3 E3q | B2e C#3 D3 E3 F#3 D3 F#3 B3 | A3 F#3 D3 F#3 A3h | "
         "F#3e G#3 A#3 B3 C#4 A#3 C#4q | D4e A#3 D4q C#4e A#3 C#4q | F#3e G#3 A#3 B3 C#4 A#3 C#4q | "
         "D4e A#3 D4q C#4h",),
        "Bm | C#:2 C:2 | Bm | D | Bm | C#:2 C:2 | Bm | D | F# | D:2 F#:2 | F# | D:2 F#:2",
        "stride", centre=66, bass=35,
    ),
    Piece(
        "morning-mood", "Morning Mood", "Edvard Grieg", "major", (6, 8), 62, "crescendo",
        ("B5e G#5 F#5 E5 F#5 G#5 | B5 G#5 F#5 E5e F#5s G#5 F#5e | B5 G#5 B5 C#6 G#5 C#6 | B5 G#5 F#5 E5q. | "
         "B4e G#4 F#4 E4 F#4 G#4 | B4 G#4 F#4 E4e F#4s G#4 F#4e | B4 G#4 B4 C#5 G#4 C#5 | B4 A#4 G#4 D#4q. | "
         "D#5e B#4 A#4 G#4 A#4 B#4 | D#5 B#4 A#4 G#4e A#4s B#4 A#4e | D#5 B#4 D#5 E5 B4 E5 | D#5 B4 F#4 B4q.",),
        "E | E | E C#m | E | E | E | E C#m | G#m | G# | G# | G# E | B7", "arpeggio", centre=56, bass=40,
    ),
    Piece(
        "largo", "Largo from the New World", "Antonín Dvořák", "major", (4, 4), 58, "arch",
        ("F4q. Ab4e Ab4h | F4q. Eb4e Db4h | Eb4q F4 Ab4 F4 | Eb4w | F4q. Ab4e Ab4h | F4q. Eb4e Db4h | "
         "Eb4q F4 Eb4q. Db4e | Db4w",),
        "Db | Db:2 Bbm:2 | Ab7:1 Db:1 Bbm:2 | Eb7:2 Ab7:2 | Db | Db:2 Gb:2 | Ab7:1 Bbm:1 Ab7:2 | Db",
        "block", centre=53, bass=37,
    ),
    Piece(
        "entertainer", "The Entertainer", "Scott Joplin", "major", (2, 4), 74, "level",
        ("rq re D4s D#4 | E4s C5e E4s C5e E4s C5sq rs C5s D5 D#5 | E5s C5 D5 E5e B4s D5e | C5q. D4s D#4 | "
         "E4s C5e E4s C5e E4s C5sq re A4s G4 | F#4s A4 C5 E5e D5s C5 A4 | D5q. D4s D#4 | "
         "E4s C5e E4s C5e E4s C5sq rs C5s D5 D#5 | E5s C5 D5 E5e B4s D5e | C5q. C5s D5 | "
         "E5s C5 D5 E5e C5s D5 C5 | E5s C5 D5 E5e C5s D5 C5 | E5s C5 D5 E5e B4s D5e | C5q. D4s D#4",),
        "- | C | F C | C G7 | C | C | F C | D7 | G7 | C | F C | C G7 | C | C C7 | F Fm | C G7 | C",
        "stride", centre=57, bass=40, loop_from_bar=1,
    ),
    Piece(
        "sonatina", "Sonatina Op. 36 No. 1", "Muzio Clementi", "major", (4, 4), 132, "level",
        ("C5q E5e C5 G4q G4 | C5q E5e C5 G5q r | F5e E5 D5 C5 B4 C5 B4 C5 | D5e C5 B4 A4 G4q r | "
         "C5q E5e C5 G4q G4 | C5q E5e C5 G5q r | A5e G5 F#5 E5 D5 C5 B4 A4 | G4q B4 G4h",),
        "C | C | G7 | G | C | C | D7 | G", "alberti", centre=58,
    ),
    Piece(
        "sonata-facile", "Sonata K. 545", "Wolfgang Amadeus Mozart", "major", (4, 4), 126, "crescendo",
        ("C5h E5q G5 | B4q. C5s D5 C5h | A5h G5q C6 | G5q F5 E5q r | A4e B4s C5 D5 E5 F5 G5 A5 G5 F5 E5 D5 C5 B4 A4 | "
         "G4e A4s B4 C5 D5 E5 F5 G5 F5 E5 D5 C5 B4 A4 G4 | F4e G4s A4 B4 C5 D5 E5 F5 E5 D5 C5 B4 A4 G4 F4 | "
         "E4e F4s G4 A4 B4 C5 D5 E5 D5 C5 B4 A4 G4 F4 E4 | D4e E4s F4 G4 A4 B4 C#5 D5 A4 B4 C#5 D5 E5 F5 G5 | "
         "A5s B5 C6 B5 A5 G5 F5 E5 F5 G5 A5 G5 F5 E5 D5 C5 | B4e G5 E5 C5 D5 G5 E5 C5 | D5q G5 G4h",),
        "C | G7:2 C:2 | F:2 C:2 | G7:2 C:2 | F | C | Dm | C | Dm | F | G:1 C:1 G:1 C:1 | G", "alberti", centre=62,
    ),
    _own(
        "chorale", "Chorale in G minor", 11, 7, "minor", ("q q q q", "h q q", "q q h", "q e e q q"), low=65,
        tempo_bpm=76, dynamics="arch", figure="block", centre=58, bass=38,
    ),
    _own(
        "nocturne", "Nocturne in D flat", 25, 1, "major", ("h q q", "q. e h", "h q. e", "q e e h"), low=66,
        tempo_bpm=72, dynamics="arch", figure="wave", centre=56, bass=37,
    ),
    _own(
        "dark-waltz", "Waltz in F minor", 31, 5, "minor", ("q q q", "h q", "q e e q", "q. e q"), low=66, metre=(3, 4),
        tempo_bpm=160, dynamics="diminuendo", figure="waltz", centre=58, bass=36,
    ),
    _own(
        "ostinato", "Ostinato in A", 47, 9, "major", ("e e e e e e e e", "q e e e e q", "e e q e e q"), low=76,
        tempo_bpm=138, dynamics="level", figure="pulse", centre=69, bass=45,
    ),
    _own(
        "toccata", "Toccata in D minor", 53, 2, "minor",
        ("s s s s s s s s s s s s s s s s", "e s s e s s s s s s e e", "s s s s e e s s s s e e"), low=64,
        tempo_bpm=104, dynamics="crescendo", figure="march", centre=53, bass=33,
    ),
)  # fmt: skip
