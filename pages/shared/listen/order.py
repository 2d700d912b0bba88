"""In which order 4_Listen lists recordings: the nearest first, the furthest, or all along an aspect."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mess_core.probing.aspects import ASPECTS
from mess_core.search.geometry import DirectionGeometry, MeasuredGeometry
from mess_core.search.measured import measured_aspects
from mess_core.search.question import Question
from mess_core.targets.registry import target_of
from mess_core.words import listed
from mess_core.workspace.scope import Scope
from pages.shared.app import resources, state
from pages.shared.app.frame import aspect_title

NEAREST, FURTHEST, ALONG = ORDERS = ("nearest", "furthest", "along")
TITLES = {NEAREST: "Nearest first", FURTHEST: "Furthest first", ALONG: "Along an aspect"}
HELP = (
    "*Furthest first* is the same list from its other end: what is most unlike the query. *Along an aspect* lists this "
    "library from one end of an aspect to the other, and says where the query stands."
)


def choose_order(
    scope: Scope, question: Question, passage: tuple[float, float] | None, said: DeltaGenerator
) -> Question:
    """The question with its order; all of it in the URL. Words and passages have their own, which `said` holds."""
    if passage is not None or question.words:
        if (order := state.read("order")) in (FURTHEST, ALONG):
            what = "Words are asked" if question.words else "A passage is looked for"
            said.caption(f"{what} with the nearest first: “{TITLES[order]}” waits until it can be.")
        return question
    by = _possible(scope, question)
    order = state.sticky(
        st.segmented_control, "Order", options=[NEAREST, FURTHEST, *([ALONG] if by else [])], required=True,
        key="order", format_func=TITLES.__getitem__, help=HELP, label_visibility="collapsed",
    )  # fmt: skip
    if order != ALONG:
        return replace(question, reverse=order == FURTHEST)
    aspect = state.sticky(
        st.selectbox, "Aspect", options=list(by), key="along", default=next(iter(by)), format_func=aspect_title,
        width=200, label_visibility="collapsed",
    )  # fmt: skip
    more, less = target_of(by[aspect][1]).words
    is_falling = state.sticky(
        st.segmented_control, "From", options=[False, True], required=True, key="falling", label_visibility="collapsed",
        format_func={False: f"{less} to {more}", True: f"{more} to {less}"}.__getitem__,
    )  # fmt: skip
    dials = ("the dials wait",) if any(map(state.read, ASPECTS)) or state.read("not") else ()
    named = ("what was named with + and − waits",) if question.like or question.unlike else ()
    if waiting := listed([*dials, *named]):
        said.caption(f"In an order along an aspect nothing is compared: {waiting} meanwhile.")
    return replace(question, along=aspect, reverse=is_falling, geometry=by[aspect][0], like=(), unlike=())


def _possible(scope: Scope, question: Question) -> dict[str, tuple[str, str]]:
    """Aspects that have an order here: in which geometry, and by which target.

    By the direction that was discovered, where it has evidence; by what was measured elsewhere, or where that is asked.
    """
    discovery, found = resources.discovery(scope), {}
    measured = measured_aspects(scope.for_aspects)
    for aspect in ASPECTS:
        evidence = discovery.aspects.get(aspect) if discovery else None
        is_told = evidence is not None and evidence.has_evidence
        if evidence is not None and is_told and question.geometry != MeasuredGeometry.name:
            found[aspect] = (DirectionGeometry.name, evidence.searched[0])
        elif measured[aspect].searched:
            found[aspect] = (MeasuredGeometry.name, measured[aspect].searched[0])
    return found
