"""Any regressor as a probe: the folds and baselines of ridge, and what a layer adds beyond a base."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mess_core import GroupedFolds, gain_beyond, probe_layers
from mess_core.errors import InputError
from mess_core.probing.folds import assign_folds

N = 80
GROUPS = [f"w{row // 2}" for row in range(N)]
QUICK = {"n_bootstraps": 200, "n_folds": 4}


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Layer 1 of three tells a number, in a curve too; a baseline tells nothing."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((N, 3, 6)).astype(np.float32)
    told = vectors[:, 1, 0].astype(float)
    targets = {"told": told + 0.3 * rng.standard_normal(N), "bent": told**2 + 0.1 * rng.standard_normal(N)}
    return vectors, targets, rng.standard_normal((N, 2))


@pytest.mark.slow
def test_ridge_as_a_regressor_is_ridge(world):
    """Cell by cell, with the penalty fixed: R², intervals, gain over baselines, and the null's p."""
    vectors, targets, base = world
    how = QUICK | {"baselines": {"chance": base}, "n_permutations": 19}
    own = probe_layers(vectors, targets, GROUPS, probe=make_pipeline(StandardScaler(), Ridge(alpha=3.0)), **how)
    ours = probe_layers(vectors, targets, GROUPS, alphas=[3.0], **how)
    for one, other in zip(own.cells, ours.cells, strict=True):
        for name in ("r2", "r2_low", "r2_high", "gain", "gain_low", "baseline", "spearman", "p", "p_adj"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-5), name
        assert one.alpha is None and one.baseline_name == other.baseline_name and not one.is_on_grid_edge
    for one, other in zip(own.targets, ours.targets, strict=True):
        np.testing.assert_allclose(one.predicted, other.predicted, atol=1e-4)
        assert one.nested_r2 == pytest.approx(other.nested_r2, abs=1e-5) and one.nested_layers == other.nested_layers


def test_what_is_bent_is_told_by_what_bends(world):
    """Neighbours tell a curve that ridge cannot; without permutations there is no p, and no such word."""
    vectors, targets, _ = world
    bent = {"bent": targets["bent"]}
    neighbours = probe_layers(vectors[:, :, :1], bent, GROUPS, probe=KNeighborsRegressor(3), **QUICK)
    ridge = probe_layers(vectors[:, :, :1], bent, GROUPS, n_permutations=0, **QUICK)
    assert neighbours.cells[1].r2 > 0.7 > 0.3 > ridge.cells[1].r2
    assert max(neighbours.cells[0].r2, neighbours.cells[2].r2) < 0.1
    assert neighbours.targets[0].best_layer == 1 and neighbours.targets[0].nested_r2 > 0.7
    assert not neighbours.has_null and neighbours.cells[1].p is None and not neighbours.cells[1].encodes


def test_rows_of_a_track_are_weighted(world):
    """Segments count by track, if the regressor can; else a sentence says so."""
    vectors, targets, _ = world
    tracks = [f"t{row // 2}" for row in range(N - 4)] + ["t37"] * 4
    works = [f"w{int(track[1:])}" for track in tracks]
    told = {"told": targets["told"]}
    how = {"tracks": tracks, "n_bootstraps": 0, "n_folds": 4}
    pipe = make_pipeline(StandardScaler(with_mean=False, with_std=False), Ridge(alpha=1e-8))
    own = probe_layers(vectors, told, works, probe=pipe, **how)
    ours = probe_layers(vectors, told, works, alphas=[1e-8], n_permutations=0, **how)
    assert own.cells[1].r2 == pytest.approx(ours.cells[1].r2, abs=1e-4)
    with pytest.raises(InputError, match="KNeighborsRegressor takes no sample_weight"):
        probe_layers(vectors, told, works, probe=KNeighborsRegressor(), **how)


def test_the_dullest_regressor_gains_nothing(world):
    vectors, targets, _ = world
    found = probe_layers(vectors, targets, GROUPS, probe=DummyRegressor(), n_bootstraps=0)
    assert all(cell.gain == 0 and abs(cell.r2) < 1e-9 for cell in found.cells)


def test_what_is_no_regressor_is_one_sentence(world):
    vectors, targets, _ = world
    for probe in (3, Ridge, "ridge"):
        with pytest.raises(InputError, match="A probe is a regressor"):
            probe_layers(vectors, targets, GROUPS, probe=probe)
    labels = {"told": np.sign(targets["told"])}

    class Words(DecisionTreeClassifier):
        def predict(self, X, check_input=True):
            return np.full((len(X), 2), 0.5)

    with pytest.raises(InputError, match="a regressor, not a classifier"):
        probe_layers(vectors, labels, GROUPS, probe=Words(), **QUICK)


# --- folds ------------------------------------------------------------------------------------------------


def test_grouped_folds_are_those_of_probing(world):
    """The same rows out, for every repeat; scikit-learn's own functions take them."""
    vectors, targets, _ = world
    folds = GroupedFolds(4, n_repeats=2, seed=3)
    for number, (train, test) in enumerate(folds.split(vectors, groups=GROUPS)):
        expected = assign_folds(GROUPS, 4, seed=3, repeat=number // 4) == number % 4
        np.testing.assert_array_equal(test, np.flatnonzero(expected))
        assert not {GROUPS[row] for row in train} & {GROUPS[row] for row in test} and len(train) + len(test) == N
    assert number + 1 == folds.get_n_splits() == 8
    pipe = make_pipeline(StandardScaler(), Ridge(alpha=3.0))
    cv = GroupedFolds(4)
    predicted = cross_val_predict(pipe, vectors[:, 1], targets["told"], groups=GROUPS, cv=cv)
    found = probe_layers(vectors, {"told": targets["told"]}, GROUPS, probe=pipe, n_folds=4, n_bootstraps=0)
    np.testing.assert_allclose(found.targets[0].predicted[1], predicted, atol=1e-4)
    search = GridSearchCV(pipe, {"ridge__alpha": [1.0, 10.0]}, cv=cv).fit(vectors[:, 1], targets["told"], groups=GROUPS)
    assert search.best_score_ > 0.7 and "GroupedFolds(" in repr(cv)


def test_folds_without_groups_are_refused():
    for how, said in (
        ({"groups": None}, "need groups"),
        ({"groups": ["a"]}, "4 rows and 1 groups"),
        ({"groups": ["a", "a", "b", "b"]}, "2 groups cannot fill 3 folds"),
    ):
        with pytest.raises(InputError, match=said):
            list(GroupedFolds(3).split(range(4), **how))


# --- bands ------------------------------------------------------------------------------------------------


def bands(layer_tells: float, n: int = 120, seed: int = 0):
    """A base that tells half of a number, and a layer that knows the base and tells `layer_tells` of the rest."""
    rng = np.random.default_rng(seed)
    of_base, of_layer, noise = rng.standard_normal((3, n))
    base = np.column_stack([of_base, rng.standard_normal((n, 9))])
    layer = np.column_stack([of_base, of_layer, rng.standard_normal((n, 60))])
    told = np.sqrt(0.5) * of_base + np.sqrt(layer_tells) * of_layer + np.sqrt(0.5 - layer_tells) * noise
    return base, layer, {"told": told}, [f"w{row // 2}" for row in range(n)]


def test_what_a_layer_adds_is_found():
    """A third of the variance is the layer's alone: the gain's interval holds it and not 0; parts add up."""
    (found,) = gain_beyond(*bands(0.35))
    assert found.gain_low > 0.05 and found.gain_low < 0.35 < found.gain_high + 0.1
    assert found.gain == pytest.approx(found.r2 - found.r2_base, abs=1e-9)
    assert found.r2_base_part + found.r2_layer_part == pytest.approx(found.r2, abs=1e-9)
    assert 0.35 < found.r2_base < 0.6 and (found.n, found.n_groups, found.reason) == (120, 60, "")


@pytest.mark.slow
def test_a_layer_that_only_knows_the_base_adds_nothing():
    """Alone it tells much; beyond the base, nothing: in twenty worlds hardly ever a sure gain."""
    found = [gain_beyond(*bands(0.0, seed=seed), alphas=np.logspace(0, 4, 5))[0] for seed in range(20)]
    assert np.mean([each.r2_layer for each in found]) > 0.15
    assert sum(each.gain_low > 0 for each in found) <= 2 and abs(np.mean([each.gain for each in found])) < 0.05


def test_bands_are_ridge_on_scaled_features():
    """With penalties fixed: what scikit-learn predicts from features that are weighted by hand; alone, plain ridge."""
    base, layer, targets, groups = bands(0.3)
    alpha, share = 10.0, 0.3
    (found,) = gain_beyond(base, layer, targets, groups, alphas=[alpha], shares=[share])
    folds, y = assign_folds(groups, 5), targets["told"]
    candidates = {}
    for weight in (0.0, share, 1.0):
        predicted = np.empty(len(y))
        for fold in range(5):
            train, test = folds != fold, folds == fold
            parts = [np.sqrt(w) * StandardScaler().fit(x[train]).transform(x)
                     for x, w in ((base, 1 - weight), (layer, weight))]  # fmt: skip
            scaled = np.hstack(parts)
            predicted[test] = Ridge(alpha=alpha).fit(scaled[train], y[train]).predict(scaled[test])
        means = np.array([y[folds != fold].mean() for fold in range(5)])[folds]
        candidates[weight] = 1 - ((y - predicted) ** 2).sum() / ((y - means) ** 2).sum()
    assert found.r2_base == pytest.approx(candidates[0.0], abs=1e-9)
    assert found.r2_layer == pytest.approx(candidates[1.0], abs=1e-9)
    assert found.share == share and found.r2 == pytest.approx(candidates[share], abs=1e-9)


def test_bands_that_cannot_be_are_one_sentence():
    base, layer, targets, groups = bands(0.3, n=12)
    for how, said in (
        ((base[:5], layer, targets, groups), "expected"),
        ((base[:, 0], layer, targets, groups), "expected"),
    ):
        with pytest.raises(InputError, match=said):
            gain_beyond(*how)
    for how, said in (
        ({"n_folds": 2}, "2 folds"),
        ({"shares": [2.0]}, "from 0 to 1"),
        ({"alphas": [-1.0]}, "Alphas"),
    ):
        with pytest.raises(InputError, match=said):
            gain_beyond(base, layer, targets, groups, **how)
    (none,) = gain_beyond(base, layer, {"flat": np.ones(12)}, groups)
    assert none.r2 is None and none.reason
