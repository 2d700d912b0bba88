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
from mess_core.maps.drawing import MapView
from mess_core.maps.names import Region
from mess_core.maps.packed import densest, pack_marks, pack_names, pack_numbers
from mess_core.maps.settings import MapSettings
from mess_core.numbers import number
from mess_core.search.tagged import words_of
from mess_core.storage.jobs import Job
from mess_core.words import counted
from mess_core.work.map import MapRequest
from mess_core.work.request import submit, under_way
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, jobs, resources, state
from pages.shared.map import figures, views
from pages.shared.map.figures import Colour
from pages.shared.map.marked import Marked, marked, say
from pages.shared.map.packs import address_of
from pages.shared.map.points.points import Colouring, Label, PointMap, show_points
from pages.shared.widgets import charts
from pages.shared.widgets.pickers import offer_as_library
from pages.shared.widgets.player.player import PlayerTrack, keep_heard, player

ASPECTS = "aspects"
MAX_IN_PLAYER = 8
MOST_OFFERED = 2000  # recordings in one list to choose from; of more those that are searched for
MOST_FOUND = 50
MOST_ROWS = 1000  # of the table of what was drawn around
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
@media (min-width: 48rem) { /* what is chosen in the long column beside it is seen on it */
  [data-testid="stColumn"]:has(.st-key-map-window) > [data-testid="stVerticalBlock"] {
    position: sticky; top: 1.5rem; height: auto;
  }
}
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
    map_place, side = st.columns([7, 3], gap="medium")
    tracks = views.tracks_of(view)
    picked = [track_id for track_id in st.session_state.get(PICKED, []) if track_id in tracks]
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
            help="Where recordings crowd on UMAP's map, and what they have in common.",
        )  # fmt: skip
        has_names = st.toggle(
            "Names", key="names on the map", disabled=colour.names is None,
            help="What a colour stands for, written where most of its recordings are.",
        )  # fmt: skip
    return Looks(wanted, is_pca, has_regions and not is_pca, has_names and colour.names is not None)


def _find(view: MapView, scope: Scope) -> str | None:
    """The track that is looked for; of very many the browser is not sent all, but those that fit some words."""
    catalogue, tracks = scope.workspace.catalogue, views.tracks_of(view)
    labels, offered = catalogue.labels(scope.library), list(tracks)
    if len(tracks) > MOST_OFFERED:
        words = st.text_input("Find", key="words to find", placeholder="title, performer, instrument")
        if not words.strip():
            return None
        found, n_found = catalogue.find(scope.library, words, MOST_FOUND)
        offered = [track.track_id for track in found if track.track_id in tracks]
        if not offered:
            st.caption("Nothing on this map is called so.")
            return None
        if n_found > MOST_FOUND:
            st.caption(f"The first {MOST_FOUND} of {n_found:,}: another word finds fewer.")
    wanted = st.selectbox(
        "Find" if len(tracks) <= MOST_OFFERED else "Which one", offered, index=None, key="find",
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


def _pick(track_ids: Sequence[str], rows: Sequence[int]) -> None:
    """What was clicked or drawn around."""
    st.session_state[PICKED] = [track_ids[row] for row in rows]
    if len(rows) == 1:
        st.session_state[SOUNDS] = f"{track_ids[rows[0]]} {time.monotonic_ns()}"


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
        titles = {track_id: track.title for track_id, track in views.tracks_of(view).items()}
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
    if names.n_judged < len(view.track_ids):
        st.caption(f"Read off a sample of {names.n_judged:,} points, which the counts are of.")


@dataclass(frozen=True)
class Beside:
    """What is shown beside the map. row : the track that is chosen in the table; heard : those of the player"""

    row: str | None = None
    heard: tuple[str, ...] = ()


def _paths(tracks: Sequence[Track]) -> dict[str, str]:
    paths = resources.workspace().catalogue.likely_audio_paths([track.track_id for track in tracks])
    return {track_id: str(path) for track_id, path in paths.items()}


def _as_csv(chosen: Sequence[Track], library: str) -> str:
    """Made when somebody wants it."""
    heard = words_of(resources.workspace(), library, [track.track_id for track in chosen])
    also = {track_id: {"heard_as": ", ".join(words)} for track_id, words in heard.items()}
    return tracks_as_csv(chosen, _paths(chosen), also)


def _as_playlist(chosen: Sequence[Track]) -> str:
    return tracks_as_m3u8(chosen, _paths(chosen))


def show_chosen(view: MapView, chosen: list[Track]) -> Beside:
    """A click is heard with its neighbours; a lasso becomes a table, a playlist, or the next question."""
    if not chosen:
        st.caption(
            "Rest on a point, and it is heard; click it, and it plays beside its nearest; draw around several with the "
            "lasso above the map."
        )
        return Beside()
    first, row = chosen[0], None
    if len(chosen) == 1:
        st.text(first.title)
        catalogue = resources.workspace().catalogue
        heard = [first, *(catalogue.track(each.track_id) for each in view.nearest(first.track_id)[:3])]
    else:
        st.text(f"{counted(len(chosen), 'recording')} chosen")
        table = f"chosen on the map {hash(tuple(track.track_id for track in chosen))}"  # of others, no row is chosen
        row = _row_chosen(table, len(chosen))
        at = (row or 0) // MAX_IN_PLAYER * MAX_IN_PLAYER
        heard = chosen[at : at + MAX_IN_PLAYER]
        if len(chosen) > MAX_IN_PLAYER:
            st.caption(
                f"The player holds {at + 1:,} to {at + len(heard):,} of them: choose a row of the table to hear it and "
                "those around it."
            )
    _play(heard, has_query=len(chosen) == 1)
    with st.container(horizontal=True):
        if st.button(
            "Find like this",
            icon=":material/travel_explore:",
            on_click=state.follow,
            args=(first.track_id,),
            help="Makes it the query of Listen."
            if len(chosen) == 1
            else "Makes the first of them the query of Listen.",
        ):
            st.rerun()  # of the whole page: the small maps mark the query, too
        frame.link("pages/4_Listen.py", "Listen")
        st.download_button(
            "CSV", partial(_as_csv, chosen, frame.library()), "selection.csv", "text/csv", on_click="ignore"
        )
        st.download_button(
            "Playlist (M3U8)", partial(_as_playlist, chosen), "selection.m3u8", "audio/x-mpegurl", on_click="ignore"
        )
        if len(chosen) > 1:
            offer_as_library([track.track_id for track in chosen])
    if len(chosen) > 1:
        st.dataframe(
            [{"title": t.title, "work": t.work, "performer": t.performer, "instrument": t.instrument,
              "length": frame.seconds(t.duration_s)} for t in chosen[:MOST_ROWS]],
            key=table, on_select="rerun", selection_mode="single-row",
            hide_index=True, width="stretch", alt="Recordings chosen on the map; the chosen row is ringed on it",
        )  # fmt: skip
        if len(chosen) > MOST_ROWS:
            st.caption(f"The table shows the first {MOST_ROWS:,}; the files and a library hold all {len(chosen):,}.")
    return Beside(None if row is None else chosen[row].track_id, tuple(track.track_id for track in heard))


def _row_chosen(table: str, n: int) -> int | None:
    """The row that is chosen in the table, which stands below what it decides."""
    rows = st.session_state[table].selection.rows if table in st.session_state else ()
    row = next(iter(rows), None)
    return None if row is None or row >= n else int(row)


@st.fragment
def _play(tracks: list[Track], *, has_query: bool) -> None:
    shown, starts = [PlayerTrack.of(track) for track in tracks], st.session_state.pop(SOUNDS, None)
    report = player(shown, key="map-player", has_query=has_query, starts=starts)
    keep_heard(report, "map-player")


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
