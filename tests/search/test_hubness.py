"""Hubness: planted hubs, known implementations, and laws."""

import numpy as np
import pytest
from scipy.stats import skew
from sklearn.metrics.pairwise import cosine_similarity, euclidean_distances
from sklearn.neighbors import NearestNeighbors

from mess_core.errors import InputError
from mess_core.search.hubness import (
    HUB_SKEWNESS,
    csls,
    hubness_of,
    k_occurrences,
    local_means,
    mean_cosine,
    unit_vectors,
)

K = 10


def nearest(similarities: np.ndarray, k: int = K) -> np.ndarray:
    """The k nearest others, by sorting."""
    others = similarities.copy()
    np.fill_diagonal(others, -np.inf)
    return np.argsort(-others, axis=1, kind="stable")[:, :k]


def gaussian(dim: int, n: int = 400) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, dim))


def negative_distances(vectors: np.ndarray) -> np.ndarray:
    return -euclidean_distances(vectors)


def test_occurrences_are_counted_over_queries():
    vectors = gaussian(5, 50)
    found = NearestNeighbors(n_neighbors=3).fit(vectors).kneighbors(return_distance=False)
    occurrences = k_occurrences(found, 50)
    assert occurrences.tolist() == [sum(row in list(of_query) for of_query in found) for row in range(50)]
    assert occurrences.sum() == 3 * 50


@pytest.mark.parametrize("rows", [[[-1, 0]], [[0, 5]], [0, 1]])
def test_neighbours_that_are_no_rows_are_refused(rows):
    """FAISS pads a short answer with -1."""
    with pytest.raises(InputError, match="rows from 0 to 4"):
        k_occurrences(np.array(rows), 5)


def test_figures_by_their_definitions():
    """Skewness is scipy's; the others are counted by hand."""
    occurrences = np.array([0, 0, 1, 1, 8])  # mean 2: six places of ten would have to change hands
    hubness = hubness_of(occurrences, 2)
    assert hubness.skewness == pytest.approx(skew(occurrences))
    assert (hubness.largest, hubness.antihub_share, hubness.robin_hood) == (8, 0.4, pytest.approx(0.6))


def test_equal_shares_are_no_hubness():
    hubness = hubness_of(np.full(7, 3), 3)
    assert (hubness.skewness, hubness.antihub_share, hubness.robin_hood) == (0, 0, 0)
    with pytest.raises(InputError, match="at least one neighbour"):
        hubness_of(np.zeros(3, int), 1)


def test_hubs_appear_with_dimensions():
    """Radovanović et al.: neighbours by distance in a Gaussian cloud grow hubs as its dimension grows."""
    low, middle, high = (
        hubness_of(k_occurrences(nearest(negative_distances(gaussian(dim))), 400), K) for dim in (2, 20, 200)
    )
    assert low.skewness < 0.5 < middle.skewness < high.skewness
    assert high.skewness > HUB_SKEWNESS
    assert low.robin_hood < middle.robin_hood < high.robin_hood
    assert low.antihub_share < middle.antihub_share < high.antihub_share


def test_a_planted_hub_is_found_and_csls_takes_it_away():
    """A row that is nothing but the common part of all rows is among the nearest of nearly half of them."""
    vectors = 0.5 + gaussian(30, 200)
    vectors[17] = 0.5
    similarities = cosine_similarity(vectors)
    before = k_occurrences(nearest(similarities), 200)
    assert before.argmax() == 17 and before[17] > 8 * K
    used_to = local_means(similarities, K, own=np.arange(200))
    after = k_occurrences(nearest(csls(similarities, used_to, used_to)), 200)
    assert after[17] < 3 * K
    assert hubness_of(after, K).skewness < hubness_of(before, K).skewness / 3


def test_csls_lessens_hubness_of_a_cloud():
    similarities = cosine_similarity(1 + gaussian(100))
    used_to = local_means(similarities, K, own=np.arange(400))
    corrected = csls(similarities, used_to, used_to)
    before, after = (hubness_of(k_occurrences(nearest(s), 400), K) for s in (similarities, corrected))
    assert after.skewness < 0.6 * before.skewness
    assert after.antihub_share < before.antihub_share


def test_csls_is_an_inner_product_of_one_more_dimension():
    """Science §3.4: item [x, -r(x)] and query [2 q, 1] rank alike, so an index can do it."""
    units = unit_vectors(gaussian(8, 60))
    similarities = units @ units.T
    used_to = local_means(similarities, K, own=np.arange(60))
    corrected = csls(similarities, used_to, used_to)
    assert corrected[2, 5] == pytest.approx(2 * similarities[2, 5] - used_to[2] - used_to[5])
    longer = np.c_[2 * units, np.ones(60)] @ np.c_[units, -used_to].T
    assert np.allclose(longer - used_to[:, None], corrected)


@pytest.mark.parametrize("k", [1, 4, 29, 30, 99])
def test_local_means_against_a_loop(k):
    """Also when there are fewer others than asked for; a diagonal of -inf and `own` are the same."""
    similarities = np.random.default_rng(1).standard_normal((30, 30))
    untouched = similarities.copy()
    means = local_means(similarities, k, own=np.arange(30))
    assert np.array_equal(similarities, untouched)
    assert np.allclose(means, [np.sort(np.delete(s, row))[::-1][:k].mean() for row, s in enumerate(similarities)])
    np.fill_diagonal(similarities, -np.inf)
    assert np.allclose(means, local_means(similarities, k))
    strangers = untouched[:5]
    assert np.allclose(local_means(strangers, k), [np.sort(s)[::-1][:k].mean() for s in strangers])


def test_a_row_alone_is_used_to_nothing():
    assert local_means(np.ones((1, 1)), K, own=np.array([0])).tolist() == [0]


def test_mean_cosine_is_that_of_all_pairs():
    """scikit-learn, pair by pair; a common part makes it large, centring takes it away; zeros count as 0."""
    vectors = 3 + gaussian(12, 40)
    vectors[3] = 0
    pairs = cosine_similarity(vectors)[np.triu_indices(40, 1)]
    assert mean_cosine(vectors) == pytest.approx(pairs.mean())
    assert mean_cosine(vectors) > 0.8
    assert abs(mean_cosine(vectors - vectors.mean(axis=0))) < 0.05
    assert mean_cosine(np.ones((2, 5), np.float32)) == pytest.approx(1)
    with pytest.raises(InputError, match="at least 2"):
        mean_cosine(vectors[:1])
