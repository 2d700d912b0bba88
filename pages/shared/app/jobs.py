"""Work that a page asks for or waits for; what is being worked on at all stands in the sidebar (status.py).

A page asks for work with `work_button`, which says so where the same is asked for already. What it waits for itself it
shows where the visitor looks, with `wait_for` and `follow`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.errors import MessError
from mess_core.storage.jobs import PRIORITY_WAITED_FOR, Job
from mess_core.work.kinds import asked
from mess_core.work.request import Request, short
from mess_core.workspace.workspace import DEMO, Workspace
from pages.shared.app import frame, resources

POLL_S = 1.0
FILLING = ("demo", "add", "extract")  # jobs by which a library grows
TELLING = (*FILLING, "targets", "probe")  # jobs that lead to a discovery, of the library of the demo by itself
AWAITED = "jobs of this run"  # by id, their states as the page saw them


def is_under_way(library: str, *kinds: str) -> bool:
    """Whether work of such kinds on a library goes on or waits for its turn."""
    return any(
        job.kind in kinds and job.arguments.get("library", DEMO if job.kind == "demo" else None) == library
        for job in resources.workspace().jobs.active()
    )


def begin() -> None:
    """Before a page reads anything: what is worked on now. Once that has changed, what the page drew may be old."""
    st.session_state[AWAITED] = {job.job_id: job.state for job in resources.workspace().jobs.active()}


def seen() -> dict[int, str]:
    """The active jobs that the page knew of in this run, with their states."""
    return dict(st.session_state.get(AWAITED, {}))


def wait_for(job: Job, sentence: str, n_before: int = 0, n_jobs: int = 1) -> None:
    """Say here what comes once a job has ended; the page then runs again, even if it was asked for only now.

    Of `n_jobs` that are waited for one after the other, `n_before` have ended: the bar is that of all.
    """
    st.session_state[AWAITED] = {**seen(), job.job_id: job.state}
    follow(lambda: sentence, job, n_before, n_jobs)


def follow(sentence: Callable[[], str], job: Job, n_before: int = 0, n_jobs: int = 1) -> None:
    """A line on work that this page is about, above its bar; both go on while the page stands still."""
    _follow(sentence, job.job_id, n_before, n_jobs)


@st.fragment(run_every=POLL_S)
def _follow(sentence: Callable[[], str], job_id: int, n_before: int, n_jobs: int) -> None:
    with frame.explain_errors():
        job = resources.workspace().jobs.get(job_id)
        st.progress((n_before + share_of(job)) / n_jobs, text=frame.plain(_as_it_stands(sentence(), job)))


def _as_it_stands(sentence: str, job: Job) -> str:
    """A line on work, which may not have begun; what somebody waits for begins in a moment."""
    if job.state != "queued" or job.priority >= PRIORITY_WAITED_FOR:
        return sentence
    return f"{sentence} It waits for its turn." if sentence.endswith(".") else f"{sentence} · waits for its turn"


def share_of(job: Job) -> float:
    """How far a job is, 0 to 1."""
    return min(job.n_done / job.n_total, 1.0) if job.n_total else 0.0


def work_button(
    label: str,
    job: Job | None,
    *,
    type: Literal["primary", "secondary"] = "secondary",
    disabled: bool = False,
    key: str | None = None,
    help: str | None = None,
) -> bool:
    """A button that asks for work; while `job` does that already it is disabled, and said to be."""
    is_clicked = st.button(label, type=type, disabled=disabled or job is not None, key=key, help=help)
    if job is not None:
        st.caption("is being done" if job.state == "running" else "waits for its turn", width="content")
    return is_clicked


def is_filling(workspace: Workspace, library: str = ALL) -> bool:
    """Whether recordings are being added to a library, or embedded in it."""
    filling = (job for job in workspace.jobs.active() if job.kind in FILLING)
    return any(library == ALL or job.arguments.get("library", DEMO) in (library, ALL) for job in filling)


def request_of(job: Job) -> Request | None:
    """What a job is asked to do; None of a row that says what cannot be meant, or is of a newer MESS."""
    try:
        return asked(job)
    except MessError:
        return None


def name_of(job: Job) -> str:
    """What a job works on, in a line of text; names in it are untrusted, and so is the row."""
    request = request_of(job)
    return short(job.kind) if request is None else request.words(resources.workspace())
