"""Predictions: what probing said of every row, out of fold, and what was measured of it.

A hundred thousand recordings, 22 targets and 13 layers are 29 million numbers, which only the scatter of one cell looks
at. They lie in a file of arrays beside the document of a discovery, and are read where somebody looks.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from mess_core.errors import ArtefactMismatchError
from mess_core.probing.result import ProbeResult
from mess_core.storage.untrusted import parse_json, parse_safetensors, tensor_metadata, understanding

FORMAT = "mess-predictions-1"
NAME = "The file of predictions"
CURE = "Probe again: python -m mess_core probe"


def without_predictions(result: ProbeResult) -> ProbeResult:
    """The result with no word of single rows: what its document holds."""
    empty: dict[str, Any] = {"values": np.empty(0), "predicted": np.empty((0, 0)), "folds": np.empty(0, np.int64)}
    targets = tuple(dataclasses.replace(summary, **empty) for summary in result.targets)
    return dataclasses.replace(result, groups=(), tracks=None if result.tracks is None else (), targets=targets)


def predictions_to_bytes(result: ProbeResult) -> bytes:
    """Its rows as a safetensors file; the same result gives the same bytes.

    values (n, n_rows) float64, predicted (n, n_layers, n_rows) float32 and folds (n, n_rows) int16, of the n targets
    that could be probed; groups and tracks (n_rows,) int32, places in the lists of `names`, JSON as (n_bytes,) uint8.
    """
    from safetensors.numpy import save

    probed = [summary for summary in result.targets if len(summary.values)]
    names, places = {}, {}
    for kind, texts in (("groups", result.groups), ("tracks", result.tracks)):
        if texts is not None:
            names[kind], places[kind] = _coded(texts)
    facts = {"format": FORMAT, "targets": [summary.target for summary in probed]}
    arrays = {
        "values": _stacked([summary.values for summary in probed], (0, result.n_rows), np.float64),
        "predicted": _stacked(
            [summary.predicted for summary in probed], (0, result.n_layers, result.n_rows), np.float32
        ),
        "folds": _stacked([summary.folds for summary in probed], (0, result.n_rows), np.int16),
        "names": np.frombuffer(json.dumps(names).encode(), np.uint8),
        **places,
    }
    return save(arrays, metadata={"mess": json.dumps(facts)})


def with_predictions(result: ProbeResult, data: bytes) -> ProbeResult:
    """The result with the rows that `predictions_to_bytes` wrote of it.

    Raises
    ------
    ArtefactMismatchError
        If they are of another version, or of another result.
    """
    arrays = parse_safetensors(data, NAME, CURE, is_finite=False)  # NaN is where nothing was measured
    with understanding(NAME, CURE):
        facts = parse_json(tensor_metadata(data, NAME, CURE)["mess"], NAME, CURE)
        if facts["format"] != FORMAT:
            raise ArtefactMismatchError("The predictions were made by another version.", CURE)
        names = parse_json(arrays["names"].tobytes(), NAME, CURE)
        targets = [str(target) for target in facts["targets"]]
        shape = len(targets), result.n_layers, result.n_rows
        shapes = {"values": shape[::2], "predicted": shape, "folds": shape[::2], "groups": shape[2:]}
        if any(arrays[name].shape != expected for name, expected in shapes.items()):
            raise ValueError("its parts do not fit the result")
        values, predicted, folds = arrays["values"], arrays["predicted"], arrays["folds"].astype(np.int64)
        for array in (values, predicted, folds):
            array.setflags(write=False)
        of: dict[str, dict[str, Any]] = {
            target: {"values": values[place], "predicted": predicted[place], "folds": folds[place]}
            for place, target in enumerate(targets)
        }
        return dataclasses.replace(
            result,
            groups=_named(names["groups"], arrays["groups"]),
            tracks=None if result.tracks is None else _named(names["tracks"], arrays["tracks"]),
            targets=tuple(dataclasses.replace(summary, **of.get(summary.target, {})) for summary in result.targets),
        )


def _stacked(arrays: Sequence[np.ndarray], empty: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.stack(arrays).astype(dtype) if arrays else np.empty(empty, dtype)


def _coded(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Every name once, in order of first appearance, and for each row the place of its name."""
    place_of: dict[str, int] = {}
    places = [place_of.setdefault(text, len(place_of)) for text in texts]
    return list(place_of), np.array(places, np.int32)


def _named(names: Sequence[str], places: np.ndarray) -> tuple[str, ...]:
    known = [str(name) for name in names]
    if len(places) and not 0 <= places.min() <= places.max() < len(known):
        raise ValueError("it names a group or a track that is not there")
    return tuple(known[place] for place in places.tolist())
