"""Comparisons: one neighbour beside the query, in depth: which moments, and which measured values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mess_core.answers import Plan, Query
from mess_core.discovery import Discovery
from mess_core.home import Home
from mess_core.matching import Moment, align, best_moments
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.segments import similarity_matrix
from mess_core.targets.base import TargetValue, error_in_units
from mess_core.targets.registry import TARGETS

N_MOMENTS = 5


@dataclass(frozen=True)
class MomentMap:
    """Every segment of the query with every segment of the track.

    query_starts_s, track_starts_s : seconds
    similarities : one row per segment of the query, in the geometry and with the weights of the search
    path : (query segment, track segment) pairs that follow each other in both; the query laid along the track
    moments : the stretches that resemble each other most, the best first
    """

    query_starts_s: tuple[float, ...]
    track_starts_s: tuple[float, ...]
    similarities: tuple[tuple[float, ...], ...]
    path: tuple[tuple[int, int], ...]
    moments: tuple[Moment, ...]


@dataclass(frozen=True)
class TargetPair:
    """A measured property of both recordings.

    query, track : in the target's unit; None where it is undefined or not measured yet
    is_weak : one of the two is an estimate to be used with care
    error : how far off the encoder typically is in it, in the target's unit near the track's value, on works it had
        not seen; None without discovery
    """

    target: str
    unit: str
    query: float | None
    track: float | None
    is_weak: bool
    error: float | None


def map_moments(home: Home, index: NeighbourIndex, plan: Plan, query: Query, track_id: str) -> MomentMap:
    """Compare all moments of two recordings; errors as `EmbeddingStore.read`."""
    embedding = home.store.read(track_id, plan.info)
    asked, others = (index.geometry.items(each.segments.astype(np.float32)) for each in (query.embedding, embedding))
    similarities = similarity_matrix(index.geometry, asked, others, index.weights(plan.request))
    starts = query.embedding.starts_s, embedding.starts_s
    return MomentMap(
        query_starts_s=tuple(starts[0].tolist()),
        track_starts_s=tuple(starts[1].tolist()),
        similarities=tuple(map(tuple, similarities.tolist())),
        path=tuple(map(tuple, align(similarities).pairs.tolist())),
        moments=tuple(best_moments(similarities, *starts, plan.info.segment_s, n=N_MOMENTS)),
    )


def compare_targets(home: Home, discovery: Discovery | None, query_id: str, track_id: str) -> list[TargetPair]:
    """The 22 targets of both recordings; those that neither has are left out."""
    query, track = home.measurements.of_track(query_id), home.measurements.of_track(track_id)
    unknown = TargetValue.none("not measured")
    pairs = []
    for target in TARGETS.values():
        one, other = query.get(target.id, unknown), track.get(target.id, unknown)
        if target.is_companion or (math.isnan(one.value) and math.isnan(other.value)):
            continue
        near = other.value if not math.isnan(other.value) else one.value
        mae = _typical_error(discovery, target.id)
        error = None if mae is None else error_in_units(near, mae, target.transform)
        pairs.append(
            TargetPair(
                target=target.id,
                unit=target.unit,
                query=_known(one.value),
                track=_known(other.value),
                is_weak="weak" in (one.quality, other.quality),
                error=None if error is None or math.isnan(error) else abs(error),
            )
        )
    return pairs


def _typical_error(discovery: Discovery | None, target: str) -> float | None:
    """Mean absolute error of the best layer, on the probed scale, out of fold."""
    if discovery is None:
        return None
    summary = next((each for each in discovery.result.targets if each.target == target), None)
    if summary is None or summary.best_layer is None:
        return None
    return discovery.result.cell(summary.best_layer, target).mae


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
