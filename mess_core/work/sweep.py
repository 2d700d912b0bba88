"""A sweep: the same library probed in several ways, one after the other; what is there is not done again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mess_core.errors import InputError, MessError
from mess_core.probing.discovery import Group, in_words, path_of
from mess_core.probing.result import Level, ProbeSettings, check_settings
from mess_core.probing.runs import Run
from mess_core.probing.uncertainty import MIN_GROUPS
from mess_core.storage.jobs import Job
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import Request
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import Workspace

MOST_RUNS = 1000
THERE, DONE, FAILED = "was there", "done", "failed"


@dataclass(frozen=True)
class SweepPlan:
    """Every combination of these; `settings` is what they have in common.

    penalties : each a grid of alphas, of which one alone is taken as it is
    """

    library: str
    encoders: tuple[str, ...]
    groups: tuple[Group, ...] = ("work",)
    levels: tuple[Level, ...] = ("track",)
    penalties: tuple[tuple[float, ...], ...] = (ProbeSettings.alphas,)
    folds: tuple[int, ...] = (ProbeSettings.n_folds,)
    seeds: tuple[int, ...] = (ProbeSettings.seed,)
    settings: ProbeSettings = field(default_factory=ProbeSettings)

    def requests(self) -> list[ProbeRequest]:
        """One for each run, in the order of the axes.

        Raises
        ------
        InputError
            If there are none, too many, or settings that cannot be used.
        """
        requests = []
        for encoder, group, level in itertools.product(self.encoders, self.groups, self.levels):
            for alphas, n_folds, seed in itertools.product(self.penalties, self.folds, self.seeds):
                settings = replace(self.settings, alphas=alphas, n_folds=n_folds, seed=seed)
                check_settings(settings)
                requests.append(ProbeRequest(self.library, encoder, group, level, settings))
        requests = list(dict.fromkeys(requests))  # said twice is meant once
        if not 0 < len(requests) <= MOST_RUNS:
            raise InputError(
                f"The sweep has {len(requests):,} runs, expected 1 to {MOST_RUNS:,}.", "Leave out an axis."
            )
        return requests


@dataclass(frozen=True, eq=False)
class Swept:
    """One run of a sweep. state : "was there", "done" or "failed"; why : it failed; run : None then"""

    request: ProbeRequest
    state: str
    seconds: float = 0.0
    why: str = ""
    run: Run | None = None

    def as_row(self) -> dict[str, Any]:
        """As `sweep --json` prints it: a row of `runs --json`, and how it went."""
        settings, asked = self.request.settings, self.request
        row: dict[str, Any] = {
            "run": None, "library": asked.library, "encoder": asked.encoder_id, "group": asked.group,
            "level": asked.level, "settings": ", ".join(in_words(settings)),
        }  # fmt: skip
        if self.run is not None:
            row = self.run.as_row()
        alpha = settings.alphas[0] if len(settings.alphas) == 1 else None
        facts = {"alpha": alpha, "n_folds": settings.n_folds, "seed": settings.seed}
        return {**row, **facts, "state": self.state, "seconds": self.seconds, "why": self.why}


def sweep(workspace: Workspace, plan: SweepPlan, do: Callable[[Workspace, Request], Job]) -> Iterator[Swept]:
    """Do what is missing; yields each run as it is there. One that fails is named and passed over.

    Parameters
    ----------
    do : callable (workspace, request) -> Job
        Does a job to its end.
    """
    for request in plan.requests():
        scope = scope_of(workspace, plan.library, request.encoder_id)
        started_s = time.monotonic()
        try:
            if (run := _kept(scope, request, only_whole=True)) is not None:
                yield Swept(request, THERE, run=run)
                continue
            job = do(workspace, request)
            run = _kept(scope, request) if job.state == "done" else None
            why = "" if run is not None else f"{job.message or job.state} {job.hint}".strip()
        except MessError as error:
            run, why = None, str(error)
        yield Swept(request, FAILED if run is None else DONE, time.monotonic() - started_s, why, run)


def _kept(scope: Scope, request: ProbeRequest, *, only_whole: bool = False) -> Run | None:
    """The run that a request asks for; with `only_whole` none that should be made again."""
    found = scope.discovery(request.group, request.level, request.settings)
    if found is None:
        return None
    if only_whole:
        is_done = found.result.has_null or not request.settings.n_permutations
        lacks_intervals = found.result.n_groups >= MIN_GROUPS and not found.result.has_intervals
        if not is_done or (lacks_intervals and request.settings.n_bootstraps):
            return None
        if scope.why_again(found):
            return None
    path = path_of(scope.workspace.paths, scope.library, scope.info, request.group, request.level, request.settings)
    return Run(found.run_id, path, found)
