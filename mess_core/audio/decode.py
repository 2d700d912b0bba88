"""From an audio file to mono blocks at one rate, and from blocks to the segments an encoder is given.

    audio file -> blocks (n, n_channels) -> mono -> resampled blocks (n,) -> sounding -> segments (segment_samples,)

Segments are laid over the spans in which the recording sounds (`sounding`): silence is in none of them. Everything
streams: memory does not grow with the length of the file. A file that breaks off, or is damaged on the way,
gives what comes before the damage and is reported as truncated.

Conventions
-----------
A frame is one sample of every channel, a sample is one number. Samples are float32, full scale is 1.

Source
------
soxr for resampling, quality HQ: beyond 16 bits, and a third faster than VHQ.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mess_core.audio.loudness import LoudnessMeter
from mess_core.audio.sounding import EDGE_S, MOST_SHORT_SPANS, Channels, Sounding, mix_to_mono
from mess_core.audio.source import AudioInfo, Source, inspect_audio, open_audio, safe_name, sha256_file
from mess_core.config import EXCERPT_MAX_S, MAX_DURATION_S, MIN_DURATION_S, SHORT_S, SILENCE_PEAK
from mess_core.errors import AudioError, InputError

if TYPE_CHECKING:
    import soxr

__all__ = [
    "AudioInfo",
    "Cutting",
    "DecodeFacts",
    "Decoder",
    "LoudnessMeter",
    "check_heard",
    "inspect_audio",
    "n_segments",
    "read_excerpt",
    "require_unchanged",
    "safe_name",
    "samples_sha256",
    "segments",
    "segments_at_each_rate",
    "sha256_file",
    "spans",
    "wav_bytes",
    "waveform_peaks",
]

BLOCK_SAMPLES = 2**16  # of all channels together: a block and its copies stay in the processor's cache
MAX_SAMPLE = 1e10  # integers stored as float reach 2e9; what is larger still is damage, as NaN is
PLAYER_RATES_HZ = (44_100, 48_000)

_RESAMPLING_QUALITY = "HQ"


@dataclass(frozen=True)
class DecodeFacts:
    """What decoding has found out."""

    duration_s: float  # of what was decoded
    n_samples: int  # at the rate asked for
    loudness_lufs: float | None  # None: silent, shorter than 0.4 s, or not measured
    peak: float  # largest absolute value of the mono samples handed out
    n_bad_samples: int  # NaN, infinite or absurd; replaced by 0
    is_truncated: bool
    channel_peak: float  # largest absolute value of any channel, at the file's own rate
    sounding_s: tuple[tuple[float, float], ...]  # the spans that segments are laid over, seconds; none: silent
    downmix: str  # "mean" | "energy": how channels became one
    signs: tuple[float, ...] | None = None  # where the mean cancelled: what to decode with once more
    samples_sha256: str | None = None  # as `samples_sha256`; None: not asked for

    @property
    def is_silent(self) -> bool:
        return self.channel_peak < SILENCE_PEAK


# --- decoding ---------------------------------------------------------------------------------------------


class Decoder:
    """One pass over a file, or a passage of it, as mono blocks at one rate, or at several.

    Parameters
    ----------
    path : Path
        Of the audio file.
    sample_rate_hz : int
        Rate of the blocks handed out.
    also_hz : sequence of int
        Further rates: the file is decoded once for all of them (`blocks`).
    start_s, length_s : float, seconds
        The passage; a length of None means up to the end.
    measure_loudness : bool
        False saves time where `facts.loudness_lufs` is not wanted.
    hash_samples : bool
        True where `facts.samples_sha256` is wanted.
    signs : tuple of float, optional
        What channels are multiplied by before their mean; see `facts.signs`.

    Raises
    ------
    AudioError
        As `inspect_audio`; while iterating, if nothing at all can be decoded.
    InputError
        If the passage begins beyond the end, or is not a passage.
    """

    def __init__(
        self,
        path: Path,
        sample_rate_hz: int,
        *,
        also_hz: Sequence[int] = (),
        start_s: float = 0.0,
        length_s: float | None = None,
        measure_loudness: bool = True,
        hash_samples: bool = False,
        signs: tuple[float, ...] | None = None,
    ) -> None:
        self.path = Path(path)
        self.sample_rate_hz = sample_rate_hz
        self.rates_hz = (sample_rate_hz, *also_hz)
        self.measure_loudness = measure_loudness
        self.hash_samples = hash_samples
        self.signs = signs
        self.info = inspect_audio(self.path)
        self._start_frame, self._n_frames = _passage_frames(self.info, safe_name(self.path), start_s, length_s)
        self.sounding = Sounding(self.info.sample_rate_hz)
        self._facts: tuple[DecodeFacts, ...] = ()

    @property
    def facts(self) -> DecodeFacts:
        """What decoding has found out; there only after the last block."""
        return self.facts_at_each_rate[0]

    @property
    def facts_at_each_rate(self) -> tuple[DecodeFacts, ...]:
        """The same for each of `rates_hz`: number of samples and peak differ."""
        if not self._facts:
            raise RuntimeError("The facts are known only after the last block.")
        return self._facts

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield blocks, each shape (n,), float32, at `sample_rate_hz`."""
        return (block for row, block in self.blocks() if row == 0)

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield blocks at all rates in turn, each with the row of its rate in `rates_hz`."""
        info = self.info
        meter = LoudnessMeter(info.sample_rate_hz, info.n_channels) if self.measure_loudness else None
        digest = _digest(info) if self.hash_samples else None
        sounding = self.sounding = Sounding(info.sample_rate_hz)
        channels = Channels(info.n_channels)
        n_decoded = n_bad = 0
        n_samples, peaks = [0] * len(self.rates_hz), [0.0] * len(self.rates_hz)
        resamplings = [_Resampling(info.sample_rate_hz, rate_hz) for rate_hz in self.rates_hz]

        def handed_out(row: int, mono: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
            if len(mono):
                n_samples[row] += len(mono)
                peaks[row] = max(peaks[row], _largest(mono))
                yield row, mono[:, 0]

        with open_audio(self.path, info.n_frames) as source:
            for block in _read_blocks(source, self._start_frame, self._n_frames):
                n_decoded += len(block)
                n_bad += _silence_bad_samples(block)
                if digest is not None:
                    digest.update(block.data)
                if meter is not None:
                    meter.add(block)
                sounding.add(block)
                channels.add(block)
                mono = mix_to_mono(block, self.signs)
                for row, resampling in enumerate(resamplings):
                    yield from handed_out(row, resampling.add(mono))
            sounding.finish()
            for row, resampling in enumerate(resamplings):
                yield from handed_out(row, resampling.finish())
            slack_frames = source.slack_frames

        if n_decoded == 0:
            raise AudioError(f"{safe_name(self.path)} is damaged: nothing in it can be decoded.")
        n_promised = min(self._n_frames, info.n_frames - self._start_frame)
        facts = DecodeFacts(
            duration_s=n_decoded / info.sample_rate_hz,
            n_samples=n_samples[0],
            loudness_lufs=None if meter is None else meter.integrated_lufs(),
            peak=peaks[0],
            n_bad_samples=n_bad,
            is_truncated=info.is_truncated or n_decoded + slack_frames < n_promised,
            channel_peak=sounding.peak,
            sounding_s=sounding.kept_s(),
            downmix="mean" if self.signs is None else "energy",
            signs=channels.signs() if self.signs is None else None,
            samples_sha256=None if digest is None else digest.hexdigest(),
        )
        each = zip(n_samples, peaks, strict=True)
        self._facts = tuple(replace(facts, n_samples=n, peak=peak) for n, peak in each)


def check_heard(facts: DecodeFacts, name: str, rate_hz: int) -> None:
    """AudioError if there is nothing to compare in what was decoded, at this rate."""
    if facts.is_silent:
        raise AudioError(
            f"{name} is silent: its loudest sample is at {_dbfs(facts.channel_peak)}, expected at least"
            f" {_dbfs(SILENCE_PEAK)}.",
            "Check the recording; there is nothing to compare.",
        )
    if not facts.sounding_s:
        raise AudioError(f"{name} holds only clicks; MESS needs a sound of at least {MIN_DURATION_S:g} s.")
    if facts.peak < SILENCE_PEAK:
        raise AudioError(f"{name} holds nothing below {rate_hz / 2000:g} kHz, up to which MESS hears.")


def require_unchanged(path: Path, sha256: str) -> None:
    """AudioError if the bytes of a file are not those that its track was made of; "" allows any."""
    if sha256 and sha256_file(path) != sha256:
        raise AudioError(f"{safe_name(path)} has changed since it was added.", "Add its folder again.")


def samples_sha256(path: Path) -> str:
    """Return the SHA-256 of the decoded samples as 64 hex digits: the same whatever the tags, container and block size.

    Hashed are rate, channels, and the samples as float32, little-endian, frame by frame; so WAV and FLAC of the same
    integers agree. What a lossy codec decodes to may differ by its decoder's version.

    Raises
    ------
    AudioError
        As `Decoder`.
    """
    n_frames = 0
    with open_audio(path) as source:
        digest = _digest(source.info)
        for block in _read_blocks(source, 0, round(MAX_DURATION_S * source.info.sample_rate_hz)):
            _silence_bad_samples(block)
            digest.update(block.data)
            n_frames += len(block)
    if n_frames == 0:
        raise AudioError(f"{safe_name(path)} is damaged: nothing in it can be decoded.")
    return digest.hexdigest()


def _digest(info: AudioInfo) -> hashlib._Hash:
    return hashlib.sha256(f"{info.sample_rate_hz} Hz {info.n_channels} channels ".encode())


def read_excerpt(path: Path, start_s: float, length_s: float) -> tuple[np.ndarray, int]:
    """Read a passage for the player.

    Parameters
    ----------
    path : Path
        Of the audio file.
    start_s, length_s : float
        The passage in seconds, at most `EXCERPT_MAX_S` long.
        A passage that begins before the end and goes beyond it is cut there.

    Returns
    -------
    samples : ndarray, shape (n, n_channels), float32
        One or two channels; more than two are mixed to mono.
    sample_rate_hz : int
        The file's own rate; above 48 kHz, 44 100 Hz or 48 kHz.
    """
    if not 0 < length_s <= EXCERPT_MAX_S:
        raise InputError(f"An excerpt of {length_s:g} s was asked for; up to {EXCERPT_MAX_S:g} s can be played.")
    with open_audio(path) as source:
        info = source.info
        start_frame, n_frames = _passage_frames(info, safe_name(path), start_s, length_s)
        rate_hz = info.sample_rate_hz
        if rate_hz > max(PLAYER_RATES_HZ):
            rate_hz = next((rate for rate in PLAYER_RATES_HZ if rate_hz % rate == 0), max(PLAYER_RATES_HZ))

        def playable_blocks() -> Iterator[np.ndarray]:
            for block in _read_blocks(source, start_frame, n_frames):
                _silence_bad_samples(block)
                yield block if info.n_channels <= 2 else mix_to_mono(block)

        resampling = _Resampling(info.sample_rate_hz, rate_hz)
        blocks = [resampling.add(block) for block in playable_blocks()]
        if blocks:
            blocks.append(resampling.finish())
    if not blocks:
        raise AudioError(f"{safe_name(path)} is damaged at {start_s:g} s: nothing can be decoded there.")
    return np.concatenate(blocks), rate_hz


def waveform_peaks(path: Path, n_bins: int) -> np.ndarray:
    """Return the largest absolute value of any channel in `n_bins` equal parts of the file, in one pass.

    Returns
    -------
    ndarray, shape (n_bins,), float32
    """
    if n_bins < 1:
        raise InputError(f"A waveform of {n_bins} parts was asked for; expected at least 1.")
    peaks = np.zeros(n_bins, dtype=np.float32)
    with open_audio(path) as source:
        edges = np.arange(n_bins + 1) * source.info.n_frames // n_bins
        start = 0
        for block in _read_blocks(source, 0, source.info.n_frames):
            _silence_bad_samples(block)
            magnitude = np.abs(block[:, 0])
            for channel in range(1, block.shape[1]):
                np.maximum(magnitude, np.abs(block[:, channel]), out=magnitude)
            magnitude = magnitude[: edges[-1] - start]  # a header may promise less than there is
            if not len(magnitude):
                break
            end = start + len(magnitude)
            first, last = np.searchsorted(edges, [start, end - 1], side="right") - 1
            # with fewer frames than bins a frame belongs to all bins that begin at it
            for row in range(np.searchsorted(edges, edges[first]), last + 1):
                part = magnitude[max(edges[row] - start, 0) : max(edges[row + 1], edges[row] + 1) - start]
                peaks[row] = max(peaks[row], part.max(initial=0.0))
            start = end
    return peaks


def wav_bytes(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """Return a 16-bit PCM WAV file; values beyond full scale are clipped, there is no dither.

    Parameters
    ----------
    samples : ndarray, shape (n, n_channels), float32
        Full scale is 1.
    sample_rate_hz : int
        Goes into the header.
    """
    if samples.ndim != 2:
        raise InputError(f"Samples of shape {samples.shape} were given; expected (n, n_channels).")
    clipped = np.clip(np.nan_to_num(samples), -1.0, 1.0)
    data = np.minimum(np.rint(clipped * 32768.0), 32767).astype("<i2").tobytes()
    n_channels = samples.shape[1]
    frame_bytes = 2 * n_channels
    layout = struct.pack("<HHIIHH", 1, n_channels, sample_rate_hz, sample_rate_hz * frame_bytes, frame_bytes, 16)
    header = struct.pack("<4sI4s4sI16s4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, layout, b"data", len(data))
    return header + data


# --- segments ---------------------------------------------------------------------------------------------


def n_segments(n_samples: int, segment_samples: int, hop_samples: int) -> int:
    """Return how many segments `segments` makes.

    Examples
    --------
    >>> n_segments(24_000 * 11, segment_samples=24_000 * 5, hop_samples=24_000 * 5 // 2)
    4
    """
    if n_samples <= 0:
        return 0
    return 1 + math.ceil(max(0, n_samples - segment_samples) / hop_samples)


def segments(
    blocks: Iterable[np.ndarray], segment_samples: int, hop_samples: int, min_samples: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Cut what sounds into segments of equal length, one every hop; the last one ends where the sound ends.

    Nothing is padded: a span shorter than a segment is one segment of its own length.

    Parameters
    ----------
    blocks : Decoder, or iterable of ndarray, shape (n,), float32
        Of a `Decoder` only the spans that sound, each with segments of its own; of other blocks all. Held at any time:
        one segment, one block, and a silence of which it is not known yet whether the sound goes on after it.
    segment_samples, hop_samples : int
        With 0 < hop_samples <= segment_samples.
    min_samples : int
        The samples of `SHORT_S`: what is shorter is repeated to this length.

    Yields
    ------
    start_sample : int
    waveform : ndarray, shape (segment_samples,), float32
        The caller's own copy.

    Raises
    ------
    AudioError
        If what sounds is shorter than `MIN_DURATION_S`.
    """
    cutting = Cutting(segment_samples, hop_samples, min_samples)
    if isinstance(blocks, Decoder):
        for _, start, waveform in segments_at_each_rate(blocks, [cutting]):
            yield start, waveform
        return
    n_seen = 0
    for block in blocks:
        yield from cutting.add(n_seen, block)
        n_seen += len(block)
    if n_seen:
        yield from cutting.add(n_seen, np.zeros(0, np.float32), is_end=True)
    _check_length(SHORT_S * n_seen / min_samples)


def segments_at_each_rate(decoder: Decoder, cuttings: Sequence[Cutting]) -> Iterator[tuple[int, int, np.ndarray]]:
    """As `segments`, at each rate of a decoder cut in its own way, in one pass over the file.

    Yields
    ------
    row : int
        Of the rate in `decoder.rates_hz`.
    start_sample : int
    waveform : ndarray, shape (segment_samples,), float32

    Raises
    ------
    AudioError
        If what sounds is shorter than `MIN_DURATION_S`.
    """
    spans = [_Spans(decoder, rate_hz) for rate_hz in decoder.rates_hz]
    ends = ((row, None) for row in range(len(spans)))
    for row, block in itertools.chain(decoder.blocks(), ends):
        for start, piece, is_end in spans[row].add(block):
            for start_sample, waveform in cuttings[row].add(start, piece, is_end):
                yield row, start_sample, waveform
    _check_length(decoder.facts.duration_s)


class Cutting:
    """Cuts what sounds into segments, as `segments` does, which names the parameters."""

    def __init__(self, segment_samples: int, hop_samples: int, min_samples: int) -> None:
        if not 0 < hop_samples <= segment_samples:
            raise InputError(f"A hop of {hop_samples} samples was given; expected 1 to {segment_samples}, the segment.")
        self.segment_samples, self.hop_samples, self.min_samples = segment_samples, hop_samples, min_samples
        self._held = np.zeros(0, dtype=np.float32)  # the newest of the span: all that a segment still to come can need
        self._held_start = self._next_start = self._span_start = 0
        self._is_new = True

    def add(self, start: int, piece: np.ndarray, is_end: bool = False) -> Iterator[tuple[int, np.ndarray]]:
        """Take the next piece of a span, and yield the segments that end in it: start and the caller's own copy.

        Parameters
        ----------
        start : int
            Of the piece, from the beginning of the recording.
        piece : ndarray, shape (n,), float32
        is_end : bool
            Whether the span ends with it.
        """
        if self._is_new:
            self._held, self._held_start, self._next_start, self._span_start = piece[:0], start, start, start
        self._is_new = is_end
        self._held = np.concatenate([self._held, piece])
        held_end = self._held_start + len(self._held)
        while self._next_start + self.segment_samples <= held_end:
            yield self._next_start, self._held[self._next_start - self._held_start :][: self.segment_samples].copy()
            self._next_start += self.hop_samples
        n_gone = max(0, len(self._held) - self.segment_samples)
        self._held, self._held_start = self._held[n_gone:], self._held_start + n_gone
        last_end = self._next_start - self.hop_samples + self.segment_samples  # of the last segment, if there was one
        if is_end and (self._next_start == self._span_start or last_end < held_end):
            yield self._held_start, lengthened(self._held, self.min_samples)


def lengthened(waveform: np.ndarray, min_samples: int) -> np.ndarray:
    """A copy of a waveform, repeated up to a length if it is shorter: what encoders make of a one-shot.

    Repeating found the recording that a cut of 0.1 to 0.8 s comes from more often than silence or a fade behind it.
    """
    return np.tile(waveform, -(-min_samples // len(waveform)))[: max(len(waveform), min_samples)].copy()


def spans(decoder: Decoder) -> Iterator[tuple[int, np.ndarray, bool]]:
    """Pass on what sounds, span by span, as soon as it is certain.

    Yields
    ------
    start_sample : int
        Of the piece, from the beginning of the recording.
    samples : ndarray, shape (n,)
        May be empty at the end of a span.
    is_end : bool
        Whether the span ends with this piece.
    """
    passed_on = _Spans(decoder, decoder.sample_rate_hz)
    for block in itertools.chain(decoder, [None]):
        yield from passed_on.add(block)


class _Spans:
    """`spans` at one rate of a decoder, block by block."""

    def __init__(self, decoder: Decoder, rate_hz: int) -> None:
        self.decoder, self.rate_hz = decoder, rate_hz
        self._held = np.zeros(0, dtype=np.float32)  # what was not passed on yet and may have to be
        self._row = self._n_passed = self._n_seen = 0  # which span, up to where it was passed on, and of how much
        self._short: list[tuple[int, np.ndarray]] = []  # spans that count only where there is none of a second
        self._has_long = False

    def add(self, decoded: np.ndarray | None) -> Iterator[tuple[int, np.ndarray, bool]]:
        """Take the next block, None after the last one; yields as `spans`."""
        if decoded is not None:
            self._held = np.concatenate([self._held, decoded])
            self._n_seen += len(decoded)
        sounding, ratio, n_seen = self.decoder.sounding, self.rate_hz / self.decoder.info.sample_rate_hz, self._n_seen
        found = sounding.spans()
        keep_from = n_seen - round(EDGE_S * self.rate_hz) - 2  # the first span may begin before its sound
        held_start = n_seen - len(self._held)
        while self._row < len(found):
            first, end, is_over = found[self._row]
            start = round(first * ratio)
            stop = start + round((end - first) * ratio)  # whatever the start: a shifted span is as long
            is_over = is_over and (stop <= n_seen or decoded is None)  # the filter lags behind
            stop = min(stop, n_seen)
            keep_from = max(start, self._n_passed)
            is_long = sounding.is_long(first, end)
            if not (is_long or is_over):
                break
            if is_long:
                self._has_long = True
                piece = self._held[keep_from - held_start : max(stop - held_start, 0)]
                yield keep_from, piece, is_over
                keep_from = self._n_passed = max(stop, keep_from)
            elif not self._has_long and sounding.is_sound(first, end) and len(self._short) < MOST_SHORT_SPANS:
                self._short.append((start, self._held[start - held_start : stop - held_start].copy()))
            if not is_over:
                break
            self._row += 1
            keep_from = max(self._n_passed, stop)
        self._held = self._held[max(0, keep_from - held_start) :]
        if decoded is None and not self._has_long:
            for start, waveform in self._short:
                yield start, waveform, True


# --- blocks -----------------------------------------------------------------------------------------------


def _check_length(duration_s: float) -> None:
    if duration_s < MIN_DURATION_S:
        raise AudioError(f"The recording is {duration_s:.2g} s long; MESS needs at least {MIN_DURATION_S:g} s.")


def _passage_frames(info: AudioInfo, name: str, start_s: float, length_s: float | None) -> tuple[int, int]:
    """Return (start_frame, n_frames) of a passage; its end may lie beyond the file's."""
    if not (0 <= start_s < math.inf and (length_s is None or 0 < length_s < math.inf)):
        raise InputError(f"A passage of {length_s} s from {start_s} s was asked for; both must be positive and finite.")
    start_frame = round(start_s * info.sample_rate_hz)
    if start_frame >= info.n_frames:
        raise InputError(f"{name} is {info.duration_s:.1f} s long; a passage from {start_s:.1f} s on was asked for.")
    seconds = MAX_DURATION_S if length_s is None else length_s
    return start_frame, max(1, round(seconds * info.sample_rate_hz))


def _read_blocks(source: Source, start_frame: int, n_frames: int) -> Iterator[np.ndarray]:
    """Yield up to `n_frames` frames in blocks of at most `BLOCK_SAMPLES` samples."""
    block_frames = BLOCK_SAMPLES // source.info.n_channels
    source.seek(start_frame)
    while n_frames > 0:
        block = source.read(min(block_frames, n_frames))
        if not len(block):
            return
        n_frames -= len(block)
        yield block


class _Resampling:
    """Blocks, shape (n, n_channels), at another rate: the same samples as if all were resampled at once."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz, self.to_hz = from_hz, to_hz
        self._stream: soxr.ResampleStream | None = None
        self._nothing = np.zeros((0, 1), dtype=np.float32)  # of as many channels as the blocks have

    def add(self, block: np.ndarray) -> np.ndarray:
        """What is ready after the next block; may be empty."""
        self._nothing = block[:0]
        if self.from_hz == self.to_hz:
            return block
        if self._stream is None:
            import soxr

            n_channels, quality = block.shape[1], _RESAMPLING_QUALITY
            self._stream = soxr.ResampleStream(self.from_hz, self.to_hz, n_channels, dtype="float32", quality=quality)
        resampled: np.ndarray = self._stream.resample_chunk(block)
        return resampled

    def finish(self) -> np.ndarray:
        """What is left after the last block."""
        if self._stream is None:
            return self._nothing
        rest: np.ndarray = self._stream.resample_chunk(np.ascontiguousarray(self._nothing), last=True)
        return rest


def _largest(samples: np.ndarray) -> float:
    """Return the largest absolute value; NaN if there is one."""
    return float(max(samples.max(), -samples.min()))


def _silence_bad_samples(block: np.ndarray) -> int:
    """Set NaN, infinite and absurd samples to 0, in place, and return how many there were."""
    if abs(_largest(block)) <= MAX_SAMPLE:
        return 0
    bad = ~(np.abs(block) <= MAX_SAMPLE)
    block[bad] = 0.0
    return int(bad.sum())


def _dbfs(peak: float) -> str:
    """A level in words: -80 dBFS; zero has none."""
    return f"{20 * math.log10(peak):.0f} dBFS" if peak > 0 else "zero"
