"""Evaluations: how well search finds what it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mess_core.encoders.hearings import refuse_hearing
from mess_core.encoders.registry import encoder_info
from mess_core.errors import DataMissingError
from mess_core.evaluation.faithfulness import MIN_WORKS, Faithfulness, held_out_similarities, measure_faithfulness
from mess_core.evaluation.kept import Evaluation, Result, What, save_evaluation
from mess_core.evaluation.session_trial import SessionTrial, keep_sessions, try_sessions
from mess_core.evaluation.similarity import SimilarityStudy, evaluate_similarity
from mess_core.evaluation.taste import N_LISTENERS, TasteStudy, measure_taste, own_cases, simulated_cases
from mess_core.probing.discovery import groups_of
from mess_core.probing.probe import OnProgress, no_progress
from mess_core.recommend.embedding import forget_session_map, session_map_path
from mess_core.recommend.gathering import SESSIONS, all_events, events_of, features_of, shelf_of
from mess_core.search.geometry import LayerGeometry
from mess_core.storage.provenance import digest, provenance
from mess_core.targets.registry import VERSIONS
from mess_core.words import counted
from mess_core.work.request import Done, Request, encoder_words, library_words
from mess_core.work.targets import measure_tracks
from mess_core.work.task import Task
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import Workspace

PLAIN = ("log-mel", "MFCC", "chroma")  # embeddings that know nothing: what they find needs no encoder
RIVAL = "log-mel"  # the one that is given the same labels as the encoder
MOST_HELD_OUT = 3000  # tracks whose similarities with all others are held at once


@dataclass(frozen=True)
class EvaluateRequest(Request):
    """Measure whether aspects find what they say, which way of comparing finds what, or what a taste foretells."""

    library: str
    encoder_id: str
    what: What = "faithfulness"

    kind: ClassVar[str] = "evaluate"
    is_milestone: ClassVar[bool] = False
    keys: ClassVar = {"encoder_id": "encoder"}

    def resource(self, workspace: Workspace) -> str:
        return f"evaluate {self.what} {encoder_info(self.encoder_id, workspace.paths).fingerprint}"

    def words(self, workspace: Workspace) -> str:
        by = encoder_words(workspace, self.encoder_id)
        return f"Measuring {MEASURED[self.what]} in {library_words(self.library)} with {by}"

    def brief(self, workspace: Workspace) -> str:
        return BRIEFLY[self.what]

    def run(self, task: Task) -> Done:
        scope = scope_of(task.workspace, self.library, self.encoder_id)
        scope.require_library()
        is_of_targets = self.what != "taste" and scope.discovery() is not None
        if is_of_targets:  # as before probing: figures by two formulas are never mixed
            task.begin_step(0, 2)
            measure_tracks(task, scope.embedded_ids)
            task.begin_step(1, 2)
        content = scope.content

        def on_progress(n_done: int, n_total: int) -> None:
            task.on_pause()
            task.progress(n_done, n_total, DOING[self.what])

        result = EVALUATE[self.what](scope, on_progress)
        made = provenance(audio=digest(track.samples_sha256 or track.sha256 for track in scope.embedded_tracks))
        versions = dict(VERSIONS) if is_of_targets else {}
        evaluation = Evaluation(scope.library, scope.info.id, scope.info.fingerprint, content, result, made, versions)
        save_evaluation(scope, evaluation, self.what)
        return Done(in_words(result))


def in_words(result: Result) -> str:
    """What came out, in a sentence."""
    if isinstance(result, TasteStudy):
        return f"{counted(result.n_listeners, f'{result.listeners} listener')} on {counted(result.n_tracks, 'track')}."
    if isinstance(result, SimilarityStudy):
        where = f"{counted(result.n_tracks, 'track')} of {counted(result.n_groups, 'work')}"
        return f"{counted(len(result.figures), 'figure')} on {where}."
    n_passed = sum(result.passes(aspect) for aspect in result.judged)
    do = "does what it says" if n_passed == 1 else "do what they say"
    return f"{n_passed} of {counted(len(result.judged), 'aspect')} with evidence {do}."


def evaluate_faithfulness(scope: Scope, on_progress: OnProgress = no_progress) -> Faithfulness:
    """Do aspects find what they say? Measured with the settings of the library's discovery."""
    refuse_hearing(scope.info, "judge its aspects")
    discovery = scope.discovery()
    if discovery is None:
        raise DataMissingError(
            f"Nothing was discovered in {scope.library!r} with {scope.info.id} yet, so no aspect can be judged.",
            f"python -m mess_core probe --encoder {scope.info.id}",
        )
    data = scope.gather("work", "track").data
    plain = {name: data.baselines[name] for name in PLAIN if name in data.baselines}
    return measure_faithfulness(
        data,
        discovery.aspects,
        discovery.result.settings,
        {"all layers": data.vectors, **plain},
        {name: vectors for name, vectors in plain.items() if name == RIVAL},
        on_progress=on_progress,
    )


def study_similarity(scope: Scope, on_progress: OnProgress = no_progress) -> SimilarityStudy:
    """Which way of comparing finds what?"""
    workspace = scope.workspace
    tracks = {track.track_id: track for track in scope.tracks}
    embeddings = workspace.store.load(list(tracks), scope.info)
    known = [tracks[track_id] for track_id in embeddings.track_ids]
    planted = workspace.catalogue.planted(scope.library)
    names = sorted({name for truth in planted.values() for name in truth})
    properties = {
        name: np.array([planted.get(track.track_id, {}).get(name, np.nan) for track in known]) for name in names
    }
    works = [work if track.work else None for track, work in zip(known, groups_of(known, "work"), strict=True)]
    extra = {}
    for name, control in scope.controls().items():
        if name in PLAIN and workspace.store.known(control).keys() >= set(embeddings.track_ids):
            vectors = workspace.store.load(list(embeddings.track_ids), control).vectors
            items = LayerGeometry.fit(vectors).items(vectors)
            extra[name] = items @ items.T
    discovery = scope.discovery()
    if discovery is not None and len(known) <= MOST_HELD_OUT:
        data = scope.gather("work", "track").data
        if len(set(data.groups)) >= MIN_WORKS:
            extra["direction"] = held_out_similarities(data, discovery.result.settings)
    performers = [track.performer for track in known]
    return evaluate_similarity(
        embeddings.vectors,
        works,
        performers,
        properties,
        extra,
        info=scope.info,
        instruments=[track.instrument for track in known],
        on_progress=on_progress,
    )


def study_taste(scope: Scope, on_progress: OnProgress = no_progress) -> TasteStudy:
    """Does a taste foretell what will be liked? Of simulated listeners: a history of one's own tells of one person."""
    shelf = shelf_of(scope)
    tracks = scope.workspace.catalogue.tracks_of(shelf.track_ids)
    cases = simulated_cases([tracks[track_id] for track_id in shelf.track_ids], N_LISTENERS, seed=0)
    return measure_taste(shelf, cases, on_progress=on_progress)


def study_own_taste(scope: Scope, listener: str) -> TasteStudy:
    """Would it have foretold what somebody liked? Of one's own history; of one person, so without an interval."""
    return measure_taste(shelf_of(scope), own_cases(events_of(scope, listener)))


def learn_from_sessions(scope: Scope) -> SessionTrial:
    """Learn what is heard together, try it on the last week, and keep it if it is better than not having learned."""
    shelf = shelf_of(scope)
    if any(name == SESSIONS for name, _ in shelf.hearings):  # from what was heard, not from what was learned before
        forget_session_map(session_map_path(scope.workspace.paths, scope.library, scope.info))
        shelf = shelf_of(scope)
    trial = try_sessions(shelf, all_events(scope), features_of(scope, shelf.track_ids))
    keep_sessions(scope, trial)
    return trial


EVALUATE: dict[What, Callable[[Scope, OnProgress], Result]] = {
    "faithfulness": evaluate_faithfulness,
    "similarity": study_similarity,
    "taste": study_taste,
}
DOING: dict[What, str] = {
    "faithfulness": "searching by every aspect, its work left out",
    "similarity": "comparing ways to compare",
    "taste": "replaying listeners",
}
MEASURED: dict[What, str] = {
    "faithfulness": "what aspects find",
    "similarity": "which way of comparing finds what",
    "taste": "what a taste foretells",
}
BRIEFLY: dict[What, str] = {
    "faithfulness": "trying the aspects",
    "similarity": "trying the layers",
    "taste": "trying recommendations",
}
