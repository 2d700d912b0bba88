"""Aspects: complete, extensible by one line, and labelled by the honest figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.probing import result as result_module
from mess_core.probing.aspects import ASPECTS, LABELS, AspectEvidence, weigh_aspects
from mess_core.probing.data import ProbeData
from mess_core.probing.probe import fit_cells
from mess_core.probing.result import ProbeResult, ProbeSettings, TargetProbe
from mess_core.targets.base import Target
from mess_core.targets.measurements import probed_targets
from mess_core.targets.registry import TARGETS, name_of

# `design.md` §5, word for word.
DESIGN = """
brightness: spectral_centroid · texture: spectral_rolloff, zero_crossing_rate ·
warmth: spectral_bandwidth, spectral_centroid · tempo: tempo · rhythmic_energy: onset_density ·
dynamics: dynamic_range, dynamic_variance · crescendo: crescendo_strength, diminuendo_strength ·
harmonic_richness: harmonic_complexity · articulation: attack_slopes, attack_sharpness ·
phrasing: phrase_regularity, num_phrases · rubato: rubato, tempo_variability ·
expressiveness: velocity_std, velocity_range, onset_timing_std · legato: articulation_ratio
"""


def found(*targets: TargetProbe) -> ProbeResult:
    """A result that consists of summaries."""
    n_layers = 13
    return ProbeResult("track", 60, n_layers, 60, ProbeSettings(), ("w",) * 60, None, (), targets, has_null=True)


def probe(target: str, nested_r2_low: float | None, *best_set: int) -> TargetProbe:
    return TargetProbe(target, best_layer=best_set[0], best_set=best_set, nested_r2_low=nested_r2_low)


def test_the_aspects_are_those_of_the_design():
    """Thirteen aspects, each with the targets written down for it."""
    pairs = [part.split(":") for part in DESIGN.replace("\n", " ").split("·")]
    assert {name.strip(): tuple(t.strip() for t in targets.split(",")) for name, targets in pairs} == ASPECTS


def test_every_target_but_mean_velocity_serves_an_aspect():
    """The 22 are the 21 that aspects use, and velocity_mean; no aspect names a target that does not exist."""
    used = {target for targets in ASPECTS.values() for target in targets}
    probed = probed_targets("track")
    assert len(used) == 21 and len(probed) == len(set(probed)) == 22
    assert set(probed) - used == {"velocity_mean"} and used <= set(probed) <= TARGETS.keys()


def test_what_alone_stands_for_an_aspect_has_its_name_and_no_other_has():
    """One word for one thing, whatever page says it; no two things share a word."""
    titles = [name_of(target) for target in TARGETS]
    assert len(set(titles)) == len(titles)
    alone = {targets[0]: aspect for aspect, targets in ASPECTS.items() if len(targets) == 1}
    assert {target: name_of(target) for target in alone} == {
        target: aspect.replace("_", " ") for target, aspect in alone.items()
    }
    assert TARGETS["spectral_centroid"].measured_as == "spectral centroid" and TARGETS["rubato"].measured_as == "rubato"


def test_companions_are_not_probed():
    """What stands beside a target is measured, never probed, at either level; segments have fewer targets."""
    for level in ("track", "segment"):
        probed = [TARGETS[target] for target in probed_targets(level)]
        assert not any(target.is_companion for target in probed)
        assert all(level in target.levels for target in probed)
    assert set(probed_targets("segment")) < set(probed_targets("track"))


def test_a_new_line_is_enough(monkeypatch):
    """A target and an aspect added to their registries are probed and weighed with no other edit."""
    new = Target("sparkle", "Sparkle", "1", "timbre", "audio", "low", "id", ("track",), "Planted.")
    monkeypatch.setitem(TARGETS, "sparkle", new)
    monkeypatch.setitem(ASPECTS, "shine", ("sparkle", "tempo"))
    assert probed_targets("track")[-1] == "sparkle" and "sparkle" not in probed_targets("segment")
    evidence = weigh_aspects(found(probe("sparkle", 0.6, 4, 5)))
    assert evidence["shine"] == AspectEvidence((4, 5), ("sparkle", "tempo"), "medium", ("sparkle",))
    monkeypatch.setitem(TARGETS, "sparkle", replace(new, is_companion=True))
    assert "sparkle" not in probed_targets("track")


@pytest.mark.parametrize(
    ("low", "label"),
    [
        (0.95, "high"), (0.8, "high"), (0.799, "medium"), (0.5, "medium"), (0.499, "experimental"),
        (0.2, "experimental"), (0.199, "none"), (-3.0, "none"), (None, "none"),
    ],
)  # fmt: skip
def test_labels_follow_the_lower_end(low, label):
    """The thresholds of the design, at their edges; without a figure there is no evidence."""
    evidence = weigh_aspects(found(probe("tempo", low, 3)))["tempo"]
    assert evidence.label == label
    assert evidence.has_evidence == (label != "none") == (evidence.reason == "")
    assert (evidence.layers, evidence.searched) == ((3,), ("tempo",))  # it can be searched, with a warning
    assert set(LABELS) == {"none", *(name for name, _ in result_module.LABELS)}


def test_the_label_is_of_the_best_target_and_layers_are_of_all_with_evidence():
    """One good target makes the aspect; a target without evidence adds no layer."""
    summaries = [
        probe("velocity_std", 0.3, 2, 3),
        probe("velocity_range", 0.85, 3, 7),
        probe("onset_timing_std", 0.1, 11),
    ]
    evidence = weigh_aspects(found(*summaries))["expressiveness"]
    assert evidence == AspectEvidence((2, 3, 7), ASPECTS["expressiveness"], "high", ("velocity_std", "velocity_range"))
    assert weigh_aspects(found(*summaries[::-1]))["expressiveness"] == evidence


def test_every_aspect_is_weighed_and_what_was_not_probed_has_no_evidence():
    """A library without MIDI: its aspects are there, with the label none."""
    evidence = weigh_aspects(found(probe("tempo", 0.9, 1)))
    assert evidence.keys() == ASPECTS.keys()
    assert {name for name, e in evidence.items() if e.label != "none"} == {"tempo"}
    assert all(e.targets == ASPECTS[name] for name, e in evidence.items())
    refused = TargetProbe("rubato", "undefined for every row")
    assert weigh_aspects(found(refused))["rubato"] == AspectEvidence((), ASPECTS["rubato"], "none", ())
    assert "measured and probed" in weigh_aspects(found(refused))["rubato"].reason


def test_without_evidence_all_that_could_be_probed_is_searched():
    """Two poor targets and one that could not be probed: the two, in all their layers, and a reason."""
    summaries = [
        probe("velocity_std", 0.1, 2, 3),
        probe("velocity_range", None, 5),
        TargetProbe("onset_timing_std", "x"),
    ]
    evidence = weigh_aspects(found(*summaries))["expressiveness"]
    assert evidence == AspectEvidence((2, 3, 5), ASPECTS["expressiveness"], "none", ("velocity_std", "velocity_range"))
    assert not evidence.has_evidence and evidence.reason == "no layer tells this reliably"
    assert evidence.reason_in_depth == "no layer tells this reliably (the interval of R² reaches below 0.2)"


@pytest.mark.slow
def test_the_layer_that_merely_looks_best_does_not_make_the_label():
    """Sixty layers of noise: the best cell's interval may look good, the nested figure is not fooled."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((40, 60, 8))
    data = ProbeData(vectors, {"tempo": rng.standard_normal(40)}, [f"w{i}" for i in range(40)])
    result = fit_cells(data, ProbeSettings(n_bootstraps=200))
    summary = result.target("tempo")
    assert summary.nested_r2_low < result.cell(summary.best_layer, "tempo").r2_low  # that would have flattered
    assert weigh_aspects(result)["tempo"].label == "none"


def test_the_label_is_nested_even_where_the_cell_says_more():
    """A cell labelled high and a nested figure of 0.3: the aspect is experimental."""
    rng = np.random.default_rng(1)
    told = rng.standard_normal(60)
    vectors = rng.standard_normal((60, 2, 4))
    vectors[:, 1, 0] = told
    data = ProbeData(vectors, {"tempo": told}, [f"w{i}" for i in range(60)])
    result = fit_cells(data, ProbeSettings(n_bootstraps=200))
    assert result.cell(1, "tempo").label == "high" and weigh_aspects(result)["tempo"].label == "high"
    doubted = replace(result, targets=(replace(result.target("tempo"), nested_r2_low=0.3),))
    assert weigh_aspects(doubted)["tempo"] == AspectEvidence((1,), ("tempo",), "experimental", ("tempo",))
