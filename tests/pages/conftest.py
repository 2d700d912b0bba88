"""A data folder of its own for each test of a page, and the way in."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from mess_core.collections.opening import read_track
from mess_core.encoders.nano import NANO
from tests.conftest import work

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def fresh(home, monkeypatch):
    """Each test has its own data folder; what Streamlit cached belongs to another one."""
    monkeypatch.setenv("MESS_HOME", str(home.paths.root))
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture
def launch():
    """Open a page as a visitor does: home first, then the page."""

    def launch(page: str | None = None, **query: str) -> AppTest:
        at = AppTest.from_file(str(ROOT / "home.py"), default_timeout=60)
        for name, value in query.items():
            at.query_params[name] = value
        at.run()
        if page:
            at.switch_page(page)
            at.run()
        assert not at.exception
        return at

    return launch


@pytest.fixture
def library(home, write_wav) -> list[str]:
    """Four recordings, embedded with the embedded encoder; returns their track ids."""
    new = [read_track(write_wav(f"track {seed}", 3.0, seed)) for seed in range(4)]
    home.catalogue.add(new[0].audio.parent, new, "music")
    home.request_extract("music", NANO.id)
    work(home)
    return [item.track.track_id for item in new]
