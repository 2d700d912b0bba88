"""The first page that somebody opens of a large library, in a real browser, of a server that has read nothing yet.

    python -m benchmarks.first_page --home DIR [--library large] [--again 3]

`DIR` is a data folder, such as `benchmarks.listen --home` keeps (there, in `home`). Each time is that of a server of
its own, which is up and idle, from the request of the address to the frame in which the page stands there whole (its
main content among it, and the server done). Seconds, the median.

    cold    the data folder, its files in the disk's cache as they were
    empty   baseline: a data folder with nothing in it, in turns: what Streamlit and the browser take by themselves
    again   the same page once more, of the same server
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.first_minute import ROOT
from benchmarks.listen import PATIENCE_MS, browser, served
from mess_core.workspace.workspace import Workspace

GOAL_S = 1.0
IDLE_S = 12.0  # after its start: the worker beside the server has by then imported what it works with
STILL, TITLE = "[data-testid=stApp][data-test-script-state=notRunning]", "[data-testid=stMainBlockContainer] h1"
PAGES = {  # by its address: what is there only once the page has said what it is for
    "": "[data-testid=stMarkdownContainer] table",
    "Library": "[data-testid=stDataFrame]",
    "Listen": "[class*=st-key-example-]",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--library", default="large")
    parser.add_argument("--again", type=int, default=3, help="so many servers for each figure")
    arguments = parser.parse_args()
    workspace = Workspace(arguments.home)
    n_tracks = workspace.catalogue.n_tracks(arguments.library)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {n_tracks:,} tracks (goal {GOAL_S:g} s)")
    print(f"{'':10}{'cold':>8}{'empty':>8}{'ratio':>8}{'again':>8}")
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        empty = Workspace(Path(folder))
        empty.database.set_setting("demo", "removed")
        for page, content in PAGES.items():
            times = [
                (
                    opened(chromium, workspace, f"{page}?library={arguments.library}", content),
                    opened(chromium, empty, page, TITLE),
                )
                for _ in range(arguments.again)
            ]
            cold, again = (statistics.median(first[n] for first, _ in times) for n in (0, 1))
            least = statistics.median(other[0] for _, other in times)
            print(f"{page or 'Home':10}{cold:8.2f}{least:8.2f}{cold / least:8.2f}{again:8.2f}", flush=True)


def opened(chromium: Any, workspace: Workspace, address: str, content: str) -> tuple[float, float]:
    """How long a page takes of a new server, and once more."""
    with served(ROOT / "app.py", workspace) as (url, _):
        time.sleep(IDLE_S)
        return shown_s(chromium, f"{url}/{address}", content), shown_s(chromium, f"{url}/{address}", content)


def shown_s(chromium: Any, url: str, content: str) -> float:
    context = chromium.new_context()
    page = context.new_page()
    started = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector(f"{STILL} {content}", state="attached", timeout=PATIENCE_MS)
    seconds = time.perf_counter() - started
    context.close()
    return seconds


if __name__ == "__main__":
    main()
