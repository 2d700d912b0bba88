"""The true app in a real browser: a visitor drops a recording, sees its neighbours, and hears them."""

from __future__ import annotations

import hashlib
import http.client
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from mess_core.encoders.nano import NANO
from mess_core.probing.result import ProbeSettings
from mess_core.work.add import AddRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import DEMO, Workspace
from tests.conftest import SHARED
from tests.e2e.conftest import open_details

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
RATE_HZ = 24_000
HOSTILE = "<img src=x onerror=window.__pwn=1> ![](http:∕∕example.com∕x.png)"
PATIENCE_MS = 60_000


def write_tone(path: Path, frequency_hz: float, seconds: float = 6.0) -> Path:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    rng = np.random.default_rng(round(frequency_hz))
    tone = sum(np.sin(2 * np.pi * n * frequency_hz * time_s) / n for n in range(1, 5)) * np.exp(-time_s % 1)
    soundfile.write(path, 0.1 * tone + 0.003 * rng.standard_normal(len(time_s)), RATE_HZ)
    return path


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Five recordings, one of them with a name that tries everything."""
    folder = tmp_path_factory.mktemp("music")
    for number, name in enumerate(["low", "middle", "high", "higher", HOSTILE]):
        write_tone(folder / f"{name}.wav", 110 * 2**number)
    return folder


@pytest.fixture(scope="module")
def app(serve, music, tmp_path_factory):
    """The server on a data folder that holds these recordings, embedded by its own worker."""
    home = Workspace(tmp_path_factory.mktemp("app"))
    home.database.set_setting("demo", "removed")  # this visitor does not want it
    submit(home, AddRequest(music, "music", encoder_id="nano"))
    server = serve(ROOT / "app.py", home=home.paths.root)
    wait_for_jobs(server, home)
    return server


def wait_for_jobs(server, home: Workspace) -> None:
    """Wait until the server's worker has done everything."""
    deadline = time.monotonic() + 180
    while home.jobs.active():
        assert time.monotonic() < deadline, server.log.read_text(errors="replace")[-3000:]
        time.sleep(0.2)


@pytest.fixture
def visit(app, open_page):
    """Open a page of the app and wait until it stands still."""

    def visit(path: str = "", **options):
        page = open_page(f"{app.url}/{path}", **options)
        expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE_MS)
        return page

    return visit


def request(app, method: str, path: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
    """A request of our own making, sent exactly as written; its body is in `.body`."""
    connection = http.client.HTTPConnection(urlsplit(app.url).netloc, timeout=30)
    connection.request(
        method, path, body=body, headers={key.replace("_", "-"): value for key, value in headers.items()}
    )
    response = connection.getresponse()
    response.body = response.read()
    connection.close()
    return response


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("", "Which recordings are like this one?"),
        ("Library", "Library"),
        ("Layers", "Layers"),
        ("Listen", "Listen"),
        ("Judge", "Judge"),
        ("Learn", "Learn"),
        ("For_You", "For You"),
        ("Study", "Study"),
    ],
)
def test_a_link_opens_each_page(visit, path, title):
    page = visit(path)
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.get_by_role("link", name="Listen", exact=True)).to_be_visible()


def test_a_dropped_recording_finds_its_like_and_is_heard(visit, app, tmp_path):
    """The main job, end to end: drop, neighbours, play, switch."""
    page = visit("Listen")
    page.locator("input[type=file]").set_input_files(write_tone(tmp_path / "my query.wav", 233))
    expect(page.get_by_text("nearest recordings")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("radio", name="my query")).to_be_visible(timeout=PATIENCE_MS)
    home = Workspace(app.home)
    track = home.catalogue.track(page.url.split("query=")[1].split("&")[0])
    assert track.title == "my query" and not home.catalogue.is_in_library(track.track_id)

    page.get_by_role("button", name="Play", exact=True).click()
    position = page.get_by_role("slider", name="Position")
    expect(position).not_to_have_attribute("aria-valuenow", "0", timeout=PATIENCE_MS)
    neighbour = page.locator("section.player").get_by_role("radio").nth(1)
    neighbour.click()
    expect(neighbour).to_have_attribute("aria-checked", "true")


def test_a_real_recording_finds_the_violins(serve, open_page, tmp_path_factory):
    """A violin partita finds the other movements by the same player."""
    violins = sorted((SHARED / "real-audio").glob("violin_garner*.ogg"))
    others = [*sorted((SHARED / "real-audio").glob("song_*.ogg"))[:3], *(SHARED / "real-audio").glob("vocadito*.flac")]
    if not violins:
        pytest.skip("../shared/data/real-audio is not here")
    folder = tmp_path_factory.mktemp("recordings")
    for path in [*violins[1:], *others]:
        (folder / path.name).symlink_to(path)
    home = Workspace(tmp_path_factory.mktemp("violins"))
    home.database.set_setting("demo", "removed")
    submit(home, AddRequest(folder, "recordings", encoder_id="nano"))
    server = serve(ROOT / "app.py", home=home.paths.root)
    page = open_page(f"{server.url}/Listen?together=false")  # a dance and its double may stand together
    page.locator("input[type=file]").set_input_files(violins[0])
    rows = page.locator("section.player").get_by_role("radio")
    expect(rows.nth(1)).to_contain_text("violin_garner", timeout=2 * PATIENCE_MS)
    expect(rows.nth(2)).to_contain_text("violin_garner")


def test_a_link_carries_every_choice(visit, app):
    """What one person sees, another one sees who opens the link."""
    track = Workspace(app.home).catalogue.tracks("music")[0]
    page = visit(f"Listen?query={track.track_id}&library=music&k=2")
    expect(page.get_by_text("2 nearest recordings")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("combobox", name="Library")).to_have_value("music")
    page.get_by_role("link", name="Library", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Library")
    expect(page.get_by_role("combobox", name="Library")).to_have_value("music")


def test_an_upload_on_the_library_page_joins_a_library(visit, app, tmp_path):
    """For a browser on another machine: the file is kept, embedded, and listed."""
    page = visit("Library", viewport={"width": 1280, "height": 1500})
    page.get_by_text("Upload a file instead").click()
    expect(page.get_by_role("button", name="choose one")).to_be_visible(timeout=PATIENCE_MS)
    page.locator("input[type=file]").set_input_files(write_tone(tmp_path / "kept.wav", 177))
    home = Workspace(app.home)
    deadline = time.monotonic() + 60
    while not any(library.name == "my music" for library in home.catalogue.libraries()):
        assert time.monotonic() < deadline
        page.wait_for_timeout(200)  # not time.sleep: the browser's requests pass through this thread
    wait_for_jobs(app, home)
    (track,) = home.catalogue.tracks("my music")
    assert track.title == "kept" and home.store.has(track.track_id, NANO)


def test_a_name_that_was_edited_stays_when_the_folder_is_read_again(visit, app, music):
    page = visit("Library?library=music")
    page.get_by_label("Filter").fill("middle")
    page.get_by_label("Filter").press("Enter")
    expect(page.get_by_text("1 track. Click a name")).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_timeout(3000)  # the new table takes the place of the old one, and then gets its height
    table = page.get_by_test_id("stDataFrame").last
    table.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    box = table.bounding_box()
    page.mouse.click(box["x"] + 60, box["y"] + 52)  # the title of the first row
    page.wait_for_timeout(600)
    page.keyboard.press("Enter")
    editor = page.locator("#portal textarea")  # of the cell; on a busy machine it takes its time to come
    expect(editor).to_be_focused(timeout=PATIENCE_MS)
    expect(editor).to_have_value("middle")
    editor.fill("middle, by hand")
    expect(editor).to_have_value("middle, by hand")
    page.keyboard.press("Enter")
    expect(editor).to_have_count(0)
    home = Workspace(app.home)
    deadline = time.monotonic() + 30
    while (
        "middle, by hand" not in {track.title for track in home.catalogue.tracks("music")}
        and time.monotonic() < deadline
    ):
        time.sleep(0.2)
    submit(home, AddRequest(music, "music"))
    wait_for_jobs(app, home)
    assert "middle, by hand" in {track.title for track in home.catalogue.tracks("music")}
    expect(page.get_by_text("1 track. Click a name")).to_be_visible(timeout=PATIENCE_MS)


def test_what_is_no_audio_is_refused_in_one_sentence(visit, watch, tmp_path):
    watch.expected.append("/upload")
    page = visit("Listen")
    (tmp_path / "page.wav").write_text("<html>")
    page.locator("input[type=file]").set_input_files(tmp_path / "page.wav")
    expect(page.get_by_role("alert")).to_contain_text("page.wav is no audio that MESS reads", timeout=PATIENCE_MS)


def test_a_hostile_name_is_text_on_every_page(visit, app):
    """No script runs, no request is made (the watch sees to that), and the name is there to be read."""
    home = Workspace(app.home)
    track = next(track for track in home.catalogue.tracks("music") if track.title.startswith("<img"))
    for path in ("", "Library", "Layers", f"Listen?query={track.track_id}"):
        page = visit(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.__pwn") is None
    expect(page.get_by_role("radio", name="<img src=x")).to_be_visible(timeout=PATIENCE_MS)


def test_progress_survives_a_reload_and_is_seen_in_a_second_tab(visit, app, tmp_path):
    """A job is a row: both tabs see the same bar, and cancelling in one ends it in both."""
    home = Workspace(app.home)
    job = home.jobs.submit("download", {"encoder": "nosuch"}, resource="held by the test")
    with home.database.transaction() as connection:  # nobody works on it, so that it stands still
        connection.execute(
            "UPDATE jobs SET state = 'running', owner = 'elsewhere/1/x', lease_until = 9e9 WHERE job_id = ?",
            (job.job_id,),
        )
    try:
        first, second = visit(), visit("Library")
        first.reload()
        for page in (first, second):
            expect(page.get_by_text("Downloading nosuch 0 %")).to_be_visible(timeout=PATIENCE_MS)
            open_details(page)
            expect(page.get_by_text("Downloading the weights")).to_be_visible(timeout=PATIENCE_MS)
        second.get_by_role("button", name="Cancel").click()
        expect(first.get_by_text("ending after the item in hand")).to_be_visible(timeout=PATIENCE_MS)
    finally:
        with home.database.transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE job_id = ?", (job.job_id,))


def test_a_cell_of_the_heatmap_opens_and_a_point_of_it_is_heard(visit, app):
    """Click a mark: scatter, profile and residuals appear; click a point: its recording is in the player."""
    home = Workspace(app.home)
    submit(home, ProbeRequest("music", "nano", settings=ProbeSettings(n_permutations=0)))
    wait_for_jobs(app, home)
    page = visit("Layers?library=music", viewport={"width": 1400, "height": 2000})
    marks = page.locator(".js-plotly-plot").first.locator(".barlayer .points path")
    expect(marks).to_have_count(13 * 22, timeout=PATIENCE_MS)
    click_middle(page, marks.first)
    expect(page.get_by_role("heading", name="Brightness, layer 0")).to_be_visible(timeout=PATIENCE_MS)
    points = page.locator(".js-plotly-plot").nth(1).locator(".scatterlayer .points path")
    expect(points).to_have_count(5, timeout=PATIENCE_MS)
    click_middle(page, points.first)
    expect(page.get_by_role("button", name="Play")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_layers_shows_its_finding_and_its_heatmap_without_scrolling(visit, app, scheme):
    """What was found, the choices, the picture, in this order; on a dark page in the colours for dark, at once."""
    home = Workspace(app.home)
    submit(home, ProbeRequest("music", "nano", settings=ProbeSettings(n_permutations=0)))
    wait_for_jobs(app, home)
    page = visit("Layers?library=music", viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    picture = page.locator(".js-plotly-plot").first
    marks = picture.locator(".barlayer .points path")
    expect(marks).to_have_count(13 * 22, timeout=PATIENCE_MS)
    said = page.get_by_text("Only 5 works: no interval can be given below 10.")
    tops = [each.bounding_box()["y"] for each in (said, page.get_by_role("combobox", name="Encoder"), picture)]
    assert tops == sorted(tops)
    assert marks.first.bounding_box()["y"] < 900
    timbre = {"light": "rgb(199, 119, 0)", "dark": "rgb(242, 163, 60)"}
    heading = picture.get_by_text("timbre", exact=True)
    assert heading.evaluate("(text) => getComputedStyle(text.closest('text')).fill") == timbre[scheme]
    page.get_by_role("radio", name="Table").click()
    expect(page.locator(".js-plotly-plot")).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible(timeout=PATIENCE_MS)


def test_the_camera_saves_a_figure_as_svg_and_the_cell_stays_open(visit, app):
    home = Workspace(app.home)
    submit(home, ProbeRequest("music", "nano", settings=ProbeSettings(n_permutations=0)))
    wait_for_jobs(app, home)
    page = visit("Layers?library=music", viewport={"width": 1400, "height": 2600})
    figures = page.locator(".js-plotly-plot")
    click_middle(page, figures.first.locator(".barlayer .points path").first)
    expect(figures).to_have_count(4, timeout=PATIENCE_MS)
    page.get_by_role("radio", name="SVG").click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.js-plotly-plot')]"
        ".filter(figure => figure._context?.toImageButtonOptions.format === 'svg').length === 4"
    )
    for number, name in enumerate(["r2", "spectral_centroid-0-scatter"]):
        with page.expect_download(timeout=PATIENCE_MS) as saving:
            figures.nth(number).locator("[data-title^=Download]").click(force=True)  # it shows only under the pointer
        assert saving.value.suggested_filename == f"layers-nano-work-track-{name}.svg"
        assert saving.value.path().read_bytes().startswith(b"<svg")


def test_a_segment_is_heard_from_its_beginning(visit, app):
    """The second segment of six seconds begins at 1.0 s: five seconds are left on the clock."""
    home = Workspace(app.home)
    submit(home, ProbeRequest("music", "nano", level="segment", settings=ProbeSettings(n_permutations=0)))
    wait_for_jobs(app, home)
    page = visit("Layers?library=music&level=segment", viewport={"width": 1400, "height": 2600})
    figures = page.locator(".js-plotly-plot")
    click_middle(page, figures.first.locator(".barlayer .points path").first)
    points = figures.nth(1).locator(".scatterlayer .points path")
    expect(points).to_have_count(10, timeout=PATIENCE_MS)
    click_middle(page, points.nth(1))
    expect(page.get_by_role("radio", name="0:01.0")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("/ 0:05.0")).to_be_visible(timeout=PATIENCE_MS)


def click_middle(page, mark) -> None:
    """Plotly takes the pointer's position, not the element."""
    box = mark.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_the_bytes_of_a_track_are_the_tracks_bytes(app):
    """What a player is given under a hash has that hash, whole or in parts."""
    home = Workspace(app.home)
    for track in home.catalogue.tracks("music"):
        whole = request(app, "GET", f"/audio/{track.sha256}")
        assert hashlib.sha256(whole.body).hexdigest() == track.sha256
        part = request(app, "GET", f"/audio/{track.sha256}", Range="bytes=100-199")
        assert (part.status, part.body) == (206, whole.body[100:200])
        assert request(app, "GET", f"/audio/{track.sha256}", Range="bytes=-10").body == whole.body[-10:]
        assert request(app, "GET", f"/audio/{track.sha256}", Range="bytes=999999999-").status == 416
        assert request(app, "HEAD", f"/audio/{track.sha256}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/audio/" + "0" * 64,
        "/audio/../../etc/passwd",
        "/audio/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/audio/%00",
        "/excerpt/nosuch",
        "/peaks/nosuch",
        "/audio//etc/passwd",
    ],
)
def test_nothing_outside_the_catalogue_is_served(app, path):
    response = request(app, "GET", path)
    assert b"root:" not in response.body
    assert (
        response.status in (400, 404) or b"<title>Streamlit</title>" in response.body
    )  # its page for unknown addresses


@pytest.mark.parametrize(
    "query", ["start_s=-1", "start_s=nan", "start_s=x", "length_s=0", "length_s=61", "start_s=9e9"]
)
def test_a_passage_that_is_none_is_refused(app, query):
    track = Workspace(app.home).catalogue.tracks("music")[0]
    assert request(app, "GET", f"/excerpt/{track.sha256}?{query}").status == 400


def test_an_excerpt_is_the_passage(app):
    """16-bit WAV at the file's own rate, the very samples of the passage."""
    import io

    home = Workspace(app.home)
    track = home.catalogue.tracks("music")[0]
    response = request(app, "GET", f"/excerpt/{track.sha256}?start_s=1.5&length_s=2")
    samples, rate = soundfile.read(io.BytesIO(response.body))
    reference, _ = soundfile.read(home.catalogue.audio_path(track.track_id))
    assert rate == RATE_HZ and len(samples) == 2 * RATE_HZ
    np.testing.assert_allclose(samples, reference[36_000:84_000], atol=1 / 32_000)


def test_foreign_hosts_and_origins_are_refused(app):
    assert request(app, "GET", "/peaks/x", Host="evil.example").status == 400
    assert request(app, "PUT", "/upload", body=b"x", Origin="http://evil.example").status == 403
    assert not list((app.home / "uploads").glob("*.tmp"))


def test_an_upload_that_breaks_off_leaves_nothing(app):
    before = set((app.home / "uploads").glob("*")) if (app.home / "uploads").exists() else set()
    connection = http.client.HTTPConnection(urlsplit(app.url).netloc, timeout=30)
    connection.putrequest("PUT", "/upload")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    connection.send(b"RIFF" + b"x" * 1000)
    connection.close()
    time.sleep(1.0)
    assert set((app.home / "uploads").glob("*")) == before


def test_a_killed_worker_is_replaced_and_the_page_goes_on(visit, app, tmp_path):
    """Kill -9 of the worker: the next query is answered by the next worker."""
    workers = subprocess.run(
        ["pgrep", "-P", str(app.process.pid), "-f", "mess_core.work.worker"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert workers
    subprocess.run(["kill", "-9", *workers], check=True)
    page = visit("Listen")
    page.locator("input[type=file]").set_input_files(write_tone(tmp_path / "after.wav", 300))
    expect(page.get_by_role("radio", name="after")).to_be_visible(timeout=2 * PATIENCE_MS)


def test_the_demo_makes_itself_on_an_empty_data_folder(serve, open_page, tmp_path_factory):
    """A newcomer's first minute: nothing to click, the progress is shown; removing it is one click."""
    home = Workspace(tmp_path_factory.mktemp("newcomer"))
    server = serve(ROOT / "app.py", home=home.paths.root)
    page = open_page(server.url)
    expect(page.get_by_text("Making the demo library")).to_be_visible(timeout=PATIENCE_MS)
    open_details(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("No music yet")).to_be_visible(timeout=2 * PATIENCE_MS)
    assert home.catalogue.libraries() == [] and home.jobs.latest("demo").state == "cancelled"
    assert DEMO not in [library.name for library in home.catalogue.libraries()]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_pages_fit_their_window(visit, app, scheme, width):
    """Nothing is wider than the window, in light and dark, on a phone too."""
    track = Workspace(app.home).catalogue.tracks("music")[0]
    for path in ("", "Library", "Layers", f"Listen?query={track.track_id}"):
        page = visit(path, viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_leaving_ends_the_worker(serve, tmp_path_factory):
    """SIGTERM to the server ends the worker too; nothing stays behind."""
    home = Workspace(tmp_path_factory.mktemp("leaving"))
    home.database.set_setting("demo", "removed")
    server = serve(ROOT / "app.py", home=home.paths.root)
    time.sleep(2.0)
    server.stop()
    time.sleep(1.0)
    left = subprocess.run(
        ["pgrep", "-f", f"mess_core.work.worker --home {home.paths.root}"], capture_output=True, text=True
    )
    assert left.stdout == "", sys.executable


def test_words_are_typed_heard_and_lead_to_a_query_and_back(visit, app):
    """Nonsense first; what fits plays; a neighbour beside the words, what it is heard as and when, and Back."""
    page = visit("Listen?library=music")
    box = page.get_by_role("textbox", name="In words")
    box.fill("violn")
    box.press("Enter")
    expect(page.get_by_text("Did you mean violin")).to_be_visible()
    box.fill("slow, not drums")
    box.press("Enter")
    expect(page.get_by_text(re.compile("that fit .* best"))).to_be_visible()
    expect(page).to_have_url(re.compile("words=slow"))
    page.locator("section.player").get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => window.__messPlayer.player.position > 0.2", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Find like this").first.click()
    expect(page.get_by_role("heading", name="Why?")).to_be_visible()
    expect(page).to_have_url(re.compile("query="))
    page.get_by_text("What it is heard as, and when").click()
    expect(page.get_by_text("MusiCNN hears three seconds at a time")).to_be_visible()
    page.go_back()
    expect(page.get_by_text(re.compile("that fit .* best"))).to_be_visible()
