"""Aggregate: what all listeners together say, one strength for each recording beside an anchor.

Bradley–Terry: of an anchor a, recordings have strengths u, and b is found more like it than c with probability
σ(u_b - u_c). Answers weigh as their listener is reliable: 2 p - 1, where p is the share of his repeated and known
questions that he told, one right and one wrong answer added beforehand; who only guesses weighs nothing. A prior of
one standard deviation keeps strengths finite where few have answered.

Strengths of one anchor compare with each other, and with those of no other anchor.

Source
------
Bradley & Terry (1952), Biometrika 39; fitted as a logistic regression without a constant (scikit-learn).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.catalogue.comparisons import Comparison
from mess_core.learning.agreement import Listening


@dataclass(frozen=True)
class Strength:
    """How much a recording is like an anchor, as everybody together hears it. n_answers : in which it was compared"""

    question: str
    anchor: str
    track_id: str
    strength: float
    n_answers: int


def reliability(listening: Listening | None) -> float:
    """How much a listener's answers weigh, 0 to 1; of nobody who was tested, as of one right and one wrong answer more.

    Examples
    --------
    >>> from mess_core.learning.agreement import Share
    >>> reliability(Listening(50, 0, Share(6, 6), Share(2, 2))), reliability(Listening(50, 0, Share(3, 6), Share(0, 0)))
    (0.8, 0.0)
    """
    tests = () if listening is None else (listening.consistency, listening.catches)
    right, n = (sum(getattr(test, name) for test in tests) for name in ("right", "n"))
    if not n:
        return 0.5  # an answer of a table, of whose listener nothing is known
    return max(0.0, 2 * (right + 1) / (n + 2) - 1)


def strengths(comparisons: Sequence[Comparison], listenings: Mapping[str, Listening]) -> list[Strength]:
    """Of each question and anchor, the most alike first."""
    from sklearn.linear_model import LogisticRegression

    by_anchor: dict[tuple[str, str], list[Comparison]] = {}
    for each in comparisons:
        by_anchor.setdefault((each.question, each.anchor), []).append(each)
    found = []
    for (question, anchor), answers in sorted(by_anchor.items()):
        names = sorted({name for each in answers for name in (each.positive, each.negative)})
        place = {name: column for column, name in enumerate(names)}
        rows = np.zeros((len(answers), len(names)))
        for row, each in zip(rows, answers, strict=True):
            row[place[each.positive]], row[place[each.negative]] = 1.0, -1.0
        weights = np.array([reliability(listenings.get(each.listener)) for each in answers])
        fitted = np.zeros(len(names))
        if weights.any():  # each answer and its mirror image: scikit-learn wants two classes
            both, sides = np.concatenate([rows, -rows]), np.repeat([1, 0], len(rows))
            model = LogisticRegression(C=1.0, fit_intercept=False)
            fitted = model.fit(both, sides, sample_weight=np.tile(weights, 2) / 2).coef_[0]
        counts = np.abs(rows).sum(axis=0).astype(int)
        of_anchor = [
            Strength(question, anchor, name, float(fitted[column]), int(counts[column]))
            for name, column in place.items()
        ]
        found += sorted(of_anchor, key=lambda each: (-each.strength, each.track_id))
    return found
