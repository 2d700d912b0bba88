"""Reasons in one line: what was asked for is answered first, and nothing is said that the encoder cannot tell."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from mess_core.search.reasons import Reason, errors_of, in_one_line


def reason(aspect: str, percentile: float | None, difference_sd: float = 0.0, **others) -> Reason:
    word = {"brightness": "brighter", "dynamics": "wider in level"}.get(aspect, "faster")
    return Reason(aspect, percentile, difference_sd, word, others.pop("standing", 60.0), **others)


def test_what_was_asked_for_comes_first_alike_or_not():
    """Also where something else is closer, or further apart."""
    reasons = [reason("tempo", 99.9), reason("brightness", 91.0), reason("dynamics", 10.0, 3.0)]
    assert in_one_line(reasons, asked=["brightness"]) == "same brightness; same tempo; wider in level"
    assert in_one_line(reasons, asked=["dynamics"]) == "wider in level; same tempo and brightness"
    assert in_one_line(reasons) == "same tempo and brightness; wider in level"


@pytest.mark.parametrize(("percentile", "said"), [(60.0, "similar brightness"), (40.0, "perhaps brighter"), (None, "")])
def test_what_lies_between_is_called_neither_alike_nor_other(percentile, said):
    assert in_one_line([reason("brightness", percentile, 0.4)], asked=["brightness"]) == said


def test_a_difference_within_the_error_is_not_said():
    """Of 1.5 standard deviations: said where the encoder errs by one, not where it errs by two."""
    for error_sd, said in ((0.0, "brighter"), (1.0, "brighter"), (2.0, ""), (math.inf, "")):
        assert in_one_line([reason("brightness", 5.0, 1.5, error_sd=error_sd)]) == said
    assert in_one_line([reason("brightness", 5.0, 1.5, error_sd=2.0)], asked=["brightness"]) == "perhaps brighter"


def test_of_a_family_only_what_was_asked_for_is_named():
    family = {"brightness": ["texture"], "texture": ["brightness"]}.get
    reasons = [reason("texture", 99.9), reason("brightness", 95.0)]
    assert in_one_line(reasons, lambda aspect: family(aspect, [])) == "same texture"
    assert in_one_line(reasons, lambda aspect: family(aspect, []), asked=["brightness"]) == "same brightness"


def test_the_error_of_a_difference_is_that_of_a_simulation():
    """Two recordings of the same value: by how much do their predictions differ, in units of what is predicted?"""
    rng = np.random.default_rng(0)
    for r2 in (0.3, 0.6, 0.9):
        result = SimpleNamespace(targets=[SimpleNamespace(target="t", nested_r2=r2)])
        value = rng.standard_normal(400_000)
        told = r2 * value + math.sqrt(r2 * (1 - r2)) * rng.standard_normal(400_000)  # the best guess by a noisy view
        assert np.corrcoef(value, told)[0, 1] ** 2 == pytest.approx(r2, abs=0.01)
        left = value - told
        apart = (left[::2] - left[1::2]).std() / told.std()  # what a difference of predictions can be wrong by
        assert errors_of(result)["t"] == pytest.approx(apart, rel=0.02)
    nothing = SimpleNamespace(
        targets=[SimpleNamespace(target="t", nested_r2=-0.2), SimpleNamespace(target="u", nested_r2=None)]
    )
    assert errors_of(nothing) == {"t": math.inf}
