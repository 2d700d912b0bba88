"""What else a question on 4_Listen names: recordings that answers should be like, too, and should not be like."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mess_core.catalogue.catalogue import Track
from mess_core.search.question import Question
from pages.shared.app import frame, resources, state

TITLES = {"like": "Also like", "unlike": "Not like"}
SIGNS = {"like": "+", "unlike": "−"}  # before the number of each, on its chip and in every row
LONGEST = 40  # letters of a chip


def choose_named(
    query: Track, question: Question, passage: tuple[float, float] | None, said: DeltaGenerator
) -> Question:
    """The question with what it names beside the query: chips that a click takes away, and a way to add to them.

    What a link names that is not in this library is left out, and that is said. A passage is asked about by itself, and
    a path is one from the query alone: `said` is where that is said, beside the row of chips.
    """
    if state.read("to"):
        if any(state.named(key) for key in TITLES):
            said.caption("A path is one from the query alone: what was named with + and − waits until it is gone.")
        return question
    if passage is not None:
        if any(state.named(key) for key in TITLES):
            said.caption("A passage is looked for by itself: what answers should be like, too, waits until it is gone.")
        return question
    labels = resources.workspace().catalogue.labels(frame.library())
    found = {key: [each for each in state.named(key) if each in labels and each != query.track_id] for key in TITLES}
    found["unlike"] = [each for each in found["unlike"] if each not in found["like"]]
    if any(len(found[key]) < len(state.named(key)) for key in TITLES):
        said.caption("A recording in this link is the query itself, or not in this library (any more). It is left out.")
        for key in TITLES:
            state.keep(key, found[key])
    for key, title in TITLES.items():
        if found[key]:
            st.caption(title, width="content")
        for number, track_id in enumerate(found[key], start=1):
            chip(f"{SIGNS[key]}{number} {labels[track_id]}", f"{key} {track_id}", state.name_no_more, key, track_id)
    taken = {query.track_id, *found["like"], *found["unlike"]}
    offer("Like others, too", ":material/add:", TITLES, taken, labels)
    return replace(question, like=tuple(found["like"]), unlike=tuple(found["unlike"]))


def chip(label: str, key: str, take_away: Callable[..., None], *given: str) -> None:
    """What was named, and goes with a click; names are untrusted."""
    short = label if len(label) <= LONGEST else f"{label[: LONGEST - 1].rstrip()}…"
    st.button(
        frame.plain(short), key=key, icon=":material/close:", help="Take it away", on_click=take_away, args=given
    )  # fmt: skip


def offer(label: str, icon: str, titles: Mapping[str, str], taken: Collection[str], labels: Mapping[str, str]) -> None:
    """Recordings to be named, behind a button: a large library has megabytes of names, sent only when it is open."""
    place = st.popover(label, icon=icon, key=f"offer {' '.join(titles)}", on_change="rerun")
    if place.open:
        with place:
            for key, title in titles.items():
                choose_another(key, title, taken, labels)


def choose_another(key: str, title: str, taken: Collection[str], labels: Mapping[str, str]) -> None:
    """A recording of the library to be named; `key` is where the choice is kept, one or a list of them."""
    st.selectbox(
        title,
        [track_id for track_id in labels if track_id not in taken],
        index=None,
        key=f"add {key}",
        placeholder="type a few letters: title, performer, instrument, composer",
        format_func=lambda track_id: labels.get(track_id, track_id),
        on_change=_use_added,
        args=(key,),
    )


def _use_added(key: str) -> None:
    added = st.session_state[f"add {key}"]
    st.session_state[f"add {key}"] = None
    if not resources.workspace().catalogue.has(added or ""):
        return
    if key in state.NAMED:
        state.name(key, added)
    else:
        state.keep(key, added)
