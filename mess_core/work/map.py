"""Drawing a library's map, as each layer sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mess_core.encoders.registry import encoder_info
from mess_core.maps.drawing import make_map
from mess_core.maps.settings import MapSettings, check_settings
from mess_core.numbers import number
from mess_core.words import counted
from mess_core.work.request import Done, Request, encoder_words, library_words
from mess_core.work.task import Task
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import Workspace


@dataclass(frozen=True)
class MapRequest(Request):
    """Draw a map of all layers and of the aspects, or of one layer.

    always : of a library so large that only a sample is drawn, these tracks are
    with_stability : also draw each layer from another start, and measure what the two have in common
    """

    library: str
    encoder_id: str
    settings: MapSettings = field(default_factory=MapSettings)
    layer: int | None = None
    always: tuple[str, ...] = ()
    with_stability: bool = False

    kind: ClassVar[str] = "map"
    keys: ClassVar = {"encoder_id": "encoder"}

    def __post_init__(self) -> None:
        object.__setattr__(self, "always", tuple(sorted(set(self.always))))  # the same tracks, the same request

    @classmethod
    def _read(cls, entries: Mapping[str, Any]) -> dict[str, Any]:
        return {"settings": MapSettings(**entries.get("settings", {})), "always": tuple(entries.get("always", ()))}

    def begin(self, workspace: Workspace) -> None:
        check_settings(self.settings)

    def resource(self, workspace: Workspace) -> str:
        return f"map {encoder_info(self.encoder_id, workspace.paths).fingerprint}"

    def words(self, workspace: Workspace) -> str:
        twice = " twice, for its stability" if self.with_stability else ""
        by = encoder_words(workspace, self.encoder_id)
        return f"Drawing the map of {library_words(self.library)} with {by}{twice}"

    def brief(self, workspace: Workspace) -> str:
        return "map"

    def run(self, task: Task) -> Done:
        def on_progress(n_done: int, n_total: int, what: str) -> None:
            task.on_pause()
            task.progress(n_done, n_total, what)

        views = make_map(
            scope_of(task.workspace, self.library, self.encoder_id),
            self.settings,
            self.layer,
            self.always,
            with_stability=self.with_stability,
            on_progress=on_progress,
        )
        low, high = (pick(view.trust.trustworthiness for view in views) for pick in (min, max))
        drawn = f"{counted(len(views[0].track_ids), 'track')} drawn in {counted(len(views), 'view')}"
        return Done(f"{drawn}; trustworthiness {number(low)} to {number(high)}.")
