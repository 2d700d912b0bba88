"""A path on 4_Listen: recordings that lead from the query to another one, step by step, in the same player."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mess_core.catalogue.catalogue import Track
from mess_core.errors import DataMissingError
from mess_core.handover.exports import as_m3u8, path_as_csv, path_document_as_json
from mess_core.search.answers import make_plan, query_of
from mess_core.search.explaining import explain_steps, names_in_common
from mess_core.search.paths import MOST_VIA, TrackPath, find_path, question_of_path
from mess_core.search.question import Question
from mess_core.search.reasons import in_one_line
from mess_core.search.tagged import tags_in_common
from mess_core.search.track_facts import facts_of_many
from mess_core.words import counted, listed
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, resources, state
from pages.shared.listen.aspects import measured_faithfulness
from pages.shared.listen.named import chip, offer
from pages.shared.listen.panels import say
from pages.shared.listen.query import measure_query
from pages.shared.listen.rows import show_steps
from pages.shared.widgets.pickers import offer_as_library

HOW = (
    "Each step goes on towards the last recording, none goes back, and none is taken twice. Of all such paths of this "
    "length it is the one whose largest step is smallest. Beside each stands in what it is like the one before, and in "
    "what not. *of 100*: how near a recording is to the one before it, "
    "among the pairs that recordings of this library form with their nearest."
)


def choose_path(query: Track, passage: tuple[float, float] | None, said: DeltaGenerator) -> list[str]:
    """The recordings after the query that a path leads by way of, its end the last; empty for no path. In the URL.

    `said` : where sentences about it stand, beside the row of its buttons
    """
    labels = resources.workspace().catalogue.labels(frame.library())
    if state.read("to") and passage is not None:
        said.caption("A passage is looked for by itself: the path waits until it is gone.")
        return []
    end, via = _named(query, labels, said)
    if not end:
        offer("A path to …", ":material/route:", {"to": "A path from the query to"}, {query.track_id}, labels)
        return []
    st.caption("A path to", width="content")
    chip(labels[end], f"to {end}", _go_nowhere)
    if via:
        st.caption("by way of", width="content")
    for track_id in via:
        chip(labels[track_id], f"via {track_id}", state.name_no_more, "via", track_id)
    with st.popover("How long it is", icon=":material/tune:"):
        state.sticky(st.number_input, "Recordings, 2 to 50", 2, 50, key="steps", help="Query and end among them.")
    if len(via) < MOST_VIA:
        offer("By way of", ":material/add_location:", {"via": "By way of"}, {query.track_id, end, *via}, labels)
    return [*via, end]


def _named(query: Track, labels: dict[str, str], said: DeltaGenerator) -> tuple[str, list[str]]:
    """The end of a path and what lies between, as far as they are here; what is not is left out, and that is said."""
    end, via = state.read("to"), list(dict.fromkeys(state.named("via")))
    known_end = end if end in labels and end != query.track_id else ""
    known = [each for each in via if each in labels and each not in (end, query.track_id)][:MOST_VIA]
    if end and (known_end != end or known != state.named("via")):
        said.caption("A recording of the path in this link is another of its stops, or not in this library (any more).")
        state.keep("to", known_end)
        state.keep("via", known)
    return known_end, known


def _go_nowhere() -> None:
    state.keep("to", "")
    state.keep("via", [])


def show_path(query: Track, ends: Sequence[str], scope: Scope, question: Question) -> None:
    """The path, step by step: how near each is to the one before, the largest step, and files of it."""
    if not measure_query(query, question, None):
        return
    path = _find(query, ends, scope, question_of_path(question))
    say(path.notices)
    st.subheader(f"A path of {counted(len(path.steps), 'recording')}", anchor=False)
    st.text(path.sentence)
    if path.plan.basis:
        st.text(path.plan.basis)
    show_steps(path, steps_in_lines(path))
    name = f"path-{query.track_id}-{ends[-1]}"
    with st.container(horizontal=True):
        st.download_button("CSV", partial(path_as_csv, path), f"{name}.csv", "text/csv", on_click="ignore", key="csv")
        st.download_button(
            "JSON", partial(path_document_as_json, path), f"{name}.json", "application/json", on_click="ignore",
            key="json",
        )  # fmt: skip
        st.download_button(
            "Playlist (M3U8)", partial(as_m3u8, path), f"{name}.m3u8", "audio/x-mpegurl", on_click="ignore", key="m3u8"
        )
        offer_as_library([step.track.track_id for step in path.steps])
    st.caption(HOW)


def steps_in_lines(path: TrackPath) -> list[str]:
    """Of each recording in what it is like the one before, and in what not; of the first nothing."""
    scope, discovery = path.plan.scope.for_aspects, resources.discovery(path.plan.scope)
    measured = measured_faithfulness(scope, discovery) if discovery else None
    family = measured.family if measured else lambda aspect: ()
    facts = facts_of_many(scope.workspace, [step.track.track_id for step in path.steps])
    tagged = resources.tagged(scope.library)
    lines = [""]
    reasons = explain_steps(path, resources.index, resources.discovery)
    for before, step, why in zip(path.steps, path.steps[1:], reasons[1:], strict=False):
        said = ["a wide step"] if step.is_wide else []
        if before.track.track_id in facts:
            said += [f"same {name}" for name in names_in_common(facts[before.track.track_id], step.track)]
        said.append(in_one_line(why, family, left_out=path.plan.question.avoid))
        both = tags_in_common(scope.workspace, tagged, before.track.track_id, [step.track.track_id])
        if words := both[step.track.track_id]:
            said.append(f"both heard as {listed(words)}")
        lines.append("; ".join(filter(None, said)))
    return lines


def _find(query: Track, ends: Sequence[str], scope: Scope, question: Question) -> TrackPath:
    plan = make_plan(scope, question, resources.discovery(scope))
    catalogue, store = scope.workspace.catalogue, scope.workspace.store
    tracks = [query, *(catalogue.track(track_id) for track_id in ends)]
    for track in tracks:
        if not store.has(track.track_id, plan.scope.info):
            raise DataMissingError(
                f"{track.title} is not embedded yet by {plan.scope.info.id}, so no path leads there.",
                f"python -m mess_core extract --encoder {plan.scope.info.id}",
            )
    stops = [query_of(plan.scope, track, track.title) for track in tracks]
    return find_path(resources.index(plan), plan, stops, int(state.read("steps")))
