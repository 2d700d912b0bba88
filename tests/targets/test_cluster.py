"""Measuring on a cluster: what workers measure is what is measured here, number for number, whatever dies meanwhile."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from mess_core.catalogue.catalogue import Described
from mess_core.cli.main import main
from mess_core.cluster import crew, settings
from mess_core.cluster.settings import ClusterSettings
from mess_core.collections.opening import read_track
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, MessError, StorageError
from mess_core.notes.midi import Note, write_midi
from mess_core.storage.jobs import new_owner
from mess_core.targets import cluster as cluster_of_targets
from mess_core.targets.cluster import Measurer, Measuring, Outcome
from mess_core.targets.measurements import Files, Measured, measure_track, version_of
from mess_core.work import targets as work_of_targets
from mess_core.work.doing import do
from mess_core.work.request import submit
from mess_core.work.targets import TargetsRequest
from mess_core.work.task import Cancelled, Task
from mess_core.workspace.workspace import Workspace
from tests.conftest import work, write_recording
from tests.machines import (
    SURROUNDINGS,
    Dead,
    FakeRay,
    Full,
    Node,
    connect,
    descendants,
    needs_ray,
    through,
    wait_until_gone,
)
from tests.planted import work_here

N = 6
SCALE = [Note(0.25 * i, 0.25 * i + 0.2, 60 + i % 12, 50 + i) for i in range(24)]


@pytest.fixture(autouse=True)
def threads(monkeypatch) -> Iterator[None]:
    """A worker computes on one thread, for the whole of its process; this one is not its own."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    with threadpoolctl.threadpool_limits(None):
        yield


@pytest.fixture(scope="module")
def wanted(tmp_path_factory) -> list[Files]:
    """Recordings, every other one with MIDI; the first has a score, and the MIDI of the third is none."""
    folder, wanted = tmp_path_factory.mktemp("music"), []
    for seed in range(N):
        audio = write_recording(folder / f"t{seed}.wav", 1.5 + seed % 3 * 2, seed)
        midi, score = audio.with_suffix(".mid"), audio.with_suffix(".score.mid")
        if seed % 2 == 0:
            write_midi(midi, SCALE)
        if seed == 0:
            write_midi(score, [Note(0.5 * i, 0.5 * i + 0.4, 60 + i % 12, 64) for i in range(24)])
        if seed == 2:
            midi.write_bytes(b"hello")
        midi, score = (path if path.is_file() else None for path in (midi, score))
        wanted.append(Files(audio.stem, audio, midi, score, version_of(midi, score)))
    return wanted


@pytest.fixture(scope="module")
def here(wanted) -> dict[str, Measured]:
    """What is measured without a cluster."""
    return {files.track_id: measure_track(files) for files in wanted}


def measured(ray: FakeRay, wanted: list[Files], **how: object) -> dict[str, Measured | MessError]:
    outcomes: list[Outcome] = through(ray, Measuring(), wanted, **how)
    assert len(outcomes) == len(wanted)
    return {files.track_id: found for files, found in outcomes}


def assert_equal(found: dict[str, Measured | MessError], here: dict[str, Measured]) -> None:
    """Every value with its quality and reason; `repr` of a number has all of its digits, and NaN is NaN."""
    assert set(found) == set(here)
    for track_id, ours in here.items():
        theirs = found[track_id]
        assert isinstance(theirs, Measured), theirs
        assert repr(theirs.track) == repr(ours.track) and repr(theirs.segments) == repr(ours.segments)
        for mine, other in zip(ours.score_times, theirs.score_times, strict=True):
            assert mine.score == other.score
            np.testing.assert_array_equal([mine.beats, mine.times_s], [other.beats, other.times_s])


# --- a crew that measures -----------------------------------------------------------------------------------------


def test_workers_measure_what_is_measured_here(wanted, here):
    """Two workers, each with a share of the tracks; MIDI, a score, and MIDI that is none."""
    ray = FakeRay()
    assert_equal(measured(ray, wanted), here)
    assert sorted(itertools.chain(*ray.asked)) == sorted(here) and ray.begun == ["a", "b"]
    assert here["t0"].score_times and here["t0"].track["velocity_mean"].quality == "good"
    assert "not a MIDI file" in here["t2"].track["velocity_mean"].reason


@pytest.mark.parametrize("at", [0, 1])
def test_a_worker_that_dies_costs_what_was_under_way(wanted, here, at):
    ray = FakeRay(faults={(0, at): Dead()})
    assert_equal(measured(ray, wanted), here)
    assert len(ray.begun) == 3
    assert N < len(list(itertools.chain(*ray.asked))) <= N + len(ray.asked[0])


def test_a_track_that_kills_whoever_measures_it_fails_alone(wanted, here):
    found = measured(FakeRay(at={"t3": Dead()}), wanted)
    assert found.pop("t3").message == "3 workers died while they measured it."
    assert_equal(found, {track_id: each for track_id, each in here.items() if track_id != "t3"})


def test_what_is_wrong_with_one_file_is_said_of_it_alone(wanted, here, monkeypatch, tmp_path):
    """No audio, audio of other bytes, and what no reader has expected."""
    (text := tmp_path / "text.wav").write_text("no audio")
    some = [
        Files("text", text),
        Files("gone", tmp_path / "gone.wav"),
        replace(wanted[1], track_id="other", sha256="0" * 64),
        replace(wanted[1], track_id="odd"),
        wanted[1],
    ]

    def odd(files: Files) -> Measured:
        if files.track_id == "odd":
            raise ZeroDivisionError("division by zero")
        return measure_track(files)

    monkeypatch.setattr(cluster_of_targets, "measure_track", odd)
    found = measured(FakeRay(), some)
    assert {track_id for track_id, each in found.items() if isinstance(each, MessError)} == {
        "text", "gone", "other", "odd",
    }  # fmt: skip
    assert found["other"].message == "t1.wav has changed since it was added."
    assert found["odd"].message == "It cannot be used: ZeroDivisionError, division by zero."
    assert_equal({"t1": found["t1"]}, {"t1": here["t1"]})


@pytest.mark.slow
@pytest.mark.parametrize("error", [StorageError("The disk for temporary files is full."), Full()], ids=["ours", "Ray"])
def test_a_full_disk_retires_its_machine(wanted, here, error):
    assert_equal(measured(FakeRay(faults={(0, 1): error}), wanted), here)
    with pytest.raises(StorageError, match=r"On the node .: The disk .*is full"):
        measured(FakeRay(faults={(0, 1): error, (1, 1): error}), wanted)


def test_a_node_with_other_formulas_or_packages_is_named(monkeypatch):
    """Beside the one that asks, which may have measured a part of the library."""
    here = Measurer("b", ClusterSettings(), False, 0).begin(None)
    Measuring().check([here, replace(here, node="a")])
    other = replace(here, makes={"the targets": "audio-1 midi-1"})
    with pytest.raises(ArtefactMismatchError, match="The node b has another version of the targets than this one"):
        Measuring().check([other])
    other = replace(here, packages={**here.packages, "scipy": "0.1"})
    with pytest.raises(ArtefactMismatchError, match=r"The node b computes with scipy 0\.1, this machine with 1"):
        Measuring().check([other])
    with pytest.raises(ArtefactMismatchError, match="The node b runs MESS 0"):
        Measuring().check([replace(here, mess="0")])


# --- music that lies elsewhere ------------------------------------------------------------------------------------


def moved(files: Files) -> Files:
    """As registered on a machine where the music is in /nowhere."""
    there = (path and Path("/nowhere") / path.name for path in (files.audio, files.midi, files.score))
    return replace(files, **dict(zip(("audio", "midi", "score"), there, strict=True)))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["file://", ""], ids=["store", "path"])
def test_music_and_midi_that_lie_elsewhere_are_the_same(wanted, here, scheme, tmp_path):
    """A file that is not there fails alone; MIDI that is another one than here is not measured for it."""
    folder = tmp_path / "theirs"
    shutil.copytree(wanted[0].audio.parent, folder)
    place = f"/nowhere={scheme}{folder}"
    some = [moved(files) for files in wanted]
    assert_equal(measured(FakeRay(), some, read_from=place), here)
    (folder / "t0.mid").unlink()
    (folder / "t1.wav").unlink()
    write_midi(folder / "t4.mid", SCALE[:-1])
    found = measured(FakeRay(), some, read_from=place)
    words = "could not be read from file://" if scheme else "is not there for a worker, or is another file"
    assert "t0.mid" in found["t0"].message and words in found.pop("t0").message
    assert "t1.wav" in found.pop("t1").message
    assert found.pop("t4").message == "t4.mid is not there for a worker, or is another file than on this machine."
    assert_equal(found, {track_id: each for track_id, each in here.items() if track_id not in ("t0", "t1", "t4")})


@pytest.mark.parametrize("scheme", ["file://", ""], ids=["store", "path"])
def test_a_place_that_vanishes_ends_it_in_a_sentence(wanted, scheme, tmp_path):
    with pytest.raises(DataMissingError, match=r"On the node .: .*gone does not answer, or is not there any more"):
        measured(FakeRay(), [moved(files) for files in wanted], read_from=f"/nowhere={scheme}{tmp_path}/gone")


def test_a_machine_without_the_music_may_ask(tmp_path, monkeypatch):
    """Only workers see it: MIDI counts as there where it was registered, with the version of what they read."""
    home = library(tmp_path, 4)
    alone = Workspace(shutil.copytree(home.paths.root, tmp_path / "alone"))
    measure_here(alone, monkeypatch)
    (tmp_path / "music").rename(tmp_path / "theirs")
    ray = FakeRay()
    connect(ray, monkeypatch)
    place = f"{tmp_path / 'music'}={tmp_path / 'theirs'}"
    submit(home, TargetsRequest("music", cluster="local", read_from=place))
    work(home)
    assert home.jobs.latest("targets").message == "4 of 4 tracks measured."
    assert rows(home) == rows(alone) and len({row[-1] for row in rows(home)[0]}) > 1  # with MIDI, and without
    submit(home, TargetsRequest("music", cluster="local", read_from=place))
    work(home)
    assert home.jobs.latest("targets").message == "Nothing to do: every track is measured."
    with home.database.transaction() as connection:
        connection.execute("UPDATE targets SET version = 'audio-1 midi-1'")
    assert len(home.measurements.missing(home.catalogue.track_ids("music"), tmp_path / "music")) == 4
    assert home.measurements.missing(home.catalogue.track_ids("music")) == []


# --- the durable job ----------------------------------------------------------------------------------------------


def library(folder: Path, n: int, seconds: float = 1.5) -> Workspace:
    """A library with MIDI beside every other recording, and a score of the first."""
    home, new = Workspace(folder / "home"), []
    for seed in range(n):
        audio = write_recording(folder / "music" / f"t{seed}.wav", seconds, seed)
        if seed % 2 == 0:
            write_midi(audio.with_suffix(".mid"), SCALE)
        new.append(read_track(audio))
    home.catalogue.add(folder / "music", new, "music")
    score = folder / "music" / "scores" / "t0.mid"
    score.parent.mkdir()
    write_midi(score, [Note(0.5 * i, 0.5 * i + 0.4, 60 + i % 12, 64) for i in range(24)])
    home.catalogue.describe(folder / "music", [Described(new[0].track.track_id, {}, {"score": score})], "music")
    return home


def rows(home: Workspace) -> list[list[tuple]]:
    """All that measuring writes."""
    tables = ("targets", "segment_targets", "score_times")
    return [
        sorted(map(tuple, home.database.connection.execute(f"SELECT * FROM {table}")), key=repr) for table in tables
    ]


def measure_here(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(work_of_targets, "work_through", work_here)
        submit(home, TargetsRequest("music"))
        work(home)


def test_a_job_on_a_cluster_keeps_what_comes_like_any(tmp_path, monkeypatch):
    """Its rows are those of a run here, a failure is named by its title, and a second one has nothing to do."""
    home = library(tmp_path, 4)
    (bad := tmp_path / "music" / "t3.wav").write_bytes(b"RIFF no sound")
    other = Workspace(shutil.copytree(home.paths.root, tmp_path / "other"))
    connect(FakeRay([Node("a", 64)]), monkeypatch)
    submit(home, TargetsRequest("music", cluster="local", n_workers=2))
    work(home)
    measure_here(other, monkeypatch)
    job, expected = home.jobs.latest("targets"), other.jobs.latest("targets")
    assert (job.state, job.message, job.n_done, job.n_total) == ("done", "3 of 4 tracks measured.", 4, 4)
    assert expected.message == job.message
    assert home.jobs.failures(job.job_id) == other.jobs.failures(expected.job_id) != []
    assert all(rows(home)) and rows(home) == rows(other)
    bad.unlink()
    submit(home, TargetsRequest("music", cluster="local"))
    work(home)
    assert home.jobs.latest("targets").message == "0 of 1 track measured."


@pytest.mark.slow
def test_a_cancelled_job_keeps_what_came_and_goes_on(tmp_path, monkeypatch):
    """Workers are dismissed at once, also while nothing comes; the same asked again does the rest."""
    home = library(tmp_path, 6)
    ray = FakeRay([Node("a", 1)])
    connect(ray, monkeypatch)
    monkeypatch.setattr(crew, "SHARES", 1)
    job, owner = submit(home, TargetsRequest("music", cluster="local")), new_owner()
    n_paused = itertools.count(1)

    def on_pause() -> None:
        if next(n_paused) == 4:  # at the beginning, then after each track
            raise Cancelled

    do(Task(home, home.jobs.claim(owner), owner, on_pause=on_pause))
    n_kept = len({row[0] for row in rows(home)[0]})
    assert home.jobs.get(job.job_id).state == "cancelled" and 0 < n_kept < 6 and ray.n_killed == 1
    home.jobs.resume(job.job_id)
    work(home)
    assert home.jobs.latest("targets").message == f"{6 - n_kept} of {counted_tracks(6 - n_kept)} measured."
    alone = Workspace(shutil.copytree(home.paths.root, tmp_path / "alone"))
    with alone.database.transaction() as connection:
        for table in ("targets", "segment_targets", "score_times"):
            connection.execute(f"DELETE FROM {table}")
    measure_here(alone, monkeypatch)
    assert rows(home) == rows(alone)


def counted_tracks(n: int) -> str:
    return f"{n} track{'s' if n != 1 else ''}"


def test_whoever_waits_for_a_cluster_can_be_cancelled(tmp_path, monkeypatch):
    """While its workers begin nothing comes, and a request to end is noticed all the same."""
    home = library(tmp_path, 1)
    ray = FakeRay()
    connect(ray, monkeypatch)
    owner, paused = new_owner(), []
    submit(home, TargetsRequest("music", cluster="local"))

    def on_pause() -> None:
        paused.append(len(ray.asked))
        raise Cancelled

    assert do(Task(home, home.jobs.claim(owner), owner, on_pause=on_pause)).state == "cancelled"
    assert paused == [0] and ray.n_killed == 2  # before anything was handed out


def test_a_job_from_elsewhere_leads_to_no_cluster(tmp_path, monkeypatch):
    """The row of a data folder names one that nobody named here: nothing is connected to."""
    home = library(tmp_path, 1)
    monkeypatch.delenv(settings.ALLOWED, raising=False)
    connect(FakeRay(), monkeypatch)
    monkeypatch.setattr(crew, "connected", lambda settings: pytest.fail("it was connected to"))
    request = TargetsRequest("music", cluster="10.0.0.1:6379")
    with pytest.raises(InputError, match="was not named on this machine"):
        submit(home, request)
    home.jobs.submit("targets", request.arguments, resource=request.resource(home))
    work(home)
    job = home.jobs.latest("targets")
    assert job.state == "failed" and "10.0.0.1:6379 was not named on this machine" in job.message


@pytest.mark.slow
def test_what_cannot_be_meant_is_said_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(settings, "is_installed", lambda: False)
    home = library(tmp_path, 1)
    command = ["--home", str(home.paths.root), "targets"]
    for more, words in {
        ("--cluster", "local"): "pip install -r requirements-cluster.txt",
        ("--workers", "2"): "Without a cluster",
        ("--read-from", "/a=/b"): "Without a cluster",
        ("--cluster", "local", "--read-from", "here"): "Expected FOLDER=PLACE",
        ("--cluster", "local", "--list"): "Targets of your own are not measured",
    }.items():
        assert main([*command, *more]) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--cluster", "local", "--workers", "-1"])


# --- Ray itself ---------------------------------------------------------------------------------------------------


def command(home: Workspace, *more: str) -> list[str]:
    return [sys.executable, "-m", "mess_core", "--home", str(home.paths.root), "targets", *more]


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")
def test_two_workers_one_of_which_is_killed_give_what_one_run_gives(tmp_path):
    """To the last digit, MIDI and scores included; nothing is listed as failed, and no process is left behind."""
    home = library(tmp_path, 24, 10.0)
    alone = Workspace(shutil.copytree(home.paths.root, tmp_path / "alone"))
    asked = command(home, "--cluster", "local", "--workers", "2", "--json")
    running = subprocess.Popen(asked, env=SURROUNDINGS, stdout=subprocess.PIPE)
    until = time.monotonic() + 240
    while not home.database.connection.execute("SELECT count(*) FROM targets").fetchone()[0]:
        assert running.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    begun = descendants(running.pid)
    workers = [pid for pid, name in begun if name.startswith("ray::Measurer")]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    n_done = home.database.connection.execute("SELECT count(DISTINCT track_id) FROM targets").fetchone()[0]
    out, _ = running.communicate(timeout=240)
    document = json.loads(out)
    assert running.returncode == 0 and document["done"] and document["failures"] == [] and n_done < 24
    subprocess.run(command(alone), env=SURROUNDINGS, check=True, capture_output=True, timeout=240)
    assert all(rows(home)) and rows(home) == rows(alone)
    assert len({row[0] for row in rows(home)[0]}) == 24
    wait_until_gone(begun)
