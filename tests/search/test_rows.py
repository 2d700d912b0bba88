"""Rows: exact where all are looked at, nearly so where they are not."""

import numpy as np
import pytest

from mess_core.search import rows as module
from mess_core.search import short as short_module
from mess_core.search.rows import RowIndex, kind_for
from mess_core.search.short import ShortRows

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


def test_equal_products_come_in_order_of_rows(in_small):
    """So that what is found does not hang on how it was looked for."""
    rng = np.random.default_rng(6)
    vectors, queries = (rng.integers(0, 2, (n, 50)).astype(np.float32) for n in (300, 3))
    for index in in_small(vectors):
        for k in (1, 10, 299, 300):
            np.testing.assert_array_equal(index.search(queries, k)[1], nearest(vectors, queries, k))


def test_a_query_that_is_no_number_finds_as_many(in_small):
    bounded, plain = in_small(music_like(300, 60))
    query = np.full((1, 60), np.nan, np.float32)
    assert bounded.search(query, 5)[1].shape == plain.search(query, 5)[1].shape == (1, 5)


# --- bounds: fewer rows are read, and the same are found ------------------------------------------------------------


def music_like(n: int, n_columns: int, seed: int = 0) -> np.ndarray:
    """Rows near a small space, in clusters: a few directions hold nearly all of them."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(n // 20, 1), 12))
    latent = centres[rng.integers(0, len(centres), n)] + 0.3 * rng.standard_normal((n, 12))
    rows = latent @ rng.standard_normal((12, n_columns)) / 4
    return (rows + 0.02 * rng.standard_normal(rows.shape)).astype(np.float32)


def random_rows(n: int, n_columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, n_columns)).astype(np.float32)


def constant_rows(n: int, n_columns: int, seed: int = 0) -> np.ndarray:
    return np.full((n, n_columns), 0.3, np.float32)


def repeated_rows(n: int, n_columns: int, seed: int = 0) -> np.ndarray:
    """Few different rows, each many times."""
    rng = np.random.default_rng(seed)
    return music_like(max(n // 10, 1), n_columns, seed)[rng.integers(0, max(n // 10, 1), n)]


def rows_with_zeros(n: int, n_columns: int, seed: int = 0) -> np.ndarray:
    """Rows of silence, and columns in which nothing is."""
    rows = music_like(n, n_columns, seed)
    rows[::3] = 0
    rows[:, 5:9] = 0
    return rows


def rows_of_all_sizes(n: int, n_columns: int, seed: int = 0) -> np.ndarray:
    """From a thousandth to a thousand: rounding of the large must not hide the small."""
    sizes = 10 ** np.random.default_rng(seed).uniform(-3, 3, (n, 1))
    return (music_like(n, n_columns, seed) * sizes).astype(np.float32)


MADE = [music_like, random_rows, constant_rows, repeated_rows, rows_with_zeros, rows_of_all_sizes]


@pytest.fixture
def in_small(monkeypatch):
    """Two indexes in blocks of 20 columns: with bounds by 6 directions, used whether they are of use or not; plain."""
    monkeypatch.setattr(module, "NARROW", 20)
    monkeypatch.setattr(module, "COLUMNS_PER_BLOCK", 20)
    monkeypatch.setattr(module, "MOST_LEFT", np.inf)
    monkeypatch.setattr(module, "MOST_POSSIBLE", 1)
    monkeypatch.setattr(short_module, "MOST_POSSIBLE", 1)
    monkeypatch.setattr(short_module, "N_DIRECTIONS", 6)

    def make(vectors: np.ndarray) -> tuple[RowIndex, RowIndex]:
        monkeypatch.setattr(module, "SHORT_FROM", (0, 0))
        bounded = index_of(vectors)
        monkeypatch.setattr(module, "SHORT_FROM", (10**9, 0))
        plain = index_of(vectors)
        assert len(bounded._short) == len(bounded._blocks) and not plain._short
        return bounded, plain

    return make


@pytest.mark.parametrize("n_columns", [20, 50])
@pytest.mark.parametrize("n", [1, 2, 7, 400])
@pytest.mark.parametrize("make", MADE)
def test_bounds_change_nothing_in_what_is_found(make, n, n_columns, in_small):
    """The same rows and the same products to the last bit, ties included; of one block of columns and of three."""
    vectors = make(n, n_columns)
    bounded, plain = in_small(vectors)
    queries = np.concatenate([vectors[:3], random_rows(2, n_columns, seed=9), np.zeros((1, n_columns), np.float32)])
    for query in queries[:, None]:
        assert n < 20 or not query.any() or bounded._possible(query, 5) is not None, "bounds were used"
        for k in (1, 5, 20, n, n + 3):
            (products, rows), (wanted, its_rows) = bounded.search(query, k), plain.search(query, k)
            np.testing.assert_array_equal(products, wanted)
            assert rows.shape == (1, min(k, n))
            if (
                n_columns > 20
            ):  # of one block the products are those of another library, whose order of equals is its own
                np.testing.assert_array_equal(rows, its_rows)
            else:
                np.testing.assert_allclose(vectors[rows[0]] @ query[0], wanted[0], rtol=1e-4, atol=1e-4)
    together = bounded.search(queries[:4], 5)
    np.testing.assert_array_equal(together[0], np.concatenate([plain.search(q, 5)[0] for q in queries[:4, None]]))


@pytest.mark.parametrize("seed", range(8))
def test_bounds_hold_for_any_weights_of_the_columns(seed, in_small):
    """Weights live in the query alone: of some columns, of all, large and small, of either sign."""
    rng = np.random.default_rng(seed)
    vectors = MADE[seed % len(MADE)](300, 60, seed)
    bounded, plain = in_small(vectors)
    for query in vectors[rng.integers(0, 300, 12)][:, None]:
        weighted = query * rng.choice([0.0, 1e-3, 1.0, 30.0, -1.0], 3)[rng.permutation(np.repeat(range(3), 20))]
        by_block = query * np.repeat(rng.choice([0.0, 0.0, 1.0, 3.0], 3), 20)
        for asked in (weighted.astype(np.float32), by_block.astype(np.float32)):
            for one, other in zip(bounded.search(asked, 12), plain.search(asked, 12), strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", MADE)
def test_no_product_is_above_its_bound(make):
    """In double precision, of queries from the library and of others."""
    vectors = make(200, 90)
    short = ShortRows(vectors)
    for query in np.concatenate([vectors[:20], random_rows(20, 90, seed=5)]):
        assert (vectors.astype(np.float64) @ query <= short.bounds(short.shortened(query[None])[0]) + 1e-30).all()


def test_bounds_are_no_further_off_than_what_the_directions_leave(monkeypatch):
    """Against principal directions by a full decomposition: followed a few steps, they leave hardly more."""
    monkeypatch.setattr(short_module, "N_DIRECTIONS", 6)
    vectors = music_like(500, 40)
    squares = np.linalg.svd(vectors.astype(np.float64), compute_uv=False) ** 2
    best = squares[:6].sum() / squares.sum()
    assert best - 0.01 < ShortRows(vectors).share <= best + 1e-4


@pytest.fixture
def in_parts(monkeypatch):
    """Indexes in blocks of 30 columns with bounds by 12 directions, where these are of use."""
    monkeypatch.setattr(module, "NARROW", 30)
    monkeypatch.setattr(module, "COLUMNS_PER_BLOCK", 30)
    monkeypatch.setattr(module, "SHORT_FROM", (0, 0))
    monkeypatch.setattr(short_module, "N_DIRECTIONS", 12)
    return index_of


def test_of_music_a_part_of_the_rows_is_read(in_parts):
    """For the nearest ten, of clusters of twenty, not many more than these of two thousand."""
    vectors = music_like(2000, 60)
    index = in_parts(vectors)
    assert np.median([len(index._possible(query, 10)) for query in vectors[:20, None]]) < 100


def test_where_bounds_say_too_little_all_rows_are_read_at_once(in_parts):
    """Rows without structure have none; and a query that the directions do not hold is not asked by them."""
    index, queries = in_parts(random_rows(2000, 60)), random_rows(20, 60, seed=3)
    assert index._short == [None, None]
    assert all(index._possible(query, 10) is None for query in queries[:, None])
    index = in_parts(np.concatenate([random_rows(2000, 30), music_like(2000, 30)], axis=1))
    assert index._short[0] is None and index._short[1] is not None
    music = index.rows(np.arange(5))
    for query in music[:, None]:
        assert index._possible(query, 10) is None
        assert index._possible(np.where(np.arange(60) < 30, 0, query), 10) is not None
    beside = queries[:, 30:] - queries[:, 30:] @ index._short[1]._directions.T @ index._short[1]._directions
    queries = np.concatenate([np.zeros((20, 30), np.float32), beside], axis=1)
    assert all(index._possible(query, 10) is None for query in queries[:, None])


def test_what_is_not_finite_is_left_to_the_scan(in_parts):
    """A bound of it would say nothing."""
    vectors = music_like(2000, 60)
    vectors[7, 3] = np.inf
    index = in_parts(vectors)
    assert index._short[0] is None and index._short[1] is not None


def test_small_and_narrow_libraries_have_no_bounds():
    """They are read faster than bounds are looked at, and a column of a million rows is dear."""
    assert not index_of(music_like(1000, 300))._short and not index_of(music_like(1100, 200))._short
    assert [short is not None for short in index_of(music_like(1100, 300))._short] == [True]
