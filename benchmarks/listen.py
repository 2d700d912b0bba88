"""Listen and Map in a real browser, on ten thousand tracks: weights, an upload, clicks, and two hundred plays.

    python -m benchmarks.listen [--home FOLDER] [--plays 200]

The library is made up (embeddings as the embedded encoder shapes them, in which all 22 targets are planted) and probed
once; that takes a minute or two. `--home` keeps it for the next time. Needs Chromium and Playwright.

Times are taken in the page, by its own clock: from the key or the file to the frame in which the first neighbour in the
list has the nearness that the core gives for it. Milliseconds, median and 90th percentile of 20.

    sent     the browser has sent the new weight to the server
    shown    the list has the new first row
    heard    a click on a row of the list, to sound (its excerpt fetched before)
    settled  the server has said all it had to say about the page, and the page has taken it in
    core     what the search itself needs of that: plan, neighbours, moments, reasons
    same     baseline: the same page run again with nothing changed, to settled
    map      from a click on a point of the map of one layer (WebGL, in software) to its sound
    least    baseline: Streamlit alone, a page of one slider and one table of ten rows, to shown
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.first_minute import ROOT, limit_s
from mess_core.catalogue.catalogue import NewTrack, Track, track_id_of
from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.nano import NANO
from mess_core.evaluation.faithfulness import measure_faithfulness
from mess_core.evaluation.kept import Evaluation, save_evaluation
from mess_core.maps.drawing import load_view
from mess_core.probing.data import ProbeData
from mess_core.probing.discovery import save
from mess_core.probing.probe import fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.search.answers import Answer, Plan, answer, build_index, make_plan, query_of
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.reasons import find_reasons
from mess_core.targets.registry import TARGETS
from mess_core.workspace.scope import Scope, count_segments
from mess_core.workspace.workspace import Workspace

N_TRACKS, N_SEGMENTS, LIBRARY = 10_000, 8, "large"
DURATION_S, RATE_HZ = 22.5, 24_000
N_JUDGED = 80  # tracks behind the leak matrix: its size, which the page reads, does not depend on it
N_CHANGES, N_UPLOADS, UPLOAD_S = 20, 3, 180
GOAL_MS, UPLOAD_GOAL_S = 300, 5.0
QUICK = ProbeSettings(alphas=(100.0,), n_bootstraps=100)
PATIENCE_MS = 60_000
MAP_LAYER, N_CLICKS, CLICK_GOAL_MS = 6, 10, 1000
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader", "--autoplay-policy=no-user-gesture-required"]
# In every page, before anything else: when a key went down, when messages left and came, when the first neighbour of
# the list had a nearness, or a table drew a text.
WATCH = """
const nothing = {key: 0, sent: 0, last: 0, shown: 0, heard: 0, bytes: 0};
window.watch = {expected: null, begin() { Object.assign(this, nothing, {before: this.now}); }};
watch.begin();
addEventListener("mess-heard", ({detail}) => {
  if (!detail.isPlaying || detail.second <= 0 || detail.trackId === watch.before) return;
  watch.heard ||= performance.now();
  watch.now = detail.trackId;
});
addEventListener("keydown", (event) => { watch.key ||= event.timeStamp; }, true);
addEventListener("pointerdown", (event) => { watch.key ||= event.timeStamp; }, true);
window.WebSocket = class extends WebSocket {
  constructor(...of) {
    super(...of);
    this.addEventListener("message", ({data}) => {
      watch.last = performance.now();
      watch.bytes += data.byteLength ?? data.size ?? data.length;
    });
  }
  send(data) { watch.sent ||= performance.now(); super.send(data); }
};
const draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
  const isTable = !this.canvas.isConnected || this.canvas.closest("[data-testid=stDataFrame]");  // drawn aside first
  const isExpected = watch.expected === null || text.trim() === watch.expected;
  if (!watch.shown && isTable && isExpected) watch.shown = performance.now();
  return draw.call(this, text, ...at);
};
let list = null;
function look() {
  if (!list?.isConnected)
    list = [...document.querySelectorAll("[class*=st-key-player] *")].find((element) => element.shadowRoot);
  const scores = list?.shadowRoot.querySelectorAll(".row .score") ?? [];
  const nearness = [...scores].find((score) => score.title)?.title;
  const isExpected = nearness && (watch.expected === null || nearness.includes(` ${watch.expected} `));
  if (!watch.shown && isExpected) watch.shown = performance.now();
  requestAnimationFrame(look);
}
requestAnimationFrame(look);
"""
MAP_SCRIPT = ROOT / "pages" / "shared" / "map" / "points" / "map.js"
# After the script of the map, so that it says where its points are in the window.
POINTS = """
const { update } = PointMap.prototype;
PointMap.prototype.update = function (...given) {
  globalThis.pointAt = (row) => {
    const box = this.plane.getBoundingClientRect();
    const [left, top] = this.camera.toScreen(this.places[2 * row], this.places[2 * row + 1]);
    return [box.left + left, box.top + top];
  };
  return update.apply(this, given);
};
"""
IS_STILL = "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
LEAST_PAGE = """
    import streamlit as st
    weight = st.slider("brightness", 0.0, 1.0, step=0.1)
    st.dataframe([{"rank": n, "title": f"track {n}", "similarity": weight - n / 100} for n in range(10)],
                 column_config={"similarity": st.column_config.NumberColumn(format="%.3f")})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="keep the made-up library here, or use the one that is here")
    parser.add_argument("--plays", type=int, default=200, help="0 leaves the plays out")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.home or Path(folder)
        started = time.perf_counter()
        workspace = make_library(root)
        print(f"{N_TRACKS} tracks made, embedded and probed in {time.perf_counter() - started:.0f} s\n", flush=True)
        least = Path(folder, "least.py")
        least.write_text(textwrap.dedent(LEAST_PAGE))
        with served(least, workspace) as (url, _), browser() as chromium:
            least_ms = change_ms(open_page(chromium, url), [f"{n / 10:.3f}" for n in range(11)])
        with served(ROOT / "app.py", workspace) as (url, process_id), browser() as chromium:
            print_changes(chromium, url, workspace, least_ms)
            print_uploads(chromium, url, Path(folder))
            print_clicks(chromium, url, workspace)
            if arguments.plays:
                print_plays(chromium, url, workspace, process_id, arguments.plays)
    print(f"\nload {os.getloadavg()[0]:.1f}")


# --- the library ------------------------------------------------------------------------------------------------


def make_library(root: Path) -> Workspace:
    """Ten thousand tracks that share one sound file, with embeddings, targets, a discovery and a leak matrix."""
    workspace = Workspace(root / "home")
    scope = Scope(workspace, LIBRARY, NANO)
    if scope.discovery() is not None:
        return workspace
    workspace.database.set_setting("demo", "removed")
    workspace.database.connection.execute("PRAGMA synchronous = OFF")  # only here: the library may be made again
    (root / "music").mkdir(parents=True, exist_ok=True)
    audio = root / "music" / "shared.wav"
    write_music(audio, DURATION_S)
    workspace.catalogue.add(
        audio.parent, [NewTrack(made_up_track(number), audio) for number in range(N_TRACKS)], LIBRARY
    )
    track_ids = workspace.catalogue.track_ids(LIBRARY)
    rng = np.random.default_rng(0)
    told = rng.standard_normal((N_TRACKS, len(TARGETS)), dtype=np.float32)
    embed(workspace, track_ids, told, rng)
    version = workspace.measurements.files(track_ids[0]).version
    with workspace.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO targets VALUES (?, ?, ?, ?, 'good', 50, '', ?)",
            [
                (track_id, target, float(0.25 * np.exp(0.3 * value)), TARGETS[target].unit, version)
                for track_id, values in zip(track_ids, told, strict=True)
                for target, value in zip(TARGETS, values, strict=True)
            ],
        )
    gathered = scope.gather("work", "track")
    result = replace(fit_cells(gathered.data, QUICK), settings=ProbeSettings())
    some = ProbeData(
        gathered.data.vectors[:N_JUDGED],
        {target: values[:N_JUDGED] for target, values in gathered.data.targets.items()},
        list(gathered.data.groups)[:N_JUDGED],
    )
    discovery = save(workspace.paths, NANO, gathered, result, LIBRARY, "work")
    faithfulness = measure_faithfulness(some, discovery.aspects, QUICK, n_folds=2)
    evaluation = Evaluation(LIBRARY, NANO.id, NANO.fingerprint, gathered.content, faithfulness)
    save_evaluation(scope, evaluation, "faithfulness")
    return workspace


def made_up_track(number: int) -> Track:
    """Two performances of every work; as many names to choose from as such a library has."""
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    title = f"Nocturne no. {number // 2} in E flat major, played {number % 2 + 1}"
    names: dict[str, Any] = {"composer": f"composer {number // 2 % 50}", "performer": f"performer {number % 300}"}
    names |= {"work": f"Nocturne no. {number // 2}", "instrument": f"instrument {number % 20}"}
    return Track(track_id_of(sha256), sha256, title, DURATION_S, RATE_HZ, 1, "WAV", loudness_lufs=-20.0, **names)


def embed(workspace: Workspace, track_ids: list[str], told: np.ndarray, rng: np.random.Generator) -> None:
    """Every layer tells every target, along directions of its own, under noise and a large common part."""
    shape = NANO.n_layers, NANO.embedding_dim
    directions = rng.standard_normal((told.shape[1], shape[0] * shape[1]), dtype=np.float32)
    common = 5 * rng.standard_normal(shape, dtype=np.float32)
    starts_s = 2.5 * np.arange(N_SEGMENTS, dtype=np.float32)
    for track_id, values in zip(track_ids, told, strict=True):
        mean = common + (values @ directions).reshape(shape) + 2 * rng.standard_normal(shape, dtype=np.float32)
        segments = (mean + rng.standard_normal((N_SEGMENTS, *shape), dtype=np.float32)).astype(np.float16)
        workspace.store.write(track_id, NANO, TrackEmbedding(segments, starts_s, mean, np.ones(shape, np.float32)))


def write_music(path: Path, seconds: float, seed: int = 0) -> None:
    """Notes that begin and die away, a new one twice a second."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(RATE_HZ // 2) / RATE_HZ
    envelope = 0.1 * np.exp(-4 * time_s)
    notes = 220 * 2 ** (rng.integers(-12, 13, round(2 * seconds)) / 12)
    soundfile.write(path, np.concatenate([envelope * np.sin(2 * np.pi * note * time_s) for note in notes]), RATE_HZ)


# --- server and browser -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(entry: Path, workspace: Workspace) -> Iterator[tuple[str, int]]:
    """A server in its own process: its address and the number of its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(entry), "--server.port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MESS_HOME": str(workspace.paths.root)}
    output = subprocess.DEVNULL
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        while not is_healthy(url):
            if server.poll() is not None:
                raise RuntimeError("the server did not start")
            time.sleep(0.1)
        yield url, server.pid
    finally:
        server.terminate()
        server.wait()


def is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        try:
            yield chromium
        finally:
            chromium.close()


def open_page(chromium: Any, url: str) -> Any:
    """A page of its own, wide enough for all columns."""
    page = chromium.new_page(viewport={"width": 1920, "height": 1400})
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(WATCH)
    page.goto(url)
    page.wait_for_function("() => watch.shown")
    settle(page)
    return page


def settle(page: Any) -> None:
    """Until the server has said all it had to say."""
    page.wait_for_function(f"() => watch.last && {IS_STILL} && performance.now() - watch.last > 300")


# --- weights ----------------------------------------------------------------------------------------------------


def print_changes(chromium: Any, url: str, workspace: Workspace, least_ms: dict[str, list[float]]) -> None:
    scope = Scope(workspace, LIBRARY, NANO)
    discovery, query = scope.discovery(), query_of(scope, scope.tracks[17])
    weights = [round(0.1 * n, 1) for n in range(1, 11)]

    def plan_of(weight: float) -> Plan:
        return make_plan(scope, Question({"tempo": 0.5, "brightness": weight}), discovery)

    index = build_index(plan_of(0.1))
    answers = {weight: ask(index, plan_of(weight), query) for weight in weights}  # makes what is made once
    expected = [f"{answers[weight].found[0].neighbour.nearness:.1f}" for weight in weights]
    core_ms = []
    for number in range(N_CHANGES):
        start = time.perf_counter()
        ask(index, plan_of(weights[number % len(weights)]), query)
        core_ms.append(1e3 * (time.perf_counter() - start))

    page = open_page(chromium, f"{url}/Listen?query={query.track_id}&library={LIBRARY}&tempo=0.5&brightness=0.1")
    took = change_ms(page, expected)
    took["heard"] = click_ms(page)
    same_ms = []
    page.get_by_text("Query Nocturne").click()  # opens what the query is chosen by
    for number in range(2 + N_CHANGES):
        page.evaluate("watch.begin()")
        page.get_by_role("radio", name=("Record", "Drop a file")[number % 2]).click()
        settle(page)
        if number >= 2:  # both were there before
            same_ms.append(page.evaluate("watch.last - watch.key"))
    kilobytes = np.median(took.pop("bytes")) / 1e3
    page.close()
    print(f"a weight changed, {N_TRACKS} tracks      median     p90")
    for name, values in {**took, "core": core_ms, "same": same_ms, "least": least_ms["shown"]}.items():
        goal = f"   (goal {GOAL_MS})" if name == "shown" else ""
        print(f"{name:>30} {np.median(values):8.0f} {np.quantile(values, 0.9):7.0f}{goal}")
    print(f"{'kilobytes sent to the browser':>30} {kilobytes:8.0f}\n", flush=True)


def ask(index: NeighbourIndex, plan: Plan, query: Any) -> Answer:
    found = answer(index, plan, query)
    find_reasons(index, query.embedding.mean, [item.track.track_id for item in found.found])
    return found


def change_ms(page: Any, texts: list[str]) -> dict[str, list[float]]:
    """Step through the weights and back, a key at a time; `texts` is what the first row says at each of them.

    The page is at the first weight; the first way to the last one warms up.
    """
    page.get_by_role("slider", name="brightness").focus()
    last = len(texts) - 1
    took: dict[str, list[float]] = {name: [] for name in ("sent", "shown", "settled", "bytes")}
    for turn in range(last + N_CHANGES):
        is_back, place = divmod(turn % (2 * last), last)
        text = texts[last - place - 1 if is_back else place + 1]
        page.evaluate("(text) => { watch.begin(); watch.expected = text; }", text)
        page.keyboard.press("ArrowLeft" if is_back else "ArrowRight")
        page.wait_for_function("() => watch.shown")
        settle(page)
        seen = page.evaluate("({...watch})")
        if turn >= last:
            for name, at in (("sent", "sent"), ("shown", "shown"), ("settled", "last")):
                took[name].append(seen[at] - seen["key"])
            took["bytes"].append(seen["bytes"])
    return took


def click_ms(page: Any) -> list[float]:
    """From a click on one of the first rows to its sound; one way through them has fetched their excerpts."""
    rows, took = page.locator("section.player").first.get_by_role("radio"), []
    for number in range(4 + N_CLICKS):
        page.evaluate("watch.begin()")
        rows.nth(1 + number % 4).click()
        page.wait_for_function("() => watch.key && watch.heard")
        took.append(page.evaluate("watch.heard - watch.key"))
    page.get_by_role("button", name="Pause", exact=True).first.click()
    settle(page)
    return took[4:]


# --- an upload --------------------------------------------------------------------------------------------------


def print_uploads(chromium: Any, url: str, folder: Path) -> None:
    """From the choice of a file to the first row, the worker's part included."""
    took_s = []
    for number in range(N_UPLOADS):
        path = folder / f"query {number}.wav"
        write_music(path, UPLOAD_S, seed=time.time_ns())  # never heard before, in a kept library either
        page = chromium.new_page(viewport={"width": 1920, "height": 1400})
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(WATCH)
        page.goto(f"{url}/Listen?library={LIBRARY}")
        page.locator("input[type=file]").wait_for(state="attached")
        settle(page)
        page.evaluate("watch.begin()")
        start = page.evaluate("performance.now()")
        page.locator("input[type=file]").set_input_files(path)
        page.wait_for_function("() => watch.shown")
        took_s.append((page.evaluate("watch.shown") - start) / 1e3)
        page.close()
    alone_s = limit_s(count_segments(UPLOAD_S, NANO))
    print(f"an upload of {UPLOAD_S} s to its first neighbour, s: {', '.join(f'{seconds:.2f}' for seconds in took_s)}")
    print(f"   (goal {UPLOAD_GOAL_S:g}; the encoder alone {alone_s:.2f})\n", flush=True)


# --- the map ----------------------------------------------------------------------------------------------------


def print_clicks(chromium: Any, url: str, workspace: Workspace) -> None:
    """From a click on a point to the first sound of its recording, another point each time."""
    if load_view(Scope(workspace, LIBRARY, NANO), MAP_LAYER) is None:
        start = time.perf_counter()
        command = [sys.executable, "-m", "mess_core", "--home", str(workspace.paths.root), "map", "--library", LIBRARY]
        subprocess.run([*command, "--layer", str(MAP_LAYER)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        print(f"layer {MAP_LAYER} drawn in {time.perf_counter() - start:.0f} s", flush=True)
    page = chromium.new_page(viewport={"width": 1920, "height": 1400})
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(WATCH)
    both = f"{MAP_SCRIPT.read_text('utf-8')}\n{POINTS}"
    page.route("**/modules/*/map.js", lambda route: route.fulfill(content_type="text/javascript", body=both))
    page.goto(f"{url}/Map?library={LIBRARY}&layer={MAP_LAYER}")
    page.locator("section.map[data-ready]").wait_for()
    took_ms = []
    for number in range(1 + N_CLICKS):  # the first opens the player
        settle(page)
        x, y = page.evaluate("row => globalThis.pointAt(row)", 7 + 13 * number)
        page.evaluate("watch.begin()")
        page.mouse.click(x, y)
        page.wait_for_function("() => watch.key && watch.heard")
        took_ms.append(page.evaluate("watch.heard - watch.key"))
    page.close()
    median, late = np.median(took_ms[1:]), np.quantile(took_ms[1:], 0.9)
    print(f"a click on the map of {N_TRACKS} points to sound, ms: first {took_ms[0]:.0f}, then median {median:.0f},")
    print(f"   p90 {late:.0f} (goal {CLICK_GOAL_MS})\n", flush=True)


# --- plays ------------------------------------------------------------------------------------------------------


def print_plays(chromium: Any, url: str, workspace: Workspace, process_id: int, n_plays: int) -> None:
    """Play, switch, pause, go on to the next query: what the page and the server hold after so many."""
    track_id = workspace.catalogue.track_ids(LIBRARY)[0]
    page = open_page(chromium, f"{url}/Listen?query={track_id}&library={LIBRARY}&tempo=0.5")
    print("plays   page MB   of it buffers   renderer MB   server MB")
    for number in range(n_plays + 1):
        if number in {0, n_plays // 4, n_plays // 2, n_plays}:
            print(memory_line(number, chromium, page, process_id), flush=True)
        play = page.get_by_role("button", name="Play", exact=True).first
        play.press("Home")  # or the end is reached after some forty plays
        play.click()
        page.get_by_role("button", name="Pause", exact=True).first.wait_for()
        page.wait_for_timeout(300)
        page.locator("section.player").first.get_by_role(
            "radio", checked=False
        ).first.click()  # a click on the one that sounds would end it
        page.wait_for_timeout(300)
        page.get_by_role("button", name="Pause", exact=True).first.click()
        settle(page)
        page.evaluate("watch.begin(); watch.expected = null;")
        before = page.url
        page.get_by_role("button", name="Find like this").nth(number % 3).click()
        page.wait_for_url(lambda url, before=before: url != before, wait_until="commit")
        page.wait_for_function("() => watch.shown")
        settle(page)
    page.close()


def memory_line(number: int, chromium: Any, page: Any, process_id: int) -> str:
    """After a collection of garbage."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")
    session.detach()
    whole = chromium.new_browser_cdp_session()
    processes = whole.send("SystemInfo.getProcessInfo")["processInfo"]
    whole.detach()
    renderers = sum(resident_mb(process["id"]) for process in processes if process["type"] == "renderer")
    used, buffers = heap["usedSize"] / 1e6, heap.get("backingStorageSize", 0) / 1e6
    return f"{number:5d} {used:9.1f} {buffers:15.1f} {renderers:13.0f} {resident_mb(process_id):11.0f}"


def resident_mb(process_id: int) -> float:
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


if __name__ == "__main__":
    main()
