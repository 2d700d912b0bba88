"""Percentiles: the share of the library's pairs that are less similar, counted pair by pair."""

import itertools

import numpy as np
import pytest

from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search import geometry as geometry_module
from mess_core.search.geometry import DirectionGeometry, LayerGeometry
from mess_core.search.percentiles import Percentiles
from mess_core.search.rows import RowIndex

L, D = 2, 6
SEARCHED = {"brightness": ("a",), "texture": ("b", "c")}
PLAIN = (0.5, 0.5)  # of `directions_geometry`: sorted once, where others are counted
WEIGHTS = [(1.0, 0.0), (0.0, 1.0), (0.3, 0.7), (1.0, 0.5), PLAIN]


def directions_geometry(vectors: np.ndarray) -> DirectionGeometry:
    """Coordinates are the first three numbers of layer 0."""
    weights = np.zeros((3, L, D), np.float32)
    weights[range(3), 0, range(3)] = 1
    directions = Directions(("a", "b", "c"), ((0,),) * 3, weights, np.zeros((3, L), np.float32))
    evidence = {aspect: AspectEvidence((0,), own, "high", own) for aspect, own in SEARCHED.items()}
    return DirectionGeometry.fit(vectors, evidence, directions)


def percentiles_of(geometry, vectors: np.ndarray) -> Percentiles:
    items = geometry.items(vectors)
    return Percentiles(geometry, RowIndex(len(items), geometry.n_columns, lambda start, stop: items[start:stop]))


def random_vectors(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, L, D)).astype(np.float32)


def whole_vectors(n: int) -> np.ndarray:
    """Whole numbers from 0 to 3: many pairs are exactly as far apart."""
    return np.random.default_rng(0).integers(0, 4, (n, L, D)).astype(np.float32)


def similarities(vectors: np.ndarray) -> np.ndarray:
    """Of all pairs by the definition, (n_pairs, 2): minus the squared distance over the median one."""
    z = vectors[:, 0, :3].astype(np.float64)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    pairs = np.array([(z[i] - z[j]) ** 2 for i, j in itertools.combinations(range(len(z)), 2)])
    parts = [pairs[:, :1].sum(axis=1), pairs[:, 1:].sum(axis=1)]
    return -np.stack([squares / np.median(squares) for squares in parts], axis=1)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("make", [random_vectors, whole_vectors])
def test_a_percentile_is_counted_over_all_pairs(make, weights):
    """Pairs that are just as similar count half; for each part alone, and for a total."""
    vectors = make(20)
    geometry = directions_geometry(vectors)
    np.testing.assert_array_equal(geometry.plain, PLAIN)
    percentiles = percentiles_of(geometry, vectors)
    totals = similarities(vectors) @ weights
    asked = np.concatenate([totals[:30], [-100.0, -0.5, -0.111, 1.0]])
    expected = [100 * (np.mean(totals < s - 1e-5) + np.mean(np.abs(totals - s) <= 1e-5) / 2) for s in asked]
    if make is whole_vectors:
        assert len(np.unique(totals.round(6))) < len(totals) / 2, "ties were planted"
    np.testing.assert_allclose(percentiles.of(asked, np.array(weights)), expected, atol=1e-9)
    assert percentiles.of(np.array([-100.0, 1.0]), np.array(weights)).tolist() == [0, 100]


@pytest.mark.parametrize("make", [LayerGeometry.fit, directions_geometry])
def test_a_copy_is_closer_than_all_pairs_and_the_median_pair_in_the_middle(make):
    """But for pairs that are as good as equal in the one number that an aspect may be."""
    vectors = random_vectors(41)
    geometry = make(vectors)
    percentiles = percentiles_of(geometry, vectors)
    item = geometry.items(vectors[:1])[0]
    for part in np.eye(len(geometry.parts)):
        itself = geometry.similarities(item, item[None]) @ part
        n_equal = np.sum(part @ percentiles.pairs > itself - 1e-5)
        assert n_equal == 0 or len(part) == 2
        assert 100 >= percentiles.of(itself, part)[0] >= 100 * (1 - n_equal / 820)
        middle = np.median(part @ percentiles.pairs)
        assert percentiles.of(np.array([middle]), part)[0] == pytest.approx(50, abs=0.1)


def test_a_sample_stands_for_a_large_library(monkeypatch):
    """With more pairs than are kept, percentiles agree with the exact ones to a few points, every time the same."""
    vectors, asked = random_vectors(150), np.linspace(-4, 0, 9)
    weights = np.array([0.3, 0.7])
    geometry = directions_geometry(vectors)
    exact = percentiles_of(geometry, vectors)
    assert exact.pairs.shape[1] == 150 * 149 // 2
    monkeypatch.setattr(geometry_module, "MAX_PAIRS", 5000)
    sampled, again = percentiles_of(geometry, vectors), percentiles_of(geometry, vectors)
    assert sampled.pairs.shape[1] == 5000
    found, wanted = sampled.of(asked, weights), exact.of(asked, weights)
    assert 0 < np.abs(found - wanted).max() < 2.5
    np.testing.assert_array_equal(found, again.of(asked, weights))
    assert wanted[0] < 10 and wanted[-2] > 60 and (np.diff(wanted) >= 0).all()


def test_one_track_has_no_pairs():
    vectors = random_vectors(1)
    for geometry in (LayerGeometry.fit(vectors), directions_geometry(vectors)):
        percentiles = percentiles_of(geometry, vectors)
        assert percentiles.pairs.shape == (len(geometry.parts), 0)
        assert np.isnan(percentiles.of(np.array([0.0, -1.0]), geometry.plain)).all()


def test_weightings_do_not_mix():
    """Each gets its own totals, whatever was asked before."""
    vectors = random_vectors(30)
    percentiles = percentiles_of(directions_geometry(vectors), vectors)
    asked = np.array([-0.7])
    shares = np.linspace(0, 1, 40)
    first = [percentiles.of(asked, np.array([share, 1 - share]))[0] for share in shares]
    assert [percentiles.of(asked, np.array([share, 1 - share]))[0] for share in shares] == first
    assert len(set(first)) > 5
