"""Extraction: tracks in, track embeddings out, one after the other, in bounded memory.

A thread decodes ahead while the encoder computes. A batch holds segments of one track: linear algebra rounds otherwise
in another batch (MusiCNN hears a segment alone otherwise in the sixth digit than beside a second one), so the arrays of
a track would else depend on what was heard beside it, and a library in parts would not be what it is in one. For the
same reason batches are as large on every processor. A segment of another length (a track shorter than five seconds) is
never padded, because that would change what the encoder hears. What waits between the threads is bounded by segments,
so a recording of three hours takes no more memory than one of three minutes, but for its pooled vectors.

A small network on a processor is given two batches at once, each half of the cores: where all cores share one batch,
each waits for the one that decodes meanwhile (nano and MusiCNN by a fifth to a quarter faster on two cores).

Encoders that cut music differently, or hear it at other rates, can share the decoding: a file is decoded once for all
of them, and each has batches of its own.

One bad file is a `FailedTrack` in the stream, and so is one at which the encoder fails; the others go on.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.audio.decode import (
    Cutting,
    DecodeFacts,
    Decoder,
    check_heard,
    require_unchanged,
    segments_at_each_rate,
)
from mess_core.embeddings.hidden_states import RawWriter
from mess_core.embeddings.store import TrackEmbedding, TrackPooler
from mess_core.encoders.base import Encoder, EncoderInfo
from mess_core.errors import AudioError, InputError, MessError

BATCH_SIZE_CPU = 4  # as fast as 8 with nano and MERT-95M on two cores, and half the memory; of all batches together
BATCH_SIZE_GPU = 32
QUEUE_BATCHES = 2  # decoded ahead of the encoder


@dataclass(frozen=True)
class WantedTrack:
    """A track to extract: its identity, its audio file, and where to keep raw hidden states, if at all."""

    track_id: str
    title: str
    audio: Path
    raw: Path | None = None
    sha256: str = ""  # of the bytes that the audio file should have; "": whatever they are


@dataclass(frozen=True)
class ExtractedTrack:
    """One track done by an encoder.

    row : of the encoder, among those that share the decoding
    precisions : of each encoder that was asked as one (`Together`), where another machine did it; see `Certificate`
    """

    track: WantedTrack
    embedding: TrackEmbedding
    facts: DecodeFacts
    row: int = 0
    precisions: tuple[Mapping[str, Any] | None, ...] = ()


@dataclass(frozen=True)
class FailedTrack:
    """One track that cannot be done by an encoder, and why."""

    track: WantedTrack
    error: MessError
    row: int = 0


@dataclass(frozen=True)
class BatchDone:
    """A batch was encoded: the moment to let something urgent go first.

    encoding_s : how long the encoder took; with others beside it, longer than alone
    """

    n_segments: int
    encoding_s: float
    row: int = 0


Event = ExtractedTrack | FailedTrack | BatchDone


@dataclass(frozen=True)
class _Segment:
    track: WantedTrack
    row: int  # of the encoder that it was cut for
    start_s: float
    waveform: np.ndarray  # (n_samples,)


@dataclass(frozen=True)
class _Again:
    """All segments of a track that came so far are void: its channels cancel, and it is decoded another way."""

    track: WantedTrack


@dataclass(frozen=True)
class TrackEnd:
    """facts, errors : as each encoder hears it"""

    track: WantedTrack
    facts: Sequence[DecodeFacts | None]
    errors: Sequence[MessError | None]


Decoded = _Segment | _Again | TrackEnd
Decode = Callable[[WantedTrack, Sequence[EncoderInfo]], Iterator[Decoded]]
_Heard = Sequence[np.ndarray | MessError]  # hidden states of each segment, or why there are none
_Answer = tuple[_Heard, float]  # with the seconds it took
_Start = Callable[..., Callable[[], _Answer]]  # begins a computation, and returns what waits for it
_Queue = queue.Queue[Decoded | Exception | None]


def choose_device() -> str:
    """The fastest device there is: cuda, mps or cpu."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def use_all_cores() -> None:
    """Set the number of compute threads once, before torch is first used in a process that extracts.

    Where OMP_NUM_THREADS is set, it says how many.
    """
    # A thread that waits spins, by default for long, on the core that the decoding thread needs; one that sleeps at
    # once is slow to wake for the many small steps of a small network. A little spinning was measured to be fastest.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    import torch

    if "OMP_NUM_THREADS" not in os.environ:  # torch goes by it
        torch.set_num_threads(os.cpu_count() or 1)


def extract(
    tracks: Iterable[WantedTrack],
    encoder: Encoder,
    *others: Encoder,
    batch_size: int | None = None,
    decode: Decode | None = None,
) -> Generator[Event, None, None]:
    """Extract tracks one after the other.

    Parameters
    ----------
    tracks : iterable of WantedTrack
    encoder : Encoder
    others : Encoder
        Which hear each track in the same decoding of its file. Raw hidden states are kept of one encoder at a time.
    batch_size : int or None
        Segments of a track per batch; by default what suits the encoder's device. Halved when memory runs out.
    decode : callable or None
        Where tracks are decoded elsewhere, instead of `decode_track`; what it raises ends the extraction.

    Yields
    ------
    ExtractedTrack or FailedTrack, one per encoder for each track in order; BatchDone in between. Closing the iterator
    early stops the decoding thread.
    """
    encoders = (encoder, *others)
    is_on_cpu = getattr(encoder, "device", "cpu") == "cpu"
    n_at_once = batches_at_once(encoders, _n_cores()) if is_on_cpu else 1
    usual = [max(1, BATCH_SIZE_CPU // each.threads_at_once) if is_on_cpu else BATCH_SIZE_GPU for each in encoders]
    sizes = usual if batch_size is None else [batch_size] * len(encoders)
    decoded: _Queue = queue.Queue(maxsize=QUEUE_BATCHES * max(sizes))
    is_stopping = threading.Event()
    infos = [each.info for each in encoders]
    thread = threading.Thread(
        target=_decode_all, args=(tracks, infos, decoded, is_stopping, decode), name="decode", daemon=True
    )
    thread.start()
    try:
        with _workers(n_at_once) as start:
            yield from _encode_all(decoded, encoders, sizes, start, n_ahead=n_at_once if n_at_once > 1 else 0)
    finally:
        is_stopping.set()
        while thread.is_alive():  # it may be waiting for room in the queue
            with contextlib.suppress(queue.Empty):
                decoded.get(timeout=0.01)


def batches_at_once(encoders: Sequence[Encoder], n_cores: int) -> int:
    """How many batches are computed side by side on a processor of so many cores, each on its share of them."""
    return min(n_cores, *(each.threads_at_once for each in encoders))


def cores_per_batch(encoders: Sequence[Encoder]) -> int:
    """How many cores of this machine compute a batch of these encoders; all of them where nothing is known of these."""
    n_cores = _n_cores()
    return n_cores // batches_at_once(encoders, n_cores) if encoders else n_cores


def _n_cores() -> int:
    """That torch computes with here."""
    import torch

    return torch.get_num_threads()


@contextlib.contextmanager
def _workers(n: int) -> Iterator[_Start]:
    """Threads that share the cores of this one between them; with one alone, work is done when it is asked for."""
    if n == 1:
        yield lambda work, *arguments: functools.partial(work, *arguments)
        return
    import torch

    n_cores, are_ready = _n_cores(), threading.Barrier(n + 1)

    def begin() -> None:
        torch.get_num_threads()  # torch sets the number at a thread's first question, and it would do so later
        torch.set_num_threads(n_cores // n)
        are_ready.wait()

    with ThreadPoolExecutor(n, "encode", initializer=begin) as pool:
        try:
            for _ in range(n):
                pool.submit(int)
            are_ready.wait()
            torch.set_num_threads(n_cores)  # what the workers said of themselves would count for threads begun later
            yield lambda work, *arguments: pool.submit(work, *arguments).result
        finally:
            pool.shutdown(cancel_futures=True)


def encode_in_halves(encoder: Encoder, waveforms: np.ndarray) -> np.ndarray:
    """`encoder.encode`, in ever smaller parts where the whole does not fit into memory."""
    try:
        return encoder.encode(waveforms)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error) or len(waveforms) == 1:
            raise
    middle = len(waveforms) // 2
    parts = (encode_in_halves(encoder, part) for part in (waveforms[:middle], waveforms[middle:]))
    return np.concatenate(list(parts))


def _decode_all(
    tracks: Iterable[WantedTrack],
    infos: Sequence[EncoderInfo],
    decoded: _Queue,
    is_stopping: threading.Event,
    decode: Decode | None,
) -> None:
    """The decoding thread: every track's segments, then its end; None, or what went wrong, at the very end."""
    try:
        for track in tracks:
            for item in (decode or decode_track)(track, infos):
                if is_stopping.is_set():
                    return
                decoded.put(item)
        decoded.put(None)
    except Exception as error:  # from the iterable itself: the caller must see it, not wait for ever
        decoded.put(error)


def decode_track(track: WantedTrack, infos: Sequence[EncoderInfo]) -> Iterator[Decoded]:
    """One track, for each encoder in its own rate and segments; a file that is none is said at its end."""
    facts: Sequence[DecodeFacts | None] = [None] * len(infos)
    errors: list[MessError | None] = [None] * len(infos)
    rate_hz, *also_hz = (info.sample_rate_hz for info in infos)
    try:
        require_unchanged(track.audio, track.sha256)
        signs: tuple[float, ...] | None = None
        while facts[0] is None:
            decoder = Decoder(track.audio, rate_hz, also_hz=also_hz, hash_samples=True, signs=signs)
            cuttings = [Cutting(info.segment_samples, info.hop_samples, info.min_samples) for info in infos]
            for row, start, waveform in segments_at_each_rate(decoder, cuttings):
                yield _Segment(track, row, start / infos[row].sample_rate_hz, waveform)
            signs = decoder.facts.signs
            if signs is None:
                facts = decoder.facts_at_each_rate
            else:
                yield _Again(track)
    except MessError as problem:
        errors = [problem] * len(infos)
    except Exception as problem:  # a defect of ours or of a decoder must not stop the other tracks
        error = AudioError(f"{track.title!r} could not be decoded: {type(problem).__name__}: {problem}.")
        errors = [error] * len(infos)
    for row, (info, found) in enumerate(zip(infos, facts, strict=True)):
        if found is not None:
            try:
                check_heard(found, repr(track.title), info.sample_rate_hz)
            except AudioError as problem:
                errors[row] = problem
    yield TrackEnd(track, facts, errors)


def _encode_all(
    decoded: _Queue, encoders: Sequence[Encoder], batch_sizes: Sequence[int], start: _Start, n_ahead: int
) -> Iterator[Event]:
    """Batches of each track; it is pooled as its segments come out and yielded when all of them are.

    So many batches are computed while the one before them is waited for.
    """
    poolers: dict[tuple[str, int], TrackPooler] = {}  # by track and row of the encoder, as what follows
    failed: dict[tuple[str, int], MessError] = {}  # at which the encoder failed
    raws: dict[str, RawWriter] = {}
    batches: list[list[_Segment]] = [[] for _ in encoders]  # that are being filled
    begun: deque[tuple[int, list[_Segment], Callable[[], _Answer]]] = deque()
    n_left: Counter[str] = Counter()  # segments of a track that are not pooled yet
    ends: deque[TrackEnd] = deque()  # of tracks that are decoded

    def pool(row: int, segments: Sequence[_Segment], heard: _Heard) -> None:
        for segment, hidden_states in zip(segments, heard, strict=True):
            track_id = segment.track.track_id
            n_left[track_id] -= 1
            if isinstance(hidden_states, MessError):
                failed.setdefault((track_id, row), hidden_states)
                continue
            if (track_id, row) not in poolers:
                poolers[track_id, row] = TrackPooler(encoders[row].info)
            poolers[track_id, row].add(segment.start_s, hidden_states)
            if segment.track.raw is not None:
                if track_id not in raws:
                    raws[track_id] = RawWriter(segment.track.raw, encoders[row].info.widths)
                raws[track_id].add(hidden_states)

    def encode_each(encoder: Encoder, segments: Sequence[_Segment]) -> _Answer:
        """The whole batch; where that fails, segment by segment, so that one bad one fails alone."""
        began = time.monotonic()
        waveforms = np.stack([segment.waveform for segment in segments])
        try:
            return list(encode_in_halves(encoder, waveforms)), time.monotonic() - began
        except Exception:
            answers: list[np.ndarray | MessError] = []
            for segment, waveform in zip(segments, waveforms, strict=True):
                try:
                    answers.append(encoder.encode(waveform[None])[0])
                except MessError as error:
                    answers.append(error)
                except Exception as error:
                    message = f"{encoder.info.id} failed at {segment.track.title!r}: {type(error).__name__}: {error}."
                    answers.append(InputError(message))
            return answers, time.monotonic() - began

    def forget(track_id: str) -> None:
        for row, segments in enumerate(batches):
            poolers.pop((track_id, row), None)
            failed.pop((track_id, row), None)
            segments[:] = [segment for segment in segments if segment.track.track_id != track_id]
        n_left.pop(track_id, None)
        if (raw := raws.pop(track_id, None)) is not None:
            raw.abandon()

    def finish(end: TrackEnd) -> Iterator[Event]:
        track_id = end.track.track_id
        n_left.pop(track_id, None)
        raw = raws.pop(track_id, None)
        for row, (facts, error) in enumerate(zip(end.facts, end.errors, strict=True)):
            pooler, error = poolers.pop((track_id, row), None), error or failed.pop((track_id, row), None)
            if error is not None or pooler is None or facts is None:
                if raw is not None:
                    raw.abandon()
                yield FailedTrack(end.track, error or AudioError(f"{end.track.title!r} holds no audio."), row)
                continue
            if raw is not None:
                raw.close()
            yield ExtractedTrack(end.track, pooler.pool(), facts, row)

    def finished() -> Iterator[Event]:
        """The tracks that are done, in the order in which they were decoded."""
        while ends and not n_left[ends[0].track.track_id]:
            yield from finish(ends.popleft())

    def take(n_left_over: int) -> Iterator[Event]:
        """The oldest batches, until so many are left."""
        while len(begun) > n_left_over:
            row, segments, answer = begun.popleft()
            heard, encoding_s = answer()
            pool(row, segments, heard)
            yield BatchDone(len(segments), encoding_s, row)
            yield from finished()

    for item in itertools.chain(iter(decoded.get, None), [None]):
        if isinstance(item, Exception):
            raise item
        for row, waiting in enumerate(batches):
            is_full = len(waiting) == batch_sizes[row]
            is_other_length = (
                isinstance(item, _Segment)
                and item.row == row
                and bool(waiting)
                and len(waiting[0].waveform) != len(item.waveform)
            )
            if waiting and (is_full or is_other_length or isinstance(item, TrackEnd | None)):
                batches[row] = []
                begun.append((row, waiting, start(encode_each, encoders[row], waiting)))
                yield from take(n_ahead)
        if isinstance(item, _Again):
            yield from take(0)
            forget(item.track.track_id)
        elif isinstance(item, _Segment):
            batches[item.row].append(item)
            n_left[item.track.track_id] += 1
        elif isinstance(item, TrackEnd):
            ends.append(item)
            yield from finished()
    yield from take(0)


def _is_out_of_memory(error: Exception) -> bool:
    # torch says "out of memory" for every device, but only CUDA has an exception class of its own
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
