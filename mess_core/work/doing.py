"""Doing a job: from the row that asks for it to how it ended. A worker and the command line do the same."""

from __future__ import annotations

import logging
import sys
import threading
import time
from contextlib import nullcontext, suppress
from types import TracebackType

from mess_core.errors import LeaseLostError, MessError
from mess_core.storage.jobs import Job, new_owner
from mess_core.storage.untrusted import harmless
from mess_core.work.kinds import asked, what_follows
from mess_core.work.request import Request, submit
from mess_core.work.task import Cancelled, Stopping, Task
from mess_core.workspace.workspace import Workspace

log = logging.getLogger(__name__)

WAIT_S = 0.3


def do(task: Task) -> Job:
    """Do a job to its end, whatever that is, and ask for what follows; returns its final row."""
    jobs, job = task.workspace.jobs, task.job
    with task.alive():
        try:
            request = asked(job)
            done = request.run(task)
            for each in what_follows(task.workspace, request, done):
                submit(task.workspace, each)
            jobs.finish(job.job_id, task.owner, "done", done.message)
        except Cancelled:
            jobs.finish(job.job_id, task.owner, "cancelled")
        except Stopping:
            jobs.release(job.job_id, task.owner)
        except KeyboardInterrupt:  # of whoever started it on the command line: no worker is to go on with it
            with suppress(LeaseLostError):
                jobs.finish(job.job_id, task.owner, "cancelled")
            raise
        except LeaseLostError:
            log.info("job %d was taken over by another worker", job.job_id)  # which says how it ends
        except MessError as error:
            jobs.finish(job.job_id, task.owner, "failed", error.message, error.hint)
        except Exception as error:
            log.exception("job %d (%s) failed", job.job_id, job.kind)
            message = f"A defect in MESS stopped this job: {type(error).__name__}: {error}."
            jobs.finish(job.job_id, task.owner, "failed", message, "Please report it; nothing that was done is lost.")
    return jobs.get(job.job_id)


def do_now(workspace: Workspace, request: Request, *, progress: bool = False) -> Job:
    """Ask for work and do it in this process; returns its final row.

    Parameters
    ----------
    progress : bool
        Show a line on standard error meanwhile.
    """
    return finish(workspace, submit(workspace, request), progress=progress)


def finish(workspace: Workspace, job: Job, *, progress: bool = False) -> Job:
    """Do a job here; if a live worker has it, or what it needs, wait for that one. A dead one's lease is taken."""
    owner, has_waited = new_owner(), False
    while workspace.jobs.get(job.job_id).is_active:
        claimed = workspace.jobs.claim(owner, job_id=job.job_id)
        if claimed is not None:
            with ProgressLine(workspace, job.job_id) if progress else nullcontext():
                do(Task(workspace, claimed, owner))
        else:
            if progress and not has_waited:
                print("Waiting: the app, or another command, works on this data folder…", file=sys.stderr)
            has_waited = True
            time.sleep(WAIT_S)
    return workspace.jobs.get(job.job_id)


class ProgressLine:
    """One line on standard error that follows a job."""

    def __init__(self, workspace: Workspace, job_id: int) -> None:
        self._workspace, self._job_id = workspace, job_id
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over.set()
        self._thread.join()
        self._show()
        print(file=sys.stderr)

    def _follow(self) -> None:
        while not self._is_over.wait(WAIT_S):
            self._show()
        self._workspace.database.close()  # the connection of this thread

    def _show(self) -> None:
        job = self._workspace.jobs.get(self._job_id)
        share = 1.0 if job.state == "done" else job.n_done / max(job.n_total, 1)
        print(f"\r{job.kind}: {share:4.0%}  {harmless(job.message)[:60]:<60}", end="", file=sys.stderr, flush=True)
