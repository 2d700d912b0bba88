"""Probing: planted truth is found, leaks and chance are not mistaken for it."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from scipy.stats import kstest

from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.probing.data import ProbeData
from mess_core.probing.probe import add_null, fit_cells, probe_layers
from mess_core.probing.result import ProbeResult, ProbeSettings

QUICK = ProbeSettings(alphas=tuple(np.logspace(-1, 6, 8)), n_repeats=2, n_bootstraps=300, n_permutations=199)
AS_ARGUMENTS = dataclasses.asdict(QUICK)
for of_a_library in ("columns", "without"):
    del AS_ARGUMENTS[of_a_library]
PROBE_JSON = (
    "layer target level r2 r2_low r2_high r2_within p_adj baseline baseline_name gain gain_low gain_high alpha n label "
    "encodes"
)


def quick(**changes):
    return dataclasses.replace(QUICK, **changes)


def names(n, prefix="w"):
    return [f"{prefix}{i}" for i in range(n)]


@pytest.fixture(scope="module")
def planted():
    """120 works, 4 layers of 24: layer 2 carries `told`, layer 1 a little of it, no layer carries `noise`.

    The best prediction of `told` from layer 2 has R² 0.7 by construction: its direction is nearly free of noise.
    """
    rng = np.random.default_rng(11)
    heard, told_noise = rng.standard_normal(120), rng.standard_normal(120)
    vectors = rng.standard_normal((120, 4, 24)).astype(np.float32)
    direction = rng.standard_normal(24)
    vectors[:, 2] += 5 * heard[:, None] * direction
    vectors[:, 1] += 0.15 * heard[:, None] * direction
    targets = {"told": np.sqrt(0.7) * heard + np.sqrt(0.3) * told_noise, "noise": rng.standard_normal(120)}
    return ProbeData(vectors, targets, names(120), {"nuisances": rng.standard_normal((120, 3))})


@pytest.fixture(scope="module")
def found(planted):
    return add_null(fit_cells(planted, QUICK), planted)


@pytest.fixture(scope="module")
def fingerprints():
    """50 tracks of 20 segments whose embeddings say which recording it is, and nothing else."""
    rng = np.random.default_rng(3)
    track = np.repeat(np.arange(50), 20)
    vectors = (rng.standard_normal((50, 1, 64))[track] + 0.3 * rng.standard_normal((1000, 1, 64))).astype(np.float32)
    targets = {"level": rng.standard_normal(50)[track] + 0.4 * rng.standard_normal(1000)}
    return vectors, targets, np.array(names(50, "track"))[track]


# --- planted truth ----------------------------------------------------------------------------------------------


def test_the_planted_layer_is_found_and_its_r2_is_in_the_interval(found):
    cell, summary = found.cell(2, "told"), found.target("told")
    assert cell.r2_low < 0.7 < cell.r2_high
    assert summary.best_layer == 2 and summary.best_set == (2,) and cell.in_best_set
    assert set(summary.nested_layers) == {2} and summary.nested_r2 == pytest.approx(cell.r2)
    assert summary.nested_r2_low <= summary.nested_r2 <= summary.nested_r2_high
    assert cell.label == "medium" and cell.encodes and cell.p_adj == summary.p_best == 0.005
    assert cell.spearman > 0.7 and 0 < cell.mae < 1 and (cell.n, cell.n_groups, cell.n_eff) == (120, 120, 120)


def test_noise_is_not_encoded(found):
    for layer in range(4):
        cell = found.cell(layer, "noise")
        assert cell.label == "none" and not cell.encodes and cell.r2 < 0.1 and cell.p_adj > 0.05


def test_a_baseline_that_knows_as_much_takes_the_gain_away(planted):
    """The gain is over the best baseline; one that is the embedding itself leaves exactly nothing."""
    baselines = {**planted.baselines, "twin": planted.vectors, "mean": planted.vectors[:, 2]}
    data = dataclasses.replace(planted, baselines=baselines)
    result = add_null(fit_cells(data, quick(n_permutations=19)), data)
    cell = result.cell(2, "told")
    assert cell.r2 > 0.6 and cell.gain == cell.gain_low == cell.gain_high == 0 and not cell.encodes
    assert cell.baseline == cell.r2 and cell.baseline_name == "twin"
    assert result.cell(0, "told").baseline_name == "mean", "a layered baseline is compared layer by layer"
    assert len(result.target("told").baselines["twin"]) == 4 and len(result.target("told").baselines["mean"]) == 1


def test_the_training_mean_is_always_a_baseline(planted):
    """Beating a baseline that is worse than nothing is no gain."""
    result = fit_cells(dataclasses.replace(planted, baselines={}), quick())
    for cell in result.cells:
        assert (cell.baseline_name, cell.baseline) == ("train mean", 0.0) and cell.gain == pytest.approx(cell.r2)


def test_leak_detectors_are_shown_and_not_subtracted(planted):
    told = planted.targets["told"][:, None]
    data = dataclasses.replace(planted, identities={"composer": told})
    result = fit_cells(data, quick(n_bootstraps=50))
    assert result.target("told").identities["composer"] > 0.99
    assert result.cell(2, "told").baseline < 0.1


# --- leaks ------------------------------------------------------------------------------------------------------


def test_a_recordings_fingerprint_is_no_knowledge(fingerprints):
    """Split by row, a fingerprint "predicts" whatever the track's level is; split by track, nothing."""
    vectors, targets, tracks = fingerprints
    settings = quick(n_bootstraps=50, n_permutations=0)
    leaking = fit_cells(ProbeData(vectors, targets, names(1000)), settings).cell(0, "level")
    grouped = fit_cells(ProbeData(vectors, targets, tracks, tracks=tracks), settings).cell(0, "level")
    assert leaking.r2 > 0.5
    assert grouped.r2 <= 0.0 and grouped.label == "none" and not grouped.encodes
    assert 50 <= grouped.n_eff < 65 and grouped.n == 1000


def test_selectivity_of_a_control_target(fingerprints):
    """Hewitt & Liang: a number drawn per group cannot be told by a probe that has never seen the group."""
    vectors, _, tracks = fingerprints
    rng = np.random.default_rng(8)
    control = dict(zip(sorted(set(tracks)), rng.standard_normal(50), strict=True))
    heard = rng.standard_normal(1000)
    heard_in = vectors + 2 * heard[:, None, None] * rng.standard_normal(64).astype(np.float32)
    targets = {"task": heard + 0.3 * rng.standard_normal(1000), "control": np.array([control[t] for t in tracks])}
    settings = quick(n_bootstraps=300, n_permutations=0)
    grouped = fit_cells(ProbeData(heard_in, targets, tracks, tracks=tracks), settings)
    leaking = fit_cells(ProbeData(heard_in, targets, names(1000)), settings)
    cell = grouped.cell(0, "control")
    standard_error = (cell.r2_high - cell.r2_low) / 3.92
    assert cell.r2 <= 3 * standard_error and leaking.cell(0, "control").r2 > 0.5
    assert grouped.cell(0, "task").r2 - cell.r2 > 0.7


def test_what_differs_only_between_tracks_is_not_encoded_at_segment_level(planted):
    """A target that is constant inside tracks has an R², but none within: the word needs both."""
    rows = np.repeat(np.arange(120), 3)
    vectors = planted.vectors[rows] + 0.1 * np.random.default_rng(0).standard_normal((360, 4, 24)).astype(np.float32)
    tracks = np.array(names(120, "track"))[rows]
    data = ProbeData(vectors, {"told": planted.targets["told"][rows]}, tracks, tracks=tracks)
    cell = add_null(fit_cells(data, quick(n_permutations=19)), data).cell(2, "told")
    assert cell.level == "segment" and cell.label == "medium" and cell.gain_low > 0 and cell.p_adj == 0.05
    assert cell.r2_within is None and not cell.encodes


def test_a_track_counts_once_however_finely_it_is_cut():
    """Ten times as many segments of the same content change nothing: each weighs a tenth."""
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((60, 1, 20)).astype(np.float32)
    values, tracks = vectors[:, 0, 0] + rng.standard_normal(60), np.repeat(names(30, "track"), 2)
    rows = np.repeat(np.arange(60), 10)
    few = fit_cells(ProbeData(vectors, {"t": values}, tracks, tracks=tracks), QUICK).cell(0, "t")
    finer = ProbeData(vectors[rows], {"t": values[rows]}, tracks[rows], tracks=tracks[rows])
    many = fit_cells(finer, QUICK).cell(0, "t")
    assert (many.n, many.alpha) == (600, few.alpha)
    for figure in ("r2", "r2_low", "r2_high", "r2_within", "r2_between", "mae"):
        assert getattr(many, figure) == pytest.approx(getattr(few, figure), abs=1e-9)


# --- chance -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("is_uneven", [False, True])
def test_p_is_uniform_when_there_is_nothing_to_find(is_uneven):
    """200 targets of noise: one row per group; and groups of 1 to 4 rows that share a level, as works do."""
    rng = np.random.default_rng(21)
    groups = np.repeat(np.arange(30), rng.integers(1, 5, 30)) if is_uneven else np.arange(40)
    vectors = rng.standard_normal((len(groups), 1, 12)) + rng.standard_normal((groups.max() + 1, 1, 12))[groups]
    noise = rng.standard_normal((len(groups), 200)) + is_uneven * rng.standard_normal((groups.max() + 1, 200))[groups]
    targets = {f"t{i}": noise[:, i] for i in range(200)}
    data = ProbeData(vectors, targets, [f"w{g}" for g in groups])
    result = add_null(fit_cells(data, quick(n_bootstraps=50)), data)
    assert kstest([cell.p for cell in result.cells], "uniform").pvalue > 0.01
    assert not any(cell.encodes for cell in result.cells)


@pytest.mark.slow
def test_the_best_of_many_is_rarely_a_false_discovery():
    """Forty searches of 12 cells each, nothing to find: about one in twenty may have an adjusted p up to .05."""
    rng = np.random.default_rng(5)
    n_false = 0
    for _ in range(40):
        targets = {f"t{i}": rng.standard_normal(30) for i in range(4)}
        result = probe_layers(rng.standard_normal((30, 3, 10)), targets, names(30), **AS_ARGUMENTS)
        n_false += min(cell.p_adj for cell in result.cells) <= 0.05
    assert n_false <= 6  # P(more than 6 of 40 at .05) = .003


@pytest.mark.slow
def test_permutations_do_not_depend_on_how_many_are_held_at_once(planted, found, monkeypatch):
    monkeypatch.setattr("mess_core.probing.probe.NULL_ELEMENTS", 120 * 2 * 7)
    in_parts = add_null(fit_cells(planted, QUICK), planted)
    assert [cell.p_adj for cell in in_parts.cells] == [cell.p_adj for cell in found.cells]


def test_adjusted_p_is_never_smaller_and_falls_with_r2(found):
    ordered = sorted(found.cells, key=lambda cell: cell.r2)
    assert all(cell.p_adj >= cell.p >= 0.005 for cell in ordered)
    assert all(one.p_adj >= other.p_adj for one, other in itertools.pairwise(ordered))


def test_everything_follows_from_the_seed(planted, found):
    """The same seed gives the same result to the last digit; another seed other folds, draws and permutations."""
    again = probe_layers(planted.vectors, planted.targets, planted.groups, planted.baselines, **AS_ARGUMENTS)
    assert again.to_dict() == found.to_dict()
    other = fit_cells(planted, quick(seed=1))
    assert (other.target("told").folds != found.target("told").folds).any()
    assert other.cell(2, "told").r2 != found.cell(2, "told").r2


def test_more_draws_do_not_change_folds_or_p(planted, found):
    """Each use of chance has its own stream."""
    more = add_null(fit_cells(planted, quick(n_bootstraps=350)), planted)
    assert [(cell.r2, cell.p) for cell in more.cells] == [(cell.r2, cell.p) for cell in found.cells]


def test_repeats_average_over_folds(planted):
    single = [fit_cells(planted, quick(seed=0, n_repeats=n)) for n in (1, 3)]
    once, thrice = (result.cell(2, "told") for result in single)
    assert once.r2_sd is None and 0 < thrice.r2_sd < 0.1 and thrice.r2 != once.r2
    assert len(single[1].target("told").nested_layers) == 15
    assert np.array_equal(single[1].target("told").folds, single[0].target("told").folds)


# --- how sure ---------------------------------------------------------------------------------------------------


def test_another_baseline_never_raises_a_gain(planted):
    """One more rival, be it noise: no lower end rises, no word is won."""
    noise = np.random.default_rng(1).standard_normal((120, 4))
    few, more = (
        fit_cells(dataclasses.replace(planted, baselines=baselines), quick())
        for baselines in (planted.baselines, {**planted.baselines, "noise": noise, "twin": planted.vectors + 0.1})
    )
    for before, after in zip(few.cells, more.cells, strict=True):
        assert after.gain_low <= before.gain_low and after.gain <= before.gain and after.r2_low == before.r2_low


def test_the_word_needs_every_baseline_and_enough_permutations(planted):
    """What is missing is named, and then nothing encodes, however clear the figures."""
    whole = add_null(fit_cells(planted, QUICK), planted)
    assert whole.why_no_word == "" and whole.cell(2, "told").encodes
    data = dataclasses.replace(planted, missing=("untrained", "MFCC"))
    result = add_null(fit_cells(data, QUICK), data)
    assert result.missing_baselines == ("untrained", "MFCC") and not any(cell.encodes for cell in result.cells)
    assert result.why_no_word == "not compared with untrained, MFCC"
    assert ProbeResult.from_dict(json.loads(json.dumps(result.to_dict()))).missing_baselines == ("untrained", "MFCC")
    few = add_null(fit_cells(planted, quick(n_permutations=198)), planted)
    assert few.why_no_word == "198 permutations, fewer than 199" and not any(cell.encodes for cell in few.cells)


@pytest.mark.parametrize(("n_groups", "has_interval"), [(9, False), (10, True)])
def test_below_ten_groups_there_is_no_interval(planted, n_groups, has_interval):
    """R² stands, its interval and the word do not; groups of several rows do not help."""
    groups = [f"w{row % n_groups}" for row in range(120)]
    data = dataclasses.replace(planted, groups=groups)
    result = add_null(fit_cells(data, QUICK), data)
    cell = result.cell(2, "told")
    assert cell.r2 > 0.5 and (cell.r2_low is not None) == (cell.gain_low is not None) == has_interval
    assert result.has_intervals == has_interval and (result.why_no_word == "") == has_interval
    assert has_interval or (cell.label == "none" and not cell.encodes)


def test_a_baseline_that_is_the_target_leaves_no_gain(planted):
    told = planted.targets["told"][:, None]
    data = dataclasses.replace(planted, baselines={"itself": told})
    cell = add_null(fit_cells(data, QUICK), data).cell(2, "told")
    assert cell.gain < 0 and cell.gain_low < 0 and not cell.encodes


def test_an_earlier_version_keeps_its_r2_and_loses_its_intervals(found):
    """They covered three of four; what they supported is not said any more."""
    stored = {**found.to_dict(), "format": "mess-probe-1"}
    del stored["missing_baselines"]
    old = ProbeResult.from_dict(stored)
    assert [cell.r2 for cell in old.cells] == [cell.r2 for cell in found.cells]
    assert old.has_null and not old.has_intervals
    assert not any(cell.encodes or cell.label != "none" for cell in old.cells)
    assert {summary.nested_r2_low for summary in old.targets} == {None}
    assert ProbeResult.from_dict(old.to_dict()).to_dict() == old.to_dict()


# --- what cannot be probed --------------------------------------------------------------------------------------


def test_a_target_without_meaning_has_a_reason_and_no_number(planted):
    """Constant, undefined, or in fewer groups than folds: no R², no p, no word; the others are unaffected."""
    few = np.where(np.arange(120) < 4, np.arange(120.0), np.nan)
    hopeless = {"constant": np.full(120, 1 / 3), "undefined": np.full(120, np.nan), "few": few}
    data = dataclasses.replace(planted, targets={**hopeless, **planted.targets})
    result = add_null(fit_cells(data, QUICK), data)
    reasons = {target: result.target(target).reason for target in hopeless}
    assert reasons == {
        "constant": "the same for all 120 rows where it is defined",
        "undefined": "undefined for every row",
        "few": "defined in 4 groups, fewer than the 5 folds",
    }
    for target in hopeless:
        for layer in range(4):
            cell = result.cell(layer, target)
            assert cell.reason == reasons[target] and cell.label == "none" and not cell.encodes
            assert {cell.r2, cell.r2_low, cell.p, cell.p_adj, cell.gain, cell.alpha, cell.mae} == {None}
    assert result.cell(0, "few").n == 4
    alone = add_null(fit_cells(planted, QUICK), planted)
    assert [cell for cell in result.cells if not cell.reason] == list(alone.cells)


def test_one_track_is_told_so():
    result = probe_layers(np.ones((1, 2, 3)), {"t": np.ones(1)}, ["w"])
    assert {cell.reason for cell in result.cells} == {"defined in 1 group, fewer than the 5 folds"}
    json.dumps(result.to_dict(), allow_nan=False)


def test_no_targets_give_no_cells():
    assert probe_layers(np.ones((3, 2, 3)), {}, names(3)).cells == ()


def test_a_thousand_rows_in_ten_groups_are_worth_little(fingerprints):
    """It works, and says how many groups there were and what the rows are worth."""
    vectors, targets, _ = fingerprints
    groups = [f"w{i // 100}" for i in range(1000)]
    cell = fit_cells(ProbeData(vectors, targets, groups), quick(n_permutations=0)).cell(0, "level")
    assert (cell.n, cell.n_groups) == (1000, 10) and 10 <= cell.n_eff < 400 and cell.label == "none"


def test_an_undefined_value_leaves_its_row_out_and_nothing_else(planted):
    """A target with gaps gives what it gives alone, on the rows where it is defined; but for the ends of its gains.

    These hold for all cells at once, so that more targets move them outwards.
    """
    is_defined = np.arange(120) % 4 > 0
    gappy = np.where(is_defined, planted.targets["told"], np.nan)
    data = dataclasses.replace(planted, targets={**planted.targets, "gappy": gappy})
    result = fit_cells(data, QUICK)
    some = ProbeData(
        planted.vectors[is_defined],
        {"gappy": gappy[is_defined]},
        [group for group, defined in zip(planted.groups, is_defined, strict=True) if defined],
        {"nuisances": planted.baselines["nuisances"][is_defined]},
    )
    alone = fit_cells(some, QUICK)
    for cell, by_itself in zip([cell for cell in result.cells if cell.target == "gappy"], alone.cells, strict=True):
        ends = {"gain_low": by_itself.gain_low, "gain_high": by_itself.gain_high}
        assert dataclasses.replace(cell, **ends) == by_itself
    summary = result.target("gappy")
    assert np.array_equal(np.isnan(summary.predicted[0]), ~is_defined)
    assert np.array_equal(summary.folds >= 0, is_defined)


def test_a_baseline_may_have_gaps(planted):
    """A missing value is its column's mean and is said to be missing; that can be knowledge, too."""
    gaps = np.where(planted.targets["told"] > 0, np.nan, 1.0)[:, None]
    result = fit_cells(dataclasses.replace(planted, baselines={"gaps": gaps}), quick(n_bootstraps=50))
    assert 0.4 < result.target("told").baselines["gaps"][0] < 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vectors": np.ones((120, 4))}, "shape"),
        ({"vectors": np.full((120, 4, 2), np.nan)}, "120 of 120 rows"),
        ({"groups": ["w"]}, "1 groups for 120 rows"),
        ({"tracks": ["t"] * 119}, "119 tracks for 120 rows"),
        ({"tracks": ["t"] * 120}, "Track t is in groups w0 and w119"),
        ({"targets": {"t": np.ones(3)}}, "Target t has shape"),
        ({"targets": {"t": np.full(120, np.inf)}}, "infinity"),
        ({"baselines": {"b": np.ones(120)}}, "b has shape"),
        ({"baselines": {"b": np.ones((120, 3, 2))}}, "b has shape"),
        ({"identities": {"b": np.ones((120, 4, 2))}}, "b has shape"),
        ({"baselines": {"b": np.full((120, 1), np.inf)}}, "infinity"),
        ({"baselines": {"train mean": np.ones((120, 1))}}, "is taken"),
    ],
)
def test_data_that_does_not_fit_together_is_refused(planted, changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(planted, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alphas": ()}, "Alphas"),
        ({"alphas": (1.0, 0.0)}, "Alphas"),
        ({"alphas": (3.0, 2.0)}, "ascending"),
        ({"n_folds": 1}, "n_folds is 1"),
        ({"n_repeats": 0}, "n_repeats"),
        ({"n_permutations": -1}, "n_permutations"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(planted, changes, message):
    with pytest.raises(InputError, match=message):
        fit_cells(planted, quick(**changes))


# --- manners ----------------------------------------------------------------------------------------------------


def test_what_is_saved_is_what_is_loaded(found):
    """Strict JSON, all keys always present, undefined is null."""
    text = json.dumps(found.to_dict(), allow_nan=False)
    loaded = ProbeResult.from_dict(json.loads(text))
    assert loaded.to_dict() == found.to_dict() and loaded.cells == found.cells
    assert np.array_equal(loaded.target("told").predicted, found.target("told").predicted)
    assert set(PROBE_JSON.split()) <= set(json.loads(text)["cells"][0])


def test_another_version_is_refused(found):
    stored = found.to_dict()
    with pytest.raises(ArtefactMismatchError, match="mess-probe-0"):
        ProbeResult.from_dict({**stored, "format": "mess-probe-0"})
    with pytest.raises(ArtefactMismatchError, match="damaged"):
        ProbeResult.from_dict({**stored, "cells": [{"layer": 0}]})


def test_inputs_are_left_as_they_were(planted):
    copies = planted.vectors.copy(), planted.targets["told"].copy(), planted.baselines["nuisances"].copy()
    for array in (planted.vectors, *planted.targets.values(), *planted.baselines.values()):
        array.setflags(write=False)
    probe_layers(planted.vectors, planted.targets, planted.groups, planted.baselines, n_permutations=5, n_bootstraps=20)
    assert np.array_equal(copies[0], planted.vectors) and np.array_equal(copies[1], planted.targets["told"])
    assert np.array_equal(copies[2], planted.baselines["nuisances"])


def test_progress_reaches_its_end_in_both_stages(planted):
    steps = []
    fitted = fit_cells(planted, quick(n_repeats=2), lambda n_done, n_total: steps.append((n_done, n_total)))
    assert steps == [(i, 10) for i in range(1, 11)]  # 2 repeats of 4 layers and 1 baseline
    assert not fitted.has_null and {cell.p_adj for cell in fitted.cells} == {None}
    steps.clear()
    assert add_null(fitted, planted, lambda n_done, n_total: steps.append((n_done, n_total))).has_null
    assert steps[-1][0] == steps[-1][1]


def test_one_alpha_is_taken_as_it_is(planted):
    """Nothing is chosen but the layer; there is no edge to be on."""
    result = fit_cells(planted, quick(alphas=(10.0,)))
    assert {cell.alpha for cell in result.cells} == {10.0}
    assert not any(cell.is_on_grid_edge for cell in result.cells)
    assert result.target("told").nested_r2 > 0.5


def test_two_folds_can_judge_alpha_only_if_rows_are_independent(planted):
    """With groups of several rows the other folds judge, and of two folds none is left."""
    assert fit_cells(planted, quick(n_folds=2)).cell(2, "told").r2 > 0.4
    paired = dataclasses.replace(planted, groups=np.repeat(names(60), 2).tolist())
    with pytest.raises(InputError, match="at least 3 folds"):
        fit_cells(paired, quick(n_folds=2))
    fixed = fit_cells(paired, quick(n_folds=2, alphas=(10.0,)))
    assert fixed.cell(2, "told").r2 > 0.4 and fixed.target("told").nested_r2 is None


def test_without_draws_there_is_r2_and_no_interval(planted):
    result = add_null(fit_cells(planted, quick(n_bootstraps=0, n_permutations=0)), planted)
    cell = result.cell(2, "told")
    assert cell.r2 > 0.5 and cell.r2_low is None and cell.p is None and cell.label == "none" and not cell.encodes
    json.dumps(result.to_dict(), allow_nan=False)


def test_an_alpha_on_the_edge_of_the_grid_is_marked(planted):
    result = fit_cells(planted, quick(alphas=(1e-3, 1e-2)))
    assert all(cell.is_on_grid_edge for cell in result.cells)


def test_a_baseline_that_holds_the_target_itself_is_no_rival():
    """A nuisance that is the target would win by definition; named in `not_for`, it does not count for that target."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 2, 5))
    target = vectors[:, 0] @ rng.standard_normal(5)
    groups = [str(row) for row in range(60)]
    settings = ProbeSettings(n_bootstraps=50)
    rival = {"itself": target[:, None] + 0.001 * rng.standard_normal((60, 1))}
    unfair = fit_cells(ProbeData(vectors, {"a": target}, groups, rival), settings).cell(0, "a")
    fair = fit_cells(ProbeData(vectors, {"a": target}, groups, rival, not_for={"a": ["itself"]}), settings).cell(0, "a")
    assert unfair.baseline_name == "itself" and unfair.gain < 0.01
    assert fair.baseline_name == "train mean" and fair.gain == pytest.approx(fair.r2) and fair.r2 > 0.9
