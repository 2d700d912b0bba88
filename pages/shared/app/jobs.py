"""What is being worked on: a bar for each job, the same in every tab, surviving reloads because jobs are rows.

A page draws them in one place, under its title (page.py). A panel that waits for a job says so with `wait_for`, and
asks for work with `work_button`, which says so where the same is asked for already.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.collections.published import COLLECTIONS
from mess_core.encoders.registry import encoder_ids
from mess_core.errors import MessError
from mess_core.storage.jobs import ONLY_MIDI, Failure, Job, grouped
from mess_core.storage.untrusted import printable
from mess_core.words import counted
from mess_core.workspace.scan import n_registered
from pages.shared.app import frame, resources, state

POLL_S = 1.0
NO_WORKER_AFTER_S = 8.0
MOST_WAITING = 2  # shown one by one; the others are folded
MOST_ENDED = 3
LONGEST_NAME = 60  # characters of a name inside that of a job
WORTH_TRYING_AGAIN = ("demo", "extract", "targets", "download", "fetch")  # where a disk or a network may have come back
DEFECT = "A defect in MESS"
AWAITED = "jobs this page waits for"  # ids, of this run


def begin() -> None:
    """Before a page reads anything: what is worked on now. Once that has ended, what the page read may be old."""
    st.session_state[AWAITED] = {job.job_id for job in resources.workspace().jobs.active()}


def wait_for(job: Job) -> None:
    """The page runs again when this job has ended, even if it was asked for only now."""
    st.session_state[AWAITED] = {*st.session_state.get(AWAITED, set()), job.job_id}


def asked(kind: str, **arguments: Any) -> Job | None:
    """The active job of a kind whose arguments include these, the one that is worked on first."""
    wanted = json.loads(json.dumps(arguments))  # as a row keeps them
    active = resources.workspace().jobs.active()
    return next((job for job in active if job.kind == kind and wanted.items() <= job.arguments.items()), None)


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


def name_of(job: Job) -> str:
    """What a job works on, in a line of text; names in it are untrusted, and so is the row."""

    def word(key: str) -> str:
        return _short(job.arguments.get(key) or "?")

    library = "all libraries" if job.arguments.get("library") == ALL else word("library")
    by = f" with {_encoder(job)}" if "encoder" in job.arguments else ""
    match job.kind:
        case "demo":
            return "Making the demo library"
        case "add":
            return f"Registering {word('path')} in {library}"
        case "extract":
            n_tracks = resources.workspace().catalogue.n_tracks(str(job.arguments.get("library")))
            return f"Embedding {library} ({counted(n_tracks, 'track')}){by}"
        case "encode":
            return f"Listening to {_track(job)}{by}"
        case "targets":
            return f"Measuring {library}"
        case "measure":
            return f"Measuring {_track(job)}"
        case "probe":
            level = "segments" if job.arguments.get("level") == "segment" else "tracks"
            return f"Discovery in {library} ({level}){by}"
        case "map":
            twice = " twice, for its stability" if job.arguments.get("with_stability") else ""
            return f"Drawing the map of {library}{by}{twice}"
        case "evaluate":
            is_of_aspects = job.arguments.get("what") == "faithfulness"
            what = "what aspects find" if is_of_aspects else "which way of comparing finds what"
            return f"Measuring {what} in {library}{by}"
        case "download":
            return f"Downloading the weights of {_encoder(job)}"
        case "fetch":
            known = COLLECTIONS.get(str(job.arguments.get("collection")))
            return f"Downloading {known.title if known else word('collection')} to {word('folder')}"
    return _short(job.kind)


def _short(name: object) -> str:
    """A name in a line: its beginning and its end, where it is long."""
    line = printable(" ".join(str(name).split())[: 100 * LONGEST_NAME])
    half = LONGEST_NAME // 2
    return line if len(line) <= LONGEST_NAME else f"{line[:half]}…{line[1 - half :]}"


def _encoder(job: Job) -> str:
    encoder_id = str(job.arguments.get("encoder"))
    known = encoder_id in encoder_ids(resources.workspace().paths)
    return resources.info(encoder_id).title if known else _short(encoder_id)


def _track(job: Job) -> str:
    try:
        title = resources.workspace().catalogue.track(str(job.arguments.get("track_id"))).title
    except MessError:
        return "a recording"  # forgotten meanwhile
    return _short(title)


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
    if job.kind == "add":
        return library in libraries or not _n_added(job)
    return library in (None, ALL, *libraries)


def _n_added(job: Job) -> int:
    return n_registered(job.message) if job.kind == "add" and job.state == "done" else 0


def _end(job: Job) -> _End:
    """In words: how it ended, what was left out, and what can be done."""
    workspace = resources.workspace()
    failures = tuple(workspace.jobs.failures(job.job_id))
    message = job.message.split(": --render")[0].removesuffix(".") + "."
    if job.state == "cancelled":
        return _End(f"{name_of(job)} was cancelled", (_how_far(job),), failures)
    if job.kind == "add" and (n_added := _n_added(job)):
        rest = message.partition(" registered.")[2].strip()
        return _End(
            f"{counted(n_added, 'track')} added to {_short(job.arguments['library'])}.",
            (rest,) if rest else (),
            failures,
        )
    lines = (message, job.hint) if job.hint else (message,)
    if job.kind == "add":
        is_silent = job.state == "done" and ONLY_MIDI in message and not failures
        how = "found nothing to play" if is_silent else "failed"
        return _End(f"{name_of(job)} {how}: nothing was added", lines, failures)
    return _End(f"{name_of(job)} {'failed' if job.state == 'failed' else 'is done'}", lines, failures)


def _show_end(end: _End, jobs: Sequence[Job]) -> None:
    """How jobs ended, of which the newest stands for all; until somebody has read it."""
    workspace, job = resources.workspace(), jobs[0]
    with st.container(border=True):
        times = f" ({len(jobs)} times)" if len(jobs) > 1 else ""
        icon = ":material/check:" if _n_added(job) else ":material/info:"
        st.markdown(f"{icon} **{frame.plain(end.headline + times)}**")
        for line in end.lines:
            st.text(line)
        if end.failures:
            with st.expander(f"{counted(len(end.failures), 'file')} could not be used"):
                _show_failures(end.failures)
        with st.container(horizontal=True):
            if _n_added(job) and job.arguments["library"] != frame.library():
                st.button(
                    "Open it", key=f"open-{job.job_id}", type="primary",
                    on_click=_open, args=(job.arguments["library"], [each.job_id for each in jobs]),
                )  # fmt: skip
            if job.state == "cancelled" and _is_left(job) and st.button("Resume", key=f"resume-{job.job_id}"):
                workspace.jobs.resume(job.job_id)
                st.rerun()
            may_help = job.kind in WORTH_TRYING_AGAIN and DEFECT not in job.message and _is_left(job)
            if job.state == "failed" and may_help and st.button("Try again", key=f"again-{job.job_id}"):
                workspace.jobs.resume(job.job_id)
                st.rerun()
            if job.kind == "add" and ONLY_MIDI in job.message and not job.arguments.get("renders"):
                _offer_to_render(job)
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


def _offer_to_render(job: Job) -> None:
    """Register the same once more, and play what was passed over."""
    if st.button("Play what has only MIDI", key=f"render-{job.job_id}", help="With our own synthesiser."):
        with frame.explain_errors():
            path, library, then, collection = (
                job.arguments[key] for key in ("path", "library", "then_extract", "collection")
            )
            resources.workspace().request_add(Path(path), library, then, collection, renders=True)
            resources.workspace().jobs.dismiss(job.job_id)
            st.rerun()


def _is_left(job: Job) -> bool:
    """Whether anything of an ended job is still to be done."""
    workspace, library = resources.workspace(), job.arguments.get("library")
    if job.kind == "extract":
        return workspace.n_embedded(library, resources.info(job.arguments["encoder"])) < workspace.catalogue.n_tracks(
            library
        )
    if job.kind == "targets":
        return job.n_total == 0 or job.n_done < job.n_total  # its row knows; asking the files takes a page too long
    return True


def _how_far(job: Job) -> str:
    """What a cancelled job leaves behind."""
    workspace = resources.workspace()
    if job.kind == "extract":
        library, info = job.arguments["library"], resources.info(job.arguments["encoder"])
        n_tracks = counted(workspace.catalogue.n_tracks(library), "track")
        rest = "" if _is_left(job) else " Nothing is left to do."
        return f"{workspace.n_embedded(library, info)} of {n_tracks} kept in {_short(library)}.{rest}"
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
    left_s = resources.workspace().seconds_left(job)
    return now if left_s is None else f"{now} · about {frame.seconds(left_s)} left"
