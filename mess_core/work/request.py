"""A request: work that somebody asks for, typed, with all that must be known of its kind.

    Request(...) -> submit -> a row of the table `jobs`      `arguments`: what the row holds, JSON
    row -> `kinds.asked` -> Request -> run(task) -> Done     in a worker, or on the command line

One file per kind of work says what is asked for, what is refused at once, what no two jobs may work on at a time, what
a person reads of it, and what is done. Which kind follows which is said once, in `kinds`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from mess_core.config import ALL
from mess_core.encoders.registry import encoder_info
from mess_core.errors import MessError
from mess_core.storage.jobs import PRIORITY_BACKGROUND, Job
from mess_core.storage.untrusted import build, printable, understanding
from mess_core.work.task import Task
from mess_core.workspace.workspace import Workspace

LONGEST_NAME = 60  # characters of a name inside a sentence


@dataclass(frozen=True)
class Done:
    """How work went.

    message : for people, in a sentence
    leads_on : whether there is anything for the work that follows
    path : where what was made lies, if the work that follows goes by that
    """

    message: str
    leads_on: bool = True
    path: Path | None = None


@dataclass(frozen=True)
class Request:
    """One kind of work; each kind is a subclass, in a file of its own."""

    kind: ClassVar[str]
    items: ClassVar[str] = "file"  # what one of them is called that could not be used
    is_milestone: ClassVar[bool] = True  # what a visitor waits for, rather than a step on the way to it
    priority: ClassVar[int] = PRIORITY_BACKGROUND
    may_go_well_again: ClassVar[bool] = False  # where it failed: a disk or a network may have come back
    keys: ClassVar[Mapping[str, str]] = {}  # what a row calls a field, where that is not its name

    @property
    def arguments(self) -> dict[str, Any]:
        """What the row of a job holds."""
        return _keys_of(type(self), asdict(self))

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> Self:
        """The request that a row holds.

        Raises
        ------
        ArtefactMismatchError
            If it holds what cannot be meant: a data folder may come from anybody.
        """
        with understanding("What is asked of a job"):
            names = {cls.keys.get(field.name, field.name): field.name for field in fields(cls)}
            entries = {names.get(key, key): value for key, value in arguments.items()}
            return build(cls, entries, **cls._read(entries))

    @classmethod
    def _read(cls, entries: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that are not JSON, of their entries."""
        return {}

    def begin(self, workspace: Workspace) -> None:
        """What is done when it is asked for, before it is queued: what cannot be meant is refused at once."""

    def resource(self, workspace: Workspace) -> str | None:
        """What only one job at a time may work on."""
        return None

    def words(self, workspace: Workspace) -> str:
        """What it works on, in a line of text; names in it are untrusted."""
        raise NotImplementedError

    def brief(self, workspace: Workspace) -> str:
        """What it is about, in four words at most, where a line names several; it does not name its library."""
        raise NotImplementedError

    def run(self, task: Task) -> Done:
        """Do it. What was done before an interruption is not done again."""
        raise NotImplementedError

    def is_left(self, workspace: Workspace, job: Job) -> bool:
        """Whether anything of an ended job is still to be done."""
        return True

    def what_is_kept(self, workspace: Workspace, job: Job) -> str:
        """What a cancelled job leaves behind."""
        return (
            f"It was at: {job.message.rstrip('.')}. What is done is kept." if job.message else "What was done is kept."
        )

    def left_s(self, workspace: Workspace, job: Job) -> float | None:
        """Seconds that a running job may still take, by how fast it was seen to go; None while that is a guess.

        Every sentence on time goes by this or by `Scope.estimate`.
        """
        left_s = workspace.jobs.left_s(job)
        return self.left_by_last_time_s(workspace, job) if left_s is None else left_s

    def left_by_last_time_s(self, workspace: Workspace, job: Job) -> float | None:
        """Seconds left if it takes as long as expected; None where nothing is, or where that time is over."""
        expected_s = self.expected_s(workspace)
        if job.state != "running" or job.started_at is None or expected_s is None:
            return None
        left_s = expected_s - (time.time() - job.started_at)
        return left_s if left_s > 0 else None

    def expected_s(self, workspace: Workspace) -> float | None:
        """Seconds that it will take from its beginning: as long as the last time; None the first time."""
        return workspace.jobs.took_s(self.kind, self.arguments)


def submit(workspace: Workspace, request: Request) -> Job:
    """Queue a job, or return the active one that asks for the same.

    Raises
    ------
    InputError
        If it cannot be meant: that is said at once.
    """
    request.begin(workspace)
    return workspace.jobs.submit(
        request.kind, request.arguments, priority=request.priority, resource=request.resource(workspace)
    )


def under_way(workspace: Workspace, kind: type[Request], **wanted: Any) -> Job | None:
    """The active job of a kind with these fields, the one that is worked on first."""
    keys = _keys_of(kind, wanted)
    active = (job for job in workspace.jobs.active() if job.kind == kind.kind)
    return next((job for job in active if keys.items() <= job.arguments.items()), None)


def latest(workspace: Workspace, kind: type[Request], **wanted: Any) -> Job | None:
    """The newest job of a kind with these fields, however it stands."""
    return workspace.jobs.latest(kind.kind, **_keys_of(kind, wanted))


def _keys_of(kind: type[Request], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as a row holds them."""
    return {kind.keys.get(name, name): _plain(value) for name, value in wanted.items()}


# --- words of several kinds -----------------------------------------------------------------------------------


def short(name: object) -> str:
    r"""A name in a line: its beginning and its end, where it is long.

    Examples
    --------
    >>> short("Clair\nde lune"), len(short("x" * 1000))
    ('Clair de lune', 60)
    """
    line = printable(" ".join(str(name).split())[: 100 * LONGEST_NAME])
    half = LONGEST_NAME // 2
    return line if len(line) <= LONGEST_NAME else f"{line[:half]}…{line[1 - half :]}"


def library_words(library: str) -> str:
    """A library in a line."""
    return "all libraries" if library == ALL else short(library)


def encoder_words(workspace: Workspace, encoder_id: str) -> str:
    """An encoder in a line, which may be gone."""
    try:
        return encoder_info(encoder_id, workspace.paths).title
    except MessError:
        return short(encoder_id)


def track_words(workspace: Workspace, track_id: str) -> str:
    """A track in a line, which may have been forgotten meanwhile."""
    try:
        return short(workspace.catalogue.track(track_id).title)
    except MessError:
        return "a recording"


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value
