"""The maps of the chosen library as the pages hold them: read once, and again when one may have changed."""

from __future__ import annotations

from collections.abc import Hashable

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.errors import DataMissingError
from mess_core.maps.drawing import MapNames, MapView, is_complete, load_view, name_view
from mess_core.maps.settings import MapSettings
from mess_core.work.map import MapRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import latest
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, resources


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


def tracks_of(view: MapView) -> list[Track]:
    """The recordings on a map, in its order."""
    known = {track.track_id: track for track in resources.workspace().catalogue.tracks(frame.library())}
    return [known[track_id] for track_id in view.track_ids if track_id in known]


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


@st.cache_resource(max_entries=64, show_spinner="Finding what lies where…", hash_funcs=resources.BY_NAME)
def _cached_names(
    scope: Scope, layer: int | None, settings: MapSettings, changed: Hashable, _view: MapView
) -> MapNames:
    return name_view(scope, _view)


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=resources.BY_NAME)
def _is_complete(scope: Scope, settings: MapSettings, changed: Hashable) -> bool:
    return is_complete(scope, settings)
