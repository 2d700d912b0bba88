"""Clusters: what workers compute is what is computed here, bit for bit, whatever dies meanwhile."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mess_core.cli.doctor import examine
from mess_core.cli.main import main
from mess_core.cluster import crew, settings
from mess_core.cluster.crew import Crew
from mess_core.cluster.settings import ClusterSettings
from mess_core.collections.opening import read_track
from mess_core.embeddings.cluster import Embedding, extract_on_cluster
from mess_core.embeddings.extraction import BatchDone, ExtractedTrack, FailedTrack, WantedTrack, extract
from mess_core.encoders.mel import MEL, MFCC
from mess_core.encoders.registry import load_encoder
from mess_core.errors import DataMissingError, DependencyMissingError, InputError, StorageError
from mess_core.storage.paths import Paths
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import Workspace
from tests import machines
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
    wait_until_gone,
)

N = 10


@pytest.fixture(autouse=True)
def threads(monkeypatch) -> Iterator[None]:
    """A worker sets how many cores it takes, for the whole of its process; this one is not its own."""
    import torch

    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", str(before)))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory) -> list[WantedTrack]:
    folder = tmp_path_factory.mktemp("music")
    paths = [write_recording(folder / f"t{seed}.wav", 5 + seed % 3 * 2.5, seed) for seed in range(N)]
    return [WantedTrack(path.stem, path.stem, path) for path in paths]


@pytest.fixture(scope="module")
def here(wanted) -> dict[str, ExtractedTrack]:
    """What is computed without a cluster."""
    events = extract(wanted, load_encoder(MEL.id, Paths.default()))
    return {event.track.track_id: event for event in events if isinstance(event, ExtractedTrack)}


def through(ray: FakeRay, tracks: list[WantedTrack], infos=(MEL,), **how: object) -> dict[str, object]:
    events = machines.through(ray, Embedding(infos), tracks, **how)
    return {event.track.track_id: event for event in events if not isinstance(event, BatchDone)}


def assert_equal(found: dict[str, object], here: dict[str, ExtractedTrack]) -> None:
    """Every array, and all that decoding has found."""
    assert set(found) == set(here)
    for track_id, ours in here.items():
        theirs = found[track_id]
        assert isinstance(theirs, ExtractedTrack), theirs
        for part, array in vars(ours.embedding).items():
            np.testing.assert_array_equal(getattr(theirs.embedding, part), array)
        assert theirs.facts == ours.facts and theirs.track.track_id == track_id


def test_workers_compute_what_is_computed_here(wanted, here):
    """Two workers, each with a share of the tracks, the last shares small."""
    ray = FakeRay()
    assert_equal(through(ray, wanted), here)
    assert sorted(itertools.chain(*ray.asked)) == sorted(here)
    assert len(ray.asked[0]) == 2 and len(ray.asked[-1]) == 1 and ray.begun == ["a", "b"]


def test_encoders_that_cut_alike_are_asked_together(wanted):
    found = through(FakeRay(), wanted[:3], (MEL, MFCC))
    assert set(found) == {"t0", "t1", "t2"}  # the events of each group; `embed_tracks` parts them


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_worker_that_dies_costs_what_was_under_way(wanted, here, at):
    """Another takes its place; what had come is not asked for again, and what had not goes track by track."""
    ray = FakeRay(faults={(0, at): Dead()})
    assert_equal(through(ray, wanted), here)
    assert len(ray.begun) == 3 and ray.begun[2] == "a"
    n_asked = len(list(itertools.chain(*ray.asked)))
    assert N < n_asked <= N + len(ray.asked[0])


def test_a_track_that_kills_whoever_hears_it_fails_alone(wanted, here):
    ray = FakeRay(at={"t3": Dead()})
    found = through(ray, wanted)
    failed = found.pop("t3")
    assert isinstance(failed, FailedTrack) and failed.error.message == "3 workers died while they heard 't3'."
    assert_equal(found, {track_id: event for track_id, event in here.items() if track_id != "t3"})


def test_a_machine_that_dies_leaves_its_work_to_the_others(wanted, here):
    ray = FakeRay(faults={(0, 1): Dead()})
    ray.all_nodes[0].is_alive = True
    crew = Crew(ray, Embedding([MEL]), ClusterSettings())
    list(crew.start())
    ray.all_nodes[0].is_alive = False
    events = [event for event in crew.work_through(wanted) if event and not isinstance(event, BatchDone)]
    assert_equal({event.track.track_id: event for event in events}, here)
    assert ray.begun == ["a", "b"] and [place.name for place in crew.places] == ["b"]


def test_no_machine_that_is_left_ends_it_in_a_sentence(wanted):
    ray = FakeRay(faults={(0, 1): Dead(), (1, 1): Dead()})
    crew = Crew(ray, Embedding([MEL]), ClusterSettings())
    list(crew.start())
    for node in ray.all_nodes:
        node.is_alive = False
    with pytest.raises(StorageError, match="No worker of the cluster is left"):
        list(crew.work_through(wanted))


@pytest.mark.parametrize(
    "error", [StorageError("The disk for temporary files is full."), Full()], ids=["ours", "Ray's"]
)
def test_a_full_disk_retires_its_machine(wanted, here, error):
    """All of its workers; what they had to do is done by others. Where all are full, that is said."""
    ray = FakeRay([Node("a", 2), Node("b")], faults={(0, 1): error})
    assert_equal(through(ray, wanted), here)
    with pytest.raises(StorageError, match=r"On the node b: The disk .*is full"):
        through(FakeRay(faults={(0, 1): error, (1, 1): error}), wanted)


def test_a_place_that_vanishes_ends_it_in_a_sentence(wanted):
    gone = DataMissingError("s3://bucket does not answer, or is not there any more.")
    with pytest.raises(DataMissingError, match=r"On the node .: s3://bucket does not answer"):
        through(FakeRay(faults={(1, 1): gone}), wanted)


def test_music_that_lies_elsewhere_for_workers_is_the_same(wanted, here, tmp_path):
    """In a store of objects; a file that is not there fails alone, and says so."""
    folder = wanted[0].audio.parent
    tracks = [replace(track, audio=Path("/nowhere") / track.audio.name) for track in wanted]
    place = f"/nowhere=file://{folder}"
    assert_equal(through(FakeRay(), tracks, read_from=place), here)
    (failed,) = through(FakeRay(), [WantedTrack("x", "x", Path("/nowhere/x.wav"))], read_from=place).values()
    assert isinstance(failed, FailedTrack) and "x.wav could not be read from file://" in failed.error.message
    changed = [replace(tracks[0], sha256="0" * 64)]
    (failed,) = through(FakeRay(), changed, read_from=place).values()
    assert failed.error.message == "t0.wav has changed since it was added."


def test_a_node_without_weights_is_named(wanted):
    missing = DataMissingError("The weights of MERT-95M are not here.", "Fetch them.")
    with pytest.raises(DataMissingError, match="On the node b: The weights of MERT-95M are not here"):
        through(FakeRay(at_begin={"b": missing}), wanted)


def test_a_node_without_mess_is_named(wanted):
    absent = Dead("ModuleNotFoundError: No module named 'mess_core'")
    with pytest.raises(DataMissingError, match="The node a has no MESS"):
        through(FakeRay(at_begin={"a": absent}), wanted)
    with pytest.raises(StorageError, match=r"The node a could not begin: .*killed"):
        through(FakeRay(at_begin={"a": Dead("\nthe worker was killed")}), wanted)


def test_whoever_stops_asking_dismisses_all_workers(wanted, monkeypatch):
    """As a job that is cancelled; and so does an error here, as of a full disk."""
    ray = FakeRay()
    connect(ray, monkeypatch)
    events = extract_on_cluster(wanted, [MEL], ClusterSettings())
    while not isinstance(next(events), ExtractedTrack):
        pass
    events.close()
    assert ray.n_killed == 2 and len(list(itertools.chain(*ray.asked))) < N


# --- the door -----------------------------------------------------------------------------------------------------


def test_a_job_from_elsewhere_leads_to_no_cluster(home, write_wav, monkeypatch):
    """The row of a data folder names one that nobody named here: nothing is connected to."""
    home.catalogue.add(home.paths.root, [read_track(write_wav("a", seconds=3))], "music")
    monkeypatch.delenv(settings.ALLOWED, raising=False)
    connect(FakeRay(), monkeypatch)
    monkeypatch.setattr(crew, "connected", lambda settings: pytest.fail("it was connected to"))
    request = ExtractRequest("music", MEL.id, cluster="10.0.0.1:6379")
    with pytest.raises(InputError, match="was not named on this machine"):
        submit(home, request)
    home.jobs.submit("extract", request.arguments, resource=request.resource(home))
    work(home)
    job = home.jobs.latest("extract")
    assert job.state == "failed" and "10.0.0.1:6379 was not named on this machine" in job.message
    settings.allow("10.0.0.1:6379")
    settings.require_allowed("10.0.0.1:6379"), settings.require_allowed("local")
    monkeypatch.delenv(settings.ALLOWED)


def test_without_ray_the_command_that_installs_it_is_said(home, write_wav, monkeypatch, capsys):
    monkeypatch.setattr(settings, "is_installed", lambda: False)
    new = read_track(write_wav("a"))
    home.catalogue.add(new.audio.parent, [new], "music")
    options = ["--home", str(home.paths.root), "extract", "--encoder", "mel"]
    assert main([*options, "--cluster", "local"]) == 2
    assert "pip install -r requirements-cluster.txt" in capsys.readouterr().err
    assert main([*options, "--cluster", "local", "--keep-raw"]) == 2
    assert "Raw hidden states never leave their machine" in capsys.readouterr().err
    assert main([*options, "--workers", "2"]) == 2
    assert "Without a cluster" in capsys.readouterr().err
    monkeypatch.setattr(sys.modules["mess_core.cli.doctor"], "is_installed", lambda: False)
    (finding,) = [each for each in examine(home) if each.subject == "clusters"]
    assert finding.is_ok and "requirements-cluster.txt" in finding.state
    with pytest.raises(DependencyMissingError):
        next(extract_on_cluster([], [MEL], ClusterSettings()))


def test_a_job_on_a_cluster_keeps_what_comes_like_any(home, write_wav, monkeypatch, tmp_path):
    """The durable job: its rows and arrays are those of a run here, and a second one has nothing to do."""
    paths = [write_wav(f"t{seed}", 6.0, seed) for seed in range(4)]
    (bad := tmp_path / "music" / "bad.wav").write_bytes(b"RIFF no sound")
    other = Workspace(tmp_path / "other")
    for each in (home, other):
        each.catalogue.add(paths[0].parent, map(read_track, paths), "music")
    connect(FakeRay([Node("a", 64)]), monkeypatch)
    submit(home, ExtractRequest("music", MEL.id, cluster="local", n_workers=2))
    work(home)
    submit(other, ExtractRequest("music", MEL.id))
    work(other)
    job = home.jobs.latest("extract")
    assert job.state == "done" and job.message == other.jobs.latest("extract").message and bad.exists()
    assert dict(home.store.known(MEL)) == dict(other.store.known(MEL)) and len(home.store.known(MEL)) == 4
    facts = [[replace(track, title="") for track in each.catalogue.tracks("music")] for each in (home, other)]
    assert facts[0] == facts[1] and facts[0][0].samples_sha256
    submit(home, ExtractRequest("music", MEL.id, cluster="local"))
    work(home)
    assert "Nothing to do" in home.jobs.latest("extract").message


# --- Ray itself ---------------------------------------------------------------------------------------------------


def library(folder: Path, n: int, seconds: float) -> Workspace:
    home = Workspace(folder / "home")
    new = [read_track(write_recording(folder / "music" / f"t{seed}.wav", seconds, seed)) for seed in range(n)]
    home.catalogue.add(folder / "music", new, "music")
    return home


def command(home: Workspace, *more: str) -> list[str]:
    return [sys.executable, "-m", "mess_core", "--home", str(home.paths.root), "extract", "--encoder", "nano", *more]


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")
def test_two_workers_one_of_which_is_killed_give_what_one_run_gives(tmp_path):
    """And the command ends well, lists nothing as failed, and leaves no process behind."""
    home, alone = library(tmp_path / "1", 16, 15.0), library(tmp_path / "2", 16, 15.0)
    running = subprocess.Popen(
        command(home, "--cluster", "local", "--workers", "2", "--json"), env=SURROUNDINGS, stdout=subprocess.PIPE
    )
    until = time.monotonic() + 240
    while not home.database.connection.execute("SELECT count(*) FROM embeddings").fetchone()[0]:
        assert running.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    begun = descendants(running.pid)
    workers = [pid for pid, name in begun if name.startswith("ray::Worker")]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    out, _ = running.communicate(timeout=240)
    document = json.loads(out)
    assert running.returncode == 0 and document["done"] and document["failures"] == []
    subprocess.run(command(alone), env=SURROUNDINGS, check=True, capture_output=True, timeout=240)
    for each in (home, alone):
        each.database.remembered.forget()
    (info,) = [row[0] for row in home.database.connection.execute("SELECT fingerprint FROM encoders")]
    rows = "SELECT track_id, path, sha256, size_bytes, n_segments FROM embeddings WHERE fingerprint = ? ORDER BY 1"
    found, expected = (
        [tuple(row) for row in each.database.connection.execute(rows, (info,))] for each in (home, alone)
    )
    assert len(found) == 16 and found == expected  # the hashes of the files: every bit
    wait_until_gone(begun)


@needs_ray
@pytest.mark.slow
def test_the_one_that_asks_may_be_killed_and_the_same_command_goes_on(tmp_path):
    home = library(tmp_path, 12, 15.0)
    running = subprocess.Popen(command(home, "--cluster", "local", "--workers", "2"), env=SURROUNDINGS)
    until = time.monotonic() + 240
    while (n := home.database.connection.execute("SELECT count(*) FROM embeddings").fetchone()[0]) < 2:
        assert running.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    begun = descendants(running.pid)
    running.kill()
    running.wait()
    again = [*command(home, "--cluster", "local", "--workers", "2", "--json")]
    done = subprocess.run(again, env=SURROUNDINGS, capture_output=True, check=True, timeout=300)
    document = json.loads(done.stdout)
    assert document["done"] and 2 <= n < 12
    assert home.database.connection.execute("SELECT count(*) FROM embeddings").fetchone()[0] == 12
    wait_until_gone(begun)  # Ray's own take a minute to notice


@needs_ray
@pytest.mark.slow
def test_tasks_that_decode_for_a_worker_change_nothing(wanted, here, tmp_path):
    """As beside a GPU; from a store of objects. In a process of its own, which Ray does not share."""
    code = f"""
import pickle, sys
from mess_core.cluster.settings import ClusterSettings
from mess_core.embeddings.cluster import extract_on_cluster
from mess_core.encoders.mel import MEL
tracks = pickle.load(open({str(tmp_path / "tracks")!r}, "rb"))
settings = ClusterSettings(n_workers=1, n_decoders=2, read_from={f"/nowhere=file://{wanted[0].audio.parent}"!r})
events = list(extract_on_cluster(tracks, [MEL], settings))
pickle.dump(events, open({str(tmp_path / "events")!r}, "wb"))
"""
    tracks = [replace(track, audio=Path("/nowhere") / track.audio.name) for track in wanted]
    (tmp_path / "tracks").write_bytes(pickle.dumps(tracks))
    subprocess.run([sys.executable, "-c", code], env=SURROUNDINGS, check=True, timeout=240)
    events = pickle.loads((tmp_path / "events").read_bytes())
    assert_equal({event.track.track_id: event for event in events if not isinstance(event, BatchDone)}, here)
