"""A profile: all that is known of a listener on a shelf at one time. Sections choose by it.

events until now -> signals -> taste
                 -> when each track was last heard, and how much it is liked
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mess_core.catalogue.listening import Events
from mess_core.recommend.shelf import Shelf
from mess_core.recommend.signals import DAY_S, HALF_LIVES_DAYS, Signals, session_of, signals_of
from mess_core.recommend.taste import Taste, TasteSettings, taste_of

PARTS_OF_DAY = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 23), "night": (23, 6)}  # hours, local time
LATEST_SITTING = "sitting"
CONTEXTS = (*PARTS_OF_DAY, LATEST_SITTING)
OUT_OF_CONTEXT = 0.5  # how much what was heard at another time counts
NEW_DAYS = 30.0


@dataclass(frozen=True, eq=False)
class Profile:
    """A listener at a time.

    shelf : Shelf
    signals : what was said of each track by then
    taste : Taste
    less : tracks of whose kind less is wanted
    now_s : seconds since 1970
    n_events : that tell it
    rising : (n,) places of what others have begun to take to; None where nobody looked
    """

    shelf: Shelf
    signals: Signals
    taste: Taste
    less: tuple[str, ...]
    now_s: float
    n_events: int
    rising: np.ndarray | None = None

    @cached_property
    def liking(self) -> np.ndarray:
        """Of each row of the shelf, (n,) float64; 0 where nothing is known."""
        return self._on_shelf(self.signals.liking, 0.0)

    @cached_property
    def days_since(self) -> np.ndarray:
        """Days since each row was last heard or judged, (n,); infinite where it never was."""
        found: np.ndarray = (self.now_s - self._on_shelf(self.signals.last_s, -np.inf)) / DAY_S
        return found

    @cached_property
    def heard(self) -> np.ndarray:
        """The rows that were ever heard or judged, the last first, (m,)."""
        rows = np.flatnonzero(np.isfinite(self.days_since))
        return rows[np.lexsort((rows, self.days_since[rows]))]

    @cached_property
    def new_from_s(self) -> float:
        """Since when a recording counts as new, seconds since 1970: a month, and after most of the library had come."""
        added_s = self.shelf.added_s[np.isfinite(self.shelf.added_s)]
        most = float(np.median(added_s)) + DAY_S if len(added_s) else -np.inf
        return max(self.now_s - NEW_DAYS * DAY_S, most)

    @cached_property
    def liked_rows(self) -> np.ndarray:
        """The rows that are liked, the most liked first, (m,)."""
        rows = np.flatnonzero(self.liking > 0)
        return rows[np.lexsort((rows, -self.liking[rows]))]

    @cached_property
    def liked_artists(self) -> frozenset[str]:
        """Those of the better half of what is liked."""
        half = self.liked_rows[: max(1, len(self.liked_rows) // 2)]
        return frozenset().union(*(self.shelf.artists[row] for row in half))

    def _on_shelf(self, column: np.ndarray, missing: float) -> np.ndarray:
        found = np.full(len(self.shelf), missing)
        rows = self.shelf.rows_of(self.signals.track_ids)
        found[rows[rows >= 0]] = column[rows >= 0]
        return found


def profile_of(
    shelf: Shelf,
    events: Events,
    now_s: float,
    *,
    less: Sequence[str] = (),
    ignored: Collection[str] = (),
    settings: TasteSettings | None = None,
    half_lives_days: Collection[float] = HALF_LIVES_DAYS,
    weigh: Callable[[Events], np.ndarray] | None = None,
) -> Profile:
    """Make a profile of what was heard until a time.

    Parameters
    ----------
    shelf : Shelf
    events : Events
    now_s : float
        Seconds since 1970.
    less : sequence of str
        Tracks of whose kind less is wanted.
    ignored : collection of str
        Tracks that are to be no reason for anything.
    settings, half_lives_days, weigh
        As in `taste_of` and `signals_of`.
    """
    signals = signals_of(events, now_s, half_lives_days, weigh)
    taste = taste_of(shelf, signals.unmoved_by(ignored), less, settings)
    n_events = int((events.at_s <= now_s).sum())
    return Profile(shelf, signals.unmoved_by(ignored), taste, tuple(less), now_s, n_events)


def weigh_by(context: str, utc_offset_s: float) -> Callable[[Events], np.ndarray]:
    """What was heard in a context counts in full, anything else half.

    Parameters
    ----------
    context : one of `CONTEXTS`
    utc_offset_s : float
        Of the listener's clock.
    """

    def weigh(events: Events) -> np.ndarray:
        if context == LATEST_SITTING:
            session = session_of(events)
            is_within = session == session[-1] if len(session) else np.empty(0, bool)
        else:
            first, last = PARTS_OF_DAY[context]
            hours = ((events.at_s + utc_offset_s) % DAY_S) / 3600.0
            after, before = hours >= first, hours < last
            is_within = after & before if first < last else after | before
        return np.where(is_within, 1.0, OUT_OF_CONTEXT)

    return weigh
