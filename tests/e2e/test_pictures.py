"""What the pages look like: each beside a kept picture, in light and in dark.

Pictures are compared small and in grey: what a font or a browser of another version draws otherwise is too little to
count, a panel that moved, vanished or lost its colour is not. After a change that is meant: `make pictures`, look at
them, commit them. Streamlit brings its fonts along, so none need be installed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Page, expect

from mess_core.encoders.mel import MEL
from mess_core.work.kinds import KINDS
from mess_core.work.map import MapRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import Workspace
from tests.conftest import work
from tests.e2e.conftest import PATIENCE_MS, RESULTS, ROOT, Server, place_on_map, settle

pytestmark = pytest.mark.e2e

KEPT = Path(__file__).with_name("pictures")
WIDTH, HEIGHT = 1280, 800  # of the window
KEPT_SIZE, COMPARED_SIZE = (320, 200), (160, 100)  # a compared pixel is a square of 8 in the window
MOST_GREY = 12.0  # of 255, by which a compared pixel may differ: a letter drawn otherwise stays below it
MOST_PIXELS = 0.01  # share of compared pixels that may differ by more: half of what a sidebar holds
MOST_LOOKS = 40  # until two pictures after another are the same


@dataclass(frozen=True)
class Difference:
    """Between two pictures. share : of compared pixels; where : their frame in the window, left, top, right, bottom"""

    share: float
    where: tuple[int, ...] | None

    @property
    def is_seen(self) -> bool:
        return self.share > MOST_PIXELS


def difference(one: Image.Image, other: Image.Image) -> Difference:
    """Of two pictures of any size, looked at small and in grey."""
    small = [each.convert("L").resize(COMPARED_SIZE, Image.Resampling.BOX) for each in (one, other)]
    differs = np.abs(np.subtract(*(np.asarray(each, np.float64) for each in small))) > MOST_GREY
    box = Image.fromarray(differs).getbbox()
    return Difference(float(differs.mean()), box and tuple(WIDTH // COMPARED_SIZE[0] * edge for edge in box))


@pytest.fixture(scope="module")
def app(serve: Callable, bright_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The app on the twelve recordings, their map drawn, with no news."""
    root = tmp_path_factory.mktemp("pictures") / "home"
    shutil.copytree(bright_library, root)
    home = Workspace(root)
    submit(home, MapRequest("music", MEL.id))
    work(home)
    for job in home.jobs.news(list(KINDS)):
        home.jobs.dismiss(job.job_id)
    home.database.close()
    return serve(ROOT / "app.py", home=root)


def rows_are_there(page: Page) -> None:
    expect(page.locator("section.player .row").nth(9)).to_be_visible(timeout=PATIENCE_MS)


def points_are_there(page: Page) -> None:
    points = page.locator(".js-plotly-plot").first.locator(".points path")
    expect(points.nth(11)).to_be_visible(timeout=PATIENCE_MS)


def can_begin(page: Page) -> None:
    expect(page.get_by_role("button", name="Begin", exact=True)).to_be_enabled(timeout=PATIENCE_MS)


def can_learn(page: Page) -> None:
    expect(page.get_by_role("button", name="Learn", exact=True)).to_be_enabled(timeout=PATIENCE_MS)


def can_begin_a_study(page: Page) -> None:
    expect(page.get_by_text("No study was run yet.")).to_be_visible(timeout=PATIENCE_MS)


def map_is_there(page: Page) -> None:
    expect(page.locator("section.map[data-ready]")).to_be_visible(timeout=PATIENCE_MS)
    place_on_map(page, 11)


VIEWS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "home": ("", lambda page: expect(page.get_by_text("What is here")).to_be_visible(timeout=PATIENCE_MS)),
    "library": ("Library", lambda page: None),
    "layers": ("Layers", points_are_there),
    "map": ("Map", map_is_there),
    "listen": ("Listen?query={query}&brightness=0.7", rows_are_there),
    "judge": ("Judge", can_begin),
    "learn": ("Learn", can_learn),
    "for-you": ("For_You", rows_are_there),
    "study": ("Study", can_begin_a_study),
}


def look(page: Page) -> Image.Image:
    """The window once nothing in it changes any more."""
    settle(page)
    page.evaluate("document.fonts.ready")
    path, before = RESULTS / "look.png", None
    for _ in range(MOST_LOOKS):
        page.screenshot(path=path, animations="disabled", caret="hide")
        now = Image.open(path).convert("RGB")
        if before is not None and ImageChops.difference(before, now).getbbox() is None:
            return now
        before = now
        page.wait_for_timeout(500)
    raise AssertionError("The page does not come to rest.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_page_looks_as_it_did(app, open_page, view, scheme):
    path, is_ready = VIEWS[view]
    known = Workspace(app.home).catalogue.tracks("music")
    query = min(known, key=lambda track: int(track.title.split()[1])).track_id
    page = open_page(
        f"{app.url}/{path.format(query=query)}{'&' if '?' in path else '?'}library=music",
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme, reduced_motion="reduce",
        device_scale_factor=1, locale="en-GB", timezone_id="UTC",
    )  # fmt: skip
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE_MS)
    is_ready(page)
    RESULTS.mkdir(exist_ok=True)
    now, kept = look(page), KEPT / f"{view}-{scheme}.png"
    if os.environ.get("RENEW_PICTURES"):
        now.convert("L").resize(KEPT_SIZE, Image.Resampling.BOX).save(kept, optimize=True)
        return
    assert kept.exists(), f"There is no picture of {view} in {scheme} yet: make pictures."
    found = difference(Image.open(kept), now)
    if found.is_seen:
        now.save(RESULTS / kept.name)
    assert not found.is_seen, (
        f"{view} in {scheme} looks otherwise in {found.share:.1%} of the window, inside {found.where}: compare "
        f"{RESULTS / kept.name} with {kept}. If it is meant: make pictures."
    )


def kept_pictures() -> list[Path]:
    return sorted(KEPT.glob("*.png"))


def test_there_is_a_picture_of_every_view_and_no_other():
    assert {path.stem for path in kept_pictures()} == {f"{view}-{s}" for view in VIEWS for s in ("light", "dark")}
    assert sum(path.stat().st_size for path in kept_pictures()) < 400_000


@pytest.mark.parametrize("path", kept_pictures(), ids=lambda path: path.stem)
def test_what_a_listener_would_see_is_seen_and_a_font_is_not(path):
    """Moved by two lines, the sidebar gone, the other theme, another page: seen. Noise, and a pixel aside: not."""
    kept = Image.open(path).convert("L")
    pixels = np.asarray(kept, np.float64)
    assert difference(kept, kept).share == 0
    noisy = pixels + np.random.default_rng(0).normal(0, 8, pixels.shape)
    assert not difference(kept, Image.fromarray(noisy.clip(0, 255).astype(np.uint8))).is_seen
    aside = kept.transform(kept.size, Image.Transform.AFFINE, (1, 0, 0.25, 0, 1, 0), Image.Resampling.BILINEAR)
    assert not difference(kept, aside).is_seen
    gone = pixels.copy()
    gone[:, :66] = np.median(pixels[:, 80:])  # the sidebar
    changed = [np.roll(pixels, 12, axis=0), gone, 255 - pixels]
    others = [other for other in kept_pictures() if other.stem.split("-")[0] != path.stem.split("-")[0]]
    seen = [difference(kept, Image.fromarray(each.astype(np.uint8))).is_seen for each in changed]
    assert all(seen) and all(difference(kept, Image.open(other)).is_seen for other in others)
