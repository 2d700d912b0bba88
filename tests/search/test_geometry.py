"""Geometries: their inner products are their definitions, computed again in double precision."""

import dataclasses
import itertools

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search import geometry as module
from mess_core.search.geometry import (
    ALL_LAYERS,
    GEOMETRIES,
    DirectionGeometry,
    Eraser,
    LayerGeometry,
    MainLayerGeometry,
    library_pairs,
    of_segments,
)
from tests.contracts import GEOMETRY_LAWS, name_of

L, D = 3, 8
TARGETS = ("a", "b", "c", "d", "twin")
LAYERS = ((0,), (0, 1), (2,), (1,), (0,))
SEARCHED = {"brightness": ("a",), "texture": ("b", "c"), "tempo": ("d",)}
WEIGHTS = [(1, 0, 0), (0, 1, 0), (0.2, 0.5, 0.3)]


def vectors_of(n: int, seed: int = 0) -> np.ndarray:
    """A large common part, as real embeddings have, and numbers that correlate."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((n, L * D)) @ np.random.default_rng(99).standard_normal((L * D, L * D))
    return (10 + mixed.reshape(n, L, D)).astype(np.float32)


def directions_of(**changes: np.ndarray) -> Directions:
    """Seeded ones; `twin` is what `a` is, thrice."""
    rng = np.random.default_rng(5)
    weights = rng.standard_normal((len(TARGETS), L, D)).astype(np.float32)
    weights[4] = 3 * weights[0]
    return Directions(TARGETS, LAYERS, weights, rng.standard_normal((len(TARGETS), L)).astype(np.float32))


def evidence_of(searched=SEARCHED, layers=((0,), (0, 2), (1, 2)), label="high"):
    return {
        aspect: AspectEvidence(own, targets, label, targets)
        for (aspect, targets), own in zip(searched.items(), itertools.cycle(layers), strict=False)
    }


def coordinates(vectors: np.ndarray, targets, directions: Directions) -> np.ndarray:
    """(n, n_targets), by the definition: the mean over layers of w·x + b."""
    columns = []
    for target in targets:
        number = TARGETS.index(target)
        told = [
            vectors[:, layer].astype(np.float64) @ directions.weights[number, layer] + directions.offsets[number, layer]
            for layer in LAYERS[number]
        ]
        columns.append(np.mean(told, axis=0))
    return np.stack(columns, axis=1)


def left_by(library: np.ndarray, told_by: np.ndarray, others: np.ndarray, others_told_by: np.ndarray) -> np.ndarray:
    """What a straight line, fitted on the library, leaves of others."""
    model = LinearRegression().fit(told_by, library)
    return others - model.predict(others_told_by)


# --- layers -------------------------------------------------------------------------------------------------


def cosines(library: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, n_layers), centred on the library."""
    centre = library.astype(np.float64).mean(axis=0)
    a, b = one - centre, other - centre
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


@pytest.mark.parametrize(
    ("weights", "layer_weights"),
    [
        ((0, 0, 0, 1), (1 / 3, 1 / 3, 1 / 3)),
        ((1, 0, 0, 0), (1, 0, 0)),
        ((0, 1, 0, 0), (1 / 2, 0, 1 / 2)),
        ((0.5, 0.3, 0.2, 0), (0.5 + 0.15, 0.1, 0.15 + 0.1)),
    ],
)
def test_layer_products_are_the_weighted_cosines(weights, layer_weights):
    """Of all layers, or of the layers that serve the aspects; the parts are their summands."""
    library, (query,) = vectors_of(40), vectors_of(1, seed=1)
    geometry = LayerGeometry.fit(library, evidence_of())
    assert geometry.parts == ("brightness", "texture", "tempo", ALL_LAYERS)
    items, item = geometry.items(library), geometry.items(query[None])[0]
    assert items.shape == (40, geometry.n_columns) and items.dtype == np.float32
    vector, constant = geometry.query(item, np.array(weights))
    assert vector.dtype == np.float32
    expected = cosines(library, library, query) @ layer_weights
    np.testing.assert_allclose(items @ vector + constant, expected, atol=1e-6)
    np.testing.assert_allclose(geometry.similarities(item, items) @ weights, expected, atol=1e-6)
    np.testing.assert_allclose(geometry.similarities(items, items[[0] * 40]) @ weights,
                               cosines(library, library, library[0]) @ layer_weights, atol=1e-6)  # fmt: skip


def test_without_evidence_all_layers_weigh_the_same():
    """An aspect without layers is no part; nothing in particular is all layers."""
    nothing = {"brightness": AspectEvidence((), ("a",), "none")}
    for geometry in (LayerGeometry.fit(vectors_of(5)), LayerGeometry.fit(vectors_of(5), nothing)):
        assert geometry.parts == (ALL_LAYERS,) and geometry.plain.tolist() == [1]
    assert LayerGeometry.fit(vectors_of(5), evidence_of()).plain.tolist() == [0, 0, 0, 1]


def test_a_common_part_and_the_size_of_a_layer_change_nothing():
    """Raw cosines of this library are above .95 once it is moved; after centring they are as they were."""
    library, query = vectors_of(40), vectors_of(1, seed=1)
    moved = np.random.default_rng(3).uniform(100, 200, (L, D)).astype(np.float32)
    scales = np.array([1, 16, 1 / 4], np.float32)[:, None]
    plain = LayerGeometry.fit(library)
    for change in (lambda x: x + moved, lambda x: x * scales):
        geometry = LayerGeometry.fit(change(library))
        np.testing.assert_allclose(geometry.items(change(query)), plain.items(query), atol=1e-4)
        np.testing.assert_allclose(geometry.items(change(library)), plain.items(library), atol=1e-4)


@pytest.mark.parametrize("is_rounded", [False, True])
@pytest.mark.parametrize("n", [1, 2, 37])
def test_a_library_without_differences_has_no_directions(n, is_rounded):
    """One track, or copies to the last digit or but for it: rounding is not magnified to length one."""
    library = np.repeat(vectors_of(1), n, axis=0)
    if is_rounded:
        library[::2, :, ::3] = np.nextafter(library[::2, :, ::3], np.float32(np.inf))
    geometry = LayerGeometry.fit(library)
    items = geometry.items(library)
    for item in (items[0], geometry.items(vectors_of(1, seed=1))[0]):
        assert geometry.similarities(item, items).tolist() == [[0.0]] * n
    assert np.abs(geometry.distances(items[0], items)).max() < 1e-6


def test_layers_of_another_encoder_are_refused():
    with pytest.raises(ArtefactMismatchError, match=r"\(2, 8\), this index holds \(3, 8\).*same encoder"):
        LayerGeometry.fit(vectors_of(5)).items(vectors_of(5)[:, :2])


# --- directions ---------------------------------------------------------------------------------------------


def distances(library, one, other, targets, directions, avoid=()):
    """-s_a, by the definition: (n,) squared distances in units of the median library pair."""
    raw = [coordinates(vectors, targets, directions) for vectors in (library, one, other)]
    mean, scale = raw[0].mean(axis=0), raw[0].std(axis=0)
    z = [(own - mean) / scale for own in raw]
    if avoid:
        told_by = [coordinates(vectors, avoid, directions) for vectors in (library, one, other)]
        z = [left_by(z[0], told_by[0], own, known) for own, known in zip(z, told_by, strict=True)]
    pairs = [((z[0][i] - z[0][j]) ** 2).sum() for i, j in itertools.combinations(range(len(library)), 2)]
    return ((z[1] - z[2]) ** 2).sum(axis=1) / np.median(pairs)


@pytest.mark.parametrize("avoid", [(), ("twin",), ("b", "c")])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_direction_products_are_minus_the_weighted_distances(weights, avoid):
    """Query times item plus the constant, for aspects of one target and of two."""
    library, query = vectors_of(40), vectors_of(1, seed=1)
    directions = directions_of()
    searched = dict(SEARCHED)
    if avoid:  # the aspect that is avoided is no part
        searched.pop("brightness" if "twin" in avoid else "texture")
        weights = (0.4, 0.6) if weights[2] else weights[:2]
    geometry = DirectionGeometry.fit(library, evidence_of(), directions, avoid)
    assert geometry.parts == tuple(searched)
    items, item = geometry.items(library), geometry.items(query)[0]
    assert items.shape == (40, geometry.n_columns) and items.dtype == np.float32
    vector, constant = geometry.query(item, np.array(weights, float))
    assert vector.dtype == np.float32
    parts = -np.stack(
        [distances(library, np.repeat(query, 40, 0), library, own, directions, avoid) for own in searched.values()], 1
    )
    np.testing.assert_allclose(items @ vector + constant, parts @ weights, atol=1e-5)
    np.testing.assert_allclose(geometry.similarities(item, items), parts, atol=1e-5)
    np.testing.assert_allclose(geometry.similarities(items, items[::-1]), geometry.similarities(items[::-1], items))


def test_half_of_all_pairs_are_further_than_minus_one():
    """In each aspect, whatever its targets and their units; and the same is 0."""
    library = vectors_of(60)
    directions = directions_of()
    geometry = DirectionGeometry.fit(library, evidence_of(), directions)
    first, second = library_pairs(60)
    items = geometry.items(library)
    np.testing.assert_allclose(np.median(geometry.similarities(items[first], items[second]), axis=0), -1, atol=1e-5)
    np.testing.assert_array_equal(geometry.similarities(items, items), np.zeros((60, 3)))
    weights = directions.weights * np.array([1, 100, 0.01, 7, 1], np.float32)[:, None, None]
    scaled = Directions(TARGETS, LAYERS, weights, directions.offsets + 3)
    np.testing.assert_allclose(DirectionGeometry.fit(library, evidence_of(), scaled).items(library), items, atol=1e-3)


def test_plain_weights_are_those_of_the_aspects_with_evidence():
    """All of them, if none has."""
    library, directions = vectors_of(30), directions_of()
    evidence = evidence_of()
    assert DirectionGeometry.fit(library, evidence, directions).plain.tolist() == [1 / 3] * 3
    evidence["texture"] = AspectEvidence((0,), ("b",), "none", ("b",))
    assert DirectionGeometry.fit(library, evidence, directions).plain.tolist() == [1 / 2, 0, 1 / 2]
    assert DirectionGeometry.fit(library, evidence_of(label="none"), directions).plain.tolist() == [1 / 3] * 3
    evidence["tempo"] = AspectEvidence((), ("d",), "none")  # could not be probed
    assert DirectionGeometry.fit(library, evidence, directions).parts == ("brightness", "texture")


@pytest.mark.parametrize("n", [1, 2, 5, 37])
def test_a_library_without_spread_magnifies_no_rounding(n):
    """Copies give the same coordinates but for the last digits, which are not a unit to measure by."""
    rng = np.random.default_rng(0)
    dim = 768
    directions = Directions(("a",), ((0, 1),), rng.standard_normal((1, L, dim)).astype(np.float32),
                            np.full((1, L), -10, np.float32))  # fmt: skip
    library = np.repeat((10 + rng.standard_normal((1, L, dim))).astype(np.float32), n, axis=0)
    geometry = DirectionGeometry.fit(library, evidence_of({"brightness": ("a",)}), directions)
    items = geometry.items(library)
    assert np.abs(geometry.similarities(items[0], items)).max() < 1e-6
    assert np.abs(geometry.distances(items[0], items)).max() < 1e-6


# --- "not Y" ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("avoid", [("a",), ("b", "d")])
def test_nothing_linear_in_what_is_avoided_remains(avoid):
    """No coordinate and no number of a layer correlates with it over the library, nor before everything does."""
    library, directions = vectors_of(80), directions_of()
    told_by = coordinates(library, avoid, directions)

    def correlations(numbers: np.ndarray) -> np.ndarray:
        return np.abs(np.corrcoef(numbers, told_by, rowvar=False)[: numbers.shape[1], -len(avoid) :])

    for numbers in (library.reshape(80, -1).astype(np.float64), coordinates(library, ("c", "d"), directions)):
        left = numbers - numbers.mean(axis=0)
        assert correlations(left).max() > 0.1
        left = left - Eraser.fit(directions, avoid, library, left).told(library)
        is_left = left.std(axis=0) > 1e-6 * numbers.std(axis=0)  # `d` may be one of those avoided
        assert correlations(left[:, is_left]).max() < 1e-6

    geometry = DirectionGeometry.fit(library, evidence_of({"tempo": ("c",)}), directions, avoid)
    assert correlations(geometry.items(library)[:, :1].astype(np.float64)).max() < 1e-6


def test_layers_without_what_is_avoided_are_cosines_of_what_is_left():
    library, query, directions = vectors_of(40), vectors_of(1, seed=1), directions_of()
    avoid = ("a", "d")
    geometry = LayerGeometry.fit(library, None, directions, avoid)
    told_by, asked = coordinates(library, avoid, directions), coordinates(query, avoid, directions)
    flat = library.reshape(40, -1).astype(np.float64)
    left = left_by(flat, told_by, flat, told_by).reshape(40, L, D)
    left_of_query = left_by(flat, told_by, query.reshape(1, -1).astype(np.float64), asked).reshape(1, L, D)
    expected = cosines(np.zeros((1, L, D)), left, left_of_query).mean(axis=1)
    vector, _ = geometry.query(geometry.items(query)[0], geometry.plain)
    np.testing.assert_allclose(geometry.items(library) @ vector, expected, atol=1e-5)
    with_it = cosines(library, library, query).mean(axis=1)
    assert np.abs(with_it - expected).max() > 0.05, "avoiding something changes something"


def test_an_aspect_wholly_told_by_what_is_avoided_is_no_part():
    """`twin` is `a` in other units; of `texture` half is left, which is enough."""
    library, directions = vectors_of(40), directions_of()
    assert DirectionGeometry.fit(library, evidence_of(), directions, ("twin",)).parts == ("texture", "tempo")
    assert DirectionGeometry.fit(library, evidence_of(), directions, ("b",)).parts == tuple(SEARCHED)
    assert DirectionGeometry.fit(library, evidence_of(), directions, ("a", "b", "c", "d")).parts == ()


def test_what_nothing_is_known_of_cannot_be_left_out():
    with pytest.raises(InputError, match="Nothing is known of a, b here"):
        LayerGeometry.fit(vectors_of(5), None, None, ("a", "b"))


# --- segments -----------------------------------------------------------------------------------------------


def test_segments_are_compared_in_the_middle_layer_alone():
    """As a geometry of that layer does; in directions segments are compared as tracks are."""
    library, query = vectors_of(40), vectors_of(1, seed=1)
    one, plain = MainLayerGeometry.fit(library, evidence_of(), directions_of()), LayerGeometry.fit(library[:, [1]])
    assert one.parts == (ALL_LAYERS,) and one.n_columns == D + 1
    np.testing.assert_array_equal(one.items(query), plain.items(query[:, [1]]))
    np.testing.assert_allclose(
        one.similarities(one.items(query)[0], one.items(library))[:, 0],
        cosines(library[:, [1]], library[:, [1]], query[:, [1]])[:, 0],
        atol=1e-6,
    )
    assert of_segments(LayerGeometry) is MainLayerGeometry and of_segments(DirectionGeometry) is DirectionGeometry


# --- all ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", GEOMETRY_LAWS, ids=name_of)
@pytest.mark.parametrize("avoid", [(), ("b",)])
@pytest.mark.parametrize("kind", [*GEOMETRIES.values(), MainLayerGeometry])
def test_laws(kind, avoid, law):
    library = vectors_of(40)
    geometry = kind.fit(library, evidence_of(), directions_of(), avoid if kind.supports_avoid else ())
    law(geometry, library, vectors_of(1, seed=1))


@pytest.mark.parametrize("kind", [*GEOMETRIES.values(), MainLayerGeometry])
def test_a_geometry_answers_for_itself(kind):
    """What it says it can do it does, and what not it refuses."""
    library, directions = vectors_of(30), directions_of()
    geometry = kind.fit(library, evidence_of(), directions)
    items = geometry.items(library)
    for aspect in SEARCHED:
        if kind.has_directions:
            target, at = geometry.coordinate(items, aspect)
            assert target == SEARCHED[aspect][0] and at.std() == pytest.approx(1, abs=1e-5)
        else:
            with pytest.raises(InputError, match=f"no direction for '{aspect}'"):
                geometry.coordinate(items, aspect)
    with pytest.raises(InputError, match="no direction for 'rubato'"):
        geometry.coordinate(items, "rubato")
    if kind.supports_avoid:
        assert kind.fit(library, evidence_of(), directions, ("b",)).eraser is not None
    else:
        with pytest.raises(InputError, match="b, d cannot be left out of one layer"):
            kind.fit(library, evidence_of(), directions, ("b", "d"))
    if kind.has_directions:
        with pytest.raises(DataMissingError, match="no directions"):
            kind.fit(library, evidence_of())
    else:
        kind.fit(library, evidence_of())


@pytest.mark.parametrize("kind", [*GEOMETRIES.values(), MainLayerGeometry])
def test_a_fitted_geometry_is_its_arrays_and_never_changes(kind):
    """Made again of what it holds it is the same; nothing in it can be set."""
    library = vectors_of(30)
    geometry = kind.fit(library, evidence_of(), directions_of())
    held = {field.name: getattr(geometry, field.name) for field in dataclasses.fields(geometry)}
    np.testing.assert_array_equal(kind(**held).items(library), geometry.items(library))
    with pytest.raises(dataclasses.FrozenInstanceError):
        geometry.plain = np.ones(len(geometry.parts))
    for array in held.values():
        if isinstance(array, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


# --- both ---------------------------------------------------------------------------------------------------


def both(library: np.ndarray, avoid=()):
    directions = directions_of()
    return [
        LayerGeometry.fit(library, evidence_of(), directions, avoid),
        DirectionGeometry.fit(library, evidence_of(), directions, avoid),
    ]


def test_distance_is_about_one_for_a_typical_pair():
    """By its definition: in layers half the mean squared distance in units of the layer's own; in directions -s_a."""
    library, others = vectors_of(60), vectors_of(60, seed=1)
    first, second = library_pairs(60)
    layer, direction = both(library)
    centred = library - library.astype(np.float64).mean(axis=0)
    units = (centred**2).sum(axis=-1).mean(axis=0)
    expected = ((library.astype(np.float64) - others) ** 2).sum(axis=-1) / units
    np.testing.assert_allclose(
        layer.distances(layer.items(library), layer.items(others)), expected.mean(axis=1) / 2, atol=1e-5
    )
    parts = [distances(library, library, others, targets, directions_of()) for targets in SEARCHED.values()]
    np.testing.assert_allclose(
        direction.distances(direction.items(library), direction.items(others)), np.mean(parts, axis=0), atol=1e-5
    )
    for geometry in (layer, direction):
        items = geometry.items(library)
        assert 0.7 < np.median(geometry.distances(items[first], items[second])) < 1.7


def test_size_counts_in_a_distance_and_not_in_a_cosine():
    """The same direction, ten times as far from the mean."""
    library = vectors_of(60)
    geometry = LayerGeometry.fit(library)
    mean = library.astype(np.float64).mean(axis=0)
    far = (mean + 10 * (library[:1] - mean)).astype(np.float32)
    item, other = geometry.items(library[:1])[0], geometry.items(far)
    assert geometry.similarities(item, other)[0] == pytest.approx(1, abs=1e-5)
    assert geometry.distances(item, other)[0] > 10


def test_pairs_are_all_or_a_seeded_sample(monkeypatch):
    """Never a row with itself, and every row is there."""
    assert list(zip(*library_pairs(5), strict=True)) == list(itertools.combinations(range(5), 2))
    assert [len(rows) for rows in library_pairs(1)] == [0, 0]
    monkeypatch.setattr(module, "MAX_PAIRS", 1000)
    assert len(library_pairs(45)[0]) == 990
    first, second = library_pairs(60)
    assert len(first) == len(second) == 1000 and (first != second).all()
    assert set(first) == set(second) == set(range(60))
    np.testing.assert_array_equal(library_pairs(60), (first, second))
