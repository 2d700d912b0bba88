"""The process that does the jobs, and the keeper that starts it and starts it again when it dies.

    python -m mess_core.work.worker --home DIR

It ends after the item in hand when it gets SIGTERM, or when its standard input closes: a worker whose server was
killed does not stay behind.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np

from mess_core.catalogue.catalogue import ALL
from mess_core.embeddings.extraction import choose_device, use_all_cores
from mess_core.encoders.base import Encoder
from mess_core.encoders.registry import DEFAULT, load_encoder
from mess_core.errors import MessError
from mess_core.storage.jobs import PRIORITY_SOON, PRIORITY_WAITED_FOR, new_owner
from mess_core.upkeep.sweep import sweep
from mess_core.work.doing import do
from mess_core.work.task import Task
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import Workspace

log = logging.getLogger(__name__)

POLL_S = 0.2  # how soon an idle worker sees a new job
SWEEP_EVERY_S = 3600.0
RESTART_AFTER_S = 1.0
STOP_WITHIN_S = 10.0  # one batch of the slowest encoder, and a commit


def work(workspace: Workspace, is_stopping: threading.Event) -> None:
    """Do jobs until told to stop."""
    owner = new_owner()
    encoders: dict[str, Encoder] = {}
    next_sweep = 0.0

    def do_first(min_priority: int) -> None:
        """Whatever is at least this urgent; between its own items, what somebody waits for goes before it."""
        while workspace.jobs.has_urgent(min_priority) and (
            job := workspace.jobs.claim(owner, min_priority=min_priority)
        ):
            more_urgent = partial(do_first, PRIORITY_WAITED_FOR) if job.priority < PRIORITY_WAITED_FOR else None
            do(Task(workspace, job, owner, encoders, is_stopping, more_urgent or (lambda: None)))

    while not is_stopping.is_set():
        try:
            if time.monotonic() >= next_sweep:
                sweep(workspace)
                next_sweep = time.monotonic() + SWEEP_EVERY_S
            job = workspace.jobs.claim(owner)
            if job is None:
                _warm_up(workspace, encoders)
                is_stopping.wait(POLL_S)
            else:
                urgent = PRIORITY_SOON if job.priority < PRIORITY_SOON else PRIORITY_WAITED_FOR
                do(Task(workspace, job, owner, encoders, is_stopping, partial(do_first, urgent)))
        except MessError as error:  # a full disk, a locked catalogue: wait and try again, do not die
            log.warning("%s", error)
            is_stopping.wait(RESTART_AFTER_S)


def _warm_up(workspace: Workspace, encoders: dict[str, Encoder]) -> None:
    """With nothing to do, load the encoder of the next query and let it hear silence: otherwise the first one waits."""
    scope = scope_of(workspace, ALL, DEFAULT)
    if not encoders and scope.n_embedded:
        encoder = load_encoder(DEFAULT, workspace.paths, choose_device())
        encoder.encode(np.zeros((1, scope.info.segment_samples), np.float32))
        encoders[scope.info.fingerprint] = encoder


class WorkerKeeper:
    """Keeps one worker process alive beside the server."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._is_stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="worker-keeper", daemon=True)

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the worker finish the item in hand, then end it."""
        self._is_stopping.set()
        self._thread.join()

    def _keep(self) -> None:
        command = [sys.executable, "-m", "mess_core.work.worker", "--home", str(self.workspace.paths.root)]
        while not self._is_stopping.is_set():
            with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
                self._process = process
                while process.poll() is None and not self._is_stopping.wait(POLL_S):
                    pass
                if self._is_stopping.is_set():
                    _end(process)
                else:
                    log.warning("the worker ended with code %s; starting another", process.returncode)
                    self._is_stopping.wait(RESTART_AFTER_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it finish the item in hand; if that takes too long, nothing acknowledged is lost by a kill."""
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()


def stop_when_told(is_stopping: threading.Event) -> None:
    """Set the event at SIGTERM and SIGINT, and once the server is gone.

    Not in the handler: it runs amid whatever the main thread does, and if that holds the event's lock, because it
    waits for it, setting it there would wait for ever.
    """
    told, tell = os.pipe()

    def stop_after(descriptor: int) -> None:
        os.read(descriptor, 1)  # to its input nothing is ever sent: it returns when the server is gone
        is_stopping.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: os.write(tell, b"."))
    for watch, descriptor in (("orphan-watch", sys.stdin.fileno()), ("signal-watch", told)):
        threading.Thread(target=stop_after, args=(descriptor,), name=watch, daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description="Does the jobs of one data folder.")
    parser.add_argument("--home", type=Path, required=True)
    workspace = Workspace(parser.parse_args().home)
    logging.basicConfig(level=logging.INFO, format="worker: %(message)s")
    is_stopping = threading.Event()

    stop_when_told(is_stopping)
    if hasattr(os, "nice"):
        os.nice(5)  # the page a person looks at goes first
    use_all_cores()
    work(workspace, is_stopping)


if __name__ == "__main__":
    main()
