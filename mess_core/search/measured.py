"""Measured values: a library as what was measured of its recordings, for a search that asks no encoder.

Where an aspect's targets were measured of query and track, no prediction is needed to say how alike they are in it:
brightness is the spectrum's centroid, which is in the catalogue. Such a search is what every encoder is compared with,
and often the best there is. What it cannot do is find what nobody measures.

Values are put on the scale on which they are probed, then in standard deviations of the library. A recording without
one of the values that a question needs cannot be placed: it is left out, and counted. Values by other formulas than
today's, or of rubato without a score, are none.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.encoders.base import EncoderInfo
from mess_core.errors import DataMissingError, InputError
from mess_core.probing.aspects import ASPECTS, MEASURED, AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.probing.discovery import NEED_A_SCORE
from mess_core.search.geometry import MeasuredGeometry
from mess_core.targets.base import TargetValue
from mess_core.targets.measurements import probe_scale
from mess_core.targets.registry import TARGETS, name_of
from mess_core.words import counted, listed
from mess_core.workspace.scope import Scope

ROUNDING = 1e-12  # relative, of values in double precision
MOST_COUNTED = 1_000  # recordings of a library, of which it is counted which values they have
VALUES_OF = ("targets", "embeddings", "library_tracks")  # the tables that say what was measured of a library
COMMON = 0.9  # share of recordings that must have a value, for it to be asked for where nobody says what


@dataclass(frozen=True, eq=False)
class MeasuredLibrary:
    """What was measured of a library; row i belongs to `track_ids[i]`, which are those that have every value.

    info : the encoder by which the library is embedded: other recordings are not looked for
    targets : n_targets of them
    raw : (n_tracks, n_targets) float64, in the targets' units
    vectors : (n_tracks, 1, n_targets) float64, on the probed scale, in standard deviations of the library
    mean, spread : (n_targets,) float64, on the probed scale
    n_lacking : by target, how many recordings were left out for want of it; some for want of several
    n_left_out : recordings left out
    """

    info: EncoderInfo
    track_ids: tuple[str, ...]
    targets: tuple[str, ...]
    raw: np.ndarray
    vectors: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    n_lacking: Mapping[str, int]
    n_left_out: int

    @classmethod
    def of(
        cls, info: EncoderInfo, track_ids: Sequence[str], targets: Sequence[str], raw: np.ndarray
    ) -> MeasuredLibrary:
        """The rows (n_tracks, n_targets) that have every value, NaN being none."""
        scaled = np.stack([probe_scale(column, target) for column, target in zip(raw.T, targets, strict=True)], axis=1)
        is_known = np.isfinite(scaled)
        is_whole = is_known.all(axis=1)
        vectors, mean, spread = standardised(scaled[is_whole])
        return cls(
            info=info,
            track_ids=tuple(np.array(track_ids)[is_whole].tolist()),
            targets=tuple(targets),
            raw=raw[is_whole],
            vectors=vectors,
            mean=mean,
            spread=spread,
            n_lacking={t: int(n) for t, n in zip(targets, (~is_known).sum(axis=0), strict=True) if n},
            n_left_out=int((~is_whole).sum()),
        )

    @property
    def content(self) -> str:
        """Changes whenever an index built of it would."""
        digest = hashlib.sha256("\n".join((*self.targets, *self.track_ids)).encode())
        digest.update(self.vectors.tobytes())
        return digest.hexdigest()

    @property
    def basis(self) -> str:
        """What a search of it ranks by, in a sentence."""
        signals = {TARGETS[target].signal for target in self.targets}
        where = {"audio": "in the sound", "midi": "in the notes played (MIDI)"}
        places = " and ".join(place for signal, place in where.items() if signal in signals)
        return f"Ranked by what was measured {places}, not by what the encoder hears."

    @property
    def left_out(self) -> str:
        """Who cannot be found and why, in a sentence; empty if all can."""
        if not self.n_left_out:
            return ""
        n_all = self.n_left_out + len(self.track_ids)
        lacking = sorted(self.n_lacking.items(), key=lambda item: -item[1])
        want = ", ".join(f"{name_of(target)} ({n:,})" for target, n in lacking)
        are = "is" if self.n_left_out == 1 else "are"
        whole = counted(n_all, "recording")
        return f"{self.n_left_out:,} of {whole} {are} left out for want of a measured value: {want}."

    def raw_of(self, target: str) -> np.ndarray:
        """What was measured as one of its targets, (n_tracks,), in the target's unit."""
        values: np.ndarray = self.raw[:, self.targets.index(target)]
        return values

    def geometry(self, aspects: Mapping[str, AspectEvidence], avoid: Sequence[str] = ()) -> MeasuredGeometry:
        """In which its recordings are compared; errors as `Geometry.fit`."""
        return MeasuredGeometry.fit(self.vectors, aspects, axes(self.targets), avoid)

    def place(self, values: Mapping[str, TargetValue]) -> np.ndarray:
        """A query among its recordings, (1, n_targets) float64.

        Parameters
        ----------
        values : mapping of target to TargetValue
            What was measured of it; empty if nothing was.

        Raises
        ------
        DataMissingError
            If it was not measured.
        InputError
            If a value is undefined.
        """
        if not values:
            raise DataMissingError(
                "The query was not measured yet, so it cannot be placed among measured values.",
                "Add it to a library and measure that: python -m mess_core targets --library NAME.",
            )
        placed = np.empty((1, len(self.targets)))
        for number, target in enumerate(self.targets):
            value = values.get(target, TargetValue.none("it was not measured"))
            usable = value.value if value.quality == "good" or target not in NEED_A_SCORE else np.nan
            if TARGETS[target].transform == "rank":  # of one value alone there is none: it is placed between others
                order = np.argsort(self.raw[:, number], kind="stable")
                scaled = probe_scale(self.raw[:, number], target)[order]
                placed[0, number] = np.interp(usable, self.raw[order, number], scaled)
            else:
                placed[0, number] = probe_scale(np.array([usable]), target)[0]
            if not np.isfinite(placed[0, number]):
                why = f": {value.reason}" if value.reason else ""
                raise InputError(
                    f"The query has no value of {name_of(target)}{why}.",
                    f"Leave out {listed([name for name, needed in ASPECTS.items() if target in needed])}, or let the "
                    "encoder compare: geometry layer.",
                )
        standard: np.ndarray = (placed - self.mean) / self.spread
        return standard


def standardised(scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (n_tracks, n_targets) without gaps, as vectors (n_tracks, 1, n_targets) of mean 0 and deviation 1.

    Also the mean and the deviation of each target, (n_targets,); a deviation of nothing but rounding is taken as 1.
    """
    mean, spread = np.zeros(scaled.shape[1]), np.ones(scaled.shape[1])
    if len(scaled):
        mean, spread = scaled.mean(axis=0), scaled.std(axis=0)
        spread = np.where(spread > ROUNDING * (1 + np.abs(mean)), spread, 1.0)
    vectors = ((scaled - mean) / spread)[:, None]
    for array in (vectors, mean, spread):
        array.setflags(write=False)
    return vectors, mean, spread


def axes(targets: Sequence[str]) -> Directions:
    """The directions of measured values: a target's is the number that was measured."""
    n = len(targets)
    weights, offsets = np.eye(n, dtype=np.float32)[:, None], np.zeros((n, 1), np.float32)
    return Directions(tuple(targets), ((0,),) * n, weights, offsets)


def measured_aspects(scope: Scope) -> dict[str, AspectEvidence]:
    """By which measured targets each aspect can be searched in a library; label "none" where there is none.

    An aspect is searched by those of its targets that are known of nearly as many recordings as the best known of them.
    """
    known = _known(scope)
    found = {}
    for aspect, targets in ASPECTS.items():
        most = max((known[target] for target in targets), default=0.0)
        searched = tuple(target for target in targets if most and known[target] >= COMMON * most)
        found[aspect] = AspectEvidence((), targets, MEASURED if searched else "none", searched)
    return found


def commonly_measured(scope: Scope) -> list[str]:
    """Aspects that nearly all recordings of a library have values of."""
    known = _known(scope)
    return [
        aspect
        for aspect, found in measured_aspects(scope).items()
        if found.searched and all(known[target] >= COMMON for target in found.searched)
    ]


def measured_library(scope: Scope, targets: Sequence[str]) -> MeasuredLibrary:
    """What was measured of the embedded recordings of a library."""

    def read() -> MeasuredLibrary:
        ids = scope.embedded_ids
        values = np.stack([_values(scope, scope.content, stamp, target) for target in targets], axis=1)
        return MeasuredLibrary.of(scope.info, ids, targets, values)

    stamp = scope.workspace.measurements.stamp()
    key = ("measured", scope.library, scope.info.fingerprint, tuple(targets))
    made_of = scope.workspace.database.remembered.made_of
    library: MeasuredLibrary = made_of(key, (scope.content, stamp), read)
    return library


def has_values(scope: Scope, track_id: str, targets: Sequence[str]) -> bool:
    """Whether an embedded recording is among those of `measured_library` of these targets."""
    values = [
        scope.workspace.measurements.values([track_id], t, good_only=t in NEED_A_SCORE, current_only=True)
        for t in targets
    ]
    return all(np.isfinite(probe_scale(value, target)).all() for value, target in zip(values, targets, strict=True))


def standing_at(scope: Scope, target: str, share: float) -> str | None:
    """The embedded recording than which this share of them, or of `MOST_COUNTED`, has less of a target.

    None where it was measured of none.
    """

    def read() -> str | None:
        ids = scope.some_embedded_ids(MOST_COUNTED)
        is_strict = target in NEED_A_SCORE
        raw = scope.workspace.measurements.values(ids, target, good_only=is_strict, current_only=True)
        known = np.flatnonzero(np.isfinite(probe_scale(raw, target)))
        order = known[np.argsort(raw[known], kind="stable")]
        return ids[order[int(share * (len(order) - 1))]] if len(order) else None

    key = ("standing at", scope.library, scope.info.fingerprint, target, share)
    track_id: str | None = scope.workspace.database.remembered(key, read, VALUES_OF)
    return track_id


def _known(scope: Scope) -> dict[str, float]:
    """Of which share of a library's embedded recordings each target of an aspect is known; of many, of some of them."""

    def read() -> dict[str, float]:
        some = scope.some_embedded_ids(MOST_COUNTED)
        targets = {target for targets in ASPECTS.values() for target in targets}
        n_known = scope.workspace.measurements.n_known(some, targets, NEED_A_SCORE)
        return {target: n / max(len(some), 1) for target, n in n_known.items()}

    key = ("shares measured", scope.library, scope.info.fingerprint)
    known: dict[str, float] = scope.workspace.database.remembered(key, read, VALUES_OF)
    return known


@functools.lru_cache(maxsize=64)  # 80 kB each at ten thousand tracks
def _values(scope: Scope, content: str, stamp: tuple[int, ...], target: str) -> np.ndarray:
    """Of the embedded recordings, (n_tracks,), NaN where no value may be used; `content` and `stamp` say of when."""
    is_strict = target in NEED_A_SCORE
    values = scope.workspace.measurements.values(scope.embedded_ids, target, good_only=is_strict, current_only=True)
    values.setflags(write=False)
    return values
