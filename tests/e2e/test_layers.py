"""Layers in a real browser: a cell comes into sight, its layer listens, the way leads back; on a phone it is read."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PATIENCE_MS, settle

pytestmark = pytest.mark.e2e


def click_first_cell(page: Page) -> None:
    mark = page.locator(".js-plotly-plot").first.locator(".barlayer .points path").first
    expect(mark).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    box = mark.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_a_clicked_cell_comes_into_sight_and_its_layer_listens(app, open_page, tracks):
    page = open_page(
        f"{app.url}/Layers?library=music&query={tracks[3]}", viewport={"width": 1440, "height": 900},
        reduced_motion="reduce",
    )  # fmt: skip
    click_first_cell(page)
    page.wait_for_function(
        """() => {
          const box = document.querySelector(".st-key-cell")?.getBoundingClientRect();
          return box && box.height > 300 && box.top >= 0 && box.bottom <= window.innerHeight + 1;
        }""",
        timeout=PATIENCE_MS,
    )
    page.get_by_role("link", name="Listen with this layer").click()
    expect(page.get_by_text("Only this layer listens")).to_be_visible(timeout=PATIENCE_MS)
    expect(page).to_have_url(re.compile("hearing=hearing%3Alayer%3Amel%3A0"), timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name="10 nearest recordings")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Back to that layer").click()
    expect(page.locator(".st-key-cell")).to_be_visible(timeout=PATIENCE_MS)
    expect(page).to_have_url(re.compile("target=.*at=0"), timeout=PATIENCE_MS)


def test_on_a_phone_no_label_of_a_column_lies_on_another(app, open_page):
    """The picture keeps its width and is pushed sideways; the page itself is not wider than the phone."""
    page = open_page(f"{app.url}/Layers?library=music", viewport={"width": 390, "height": 844})
    labels = page.locator(".js-plotly-plot").first.locator(".xtick text")
    expect(labels.first).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    boxes = [labels.nth(number).bounding_box() for number in range(labels.count())]
    places = sorted(box["x"] + box["width"] for box in boxes)  # each ends below its column
    assert min(right - left for left, right in itertools.pairwise(places)) > 8
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
