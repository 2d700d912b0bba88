"""Can everybody use it: axe-core finds nothing serious in what MESS puts on its pages.

axe-core looks at contrast, names, roles and order in the page as it is, shadow roots included. What it finds in
elements of Streamlit's own making, which MESS cannot change, is listed one by one in `NOT_OURS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from mess_core.catalogue.passages import ScoreTimes
from mess_core.work.add import AddRequest
from mess_core.work.map import MapRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import Workspace
from tests.e2e.conftest import place_on_map
from tests.e2e.test_app import PATIENCE_MS, ROOT, wait_for_jobs, write_tone

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class NotOurs:
    """A finding that MESS cannot cure: the rule, which elements it may be about, and why it is left."""

    rule: str
    selector: str
    reason: str


NOT_OURS = [
    NotOurs(
        "color-contrast",
        "[data-testid=stWidgetLabel][disabled] *",
        "Streamlit greys the label of a widget that is out of use; WCAG 1.4.3 exempts what is out of use, but axe "
        "does not see that the label belongs to it, because it is not tied to the input.",
    ),
]

# Every finding as one row, with those of NOT_OURS left out; an element is matched itself, not by what surrounds it.
FIND = """
async (notOurs) => {
  const result = await axe.run(document, { elementRef: true, resultTypes: ["violations"] });
  return result.violations.flatMap(({ id, impact, help, nodes }) => nodes
    .filter(({ element }) => !notOurs.some(({ rule, selector }) => rule === id && element.matches(selector)))
    .map(({ target, html, failureSummary }) => ({
      rule: id, impact, help, html, where: target.flat().join(" >> "), why: failureSummary,
    })));
}
"""


@pytest.fixture(scope="module")
def app(serve: Callable, tmp_path_factory: pytest.TempPathFactory):
    """The server on five recordings with a discovery, so that every page has something to show."""
    music = tmp_path_factory.mktemp("music")
    for number in range(5):
        write_tone(music / f"tone {number}.wav", 110 * 2**number)
    home = Workspace(tmp_path_factory.mktemp("app"))
    home.database.set_setting("demo", "removed")
    submit(home, AddRequest(music, "music", encoder_id="nano"))
    server = serve(ROOT / "app.py", home=home.paths.root)
    wait_for_jobs(server, home)
    submit(home, ProbeRequest("music", "nano"))
    submit(home, MapRequest("music", "nano", layer=6))
    for track_id in home.catalogue.track_ids("music")[:2]:
        home.catalogue.passages.write(track_id, [ScoreTimes.of("a waltz", np.arange(9), np.arange(9) * 0.3)])
    wait_for_jobs(server, home)
    for track_id in home.catalogue.track_ids("music")[:3]:
        home.opinions.judge(track_id, "like", listener="Ann")
    for track_id, instrument in zip(home.catalogue.track_ids("music"), ("flute", "organ"), strict=False):
        home.catalogue.edit(track_id, work="a waltz", instrument=instrument)  # an example that can be tried
    return server


def example_is_there(page: Page) -> None:
    expect(page.locator(".st-key-example-instrument").get_by_text("hear them")).to_be_visible(timeout=PATIENCE_MS)


def neighbours_are_there(page: Page) -> None:
    expect(page.locator("section.player .row").nth(1)).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name="The same passage by others")).to_be_visible(timeout=PATIENCE_MS)


def click_a_point(page: Page) -> None:
    """The map, and the player of what was clicked."""
    expect(page.locator("section.map[data-ready]")).to_be_visible(timeout=PATIENCE_MS)
    stand_still(page)
    page.mouse.click(*place_on_map(page, 2))
    expect(page.get_by_role("button", name="Find like this")).to_be_visible(timeout=PATIENCE_MS)


def open_a_cell(page: Page) -> None:
    """Scatter, profile and residuals of the first cell of the heatmap."""
    mark = page.locator(".js-plotly-plot").first.locator(".barlayer .points path").first
    expect(mark).to_be_visible(timeout=PATIENCE_MS)
    stand_still(page)
    box = mark.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)  # Plotly takes the pointer's position
    expect(page.locator(".js-plotly-plot")).to_have_count(4, timeout=PATIENCE_MS)


def begin_to_judge(page: Page) -> None:
    begin = page.get_by_role("button", name=re.compile("^(Begin|Go on)$")).first  # where a theme before has begun
    begin.click(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Cannot tell")).to_be_enabled(timeout=PATIENCE_MS)


def can_learn(page: Page) -> None:
    expect(page.get_by_role("button", name="Learn", exact=True)).to_be_enabled(timeout=PATIENCE_MS)


def starters_are_there(page: Page) -> None:
    expect(page.locator("section.player .row").nth(4)).to_be_visible(timeout=PATIENCE_MS)


def picks_are_there(page: Page) -> None:
    expect(page.get_by_role("button", name="Another list")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("section.player .row").first).to_be_visible(timeout=PATIENCE_MS)


def radio_is_there(page: Page) -> None:
    expect(page.get_by_role("button", name="Skip", exact=True)).to_be_visible(timeout=PATIENCE_MS)


# What is opened, and how to tell that it is there.
VIEWS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "Home": ("", example_is_there),
    "Library": ("Library?library=music", lambda page: None),
    "Layers": ("Layers?library=music", open_a_cell),
    "Map": ("Map?library=music", click_a_point),
    "Listen": ("Listen", example_is_there),
    "Listen with a query": ("Listen?query={track_id}&library=music", neighbours_are_there),
    "Judge": ("Judge?library=music", begin_to_judge),
    "Learn": ("Learn?library=music", can_learn),
    "For You with nothing known": ("For_You?library=music", starters_are_there),
    "For You": ("For_You?library=music&listener=Ann", picks_are_there),
    "For You, the radio": ("For_You?library=music&listener=Ann&section=radio", radio_is_there),
    "Study": ("Study?library=music", lambda page: None),
    "Listen with nothing discovered": ("Listen?query={track_id}&library=music&encoder=mel", neighbours_are_there),
}
SCREENS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 390)}


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_serious_is_found(app, open_page, view, screen):
    """Nothing of impact serious or critical, in light, in dark and on a phone, with every expander open."""
    path, make_ready = VIEWS[view]
    scheme, width = SCREENS[screen]
    track_id = Workspace(app.home).catalogue.track_ids("music")[0]
    page = open_page(
        f"{app.url}/{path.format(track_id=track_id)}",
        viewport={"width": width, "height": 1800},
        color_scheme=scheme,
        reduced_motion="reduce",  # a colour on its way to another one has the contrast of neither
    )
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE_MS)
    make_ready(page)
    stand_still(page)
    page.evaluate("document.querySelectorAll('details:not([open]) > summary').forEach((summary) => summary.click())")
    stand_still(page)
    found = find(page)
    assert not found, "\n\n".join(found)


def test_axe_sees_into_shadow_roots(app, open_page):
    """The player lives in one: a button without a name there is found, so that finding nothing means something."""
    page = open_page(f"{app.url}/Listen")
    expect(page.get_by_role("button", name="choose one")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="choose one").evaluate(
        "(button) => button.getRootNode().append(document.createElement('button'))"
    )
    stand_still(page)
    assert any(finding.startswith("button-name (critical)") for finding in find(page))


def find(page: Page) -> list[str]:
    """What axe-core finds of impact serious or critical, each in a few lines."""
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate(FIND, [asdict(entry) for entry in NOT_OURS])
    return [describe(finding) for finding in found if finding["impact"] in ("serious", "critical")]


def stand_still(page: Page) -> None:
    """Wait until the script has run, nothing is on its way, and the last picture is drawn."""
    page.wait_for_selector("[data-test-script-state='notRunning']", timeout=PATIENCE_MS)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)


def describe(finding: dict[str, str]) -> str:
    title = f"{finding['rule']} ({finding['impact']}): {finding['help']}"
    return "\n".join((title, finding["where"], finding["html"], finding["why"]))
