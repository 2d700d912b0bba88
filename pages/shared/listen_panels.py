"""The panels of 4_Listen: the query, its neighbours, the player, the exports."""

from __future__ import annotations

import streamlit as st

from mess_core.catalogue import ALL, Track
from mess_core.encoders.registry import DEFAULT, encoder_ids
from mess_core.errors import UnknownTrackError
from mess_core.exports import as_csv, as_json, as_m3u8
from mess_core.home import Answer, FoundTrack
from pages.shared import frame, resources, state
from pages.shared.jobs_panel import show_jobs
from pages.shared.player import PlayerTrack, player
from pages.shared.upload import upload

UPLOAD, PICK = "Drop a file", "Pick a track"
N_IN_PLAYER = 3  # neighbours beside the query until others are chosen
MAX_IN_PLAYER = 8  # keys 1 to 9: the query and eight neighbours


def choose_encoder() -> str:
    """One of the encoders by which this library was embedded; the embedded default while there is none."""
    home = resources.home()
    ids = [e for e in encoder_ids() if home.n_embedded(frame.library(), resources.info(e))] or [DEFAULT]
    state.restore("encoder", ids)
    first = state.default("encoder", index=ids.index(DEFAULT) if DEFAULT in ids else 0)
    encoder_id: str = st.selectbox("Encoder", ids, key="encoder", bind="query-params", **first)
    return state.keep("encoder", encoder_id)


def choose_k() -> int:
    """How many neighbours."""
    state.restore("k")
    first = state.default("k", value=state.KEYS["k"])
    return state.keep("k", int(st.number_input("Neighbours", 1, 200, key="k", bind="query-params", **first)))


def choose_query() -> Track | None:
    """A dropped file, or a track of the library; its id is in the URL."""
    home = resources.home()
    how = st.segmented_control("Query", [UPLOAD, PICK], default=UPLOAD, required=True, key="how")
    if how == UPLOAD:
        dropped = upload(key="upload", on_upload=_use_upload)
        if dropped is None:
            st.caption("It is compared, not kept: it joins a library only if you say so.")
    else:
        tracks = {track.track_id: track for track in home.catalogue.tracks(frame.library())}
        picked = st.selectbox(
            "Track",
            list(tracks),
            index=None,
            key="picked",
            placeholder="type a few letters of its title",
            format_func=lambda track_id: tracks[track_id].title if track_id in tracks else track_id,
            on_change=_use_picked,
        )
        if picked is None and not tracks:
            st.caption("This library is empty.")
    query = state.query()
    if query is None:
        return None
    try:
        return home.catalogue.track(query)
    except UnknownTrackError:
        state.set_query(None)  # a link to a track that is not here
        st.caption("The track in this link is not here (any more). Choose another.")
        return None


def _use_upload() -> None:
    value = st.session_state["upload"].upload
    track = resources.home().catalogue.find_sha256(str(value["sha256"])) if value else None
    if track is not None:
        state.set_query(track.track_id)


def _use_picked() -> None:
    if st.session_state["picked"] is not None:
        state.set_query(st.session_state["picked"])


def embed_query(query: Track, encoder_id: str) -> bool:
    """True once the query has an embedding; until then its job is asked for and followed."""
    home, info = resources.home(), resources.info(encoder_id)
    if home.store.has(query.track_id, info):
        return True
    job = home.jobs.latest("encode", track_id=query.track_id, encoder=encoder_id)
    if job is not None and job.state == "failed":
        frame.notice("This query cannot be used", job.message, job.hint)
        if st.button("Try again"):
            home.request_encode(query.track_id, encoder_id)
            st.rerun()
        return False
    job = home.request_encode(query.track_id, encoder_id)
    show_jobs([job, *(other for other in home.jobs.active() if other.job_id != job.job_id)])
    return False


def is_searchable(encoder_id: str) -> bool:
    """Whether anything in the library can be compared; while it cannot, what is done about it is shown."""
    home = resources.home()
    jobs = home.jobs.active()
    info, n_tracks = resources.info(encoder_id), len(home.catalogue.track_ids(frame.library()))
    n_embedded = home.n_embedded(frame.library(), info)
    if n_embedded < n_tracks:
        st.caption(f"{n_embedded} of {n_tracks} tracks of this library are embedded with {info.title} so far.")
    if n_embedded < n_tracks or n_embedded == 0:
        show_jobs(jobs)
    if n_embedded == 0 and not jobs:
        frame.notice("Nothing to compare with yet", "Add music, and embed it, on the Library page.")
        frame.link("pages/1_Library.py", "Library")
    return n_embedded > 0


def answer(query: Track, encoder_id: str, k: int) -> Answer:
    """One call into the core."""
    home = resources.home()
    embedding = home.store.read(query.track_id, resources.info(encoder_id)).mean
    index = resources.index(frame.library(), encoder_id)
    return home.answer(index, frame.library(), query.track_id, query.track_id, embedding, k)


def show_query(query: Track) -> None:
    """What is asked about."""
    facts = [query.composer, query.performer, query.instrument, frame.seconds(query.duration_s), query.codec]
    with st.container(border=True, gap="xxsmall"):
        st.caption("Query")
        st.text(query.title)
        st.text(" · ".join(fact for fact in facts if fact))
        if query.is_truncated:
            st.caption(":material/warning: The file breaks off before its header says it should.")


def show_neighbours(found: Answer) -> list[FoundTrack]:
    """The table; returns the rows chosen for the player, the nearest ones until some are."""
    rows = [
        {
            "rank": item.neighbour.rank,
            "title": item.track.title,
            "similarity": item.neighbour.similarity,
            "closer than": item.neighbour.percentile,
            "performer": item.track.performer,
            "work": item.track.work,
            "instrument": item.track.instrument,
            "length": frame.seconds(item.track.duration_s),
        }
        for item in found.found
    ]
    known = [name for name in ("performer", "work", "instrument") if any(row[name] for row in rows)]
    chosen = st.dataframe(
        rows,
        key=f"neighbours-{found.query_track_id}-{found.info.id}-{found.library}",
        hide_index=True,
        width="stretch",
        height="content",
        on_select="rerun",
        selection_mode="multi-row",
        column_order=["rank", "title", "similarity", "closer than", *known, "length"],
        column_config={
            "rank": st.column_config.NumberColumn("#", width="small"),
            "title": st.column_config.TextColumn("track", width="large"),
            "similarity": st.column_config.NumberColumn(format="%.3f", help="mean cosine over all layers, -1 to 1"),
            "closer than": st.column_config.ProgressColumn(
                format="%.1f %%", min_value=0, max_value=100, help="share of this library's pairs that are less alike"
            ),
        },
        alt="Neighbours of the query, the nearest first",
    )
    picked = [found.found[row] for row in chosen.selection.rows if row < len(found.found)]
    return (picked or list(found.found[:N_IN_PLAYER]))[:MAX_IN_PLAYER]


@st.fragment
def show_player(query: Track, neighbours: list[FoundTrack]) -> None:
    """Query and neighbours on one clock; the first is the query."""
    tracks = [PlayerTrack.of(query), *(PlayerTrack.of(n.track, f"#{n.neighbour.rank} ") for n in neighbours)]
    player(tracks, key="player")


def show_exports(found: Answer) -> None:
    """The list as files."""
    with st.container(horizontal=True):
        name = f"similar-to-{found.query_track_id}"
        st.download_button("CSV", as_csv(found), f"{name}.csv", "text/csv", on_click="ignore", key="csv")
        st.download_button("JSON", as_json(found), f"{name}.json", "application/json", on_click="ignore", key="json")
        st.download_button(
            "Playlist (M3U8)", as_m3u8(found), f"{name}.m3u8", "audio/x-mpegurl", on_click="ignore", key="m3u8"
        )


def offer_to_keep(query: Track) -> None:
    """An upload is forgotten after a week, unless it joins a library."""
    home = resources.home()
    if home.catalogue.is_in_library(query.track_id):
        return
    with st.popover("Keep it in a library"), st.form("keep", border=False):
        name = st.text_input("Library", value="my music", max_chars=60)
        if st.form_submit_button("Add") and name.strip():
            with frame.explain_errors():
                home.keep_upload(query.track_id, name.strip())
            st.rerun()


def explain(found: Answer) -> None:
    """How to read it, and how far to trust it."""
    n_tracks = len(resources.index(found.library, found.info.id))
    scope = "all libraries" if found.library == ALL else found.library
    st.caption(
        "*Similarity* is the cosine between embeddings, averaged over all layers, after the common part of the library "
        "was removed: 1 is the same, 0 is unrelated. *Closer than* places it among the pairs of the library itself "
        f"({n_tracks} tracks embedded)."
    )
    st.text(f"Library: {scope} · Encoder: {found.info.title} · all layers weigh the same.")
