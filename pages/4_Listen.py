"""Which recordings are like this one, in what respect, and how do they sound beside it?"""

import streamlit as st

from mess_core.words import counted
from pages.shared import listen_panels as panels
from pages.shared import query_panels
from pages.shared.aspect_panels import choose_request
from pages.shared.frame import PageIsOver, notice
from pages.shared.page import page
from pages.shared.passage_panels import show_same_passage
from pages.shared.why_panels import show_why

with page("Listen"):
    with st.sidebar:
        encoder_id = query_panels.choose_encoder()
        request = choose_request(encoder_id)
    query = query_panels.choose_query()
    if query is None:
        notice("Nothing asked yet", "Drop a recording, or pick one: its nearest neighbours appear here.")
        raise PageIsOver
    query_panels.show_trail()
    query_panels.show_query(query)
    passage = query_panels.choose_passage(query)
    if not query_panels.is_searchable(encoder_id) or not query_panels.embed_query(query, encoder_id):
        raise PageIsOver
    found = panels.answer(query, encoder_id, request, passage)
    panels.show_notices(found)
    if not found.found:
        panels.explain_nothing(found)
        raise PageIsOver

    st.subheader(f"{counted(len(found.found), 'nearest recording')}", anchor=False)
    reasons = panels.explain_neighbours(found)
    lines = panels.in_lines(found, reasons)
    player_place = st.container()
    chosen = panels.show_neighbours(found, lines)
    with player_place:
        panels.show_player(query, chosen, passage)
    panels.show_chosen(found, chosen, lines)
    with st.container(horizontal=True):
        panels.show_exports(found)
        panels.offer_to_keep(query)
    show_why(found, chosen, reasons)
    show_same_passage(query, passage)
    panels.explain(found)
