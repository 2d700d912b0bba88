"""Simulated listeners: what somebody with planted tastes would have heard, to try a profile on and to look at.

A listener has some tastes, each a group of tracks, and a group that they cannot stand. Every evening or so they listen
for a while in the mood for one taste; most of what they hear is of it, some is anything, a little is what they dislike.
How they take it is drawn: what is of a taste they mostly hear to the end and sometimes like; of anything else they hear
a part or skip it; what they cannot stand they skip, or say so.

Groups are told by names and notes (an instrument, a composer, a work), never by what an encoder heard: a profile that
finds them has not been told where they are.

Three such listeners can be looked at on the demo library. They are called simulated wherever they are named, and
nothing of theirs is stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.listening import Events
from mess_core.recommend.signals import DAY_S, DISLIKE, LIKE, PLAY, SKIP
from mess_core.words import listed

SESSIONS_PER_DAY = 0.7
TRACKS_PER_SESSION = 8.0
OF_THE_MOOD, OF_ANYTHING = 0.75, 0.17  # share of a session; the rest is disliked
SHARES = (0.5, 0.3, 0.2)  # of the tastes, the largest first
EVENING_S = 19 * 3600.0
BETWEEN_S = 240.0

# Of each kind of track: heard to the end, heard in part, skipped; and how much of what was heard to the end is liked,
# or of what was skipped disliked.
REACTIONS: Mapping[str, tuple[float, float, float, float]] = {
    "wanted": (0.80, 0.15, 0.05, 0.15),
    "anything": (0.35, 0.35, 0.30, 0.02),
    "unwanted": (0.05, 0.25, 0.70, 0.30),
}


N_DAYS = 90
KNOWN_SHARE = 0.6  # of the library, by the digits of the ids: what they have come across; the rest is left to find
FEWEST_OF_A_TASTE, MOST_DRAWS = 4, 500
SIMULATED = " (simulated)"
PEOPLE: Mapping[str, tuple[tuple[tuple[str, str], ...], tuple[str, str]]] = {  # tastes, the largest first; unwanted
    f"Ines{SIMULATED}": (
        (("instrument", "organ"), ("composer", "Edvard Grieg"), ("work", "The Entertainer")),
        ("instrument", "vibraphone"),
    ),
    f"Tomas{SIMULATED}": (
        (("composer", "Ludwig van Beethoven"), ("instrument", "guitar"), ("work", "Lullaby")),
        ("instrument", "organ"),
    ),
    f"Wen{SIMULATED}": (
        (("instrument", "flute"), ("work", "Prelude in C"), ("composer", "Frédéric Chopin")),
        ("work", "The Entertainer"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """Who is simulated. tastes, unwanted : rows of the tracks"""

    name: str
    tastes: tuple[tuple[int, ...], ...]
    unwanted: tuple[int, ...]


def simulate(
    planted: Planted,
    track_ids: Sequence[str],
    n_days: int,
    until_s: float,
    seed: int,
    among: Sequence[int] | None = None,
) -> Events:
    """What a listener heard in the days before a time.

    Parameters
    ----------
    planted : Planted
    track_ids : of all tracks
    n_days : int
    until_s : float
        Seconds since 1970.
    seed : int
    among : sequence of int, optional
        The rows that they come across by chance; by default all.
    """
    rng = np.random.default_rng(seed)
    everything = np.arange(len(track_ids)) if among is None else np.asarray(among)
    shares = np.array(SHARES[: len(planted.tastes)]) / sum(SHARES[: len(planted.tastes)])
    wanted = {row for taste in planted.tastes for row in taste}
    heard: list[tuple[int, float, int, float]] = []  # row, time, action, share
    for day in range(n_days):
        begin_s = until_s - (n_days - day) * DAY_S
        for _ in range(rng.poisson(SESSIONS_PER_DAY)):
            mood = planted.tastes[int(rng.choice(len(shares), p=shares))]
            at_s = begin_s + (EVENING_S + rng.uniform(0, 3 * 3600.0)) % DAY_S
            for _ in range(1 + rng.poisson(TRACKS_PER_SESSION - 1)):
                row = _next(rng, mood, planted.unwanted, everything)
                kind = "wanted" if row in wanted else "unwanted" if row in planted.unwanted else "anything"
                heard += _reaction(rng, kind, row, at_s)
                at_s += BETWEEN_S
    heard = sorted((each for each in heard if each[1] < until_s), key=lambda each: each[1])
    columns = np.array(heard, np.float64).reshape(-1, 4).T
    rows, times, actions, shares_heard = columns[0].astype(int).tolist(), *columns[1:]
    names = tuple(sorted({track_ids[row] for row in rows}))
    place = {name: number for number, name in enumerate(names)}
    n = len(heard)
    return Events(
        names,
        np.array([place[track_ids[row]] for row in rows], np.int64),
        times,
        actions.astype(np.int8),
        np.full(n, np.nan),
        shares_heard,
        np.full(n, np.nan),
    )


def _next(rng: np.random.Generator, mood: Sequence[int], unwanted: Sequence[int], everything: np.ndarray) -> int:
    chance = rng.random()
    if chance < OF_THE_MOOD or not unwanted:
        return int(rng.choice(mood))
    if chance < OF_THE_MOOD + OF_ANYTHING:
        return int(rng.choice(everything))
    return int(rng.choice(unwanted))


def _reaction(rng: np.random.Generator, kind: str, row: int, at_s: float) -> list[tuple[int, float, int, float]]:
    to_the_end, in_part, _, verdict = REACTIONS[kind]
    chance, says = rng.random(), rng.random() < verdict
    if chance < to_the_end:
        events = [(row, at_s, PLAY, 1.0)]
        return [*events, (row, at_s + 1, LIKE, np.nan)] if says and kind != "unwanted" else events
    if chance < to_the_end + in_part:
        return [(row, at_s, PLAY, float(rng.uniform(0.3, 0.8)))]
    events = [(row, at_s, SKIP, float(rng.uniform(0.02, 0.3)))]
    return [*events, (row, at_s + 1, DISLIKE, np.nan)] if says and kind == "unwanted" else events


def planted_of(name: str, tracks: Sequence[Track], *, known_alone: bool = True) -> Planted | None:
    """One of the three on some tracks; None where there is no such listener, or they would find nothing of theirs."""
    if name not in PEOPLE:
        return None
    tastes, unwanted = PEOPLE[name]

    def rows_of(fact: tuple[str, str]) -> tuple[int, ...]:
        kind, value = fact
        own = [row for row, each in enumerate(tracks) if getattr(each, kind) == value]
        return tuple(row for row in own if not known_alone or _has_come_across(tracks[row].track_id))

    groups = tuple(rows for rows in map(rows_of, tastes) if rows)
    return Planted(name, groups, rows_of(unwanted)) if len(groups) == len(tastes) else None


def _has_come_across(track_id: str) -> bool:
    return hashlib.sha256(track_id.encode()).digest()[0] < 256 * KNOWN_SHARE


def is_simulated(listener: str) -> bool:
    """Whether a listener is one of the three."""
    return listener in PEOPLE


def planted_words(listener: str) -> str:
    """What was planted in one of the three, in a sentence."""
    tastes, unwanted = PEOPLE[listener]
    return f"planted were {listed([value for _, value in tastes])}, and a dislike of {unwanted[1]}."


def simulated_people(tracks: Sequence[Track]) -> list[str]:
    """Those of the three who would find something of theirs among these tracks."""
    return [name for name in PEOPLE if planted_of(name, tracks) is not None]


def heard_by(name: str, tracks: Sequence[Track], until_s: float) -> Events:
    """What one of the three has heard of some tracks by the day of a time."""
    planted = planted_of(name, tracks)
    ids = [each.track_id for each in tracks]
    if planted is None:
        return simulate(Planted(name, (), ()), ids, 0, until_s, 0)
    among = [row for row, each in enumerate(tracks) if _has_come_across(each.track_id)]
    return simulate(planted, ids, N_DAYS, until_s // DAY_S * DAY_S, list(PEOPLE).index(name), among)


def draw_planted(tracks: Sequence[Track], rng: np.random.Generator) -> Planted | None:
    """Three tastes and a dislike, drawn by chance from what tracks have in common; None where there are too few.

    Each is a work, a composer, an instrument or a player, of at least `FEWEST_OF_A_TASTE` tracks and at most a third of
    all; no track is of two.
    """
    groups: dict[tuple[str, str], set[int]] = {}
    for row, track in enumerate(tracks):
        for kind in ("work", "composer", "instrument", "performer"):
            if (value := getattr(track, kind)) is not None:
                groups.setdefault((kind, value), set()).add(row)
    large = [rows for _, rows in sorted(groups.items()) if FEWEST_OF_A_TASTE <= len(rows) <= len(tracks) / 3]
    if len(large) <= len(SHARES):
        return None
    for _ in range(MOST_DRAWS):
        drawn = [large[place] for place in rng.choice(len(large), len(SHARES) + 1, replace=False)]
        if sum(map(len, drawn)) == len(set().union(*drawn)):
            *tastes, unwanted = (tuple(sorted(rows)) for rows in drawn)
            return Planted("simulated", tuple(tastes), unwanted)
    return None
