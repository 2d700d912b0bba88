"""For a listener, in a library: what to hear next, why, and what is known of their taste.

    scope    -> shelf                     what can be recommended, as points
    listener -> events, wishes -> profile what they like
    profile  -> section -> rows           with the track that carries each, and in what the two are alike

Everything is of the moment in which it is asked; what takes long is remembered by what it was made of, so a like is
known to the next list.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.listening import ACTIONS, Events
from mess_core.catalogue.opinions import ME
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, MessError
from mess_core.numbers import percent
from mess_core.probing.discovery import Discovery
from mess_core.recommend.beginning import N_STARTERS, starters
from mess_core.recommend.crowd import blend, crowd_places, places_of
from mess_core.recommend.embedding import kept_sessions, session_map_path, track_inputs
from mess_core.recommend.generator import Chosen
from mess_core.recommend.naming import Facts, name_of_interest, shares_of
from mess_core.recommend.profile import Profile, at_this_part_of_day, profile_of
from mess_core.recommend.reasons import Carrier, WhyNot, carrier_of, why_not
from mess_core.recommend.sections import SECTIONS, Section, choose_next, most_liked_lately, week_began_s
from mess_core.recommend.shelf import Shelf, make_points
from mess_core.recommend.signals import DAY_S
from mess_core.recommend.simulated import heard_by, is_simulated
from mess_core.search.answers import Plan, make_plan
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.reasons import find_reasons
from mess_core.search.tagged import tagged_library, tags_in_common
from mess_core.targets.registry import COMPARABLE
from mess_core.words import counted, listed
from mess_core.workspace.scope import Scope

OFTEN_FROM = 3  # plays
MOST_ASPECTS = 2
NEAR_FROM = 90.0  # percentile of pairs from which two recordings are called near
MOST_MEASURED = 0.9  # share of the tracks whose features must be known
SESSIONS = "what is heard together"
FEWEST_TRACKS = 3  # of a library, of which something can be recommended
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


@dataclass(frozen=True)
class NamedInterest:
    """An interest as a page shows it. track_ids : its tracks, the weightiest first; medoid the one it is shown by"""

    name: str
    share: float
    medoid: Track
    track_ids: tuple[str, ...]
    hears: Mapping[str, float]


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


# --- what is known ------------------------------------------------------------------------------------------


def shelf_of(scope: Scope) -> Shelf:
    """What of a library can be recommended: what its encoder has heard.

    Raises
    ------
    DataMissingError
        If that is too little.
    """
    track_ids = scope.embedded_ids
    if len(track_ids) < FEWEST_TRACKS:
        raise DataMissingError(
            f"{scope.info.title} has heard {counted(len(track_ids), 'recording')} of {scope.library!r}, and of "
            f"{FEWEST_TRACKS} at least something can be recommended.",
            "Add music on the Library page, or wait until it is embedded.",
        )
    workspace = scope.workspace
    path = session_map_path(workspace.paths, scope.library, scope.info)
    learned = (path.stat().st_mtime_ns, *workspace.measurements.stamp()) if path.is_file() else ()
    of = (scope.content, workspace.catalogue.content(scope.library), learned)
    key = ("shelf", scope.library, scope.info.fingerprint)
    shelf: Shelf = workspace.database.remembered.made_of(key, of, lambda: _make_shelf(scope, track_ids))
    return shelf


def _make_shelf(scope: Scope, track_ids: Sequence[str]) -> Shelf:
    workspace, info = scope.workspace, scope.info
    hearings: dict[str, list[np.ndarray]] = {}
    for part in info.parts:
        vectors = workspace.store.load(track_ids, part.info).vectors
        layers = [vectors[:, layer : layer + 1, : part.info.width_of(layer)] for layer in part.layers]
        hearings.setdefault(part.of, []).extend(layers)
    if not info.parts:
        vectors = workspace.store.load(track_ids, info).vectors
        hearings[info.title] = [vectors[:, layer : layer + 1, : info.width_of(layer)] for layer in range(info.n_layers)]
    points, columns = make_points(hearings)
    learned = _learned(scope, points, track_ids)
    if learned is not None:
        points, columns = learned, ((SESSIONS, learned.shape[1]),)
    tracks = workspace.catalogue.tracks_of(track_ids)
    added = workspace.catalogue.added_s(scope.library)
    ordered = [tracks[track_id] for track_id in track_ids]
    return Shelf(
        track_ids=tuple(track_ids),
        points=points,
        hearings=columns,
        artists=tuple(
            frozenset(name for name in (each.performer, each.composer, each.album_artist) if name) for each in ordered
        ),
        makers=tuple(each.performer or each.album_artist or each.composer for each in ordered),
        works=tuple(f"{each.composer}: {each.work}" if each.work else None for each in ordered),
        added_s=np.array([added.get(track_id, np.nan) for track_id in track_ids]),
    )


def _learned(scope: Scope, points: np.ndarray, track_ids: Sequence[str]) -> np.ndarray | None:
    """Points that sessions taught, where that was seen to be better; None where it was not, or of other inputs."""
    try:
        learned = kept_sessions(scope)
        return None if learned is None else learned.points(track_inputs(points, features_of(scope, track_ids)))
    except ArtefactMismatchError:  # said by `check`; what it was learned through is always there
        return None


def features_of(scope: Scope, track_ids: Sequence[str]) -> np.ndarray | None:
    """The track features that are numbers, (n, n_features); None where they were not measured of most tracks."""
    values = np.stack([scope.workspace.measurements.values(track_ids, each) for each in COMPARABLE], axis=1)
    return values if np.isfinite(values).any(axis=1).mean() >= MOST_MEASURED else None


def all_events(scope: Scope) -> dict[str, Events]:
    """What each listener of this data folder heard, by name; of nobody who is simulated."""
    opinions = scope.workspace.opinions
    return {name: opinions.events(name) for name in opinions.listeners()}


def events_of(scope: Scope, listener: str) -> Events:
    """What a listener heard; of a simulated one, what they would have heard in this library."""
    if is_simulated(listener):
        catalogue, today = scope.workspace.catalogue, time.time() // DAY_S
        key, of = ("simulated", listener, scope.library), (catalogue.content(scope.library), today)
        made_of = scope.workspace.database.remembered.made_of
        events: Events = made_of(key, of, lambda: heard_by(listener, scope.tracks, (today + 1) * DAY_S))
        return events
    return scope.workspace.opinions.events(listener)


def profile_for(scope: Scope, listener: str, now_s: float, part_of_day: str | None = None) -> Profile:
    """The profile of a listener at a time."""
    opinions, shelf, events = scope.workspace.opinions, shelf_of(scope), events_of(scope, listener)
    wishes: Mapping[str, tuple[str, ...]] = dict.fromkeys(("less", "ignore"), ())
    if not is_simulated(listener):
        wishes = {str(kind): track_ids for kind, track_ids in opinions.wishes(listener).items()}
    weigh = None
    if part_of_day is not None:
        weigh = at_this_part_of_day(part_of_day, time.localtime(now_s).tm_gmtoff)

    def make() -> Profile:
        return profile_of(
            shelf, events, now_s, less=wishes["less"], ignored=wishes["ignore"], weigh=weigh
        )  # fmt: skip

    key = ("profile", scope.library, scope.info.fingerprint, listener, now_s == week_began_s(now_s), part_of_day)
    made: Profile = scope.workspace.database.remembered.made_of(key, _Made(shelf, events, wishes, now_s), make)
    return made


@dataclass(frozen=True)
class _Made:
    """What a profile is made of; the same objects are the same things, as both are remembered themselves."""

    shelf: Shelf
    events: Events
    wishes: Mapping[str, tuple[str, ...]]
    now_s: float


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
    part_of_day: str | None = None,
    crowd_weight: float = 0.0,
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
    part_of_day : one of `PARTS_OF_DAY`, optional
        What was heard at that part of the day counts more.
    crowd_weight : float
        How much what others here like together counts, 0 to 1; see `evaluation.blending.weigh_crowd`.
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
        raise InputError(f"There is no section {section_id!r}.", f"Choose one of: {', '.join(SECTIONS)}.")
    if k < 1:
        raise InputError(f"{k} recommendations were asked for, expected 1 or more.")
    if not 0.0 <= surprise <= 1.0:  # false of NaN too
        raise InputError(f"The surprise is {surprise:g}, expected 0 (familiar) to 1 (surprising).")
    now_s = to_the_hour(time.time() if now_s is None else now_s)
    profile = profile_for(scope, listener, now_s, part_of_day)
    at_time = profile_for(scope, listener, week_began_s(now_s)) if section.is_of_the_week else profile
    if crowd_weight and section.is_like_taste and not is_simulated(listener):
        at_time = _with_crowd(scope, at_time, listener, crowd_weight)
    refused = set(profile.taste.refused.tolist())  # also what was disliked since Monday
    rows_of = profile.shelf.rows
    stay = {rank: each for rank, each in (stays or {}).items() if rows_of.get(each.track_id, -1) not in {-1, *refused}}
    left_out = refused | {rows_of[each.track_id] for each in stay.values()}
    chosen = [each for each in section.choose(at_time, k + len(stay), surprise, seed) if each.row not in left_out]
    chosen = _in_their_places(chosen, {rank: _known(profile, each) for rank, each in stay.items()}, k)
    # Whose row it is, among the interests as they are now: a section may have chosen by others, or by none of them.
    whose = profile.taste.best if section.is_like_taste else np.full(len(profile.shelf), -1)
    chosen = [replace(each, interest=int(whose[each.row])) for each in chosen]
    explainer = _Explainer(scope, profile, events_of(scope, listener), index_of, discovery_of)
    ids = [profile.shelf.track_ids[each.row] for each in chosen]
    tracks, paths = scope.workspace.catalogue.tracks_of(ids), scope.workspace.catalogue.likely_audio_paths(ids)
    rows: list[Recommended] = []
    for each in chosen:
        track = tracks.get(profile.shelf.track_ids[each.row])
        if track is not None:  # else it was removed meanwhile
            why, path = explainer.why(section, each), paths[track.track_id]
            rows.append(Recommended(len(rows) + 1, track, path, each, why))
    return ForYou(
        listener,
        scope.library,
        scope.info.id,
        section,
        _title(scope, section, at_time),
        profile,
        interests_of(scope, profile),
        tuple(rows),
    )


def _with_crowd(scope: Scope, profile: Profile, listener: str, weight: float) -> Profile:
    """The same profile, its scores dealt anew by what others like together, too."""
    crowd = crowd_places(profile.shelf, all_events(scope), listener, profile.now_s)
    scores = profile.taste.scores
    order = blend(places_of(scores), [(crowd, weight)])
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
    explainer = _Explainer(scope, profile, events_of(scope, listener), index_of, discovery_of)
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
    made_of, key = (
        scope.workspace.database.remembered.made_of,
        ("starters", scope.library, scope.info.fingerprint, n, seed),
    )
    rows: list[int] = made_of(key, _Same(shelf), lambda: starters(shelf, n, seed))
    ids = [shelf.track_ids[row] for row in rows]
    tracks = scope.workspace.catalogue.tracks_of(ids)
    return [tracks[track_id] for track_id in ids if track_id in tracks]


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


def to_the_hour(now_s: float) -> float:
    """The end of the hour that a time lies in: a profile is as it was an hour ago, but for what was heard since."""
    return float(np.ceil(now_s / 3600.0) * 3600.0)


def _title(scope: Scope, section: Section, profile: Profile) -> str:
    row = most_liked_lately(profile)
    if row is None or "{title}" not in section.title:
        return section.title.replace(" {title}", " …")
    named = scope.workspace.catalogue.tracks_of([profile.shelf.track_ids[row]])
    return section.title.replace("{title}", next((each.title for each in named.values()), "…"))


def interests_of(scope: Scope, profile: Profile) -> tuple[NamedInterest, ...]:
    """The interests of a taste, named."""
    shelf = profile.shelf
    facts, shares = _facts(scope, shelf)
    found = []
    for interest in profile.taste.interests:
        track_ids = [shelf.track_ids[row] for row in interest.rows]
        name = name_of_interest([facts[row] for row in interest.rows], interest.weights.tolist(), shares)
        medoid = scope.workspace.catalogue.tracks_of([shelf.track_ids[interest.medoid]])
        track = next(iter(medoid.values()), None)
        if track is None:
            continue
        hears = {name: float(each) for (name, _), each in zip(shelf.hearings, interest.hears, strict=True)}
        found.append(NamedInterest(name or f"like {track.title}", interest.share, track, tuple(track_ids), hears))
    return tuple(found)


def _facts(scope: Scope, shelf: Shelf) -> tuple[list[Facts], dict[tuple[str, str], float]]:
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
        key, _Same(shelf), make
    )
    return found


@dataclass(frozen=True)
class _Same:
    shelf: Shelf


# --- why ----------------------------------------------------------------------------------------------------


class _Explainer:
    """Says why rows are recommended, in words."""

    def __init__(
        self, scope: Scope, profile: Profile, events: Events, index_of: IndexOf | None, discovery_of: DiscoveryOf
    ) -> None:
        self.scope = scope
        self.profile = profile
        self._index = _index_for_words(scope, index_of, discovery_of) if index_of is not None else None
        self._tagged = tagged_library(scope.workspace, scope.library)
        plays = events.until(profile.now_s)
        is_like = plays.action == 2
        self._liked = {plays.track_ids[track] for track in plays.track[is_like]}
        signals = profile.signals
        self._n_plays = dict(zip(signals.track_ids, signals.n_plays.tolist(), strict=True))
        self._interests = interests_of(scope, profile)

    def why(self, section: Section, chosen: Chosen) -> Why:
        shelf = self.profile.shelf
        if not section.is_like_taste:
            return Why("opposite", None, (), "As unlike what you like as anything here.")
        if section.is_around_one:
            return self._around(chosen)
        if chosen.source == "tried":
            return Why("try", None, (), "A try: little is known yet of how you take music like this.")
        carrier = carrier_of(self.profile.taste, chosen.row)
        if carrier is None:
            if chosen.interest < 0 or chosen.interest >= len(self._interests):
                return Why("try", None, (), "Nothing is known of your taste yet.")
            name = self._interests[chosen.interest].name
            return Why("interest", None, (), f"It fits your interest in {name}; no single recording carries it.")
        heard_id = shelf.track_ids[carrier.row]
        aspects = self.alike(heard_id, shelf.track_ids[chosen.row])
        text = f"Because you {self._did(heard_id)} {self._titled(heard_id)}"
        if not aspects and carrier.percentile < NEAR_FROM:  # it carries most, and is not near itself
            interest = self._interests[chosen.interest].name
            return Why("track", heard_id, (), f"{text}, one of your interest in {interest}.", carrier)
        return Why("track", heard_id, tuple(aspects), f"{text}{_alike(aspects, carrier.percentile)}", carrier)

    def _around(self, chosen: Chosen) -> Why:
        """Of a list around what is liked most: that is the reason of all its rows."""
        shelf, row = self.profile.shelf, most_liked_lately(self.profile)
        if row is None:
            return Why("try", None, (), "Nothing is known of your taste yet.")
        cosine = float(shelf.points[row] @ shelf.points[chosen.row])
        percentile = float(shelf.percentiles(np.array(cosine)))
        aspects = self.alike(shelf.track_ids[row], shelf.track_ids[chosen.row])
        said = _alike(aspects, percentile) if aspects or percentile >= NEAR_FROM else "."
        heard_id = shelf.track_ids[row]
        carrier = Carrier(row, cosine, 1.0, cosine, percentile)
        text = f"Because you {self._did(heard_id)} {self._titled(heard_id)}{said}"
        return Why("track", heard_id, tuple(aspects), text, carrier)

    def _titled(self, track_id: str) -> str:
        named = self.scope.workspace.catalogue.tracks_of([track_id])
        return next((each.title for each in named.values()), "a recording")

    def _did(self, track_id: str) -> str:
        if track_id in self._liked:
            return "like"
        return "often hear" if self._n_plays.get(track_id, 0) >= OFTEN_FROM else "heard"

    def alike(self, one: str, other: str) -> list[str]:
        """In what two recordings are alike, the most telling first, at most two."""
        facts, _ = _facts(self.scope, self.profile.shelf)
        rows = self.profile.shelf.rows
        shared = [
            {"work": "the work", "instrument": "the instrument", "performer": "who plays"}[kind]
            for kind in ("work", "instrument", "performer")
            if set(facts[rows[one]].get(kind, ())) & set(facts[rows[other]].get(kind, ()))
        ]
        aspects: list[str] = []
        if self._index is not None:
            index, scope = self._index
            if scope.workspace.store.has(one, scope.info):
                vector = scope.workspace.store.read(one, scope.info).mean
                found = find_reasons(index, vector, [other])[other]
                alike = sorted((each for each in found if each.is_alike), key=lambda each: -(each.percentile or 0.0))
                aspects = [each.aspect.replace("_", " ") for each in alike]
        tags = [] if aspects else tags_in_common(self.scope.workspace, self._tagged, one, [other])[other]
        return [*shared[:1], *aspects, *tags][:MOST_ASPECTS]


def _alike(aspects: Sequence[str], percentile: float) -> str:
    if aspects:
        return f": alike in {listed(aspects)}."
    return f", nearer to it than {percent(percentile)} of pairs here."


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
        return "You dislike it. Take that back, and it may come up again."
    days = float(profile.days_since[row])
    if not profile.taste.interests:
        return "Nothing is known of your taste yet."
    names = interests_of(scope, profile)
    interest = names[found.interest].name if 0 <= found.interest < len(names) else "no interest"
    said = f"It fits your taste better than {percent(found.place)} of this library, best as {interest}"
    if found.disliked is not None:
        disliked = scope.workspace.catalogue.tracks_of([profile.shelf.track_ids[found.disliked]])
        title = next((each.title for each in disliked.values()), "a recording")
        said += f", but it is near to {title}, of which you want less"
    elif days < 14:
        said += ", but you heard it within the last two weeks"
    return f"{said}."
