"""A list of recommendations: candidates from several sources, each filtered, calibrated, and none too many of a kind.

    taste ──────────> each interest's nearest          ─┐
    artists liked ──> what else is theirs               ├─> filters -> how many of each interest -> diverse -> caps
    library ────────> what is new                      ─┘   (heard lately, disliked, asked to stay away)

Every candidate has the score of the taste, a cosine; by whom it is and that it is new add a little. Each interest gets
as many rows as its share of the liking asks for; what is left over goes to those that are most under it, and the turn
of one whose best is worse than half of all candidates goes to the best of all others. Within an interest the next row
is the one with the most of

    λ score  -  (1 - λ) its greatest cosine with what stands already           maximal marginal relevance, λ = .7

The knob from familiar to surprising moves λ's counterpart among what somebody knows: towards surprising, a candidate
loses what it has in common with the nearest track that was ever heard, towards familiar it gains it.

Source
------
Carbonell & Goldstein (1998) for marginal relevance; Steck (2018) for shares of interests as a constraint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Set
from dataclasses import dataclass, field

import numpy as np

from mess_core.numbers import whole_parts
from mess_core.recommend.places import places_of
from mess_core.recommend.shelf import Shelf
from mess_core.recommend.taste import Taste

RELEVANCE = 0.7  # λ
MOST_OF_AN_ARTIST, MOST_OF_A_WORK = 2, 1  # within one list
FAMILIARITY = 0.6  # of a cosine: how far the knob at either end moves a candidate
MOST_HEARD = 512  # tracks that the knob goes by, those heard last
CANDIDATES_PER_ROW = 20  # of each interest, for each row that it may fill
BY_ARTIST, BY_NEWNESS = 0.03, 0.03  # what the other sources add, as a cosine
LEAST_PLACE = 0.5  # of the best that an interest has left, among all candidates


@dataclass(frozen=True)
class Wanted:
    """What a list is to be.

    n : rows
    surprise : 0 familiar, 1 surprising
    never : rows of the shelf that are left out
    only : rows from which alone is chosen; None: all
    most_of_an_artist, most_of_a_work : None: as many as come
    """

    n: int
    surprise: float = 0.5
    never: Collection[int] = frozenset()
    only: Collection[int] | None = None
    most_of_an_artist: int | None = MOST_OF_AN_ARTIST
    most_of_a_work: int | None = MOST_OF_A_WORK


@dataclass(frozen=True)
class Chosen:
    """One row of a list.

    row : of the shelf
    score : of the taste, a cosine, with what was added
    place : above 0 to 1, among all that could be recommended here
    interest : whose row it is; -1 of none
    source : "interest", "artist", "new" or "tried"
    propensity : how likely it was to be chosen; 1 where no chance was in it
    """

    row: int
    score: float
    place: float
    interest: int
    source: str
    propensity: float = 1.0


@dataclass
class _List:
    """Rows chosen so far, and what they leave room for."""

    shelf: Shelf
    wanted: Wanted
    rows: list[int] = field(default_factory=list)
    n_of_maker: Counter[str] = field(default_factory=Counter)
    n_of_work: Counter[str] = field(default_factory=Counter)

    def has_room_for(self, row: int) -> bool:
        caps = (
            (self.shelf.works[row], self.n_of_work, self.wanted.most_of_a_work),
            (self.shelf.makers[row], self.n_of_maker, self.wanted.most_of_an_artist),
        )
        return all(most is None or name is None or counted[name] < most for name, counted, most in caps)

    def add(self, row: int) -> None:
        self.rows.append(row)
        for name, counted in ((self.shelf.works[row], self.n_of_work), (self.shelf.makers[row], self.n_of_maker)):
            if name is not None:
                counted[name] += 1


def with_room(shelf: Shelf, wanted: Wanted, taken: Collection[int], rows: np.ndarray) -> np.ndarray:
    """Those of some rows that a list with these rows in it has room for, by its caps."""
    chosen = _List(shelf, wanted)
    for row in taken:
        chosen.add(row)
    return np.array([row for row in rows.tolist() if chosen.has_room_for(row)], int)


def relevance(taste: Taste, heard: np.ndarray, surprise: float = 0.5) -> np.ndarray:
    """The scores of a taste, moved by the knob, (n,) float64. heard : (m,) rows, what was heard last first."""
    lean = FAMILIARITY * (1.0 - 2.0 * surprise)
    if not lean or not len(heard):
        return taste.scores
    found: np.ndarray = taste.scores + lean * taste.shelf.nearest(taste.shelf.points[heard[:MOST_HEARD]])
    return found


def choose(
    taste: Taste,
    wanted: Wanted,
    *,
    heard: np.ndarray | None = None,
    liked_artists: Set[str] = frozenset(),
    new_from_s: float = np.inf,
    moved: np.ndarray | float = 0.0,
) -> list[Chosen]:
    """Choose a list, the best first.

    Parameters
    ----------
    taste : Taste
    wanted : Wanted
    heard : (m,) rows that were heard, the last first, for the knob
    liked_artists : by whom something is liked
    new_from_s : since when something counts as new, seconds since 1970
    moved : (n,) what is added to the scores, as a draw does
    """
    shelf = taste.shelf
    allowed = np.zeros(len(shelf), bool)
    allowed[slice(None) if wanted.only is None else np.fromiter(wanted.only, int)] = True
    allowed[np.fromiter(wanted.never, int)] = False
    allowed[taste.refused] = False
    rows = np.flatnonzero(allowed)
    if not len(rows) or wanted.n <= 0:
        return []
    scores = relevance(taste, np.empty(0, int) if heard is None else heard, wanted.surprise) + moved
    worth = scores + BY_NEWNESS * (shelf.added_s >= new_from_s) + BY_ARTIST * shelf.by_any_of(liked_artists)
    place = np.zeros(len(shelf))
    place[rows] = places_of(worth[rows])
    rows = rows[np.lexsort((rows, -worth[rows]))]
    quotas = whole_parts([interest.share * wanted.n for interest in taste.interests], wanted.n)
    own_rows = [rows[taste.best[rows] == number] for number in range(len(quotas))]
    taken = _List(shelf, wanted)
    chosen: list[Chosen] = []
    for interest in _turns(quotas) if quotas else [-1] * wanted.n:
        row = _next(own_rows[interest], worth, taken) if interest >= 0 else None
        if row is None or place[row] < LEAST_PLACE:
            row = _next(rows, worth, taken)
        if row is None:
            break
        taken.add(row)
        is_new = shelf.added_s[row] >= new_from_s
        source = "new" if is_new else "artist" if not liked_artists.isdisjoint(shelf.artists[row]) else "interest"
        chosen.append(Chosen(row, float(worth[row]), float(place[row]), int(taste.best[row]), source))
    return sorted(chosen, key=lambda each: -each.score)


def _next(ordered: np.ndarray, worth: np.ndarray, taken: _List) -> int | None:
    """The row that adds most, of some that stand in order of their worth; None where there is room for none."""
    points, open_to = taken.shelf.points, []
    for row in ordered.tolist():
        if row not in taken.rows and taken.has_room_for(row):
            open_to.append(row)
            if len(open_to) == CANDIDATES_PER_ROW * taken.wanted.n:
                break
    if not open_to:
        return None
    likest = (points[open_to] @ points[taken.rows].T).max(axis=1) if taken.rows else np.zeros(len(open_to))
    adds = RELEVANCE * worth[open_to] - (1 - RELEVANCE) * likest
    return int(open_to[int(np.argmax(adds))])


def _turns(quotas: list[int]) -> list[int]:
    """Whose turn each row is, so that none waits until the others are served.

    Examples
    --------
    >>> _turns([3, 1, 1])
    [0, 0, 1, 2, 0]
    """
    turns = [((turn + 0.5) / quota, number) for number, quota in enumerate(quotas) for turn in range(quota)]
    return [number for _, number in sorted(turns)]
