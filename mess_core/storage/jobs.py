"""Durable jobs: what is asked for survives a click, a reload, a second tab and a crash.

A job is a row. A worker *claims* it for the length of a lease and renews the lease while it works; a worker that died
is noticed at once on the same machine, elsewhere when its lease runs out, and the next one goes on where the last
commit was. Every write of a worker asks first whether it still owns the job (`guard`), so one that was suspended and
comes back too late writes nothing.

States: queued -> running -> done | failed | cancelled; a worker told to stop hands its job back as queued.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mess_core.config import LEASE_S
from mess_core.errors import ArtefactMismatchError, InputError, LeaseLostError
from mess_core.storage.database import Database
from mess_core.storage.untrusted import parse_json

PRIORITY_BACKGROUND = 0
PRIORITY_SOON = 5  # short, and others wait for what it finds: the registration of a folder
PRIORITY_WAITED_FOR = 10  # a person looks at a spinner: the encoding of a query
OWNED = "SELECT job_id, owner, resource FROM jobs WHERE state = 'running' AND lease_until > ?"
ONLY_MIDI = "only MIDI"  # said of recordings that were passed over, though they could be played
TOLD_S = 24 * 3600.0  # how long a registration in which nothing went wrong is told of
MIN_SHARE_TO_TELL, MIN_TO_TELL_S = 0.05, 2.0  # before that, how long a job takes is a guess
LONG_ENOUGH_S = 10.0  # a shorter look at a job that goes item by item says little of its pace
EVERY = 0.01  # of the time it was watched: how often its progress is noted
MAX_ATTEMPTS = 3  # a job that kills its worker this often without progress is given up


@dataclass(frozen=True)
class Job:
    """One row of the table `jobs`. Times in seconds since the epoch."""

    job_id: int
    kind: str
    arguments: dict[str, Any]
    key: str
    state: str
    priority: int
    n_done: int
    n_total: int
    message: str
    hint: str
    is_cancelling: bool
    created_at: float
    started_at: float | None
    finished_at: float | None

    @property
    def is_active(self) -> bool:
        return self.state in ("queued", "running")


@dataclass(frozen=True)
class Failure:
    """One item that a job could not do; the job went on without it."""

    subject: str
    message: str
    hint: str


@dataclass(frozen=True)
class FailureGroup:
    """Items that could not be done for one and the same reason."""

    subjects: tuple[str, ...]
    message: str
    hint: str

    @property
    def line(self) -> str:
        """In one line: of many items how many there are, and the first three."""
        why = f"{self.message} {self.hint}".strip()
        if len(self.subjects) == 1:
            return f"{self.subjects[0]}: {why}"
        more = ", …" if len(self.subjects) > 3 else ""
        return f"{len(self.subjects)} × {why} {', '.join(self.subjects[:3])}{more}"


def grouped(failures: Iterable[Failure]) -> list[FailureGroup]:
    """By reason, the most frequent first; a name that its own reason repeats does not set it apart.

    Examples
    --------
    >>> [group.line for group in grouped([Failure(f"row {n}", "It is gone.", "") for n in range(2, 6)])]
    ['4 × It is gone. row 2, row 3, row 4, …']
    """
    reasons: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        name = failure.subject.rpartition("/")[2]
        message = failure.message.replace(name, "It") if failure.message.startswith(name) else failure.message
        reasons.setdefault((message, failure.hint), []).append(failure)
    groups = [
        FailureGroup(tuple(each.subject for each in same), same[0].message if len(same) == 1 else message, hint)
        for (message, hint), same in reasons.items()
    ]
    return sorted(groups, key=lambda group: -len(group.subjects))


def new_owner() -> str:
    """A name no other worker has: host, process, and a random part (process numbers come round again)."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"


def is_dead(owner: str) -> bool:
    """True only if the owner ran on this machine and its process is gone."""
    host, process, _ = owner.split("/")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class Pace:
    """How fast a job goes, by what was seen of it; the latter half of that counts, so that a quick start is forgotten.

    Whatever is seen, the time left rises by no more than the time that has passed since it was told: work that stands
    still puts its end off by as long as it stands.
    """

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self._seen: list[tuple[float, float]] = []  # s since the epoch, share done; replaced, never changed: threads
        self._told: tuple[float, float] | None = None  # s since the epoch, s left

    def left_s(self, at_s: float, share: float, known_s: float | None = None) -> float | None:
        """Seconds left of a job that is this far now; None while that would be a guess.

        Parameters
        ----------
        share : float, 0 to 1
        known_s : float, seconds or None
            What is left by a speed known otherwise.
        """
        left_s = known_s if known_s is not None else self._by_what_was_seen(at_s, share)
        if left_s is None:
            return None
        if self._told is not None:
            told_at_s, told_s = self._told
            left_s = min(left_s, told_s + max(0.0, at_s - told_at_s))
        self._told = (at_s, left_s)
        return left_s

    def _by_what_was_seen(self, at_s: float, share: float) -> float | None:
        first_s = self._seen[0][0] if self._seen else at_s
        from_s, from_share = max(
            (each for each in self._seen if each[0] <= (first_s + at_s) / 2), default=(at_s, share)
        )
        if not self._seen or at_s - self._seen[-1][0] > EVERY * (at_s - first_s):
            self._seen = [*self._seen, (at_s, share)]
        if at_s - from_s < LONG_ENOUGH_S or share <= from_share:  # watched too briefly: its mean since it began
            from_s, from_share = self.started_at, 0.0
        if share < MIN_SHARE_TO_TELL or at_s - from_s < MIN_TO_TELL_S:
            return None
        return (at_s - from_s) * (1 - share) / (share - from_share)


class Jobs:
    """The queue in the catalogue's database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._paces: dict[int, Pace] = {}  # of running jobs, as far as anybody has looked

    # --- asking ---------------------------------------------------------------------------------------------

    def submit(
        self,
        kind: str,
        arguments: dict[str, Any],
        *,
        priority: int = PRIORITY_BACKGROUND,
        resource: str | None = None,
    ) -> Job:
        """Queue a job, or return the active one that asks for the same: a second click does nothing new.

        `resource` names what only one job at a time may work on.
        """
        text, key = json.dumps(arguments, sort_keys=True), _key(kind, arguments)
        with self.database.transaction() as connection:
            row = connection.execute(
                "SELECT * FROM jobs WHERE key = ? AND state IN ('queued', 'running')", (key,)
            ).fetchone()
            if row is None:
                row = connection.execute(
                    "INSERT INTO jobs (kind, arguments, key, resource, state, priority, created_at)"
                    " VALUES (?, ?, ?, ?, 'queued', ?, ?) RETURNING *",
                    (kind, text, key, resource, priority, time.time()),
                ).fetchone()
            return _job(row)

    def cancel(self, job_id: int) -> None:
        """Ask for an end: at once if nobody works on it, else after the item in hand. What is done stays."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = 'cancelled', finished_at = ? WHERE job_id = ? AND state = 'queued'",
                (time.time(), job_id),
            )
            connection.execute("UPDATE jobs SET is_cancelling = 1 WHERE job_id = ? AND state = 'running'", (job_id,))

    def get(self, job_id: int) -> Job:
        row = self.database.connection.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        if row is None:
            raise InputError(f"There is no job {job_id}.")
        return _job(row)

    def active(self) -> list[Job]:
        """Queued and running jobs, the one that is or will be worked on first."""
        rows = self.database.connection.execute(
            "SELECT * FROM jobs WHERE state IN ('queued', 'running') ORDER BY state DESC, priority DESC, job_id"
        )
        return [_job(row) for row in rows]

    def has_urgent(self, min_priority: int = PRIORITY_WAITED_FOR) -> bool:
        """Whether a job at least this urgent is queued; cheap enough to ask after every batch."""
        row = self.database.connection.execute(
            "SELECT 1 FROM jobs WHERE state = 'queued' AND priority >= ? LIMIT 1", (min_priority,)
        ).fetchone()
        return row is not None

    def outcomes(self, kinds: Sequence[str]) -> list[Job]:
        """How jobs of these kinds ended, where somebody should know: failed, cancelled, or with items left out.

        Of a registration somebody should also know, for a day, that all went well: it leads on.
        The newest comes first, and of each question only the latest answer, until it is dismissed or asked once more.
        """
        rows = self.database.connection.execute(
            f"SELECT * FROM jobs AS job WHERE kind IN ({', '.join('?' for _ in kinds)}) AND dismissed_at IS NULL"
            " AND (state IN ('failed', 'cancelled') OR (state = 'done' AND (message LIKE ?"
            " OR (kind = 'add' AND finished_at > ?)"
            " OR EXISTS (SELECT 1 FROM job_failures WHERE job_failures.job_id = job.job_id))))"
            " AND NOT EXISTS (SELECT 1 FROM jobs AS later WHERE later.key = job.key AND later.job_id > job.job_id)"
            " ORDER BY job_id DESC",
            (*kinds, f"%{ONLY_MIDI}%", time.time() - TOLD_S),
        )
        return [_job(row) for row in rows]

    def dismiss(self, job_id: int) -> None:
        """Somebody has read how a job ended."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET dismissed_at = ? WHERE job_id = ? AND finished_at IS NOT NULL", (time.time(), job_id)
            )

    def resume(self, job_id: int) -> Job:
        """Ask once more for what a finished job was asked for: it goes on where that one ended."""
        row = self.database.connection.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        job = self.get(job_id)
        return self.submit(job.kind, job.arguments, priority=job.priority, resource=row["resource"])

    def latest(self, kind: str, **arguments: Any) -> Job | None:
        """The newest job of a kind whose arguments include these."""
        rows = self.database.connection.execute("SELECT * FROM jobs WHERE kind = ? ORDER BY job_id DESC", (kind,))
        for row in rows:
            job = _job(row)
            if arguments.items() <= job.arguments.items():
                return job
        return None

    def news(self, kinds: Sequence[str]) -> list[Job]:
        """What of these kinds was done without a fault in the last day and nobody has looked at yet; the newest first.

        Of each question only the latest answer, as in `outcomes`.
        """
        rows = self.database.connection.execute(
            f"SELECT * FROM jobs AS job WHERE kind IN ({', '.join('?' for _ in kinds)}) AND dismissed_at IS NULL"
            " AND state = 'done' AND finished_at > ?"
            " AND NOT EXISTS (SELECT 1 FROM job_failures WHERE job_failures.job_id = job.job_id)"
            " AND NOT EXISTS (SELECT 1 FROM jobs AS later WHERE later.key = job.key AND later.job_id > job.job_id)"
            " ORDER BY job_id DESC",
            (*kinds, time.time() - TOLD_S),
        )
        return [_job(row) for row in rows]

    def took_s(self, kind: str, arguments: dict[str, Any]) -> float | None:
        """How long the same took when it was done last; None if it never was."""
        row = self.database.connection.execute(
            "SELECT finished_at - started_at AS took_s FROM jobs WHERE key = ? AND state = 'done'"
            " ORDER BY job_id DESC LIMIT 1",
            (_key(kind, arguments),),
        ).fetchone()
        return None if row is None else row["took_s"]

    def failures(self, job_id: int) -> list[Failure]:
        rows = self.database.connection.execute(
            "SELECT subject, message, hint FROM job_failures WHERE job_id = ? ORDER BY rowid", (job_id,)
        )
        return [Failure(**row) for row in rows]

    def left_s(self, job: Job, known_s: float | None = None) -> float | None:
        """How long a running job may still take; None while nobody can say.

        Parameters
        ----------
        known_s : float, seconds or None
            What is left by a speed known otherwise; without it the job's own pace counts.
        """
        if job.state != "running" or job.started_at is None or job.n_total <= 0:
            self._paces.pop(job.job_id, None)
            return None
        pace = self._paces.setdefault(job.job_id, Pace(job.started_at))
        return pace.left_s(time.time(), job.n_done / job.n_total, known_s)

    # --- working --------------------------------------------------------------------------------------------

    def claim(self, owner: str, *, min_priority: int = 0, job_id: int | None = None) -> Job | None:
        """Take the next job: a queued one, or a running one whose worker is dead or silent.

        Parameters
        ----------
        owner : str
            As from `new_owner`.
        min_priority : int
            Only jobs at least this urgent: how a long job lets an urgent one go first.
        job_id : int or None
            Only this job.
        """
        now = time.time()
        with self.database.transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM jobs WHERE state IN ('queued', 'running') AND priority >= ?"
                " AND (? IS NULL OR job_id = ?) ORDER BY priority DESC, job_id",
                (min_priority, job_id, job_id),
            ).fetchall()
            owned = {row["job_id"] for row in connection.execute(OWNED, (now,)) if not is_dead(row["owner"])}
            busy = {row["resource"] for row in connection.execute(OWNED, (now,)) if row["job_id"] in owned}
            for row in rows:
                if row["job_id"] in owned or (row["resource"] is not None and row["resource"] in busy):
                    continue
                if row["is_cancelling"]:
                    _end(connection, row["job_id"], "cancelled", "", "")
                    continue
                if row["attempts"] >= MAX_ATTEMPTS:
                    message = f"The worker died {MAX_ATTEMPTS} times in a row at: {row['message'] or row['kind']}."
                    _end(
                        connection,
                        row["job_id"],
                        "failed",
                        message,
                        "Remove that track from the library (its file stays where it is), then start again.",
                    )
                    continue
                row = connection.execute(
                    "UPDATE jobs SET state = 'running', owner = ?, lease_until = ?, attempts = attempts + 1,"
                    " started_at = coalesce(started_at, ?) WHERE job_id = ? RETURNING *",
                    (owner, now + LEASE_S, now, row["job_id"]),
                ).fetchone()
                return _job(row)
        return None

    def guard(self, connection: sqlite3.Connection, job_id: int, owner: str) -> sqlite3.Row:
        """Inside a transaction: renew the lease, or refuse the write if the job has another owner by now."""
        row = connection.execute(
            "UPDATE jobs SET lease_until = ? WHERE job_id = ? AND owner = ? AND state = 'running' RETURNING *",
            (time.time() + LEASE_S, job_id, owner),
        ).fetchone()
        if row is None:
            raise LeaseLostError(f"Job {job_id} was taken over by another worker; this one stops without writing.")
        return row

    def heartbeat(self, job_id: int, owner: str) -> bool:
        """Renew the lease; True if an end was asked for."""
        with self.database.transaction() as connection:
            return bool(self.guard(connection, job_id, owner)["is_cancelling"])

    def progress(
        self, job_id: int, owner: str, *, n_done: int | None = None, n_total: int | None = None, message: str = ""
    ) -> bool:
        """Say how far it is; True if an end was asked for."""
        with self.database.transaction() as connection:
            row = self.guard(connection, job_id, owner)
            connection.execute(
                "UPDATE jobs SET n_done = ?, n_total = ?, message = ?, attempts = 0 WHERE job_id = ?",
                (*_forward(row, n_done, n_total), message, job_id),
            )
            return bool(row["is_cancelling"])

    def fail_item(self, job_id: int, owner: str, failure: Failure) -> None:
        """Record one item that could not be done; the job goes on."""
        with self.database.transaction() as connection:
            self.guard(connection, job_id, owner)
            connection.execute(
                "INSERT OR REPLACE INTO job_failures VALUES (?, ?, ?, ?)",
                (job_id, failure.subject, failure.message, failure.hint),
            )

    def finish(self, job_id: int, owner: str, state: str, message: str = "", hint: str = "") -> None:
        with self.database.transaction() as connection:
            self.guard(connection, job_id, owner)
            _end(connection, job_id, state, message, hint)

    def release(self, job_id: int, owner: str) -> None:
        """Hand the job back unfinished, for the next worker at once."""
        with self.database.transaction() as connection:
            self.guard(connection, job_id, owner)
            connection.execute(
                "UPDATE jobs SET state = 'queued', owner = NULL, lease_until = NULL, attempts = 0 WHERE job_id = ?",
                (job_id,),
            )


def _key(kind: str, arguments: dict[str, Any]) -> str:
    """By which two jobs that ask for the same are known."""
    return f"{kind} {json.dumps(arguments, sort_keys=True)}"


def _forward(row: sqlite3.Row, n_done: int | None, n_total: int | None) -> tuple[int, int]:
    """How far a job is, never less far than it was said to be: one that was interrupted repeats what was not kept."""
    done = row["n_done"] if n_done is None else n_done
    total = row["n_total"] if n_total is None else n_total
    if row["n_total"] and total and done * row["n_total"] < row["n_done"] * total:
        done = min(total, math.ceil(row["n_done"] * total / row["n_total"]))
    return done, total


def _end(connection: sqlite3.Connection, job_id: int, state: str, message: str, hint: str) -> None:
    connection.execute(
        "UPDATE jobs SET state = ?, message = coalesce(nullif(?, ''), message), hint = ?, owner = NULL,"
        " lease_until = NULL, finished_at = ? WHERE job_id = ?",  # a cancelled one says how far it was
        (state, message, hint, time.time(), job_id),
    )


def _job(row: sqlite3.Row) -> Job:
    facts = {name: row[name] for name in Job.__dataclass_fields__}
    arguments: dict[str, Any] = {}
    with contextlib.suppress(ArtefactMismatchError):  # not what we wrote: it can still be shown and cancelled
        arguments = parse_json(row["arguments"], "What is asked of a job")
    return Job(**{**facts, "arguments": arguments, "is_cancelling": bool(row["is_cancelling"])})
