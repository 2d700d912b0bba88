"""The box for words on 4_Listen."""

from __future__ import annotations

import streamlit as st

from mess_core.search.words import parse_words
from pages.shared.app import frame, state


def choose_words() -> tuple[str, ...]:
    """What is asked for in words, alone or beside a query; in the URL. What is not understood is said."""
    text = state.sticky(
        st.text_input, "In words", key="words", placeholder="in words: solo violin, slow, not piano", max_chars=20_000,
        label_visibility="collapsed",
        help="Alone, or beside a query: like this, but with voice. Instruments, voices, how it is played, genre, mood, "
        "era, as MusiCNN hears them.",
    )  # fmt: skip
    with frame.explain_errors():  # below the box: what was found before stays
        return tuple(map(str, parse_words(text))) if text.strip() else ()
    return ()
