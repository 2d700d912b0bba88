"""A course: moments, what teaches them, and what is asked of those that were not taught.

lesson    what a student may see of some rows: targets, candidates, triplets
tasks     what the ranking of a fold's test rows is asked: nDCG@10, recall, the first right one, the piece
asked     which triplets are asked of a fold
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from mess_core.evaluation.retrieval import RetrievalTask, discounted_gain_task, recall_task, reciprocal_rank_task
from mess_core.learning.fields import Fields
from mess_core.learning.moments import By, Fold, MomentSet
from mess_core.learning.segments import SegmentSet
from mess_core.learning.students import Lesson
from mess_core.learning.teachers import (
    N_OTHERS,
    deviations,
    graded_gains,
    kernel_set,
    label_set,
    nearest_share,
    squared_distances,
)
from mess_core.learning.triplets import Triplets

Source = Literal["expression", "works", "performers", "ratings", "judgements"]
K = 10
TRIPLETS, RECALL, MRR, NDCG = "triplet accuracy", f"recall@{K}", f"MRR@{K}", f"nDCG@{K}"
N_TO_RANK = 100  # that a reranker would put in a better order
DEEP_RECALL = f"recall@{N_TO_RANK}"
PIECE = "piece found"  # by the same nearest ten: what is learned of playing need not know it
MEASURED, DURATION, PLAYED = "measured values", "duration", "expression in the notes"


@dataclass(frozen=True, eq=False)
class Course:
    """What is to be learned, and from what.

    profiles : (n, n_scales) of what teaches, ratings or measurements; None where labels or answers do
    triplets : that are tested; trained on, too, where they are judgements
    rivals : name -> embeddings (n, n_layers, dim) by other encoders
    values : name -> (n, n_values): what was measured; compared by distance, in standard deviations
    widths : how many numbers each layer has
    hiding : how much it counts that points do not tell of which work they are; 0: not at all
    segments : of each moment; None where each has one only
    fields : that two moments may be compared by; None where none is usable
    """

    source: Source
    moments: MomentSet
    widths: tuple[int, ...]
    profiles: np.ndarray | None = None
    triplets: Triplets | None = None
    rivals: Mapping[str, np.ndarray] = field(default_factory=dict)
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    hiding: float = 0.0
    segments: SegmentSet | None = None
    fields: Fields | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured; the first decides."""
        retrieval: tuple[str, ...] = (NDCG, RECALL, MRR, DEEP_RECALL)
        if self.profiles is not None:
            retrieval = (*retrieval, PIECE)
        if self.source == "judgements":
            return (TRIPLETS,)
        return (TRIPLETS, *retrieval) if self.source == "ratings" else retrieval

    def lesson(self, rows: np.ndarray, by: By = "work", seed: int = 0) -> Lesson:
        """What a student may see of some rows."""
        moments, rng = self.moments, np.random.default_rng(seed)
        columns = (moments.spans, moments.works, moments.performers, moments.recordings)
        spans, works, performers, recordings = (moments.codes(names)[rows] for names in columns)
        groups = moments.groups(by)
        shown = Lesson(
            moments.vectors[rows],
            self.widths,
            tuple(groups[row] for row in rows),
            targets=self._values_to_read(rows),
            hide=works if self.hiding else None,
            hiding=self.hiding,
            segments=None if self.segments is None else self.segments.of(rows),
            fields=None if self.fields is None else self.fields.of(rows),
        )
        apart = recordings[:, None] != recordings
        match self.source:
            case "expression" | "ratings":
                assert self.profiles is not None
                targets = deviations(self.profiles[rows], spans, np.arange(len(rows)))
                distances = squared_distances(targets)
                same_span = (spans[:, None] == spans) & apart
                candidates = [kernel_set(distances, same_span, rng, N_OTHERS)]
                if self.source == "expression":  # which asks across works, too
                    candidates.append(kernel_set(distances, works[:, None] != works, rng, N_OTHERS))
                return replace(shown, spans=spans, targets=targets, candidates=tuple(candidates))
            case "works":
                return replace(shown, candidates=(label_set(works, apart, rng, N_OTHERS),))
            case "performers":
                of_others = works[:, None] != works
                return replace(shown, candidates=(label_set(performers, of_others & apart, rng, N_OTHERS),))
            case "judgements":
                assert self.triplets is not None
                return replace(shown, triplets=self.triplets.among(rows, len(moments)))

    def _values_to_read(self, rows: np.ndarray) -> np.ndarray | None:
        """What S0'' reads off embeddings where the teacher has no numbers: the measured values; None without any."""
        values = self.values.get(MEASURED)
        if values is None:
            return None
        found: np.ndarray = in_spreads(values, rows)[rows]
        return found

    def asked(self, fold: Fold) -> np.ndarray | None:
        """Which triplets are asked of a fold, (n,) places; None where none are.

        Ratings: those that lie wholly in its test rows. Judgements go across works, so hardly any would: asked are
        those whose anchor is a test row, and trained on are those with no test row in them. So no anchor was heard in
        training, but the two that are compared with it may have been.
        """
        if self.triplets is None or TRIPLETS not in self.metrics:
            return None
        if self.source == "judgements":
            return np.flatnonzero(np.isin(self.triplets.rows[:, 0], fold.test))
        return np.flatnonzero(self.triplets.within(fold.test, len(self.moments)))

    def tasks(self, fold: Fold) -> dict[str, RetrievalTask]:
        """What the ranking of a fold's test rows is asked; the triplets aside, which ask for no ranking."""
        moments, rows = self.moments, fold.test
        works, performers, recordings = (
            moments.codes(names)[rows] for names in (moments.works, moments.performers, moments.recordings)
        )
        same_work = works[:, None] == works
        candidates = recordings[:, None] != recordings
        gained: np.ndarray
        found: dict[str, RetrievalTask] = {}
        if self.profiles is not None:
            spans = moments.codes(moments.spans)
            found[PIECE] = recall_task(same_work, candidates.copy(), K)
            apart = deviations(self.profiles, spans, fold.train)[rows]
            distances = squared_distances(apart)
            candidates &= ~same_work & np.isfinite(distances)  # so that not the piece is recognised
            gained, relevant = graded_gains(distances, candidates), nearest_share(distances, candidates)
        else:
            known = (performers[:, None] >= 0) & (performers >= 0)
            same_performer = known & (performers[:, None] == performers)
            if self.source == "works":
                candidates &= ~(same_work & same_performer)  # another take is neither right nor wrong
                relevant = same_work & candidates
            else:
                candidates &= ~same_work & known
                relevant = same_performer & candidates
            gained = relevant.astype(np.float64)
        return found | {
            NDCG: discounted_gain_task(gained, candidates, K),
            RECALL: recall_task(relevant, candidates, K),
            MRR: reciprocal_rank_task(relevant, candidates, K),
            DEEP_RECALL: recall_task(relevant, candidates, N_TO_RANK),
        }


def in_spreads(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Values (n, n_values) in standard deviations of some rows; NaN becomes the mean of these."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a value that no row has
        mean, spread = np.nanmean(values[rows], axis=0), np.nanstd(values[rows], axis=0)
    standard = (values - mean) / np.where(spread > 0, spread, 1.0)
    found: np.ndarray = np.nan_to_num(standard)
    return found
