"""The demo library: what is planned, what was played, and what lies on the disk agree."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mess_core.collections.demo import (
    PERFORMERS,
    PLANTED_UNITS,
    TABLE,
    DemoPlan,
    Rendition,
    make_demo,
    perform,
    plan_demo,
)
from mess_core.collections.demo_scores import PIECES, read_score, read_voice
from mess_core.notes.midi import read_midi
from mess_core.notes.synthesis import INSTRUMENTS

pytestmark = pytest.mark.slow

STEMS = [plan.stem for plan in plan_demo() if plan.piece.work in ("minuet-in-g", "fuer-elise")][3:6]
MORE = [plan.stem for plan in plan_demo() if plan.piece.work == "minuet-in-g"][:2]


@pytest.fixture(scope="module")
def performances() -> dict[DemoPlan, Rendition]:
    return {plan: perform(plan) for plan in plan_demo()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder filled by two worker processes; only more than four recordings are worth starting them."""
    folder = tmp_path_factory.mktemp("demo")
    make_demo(folder, only=MORE + STEMS, workers=2)
    return folder


def by_performer(performances: dict[DemoPlan, Rendition], name: str) -> dict[str, np.ndarray]:
    """One planted value as rows: performer -> values in the order of the pieces."""
    return {
        performer.name: np.array([p.planted[name] for plan, p in performances.items() if plan.performer == performer])
        for performer in PERFORMERS
    }


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_plan() -> None:
    """24 works, five performers each, every stem and title once."""
    plans = plan_demo()
    assert len(plans) == len({plan.stem for plan in plans}) == len({plan.title for plan in plans}) == 120
    assert set(Counter(plan.piece.work for plan in plans).values()) == {5}
    assert set(Counter(plan.performer.name for plan in plans).values()) == {24}


def test_instrument_tells_neither_piece_nor_performer() -> None:
    """Every instrument is played by every performer about equally; no piece has one instrument; piano leads."""
    plans = plan_demo()
    assert Counter(plan.instrument for plan in plans).most_common(1)[0][0] == "piano"
    for performer in PERFORMERS:
        counts = Counter(plan.instrument for plan in plans if plan.performer == performer)
        assert set(counts) == set(INSTRUMENTS)
        assert all(2 <= n <= 3 for name, n in counts.items() if name != "piano")
    for piece in PIECES:
        assert len({plan.instrument for plan in plans if plan.piece == piece}) >= 4


def test_performances_last_20_to_24_s(performances: dict[DemoPlan, Rendition]) -> None:
    """Music until shortly before the end of each file, and no file outside the range."""
    for performance in performances.values():
        last_s = max(note.end_s for note in performance.notes)
        assert 20 <= performance.duration_s <= 24
        assert 0.9 <= performance.duration_s - last_s < 2
        assert all(0 <= note.start_s < note.end_s for note in performance.notes)


def test_notes_follow_the_score(performances: dict[DemoPlan, Rendition]) -> None:
    """Note i of a performance plays note i of the score, and written order survives the playing."""
    for plan, performance in performances.items():
        score = read_score(plan.piece, performance.score_length)
        assert [note.pitch for note in score] == [note.pitch for note in performance.notes]
        written = np.array([note.onset for note in score])
        played = np.array([note.start_s for note in performance.notes])
        assert np.corrcoef(written, played)[0, 1] > 0.99
        longest = read_score(plan.piece, performance.score_length + 4 * plan.piece.bar)
        assert [(n.onset, n.pitch) for n in score] == [(n.onset, n.pitch) for n in longest[: len(score)]]


def test_no_pitch_overlaps_itself(performances: dict[DemoPlan, Rendition]) -> None:
    """A key is up before it goes down again: MIDI could not tell otherwise."""
    for plan, performance in performances.items():
        last_end_s: dict[int, float] = {}
        for note in sorted(performance.notes, key=lambda note: note.start_s):
            assert note.start_s >= last_end_s.get(note.pitch, 0.0), plan.stem
            last_end_s[note.pitch] = note.end_s


@pytest.mark.parametrize(
    ("name", "intended"),
    [("tempo_bpm", "tempo_ratio"), ("velocity_mean", "velocity"), ("articulation_ratio", "articulation")],
)
def test_performers_differ_as_planted(performances: dict[DemoPlan, Rendition], name: str, intended: str) -> None:
    """The top of a scale is above its bottom on every single piece; on average all five performers are in order."""
    realised = by_performer(performances, name)
    order = [p.name for p in sorted(PERFORMERS, key=lambda p: getattr(p, intended))]
    assert np.all(realised[order[0]] < realised[order[-1]])
    assert np.all(np.diff([realised[who].mean() for who in order]) > 0)


@pytest.mark.parametrize(
    ("name", "intended"),
    [("rubato", "rubato"), ("melody_lead_ms", "lead_ms"), ("chord_asynchrony_ms", "asynchrony_ms")],
)
def test_planted_habits_in_order(performances: dict[DemoPlan, Rendition], name: str, intended: str) -> None:
    """Where a habit could be measured, its mean per performer is in the planted order."""
    means = {}
    for performer in PERFORMERS:
        values = [
            p.planted[name] for plan, p in performances.items() if plan.performer == performer if name in p.planted
        ]
        assert len(values) >= 15
        means[getattr(performer, intended)] = np.mean(values)
    assert np.all(np.diff([means[key] for key in sorted(means)]) > 0)


def test_habits_are_not_one_habit() -> None:
    """No two habits go together across the five performers so closely that one could pass for the other."""
    names = ("tempo_ratio", "velocity", "phrase_velocity", "articulation", "rubato")
    values = np.array([[getattr(performer, name) for performer in PERFORMERS] for name in names])
    correlations = np.corrcoef(values) - np.eye(len(names))
    assert np.abs(correlations).max() < 0.75


def test_planted_names_have_units(performances: dict[DemoPlan, Rendition]) -> None:
    """Every planted value is finite and explained; pedal only where there is one."""
    for plan, performance in performances.items():
        assert set(performance.planted) <= set(PLANTED_UNITS)
        assert np.isfinite(list(performance.planted.values())).all()
        assert INSTRUMENTS[plan.instrument].has_pedal or not performance.pedal


def test_another_seed_is_another_evening() -> None:
    """The seed changes the playing, not the score; the same seed changes nothing."""
    plan = plan_demo()[7]
    assert perform(plan, 0) == perform(plan, 0)
    assert perform(plan, 0).notes != perform(plan, 1).notes


def test_bar_lines_are_checked() -> None:
    """A bar of the wrong length in our own text stops at once."""
    with pytest.raises(ValueError, match="Bar line at quarter 3"):
        read_voice("C4q D4 E4 | F4w", 4.0, 0)


def test_files(made: Path) -> None:
    """Audio, MIDI, score and table agree with each other and with the performance."""
    tracks = {track.stem: track for track in make_demo(made, only=STEMS)}
    table = json.loads((made / TABLE).read_text("utf-8"))
    plans = {plan.stem: plan for plan in plan_demo()}
    assert list(tracks) == STEMS
    assert list(table["tracks"]) == MORE + STEMS
    for stem, track in tracks.items():
        audio, sample_rate_hz = soundfile.read(track.audio)
        info = soundfile.info(track.audio)
        assert (sample_rate_hz, info.channels, info.subtype) == (24_000, 1, "PCM_16")
        assert len(audio) / sample_rate_hz == pytest.approx(track.duration_s, abs=1e-3)
        assert 0.01 < np.abs(audio).max() < 10 ** (-1 / 20)
        performance = perform(plans[stem])
        notes, pedal = read_midi(track.midi)
        played = sorted(performance.notes, key=lambda note: (note.start_s, note.pitch))
        assert [(n.pitch, n.velocity) for n in notes] == [(n.pitch, n.velocity) for n in played]
        assert np.allclose([n.end_s for n in notes], [n.end_s for n in played], atol=1e-5)
        assert len(pedal) == len(performance.pedal)
        score, _ = read_midi(track.score)
        assert [n.pitch for n in score[: len(played)]] == [n.pitch for n in performance.notes]
        facts = table["tracks"][stem]
        for role in ("audio", "midi", "score"):
            data = (made / facts[role]["path"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == facts[role]["sha256"]
        assert facts["planted"] == track.planted == performance.planted


def test_same_seed_same_bytes(made: Path, tmp_path: Path) -> None:
    """Two worker processes and this one make the same bytes, table included."""
    make_demo(tmp_path, only=MORE + STEMS, workers=1)
    assert files(tmp_path) == files(made)


def test_resumes(made: Path, tmp_path: Path) -> None:
    """Only what is missing, damaged in length or of another recipe is made again, and comes out the same."""
    titles: list[tuple[int, int, str]] = []
    make_demo(
        tmp_path, only=STEMS, should_stop=lambda: len(titles) >= 1, on_track=lambda *report: titles.append(report)
    )
    assert len(titles) == 1
    make_demo(tmp_path, only=STEMS)
    whole = files(tmp_path)
    assert whole.items() - files(made).items() == {(TABLE, whole[TABLE])}  # the table knows fewer recordings

    kept, deleted, cut = sorted((tmp_path / "audio").iterdir())
    before_ns = kept.stat().st_mtime_ns
    deleted.unlink()
    cut.write_bytes(cut.read_bytes()[:1000])
    titles.clear()
    make_demo(tmp_path, only=STEMS, on_track=lambda *report: titles.append(report))
    assert [done for done, _, _ in titles] == [1, 2, 3]
    assert kept.stat().st_mtime_ns == before_ns
    assert files(tmp_path) == whole

    table = tmp_path / TABLE
    table.write_text(table.read_text("utf-8").replace('"version": "', '"version": "0'), "utf-8")
    make_demo(tmp_path, only=STEMS)
    assert kept.stat().st_mtime_ns > before_ns
    assert files(tmp_path) == whole
