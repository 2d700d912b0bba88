"""For You in a real browser: from nothing known to lists that change with every thumb, and a radio that goes on."""

from __future__ import annotations

import re
import shutil
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from mess_core.workspace.workspace import Workspace
from pages.shared.for_you.rows import player_of
from tests.e2e.conftest import PATIENCE_MS, ROOT, Server, settle

pytestmark = pytest.mark.e2e


@pytest.fixture
def own_app(serve, bright_library, tmp_path) -> Server:
    """The app on a copy of the bright library, of this test alone."""
    home = tmp_path / "home"
    shutil.copytree(bright_library, home)
    return serve(ROOT / "app.py", home=home)


def opinions(server: Server, listener: str = "me") -> list[dict]:
    home = Workspace(server.home)
    found = home.opinions.export(listener)
    home.close()
    return found


def like(server: Server, listener: str = "me", n: int = 3) -> list[str]:
    home = Workspace(server.home)
    ids = home.catalogue.track_ids("music")[:n]
    for track_id in ids:
        home.opinions.judge(track_id, "like", listener=listener)
    home.close()
    return ids


def rows(page: Page):
    return page.locator("section.player .row")


def titles(page: Page) -> list[str]:
    """Of the rows, as their thumbs name them."""
    thumbs = page.locator("section.player .row .act.dislike").all()
    return [thumb.get_attribute("aria-label").split(": ", 1)[1] for thumb in thumbs]


def thumb(page: Page, row: int, which: str) -> None:
    button = rows(page).nth(row).locator(f".act.{which}")
    rows(page).nth(row).hover()
    button.click(timeout=PATIENCE_MS)
    settle(page)


def test_from_nothing_known_to_a_list_that_changes(own_app, open_page):
    page = open_page(f"{own_app.url}/For_You")
    expect(rows(page)).to_have_count(12, timeout=PATIENCE_MS)
    for row in range(3):
        thumb(page, row, "like")
    page.get_by_role("button", name="See what fits").click(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Another list")).to_be_visible(timeout=PATIENCE_MS)
    expect(rows(page).first).to_contain_text("1")
    settle(page)
    n_rows = rows(page).count()
    assert 3 <= n_rows <= 10 and len(set(titles(page))) == n_rows
    assert len([each for each in opinions(own_app) if each["verdict"] == "like"]) == 3

    first, before = titles(page)[0], titles(page)
    rows(page).first.locator("button.track").click()
    expect(rows(page).first).to_have_class(re.compile("sounds"), timeout=PATIENCE_MS)
    key = player_of("for you", "me").replace(" ", "-")
    page.wait_for_function("key => window.__messPlayer[key]?.position > 0.2", arg=key, timeout=PATIENCE_MS)
    page.wait_for_timeout(2500)
    page.keyboard.press(" ")
    expect(rows(page).first).not_to_have_class(re.compile("sounds"), timeout=PATIENCE_MS)
    settle(page)
    (play,) = [each for each in opinions(own_app) if each["kind"] == "play"]
    assert play["section"] == "quick-picks" and play["rank"] == 1 and play["seconds"] > 1
    assert titles(page)[0] == first  # what was heard stays

    disliked = titles(page)[2]
    thumb(page, 2, "dislike")
    expect(page.locator(f'section.player .row .act.dislike[aria-label$=": {disliked}"]')).to_have_count(0)
    after = titles(page)
    assert disliked not in after and after[0] == first and len(set(after)) == len(after)
    assert before != after

    page.reload()
    expect(rows(page).first).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    assert disliked not in titles(page) and page.get_by_role("button", name="Another list").is_visible()
    kept = sorted(each["verdict"] for each in opinions(own_app) if each["verdict"])
    assert kept == ["dislike", "like", "like", "like"]


def test_the_radio_goes_on_by_itself(own_app, open_page):
    """Six seconds each: when one has ended the next is heard, though nobody clicked."""
    like(own_app)
    page = open_page(f"{own_app.url}/For_You?section=radio")
    expect(page.get_by_role("button", name="Skip", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    expect(rows(page)).to_have_count(1, timeout=PATIENCE_MS)
    (first,) = titles(page)
    rows(page).first.locator("button.track").click()
    expect(rows(page).first).to_have_class(re.compile("sounds"), timeout=PATIENCE_MS)
    expect(page.get_by_text("1 recording so far")).to_be_visible(timeout=PATIENCE_MS)
    (second,) = titles(page)
    assert second != first
    expect(rows(page).first).to_have_class(re.compile("sounds"), timeout=PATIENCE_MS)
    expect(page.get_by_text("2 recordings so far")).to_be_visible(timeout=PATIENCE_MS)
    kept = [each for each in opinions(own_app) if each["kind"] == "play"]
    assert len(kept) == 2 and all(each["section"] == "radio" and each["share"] > 0.8 for each in kept)
    assert not any(each["is_skip"] for each in kept)

    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.get_by_text("3 recordings so far")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    assert [each["is_skip"] for each in opinions(own_app) if each["kind"] == "play"].count(True) == 1


def test_another_name_has_a_taste_of_its_own(own_app, open_page):
    like(own_app)
    page = open_page(f"{own_app.url}/For_You")
    expect(page.get_by_role("button", name="Another list")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Another name").click()
    page.get_by_role("textbox", name="Name").fill("Ann")
    page.get_by_role("button", name="Listen as this one").click()
    expect(rows(page)).to_have_count(12, timeout=PATIENCE_MS)
    expect(page).to_have_url(re.compile("listener=Ann"))
    thumb(page, 0, "like")
    assert [each["verdict"] for each in opinions(own_app, "Ann")] == ["like"] and len(opinions(own_app)) == 3


def test_on_a_phone_nothing_is_beside_the_page(own_app, open_page):
    """At the beginning, as a list and on the radio."""
    like(own_app, "Ann")
    for link in ("For_You", "For_You?listener=Ann", "For_You?listener=Ann&section=radio"):
        page = open_page(
            f"{own_app.url}/{link}", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
        )
        expect(rows(page).first).to_be_visible(timeout=PATIENCE_MS)
        settle(page)
        page.evaluate(
            "document.querySelectorAll('details:not([open]) > summary').forEach((summary) => summary.click())"
        )
        settle(page)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), link
        assert page.evaluate(
            "() => { const main = document.querySelector('[data-testid=stMain]');"
            " return main.scrollWidth <= main.clientWidth; }"
        ), link


def test_a_hostile_name_listens_like_any_other(own_app, open_page):
    name = """<img src=x onerror="window.__pwn=1">'"**b** [a](https://b) é"""
    like(own_app, name)
    page = open_page(f"{own_app.url}/For_You?{urlencode({'listener': name})}")
    expect(page.get_by_role("button", name="Another list")).to_be_visible(timeout=PATIENCE_MS)
    expect(rows(page).first).to_be_visible(timeout=PATIENCE_MS)
    thumb(page, 0, "like")
    assert len(opinions(own_app, name)) == 4 and page.evaluate("window.__pwn") is None
