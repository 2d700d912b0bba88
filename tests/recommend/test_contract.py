"""What every recommender keeps to, whatever it learned: a new one is a line of `EVERY`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from mess_core.recommend.base import NOBODY, Recommender, recommend_items
from mess_core.recommend.bert4rec import Bert4Rec
from mess_core.recommend.bridge import ContrastBridge, RidgeBridge
from mess_core.recommend.columns import Interactions, of_numbers
from mess_core.recommend.content import UserMean
from mess_core.recommend.controls import AlikeToLast, AnyItem, NextItem, Popular
from mess_core.recommend.factors import ImplicitFactors
from mess_core.recommend.fitting import Learning
from mess_core.recommend.knn import Ease, ItemNeighbours
from mess_core.recommend.sasrec import SasRec
from mess_core.recommend.shallow import ShallowNet
from mess_core.recommend.transformer import Transformer
from tests.recommend.listeners import ids

N_USERS, N_ITEMS = 40, 30
SILENT = 4  # an item without audio
POINTS = np.random.default_rng(1).standard_normal((N_ITEMS, 6)).astype(np.float32)
POINTS[SILENT] = 0
BRIEFLY = Learning(rate=0.01, batch=64, most_epochs=3)
SMALL = Transformer(width=8, n_layers=1, n_heads=2, inner=16, most=10)


class Kept(NamedTuple):
    """make : the recommender, of points; goes_by_number : draws, or tells equals apart, by the numbers of items"""

    make: Callable[[np.ndarray], Recommender]
    goes_by_number: bool = False
    needs_audio: bool = False


EVERY = {
    "random": Kept(lambda points: AnyItem(), goes_by_number=True),
    "popular": Kept(lambda points: Popular()),
    "next": Kept(lambda points: NextItem()),
    "alike": Kept(AlikeToLast, needs_audio=True),
    "itemknn": Kept(lambda points: ItemNeighbours(k=N_ITEMS)),
    "ease": Kept(lambda points: Ease(10.0)),
    "als": Kept(lambda points: ImplicitFactors(n_factors=8), goes_by_number=True),
    "usermean": Kept(UserMean, needs_audio=True),
    "usermean by weight": Kept(lambda points: UserMean(points, by_weight=True), needs_audio=True),
    "shallow": Kept(lambda points: ShallowNet(points, 8, learning=BRIEFLY), goes_by_number=True, needs_audio=True),
    "shallow, items, interaction": Kept(
        lambda points: ShallowNet(points, 8, "interaction", "items", has_confidence=True, learning=BRIEFLY),
        goes_by_number=True, needs_audio=True,
    ),
    "bridge-ridge": Kept(lambda points: RidgeBridge(points, 8), goes_by_number=True),
    "bridge-ridge, predicted": Kept(lambda points: RidgeBridge(points, 8, hot="predicted"), goes_by_number=True),
    "sasrec, ids": Kept(lambda points: SasRec(None, SMALL, BRIEFLY), goes_by_number=True),
    "sasrec": Kept(lambda points: SasRec(points, SMALL, BRIEFLY), goes_by_number=True, needs_audio=True),
    "bert4rec, ids": Kept(lambda points: Bert4Rec(None, SMALL, BRIEFLY), goes_by_number=True),
    "bert4rec": Kept(lambda points: Bert4Rec(points, SMALL, BRIEFLY), goes_by_number=True, needs_audio=True),
    "bridge-contrast": Kept(lambda points: ContrastBridge(points, 8, 16, learning=BRIEFLY), goes_by_number=True),
}  # fmt: skip


@pytest.fixture(params=EVERY)
def kept(request) -> Kept:
    if request.param == "als" and importlib.util.find_spec("implicit") is None:
        pytest.skip("the package implicit is not installed")
    return EVERY[request.param]


@pytest.fixture(params=[name for name, each in EVERY.items() if not each.goes_by_number])
def steady(request) -> Kept:
    """Those that know an item by what is known of it alone."""
    return EVERY[request.param]


def rows(seed: int = 0) -> tuple[np.ndarray, ...]:
    """User, item, time and weight of each row; the last user has none, and nobody has the last item."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, N_USERS - 1, 400)
    item = (rng.integers(0, 2, 400) * 15 + user % 2 * 7 + rng.integers(0, 9, 400)).clip(max=N_ITEMS - 2)
    return user, item, rng.permutation(400).astype(float), rng.integers(1, 5, 400).astype(float)


def world(order: np.ndarray | None = None, names: Callable[[str, int], tuple[str, ...]] = ids) -> Interactions:
    columns = [column if order is None else column[order] for column in rows()]
    return of_numbers(names("u", N_USERS), names("i", N_ITEMS), columns[0], columns[1], columns[2], columns[3])


EVERYBODY = np.arange(N_USERS)


def test_scores_are_numbers_or_nothing_for_each_item(kept):
    train = world()
    scores = kept.make(POINTS).fit(train).scores(np.array([5, N_USERS - 1, 0]))
    assert scores.shape == (3, N_ITEMS) and not np.isnan(scores).any() and not (scores == np.inf).any()
    assert np.isneginf(scores[:, SILENT]).all() == kept.needs_audio


def test_a_list_is_that_of_a_stable_sort_without_what_a_user_has(kept):
    train = world()
    fitted = kept.make(POINTS).fit(train)
    scores, lists = fitted.scores(EVERYBODY), recommend_items(fitted, train, EVERYBODY, 7)
    for user in EVERYBODY:
        left = [i for i in range(N_ITEMS) if not train.has[user, i] and scores[user, i] > -np.inf]
        expected = sorted(left, key=lambda i: (-scores[user, i], i))[:7]
        assert lists[user].tolist() == expected + [NOBODY] * (7 - len(expected))


def test_two_items_that_are_the_same_come_in_order_of_their_numbers(steady):
    """Had by as many users at the same place in line, and of one sound."""
    points = POINTS.copy()
    points[[8, 21]] = POINTS[8]
    user = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    item = np.array([3, 8, 3, 21, 3, 5, 3, 6])  # 8 and 21 each follow 3 once
    train = of_numbers(ids("u", 4), ids("i", N_ITEMS), user, item, np.arange(8.0))
    scores = steady.make(points).fit(train).scores(np.array([2, 3]))
    np.testing.assert_allclose(scores[:, 8], scores[:, 21], rtol=1e-6, atol=1e-7)


def test_more_than_there_are_is_all_there_are(kept):
    """All that it knows and a user does not have; of a user without a past it may know nothing, of others it does."""
    train = world()
    fitted = kept.make(POINTS).fit(train)
    lists = recommend_items(fitted, train, EVERYBODY, N_ITEMS + 5)
    for user, scores in zip(EVERYBODY, fitted.scores(EVERYBODY), strict=True):
        left = set(np.flatnonzero(scores > -np.inf)) - set(train.has[user].indices)
        found = lists[user][lists[user] != NOBODY]
        assert len(found) == len(left) and set(found) == left
        assert len(left) > N_ITEMS // 3 or not train.has[user].nnz


def test_who_has_nothing_yet_is_no_error(kept):
    train = world()
    fitted = kept.make(POINTS).fit(train)
    last = np.array([N_USERS - 1])
    assert not train.has[last].nnz and recommend_items(fitted, train, last, 5).shape == (1, 5)
    assert fitted.scores(np.empty(0, np.int64)).shape == (0, N_ITEMS)


def test_the_order_of_rows_does_not_matter(kept):
    expected = kept.make(POINTS).fit(world()).scores(EVERYBODY)
    order = np.random.default_rng(9).permutation(400)
    np.testing.assert_array_equal(kept.make(POINTS).fit(world(order)).scores(EVERYBODY), expected)


def test_what_ids_are_does_not_matter(kept):
    expected = kept.make(POINTS).fit(world()).scores(EVERYBODY)

    def numbers(letter: str, n: int) -> tuple[str, ...]:
        return tuple(str(7 * place + 1000 * (letter == "u")) for place in range(n))

    np.testing.assert_array_equal(kept.make(POINTS).fit(world(names=numbers)).scores(EVERYBODY), expected)


def test_the_numbers_of_users_and_items_do_not_matter(steady):
    """Items and users in another order, points with them: the same scores, in that order."""
    rng = np.random.default_rng(3)
    of_user, of_item = rng.permutation(N_USERS), rng.permutation(N_ITEMS)
    user, item, at_s, weight = rows()
    moved = of_numbers(ids("u", N_USERS), ids("i", N_ITEMS), of_user[user], of_item[item], at_s, weight)
    points = np.empty_like(POINTS)
    points[of_item] = POINTS
    found = steady.make(points).fit(moved).scores(of_user[EVERYBODY])
    np.testing.assert_allclose(found[:, of_item], steady.make(POINTS).fit(world()).scores(EVERYBODY), atol=1e-5)


def test_it_is_the_same_again_and_for_one_alone_and_nothing_is_changed(kept):
    train, points = world(), POINTS.copy()
    points.setflags(write=False)
    recommender = kept.make(points)
    fitted = recommender.fit(train)
    first = fitted.scores(EVERYBODY)
    np.testing.assert_array_equal(fitted.scores(EVERYBODY), first)
    np.testing.assert_array_equal(recommender.fit(world()).scores(EVERYBODY), first)
    np.testing.assert_allclose(fitted.scores(EVERYBODY[7:8])[0], first[7], rtol=1e-5, atol=1e-6)
    first[:] = 5.0  # whoever gets scores may write into them
    np.testing.assert_array_equal(fitted.scores(EVERYBODY), recommender.fit(world()).scores(EVERYBODY))
    for one, other in ((train.user, world().user), (train.weight, world().weight), (points, POINTS)):
        np.testing.assert_array_equal(one, other)
