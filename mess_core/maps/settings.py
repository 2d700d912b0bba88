"""What may be chosen of a map."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from mess_core.errors import InputError

Metric = Literal["cosine", "euclidean"]


@dataclass(frozen=True)
class MapSettings:
    """Settings of a map; the defaults are those of UMAP.

    n_neighbours : int >= 2
        How many neighbours, itself among them, a track is to stay near. Few show detail, many the whole. A library of
        fewer tracks uses all.
    min_dist : float, 0 to 1
        How close neighbours may lie; the layout's own unit, before it is brought to a common size.
    metric : "cosine" or "euclidean"
        Between the vectors of a layer. Aspects have a distance of their own.
    is_centred : bool
        Whether the mean of the library is removed first, as search does.
    seed : int >= 0
        The same seed gives the same map.
    """

    n_neighbours: int = 15
    min_dist: float = 0.1
    metric: Metric = "cosine"
    is_centred: bool = True
    seed: int = 0

    @property
    def key(self) -> str:
        """Eight hex digits that name these settings."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]


def check_settings(settings: MapSettings) -> None:
    """InputError if a map cannot be made like this."""
    if not _is_whole(settings.n_neighbours) or not 2 <= settings.n_neighbours <= 200:
        raise InputError(f"n_neighbours is {settings.n_neighbours!r}, expected a whole number from 2 to 200.")
    if not isinstance(settings.min_dist, int | float) or not 0 <= settings.min_dist <= 1:
        raise InputError(f"min_dist is {settings.min_dist!r}, expected a number from 0 to 1.")
    if settings.metric not in get_args(Metric):
        raise InputError(f"The metric {settings.metric!r} is unknown, expected {' or '.join(get_args(Metric))}.")
    if not isinstance(settings.is_centred, bool):
        raise InputError(f"is_centred is {settings.is_centred!r}, expected true or false.")
    if not _is_whole(settings.seed) or not 0 <= settings.seed < 2**31:
        raise InputError(f"The seed is {settings.seed!r}, expected a whole number from 0 to {2**31 - 1}.")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and math.isfinite(value)
