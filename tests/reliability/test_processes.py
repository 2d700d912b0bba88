"""Several processes on one data folder, workers that are suspended, folders that vanish, copies while others write."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from mess_core.collections.opening import read_track
from mess_core.collections.walking import audio_files
from mess_core.encoders.mel import MEL
from mess_core.errors import InputError, LeaseLostError
from mess_core.upkeep.backup import back_up
from mess_core.upkeep.check import check
from mess_core.upkeep.sweep import sweep
from mess_core.work.add import AddRequest
from mess_core.work.request import submit
from mess_core.work.targets import MeasureRequest
from mess_core.work.worker import WorkerKeeper
from mess_core.workspace.workspace import Workspace
from tests.conftest import N_QUEUED, work
from tests.planted import embedding
from tests.workers import contents, end, start_process, start_worker, uninterrupted, wait_until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")


def written(home: Workspace) -> list[tuple]:
    """When each embedding was entered, and when the job ended."""
    rows = home.database.connection.execute(
        "SELECT track_id, created_at FROM embeddings UNION ALL SELECT job_id, finished_at FROM jobs ORDER BY 1"
    )
    return [tuple(row) for row in rows]


def test_two_servers_on_one_data_folder_share_the_work(queued: Workspace, tmp_path: Path) -> None:
    """Each keeps a worker; every track is embedded once, and nobody is locked out."""
    first, second = WorkerKeeper(queued), WorkerKeeper(Workspace(queued.paths.root))
    owners: set[str] = set()

    def is_done() -> bool:
        for row in queued.database.connection.execute("SELECT owner FROM jobs WHERE kind = 'extract'"):
            owners.add(row["owner"])
        return not queued.jobs.active()

    first.start()
    second.start()
    try:
        submit(queued, MeasureRequest(queued.catalogue.track_ids("music")[0]))
        wait_until(is_done)
    finally:
        first.stop()
        second.stop()
    assert len(owners - {None}) == 1  # nobody took it from the other
    rows = queued.database.connection.execute("SELECT kind, state, n_done FROM jobs").fetchall()
    assert {(row["kind"], row["state"]) for row in rows} == {("extract", "done"), ("measure", "done")}
    assert contents(queued) == uninterrupted(queued, tmp_path)
    assert check(queued) == []


def test_a_suspended_worker_that_wakes_up_too_late_changes_nothing(queued: Workspace, tmp_path: Path) -> None:
    """SIGSTOP, its lease runs out, another one does the job, SIGCONT: the first notices, and goes on to live."""
    first = start_process(queued)
    wait_until(lambda: len(queued.store.known(MEL)) > 0)
    with queued.database.transaction():  # ours, so not its own: a stopped writer would hold the lock for ever
        first.send_signal(signal.SIGSTOP)
        os.waitpid(first.pid, os.WUNTRACED)
    n_before = len(queued.store.known(MEL))
    if not queued.jobs.active():
        end(first, signal.SIGKILL)
        pytest.skip("it was too fast to be stopped in the middle")
    with queued.database.transaction() as connection:  # half a minute later
        connection.execute("UPDATE jobs SET lease_until = 0 WHERE state = 'running'")
    second = start_worker(queued)
    wait_until(lambda: not queued.jobs.active())
    done, rows = contents(queued), written(queued)
    first.send_signal(signal.SIGCONT)
    time.sleep(1.5)
    assert first.poll() is None  # it looks for other work
    end(first, signal.SIGTERM)
    end(second, signal.SIGTERM)
    assert n_before < N_QUEUED and first.returncode == second.returncode == 0
    assert contents(queued) == done == uninterrupted(queued, tmp_path) and written(queued) == rows
    assert check(queued) == [] and queued.jobs.latest("extract").state == "done"


def test_the_late_ones_bytes_never_take_the_place_of_the_others(home: Workspace, write_wav) -> None:
    """Another batch rounds otherwise: its file is refused together with its row, and swept."""
    new = read_track(write_wav("a"))
    home.catalogue.add(new.audio.parent, [new], "music")
    track_id = new.track.track_id
    first = embedding(1)
    home.store.write(track_id, MEL, first)

    def refuse(connection: object) -> None:
        raise LeaseLostError("taken over")

    with pytest.raises(LeaseLostError):
        home.store.write(track_id, MEL, embedding(2), refuse)
    np.testing.assert_array_equal(home.store.read(track_id, MEL).mean, first.mean)
    assert check(home) == []
    assert home.store.sweep(time.time() + 7200) == 1
    home.store.write(track_id, MEL, embedding(3))  # in its place, under another name
    home.store.write(track_id, MEL, embedding(1))
    assert len(list(home.paths.embeddings.rglob("*.safetensors"))) == 1
    np.testing.assert_array_equal(home.store.read(track_id, MEL).mean, first.mean)


def test_a_copy_made_while_a_worker_writes_is_whole_and_lives_elsewhere(queued: Workspace, tmp_path: Path) -> None:
    """Every row of the copy has its file; the original goes on meanwhile; the copy may lie anywhere."""
    worker = start_worker(queued)
    copies = []
    for number in range(4):
        n_before = len(queued.store.known(MEL))
        wait_until(lambda n=n_before: len(queued.store.known(MEL)) > n or not queued.jobs.active())
        back_up(queued, tmp_path / f"copy {number}")
        copies.append((tmp_path / f"copy {number}", n_before))
    wait_until(lambda: not queued.jobs.active())
    end(worker, signal.SIGTERM)
    for folder, n_before in copies:
        copy = Workspace(shutil.move(folder, tmp_path / f"moved {folder.name}"))
        assert check(copy) == []
        known = copy.store.known(MEL)
        assert len(known) >= n_before and known.items() <= queued.store.known(MEL).items()
        for track_id in known:
            np.testing.assert_array_equal(copy.store.read(track_id, MEL).mean, queued.store.read(track_id, MEL).mean)
        copy.database.close()
    with pytest.raises(InputError, match="not empty"):
        back_up(queued, tmp_path / f"moved {copies[0][0].name}")


def test_a_folder_that_is_empty_because_its_disk_is_not_there_loses_nothing(home: Workspace, write_wav) -> None:
    """The mount point exists and is empty: scanned again, swept and checked, everything is still known."""
    new = [read_track(write_wav(f"t{seed}", 3.0, seed)) for seed in range(2)]
    folder = new[0].audio.parent
    submit(home, AddRequest(folder, "music", encoder_id=MEL.id))
    work(home)
    ids = home.catalogue.track_ids("music")
    home.opinions.judge(ids[0], "like")
    for mounted in (folder.rename(folder.with_name("elsewhere")),):
        with pytest.raises(InputError, match="is the disk mounted"):  # the folder is gone
            submit(home, AddRequest(folder, "music"))
        folder.mkdir()
        submit(home, AddRequest(folder, "music"))
        work(home)  # the folder is empty
        sweep(home)
        assert check(home, repair=True) == []
        assert home.catalogue.track_ids("music") == ids and len(home.store.known(MEL)) == 2
        assert len(home.opinions.export()) == 1
        folder.rmdir()
        mounted.rename(folder)
    assert home.catalogue.audio_path(ids[0]).is_file()


def test_what_is_no_file_is_passed_over(write_wav, tmp_path: Path) -> None:
    """Pipes, devices and links to themselves; links to files and hard links are files, a link to a folder is walked."""
    path = write_wav("a")
    folder, outside = path.parent, write_wav("b", seed=1, folder="outside")
    os.mkfifo(folder / "pipe.wav")
    (folder / "device.wav").symlink_to("/dev/zero")
    (folder / "self.wav").symlink_to("self.wav")
    (folder / "nowhere.wav").symlink_to("nosuch.wav")
    (folder / "up").symlink_to(folder, target_is_directory=True)
    (folder / "out").symlink_to(outside.parent, target_is_directory=True)
    (folder / "folder.wav").mkdir()
    (folder / "linked.wav").symlink_to(outside)
    os.link(path, folder / "hard.wav")
    assert [found.name for found in audio_files(folder)] == ["a.wav", "hard.wav", "linked.wav", "b.wav"]
    home = Workspace(tmp_path / "linked home")
    submit(home, AddRequest(folder, "music"))
    work(home)
    assert home.catalogue.n_tracks("music") == 2 and home.jobs.latest("add").state == "done"
