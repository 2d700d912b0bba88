"""Moments: what is compared when a similarity is learned, and which of them never stand on two sides of a split.

A moment is a recording, or the passage of one: who plays it, which work it is of, and which *span*, the same bars by
others. Moments of one span differ in how they are played and in nothing else, so what they differ in is expression.

Split
-----
Two moments of one recording, or of one work, are not independent. They are in one group (connected components), and
groups are dealt to folds: each fold is tested by a student that was trained on the others. A second split puts the
performers apart instead. That nothing stands on two sides is asserted, not assumed, and both sides of every fold have a
hash in the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from mess_core.catalogue.passages import ScoreTimes
from mess_core.errors import InputError
from mess_core.probing.folds import assign_folds, connect_groups
from mess_core.storage.provenance import digest
from mess_core.words import counted

By = Literal["work", "performer"]
WAYS: tuple[By, ...] = get_args(By)
PASSAGE_BEATS = 16.0  # four bars of four: some eight seconds, long enough for tempo and touch to be shaped
FEWEST_OTHERS = 1  # that play the same span


@dataclass(frozen=True, eq=False)
class MomentSet:
    """Row i of everything is one moment.

    ids : unlike each other
    recordings, spans, works : text each
    performers : None where unknown
    vectors : (n, n_layers, dim) float32
    durations_s : (n,) float64
    """

    ids: tuple[str, ...]
    recordings: tuple[str, ...]
    spans: tuple[str, ...]
    works: tuple[str, ...]
    performers: tuple[str | None, ...]
    vectors: np.ndarray
    durations_s: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.ids)
        columns = (self.recordings, self.spans, self.works, self.performers, self.vectors, self.durations_s)
        if len(set(self.ids)) != n or any(len(column) != n for column in columns):
            raise InputError(f"{counted(n, 'moment')}, and columns of {[len(column) for column in columns]}.")
        if not np.isfinite(self.vectors).all():
            raise InputError("A moment has an embedding that is not finite.")

    def __len__(self) -> int:
        return len(self.ids)

    def codes(self, names: Sequence[str | None]) -> np.ndarray:
        """One number for each name, (n,) int; -1 for None."""
        known = {name: code for code, name in enumerate(sorted({name for name in names if name is not None}))}
        return np.array([-1 if name is None else known[name] for name in names], int)

    def groups(self, by: By) -> tuple[str, ...]:
        """What is never on both sides of a split, as a name for each moment.

        Of unknown performers each recording is taken to have its own.
        """
        return connect_groups(self.recordings, self.works if by == "work" else self.performers)


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows that are trained on and rows that are tested, (n_train,) and (n_test,) int, with a hash of each."""

    train: np.ndarray
    test: np.ndarray
    train_sha256: str
    test_sha256: str


def deal(moments: MomentSet, by: By, n_folds: int, seed: int) -> Iterator[Fold]:
    """Deal moments to folds, groups whole; another seed deals anew.

    Raises
    ------
    InputError
        If there are fewer groups than folds, in a sentence that says what there is too little of.
    """
    groups = moments.groups(by)
    n_groups = len(set(groups))
    if n_groups < n_folds:
        one = f"{counted(n_groups, by)} that {'shares' if n_groups == 1 else 'share'} nothing with others"
        raise InputError(
            f"There {'is' if n_groups == 1 else 'are'} {one} here, and {n_folds} are needed to test on what was not "
            "trained on.",
            f"Add recordings of other {by}s.",
        )
    folds = assign_folds(groups, n_folds, seed=seed)
    for number in range(n_folds):
        train, test = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
        require_disjoint(moments, train, test, by)
        yield Fold(train, test, *(digest(moments.ids[row] for row in rows) for rows in (train, test)))


def require_disjoint(moments: MomentSet, train: np.ndarray, test: np.ndarray, by: By) -> None:
    """AssertionError if a recording, or a work (a performer), stands on both sides."""
    for column in (moments.ids, moments.recordings, moments.works if by == "work" else moments.performers):
        shared = {column[row] for row in train} & {column[row] for row in test} - {None}
        if shared:
            raise AssertionError(f"{counted(len(shared), 'name')} on both sides of a split, as {min(map(str, shared))}")


# --- passages ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """Some bars of a score in one recording. name : equal where others play the same"""

    name: str
    recording: str
    start_s: float
    end_s: float


def cut_passages(
    recordings: Sequence[tuple[str, Sequence[ScoreTimes]]],
    beats: float = PASSAGE_BEATS,
    most_tempo_ratio: float = 2.0,
) -> list[Span]:
    """The same bars in every recording that knows their score.

    A score is cut every `beats` beats, counted from 0. A recording takes part in a passage if it knows the score at
    both ends, and plays it within a factor of `most_tempo_ratio` of the median of all: beyond that its alignment is
    wrong, or a repeat was left out. A passage that nobody else plays is no passage.

    Parameters
    ----------
    recordings : sequence of (id, its score times)
    """
    of_score: dict[str, list[tuple[str, ScoreTimes]]] = {}
    for recording, scores in recordings:
        for times in scores:
            of_score.setdefault(times.score, []).append((recording, times))
    spans: list[Span] = []
    for score, players in sorted(of_score.items()):
        last = max(float(times.beats[-1]) for _, times in players)
        first = min(float(times.beats[0]) for _, times in players)
        for begin in np.arange(np.ceil(first / beats), np.floor(last / beats)) * beats:
            found = [
                (recording, times.time_at(begin), times.time_at(begin + beats))
                for recording, times in players
                if np.isfinite(times.time_at(begin)) and np.isfinite(times.time_at(begin + beats))
            ]
            if not found:
                continue
            lengths_s = np.array([end_s - start_s for _, start_s, end_s in found])
            ratio = lengths_s / np.median(lengths_s)
            kept = [
                Span(f"{score} {begin:g}", *each)
                for each, is_near in zip(
                    found, (ratio <= most_tempo_ratio) & (ratio >= 1 / most_tempo_ratio), strict=True
                )
                if is_near
            ]
            if len({span.recording for span in kept}) > FEWEST_OTHERS:
                spans += kept
    return spans


def passage_rows(starts_s: np.ndarray, segment_s: float, start_s: float, end_s: float) -> np.ndarray:
    """The segments of a recording of which at least half lies in a passage; the nearest where none does."""
    overlap = np.minimum(starts_s + segment_s, end_s) - np.maximum(starts_s, start_s)
    rows = np.flatnonzero(overlap >= segment_s / 2)
    return rows if len(rows) else np.array([int(overlap.argmax())])
