"""What each kind of job does. A worker process and the command line run the same functions.

demo      make the demo library, register it, ask for its extraction
add       register what lies in a folder: a collection, or audio files
extract   embed what is missing in a library, one commit per track
encode    embed one track that somebody waits for
targets   measure what is not measured in a library, on all cores, one commit per track
measure   measure one track that somebody waits for
probe     discovery: what of the targets each layer of an encoder tells
evaluate  how well search finds what it is asked for
map       draw a library as each layer sees it
download  fetch an encoder's weights
fetch     download a published collection, and register it
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mess_core.catalogue.catalogue import NewTrack, Track
from mess_core.collections.download import download_collection
from mess_core.collections.opening import read_track
from mess_core.collections.published import AUTO
from mess_core.collections.published import collection as collection_of
from mess_core.config import HEARTBEAT_S
from mess_core.embeddings.extraction import BatchDone, ExtractedTrack, FailedTrack, Source, choose_device, extract
from mess_core.encoders.base import Encoder, EncoderInfo
from mess_core.encoders.registry import encoder_info, load_encoder
from mess_core.encoders.weights import download
from mess_core.errors import (
    AudioError,
    DataMissingError,
    InputError,
    LeaseLostError,
    MessError,
    UnknownTrackError,
    of_item,
)
from mess_core.evaluation.faithfulness import MIN_WORKS, Faithfulness, held_out_similarities, measure_faithfulness
from mess_core.evaluation.kept import Evaluation, save_evaluation
from mess_core.evaluation.similarity import SimilarityStudy, evaluate_similarity
from mess_core.maps.drawing import make_map
from mess_core.maps.settings import MapSettings
from mess_core.parallel import work_through
from mess_core.probing.discovery import groups_of, path_of, save
from mess_core.probing.result import ProbeSettings
from mess_core.storage.jobs import Failure, Job
from mess_core.targets.measurements import measure_track
from mess_core.words import counted
from mess_core.workspace.scan import scan
from mess_core.workspace.workspace import DEMO, Workspace, count_segments

if TYPE_CHECKING:
    from mess_core.collections.demo import DemoTrack

log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 0.3  # often enough for a bar that moves, seldom enough to cost nothing
CANCEL_POLL_S = 0.5
STEP_PARTS = 1000  # of a step, so that steps count alike in the bar
SPEED_EVERY_S = 5.0  # how often the speed of an encoder is noted while it runs: estimates go by it
MOST_HELD_OUT = 3000  # tracks whose similarities with all others are held at once


class Cancelled(Exception):
    """Somebody asked for this job to end; what is done stays."""


class Stopping(Exception):
    """This process is asked to end; the job goes back to the queue."""


@dataclass
class Task:
    """A claimed job while it is worked on: says how far it is, and notices when it must end.

    Parameters
    ----------
    encoders : dict
        Loaded encoders by fingerprint, shared by the tasks of one process.
    is_stopping : threading.Event
        Set when the process should end.
    on_pause : callable
        Called between batches: the moment to do something urgent first.
    """

    workspace: Workspace
    job: Job
    owner: str
    encoders: dict[str, Encoder] = field(default_factory=dict)
    is_stopping: threading.Event = field(default_factory=threading.Event)
    on_pause: Callable[[], None] = lambda: None
    _is_cancelled: threading.Event = field(default_factory=threading.Event)
    _is_lost: threading.Event = field(default_factory=threading.Event)
    _last_progress: float = 0.0
    _step: tuple[int, int] = (0, 1)  # which step of the job this is, of how many

    def run(self) -> Job:
        """Do the job to its end, whatever that is; returns its final row."""
        is_over = threading.Event()
        heart = threading.Thread(target=self._beat, args=(is_over,), name="heartbeat", daemon=True)
        heart.start()
        jobs, job_id = self.workspace.jobs, self.job.job_id
        try:
            message = _doing(self.job.kind)(self)
            jobs.finish(job_id, self.owner, "done", message)
        except Cancelled:
            jobs.finish(job_id, self.owner, "cancelled")
        except Stopping:
            jobs.release(job_id, self.owner)
        except LeaseLostError:
            log.info("job %d was taken over by another worker", job_id)  # which says how it ends
        except MessError as error:
            jobs.finish(job_id, self.owner, "failed", error.message, error.hint)
        except Exception as error:
            log.exception("job %d (%s) failed", job_id, self.job.kind)
            message = f"A defect in MESS stopped this job: {type(error).__name__}: {error}."
            jobs.finish(job_id, self.owner, "failed", message, "Please report it; nothing that was done is lost.")
        finally:
            is_over.set()
            heart.join()
        return jobs.get(job_id)

    def check(self) -> None:
        """Raise if the job must end now."""
        if self._is_lost.is_set():
            raise LeaseLostError(f"Job {self.job.job_id} was taken over by another worker.")
        if self._is_cancelled.is_set():
            raise Cancelled
        if self.is_stopping.is_set():
            raise Stopping

    def progress(self, n_done: int, n_total: int, message: str) -> None:
        """Tell everybody how far it is, a few times per second at most; raises if the job must end."""
        self.check()
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_EVERY_S or n_done == n_total:
            self._last_progress = now
            step, n_steps = self._step
            if n_steps > 1:
                share = step + (n_done / n_total if n_total else 0.0)
                n_done, n_total = round(STEP_PARTS * share), STEP_PARTS * n_steps
                message = f"step {step + 1} of {n_steps}: {message}"
            self.workspace.jobs.progress(self.job.job_id, self.owner, n_done=n_done, n_total=n_total, message=message)

    def begin_step(self, step: int, n_steps: int) -> None:
        """From now on `progress` is that of one step, counted from 0; the bar is that of the whole job."""
        self._step = (step, n_steps)

    def guard(self, connection: sqlite3.Connection) -> None:
        """Inside a transaction: refuse the write if the job has another owner by now."""
        self.workspace.jobs.guard(connection, self.job.job_id, self.owner)

    def guard_unless_cancelled(self, connection: sqlite3.Connection) -> None:
        """As `guard`, and refuse once an end was asked for: a library that is being removed must not come back."""
        if self.workspace.jobs.guard(connection, self.job.job_id, self.owner)["is_cancelling"]:
            raise Cancelled

    def fail_item(self, subject: str, error: MessError) -> None:
        self.workspace.jobs.fail_item(self.job.job_id, self.owner, Failure(subject, error.message, error.hint))

    def encoder(self, encoder_id: str) -> Encoder:
        """A loaded encoder; at most two stay in memory, one for the library and one for queries."""
        fingerprint = encoder_info(encoder_id, self.workspace.paths).fingerprint
        if fingerprint not in self.encoders:
            while len(self.encoders) >= 2:
                self.encoders.pop(next(iter(self.encoders)))
            self.encoders[fingerprint] = load_encoder(encoder_id, self.workspace.paths, choose_device())
        return self.encoders[fingerprint]

    def _beat(self, is_over: threading.Event) -> None:
        """The heartbeat thread: renews the lease, and looks often whether an end was asked for."""
        last = time.monotonic()
        while not is_over.wait(CANCEL_POLL_S):
            try:
                if self.workspace.jobs.get(self.job.job_id).is_cancelling:
                    self._is_cancelled.set()
                if time.monotonic() - last >= HEARTBEAT_S:
                    self.workspace.jobs.heartbeat(self.job.job_id, self.owner)
                    last = time.monotonic()
            except LeaseLostError:
                self._is_lost.set()
                break
            except MessError as error:  # the disk may be full for a moment; the lease still has time
                log.warning("heartbeat: %s", error)
        self.workspace.database.close()


# --- the kinds ----------------------------------------------------------------------------------------------


def _demo(task: Task) -> str:
    from mess_core.collections.demo import make_demo  # scipy's signal package: half a second that only this job needs

    workspace = task.workspace

    def on_track(n_done: int, n_total: int, title: str) -> None:
        task.progress(n_done, n_total, title)

    tracks = make_demo(workspace.paths.demo, on_track=on_track)
    workspace.add(
        workspace.paths.demo, (_demo_track(track) for track in tracks), DEMO, guard=task.guard_unless_cancelled
    )
    encoder_id = task.job.arguments["then_extract"]
    if encoder_id:
        workspace.request_extract(DEMO, encoder_id, then_discover=True)
    return f"{counted(len(tracks), 'performance')} made."


def _demo_track(demo: DemoTrack) -> NewTrack:
    track = read_track(demo.audio, demo.title).track
    facts = {"work": demo.work, "composer": demo.composer, "performer": demo.performer, "instrument": demo.instrument}
    return NewTrack(
        Track(**{**vars(track), **facts}), demo.audio, {"midi": demo.midi, "score": demo.score}, demo.planted
    )


def _add(task: Task) -> str:
    arguments = task.job.arguments
    library, then_extract = arguments["library"], arguments["then_extract"]

    def on_progress(n_done: int, n_total: int, name: str) -> None:
        task.on_pause()
        task.progress(n_done, n_total, name)

    scanned = scan(
        task.workspace,
        Path(arguments["path"]),
        library,
        arguments.get("collection", AUTO),
        renders=arguments.get("renders", False),
        on_progress=on_progress,
        on_refused=task.fail_item,
        guard=task.guard_unless_cancelled,
    )
    if then_extract and scanned.n_new + scanned.n_known:
        task.workspace.request_extract(library, then_extract, then_discover=True)
    return scanned.summary


def _extract(task: Task) -> str:
    workspace, arguments = task.workspace, task.job.arguments
    workspace.catalogue.require_library(arguments["library"])
    info = encoder_info(arguments["encoder"], workspace.paths)
    tracks = workspace.missing_tracks(arguments["library"], info)
    missing = {track.track_id for track in tracks}
    kept = [track for track in workspace.catalogue.tracks(arguments["library"]) if track.track_id not in missing]
    message = _extract_tracks(task, tracks, arguments["encoder"], keep_raw=arguments["keep_raw"], kept=kept)
    # Asked by what is there, not by what was just done: a job that was interrupted here asks again when it resumes.
    library = arguments["library"]
    if (
        arguments["then_discover"]
        and workspace.can_discover(library, info)
        and workspace.discovery(library, info) is None
    ):
        workspace.request_targets(library, then_probe=info.id)
    return message


def _encode(task: Task) -> str:
    try:
        track = task.workspace.catalogue.track(task.job.arguments["track_id"])
    except UnknownTrackError as error:  # removed while it waited
        raise Cancelled from error
    message = _extract_tracks(task, [track], task.job.arguments["encoder"])
    for failure in task.workspace.jobs.failures(task.job.job_id):  # the only track there is: the job itself has failed
        raise AudioError(failure.message, failure.hint)
    return message


def _extract_tracks(
    task: Task, tracks: list[Track], encoder_id: str, *, keep_raw: bool = False, kept: Sequence[Track] = ()
) -> str:
    """Embed tracks: segments counted for the bar, one commit per track, a failure named and passed over.

    `kept` are embedded already and count as done: a bar that was cancelled goes on where it stood.
    """
    if not tracks:
        return "Nothing to do: every track is embedded."
    workspace = task.workspace
    if not kept:
        task.progress(0, 1, f"loading {encoder_id}")
    encoder = task.encoder(encoder_id)
    info = encoder.info
    n_before = sum(count_segments(track.duration_s, info) for track in kept)
    n_total = n_before + sum(count_segments(track.duration_s, info) for track in tracks)
    n_segments = n_tracks = n_gone = 0
    started = noted = time.monotonic()
    paused_s = 0.0

    def note_speed() -> None:
        workspace.store.set_speed(info, (time.monotonic() - started - paused_s) / n_segments)

    def sources() -> Iterator[Source]:
        for track in tracks:
            if workspace.store.has(track.track_id, info):  # an urgent job may have done it meanwhile
                continue
            raw = workspace.store.raw_path(track.track_id, info) if keep_raw else None
            audio = workspace.catalogue.likely_audio_path(track.track_id)
            yield Source(track.track_id, track.title, audio, raw, track.sha256)

    with closing(extract(sources(), encoder)) as events:
        for event in events:
            if isinstance(event, BatchDone):
                n_segments += event.n_segments
                before = time.monotonic()
                task.on_pause()
                paused_s += time.monotonic() - before
                if before - noted > SPEED_EVERY_S:
                    noted = before
                    note_speed()
            elif isinstance(event, ExtractedTrack):
                try:
                    _commit(task, event, encoder)
                    n_tracks += 1
                except UnknownTrackError:
                    n_gone += 1
            elif isinstance(event, FailedTrack):
                if workspace.catalogue.has(event.source.track_id):
                    task.fail_item(event.source.title, event.error)
                else:
                    n_gone += 1
            so_far = f"{len(kept) + n_tracks} of {counted(len(kept) + len(tracks), 'track')}"
            task.progress(min(n_before + n_segments, n_total), n_total, so_far)
    if n_segments:
        note_speed()
    return f"{n_tracks} of {counted(len(tracks), 'track')} embedded with {info.title}.{_gone(n_gone)}"


def _gone(n_tracks: int) -> str:
    """Said of what somebody removed, or whose file changed, while it was worked on: that is no failure."""
    return f" {n_tracks} {'was' if n_tracks == 1 else 'were'} removed meanwhile." if n_tracks else ""


def _commit(task: Task, done: ExtractedTrack, encoder: Encoder) -> None:
    facts = done.facts

    def guard(connection: sqlite3.Connection) -> None:
        task.guard(connection)
        connection.execute(
            "UPDATE tracks SET loudness_lufs = ?, duration_s = ?, is_truncated = ?, samples_sha256 = ?,"
            " sounding_s = ?, downmix = ? WHERE track_id = ?",
            (
                facts.loudness_lufs,
                facts.duration_s,
                facts.is_truncated,
                facts.samples_sha256,
                json.dumps(facts.sounding_s),
                facts.downmix,
                done.source.track_id,
            ),
        )

    task.workspace.store.write(done.source.track_id, encoder.info, done.embedding, guard)


def _targets(task: Task) -> str:
    library = task.job.arguments["library"]
    task.workspace.catalogue.require_library(library)
    message = _measure(task, task.workspace.catalogue.track_ids(library))
    encoder_id = task.job.arguments["then_probe"]
    if encoder_id:
        task.workspace.request_probe(library, encoder_id, then_evaluate=True)
    return message


def _measure_one(task: Task) -> str:
    return _measure(task, [task.job.arguments["track_id"]])


def _measure(task: Task, track_ids: Sequence[str]) -> str:
    """Measure tracks in several processes; a failure is named and passed over."""
    workspace = task.workspace
    todo = workspace.measurements.missing(track_ids)
    if not todo:
        return "Nothing to do: every track is measured."
    n_failed = n_gone = 0
    task.progress(0, len(todo), "starting")
    with closing(work_through(measure_track, todo)) as outcomes:
        for n_done, (files, measured) in enumerate(outcomes, start=1):
            if not workspace.catalogue.has(files.track_id):
                n_gone += 1
            elif isinstance(measured, Exception):  # whatever is in one file, the others are measured
                log.info("measuring %s failed", files.track_id, exc_info=measured)
                n_failed += 1
                task.fail_item(workspace.catalogue.track(files.track_id).title, of_item(measured))
            else:
                try:
                    workspace.measurements.write(files, measured, task.guard)
                except UnknownTrackError:  # in this very moment
                    n_gone += 1
            task.on_pause()
            task.progress(n_done, len(todo), f"{n_done} of {counted(len(todo), 'track')} measured")
    return f"{len(todo) - n_failed - n_gone} of {counted(len(todo), 'track')} measured.{_gone(n_gone)}"


def _probe(task: Task) -> str:
    from mess_core.probing.probe import add_null, fit_cells

    workspace, arguments = task.workspace, task.job.arguments
    library, group, level = arguments["library"], arguments["group"], arguments["level"]
    workspace.catalogue.require_library(library)
    info = encoder_info(arguments["encoder"], workspace.paths)
    known = workspace.store.known(info)
    tracks = [track for track in workspace.catalogue.tracks(library) if track.track_id in known]
    controls = workspace.controls_worth_extracting(info)
    n_steps = len(controls) + 4  # measuring, the controls, all layers, the baselines, chance
    task.begin_step(0, n_steps)
    _measure(task, [track.track_id for track in tracks])
    for step, control in enumerate(controls, start=1):
        task.begin_step(step, n_steps)
        done = workspace.store.known(control)
        _extract_tracks(task, [track for track in tracks if track.track_id not in done], control.id)
    plain = arguments["settings"]
    lists = {"alphas": tuple(plain["alphas"]), "columns": tuple(plain.get("columns", ()))}
    settings = ProbeSettings(**{**plain, **lists})
    gathered = workspace.gather(library, info, group, level, settings.columns)

    def on_progress(stage: str) -> Callable[[int, int], None]:
        def report(n_done: int, n_total: int) -> None:
            task.on_pause()
            task.progress(n_done, n_total, stage)

        return report

    if not path_of(workspace.paths, library, info, group, level, settings).exists():
        # R² alone takes half a second: it can be looked at while intervals, baselines and chance are worked out.
        task.begin_step(n_steps - 3, n_steps)
        bare = replace(gathered.data, baselines={}, identities={})
        quick = fit_cells(bare, replace(settings, n_bootstraps=0), on_progress("fitting every layer"))
        save(workspace.paths, info, gathered, replace(quick, settings=settings), library, group)
    task.begin_step(n_steps - 2, n_steps)
    result = fit_cells(gathered.data, settings, on_progress("fitting every layer and baseline"))
    save(workspace.paths, info, gathered, result, library, group)  # what is known so far can be looked at meanwhile
    if settings.n_permutations:
        task.begin_step(n_steps - 1, n_steps)
        result = add_null(result, gathered.data, on_progress("how often chance does as well"))
        save(workspace.paths, info, gathered, result, library, group)
    if arguments["then_evaluate"] and level == "track":
        workspace.request_evaluate(library, info.id, "faithfulness")
        workspace.request_evaluate(library, info.id, "similarity")
        workspace.request_map(library, info.id)
    n_encoded = len({cell.target for cell in result.cells if cell.encodes})
    of_all = f"{n_encoded} of {counted(len(result.targets), 'target')}"
    return f"{info.title} encodes {of_all} on {counted(gathered.n_tracks, 'track')}."


def _evaluate(task: Task) -> str:
    library, what = task.job.arguments["library"], task.job.arguments["what"]
    workspace, info = task.workspace, encoder_info(task.job.arguments["encoder"], task.workspace.paths)
    workspace.catalogue.require_library(library)
    content = workspace.index_content(library, info)
    result: Faithfulness | SimilarityStudy
    if what == "faithfulness":
        result, message = _faithfulness(task, library, info)
    else:
        result, message = _similarity(task, library, info)
    save_evaluation(workspace.paths, info, Evaluation(library, info.id, info.fingerprint, content, result), what)
    return message


def _faithfulness(task: Task, library: str, info: EncoderInfo) -> tuple[Faithfulness, str]:
    """Do aspects find what they say? Measured with the settings of the library's discovery."""
    workspace = task.workspace
    discovery = workspace.discovery(library, info)
    if discovery is None:
        raise DataMissingError(
            f"Nothing was discovered in {library!r} with {info.id} yet, so no aspect can be judged.",
            f"python -m mess_core probe --encoder {info.id}",
        )
    data = workspace.gather(library, info, "work", "track").data
    references = {"all layers": data.vectors}
    references |= {name: data.baselines[name] for name in ("log-mel",) if name in data.baselines}

    def on_progress(n_done: int, n_total: int) -> None:
        task.on_pause()
        task.progress(n_done, n_total, "searching by every aspect, its work left out")

    result = measure_faithfulness(
        data, discovery.aspects, discovery.result.settings, references, on_progress=on_progress
    )
    n_passed = sum(result.passes(aspect) for aspect in result.judged)
    do = "does what it says" if n_passed == 1 else "do what they say"
    return result, f"{n_passed} of {counted(len(result.judged), 'aspect')} with evidence {do}."


def _similarity(task: Task, library: str, info: EncoderInfo) -> tuple[SimilarityStudy, str]:
    """Which way of comparing finds what?"""
    workspace = task.workspace
    tracks = {track.track_id: track for track in workspace.catalogue.tracks(library)}
    embeddings = workspace.store.load(list(tracks), info)
    known = [tracks[track_id] for track_id in embeddings.track_ids]
    planted = workspace.catalogue.planted(library)
    names = sorted({name for truth in planted.values() for name in truth})
    properties = {
        name: np.array([planted.get(track.track_id, {}).get(name, np.nan) for track in known]) for name in names
    }
    works = [work if track.work else None for track, work in zip(known, groups_of(known, "work"), strict=True)]
    extra = {}
    discovery = workspace.discovery(library, info)
    if discovery is not None and len(known) <= MOST_HELD_OUT:
        data = workspace.gather(library, info, "work", "track").data
        if len(set(data.groups)) >= MIN_WORKS:
            extra["direction"] = held_out_similarities(data, discovery.result.settings)

    def on_progress(n_done: int, n_total: int) -> None:
        task.on_pause()
        task.progress(n_done, n_total, "comparing ways to compare")

    result = evaluate_similarity(
        embeddings.vectors, works, [track.performer for track in known], properties, extra, on_progress=on_progress
    )
    where = f"{counted(result.n_tracks, 'track')} of {counted(result.n_groups, 'work')}"
    return result, f"{counted(len(result.figures), 'figure')} on {where}."


def _map(task: Task) -> str:
    workspace, arguments = task.workspace, task.job.arguments

    def on_progress(n_done: int, n_total: int, what: str) -> None:
        task.on_pause()
        task.progress(n_done, n_total, what)

    views = make_map(
        workspace,
        arguments["library"],
        encoder_info(arguments["encoder"], workspace.paths),
        MapSettings(**arguments["settings"]),
        arguments["layer"],
        arguments["always"],
        with_stability=arguments["with_stability"],
        on_progress=on_progress,
    )
    low, high = (pick(view.trust.trustworthiness for view in views) for pick in (min, max))
    drawn = f"{counted(len(views[0].track_ids), 'track')} drawn in {counted(len(views), 'view')}"
    return f"{drawn}; trustworthiness {low:.2f} to {high:.2f}."


def _download(task: Task) -> str:
    info = encoder_info(task.job.arguments["encoder"], task.workspace.paths)

    def on_progress(n_done: int, n_total: int) -> None:
        task.progress(n_done, n_total, f"{n_done / 1e6:.0f} of {n_total / 1e6:.0f} MB")

    state = download(info, task.workspace.paths, on_progress=on_progress, should_stop=task.is_stopping.is_set)
    task.check()  # stopped half-way: it goes on from there next time
    return state.message


def _fetch(task: Task) -> str:
    arguments = task.job.arguments
    collection = collection_of(arguments["collection"])

    def on_progress(n_done: int, n_total: int) -> None:
        task.progress(n_done, n_total, f"{n_done / 1e6:,.0f} of {n_total / 1e6:,.0f} MB")

    which, folder = collection.downloads[arguments["number"]], Path(arguments["folder"])
    path = download_collection(
        collection, which, folder, on_progress=on_progress, should_stop=task.is_stopping.is_set
    )  # fmt: skip
    task.check()  # stopped half-way: it goes on from there next time
    if path is None:
        raise Stopping
    if arguments["library"]:
        task.workspace.request_add(path, arguments["library"], arguments["then_extract"], renders=arguments["renders"])
    return f"{collection.title} is in {path}."


KINDS: dict[str, Callable[[Task], str]] = {
    "demo": _demo,
    "add": _add,
    "extract": _extract,
    "encode": _encode,
    "targets": _targets,
    "measure": _measure_one,
    "probe": _probe,
    "evaluate": _evaluate,
    "map": _map,
    "download": _download,
    "fetch": _fetch,
}


def _doing(kind: str) -> Callable[[Task], str]:
    """What a kind of job does; a newer MESS on the same folder may ask for one that is not known here."""
    if kind not in KINDS:
        raise InputError(f"This MESS does no job of the kind {kind[:40]!r}.", "Use the newer MESS that asked for it.")
    return KINDS[kind]
