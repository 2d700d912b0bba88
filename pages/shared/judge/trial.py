"""The question of 5_Judge in the browser: three clips without names, and an answer that is never lost.

The browser half is `trial.js`, with the sound of the common player. It sends answers to `POST /answer` itself, because
a click that Streamlit carries is gone when the server is; Python is told only that there is a new one.

Blind: the browser knows a clip by its question and its letter (`/clip/{asked_id}/x`), not by its track.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from mess_core.catalogue.sittings import Asked
from pages.shared.app.routes import CLIPS
from pages.shared.widgets.player.modules import MODULES

NEEDS_S = 1.0  # of each clip, before two of them can be compared

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "mess_trial",
    html=(_HERE / "trial.html").read_text("utf-8"),
    css=(_HERE / "trial.css").read_text("utf-8"),
    js=(_HERE / "trial.js").read_text("utf-8").replace("DIGEST", MODULES.digest),
)


def trial(asked: Asked, *, key: str, again: bool, on_answered: Callable[[], None], on_back: Callable[[], None]) -> None:
    """Put a question.

    Parameters
    ----------
    asked : Asked
    key : str
        Stable from question to question: the sound and what waits to be sent go on.
    again : bool
        Whether it has an answer that another one replaces.
    on_answered, on_back : callable
        Called before the rerun that a kept answer, or the wish for the question before, causes.
    """
    clips = [
        {"id": letter, "excerpt_url": f"/clip/{asked.asked_id}/{letter}", "duration_s": clip.end_s - clip.start_s}
        for letter, clip in zip(CLIPS, asked.clips, strict=True)
    ]
    needs_s = min(NEEDS_S, *((clip.end_s - clip.start_s) / 2 for clip in asked.clips))  # some recordings are that short
    _component(
        key=key,
        data={"asked_id": asked.asked_id, "clips": clips, "given": asked.answer, "needs_s": needs_s, "again": again},
        on_answered_change=on_answered,
        on_back_change=on_back,
    )
