"""Note alignment: demo performances, whose every note is known, whole and damaged; the path against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mess_core.collections.demo import Rendition, perform, plan_demo
from mess_core.collections.demo_scores import Piece
from mess_core.collections.demo_scores import read_score as written_notes
from mess_core.errors import InputError
from mess_core.notes.midi import Note, write_midi
from mess_core.targets.alignment import (
    CLUMP_COST,
    LONGER_COST,
    MARGIN_COST,
    OMIT_COST,
    Score,
    align,
    chord_numbers,
    follow,
    match_notes,
    read_score,
)
from mess_core.targets.notes import CHORD_WIDTH_S, NoteTable

PLANS = plan_demo()


def written(piece: Piece, length: float, *, up: int = 0) -> Score:
    """The first `length` quarters of a piece of the demo library, transposed up by some semitones."""
    rows = [(note.onset, note.pitch + up, note.offset) for note in written_notes(piece, length)]
    onset, pitch, offset = np.array(rows).T
    beat = np.arange(0, onset[-1] + 1e-6, piece.beat)
    return Score(onset, offset, pitch.astype(int), np.zeros(len(onset), dtype=int), beat)


def played(performance: Rendition) -> tuple[NoteTable, np.ndarray]:
    """The notes in order of time, and for each the row of the score it plays (by written onset, then pitch)."""
    order = sorted(range(len(performance.notes)), key=lambda i: _by_time(performance.notes[i]))
    return NoteTable.of(performance.notes), np.array(order)


def _by_time(note: Note) -> tuple[float, int]:
    return note.start_s, note.pitch


def true_beats_s(performance: Rendition, score: Score, beat: np.ndarray) -> np.ndarray:
    """When notes written on these beats were played, the median of each chord; NaN without a note."""
    starts_s = np.array([note.start_s for note in performance.notes])
    is_at = np.abs(score.onset[: len(starts_s)] - beat[:, None]) < 1e-6
    return np.array([np.median(starts_s[chord]) if chord.any() else np.nan for chord in is_at])


@pytest.mark.parametrize("plan", PLANS[::7], ids=lambda plan: plan.stem)
def test_every_note_finds_its_own(plan) -> None:
    """A performance of the beginning of a score: 98 % of its notes are paired, 99 % of them rightly; beats to 5 ms."""
    performance = perform(plan)
    score = written(plan.piece, performance.score_length + 4 * plan.piece.bar)
    notes, truth = played(performance)
    alignment = align(notes, score)
    is_right = truth[alignment.note_rows] == alignment.score_rows
    assert len(is_right) >= 0.98 * len(notes)
    assert is_right.mean() >= 0.99
    error_s = alignment.beat_s - true_beats_s(performance, score, alignment.beat)
    assert np.nanmedian(np.abs(error_s)) < 1e-9
    assert np.nanquantile(np.abs(error_s), 0.9) < 0.005


@pytest.mark.parametrize("plan", PLANS[3::20], ids=lambda plan: plan.stem)
def test_slips_ornaments_and_omissions(plan) -> None:
    """A tenth of the notes left out, a tenth added, one in twenty wrong: what is paired is right, beats stay."""
    rng = np.random.default_rng(5)
    performance = perform(plan)
    score = written(plan.piece, performance.score_length)
    notes, row_of = [], []
    for row, note in enumerate(performance.notes):
        draw = rng.random()
        if draw < 0.1:
            continue
        pitch = note.pitch + int(rng.choice([-1, 1])) if draw < 0.15 else note.pitch
        notes.append(Note(note.start_s, note.end_s, pitch, note.velocity))
        row_of.append(-1 if draw < 0.15 else row)
        if draw > 0.9:  # an upper neighbour just before or after
            start_s = max(0.0, note.start_s + rng.choice([-0.08, 0.08]))
            notes.append(Note(start_s, start_s + 0.05, note.pitch + 2, note.velocity))
            row_of.append(-1)
    order = sorted(range(len(notes)), key=lambda i: _by_time(notes[i]))
    truth = np.array(row_of)[order]
    alignment = align(NoteTable.of(notes), score)
    is_right = truth[alignment.note_rows] == alignment.score_rows
    assert is_right.mean() >= 0.95
    assert is_right.sum() >= 0.9 * np.sum(truth >= 0)
    error_s = np.abs(alignment.beat_s - true_beats_s(performance, score, alignment.beat))
    assert np.nanquantile(error_s, 0.8) < 0.05


def test_cut_leaves_a_hole() -> None:
    """A passage left out has no beats; what comes before and after keeps its own."""
    rng = np.random.default_rng(2)
    onset = np.arange(200) / 2
    pitch = rng.integers(40, 90, 200)
    score = Score(onset, onset + 0.5, pitch, np.zeros(200, dtype=int), np.arange(100.0))
    rows = np.r_[0:80, 140:200]
    notes = NoteTable.of([Note(i * 0.25, i * 0.25 + 0.2, int(pitch[row]), 64) for i, row in enumerate(rows)])
    alignment = align(notes, score)
    assert np.array_equal(alignment.score_rows, rows)
    is_cut = (alignment.beat > 39.5) & (alignment.beat < 70)
    assert np.isnan(alignment.beat_s[is_cut]).all()
    assert alignment.beat_s[~is_cut] == pytest.approx(np.r_[0:40, 40:70] * 0.5)


@pytest.mark.parametrize(("start", "stop"), [(0, 60), (70, 130), (140, 200)])
def test_excerpt_finds_its_place(start: int, stop: int) -> None:
    """Thirty quarters out of a hundred, from anywhere."""
    rng = np.random.default_rng(3)
    onset, pitch = np.arange(200) / 2, rng.integers(40, 90, 200)
    score = Score(onset, onset + 0.5, pitch, np.zeros(200, dtype=int), np.arange(100.0))
    notes = NoteTable.of([Note(0.3 * i, 0.3 * i + 0.2, int(pitch[start + i]), 64) for i in range(stop - start)])
    assert np.array_equal(align(notes, score).score_rows, np.arange(start, stop))


def test_laws() -> None:
    """Pairs do not change when the performance comes later or everything is transposed; nothing given is changed."""
    plan = PLANS[11]
    performance = perform(plan)
    score = written(plan.piece, performance.score_length)
    table = NoteTable.of(performance.notes)
    before = {name: column.copy() for name, column in vars(table).items()}
    alignment = align(table, score)
    assert all(np.array_equal(before[name], column) for name, column in vars(table).items())

    later = align(
        NoteTable.of([Note(n.start_s + 64, n.end_s + 64, n.pitch, n.velocity) for n in performance.notes]), score
    )
    up = align(
        NoteTable.of([Note(n.start_s, n.end_s, n.pitch + 5, n.velocity) for n in performance.notes]),
        written(plan.piece, performance.score_length, up=5),
    )
    for other, shift_s in ((later, 64.0), (up, 0.0)):
        assert np.array_equal(other.note_rows, alignment.note_rows)
        assert np.array_equal(other.score_rows, alignment.score_rows)
        assert other.beat_s - shift_s == pytest.approx(alignment.beat_s, abs=1e-9, nan_ok=True)


@pytest.mark.slow
def test_another_piece_or_key_is_refused() -> None:
    """Every piece against every third other one, and a semitone off: refused, saying how much fits."""
    first = {plan.piece: plan for plan in reversed(PLANS)}
    tables = [(plan, played(perform(plan))[0]) for plan in first.values()]
    for i, (plan, notes) in enumerate(tables):
        others = [written(tables[(i + step) % len(tables)][0].piece, 48) for step in (3, 7)]
        for score in (*others, written(plan.piece, 48, up=1)):
            with pytest.raises(InputError, match=r"does not (match|follow) the score"):
                align(notes, score)


def test_too_few_notes_are_refused() -> None:
    """Seven notes are no melody."""
    score = written(PLANS[0].piece, 24)
    notes = NoteTable.of(perform(PLANS[0]).notes[:7])
    with pytest.raises(InputError, match="7 played"):
        align(notes, score)
    with pytest.raises(InputError, match="0 played"):
        align(NoteTable.of([]), score)


@pytest.mark.parametrize("seed", range(12))
def test_path_is_the_cheapest(seed: int) -> None:
    """On small random input no path costs less, as trying all ways to arrive shows."""
    rng = np.random.default_rng(seed)
    n_notes, n_chords = 12, 9
    onset_s = np.cumsum(rng.choice([0.01, 0.3], n_notes))
    pitch = rng.integers(60, 65, n_notes)
    chord = np.sort(np.concatenate([np.arange(n_chords), rng.integers(0, n_chords, 6)]))
    score_pitch = rng.integers(60, 65, len(chord))
    holds = np.zeros((128, n_chords), dtype=bool)
    holds[score_pitch, chord] = True
    together = np.diff(onset_s, prepend=-1) <= CHORD_WIDTH_S

    def step(i: int, k: int, j: int) -> float:
        if k == j:
            return 0.0 if together[i] else CLUMP_COST
        omitted = OMIT_COST + LONGER_COST * (j - k - 2) if j - k > 1 else 0.0
        return omitted + (CLUMP_COST if together[i] else 0.0)

    cost = np.array([MARGIN_COST * j + (not holds[pitch[0], j]) for j in range(n_chords)])
    for i in range(1, n_notes):
        cost = np.array(
            [min(cost[k] + step(i, k, j) for k in range(j + 1)) + (not holds[pitch[i], j]) for j in range(n_chords)]
        )
    cheapest = min(cost[j] + MARGIN_COST * (n_chords - 1 - j) for j in range(n_chords))

    position, is_hit = follow(onset_s, pitch, score_pitch, chord)
    assert np.array_equal(is_hit, holds[pitch, position])
    total = MARGIN_COST * (position[0] + n_chords - 1 - position[-1]) + np.sum(~is_hit)
    total += sum(step(i, position[i - 1], position[i]) for i in range(1, n_notes))
    assert total == pytest.approx(cheapest, abs=1e-4)


def test_match_notes() -> None:
    """Each other's nearest of one pitch, near enough; unknown times have no partner."""
    onset_s, pitch = np.array([0.0, 0.1, 1.0, 2.0, 3.0]), np.array([60, 60, 62, 64, 65])
    expected_s, score_pitch = np.array([0.08, 1.05, 2.4, np.nan]), np.array([60, 62, 64, 65])
    note_rows, score_rows = match_notes(onset_s, pitch, expected_s, score_pitch)
    assert note_rows.tolist() == [1, 2]
    assert score_rows.tolist() == [0, 1]
    assert len(match_notes(onset_s, pitch, expected_s, score_pitch + 30)[0]) == 0


def test_read_score(tmp_path: Path) -> None:
    """A waltz at 90: positions in quarters, beats on quarters, chords numbered."""
    path = tmp_path / "score.mid"
    quarter_s = 60 / 90
    onsets = [0, 0, 1, 2, 3, 4.5, 5]
    notes = [Note(q * quarter_s, (q + 0.5) * quarter_s, 60 + 2 * i, 64) for i, q in enumerate(onsets)]
    write_midi(path, notes, tempo_bpm=90, metre=(3, 4))
    score = read_score(path)
    assert score.onset == pytest.approx(onsets, abs=2e-3)
    assert score.offset == pytest.approx(np.array(onsets) + 0.5, abs=2e-3)
    assert score.beat[:6] == pytest.approx(range(6), abs=2e-3)
    assert chord_numbers(score.onset).tolist() == [0, 0, 1, 2, 3, 4, 5]


def test_score_without_notes(tmp_path: Path) -> None:
    """A score that holds nothing reads as nothing; what is no MIDI is refused."""
    path = tmp_path / "empty.mid"
    write_midi(path, [])
    assert len(read_score(path)) == 0
    path.write_bytes(b"MThd but not really")
    with pytest.raises(InputError, match="not a MIDI file"):
        read_score(path)
    with pytest.raises(InputError, match="no file"):
        read_score(tmp_path / "absent.mid")
