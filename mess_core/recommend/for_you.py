"""For a listener, in a library: what to hear next, why, and what is known of their taste.

    scope    -> shelf                     what can be recommended, as points
    listener -> events, wishes -> profile what they like
    profile  -> section -> rows           with the track that carries each, and in what the two are alike

Everything is of the moment in which it is asked; what takes long is remembered by what it was made of, so a like is
known to the next list.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.listening import ACTIONS
from mess_core.catalogue.opinions import ME
from mess_core.errors import InputError
from mess_core.recommend.beginning import N_STARTERS, starters
from mess_core.recommend.crowd import CROWD, NAMES, blend, crowd_places, label_places, rising_places
from mess_core.recommend.explaining import DiscoveryOf, Explainer, IndexOf, Why
from mess_core.recommend.gathering import all_events, events_of, profile_for, shelf_of, to_the_hour
from mess_core.recommend.generator import Chosen
from mess_core.recommend.interests import NamedInterest, interests_of
from mess_core.recommend.places import places_of
from mess_core.recommend.profile import Profile, weigh_by
from mess_core.recommend.sections import SECTIONS, Section, choose_next, most_liked_lately, week_began_s
from mess_core.recommend.simulated import is_simulated
from mess_core.spelling import did_you_mean
from mess_core.workspace.scope import Scope


@dataclass(frozen=True)
class Recommended:
    """One row. path : where its audio is, or was last seen; chosen : how it came to be one"""

    rank: int
    track: Track
    path: Path
    chosen: Chosen
    why: Why


@dataclass(frozen=True)
class Stay:
    """A row that stays where it is, with how it came to be chosen."""

    track_id: str
    source: str
    propensity: float


@dataclass(frozen=True, eq=False)
class ForYou:
    """What is known of a listener's taste, and one section made of it."""

    listener: str
    library: str
    encoder: str
    section: Section
    title: str
    profile: Profile
    interests: tuple[NamedInterest, ...]
    found: tuple[Recommended, ...]


# --- what is recommended ------------------------------------------------------------------------------------


def recommend(
    scope: Scope,
    listener: str = ME,
    section_id: str = "quick-picks",
    *,
    k: int = 20,
    surprise: float = 0.5,
    seed: int = 0,
    now_s: float | None = None,
    context: str | None = None,
    weights: Mapping[str, float] | None = None,
    leave_out: Collection[str] = frozenset(),
    stays: Mapping[int, Stay] | None = None,
    index_of: IndexOf | None = None,
    discovery_of: DiscoveryOf = Scope.discovery_for_search,
) -> ForYou:
    """Choose one section for a listener.

    Parameters
    ----------
    scope : Scope
    listener : str
    section_id : one of `SECTIONS`
    k : int
        Rows at most.
    surprise : float
        0 familiar, 1 surprising.
    seed : int
        Of what chance there is.
    now_s : float, optional
        Seconds since 1970, to the hour; by default, now.
    context : one of `CONTEXTS`, optional
        What was heard at that part of the day, or in the latest sitting, counts more.
    weights : mapping of str to float, optional
        How much what others here like together counts (`CROWD`), and how much of a name is liked (`NAMES`), each 0 to
        1, together 1 at most; see `evaluation.blending.weigh_sources`.
    leave_out : collection of str
        Tracks that were shown already: others are asked for.
    stays : mapping of int to Stay, optional
        What stands at a rank already, 1 being the first, and stays there while a listener looks at the list.
    index_of : callable (plan) -> NeighbourIndex, optional
        By which it is said in what two recordings are alike; without it, tags and names say it.
    discovery_of : callable (scope) -> Discovery or None

    Raises
    ------
    InputError
        If there is no such section, or a number is out of its range.
    DataMissingError
        If hardly anything of the library was embedded.
    """
    section = SECTIONS.get(section_id)
    if section is None:
        raise InputError(f"There is no section {section_id!r}.", did_you_mean(str(section_id), SECTIONS))
    if not isinstance(k, int):
        raise InputError(f"k is {k!r}, expected a number of recordings.")
    if k < 1:
        raise InputError(f"{k} recommendations were asked for, expected 1 or more.")
    if not 0.0 <= surprise <= 1.0:  # false of NaN too
        raise InputError(f"The surprise is {surprise:g}, expected 0 (familiar) to 1 (surprising).")
    now_s = to_the_hour(time.time() if now_s is None else now_s)
    profile = profile_for(scope, listener, now_s, context)
    at_time = profile_for(scope, listener, week_began_s(now_s)) if section.is_of_the_week else profile
    if weights and any(weights.values()) and section.is_like_taste and not is_simulated(listener):
        at_time = _with_others(scope, at_time, listener, weights)
    if section.is_of_others and not is_simulated(listener):
        rising = rising_places(profile.shelf, all_events(scope), listener, now_s)
        at_time = replace(at_time, rising=rising)
    refused = set(profile.taste.refused.tolist())  # also what was disliked since Monday
    rows_of = profile.shelf.rows
    stay = {rank: each for rank, each in (stays or {}).items() if rows_of.get(each.track_id, -1) not in {-1, *refused}}
    left_out = refused | {rows_of[each.track_id] for each in stay.values()}
    seen = {rows_of[each] for each in leave_out if each in rows_of} - left_out
    n_asked = k + len(stay) + len(seen)
    chosen = [each for each in section.choose(at_time, n_asked, surprise, seed) if each.row not in left_out | seen]
    chosen = _in_their_places(chosen, {rank: _known(at_time, each) for rank, each in stay.items()}, k)
    explainer = Explainer(scope, at_time, events_of(scope, listener), index_of, discovery_of)
    ids = [profile.shelf.track_ids[each.row] for each in chosen]
    tracks, paths = scope.workspace.catalogue.tracks_of(ids), scope.workspace.catalogue.likely_audio_paths(ids)
    rows: list[Recommended] = []
    for each in chosen:
        track = tracks.get(profile.shelf.track_ids[each.row])
        if track is not None:  # else it was removed meanwhile
            # Whose row it is, among the interests as they are now: of Monday's there may have been others.
            whose = int(profile.taste.best[each.row]) if section.is_like_taste else -1
            why, path = explainer.why(section, each), paths[track.track_id]
            rows.append(Recommended(len(rows) + 1, track, path, replace(each, interest=whose), why))
    return ForYou(
        listener,
        scope.library,
        scope.info.id,
        section,
        _title(scope, section, at_time),
        profile,
        explainer.interests if at_time.taste.interests is profile.taste.interests else interests_of(scope, profile),
        tuple(rows),
    )


def _with_others(scope: Scope, profile: Profile, listener: str, weights: Mapping[str, float]) -> Profile:
    """The same profile, its scores dealt anew by what other sources say, too."""
    others: list[tuple[np.ndarray, float]] = []
    if weight := weights.get(CROWD):
        others.append((crowd_places(profile.shelf, all_events(scope), listener, profile.now_s), weight))
    if weight := weights.get(NAMES):
        others.append((label_places(profile.shelf.artists, profile.liking), weight))
    scores = profile.taste.scores
    order = blend(places_of(scores), others)
    dealt = np.empty_like(scores)
    dealt[np.lexsort((np.arange(len(scores)), order))] = np.sort(scores)
    return replace(profile, taste=replace(profile.taste, dealt=dealt))


def next_of_radio(
    scope: Scope,
    listener: str,
    played: Sequence[str],
    *,
    surprise: float = 0.5,
    seed: int = 0,
    now_s: float | None = None,
    index_of: IndexOf | None = None,
    discovery_of: DiscoveryOf = Scope.discovery_for_search,
) -> Recommended | None:
    """What a radio plays next; None where everything is disliked.

    Parameters
    ----------
    scope, listener, surprise, seed, now_s, index_of, discovery_of
        As in `recommend`.
    played : sequence of str
        What it has played, the latest last: none of that comes back before half of the library was played.
    """
    now_s = to_the_hour(time.time() if now_s is None else now_s)
    profile = profile_for(scope, listener, now_s)
    rows = profile.shelf.rows
    recent = [rows[each] for each in played[-(len(rows) // 2) :] if each in rows]
    one = choose_next(profile, recent, surprise, seed)
    if one is None:
        return None
    track_id = profile.shelf.track_ids[one.row]
    track = scope.workspace.catalogue.tracks_of([track_id]).get(track_id)
    if track is None:
        return None
    explainer = Explainer(scope, profile, events_of(scope, listener), index_of, discovery_of)
    path = scope.workspace.catalogue.likely_audio_paths([track_id])[track_id]
    return Recommended(1, track, path, one, explainer.why(SECTIONS["quick-picks"], one))


def _known(profile: Profile, stay: Stay) -> Chosen:
    taste, row = profile.taste, profile.shelf.rows[stay.track_id]
    place = float((taste.scores <= taste.scores[row]).mean())
    return Chosen(row, float(taste.scores[row]), place, int(taste.best[row]), stay.source, stay.propensity)


def _in_their_places(chosen: Sequence[Chosen], stay: Mapping[int, Chosen], k: int) -> list[Chosen]:
    """What stays at its rank, and the others in order around it.

    Examples
    --------
    >>> rows = [Chosen(row, 0.0, 0.0, 0, "interest") for row in (5, 6, 7, 8)]
    >>> [each.row for each in _in_their_places(rows, {2: Chosen(9, 0.0, 0.0, 0, "tried")}, 4)]
    [5, 9, 6, 7]
    """
    others, found = iter(chosen), []
    for rank in range(1, k + 1):
        one = stay[rank] if rank in stay else next(others, None)
        if one is not None:
            found.append(one)
    return found


def begin_with(scope: Scope, n: int = N_STARTERS, seed: int = 0) -> list[Track]:
    """Recordings to say something about, as different as the library is."""
    shelf = shelf_of(scope)
    key = ("starters", scope.library, scope.info.fingerprint, n, seed)
    rows: list[int] = scope.workspace.database.remembered.made_of(key, shelf, lambda: starters(shelf, n, seed))
    ids = [shelf.track_ids[row] for row in rows]
    tracks = scope.workspace.catalogue.tracks_of(ids)
    return [tracks[track_id] for track_id in ids if track_id in tracks]


def n_heard_in(scope: Scope, listener: str, context: str) -> tuple[int, int]:
    """How many of a listener's events are of a part of the day, and how many there are."""
    events = events_of(scope, listener)
    weigh = weigh_by(context, time.localtime().tm_gmtoff)
    return int((weigh(events) == 1.0).sum()), len(events)


@dataclass(frozen=True)
class Past:
    """One event as a page shows it. share : of the track, 0 to 1; None where that is not known"""

    title: str
    action: str
    at_s: float
    share: float | None


def latest_events(scope: Scope, listener: str, n: int = 100) -> list[Past]:
    """What was heard last, the latest first; of tracks that were removed the id is their name."""
    events = events_of(scope, listener)
    first = max(0, len(events) - n)
    ids = [events.track_ids[track] for track in events.track[first:]]
    tracks = scope.workspace.catalogue.tracks_of(list(dict.fromkeys(ids)))
    return [
        Past(
            tracks[track_id].title if track_id in tracks else track_id,
            ACTIONS[action],
            float(at_s),
            float(share) if np.isfinite(share) else None,
        )
        for track_id, action, at_s, share in zip(
            ids, events.action[first:], events.at_s[first:], events.share[first:], strict=True
        )
    ][::-1]


def _title(scope: Scope, section: Section, profile: Profile) -> str:
    row = most_liked_lately(profile)
    if row is None or "{title}" not in section.title:
        return section.title.replace(" {title}", " …")
    named = scope.workspace.catalogue.tracks_of([profile.shelf.track_ids[row]])
    return section.title.replace("{title}", next((each.title for each in named.values()), "…"))
