"""From starting the app on an installed machine to neighbours on the demo library, by phase.

    python -m benchmarks.first_minute

Starts the server on an empty data folder, as `make run` does, and watches its jobs. The limit of the last phase is
what the encoder alone needs for as many segments.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np

from mess_core.embeddings.extraction import BATCH_SIZE_CPU, use_all_cores
from mess_core.encoders.nano import NANO, Nano
from mess_core.search.answers import answer, build_index, make_plan, query_of
from mess_core.search.question import Question
from mess_core.workspace.scope import Scope
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
            made_s = seconds_until(lambda: is_done(workspace, "demo"), started)
            extracted_s = seconds_until(lambda: is_done(workspace, "extract"), started)
            scope = Scope(workspace, DEMO, NANO)
            plan = make_plan(scope, Question(), None)
            answer(build_index(plan), plan, query_of(scope, scope.tracks[0]))
            found_s = time.perf_counter() - started
            job = workspace.jobs.latest("extract")
            n_segments = job.n_total if job else 0
        finally:
            server.terminate()
            server.wait()
    print(f"server answers              {server_s:6.2f} s")
    print(f"demo library made           {made_s - server_s:6.2f} s   (bar 20 s)")
    alone_s = limit_s(n_segments)
    print(f"demo library embedded       {extracted_s - made_s:6.2f} s   (bar 25 s; the encoder alone {alone_s:.2f} s)")
    print(f"index built and asked       {found_s - extracted_s:6.2f} s")
    print(f"from start to neighbours    {found_s:6.2f} s   (bar 60 s)")


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


def is_done(workspace: Workspace, kind: str) -> bool:
    job = workspace.jobs.latest(kind)
    return job is not None and job.state == "done"


def limit_s(n_segments: int) -> float:
    """What the encoder needs for as many segments, with nothing else to do."""
    use_all_cores()
    encoder = Nano.load()
    batch = np.random.default_rng(0).normal(0, 0.1, (BATCH_SIZE_CPU, NANO.segment_samples)).astype(np.float32)
    encoder.encode(batch)
    start = time.perf_counter()
    for _ in range(20):
        encoder.encode(batch)
    return (time.perf_counter() - start) / 20 / BATCH_SIZE_CPU * n_segments


if __name__ == "__main__":
    main()
