"""Faithfulness: planted aspects pass, planted leaks fail, and no work helps to find itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from mess_core.errors import DataMissingError
from mess_core.evaluation import faithfulness as module
from mess_core.evaluation.faithfulness import (
    DIRECTION,
    LAYER,
    MEASURED,
    NOT,
    ORACLE,
    Faithfulness,
    Ratio,
    held_out_directions,
    held_out_similarities,
    measure_faithfulness,
)
from mess_core.probing.aspects import AspectEvidence, weigh_aspects
from mess_core.probing.data import ProbeData
from mess_core.probing.directions import fit_directions
from mess_core.probing.probe import fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.probing.scores import spearman

pytestmark = pytest.mark.slow

SETTINGS = ProbeSettings(n_bootstraps=200)
N, N_WORKS, DIM = 96, 32, 10
WORKS = [f"work {row % N_WORKS}" for row in range(N)]
# Each of these aspects has one target only.
ASPECT_OF = {
    "tempo": "tempo",
    "onset_density": "rhythmic_energy",
    "harmonic_complexity": "harmonic_richness",
    "articulation_ratio": "legato",
}


def planted(
    told: Mapping[str, np.ndarray], unseen: Mapping[str, np.ndarray] | None = None, dim: int = DIM
) -> ProbeData:
    """The told targets, mixed, with much noise in layer 0 and little in layer 1; far from zero, as real ones are."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((2, len(told), dim))
    vectors = np.stack(list(told.values()), axis=1) @ mixing  # (2, N, dim)
    vectors = (vectors + np.array([2.0, 0.1])[:, None, None] * rng.standard_normal(vectors.shape)).swapaxes(0, 1)
    return ProbeData((10 + vectors).astype(np.float32), {**told, **(unseen or {})}, WORKS)


def measured(data: ProbeData, **options: object) -> Faithfulness:
    return measure_faithfulness(data, weigh_aspects(fit_cells(data, SETTINGS)), SETTINGS, n_folds=4, **options)


def independent_data() -> ProbeData:
    rng = np.random.default_rng(1)
    return planted({target: rng.standard_normal(N) for target in ASPECT_OF})


@pytest.fixture(scope="module")
def independent() -> Faithfulness:
    data = independent_data()
    noise = np.random.default_rng(2).standard_normal((N, 5))
    return measured(data, references={"all layers": data.vectors, "noise": noise})


def own(result: Faithfulness, way: str) -> np.ndarray:
    return np.array([result.rows[way][aspect][aspect].value for aspect in result.rows[way]])


# --- planted answers ----------------------------------------------------------------------------------------


def test_independent_aspects_find_themselves_and_nothing_else(independent):
    """Diagonal near the oracle's, off the diagonal chance; every aspect passes, none leaks, each is its own family."""
    assert set(independent.judged) == set(ASPECT_OF.values())
    for aspect, row in independent.rows[DIRECTION].items():
        assert row[aspect].value < 0.25
        assert all(0.8 < ratio.value < 1.2 for other, ratio in row.items() if other != aspect)
        assert independent.passes(aspect) and independent.leaks(aspect) == [] and independent.family(aspect) == []
    assert (own(independent, ORACLE) <= own(independent, DIRECTION)).all() and own(independent, ORACLE).max() < 0.15


def test_measured_values_find_what_was_measured(independent):
    """As good as the oracle but for the shape of the scale; nothing else comes near."""
    for aspect, row in independent.rows[MEASURED].items():
        assert row[aspect].value < independent.rows[ORACLE][aspect][aspect].value + 0.02
        assert all(0.8 < ratio.value < 1.2 for other, ratio in row.items() if other != aspect)
    assert independent.rows[MEASURED].keys() == independent.rows[ORACLE].keys()


def test_whole_layers_serve_an_aspect_worse_than_its_direction(independent):
    """All aspects share the layer that tells them, so none is served better than the others by it."""
    assert (own(independent, LAYER) > own(independent, DIRECTION) + 0.2).all()


def test_not_raises_the_own_column_to_chance(independent):
    """What is left out is no longer found; what is not is found as before."""
    plain = independent.references["all layers"]
    for aspect, row in independent.rows[NOT].items():
        assert 0.92 < row[aspect].value < 1.15 and plain[aspect].value < 0.85
        assert all(ratio.value < 0.85 for other, ratio in row.items() if other != aspect)
    assert independent.rows[NOT].keys() == set(ASPECT_OF.values())


def test_a_reference_that_knows_nothing_is_chance(independent):
    """References may have layers or not."""
    assert independent.references.keys() == {"all layers", "noise"}
    for ratio in independent.references["noise"].values():
        assert 0.9 < ratio.value < 1.1


def test_the_encoder_adds_what_a_rival_with_the_same_labels_lacks():
    """A rival that is the encoder itself differs by exactly nothing; one that hears only noise by what is heard."""
    data = independent_data()
    noise = np.random.default_rng(4).standard_normal((N, 2, 5)).astype(np.float32)
    result = measured(data, rivals={"itself": data.vectors, "noise": noise})
    assert set(result.differences) == {"itself, same directions", "noise, same directions"}
    for aspect in result.judged:
        same, other = (row[aspect] for row in result.differences.values())
        assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
        assert result.rows["itself, same directions"][aspect] == result.rows[DIRECTION][aspect]
        assert other.low <= other.value <= other.high < 0
        own_column = result.rows[DIRECTION][aspect][aspect].value
        assert other.value == pytest.approx(own_column - result.rows["noise, same directions"][aspect][aspect].value)
        assert result.adds(aspect) is False, "not more than every rival"
    assert Faithfulness.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    deaf = replace(result, differences={"noise": result.differences["noise, same directions"]})
    assert all(deaf.adds(aspect) for aspect in deaf.judged)


def test_without_a_rival_nothing_is_said(independent):
    assert independent.differences == {} and independent.adds(independent.judged[0]) is None


def test_intervals_hold_their_figure(independent):
    rows = [*independent.references.values(), *(row for rows in independent.rows.values() for row in rows.values())]
    for ratio in (ratio for row in rows for ratio in row.values()):
        assert 0 <= ratio.low <= ratio.value <= ratio.high < 2 and ratio.high - ratio.low < 0.5


def test_what_cannot_be_told_apart_is_one_family_and_no_leak():
    """Two targets that go together: each search finds both, and that is said, not counted."""
    rng = np.random.default_rng(3)
    bright, other = rng.standard_normal((2, N))
    told = {"spectral_centroid": bright, "onset_density": other}
    unseen = {"tempo": bright + 0.6 * rng.standard_normal(N)}  # the encoder knows it by brightness alone
    result = measured(planted(told, unseen))
    assert result.family("tempo") == ["brightness", "warmth"] and "tempo" in result.family("brightness")
    row = result.rows[DIRECTION]["tempo"]
    assert row["brightness"].value < row["tempo"].value < 0.8  # would be a leak
    assert result.leaks("tempo") == [] and result.passes("tempo")
    assert result.family("rhythmic_energy") == []
    assert "warmth" in result.family("brightness")  # they share a target


def test_a_planted_leak_is_found_and_fails():
    """Tempo is barely told, by what is known of onsets: searching by it finds like onsets, and that is said."""
    rng = np.random.default_rng(4)
    bright, onsets, hidden = rng.standard_normal((3, N))
    tempo = 0.45 * onsets + 0.9 * hidden
    assert 0.3 < abs(spearman(tempo[:, None], onsets[:, None])[0]) < 0.5  # no family
    result = measured(planted({"spectral_centroid": bright, "onset_density": onsets}, {"tempo": tempo}, dim=2))
    row = result.rows[DIRECTION]["tempo"]
    assert row["rhythmic_energy"].value + 0.2 < row["tempo"].value
    assert result.leaks("tempo")[0] == "rhythmic_energy" and not result.passes("tempo")
    assert result.passes("brightness") and result.passes("rhythmic_energy")


def test_recognising_the_work_is_of_no_use():
    """Vectors tell the work, targets are the work's by chance: nothing can be found, unless a work teaches itself."""
    rng = np.random.default_rng(5)
    offsets, chance = rng.standard_normal((N_WORKS, 2, 2 * N_WORKS)), rng.standard_normal((N_WORKS, 2))
    rows = np.arange(N) % N_WORKS
    vectors = (offsets[rows] + 0.05 * rng.standard_normal((N, 2, 2 * N_WORKS))).astype(np.float32)
    targets = {"tempo": chance[rows, 0], "onset_density": chance[rows, 1]}
    data = ProbeData(vectors, targets, WORKS)
    result = measured(data)
    assert (own(result, DIRECTION) > 0.85).all() and not any(result.passes(aspect) for aspect in ASPECT_OF.values())

    def cheating(data, settings, *_):
        found = fit_cells(data, settings)
        yield np.arange(N), weigh_aspects(found), fit_directions(data, found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "held_out_directions", cheating)
        assert (own(measured(data), DIRECTION) < 0.8).all()  # so the figures above could have been low


# --- what is left out ---------------------------------------------------------------------------------------


def test_nothing_of_a_querys_work_is_learned_from(monkeypatch):
    """Every row is asked about once; what was fitted for it holds all other works' rows and none of its own."""
    data = independent_data()
    seen: list[ProbeData] = []
    real = fit_cells
    monkeypatch.setattr(module, "fit_cells", lambda known, settings: seen.append(known) or real(known, settings))
    works, asked = np.array(WORKS), []
    for queries, evidence, directions in held_out_directions(data, SETTINGS, n_folds=4):
        others = np.flatnonzero(~np.isin(works, works[queries]))
        np.testing.assert_array_equal(seen[-1].vectors, data.vectors[others])
        assert list(seen[-1].groups) == works[others].tolist() and len(others) == N - len(queries)
        np.testing.assert_array_equal(seen[-1].targets["tempo"], data.targets["tempo"][others])
        assert evidence["tempo"].has_evidence and "tempo" in directions.targets
        asked.append(queries)
    assert len(asked) == len(seen) == 4
    np.testing.assert_array_equal(np.sort(np.concatenate(asked)), np.arange(N))


def test_held_out_similarities_are_those_of_all_aspects_alike():
    """(n, n), the nearest by them alike in all that was planted; a row is at 0 from itself and nothing is nearer."""
    data = independent_data()
    similarities = held_out_similarities(data, SETTINGS)
    assert similarities.shape == (N, N) and np.isfinite(similarities).all()
    np.testing.assert_allclose(np.diag(similarities), 0, atol=1e-4)
    assert similarities.max() < 1e-4
    truth = np.stack(list(data.targets.values()), axis=1)
    distances = ((truth[:, None] - truth[None]) ** 2).sum(axis=-1)
    assert np.corrcoef(-distances.ravel(), similarities.ravel())[0, 1] > 0.9


def test_no_candidate_is_of_the_querys_work():
    """The tally equals a loop over the definition, with gaps in the targets."""
    rng = np.random.default_rng(6)
    n, n_targets, n_groups = 40, 3, 8
    groups = rng.permutation(np.arange(n) % n_groups)
    ranks = rng.uniform(size=(n, n_targets))
    ranks[rng.uniform(size=ranks.shape) < 0.3] = np.nan
    similarities = rng.standard_normal((n, n))
    tally = module._Tally(np.zeros((n_groups, n_targets)), np.zeros((n_groups, n_targets)))
    for queries in np.split(rng.permutation(n), 4):
        tally.add(similarities[queries], queries, groups, ranks)
    near, far = np.zeros((n_groups, n_targets)), np.zeros((n_groups, n_targets))
    for query in range(n):
        others = sorted(
            (row for row in range(n) if groups[row] != groups[query]), key=lambda r: -similarities[query, r]
        )
        for target in range(n_targets):
            differences = [abs(ranks[row, target] - ranks[query, target]) for row in others]
            best = [d for d in differences[: module.K] if not np.isnan(d)]
            known = [d for d in differences if not np.isnan(d)]
            if best and known:
                near[groups[query], target] += np.mean(best)
                far[groups[query], target] += np.mean(known)
    np.testing.assert_allclose(tally.nearest, near)
    np.testing.assert_allclose(tally.everything, far)
    counts = module.draw_groups(n_groups, module.N_BOOTSTRAPS, rng)
    by_hand = near.sum(axis=0) / far.sum(axis=0)
    assert module._ratio(tally.of(counts, [1])).value == pytest.approx(by_hand[1])
    assert module._ratio(tally.of(counts, [0, 2])).value == pytest.approx((by_hand[0] + by_hand[2]) / 2)


def test_an_aspect_nobody_could_measure_has_no_figure():
    tally = module._Tally(np.zeros((4, 1)), np.zeros((4, 1)))
    counts = module.draw_groups(4, module.N_BOOTSTRAPS, np.random.default_rng(0))
    assert module._ratio(tally.of(counts, [0])) == Ratio(None, None, None)


# --- verdicts -----------------------------------------------------------------------------------------------


def matrix(rows: Mapping[str, Mapping[str, float | None]], rho: float = 0.0) -> Faithfulness:
    """A leak matrix by hand; `rho` is between tempo and legato."""
    cells = {a: {b: Ratio(value, value, value) for b, value in row.items()} for a, row in rows.items()}
    correlations = {a: {b: float(a == b) for b in row} for a, row in rows.items()}
    correlations["tempo"]["legato"] = rho
    return Faithfulness(10, 50, 20, {DIRECTION: cells}, {}, correlations, dict.fromkeys(rows, "medium"))


@pytest.mark.parametrize(
    ("own_value", "other", "rho", "leaks", "passes"),
    [
        (0.5, 0.9, 0.0, [], True),
        (0.8, 0.9, 0.0, [], True),
        (0.81, 0.9, 0.0, [], False),  # of little use
        (0.5, 0.5, 0.0, [], True),  # not better
        (0.5, 0.4, 0.0, ["legato"], False),
        (0.5, 0.4, 0.49, ["legato"], False),
        (0.5, 0.4, 0.5, [], True),  # one family
        (0.5, None, 0.0, [], True),
        (None, 0.4, 0.0, [], False),
    ],
)
def test_when_an_aspect_passes(own_value, other, rho, leaks, passes):
    """At their edges: .8 for itself, .5 for a family."""
    result = matrix({"tempo": {"tempo": own_value, "legato": other}, "legato": {"tempo": 1.0, "legato": 0.1}}, rho)
    assert result.leaks("tempo") == leaks and result.passes("tempo") is passes
    assert result.passes("rubato") is False and result.leaks("rubato") == []  # was not searched


def test_the_worst_leak_comes_first_and_only_evidence_is_judged():
    row = {"tempo": 0.7, "legato": 0.5, "rubato": 0.3, "texture": 0.9}
    result = matrix({"tempo": row, "legato": row})
    assert result.leaks("tempo") == ["rubato", "legato"]
    labels = {"tempo": "none", "legato": "experimental", "texture": "high"}
    assert replace(result, labels=labels).judged == ["legato"]  # texture was not searched by


# --- laws ---------------------------------------------------------------------------------------------------


def test_what_was_kept_comes_back(independent):
    """Through strict JSON, undefined figures too."""
    odd = replace(independent, references={"x": {"tempo": Ratio(None, None, None)}})
    for result in (independent, odd):
        text = json.dumps(result.to_dict(), allow_nan=False)
        assert Faithfulness.from_dict(json.loads(text)) == result


def test_the_same_seed_gives_the_same_figures_and_inputs_stay(independent):
    """Read-only arrays are enough, and another seed gives other figures."""
    data = independent_data()
    for array in (data.vectors, *data.targets.values()):
        array.setflags(write=False)
    noise = np.random.default_rng(2).standard_normal((N, 5))
    noise.setflags(write=False)
    told: list[tuple[int, int]] = []
    again = measured(
        data, references={"all layers": data.vectors, "noise": noise}, on_progress=lambda *n: told.append(n)
    )
    assert again == independent
    assert told[-1] == (N, N) and told == sorted(told) and len(told) == 4
    assert (again.k, again.n_queries, again.n_groups) == (10, N, N_WORKS)
    assert measured(data, seed=1) != measured(data)


def test_progress_may_end_the_work():
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(independent_data(), on_progress=stop)


@pytest.mark.parametrize("n_works", [1, 2])
def test_too_few_works_are_said_so(n_works):
    data = independent_data()
    few = ProbeData(data.vectors, data.targets, [str(row % n_works) for row in range(N)])
    with pytest.raises(DataMissingError, match=r"1 work is too few|2 works are too few"):
        measure_faithfulness(few, {}, SETTINGS)


def test_a_target_with_gaps_and_one_without_values_do_no_harm():
    """What is undefined for most tracks is looked at where it is defined; what is defined for ten is not."""
    rng = np.random.default_rng(7)
    data = independent_data()
    gaps = np.where(np.arange(N) < 60, data.targets["tempo"], np.nan)
    few = np.where(np.arange(N) < 10, rng.standard_normal(N), np.nan)
    targets = {**data.targets, "tempo": gaps, "attack_slopes": few, "dynamic_range": np.full(N, np.nan)}
    result = measured(ProbeData(data.vectors, targets, WORKS))
    assert result.rows[DIRECTION]["tempo"]["tempo"].value < 0.35 and result.passes("tempo")
    assert result.rows[MEASURED]["tempo"]["tempo"].value < 0.2
    assert set(result.correlations) == set(ASPECT_OF.values()) == set(result.judged)
    assert result.labels["articulation"] == "none"


def test_nothing_measured_gives_no_figure_and_no_error():
    data = independent_data()
    result = measured(replace(data, targets={}), references={"all layers": data.vectors})
    assert result.judged == [] and result.correlations == {} and result.references == {"all layers": {}}


def test_evidence_is_that_of_the_whole_library():
    """Labels are given, not found again without a tenth of the works."""
    evidence = {"tempo": AspectEvidence((1,), ("tempo",), "medium", ("tempo",))}
    result = measure_faithfulness(independent_data(), evidence, SETTINGS, n_folds=3)
    assert result.labels == {"tempo": "medium"} and result.judged == ["tempo"]
    assert result.rows[NOT].keys() == {"tempo"}
