"""Which music is here, and is it ready to be searched?"""

import streamlit as st

from pages.shared.app.page import page
from pages.shared.library import panels
from pages.shared.library.engine import choose_engine

with page("Library"):
    st.subheader("1 · Music", anchor=False)
    music = st.container()  # drawn once it is known what will hear it
    st.subheader("2 · Encoder", anchor=False)
    encoder_id = panels.choose_encoder()
    with music:
        panels.add_music(encoder_id)
    st.subheader("3 · Embedding", anchor=False)
    panels.embed(encoder_id)
    st.subheader("Tracks", anchor=False)
    panels.show_tracks(encoder_id)
    choose_engine()
