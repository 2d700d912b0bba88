"""Worker processes: started, waited for, ended; and what they should have made."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from mess_core.collections.opening import read_track
from mess_core.encoders.mel import MEL
from mess_core.storage.jobs import new_owner
from mess_core.work.doing import do
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit
from mess_core.work.task import Task
from mess_core.workspace.workspace import Workspace

ROOT = Path(__file__).parent.parent


# Where processes can be copied, workers are copies of one that has loaded what takes them seconds.
COPIES = "forkserver" in multiprocessing.get_all_start_methods()


class Worker:
    """A worker process, with what the tests need of `subprocess.Popen`."""

    def __init__(self, home: Workspace) -> None:
        context = multiprocessing.get_context("forkserver" if COPIES else "spawn")
        if COPIES:
            context.set_forkserver_preload(["mess_core.work.worker", "torch", "scipy.fft"])
        its_stdin, self.stdin = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(str(home.paths.root), its_stdin))
        self._process.start()
        its_stdin.close()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, how: int) -> None:
        os.kill(self._process.pid, how)

    def wait(self, seconds: float) -> None:
        self._process.join(seconds)
        assert self.returncode is not None, "it goes on"


def _work(root: str, stdin: Connection) -> None:
    from mess_core.work import worker

    os.dup2(stdin.fileno(), 0)
    sys.stdin, sys.argv = open(0), ["worker", "--home", root]  # noqa: SIM115
    worker.main()


def start_worker(home: Workspace) -> Worker:
    return Worker(home)


def start_process(home: Workspace) -> subprocess.Popen[bytes]:
    """A worker as the server starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "mess_core.work.worker", "--home", str(home.paths.root)], stdin=subprocess.PIPE, cwd=ROOT
    )


def end(process: Worker | subprocess.Popen[bytes], how: int = signal.SIGKILL) -> None:
    process.send_signal(how)
    process.wait(30)
    if process.stdin:
        process.stdin.close()


def wait_until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def contents(home: Workspace) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.paths.embeddings.rglob("*.safetensors")}


def uninterrupted(home: Workspace, tmp_path: Path) -> dict[str, bytes]:
    """The same library, embedded in one go elsewhere."""
    other = Workspace(tmp_path / "uninterrupted")
    new = [read_track(home.catalogue.audio_path(track.track_id)) for track in home.catalogue.tracks("music")]
    other.catalogue.add(new[0].audio.parent, new, "music")
    submit(other, ExtractRequest("music", MEL.id))
    owner = new_owner()
    do(Task(other, other.jobs.claim(owner), owner))
    return contents(other)
