"""Rows: what each row of a discovery stands for, a recording or a segment of one, and where that begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mess_core.embeddings.store import EmbeddingStore
from mess_core.encoders.base import EncoderInfo
from mess_core.errors import ArtefactMismatchError, DataMissingError


@dataclass(frozen=True)
class Row:
    """What was measured.

    row_id : as in `Discovery.row_ids`
    start_s : where it begins in its recording, in seconds
    is_segment : whether it is a segment, or all of the recording
    """

    row_id: str
    track_id: str
    start_s: float
    is_segment: bool


def rows_of(store: EmbeddingStore, row_ids: Sequence[str], info: EncoderInfo) -> dict[int, Row]:
    """Position in `row_ids` -> its row; a segment whose embedding is gone since, or damaged, is left out.

    Where a segment begins is read, not counted: silence is skipped, and the last one ends where the sound ends.
    """
    rows: dict[int, Row] = {}
    starts_s: dict[str, list[float]] = {}
    for place, row_id in enumerate(row_ids):
        track_id, _, number = row_id.partition(":")
        if not number:
            rows[place] = Row(row_id, track_id, 0.0, is_segment=False)
            continue
        if track_id not in starts_s:
            starts_s[track_id] = _starts_s(store, track_id, info)
        if int(number) < len(starts_s[track_id]):
            rows[place] = Row(row_id, track_id, starts_s[track_id][int(number)], is_segment=True)
    return rows


def _starts_s(store: EmbeddingStore, track_id: str, info: EncoderInfo) -> list[float]:
    try:
        return [float(start_s) for start_s in store.read(track_id, info).starts_s]
    except (DataMissingError, ArtefactMismatchError):
        return []
