"""What the Layers page says before any figure: how sure the run may be, in one sentence each."""

from dataclasses import replace

import numpy as np
import pytest

from mess_core.encoders.mel import MEL, MFCC
from mess_core.probing.data import ProbeData
from mess_core.probing.discovery import save
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.result import ProbeResult, ProbeSettings
from mess_core.workspace.scope import Scope
from pages.shared.layers.panels import how_sure
from tests.pages.conftest import words
from tests.planted import plant_library

QUICK = ProbeSettings(alphas=(10.0,), n_repeats=1, n_bootstraps=50, n_permutations=199)


def probed(n_groups: int, settings: ProbeSettings = QUICK, missing: tuple[str, ...] = ()) -> ProbeResult:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 2, 5))
    groups = [f"w{row % n_groups}" for row in range(60)]
    data = ProbeData(vectors, {"a": vectors[:, 0, 0]}, groups, missing=missing)
    return add_null(fit_cells(data, settings), data)


def test_with_enough_works_nothing_is_said():
    assert how_sure(probed(30)) == []


def test_few_works_are_said_with_what_would_help():
    (said,) = how_sure(probed(15))
    assert "Only 15 groups: the intervals are wide" in said and "more groups would halve them" in said


def test_too_few_have_no_interval():
    (said,) = how_sure(probed(8))
    assert "Only 8 groups: no interval can be given below 10" in said


def test_what_is_missing_is_named():
    (said,) = how_sure(probed(30, missing=("untrained",)))
    assert said == "Nothing here may be said to “encode”: not compared with untrained."


def test_while_it_is_worked_out():
    quick = fit_cells_only(replace(QUICK, n_bootstraps=0))
    assert how_sure(quick) == ["Provisional: R² alone so far; intervals and baselines are being worked out."]
    (said,) = how_sure(fit_cells_only(QUICK))
    assert "comparison with chance is not done yet" in said


def fit_cells_only(settings: ProbeSettings) -> ProbeResult:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 2, 5))
    return fit_cells(ProbeData(vectors, {"a": vectors[:, 0, 0]}, [f"w{row}" for row in range(60)]), settings)


@pytest.mark.parametrize("n_groups", [8, 30])
def test_an_earlier_version_is_told_from_few_works(n_groups):
    stored = {**probed(n_groups).to_dict(), "format": "mess-probe-1"}
    (said,) = how_sure(ProbeResult.from_dict(stored))
    assert ("An earlier version" in said) == (n_groups == 30)


def test_what_was_ended_before_it_was_done_says_so():
    (said,) = how_sure(fit_cells_only(QUICK), is_under_way=False)
    assert "ended before it was done" in said and "Run it again" in said


@pytest.mark.slow
@pytest.mark.parametrize("settings", [ProbeSettings(), ProbeSettings(seed=3)], ids=["usual", "others"])
def test_aspects_are_not_offered_to_be_measured_by_a_discovery_that_no_search_goes_by(home, launch, settings):
    """A run by other settings is shown; that it cannot be measured by is said before the click, not after."""
    plant_library(home, MEL, MFCC)
    gathered = Scope(home, "planted", MEL).gather("work", "track")
    result = add_null(fit_cells(gathered.data, QUICK), gathered.data)
    save(home.paths, MEL, gathered, replace(result, settings=settings), "planted", "work")
    at = launch("pages/2_Layers.py", library="planted", encoder="mel")
    is_usual = settings == ProbeSettings()
    assert ("run that first, above" in words(at)) != is_usual
    assert ("evaluate faithfulness" in [button.key for button in at.button]) == is_usual
    assert "evaluate similarity" in [button.key for button in at.button]
