"""Uncertainty: how far a figure of probing could be off, had other works been recorded and other models been trained.

The figure is what a ridge trained on a library of this size reaches on works it has not seen, on average over such
libraries. Two things are chance in it: which works were tested, and which the model was trained on. Leaving out one
group at a time from the held-out errors (a jackknife) sees the first only, and an interval from it covers .75 to .85
instead of .95. Fitting again without each group sees both, yet so wildly that it says nothing. So the standard error
of the first is multiplied by a factor for the second, and where the same works dealt to other folds give another
figure, as they do while the models are unstable, that is added.

    se² = TRAINING² · jackknife over groups + DEALING · variance over fold assignments
    R²     θ = log(1 - R²) = log Σ errors - log Σ totals;  θ ± t · se(θ), t with n_groups - 1 degrees of freedom
    gain   of a layer over a baseline on the same rows, R² - R²_baseline;  gain ± c · se(gain)

A heatmap of 13 x 22 cells is 286 chances to be fooled, so c is the same for all of them: the quantile of the largest
studentised gain of any cell over any baseline when every group's share in them changes sign at random (max-T with the
wild bootstrap). Who is better than every baseline is better than the one that leaves the lowest end: taking the least
of the ends, another baseline can lower an interval and never raise it.

Conventions
-----------
errors, totals (n_groups, n_figures): weighted squared errors of the held-out rows of each group, of the prediction and
of its training mean, averaged over fold assignments. Below `MIN_GROUPS` groups there is no interval.

Source
------
Nadeau & Bengio (2003) for the factor; docs/statistics.md says what else was tried and what it covers (`make calibrate`
counts it). Efron & Stein (1981) for the jackknife. Liu (1988) and Mammen (1993) for the wild bootstrap, Romano & Wolf
(2005) for max-T over studentised differences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

TRAINING = 1.5  # on the jackknife's standard error: sqrt(1 + 5 / 4), a test set being a quarter of what is trained on
DEALING = 3.0  # on the variance of single fold assignments: with less, twelve works of one row are covered too seldom
COVERAGE = 0.95
MIN_GROUPS = 10  # below it no interval is given
FEW_GROUPS = 20  # below it intervals are so wide that they are marked
ROUNDING = 1e-12  # of a gain, relative to R² = 1: what rounding makes of two equal errors


def t_quantile(n_groups: int, coverage: float = COVERAGE) -> float:
    """How many standard errors an interval reaches to either side."""
    from scipy.special import stdtrit  # its import takes a while, and not every start of MESS needs it

    return float(stdtrit(n_groups - 1, (1 + coverage) / 2))


def r_squared_intervals(
    errors: np.ndarray, totals: np.ndarray, coverage: float = COVERAGE
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of R², each by itself.

    Parameters
    ----------
    errors, totals : ndarray, shape (n_repeats, n_groups, n_figures)

    Returns
    -------
    low, high : ndarray, shape (n_figures,); NaN below `MIN_GROUPS` groups, or where there is nothing to explain

    Examples
    --------
    >>> errors, totals = np.array([[[1.0], [2.0], [3.0], [2.0]] * 3]), np.full((1, 12, 1), 8.0)
    >>> low, high = r_squared_intervals(errors, totals)
    >>> bool(low[0] < 0.75 < high[0])
    True
    """
    n_groups = errors.shape[1]
    if n_groups < MIN_GROUPS:
        return np.full(errors.shape[2], np.nan), np.full(errors.shape[2], np.nan)
    error, total = errors.mean(axis=0), totals.mean(axis=0)  # of each group
    with np.errstate(divide="ignore", invalid="ignore"):
        theta = np.log(error.sum(axis=0) / total.sum(axis=0))
        left_out = np.log((error.sum(axis=0) - error) / (total.sum(axis=0) - total))
        tested = (n_groups - 1) / n_groups * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)
        dealt = variance(np.log(errors.sum(axis=1) / totals.sum(axis=1)))
        reach = t_quantile(n_groups, coverage) * np.sqrt(TRAINING**2 * tested + DEALING * dealt)
        return 1.0 - np.exp(theta + reach), 1.0 - np.exp(theta - reach)


def variance(of_repeats: np.ndarray) -> np.ndarray:
    """Variance over fold assignments, (n_repeats, …) -> (…); 0 where there is one only."""
    if len(of_repeats) == 1:
        return np.zeros(of_repeats.shape[1:])
    spread: np.ndarray = of_repeats.var(axis=0, ddof=1)
    return spread


@dataclass(frozen=True, eq=False)
class Gains:
    """Gains in R² of layers over baselines.

    value : (n_figures,)
    shares : (n_groups, n_figures), how much each group pulls a gain away from the mean of all (influence); sums to 0
    error : (n_figures,), standard error, with what training adds
    """

    value: np.ndarray
    shares: np.ndarray
    error: np.ndarray

    def intervals(self, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """(low, high), each (n_figures,), so many standard errors to either side."""
        return self.value - reach * self.error, self.value + reach * self.error


def gains(errors: np.ndarray, rivals: np.ndarray, totals: np.ndarray) -> Gains:
    """Gains in R² over baselines that were judged on the same rows and folds.

    Parameters
    ----------
    errors, rivals : ndarray, shape (n_repeats, n_groups, n_figures)
        Of the layer, and of the baseline.
    totals : ndarray, shape (n_repeats, n_groups, n_figures) or (n_repeats, n_groups, 1)
    """
    n_groups = errors.shape[1]
    better, total = (rivals - errors).mean(axis=0), totals.mean(axis=0)
    whole = np.where(total.sum(axis=0) > 0, total.sum(axis=0), 1.0)
    value = better.sum(axis=0) / whole
    shares = n_groups * (better - value * total) / whole
    # Two equal predictions differ by rounding; that is no gain, and must not look like a sure one.
    is_equal = np.abs(better).sum(axis=0) <= ROUNDING * whole
    value, shares = np.where(is_equal, 0.0, value), np.where(is_equal, 0.0, shares)
    tested = (shares**2).sum(axis=0) / (n_groups * max(n_groups - 1, 1))
    each_whole = totals.sum(axis=1)
    dealt = variance((rivals - errors).sum(axis=1) / np.where(each_whole > 0, each_whole, 1.0))
    return Gains(value, shares, np.where(is_equal, 0.0, np.sqrt(TRAINING**2 * tested + DEALING * dealt)))


def simultaneous_quantile(
    shares: Iterable[tuple[np.ndarray, np.ndarray]],
    n_groups: int,
    n_draws: int,
    rng: np.random.Generator,
    coverage: float = COVERAGE,
) -> float:
    """How many standard errors all intervals of gains must reach, so that all cover at once.

    Parameters
    ----------
    shares : iterable of (codes, shares)
        The groups among all, (n_groups_here,) int, and `Gains.shares`. All that share a group change sign with it.
    n_groups : int
        Of all groups.
    n_draws : int
        The same generator with more figures gives a larger quantile, never a smaller one.

    Returns
    -------
    float
        Infinite if there is nothing to learn it from.
    """
    signs = rng.integers(0, 2, (n_draws, n_groups)) * 2.0 - 1.0
    highest = np.zeros(n_draws)
    for codes, each in shares:
        n_here = len(each)
        size = np.sqrt((each**2).sum(axis=0))
        moved = np.abs(signs[:, codes] @ each[:, size > 0]) / size[size > 0]
        if moved.size:
            furthest = moved.max(axis=1)  # at most sqrt(n_here)
            left = np.maximum(n_here - furthest**2, np.finfo(float).tiny)
            highest = np.maximum(highest, furthest * np.sqrt((n_here - 1) / left))
    if n_draws == 0 or not highest.any():
        return np.inf
    return float(np.quantile(highest, coverage, method="higher"))


def groups_for_half(n_groups: int) -> int:
    """How many more groups would make an interval about half as wide.

    Its width goes with t / sqrt(n_groups); the factor for training is taken as it is.

    Examples
    --------
    >>> groups_for_half(24), groups_for_half(10)
    (65, 23)
    """
    now = t_quantile(n_groups) / np.sqrt(n_groups)
    more = n_groups
    while t_quantile(n_groups + more) / np.sqrt(n_groups + more) > now / 2:
        more += 1
    return more
