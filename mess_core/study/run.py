"""Running a study: row after row, each kept as soon as it is done, so that an interruption costs one epoch.

    plan, data -> rows, what is to be beaten first
    row: points of its encoder, exchanged for its control -> fit -> the 100 best of each tested user -> figures

A row that is there is not run again, unless its data or the points of its items are others now; one that cannot be run
is kept with the reason, and the others go on. Everything a row depends on is in its name or in its document.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mess_core.errors import ArtefactMismatchError, MessError
from mess_core.evaluation.recommendation import N_BOOTSTRAPS, N_HAD, RecommendationFigure, chance_at, measure_lists
from mess_core.recommend.base import Fitted, recommend_items
from mess_core.recommend.checkpoints import digest, forget_checkpoint
from mess_core.recommend.columns import HeldOut
from mess_core.recommend.fitting import Epoch, Keeping
from mess_core.storage.paths import Paths
from mess_core.storage.provenance import provenance
from mess_core.study.data import StudyData, gather, points_of
from mess_core.study.items import ItemPoints, shuffled
from mess_core.study.kept import StudyFacts, StudyRow, Test, kept_row, row_path, save_row, save_study
from mess_core.study.models import make
from mess_core.study.plan import N_KEPT, EncoderPlan, RowPlan, StudyPlan
from mess_core.workspace.workspace import Workspace

LOOKED_AT = 100  # users by whom it is told whether a recommender knows anything
POINTS_AT_ONCE = 2  # encoders whose points are in memory

OnRow = Callable[[int, int, str], object]  # rows done, rows in all, what is done now
OnEpoch = Callable[[RowPlan, Epoch], object]


@dataclass(frozen=True)
class Ran:
    """How a run went. n_run : rows that were made; n_there : that were there; refused : title and reason of each"""

    study: StudyFacts
    n_run: int
    n_there: int
    refused: tuple[tuple[str, MessError], ...]


def run_study(
    plan: StudyPlan, workspace: Workspace, on_row: OnRow | None = None, on_epoch: OnEpoch | None = None
) -> Ran:
    """Run what of a plan is missing.

    Parameters
    ----------
    plan : StudyPlan
    workspace : Workspace
        Where the study is kept, and the libraries are that it names.
    on_row, on_epoch : callable, optional
        Told how far it is; what they raise ends the run, and all that is done stays.

    Raises
    ------
    InputError
        If the data cannot be read, or nobody is tested.
    """
    paths, data = workspace.paths, gather(plan, workspace)
    rows = {row.of(data.content): row for row in plan.rows}
    study = StudyFacts(
        plan=plan,
        n_users=data.train.n_users,
        n_items=data.train.n_items,
        n_train=len(data.train),
        content=data.content,
        tests={
            name: Test(
                split.how, len(split.tested), int(split.is_ranked.sum()), {k: chance_at(split, k) for k in plan.k}
            )
            for name, split in data.tests.items()
        },
        rows=rows,
        notices=data.notices,
        provenance=provenance(data=data.content),
    )
    save_study(paths, study)

    @lru_cache(maxsize=POINTS_AT_ONCE)
    def heard(encoder: EncoderPlan) -> ItemPoints:
        return points_of(plan, encoder, workspace, data.train)

    n_run, refused = 0, list[tuple[str, MessError]]()
    for number, (name, row) in enumerate(rows.items()):
        if on_row is not None:
            on_row(number, len(rows), row.words)
        try:
            items = None if row.encoder is None else heard(row.encoder)
            if _is_there(paths, study, name, items):
                continue
            _run_row(paths, plan, data, name, row, items, on_epoch)
        except MessError as error:
            save_row(paths, plan.name, name, StudyRow(row, {}, 0.0, refused=str(error)), {}, {}, {}, (), ())
            refused.append((row.title, error))
        n_run += 1
    if on_row is not None:
        on_row(len(rows), len(rows), "")
    return Ran(study, n_run, len(rows) - n_run, tuple(refused))


def _is_there(paths: Paths, study: StudyFacts, name: str, items: ItemPoints | None) -> bool:
    row = kept_row(paths, study, name)
    return row is not None and not row.refused and row.points == _points_sha256(items)


def _run_row(
    paths: Paths,
    plan: StudyPlan,
    data: StudyData,
    name: str,
    row: RowPlan,
    items: ItemPoints | None,
    on_epoch: OnEpoch | None,
) -> None:
    heard = items
    if items is not None and row.is_shuffled:
        heard = shuffled(items, row.seed)
    points = None if heard is None else heard.points
    recommender: Any = make(row.model.name, row.model.settings, points, row.seed)
    began = time.perf_counter()
    checkpoint = row_path(paths, plan.name, f"{name}.fit")
    if hasattr(recommender, "learning"):
        tell = None if on_epoch is None else lambda epoch: on_epoch(row, epoch)
        try:
            fitted = recommender.fit(data.train, Keeping(checkpoint, tell=tell))
        except ArtefactMismatchError:  # damaged, or of another version: it is begun anew
            forget_checkpoint(checkpoint)
            fitted = recommender.fit(data.train, Keeping(checkpoint, tell=tell))
    else:
        fitted = recommender.fit(data.train)
    blind = tuple(test for test, split in data.tests.items() if _is_blind(fitted, split))
    lists: dict[str, np.ndarray] = {}
    figures: dict[str, dict[int, tuple[RecommendationFigure, ...]]] = {}
    per_user: dict[str, dict[int, dict[str, np.ndarray]]] = {}
    for test, split in data.tests.items():
        n_ranked = int(split.is_ranked.sum())
        lists[test] = recommend_items(fitted, split.train, split.tested, min(N_KEPT, n_ranked), split.among)
        figures[test], per_user[test] = {}, {}
        for k in plan.k:
            shown = lists[test][:, : min(k, n_ranked)]
            found = measure_lists(
                shown,
                split,
                points=None if items is None else items.points,
                n_bootstraps=0 if row.is_shuffled else N_BOOTSTRAPS,  # of a control only its means are looked at
            )
            n_had = np.diff(split.train.has.indptr)[split.tested].astype(np.float64)
            figures[test][k], per_user[test][k] = found[0], {**found[1], N_HAD: n_had}
    made = StudyRow(
        plan=row,
        figures=figures,
        took_s=time.perf_counter() - began,
        curve=tuple(getattr(fitted, "curve", ())),
        blind=blind,
        points=_points_sha256(items),
        n_heard=None if items is None else int(items.has_audio.sum()),
    )
    users = {test: split.tested for test, split in data.tests.items()}
    save_row(paths, plan.name, name, made, per_user, lists, users, data.train.user_ids, data.train.item_ids)
    forget_checkpoint(checkpoint)


def _is_blind(fitted: Fitted, split: HeldOut) -> bool:
    """Whether all items that are ranked have one score for everybody: their order is then that of the file."""
    scores = np.asarray(fitted.scores(split.tested[:LOOKED_AT]))
    ranked = scores[:, split.is_ranked]
    return bool((ranked == ranked[:, :1]).all())


def _points_sha256(items: ItemPoints | None) -> str:
    return "" if items is None else digest(items.points)
