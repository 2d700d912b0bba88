"""A data folder of its own for each test of a page, and the way in."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from mess_core.collections.opening import read_track
from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.probing.result import ProbeSettings
from mess_core.work import targets as work_of_targets
from mess_core.work.extract import ExtractRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import Workspace
from pages.shared.listen import rows
from pages.shared.widgets.player.player import PlayerTrack
from tests.conftest import move_in, take, work, write_recording
from tests.planted import work_here

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def fresh(home, monkeypatch, scanned_once):
    """Each test has its own data folder; what Streamlit cached belongs to another one, and so does its `__main__`."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # else a later test's process runs a page
    monkeypatch.setenv("MESS_HOME", str(home.paths.root))
    # No process is started to measure four short recordings.
    monkeypatch.setattr(work_of_targets, "work_through", work_here)
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
        at.session_state["show numbers"] = True  # on Listen: what most tests read the answer off
        at.run()
        if page:
            at.switch_page(page)
            at.run()
        assert not at.exception
        return at

    return launch


class RowClicks:
    """What a visitor clicks in the list on Listen, which only a browser draws. shown : its tracks as drawn last"""

    def __init__(self) -> None:
        self.shown: list[PlayerTrack] = []
        self._clicks: list[tuple] = []

    def __call__(self, at: AppTest, what: str, row: int, *given: str) -> None:
        """`what` is "follow", "judge", "take" or "open"; row 0 is the query, if there is one."""
        has_query = "query" in at.query_params
        self._clicks.append((what, self.shown[row if has_query else row - 1].id, *given))
        at.run()
        assert not at.exception

    def draw(self, tracks: list[PlayerTrack], **settings) -> None:
        self.shown = list(tracks)
        while self._clicks:
            what, *given = self._clicks.pop()
            settings[f"on_{what}"](*given)


@pytest.fixture
def click_in_row(monkeypatch) -> RowClicks:
    clicks = RowClicks()
    monkeypatch.setattr(rows, "player", clicks.draw)
    return clicks


def ids_by_title(home: Workspace) -> list[str]:
    return [track.track_id for track in sorted(home.catalogue.tracks("music"), key=lambda track: track.title)]


@pytest.fixture
def library(home, made_once, tmp_path) -> list[str]:
    """Four recordings, embedded with the embedded encoder; returns their track ids."""
    take(made_once("library", _make_library), home, tmp_path / "music")
    return ids_by_title(home)


def _make_library(folder: Path) -> None:
    home = Workspace(folder / "home")
    new = [read_track(write_recording(folder / "music" / f"track {seed}.wav", 3.0, seed)) for seed in range(4)]
    home.catalogue.add(folder / "music", new, "music")
    submit(home, ExtractRequest("music", NANO.id))
    work(home)
    home.database.close()


@pytest.fixture
def bright(bright_library, home) -> list[str]:
    """A copy of the bright library for one test; the ids of its tracks, the darkest first."""
    move_in(bright_library, home)
    tracks = home.catalogue.tracks("music")
    return [track.track_id for track in sorted(tracks, key=lambda track: int(track.title.split()[1]))]


@pytest.fixture
def probed(home, made_once, tmp_path) -> list[str]:
    """Ten recordings, embedded and probed by the mel control, row by track and row by segment; their track ids."""
    take(made_once("probed", _make_probed), home, tmp_path / "music")
    return ids_by_title(home)


def _make_probed(folder: Path) -> None:
    home = Workspace(folder / "home")
    new = [read_track(write_recording(folder / "music" / f"t{seed}.wav", 6.2, seed)) for seed in range(10)]
    home.catalogue.add(folder / "music", new, "music")
    submit(home, ExtractRequest("music", MEL.id))
    for level in ("track", "segment"):
        submit(home, ProbeRequest("music", MEL.id, "work", level, ProbeSettings(n_permutations=0)))
    work(home)
    home.database.close()


def words(at: AppTest) -> str:
    """Everything a reader can read on the page."""
    kinds = (at.markdown, at.text, at.caption, at.title, at.subheader)
    said = [str(element.value) for kind in kinds for element in kind]
    said += [bar.proto.text for bar in at.get("progress")]
    return "\n".join([*said, *(re.sub("<[^>]*>", "", element.proto.body) for element in at.get("html"))])


def figures(at: AppTest) -> list[dict]:
    """What Plotly was given, in the order of the page."""
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]
