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
        rows = page.locator("section.player").first.get_by_role("radio")
        expect(rows.nth(1)).to_be_visible(timeout=PATIENCE_MS)  # the scripts of the player have come
        settle(page)
        return page

    return listen


def nearest(page: Page) -> str:
    """The first neighbour in the player."""
    return page.locator("section.player").first.get_by_role("radio").nth(1).inner_text()


def test_a_dial_goes_to_both_ends_by_key_and_the_list_stays_in_sight(listen, tracks):
    """One control: what must not count is one step left of what does not matter; each is said in words."""
    page = listen(tracks[3])
    page.set_viewport_size({"width": 1440, "height": 900})
    settle(page)
    dial = page.get_by_role("slider", name="brightness")
    expect(dial).to_have_attribute("aria-valuetext", "does not matter")
    assert page.locator("section.player .row").nth(0).bounding_box()["y"] < 600
    dial.focus()
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("not=brightness"), timeout=PATIENCE_MS)
    expect(dial).to_have_attribute("aria-valuetext", "must not count")
    page.keyboard.press("End")
    expect(page).to_have_url(re.compile("brightness=1"), timeout=PATIENCE_MS)
    assert "not=" not in page.url
    expect(dial).to_have_attribute("aria-valuetext", "must be alike")
    settle(page)
    assert page.locator("section.player .row").nth(0).bounding_box()["y"] < 600


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
    page.get_by_role("button", name="Good match").first.click()
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


def test_a_row_is_heard_at_its_moment_and_a_second_click_ends_it(listen, tracks):
    """A click, arrows, the query's key and the way back; wherever the focus is, unless somebody types."""
    page = listen(tracks[4])
    rows, player = page.locator("section.player").first.get_by_role("radio"), "window.__messPlayer.player"
    rows.nth(3).click()
    expect(rows.nth(3)).to_have_attribute("aria-checked", "true")
    page.wait_for_function(f"() => {player}.isRunning", timeout=PATIENCE_MS)
    page.get_by_role("heading", level=1).click()  # the focus is nowhere
    page.keyboard.press("ArrowDown")
    expect(rows.nth(4)).to_have_attribute("aria-checked", "true")
    page.keyboard.press("a")
    expect(rows.nth(0)).to_have_attribute("aria-checked", "true")
    page.keyboard.press("b")
    expect(rows.nth(4)).to_have_attribute("aria-checked", "true")
    page.keyboard.press("2")
    expect(rows.nth(2)).to_have_attribute("aria-checked", "true")
    box = page.get_by_role("textbox", name="In words")
    box.click()
    page.keyboard.type("a1")
    expect(rows.nth(2)).to_have_attribute("aria-checked", "true")
    expect(box).to_have_value("a1")
    box.fill("")
    page.get_by_role("heading", level=1).click()
    rows.nth(2).click()
    page.wait_for_function(f"() => !{player}.isRunning")
    page.keyboard.press(" ")
    page.wait_for_function(f"() => {player}.isRunning", timeout=PATIENCE_MS)


def test_a_key_never_lands_in_silence(listen, tracks):
    """At the end of one row another has no such place left: it begins at its best moment, as by a click."""
    page = listen(tracks[4])
    rows, player = page.locator("section.player").first.get_by_role("radio"), "window.__messPlayer.player"
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("a")
    page.keyboard.press("End")
    page.keyboard.press(" ")
    for key in "123456789":
        page.keyboard.press(key)
        expect(rows.nth(int(key))).to_have_attribute("aria-checked", "true")
        assert page.evaluate(f"{player}.duration - {player}.position") > 0.5, key
        page.keyboard.press("a")
        page.keyboard.press("End")


def test_escape_clears_a_passage_whatever_row_is_heard(listen, tracks):
    """Also one that came by a link, and where another row plays in its own time."""
    page = listen(tracks[5])
    draw(page, 0.1, 0.6)
    expect(page).to_have_url(re.compile("passage=0.6"), timeout=PATIENCE_MS)
    settle(page)
    page.reload()
    expect(page.get_by_role("heading", name="Why?")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    page.locator("section.player").first.get_by_role("radio").nth(2).click()
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("passage="), timeout=PATIENCE_MS)


def test_a_row_kept_in_place_is_compared_at_the_same_second(listen, tracks):
    """Shift-click, or Compare: another recording goes on where this one was, to the sample."""
    page = listen(tracks[4])
    rows, player = page.locator("section.player").first.get_by_role("radio"), "window.__messPlayer.player"
    page.get_by_role("button", name="Loop").first.click()
    rows.nth(1).click()
    page.wait_for_function(f"() => {player}.isRunning && {player}.position > 1", timeout=PATIENCE_MS)
    for click in (lambda row: row.click(modifiers=["Shift"]), lambda row: row.click()):
        before = page.evaluate(f"{player}.position")
        click(rows.nth(2))
        expect(rows.nth(2)).to_have_attribute("aria-checked", "true")
        assert page.evaluate(f"{player}.position") >= before or page.evaluate(f"{player}.position") < 1  # looped
        rows.nth(1).click(modifiers=["Shift"])
        if page.get_by_role("button", name="Compare", exact=True).get_attribute("aria-pressed") == "false":
            page.get_by_role("button", name="Compare", exact=True).click()


def test_a_row_is_heard_in_its_own_time_until_rows_are_compared(listen, tracks):
    """From its beginning to its end, without silence before or after; compared, all lie beside the query."""
    page = listen(tracks[4])
    rows, player = page.locator("section.player").first.get_by_role("radio"), "window.__messPlayer.player"
    for row in (1, 5, 9):
        rows.nth(row).click()
        assert page.evaluate(f"{player}.positions")[row] == pytest.approx(page.evaluate(f"{player}.position"), abs=0.2)
        assert page.evaluate(f"{player}.duration") == pytest.approx(6.0, abs=0.01)  # of every recording here
        page.keyboard.press("Home")
        page.wait_for_function(f"() => {player}.position < 0.5")
    page.get_by_role("button", name="Compare", exact=True).click()
    assert page.evaluate(f"{player}.duration") >= 6.0
    page.get_by_role("button", name="Compare", exact=True).click()
    assert page.evaluate(f"{player}.duration") == pytest.approx(6.0, abs=0.01)


def test_a_list_has_few_stops_for_tab(listen, tracks):
    """From the position to the table of numbers: one stop for all rows, the opinions of one row, the switches."""
    page = listen(tracks[4])
    page.locator("section.player").first.get_by_role("slider", name="Position").focus()
    in_player = 0
    while page.evaluate("document.activeElement.shadowRoot?.querySelector('section.player') != null"):
        page.keyboard.press("Tab")
        in_player += 1
    assert in_player <= 9


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
    one.get_by_role("button", name="Same timbre").click()
    settle(one)
    assert "brightness" in one.url and "brightness" not in other.url


@pytest.mark.parametrize(("button", "beginning"), [("CSV", "rank,"), ("JSON", "{"), ("Playlist (M3U8)", "#EXTM3U")])
def test_the_list_is_saved_as_a_file(listen, tracks, button, beginning):
    page = listen(tracks[4], k="3")
    with page.expect_download(timeout=PATIENCE_MS) as download:
        page.get_by_role("button", name=button, exact=True).click()
    text = Path(download.value.path()).read_text("utf-8")
    assert text.startswith(beginning) and text.count("cutoff") >= 3


def test_what_a_row_is_taken_for_is_a_chip_and_back_brings_it_back(listen, tracks):
    """Also like this, not like that: in the link, gone by a click on the chip, back by Back."""
    page = listen(tracks[3])
    rows = page.locator("section.player").first.locator(".row")
    liked = rows.nth(1).locator(".label").text_content()
    rows.nth(1).get_by_role("button", name="Also like this").click()
    expect(page).to_have_url(re.compile("like="), timeout=PATIENCE_MS)
    chip = page.get_by_role("button", name=re.compile(r"\+1 "))
    expect(chip).to_contain_text(" ".join(liked.split()[:2]))
    settle(page)
    expect(rows.nth(1).locator(".verdict")).to_contain_text("near to")
    rows.nth(2).get_by_role("button", name="Not like this").click()
    expect(page).to_have_url(re.compile("unlike="), timeout=PATIENCE_MS)
    settle(page)
    chip.click()
    expect(page).not_to_have_url(re.compile("[?&]like="), timeout=PATIENCE_MS)
    settle(page)
    page.go_back()
    expect(page).to_have_url(re.compile("[?&]like="), timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name=re.compile(r"\+1 "))).to_be_visible(timeout=PATIENCE_MS)


def test_the_key_of_a_row_that_is_hidden_opens_what_it_stands_under(listen, tracks):
    page = listen(tracks[3])
    numbers = page.locator("section.player").first.locator(".row .number")
    seen = set(numbers.all_inner_texts())
    hidden = next(number for number in map(str, range(1, 10)) if number not in seen)
    page.get_by_role("heading", level=1).click()  # the focus is nowhere
    page.keyboard.press(hidden)
    expect(numbers.get_by_text(hidden, exact=True)).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press(hidden)
    row = page.locator("section.player").first.get_by_role("radio").filter(has=page.get_by_text(hidden, exact=True))
    expect(row).to_have_attribute("aria-checked", "true", timeout=PATIENCE_MS)


def test_a_path_is_walked_in_the_same_player(listen, tracks):
    """To a row of the list; its rows sound one after the other by key, and its end is a chip."""
    page = listen(tracks[0])
    rows, player = page.locator("section.player").first.get_by_role("radio"), "window.__messPlayer.player"
    row = page.locator("section.player").first.locator(".row").nth(6)
    row.get_by_role("button", name="A path to this").click()
    expect(page).to_have_url(re.compile("[?&]to="), timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name=re.compile("A path of [0-9]+ recordings"))).to_be_visible()
    expect(page.get_by_text("The largest step is from #")).to_be_visible()
    settle(page)
    expect(page.locator("section.player").first.locator(".verdict").last).to_contain_text("the end")
    rows.nth(1).click()
    page.wait_for_function(f"() => {player}.isRunning", timeout=PATIENCE_MS)
    page.keyboard.press("ArrowDown")
    expect(rows.nth(2)).to_have_attribute("aria-checked", "true")
    page.reload()
    expect(page.get_by_text("The largest step is from #")).to_be_visible(timeout=PATIENCE_MS)
    page.go_back()
    expect(page).not_to_have_url(re.compile("[?&]to="), timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name="Why?")).to_be_visible(timeout=PATIENCE_MS)


def test_after_a_click_on_a_choice_the_keys_belong_to_the_player(listen, tracks):
    """Who clicked listens next: Space plays. Who came by Tab chooses by key, as anywhere."""
    page = listen(tracks[4])
    rows, player = page.locator("section.player").first.get_by_role("radio"), "window.__messPlayer.player"
    rows.nth(2).click()
    page.wait_for_function(f"() => {player}.isRunning", timeout=PATIENCE_MS)
    choice = page.get_by_role("radio", name="Furthest first")
    choice.click()
    settle(page)
    page.keyboard.press(" ")
    page.wait_for_function(f"() => !{player}.isRunning", timeout=PATIENCE_MS)
    expect(choice).to_be_checked()
    page.keyboard.press("a")
    expect(rows.nth(0)).to_have_attribute("aria-checked", "true")
    page.get_by_role("radio", name="Nearest first").click()
    settle(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("radio", name="Nearest first")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(choice).to_be_focused()
    page.keyboard.press(" ")
    expect(choice).to_be_checked(timeout=PATIENCE_MS)
