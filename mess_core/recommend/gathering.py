"""Gathering: what of a library can be recommended, and what is known of a listener, remembered by what it is made of.

scope    -> shelf                      what its encoder has heard, as points
listener -> events, wishes -> profile  at a time
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.catalogue.listening import Events
from mess_core.errors import ArtefactMismatchError, DataMissingError
from mess_core.recommend.embedding import kept_sessions, session_map_path, track_inputs
from mess_core.recommend.profile import Profile, profile_of, weigh_by
from mess_core.recommend.sections import week_began_s
from mess_core.recommend.shelf import Shelf, make_points
from mess_core.recommend.signals import DAY_S
from mess_core.recommend.simulated import heard_by, is_simulated, simulated_people
from mess_core.targets.registry import COMPARABLE
from mess_core.words import counted
from mess_core.workspace.scope import Scope

MOST_MEASURED = 0.9  # share of the tracks whose features must be known
SESSIONS = "what is heard together"
FEWEST_TRACKS = 3  # of a library, of which something can be recommended


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


def hearings_of(scope: Scope, track_ids: Sequence[str]) -> dict[str, list[np.ndarray]]:
    """What each hearing of an encoder heard of embedded tracks, as `make_points` takes it: (n, 1, dim) a layer."""
    workspace, info = scope.workspace, scope.info
    hearings: dict[str, list[np.ndarray]] = {}
    for part in info.parts:
        vectors = workspace.store.load(track_ids, part.info).vectors
        layers = [vectors[:, layer : layer + 1, : part.info.width_of(layer)] for layer in part.layers]
        hearings.setdefault(part.of, []).extend(layers)
    if not info.parts:
        vectors = workspace.store.load(track_ids, info).vectors
        hearings[info.title] = [vectors[:, layer : layer + 1, : info.width_of(layer)] for layer in range(info.n_layers)]
    return hearings


def _make_shelf(scope: Scope, track_ids: Sequence[str]) -> Shelf:
    workspace = scope.workspace
    points, columns = make_points(hearings_of(scope, track_ids))
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
        events: Events = made_of(key, of, lambda: heard_by(listener, scope.tracks, today * DAY_S))
        return events
    return scope.workspace.opinions.events(listener)


def people_to_look_at(scope: Scope) -> list[str]:
    """Those of the simulated who would find something of theirs in a library."""
    catalogue, key = scope.workspace.catalogue, ("simulated people", scope.library)
    made_of = scope.workspace.database.remembered.made_of
    return list(made_of(key, catalogue.content(scope.library), lambda: simulated_people(scope.tracks)))


def profile_for(scope: Scope, listener: str, now_s: float, context: str | None = None) -> Profile:
    """The profile of a listener at a time."""
    opinions, shelf, events = scope.workspace.opinions, shelf_of(scope), events_of(scope, listener)
    wishes: Mapping[str, tuple[str, ...]] = dict.fromkeys(("less", "ignore"), ())
    if not is_simulated(listener):
        wishes = {str(kind): track_ids for kind, track_ids in opinions.wishes(listener).items()}
    weigh = None
    if context is not None:
        weigh = weigh_by(context, time.localtime(now_s).tm_gmtoff)

    def make() -> Profile:
        return profile_of(
            shelf, events, now_s, less=wishes["less"], ignored=wishes["ignore"], weigh=weigh
        )  # fmt: skip

    key = ("profile", scope.library, scope.info.fingerprint, listener, now_s == week_began_s(now_s), context)
    made: Profile = scope.workspace.database.remembered.made_of(key, _Made(shelf, events, wishes, now_s), make)
    return made


@dataclass(frozen=True)
class _Made:
    """What a profile is made of; the same objects are the same things, as both are remembered themselves."""

    shelf: Shelf
    events: Events
    wishes: Mapping[str, tuple[str, ...]]
    now_s: float


def to_the_hour(now_s: float) -> float:
    """The end of the hour that a time lies in: a profile is as it was an hour ago, but for what was heard since."""
    return float(np.ceil(now_s / 3600.0) * 3600.0)
