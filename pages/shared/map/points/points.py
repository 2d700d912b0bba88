"""The large map: every recording a point, drawn by the browser's own WebGL, by a plain canvas where it has none.

The browser half are the scripts beside this, joined by `map.js`. What takes megabytes it fetches once (`packs.py`);
what comes with the page is small. Rows are places in the view's order, on both sides.

No library of others draws here: those for scatter plots write and run code of their own (`Function`), which the
server's policy forbids, and then show nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from mess_core.maps.drawing import PathPoint
from pages.shared.map.points.modules import MODULES

_HERE = Path(__file__).parent
_component = st.components.v2.component(  # its texts are our own: names and titles travel as data, never in here
    "mess_map",
    html=(_HERE / "points.html").read_text("utf-8"),
    css=(_HERE / "points.css").read_text("utf-8"),
    js=MODULES.script,
)


@dataclass(frozen=True)
class Colouring:
    """What colours mean. title : of names or numbers; shades : of names that have one; other : of the rest and of what
    is not known; plain : where there is nothing to colour by
    """

    title: str
    shades: Mapping[str, str]
    other: str
    plain: str


@dataclass(frozen=True)
class Label:
    """A name on the map; of two that would cover each other the first one is shown."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class PointMap:
    """What is drawn.

    places, colours, marks, titles : addresses of packs
    n : points
    label : what the map shows, for who cannot see it
    name : of a picture's file
    star, row : the query's row, and the one that is chosen in a table; -1 for none
    near : rows of the star's true neighbours, and whether the map shows them beside it
    path, path_of : where the segments of a track lie
    labels : names on the map, the most important first
    has_density : whether a cloud shows where points crowd
    hears : whether a point that the pointer rests on is heard
    player_ids : the tracks of the player beside the map, in its order
    """

    places: str
    colours: str
    marks: str
    titles: str
    n: int
    colouring: Colouring
    label: str
    name: str
    star: int = -1
    row: int = -1
    near: Sequence[tuple[int, bool]] = ()
    path: Sequence[PathPoint] = ()
    path_of: str | None = None
    labels: Sequence[Label] = field(default_factory=tuple)
    has_density: bool = False
    hears: bool = True
    player_ids: Sequence[str] = ()


def show_points(shown: PointMap, *, key: str, on_pick: Callable[[list[int]], None]) -> None:
    """Draw it as high as what is around it.

    Parameters
    ----------
    key : str
        Stable from run to run: the map that is shown goes on, with what is seen of it.
    on_pick : callable
        Called with the rows that were clicked or drawn around, none if the choice was taken back, before the rerun
        that this causes.
    """
    lost = f"{key} was lost"  # how often: a browser is told nothing that it was told before

    def hold_again() -> None:
        st.session_state[lost] = st.session_state.get(lost, 0) + 1

    _component(
        key=key,
        data=asdict(shown) | {"lost": st.session_state.get(lost, 0)},
        height="stretch",
        on_pick_change=lambda: _tell_picked(st.session_state[key].pick, shown, on_pick),
        on_lost_change=hold_again,
    )


def _tell_picked(raw: Any, shown: PointMap, on_pick: Callable[[list[int]], None]) -> None:
    """Pass on rows of this map; a browser can send anything, and what was chosen on another map is none of it."""
    if not isinstance(raw, Mapping) or raw.get("titles") != shown.titles or not isinstance(raw.get("rows"), list):
        return
    rows = [row for row in raw["rows"] if isinstance(row, int) and not isinstance(row, bool) and 0 <= row < shown.n]
    if len(rows) == len(raw["rows"]):
        on_pick(list(dict.fromkeys(rows)))
