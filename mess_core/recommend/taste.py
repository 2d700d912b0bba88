"""A taste: several interests, each a point with a weight, and what somebody does not want to hear.

    liked tracks -> Ward's tree, cut where two groups are further apart than neighbours are -> interests
    interest     -> mean of its tracks, by weight, each hearing by how well they hold together in it
                 -> less a quarter of the mean of what is disliked -> its centre u_c
    track x      -> max over c of  <u_c, x> + T log(share of c)  -  penalty of the nearest dislike  -> score

Somebody who likes organ fugues and cool jazz likes nothing that lies between them: one mean of all finds just that. So
a score is that of the interest that fits best; how much of the liking an interest holds moves it a little.

Somebody likes a piece, whoever plays it, and an instrument, whatever it plays. The first are alike in one hearing, the
second in another, so each interest listens by the one in which its tracks are more alike than pairs of the library are:
hearings count by the square of that, in standard deviations of a pair.

A dislike does three things. Its own track is not recommended; what is nearer to it than a hundredth of all pairs is
pushed down, wherever it lies; and it is subtracted from the centres, which turns them away from its whole side. What
somebody wants less of does the last two, is subtracted in full from what lies along it, and leaves its interest a
quarter of its share.

Conventions
-----------
Scores are cosines, and what is added to them or taken off is in the same unit. Rows are those of the shelf.

Source
------
Several interests by Ward's clustering with medoids to show: Pal et al. (2020), PinnerSage. Subtracting: Rocchio (1971).
A penalty near each dislike, because a mean of dislikes points nowhere when they are of several kinds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mess_core.recommend.shelf import Shelf, unit
from mess_core.recommend.signals import Signals

FEWEST_FOR_SEVERAL = 8  # liked tracks; of fewer one mean is all that can be told
MOST_INTERESTS = 12
MOST_CLUSTERED = 1000  # liked tracks, the weightiest: Ward's tree is made of all their pairs
MOST_AVOIDED = 128  # disliked tracks that push others down, the weightiest; none of them is ever recommended
LESS_OF_IT = 0.25  # of its share that an interest keeps of which less is wanted
LEAST_TOGETHER = 0.05  # standard deviations of a pair: a hearing is never quite deaf to an interest


@dataclass(frozen=True)
class TasteSettings:
    """What a taste is made by; the defaults are those of the product, others stand beside them in `evaluate taste`.

    apart : Ward's distance at which two groups are two interests, in distances of nearest neighbours
    favoured : by which power of how well its tracks hold together in it a hearing counts; 0: all alike
    subtracted : share of the mean dislike that is taken from each centre
    near_dislike : penalty of a track beside a disliked one, as a share of how much nearer than near it is
    temperature : T; what it is worth, as a cosine, that an interest has e times the share of another
    """

    most_interests: int = MOST_INTERESTS
    apart: float = 2.0
    favoured: float = 2.0
    subtracted: float = 0.25
    near_dislike: float = 0.5
    temperature: float = 0.1


@dataclass(frozen=True, eq=False)
class Interest:
    """One of several things that somebody likes.

    rows : (m,) tracks of the shelf, the weightiest first
    weights : (m,) float64
    medoid : the row that is nearest to all of them: what it is shown by
    share : of all liking, 0 to 1
    hears : (n_hearings,) how much each hearing counts for it; 1 together
    """

    rows: np.ndarray
    weights: np.ndarray
    medoid: int
    share: float
    hears: np.ndarray


@dataclass(frozen=True, eq=False)
class Taste:
    """What a listener likes and dislikes, on a shelf.

    interests : the largest first; none where nothing is liked
    centres : (n_interests, d) float64, of length one
    disliked, dislike_weights : (m,) rows to stay away from, and how much, 0 to 1
    refused : (k,) rows that are never recommended
    dealt : (n,) scores that others had a hand in, in place of one's own; None where they had not
    """

    shelf: Shelf
    settings: TasteSettings
    interests: tuple[Interest, ...]
    centres: np.ndarray
    disliked: np.ndarray
    dislike_weights: np.ndarray
    refused: np.ndarray
    dealt: np.ndarray | None = None

    @property
    def n_liked(self) -> int:
        return sum(len(interest.rows) for interest in self.interests)

    def heard_by(self, number: int, points: np.ndarray) -> np.ndarray:
        """Points (n, d) as an interest hears them: each hearing as much as it counts for it."""
        scale = np.concatenate(
            [
                np.full(own.stop - own.start, counts * len(self.shelf.hearings))
                for own, counts in zip(self.shelf.columns, self.interests[number].hears, strict=True)
            ]
        )
        scaled: np.ndarray = points * scale
        return scaled

    @cached_property
    def fits(self) -> np.ndarray:
        """How well each interest fits each track, (n, n_interests) float64, before what is disliked."""
        shares = np.array([interest.share for interest in self.interests])
        cosines = self.shelf.points @ self.centres.T.astype(np.float32)  # as the points are: half the time of float64
        found: np.ndarray = cosines + self.settings.temperature * np.log(shares)
        return found

    @cached_property
    def penalties(self) -> np.ndarray:
        """What is taken off each track for being near to what is disliked, (n,) float64."""
        if not len(self.disliked) or not self.settings.near_dislike:
            return np.zeros(len(self.shelf))
        too_near = self.shelf.too_near(self.disliked, self.dislike_weights)
        return self.settings.near_dislike * too_near.astype(np.float64)

    @cached_property
    def scores(self) -> np.ndarray:
        """Of all tracks of the shelf, (n,) float64; without an interest, what is left of nothing."""
        if self.dealt is not None:
            return self.dealt
        if not self.interests:
            return -self.penalties
        scores: np.ndarray = self.fits.max(axis=1) - self.penalties
        return scores

    @cached_property
    def best(self) -> np.ndarray:
        """The interest that fits each track best, (n,) int64; -1 without any."""
        return self.fits.argmax(axis=1) if self.interests else np.full(len(self.shelf), -1)


def taste_of(
    shelf: Shelf, signals: Signals, less: Collection[str] = (), settings: TasteSettings | None = None
) -> Taste:
    """The taste that signals tell.

    Parameters
    ----------
    shelf : Shelf
    signals : Signals
        Of tracks that are not on the shelf nothing is known but that they were heard.
    less : collection of str
        Tracks of whose kind less is wanted.
    settings : TasteSettings, optional
    """
    settings = settings or TasteSettings()
    known = shelf.rows_of(signals.track_ids)
    is_here = known >= 0
    rows, liking, disliking = known[is_here], signals.liking[is_here], signals.disliking[is_here]
    is_against = disliking > 0
    heaviest = np.lexsort((rows[is_against], -disliking[is_against]))[:MOST_AVOIDED]
    disliked = rows[is_against][heaviest]
    dislike_weights = np.clip(disliking[is_against][heaviest] / 2.0, 0.0, 1.0)
    less_rows = np.array([shelf.rows[each] for each in less if each in shelf.rows], int)
    beside = np.concatenate([disliked, less_rows])
    weights_beside = np.concatenate([dislike_weights, np.ones(len(less_rows))])
    directions = shelf.points[less_rows].astype(np.float64)
    groups = _with_less(_interests(shelf, rows[liking > 0], liking[liking > 0], settings), less_rows)
    return Taste(
        shelf=shelf,
        settings=settings,
        interests=groups,
        centres=_centres(shelf, groups, disliked, dislike_weights, directions, settings),
        disliked=beside,
        dislike_weights=weights_beside,
        refused=rows[signals.is_disliked[is_here]],
    )


def _with_less(groups: tuple[Interest, ...], less_rows: np.ndarray) -> tuple[Interest, ...]:
    """The same interests, those with a track of which less is wanted at a quarter of their share."""
    shares = [each.share * (LESS_OF_IT if np.isin(less_rows, each.rows).any() else 1.0) for each in groups]
    told = [replace(each, share=share / sum(shares)) for each, share in zip(groups, shares, strict=True)]
    return tuple(sorted(told, key=lambda interest: (-interest.share, interest.medoid)))


def _interests(shelf: Shelf, rows: np.ndarray, weights: np.ndarray, settings: TasteSettings) -> tuple[Interest, ...]:
    if not len(rows):
        return ()
    order = np.lexsort((rows, -weights))[:MOST_CLUSTERED]
    rows, weights = rows[order], weights[order]
    points = shelf.points[rows].astype(np.float64)
    label = _clusters(points, settings)
    found = []
    for number in np.unique(label):
        own = np.flatnonzero(label == number)
        cosines = points[own] @ points[own].T
        medoid = own[np.argmax(cosines @ weights[own])]
        share = float(weights[own].sum() / weights.sum())
        hears = _hears(shelf, points[own], weights[own], settings.favoured)
        found.append(Interest(rows[own], weights[own], int(rows[medoid]), share, hears))
    return tuple(sorted(found, key=lambda interest: (-interest.share, interest.medoid)))


def _hears(shelf: Shelf, points: np.ndarray, weights: np.ndarray, favoured: float) -> np.ndarray:
    """How much each hearing counts for an interest of these tracks, (n_hearings,)."""
    if len(points) < 2 or not favoured:
        return np.full(len(shelf.hearings), 1.0 / len(shelf.hearings))
    pairs = np.outer(weights, weights)
    np.fill_diagonal(pairs, 0.0)
    together = []
    for own, spread in zip(shelf.columns, shelf.spreads, strict=True):
        alike = unit(points[:, own])
        together.append(max(float((pairs * (alike @ alike.T)).sum() / pairs.sum()) / spread, LEAST_TOGETHER))
    found: np.ndarray = np.array(together) ** favoured
    return found / found.sum()


def _clusters(points: np.ndarray, settings: TasteSettings) -> np.ndarray:
    """Which group each point (n, d) is in, (n,)."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist, squareform

    n = len(points)
    if n < FEWEST_FOR_SEVERAL or settings.most_interests == 1:
        return np.zeros(n, int)
    apart = pdist(points)
    tree = linkage(apart, "ward")
    nearest = squareform(apart)
    np.fill_diagonal(nearest, np.inf)
    label: np.ndarray = fcluster(tree, settings.apart * float(np.median(nearest.min(axis=1))), "distance")
    if len(np.unique(label)) > settings.most_interests:
        label = fcluster(tree, settings.most_interests, "maxclust")
    return label


def _centres(
    shelf: Shelf,
    groups: Sequence[Interest],
    disliked: np.ndarray,
    dislike_weights: np.ndarray,
    less: np.ndarray,
    settings: TasteSettings,
) -> np.ndarray:
    centres = np.zeros((len(groups), shelf.points.shape[1]))
    for number, group in enumerate(groups):
        centres[number] = group.weights @ shelf.points[group.rows] / group.weights.sum()
        for own, counts in zip(shelf.columns, group.hears, strict=True):
            centres[number, own] *= counts * len(shelf.hearings)
    if len(disliked):
        # In the length of each centre: tracks that lie far apart have a short mean, which one dislike would turn about.
        lengths = np.linalg.norm(centres, axis=1, keepdims=True)
        mean = (dislike_weights @ shelf.points[disliked]) / dislike_weights.sum()
        centres -= settings.subtracted * lengths * mean
    for direction in less:
        along = np.clip(centres @ direction, 0.0, None)
        centres -= along[:, None] * direction
    return unit(centres)
