"""Findings: what a discovery says, in a few sentences for somebody who makes music.

    better     some layer tells it better than every baseline, all cells considered at once: where it "encodes" it
    readable   some layer tells it, and that this is better than every baseline is not shown
    untold     no layer tells it reliably

A claim is made only where the probe allows it. Nothing is claimed while the comparison with chance is not done, nor
without intervals; nothing is compared where `ProbeResult.why_no_word` says why not. What takes the place of a claim
then, and what else the reader must know, is in `doubts`.

Conventions
-----------
"Told" is the evidence that aspects are searched by: the label of R² with the layer, too, chosen in training. Targets
come in the order of the result, which is that of the registry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mess_core.numbers import interval, percent
from mess_core.probing.data import UNTRAINED
from mess_core.probing.result import ClassScores, ProbeResult, TargetProbe, label_of
from mess_core.probing.uncertainty import FEW_GROUPS, MIN_GROUPS, groups_for_half
from mess_core.targets.registry import name_of
from mess_core.words import counted, listed, spans

MOST_NAMES = 6  # in one sentence
NOT_YET = "not known yet"  # of what an unfinished discovery will say
NOUNS = {"work": "work", "recording": "recording", "performer": "performer", "session": "session"}
SPECTRA = ("log-mel", "MFCC")
PLAINER = {  # what a baseline is, to somebody who has not read how probing is done
    "chroma": "the notes that sound (chroma)",
    "nuisances": "length, loudness, density and pitch alone",
    "nuisances but density": "length, loudness and pitch alone",
    UNTRAINED: "the same network untrained",
}


def plainer(baseline: str) -> str:
    """A baseline as a sentence names it.

    Examples
    --------
    >>> plainer("nuisances"), plainer("MFCC")
    ('length, loudness, density and pitch alone', 'MFCC')
    """
    return PLAINER.get(baseline, baseline)


@dataclass(frozen=True)
class Told:
    """A target that can be read off some layers.

    layers : those that tell it better than every baseline; where none does, those within one standard error of the best
    rival : the best baseline at the best of them; "" where nothing may be compared
    """

    target: str
    layers: tuple[int, ...]
    rival: str = ""


@dataclass(frozen=True)
class ToldClasses:
    """A target of classes that can be told off some layers, with the layer, too, chosen in training.

    scores : shares that are right; commonest : when the commonest class is guessed
    layers : those within one standard error of the best
    encodes : whether some layer is better than every baseline
    """

    target: str
    layers: tuple[int, ...]
    scores: ClassScores
    commonest: float
    encodes: bool

    def sentence(self, name: str) -> str:
        """How much of it is right, and what guessing gives."""
        right = f"{percent(100 * (self.scores.accuracy or 0.0))} {_in_percent(self.scores)}".rstrip()
        better = ", better than anything plainer does" if self.encodes else ""
        return (
            f"{name} can be told off {spans('layer', self.layers)}: {right} right where guessing the commonest gives "
            f"{percent(100 * self.commonest)}{better}."
        )


def _in_percent(scores: ClassScores) -> str:
    if scores.accuracy_low is None or scores.accuracy_high is None:
        return ""
    return interval(100 * scores.accuracy_low, 100 * scores.accuracy_high, 0)


@dataclass(frozen=True)
class Findings:
    """What a discovery says.

    noun : what is kept apart, and counted
    n_layers : of the encoder
    better, readable, untold : see above; all empty where nothing may be claimed
    unprobed : target -> why it could not be probed
    n_more : how many more works (or what `noun` says) would halve the intervals
    doubts : sentences on what the reader must know before believing anything
    may_compare : whether anything may be said of baselines
    is_unfinished : whether what is missing may still come: then nothing is told and nothing is untold
    classes : targets of classes that can be told; others are among `untold`
    left_out : classes that are in too few groups, a sentence each
    """

    noun: str
    n_layers: int
    better: tuple[Told, ...]
    readable: tuple[Told, ...]
    untold: tuple[str, ...]
    unprobed: tuple[tuple[str, str], ...]
    n_more: int
    doubts: tuple[str, ...]
    may_compare: bool
    is_unfinished: bool = False
    classes: tuple[ToldClasses, ...] = ()
    left_out: tuple[str, ...] = ()

    def sentences(self, name: Callable[[str], str] = name_of) -> tuple[str, ...]:
        """Two to four sentences, the most telling first; `name` says how a target is written in them."""
        said = [told.sentence(_begun(name(told.target))) for told in self.classes]
        if self.better:
            said.append(f"{self._told_better(name)} better than anything plainer does.")
        if self.readable:
            names = listed([name(told.target) for told in self.readable], MOST_NAMES)
            who = "It also" if self.better else "This encoder"
            said.append(f"{who} tells {names}{self._best_in}{self._but}.")
        if self.untold:
            is_all = not said and len(self.untold) > MOST_NAMES
            all_of_them = f"any of the {len(self.untold)} properties that were measured"
            what = all_of_them if is_all else listed([name(target) for target in self.untold], MOST_NAMES)
            said.append(f"No layer reliably tells {what}.")
        if said and self.n_more:
            said.append(f"{counted(self.n_more, f'more {self.noun}')} would halve the uncertainty.")
        return tuple(said)

    def verdict(self, target: str) -> str:
        """What is found of one target, in a few words; "" where nothing may be claimed, and nothing will be."""
        if target in dict(self.unprobed):
            return dict(self.unprobed)[target]
        if self.is_unfinished:
            return NOT_YET
        for classes in self.classes:
            if classes.target == target:
                better = "better than anything plainer" if classes.encodes else "told"
                return f"{better}: {spans('layer', classes.layers)}"
        for told in self.better:
            if told.target == target:
                return f"better than anything plainer: {spans('layer', told.layers)}"
        for told in self.readable:
            if told.target == target:
                rivals = _plainer([told.rival])
                return f"told; not shown to be better than {rivals}" if rivals else "told"
        return "no layer tells it reliably" if target in self.untold else ""

    def _told_better(self, name: Callable[[str], str]) -> str:
        """By which layers: said once where they are the same."""
        names = [name(told.target) for told in self.better]
        places = [told.layers for told in self.better]
        if self.n_layers == 1:
            return f"This encoder tells {listed(names, MOST_NAMES)}"
        if len(set(places)) == 1:
            return f"In {spans('layer', places[0])} this encoder tells {listed(names, MOST_NAMES)}"
        each = [f"{told} ({spans('layer', where)})" for told, where in zip(names, places, strict=True)]
        return f"This encoder tells {listed(each, MOST_NAMES)}"

    @property
    def _best_in(self) -> str:
        layers = {layer for told in self.readable for layer in told.layers}
        return f", best in {spans('layer', layers)}" if len(layers) < self.n_layers else ""

    @property
    def _but(self) -> str:
        """Than what it is not shown to be better at the readable."""
        if not self.may_compare:
            return ""
        rivals = _plainer([told.rival for told in self.readable], with_terms=False)
        return f", but that it does so better than {rivals or 'anything plainer'} is not shown"


def findings_of(result: ProbeResult, group: str = "work", *, is_under_way: bool = True) -> Findings:
    """What a result says.

    Parameters
    ----------
    group : str
        What is kept apart: one of `GROUPS`, or a column of one's own table.
    is_under_way : bool
        Whether what is missing is being worked out; of a run that was ended before it was done nobody should wait.
    """
    noun = NOUNS.get(group, "group")
    is_done = result.has_null or result.settings.n_permutations == 0  # without permutations chance is never asked
    may_claim = is_done and result.has_intervals
    may_compare = may_claim and not result.why_no_word
    better, readable, untold, classes = [], [], [], []
    for summary in result.targets if may_claim else ():
        layers = [cell.layer for cell in result.cells if cell.target == summary.target and cell.encodes]
        if summary.classes is not None and (layers or label_of(summary.nested_r2_low) != "none"):
            nested, commonest = summary.classes.nested, summary.classes.commonest or 0.0
            told = tuple(layers) if layers and may_compare else summary.best_set
            classes.append(ToldClasses(summary.target, told, nested, commonest, bool(layers) and may_compare))
        elif layers and may_compare:
            better.append(Told(summary.target, tuple(layers)))
        elif label_of(summary.nested_r2_low) != "none":
            readable.append(Told(summary.target, summary.best_set, _rival(result, summary) if may_compare else ""))
        elif summary.nested_r2_low is not None:
            untold.append(summary.target)
    return Findings(
        noun=noun,
        n_layers=result.n_layers,
        better=tuple(better),
        readable=tuple(readable),
        untold=tuple(untold),
        unprobed=tuple((each.target, each.reason) for each in result.targets if each.best_layer is None),
        n_more=groups_for_half(result.n_groups) if result.n_groups >= FEW_GROUPS else 0,
        doubts=doubts(result, noun, is_under_way=is_under_way),
        may_compare=may_compare,
        is_unfinished=is_unfinished(result),
        classes=tuple(classes),
        left_out=tuple(said for each in result.targets if each.classes for said in each.classes.left_out),
    )


def _begun(name: str) -> str:
    """A name that begins a sentence, which may be HTML: then its first letter is that of the text."""
    at = name.find(">") + 1 if name.startswith("<") else 0
    return f"{name[:at]}{name[at : at + 1].upper()}{name[at + 1 :]}"


def is_unfinished(result: ProbeResult) -> bool:
    """Whether intervals, baselines or chance are still to be worked out. With too few groups none ever are."""
    is_without = not result.has_null and (result.settings.n_permutations > 0 or not result.has_intervals)
    return is_without and result.n_groups >= MIN_GROUPS


def doubts(result: ProbeResult, noun: str, *, is_under_way: bool = True) -> tuple[str, ...]:
    """What the reader must know of the intervals and of the word "encodes", in one sentence each."""
    n_groups = counted(result.n_groups, noun)
    left_out = [said for each in result.targets if each.classes for said in each.classes.left_out]
    said = []
    if all(summary.best_layer is None for summary in result.targets):
        reasons = Counter(summary.reason for summary in result.targets if summary.reason)
        why = f": {reasons.most_common(1)[0][0]}" if reasons else ""
        return (f"Nothing could be probed{why}.",)
    if result.n_groups < MIN_GROUPS:
        said.append(f"Only {n_groups}: no interval can be given below {MIN_GROUPS}.")
    elif is_unfinished(result) and not is_under_way:
        said.append("Provisional: this discovery was ended before it was done. Run it again to finish it.")
    elif is_unfinished(result):
        said.append(
            "The comparison with chance is not done yet: the word “encodes” waits for it."
            if result.has_intervals
            else "Provisional: R² alone so far; intervals and baselines are being worked out."
        )
    elif not result.has_intervals:
        said.append(
            "An earlier version made this, whose intervals were too narrow: they are not shown. R² is right. "
            "Run it again to see how sure it is."
        )
    elif result.n_groups < FEW_GROUPS:
        more = counted(groups_for_half(result.n_groups), f"more {noun}")
        said.append(f"Only {n_groups}: the intervals are wide. {more} would halve them.")
    if left_out:
        said.append(f"{listed(left_out[:MOST_NAMES], joint='and')}.")
    if result.has_intervals and result.why_no_word and not is_unfinished(result):
        said.append(f"Nothing here may be said to “encode”: {result.why_no_word}.")
    return tuple(said)


def _rival(result: ProbeResult, summary: TargetProbe) -> str:
    """The best baseline at the best layer."""
    cells = (cell for cell in result.cells if (cell.layer, cell.target) == (summary.best_layer, summary.target))
    return next((cell.baseline_name for cell in cells if cell.baseline_name), "")


def _plainer(baselines: Iterable[str], *, with_terms: bool = True) -> str:
    """Baselines as a sentence names them, the most frequent first; "" where none is one that could be named."""
    names = [name for name, _ in Counter(baselines).most_common()]
    spectra = [name for name in names if name in SPECTRA]
    terms = f" ({listed(spectra, joint='or')})" if with_terms else ""
    kinds = [f"a plain spectrum{terms}"] if spectra else []
    kinds += [PLAINER[name] if with_terms else PLAINER[name].split(" (")[0] for name in names if name in PLAINER]
    return listed(kinds, joint="or")
