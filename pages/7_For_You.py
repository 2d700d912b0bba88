"""What may this listener want to hear next, and why?"""

import streamlit as st

from pages.shared.app.frame import PageIsOver
from pages.shared.app.page import page
from pages.shared.for_you import history, panels, taste
from pages.shared.for_you.radio import is_on, show_radio
from pages.shared.for_you.rows import show_beginning, show_rows
from pages.shared.widgets.pickers import choose_hearing

with page("For You"):
    with st.sidebar:
        scope = choose_hearing()
    listener = panels.choose_listener(scope)
    known = panels.find(scope, listener)
    if panels.is_at_the_beginning(known):
        show_beginning(scope, known)
        history.show(scope, listener)
        panels.explain(scope)
        raise PageIsOver
    with st.container():
        taste.say(scope, known)
        section = panels.choose_section()
        panels.say_what_it_is(scope, known, section)
    if is_on():
        show_radio(scope, known)
    else:
        show_rows(scope, known)
        panels.show_numbers(known)
        panels.show_exports(known)
    with st.container():
        taste.show(scope, known)
        panels.ask_why_not(scope, known)
        history.show(scope, listener)
    panels.explain(scope)
