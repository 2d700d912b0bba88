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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mess_core.audio.loudness import LoudnessMeter
from mess_core.audio.sounding import EDGE_S, MOST_SHORT_SPANS, Channels, Sounding, mix_to_mono
from mess_core.audio.source import AudioInfo, Source, inspect_audio, open_audio, safe_name, sha256_file
from mess_core.config import EXCERPT_MAX_S, MAX_DURATION_S, MIN_DURATION_S, SHORT_S, SILENCE_PEAK
from mess_core.errors import AudioError, InputError

__all__ = [
    "AudioInfo",
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
    """One pass over a file, or a passage of it, as mono blocks at one rate.

    Parameters
    ----------
    path : Path
        Of the audio file.
    sample_rate_hz : int
        Rate of the blocks handed out.
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
        start_s: float = 0.0,
        length_s: float | None = None,
        measure_loudness: bool = True,
        hash_samples: bool = False,
        signs: tuple[float, ...] | None = None,
    ) -> None:
        self.path = Path(path)
        self.sample_rate_hz = sample_rate_hz
        self.measure_loudness = measure_loudness
        self.hash_samples = hash_samples
        self.signs = signs
        self.info = inspect_audio(self.path)
        self._start_frame, self._n_frames = _passage_frames(self.info, safe_name(self.path), start_s, length_s)
        self.sounding = Sounding(self.info.sample_rate_hz)
        self._facts: DecodeFacts | None = None

    @property
    def facts(self) -> DecodeFacts:
        """What decoding has found out; there only after the last block."""
        if self._facts is None:
            raise RuntimeError("The facts are known only after the last block.")
        return self._facts

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield blocks, each shape (n,), float32, at `sample_rate_hz`."""
        info = self.info
        meter = LoudnessMeter(info.sample_rate_hz, info.n_channels) if self.measure_loudness else None
        digest = _digest(info) if self.hash_samples else None
        sounding = self.sounding = Sounding(info.sample_rate_hz)
        channels = Channels(info.n_channels)
        n_decoded = n_bad = n_samples = 0
        peak = 0.0

        def mono_blocks(source: Source) -> Iterator[np.ndarray]:
            nonlocal n_decoded, n_bad
            for block in _read_blocks(source, self._start_frame, self._n_frames):
                n_decoded += len(block)
                n_bad += _silence_bad_samples(block)
                if digest is not None:
                    digest.update(block.data)
                if meter is not None:
                    meter.add(block)
                sounding.add(block)
                channels.add(block)
                yield mix_to_mono(block, self.signs)
            sounding.finish()

        with open_audio(self.path, info.n_frames) as source:
            for mono in _resample(mono_blocks(source), info.sample_rate_hz, self.sample_rate_hz):
                n_samples += len(mono)
                peak = max(peak, _largest(mono))
                yield mono[:, 0]
            slack_frames = source.slack_frames

        if n_decoded == 0:
            raise AudioError(f"{safe_name(self.path)} is damaged: nothing in it can be decoded.")
        n_promised = min(self._n_frames, info.n_frames - self._start_frame)
        self._facts = DecodeFacts(
            duration_s=n_decoded / info.sample_rate_hz,
            n_samples=n_samples,
            loudness_lufs=None if meter is None else meter.integrated_lufs(),
            peak=peak,
            n_bad_samples=n_bad,
            is_truncated=info.is_truncated or n_decoded + slack_frames < n_promised,
            channel_peak=sounding.peak,
            sounding_s=sounding.kept_s(),
            downmix="mean" if self.signs is None else "energy",
            signs=channels.signs() if self.signs is None else None,
            samples_sha256=None if digest is None else digest.hexdigest(),
        )


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

        blocks = list(_resample(playable_blocks(), info.sample_rate_hz, rate_hz))
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
    if not 0 < hop_samples <= segment_samples:
        raise InputError(f"A hop of {hop_samples} samples was given; expected 1 to {segment_samples}, the segment.")
    held = np.zeros(0, dtype=np.float32)  # the newest samples of the span: all that a segment still to come can need
    held_start = next_start = span_start = n_seen = 0
    is_new = True
    for start, piece, is_end in spans(blocks):
        if is_new:
            held, held_start, next_start, span_start = piece[:0], start, start, start
        is_new = is_end
        held = np.concatenate([held, piece])
        held_end = held_start + len(held)
        while next_start + segment_samples <= held_end:
            yield next_start, held[next_start - held_start :][:segment_samples].copy()
            next_start += hop_samples
        n_gone = max(0, len(held) - segment_samples)
        held, held_start = held[n_gone:], held_start + n_gone
        last_end = next_start - hop_samples + segment_samples  # of the last segment yielded, if there was one
        if is_end and (next_start == span_start or last_end < held_end):
            yield held_start, lengthened(held, min_samples)
        n_seen = held_end
    _check_length(SHORT_S * n_seen / min_samples if not isinstance(blocks, Decoder) else blocks.facts.duration_s)


def lengthened(waveform: np.ndarray, min_samples: int) -> np.ndarray:
    """A copy of a waveform, repeated up to a length if it is shorter: what encoders make of a one-shot.

    Repeating found the recording that a cut of 0.1 to 0.8 s comes from more often than silence or a fade behind it.
    """
    return np.tile(waveform, -(-min_samples // len(waveform)))[: max(len(waveform), min_samples)].copy()


def spans(blocks: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray, bool]]:
    """Pass on what sounds, span by span, as soon as it is certain.

    Parameters
    ----------
    blocks : Decoder, or iterable of ndarray, shape (n,)
        Of other blocks than a `Decoder`'s all sounds.

    Yields
    ------
    start_sample : int
        Of the piece, from the beginning of the recording.
    samples : ndarray, shape (n,)
        May be empty at the end of a span.
    is_end : bool
        Whether the span ends with this piece.
    """
    n_seen = 0
    if not isinstance(blocks, Decoder):
        for block in blocks:
            yield n_seen, block, False
            n_seen += len(block)
        if n_seen:
            yield n_seen, np.zeros(0, dtype=np.float32), True
        return
    held = np.zeros(0, dtype=np.float32)  # what was not passed on yet and may have to be
    row = n_passed = 0  # which span, and up to where it was passed on
    short: list[tuple[int, np.ndarray]] = []  # spans that count only where there is none of a second
    has_long = False
    for decoded in itertools.chain(blocks, [None]):
        if decoded is not None:
            held = np.concatenate([held, decoded])
            n_seen += len(decoded)
        sounding, ratio = blocks.sounding, blocks.sample_rate_hz / blocks.info.sample_rate_hz
        found = sounding.spans()
        keep_from = n_seen - round(EDGE_S * blocks.sample_rate_hz) - 2  # the first span may begin before its sound
        while row < len(found):
            first, end, is_over = found[row]
            start = round(first * ratio)
            stop = start + round((end - first) * ratio)  # whatever the start: a shifted span is as long
            is_over = is_over and (stop <= n_seen or decoded is None)  # the filter lags behind
            stop = min(stop, n_seen)
            held_start = n_seen - len(held)
            keep_from = max(start, n_passed)
            is_long = sounding.is_long(first, end)
            if not (is_long or is_over):
                break
            if is_long:
                has_long = True
                piece = held[keep_from - held_start : max(stop - held_start, 0)]
                yield keep_from, piece, is_over
                keep_from = n_passed = max(stop, keep_from)
            elif not has_long and sounding.is_sound(first, end) and len(short) < MOST_SHORT_SPANS:
                short.append((start, held[start - held_start : stop - held_start].copy()))
            if not is_over:
                break
            row += 1
            keep_from = max(n_passed, stop)
        held = held[max(0, keep_from - (n_seen - len(held))) :]
    for start, waveform in () if has_long else short:
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


def _resample(blocks: Iterable[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Yield blocks, shape (n, n_channels), at another rate: the same samples as if all were resampled at once."""
    if from_hz == to_hz:
        yield from blocks
        return
    import soxr

    stream = None
    for block in blocks:
        if stream is None:
            n_channels = block.shape[1]
            stream = soxr.ResampleStream(from_hz, to_hz, n_channels, dtype="float32", quality=_RESAMPLING_QUALITY)
        resampled = stream.resample_chunk(block)
        if len(resampled):
            yield resampled
    if stream is not None:
        rest = stream.resample_chunk(np.zeros((0, n_channels), dtype=np.float32), last=True)
        if len(rest):
            yield rest


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
