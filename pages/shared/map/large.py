"""The large map of 3_Map: how it is looked at, what is drawn on it, and what a click chooses."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from mess_core.maps.drawing import MapView
from mess_core.maps.names import Region
from mess_core.maps.packed import densest, pack_marks, pack_names, pack_numbers
from mess_core.numbers import number
from mess_core.words import counted
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, state
from pages.shared.map import figures, views
from pages.shared.map.chosen import SOUNDS, Beside, show_chosen
from pages.shared.map.figures import Colour
from pages.shared.map.marked import Marked, marked, say
from pages.shared.map.packs import address_of
from pages.shared.map.points.points import Colouring, Label, PointMap, show_points
from pages.shared.widgets import charts
from pages.shared.widgets.pickers import tracks_to_choose

PICKED = "picked on the map"


# The map is as high as the window below the title, and nothing in it has a scroll bar of its own.
STYLE = """<style>
[data-testid="stLayoutWrapper"]:has(> .st-key-map-window), .st-key-map-window {
  height: max(20rem, calc(100dvh - 9rem)) !important; flex: none !important; overflow: hidden;
}
@media (min-width: 48rem) { /* what is chosen in the long column beside it is seen on it */
  [data-testid="stColumn"]:has(.st-key-map-window) > [data-testid="stVerticalBlock"] {
    position: sticky; top: 1.5rem; height: auto;
  }
}
@media (min-width: 48rem) { [data-testid="stMainBlockContainer"] { padding-inline: 1.5rem; } }
@media (max-width: 48rem) { /* a finger on the map moves the map: there must be some page left to push */
  [data-testid="stLayoutWrapper"]:has(> .st-key-map-window), .st-key-map-window { height: 65dvh !important; }
}
</style>"""


@dataclass(frozen=True)
class Looks:
    """How the map is looked at. wanted : the track that is looked for"""

    wanted: str | None
    is_pca: bool
    has_regions: bool
    has_names: bool


@st.fragment
def explore(view: MapView, scope: Scope, colour: Colour) -> None:
    """The large map, beside it what was clicked or drawn around; a click runs nothing else of the page."""
    st.html(STYLE)
    map_place, side = st.columns([3, 1], gap="medium")
    tracks = views.tracks_of(view)
    picked = _picked(tracks)
    with frame.explain_errors():  # a click runs this alone, without what explains those of the page
        with side:
            looks = _choose_looks(view, scope, colour)
            beside = show_chosen(view, [tracks[track_id] for track_id in picked])
        with map_place:
            show_map(view, scope, colour, picked, looks, marked(view, beside.row), beside)


def _choose_looks(view: MapView, scope: Scope, colour: Colour) -> Looks:
    wanted = _find(view, scope)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        is_pca = st.toggle("PCA instead", key="pca", help="The two directions of most variance: duller, but linear.")
        has_regions = st.toggle(
            "Regions", key="regions", disabled=is_pca,
            help="Where recordings crowd on UMAP's map, and what they have in common: “flute (5 of 10)” where five of "
            "the ten there are of a flute.",
        )  # fmt: skip
        has_names = st.toggle(
            "Names", key="names on the map", disabled=colour.names is None,
            help="What a colour stands for, written where most of its recordings are.",
        )  # fmt: skip
    return Looks(wanted, is_pca, has_regions and not is_pca, has_names and colour.names is not None)


def _find(view: MapView, scope: Scope) -> str | None:
    """The track that is looked for."""
    tracks = views.tracks_of(view)
    offered = tracks_to_choose(scope.library, tracks, key="words to find")
    if not offered:
        return None
    labels = scope.workspace.catalogue.labels(scope.library)
    wanted = st.selectbox(
        "Find" if len(offered) == len(tracks) else "Which one", offered, index=None, key="find",
        placeholder="title, performer, instrument", format_func=lambda each: labels.get(each, each),
    )  # fmt: skip
    return state.offered(wanted, offered, None)


def show_map(
    view: MapView, scope: Scope, colour: Colour, picked: Sequence[str], looks: Looks, marks: Marked, beside: Beside
) -> None:
    """The large map, and in words what is marked on it."""
    row_of = {track_id: row for row, track_id in enumerate(view.track_ids)}
    is_pca = looks.is_pca
    star = looks.wanted or (picked[0] if len(picked) == 1 else state.query())
    star = star if star in row_of else None
    near = [] if star is None else [(each.track_id, each.is_near_on_map) for each in view.nearest(star)]
    path = () if is_pca else views.segments_of(view, scope, star)
    if colour.names is not None:
        colours = pack_names(colour.names)
    else:
        colours = pack_numbers(colour.numbers or [None] * len(row_of))
    shown = PointMap(
        places=views.places_address(view, scope, is_pca=is_pca),
        colours=address_of(colours),
        marks=address_of(pack_marks(view.track_ids, marks.let_in, marks.found, picked)),
        titles=views.titles_address(view, scope),
        n=len(row_of),
        colouring=Colouring(colour.title, figures.shades(colour), figures.OTHER.now, charts.PALETTE[0]),
        label=f"Map of {counted(len(row_of), 'recording')}, {view.name}. Arrow keys go from point to point, Enter "
        "chooses one, plus and minus zoom, 0 shows the whole map, Escape chooses none.",
        name=f"map-{view.name.replace(' ', '-')}",
        star=row_of.get(star or "", -1),
        row=row_of.get(marks.chosen or "", -1),
        near=[] if is_pca else [(row_of[each], is_shown) for each, is_shown in near],
        path=path,
        path_of=star,
        labels=_labels(view, scope, colour, looks),
        has_density=looks.has_regions,
        hears=bool(state.read("map_hover")),
        player_ids=beside.heard,
    )
    with st.container(key="map-window"):
        show_points(shown, key="map", on_pick=partial(_pick, view.track_ids))
    say(marks, view.track_ids)
    if is_pca:
        st.caption(
            f"This is PCA's picture: trustworthiness {number(view.pca_trust.trustworthiness)}, continuity "
            f"{number(view.pca_trust.continuity)}. The words and the small maps below are of UMAP's."
        )
    if star is not None:
        n_shown = sum(is_shown for _, is_shown in near)
        what = (
            "what you looked for" if looks.wanted else "the query of Listen" if star == state.query() else "your choice"
        )
        st.caption(
            f"The star is {what}; lines lead to its {len(near)} true nearest, dotted where the map hides them "
            f"({len(near) - n_shown}). The red line leads through its segments, which light up while they play."
        )


def _labels(view: MapView, scope: Scope, colour: Colour, looks: Looks) -> list[Label]:
    """What is written on the map, the largest first: what regions have in common, and what colours stand for."""
    written: list[tuple[str, Sequence[int]]] = []
    if looks.has_regions:
        regions: Sequence[Region] = views.names(view, scope).regions
        written += [(each.sentence.partition(": ")[2], each.rows) for each in regions if each.sentence]
    if looks.has_names:
        of_name: dict[str, list[int]] = {name: [] for name in figures.shades(colour)}
        for row, name in enumerate(colour.names or ()):
            if name in of_name:
                of_name[name].append(row)
        written += sorted(of_name.items(), key=lambda each: -len(each[1]))
    return [Label(*densest(view, rows, is_pca=looks.is_pca), text) for text, rows in written]


def _picked(tracks: Collection[str]) -> list[str]:
    """What is chosen: the one that the link names, or those that were drawn around, too many for a link."""
    if clicked := state.read("point"):
        if clicked in tracks:
            return [clicked]
        state.cannot("point", clicked, "which is not on this map")
        return []
    return [track_id for track_id in st.session_state.get(PICKED, []) if track_id in tracks]


def _pick(track_ids: Sequence[str], rows: Sequence[int]) -> None:
    """What was clicked or drawn around. Only the map runs again, so it is written into the URL here."""
    st.session_state[PICKED] = [track_ids[row] for row in rows] if len(rows) > 1 else []
    state.keep("point", track_ids[rows[0]] if len(rows) == 1 else "")
    state.write()
    if len(rows) == 1:
        st.session_state[SOUNDS] = f"{track_ids[rows[0]]} {time.monotonic_ns()}"
