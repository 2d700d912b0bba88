"""Bridges: factors, the ridge and the contrast by other ways to the same numbers, and which items keep their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mess_core.recommend.bridge import ContrastBridge, RidgeBridge, decoupled, factors_by_svd, predict_by_ridge
from mess_core.recommend.columns import interactions_of
from mess_core.recommend.fitting import Learning
from tests.recommend.listeners import by_ear

BRIEFLY = Learning(rate=0.01, batch=500, most_epochs=4)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_factors_are_the_largest_parts_of_who_has_what():
    rows, _ = by_ear(n_users=60, n_items=80)
    found = factors_by_svd(rows, 8)
    left, sizes, right = np.linalg.svd(rows.has.toarray(), full_matrices=False)
    np.testing.assert_allclose(found.users @ found.items.T, left[:, :8] * sizes[:8] @ right[:8], atol=1e-3)
    few = factors_by_svd(interactions_of(["a", "a", "b"], ["x", "y", "y"]), 64)
    np.testing.assert_allclose(few.users @ few.items.T, [[1, 1], [0, 1]], atol=1e-9)


@pytest.mark.parametrize(("n", "dim"), [(60, 90), (200, 12)])
def test_ridge_is_that_of_scikit_learn_with_an_alpha_for_each_factor(n, dim):
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from mess_core.probing.result import ALPHAS

    rng = np.random.default_rng(0)
    features, wanted = rng.standard_normal((n, dim)), rng.standard_normal((30, dim))
    targets = features[:, :4] @ rng.standard_normal((4, 3)) + rng.standard_normal((n, 3)) * [0.1, 2.0, 20.0]
    found = predict_by_ridge(features, targets, wanted)
    folds = np.random.default_rng(0).permutation(n) % 5

    def ridge(alpha, rows, column):
        return make_pipeline(StandardScaler(), Ridge(alpha)).fit(features[rows], targets[rows, column])

    for column in range(3):
        errors = [
            np.mean([((ridge(a, folds != f, column).predict(features[folds == f]) - targets[folds == f, column]) ** 2)
                     .mean() for f in range(5)])
            for a in ALPHAS
        ]  # fmt: skip
        chosen = ridge(ALPHAS[int(np.argmin(errors))], slice(None), column)
        np.testing.assert_allclose(found[:, column], chosen.predict(wanted), atol=1e-6)


def test_the_contrast_is_that_of_the_formula():
    rng = np.random.default_rng(0)
    sound, factors = rng.standard_normal((2, 7, 5))
    expected = np.mean(
        [
            -cosine(sound[i], factors[i]) / 0.1
            + np.log(sum(np.exp(cosine(sound[i], factors[j]) / 0.1) for j in range(7) if j != i))
            for i in range(7)
        ]
    )
    given = torch.from_numpy(sound), torch.from_numpy(factors)
    assert float(decoupled(*given, 0.1)) == pytest.approx(expected)
    assert float(decoupled(*(each[:1] for each in given), 0.1)) == 0.0


@pytest.mark.parametrize("way", [RidgeBridge, ContrastBridge])
def test_items_that_are_had_keep_their_own_factors_unless_asked(way):
    rows, points = by_ear(n_users=60, n_items=80)
    rows = rows.only(rows.item < 60)
    points[[5, 70]] = 0  # one that is had, one that is not: neither was heard
    learning = {} if way is RidgeBridge else {"learning": BRIEFLY}
    own, predicted = (way(points, 8, hot=hot, **learning).fit(rows) for hot in ("own", "predicted"))
    factors = factors_by_svd(rows, 8).items
    expected = factors if way is RidgeBridge else factors / np.linalg.norm(factors, axis=1, keepdims=True).clip(1e-9)
    np.testing.assert_allclose(own.items[:60], expected[:60], atol=1e-5)
    np.testing.assert_array_equal(own.items[60:], predicted.items[60:])
    assert not np.allclose(own.items[:5], predicted.items[:5], atol=1e-3)
    np.testing.assert_array_equal(own.items[5], predicted.items[5])
    for fitted in (own, predicted):
        assert np.isneginf(fitted.scores(np.array([0]))[0]).nonzero()[0].tolist() == [70]
