"""The maps of the chosen library as the pages hold them: read once, and again when one may have changed."""

from __future__ import annotations

from collections.abc import Hashable

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.errors import DataMissingError
from mess_core.maps.drawing import MapNames, MapView, PathPoint, is_complete, load_view, name_view, segment_path
from mess_core.maps.packed import pack_places, pack_titles
from mess_core.maps.settings import MapSettings
from mess_core.work.map import MapRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import latest
from mess_core.workspace.scope import Scope
from pages.shared.app import resources
from pages.shared.map.packs import address_of_made


def drawn_layers(scope: Scope, settings: MapSettings) -> list[int | None]:
    """What was drawn; None stands for the aspects."""
    every = [*range(scope.info.n_layers), None]
    return [layer for layer in every if _view(scope, layer, settings) is not None]


def view(scope: Scope, layer: int | None, settings: MapSettings) -> MapView:
    """The map of one layer."""
    found = _view(scope, layer, settings)
    if found is None:
        raise DataMissingError("This layer is not drawn yet.", "Draw the map again.")
    return found


def names(view: MapView, scope: Scope) -> MapNames:
    """What lies where; chance is asked a thousand times for that, so once for each view."""
    return _cached_names(scope, view.layer, view.settings, _changed(scope), view)


def shows_all(scope: Scope, settings: MapSettings) -> bool:
    """Whether every embedded recording is on the maps."""
    return _is_complete(scope, settings, _changed(scope))


def tracks_of(view: MapView) -> dict[str, Track]:
    """The recordings on a map by their ids, in its order; of a large library no others are read."""
    workspace = resources.workspace()
    changed = workspace.database.remembered.version_of("tracks")
    return _cached_tracks(str(workspace.paths.root), hash(view.track_ids), changed, view)


def segments_of(view: MapView, scope: Scope, track_id: str | None) -> tuple[PathPoint, ...]:
    """Where the segments of a recording lie; none of one that is not embedded."""
    if track_id is None or not scope.workspace.store.has(track_id, scope.info):
        return ()
    return _cached_path(scope, view.layer, view.settings, _changed(scope), track_id, view)


def places_address(view: MapView, scope: Scope, *, is_pca: bool) -> str:
    """Where a browser gets the points of a map."""
    key = ("places", str(view.path), _changed(scope), is_pca)
    return address_of_made(key, lambda: pack_places(view, is_pca=is_pca))


def titles_address(view: MapView, scope: Scope) -> str:
    """Where it gets what they are called; the same for every layer that shows the same recordings."""
    titles = {track_id: track.title for track_id, track in tracks_of(view).items()}
    key = ("titles", str(scope.workspace.paths.root), hash(view.track_ids), hash(tuple(titles.items())))
    return address_of_made(key, lambda: pack_titles(view.track_ids, titles))


def _view(scope: Scope, layer: int | None, settings: MapSettings) -> MapView | None:
    return _cached_view(scope, layer, settings, _changed(scope))


def _changed(scope: Scope) -> Hashable:
    """Another value when a map may be another: tracks came or went, or one was drawn or discovered."""
    wanted = {"library": scope.library, "encoder_id": scope.info.id}
    jobs = [latest(scope.workspace, kind, **wanted) for kind in (MapRequest, ProbeRequest)]
    states = tuple(None if job is None else (job.job_id, job.state, job.n_done) for job in jobs)
    return scope.content, states


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=resources.BY_NAME)
def _cached_view(scope: Scope, layer: int | None, settings: MapSettings, changed: Hashable) -> MapView | None:
    return load_view(scope, layer, settings)


@st.cache_resource(max_entries=2, show_spinner=False)  # 100 MB each of a hundred thousand recordings
def _cached_tracks(root: str, ids: int, changed: tuple[int, ...], _view: MapView) -> dict[str, Track]:
    known = resources.workspace().catalogue.tracks_of(_view.track_ids)
    return {track_id: known[track_id] for track_id in _view.track_ids if track_id in known}


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=resources.BY_NAME)
def _cached_path(
    scope: Scope, layer: int | None, settings: MapSettings, changed: Hashable, track_id: str, _view: MapView
) -> tuple[PathPoint, ...]:
    return segment_path(scope, _view, track_id)


@st.cache_resource(max_entries=64, show_spinner="Finding what lies where…", hash_funcs=resources.BY_NAME)
def _cached_names(
    scope: Scope, layer: int | None, settings: MapSettings, changed: Hashable, _view: MapView
) -> MapNames:
    return name_view(scope, _view)


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=resources.BY_NAME)
def _is_complete(scope: Scope, settings: MapSettings, changed: Hashable) -> bool:
    return is_complete(scope, settings)
