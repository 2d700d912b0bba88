"""Matching: which moment of the query matches which moment of the neighbour.

Search compares whole tracks. This module compares their segments: all of the query's with all of the track's, in one
matrix of similarities, from which three questions are answered.

    how alike, in whatever order?            max_sim: every query segment takes its best partner
    which stretch follows the query in time? align: subsequence dynamic time warping
    where should I listen?                   best_moments: the diagonal stretches that are most alike

Order matters to the last two: music that is played again, or by someone else, shows as a diagonal in the matrix; at
another tempo the diagonal has another slope, which `align` follows between half and double tempo.

Conventions
-----------
similarities (n_query_segments, n_track_segments): larger = closer, any finite numbers (cosines, or minus squared
distances). Rows are the query's segments, columns the track's, both in time order. A segment begins at `starts_s` and
lasts `segment_s`, both in seconds. A recording shorter than that is one segment of its own length; only `passage_rows`
knows how long a recording is, so a moment of such a track may be given as longer than the track.

Source
------
Khattab & Zaharia (2020), "ColBERT", §3.3 (late interaction, MaxSim). Müller (2015), "Fundamentals of Music Processing",
§3.2 (dynamic time warping, step sizes) and §7.2 (diagonal matching, subsequence DTW).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mess_core.errors import InputError

STEPS = ((1, 1), (2, 1), (1, 2))  # (query, track) segments from one pair of a path to the next
STEP_WEIGHTS = (1.0, 2.0, 1.0)  # how often the cost of the pair a step leads to counts: once per query segment
MOMENT_SEGMENTS = 3  # one segment may be alike by luck, three in a row seldom; 10 s at a hop of 2.5 s
END_TOLERANCE_S = 0.01  # a passage typed with two decimals may round the end of the file up


@dataclass(frozen=True)
class Moment:
    """From `query_s` in the query and `track_s` in the track, `length_s` seconds resemble each other."""

    query_s: float
    track_s: float
    length_s: float
    similarity: float


@dataclass(frozen=True, eq=False)
class SegmentAlignment:
    """Which query segment goes with which track segment.

    pairs : (n_pairs, 2) int, (query segment, track segment), ascending in both, read-only
    similarity : mean of the pairs' similarities
    """

    pairs: np.ndarray
    similarity: float


def max_sim(similarities: np.ndarray) -> float:
    """Late interaction: the mean over query segments of their most similar track segment, whatever the order.

    Parameters
    ----------
    similarities : ndarray, shape (n_query_segments, n_track_segments)

    Raises
    ------
    InputError
        If the matrix is empty, not 2-D or not finite.

    Source
    ------
    Khattab & Zaharia (2020), eq. 3; a mean in place of the sum, so that long and short queries compare.

    Examples
    --------
    >>> max_sim(np.array([[0.25, 0.5], [1.0, 0.0]]))
    0.75
    """
    similarities = _checked(similarities)
    return float(max_sim_by_track(similarities, np.zeros(similarities.shape[1], np.int64))[0])


def max_sim_by_track(similarities: np.ndarray, track_of_row: np.ndarray) -> np.ndarray:
    """`max_sim` of many tracks at once, whose segments lie one track after the other.

    Parameters
    ----------
    similarities : ndarray, shape (n_query_segments, n_rows)
        A column for each segment of every track.
    track_of_row : ndarray, shape (n_rows,), int
        The track of each segment: 0, 1, … n_tracks - 1, ascending, each used.

    Returns
    -------
    ndarray, shape (n_tracks,), float64

    Raises
    ------
    InputError
        If the matrix is empty, not 2-D or not finite, or the track codes are not as above.

    Examples
    --------
    >>> max_sim_by_track(np.array([[0.25, 0.5, 0.75], [1.0, 0.0, 0.5]]), np.array([0, 0, 1])).tolist()
    [0.75, 0.625]
    """
    similarities, track_of_row = _checked(similarities), np.asarray(track_of_row)
    if track_of_row.shape != similarities.shape[1:]:
        raise InputError(
            f"Track codes of shape {track_of_row.shape}, expected one for each of {similarities.shape[1]}."
        )
    steps = np.diff(track_of_row, prepend=-1)
    if steps[0] != 1 or not np.isin(steps, (0, 1)).all():
        raise InputError("The track codes skip or go back, expected 0, 1, … in ascending order, each used.")
    best = np.maximum.reduceat(similarities, np.flatnonzero(steps), axis=1)  # (n_query_segments, n_tracks)
    means: np.ndarray = best.mean(axis=0, dtype=np.float64)
    return means


def align(similarities: np.ndarray) -> SegmentAlignment:
    """Lay the whole query along the stretch of the track that follows it best (subsequence DTW).

    A path begins at the query's first segment and ends at its last, anywhere in the track, and advances in both by one
    segment, or in one of them by two. Of all such paths the one of least total cost is returned, where the cost of a
    pair is its distance from the best: the largest similarity of the matrix minus its own. So costs are not negative,
    and a constant added to all similarities changes no path. Of paths that cost the same, the one that ends first is
    taken, then the one whose last steps come first in `STEPS`.

    A step of two query segments pays twice, so skipping is no way to save: on faint matches this finds both ends of a
    planted passage in 94 % of cases instead of 50 %. `similarity` is the mean over pairs: paths of different lengths
    compare.

    No such path exists if the track has fewer segments than half of the query's (n_query > 2 n_track - 1). Then the
    whole track is laid along a stretch of the query instead. A single segment on either side gives the best pair.

    Parameters
    ----------
    similarities : ndarray, shape (n_query_segments, n_track_segments)

    Returns
    -------
    SegmentAlignment
        In (query, track) order in either case.

    Raises
    ------
    InputError
        If the matrix is empty, not 2-D or not finite.

    Source
    ------
    Müller (2015), §7.2.3, with the step sizes of §3.2.2; the total cost is that of
    `librosa.sequence.dtw(C=cost, subseq=True, step_sizes_sigma=STEPS, weights_mul=STEP_WEIGHTS)`.

    Examples
    --------
    >>> align(np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])).pairs.tolist()
    [[0, 1], [1, 2]]
    """
    similarities = _checked(similarities).astype(np.float64)
    cost = similarities.max() - similarities
    n_query, n_track = similarities.shape
    pairs = _cheapest_path(cost) if n_query <= 2 * n_track - 1 else _cheapest_path(cost.T)[:, ::-1]
    pairs.setflags(write=False)
    return SegmentAlignment(pairs, float(similarities[pairs[:, 0], pairs[:, 1]].mean()))


def span(
    alignment: SegmentAlignment, query_starts_s: np.ndarray, track_starts_s: np.ndarray, segment_s: float
) -> Moment:
    """Say in seconds which stretch of the track the query, or a passage of it, was matched with.

    Parameters
    ----------
    alignment : SegmentAlignment
    query_starts_s, track_starts_s : ndarray, shape (n_query_segments,) and (n_track_segments,), seconds
        Of the rows and columns that were aligned.
    segment_s : float > 0, seconds

    Returns
    -------
    Moment
        Both starts are those of the first pair; `length_s` is that of the track's stretch, to the end of its last
        segment.

    Raises
    ------
    InputError
        If the start times are fewer than the segments that were aligned.
    """
    last_query, last_track = alignment.pairs[-1]
    query_starts_s = _checked_starts("query", query_starts_s, last_query + 1)
    track_starts_s = _checked_starts("track", track_starts_s, last_track + 1)
    first_query, first_track = alignment.pairs[0]
    track_s = float(track_starts_s[first_track])
    end_s = float(track_starts_s[last_track]) + segment_s
    return Moment(float(query_starts_s[first_query]), track_s, end_s - track_s, alignment.similarity)


def best_moments(
    similarities: np.ndarray,
    query_starts_s: np.ndarray,
    track_starts_s: np.ndarray,
    segment_s: float,
    n: int = 3,
    apart_s: float = 5.0,
) -> list[Moment]:
    """The pairs of moments that are most alike, the best first.

    A moment is `MOMENT_SEGMENTS` segments in a row on both sides (as many as there are, if a side has fewer) and as
    similar as their mean: a stretch, not one lucky segment. Chosen greedily; one that starts less than `apart_s` from
    a better one, both in the query and in the track, is the same moment and left out. Equal moments are chosen by
    their start in the query, then in the track.

    Parameters
    ----------
    similarities : ndarray, shape (n_query_segments, n_track_segments)
    query_starts_s, track_starts_s : ndarray, shape (n_query_segments,) and (n_track_segments,), seconds
    segment_s : float > 0, seconds
    n : int >= 1
        Fewer are returned if there are no more.
    apart_s : float >= 0, seconds

    Returns
    -------
    list of Moment
        `length_s` is from the start of the first segment to the end of the last one, on the side where it is shorter
        (the last segment of a recording may begin less than a hop after the one before).

    Raises
    ------
    InputError
        If the matrix is empty, not 2-D or not finite, if start times and matrix disagree, or n or `apart_s` is too
        small.

    Source
    ------
    Müller (2015), §7.2.2 (diagonal matching).
    """
    similarities = _checked(similarities)
    query_starts_s = _checked_starts("query", query_starts_s, similarities.shape[0], is_exact=True)
    track_starts_s = _checked_starts("track", track_starts_s, similarities.shape[1], is_exact=True)
    if n < 1:
        raise InputError(f"{n} moments asked for, expected at least 1.")
    if not apart_s >= 0:
        raise InputError(f"Moments {apart_s:g} s apart asked for, expected at least 0 s.")

    length = min(MOMENT_SEGMENTS, *similarities.shape)
    left = diagonal_means(similarities, length)
    query_lengths_s, track_lengths_s = (
        starts_s[length - 1 :] - starts_s[: len(starts_s) - length + 1] + segment_s
        for starts_s in (query_starts_s, track_starts_s)
    )
    query_s, track_s = query_starts_s[: left.shape[0]], track_starts_s[: left.shape[1]]
    moments: list[Moment] = []
    while len(moments) < n:
        row, column = np.unravel_index(left.argmax(), left.shape)  # the first of equals
        if left[row, column] == -np.inf:
            break
        length_s = min(query_lengths_s[row], track_lengths_s[column])
        moments.append(Moment(float(query_s[row]), float(track_s[column]), float(length_s), float(left[row, column])))
        is_near = np.ix_(np.abs(query_s - query_s[row]) < apart_s, np.abs(track_s - track_s[column]) < apart_s)
        left[is_near] = -np.inf
        left[row, column] = -np.inf  # also if none is near because apart_s is 0
    return moments


def passage_rows(starts_s: np.ndarray, segment_s: float, start_s: float, end_s: float, duration_s: float) -> np.ndarray:
    """Which segments stand for the passage from `start_s` up to `end_s`.

    Those whose centre lies in it (a centre at `end_s` belongs to the passage that follows); if there are none, the one
    that overlaps it most (the earlier of equals).

    Parameters
    ----------
    starts_s : ndarray, shape (n_segments,), seconds
    segment_s, start_s, end_s : float, seconds
    duration_s : float, seconds
        Of the recording.

    Returns
    -------
    ndarray, shape (n_rows,), int
        At least one, ascending.

    Raises
    ------
    InputError
        If the passage is not a stretch of time or not inside the recording.

    Examples
    --------
    >>> passage_rows(np.array([0.0, 2.5, 5.0, 7.5]), 5.0, start_s=4.0, end_s=8.0, duration_s=12.5)
    array([1, 2])
    """
    _check_passage(start_s, end_s)
    if start_s >= duration_s or end_s > duration_s + END_TOLERANCE_S:
        raise InputError(
            f"The passage {start_s:g}:{end_s:g} s is outside the recording, which lasts {round(duration_s, 2):g} s."
        )
    starts_s = _checked_starts("query", starts_s, 1)
    ends_s = np.minimum(starts_s + segment_s, duration_s)
    centres_s = (starts_s + ends_s) / 2
    (rows,) = np.nonzero((start_s <= centres_s) & (centres_s < end_s))
    if not len(rows):
        overlaps_s = np.minimum(ends_s, end_s) - np.maximum(starts_s, start_s)
        rows = np.array([overlaps_s.argmax()])
    return rows


def parse_passage(text: str) -> tuple[float, float]:
    """Read a passage as it is typed, START:END in seconds.

    Returns
    -------
    start_s, end_s : float, seconds

    Raises
    ------
    InputError
        If the text has another form, or the passage ends before it begins.

    Examples
    --------
    >>> parse_passage("12.5:20")
    (12.5, 20.0)
    """
    try:
        start_s, end_s = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise InputError(
            f"The passage {text!r} cannot be read, expected START:END in seconds, for example 12.5:20."
        ) from error
    _check_passage(start_s, end_s)
    return start_s, end_s


def seconds_of(passage: Any) -> tuple[float, float]:
    """A passage as it is given in Python, (start, end) in seconds, or as it is typed.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> seconds_of((1, 2.5)), seconds_of("1:2.5")
    ((1.0, 2.5), (1.0, 2.5))
    """
    if isinstance(passage, str):
        return parse_passage(passage)
    try:
        start_s, end_s = (float(part) for part in passage)
    except (TypeError, ValueError) as error:
        raise InputError(f"The passage is {passage!r}, expected (start, end) in seconds.") from error
    _check_passage(start_s, end_s)
    return start_s, end_s


def _cheapest_path(cost: np.ndarray) -> np.ndarray:
    """The path of least total cost from the first row to the last, as (n_pairs, 2).

    Every step advances the row, so a row follows from the one or two before it, all columns at once.
    """
    n_rows, n_columns = cost.shape
    totals = np.full((n_rows + 2, n_columns + 2), np.inf)  # two in front on each side, from where no step can come
    totals[2, 2:] = cost[0]
    step_to = np.zeros(cost.shape, np.int8)
    for row in range(1, n_rows):
        ways = np.stack(
            [
                totals[row + 2 - rows, 2 - columns : n_columns + 2 - columns] + weight * cost[row]
                for (rows, columns), weight in zip(STEPS, STEP_WEIGHTS, strict=True)
            ]
        )  # (n_steps, n_columns)
        step_to[row] = ways.argmin(axis=0)
        totals[row + 2, 2:] = ways.min(axis=0)
    row, column = n_rows - 1, int(totals[-1, 2:].argmin())
    path = [(row, column)]
    while row > 0:
        rows, columns = STEPS[step_to[row, column]]
        row, column = row - rows, column - columns
        path.append((row, column))
    return np.array(path[::-1])


def diagonal_means(similarities: np.ndarray, length: int) -> np.ndarray:
    """Mean of `length` cells down the diagonal from each cell that has as many; float64."""
    n_rows, n_columns = (size - length + 1 for size in similarities.shape)
    total = np.zeros((n_rows, n_columns))
    for step in range(length):
        total += similarities[step : step + n_rows, step : step + n_columns]
    return total / length


def _checked(similarities: np.ndarray) -> np.ndarray:
    similarities = np.asarray(similarities)
    if similarities.ndim != 2 or 0 in similarities.shape:
        raise InputError(
            f"Similarities of shape {similarities.shape}, expected (n_query_segments, n_track_segments), each above 0."
        )
    n_bad = similarities.size - np.count_nonzero(np.isfinite(similarities))
    if n_bad:
        raise InputError(f"{n_bad} of {similarities.size} similarities are NaN or infinite, expected finite numbers.")
    return similarities


def _checked_starts(side: str, starts_s: np.ndarray, n_segments: int, is_exact: bool = False) -> np.ndarray:
    """Start times in float64: for at least, or exactly, so many segments."""
    starts_s = np.asarray(starts_s, np.float64)
    if starts_s.ndim != 1 or len(starts_s) < n_segments or (is_exact and len(starts_s) > n_segments):
        least = "" if is_exact else "at least "
        raise InputError(f"Start times of the {side} have shape {starts_s.shape}, expected {least}({n_segments},).")
    return starts_s


def _check_passage(start_s: float, end_s: float) -> None:
    if not 0 <= start_s < end_s < math.inf:
        raise InputError(f"The passage {start_s:g}:{end_s:g} s is none, expected 0 <= START < END, both finite.")
