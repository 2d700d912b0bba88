"""Ridge: scikit-learn's numbers, and nothing of the held-out fold in its predictions."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mess_core.errors import InputError
from mess_core.probing.ridge import FoldedFeatures, one_blas_thread, predict_out_of_fold

ALPHAS = np.logspace(-2, 7, 28)
SHAPES = {"wide": (50, 120), "tall": (160, 30)}
N_FOLDS = 5


@pytest.fixture(autouse=True)
def quiet_blas():
    """Scikit-learn, too, is faster on one thread when the machine is busy."""
    with one_blas_thread():
        yield


@pytest.fixture(params=list(SHAPES))
def problem(request):
    """Correlated features far from zero, one of them constant; targets between noise and a clear signal."""
    n_rows, dim = SHAPES[request.param]
    rng = np.random.default_rng(5)
    features = (rng.standard_normal((n_rows, 8)) @ rng.standard_normal((8, dim)) + 30).astype(np.float32)
    features += 0.3 * rng.standard_normal((n_rows, dim)).astype(np.float32)
    features[:, 1] = 4000.1
    signal = (features[:, :6] - 30) * np.array([0, 0.05, 0.1, 0.3, 1, 5])
    targets = signal + rng.standard_normal((n_rows, 6)) + 100
    folds = rng.permutation(np.arange(n_rows) % N_FOLDS)
    folded = FoldedFeatures(features, folds)
    assert folded.is_wide == (request.param == "wide")
    return features.astype(np.float64), targets, folds


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.01, 3.0, 1e5])
def test_predictions_are_those_of_scikit_learn(problem, alpha, is_weighted):
    """Standardisation, centring and ridge, with and without row weights, to 1e-9."""
    features, targets, folds = problem
    weights = None
    if is_weighted:  # without the constant, for which scikit-learn finds a negative variance if rows have weights
        weights, features = np.random.default_rng(0).uniform(0.05, 1, len(folds)), np.delete(features, 1, axis=1)
    ours = predict_out_of_fold(FoldedFeatures(features, folds, weights), targets, np.array([alpha]), inner=None)
    for fold in range(N_FOLDS):
        train, test = folds != fold, folds == fold
        theirs = make_pipeline(StandardScaler(), Ridge(alpha))
        own = None if weights is None else weights[train]
        theirs.fit(features[train], targets[train], standardscaler__sample_weight=own, ridge__sample_weight=own)
        assert np.abs(theirs.predict(features[test]) - ours.predicted[test]).max() <= 1e-9
        assert np.allclose(ours.train_means[fold], np.average(targets[train], axis=0, weights=own), atol=1e-9)


def test_leaving_out_rows_chooses_the_alphas_of_ridge_cv(problem):
    """Identical alphas, errors equal to one in a million, predictions to 1e-9."""
    features, targets, folds = problem
    folded = FoldedFeatures(features, folds)
    ours = predict_out_of_fold(folded, targets, ALPHAS, inner="rows")
    for fold in range(N_FOLDS):
        train, test = folds != fold, folds == fold
        theirs = make_pipeline(StandardScaler(), RidgeCV(ALPHAS, alpha_per_target=True, store_cv_results=True))
        theirs.fit(features[train], targets[train])
        errors = theirs[-1].cv_results_.mean(axis=0).T  # (n_alphas, n_targets)
        centred = targets[train] - targets[train].mean(axis=0)
        decomposition = folded.decompose(fold)
        assert np.allclose(
            decomposition.leave_one_out(centred, decomposition.rotate(centred), ALPHAS), errors, rtol=1e-6, atol=0
        )
        assert (ours.alphas[fold] == theirs[-1].alpha_).all()
        assert np.allclose(ours.errors[fold], errors.min(axis=0), rtol=1e-6)
        assert np.abs(theirs.predict(features[test]) - ours.predicted[test]).max() <= 1e-9


def test_generalised_cross_validation_is_its_definition(problem):
    """Residuals and trace of the hat matrix written out, from scikit-learn's models of unit vectors; wide and tall."""
    features, targets, folds = problem
    alphas = np.array([0.1, 10.0, 1e4])
    train = folds != 1
    decomposition = FoldedFeatures(features, folds).decompose(1)
    n_train = int(train.sum())
    centred = targets[train] - targets[train].mean(axis=0)
    found = decomposition.generalised(centred, decomposition.rotate(centred), alphas)
    for alpha, errors in zip(alphas, found, strict=True):
        model = make_pipeline(StandardScaler(), Ridge(alpha))
        hat = model.fit(features[train], np.eye(n_train)).predict(features[train])
        residuals = targets[train] - hat @ targets[train]
        theirs = n_train * (residuals**2).sum(axis=0) / (n_train - np.trace(hat)) ** 2
        assert np.allclose(errors, theirs, rtol=1e-6)
    chosen = predict_out_of_fold(FoldedFeatures(features, folds), targets, alphas, inner="trace").alphas[1]
    assert (chosen == alphas[found.argmin(axis=0)]).all()


@pytest.mark.slow
def test_the_other_folds_choose_the_alphas_of_grid_search(problem):
    """The inner folds of GridSearchCV are the outer folds that are left, so groups stay whole."""
    features, targets, folds = problem
    ours = predict_out_of_fold(FoldedFeatures(features, folds), targets, ALPHAS[::3], inner="folds")
    for fold in (0, 3):
        train, test = folds != fold, folds == fold
        for column in range(targets.shape[1]):
            theirs = GridSearchCV(
                make_pipeline(StandardScaler(), Ridge()),
                {"ridge__alpha": ALPHAS[::3]},
                scoring="neg_mean_squared_error",
                cv=PredefinedSplit(folds[train]),
            ).fit(features[train], targets[train, column])
            assert theirs.best_params_["ridge__alpha"] == ours.alphas[fold, column]
            assert np.isclose(-theirs.best_score_, ours.errors[fold, column], rtol=1e-9)
            assert np.abs(theirs.predict(features[test]) - ours.predicted[test, column]).max() <= 1e-9


def test_weights_count_in_the_choice_of_alpha(problem):
    """Inner errors are weighted means over the validation fold, averaged over folds."""
    features, targets, folds = problem
    features = np.delete(features, 1, axis=1)
    weights = np.random.default_rng(1).uniform(0.1, 1, len(folds))
    ours = predict_out_of_fold(FoldedFeatures(features, folds, weights), targets, np.array([10.0]), inner="folds")
    errors = []
    for inner in range(1, N_FOLDS):
        train, held_out = (folds != 0) & (folds != inner), folds == inner
        model = make_pipeline(StandardScaler(), Ridge(10.0))
        own = weights[train]
        model.fit(features[train], targets[train], standardscaler__sample_weight=own, ridge__sample_weight=own)
        predicted = model.predict(features[held_out])
        errors.append(
            mean_squared_error(targets[held_out], predicted, sample_weight=weights[held_out], multioutput="raw_values")
        )
    assert np.allclose(ours.errors[0], np.mean(errors, axis=0), rtol=1e-9)


@pytest.mark.parametrize("inner", ["rows", "folds"])
def test_a_fold_knows_nothing_of_its_own_targets(problem, inner):
    """Other targets in a fold change neither its predictions nor its alphas."""
    features, targets, folds = problem
    folded = FoldedFeatures(features, folds)
    before = predict_out_of_fold(folded, targets, ALPHAS, inner=inner)
    changed = np.where(folds[:, None] == 2, -targets, targets)
    after = predict_out_of_fold(folded, changed, ALPHAS, inner=inner)
    assert np.array_equal(after.predicted[folds == 2], before.predicted[folds == 2])
    assert np.array_equal(after.alphas[2], before.alphas[2])
    assert not np.allclose(after.predicted[folds == 1], before.predicted[folds == 1])


@pytest.mark.parametrize("inner", ["rows", "folds"])
def test_many_targets_give_what_each_gives_alone(problem, inner):
    """Targets only share work; single precision changes the predictions by a millionth of their spread."""
    features, targets, folds = problem
    folded = FoldedFeatures(features, folds)
    many = np.concatenate([targets + 0.001 * i for i in range(100)], axis=1)
    together = predict_out_of_fold(folded, many, ALPHAS[::3], inner=inner)
    single = predict_out_of_fold(folded, many, ALPHAS[::3], inner=inner, dtype=np.float32)
    alone = predict_out_of_fold(folded, targets, ALPHAS[::3], inner=inner)
    assert np.allclose(together.predicted[:, :6], alone.predicted, atol=1e-9)
    assert np.array_equal(together.alphas[:, :6], alone.alphas)
    assert np.abs(single.predicted - together.predicted).max() < 1e-4


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_features_that_are_constant_in_training_add_nothing(shape):
    """Constant everywhere, or everywhere but in the held-out fold: no division by what rounding left."""
    n_rows, dim = shape
    rng = np.random.default_rng(2)
    features = rng.standard_normal((n_rows, dim))
    folds = np.arange(n_rows) % N_FOLDS
    targets = rng.standard_normal((n_rows, 2))
    odd = np.zeros((n_rows, 3))
    odd[folds == 0, 0] = 1.0  # constant in training for fold 0 only
    odd[:, 1] = 1e6 / 3
    odd[:, 2] = 0.1
    plain = predict_out_of_fold(FoldedFeatures(features, folds), targets, ALPHAS, inner="rows")
    with_odd = predict_out_of_fold(FoldedFeatures(np.c_[features, odd], folds), targets, ALPHAS, inner="rows")
    assert np.abs(with_odd.predicted[folds == 0] - plain.predicted[folds == 0]).max() < 1e-9
    nothing = predict_out_of_fold(FoldedFeatures(odd[:, 1:], folds), targets, ALPHAS, inner="rows")
    assert np.allclose(nothing.predicted, nothing.train_means[folds], atol=1e-9)


def test_inputs_are_left_as_they_were(problem):
    features, targets, folds = problem
    before = features.copy(), targets.copy(), folds.copy()
    for array in problem:
        array.setflags(write=False)
    for inner in ("rows", "folds"):
        predict_out_of_fold(FoldedFeatures(features, folds), targets, ALPHAS, inner=inner)
    assert all(np.array_equal(one, other) for one, other in zip(before, problem, strict=True))


def test_a_choice_needs_a_way_to_choose():
    folded = FoldedFeatures(np.eye(6), np.arange(6) % 2)
    with pytest.raises(InputError, match="no way to choose"):
        predict_out_of_fold(folded, np.eye(6), ALPHAS, inner=None)
    with pytest.raises(InputError, match="at least 3 folds"):
        predict_out_of_fold(folded, np.eye(6), ALPHAS, inner="folds")
