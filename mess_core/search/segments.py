"""Segments: where in a library is this passage?

A library's segments in one matrix, one track after the other. A passage is a few segments in a row; each looks for its
nearest among all of them, which names the tracks worth a closer look; those are compared in full.

    passage (n_query_segments)
      -> nearest segments of each                    at most 500 tracks
      -> max-sim of passage and track                exact; the tracks that go on
      -> alignment: the stretch in the same order    what ranks them, and where to listen

Source
------
Khattab & Zaharia (2020) for late interaction; `mess_core.search.matching` for the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from mess_core.errors import DataMissingError
from mess_core.search.geometry import Geometry
from mess_core.search.matching import Moment, align, max_sim_by_track, span
from mess_core.search.percentiles import Percentiles
from mess_core.search.rows import Kind, RowIndex

NEAREST_SEGMENTS = 500  # of each query segment
MOST_TRACKS = 500  # compared in full
ALIGNED_TRACKS = 100  # of these, aligned


@dataclass(frozen=True)
class PassageMatch:
    """A track that holds something like the passage.

    similarity : the mean along the aligned stretch
    semitones : as of `neighbours.Neighbour`
    """

    rank: int
    track_id: str
    similarity: float
    percentile: float | None
    moment: Moment
    semitones: int | None = None


class SegmentIndex:
    """The segments of one library by one encoder in one geometry.

    Parameters
    ----------
    track_ids : sequence of str
    items : ndarray, shape (n_segments, n_columns), float32
        Of all tracks, one after the other, in order of time.
    starts_s : ndarray, shape (n_segments,), seconds
    n_segments : ndarray, shape (n_tracks,), int
        Of each track, at least one.
    segment_s : float, seconds
    """

    def __init__(
        self,
        track_ids: tuple[str, ...],
        items: np.ndarray,
        starts_s: np.ndarray,
        n_segments: np.ndarray,
        segment_s: float,
        geometry: Geometry,
        kind: Kind | None = None,
    ) -> None:
        if not track_ids:
            raise DataMissingError("No track of this library has segments yet.", "python -m mess_core extract")
        self.track_ids, self.geometry, self.segment_s = track_ids, geometry, segment_s
        self.starts_s = starts_s
        self.rows = RowIndex(len(items), items.shape[1], lambda start, stop: items[start:stop], kind)
        self.percentiles = Percentiles(geometry, self.rows)
        self._track_of = np.repeat(np.arange(len(track_ids)), n_segments)
        self._first = np.concatenate([[0], np.cumsum(n_segments)])

    def __len__(self) -> int:
        return len(self._track_of)

    def nearest(self, passage: np.ndarray, weights: np.ndarray, n: int = NEAREST_SEGMENTS) -> np.ndarray:
        """Rows of the n segments nearest to each item of a passage, (n_query_segments, n)."""
        lookups = [self.geometry.lookups(item, weights) for item in passage]
        vectors = [np.atleast_2d(own.vector) for (own,) in lookups]  # of what works on segments there is one
        share = np.count_nonzero(vectors[0]) / vectors[0].size
        return np.stack([self.rows.search_any(own, n, share)[1] for own in vectors])

    def search(
        self,
        passage: np.ndarray,
        passage_starts_s: np.ndarray,
        weights: np.ndarray,
        k: int = 10,
        exclude: Collection[str] = (),
    ) -> list[PassageMatch]:
        """The tracks that hold something most like the passage, the best first.

        Parameters
        ----------
        passage : ndarray, shape (n_query_segments, n_columns)
            Items of the passage's segments.
        passage_starts_s : ndarray, shape (n_query_segments,), seconds
        weights : ndarray, shape (n_parts,)
        exclude : collection of str
            Track ids that must not come back.
        """
        is_excluded = np.isin(self.track_ids, list(exclude))[self._track_of]
        n_wanted = NEAREST_SEGMENTS + int(is_excluded.sum())  # a query's own may be nearer than all others
        rows = self.nearest(passage, weights, n_wanted)
        tracks: dict[int, None] = {}  # in order of their nearest segment
        for row in rows.T.ravel():
            if row >= 0 and not is_excluded[row]:
                tracks.setdefault(int(self._track_of[row]))
        candidates = list(tracks)[:MOST_TRACKS]
        if not candidates:
            return []
        spans = [np.arange(self._first[track], self._first[track + 1]) for track in candidates]
        codes = np.repeat(np.arange(len(candidates)), [len(own) for own in spans])
        items = self.rows.rows(np.concatenate(spans))
        similarities = self.geometry.matrix(passage, items, weights, codes)
        semitones = self.geometry.semitones(passage, items, codes)
        loosely = max_sim_by_track(similarities, codes)
        ends = np.cumsum([len(own) for own in spans])
        found: list[tuple[str, float, Moment, int | None]] = []
        for number in np.argsort(-loosely, kind="stable")[: max(ALIGNED_TRACKS, 3 * k)]:
            alignment = align(similarities[:, ends[number] - len(spans[number]) : ends[number]])
            moment = span(alignment, passage_starts_s, self.starts_s[spans[number]], self.segment_s)
            higher = int(semitones[number]) if self.geometry.any_key else None
            found.append((self.track_ids[candidates[number]], alignment.similarity, moment, higher))
        found.sort(key=lambda match: (-match[1], match[0]))
        percentiles = self.percentiles.of(np.array([similarity for _, similarity, *_ in found[:k]]), weights)
        return [
            PassageMatch(
                rank, track_id, similarity, float(percentile) if np.isfinite(percentile) else None, moment, higher
            )
            for rank, ((track_id, similarity, moment, higher), percentile) in enumerate(
                zip(found[:k], percentiles, strict=True), start=1
            )
        ]
