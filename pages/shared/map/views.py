"""The maps of the chosen library as the pages hold them: read once, and again when one may have changed."""

from __future__ import annotations

from collections.abc import Hashable

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.encoders.base import EncoderInfo
from mess_core.errors import DataMissingError
from mess_core.maps.drawing import MapNames, MapView, is_complete, load_view, name_view
from mess_core.maps.settings import MapSettings
from mess_core.work.map import MapRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import latest
from pages.shared.app import frame, resources

BY_FINGERPRINT = {EncoderInfo: lambda info: info.fingerprint}


def drawn_layers(encoder_id: str, settings: MapSettings) -> list[int | None]:
    """What was drawn; None stands for the aspects."""
    every = [*range(resources.info(encoder_id).n_layers), None]
    return [layer for layer in every if _view(encoder_id, layer, settings) is not None]


def view(encoder_id: str, layer: int | None, settings: MapSettings) -> MapView:
    """The map of one layer."""
    found = _view(encoder_id, layer, settings)
    if found is None:
        raise DataMissingError("This layer is not drawn yet.", "Draw the map again.")
    return found


def names(view: MapView, encoder_id: str) -> MapNames:
    """What lies where; chance is asked a thousand times for that, so once for each view."""
    return _cached_names(frame.library(), encoder_id, view.layer, view.settings, _changed(encoder_id), view)


def shows_all(encoder_id: str, settings: MapSettings) -> bool:
    """Whether every embedded recording is on the maps."""
    return _is_complete(frame.library(), resources.info(encoder_id), settings, _changed(encoder_id))


def tracks_of(view: MapView) -> list[Track]:
    """The recordings on a map, in its order."""
    known = {track.track_id: track for track in resources.workspace().catalogue.tracks(frame.library())}
    return [known[track_id] for track_id in view.track_ids if track_id in known]


def _view(encoder_id: str, layer: int | None, settings: MapSettings) -> MapView | None:
    return _cached_view(frame.library(), resources.info(encoder_id), layer, settings, _changed(encoder_id))


def _changed(encoder_id: str) -> Hashable:
    """Another value when a map may be another: tracks came or went, or one was drawn or discovered."""
    workspace, info = resources.workspace(), resources.info(encoder_id)
    wanted = {"library": frame.library(), "encoder_id": encoder_id}
    jobs = [latest(workspace, kind, **wanted) for kind in (MapRequest, ProbeRequest)]
    states = tuple(None if job is None else (job.job_id, job.state, job.n_done) for job in jobs)
    return workspace.index_content(frame.library(), info), states


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_FINGERPRINT)
def _cached_view(
    library: str, info: EncoderInfo, layer: int | None, settings: MapSettings, changed: Hashable
) -> MapView | None:
    return load_view(resources.workspace(), library, info, layer, settings)


@st.cache_resource(max_entries=64, show_spinner="Finding what lies where…")
def _cached_names(
    library: str, encoder_id: str, layer: int | None, settings: MapSettings, changed: Hashable, _view: MapView
) -> MapNames:
    return name_view(resources.workspace(), library, _view)


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=BY_FINGERPRINT)
def _is_complete(library: str, info: EncoderInfo, settings: MapSettings, changed: Hashable) -> bool:
    return is_complete(resources.workspace(), library, info, settings)
