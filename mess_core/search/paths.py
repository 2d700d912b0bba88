"""Paths: n recordings that lead from one to another, each a small step from the one before.

    d(x, y)  how unlike two recordings are: minus their similarity
    t(x)     how far x is on the way from A to B, 0 at A and 1 at B, by how much nearer it is to B than to A
    path     of all sequences A = x1, x2, ..., xn = B on which t grows from each to the next, the one whose largest step
             is smallest; among those, the one whose steps add up to the least

Such a path never turns back, and so holds no recording twice. That makes it a shortest way through a graph without
cycles, and the best of all is found exactly, in two sweeps: the first for the largest step, the second for the sum
among steps that are no larger. (The same without the rule that t grows is hard: to pass through n different places, no
more and no fewer, is the travelling salesman's problem.) Recordings near the straight line between A and B, in place of
such steps, would be the plainer way, but in many dimensions nothing lies near that line, and what is least far from it
may be a leap from its neighbours.

Between two lies what is further along than the one and less than the other, and nearer to one of them than they are to
each other: on a circle, what is opposite to both is as far along as what is between them.

Where squared distances are compared, t is the place on the line through A and B: with D = d(A, B),

    t(x) = (d(A, x) - d(B, x) + D) / 2 D

and squares that add up to the least spread the steps evenly. A recording is aside of the line by

    a(x) = (1 - t) d(A, x) + t d(B, x) - t (1 - t) D

Of a large library those are looked at that are least aside, in every stretch of the way.

By way of C: one path from A to C and one from C to B, of lengths for which the largest step of both is smallest. Each
recording may stand in that of the two that it is less aside of.

Source
------
Pollack (1960) for ways whose narrowest place is widest.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.collections.opening import read_track
from mess_core.errors import InputError
from mess_core.search.answers import Plan, Query, facts_of_plan, vector_of
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.seeds import NEAR_FROM
from mess_core.search.selection import Candidate, select
from mess_core.words import counted

MOST_STEPS = 50  # recordings of a path
MOST_VIA = 5  # recordings by way of which it leads
MOST_LOOKED_AT, N_STRETCHES = 400, 20  # recordings of a large library, and stretches of the way they come from
LEAST_APART = 1e-6  # of how much nearer B is to itself than A is, from which on there is a way


@dataclass(frozen=True)
class Step:
    """One recording of a path.

    number : from 1
    path : where its audio is, or was last seen
    is_stop : whether it was asked for: the beginning, the end, and what lies between by name
    similarity, percentile, nearness : to the one before, as of a neighbour; None of the first
    """

    number: int
    track: Track
    path: Path
    is_stop: bool
    similarity: float | None
    percentile: float | None
    nearness: float | None

    @property
    def is_wide(self) -> bool:
        """Whether most neighbours here are nearer to each other than this one is to the one before."""
        return self.nearness is not None and self.nearness < NEAR_FROM


@dataclass(frozen=True, eq=False)
class TrackPath:
    """A path from one recording to another.

    stops : what was asked for, the beginning first
    plan : how recordings were compared
    """

    stops: tuple[Query, ...]
    plan: Plan
    steps: tuple[Step, ...]
    notices: tuple[str, ...]

    @property
    def found(self) -> tuple[Step, ...]:
        """Its recordings, as an answer has them."""
        return self.steps

    @property
    def largest(self) -> Step:
        """The one that is furthest from the one before it; the first of equals."""
        return min(self.steps[1:], key=lambda step: step.similarity)  # type: ignore[arg-type, return-value]

    @property
    def wide(self) -> tuple[Step, ...]:
        """Those that are further from the one before than neighbours here usually are."""
        return tuple(step for step in self.steps[1:] if step.is_wide)

    @property
    def sentence(self) -> str:
        """How large the largest step is, and how many are larger than steps between neighbours."""
        n, n_steps = len(self.wide), len(self.steps) - 1
        if n == 0:
            return self._sentence
        which = "its only step" if n_steps == 1 else f"{n} of its {n_steps} steps"
        are = "is" if n == 1 else "are"
        return (
            f"{self._sentence} {which[:1].upper()}{which[1:]} {are} wide: three of four pairs of neighbours are nearer."
        )

    @property
    def _sentence(self) -> str:
        step = self.largest
        said = f"The largest step is from #{step.number - 1} to #{step.number}"
        if step.nearness is not None and round(step.nearness) == 0:
            return f"{said}: further than any recording here is from its nearest."
        if step.nearness is not None:
            return f"{said}: nearer than {step.nearness:.0f} in 100 of the pairs that neighbours form here."
        if step.percentile is not None:
            return f"{said}: closer than {step.percentile:.0f} in 100 of all pairs here."
        return f"{said}."


def check_length(n: int, n_stops: int, n_tracks: int) -> None:
    """Refuse a path that cannot be: `n` recordings through `n_stops`, in a library of `n_tracks`.

    Raises
    ------
    InputError
    """
    if n_stops > MOST_VIA + 2:
        raise InputError(f"A path leads by way of at most {MOST_VIA} recordings, not of {n_stops - 2}.")
    if n < n_stops:
        raise InputError(
            f"A path of {counted(n, 'recording')} cannot hold the {n_stops} that are named.", "Ask for more."
        )
    if n > MOST_STEPS:
        raise InputError(f"A path of {n} recordings is asked for, expected at most {MOST_STEPS}.")
    if n > n_tracks:
        raise InputError(
            f"A path of {n} recordings is asked for, and {counted(n_tracks, 'recording')} can be compared here.",
            "Ask for fewer.",
        )


def question_of_path(question: Question) -> Question:
    """What of a question holds for a path: in what recordings are compared, and which of them may be on it."""
    return replace(question, words=(), like=(), unlike=(), along="", reverse=False, diversity=0.0, duplicates="keep")


def find_path(index: NeighbourIndex, plan: Plan, stops: Sequence[Query], n: int) -> TrackPath:
    """The path through some recordings, of the library or not, in their order.

    Parameters
    ----------
    index : NeighbourIndex
    plan : Plan
        Of `question_of_path`.
    stops : sequence of Query
        Two or more: the beginning, the end, and in between by way of what it leads.
    n : int
        Recordings of the path, the stops among them. Where fewer lie between them it is shorter, and says so.

    Raises
    ------
    InputError
        If there is no such path: two stops are one recording, or sound the same; n is out of its range.
    """
    ids = [stop.track_id for stop in stops]
    if len(set(ids)) < len(ids):
        raise InputError("A path leads from one recording to another, and one is named twice.", "Name different ones.")
    own = set(ids)
    n_known = len(own.union(index.track_ids))
    check_length(n, len(stops), n_known)
    weights = index.weights(plan.question)
    items = np.concatenate([index.geometry.items(vector_of(plan, stop)[None]) for stop in stops])
    legs = _legs(index, plan, items, weights, own, stops)
    rows, n_lacking = _shortest(index, items, weights, legs, n)
    chosen = [items[[0]]]
    places: list[tuple[int | None, int]] = [(None, 0)]  # a row of the index, or a stop
    for leg, own_rows in enumerate(rows, start=1):
        if own_rows:
            chosen.append(index.rows.rows(np.array(own_rows)))
        chosen.append(items[[leg]])
        places += [*((row, 0) for row in own_rows), (None, leg)]
    all_items = np.concatenate(chosen)
    totals = np.array([index.similarity(one, other[None], weights)[0] for one, other in itertools.pairwise(all_items)])
    closer, near = index.percentiles.of(totals, weights), index.nearness(totals, weights)
    catalogue = plan.scope.workspace.catalogue
    found = [index.track_ids[row] if row is not None else ids[stop] for row, stop in places]
    tracks, paths = (
        catalogue.tracks_of(found),
        catalogue.likely_audio_paths([each for each in found if catalogue.has(each)]),
    )
    steps = []
    for number, (track_id, (row, stop)) in enumerate(zip(found, places, strict=True)):
        track = tracks.get(track_id) or read_track(Path(stops[stop].text).expanduser()).track
        step = number - 1
        steps.append(
            Step(
                number=number + 1,
                track=track,
                path=paths.get(track_id) or Path(stops[stop].text),
                is_stop=row is None,
                similarity=None if number == 0 else float(totals[step]),
                percentile=_number(closer[step]) if number else None,
                nearness=_number(near[step]) if number else None,
            )
        )
    notices = plan.notices
    if n_lacking:
        n_there = n - len(stops) - n_lacking
        between = f"Only {counted(n_there, 'recording')}" if n_there else "No recording"
        lies = "lie" if n_there > 1 else "lies"
        notices = (*notices, f"{between} {lies} between them here, so the path is shorter than was asked for.")
    return TrackPath(tuple(stops), plan, tuple(steps), notices)


@dataclass(frozen=True, eq=False)
class _Leg:
    """Who may stand between two stops: rows (n,) in order of `t` (n,), how far each is on the way, all different."""

    rows: np.ndarray
    t: np.ndarray


def _legs(
    index: NeighbourIndex, plan: Plan, items: np.ndarray, weights: np.ndarray, own: set[str], stops: Sequence[Query]
) -> list[_Leg]:
    """Those of each leg, each recording in the leg that it is least aside of."""
    unlike = [-index.similarity_to_all(item, weights) for item in items]
    is_other = np.array([track_id not in own for track_id in index.track_ids])
    all_t, all_aside, all_near = [], [], []
    for first, (one, other) in enumerate(itertools.pairwise(items)):
        here, there = unlike[first], unlike[first + 1]
        to_itself = [-float(index.similarity(each, each[None], weights)[0]) for each in (one, other)]
        across = -float(index.similarity(one, other[None], weights)[0])
        start, end = to_itself[0] - across, across - to_itself[1]  # how much nearer to the other, at either
        if end - start <= LEAST_APART * (1 + abs(end) + abs(start)):
            raise InputError(
                f"{stops[first].text} and {stops[first + 1].text} are the same here: nothing lies between them.",
                "Name another recording, or compare otherwise.",
            )
        t = (here - there - start) / (end - start)
        all_t.append(t)
        all_near.append(np.minimum(here, there) < across)
        apart = across - sum(to_itself) / 2
        all_aside.append((1 - t) * here + t * there - t * (1 - t) * apart)
    t, aside = np.stack(all_t), np.stack(all_aside)
    is_between = (t > 0) & (t < 1) & np.stack(all_near) & is_other
    aside = np.where(is_between, aside, np.inf)
    of_leg = aside.argmin(axis=0)
    legs = []
    for leg in range(len(t)):
        rows = np.flatnonzero((of_leg == leg) & is_between[leg])
        rows = _looked_at(rows, t[leg, rows], aside[leg, rows])
        rows = rows[np.argsort(aside[leg, rows], kind="stable")]
        allowed = select(
            (Candidate(row, index.track_ids[row], -aside[leg, row], -aside[leg, row]) for row in rows.tolist()),
            replace(plan.question, k=max(1, len(rows))),
            stops[0].facts,
            facts_of_plan(plan),
        )
        rows = np.array(sorted(candidate.row for candidate in allowed), int)
        rows = rows[np.argsort(t[leg, rows], kind="stable")]
        legs.append(_Leg(rows, t[leg, rows]))
    return legs


def _looked_at(rows: np.ndarray, t: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """All of few rows; of many the least aside of each stretch of the way, as many of each."""
    if len(rows) <= MOST_LOOKED_AT:
        return rows
    stretch = np.minimum((t * N_STRETCHES).astype(int), N_STRETCHES - 1)
    kept = []
    for each in range(N_STRETCHES):
        own = np.flatnonzero(stretch == each)
        kept.append(own[np.argsort(aside[own], kind="stable")[: MOST_LOOKED_AT // N_STRETCHES]])
    found: np.ndarray = rows[np.sort(np.concatenate(kept))]
    return found


def _shortest(
    index: NeighbourIndex, items: np.ndarray, weights: np.ndarray, legs: Sequence[_Leg], n: int
) -> tuple[list[list[int]], int]:
    """The rows between the stops of each leg, and how many of those that were asked for there are not."""
    n_between = n - len(items)
    tables = []
    for number, leg in enumerate(legs):
        ends = items[[number]], index.rows.rows(leg.rows), items[[number + 1]]
        points = np.concatenate(ends)
        steps = -index.similarities_among(points, weights)
        t = np.concatenate([[0.0], leg.t, [1.0]])
        steps[t[:, None] >= t[None]] = np.inf  # on, and never back
        tables.append((leg, steps))
    sweeps = [_largest_steps(steps, n_between) for _, steps in tables]
    counts, n_lacking = _shares(sweeps, n_between)
    found = []
    for (leg, steps), count, largest in zip(tables, counts, sweeps, strict=True):
        allowed = np.where(steps <= largest[count], steps, np.inf)
        found.append([int(leg.rows[place - 1]) for place in _least_sum(allowed, count)])
    return found, n_lacking


def _largest_steps(steps: np.ndarray, most: int) -> np.ndarray:
    """The least that the largest step can be from the first to the last by way of 0, 1, ... `most` others, (most + 1,).

    Infinite where there is no such way.
    """
    reached = steps[0].copy()  # by one step, to each
    found = [reached[-1]]
    for _ in range(most):
        reached = np.maximum(reached[:, None], steps).min(axis=0)
        found.append(reached[-1])
    return np.array(found)


def _least_sum(steps: np.ndarray, count: int) -> list[int]:
    """The places by way of which `count` others lead from the first to the last with the least sum of steps."""
    reached, came_from = steps[0].copy(), []
    for _ in range(count):
        sums = reached[:, None] + steps
        came_from.append(sums.argmin(axis=0))
        reached = sums.min(axis=0)
    place, places = len(steps) - 1, []
    for origin in reversed(came_from):
        place = int(origin[place])
        places.append(place)
    return places[::-1]


def _shares(sweeps: Sequence[np.ndarray], n_between: int) -> tuple[list[int], int]:
    """How many of `n_between` recordings each leg has, so that the largest step of all is smallest; and how many lack.

    Of ways that are equally good the one with more in the earlier legs. Where there are not enough recordings, all
    that can be.
    """
    best: dict[int, tuple[float, list[int]]] = {0: (-np.inf, [])}  # by how many were given away: largest step, shares
    for sweep in sweeps:
        grown: dict[int, tuple[float, list[int]]] = {}
        for given, (largest, shares) in best.items():
            for count in range(n_between - given, -1, -1):
                step = max(largest, float(sweep[count]))
                if np.isfinite(sweep[count]) and step < grown.get(given + count, (np.inf, []))[0]:
                    grown[given + count] = (step, [*shares, count])
        best = grown
    most = max(best)
    return best[most][1], n_between - most


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
