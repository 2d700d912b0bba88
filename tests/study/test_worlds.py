"""A planted world is what it says: sound tells what is new, others tell the rest, and exchanged sound tells nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.evaluation.recommendation import NDCG, evaluate_recommenders
from mess_core.recommend.content import UserMean
from mess_core.recommend.controls import Popular
from mess_core.recommend.knn import ItemNeighbours
from mess_core.recommend.splits import hot_and_cold
from mess_core.study.items import ItemPoints, shuffled
from mess_core.study.worlds import World, plant, split_planted

N = 120


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, 16))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_known_beforehand_comes_out(points, seed):
    rows = plant([f"t{row}" for row in range(N)], points, World(seed=seed))
    exchanged = shuffled(ItemPoints(points.astype(np.float32), "any"), seed).points
    ways = [Popular(), ItemNeighbours(), UserMean(points, name="sound"), UserMean(exchanged, name="exchanged")]
    hot, cold = (evaluate_recommenders(part, ways, 10) for part in hot_and_cold(split_planted(rows)))
    assert cold.gain("sound", "popular").low > 0.1 and cold.gain("sound", "exchanged").low > 0.1
    assert hot.gain("itemknn", "sound").low > 0.1 and hot.gain("itemknn", "popular").low > 0.1
    for study in (hot, cold):
        chance = study.result("exchanged").figure(NDCG)
        assert chance.value < 1.25 * chance.chance, "exchanged, sound is worth nothing"


def test_what_is_new_is_nobodys_before_it_is_out(points):
    rows = plant([f"t{row}" for row in range(N)], points)
    split = split_planted(rows)
    hot, cold = hot_and_cold(split)
    assert not set(split.train.item) & set(cold.test.item) and len(set(cold.test.item)) <= round(0.2 * N)
    assert len(cold.tested) == len(hot.tested) == rows.n_users


def test_the_same_seed_is_the_same_world(points):
    ids = [f"t{row}" for row in range(N)]
    one, again, other = (plant(ids, points, World(seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.item, again.item)
    assert not np.array_equal(one.item, other.item)


@pytest.mark.parametrize(("n", "world"), [(39, World()), (N, replace(World(), n_users=9))])
def test_too_little_to_plant_in_is_refused(points, n, world):
    with pytest.raises(InputError, match="at least"):
        plant([f"t{row}" for row in range(n)], points[:n], world)
