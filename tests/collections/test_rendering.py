"""Renderings: the same notes at the same times, made once, the same bytes, and the score moved with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mess_core.catalogue.passages import ScoreTimes
from mess_core.collections import rendering
from mess_core.collections.collection import Recording
from mess_core.collections.demo import LEAD_IN_S
from mess_core.collections.opening import open_recording
from mess_core.collections.rendering import excerpt, render_recording, stretches
from mess_core.errors import DataMissingError, InputError
from mess_core.notes.midi import TICK_S, Note, PedalSpan, read_midi, write_midi
from mess_core.notes.synthesis import render

FIRST_S = 30.0  # of silence, as before some performances


def beats() -> tuple[ScoreTimes, ...]:
    return (ScoreTimes.of("tune", [0, 1, 2, 3], [FIRST_S, FIRST_S + 1, FIRST_S + 2, FIRST_S + 3]),)


@pytest.fixture
def performance(tmp_path: Path) -> Recording:
    """Four notes a second apart after a long silence."""
    notes = [Note(FIRST_S + i, FIRST_S + i + 0.5, 60 + i, 80) for i in range(4)]
    write_midi(tmp_path / "p.mid", notes, [PedalSpan(FIRST_S + 1, FIRST_S + 1.9)])
    return Recording(None, title="Tune", performer="Ada", midi=tmp_path / "p.mid", score_times=beats)


def test_what_is_heard_where(performance, tmp_path):
    """The silence is cut to the lead-in; sound begins with the first beat; score times say so too."""
    made = render_recording(performance, tmp_path / "rendered")
    audio, rate_hz = soundfile.read(made.audio)
    (times,) = made.score_times()
    assert times.times_s == pytest.approx(LEAD_IN_S + np.arange(4), abs=TICK_S)
    assert 4.5 < len(audio) / rate_hz < 5.5
    first = round(times.times_s[0] * rate_hz)
    assert np.abs(audio[: first - 2]).max() < 1e-4 < np.abs(audio[first : first + 500]).max()
    assert [note.start_s for note in read_midi(made.midi)[0]] == pytest.approx(times.times_s)
    assert (made.title, made.performer, made.instrument) == ("Tune", "Ada", "piano, rendered")
    new = open_recording(made, "asap")
    assert new.companions["midi"] == made.midi and new.track.instrument == "piano, rendered"


def test_without_a_title_it_is_called_as_its_midi(performance, tmp_path):
    made = render_recording(replace(performance, title=None), tmp_path / "rendered")
    assert open_recording(made, None).track.title == "p"


def test_made_once_and_the_same_bytes(performance, tmp_path):
    made = render_recording(performance, tmp_path / "a")
    stat = made.audio.stat()
    assert render_recording(performance, tmp_path / "a").audio.stat().st_mtime_ns == stat.st_mtime_ns
    again = render_recording(performance, tmp_path / "b")
    assert again.audio.name == made.audio.name and again.audio.read_bytes() == made.audio.read_bytes()
    assert again.midi.read_bytes() == made.midi.read_bytes()
    assert {path.suffix for path in (tmp_path / "a").iterdir()} == {".flac", ".mid"}


def test_the_name_says_what_it_was_made_of(performance, tmp_path, monkeypatch):
    """Other notes, another length or another recipe is another file."""
    names = {render_recording(performance, tmp_path / "a").audio.name}
    names.add(render_recording(performance, tmp_path / "a", seconds=2).audio.name)
    monkeypatch.setattr(rendering, "SYNTHESIS_VERSION", "next")
    names.add(render_recording(performance, tmp_path / "a").audio.name)
    write_midi(performance.midi, [Note(0.0, 1.0, 40, 80)])
    names.add(render_recording(performance, tmp_path / "a").audio.name)
    assert len(names) == 4


def test_an_excerpt(performance, tmp_path):
    """Only the beats that are heard keep a time; fewer than two say nothing."""
    made = render_recording(performance, tmp_path / "a", seconds=2.0)
    assert soundfile.info(made.audio).duration == pytest.approx(2.0)
    assert made.score_times()[0].beats.tolist() == [0, 1]
    assert render_recording(performance, tmp_path / "a", seconds=0.5).score_times() == ()


@pytest.mark.slow
def test_stretches_put_together_are_the_whole(monkeypatch):
    """Notes, pedal and room are carried across every seam, and no sample is moved."""
    monkeypatch.setattr(rendering, "EARLIER_S", 5)  # no note here lasts longer
    rng = np.random.default_rng(0)
    notes = [
        Note(start, start + rng.uniform(0.1, 1.5), int(rng.integers(48, 53)), int(rng.integers(20, 120)))
        for start in np.sort(rng.uniform(0, 16, 40))
    ]
    notes, pedal, duration_s = excerpt(notes, [PedalSpan(i, i + 1.5) for i in range(0, 16, 2)])
    whole = np.concatenate(list(stretches(notes, pedal, duration_s, 1000)))
    parts = list(stretches(notes, pedal, duration_s, 3))
    assert len(parts) == 7
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    rounded = render(notes, pedal, "piano", duration_s=duration_s)  # the same but for half a sample here and there
    assert len(rounded) == len(whole) and np.corrcoef(rounded, whole)[0, 1] > 0.99
    monkeypatch.setattr(rendering, "EARLIER_S", 0)
    assert np.abs(np.concatenate(list(stretches(notes, pedal, duration_s, 3))) - whole).max() > 0.01


def test_what_cannot_be_rendered(performance, tmp_path):
    with pytest.raises(InputError, match="no MIDI"):
        render_recording(Recording(None, title="x"), tmp_path)
    with pytest.raises(InputError, match="longer than 0"):
        render_recording(performance, tmp_path, seconds=float("nan"))
    with pytest.raises(DataMissingError, match="no file gone"):
        render_recording(Recording(None, midi=tmp_path / "gone.mid"), tmp_path)
    write_midi(tmp_path / "empty.mid", [])
    with pytest.raises(InputError, match="no notes"):
        render_recording(Recording(None, midi=tmp_path / "empty.mid"), tmp_path)
    (tmp_path / "bad.mid").write_bytes(b"MThd not really")
    with pytest.raises(InputError, match="not a MIDI file"):
        render_recording(Recording(None, midi=tmp_path / "bad.mid"), tmp_path)
    assert not list(tmp_path.glob("*.flac"))


def test_three_hours_are_enough():
    with pytest.raises(InputError, match="3 h"):
        excerpt([Note(0.0, 1.0, 60, 80), Note(10_700.0, 10_801.0, 61, 80), Note(10_700.0, 11_000.0, 60, 80)], [])
