"""Discovery: what of the targets each layer of an encoder tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.hearings import refuse_hearing
from mess_core.encoders.registry import encoder_info
from mess_core.errors import InputError
from mess_core.probing.data import UNTRAINED
from mess_core.probing.discovery import Group, check_columns, in_words, path_of, save
from mess_core.probing.result import Level, ProbeSettings, check_settings
from mess_core.search.tagged import heard_words
from mess_core.storage.jobs import Job
from mess_core.targets.own import own_targets
from mess_core.words import counted
from mess_core.work.extract import embed_tracks
from mess_core.work.request import Done, Request, encoder_words, library_words, short
from mess_core.work.targets import measure_tracks
from mess_core.work.task import Task
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import Workspace


def check_probed(scope: Scope, group: Group, level: Level, columns: Sequence[str]) -> None:
    """Refuse what cannot be probed in place of the 22 targets: no column, target of one's own, track feature or word.

    Raises
    ------
    InputError
        If no track has such a column and it is no word, or segments are asked for.
    DataMissingError
        If it is a word, and nothing was heard yet.
    """
    heard = heard_words(scope, columns)
    asked = [column for column in columns if column not in heard]
    check_columns(scope.workspace.catalogue, scope.library, group, level, asked, own_targets(scope.workspace.paths))
    if heard and level != "track":
        raise InputError("As what something is heard is probed of whole tracks.", "Probe it with level track.")


@dataclass(frozen=True)
class ProbeRequest(Request):
    """Measure what is missing, embed what the baselines need, probe.

    goes_on : evaluations and a map follow, where whole tracks were probed
    """

    library: str
    encoder_id: str
    group: Group = "work"
    level: Level = "track"
    settings: ProbeSettings = field(default_factory=ProbeSettings)
    goes_on: bool = False

    kind: ClassVar[str] = "probe"
    keys: ClassVar = {"encoder_id": "encoder", "goes_on": "then_evaluate"}

    @classmethod
    def _read(cls, entries: Mapping[str, Any]) -> dict[str, Any]:
        plain = entries.get("settings", {})
        lists = {name: tuple(plain[name]) for name in ("alphas", "columns", "without") if name in plain}
        return {"settings": ProbeSettings(**{**plain, **lists})}

    def begin(self, workspace: Workspace) -> None:
        check_settings(self.settings)
        check_probed(scope_of(workspace, self.library, self.encoder_id), self.group, self.level, self.settings.columns)

    def resource(self, workspace: Workspace) -> str:
        return f"probe {encoder_info(self.encoder_id, workspace.paths).fingerprint}"

    def words(self, workspace: Workspace) -> str:
        level = ", ".join(["segments" if self.level == "segment" else "tracks", *in_words(self.settings)])
        by = encoder_words(workspace, self.encoder_id)
        return f"Discovery in {library_words(self.library)} ({short(level)}) with {by}"

    def left_s(self, workspace: Workspace, job: Job) -> float | None:
        """By how long it took last: its steps are so unlike that how far it is tells little of what is left."""
        return self.left_by_last_time_s(workspace, job)

    def brief(self, workspace: Workspace) -> str:
        return "layers"

    def run(self, task: Task) -> Done:
        from mess_core.probing.probe import add_null, fit_cells

        workspace, scope = task.workspace, scope_of(task.workspace, self.library, self.encoder_id)
        scope.require_library()
        refuse_hearing(scope.info, "probe it")
        info, tracks, controls = scope.info, scope.embedded_tracks, scope.controls()
        # What takes as long as the encoder itself comes last: R² can be looked at meanwhile.
        twin = None if UNTRAINED in self.settings.without else controls.get(UNTRAINED)
        early = [control for name, control in controls.items() if name != UNTRAINED]
        n_steps = len(early) + (twin is not None) + 4  # measuring, the controls, all layers, the baselines, chance
        task.begin_step(0, n_steps)
        measure_tracks(task, [track.track_id for track in tracks])

        def embed(control: EncoderInfo, step: int) -> None:
            task.begin_step(step, n_steps)
            done = workspace.store.known(control)
            embed_tracks(task, [track for track in tracks if track.track_id not in done], control.id)

        for step, control in enumerate(early, start=1):
            embed(control, step)
        heard = heard_words(scope, self.settings.columns)
        gathered = scope.gather(self.group, self.level, self.settings.columns, heard)

        def on_progress(stage: str) -> Callable[[int, int], None]:
            def report(n_done: int, n_total: int) -> None:
                task.on_pause()
                task.progress(n_done, n_total, stage)

            return report

        if not path_of(workspace.paths, self.library, info, self.group, self.level, self.settings).exists():
            # R² alone takes half a second: it can be looked at while intervals, baselines and chance are worked out.
            task.begin_step(len(early) + 1, n_steps)
            bare = replace(gathered.data, baselines={}, identities={})
            once = replace(self.settings, n_bootstraps=0, n_repeats=1)
            quick = fit_cells(bare, once, on_progress("fitting every layer"))
            save(workspace.paths, info, gathered, replace(quick, settings=self.settings), self.library, self.group)
        if twin is not None:
            embed(twin, len(early) + 2)
            gathered = scope.gather(self.group, self.level, self.settings.columns, heard)
        task.begin_step(n_steps - 2, n_steps)
        result = fit_cells(gathered.data, self.settings, on_progress("fitting every layer and baseline"))
        save(
            workspace.paths, info, gathered, result, self.library, self.group
        )  # what is known so far can be looked at meanwhile
        if self.settings.n_permutations:
            task.begin_step(n_steps - 1, n_steps)
            result = add_null(result, gathered.data, on_progress("how often chance does as well"))
            save(workspace.paths, info, gathered, result, self.library, self.group)
        n_encoded = len({cell.target for cell in result.cells if cell.encodes})
        of_all = f"{n_encoded} of {counted(len(result.targets), 'target')}"
        on = f"on {counted(gathered.n_tracks, 'track')}"
        if result.why_no_word:
            return Done(f"{info.title} was probed {on}; that it encodes anything cannot be said: {result.why_no_word}.")
        return Done(f"{info.title} encodes {of_all} {on}.")
