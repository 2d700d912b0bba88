"""What several pages ask: by which encoder they look at the library, and whether to embed what it has not heard yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.encoders.hearings import ANY_KEY, LIKE_THIS, layer_of_hearing
from mess_core.encoders.registry import DEFAULT, encoder_choices, encoder_ids, hearing_ids
from mess_core.errors import InputError
from mess_core.glossary import define
from mess_core.storage.jobs import Job
from mess_core.words import counted
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit, under_way
from mess_core.workspace.scope import Scope, scope_to_listen
from pages.shared.app import frame, jobs, resources, state

MORE = {
    LIKE_THIS: (
        "for sound and style",
        "Embeds them with a second encoder, which comes with MESS and learned from real music.",
    ),
    ANY_KEY: ("in any key", "Notes which pitch classes sound in them: what is transposed is found. Quickly done."),
}  # what is offered where it is missing: how it is called, and what is done
MOST_OFFERED = 2000  # recordings in one list to choose from
MOST_FOUND = 50  # of more, so many at a time
READY = ("embedded", "present")  # the weights of an encoder that can be used now


def choose_encoder(*, also_hearings: bool = False) -> Scope:
    """This library, by an encoder that has embedded it; by the default while there is none, or only an old one."""
    ids = [e for e in encoder_ids(resources.workspace().paths) if frame.scope(e).n_embedded]
    if not ids or (DEFAULT not in ids and frame.scope(DEFAULT).n_by_other_versions):
        ids.append(DEFAULT)  # to be embedded again
    first = DEFAULT if DEFAULT in ids else ids[0]
    infos = [resources.info(each) for each in heard_hearings()] if also_hearings else []
    hearings = {each.id: each.title for each in infos if not each.any_key}
    return frame.scope(
        state.sticky(
            st.selectbox, "Encoder", options=[*ids, *hearings], key="encoder", default=first,
            format_func=lambda each: hearings.get(each, each), help=define("encoder", "embedding"),
        )
    )  # fmt: skip


def choose_hearing() -> Scope:
    """This library, by a hearing that has heard it or by a single encoder; by "like this" as soon as that can be.

    That is once it has heard all that the default encoder has: before, most of the library would be out of sight.
    """
    ids = heard_hearings()
    usual_ids = [hearing for hearing in ids if not resources.info(hearing).any_key]
    encoders = [e for e in encoder_ids(resources.workspace().paths) if frame.scope(e).n_embedded]
    if not usual_ids and (not encoders or (DEFAULT not in encoders and frame.scope(DEFAULT).n_by_other_versions)):
        encoders.append(DEFAULT)  # to be embedded again
    named = {hearing: resources.info(hearing).title for hearing in ids}
    named |= {encoder: f"one encoder: {encoder}" if ids else encoder for encoder in encoders}
    one = _one_layer()
    if one is not None:
        named[one.info.id] = one.info.title
    asked, hearing = state.read("encoder"), state.read("hearing")
    first = scope_to_listen(resources.workspace(), frame.library()).info.id
    usual = next(each for each in (first, DEFAULT, *usual_ids, *encoders) if each in named)
    chosen = state.sticky(
        st.selectbox, "Hearing", options=list(named), key="hearing", format_func=lambda each: named.get(each, each),
        default=asked if asked in named else usual,
        help="\n\n".join([define("hearing"), *(f"*{named[each]}*: {resources.info(each).summary}" for each in ids)]),
    )  # fmt: skip
    if asked and asked not in named and not hearing:
        state.cannot("encoder", asked, "which has heard nothing here", f"“{named[chosen]}” listens instead")
    if one is not None and chosen == one.info.id:
        st.caption("Only this layer listens, as it was chosen on Layers.")
        frame.link(
            "pages/2_Layers.py", "Back to that layer", ":material/layers:", encoder=one.info.encoders[0].id,
        )  # fmt: skip
    if DEFAULT in encoders:
        for hearing in MORE:
            _offer_to_listen_for_more(hearing)
    return frame.scope(chosen)


def _one_layer() -> Scope | None:
    """This library, by the single layer that is asked for; None where none is, or it cannot be."""
    asked = str(state.read("hearing"))
    if layer_of_hearing(asked) is None:
        return None
    try:
        scope = frame.scope(asked)
    except InputError as error:
        _say_who_does_not_listen(asked, error.message.rstrip("."))
        return None
    if not scope.n_embedded:
        _say_who_does_not_listen(asked, f"{scope.info.title} has heard nothing of this library")
        return None
    return scope


def _say_who_does_not_listen(hearing: str, why: str) -> None:
    if not state.cannot("hearing", hearing, f"but {why}", "another listens"):
        st.text(f"{why}. Another listens.")


def heard_hearings() -> list[str]:
    """The hearings that have heard something of this library."""
    return [hearing for hearing in hearing_ids() if frame.scope(hearing).n_embedded]


def _offer_to_listen_for_more(hearing: str) -> None:
    """Where the default encoder has embedded a library and the others of a hearing have not yet."""
    if hearing not in hearing_ids():
        return
    scope = frame.scope(hearing)
    n_missing = frame.scope(DEFAULT).n_embedded - scope.n_embedded
    if n_missing <= 0:
        return
    job = embedding_of(scope)
    what, help_text = MORE[hearing]
    how_many = "" if job is not None else f" ({counted(n_missing, 'track')})"
    if jobs.work_button(f"Listen {what}, too{how_many}", job, key=f"listen for more {hearing}", help=help_text):
        submit(scope.workspace, ExtractRequest(scope.library, hearing))
        st.rerun()


def embedding_of(scope: Scope) -> Job | None:
    """The job that embeds this library, or all of them."""
    asked = (
        under_way(scope.workspace, ExtractRequest, library=library, encoder_id=scope.info.id)
        for library in dict.fromkeys((scope.library, ALL))
    )
    return next((job for job in asked if job is not None), None)


def embed_button(scope: Scope, n_tracks: int) -> None:
    """One click: embedding, and then discovery."""
    workspace, info = scope.workspace, scope.info
    if n_tracks == 0:
        st.caption(f"Every track is embedded with {info.title}.")
        return
    job = embedding_of(scope)
    # How many are left changes with every moment meanwhile; that is said by what is being worked on.
    label = f"Embed {'the rest' if job is not None else counted(n_tracks, 'track')} with {info.title}"
    if jobs.work_button(label, job, type="primary", disabled=not is_ready(info.id)):
        submit(workspace, ExtractRequest(scope.library, info.id, goes_on=True))
        st.rerun()


def is_ready(encoder_id: str) -> bool:
    """Whether an encoder can be used now, or all of a hearing's."""
    choices = encoder_choices(resources.workspace().paths)
    ready = {choice.info.id for choice in choices if choice.weights.status in READY}
    return {each.id for each in resources.info(encoder_id).encoders} <= ready


def offer_as_library(track_ids: Sequence[str]) -> None:
    """Recordings that were found or drawn around, as a library of their own: they stay in the others, too."""
    with st.popover("Save as a library"), st.form("as library", border=False):
        name = st.text_input("Library", placeholder="its name", max_chars=60).strip()
        if st.form_submit_button("Save", type="primary"):
            with frame.explain_errors():
                workspace = resources.workspace()
                is_new = name not in [library.name for library in workspace.catalogue.libraries()]
                before = set() if is_new else set(workspace.catalogue.track_ids(name))
                workspace.catalogue.add_to_library(name, track_ids)
                n = counted(len(set(track_ids) - before), "recording")
                known = len(before & set(track_ids))
                st.text(f"{n} saved as {name}." if is_new else f"{n} added to {name}, {known} were there already.")
                frame.link("pages/4_Listen.py", "Ask of them alone", library=name, query="")


def tracks_to_choose(library: str, tracks: Collection[str], *, key: str) -> list[str]:
    """Tracks for one list to choose from: all, or of very many those that fit some words.

    A list is sent to the browser and laid out there whenever the page runs, and that of ten thousand titles is a
    megabyte: half of the time from a click to its answer.
    """
    if len(tracks) <= MOST_OFFERED:
        return list(tracks)
    words = st.text_input("Find", key=key, placeholder="title, performer, instrument")
    if not words.strip():
        return []
    found, n_found = resources.workspace().catalogue.find(library, words, MOST_FOUND)
    offered = [track.track_id for track in found if track.track_id in tracks]
    if not offered:
        st.caption("Nothing here is called so.")
    elif n_found > MOST_FOUND:
        st.caption(f"The first {MOST_FOUND} of {n_found:,}: another word finds fewer.")
    return offered
