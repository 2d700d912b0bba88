"""Which music is here, and is it ready to be searched?"""

import streamlit as st

from pages.shared.app.page import page
from pages.shared.library import panels

with page("Library"):
    st.subheader("1 · Encoder", anchor=False)
    encoder_id = panels.choose_encoder()
    st.subheader("2 · Music", anchor=False)
    panels.add_music(encoder_id)
    st.subheader("3 · Embedding", anchor=False)
    panels.embed(encoder_id)
    st.subheader("Tracks", anchor=False)
    panels.show_tracks(encoder_id)
