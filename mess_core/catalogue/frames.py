"""Tracks as a table: all that is known of each, one row a track, the columns of the user's own table among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mess_core.catalogue.catalogue import Catalogue, Track
from mess_core.storage.dataframe import frame_of

if TYPE_CHECKING:
    import pandas

OWN = "own:"  # before a column of the user's table that is called as one of ours


class TrackList(list[Track]):
    """Tracks, in order; `to_frame` is the table of them."""

    def __init__(self, tracks: Iterable[Track], catalogue: Catalogue) -> None:
        super().__init__(tracks)
        self._catalogue = catalogue

    def to_frame(self) -> pandas.DataFrame:
        """One row a track, `track_id` first, with every column that is known; what is not known is missing."""
        return frame_of(metadata_of(self._catalogue, self), ["track_id"])


def metadata_of(catalogue: Catalogue, tracks: Iterable[Track]) -> list[dict[str, Any]]:
    """What is known of each track: our columns, then those of the user's own table."""
    tracks = list(tracks)
    details = catalogue.details_of_many([track.track_id for track in tracks])
    rows = []
    for track in tracks:
        row: dict[str, Any] = asdict(track)
        own = details.get(track.track_id, {})
        rows.append(row | {OWN + name if name in row else name: value for name, value in own.items()})
    return rows
