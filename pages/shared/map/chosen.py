"""What was clicked on the map or drawn around, beside it: heard, listed, taken along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.handover.exports import tracks_as_csv, tracks_as_m3u8
from mess_core.maps.drawing import MapView
from mess_core.search.tagged import words_of
from mess_core.words import counted
from pages.shared.app import frame, resources, state
from pages.shared.app.table import show_table
from pages.shared.widgets.pickers import offer_as_library
from pages.shared.widgets.player.player import PlayerTrack, keep_heard, player

MAX_IN_PLAYER = 8
MOST_ROWS = 1000  # of the table of what was drawn around
SOUNDS = "sounds on the map"  # a click that is to be heard, until it was


@dataclass(frozen=True)
class Beside:
    """What is shown beside the map. row : the track that is chosen in the table; heard : those of the player"""

    row: str | None = None
    heard: tuple[str, ...] = ()


def _paths(tracks: Sequence[Track]) -> dict[str, str]:
    paths = resources.workspace().catalogue.likely_audio_paths([track.track_id for track in tracks])
    return {track_id: str(path) for track_id, path in paths.items()}


def _as_csv(chosen: Sequence[Track], library: str) -> str:
    """Made when somebody wants it."""
    heard = words_of(resources.workspace(), library, [track.track_id for track in chosen])
    also = {track_id: {"heard_as": ", ".join(words)} for track_id, words in heard.items()}
    return tracks_as_csv(chosen, _paths(chosen), also)


def _as_playlist(chosen: Sequence[Track]) -> str:
    return tracks_as_m3u8(chosen, _paths(chosen))


def show_chosen(view: MapView, chosen: list[Track]) -> Beside:
    """A click is heard with its neighbours; a lasso becomes a table, a playlist, or the next question."""
    if not chosen:
        st.caption(
            "Rest on a point, and it is heard; click it, and it plays beside its nearest; draw around several with the "
            "lasso above the map."
        )
        return Beside()
    first, row = chosen[0], None
    if len(chosen) == 1:
        st.text(first.title)
        catalogue = resources.workspace().catalogue
        heard = [first, *(catalogue.track(each.track_id) for each in view.nearest(first.track_id)[:3])]
    else:
        st.text(f"{counted(len(chosen), 'recording')} chosen")
        table = f"chosen on the map {hash(tuple(track.track_id for track in chosen))}"  # of others, no row is chosen
        row = _row_chosen(table, len(chosen))
        at = (row or 0) // MAX_IN_PLAYER * MAX_IN_PLAYER
        heard = chosen[at : at + MAX_IN_PLAYER]
        if len(chosen) > MAX_IN_PLAYER:
            st.caption(
                f"In the player are numbers {at + 1:,} to {at + len(heard):,} of them: choose a row of the table to "
                "hear it and those around it."
            )
    _play(heard, has_query=len(chosen) == 1)
    with st.container(horizontal=True):
        if st.button(
            "Find like this",
            icon=":material/travel_explore:",
            on_click=state.follow,
            args=(first.track_id,),
            help="Makes it the query of Listen."
            if len(chosen) == 1
            else "Makes the first of them the query of Listen.",
        ):
            st.rerun()  # of the whole page: the small maps mark the query, too
        frame.link("pages/4_Listen.py", "Listen")
        st.download_button(
            "CSV", partial(_as_csv, chosen, frame.library()), "selection.csv", "text/csv", on_click="ignore"
        )
        st.download_button(
            "Playlist (M3U8)", partial(_as_playlist, chosen), "selection.m3u8", "audio/x-mpegurl", on_click="ignore"
        )
        if len(chosen) > 1:
            offer_as_library([track.track_id for track in chosen])
    if len(chosen) > 1:
        show_table(
            [{"title": t.title, "work": t.work, "performer": t.performer, "instrument": t.instrument,
              "length": frame.seconds(t.duration_s)} for t in chosen[:MOST_ROWS]],
            key=table, on_select="rerun", selection_mode="single-row",
            alt="Recordings chosen on the map; the chosen row is ringed on it",
        )  # fmt: skip
        if len(chosen) > MOST_ROWS:
            st.caption(f"The table shows the first {MOST_ROWS:,}; the files and a library hold all {len(chosen):,}.")
    return Beside(None if row is None else chosen[row].track_id, tuple(track.track_id for track in heard))


def _row_chosen(table: str, n: int) -> int | None:
    """The row that is chosen in the table, which stands below what it decides."""
    rows = st.session_state[table].selection.rows if table in st.session_state else ()
    row = next(iter(rows), None)
    return None if row is None or row >= n else int(row)


@st.fragment
def _play(tracks: list[Track], *, has_query: bool) -> None:
    shown, starts = [PlayerTrack.of(track) for track in tracks], st.session_state.pop(SOUNDS, None)
    report = player(shown, key="map-player", has_query=has_query, starts=starts)
    keep_heard(report, "map-player")
