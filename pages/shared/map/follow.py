"""The map and the sound: the segment that a player plays is lit on its path; a point under the pointer is heard.

The browser halves are `follow.js`, which hears of the player on the same page by an event, and `hover.js`, which plays
by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_follow = st.components.v2.component("mess_follow", html="<span></span>", js=(_HERE / "follow.js").read_text("utf-8"))
_hover = st.components.v2.component("mess_hover", html="<span></span>", js=(_HERE / "hover.js").read_text("utf-8"))


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
