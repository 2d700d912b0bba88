"""The mutants: the same ones for the same seed, each one change; and what is listed as equivalent is still there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.mutants import KINDS, ROOT, TESTS, equivalents, sample

MODULE = "search/percentiles.py"


@pytest.mark.slow
def test_a_sample_is_seeded_and_each_changes_one_line():
    first, same, other = (sample([MODULE], 8, seed) for seed in (0, 0, 1))
    assert first == same and {mutant.code for mutant in first} != {mutant.code for mutant in other}
    assert len({mutant.line for mutant in first}) == 8 and {mutant.kind for mutant in first} == set(KINDS)
    lines = (ROOT / "mess_core" / MODULE).read_text("utf-8").splitlines()
    for mutant in first:
        changed = [
            row for row, (old, new) in enumerate(zip(lines, mutant.code.splitlines(), strict=True)) if old != new
        ]
        assert changed == [mutant.line - 1] and mutant.before != mutant.after


def test_what_no_test_can_notice_is_listed_with_a_reason_as_long_as_it_is_there():
    for (module, before, after), reason in equivalents().items():
        assert before in " ".join((ROOT / "mess_core" / module).read_text("utf-8").split()), before
        assert module in TESTS and before != after and reason.endswith(".")


@pytest.mark.slow
def test_wrong_use_is_said():
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants", "--of", "x"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and "invalid choice" in done.stderr
