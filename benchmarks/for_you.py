"""For You at scale: a like to the changed list, in the core and in a real browser, on 10⁵ tracks and 10⁵ events.

    python -m benchmarks.for_you [--tracks 100000] [--events 100000] [--home FOLDER]

The library is made up: embeddings of the embedded encoder in groups, a listener who likes some of them. `--home` keeps
it for the next time. Milliseconds, median and 90th percentile; the browser needs Chromium and Playwright.

    like     keep the thumb: one transaction, on the disk
    list     in the core, everything that the page asks of it after that: who likes what, the list, its reasons
    profile  of that, the profile of the listener
    points   baseline: the points of all tracks times one, which any list needs
    shown    in the browser, from the click on the thumb to the frame in which another row stands in the list
    settled  to the end of what the server sends
    come     from the click on its link, on another page, to the first row
    opened   from the address to the first row, the server warm, in a browser that has nothing of it yet
    least    baseline: the same of a page with one line of text, Streamlit alone
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.listen import ROOT, browser, served
from benchmarks.planted_map import LIBRARY, catalogue_of, embeddings_known
from mess_core.catalogue.opinions import ME
from mess_core.embeddings.store import EmbeddingStore
from mess_core.encoders.nano import NANO
from mess_core.recommend.for_you import ForYou, recommend
from mess_core.recommend.gathering import profile_for, to_the_hour
from mess_core.recommend.signals import DAY_S
from mess_core.storage.packed import write_packed
from mess_core.workspace.scope import scope_to_listen
from mess_core.workspace.workspace import Workspace

N_GROUPS, N_LIKED_GROUPS, N_ROWS = 400, 12, 10
N_TIMES, N_CLICKS = 9, 9
PATIENCE_MS = 300_000
GOALS_MS = {"profile": 200, "list": 500, "shown": 500, "come": 1000}
# When the click came, when the first row was another one than before, and when the server's last message came.
WATCH = """
window.watch = {clicked: 0, shown: 0, last: 0, before: null};
addEventListener("pointerdown", (event) => { watch.clicked ||= event.timeStamp; }, true);
window.WebSocket = class extends WebSocket {
  constructor(...of) {
    super(...of);
    this.addEventListener("message", () => { watch.last = performance.now(); });
  }
};
watch.rows = () => {
  const list = [...document.querySelectorAll("[class*=st-key-for] *")].find((element) => element.shadowRoot);
  const thumbs = [...(list?.shadowRoot ?? document).querySelectorAll("section.player .row .act.dislike")];
  return thumbs.map((thumb) => thumb.ariaLabel ?? thumb.getAttribute("aria-label")).join("\\n");
};
(function look() {
  const now = watch.rows();
  if (!watch.shown && now && now !== watch.before) watch.shown = performance.now();
  requestAnimationFrame(look);
})();
"""
IS_STILL = "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--home", type=Path, help="keep the made-up library here, or use the one that is here")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.home or Path(folder)
        begun = time.perf_counter()
        workspace = make_library(root, arguments.tracks, arguments.events)
        print(f"{arguments.tracks:,} tracks and {arguments.events:,} events in {time.perf_counter() - begun:.0f} s\n"
              f"{'':10}{'median':>8}{'p90':>8}", flush=True)  # fmt: skip
        for name, took in in_the_core(workspace):
            say(name, took)
        print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.1f} GiB", flush=True)
        with served(ROOT / "app.py", workspace) as (url, _), browser() as chromium:
            for name, took in in_the_browser(chromium, f"{url}/For_You?library={LIBRARY}"):
                say(name, took)
        least = Path(folder, "least.py")
        least.write_text('import streamlit as st\nst.text("here")\n')
        with served(least, workspace) as (url, _), browser() as chromium:
            say("least", [_opened(chromium, url) for _ in range(3)][1:])
        workspace.close()
    print(f"load {os.getloadavg()[0]:.1f}")


def say(name: str, took_s: Sequence[float]) -> None:
    """A row of the table."""
    took_ms = 1000 * np.array(took_s)
    goal = f"   (goal {GOALS_MS[name]})" if name in GOALS_MS else ""
    print(f"{name:10}{np.median(took_ms):8.0f}{np.quantile(took_ms, 0.9):8.0f}{goal}", flush=True)


# --- the library --------------------------------------------------------------------------------------------


def make_library(root: Path, n: int, n_events: int) -> Workspace:
    """Tracks in groups, and what one listener heard and liked of some of them."""
    workspace = Workspace(root / "home")
    if workspace.catalogue.n_tracks(LIBRARY):
        return workspace
    workspace.database.set_setting("demo", "removed")
    rng = np.random.default_rng(0)
    ids = catalogue_of(workspace, n, rng)
    groups = rng.integers(0, N_GROUPS, n)
    embeddings_known(workspace, ids, NANO)
    write_packed(_packed(workspace.store, ids), planted_vectors(groups, rng))
    rows = events_of(ids, groups, n_events, rng)
    with workspace.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO plays (listener, track_id, seconds, played_at, share, is_skip) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
        liked = rng.choice(np.flatnonzero(np.isin(groups, range(N_LIKED_GROUPS))), 300, replace=False)
        connection.executemany(
            "INSERT INTO judgements (listener, track_id, verdict, context, judged_at) VALUES (?, ?, 'like', '{}', ?)",
            [(ME, ids[row], time.time() - rng.uniform(0, 900) * DAY_S) for row in liked],
        )
    return workspace


def _packed(store: EmbeddingStore, ids: Sequence[str]) -> Path:
    return store.paths.packed / f"{store.content(ids, NANO)}.npy"


def planted_vectors(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, n_layers, dim) float32: a common part, what a group shares, and what is a track's own."""
    shape = NANO.n_layers, NANO.embedding_dim
    vectors = np.empty((len(groups), *shape), np.float32)
    common, of_group = 5 * rng.standard_normal(shape), rng.standard_normal((N_GROUPS, *shape), dtype=np.float32)
    for rows in np.array_split(np.arange(len(groups)), 1 + len(groups) // 5000):
        vectors[rows] = common + of_group[groups[rows]]
        vectors[rows] += rng.standard_normal((len(rows), *shape), dtype=np.float32)
    return vectors


def events_of(ids: Sequence[str], groups: np.ndarray, n: int, rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """Plays, oldest first: four of five of groups that are liked; some are skipped."""
    own = np.flatnonzero(groups < N_LIKED_GROUPS)
    rows = np.where(rng.random(n) < 0.8, rng.choice(own, n), rng.integers(len(ids), size=n))
    at_s = np.sort(time.time() - rng.uniform(0, 900, n) * DAY_S)
    share = rng.random(n)
    return [
        (ME, ids[row], float(20 * part), float(at), float(part), int(part < 0.1))
        for row, at, part in zip(rows, at_s, share, strict=True)
    ]


# --- what is measured ---------------------------------------------------------------------------------------


def in_the_core(workspace: Workspace) -> Iterator[tuple[str, list[float]]]:
    """As the page asks, but without its index of aspects, which nothing was probed for."""
    scope = scope_to_listen(workspace, LIBRARY)

    def ask() -> ForYou:
        return recommend(scope, ME, k=N_ROWS, surprise=0.5)

    found, took = ask(), {"like": [], "profile": [], "list": []}  # type: ForYou, dict[str, list[float]]
    for number in range(N_TIMES):
        liked = found.found[number % 3].track.track_id
        took["like"].append(seconds(lambda track_id=liked: workspace.opinions.judge(track_id, "like")))
        begun = time.perf_counter()
        profile_for(scope, ME, to_the_hour(time.time()))
        took["profile"].append(time.perf_counter() - begun)
        found = ask()
        took["list"].append(time.perf_counter() - begun)
    yield from took.items()
    points = found.profile.shelf.points
    yield "points", [seconds(lambda: points @ points[0]) for _ in range(N_TIMES)]


def seconds(act: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def in_the_browser(chromium: Any, address: str) -> Iterator[tuple[str, list[float]]]:
    """Thumbs up, one after the other, down the list; a page that was opened before on the same server."""
    opened = []
    for _ in range(3):
        page = chromium.new_page(viewport={"width": 1440, "height": 1400})
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(WATCH)
        begun = time.perf_counter()
        page.goto(address)
        page.wait_for_function("() => watch.shown")
        opened.append(time.perf_counter() - begun)
        settle(page)
        if len(opened) < 3:
            page.close()
    come = []
    for _ in range(3):
        page.get_by_role("link", name="Judge").first.click()
        page.wait_for_function("() => !watch.rows()")
        settle(page)
        page.evaluate("Object.assign(watch, {shown: 0, before: null})")
        begun = time.perf_counter()
        page.get_by_role("link", name="For You").first.click()
        page.wait_for_function("() => watch.shown")
        come.append(time.perf_counter() - begun)
        settle(page)
    shown, settled = [], []
    for number in range(N_CLICKS):
        page.evaluate("Object.assign(watch, {clicked: 0, shown: 0, before: watch.rows()})")
        row = page.locator("section.player .row").nth(number)
        row.hover()
        row.locator(".act.like").click()
        page.wait_for_timeout(300)
        settle(page)
        if page.evaluate("watch.shown"):  # else what was liked changed nothing in the first ten
            shown.append(page.evaluate("watch.shown - watch.clicked") / 1000)
        settled.append(page.evaluate("watch.last - watch.clicked") / 1000)
    page.close()
    if not shown:
        raise SystemExit("No like changed the list: begin with a new --home.")
    yield "shown", shown
    yield "settled", settled
    yield "come", come
    yield "opened", opened[1:]


def _opened(chromium: Any, url: str) -> float:
    page = chromium.new_page()
    begun = time.perf_counter()
    page.goto(url)
    page.get_by_text("here").wait_for()
    took = time.perf_counter() - begun
    page.close()
    return took


def settle(page: Any) -> None:
    """Until the server has said all it had to say."""
    page.wait_for_function(f"() => watch.last && {IS_STILL} && performance.now() - watch.last > 500")


if __name__ == "__main__":
    main()
