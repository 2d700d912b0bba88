"""What is being worked on: a bar for each job, the same in every tab, surviving reloads because jobs are rows.

A page draws them in one place, under its title (page.py). A panel that waits for a job says so with `wait_for`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from mess_core.catalogue import ALL
from mess_core.jobs import ONLY_MIDI, Failure, Job, grouped
from mess_core.words import counted
from pages.shared import frame, resources

POLL_S = 1.0
NO_WORKER_AFTER_S = 8.0
MOST_ENDED = 5
WORTH_TRYING_AGAIN = ("demo", "extract", "targets", "download", "fetch")  # where a disk or a network may have come back
DEFECT = "A defect in MESS"
AWAITED = "jobs this page waits for"  # ids, of this run
VERBS = {
    "demo": "Making the demo library",
    "add": "Registering music",
    "extract": "Embedding",
    "encode": "Listening to your query",
    "targets": "Measuring targets",
    "measure": "Measuring your query",
    "probe": "Probing layers",
    "map": "Drawing the map",
    "evaluate": "Measuring what search finds",
    "download": "Downloading weights",
    "fetch": "Downloading a collection",
}


def begin() -> None:
    """Before a page reads anything: what is worked on now. Once that has ended, what the page read may be old."""
    st.session_state[AWAITED] = {job.job_id for job in resources.home().jobs.active()}


def wait_for(job: Job) -> None:
    """The page runs again when this job has ended, even if it was asked for only now."""
    st.session_state[AWAITED] = {*st.session_state.get(AWAITED, set()), job.job_id}


def show(kinds: Sequence[str]) -> None:
    """At the end of a page: bars of all active jobs, and how those of some kinds ended.

    If one has ended since the page began, the page runs again: what it shows may be old.
    """
    active = tuple(job.job_id for job in resources.home().jobs.active())
    if not st.session_state.get(AWAITED, set()) <= set(active):
        st.rerun()
    if active:
        _poll(active)
    libraries = {ALL, *(library.name for library in resources.home().catalogue.libraries())}
    ended = resources.home().jobs.outcomes(kinds) if kinds else []
    told = [job for job in ended if job.kind == "add" or job.arguments.get("library") in (None, *libraries)]
    for job in told[:MOST_ENDED]:
        _show_end(job)


def _show_end(job: Job) -> None:
    """How a job ended, what was left out and why, and what can be done; until somebody has read it."""
    home = resources.home()
    failures = home.jobs.failures(job.job_id)
    with st.container(border=True):
        what = {"failed": "stopped", "cancelled": "was cancelled"}.get(job.state, "is done")
        st.markdown(f":material/info: **{VERBS[job.kind]} {what}**")
        st.text(
            _how_far(job) if job.state == "cancelled" else job.message.split(": --render")[0].removesuffix(".") + "."
        )
        if job.hint:
            st.text(job.hint)
        if failures:
            with st.expander(f"{counted(len(failures), 'file')} could not be used"):
                _show_failures(failures)
        with st.container(horizontal=True):
            if job.state == "cancelled" and st.button("Resume", key=f"resume-{job.job_id}"):
                home.jobs.resume(job.job_id)
                st.rerun()
            may_help = job.kind in WORTH_TRYING_AGAIN and DEFECT not in job.message
            if job.state == "failed" and may_help and st.button("Try again", key=f"again-{job.job_id}"):
                home.jobs.resume(job.job_id)
                st.rerun()
            if job.kind == "add" and ONLY_MIDI in job.message and not job.arguments.get("renders"):
                _offer_to_render(job)
            if st.button("Dismiss", key=f"dismiss-{job.job_id}", type="tertiary"):
                home.jobs.dismiss(job.job_id)
                st.rerun()


def _offer_to_render(job: Job) -> None:
    """Register the same once more, and play what was passed over."""
    if st.button("Play what has only MIDI", key=f"render-{job.job_id}", help="With our own synthesiser."):
        asked = job.arguments
        with frame.explain_errors():
            path, library = Path(asked["path"]), asked["library"]
            resources.home().request_add(path, library, asked["then_extract"], asked["collection"], renders=True)
            resources.home().jobs.dismiss(job.job_id)
            st.rerun()


def _how_far(job: Job) -> str:
    """What a cancelled job leaves behind."""
    home = resources.home()
    if job.kind == "extract":
        library, info = job.arguments["library"], resources.info(job.arguments["encoder"])
        n_tracks = counted(home.catalogue.n_tracks(library), "track")
        return f"{home.n_embedded(library, info)} of {n_tracks} kept in {library}."
    return f"It was at: {job.message}. What is done is kept." if job.message else "What was done is kept."


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


@st.fragment(run_every=POLL_S)
def _poll(job_ids: tuple[int, ...]) -> None:
    jobs = resources.home().jobs.active()
    if {job.job_id for job in jobs} != set(job_ids):
        st.rerun()  # one ended or began: the whole page may say something new
    with st.container(border=True):
        for job in jobs:
            _bar(job)
        oldest = min(job.created_at for job in jobs)
        if not any(job.state == "running" for job in jobs) and time.time() - oldest > NO_WORKER_AFTER_S:
            st.caption("Nobody works on this yet. The worker starts with `streamlit run app.py` (or `make run`).")


def _bar(job: Job) -> None:
    left, right = st.columns([5, 1], vertical_alignment="center")
    with left:
        share = job.n_done / job.n_total if job.n_total else 0.0
        st.progress(min(share, 1.0), text=f"{VERBS.get(job.kind, frame.plain(job.kind))} · {share:.0%}")
        st.text(_detail(job))
    if right.button("Cancel", key=f"cancel-{job.job_id}", disabled=job.is_cancelling, width="stretch"):
        resources.home().jobs.cancel(job.job_id)
        st.rerun(scope="fragment")


def _detail(job: Job) -> str:
    """What is in hand, and how long it may still take."""
    if job.is_cancelling:
        return "ending after the item in hand…"
    if job.state == "queued" or job.started_at is None:
        return "waiting for its turn"
    left_s = resources.home().seconds_left(job)
    return job.message if left_s is None else f"{job.message} · about {frame.seconds(left_s)} left"
