"""Running a study of recommenders from its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mess_core.encoders.registry import encoder_info
from mess_core.errors import InputError
from mess_core.recommend.fitting import Epoch
from mess_core.storage.jobs import Job
from mess_core.storage.untrusted import printable
from mess_core.study.kept import forget_study
from mess_core.study.plan import RowPlan, read_plan
from mess_core.study.run import run_study
from mess_core.words import counted
from mess_core.work.request import LONGEST_NAME, Done, Request
from mess_core.work.task import Task
from mess_core.workspace.workspace import Workspace


def study_of_job(job: Job | None) -> str:
    """The name of the study that a job runs; empty where there is none."""
    return "" if job is None else Path(str(job.arguments.get("file", ""))).stem


def at_work_on(workspace: Workspace, name: str | None = None) -> Job | None:
    """The job that runs a study, or waits to; of several the first. By default, of any study."""
    jobs = (job for job in workspace.jobs.active() if job.kind == StudyRequest.kind)
    return next((job for job in jobs if name in (None, study_of_job(job))), None)


def delete_study(workspace: Workspace, name: str) -> None:
    """Delete a study with all its rows.

    Raises
    ------
    InputError
        While it is run: whatever is run after that would belong to nothing.
    """
    if at_work_on(workspace, name) is not None:
        raise InputError(f"The study {name!r} is being run.", "Cancel that first; what is done is kept until then.")
    forget_study(workspace.paths, name)


@dataclass(frozen=True)
class StudyRequest(Request):
    """Run what of a plan is missing. file : the plan, TOML"""

    file: Path

    kind: ClassVar[str] = "study"
    items: ClassVar[str] = "row"
    is_milestone: ClassVar[bool] = False

    @classmethod
    def _read(cls, entries: Mapping[str, Any]) -> dict[str, Any]:
        return {"file": Path(str(entries["file"]))}

    def begin(self, workspace: Workspace) -> None:
        for encoder in read_plan(self.file).encoders:
            if not encoder.path:
                encoder_info(encoder.id, workspace.paths)

    def resource(self, workspace: Workspace) -> str:
        return f"study {self.file.stem}"

    def words(self, workspace: Workspace) -> str:
        return f"Running the study “{printable(self.file.stem)[:LONGEST_NAME]}”"

    def brief(self, workspace: Workspace) -> str:
        return "running a study"

    def run(self, task: Task) -> Done:
        plan = read_plan(self.file)
        n_rows = len(plan.rows)
        now = 0

        def on_row(n_done: int, n_total: int, what: str) -> None:
            nonlocal now
            now = n_done
            task.on_pause()
            task.progress(n_done, n_total, what)

        def on_epoch(row: RowPlan, epoch: Epoch) -> None:
            task.on_pause()
            task.progress(now, n_rows, f"{row.words}: pass {epoch.number} over the data")

        ran = run_study(plan, task.workspace, on_row, on_epoch)
        for title, error in ran.refused:
            task.fail_item(title, error)
        were = "was" if ran.n_there == 1 else "were"
        there = f"; {counted(ran.n_there, 'row')} {were} there" if ran.n_there else ""
        refused = f", {len(ran.refused)} of them refused" if ran.refused else ""
        return Done(f"{counted(ran.n_run, 'row')} run{refused}{there}.")
