"""Explaining: why a track is recommended, or is not, in a sentence with the numbers that it rests on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mess_core.catalogue.listening import Events
from mess_core.errors import InputError, MessError
from mess_core.numbers import percent
from mess_core.probing.discovery import Discovery
from mess_core.recommend.gathering import profile_for, to_the_hour
from mess_core.recommend.generator import Chosen
from mess_core.recommend.interests import facts_of, interests_of
from mess_core.recommend.profile import Profile
from mess_core.recommend.reasons import Carrier, WhyNot, carrier_of, why_not
from mess_core.recommend.sections import LATELY_DAYS, Section, most_liked_lately
from mess_core.recommend.signals import LIKE
from mess_core.search.answers import Plan, make_plan
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.reasons import find_reasons
from mess_core.search.tagged import tagged_library, tags_in_common
from mess_core.words import listed
from mess_core.workspace.scope import Scope

OFTEN_FROM = 3  # plays
MOST_ASPECTS = 2
NEAR_FROM = 90.0  # percentile of pairs from which two recordings are called near
IndexOf = Callable[[Plan], NeighbourIndex]
DiscoveryOf = Callable[[Scope], Discovery | None]


@dataclass(frozen=True)
class Why:
    """Why a track is recommended.

    kind : "track" (one that the listener heard), "interest" (several), "try" or "opposite"
    track_id : the one it is; None where it is none
    aspects : in what the two are alike, in words
    text : all of it in a sentence; names in it are untrusted
    carrier : its numbers
    """

    kind: str
    track_id: str | None
    aspects: tuple[str, ...]
    text: str
    carrier: Carrier | None = None


class Explainer:
    """Says why rows are recommended, in words."""

    def __init__(
        self, scope: Scope, profile: Profile, events: Events, index_of: IndexOf | None, discovery_of: DiscoveryOf
    ) -> None:
        self.scope = scope
        self.profile = profile
        self._index = _index_for_words(scope, index_of, discovery_of) if index_of is not None else None
        self._tagged = tagged_library(scope.workspace, scope.library)
        plays = events.until(profile.now_s)
        is_like = plays.action == LIKE
        self._liked = {plays.track_ids[track] for track in plays.track[is_like]}
        signals = profile.signals
        self._n_plays = dict(zip(signals.track_ids, signals.n_plays.tolist(), strict=True))
        self.interests = interests_of(scope, profile)

    def why(self, section: Section, chosen: Chosen) -> Why:
        shelf = self.profile.shelf
        if not section.is_like_taste:
            scores = self.profile.taste.scores
            place = 100.0 * float((scores > scores[chosen.row]).mean())
            return Why("opposite", None, (), f"Of what is here, {percent(place)} fits what you like better.")
        if section.is_around_one:
            return self._around(chosen)
        if chosen.source == "tried":
            return Why("try", None, (), "A try: it is not known yet how you like music of this kind.")
        carrier = carrier_of(self.profile.taste, chosen.row)
        if carrier is None:
            if chosen.interest < 0 or chosen.interest >= len(self.interests):
                return Why("try", None, (), "Nothing is known of your taste yet.")
            name = self.interests[chosen.interest].name
            return Why("interest", None, (), f"It fits your taste for {name}; no single recording carries that.")
        heard_id = shelf.track_ids[carrier.row]
        alike = self.alike(heard_id, shelf.track_ids[chosen.row])
        text = f"Because you {self._did(heard_id)} {self._titled(heard_id)}"
        if not alike.said and carrier.percentile < NEAR_FROM:  # it carries most, and is not near itself
            interest = self.interests[chosen.interest]
            also = f", in your taste for {interest.name}" if interest.is_named else ""
            return Why("track", heard_id, (), f"{text}{also}.", carrier)
        return Why("track", heard_id, alike.respects, f"{text}{alike.or_near(carrier.percentile)}", carrier)

    def _around(self, chosen: Chosen) -> Why:
        """Of a list around what is liked most: that is the reason of all its rows."""
        shelf, row = self.profile.shelf, most_liked_lately(self.profile)
        if row is None:
            return Why("try", None, (), "Nothing is known of your taste yet.")
        cosine = float(shelf.points[row] @ shelf.points[chosen.row])
        percentile = float(shelf.percentiles(np.array(cosine)))
        alike = self.alike(shelf.track_ids[row], shelf.track_ids[chosen.row])
        said = alike.or_near(percentile) if alike.said or percentile >= NEAR_FROM else "."
        heard_id = shelf.track_ids[row]
        carrier = Carrier(row, cosine, 1.0, cosine, percentile)
        text = f"Because you {self._did(heard_id)} {self._titled(heard_id)}{said}"
        return Why("track", heard_id, alike.respects, text, carrier)

    def _titled(self, track_id: str) -> str:
        named = self.scope.workspace.catalogue.tracks_of([track_id])
        return next((each.title for each in named.values()), "a recording")

    def _did(self, track_id: str) -> str:
        if track_id in self._liked:
            return "like"
        return "often hear" if self._n_plays.get(track_id, 0) >= OFTEN_FROM else "heard"

    def alike(self, one: str, other: str) -> _Alike:
        """In what two recordings are alike, the most telling first, at most two respects."""
        facts, _ = facts_of(self.scope, self.profile.shelf)
        rows = self.profile.shelf.rows
        shared = [
            f"the same {word}"
            for kind, word in (("work", "work"), ("instrument", "instrument"), ("performer", "player"))
            if set(facts[rows[one]].get(kind, ())) & set(facts[rows[other]].get(kind, ()))
        ][:1]
        aspects: list[str] = []
        if self._index is not None:
            index, scope = self._index
            if scope.workspace.store.has(one, scope.info):
                vector = scope.workspace.store.read(one, scope.info).mean
                found = find_reasons(index, vector, [other])[other]
                alike = sorted((each for each in found if each.is_alike), key=lambda each: -(each.percentile or 0.0))
                aspects = [each.aspect.replace("_", " ") for each in alike]
        tags = [] if aspects else tags_in_common(self.scope.workspace, self._tagged, one, [other])[other]
        n_left = MOST_ASPECTS - len(shared)
        return _Alike(tuple(shared), tuple(aspects[:n_left]), tuple(tags[:n_left]))


@dataclass(frozen=True)
class _Alike:
    """What two recordings share: names; aspects in which they are near; as what both are heard, which is a guess."""

    shared: tuple[str, ...]
    aspects: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def respects(self) -> tuple[str, ...]:
        return (*self.shared, *self.aspects, *self.tags)

    @property
    def said(self) -> str:
        alike = f"alike in {listed(self.aspects)}" if self.aspects else ""
        heard = f"both heard as {listed(self.tags)}" if self.tags else ""
        return ", ".join(filter(None, (*self.shared, alike, heard)))

    def or_near(self, percentile: float) -> str:
        """What they share, else how near they are, as the end of a sentence."""
        return f": {self.said}." if self.said else f", nearer to it than {percent(percentile)} of pairs here."


def _index_for_words(scope: Scope, index_of: IndexOf, discovery_of: DiscoveryOf) -> tuple[NeighbourIndex, Scope] | None:
    """The index whose directions say in what two recordings are alike; None where nothing was discovered."""
    explained_by = scope.for_aspects
    try:
        discovery = discovery_of(explained_by) if explained_by.n_embedded else None
        if discovery is None or not any(aspect.has_evidence for aspect in discovery.aspects.values()):
            return None
        return index_of(make_plan(explained_by, Question(geometry="direction"), discovery)), explained_by
    except MessError:  # said where it is asked for; here tags say it
        return None


def why_not_of(scope: Scope, listener: str, track_id: str, now_s: float | None = None) -> tuple[WhyNot, str]:
    """What keeps a track from being recommended, with a sentence.

    Raises
    ------
    InputError
        If the track is none that can be recommended.
    """
    profile = profile_for(scope, listener, to_the_hour(time.time() if now_s is None else now_s))
    shelf = profile.shelf
    row = shelf.rows.get(track_id)
    if row is None:
        raise InputError(
            f"{track_id!r} is no recording of this library that {scope.info.title} has heard.", "Choose another one."
        )
    found = why_not(profile.taste, row)
    return found, _why_not_in_words(scope, profile, row, found)


def _why_not_in_words(scope: Scope, profile: Profile, row: int, found: WhyNot) -> str:
    if found.is_refused:
        return "It is disliked. Take that back under “What you asked for”, and it may come up again."
    days = float(profile.days_since[row])
    if not profile.taste.interests:
        return "Nothing is known of your taste yet."
    names = interests_of(scope, profile)
    interest = names[found.interest].name if 0 <= found.interest < len(names) else "no interest"
    said = f"It fits what you like better than {percent(found.place)} of this library, best your taste for {interest}"
    if days < LATELY_DAYS:
        said += ", but you heard it within the last two weeks"
    elif found.disliked is not None:
        disliked_id = profile.shelf.track_ids[found.disliked]
        disliked = scope.workspace.catalogue.tracks_of([disliked_id])
        title = next((each.title for each in disliked.values()), "a recording")
        why = "of which less is wanted" if disliked_id in profile.less else "which is disliked"
        said += f", but it is near to {title}, {why}"
    elif found.place < 50.0:
        said += ", so it stands far down"
    return f"{said}."
