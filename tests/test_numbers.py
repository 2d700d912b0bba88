"""Numbers: each kind is written in one place, and no zero has a minus."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mess_core.numbers import interval, number, percent, settled, share_percent, size

ROOT = Path(__file__).parents[1]
WRITTEN = re.compile(r"\{[^{}%]*:[+]?\.[0-9][f%]\}")  # in place of `number` and `percent`
# What Plotly and style sheets read is no text.
PAGES = sorted((ROOT / "pages").rglob("*.py"))


@pytest.mark.parametrize("digits", range(5))
def test_what_rounds_to_zero_has_no_minus(digits):
    tiny = -0.4 * 10.0**-digits
    said = [number(tiny, digits), interval(tiny, tiny, digits), percent(tiny, digits)]
    assert not any("-" in each for each in said), said
    assert number(-0.6 * 10.0**-digits, digits).startswith("-")
    assert str(settled(tiny, digits)) == "0.0" and settled(2 * tiny, digits) == 2 * tiny


@pytest.mark.parametrize(("share", "shown"), [(0.0, 0), (1e-6, 1), (0.5, 50), (0.9999, 99), (1.0, 100)])
def test_only_nothing_is_0_percent_and_only_all_is_100(share, shown):
    assert share_percent(share) == shown


@pytest.mark.parametrize("n_bytes", [999_499, 999_500, 999_999, 999_499_999, 999_500_000])
def test_three_digits_of_bytes_are_never_a_thousand(n_bytes):
    assert "e" not in size(n_bytes) and float(size(n_bytes).split()[0]) < 1000


@pytest.mark.parametrize(
    "path", [*PAGES, ROOT / "home.py", ROOT / "mess_core" / "cli" / "tables.py"], ids=lambda path: path.name
)
def test_no_page_and_no_table_writes_numbers_in_its_own_way(path):
    lines = path.read_text("utf-8").splitlines()
    own = [line for line in lines if WRITTEN.search(line) and "hovertemplate" not in line and "<extra>" not in line]
    assert [line for line in own if "rgba(" not in line and ".st-key-" not in line] == []
