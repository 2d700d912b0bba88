"""Pools of processes end with the process that asked for them, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from mess_core.errors import InputError
from mess_core.parallel import process_pool, work_through

PARENT = """
import os, sys, time
from mess_core.parallel import process_pool

if __name__ == "__main__":
    with process_pool(2) as pool:
        print(*{future.result() for future in [pool.submit(os.getpid) for _ in range(8)]}, flush=True)
        time.sleep(60)
"""


BUSY = """
import os, re, sys
from mess_core.parallel import process_pool

def hold_the_lock(_):
    print(os.getpid(), flush=True)
    re.match("(a*)*b", "a" * 100)  # for ever, and never lets another thread of the process run

if __name__ == "__main__":
    with process_pool(2) as pool:
        list(pool.map(hold_the_lock, range(2)))
"""


def ends(item: tuple[str, Path]) -> str:
    """What a hostile item does to the process that works on it."""
    how, folder = item
    (folder / f"{how}-{os.getpid()}-{time.monotonic_ns()}").touch()
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "out of memory":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "error":
        raise ZeroDivisionError("of this item")
    time.sleep(0.05)
    return how


def modules(_: int) -> list[str]:
    from mess_core.targets import audio, measurements, midi  # noqa: F401  # what a process of the pool loads
    from mess_core.work import targets  # noqa: F401

    return sorted(sys.modules)


def blas_threads(_: int) -> list[int]:
    import numpy  # noqa: F401  # its BLAS is what is counted

    return [library["num_threads"] for library in threadpool_info()]


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return state.rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.slow
def test_workers_use_one_thread_each():
    with process_pool(2) as pool:
        assert all(n == 1 for threads in pool.map(blas_threads, range(4)) for n in threads)


@pytest.mark.slow
def test_no_worker_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
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


@pytest.mark.slow
def test_the_kernel_ends_workers_with_their_parent(tmp_path):
    """Also workers that never come back from what they do: none is alive a moment after."""
    script = tmp_path / "parent.py"
    script.write_text(BUSY)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    left = [worker for worker in workers if is_alive(worker)]
    for worker in left:  # they would go on for ever
        os.kill(worker, signal.SIGKILL)
    assert not left


@pytest.mark.slow
def test_the_end_of_a_process_is_the_failure_of_its_item(tmp_path):
    """Every item comes back once; those that end their process are named, and nobody else."""
    hows = ["fine", "segfault", "fine", "error", "out of memory", "fine", "fine", "exit", "fine", "fine"]
    items = [(how, tmp_path / str(number)) for number, how in enumerate(hows)]
    for _, folder in items:
        folder.mkdir()
    found = dict(work_through(ends, items, n_workers=2))
    assert found.keys() == set(items)
    for item, result in found.items():
        if item[0] == "fine":
            assert result == "fine"
        elif item[0] == "error":
            assert isinstance(result, ZeroDivisionError)
        else:
            assert isinstance(result, InputError) and "ended the process" in result.message
    assert all(len(list(folder.iterdir())) <= 3 for _, folder in items)  # tried again, but not for ever


def test_nothing_to_do_is_nothing_done():
    assert list(work_through(ends, [])) == []


@pytest.mark.slow
def test_a_pool_compiles_nothing():
    """Numba's cache is not safe for processes that fill it at once: no process of a pool has one."""
    with process_pool(1) as pool:
        assert not {"numba", "librosa", "umap"} & set(pool.submit(modules, 0).result())
