"""Aspects: what a listener can ask for, the targets that stand for it, and what discovery found about them.

A line added to `ASPECTS` appears in the table of aspects, on the sliders and on the command line with no other edit.
"""

from __future__ import annotations

from dataclasses import dataclass

from mess_core.numbers import interval, number
from mess_core.probing.result import LABELS as BOUNDS
from mess_core.probing.result import ProbeResult, label_of
from mess_core.targets.registry import added_aspects
from mess_core.words import counted

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
ASPECTS |= {aspect: targets for aspect, targets in added_aspects().items() if aspect not in ASPECTS}
TIMBRE = ("brightness", "texture", "warmth")
# What people often ask of aspects: their weights, and what must not count.
PRESETS: dict[str, tuple[dict[str, float], tuple[str, ...]]] = {
    "Same music, another sound": ({}, TIMBRE),
    "Same timbre": (dict.fromkeys(TIMBRE, 1.0), ()),
    "Same playing": ({"articulation": 1.0, "legato": 1.0, "dynamics": 0.5, "expressiveness": 0.5, "rubato": 0.5}, ()),
    "Same movement": ({"rhythmic_energy": 1.0, "tempo": 1.0}, ()),
}
MEASURED = "measured"  # label of an aspect that is searched by measured values: nothing is told, so nothing can fail
LABELS = ("none", "experimental", "medium", "high")  # from weak to strong
LEAST_R2 = min(bound for _, bound in BOUNDS)  # lower end of the interval that the weakest label asks for


@dataclass(frozen=True)
class Transfer:
    """How well the directions of another library order this one's recordings (transfer.py).

    rho : rank correlation with what was measured here
    low, high : its 95 % interval; None where the works are too few for one
    n_tracks, n_works : it was taken over
    """

    rho: float
    low: float | None
    high: float | None
    n_tracks: int
    n_works: int

    @property
    def words(self) -> str:
        """The figure, its interval, and over how many it was taken."""
        within = f"{number(self.rho)} {interval(self.low, self.high)}".rstrip()
        return f"{within} over {counted(self.n_tracks, 'recording')} of {counted(self.n_works, 'work')}"


@dataclass(frozen=True)
class AspectEvidence:
    """What discovery says of one aspect.

    layers : layers within one standard error of the best, over the targets it is searched by
    targets : all its targets; label : of its best target when the layer, too, is chosen in training, or `MEASURED`
    searched : the targets it is searched by: those with evidence, or, if none has, all that could be probed
    transfer : of directions borrowed from another library, how well the weakest of them holds here
    """

    layers: tuple[int, ...]
    targets: tuple[str, ...]
    label: str
    searched: tuple[str, ...] = ()
    transfer: Transfer | None = None

    @property
    def has_evidence(self) -> bool:
        return self.label != "none"

    @property
    def reason(self) -> str:
        """Why it should not be relied on; empty if it may be."""
        if self.has_evidence:
            return ""
        if self.transfer is not None:
            return "what tells this in another library does not hold here"
        if not self.searched:
            return "nothing that stands for it could be measured and probed on this library"
        return "no layer tells this reliably"

    @property
    def reason_in_depth(self) -> str:
        """The same with its figures, for who knows how probing is done."""
        if self.has_evidence or not (self.transfer or self.searched):
            return self.reason
        figures = f"the interval of R² reaches below {LEAST_R2:g}"
        return f"{self.reason} ({f'rank correlation {self.transfer.words}' if self.transfer else figures})"


def weigh_aspects(result: ProbeResult) -> dict[str, AspectEvidence]:
    """The evidence for every aspect; label "none" where there is not enough.

    The label comes from the nested figure, in which the best layer was chosen inside each training set: the layer that
    merely looks best among thirteen would flatter itself.
    """
    probed = {summary.target: summary for summary in result.targets if summary.best_layer is not None}
    evidence = {}
    for aspect, targets in ASPECTS.items():
        summaries = [probed[target] for target in targets if target in probed]
        labels = {summary.target: label_of(summary.nested_r2_low) for summary in summaries}
        reliable = [summary for summary in summaries if labels[summary.target] != "none"]
        evidence[aspect] = AspectEvidence(
            layers=tuple(sorted({layer for summary in reliable or summaries for layer in summary.best_set})),
            targets=targets,
            label=max(labels.values(), key=LABELS.index, default="none"),
            searched=tuple(summary.target for summary in reliable or summaries),
        )
    return evidence
