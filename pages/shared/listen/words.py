"""A search in words, on 4_Listen: the box, and what is found where there is no query recording."""

from __future__ import annotations

import streamlit as st

from mess_core.search.question import Question
from mess_core.search.words import parse_words
from mess_core.words import counted
from mess_core.workspace.scope import Scope
from pages.shared.app import state
from pages.shared.listen import panels


def choose_words() -> tuple[str, ...]:
    """What is asked for in words, alone or beside a query; in the URL. An InputError says what is not understood."""
    text = state.sticky(
        st.text_input, "In words", key="words", placeholder="solo violin, slow, not piano", max_chars=1000,
        help="Alone, or beside a query: like this, but with voice. Instruments, voices, how it is played, genre, mood, "
        "era, as MusiCNN hears them.",
    )  # fmt: skip
    return tuple(map(str, parse_words(text))) if text.strip() else ()


def show_found_in_words(scope: Scope, question: Question) -> None:
    """What fits the words, and how it sounds."""
    found = panels.answer(None, scope, question, None)
    with st.container():  # what it holds comes and goes; the player below stays in its place, and plays on
        panels.show_notices(found)
        if not found.found:
            panels.explain_nothing(found)
            return
        fits = "fits" if len(found.found) == 1 else "fit"
        st.subheader(f"{counted(len(found.found), 'recording')} that {fits} best", anchor=False)
        panels.show_filters(question)
    lines = panels.in_lines(found, {})
    player_place = st.container()
    chosen = panels.show_neighbours(found, lines)
    with player_place:
        panels.show_player(None, chosen, None)
    panels.show_chosen(found, chosen, lines)
    panels.show_exports(found)
    panels.explain(found)
