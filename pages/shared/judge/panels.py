"""What stands on 5_Judge beside a sitting: how one begins, everything that was answered, tables in and out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from mess_core.catalogue.opinions import ME
from mess_core.catalogue.sittings import FEWEST_QUESTIONS, MOST_QUESTIONS, Sitting
from mess_core.encoders.registry import encoder_ids
from mess_core.errors import InputError
from mess_core.handover.judgements import TakenJudgements, all_judgements, export_judgements, import_judgements
from mess_core.learning import judging
from mess_core.learning.agreement import LEAST_RIGHT, Listening
from mess_core.learning.judging import QUESTIONS, Judged
from mess_core.learning.questions import FEWEST_RECORDINGS
from mess_core.numbers import percent
from mess_core.recommend.simulated import is_simulated
from mess_core.words import counted
from mess_core.workspace.scope import Scope, scope_to_listen
from pages.shared.app import frame, resources, state
from pages.shared.judge.sitting import AGAIN
from pages.shared.judge.told import show_told

MOST_REFUSED = 5  # rows of a table that are named with what is wrong with them


def choose_scope() -> Scope:
    """The chosen library, as it is listened to by default; else by the encoder that has heard most of it."""
    workspace = resources.workspace()
    usual = scope_to_listen(workspace, frame.library())
    if usual.n_embedded:
        return usual
    others = [frame.scope(encoder_id) for encoder_id in encoder_ids(workspace.paths)]
    return max(others, key=lambda each: each.n_embedded, default=usual)


def begin(scope: Scope) -> None:
    """Who listens, what is asked, how often."""
    if scope.n_embedded < FEWEST_RECORDINGS:
        frame.notice(
            "Nothing to judge yet",
            f"{counted(scope.n_embedded, 'recording')} of this library can be compared, and {FEWEST_RECORDINGS} are "
            "needed.",
            "Add music on the Library page, or wait until it is embedded.",
        )
        return
    if is_simulated(str(state.read("listener"))):  # looked at on For You; nobody answers in their name
        state.keep("listener", ME)
        st.session_state.pop("listener", None)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            listener = state.sticky(
                st.text_input, "Who listens", key="listener", max_chars=60, width=200,
                help="A name by which answers are told apart; there is no password.",
            )  # fmt: skip
            asks = state.sticky(
                st.selectbox, "What is asked", options=list(QUESTIONS), key="asks", format_func=QUESTIONS.get, width=340
            )
            n_wanted = state.sticky(
                st.number_input, f"Questions, {FEWEST_QUESTIONS} to {MOST_QUESTIONS}", FEWEST_QUESTIONS, MOST_QUESTIONS,
                key="questions", step=10, width=190,
            )  # fmt: skip
            is_open = judging.open_sitting(scope, listener, QUESTIONS[asks])
            st.button(
                "Go on" if is_open else "Begin", type="primary", key="begin", on_click=_begin,
                args=(scope, listener, asks, n_wanted),
            )  # fmt: skip
        if is_open:
            st.caption(
                f"This goes on with the {is_open.n_wanted} questions that were begun; to ask for another number, end "
                "those first."
            )
        else:
            minutes = frame.about(n_wanted * judging.SECONDS_PER_QUESTION)
            st.caption(f"{minutes[:1].upper()}{minutes[1:]}; you can stop and go on whenever you like.")
        if problem := st.session_state.pop("problem of beginning", None):
            frame.notice("That did not work", *problem)


def _begin(scope: Scope, listener: str, asks: str, n_wanted: int) -> None:
    try:
        if is_simulated(listener):
            raise InputError(f"{listener} is one of the simulated listeners.", "Judge under a name of your own.")
        sitting = judging.begin_sitting(scope, listener, QUESTIONS[asks], int(n_wanted))
    except InputError as error:
        st.session_state["problem of beginning"] = (error.message, error.hint)
        return
    _go_on(sitting)


def _go_on(sitting: Sitting) -> None:
    st.session_state.pop(AGAIN, None)
    state.keep("sitting", str(sitting.sitting_id))


def show_judged(scope: Scope) -> None:
    """Everything that was answered in this library, by question and listener."""
    judged = judging.judged_in(resources.workspace(), scope.library)
    if not judged:
        return
    st.subheader("Answers so far", anchor=False)
    for question in dict.fromkeys(each.question for each in judged):
        st.markdown(f"**{frame.plain(question)}**")
        of_question = [each for each in judged if each.question == question]
        for each in of_question:
            _show_listener(scope, each)
        if any(each.asked for each in of_question):
            st.caption(frame.plain(judging.agreement_on(resources.workspace(), judged, question).words))


def _show_listener(scope: Scope, judged: Judged) -> None:
    key = f"{judged.listener} {judged.question}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        # While somebody answers, what the answers say is nobody else's.
        how = ", and more to come" if judged.open else _in_short(judged.listening)
        st.text(f"{judged.listener}: {counted(len(judged.asked), 'answer')}{how}")
        if judged.open is not None:
            st.button("Go on", key=f"go on {key}", icon=":material/play_arrow:", on_click=_go_on, args=(judged.open,))
        with st.popover("Delete", key=f"delete {key}"):
            st.text(f"All answers by {judged.listener}, to every question, in every library. This cannot be undone.")
            st.button("Delete them", key=f"really {key}", on_click=_forget, args=(judged.listener,))
    if judged.asked and judged.open is None and st.toggle("What these answers say", key=f"say {key}"):
        with st.container(border=True):  # worked out when somebody wants it: half a second after 300 answers
            show_told(scope, list(judged.asked))


def _in_short(listening: Listening) -> str:
    again, known = listening.consistency, listening.catches
    said = f"; repeated questions answered alike: {again.right} of {again.n}" if again.n else ""
    said += f"; known answers told: {known.right} of {known.n}" if known.n else ""
    return f"{said}; not counted" if listening.is_excluded else said


def _forget(listener: str) -> None:
    resources.workspace().sittings.forget(listener)
    state.keep("sitting", "")


def exchange() -> None:
    """Answers to and from a table."""
    workspace = resources.workspace()
    n = len(all_judgements(workspace))
    with st.expander(f"To and from a table ({counted(n, 'answer')} that chose one)", icon=":material/import_export:"):
        if n:
            with st.container(horizontal=True, gap="small"):
                for ending in ("csv", "parquet"):
                    st.download_button(
                        ending.upper() if ending == "csv" else "Parquet", lambda ending=ending: _table(ending),
                        f"judgements.{ending}", on_click="ignore", key=f"export {ending}",
                    )  # fmt: skip
        given = st.file_uploader(
            "Bring answers: columns anchor, positive, negative and, if known, question, listener, time, side; or "
            "MagnaTagATune's comparisons.",
            type=["csv", "tsv", "parquet"], key="import judgements",
        )  # fmt: skip
        if given is not None and st.button("Take them in", key="take in"):
            with frame.explain_errors(), tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / frame.file_name(given.name)  # so that a sentence names the file as its owner does
                path.write_bytes(given.getvalue())
                _show_taken(import_judgements(workspace, path))


def _show_taken(taken: TakenJudgements) -> None:
    st.text(taken.summary)
    if taken.refused:
        st.text(f"{counted(len(taken.refused), 'row')} left out:")
        for name, why in taken.refused[:MOST_REFUSED]:
            st.text(f"{name}: {why}")
        if len(taken.refused) > MOST_REFUSED:
            st.text("…")


def _table(ending: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"judgements.{ending}"
        export_judgements(resources.workspace(), path)
        return path.read_bytes()


def explain() -> None:
    """What is asked, and what becomes of it."""
    with st.expander("How questions are chosen, and what becomes of the answers", icon=":material/help:"):
        st.markdown(
            "Of twenty questions eight are chosen by chance, and on these alone everything is measured. Seven are "
            "those whose answers are expected to tell most, because the ways to compare disagree there. Two are "
            "earlier ones, turned around: do you agree with yourself? Three have a known answer, because A or B *is* "
            f"X: who tells fewer than {percent(100 * LEAST_RIGHT)} of them (of five or more) is not counted.\n\n"
            "The clips are about ten seconds long, equally loud and without names. Where the times of a score are "
            "known they are the same bars. An answer is on the disk before the next question comes, and stays in this "
            "browser until then. While somebody answers, this page shows others only how many answers there are; "
            "afterwards whoever uses this server sees what they say. A table holds all of them.\n\n"
            "A similarity is learned from answers on the page Learn, and by `python -m mess_core learn --from "
            "judgements`."
        )
