"""From starting the app on an installed machine to its first example, and to neighbours on the demo library, by phase.

    python -m benchmarks.first_minute

Starts the server on an empty data folder, as `make run` does, and watches its jobs. The demo can be tried before it is
made: its first recordings are embedded before the others are made, and the first example that can be asked is asked.
The limit of each embedding is what its encoders alone need for as many segments, each for its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mess_core.embeddings.extraction import BATCH_SIZE_CPU, use_all_cores
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.hearings import LIKE_THIS
from mess_core.encoders.musicnn import MSD, MTT
from mess_core.encoders.nano import NANO
from mess_core.encoders.registry import load_encoder
from mess_core.search.answers import answer, build_index, make_plan, query_of
from mess_core.search.examples import TRY_FROM, examples_of
from mess_core.search.question import Question
from mess_core.storage.paths import Paths
from mess_core.work.extract import in_order_of_use
from mess_core.workspace.scope import Scope, count_segments, scope_of
from mess_core.workspace.workspace import DEMO, Workspace

ROOT = Path(__file__).parent.parent
PORT = 8765


def main() -> None:
    print(f"import mess_core            {import_s('mess_core'):6.2f} s   (bar 0.2 s)")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        started = time.perf_counter()
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(PORT)]
        server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "MESS_HOME": folder})
        try:
            server_s = seconds_until(is_healthy, started)
            tried_s = seconds_until(lambda: can_try(workspace), started)
            made_s = seconds_until(lambda: is_done(workspace, "demo"), started)
            extracted_s = seconds_until(lambda: is_done(workspace, "extract", encoder=NANO.id), started)
            scope = Scope(workspace, DEMO, NANO)
            plan = make_plan(scope, Question(), None)
            answer(build_index(plan), plan, query_of(scope, scope.tracks[0]))
            found_s = time.perf_counter() - started
            heard_s = seconds_until(lambda: is_done(workspace, "extract", encoder=LIKE_THIS), started)
            tracks = in_order_of_use(scope.tracks, scope.tracks)
            durations_s = [track.duration_s for track in tracks]  # the first were embedded while the demo was made
        finally:
            server.terminate()
            server.wait()
    print(f"server answers              {server_s:6.2f} s")
    print(f"first example answered      {tried_s - server_s:6.2f} s   (bar 15 s)")
    print(f"demo library made           {made_s - server_s:6.2f} s   (bar 20 s; its first recordings embedded, too)")
    alone_s = limit_s(n_segments_of(durations_s[TRY_FROM:], NANO))
    print(f"the others embedded         {extracted_s - made_s:6.2f} s   (bar 25 s; the encoder alone {alone_s:.2f} s)")
    print(f"index built and asked       {found_s - extracted_s:6.2f} s")
    print(f"from start to neighbours    {found_s:6.2f} s   (bar 60 s)")
    alone_s = sum(limit_s(n_segments_of(durations_s, info), info) for info in (MTT, MSD))
    print(f"heard by MusiCNN, too       {heard_s - found_s:6.2f} s   (the encoders alone {alone_s:.2f} s)")


def can_try(workspace: Workspace) -> bool:
    """Whether an example can be asked; then its neighbours have been found."""
    example = next((each for each in examples_of(workspace, DEMO) if each.is_live), None)
    if example is None:
        return False
    scope = scope_of(workspace, DEMO, example.hearing or NANO.id)
    plan = make_plan(scope, example.question, None)
    track = workspace.catalogue.track(str(example.track_id))
    return bool(answer(build_index(plan), plan, query_of(plan.scope, track)).found)


def import_s(module: str) -> float:
    """Best of three fresh processes, less the start of Python itself."""

    def best(code: str) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    return best(f"import {module}") - best("pass")


def seconds_until(condition, started: float) -> float:
    while not condition():
        time.sleep(0.05)
    return time.perf_counter() - started


def is_healthy() -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def is_done(workspace: Workspace, kind: str, **arguments: str) -> bool:
    job = workspace.jobs.latest(kind, **arguments)
    return job is not None and job.state == "done"


def n_segments_of(durations_s: Sequence[float], info: EncoderInfo) -> int:
    return sum(count_segments(duration_s, info) for duration_s in durations_s)


def limit_s(n_segments: int, info: EncoderInfo = NANO) -> float:
    """What an encoder needs for as many segments, with nothing else to do."""
    use_all_cores()
    with tempfile.TemporaryDirectory() as folder:
        encoder = load_encoder(info.id, Paths(Path(folder)))
    batch = np.random.default_rng(0).normal(0, 0.1, (BATCH_SIZE_CPU, info.segment_samples)).astype(np.float32)
    encoder.encode(batch)
    start = time.perf_counter()
    for _ in range(20):
        encoder.encode(batch)
    return (time.perf_counter() - start) / 20 / BATCH_SIZE_CPU * n_segments


if __name__ == "__main__":
    main()
