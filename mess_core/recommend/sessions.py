"""Sessions: what somebody takes to in one sitting, as pairs of tracks, and which of them may be learned from.

    events -> sessions (half an hour of silence ends one) -> pairs that one listener liked, or heard to the end

Who hears what is their own affair: what is learned can bend so far that two tracks lie together as one person heard
them together. So of several listeners only those pairs teach that four at least have (`FEWEST_SHARING`): whoever looks,
three others stand behind each, as in `recommend.crowd`. Somebody alone may learn from all of their own; and published
data, where nobody is at home, can be learned from whole.

Conventions
-----------
Rows are those of the shelf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.catalogue.listening import Events
from mess_core.recommend.crowd import FEWEST_OTHERS
from mess_core.recommend.signals import DISLIKE, LISTENED, ratings, session_of

MOST_APART = 10  # tracks of a session between the two of a pair: a session of hours is of several moods
FEWEST_SHARING = FEWEST_OTHERS + 1  # listeners who must have a pair: one looks, and three others are behind it


@dataclass(frozen=True, eq=False)
class SessionPairs:
    """Two tracks that one listener took to in one session.

    one, other : (n,) int64, rows; one < other
    listener : (n,) int64, place among the listeners in order of their names
    at_s : (n,) float64, when the session began, seconds since 1970
    n_listeners : that there are
    """

    one: np.ndarray
    other: np.ndarray
    listener: np.ndarray
    at_s: np.ndarray
    n_listeners: int

    def __len__(self) -> int:
        return len(self.one)

    def only(self, chosen: np.ndarray) -> SessionPairs:
        """Some of them."""
        return SessionPairs(
            self.one[chosen], self.other[chosen], self.listener[chosen], self.at_s[chosen], self.n_listeners
        )


def session_pairs(track_ids: Sequence[str], events: Mapping[str, Events]) -> SessionPairs:
    """The pairs of all listeners; of tracks that are liked, or were heard to the end, and are not disliked now."""
    row_of = {track_id: row for row, track_id in enumerate(track_ids)}
    columns: list[tuple[np.ndarray, ...]] = []
    for number, name in enumerate(sorted(events)):
        own = events[name]
        session = session_of(own)
        began_s = own.at_s[np.searchsorted(session, session, side="left")]
        rows = np.array([row_of.get(track_id, -1) for track_id in own.track_ids], np.int64)[own.track]
        disliked = np.unique(own.track[own.action == DISLIKE])
        taken = np.flatnonzero((ratings(own) >= LISTENED) & (rows >= 0) & ~np.isin(own.track, disliked))
        _, first = np.unique(np.stack([session[taken], rows[taken]]), axis=1, return_index=True)
        taken = taken[np.sort(first)]  # each track of a session once, in order
        for apart in range(1, MOST_APART + 1):
            here, there = taken[:-apart], taken[apart:]
            together = session[here] == session[there]
            here, there = here[together], there[together]
            pair = np.sort(np.stack([rows[here], rows[there]]), axis=0)
            columns.append((pair[0], pair[1], np.full(len(here), number), began_s[here]))
    if not columns:
        none = np.empty(0, np.int64)
        return SessionPairs(none, none, none, np.empty(0), 0)
    one, other, listener, at_s = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    order = np.lexsort((other, one, listener, at_s))
    return SessionPairs(one[order], other[order], listener[order], at_s[order], len(events))


def shared_pairs(pairs: SessionPairs, fewest: int = FEWEST_SHARING) -> SessionPairs:
    """Those that so many listeners have; all of them, where there is one listener alone."""
    if pairs.n_listeners < 2 or not len(pairs):
        return pairs
    whose = np.unique(np.stack([pairs.one, pairs.other, pairs.listener]), axis=1)
    found, n_having = np.unique(whose[:2], axis=1, return_counts=True)
    width = int(pairs.other.max()) + 1
    enough = found[:, n_having >= fewest]
    return pairs.only(np.isin(pairs.one * width + pairs.other, enough[0] * width + enough[1]))
