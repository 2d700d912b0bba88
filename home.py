"""What can I try, what is here, and what to do next?"""

import streamlit as st

from pages.shared.app.page import page
from pages.shared.home import panels

with page("Which recordings are like this one?"):
    st.markdown(
        "MESS finds recordings that are **like** the one you hold, says **how sure** it is, and lets you **hear** "
        "both side by side. Everything happens on this machine; nothing is sent anywhere."
    )
    panels.try_this()
    panels.next_steps()
    panels.what_is_here()
    panels.how_it_works()
