"""Codes: what comes first by them and is compared again is what comes first, whatever the geometry and the weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.embeddings.store import EmbeddingSet
from mess_core.encoders.base import Part
from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.mel import MEL, MFCC
from mess_core.errors import InputError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search import codes as codes_module
from mess_core.search import rows as rows_module
from mess_core.search.answers import answer, build_index, make_plan, query_of
from mess_core.search.codes import Codes, Largest
from mess_core.search.either import EitherGeometry
from mess_core.search.geometry import DirectionGeometry, Geometry, LayerGeometry, MainLayerGeometry
from mess_core.search.learned import LearnedGeometry, Line, Transform
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.recall import measure_recall, read_recall
from mess_core.search.rows import RowIndex, kind_for
from mess_core.search.transposed import TransposedGeometry
from mess_core.storage.far import FarRows
from mess_core.workspace.scope import Scope
from tests.planted import TWO_LAYERS, plant_library

N, L, D, K = 1200, 3, 24, 10
SEARCHED = {"brightness": ("a",), "texture": ("b", "c"), "tempo": ("d",)}
LAYERS = {"brightness": (0,), "texture": (0, 2), "tempo": (1, 2)}
EVIDENCE = {aspect: AspectEvidence(LAYERS[aspect], own, "high", own) for aspect, own in SEARCHED.items()}
HEARING = replace(
    MEL, id="hearing:planted", n_layers=L, dim=D, pooling="mean", widths=(D,) * L,
    parts=(Part(MEL, (0, 1), "same music"), Part(MFCC, (2,), "same sound and style")),
)  # fmt: skip


def made_up(n: int = N, dim: int = D, seed: int = 0) -> np.ndarray:
    """In half precision, clustered, near a few directions of each layer, with a large common part."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n // 10, 8))[rng.integers(0, n // 10, n)] + 0.5 * rng.standard_normal((n, 8))
    layers = [latent @ rng.standard_normal((8, dim)) for _ in range(L)]
    noise = 0.05 * rng.standard_normal((n, L, dim))
    return (3 + np.stack(layers, axis=1) + noise).astype(np.float16).astype(np.float32)


def far_of(vectors: np.ndarray) -> FarRows:
    return FarRows(vectors.shape, lambda rows: vectors[rows])


def directions() -> Directions:
    """The coordinate of target t is number t of layer 0."""
    weights = np.zeros((4, L, D), np.float32)
    weights[range(4), 0, range(4)] = 1
    return Directions(tuple("abcd"), ((0,),) * 4, weights, np.zeros((4, L), np.float32))


def learned(vectors, is_distance: bool) -> LearnedGeometry:
    rng = np.random.default_rng(2)
    line = Line(rng.standard_normal((L * D, 6)).astype(np.float32), rng.standard_normal(6).astype(np.float32))
    transform = Transform(
        np.full((L, D), 3, np.float32), rng.random(L * D).astype(np.float32), (line,), is_distance, (D,) * L
    )
    return LearnedGeometry.of(transform, vectors)


FITTED = {
    "layer": lambda v: LayerGeometry.fit(v, EVIDENCE),
    "layer without tempo": lambda v: LayerGeometry.fit(v, EVIDENCE, directions(), ["d"]),
    "main layer": lambda v: MainLayerGeometry.fit(v),
    "direction": lambda v: DirectionGeometry.fit(v, EVIDENCE, directions()),
    "direction without texture": lambda v: DirectionGeometry.fit(v, EVIDENCE, directions(), ["b", "c"]),
    "learned cosine": lambda v: learned(v, is_distance=False),
    "learned distance": lambda v: learned(v, is_distance=True),
    "hearing": lambda v: EitherGeometry.fit(v, info=HEARING),
    "any key": lambda v: TransposedGeometry.fit(v, info=replace(CHROMA, n_layers=1, dim=D)),
}


def library_of(name: str, vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors[:, :1]) if name == "any key" else vectors


def index_of(vectors, geometry: Geometry, kind) -> NeighbourIndex:
    info = replace(MEL, n_layers=vectors.shape[1], dim=vectors.shape[2])
    return NeighbourIndex(EmbeddingSet(info, tuple(f"{n:05d}" for n in range(len(vectors))), vectors, "x"), geometry,
                          kind=kind)  # fmt: skip


def questions(geometry: Geometry) -> list[Question]:
    found = [Question(k=K), Question(k=K, hubs="on"), Question(k=3, reverse=True)]
    for aspects in ({"brightness": 1.0}, {"texture": 3.0, "tempo": 1.0}):
        if set(aspects) <= set(geometry.parts):
            found.append(Question(aspects, k=K))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("is_all", [True, False])
@pytest.mark.parametrize("name", FITTED)
def test_codes_and_comparing_again_find_what_looking_at_all_does(name, is_all, monkeypatch):
    """The same recordings with the same numbers: where all are compared again, and where codes name a part of them."""
    monkeypatch.setattr(rows_module, "AGAIN", N if is_all else 300)
    if not is_all:
        monkeypatch.setattr(codes_module, "N_NUMBERS", 30)
    vectors = library_of(name, made_up())
    geometry = FITTED[name](vectors)
    exact, coded = index_of(vectors, geometry, "flat"), index_of(far_of(vectors), geometry, "codes")
    named: list[int] = []
    by_codes = coded.rows._codes.nearest
    monkeypatch.setattr(coded.rows._codes, "nearest", lambda queries, n: named.append(n) or by_codes(queries, n))
    for row in range(0, N, 150):
        for question in questions(geometry):
            one, other = (each.search(vectors[row], question, exclude=[f"{row:05d}"]) for each in (exact, coded))
            assert [each.track_id for each in one.neighbours] == [each.track_id for each in other.neighbours]
            assert one.is_strange == other.is_strange
            for each, its in zip(one.neighbours, other.neighbours, strict=True):
                assert each.similarity == pytest.approx(its.similarity, abs=1e-9)
                assert each.percentile == pytest.approx(its.percentile, abs=1e-9)
                assert each.nearness == pytest.approx(its.nearness, abs=0.1)  # a tie of two among a thousand
                assert each.semitones == its.semitones
    assert bool(named) != is_all


@pytest.mark.parametrize("name", FITTED)
def test_a_geometry_of_far_rows_is_that_of_the_same_in_memory(name):
    """Fitted in parts: the same items, and the same queries."""
    vectors = library_of(name, made_up())
    near, far = FITTED[name](vectors), FITTED[name](far_of(vectors))
    np.testing.assert_allclose(far.items(vectors[:200]), near.items(vectors[:200]), atol=2e-6)
    assert far.parts == near.parts and far.n_columns == near.n_columns
    assert [own.stop - own.start for own in near.compared] and near.compared == far.compared
    item = near.items(vectors[:1])[0]
    is_compared = np.zeros(near.n_columns, bool)
    for own in near.compared:
        is_compared[own] = True
    for weights in (near.plain, np.eye(len(near.parts))[0]):
        for lookup in near.lookups(item, weights):
            assert not np.atleast_2d(lookup.vector)[:, ~is_compared].any()


def test_codes_of_few_columns_are_these_columns(monkeypatch):
    """In half precision, so that nothing else is lost; of more, those that hold most of every block."""
    rows = made_up()[:, 0]
    compared = [slice(0, 10), slice(10, 10), slice(12, D)]

    def codes() -> Codes:
        return Codes(N, compared, lambda start, stop: rows[start:stop], lambda chosen: rows[chosen])

    queries = rows[:6] * np.isin(np.arange(D), [10, 11], invert=True)
    wanted = np.argsort(-(queries @ rows.T), axis=1)[:, :K]
    for asked in (queries, queries[:2]):  # together, and one by one
        found = codes().nearest(asked, 30)
        assert all(np.isin(own, among).all() for own, among in zip(wanted, found, strict=False))
    assert codes().size_bytes == N * 32 * 2
    monkeypatch.setattr(codes_module, "N_NUMBERS", 16)
    assert codes().n_numbers == 16 and min(codes().shares) > 0.9
    monkeypatch.setattr(codes_module, "N_NUMBERS", 1)
    assert all(0 < share <= 1 for share in codes().shares), "no block is left out"


def test_one_layer_alone_does_not_hang_on_the_others(monkeypatch):
    """A layer a hundred times as long as another takes no directions away from it."""
    monkeypatch.setattr(codes_module, "N_NUMBERS", 20)
    vectors = made_up()
    vectors[:, 0] *= 100
    rows = vectors.reshape(N, -1)
    compared = [slice(n * D, (n + 1) * D) for n in range(L)]
    codes = Codes(N, compared, lambda start, stop: rows[start:stop], lambda chosen: rows[chosen])
    assert min(codes.shares) > 0.9


def test_the_largest_of_numbers_in_parts_are_those_of_all():
    """The first of equals first; fewer numbers than wanted leave gaps."""
    values = np.random.default_rng(0).integers(0, 40, (5, 300)).astype(float)
    for n in (0, 1, 7, 300, 320):
        best = Largest(5, n)
        for start in range(0, 300, 37):
            best.add(values[:, start : start + 37], start)
        wanted = np.argsort(-values, axis=1, kind="stable")[:, :n]
        np.testing.assert_array_equal(best.rows[:, : min(n, 300)], wanted)
        assert (best.rows[:, 300:] == -1).all() and best.rows.shape == (5, n)


def test_codes_need_a_way_back_to_the_rows():
    with pytest.raises(InputError, match="can be had again"):
        RowIndex(10, 4, lambda start, stop: np.zeros((stop - start, 4), np.float32), "codes")


def test_rows_that_fit_the_budget_are_held_as_ever():
    """Exactly at it, too; above it there are codes, whatever the kind would have been."""
    for n, columns in ((1000, 2500), (250_000, 2500), (3_000_000, 68)):
        assert kind_for(n, columns, 4 * n * columns) == kind_for(n, columns)
        assert kind_for(n, columns, 4 * n * columns - 1) == "codes"


@pytest.mark.slow
def test_recall_is_what_comparing_all_by_hand_says(monkeypatch):
    """Of codes that lose a lot: the share, its interval, and one query at a time as together."""
    for name, value in (("AGAIN", 12), ("AGAIN_PER_WANTED", 1)):
        monkeypatch.setattr(rows_module, name, value)
    monkeypatch.setattr(codes_module, "N_NUMBERS", 9)
    vectors = made_up()
    geometry = LayerGeometry.fit(vectors, EVIDENCE)
    index = index_of(far_of(vectors), geometry, "codes")
    figures = measure_recall(index, 40)
    items = geometry.items(vectors)
    chosen = np.sort(np.random.default_rng(0).choice(N, 40, replace=False))
    assert [each.weighting for each in figures][:2] == ["nothing in particular", "three aspects"]
    for figure, weights in zip(figures[:2], (geometry.plain, np.array([1, 1, 1, 0]) / 3), strict=True):
        n_found = 0
        for row in chosen:
            products = items.astype(np.float64) @ geometry.query(items[row], weights)[0].astype(np.float64)
            wanted = [other for other in np.argsort(-products, kind="stable") if other != row][:K]
            found = [other for other in index.rows.search(geometry.query(items[row], weights)[0][None], K + 1)[1][0]
                     if other != row][:K]  # fmt: skip
            n_found += len({*wanted} & {*found})
        assert figure.share == pytest.approx(n_found / (40 * K)) and 0.3 < figure.share < 1
        assert figure.low < figure.share < figure.high and figure.n_asked == 40
        assert f"finds {100 * figure.share:.1f} %" in figure.words


# --- a library of a data folder -------------------------------------------------------------------------------------


@pytest.fixture
def planted(home):
    return home, plant_library(home, TWO_LAYERS)


def ask(home, track_id: str):
    scope = Scope(home, "planted", TWO_LAYERS)
    plan = make_plan(scope, Question(k=5), None)
    index = build_index(plan)
    return index, answer(index, plan, query_of(scope, home.catalogue.track(track_id)))


def test_a_library_above_the_budget_answers_as_one_below(planted, monkeypatch):
    """To half precision; says how it did, and what that finds here; a library that changes is read anew."""
    home, ids = planted
    monkeypatch.setenv("MESS_SEARCH_GB", "1e-6")
    index, coded = ask(home, ids[0])
    monkeypatch.delenv("MESS_SEARCH_GB")
    _, exact = ask(home, ids[0])
    assert "by codes" not in exact.answered_by.words and exact.answered_by.recall == ""
    assert index.rows.kind == coded.kind == "codes"
    assert [each.track.track_id for each in exact.found] == [each.track.track_id for each in coded.found]
    for one, other in zip(exact.found, coded.found, strict=True):
        assert one.neighbour.similarity == pytest.approx(other.neighbour.similarity, abs=2e-3)
    assert "Answered by FAISS by codes, the best 500 compared exactly" in coded.answered_by.words_of_speed
    assert "Of the ten nearest it finds 100.0 % (100.0 to 100.0), as 40 recordings" in coded.answered_by.words_of_speed
    assert read_recall(Scope(home, "planted", TWO_LAYERS), "layer")[0].share == 1.0
    (packed,) = home.paths.packed.glob("*-half.npy")
    assert packed.stat().st_size < 40 * 2 * 6 * 2 + 200

    monkeypatch.setenv("MESS_SEARCH_GB", "1e-6")
    home.catalogue.remove_tracks(ids[1:2])
    index, again = ask(home, ids[0])
    assert ids[1] not in index.track_ids and len(index) == 39 and again.found
    assert len(list(home.paths.packed.glob("*-half.npy"))) == 2


def test_damage_is_made_good_from_the_embeddings(planted, monkeypatch):
    home, ids = planted
    monkeypatch.setenv("MESS_SEARCH_GB", "1e-6")
    _, before = ask(home, ids[3])
    (packed,) = home.paths.packed.glob("*-half.npy")
    data = packed.read_bytes()
    packed.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    _, after = ask(home, ids[3])
    assert packed.read_bytes() == data
    assert [each.neighbour for each in before.found] == [each.neighbour for each in after.found]


def test_what_half_precision_cannot_hold_is_kept_in_single(planted, monkeypatch):
    """Very large numbers, and very small ones."""
    home, ids = planted
    for factor in (1e6, 1e-9):
        vectors = {track_id: factor * home.store.read(track_id, TWO_LAYERS).mean for track_id in ids}
        for track_id, mean in vectors.items():
            kept = home.store.read(track_id, TWO_LAYERS)
            home.store.write(track_id, TWO_LAYERS, replace(kept, mean=mean))
        opened = home.store.open(ids, TWO_LAYERS, 1.0).vectors
        np.testing.assert_array_equal(opened[:], np.stack([vectors[track_id] for track_id in sorted(ids)]))
        assert home.store.open(ids, TWO_LAYERS, 1e9).vectors.shape == opened.shape


def test_a_budget_that_is_none_is_said_before_anything_is_built(planted, monkeypatch):
    home, ids = planted
    monkeypatch.setenv("MESS_SEARCH_GB", "lots")
    with pytest.raises(InputError, match="MESS_SEARCH_GB is 'lots'"):
        ask(home, ids[0])
