"""Any regressor of scikit-learn as a probe, in the place of ridge: the same folds, rows, weights and baselines.

    probe_layers(vectors, targets, groups, baselines, probe=make_pipeline(StandardScaler(), SVR()))

What holds as with ridge: no group on both sides of a split, R² and its parts with intervals over groups, the gain over
every baseline (which the same regressor predicts from), and the choice of the layer inside each training set, for which
every pair of folds is left out once more. What does not: it is fitted as it comes, so what it should choose (a penalty,
a depth) it chooses by itself, `GridSearchCV` with `GroupedFolds` among others, and features are as they are: a scaler
belongs into it. The null fits everything once more for each permutation: ask for as many as there is time for; without
any there is no p, and nothing is called encoded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mess_core.errors import InputError
from mess_core.probing.ridge import FoldedFeatures, Inner, OutOfFold


class RegressorProbe:
    """Predicts rows out of fold by clones of a regressor; stands where `ridge.predict_out_of_fold` does.

    Parameters
    ----------
    regressor : object
        Has `fit`, `predict` and `get_params`, as scikit-learn's; never fitted itself.

    Raises
    ------
    InputError
        If it is none.
    """

    def __init__(self, regressor: Any) -> None:
        for verb in ("fit", "predict", "get_params"):
            if not callable(getattr(regressor, verb, None)) or isinstance(regressor, type):
                raise InputError(
                    f"A probe is a regressor of scikit-learn, got {regressor!r:.60}, which has no {verb}().",
                    "Give an instance: probe=Ridge().",
                )
        self.regressor = regressor

    def __call__(
        self,
        folded: FoldedFeatures,
        targets: np.ndarray,
        alphas: np.ndarray,
        *,
        inner: Inner | None,
        dtype: type = np.float64,
    ) -> OutOfFold:
        """As `predict_out_of_fold`; of `inner` only whether there is any: then the error is that of the other folds."""
        n_folds, shape = folded.n_folds, (folded.n_folds, targets.shape[1])
        out = OutOfFold(np.empty(targets.shape), np.empty(shape), np.full(shape, np.nan), np.full(shape, np.nan))
        features = folded.features + folded.centre
        for fold in range(n_folds):
            is_held = folded.folds == fold
            weights = folded.weights[~is_held]
            out.train_means[fold] = weights @ targets[~is_held] / weights.sum()
            out.predicted[is_held] = self._predict(features, targets, folded.weights, ~is_held, is_held)
        if inner is not None and n_folds > 2:
            out.errors[:] = 0.0
            for one in range(n_folds):
                for other in range(one + 1, n_folds):
                    is_left = ~np.isin(folded.folds, (one, other))
                    for test, judged in ((one, other), (other, one)):
                        rows = folded.folds == judged
                        off = targets[rows] - self._predict(features, targets, folded.weights, is_left, rows)
                        weights = folded.weights[rows] / folded.weights[rows].sum()
                        out.errors[test] += weights @ off**2 / (n_folds - 1)
        return out

    def _predict(
        self, features: np.ndarray, targets: np.ndarray, weights: np.ndarray, train: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        """(n_rows, n_targets), each target by a regressor of its own."""
        from sklearn.base import clone

        found = np.empty((int(rows.sum()), targets.shape[1]))
        for column in range(targets.shape[1]):
            model = clone(self.regressor)
            model.fit(features[train], targets[train, column], **self._weights(weights[train]))
            predicted = np.asarray(model.predict(features[rows]), np.float64).reshape(-1)
            if predicted.shape != (len(found),) or not np.isfinite(predicted).all():
                raise InputError(
                    f"{type(self.regressor).__name__} predicts {predicted.shape} of {len(found)} rows, or no numbers.",
                    "Expected a number for each row: a regressor, not a classifier.",
                )
            found[:, column] = predicted
        return found

    def _weights(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """How `fit` takes them; nothing where all rows weigh the same.

        Raises
        ------
        InputError
            If they do not, and it cannot take them.
        """
        from sklearn.utils.validation import has_fit_parameter

        if (weights == weights[0]).all():
            return {}
        steps = getattr(self.regressor, "steps", None)
        name, last = steps[-1] if steps else ("", self.regressor)
        if not has_fit_parameter(last, "sample_weight"):
            raise InputError(
                f"{type(last).__name__} takes no sample_weight, which rows of unequal weight need.",
                "Probe tracks, not segments, or take another regressor.",
            )
        return {f"{name}__sample_weight" if name else "sample_weight": weights}
