"""The map in a real browser: draw it, move through the layers, point at it, click, draw around, and hear it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from benchmarks.planted_map import INSTRUMENTS, LIBRARY, plant_map
from mess_core.encoders.mel import MEL
from mess_core.work.map import MapRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import Workspace
from tests.conftest import work
from tests.e2e.conftest import place_on_map, settle

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PATIENCE_MS = 120_000
N_FEW, N_MANY = 400, 100_000
SILENT = ["/peaks/", "/excerpt/", "/preview/"]  # what fails where there is no music
MOST_BYTES = 1_000_000  # of the page, the points aside, before they are drawn or after they are drawn around


@pytest.fixture(scope="module")
def app(serve, bright_library, tmp_path_factory):
    """The server on a small library that is not drawn yet."""
    root = tmp_path_factory.mktemp("map") / "home"
    shutil.copytree(bright_library, root)
    return serve(ROOT / "app.py", home=root)


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


@pytest.fixture(scope="module")
def planted(serve, tmp_path_factory):
    """The server on a planted map of some hundred points, without music."""
    root = tmp_path_factory.mktemp("few") / "home"
    plant_map(root, N_FEW, n_whole=N_FEW)
    return serve(ROOT / "app.py", home=root)


@pytest.fixture
def few(planted, watch):
    """That server; nothing on it can be heard."""
    watch.expected += SILENT
    return planted


def map_of(page):
    """The map once its points are drawn."""
    shown = page.locator("section.map[data-ready]")
    expect(shown).to_be_visible(timeout=PATIENCE_MS)
    place_on_map(page, 0)
    return shown


def open_few(few, open_page, **options):
    page = open_page(
        f"{few.url}/Map?library={LIBRARY}&encoder=mel&colour=instrument",
        viewport={"width": 1440, "height": 900},
        **options,
    )
    return page, map_of(page)


def plane_of(page) -> dict[str, float]:
    return page.locator("section.map .plane").bounding_box()


def draw_around(page, corners, steps: int = 6) -> None:
    """With the pointer down from one corner to the next, and back to the first."""
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in [*corners[1:], corners[0]]:
        page.mouse.move(*corner, steps=steps)
    page.mouse.up()


def test_a_clicked_point_is_in_the_address(few, open_page):
    """A reload brings it back; Escape chooses none, and the address names none."""
    page, shown = open_few(few, open_page)
    page.mouse.click(*place_on_map(page, 7))
    expect(shown).to_have_attribute("data-chosen", "1", timeout=PATIENCE_MS)
    track_id = page.evaluate("globalThis.__messMap.ids[7]")
    expect(page).to_have_url(re.compile(f"point={track_id}"), timeout=PATIENCE_MS)
    page.reload()
    expect(map_of(page)).to_have_attribute("data-chosen", "1", timeout=PATIENCE_MS)
    page.locator("section.map .plane").press("Escape")
    expect(page).not_to_have_url(re.compile("point="), timeout=PATIENCE_MS)


def test_what_is_pointed_at_waits_for_its_title(few, open_page):
    """Titles come after the points: until then it says so, and then it is said without another move."""
    held, titles = [], re.compile(r'"titles": ?\[')

    def hold(route) -> None:
        answer = route.fetch()
        if titles.search(answer.body()[:200_000].decode("utf-8", "replace")):
            held.append((route, answer))
        else:
            route.fulfill(response=answer)

    page = open_page("about:blank", viewport={"width": 1440, "height": 900})
    page.route("**/points/*", hold)
    page.goto(f"{few.url}/Map?library={LIBRARY}&encoder=mel")
    expect(page.locator("section.map[data-ready]")).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_function("() => globalThis.__messMap")
    page.mouse.move(*page.evaluate("globalThis.__messMap.place(7)"), steps=3)
    said = page.locator("section.map .said")
    expect(said).to_contain_text("its title is on the way", timeout=PATIENCE_MS)
    ((route, answer),) = held
    route.fulfill(response=answer)
    expect(said).to_contain_text(answer.json()["titles"][7], timeout=PATIENCE_MS)


def test_a_map_is_drawn_explored_and_heard(app, open_page):
    """From nothing to a point that sounds, and on to Listen with it as the query."""
    page = open_page(f"{app.url}/Map?library=music")
    draw = page.get_by_role("button", name="Draw the map")
    expect(draw).to_be_visible(timeout=PATIENCE_MS)
    draw.click()
    shown = map_of(page)
    expect(shown).to_have_attribute("data-ready", "12")
    before = place_on_map(page, 3)

    slider = page.get_by_role("slider", name="Layer")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("layer=aspects"), timeout=PATIENCE_MS)
    page.wait_for_function(
        "before => globalThis.__messMap.place(3).some((each, at) => Math.abs(each - before[at]) > 1)",
        arg=list(before), timeout=PATIENCE_MS,
    )  # fmt: skip

    page.wait_for_timeout(1500)  # the points are still moving
    at = place_on_map(page, 3)
    page.evaluate("addEventListener('mess-heard-in-passing', ({detail}) => { window.__passed = detail.trackId; })")
    with page.expect_request("**/preview/*", timeout=PATIENCE_MS) as heard:
        page.mouse.move(*at, steps=3)  # and it rests there
    assert heard.value.url.endswith(page.evaluate("window.__passed"))
    assert page.evaluate("window.__passed") == page.evaluate("globalThis.__messMap.ids[3]")
    page.mouse.click(*at)
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible(timeout=PATIENCE_MS)  # it plays
    position = page.get_by_role("slider", name="Position")
    expect(position).not_to_have_attribute("aria-valuenow", "0", timeout=PATIENCE_MS)
    expect(shown).to_have_attribute("data-heard", re.compile(r"^\d+$"), timeout=PATIENCE_MS)
    first = shown.get_attribute("data-heard")
    expect(shown).not_to_have_attribute("data-heard", first or "", timeout=PATIENCE_MS)  # it moves on with the sound
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


def test_the_map_is_as_high_as_the_window_and_nothing_in_it_scrolls(drawn, open_page):
    """It follows the window; the points in its lower half are seen and can be clicked; the page has one scroll bar."""
    page = open_page(f"{drawn.url}/Map?library=music", viewport={"width": 1440, "height": 900})
    map_of(page)
    for height in (900, 700):
        page.set_viewport_size({"width": 1440, "height": height})
        page.wait_for_function(
            """height => {
              const box = document.querySelector(".st-key-map").getBoundingClientRect();
              return box.height > 0.75 * height && box.bottom <= height;
            }""",
            arg=height,
            timeout=PATIENCE_MS,
        )
        page.wait_for_timeout(300)
        lowest = max((place_on_map(page, row) for row in range(12)), key=lambda place: place[1])
        assert height / 2 < lowest[1] < height  # it is used down to the bottom
    scrolling = page.evaluate(
        """() => [...document.querySelectorAll("[data-testid=stMain] *")].filter((each) =>
          each.scrollHeight > each.clientHeight + 1 && ["auto", "scroll"].includes(getComputedStyle(each).overflowY)
          && each.closest(".st-key-map-window")).map((each) => each.className)"""
    )
    assert scrolling == []


def test_what_is_pointed_at_in_the_player_is_ringed_on_the_map(drawn, open_page):
    """Each row rings its own point, and no other; what is left is not ringed any more."""
    page = open_page(f"{drawn.url}/Map?library=music", viewport={"width": 1440, "height": 900})
    shown = map_of(page)
    page.mouse.click(*place_on_map(page, 3))
    tracks = page.locator("section.player .track")
    expect(tracks.nth(3)).to_be_visible(timeout=PATIENCE_MS)
    ringed = set()
    for number in range(4):
        tracks.nth(number).hover()
        expect(shown).to_have_attribute("data-ringed", re.compile("."), timeout=PATIENCE_MS)
        page.wait_for_timeout(100)
        ringed.add(shown.get_attribute("data-ringed"))
    assert len(ringed) == 4 and ringed <= set(page.evaluate("globalThis.__messMap.ids"))
    page.get_by_role("heading", level=1).hover()
    expect(shown).to_have_attribute("data-ringed", "")


def test_what_is_drawn_around_is_marked_listed_and_all_of_it_told(few, open_page):
    """Also close to the upper edge, where the map stays where it is; the player's eight are said to be eight."""
    page, shown = open_few(few, open_page)
    box, before = plane_of(page), place_on_map(page, 0)
    page.get_by_role("radio", name="Lasso").click()
    left, right, top, bottom = box["x"] + 2, box["x"] + box["width"] - 2, box["y"] + 2, box["y"] + box["height"] / 2
    draw_around(page, [(left, top), (right, top), (right, bottom), (left, bottom)])
    assert place_on_map(page, 0) == before
    inside = [row for row in range(N_FEW) if place_on_map(page, row)[1] < bottom]
    expect(shown).to_have_attribute("data-chosen", str(len(inside)))
    expect(page.get_by_text(f"{len(inside)} recordings chosen")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("In the player are numbers 1 to 8 of them")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    expect(shown).to_have_attribute("data-chosen", str(len(inside)))  # as Python has it, too
    seen = page.evaluate("globalThis.__messMap.colours").__getitem__(slice(3, None, 4))
    assert {row for row in range(N_FEW) if seen[row] == 255} == set(inside)
    page.locator("section.map .plane").focus()
    page.keyboard.press("Escape")
    expect(shown).to_have_attribute("data-chosen", "0")
    expect(page.get_by_text("Rest on a point")).to_be_visible(timeout=PATIENCE_MS)


def test_a_box_and_all_in_sight_choose_and_what_was_chosen_outlives_the_page(few, open_page):
    page, shown = open_few(few, open_page)
    box = plane_of(page)
    page.get_by_role("radio", name="Box").click()
    middle = box["x"] + box["width"] / 2
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + box["height"] - 1, steps=5)
    page.mouse.up()
    inside = sum(place_on_map(page, row)[0] < middle for row in range(N_FEW))
    expect(shown).to_have_attribute("data-chosen", str(inside))
    expect(page.get_by_text(f"{inside} recordings chosen")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Layers").first.click()
    expect(page.get_by_role("heading", level=1, name="Layers")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Map").first.click()
    expect(map_of(page)).to_have_attribute("data-chosen", str(inside), timeout=PATIENCE_MS)
    page.get_by_role("button", name="All in sight").click()
    expect(page.get_by_text(f"{N_FEW} recordings chosen")).to_be_visible(timeout=PATIENCE_MS)


def test_a_row_of_the_table_is_ringed_on_the_map_which_stays_in_sight(few, open_page):
    """The table stands far below: the map comes along. Another choice has no row yet."""
    page, _ = open_few(few, open_page)
    page.get_by_role("button", name="All in sight").click()
    expect(page.get_by_text("In the player are numbers 1 to 8 of them")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    table = page.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 18, box["y"] + 35 * 10 - 10)  # the ninth
    expect(page.get_by_text("In the player are numbers 9 to 16 of them")).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_function("() => globalThis.__messMap.row === 8", timeout=PATIENCE_MS)
    assert 0 < place_on_map(page, 8)[1] < 900
    page.locator("section.map .plane").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("() => globalThis.__messMap.row === -1", timeout=PATIENCE_MS)


def test_the_map_is_walked_with_the_keyboard(few, open_page):
    """An arrow key goes to a point and says which; Enter chooses it."""
    page, shown = open_few(few, open_page)
    page.locator("section.map .plane").focus()
    page.keyboard.press("ArrowRight")
    spoken = shown.get_by_role("status")
    expect(spoken).to_have_text(re.compile("nocturne .*instrument: "))
    first = spoken.inner_text()
    page.keyboard.press("ArrowUp")
    expect(spoken).not_to_have_text(first)
    page.keyboard.press("Enter")
    expect(shown).to_have_attribute("data-chosen", "1")
    expect(page.get_by_role("button", name="Find like this")).to_be_visible(timeout=PATIENCE_MS)


def test_colours_are_those_of_the_legend_and_a_name_in_it_pales_the_others(few, open_page):
    page, shown = open_few(few, open_page)
    legend = shown.locator(".legend button")
    expect(legend).to_have_count(len(INSTRUMENTS))
    told = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("*")].flatMap((each) =>
          [...each.shadowRoot?.querySelectorAll(".legend button") ?? []]).map((each) =>
          [each.textContent, getComputedStyle(each.querySelector("i")).backgroundColor]))"""
    )
    instruments = {track.track_id: track.instrument for track in Workspace(few.home).catalogue.tracks(LIBRARY)}
    ids, colours = page.evaluate("[globalThis.__messMap.ids, globalThis.__messMap.colours]")
    for row, track_id in enumerate(ids):
        assert told[instruments[track_id]] == "rgb({}, {}, {})".format(*colours[4 * row : 4 * row + 3])
    legend.first.click()
    paled = page.evaluate("globalThis.__messMap.colours").__getitem__(slice(3, None, 4))
    name = legend.first.inner_text()
    assert [each == 255 for each in paled] == [instruments[track_id] == name for track_id in ids]

    page.get_by_role("combobox", name="Colour").click()
    page.get_by_role("option", name="neighbours kept").click()
    expect(shown.locator(".legend")).to_contain_text("neighbours kept:", timeout=PATIENCE_MS)
    page.wait_for_function("before => String(globalThis.__messMap.colours) !== before", arg=",".join(map(str, colours)))


def test_without_webgl_the_map_is_drawn_all_the_same_and_says_so(few, open_page):
    page = open_page("about:blank", viewport={"width": 1440, "height": 900})
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        " return /webgl/.test(kind) ? null : get.call(this, kind, ...more); };"
    )
    page.goto(f"{few.url}/Map?library={LIBRARY}&encoder=mel")
    shown = map_of(page)
    expect(page.get_by_text("This browser has no WebGL")).to_be_visible()
    assert page.evaluate("globalThis.__messMap.isQuick") is False
    page.mouse.move(*place_on_map(page, 5))
    expect(shown.locator(".said")).to_contain_text("nocturne")


def test_a_browser_that_takes_webgl_away_keeps_its_map(few, open_page):
    """As it does where many pages want it: the plain canvas goes on, with all that can be done on the map."""
    page, shown = open_few(few, open_page)
    assert page.evaluate("globalThis.__messMap.isQuick")
    page.evaluate("globalThis.__messMap.loseWebgl()")
    expect(page.get_by_text("This browser has no WebGL")).to_be_visible()
    page.wait_for_timeout(300)
    drawn = page.evaluate(
        """() => {
          const roots = [...document.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean);
          const canvas = roots.map((root) => root.querySelector("canvas.points")).find(Boolean);
          const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return pixels.some((each) => each > 0);
        }"""
    )
    assert drawn
    page.get_by_role("button", name="All in sight").click()
    expect(shown).to_have_attribute("data-chosen", str(N_FEW))


def test_a_map_that_the_server_holds_no_more_is_packed_again(few, open_page, watch):
    """As after many others were looked at."""
    watch.expected.append("/points/")
    page = open_page("about:blank", viewport={"width": 1440, "height": 900})
    gone = []

    def answer(route):
        if not gone:
            gone.append(route.request.url)
            return route.fulfill(status=404, json={"error": "", "hint": ""})
        return route.continue_()

    page.route("**/points/*", answer)
    page.goto(f"{few.url}/Map?library={LIBRARY}&encoder=mel")
    map_of(page)
    assert len(gone) == 1


@pytest.mark.slow
def test_a_hundred_thousand_points_are_drawn_pointed_at_and_drawn_around(serve, open_page, tmp_path_factory, watch):
    """From some hundred kilobytes beside the points, which are sent once."""
    watch.expected += SILENT
    root = tmp_path_factory.mktemp("many") / "home"
    plant_map(root, N_MANY)
    server = serve(ROOT / "app.py", home=root)
    page = open_page("about:blank", viewport={"width": 1440, "height": 900})
    received, fetched = [], []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(len(data))))
    page.on("response", lambda answer: "/points/" in answer.url and fetched.append(answer.url))
    page.goto(f"{server.url}/Map?library={LIBRARY}&encoder=mel&colour=instrument")
    shown = map_of(page)
    expect(shown).to_have_attribute("data-ready", str(N_MANY))
    assert sum(received) < MOST_BYTES
    row = 4321
    page.mouse.move(*place_on_map(page, row))
    expect(shown.locator(".said")).to_contain_text("nocturne", timeout=5000)
    settle(page)
    before, box = len(fetched), plane_of(page)
    received.clear()
    page.get_by_role("radio", name="Lasso").click()
    left, right, top, bottom = box["x"] + 2, box["x"] + box["width"] - 2, box["y"] + 2, box["y"] + box["height"] / 2
    with page.expect_response("**/points/*", timeout=PATIENCE_MS):  # the marks
        draw_around(page, [(left, top), (right, top), (right, bottom), (left, bottom)])
    expect(shown).not_to_have_attribute("data-chosen", "0", timeout=5000)
    chosen = int(shown.get_attribute("data-chosen"))
    assert 1000 < chosen < N_MANY
    expect(page.get_by_text(f"{chosen:,} recordings chosen")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text(f"the files and a library hold all {chosen:,}")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    assert sum(received) < MOST_BYTES and len(fetched) == before + 1
