"""Pools of processes: one per core, each on one thread, none outliving the process that asked for them.

`work_through` is how a job goes through items with them: whatever happens to one item, the end of its process included,
is that item's failure, and the others are worked on.

What a pool's process loads here compiles nothing: neither numba nor librosa is among it (a test looks). numba's cache
of compiled functions is a file of names beside files of code, and two processes that fill it at once may call one
function by another's name; `compiling_alone` keeps them apart where MESS compiles, which is the drawing of maps.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from mess_core.errors import InputError

T = TypeVar("T")
R = TypeVar("R")

_starting = threading.Lock()

PER_WORKER = 2  # items handed out ahead: enough to keep a process busy, few to suspect when one ends
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
ENDED = InputError(
    "It ended the process that worked on it: damaged in a way that no reader survives, or too large for the memory.",
    "Leave it out; if it plays elsewhere, please report it.",
)


class _Pool(ProcessPoolExecutor):
    """Its processes do not run the script again that asked for them, unless what they work on stands in it.

    Otherwise a script without `if __name__ == "__main__"` would ask for the same work anew in each of them, and so on.
    """

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        named = [fn, *getattr(fn, "args", ())]  # `map` hands over a partial of what it was given
        is_in_script = any(getattr(each, "__module__", "") == "__main__" for each in named)
        with contextlib.nullcontext() if is_in_script else _without_main():
            return super().submit(fn, *args, **kwargs)  # starts processes as they are needed


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """While it lasts, a process that is started is told of no script to run first."""
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def process_pool(n_workers: int | None = None) -> ProcessPoolExecutor:
    """A pool of so many processes, by default one per core; used and closed by the thread that made it."""
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
    return _Pool(n_workers or os.cpu_count(), context, initializer=_begin)


def work_through(
    work: Callable[[T], R], items: Iterable[T], n_workers: int | None = None
) -> Generator[tuple[T, R | Exception], None, None]:
    """Do the same work on every item in several processes; what is done first comes first.

    A process that ends while it works (a crash of compiled code, the system's out-of-memory killer) ends the pool.
    Which item did it is not known, only which were handed out: these are tried again one at a time, each in a process
    of its own, and the one that ends that too has failed. Then a new pool goes on.

    Parameters
    ----------
    work : callable
        A function of a module; what it takes and gives can be pickled.

    Yields
    ------
    item, result
        What `work` returned, or the exception that ended it: every item once.
    """
    left = iter(items)
    n_ahead = PER_WORKER * (n_workers or os.cpu_count() or 1)
    while True:
        suspects: list[T] = []
        with _closing(process_pool(n_workers)) as pool:
            running: dict[Future[R], T] = {}
            while True:
                for item in itertools.islice(left, n_ahead - len(running)):
                    try:
                        running[pool.submit(work, item)] = item
                    except BrokenProcessPool:
                        suspects.append(item)
                        break
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    item = running.pop(future)
                    found = _outcome(future)
                    if isinstance(found, BrokenProcessPool):
                        suspects.append(item)
                    else:
                        yield item, found
                if suspects:
                    for future in wait(running).done:  # all of a broken pool end at once, some of them done
                        found = _outcome(future)
                        if isinstance(found, BrokenProcessPool):
                            suspects.append(running[future])
                        else:
                            yield running[future], found
                    break
        if not suspects:
            return
        for item in suspects:
            with _closing(process_pool(1)) as pool:
                found = _outcome(pool.submit(work, item))
            yield item, ENDED if isinstance(found, BrokenProcessPool) else found


def _outcome(future: Future[R]) -> R | Exception:
    try:
        return future.result()
    except Exception as error:
        return error


@contextlib.contextmanager
def _closing(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def compiling_alone() -> Iterator[None]:
    """While it lasts, no other process of this user fills or reads numba's cache through MESS.

    Held for the first call of what numba compiles, in which the cache is read or filled; later ones touch it no more.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where the cache is at least written file by file
        yield
        return
    path = Path(tempfile.gettempdir()) / f"mess-compiling-{os.getuid()}"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # a lock that cannot be had is no reason not to draw
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def on_one_thread() -> None:
    """Let this process compute on one thread for as long as it lives; sums on several round otherwise."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threadpool_limits(1)


def _begin() -> None:
    """Threads that wait for each other's cores only lose time; a worker of a killed process would wait for ever."""
    _die_with_parent()
    on_one_thread()
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()


def _die_with_parent() -> None:
    """Have the kernel end this process with its parent, also in the middle of compiled code, where no thread is asked.

    Linux counts the thread that started it as its parent. Elsewhere the thread that waits for the parent must do.
    """
    parent = multiprocessing.parent_process()
    if not sys.platform.startswith("linux") or parent is None:
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent.pid:  # it was gone before the kernel was asked
        os._exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
