"""The box for words on 4_Listen."""

from __future__ import annotations

import streamlit as st

from mess_core.search.tagged import tag_scope
from mess_core.search.words import parse_words
from pages.shared.app import frame, jobs, resources, state


def choose_words() -> tuple[str, ...]:
    """What is asked for in words, alone or beside a query; in the URL. What is not understood is said."""
    text = state.sticky(
        st.text_input, "In words", key="words", placeholder="in words: solo violin, slow, not piano",
        label_visibility="collapsed",
        help="Alone, or beside a query: like this, but with voice. Instruments, voices, how it is played, genre, mood, "
        "era, as MusiCNN hears them.",
    )  # fmt: skip
    if not text.strip():
        return ()
    with frame.explain_errors():  # below the box: what was found before stays
        words = tuple(map(str, parse_words(text)))
        library = frame.library()
        is_heard = tag_scope(resources.workspace(), library).n_embedded > 0
        if is_heard or not jobs.is_under_way(library, *jobs.FILLING):
            return words
        st.caption("What recordings are heard as is being worked out: words count as soon as that is known.")
    return ()
