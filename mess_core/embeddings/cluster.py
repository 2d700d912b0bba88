"""Extraction on a cluster of Ray: the same tracks in, the same embeddings out, computed by workers on many machines.

    tracks, a few at a time -> worker: decode, resample, encode, pool -> embeddings of tracks, here into the store

A worker is an encoder on a GPU, or on as many cores of a processor as a batch takes here, and runs `extract` itself: a
batch holds segments of one track, so its arrays are those of a run here, bit for bit, on machines of one kind. Beside a
GPU, tasks on the other cores decode for it. What passes through Ray is paths, waveforms where tasks decode, and float16
vectors that are pooled already: raw hidden states never leave their worker.

Who has which tracks, and what happens when something dies, is the crew's to know (`mess_core.cluster.crew`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import mess_core
from mess_core.cluster.crew import SEND_EVERY_S, CrewWorker, Trade, work_on_cluster
from mess_core.cluster.nodes import NodeFacts, check_nodes
from mess_core.cluster.settings import ClusterSettings
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
from mess_core.errors import AudioError, InputError, MessError
from mess_core.storage.paths import Paths
from mess_core.storage.remote import Elsewhere, parse_elsewhere

SEND_TRACKS = 8  # that a worker sends together, at most
BLOCK_SEGMENTS = 16  # that a decoding task sends together
BLOCKS_AHEAD = 4  # of one track that wait to be fetched


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
        As `work_on_cluster`; DataMissingError if a machine has no weights, or the place of the music is gone.
    """
    events = work_on_cluster(Embedding(infos), tracks, settings)
    with contextlib.closing(events):
        for event in events:
            yield BatchDone(0, 0.0) if event is None else event


class Embedding(Trade[WantedTrack, Event]):
    """What a crew does that embeds tracks."""

    uses_gpus: ClassVar[bool] = True

    def __init__(self, infos: Sequence[EncoderInfo]) -> None:
        self._infos = infos
        self.n_ends = len(in_groups(infos))

    @property
    def worker(self) -> type[CrewWorker]:
        return Worker

    @property
    def told(self) -> list[str]:
        return [info.id for info in self._infos]

    def check(self, found: Sequence[NodeFacts]) -> None:
        check_nodes(found, {info.id: info.fingerprint for info in self._infos})

    def name(self, item: WantedTrack) -> str:
        return item.track_id

    def ends(self, said: Event) -> str | None:
        return None if isinstance(said, BatchDone) else said.track.track_id

    def given_up(self, item: WantedTrack, n_deaths: int) -> Iterable[Event]:
        error = AudioError(f"{n_deaths} workers died while they heard {item.title!r}.", "Try it without a cluster.")
        return [FailedTrack(item, error, row) for row in range(self.n_ends)]


# --- a worker -------------------------------------------------------------------------------------------------


class _Kept(dict[str, str]):
    """Settings of the machine that asks, as its catalogue says them."""

    def setting(self, name: str) -> str | None:
        return self.get(name)


class Worker(CrewWorker):
    """One place on a cluster: encoders that are loaded, and tracks that are put through them. An actor of Ray's."""

    def __init__(self, node: str, settings: ClusterSettings, is_on_gpu: bool, n_decoders: int) -> None:
        self._node, self._settings, self._is_on_gpu, self._n_decoders = node, settings, is_on_gpu, n_decoders
        self._elsewhere = parse_elsewhere(settings.read_from)
        self._groups: list[Together] = []
        self._precisions: list[tuple[Mapping[str, Any] | None, ...]] = []

    def begin(self, told: Sequence[str]) -> NodeFacts:
        """Load the encoders of these ids. DataMissingError if their weights are not here."""
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
        loaded = [as_certified(load_encoder(encoder_id, paths, device), kept) for encoder_id in told]
        encoders = {encoder.info: encoder for encoder in loaded}
        self._groups = [Together([encoders[info] for info in group]) for group in in_groups(list(encoders))]
        self._precisions = [tuple(_precision(each, kept) for each in group.encoders) for group in self._groups]
        makes = {info.id: info.fingerprint for info in encoders}
        return NodeFacts(self._node, mess_core.__version__, {"torch": torch.__version__}, makes)

    def work(self, items: Sequence[WantedTrack]) -> Iterator[list[Event]]:
        """Embed tracks."""
        if not self._groups:
            raise InputError("A worker that could not begin was asked to embed.")
        ready: list[Event] = []
        n_segments, encoding_s = Counter[int](), dict.fromkeys(range(len(self._groups)), 0.0)
        n_tracks, sent_s = 0, time.monotonic()
        with contextlib.closing(extract(items, *self._groups, decode=self._decoder(items))) as events:
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
