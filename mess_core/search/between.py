"""Between: what was measured of the recordings of a library, for questions that let in some values only.

Used are values that may be used at all: by today's formulas, and of timing only with a score. A recording without one
is not let in: nobody knows where it stands.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from mess_core.probing.discovery import NEED_A_SCORE
from mess_core.search.selection import Facts
from mess_core.targets.registry import FEATURES, TARGETS
from mess_core.workspace.workspace import Workspace

LOOKED_AT = 20  # recordings: they are measured alike


@dataclass(frozen=True)
class Extent:
    """Of a target in a library. low, high : in its unit; n_known : recordings of which it is known"""

    target: str
    low: float
    high: float
    n_known: int


def with_values(workspace: Workspace, facts: Mapping[str, Facts], targets: Collection[str]) -> dict[str, Facts]:
    """Facts of tracks by id, with what was measured of them."""
    known = {target: _known(workspace, target) for target in targets}
    return {
        track_id: replace(one, values={target: values.get(track_id, math.nan) for target, values in known.items()})
        for track_id, one in facts.items()
    }


def commonly_known(workspace: Workspace, library: str) -> list[str]:
    """Targets that the first recordings of a library have values of, features first: what there is to go by."""

    def read() -> set[str]:
        some = workspace.catalogue.first_ids(library, LOOKED_AT)
        measured = (item for track_id in some for item in workspace.measurements.of_track(track_id).items())
        return {target for target, value in measured if not math.isnan(value.value)}

    key, tables = ("commonly known", library), ("library_tracks", "targets")
    known: set[str] = workspace.database.remembered(key, read, tables)
    return [target for target in (*FEATURES, *(id for id in TARGETS if id not in FEATURES)) if target in known]


def extent_of(workspace: Workspace, library: str, target: str) -> Extent | None:
    """From where to where a target goes in a library; None where it is known of no recording."""

    def read() -> Extent | None:
        here = set(workspace.catalogue.track_ids(library))
        values = [value for track_id, value in _known(workspace, target).items() if track_id in here]
        return Extent(target, min(values), max(values), len(values)) if values else None

    of = (workspace.catalogue.content(library), workspace.measurements.stamp())
    extent: Extent | None = workspace.database.remembered.made_of(("extent", library, target), of, read)
    return extent


def _known(workspace: Workspace, target: str) -> dict[str, float]:
    """Of every track of which a usable value is known."""

    def read() -> dict[str, float]:
        is_strict = target in NEED_A_SCORE
        values = workspace.measurements.by_track(target, good_only=is_strict, current_only=True)
        return {track_id: value for track_id, value in values.items() if value is not None}

    stamp = workspace.measurements.stamp()
    known: dict[str, float] = workspace.database.remembered.made_of(("values of tracks", target), stamp, read)
    return known
