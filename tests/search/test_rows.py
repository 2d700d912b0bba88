"""Rows: exact where all are looked at, nearly so where they are not."""

import numpy as np
import pytest

from mess_core.search import rows as module
from mess_core.search.rows import RowIndex, kind_for

KINDS = ["flat", "hnsw", "ivf"]


def index_of(vectors: np.ndarray, kind=None) -> RowIndex:
    return RowIndex(*vectors.shape, lambda start, stop: vectors[start:stop], kind)


@pytest.fixture(scope="module")
def clustered():
    """3 000 rows in 60 clusters, and 40 queries near some of them."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((60, 24))
    vectors = np.repeat(centres, 50, axis=0) + 0.3 * rng.standard_normal((3000, 24))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[::75] + 0.05 * rng.standard_normal((40, 24))
    return vectors.astype(np.float32), queries.astype(np.float32)


@pytest.fixture(scope="module", params=KINDS)
def built(request, clustered):
    return index_of(clustered[0], request.param)


def nearest(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """In double precision, the first of equals first."""
    return np.argsort(-(queries.astype(np.float64) @ vectors.T.astype(np.float64)), axis=1, kind="stable")[:, :k]


def recall(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.mean([np.isin(own, theirs).mean() for own, theirs in zip(wanted, found, strict=True)]))


@pytest.mark.parametrize("n_queries", [1, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_the_nearest_to_any_of_some_queries_by_the_largest_product(clustered, kind, n_queries):
    """Each row once, in falling order; exact where all are looked at."""
    vectors, queries = clustered[0], clustered[1][:n_queries]
    index = index_of(vectors, kind)
    largest = (queries.astype(np.float64) @ vectors.T.astype(np.float64)).max(axis=0)
    for k in (1, 40, 9999):
        products, found = index.search_any(queries, k)
        rows = found[found >= 0]
        assert found.shape == products.shape and len(np.unique(rows)) == len(rows)
        assert (np.diff(products) <= 0).all() and (products[found >= 0] <= largest[rows] + 2e-3).all()
        wanted = np.argsort(-largest)[:k]
        if kind == "flat":
            np.testing.assert_allclose(products, largest[wanted], atol=1e-5)
            assert set(rows.tolist()) == set(wanted.tolist())
        assert k > 40 or np.isin(wanted, rows).mean() > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("n_queries", [2, 7, 200])
@pytest.mark.parametrize("is_wide", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 2500])
def test_flat_is_a_sort_of_all_rows(n, is_wide, n_queries, monkeypatch):
    """Narrow rows, and wide ones in three blocks of columns; k above the size gives all."""
    monkeypatch.setattr(module, "NARROW", 10 if is_wide else 12)
    monkeypatch.setattr(module, "COLUMNS_PER_BLOCK", 5)
    rng = np.random.default_rng(1)
    vectors, queries = (rng.standard_normal((m, 12)).astype(np.float32) for m in (n, n_queries))
    index = index_of(vectors)
    assert index.kind == "flat" and len(index._blocks) == (3 if is_wide else 1)
    for k in (1, 10, 3000):
        products, found = index.search(queries, k)
        assert found.shape == products.shape == (n_queries, min(k, n))
        exact = queries.astype(np.float64) @ vectors.T.astype(np.float64)
        np.testing.assert_allclose(products, np.take_along_axis(exact, found, axis=1), atol=1e-5)
        wanted = nearest(vectors, queries, k)
        np.testing.assert_allclose(products, np.take_along_axis(exact, wanted, axis=1), atol=1e-5)
        np.testing.assert_array_equal(np.sort(found), np.sort(wanted))
    chosen = rng.permutation(n)[:100]
    np.testing.assert_array_equal(index.rows(chosen), vectors[chosen])


def test_nine_of_the_true_ten_are_found(built, clustered):
    vectors, queries = clustered
    products, found = built.search(queries, 10)
    assert found.min() >= 0 and found.max() < 3000
    assert all(len(set(rows)) == 10 for rows in found)
    assert (np.diff(products, axis=1) <= 0).all()
    share = recall(found, nearest(vectors, queries, 10))
    assert share == 1.0 if built.kind == "flat" else share >= 0.9


def test_looking_at_all_rows_is_a_sort_of_them(built, clustered):
    """What recall is measured by, whatever the index is; of half-precision rows, those rows are sorted."""
    _, queries = clustered
    stored = built.rows(np.arange(3000))
    for k in (1, 10):
        found = built.search_exactly(queries, k)
        products = queries.astype(np.float64) @ stored.T.astype(np.float64)
        best = np.sort(products, axis=1)[:, ::-1][:, :k]
        np.testing.assert_allclose(np.take_along_axis(products, found, axis=1), best, atol=1e-6)
    assert built.search_exactly(queries[:2], 5000).shape == (2, 3000)


def test_rows_come_back_as_they_were_added(built, clustered):
    vectors, _ = clustered
    chosen = np.array([2999, 0, 1024, 1023, 0])
    if built.kind == "ivf":
        np.testing.assert_allclose(built.rows(chosen), vectors[chosen], rtol=1e-3, atol=1e-6)
    else:
        np.testing.assert_array_equal(built.rows(chosen), vectors[chosen])
    assert built.rows(np.array([], int)).shape == (0, 24)


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_the_fewer_parts_have_weight_the_further_it_looks(kind, monkeypatch):
    """Two of sixty numbers asked for: a hasty walk laid out for all of them finds more if it is told so."""
    monkeypatch.setattr(module, "HNSW_EFFORT", 8)
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((2000, 60)).astype(np.float32)
    queries = np.zeros((40, 60), np.float32)
    queries[:, 20:22] = rng.standard_normal((40, 2))
    index, wanted = index_of(vectors, kind), nearest(vectors, queries, 10)
    shares = [recall(index.search(queries, 10, share)[1], wanted) for share in (1.0, 0.2, 2 / 60)]
    assert shares == sorted(shares) and shares[-1] > shares[0] + 0.05


def test_a_gap_in_what_was_found_is_minus_one():
    """An inverted file that looks at few lists has fewer rows than asked for; it does not make them up."""
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((2000, 8)).astype(np.float32)
    index = index_of(vectors, "ivf")
    found = index.search(vectors[:5], 2000)[1]
    assert (found[:, -1] == -1).all()
    for rows in found:
        known = rows[rows >= 0]
        assert len(known) > 10 and len(set(known)) == len(known)


def test_a_block_without_weight_is_not_read(monkeypatch):
    """So that an aspect of one layer costs one layer."""
    monkeypatch.setattr(module, "NARROW", 4)
    monkeypatch.setattr(module, "COLUMNS_PER_BLOCK", 4)
    vectors = np.random.default_rng(5).standard_normal((50, 12)).astype(np.float32)
    index, query = index_of(vectors), np.zeros((1, 12), np.float32)
    query[0, 4:8] = 1
    expected = index.search(query, 5)[1]
    index._blocks[0][:] = np.nan
    index._blocks[2][:] = np.nan
    np.testing.assert_array_equal(index.search(query, 5)[1], expected)


def test_the_kind_goes_by_size():
    """Narrow rows are always looked at: a graph laid out by them is of no use, and they are quick to read."""
    sizes = (1, 200_000, 200_001, 1_000_000, 1_000_001)
    assert [kind_for(n, 2500) for n in sizes] == ["flat", "flat", "hnsw", "hnsw", "ivf"]
    assert kind_for(10_000_000, 35) == "flat"


def test_rows_are_asked_for_in_order_and_only_once():
    """So a library need not fit in memory twice."""
    vectors, asked = np.random.default_rng(4).standard_normal((2500, 4)).astype(np.float32), []

    def block(start: int, stop: int) -> np.ndarray:
        asked.append((start, stop))
        return vectors[start:stop]

    RowIndex(2500, 4, block)
    assert asked == [(0, 1024), (1024, 2048), (2048, 2500)]
