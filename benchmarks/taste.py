"""A taste at scale: profile, each section, and a like, on 10⁵ tracks and 10⁵ events, beside the machine's own limit.

    python -m benchmarks.taste [--tracks 100000] [--events 100000]

The tracks are planted in groups; so are the listener's tastes. The limit is reading all points once at the speed with
which this machine reads memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from mess_core.catalogue.listening import Events
from mess_core.recommend.profile import profile_of
from mess_core.recommend.reasons import carrier_of
from mess_core.recommend.sections import SECTIONS
from mess_core.recommend.shelf import Shelf, unit
from mess_core.recommend.signals import DAY_S

DIM, N_GROUPS, N_ROWS = 128, 400, 10
NOW_S = 1.75e9
N_TIMES = 5


def planted_shelf(n: int, rng: np.random.Generator) -> Shelf:
    directions = unit(rng.normal(size=(N_GROUPS, DIM)).astype(np.float32))
    points = directions[np.arange(n) % N_GROUPS] + 0.08 * rng.normal(size=(n, DIM)).astype(np.float32)
    names = tuple(f"player {row % 5000}" for row in range(n))
    return Shelf(
        track_ids=tuple(f"{row:016x}" for row in range(n)),
        points=unit(points),
        hearings=(("music", DIM // 2), ("sound", DIM // 2)),
        artists=tuple(frozenset({name}) for name in names),
        makers=names,
        works=tuple(f"work {row % 20_000}" for row in range(n)),
        added_s=rng.uniform(NOW_S - 1000 * DAY_S, NOW_S, n),
    )


def planted_events(n: int, n_tracks: int, rng: np.random.Generator) -> Events:
    """Three tastes of some groups each; most of the library was never heard."""
    liked = np.flatnonzero(np.isin(np.arange(n_tracks) % N_GROUPS, rng.choice(N_GROUPS, 12, replace=False)))
    rows = np.where(rng.random(n) < 0.8, rng.choice(liked, n), rng.integers(n_tracks, size=n))
    there, track = np.unique(rows, return_inverse=True)
    return Events(
        tuple(f"{row:016x}" for row in there),
        track.astype(np.int64),
        np.sort(rng.uniform(NOW_S - 900 * DAY_S, NOW_S, n)),
        rng.choice([0, 0, 0, 0, 1, 2, 3], n, p=[0.3, 0.3, 0.2, 0.1, 0.06, 0.035, 0.005]).astype(np.int8),
        np.full(n, np.nan),
        rng.random(n),
        np.full(n, np.nan),
    )


def seconds(act: Callable[[], Any]) -> float:
    """The median of a few times."""
    times = []
    for _ in range(N_TIMES):
        begun = time.perf_counter()
        act()
        times.append(time.perf_counter() - begun)
    return float(np.median(times))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    shelf, events = planted_shelf(options.tracks, rng), planted_events(options.events, options.tracks, rng)
    once = seconds(lambda: shelf.points @ shelf.points[0])
    _ = shelf.near_from, shelf.spreads, shelf.rows
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    of_profile = seconds(lambda: profile_of(shelf, events, NOW_S))
    profile = profile_of(shelf, events, NOW_S)
    print(f"{options.tracks:,} tracks, {options.events:,} events, {profile.taste.n_liked} liked, "
          f"{len(profile.taste.interests)} interests")  # fmt: skip
    print(f"{'':24}{'ms':>8}{'× all points read once':>25}")

    def line(name: str, taken: float) -> None:
        print(f"{name:24}{1000 * taken:8.0f}{taken / once:25.1f}")

    line("points read once", once)
    line("profile", of_profile)
    for name, section in SECTIONS.items():
        line(
            name,
            seconds(lambda section=section: section.choose(profile_of(shelf, events, NOW_S), N_ROWS, 0.5, 0))
            - of_profile,
        )
    chosen = SECTIONS["quick-picks"].choose(profile, N_ROWS, 0.5, 0)
    line("ten reasons", seconds(lambda: [carrier_of(profile.taste, each.row) for each in chosen]))

    def like() -> None:
        made = profile_of(shelf, events, NOW_S)
        for each in SECTIONS["quick-picks"].choose(made, N_ROWS, 0.5, 0):
            carrier_of(made.taste, each.row)

    line("a like to the list", seconds(like))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory above the points: {(after - before) / 1024:.0f} MB")


if __name__ == "__main__":
    main()
