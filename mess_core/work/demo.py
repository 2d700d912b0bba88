"""Making the demo library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mess_core.catalogue.catalogue import NewTrack, Track
from mess_core.collections.opening import read_track
from mess_core.words import counted
from mess_core.work.request import Done, Request
from mess_core.work.task import Task
from mess_core.workspace.workspace import DEMO, Workspace

if TYPE_CHECKING:
    from mess_core.collections.demo import DemoTrack


@dataclass(frozen=True)
class DemoRequest(Request):
    """Make the demo library and register it; where an encoder is named, that goes on with it."""

    encoder_id: str | None = None

    kind: ClassVar[str] = "demo"
    may_go_well_again: ClassVar[bool] = True
    keys: ClassVar = {"encoder_id": "then_extract"}

    def begin(self, workspace: Workspace) -> None:
        workspace.database.set_setting("demo", "wanted")

    def resource(self, workspace: Workspace) -> str:
        return "demo"

    def words(self, workspace: Workspace) -> str:
        return "Making the demo library"

    def run(self, task: Task) -> Done:
        from mess_core.collections.demo import make_demo  # scipy's signal package: half a second that only this needs

        def on_track(n_done: int, n_total: int, title: str) -> None:
            task.progress(n_done, n_total, title)

        workspace = task.workspace
        tracks = make_demo(workspace.paths.demo, on_track=on_track)
        new_tracks = (_new_track(track) for track in tracks)
        workspace.add(workspace.paths.demo, new_tracks, DEMO, guard=task.guard_unless_cancelled)
        return Done(f"{counted(len(tracks), 'performance')} made.")


def _new_track(demo: DemoTrack) -> NewTrack:
    track = read_track(demo.audio, demo.title).track
    facts = {"work": demo.work, "composer": demo.composer, "performer": demo.performer, "instrument": demo.instrument}
    return NewTrack(
        Track(**{**vars(track), **facts}), demo.audio, {"midi": demo.midi, "score": demo.score}, demo.planted
    )
