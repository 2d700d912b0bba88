"""Names that try everything, in every field, on every page, in a real browser: they stay text."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mess_core.catalogue.catalogue import NAMES
from mess_core.encoders.mel import MEL
from mess_core.maps.drawing import make_map
from mess_core.storage.jobs import Failure
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.e2e.conftest import place_on_map

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PATIENCE_MS = 60_000
INJECTIONS = (
    "<img src=x onerror=window.__pwn=1>",
    "![](http://example.com/x.png)",
    "[click](javascript:window.__pwn=1)",
    "[click](http://example.com/)",
    "http://example.com/bare",
    "www.example.com",
    "<a href='http://example.com/a'>a</a>",
    "</script><script>window.__pwn=1</script>",
    "<svg onload=window.__pwn=1>",
    "$\\href{http://example.com}{x}$ `code` **bold**",
    ":material/home: :red[x] :streamlit:",
    "a\r\nSet-Cookie: pwn=1\r\n\u202egnp.wav\t'\"`;--",
    "<iframe srcdoc='<script>parent.__pwn=1</script>'>",
    "<style>@import url(http://example.com/x.css)</style>",
)
LIBRARY = "<img src=x onerror=window.__pwn=1>![](http://example.com/l.png)"
MADE_OF_NAMES = (  # our own links hold the library's name, but begin with our own address
    "a[href^='http://example.com'], a[href^='http://www.example.com'], a[href^='javascript'],"
    " img[src*='example.com'], img[src='x'], svg[onload], iframe[srcdoc*='pwn'], link[href*='example.com']"
)


@pytest.fixture(scope="module")
def app(serve, bright_library, tmp_path_factory):
    """The server on a library in which every name of every recording, and its own, is hostile."""
    root = tmp_path_factory.mktemp("hostile") / "home"
    shutil.copytree(bright_library, root)
    home = Workspace(root)
    ids = home.catalogue.track_ids("music")
    for number, track_id in enumerate(ids):
        names = {name: INJECTIONS[(number + shift) % len(INJECTIONS)] for shift, name in enumerate(NAMES)}
        home.catalogue.edit(track_id, **{**names, "work": f"{names['work']} {number % 6}"})
    home.catalogue.add_to_library(LIBRARY, ids)
    for library in ("music", LIBRARY):
        make_map(Scope(home, library, MEL))
    job = home.jobs.submit("targets", {"library": LIBRARY, "then_probe": None})
    assert home.jobs.claim("elsewhere/1/x", job_id=job.job_id) is not None
    for number, text in enumerate(INJECTIONS):
        home.jobs.fail_item(job.job_id, "elsewhere/1/x", Failure(f"{text} {number}", text, text))
    home.jobs.finish(job.job_id, "elsewhere/1/x", "failed", " ".join(INJECTIONS), INJECTIONS[0])
    home.database.close()
    return serve(ROOT / "app.py", home=root)


def settle(page: Page) -> None:
    """Wait until the page has nothing more to say."""
    page.wait_for_timeout(500)
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'",
        timeout=PATIENCE_MS,
    )
    page.wait_for_load_state("networkidle")


def look(page: Page) -> None:
    """Nothing ran, and nothing that a name could have made is there, in shadow roots neither."""
    assert page.evaluate("window.__pwn") is None
    assert page.locator(MADE_OF_NAMES).count() == 0
    assert page.locator("[data-testid=stException]").count() == 0


@pytest.mark.parametrize("library", ["music", LIBRARY], ids=["a plain library", "a hostile library"])
@pytest.mark.parametrize(
    "path", ["", "Library", "Layers", "Map", "Listen", "For_You", "Study"], ids=lambda path: path or "Home"
)
def test_hostile_names_stay_text(app, open_page, path, library):
    """Opened, with every expander, every tab and what hovers; the watch sees every request and every error."""
    from urllib.parse import quote

    query = Workspace(app.home).catalogue.track_ids("music")[0]
    page = open_page(f"{app.url}/{path}?library={quote(library)}&encoder=mel&query={query}")
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    look(page)
    page.evaluate("document.querySelectorAll('details:not([open]) > summary').forEach((summary) => summary.click())")
    settle(page)
    for tab in itertools.islice(page.get_by_role("tab").all(), 8):
        tab.click()
        settle(page)
    for mark in itertools.islice(page.locator(".js-plotly-plot .points path").all(), 0, 12, 4):
        if mark.is_visible() and (box := mark.bounding_box()):
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            page.wait_for_timeout(300)
            look(page)
    for row in (0, 3, 6) if page.locator("section.map[data-ready]").count() else ():
        page.mouse.move(*place_on_map(page, row))
        page.wait_for_timeout(300)
        look(page)
    look(page)


def test_hostile_names_are_there_to_be_read(app, open_page):
    """What is not shown at all would be no proof."""
    query = Workspace(app.home).catalogue.track_ids("music")[0]
    page = open_page(f"{app.url}/Listen?library=music&encoder=mel&query={query}")
    expect(page.get_by_role("radio").nth(3)).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    shown = " ".join(page.get_by_role("radio").all_inner_texts())
    assert sum(text.split("\r")[0] in shown for text in INJECTIONS) >= 3, shown
