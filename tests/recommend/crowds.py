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


def sittings(
    moods: Sequence[np.ndarray], n_listeners: int, n_days: int, seed: int, n_tracks: int = 8, per_day: float = 0.7
) -> dict[str, Events]:
    """Each listener has three of the moods, and hears rows of one of them in each sitting of an evening."""
    rng = np.random.default_rng(seed)
    found = {}
    for listener in range(n_listeners):
        own = rng.choice(len(moods), min(3, len(moods)), replace=False)
        rows: list[int] = []
        times: list[float] = []
        for day in range(n_days):
            if rng.random() < per_day:
                rows += rng.choice(moods[rng.choice(own)], n_tracks).tolist()
                began_s = NOW_S - (n_days - day) * DAY_S + rng.uniform(0, 3600)
                times += (began_s + 240.0 * np.arange(n_tracks)).tolist()
        found[f"listener {listener:03}"] = heard(rows, times)
    return found
