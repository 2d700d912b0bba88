"""Embedding: of a library what is missing, or one track that somebody waits for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mess_core.catalogue.catalogue import Track
from mess_core.cluster.settings import ClusterSettings, require_allowed
from mess_core.embeddings.cluster import extract_on_cluster
from mess_core.embeddings.device import check_batch_size, check_device, check_threads, computing_threads
from mess_core.embeddings.extraction import (
    BatchDone,
    Event,
    ExtractedTrack,
    WantedTrack,
    cores_per_batch,
    extract,
)
from mess_core.embeddings.precision import (
    N_SEGMENTS,
    SETTING,
    certify,
    device_of,
    is_open,
    keep_certificate,
    read_certificate,
    some_segments,
)
from mess_core.embeddings.shards import parse_shard
from mess_core.embeddings.together import Together, in_groups, parted
from mess_core.encoders.base import Encoder, EncoderInfo
from mess_core.encoders.hearings import PREFIX
from mess_core.encoders.registry import DEFAULT, encoder_info
from mess_core.errors import AudioError, DataMissingError, InputError, UnknownTrackError
from mess_core.search.examples import served_first
from mess_core.search.tagged import tag_scope, tagged_library
from mess_core.storage.jobs import PRIORITY_WAITED_FOR, Job
from mess_core.words import counted
from mess_core.work.cluster import ClusterRequest
from mess_core.work.request import Done, Request, encoder_words, library_words, short, track_words
from mess_core.work.task import Cancelled, Task
from mess_core.workspace.scope import Scope, count_segments, scope_of
from mess_core.workspace.workspace import Workspace

NOTHING = "Nothing to do: every track is embedded."
SPEED_EVERY_S = 5.0  # how often the speed of an encoder is noted while it runs: estimates go by it


@dataclass(frozen=True)
class ExtractRequest(ClusterRequest):
    """Embed what is missing in a library, one commit per track.

    keep_raw : also keep the hidden states of all frames; what was embedded without them is embedded again
    shard : "I/N", of the tracks only the I-th of N parts (see `shards`); "" is all of them
    goes_on : discovery follows, if the library is large enough and nothing was discovered yet
    device, batch_size, n_threads : what computes, how many segments at a time, on how many threads; "" and 0 are what
        suits this machine
    """

    library: str
    encoder_id: str
    keep_raw: bool = False
    goes_on: bool = False
    shard: str = ""
    device: str = ""
    batch_size: int = 0
    n_threads: int = 0

    kind: ClassVar[str] = "extract"
    may_go_well_again: ClassVar[bool] = True
    keys: ClassVar = {"encoder_id": "encoder", "goes_on": "then_discover"}
    rare: ClassVar[tuple[str, ...]] = (*ClusterRequest.rare, "shard", "device", "batch_size", "n_threads")

    def begin(self, workspace: Workspace) -> None:
        parse_shard(self.shard)
        if self.cluster and self.keep_raw:
            raise InputError("Raw hidden states never leave their machine.", "Leave out --keep-raw, or --cluster.")
        if self.cluster and (self.device or self.batch_size or self.n_threads):
            cure = "Leave out --device, --batch-size and --threads, or --cluster."
            raise InputError("Workers of a cluster compute on what they find.", cure)
        if self.device:
            check_device(self.device)
        if self.batch_size:
            check_batch_size(self.batch_size)
        if self.n_threads:
            check_threads(self.n_threads)
        super().begin(workspace)

    def resource(self, workspace: Workspace) -> str:
        return f"extract {encoder_info(self.encoder_id, workspace.paths).fingerprint}"

    def words(self, workspace: Workspace) -> str:
        n_tracks = counted(workspace.catalogue.n_tracks(self.library), "track")
        part = f"part {self.shard} of " if self.shard else ""
        by = encoder_words(workspace, self.encoder_id)
        return f"Embedding {part}{library_words(self.library)} ({n_tracks}) with {by}"

    def brief(self, workspace: Workspace) -> str:
        if self.encoder_id == DEFAULT:
            return "embedding"
        by = encoder_words(workspace, self.encoder_id)
        return f"embedding for “{by}”" if self.encoder_id.startswith(PREFIX) else f"embedding with {by}"

    def run(self, task: Task) -> Done:
        if self.device:
            check_device(self.device)  # whoever goes on with it may be another process, without that device
        task.device, task.batch_size = self.device, self.batch_size
        with computing_threads(self.n_threads):
            return self._embed(task)

    def _embed(self, task: Task) -> Done:
        scope = scope_of(task.workspace, self.library, self.encoder_id)
        scope.require_library()
        messages = []
        steps = self._steps(scope)
        for number, (infos, tracks) in enumerate(steps):
            task.begin_step(number, len(steps))
            missing = {track.track_id for track in tracks}
            kept = [track for track in self._asked(scope.tracks) if track.track_id not in missing]
            if tracks and not self.cluster:
                for info in infos:  # by the whole library, so that the machines of all its parts find the same
                    _find_out_precision(task, info.id, scope.tracks, is_begun=bool(kept))
            ids = [info.id for info in infos]
            cluster = self._cluster(task, ids) if self.cluster and tracks else None
            messages.append(embed_tracks(task, tracks, *ids, keep_raw=self.keep_raw, kept=kept, cluster=cluster))
        if {*scope.info.encoders} & {*tag_scope(task.workspace, self.library).info.encoders}:
            task.progress(1, 1, "reading as what they are heard")
            tagged_library(task.workspace, self.library)  # packed: pages that need it do not wait for it
        return Done(" ".join(dict.fromkeys(messages)))

    def _steps(self, scope: Scope) -> list[tuple[tuple[EncoderInfo, ...], list[Track]]]:
        """Which encoders are asked of which tracks, each decoded once for all of them.

        Raw states are kept of one encoder at a time.
        """
        infos = scope.info.encoders
        store = scope.workspace.store
        missing = {info: {t.track_id for t in replace(scope, info=info).missing_tracks} for info in infos}
        if self.keep_raw:
            for info in infos:
                missing[info] |= {t.track_id for t in scope.tracks if not store.raw_path(t.track_id, info).is_file()}
        lacking: dict[tuple[EncoderInfo, ...], list[Track]] = {}
        for track in self._asked(in_order_of_use(scope.tracks, scope.tracks)):
            if by := tuple(info for info in infos if track.track_id in missing[info]):
                lacking.setdefault(by, []).append(track)
        if self.keep_raw:
            return [((info,), tracks) for by, tracks in lacking.items() for info in by] or [(infos, [])]
        return list(lacking.items()) or [(infos, [])]

    def _cluster(self, task: Task, encoder_ids: Sequence[str]) -> ClusterSettings:
        """Workers that take as many cores as a batch takes here, so that they round alike."""
        require_allowed(self.cluster)
        paths = task.workspace.paths
        names = [f"{SETTING} {encoder_info(encoder_id, paths).fingerprint}" for encoder_id in encoder_ids]
        known = {name: text for name in names if (text := task.workspace.database.setting(name)) is not None}
        try:
            n_cores = cores_per_batch([task.encoder(encoder_id) for encoder_id in encoder_ids])
        except DataMissingError:  # the weights are on the cluster alone
            n_cores = cores_per_batch([])
        return ClusterSettings(
            self.cluster, self.read_from, self.n_workers, n_cores, home=str(paths.root), certificates=known
        )

    def _asked(self, tracks: Sequence[Track]) -> list[Track]:
        """Those of its part."""
        shard = parse_shard(self.shard)
        return [track for track in tracks if shard.holds(track.track_id)]

    def _numbers(self, workspace: Workspace) -> tuple[int, int]:
        """How many tracks are embedded, and how many are to be."""
        scope = scope_of(workspace, self.library, self.encoder_id)
        if self.shard:
            return len(self._asked(scope.embedded_tracks)), len(self._asked(scope.tracks))
        return scope.n_embedded, workspace.catalogue.n_tracks(self.library)

    def is_left(self, workspace: Workspace, job: Job) -> bool:
        n_embedded, n_tracks = self._numbers(workspace)
        return n_embedded < n_tracks

    def what_is_kept(self, workspace: Workspace, job: Job) -> str:
        n_embedded, n_asked = self._numbers(workspace)
        n_tracks = counted(n_asked, "track")
        rest = "" if self.is_left(workspace, job) else " Nothing is left to do."
        return f"{n_embedded} of {n_tracks} kept in {short(self.library)}.{rest}"

    def left_s(self, workspace: Workspace, job: Job) -> float | None:
        """By the speed of its encoder here, as its estimate was before it began; of several, by that of each.

        Of several the bar goes by steps, and one in which nothing is left to do is over at once: how fast it goes
        tells nothing.
        """
        if self.cluster:
            return workspace.jobs.left_s(job)
        if self.encoder_id.startswith(PREFIX):
            expected_s = self.expected_s(workspace)
            return None if expected_s is None else workspace.jobs.left_s(job, expected_s)
        if job.n_total <= 1:  # it has not counted its segments
            return workspace.jobs.left_s(job)
        per_segment = workspace.store.speed(encoder_info(self.encoder_id, workspace.paths))
        return None if per_segment is None else workspace.jobs.left_s(job, per_segment * (job.n_total - job.n_done))

    def expected_s(self, workspace: Workspace) -> float | None:
        """By the speed of its encoder here; how fast a cluster is, nobody knows."""
        if self.cluster:
            return None
        seconds = scope_of(workspace, self.library, self.encoder_id).estimate().seconds
        return None if seconds is None else seconds / parse_shard(self.shard).of


@dataclass(frozen=True)
class EncodeRequest(Request):
    """Embed one track that somebody waits for."""

    track_id: str
    encoder_id: str

    kind: ClassVar[str] = "encode"
    priority: ClassVar[int] = PRIORITY_WAITED_FOR  # before everything else
    keys: ClassVar = {"encoder_id": "encoder"}

    def words(self, workspace: Workspace) -> str:
        by = encoder_words(workspace, self.encoder_id)
        return f"Listening to {track_words(workspace, self.track_id)} with {by}"

    def brief(self, workspace: Workspace) -> str:
        return "listening to your recording"

    def run(self, task: Task) -> Done:
        try:
            track = task.workspace.catalogue.track(self.track_id)
        except UnknownTrackError as error:  # removed while it waited
            raise Cancelled from error
        info = encoder_info(self.encoder_id, task.workspace.paths)
        explaining = () if info.explained_by is None else (info.explained_by,)
        missing = [each for each in (*info.encoders, *explaining) if not task.workspace.store.has(self.track_id, each)]
        message = embed_tracks(task, [track], *(info.id for info in dict.fromkeys(missing))) if missing else NOTHING
        for failure in task.workspace.jobs.failures(task.job.job_id):  # the only track there is: the job has failed
            raise AudioError(failure.message, failure.hint)
        return Done(message)


def in_order_of_use(all_tracks: Sequence[Track], tracks: Sequence[Track]) -> list[Track]:
    """Some tracks of a library: first those that its examples need, so that they can be tried before all is done."""
    place = {track_id: number for number, track_id in enumerate(served_first(all_tracks))}
    return sorted(tracks, key=lambda track: place.get(track.track_id, len(place)))


def embed_tracks(
    task: Task,
    tracks: list[Track],
    *encoder_ids: str,
    keep_raw: bool = False,
    kept: Sequence[Track] = (),
    cluster: ClusterSettings | None = None,
) -> str:
    """Embed tracks: segments counted for the bar, one commit per track, a failure named and passed over.

    Several encoders hear each track in one decoding of its file, those that hear the same segments (`in_groups`) as
    one. `kept` are embedded already and count as done: a bar that was cancelled goes on where it stood. A cluster
    computes elsewhere; what it has computed is kept here in the same way.
    """
    if not tracks:
        return NOTHING
    workspace = task.workspace
    if not kept:
        task.progress(0, 1, f"loading {' and '.join(encoder_ids)}")
    encoders: dict[EncoderInfo, Encoder | None]
    if cluster is None:
        encoders = {encoder.info: encoder for encoder in map(task.encoder, encoder_ids)}
    else:
        encoders = {encoder_info(encoder_id, workspace.paths): None for encoder_id in encoder_ids}
    groups = in_groups(list(encoders))
    precisions = {info: _certified(encoder, workspace) for info, encoder in encoders.items() if encoder}
    n_before, n_more = (
        sum(count_segments(track.duration_s, group[0]) for track in some for group in groups) for some in (kept, tracks)
    )
    n_total = n_before + n_more
    n_segments, encoding_s = [0] * len(groups), [0.0] * len(groups)
    n_heard: Counter[str] = Counter()  # by how many of the groups a track was that is not done
    gone: set[str] = set()
    failed: set[str] = set()  # named once, whoever cannot hear it
    n_tracks = 0
    started = noted = time.monotonic()
    paused_s = 0.0

    def note_speed() -> None:
        """The time that all took, decoding included, goes to each by what it took to encode."""
        per_encoding = (time.monotonic() - started - paused_s) / max(sum(encoding_s), 1e-9)
        for group, n, own_s in zip(groups, n_segments, encoding_s, strict=True):
            for info in group if n else ():
                workspace.store.set_speed(info, per_encoding * own_s / n / len(group))

    def wanted() -> Iterator[WantedTrack]:
        for track in tracks:
            raw = workspace.store.raw_path(track.track_id, groups[0][0]) if keep_raw else None
            # an urgent job may have done it meanwhile
            if all(workspace.store.has(track.track_id, info) for info in encoders) and (raw is None or raw.is_file()):
                continue
            audio = workspace.catalogue.likely_audio_path(track.track_id)
            yield WantedTrack(track.track_id, track.title, audio, raw, track.sha256)

    def keep(done: ExtractedTrack) -> None:
        nonlocal n_tracks
        group, track_id = groups[done.row], done.track.track_id
        try:
            certified = done.precisions or [precisions[info] for info in group]
            for info, embedding, precision in zip(group, parted(done.embedding, group), certified, strict=True):
                workspace.store.write(track_id, info, embedding, task.guard, done.facts, precision)
            n_heard[track_id] += 1
            if n_heard[track_id] == len(groups):
                n_tracks += 1
                del n_heard[track_id]
        except UnknownTrackError:
            gone.add(track_id)

    def heard() -> Generator[Event, None, None]:
        if cluster is not None:
            return extract_on_cluster(list(wanted()), list(encoders), cluster)
        loaded = [encoder for encoder in encoders.values() if encoder]
        by = {encoder.info: encoder for encoder in loaded}
        together = (Together([by[info] for info in group]) for group in groups)
        return extract(wanted(), *together, batch_size=task.batch_size or None)

    with closing(heard()) as events:
        for event in events:
            if isinstance(event, BatchDone):
                n_segments[event.row] += event.n_segments
                encoding_s[event.row] += event.encoding_s
                before = time.monotonic()
                task.on_pause()
                paused_s += time.monotonic() - before
                if before - noted > SPEED_EVERY_S and cluster is None:
                    noted = before
                    note_speed()
            elif isinstance(event, ExtractedTrack):
                keep(event)
            elif not workspace.catalogue.has(event.track.track_id):
                gone.add(event.track.track_id)
            elif event.track.track_id not in failed:
                failed.add(event.track.track_id)
                task.fail_item(event.track.title, event.error)
            so_far = f"{len(kept) + n_tracks} of {counted(len(kept) + len(tracks), 'track')}"
            task.progress(min(n_before + sum(n_segments), n_total), n_total, so_far)
    if cluster is None:  # how fast others are says nothing of this machine
        note_speed()
    by = " and ".join(info.title for group in groups for info in group)
    return f"{n_tracks} of {counted(len(tracks), 'track')} embedded with {by}.{removed_meanwhile(len(gone))}"


def _certified(encoder: Encoder, workspace: Workspace) -> dict[str, Any] | None:
    """What is kept with embeddings that are computed in less than float32; None where they are not."""
    certificate = read_certificate(encoder.info, device_of(encoder), workspace.database)
    return certificate.figures if certificate and encoder.precision != "float32" else None


def _find_out_precision(task: Task, encoder_id: str, tracks: Sequence[Track], *, is_begun: bool) -> None:
    """The first time that an encoder hears enough music here: whether bfloat16 says the same.

    is_begun : the bar stands somewhere already, and stays there
    """

    def say(message: str) -> None:
        if is_begun:
            task.check()
        else:
            task.progress(0, 1, message)

    say(f"loading {encoder_id}")
    encoder, workspace = task.encoder(encoder_id), task.workspace
    if not is_open(encoder, workspace.database):
        return
    files = [workspace.catalogue.likely_audio_path(track.track_id) for track in tracks]
    waveforms = some_segments(files, encoder.info)
    if len(waveforms) < N_SEGMENTS:
        return

    def go_on() -> None:
        say("comparing bfloat16 with float32")
        task.on_pause()

    keep_certificate(encoder.info, certify(encoder, waveforms, go_on), workspace.database)


def removed_meanwhile(n_tracks: int) -> str:
    """Said of what somebody removed, or whose file changed, while it was worked on: that is no failure."""
    return f" {n_tracks} {'was' if n_tracks == 1 else 'were'} removed meanwhile." if n_tracks else ""
