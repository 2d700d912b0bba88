"""The worker process: killed at any point it loses nothing acknowledged, and what comes out is the same."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mess_core.encoders.mel import MEL
from mess_core.storage.jobs import new_owner
from mess_core.upkeep.check import check
from mess_core.work.add import AddRequest
from mess_core.work.doing import do
from mess_core.work.extract import EncodeRequest, ExtractRequest
from mess_core.work.request import submit
from mess_core.work.task import Task
from mess_core.work.worker import WorkerKeeper
from mess_core.workspace.workspace import Workspace
from tests.conftest import N_QUEUED
from tests.workers import ROOT, contents, end, start_process, start_worker, uninterrupted, wait_until

pytestmark = pytest.mark.slow


def kill_and_resume(home: Workspace, tmp_path: Path, rounds: int, n_workers: int) -> None:
    """Kill workers at random moments, then let one finish; check everything that was ever acknowledged."""
    rng = random.Random(0)
    acknowledged: dict[str, str] = {}
    for _ in range(rounds):
        workers = [start_worker(home) for _ in range(n_workers)]
        n_before = len(home.store.known(MEL))
        wait_until(lambda n=n_before: len(home.store.known(MEL)) > n or not home.jobs.active())
        time.sleep(rng.random() * 0.05)
        for worker in workers:
            end(worker)
        known = home.store.known(MEL)
        assert acknowledged.items() <= known.items()
        acknowledged = known
        assert check(home) == []
        if not home.jobs.active():  # all done before the last round: start over with what is left to lose
            home.store.forget(rng.choice(sorted(known)), MEL.fingerprint)
            acknowledged = home.store.known(MEL)
            submit(home, ExtractRequest("music", MEL.id))
    last = start_worker(home)
    wait_until(lambda: not home.jobs.active())
    end(last, signal.SIGTERM)
    assert contents(home) == uninterrupted(home, tmp_path)
    assert check(home) == []


def test_killed_in_the_middle_it_resumes_and_the_result_is_the_same(queued, tmp_path):
    kill_and_resume(queued, tmp_path, rounds=2, n_workers=1)


@pytest.mark.soak
@pytest.mark.parametrize("n_workers", [1, 2])
def test_sixty_kills_lose_nothing(queued, tmp_path, n_workers):
    kill_and_resume(queued, tmp_path, rounds=60, n_workers=n_workers)


def test_sigterm_hands_the_job_back_unfinished(queued):
    worker = start_worker(queued)
    wait_until(lambda: len(queued.store.known(MEL)) > 0)
    end(worker, signal.SIGTERM)
    job = queued.jobs.latest("extract")
    n_done = len(queued.store.known(MEL))
    assert worker.returncode == 0
    assert (job.state == "queued" and n_done < N_QUEUED) or (job.state == "done" and n_done == N_QUEUED)


AMID_A_WAIT = """
import signal, threading
from mess_core.work.worker import stop_when_told
is_stopping = threading.Event()
stop_when_told(is_stopping)
with is_stopping._cond:  # as while it is waited for
    signal.raise_signal(signal.SIGTERM)
assert is_stopping.wait(10)
"""


def test_a_signal_that_comes_amid_a_wait_ends_it_all_the_same():
    with subprocess.Popen([sys.executable, "-c", AMID_A_WAIT], stdin=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_a_worker_whose_server_is_gone_ends_by_itself(home):
    worker = start_process(home)
    worker.stdin.close()
    assert worker.wait(60) == 0


def test_the_keeper_starts_another_worker_when_one_dies(home):
    keeper = WorkerKeeper(home)
    keeper.start()
    try:
        wait_until(lambda: keeper.process_id is not None)
        first = keeper.process_id
        subprocess.run(["kill", "-9", str(first)], check=True)
        wait_until(lambda: keeper.process_id not in (None, first))
    finally:
        keeper.stop()
    assert keeper.process_id is None


def test_an_urgent_job_goes_between_the_batches_of_a_long_one(queued, write_wav):
    """A query is answered while its library is still being embedded."""
    from mess_core.work.worker import work
    from mess_core.workspace.uploads import UploadWriter

    writer = UploadWriter(queued, "query.wav")
    writer.write(write_wav("query", 5.0, seed=99).read_bytes())
    query = writer.finish()
    is_stopping = threading.Event()
    thread = threading.Thread(target=work, args=(queued, is_stopping))
    thread.start()
    wait_until(lambda: len(queued.store.known(MEL)) > 0)
    job = submit(queued, EncodeRequest(query.track_id, MEL.id))
    wait_until(lambda: not queued.jobs.get(job.job_id).is_active)
    n_done_then = len(queued.store.known(MEL))
    wait_until(lambda: not queued.jobs.active())
    is_stopping.set()
    thread.join()
    assert queued.jobs.get(job.job_id).state == "done" and queued.store.has(query.track_id, MEL)
    assert n_done_then < N_QUEUED + 1
    assert len(queued.store.known(MEL)) == N_QUEUED + 1


def test_cancel_keeps_what_is_done(queued):
    worker = start_worker(queued)
    wait_until(lambda: len(queued.store.known(MEL)) > 0)
    job = queued.jobs.latest("extract")
    queued.jobs.cancel(job.job_id)
    wait_until(lambda: not queued.jobs.active())
    end(worker, signal.SIGTERM)
    assert queued.jobs.get(job.job_id).state in ("cancelled", "done")
    assert len(queued.store.known(MEL)) > 0 and check(queued) == []


def test_a_suspended_worker_that_comes_back_too_late_writes_nothing(queued, monkeypatch):
    """Its lease was taken over: the embedding it still holds is refused, the job goes on elsewhere."""
    late = new_owner()
    job = queued.jobs.claim(late)
    with queued.database.transaction() as connection:  # another worker took the job meanwhile
        connection.execute("UPDATE jobs SET owner = 'thief/1/x' WHERE job_id = ?", (job.job_id,))
    do(Task(queued, job, late))
    assert queued.store.known(MEL) == {}
    assert queued.jobs.get(job.job_id).state == "running"


def test_a_folder_is_registered_while_another_one_is_embedded(queued, write_wav):
    """Registration goes between batches: it does not wait for the end of what takes long."""
    job = queued.jobs.latest("extract")
    worker = start_worker(queued)
    try:
        wait_until(lambda: queued.jobs.get(job.job_id).state == "running")
        added = submit(queued, AddRequest(write_wav("late", 3.0, 99, folder="other").parent, "other"))
        wait_until(lambda: queued.jobs.get(added.job_id).state == "done")
        assert queued.catalogue.n_tracks("other") == 1
        wait_until(lambda: queued.jobs.get(job.job_id).state == "done")
        assert queued.jobs.get(added.job_id).finished_at < queued.jobs.get(job.job_id).finished_at
    finally:
        end(worker)
