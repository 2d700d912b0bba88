"""Annotations of other programs as columns of the user's table: JAMS, and layers that Sonic Visualiser exports as CSV.

    piece.jams             -> tempo, beat_per_minute, beat_bpm, chord, chord_per_minute, key_mode, tag_open, …
    piece.<layer>.csv      -> <layer>, <layer>_per_minute, <layer>_bpm                  beside or apart from piece.wav

An annotation runs through a recording, and a target of a track is one number or one word. So each becomes columns, by
one rule whatever it is called:

    numbers                   their mean, each by how long it holds                     tempo = 92.5
    words                     the one that holds longest                                key_mode = C:minor
    moments without a value   how many a minute, and 60 s over the middle interval      beat_per_minute, beat_bpm
    words, also               how many a minute                                         chord_per_minute = 31

The columns are probed as any of the user's own: `probe --target`. The files are parsed here, without `jams`.
Beats and onsets are moments, whatever they are numbered by.
A layer of Sonic Visualiser is known by its columns: time; time, label; time, value; time, value, label;
time, value, duration, label. Which of two columns beside the time is a label is told by whether all of it are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.collections.collection import tidy
from mess_core.errors import InputError
from mess_core.storage.untrusted import MOST_ROWS, printable, read_json, read_text

MOST_JAMS_BYTES = 256 * 2**20
CURE = "Expected a .jams file, or a .csv layer of Sonic Visualiser."
MOMENTS = ("beat", "onset")  # how namespaces begin whose values only count
Column = dict[str, str]


@dataclass(frozen=True)
class Observation:
    """What an annotation says from a moment on, for some seconds. value : a number, a word, or None"""

    start_s: float
    length_s: float
    value: float | str | None


def columns_of(name: str, observations: Sequence[Observation], duration_s: float = 0.0) -> dict[str, float | str]:
    """What an annotation comes to for the whole recording.

    Parameters
    ----------
    name : str
        What it is called.
    duration_s : float
        Of the recording; 0 where it is not known: then to the end of the last observation.

    Examples
    --------
    >>> columns_of("beat", [Observation(s, 0.0, None) for s in (0.0, 0.5, 1.0, 1.5)], 2.0)
    {'beat_per_minute': 120.0, 'beat_bpm': 120.0}
    >>> columns_of("key", [Observation(0, 3, "C"), Observation(3, 1, "G")], 4.0)
    {'key': 'C', 'key_per_minute': 30.0}
    >>> columns_of("tempo", [Observation(0, 1, 90.0), Observation(1, 3, 110.0)])
    {'tempo': 105.0}
    """
    kept = sorted((each for each in observations if math.isfinite(each.start_s)), key=lambda each: each.start_s)
    if not kept:
        return {}
    lengths = np.array([max(each.length_s, 0.0) if math.isfinite(each.length_s) else 0.0 for each in kept])
    whole_s = duration_s or max(each.start_s + length for each, length in zip(kept, lengths, strict=True))
    if not lengths.any() and any(each.value is not None for each in kept):  # each holds until the next
        starts = [each.start_s for each in kept]
        lengths = np.diff([*starts, max(whole_s, starts[-1])])
    numbers = [each.value for each in kept if isinstance(each.value, int | float)]
    if len(numbers) == len(kept):
        values = np.array(numbers, float)
        held = np.where(np.isfinite(values), lengths, 0.0)
        usable = np.isfinite(values)
        if not usable.any():
            return {}
        return {name: float(np.average(values[usable], weights=held[usable] if held.sum() > 0 else None))}
    found: dict[str, float | str] = {}
    words: dict[str, float] = {}
    for each, length in zip(kept, lengths, strict=True):
        if each.value is not None and (word := tidy(each.value)):
            words[word] = words.get(word, 0.0) + float(length)
    if words:
        found[name] = max(sorted(words), key=words.__getitem__)
    if whole_s > 0:
        found[f"{name}_per_minute"] = 60.0 * len(kept) / whole_s
    gaps = np.diff([each.start_s for each in kept])
    if not words and (gaps > 0).any():
        found[f"{name}_bpm"] = float(60.0 / np.median(gaps[gaps > 0]))
    return found


def texts_of(columns: Mapping[str, float | str]) -> Column:
    """As the catalogue keeps columns."""
    return {name: value if isinstance(value, str) else f"{value:.10g}" for name, value in columns.items()}


# --- JAMS -------------------------------------------------------------------------------------------------


def read_jams(path: Path) -> dict[str, float | str]:
    """The columns of a JAMS file, by namespace; the second of one namespace has _2 behind its name.

    Raises
    ------
    InputError
        If it is no JAMS.
    """
    name = printable(path.name)
    document = read_json(path, MOST_JAMS_BYTES, name=name, cure=CURE, error=InputError)
    annotations = document.get("annotations")
    if not isinstance(annotations, list):
        raise InputError(f"{name} holds no annotations.", CURE)
    about = document.get("file_metadata")
    duration_s = _number(about.get("duration")) if isinstance(about, dict) else None
    found: dict[str, float | str] = {}
    counts: dict[str, int] = {}
    for annotation in annotations:
        namespace = annotation.get("namespace") if isinstance(annotation, dict) else None
        called = tidy(namespace)
        if called is None:
            continue
        counts[called] = counts.get(called, 0) + 1
        called = called if counts[called] == 1 else f"{called}_{counts[called]}"
        seen = list(_observations(annotation.get("data"), name))
        if called.startswith(MOMENTS):
            seen = [replace(each, value=None) for each in seen]
        found |= columns_of(called, seen, duration_s or 0.0)
    return found


def _observations(data: object, name: str) -> Iterable[Observation]:
    """Both layouts of JAMS: a list of observations, and a table of columns, for what is dense."""
    if isinstance(data, dict):
        columns = [data.get(key, []) for key in ("time", "duration", "value")]
        if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) > 1:
            raise InputError(f"{name} has columns of unequal length.", CURE)
        data = [dict(zip(("time", "duration", "value"), row, strict=True)) for row in zip(*columns, strict=True)]
    for row in data if isinstance(data, list) else []:
        start_s = _number(row.get("time")) if isinstance(row, dict) else None
        if start_s is not None:
            yield Observation(start_s, _number(row.get("duration")) or 0.0, _value(row.get("value")))


def _value(value: object) -> float | str | None:
    """A number or a word; of a pitch with its voicing the frequency, of what is nested its label."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("frequency", "label", "pitch", "name") if key in value), None)
    number = _number(value)
    return number if number is not None else tidy(value) if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


# --- Sonic Visualiser ---------------------------------------------------------------------------------------


def read_layer(path: Path, layer: str, duration_s: float = 0.0) -> dict[str, float | str]:
    """The columns of a layer that Sonic Visualiser exported as CSV.

    Raises
    ------
    InputError
        If a row has no time, or rows have different columns.
    """
    name = printable(path.name)
    rows = _csv_rows(read_text(path, cure=CURE, error=InputError), name)
    if not rows:
        raise InputError(f"{name} is empty.", CURE)
    width = len(rows[0][1])
    is_number = [all(_as_number(cells[place]) is not None for _, cells in rows) for place in range(width)]
    if not is_number[0]:
        line = next(number for number, cells in rows if _as_number(cells[0]) is None)
        raise InputError(f"Line {line} of {name} has no time in its first column.", CURE)
    found = []
    for _, cells in rows:
        numbers = [_as_number(cell) for cell in cells]
        start_s, length_s = float(numbers[0] or 0.0), 0.0
        value: float | str | None = None
        if width >= 4 and is_number[2]:  # time, value, duration, label
            value, length_s = numbers[1] if is_number[1] else cells[1], float(numbers[2] or 0.0)
        elif width >= 2:
            value = numbers[1] if is_number[1] else cells[1] or None
        found.append(Observation(start_s, length_s, value))
    if width == 2 and len(found) > 1 and not is_number[1] and len({each.value for each in found}) == 1:
        found = [Observation(each.start_s, each.length_s, None) for each in found]  # "New Point", of all: no word
    return columns_of(layer, found, duration_s)


def _csv_rows(text: str, name: str) -> list[tuple[int, list[str]]]:
    """Cells by the number of their line; all as many."""
    import csv
    import io

    lines = text.lstrip("\ufeff")
    separator = max(",\t;", key=lambda each: lines.split("\n", 1)[0].count(each))
    rows = []
    for number, cells in enumerate(csv.reader(io.StringIO(lines), delimiter=separator), start=1):
        if number > MOST_ROWS:
            raise InputError(f"{name} has more than {MOST_ROWS:,} rows.", "Split it.")
        if any(cell.strip() for cell in cells):
            rows.append((number, [cell.strip() for cell in cells]))
    if rows and rows[0][1][0].lower() in ("time", "start"):  # a header, where one was asked for
        del rows[0]
    for number, cells in rows:
        if len(cells) != len(rows[0][1]):
            raise InputError(
                f"Line {number} of {name} has {len(cells)} columns, the first has {len(rows[0][1])}.", CURE
            )
    return rows


def _as_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def columns_beside(data: Any, name: str, duration_s: float = 0.0) -> dict[str, float | str]:
    """The columns of an annotation of mirdata: an object with `times` or `intervals`, and what is said of them.

    Empty where it is no such object.
    """
    if data is None:
        return {}
    said = next((each for key in ("values", "value", "labels", "keys", "pitches", "frequencies", "events")
                 if (each := getattr(data, key, None)) is not None and not callable(each)), None)  # fmt: skip
    intervals, times = getattr(data, "intervals", None), getattr(data, "times", None)
    if intervals is not None:
        spans = np.asarray(intervals, float).reshape(-1, 2)
    elif times is not None:
        starts = np.asarray(times, float).reshape(-1)
        spans = np.column_stack([starts, starts])
    else:
        return {}
    values: Sequence[Any] = [None] * len(spans) if said is None or len(said) != len(spans) else list(said)
    plain = [each.item() if isinstance(each, np.generic) else each for each in values]
    found = [
        Observation(float(start), float(end - start), value if isinstance(value, int | float | str) else None)
        for (start, end), value in zip(spans.tolist(), plain, strict=True)
    ]
    return columns_of(name, found, duration_s)
