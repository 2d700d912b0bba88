"""Classes: whether a layer tells instruments, genres or performers apart, which have names and no order.

    features, codes, folds
      -> multinomial logistic regression with a ridge penalty, the penalty chosen by the other folds inside training
      -> probabilities of every class, out of fold
      -> shares that are right, errors of each group, and intervals

Folds, nesting, baselines and gains are those of numbers (probe.py). There an R² is made of squared errors of the
prediction and of the training mean; here it is made of (balanced) errors of what is named and of guessing the
commonest, so that 0 is guessing and 1 is perfect, whatever the classes weigh.

The balanced errors of a group are centred by class before they are summed,

    error_g = Σ_c w_c (missed_gc - (m_c - m) n_gc),   w_c = 1 / (K n_c),   total_g = Σ_c w_c n_gc (1 - 1/K)

with n_gc rows of class c in group g, of which missed_gc are named wrongly, m_c the share of all its rows that is and m
the mean over classes. The sums are those of the plain errors, and error_g - m/(1 - 1/K) total_g is exactly how much a
group pulls the mean over classes, where the number of rows of each class is not given but found.

Intervals are Korn & Graubard's for shares of clustered samples: the share counts as one of as many independent rows as
its standard error says, at most of as many as there are, and has Clopper & Pearson's interval. So a share of 1
has an interval, too. The standard error has the factors for training and dealing of uncertainty.py.

Conventions
-----------
codes (n_rows,) int in 0 .. K-1; probabilities (n_rows, K); folds, groups (n_rows,) int. All rows weigh the same.

Source
------
Korn & Graubard (1998), Survey Methodology 24 (intervals of shares). Obuchowski (1997) (AUC of clustered data; here
pairs are of one fold, for scores of two models do not compare). Brodersen et al. (2010) (balanced accuracy).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.probing.result import ClassScores
from mess_core.probing.ridge import Decomposition, FoldedFeatures, predict_out_of_fold
from mess_core.probing.scores import sum_by
from mess_core.probing.uncertainty import COVERAGE, DEALING, MIN_GROUPS, TRAINING, t_quantile, variance

EVERY = 4  # of the alphas one in so many is tried: a logistic fit costs a hundred of ridge
MOST_REPEATS = 4  # fold assignments, for the same reason
MOST_STEPS = 500  # of the solver; what has not settled by then is taken as it is
TINY = 1e-6  # the least probability that counts: below it a single row would choose the penalty
RANK = 1e-10  # of the largest eigenvalue: directions below it hold only rounding


@dataclass(frozen=True)
class ClassPredictions:
    """Probabilities for rows that the model had not seen.

    probabilities : (n_rows, K)
    shares : (n_folds, K), of each class in the training rows of each fold
    alphas : (n_folds,), chosen inside each training set
    errors : (n_folds,), mean inner -log probability of the true class at that alpha; NaN if none was needed
    """

    probabilities: np.ndarray
    shares: np.ndarray
    alphas: np.ndarray
    errors: np.ndarray

    def named(self) -> np.ndarray:
        """The most probable class of each row, (n_rows,)."""
        named: np.ndarray = self.probabilities.argmax(axis=1)
        return named

    def named_fairly(self, folds: np.ndarray) -> np.ndarray:
        """The class that is most probable for its share in training, (n_rows,): what balanced accuracy asks for."""
        named: np.ndarray = (self.probabilities / self.shares[folds].clip(min=TINY)).argmax(axis=1)
        return named


def some_alphas(alphas: Sequence[float]) -> np.ndarray:
    """Those of a grid that are tried."""
    return np.array(alphas[::EVERY])


def predict_classes(
    folded: FoldedFeatures, codes: np.ndarray, n_classes: int, alphas: np.ndarray, *, is_error_needed: bool = True
) -> ClassPredictions:
    """Name the class of every row by the folds it is not in, the penalty chosen inside each training set.

    Parameters
    ----------
    folded : FoldedFeatures
        At least three folds; rows of weight 1.
    codes : ndarray, shape (n_rows,), int
    alphas : ndarray, shape (n_alphas,), > 0 and ascending
        Penalties alpha / 2 · |weights|² on standardised features, beside the sum of -log probability over rows.
    is_error_needed : bool
        Whether the inner error is needed where there is nothing to choose.
    """
    n_folds = folded.n_folds
    inner = np.full((n_folds, len(alphas)), np.nan)
    if len(alphas) > 1 or is_error_needed:
        inner = _judge_by_folds(folded, codes, n_classes, alphas)
    chosen = inner.argmin(axis=1)
    probabilities = np.empty((len(codes), n_classes))
    shares = np.empty((n_folds, n_classes))
    for fold in range(n_folds):
        decomposition = folded.decompose(fold)
        held_out = folded.folds == fold
        train = codes[decomposition.rows]
        shares[fold] = np.bincount(train, minlength=n_classes) / len(train)
        (probabilities[held_out],) = _fit_path(
            decomposition, folded, train, n_classes, alphas[[chosen[fold]]], [held_out]
        )[0]
    return ClassPredictions(probabilities, shares, alphas[chosen], inner[np.arange(n_folds), chosen])


def _judge_by_folds(folded: FoldedFeatures, codes: np.ndarray, n_classes: int, alphas: np.ndarray) -> np.ndarray:
    """Mean over the other folds of -log probability of the truth, (n_folds, n_alphas); as in ridge.py."""
    errors = np.zeros((folded.n_folds, len(alphas)))
    for one in range(folded.n_folds):
        for other in range(one + 1, folded.n_folds):
            decomposition = folded.decompose(one, other)
            held_out = [folded.folds == other, folded.folds == one]
            path = _fit_path(decomposition, folded, codes[decomposition.rows], n_classes, alphas, held_out)
            for test, part in ((one, 0), (other, 1)):
                truth = codes[held_out[part]]
                for place, predicted in enumerate(path):
                    of_truth = predicted[part][np.arange(len(truth)), truth]
                    errors[test, place] += -np.log(of_truth.clip(min=TINY)).mean()
    return errors / (folded.n_folds - 1)


def _fit_path(
    decomposition: Decomposition,
    folded: FoldedFeatures,
    train: np.ndarray,
    n_classes: int,
    alphas: np.ndarray,
    held_out: Sequence[np.ndarray],
) -> list[list[np.ndarray]]:
    """For every alpha the probabilities of each set of rows; each fit begins where that of the next larger one ended.

    The fit is in principal coordinates: the penalty does not see a rotation, and there are at most as many of them as
    rows.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    is_there = decomposition.eigenvalues > RANK * decomposition.eigenvalues.max(initial=0.0)
    root = np.sqrt(decomposition.eigenvalues[is_there]) if decomposition.is_wide else 1.0

    def coordinates(rows: np.ndarray) -> np.ndarray:
        placed: np.ndarray = decomposition.project(folded.features[rows])[:, is_there] / root
        return placed

    present = np.unique(train)
    others = [coordinates(rows) for rows in held_out]
    if len(present) == 1 or not is_there.any():  # nothing to tell apart, or nothing to tell it by
        shares = np.bincount(train, minlength=n_classes) / len(train)
        return [[np.tile(shares, (len(each), 1)) for each in others] for _ in alphas]
    own = coordinates(decomposition.rows)
    model = LogisticRegression(warm_start=True, max_iter=MOST_STEPS, tol=1e-4)
    found: list[list[np.ndarray]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for alpha in alphas[::-1]:
            model.set_params(C=1.0 / alpha).fit(own, train)
            predicted = [np.zeros((len(each), n_classes)) for each in others]
            for each, features in zip(predicted, others, strict=True):
                each[:, present] = model.predict_proba(features)
            found.append(predicted)
    return found[::-1]


# --- scores ---------------------------------------------------------------------------------------------------


def class_errors(codes: np.ndarray, named: np.ndarray, groups: np.ndarray, n_classes: int) -> np.ndarray:
    """Balanced errors of each group, centred by class, (n_groups,); they sum to 1 - balanced accuracy."""
    missed = np.zeros((len(codes), n_classes))
    missed[np.arange(len(codes)), codes] = codes != named
    n_of_group, n_missed = _by_class(codes, groups, n_classes), sum_by(groups, missed)
    sizes = n_of_group.sum(axis=0).clip(min=1)
    rates = n_missed.sum(axis=0) / sizes
    errors: np.ndarray = ((n_missed - (rates - rates.mean()) * n_of_group) / (n_classes * sizes)).sum(axis=1)
    return errors


def class_totals(codes: np.ndarray, groups: np.ndarray, n_classes: int) -> np.ndarray:
    """The same of guessing one class always, whichever it is, (n_groups,); they sum to 1 - 1 / K."""
    n_of_group = _by_class(codes, groups, n_classes)
    sizes = n_of_group.sum(axis=0).clip(min=1)
    totals: np.ndarray = (n_of_group / (n_classes * sizes)).sum(axis=1) * (1 - 1 / n_classes)
    return totals


def _by_class(codes: np.ndarray, groups: np.ndarray, n_classes: int) -> np.ndarray:
    """Rows of each class in each group, (n_groups, K)."""
    return sum_by(groups, np.eye(n_classes)[codes])


def worth(of_class: np.ndarray) -> float:
    """How many independent rows a mean over classes can at most be worth, (K,) rows or groups of each -> a number.

    Examples
    --------
    >>> worth(np.array([10, 10])), round(worth(np.array([2, 18])), 1)
    (20.0, 7.2)
    """
    return float(len(of_class) ** 2 / (1.0 / of_class.clip(min=1)).sum())


def least_error(codes: np.ndarray, groups: np.ndarray, n_classes: int) -> float:
    """Standard error that a gain has at least: of a share of which half a row is wrong (Jeffreys), with training."""
    n = min(groups.max() + 1, worth((_by_class(codes, groups, n_classes) > 0).sum(axis=0)))
    share = (n + 0.5) / (n + 1)
    return float(TRAINING * np.sqrt(share * (1 - share) / n) / (1 - 1 / n_classes))


def auc_shares(
    codes: np.ndarray, probabilities: np.ndarray, folds: np.ndarray, groups: np.ndarray
) -> tuple[float, np.ndarray]:
    """Macro one-vs-rest AUC over pairs of one fold, and how much each group pulls it away, (n_groups,)."""
    n_classes = probabilities.shape[1]
    values, pulls = [], []
    for code in range(n_classes):
        below, rivals = np.zeros(len(codes)), np.zeros(len(codes))  # of each row: pairs it is on the right side of, all
        for fold in np.unique(folds):
            rows = np.flatnonzero(folds == fold)
            is_of = codes[rows] == code
            own, others = rows[is_of], rows[~is_of]
            rivals[own], rivals[others] = len(others), len(own)
            below[own] = _placed(probabilities[own, code], probabilities[others, code])
            below[others] = len(own) - _placed(probabilities[others, code], probabilities[own, code])
        is_of = codes == code
        n_pairs = rivals[is_of].sum()
        if n_pairs:
            value = below[is_of].sum() / n_pairs
            values.append(value)
            pulls.append(sum_by(groups, (below - value * rivals) / n_pairs))
    if not values:
        return np.nan, np.zeros(int(groups.max()) + 1)
    return float(np.mean(values)), np.mean(pulls, axis=0)


def _placed(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How many of the others are lower than each score, a tie counting half."""
    ordered = np.sort(others)
    placed: np.ndarray = 0.5 * (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right"))
    return placed


def share_interval(value: float, pulls: np.ndarray, of_repeats: np.ndarray, most: float) -> tuple[float, float]:
    """Interval of a share that lies in 0 .. 1.

    Parameters
    ----------
    pulls : ndarray, shape (n_groups,)
        How much each group pulls it away from the mean of all; they sum to 0.
    of_repeats : ndarray, shape (n_repeats,)
        The share under each fold assignment.
    most : float
        How many independent rows it can at most be worth.

    Returns
    -------
    low, high : float; NaN below `MIN_GROUPS` groups
    """
    from scipy.special import betaincinv, ndtri

    n_groups = len(pulls)
    if n_groups < MIN_GROUPS or not np.isfinite(value):
        return np.nan, np.nan
    tested = n_groups / (n_groups - 1) * (pulls**2).sum()
    squared = TRAINING**2 * tested + DEALING * float(variance(of_repeats))
    n = most / TRAINING**2
    if squared > 0:
        n = min(n, value * (1 - value) / squared)
    tail = (1 - COVERAGE) / 2
    n *= (ndtri(1 - tail) / t_quantile(n_groups)) ** 2
    right, wrong = value * n, (1 - value) * n
    low = betaincinv(right, wrong + 1, tail) if right > 0 else 0.0
    high = betaincinv(right + 1, wrong, 1 - tail) if wrong > 0 else 1.0
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Naming:
    """What one matrix, or the nested choice of layer, comes to over all repeats.

    errors : (n_repeats, n_groups), see `class_errors`
    scores : with intervals
    """

    errors: np.ndarray
    scores: ClassScores


def score_classes(
    codes: np.ndarray,
    predictions: Sequence[ClassPredictions],
    folds: Sequence[np.ndarray],
    groups: np.ndarray,
    n_classes: int,
    *,
    with_intervals: bool,
) -> Naming:
    """Score what one matrix said in every repeat."""
    n_rows = len(codes)
    rows_of_group = sum_by(groups, np.ones(n_rows))
    errors = np.stack(
        [
            class_errors(codes, each.named_fairly(dealt), groups, n_classes)
            for each, dealt in zip(predictions, folds, strict=True)
        ]
    )
    hits = np.stack([sum_by(groups, (each.named() == codes).astype(float)) for each in predictions])
    aucs = [
        auc_shares(codes, each.probabilities, dealt, groups) for each, dealt in zip(predictions, folds, strict=True)
    ]
    accuracies = hits.sum(axis=1) / n_rows
    accuracy, auc = float(accuracies.mean()), float(np.mean([value for value, _ in aucs]))
    balances = 1.0 - errors.sum(axis=1)
    balanced, totals = float(balances.mean()), class_totals(codes, groups, n_classes)
    of_balance = (1 - balanced) / (1 - 1 / n_classes) * totals - errors.mean(axis=0)
    of_accuracy = (hits.mean(axis=0) - accuracy * rows_of_group) / n_rows
    of_auc = np.mean([pulls for _, pulls in aucs], axis=0)
    most = worth(np.bincount(codes, minlength=n_classes))
    figures: dict[str, float | None] = {}
    for name, value, pulls, of_repeats, at_most in (
        ("accuracy", accuracy, of_accuracy, accuracies, float(n_rows)),
        ("balanced", balanced, of_balance, balances, most),
        ("auc", auc, of_auc, np.array([value for value, _ in aucs]), most),
    ):
        low, high = share_interval(value, pulls, of_repeats, at_most) if with_intervals else (np.nan, np.nan)
        figures |= {name: _known(value), f"{name}_low": _known(low), f"{name}_high": _known(high)}
    return Naming(errors, ClassScores(**figures))


def avoided(share: float | None, n_classes: int) -> float | None:
    """A balanced accuracy as the share of the errors of guessing that it avoids.

    Examples
    --------
    >>> avoided(0.5, 2), avoided(1.0, 4), avoided(0.75, 2), avoided(None, 2)
    (0.0, 1.0, 0.5, None)
    """
    return None if share is None else (share - 1 / n_classes) / (1 - 1 / n_classes)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# --- the null -------------------------------------------------------------------------------------------------


def null_shares(
    folded: FoldedFeatures, permuted: np.ndarray, n_classes: int, alphas: np.ndarray, *, is_single: bool
) -> np.ndarray:
    """How well arrangements of the classes are told, (n_arrangements,): the share of errors of guessing avoided.

    Thousands of logistic fits would take days. What is compared with chance is therefore a classifier of the same kind
    that shares its decompositions, least squares on one column per class, and the observed arrangement runs along in
    the same way: the comparison stays exact.

    Parameters
    ----------
    permuted : ndarray, shape (n_rows, n_arrangements), int codes
    is_single : bool
        Whether no two rows share a group, so that single rows may be left out.
    """
    n_rows, n_arrangements = permuted.shape
    columns = np.eye(n_classes, dtype=np.float32)[permuted].reshape(n_rows, -1)
    inner = None if len(alphas) == 1 else "trace" if is_single else "folds"
    out = predict_out_of_fold(folded, columns, alphas, inner=inner, dtype=np.float32)  # type: ignore[arg-type]
    shares = out.train_means[folded.folds].clip(min=TINY)
    named = (out.predicted / shares).reshape(n_rows, n_arrangements, n_classes).argmax(axis=2)
    is_missed = named != permuted
    rates = np.zeros((n_classes, n_arrangements))
    for code in range(n_classes):
        is_of = permuted == code
        rates[code] = (is_missed & is_of).sum(axis=0) / is_of.sum(axis=0).clip(min=1)
    avoided_shares: np.ndarray = 1.0 - rates.mean(axis=0) / (1 - 1 / n_classes)
    return avoided_shares
