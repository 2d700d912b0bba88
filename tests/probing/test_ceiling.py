"""The ceiling of a rating: simulated raters, and what halves of real ones say of each other."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from mess_core.probing.ceiling import ceiling, is_companion
from tests.conftest import SHARED


@pytest.mark.parametrize(("noise", "n_raters"), [(0.5, 5), (1.0, 12), (2.0, 14)])
def test_the_truth_itself_reaches_the_ceiling_and_no_more(noise: float, n_raters: int) -> None:
    """Mean ratings are predicted by what the raters agree on: the best anybody can do."""
    rng = np.random.default_rng(0)
    found, reached = [], []
    for _ in range(20):
        truth = rng.standard_normal(400)
        ratings = truth[:, None] + noise * rng.standard_normal((400, n_raters))
        means = ratings.mean(axis=1)
        found.append(ceiling(means, ratings.std(axis=1), np.full(400, n_raters)))
        reached.append(1 - ((means - truth) ** 2).sum() / ((means - means.mean()) ** 2).sum())
    assert np.mean(found) == pytest.approx(np.mean(reached), abs=0.01)
    assert np.mean(found) == pytest.approx(1 / (1 + noise**2 / n_raters), abs=0.01)


def test_what_cannot_be_said_is_not() -> None:
    means, spreads = np.array([0.0, 1.0, 2.0, 3.0]), np.full(4, 0.1)
    assert ceiling(means, spreads, np.ones(4)) is None  # one rater agrees with nobody
    assert ceiling(np.ones(4), spreads, np.full(4, 5.0)) is None
    assert ceiling(means[:2], spreads[:2], np.full(2, 5.0)) is None
    assert ceiling(means, np.full(4, np.nan), np.full(4, 5.0)) is None
    assert ceiling(means, np.full(4, -1.0), np.full(4, 5.0)) is None
    assert ceiling(means, np.full(4, 100.0), np.full(4, 5.0)) == 0.0
    with_gap = ceiling(np.append(means, np.nan), np.append(spreads, 50.0), np.full(5, 5.0))
    assert with_gap == ceiling(means, spreads, np.full(4, 5.0))


def test_companions_are_told_by_what_stands_beside_them() -> None:
    columns = ["calm", "calm sd", "calm raters", "n raters"]
    assert [column for column in columns if is_companion(column, columns)] == ["calm sd", "calm raters"]


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "percepiano").exists(), reason="the shared data is not here")
def test_halves_of_real_listeners_agree_as_the_ceiling_says() -> None:
    """PercePiano's single ratings, halved at random and corrected to the whole (Spearman & Brown)."""
    ratings: dict[str, list[list[float]]] = {}
    with (SHARED / "percepiano" / "ratings.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            cells = [row[name] for name in row if name and name.startswith("Question")][:19]
            numbers = [float(cell) if cell and cell.replace(".", "").isdigit() else np.nan for cell in cells]
            ratings.setdefault(row["filename"], []).append(numbers)
    passages = [np.array(each) for each in ratings.values()]  # (n_raters, 19) each
    rng = np.random.default_rng(0)
    said = []
    for _ in range(5):
        halves: tuple[list, list] = ([], [])
        for passage in passages:
            for half, rows in zip(halves, np.array_split(rng.permutation(len(passage)), 2), strict=True):
                half.append(np.nanmean(passage[rows], axis=0))
        one, other = map(np.array, halves)
        r = np.array([np.corrcoef(one[:, scale], other[:, scale])[0, 1] for scale in range(19)])
        said.append(2 * r / (1 + r))
    means, spreads = (np.array([how(each, axis=0) for each in passages]) for how in (np.nanmean, np.nanstd))
    n_raters = np.array([np.isfinite(each).sum(axis=0) for each in passages], float)
    assert len(passages) == 830
    for scale, expected in enumerate(np.mean(said, axis=0)):
        assert ceiling(means[:, scale], spreads[:, scale], n_raters[:, scale]) == pytest.approx(expected, abs=0.03)
