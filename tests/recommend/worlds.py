"""Shelves and listeners by hand: points in plain sight, events in a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.listening import ACTIONS, Events
from mess_core.catalogue.opinions import ME, TakenEvent, whole_microseconds
from mess_core.encoders.nano import NANO
from mess_core.evaluation.taste import Case
from mess_core.recommend.shelf import Shelf, unit
from mess_core.recommend.signals import DAY_S
from mess_core.recommend.simulated import Planted, simulate
from mess_core.workspace.workspace import Workspace
from tests.planted import a_track, plant_embeddings, plant_tracks

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


def planted_cases(n: int) -> list[Case]:
    """Replays of listeners who like three groups of the planted shelf, and know half of it."""
    ids = planted_shelf().track_ids
    whole = Planted("x", tuple(tuple(group(number)) for number in (0, 2, 4)), tuple(group(5)))
    half = Planted("x", tuple(tuple(group(number)[: OF_EACH // 2]) for number in (0, 2, 4)), tuple(group(5)[:10]))
    known = [row for number in range(6) for row in group(number)[: OF_EACH // 2]]
    return [
        Case(
            simulate(half, ids, 60, NOW_S, seed, known),
            simulate(whole, ids, 30, NOW_S + 30 * DAY_S, 1000 + seed),
            NOW_S,
            whole,
        )
        for seed in range(n)
    ]


# --- a whole library ----------------------------------------------------------------------------------------

PLANTED, IN_EACH = 4, 12  # groups of a planted library, and tracks in each
INSTRUMENTS = ("flute", "organ", "harp", "guitar")


def grouped_tracks(*, has_names: bool = True) -> list[Track]:
    """Four instruments of twelve tracks: six works of two recordings each, by three players in turn."""
    tracks = []
    for number in range(PLANTED * IN_EACH):
        own, place = divmod(number, IN_EACH)
        names = {
            "work": f"work {own}-{place // 2}",
            "composer": f"composer {own}",
            "performer": f"player {own}-{place % 3}",
            "instrument": INSTRUMENTS[own],
        }
        tracks.append(replace(a_track(number), duration_s=20.0, **(names if has_names else {})))
    return tracks


def plant_groups(
    home: Workspace, tracks: Sequence[Track] | None = None, library: str = "planted", noise: float = 0.3
) -> list[list[str]]:
    """A library whose tracks sound like their own group and no other; the ids of each group, in its order."""
    tracks = grouped_tracks() if tracks is None else tracks
    plant_tracks(home, tracks, library)
    rng = np.random.default_rng(7)
    shape = (NANO.n_layers, NANO.embedding_dim)
    middles = rng.standard_normal((PLANTED, *shape))
    apart = np.random.default_rng(8)
    plant_embeddings(
        home,
        NANO,
        {
            track.track_id: middles[number // IN_EACH] + noise * apart.standard_normal(shape)
            for number, track in enumerate(tracks)
        },
    )
    return [[track.track_id for track in tracks[own * IN_EACH : (own + 1) * IN_EACH]] for own in range(PLANTED)]


def plant_events(
    home: Workspace, *said: tuple[str, str, float, float | None], listener: str = ME, now_s: float = NOW_S
) -> None:
    """What somebody heard or said: (track id, action, days ago, share), of a file that was taken in."""
    told = [
        TakenEvent(listener, track_id, whole_microseconds(now_s - days * DAY_S), action, None, share)
        for track_id, action, days, share in said
    ]
    with home.opinions.taking_in([]):
        home.opinions.take_in(told, "table")


def liked(track_ids: Sequence[str], days: float = 1.0) -> list[tuple[str, str, float, float | None]]:
    return [(track_id, "like", days, None) for track_id in track_ids]


def disliked(track_ids: Sequence[str], days: float = 1.0) -> list[tuple[str, str, float, float | None]]:
    return [(track_id, "dislike", days, None) for track_id in track_ids]
