"""Data frames: rows of plain values as a table of pandas, which is imported when one is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mess_core.errors import DependencyMissingError

if TYPE_CHECKING:
    import pandas


def frame_of(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> pandas.DataFrame:
    """A table of rows; a column for every key of any row, in order of appearance, `columns` first.

    Raises
    ------
    DependencyMissingError
        If pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise DependencyMissingError(
            "Data frames need pandas, which is not installed.", "pip install pandas"
        ) from error
    rows = list(rows)
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    return pandas.DataFrame([[row.get(name) for name in names] for row in rows], columns=names)
