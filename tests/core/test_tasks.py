"""Jobs from end to end in this process: what each kind leaves in the catalogue."""

from __future__ import annotations

import shutil

import pytest

from mess_core.datasets import demo
from mess_core.home import DEMO, Home
from mess_core.jobs import Job, new_owner
from mess_core.tasks import Task

STEMS = [plan.stem for plan in demo.plan_demo()[:3]]


@pytest.fixture
def small_demo(monkeypatch):
    """The demo library is three recordings."""
    make = demo.make_demo
    monkeypatch.setattr(demo, "make_demo", lambda folder, **options: make(folder, only=STEMS, workers=1, **options))


def run_next(home: Home) -> Job:
    owner = new_owner()
    return Task(home, home.jobs.claim(owner), owner).run()


def test_the_demo_is_registered_with_its_truth_and_its_scores(home, small_demo):
    """Work, performer, instrument, planted values, MIDI and score are in the catalogue; extraction is asked for."""
    home.request_demo("nano")
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
    assert [job.kind for job in home.jobs.active()] == ["extract"]


def test_removing_the_demo_removes_what_we_made_and_it_does_not_come_back(home, small_demo):
    home.request_demo("nano")
    run_next(home)
    home.remove_library(DEMO)
    assert not home.paths.demo.exists() and home.catalogue.libraries() == []
    assert home.database.setting("demo") == "removed" and not home.jobs.active()


def test_a_rescan_adds_what_is_new_and_reads_nothing_twice(home, write_wav, monkeypatch):
    """An unchanged file is known by its size and time; a new one is added; a removed one stays in the catalogue."""
    from mess_core import tasks

    folder = write_wav("a", seed=1).parent
    write_wav("b", seed=2)
    home.request_add(folder, "music")
    run_next(home)
    read, real = [], tasks.read_track
    monkeypatch.setattr(tasks, "read_track", lambda path: read.append(path.name) or real(path))
    write_wav("c", seed=3)
    (folder / "a.wav").unlink()
    home.request_add(folder, "music")
    run_next(home)
    assert read == ["c.wav"] and len(home.catalogue.tracks("music")) == 3


def test_a_folder_that_vanished_fails_in_one_sentence_and_loses_nothing(home, write_wav):
    folder = write_wav("a").parent
    home.request_add(folder, "music")
    run_next(home)
    shutil.move(folder, folder.with_name("elsewhere"))
    home.request_add(folder, "music")
    job = run_next(home)
    assert job.state == "failed" and "There is no file or folder" in job.message and "disk" in job.hint
    assert len(home.catalogue.tracks("music")) == 1


def test_a_defect_ends_the_job_with_a_sentence_and_not_the_worker(home, write_wav, monkeypatch):
    """An exception nobody foresaw is a failed job; what was done before is kept."""
    from mess_core import tasks

    def broken(_):
        raise ZeroDivisionError("planted")

    monkeypatch.setitem(tasks.KINDS, "add", broken)
    home.request_add(write_wav("a"), "music")
    job = run_next(home)
    assert job.state == "failed" and "ZeroDivisionError: planted" in job.message
