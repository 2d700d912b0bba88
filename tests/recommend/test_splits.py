"""Splits by user and by item: nobody is on both sides, and cold is what nobody has."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.evaluation.recommendation import COVERAGE, HIT_RATE, evaluate_recommenders
from mess_core.recommend.base import NOBODY, recommend_items
from mess_core.recommend.columns import interactions_of, of_numbers, split_at
from mess_core.recommend.controls import AnyItem, Popular
from mess_core.recommend.splits import hot_and_cold, split_rows, split_users


def a_cut(seed: int = 0, n: int = 900):
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 30, n), rng.integers(0, 60, n)
    at_s = np.where(item >= 50, 600.0, 0.0) + rng.permutation(n) / 2  # the last ten items come late
    return split_at(of_numbers([f"u{u}" for u in range(30)], [f"i{i}" for i in range(60)], user, item, at_s), 420.0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_validation_and_test_share_no_user_and_lose_none(seed, share):
    split = a_cut(seed)
    one, other = split_users(split, share, seed)
    assert not set(one.test.user) & set(other.test.user)
    assert len(one.test) + len(other.test) == len(split.test)
    assert one.train is other.train is split.train
    n_users = len(np.unique(split.test.user))
    assert len(np.unique(other.test.user)) == np.ceil((1 - share) * n_users)
    assert np.array_equal(one.test.user, split_users(split, share, seed)[0].test.user)


def test_users_are_those_of_the_reference():
    """The same as `train_test_split(users, test_size=0.7, random_state=42)`, by which the study divided them."""
    from sklearn.model_selection import train_test_split

    split = a_cut()
    expected, _ = train_test_split(np.unique(split.test.user), test_size=0.7, random_state=42)
    assert set(split_users(split, 0.3)[0].test.user) == set(expected)


@pytest.mark.parametrize("seed", range(5))
def test_cold_items_are_exactly_those_without_a_training_row(seed):
    split = a_cut(seed)
    hot, cold = hot_and_cold(split)
    trained = set(split.train.item)
    assert set(np.flatnonzero(cold.among)) == set(range(60)) - trained and set(np.flatnonzero(hot.among)) == trained
    assert set(hot.test.item) <= trained and not set(cold.test.item) & trained
    assert len(hot.test) + len(cold.test) == len(split.test) and len(cold.test)


def test_what_is_not_ranked_is_not_recommended_and_chance_knows():
    """Of ten cold items any ten are all: who recommends them at random is right, and coverage is whole."""
    _, cold = hot_and_cold(a_cut())
    lists = recommend_items(AnyItem().fit(cold.train), cold.train, cold.tested, 12, cold.among)
    assert (lists[:, :10] >= 50).all() and (lists[:, 10:] == NOBODY).all()
    study = evaluate_recommenders(cold, [Popular(), AnyItem()], 10)
    figure = study.result("random").figure(HIT_RATE)
    assert figure.value == figure.chance == 1.0 and study.result("random").figure(COVERAGE).value == 1.0
    with pytest.raises(InputError, match="k is 11, expected 1 to 10"):
        evaluate_recommenders(cold, [Popular()], 11)


def test_an_empty_half_tests_nobody():
    hot, cold = hot_and_cold(split_at(interactions_of(list("aab"), list("xyx"), [1, 2, 9]), 5))
    assert not len(cold.test) and not len(cold.tested) and len(hot.test) == 1
    with pytest.raises(InputError, match="0 of the users are tested, expected two"):
        split_users(cold)
    with pytest.raises(InputError, match="share of 1 of the users"):
        split_users(hot, 1.0)


def test_a_share_of_all_rows():
    whole = a_cut().train
    split = split_rows(whole, 0.2, seed=3)
    assert len(split.test) == int(0.2 * len(whole)) and len(split.train) + len(split.test) == len(whole)
    assert sorted([*split.train.at_s, *split.test.at_s]) == sorted(whole.at_s)
    with pytest.raises(InputError, match="share of 0 "):
        split_rows(whole, 0.0)
