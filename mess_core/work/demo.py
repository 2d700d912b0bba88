"""Making the demo library: first what the examples need, so that they can be tried while the rest is made."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mess_core.catalogue.catalogue import NewTrack, Track
from mess_core.collections.opening import read_track
from mess_core.encoders.registry import DEFAULT
from mess_core.search.examples import TRY_FROM
from mess_core.words import counted
from mess_core.work.extract import embed_tracks, in_order_of_use
from mess_core.work.request import Done, Request
from mess_core.work.task import Cancelled, Task
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import DEMO, Workspace

if TYPE_CHECKING:
    from mess_core.collections.demo import DemoPlan, DemoTrack

N_STEPS = 3  # the first recordings, embedding them, the others
SHORTEST_S = 20.0


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

    def brief(self, workspace: Workspace) -> str:
        return "making the demo"

    def run(self, task: Task) -> Done:
        try:
            if self.encoder_id == DEFAULT:  # of another the weights may not be here; the demo is made without
                _make_what_can_be_tried(task, DEFAULT)
            return Done(f"{counted(_make(task), 'performance')} made.")
        except Cancelled:
            if task.workspace.database.setting("demo") == "removed":  # while it was made: what was in hand came after
                shutil.rmtree(task.workspace.paths.demo, ignore_errors=True)
            raise


def _make_what_can_be_tried(task: Task, encoder_id: str) -> None:
    """Make, register and embed the first recordings; what is made from now on is the last step."""
    from mess_core.collections.demo import plan_demo  # scipy's signal package: half a second that only this needs

    planned = [as_track(plan) for plan in plan_demo()]
    task.begin_step(0, N_STEPS)
    _make(task, stems=[track.track_id for track in in_order_of_use(planned, planned)[:TRY_FROM]])
    task.begin_step(1, N_STEPS)
    missing = scope_of(task.workspace, DEMO, encoder_id).missing_tracks
    embed_tracks(task, in_order_of_use(missing, missing), encoder_id)
    task.begin_step(2, N_STEPS)


def _make(task: Task, stems: Collection[str] | None = None) -> int:
    """Make and register recordings, all or some; returns how many there are of them."""
    from mess_core.collections.demo import make_demo

    def on_track(n_done: int, n_total: int, title: str) -> None:
        task.progress(n_done, n_total, title)

    workspace = task.workspace
    tracks = make_demo(workspace.paths.demo, only=stems, on_track=on_track)
    new_tracks = (_new_track(track) for track in tracks)
    workspace.add(workspace.paths.demo, new_tracks, DEMO, guard=task.guard_unless_cancelled)
    return len(tracks)


def as_track(plan: DemoPlan) -> Track:
    """What will be known of a recording before it is made; its stem stands for its id."""
    return Track(
        plan.stem, "", plan.title, SHORTEST_S, 24_000, 1, "FLAC",
        composer=plan.piece.composer, work=plan.piece.title, performer=plan.performer.name, instrument=plan.instrument,
    )  # fmt: skip


def _new_track(demo: DemoTrack) -> NewTrack:
    track = read_track(demo.audio, demo.title).track
    facts = {"work": demo.work, "composer": demo.composer, "performer": demo.performer, "instrument": demo.instrument}
    return NewTrack(
        Track(**{**vars(track), **facts}), demo.audio, {"midi": demo.midi, "score": demo.score}, demo.planted
    )
