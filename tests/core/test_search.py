"""Search against NumPy brute force and planted answers."""

import itertools

import numpy as np
import pytest

from mess_core import search as module
from mess_core.embeddings import EmbeddingSet
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.search import NeighbourIndex
from tests.conftest import FakeEncoder

L, D = 3, 8
INFO = FakeEncoder(n_layers=L, dim=D).info


def embedding_set(vectors: np.ndarray, ids: list[str] | None = None) -> EmbeddingSet:
    vectors = np.asarray(vectors, np.float32)
    return EmbeddingSet(INFO, tuple(ids or [f"{row:04d}" for row in range(len(vectors))]), vectors, "content")


def random_vectors(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (10 + rng.standard_normal((n, L, D))).astype(np.float32)  # a large common part, as real embeddings have


def brute_force(vectors: np.ndarray, query: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The definition: the weighted mean over layers of the cosine of centred vectors."""
    centre = vectors.astype(np.float64).mean(axis=0)
    a, b = vectors - centre, query - centre
    cosines = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return cosines @ (weights / weights.sum())


@pytest.mark.parametrize("weights", [None, [1, 0, 0], [0.2, 0.5, 0.3]])
@pytest.mark.parametrize("shard_above", [0, 10**9])
def test_equals_brute_force(weights, shard_above, monkeypatch):
    """In one piece and in shards, for any weights."""
    monkeypatch.setattr(module, "SHARD_ABOVE_BYTES", shard_above)
    vectors, query = random_vectors(200), random_vectors(1, seed=1)[0]
    index = NeighbourIndex(embedding_set(vectors))
    found = index.search(query, 200, weights=None if weights is None else np.array(weights))
    expected = brute_force(vectors, query, np.array(weights or [1, 1, 1], float))
    order = np.argsort(-expected, kind="stable")
    assert [n.track_id for n in found] == [f"{row:04d}" for row in order]
    np.testing.assert_allclose([n.similarity for n in found], expected[order], atol=1e-6)


def test_the_nearest_are_the_planted_ones():
    """Four clusters in every layer: the neighbours of a member are the other members."""
    rng = np.random.default_rng(0)
    centres = 5 + rng.standard_normal((4, L, D))
    vectors = np.concatenate([centre + 0.05 * rng.standard_normal((5, L, D)) for centre in centres])
    index = NeighbourIndex(embedding_set(vectors))
    for row in range(20):
        found = index.search(vectors[row].astype(np.float32), 4, exclude=[f"{row:04d}"])
        assert {int(n.track_id) // 5 for n in found} == {row // 5}


def test_the_query_itself_is_first_with_similarity_one_and_excluded_on_demand():
    vectors = random_vectors(30)
    index = NeighbourIndex(embedding_set(vectors))
    assert index.search(vectors[7], 1)[0].track_id == "0007"
    assert index.search(vectors[7], 1)[0].similarity == pytest.approx(1.0, abs=1e-5)
    assert "0007" not in [n.track_id for n in index.search(vectors[7], 30, exclude=["0007"])]


def test_equal_similarities_come_in_order_of_track_id():
    """Ten copies under shuffled names: the same list for every k, and every k a prefix of the next."""
    vectors = np.concatenate([np.repeat(random_vectors(1), 10, axis=0), random_vectors(5, seed=2)])
    ids = [f"c{n}" for n in (3, 1, 9, 0, 2, 7, 8, 5, 4, 6)] + [f"z{n}" for n in range(5)]
    index = NeighbourIndex(embedding_set(vectors, ids))
    lists = [[n.track_id for n in index.search(vectors[0], k)] for k in range(1, 16)]
    assert lists[9] == [f"c{n}" for n in range(10)]
    assert all(longer[:-1] == shorter for shorter, longer in itertools.pairwise(lists))


def test_k_above_the_size_returns_all_and_ranks_count_from_one():
    index = NeighbourIndex(embedding_set(random_vectors(5)))
    found = index.search(random_vectors(1, seed=3)[0], 99)
    assert [n.rank for n in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("shard_above", [0, 10**9])
def test_percentile_is_the_share_of_less_similar_pairs(shard_above, monkeypatch):
    monkeypatch.setattr(module, "SHARD_ABOVE_BYTES", shard_above)
    vectors = random_vectors(40)
    index = NeighbourIndex(embedding_set(vectors))
    pairs = [
        s for row in range(40) for s in brute_force(vectors, vectors[row], np.ones(L))[row + 1 :]
    ]  # every pair once
    for neighbour in index.search(vectors[0], 10, exclude=["0000"]):
        expected = 100 * np.mean(np.array(pairs) < neighbour.similarity - 1e-6)
        assert neighbour.percentile == pytest.approx(expected, abs=100 / len(pairs) + 1e-6)
    assert index.percentile(2.0) == 100 and index.percentile(-2.0) == 0


def test_sampled_pairs_stand_for_all_of_them(monkeypatch):
    """With more pairs than are kept, the seeded sample's percentiles agree with the exact ones."""
    exact = NeighbourIndex(embedding_set(random_vectors(200)))
    assert len(exact.pair_similarities) == 200 * 199 // 2
    monkeypatch.setattr(module, "MAX_PAIRS", 5_000)
    sampled = NeighbourIndex(embedding_set(random_vectors(200)))
    assert len(sampled.pair_similarities) == 5_000
    for similarity in np.linspace(-0.5, 0.5, 11):
        assert sampled.percentile(similarity) == pytest.approx(exact.percentile(similarity), abs=2.0)


def test_scale_and_gain_of_a_vector_change_nothing_after_centring():
    """Shifting every vector by the same amount leaves every similarity as it was."""
    vectors, query = random_vectors(50), random_vectors(1, seed=1)[0]
    plain = NeighbourIndex(embedding_set(vectors)).search(query, 50)
    shifted = NeighbourIndex(embedding_set(vectors + 5)).search(query + 5, 50)
    assert [n.track_id for n in plain] == [n.track_id for n in shifted]


def test_a_library_of_one_track_or_of_copies_has_no_directions():
    one = NeighbourIndex(embedding_set(random_vectors(1)))
    (neighbour,) = one.search(random_vectors(1, seed=1)[0], 3)
    assert neighbour.similarity == 0 and neighbour.percentile is None
    copies = NeighbourIndex(embedding_set(np.repeat(random_vectors(1), 4, axis=0)))
    assert [n.similarity for n in copies.search(random_vectors(1)[0], 4)] == [0] * 4


def test_inputs_are_untouched():
    vectors, query = random_vectors(10), random_vectors(1, seed=1)[0]
    before = vectors.copy(), query.copy()
    NeighbourIndex(embedding_set(vectors)).search(query, 3)
    np.testing.assert_array_equal(vectors, before[0])
    np.testing.assert_array_equal(query, before[1])


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"k": 0}, InputError, "k is 0"),
        ({"weights": np.zeros(L)}, InputError, "not all zero"),
        ({"weights": np.array([1, -1, 1])}, InputError, "not negative"),
        ({"weights": np.ones(2)}, InputError, "3 layers"),
        ({"query": np.zeros((2, D), np.float32)}, ArtefactMismatchError, "same encoder"),
    ],
)
def test_bad_questions_get_one_sentence(change, error, match):
    question = {"query": random_vectors(1)[0], "k": 3, **change}
    index = NeighbourIndex(embedding_set(random_vectors(5)))
    with pytest.raises(error, match=match):
        index.search(question.pop("query"), question.pop("k"), **question)


def test_an_empty_library_says_what_to_do():
    with pytest.raises(DataMissingError, match="python -m mess_core extract --encoder fake"):
        NeighbourIndex(embedding_set(np.zeros((0, L, D))))
