"""Shelves and listeners by hand: points in plain sight, events in a line."""

from __future__ import annotations

import numpy as np

from mess_core.catalogue.listening import ACTIONS, Events
from mess_core.recommend.shelf import Shelf, unit
from mess_core.recommend.signals import DAY_S

NOW_S = 1.75e9
GROUPS = 6  # of a planted shelf, of which a listener likes some
OF_EACH = 20


def shelf_of_points(points: np.ndarray, **columns: object) -> Shelf:
    """A shelf in one hearing; tracks are t000, t001, …"""
    n = len(points)
    known: dict[str, object] = {
        "artists": (frozenset(),) * n,
        "makers": (None,) * n,
        "works": (None,) * n,
        "added_s": np.full(n, np.nan),
    }
    return Shelf(
        track_ids=tuple(f"t{row:03}" for row in range(n)),
        points=unit(np.asarray(points, np.float32)),
        hearings=(("all", points.shape[1]),),
        **{**known, **columns},  # type: ignore[arg-type]
    )


def planted_shelf(seed: int = 0, noise: float = 0.15, dim: int = 16) -> Shelf:
    """Six groups of twenty tracks about six directions; rows 0 to 19 are the first group."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:GROUPS]
    points = np.repeat(directions, OF_EACH, axis=0) + noise * rng.normal(size=(GROUPS * OF_EACH, dim))
    return shelf_of_points(points)


def group(number: int) -> list[int]:
    return list(range(number * OF_EACH, (number + 1) * OF_EACH))


def events(*said: tuple[str, str, float, float | None], now_s: float = NOW_S) -> Events:
    """Of (track id, action, days ago, share)."""
    ordered = sorted(said, key=lambda each: -each[2])
    names = tuple(sorted({each[0] for each in ordered}))
    n = len(ordered)
    return Events(
        names,
        np.array([names.index(each[0]) for each in ordered], np.int64),
        np.array([now_s - each[2] * DAY_S for each in ordered], np.float64),
        np.array([ACTIONS.index(each[1]) for each in ordered], np.int8),
        np.full(n, np.nan),
        np.array([np.nan if each[3] is None else each[3] for each in ordered], np.float64),
        np.full(n, np.nan),
    )


def likes(rows: list[int], days: float = 1.0) -> list[tuple[str, str, float, float | None]]:
    return [(f"t{row:03}", "like", days, None) for row in rows]


def dislikes(rows: list[int], days: float = 1.0) -> list[tuple[str, str, float, float | None]]:
    return [(f"t{row:03}", "dislike", days, None) for row in rows]
