"""Answering: what each endpoint does, in a thread: fields in, a document out, the same that the command line prints.

Nothing that a client sends is taken for a path: a track is named by its id, which must be in the catalogue; a file that
is sent lies under a name of ours, which nobody learns, and is gone when it was answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mess_core.encoders.registry import DEFAULT
from mess_core.errors import InputError, UnknownTrackError
from mess_core.evaluation.blending import weigh_sources, weights_of
from mess_core.handover.exports import (
    as_document,
    explained_document,
    recommended_document,
    tags_document,
    why_not_document,
)
from mess_core.recommend.explaining import why_not_of
from mess_core.recommend.for_you import recommend
from mess_core.search.answers import Answer, Plan, Query
from mess_core.search.asking import find_query, find_track
from mess_core.search.explaining import explain_neighbours
from mess_core.search.inquiry import answer_plan, asked_scope, plan_inquiry
from mess_core.search.tagged import read_tags
from mess_core.serve.fields import MOST_RESULTS, inquiry_of
from mess_core.serve.refusals import Refusal
from mess_core.serve.shared import Shared
from mess_core.workspace.scope import scope_of

MOST_NUMBERS = 2_000_000  # of one embedding with its segments: 20 MB of text


@dataclass(frozen=True)
class SentFile:
    """A file that came with a request: where we put it, its sha256 and length, and what its sender calls it."""

    path: Path
    sha256: str
    duration_s: float
    name: str


Said = Mapping[str, Any]
Answering = Callable[[Shared, Said, SentFile | None], dict[str, Any]]


def embed(shared: Shared, said: Said, sent: SentFile | None) -> dict[str, Any]:
    """The embedding of a file, as a library would keep it; from the store where its bytes are known."""
    if sent is None:
        raise Refusal(422, "There is nothing to embed.", None, "the bytes of an audio file", "Send one as the body.")
    scope = scope_of(shared.workspace, "", said.get("encoder", DEFAULT))
    with shared.hearing:
        query = find_query(scope, str(sent.path), shared.embedder)
    embedding, info = query.embedding, scope.info
    document = {
        "encoder": info.id,
        "fingerprint": info.fingerprint,
        "sha256": sent.sha256,
        "name": sent.name,
        "duration_s": query.duration_s,
        "segment_s": info.segment_s,
        "n_layers": info.n_layers,
        "dim": info.embedding_dim,
        "n_segments": len(embedding.starts_s),
        "mean": embedding.mean.tolist(),
        "starts_s": None,
        "segments": None,
    }
    if said.get("segments"):
        if embedding.segments.size > MOST_NUMBERS:
            raise Refusal(
                413, "So many segments are not sent.", embedding.segments.size, f"at most {MOST_NUMBERS} numbers",
                "Ask without segments, or send a shorter file.",
            )  # fmt: skip
        document["starts_s"] = embedding.starts_s.tolist()
        document["segments"] = embedding.segments.tolist()
    return document


def similar(shared: Shared, said: Said, sent: SentFile | None) -> dict[str, Any]:
    """The nearest tracks."""
    return as_document(_found(shared, said, sent))


def explain(shared: Shared, said: Said, sent: SentFile | None) -> dict[str, Any]:
    """The nearest tracks, and in what each is like the query, and in what not."""
    found = _found(shared, said, sent)
    return explained_document(found, explain_neighbours(found, shared.index, shared.discovery))


def recommended(shared: Shared, said: Said, sent: SentFile | None) -> dict[str, Any]:
    """What a listener may want to hear next, and why; or what keeps a track from it."""
    workspace = shared.workspace
    scope = asked_scope(workspace, said["library"], said.get("encoder"))
    scope.require_library()
    if said.get("why_not") is not None:
        track_id = _known(shared, said["why_not"])
        return why_not_document(track_id, *why_not_of(scope, said["listener"], track_id))
    listed = recommend(
        scope, said["listener"], said["section"], k=said["k"], surprise=said["surprise"], seed=said["seed"],
        context=said.get("context"), weights=weights_of(weigh_sources(scope, time.time())),
        index_of=shared.index, discovery_of=shared.discovery,
    )  # fmt: skip
    return recommended_document(listed)


def tags(shared: Shared, said: Said, sent: SentFile | None) -> dict[str, Any]:
    """As what recordings are heard."""
    workspace, track_ids = shared.workspace, said.get("tracks", [])
    workspace.catalogue.require_library(said["library"])
    n = len(track_ids) or workspace.catalogue.n_tracks(said["library"])
    if n > MOST_RESULTS:
        raise Refusal(422, "So many tracks are not told at once.", n, f"at most {MOST_RESULTS}", "Name some: track=ID.")
    return tags_document(read_tags(workspace, said["library"], track_ids))


def _found(shared: Shared, said: Said, sent: SentFile | None) -> Answer:
    workspace, asked = shared.workspace, inquiry_of(said)
    workspace.catalogue.require_library(asked.library)
    named = said.get("query")
    if named is not None and sent is not None:
        raise InputError("There are two queries: a track and a file.", "Give one of the two.")
    if named is None and sent is None and asked.words is None and not asked.along:
        raise InputError("Nothing is asked for.", "Give a query, or send a file, or give words, or along.")
    for track_id in (*asked.like, *asked.unlike):
        _known(shared, track_id)
    plan = plan_inquiry(workspace, asked, shared.discovery)

    def query_of(plan: Plan) -> Query:
        measures = plan.measured is not None
        if sent is not None:
            with shared.hearing:
                return find_query(plan.scope, str(sent.path), shared.embedder, measures=measures)
        track_id = _known(shared, str(named))
        if workspace.store.has(track_id, plan.scope.info):
            return find_track(plan.scope, track_id, measures=measures)
        with shared.hearing:
            return find_track(plan.scope, track_id, shared.embedder, measures=measures)

    is_of_sound = named is not None or sent is not None
    found = answer_plan(
        plan, query_of if is_of_sound else None, asked.passage,
        index_of=shared.index, segments_of=shared.segment_index,
    )  # fmt: skip
    if sent is not None and found.query is not None:
        found = replace(found, query=replace(found.query, text=sent.name))
    return found


def _known(shared: Shared, track_id: str) -> str:
    if not shared.workspace.catalogue.has(track_id):
        raise UnknownTrackError(f"{track_id!r} is no recording of the catalogue.", "Name a track by its id.")
    return track_id


def without_paths(document: dict[str, Any]) -> dict[str, Any]:
    """The same, but for where files lie."""
    for rows in (document.get("results"), document.get("tracks")):
        for row in rows or ():
            row["path"] = None
    return document
