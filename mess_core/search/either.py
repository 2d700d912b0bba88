"""Either: two recordings are as near as they are in the hearing in which that is more exceptional.

    hearing a: mean cosine over its layers -> how rare among pairs of the library     -> the larger of them
    hearing b: mean cosine over its layers -> how rare among pairs of the library

Cosines of two hearings cannot be compared: in one, .6 is nothing, in the other it happens once in a thousand pairs. So
each is put on one scale, its *rarity*, minus the common logarithm of the share of pairs that are at least as alike: 2
is one pair in a hundred, 3 one in a thousand. Between the pairs that were looked at it is interpolated; beyond them the
tail goes on as it did over its last decade, so that the nearest of a large library do not all stand at the end.

A library has fewer recordings of a piece than of an instrument, so its tail is the longer one, and pieces would stand
first more often than either task alone deserves: `HANDICAP` is taken off. It was chosen on one half of the demo's works
and tried on the other, eight times: .05 to .2 were best, and gave a mean average precision of .62 for the piece and .61
for the instrument, where none gives .68 and .58 (`benchmarks.either`).

Being a maximum it is no inner product. Still the search is exact: who is among the k nearest by the larger of two is
among the k nearest by one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.hearings import MUSIC
from mess_core.errors import InputError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search.geometry import GEOMETRIES, Geometry, LayerGeometry, Lookup, library_pairs
from mess_core.search.learned import LearnedGeometry
from mess_core.search.transposed import TransposedGeometry
from mess_core.storage.far import Rows

MOST_PAIRS = 20_000  # by which rarity is told: 10 of them lie beyond one in two thousand
STEPS_PER_DECADE = 10
FEWEST_BEYOND = 10  # pairs that must lie beyond the last point from which the tail goes on
HANDICAP = {MUSIC: 0.1}  # decades of rarity, by hearing
NEAR_FROM, APART_BELOW = 95.0, 50.0  # percentile of pairs: near in this hearing; or not at all


@dataclass(frozen=True, eq=False)
class Rarity:
    """How rare a cosine is among pairs of a library, less a handicap. knots, values : (n_knots,), ascending both"""

    knots: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, cosines: np.ndarray, handicap: float = 0.0) -> Self:
        """From the cosines of some pairs, (n_pairs,); without a tail to speak of, the cosine itself."""
        decades = np.log10(len(cosines) / FEWEST_BEYOND) if len(cosines) else 0.0
        if decades < 1:
            return cls(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
        values = np.arange(round(decades * STEPS_PER_DECADE) + 1) / STEPS_PER_DECADE
        knots, first = np.unique(np.quantile(cosines, 1 - 10.0**-values), return_index=True)
        if len(knots) < 2 or knots[-1] - knots[0] < 1e-6:
            return cls(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
        return cls(knots, values[first] - handicap)

    def __call__(self, cosines: np.ndarray) -> np.ndarray:
        rarity = np.interp(cosines, self.knots, self.values)
        first_slope, last_slope = self._slopes
        rarity += last_slope * np.maximum(cosines - self.knots[-1], 0)
        found: np.ndarray = rarity + first_slope * np.minimum(cosines - self.knots[0], 0)
        return found

    @cached_property
    def _slopes(self) -> tuple[float, float]:
        """Before the first knot, and after the last."""
        knots, values = self.knots, self.values
        last = np.searchsorted(values, values[-1] - 1.0).clip(max=len(knots) - 2)  # a decade before
        return (values[1] - values[0]) / (knots[1] - knots[0]), (values[-1] - values[last]) / (knots[-1] - knots[last])

    def of_one(self, cosine: float) -> float:
        return float(self(np.array([cosine]))[0])


@dataclass(frozen=True, eq=False)
class EitherGeometry(LayerGeometry):
    """Layers of several hearings, each on the scale of its rarity. rarities : one for each part"""

    rarities: tuple[Rarity, ...]

    words: ClassVar[str] = (
        "how rare such a pair is here, in the hearing in which it is rarer: 2 is one pair in a hundred, 3 one in a "
        "thousand"
    )
    is_linear: ClassVar[bool] = False
    supports_avoid: ClassVar[bool] = False
    has_hearings: ClassVar[bool] = True

    @classmethod
    def fit(
        cls,
        vectors: Rows,
        evidence: Mapping[str, AspectEvidence] | None = None,
        directions: Directions | None = None,
        avoid: Sequence[str] = (),
        info: EncoderInfo | None = None,
    ) -> Self:
        """Its parts are the hearings that `info` names."""
        if info is None or not info.parts or avoid:
            raise InputError("A comparison in either of two hearings needs the two, and leaves nothing out.")
        names = [part.of for part in info.parts for _ in part.layers]
        parts = tuple(dict.fromkeys(names))
        shares = np.array([[float(name == part) for name in names] for part in parts])
        shares /= shares.sum(axis=1, keepdims=True)
        own = vars(LayerGeometry.fit(vectors, info=info)) | {
            "parts": parts,
            "shares": shares,
            "plain": np.ones(len(parts)),
        }
        plain = LayerGeometry(**own)
        first, second = library_pairs(len(vectors), MOST_PAIRS)
        cosines = np.empty((len(first), len(parts)))
        for start in range(0, len(first), 512):
            block = slice(start, start + 512)
            one, other = (plain.items(vectors[rows[block]]) for rows in (first, second))
            cosines[block] = plain.similarities(one, other)
        rarities = tuple(Rarity.of(cosines[:, part], HANDICAP.get(name, 0.0)) for part, name in enumerate(parts))
        return cls(**own, rarities=rarities)

    def query(self, item: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """Of the mean cosine over its parts, which stands for it where a product is needed: moments, strangers."""
        return super().query(item, weights / weights.sum())

    def lookups(self, item: np.ndarray, weights: np.ndarray) -> list[Lookup]:
        """One for each hearing."""
        found = []
        for part in np.flatnonzero(weights):
            vector, constant = super().query(item, np.eye(len(weights))[part])
            found.append(Lookup(vector, constant, self.rarities[part].of_one))
        return found

    def similarities(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        cosines = super().similarities(one, other)
        rarities: np.ndarray = np.stack([rarity(cosines[:, n]) for n, rarity in enumerate(self.rarities)], axis=1)
        return rarities

    def total(self, parts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        larger: np.ndarray = parts[..., weights > 0].max(axis=-1)
        return larger


def geometry_for(name: str, info: EncoderInfo) -> type[Geometry]:
    """The geometry of that name for an encoder or a hearing."""
    if name == LearnedGeometry.name:
        return LearnedGeometry
    if name != LayerGeometry.name:
        return GEOMETRIES[name]
    if info.any_key:
        return TransposedGeometry
    return EitherGeometry if len({part.of for part in info.parts}) > 1 else LayerGeometry


def in_which(percentiles: Mapping[str, float]) -> str:
    """In which hearings a neighbour is one, in words; empty where it is exceptional in none.

    Examples
    --------
    >>> in_which({"same music": 99.9, "same sound and style": 20.0})
    'music alike, other sound and style'
    >>> in_which({"same music": 99.0, "same sound and style": 99.9})
    'sound and style alike, music alike'
    """
    ordered = sorted(percentiles, key=lambda name: -percentiles[name])
    if percentiles[ordered[0]] < NEAR_FROM:
        return ""
    words = []
    for name in ordered:
        what = name.removeprefix("same ")
        if percentiles[name] >= NEAR_FROM:
            words.append(f"{what} alike")  # not "same": another piece may be as near
        elif percentiles[name] < APART_BELOW:
            words.append(f"other {what}")
    return ", ".join(words)
