"""What is here, and what to do next?"""

import streamlit as st

from pages.shared import home_panels as panels
from pages.shared.frame import explain_errors, open_page
from pages.shared.jobs_panel import show_jobs

open_page("Which recordings are like this one?")

with explain_errors():
    st.markdown(
        "MESS finds recordings that are **like** the one you hold, says **how sure** it is, and lets you **hear** "
        "both side by side. Everything happens on this machine; nothing is sent anywhere."
    )
    show_jobs()
    panels.next_steps()
    panels.what_is_here()
    panels.how_it_works()
