"""Which encoder serves which recommender, is it better than chance, and is it the sound that helps?"""

import streamlit as st

from pages.shared.app.frame import PageIsOver
from pages.shared.app.page import page
from pages.shared.study import figures, panels

with page("Study"):
    st.markdown(
        "Do recommendations get better when the music is **heard**? Recommenders that go by what an encoder hears are "
        "tried on what listeners took to later, beside those that go by other listeners alone, beside **chance**, and "
        "beside themselves with the recordings **exchanged**: what they still reach then is not owed to the sound."
    )
    study = panels.choose_study()
    panels.offer_to_run(study)
    if study is None:
        panels.explain()
        raise PageIsOver
    table = panels.choose_table(study)
    panels.say(table)
    figures.show_models(table)
    figures.show_layers(table)
    figures.show_every_figure(table)
    figures.show_curves(table)
    panels.show_exports(table)
    panels.explain(table)
