"""A sitting on 5_Judge: its open question, the way back, and its end."""

from __future__ import annotations

import contextlib
import re

import streamlit as st

from mess_core.catalogue.sittings import MOST_QUESTIONS, Asked, Sitting
from mess_core.errors import DataMissingError, UnknownTrackError
from mess_core.learning import judging
from mess_core.learning.judging import SittingState
from mess_core.words import counted
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, jobs, resources, state
from pages.shared.judge.told import show_told
from pages.shared.judge.trial import trial

AGAIN = "question that is answered again"
MORE = 20  # questions that a finished sitting may go on with


def current_sitting(scope: Scope) -> Sitting | None:
    """The sitting that the link names; None where it names none, or one that cannot be gone on with here."""
    asked = str(state.read("sitting"))
    if not asked:
        return None
    known = resources.workspace().sittings.find(int(asked)) if re.fullmatch(r"\d{1,9}", asked) else None
    if known is not None and known.library == scope.library:
        return known
    state.keep("sitting", "")
    if known is None:
        frame.notice("This sitting is not here (any more)", "It was deleted, or belongs to another data folder.")
    return None


def show_sitting(scope: Scope, sitting: Sitting) -> bool:
    """The open question of a sitting, or what came of it; False where it cannot go on."""
    try:
        ways = resources.ways(scope, is_growing=jobs.is_filling(scope.workspace, scope.library))
        now = judging.go_on(scope, ways, sitting)
    except (DataMissingError, UnknownTrackError) as error:
        resources.forget_ways()
        state.keep("sitting", "")
        frame.notice("This sitting cannot go on", error.message, error.hint)
        return False
    if now.open is None:
        _show_finished(scope, now)
    else:
        _show_question(scope, now, now.open)
    return True


def _show_question(scope: Scope, now: SittingState, asked: Asked) -> None:
    before = next((each for each in now.answered if each.number == st.session_state.get(AGAIN)), None)
    shown, n_done = before or asked, len(now.answered)
    st.subheader(now.sitting.question, anchor=False)
    left = frame.about(now.seconds_left)
    place = now.answered.index(before) + 1 if before else n_done + 1
    who = frame.plain(now.sitting.listener)
    st.progress(
        n_done / now.sitting.n_wanted,
        text=f"Question {place} of {now.sitting.n_wanted} · {left} left · answered by {who}",
    )
    if before is not None:
        st.caption("You have answered this one; another answer replaces it.")
    trial(shown, key="trial", again=before is not None, on_answered=_on_answered, on_back=lambda: _on_back(now))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "The question before", key="back", icon=":material/undo:", on_click=_on_back, args=(now,),
            disabled=not now.answered or (before is not None and before == now.answered[0]),
        )  # fmt: skip
        if before is not None:
            st.button("Go on", key="forward", icon=":material/redo:", on_click=_on_answered)
        st.button("Pause", key="pause", icon=":material/pause:", on_click=_leave, help="Everything is kept.")
        st.button("End here", key="end", icon=":material/stop:", on_click=_end, args=(now.sitting,))
    if st.toggle("How it goes", key="how it goes", help="What your answers say so far, and when to stop."):
        with st.container(border=True):  # worked out when somebody wants it: the next question comes sooner
            show_told(scope, list(now.answered))


def _on_answered() -> None:
    st.session_state.pop(AGAIN, None)


def _on_back(now: SittingState) -> None:
    """To the question before the one that is shown."""
    numbers = [each.number for each in now.answered]
    shown = st.session_state.get(AGAIN)
    place = numbers.index(shown) if shown in numbers else len(numbers)
    if place:
        st.session_state[AGAIN] = numbers[place - 1]


def _leave() -> None:
    st.session_state.pop(AGAIN, None)
    state.keep("sitting", "")


def _end(sitting: Sitting) -> None:
    st.session_state.pop(AGAIN, None)
    resources.workspace().sittings.end(sitting.sitting_id)


def _show_finished(scope: Scope, now: SittingState) -> None:
    st.subheader("Thank you" if now.answered else "Ended before the first answer", anchor=False)
    st.text(f"{counted(len(now.answered), 'answer')} to “{now.sitting.question}” by {now.sitting.listener}.")
    show_told(scope, _all_of(scope, now.sitting))
    with st.container(horizontal=True, gap="small"):
        if len(now.answered) + MORE <= MOST_QUESTIONS:
            st.button(f"{MORE} more", key="more", icon=":material/add:", on_click=_ask_more, args=(now.sitting,))
        if now.answered:
            frame.link("pages/6_Learn.py", "Learn from answers", ":material/school:", source="judgements", sitting="")
        st.button("To all answers", key="leave", icon=":material/list:", on_click=_leave)


def _ask_more(sitting: Sitting) -> None:
    """That many beyond what was answered: another tab may have asked for them, or deleted the sitting."""
    sittings = resources.workspace().sittings
    current = sittings.find(sitting.sitting_id)
    if current is not None:
        n_answered = sum(each.answer is not None for each in sittings.questions(sitting.sitting_id))
        with contextlib.suppress(UnknownTrackError):  # which is said when the page looks for it
            sittings.extend(sitting.sitting_id, n_answered + MORE - current.n_wanted)


def _all_of(scope: Scope, sitting: Sitting) -> list[Asked]:
    """What this listener has answered to this question, in all sittings."""
    judged = judging.judged_in(resources.workspace(), scope.library)
    return [
        one
        for each in judged
        if (each.listener, each.question) == (sitting.listener, sitting.question)
        for one in each.asked
    ]
