"""What is being worked on: a bar for each job, the same in every tab, surviving reloads because jobs are rows.

A page draws them in one place, under its title (page.py). A panel that waits for a job says so with `wait_for`, and
asks for work with `work_button`, which says so where the same is asked for already.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.errors import MessError
from mess_core.storage.jobs import ONLY_MIDI, Failure, Job, grouped
from mess_core.words import counted
from mess_core.work.add import AddRequest
from mess_core.work.kinds import asked
from mess_core.work.request import Request, short, submit
from pages.shared.app import frame, resources, state

POLL_S = 1.0
NO_WORKER_AFTER_S = 8.0
MOST_WAITING = 2  # shown one by one; the others are folded
MOST_ENDED = 3
DEFECT = "A defect in MESS"
AWAITED = "jobs this page waits for"  # ids, of this run


def begin() -> None:
    """Before a page reads anything: what is worked on now. Once that has ended, what the page read may be old."""
    st.session_state[AWAITED] = {job.job_id for job in resources.workspace().jobs.active()}


def wait_for(job: Job) -> None:
    """The page runs again when this job has ended, even if it was asked for only now."""
    st.session_state[AWAITED] = {*st.session_state.get(AWAITED, set()), job.job_id}


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
        st.caption("is being done" if job.state == "running" else "waits for its turn")
    return is_clicked


def _request(job: Job) -> Request | None:
    """What a job is asked to do; None of a row that says what cannot be meant, or is of a newer MESS."""
    try:
        return asked(job)
    except MessError:
        return None


def name_of(job: Job) -> str:
    """What a job works on, in a line of text; names in it are untrusted, and so is the row."""
    request = _request(job)
    return short(job.kind) if request is None else request.words(resources.workspace())


# --- how jobs ended -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _End:
    """What is said of how a job ended: of jobs that have the same to say, one is shown."""

    headline: str
    lines: tuple[str, ...]
    failures: tuple[Failure, ...]


def show(kinds: Sequence[str]) -> None:
    """At the end of a page: bars of all active jobs, and how those of some kinds ended.

    If one has ended since the page began, the page runs again: what it shows may be old.
    """
    active = tuple((job.job_id, job.state) for job in resources.workspace().jobs.active())
    if not st.session_state.get(AWAITED, set()) <= {job_id for job_id, _ in active}:
        st.rerun()
    if active:
        _poll(active)
    _show_ends(resources.workspace().jobs.outcomes(kinds) if kinds else [])


def _show_ends(ended: Sequence[Job]) -> None:
    libraries = {library.name for library in resources.workspace().catalogue.libraries()}
    folded: dict[_End, list[Job]] = {}
    for job in ended:
        if _is_worth_telling(job, libraries):
            folded.setdefault(_end(job), []).append(job)
    for end, jobs in list(folded.items())[:MOST_ENDED]:
        _show_end(end, jobs)
    told = [job.job_id for jobs in folded.values() for job in jobs]
    if len(folded) > 2:
        with st.container(horizontal=True, vertical_alignment="center"):
            if len(folded) > MOST_ENDED:
                st.caption(f"{counted(len(folded) - MOST_ENDED, 'older notice')} not shown.")
            st.button(f"Dismiss all {len(folded)}", key="dismiss-all", type="tertiary", on_click=_dismiss, args=(told,))


def _is_worth_telling(job: Job, libraries: set[str]) -> bool:
    """Not what became of a library that was removed since; what could not be added has none."""
    library = job.arguments.get("library")
    if job.kind == AddRequest.kind:
        return library in libraries or not AddRequest.n_added(job)
    return library in (None, ALL, *libraries)


def _end(job: Job) -> _End:
    """In words: how it ended, what was left out, and what can be done."""
    workspace = resources.workspace()
    failures = tuple(workspace.jobs.failures(job.job_id))
    message = job.message.split(": --render")[0].removesuffix(".") + "."
    if job.state == "cancelled":
        return _End(f"{name_of(job)} was cancelled", (_what_is_kept(job),), failures)
    if n_added := AddRequest.n_added(job):
        rest = message.partition(" registered.")[2].strip()
        return _End(
            f"{counted(n_added, 'track')} added to {short(job.arguments['library'])}.",
            (rest,) if rest else (),
            failures,
        )
    lines = (message, job.hint) if job.hint else (message,)
    if job.kind == AddRequest.kind:
        is_silent = job.state == "done" and ONLY_MIDI in message and not failures
        how = "found nothing to play" if is_silent else "failed"
        return _End(f"{name_of(job)} {how}: nothing was added", lines, failures)
    return _End(f"{name_of(job)} {'failed' if job.state == 'failed' else 'is done'}", lines, failures)


def _show_end(end: _End, jobs: Sequence[Job]) -> None:
    """How jobs ended, of which the newest stands for all; until somebody has read it."""
    workspace, job = resources.workspace(), jobs[0]
    request = _request(job)
    with st.container(border=True):
        times = f" ({len(jobs)} times)" if len(jobs) > 1 else ""
        icon = ":material/check:" if AddRequest.n_added(job) else ":material/info:"
        st.markdown(f"{icon} **{frame.plain(end.headline + times)}**")
        for line in end.lines:
            st.text(line)
        if end.failures:
            with st.expander(f"{counted(len(end.failures), 'file')} could not be used"):
                _show_failures(end.failures)
        with st.container(horizontal=True):
            if AddRequest.n_added(job) and job.arguments["library"] != frame.library():
                st.button(
                    "Open it", key=f"open-{job.job_id}", type="primary",
                    on_click=_open, args=(job.arguments["library"], [each.job_id for each in jobs]),
                )  # fmt: skip
            if job.state == "cancelled" and _is_left(job) and st.button("Resume", key=f"resume-{job.job_id}"):
                workspace.jobs.resume(job.job_id)
                st.rerun()
            may_help = request is not None and request.may_go_well_again and DEFECT not in job.message
            may_help = may_help and job.state == "failed" and _is_left(job)
            if may_help and st.button("Try again", key=f"again-{job.job_id}"):
                workspace.jobs.resume(job.job_id)
                st.rerun()
            if isinstance(request, AddRequest) and request.has_silent(job):
                _offer_to_render(job, request)
            st.button(
                "Dismiss", key=f"dismiss-{job.job_id}", type="tertiary",
                on_click=_dismiss, args=([each.job_id for each in jobs],),
            )  # fmt: skip


def _open(library: str, job_ids: Sequence[int]) -> None:
    """Before the page runs: look at another library from now on; what led there has been read."""
    state.choose("library", library)
    _dismiss(job_ids)


def _dismiss(job_ids: Sequence[int]) -> None:
    with frame.explain_errors():
        for job_id in job_ids:
            resources.workspace().jobs.dismiss(job_id)


def _offer_to_render(job: Job, request: AddRequest) -> None:
    """Register the same once more, and play what was passed over."""
    if st.button("Play what has only MIDI", key=f"render-{job.job_id}", help="With our own synthesiser."):
        with frame.explain_errors():
            submit(resources.workspace(), replace(request, renders=True))
            resources.workspace().jobs.dismiss(job.job_id)
            st.rerun()


def _is_left(job: Job) -> bool:
    """Whether anything of an ended job is still to be done."""
    try:
        return asked(job).is_left(resources.workspace(), job)
    except MessError:  # a newer MESS asked for it, or its encoder is gone
        return False


def _what_is_kept(job: Job) -> str:
    """What a cancelled job leaves behind."""
    return (_request(job) or Request()).what_is_kept(resources.workspace(), job)


def _show_failures(failures: Sequence[Failure]) -> None:
    """One row for each reason, with how many and the first three names."""
    st.dataframe(
        [
            {"files": len(g.subjects), "which": ", ".join(g.subjects[:3]), "why": g.message, "what to do": g.hint}
            for g in grouped(failures)
        ],
        hide_index=True,
        width="stretch",
    )


# --- what is being worked on ----------------------------------------------------------------------------------


@st.fragment(run_every=POLL_S)
def _poll(seen: tuple[tuple[int, str], ...]) -> None:
    jobs = resources.workspace().jobs.active()
    if {(job.job_id, job.state) for job in jobs} != set(seen):
        st.rerun()  # one began or ended: the whole page may say something new
    running = [job for job in jobs if job.state == "running"]
    waiting = [job for job in jobs if job.state != "running"]
    with st.container(border=True):
        for job in running:
            _bar(job)
        for job in waiting[:MOST_WAITING]:
            _line(job)
        if folded := waiting[MOST_WAITING:]:
            with st.expander(f"{len(folded)} more waiting"):
                for job in folded:
                    _line(job)
        oldest = min(job.created_at for job in jobs)
        if not running and time.time() - oldest > NO_WORKER_AFTER_S:
            st.caption("Nobody works on this yet. The worker starts with `streamlit run app.py` (or `make run`).")


def _bar(job: Job) -> None:
    """A job that somebody works on."""
    left, right = st.columns([5, 1], vertical_alignment="center")
    with left:
        share = job.n_done / job.n_total if job.n_total else 0.0
        st.progress(min(share, 1.0), text=f"{frame.plain(name_of(job))} · {share:.0%}")
        st.text(_detail(job))
    with right:
        _cancel_button(job)


def _line(job: Job) -> None:
    """A job that waits."""
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.text(f"{name_of(job)} · waits for its turn")
    with right:
        _cancel_button(job)


def _cancel_button(job: Job) -> None:
    st.button(
        "Cancel", key=f"cancel-{job.job_id}", disabled=job.is_cancelling, width="stretch",
        on_click=_cancel, args=(job.job_id,),
    )  # fmt: skip


def _cancel(job_id: int) -> None:
    with frame.explain_errors():
        resources.workspace().jobs.cancel(job_id)


def _detail(job: Job) -> str:
    """What is in hand, and how long it may still take."""
    if job.is_cancelling:
        return "ending after the item in hand…"
    now = job.message or ("finishing" if job.n_total and job.n_done >= job.n_total else "starting")
    left_s = (_request(job) or Request()).left_s(resources.workspace(), job)
    return now if left_s is None else f"{now} · about {frame.seconds(left_s)} left"
