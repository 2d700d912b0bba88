"""Transfer: a borrowed direction that holds is used, one that does not is off, with its figure."""

from dataclasses import replace

import numpy as np
import pytest

from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.probing.discovery import save
from mess_core.probing.probe import fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.probing.transfer import FEWEST, borrowed, transfer
from mess_core.workspace.scope import Scope
from tests.planted import TWO_LAYERS, plant_library, plant_targets

RNG = np.random.default_rng(0)


def along_axes(n_targets: int = 2) -> Directions:
    """Direction number t is coordinate t of layer 0."""
    weights = np.zeros((n_targets, 1, 4), np.float32)
    weights[range(n_targets), 0, range(n_targets)] = 1
    return Directions(("a", "b")[:n_targets], ((0,),) * n_targets, weights, np.zeros((n_targets, 1), np.float32))


def test_rho_is_that_of_ranks():
    vectors = RNG.standard_normal((50, 1, 4)).astype(np.float32)
    heard = vectors[:, 0].astype(float)
    rho = transfer(along_axes(), vectors, {"a": np.exp(heard[:, 0]), "b": -heard[:, 1], "other": heard[:, 2]})
    assert rho == {"a": pytest.approx(1.0), "b": pytest.approx(-1.0)}


@pytest.mark.parametrize(("n_known", "is_told"), [(FEWEST - 1, False), (FEWEST, True)])
def test_a_few_recordings_tell_nothing(n_known, is_told):
    vectors = RNG.standard_normal((30, 1, 4)).astype(np.float32)
    values = np.where(np.arange(30) < n_known, vectors[:, 0, 0], np.nan)
    assert ("a" in transfer(along_axes(), vectors, {"a": values})) == is_told


def test_what_is_the_same_everywhere_has_no_rho():
    assert transfer(along_axes(), np.ones((20, 1, 4), np.float32), {"a": np.ones(20)}) == {}
    assert transfer(along_axes(), np.ones((0, 1, 4), np.float32), {"a": np.ones(0)}) == {}


def test_an_aspect_is_as_good_as_its_weakest_direction():
    evidence = AspectEvidence((0,), ("a", "b"), "high", ("a", "b"))
    held = borrowed({"x": evidence}, {"a": 0.9, "b": 0.6})["x"]
    assert held.has_evidence and held.transfer == 0.6 and held.reason == ""
    off = borrowed({"x": evidence}, {"a": 0.9, "b": 0.43})["x"]
    assert not off.has_evidence and "do not hold here (rank correlation 0.43)" in off.reason
    assert borrowed({"x": evidence}, {})["x"] == evidence, "what could not be compared stays as it was"


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "holds"), [(1, True), (-1, False)])
def test_a_library_that_borrows_is_told(home, sign, holds):
    """Forty tracks are probed as one library; twenty others have embeddings that go with their values, or against."""
    ids = plant_library(home, TWO_LAYERS, n=60)
    home.catalogue.add_to_library("small", ids[:20])
    home.catalogue.add_to_library("large", ids[20:])
    large = Scope(home, "large", TWO_LAYERS)
    gathered = large.gather("work", "track")
    quick = fit_cells(gathered.data, ProbeSettings(n_repeats=1, n_bootstraps=50))
    save(home.paths, TWO_LAYERS, gathered, replace(quick, settings=ProbeSettings()), "large", "work")
    assert large.discovery_for_search().aspects["brightness"].transfer is None
    small = Scope(home, "small", TWO_LAYERS)
    measured = home.measurements.values(ids[:20], "spectral_centroid")
    middle = np.median(measured)
    plant_targets(home, ids[:20], {"spectral_centroid": middle + sign * (measured - middle)})
    found = small.discovery_for_search()
    assert found.library == "large" and found.aspects["brightness"].has_evidence == holds
    assert (found.aspects["brightness"].transfer > 0.9) == holds
    assert large.discovery_for_search().aspects["brightness"].has_evidence
