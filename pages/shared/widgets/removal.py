"""Removing a library: asked first, with what would be lost, wherever a page offers it."""

from __future__ import annotations

import streamlit as st

from mess_core.upkeep.resting import what_rests_on
from mess_core.words import counted, listed
from mess_core.workspace.workspace import DEMO
from pages.shared.app import frame, resources

OPENED = "removal of a library"


def offer_to_remove(library: str, label: str) -> None:
    """A click says what is forgotten and what is seen no more; only a second one removes it."""
    place = st.popover(label, key=OPENED, on_change="rerun")
    if not place.open:  # what rests on a large library takes a while to find out, and few remove one
        return
    workspace = resources.workspace()
    n_tracks = counted(workspace.catalogue.n_tracks(library), "track")
    resting = what_rests_on(workspace, library)
    with place:
        if library == DEMO:
            st.write(
                f"Its {n_tracks} with their embeddings and measurements are forgotten, and the recordings, which MESS "
                "made, are deleted."
            )
        else:
            st.write(
                f"Its {n_tracks} with their embeddings and measurements are forgotten. Music files stay where they are."
            )
        if resting:
            st.write(frame.plain(f"What rests on them is not shown without them: {listed(resting)}."))
        if library == DEMO and (others := workspace.catalogue.sharing(library)):
            names = listed([f"“{name}”" for name in others])
            st.write(frame.plain(f"{names} {'has' if len(others) == 1 else 'have'} recordings of it, silent then."))
        if library == DEMO:
            st.caption(
                "It can be made again, here and on the Library page, in about half a minute. The recordings are the "
                "same then, and what was said of them fits them again."
            )
        if st.button("Remove it", type="primary", key="remove-library"):
            with frame.explain_errors():
                workspace.remove_library(library)
                st.rerun()
