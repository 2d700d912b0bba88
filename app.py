"""The server: `streamlit run app.py`."""

import streamlit as st

from pages.shared.guards import GUARDS
from pages.shared.routes import ROUTES, lifespan

app = st.App("home.py", routes=ROUTES, middleware=GUARDS, lifespan=lifespan)
