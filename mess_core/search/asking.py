"""Asking: what a person calls a recording, a path or a track id, becomes a query."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mess_core.catalogue.catalogue import ALL, Track
from mess_core.collections.opening import read_track
from mess_core.embeddings.embedder import Embedder
from mess_core.embeddings.store import side_by_side
from mess_core.errors import UnknownTrackError
from mess_core.search.answers import Query, query_of
from mess_core.search.selection import Facts
from mess_core.search.track_facts import facts_of
from mess_core.spelling import MOST_COMPARED
from mess_core.targets.measurements import Files, measure_track
from mess_core.words import listed
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

EmbedderOf = Callable[[str], Embedder]
MOST_NAMED = 3  # recordings of one title
NEAR_ID = 0.85  # of 16 digits: two slips


def find_named(workspace: Workspace, text: str) -> str:
    """The id of a track that is named beside the query, by its id or by the path of its file.

    Raises
    ------
    UnknownTrackError
        If it is not in the catalogue: such a track is one of the library.
    AudioError
        If a file is no audio.
    """
    path = Path(text).expanduser()
    track_id = read_track(path).track.track_id if path.is_file() else text
    if not workspace.catalogue.has(track_id):
        hint = _meant(workspace, ALL, text) or "Name a track id, or add the file first."
        raise UnknownTrackError(f"{text!r} is no recording of the catalogue.", hint)
    return track_id


def find_query(scope: Scope, text: str, embedder: EmbedderOf | None = None, *, measures: bool = False) -> Query:
    """The query: from the store if it is known, else embedded now and not kept.

    Parameters
    ----------
    embedder : callable or None
        Gives a loaded embedder by its encoder's id; by default it is loaded for this query.
    measures : bool
        Whether measured values are compared: what is not measured of it is measured now, and not kept either.

    Raises
    ------
    UnknownTrackError
        If the text is neither a file nor a track id.
    AudioError
        If the file is no audio.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return _find(scope, read_track(path).track, text, path, embedder, measures)
    try:
        return find_track(scope, text, embedder, measures=measures)
    except UnknownTrackError as error:
        hint = _meant(scope.workspace, scope.library, text) or "Give the path of an audio file."
        raise UnknownTrackError(f"{text!r} is neither a file nor a track id of the catalogue.", hint) from error


def _meant(workspace: Workspace, library: str, text: str) -> str:
    """Which recording a text may have meant, by its title or a slip in its id; empty where none is near."""
    titles = {track_id: label.split(" · ")[0] for track_id, label in workspace.catalogue.labels(library).items()}
    called = [track_id for track_id, title in titles.items() if title.casefold() == text.casefold()]
    if called:
        return f"It is the title of {listed(called, most=MOST_NAMED, joint='or')}: name that."
    near = difflib.get_close_matches(text, list(islice(titles, MOST_COMPARED)), 1, cutoff=NEAR_ID)
    return f"Did you mean {near[0]}, {titles[near[0]]!r}?" if near else ""


def find_track(scope: Scope, track_id: str, embedder: EmbedderOf | None = None, *, measures: bool = False) -> Query:
    """A track of the catalogue as a query, as `find_query`; what names it is never taken for a path.

    Raises
    ------
    UnknownTrackError
        If there is no such track.
    """
    return _find(scope, scope.workspace.catalogue.track(track_id), track_id, None, embedder, measures)


def _find(
    scope: Scope, track: Track, text: str, path: Path | None, embedder: EmbedderOf | None, measures: bool
) -> Query:
    workspace, info = scope.workspace, scope.info

    def file() -> Path:
        return path or workspace.catalogue.audio_path(track.track_id)

    if workspace.store.has(track.track_id, info):
        query = query_of(scope, workspace.catalogue.track(track.track_id), text)
    else:
        load = embedder or (lambda encoder_id: Embedder(encoder_id, home=workspace.paths.root))
        by_encoder = {each: load(each.id).hear(file(), track.track_id, track.title) for each in info.encoders}
        heard = next(iter(by_encoder.values()))
        embedding = heard.embedding
        if info.parts:
            embedding = side_by_side(info, {each: by_encoder[each].embedding for each in info.encoders})
        known = workspace.catalogue.find_sha256(track.sha256)
        facts = Facts() if known is None else facts_of(workspace, known.track_id)
        values = workspace.measurements.of_track(track.track_id, current_only=True)
        query = Query(text, track.track_id, embedding, heard.facts.duration_s, facts, values)
    if measures and not query.values:
        is_known = workspace.catalogue.has(track.track_id)
        files = workspace.measurements.files(track.track_id) if is_known else Files(track.track_id, file())
        query = replace(query, values=measure_track(replace(files, audio=file())).track)
    return query
