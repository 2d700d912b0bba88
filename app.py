"""The server: `streamlit run app.py`."""

import pandas  # noqa: F401 — Plotly takes it half-imported if the first two visitors' threads meet; here there is one
import streamlit as st

from pages.shared.app.guards import GUARDS
from pages.shared.app.routes import ROUTES, lifespan

app = st.App("home.py", routes=ROUTES, middleware=GUARDS, lifespan=lifespan)
