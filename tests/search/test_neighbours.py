"""Neighbours: brute force in double precision, planted answers, and what an approximate index misses."""

import itertools

import numpy as np
import pytest
from scipy.stats import skew

from mess_core.embeddings.store import EmbeddingSet
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search import neighbours as module
from mess_core.search.geometry import DirectionGeometry, LayerGeometry
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.recall import measure_recall
from mess_core.search.selection import Facts
from tests.conftest import FakeEncoder

L, D = 3, 8
INFO = FakeEncoder(n_layers=L, dim=D).info
SEARCHED = {"brightness": ("a",), "texture": ("b", "c"), "tempo": ("d",)}
LAYERS = {"brightness": (0,), "texture": (0, 2), "tempo": (1, 2)}
GEOMETRIES = ["layer", "direction"]
ASKED = [{}, {"brightness": 1}, {"texture": 3, "tempo": 1}, {"brightness": 0.2, "texture": 0.5, "tempo": 0.3}]


def embedding_set(vectors: np.ndarray, ids=None, info=INFO) -> EmbeddingSet:
    vectors = np.asarray(vectors, np.float32)
    return EmbeddingSet(info, tuple(ids or [f"{row:04d}" for row in range(len(vectors))]), vectors, "content")


def random_vectors(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (10 + rng.standard_normal((n, L, D))).astype(np.float32)  # a large common part, as real embeddings have


def directions(n_layers: int = L, dim: int = D, targets="abcd") -> Directions:
    """The coordinate of target t is number t of layer 0."""
    weights = np.zeros((len(targets), n_layers, dim), np.float32)
    weights[range(len(targets)), 0, range(len(targets))] = 1
    offsets = np.zeros((len(targets), n_layers), np.float32)
    return Directions(tuple(targets), ((0,),) * len(targets), weights, offsets)


def geometry_of(name: str, vectors: np.ndarray, avoid=()):
    evidence = {aspect: AspectEvidence(LAYERS[aspect], own, "high", own) for aspect, own in SEARCHED.items()}
    if name == "layer":
        return LayerGeometry.fit(vectors, evidence, directions(), avoid)
    return DirectionGeometry.fit(vectors, evidence, directions(), avoid)


def index_of(name: str, vectors: np.ndarray, ids=None, **facts) -> NeighbourIndex:
    vectors = np.asarray(vectors, np.float32)
    return NeighbourIndex(embedding_set(vectors, ids), geometry_of(name, vectors), **facts)


def parts_by_hand(name: str, library: np.ndarray, one: np.ndarray, others: np.ndarray) -> dict[str, np.ndarray]:
    """Similarity of one vector to others in each aspect, and without any, by the definition."""
    library, one, others = (np.asarray(v, np.float64) for v in (library, one, others))
    centre = library.mean(axis=0)
    if name == "layer":
        a, b = others - centre, one - centre
        cosines = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        parts = {aspect: cosines[:, layers].mean(axis=1) for aspect, layers in LAYERS.items()}
        return {**parts, "": cosines.mean(axis=1)}
    spread = library[:, 0].std(axis=0)
    parts = {}
    for aspect, targets in SEARCHED.items():
        own = ["abcd".index(target) for target in targets]
        z, x, q = (v[..., 0, own] / spread[own] for v in (library, others, one))
        pairs = [((z[i] - z[j]) ** 2).sum() for i, j in itertools.combinations(range(len(z)), 2)]
        parts[aspect] = -((x - q) ** 2).sum(axis=1) / np.median(pairs)
    return {**parts, "": np.mean(list(parts.values()), axis=0)}


def by_hand(name: str, library: np.ndarray, one: np.ndarray, others: np.ndarray, asked: dict) -> np.ndarray:
    parts = parts_by_hand(name, library, one, others)
    if not asked:
        return parts[""]
    return sum(weight / sum(asked.values()) * parts[aspect] for aspect, weight in asked.items())


def ids_of(found) -> list[str]:
    return [neighbour.track_id for neighbour in found.neighbours]


# --- brute force --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("asked", ASKED, ids=" ".join)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_search_is_a_sort_of_the_definition(name, asked):
    """For any weights and every k; total, aspects and contributions agree with it, too."""
    vectors, query = random_vectors(150), random_vectors(1, seed=1)[0]
    index = index_of(name, vectors)
    expected = by_hand(name, vectors, query, vectors, asked)
    order = [f"{row:04d}" for row in np.argsort(-expected, kind="stable")]
    parts = parts_by_hand(name, vectors, query, vectors)
    for k in (1, 2, 15, 16, 17, 64, 149, 150, 400):
        found = index.search(query, Question(asked, k=k)).neighbours
        assert [n.track_id for n in found] == order[:k]
        assert [n.rank for n in found] == list(range(1, min(k, 150) + 1))
    total = sum(asked.values())
    for neighbour in found:
        row = int(neighbour.track_id)
        assert neighbour.similarity == pytest.approx(expected[row], abs=1e-5)
        if not asked:
            assert neighbour.aspects is None
            continue
        assert set(neighbour.aspects) == set(asked)
        assert sum(s.contribution for s in neighbour.aspects.values()) == pytest.approx(neighbour.similarity, abs=1e-6)
        for aspect, score in neighbour.aspects.items():
            assert score.weight == pytest.approx(asked[aspect] / total)
            assert score.similarity == pytest.approx(parts[aspect][row], abs=1e-5)
            assert score.contribution == pytest.approx(score.weight * parts[aspect][row], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", GEOMETRIES)
def test_percentiles_are_those_of_the_library_pairs(name):
    """Of the total and of each aspect, counted pair by pair; a copy is nearer than all of them."""
    vectors, asked = random_vectors(40), {"brightness": 1, "texture": 3}
    index = index_of(name, vectors)
    pairs = [parts_by_hand(name, vectors, vectors[row], vectors[row + 1 :]) for row in range(39)]
    of_part = {aspect: np.concatenate([own[aspect] for own in pairs]) for aspect in asked}
    of_total = 0.25 * of_part["brightness"] + 0.75 * of_part["texture"]

    def share(similarities: np.ndarray, one: float) -> float:
        return 100 * (np.mean(similarities < one - 2e-6) + np.mean(np.abs(similarities - one) <= 2e-6) / 2)

    found = index.search(random_vectors(1, seed=1)[0], Question(asked, k=40)).neighbours
    for neighbour in found:
        assert neighbour.percentile == pytest.approx(share(of_total, neighbour.similarity), abs=100 / 780)
        for aspect, score in neighbour.aspects.items():
            assert score.percentile == pytest.approx(share(of_part[aspect], score.similarity), abs=100 / 780)
    assert np.ptp([neighbour.percentile for neighbour in found]) > 50
    assert index.search(vectors[7], Question(asked, k=1)).neighbours[0].percentile == 100


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{}, {"texture": 3, "tempo": 1}])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_where_neighbours_usually_stand_is_a_median_over_the_library(name, asked):
    """By hand: the nearest and the third of every recording among all pairs; no entry for a rank that nobody has."""
    vectors = random_vectors(40, seed=5)
    found = index_of(name, vectors).usual_percentiles(Question(aspects=asked), ranks=(1, 3, 40))
    rows = [np.delete(by_hand(name, vectors, one, vectors, asked), row) for row, one in enumerate(vectors)]
    pairs = np.sort(np.concatenate(rows))
    for rank in (1, 3):
        nth = [np.sort(row)[-rank] for row in rows]
        below = (np.searchsorted(pairs, nth, "left") + np.searchsorted(pairs, nth, "right")) / 2
        assert found[rank] == pytest.approx(np.median(100 * below / len(pairs)), abs=0.5)
    assert found.keys() == {1, 3} and found[1] > 95 > found[3] - 5


@pytest.mark.parametrize("asked", [{}, {"texture": 3, "tempo": 1}])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_nearness_is_the_standing_among_pairs_of_neighbours(name, asked):
    """By hand: the six nearest, a tenth of sixty, of every recording; in total and in each aspect alone."""
    vectors = random_vectors(61, seed=6)
    index, query = index_of(name, vectors), random_vectors(1, seed=7)[0]

    def nearest_pairs(aspects: dict[str, float]) -> np.ndarray:
        rows = [np.delete(by_hand(name, vectors, one, vectors, aspects), row) for row, one in enumerate(vectors)]
        return np.concatenate([np.sort(row)[-6:] for row in rows])

    found = index.search(query, Question(asked, k=61)).neighbours
    among = nearest_pairs(asked)
    for neighbour in found:
        assert neighbour.nearness == pytest.approx(100 * np.mean(among < neighbour.similarity), abs=0.5)
    near = [neighbour.nearness for neighbour in found]
    assert near == sorted(near, reverse=True) and near[-1] == 0
    for aspect in asked:
        of_aspect = nearest_pairs({aspect: 1.0})
        for neighbour in found:
            score = neighbour.aspects[aspect]
            assert score.nearness == pytest.approx(100 * np.mean(of_aspect < score.similarity), abs=0.5)


def test_what_is_less_alike_than_all_neighbours_here_is_strange():
    """However near it lies: the library fills five of eight dimensions, and this points along a sixth."""
    rng = np.random.default_rng(3)
    vectors = np.full((80, L, D), 10.0, np.float32)
    vectors[:, :, :5] += rng.standard_normal((80, L, 5))
    index = index_of("layer", vectors)
    own = index.search(vectors[5])
    assert own.neighbours[0].nearness == 100 and own.is_strange is False
    other = vectors.mean(axis=0)
    other[:, 6] += 0.1  # closer to the middle of the library than any of its own
    found = index.search(other)
    assert found.neighbours[0].nearness == 0 and found.is_strange is True


@pytest.mark.parametrize("name", GEOMETRIES)
def test_nearness_where_there_is_hardly_anything_to_stand_among(name):
    """Alone there are no pairs; of copies each is as near as all others."""
    alone = index_of(name, random_vectors(1)).search(random_vectors(1, seed=1)[0])
    assert alone.neighbours[0].nearness is None
    copies = np.repeat(random_vectors(1), 30, axis=0)
    assert {found.nearness for found in index_of(name, copies).search(copies[0]).neighbours} == {50.0}
    for n, is_said in ((2, False), (19, False), (20, True)):  # of three takes of one piece, anything would be as near
        few = random_vectors(n)
        assert (index_of(name, few).search(few[0]).neighbours[0].nearness == 100) == is_said


@pytest.mark.parametrize("name", GEOMETRIES)
def test_equal_similarities_come_in_order_of_track_id(name):
    """Forty copies under shuffled names: for every k the same list, also where k falls among them."""
    rng = np.random.default_rng(0)
    vectors = np.concatenate([np.repeat(random_vectors(1), 40, axis=0), random_vectors(30, seed=2)])
    ids = [f"c{n:02d}" for n in rng.permutation(40)] + [f"z{n}" for n in range(30)]
    index = index_of(name, vectors, ids)
    lists = [ids_of(index.search(vectors[0], Question(k=k))) for k in range(1, 71)]
    assert lists[39] == [f"c{n:02d}" for n in range(40)]
    assert all(longer[:-1] == shorter for shorter, longer in itertools.pairwise(lists))


def test_far_from_the_mean_rounding_decides_nothing():
    """A tight group of outliers: in single precision its inner products drown, but it is ranked as it is."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((400, L, D)).astype(np.float32)
    vectors[300:, 0, 0] = 100 + 0.01 * vectors[300:, 0, 0]
    index = index_of("direction", vectors)
    for row in range(300, 400, 9):
        expected = -((vectors[:, 0, 0] - vectors[row, 0, 0].astype(np.float64)) ** 2)
        found = [int(own) for own in ids_of(index.search(vectors[row], Question({"brightness": 1}, k=10)))]
        best = np.sort(expected)[::-1][:10]
        scale = -best[-1]
        np.testing.assert_allclose(expected[found], best, atol=0.02 * scale)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_nearest_are_the_planted_ones(name):
    """Six clusters: the neighbours of a member are the other members, with and without what is excluded."""
    vectors, _ = clusters(6, 5)
    index = index_of(name, vectors)
    for row in range(30):
        own = f"{row:04d}"
        assert ids_of(index.search(vectors[row]))[0] == own
        found = ids_of(index.search(vectors[row], Question(k=4), exclude=[own]))
        assert own not in found and {int(track_id) // 5 for track_id in found} == {row // 5}
    gone = [f"{row:04d}" for row in range(28)]
    assert sorted(ids_of(index.search(vectors[0], exclude=gone))) == ["0028", "0029"]
    assert ids_of(index.search(vectors[0], exclude=[*gone, "0028", "0029"])) == []


@pytest.mark.parametrize("name", GEOMETRIES)
def test_moving_or_shuffling_the_library_changes_nothing(name):
    vectors, query = random_vectors(50), random_vectors(1, seed=1)[0]
    plain = index_of(name, vectors).search(query, Question({"texture": 1}, k=50))
    moved = index_of(name, vectors + 5).search(query + 5, Question({"texture": 1}, k=50))
    order = np.random.default_rng(3).permutation(50)
    shuffled = index_of(name, vectors[order], [f"{row:04d}" for row in order])
    assert ids_of(plain) == ids_of(moved) == ids_of(shuffled.search(query, Question({"texture": 1}, k=50)))


@pytest.mark.parametrize("name", GEOMETRIES)
def test_one_track_or_only_copies_can_be_searched(name):
    one = index_of(name, random_vectors(1))
    (neighbour,) = one.search(random_vectors(1, seed=1)[0], Question({"tempo": 1}, hubs="on")).neighbours
    assert neighbour.track_id == "0000" and neighbour.percentile is None
    assert neighbour.aspects["tempo"].percentile is None
    copies = index_of(name, np.repeat(random_vectors(1), 4, axis=0))
    found = copies.search(random_vectors(1)[0], Question(k=4, hubs="on"))
    assert ids_of(found) == ["0000", "0001", "0002", "0003"]
    assert [neighbour.similarity for neighbour in found.neighbours] == pytest.approx([0] * 4, abs=1e-6)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_inputs_are_left_as_they_were(name):
    vectors, query = random_vectors(30), random_vectors(1, seed=1)[0]
    before = vectors.copy(), query.copy()
    for array in (vectors, query):
        array.setflags(write=False)
    request = Question({"tempo": 1, "texture": 0}, hubs="on", diversity=0.5, duplicates="collapse")
    index = index_of(name, vectors)
    assert index.search(query, request) == index.search(query, request)
    np.testing.assert_array_equal(vectors, before[0])
    np.testing.assert_array_equal(query, before[1])
    assert request.aspects == {"tempo": 1, "texture": 0}


# --- what is asked beside the query --------------------------------------------------------------------------


@pytest.mark.parametrize("name", GEOMETRIES)
def test_changing_weights_rebuilds_nothing(name, monkeypatch):
    """The library is turned into items once; after that only queries are."""
    vectors = random_vectors(60)
    geometry, n_items = geometry_of(name, vectors), []
    kind, items = type(geometry), type(geometry).items
    monkeypatch.setattr(kind, "items", lambda self, v: n_items.append(len(v)) or items(self, v))
    index = NeighbourIndex(embedding_set(vectors), geometry)
    assert n_items == [60]
    rows, blocks, stored = index.rows, list(index.rows._blocks), index.rows.rows(np.arange(60)).copy()
    lists = [ids_of(index.search(vectors[0], Question(asked, hubs=hubs))) for asked in ASKED for hubs in ("on", "off")]
    assert n_items == [60] + [1] * 8 and len({tuple(own) for own in lists}) >= 4
    assert index.rows is rows and all(one is other for one, other in zip(rows._blocks, blocks, strict=True))
    np.testing.assert_array_equal(rows.rows(np.arange(60)), stored)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_caps_versions_and_copies_go_by_the_facts_given(name):
    """Clusters are works; row 1 is a near-duplicate of row 0, the query."""
    vectors, _ = clusters(6, 5)
    vectors[1] = vectors[0] + 1e-4
    index = index_of(name, vectors)

    def search(**asked) -> list[int]:
        found = index.search(
            vectors[0],
            Question(k=8, **asked),
            exclude=["0000"],
            facts_of=lambda track_ids: {each: Facts(work=f"w{int(each) // 5}") for each in track_ids},
            query_facts=Facts(work="w0"),
        )
        return [int(track_id) for track_id in ids_of(found)]

    assert search()[0] == 1 and len(search()) == 8
    assert sorted(row // 5 for row in search(max_per_work=1)) == list(range(6))
    assert all(row // 5 for row in search(versions="exclude"))
    assert 1 not in search(duplicates="exclude") and 2 in search(duplicates="exclude")


@pytest.mark.slow
@pytest.mark.parametrize("name", GEOMETRIES)
def test_diversity_is_relevance_against_likeness_to_results(name):
    """Greedy maximal marginal relevance, by hand."""
    vectors, query = random_vectors(40), random_vectors(1, seed=1)[0]
    relevance = by_hand(name, vectors, query, vectors, {"texture": 1})
    alike = np.array([by_hand(name, vectors, own, vectors, {"texture": 1}) for own in vectors])
    chosen: list[int] = []
    for _ in range(8):
        merit = 0.4 * relevance - (0.6 * alike[chosen].max(axis=0) if chosen else 0)
        merit[chosen] = -np.inf
        chosen.append(int(merit.argmax()))
    found = index_of(name, vectors).search(query, Question({"texture": 1}, k=8, diversity=0.6))
    assert [int(track_id) for track_id in ids_of(found)] == chosen
    assert [neighbour.similarity for neighbour in found.neighbours] == pytest.approx(relevance[chosen], abs=1e-5)


def test_what_is_avoided_is_no_aspect_any_more():
    vectors = random_vectors(30)
    index = NeighbourIndex(embedding_set(vectors), geometry_of("direction", vectors, avoid=("a",)))
    assert index.search(vectors[0], Question({"tempo": 1})).neighbours[0].track_id == "0000"
    with pytest.raises(InputError, match=r"Nothing can be searched by brightness here.*another aspect"):
        index.search(vectors[0], Question({"brightness": 1, "tempo": 1}))


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        (Question(k=0), "k is 0"),
        (Question({"tempo": -1}), "expected 0 or more"),
        (Question({"tmpo": 1}), "Did you mean tempo"),
        (Question({"legato": 1}), "Nothing can be searched by legato here"),
    ],
)
def test_bad_requests_get_one_sentence(request_, match):
    with pytest.raises(InputError, match=match):
        index_of("layer", random_vectors(5)).search(random_vectors(1)[0], request_)


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("shape", [(L - 1, D), (L, D + 1), (1, L, D), (L * D,)])
def test_a_query_by_another_encoder_is_refused(name, shape):
    with pytest.raises(ArtefactMismatchError, match=r"this index holds \(3, 8\) by fake\. .*the same encoder"):
        index_of(name, random_vectors(5)).search(np.zeros(shape, np.float32))


def test_an_empty_library_says_what_to_do():
    with pytest.raises(DataMissingError, match="python -m mess_core extract --encoder fake"):
        NeighbourIndex(embedding_set(np.zeros((0, L, D))), LayerGeometry.fit(np.zeros((1, L, D), np.float32)))


# --- hubs ---------------------------------------------------------------------------------------------------

HUB_DIM = 30
HUB_INFO = FakeEncoder(n_layers=1, dim=HUB_DIM).info


@pytest.fixture(scope="module", params=GEOMETRIES)
def with_hub(request):
    """300 points in 30 dimensions, and in row 0 what they have in common, which is near to everything.

    For distances that is the middle of the cloud; for cosines, a direction that half of all share.
    """
    vectors = np.random.default_rng(0).standard_normal((300, 1, HUB_DIM)).astype(np.float32)
    if request.param == "layer":
        vectors[:150, :, 0] += 2
        vectors[150:, :, 0] -= 2
        vectors[0] = vectors[:150].mean(axis=0)
        return vectors, NeighbourIndex(embedding_set(vectors, info=HUB_INFO), LayerGeometry.fit(vectors))
    vectors[0] = vectors.mean(axis=0)
    targets = tuple(f"t{number}" for number in range(HUB_DIM))
    evidence = {"brightness": AspectEvidence((0,), targets, "high", targets)}
    geometry = DirectionGeometry.fit(vectors, evidence, directions(1, HUB_DIM, targets))
    return vectors, NeighbourIndex(embedding_set(vectors, info=HUB_INFO), geometry)


def all_pairs(name: str, vectors: np.ndarray) -> np.ndarray:
    """Similarities by the definition, and -inf of each to itself."""
    z = vectors[:, 0].astype(np.float64)
    if name == "layer":
        z = z - z.mean(axis=0)
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        similarities = z @ z.T
    else:
        z /= z.std(axis=0)
        squares = ((z[:, None] - z[None]) ** 2).sum(axis=-1)
        similarities = -squares / np.median(squares[np.triu_indices(len(z), 1)])
    np.fill_diagonal(similarities, -np.inf)
    return similarities


@pytest.mark.parametrize("k", [1, 5, 40, 299])
def test_hubs_are_corrected_as_csls_says(with_hub, k):
    """2 s(q, x) - r(x), r the mean of the ten nearest, over the whole library; the similarity shown stays s."""
    vectors, index = with_hub
    similarities = all_pairs(index.geometry.name, vectors)
    r = np.sort(similarities, axis=1)[:, -10:].mean(axis=1)
    for row in (0, 17, 120):
        scores = 2 * similarities[row] - r
        found = index.search(vectors[row], Question(k=k, hubs="on"), exclude=[f"{row:04d}"]).neighbours
        order = [int(neighbour.track_id) for neighbour in found]
        assert order == list(np.argsort(-scores, kind="stable")[:k])
        assert [n.similarity for n in found] == pytest.approx(similarities[row, order], abs=1e-5)


@pytest.mark.slow
def test_the_planted_hub_is_no_hub_any_more(with_hub):
    """How often each is among the ten nearest: less skewed, and the hub less often."""
    vectors, index = with_hub
    counts = {}
    for hubs in ("off", "on"):
        counts[hubs] = np.zeros(300)
        for row in range(300):
            found = ids_of(index.search(vectors[row], Question(hubs=hubs), exclude=[f"{row:04d}"]))
            counts[hubs][[int(track_id) for track_id in found]] += 1
    assert counts["off"][0] > 60 and counts["on"][0] < 0.6 * counts["off"][0]
    at_most = 0.7 if index.geometry.name == "layer" else 1.0  # of squared distances half the correction is left
    assert skew(counts["on"]) < at_most * skew(counts["off"])


def test_auto_does_what_it_is_told_helps(with_hub):
    vectors, index = with_hub
    lists = {}
    for hubs, helps in itertools.product(("auto", "on", "off"), (None, False, True)):
        found = index.search(vectors[5], Question(hubs=hubs), corrects_hubs=helps)
        lists[hubs, helps] = ids_of(found)
    corrected, plain = lists["on", None], lists["off", None]
    assert corrected != plain
    assert lists["auto", True] == lists["on", False] == lists["on", True] == corrected
    assert lists["auto", None] == lists["auto", False] == lists["off", True] == lists["off", False] == plain


@pytest.mark.slow
def test_a_sample_of_references_stands_for_a_large_library(with_hub, monkeypatch):
    """Fewer references than tracks: the same ones every time, and nearly what the whole library says."""
    vectors, whole = with_hub
    whole.search(vectors[0], Question(hubs="on"))  # looks at all of them, whichever test comes first
    monkeypatch.setattr(module, "HUB_REFERENCES", 150)
    first, again = (NeighbourIndex(embedding_set(vectors, info=HUB_INFO), whole.geometry) for _ in range(2))
    shared = []
    for row in range(1, 300, 10):
        lists = [
            ids_of(index.search(vectors[row], Question(hubs="on"), exclude=[f"{row:04d}"]))
            for index in (first, again, whole)
        ]
        assert lists[0] == lists[1]
        shared.append(len({*lists[0]} & {*lists[2]}))
    assert 7 < np.mean(shared) < 10


# --- unlike everything --------------------------------------------------------------------------------------


CORNERS = [corner for corner in itertools.product((-1, 1), repeat=4) if sum(corner) % 4 == 0][:6]


def clusters(n_clusters: int, n_each: int, seed: int = 0):
    """Clusters at corners of a cube, two numbers apart at least, and one more member of each that is held out."""
    rng = np.random.default_rng(seed)
    corners = np.array(CORNERS[:n_clusters])
    centres = np.full((n_clusters, L, D), 10.0)
    centres[:, :, :4] += 3 * corners[:, None]
    members = centres[:, None] + 0.3 * rng.standard_normal((n_clusters, n_each + 1, L, D))
    library = members[:, :n_each].reshape(-1, L, D)
    return library.astype(np.float32), members[:, n_each].astype(np.float32)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_stranger_is_called_one(name):
    """Held-out members of the clusters are not strange; what is far from all of them is."""
    vectors, held_out = clusters(6, 20)
    index = index_of(name, vectors)
    assert [index.search(member).is_strange for member in held_out] == [False] * 6
    centre = vectors.mean(axis=0)
    for number, sign in itertools.product(range(4), (-1, 1)):
        far = centre.copy()
        far[:, number] += sign * 30
        assert index.search(far).is_strange is True
    assert index.search(vectors[3]).is_strange is False
    assert index.search(far, Question({"tempo": 1})).is_strange is True, "whatever is asked"


@pytest.mark.parametrize("name", GEOMETRIES)
def test_other_recordings_of_a_work_say_nothing_of_what_is_usual(name):
    """Each track is there twice: only if that is known, no new member of the clusters is strange."""
    vectors, held_out = clusters(6, 20)
    twice = np.repeat(vectors, 2, axis=0)
    works = [str(row // 2) for row in range(len(twice))]
    unknown, known = index_of(name, twice), index_of(name, twice, works=works)
    assert any(unknown.search(member).is_strange for member in held_out)
    assert [known.search(member).is_strange for member in held_out] == [False] * 6


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_tiny_library_cannot_say(name):
    """Nineteen tracks have no hundredth; nor have thirty of one work."""
    assert index_of(name, random_vectors(19)).search(random_vectors(1, seed=1)[0]).is_strange is None
    assert index_of(name, random_vectors(20)).search(random_vectors(1, seed=1)[0]).is_strange is not None
    one_work = index_of(name, random_vectors(30), works=["w"] * 30)
    assert one_work.search(random_vectors(1, seed=1)[0]).is_strange is None


# --- approximate indexes ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_an_approximate_index_answers_alike(kind):
    """Most of the true ten, with exact similarities, each once, and all ids valid."""
    vectors, queries = random_vectors(1500), random_vectors(10, seed=1)
    exact, index = index_of("layer", vectors), index_of("layer", vectors, kind=kind)
    n_hits = 0
    for query in queries:
        wanted = ids_of(exact.search(query))
        found = index.search(query).neighbours
        n_hits += len(set(wanted) & {neighbour.track_id for neighbour in found})
        own = vectors[[int(neighbour.track_id) for neighbour in found]]
        similarities = by_hand("layer", vectors, query, own, {})
        assert [neighbour.similarity for neighbour in found] == pytest.approx(similarities, abs=1e-3)
        assert len({neighbour.track_id for neighbour in found}) == 10
    assert n_hits >= (90 if kind == "hnsw" else 30)
    everything = ids_of(index.search(queries[0], Question(k=2000)))
    assert len(everything) == len(set(everything)) > 50 and set(everything) <= set(index.track_ids)


def test_the_sizes_of_embeddings_do_not_lead_a_walk_astray():
    """Loud and faint members of clusters: sizes are kept with the rows, but the graph is laid out by directions."""
    rng = np.random.default_rng(0)
    members = rng.standard_normal((30, 1, L, D)) + 0.5 * rng.standard_normal((30, 40, L, D))
    vectors = 10 + (members * rng.lognormal(0, 0.7, (30, 40, 1, 1))).reshape(1200, L, D)
    found = measure_recall(index_of("layer", vectors, kind="hnsw"))
    assert min(figure.share for figure in found) > 0.95


@pytest.mark.parametrize("name", GEOMETRIES)
def test_an_exact_index_misses_nothing(name):
    found = measure_recall(index_of(name, random_vectors(120)))
    aspects = ["brightness", "texture", "tempo"] if name == "layer" else ["brightness", "texture"]
    three = ["three aspects"] if name == "layer" else []
    assert [figure.weighting for figure in found] == ["nothing in particular", *three, *aspects]
    assert [figure.share for figure in found] == [1.0] * len(found)
    assert all(0 < figure.median_s < 1 for figure in found)


@pytest.mark.slow
def test_what_an_approximate_index_misses_is_measured(monkeypatch):
    """A hasty walk over noise: the share of the true ten that it finds, counted again by hand."""
    from mess_core.search import rows

    monkeypatch.setattr(rows, "HNSW_EFFORT", 15)
    monkeypatch.setattr(rows, "HNSW_LINKS", 4)
    monkeypatch.setattr(rows, "HNSW_EFFORT_TO_BUILD", 8)
    vectors = random_vectors(600)
    exact, index = index_of("layer", vectors), index_of("layer", vectors, kind="hnsw")
    found = {figure.weighting: figure.share for figure in measure_recall(index, 600)}
    assert all(0 < share < 1 for share in found.values())
    share, n_hits = 1 / L * D * L / index.geometry.n_columns, 0
    weights = np.eye(4)[0]
    for own, item in enumerate(index.rows.rows(np.arange(600))):
        vector = index.geometry.query(item, weights)[0][None]
        wanted, rows = (each[0][each[0] != own][:10] for each in (
            exact.rows.search(vector, 11)[1], index.rows.search(vector, 11, share)[1]
        ))  # fmt: skip
        n_hits += len(np.intersect1d(wanted, rows))
    assert found["brightness"] == pytest.approx(n_hits / 6_000)
    few = measure_recall(index_of("layer", vectors[:6], kind="hnsw"))
    assert few[0].share == 1.0, "six tracks have five others"
