"""Vectors of another program: how long taking them in takes, and reading them back.

    python -m benchmarks.vectors [--tracks 20000]

Each is 13 layers of 192 numbers, kept as one file a track, on the disk before it is in the catalogue. Baselines, for as
many bytes: one file written and flushed to the disk, which no way of keeping them can beat; and files written and
flushed one after the other, as a single embedding is (of some, for all).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.listen import DURATION_S, made_up_track, write_music
from mess_core.catalogue.catalogue import NewTrack
from mess_core.encoders.imported import IMPORTED
from mess_core.encoders.registry import encoder_info
from mess_core.handover.vectors import import_vectors
from mess_core.storage.files import write_atomically
from mess_core.workspace.workspace import Workspace

SHAPE = 13, 192
LIBRARY, NAME = "large", "mine"
GOAL_S = 60.0  # of 20,000
N_ALONE = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=20_000)
    n_tracks = parser.parse_args().tracks
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {n_tracks:,} tracks of {SHAPE[0]} x {SHAPE[1]}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        workspace = Workspace(root / "home")
        (root / "music").mkdir()
        audio = root / "music" / "shared.wav"
        write_music(audio, DURATION_S)
        new = [NewTrack(made_up_track(number), audio) for number in range(n_tracks)]
        workspace.catalogue.add(audio.parent, new, LIBRARY)
        track_ids = workspace.catalogue.track_ids(LIBRARY)
        vectors = np.random.default_rng(0).standard_normal((n_tracks, *SHAPE), dtype=np.float32)
        np.save(root / "vectors.npy", vectors)
        (root / "ids.txt").write_text("\n".join(track_ids))
        with said("taken in", goal=f"   (goal {GOAL_S * n_tracks / 20_000:g})"):
            import_vectors(workspace, NAME, root / "vectors.npy", root / "ids.txt", LIBRARY)
        info = encoder_info(f"{IMPORTED}{NAME}", workspace.paths)
        n_bytes = sum(path.stat().st_size for path in workspace.paths.embeddings.rglob("*.safetensors"))
        with said("read back, each verified"):
            workspace.store.load(track_ids, info)
        with said("read back from the packed matrix"):
            workspace.store.load(track_ids, info)
        data = bytes(n_bytes)
        with said(f"baseline: {n_bytes / 1e6:.0f} MB in one file"):
            write_atomically(root / "one", data)
        started = time.perf_counter()
        for number in range(N_ALONE):
            write_atomically(root / "alone" / str(number), data[: n_bytes // n_tracks])
        alone_s = (time.perf_counter() - started) * n_tracks / N_ALONE
        print(f"{'baseline: one file after the other':>40} {alone_s:8.1f} s")


@contextlib.contextmanager
def said(what: str, goal: str = "") -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what:>40} {time.perf_counter() - started:8.1f} s{goal}", flush=True)


if __name__ == "__main__":
    main()
