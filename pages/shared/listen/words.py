"""The box for words on 4_Listen."""

from __future__ import annotations

import streamlit as st

from mess_core.errors import MessError
from mess_core.search.tagged import tag_scope
from mess_core.search.words import parse_words
from pages.shared.app import frame, jobs, resources, state

LONGEST_HINT = 200  # characters below the box; all words of the vocabulary are more


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
    try:
        words = tuple(map(str, parse_words(text)))
    except MessError as error:  # below the box: what was found before stays
        st.caption(f":material/info: {frame.plain(error.message)}")
        if len(error.hint) <= LONGEST_HINT:
            st.caption(frame.plain(error.hint))
        else:
            with st.popover("What can be asked for", type="tertiary", key="known words"):
                st.text(error.hint)
        return ()
    with frame.explain_errors():
        library = frame.library()
        is_heard = tag_scope(resources.workspace(), library).n_embedded > 0
        if is_heard or not jobs.is_under_way(library, *jobs.FILLING):
            return words
        st.caption("What recordings are heard as is being worked out: words count as soon as that is known.")
    return ()
