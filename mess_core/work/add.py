"""Registering what lies in a folder: a collection, or audio files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mess_core.catalogue.catalogue import check_library_name
from mess_core.collections.manifest import check_meant
from mess_core.collections.published import AUTO
from mess_core.storage.jobs import ONLY_MIDI, PRIORITY_SOON, Job
from mess_core.work.request import Done, Request, library_words, short
from mess_core.work.task import Task
from mess_core.workspace.scan import n_registered, scan
from mess_core.workspace.workspace import Workspace, check_path


@dataclass(frozen=True)
class AddRequest(Request):
    """Register a folder or file; where an encoder is named, that goes on with it.

    renders : what has only MIDI is played
    columns : pairs of a column of the user's own table and what it holds, where it is not called so
    """

    path: Path
    library: str
    encoder_id: str | None = None
    collection: str = AUTO
    renders: bool = False
    columns: tuple[tuple[str, str], ...] = ()

    kind: ClassVar[str] = "add"
    priority: ClassVar[int] = PRIORITY_SOON  # before all that takes long
    keys: ClassVar = {"encoder_id": "then_extract"}

    @classmethod
    def _read(cls, entries: Mapping[str, Any]) -> dict[str, Any]:
        columns = tuple((str(column), str(role)) for column, role in entries.get("columns", ()))
        return {"path": Path(entries["path"]), "columns": columns}

    @property
    def arguments(self) -> dict[str, Any]:
        """Without columns, where nothing is said of them."""
        return {name: value for name, value in super().arguments.items() if value or name != "columns"}

    def begin(self, workspace: Workspace) -> None:
        check_library_name(self.library)
        check_path(self.path)
        check_meant(dict(self.columns))

    def resource(self, workspace: Workspace) -> str:
        return f"add {self.library}"

    def words(self, workspace: Workspace) -> str:
        return f"Registering {short(self.path)} in {library_words(self.library)}"

    def brief(self, workspace: Workspace) -> str:
        return f"adding {short(self.path.name)}"

    def run(self, task: Task) -> Done:
        def on_progress(n_done: int, n_total: int, name: str) -> None:
            task.on_pause()
            task.progress(n_done, n_total, name)

        scanned = scan(
            task.workspace,
            self.path,
            self.library,
            self.collection,
            renders=self.renders,
            columns=dict(self.columns),
            on_progress=on_progress,
            on_refused=task.fail_item,
            guard=task.guard_unless_cancelled,
        )
        return Done(scanned.summary, leads_on=scanned.n_new + scanned.n_known > 0)

    @staticmethod
    def n_added(job: Job) -> int:
        """How many recordings a job of this kind has registered, by its message: all that is kept of it."""
        return n_registered(job.message) if job.kind == AddRequest.kind and job.state == "done" else 0

    def has_silent(self, job: Job) -> bool:
        """Whether it passed over recordings that have only MIDI, which could be played."""
        return ONLY_MIDI in job.message and not self.renders
