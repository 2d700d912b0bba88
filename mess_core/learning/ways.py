"""Ways to hear: in what respects the recordings of a library are compared when somebody judges them.

A *way* is one distance between recordings: a third of an encoder's layers, or the measured values of one dimension.
Listeners are taken to weigh them (`weighing`). A *model* is what a listener can be compared with before anybody learned
anything: all ways of one encoder alike, or all measured ones.

Convention: squared distance, in units of its spread over triplets drawn by chance; `differences` are positive where the
first of two is nearer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.mel import MEL
from mess_core.encoders.musicnn import MSD, MTT
from mess_core.encoders.nano import NANO
from mess_core.encoders.registry import encoder_info
from mess_core.targets.measurements import probe_scale
from mess_core.targets.registry import TARGETS
from mess_core.workspace.scope import Scope

EARS = (NANO.id, MTT.id, MSD.id, CHROMA.id, MEL.id)  # whichever of them have heard the library, and the chosen one
THIRDS = ("first", "middle", "last")
MOST_RECORDINGS = 2000  # of a larger library: chosen by chance, so that all of them can be held in memory
N_FOR_SPREAD = 2000  # triplets drawn by chance
COMMON = 0.9  # share of the recordings that must have a measured value
MEASURED = "measured values"


@dataclass(frozen=True, eq=False)
class Ways:
    """Row i of everything is the recording `track_ids[i]`.

    names : of the ways, K of them
    points : K arrays (n, d), float32, in which squared distance is what is compared
    spreads : (K,) float64, of the differences of triplets drawn by chance
    models : the ways of each, alike
    """

    track_ids: tuple[str, ...]
    names: tuple[str, ...]
    points: tuple[np.ndarray, ...]
    spreads: np.ndarray
    models: Mapping[str, tuple[int, ...]]

    def differences(self, triplets: np.ndarray) -> np.ndarray:
        """Of triplets (m, 3) of rows: by how much the first is nearer, (m, K) float64."""
        return _differences(self.points, triplets) / self.spreads

    def told(self, model: str, differences: np.ndarray) -> np.ndarray:
        """What a model holds of each triplet, (m,): above 0 where the first is nearer."""
        found: np.ndarray = differences[:, list(self.models[model])].sum(axis=1)
        return found


def ways_of(scope: Scope, seed: int = 0) -> Ways:
    """All ways in which a library can be compared, of the recordings that its encoder has heard."""
    track_ids = scope.embedded_ids
    if len(track_ids) < 3:  # none is more like a third
        return build_ways(track_ids, {})
    if len(track_ids) > MOST_RECORDINGS:
        chosen = np.random.default_rng(seed).choice(len(track_ids), MOST_RECORDINGS, replace=False)
        track_ids = [track_ids[row] for row in sorted(chosen)]
    named: dict[str, list[tuple[str, np.ndarray]]] = {}
    for encoder_id in dict.fromkeys((*(part.id for part in _parts(scope.info)), *EARS)):
        info = encoder_info(encoder_id, scope.workspace.paths)
        known = scope.workspace.store.known(info)
        if all(track_id in known for track_id in track_ids):
            named[info.title] = _of_layers(info, scope.workspace.store.load(track_ids, info).vectors)
    measured = _measured(scope, track_ids)
    if measured:
        named[MEASURED] = measured
    return build_ways(track_ids, named, seed)


def build_ways(track_ids: Sequence[str], named: Mapping[str, Sequence[tuple[str, np.ndarray]]], seed: int = 0) -> Ways:
    """From models and the ways, (name, points), of each; what is the same for all recordings is no way."""
    n = len(track_ids)
    rng = np.random.default_rng(seed)
    drawn = np.argsort(rng.random((N_FOR_SPREAD, n)), axis=1)[:, :3] if n >= 3 else np.empty((0, 3), int)
    names: list[str] = []
    points: list[np.ndarray] = []
    spreads: list[float] = []
    models: dict[str, tuple[int, ...]] = {}
    for model, ways in named.items():
        first = len(names)
        for name, of_way in ways:
            spread = float(_differences([of_way], drawn).std()) if len(drawn) else 0.0
            if spread > 0:
                names.append(name)
                points.append(of_way)
                spreads.append(spread)
        if len(names) > first:
            models[model] = tuple(range(first, len(names)))
    return Ways(tuple(track_ids), tuple(names), tuple(points), np.array(spreads), models)


def _differences(points: Sequence[np.ndarray], triplets: np.ndarray) -> np.ndarray:
    anchor, first, second = triplets.T
    columns = [
        ((each[anchor] - each[second]) ** 2).sum(axis=1) - ((each[anchor] - each[first]) ** 2).sum(axis=1)
        for each in points
    ]
    return np.stack(columns, axis=1).astype(np.float64) if columns else np.empty((len(triplets), 0))


def _parts(info: EncoderInfo) -> list[EncoderInfo]:
    """The encoders of a hearing, or the encoder itself."""
    return [part.info for part in info.parts] or [info]


def _of_layers(info: EncoderInfo, vectors: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Thirds of the layers (n, n_layers, dim), each centred and of length one; few layers stand for themselves."""
    centred = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=2, keepdims=True)
    units = (centred / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    if info.n_layers < len(THIRDS):
        return [(_layer_name(info, f"layer {layer}"), units[:, layer]) for layer in range(info.n_layers)]
    split = np.array_split(np.arange(info.n_layers), len(THIRDS))
    return [
        (_layer_name(info, f"{third} layers"), units[:, rows].reshape(len(units), -1) / np.sqrt(len(rows)))
        for third, rows in zip(THIRDS, split, strict=True)
    ]


def _layer_name(info: EncoderInfo, which: str) -> str:
    return info.title if info.n_layers == 1 else f"{info.title}, {which}"


def _measured(scope: Scope, track_ids: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """Measured values by dimension, in standard deviations; a value that is lacking here and there is the usual one."""
    columns: dict[str, list[np.ndarray]] = {}
    for target in TARGETS.values():
        values = probe_scale(scope.workspace.measurements.values(track_ids, target.id), target.id)
        is_known = np.isfinite(values)
        if is_known.mean() < COMMON or not (spread := np.nanstd(values)):
            continue
        columns.setdefault(target.dimension, []).append(np.where(is_known, (values - np.nanmean(values)) / spread, 0.0))
    return [
        (f"measured {dimension}", (np.stack(each, axis=1) / np.sqrt(len(each))).astype(np.float32))
        for dimension, each in columns.items()
    ]
