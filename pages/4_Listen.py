"""Which recordings are like this one, in what respect, and how do they sound beside it?"""

from dataclasses import replace

import streamlit as st

from pages.shared.app import state
from pages.shared.app.frame import PageIsOver, notice
from pages.shared.app.page import page
from pages.shared.listen import panels
from pages.shared.listen.aspects import choose_alike
from pages.shared.listen.heard import show_heard
from pages.shared.listen.named import choose_named
from pages.shared.listen.order import choose_order
from pages.shared.listen.otherwise import show_otherwise
from pages.shared.listen.passage import show_same_passage
from pages.shared.listen.path import choose_path, show_path
from pages.shared.listen.query import choose_query, embed_query, is_searchable, measure_query, show_trail
from pages.shared.listen.rows import show_rows
from pages.shared.listen.rules import choose_rules
from pages.shared.listen.why import show_why
from pages.shared.widgets.examples import show_examples
from pages.shared.widgets.pickers import choose_hearing, offer_as_library

with page("Listen"):
    with st.sidebar:
        scope = choose_hearing()
        question = choose_rules(scope)
    with st.container():  # what it holds comes and goes; the list below stays in its place, and plays on
        query, asked, passage = choose_query()
        question, heading = replace(question, words=asked.words), st.container()
        if query is None and not question.words:
            notice("Nothing asked yet", "Drop a recording, or pick one, or say it in words: the nearest appear here.")
            show_examples(on_this_page=True)
            raise PageIsOver
        if query is not None:
            show_trail()
            if not is_searchable(scope) or not embed_query(query, scope):
                raise PageIsOver
            alike, waits = st.container(), st.container()  # sentences would squeeze the row
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                heading = st.container(width="stretch")  # said once the answer is there
                question = choose_named(query, question, passage, waits)
                ends = choose_path(query, passage, waits)
                if not ends:
                    question = choose_order(scope, question, passage, waits)
            with alike:
                question = choose_alike(scope, question)
            if ends:
                show_path(query, ends, scope, question)
                raise PageIsOver
            if not measure_query(query, question, passage):
                raise PageIsOver
        found = panels.answer(query, scope, question, passage)
        state.keep_found([item.track.track_id for item in found.found])
        if not found.found:
            panels.show_notices(found)
            panels.explain_nothing(found)
            raise PageIsOver
        with heading:
            panels.show_heading(found)
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="basis"):
            panels.show_notices(found)
            panels.show_filters(question)
            panels.show_basis(found)
        reasons = panels.explain_neighbours(found)
        lines = panels.in_lines(found, reasons)
    show_rows(found, lines)
    with st.container():  # as above: below it stands the player of the same passage
        panels.show_numbers(found, lines)
        with st.container(horizontal=True):
            panels.show_exports(found)
            offer_as_library([item.track.track_id for item in found.found])
            if query is not None:
                panels.offer_to_keep(query)
        if query is not None:
            show_heard(query)
            show_why(found, reasons)
            show_otherwise(query, scope, passage)
    if query is not None:
        show_same_passage(query, passage)
    panels.explain(found)
