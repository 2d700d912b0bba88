"""Listen in a real browser: ask by aspect, draw a passage, hear a moment, keep an opinion, follow a neighbour."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mess_core.workspace.workspace import Workspace
from tests.e2e.conftest import PATIENCE_MS, settle

pytestmark = pytest.mark.e2e


@pytest.fixture
def listen(app, open_page):
    """Open Listen with a query and wait for its neighbours."""

    def listen(query: str, **choices: str) -> Page:
        link = "&".join(f"{name}={value}" for name, value in {"query": query, "library": "music", **choices}.items())
        page = open_page(f"{app.url}/Listen?{link}")
        expect(page.get_by_role("heading", name="Why?")).to_be_visible(timeout=PATIENCE_MS)
        settle(page)
        return page

    return listen


def nearest(page: Page) -> str:
    """The first neighbour in the player."""
    return page.locator("section.player").first.get_by_role("radio").nth(1).inner_text()


def test_a_slider_moved_by_key_changes_the_list_and_the_link(listen, tracks):
    page = listen(tracks[3])
    slider = page.get_by_role("slider", name="brightness")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("brightness=1"), timeout=PATIENCE_MS)
    settle(page)
    assert any(name in nearest(page) for name in ("cutoff 557", "cutoff 1034"))


def test_a_passage_drawn_on_the_waveform_narrows_the_question(listen, tracks):
    page = listen(tracks[5])
    page.get_by_role("button", name="Passage", exact=True).first.click()
    draw(page, 0.1, 0.6)
    expect(page).to_have_url(re.compile("passage=0.6"), timeout=PATIENCE_MS)
    settle(page)
    expect(page.get_by_text("10 nearest recordings")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Why?")).to_be_visible(timeout=PATIENCE_MS)
    assert "passage=0.6" in page.url  # a link, so a reload asks the same


def draw(page: Page, start: float, end: float) -> None:
    """Drag over the waveform, from one fraction of its width to another."""
    box = page.locator("canvas.waveform").first.bounding_box()
    page.mouse.move(box["x"] + start * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], box["y"] + 20, steps=5)
    page.mouse.up()


def test_a_neighbour_is_followed_and_the_way_back_leads_home(listen, tracks):
    page = listen(tracks[2])
    page.get_by_role("button", name="Find like this").first.click()
    expect(page).not_to_have_url(re.compile(tracks[2]), timeout=PATIENCE_MS)
    expect(page.get_by_text("Came from")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_test_id("stBaseButton-tertiary").first.click()
    expect(page).to_have_url(re.compile(tracks[2]), timeout=PATIENCE_MS)


def test_a_thumb_and_what_was_heard_outlive_the_visit(listen, app, tracks):
    page = listen(tracks[4])
    page.get_by_test_id("stFeedback").first.locator("button").first.click()
    page.get_by_role("button", name="Play", exact=True).first.click()
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Pause", exact=True).first.click()
    opinions = Workspace(app.home).opinions
    for _ in range(100):
        if opinions.verdicts(tracks[4]) and opinions.seconds_heard().get(tracks[4], 0) > 1:
            break
        page.wait_for_timeout(100)
    assert list(opinions.verdicts(tracks[4]).values()) == ["like"]
    assert 1 < opinions.seconds_heard()[tracks[4]] < 10


def test_a_cell_of_the_map_of_moments_is_heard_in_both(listen, tracks):
    page = listen(tracks[4])
    page.get_by_role("tab", name="Moments").click()
    cells = page.locator(".scatterlayer .points path")
    expect(cells.first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Query at 0:0")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("section.player")).to_have_count(2, timeout=PATIENCE_MS)
    page.locator("section.player").nth(1).get_by_role("button", name="Play", exact=True).click()
    position = page.locator("section.player").nth(1).get_by_role("slider", name="Position")
    expect(position).not_to_have_attribute("aria-valuenow", "0", timeout=PATIENCE_MS)


def test_two_visitors_ask_apart(listen, tracks):
    one, other = listen(tracks[0]), listen(tracks[11])
    assert nearest(one) != nearest(other)
    one.get_by_role("button", name="same sound").click()
    settle(one)
    assert "brightness" in one.url and "brightness" not in other.url


@pytest.mark.parametrize(("button", "beginning"), [("CSV", "rank,"), ("JSON", "{"), ("Playlist (M3U8)", "#EXTM3U")])
def test_the_list_is_saved_as_a_file(listen, tracks, button, beginning):
    page = listen(tracks[4], k="3")
    with page.expect_download(timeout=PATIENCE_MS) as download:
        page.get_by_role("button", name=button, exact=True).click()
    text = Path(download.value.path()).read_text("utf-8")
    assert text.startswith(beginning) and text.count("cutoff") >= 3
