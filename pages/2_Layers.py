"""Which layer of the encoder carries which musical property, and how sure is that?"""

import streamlit as st

from pages.shared.app.frame import PageIsOver
from pages.shared.app.page import page
from pages.shared.layers import panels
from pages.shared.layers.evaluation import show_faithfulness, show_layer_choice

with page("Layers"):
    first = st.container()  # what was found stands above what it was asked by
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        scope, group, level = panels.choose()
        found = panels.find(scope, group, level)
        panels.offer_to_run(scope, found, group, level)
    panels.say_which_layers(scope)
    with first:
        panels.say_which_run(scope, found, group, level)
        panels.say_what_was_found(scope, found, group, level)
    if found is None:
        panels.explain()
        raise PageIsOver
    panels.say_which_cell(found)
    panels.show_heatmap(found)
    panels.show_scope(found)
    panels.compare(found)
    panels.ask_elsewhere(scope, found)
    show_layer_choice(scope)
    panels.show_aspects(found)
    show_faithfulness(scope)
    panels.show_exports(found)
    panels.explain()
