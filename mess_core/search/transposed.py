"""Transposed: two recordings are as near as they are in the key in which that is nearest.

    pitch classes -> less their mean -> turned by 0, 1, -1, … 6 semitones -> cosine with each recording -> the largest

What is written a semitone higher has the same pitch classes, each moved on by one: their means over time, and their
deviations. So a transposed performance is found by asking twelve times over the same rows, and the turn that wins says
by how many semitones it sounds higher.

A turn must not move what is removed, or an item could not be turned. So of a recording's means their own mean over the
twelve classes is removed, and of its deviations theirs. What is left says which classes sound more than others, not how
loud and full the whole is, which says little of the piece. Then an item that is turned is the item of what is turned,
and whoever holds items needs nothing else:

    items(turned(v)) = turned(items(v))

Less the library's mean, class by class, as other layers are, that would not be so.

Being a maximum it is no inner product; it is the largest of twelve with the same rows, over one index.

A recording is in one transposition from its beginning to its end, so its segments are: of the twelve matrices of two
recordings that one counts in which the query's segments find the best partners (`matching.max_sim`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.chroma import N_CLASSES
from mess_core.errors import InputError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search.geometry import LayerGeometry, Lookup, as_it_is
from mess_core.storage.far import FarRows, Rows

# Higher by so many semitones, the nearest way round: of turns that are equal the one counts that comes first.
TURNS = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6)
ROUNDING = 1e-6  # relative
SAME = 1e-6  # what differs by less is equal: a chord that divides the octave turns into itself
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True, eq=False)
class TransposedGeometry(LayerGeometry):
    """One layer of pitch classes, in whichever key it is nearest; of several numbers each, one after the other."""

    words: ClassVar[str] = (
        "the cosine between which pitch classes sound more and which less, in the key in which it is largest: 1 is the "
        "same, 0 is unrelated"
    )
    any_key: ClassVar[bool] = True
    is_linear: ClassVar[bool] = False
    supports_avoid: ClassVar[bool] = False
    works_on_segments: ClassVar[bool] = True

    @classmethod
    def fit(
        cls,
        vectors: Rows,
        evidence: Mapping[str, AspectEvidence] | None = None,
        directions: Directions | None = None,
        avoid: Sequence[str] = (),
        info: EncoderInfo | None = None,
    ) -> Self:
        """Its one part is the layer: no aspect has another."""
        n_layers, dim = vectors.shape[1:]
        if n_layers != 1 or dim % N_CLASSES or avoid:
            raise InputError(
                f"A comparison in any key needs one layer of {N_CLASSES} pitch classes, and leaves nothing out; "
                f"got {n_layers} × {dim}."
            )
        level = vectors.changed((n_layers, dim), levelled) if isinstance(vectors, FarRows) else levelled(vectors)
        return super().fit(level, info=info)

    @classmethod
    def common_part(cls, vectors: Rows) -> np.ndarray:
        """Nothing: each has lost what is the same in all keys, and what is not would not turn with it."""
        return np.zeros(vectors.shape[1:], np.float32)

    def items(self, vectors: np.ndarray) -> np.ndarray:
        """What sounds alike in all classes, such as silence, is zero: similar to nothing."""
        return super().items(levelled(vectors))

    def lookups(self, item: np.ndarray, weights: np.ndarray) -> list[Lookup]:
        """One, with a vector for each turn."""
        vector, constant = self.query(item, weights)
        vectors = np.tile(vector, (len(TURNS), 1))
        vectors[:, : self.n_numbers] = turned(vector[: self.n_numbers])
        return [Lookup(vectors, constant, as_it_is)]

    def semitones(self, one: np.ndarray, other: np.ndarray, recordings: np.ndarray) -> np.ndarray:
        """The turn in which the segments of one have the best partners among those of each other recording."""
        numbers = other[:, : self.n_numbers].astype(np.float64).T
        turns = turned(one[:, : self.n_numbers].astype(np.float64))  # (n_one, n_turns, n_numbers)
        firsts = np.flatnonzero(np.diff(recordings, prepend=-1))
        best = (np.maximum.reduceat(turns[:, n] @ numbers, firsts, axis=1) for n in range(len(TURNS)))
        alike = np.stack([of_turn.mean(axis=0) for of_turn in best])  # (n_turns, n_recordings), as `matching.max_sim`
        first = (alike >= alike.max(axis=0) - SAME).argmax(axis=0)
        found: np.ndarray = np.array(TURNS)[first]
        return found

    def matrix(
        self, one: np.ndarray, other: np.ndarray, weights: np.ndarray, recordings: np.ndarray | None = None
    ) -> np.ndarray:
        """Each recording in the one turn of `semitones`."""
        recordings = np.zeros(len(other), int) if recordings is None else recordings
        semitones = self.semitones(one, other, recordings)[recordings]
        similarities = np.empty((len(one), len(other)))
        for turn in np.unique(semitones):
            of_turn = semitones == turn
            asked = one.copy()
            asked[:, : self.n_numbers] = turned(one[:, : self.n_numbers])[:, TURNS.index(turn)]
            similarities[:, of_turn] = super().matrix(asked, other[of_turn], weights)
        return similarities

    def layer_cosines(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The largest of all turns, (n, 1) float64."""
        one, other = np.atleast_2d(one)[:, : self.n_numbers], np.atleast_2d(other)[:, : self.n_numbers]
        cosines: np.ndarray = np.matmul(turned(one), other[:, :, None])[..., 0].max(axis=1, keepdims=True)
        return cosines.astype(np.float64)


def levelled(vectors: np.ndarray) -> np.ndarray:
    """Pitch classes (…, n_numbers) without their mean over the classes, float32; zero where only rounding is left.

    Examples
    --------
    >>> levelled(np.array([9.0, *[3.0] * 11]))[:3].tolist()
    [5.5, -0.5, -0.5]
    """
    of_classes = vectors.reshape(*vectors.shape[:-1], -1, N_CLASSES)
    left = (of_classes - of_classes.mean(axis=-1, keepdims=True, dtype=np.float64)).reshape(vectors.shape)
    sizes, least = (np.linalg.norm(each, axis=-1, keepdims=True) for each in (left, ROUNDING * vectors))
    found: np.ndarray = np.where(sizes > least, left, 0.0).astype(np.float32)
    return found


def turned(numbers: np.ndarray) -> np.ndarray:
    """Pitch classes (…, n_numbers), moved on by each of `TURNS`: (…, n_turns, n_numbers).

    Examples
    --------
    >>> turned(np.arange(12))[1].tolist()
    [11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    places = np.arange(numbers.shape[-1])
    octaves, classes = places // N_CLASSES * N_CLASSES, places % N_CLASSES
    found: np.ndarray = numbers[..., octaves + (classes - np.array(TURNS)[:, None]) % N_CLASSES]
    return found


def in_key(semitones: int) -> str:
    """In which key a neighbour is, beside the query, in words.

    Examples
    --------
    >>> in_key(0), in_key(2), in_key(-1)
    ('the same key', 'two semitones higher', 'one semitone lower')
    """
    if semitones == 0:
        return "the same key"
    noun = "semitone" if abs(semitones) == 1 else "semitones"
    way = "higher or lower" if abs(semitones) == N_CLASSES / 2 else "higher" if semitones > 0 else "lower"
    return f"{NUMBERS[abs(semitones)]} {noun} {way}"
