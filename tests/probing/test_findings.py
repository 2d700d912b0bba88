"""Findings: planted discoveries say what was planted, and nothing that the probe does not allow."""

from dataclasses import replace

import numpy as np
import pytest

from mess_core.probing.data import ProbeData
from mess_core.probing.findings import MOST_NAMES, Findings, Told, doubts, findings_of
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.result import ProbeCell, ProbeResult, ProbeSettings, TargetProbe
from mess_core.probing.uncertainty import groups_for_half
from mess_core.targets.registry import name_of

QUICK = ProbeSettings(alphas=(10.0,), n_repeats=1, n_bootstraps=50, n_permutations=199)
N_LAYERS, N_WORKS = 4, 60


@pytest.fixture(scope="module")
def planted() -> ProbeResult:
    """Layers 1 and 2 tell onset density; all tell the centroid, and so does log-mel; nothing tells the tempo."""
    rng = np.random.default_rng(0)
    bright, dense, tempo = rng.standard_normal((3, N_WORKS))
    vectors = 0.3 * rng.standard_normal((N_WORKS, N_LAYERS, 6))
    vectors[:, :, 0] += bright[:, None]
    vectors[:, 1:3, 1] += dense[:, None]
    mel = 0.1 * rng.standard_normal((N_WORKS, 4))
    mel[:, 0] += bright
    targets = {"spectral_centroid": bright, "onset_density": dense, "tempo": tempo, "rubato": np.full(N_WORKS, np.nan)}
    data = ProbeData(vectors, targets, [f"w{row}" for row in range(N_WORKS)], {"log-mel": mel})
    return add_null(fit_cells(data, QUICK), data)


def test_a_planted_discovery_says_what_was_planted(planted):
    found = findings_of(planted)
    assert found.better == (Told("onset_density", (1, 2)),)
    assert [(told.target, told.rival) for told in found.readable] == [("spectral_centroid", "log-mel")]
    assert found.untold == ("tempo",) and [target for target, _ in found.unprobed] == ["rubato"]
    assert found.doubts == ()
    more, but, none, half = found.sentences()
    assert more == "In layers 1–2 this encoder tells rhythmic energy better than anything plainer does."
    assert but.startswith("It also tells brightness") and "does so better than a plain spectrum is not shown" in but
    assert none == "No layer reliably tells tempo."
    assert half == f"{groups_for_half(N_WORKS)} more works would halve the uncertainty."


def test_of_each_target_the_table_says_the_same(planted):
    found = findings_of(planted)
    assert found.verdict("onset_density") == "better than anything plainer: layers 1–2"
    assert found.verdict("spectral_centroid") == "told; not shown to be better than a plain spectrum (log-mel)"
    assert found.verdict("tempo") == "no layer tells it reliably"
    assert found.verdict("rubato") == planted.target("rubato").reason != ""


@pytest.mark.parametrize(
    ("forbid", "said"),
    [
        (lambda result: replace(result, has_null=False), "comparison with chance is not done yet"),
        (lambda result: ProbeResult.from_dict({**result.to_dict(), "format": "mess-probe-1"}), "An earlier version"),
        (lambda result: fewer(result, 8), "Only 8 works: no interval can be given below 10"),
    ],
    ids=["no null", "older intervals", "too few works"],
)
def test_where_nothing_may_be_claimed_its_sentence_stands_alone(planted, forbid, said):
    found = findings_of(forbid(planted))
    assert not (found.better or found.readable or found.untold) and found.sentences() == ()
    assert said in found.doubts[0]
    assert found.verdict("onset_density") == ("not known yet" if "not done yet" in said else "")


@pytest.mark.parametrize(
    "forbid",
    [
        lambda result: replace(result, missing_baselines=("untrained",)),
        lambda result: replace(result, settings=replace(QUICK, n_permutations=20)),
        lambda result: replace(result, settings=replace(QUICK, n_permutations=0), has_null=False),
    ],
    ids=["a baseline is missing", "few permutations", "no permutations"],
)
def test_where_nothing_may_be_compared_it_is_said_what_can_be_read(planted, forbid):
    """Even of cells that were marked as encoding, and without a word of what is plainer."""
    result = forbid(planted)
    assert any(cell.encodes for cell in result.cells)
    found = findings_of(result)
    assert found.better == () and {told.target for told in found.readable} == {"spectral_centroid", "onset_density"}
    said = " ".join(found.sentences())
    assert "plain" not in said and "better" not in said
    assert found.doubts == (f"Nothing here may be said to “encode”: {result.why_no_word}.",)


def fewer(result: ProbeResult, n_groups: int) -> ProbeResult:
    """The same with so few groups: as the probe does, without any interval."""
    cells = [replace(cell, r2_low=None, gain_low=None, encodes=False) for cell in result.cells]
    targets = [replace(summary, nested_r2_low=None) for summary in result.targets]
    return replace(result, n_groups=n_groups, cells=tuple(cells), targets=tuple(targets))


def made(
    encoded: dict[str, tuple[int, ...]], told: dict[str, str] | None = None, untold: tuple[str, ...] = (), n_layers=13
) -> Findings:
    """Of a result by hand: target -> layers that encode it, target -> its best baseline, and what nothing tells."""
    told = told or {}
    cells = [
        ProbeCell(layer, target, "track", r2=0.5, r2_low=0.3, encodes=layer in encoded.get(target, ()),
                  baseline_name=told.get(target, "log-mel"))
        for target in (*encoded, *told, *untold) for layer in range(n_layers)
    ]  # fmt: skip
    lows = dict.fromkeys((*encoded, *told), 0.3) | dict.fromkeys(untold, -0.1)
    summaries = [
        TargetProbe(target, best_layer=0, best_set=(0, 1), nested_r2=low + 0.1, nested_r2_low=low)
        for target, low in lows.items()
    ]
    return findings_of(
        ProbeResult(
            "track", 100, n_layers, 100, ProbeSettings(), ("g",) * 100, None, tuple(cells), tuple(summaries), True
        )
    )


def test_layers_are_said_once_where_they_are_the_same_and_as_ranges():
    same = made({"onset_density": (0, 1, 2), "attack_slopes": (0, 1, 2)})
    assert same.sentences()[0].startswith("In layers 0–2 this encoder tells rhythmic energy and attack better")
    apart = made({"onset_density": (2, 3, 5), "attack_slopes": (1,)})
    assert "tells rhythmic energy (layers 2–3 and 5) and attack (layer 1) better" in apart.sentences()[0]


def test_an_encoder_of_one_layer_names_none():
    said = " ".join(made({"onset_density": (0,)}, {"tempo": "MFCC"}, n_layers=1).sentences())
    assert "layer" not in said


def test_of_many_names_the_first_are_said_and_the_others_counted():
    targets = ["spectral_centroid", "spectral_rolloff", "spectral_bandwidth", "zero_crossing_rate", "tempo",
               "onset_density", "dynamic_range", "dynamic_variance", "rubato"]  # fmt: skip
    said = made({}, dict.fromkeys(targets, "log-mel")).sentences()[0]
    assert name_of(targets[MOST_NAMES - 1]) in said and "and 3 others, best in" in said
    assert name_of(targets[MOST_NAMES]) not in said
    said = made({}, {}, tuple(targets)).sentences()[0]
    assert said == "No layer reliably tells any of the 9 properties that were measured."
    assert made({}, {}, ("tempo", "rubato")).sentences()[0] == "No layer reliably tells tempo and rubato."


def test_each_kind_of_baseline_is_named_the_most_frequent_first():
    rivals = {"spectral_centroid": "MFCC", "spectral_rolloff": "nuisances", "tempo": "log-mel", "rubato": "log-mel"}
    said = made({}, rivals).sentences()[0]
    assert "better than a plain spectrum or length, loudness, density and pitch alone is not shown" in said


def test_where_even_guessing_is_no_worse_that_is_what_is_said():
    """Its interval alone says it is told, all intervals at once do not: there is no baseline to be named."""
    said = made({}, {"tempo": "train mean"}).sentences()[0]
    assert "that it does so better than anything plainer is not shown" in said


def test_a_name_is_written_as_the_page_writes_it():
    found = made({"onset_density": (1,)}, {"my <column>": "log-mel"}, ("tempo",))
    said = " ".join(found.sentences(lambda target: f"[{target}]"))
    assert "[onset_density]" in said and "[my <column>]" in said and "[tempo]" in said
    assert "my <column>" in " ".join(found.sentences())


@pytest.mark.parametrize(("group", "noun"), [("work", "works"), ("performer", "performers"), ("era", "groups")])
def test_what_is_kept_apart_is_what_is_counted(planted, group, noun):
    assert f"more {noun} would halve" in findings_of(planted, group).sentences()[-1]
    assert f"Only 8 {noun}" in findings_of(fewer(planted, 8), group).doubts[0]


# --- doubts ----------------------------------------------------------------------------------------------------


def probed(n_groups: int, settings: ProbeSettings = QUICK, missing: tuple[str, ...] = ()) -> ProbeResult:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 2, 5))
    groups = [f"w{row % n_groups}" for row in range(60)]
    data = ProbeData(vectors, {"a": vectors[:, 0, 0]}, groups, missing=missing)
    return add_null(fit_cells(data, settings), data)


def test_with_enough_works_there_is_no_doubt():
    assert doubts(probed(30), "work") == ()


def test_few_works_are_said_with_what_would_help():
    (said,) = doubts(probed(15), "work")
    assert "Only 15 works: the intervals are wide" in said and "more works would halve them" in said
    assert findings_of(probed(15)).n_more == 0  # it is not said twice


def test_too_few_have_no_interval():
    (said,) = doubts(probed(8), "work")
    assert "Only 8 works: no interval can be given below 10" in said


def test_what_is_missing_is_named():
    (said,) = doubts(probed(30, missing=("untrained",)), "work")
    assert said == "Nothing here may be said to “encode”: not compared with untrained."


def test_while_it_is_worked_out():
    quick = fit_cells_only(replace(QUICK, n_bootstraps=0))
    assert doubts(quick, "work") == ("Provisional: R² alone so far; intervals and baselines are being worked out.",)
    (said,) = doubts(fit_cells_only(QUICK), "work")
    assert "comparison with chance is not done yet" in said


def fit_cells_only(settings: ProbeSettings) -> ProbeResult:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 2, 5))
    return fit_cells(ProbeData(vectors, {"a": vectors[:, 0, 0]}, [f"w{row}" for row in range(60)]), settings)


@pytest.mark.parametrize("n_groups", [8, 30])
def test_an_earlier_version_is_told_from_few_works(n_groups):
    stored = {**probed(n_groups).to_dict(), "format": "mess-probe-1"}
    (said,) = doubts(ProbeResult.from_dict(stored), "work")
    assert ("An earlier version" in said) == (n_groups == 30)


def test_what_was_ended_before_it_was_done_says_so():
    (said,) = doubts(fit_cells_only(QUICK), "work", is_under_way=False)
    assert "ended before it was done" in said and "Run it again" in said


def test_what_could_not_be_probed_at_all_says_why():
    data = ProbeData(np.zeros((3, 1, 2)), {"tempo": np.full(3, np.nan)}, ["a", "b", "c"])
    result = fit_cells(data, QUICK)
    assert doubts(result, "work") == (f"Nothing could be probed: {result.target('tempo').reason}.",)
    assert findings_of(result).sentences() == ()
