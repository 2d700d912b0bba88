"""The large map in a browser: what is sent for it, how soon it is drawn, says what a point is, and is drawn around.

    python -m benchmarks.shown_map [--points 100000]

Beside it Plotly's `scattergl` with the same points on a page of its own, served without our policy, under which it
draws nothing: what stood here before. Chromium draws in software, as there is no window: on a graphics card both are
quicker, and what the page is sent is the same.

    sent     kilobytes, of the page and what it fetches, until the points are there
    drawn    the second visit of a warm server, from the address to the points
    hover    from the pointer's last move to the words
    lasso    from letting go to the points being marked (of Plotly's to the browser answering again)
    said     from letting go to the page saying how many
    page     kilobytes that this sends
"""

from __future__ import annotations

import argparse
import os
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.listen import ROOT, browser, served
from benchmarks.planted_map import LIBRARY, plant_map
from mess_core.encoders.mel import MEL
from mess_core.maps.drawing import load_view
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

N_POINTS = 100_000
PATIENCE_MS = 300_000
GOALS = {"sent": 4000, "drawn": 5.0, "hover": 0.2, "lasso": 1.0, "said": 3.0, "page": 500}
IS_OVER = "() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
PLOTLY = """
    import numpy as np
    import plotly.graph_objects as go
    import streamlit as st
    st.set_page_config(layout="wide")
    kept = np.load({path!r})
    @st.fragment
    def show():
        figure = go.Figure(go.Scattergl(
            x=kept["x"], y=kept["y"], mode="markers", marker={{"color": kept["colour"]}}, customdata=kept["ids"],
            text=kept["ids"], hovertemplate="%{{text}}<extra></extra>",
        ))
        figure.update_layout(dragmode="lasso", uirevision="map")
        with st.container(key="map"):
            event = st.plotly_chart(figure, key="chart", on_select="rerun", selection_mode=("lasso",), height=700)
        st.text(f"{{len(event.selection.points)}} chosen")
    show()
"""


class Traffic:
    """What a page receives, in bytes, on its socket and of packs of points."""

    def __init__(self, page: Any) -> None:
        self.n_bytes = 0
        page.on("websocket", lambda socket: socket.on("framereceived", self._add_message))
        page.on("response", self._add_answer)

    def _add_message(self, message: bytes | str) -> None:
        self.n_bytes += len(message)

    def _add_answer(self, answer: Any) -> None:
        if "/points/" in answer.url:
            self.n_bytes += int(answer.headers["content-length"])

    def take_kilobytes(self) -> float:
        taken, self.n_bytes = self.n_bytes / 1000, 0
        return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=N_POINTS)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for line in lines(parser.parse_args().points):
        print(line, flush=True)


def lines(n_points: int = N_POINTS) -> Iterator[str]:
    """The table, a row for each measure."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "home"
        plant_map(root, n_points)
        workspace = Workspace(root)
        plain = Path(folder) / "plotly.py"
        plain.write_text(textwrap.dedent(PLOTLY.format(path=str(_points_of(workspace, Path(folder))))))
        with browser() as chromium:
            with served(ROOT / "app.py", workspace) as (url, _):
                address = f"{url}/Map?library={LIBRARY}&encoder={MEL.id}&colour=instrument"
                ours = [_ours(chromium, address) for _ in range(2)][-1]
            with served(plain, workspace) as (url, _):
                theirs = [_plotly(chromium, url) for _ in range(2)][-1]
        workspace.close()
    yield f"{n_points} points in Chromium{'ours':>30} {'Plotly':>9}"
    units = {"sent": "kB", "drawn": "s", "hover": "s", "lasso": "s, marked", "said": "s, told", "page": "kB"}
    for name, unit in units.items():
        yield f"{f'{name} ({unit})':>40} {ours[name]:12.2f} {theirs[name]:9.2f}   (bar {GOALS[name]:g})"


def _points_of(workspace: Workspace, folder: Path) -> Path:
    """The same points for Plotly."""
    view = load_view(Scope(workspace, LIBRARY, MEL), 0)
    assert view is not None
    instruments = {track.track_id: str(track.instrument) for track in workspace.catalogue.tracks(LIBRARY)}
    codes = np.unique([instruments[track_id] for track_id in view.track_ids], return_inverse=True)[1]
    path = folder / "points.npz"
    np.savez(
        path, x=np.array(view.x, np.float32), y=np.array(view.y, np.float32), colour=codes, ids=np.array(view.track_ids)
    )
    return path


def _ours(chromium: Any, address: str) -> dict[str, float]:
    page = _new_page(chromium)
    traffic, took, start = Traffic(page), {}, time.perf_counter()
    page.goto(address)
    page.locator("section.map[data-ready]").wait_for()
    took["drawn"], took["sent"] = time.perf_counter() - start, traffic.take_kilobytes()
    page.wait_for_function(IS_OVER)
    box = page.locator("section.map .plane").bounding_box()
    took["hover"] = _hover(page, box, page.locator("section.map .said"))
    page.get_by_role("radio", name="Lasso").click()
    traffic.take_kilobytes()
    start = _draw_around(page, box)
    page.locator("section.map:not([data-chosen='0'])").wait_for()
    took["lasso"] = time.perf_counter() - start
    page.get_by_text("recordings chosen").wait_for()
    took["said"] = time.perf_counter() - start
    page.wait_for_function(IS_OVER)
    page.wait_for_timeout(1000)
    took["page"] = traffic.take_kilobytes()
    page.close()
    return took


def _plotly(chromium: Any, address: str) -> dict[str, float]:
    page = _new_page(chromium)
    traffic, took, start = Traffic(page), {}, time.perf_counter()
    page.goto(address)
    page.locator(".st-key-map .js-plotly-plot canvas").first.wait_for()
    page.get_by_text("0 chosen").wait_for()
    took["drawn"], took["sent"] = time.perf_counter() - start, traffic.take_kilobytes()
    page.wait_for_timeout(3000)
    box = page.locator(".st-key-map .js-plotly-plot").bounding_box()
    took["hover"] = _hover(page, box, page.locator(".hoverlayer .hovertext").first)
    traffic.take_kilobytes()
    start = _draw_around(page, box)
    took["lasso"] = time.perf_counter() - start
    page.locator("[data-testid=stText]").filter(has_not_text="0 chosen").or_(
        page.get_by_text("00 chosen")
    ).first.wait_for()  # fmt: skip
    took["said"] = time.perf_counter() - start
    page.wait_for_timeout(1000)
    took["page"] = traffic.take_kilobytes()
    page.close()
    return took


def _new_page(chromium: Any) -> Any:
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    return page


def _hover(page: Any, box: dict[str, float], words: Any) -> float:
    """From the middle of the map, where points are; the first move is not counted."""
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 40, y)
    page.wait_for_timeout(500)
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    page.wait_for_timeout(500)
    start = time.perf_counter()
    page.mouse.move(x, y)
    words.wait_for()
    return time.perf_counter() - start


def _draw_around(page: Any, box: dict[str, float]) -> float:
    """The middle quarter; returns when the pointer was let go."""
    left, right = (box["x"] + box["width"] * share for share in (0.25, 0.75))
    top, bottom = (box["y"] + box["height"] * share for share in (0.25, 0.75))
    page.mouse.move(left, top)
    page.mouse.down()
    for corner in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(*corner, steps=8)
    start = time.perf_counter()
    page.mouse.up()
    return start


if __name__ == "__main__":
    main()
