"""The map and the sound: the segment that a player plays is lit on its path; a point under the pointer is heard; the
point of a recording that is pointed at in the player is ringed.

The browser halves are `follow.js`, which hears of the player on the same page by an event, `hover.js`, which plays by
itself, and `ring.js`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_follow = st.components.v2.component("mess_follow", html="<span></span>", js=(_HERE / "follow.js").read_text("utf-8"))
_hover = st.components.v2.component("mess_hover", html="<span></span>", js=(_HERE / "hover.js").read_text("utf-8"))


_ring = st.components.v2.component("mess_ring", html="<span></span>", js=(_HERE / "ring.js").read_text("utf-8"))


def follow(track_id: str, starts_s: Sequence[float]) -> None:
    """While the player on this page plays this track, light the segment of its path that is heard.

    Parameters
    ----------
    starts_s : sequence of float, seconds
        Where the segments of the path begin, in its order.
    """
    _follow(key="follow-on-map", data={"track_id": track_id, "starts_s": list(starts_s)})


def hear_in_passing(is_on: bool) -> None:
    """Play some seconds of a point that the pointer rests on, unless a player plays."""
    _hover(key="hover-on-map", data={"is_on": is_on})


def ring_what_is_pointed_at(track_ids: Sequence[str]) -> None:
    """Ring on the map what the pointer or the focus is on in the player.

    Parameters
    ----------
    track_ids : sequence of str
        The recordings of the player, in its order.
    """
    _ring(key="ring-on-map", data={"track_ids": list(track_ids)})
