"""A real server and a real browser.

`serve` starts a Streamlit entry file in its own process and data folder; `open_page` opens it in Chromium.
Every page is watched: a request that leaves this machine, or an error in the console, fails the test.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mess_core.workspace.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "test-results"
PROBED = {  # scripts that tests look into, and what is added to them for that
    ROOT / "pages" / "shared" / "widgets" / "player" / "player.js": Path(__file__).with_name("player_probe.js"),
    ROOT / "pages" / "shared" / "map" / "points" / "map.js": Path(__file__).with_name("map_probe.js"),
}
START_LIMIT_S = 60.0
PATIENCE_MS = 60_000
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # a container has no user namespaces
    "--disable-gpu",
    "--disable-background-networking",  # Chromium's own calls home would hide ours
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]


@dataclass
class Server:
    """A running app: its address, its data folder, its output."""

    url: str
    home: Path
    log: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Watch:
    """What a page did that it must not do. A test that breaks something on purpose names the address in `expected`."""

    external: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def add_error(self, text: str, url: str = "") -> None:
        if not any(part in url for part in self.expected):
            self.errors.append(f"{text} {url}".strip())


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Factory: `serve(entry_file, environment, home, port) -> Server`, ready to answer; stopped at the end."""
    servers: list[Server] = []

    def start(
        entry: Path, environment: dict[str, str] | None = None, home: Path | None = None, port: int | None = None
    ) -> Server:
        home = home or tmp_path_factory.mktemp("home")
        port = port or _free_port()
        log = tmp_path_factory.mktemp("log") / "server.log"
        command = [sys.executable, "-m", "streamlit", "run", str(entry), "--server.port", str(port)]
        command += ["--server.address", "127.0.0.1", "--server.headless", "true", "--server.fileWatcherType", "none"]
        command += ["--browser.gatherUsageStats", "false"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "MESS_HOME": str(home), **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = Server(f"http://127.0.0.1:{port}", home, log, process)
        servers.append(server)
        _wait_until_healthy(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def app(serve, bright_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The app on a library of twelve recordings, in which brightness, and only that, is easily told."""
    root = tmp_path_factory.mktemp("bright") / "home"
    shutil.copytree(bright_library, root)
    return serve(ROOT / "app.py", home=root)


@pytest.fixture
def tracks(app: Server) -> list[str]:
    """The ids of its recordings, the darkest first."""
    known = Workspace(app.home).catalogue.tracks("music")
    return [track.track_id for track in sorted(known, key=lambda track: int(track.title.split()[1]))]


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window, shared by all tests."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = "/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    # On a machine at work a page draws its last widget long after its first words.
    playwright.expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def watch() -> Watch:
    """What this test's pages must not do."""
    return Watch()


@pytest.fixture
def open_page(browser, watch, request):
    """Factory: `open_page(url, **context_options) -> Page`. Checks the watch at the end; takes a picture on failure."""
    contexts, pages = [], []

    def open_one(url: str, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.route("**/*", lambda route: _keep_inside(route, watch))
        for script, probe in PROBED.items():
            context.route(f"**/modules/*/{script.name}", partial(_add_probe, script=script, probe=probe))
        page = context.new_page()
        pages.append(page)
        page.on("pageerror", lambda error: watch.add_error(str(error)))
        page.on(
            "console",
            lambda message: message.type == "error" and watch.add_error(message.text, message.location.get("url", "")),
        )
        page.goto(url)
        return page

    yield open_one
    has_failed = getattr(request.node, "has_failed", False) or watch.external or watch.errors
    for number, page in enumerate(pages):
        if has_failed and not page.is_closed():
            RESULTS.mkdir(exist_ok=True)
            page.screenshot(path=RESULTS / f"{request.node.name}-{number}.png", full_page=True)
    for context in contexts:
        context.close()
    assert watch.external == [], "the page made requests to other machines"
    assert watch.errors == [], "the page wrote errors to the console"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Tell the fixtures whether their test has failed."""
    report = yield
    if report.when == "call" and report.failed:
        item.has_failed = True
    return report


def settle(page) -> None:
    """Wait until the page has nothing more to say."""
    page.wait_for_timeout(300)
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'",
        timeout=PATIENCE_MS,
    )


def open_details(page) -> None:
    """Open what the status at the bottom of the sidebar keeps one click away."""
    page.get_by_role("button", name="Details", exact=True).click(timeout=PATIENCE_MS)


def _keep_inside(route, watch: Watch) -> None:
    address = urlsplit(route.request.url)
    if address.scheme in {"data", "blob"} or address.hostname in {"127.0.0.1", "localhost"}:
        route.continue_()
    else:
        watch.external.append(route.request.url)
        route.abort()


def _add_probe(route, script: Path, probe: Path) -> None:
    """A script, and after it what lets tests look into it.

    It is read from disk, not asked of the server: a browser asks again by itself when a kept connection was closed
    meanwhile, `route.fetch` gives up, and the page then waits for its module for ever.
    """
    both = f"{script.read_text('utf-8')}\n{probe.read_text('utf-8')}"
    route.fulfill(content_type="text/javascript", body=both)


def place_on_map(page, row: int) -> tuple[float, float]:
    """Where a point of the large map is in the window, once the map is there."""
    page.wait_for_function(
        "() => globalThis.__messMap?.ids.length && globalThis.__messMap.place(0)", timeout=PATIENCE_MS
    )
    left, top = page.evaluate("row => globalThis.__messMap.place(row)", row)
    return left, top


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"The server did not start. Its output:\n{server.log.read_text(errors='replace')[-4000:]}")
