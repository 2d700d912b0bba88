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
from functools import cached_property

import numpy as np

from mess_core.errors import DataMissingError
from mess_core.search.geometry import Geometry
from mess_core.search.matching import Moment, align, max_sim_by_track, span
from mess_core.search.percentiles import Percentiles
from mess_core.search.rows import Kind, RowIndex

NEAREST_SEGMENTS = 500  # of each query segment
MOST_TRACKS = 500  # compared in full
ALIGNED_TRACKS = 100  # of these, aligned
ROUNDING = 1e-5  # relative: which of two segments is nearer, single precision cannot say below that


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

    @cached_property
    def _places(self) -> dict[str, int]:
        """Of each track among all."""
        return {track_id: place for place, track_id in enumerate(self.track_ids)}

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
        excluded = np.array([self._places[each] for each in {*exclude} if each in self._places], int)
        n_own = int((self._first[excluded + 1] - self._first[excluded]).sum())  # may be nearer than all others
        rows = self.nearest(passage, weights, NEAREST_SEGMENTS + n_own).T.ravel()
        rows = rows[rows >= 0]
        tracks = self._track_of[rows]
        is_wanted = np.isin(tracks, excluded, invert=True)
        rows, tracks = rows[is_wanted], tracks[is_wanted]
        first = np.sort(np.unique(tracks, return_index=True)[1])[:MOST_TRACKS]  # in order of their nearest segment
        if not len(first):
            return []
        if len(passage) == 1 and not self.geometry.any_key:
            # Its best pair in a track is that of the nearest segment, which is among these: the others need no look.
            best = self.geometry.matrix(passage, self.rows.rows(rows[first]), weights)[0]
            least = np.sort(best)[-min(k, len(best))]
            first = first[best >= least - ROUNDING * (1 + abs(least))]
        candidates = tracks[first].tolist()
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
