"""`mess serve` on ten thousand tracks: answers of `similar` a second, and what HTTP costs.

    python -m benchmarks.serve [--home FOLDER] [--seconds 10] [--callers 1 2 8]

The library is that of `benchmarks.listen`, made up and probed once, which takes minutes; `--home` keeps it. Each
question is about another track. The callers are threads of this process, which takes its share of the same cores.

    in process   the same answer, document and text without HTTP, one after another: what HTTP is compared with
    similar      GET /v1/similar, the ten nearest, as the encoder hears them
    by aspects   the same by two aspects
    empty        GET /health/live: what this machine, uvicorn and these callers do at most
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import faiss  # noqa: F401 -- or its threads would not be among those that are limited
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.first_minute import ROOT
from benchmarks.listen import LIBRARY, N_TRACKS, make_library
from mess_core.serve import answering
from mess_core.serve.fields import QUESTION, read_fields
from mess_core.serve.shared import Shared

GOAL = 200.0  # answers a second on two cores
BY_ASPECTS = {"aspects": "brightness=0.7,tempo=0.3"}
PATIENCE_S = 300
LIMITLESS = [
    "--rate",
    "1e9",
    "--burst",
    "1000000000",
    "--rate-of-all",
    "1e9",
    "--burst-of-all",
    "1000000000",
    "--timeout",
    "300",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="keep the made-up library here, or use the one that is here")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each row")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 2, 8])
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_library(arguments.home or Path(folder))
        track_ids, home = workspace.catalogue.track_ids(LIBRARY), workspace.paths.root
        workspace.close()
        print(f"{N_TRACKS} tracks            callers  answers/s    p50 ms    p95 ms", flush=True)
        in_process(home, track_ids, arguments.seconds)
        with served(home) as address:
            for name, path, fields in (
                ("similar", "/v1/similar", {}),
                ("by aspects", "/v1/similar", BY_ASPECTS),
                ("empty", "/health/live", None),
            ):
                questions = asked(track_ids, fields) if fields is not None else itertools.repeat("")
                over_http("", address, path, questions, 1, 0)  # the first question makes its index
                for n_callers in arguments.callers:
                    questions = asked(track_ids, fields) if fields is not None else itertools.repeat("")
                    over_http(name, address, path, questions, n_callers, arguments.seconds)
    print(f"load {os.getloadavg()[0]:.1f}; goal {GOAL:g} answers a second")


def asked(track_ids: list[str], fields: dict[str, str]) -> Iterator[str]:
    """Query strings, each about another track."""
    for number in itertools.count():
        track_id = track_ids[(7919 * number) % len(track_ids)]
        yield "?" + urlencode({"query": track_id, "library": LIBRARY, "encoder": "nano", **fields})


def in_process(home: Path, track_ids: list[str], seconds: float) -> None:
    """One thread, no HTTP; products by one thread, as in the service."""
    shared = Shared(home)
    threadpool_limits(1)
    for name, more in (("in process", {}), ("  by aspects", {"aspects": {"brightness": 0.7, "tempo": 0.3}})):
        took_s: list[float] = []
        for number in itertools.count():
            track_id = track_ids[(7919 * number) % len(track_ids)]
            started_s = time.perf_counter()
            said = read_fields(QUESTION, {"query": track_id, "library": LIBRARY, "encoder": "nano", **more})
            json.dumps(answering.similar(shared, said, None), allow_nan=False)
            if number >= 3:  # the first ones make the index
                took_s.append(time.perf_counter() - started_s)
            if sum(took_s) > seconds:
                break
        print_row(name, 1, took_s, sum(took_s))
    shared.close()


def over_http(name: str, address: str, path: str, questions: Iterator[str], n_callers: int, seconds: float) -> None:
    """Callers that each ask again as soon as they are answered, over one connection each."""
    took_s: list[float] = []
    failed: list[str] = []
    lock = threading.Lock()
    ends_s = time.perf_counter() + 1 + seconds  # the first second warms up

    def call() -> None:
        own = http.client.HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE_S)
        while (started_s := time.perf_counter()) < ends_s:
            with lock:
                question = next(questions)
            own.request("GET", path + question)
            answer = own.getresponse()
            body = answer.read()
            if answer.status != 200:
                failed.append(f"{answer.status}: {body[:500]!r}")
                return
            if started_s > ends_s - seconds:
                took_s.append(time.perf_counter() - started_s)
        own.close()

    callers = [threading.Thread(target=call) for _ in range(n_callers)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if failed:
        raise SystemExit(failed[0])
    if name:
        print_row(name, n_callers, took_s, seconds)


def print_row(name: str, n_callers: int, took_s: list[float], seconds: float) -> None:
    median, late = (1e3 * float(np.quantile(took_s, share)) for share in (0.5, 0.95))
    print(f"{name:<22} {n_callers:9d} {len(took_s) / seconds:10.1f} {median:9.2f} {late:9.2f}", flush=True)


@contextlib.contextmanager
def served(home: Path) -> Iterator[str]:
    """A service as anybody starts one, but for its limits."""
    command = [sys.executable, "-m", "mess_core", "--home", str(home), "serve", "--port", "0", "--json", *LIMITLESS]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        text = ""
        while not text.rstrip().endswith("}"):
            text += process.stdout.readline()
        address = json.loads(text)["address"]
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            own = http.client.HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE_S)
            own.request("GET", "/health/ready")
            if own.getresponse().status == 200:
                break
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


if __name__ == "__main__":
    main()
