"""Recommenders: laws of all of them, planted answers, and other ways to the same numbers."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from mess_core.errors import DependencyMissingError, InputError
from mess_core.installation import how_to_add
from mess_core.recommend.base import NOBODY, recommend_items
from mess_core.recommend.columns import Interactions, interactions_of, leave_one_out, read_sequences
from mess_core.recommend.controls import AlikeToLast, AnyItem, NextItem, Popular
from mess_core.recommend.factors import ImplicitFactors
from mess_core.recommend.knn import MOST_ITEMS_DENSE, Ease, ItemNeighbours

N_ITEMS = 24
HAS_IMPLICIT = importlib.util.find_spec("implicit") is not None
needs_implicit = pytest.mark.skipif(
    not HAS_IMPLICIT, reason=f"the package implicit is not installed: {how_to_add('recommenders')}"
)


def two_camps(seed: int = 0, n_users: int = 60) -> Interactions:
    """Half of the users draw from the first half of the items, the others from the second."""
    rng = np.random.default_rng(seed)
    users, items = [], []
    for user in range(n_users):
        camp = user % 2 * N_ITEMS // 2
        for item in camp + rng.choice(N_ITEMS // 2, 6, replace=False):
            users.append(f"u{user}")
            items.append(f"i{item:02}")
    return interactions_of(users, items)


def camps(train: Interactions) -> np.ndarray:
    return np.array([int(item[1:]) // (N_ITEMS // 2) for item in train.item_ids])


ALL = [
    AnyItem(), Popular(), NextItem(), AlikeToLast(np.random.default_rng(1).standard_normal((N_ITEMS, 4))),
    ItemNeighbours(), Ease(), pytest.param(ImplicitFactors(n_factors=8), marks=needs_implicit),
]  # fmt: skip
COLLABORATIVE = [ItemNeighbours(k=8), Ease(10.0), pytest.param(ImplicitFactors(n_factors=2), marks=needs_implicit)]


@pytest.mark.parametrize("recommender", ALL, ids=lambda each: each.name)
def test_laws_of_every_recommender(recommender):
    """One number for each item; the same again; for a user alone as among others; nothing is changed."""
    train = two_camps()
    before = [column.copy() for column in (train.user, train.item, train.weight, train.has.toarray())]
    users = np.array([3, 0, 41])
    scores = recommender.fit(train).scores(users)
    assert scores.shape == (3, N_ITEMS) and np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, recommender.fit(train).scores(users))
    np.testing.assert_allclose(scores[2], recommender.fit(train).scores(users[2:])[0], rtol=1e-12)
    for column, now in zip(before, (train.user, train.item, train.weight, train.has.toarray()), strict=True):
        np.testing.assert_array_equal(column, now)
    lists = recommend_items(recommender.fit(train), train, users, 10)
    for user, items in zip(users, lists, strict=True):
        assert len(set(items)) == 10 and not train.has[user].toarray()[0, items].any()


@pytest.mark.parametrize("recommender", COLLABORATIVE, ids=lambda each: each.name)
@pytest.mark.parametrize("seed", range(3))
def test_what_users_alike_have_is_found(recommender, seed):
    """Of two camps that share nothing, each user's four best of the six left are all of their own."""
    train = two_camps(seed, n_users=200)
    users = np.arange(train.n_users)
    lists = recommend_items(recommender.fit(train), train, users, 4)
    own = np.array([int(name[1:]) % 2 for name in train.user_ids])
    assert (camps(train)[lists] == own[:, None]).all()


# --- the k best -----------------------------------------------------------------------------------------------


class Given:
    def __init__(self, scores):
        self.given = np.asarray(scores, float)

    def scores(self, users):
        return self.given[users]


@pytest.mark.parametrize("k", [1, 3, 7, 12, 20])
def test_the_best_are_those_of_a_stable_sort(k):
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 4, (30, 12)).astype(float)  # full of ties
    items = [f"i{i}" for i in range(12)]
    train = interactions_of([f"u{u}" for u in range(30) for _ in items], items * 30).only(rng.random(360) < 0.3)
    lists = recommend_items(Given(scores), train, np.arange(30), k)
    for user in range(30):
        left = [item for item in range(12) if not train.has[user, item]]
        expected = sorted(left, key=lambda item: (-scores[user, item], item))[:k]
        assert lists[user].tolist() == expected + [NOBODY] * (k - len(expected))


def test_what_is_not_known_is_not_recommended_and_scores_are_left_alone():
    train = interactions_of(["a", "b", "b"], ["x", "y", "z"])
    given = Given([[5.0, -np.inf, 1.0], [1.0, 2.0, 3.0]])
    assert recommend_items(given, train, np.array([0]), 2).tolist() == [[2, NOBODY]]
    assert given.given[0].tolist() == [5.0, -np.inf, 1.0]
    with pytest.raises(InputError, match="no number"):
        recommend_items(Given([[np.nan, 1, 1]]), train, np.array([0]), 2)
    with pytest.raises(InputError, match="0 items"):
        recommend_items(given, train, np.array([0]), 0)


# --- controls -------------------------------------------------------------------------------------------------


def test_popular_counts_users_not_plays():
    train = interactions_of(["a", "a", "a", "b", "c"], ["x", "x", "x", "y", "y"])
    assert Popular().fit(train).scores(np.array([0])).tolist() == [[1.0, 2.0]]


def test_what_followed_comes_next_and_never_across_users():
    train = interactions_of(["a", "a", "b", "b", "c"], ["x", "y", "x", "y", "x"])
    scores = NextItem().fit(train).scores(np.array([2]))[0]
    assert scores.tolist() == [3 / 4, 2 + 2 / 4]  # how often it followed, and for equals how many of three have it
    assert NextItem().fit(train).times[1, 0] == 0  # b begins with x after a ended with y


def test_alike_to_the_last_goes_by_its_point_alone():
    points = np.array([[1, 0], [0, 1], [0.9, 0.1], [0, 0]])
    train = interactions_of(["a", "a", "b", "b"], ["w", "x", "y", "z"])
    fitted = AlikeToLast(points).fit(train)
    assert fitted.scores(np.array([0]))[0].argsort().tolist()[-2:] == [2, 1]
    assert fitted.scores(np.array([1]))[0, 2] == 1.0, "z has no point: y was the last that has one"
    assert fitted.scores(np.array([1]))[0, 3] == -np.inf
    with pytest.raises(InputError, match="2 points for 4 items"):
        AlikeToLast(points[:2]).fit(train)


def test_random_is_another_for_another_user_and_seed():
    train = two_camps()
    scores = AnyItem(0).fit(train).scores(np.array([0, 1]))
    assert not np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], AnyItem(1).fit(train).scores(np.array([0]))[0])


# --- neighbours and EASE --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 5, 50])
@pytest.mark.parametrize("shrinkage", [0.0, 4.0])
@pytest.mark.parametrize("fewest", [1, 3])
def test_neighbours_are_those_of_the_formula(monkeypatch, k, shrinkage, fewest):
    """Dense, item by item, in blocks that do not divide the items."""
    monkeypatch.setattr("mess_core.recommend.knn.ITEMS_AT_ONCE", 7)
    has = (np.random.default_rng(0).random((40, 25)) < 0.2).astype(float)
    has[:, 9] = 0  # nobody has it
    user, item = has.nonzero()
    names = [f"i{i}" for i in range(25)]
    train = interactions_of([f"u{u}" for u in user], [names[i] for i in item])
    column = [train.item_ids.index(name) if name in train.item_ids else None for name in names]
    found = ItemNeighbours(k, shrinkage, fewest).likeness(train.has).toarray()
    together = train.has.toarray().T @ train.has.toarray()
    lengths = np.sqrt(np.diag(together))
    expected = np.zeros_like(together)
    for j in range(len(together)):
        of_j = {
            i: together[i, j] / (lengths[i] * lengths[j] + shrinkage)
            for i in range(len(together))
            if i != j and together[i, j] >= fewest
        }
        for i in sorted(of_j, key=lambda i: (-of_j[i], i))[:k]:
            expected[i, j] = of_j[i]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert column[9] is None


def test_all_neighbours_are_the_cosines_of_scikit_learn():
    from sklearn.metrics.pairwise import cosine_similarity

    train = two_camps()
    expected = cosine_similarity(train.has.T.toarray())
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(ItemNeighbours(k=N_ITEMS).likeness(train.has).toarray(), expected, atol=1e-12)


@pytest.mark.parametrize("penalty", [1.0, 100.0])
def test_ease_is_a_ridge_regression_of_each_item_on_the_others(penalty):
    from sklearn.linear_model import Ridge

    has = two_camps().has
    found, dense = Ease(penalty).likeness(has), has.toarray()
    for item in range(0, N_ITEMS, 5):
        others = np.arange(N_ITEMS) != item
        ridge = Ridge(penalty, fit_intercept=False, tol=1e-12).fit(dense[:, others], dense[:, item])
        np.testing.assert_allclose(found[others, item], ridge.coef_, atol=1e-9)
        assert found[item, item] == 0


def test_what_takes_too_much_memory_is_refused_before_it_is_made():
    n = MOST_ITEMS_DENSE + 1
    with pytest.raises(InputError, match="takes 10,000 items at most; here are 10,001"):
        Ease().fit(interactions_of(["a"] * n, [str(i) for i in range(n)]))


@pytest.mark.parametrize("settings", [ItemNeighbours(k=0), ItemNeighbours(shrinkage=-1.0), Ease(0.0), Ease(np.nan)])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InputError):
        settings.fit(two_camps())


# --- factors --------------------------------------------------------------------------------------------------


@needs_implicit
def test_factors_are_at_the_least_of_what_they_minimise():
    """With the items held still, each user's point is the one of the formula."""
    train = two_camps()
    way = ImplicitFactors(n_factors=4, penalty=0.5, confidence=3.0, n_iterations=200)
    found = way.fit(train)
    weights = 1 + 3.0 * train.matrix.toarray()
    confident = np.where(train.has.toarray() > 0, weights, 1.0)
    for user in (0, 7):
        left = (found.items.T * confident[user]) @ found.items + 0.5 * np.eye(4)
        expected = np.linalg.solve(left, found.items.T @ (confident[user] * train.has.toarray()[user]))
        np.testing.assert_allclose(found.users[user], expected, atol=2e-3)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyMissingError, match=r"pip install -r requirements-extra\.txt"):
        ImplicitFactors().fit(two_camps())


# --- known answers --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recommender", "hit_rate", "gain"),
    [(Popular(), 0.0440, 0.0201), (ItemNeighbours(k=50), 0.0936, 0.0472), (Ease(100.0), 0.0945, 0.0536)],
    ids=lambda each: getattr(each, "name", ""),
)
def test_figures_on_lastfm(shared_rec, recommender, hit_rate, gain):
    """As others counted them on this file; of neighbours the nDCG, too, if ties fall another way (.0475)."""
    split = leave_one_out(read_sequences(shared_rec("s3rec-LastFM.txt")))
    assert (len(split.tested), split.train.n_items) == (1090, 3646)
    lists = recommend_items(recommender.fit(split.train), split.train, split.tested, 10)
    hits = lists == split.test.last[split.tested][:, None]
    assert round(hits.any(axis=1).mean(), 4) == hit_rate
    assert round((hits / np.log2(np.arange(2, 12))).sum(axis=1).mean(), 4) == gain
