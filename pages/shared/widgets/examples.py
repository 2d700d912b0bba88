"""Try this: questions that can be asked of the library with one click, on cards in the colour of their dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.encoders.registry import DEFAULT
from mess_core.search.examples import Example, examples_of
from mess_core.words import listed
from mess_core.work.probe import ProbeRequest
from mess_core.work.targets import TargetsRequest
from pages.shared.app import frame, jobs, resources, state
from pages.shared.widgets.accents import accent_of_dimension

POLL_S = 1.0
ICON = ":material/play_arrow:"
MEASURED = "measured"  # how what waits for discovery ends; all else waits for recordings to be embedded
TO_MEASURE = ("pages/2_Layers.py", "Discovery measures it, once somebody asks for it.", "Run discovery on Layers")
TO_EMBED = ("pages/1_Library.py", "Nobody is embedding them.", "Embed them on Library")
CARD = """
.st-key-example-{kind} {{ position: relative; border-inline-start: 0.3rem solid {colour}; gap: 0.5rem; }}
"""
LIVE = """
.st-key-example-{kind}:hover {{ border-color: {colour}; }}
.st-key-example-{kind} :not([class*="st-key-example"]) {{ position: static; }}
/* all of the card is the link */
.st-key-example-{kind} :is(a, button)::after {{ content: ""; position: absolute; inset: 0; }}
.st-key-example-{kind} :is(a, button) {{ padding-inline: 0; background: none; }}
"""


def show_examples(*, on_this_page: bool = False) -> None:
    """The cards, and in one line what can be tried when; those that wait come alive by themselves.

    Parameters
    ----------
    on_this_page : bool
        On Listen itself: a link to the page one is on would not be taken for a new question.
    """
    found = _examples()
    if found:
        st.subheader("Try this", anchor=False)
        st.html(f"<style>{''.join(map(_style, found))}</style>")
        for place, example in zip(st.columns(len(found)), found, strict=True):
            with place, st.container(border=True, height="stretch", key=f"example-{example.kind}"):
                _card(example, on_this_page=on_this_page)
    is_working = bool(resources.workspace().jobs.active())
    waiting = [example for example in found if not example.is_live]
    _say_what_when(waiting, len(found))
    if is_working and (waiting or not found):
        _poll(_liveness(found))


def _examples() -> list[Example]:
    return examples_of(resources.workspace(), frame.library(), lambda: resources.discovery(frame.scope(DEFAULT)))


def _liveness(found: Sequence[Example]) -> list[tuple[str, str]]:
    return [(example.kind, example.waits_for) for example in found]


@st.fragment(run_every=POLL_S)
def _poll(shown: list[tuple[str, str]]) -> None:
    if _liveness(_examples()) != shown:
        st.rerun()


def _style(example: Example) -> str:
    colour = accent_of_dimension(example.dimension).css
    if not example.is_live:
        colour = f"color-mix(in srgb, {colour} 35%, transparent)"
    return (CARD + (LIVE if example.is_live else "")).format(kind=example.kind, colour=colour)


def _card(example: Example, *, on_this_page: bool) -> None:
    """What it asks, about whom, and the way there. Names are untrusted; what it waits for is said below, once."""
    if not example.is_live:
        st.caption(f":material/hourglass_empty: **{example.title}**")
        st.caption(frame.plain(example.says))
        return
    st.markdown(f"**{example.title}**")
    st.caption(frame.plain(example.says))
    label = f":primary[**hear {'the nearest' if example.n_answers is None else 'them'}**]"
    asked = _choices(example)
    if on_this_page:
        st.button(
            label, key=f"try {example.kind}", icon=ICON, type="tertiary", on_click=state.ask, args=(asked,),
        )  # fmt: skip
    else:
        st.page_link("pages/4_Listen.py", label=label, icon=ICON, query_params=state.link_of(asked))


def _choices(example: Example) -> dict[str, Any]:
    """Every choice that asks it, by the keys of the URL."""
    question = example.question
    return {
        "library": frame.library(),
        "query": example.track_id or "",
        "passage": "" if example.passage is None else f"{example.passage[0]:g}:{example.passage[1]:g}",
        "hearing": example.hearing,
        "geometry": question.geometry,
        "versions": question.versions,
        "together": not example.is_of_one_work,
        "performers": list(question.performers),
        "not": list(question.avoid),
        **question.aspects,
    }


def _say_what_when(waiting: Sequence[Example], n_all: int) -> None:
    """What can be tried when, once for each reason; where nothing is being done for it, what to do, and the way."""
    by_reason: dict[str, list[str]] = {}
    for example in waiting:
        by_reason.setdefault(example.waits_for, []).append(f"“{example.title}”")
    for reason, titles in by_reason.items():
        which = "These" if 1 < len(titles) == n_all else listed(titles)
        is_measuring = reason.endswith(MEASURED)
        if _is_being_done(is_measuring=is_measuring):
            st.caption(f"{which} can be asked {reason}.")
            continue
        path, cure, label = TO_MEASURE if is_measuring else TO_EMBED
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(f"{which} can be asked {reason}. {cure}", width="content")
            frame.link(path, label)


def _is_being_done(*, is_measuring: bool) -> bool:
    """Whether work is under way that leads to what the cards of this library wait for."""
    workspace, library = resources.workspace(), frame.library()
    is_filling = jobs.is_filling(workspace, library)
    if not is_measuring:
        return is_filling
    if is_filling and frame.scope(DEFAULT).will_discover:
        return True
    measuring = (job for job in workspace.jobs.active() if job.kind in (TargetsRequest.kind, ProbeRequest.kind))
    return any(library == ALL or job.arguments.get("library") in (library, ALL) for job in measuring)
