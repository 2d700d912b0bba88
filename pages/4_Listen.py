"""Which recordings are like this one, in what respect, and how do they sound beside it?"""

from dataclasses import replace

import streamlit as st

from mess_core.words import counted
from pages.shared.app.frame import PageIsOver, notice
from pages.shared.app.page import page
from pages.shared.listen import panels
from pages.shared.listen.aspects import choose_question
from pages.shared.listen.heard import show_heard
from pages.shared.listen.passage import show_same_passage
from pages.shared.listen.query import (
    choose_passage,
    choose_query,
    embed_query,
    is_searchable,
    measure_query,
    show_query,
    show_trail,
)
from pages.shared.listen.why import show_why
from pages.shared.listen.words import choose_words, show_found_in_words
from pages.shared.widgets.pickers import choose_hearing

with page("Listen"):
    with st.sidebar:
        scope = choose_hearing()
        question = choose_question(scope.for_aspects)
    with st.container():  # what it holds comes and goes; the player below stays in its place, and plays on
        query = choose_query()
        question = replace(question, words=choose_words())
        if query is None and question.words:
            show_found_in_words(scope, question)
            raise PageIsOver
        if query is None:
            notice("Nothing asked yet", "Drop a recording, or pick one, or say it in words: the nearest appear here.")
            raise PageIsOver
        show_trail()
        show_query(query)
        passage = None if question.words else choose_passage(query)
        if not is_searchable(scope) or not embed_query(query, scope):
            raise PageIsOver
        if not measure_query(query, question, passage):
            raise PageIsOver
        found = panels.answer(query, scope, question, passage)
        panels.show_notices(found)
        if not found.found:
            panels.explain_nothing(found)
            raise PageIsOver

        st.subheader(f"{counted(len(found.found), 'nearest recording')}", anchor=False)
        panels.show_filters(question)
        panels.show_basis(found)
        reasons = panels.explain_neighbours(found)
    player_place = st.container()
    lines = panels.in_lines(found, reasons)
    chosen = panels.show_neighbours(found, lines)
    with player_place:
        panels.show_player(query, chosen, passage)
    with st.container():  # as above: below it stands the player of the same passage
        panels.show_chosen(found, chosen, lines)
        with st.container(horizontal=True):
            panels.show_exports(found)
            panels.offer_to_keep(query)
        show_heard(query)
        show_why(found, chosen, reasons)
    show_same_passage(query, passage)
    panels.explain(found)
