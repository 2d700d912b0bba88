"""What stands on 5_Judge: the beginning of a sitting, its question, and what was answered so far."""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path

import streamlit as st

from mess_core.catalogue.sittings import FEWEST_QUESTIONS, MOST_QUESTIONS, Asked, Sitting
from mess_core.encoders.registry import encoder_ids
from mess_core.errors import DataMissingError, InputError, UnknownTrackError
from mess_core.handover.judgements import all_judgements, export_judgements, import_judgements
from mess_core.learning import judging
from mess_core.learning.agreement import LEARNED, LEAST_RIGHT, Listening, Progress, progress_of
from mess_core.learning.judging import QUESTIONS, Judged, SittingState
from mess_core.learning.questions import FEWEST_RECORDINGS
from mess_core.words import counted, number
from mess_core.workspace.scope import Scope, scope_to_listen
from pages.shared.app import frame, resources, state
from pages.shared.judge.trial import trial

AGAIN = "question that is answered again"
MORE = 20  # questions that a finished sitting may go on with
FEWEST_TO_TELL = 10  # answers, before it is told how they compare with anything
MOST_BYTES = 20  # MB of a table of judgements, as the server allows


def choose_scope() -> Scope:
    """The chosen library, as it is listened to by default; else by the encoder that has heard most of it."""
    workspace = resources.workspace()
    usual = scope_to_listen(workspace, frame.library())
    if usual.n_embedded:
        return usual
    others = [frame.scope(encoder_id) for encoder_id in encoder_ids(workspace.paths)]
    return max(others, key=lambda each: each.n_embedded, default=usual)


# --- a sitting ----------------------------------------------------------------------------------------------


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
        now = judging.go_on(scope, resources.ways(scope), sitting)
    except (DataMissingError, UnknownTrackError) as error:
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
    with st.expander("How it goes", icon=":material/insights:"):
        _show_progress(scope, list(now.answered))


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
    st.subheader("Thank you", anchor=False)
    st.text(f"{counted(len(now.answered), 'answer')} to “{now.sitting.question}” by {now.sitting.listener}.")
    _show_progress(scope, _all_of(scope, now.sitting))
    with st.container(horizontal=True, gap="small"):
        if len(now.answered) + MORE <= MOST_QUESTIONS:
            st.button(f"{MORE} more", key="more", icon=":material/add:", on_click=_ask_more, args=(now.sitting,))
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


# --- what answers say ---------------------------------------------------------------------------------------


def _show_progress(scope: Scope, answered: list[Asked]) -> None:
    """How far these answers can be relied on, and what tells them; sentences first."""
    if len(answered) < FEWEST_TO_TELL:
        st.text(f"After {FEWEST_TO_TELL} answers it is told here what they say. There are {len(answered)}.")
        return
    found = progress_of(resources.ways(scope), answered)
    for sentence in _sentences(found):
        st.text(sentence)
    st.dataframe(
        [
            {
                "model": model,
                "tells": share.value,
                "from": share.interval and share.interval[0],
                "to": share.interval and share.interval[1],
                "right": share.right,
                "of": share.n,
            }
            for model, share in found.accuracies.items()
        ],
        hide_index=True,
        width="stretch",
        key=f"models {len(answered)}",
        column_config={
            "model": st.column_config.TextColumn("what is compared", width=280),
            "tells": st.column_config.NumberColumn(
                "share told", format="%.2f", width=90,
                help="Share of your answers it would have given, of the questions that were chosen by chance; .5 is a "
                "guess. What learns is asked before it hears each answer.",
            ),
            "from": st.column_config.NumberColumn(format="%.2f", width=70, help="95 % interval (Wilson)"),
            "to": st.column_config.NumberColumn(format="%.2f", width=70, help="95 % interval (Wilson)"),
            "right": st.column_config.NumberColumn(width=70),
            "of": st.column_config.NumberColumn(width=70),
        },
        alt="How many of the answers each way to compare would have given",
    )  # fmt: skip


def _sentences(found: Progress) -> list[str]:
    said = [_of_listening(found.listening)]
    best = next(iter(found.accuracies.items()), None)
    if best is not None and best[1].n:
        model, share = best
        said.append(
            f"Your answers are told best by {_named(model)}: {share.right} of {share.n}, where a guess has half."
        )
    if found.advice:
        said.append(found.advice)
    heaviest = next(iter(found.weights.items()), None)
    if heaviest is not None and found.listening.n_answers >= 2 * FEWEST_TO_TELL:
        said.append(f"What counts most for you, as far as it can be told: {heaviest[0]}.")
    return said


def _named(model: str) -> str:
    return "what was learned from them" if model == LEARNED else model


def _of_listening(listening: Listening) -> str:
    again, known = listening.consistency, listening.catches
    parts = []
    if again.n:
        parts.append(f"you agreed with yourself in {again.right} of {counted(again.n, 'repeated question')}")
    if known.n:
        parts.append(f"{known.right} of {counted(known.n, 'question')} with a known answer were told")
    if listening.n_neither:
        parts.append(f"{counted(listening.n_neither, 'question')} could not be told")
    said = "; ".join(parts) or "nothing was repeated yet"
    ceiling = listening.ceiling
    limit = f" By that, nothing can tell more than about {number(ceiling)} of your answers." if ceiling else ""
    if listening.is_excluded:
        limit = f" Fewer than {LEAST_RIGHT:.0%} of the known ones: these answers are not counted."
    return f"{said[:1].upper()}{said[1:]}.{limit}"


# --- beginning, and everything that was judged --------------------------------------------------------------


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
            st.button("Begin", type="primary", key="begin", on_click=_begin, args=(scope, listener, asks, n_wanted))
        minutes = frame.about(n_wanted * judging.SECONDS_PER_QUESTION)
        st.caption(f"{minutes[:1].upper()}{minutes[1:]}; you can stop and go on whenever you like.")
        if problem := st.session_state.pop("problem of beginning", None):
            frame.notice("That did not work", *problem)


def _begin(scope: Scope, listener: str, asks: str, n_wanted: int) -> None:
    try:
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
            st.caption(frame.plain(judging.agreement_on(judged, question).words))


def _show_listener(scope: Scope, judged: Judged) -> None:
    n, listening = len(judged.asked), judged.listening
    key = f"{judged.listener} {judged.question}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        own = f"{listening.consistency.right} of {listening.consistency.n}" if listening.consistency.n else "none yet"
        known = f"{listening.catches.right} of {listening.catches.n}" if listening.catches.n else "none yet"
        said = f"{judged.listener}: {counted(n, 'answer')}; repeated alike {own}; known answers told {known}"
        st.text(f"{said}; not counted" if listening.is_excluded else said)
        if judged.open is not None:
            st.button("Go on", key=f"go on {key}", icon=":material/play_arrow:", on_click=_go_on, args=(judged.open,))
        with st.popover("Delete", key=f"delete {key}"):
            st.text(f"All answers of {judged.listener}, to every question, in every library. This cannot be undone.")
            st.button("Delete them", key=f"really {key}", on_click=_forget, args=(judged.listener,))
    if judged.asked and st.toggle("What these answers say", key=f"say {key}"):
        with st.container(border=True):  # worked out when somebody wants it: half a second after 300 answers
            _show_progress(scope, list(judged.asked))


def _forget(listener: str) -> None:
    resources.workspace().sittings.forget(listener)
    state.keep("sitting", "")


def exchange() -> None:
    """Answers to and from a table."""
    workspace = resources.workspace()
    n = len(all_judgements(workspace))
    with st.expander(f"To and from a table ({counted(n, 'comparison')})", icon=":material/import_export:"):
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
                path = Path(folder) / f"judgements{Path(given.name).suffix.lower()}"
                path.write_bytes(given.getvalue())
                taken = import_judgements(workspace, path)
                st.text(taken.summary)


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
            f"X: who tells fewer than {LEAST_RIGHT:.0%} of them (of five or more) is not counted.\n\n"
            "The clips are about ten seconds long, equally loud and without names. Where the times of a score are "
            "known they are the same bars. An answer is on the disk before the next question comes, and stays in this "
            "browser until then. Other listeners never see yours.\n\n"
            "A similarity is learned from answers on the page Learn, and by `mess learn --from judgements`."
        )
