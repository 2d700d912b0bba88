"""Judge in a real browser: sixty answers of which none is lost, two taps on a phone, two tabs at once."""

from __future__ import annotations

import re
import shutil
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from mess_core.workspace.workspace import Workspace
from tests.e2e.conftest import PATIENCE_MS, ROOT, Server, settle

pytestmark = pytest.mark.e2e


@pytest.fixture
def own_app(serve, bright_library, tmp_path) -> Server:
    """The app on a copy of the bright library, of this test alone."""
    home = tmp_path / "home"
    shutil.copytree(bright_library, home)
    return serve(ROOT / "app.py", home=home)


def begin(page: Page) -> None:
    page.get_by_role("button", name="Begin", exact=True).click(timeout=PATIENCE_MS)
    wait_for_question(page, 1)


def wait_for_question(page: Page, number: int) -> None:
    expect(page.get_by_text(re.compile(rf"^Question {number} of "))).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Cannot tell")).to_be_enabled(timeout=PATIENCE_MS)


def hear_all(page: Page) -> None:
    for key in "123":
        page.keyboard.press(key)
        tile = page.locator("section.trial .clip").nth(int(key) - 1)
        expect(tile).to_contain_text("playing", timeout=PATIENCE_MS)
        page.wait_for_timeout(1300)
    expect(page.get_by_role("button", name="A", exact=True)).to_be_enabled()


def answers(server: Server) -> list[str | None]:
    home = Workspace(server.home)
    found = [each.answer for sitting in home.sittings.all() for each in home.sittings.questions(sitting.sitting_id)]
    home.close()
    return found


def test_sixty_answers_outlive_two_dead_servers(own_app, serve, open_page, watch):
    """Killed right after a click: the answer waits in the browser, also through a reload, and is kept once."""
    page = open_page(f"{own_app.url}/Judge")
    begin(page)
    watch.expected.append("")  # a dead server is no fault of the page
    server, given = own_app, []
    for number in range(1, 61):
        wait_for_question(page, number)
        key = "n" if number % 6 else "ab"[number % 4 // 2]
        if key != "n":
            hear_all(page)
        page.keyboard.press(key)
        given.append({"n": "neither", "a": "first", "b": "second"}[key])
        if number in (20, 40):
            server.process.kill()
            server.process.wait()
            page.wait_for_timeout(1000)
            server = serve(ROOT / "app.py", home=server.home, port=urlsplit(server.url).port)
            if number == 40:
                page.reload()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible(timeout=PATIENCE_MS)
    assert answers(server) == given
    assert page.evaluate("() => localStorage.getItem('mess-answers')") is None


def test_an_answer_waits_until_the_server_has_it(own_app, open_page, watch):
    page = open_page(f"{own_app.url}/Judge")
    begin(page)
    watch.expected.append("/answer")
    page.route("**/answer", lambda route: route.abort())
    page.keyboard.press("n")
    expect(page.get_by_role("status").filter(has_text="Your answer is kept in this browser")).to_be_visible()
    assert answers(own_app) == [None]
    page.reload()
    wait_for_question(page, 1)
    page.unroute("**/answer")
    wait_for_question(page, 2)
    assert answers(own_app) == ["neither", None]


def test_the_next_question_comes_though_the_page_was_not_connected(own_app, open_page, watch):
    """The answer reaches the server, and what the page is told of it does not: Streamlit's connection is down."""
    page = open_page(f"{own_app.url}/Judge")
    begin(page)
    connections, is_down = [], False

    def connect(connection: WebSocketRoute) -> None:
        if is_down:
            connection.close()
            return
        connection.connect_to_server()
        connections.append(connection)

    page.route_web_socket(re.compile("/_stcore/stream"), connect)
    page.reload()
    wait_for_question(page, 1)
    settle(page)
    watch.expected.append("")  # Streamlit complains that it is not connected
    is_down = True
    connections[-1].close()
    with page.expect_response("**/answer"):
        page.keyboard.press("n")
    page.wait_for_timeout(500)
    is_down = False
    wait_for_question(page, 2)
    assert answers(own_app) == ["neither", None]


def test_who_goes_back_answers_anew(own_app, open_page):
    page = open_page(f"{own_app.url}/Judge")
    begin(page)
    page.keyboard.press("n")
    wait_for_question(page, 2)
    page.keyboard.press("Backspace")
    expect(page.get_by_text("You have answered this one")).to_be_visible()
    wait_for_question(page, 1)
    assert page.get_by_role("button", name="Cannot tell").get_attribute("aria-pressed") == "true"
    page.keyboard.press("a")  # not heard yet: nothing to compare
    expect(page.get_by_text("Hear X, A and B first.")).to_be_visible()
    hear_all(page)
    page.keyboard.press("a")
    wait_for_question(page, 2)
    assert answers(own_app) == ["first", None]


def test_two_taps_on_a_phone(own_app, open_page):
    """One hears all three, the other answers."""
    page = open_page(f"{own_app.url}/Judge", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    begin(page)
    page.get_by_role("button", name="Hear X, A and B").tap()
    expect(page.get_by_role("button", name="B", exact=True)).to_be_enabled(timeout=PATIENCE_MS)
    page.get_by_role("button", name="B", exact=True).tap()
    wait_for_question(page, 2)
    assert answers(own_app) == ["second", None]
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_two_tabs_of_one_sitting_keep_each_question_once(own_app, open_page):
    one = open_page(f"{own_app.url}/Judge")
    begin(one)
    settle(one)
    other = open_page(one.url)
    wait_for_question(other, 1)
    one.bring_to_front()
    one.keyboard.press("n")
    wait_for_question(one, 2)
    other.bring_to_front()
    hear_all(other)
    other.keyboard.press("a")  # the same question, too late: the first answer counts
    wait_for_question(other, 2)
    assert answers(own_app) == ["neither", None]


def test_nothing_tells_which_recording_is_heard(own_app, open_page):
    """Neither the page nor the addresses it asks for name a track."""
    asked: list[str] = []
    page = open_page(f"{own_app.url}/Judge")
    page.on("request", lambda request: asked.append(request.url))
    begin(page)
    hear_all(page)
    home = Workspace(own_app.home)
    tracks = home.catalogue.tracks("music")
    home.close()
    shown = page.locator("section.trial").inner_text() + page.url
    for track in tracks:
        assert track.title not in shown
        assert not any(name in address for address in asked for name in (track.track_id, track.sha256))
