"""By content: users are means of the right tracks; and in worlds with a known answer, sound says what it can."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.evaluation.recommendation import NDCG, RECALL, evaluate_recommenders
from mess_core.recommend.bridge import ContrastBridge, RidgeBridge
from mess_core.recommend.columns import interactions_of, leave_one_out
from mess_core.recommend.content import UserMean, points_for
from mess_core.recommend.controls import AnyItem, Popular
from mess_core.recommend.fitting import Learning
from mess_core.recommend.knn import Ease, ItemNeighbours
from mess_core.recommend.shallow import ShallowNet
from mess_core.study.items import join, shuffled
from tests.recommend.listeners import by_company, by_ear, nobody_has_yet

BRIEFLY = Learning(rate=0.01, batch=500, most_epochs=4)
ENOUGH = Learning(rate=0.003, batch=500, most_epochs=40, patience=16, plateau=5)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


# --- the mean -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_weight", [False, True])
def test_a_user_is_the_mean_of_what_was_taken_to(by_weight):
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 9, 80).astype(str), rng.integers(0, 20, 80).astype(str)
    weights = rng.integers(1, 5, 80)
    train = interactions_of(users, items, weights=weights)
    points = rng.standard_normal((train.n_items, 5)).astype(np.float32)
    scores = UserMean(points, by_weight).fit(train).scores(np.arange(train.n_users))
    of_item = dict(zip(train.item_ids, points, strict=True))
    for number, user in enumerate(train.user_ids):
        counts: dict[str, float] = {}
        for item, weight in zip(items[users == user], weights[users == user], strict=True):
            counts[item] = counts.get(item, 0) + weight if by_weight else 1.0
        mean = sum(count * of_item[item] for item, count in counts.items()) / sum(counts.values())
        expected = [cosine(mean, point) for point in points]
        np.testing.assert_allclose(scores[number], expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_users_are_made_of_their_own_tracks_however_the_table_is_ordered(seed):
    """A published study took rows by the numbers of items out of a table that was in another order: figures of chance.

    Here ids occur in no order, the table has its own, and it holds tracks that nobody took to; all by name.
    """
    rng = np.random.default_rng(seed)
    camp = {f"track {number}": number % 2 for number in rng.permutation(60)}
    names = list(camp)
    users, items = [], []
    for user in rng.permutation(30):
        own = [name for name in names[:40] if camp[name] == user % 2]
        for item in rng.choice(own, 5, replace=False):
            users.append(f"user {user}")
            items.append(str(item))
    train = interactions_of(users, items)
    order = rng.permutation(names)
    points = np.array([[1.0 - camp[name], camp[name]] for name in order]) + 0.01 * rng.standard_normal((60, 2))
    scores = UserMean(join(train.item_ids, (list(order), points), "mel").points).fit(train).scores(np.arange(30))
    for number, user in enumerate(train.user_ids):
        own = np.array([camp[name] == int(user.split()[1]) % 2 for name in train.item_ids])
        assert scores[number][own].min() > 0.9 and scores[number][~own].max() < 0.2


@pytest.mark.parametrize("way", [UserMean, ShallowNet, RidgeBridge, ContrastBridge])
def test_to_a_user_of_whom_nothing_is_known_nothing_is_recommended(way):
    """Not what has the lowest numbers: items are numbered as they occur, which is what is popular first."""
    rows, points = by_ear(n_users=40, n_items=60)
    points[rows.item[rows.user == 7]] = 0  # nothing that this one has was heard
    rows = rows.only(rows.user != 9)
    recommender = way(points)
    if way in (ShallowNet, ContrastBridge):
        recommender = replace(recommender, learning=BRIEFLY)
    scores = recommender.fit(rows).scores(np.array([7, 8, 9]))
    assert np.isneginf(scores[2]).all() and np.isfinite(scores[1]).any()
    assert np.isneginf(scores[0]).all() == (way in (UserMean, ShallowNet))  # factors know this one by what others have


def test_points_that_are_none_are_refused():
    train = interactions_of(["a", "b"], ["x", "y"])
    with pytest.raises(InputError, match=r"Points \(3, 2\) for 2 items"):
        UserMean(np.zeros((3, 2))).fit(train)
    with pytest.raises(InputError, match="The point of 'y' holds a NaN"):
        points_for(np.array([[1.0], [np.nan]]), train)
    with pytest.raises(InputError, match="Nobody has an item that was heard"):
        ShallowNet(np.zeros((2, 3))).fit(train)
    with pytest.raises(InputError, match="2 items are had by somebody and were heard, expected 10"):
        RidgeBridge(np.ones((2, 3))).fit(train)


# --- worlds with a known answer -------------------------------------------------------------------------------


@pytest.mark.slow
def test_of_items_that_nobody_has_sound_knows_more_than_popularity():
    rows, points = by_ear()
    split = nobody_has_yet(rows)
    ways = [
        UserMean(points), ShallowNet(points, 32, learning=ENOUGH),
        ShallowNet(points, 32, "interaction", "items", learning=ENOUGH, name="shallow, items"),
        RidgeBridge(points, 32), ContrastBridge(points, 32, learning=replace(ENOUGH, batch=64)),
    ]  # fmt: skip
    study = evaluate_recommenders(split, [Popular(), *ways], n_bootstraps=500)
    for way in ways:
        assert study.gain(way.name, "popular").is_shown, way.name
        assert study.result(way.name).figure(RECALL).value > 3 * study.result(way.name).figure(RECALL).chance, way.name


@pytest.mark.slow
def test_where_sound_says_nothing_others_say_it():
    rows, points = by_company()
    split = leave_one_out(rows)
    ways = [ItemNeighbours(k=20), Ease(10.0), RidgeBridge(points, 6)]
    study = evaluate_recommenders(split, [AnyItem(), UserMean(points), *ways], n_bootstraps=500)
    for way in ways:
        assert study.gain(way.name, "usermean").is_shown, way.name
    figure = study.result("usermean").figure(NDCG)
    assert figure.low <= figure.chance <= figure.high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "n"), [(UserMean, 24), (RidgeBridge, 12), (ContrastBridge, 8), (ShallowNet, 6)], ids=str
)
def test_points_that_were_exchanged_come_to_chance(way, n):
    """Over tables and exchanges the mean lies within what chance makes of it: three standard errors."""
    found = []
    for seed in range(n):
        rows, points = by_ear(seed, n_users=120, n_items=200)
        split = nobody_has_yet(rows)
        control = shuffled(join(rows.item_ids, (rows.item_ids, points), "planted"), 1000 + seed)
        recommender = way(control.points)
        if way in (ShallowNet, ContrastBridge):
            recommender = replace(recommender, width=32, learning=replace(BRIEFLY, batch=100))
        figure = evaluate_recommenders(split, [recommender], n_bootstraps=0).results[0].figure(RECALL)
        found.append(figure.value - figure.chance)
    assert abs(np.mean(found)) < 3 * np.std(found, ddof=1) / np.sqrt(n) and np.std(found) < 0.05
