"""Scores: how well predictions fit rows that the model had not seen.

R² is 1 - Σ w (truth - predicted)² / Σ w (truth - mean of its training fold)², pooled over all held-out rows. So
predicting the training mean gives exactly 0. An average over folds is never taken: ten rows make a poor denominator.

Conventions
-----------
truth, predicted, train_means (n_rows, n_targets); weights (n_rows,); groups and units are codes 0, 1, … per row. What
cannot be computed is NaN.

Source
------
Campbell & Thompson (2008), eq. 1 (out-of-sample R²). Donner & Koval (1980) (ICC from unequal groups). Kish (1965),
§5.4 (design effect).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-20  # share of the variance that is no variance, only rounding


@dataclass(frozen=True)
class Scores:
    """Of several targets; every array ends in (n_targets,).

    r2 : pooled out-of-fold R²
    r2_between : of the means of units (tracks, or groups)
    r2_within : of what is left when truth and predictions lose their unit's mean; NaN if each unit is one row
    spearman, mae : rank correlation; weighted mean absolute error in the target's unit
    """

    r2: np.ndarray
    r2_between: np.ndarray
    r2_within: np.ndarray
    spearman: np.ndarray
    mae: np.ndarray


def score(
    truth: np.ndarray,
    predicted: np.ndarray,
    train_means: np.ndarray,
    weights: np.ndarray,
    units: np.ndarray,
) -> Scores:
    """Score out-of-fold predictions; `units` are what "between" and "within" are about."""
    column = weights[:, None]
    errors, totals = squared_sums(truth, predicted, train_means, weights, units)
    unit_weights = sum_by(units, column)

    def unit_means(values: np.ndarray) -> np.ndarray:
        means: np.ndarray = sum_by(units, column * values) / unit_weights
        return means

    off, off_dull = unit_means(truth - predicted), unit_means(truth - train_means)
    off_within = truth - predicted - off[units]
    truth_within = truth - unit_means(truth)[units]
    has_within = len(unit_weights) < len(truth)
    to_explain = (column * truth_within**2).sum(axis=0)
    to_explain[to_explain <= ROUNDING * totals.sum(axis=0)] = 0.0  # a target that is constant inside every unit
    within = r_squared((column * off_within**2).sum(axis=0), to_explain)
    return Scores(
        r2=r_squared(errors.sum(axis=0), totals.sum(axis=0)),
        r2_between=r_squared((unit_weights * off**2).sum(axis=0), (unit_weights * off_dull**2).sum(axis=0)),
        r2_within=within if has_within else np.full_like(within, np.nan),
        spearman=spearman(truth, predicted),
        mae=(column * np.abs(truth - predicted)).sum(axis=0) / weights.sum(),
    )


def squared_sums(
    truth: np.ndarray, predicted: np.ndarray, train_means: np.ndarray, weights: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What R² is made of: weighted squared errors of each group, of the prediction and of the training mean.

    Returns
    -------
    errors, totals : ndarray, shape (n_groups, n_targets)
    """
    errors = sum_by(groups, weights[:, None] * (truth - predicted) ** 2)
    return errors, sum_by(groups, weights[:, None] * (truth - train_means) ** 2)


def r_squared(errors: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """1 - errors / totals; NaN where there is nothing to explain."""
    return np.where(totals > 0, 1.0 - errors / np.where(totals > 0, totals, 1.0), np.nan)


def sum_by(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum rows that share a code: (n_rows, …) -> (n_codes, …). Codes are 0 .. n_codes - 1, each used."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sums: np.ndarray = np.add.reduceat(values[order], starts, axis=0)
    return sums


def spearman(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Rank correlation per column, (n_targets,); NaN if one side is constant."""
    ranks = [
        np.stack([average_ranks(column) for column in values.T], axis=1) - (len(values) + 1) / 2
        for values in (truth, predicted)
    ]
    product = (ranks[0] * ranks[1]).sum(axis=0)
    size = np.sqrt((ranks[0] ** 2).sum(axis=0) * (ranks[1] ** 2).sum(axis=0))
    return np.where(size > 0, product / np.where(size > 0, size, 1.0), np.nan)


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks 1 .. n, equal values sharing the mean of theirs, (n,); as SciPy's, without the half second to import it."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def effective_n(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """How many independent rows the rows are worth: G m / (1 + (m - 1) ICC), (n_targets,).

    G groups of m rows on average; ICC is the share of the variance that lies between groups (analysis of variance,
    corrected for unequal sizes, kept in [0, 1]). One row per group gives n_rows.
    """
    sizes = sum_by(groups, np.ones(len(values)))
    n_rows, n_groups = len(values), len(sizes)
    if n_groups in (1, n_rows):
        return np.full(values.shape[1], float(n_groups))
    means = sum_by(groups, values) / sizes[:, None]
    between = (sizes[:, None] * (means - values.mean(axis=0)) ** 2).sum(axis=0) / (n_groups - 1)
    within = ((values - means[groups]) ** 2).sum(axis=0) / (n_rows - n_groups)
    typical_size = (n_rows - (sizes**2).sum() / n_rows) / (n_groups - 1)
    spread = between + (typical_size - 1) * within
    icc = np.where(spread > 0, (between - within) / np.where(spread > 0, spread, 1.0), 1.0).clip(0.0, 1.0)
    n_effective: np.ndarray = n_rows / (1 + (n_rows / n_groups - 1) * icc)
    return n_effective
