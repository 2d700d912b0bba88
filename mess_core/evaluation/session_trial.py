"""The trial of an embedding learned from sessions: better than what needs no learning, or it says that it is not.

    sessions but the last week -> line, the same with tracks exchanged for each other
    sessions of the last week  -> of each track somebody took to: are those of the same sitting near to it?

The question is asked of each listener and track, among all tracks: nDCG@10 of what they took to with it in that week,
and never before together. Ways to hear stand side by side: points as they are, features as they are, both, and the line
through what was exchanged, which knows who is popular and not what anything sounds like. The learned one is kept only
if it is better than each of them by an interval over listeners that lies above 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mess_core.catalogue.listening import Events
from mess_core.errors import InputError
from mess_core.evaluation.recommendation import NDCG, accuracy, mean_of_users
from mess_core.numbers import interval, number
from mess_core.recommend.embedding import (
    SessionMap,
    SessionSettings,
    TrackInputs,
    forget_session_map,
    learn_sessions,
    save_session_map,
    session_map_path,
    track_inputs,
)
from mess_core.recommend.sessions import SessionPairs, session_pairs, shared_pairs
from mess_core.recommend.shelf import Shelf, unit
from mess_core.recommend.signals import DAY_S
from mess_core.storage.provenance import provenance
from mess_core.words import counted, listed
from mess_core.workspace.scope import Scope

TEST_DAYS = 7.0
K = 10
MOST_ASKED = 5000  # tracks of listeners, by chance
ASKED_AT_ONCE = 256
LEARNED, EXCHANGED, CHANCE = "learned", "learned, tracks exchanged", "random points"
POINTS, FEATURES, BOTH = "points", "features", "points and features"


@dataclass(frozen=True)
class SessionFigure:
    """One way to hear: mean nDCG over listeners, and what the learned one gains on it, with intervals (95 %)."""

    way: str
    value: float
    low: float | None
    high: float | None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None


@dataclass(frozen=True, eq=False)
class SessionTrial:
    """What came of it.

    figures : the learned one first
    n_listeners, n_asked : that could be tested, and how many tracks of theirs
    n_pairs : that were learned from
    learned : the line that was tested
    """

    k: int
    figures: tuple[SessionFigure, ...]
    n_listeners: int
    n_asked: int
    n_pairs: int
    learned: SessionMap

    @property
    def not_beaten(self) -> tuple[str, ...]:
        """Ways than which the learned one is not surely better."""
        return tuple(each.way for each in self.figures[1:] if each.gain_low is None or each.gain_low <= 0)

    @property
    def kept(self) -> SessionMap | None:
        """The line, if it is better; else tracks stay as they are heard."""
        return None if self.not_beaten else self.learned

    @property
    def verdict(self) -> str:
        """What it comes to, in a sentence."""
        learned = self.figures[0]
        rival = max(self.figures[1:], key=lambda each: each.value)
        of = counted(self.n_listeners, "listener")
        said = f"nDCG@{self.k} {number(learned.value, 3)} in the week that was held back"
        if rival.gain_low is None:
            return f"Whether it helps cannot be said of {of}: {said}, {rival.way} {number(rival.value, 3)}. Not kept."
        gain = f"{number(rival.gain, 3, signed=True)} {interval(rival.gain_low, rival.gain_high, 3, signed=True)}"
        beside = f"{said}, the best of the others ({rival.way}) {number(rival.value, 3)}, a gain of {gain}, of {of}"
        if self.kept is not None:
            return f"What was learned from sessions helps: {beside}."
        return f"It is not better than {listed(self.not_beaten)}: {beside}. Not kept."

    def as_document(self) -> dict[str, Any]:
        """For a card, as JSON."""
        return {
            "k": self.k,
            "figures": [asdict(each) for each in self.figures],
            "n_listeners": self.n_listeners,
            "n_asked": self.n_asked,
            "n_pairs": self.n_pairs,
            "n_steps": self.learned.n_steps,
            "is_kept": self.kept is not None,
            "verdict": self.verdict,
        }


def try_sessions(
    shelf: Shelf,
    events: Mapping[str, Events],
    features: np.ndarray | None = None,
    *,
    test_days: float = TEST_DAYS,
    settings: SessionSettings | None = None,
    k: int = K,
    seed: int = 0,
    is_published: bool = False,
) -> SessionTrial:
    """Learn from all but the last days, and test on these.

    Parameters
    ----------
    shelf : Shelf
    events : of each listener
    features : ndarray, shape (n, d), optional
        Of each row, on any scales; NaN where one is not known.
    test_days : float
        Days at the end that are held back.
    settings : SessionSettings, optional
    k : int
    seed : int
        Of learning, of exchanging, of what is asked and of intervals.
    is_published : bool
        As in `learn_sessions`; else, of several listeners, only pairs that four at least have are learned from.

    Raises
    ------
    InputError
        If there is nothing to learn from, or nothing to test on.
    """
    pairs = session_pairs(shelf.track_ids, events)
    end_s = max((float(each.at_s[-1]) for each in events.values() if len(each)), default=0.0)
    is_tested = pairs.at_s >= end_s - test_days * DAY_S
    known, tested = pairs.only(~is_tested), pairs.only(is_tested)
    asked = _questions(known, tested, seed)
    if not len(asked.row):
        raise InputError(
            f"In the last {test_days:g} days nobody took to two tracks in one session that they had not had together.",
            "Listen for a while, or hold back more days.",
        )
    inputs = track_inputs(shelf.points, features)
    order = np.random.default_rng(seed).permutation(len(shelf))
    exchanged = TrackInputs(inputs.names, inputs.widths, inputs.values[order])
    known = known if is_published else shared_pairs(known)
    learned = learn_sessions(inputs, known, settings, seed, is_published=is_published)
    ways = {LEARNED: learned.points(inputs), POINTS: unit(shelf.points)}
    if features is not None:
        ways |= {FEATURES: unit(track_inputs(features=features).values), BOTH: unit(inputs.values)}
    control = learn_sessions(exchanged, known, settings, seed, is_published=is_published)
    ways[EXCHANGED] = control.points(exchanged)
    ways[CHANCE] = unit(np.random.default_rng(seed).standard_normal((len(shelf), 32)))
    per_listener = {way: _per_listener(points, asked, k) for way, points in ways.items()}
    figures = []
    for way, values in per_listener.items():
        value, low, high = mean_of_users(values, seed=seed)
        gains = (None, None, None) if way == LEARNED else mean_of_users(per_listener[LEARNED] - values, seed=seed)
        figures.append(SessionFigure(way, value or 0.0, low, high, *gains))
    n_listeners = len(np.unique(asked.listener))
    return SessionTrial(k, tuple(figures), n_listeners, len(asked.row), len(known), learned)


def keep_sessions(scope: Scope, trial: SessionTrial) -> bool:
    """Keep the line of a trial, with its card, if it is better; an older one goes either way. Returns whether it is."""
    path = session_map_path(scope.workspace.paths, scope.library, scope.info)
    if trial.kept is None:
        forget_session_map(path)
        return False
    card = {
        "library": scope.library,
        "encoder": scope.info.id,
        "fingerprint": scope.info.fingerprint,
        "content": scope.content,
        "trial": trial.as_document(),
        "provenance": provenance(),
    }
    save_session_map(path, trial.kept, card)
    return True


@dataclass(frozen=True, eq=False)
class _Asked:
    """Of a listener and a row, what else they took to. sought : for each, rows"""

    listener: np.ndarray
    row: np.ndarray
    sought: tuple[np.ndarray, ...]


def _questions(known: SessionPairs, tested: SessionPairs, seed: int) -> _Asked:
    """Each tested pair both ways, but for those that the same listener had together before."""
    had = set(zip(known.listener.tolist(), known.one.tolist(), known.other.tolist(), strict=True))
    sought: dict[tuple[int, int], set[int]] = {}
    for listener, one, other in zip(
        tested.listener.tolist(), tested.one.tolist(), tested.other.tolist(), strict=True
    ):  # fmt: skip
        if (listener, one, other) not in had:
            sought.setdefault((listener, one), set()).add(other)
            sought.setdefault((listener, other), set()).add(one)
    keys = sorted(sought)
    if len(keys) > MOST_ASKED:
        chosen = np.sort(np.random.default_rng(seed).choice(len(keys), MOST_ASKED, replace=False))
        keys = [keys[place] for place in chosen]
    rows = np.array(keys, np.int64).reshape(-1, 2)
    return _Asked(rows[:, 0], rows[:, 1], tuple(np.array(sorted(sought[key])) for key in keys))


def _per_listener(points: np.ndarray, asked: _Asked, k: int) -> np.ndarray:
    """Mean nDCG of each listener who is asked, (n_listeners,)."""
    values = np.empty(len(asked.row))
    k = min(k, len(points) - 1)
    for start in range(0, len(asked.row), ASKED_AT_ONCE):
        rows = asked.row[start : start + ASKED_AT_ONCE]
        cosines = points[rows] @ points.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        within = np.lexsort((nearest, -np.take_along_axis(cosines, nearest, axis=1)))
        nearest = np.take_along_axis(nearest, within, axis=1)
        sought = asked.sought[start : start + ASKED_AT_ONCE]
        hits = np.array([np.isin(near, own) for near, own in zip(nearest, sought, strict=True)])
        values[start : start + len(rows)] = accuracy(hits, np.array([len(own) for own in sought]))[NDCG]
    _, who = np.unique(asked.listener, return_inverse=True)
    found: np.ndarray = np.bincount(who, values) / np.bincount(who)
    return found
