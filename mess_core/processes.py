"""Pools of processes: one per core, each on one thread, none outliving the process that asked for them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

from threadpoolctl import threadpool_limits


def process_pool(n_workers: int | None = None) -> ProcessPoolExecutor:
    """A pool of so many processes, by default one per core."""
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
    return ProcessPoolExecutor(n_workers or os.cpu_count(), context, initializer=_begin)


def _begin() -> None:
    """Threads that wait for each other's cores only lose time; a worker of a killed process would wait for ever."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
