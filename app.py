"""The server: `streamlit run app.py`."""

import pandas  # noqa: F401 — Plotly takes it half-imported if the first two visitors' threads meet; here there is one
import streamlit as st

from pages.shared.app.guards import GUARDS
from pages.shared.app.routes import ROUTES, lifespan
from pages.shared.widgets.player.modules import MODULE_ROUTES

app = st.App("home.py", routes=[*ROUTES, *MODULE_ROUTES], middleware=GUARDS, lifespan=lifespan)
