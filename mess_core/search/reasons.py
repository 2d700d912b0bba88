"""Reasons: in what a neighbour is like the query, and in what it differs, in words a listener uses.

Two recordings are compared along the direction of each aspect that has evidence (`search.geometry`), whatever the
search itself went by: in which aspects are they closer than most pairs of the library, and where are they apart, which
way, and how unusual is that here?
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.numbers import percent
from mess_core.probing.result import ProbeResult
from mess_core.search.neighbours import NeighbourIndex
from mess_core.targets.registry import target_of
from mess_core.words import listed

ALIKE_FROM = 90.0  # percentile of pairs
APART_BELOW, APART_FROM_SD = 50.0, 1.0  # percentile of pairs, and difference in standard deviations of the library
UNUSUAL_FROM = 80.0  # standing in the library that is worth a number
MOST_ALIKE, MOST_APART = 3, 2  # named in one line, besides what was asked for


@dataclass(frozen=True)
class Reason:
    """One aspect of a neighbour beside the query.

    percentile : how close they are in it, 100 = closer than all pairs of the library; None in a library of one
    difference_sd : neighbour minus query along the aspect's main direction, in standard deviations of the library
    word : "brighter", "calmer", …: what the neighbour is beside the query
    standing : share of the library that has less of `word` than the neighbour, in percent
    opposite : the other word: "darker", "livelier", …
    error_sd : standard error of the difference, where the encoder's is known; 0 of what was measured
    """

    aspect: str
    percentile: float | None
    difference_sd: float
    word: str
    standing: float
    error_sd: float = 0.0
    opposite: str = ""

    @property
    def in_library(self) -> str:
        """Where the neighbour stands in the library, whatever the query does."""
        if self.standing >= 50.0 or not self.opposite:
            return f"{self.word} than {percent(self.standing)} of the library"
        return f"{self.opposite} than {percent(100.0 - self.standing)} of the library"

    @property
    def is_alike(self) -> bool:
        return self.percentile is not None and self.percentile >= ALIKE_FROM

    @property
    def is_below(self) -> bool:
        """Whether most pairs of the library are closer."""
        return self.percentile is not None and self.percentile < APART_BELOW

    @property
    def is_apart(self) -> bool:
        """Whether it differs by more than most pairs do, and by more than the encoder can be wrong."""
        return self.is_below and abs(self.difference_sd) >= max(APART_FROM_SD, self.error_sd)

    @property
    def is_between(self) -> bool:
        return self.percentile is not None and not (self.is_alike or self.is_apart)


def errors_of(result: ProbeResult) -> dict[str, float]:
    """How wrong a difference between two recordings can be, by target, in standard deviations of what is predicted.

    Of a value that is read off with R² = r, a share 1 - r of its variance is error, in each of the two, and what is
    predicted has the share r: sqrt(2 (1 - r) / r). Infinite where nothing is told.
    """
    told = {summary.target: summary.nested_r2 for summary in result.targets if summary.nested_r2 is not None}
    return {target: math.sqrt(2 * (1 - r2) / r2) if r2 > 0 else math.inf for target, r2 in told.items()}


def find_reasons(
    index: NeighbourIndex, query: np.ndarray, track_ids: Sequence[str], errors: Mapping[str, float] | None = None
) -> dict[str, list[Reason]]:
    """Reasons of each neighbour, in the order of the aspects.

    Parameters
    ----------
    index : NeighbourIndex
        Of the library in a geometry that has directions; in another there are no reasons.
    query : ndarray, shape (n_layers, dim)
        Its embedding.
    track_ids : sequence of str
        Tracks of the library.
    errors : mapping of target to float, or None
        `errors_of` the discovery whose directions these are; None of measured values.
    """
    geometry = index.geometry
    if not geometry.has_directions or not track_ids:
        return {track_id: [] for track_id in track_ids}
    item = geometry.items(query[None])
    known = set(index.track_ids)
    all_ids, track_ids = track_ids, [track_id for track_id in track_ids if track_id in known]
    others = index.rows.rows(np.array([index.row_of(track_id) for track_id in track_ids], int))
    parts = geometry.similarities(item[0], others)
    reasons: dict[str, list[Reason]] = {track_id: [] for track_id in all_ids}
    for place, aspect in enumerate(geometry.parts):
        if geometry.plain[place] == 0:  # no evidence for it here
            continue
        target, at = geometry.coordinate(others, aspect)
        _, query_at = geometry.coordinate(item, aspect)
        percentiles = index.percentiles.of_part(parts[:, place], place)
        everybody = index.sorted_coordinate(aspect)
        for track_id, value, percentile in zip(track_ids, at, percentiles, strict=True):
            is_more = bool(value >= query_at[0])
            below = 100.0 * np.searchsorted(everybody, value) / len(everybody)
            reasons[track_id].append(
                Reason(
                    aspect=aspect,
                    percentile=float(percentile) if np.isfinite(percentile) else None,
                    difference_sd=float(value - query_at[0]),
                    word=target_of(target).words[0 if is_more else 1],
                    opposite=target_of(target).words[1 if is_more else 0],
                    standing=float(below if is_more else 100.0 - below),
                    error_sd=(errors or {}).get(target, 0.0),
                )
            )
    return reasons


def aspect_coordinates(index: NeighbourIndex, aspect: str, track_ids: Sequence[str]) -> tuple[str, list[float | None]]:
    """Where tracks stand along an aspect's main direction.

    Parameters
    ----------
    index : NeighbourIndex
        Of the library in a geometry that has a direction for the aspect.
    aspect : str
    track_ids : sequence of str

    Returns
    -------
    word : str
        What more of it means: "brighter", "calmer", …
    coordinates : list of float or None
        In standard deviations of the library; None for a track that the index does not hold.

    Raises
    ------
    InputError
        If it has none.
    """
    known = set(index.track_ids)
    present = [track_id for track_id in track_ids if track_id in known]
    rows = index.rows.rows(np.array([index.row_of(track_id) for track_id in present], int))
    target, values = index.geometry.coordinate(rows, aspect)
    at = dict(zip(present, values.tolist(), strict=True))
    return target_of(target).words[0], [at.get(track_id) for track_id in track_ids]


def in_one_line(
    reasons: Sequence[Reason],
    family: Callable[[str], Sequence[str]] = lambda aspect: (),
    asked: Collection[str] = (),
    left_out: Collection[str] = (),
) -> str:
    """First what was asked for, then the most telling of the rest; of aspects that go together only one is named.

    Parameters
    ----------
    reasons : sequence of Reason
    family : callable (aspect) -> aspects that cannot be told apart from it
    asked : collection of str
        Aspects that the search went by: each is answered, alike or not.
    left_out : collection of str
        Aspects that must not count: nothing is named for them.

    Examples
    --------
    >>> in_one_line([Reason("tempo", 99.0, 0.1, "faster", 40.0), Reason("brightness", 5.0, 2.0, "brighter", 92.0)])
    'same tempo; brighter than 92 % of the library'
    >>> in_one_line([Reason("dynamics", 5.0, 2.0, "softer", 99.8)])
    'softer than all else here'
    >>> in_one_line([Reason("tempo", 95.0, 0.1, "faster", 40.0), Reason("legato", 70.0, -0.6, "shorter", 30.0)],
    ...             asked=["legato"])
    'similar legato; same tempo'
    >>> in_one_line([Reason("tempo", 95.0, 0.1, "faster", 40.0), Reason("warmth", 99.0, 0.0, "warmer", 60.0)],
    ...             left_out=["warmth"])
    'same tempo'
    """
    known = [each for each in reasons if each.percentile is not None and each.aspect not in left_out]
    answers = [reason for reason in known if reason.aspect in asked]
    named = [reason.aspect for reason in answers]

    def first_of_each(candidates: list[Reason], most: int) -> list[Reason]:
        chosen: list[Reason] = []
        for reason in candidates:
            others = [*named, *(other.aspect for other in chosen)]
            if len(chosen) < most and not any(reason.aspect in (other, *family(other)) for other in others):
                chosen.append(reason)
        return chosen

    alike = sorted((reason for reason in known if reason.is_alike), key=lambda reason: -(reason.percentile or 0))
    apart = sorted((reason for reason in known if reason.is_apart), key=lambda reason: -abs(reason.difference_sd))
    phrases = [
        _same([reason for reason in answers if reason.is_alike]),
        *(f"{reason.word}{_than(reason.standing)}" for reason in answers if reason.is_apart),
        _same([reason for reason in answers if reason.is_between and not reason.is_below], "similar"),
        *(f"perhaps {reason.word}" for reason in answers if reason.is_between and reason.is_below),
        _same(first_of_each(alike, MOST_ALIKE)),
        *(f"{reason.word}{_than(reason.standing)}" for reason in first_of_each(apart, MOST_APART)),
    ]
    return "; ".join(filter(None, phrases))


def _same(reasons: Sequence[Reason], how: str = "same") -> str:
    names = [reason.aspect.replace("_", " ") for reason in reasons]
    return f"{how} {listed(names)}" if names else ""


def _than(standing: float) -> str:
    """How far out, where that is worth saying; nothing is brighter than all of a library that it is part of."""
    if standing < UNUSUAL_FROM:
        return ""
    return f" than {percent(standing)} of the library" if round(standing) < 100 else " than all else here"
