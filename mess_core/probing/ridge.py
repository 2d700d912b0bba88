"""Ridge regression from one feature matrix to many targets, out of fold, exact and fast.

The model is that of scikit-learn's `make_pipeline(StandardScaler(), Ridge(alpha))`, with row weights where given, and
so are its numbers. What differs is the order of work. With X the standardised training rows, each multiplied by the
root of its weight, one eigendecomposition per training set

    X Xᵀ = V Λ Vᵀ  (n_train, n_train)   when rows are few: "wide"
    XᵀX  = V Λ Vᵀ  (dim, dim)           when rows are many: "tall"; the products are summed per fold beforehand

serves every target and every alpha: prediction = mean + project(features) @ (rotate(targets) / (Λ + alpha)).

Choosing alpha must respect groups. Leaving out one row is valid only if no two rows share a group; otherwise alpha is
chosen by the other folds: for test fold i, train without i and j, validate on j, average over j. The decomposition
without {i, j} serves (test i, validate j) and (test j, validate i), so 5 folds need 10 + 5 decompositions, not 25.

Generalised cross-validation ("trace") takes every row's leverage for the mean of all. It judges alpha nearly as leaving
out single rows does and needs no product per alpha, which is what makes thousands of permuted targets affordable.

Conventions
-----------
features (n_rows, dim), targets (n_rows, n_targets) without NaN, folds (n_rows,) int, weights (n_rows,) > 0.
Everything is float64 inside; `dtype=float32` makes the products with targets twice as fast, for permutations.
BLAS runs on one thread: on a busy machine two threads made an eigendecomposition twenty times slower.

Source
------
Hastie, Tibshirani & Friedman, The Elements of Statistical Learning (2009), §3.4.1 and §7.10 (leverages, eq. 7.64;
generalised cross-validation, eq. 7.52, of Golub, Heath & Wahba 1979).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from threadpoolctl import ThreadpoolController

from mess_core.errors import InputError

WIDE_RATIO = 1.5  # up to this many rows per feature, decomposing (n_rows, n_rows) is the cheaper way
ALPHA_BLOCK = 1 << 18  # elements of the stacked left factor, (n_alphas, n_rows, rank): stays in the cache
COLUMN_BLOCK = 512  # targets per product

Inner = Literal["rows", "folds", "trace"]


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for rows that the model had not seen.

    predicted : (n_rows, n_targets)
    train_means : (n_folds, n_targets), weighted mean of the training rows of each fold: the dullest prediction
    alphas : (n_folds, n_targets), the alpha chosen inside each training set
    errors : (n_folds, n_targets), mean squared inner validation error at that alpha; NaN if none was needed
    """

    predicted: np.ndarray
    train_means: np.ndarray
    alphas: np.ndarray
    errors: np.ndarray


@dataclass(frozen=True)
class Decomposition:
    """One training set, decomposed: after that every target and every alpha costs a small product.

    rows : (n_train,) int, the rows trained on
    mean, scale : (dim,), of the training rows; the scale of a constant feature is 1
    root_weights : (n_train,)
    standardised : (n_train, dim), rows times the root of their weight
    eigenvalues : (rank,) >= 0
    vectors : (n_train, rank) if wide, (dim, rank) if tall
    """

    rows: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    root_weights: np.ndarray
    standardised: np.ndarray
    eigenvalues: np.ndarray
    vectors: np.ndarray
    is_wide: bool

    def project(self, features: np.ndarray) -> np.ndarray:
        """(n_rows, dim) -> (n_rows, rank): coordinates in which ridge acts on each axis alone."""
        standardised = (features - self.mean) / self.scale
        return (standardised @ self.standardised.T if self.is_wide else standardised) @ self.vectors

    def rotate(self, centred: np.ndarray) -> np.ndarray:
        """Targets of the training rows minus their means, (n_train, n_targets) -> (rank, n_targets)."""
        weighted = self.root_weights[:, None] * centred
        return self.vectors.T @ (weighted if self.is_wide else self.standardised.T @ weighted)

    def coefficients(self, centred: np.ndarray, alphas: np.ndarray) -> np.ndarray:
        """Weights of unstandardised features, (dim, n_targets), for one alpha per target."""
        shrunk = self.rotate(centred) / (self.eigenvalues[:, None] + alphas)
        axes = self.vectors @ shrunk
        weights: np.ndarray = (self.standardised.T @ axes if self.is_wide else axes) / self.scale[:, None]
        return weights

    def leave_one_out(
        self, centred: np.ndarray, rotated: np.ndarray, alphas: np.ndarray, dtype: type = np.float64
    ) -> np.ndarray:
        """Mean squared error of predicting each training row from all others, (n_alphas, n_targets).

        Rows weigh the same. As in scikit-learn's RidgeCV the standardisation is that of all training rows.
        Residual over (1 - leverage); when wide, alpha cancels and neither factor loses digits to the other.
        """
        scores = self.vectors if self.is_wide else self.standardised @ self.vectors
        truth = None if self.is_wide else centred
        errors = np.empty((len(alphas), centred.shape[1]))
        for block, shrink in _alpha_blocks(self.eigenvalues, alphas, len(scores)):
            spared = shrink @ (scores**2).T  # (n_alphas, n_train): 1 - leverage, over alpha if wide
            if not self.is_wide:
                spared = 1.0 - 1.0 / len(scores) - spared
            factor = 1.0 / np.where(spared > 0, spared, 1.0)
            left = scores * shrink[:, None, :]
            errors[block] = _squared_errors(left, rotated, dtype, truth=truth, factor=factor) / len(scores)
        return errors

    def generalised(self, centred: np.ndarray, rotated: np.ndarray, alphas: np.ndarray) -> np.ndarray:
        """Generalised cross-validation error, (n_alphas, n_targets); rows weigh the same."""
        n_rows, alpha = len(self.rows), alphas[:, None]
        kept = alpha / (self.eigenvalues + alpha)  # (n_alphas, rank): what shrinkage leaves of each axis
        squares = np.square(rotated, dtype=np.float64)
        if self.is_wide:
            errors, freedom = kept**2 @ squares, kept.sum(axis=1)
        else:
            fitted = (self.eigenvalues + 2 * alpha) / (self.eigenvalues + alpha) ** 2
            errors = np.maximum(np.einsum("ij,ij->j", centred, centred) - fitted @ squares, 0.0)
            freedom = n_rows - 1 - (1 - kept).sum(axis=1)
        generalised: np.ndarray = n_rows * errors / np.maximum(freedom, np.finfo(float).tiny)[:, None] ** 2
        return generalised

    def validate(
        self,
        features: np.ndarray,
        centred: np.ndarray,
        weights: np.ndarray,
        rotated: np.ndarray,
        alphas: np.ndarray,
        dtype: type = np.float64,
    ) -> np.ndarray:
        """Weighted mean squared error on other rows, (n_alphas, n_targets); `centred` by the training mean."""
        root = np.sqrt(weights / weights.sum())
        scores = root[:, None] * self.project(features)
        truth = root[:, None] * centred
        errors = np.empty((len(alphas), centred.shape[1]))
        for block, shrink in _alpha_blocks(self.eigenvalues, alphas, len(scores)):
            errors[block] = _squared_errors(scores * shrink[:, None, :], rotated, dtype, truth=truth)
        return errors


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A context, or a decorator, in which BLAS uses one thread; cheap, because the libraries are looked up once."""
    with _blas().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


class FoldedFeatures:
    """One feature matrix and its folds, from which the training set without any folds can be decomposed.

    Parameters
    ----------
    features : ndarray, shape (n_rows, dim)
    folds : ndarray, shape (n_rows,), int
    weights : ndarray, shape (n_rows,), or None for equal weights of 1
    """

    def __init__(self, features: np.ndarray, folds: np.ndarray, weights: np.ndarray | None = None) -> None:
        self.folds = np.asarray(folds)
        self.weights = np.ones(len(features)) if weights is None else np.asarray(weights, np.float64)
        self.features = np.asarray(features, np.float64)
        # Moved to their mean, so that sums of squares do not drown the variance. The model does not notice.
        self.centre = self.features.mean(axis=0)
        self.features = self.features - self.centre
        self.n_folds = int(self.folds.max()) + 1
        self.is_wide = len(features) <= WIDE_RATIO * features.shape[1]
        self._products = None if self.is_wide else np.stack([self._product(f) for f in range(self.n_folds)])

    def decompose(self, *excluded: int) -> Decomposition:
        """Decompose the rows that are in none of the excluded folds."""
        rows = np.flatnonzero(~np.isin(self.folds, excluded))
        weights = self.weights[rows]
        root_weights = np.sqrt(weights)
        total = weights.sum()
        standardised = self.features[rows]  # a copy
        mean = weights @ standardised / total
        standardised -= mean
        variance = weights @ standardised**2 / total
        # What rounding makes of a constant, as scikit-learn bounds it; moving to the mean has added to it.
        rounding = total * np.finfo(np.float64).eps * (np.abs(mean) + np.abs(self.centre))
        is_constant = variance <= rounding**2
        scale = np.where(is_constant, 1.0, np.sqrt(variance))
        standardised /= scale
        standardised *= root_weights[:, None]
        if self._products is None:
            eigenvalues, vectors = _decompose_wide(standardised, root_weights)
        else:
            kept = [fold for fold in range(self.n_folds) if fold not in excluded]
            product = self._products[kept].sum(axis=0) - total * np.outer(mean, mean)
            eigenvalues, vectors = np.linalg.eigh(product / np.outer(scale, scale))
        return Decomposition(
            rows, mean, scale, root_weights, standardised, eigenvalues.clip(min=0.0), vectors, self.is_wide
        )

    def _product(self, fold: int) -> np.ndarray:
        rows = self.folds == fold
        weighted = np.sqrt(self.weights[rows])[:, None] * self.features[rows]
        return weighted.T @ weighted


def predict_out_of_fold(
    folded: FoldedFeatures,
    targets: np.ndarray,
    alphas: np.ndarray,
    *,
    inner: Inner | None,
    dtype: type = np.float64,
) -> OutOfFold:
    """Predict every row from the folds it is not in, alpha chosen per target inside each training set.

    Parameters
    ----------
    folded : FoldedFeatures
    targets : ndarray, shape (n_rows, n_targets), without NaN
    alphas : ndarray, shape (n_alphas,), > 0 and ascending
    inner : "rows", "trace", "folds" or None
        How alpha is judged: leaving out one row or generalised cross-validation (only if rows are independent), or one
        of the other folds (at least three folds). None, with a single alpha, judges nothing.
    dtype : float64 or float32
        Precision of the products with targets; the decompositions are float64 always.

    Returns
    -------
    OutOfFold
    """
    if inner is None and len(alphas) > 1:
        raise InputError(f"{len(alphas)} alphas and no way to choose one; expected inner 'rows' or 'folds'.")
    if inner == "folds" and folded.n_folds < 3:
        raise InputError(f"{folded.n_folds} folds leave none to choose alpha with.", "Use at least 3 folds.")
    shape = (folded.n_folds, targets.shape[1])
    result = OutOfFold(np.empty(targets.shape), np.empty(shape), np.empty(shape), np.full(shape, np.nan))
    with one_blas_thread():
        by_folds = _validate_by_folds(folded, targets, alphas, dtype) if inner == "folds" else None
        for fold in range(folded.n_folds):
            decomposition = folded.decompose(fold)
            train_mean, centred = _centre(folded, decomposition, targets)
            rotated: np.ndarray = decomposition.rotate(centred).astype(dtype, copy=False)
            errors = decomposition.leave_one_out(centred, rotated, alphas, dtype) if inner == "rows" else None
            if inner == "trace":
                errors = decomposition.generalised(centred, rotated, alphas)
            if by_folds is not None:
                errors = by_folds[fold]
            chosen = np.zeros(shape[1], int) if errors is None else errors.argmin(axis=0)
            if errors is not None:
                result.errors[fold] = np.take_along_axis(errors, chosen[None], axis=0)[0]
            result.alphas[fold] = alphas[chosen]
            result.train_means[fold] = train_mean
            held_out = folded.folds == fold
            scores: np.ndarray = decomposition.project(folded.features[held_out]).astype(dtype, copy=False)
            shrunk = rotated / (decomposition.eigenvalues[:, None] + result.alphas[fold]).astype(dtype, copy=False)
            result.predicted[held_out] = scores @ shrunk + train_mean
    return result


def _validate_by_folds(folded: FoldedFeatures, targets: np.ndarray, alphas: np.ndarray, dtype: type) -> np.ndarray:
    """Mean over the other folds of the validation error, (n_folds, n_alphas, n_targets)."""
    errors = np.zeros((folded.n_folds, len(alphas), targets.shape[1]))
    for one in range(folded.n_folds):
        for other in range(one + 1, folded.n_folds):
            decomposition = folded.decompose(one, other)
            train_mean, centred = _centre(folded, decomposition, targets)
            rotated = decomposition.rotate(centred)
            for test, held_out in ((one, other), (other, one)):
                rows = folded.folds == held_out
                errors[test] += decomposition.validate(
                    folded.features[rows], targets[rows] - train_mean, folded.weights[rows], rotated, alphas, dtype
                )
    return errors / (folded.n_folds - 1)


def _centre(folded: FoldedFeatures, decomposition: Decomposition, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the training rows, (n_targets,), and their targets without it, (n_train, n_targets)."""
    weights = folded.weights[decomposition.rows]
    train = targets[decomposition.rows]
    mean = weights @ train / weights.sum()
    return mean, train - mean


def _decompose_wide(standardised: np.ndarray, root_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and vectors of the kernel without the constant direction, whose eigenvalue is exactly zero.

    Rounding would leave 1e-11 there, which beside a small alpha is felt in the leverages. So that direction is pushed
    far below zero, where it comes first and can be dropped.
    """
    kernel = standardised @ standardised.T
    constant = root_weights / np.linalg.norm(root_weights)
    kernel -= max(np.trace(kernel) / len(kernel), 1.0) * np.outer(constant, constant)
    eigenvalues, vectors = np.linalg.eigh(kernel)
    return eigenvalues[1:], vectors[:, 1:]


def _alpha_blocks(eigenvalues: np.ndarray, alphas: np.ndarray, n_rows: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of alphas with 1 / (eigenvalue + alpha), (n_in_block, rank)."""
    step = max(1, ALPHA_BLOCK // max(1, n_rows * len(eigenvalues)))
    for start in range(0, len(alphas), step):
        block = slice(start, start + step)
        yield block, 1.0 / (eigenvalues + alphas[block, None])


def _squared_errors(
    left: np.ndarray,
    rotated: np.ndarray,
    dtype: type,
    *,
    truth: np.ndarray | None = None,
    factor: np.ndarray | None = None,
) -> np.ndarray:
    """Sum over rows of (factor * (left @ rotated - truth))², (n_alphas, n_targets).

    left : (n_alphas, n_rows, rank)
    rotated : (rank, n_targets)
    truth : (n_rows, n_targets), 0 if None
    factor : (n_alphas, n_rows), 1 if None
    """
    n_alphas, n_rows, rank = left.shape
    if factor is not None and truth is None:  # cheaper here than on every product
        left, factor = left * factor[:, :, None], None
    flat: np.ndarray = left.reshape(n_alphas * n_rows, rank).astype(dtype, copy=False)
    errors = np.empty((n_alphas, rotated.shape[1]))
    for start in range(0, rotated.shape[1], COLUMN_BLOCK):
        columns = slice(start, start + COLUMN_BLOCK)
        off = (flat @ rotated[:, columns].astype(dtype, copy=False)).reshape(n_alphas, n_rows, -1)
        if truth is not None:
            off -= truth[:, columns].astype(dtype, copy=False)
        if factor is not None:
            off *= factor[:, :, None].astype(dtype, copy=False)
        errors[:, columns] = np.einsum("art,art->at", off, off)
    return errors
