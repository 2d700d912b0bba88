"""A pool of threads with a bounded queue: what takes the processor runs there, so that health answers meanwhile.

A thread cannot be stopped. Work that takes longer than it may is answered with a refusal and goes on to its end; its
place counts as taken until then, so a flood of slow questions fills the pool and is turned away, and nothing else.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from mess_core.serve.refusals import AGAIN_AFTER_S, Refusal

T = TypeVar("T")


class WorkPool:
    """So many threads, and so many requests at most that wait for one."""

    def __init__(self, name: str, n_threads: int, most_waiting: int, *, is_alone: bool = True) -> None:
        """`is_alone` lets what one thread computes take all cores; else it has the one it runs on."""
        self.name, self.most_held = name, n_threads + most_waiting
        begin = None if is_alone else _compute_alone
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix=f"mess-{name}", initializer=begin)
        self._lock = threading.Lock()
        self._n_held = 0

    @property
    def n_held(self) -> int:
        """How much is in hand, or waits."""
        return self._n_held

    async def run(self, work: Callable[[], T], limit_s: float, dispose: Callable[[], None] = lambda: None) -> T:
        """Do something in a thread.

        Parameters
        ----------
        limit_s : float
            Waiting included.
        dispose : callable
            Called once it has ended, or will never begin: whatever it needed may go then.

        Raises
        ------
        Refusal
            503, if too much waits already, or it takes too long.
        """
        try:
            with self._lock:
                if self._n_held >= self.most_held:
                    raise _too_busy(f"{self._n_held} requests are in hand or wait, expected at most {self.most_held}.")
                held = self._threads.submit(work)
                self._n_held += 1
        except BaseException:
            dispose()
            raise

        def end(_: Future[T]) -> None:
            with self._lock:
                self._n_held -= 1
            dispose()

        held.add_done_callback(end)
        answer = asyncio.wrap_future(held)
        try:
            done, _ = await asyncio.wait({answer}, timeout=None if math.isinf(limit_s) else limit_s)
        finally:
            if not answer.done():  # begun or not, nobody waits for it any more
                answer.add_done_callback(_look_at)
                held.cancel()
        if not done:
            raise _too_busy(f"It took more than {limit_s:g} s.")
        return answer.result()

    def close(self) -> None:
        """Finish what is in hand."""
        self._threads.shutdown(wait=True)


def _compute_alone() -> None:
    """Products of small arrays by one thread: several threads of several answers would only wait for each other."""
    import faiss  # noqa: F401 -- or its library would not be among those that are told

    threadpool_limits(1)


def _look_at(answer: asyncio.Future[T]) -> None:
    if not answer.cancelled():
        answer.exception()  # or asyncio would log that nobody did


def _too_busy(what: str) -> Refusal:
    return Refusal(503, what, cure="Ask again later, or for less.", headers={"Retry-After": str(AGAIN_AFTER_S)})
