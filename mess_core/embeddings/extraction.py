"""Extraction: tracks in, track embeddings out, one after the other, in bounded memory.

A thread decodes ahead while the encoder computes. Segments of several tracks share a batch, because the encoder is
fastest on full batches; a segment of another length (a track shorter than five seconds) goes alone, because padding
would change what the encoder hears. What waits between the two threads is bounded by segments, so a recording of
three hours takes no more memory than one of three minutes, but for its pooled vectors.

One bad file is a `FailedTrack` in the stream, and so is one at which the encoder fails; the others go on.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mess_core.audio.decode import DecodeFacts, Decoder, check_heard, require_unchanged, segments
from mess_core.embeddings.hidden_states import RawWriter
from mess_core.embeddings.store import TrackEmbedding, TrackPooler
from mess_core.encoders.base import Encoder, EncoderInfo
from mess_core.errors import AudioError, InputError, MessError

BATCH_SIZE_CPU = 4  # as fast as 8 with nano and MERT-95M on two cores, and half the memory
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
    if batch_size is None:
        batch_size = BATCH_SIZE_CPU if getattr(encoder, "device", "cpu") == "cpu" else BATCH_SIZE_GPU
    decoded: _Queue = queue.Queue(maxsize=QUEUE_BATCHES * batch_size)
    is_stopping = threading.Event()
    thread = threading.Thread(
        target=_decode_all, args=(tracks, encoder.info, decoded, is_stopping), name="decode", daemon=True
    )
    thread.start()
    try:
        yield from _encode_all(decoded, encoder, batch_size)
    finally:
        is_stopping.set()
        while thread.is_alive():  # it may be waiting for room in the queue
            with contextlib.suppress(queue.Empty):
                decoded.get(timeout=0.01)


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


def _encode_all(decoded: _Queue, encoder: Encoder, batch_size: int) -> Iterator[Event]:
    """Batches across tracks; a track is pooled as its segments come out and yielded at its end."""
    poolers: dict[str, TrackPooler] = {}
    raws: dict[str, RawWriter] = {}
    batch: list[_Segment] = []
    ends: list[_TrackEnd] = []  # tracks that are decoded but have segments in the unfinished batch

    failed: dict[str, MessError] = {}  # tracks at which the encoder failed

    def encode_batch() -> None:
        for segment, hidden_states in zip(batch, encode_each(), strict=True):
            if isinstance(hidden_states, MessError):
                failed.setdefault(segment.track.track_id, hidden_states)
                continue
            track_id = segment.track.track_id
            poolers.setdefault(track_id, TrackPooler(encoder.info)).add(segment.start_s, hidden_states)
            if segment.track.raw is not None:
                if track_id not in raws:
                    raws[track_id] = RawWriter(segment.track.raw, encoder.info.widths)
                raws[track_id].add(hidden_states)
        batch.clear()

    def encode_each() -> Sequence[np.ndarray | MessError]:
        """The whole batch; where that fails, segment by segment, so that one bad one fails alone."""
        waveforms = np.stack([segment.waveform for segment in batch])
        try:
            return list(encode_in_halves(encoder, waveforms))
        except Exception:
            answers: list[np.ndarray | MessError] = []
            for segment, waveform in zip(batch, waveforms, strict=True):
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
        batch[:] = [segment for segment in batch if segment.track.track_id != track_id]

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

    for item in itertools.chain(iter(decoded.get, None), [None]):
        if isinstance(item, Exception):
            raise item
        is_full = len(batch) == batch_size
        is_other_length = isinstance(item, _Segment) and batch and len(batch[0].waveform) != len(item.waveform)
        if batch and (is_full or is_other_length or item is None):
            n_segments = len(batch)
            encode_batch()
            yield BatchDone(n_segments)
            yield from map(finish, ends)
            ends.clear()
        if isinstance(item, _Again):
            forget(item.track.track_id)
        elif isinstance(item, _Segment):
            batch.append(item)
        elif isinstance(item, _TrackEnd):
            ends.append(item)
        if not batch:
            yield from map(finish, ends)
            ends.clear()


def _is_out_of_memory(error: Exception) -> bool:
    # torch says "out of memory" for every device, but only CUDA has an exception class of its own
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
