"""A hundred thousand tracks: how long registering them takes, scanning them again, and opening the Library page.

    python -m benchmarks.large_library [--tracks 100000] [--home DIR]
    python -m benchmarks.large_library --tracks 1000000 --made-up [--home DIR]

The files are small (0.1 s of noise, each another) in a hundred folders, so that what is measured is the work per file
and not the disk. Baselines: reading every file (what hashing needs at least), and asking the disk for the size and time
of each (what scanning again needs at least).

A million files are more than a disk likes to hold. With `--made-up` there are none: the catalogue enters tracks that
share one file (`Catalogue.add`, as a scan does once it has read files), fifteen in sixteen of them get a row for an
embedding that is nowhere, and what would read files is left out.

    first page   the Library page as Streamlit's test client runs it, without a browser, nothing read before
    page         the same once more
    find         a search for words among all names; "rare" have few tracks, "common" all, "none" none
    every name   baseline of `find`: each track's names joined and compared, once for the rows and once for their number
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.listen import DURATION_S, made_up_track, write_music
from mess_core.catalogue.catalogue import NAMES, NewTrack
from mess_core.collections.walking import audio_files
from mess_core.embeddings.store import remember_encoder
from mess_core.encoders.nano import NANO
from mess_core.workspace.scan import scan
from mess_core.workspace.workspace import Workspace

N_FOLDERS, N_SAMPLES, RATE_HZ = 100, 800, 8000
LIBRARY = "large"
GOALS_S = {"register": 60.0, "scan again": 20.0, "page": 0.5}
WORDS = {"rare": "nocturne 777", "common": "nocturne", "none": "zzz"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--home", type=Path, help="keep the files and the data folder here")
    parser.add_argument("--made-up", action="store_true", help="rows without files")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {arguments.tracks:,} tracks")
    with contextlib.ExitStack() as stack:
        root = arguments.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workspace = Workspace(root / "home")
        workspace.database.set_setting("demo", "removed")
        if arguments.made_up:
            make_up(workspace, root / "music", arguments.tracks)
        else:
            register(workspace, root / "music", arguments.tracks)
        find(workspace)
        page(workspace)
        print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB at most")


def register(workspace: Workspace, music: Path, n_tracks: int) -> None:
    write_files(music, n_tracks)
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


def make_up(workspace: Workspace, folder: Path, n_tracks: int) -> None:
    if workspace.catalogue.n_tracks(LIBRARY) == n_tracks:
        return
    folder.mkdir(parents=True, exist_ok=True)
    audio = folder / "shared.wav"
    write_music(audio, DURATION_S)
    with said("enter rows"):
        new = [NewTrack(made_up_track(number), audio) for number in range(n_tracks)]
        workspace.catalogue.add(folder, new, LIBRARY)
        with workspace.database.transaction() as connection:
            remember_encoder(connection, NANO)
            connection.execute(
                "INSERT INTO embeddings SELECT track_id, ?, 'nowhere/' || track_id, sha256, 0, 8, 0 FROM tracks"
                " WHERE track_id NOT GLOB '0*'",
                (NANO.fingerprint,),
            )


def find(workspace: Workspace) -> None:
    names = " || ' ' || ".join(f"coalesce({name}, '')" for name in NAMES)
    told = "SELECT group_concat(value, ' ') FROM details WHERE details.track_id = tracks.track_id"
    joined = f"{names} || ' ' || coalesce(({told}), '')"
    for kind, words in WORDS.items():
        started = time.perf_counter()
        _, n_found = workspace.catalogue.find(LIBRARY, words, 1000)
        found_s = time.perf_counter() - started
        where = " AND ".join(
            ["track_id IN (SELECT track_id FROM library_tracks)", *[f"({joined}) LIKE ?"] * len(words.split())]
        )
        asked = [f"%{word}%" for word in words.split()]
        started = time.perf_counter()
        connection = workspace.database.connection
        connection.execute(f"SELECT * FROM tracks WHERE {where} ORDER BY title LIMIT 1000", asked).fetchall()
        (n_joined,) = connection.execute(f"SELECT count(*) FROM tracks WHERE {where}", asked).fetchone()
        joined_s = time.perf_counter() - started
        assert n_found == n_joined
        times = f"{found_s:8.2f} s, every name {joined_s:8.2f} s, ratio {joined_s / found_s:.1f}"
        print(f"{f'find, {kind} ({n_found:,})':>34} {times}", flush=True)


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
    app.switch_page("pages/1_Library.py")
    with said("first page"):
        app.run()
    with said("page"):
        app.run()
    assert not app.exception


if __name__ == "__main__":
    main()
