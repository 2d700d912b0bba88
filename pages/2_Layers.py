"""Which layer of the encoder carries which musical property, and how sure is that?"""

import streamlit as st

from pages.shared.app.frame import PageIsOver
from pages.shared.app.page import page
from pages.shared.layers import panels
from pages.shared.layers.evaluation import show_faithfulness, show_similarity
from pages.shared.widgets.pickers import choose_encoder

with page("Layers"):
    ask, settings = st.columns([1, 2], gap="large")
    with ask:
        scope = choose_encoder()
    with settings:
        group, level = panels.choose()
    found = panels.find(scope, group, level)
    if found is None:
        panels.explain()
        raise PageIsOver
    panels.show_scope(found)
    panels.show_heatmap(found)
    panels.compare(found)
    panels.ask_elsewhere(scope, found)
    panels.show_aspects(found)
    panels.show_exports(found)
    show_faithfulness(scope)
    show_similarity(scope)
    panels.explain()
