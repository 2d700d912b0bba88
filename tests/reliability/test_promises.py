"""`docs/reliability.md` names tests that are there, and every point once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@pytest.mark.parametrize(("path", "test"), NAMED, ids=[test for _, test in NAMED])
def test_every_test_that_is_named_is_there(path: str, test: str) -> None:
    assert re.search(rf"^def {test}\(", (ROOT / path).read_text("utf-8"), flags=re.MULTILINE), f"{path}::{test}"


def test_every_point_is_answered_once() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", TEXT, flags=re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, len(rows) + 1)) and len(rows) >= 48
    assert all("`" in shown for _, _, shown in rows)


def test_every_benchmark_that_is_named_is_there() -> None:
    for name in re.findall(r"benchmarks\.(\w+)", TEXT):
        assert (ROOT / "benchmarks" / f"{name}.py").exists()
