"""Agreement: how far answers can be relied on, and how well each way to compare tells them.

Of one listener
    consistency   share of repeated questions, turned around, that were answered alike
    catches       share of questions with a known answer that were answered so
    ceiling       who gives the better answer with probability p agrees with himself in c = p² + (1 - p)² of the
                  repeats, so no model can be expected to tell more than p = (1 + sqrt(2 c - 1)) / 2 of his answers

Of a model
    accuracy      share of the answers that it would have given, on questions chosen by chance only: those that were
                  chosen because models disagree are harder for all of them. What learns from the answers is asked
                  before it hears each.

Between listeners
    alpha         Krippendorff's, nominal, over questions that several answered: 1 is agreement, 0 what chance gives

Intervals are Wilson's, 95 %: questions by chance are independent draws. Alpha's is a bootstrap of questions.

When to stop: two models differ on n random questions by d, paired, with a spread s. If that is the truth, the interval
of d leaves out 0 from (1.96 s / d)² questions on.

Source
------
Krippendorff (2011), Computing Krippendorff's alpha-reliability; package krippendorff. Wilson (1927).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.catalogue.sittings import Asked
from mess_core.learning.questions import ROUND, answered_rows, weighing_of
from mess_core.learning.ways import Ways
from mess_core.numbers import interval, number
from mess_core.words import counted

LEARNED = "learned from these answers"
FEWEST_CATCHES, LEAST_RIGHT = 5, 0.8  # who gets fewer right did not listen
FEWEST_REPEATS = 5  # before anything is concluded from them: one alone is alike, or not
FEWEST_TO_COMPARE = 20  # random answers, before anything is said of two models
SHARE_OF_CHANCE = ROUND.count("random") / len(ROUND)
MOST_MORE = 300  # answers worth advising
NORMAL_95 = 1.96
N_BOOTSTRAPS = 1000
FEWEST_IN_COMMON = 10  # questions that two listeners answered, before their agreement is told


@dataclass(frozen=True)
class Share:
    """`right` of `n`, with its 95 % interval; without any, None."""

    right: int
    n: int

    @property
    def value(self) -> float | None:
        return self.right / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        from scipy.stats import binomtest

        if not self.n:
            return None
        found = binomtest(self.right, self.n).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    @property
    def words(self) -> str:
        """The share, its interval, and of how many; "none yet" without any."""
        if self.interval is None:
            return "none yet"
        return f"{number(self.value)} {interval(*self.interval)}, {self.right} of {self.n}"


@dataclass(frozen=True)
class Listening:
    """How somebody answered.

    n_answers : given, those aside that said "cannot tell"
    n_neither : that said so
    """

    n_answers: int
    n_neither: int
    consistency: Share
    catches: Share

    @property
    def is_excluded(self) -> bool:
        """By rule: too many questions with a known answer were answered otherwise."""
        return self.catches.n >= FEWEST_CATCHES and self.catches.right / self.catches.n < LEAST_RIGHT

    @property
    def ceiling(self) -> float | None:
        """What the best model can be expected to tell; None where repeats are too few, or chance."""
        agreed = self.consistency.value
        if agreed is None or agreed <= 0.5 or self.consistency.n < FEWEST_REPEATS:
            return None
        return (1 + math.sqrt(2 * agreed - 1)) / 2


def listening_of(asked: Sequence[Asked]) -> Listening:
    """Of the questions of one listener; sittings one after the other."""
    told = [each for each in asked if each.answer in ("first", "second")]
    by_number = {(each.sitting_id, each.number): each for each in asked}
    same = []
    for each in told:
        before = by_number.get((each.sitting_id, each.repeats)) if each.repeats is not None else None
        if before is not None and before.answer in ("first", "second"):
            same.append(each.answer != before.answer)  # it stood on the other side
    right = [each.is_right for each in asked if each.is_right is not None]
    return Listening(
        n_answers=sum(each.purpose != "catch" for each in told),
        n_neither=sum(each.answer == "neither" for each in asked),
        consistency=Share(sum(same), len(same)),
        catches=Share(sum(map(bool, right)), len(right)),
    )


@dataclass(frozen=True)
class ModelPair:
    """Two models on the same random questions. only_one, only_other : right where the other was wrong; n : questions"""

    one: str
    other: str
    only_one: int
    only_other: int
    n: int

    @property
    def advice(self) -> str:
        """What more answers would bring, in a sentence."""
        if self.n < FEWEST_TO_COMPARE:
            n_more = math.ceil((FEWEST_TO_COMPARE - self.n) / SHARE_OF_CHANCE)
            return f"Too few answers to compare {self.one} with {self.other}: about {n_more} more are needed."
        gap = (self.only_one - self.only_other) / self.n
        spread = math.sqrt((self.only_one + self.only_other) / self.n - gap**2)
        if gap > 0 and (spread == 0 or gap > NORMAL_95 * spread / math.sqrt(self.n)):
            return f"{self.one} tells these answers better than {self.other}: more answers would not change that soon."
        if gap > 0:
            n_more = math.ceil(((NORMAL_95 * spread / gap) ** 2 - self.n) / SHARE_OF_CHANCE)
            if n_more <= MOST_MORE:
                rounded = max(10, round(n_more, -1))
                return f"About {rounded} more answers would tell {self.one} and {self.other} apart."
        return (
            f"{self.one} and {self.other} tell these answers about equally well: more than {MOST_MORE} further ones "
            "would be needed to tell them apart."
        )


@dataclass(frozen=True)
class Progress:
    """What the answers of a listener say so far.

    accuracies : of each model and of what learned, the best first
    advice : when to stop, in a sentence
    weights : of each way, what was learned, summing to 1; the largest first
    """

    listening: Listening
    accuracies: Mapping[str, Share]
    advice: str
    weights: Mapping[str, float]


def progress_of(ways: Ways, asked: Sequence[Asked]) -> Progress:
    """How well each model tells the answers of one listener."""
    rows, is_first = answered_rows(ways, asked, ("random",))
    differences = ways.differences(rows)
    right = {model: (ways.told(model, differences) > 0) == is_first for model in ways.models}
    if ways.names:
        right[LEARNED] = _told_beforehand(ways, asked)
    accuracies = {model: Share(int(each.sum()), len(each)) for model, each in right.items()}
    ranked = sorted(accuracies, key=lambda model: (-accuracies[model].right, model))
    advice = ""
    if len(ranked) > 1:
        one, other = right[ranked[0]], right[ranked[1]]
        advice = ModelPair(ranked[0], ranked[1], int((one & ~other).sum()), int((other & ~one).sum()), len(one)).advice
    weights = weighing_of(ways, asked).weights
    total = float(weights.sum()) or 1.0
    order = np.argsort(-weights, kind="stable")
    return Progress(
        listening_of(asked),
        {model: accuracies[model] for model in ranked},
        advice,
        {ways.names[way]: float(weights[way]) / total for way in order},
    )


def _told_beforehand(ways: Ways, asked: Sequence[Asked]) -> np.ndarray:
    """Whether what was learned from the answers before each random one told it, in the order they were asked."""
    found = []
    for place, each in enumerate(asked):
        rows, is_first = answered_rows(ways, [each], ("random",))
        if len(rows):
            evidence = ways.differences(rows) @ weighing_of(ways, asked[:place]).weights
            found.append((evidence[0] > 0) == is_first[0])
    return np.array(found, bool)


@dataclass(frozen=True)
class Alpha:
    """Agreement of several listeners. n_questions : that at least two of them answered; low, high : 95 %"""

    n_listeners: int
    n_questions: int
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def words(self) -> str:
        """In a sentence."""
        asked = (
            f"{counted(self.n_questions, 'question')} that several of {counted(self.n_listeners, 'listener')} answered"
        )
        if self.n_listeners < 2:
            return "One listener so far: how far people agree is known when a second one has answered."
        if self.value is None:
            return f"{asked}: too few to say how far people agree."
        often = "agree" if (self.low or 0.0) > 0 else "may not agree more than chance would make them"
        figure = f"{number(self.value)} {interval(self.low, self.high)}"
        return f"People {often}: Krippendorff's α {figure}, on {asked}."


def alpha_of(by_listener: Mapping[str, Sequence[Asked]], seed: int = 0) -> Alpha:
    """Krippendorff's alpha of the questions that several listeners answered; repeats and catches are left out."""
    import krippendorff

    answers: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    for listener, asked in by_listener.items():
        for each in asked:
            if each.purpose in ("random", "active") and each.answer in ("first", "second"):
                one, other = sorted((each.first.track_id, each.second.track_id))
                chosen = each.first if each.answer == "first" else each.second
                answers[each.anchor.track_id, one, other][listener] = int(chosen.track_id == other)
    shared = [given for given in answers.values() if len(given) > 1]
    listeners = list(by_listener)
    if len(shared) < FEWEST_IN_COMMON or len({value for given in shared for value in given.values()}) < 2:
        return Alpha(len(listeners), len(shared))
    table = np.array([[given.get(listener, np.nan) for given in shared] for listener in listeners])

    def alpha(columns: np.ndarray) -> float:
        chosen = table[:, columns]
        if len(np.unique(chosen[np.isfinite(chosen)])) < 2:
            return 1.0
        return float(krippendorff.alpha(reliability_data=chosen, level_of_measurement="nominal"))

    rng = np.random.default_rng(seed)
    drawn = [alpha(rng.integers(len(shared), size=len(shared))) for _ in range(N_BOOTSTRAPS)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Alpha(len(listeners), len(shared), alpha(np.arange(len(shared))), float(low), float(high))
