"""The panels of the first page."""

from __future__ import annotations

import streamlit as st

from mess_core.encoders.registry import DEFAULT
from mess_core.numbers import share_percent
from mess_core.work.demo import DemoRequest
from mess_core.work.request import submit, under_way
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import DEMO
from pages.shared.app import frame, jobs, resources
from pages.shared.widgets.examples import show_examples
from pages.shared.widgets.removal import offer_to_remove

STEPS = """\
1. A recording is cut into **segments** of five seconds, a new one every two and a half.
2. An **encoder**, which was trained once and is frozen, listens to each and writes down numbers: some for each of its
   layers. The first layers are near to the sound, later ones to what it was trained to hear.
3. The numbers of all segments are averaged: one row of numbers for each layer is what is kept of a **recording**.
4. Rows are compared, layer by layer, with those of every other recording of the library.
"""
SHAPES = """\
audio (n_samples,)
  → segments            (n_segments, segment_samples)
  → hidden states       (n_segments, n_layers, n_frames, dim)
  → mean over frames, then over segments    (n_layers, dim)
  → cosine, layer by layer, to every other track
"""


def next_steps() -> None:
    """The one thing to do now, then the others."""
    workspace = resources.workspace()
    n_tracks = sum(library.n_tracks for library in workspace.catalogue.libraries())
    left, middle, right = st.columns(3, gap="medium")
    with left, st.container(border=True, height="stretch"):
        st.markdown("#### :material/headphones: Listen")
        if n_tracks:
            st.write("Drop a recording or pick one, and hear its nearest neighbours beside it.")
        else:
            st.write("As soon as there is a library, drop a recording and hear what is nearest.")
        frame.link("pages/4_Listen.py", "Find similar recordings")
    with middle, st.container(border=True, height="stretch"):
        st.markdown("#### :material/balance: Judge")
        st.write("Hear three clips without names and say which two are alike; MESS learns what you mean by it.")
        frame.link("pages/5_Judge.py", "Say what is alike")
    with right, st.container(border=True, height="stretch"):
        st.markdown("#### :material/library_music: Library")
        st.write("Add a folder of your own music. Nothing is copied, and your files are never changed.")
        frame.link("pages/1_Library.py", "Add music")


def try_this() -> None:
    """Questions that can be asked with one click; before there is a library, when there will be some."""
    workspace = resources.workspace()
    if not workspace.catalogue.libraries() and under_way(workspace, DemoRequest) is not None:
        st.caption("The demo library is being made: in some ten seconds its first recordings can be tried here.")
    show_examples()


def what_is_here() -> None:
    """Libraries, and how much of each can be searched."""
    workspace = resources.workspace()
    libraries = workspace.catalogue.libraries()
    if not libraries:
        active = workspace.jobs.active()
        if not active:
            _offer_demo()
        else:
            name = jobs.name_of(active[0])
            jobs.follow(lambda: name, active[0])
        return
    st.subheader("What is here", anchor=False)
    if jobs.is_filling(workspace):
        st.fragment(_show_libraries, run_every=jobs.POLL_S)()
    else:
        _show_libraries()
    if any(library.name == DEMO for library in libraries):
        _offer_to_remove_demo()
    elif not jobs.is_under_way(DEMO, DemoRequest.kind):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("The demo library is not here. MESS makes it on this machine, in about half a minute.")
            _demo_button()


def _show_libraries() -> None:
    """Each with what can be searched of it: as text, for the browser would load two megabytes for a table to scroll."""
    workspace, info = resources.workspace(), resources.info(DEFAULT)
    lines = [f"| library | tracks | length | embedded with {frame.plain(info.title)} |", "| :-- | --: | --: | --: |"]
    for library in workspace.catalogue.libraries():
        length = frame.seconds(workspace.catalogue.length_s(library.name))
        share = share_percent(scope_of(workspace, library.name, DEFAULT).share_embedded)
        lines.append(f"| {frame.plain(library.name)} | {library.n_tracks:,} | {length} | {share} % |")
    st.markdown("\n".join(lines))


def _offer_to_remove_demo() -> None:
    is_whole = not jobs.is_under_way(DEMO, DemoRequest.kind)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "The demo library is made on this machine by MESS itself: 24 short pieces, each by five invented "
            "performers whose tempo, rubato, dynamics and articulation differ in known ways"
            f"{'' if is_whole else '; the first of these 120 recordings are here, the others follow'}."
        )
        offer_to_remove(DEMO, "Remove the demo")


def _offer_demo() -> None:
    frame.notice("No music yet", "Make the demo library (about half a minute), or add a folder of your own.")
    _demo_button(is_first=True)


def _demo_button(*, is_first: bool = False) -> None:
    if st.button("Make the demo library", type="primary" if is_first else "secondary"):
        submit(resources.workspace(), DemoRequest(DEFAULT))
        st.rerun()


def how_it_works() -> None:
    """In words, and for those who compute with it, in shapes; made where somebody looks.

    What colours code is the largest thing that the browser loads.
    """
    place = st.expander("How it works", key="how it works", on_change="rerun")
    if not place.open:
        return
    with place:
        st.markdown(STEPS)
        st.write(
            "Similarity is measured after the part that all recordings share was removed, and placed among the pairs "
            "of the library itself, so that a number means something."
        )
        st.caption("The same in the shapes of its arrays:")
        st.code(SHAPES, language=None, wrap_lines=True)
