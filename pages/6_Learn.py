"""What can be learned here from ratings, performances or answers, and does it help on what was not learned from?"""

import streamlit as st

from pages.shared.app.frame import PageIsOver
from pages.shared.app.page import page
from pages.shared.learn import panels
from pages.shared.learn.figures import show_curve, show_figures, show_hiding
from pages.shared.widgets.pickers import choose_encoder

with page("Learn"):
    with st.sidebar:
        scope = choose_encoder(also_hearings=True)
    st.markdown(
        "Teach MESS what *alike* means, by ratings, by performances, or by answers given on Judge; and see whether "
        "that **helps** on music it was not taught with."
    )
    panels.show_active(scope)
    source = panels.choose(scope)
    panels.offer_to_learn(scope, source)
    report = panels.find(scope, source)
    if report is None:
        panels.explain()
        raise PageIsOver
    panels.show_verdict(report)
    show_figures(report)
    show_curve(report)
    show_hiding(report)
    panels.show_exports(scope, report)
    panels.explain()
