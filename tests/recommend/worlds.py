"""Worlds with a known answer: listeners of planted tastes, on a shelf of planted points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mess_core.catalogue.listening import Events
from mess_core.recommend.shelf import Shelf, unit
from mess_core.recommend.signals import DAY_S, PLAY

NOW_S = 1e9


def a_shelf(points: np.ndarray, artists: Sequence[str] | None = None) -> Shelf:
    """Row i is the track `t<i>`."""
    n = len(points)
    names = [frozenset({name}) for name in artists] if artists else [frozenset()] * n
    return Shelf(
        track_ids=tuple(f"t{row:03}" for row in range(n)),
        points=unit(np.asarray(points, np.float32)),
        hearings=(("planted", points.shape[1]),),
        artists=tuple(names),
        makers=tuple(artists or [None] * n),
        works=(None,) * n,
        added_s=np.full(n, np.nan),
    )


def heard(rows: Sequence[int], at_s: Sequence[float] | None = None) -> Events:
    """Each row was heard to the end, a minute after the one before, by default the day before now."""
    times = NOW_S - DAY_S + 60.0 * np.arange(len(rows)) if at_s is None else np.asarray(at_s, np.float64)
    order = np.argsort(times, kind="stable")
    names = tuple(sorted({f"t{row:03}" for row in rows}))
    track = np.array([names.index(f"t{rows[each]:03}") for each in order], np.int64)
    nothing = np.full(len(rows), np.nan)
    return Events(names, track, times[order], np.full(len(rows), PLAY, np.int8), nothing, np.ones(len(rows)), nothing)


def houses(of: Mapping[str, Sequence[int]]) -> dict[str, Events]:
    """What each listener heard."""
    return {name: heard(list(rows)) for name, rows in of.items()}
