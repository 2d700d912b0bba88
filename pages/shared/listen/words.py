"""The box for words on 4_Listen."""

from __future__ import annotations

import streamlit as st

from mess_core.search.words import parse_words
from pages.shared.app import state


def choose_words() -> tuple[str, ...]:
    """What is asked for in words, alone or beside a query; in the URL. An InputError says what is not understood."""
    text = state.sticky(
        st.text_input, "In words", key="words", placeholder="in words: solo violin, slow, not piano", max_chars=1000,
        label_visibility="collapsed",
        help="Alone, or beside a query: like this, but with voice. Instruments, voices, how it is played, genre, mood, "
        "era, as MusiCNN hears them.",
    )  # fmt: skip
    return tuple(map(str, parse_words(text))) if text.strip() else ()
