"""Extraction: tracks in, track embeddings out, one after the other, in bounded memory.

A thread decodes ahead while the encoder computes. Segments of several tracks share a batch, because the encoder is
fastest on full batches; a segment of another length (a track shorter than five seconds) goes alone, because padding
would change what the encoder hears. What waits between the threads is bounded by segments, so a recording of three
hours takes no more memory than one of three minutes, but for its pooled vectors.

A small network on a processor is given two batches at once, each half of the cores: where all cores share one batch,
each waits for the one that decodes meanwhile (nano and MusiCNN by a fifth to a quarter faster on two cores).

One bad file is a `FailedTrack` in the stream, and so is one at which the encoder fails; the others go on.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mess_core.audio.decode import DecodeFacts, Decoder, check_heard, require_unchanged, segments
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
    """One track done."""

    track: WantedTrack
    embedding: TrackEmbedding
    facts: DecodeFacts


@dataclass(frozen=True)
class FailedTrack:
    """One track that cannot be done, and why."""

    track: WantedTrack
    error: MessError


@dataclass(frozen=True)
class BatchDone:
    """A batch was encoded: the moment to let something urgent go first."""

    n_segments: int


Event = ExtractedTrack | FailedTrack | BatchDone


@dataclass(frozen=True)
class _Segment:
    track: WantedTrack
    start_s: float
    waveform: np.ndarray  # (n_samples,)


@dataclass(frozen=True)
class _Again:
    """All segments of a track that came so far are void: its channels cancel, and it is decoded another way."""

    track: WantedTrack


@dataclass(frozen=True)
class _TrackEnd:
    track: WantedTrack
    facts: DecodeFacts | None
    error: MessError | None


@dataclass(frozen=True)
class _Batch:
    """Segments that are encoded together, and the tracks that are done with them."""

    segments: list[_Segment] = field(default_factory=list)
    ends: list[_TrackEnd] = field(default_factory=list)


_Heard = Sequence[np.ndarray | MessError]  # hidden states of each segment, or why there are none
_Start = Callable[..., Callable[[], _Heard]]  # begins a computation, and returns what waits for it
_Queue = queue.Queue[_Segment | _Again | _TrackEnd | Exception | None]


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
    tracks: Iterable[WantedTrack], encoder: Encoder, *, batch_size: int | None = None
) -> Generator[Event, None, None]:
    """Extract tracks one after the other.

    Parameters
    ----------
    tracks : iterable of WantedTrack
    encoder : Encoder
    batch_size : int or None
        Segments per batch; by default what suits the encoder's device. Halved when memory runs out.

    Yields
    ------
    ExtractedTrack or FailedTrack, one per track in order; BatchDone in between. Closing the iterator early
    stops the decoding thread.
    """
    is_on_cpu = getattr(encoder, "device", "cpu") == "cpu"
    n_at_once = min(encoder.threads_at_once, _n_cores()) if is_on_cpu and encoder.threads_at_once > 1 else 1
    if batch_size is None:
        batch_size = BATCH_SIZE_CPU // n_at_once if is_on_cpu else BATCH_SIZE_GPU
    decoded: _Queue = queue.Queue(maxsize=QUEUE_BATCHES * batch_size)
    is_stopping = threading.Event()
    thread = threading.Thread(
        target=_decode_all, args=(tracks, encoder.info, decoded, is_stopping), name="decode", daemon=True
    )
    thread.start()
    try:
        with _workers(n_at_once) as start:
            yield from _encode_all(decoded, encoder, batch_size, start, n_ahead=n_at_once if n_at_once > 1 else 0)
    finally:
        is_stopping.set()
        while thread.is_alive():  # it may be waiting for room in the queue
            with contextlib.suppress(queue.Empty):
                decoded.get(timeout=0.01)


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
    tracks: Iterable[WantedTrack], info: EncoderInfo, decoded: _Queue, is_stopping: threading.Event
) -> None:
    """The decoding thread: every track's segments, then its end; None, or what went wrong, at the very end."""
    try:
        for track in tracks:
            if is_stopping.is_set():
                return
            _decode(track, info, decoded, is_stopping)
        decoded.put(None)
    except Exception as error:  # from the iterable itself: the caller must see it, not wait for ever
        decoded.put(error)


def _decode(track: WantedTrack, info: EncoderInfo, decoded: _Queue, is_stopping: threading.Event) -> None:
    """One track."""
    facts: DecodeFacts | None = None
    error: MessError | None = None
    try:
        require_unchanged(track.audio, track.sha256)
        signs: tuple[float, ...] | None = None
        while facts is None:
            decoder = Decoder(track.audio, info.sample_rate_hz, hash_samples=True, signs=signs)
            for start, waveform in segments(decoder, info.segment_samples, info.hop_samples, info.min_samples):
                if is_stopping.is_set():
                    return
                decoded.put(_Segment(track, start / info.sample_rate_hz, waveform))
            signs = decoder.facts.signs
            if signs is None:
                facts = decoder.facts
            else:
                decoded.put(_Again(track))
        check_heard(facts, repr(track.title), info.sample_rate_hz)
    except MessError as problem:
        error = problem
    except Exception as problem:  # a defect of ours or of a decoder must not stop the other tracks
        error = AudioError(f"{track.title!r} could not be decoded: {type(problem).__name__}: {problem}.")
    decoded.put(_TrackEnd(track, facts, error))


def _encode_all(decoded: _Queue, encoder: Encoder, batch_size: int, start: _Start, n_ahead: int) -> Iterator[Event]:
    """Batches across tracks; a track is pooled as its segments come out and yielded at its end.

    So many batches are computed while the one before them is waited for.
    """
    poolers: dict[str, TrackPooler] = {}
    raws: dict[str, RawWriter] = {}
    batch = _Batch()  # that is being filled
    begun: deque[tuple[_Batch, Callable[[], _Heard]]] = deque()

    failed: dict[str, MessError] = {}  # tracks at which the encoder failed

    def pool(batch: _Batch, heard: _Heard) -> None:
        for segment, hidden_states in zip(batch.segments, heard, strict=True):
            if isinstance(hidden_states, MessError):
                failed.setdefault(segment.track.track_id, hidden_states)
                continue
            track_id = segment.track.track_id
            poolers.setdefault(track_id, TrackPooler(encoder.info)).add(segment.start_s, hidden_states)
            if segment.track.raw is not None:
                if track_id not in raws:
                    raws[track_id] = RawWriter(segment.track.raw, encoder.info.widths)
                raws[track_id].add(hidden_states)

    def encode_each(segments: Sequence[_Segment]) -> _Heard:
        """The whole batch; where that fails, segment by segment, so that one bad one fails alone."""
        waveforms = np.stack([segment.waveform for segment in segments])
        try:
            return list(encode_in_halves(encoder, waveforms))
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
            return answers

    def forget(track_id: str) -> None:
        poolers.pop(track_id, None)
        failed.pop(track_id, None)
        if (raw := raws.pop(track_id, None)) is not None:
            raw.abandon()
        batch.segments[:] = [segment for segment in batch.segments if segment.track.track_id != track_id]

    def finish(end: _TrackEnd) -> Event:
        pooler, raw = poolers.pop(end.track.track_id, None), raws.pop(end.track.track_id, None)
        error = end.error or failed.pop(end.track.track_id, None)
        if error is not None or pooler is None or end.facts is None:
            if raw is not None:
                raw.abandon()
            return FailedTrack(end.track, error or AudioError(f"{end.track.title!r} holds no audio."))
        if raw is not None:
            raw.close()
        return ExtractedTrack(end.track, pooler.pool(), end.facts)

    def take(n_left: int) -> Iterator[Event]:
        """The oldest batches, until so many are left."""
        while len(begun) > n_left:
            oldest, heard = begun.popleft()
            pool(oldest, heard())
            yield BatchDone(len(oldest.segments))
            yield from map(finish, oldest.ends)

    for item in itertools.chain(iter(decoded.get, None), [None]):
        if isinstance(item, Exception):
            raise item
        waiting = batch.segments
        is_full = len(waiting) == batch_size
        is_other_length = isinstance(item, _Segment) and waiting and len(waiting[0].waveform) != len(item.waveform)
        if waiting and (is_full or is_other_length or item is None):
            begun.append((batch, start(encode_each, batch.segments)))
            batch = _Batch()
            yield from take(n_ahead if item is not None else 0)
        if isinstance(item, _Again):
            yield from take(0)
            forget(item.track.track_id)
        elif isinstance(item, _Segment):
            batch.segments.append(item)
        elif isinstance(item, _TrackEnd):
            batch.ends.append(item)
        if not batch.segments:
            if begun:
                begun[-1][0].ends.extend(batch.ends)  # their last segments are there
            else:
                yield from map(finish, batch.ends)
            batch.ends.clear()
    yield from take(0)


def _is_out_of_memory(error: Exception) -> bool:
    # torch says "out of memory" for every device, but only CUDA has an exception class of its own
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
