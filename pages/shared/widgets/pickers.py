"""What several pages ask: by which encoder they look at the library, and whether to embed what it has not heard yet."""

from __future__ import annotations

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.encoders.registry import DEFAULT, encoder_choices, encoder_ids
from mess_core.words import counted
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit, under_way
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, jobs, resources, state

READY = ("embedded", "present")  # the weights of an encoder that can be used now


def choose_encoder() -> Scope:
    """This library, by an encoder that has embedded it; by the default while there is none, or only an old one."""
    ids = [e for e in encoder_ids(resources.workspace().paths) if frame.scope(e).n_embedded]
    if not ids or (DEFAULT not in ids and frame.scope(DEFAULT).n_by_other_versions):
        ids.append(DEFAULT)  # to be embedded again
    first = DEFAULT if DEFAULT in ids else ids[0]
    return frame.scope(state.sticky(st.selectbox, "Encoder", options=ids, key="encoder", default=first))


def embed_button(scope: Scope, n_tracks: int) -> None:
    """One click: embedding, and then discovery."""
    workspace, info = scope.workspace, scope.info
    if n_tracks == 0:
        st.caption(f"Every track is embedded with {info.title}.")
        return
    label = f"Embed {counted(n_tracks, 'track')} with {info.title}"
    job = under_way(workspace, ExtractRequest, library=scope.library, encoder_id=info.id)
    job = job or under_way(workspace, ExtractRequest, library=ALL, encoder_id=info.id)
    if jobs.work_button(label, job, type="primary", disabled=not is_ready(info.id)):
        submit(workspace, ExtractRequest(scope.library, info.id, goes_on=True))
        st.rerun()


def is_ready(encoder_id: str) -> bool:
    """Whether an encoder can be used now."""
    workspace = resources.workspace()
    return any(c.info.id == encoder_id and c.weights.status in READY for c in encoder_choices(workspace.paths))
