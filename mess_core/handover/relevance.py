"""Relevance of one's own, from a table (CSV or Parquet), whose columns say what it is:

    query, track [, gain]           the track is relevant to the query, perhaps by so much (above 0)
    track_id | file | …, group      tracks of one group are relevant to each other
    anchor, positive, negative      the positive is nearer to the anchor than the negative

Recordings are named as in tables of judgements (`mess_core/handover/naming.py`). Lines that name what is not embedded
in the library are counted and left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mess_core.errors import DataMissingError, InputError
from mess_core.evaluation.relevance import (
    Relevance,
    RelevanceStudy,
    evaluate_relevance,
    relevance_of_groups,
    relevance_of_pairs,
    relevance_of_triplets,
)
from mess_core.handover.naming import RecordingNames, read_rows
from mess_core.handover.own_targets import NAMING
from mess_core.probing.discovery import groups_of
from mess_core.probing.probe import OnProgress, no_progress
from mess_core.storage.untrusted import printable
from mess_core.targets.own import number_of
from mess_core.workspace.scope import Scope

if TYPE_CHECKING:
    import pandas

TRIPLET = ("anchor", "positive", "negative")
PAIR, GAIN, GROUP = ("query", "track"), "gain", "group"
MOST_GAIN = 30.0  # 2 to its power is what it counts as
COLUMNS = f"Expected the columns {', '.join(PAIR)} (and {GAIN}), or {', '.join(TRIPLET)}, or track_id and {GROUP}."

Row = tuple[int, Mapping[str, str]]


def study_relevance(
    scope: Scope, table: Path | pandas.DataFrame, k: int = 10, *, on_progress: OnProgress = no_progress
) -> RelevanceStudy:
    """Score every measure by a table of relevance, a file or a data frame.

    Raises
    ------
    InputError
        If it is no such table, or a gain is none.
    DataMissingError
        If nothing is embedded, or none of the table's recordings is here.
    """
    embedded = scope.embeddings()
    relevance = read_relevance(scope, table, embedded.track_ids)
    return evaluate_relevance(
        embedded.vectors, relevance, k, info=scope.info, library=scope.library, on_progress=on_progress
    )


def read_relevance(scope: Scope, table: Path | pandas.DataFrame, track_ids: Sequence[str]) -> Relevance:
    """What a table says is relevant among some tracks; errors as `study_relevance`."""
    rows, name = _rows_of(table)
    if not rows:
        raise InputError(f"{name} has no rows.", f"Expected one for each pair, recording or triplet. {COLUMNS}")
    columns = {name for _, row in rows for name in row}
    naming = next((each for wanted in NAMING for each in sorted(columns) if each.lower() == wanted), None)
    names, place = RecordingNames(scope.workspace), {track_id: row for row, track_id in enumerate(track_ids)}
    tracks = scope.workspace.catalogue.tracks_of(track_ids)
    of_work = groups_of([tracks[track_id] for track_id in track_ids], "work")

    def row_of(text: str) -> int | None:
        track_id = names.id_of(text)
        return None if track_id is None else place.get(track_id)

    if columns >= set(TRIPLET):
        relevance = _triplets(rows, row_of, of_work)
    elif columns >= set(PAIR):
        relevance = _pairs(rows, row_of, of_work, name)
    elif GROUP in columns and naming is not None:
        relevance = _groups(rows, naming, row_of, of_work)
    else:
        raise InputError(f"{name} does not say what is relevant.", COLUMNS)
    if not len(relevance.rows):
        raise DataMissingError(
            f"None of the recordings in {name} is embedded by {scope.info.id} in {scope.library!r}.",
            "Add and extract them first.",
        )
    return relevance


def _rows_of(table: Path | pandas.DataFrame) -> tuple[list[Row], str]:
    """Numbered rows, cells as text, and what to call the table."""
    if isinstance(table, Path):
        return list(read_rows(table)), printable(table.name)
    records = enumerate(table.to_dict("records"), 1)
    cells = ((number, {str(column): "" if cell is None or cell != cell else str(cell) for column, cell in row.items()})
             for number, row in records)  # fmt: skip
    return list(cells), "The data frame"


def _codes(names: Sequence[str]) -> np.ndarray:
    codes: np.ndarray = np.unique(np.asarray(names, str), return_inverse=True)[1]
    return codes


def _pairs(rows: Sequence[Row], row_of: Callable[[str], int | None], of_work: Sequence[str], name: str) -> Relevance:
    pairs: dict[tuple[int, int], float] = {}
    n_vanished = 0
    for number, row in rows:
        query, track = (row_of(row.get(column, "")) for column in PAIR)
        gain = number_of(row[GAIN]) if row.get(GAIN) else 1.0
        if not (math.isfinite(gain) and 0 <= gain <= MOST_GAIN):
            raise InputError(
                f"Row {number} of {name} has the gain {row[GAIN][:40]!r}, expected 0 to {MOST_GAIN:g}.",
                "0 is not relevant.",
            )
        if query is None or track is None:
            n_vanished += 1
        elif query != track and gain > 0:
            pairs[query, track] = max(gain, pairs.get((query, track), 0.0))
    return relevance_of_pairs(pairs, _codes(of_work), n_vanished=n_vanished)


def _groups(
    rows: Sequence[Row],
    naming: str,
    row_of: Callable[[str], int | None],
    of_work: Sequence[str],
) -> Relevance:
    labels: list[str | None] = [None] * len(of_work)
    n_vanished = 0
    for number, row in rows:
        if not row.get(GROUP):
            continue
        place = row_of(row.get(naming, ""))
        if place is None:
            n_vanished += 1
        elif labels[place] not in (None, row[GROUP]):
            raise InputError(
                f"Row {number} puts a recording into {row[GROUP][:40]!r} that is in {labels[place]!r} already.",
                "Leave one group for each, or give pairs.",
            )
        else:
            labels[place] = row[GROUP]
    return relevance_of_groups(labels, _codes(of_work), n_vanished=n_vanished)


def _triplets(rows: Sequence[Row], row_of: Callable[[str], int | None], of_work: Sequence[str]) -> Relevance:
    triplets: list[tuple[int, int, int]] = []
    n_vanished = 0
    for _, row in rows:
        found = [row_of(row.get(name, "")) for name in TRIPLET]
        if None in found or len(set(found)) < len(TRIPLET):
            n_vanished += 1
        else:
            triplets.append(tuple(found))  # type: ignore[arg-type]
    return relevance_of_triplets(triplets, _codes(of_work), n_vanished=n_vanished)
