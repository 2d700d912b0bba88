"""Asking: what a person calls a recording, a path or a track id, becomes a query."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mess_core.collections.opening import read_track
from mess_core.embeddings.embedder import Embedder
from mess_core.errors import UnknownTrackError
from mess_core.search.answers import Query, query_of
from mess_core.search.selection import Facts
from mess_core.search.track_facts import facts_of
from mess_core.workspace.scope import Scope


def find_query(scope: Scope, text: str, embedder: Callable[[], Embedder] | None = None) -> Query:
    """The query: from the store if it is known, else embedded now and not kept.

    Parameters
    ----------
    embedder : callable or None
        Gives a loaded embedder where one is needed; by default it is loaded for this query.

    Raises
    ------
    UnknownTrackError
        If the text is neither a file nor a track id.
    AudioError
        If the file is no audio.
    """
    workspace, info = scope.workspace, scope.info
    path = Path(text).expanduser()
    if path.is_file():
        track = read_track(path).track
    else:
        try:
            track = workspace.catalogue.track(text)
        except UnknownTrackError as error:
            raise UnknownTrackError(
                f"{text!r} is neither a file nor a track id of the catalogue.", "Give the path of an audio file."
            ) from error
    if workspace.store.has(track.track_id, info):
        return query_of(scope, workspace.catalogue.track(track.track_id), text)
    if not path.is_file():
        path = workspace.catalogue.audio_path(track.track_id)
    loaded = embedder() if embedder is not None else Embedder(info.id, home=workspace.paths.root)
    heard = loaded.hear(path, track.track_id, track.title)
    known = workspace.catalogue.find_sha256(track.sha256)
    facts = Facts() if known is None else facts_of(workspace, known.track_id)
    return Query(text, track.track_id, heard.embedding, heard.facts.duration_s, facts)
