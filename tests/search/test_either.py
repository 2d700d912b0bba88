"""Either of two hearings: rare in one is near, whatever the other says; and the search is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.embeddings.store import EmbeddingSet
from mess_core.encoders.base import Part
from mess_core.encoders.mel import MEL, MFCC
from mess_core.errors import InputError
from mess_core.search.either import EitherGeometry, Rarity, geometry_for, in_which
from mess_core.search.geometry import DirectionGeometry, LayerGeometry
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Question

MUSIC, SOUND = "same music", "same sound and style"
N, DIM = 300, 24
INFO = replace(
    MEL, id="hearing:planted", n_layers=3, dim=DIM, pooling="mean", widths=(DIM, DIM, 8),
    parts=(Part(MEL, (0, 1), MUSIC), Part(MFCC, (0,), SOUND)),
)  # fmt: skip


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Tracks in pairs: 2i and 2i + 1 share their music if i is even, their sound if i is odd, and nothing else."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((N, 3, DIM)).astype(np.float32)
    vectors[:, 2, 8:] = 0
    for i in range(N // 2):
        layers = [0, 1] if i % 2 == 0 else [2]
        vectors[2 * i + 1, layers] = vectors[2 * i, layers] + 0.1 * vectors[2 * i + 1, layers]
    return vectors


def index_of(vectors: np.ndarray) -> NeighbourIndex:
    ids = tuple(f"t{n:04d}" for n in range(N))
    return NeighbourIndex(EmbeddingSet(INFO, ids, vectors, "x"), EitherGeometry.fit(vectors, info=INFO))


@pytest.fixture(scope="module")
def index(vectors) -> NeighbourIndex:
    return index_of(vectors)


@pytest.mark.slow
def test_the_partner_is_found_in_whichever_hearing_it_is_one(index, vectors) -> None:
    """Chance stands in the way only in the narrow hearing, of eight numbers."""
    hits = []
    for row in range(N):
        (nearest,) = index.search(vectors[row], Question(k=1), exclude=[f"t{row:04d}"]).neighbours
        hits.append(nearest.track_id == f"t{row ^ 1:04d}")
        if hits[-1]:
            leading = max(nearest.hearings, key=nearest.hearings.get)
            assert leading == (MUSIC if row // 2 % 2 == 0 else SOUND) and nearest.hearings[leading] > 99
    assert np.mean(hits) > 0.95


def test_a_mixture_of_both_finds_less(vectors) -> None:
    """What the maximum is for: the mean of all layers misses partners in the narrow hearing."""
    geometry = LayerGeometry.fit(vectors, info=INFO)
    items = geometry.items(vectors)
    similarities = items @ np.stack([geometry.query(item, geometry.plain)[0] for item in items]).T
    np.fill_diagonal(similarities, -np.inf)
    assert (similarities.argmax(axis=0) == np.arange(N) ^ 1).mean() < 0.9


@pytest.mark.parametrize("k", [1, 10, 60, N])
def test_search_equals_brute_force(index, vectors, k) -> None:
    geometry = index.geometry
    items = geometry.items(vectors)
    for row in range(0, N, 23):
        totals = geometry.similarities(items[row], items).max(axis=1)
        totals[row] = -np.inf
        order = sorted(range(N), key=lambda other: (-totals[other], other))[: min(k, N - 1)]
        found = index.search(vectors[row], Question(k=k), exclude=[f"t{row:04d}"]).neighbours
        assert [each.track_id for each in found] == [f"t{other:04d}" for other in order]
        np.testing.assert_allclose([each.similarity for each in found], totals[order], atol=1e-5)


def test_percentiles_are_those_of_the_larger_one(index, vectors) -> None:
    geometry = index.geometry
    items = geometry.items(vectors)
    pairs = np.concatenate([geometry.similarities(items[row], items[row + 1 :]).max(axis=1) for row in range(N - 1)])
    found = index.search(vectors[0], Question(k=20), exclude=["t0000"]).neighbours
    for each in found:
        assert each.percentile == pytest.approx(100 * (pairs < each.similarity).mean(), abs=0.01)
    usual = index.usual_percentiles(Question())
    assert 99 < usual[1] <= 100 and usual[10] < usual[1]


def test_who_is_strange_does_not_hang_on_the_order_of_the_library(vectors) -> None:
    """What is nearly a recording of the library is not, wherever in it that stands."""
    rng = np.random.default_rng(4)
    for order in (np.arange(N), np.arange(N)[::-1]):
        ordered = index_of(vectors[order])
        for row in range(0, N, 15):
            query = vectors[row] + 0.1 * rng.standard_normal((3, DIM)).astype(np.float32)
            query[2, 8:] = 0
            assert ordered.search(query).is_strange is False


def test_hubs_are_not_corrected_in_it(index, vectors) -> None:
    plain, corrected = (index.search(vectors[3], Question(hubs=hubs)).neighbours for hubs in ("off", "on"))
    assert plain == corrected


def test_one_hearing_alone_ranks_as_that_hearing(vectors) -> None:
    """A maximum with one that says nothing is the other."""
    flat = vectors.copy()
    flat[:, 2] = 0
    info = replace(INFO, parts=INFO.parts)
    index = NeighbourIndex(
        EmbeddingSet(info, tuple(f"t{n:04d}" for n in range(N)), flat, "x"), EitherGeometry.fit(flat, info=info)
    )
    alone = LayerGeometry.fit(flat[:, :2])
    items = alone.items(flat[:, :2])
    for row in range(0, N, 37):
        cosines = alone.similarities(items[row], items)[:, 0]
        order = [other for other in np.argsort(-cosines, kind="stable") if other != row][:5]
        found = index.search(flat[row], Question(k=5), exclude=[f"t{row:04d}"]).neighbours
        assert [each.track_id for each in found] == [f"t{other:04d}" for other in order]


def test_rarity_is_the_share_of_pairs_and_goes_on_beyond_them() -> None:
    rng = np.random.default_rng(1)
    cosines = rng.logistic(0, 0.1, 20_000)  # whose tail is exponential: a decade is .1 ln 10
    rarity = Rarity.of(cosines)
    for share in (0.5, 0.1, 0.01, 0.001):
        at = 0.1 * np.log(1 / share - 1)
        assert float(rarity(np.array([at]))[0]) == pytest.approx(-np.log10(share), abs=0.1)
    far = np.array([0.9, 1.1])  # beyond all pairs
    assert rarity(far) == pytest.approx(far / (0.1 * np.log(10)), rel=0.1)
    grid = np.linspace(-2, 2, 1001)
    assert (np.diff(rarity(grid)) > 0).all()


def test_a_handicap_is_taken_off_everywhere() -> None:
    cosines = np.random.default_rng(0).standard_normal(20_000)
    asked = np.linspace(-6, 6, 50)
    np.testing.assert_allclose(Rarity.of(cosines, 0.1)(asked), Rarity.of(cosines)(asked) - 0.1, atol=1e-9)


@pytest.mark.parametrize("cosines", [np.empty(0), np.ones(3), np.zeros(5000), np.r_[np.zeros(4999), 1.0]])
def test_where_there_is_no_tail_the_order_stays(cosines) -> None:
    rarity = Rarity.of(cosines)
    values = rarity(np.linspace(-1, 1, 101))
    assert np.isfinite(values).all() and (np.diff(values) > 0).all()


def test_small_libraries_are_answered() -> None:
    for n in (1, 2, 5):
        vectors = np.random.default_rng(n).standard_normal((n, 3, DIM)).astype(np.float32)
        vectors[:, 2, 8:] = 0
        ids = tuple(f"t{i}" for i in range(n))
        index = NeighbourIndex(EmbeddingSet(INFO, ids, vectors, "x"), EitherGeometry.fit(vectors, info=INFO))
        found = index.search(vectors[0], exclude=["t0"]).neighbours
        assert len(found) == n - 1 and all(np.isfinite(each.similarity) for each in found)


def test_it_is_taken_where_there_are_several_hearings_and_nowhere_else() -> None:
    assert geometry_for("layer", INFO) is EitherGeometry and geometry_for("direction", INFO) is DirectionGeometry
    assert geometry_for("layer", MEL) is LayerGeometry
    assert geometry_for("layer", replace(INFO, parts=INFO.parts[:1])) is LayerGeometry
    with pytest.raises(InputError, match="needs the two"):
        EitherGeometry.fit(np.zeros((2, 3, DIM), np.float32), info=MEL)


def test_the_words_say_what_is_the_same_and_what_is_not() -> None:
    assert in_which({MUSIC: 95.0, SOUND: 60.0}) == "music alike"
    assert in_which({SOUND: 95.0, MUSIC: 20.0}) == "sound and style alike, other music"
    assert in_which({SOUND: 94.0, MUSIC: 20.0}) == in_which({MUSIC: 6.0, SOUND: 3.0}) == "", "near in neither"
