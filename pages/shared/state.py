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
    "group": "work",  # Layers
    "level": "track",  # Layers
    "query": None,  # Listen: track id
}


def read(key: str) -> Any:
    """The value of a key, or its default."""
    return st.session_state.get(key, st.session_state.get(_kept(key), KEYS[key]))


def choices() -> dict[str, str]:
    """What a link to another page carries: every choice that is not the default."""
    made = {key: read(key) for key in ("library", "encoder", "k", "query", "group")}
    return {key: str(value) for key, value in made.items() if value != KEYS[key]}


def restore(key: str, options: Sequence[Any] | None = None) -> None:
    """Before a widget: what was chosen on another page, unless it is no longer offered.

    A choice that was never made is left to the URL, then to the default. One that came with the URL must be set again,
    or Streamlit takes the next page's empty URL for the default.
    """
    if _kept(key) in st.session_state:
        st.session_state[key] = st.session_state.get(key, st.session_state[_kept(key)])
    if options is not None and key in st.session_state and st.session_state[key] not in options:
        del st.session_state[key]


def default(key: str, **argument: Any) -> dict[str, Any]:
    """The argument that gives a widget its default, while it has no value yet: Streamlit warns of both at once."""
    return {} if key in st.session_state else argument


def keep(key: str, value: Any) -> Any:
    """After a widget: hold its value for the other pages, which forget what is not drawn on them."""
    st.session_state[_kept(key)] = value
    return value


def _kept(key: str) -> str:
    return f"kept {key}"


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
