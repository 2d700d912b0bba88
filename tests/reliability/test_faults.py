"""The system refuses at the first call, at the second, ... until nothing is refused: always the old state or the new.

After the example of SQLite's own tests (sqlite.org/testing.html, "I/O error testing"). The system's calls are replaced
where Python makes them; what SQLite does inside is failed statement by statement here, and by a true limit of the
file size in `test_disk_full.py`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable

import pytest

from mess_core.collections.opening import read_track
from mess_core.errors import MessError, StorageError
from mess_core.storage.files import TMP_SUFFIX
from mess_core.upkeep.check import check
from mess_core.workspace.workspace import Workspace
from tests.reliability.conftest import Everything
from tests.reliability.faults import (
    FAULTS,
    MOST_CALLS,
    OPERATIONS,
    Faults,
    Operation,
    failing_statement,
    keep_upload,
    save_map,
    write_embedding,
)

# Two codes of every operation, all four where files come from outside and where they are the most.
CASES = [
    *((make, code) for make in OPERATIONS for code in FAULTS[:2]),
    *((make, code) for make in (write_embedding, keep_upload) for code in FAULTS[2:]),
]


@pytest.mark.parametrize(
    ("make", "code"), CASES, ids=[f"{make.__name__}-{errno.errorcode[code]}" for make, code in CASES]
)
def test_a_refusal_at_every_call_leaves_the_old_state_or_the_new(
    everything: Everything, make: Callable[[Everything], Operation], code: int
) -> None:
    operation = make(everything)
    home = everything.home
    failed = []
    for n in range(1, MOST_CALLS):
        operation.begin()
        old = operation.state(n)
        error: MessError | None = None
        with pytest.MonkeyPatch.context() as monkeypatch:
            faults = Faults(monkeypatch, home.paths.root, n, code)
            try:
                operation.act(n)
            except MessError as raised:
                error = raised
        if not faults.failed:
            break
        failed.append(faults.failed)
        where = f"{faults.failed}, call {n}"
        now, problems, left = operation.state(n), check(home), list(home.paths.root.rglob(f"*{TMP_SUFFIX}"))
        operation.act(n)  # the cause is cured, and it is tried again
        new = operation.state(n)
        assert new != old
        if make is save_map and now is None:  # arrays of the new map, facts of the old: refused, and named
            assert [problem.kind for problem in problems] == ["map"], where
        else:
            assert now in (old, new) and problems == [], where
        assert now == new or operation.is_quiet or error is not None, where
        assert error is None or os.strerror(code) in error.message, where
        assert not left or faults.failed == "unlink", where  # what may not be deleted stays until it is swept
    assert {"open", "fsync", "replace", "write"} <= {*failed, *("open" for name in failed if name == "Path.open")}
    assert check(home) == []


# --- the catalogue ------------------------------------------------------------------------------------------


def _rows(home: Workspace) -> list[str]:
    """Everything the catalogue holds."""
    return list(home.database.connection.iterdump())


def test_every_statement_of_an_added_folder_may_fail(home: Workspace, write_wav) -> None:
    """Tracks, files, titles, library: all of them are there or none, and the connection goes on working."""
    new = [read_track(write_wav(f"t{seed}", 1.5, seed)) for seed in range(3)]
    folder = new[0].audio.parent
    before = _rows(home)
    for n in range(1, MOST_CALLS):
        with failing_statement(home, n) as connection:
            with contextlib.suppress(StorageError):
                home.catalogue.add(folder, new, "music")
            if not connection.failed:
                break
        assert _rows(home) == before, connection.failed
        assert not home.database.connection.in_transaction
    assert n > 10
    assert home.catalogue.n_tracks("music") == 3 and check(home) == []


def test_every_statement_of_a_job_may_fail(home: Workspace) -> None:
    """Claim, progress, failure, end: each is all or nothing."""

    def live() -> None:
        owner = "here/1/x"
        job = home.jobs.submit("extract", {"library": "a"})
        if home.jobs.claim(owner, job_id=job.job_id):
            home.jobs.progress(job.job_id, owner, n_done=1, n_total=2)
            home.jobs.finish(job.job_id, owner, "done")

    for n in range(1, MOST_CALLS):
        with failing_statement(home, n) as connection:
            with contextlib.suppress(StorageError, sqlite3.OperationalError):
                live()
            if not connection.failed:
                break
        assert not home.database.connection.in_transaction
        rows = home.database.connection.execute("SELECT state, owner, lease_until FROM jobs").fetchall()
        for row in rows:
            assert (row["state"] == "running") == (row["owner"] is not None) == (row["lease_until"] is not None)
        with home.database.transaction() as real:
            real.execute("DELETE FROM jobs")
    assert n > 8
