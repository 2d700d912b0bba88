"""A gain over exchanged items is called one as seldom as is said where sound means nothing, and found where it does."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.evaluation.recommendation import NDCG
from mess_core.recommend.content import UserMean
from mess_core.recommend.splits import hot_and_cold
from mess_core.study.items import ItemPoints, shuffled
from mess_core.study.table import Luck, gain_over_exchanged
from mess_core.study.worlds import World, plant, split_planted


def gained(rng, n_users: int, m: int, n_encoders: int, of_users: float, of_luck: float, truth: float = 0.0):
    """A row and its m controls, simulated: each exchange moves all users, each user differs by themselves."""
    users = rng.normal(0, of_users, n_users)
    arrangements = rng.normal(0, of_luck, m + 1)
    row = truth + arrangements[0] + users
    control = arrangements[1:].mean() + rng.normal(0, of_users / 3, n_users)
    others = rng.normal(0, of_luck, (n_encoders, m))
    luck = Luck(float(others.var(axis=1, ddof=1).mean()), n_encoders * (m - 1))
    return gain_over_exchanged(row - control, m, luck)


@pytest.mark.slow
@pytest.mark.parametrize("of_luck", [0.0, 0.01, 0.05])
@pytest.mark.parametrize(("n_users", "m", "n_encoders"), [(60, 5, 1), (200, 3, 2), (1000, 5, 8)])
def test_the_interval_of_a_gain_covers(n_users, m, n_encoders, of_luck):
    rng = np.random.default_rng(0)
    truth, n = 0.04, 2000
    covered = [
        each.low <= truth <= each.high
        for each in (gained(rng, n_users, m, n_encoders, 0.3, of_luck, truth) for _ in range(n))
    ]
    assert 0.93 <= np.mean(covered) <= 0.995


def test_with_users_alone_a_lucky_order_would_be_a_gain():
    """What the interval over users alone comes to where exchanges differ by more than users do."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        arrangement, control = rng.normal(0, 0.05, 2)
        difference = arrangement - control + rng.normal(0, 0.3, 1000)
        error = difference.std(ddof=1) / np.sqrt(1000)
        found.append(abs(difference.mean()) > 1.96 * error)
    assert np.mean(found) > 0.5, "the copy of the mistake"
    ours = [gained(rng, 1000, 5, 3, 0.3, 0.05) for _ in range(400)]
    assert np.mean([each.low > 0 or each.high < 0 for each in ours]) < 0.08


@pytest.mark.slow
def test_sound_that_means_nothing_is_seldom_said_to_help():
    """On what is not new the planted listeners go by lists drawn by chance, and there points of any kind are noise."""
    shown, n = 0, 60
    for seed in range(n):
        rng = np.random.default_rng(seed)
        rows = plant([f"t{row}" for row in range(80)], rng.standard_normal((80, 8)), World(n_users=60, seed=seed))
        hot, _ = hot_and_cold(split_planted(rows))
        noise = ItemPoints(rng.standard_normal((80, 8)).astype(np.float32), "noise")
        of_each = [of_users(hot, items.points) for items in (noise, *(shuffled(noise, each) for each in range(5)))]
        means = np.array([each.mean() for each in of_each[1:]])
        luck = Luck(float(means.var(ddof=1)), 4)
        shown += gain_over_exchanged(of_each[0] - np.mean(of_each[1:], axis=0), 5, luck).low > 0
    assert shown <= 0.1 * n


def of_users(split, points) -> np.ndarray:
    from mess_core.evaluation.recommendation import measure_lists
    from mess_core.recommend.base import recommend_items

    lists = recommend_items(UserMean(points).fit(split.train), split.train, split.tested, 10, split.among)
    return measure_lists(lists, split, n_bootstraps=0)[1][NDCG]


def test_a_gain_of_nothing_over_nothing():
    nothing = gain_over_exchanged(np.zeros(10), 5, Luck(0.0, 4))
    assert (nothing.value, nothing.low, nothing.high, nothing.is_shown) == (0.0, 0.0, 0.0, False)
