"""Which of two is more like a third, as somebody hears it, and how far can that be relied on?"""

import streamlit as st

from pages.shared.app.frame import PageIsOver
from pages.shared.app.page import page
from pages.shared.judge import panels
from pages.shared.judge.sitting import current_sitting, show_sitting

with page("Judge"):
    scope = panels.choose_scope()
    sitting = current_sitting(scope)
    if sitting is not None and show_sitting(scope, sitting):
        raise PageIsOver
    st.markdown(
        "Listen to **X**, **A** and **B**, without names, and say which of the two is more like X. "
        "MESS learns from it what *you* hear as alike, and says how far your answers can be relied on."
    )
    panels.begin(scope)
    panels.show_judged(scope)
    panels.exchange()
    panels.explain()
