"""Trying things out: some rows of a list are chosen to learn from, and how likely each was is kept.

What somebody does with a track is taken to be linear in where it lies, up to noise. What is known of the slopes is a
normal distribution, wide where nothing was heard yet:

    A = λ I + Σ w z z',   b = Σ w r z,   slopes ~ N(A⁻¹ b, σ² A⁻¹)

One draw of the slopes, and the track that would be best if they were true: linear Thompson sampling. Tracks that nobody
knows anything about are tried because they might be best, and no longer once it is known that they are not. How likely
a track was to be chosen is counted over many draws; it says later how much a play of it proves.

Source
------
Agrawal & Goyal (2013), Thompson sampling for contextual bandits with linear payoffs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mess_core.recommend.shelf import Shelf
from mess_core.recommend.signals import Signals

N_COORDINATES = 64
PRIOR = 1.0  # λ
NOISE = 0.3  # σ, in ratings
N_DRAWS = 200  # by which a propensity is told, to about .03
FEWEST_DRAWN = 0.5 / N_DRAWS  # propensity of what was chosen once and in no other draw
SHARE_FAMILIAR, SHARE_SURPRISING = 0.1, 0.2  # of a list, by the knob
MOST_TRIED_AMONG = 2000  # tracks, by chance: of more, a draw would take too long


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is known of the slopes. mean : (d,); root : (d, d), root @ root.T is the covariance"""

    mean: np.ndarray
    root: np.ndarray

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """(n, d) slopes."""
        drawn: np.ndarray = self.mean + rng.standard_normal((n, len(self.mean))) @ self.root.T
        return drawn


def coordinates(shelf: Shelf, rows: np.ndarray) -> np.ndarray:
    """Where some rows lie, (m, d) float64: the first directions of each hearing, no more than can be learned."""
    each = max(1, N_COORDINATES // len(shelf.hearings))
    kept = [column for own in shelf.columns for column in range(own.start, min(own.stop, own.start + each))]
    return shelf.points[np.ix_(rows, np.array(kept, int))].astype(np.float64)


def posterior_of(shelf: Shelf, signals: Signals) -> Posterior:
    """From what was said of tracks; of a track, liking less disliking is its rating, at most 2 either way."""
    known = shelf.rows_of(signals.track_ids)
    is_here = known >= 0
    z = coordinates(shelf, known[is_here])
    rating = np.clip((signals.liking - signals.disliking)[is_here], -2.0, 2.0)
    precision = PRIOR * np.eye(z.shape[1]) + z.T @ z
    covariance = np.linalg.inv(precision)
    root = NOISE * np.linalg.cholesky((covariance + covariance.T) / 2)
    return Posterior(covariance @ (z.T @ rating), root)


def n_to_try(n: int, surprise: float) -> int:
    """How many of n rows are for trying out; none of a list shorter than five."""
    share = SHARE_FAMILIAR + (SHARE_SURPRISING - SHARE_FAMILIAR) * surprise
    return 0 if n < 5 else max(1, round(share * n))


def some_of(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many of some rows as a draw can be made among, by chance, in order."""
    if len(rows) <= MOST_TRIED_AMONG:
        return rows
    return np.sort(rng.choice(rows, MOST_TRIED_AMONG, replace=False))


def try_out(
    shelf: Shelf, posterior: Posterior, allowed: np.ndarray, n: int, rng: np.random.Generator
) -> list[tuple[int, float]]:
    """Choose n rows to learn from.

    Parameters
    ----------
    shelf : Shelf
    posterior : Posterior
    allowed : (m,) rows of the shelf to choose from
    n : int
    rng : Generator

    Returns
    -------
    list of (row, propensity)
        The propensity is how likely the row was to be among them.
    """
    allowed = some_of(allowed, rng)
    n = min(n, len(allowed))
    if n <= 0:
        return []
    worth = coordinates(shelf, allowed) @ posterior.draw(rng, N_DRAWS + 1).T  # (m, draws)
    best = np.argpartition(-worth, n - 1, axis=0)[:n]
    times = np.bincount(best[:, 1:].ravel(), minlength=len(allowed)) / N_DRAWS
    return [(int(allowed[place]), float(max(times[place], FEWEST_DRAWN))) for place in best[:, 0]]
