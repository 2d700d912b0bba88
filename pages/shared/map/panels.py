"""What stands on 3_Map around the large map: how it is drawn, what of it is true, what its places stand for."""

from __future__ import annotations

from functools import partial

import streamlit as st

from mess_core.glossary import define
from mess_core.handover.exports import map_as_csv
from mess_core.maps.drawing import MapView
from mess_core.maps.settings import MapSettings
from mess_core.numbers import number, percent
from mess_core.storage.jobs import Job
from mess_core.words import counted
from mess_core.work.map import MapRequest
from mess_core.work.request import submit, under_way
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, jobs, state
from pages.shared.app.table import show_table
from pages.shared.map import figures, views
from pages.shared.map.figures import Colour
from pages.shared.widgets import charts

ASPECTS = "aspects"
FEWEST = 20  # recordings, of which a map begins to show more than chance


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
    if job is not None:
        jobs.wait_for(job, "The map is drawn layer after layer, and shown here once all of them are.")


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


def show_trust(view: MapView, scope: Scope, settings: MapSettings) -> None:
    """How far to believe what is seen."""
    trust, pca = view.trust, view.pca_trust
    stable = None if view.stability is None else percent(100 * view.stability)
    stability = "" if stable is None else f" · {stable} of neighbours the same from another start"
    st.markdown(
        f"**Trustworthiness {number(trust.trustworthiness)}** (PCA {number(pca.trustworthiness)}) · "
        f"continuity {number(trust.continuity)} (PCA {number(pca.continuity)}){stability}",
        help=define("trustworthiness", "continuity"),
    )
    if doubts := _doubts(view):
        st.caption(f":material/warning: {' '.join(doubts)}")
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


def _doubts(view: MapView) -> list[str]:
    """What the figures of trust mean where they should not be taken at their face."""
    said = []
    n, k = len(view.track_ids), view.trust.k
    if n < FEWEST:
        said.append(
            f"{n} recordings are too few for a map to show what is alike: of each only {counted(k, 'neighbour')} can "
            "be looked at, and the figures above are a matter of luck."
        )
    if view.pca_trust.trustworthiness > view.trust.trustworthiness:
        said.append(
            "PCA's plain picture is the more trustworthy one here: fewer of the neighbours it shows are none. "
            "*PCA instead*, beside the map, shows it."
        )
    return said


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
    counts = next((each for region in names.regions for each in region.findings if each.is_counted), None)
    if counts is not None:
        st.caption(f"({counts.count} of {counts.n}): so many of the recordings that lie there.")
    if names.n_judged < len(view.track_ids):
        st.caption(f"Read off a sample of {names.n_judged:,} points, which the counts are of.")


def show_all_layers(view: MapView, scope: Scope, layers: list[int | None], colour: Colour) -> None:
    """How the library's shape changes from layer to layer; a recording keeps its colour and, roughly, its side."""
    st.subheader("Layer by layer", anchor=False)
    every = [views.view(scope, layer, view.settings) for layer in layers]
    st.plotly_chart(
        figures.small_maps(every, colour, state.query(), view.layer), key="small maps",
        config=charts.camera("svg", "maps"), alt="Maps of all layers",
    )  # fmt: skip
    columns = ("trustworthiness", "continuity", "PCA")
    show_table(
        [
            {
                "layer": each.name,
                "trustworthiness": each.trust.trustworthiness,
                "continuity": each.trust.continuity,
                "PCA": each.pca_trust.trustworthiness,
            }
            for each in every
        ],
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
