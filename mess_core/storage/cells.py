"""Cells of CSV files that a spreadsheet would run as a formula: a quote before them makes them text.

Names and tags are anybody's, and `=HYPERLINK(…)` in a title must stay a title where the file is opened.
"""

from __future__ import annotations

from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def defused(cell: Any) -> Any:
    """A cell that no spreadsheet runs; numbers stay numbers. What begins with quotes gets one more, to come back as is.

    Examples
    --------
    >>> defused("=1+1"), defused("'=1+1"), defused("Clair de lune"), defused(-1.5)
    ("'=1+1", "''=1+1", 'Clair de lune', -1.5)
    """
    runs = isinstance(cell, str) and cell.lstrip("'").startswith(FORMULA_STARTS)
    return f"'{cell}" if runs else cell


def undefused(cell: str) -> str:
    """A cell as it was before.

    Examples
    --------
    >>> [undefused(str(defused(cell))) for cell in ("=1+1", "'=1+1", "'70s", "-")]
    ['=1+1', "'=1+1", "'70s", '-']
    """
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA_STARTS) else cell
