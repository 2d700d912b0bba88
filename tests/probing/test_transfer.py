"""Transfer: a borrowed direction that holds is used, one that does not is off, with its figure."""

from dataclasses import replace

import numpy as np
import pytest

from mess_core.probing.aspects import AspectEvidence, Transfer
from mess_core.probing.directions import Directions
from mess_core.probing.discovery import save
from mess_core.probing.probe import fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.probing.scores import spearman
from mess_core.probing.transfer import FEWEST, borrowed, interval, transfer
from mess_core.workspace.scope import Scope
from tests.planted import TWO_LAYERS, plant_library, plant_targets

RNG = np.random.default_rng(0)
WORKS = [f"work {n}" for n in range(60)]


def figure(rho: float) -> Transfer:
    return Transfer(rho, rho - 0.2, rho + 0.2, 20, 12)


def along_axes(n_targets: int = 2) -> Directions:
    """Direction number t is coordinate t of layer 0."""
    weights = np.zeros((n_targets, 1, 4), np.float32)
    weights[range(n_targets), 0, range(n_targets)] = 1
    return Directions(("a", "b")[:n_targets], ((0,),) * n_targets, weights, np.zeros((n_targets, 1), np.float32))


def test_rho_is_that_of_ranks():
    vectors = RNG.standard_normal((50, 1, 4)).astype(np.float32)
    heard = vectors[:, 0].astype(float)
    values = {"a": np.exp(heard[:, 0]), "b": -heard[:, 1], "other": heard[:, 2]}
    found = transfer(along_axes(), vectors, values, [f"work {n // 2}" for n in range(50)])
    assert {name: each.rho for name, each in found.items()} == {"a": pytest.approx(1.0), "b": pytest.approx(-1.0)}
    assert found["a"].n_tracks == 50 and found["a"].n_works == 25


@pytest.mark.parametrize("n_works", [12, 24, 60])
@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
@pytest.mark.parametrize("shared", [0.0, 0.5, 0.95])
def test_the_interval_covers_however_alike_the_recordings_of_a_work_are(n_works, rho, shared):
    """Five recordings of each work, of which `shared` of the variance is the work's; the rank correlation is known."""
    rng = np.random.default_rng(n_works)
    true = 6 / np.pi * np.arcsin(rho / 2)  # of normal pairs (Pearson 1907)
    n_worlds, covered = 400, 0
    for _ in range(n_worlds):
        of_work = rng.standard_normal((n_works, 1, 2)) * np.sqrt(shared)
        pairs = (of_work + rng.standard_normal((n_works, 5, 2)) * np.sqrt(1 - shared)).reshape(-1, 2)
        truth, told = pairs[:, 0], rho * pairs[:, 0] + np.sqrt(1 - rho**2) * pairs[:, 1]
        low, high = interval(float(spearman(truth[:, None], told[:, None])[0]), n_works)
        covered += low <= true <= high
    assert covered / n_worlds >= 0.93


def test_few_works_give_no_interval():
    vectors = RNG.standard_normal((30, 1, 4)).astype(np.float32)
    values = {"a": vectors[:, 0, 0]}
    few = transfer(along_axes(), vectors, values, [f"work {n % 9}" for n in range(30)])["a"]
    assert few.low is None and few.words == "1.00 over 30 recordings of 9 works"
    enough = transfer(along_axes(), vectors, values, [f"work {n % 10}" for n in range(30)])["a"]
    assert enough.low is not None and 0.9 < enough.low < enough.high <= 1


@pytest.mark.parametrize(("n_known", "is_told"), [(FEWEST - 1, False), (FEWEST, True)])
def test_a_few_recordings_tell_nothing(n_known, is_told):
    vectors = RNG.standard_normal((30, 1, 4)).astype(np.float32)
    values = np.where(np.arange(30) < n_known, vectors[:, 0, 0], np.nan)
    assert ("a" in transfer(along_axes(), vectors, {"a": values}, WORKS[:30])) == is_told


def test_what_is_the_same_everywhere_has_no_rho():
    assert transfer(along_axes(), np.ones((20, 1, 4), np.float32), {"a": np.ones(20)}, WORKS[:20]) == {}
    assert transfer(along_axes(), np.ones((0, 1, 4), np.float32), {"a": np.ones(0)}, []) == {}


def test_an_aspect_is_as_good_as_its_weakest_direction():
    evidence = AspectEvidence((0,), ("a", "b"), "high", ("a", "b"))
    held = borrowed({"x": evidence}, {"a": figure(0.9), "b": figure(0.6)})["x"]
    assert held.has_evidence and held.transfer == figure(0.6) and held.reason == ""
    off = borrowed({"x": evidence}, {"a": figure(0.9), "b": figure(0.43)})["x"]
    assert not off.has_evidence
    assert (
        "does not hold here (rank correlation 0.43 [0.23, 0.63] over 20 recordings of 12 works)" in off.reason_in_depth
    )
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
    assert (found.aspects["brightness"].transfer.rho > 0.9) == holds
    assert large.discovery_for_search().aspects["brightness"].has_evidence
