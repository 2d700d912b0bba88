"""Resampling groups: how far a figure would move with other works, and what chance alone would give.

Groups are the independent unit, so they are what is drawn (bootstrap), left out (jackknife) and exchanged
(permutation); rows only follow their group.

Conventions
-----------
Groups are codes 0 .. n_groups - 1, one per row. A resample is a row of counts: how often each group is in it.

Source
------
Efron & Tibshirani, An Introduction to the Bootstrap (1993), §14.3 (BCa). Westfall & Young, Resampling-Based Multiple
Testing (1993), §2 (max-T). Phipson & Smyth (2010): the observed arrangement counts as a permutation, so p is never 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BCA_MIN_GROUPS = 30  # below it the acceleration is too rough; plain percentiles
COVERAGE = 0.95


def draw_groups(n_groups: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Every way a figure is computed: all groups once, then `n_draws` bootstraps, then each group left out.

    Returns
    -------
    ndarray, shape (1 + n_draws + n_groups, n_groups), float64
        Counts; what is computed from them keeps this order and is called "replicates".
    """
    everyone = np.ones((1, n_groups))
    draws = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_draws)
    return np.concatenate([everyone, draws, everyone - np.eye(n_groups)])


def intervals(replicates: np.ndarray, n_draws: int, coverage: float = COVERAGE) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap intervals: BCa from 30 groups on, percentiles below.

    Parameters
    ----------
    replicates : ndarray, shape (1 + n_draws + n_groups, n_figures)
        Figures under the counts of `draw_groups`.

    Returns
    -------
    low, high : ndarray, shape (n_figures,); NaN without draws
    """
    estimate, draws, left_out = replicates[0], replicates[1 : 1 + n_draws], replicates[1 + n_draws :]
    if n_draws == 0:
        return np.full(len(estimate), np.nan), np.full(len(estimate), np.nan)
    tails = np.array([(1 - coverage) / 2, (1 + coverage) / 2])
    levels = np.repeat(tails[:, None], len(estimate), axis=1)
    if len(left_out) >= BCA_MIN_GROUPS:
        from scipy.special import ndtr, ndtri

        below = (draws < estimate).mean(axis=0) + 0.5 * (draws == estimate).mean(axis=0)
        bias = ndtri(below.clip(0.5 / n_draws, 1 - 0.5 / n_draws))
        off = left_out.mean(axis=0) - left_out
        spread = (off**2).sum(axis=0)
        acceleration = (off**3).sum(axis=0) / (6 * np.where(spread > 0, spread, 1.0) ** 1.5)
        shifted = bias + ndtri(tails)[:, None]
        levels = ndtr(bias + shifted / (1 - acceleration * shifted))
    ordered = np.sort(draws, axis=0)
    position = levels * (n_draws - 1)
    lower = np.floor(position).astype(int)
    upper = np.minimum(lower + 1, n_draws - 1)
    columns = np.arange(len(estimate))
    low, high = ordered[lower, columns] + (position - lower) * (ordered[upper, columns] - ordered[lower, columns])
    return low, high


def permute_blocks(groups: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Exchange the values of whole groups, keeping the order inside each.

    A group takes the block of another. Where the sizes differ the block is repeated or cut, from a random place on:
    level and inner structure of the target travel, the number of rows stays.

    Parameters
    ----------
    groups : ndarray, shape (n_rows,), int
        Group code of each row. Codes may be missing: targets that are undefined for some groups.
    keys : ndarray, shape (n_permutations, n_all_groups), floats in [0, 1)
        One random number per group; ascending numbers leave everything in place. Targets defined for different rows
        share them, so that they move together.

    Returns
    -------
    ndarray, shape (n_permutations, n_rows), int
        Permuted values are `values[rows]`.
    """
    by_group = np.argsort(groups, kind="stable")
    present, starts, row_group, sizes = np.unique(
        groups[by_group], return_index=True, return_inverse=True, return_counts=True
    )
    place = np.arange(len(groups)) - starts[row_group]  # of a row inside its group
    own_keys = keys[:, present]
    source = np.argsort(own_keys, axis=1)  # (n_permutations, n_groups): whose block each group takes
    begin = np.where(sizes[source] == sizes, 0, np.floor(own_keys * sizes[source]).astype(int))
    taken = source[:, row_group]
    rows = np.empty((len(keys), len(groups)), np.int64)
    rows[:, by_group] = by_group[starts[taken] + (place + begin[:, row_group]) % sizes[taken]]
    return rows


def adjusted_p(null: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw p and max-T adjusted p of every figure.

    Parameters
    ----------
    null : ndarray, shape (1 + n_permutations, n_figures)
        The first row is the observed arrangement, computed in the same way as the others.

    Returns
    -------
    p, p_adj : ndarray, shape (n_figures,), in [1 / (1 + n_permutations), 1]; p_adj >= p
    """
    highest = np.sort(null.max(axis=1))
    n_below = np.searchsorted(highest, null[0], side="left")
    return (null >= null[0]).mean(axis=0), (len(null) - n_below) / len(null)


def two_sided_p(value: float, error: float, n_groups: float) -> float:
    """Of a t statistic with n_groups - 1 degrees of freedom; 1 where nothing differs."""
    from scipy.special import stdtr

    if not error:
        return 1.0 if not value else 0.0
    return float(2 * stdtr(n_groups - 1, -abs(value / error)))


def holm_adjusted(p: Sequence[float | None]) -> list[float | None]:
    """Holm's p, which holds for all at once, in the order given; None stays None.

    Examples
    --------
    >>> holm_adjusted([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    >>> holm_adjusted([1e-30, None, 0.5])
    [2e-30, None, 0.5]
    """
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    found: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, (value, place) in enumerate(known):
        highest = max(highest, min(1.0, value * (len(known) - rank)))
        found[place] = float(f"{highest:.12g}")  # of digits, not of places: no p is 0
    return found
