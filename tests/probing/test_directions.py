"""Directions: scikit-learn's predictions, standardised; kept as bytes that notice when they are changed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mess_core.errors import ArtefactMismatchError
from mess_core.probing.data import ProbeData
from mess_core.probing.directions import Directions, fit_directions
from mess_core.probing.probe import fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.probing.ridge import FoldedFeatures

SETTINGS = ProbeSettings(alphas=(0.1, 1.0, 10.0, 100.0, 1000.0), n_bootstraps=20, n_permutations=19)
N_LAYERS = 3
SHAPES = {"wide": (80, 60), "tall": (120, 12)}
IS_WEIGHTED = {"tracks": False, "segments": True}


def probe_data(n_rows: int, dim: int, is_weighted: bool) -> ProbeData:
    """Features far from zero; one target told by layer 1, one by layer 0 and with gaps, one by none."""
    rng = np.random.default_rng(7)
    vectors = (10 + rng.standard_normal((n_rows, N_LAYERS, dim))).astype(np.float32)
    told = 50 + 3 * vectors[:, 1, 0] + rng.standard_normal(n_rows)
    gaps = vectors[:, 0, :3].sum(axis=1) + 0.1 * rng.standard_normal(n_rows)
    gaps[rng.permutation(n_rows)[:9]] = np.nan
    targets = {"told": told, "gaps": gaps, "noise": rng.standard_normal(n_rows)}
    groups = [f"w{row}" for row in range(n_rows)]
    if is_weighted:  # tracks of one to seven segments
        tracks = np.repeat(np.arange(n_rows), 1 + np.arange(n_rows) % 7)[:n_rows]
        groups = [f"w{track}" for track in tracks]
    return ProbeData(vectors, targets, groups, tracks=groups if is_weighted else None)


@pytest.fixture(scope="module", params=[(shape, way) for shape in SHAPES for way in IS_WEIGHTED], ids=" ".join)
def fitted(request):
    shape, way = request.param
    data = probe_data(*SHAPES[shape], IS_WEIGHTED[way])
    result = fit_cells(data, SETTINGS)
    return data, result, fit_directions(data, result)


def theirs(data: ProbeData, layer: int, target: str, alpha: float, vectors: np.ndarray) -> np.ndarray:
    """Scikit-learn's prediction for any rows, with mean 0 and spread 1 over those it was fitted on."""
    values = data.targets[target]
    rows = np.isfinite(values)
    weights = None
    if data.tracks is not None:
        tracks = np.array(data.tracks)[rows]
        weights = np.array([1 / np.sum(tracks == track) for track in tracks])
    model = make_pipeline(StandardScaler(), Ridge(alpha))
    features = data.vectors[:, layer].astype(np.float64)
    model.fit(features[rows], values[rows], standardscaler__sample_weight=weights, ridge__sample_weight=weights)
    own = model.predict(features[rows])
    return (model.predict(vectors[:, layer].astype(np.float64)) - own.mean()) / own.std()


@pytest.mark.slow
def test_predictions_are_those_of_scikit_learn_standardised(fitted):
    """In every layer, for rows that were fitted and rows that were not, to 1e-5 of a standard deviation."""
    data, result, directions = fitted
    others = (10 + np.random.default_rng(8).standard_normal((20, *data.vectors.shape[1:]))).astype(np.float32)
    vectors = np.concatenate([data.vectors, others])
    assert directions.targets == ("told", "gaps", "noise")
    for number, target in enumerate(directions.targets):
        for layer in range(N_LAYERS):
            ours = vectors[:, layer] @ directions.weights[number, layer].astype(np.float64)
            ours += directions.offsets[number, layer]
            expected = theirs(data, layer, target, result.cell(layer, target).alpha, vectors)
            assert np.abs(ours - expected).max() < 1e-5
    assert len({result.cell(layer, t).alpha for layer in range(N_LAYERS) for t in data.targets}) > 1, "one alpha each"


@pytest.mark.slow
def test_a_coordinate_is_the_mean_over_the_best_layers(fitted):
    data, result, _ = fitted
    summaries = [replace(s, best_set=(0, 2)) if s.target == "gaps" else s for s in result.targets]
    result = replace(result, targets=tuple(summaries))
    directions = fit_directions(data, result)
    assert directions.layers == tuple(result.target(target).best_set for target in directions.targets)
    assert directions.layers[:2] == ((1,), (0, 2))
    wanted = ("gaps", "told")
    coordinates = directions.projection(wanted)(data.vectors)
    assert coordinates.shape == (len(data.vectors), 2) and coordinates.dtype == np.float64
    for column, target in enumerate(wanted):
        layers = result.target(target).best_set
        told = [theirs(data, layer, target, result.cell(layer, target).alpha, data.vectors) for layer in layers]
        np.testing.assert_allclose(coordinates[:, column], np.mean(told, axis=0), atol=2e-5)
    assert directions.projection(())(data.vectors).shape == (len(data.vectors), 0)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_coefficients_are_those_of_scikit_learn(shape):
    """Every target with its own alpha, in units of the features as they came."""
    n_rows, dim = shape
    rng = np.random.default_rng(1)
    features = 5 + rng.standard_normal((n_rows, dim)) * rng.uniform(0.1, 10, dim)
    targets = features[:, :4] + rng.standard_normal((n_rows, 4))
    alphas, weights = np.array([0.01, 1.0, 30.0, 1e4]), rng.uniform(0.1, 1, n_rows)
    whole = FoldedFeatures(features, np.zeros(n_rows, int), weights).decompose()
    ours = whole.coefficients(targets - np.average(targets, axis=0, weights=weights), alphas)
    for column, alpha in enumerate(alphas):
        model = make_pipeline(StandardScaler(), Ridge(alpha))
        model.fit(features, targets[:, column], standardscaler__sample_weight=weights, ridge__sample_weight=weights)
        np.testing.assert_allclose(ours[:, column], model[1].coef_ / model[0].scale_, atol=1e-9)


def test_what_cannot_be_probed_has_no_direction():
    """A constant and an undefined target are left out; a layer without any variance tells nothing."""
    data = probe_data(80, 12, False)
    nothing = {"constant": np.full(80, 3.0), "undefined": np.full(80, np.nan)}
    vectors = data.vectors.copy()
    vectors[:, 2] = 7.25
    data = replace(data, vectors=vectors, targets={**nothing, **data.targets})
    directions = fit_directions(data, fit_cells(data, SETTINGS))
    assert directions.targets == ("told", "gaps", "noise")
    assert directions.weights.shape == (3, N_LAYERS, 12) and directions.offsets.shape == (3, N_LAYERS)
    assert not directions.weights[:, 2].any() and not directions.offsets[:, 2].any()
    assert directions.weights[:, :2].any(axis=2).all()


def test_fitting_leaves_its_data_alone_and_chance_out(fitted):
    data, result, directions = fitted
    before = data.vectors.copy(), {target: values.copy() for target, values in data.targets.items()}
    again = fit_directions(data, result)
    np.testing.assert_array_equal(again.weights, directions.weights)
    np.testing.assert_array_equal(data.vectors, before[0])
    for target, values in before[1].items():
        np.testing.assert_array_equal(data.targets[target], values)


def test_vectors_of_another_shape_are_refused(fitted):
    data, _, directions = fitted
    dim = data.vectors.shape[2]
    with pytest.raises(ArtefactMismatchError, match=rf"\(2, {dim}\).*\(3, {dim}\).*Probe again"):
        directions.projection(("told",))(data.vectors[:, :2])


# --- bytes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(0)
    weights, offsets = rng.standard_normal((2, 3, 4)).astype(np.float32), np.ones((2, 3), np.float32)
    return Directions(("a", "b"), ((0, 2), (1,)), weights, offsets)


def test_bytes_come_back_as_they_were(small):
    data = small.to_bytes()
    assert data == small.to_bytes()
    read = Directions.from_bytes(data)
    assert (read.targets, read.layers) == (small.targets, small.layers)
    for one, other in ((read.weights, small.weights), (read.offsets, small.offsets)):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == np.float32
    assert read.to_bytes() == data


@pytest.mark.parametrize("size", [0, 5, 100, -4])
def test_bytes_that_are_no_directions_are_refused(small, size):
    """Cut off before their hash was taken."""
    data = small.to_bytes()[:size]
    with pytest.raises(ArtefactMismatchError, match=r"damaged.*mess_core probe"):
        Directions.from_bytes(data)


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ({"mess": json.dumps({"format": "mess-directions-0"})}, "another version"),
        ({"mess": json.dumps({"format": "mess-directions-1"})}, "damaged"),
        ({"mess": "no json"}, "damaged"),
        (None, "damaged"),
    ],
)
def test_other_files_are_refused(small, metadata, match):
    data = save({"weights": small.weights, "offsets": small.offsets}, metadata=metadata)
    with pytest.raises(ArtefactMismatchError, match=match):
        Directions.from_bytes(data)
