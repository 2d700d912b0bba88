"""Every session key: its default, and who writes it. Personal things live here, never in a module.

All but `query` and `passage` are widgets bound to the URL; those two are kept there by the functions below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from mess_core.aspects import ASPECTS
from mess_core.catalogue import ALL
from mess_core.encoders.registry import DEFAULT
from mess_core.errors import InputError
from mess_core.matching import parse_passage

KEYS: dict[str, Any] = {
    "library": ALL,  # the sidebar
    "encoder": DEFAULT,  # Listen
    "extractor": DEFAULT,  # Library
    "k": 10,  # Listen, as are all below but group and level
    "geometry": "auto",
    "not": [],  # aspects to leave out
    "unproven": False,  # whether aspects without evidence are offered
    "diversity": 0.0,
    "max_per_work": None,
    "max_per_performer": None,
    "max_per_album": None,
    "duplicates": "keep",
    "versions": "keep",
    "hubs": "auto",
    "composers": [],
    "performers": [],
    "instruments": [],
    "collections": [],
    "splits": [],
    **dict.fromkeys(ASPECTS, 0.0),  # weights
    "group": "work",  # Layers
    "level": "track",  # Layers
    "layer": "",  # Map
    "colour": "",  # Map
    "map_neighbours": 15,
    "map_distance": 0.1,
    "map_metric": "cosine",
    "map_centred": True,
    "query": None,  # track id
}
TRAIL, MAX_TRAIL = "trail", 8
CARRIED = ("library", "encoder", "k", "query", "group", "geometry", *ASPECTS)  # by links to other pages


def read(key: str) -> Any:
    """The value of a key, or its default."""
    return st.session_state.get(key, st.session_state.get(_kept(key), KEYS[key]))


def choices() -> dict[str, str]:
    """What a link to another page carries: every choice that is not the default."""
    made = {key: read(key) for key in CARRIED}
    return {key: str(value) for key, value in made.items() if value != KEYS[key]}


def restore(key: str, options: Sequence[Any] | None = None) -> None:
    """Before a widget: what was chosen on another page, unless it is no longer offered.

    A choice that was never made is left to the URL, then to the default. One that came with the URL must be set again,
    or Streamlit takes the next page's empty URL for the default.
    """
    if _kept(key) in st.session_state:
        value = st.session_state.get(key, st.session_state[_kept(key)])
        if value != KEYS[key]:  # a default that is set by hand would stand in the URL
            st.session_state[key] = value
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
    """Ask about another track, all of it."""
    st.session_state["query"] = track_id
    set_passage(None)
    if track_id is None:
        st.query_params.pop("query", None)
    else:
        st.query_params["query"] = track_id


def follow(track_id: str) -> None:
    """Ask about a neighbour; the query it was found for stays on the trail."""
    before = query()
    if before is not None and before != track_id:
        st.session_state[TRAIL] = [*trail(), before][-MAX_TRAIL:]
    set_query(track_id)


def go_back(step: int) -> None:
    """Return to a query of the trail."""
    left = trail()
    st.session_state[TRAIL] = left[:step]
    set_query(left[step])


def trail() -> list[str]:
    """The queries that led to this one, the first of them first."""
    return list(st.session_state.get(TRAIL, []))


def passage() -> tuple[float, float] | None:
    """The part of the query that is asked about, in seconds; None for all of it."""
    text = st.query_params.get("passage")
    try:
        return None if text is None else parse_passage(text)
    except InputError:
        return None  # a link that somebody made up


def set_passage(part: tuple[float, float] | None) -> None:
    if part is None:
        st.query_params.pop("passage", None)
    else:
        st.query_params["passage"] = f"{part[0]:g}:{part[1]:g}"
