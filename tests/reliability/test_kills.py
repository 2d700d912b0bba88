"""Killed at the first call of the system, at the second, ...: another process finds the old state or the new."""

from __future__ import annotations

import os
import signal
import time

import pytest

from mess_core.embeddings.store import TMP_KEEP_S
from mess_core.storage.files import TMP_SUFFIX
from mess_core.upkeep.check import check
from mess_core.upkeep.sweep import sweep
from mess_core.workspace.workspace import Workspace
from tests.reliability.conftest import Everything
from tests.reliability.faults import MOST_CALLS, OPERATIONS, Faults, save_map


class _Kill(Faults):
    """Ends this process at the n-th call, as a power cut would: no clean-up, no last word."""

    def count(self, name: str) -> None:
        self.n_left -= 1
        if self.n_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_at(root, make, n: int, call: int) -> bool:
    """Write content `n` in a process of its own; whether it was killed at that call before it was done."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            operation = make(Everything(Workspace(root)))
            _Kill(pytest.MonkeyPatch(), root, call, 0)
            operation.act(n)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are copied")
@pytest.mark.parametrize("make", OPERATIONS, ids=lambda make: make.__name__)
def test_a_kill_at_every_call_leaves_the_old_state_or_the_new(everything: Everything, make) -> None:
    """Nothing but a temporary file is left over, which the sweep takes; trying again succeeds."""
    home, root = everything.home, everything.home.paths.root
    operation = make(everything)
    n_killed = 0
    for n in range(1, MOST_CALLS):
        operation.begin()
        old = operation.state(n)
        _close(home)
        if not killed_at(root, make, n, n):
            break
        n_killed += 1
        now, problems = operation.state(n), check(home)
        operation.act(n)
        new = operation.state(n)
        assert new != old
        if make is save_map and now is None:
            assert [problem.kind for problem in problems] == ["map"], n
        else:
            assert now in (old, new) and problems == [], n
        long_ago = time.time() - TMP_KEEP_S - 60
        for left in root.rglob(f"*{TMP_SUFFIX}"):
            os.utime(left, (long_ago, long_ago))
        sweep(home)
        assert not list(root.rglob(f"*{TMP_SUFFIX}")) and check(home) == [], n
    assert n_killed >= 4


def _close(home: Workspace) -> None:
    """No connection may be open while a process is copied."""
    watching = home.catalogue.remembered._watching
    if watching is not None:
        watching.close()
        home.catalogue.remembered._watching = None
    home.database.close()
