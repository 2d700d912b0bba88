"""The demo library: 24 short pieces, each played by five invented performers, 120 recordings of 20 to 24 s.

    plan_demo     what will be made                        nothing but names
    perform       plan -> notes, pedal, planted truth      fast, no audio
    make_demo     all of it as files                       resumable, byte-identical for the same seed

Performers differ in known ways (`PERFORMERS`), and each varies a little from piece to piece, so that what a probe finds
can be compared with what was put in. What was *realised* in the notes, not what was intended, is recorded with every
track as `planted` (`PLANTED_UNITS` says what and in which unit). The instrument rotates, so that it tells neither the
piece nor the performer.

Layout of the folder: `audio/<stem>.flac` (24 kHz, mono, 16 bit), `midi/<stem>.mid` (the performance with its pedal),
`score/<work>.mid` (the notes as written, at the nominal tempo; the performance plays the first `n_notes` of them) and
`demo.json` (every fact above, the version of this recipe, and the sha256 of each file).

Conventions: scores in quarters, performances in seconds, tempo in beats per minute.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import soundfile

from mess_core.collections.demo_scores import PIECES, Piece, ScoreNote, read_score
from mess_core.errors import ArtefactMismatchError, InputError, StorageError
from mess_core.notes.midi import TICK_S, Note, PedalSpan, write_midi
from mess_core.notes.synthesis import INSTRUMENTS, SAMPLE_RATE_HZ, render
from mess_core.parallel import process_pool
from mess_core.storage.files import unseal, write_atomically, write_sealed
from mess_core.storage.untrusted import MOST_DOCUMENT_BYTES, parse_json, read_untrusted, sha256_of, understanding

VERSION = "1"  # of the recipe: raise it when scores, performers or synthesis change, and every file is made again
TABLE = "demo.json"
ENTRIES = {"version", "seed", "units", "performers", "scores", "tracks"}
FILE = re.compile(r"(audio|midi|score)/[\w-]{1,100}\.(flac|mid)")

LEAD_IN_S = 0.15  # silence before the first note
EARLIEST_CUT_S, LATEST_CUT_S = 18.9, 22.1  # where the music may stop, so that a file lasts 20 to 24 s
AIM_CUT_S = 20.8
HOLD_S = 0.3  # the last notes are held a little
DECAY_S = 1.0  # and ring out
SHORTEST_S, LONGEST_S = 20.0, 24.0
GRID = 1 / 12  # quarters: the tempo curve is laid out in steps that divide both triplets and sixteenths
LONG_BAR_S = 2.6  # a piece with longer bars may also stop in the middle of one
GAP_LIMIT_S = 0.8  # detached playing shortens notes up to this length in proportion, longer ones by a constant
SHORTEST_NOTE_S = 0.045
BEGIN_AGAIN_S = 0.025  # a key must come up before it goes down again

# Piano three times in ten, the others once each. Performers are three steps apart (`plan_demo`), so that a piece meets
# the piano once or twice and each other instrument at most once.
ROTATION = (
    "piano", "piano", "strings", "flute", "harpsichord", "guitar", "clarinet", "vibraphone", "organ", "piano",
)  # fmt: skip

PLANTED_UNITS = {
    "tempo_bpm": "beats per minute: 60 / median beat period",
    "rubato": "octaves: SD of log2 beat period",
    "articulation_ratio": "key overlap over inter-onset interval, median over notes followed in the same voice",
    "velocity_mean": "MIDI velocity",
    "velocity_std": "MIDI velocity",
    "velocity_range": "MIDI velocity, 95th minus 5th percentile",
    "crescendo": "MIDI velocity per minute, slope of a straight line; negative for a diminuendo",
    "melody_lead_ms": "ms by which the melody precedes the mean of the other notes written at the same time",
    "chord_asynchrony_ms": "ms between first and last of the accompanying notes written at the same time, mean",
    "pedal_ratio": "fraction of the music with the sustain pedal down",
    "onset_density": "written onsets per second",
    "note_density": "notes per second",
    "mean_pitch": "MIDI pitch",
    "mode": "0 minor, 1 major",
    "beats_per_bar": "beats",
}


@dataclass(frozen=True)
class Performer:
    """How somebody plays."""

    name: str
    tempo_ratio: float  # over the written tempo
    velocity: float  # mean, MIDI
    phrase_velocity: float  # how far phrases and the whole piece swell and fade, MIDI velocity
    articulation: float  # key overlap over inter-onset interval: negative is detached, positive legato
    rubato: float  # octaves: SD of log2 beat period, broad at the ends of phrases
    lead_ms: float  # melody before accompaniment
    emphasis: float  # melody above accompaniment, MIDI velocity
    asynchrony_ms: float  # spread of a chord, low notes first
    pedal: float  # fraction of each harmony with the pedal down, where the instrument has one


# The order of the five differs from column to column and no two columns go together closely: a probe that finds
# "legato" cannot have found "slow" instead.
PERFORMERS = (
    Performer("Ada Quill", 0.82, 76, 11, 0.13, 0.025, 8, 6, 15, 0.80),
    Performer("Bruno Vale", 0.91, 88, 7, -0.36, 0.140, 26, 14, 4, 0.35),
    Performer("Celia Marrow", 1.00, 48, 4, -0.16, 0.105, 16, 9, 32, 0.94),
    Performer("Davit Sorrel", 1.10, 58, 17, 0.02, 0.070, 38, 18, 22, 0.00),
    Performer("Enid Falk", 1.22, 67, 22, -0.60, 0.045, 0, 2, 9, 0.60),
)


@dataclass(frozen=True)
class DemoPlan:
    """One recording to be made."""

    piece: Piece
    performer: Performer
    instrument: str

    @property
    def stem(self) -> str:
        return f"{self.piece.work}--{self.performer.name.split()[0].lower()}--{self.instrument}"

    @property
    def title(self) -> str:
        return f"{self.piece.title} · {self.performer.name} · {self.instrument}"


@dataclass(frozen=True)
class Rendition:
    """What a performer made of a piece: note i plays note i of the score."""

    notes: tuple[Note, ...]
    pedal: tuple[PedalSpan, ...]
    duration_s: float
    score_length: float  # quarters of the score that were played
    planted: dict[str, float]


@dataclass(frozen=True)
class DemoTrack:
    """One recording that was made, with everything known about it."""

    stem: str
    title: str
    work: str
    composer: str
    performer: str
    instrument: str
    duration_s: float
    audio: Path
    midi: Path
    score: Path
    planted: dict[str, float]


def plan_demo() -> tuple[DemoPlan, ...]:
    """All 120 recordings, by piece and performer."""
    return tuple(
        DemoPlan(piece, performer, ROTATION[(i + 3 * j) % len(ROTATION)])
        for i, piece in enumerate(PIECES)
        for j, performer in enumerate(PERFORMERS)
    )


# --- playing ----------------------------------------------------------------------------------------------


def _mood(performer: Performer, rng: np.random.Generator) -> Performer:
    """The performer as this piece finds them: every habit a little stronger or weaker, never another person."""
    draw = rng.uniform(-1, 1, size=8)
    return Performer(
        performer.name,
        tempo_ratio=performer.tempo_ratio * 2 ** (0.05 * draw[0]),
        velocity=performer.velocity + 4 * draw[1],
        phrase_velocity=performer.phrase_velocity * 2 ** (0.3 * draw[2]),
        articulation=performer.articulation + 0.05 * draw[3],
        rubato=performer.rubato * 2 ** (0.3 * draw[4]),
        lead_ms=performer.lead_ms * 2 ** (0.25 * draw[5]),
        emphasis=performer.emphasis,
        asynchrony_ms=performer.asynchrony_ms * 2 ** (0.25 * draw[6]),
        pedal=performer.pedal + (0.05 * draw[7] if performer.pedal else 0.0),
    )


def _tempo_curve(piece: Piece, performer: Performer, length: float, rng: np.random.Generator) -> np.ndarray:
    """Time of every grid point, seconds, from 0: phrases begin and end broadly and hurry between (Todd 1985)."""
    positions = np.arange(round(length / GRID)) * GRID
    phase = ((positions - piece.first_downbeat) / piece.phrase) % 1
    arch = ((2 * phase - 1) ** 2 - 1 / 3) / np.sqrt(4 / 45)  # mean 0, SD 1
    beats = np.arange(int(length / piece.beat) + 2)
    wander = np.interp(positions / piece.beat, beats, rng.standard_normal(len(beats)))
    log2_period = performer.rubato * (0.92 * arch + 0.4 * wander)
    period_s = 60 / (piece.tempo_bpm * performer.tempo_ratio) / piece.beat * 2**log2_period  # per quarter
    return np.concatenate([[0.0], np.cumsum(period_s * GRID)])


def _at(curve_s: np.ndarray, quarters: np.ndarray | float) -> np.ndarray:
    """Times of score positions on a tempo curve, seconds."""
    return np.interp(np.asarray(quarters) / GRID, np.arange(len(curve_s)), curve_s)


def _cut(piece: Piece, curve_s: np.ndarray, first_onset: float) -> float:
    """Where to stop, in quarters: after a phrase if one ends in time, else after half a phrase, a bar, half a bar."""
    half = piece.bar / 2
    n_halves = int((len(curve_s) - 1) * GRID / half)
    best: tuple[tuple[int, float], float] | None = None
    for i in range(1, n_halves + 1):
        position = i * half
        time_s = LEAD_IN_S + float(_at(curve_s, position) - _at(curve_s, first_onset))
        if not EARLIEST_CUT_S <= time_s <= LATEST_CUT_S:
            continue
        bar_s = float(_at(curve_s, position) - _at(curve_s, position - piece.bar))
        if i % 2 and (bar_s < LONG_BAR_S or piece.metre[0] % 2):
            continue
        bars = (position - piece.first_downbeat) / piece.bar
        rank = sum(bars % unit == 0 for unit in (piece.phrase_bars, piece.phrase_bars / 2, 1))
        choice = ((-rank, abs(time_s - AIM_CUT_S)), position)
        best = min(best, choice) if best else choice
    if best is None:
        raise InputError(f"{piece.title} has no place to stop between {EARLIEST_CUT_S} and {LATEST_CUT_S} s.")
    return best[1]


def _swell(piece: Piece, performer: Performer, onsets: np.ndarray, cut: float) -> np.ndarray:
    """Velocity to add at each score position: the arch of the phrase, the plan of the whole, the weight of the bar."""
    phase = ((onsets - piece.first_downbeat) / piece.phrase) % 1
    phrase = np.sin(np.pi * phase**1.3) - 0.6
    x = np.clip(onsets / cut, 0, 1)
    whole = {
        "crescendo": 2 * x - 1,
        "diminuendo": 1 - 2 * x,
        "arch": 1.6 * np.sin(np.pi * x) - 1,
        "level": np.zeros_like(x),
    }[piece.dynamics]
    in_bar = onsets % piece.bar
    accent = np.where(in_bar < 1e-6, 4.0, np.where(in_bar % piece.beat < 1e-6, 1.0, -2.0))
    return performer.phrase_velocity * (phrase + 0.9 * whole) + accent


def _successors(score: tuple[ScoreNote, ...]) -> np.ndarray:
    """For each note the index of the note that follows it in its voice without a rest, or -1; shape (n_notes,)."""
    successors = np.full(len(score), -1)
    starts: dict[tuple[int, float], int] = {}
    for i, note in enumerate(score):
        starts[note.voice, round(note.onset, 4)] = i  # of a chord within one voice the top note
    for i, note in enumerate(score):
        successors[i] = starts.get((note.voice, round(note.offset, 4)), -1)
    return successors


def _onsets_s(
    score: tuple[ScoreNote, ...], written_s: np.ndarray, performer: Performer, rng: np.random.Generator
) -> np.ndarray:
    """When each note is struck: as the tempo has it, the melody ahead, chords spread from below, a human's jitter."""
    onsets_s = written_s + rng.normal(0, 0.002, len(score))
    for _, group in groupby(range(len(score)), key=lambda i: round(score[i].onset, 4)):
        members = list(group)  # by rising pitch
        melody = [i for i in members if score[i].voice == 0]
        others = [i for i in members if score[i].voice != 0]
        if len(others) > 1:
            spread_s = performer.asynchrony_ms / 1000 * rng.uniform(0.7, 1.3)
            onsets_s[others] += np.linspace(-0.5, 0.5, len(others)) * spread_s
        if melody and others:
            onsets_s[melody] -= performer.lead_ms / 1000
    return onsets_s


def _ends_s(
    score: tuple[ScoreNote, ...],
    onsets_s: np.ndarray,
    offsets_s: np.ndarray,
    performer: Performer,
    rng: np.random.Generator,
) -> np.ndarray:
    """When each key is released: so long before or after the next note of the voice as the articulation asks."""
    follows = _successors(score)
    next_s = np.where(follows >= 0, onsets_s[follows], offsets_s)
    interval_s = next_s - onsets_s
    ratio = performer.articulation + rng.normal(0, 0.04, len(score))
    ratio = np.where(follows >= 0, ratio, np.minimum(ratio, 0))  # nothing to connect to before a rest
    ends_s = next_s + ratio * np.minimum(interval_s, GAP_LIMIT_S)
    ends_s = np.maximum(ends_s, onsets_s + SHORTEST_NOTE_S)
    next_of_pitch: dict[int, float] = {}
    for i in np.argsort(-onsets_s, kind="stable"):
        begin_again_s = next_of_pitch.get(score[i].pitch, np.inf) - BEGIN_AGAIN_S
        ends_s[i] = min(ends_s[i], max(begin_again_s, onsets_s[i] + 0.02))
        next_of_pitch[score[i].pitch] = onsets_s[i]
    return ends_s


def _pedal(piece: Piece, performer: Performer, curve_s: np.ndarray, start: float, cut: float) -> list[PedalSpan]:
    """Down just after each harmony begins, up after the performer's share of it."""
    unit = piece.bar if piece.metre[0] % 2 or piece.bar < 3.5 else piece.bar / 2
    edges_s = _at(curve_s, np.arange(np.floor(start / unit), round(cut / unit) + 1) * unit)
    return [
        PedalSpan(max(down_s, 0) + 0.06, max(down_s, 0) + 0.06 + performer.pedal * (up_s - max(down_s, 0) - 0.06))
        for down_s, up_s in pairwise(edges_s)
        if up_s > 0.2 and performer.pedal
    ]


def _to_tick(time_s: float) -> float:
    return round(time_s / TICK_S) * TICK_S


def perform(plan: DemoPlan, seed: int = 0) -> Rendition:
    """Play one piece: the notes, the pedal, and what was realised.

    Parameters
    ----------
    plan : DemoPlan
    seed : int
        Of the moods and the small irregularities; the pieces and the performers stay the same.

    Returns
    -------
    Rendition
        Notes in the order of the score (by written onset and pitch), times on MIDI ticks.
    """
    piece = plan.piece
    rng = np.random.default_rng([seed, PIECES.index(piece), PERFORMERS.index(plan.performer)])
    performer = _mood(plan.performer, rng)
    plenty = piece.first_downbeat + LONGEST_S * piece.tempo_bpm / 60 * piece.beat * 1.5 + 2 * piece.bar
    curve_s = _tempo_curve(piece, performer, plenty, rng)
    first_onset = read_score(piece, plenty)[0].onset
    cut = _cut(piece, curve_s, first_onset)
    score = read_score(piece, cut)

    # The last bar slows down, the more so the freer the performer.
    grid = np.arange(len(curve_s) - 1) * GRID
    slowing = 1 + 1.2 * performer.rubato * np.clip((grid - cut + piece.bar) / piece.bar, 0, 1)
    curve_s = np.concatenate([[0.0], np.cumsum(np.diff(curve_s) * slowing)])
    curve_s = curve_s - _at(curve_s, first_onset) + LEAD_IN_S

    positions = np.array([note.onset for note in score])
    offsets = np.array([note.offset for note in score])
    is_melody = np.array([note.voice == 0 for note in score])
    onsets_s = _onsets_s(score, _at(curve_s, positions), performer, rng)
    ends_s = _ends_s(score, onsets_s, _at(curve_s, np.minimum(offsets, cut)), performer, rng)
    end_s = float(_at(curve_s, cut)) + HOLD_S
    ends_s[offsets > cut - 1e-6] = end_s

    velocities = performer.velocity + _swell(piece, performer, positions, cut) + rng.normal(0, 2, len(score))
    velocities += np.where(is_melody, performer.emphasis / 2, -performer.emphasis / 2)
    # The more tones a chord has the softer each: together they must not cover the melody.
    _, chord, n_together = np.unique(positions.round(4), return_inverse=True, return_counts=True)
    velocities -= np.where(is_melody, 0, 4 * np.log2(n_together[chord]))
    velocities += performer.velocity - velocities.mean()  # what swells somewhere is softer elsewhere
    velocities = np.clip(np.rint(velocities), 10, 124).astype(int)

    notes = tuple(
        Note(_to_tick(max(onset_s, 0.0)), _to_tick(release_s), note.pitch, int(velocity))
        for note, onset_s, release_s, velocity in zip(score, onsets_s, ends_s, velocities, strict=True)
    )
    has_pedal = INSTRUMENTS[plan.instrument].has_pedal
    spans = _pedal(piece, performer, curve_s, first_onset, cut) if has_pedal else []
    pedal = tuple(PedalSpan(_to_tick(span.start_s), _to_tick(span.end_s)) for span in spans)
    duration_s = round(float(np.clip(end_s + DECAY_S, SHORTEST_S, LONGEST_S)), 2)
    return Rendition(notes, pedal, duration_s, cut, _realised(piece, score, notes, pedal, curve_s, cut))


def _realised(
    piece: Piece,
    score: tuple[ScoreNote, ...],
    notes: tuple[Note, ...],
    pedal: tuple[PedalSpan, ...],
    curve_s: np.ndarray,
    cut: float,
) -> dict[str, float]:
    """Measure what was played; a quantity without an occasion to be measured is left out."""
    starts_s = np.array([note.start_s for note in notes])
    ends_s = np.array([note.end_s for note in notes])
    pitches = np.array([note.pitch for note in notes])
    velocities = np.array([note.velocity for note in notes])
    length_s = float(ends_s.max() - starts_s.min())
    beat_s = np.diff(_at(curve_s, np.arange(np.ceil(score[0].onset / piece.beat), cut / piece.beat) * piece.beat))

    follows = _successors(score)
    followed = np.flatnonzero((follows >= 0) & (pitches[follows] != pitches))
    next_s = starts_s[follows[followed]]
    overlap = (ends_s[followed] - next_s) / (next_s - starts_s[followed])

    leads_ms, spreads_ms, n_onsets = [], [], 0
    for _, group in groupby(range(len(score)), key=lambda i: round(score[i].onset, 4)):
        members = list(group)
        n_onsets += 1
        melody = starts_s[[i for i in members if score[i].voice == 0]]
        others = starts_s[[i for i in members if score[i].voice != 0]]
        if len(melody) and len(others):
            leads_ms.append(1000 * (others.mean() - melody.mean()))
        if len(others) > 1:
            spreads_ms.append(1000 * np.ptp(others))

    planted = {
        "tempo_bpm": 60 / np.median(beat_s),
        "rubato": np.std(np.log2(beat_s)),
        "velocity_mean": velocities.mean(),
        "velocity_std": velocities.std(),
        "velocity_range": np.ptp(np.percentile(velocities, [5, 95])),
        "crescendo": 60 * np.polyfit(starts_s, velocities, 1)[0],
        "pedal_ratio": sum(span.end_s - span.start_s for span in pedal) / length_s,
        "onset_density": n_onsets / length_s,
        "note_density": len(notes) / length_s,
        "mean_pitch": pitches.mean(),
        "mode": float(piece.mode == "major"),
        "beats_per_bar": piece.bar / piece.beat,
    }
    measured = {"articulation_ratio": overlap, "melody_lead_ms": leads_ms, "chord_asynchrony_ms": spreads_ms}
    planted |= {name: np.median(v) if name == "articulation_ratio" else np.mean(v)
                for name, v in measured.items() if len(v)}  # fmt: skip
    return {name: round(float(planted[name]), 6) for name in PLANTED_UNITS if name in planted}


# --- files ------------------------------------------------------------------------------------------------


def make_demo(
    folder: Path,
    *,
    seed: int = 0,
    workers: int = 2,
    only: Collection[str] | None = None,
    on_track: Callable[[int, int, str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[DemoTrack, ...]:
    """Make the demo library, or what is missing of it.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    seed : int
        Another seed is another evening with the same performers: all files are made again.
    workers : int
        Processes; 1 works in this one.
    only : collection of str, optional
        Stems to make; all others are left alone.
    on_track : callable (n_done, n_total, title), optional
        Called in this process after each recording that was made or found.
    should_stop : callable () -> bool, optional
        Asked between recordings; when true the ones under way are finished and the rest is left for the next call.

    Returns
    -------
    tuple of DemoTrack
        Those that exist now, in the order of `plan_demo`.
    """
    plans = [plan for plan in plan_demo() if only is None or plan.stem in only]
    table = _read_table(folder, seed)
    todo = [plan for plan in plans if not _is_made(folder, table["tracks"].get(plan.stem))]
    scores_todo = {plan.piece for plan in todo if not _is_whole(folder, table["scores"].get(plan.piece.work))}
    for piece in sorted(scores_todo, key=lambda piece: piece.work):
        table["scores"][piece.work] = _make_score(folder, piece, seed)
    n_done = 0

    def report(title: str) -> None:
        nonlocal n_done
        n_done += 1
        if on_track:
            on_track(n_done, len(plans), title)

    for plan in plans:
        if plan not in todo:
            report(plan.title)
    # By instrument, then piece: neighbours share most of their cached notes.
    todo.sort(key=lambda plan: (plan.instrument, plan.piece.work))
    try:
        for plan, facts in _made(folder, todo, seed, workers, should_stop or (lambda: False)):
            table["tracks"][plan.stem] = facts | {"score": table["scores"][plan.piece.work]}
            report(plan.title)
            if n_done % 10 == 0:  # a kill -9 costs at most ten recordings
                _write_table(folder, table)
    finally:
        if todo:
            _write_table(folder, table)
    return tuple(_track(folder, plan, facts) for plan in plans if (facts := table["tracks"].get(plan.stem)))


def _made(
    folder: Path, plans: list[DemoPlan], seed: int, workers: int, should_stop: Callable[[], bool]
) -> Iterator[tuple[DemoPlan, dict]]:
    """Make recordings here or in other processes, and hand each over when its files are in place."""
    if workers <= 1 or len(plans) <= 4:  # starting a process takes longer than making four
        for plan in plans:
            if should_stop():
                return
            yield plan, _make_track(folder, plan, seed)
        return
    # Each worker takes its own stretch of the list, so that its cache of notes stays warm. A fresh interpreter (spawn)
    # inherits no threads and no locks of the server.
    stretches = [plans[i * len(plans) // workers : (i + 1) * len(plans) // workers] for i in range(workers)]
    with process_pool(workers) as pool:
        running = {pool.submit(_make_track, folder, s[0], seed): (s[0], iter(s[1:])) for s in stretches if s}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                plan, rest = running.pop(future)
                following = None if should_stop() else next(rest, None)
                if following is not None:
                    running[pool.submit(_make_track, folder, following, seed)] = (following, rest)
                yield plan, future.result()


def _make_track(folder: Path, plan: DemoPlan, seed: int) -> dict:
    """One recording and its MIDI as files; returns the row of the table."""
    performance = perform(plan, seed)
    audio = render(performance.notes, performance.pedal, plan.instrument, duration_s=performance.duration_s)
    flac = io.BytesIO()
    soundfile.write(flac, np.rint(audio * 32767).astype(np.int16), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    midi = io.BytesIO()
    write_midi(midi, performance.notes, performance.pedal, program=INSTRUMENTS[plan.instrument].program)
    return {
        "title": plan.title,
        "work": plan.piece.work,
        "composer": plan.piece.composer,
        "performer": plan.performer.name,
        "instrument": plan.instrument,
        "duration_s": performance.duration_s,
        "n_notes": len(performance.notes),
        "audio": _write(folder, f"audio/{plan.stem}.flac", flac.getvalue()),
        "midi": _write(folder, f"midi/{plan.stem}.mid", midi.getvalue()),
        "planted": performance.planted,
    }


def _make_score(folder: Path, piece: Piece, seed: int) -> dict:
    """The written notes, as far as the performer who gets furthest plays them."""
    length = max(perform(plan, seed).score_length for plan in plan_demo() if plan.piece == piece)
    quarter_bpm = piece.tempo_bpm * piece.beat
    quarter_s = 60 / quarter_bpm
    notes = [
        Note(note.onset * quarter_s, note.offset * quarter_s, note.pitch, 64) for note in read_score(piece, length)
    ]
    midi = io.BytesIO()
    write_midi(midi, notes, tempo_bpm=quarter_bpm, metre=piece.metre)
    return _write(folder, f"score/{piece.work}.mid", midi.getvalue())


def _write(folder: Path, name: str, data: bytes) -> dict:
    write_atomically(folder / name, data)
    return {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def _is_whole(folder: Path, file: dict | None) -> bool:
    """There, and as long as it was: enough to see an interrupted or removed file without reading 55 MB of audio."""
    if file is None:
        return False
    path = folder / file["path"]
    return path.is_file() and path.stat().st_size == file["size_bytes"]


def _is_made(folder: Path, facts: dict | None) -> bool:
    return facts is not None and all(_is_whole(folder, facts[role]) for role in ("audio", "midi", "score"))


def _read_table(folder: Path, seed: int) -> dict:
    """The table of an earlier call, or an empty one where there is none, or one of another recipe or seed."""
    empty = {"version": VERSION, "seed": seed, "units": PLANTED_UNITS, "performers": [asdict(p) for p in PERFORMERS],
             "scores": {}, "tracks": {}}  # fmt: skip
    try:
        table = _stored_table(folder)
        with understanding(TABLE):
            known = {plan.stem for plan in plan_demo()}
            tracks = {stem: _check_facts(facts) for stem, facts in table["tracks"].items() if stem in known}
            scores = {work: _check_file(facts) for work, facts in table["scores"].items()}
    except (FileNotFoundError, ArtefactMismatchError):
        return empty
    is_of_today = (table.get("version"), table.get("seed")) == (VERSION, seed)
    return {**empty, "tracks": tracks, "scores": scores} if is_of_today else empty


def _stored_table(folder: Path) -> dict:
    """The table as it was written; one from before there were seals has no more entries than it had then."""
    data = read_untrusted(folder / TABLE, MOST_DOCUMENT_BYTES)
    table = parse_json(data, TABLE)
    return table if table.keys() <= ENTRIES else unseal(data, TABLE)


def _check_facts(facts: dict) -> dict:
    """What the table says of one recording, if the rest of this module can take it at its word."""
    for role in ("audio", "midi", "score"):
        _check_file(facts[role])
    if not 0 < facts["duration_s"] < math.inf or not all(math.isfinite(value) for value in facts["planted"].values()):
        raise ValueError("it says of a recording what cannot be")
    return facts


def _check_file(facts: dict) -> dict:
    """Its path is one that `_write` gives: nothing outside of the demo's folder is looked at or registered."""
    if not FILE.fullmatch(facts["path"]) or type(facts["size_bytes"]) is not int:
        raise ValueError(f"it names {facts['path']!r}")
    return facts


def check_demo(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each file of the demo that is not what was written: (path, what is wrong)."""
    try:
        table = _stored_table(folder)
        with understanding(f"The table {TABLE} of the demo"):
            files = {facts["path"]: facts for facts in map(_check_file, table["scores"].values())}
            for facts in map(_check_facts, table["tracks"].values()):
                files |= {facts[role]["path"]: facts[role] for role in ("audio", "midi", "score")}
    except FileNotFoundError:
        return
    except (ArtefactMismatchError, StorageError) as error:
        yield folder / TABLE, error.message
        return
    for name, facts in sorted(files.items()):
        path = folder / name
        try:
            is_whole = sha256_of(path, facts["size_bytes"]) == facts["sha256"]
        except FileNotFoundError:  # music that is missing is no damage: it is made again when it is asked for
            continue
        except (ArtefactMismatchError, StorageError) as error:
            yield path, error.message
            continue
        if not is_whole:
            yield path, f"{name} of the demo is damaged: its sha256 changed."


def _write_table(folder: Path, table: dict) -> None:
    order = {plan.stem: i for i, plan in enumerate(plan_demo())}
    tracks = dict(sorted(table["tracks"].items(), key=lambda item: order.get(item[0], -1)))
    scores = dict(sorted(table["scores"].items()))
    write_sealed(folder / TABLE, table | {"scores": scores, "tracks": tracks})


def _track(folder: Path, plan: DemoPlan, facts: dict) -> DemoTrack:
    return DemoTrack(
        stem=plan.stem,
        title=plan.title,
        work=plan.piece.title,
        composer=plan.piece.composer,
        performer=plan.performer.name,
        instrument=plan.instrument,
        duration_s=facts["duration_s"],
        audio=folder / facts["audio"]["path"],
        midi=folder / facts["midi"]["path"],
        score=folder / facts["score"]["path"],
        planted=dict(facts["planted"]),
    )
