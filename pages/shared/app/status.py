"""One line for all work, at the bottom of the sidebar of every page: what is in hand, what is next, how long it takes.

It is the same in every tab and survives reloads, because jobs are rows. What is done leads to where it can be seen,
until somebody has looked; each job, how others ended and what can be done about it are one click further, in "Details".
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.errors import MessError, StorageError
from mess_core.numbers import percent
from mess_core.probing.discovery import in_words
from mess_core.storage.jobs import ONLY_MIDI, Failure, Job, grouped
from mess_core.words import counted
from mess_core.work.add import AddRequest
from mess_core.work.kinds import KINDS
from mess_core.work.outlook import Outlook, outlook
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import Request, library_words, short, submit
from pages.shared.app import frame, jobs, resources, state
from pages.shared.app.cures import cure
from pages.shared.app.table import show_table

NO_WORKER_AFTER_S = 45.0  # on a busy machine a worker takes its time to start
ADDED_TOLD_S = 60.0  # that all of a folder was added; who looks at its library then sees it there
MOST_WAITING = 2  # shown one by one; the others are folded
MOST_ENDED = 3
DEFECT = "A defect in MESS"
WAITED_FOR = ("encode", "measure")  # the page that waits for these says how they ended
AWAITED_POLL_S = 0.25  # somebody looks at an empty list until they end, which takes a second or two
HERE = "title of the page that is drawn"
RESULTS = {  # kind: the page where what it made is seen, and what is said of it
    "extract": ("Listen", "pages/4_Listen.py", "embedded, listen"),
    "probe": ("Layers", "pages/2_Layers.py", "layers done, look"),
    "evaluate": ("Layers", "pages/2_Layers.py", "layers done, look"),
    "map": ("Map", "pages/3_Map.py", "map done, look"),
}


def look(title: str) -> None:
    """Before a page draws anything: what was done and is seen here has been looked at from now on."""
    st.session_state[HERE] = title
    with contextlib.suppress(StorageError):  # a full disk is said where it matters
        for job in _news():
            if RESULTS[job.kind][0] == title and job.arguments.get("library") == frame.library():
                resources.workspace().jobs.dismiss(job.job_id)
        for job in resources.workspace().jobs.outcomes([AddRequest.kind]):
            if _has_been_seen(job):
                resources.workspace().jobs.dismiss(job.job_id)


def _has_been_seen(job: Job) -> bool:
    """Whether a folder was added without a fault, a while ago, to the library that is looked at."""
    if not AddRequest.n_added(job) or job.arguments.get("library") != frame.library() or job.finished_at is None:
        return False
    is_all = ONLY_MIDI not in job.message and not resources.workspace().jobs.failures(job.job_id)
    return is_all and time.time() - job.finished_at > ADDED_TOLD_S


def show() -> None:
    """All work, once a page has drawn all else. If any has begun or ended meanwhile, the page runs again."""
    active = resources.workspace().jobs.active()
    if not jobs.seen().keys() <= {job.job_id for job in active}:
        st.rerun()
    if active:
        is_awaited = any(job.kind in WAITED_FOR for job in active)
        st.fragment(_poll, run_every=AWAITED_POLL_S if is_awaited else jobs.POLL_S)(jobs.seen())
    else:
        _draw(active)


def _poll(seen: dict[int, str]) -> None:
    with frame.explain_errors():
        active = resources.workspace().jobs.active()
        if _as_drawn(active, seen) != seen:
            st.rerun()  # one began or ended: the whole page may say something new
        _draw(active)


def _as_drawn(active: Sequence[Job], seen: dict[int, str]) -> dict[int, str]:
    """By id, the states of jobs as far as a page shows them: what it waits for has its bar from the beginning."""
    return {job.job_id: seen.get(job.job_id, job.state) if job.kind in WAITED_FOR else job.state for job in active}


def _draw(active: Sequence[Job]) -> None:
    ends, news = _ends(), _news()
    if not (active or ends or news):
        return
    with st.container(key="status", gap="xsmall"):
        told = outlook(resources.workspace(), active)
        if told is not None:
            _say(told, active)
        for job in _one_a_page(news):
            _link_to_result(job)
        if ends:
            others = f" · {counted(len(ends) - 1, 'more notice')} in Details" if len(ends) > 1 else ""
            st.caption(f":material/info: {frame.plain(_shortly(ends))}{others}")
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
            st.caption(_time_left(told), width="content")
            with st.popover("Details", type="tertiary", key="status-details"):
                _detail_active(active)
                _detail_ends(ends)
                if news:
                    st.button(
                        "Dismiss what is done", key="dismiss-news", type="tertiary",
                        on_click=_dismiss, args=([job.job_id for job in news],),
                    )  # fmt: skip


# --- the line -------------------------------------------------------------------------------------------------


def _say(told: Outlook, active: Sequence[Job]) -> None:
    """What is in hand and what is next, with a bar."""
    line = frame.plain(told.line[:1].upper() + told.line[1:]).replace(" %", "\N{NO-BREAK SPACE}%")
    if told.share is not None:
        st.progress(told.share, text=line)
    else:
        st.caption(line)
    oldest = min(job.created_at for job in active)
    if told.share is None and time.time() - oldest > NO_WORKER_AFTER_S:
        st.caption("Nobody works on this yet. The worker starts with `streamlit run app.py` (or `make run`).")


def _time_left(told: Outlook | None) -> str:
    """One time: of all that is known to come where that can be told, else of what is in hand."""
    if told is None or told.left_s is None:
        return ""
    return f"{frame.about(told.left_s)} left{'' if told.is_all else ' of this'}"


# --- what was done --------------------------------------------------------------------------------------------


def _news() -> list[Job]:
    """What was done well and can be looked at, and was not."""
    libraries = {library.name for library in resources.workspace().catalogue.libraries()}
    return [job for job in resources.workspace().jobs.news(list(RESULTS)) if _is_worth_telling(job, libraries)]


def _one_a_page(news: Sequence[Job]) -> list[Job]:
    """Of what is seen on one page of one library, the newest."""
    shown: dict[tuple[str, str], Job] = {}
    for job in news:
        shown.setdefault((RESULTS[job.kind][0], str(job.arguments.get("library"))), job)
    return list(shown.values())


def _link_to_result(job: Job) -> None:
    """To the page that shows what a job made, as it made it."""
    request, (title, path, words) = jobs.request_of(job), RESULTS[job.kind]
    library = str(job.arguments.get("library", ALL))
    others = {"library": library}
    if title != "Listen" and hasattr(request, "encoder_id"):
        others["encoder"] = request.encoder_id
    if isinstance(request, ProbeRequest):
        others |= {"group": request.group, "level": request.level, "run": ", ".join(in_words(request.settings))}
    label = f"{frame.plain(library_words(library))}: {words} →"
    if library == frame.library():
        frame.link(path, label, ":material/check:", **others)
    elif title == st.session_state.get(HERE):  # a link to the page one is on would not be taken for a new question
        st.button(label, key=f"look {job.job_id}", icon=":material/check:", type="tertiary", on_click=state.ask,
                  args=(others,))  # fmt: skip
    else:  # of another library than what was asked so far
        st.page_link(path, label=label, icon=":material/check:", query_params=state.link_of(others))


# --- how jobs ended -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _End:
    """What is said of how a job ended: of jobs that have the same to say, one is shown."""

    headline: str
    lines: tuple[str, ...]
    failures: tuple[Failure, ...]


def _ends() -> dict[_End, list[Job]]:
    """How jobs ended, where somebody should know; those of which the same is to be said, together."""
    libraries = {library.name for library in resources.workspace().catalogue.libraries()}
    folded: dict[_End, list[Job]] = {}
    for job in resources.workspace().jobs.outcomes([kind for kind in KINDS if kind not in WAITED_FOR]):
        if _is_worth_telling(job, libraries):
            folded.setdefault(_end(job), []).append(job)
    return folded


def _shortly(ends: dict[_End, list[Job]]) -> str:
    """The newest of them, in a line."""
    return short(next(iter(ends)).headline)


def _detail_ends(ends: dict[_End, list[Job]]) -> None:
    for end, told in list(ends.items())[:MOST_ENDED]:
        _show_end(end, told)
    if len(ends) > 2:
        ids = [job.job_id for told in ends.values() for job in told]
        with st.container(horizontal=True, vertical_alignment="center"):
            if len(ends) > MOST_ENDED:
                st.caption(f"{counted(len(ends) - MOST_ENDED, 'older notice')} not shown.")
            st.button(f"Dismiss all {len(ends)}", key="dismiss-all", type="tertiary", on_click=_dismiss, args=(ids,))


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
        return _End(f"{jobs.name_of(job)} was cancelled", (_what_is_kept(job),), failures)
    if n_added := AddRequest.n_added(job):
        rest = message.partition(" registered.")[2].strip()
        return _End(
            f"{counted(n_added, 'track')} added to {short(job.arguments['library'])}.",
            (rest,) if rest else (),
            failures,
        )
    lines = (message, cure(job.hint)) if job.hint else (message,)
    if job.kind == AddRequest.kind:
        is_silent = job.state == "done" and ONLY_MIDI in message and not failures
        how = "found nothing to play" if is_silent else "failed"
        return _End(f"{jobs.name_of(job)} {how}: nothing was added", lines, failures)
    if job.state == "failed":
        return _End(f"{jobs.name_of(job)} failed", lines, failures)
    but = f", but {counted(len(failures), _items(job))} could not be used" if failures else ""
    return _End(f"{jobs.name_of(job)}: done{but}", lines, failures)


def _items(job: Job) -> str:
    """What one of the things is called that a job works on."""
    request = jobs.request_of(job)
    return "file" if request is None else request.items


def _show_end(end: _End, same: Sequence[Job]) -> None:
    """How jobs ended, of which the newest stands for all; until somebody has read it."""
    workspace, job = resources.workspace(), same[0]
    request = jobs.request_of(job)
    with st.container(border=True):
        times = f" ({len(same)} times)" if len(same) > 1 else ""
        icon = ":material/check:" if AddRequest.n_added(job) else ":material/info:"
        st.markdown(f"{icon} **{frame.plain(end.headline + times)}**")
        for line in end.lines:
            st.text(line)
        if end.failures:
            with st.expander(f"{counted(len(end.failures), _items(job))} could not be used"):
                _show_failures(end.failures)
        with st.container(horizontal=True):
            if AddRequest.n_added(job) and job.arguments["library"] != frame.library():
                is_opened = st.button(
                    "Open it", key=f"open-{job.job_id}", type="primary",
                    on_click=_open, args=(job.arguments["library"], [each.job_id for each in same]),
                )  # fmt: skip
                if is_opened:
                    st.rerun()  # all of the page: this may be its status alone
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
                on_click=_dismiss, args=([each.job_id for each in same],),
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
    request = jobs.request_of(job)
    try:
        return request is not None and request.is_left(resources.workspace(), job)
    except MessError:  # its encoder is gone
        return False


def _what_is_kept(job: Job) -> str:
    """What a cancelled job leaves behind."""
    return (jobs.request_of(job) or Request()).what_is_kept(resources.workspace(), job)


def _show_failures(failures: Sequence[Failure]) -> None:
    """One row for each reason, with how many and the first three names."""
    show_table(
        [
            {"files": len(g.subjects), "which": ", ".join(g.subjects[:3]), "why": g.message, "what to do": cure(g.hint)}
            for g in grouped(failures)
        ],
    )


# --- each job -------------------------------------------------------------------------------------------------


def _detail_active(active: Sequence[Job]) -> None:
    """Every job that is worked on with its bar, and those that wait."""
    running = [job for job in active if job.state == "running"]
    waiting = [job for job in active if job.state != "running"]
    for job in running:
        _bar(job)
    for job in waiting[:MOST_WAITING]:
        _line(job)
    if folded := waiting[MOST_WAITING:]:
        with st.expander(f"{len(folded)} more waiting"):
            for job in folded:
                _line(job)


def _bar(job: Job) -> None:
    """A job that somebody works on."""
    share = jobs.share_of(job)
    st.progress(share, text=f"{frame.plain(jobs.name_of(job))} · {percent(100 * share)}")
    with _with_cancel(job):
        st.text(_detail(job))


def _line(job: Job) -> None:
    """A job that waits."""
    with _with_cancel(job):
        st.text(f"{jobs.name_of(job)} · waits for its turn")


@contextlib.contextmanager
def _with_cancel(job: Job) -> Iterator[None]:
    """What is said of a job, and the button that ends it."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        yield
        st.button(
            "Cancel", key=f"cancel-{job.job_id}", disabled=job.is_cancelling, on_click=_cancel, args=(job.job_id,)
        )


def _cancel(job_id: int) -> None:
    with frame.explain_errors():
        resources.workspace().jobs.cancel(job_id)


def _detail(job: Job) -> str:
    """What is in hand, and how long it may still take."""
    if job.is_cancelling:
        return "ending after the item in hand…"
    now = job.message or ("finishing" if job.n_total and job.n_done >= job.n_total else "starting")
    left_s = (jobs.request_of(job) or Request()).left_s(resources.workspace(), job)
    return now if left_s is None else f"{now} · {frame.about(left_s)} left"
