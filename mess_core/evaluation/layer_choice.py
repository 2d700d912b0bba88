"""Which layer is for whom: of each task in the study of similarity, the layers that find its answers best.

The layers are compared as the app compares recordings, by the cosine of embeddings centred on the library. Named is the
best layer with all whose interval overlaps its own: that any of these is better than another is not shown. Where that
is most of them, none stands out; and nothing is recommended that chance finds as well.

Conventions
-----------
Of *work*, *performer* and *instrument* a larger score is better, of properties a smaller one (`evaluation.retrieval`).
The best of several layers flatters itself a little: it was chosen by the figures that are shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mess_core.evaluation.retrieval import RetrievalScore
from mess_core.evaluation.similarity import INSTRUMENT, LAYER, PERFORMER, RETRIEVAL, SimilarityStudy
from mess_core.numbers import number
from mess_core.probing.findings import MOST_NAMES
from mess_core.search.evaluated import WORK
from mess_core.targets.registry import TARGETS, name_of
from mess_core.words import listed, spans

MEASURE = "centred"  # what `LayerGeometry` takes of each layer
QUESTIONS = {
    WORK: "the same piece in other hands",
    PERFORMER: "the same player in other pieces",
    INSTRUMENT: "the same instrument in other pieces",
}


@dataclass(frozen=True)
class LayerChoice:
    """The layers for one task.

    layers : the best, and those that cannot be told apart from it
    n_layers : of the encoder
    best, whole : the score of the best layer, and of all layers together
    """

    task: str
    layers: tuple[int, ...]
    n_layers: int
    best: RetrievalScore
    whole: RetrievalScore

    @property
    def question(self) -> str:
        """What is looked for, as people say it."""
        if self.task in TARGETS:
            return name_of(self.task)
        return QUESTIONS.get(self.task) or re.sub("_(bpm|ms)$", "", self.task).replace("_", " ")

    @property
    def beats_chance(self) -> bool:
        """Whether the best layer does, its interval considered."""
        if self.best.low is None or self.best.high is None or self.best.chance is None:
            return False
        if self.task in RETRIEVAL:
            return self.best.low > self.best.chance
        return self.best.high < self.best.chance

    @property
    def stands_out(self) -> bool:
        """Whether these layers are better than most others, and than chance."""
        return self.beats_chance and 2 * len(self.layers) <= self.n_layers

    @property
    def figures(self) -> str:
        """The scores behind it."""
        best, whole = number(self.best.value), number(self.whole.value)
        if self.task in RETRIEVAL:
            return f"{best} of 1; all layers together {whole}; chance {number(self.best.chance)}"
        return f"{best} of the distance by chance; all layers together {whole}"


def choose_layers(study: SimilarityStudy) -> tuple[LayerChoice, ...]:
    """For each task that could be asked, in the order of the study; none for an encoder of one layer."""
    choices = []
    for task in dict.fromkeys(figure.task for figure in study.figures):
        figures = [figure for figure in study.figures if figure.task == task and figure.score.value is not None]
        scores = {each.layer: each.score for each in figures if each.measure == MEASURE and each.layer is not None}
        whole = next((each.score for each in figures if (each.measure, each.layer) == (LAYER, None)), None)
        if len(scores) < 2 or whole is None:
            continue
        best = sorted(scores.values(), key=lambda score: score.value or 0.0, reverse=task in RETRIEVAL)[0]
        layers = tuple(layer for layer, score in scores.items() if _overlap(score, best))
        choices.append(LayerChoice(task, layers, len(scores), best, whole))
    return tuple(choices)


def advice(choices: Sequence[LayerChoice]) -> tuple[str, ...]:
    """One sentence for each question for which layers stand out, and what the others have in common."""
    said = [
        f"For {each.question}: {spans('layer', each.layers)} ({each.figures})." for each in choices if each.stands_out
    ]
    alike = [each.question for each in choices if each.beats_chance and not each.stands_out]
    lost = [each.question for each in choices if not each.beats_chance]
    if alike:
        said.append(f"No layer stands out for {listed(alike, MOST_NAMES)}.")
    if lost:
        said.append(f"No layer surely finds {listed(lost, MOST_NAMES, joint='or')} better than chance.")
    return tuple(said)


def _overlap(one: RetrievalScore, other: RetrievalScore) -> bool:
    """Whether two intervals share a value; without intervals nothing is known to differ."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return True
    return one.low <= other.high and other.low <= one.high
