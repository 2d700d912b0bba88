"""Pools of processes end with the process that asked for them, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from threadpoolctl import threadpool_info

from mess_core.processes import process_pool

PARENT = """
import os, sys, time
from mess_core.processes import process_pool

if __name__ == "__main__":
    with process_pool(2) as pool:
        print(*{future.result() for future in [pool.submit(os.getpid) for _ in range(8)]}, flush=True)
        time.sleep(60)
"""


def blas_threads(_: int) -> list[int]:
    import numpy  # noqa: F401  # its BLAS is what is counted

    return [library["num_threads"] for library in threadpool_info()]


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return state.rsplit(")", 1)[1].split()[0] != "Z"


def test_workers_use_one_thread_each():
    with process_pool(2) as pool:
        assert all(n == 1 for threads in pool.map(blas_threads, range(4)) for n in threads)


def test_no_worker_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert parent.stdout is not None
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert workers and all(map(is_alive, workers))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))
