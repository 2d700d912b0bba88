"""Blending: how much another source should count beside content, told by what listeners liked next.

    events until a time -> taste, another source -> blend by each weight -> the k best that were never heard
    events after it     -> what was liked and never heard before         -> nDCG@k of each listener

Two sources are asked: the crowd, what others like together; and names, how much of an artist, a composer or a player is
liked. A source counts only where its gain over content alone is above 0 by an interval over listeners. Of many weights
the best flatters itself, so a household is asked of one (`recommend.crowd.WEIGHTS`) whether it helps there. Listeners
who liked nothing new are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mess_core.catalogue.listening import Events
from mess_core.evaluation.recommendation import NDCG, accuracy, mean_of_users
from mess_core.numbers import interval, number
from mess_core.recommend.crowd import CROWD, FEWEST_OTHERS, NAMES, WEIGHTS, blend, crowd_places, label_places
from mess_core.recommend.gathering import all_events, shelf_of
from mess_core.recommend.places import places_of
from mess_core.recommend.profile import Profile, profile_of
from mess_core.recommend.shelf import Shelf
from mess_core.recommend.signals import DAY_S, DISLIKE, ratings
from mess_core.words import counted
from mess_core.workspace.scope import Scope

TRIED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
K = 10
REPLAYED_DAYS = 14.0
Source = Callable[[Profile, Mapping[str, Events], str], np.ndarray]  # of a listener among all -> places (n,)
SOURCES: dict[str, Source] = {
    CROWD: lambda profile, events, listener: crowd_places(profile.shelf, events, listener, profile.now_s),
    NAMES: lambda profile, events, listener: label_places(profile.shelf.artists, profile.liking),
}

SAID = {CROWD: ("The crowd", "does", "helps", "counts"), NAMES: ("Names", "do", "help", "count")}


@dataclass(frozen=True)
class BlendFigure:
    """One weight of a source. value: mean nDCG; gain over content alone, with its interval (95 %, listeners drawn)"""

    weight: float
    value: float
    low: float | None
    high: float | None
    gain: float
    gain_low: float | None
    gain_high: float | None


@dataclass(frozen=True, eq=False)
class BlendStudy:
    """Each weight of a source, on the same listeners.

    source : one of `SOURCES`
    weights : the first is 0: content alone
    table : (n_listeners, n_weights), nDCG@k of each
    share_known : (n_listeners,), of the rows, by the source
    """

    source: str
    k: int
    weights: tuple[float, ...]
    table: np.ndarray
    share_known: np.ndarray
    seed: int = 0

    @property
    def n_listeners(self) -> int:
        return len(self.table)

    @cached_property
    def figures(self) -> tuple[BlendFigure, ...]:
        """One for each weight."""
        found = []
        for weight, values in zip(self.weights, self.table.T, strict=True):
            value, low, high = mean_of_users(values, seed=self.seed)
            gain, gain_low, gain_high = mean_of_users(values - self.table[:, 0], seed=self.seed)
            found.append(BlendFigure(weight, value or 0.0, low, high, gain or 0.0, gain_low, gain_high))
        return tuple(found)

    @property
    def best(self) -> BlendFigure:
        """That of the best mean; of equal ones, of the least weight."""
        return max(self.figures, key=lambda each: (each.value, -each.weight))

    @property
    def weight(self) -> float:
        """The one to take: 0 where the best is not surely better than content alone."""
        return self.best.weight if self.best.gain_low is not None and self.best.gain_low > 0 else 0.0

    @property
    def verdict(self) -> str:
        """What it comes to, in a sentence."""
        best, alone = self.best, self.figures[0]
        who, does, helps, counts = SAID[self.source]
        of = counted(self.n_listeners, "listener")
        if best is alone:
            return f"{who} {does} not help: content alone has nDCG@{self.k} {number(alone.value, 3)}, of {of}."
        said = f"nDCG@{self.k} {number(best.value, 3)} where content alone has {number(alone.value, 3)}"
        gain = f"a gain of {number(best.gain, 3)} {interval(best.gain_low, best.gain_high, 3)}".rstrip()
        if self.weight:
            return f"{who} {counts} for {number(self.weight, 1)}: {said}, {gain}, of {of}."
        not_shown = f"That {who[:1].lower()}{who[1:]} {helps} is not shown"
        return f"{not_shown}: {said}, {gain}, of {of}. Content alone is kept."


def pooled(studies: Sequence[BlendStudy]) -> BlendStudy:
    """The listeners of several households together; all of the same k and weights."""
    first = studies[0]
    table = np.concatenate([each.table for each in studies])
    return BlendStudy(
        first.source, first.k, first.weights, table, np.concatenate([each.share_known for each in studies]), first.seed
    )  # fmt: skip


def replay_blends(
    shelf: Shelf,
    events: Mapping[str, Events],
    at_s: float,
    weights: Sequence[float] = TRIED,
    k: int = K,
    *,
    source: str = CROWD,
    seed: int = 0,
) -> BlendStudy | None:
    """Recommend at a time what was not heard, and see what was liked after it; None where nobody liked anything new.

    Parameters
    ----------
    shelf : Shelf
    events : of each listener
    at_s : float
        Seconds since 1970.
    weights : sequence of float
        Of the source; the first is 0.
    k : int
    source : one of `SOURCES`
    seed : int
        Of the intervals.
    """
    gains, known = [], []
    for listener in sorted(events):
        profile = profile_of(shelf, events[listener].until(at_s), at_s)
        is_open = np.ones(len(shelf), bool)
        is_open[profile.heard] = False
        is_relevant = _liked_after(shelf, events[listener], at_s) & is_open
        if not is_relevant.any() or not profile.taste.interests:
            continue
        rows = np.flatnonzero(is_open)
        content, other = places_of(profile.taste.scores), SOURCES[source](profile, events, listener)
        known.append(np.mean(~np.isnan(other)))
        order = [rows[np.argsort(-blend(content, [(other, weight)])[rows], kind="stable")[:k]] for weight in weights]
        hits = np.array([np.pad(is_relevant[each], (0, k - len(each))) for each in order])
        gains.append(accuracy(hits, np.full(len(hits), is_relevant.sum()))[NDCG])
    if not gains:
        return None
    return BlendStudy(source, k, tuple(weights), np.array(gains), np.array(known), seed)


def _liked_after(shelf: Shelf, events: Events, at_s: float) -> np.ndarray:
    """Which rows something spoke for after a time, (n,) bool; never what is disliked in the end."""
    speaks = (events.at_s > at_s) & (ratings(events) > 0)
    disliked = np.unique(events.track[events.action == DISLIKE])
    liked = np.setdiff1d(np.unique(events.track[speaks]), disliked)
    found = np.zeros(len(shelf), bool)
    rows = [shelf.rows[events.track_ids[track]] for track in liked if events.track_ids[track] in shelf.rows]
    found[rows] = True
    return found


def weights_of(studies: Mapping[str, BlendStudy]) -> dict[str, float]:
    """How much each source counts; 0 where that it helps is not shown."""
    return {source: study.weight for source, study in studies.items()}


def weigh_sources(scope: Scope, now_s: float) -> dict[str, BlendStudy]:
    """Whether each source helps the listeners of a data folder, replayed over their last fortnight.

    None of a source where too few listen, or nobody liked anything new.

    Asked once a day: it is of what was heard until midnight.
    """
    today_s = now_s // DAY_S * DAY_S
    if len(scope.workspace.opinions.listeners()) <= FEWEST_OTHERS:
        return {}
    shelf, until_now = shelf_of(scope), all_events(scope)

    def replay() -> dict[str, BlendStudy]:
        events = {name: each.until(today_s) for name, each in until_now.items()}
        found = {}
        for source, weight in WEIGHTS.items():
            study = replay_blends(shelf, events, today_s - REPLAYED_DAYS * DAY_S, (0.0, weight), source=source)
            if study is not None:
                found[source] = study
        return found

    numbers = {name: int(np.searchsorted(each.at_s, today_s, side="right")) for name, each in until_now.items()}
    of = (scope.content, today_s, numbers)
    key = ("weigh sources", scope.library, scope.info.fingerprint)
    studies: dict[str, BlendStudy] = scope.workspace.database.remembered.made_of(key, of, replay)
    return studies
