"""All work in a line: what can be used already, what is in hand, what comes next, and how long all of it takes.

As in "demo ready · layers 40 % · map next".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mess_core.encoders.registry import DEFAULT
from mess_core.errors import MessError
from mess_core.storage.jobs import PRIORITY_WAITED_FOR, Job
from mess_core.work.kinds import asked, what_will_follow
from mess_core.work.request import Request, library_words, short
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import Workspace

LONGEST_CHAIN = 50  # requests that are looked ahead: more are not told one by one anyway


@dataclass(frozen=True)
class Outlook:
    """What is said of all work.

    line : in words; names in it are untrusted
    share : float or None, 0 to 1, of what is in hand; None while nothing is
    left_s : float or None, seconds; None while nobody can say
    is_all : whether those seconds are of all that is known to come, or only of what is in hand
    """

    line: str
    share: float | None
    left_s: float | None
    is_all: bool


def outlook(workspace: Workspace, active: Sequence[Job]) -> Outlook | None:
    """All work, given the jobs that are queued and running; None while there are none."""
    running = [job for job in active if job.state == "running"]
    # What somebody waits for goes between the items of a long job, and is over in a moment: the long one is told.
    in_hand = min(running, key=lambda job: (job.priority, job.job_id), default=None)
    told = in_hand or next(iter(active), None)
    if told is None:
        return None
    request = _request(told)
    waiting = [job for job in active if job.state != "running" and job.priority < PRIORITY_WAITED_FOR]
    to_come = _to_come(workspace, waiting, running)
    share = None if in_hand is None else min(1.0, told.n_done / told.n_total) if told.n_total else 0.0
    parts = [_ready(workspace, request), _what(workspace, told, request, share)]
    if in_hand is not None:
        parts.append(_next(workspace, request, to_come))
    left_s = None if in_hand is None or request is None else request.left_s(workspace, told)
    rest_s = [each.expected_s(workspace) if each is not None else None for each in to_come]
    is_all = None not in rest_s
    if left_s is not None and is_all:
        left_s += sum(each for each in rest_s if each is not None)
    return Outlook(" · ".join(filter(None, parts)), share, left_s, is_all)


def _request(job: Job) -> Request | None:
    """What a job is asked to do; None of a row that says what cannot be meant, or is of a newer MESS."""
    try:
        return asked(job)
    except MessError:
        return None


def _to_come(workspace: Workspace, waiting: Sequence[Job], running: Sequence[Job]) -> list[Request | None]:
    """What waits, and what follows from it and from what is worked on, in the order in which it will be done."""
    found: list[Request | None] = [_request(job) for job in waiting]
    leading = [*map(_request, running), *found]
    for request in leading:  # grows meanwhile
        if request is None or len(found) > LONGEST_CHAIN:
            continue
        new = [each for each in what_will_follow(workspace, request) if each not in leading]
        found += new
        leading += new
    return found


def _library(request: Request | None) -> str:
    """The library that a request works in; empty where it is in none, or makes it."""
    return "" if request is None or request.kind in ("add", "fetch") else getattr(request, "library", "")


def _ready(workspace: Workspace, request: Request | None) -> str:
    """That its library can be listened to meanwhile."""
    library = _library(request)
    if not library:
        return ""
    scope = scope_of(workspace, library, DEFAULT)
    return f"{library_words(library)} ready" if scope.n_embedded >= workspace.catalogue.n_tracks(library) else ""


def _what(workspace: Workspace, job: Job, request: Request | None, share: float | None) -> str:
    """What is in hand and how far it is; its library where that was not named before."""
    what = short(job.kind) if request is None else request.brief(workspace)
    library = _library(request)
    done = what if share is None else f"{what} {int(100 * share)} %"
    if library and not _ready(workspace, request):
        done = f"{library_words(library)}: {done}"
    return f"waiting for its turn: {done}" if share is None else done


def _next(workspace: Workspace, in_hand: Request | None, to_come: Sequence[Request | None]) -> str:
    """The next that a visitor waits for, else the next step."""
    known = [each for each in to_come if each is not None]
    following = next((each for each in known if each.is_milestone), known[0] if known else None)
    if following is None:
        return "more to come" if to_come else ""
    is_elsewhere = _library(following) not in ("", _library(in_hand)) and _library(in_hand)
    where = f" of {library_words(_library(following))}" if is_elsewhere else ""
    return f"{following.brief(workspace)}{where} next"
