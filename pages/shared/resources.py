"""Everything the pages share between sessions: the data folder, and the indexes built from it.

Keys are plain values that change with the content; never an array, never a model. What comes out is shared by all
sessions and must not be changed.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from mess_core.discovery import Discovery, kept_paths, read
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.registry import encoder_ids, encoder_info
from mess_core.errors import ArtefactMismatchError
from mess_core.home import Home
from mess_core.search import NeighbourIndex


@st.cache_resource(show_spinner=False)
def home() -> Home:
    """The data folder: MESS_HOME, or `data/`."""
    return Home()


def info(encoder_id: str) -> EncoderInfo:
    """Facts of an encoder."""
    return encoder_info(encoder_id, home().paths)


def index(library: str, encoder_id: str) -> NeighbourIndex:
    """The index of a library; built again when a track is added, removed or extracted again."""
    return _index(library, encoder_id, home().index_content(library, info(encoder_id)))


def discoveries(library: str) -> dict[str, Discovery]:
    """Every kept run of a library, by title; read again when its file changed."""
    found = (_discovery(str(path), path.stat().st_mtime_ns) for path in kept_paths(home().paths, library))
    known = {encoder_id: info(encoder_id).fingerprint for encoder_id in encoder_ids()}
    return {run.title: run for run in found if run is not None and known.get(run.encoder) == run.fingerprint}


@st.cache_resource(max_entries=32, show_spinner=False)
def _discovery(path: str, changed: int) -> Discovery | None:
    try:
        return read(Path(path))
    except ArtefactMismatchError:
        return None  # of another version: probed again when asked for


@st.cache_resource(max_entries=2, show_spinner="Building the index…")  # 400 MB each at ten thousand MERT tracks
def _index(library: str, encoder_id: str, content: str) -> NeighbourIndex:
    return home().index(library, info(encoder_id))
