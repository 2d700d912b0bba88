"""Try this, in a real browser: a card comes alive by itself, and a click on it leads to a list that plays."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from mess_core.collections import demo
from mess_core.encoders.registry import DEFAULT
from mess_core.work.demo import DemoRequest
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import DEMO, Workspace
from tests.conftest import work
from tests.e2e.conftest import PATIENCE_MS, ROOT

pytestmark = pytest.mark.e2e

STEMS = ("largo--ada--guitar", "largo--bruno--organ", "largo--celia--piano", "minuet-in-g--ada--strings")


@pytest.fixture(scope="module")
def app(serve, tmp_path_factory):
    """The server on four recordings of the demo; embedding them waits for its worker."""
    home = Workspace(tmp_path_factory.mktemp("tried"))
    make = demo.make_demo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "make_demo", lambda folder, **options: make(folder, **options | {"only": STEMS}))
        submit(home, DemoRequest())
        work(home)
    submit(home, ExtractRequest(DEMO, DEFAULT))
    return serve(ROOT / "app.py", home=home.paths.root)


def plays(page: Page) -> None:
    """The first row below the query, which is what the card promised."""
    rows = page.locator("section.player").first.get_by_role("radio")
    expect(rows.nth(1)).to_contain_text("Largo", timeout=PATIENCE_MS)
    rows.nth(1).click()
    page.wait_for_function("() => window.__messPlayer.player.isRunning", timeout=PATIENCE_MS)


def test_a_card_on_home_comes_alive_and_leads_to_a_list_that_plays(app, open_page):
    page = open_page(app.url)
    card = page.locator(".st-key-example-instrument")
    expect(card.get_by_role("link", name="hear them")).to_be_visible(timeout=PATIENCE_MS)  # nobody has reloaded
    card.get_by_text("The same piece, another instrument").click(force=True)  # all of the card is the link
    expect(page).to_have_url(re.compile(r"/Listen\?.*query=.*hearing=hearing"), timeout=PATIENCE_MS)
    plays(page)
    page.reload()  # a link, so it can be shared
    plays(page)


def test_a_card_on_listen_asks_there(app, open_page):
    page = open_page(f"{app.url}/Listen?library={DEMO}&k=2")
    page.locator(".st-key-example-instrument").get_by_role("button", name="hear them").click()
    expect(page).to_have_url(re.compile("query=.*"), timeout=PATIENCE_MS)
    assert "k=2" not in page.url
    plays(page)
    page.go_back()
    expect(page.get_by_role("heading", name="Try this")).to_be_visible(timeout=PATIENCE_MS)
