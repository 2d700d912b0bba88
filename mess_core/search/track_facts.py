"""Facts of tracks, as the catalogue knows them: what filters, caps and versions go by. Read of many in one go."""

from __future__ import annotations

from collections.abc import Sequence

from mess_core.catalogue.catalogue import NAMES, Track
from mess_core.search.selection import Facts
from mess_core.workspace.workspace import Workspace


def facts_of(workspace: Workspace, track_id: str) -> Facts:
    """The facts of one track; UnknownTrackError if it is not in the catalogue."""
    track = workspace.catalogue.track(track_id)
    return facts_of_many(workspace, [track.track_id])[track.track_id]


def facts_of_many(workspace: Workspace, track_ids: Sequence[str]) -> dict[str, Facts]:
    """The facts of tracks by id; of one that was removed meanwhile there are none.

    Without an album among its tags, the folder a file lies in stands for it.
    """
    catalogue = workspace.catalogue
    tracks = catalogue.tracks_of(track_ids)
    details = catalogue.details_of_many(track_ids)
    paths = catalogue.file_paths_of([track.track_id for track in tracks.values() if not track.album])

    def album(track: Track) -> str:
        return f"{track.album_artist or ''}: {track.album}" if track.album else str(paths[track.track_id][0].parent)

    return {
        track_id: Facts(
            work=work_of(track),
            performer=track.performer,
            album=album(track),
            composer=track.composer,
            instrument=track.instrument,
            collection=track.collection,
            split=track.split,
            details={**{name: value for name in NAMES if (value := getattr(track, name))}, **details.get(track_id, {})},
        )
        for track_id, track in tracks.items()
    }


def work_of(track: Track) -> str | None:
    """What versions of a work have in common: works of two composers may have one name."""
    return f"{track.composer}: {track.work}" if track.work else None
