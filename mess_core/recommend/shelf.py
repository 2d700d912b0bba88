"""A shelf: the recordings that can be recommended, each a point at which a taste can be held against it.

    hearing a: layers -> centred, of length one, side by side -> its main directions -> length one ─┐
    hearing b: layers -> centred, of length one, side by side -> its main directions -> length one ─┴> point

Points are for means: the mean of what somebody likes is a question like any other, and the cosine of a recording with
it says how well that fits. Each hearing counts alike. Along its main directions alone a library of 10⁵ takes 50 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mess_core.search.geometry import library_pairs

N_DIRECTIONS = 64  # of each hearing; of the embeddings of music at hand, 46 hold nine tenths
MOST_FITTED = 8192  # recordings, by which centre and directions are told
ROWS_AT_ONCE = 4096
POINTS_AT_ONCE = 64  # with which all rows are compared: 26 MB of cosines at 10⁵ rows
MOST_PAIRS = 20_000
NEAR_SHARE = 0.01  # of pairs of the library: these are near


@dataclass(frozen=True, eq=False)
class Shelf:
    """Row i of everything is the recording `track_ids[i]`.

    points : (n, d) float32, of length one
    hearings : the name of each hearing, and how many columns of a point are its own
    artists : by whom each is, in any way: who plays it, and who made it
    makers, works : whose it is above all, and which work it is of; None where that is not known
    added_s : (n,) float64, when each came into the library, seconds since 1970; NaN where that is not known
    """

    track_ids: tuple[str, ...]
    points: np.ndarray
    hearings: tuple[tuple[str, int], ...]
    artists: tuple[frozenset[str], ...]
    makers: tuple[str | None, ...]
    works: tuple[str | None, ...]
    added_s: np.ndarray

    def __len__(self) -> int:
        return len(self.track_ids)

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Where each recording stands."""
        return {track_id: row for row, track_id in enumerate(self.track_ids)}

    def rows_of(self, track_ids: tuple[str, ...]) -> np.ndarray:
        """Where each of these stands, (m,) int64; -1 where it does not. One profile asks the same several times."""
        return self._asked_last(
            "rows of",
            lambda before: before is track_ids,
            track_ids,
            lambda: np.array([self.rows.get(track_id, -1) for track_id in track_ids], np.int64),
        )

    def too_near(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """How much nearer than `near_from` each is to any of some rows, by weight, (n,) float32; 0 where it is not.

        A like changes nothing of what is disliked, so the latest answer is kept.
        """

        def find() -> np.ndarray:
            found, weight = np.zeros(len(self), np.float32), weights.astype(np.float32)
            for start in range(0, len(rows), POINTS_AT_ONCE):
                some = slice(start, start + POINTS_AT_ONCE)
                cosines = self.points @ self.points[rows[some]].T
                cosines -= self.near_from
                cosines *= weight[some]
                np.maximum(found, cosines.max(axis=1), out=found)
            return found

        def is_same(before: tuple[np.ndarray, np.ndarray]) -> bool:
            return np.array_equal(before[0], rows) and np.array_equal(before[1], weights)

        return self._asked_last("too near", is_same, (rows, weights), find)

    def _asked_last(
        self, name: str, is_same: Callable[[Any], bool], asked: Any, find: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """The latest answer to a question, where it is asked again."""
        known: dict[str, tuple[Any, np.ndarray]] = self.__dict__.setdefault("_known", {})
        before = known.get(name)
        if before is None or not is_same(before[0]):
            found = find()
            found.setflags(write=False)
            before = known[name] = (asked, found)  # in one piece: other threads ask, too
        return before[1]

    @cached_property
    def rows_of_artist(self) -> Mapping[str, np.ndarray]:
        """What is by each, (m,) rows."""
        found: dict[str, list[int]] = {}
        for row, artists in enumerate(self.artists):
            for artist in artists:
                found.setdefault(artist, []).append(row)
        return {artist: np.array(rows) for artist, rows in found.items()}

    def by_any_of(self, artists: Collection[str]) -> np.ndarray:
        """Whether each row is by one of some artists, (n,) bool."""
        is_by = np.zeros(len(self), bool)
        for artist in artists:
            is_by[self.rows_of_artist.get(artist, ())] = True
        return is_by

    def nearest(self, others: np.ndarray) -> np.ndarray:
        """The greatest cosine of each row with any of some points (m, d), (n,) float32; -1 without any."""
        found = np.full(len(self), -1.0, np.float32)
        for start in range(0, len(others), POINTS_AT_ONCE):
            np.maximum(found, (self.points @ others[start : start + POINTS_AT_ONCE].T).max(axis=1), out=found)
        return found

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """Those of each hearing."""
        ends = np.cumsum([width for _, width in self.hearings]).tolist()
        return tuple(slice(end - width, end) for end, (_, width) in zip(ends, self.hearings, strict=True))

    @cached_property
    def spreads(self) -> np.ndarray:
        """Standard deviation of the cosine of a pair within each hearing, (n_hearings,)."""
        first, second = library_pairs(len(self), MOST_PAIRS)
        if not len(first):
            return np.ones(len(self.hearings))
        one, other = self.points[first], self.points[second]
        found = [np.vecdot(unit(one[:, own]), unit(other[:, own])).std() for own in self.columns]
        return np.array([each or 1.0 for each in found])

    @cached_property
    def near_from(self) -> float:
        """The cosine from which two recordings are near: one pair in a hundred is."""
        return float(np.quantile(self._pair_cosines, 1 - NEAR_SHARE)) if len(self._pair_cosines) else 1.0

    @cached_property
    def _pair_cosines(self) -> np.ndarray:
        first, second = library_pairs(len(self), MOST_PAIRS)
        return np.vecdot(self.points[first], self.points[second])

    def percentiles(self, cosines: np.ndarray) -> np.ndarray:
        """How many of a hundred pairs of the library are less alike than these cosines."""
        ordered = np.sort(self._pair_cosines)
        return 100.0 * np.searchsorted(ordered, cosines) / max(len(ordered), 1)


def make_points(
    hearings: Mapping[str, Sequence[np.ndarray]], seed: int = 0
) -> tuple[np.ndarray, tuple[tuple[str, int], ...]]:
    """Points from what each hearing heard.

    Parameters
    ----------
    hearings : mapping of str to sequence of ndarray, shape (n, n_layers, dim)
        By name, what each of its encoders heard; the same recordings everywhere.
    seed : int
        Of the sample by which a large library is fitted.

    Returns
    -------
    points : ndarray, shape (n, d) float32
        Of length one; zero where nothing tells a recording from the others.
    hearings : tuple of (str, int)
        How many of the d columns are of each.
    """
    blocks = [_directions(vectors, seed) for vectors in hearings.values()]
    points = np.concatenate(blocks, axis=1) if blocks else np.empty((0, 0), np.float32)
    return unit(points), tuple((name, block.shape[1]) for name, block in zip(hearings, blocks, strict=True))


def unit(points: np.ndarray) -> np.ndarray:
    """Vectors (..., d) at length one; what has none stays zero."""
    lengths = np.linalg.norm(points, axis=-1, keepdims=True)
    scaled: np.ndarray = np.divide(points, lengths, out=np.zeros_like(points), where=lengths > 1e-9)
    return scaled


def _directions(vectors: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """A hearing, (n, n_layers, dim) of each encoder, along its main directions, (n, at most N_DIRECTIONS)."""
    from sklearn.decomposition import TruncatedSVD

    n = len(vectors[0])
    chosen = np.arange(n)
    if n > MOST_FITTED:
        chosen = np.sort(np.random.default_rng(seed).choice(n, MOST_FITTED, replace=False))
    centres = [np.asarray(each[chosen]).mean(axis=0) for each in vectors]

    def side_by_side(rows: np.ndarray) -> np.ndarray:
        parts = [unit(each[rows] - centre) for each, centre in zip(vectors, centres, strict=True)]
        return np.concatenate([part.reshape(len(rows), -1) for part in parts], axis=1)

    fitted = side_by_side(chosen)
    if n < 2 or not fitted.any():
        return np.zeros((n, 1), np.float32)
    main = TruncatedSVD(min(N_DIRECTIONS, *fitted.shape), random_state=seed).fit(fitted)
    parts = np.array_split(np.arange(n), max(1, -(-n // ROWS_AT_ONCE)))
    return unit(np.concatenate([main.transform(side_by_side(rows)) for rows in parts]).astype(np.float32))
