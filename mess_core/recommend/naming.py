"""Naming interests: what the tracks of one have in common that those of the library have not.

    of each fact (composer, work, instrument, …, heard as) -> its share among the tracks, by weight
                                                           -> less its share in the library -> the two that tell most

A name is what a listener reads; nothing is computed from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

KINDS = ("work", "composer", "instrument", "performer", "heard as")  # in the order in which a name says them
COMMON_FROM = 0.75  # share of an interest, by weight, that a fact must hold to name it
TELLING_FROM = 0.25  # by how much that is more than in the library
MOST_NAMED = 2
Facts = Mapping[str, Sequence[str]]  # kind -> what is known of a track


def name_of_interest(facts: Sequence[Facts], weights: Sequence[float], shares: Mapping[tuple[str, str], float]) -> str:
    """The name of an interest; empty where its tracks have nothing of their own in common.

    Parameters
    ----------
    facts : of each track
    weights : of each track
    shares : `shares_of` the library

    Examples
    --------
    >>> library = [{"instrument": ["organ"], "composer": ["Bach"]}, {"instrument": ["flute"], "composer": ["Bach"]},
    ...            {"instrument": ["flute"], "composer": ["Satie"]}]
    >>> name_of_interest(library[:1], [1.0], shares_of(library))
    'Bach · organ'
    >>> name_of_interest(library, [1.0, 1.0, 1.0], shares_of(library))
    ''
    """
    own = shares_of(facts, weights)
    telling = {
        fact: share - shares.get(fact, 0.0)
        for fact, share in own.items()
        if share >= COMMON_FROM and share - shares.get(fact, 0.0) >= TELLING_FROM
    }
    chosen: dict[str, str] = {}
    for kind, value in sorted(telling, key=lambda fact: (-telling[fact], KINDS.index(fact[0]), fact[1])):
        if len(chosen) < MOST_NAMED and kind not in chosen and value not in chosen.values():
            chosen[kind] = f"heard as {value}" if kind == "heard as" else value  # tags are guesses, names are not
    return " · ".join(chosen[kind] for kind in KINDS if kind in chosen)


def shares_of(facts: Sequence[Facts], weights: Sequence[float] | None = None) -> dict[tuple[str, str], float]:
    """Which share of tracks, by weight, each fact is true of."""
    weights = [1.0] * len(facts) if weights is None else weights
    total = sum(weights)
    found: dict[tuple[str, str], float] = defaultdict(float)
    for each, weight in zip(facts, weights, strict=True):
        for kind, values in each.items():
            for value in set(values):
                found[kind, value] += weight / total
    return dict(found)
