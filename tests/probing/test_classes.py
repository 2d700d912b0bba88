"""Classes: what was planted is told apart, chance is not, and what cannot be probed is said in one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from mess_core.errors import InputError
from mess_core.probing.classes import (
    auc_shares,
    class_errors,
    class_totals,
    predict_classes,
    share_interval,
)
from mess_core.probing.data import ProbeData, class_blocks_of, encode_classes
from mess_core.probing.directions import fit_directions
from mess_core.probing.findings import findings_of
from mess_core.probing.probe import fit_cells, probe_layers
from mess_core.probing.result import ProbeResult, ProbeSettings
from mess_core.probing.ridge import FoldedFeatures

NAMES = ("cello", "flute", "piano", "voice")
QUICK = {"alphas": (0.1, 10.0, 1e3, 1e5, 1e6), "n_repeats": 2, "n_bootstraps": 300, "n_permutations": 199}


def groups_of(n: int, each: int = 2) -> list[str]:
    return [f"w{row // each:03d}" for row in range(n)]


@pytest.fixture(scope="module")
def told() -> ProbeResult:
    """120 recordings of 60 works: layer 1 shows the instrument, nothing shows the genre, two tubas are too few."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 120)
    vectors = rng.standard_normal((120, 3, 12)).astype(np.float32)
    vectors[:, 1] += 1.5 * rng.standard_normal((4, 12))[codes]
    instruments = [NAMES[code] for code in codes]
    instruments[:2] = ["tuba", "tuba"]
    genres = rng.choice(["folk", "jazz"], 120, p=[0.3, 0.7])
    targets = {"instrument": np.array(instruments), "genre": genres, "level": rng.standard_normal(120)}
    return probe_layers(vectors, targets, groups_of(120), {"nuisances": rng.standard_normal((120, 3))}, **QUICK)


@pytest.mark.slow
def test_planted_classes_are_told_by_the_planted_layer(told):
    cell, summary = told.cell(1, "instrument"), told.target("instrument")
    assert cell.encodes and cell.classes.accuracy > 0.8 and cell.classes.accuracy_low > 0.6 and cell.classes.auc > 0.9
    assert summary.best_layer == 1 and summary.best_set == (1,) and set(summary.nested_layers) == {1}
    assert cell.r2 == pytest.approx((cell.classes.balanced - 0.25) / 0.75)
    assert summary.classes.names == NAMES and sum(summary.classes.counts) == 118
    assert summary.classes.left_out == ("tuba is left out: in 1 group, fewer than the 5 folds",)
    assert 0.2 < summary.classes.commonest < 0.4
    assert np.isnan(summary.values[:2]).all() and (summary.folds[:2] == -1).all()
    (sentence,) = [s for s in findings_of(told).sentences() if s.startswith("Instrument")]
    assert "can be told off layer 1: " in sentence and "right where guessing the commonest gives" in sentence
    assert any("tuba is left out" in doubt for doubt in findings_of(told).doubts)


@pytest.mark.slow
def test_chance_is_not_told(told):
    for layer in range(3):
        cell = told.cell(layer, "genre")
        assert not cell.encodes and cell.r2_low < 0 < cell.p_adj and cell.classes.balanced_low < 0.5
    assert "genre" in findings_of(told).untold


@pytest.mark.slow
def test_numbers_beside_classes_are_as_without_them(told):
    """One target does not move another, but for the reach that all gains share."""
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((40, 2, 4)).astype(np.float32)
    level, labels = {"level": vectors[:, 0, 0].astype(float)}, {"x": np.array(["a", "b"] * 20)}
    alone, beside = (probe_layers(vectors, each, groups_of(40, 1), **QUICK) for each in (level, level | labels))
    for layer in range(2):
        one, other = alone.cell(layer, "level"), beside.cell(layer, "level")
        assert (one.r2, one.r2_low, one.alpha, one.p) == (other.r2, other.r2_low, other.alpha, other.p)
        assert one.classes is None and other.gain_low <= one.gain_low
    assert told.target("level").classes is None


@pytest.mark.slow
def test_a_result_comes_back(told):
    again = ProbeResult.from_dict(json.loads(json.dumps(told.to_dict())))
    assert again.to_dict() == told.to_dict() and again.target("instrument").classes == told.target("instrument").classes
    earlier = json.loads(json.dumps(told.to_dict()))  # as it was written before there were classes
    del earlier["described"]
    for part in (*earlier["cells"], *earlier["targets"]):
        del part["classes"]
    old = ProbeResult.from_dict(earlier)
    assert old.cell(1, "level").r2 == told.cell(1, "level").r2 and old.about("tempo").unit == "BPM"


@pytest.mark.slow
def test_what_follows_works_and_not_instruments_is_not_told():
    """Every work has a sound of its own and one instrument: works in training say nothing about those that are not."""
    rng = np.random.default_rng(3)
    work = np.repeat(np.arange(40), 4)
    vectors = (rng.standard_normal((40, 1, 24))[work] + 0.1 * rng.standard_normal((160, 1, 24))).astype(np.float32)
    labels = rng.choice(["a", "b"], 40)[work]
    result = probe_layers(vectors, {"instrument": labels}, [f"w{each}" for each in work], **QUICK)
    cell = result.cell(0, "instrument")
    assert not cell.encodes and cell.classes.accuracy < 0.7 and cell.p_adj > 0.05


@pytest.mark.slow
def test_all_right_has_an_interval_that_is_no_point():
    rng = np.random.default_rng(1)
    codes = np.arange(60) // 2 % 2
    vectors = (10 * codes[:, None, None] + rng.standard_normal((60, 1, 4))).astype(np.float32)
    labels = np.array(["a", "b"])[codes]
    cell = probe_layers(vectors, {"x": labels}, groups_of(60), **QUICK).cell(0, "x")
    assert cell.classes.accuracy == 1 and 0.7 < cell.classes.accuracy_low < 1 == cell.classes.accuracy_high
    assert cell.r2 == 1 and cell.r2_low > 0.4 and cell.encodes


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (["a"] * 40, "only one class, a, is in at least 5 groups"),
        (["a"] * 38 + ["b"] * 2, "only one class, a, is in at least 5 groups, and 1 other in fewer"),
        ([f"c{row // 4}" for row in range(40)], "each of its classes is in fewer groups than the 5 folds"),
        ([None] * 40, "undefined for every row"),
    ],
)
def test_what_cannot_be_probed_has_one_sentence(labels, why):
    codes, names = encode_classes(labels)
    data = ProbeData(np.ones((40, 1, 2), np.float32), {"x": codes}, groups_of(40), classes={"x": names})
    assert class_blocks_of(data, 5)[1] == {"x": why}
    result = fit_cells(data, ProbeSettings(n_repeats=1))
    assert result.cell(0, "x").r2 is None and result.target("x").reason == why


def test_two_folds_leave_none_to_choose_with():
    codes, names = encode_classes(["a", "b"] * 20)
    data = ProbeData(np.ones((40, 1, 2), np.float32), {"x": codes}, groups_of(40, 1), classes={"x": names})
    assert "at least 3 are needed" in class_blocks_of(data, 2)[1]["x"]


def test_codes_of_no_class_are_refused():
    with pytest.raises(InputError, match="codes that are none of its 2 classes"):
        ProbeData(np.ones((2, 1, 2)), {"x": np.array([0.0, 2.0])}, ["a", "b"], classes={"x": ("a", "b")})
    with pytest.raises(InputError, match="whole tracks"):
        ProbeData(np.ones((2, 1, 2)), {"x": np.zeros(2)}, ["a", "b"], tracks=["a", "b"], classes={"x": ("a",)})


# --- the same as scikit-learn ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [6, 60])
def test_probabilities_are_those_of_scikit_learn(dim):
    """In principal coordinates, whether rows or columns are more, as without them."""
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 3, 60)
    features = rng.standard_normal((60, dim)) + 0.8 * rng.standard_normal((3, dim))[codes]
    folds = np.arange(60) % 4
    found = predict_classes(FoldedFeatures(features, folds), codes, 3, np.array([5.0]), is_error_needed=False)
    for fold in range(4):
        train, test = folds != fold, folds == fold
        scaler = StandardScaler().fit(features[train])
        model = LogisticRegression(C=0.2, tol=1e-9, max_iter=10_000).fit(
            scaler.transform(features[train]), codes[train]
        )
        expected = model.predict_proba(scaler.transform(features[test]))
        np.testing.assert_allclose(found.probabilities[test], expected, atol=5e-3)
    assert np.isnan(found.errors).all()


def test_errors_are_those_of_balanced_accuracy():
    rng = np.random.default_rng(4)
    codes, named, groups = rng.integers(0, 3, 90), rng.integers(0, 3, 90), np.arange(90) // 3
    errors, totals = class_errors(codes, named, groups, 3), class_totals(codes, groups, 3)
    balanced = balanced_accuracy_score(codes, named)
    assert errors.sum() == pytest.approx(1 - balanced) and totals.sum() == pytest.approx(2 / 3)
    adjusted = balanced_accuracy_score(codes, named, adjusted=True)
    assert 1 - errors.sum() / totals.sum() == pytest.approx(adjusted)
    np.testing.assert_allclose(class_errors(codes, np.ones(90, int), groups, 3), totals)  # of guessing one class


def test_a_groups_pull_is_that_of_leaving_it_out():
    """To first order: the mean over classes, whose sizes are found and not given, moves as much."""
    rng = np.random.default_rng(5)
    codes, groups = rng.integers(0, 3, 600), np.arange(600) // 3
    named = np.where(rng.random(600) < 0.6, codes, rng.integers(0, 3, 600))
    errors, totals = class_errors(codes, named, groups, 3), class_totals(codes, groups, 3)
    pulls = errors.sum() / totals.sum() * totals - errors
    whole = balanced_accuracy_score(codes, named)
    left_out = [whole - balanced_accuracy_score(codes[groups != g], named[groups != g]) for g in range(200)]
    np.testing.assert_allclose(pulls, left_out, atol=2e-4)
    assert np.abs(pulls).max() > 2e-3


def test_auc_is_that_of_scikit_learn_within_a_fold_and_its_pulls_sum_to_nothing():
    rng = np.random.default_rng(6)
    codes, groups = rng.integers(0, 3, 90), np.arange(90) // 3
    probabilities = rng.dirichlet(np.ones(3), 90)
    value, pulls = auc_shares(codes, probabilities, np.zeros(90, int), groups)
    assert value == pytest.approx(roc_auc_score(codes, probabilities, multi_class="ovr")) and abs(pulls.sum()) < 1e-12
    folds = np.arange(90) % 2  # a shift of one model beside the other is no difference of rows
    shifted, _ = auc_shares(codes, probabilities + 5 * folds[:, None], folds, groups)
    assert shifted == pytest.approx(auc_shares(codes, probabilities, folds, groups)[0])


def test_the_interval_of_a_share_is_clopper_pearsons_of_what_it_is_worth():
    from scipy.stats import beta

    low, high = share_interval(1.0, np.zeros(40), np.ones(1), 40.0)
    assert high == 1.0 and 0.75 < low < 0.95
    pulls = np.where(np.arange(40) < 20, 0.01, -0.01)
    low, high = share_interval(0.5, pulls, np.full(1, 0.5), 1e9)
    n = 0.25 / (1.5**2 * 40 / 39 * (pulls**2).sum()) * (1.959964 / 2.022691) ** 2
    assert low == pytest.approx(beta.ppf(0.025, n / 2, n / 2 + 1), abs=1e-4) and high == pytest.approx(1 - low)
    assert np.isnan(share_interval(0.5, np.zeros(9), np.ones(1), 9.0)[0])


def test_directions_are_of_numbers_alone(told):
    rng = np.random.default_rng(0)
    codes, names = encode_classes(["a", "b"] * 30)
    vectors = rng.standard_normal((60, 1, 3)).astype(np.float32)
    for targets in ({"x": codes}, {"x": codes, "level": vectors[:, 0, 0].astype(float)}):
        data = ProbeData(vectors, targets, groups_of(60, 1), classes={"x": names})
        directions = fit_directions(data, fit_cells(data, ProbeSettings(alphas=(1.0,), n_repeats=1)))
        assert directions.targets == tuple(name for name in targets if name == "level")
        assert type(directions).from_bytes(directions.to_bytes()).targets == directions.targets
