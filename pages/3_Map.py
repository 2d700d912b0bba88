"""What does the library look like to each layer of the encoder, and how far is the picture to be trusted?"""

import streamlit as st

from pages.shared import map_panels as panels
from pages.shared import map_views
from pages.shared.frame import PageIsOver
from pages.shared.map_colours import choose_colour
from pages.shared.page import page
from pages.shared.query_panels import choose_encoder

with page("Map"):
    with st.sidebar:
        encoder_id = choose_encoder()
        settings = panels.choose_settings()
    layers = map_views.drawn_layers(encoder_id, settings)
    if not layers:
        panels.offer_to_draw(encoder_id, settings)
        raise PageIsOver
    layer = panels.choose_layer(layers)
    view = map_views.view(encoder_id, layer, settings)
    with st.sidebar:
        colour = choose_colour(view)
    panels.explore(view, encoder_id, colour)
    panels.show_trust(view, encoder_id, settings)
    panels.show_names(view, encoder_id)
    panels.show_all_layers(encoder_id, layers, settings, colour)
    panels.explain(view)
