"""Jobs from end to end in this process: what each kind leaves in the catalogue."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mess_core.collections import demo
from mess_core.collections.opening import read_track
from mess_core.encoders.hearings import LIKE_THIS
from mess_core.encoders.mel import MEL, MFCC
from mess_core.errors import DataMissingError, InputError
from mess_core.evaluation.kept import load_evaluation
from mess_core.probing.discovery import kept_paths, path_of
from mess_core.probing.result import ProbeSettings
from mess_core.search.examples import TRY_FROM
from mess_core.search.tagged import heard_words
from mess_core.storage.jobs import Job, new_owner
from mess_core.work.add import AddRequest
from mess_core.work.demo import DemoRequest, as_track
from mess_core.work.doing import do, finish
from mess_core.work.evaluate import EvaluateRequest
from mess_core.work.extract import EncodeRequest, ExtractRequest, in_order_of_use
from mess_core.work.kinds import asked
from mess_core.work.probe import ProbeRequest
from mess_core.work.reproduce import reproduce
from mess_core.work.request import submit
from mess_core.work.targets import TargetsRequest
from mess_core.work.task import Task
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import DEMO, Workspace
from tests.conftest import work
from tests.planted import discover, plant_heard_library, plant_tags, plant_targets, told, work_here

STEMS = [plan.stem for plan in demo.plan_demo()[:3]]


@pytest.fixture
def small_demo(monkeypatch):
    """The demo library is three recordings."""
    make = demo.make_demo

    def make_some(folder, *, only=None, **options):
        return make(folder, only=STEMS if only is None else {*only} & {*STEMS}, workers=1, **options)

    monkeypatch.setattr(demo, "make_demo", make_some)


def run_next(home: Workspace) -> Job:
    owner = new_owner()
    return do(Task(home, home.jobs.claim(owner), owner))


def test_a_command_says_that_it_waits_for_the_app(home, write_wav, capsys, monkeypatch):
    """Once, and only where progress is shown; the job is done as soon as what holds it lets go."""
    new = read_track(write_wav("a"))
    home.catalogue.add(new.audio.parent, [new], "music")
    job = submit(home, ExtractRequest("music", MEL.id))
    owner = new_owner()
    held = home.jobs.claim(owner, job_id=job.job_id)
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            do(Task(home, held, owner))

    monkeypatch.setattr("mess_core.work.doing.time.sleep", nap)
    assert finish(home, job, progress=True).state == "done"
    assert capsys.readouterr().err.count("Waiting: the app") == 1 and len(naps) == 3


@pytest.mark.slow
def test_the_demo_is_registered_with_its_truth_and_its_scores(home, small_demo):
    """Work, performer, instrument, planted values, MIDI and score are in the catalogue; extraction is asked for."""
    submit(home, DemoRequest("nano"))
    assert run_next(home).state == "done"
    tracks = home.catalogue.tracks(DEMO)
    assert len(tracks) == 3
    truth = home.catalogue.planted(DEMO)
    for track in tracks:
        assert track.work and track.performer and track.instrument and 20 <= track.duration_s <= 24
        assert {"rubato", "articulation_ratio", "velocity_mean"} <= truth[track.track_id].keys()
        for role in ("audio", "midi", "score"):
            (path,) = home.catalogue.file_paths(track.track_id, role)
            assert path.is_file() and path.is_relative_to(home.paths.demo)
    assert [job.arguments["encoder"] for job in home.jobs.active()] == ["nano", LIKE_THIS]


@pytest.mark.slow
def test_the_demo_can_be_tried_while_it_is_made(home, small_demo, monkeypatch):
    """What its examples need is made, registered and embedded first; the others are made after that."""
    first, other = "largo--ada--guitar", STEMS[1]
    monkeypatch.setattr("tests.work.test_tasks.STEMS", [other, first])
    seen, wanted, make = [], [], demo.make_demo

    def make_and_look(folder, **options):
        wanted.append(options["only"])
        seen.append([home.catalogue.track(each).title for each in scope_of(home, DEMO, "nano").embedded_ids])
        return make(folder, **options)

    monkeypatch.setattr(demo, "make_demo", make_and_look)
    submit(home, DemoRequest("nano"))
    assert run_next(home).state == "done"
    assert seen == [[], ["Largo from the New World · Ada Quill · guitar"]]
    assert len(home.catalogue.tracks(DEMO)) == 2
    assert len(wanted[0]) == TRY_FROM and wanted[1] is None  # enough for a library of all 120


@pytest.mark.slow
def test_the_demo_that_is_removed_while_it_is_made_leaves_nothing(home, small_demo, monkeypatch):
    """What was in hand is written after the folder was deleted; it goes, too, and nothing is registered."""
    monkeypatch.setattr("tests.work.test_tasks.STEMS", ["largo--ada--guitar", STEMS[1]])
    make = demo.make_demo

    def make_and_remove(folder, **options):
        if options["only"] is None:
            home.remove_library(DEMO)
        return make(folder, **options)

    monkeypatch.setattr(demo, "make_demo", make_and_remove)
    submit(home, DemoRequest("nano"))
    assert run_next(home).state == "cancelled"
    assert not home.paths.demo.exists() and home.catalogue.libraries() == [] and not home.jobs.active()


def test_the_demo_embeds_first_what_can_be_tried(home):
    """Of all 120 the first twenty hold what each example asks and finds, in whatever order they come."""
    tracks = [as_track(plan) for plan in demo.plan_demo()]
    order = in_order_of_use(tracks, tracks[::-1])
    works = Counter(track.work for track in order[:20])
    assert sorted(works.values())[-2:] == [5, 5]  # two pieces by all performers
    assert max(Counter(track.performer for track in order[:20]).values()) >= 10
    assert {track.track_id for track in order} == {track.track_id for track in tracks}


@pytest.mark.slow
def test_removing_the_demo_removes_what_we_made_and_it_does_not_come_back(home, small_demo):
    submit(home, DemoRequest("nano"))
    run_next(home)
    home.remove_library(DEMO)
    assert not home.paths.demo.exists() and home.catalogue.libraries() == []
    assert home.database.setting("demo") == "removed" and not home.jobs.active()


def test_a_rescan_adds_what_is_new_and_reads_nothing_twice(home, write_wav, monkeypatch):
    """An unchanged file is known by its size and time; a new one is added; a removed one stays in the catalogue."""
    from mess_core.collections import opening as module

    folder = write_wav("a", seed=1).parent
    write_wav("b", seed=2)
    submit(home, AddRequest(folder, "music"))
    run_next(home)
    read, real = [], module.read_track
    monkeypatch.setattr(module, "read_track", lambda path, title: read.append(path.name) or real(path, title))
    write_wav("c", seed=3)
    (folder / "a.wav").unlink()
    submit(home, AddRequest(folder, "music"))
    run_next(home)
    assert read == ["c.wav"] and len(home.catalogue.tracks("music")) == 3


def test_a_folder_that_vanished_fails_in_one_sentence_and_loses_nothing(home, write_wav):
    folder = write_wav("a").parent
    submit(home, AddRequest(folder, "music"))
    run_next(home)
    submit(home, AddRequest(folder, "music"))
    shutil.move(folder, folder.with_name("elsewhere"))
    with pytest.raises(InputError, match="There is no file or folder"):
        submit(home, AddRequest(folder, "other"))  # said at once
    job = run_next(home)
    assert job.state == "failed" and "There is no file or folder" in job.message and "disk" in job.hint
    assert len(home.catalogue.tracks("music")) == 1


def test_a_defect_ends_the_job_with_a_sentence_and_not_the_worker(home, write_wav, monkeypatch):
    """An exception nobody foresaw is a failed job; what was done before is kept."""

    def broken(*_):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(AddRequest, "run", broken)
    submit(home, AddRequest(write_wav("a"), "music"))
    job = run_next(home)
    assert job.state == "failed" and "ZeroDivisionError: planted" in job.message


# --- evaluating ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "asks", "expected"),
    [("track", True, ["faithfulness", "map", "similarity"]), ("track", False, []), ("segment", True, [])],
)
def test_evaluations_and_a_map_follow_a_probe_that_asks_for_them(home, level, asks, expected):
    """Of tracks; once each, however often the probe runs."""
    plant_heard_library(home, MEL, MFCC)
    settings = ProbeSettings(n_bootstraps=20, n_permutations=0, alphas=(10.0,))
    for _ in range(2):
        submit(home, ProbeRequest("planted", MEL.id, level=level, settings=settings, goes_on=asks))
        (job,) = [job for job in home.jobs.active() if job.kind == "probe"]
        owner = new_owner()
        assert do(Task(home, home.jobs.claim(owner, job_id=job.job_id), owner)).state == "done"
        jobs = home.jobs.active()
        assert sorted(job.arguments.get("what", job.kind) for job in jobs) == expected
        assert all((job.arguments["library"], job.arguments["encoder"]) == ("planted", MEL.id) for job in jobs)


@pytest.mark.slow
def test_an_evaluation_is_kept_with_what_it_rests_on(home):
    """The planted aspects do what they say, and held-out directions find the planted number: rows are not mixed up."""
    ids = plant_heard_library(home, MEL)
    with home.database.transaction() as connection:
        for track_id, value in zip(ids, told(ids), strict=True):
            connection.execute("INSERT INTO planted VALUES (?, 'bright', ?)", (track_id, value))
    discover(home, MEL)
    for what in ("faithfulness", "similarity"):
        assert load_evaluation(Scope(home, "planted", MEL), what) is None
        submit(home, EvaluateRequest("planted", MEL.id, what))
        job = run_next(home)
        assert job.state == "done", job.message
        kept = load_evaluation(Scope(home, "planted", MEL), what)
        assert (kept.library, kept.encoder, kept.fingerprint) == ("planted", MEL.id, MEL.fingerprint)
        assert kept.content == Scope(home, "planted", MEL).content
        if what == "faithfulness":
            assert job.message == "3 of 3 aspects with evidence do what they say."
            assert kept.result.references.keys() == {"all layers"}  # the log-mel control is this encoder itself
            assert (kept.result.n_queries, kept.result.n_groups) == (40, 20)
        else:
            assert kept.result.score("bright", "direction").value < 0.5
            assert kept.result.score("bright", "direction").chance == pytest.approx(1, abs=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("n_works", [1, 2])
def test_too_few_works_are_compared_but_not_by_aspects(home, n_works):
    """Nothing can be held out: the study goes without directions, faithfulness says why not."""
    plant_heard_library(home, MEL)
    with home.database.transaction() as connection:
        connection.execute("UPDATE tracks SET work = 'w' || (rowid % ?)", (n_works,))
    discover(home, MEL)
    submit(home, EvaluateRequest("planted", MEL.id, "similarity"))
    job = run_next(home)
    assert job.state == "done", job.message
    assert "direction" not in load_evaluation(Scope(home, "planted", MEL), "similarity").result.hubness
    submit(home, EvaluateRequest("planted", MEL.id, "faithfulness"))
    job = run_next(home)
    assert job.state == "failed" and re.search("1 work is too few|2 works are too few", job.message)
    assert load_evaluation(Scope(home, "planted", MEL), "faithfulness") is None


@pytest.mark.slow
def test_an_evaluation_can_be_stopped(home):
    """Between queries; it goes back to the queue, and nothing half done is kept."""
    plant_heard_library(home, MEL)
    discover(home, MEL)
    for what in ("faithfulness", "similarity"):
        submit(home, EvaluateRequest("planted", MEL.id, what))
        owner = new_owner()
        task = Task(home, home.jobs.claim(owner), owner)
        task.is_stopping.set()
        assert do(task).state == "queued"
        assert load_evaluation(Scope(home, "planted", MEL), what) is None
        home.jobs.cancel(task.job.job_id)


NOTE = b"\x00\x90\x3c\x50\x60\x80\x3c\x00\x00\xff\x2f\x00"
ODD_MIDI = {  # what stands after the header's 12 bytes
    "division0": b"\x00\x00MTrk\x00\x00\x00\x0c" + NOTE,
    "tempo0": b"\x00\x60MTrk\x00\x00\x00\x13\x00\xff\x51\x03\x00\x00\x00" + NOTE,
    "key": b"\x00\x60MTrk\x00\x00\x00\x12\x00\xff\x59\x02\xf8\x00" + NOTE,
    "empty": b"",
}


@pytest.mark.slow
def test_no_midi_stops_the_measuring_of_a_library(home, write_wav):
    """Each recording has its audio targets; the MIDI ones of an odd file are undefined, with its name in the reason."""
    for number, (name, rest) in enumerate(ODD_MIDI.items()):
        write_wav(name, seed=number).with_suffix(".mid").write_bytes(b"MThd\x00\x00\x00\x06\x00\x00\x00\x01" + rest)
    submit(home, AddRequest(write_wav("plain", seed=9).parent, "music"))
    run_next(home)
    submit(home, TargetsRequest("music"))
    job = run_next(home)
    assert (job.state, job.message, home.jobs.failures(job.job_id)) == ("done", "5 of 5 tracks measured.", [])
    measured = {track.title: home.measurements.of_track(track.track_id) for track in home.catalogue.tracks("music")}
    assert all(values["spectral_centroid"].quality == "good" for values in measured.values())
    assert "division0.mid" in measured["division0"]["velocity_mean"].reason
    assert "empty.mid" in measured["empty"]["velocity_mean"].reason


def test_a_defect_in_one_track_stops_no_other(home, write_wav, monkeypatch):
    """Whatever measuring raises, it is a failure of its track."""
    from mess_core.work import targets as module

    real = module.measure_track

    def measure(files):
        if files.audio.stem == "a":
            raise ZeroDivisionError("division by zero")
        return real(files)

    monkeypatch.setattr(module, "measure_track", measure)
    monkeypatch.setattr(module, "work_through", work_here)
    for number in range(2):
        folder = write_wav("ab"[number], seed=number).parent
    submit(home, AddRequest(folder, "music"))
    run_next(home)
    submit(home, TargetsRequest("music"))
    job = run_next(home)
    (failure,) = home.jobs.failures(job.job_id)
    assert (job.state, job.message, failure.subject) == ("done", "1 of 2 tracks measured.", "a")
    assert "ZeroDivisionError" in failure.message


@pytest.mark.slow
def test_columns_of_the_own_table_are_probed_and_kept_apart(home):
    """Numbers as targets, in a run of its own beside the default one; text as what is never split."""
    ids = plant_heard_library(home, MEL, MFCC)
    with home.database.transaction() as connection:
        for row, track_id in enumerate(ids):
            values = [("level", f"{told(ids)[row]:.6f}".replace(".", ",")), ("era", f"era {row // 4}")]
            connection.executemany("INSERT INTO details VALUES (?, ?, ?)", [(track_id, *value) for value in values])
    settings = ProbeSettings(n_bootstraps=50, n_permutations=0, alphas=(10.0,), columns=("level",))
    submit(home, ProbeRequest("planted", MEL.id, "era", "track", settings))
    assert run_next(home).state == "done"
    found = Scope(home, "planted", MEL).discovery("era", "track", settings)
    assert {cell.target for cell in found.result.cells} == {"level"} and found.result.n_groups == 10
    assert max(cell.r2 for cell in found.result.cells) > 0.5
    assert Scope(home, "planted", MEL).discovery() is None  # the default run is another
    assert "columns level" in found.title
    assert [path.name for path in kept_paths(home.paths, "planted")] == [
        path_of(home.paths, "planted", MEL, "era", "track", settings).name
    ]
    assert kept_paths(home.paths, "plant") == []
    for group, columns, level, why in (
        ("mood", (), "track", "column 'mood'.*level, era"),
        ("work", ("mood",), "track", "column 'mood'.*Did you mean mode"),
        ("work", ("level",), "segment", "whole tracks"), ("work", ("nosuch",), "track", "column 'nosuch'"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=why):
            submit(home, ProbeRequest("planted", MEL.id, group, level, replace(settings, columns=columns)))
            Scope(home, "planted", MEL).gather(group, level, columns)
    for job in home.jobs.active():
        home.jobs.cancel(job.job_id)


@pytest.mark.slow
def test_track_features_are_probed_where_they_are_asked_for(home):
    """As they were measured, in place of the 22; a column of that name comes first, and is called one's own."""
    ids = plant_heard_library(home, MEL, MFCC)
    settings = ProbeSettings(n_bootstraps=50, n_permutations=0, alphas=(10.0,), columns=("energy",))
    plant_targets(home, ids, {"energy": 1 / (1 + np.exp(-told(ids)))})
    with pytest.raises(InputError, match="whole tracks"):
        submit(home, ProbeRequest("planted", MEL.id, "work", "segment", settings))
    with pytest.raises(InputError, match="'key_pitch_class'"):
        submit(home, ProbeRequest("planted", MEL.id, settings=replace(settings, columns=("key_pitch_class",))))
    submit(home, ProbeRequest("planted", MEL.id, settings=settings))
    assert run_next(home).state == "done"
    found = Scope(home, "planted", MEL).discovery(settings=settings)
    assert [summary.target for summary in found.result.targets] == ["energy"]
    assert max(cell.r2 for cell in found.result.cells if cell.target == "energy") > 0.5
    with home.database.transaction() as connection:
        connection.executemany("INSERT INTO details VALUES (?, 'energy', ?)", [(t, str(n)) for n, t in enumerate(ids)])
    gathered = Scope(home, "planted", MEL).gather("work", "track", ("energy",))
    np.testing.assert_array_equal(gathered.data.targets["energy (own)"], np.arange(len(ids)))


@pytest.mark.slow
def test_words_are_probed_as_strongly_as_recordings_are_heard(home):
    """In place of the measured targets; not of the encoder that they are read off, nor of segments, nor unheard."""
    ids = plant_heard_library(home, MEL, MFCC)
    settings = ProbeSettings(n_bootstraps=50, n_permutations=0, alphas=(10.0,), columns=("violin", "drums"))
    with pytest.raises(DataMissingError, match="has not heard"):
        submit(home, ProbeRequest("planted", MEL.id, settings=settings))
    plant_tags(home, {t: {"mtt:violin": 10 ** min(-1 + 0.3 * x, -0.1)} for t, x in zip(ids, told(ids), strict=True)})
    for encoder, level, why in (("musicnn-mtt", "track", "read off"), (MEL.id, "segment", "whole tracks")):
        with pytest.raises(InputError, match=why):
            submit(home, ProbeRequest("planted", encoder, "work", level, settings))
    submit(home, ProbeRequest("planted", MEL.id, settings=settings))
    assert run_next(home).state == "done"
    found = Scope(home, "planted", MEL).discovery(settings=settings)
    assert found.result.target("violin").best_layer is not None and found.result.target("drums").best_layer is None
    assert max(cell.r2 for cell in found.result.cells if cell.target == "violin") > 0.5
    assert reproduce(home, path_of(home.paths, "planted", MEL, "work", "track", settings)).n_different == 0
    with home.database.transaction() as connection:  # a column of one's own of that name comes first
        connection.executemany("INSERT INTO details VALUES (?, 'violin', ?)", [(track_id, "3") for track_id in ids])
    assert heard_words(Scope(home, "planted", MEL), ["violin", "drums"]).keys() == {"drums"}


def test_estimate_bar_and_sentence_go_by_one_clock(home, write_wav):
    """What was said before an extraction began is what its bar says at 0, and in proportion from there."""
    new = [read_track(write_wav(f"t{seed}", 4.0 + 9 * seed, seed)) for seed in range(3)]
    home.catalogue.add(new[0].audio.parent, new, "music")
    home.store.set_speed(MEL, 2.0)
    before = Scope(home, "music", MEL).estimate()
    assert before.seconds == 2.0 * before.n_segments
    job = submit(home, ExtractRequest("music", MEL.id))
    home.jobs.claim("me", job_id=job.job_id)
    for n_done in (0, 1, before.n_segments):
        home.jobs.progress(job.job_id, "me", n_done=n_done, n_total=before.n_segments, message="")
        running = home.jobs.get(job.job_id)
        assert asked(running).left_s(home, running) == 2.0 * (before.n_segments - n_done)
        assert running.n_total == before.n_segments


def test_steps_of_one_job_are_one_bar(home, write_wav):
    """Discovery has several steps; its bar is of the whole, so it never begins anew."""
    track = read_track(write_wav("a", 3.0))
    home.catalogue.add(track.audio.parent, [track], "music")
    job = submit(home, ExtractRequest("music", MEL.id))
    task = Task(home, home.jobs.claim("me", job_id=job.job_id), "me")
    shares = []
    for step in range(4):
        task.begin_step(step, 4)
        for n_done in (2, 5):
            task._last_progress = 0.0
            task.progress(n_done, 5, "so far")
            now = home.jobs.get(job.job_id)
            shares.append(now.n_done / now.n_total)
            assert now.message == f"step {step + 1} of 4: so far"
    assert shares == [(step + part) / 4 for step in range(4) for part in (0.4, 1.0)]


def test_the_share_that_is_embedded_is_counted_as_the_bar_is(home, write_wav):
    """In segments: one short track of two is not half."""
    new = [read_track(write_wav(name, seconds, seed)) for seed, (name, seconds) in enumerate([("s", 3.0), ("l", 40.0)])]
    home.catalogue.add(new[0].audio.parent, new, "music")
    scope = Scope(home, "music", MEL)
    assert scope.share_embedded == 0.0
    whole = scope.estimate().n_segments
    submit(home, EncodeRequest(new[0].track.track_id, MEL.id))
    work(home)
    left = scope.estimate().n_segments
    assert scope.share_embedded == pytest.approx((whole - left) / whole) and 0 < whole - left < whole / 4


def test_what_somebody_ends_at_the_command_line_no_worker_goes_on_with(queued, monkeypatch):
    def interrupt(self, task):
        raise KeyboardInterrupt

    monkeypatch.setattr(ExtractRequest, "run", interrupt)
    (job,) = queued.jobs.active()
    with pytest.raises(KeyboardInterrupt):
        finish(queued, job)
    assert queued.jobs.get(job.job_id).state == "cancelled" and queued.jobs.claim(new_owner()) is None
