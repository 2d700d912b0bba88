"""What answers on 5_Judge say: how far they can be relied on, what tells them, when to stop."""

from __future__ import annotations

import streamlit as st

from mess_core.catalogue.sittings import Asked
from mess_core.learning.agreement import LEARNED, LEAST_RIGHT, Listening, Progress, progress_of
from mess_core.numbers import number, percent
from mess_core.words import counted
from mess_core.workspace.scope import Scope
from pages.shared.app import jobs, resources
from pages.shared.app.table import show_table

FEWEST_TO_TELL = 10  # answers, before it is told how they compare with anything


def show_told(scope: Scope, answered: list[Asked]) -> None:
    """How far these answers can be relied on, and what tells them; sentences first."""
    if len(answered) < FEWEST_TO_TELL:
        so_far = {0: "there is none", 1: "there is 1"}.get(len(answered), f"there are {len(answered)}")
        st.text(f"After {FEWEST_TO_TELL} answers it is told here what they say; so far {so_far}.")
        return
    ways = resources.ways(scope, is_growing=jobs.is_filling(scope.workspace, scope.library))
    found = progress_of(ways, answered)
    for sentence in _sentences(found):
        st.text(sentence)
    show_table(
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
        # The best of several is above a half by chance, too: it is only named where its interval leaves a half out.
        is_told = share.interval is not None and share.interval[0] > 0.5
        figure = f"{share.right} of {counted(share.n, 'answer')}, where a guess has half"
        said.append(
            f"These answers are told best by {_named(model)}: {figure}."
            if is_told
            else f"Nothing is shown yet to tell these answers better than a guess: {_named(model)} has {figure}."
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
        parts.append(f"{again.right} of {counted(again.n, 'repeated question')} answered alike")
    if known.n:
        parts.append(f"{known.right} of {counted(known.n, 'question')} with a known answer told")
    if listening.n_neither:
        parts.append(
            f"{listening.n_neither:,} times “cannot tell”" if listening.n_neither > 1 else "once “cannot tell”"
        )
    said = "; ".join(parts) or "nothing was repeated yet"
    ceiling = listening.ceiling
    limit = f" By that, nothing can tell more than about {number(ceiling)} of these answers." if ceiling else ""
    if listening.is_excluded:
        limit = f" Fewer than {percent(100 * LEAST_RIGHT)} of the known ones: these answers are not counted."
    return f"{said[:1].upper()}{said[1:]}.{limit}"
