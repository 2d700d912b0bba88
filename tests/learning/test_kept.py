"""Kept reports: what they say in a sentence follows from their figures."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mess_core.learning.kept import LearnReport
from mess_core.learning.trial import Figure, Split, TrialResult

PLAIN = Figure(
    "centred", "nDCG@10", "work", False, 0.5, 0.4, 0.6, None, None, None, "centred", None, None, None, (0.5,)
)
HELPED = replace(
    PLAIN, name="linear", is_student=True, value=0.7, gain=0.2, gain_low=0.1, gain_high=0.3, p=0.001, p_holm=0.004,
    step_low=0.1,
)  # fmt: skip


def report(figure: Figure, chosen: str) -> LearnReport:
    split = Split("work", 40, 10, 5, 20, 50, ())
    result = TrialResult(("nDCG@10",), (split,), (PLAIN, figure), {"nDCG@10": 0.1}, chosen, figure.name)
    return LearnReport("a", "mel", "f", "c", "works", result)


@pytest.mark.parametrize(
    ("changed", "chosen", "says"),
    [
        (
            {},
            "linear",
            "Learning from works helps: nDCG@10 0.70 by the student linear .a projection to 64 numbers., where search "
            "without it has 0.50",
        ),
        ({"p_holm": 0.06}, "linear", "seems to help: .* corrected for all students tried it is not shown, p 0.06"),
        (
            {"gain_low": -0.1},
            "centred",
            "is not shown: the best student, linear .a projection to 64 numbers., has .* could be none .-0.10 to 0.30",
        ),
        (
            {},
            "centred",
            "linear .a projection .* has .* .a gain of 0.20, 95 % from 0.10 to 0.30.. It was not chosen: students",
        ),
        ({"p_holm": 0.06}, "centred", "from 0.10 to 0.30; corrected for all students tried not shown, p 0.06.. It was"),
        ({"gain_low": None, "gain_high": None}, "centred", "cannot be said on so few works"),
    ],
)
def test_the_verdict_claims_no_more_than_the_figures(changed, chosen, says):
    verdict = report(replace(HELPED, **changed), chosen).verdict
    assert re.search(says, verdict) and verdict.endswith(".")
    assert "could be none" not in verdict or changed["gain_low"] <= 0
