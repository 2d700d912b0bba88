"""Interests with names: what a listener likes, as it is said, with the tracks that tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mess_core.catalogue.catalogue import Track
from mess_core.recommend.naming import Facts, name_of_interest, shares_of
from mess_core.recommend.profile import Profile
from mess_core.recommend.shelf import Shelf
from mess_core.search.tagged import tagged_library
from mess_core.workspace.scope import Scope


@dataclass(frozen=True)
class NamedInterest:
    """An interest as a page shows it.

    is_named : whether its tracks have something to be called by
    medoid : the track it is shown by
    track_ids : its tracks, the weightiest first
    """

    name: str
    is_named: bool
    share: float
    medoid: Track
    track_ids: tuple[str, ...]
    hears: Mapping[str, float]


def interests_of(scope: Scope, profile: Profile) -> tuple[NamedInterest, ...]:
    """The interests of a taste, named."""
    shelf = profile.shelf
    facts, shares = facts_of(scope, shelf)
    medoids = scope.workspace.catalogue.tracks_of([shelf.track_ids[each.medoid] for each in profile.taste.interests])
    found = []
    for interest in profile.taste.interests:
        track_ids = [shelf.track_ids[row] for row in interest.rows]
        name = name_of_interest([facts[row] for row in interest.rows], interest.weights.tolist(), shares)
        track = medoids.get(shelf.track_ids[interest.medoid])
        if track is None:
            continue
        hears = {name: float(each) for (name, _), each in zip(shelf.hearings, interest.hears, strict=True)}
        found.append(
            NamedInterest(
                name or f"music like {track.title}", bool(name), interest.share, track, tuple(track_ids), hears
            )
        )
    return tuple(found)


def facts_of(scope: Scope, shelf: Shelf) -> tuple[list[Facts], dict[tuple[str, str], float]]:
    """What is known of each row of a shelf, and how common that is."""

    def make() -> tuple[list[Facts], dict[tuple[str, str], float]]:
        tracks = scope.workspace.catalogue.tracks_of(shelf.track_ids)
        tagged = tagged_library(scope.workspace, scope.library)
        facts: list[Facts] = []
        for track_id in shelf.track_ids:
            track = tracks.get(track_id)
            known = {kind: getattr(track, kind) for kind in ("work", "composer", "instrument", "performer")}
            facts.append(
                {kind: [value] for kind, value in known.items() if value} | {"heard as": tagged.words(track_id)}
            )
        return facts, shares_of(facts)

    key = ("facts of a shelf", scope.library, scope.info.fingerprint)
    found: tuple[list[Facts], dict[tuple[str, str], float]] = scope.workspace.database.remembered.made_of(
        key, shelf, make
    )
    return found
