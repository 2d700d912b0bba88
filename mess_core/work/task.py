"""A task: a claimed job while it is worked on. It says how far it is, and notices when it must end."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mess_core.config import HEARTBEAT_S
from mess_core.embeddings.extraction import choose_device
from mess_core.embeddings.precision import as_certified
from mess_core.encoders.base import Encoder
from mess_core.encoders.registry import encoder_info, load_encoder
from mess_core.errors import LeaseLostError, MessError
from mess_core.storage.jobs import Failure, Job
from mess_core.workspace.workspace import Workspace

log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 0.3  # often enough for a bar that moves, seldom enough to cost nothing
CANCEL_POLL_S = 0.5
STEP_PARTS = 1000  # of a step, so that steps count alike in the bar


class Cancelled(Exception):
    """Somebody asked for this job to end; what is done stays."""


class Stopping(Exception):
    """This process is asked to end; the job goes back to the queue."""


@dataclass
class Task:
    """A claimed job while it is worked on: says how far it is, and notices when it must end.

    Parameters
    ----------
    encoders : dict
        Loaded encoders by fingerprint and, where it is not the usual one, device; shared by the tasks of one process.
    is_stopping : threading.Event
        Set when the process should end.
    on_pause : callable
        Called between batches: the moment to do something urgent first.
    device : str
        What its encoders compute on; "" is the fastest there is.
    batch_size : int
        Segments that they hear at a time; 0 is what suits the device.
    """

    workspace: Workspace
    job: Job
    owner: str
    encoders: dict[str, Encoder] = field(default_factory=dict)
    is_stopping: threading.Event = field(default_factory=threading.Event)
    on_pause: Callable[[], None] = lambda: None
    device: str = ""
    batch_size: int = 0
    _is_cancelled: threading.Event = field(default_factory=threading.Event)
    _is_lost: threading.Event = field(default_factory=threading.Event)
    _last_progress: float = 0.0
    _step: tuple[int, int] = (0, 1)  # which step of the job this is, of how many

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """While it is worked on: the lease is renewed, and an end that was asked for is noticed."""
        is_over = threading.Event()
        heart = threading.Thread(target=self._beat, args=(is_over,), name="heartbeat", daemon=True)
        heart.start()
        try:
            yield
        finally:
            is_over.set()
            heart.join()

    def check(self) -> None:
        """Raise if the job must end now."""
        if self._is_lost.is_set():
            raise LeaseLostError(f"Job {self.job.job_id} was taken over by another worker.")
        if self._is_cancelled.is_set():
            raise Cancelled
        if self.is_stopping.is_set():
            raise Stopping

    def progress(self, n_done: int, n_total: int, message: str) -> None:
        """Tell everybody how far it is, a few times per second at most; raises if the job must end."""
        self.check()
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_EVERY_S or n_done == n_total:
            self._last_progress = now
            step, n_steps = self._step
            if n_steps > 1:
                share = step + (n_done / n_total if n_total else 0.0)
                n_done, n_total = round(STEP_PARTS * share), STEP_PARTS * n_steps
                message = f"step {step + 1} of {n_steps}: {message}"
            self.workspace.jobs.progress(self.job.job_id, self.owner, n_done=n_done, n_total=n_total, message=message)

    def begin_step(self, step: int, n_steps: int) -> None:
        """From now on `progress` is that of one step, counted from 0; the bar is that of the whole job."""
        self._step = (step, n_steps)

    def guard(self, connection: sqlite3.Connection) -> None:
        """Inside a transaction: refuse the write if the job has another owner by now."""
        self.workspace.jobs.guard(connection, self.job.job_id, self.owner)

    def guard_unless_cancelled(self, connection: sqlite3.Connection) -> None:
        """As `guard`, and refuse once an end was asked for: a library that is being removed must not come back."""
        if self.workspace.jobs.guard(connection, self.job.job_id, self.owner)["is_cancelling"]:
            raise Cancelled

    def fail_item(self, subject: str, error: MessError) -> None:
        self.workspace.jobs.fail_item(self.job.job_id, self.owner, Failure(subject, error.message, error.hint))

    def encoder(self, encoder_id: str) -> Encoder:
        """A loaded encoder, in the precision that it is certified for here.

        At most two stay in memory, one for the library and one for queries.
        """
        fingerprint = encoder_info(encoder_id, self.workspace.paths).fingerprint
        key = f"{fingerprint} {self.device}".rstrip()
        if key not in self.encoders:
            while len(self.encoders) >= 2:
                self.encoders.pop(next(iter(self.encoders)))
            self.encoders[key] = load_encoder(encoder_id, self.workspace.paths, self.device or choose_device())
        return as_certified(self.encoders[key], self.workspace.database)

    def _beat(self, is_over: threading.Event) -> None:
        """The heartbeat thread: renews the lease, and looks often whether an end was asked for."""
        last = time.monotonic()
        while not is_over.wait(CANCEL_POLL_S):
            try:
                if self.workspace.jobs.get(self.job.job_id).is_cancelling:
                    self._is_cancelled.set()
                if time.monotonic() - last >= HEARTBEAT_S:
                    self.workspace.jobs.heartbeat(self.job.job_id, self.owner)
                    last = time.monotonic()
            except LeaseLostError:
                self._is_lost.set()
                break
            except MessError as error:  # the disk may be full for a moment; the lease still has time
                log.warning("heartbeat: %s", error)
        self.workspace.database.close()
