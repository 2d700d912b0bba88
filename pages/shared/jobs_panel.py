"""What is being worked on: a bar for each job, the same in every tab, surviving reloads because jobs are rows.

A page draws them in one place, under its title (page.py). A panel that waits for a job says so with `wait_for`.
"""

from __future__ import annotations

import time

import streamlit as st

from mess_core.jobs import Job, grouped
from pages.shared import frame, resources

POLL_S = 1.0
NO_WORKER_AFTER_S = 8.0
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


def show() -> None:
    """At the end of a page: bars of all active jobs; or the page again if one has ended since it began."""
    active = tuple(job.job_id for job in resources.home().jobs.active())
    if not st.session_state.get(AWAITED, set()) <= set(active):
        st.rerun()
    if active:
        _poll(active)


def show_outcome(job: Job | None) -> None:
    """How the latest job of a kind ended, if that is worth knowing: every failed item with its reason."""
    if job is None or job.is_active:
        return
    failures = resources.home().jobs.failures(job.job_id)
    if job.state == "failed":
        frame.notice(f"{VERBS.get(job.kind, frame.plain(job.kind))} stopped", job.message, job.hint)
    if failures:
        with st.expander(f"{len(failures)} files could not be used"):
            st.dataframe(
                [
                    {
                        "files": len(g.subjects),
                        "which": ", ".join(g.subjects[:3]),
                        "why": g.message,
                        "what to do": g.hint,
                    }
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
    elapsed = time.time() - job.started_at
    share = job.n_done / job.n_total if job.n_total else 0.0
    left = f" · about {frame.seconds(elapsed / share - elapsed)} left" if share > 0.05 and elapsed > 2 else ""
    return f"{job.message}{left}"
