"""Doing a job: from the row that asks for it to how it ended. A worker and the command line do the same."""

from __future__ import annotations

import logging

from mess_core.errors import LeaseLostError, MessError
from mess_core.storage.jobs import Job
from mess_core.work.kinds import asked, what_follows
from mess_core.work.request import submit
from mess_core.work.task import Cancelled, Stopping, Task

log = logging.getLogger(__name__)


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
        except LeaseLostError:
            log.info("job %d was taken over by another worker", job.job_id)  # which says how it ends
        except MessError as error:
            jobs.finish(job.job_id, task.owner, "failed", error.message, error.hint)
        except Exception as error:
            log.exception("job %d (%s) failed", job.job_id, job.kind)
            message = f"A defect in MESS stopped this job: {type(error).__name__}: {error}."
            jobs.finish(job.job_id, task.owner, "failed", message, "Please report it; nothing that was done is lost.")
    return jobs.get(job.job_id)
