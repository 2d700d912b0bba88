"""The server: `streamlit run app.py`."""

import inspect
from importlib import import_module

import pandas  # noqa: F401 — Plotly takes it half-imported if the first two visitors' threads meet; here there is one
import streamlit as st

from pages.shared.app.guards import GUARDS
from pages.shared.app.routes import ROUTES, lifespan
from pages.shared.map.packs import PACK_ROUTES
from pages.shared.map.points.modules import MODULES as MAP
from pages.shared.widgets.modules import module_routes
from pages.shared.widgets.player.modules import MODULES as PLAYER

PANELS = ("home", "library", "layers", "map", "listen", "judge", "learn", "for_you", "study")
for name in ("app.page", *(f"{panels}.panels" for panels in PANELS)):
    import_module(f"pages.shared.{name}")  # or the first visitor of a page would wait for what it is made of
inspect.stack()  # Streamlit asks for it once, in the first run: where a frame is from is looked up in all modules, once

routes = [*ROUTES, *PACK_ROUTES, *module_routes(PLAYER, MAP)]
app = st.App("home.py", routes=routes, middleware=GUARDS, lifespan=lifespan)
