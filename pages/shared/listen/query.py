"""The query of 4_Listen: where it comes from, which part of it, and its embedding."""

from __future__ import annotations

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.errors import UnknownTrackError
from mess_core.search.geometry import MeasuredGeometry
from mess_core.search.question import Question
from mess_core.words import counted
from mess_core.work.extract import EncodeRequest
from mess_core.work.request import latest, submit
from mess_core.work.targets import MeasureRequest
from mess_core.workspace.scope import Scope
from mess_core.workspace.uploads import keep_recording
from pages.shared.app import frame, resources, state
from pages.shared.app.jobs import follow, wait_for
from pages.shared.listen.words import choose_words
from pages.shared.widgets.pickers import embed_button, embedding_of, tracks_to_choose
from pages.shared.widgets.upload.upload import upload

UPLOAD, PICK, RECORD = "Drop a file", "Pick a track", "Record"
SHORTEST_PASSAGE_S = 1.0
ASKED, CAME_BY = "query of the last run", "how queries came"  # of this visitor


def choose_query() -> tuple[Track | None, Question, tuple[float, float] | None]:
    """What is asked about: a recording, words, and of the recording perhaps only a part; all of it is in the URL.

    Returns
    -------
    query : Track or None
    asked : Question
        The words alone.
    passage : (from_s, to_s) or None
        None for all of it.
    """
    _follow_query()
    query = _query()
    left, right = st.columns([2, 1], gap="medium")
    with right:
        words = choose_words()
    with left, st.expander(_in_one_line(query), expanded=query is None, icon=":material/graphic_eq:"):
        _choose_recording()
        passage = None if query is None or words else _choose_passage(query)
    if words and state.passage() is not None:
        st.caption("Words are asked of whole recordings: the passage waits until they are gone.")
    for notice in query.notices if query else ():
        st.caption(f":material/warning: {notice}")
    return query, Question(words=words), passage


def _in_one_line(query: Track | None) -> str:
    """The query as the heading of what it was chosen by; a name is untrusted."""
    if query is None:
        return "Ask about a recording"
    apart = [fact for fact in (query.composer, query.performer, query.instrument) if fact and fact not in query.title]
    facts = " · ".join([query.title, *apart, frame.seconds(query.duration_s)])
    return f"**Query** {frame.plain(facts)}"


def _query() -> Track | None:
    """The recording in the URL, if it is here."""
    query = state.query()
    if query is None:
        return None
    try:
        return resources.workspace().catalogue.track(query)
    except UnknownTrackError:
        state.set_query(None)  # a link to a track that is not here
        st.caption("The track in this link is not here (any more). Choose another.")
        return None


def _choose_recording() -> None:
    """A dropped file, a track of the library, or a recording made now."""
    workspace = resources.workspace()
    how = st.segmented_control("Query", [UPLOAD, PICK, RECORD], required=True, key="how", label_visibility="collapsed")
    if how == UPLOAD:
        dropped = upload(key="upload", on_upload=_use_upload)
        if dropped is None:
            st.caption("It is compared, not kept: it joins a library only if you say so.")
    elif how == RECORD:
        st.audio_input("Play or sing something", sample_rate=48_000, key="recording", on_change=_use_recording)
    else:
        labels = workspace.catalogue.labels(frame.library())
        offered = tracks_to_choose(frame.library(), labels, key="words to pick by")
        before = st.session_state.get("picked")
        if before in labels and before not in offered:  # what was picked by other words
            offered = [before, *offered]
        if labels and not offered:
            return
        picked = st.selectbox(
            "Track",
            offered,
            index=None,
            key="picked",
            placeholder="type a few letters: title, performer, instrument, composer",
            format_func=lambda track_id: labels.get(track_id, track_id),
            on_change=_use_picked,
        )
        if picked is None and not labels:
            st.caption("This library is empty.")


def _follow_query() -> None:
    """The way of asking that is chosen is the one by which the query came, be it by a link, from the map or by Back."""
    query = state.query()
    if "how" in st.session_state and query == st.session_state.get(ASKED):
        return  # the visitor may look for another one
    st.session_state[ASKED] = query
    catalogue = resources.workspace().catalogue
    is_picked = query is not None and catalogue.has(query) and catalogue.is_in_library(query)
    came_by = st.session_state.get(CAME_BY, {})
    st.session_state["how"] = came_by.get(query, PICK if is_picked else UPLOAD)
    st.session_state["picked"] = query if is_picked and query in catalogue.labels(frame.library()) else None


def _ask(track_id: str, how: str) -> None:
    st.session_state[CAME_BY] = {**st.session_state.get(CAME_BY, {}), track_id: how}
    state.set_query(track_id)


def _use_upload() -> None:
    value = st.session_state["upload"].upload
    track = resources.workspace().catalogue.find_sha256(str(value["sha256"])) if value else None
    if track is not None:
        _ask(track.track_id, UPLOAD)


def _use_recording() -> None:
    recording = st.session_state["recording"]
    if recording is not None:
        with frame.explain_errors():
            _ask(keep_recording(resources.workspace(), recording.getvalue()).track_id, RECORD)


def _use_picked() -> None:
    if resources.workspace().catalogue.has(st.session_state["picked"] or ""):
        _ask(st.session_state["picked"], PICK)


def embed_query(query: Track, scope: Scope) -> bool:
    """True once the query has an embedding; until then its job is asked for and followed."""
    workspace, request = scope.workspace, EncodeRequest(query.track_id, scope.info.id)
    if workspace.store.has(query.track_id, scope.info):
        return True
    job = latest(workspace, EncodeRequest, **vars(request))
    if job is not None and job.state == "failed":
        frame.notice("This query cannot be used", job.message, job.hint)
        # Where the sound itself was refused, it would be once more; a disk or a folder may have come back.
        was_refused = (
            workspace.jobs.failures(job.job_id) and workspace.catalogue.likely_audio_path(query.track_id).is_file()
        )
        if not was_refused and st.button("Try again"):
            submit(workspace, request)
            st.rerun()
        return False
    wait_for(submit(workspace, request), "Its neighbours appear as soon as it has been listened to.")
    return False


def measure_query(query: Track, question: Question, passage: tuple[float, float] | None) -> bool:
    """True once the query is measured, or need not be; until then its job is asked for and followed."""
    workspace, request = resources.workspace(), MeasureRequest(query.track_id)
    is_needed = question.geometry == MeasuredGeometry.name and passage is None
    if not is_needed or workspace.measurements.of_track(query.track_id, current_only=True):
        return True
    job = latest(workspace, MeasureRequest, track_id=query.track_id)
    failures = workspace.jobs.failures(job.job_id) if job is not None and not job.is_active else []
    if job is not None and (failures or job.state == "failed"):
        said, cure = (failures[0].message, failures[0].hint) if failures else (job.message, job.hint)
        frame.notice(
            "This query cannot be measured",
            said,
            cure or "Let the encoder compare: whole layers, under “How the list is made up”.",
        )
        return False
    wait_for(submit(workspace, request), "Its neighbours appear as soon as it has been measured.")
    return False


def is_searchable(scope: Scope) -> bool:
    """Whether anything in the library can be compared; while it cannot, what is done about it is shown."""
    n_tracks, n_embedded = scope.workspace.catalogue.n_tracks(scope.library), scope.n_embedded
    active = scope.workspace.jobs.active()
    if n_embedded == 0 and active:

        def until_there_is() -> str:
            if scope.n_embedded:
                st.rerun()
            return "Nothing can be compared yet: that begins as soon as the first recordings are embedded."

        follow(until_there_is, embedding_of(scope) or active[0])
    elif n_embedded < n_tracks and embedding_of(scope) is not None:  # how many soon changes: the status says it
        st.caption("The rest of this library is being embedded: only what is done can be found so far.")
    elif n_embedded < n_tracks:
        so_far = f"{n_embedded} of {counted(n_tracks, 'track')}"
        st.caption(f"Embedded with {scope.info.title} so far: {so_far} of this library.")
    if n_embedded == 0 and not active:
        _offer_to_embed(scope, n_tracks)
    return n_embedded > 0


def _offer_to_embed(scope: Scope, n_tracks: int) -> None:
    if scope.n_by_other_versions:
        what = "This library was embedded with another version of it. Numbers of two versions cannot be compared."
        frame.notice(f"A new {scope.info.title}", what)
        embed_button(scope, n_tracks)
    else:
        frame.notice("Nothing to compare with yet", "Add music, and embed it, on the Library page.")
        frame.link("pages/1_Library.py", "Library")


def show_trail() -> None:
    """The way back through the queries that led here."""
    workspace, trail = resources.workspace(), state.trail()
    if not trail:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Came from", width="content")
        for step, track_id in enumerate(trail):
            try:
                label = frame.plain(workspace.catalogue.track(track_id).title)
            except UnknownTrackError:
                continue  # forgotten meanwhile
            st.button(label, key=f"trail {step}", on_click=state.go_back, args=(step,), type="tertiary")


def _choose_passage(query: Track) -> tuple[float, float] | None:
    """A part of the query, or None for all of it; in the URL, and as well drawn on the waveform."""
    end_s = round(query.duration_s, 1)
    if end_s < 2 * SHORTEST_PASSAGE_S:
        return None
    key = f"passage {query.track_id}"
    passage = state.passage()
    if passage is None and state.read("passage"):
        st.caption("The passage in this link is none; all of it is compared.")
        state.set_passage(None)
    if passage is not None and not 0 <= passage[0] < passage[1] <= end_s + 0.1:
        st.caption("The passage in this link is not in this recording; all of it is compared.")
        passage = None
    st.session_state[key] = (passage[0], min(passage[1], end_s)) if passage else (0.0, end_s)
    st.slider(
        "Passage", 0.0, end_s, step=0.1, format="%.1f s", key=key, on_change=_use_passage, args=(key, end_s),
        help="Shorter than the whole, the passage is looked for inside every recording. It can be drawn on the "
        "player's waveform, too.",
    )  # fmt: skip
    return passage


def _use_passage(key: str, end_s: float) -> None:
    start_s, stop_s = st.session_state[key]
    is_whole = (start_s, stop_s) == (0.0, end_s)
    state.set_passage(None if is_whole or stop_s - start_s < SHORTEST_PASSAGE_S else (start_s, stop_s))
