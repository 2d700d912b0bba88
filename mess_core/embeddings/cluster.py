"""Extraction on a cluster of Ray: the same tracks in, the same embeddings out, computed by workers on many machines.

    tracks, a few at a time -> worker: decode, resample, encode, pool -> embeddings of tracks, here into the store

A worker is an encoder on a GPU, or on as many cores of a processor as a batch takes here, and runs `extract` itself: a
batch holds segments of one track, so its arrays are those of a run here, bit for bit, on machines of one kind. Beside a
GPU, tasks on the other cores decode for it. What passes through Ray is paths, waveforms where tasks decode, and float16
vectors that are pooled already: raw hidden states never leave their worker.

Nothing is kept on the cluster. Each track is entered here, in one transaction, as soon as it comes; so whatever dies,
a worker, a machine, or this process, costs the tracks that were under way, and the same work goes on with the rest.
Ray (`pip install -r requirements-cluster.txt`) is imported when it is asked for.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mess_core
from mess_core.embeddings.extraction import (
    BatchDone,
    Decoded,
    Event,
    ExtractedTrack,
    FailedTrack,
    TrackEnd,
    WantedTrack,
    choose_device,
    decode_track,
    extract,
    use_all_cores,
)
from mess_core.embeddings.precision import as_certified, device_of, read_certificate
from mess_core.embeddings.together import Together, in_groups
from mess_core.encoders.base import Encoder, EncoderInfo
from mess_core.encoders.registry import load_encoder
from mess_core.errors import (
    ArtefactMismatchError,
    AudioError,
    DataMissingError,
    DependencyMissingError,
    InputError,
    MessError,
    StorageError,
)
from mess_core.installation import how_to_add
from mess_core.storage.paths import Paths
from mess_core.storage.remote import Elsewhere, parse_elsewhere
from mess_core.storage.untrusted import printable
from mess_core.words import counted

LOCAL = "local"  # a cluster of this machine alone, for as long as it is asked
ALLOWED = "MESS_CLUSTERS"  # addresses, by commas, that a process may ask
ANSWER_S = 5.0  # that an address may take
START_S = 300.0  # that all workers may take to begin, their weights read
POLL_S = 1.0
MOST_AT_A_TIME = 64  # tracks that a worker is given
SHARES = 4  # of what is left for each worker, so that all end at nearly the same time
MOST_DEATHS = 3  # of workers, at the same track: it is to blame
SEND_EVERY_S, SEND_TRACKS = 0.5, 8  # what a worker sends together
BLOCK_SEGMENTS = 16  # that a decoding task sends together
BLOCKS_AHEAD = 4  # of one track that wait to be fetched
LOCAL_OBJECTS_BYTES = 2**28  # of shared memory
FOLDER = "mess-ray-"  # then the process that it belongs to


@dataclass(frozen=True)
class ClusterSettings:
    """What is asked of a cluster.

    address : "local", or HOST:PORT of a Ray cluster that this machine belongs to
    read_from : "FOLDER=PLACE", where the workers find the music (`storage.remote`); "" is where it is here
    n_workers : at most; 0 is as many as there is room for
    n_cores : of a processor that a worker takes
    n_decoders : tasks beside each worker that decode for it; None is as many as cores are left beside GPUs
    home : the data folder, where a node has one at this path; else its own
    certificates : what is known of precisions here, by the name of the setting (`precision`)
    """

    address: str = LOCAL
    read_from: str = ""
    n_workers: int = 0
    n_cores: int = 1
    n_decoders: int | None = None
    home: str = ""
    certificates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeFacts:
    """What a worker says of the machine that it is on, and of what it computes with."""

    node: str
    mess: str
    torch: str
    device: str
    fingerprints: tuple[str, ...]


def is_installed() -> bool:
    """Whether Ray is here."""
    return importlib.util.find_spec("ray") is not None


def allow(address: str) -> None:
    """Let this process ask a cluster: whoever named it on the command line meant it."""
    os.environ[ALLOWED] = ",".join([*_allowed(), address])


def require_allowed(address: str) -> None:
    """InputError of a cluster that nobody at this machine has named.

    A job is a row of a data folder, which may be somebody else's; and whoever answers at an address can run programs
    in a process that joins.
    """
    if address != LOCAL and address not in _allowed():
        raise InputError(
            f"The cluster {printable(address[:100])} was not named on this machine.",
            f"Give it on the command line (extract --cluster), or start the app with {ALLOWED} set to it.",
        )


def _allowed() -> list[str]:
    return [each for each in os.environ.get(ALLOWED, "").split(",") if each]


def check_settings(settings: ClusterSettings) -> None:
    """Refuse at once what cannot be meant.

    Raises
    ------
    DependencyMissingError
        If Ray is not installed.
    InputError
        If an address cannot be one, or does not answer.
    """
    parse_elsewhere(settings.read_from)
    if not is_installed():
        raise DependencyMissingError("Ray is not installed, on which clusters run.", how_to_add("cluster"))
    if settings.address == LOCAL:
        return
    host, _, port = settings.address.rpartition(":")
    if "://" in settings.address or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(
            f"{settings.address[:100]!r} is no address of a cluster.",
            f"Expected HOST:PORT of its head, from a machine that belongs to it, or {LOCAL!r}.",
        )
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
    except OSError as error:
        raise _no_answer(settings.address, error) from error


def check_nodes(found: Sequence[NodeFacts], infos: Sequence[EncoderInfo]) -> None:
    """Refuse a cluster whose machines would not compute the same.

    Raises
    ------
    ArtefactMismatchError
        If one runs another version of MESS, of torch, or of an encoder; it is named.
    """
    cure = "Install the same version on every machine, then start again: nothing was computed."
    expected = tuple(info.fingerprint for info in infos)
    for each in found:
        if each.mess != mess_core.__version__:
            raise ArtefactMismatchError(
                f"The node {each.node} runs MESS {each.mess}, this machine {mess_core.__version__}.", cure
            )
        if each.fingerprints != expected:
            (info, *_) = (i for i, theirs in zip(infos, each.fingerprints, strict=True) if i.fingerprint != theirs)
            raise ArtefactMismatchError(f"The node {each.node} has another version of {info.id} than this one.", cure)
        if _plain(each.torch) != _plain(found[0].torch):
            raise ArtefactMismatchError(
                f"The node {each.node} computes with torch {each.torch}, {found[0].node} with {found[0].torch}.", cure
            )


def _plain(version: str) -> str:
    """Without the kind of device that it was built for."""
    return version.partition("+")[0]


def _no_answer(address: str, error: Exception) -> InputError:
    why = printable(str(error)).splitlines()[0][:200].rstrip(".") or type(error).__name__
    return InputError(
        f"No cluster answers at {address}: {why}.",
        f"Start one with `ray start --head`, with the same token here if it asks for one, or use --cluster {LOCAL}.",
    )


# --- the machine that asks ------------------------------------------------------------------------------------


def extract_on_cluster(
    tracks: Sequence[WantedTrack], infos: Sequence[EncoderInfo], settings: ClusterSettings
) -> Generator[Event, None, None]:
    """As `extract`, of encoders that are asked together (`in_groups`), one event for each group of them.

    Parameters
    ----------
    tracks : sequence of WantedTrack
        Raw hidden states are not kept.
    infos : sequence of EncoderInfo
        Whose weights every machine of the cluster has.

    Yields
    ------
    As `extract`, tracks in any order. Now and then a BatchDone of nothing comes: the moment to see whether to end.

    Raises
    ------
    MessError
        As `check_settings` and `check_nodes`; DataMissingError if a machine has no weights, or the place of the music
        is gone; StorageError if no worker is left.
    """
    check_settings(settings)
    if not tracks:
        return
    with _connected(settings) as ray:
        crew = _Crew(ray, infos, settings)
        try:
            yield from crew.start()
            yield from crew.work_through(tracks)
        finally:
            crew.dismiss()


@contextlib.contextmanager
def _connected(settings: ClusterSettings) -> Iterator[Any]:
    """Ray, while it is connected to; a local one lives as long, and listens to this machine alone."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if settings.address == LOCAL:
        # Ray's own switch for systems whose firewall asks: everything listens on the loopback device, and on no other.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray
    import ray.util.scheduling_strategies

    folder = _new_folder() if settings.address == LOCAL else None
    common = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    try:
        if folder:
            n_cores = max(os.cpu_count() or 1, settings.n_cores * (settings.n_workers or 1))
            n_cores += (settings.n_decoders or 0) * (settings.n_workers or 1)
            ray.init(num_cpus=n_cores, object_store_memory=LOCAL_OBJECTS_BYTES, _temp_dir=folder, **common)
        else:
            del common["include_dashboard"]
            ray.init(address=settings.address, **common)
    except Exception as error:  # what is wrong with a cluster is said in many ways
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        raise _no_answer(settings.address, error) from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Ray says there what died; a document may be on standard output
            yield ray
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> str:
    """Where a local cluster has its sockets, whose names may not be long; those of runs that were killed go."""
    place = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())
    for left in place.glob(f"{FOLDER}*-*"):
        pid = left.name.removeprefix(FOLDER).partition("-")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (ValueError, OSError):  # of somebody else
            continue
    return tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-", dir=place)


class _Place:
    """Where a worker is, or can be: a share of one machine. What it has to do changes.

    worker, answer, results : of Ray; the actor, what it says of itself, and what it sends now
    at_work : the tracks of which not all has come; n_missing : of each of these, how many groups
    """

    def __init__(self, node_id: str, name: str, n_gpus: int, n_decoders: int) -> None:
        self.node_id, self.name, self.n_gpus, self.n_decoders = node_id, name, n_gpus, n_decoders
        self.worker: Any = None
        self.answer: Any = None
        self.results: Any = None
        self.at_work: dict[str, WantedTrack] = {}
        self.n_missing: Counter[str] = Counter()


class _Crew:
    """The workers of a cluster, and what each has to do."""

    def __init__(self, ray: Any, infos: Sequence[EncoderInfo], settings: ClusterSettings) -> None:
        self._ray, self._infos, self._settings = ray, infos, settings
        self._n_groups = len(in_groups(infos))
        self._actor = ray.remote(Worker)
        said = ray.exceptions
        self._lost = (said.RayActorError, said.ObjectLostError, said.WorkerCrashedError, said.OutOfMemoryError)
        self._full = said.OutOfDiskError
        self.places = self._find_places()

    def _find_places(self) -> list[_Place]:
        """One for each GPU; where there is none, one for so many cores."""
        n_cores, places = self._settings.n_cores, []
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        has_gpus = any(node["Resources"].get("GPU", 0) >= 1 for node in nodes)
        for node in nodes:
            n_gpus, n_cpus = (int(node["Resources"].get(kind, 0)) for kind in ("GPU", "CPU"))
            n = n_gpus if has_gpus else n_cpus // (n_cores + (self._settings.n_decoders or 0))
            n_decoders = max(1, n_cpus // max(n, 1) - 1) if has_gpus else 0
            if self._settings.n_decoders is not None:
                n_decoders = self._settings.n_decoders
            name = printable(node["NodeManagerHostname"] or node["NodeManagerAddress"])
            places += [_Place(node["NodeID"], name, int(has_gpus), n_decoders) for _ in range(n)]
        if not places:
            raise InputError(
                f"No machine of the cluster has {counted(n_cores, 'core')} for a worker.",
                "A worker takes as many as a batch takes here: set OMP_NUM_THREADS to fewer.",
            )
        return places[: self._settings.n_workers or None]

    def _begin(self, place: _Place) -> None:
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        place.worker = self._actor.options(
            num_cpus=0 if place.n_gpus else self._settings.n_cores,
            num_gpus=place.n_gpus,
            scheduling_strategy=strategy(place.node_id, soft=False),
        ).remote(place.name, self._settings, bool(place.n_gpus), place.n_decoders)
        place.answer = place.worker.begin.remote([info.id for info in self._infos])

    def start(self) -> Generator[Event, None, None]:
        """Begin all workers, and see that they would compute the same."""
        for place in self.places:
            self._begin(place)
        waiting, until = [place.answer for place in self.places], time.monotonic() + START_S
        while waiting:
            if time.monotonic() > until:
                raise InputError(
                    f"The cluster has no room for {counted(len(waiting), 'worker')} of {len(self.places)}:"
                    f" none began within {START_S:.0f} s.",
                    "Wait for what else runs there, or ask for fewer workers.",
                )
            _, waiting = self._ray.wait(waiting, num_returns=len(waiting), timeout=POLL_S)
            yield BatchDone(0, 0.0)
        check_nodes([self._facts(place) for place in self.places], self._infos)

    def _facts(self, place: _Place) -> NodeFacts:
        try:
            facts: NodeFacts = self._ray.get(place.answer)
        except MessError as error:
            raise _of_node(place.name, error) from error
        except self._ray.exceptions.RayError as error:
            if "No module named 'mess_core" in str(error):
                raise DataMissingError(
                    f"The node {place.name} has no MESS.", "Install the same version on every machine of the cluster."
                ) from error
            why = next((line for line in reversed(str(error).strip().splitlines()) if line.strip()), "")
            raise StorageError(f"The node {place.name} could not begin: {printable(why.strip())[:300]}") from error
        return facts

    def dismiss(self) -> None:
        for place in self.places:
            with contextlib.suppress(Exception):
                self._ray.kill(place.worker)

    def work_through(self, tracks: Sequence[WantedTrack]) -> Generator[Event, None, None]:
        """Hand out tracks until all have come back, whatever dies meanwhile."""
        left, suspects = deque(tracks), deque[WantedTrack]()  # at a suspect a worker has died: each goes alone
        n_deaths: Counter[str] = Counter()
        last_words: MessError | None = None
        while left or suspects or any(place.at_work for place in self.places):
            for place in self.places:
                if place.results is None and (left or suspects):
                    self._hand_out(place, left, suspects)
            if not self.places:
                raise last_words or StorageError(
                    "No worker of the cluster is left.", "What was done is kept; the same command goes on."
                )
            busy = {place.results: place for place in self.places if place.results is not None}
            ready, _ = self._ray.wait(list(busy), num_returns=1, timeout=POLL_S, fetch_local=False)
            if not ready:
                yield BatchDone(0, 0.0)
            for results in ready:
                place = busy[results]
                if place not in self.places:  # its machine was given up a moment ago
                    continue
                try:
                    yield from self._received(place, self._ray.get(next(results)))
                except StopIteration:
                    suspects.extend(place.at_work.values())  # of which it has said nothing: none, if all is well
                    place.results, place.at_work = None, {}
                except (self._full, StorageError) as error:  # nothing more is asked of this machine
                    last_words = _of_node(place.name, _full(error))
                    for track in self._retire(place.node_id):
                        left.appendleft(track)
                except self._lost:
                    for track in place.at_work.values():
                        n_deaths[track.track_id] += 1
                        if n_deaths[track.track_id] < MOST_DEATHS:
                            suspects.append(track)
                            continue
                        message = f"{MOST_DEATHS} workers died while they heard {track.title!r}."
                        for row in range(self._n_groups):
                            yield FailedTrack(track, AudioError(message, "Try it without a cluster."), row)
                    self._replace(place)
                except MessError as error:
                    raise _of_node(place.name, error) from error

    def _hand_out(self, place: _Place, left: deque[WantedTrack], suspects: deque[WantedTrack]) -> None:
        if suspects:
            chunk = [suspects.popleft()]
        else:
            n = math.ceil(len(left) / (SHARES * len(self.places)))
            chunk = [left.popleft() for _ in range(min(n, MOST_AT_A_TIME))]
        place.at_work = {track.track_id: track for track in chunk}
        place.n_missing = Counter({track.track_id: self._n_groups for track in chunk})
        place.results = place.worker.embed.options(num_returns="streaming").remote(chunk)

    def _received(self, place: _Place, events: Sequence[Event]) -> Iterator[Event]:
        for event in events:
            yield event
            if not isinstance(event, BatchDone):
                track_id = event.track.track_id
                place.n_missing[track_id] -= 1
                if not place.n_missing[track_id]:
                    place.at_work.pop(track_id, None)

    def _replace(self, place: _Place) -> None:
        """Another worker in the place of one that died, if its machine still lives."""
        place.at_work, place.results = {}, None
        if any(node["Alive"] and node["NodeID"] == place.node_id for node in self._ray.nodes()):
            self._begin(place)
        else:
            self.places.remove(place)

    def _retire(self, node_id: str) -> list[WantedTrack]:
        """Ask nothing more of a machine; returns what its workers had to do."""
        retired = [place for place in self.places if place.node_id == node_id]
        self.places = [place for place in self.places if place.node_id != node_id]
        for place in retired:
            with contextlib.suppress(Exception):
                self._ray.kill(place.worker)
        return [track for place in retired for track in place.at_work.values()]


def _of_node(name: str, error: MessError) -> MessError:
    """What a worker has raised, without what Ray has wrapped it in; it says on which machine."""
    cause = getattr(error, "cause", error)
    return type(cause)(f"On the node {name}: {cause.message}", cause.hint)


def _full(error: Exception) -> MessError:
    hint = "Free some space there, then start again: what was done is kept."
    return error if isinstance(error, MessError) else StorageError("The disk is full.", hint)


# --- a worker -------------------------------------------------------------------------------------------------


class _Kept(dict[str, str]):
    """Settings of the machine that asks, as its catalogue says them."""

    def setting(self, name: str) -> str | None:
        return self.get(name)


class Worker:
    """One place on a cluster: encoders that are loaded, and tracks that are put through them. An actor of Ray's."""

    def __init__(self, node: str, settings: ClusterSettings, is_on_gpu: bool, n_decoders: int) -> None:
        self._node, self._settings, self._is_on_gpu, self._n_decoders = node, settings, is_on_gpu, n_decoders
        self._elsewhere = parse_elsewhere(settings.read_from)
        self._groups: list[Together] = []
        self._precisions: list[tuple[Mapping[str, Any] | None, ...]] = []

    def begin(self, encoder_ids: Sequence[str]) -> NodeFacts:
        """Load the encoders; says with what it computes. DataMissingError if their weights are not here."""
        import torch

        settings = self._settings
        if not self._is_on_gpu:
            os.environ["OMP_NUM_THREADS"] = str(settings.n_cores)
        use_all_cores()
        if not self._is_on_gpu:
            torch.set_num_threads(settings.n_cores)
        paths = Paths(Path(settings.home)) if settings.home and Path(settings.home).is_dir() else Paths.default()
        kept = _Kept(settings.certificates)
        device = choose_device() if self._is_on_gpu else "cpu"
        loaded = [as_certified(load_encoder(encoder_id, paths, device), kept) for encoder_id in encoder_ids]
        encoders = {encoder.info: encoder for encoder in loaded}
        self._groups = [Together([encoders[info] for info in group]) for group in in_groups(list(encoders))]
        self._precisions = [tuple(_precision(each, kept) for each in group.encoders) for group in self._groups]
        fingerprints = tuple(info.fingerprint for info in encoders)
        return NodeFacts(self._node, mess_core.__version__, torch.__version__, device, fingerprints)

    def embed(self, tracks: Sequence[WantedTrack]) -> Iterator[list[Event]]:
        """Embed tracks, and send what was done now and then."""
        if not self._groups:
            raise InputError("A worker that could not begin was asked to embed.")
        ready: list[Event] = []
        n_segments, encoding_s = Counter[int](), dict.fromkeys(range(len(self._groups)), 0.0)
        n_tracks, sent_s = 0, time.monotonic()
        with contextlib.closing(extract(tracks, *self._groups, decode=self._decoder(tracks))) as events:
            for event in events:
                if isinstance(event, BatchDone):
                    n_segments[event.row] += event.n_segments
                    encoding_s[event.row] += event.encoding_s
                elif isinstance(event, ExtractedTrack):
                    ready.append(replace(event, precisions=self._precisions[event.row]))
                    n_tracks += 1
                else:
                    ready.append(event)
                    n_tracks += 1
                if n_tracks >= SEND_TRACKS or time.monotonic() - sent_s >= SEND_EVERY_S:
                    yield [*(BatchDone(n, encoding_s[row], row) for row, n in n_segments.items()), *ready]
                    ready, n_segments, encoding_s = [], Counter(), dict.fromkeys(encoding_s, 0.0)
                    n_tracks, sent_s = 0, time.monotonic()
        yield [*(BatchDone(n, encoding_s[row], row) for row, n in n_segments.items()), *ready]

    def _decoder(
        self, tracks: Sequence[WantedTrack]
    ) -> Callable[[WantedTrack, Sequence[EncoderInfo]], Iterator[Decoded]]:
        if not self._n_decoders:
            return lambda track, infos: _decode_from(track, infos, self._elsewhere)
        return _DecodingTasks(tracks, self._elsewhere, self._n_decoders).decoded


def _precision(encoder: Encoder, kept: _Kept) -> dict[str, Any] | None:
    """What is kept with embeddings that are computed in less than float32; None where they are not."""
    certificate = read_certificate(encoder.info, device_of(encoder), kept)
    return certificate.figures if certificate and encoder.precision != "float32" else None


def _decode_from(track: WantedTrack, infos: Sequence[EncoderInfo], elsewhere: Elsewhere | None) -> Iterator[Decoded]:
    """Decode a track from where it lies for this machine; that one file is not there is said as of any."""
    if elsewhere is None:
        yield from decode_track(track, infos)
        return
    try:
        with elsewhere.local(track.audio) as path:
            for item in decode_track(replace(track, audio=path), infos):
                yield replace(item, track=track)
    except AudioError as error:
        yield from _failed(track, infos, error)


def _failed(track: WantedTrack, infos: Sequence[EncoderInfo], error: MessError) -> Iterator[Decoded]:
    yield TrackEnd(track, [None] * len(infos), [error] * len(infos))


class _DecodingTasks:
    """Tasks of Ray's that decode the next tracks for one worker, each on a core of its own, while it encodes."""

    def __init__(self, tracks: Sequence[WantedTrack], elsewhere: Elsewhere | None, n_at_once: int) -> None:
        self._left, self._elsewhere, self._n_at_once = deque(tracks), elsewhere, n_at_once
        self._begun: deque[tuple[str, Any]] = deque()

    def decoded(self, track: WantedTrack, infos: Sequence[EncoderInfo]) -> Iterator[Decoded]:
        """What the task of a track sends; tracks are asked for in their order."""
        import ray

        task = ray.remote(_decode_in_blocks).options(
            num_cpus=1, num_returns="streaming", _generator_backpressure_num_objects=BLOCKS_AHEAD
        )
        while self._left and len(self._begun) <= self._n_at_once:
            following = self._left.popleft()
            self._begun.append((following.track_id, task.remote(following, infos, self._elsewhere)))
        _, blocks = self._begun.popleft()
        try:
            for block in blocks:
                yield from ray.get(block)
        except MessError as error:  # without what Ray has wrapped it in
            raise getattr(error, "cause", error) from None


def _decode_in_blocks(
    track: WantedTrack, infos: Sequence[EncoderInfo], elsewhere: Elsewhere | None
) -> Iterator[list[Decoded]]:
    """A task: what is decoded of a track, some segments at a time."""
    block: list[Decoded] = []
    for item in _decode_from(track, infos, elsewhere):
        block.append(item)
        if len(block) == BLOCK_SEGMENTS:
            yield block
            block = []
    yield block
