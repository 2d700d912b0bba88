"""Comparisons, in depth: which moments of a neighbour, which measured values; and one passage as others play it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mess_core.audio.decode import read_excerpt
from mess_core.catalogue.passages import Passage, SamePassage
from mess_core.errors import MessError
from mess_core.probing.discovery import Discovery
from mess_core.search.answers import Plan, Query
from mess_core.search.matching import Moment, align, best_moments, passage_rows
from mess_core.search.neighbours import NeighbourIndex
from mess_core.targets.base import TargetValue, error_in_units
from mess_core.targets.key_names import KEY, key_in_words
from mess_core.targets.registry import FEATURES, TARGETS
from mess_core.workspace.workspace import Workspace

N_MOMENTS = 5
QUIETEST = 1e-10  # power: -100 dB, below any recording's noise


@dataclass(frozen=True)
class MomentMap:
    """Every segment of the query with every segment of the track.

    query_starts_s, track_starts_s : seconds
    similarities : one row per segment of the query, in the geometry and with the weights of the search
    path : (query segment, track segment) pairs that follow each other in both; the query laid along the track
    moments : the stretches that resemble each other most, the best first
    segment_s : how long a segment is
    """

    query_starts_s: tuple[float, ...]
    track_starts_s: tuple[float, ...]
    similarities: tuple[tuple[float, ...], ...]
    path: tuple[tuple[int, int], ...]
    moments: tuple[Moment, ...]
    segment_s: float


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


@dataclass(frozen=True)
class PassageCurve:
    """How one recording plays a passage; one entry per beat.

    beats : where each begins, in the count of the score
    tempo : beats per minute, from each to the next
    level_db : sound level of each beat, above the mean of the passage
    """

    passage: Passage
    beats: tuple[float, ...]
    tempo: tuple[float, ...]
    level_db: tuple[float, ...]


def compare_passages(workspace: Workspace, same: SamePassage, track_ids: Sequence[str]) -> list[PassageCurve]:
    """Tempo and dynamics of a passage as the asking recording and some of the others play it.

    A recording whose audio is not there is left out. Levels are of the power within a beat, so a held note counts as
    it fades; comparing them between recordings compares shapes, because each is taken above its own mean.
    """
    curves = []
    for passage in (same.asked, *(other for other in same.others if other.track_id in track_ids)):
        times = next(
            each for each in workspace.catalogue.passages.of_track(passage.track_id) if each.score == same.score
        )
        beats, tempo = times.tempo(same.from_beat, same.to_beat)
        edges_s = [times.time_at(beat) for beat in (*beats, same.to_beat)]
        try:
            path = workspace.catalogue.audio_path(passage.track_id)
            samples, rate_hz = read_excerpt(path, passage.start_s, passage.end_s - passage.start_s)
        except MessError:
            continue
        power = samples.astype(np.float64).reshape(len(samples), -1).mean(axis=1) ** 2
        edges = np.clip(np.round((np.array(edges_s) - passage.start_s) * rate_hz).astype(int), 0, len(power))
        mean = [power[start:end].mean() if end > start else 0.0 for start, end in pairwise(edges)]
        level_db = 10 * np.log10(np.maximum(mean, QUIETEST) / max(power.mean() if len(power) else 0.0, QUIETEST))
        curves.append(PassageCurve(passage, tuple(beats.tolist()), tuple(tempo.tolist()), tuple(level_db.tolist())))
    return curves


def map_moments(
    index: NeighbourIndex, plan: Plan, query: Query, track_id: str, passage: tuple[float, float] | None = None
) -> MomentMap:
    """Compare all moments of two recordings; errors as `Scope.embedding`.

    Parameters
    ----------
    passage : (from_s, to_s), optional
        Of the query: only its segments are compared.
    """
    embedding, segment_s = plan.scope.embedding(track_id), plan.scope.info.segment_s
    asked_s, asked_of = query.embedding.starts_s, query.embedding.segments
    if passage is not None:
        rows = passage_rows(asked_s, segment_s, *passage, query.duration_s)
        asked_s, asked_of = asked_s[rows], asked_of[rows]
    geometry = index.of_segments
    asked, others = (geometry.items(each.astype(np.float32)) for each in (asked_of, embedding.segments))
    similarities = geometry.matrix(asked, others, index.segment_weights(plan.question))
    return MomentMap(
        query_starts_s=tuple(asked_s.tolist()),
        track_starts_s=tuple(embedding.starts_s.tolist()),
        similarities=tuple(map(tuple, similarities.tolist())),
        path=tuple(map(tuple, align(similarities).pairs.tolist())),
        moments=tuple(best_moments(similarities, asked_s, embedding.starts_s, segment_s, n=N_MOMENTS)),
        segment_s=segment_s,
    )


def compare_targets(
    workspace: Workspace, discovery: Discovery | None, query_id: str, track_id: str
) -> list[TargetPair]:
    """The 22 targets of both recordings and their features; without those that neither has, and keys (`key_of`)."""
    query, track = workspace.measurements.of_track(query_id), workspace.measurements.of_track(track_id)
    unknown = TargetValue.none("not measured")
    pairs = []
    for target in TARGETS.values():
        one, other = query.get(target.id, unknown), track.get(target.id, unknown)
        is_shown = target.id not in KEY and (target.id in FEATURES or not target.is_companion)
        if not is_shown or (math.isnan(one.value) and math.isnan(other.value)):
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


def key_of(workspace: Workspace, track_id: str) -> str:
    """The key of a recording in words, with a doubt where there is one; "" if it has none or was not measured."""
    values = workspace.measurements.of_track(track_id)
    tonic, mode = (values.get(target, TargetValue.none("not measured")) for target in KEY)
    if "none" in (tonic.quality, mode.quality):
        return ""
    return f"{'perhaps ' if tonic.quality == 'weak' else ''}{key_in_words(tonic.value, mode.value)}"


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
