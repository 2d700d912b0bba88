"""The map in a real browser: draw it, move through the layers, click a point and hear it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from mess_core.encoders.mel import MEL
from mess_core.work.map import MapRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import Workspace
from tests.conftest import work

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def app(serve, bright_library, tmp_path_factory):
    """The server on a small library that is not drawn yet."""
    root = tmp_path_factory.mktemp("map") / "home"
    shutil.copytree(bright_library, root)
    return serve(ROOT / "app.py", home=root)


def test_a_map_is_drawn_explored_and_heard(app, open_page):
    """From nothing to a point that sounds, and on to Listen with it as the query."""
    page = open_page(f"{app.url}/Map?library=music")
    draw = page.get_by_role("button", name="Draw the map")
    expect(draw).to_be_visible(timeout=PATIENCE_MS)
    draw.click()
    points = page.locator(".js-plotly-plot").first.locator(".scatterlayer .points path")
    expect(points.nth(11)).to_be_visible(timeout=PATIENCE_MS)
    before = points.nth(3).get_attribute("transform")

    slider = page.get_by_role("slider", name="Layer")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("layer=aspects"), timeout=PATIENCE_MS)
    expect(points.nth(3)).not_to_have_attribute("transform", before or "", timeout=PATIENCE_MS)

    page.wait_for_timeout(1500)  # the points are still moving
    box = points.nth(3).bounding_box()
    page.evaluate("addEventListener('mess-heard-in-passing', ({detail}) => { window.__passed = detail.trackId; })")
    with page.expect_request("**/preview/*", timeout=PATIENCE_MS) as heard:
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)  # and it rests there
    assert heard.value.url.endswith(page.evaluate("window.__passed"))
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible(timeout=PATIENCE_MS)  # it plays
    position = page.get_by_role("slider", name="Position")
    expect(position).not_to_have_attribute("aria-valuenow", "0", timeout=PATIENCE_MS)
    segments = page.locator(".js-plotly-plot g.trace:has(path.js-line) path.point")
    expect(page.locator(".js-plotly-plot path.point[data-heard]")).to_have_count(1, timeout=PATIENCE_MS)
    expect(segments.last).to_have_attribute("data-heard", "", timeout=PATIENCE_MS)  # it moves on with the sound
    pause = page.get_by_role("button", name="Pause", exact=True)
    if pause.is_visible():  # else it has come to its end, which is told as well
        pause.click()
    opinions = Workspace(app.home).opinions
    for _ in range(100):
        if opinions.seconds_heard():
            break
        page.wait_for_timeout(100)
    assert sum(opinions.seconds_heard().values()) > 0.5
    page.get_by_role("button", name="Find like this").click()
    expect(page.get_by_text("The star is the query of Listen")).to_be_visible(timeout=PATIENCE_MS)
    known = {track.track_id for track in Workspace(app.home).catalogue.tracks("music")}
    expect(page).to_have_url(re.compile("query="), timeout=PATIENCE_MS)  # written once all of the page is drawn
    assert page.url.split("query=")[1].split("&")[0] in known


@pytest.fixture(scope="module")
def drawn(serve, bright_library, tmp_path_factory):
    """The server on the same library, drawn."""
    root = tmp_path_factory.mktemp("drawn") / "home"
    shutil.copytree(bright_library, root)
    home = Workspace(root)
    submit(home, MapRequest("music", MEL.id))
    work(home)
    home.database.close()
    return serve(ROOT / "app.py", home=root)


def test_the_map_is_as_high_as_the_window_and_nothing_in_it_scrolls(drawn, open_page):
    """It follows the window; the points in its lower half are seen and can be clicked; the page has one scroll bar."""
    page = open_page(f"{drawn.url}/Map?library=music", viewport={"width": 1440, "height": 900})
    points = page.locator(".js-plotly-plot").first.locator(".scatterlayer .points path")
    expect(points.nth(11)).to_be_visible(timeout=PATIENCE_MS)
    for height in (900, 700):
        page.set_viewport_size({"width": 1440, "height": height})
        page.wait_for_function(
            """height => {
              const box = document.querySelector(".st-key-map .js-plotly-plot").getBoundingClientRect();
              return box.height > 0.75 * height && box.bottom <= height;
            }""",
            arg=height,
            timeout=PATIENCE_MS,
        )
        lowest = max((points.nth(number).bounding_box() for number in range(12)), key=lambda box: box["y"])
        assert lowest["y"] > height / 2  # it is used down to the bottom
    scrolling = page.evaluate(
        """() => [...document.querySelectorAll("[data-testid=stMain] *")].filter((each) =>
          each.scrollHeight > each.clientHeight + 1 && ["auto", "scroll"].includes(getComputedStyle(each).overflowY)
          && each.closest(".st-key-map-window")).map((each) => each.className)"""
    )
    assert scrolling == []


def test_what_is_pointed_at_in_the_player_is_ringed_on_the_map(drawn, open_page):
    """Each row rings its own point, and no other; what is left is not ringed any more."""
    page = open_page(f"{drawn.url}/Map?library=music", viewport={"width": 1440, "height": 900})
    points = page.locator(".js-plotly-plot").first.locator(".scatterlayer .points path")
    expect(points.nth(11)).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_timeout(1500)  # the points are still moving
    box = points.nth(3).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tracks, ringed = page.locator("section.player .track"), page.locator(".st-key-map path[data-ringed]")
    expect(tracks.nth(3)).to_be_visible(timeout=PATIENCE_MS)
    places = set()
    for number in range(4):
        tracks.nth(number).hover()
        expect(ringed).to_have_count(1, timeout=PATIENCE_MS)
        places.add(ringed.get_attribute("transform"))
    assert len(places) == 4
    page.get_by_role("heading", level=1).hover()
    expect(ringed).to_have_count(0)
