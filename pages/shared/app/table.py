"""A table of facts, the same on every page: as wide as its place, and a dash where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st


def show_table(rows: Sequence[Mapping[str, Any]], **options: Any) -> Any:
    """Rows as Streamlit's own table shows them; options and what comes back are those of `st.dataframe`."""
    return st.dataframe(rows, **{"hide_index": True, "width": "stretch", "placeholder": "–", **options})
