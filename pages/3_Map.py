"""What does the library look like to each layer of the encoder, and how far is the picture to be trusted?"""

import streamlit as st

from pages.shared.app.frame import PageIsOver
from pages.shared.app.page import page
from pages.shared.map import panels, views
from pages.shared.map.colours import choose_colour
from pages.shared.widgets.pickers import choose_encoder

with page("Map"):
    with st.sidebar:
        encoder_id = choose_encoder()
        settings = panels.choose_settings()
    layers = views.drawn_layers(encoder_id, settings)
    if not layers:
        panels.offer_to_draw(encoder_id, settings)
        raise PageIsOver
    layer = panels.choose_layer(layers)
    view = views.view(encoder_id, layer, settings)
    with st.sidebar:
        colour = choose_colour(view)
    panels.explore(view, encoder_id, colour)
    panels.show_trust(view, encoder_id, settings)
    panels.show_names(view, encoder_id)
    panels.show_all_layers(encoder_id, layers, settings, colour)
    panels.explain(view)
