"""The panels of 1_Library: encoders and their weights, adding music, embedding it, what is here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from mess_core.catalogue.catalogue import ALL, NAMES, Track, check_library_name
from mess_core.collections.playlist import library_name
from mess_core.collections.published import COLLECTIONS
from mess_core.encoders.registry import DEFAULT, EncoderChoice, encoder_choices, encoder_problems
from mess_core.encoders.weights import use_folder
from mess_core.errors import InputError, MessError
from mess_core.glossary import define
from mess_core.probing.ceiling import is_companion
from mess_core.search.tagged import words_of
from mess_core.targets.registry import target_problems
from mess_core.words import counted
from mess_core.work.add import AddRequest
from mess_core.work.demo import DemoRequest
from mess_core.work.download import DownloadRequest
from mess_core.work.extract import ExtractRequest
from mess_core.work.fetch import FetchRequest
from mess_core.work.request import short, submit
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import DEMO
from pages.shared.app import frame, jobs, resources, state
from pages.shared.app.table import show_table
from pages.shared.widgets.pickers import READY, embed_button, embedding_of, is_ready
from pages.shared.widgets.removal import offer_to_remove
from pages.shared.widgets.upload.upload import upload

STATES = {"embedded": "comes with MESS", "present": "here", "missing": "not here yet", "damaged": "damaged"}
CONTROL = "random:"
ADDING = tuple(request.kind for request in (DemoRequest, FetchRequest, AddRequest))
MOST_SHOWN = 1000  # rows of a table: more than anybody reads, few enough to come at once
N_EDITS = "number of edits"
REFUSED = "why a folder was not added"
ADDED, N_ADDED = "job of the folder that was added last", "number of folders that were added"
LONGEST_NAME = 60  # characters of a library's name


def choose_encoder() -> str:
    """MERT first; while its weights are missing the embedded encoder is chosen."""
    choices = {choice.info.id: choice for choice in encoder_choices(resources.workspace().paths)}
    if not st.toggle("Show controls", key="controls", help=define("untrained network")):
        choices = {encoder_id: c for encoder_id, c in choices.items() if not encoder_id.startswith(CONTROL)}
    ready = [encoder_id for encoder_id, choice in choices.items() if choice.weights.status in READY]
    preferred = next((encoder_id for encoder_id in ready if choices[encoder_id].consent), DEFAULT)
    encoder_id: str = state.sticky(
        st.radio,
        "Encoder",
        options=list(choices),
        key="extractor",
        default=preferred,
        label_visibility="collapsed",
        format_func=lambda name: choices[name].info.title,
        captions=[_caption(choice) for choice in choices.values()],
    )
    if choices[encoder_id].weights.status not in READY:
        _offer_weights(choices[encoder_id])
    for problem in (*encoder_problems(), *target_problems()):
        frame.notice("A package cannot be used", problem, "Update it, or uninstall it.")
    return encoder_id


def _caption(choice: EncoderChoice) -> str:
    info = choice.info
    status = STATES.get(choice.weights.status, choice.weights.status)
    return f"{info.summary} {info.size_in_words} · {info.licence} · {status}"


def _offer_weights(choice: EncoderChoice) -> None:
    """Consent before a download, or a folder that has them already; everything else goes on without."""
    info, weights, workspace = choice.info, choice.weights, resources.workspace()
    with st.container(border=True):
        st.text(weights.message)
        st.markdown(f"**Licence: {info.licence}.** {choice.notice}")
        download, folder = st.columns(2, gap="large")
        with download:
            agreed = not choice.consent or st.checkbox(choice.consent, key=f"agree-{info.id}")
            if st.button(f"Download {frame.size(weights.size_bytes)}", disabled=not agreed, type="primary"):
                submit(workspace, DownloadRequest(info.id))
                st.rerun()
        with folder, st.form(f"folder-{info.id}", border=False):
            path = st.text_input("Or a folder that has its files", placeholder="~/Models/MERT-v1-95M")
            if st.form_submit_button("Use this folder") and path:
                with frame.explain_errors():
                    use_folder(info, workspace.paths, Path(path))
                    st.rerun()
        st.caption("MESS goes on with MESS-nano meanwhile.")


def add_music(encoder_id: str) -> None:
    """The demo, or a folder; both are embedded at once if the encoder can."""
    workspace = resources.workspace()
    then = encoder_id if is_ready(encoder_id) else DEFAULT
    names = [library.name for library in workspace.catalogue.libraries()]
    folder, demo = st.columns([3, 1], gap="large", vertical_alignment="bottom")
    with folder, st.form("add-folder", border=False):
        path, name = st.columns([3, 1])
        n_added = st.session_state.get(N_ADDED, 0)  # in the keys: what was taken empties the fields, what was not stays
        chosen = path.text_input(
            "Folder or file on this machine", placeholder="~/Music/Chopin", key=f"folder to add {n_added}"
        )
        library = name.text_input(
            "Library",
            placeholder="its name",
            help="Leave empty for the folder's own name.",
            key=f"its library {n_added}",
        )
        renders = st.checkbox(
            "Play what has only MIDI", help="Of a collection of performances without recordings, with our synthesiser."
        )
        if st.form_submit_button("Add", type="primary"):
            _add(chosen.strip(), library, then, renders=renders)
        if REFUSED in st.session_state:  # until the next try: the page may run again by itself
            frame.notice("That did not work", *st.session_state[REFUSED])
    with folder:
        added = _say_what_was_added(names)
    with demo:
        is_made = DEMO in names or any(job.kind == "demo" for job in workspace.jobs.active())
        if not is_made and st.button("Make the demo library", width="stretch"):
            submit(workspace, DemoRequest(then))
            st.rerun()
    st.caption(
        "Nothing is copied and no file of yours is ever changed. WAV, FLAC, MP3, AAC, Opus and nearly every other "
        "format of audio and film; SMD, MAESTRO, ASAP, Vienna 4×22 and folders with a table are recognised."
    )
    adding = next((job for job in workspace.jobs.active() if job.kind in ADDING and job.state == "running"), None)
    if adding is not None and adding.job_id != added:
        name = jobs.name_of(adding)
        jobs.follow(lambda: name, adding)
    with st.expander("Upload a file instead"):
        st.text_input("Library of uploads", value="my music", max_chars=LONGEST_NAME, key="upload-library")
        upload(key="library-upload", on_upload=_keep_upload)
        st.caption("For a browser on another machine; the copy is kept in MESS's data folder.")
    with st.expander("Download a published collection instead"):
        _offer_collection(then)


def _add(chosen: str, library: str, then: str, *, renders: bool) -> None:
    """Ask for a folder's registration, or keep the sentence that says why not."""
    st.session_state.pop(REFUSED, None)
    if not chosen:
        st.session_state[REFUSED] = (
            "No folder is named.",
            "Type its path, such as ~/Music/Chopin.",
        )
        return
    target = Path(os.path.expanduser(chosen))  # noqa: PTH111 — Path's own raises for ~nobody
    try:
        check_library_name(library.strip() or library or None)  # spaces alone are no name, and not none either
        if len(library.strip()) > LONGEST_NAME:
            raise InputError(
                f"The name of a library has at most {LONGEST_NAME} characters; this one has {len(library.strip()):,}."
            )
        name = library.strip() or library_name(target)[:LONGEST_NAME].strip()
        job = submit(resources.workspace(), AddRequest(target, name, then, renders=renders))
    except MessError as error:
        st.session_state[REFUSED] = (error.message, error.hint)
    else:
        st.session_state[ADDED] = job.job_id
        st.session_state[N_ADDED] = st.session_state.get(N_ADDED, 0) + 1
        st.rerun()


def _say_what_was_added(libraries: Sequence[str]) -> int | None:
    """What becomes of the folder that was added last on this visit, and the way to its library; the id of its job.

    Another library is not chosen in the visitor's place: all pages would look elsewhere while one of them is read.
    """
    if (job_id := st.session_state.get(ADDED)) is None:
        return None
    try:
        job = resources.workspace().jobs.get(job_id)
    except MessError:  # another data folder lies in the place of the one that knew it
        return None
    library, n_tracks = str(job.arguments["library"]), AddRequest.n_added(job)
    if job.state in ("queued", "running"):
        jobs.wait_for(job, f"What is in {short(job.arguments['path'])} is added to the library “{short(library)}”.")
    elif n_tracks:
        added = f"{counted(n_tracks, 'track')} added to the library “{short(library)}”"
        st.markdown(f":material/check: **{frame.plain(added)}**")
    elif job.state != "cancelled":  # by the visitor: the sidebar says so
        frame.notice("Nothing was added", job.message, job.hint)
    if library in libraries and library != frame.library():
        st.button(
            frame.plain(f"Look at “{short(library)}”"), key="look at added", on_click=state.choose,
            args=("library", library),
        )  # fmt: skip
    return int(job_id)


def _offer_collection(then: str) -> None:
    """Consent first: licence, size and place are said before anything is asked of the network."""
    workspace = resources.workspace()
    offers = [(each, number) for each in COLLECTIONS.values() for number in range(len(each.downloads))]
    collection, number = st.selectbox(
        "Collection", offers, key="collection",
        format_func=lambda offer: f"{offer[0].title}: {offer[0].downloads[offer[1]].holds}",
    )  # fmt: skip
    which = collection.downloads[number]
    link = f"[its homepage]({collection.homepage})"
    st.markdown(f"{collection.summary} {frame.size(which.size_bytes)} · {collection.licence} · {link}")
    folder = st.text_input("Into which folder?", placeholder=f"~/Music/{collection.id}", key="collection-folder")
    renders = st.checkbox(
        "Play what has only MIDI", key="collection-renders",
        help="With our own synthesiser, on a piano. It proves nothing about recorded dynamics or timbre.",
    )  # fmt: skip
    agreed = st.checkbox("I have read its licence and agree", key=f"agree-{collection.id}")
    if st.button(f"Download {frame.size(which.size_bytes)}", disabled=not (agreed and folder), key="fetch"):
        with frame.explain_errors():
            place = Path(folder).expanduser()
            submit(workspace, FetchRequest(collection.id, number, place, collection.id, then, renders=renders))
            st.rerun()


def _keep_upload() -> None:
    """An upload made here joins the named library at once."""
    workspace, value = resources.workspace(), st.session_state["library-upload"].upload
    track = workspace.catalogue.find_sha256(str(value["sha256"])) if value else None
    library = st.session_state["upload-library"].strip()
    if track is not None and library:
        with frame.explain_errors():
            workspace.keep_upload(track.track_id, library)
            encoder_id = st.session_state.get("extractor", DEFAULT)
            submit(workspace, ExtractRequest(library, encoder_id if is_ready(encoder_id) else DEFAULT, goes_on=True))


def embed(encoder_id: str) -> None:
    """What is missing in the chosen library, what it will take, and the button."""
    scope = frame.scope(encoder_id)
    if not scope.workspace.catalogue.n_tracks(scope.library):
        st.caption("Nothing to embed yet.")
        return
    if (job := embedding_of(scope)) is not None:  # numbers that stand still would soon be wrong

        def so_far() -> str:
            n_tracks = counted(scope.workspace.catalogue.n_tracks(scope.library), "track")
            return f"{scope.n_embedded} of {n_tracks} embedded with {scope.info.title}"

        jobs.follow(so_far, job)
        embed_button(scope, len(scope.missing_tracks))
        return
    estimate, done = scope.estimate(), scope.n_embedded
    time = "not known yet" if estimate.seconds is None else f"≈ {frame.seconds(estimate.seconds)}"
    for column, (label, value) in zip(
        st.columns(4),
        {
            "Embedded": f"{done} of {done + estimate.n_tracks}",
            "Segments to do": f"{estimate.n_segments:,}",
            "Time on this machine": time if estimate.n_tracks else "–",
            f"Disk, of {frame.size(estimate.n_free_bytes)} free": frame.size(estimate.n_bytes),
        }.items(),
        strict=True,
    ):
        column.metric(label, value)
    embed_button(scope, estimate.n_tracks)
    _show_other_versions(scope_of(scope.workspace, ALL, encoder_id))


def _show_other_versions(scope: Scope) -> None:
    """What other versions of the encoder have left, if anything."""
    workspace, info, n_left = scope.workspace, scope.info, scope.n_by_other_versions
    if not n_left:
        return
    size = frame.size(workspace.store.size_of_other_versions(info))
    st.caption(
        f"Left by another version of {info.title}: {counted(n_left, 'embedding')}, {size} in all libraries. "
        "They are not mixed with those of this one, and no longer used."
    )
    if st.button(f"Delete the {size} of other versions", key="delete-other-versions"):
        workspace.store.forget_other_versions(info)
        st.rerun()


def show_tracks(encoder_id: str) -> None:
    """The library, found by its names, which can be written over; removing forgets, it never deletes music."""
    workspace, library = resources.workspace(), frame.library()
    if not workspace.catalogue.n_tracks(library):
        st.caption("No tracks yet.")
        return
    text = st.text_input("Filter", key="filter", placeholder="words of the title, work, composer, performer, …")
    tracks, n_found = workspace.catalogue.find(library, text, MOST_SHOWN)
    if n_found == 0:
        st.caption("No track has these words in its names.")
    else:
        _edit_tracks(tracks, encoder_id)
        more = f" The first {MOST_SHOWN:,} by title are shown: filter to see others." if n_found > MOST_SHOWN else ""
        st.caption(
            f"{counted(n_found, 'track')}.{more} "
            "Click a name and type to change it; that stays when its folder is read again."
        )
    _forget_missing(library)
    if library in [summary.name for summary in workspace.catalogue.libraries()]:
        offer_to_remove(library, "Remove this library")


def _forget_missing(library: str) -> None:
    """Files that are gone: looked for when asked, seen before their tracks are forgotten."""
    workspace, key = resources.workspace(), f"missing-{library}"
    with st.popover("Files that are gone"):
        st.write(
            "Tracks whose files were deleted or moved away stay until you say so. What lies on a disk that is not "
            "mounted does not count."
        )
        if st.button("Look for them", key="look-for-missing"):
            with frame.explain_errors():
                st.session_state[key] = workspace.missing_files(library)
        missing = st.session_state.get(key)
        if missing is None:
            return
        if not missing:
            st.caption("Every track has its file.")
            return
        show_table([{"title": each.title, "file": str(each.path)} for each in missing])
        if st.button(f"Forget {len(missing)}", type="primary", key="forget-missing"):
            with frame.explain_errors():
                workspace.forget_missing(library, [each.track_id for each in missing])
            del st.session_state[key]
            st.rerun()


def _edit_tracks(tracks: Sequence[Track], encoder_id: str) -> None:
    """A table whose names can be changed; a change is kept at once."""
    workspace, info = resources.workspace(), resources.info(encoder_id)
    track_ids = [track.track_id for track in tracks]
    known = workspace.store.among(info, track_ids)
    details = workspace.catalogue.details_of_many(track_ids)
    taken = {*NAMES, "collection", "length s", "loudness LUFS", "format", "embedded", "heard as", "notice", "track id"}
    with st.spinner("Reading as what the recordings are heard…"):  # shown only where it takes a while
        heard_as = words_of(workspace, frame.library(), track_ids)
    columns = workspace.catalogue.detail_names(frame.library())
    own = [name for name in columns if name not in taken and not is_companion(name, columns)]
    rows = [
        {
            **{name: getattr(track, name) for name in NAMES},
            "collection": track.collection,
            **{name: details.get(track.track_id, {}).get(name) for name in own},
            "length s": track.duration_s,
            "loudness LUFS": track.loudness_lufs,
            "format": f"{track.codec}, {track.sample_rate_hz / 1000:g} kHz",
            "embedded": track.track_id in known,
            "heard as": ", ".join(heard_as.get(track.track_id, ())) or None,
            "notice": " ".join(track.notices) or None,
            "track id": track.track_id,
        }
        for track in tracks
    ]
    shown = [name for name in rows[0] if name in ("title", "work", "composer", "performer", "instrument", "embedded")
             or any(row[name] is not None for row in rows)]  # fmt: skip
    # Another key after each edit: the table would show the change a second time on top of what is kept now.
    key = f"tracks-{frame.library()}-{st.session_state.get(N_EDITS, 0)}"
    st.data_editor(
        rows,
        key=key,
        hide_index=True,
        width="stretch",
        column_order=shown,
        disabled=[name for name in rows[0] if name not in NAMES],
        on_change=_keep_edits,
        args=(key, track_ids),
        column_config={
            "title": st.column_config.TextColumn(width="large", required=True, max_chars=300),
            **{name: st.column_config.TextColumn(max_chars=300) for name in NAMES[1:]},
            "heard as": st.column_config.TextColumn(help="what MusiCNN hears most, the strongest first"),
            "length s": st.column_config.NumberColumn(format="%.1f"),
            "loudness LUFS": st.column_config.NumberColumn(format="%.1f"),
        },
        placeholder="",
        alt="Tracks of the library",
    )


def _keep_edits(key: str, track_ids: Sequence[str]) -> None:
    for row, names in st.session_state[key]["edited_rows"].items():
        with frame.explain_errors():
            resources.workspace().catalogue.edit(track_ids[int(row)], **names)
    st.session_state[N_EDITS] = st.session_state.get(N_EDITS, 0) + 1
