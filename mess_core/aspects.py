"""Aspects: what a listener can ask for, the targets that stand for it, and what discovery found about them.

A line added to `ASPECTS` appears in the table of aspects, on the sliders and on the command line with no other edit.
"""

from __future__ import annotations

from dataclasses import dataclass

from mess_core.probing.result import ProbeResult, label_of

ASPECTS: dict[str, tuple[str, ...]] = {
    "brightness": ("spectral_centroid",),
    "texture": ("spectral_rolloff", "zero_crossing_rate"),
    "warmth": ("spectral_bandwidth", "spectral_centroid"),
    "tempo": ("tempo",),
    "rhythmic_energy": ("onset_density",),
    "dynamics": ("dynamic_range", "dynamic_variance"),
    "crescendo": ("crescendo_strength", "diminuendo_strength"),
    "harmonic_richness": ("harmonic_complexity",),
    "articulation": ("attack_slopes", "attack_sharpness"),
    "phrasing": ("phrase_regularity", "num_phrases"),
    "rubato": ("rubato", "tempo_variability"),
    "expressiveness": ("velocity_std", "velocity_range", "onset_timing_std"),
    "legato": ("articulation_ratio",),
}
LABELS = ("none", "experimental", "medium", "high")  # from weak to strong


@dataclass(frozen=True)
class AspectEvidence:
    """What discovery says of one aspect.

    layers : layers within one standard error of the best, over its targets that have evidence
    targets : all its targets; label : of its best target when the layer, too, is chosen in training
    """

    layers: tuple[int, ...]
    targets: tuple[str, ...]
    label: str


def weigh_aspects(result: ProbeResult) -> dict[str, AspectEvidence]:
    """The evidence for every aspect; label "none" where there is not enough.

    The label comes from the nested figure, in which the best layer was chosen inside each training set: the layer that
    merely looks best among thirteen would flatter itself.
    """
    probed = {summary.target: summary for summary in result.targets}
    evidence = {}
    for aspect, targets in ASPECTS.items():
        summaries = [probed[target] for target in targets if target in probed]
        labels = {summary.target: label_of(summary.nested_r2_low) for summary in summaries}
        layers = {layer for summary in summaries if labels[summary.target] != "none" for layer in summary.best_set}
        label = max(labels.values(), key=LABELS.index, default="none")
        evidence[aspect] = AspectEvidence(tuple(sorted(layers)), targets, label)
    return evidence
