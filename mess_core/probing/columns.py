"""Columns: what is probed in place of the measured targets, where somebody asks for it by name.

In this order: a target of one's own (`mess_core/targets/own.py`), a column of one's own table, a name that the
catalogue keeps of every track (instrument, performer, composer, …), a word as which recordings are heard, a track
feature. Where most of what a column says are numbers it is a number, else its texts are classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from mess_core.catalogue.catalogue import NAMES, Catalogue, Track
from mess_core.config import RATERS, SPREAD
from mess_core.errors import InputError
from mess_core.probing.ceiling import ceiling
from mess_core.probing.data import encode_classes
from mess_core.targets.base import Target
from mess_core.targets.measurements import Measurements, probe_scale
from mess_core.targets.own import CLASSES, NUMBERS, OwnTarget, number_of, values_now
from mess_core.targets.registry import COMPARABLE, OWN, TARGETS, TRACK, own_name

OF_TRACK = (*(name for name in NAMES if name != "title"), "collection")  # what the catalogue keeps of every track
MOSTLY = 0.5  # of what a column says: if as much are numbers, it is a column of numbers


@dataclass(frozen=True, eq=False)
class Columns:
    """Targets by name, as `ProbeData` takes them."""

    targets: Mapping[str, np.ndarray] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ceilings: Mapping[str, float] = field(default_factory=dict)
    described: Mapping[str, Target] = field(default_factory=dict)


def read_columns(
    columns: Sequence[str],
    tracks: Sequence[Track],
    details: Mapping[str, Mapping[str, str]],
    measurements: Measurements,
    heard: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
    own: Mapping[str, OwnTarget] = MappingProxyType({}),
) -> Columns:
    """What the tracks have of some columns, a row for each track.

    Parameters
    ----------
    details : mapping of track id to what the user's own table says of it
    heard : mapping of word to a mapping of track id to number
    own : mapping of name to OwnTarget

    Raises
    ------
    InputError
        If none of the tracks has any value of a column.
    """
    track_ids = [track.track_id for track in tracks]
    found: dict[str, np.ndarray] = {}
    classes: dict[str, tuple[str, ...]] = {}
    ceilings: dict[str, float] = {}
    described: dict[str, Target] = {}

    def texts(name: str) -> list[str]:
        return [details.get(track_id, {}).get(name, "") for track_id in track_ids]

    def describe(target: str, summary: str, kind: str, source: str, title: str = "", unit: str = "") -> None:
        described[target] = Target(
            target, title or target, unit, OWN, "table", "high", "id", TRACK, summary, kind=kind, source=source
        )

    for column in columns:
        name = own_name(column)
        if column in own:
            target = own[column]
            values = values_now(target, measurements.catalogue, track_ids)
            if target.kind == CLASSES:
                found[name], classes[name] = encode_classes([_text(values.get(track_id)) for track_id in track_ids])
            else:
                found[name] = np.array([number_of(values.get(track_id)) for track_id in track_ids], np.float64)
            about = target.described
            describe(name, about.summary, about.kind, about.source, about.title, about.unit)
            continue
        if any(cells := texts(column)) or (column in OF_TRACK and any(cells := _of_tracks(column, tracks))):
            is_kept = not any(texts(column))
            what = "What the catalogue says of every recording." if is_kept else "A column of your own table."
            numbers = as_numbers(cells)
            if np.isfinite(numbers).sum() >= MOSTLY * sum(map(bool, cells)):
                found[name] = numbers
                spreads, n_raters = (as_numbers(texts(column + end)) for end in (SPREAD, RATERS))
                if (highest := ceiling(numbers, spreads, n_raters)) is not None:
                    ceilings[name] = highest
                describe(name, what, NUMBERS, f"the column {column}")
            else:
                found[name], classes[name] = encode_classes(cells)
                title = column.replace("_", " ").capitalize() if is_kept else column
                describe(name, what, CLASSES, f"the column {column}", title)
        elif column in heard:
            found[name] = np.array([heard[column].get(track_id, np.nan) for track_id in track_ids])
            describe(name, "How strongly MusiCNN hears it as that.", NUMBERS, "MusiCNN", unit="log10")
        elif column in COMPARABLE:
            found[column] = probe_scale(measurements.values(track_ids, column), column)
            described[column] = TARGETS[column]
        else:
            raise InputError(f"No recording here has a value in the column {column!r}.", "Probe another one.")
    return Columns(found, classes, ceilings, described)


def as_numbers(cells: Sequence[str]) -> np.ndarray:
    """What a table says as numbers, shape (n_tracks,); NaN where there is none."""
    return np.array([number_of(cell) for cell in cells], dtype=np.float64)


def names_kept(catalogue: Catalogue, library: str) -> list[str]:
    """Those of `OF_TRACK` that any track of a library has."""
    said = catalogue.names_said(library)
    return [name for name in OF_TRACK if name in said]


def _of_tracks(name: str, tracks: Sequence[Track]) -> list[str]:
    return [getattr(track, name) or "" for track in tracks]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
