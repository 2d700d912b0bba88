"""Reasons: the one track that somebody heard which most carries a recommendation, and what would be without it.

    score of x for an interest  =  <sum of w_e x_e over its tracks, x>  up to its length
    without one of its tracks   =  the same sum without it, at its own length

The reason is the track whose leaving lowers the score most. Where none lowers it, because all say the same or the
interest fits better without, there is no reason of one track, and nobody is told one.

It is said of the interest as it stands. Whether it holds when everything is made anew without the track, other
interests with it, is counted in `evaluate taste`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mess_core.recommend.shelf import unit
from mess_core.recommend.signals import Signals
from mess_core.recommend.taste import Taste, taste_of

FIRST_LOOKED_AT = 12  # tracks of an interest that carry most, of which the one is chosen


@dataclass(frozen=True)
class Carrier:
    """The track that carries a recommendation.

    row : of the shelf
    drop : by how much the score falls without it, a cosine above 0
    share : of what the interest's tracks say for it, 0 to 1
    cosine : of it with what is recommended
    percentile : of that among pairs of the library
    """

    row: int
    drop: float
    share: float
    cosine: float
    percentile: float


def carrier_of(taste: Taste, row: int) -> Carrier | None:
    """What carries a recommendation most; None where nothing is liked, or no single track carries it."""
    number = int(taste.best[row])
    if number < 0:
        return None
    interest, points = taste.interests[number], taste.shelf.points
    x = points[row].astype(np.float64)
    own = points[interest.rows].astype(np.float64)
    cosines = own @ x
    own = taste.heard_by(number, own)
    pulls = interest.weights * (own @ x)
    looked_at = [place for place in np.argsort(-pulls)[:FIRST_LOOKED_AT] if interest.rows[place] != row]
    if not looked_at:
        return None
    if len(interest.rows) == 1:  # without it the interest is gone, and the next best is left
        others = np.delete(taste.fits[row], number)
        drops = np.array([taste.fits[row, number] - others.max() if len(others) else cosines[0]])
    else:
        rest = interest.weights[:, None] * own
        total = rest.sum(axis=0)
        now = unit(total) @ x
        lost = interest.weights[looked_at] / interest.weights.sum()
        share_falls = np.log1p(-lost) - np.log1p(-lost * interest.share)  # of the interest's share, and below 0
        drops = now - unit(total - rest[looked_at]) @ x - taste.settings.temperature * share_falls
    place = int(np.argmax(drops))
    if drops[place] <= 0:
        return None
    at = looked_at[place]
    positive = np.clip(pulls, 0.0, None).sum()
    return Carrier(
        row=int(interest.rows[at]),
        drop=float(drops[place]),
        share=float(pulls[at] / positive) if positive > 0 else 0.0,
        cosine=float(cosines[at]),
        percentile=float(taste.shelf.percentiles(cosines[at])),
    )


def is_borne_out(taste: Taste, signals: Signals, less: tuple[str, ...], row: int, carrier: Carrier) -> bool:
    """Whether the score falls when the taste is made anew without the track."""
    name = taste.shelf.track_ids[carrier.row]
    without = taste_of(taste.shelf, signals.without([name]), less, taste.settings)
    return bool(without.scores[row] < taste.scores[row]) if without.interests else True


@dataclass(frozen=True)
class WhyNot:
    """What keeps a track from being recommended.

    place : how many of a hundred tracks the taste puts behind it
    interest : the one that fits it best; -1 of none
    penalty : what the nearest dislike takes off its score, a cosine
    disliked : the row of that dislike; None where nothing is taken off
    is_refused : it is disliked itself
    """

    place: float
    interest: int
    penalty: float
    disliked: int | None
    is_refused: bool


def why_not(taste: Taste, row: int) -> WhyNot:
    """Where a track stands in a taste, and what holds it down."""
    place = 100.0 * float((taste.scores < taste.scores[row]).mean())
    penalty = float(taste.penalties[row])
    nearest = None
    if penalty > 0:
        cosines = taste.shelf.points[taste.disliked] @ taste.shelf.points[row]
        nearest = int(taste.disliked[int(np.argmax((cosines - taste.shelf.near_from) * taste.dislike_weights))])
    return WhyNot(place, int(taste.best[row]), penalty, nearest, bool(row in taste.refused))
