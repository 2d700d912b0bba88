"""Measuring targets: of a library what is not measured, or of one track that somebody waits for."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

from mess_core.cluster.settings import ClusterSettings, require_allowed
from mess_core.errors import UnknownTrackError, of_item
from mess_core.parallel import work_through
from mess_core.storage.jobs import PRIORITY_WAITED_FOR, Job
from mess_core.storage.remote import parse_elsewhere
from mess_core.targets.cluster import measure_on_cluster
from mess_core.targets.measurements import Files, Measured, measure_track
from mess_core.words import counted
from mess_core.work.cluster import ClusterRequest
from mess_core.work.extract import removed_meanwhile
from mess_core.work.request import Done, Request, library_words, track_words
from mess_core.work.task import Task
from mess_core.workspace.workspace import Workspace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TargetsRequest(ClusterRequest):
    """Measure what is not measured in a library; where an encoder is named, its discovery follows."""

    library: str
    encoder_id: str | None = None

    kind: ClassVar[str] = "targets"
    is_milestone: ClassVar[bool] = False
    may_go_well_again: ClassVar[bool] = True
    keys: ClassVar = {"encoder_id": "then_probe"}

    def resource(self, workspace: Workspace) -> str:
        return "targets"

    def words(self, workspace: Workspace) -> str:
        return f"Measuring {library_words(self.library)}"

    def brief(self, workspace: Workspace) -> str:
        return "measuring"

    def run(self, task: Task) -> Done:
        task.workspace.catalogue.require_library(self.library)
        cluster = None
        if self.cluster:
            require_allowed(self.cluster)
            cluster = ClusterSettings(self.cluster, self.read_from, self.n_workers)
        return Done(measure_tracks(task, task.workspace.catalogue.track_ids(self.library), cluster))

    def is_left(self, workspace: Workspace, job: Job) -> bool:
        """Its row knows; asking the files takes a page too long."""
        return job.n_total == 0 or job.n_done < job.n_total


@dataclass(frozen=True)
class MeasureRequest(Request):
    """Measure one track that somebody waits for."""

    track_id: str

    kind: ClassVar[str] = "measure"
    priority: ClassVar[int] = PRIORITY_WAITED_FOR

    def words(self, workspace: Workspace) -> str:
        return f"Measuring {track_words(workspace, self.track_id)}"

    def brief(self, workspace: Workspace) -> str:
        return "measuring your recording"

    def run(self, task: Task) -> Done:
        return Done(measure_tracks(task, [self.track_id]))


def measure_tracks(task: Task, track_ids: Sequence[str], cluster: ClusterSettings | None = None) -> str:
    """Measure tracks in several processes, or on a cluster; a failure is named and passed over."""
    workspace = task.workspace
    elsewhere = parse_elsewhere(cluster.read_from) if cluster else None
    todo = workspace.measurements.missing(track_ids, elsewhere.folder if elsewhere else None)
    if not todo:
        return "Nothing to do: every track is measured."
    n_done = n_failed = n_gone = 0
    task.progress(0, len(todo), "starting")

    def measured() -> Generator[tuple[Files, Measured | Exception] | None, None, None]:
        return work_through(measure_track, todo) if cluster is None else measure_on_cluster(todo, cluster)

    with closing(measured()) as outcomes:
        for outcome in outcomes:
            if outcome is None:  # of a cluster, where nothing has come for a while
                task.on_pause()
                task.check()
                continue
            files, found = outcome
            n_done += 1
            if not workspace.catalogue.has(files.track_id):
                n_gone += 1
            elif isinstance(found, Exception):  # whatever is in one file, the others are measured
                log.info("measuring %s failed", files.track_id, exc_info=found)
                n_failed += 1
                task.fail_item(workspace.catalogue.track(files.track_id).title, of_item(found))
            else:
                try:
                    workspace.measurements.write(files, found, task.guard)
                except UnknownTrackError:  # in this very moment
                    n_gone += 1
            task.on_pause()
            task.progress(n_done, len(todo), f"{n_done} of {counted(len(todo), 'track')} measured")
    return f"{len(todo) - n_failed - n_gone} of {counted(len(todo), 'track')} measured.{removed_meanwhile(n_gone)}"
