"""Ways to hear: squared distances in units of their own spread, of every model that has heard the library."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.learning import ways as module
from mess_core.learning.ways import MEASURED, build_ways, ways_of
from mess_core.targets.registry import TARGETS
from mess_core.workspace.scope import Scope
from tests.planted import a_track, plant_embeddings, plant_library, plant_tracks, told


def triplets_of(n: int, m: int = 400, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(n)[:3] for _ in range(m)])


@pytest.fixture
def points() -> dict[str, list[tuple[str, np.ndarray]]]:
    rng = np.random.default_rng(0)
    return {
        "one": [("loud", 100 * rng.standard_normal((30, 2))), ("fine", 0.01 * rng.standard_normal((30, 5)))],
        "flat": [("all the same", np.ones((30, 3)))],
        "two": [("flat, too", np.zeros((30, 1))), ("third", rng.standard_normal((30, 1)))],
    }


def test_what_is_the_same_for_all_is_no_way(points):
    """And a model of nothing else is none."""
    found = build_ways(list("abc") * 10, points)
    assert found.names == ("loud", "fine", "third") and found.models == {"one": (0, 1), "two": (2,)}
    assert len(found.points) == len(found.spreads) == 3


def test_differences_are_how_much_nearer_the_first_is_in_spreads(points):
    """By the definition, one triplet at a time; over triplets drawn by chance they spread by one, in every way."""
    found = build_ways([str(row) for row in range(30)], points)
    triplets = triplets_of(30, 3000)
    differences = found.differences(triplets)
    assert differences.dtype == np.float64 and differences.std(axis=0) == pytest.approx(np.ones(3), rel=0.12)
    for way, at in enumerate(found.points):
        for (anchor, first, second), told_so in zip(triplets[:40], differences[:40, way], strict=True):
            far = np.sum((at[anchor] - at[second]) ** 2) - np.sum((at[anchor] - at[first]) ** 2)
            assert told_so * found.spreads[way] == pytest.approx(far, rel=1e-5, abs=1e-6 * found.spreads[way])
    turned = found.differences(triplets[:, [0, 2, 1]])
    assert turned == pytest.approx(-differences, abs=1e-9)
    assert found.told("one", differences) == pytest.approx(differences[:, 0] + differences[:, 1])
    assert found.told("two", differences) == pytest.approx(differences[:, 2])


def test_a_scale_changes_nothing(points):
    """How large the numbers of an encoder are says nothing of what it hears."""
    larger = {name: [(way, 1000 * at) for way, at in each] for name, each in points.items()}
    one, other = (build_ways([str(row) for row in range(30)], each) for each in (points, larger))
    triplets = triplets_of(30)
    assert other.differences(triplets) == pytest.approx(one.differences(triplets), rel=1e-6)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_of_two_recordings_none_is_more_like_a_third(n):
    found = build_ways(list("ab")[:n], {"one": [("way", np.arange(float(n))[:, None])]})
    assert found.names == () and found.models == {}
    assert found.differences(np.empty((0, 3), int)).shape == (0, 0)


# --- of a library -------------------------------------------------------------------------------------------


def test_encoders_that_have_heard_all_and_what_was_measured_are_models(home):
    """One that lacks a recording is none; of many layers a third is a way, few stand for themselves."""
    ids = plant_library(home, MEL, NANO)
    plant_embeddings(home, CHROMA, {track_id: np.ones((CHROMA.n_layers, CHROMA.embedding_dim)) for track_id in ids[1:]})
    found = ways_of(Scope(home, "planted", MEL))
    assert found.track_ids == tuple(ids) and list(found.models) == [MEL.title, NANO.title, MEASURED]
    of_nano = [found.names[way] for way in found.models[NANO.title]]
    assert of_nano == [f"{NANO.title}, {third} layers" for third in ("first", "middle", "last")]
    dimensions = {target.dimension for target in TARGETS.values()}
    assert {found.names[way] for way in found.models[MEASURED]} == {f"measured {each}" for each in dimensions}
    assert found.names[0].startswith(MEL.title)  # the library's own encoder stands first


def test_what_a_planted_layer_holds_is_told_by_its_third(home):
    """Layer 1 of nano is one number of each recording: the third it is in tells which two are nearer in it."""
    ids = plant_library(home, NANO)
    found = ways_of(Scope(home, "planted", NANO))
    triplets = triplets_of(len(ids), 600)
    at = told(ids)
    truth = np.abs(at[triplets[:, 0]] - at[triplets[:, 1]]) < np.abs(at[triplets[:, 0]] - at[triplets[:, 2]])
    share = {name: ((found.differences(triplets)[:, way] > 0) == truth).mean() for way, name in enumerate(found.names)}
    third = next(
        name
        for name, rows in zip(("first", "middle", "last"), np.array_split(np.arange(NANO.n_layers), 3), strict=True)
        if 1 in rows
    )
    others = [f"{NANO.title}, {each} layers" for each in ("first", "middle", "last") if each != third]
    assert share[f"{NANO.title}, {third} layers"] > max(share[name] for name in others) + 0.05
    assert all(share[name] == pytest.approx(0.5, abs=0.08) for name in others)
    measured = TARGETS["spectral_centroid"].dimension
    assert share[f"measured {measured}"] > 0.55


def test_layers_are_compared_by_their_angle_around_the_middle(home):
    """A shift of all recordings, or one that is longer than the others, changes nothing."""
    ids = plant_tracks(home, [a_track(row) for row in range(8)])
    rng = np.random.default_rng(0)
    centred = rng.standard_normal((8, MEL.n_layers, MEL.embedding_dim))
    centred -= centred.mean(axis=0)
    plant_embeddings(home, MEL, dict(zip(ids, 5 + centred, strict=True)))
    found = ways_of(Scope(home, "planted", MEL))
    units = centred[:, 0] / np.linalg.norm(centred[:, 0], axis=1, keepdims=True)
    assert found.points[0] == pytest.approx(units, abs=1e-3)


def test_a_value_that_is_mostly_unknown_is_not_compared_and_a_hole_is_the_usual(home):
    ids = plant_library(home, MEL)
    with home.database.transaction() as connection:
        connection.execute("UPDATE targets SET value = NULL WHERE target = 'tempo' AND track_id IN (?, ?)", ids[:2])
        connection.execute("DELETE FROM targets WHERE target != 'tempo'")
    found = ways_of(Scope(home, "planted", MEL))
    (way,) = found.models[MEASURED]
    assert found.names[way] == f"measured {TARGETS['tempo'].dimension}"
    column = found.points[way][:, 0]
    assert column[:2] == pytest.approx([0, 0]) and np.abs(column[2:]).min() > 0
    with home.database.transaction() as connection:
        connection.execute("UPDATE targets SET value = NULL WHERE track_id IN (SELECT track_id FROM tracks LIMIT 5)")
    assert MEASURED not in ways_of(Scope(home, "planted", MEL)).models


def test_of_a_large_library_some_are_chosen_by_chance(home, monkeypatch):
    """The same for all who judge in it, in their order; each with its own embedding."""
    ids = plant_library(home, MEL)
    monkeypatch.setattr(module, "MOST_RECORDINGS", 12)
    scope = Scope(home, "planted", MEL)
    found = ways_of(scope)
    assert len(found.track_ids) == 12 and list(found.track_ids) == sorted(found.track_ids)
    assert found.track_ids == ways_of(scope).track_ids != ways_of(scope, seed=1).track_ids
    vectors = home.store.load(found.track_ids, MEL).vectors[:, 0]
    units = vectors - vectors.mean(axis=0)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    assert found.points[0] == pytest.approx(units, abs=1e-5)
    assert set(found.track_ids) <= set(ids)


@pytest.mark.parametrize("n", [0, 1, 4])
def test_a_small_library_has_ways_or_none(home, n):
    """Where nothing is embedded, or all recordings are the same one."""
    ids = plant_tracks(home, [a_track(row) for row in range(n + 1)])[:n]
    plant_embeddings(home, MEL, {track_id: np.ones((MEL.n_layers, MEL.embedding_dim)) for track_id in ids})
    found = ways_of(Scope(home, "planted", MEL))
    assert found.track_ids == tuple(ids) and set(found.models) <= {MEL.title}
