"""Signals: what listening says of each track, for it and against it, and how much of that is left by now.

    event -> rating (a like 2, heard to the end 1, skipped -½, disliked -2) -> what time has left of it -> sum by track

Half of what was heard is forgotten after a month, in a taste of these days, and after half a year, in one of longer
standing; both count half. Time is what counts and not how much was heard since: a month without music is a month.
The hundredth play of a track says less than the first, so plays count as their mean times log(1 + how many).

What is disliked now is not liked: its plays do not count. What is liked is not held against it when it is skipped.

Source
------
Half-lives: Pal et al. (2020), PinnerSage, who weigh by recency, too; the ratings are ours, in the order that listeners
give them, and stand beside the alternatives in `evaluate taste`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from mess_core.catalogue.listening import ACTIONS, Events

DAY_S = 86_400.0
HALF_LIVES_DAYS = (30.0, 180.0)
LIKED, DISLIKED, SKIPPED = 2.0, -2.0, -0.5
TO_THE_END_FROM, TO_THE_END = 0.8, 1.0  # share of the track that was heard, and what that says
PARTLY_FROM = 0.3  # less is no sign; more counts as the share less this
LISTENED = 0.6  # what services count as a listen: half the track at least, nobody says how much
SESSION_GAP_S = 1800.0  # of silence: another session
PLAY, SKIP, LIKE, DISLIKE = (ACTIONS.index(action) for action in ACTIONS)


@dataclass(frozen=True, eq=False)
class Signals:
    """What was said of tracks, one entry per track that anything was said of.

    track_ids : as in the events
    liking, disliking : (n,) float64 >= 0; one of the two is 0
    last_s : (n,) when it was last heard or judged, seconds since 1970
    n_plays : (n,) int64
    is_disliked : (n,) bool, a dislike that stands
    """

    track_ids: tuple[str, ...]
    liking: np.ndarray
    disliking: np.ndarray
    last_s: np.ndarray
    n_plays: np.ndarray
    is_disliked: np.ndarray

    def without(self, track_ids: Collection[str]) -> Signals:
        """As if these had never been heard."""
        left = np.array([track_id not in track_ids for track_id in self.track_ids], bool)
        return Signals(
            tuple(track_id for track_id, is_left in zip(self.track_ids, left, strict=True) if is_left),
            *(column[left] for column in (self.liking, self.disliking, self.last_s, self.n_plays, self.is_disliked)),
        )

    def unmoved_by(self, track_ids: Collection[str]) -> Signals:
        """As if these said nothing; that they were heard stays known."""
        is_named = np.array([track_id in track_ids for track_id in self.track_ids], bool)
        return replace(
            self,
            liking=np.where(is_named, 0.0, self.liking),
            disliking=np.where(is_named & ~self.is_disliked, 0.0, self.disliking),
        )


def session_of(events: Events) -> np.ndarray:
    """In which session each event was, (n,) int64, ascending: half an hour of silence ends one."""
    found: np.ndarray = np.cumsum(np.diff(events.at_s, prepend=events.at_s[:1]) > SESSION_GAP_S)
    return found


def ratings(events: Events) -> np.ndarray:
    """What each event says of its track, (n,) float64, before time has passed."""
    share = events.share
    heard = np.where(share >= TO_THE_END_FROM, TO_THE_END, np.clip(share - PARTLY_FROM, 0.0, None))
    heard = np.where(np.isnan(share), np.where(np.isnan(events.seconds), LISTENED, 0.0), heard)
    found: np.ndarray = np.select(
        [events.action == LIKE, events.action == DISLIKE, events.action == SKIP], [LIKED, DISLIKED, SKIPPED], heard
    )
    return found


def what_is_left(age_days: np.ndarray, half_lives_days: Collection[float] = HALF_LIVES_DAYS) -> np.ndarray:
    """Of a rating of some days ago, as a share; of the future as of now."""
    ages = np.clip(age_days, 0.0, None)
    left: np.ndarray = np.mean([np.exp2(-ages / half_life) for half_life in half_lives_days], axis=0)
    return left


def signals_of(
    events: Events,
    now_s: float,
    half_lives_days: Collection[float] = HALF_LIVES_DAYS,
    weigh: Callable[[Events], np.ndarray] | None = None,
) -> Signals:
    """What events say of each track at a time.

    Parameters
    ----------
    events : Events
        Later ones than `now_s` are left out: a clock was wrong.
    now_s : float
        Seconds since 1970.
    half_lives_days : collection of float
        Infinite: nothing is forgotten.
    weigh : callable (events) -> (n,) float64, optional
        How much each event counts besides, as `weigh_by`.
    """
    n = len(events.track_ids)
    is_past = events.at_s <= now_s
    track = events.track[is_past]
    age_days = (now_s - events.at_s[is_past]) / DAY_S
    rating = ratings(events)[is_past]
    action = events.action[is_past]
    weight = what_is_left(age_days, half_lives_days)
    if weigh is not None:
        weight = weight * weigh(events)[is_past]

    def summed(which: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.bincount(track[which], values[which], minlength=n).astype(np.float64)

    is_play = (action == PLAY) | (action == SKIP)
    n_plays = np.bincount(track[is_play], minlength=n)
    damped = np.divide(np.log1p(n_plays), n_plays, out=np.zeros(n), where=n_plays > 0)
    liking = summed(is_play & (rating > 0), rating * weight) * damped + summed(action == LIKE, rating * weight)
    is_liked = np.bincount(track[action == LIKE], minlength=n) > 0
    is_disliked = np.bincount(track[action == DISLIKE], minlength=n) > 0
    against = -summed(is_play & (rating < 0), rating * weight) * damped
    disliking = np.where(is_disliked, -summed(action == DISLIKE, rating * weight), np.where(is_liked, 0.0, against))
    net = liking - disliking
    last_s = np.full(n, -np.inf)
    np.maximum.at(last_s, track, events.at_s[is_past])
    is_known = np.isfinite(last_s)
    found = Signals(
        events.track_ids,
        np.where(is_disliked, 0.0, np.clip(net, 0.0, None)),
        np.where(is_disliked, disliking, np.clip(-net, 0.0, None)),
        last_s,
        n_plays,
        is_disliked,
    )
    return found if is_known.all() else found.without({events.track_ids[row] for row in np.flatnonzero(~is_known)})
