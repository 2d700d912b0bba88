"""Ratings: the area under the curve of each user, and what is known of tracks that were drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mess_core.errors import InputError
from mess_core.evaluation.rated import LIKED_FROM, auc_of_users
from mess_core.recommend.columns import of_numbers
from mess_core.recommend.controls import AnyItem, Popular
from mess_core.recommend.knn import Ease
from mess_core.recommend.splits import split_rows
from mess_core.storage.untrusted import read_text
from tests.conftest import SHARED


class Given:
    def __init__(self, scores):
        self.given = scores

    def scores(self, users):
        return self.given[users]


def test_it_is_that_of_scikit_learn_user_by_user():
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 99, 1500), rng.integers(0, 40, 1500)
    rated = of_numbers(range(100), range(40), user, item, weights=rng.integers(1, 5, 1500))
    scores = rng.integers(0, 5, (100, 40)).astype(float)  # full of ties
    found = auc_of_users(Given(scores), rated)
    for each in range(99):
        own = rated.user == each
        liked = rated.weight[own] >= LIKED_FROM
        expected = roc_auc_score(liked, scores[each, rated.item[own]]) if 0 < liked.mean() < 1 else np.nan
        np.testing.assert_allclose(found[each], expected)
    assert np.isnan(found[99])  # who rated nothing


def test_where_nobody_disliked_anything_it_is_said():
    rated = of_numbers(["a"], ["x", "y"], np.array([0, 0]), np.array([0, 1]), weights=np.array([3.0, 4.0]))
    with pytest.raises(InputError, match="Nobody rated one item 3 or more and another less"):
        auc_of_users(Given(np.zeros((1, 2))), rated)


@pytest.mark.slow
def test_figures_of_ratings_that_were_asked_for():
    """CM100k, 80/20, as others counted it: any order .507, popular .688, mean of an item .699, untuned EASE .625."""
    path = SHARED / "rec" / "cm100k-ratings.txt"
    if not path.exists():
        pytest.skip(f"no {path}: it is not part of the repository")
    cells = np.array([line.split() for line in read_text(path).splitlines()], np.int64)
    (users, user), (items, item) = (np.unique(cells[:, column], return_inverse=True) for column in (0, 1))
    whole = of_numbers(users.astype(str), items.astype(str), user, item, weights=cells[:, 2])
    found = {name: [] for name in ("random", "popular", "mean", "ease")}
    for seed in range(3):
        split = split_rows(whole, 0.2, seed)
        liked = split.train.only(split.train.weight >= LIKED_FROM)
        for way in (AnyItem(seed), Popular(), Ease(300.0)):
            found[way.name].append(np.nanmean(auc_of_users(way.fit(liked), split.test)))
        sums = np.bincount(split.train.item, split.train.weight, minlength=whole.n_items)
        means = sums / np.maximum(np.bincount(split.train.item, minlength=whole.n_items), 1)
        found["mean"].append(np.nanmean(auc_of_users(Given(np.tile(means, (whole.n_users, 1))), split.test)))
    for name, expected in (("random", 0.5), ("popular", 0.688), ("mean", 0.699), ("ease", 0.625)):
        assert np.mean(found[name]) == pytest.approx(expected, abs=0.01), name
