"""Measurements: one pass, kept once, measured again only for a reason, and a value's absence is always explained."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from mess_core.audio import decode as audio
from mess_core.catalogue.catalogue import Described
from mess_core.collections.opening import read_track
from mess_core.encoders.mel import MEL
from mess_core.errors import AudioError, LeaseLostError
from mess_core.notes.midi import Note, write_midi
from mess_core.storage.jobs import new_owner
from mess_core.targets import measurements
from mess_core.targets.base import TargetValue
from mess_core.targets.measurements import Files, Measured, measure_track, probe_scale
from mess_core.targets.registry import TARGETS
from mess_core.work import targets as work_of_targets
from mess_core.work.doing import do
from mess_core.work.request import submit
from mess_core.work.targets import TargetsRequest
from mess_core.work.task import Task
from mess_core.workspace.scope import count_segments
from mess_core.workspace.workspace import Workspace

AUDIO = [target.id for target in TARGETS.values() if target.signal == "audio"]
MIDI = [target.id for target in TARGETS.values() if target.signal == "midi"]


def here(work: Callable, items: Iterable) -> Iterator[tuple]:
    """Does the work here and now, in place of a pool of processes."""
    for item in items:
        try:
            found = work(item)
        except Exception as error:
            found = error
        yield item, found


@pytest.fixture
def inline(monkeypatch) -> list[str]:
    """Jobs measure in this process; the list names the tracks that were measured, in order."""
    measured: list[str] = []

    def counted(files: Files) -> Measured:
        measured.append(files.track_id)
        return measure_track(files)

    monkeypatch.setattr(work_of_targets, "work_through", here)
    monkeypatch.setattr(work_of_targets, "measure_track", counted)
    return measured


@pytest.fixture
def add(home, write_wav):
    """Adds a recording to the library `music`, with MIDI beside it if notes are given: `add("a", notes=[...])`."""

    def add(name: str, seconds: float = 1.2, *, notes: list[Note] | None = None, midi: bytes | None = None, **how):
        path = write_wav(name, seconds, **how)
        if notes is not None:
            write_midi(path.with_suffix(".mid"), notes)
        if midi is not None:
            path.with_suffix(".mid").write_bytes(midi)
        new = read_track(path)
        home.catalogue.add(path.parent, [new], "music")
        return new.track.track_id

    return add


def scale(velocity: int = 70, n: int = 24) -> list[Note]:
    """Notes every quarter of a second, all struck alike."""
    return [Note(0.25 * i, 0.25 * i + 0.2, 60 + i % 12, velocity) for i in range(n)]


def keep(home: Workspace, track_id: str) -> Measured:
    """Measure a track and keep it."""
    files = home.measurements.files(track_id)
    measured = measure_track(files)
    home.measurements.write(files, measured, lambda connection: None)
    return measured


def run_targets(home: Workspace, **facts):
    """The `targets` job of the library, done here to whatever its end is."""
    submit(home, TargetsRequest("music"))
    owner = new_owner()
    return do(Task(home, home.jobs.claim(owner), owner, **facts))


def rows(home: Workspace, table: str = "targets") -> list[tuple]:
    return [tuple(row) for row in home.database.connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")]


def numbers(values: Mapping[str, TargetValue], target: str) -> tuple[float, str]:
    return values[target].value, values[target].quality


# --- measuring ----------------------------------------------------------------------------------------------


def test_a_track_is_decoded_once_and_every_target_has_a_value_or_a_reason(write_wav, monkeypatch):
    """One pass over the file serves the track and all segments; what is undefined says why."""
    passes = []

    class Counted(audio.Decoder):
        def __init__(self, path: Path, *arguments: object, **options: object) -> None:
            passes.append(path)
            super().__init__(path, *arguments, **options)

    monkeypatch.setattr(audio, "Decoder", Counted)
    path = write_wav("a", 8.0)
    measured = measure_track(Files("a", path))
    assert passes == [path]
    assert measured.track.keys() == TARGETS.keys()
    for value in measured.track.values():
        assert (value.quality == "none") == np.isnan(value.value)
        assert value.quality == "good" or value.reason
    assert measured.track["duration_s"].value == pytest.approx(8.0)


@pytest.mark.parametrize("seconds", [1.2, 5.0, 5.1, 7.5, 7.6, 12.34])
def test_segments_are_the_encoders_segments(add, home, seconds):
    """There are as many measured segments as embedded ones, whatever the length."""
    track_id = add("a", seconds)
    measured = keep(home, track_id)
    n = count_segments(home.catalogue.track(track_id).duration_s, MEL)
    assert len(measured.segments) == n
    assert all(
        values.keys() <= {t.id for t in TARGETS.values() if "segment" in t.levels} for values in measured.segments
    )
    pairs = [(track_id, number) for number in range(n + 1)]
    brightness = home.measurements.segment_values(pairs, "spectral_centroid")
    assert np.isfinite(brightness[:n]).all() and np.isnan(brightness[n])


def test_midi_is_measured_over_the_same_segments(add, home):
    """Low notes in the first half, high ones in the second: the segments say which is where."""
    notes = [Note(0.5 * i, 0.5 * i + 0.4, 48 if i < 10 else 72, 80) for i in range(20)]
    track_id = add("a", 10.0, notes=notes)
    measured = keep(home, track_id)
    assert numbers(measured.track, "mean_pitch") == (60.0, "good")
    assert numbers(measured.track, "velocity_mean") == (pytest.approx(80.0), "good")
    register = home.measurements.segment_values([(track_id, number) for number in range(3)], "mean_pitch")
    np.testing.assert_allclose(register, [48.0, 60.0, 72.0])


def test_where_the_score_is_played_is_kept(add, home, write_wav):
    """The written quarter lasts half a second; it was played in a quarter of one, two seconds late."""
    track_id = add("a", 10.0, notes=[Note(2 + note.start_s, 2 + note.end_s, note.pitch, 70) for note in scale()])
    folder = home.catalogue.audio_path(track_id).parent
    score = folder / "score.mid"
    write_midi(score, [Note(0.5 * i, 0.5 * i + 0.4, 60 + i % 12, 64) for i in range(24)])
    home.catalogue.describe(folder, [Described(track_id, {}, {"score": score})], "music")
    keep(home, track_id)
    (times,) = home.catalogue.passages.of_track(track_id)
    assert [times.time_at(beat) for beat in (0, 4, 20)] == pytest.approx([2.0, 3.0, 7.0], abs=0.02)


@pytest.mark.parametrize(
    ("midi", "reason"),
    [("no notes", "no notes"), ("no MIDI", "not a MIDI file"), ("empty", "not a MIDI file"), ("cut", "")],
)
def test_bad_midi_takes_only_its_own_targets_away(add, home, tmp_path, midi, reason):
    """MIDI without notes, or that does not parse: NaN with a reason, and the audio is measured all the same."""
    path = tmp_path / "some.mid"
    write_midi(path, [] if midi == "no notes" else scale())
    data = {"no notes": path.read_bytes(), "no MIDI": b"hello", "empty": b"", "cut": path.read_bytes()[:40]}[midi]
    track_id = add("a", 6.0, midi=data)
    measured = keep(home, track_id)
    for target in MIDI:
        assert numbers(measured.track, target) == (pytest.approx(np.nan, nan_ok=True), "none")
        assert reason in measured.track[target].reason and measured.track[target].reason
        assert np.isnan(home.measurements.values([track_id], target)).all()
    assert np.isfinite(home.measurements.values([track_id], "spectral_centroid")).all()
    assert home.measurements.missing([track_id]) == []  # a reason is an answer: it is not asked again


def test_midi_that_vanished_since_it_was_listed_is_a_reason(add, home):
    """A file that goes between listing and measuring costs its own targets, not the job."""
    track_id = add("a", notes=scale())
    files = home.measurements.files(track_id)
    files.midi.unlink()
    measured = measure_track(files)
    assert measured.track["velocity_std"].quality == "none" and "no file a.mid" in measured.track["velocity_std"].reason
    assert measured.track["duration_s"].quality == "good"
    home.measurements.write(files, measured, lambda connection: None)
    assert [f.track_id for f in home.measurements.missing([track_id])] == [track_id]  # it is without MIDI now


def test_midi_that_cannot_be_hashed_does_not_stop_the_others(add, home, monkeypatch):
    """What cannot be opened now is missing again as soon as it can."""
    ids = [add("a", notes=scale()), add("b", seed=1)]

    def refused(path: Path) -> str:
        raise AudioError(f"{path.name} cannot be opened.")

    with monkeypatch.context() as patch:
        patch.setattr(measurements, "sha256_file", refused)
        for track_id in ids:
            keep(home, track_id)
        assert home.measurements.missing(ids) == []
    assert [files.track_id for files in home.measurements.missing(ids)] == ids[:1]


def test_bad_audio_is_an_error(write_wav, tmp_path):
    """What is too short, no audio, or gone cannot be measured at all."""
    (tmp_path / "text.wav").write_text("no audio")
    for path in (write_wav("short", 0.05), tmp_path / "text.wav", tmp_path / "gone.wav"):
        with pytest.raises(AudioError):
            measure_track(Files("a", path))


# --- keeping ------------------------------------------------------------------------------------------------


def test_what_is_kept_is_what_was_measured(add, home):
    """Every value comes back bit by bit; undefined ones as NULL with their reason; the unit is the registry's."""
    track_id = add("a", 6.0, notes=scale())
    measured = keep(home, track_id)
    stored = {row[1]: row for row in rows(home)}
    assert stored.keys() == TARGETS.keys()
    for target, value in measured.track.items():
        _, _, number, unit, quality, n_events, reason, _ = stored[target]
        assert (unit, quality, n_events, reason) == (TARGETS[target].unit, value.quality, value.n_events, value.reason)
        assert number == (None if np.isnan(value.value) else value.value)
    assert any(row[2] is None and row[6] for row in stored.values())
    assert len(rows(home, "segment_targets")) == sum(map(len, measured.segments))


def test_values_follow_the_order_asked_for(home, add):
    """Rows are aligned with the ids given, however often and in whatever order; unknown ones are NaN."""
    short, long = add("a", 1.5), add("b", 3.0, seed=1)
    keep(home, short), keep(home, long)
    values = home.measurements.values([long, "nosuch", short, long], "duration_s")
    np.testing.assert_allclose(values, [3.0, np.nan, 1.5, 3.0], atol=1e-3)
    assert home.measurements.values([], "duration_s").shape == (0,)


def test_weak_values_can_be_left_out(add, home):
    """`good_only` hides what the measurement itself does not trust."""
    track_id = add("a")
    files = home.measurements.files(track_id)
    values = {"rubato": TargetValue.weak(0.1, 20, "no score"), "tempo": TargetValue.good(90, 20)}
    home.measurements.write(files, Measured(track_id, values, []), lambda connection: None)
    assert home.measurements.values([track_id], "rubato") == [0.1]
    assert np.isnan(home.measurements.values([track_id], "rubato", good_only=True)).all()
    assert home.measurements.values([track_id], "tempo", good_only=True) == [90]


def test_a_refused_write_leaves_what_was_there(add, home):
    """A worker that lost its job writes nothing, and takes nothing away."""

    def refuse(connection: object) -> None:
        raise LeaseLostError("taken over")

    first, second = add("a"), add("b", seed=1)
    keep(home, first)
    before = rows(home), rows(home, "segment_targets")
    for track_id in (first, second):
        empty = Measured(track_id, {"tempo": TargetValue.good(90, 20)}, [])
        with pytest.raises(LeaseLostError, match="taken over"):
            home.measurements.write(home.measurements.files(track_id), empty, refuse)
    assert (rows(home), rows(home, "segment_targets")) == before


def test_missing_names_exactly_what_is_missing(add, home):
    """Tracks never measured are missing, others are not, and only those asked about are named."""
    ids = [add(f"t{seed}", seed=seed) for seed in range(3)]
    keep(home, ids[1])
    assert [files.track_id for files in home.measurements.missing(ids)] == [ids[0], ids[2]]
    assert [files.track_id for files in home.measurements.missing(ids[1:])] == [ids[2]]
    assert home.measurements.missing([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["audio", "midi"])
def test_a_new_formula_makes_everything_missing_and_replaces_old_values(add, home, monkeypatch, signal):
    """When a version grows each track is measured again, and no row of the old version stays."""
    ids = [add(f"t{seed}", seed=seed) for seed in range(2)]
    for track_id in ids:
        keep(home, track_id)
    assert home.measurements.missing(ids) == []
    n_rows = len(rows(home))
    monkeypatch.setitem(measurements.VERSIONS, signal, measurements.VERSIONS[signal] + 1)
    assert [files.track_id for files in home.measurements.missing(ids)] == ids
    keep(home, ids[0])
    assert [files.track_id for files in home.measurements.missing(ids)] == [ids[1]]
    assert len(rows(home)) == n_rows
    assert len({row[-1] for row in rows(home) if row[0] == ids[0]}) == 1


def test_a_target_that_is_gone_from_the_formulas_leaves_no_row(add, home):
    """Old rows of a track go with the new write, also those that the new formulas do not make."""
    track_id = add("a", 6.0)
    keep(home, track_id)
    files = home.measurements.files(track_id)
    home.measurements.write(files, Measured(track_id, {"tempo": TargetValue.good(90, 9)}, []), lambda connection: None)
    assert [row[1] for row in rows(home)] == ["tempo"] and rows(home, "segment_targets") == []


def test_a_changed_midi_file_is_noticed_and_a_touched_one_is_not(add, home):
    """The content decides: another modification time means nothing, another velocity means measuring again."""
    track_id, other = add("a", notes=scale(60)), add("b", notes=scale(60), seed=1)
    keep(home, track_id), keep(home, other)
    midi = home.measurements.files(track_id).midi
    os.utime(midi, (0, 0))
    assert home.measurements.missing([track_id, other]) == []
    write_midi(midi, scale(90))
    assert [files.track_id for files in home.measurements.missing([track_id, other])] == [track_id]
    keep(home, track_id)
    assert home.measurements.values([track_id, other], "velocity_mean") == pytest.approx([90, 60])
    midi.unlink()
    assert [files.track_id for files in home.measurements.missing([track_id, other])] == [track_id]


def test_midi_edited_while_it_was_measured_is_measured_again(add, home):
    """The version kept is that of the content measured, not of what lies there when the row is written."""
    track_id = add("a", notes=scale(60))
    (files,) = home.measurements.missing([track_id])
    measured = measure_track(files)
    write_midi(files.midi, scale(90))
    home.measurements.write(files, measured, lambda connection: None)
    assert [files.track_id for files in home.measurements.missing([track_id])] == [track_id]


def test_the_probe_scale_is_the_registrys_and_leaves_its_input_alone():
    """An octave is one unit for what is probed as log2; NaN stays NaN."""
    hertz = np.array([440.0, 880.0, np.nan])
    scaled = probe_scale(hertz, "spectral_centroid")
    assert scaled[1] - scaled[0] == pytest.approx(1.0) and np.isnan(scaled[2])
    np.testing.assert_array_equal(hertz, [440.0, 880.0, np.nan])


# --- the job ------------------------------------------------------------------------------------------------


def test_a_failure_is_named_and_the_others_go_on(add, home, inline):
    """A vanished and a damaged file fail by name; a silent one is measured, with reasons; the job is done."""
    good, silent = add("good", notes=scale()), add("silent", level=0.0)
    gone, damaged = add("gone", seed=1), add("damaged", seed=2)
    home.measurements.files(gone).audio.unlink()
    home.measurements.files(damaged).audio.write_bytes(b"RIFF")
    job = run_targets(home)
    assert (job.state, job.message) == ("done", "2 of 4 tracks measured.")
    assert [failure.subject for failure in home.jobs.failures(job.job_id)] == ["damaged", "gone"]
    assert all(failure.message for failure in home.jobs.failures(job.job_id))
    assert {files.track_id for files in home.measurements.missing([good, silent, gone, damaged])} == {gone, damaged}
    reasons = {row[1]: row[6] for row in rows(home) if row[0] == silent}
    assert reasons["spectral_centroid"] and not reasons["duration_s"]


@pytest.mark.slow
def test_processes_give_the_same_and_report_the_same(add, home):
    """With the real pool: values equal those measured here, and an error survives the way between processes."""
    good, gone = add("good", notes=scale()), add("gone", seed=1)
    home.measurements.files(gone).audio.unlink()
    job = run_targets(home)
    (failure,) = home.jobs.failures(job.job_id)
    assert job.state == "done" and failure.subject == "gone" and "does not exist" in failure.message
    found = {row[1]: row[2] for row in rows(home)}
    here = measure_track(home.measurements.files(good)).track
    assert found == {target: None if np.isnan(v.value) else pytest.approx(v.value) for target, v in here.items()}


def test_a_stopped_job_resumes_with_only_the_rest(add, home, inline):
    """What was written before the end stays; the job goes back to the queue and measures what is left."""
    ids = [add(f"t{seed}", seed=seed) for seed in range(3)]
    submit(home, TargetsRequest("music"))
    owner = new_owner()
    task = Task(home, home.jobs.claim(owner), owner)
    task.on_pause = task.is_stopping.set
    job = do(task)
    assert job.state == "queued" and len(home.measurements.missing(ids)) == 2
    kept = rows(home)
    inline.clear()
    assert run_targets(home).job_id == job.job_id
    assert len(inline) == 2 and kept[0][0] not in inline
    assert home.measurements.missing(ids) == [] and set(kept) <= set(rows(home))


def test_a_second_run_measures_nothing(add, home, inline):
    """Twice is once."""
    add("a", notes=scale())
    run_targets(home)
    before = rows(home)
    inline.clear()
    assert run_targets(home).message == "Nothing to do: every track is measured."
    assert inline == [] and rows(home) == before


def test_a_job_that_was_taken_over_writes_nothing(add, home, inline):
    """The guard is the job's: the late owner's values are refused."""
    add("a")
    job = submit(home, TargetsRequest("music"))
    task = Task(home, home.jobs.claim(new_owner()), "somebody/0/else")
    do(task)
    assert rows(home) == [] and home.jobs.get(job.job_id).state == "running"


def test_files_stay_as_they_are(add, home):
    """Measuring changes neither music nor MIDI, nor what it was told."""
    track_id = add("a", notes=scale())
    files = home.measurements.files(track_id)
    before = files.audio.read_bytes(), files.midi.read_bytes(), dataclasses.asdict(files)
    keep(home, track_id)
    assert (files.audio.read_bytes(), files.midi.read_bytes(), dataclasses.asdict(files)) == before
