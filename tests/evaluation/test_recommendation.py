"""Figures of recommenders: worked by hand, by another library, by chance, and in sum over users."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pyarrow.parquet as pq
import pytest

from mess_core.errors import InputError
from mess_core.evaluation.exposure import diversity, gini, popularity_lift
from mess_core.evaluation.recommendation import (
    ACCURACY,
    COVERAGE,
    DIVERSITY,
    HIT_RATE,
    MRR,
    NDCG,
    NO_AUDIO,
    PRECISION,
    RECALL,
    accuracy,
    by_chance,
    evaluate_recommenders,
    evaluate_sequences,
    mean_of_users,
    measure_lists,
    novelty,
)
from mess_core.recommend.base import NOBODY
from mess_core.recommend.columns import interactions_of, leave_one_out, split_at, split_each_user
from mess_core.recommend.controls import AnyItem, Popular
from mess_core.recommend.knn import ItemNeighbours
from tests.conftest import SHARED


def a_world(n_users: int = 80, n_items: int = 30, seed: int = 0):
    rng = np.random.default_rng(seed)
    users, items = [], []
    for user in range(n_users):
        camp = user % 2 * n_items // 2
        for item in camp + rng.choice(n_items // 2, 8, replace=False):
            users.append(f"u{user}")
            items.append(f"i{item:02}")
    return interactions_of(users, items)


def test_figures_worked_by_hand():
    """Hits at places 2 and 4 of four, of three relevant; none; the one there is, first."""
    hits = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)
    found = accuracy(hits, np.array([3, 2, 1]))
    of_two = (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3) + 1 / math.log2(4))
    for metric, expected in {
        HIT_RATE: [1, 0, 1], RECALL: [2 / 3, 0, 1], PRECISION: [1 / 2, 0, 1 / 4], MRR: [1 / 2, 0, 1],
        NDCG: [of_two, 0, 1],
    }.items():  # fmt: skip
        np.testing.assert_allclose(found[metric], expected, err_msg=metric)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_gain_is_that_of_scikit_learn(k):
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(k)
    relevant = rng.random((40, 25)) < 0.15
    relevant[np.arange(40), rng.integers(0, 25, 40)] = True
    scores = rng.permuted(np.tile(np.arange(25.0), (40, 1)), axis=1)
    order = np.argsort(-scores, axis=1)[:, :k]
    found = accuracy(np.take_along_axis(relevant, order, axis=1), relevant.sum(axis=1))[NDCG]
    expected = [ndcg_score(relevant[row : row + 1], scores[row : row + 1], k=k) for row in range(40)]
    np.testing.assert_allclose(found, expected)


def test_chance_is_the_mean_over_all_orders():
    """Five items, one of which the user has; two of the four left are sought."""
    train = interactions_of(["u", *"abcde"], ["a", *"abcde"])
    test = interactions_of(["u", "u", *"abcde"], ["b", "c", *"abcde"])
    whole = interactions_of(["u"] * 3 + list("vwxyz"), list("abc") + list("abcde"))
    split = split_each_user(whole, 0.7)
    assert (len(train), len(test)) == (6, 7) and split.tested.tolist() == [0]
    for k in (1, 2, 4, 5):
        study = evaluate_recommenders(split, [Popular()], k, n_bootstraps=0)
        orders = list(itertools.permutations([1, 1, 0, 0]))
        hits = np.array([[*order, 0][:k] for order in orders], bool)
        expected = {metric: values.mean() for metric, values in accuracy(hits, np.full(len(hits), 2)).items()}
        for metric in ACCURACY:
            assert study.results[0].figure(metric).chance == pytest.approx(expected[metric]), (metric, k)


def test_figures_of_several_sought_items_are_those_of_others():
    """Cold test of Music4All-Onion at 50, as counted elsewhere: any order, and what is popular in the test itself."""
    path = SHARED / "rec" / "music4all-cold_test.pqt"
    if not path.exists():
        pytest.skip(f"no {path}: it is not part of the repository")
    table = pq.read_table(path).to_pydict()
    has = interactions_of(list(map(str, table["user_id"])), list(map(str, table["track_id"]))).has
    n_relevant = np.diff(has.indptr)
    assert has.shape == (4553, 589)
    chance = by_chance(n_relevant, np.full(4553, 589), 50)
    assert [round(chance[metric], 3) for metric in (HIT_RATE, RECALL, NDCG)] == [0.310, 0.085, 0.034]
    popular = np.argsort(-np.asarray(has.sum(axis=0)).ravel(), kind="stable")[:50]
    found = accuracy(has.toarray()[:, popular] > 0, n_relevant)
    means = [found[metric].mean() for metric in (HIT_RATE, RECALL, NDCG)]
    np.testing.assert_allclose(means, [0.663, 0.437, 0.250], atol=6e-4)


def test_random_lists_come_to_chance():
    split = leave_one_out(a_world(400))
    study = evaluate_recommenders(split, [AnyItem(seed) for seed in (1,)], n_bootstraps=400)
    for metric in ACCURACY:
        figure = study.result("random").figure(metric)
        spread = study.result("random").per_user[metric].std() / math.sqrt(400)
        assert abs(figure.value - figure.chance) < 3.5 * spread


def test_novelty_in_bits():
    """Of four users all have x, one has y, nobody z: 0, 2 and, as if one had it, 2 bits."""
    train = interactions_of(["a", "b", "c", "d", "a"], ["x", "x", "x", "x", "y"])
    lists = np.array([[0, 1], [1, NOBODY], [NOBODY, NOBODY]])
    np.testing.assert_allclose(novelty(lists, train), [1.0, 2.0, np.nan])
    unheard = train.only(train.item == 0)
    np.testing.assert_allclose(novelty(np.array([[1]]), unheard), [2.0])


def test_diversity_is_the_mean_over_pairs():
    points = np.random.default_rng(0).standard_normal((9, 3)) * np.arange(1, 10)[:, None]
    lists = np.array([[0, 4, 7], [2, 3, NOBODY], [1, NOBODY, NOBODY]])
    found = diversity(lists, points)
    for row in range(2):
        own = [points[item] / np.linalg.norm(points[item]) for item in lists[row] if item != NOBODY]
        assert found[row] == pytest.approx(np.mean([1 - a @ b for a, b in itertools.combinations(own, 2)]))
    assert np.isnan(found[2])
    assert diversity(np.array([[0, 1]]), np.ones((2, 3)))[0] == pytest.approx(0)
    with pytest.raises(InputError, match="2 points"):
        diversity(lists, points[:2])


def test_coverage_counts_what_anybody_sees():
    study = evaluate_recommenders(leave_one_out(a_world()), [Popular(), AnyItem()], n_bootstraps=0)
    assert study.result("random").figure(COVERAGE).value == 1.0
    assert study.result("popular").figure(COVERAGE).value < 1.0


def test_what_finds_the_camps_is_shown_to_be_better():
    study = evaluate_recommenders(leave_one_out(a_world()), [AnyItem(), Popular(), ItemNeighbours(k=10)], 7)
    assert study.gain("itemknn", "popular").is_shown and not study.gain("popular", "random").is_shown
    assert study.result("itemknn").figure(HIT_RATE).low > study.result("itemknn").figure(HIT_RATE).chance
    assert study.gain("popular", "popular").value == 0.0
    document = study.as_document()
    assert [each["name"] for each in document["recommenders"]] == ["random", "popular", "itemknn"]
    assert document["notices"] == [NO_AUDIO] and len(document["recommenders"][0]["figures"]) == 12


def test_points_tell_diversity():
    points = np.random.default_rng(0).standard_normal((30, 4))
    study = evaluate_recommenders(leave_one_out(a_world()), [Popular()], points=points, n_bootstraps=50)
    assert study.notices == () and 0 < study.results[0].figure(DIVERSITY).value < 2
    assert study.results[0].figure(DIVERSITY).chance is None


def test_the_mean_has_the_interval_of_whole_users():
    values = np.random.default_rng(0).exponential(size=400)
    mean, low, high = mean_of_users(values)
    assert mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(mean - half, abs=0.02) and high == pytest.approx(mean + half, abs=0.02)
    assert mean_of_users(np.array([np.nan, 2.0])) == (2.0, None, None)
    assert mean_of_users(np.array([np.nan])) == (None, None, None)
    assert mean_of_users(values) == mean_of_users(values) != mean_of_users(values, seed=1)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 200 samples of 60 users with hits at .2, at 93 % at least of nominally 95."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        _, low, high = mean_of_users((rng.random(60) < 0.2).astype(float), n_bootstraps=500)
        held += low <= 0.2 <= high
    assert held >= 180


@pytest.mark.parametrize(
    ("change", "said"),
    [({"k": 0}, "k is 0"), ({"k": 31}, "k is 31"), ({"recommenders": [Popular(), Popular()]}, "different names")],
)
def test_what_cannot_be_asked_is_refused(change, said):
    asked = {"recommenders": [Popular()], "k": 5, **change}
    with pytest.raises(InputError, match=said):
        evaluate_recommenders(leave_one_out(a_world()), **asked)


def test_without_anything_new_nothing_is_tested():
    with pytest.raises(InputError, match="Nobody took to anything new"):
        evaluate_recommenders(leave_one_out(interactions_of(["a", "a"], ["x", "x"])), [Popular()], 1)


def test_what_cannot_be_fitted_is_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr("mess_core.recommend.knn.MOST_ITEMS_DENSE", 10)
    path = tmp_path / "s.txt"
    world = a_world()
    rows: dict[int, list[str]] = {}
    for user, item in zip(world.user.tolist(), world.item.tolist(), strict=True):
        rows.setdefault(user, []).append(str(item))
    path.write_text("\n".join(f"{user} {' '.join(items)}" for user, items in rows.items()), "utf-8")
    study = evaluate_sequences(path, 5)
    assert [each.name for each in study.results][:4] == ["random", "popular", "next", "itemknn"]
    assert any("ease is left out" in notice and "here are 30" in notice for notice in study.notices)


# --- beyond accuracy ----------------------------------------------------------------------------------------


def ten_users_of_four_items():
    """Everybody has item a, five have b, one has c; d, which nobody has, is tested of the first user, b of the last."""
    users = [*"0123456789", *"01234", "0", "0", "9"]
    items = ["a"] * 10 + ["b"] * 5 + ["c", "d", "b"]
    return split_at(interactions_of(users, items, [*range(16), 100, 100]), 50)


def test_a_list_is_as_popular_as_those_who_have_its_items():
    split = ten_users_of_four_items()
    lists = np.array([[3, NOBODY], [1, 2]])
    lift = popularity_lift(lists, split.tested, split.train)
    own = np.array([(10 + 5 + 1) / 3, 10])
    assert lift == pytest.approx([(0 - own[0]) / own[0], (3 - own[1]) / own[1]])


def test_recall_is_told_of_what_is_popular_and_of_what_hardly_anybody_has():
    """Of 16 rows a has 10: it alone is the head, b, which begins in the middle third, is the middle."""
    split = ten_users_of_four_items()
    figures, per_user = measure_lists(np.array([[3, NOBODY], [2, NOBODY]]), split, n_bootstraps=0)
    assert np.isnan(per_user["recall of the head"]).all()
    assert per_user["recall of the middle"].tolist()[1] == 0.0 and per_user["recall of the tail"][0] == 1.0
    by_name = {each.metric: each.value for each in figures}
    assert by_name["coverage"] == 0.5 and by_name["Gini"] == pytest.approx(0.5)


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_gini_is_the_mean_difference_of_any_two_over_twice_the_mean(n):
    shown = np.random.default_rng(n).integers(0, 20, n) + 1
    differences = np.abs(shown[:, None] - shown).mean()
    assert gini(shown) == pytest.approx(differences / (2 * shown.mean()))
    assert gini(np.zeros(n)) is None
