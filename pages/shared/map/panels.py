"""The panels of 3_Map: the map, what of it is true, what its places stand for, and what one may do from there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.glossary import define
from mess_core.handover.exports import map_as_csv, tracks_as_csv, tracks_as_m3u8
from mess_core.maps.drawing import MapView, segment_path
from mess_core.maps.settings import MapSettings
from mess_core.search.tagged import words_of
from mess_core.storage.jobs import Job
from mess_core.words import counted
from mess_core.work.map import MapRequest
from mess_core.work.request import submit, under_way
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, jobs, resources, state
from pages.shared.map import figures, views
from pages.shared.map.figures import Colour
from pages.shared.map.follow import follow, hear_in_passing, ring_what_is_pointed_at
from pages.shared.map.marked import Marked, marked, say
from pages.shared.widgets import charts
from pages.shared.widgets.pickers import offer_as_library
from pages.shared.widgets.player.player import PlayerTrack, keep_heard, player

ASPECTS = "aspects"
MAX_IN_PLAYER = 8
PICKED = "picked on the map"
SOUNDS = "sounds on the map"  # a click that is to be heard, until it was


def choose_settings() -> MapSettings:
    """How it is drawn; the defaults are sane. In the URL."""
    with st.expander("How it is drawn", icon=":material/tune:"):
        n_neighbours = state.sticky(
            st.slider, "Neighbours", 5, 50, key="map_neighbours",
            help="Few show detail, many show the whole: how many neighbours each recording is to stay near.",
        )  # fmt: skip
        min_dist = state.sticky(
            st.slider, "Least distance", 0.0, 0.9, step=0.1, key="map_distance",
            help="How close neighbours may lie.",
        )  # fmt: skip
        metric = state.sticky(
            st.segmented_control, "Metric", options=["cosine", "euclidean"], required=True, key="map_metric",
        )  # fmt: skip
        is_centred = state.sticky(
            st.toggle, "Without the common part", key="map_centred", help="As search does it.",
        )  # fmt: skip
        state.sticky(
            st.toggle, "Hear a point under the pointer", key="map_hover",
            help="Some seconds from its middle, once the pointer has rested on it for a second.",
        )  # fmt: skip
    return MapSettings(n_neighbours, round(float(min_dist), 1), metric, is_centred)


def offer_to_draw(scope: Scope, settings: MapSettings) -> None:
    """Nothing is drawn with these settings yet."""
    n_embedded = scope.n_embedded
    frame.notice(
        "No map yet",
        "It shows the library as each layer of the encoder sees it. The first map takes half a minute or more."
        if n_embedded >= 5
        else f"A map needs five embedded recordings; this library has {n_embedded}.",
        "" if n_embedded >= 5 else "Embed some on the Library page.",
    )
    job = _asked(scope, settings)
    if jobs.work_button("Draw the map", job, type="primary", disabled=n_embedded < 5):
        _draw(scope, settings)


def _asked(scope: Scope, settings: MapSettings, **others: bool) -> Job | None:
    """The job that draws this map."""
    chosen = {"library": scope.library, "encoder_id": scope.info.id, "settings": settings, "layer": None}
    return under_way(scope.workspace, MapRequest, **chosen, **others)


def _draw(scope: Scope, settings: MapSettings, *, with_stability: bool = False) -> None:
    query = state.query()
    always = [query] if query else []
    submit(
        scope.workspace,
        MapRequest(scope.library, scope.info.id, settings, always=always, with_stability=with_stability),
    )
    st.rerun()


def choose_layer(layers: list[int | None], main: int) -> int | None:
    """One layer, or the aspects; in the URL."""
    names = [ASPECTS if layer is None else str(layer) for layer in layers]
    first = str(main) if main in layers else names[len(names) // 2]
    if len(names) == 1:
        state.choose("layer", "")
        return layers[0]
    chosen = state.sticky(st.select_slider, "Layer", options=names, key="layer", default=first, help=define("layer"))
    return None if chosen == ASPECTS else int(chosen)


# The map is as high as the window below the title, and nothing in it has a scroll bar of its own.
STYLE = """<style>
[data-testid="stLayoutWrapper"]:has(> .st-key-map-window), .st-key-map-window {
  height: max(20rem, calc(100dvh - 9rem)) !important; flex: none !important; overflow: hidden;
}
@media (max-width: 48rem) { /* a finger on the map moves the map: there must be some page left to push */
  [data-testid="stLayoutWrapper"]:has(> .st-key-map-window), .st-key-map-window { height: 65dvh !important; }
}
/* Where points move to their places, Plotly leaves the window they are seen through as large as it was before. */
.st-key-map clipPath:is([id$="xyplot"], [id$="x"], [id$="y"]) rect { height: 100%; width: 100%; }
</style>"""


@dataclass(frozen=True)
class Looks:
    """How the map is looked at. wanted : the track that is looked for"""

    wanted: str | None
    is_pca: bool
    is_named: bool
    image_format: str


@st.fragment
def explore(view: MapView, scope: Scope, colour: Colour) -> None:
    """The large map, beside it what was clicked or lassoed on it; a click runs nothing else of the page.

    What was clicked is said first: it sounds while the map of ten thousand points is still on its way.
    """
    st.html(STYLE)
    map_place, side = st.columns([7, 3], gap="medium")
    shown = set(view.track_ids)
    picked = [track_id for track_id in st.session_state.get(PICKED, []) if track_id in shown]
    with side:
        looks = _choose_looks(view, scope)
        chosen = show_chosen(view, [resources.workspace().catalogue.track(track_id) for track_id in picked])
    with map_place:
        show_map(view, scope, colour, picked, looks, marked(view, chosen))


def _choose_looks(view: MapView, scope: Scope) -> Looks:
    tracks = {track.track_id for track in views.tracks_of(view)}
    labels = scope.workspace.catalogue.labels(scope.library)
    wanted = st.selectbox(
        "Find", [track_id for track_id in view.track_ids if track_id in tracks], index=None, key="find",
        placeholder="title, performer, instrument", format_func=lambda each: labels.get(each, each),
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        is_pca = st.toggle("PCA instead", key="pca", help="The two directions of most variance: duller, but linear.")
        is_named = st.toggle(
            "Regions", key="regions", disabled=is_pca,
            help="Where recordings crowd on UMAP's map, and what they have in common.",
        )  # fmt: skip
        image_format = st.segmented_control(
            "Camera saves", ["SVG", "PNG"], required=True, key="map-camera", default="SVG",
            label_visibility="collapsed", help="What the camera above the map saves.",
        )  # fmt: skip
    return Looks(state.offered(wanted, tracks, None), is_pca, is_named, str(image_format))


def show_map(view: MapView, scope: Scope, colour: Colour, picked: Sequence[str], looks: Looks, marks: Marked) -> None:
    """The large map, and in words what is marked on it."""
    tracks = {track.track_id: track for track in views.tracks_of(view)}
    is_pca = looks.is_pca
    regions = views.names(view, scope).regions if looks.is_named and not is_pca else ()
    marked_most = looks.wanted or (picked[0] if len(picked) == 1 else state.query())
    near = [(each.track_id, each.is_near_on_map) for each in view.nearest(marked_most)] if marked_most in tracks else []
    path = [] if is_pca else _path(view, scope, marked_most if marked_most in tracks else None)
    with st.container(key="map-window", height=600, border=False):
        st.plotly_chart(
            figures.scatter(
                view, {track_id: track.title for track_id, track in tracks.items()}, colour,
                is_pca=is_pca, query=marked_most, near=near, path=path, marks=marks,
                regions=regions, has_webgl=len(view.track_ids) <= figures.MOST_SVG or _has_webgl(),
            ),
            key="map", on_select=_pick, selection_mode=("points", "lasso", "box"), height="stretch",
            config={**charts.camera(looks.image_format.lower(), f"map-{view.name}"), "scrollZoom": True},
            alt=f"Map of the library, {view.name}",
        )  # fmt: skip
    say(marks, view.track_ids)
    if is_pca:
        st.caption(
            f"This is PCA's picture: trustworthiness {view.pca_trust.trustworthiness:.2f}, continuity "
            f"{view.pca_trust.continuity:.2f}. The words and the small maps below are of UMAP's."
        )
    if marked_most in tracks:
        n_shown = sum(is_shown for _, is_shown in near)
        is_query = marked_most == state.query()
        what = "what you looked for" if looks.wanted else "the query of Listen" if is_query else "your choice"
        st.caption(
            f"The star is {what}; lines lead to its {len(near)} true nearest, dotted where the map hides them "
            f"({len(near) - n_shown}). The red line leads through its segments, which light up while they play."
        )
    if path:
        follow(marked_most, [point.start_s for point in path])
    hear_in_passing(bool(state.read("map_hover")))


_webgl = st.components.v2.component(
    "mess_webgl",
    html="<span></span>",
    js="""
export default ({ setStateValue }) => {
  const canvas = document.createElement("canvas");
  if (!(canvas.getContext("webgl2") ?? canvas.getContext("webgl"))) setStateValue("is_missing", true);
};
""",
)


def _has_webgl() -> bool:
    """What the browser says; until it does, that it has."""
    return not _webgl(key="webgl", default={"is_missing": False}, on_is_missing_change=lambda: None).is_missing


def _pick() -> None:
    """What was clicked or lassoed; held here, because a figure that is drawn with other marks forgets it."""
    points = [point.get("customdata") for point in st.session_state["map"].selection.points]
    st.session_state[PICKED] = [str(track_id) for track_id in dict.fromkeys(points) if track_id]
    if len(st.session_state[PICKED]) == 1:
        st.session_state[SOUNDS] = f"{st.session_state[PICKED][0]} {time.monotonic_ns()}"


def _path(view: MapView, scope: Scope, track_id: str | None) -> list:
    if track_id is None or not scope.workspace.store.has(track_id, scope.info):
        return []
    return list(segment_path(scope, view, track_id))


def show_trust(view: MapView, scope: Scope, settings: MapSettings) -> None:
    """How far to believe what is seen."""
    trust, pca = view.trust, view.pca_trust
    stability = "" if view.stability is None else f" · {view.stability:.0%} of neighbours the same from another start"
    st.markdown(
        f"**Trustworthiness {trust.trustworthiness:.2f}** (PCA {pca.trustworthiness:.2f}) · "
        f"continuity {trust.continuity:.2f} (PCA {pca.continuity:.2f}){stability}",
        help=define("trustworthiness", "continuity"),
    )
    st.caption("Distances between far groups mean nothing.")
    if view.n_placed:
        st.caption(f"Added since and placed beside their nearest (diamonds): {counted(view.n_placed, 'recording')}.")
    if view.n_left_out:
        st.caption(f"A sample: not shown: {counted(view.n_left_out, 'recording')}.")
    with st.container(horizontal=True):
        is_stale = not views.shows_all(scope, settings)
        why_not = None if is_stale else "The map shows the library as it is."
        if jobs.work_button("Draw again", _asked(scope, settings), disabled=not is_stale, help=why_not):
            _draw(scope, settings)
        if view.stability is None:
            job = _asked(scope, settings, with_stability=True)
            if jobs.work_button("Is it stable?", job, help="Draws every layer again from another start."):
                _draw(scope, settings, with_stability=True)
        titles = {track.track_id: track.title for track in views.tracks_of(view)}
        st.download_button(
            "CSV", partial(map_as_csv, view, titles), f"map-{view.name.replace(' ', '-')}.csv", "text/csv",
            on_click="ignore", key="map-csv",
        )  # fmt: skip


def show_names(view: MapView, scope: Scope) -> None:
    """What directions and regions stand for."""
    names = views.names(view, scope)
    if not names.sentences:
        st.caption("Neither a direction nor a region of this map stands for anything that was measured.")
        return
    for title, named in (("What changes from side to side", names.directions), ("What lies together", names.regions)):
        places: dict[str, list[str]] = {}
        for each in named:
            if each.sentence:
                place, _, words = each.sentence.partition(": ")
                places.setdefault(place, []).append(words)
        if places:
            st.markdown(f"**{title}**")
            st.text("\n".join(f"{place}: {', '.join(words)}" for place, words in places.items()))


def _as_csv(chosen: list[Track], paths: dict[str, str], library: str) -> str:
    """Made when somebody wants it."""
    heard = words_of(resources.workspace(), library, list(paths))
    return tracks_as_csv(chosen, paths, {track_id: {"heard_as": ", ".join(words)} for track_id, words in heard.items()})


def show_chosen(view: MapView, chosen: list[Track]) -> str | None:
    """A click is heard with its neighbours; a lasso becomes a table, a playlist, or the next question.

    Returns
    -------
    The track of the row that is chosen in the table, to be ringed on the map.
    """
    if not chosen:
        st.caption(
            "Rest on a point, and it is heard; click it, and it plays beside its nearest; draw around several with the "
            "lasso above the map."
        )
        return None
    workspace = resources.workspace()
    first = chosen[0]
    heard = chosen[:MAX_IN_PLAYER]
    if len(chosen) == 1:
        heard = [first, *(workspace.catalogue.track(each.track_id) for each in view.nearest(first.track_id)[:3])]
    st.text(first.title if len(chosen) == 1 else f"{len(chosen)} recordings chosen")
    _play(heard)
    with st.container(horizontal=True):
        if st.button(
            "Find like this",
            icon=":material/travel_explore:",
            on_click=state.follow,
            args=(first.track_id,),
            help="Makes it the query of Listen.",
        ):
            st.rerun()  # of the whole page: the small maps mark the query, too
        frame.link("pages/4_Listen.py", "Listen")
        paths = {track.track_id: str(workspace.catalogue.likely_audio_path(track.track_id)) for track in chosen}
        st.download_button(
            "CSV", partial(_as_csv, chosen, paths, frame.library()), "selection.csv", "text/csv", on_click="ignore"
        )
        st.download_button(
            "Playlist (M3U8)", partial(tracks_as_m3u8, chosen, paths), "selection.m3u8", "audio/x-mpegurl",
            on_click="ignore",
        )  # fmt: skip
        if len(chosen) > 1:
            offer_as_library([track.track_id for track in chosen])
    if len(chosen) == 1:
        return None
    event = st.dataframe(
        [{"title": t.title, "work": t.work, "performer": t.performer, "instrument": t.instrument,
          "length": frame.seconds(t.duration_s)} for t in chosen],
        key="chosen on the map", on_select="rerun", selection_mode="single-row",
        hide_index=True, width="stretch", alt="Recordings chosen on the map; the chosen row is ringed on it",
    )  # fmt: skip
    row = next(iter(event.selection.rows), None)
    return None if row is None or row >= len(chosen) else chosen[row].track_id


@st.fragment
def _play(tracks: list[Track]) -> None:
    shown = [PlayerTrack.of(track) for track in tracks]
    report = player(shown, key="map-player", starts=st.session_state.pop(SOUNDS, None))
    keep_heard(report, "map-player")
    ring_what_is_pointed_at([track.track_id for track in tracks])


def show_all_layers(view: MapView, scope: Scope, layers: list[int | None], colour: Colour) -> None:
    """How the library's shape changes from layer to layer; a recording keeps its colour and, roughly, its side."""
    st.subheader("Layer by layer", anchor=False)
    every = [views.view(scope, layer, view.settings) for layer in layers]
    st.plotly_chart(
        figures.small_maps(every, colour, state.query(), view.layer), key="small maps",
        config=charts.camera("svg", "maps"), alt="Maps of all layers",
    )  # fmt: skip
    columns = ("trustworthiness", "continuity", "PCA")
    st.dataframe(
        [
            {
                "layer": each.name,
                "trustworthiness": each.trust.trustworthiness,
                "continuity": each.trust.continuity,
                "PCA": each.pca_trust.trustworthiness,
            }
            for each in every
        ],
        hide_index=True,
        width="stretch",
        column_config={name: st.column_config.NumberColumn(format="%.3f") for name in columns},
        alt="Trust in the map of every layer",
    )


def explain(view: MapView) -> None:
    """For who wonders."""
    with st.expander("How to read this"):
        st.write(
            "Each point is a recording. UMAP lays them so that what is near in a layer of the encoder stays near on "
            "the paper; what is far apart may be anywhere. The axes mean nothing by themselves: what grows in which "
            "direction is listed above, and only where chance would not do as well with whole works exchanged. Layers "
            "are laid onto each other, so that a recording moves only as far as its neighbourhood changes."
        )
