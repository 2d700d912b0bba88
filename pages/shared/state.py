"""Every session key: its default, and who writes it. Personal things live here, never in a module.

`library`, `encoder` and `k` are widgets bound to the URL; `query` is kept in both by the functions below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from mess_core.catalogue import ALL
from mess_core.encoders.registry import DEFAULT

KEYS: dict[str, Any] = {
    "library": ALL,  # the sidebar
    "encoder": DEFAULT,  # Listen
    "extractor": DEFAULT,  # Library
    "k": 10,  # Listen
    "query": None,  # Listen: track id
}


def read(key: str) -> Any:
    """The value of a key, or its default."""
    return st.session_state.get(key, KEYS[key])


def drop_unless(key: str, options: Sequence[Any]) -> None:
    """Forget a choice that is no longer offered. One that was never made is left to the URL, then to the default."""
    if key in st.session_state and st.session_state[key] not in options:
        del st.session_state[key]


def query() -> str | None:
    """The track asked about: from this session, or from the link that was opened."""
    if "query" not in st.session_state:
        st.session_state["query"] = st.query_params.get("query")
    track_id = st.session_state["query"]
    if track_id is not None and st.query_params.get("query") != track_id:
        st.query_params["query"] = track_id
    return track_id


def set_query(track_id: str | None) -> None:
    """Ask about another track."""
    st.session_state["query"] = track_id
    if track_id is None:
        st.query_params.pop("query", None)
    else:
        st.query_params["query"] = track_id
