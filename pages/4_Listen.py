"""Which recordings are like this one, and how do they sound beside it?"""

import streamlit as st

from pages.shared import listen_panels as panels
from pages.shared.frame import explain_errors, notice, open_page

open_page("Listen")

with explain_errors():
    ask, settings = st.columns([3, 1], gap="large")
    with settings:
        encoder_id = panels.choose_encoder()
        k = panels.choose_k()
    with ask:
        query = panels.choose_query()
    if query is None:
        notice("Nothing asked yet", "Drop a recording, or pick one: its nearest neighbours appear here.")
        st.stop()
    panels.show_query(query)
    if not panels.is_searchable(encoder_id) or not panels.embed_query(query, encoder_id):
        st.stop()
    found = panels.answer(query, encoder_id, k)
    if not found.found:
        notice("No neighbours", "This library holds no other track that is embedded.", "Add music on the Library page.")
        st.stop()

    st.subheader(f"{len(found.found)} nearest recordings", anchor=False)
    player_place = st.container()
    chosen = panels.show_neighbours(found)
    with player_place:
        panels.show_player(query, chosen)
    with st.container(horizontal=True):
        panels.show_exports(found)
        panels.offer_to_keep(query)
    panels.explain(found)
