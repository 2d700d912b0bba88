"""The sound on the map: while a track plays, the segment that is heard is lit on the path drawn of it.

The browser half is `follow.js`; it hears of the player on the same page by an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

_component = st.components.v2.component(
    "mess_follow", html="<span></span>", js=Path(__file__).with_suffix(".js").read_text("utf-8")
)


def follow(track_id: str, starts_s: Sequence[float]) -> None:
    """While the player on this page plays this track, light the segment of its path that is heard.

    Parameters
    ----------
    starts_s : sequence of float, seconds
        Where the segments of the path begin, in its order.
    """
    _component(key="follow-on-map", data={"track_id": track_id, "starts_s": list(starts_s)})
