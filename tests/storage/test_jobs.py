"""The queue: nothing acknowledged is lost, nothing is done twice, the late owner writes nothing."""

import multiprocessing
import os
import socket
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from mess_core.errors import LeaseLostError
from mess_core.storage import jobs as module
from mess_core.storage.jobs import MIN_SHARE_TO_TELL, PRIORITY_WAITED_FOR, Failure, Jobs, Pace, is_dead, new_owner
from mess_core.workspace.workspace import Workspace


@pytest.fixture
def jobs(home):
    return home.jobs


def dead_owner() -> str:
    """The name of a worker of this machine whose process is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{socket.gethostname()}/{process.pid}/gone"


def test_a_second_request_for_the_same_is_the_same_job(jobs):
    first = jobs.submit("extract", {"library": "a"})
    assert jobs.submit("extract", {"library": "a"}).job_id == first.job_id
    assert jobs.submit("extract", {"library": "b"}).job_id != first.job_id


def test_a_finished_job_may_be_asked_for_again(jobs):
    first = jobs.submit("extract", {})
    owner = new_owner()
    jobs.claim(owner)
    jobs.finish(first.job_id, owner, "done")
    assert jobs.submit("extract", {}).job_id != first.job_id


def test_claims_by_priority_then_age(jobs):
    old, young = jobs.submit("a", {}), jobs.submit("b", {})
    urgent = jobs.submit("c", {}, priority=PRIORITY_WAITED_FOR)
    claimed = [jobs.claim(new_owner()).job_id for _ in range(3)]
    assert claimed == [urgent.job_id, old.job_id, young.job_id]
    assert jobs.claim(new_owner()) is None


def test_a_live_owner_keeps_its_job_and_a_dead_one_loses_it_at_once(jobs):
    job = jobs.submit("a", {})
    jobs.claim(new_owner())
    assert jobs.claim(new_owner()) is None
    jobs.submit("b", {})
    jobs.claim(dead_owner(), job_id=None)
    assert jobs.claim(new_owner()).kind == "b"
    assert jobs.get(job.job_id).state == "running"


def test_a_silent_owner_elsewhere_loses_its_job_when_the_lease_ends(jobs, monkeypatch):
    jobs.submit("a", {})
    jobs.claim("another-machine/1/x")
    assert jobs.claim(new_owner()) is None
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + module.LEASE_S + 1)
    assert jobs.claim(new_owner()) is not None


def test_a_heartbeat_holds_the_job_for_another_lease(jobs, monkeypatch):
    job, now = jobs.submit("a", {}), time.time()
    monkeypatch.setattr(module.time, "time", lambda: now)
    jobs.claim("another-machine/1/x")
    monkeypatch.setattr(module.time, "time", lambda: now + 0.9 * module.LEASE_S)
    jobs.heartbeat(job.job_id, "another-machine/1/x")
    monkeypatch.setattr(module.time, "time", lambda: now + 1.8 * module.LEASE_S)
    assert jobs.claim(new_owner()) is None
    monkeypatch.setattr(module.time, "time", lambda: now + 2 * module.LEASE_S)
    assert jobs.claim(new_owner()).job_id == job.job_id


def test_the_old_owner_of_a_stolen_job_can_write_nothing(jobs, monkeypatch):
    """A worker that was suspended and comes back after its lease ended is refused at every write."""
    job = jobs.submit("a", {})
    late, thief = "another-machine/1/x", new_owner()
    jobs.claim(late)
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + module.LEASE_S + 1)
    jobs.claim(thief)
    for write in (
        lambda: jobs.heartbeat(job.job_id, late),
        lambda: jobs.progress(job.job_id, late, n_done=1),
        lambda: jobs.fail_item(job.job_id, late, Failure("x", "y", "")),
        lambda: jobs.finish(job.job_id, late, "done"),
        lambda: jobs.release(job.job_id, late),
    ):
        with pytest.raises(LeaseLostError, match="taken over"):
            write()
    assert not jobs.heartbeat(job.job_id, thief)
    assert jobs.failures(job.job_id) == []


def test_cancel_is_immediate_when_queued_and_asked_for_when_running(jobs):
    queued = jobs.submit("a", {})
    jobs.cancel(queued.job_id)
    assert jobs.get(queued.job_id).state == "cancelled"
    running, owner = jobs.submit("b", {}), new_owner()
    jobs.claim(owner)
    jobs.cancel(running.job_id)
    assert jobs.get(running.job_id).state == "running"
    assert jobs.heartbeat(running.job_id, owner)


def test_a_cancelled_job_of_a_dead_worker_is_not_taken_up_again(jobs):
    job = jobs.submit("a", {})
    jobs.claim(dead_owner())
    jobs.cancel(job.job_id)
    assert jobs.claim(new_owner()) is None
    assert jobs.get(job.job_id).state == "cancelled"


def test_a_released_job_is_queued_for_the_next_worker(jobs):
    job, owner = jobs.submit("a", {}), new_owner()
    jobs.claim(owner)
    jobs.release(job.job_id, owner)
    assert jobs.get(job.job_id).state == "queued"
    assert jobs.claim(new_owner()).job_id == job.job_id


def test_a_job_that_kills_every_worker_is_given_up(jobs):
    job = jobs.submit("a", {})
    for _ in range(module.MAX_ATTEMPTS):
        assert jobs.claim(dead_owner()) is not None
    assert jobs.claim(new_owner()) is None
    assert jobs.get(job.job_id).state == "failed"
    assert "died 3 times" in jobs.get(job.job_id).message


def test_progress_forgives_earlier_deaths(jobs):
    job = jobs.submit("a", {})
    for _ in range(5):
        owner = dead_owner()
        assert jobs.claim(owner) is not None
        jobs.progress(job.job_id, owner, n_done=1, n_total=9)
    assert jobs.claim(new_owner()) is not None


def test_jobs_that_share_a_resource_never_run_together(jobs):
    first = jobs.submit("extract", {"library": "a"}, resource="encoder")
    second = jobs.submit("extract", {"library": "b"}, resource="encoder")
    owner = new_owner()
    assert jobs.claim(owner).job_id == first.job_id
    assert jobs.claim(new_owner()) is None
    jobs.finish(first.job_id, owner, "done")
    assert jobs.claim(new_owner()).job_id == second.job_id


def _claim_all(root, n_claimed):
    home = Workspace(root)
    owner = new_owner()
    while (job := home.jobs.claim(owner)) is not None:
        home.jobs.finish(job.job_id, owner, "done")
        n_claimed.put(job.job_id)


@pytest.mark.slow
def test_two_processes_never_claim_the_same_job(home):
    """Forty jobs, two greedy processes: each job is done exactly once, none is locked out."""
    for number in range(40):
        home.jobs.submit("a", {"number": number})
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    processes = [context.Process(target=_claim_all, args=(home.paths.root, done)) for _ in range(2)]
    for process in processes:
        process.start()
    ids = sorted(done.get(timeout=60) for _ in range(40))
    for process in processes:
        process.join()
        process.close()
    done.close()
    done.join_thread()
    assert len(set(ids)) == 40


def test_this_process_is_not_dead():
    assert not is_dead(f"{socket.gethostname()}/{os.getpid()}/x")
    assert not is_dead("another-machine/1/x")
    assert is_dead(dead_owner())


def end(jobs: Jobs, job, state: str, message: str = "", failures: int = 0) -> None:
    """A job that is claimed, gets as far as 3 of 10, and ends."""
    assert jobs.claim("here/1/x", job_id=job.job_id) is not None
    jobs.progress(job.job_id, "here/1/x", n_done=3, n_total=10, message="3 of 10 tracks")
    for number in range(failures):
        jobs.fail_item(job.job_id, "here/1/x", Failure(f"file {number}", "It is gone.", ""))
    jobs.finish(job.job_id, "here/1/x", state, message)


def test_how_a_job_ended_stays_readable_until_it_is_dismissed_or_asked_again(home):
    jobs = home.jobs
    failed, cancelled, partly, fine, other = (
        jobs.submit(kind, {"n": n}) for n, kind in enumerate(["extract", "extract", "add", "add", "map"])
    )
    end(jobs, failed, "failed", "The disk is full.")
    end(jobs, cancelled, "cancelled")
    end(jobs, partly, "done", "2 of 3 files registered.", failures=1)
    end(jobs, fine, "done", "3 of 3 files registered.")
    end(jobs, other, "failed", "No.")
    told = jobs.outcomes(["extract", "add"])
    assert [job.job_id for job in told] == [fine.job_id, partly.job_id, cancelled.job_id, failed.job_id]
    assert told[2].message == "3 of 10 tracks"  # how far it was
    jobs.dismiss(failed.job_id)
    jobs.dismiss(fine.job_id)  # a registration that went well leads on until somebody has read it
    again = jobs.resume(cancelled.job_id)
    assert (again.kind, again.arguments, again.state) == ("extract", {"n": 1}, "queued")
    assert jobs.resume(cancelled.job_id).job_id == again.job_id
    assert [job.job_id for job in jobs.outcomes(["extract", "add"])] == [partly.job_id]
    jobs.dismiss(again.job_id)  # not ended: there is nothing to dismiss
    end(jobs, again, "cancelled")
    assert [job.job_id for job in jobs.outcomes(["extract"])] == [again.job_id]


def test_what_has_only_midi_is_told_although_nothing_failed(home):
    job = home.jobs.submit("add", {})
    end(home.jobs, job, "done", "0 of 2 files registered. 2 have only MIDI: --render plays them.")
    assert [told.job_id for told in home.jobs.outcomes(["add"])] == [job.job_id]


def test_what_was_done_well_is_news_until_somebody_has_looked(home):
    """Not what failed, left something out, was asked for once more, or is a day old; how long each took is known."""
    jobs = home.jobs
    fine, failed, partly, old, again, other = (
        jobs.submit(kind, {"n": n}) for n, kind in enumerate(["map", "map", "map", "probe", "probe", "extract"])
    )
    end(jobs, failed, "failed")
    end(jobs, partly, "done", failures=1)
    for job in (fine, old, again, other):
        end(jobs, job, "done")
    with home.database.transaction() as connection:
        connection.execute(
            "UPDATE jobs SET started_at = ?, finished_at = ? WHERE job_id = ?",
            (time.time() - 100_000, time.time() - 99_000, old.job_id),
        )
    jobs.resume(again.job_id)
    assert [job.job_id for job in jobs.news(["map", "probe"])] == [fine.job_id]
    assert [job.job_id for job in jobs.news(["map", "extract"])] == [other.job_id, fine.job_id]
    jobs.dismiss(fine.job_id)
    assert jobs.news(["map", "probe"]) == []
    assert jobs.took_s("probe", old.arguments) == pytest.approx(1000, abs=1)
    assert jobs.took_s("map", failed.arguments) is None and jobs.took_s("probe", {"n": 77}) is None


def test_progress_never_runs_backwards(home):
    """Whatever a job says: other totals, a second phase, a worker that begins again."""
    job = home.jobs.submit("extract", {})
    assert home.jobs.claim("here/1/x") is not None
    shares = []
    for done, total in [(0, 1), (98, 100), (1, 10), (0, 40), (39, 40), (99, 100), (0, 0), (5, 5)]:
        home.jobs.progress(job.job_id, "here/1/x", n_done=done, n_total=total)
        now = home.jobs.get(job.job_id)
        shares.append(now.n_done / now.n_total if now.n_total else shares[-1])
        assert now.n_done <= now.n_total or now.n_total == 0
    assert shares == sorted(shares) and shares[-1] == 1


# When a job that begins at 0 is how far, by what it is like; its whole length is known.
COURSES = {
    "steady": (600.0, lambda at_s: at_s / 600),
    "quick first": (660.0, lambda at_s: 0.5 * at_s / 60 if at_s < 60 else 0.5 + 0.5 * (at_s - 60) / 600),
    "slow first": (600.0, lambda at_s: 0.5 * at_s / 450 if at_s < 450 else 0.5 + 0.5 * (at_s - 450) / 150),
    "item by item": (600.0, lambda at_s: at_s // 20 / 30),
    "standing still": (900.0, lambda at_s: min(at_s, 300.0) / 600 if at_s < 600 else (at_s - 300) / 600),
}


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("every_s", [1.0, 7.0])
def test_the_time_left_follows_the_pace_and_never_runs_up_faster_than_time(course, every_s):
    """An end is put off by no more than the time that has passed; a few per cent are done before anything is said."""
    length_s, share_at = COURSES[course]
    pace, told = Pace(0.0), {}
    for step in range(1, int(length_s / every_s)):
        at_s = step * every_s
        left_s = pace.left_s(at_s, share_at(at_s))
        assert (left_s is None) == (share_at(at_s) < MIN_SHARE_TO_TELL or at_s < 2), at_s
        if left_s is not None:
            told[at_s] = left_s
    times = sorted(told)
    for before, after in pairwise(times):
        assert told[after] <= told[before] + (after - before) + 1e-9
    late = [at_s for at_s in times if 0.93 * length_s < at_s]
    assert all(told[at_s] == pytest.approx(length_s - at_s, abs=0.07 * length_s) for at_s in late)
    if course == "steady":
        assert all(told[at_s] == pytest.approx(length_s - at_s) for at_s in times)


def test_a_job_that_was_under_way_for_long_is_judged_by_what_is_seen_of_it():
    """A night of standing still, before anybody looked, is not counted for ever."""
    pace = Pace(0.0)
    for at_s in range(30_000, 30_100):
        left_s = pace.left_s(at_s, 0.5 + (at_s - 30_000) / 1000)
    assert left_s == pytest.approx(401, rel=0.01)
