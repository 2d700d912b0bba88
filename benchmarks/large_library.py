"""A hundred thousand tracks: how long registering them takes, scanning them again, and opening the Library page.

    python -m benchmarks.large_library [--tracks 100000] [--home DIR]

The files are small (0.1 s of noise, each another) in a hundred folders, so that what is measured is the work per file
and not the disk. Baselines: reading every file (what hashing needs at least), and asking the disk for the size and time
of each (what scanning again needs at least).

    page     the Library page as Streamlit's test client runs it on the server, without a browser, second run
    find     a search for one word among all names
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from mess_core.collections.walking import audio_files
from mess_core.workspace.scan import scan
from mess_core.workspace.workspace import Workspace

N_FOLDERS, N_SAMPLES, RATE_HZ = 100, 800, 8000
LIBRARY = "large"
GOALS_S = {"register": 60.0, "scan again": 20.0, "page": 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--home", type=Path, help="keep the files and the data folder here")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {arguments.tracks:,} tracks")
    with contextlib.ExitStack() as stack:
        root = arguments.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        music = root / "music"
        write_files(music, arguments.tracks)
        workspace = Workspace(root / "home")
        workspace.database.set_setting("demo", "removed")
        with said("read every file (baseline)"):
            for path in audio_files(music):
                hashlib.sha256(path.read_bytes())
        with said("register"):
            scanned = scan(workspace, music, LIBRARY)
        print(f"   {scanned.summary}")
        with said("ask for size and time (baseline)"):
            for path in audio_files(music):
                path.stat()
        with said("scan again"):
            scan(workspace, music, LIBRARY)
        with said("find"):
            workspace.catalogue.find(LIBRARY, "nocturne 777", 1000)
        page(workspace)


@contextlib.contextmanager
def said(what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    goal = f"   (goal {GOALS_S[what]:g})" if what in GOALS_S else ""
    print(f"{what:>34} {time.perf_counter() - start:8.2f} s{goal}", flush=True)


def write_files(folder: Path, n_tracks: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(n_tracks):
        path = folder / f"{number % N_FOLDERS:02d}" / f"nocturne {number}.wav"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, rng.uniform(-0.1, 0.1, N_SAMPLES), RATE_HZ)


def page(workspace: Workspace) -> None:
    """What the server does for the Library page."""
    from streamlit.testing.v1 import AppTest

    os.environ["MESS_HOME"] = str(workspace.paths.root)
    app = AppTest.from_file(str(Path(__file__).parents[1] / "home.py"), default_timeout=120)
    app.query_params["library"] = LIBRARY
    app.run()
    app.switch_page("pages/1_Library.py").run()
    with said("page"):
        app.run()
    assert not app.exception


if __name__ == "__main__":
    main()
