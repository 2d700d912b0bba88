"""What of the library is marked on the map: what Listen has found and filters away, and what a listener looks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from mess_core.catalogue.catalogue import FILTERS
from mess_core.maps.drawing import MapView
from mess_core.search.filtered import filtered, is_filtered
from mess_core.search.question import Question
from mess_core.words import counted
from pages.shared.app import frame, resources, state
from pages.shared.widgets.between import limits


@dataclass(frozen=True)
class Marked:
    """Tracks of a map.

    found : on Listen, last
    let_in : by the filters of Listen; None where there are none
    chosen : in the table of what was drawn around
    """

    found: tuple[str, ...] = ()
    let_in: frozenset[str] | None = None
    chosen: str | None = None


def marked(view: MapView, chosen: str | None) -> Marked:
    """By the choices that all pages share."""
    workspace, library, shown = resources.workspace(), frame.library(), set(view.track_ids)
    names = {f"{name}s": tuple(state.read(f"{name}s")) for name in FILTERS}
    said = {f"{name}: {value}": (name, value) for name, value in workspace.catalogue.detail_values(library)}
    where = tuple(said[each] for each in state.read("where") if each in said)
    heard_as = tuple(state.read("heard_as"))
    question = Question(where=where, heard_as=heard_as, between=limits(), **names)
    let_in = None
    if is_filtered(question):
        with frame.explain_errors():
            let_in = filtered(workspace, library, question, view.track_ids)
    return Marked(tuple(each for each in state.found() if each in shown), let_in, chosen)


def say(marks: Marked, track_ids: Sequence[str]) -> None:
    """What is ringed and what is faint, and where that can be changed."""
    parts = []
    if marks.found:
        parts.append(f"Ringed: {counted(len(marks.found), 'recording')} {state.found_where()}.")
    if marks.let_in is not None:
        let_in = f"{len(marks.let_in)} of {counted(len(track_ids), 'recording')}"
        parts.append(f"Faint: what the filters of Listen leave out; they let in {let_in}.")
    if parts:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(" ".join(parts), width="content")
            if marks.let_in is not None or state.found_where().endswith("Listen"):
                frame.link("pages/4_Listen.py", "Change that on Listen", ":material/headphones:")
