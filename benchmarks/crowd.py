"""What other listeners add to a taste, and what sessions teach: replayed on simulated households of a library.

    python -m benchmarks.crowd                     # of the library `demo` in the data folder, by its first hearing
    python -m benchmarks.crowd --home PATH --library NAME --encoder ID --households 8
    python -m benchmarks.crowd --planted           # sessions about quiet directions of 10,000 made-up tracks, and time

Nobody real is in it. A listener likes three groups of recordings that share a work, a composer or an instrument, hears
half of each for three weeks, and all of each for two more; what they take to then and had never heard is sought. In
one kind of household several people have the same three groups, in the other everybody has their own. A weight is
chosen on half of the households and told on the others: chosen and told on the same ones, it would flatter itself.

What is learned from the sessions of the same people is tried on their last week, and again after all tracks were
exchanged for others, so that sessions mean nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.listening import Events
from mess_core.evaluation.blending import SOURCES, BlendStudy, pooled, replay_blends
from mess_core.evaluation.session_trial import try_sessions
from mess_core.numbers import interval, number, percent, seconds
from mess_core.recommend.crowd import CROWD, WEIGHTS
from mess_core.recommend.gathering import shelf_of
from mess_core.recommend.shelf import Shelf, unit
from mess_core.recommend.signals import DAY_S
from mess_core.recommend.simulated import Planted, simulate
from mess_core.words import counted
from mess_core.workspace.scope import scope_of, scope_to_listen
from mess_core.workspace.workspace import DEMO, Workspace

N_LISTENERS, N_KINDS = 24, 6
DAYS_BEFORE, DAYS_AFTER = 21, 14
AT_S = 1.75e9  # any time will do
LEAST_OF_A_GROUP = 5


def household(
    tracks: Sequence[Track], seed: int, n: int = N_LISTENERS, n_kinds: int | None = N_KINDS
) -> dict[str, Events]:
    """What each of n listeners did; n_kinds: of how many kinds they are, None: everybody is their own."""
    rng = np.random.default_rng(seed)
    groups = groups_of(tracks)
    kinds = [rng.choice(len(groups), 4, replace=False) for _ in range(n if n_kinds is None else n_kinds)]
    found = {}
    for number_of in range(n):
        chosen = [groups[each] for each in kinds[number_of % len(kinds)]]
        half = [tuple(rng.choice(rows, (len(rows) + 1) // 2, replace=False).tolist()) for rows in chosen]
        ids = [track.track_id for track in tracks]
        name = f"listener {number_of + 1}"
        before = simulate(Planted(name, tuple(half[:3]), half[3]), ids, DAYS_BEFORE, AT_S, 2 * number_of + 1000 * seed)
        end_s = AT_S + DAYS_AFTER * DAY_S
        whole = Planted(name, tuple(chosen[:3]), chosen[3])
        after = simulate(whole, ids, DAYS_AFTER, end_s, 2 * number_of + 1 + 1000 * seed)
        found[name] = joined(before, after)
    return found


def groups_of(tracks: Sequence[Track]) -> list[tuple[int, ...]]:
    """Rows that share a work, a composer or an instrument."""
    found: dict[tuple[str, str], list[int]] = {}
    for row, track in enumerate(tracks):
        for kind in ("work", "composer", "instrument"):
            if value := getattr(track, kind):
                found.setdefault((kind, value), []).append(row)
    return [tuple(rows) for rows in found.values() if LEAST_OF_A_GROUP <= len(rows) <= len(tracks) // 5]


def joined(before: Events, after: Events) -> Events:
    """Two spans of one listener, the later one last."""
    names = tuple(sorted({*before.track_ids, *after.track_ids}))
    place = {name: number_of for number_of, name in enumerate(names)}
    tracks = [place[each.track_ids[track]] for each in (before, after) for track in each.track.tolist()]
    columns = (
        np.concatenate([getattr(each, column) for each in (before, after)])
        for column in ("at_s", "action", "seconds", "share", "propensity")
    )
    return Events(names, np.array(tracks, np.int64), *columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path)
    parser.add_argument("--library", default=DEMO)
    parser.add_argument("--encoder")
    parser.add_argument("--households", type=int, default=8)
    parser.add_argument("--planted", action="store_true", help="only how long learning from sessions takes, and finds")
    options = parser.parse_args()
    if options.planted:
        _print_planted()
        return
    workspace, name, encoder = Workspace(options.home), options.library, options.encoder
    scope = scope_to_listen(workspace, name) if encoder is None else scope_of(workspace, name, encoder)
    shelf = shelf_of(scope)
    known = {track.track_id: track for track in scope.tracks}
    tracks = [known[track_id] for track_id in shelf.track_ids]
    print(f"{len(shelf)} recordings by {', '.join(name for name, _ in shelf.hearings)}")
    for kind, n_kinds in (("several people have the same tastes", N_KINDS), ("everybody has their own", None)):
        for n in (8, N_LISTENERS):
            for source in SOURCES:
                studies = [
                    replay_blends(shelf, household(tracks, seed, n, n_kinds), AT_S, source=source, seed=seed)
                    for seed in range(options.households)
                ]
                print(f"\n{n} listeners, {kind}")
                _print([study for study in studies if study is not None])

        _print_sessions(shelf, tracks, n_kinds, options.households)


def _print_planted() -> None:
    """100 listeners of three moods of 40 each; moods are 16 quiet directions of 128."""
    rng = np.random.default_rng(0)
    n, n_moods = 10_000, 40
    mood = rng.integers(0, n_moods, n)
    quiet = 0.5 * (rng.standard_normal((n_moods, 16))[mood] + 0.3 * rng.standard_normal((n, 16)))
    points = np.concatenate([quiet, rng.standard_normal((n, 112))], axis=1).astype(np.float32)
    ids, nobody = tuple(f"t{row:05}" for row in range(n)), (None,) * n
    shelf = Shelf(ids, unit(points), (("planted", 128),), (frozenset(),) * n, nobody, nobody, np.full(n, np.nan))
    events = {}
    for listener in range(100):
        moods = [tuple(np.flatnonzero(mood == each).tolist()) for each in rng.choice(n_moods, 3, replace=False)]
        events[f"l{listener:02}"] = simulate(Planted("planted", tuple(moods), ()), ids, 180, AT_S, listener)
    for is_published in (True, False):
        began = time.perf_counter()
        trial = try_sessions(shelf, events, is_published=is_published)
        took_s = time.perf_counter() - began
        n_events = sum(len(each) for each in events.values())
        whose = "of all pairs" if is_published else "of pairs that four have"
        print(f"{n:,} tracks, {n_events:,} events, {trial.n_pairs:,} {whose}, {seconds(took_s)}")
        for figure in trial.figures:
            print(f"  {figure.way:<26} {number(figure.value, 3)} {interval(figure.low, figure.high, 3)}")
        print(f"  {trial.verdict}")


def _print_sessions(shelf: Shelf, tracks: Sequence[Track], n_kinds: int | None, n_households: int) -> None:
    print(f"\n{N_LISTENERS} listeners, an embedding learned from their sessions")
    for seed in range(min(n_households, 3)):
        events = household(tracks, seed, N_LISTENERS, n_kinds)
        began = time.perf_counter()
        trial = try_sessions(shelf, events, seed=seed)
        took_s = time.perf_counter() - began
        print(f"  household {seed + 1}, {trial.n_pairs} pairs, {seconds(took_s)}: {trial.verdict}")
    rng = np.random.default_rng(0)
    meaningless = {}
    for name, own in events.items():
        drawn = rng.integers(0, len(shelf), len(own))
        names, track = np.unique(np.array(shelf.track_ids)[drawn], return_inverse=True)
        meaningless[name] = replace(own, track_ids=tuple(names.tolist()), track=track)
    print(f"  the last, tracks drawn by chance: {try_sessions(shelf, meaningless).verdict}")


def _print(studies: Sequence[BlendStudy]) -> None:
    half = len(studies) // 2
    chosen, told = pooled(studies[:half]), pooled(studies[half:])
    source = "the crowd knows" if chosen.source == CROWD else "names know"
    print(f"  {source} {percent(100 * float(np.mean(pooled(studies).share_known)))} of the rows")
    print(f"  weight  nDCG@10, {chosen.n_listeners} to choose by  {told.n_listeners} others: gain over content alone")
    for one, other in zip(chosen.figures, told.figures, strict=True):
        gain = f"{number(other.gain, 3, signed=True)} {interval(other.gain_low, other.gain_high, 3, signed=True)}"
        print(f"  {number(one.weight, 1):>6}  {number(one.value, 3):<24}  {number(other.value, 3)}, {gain}")
    print(f"  chosen: {number(chosen.best.weight, 1)}")
    helped = [study.weight > 0 for study in asked_of_one(studies)]
    print(
        f"  asked of {WEIGHTS[chosen.source]} alone, {sum(helped)} of {counted(len(helped), 'household')} would take it"
    )


def asked_of_one(studies: Sequence[BlendStudy]) -> list[BlendStudy]:
    """The same listeners, with two weights alone."""
    found = []
    for study in studies:
        weight = WEIGHTS[study.source]
        both = [0, study.weights.index(weight)]
        found.append(replace(study, weights=(0.0, weight), table=study.table[:, both]))
    return found


if __name__ == "__main__":
    main()
