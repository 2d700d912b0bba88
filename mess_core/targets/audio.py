"""A sound file -> the audio targets, in one pass over the file, for the whole or for its segments.

    file -> mono blocks at 22 050 Hz -> loudness | spectrum | flux | envelope | moments -> targets

Every stream keeps a few numbers per frame, about 30 MB per hour in all; no spectrogram is held.

Conventions
-----------
A support is what a target is measured on: the track, or a passage of it, or one segment. Times are in seconds from its
start. Segments share the frames of the recording they lie in; what only a longer context can say (the tuning, the
running maximum of onset detection) is taken from the recording.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from mess_core import audio
from mess_core.config import MIN_DURATION_S
from mess_core.errors import AudioError, InputError
from mess_core.targets import attack, dynamics, form, harmony, rhythm, spectrum
from mess_core.targets.attack import Attacks
from mess_core.targets.base import TargetValue
from mess_core.targets.dynamics import Loudness
from mess_core.targets.frames import SAMPLE_RATE_HZ
from mess_core.targets.moments import Moments, MomentStream
from mess_core.targets.registry import TARGETS
from mess_core.targets.rhythm import Flux
from mess_core.targets.spectrum import SpectrumFrames


@dataclass(frozen=True)
class Sound:
    """All that the targets need to know of one support."""

    duration_s: float
    loudness: Loudness
    spectrum: SpectrumFrames
    flux: Flux
    onsets_s: np.ndarray  # (n_onsets,), found in the audio
    given_onsets_s: np.ndarray | None  # (n_given,), of the MIDI, by the clock of the audio
    attacks: Attacks
    moments: Moments
    chroma: np.ndarray  # (n_moments, 12)

    def between(self, start_s: float, end_s: float) -> Sound:
        """A part of it, as a support of its own."""
        moments = self.moments.between(start_s, end_s)
        first = round((moments.start_s + start_s) / harmony.MOMENT_S)
        return Sound(
            duration_s=end_s - start_s,
            loudness=self.loudness.between(start_s, end_s),
            spectrum=self.spectrum.between(start_s, end_s),
            flux=self.flux.between(start_s, end_s),
            onsets_s=_within(self.onsets_s, start_s, end_s),
            given_onsets_s=None if self.given_onsets_s is None else _within(self.given_onsets_s, start_s, end_s),
            attacks=self.attacks.between(start_s, end_s),
            moments=moments,
            chroma=self.chroma[first : first + len(moments.cepstra)],
        )


def measure_audio(
    path: Path, *, start_s: float = 0.0, length_s: float | None = None, onsets_s: np.ndarray | None = None
) -> dict[str, TargetValue]:
    """Measure all audio targets of a recording, or of a passage of it.

    Parameters
    ----------
    path : Path
    start_s, length_s : float, seconds
        The passage; a length of None means up to the end.
    onsets_s : ndarray, shape (n_onsets,), optional
        When chords begin, in seconds from `start_s`, increasing: from the MIDI of this performance, whose clock may be
        shifted by up to 0.15 s. Attacks are then measured there, and swells from chord to chord; the rhythm targets
        listen to the audio all the same.

    Returns
    -------
    dict of target id -> TargetValue
        Every audio target of the registry, in its order.

    Raises
    ------
    AudioError
        If the file is not audio that MESS reads.
    """
    blocks = audio.Decoder(path, SAMPLE_RATE_HZ, start_s=start_s, length_s=length_s, measure_loudness=False)
    return measure(listen(blocks, onsets_s))


def measure_audio_segments(
    path: Path, segment_s: float, hop_s: float, *, sample_rate_hz: int = 24_000
) -> list[dict[str, TargetValue]]:
    """Measure the audio targets that make sense for a few seconds, segment by segment.

    Parameters
    ----------
    path : Path
    segment_s, hop_s : float, seconds
        As for `mess_core.audio.segments`: the last segment ends where the recording ends.
    sample_rate_hz : int
        Of the encoder whose segments these are: it decides whether a last sample makes one more segment.

    Returns
    -------
    list, one dict of target id -> TargetValue per segment
        Every audio target of the registry that has the level `segment`, in its order.

    Raises
    ------
    AudioError
        If the file is not audio that MESS reads, or shorter than `MIN_DURATION_S`.
    """
    decoder = audio.Decoder(path, SAMPLE_RATE_HZ, measure_loudness=False)
    sound = listen(decoder)
    spans_s = segment_spans_s(decoder.facts.duration_s, segment_s, hop_s, sample_rate_hz)
    return [measure(sound.between(start_s, end_s), level="segment") for start_s, end_s in spans_s]


def segment_spans_s(duration_s: float, segment_s: float, hop_s: float, sample_rate_hz: int = 24_000) -> np.ndarray:
    """Start and end of each segment that `mess_core.audio.segments` makes, seconds, shape (n_segments, 2).

    Examples
    --------
    >>> segment_spans_s(11.0, 5.0, 2.5)
    array([[ 0. ,  5. ],
           [ 2.5,  7.5],
           [ 5. , 10. ],
           [ 6. , 11. ]])
    """
    if not 0 < hop_s <= segment_s:
        raise InputError(f"A hop of {hop_s:g} s was given; expected more than 0 and at most {segment_s:g} s.")
    if duration_s < MIN_DURATION_S:
        raise AudioError(f"The recording is {duration_s:.2g} s long; MESS needs at least {MIN_DURATION_S:g} s.")
    n_samples, segment, hop = (round(seconds * sample_rate_hz) for seconds in (duration_s, segment_s, hop_s))
    segment = min(segment, n_samples)
    starts = np.minimum(np.arange(audio.n_segments(n_samples, segment, hop)) * hop, n_samples - segment)
    return np.column_stack([starts, starts + segment]) / sample_rate_hz


def listen(blocks: Iterable[np.ndarray], onsets_s: np.ndarray | None = None) -> Sound:
    """Reduce a stream to what the targets need.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n,), float32, at `SAMPLE_RATE_HZ`
    onsets_s : ndarray, shape (n_onsets,), optional
        As for `measure_audio`.
    """
    loudness_stream, spectrum_stream = dynamics.LoudnessStream(), spectrum.SpectrumStream()
    flux_stream, envelope_stream, moment_stream = rhythm.FluxStream(), attack.EnvelopeStream(), MomentStream()
    n_samples = 0
    with threadpool_limits(1):  # the products of a block are small: two threads would spend their time waiting
        for block in blocks:
            n_samples += len(block)
            loudness_stream.add_mono(block)
            spectrum_stream.add(block)
            flux_stream.add(block)
            envelope_stream.add(block)
            moment_stream.add(block)
        loudness, flux, moments = loudness_stream.finish(), flux_stream.finish(), moment_stream.finish()
        envelope_db = envelope_stream.finish()
        chroma = harmony.chroma_of(moments)
    found_s = rhythm.find_onsets(flux, loudness)
    if onsets_s is not None:
        onsets_s = _checked_onsets(onsets_s)
        onsets_s = onsets_s + rhythm.clock_shift_s(onsets_s, found_s)
    chords_s = found_s if onsets_s is None else onsets_s
    return Sound(
        duration_s=n_samples / SAMPLE_RATE_HZ,
        loudness=loudness,
        spectrum=spectrum_stream.finish(),
        flux=flux,
        onsets_s=found_s,
        given_onsets_s=onsets_s,
        attacks=attack.find_attacks(envelope_db, attack.refine_onsets(envelope_db, chords_s)),
        moments=moments,
        chroma=chroma,
    )


def measure(sound: Sound, level: str = "track") -> dict[str, TargetValue]:
    """Measure all audio targets of one level ("track" or "segment") from what was heard."""
    chords_s = sound.onsets_s if sound.given_onsets_s is None else sound.given_onsets_s
    values = {
        "duration_s": TargetValue.good(sound.duration_s, 1),
        **spectrum.measure(sound.spectrum, sound.loudness),
        **dynamics.measure(sound.loudness, chords_s, are_onsets_exact=sound.given_onsets_s is not None),
        **rhythm.measure(sound.flux, sound.onsets_s, sound.loudness, sound.duration_s),
        **attack.measure(sound.attacks),
        **harmony.measure(sound.chroma, sound.moments.is_sounding(sound.loudness)),
        **form.measure(sound.moments, sound.chroma, sound.loudness, sound.duration_s),
    }
    return {id: values[id] for id, target in TARGETS.items() if target.signal == "audio" and level in target.levels}


def _within(times_s: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """The times within [start_s, end_s), from start_s."""
    return times_s[(times_s >= start_s) & (times_s < end_s)] - start_s


def _checked_onsets(onsets_s: np.ndarray) -> np.ndarray:
    onsets_s = np.asarray(onsets_s, dtype=np.float64)
    if onsets_s.ndim != 1 or not np.isfinite(onsets_s).all() or (np.diff(onsets_s) < 0).any():
        raise InputError(f"Onsets of shape {onsets_s.shape} were given; expected seconds, in order, shape (n_onsets,).")
    return onsets_s
