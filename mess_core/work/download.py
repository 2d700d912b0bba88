"""Downloading an encoder's weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mess_core.encoders.registry import encoder_info
from mess_core.encoders.weights import download
from mess_core.work.request import Done, Request, encoder_words
from mess_core.work.task import Task
from mess_core.workspace.workspace import Workspace


@dataclass(frozen=True)
class DownloadRequest(Request):
    """Download an encoder's weights; the consent was given before."""

    encoder_id: str

    kind: ClassVar[str] = "download"
    may_go_well_again: ClassVar[bool] = True
    keys: ClassVar = {"encoder_id": "encoder"}

    def resource(self, workspace: Workspace) -> str:
        return f"download {self.encoder_id}"

    def words(self, workspace: Workspace) -> str:
        return f"Downloading the weights of {encoder_words(workspace, self.encoder_id)}"

    def brief(self, workspace: Workspace) -> str:
        return f"downloading {encoder_words(workspace, self.encoder_id)}"

    def run(self, task: Task) -> Done:
        def on_progress(n_done: int, n_total: int) -> None:
            task.progress(n_done, n_total, f"{n_done / 1e6:.0f} of {n_total / 1e6:.0f} MB")

        info, paths = encoder_info(self.encoder_id, task.workspace.paths), task.workspace.paths
        state = download(info, paths, on_progress=on_progress, should_stop=task.is_stopping.is_set)
        task.check()  # stopped half-way: it goes on from there next time
        return Done(state.message)
