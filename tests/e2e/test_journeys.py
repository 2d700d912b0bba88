"""What visitors do, one click after the other, on the real pages of a real server."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pretty_midi
import pytest
from playwright.sync_api import Page, expect

from mess_core.collections.opening import read_track
from mess_core.encoders.mel import MEL
from mess_core.work.add import AddRequest
from mess_core.work.request import submit
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.e2e.conftest import PATIENCE_MS, ROOT, open_details, settle
from tests.e2e.test_app import write_tone

pytestmark = pytest.mark.e2e


@pytest.fixture
def visit(app, open_page):
    """Open a page of the app and wait until it stands still."""

    def visit(path: str, **options) -> Page:
        page = open_page(f"{app.url}/{path}", **{"viewport": {"width": 1440, "height": 1400}, **options})
        expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE_MS)
        settle(page)
        return page

    return visit


# --- the player, while the recordings in it change -----------------------------------------------------------


def radios(page: Page):
    return page.locator("section.player").first.get_by_role("radio")


def probe(page: Page, what: str):
    return page.evaluate(f"window.__messPlayer.player.{what}")


def play(page: Page) -> None:
    page.locator("section.player").first.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => window.__messPlayer.player.position > 0.2", timeout=PATIENCE_MS)


def assert_plays_on(page: Page) -> None:
    """The clock runs, and something is heard: exactly one track has a gain."""
    before = probe(page, "position")
    page.wait_for_function(f"() => window.__messPlayer.player.position !== {before}", timeout=PATIENCE_MS)
    assert probe(page, "isRunning")
    page.wait_for_function("() => window.__messPlayer.player.gains.filter(gain => gain > 0.01).length === 1")


def listen_to(visit, query: str, **choices: str) -> Page:
    link = "&".join(f"{name}={value}" for name, value in {"query": query, "library": "music", **choices}.items())
    page = visit(f"Listen?{link}")
    expect(page.get_by_role("heading", name="Why?")).to_be_visible(timeout=PATIENCE_MS)
    expect(radios(page).first).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    return page


def judge(page: Page, row: int, opinion: str = "Good match") -> None:
    """The thumbs of a neighbour; the first is 0."""
    page.locator("section.player").first.get_by_role("button", name=opinion).nth(row).click()


@pytest.mark.parametrize("source", ["library", "upload"])
def test_rows_are_clicked_in_any_order_and_the_list_plays_on(visit, tracks, tmp_path, source):
    """To and fro among the rows, opinions and an export between, shift and Compare: one is heard, always that one."""
    if source == "library":
        page = listen_to(visit, tracks[4], together="false")
    else:
        page = visit("Listen?library=music&together=false")
        page.locator("input[type=file]").set_input_files(write_tone(tmp_path / "mine.wav", 330, 9.0))
        expect(radios(page).first).to_contain_text("mine", timeout=PATIENCE_MS)
        settle(page)
    page.locator("section.player").first.get_by_role("button", name="Loop").click()
    expect(radios(page)).to_have_count(11)
    for row, keys in [(1, []), (4, []), (6, ["Shift"]), (0, []), (2, ["Shift"]), (10, []), (1, []), (9, ["Shift"])]:
        radios(page).nth(row).click(modifiers=keys)
        expect(radios(page).nth(row)).to_have_attribute("aria-checked", "true")
        assert_plays_on(page)
    judge(page, 3)
    settle(page)
    assert_plays_on(page)
    page.locator("section.player").first.get_by_role("button", name="Compare", exact=True).click()
    for row in (2, 5, 8):
        radios(page).nth(row).click()
        assert_plays_on(page)
        with page.expect_download(timeout=PATIENCE_MS):
            page.get_by_role("button", name="CSV", exact=True).click()
    judge(page, 3, "Not a match")
    settle(page)
    expect(radios(page)).to_have_count(11)
    assert_plays_on(page)


def test_clicks_that_overtake_each_other_leave_what_was_clicked_last(visit, tracks):
    """Faster than the sound and the page can follow."""
    page = listen_to(visit, tracks[7])
    page.locator("section.player").first.get_by_role("button", name="Loop").click()
    play(page)
    for row in (1, 2, 3, 5, 3, 4, 1, 2, 6, 7, 5, 8):
        radios(page).nth(row).click(modifiers=["Shift"] if row % 2 else [])
        judge(page, row - 1, "Not a match" if row % 3 else "Good match")
        page.wait_for_timeout(60)
    settle(page)
    expect(radios(page).nth(8)).to_have_attribute("aria-checked", "true")
    assert_plays_on(page)


def test_what_is_heard_goes_on_while_questions_change(visit, tracks):
    """Other weights, another measure, a neighbour for the query and the way back: whatever comes and goes above it."""
    page = listen_to(visit, tracks[3], together="false")
    page.locator("section.player").first.get_by_role("button", name="Loop").click()
    play(page)
    page.get_by_role("button", name="Same timbre").click()
    expect(page).to_have_url(re.compile("brightness"), timeout=PATIENCE_MS)
    settle(page)
    assert_plays_on(page)
    page.get_by_role("button", name="Rank by the measured values").click()
    expect(page).to_have_url(re.compile("measured"), timeout=PATIENCE_MS)
    settle(page)
    assert_plays_on(page)
    before = radios(page).first.text_content()
    page.get_by_role("button", name="Find like this").first.click()
    expect(radios(page).first).not_to_have_text(before, timeout=PATIENCE_MS)
    settle(page)
    expect(radios(page)).to_have_count(11)
    assert_plays_on(page)
    page.get_by_text("Came from").locator("xpath=following::button[1]").click()
    expect(radios(page).first).to_have_text(before, timeout=PATIENCE_MS)
    settle(page)
    assert_plays_on(page)


# --- what is being worked on ---------------------------------------------------------------------------------


@contextlib.contextmanager
def held_job(home: Workspace, kind: str, arguments: dict, n_done: int = 3, n_total: int = 10) -> Iterator[int]:
    """A running job that stands still, because its worker is the test."""
    job = home.jobs.submit(kind, arguments, resource="held by the test")
    with home.database.transaction() as connection:
        connection.execute(
            "UPDATE jobs SET state = 'running', owner = 'elsewhere/1/x', lease_until = 9e9, started_at = created_at,"
            " n_done = ?, n_total = ?, message = 'in hand' WHERE job_id = ?",
            (n_done, n_total, job.job_id),
        )
    try:
        yield job.job_id
    finally:
        with home.database.transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE job_id = ?", (job.job_id,))


IN_HAND = re.compile(r"embedding with Log-mel 30\s%")
EMBEDDING = re.compile(r"Embedding music \(\d+ tracks?\) with Log-mel · 30 %")


def test_a_recording_is_dropped_while_the_library_is_embedded(visit, app, tmp_path):
    """Both are seen at work, each once; the neighbours come, and nothing breaks on any page meanwhile."""
    home = Workspace(app.home)
    home.catalogue.add(tmp_path, [read_track(write_tone(tmp_path / "not embedded yet.wav", 500))], "music")
    arguments = {"library": "music", "encoder": MEL.id, "keep_raw": False, "then_discover": False}
    with held_job(home, "extract", arguments), held_job(home, "targets", {"library": "music", "then_probe": None}):
        page = visit("Listen?library=music")
        expect(page.get_by_text(IN_HAND)).to_be_visible(timeout=PATIENCE_MS)
        open_details(page)
        expect(page.get_by_text(EMBEDDING)).to_be_visible(timeout=PATIENCE_MS)
        page.keyboard.press("Escape")
        page.locator("input[type=file]").set_input_files(write_tone(tmp_path / "dropped meanwhile.wav", 250))
        expect(radios(page).first).to_contain_text("dropped meanwhile", timeout=PATIENCE_MS)
        for path in ("", "Library?library=music", "Layers?library=music", "Map?library=music", "Listen?library=music"):
            page.goto(f"{app.url}/{path}")
            expect(page.get_by_text(IN_HAND)).to_have_count(1, timeout=PATIENCE_MS)
            settle(page)
            expect(page.get_by_text(IN_HAND)).to_be_in_viewport()  # however long the choices above it
            open_details(page)
            expect(page.get_by_text(EMBEDDING)).to_have_count(1, timeout=PATIENCE_MS)
            expect(page.get_by_role("button", name="Cancel")).to_have_count(2, timeout=PATIENCE_MS)
            assert not page.get_by_test_id("stException").count()
    expect(page.get_by_text(EMBEDDING)).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.get_by_text(IN_HAND)).to_have_count(0, timeout=PATIENCE_MS)
    home.forget_tracks([track.track_id for track in home.catalogue.tracks("music") if "embedded" in track.title])


def test_a_recording_is_dropped_while_the_demo_is_made(serve, open_page, tmp_path):
    """On an empty folder: it is compared with what has been made so far, heard, and still there after a reload."""
    fresh = serve(ROOT / "app.py")
    page = open_page(f"{fresh.url}/Listen", viewport={"width": 1440, "height": 1400})
    dropped = write_tone(tmp_path / "dropped early.wav", 330)
    page.locator("input[type=file]").wait_for(state="attached", timeout=PATIENCE_MS)
    page.locator("input[type=file]").set_input_files(dropped)
    for _ in range(2):  # the second time after a reload
        expect(radios(page).first).to_contain_text("dropped early", timeout=4 * PATIENCE_MS)
        expect(radios(page)).not_to_have_count(1, timeout=PATIENCE_MS)
        radios(page).nth(1).click()
        page.wait_for_function("() => window.__messPlayer.player.position > 0.2", timeout=PATIENCE_MS)
        assert_plays_on(page)
        assert not page.get_by_test_id("stException").count()
        page.reload()
    rows = page.locator("section.player").first.locator(".row")  # more is asked while the library grows
    rows.nth(1).get_by_role("button", name="Also like this").click()
    expect(page.get_by_role("heading", name="most like the query and 1 other")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("radio", name="Furthest first").click()
    expect(page.get_by_role("heading", name="least like the query and 1 other")).to_be_visible(timeout=PATIENCE_MS)
    assert not page.get_by_test_id("stException").count()
    home = Workspace(fresh.home)
    assert home.catalogue.n_tracks("demo") and not any(
        t.title == "dropped early" for t in home.catalogue.tracks("demo")
    )
    for job in home.jobs.active():
        home.jobs.cancel(job.job_id)  # the rest of the demo is not needed here
    page.close()  # which would complain of a server that is gone
    fresh.stop()


# --- back, forward, reload, and links ------------------------------------------------------------------------


def question(page: Page) -> tuple[str, str, str, str, list[str]]:
    """What is asked: library, how many, which query, how bright, and what is chosen of performers."""
    settle(page)
    expect(radios(page).first).to_be_visible(timeout=PATIENCE_MS)
    headline = page.get_by_role("heading", name=re.compile("nearest recording")).inner_text()
    return (
        page.get_by_role("combobox", name="Library").input_value(),
        headline,
        radios(page).first.inner_text(),
        page.get_by_role("slider", name="brightness").get_attribute("aria-valuetext"),
        sorted(part for part in page.url.split("?")[1].split("&") if part.split("=")[0] in ("performers", "passage")),
    )


def test_back_and_forward_bring_every_question_back(visit, tracks):
    """Follow and weigh under a filter; then back through all of it, forward, with a reload in the middle."""
    page = listen_to(visit, tracks[5], k="3", performers="p0")
    asked = [question(page)]

    def ask(change) -> None:
        before = page.url
        change()
        page.wait_for_function("url => window.location.href !== url", arg=before, timeout=PATIENCE_MS)
        asked.append(question(page))

    def weigh() -> None:
        page.get_by_role("slider", name="brightness").focus()
        page.keyboard.press("ArrowRight")

    def follow() -> None:
        page.get_by_role("button", name="Find like this").first.click()

    for change in (follow, weigh, follow, weigh, follow):
        ask(change)
    assert len(set(map(str, asked))) == len(asked)

    def go(step, expected) -> None:
        step()
        for _ in range(50):
            if question(page) == expected:
                break
            page.wait_for_timeout(200)
        assert question(page) == expected
        assert not page.get_by_test_id("stException").count()

    for expected in reversed(asked[2:-1]):
        go(page.go_back, expected)
    go(page.reload, asked[2])
    for expected in (asked[1], asked[0]):
        go(page.go_back, expected)
    for expected in asked[1:]:
        go(page.go_forward, expected)
    radios(page).nth(1).click()
    assert_plays_on(page)


def test_every_link_carries_what_was_chosen(visit, tracks):
    """A session that begins anywhere, through all pages by the sidebar, ends with the question it began with."""
    carried = {
        "library": "music",
        "encoder": "mel",
        "query": tracks[6],
        "k": "4",
        "brightness": "0.3",
        "geometry": "layer",
    }
    link = "&".join(f"{name}={value}" for name, value in carried.items())
    names = ("Home", "Library", "Layers", "Map", "Listen")
    for first in ("", "Library", "Layers", "Map"):
        page = visit(f"{first}?{link}")
        for name in names:
            page.get_by_role("link", name=name, exact=True).click()
            expect(page.get_by_role("heading", level=1)).not_to_have_text("", timeout=PATIENCE_MS)
            settle(page)
            expect(page.get_by_role("combobox", name="Library")).to_have_value("music")
        expect(page.get_by_role("heading", name="4 nearest recordings")).to_be_visible(timeout=PATIENCE_MS)
        asked = dict(part.split("=") for part in page.url.split("?")[1].split("&"))
        carried.pop("encoder", None)  # the only one there is for this library: nothing to choose
        assert asked.items() >= carried.items()
        page.goto(page.url)  # a new visitor with this link
        expect(page.get_by_role("heading", name="4 nearest recordings")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_role("slider", name="brightness")).to_have_attribute("aria-valuetext", "counts 0.3")


def test_the_library_shown_first_is_the_one_used_last(visit, app):
    home = Workspace(app.home)
    home.catalogue.add_to_library("two of them", home.catalogue.track_ids("music")[:2])
    visit("?library=music")
    expect(visit("").get_by_role("combobox", name="Library")).to_have_value("music")
    visit("Listen?library=two+of+them")
    expect(visit("Map").get_by_role("combobox", name="Library")).to_have_value("two of them")
    home.remove_library("two of them")
    expect(visit("").get_by_role("combobox", name="Library")).to_have_value("music")  # the largest


# --- jobs that end early -------------------------------------------------------------------------------------


def test_what_was_cancelled_is_resumed_with_a_click(visit, app, tmp_path):
    """Cancelled while it waits: the page says so, Resume asks for the same once more, and it comes to its end."""
    home = Workspace(app.home)
    home.catalogue.add(tmp_path, [read_track(write_tone(tmp_path / "resumed.wav", 610))], "later")
    arguments = {"library": "later", "encoder": MEL.id, "keep_raw": False, "then_discover": False}
    with held_job(home, "extract", arguments) as job_id:
        page = visit("Library?library=later")
        open_details(page)
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("ending after the item in hand")).to_be_visible(timeout=PATIENCE_MS)
        assert home.jobs.get(job_id).is_cancelling
        home.jobs.finish(job_id, "elsewhere/1/x", "cancelled")
        expect(page.get_by_text("was cancelled").first).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_text("0 of 1 track kept in later.")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_role("button", name="Resume").click()
        for _ in range(600):
            if Scope(home, "later", MEL).n_embedded:
                break
            page.wait_for_timeout(100)
        assert Scope(home, "later", MEL).n_embedded == 1
        expect(page.get_by_role("button", name="Resume")).to_have_count(0, timeout=PATIENCE_MS)
    home.remove_library("later")


def test_what_has_only_midi_is_played_with_a_click(visit, app, tmp_path):
    """Registering says what was passed over; the click plays it, and then it is a recording as the others."""
    folder = tmp_path / "performances"
    folder.mkdir()
    (folder / "mess.csv").write_text("audio,midi,title\n,played.mid,from the keys\n", "utf-8")
    notes = pretty_midi.PrettyMIDI()
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(80, 60 + n % 12, n / 3, (n + 1) / 3) for n in range(15)]
    notes.instruments.append(piano)
    notes.write(str(folder / "played.mid"))
    home = Workspace(app.home)
    page = visit("Library")
    submit(home, AddRequest(folder, "rendered"))
    play_it = page.get_by_role("button", name="Play what has only MIDI", exact=True)
    page.goto(f"{app.url}/Library?library=music")
    expect(page.get_by_text("nothing was added").first).to_be_visible(timeout=PATIENCE_MS)
    open_details(page)
    expect(play_it).to_be_visible(timeout=PATIENCE_MS)
    play_it.click()
    for _ in range(600):
        if home.catalogue.n_tracks("rendered"):
            break
        page.wait_for_timeout(100)
    assert [track.title for track in home.catalogue.tracks("rendered")] == ["from the keys"]
    expect(play_it).to_have_count(0, timeout=PATIENCE_MS)
    home.remove_library("rendered")


# --- how sure -------------------------------------------------------------------------------------------------


def test_another_run_says_what_it_may_not_say(visit):
    """Ten works: wide intervals, and what would halve them. A run with few permutations says nothing, and is shown."""
    page = visit(f"Layers?library=music&encoder={MEL.id}")
    expect(page.get_by_text("Only 10 works: the intervals are wide. 23 more works would halve them.")).to_be_visible()
    page.get_by_role("button", name="Other settings").click()
    permutations = page.get_by_role("spinbutton", name="Permutations")
    permutations.fill("20")
    permutations.press("Tab")
    expect(page.get_by_text("Compare with the untrained network")).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()
    nothing = page.get_by_text("Nothing here may be said to “encode”: 20 permutations, fewer than 199.")
    expect(nothing).to_be_visible(timeout=4 * PATIENCE_MS)  # it is shown when it has ended, and is in the link
    assert "run=" in page.url
    page.reload()
    expect(nothing).to_be_visible(timeout=PATIENCE_MS)
    beside = page.get_by_role("combobox", name="Beside it")
    settle(page)
    beside.click()
    page.get_by_role("option").first.click()
    expect(page.get_by_text("The other run")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("combobox", name="Run", exact=True).click()
    page.get_by_role("option", name="usual settings").click()
    expect(nothing).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.get_by_text("Only 10 works").first).to_be_visible(timeout=PATIENCE_MS)
    assert not page.get_by_test_id("stException").count()


def test_who_judges_goes_elsewhere_and_comes_back_to_the_same_question(visit):
    """From Home to a question, away by link while it waits, back by the browser, reloaded, paused, and gone on with."""
    page = visit("?library=music")
    page.get_by_role("link", name="Say what is alike").click(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Begin", exact=True).click(timeout=PATIENCE_MS)
    cannot_tell = page.get_by_role("button", name="Cannot tell")
    expect(cannot_tell).to_be_enabled(timeout=PATIENCE_MS)
    page.keyboard.press("n")
    second = page.get_by_text(re.compile(r"^Question 2 of "))
    expect(second).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    page.get_by_role("link", name="Learn", exact=True).click()
    expect(page.get_by_role("button", name="Learn", exact=True)).to_be_enabled(timeout=PATIENCE_MS)
    settle(page)
    page.go_back()
    expect(second).to_be_visible(timeout=PATIENCE_MS)
    page.reload()
    expect(second).to_be_visible(timeout=PATIENCE_MS)
    expect(cannot_tell).to_be_enabled(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Go on").first.click(timeout=PATIENCE_MS)
    expect(second).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="End here").click()
    expect(page.get_by_text(re.compile("^1 answer to"))).to_be_visible(timeout=PATIENCE_MS)


def test_a_taste_is_begun_questioned_and_left_behind_and_found_again(visit):
    """As another listener: three likes, a thumb that is taken back, less of something, the map and back, the radio."""
    page = visit("For_You?library=music")
    page.get_by_role("button", name="Another name").click(timeout=PATIENCE_MS)
    page.get_by_role("textbox", name="Name").fill("Ann <b>of</b> the journey")
    page.get_by_role("button", name="Listen as this one").click()
    expect(page).to_have_url(re.compile("listener=Ann"), timeout=PATIENCE_MS)
    settle(page)
    rows = page.locator("section.player .row")
    for row in range(3):
        rows.nth(row).hover()
        rows.nth(row).locator(".act.like").click(timeout=PATIENCE_MS)
        settle(page)
    page.get_by_role("button", name="See what fits").click(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Another list")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)

    unwanted = rows.first.locator(".act.dislike").get_attribute("aria-label")
    rows.first.hover()
    rows.first.locator(".act.dislike").click(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Take that back").click(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Take that back")).to_have_count(0, timeout=PATIENCE_MS)
    settle(page)
    assert page.locator(f'[aria-label="{unwanted}"]').count() <= 1

    page.get_by_text(re.compile("^The taste that this goes by")).click()
    page.get_by_role("button", name="Less of this").first.click(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Take back").first.click(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Less of this").first).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    page.get_by_role("button", name="On the map").first.click()
    expect(page.get_by_role("heading", name="Map", level=1)).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    assert "listener=Ann" in page.url
    page.get_by_role("link", name="For You", exact=True).click()
    expect(page.get_by_role("button", name="Another list")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)

    page.get_by_test_id("stMain").get_by_text("Radio", exact=True).click()
    expect(page.get_by_role("button", name="Skip", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.get_by_text("1 recording so far")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    page.get_by_role("link", name="Judge", exact=True).click()
    expect(page.get_by_role("heading", name="Judge", level=1)).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    page.go_back()
    expect(page.get_by_text("1 recording so far")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    assert not page.locator("section.player .row.sounds").count()  # it waits for a click
    assert not page.get_by_test_id("stException").count()


def test_a_study_is_refused_run_left_looked_at_and_found_again(visit, tmp_path):
    """A path that is none, a plan by hand, away while it runs, two sizes of list, a reload, back, and run once more."""
    kinds = ["a" if number % 2 else "b" for number in range(40)]
    rows = [
        f"u{number} {' '.join(f'{kind}{(number // 2 + at) % 9}' for at in range(6))}"
        for number, kind in enumerate(kinds)
    ]
    (tmp_path / "rows.txt").write_text("\n".join(rows))
    plan = tmp_path / "by-hand.toml"
    data = 'k = [3, 5]\n[data]\npath = "rows.txt"\nformat = "sequences"\nsplit = "leave-one-out"\n'
    plan.write_text(
        data + "".join(f'[[model]]\nname = "{name}"\n' for name in ("popular", "itemknn", "ease", "random"))
    )
    page = visit("Study?library=music")
    expect(page.get_by_text("No study was run yet.")).to_be_visible(timeout=PATIENCE_MS)

    for path, answer in (("/nowhere/at all.toml", "There is no file"), (str(plan), "")):
        page.get_by_role("button", name="A plan of your own").click(timeout=PATIENCE_MS)
        page.get_by_role("textbox", name="Where it lies").fill(path)
        page.get_by_role("button", name="Run it", exact=True).click(timeout=PATIENCE_MS)
        if answer:
            expect(page.get_by_text(answer)).to_be_visible(timeout=PATIENCE_MS)
            page.keyboard.press("Escape")
        settle(page)
    page.get_by_role("link", name="Layers", exact=True).click(timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name="Layers", level=1)).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    page.go_back()
    found = page.get_by_role("heading", name="What it found")
    expect(found).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text(re.compile(r"^On what was held back, .* is best.*: nDCG@3"))).to_be_visible(
        timeout=PATIENCE_MS
    )
    page.get_by_test_id("stMain").get_by_text("5", exact=True).click()
    expect(page.get_by_text(re.compile(r"is best.*: nDCG@5"))).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    assert "list_of=5" in page.url
    page.reload()
    expect(page.get_by_text(re.compile(r"is best.*: nDCG@5"))).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_text("Every figure").click()
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible(timeout=PATIENCE_MS)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert "itemknn" in Path(download.value.path()).read_text()
    assert not page.get_by_role("button", name="Run what is missing").count(), "nothing is"
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete this study").click()
    expect(page.get_by_text("No study was run yet.")).to_be_visible(timeout=PATIENCE_MS)
    assert not page.get_by_text("which is not here").count(), "nobody asked for it: it was deleted"
    settle(page)
    page.go_back()
    settle(page)
    assert not page.get_by_test_id("stException").count()


def test_a_measured_value_is_chosen_narrowed_and_let_go(visit, tracks):
    """Brightness by a slider and its keys, another page, back, and all recordings again."""
    page = visit(f"Listen?library=music&query={tracks[3]}&between=spectral_centroid=:")
    rows = page.locator("section.player .row")
    expect(rows.nth(2)).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_text("Only some recordings").click()
    expect(page.get_by_text("Brightness [Hz]")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    slider = page.get_by_test_id("stSidebar").get_by_role("slider").last
    slider.focus()
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_text(re.compile("Only with a brightness of at most"))).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    assert re.search(r"between=spectral_centroid%3D%3A\d+", page.url)
    page.get_by_role("link", name="Layers", exact=True).click()
    expect(page.get_by_role("heading", name="Layers", level=1)).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    page.go_back()
    expect(page.get_by_text(re.compile("Only with a brightness"))).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="All recordings").click()
    expect(page.get_by_text(re.compile("Only with"))).to_have_count(0, timeout=PATIENCE_MS)
    settle(page)
    assert "between" not in page.url and not page.get_by_test_id("stException").count()
