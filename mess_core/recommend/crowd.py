"""The crowd: where a listener's shelf stands by what other listeners like together, beside what it sounds like.

    events of all others -> items liked together -> likeness, where three others at least agree ─┐
    events of the listener ────────────────────> what they like ────────────────────────────────> score -> place, 0 to 1
    content (a taste) ────────────────────────────────────────────────────────────────> place, 0 to 1 ─> blend

Scores of two sources are on two scales, so each counts by its place among the rows it knows. Of a row that the crowd
does not know, what it sounds like is all there is: it keeps its place, and a blend neither lifts nor sinks it. So rows
of which the same sources know something change places among themselves alone.

Who hears what is their own affair
----------------------------------
Listeners of one installation know each other. A pair of tracks that one or two others like would tell who they are:
"you may like X, because somebody here who likes Y does". So only pairs count that three others at least like both of
(`FEWEST_OTHERS`), and only tracks that as many like. With fewer than three others the crowd knows nothing. What a
listener did is never counted for themselves. This holds for a listener who looks at their lists; who makes up listeners
of their own can tell by them what one more likes, so it is no wall against the owner of the computer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain

import numpy as np

from mess_core.catalogue.listening import Events
from mess_core.errors import InputError
from mess_core.recommend.columns import from_events
from mess_core.recommend.knn import ItemNeighbours
from mess_core.recommend.places import places_of
from mess_core.recommend.shelf import Shelf
from mess_core.recommend.signals import DAY_S, ratings, signals_of

FEWEST_OTHERS = 3  # of one, all is told; of two, each knows the other; statistics offices, too, begin at three
NEIGHBOURS = ItemNeighbours(k=50, shrinkage=5.0, fewest_together=FEWEST_OTHERS)
CROWD, NAMES = "crowd", "names"
WEIGHTS = {CROWD: 0.2, NAMES: 0.2}  # beside content, where a source helps: the best of `benchmarks.crowd`
RISING_DAYS = 14.0
ENOUGH_OF_A_LABEL = 3.0  # rows: what is liked of fewer under one label is believed less


def crowd_places(shelf: Shelf, events: Mapping[str, Events], listener: str, now_s: float) -> np.ndarray:
    """Where each row stands for a listener by what others like together with what they like.

    Parameters
    ----------
    shelf : Shelf
    events : of every listener, this one among them
    listener : str
    now_s : float
        Seconds since 1970; what was later is not known yet.

    Returns
    -------
    ndarray, shape (n,) float64
        Above 0 to 1, the best 1; NaN where the crowd knows nothing of a row, and everywhere if nothing that the
        listener likes is known to it.
    """
    nothing = np.full(len(shelf), np.nan)
    others = from_events({name: each for name, each in events.items() if name != listener}, until_s=now_s)
    if listener not in events or others.n_users < FEWEST_OTHERS:
        return nothing
    signals = signals_of(events[listener], now_s)
    place = {track_id: number for number, track_id in enumerate(others.item_ids)}
    liked = np.zeros(others.n_items)
    for track_id, liking in zip(signals.track_ids, signals.liking.tolist(), strict=True):
        if track_id in place:
            liked[place[track_id]] = liking
    scores = liked @ NEIGHBOURS.likeness(others.has)
    n_liking = np.asarray(others.has.sum(axis=0)).ravel()
    items = np.array([place.get(track_id, -1) for track_id in shelf.track_ids], int)
    is_known = items >= 0
    is_known[is_known] = n_liking[items[is_known]] >= FEWEST_OTHERS
    if not is_known.any() or not scores[items[is_known]].any():
        return nothing
    nothing[is_known] = scores[items[is_known]]
    return places_of(nothing)


def rising_places(shelf: Shelf, events: Mapping[str, Events], listener: str, now_s: float) -> np.ndarray:
    """Where each row stands among what others have begun to take to.

    Counted are listeners and not plays, so that nobody makes a track rise alone: those who took to it within
    `RISING_DAYS`, less those who did in as many days before. What a listener did never counts for themselves.

    Parameters
    ----------
    shelf, events, listener, now_s
        As in `crowd_places`.

    Returns
    -------
    ndarray, shape (n,) float64
        Above 0 to 1, the best 1; NaN of what is not rising, or has fewer than `FEWEST_OTHERS` behind it.
    """
    now, before = np.zeros(len(shelf)), np.zeros(len(shelf))
    for own in (each for name, each in events.items() if name != listener):
        days_ago = (now_s - own.at_s) / DAY_S
        for counted, first, last in ((now, 0.0, RISING_DAYS), (before, RISING_DAYS, 2 * RISING_DAYS)):
            is_then = (days_ago >= first) & (days_ago < last) & (ratings(own) > 0)
            ids = [own.track_ids[track] for track in np.unique(own.track[is_then])]
            counted[[shelf.rows[each] for each in ids if each in shelf.rows]] += 1
    rises = np.where((now >= FEWEST_OTHERS) & (now > before), now - before, np.nan)
    return places_of(rises)


def label_places(labels: Sequence[Collection[str]], liking: np.ndarray) -> np.ndarray:
    """Where each row stands by how much of what has its labels is liked: artists, composers, genres.

    Parameters
    ----------
    labels : of each row; none where nothing is known
    liking : ndarray, shape (n,) >= 0
        Of each row, as `Profile.liking`.

    Returns
    -------
    ndarray, shape (n,) float64
        Above 0 to 1 by its best label; NaN without one, and everywhere where nothing with a label is liked.
    """
    if len(labels) != len(liking):
        raise InputError(f"{len(labels)} rows have labels and {len(liking)} a liking, expected as many.")
    total: dict[str, float] = dict.fromkeys(chain.from_iterable(labels), 0.0)
    n_rows = dict.fromkeys(total, 0)
    for own, value in zip(labels, liking.tolist(), strict=True):
        for label in set(own):
            total[label] += value
            n_rows[label] += 1
    worth = {label: total[label] / (n_rows[label] + ENOUGH_OF_A_LABEL) for label in total}
    scores = np.array([max((worth[label] for label in own), default=np.nan) for own in labels], np.float64)
    return places_of(scores) if np.nansum(scores) > 0 else np.full(len(labels), np.nan)


def blend(content: np.ndarray, others: Sequence[tuple[np.ndarray, float]]) -> np.ndarray:
    """Places by content and other sources together.

    Parameters
    ----------
    content : ndarray, shape (n,)
        Places, all known.
    others : sequence of (places, weight)
        Places (n,), NaN where a source knows nothing of a row; weights at or above 0, together 1 at most. Content has
        what is left.

    Returns
    -------
    ndarray, shape (n,)
        The places of content, dealt anew: among rows that the same sources know, the best by the weighted mean has the
        best place. Means of several places lie closer together than places; as they are, rows known to one source alone
        would stand at both ends.

    Examples
    --------
    The crowd knows rows 0 and 2, and thinks more of 2; row 1 keeps its place.

    >>> blend(np.array([0.9, 0.5, 0.1]), [(np.array([0.5, np.nan, 1.0]), 0.8)]).tolist()
    [0.1, 0.5, 0.9]
    """
    weights = np.array([weight for _, weight in others], np.float64)
    if not (np.isfinite(weights) & (weights >= 0)).all() or weights.sum() > 1 + 1e-9:
        raise InputError(f"Weights are {weights.tolist()}, expected 0 or more, and 1 at most together.")
    if np.isnan(content).any() or any(len(places) != len(content) for places, _ in others):
        raise InputError("Each source needs a place for each row, and content a number.")
    if not len(others):
        return content.copy()
    known = np.array([~np.isnan(places) & (weight > 0) for places, weight in others])
    own = 1.0 - weights.sum()
    total, weight_known = own * content, np.full(len(content), own)
    for (places, weight), is_known in zip(others, known, strict=True):
        total = total + weight * np.where(is_known, places, 0.0)
        weight_known = weight_known + weight * is_known
    mean = np.divide(total, weight_known, out=content.astype(np.float64), where=weight_known > 1e-12)
    pattern = (known * 2 ** np.arange(len(known))[:, None]).sum(axis=0)
    found = content.astype(np.float64)
    for each in np.unique(pattern[pattern > 0]):
        rows = np.flatnonzero(pattern == each)
        found[rows[np.lexsort((rows, content[rows], mean[rows]))]] = np.sort(content[rows])
    return found
