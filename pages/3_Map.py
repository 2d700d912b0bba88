"""What does the library look like to each layer of the encoder, and how far is the picture to be trusted?"""

import streamlit as st

from pages.shared.app.frame import PageIsOver
from pages.shared.app.page import page
from pages.shared.map import panels, views
from pages.shared.map.colours import choose_colour
from pages.shared.map.large import explore
from pages.shared.widgets.pickers import choose_encoder

with page("Map"):
    with st.sidebar:
        scope = choose_encoder()
        settings = panels.choose_settings()
    layers = views.drawn_layers(scope, settings)
    if not layers:
        panels.offer_to_draw(scope, settings)
        raise PageIsOver
    with st.sidebar:
        layer = panels.choose_layer(layers, scope.info.main_layer)
    view = views.view(scope, layer, settings)
    with st.sidebar:
        colour = choose_colour(view, scope)
    explore(view, scope, colour)
    panels.show_trust(view, scope, settings)
    panels.show_names(view, scope)
    panels.show_all_layers(view, scope, layers, colour)
    panels.explain(view)
