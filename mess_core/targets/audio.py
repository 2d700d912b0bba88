"""A sound file -> the audio targets, in one pass over the file, for the whole or for its segments.

    file -> mono blocks at 22 050 Hz -> spans that sound -> loudness | spectrum -> glides | flux | envelope | moments |
    deviations -> targets

Every stream keeps a few numbers per frame, about 30 MB per hour in all; no spectrogram is held.

Conventions
-----------
A support is what a target is measured on: the track, or a passage of it, or one segment. Times are in seconds from its
start. Segments are those of an embedding. They share the frames of the recording they lie in; what only a longer
context can say (the tuning, the running maximum of onset detection) is taken from the recording.
Silence (`sounding`) is in no support: what sounds before it and after it is measured as if it were joined.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

from mess_core.audio import decode as audio
from mess_core.config import MIN_DURATION_S
from mess_core.errors import AudioError, InputError, of_item
from mess_core.targets import attack, character, danceability, dynamics, form, harmony, key, rhythm, spectrum
from mess_core.targets.attack import Attacks
from mess_core.targets.base import TargetEntry, TargetValue
from mess_core.targets.dynamics import Loudness
from mess_core.targets.frames import SAMPLE_RATE_HZ
from mess_core.targets.moments import Moments, MomentStream
from mess_core.targets.registry import ADDED, TARGETS
from mess_core.targets.rhythm import Flux
from mess_core.targets.spectrum import SpectrumFrames
from mess_core.targets.voice import Glides, GlideStream


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
    glides: Glides
    deviations: np.ndarray  # (n_steps,), of every 10 ms

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
            glides=self.glides.between(start_s, end_s),
            deviations=self.deviations[round(start_s / danceability.STEP_S) : round(end_s / danceability.STEP_S)],
        )


@dataclass(frozen=True)
class Heard:
    """What was heard of a recording, and where it lies there.

    sound : of the spans that sound, one behind the other
    spans_s : (n_spans, 2), where they begin and end in the recording
    """

    sound: Sound
    spans_s: np.ndarray

    def between(self, start_s: float, end_s: float) -> Sound:
        """A part of a span, by the clock of the recording."""
        start_s, end_s = joined_s(np.array([start_s, end_s]), self.spans_s).tolist()
        return self.sound.between(start_s, end_s)

    def recorded_s(self, times_s: np.ndarray) -> np.ndarray:
        """Times of `sound` as times of the recording."""
        if not len(self.spans_s):
            return times_s
        starts, ends = self.spans_s.T
        firsts = np.concatenate([[0.0], np.cumsum(ends - starts)[:-1]])
        row = np.clip(np.searchsorted(firsts, times_s, side="right") - 1, 0, None)
        return starts[row] + (times_s - firsts[row])


def joined_s(times_s: np.ndarray, spans_s: np.ndarray) -> np.ndarray:
    """Times of a recording as times of its spans joined; all of a silence are where it was cut out.

    Examples
    --------
    >>> joined_s(np.array([11.0, 15.0, 31.0, 35.0]), np.array([[10.0, 12.0], [30.0, 32.0]]))
    array([1., 2., 3., 7.])
    """
    starts, ends = spans_s.T
    lengths = np.concatenate([[0.0], np.cumsum(ends - starts)])
    row = np.clip(np.searchsorted(starts, times_s, side="right") - 1, 0, None)
    is_last = row == len(starts) - 1  # what lies beyond all is as far from them as before
    return lengths[row] + np.where(is_last, times_s, np.minimum(times_s, ends[row])) - starts[row]


def hear(
    path: Path, *, start_s: float = 0.0, length_s: float | None = None, onsets_s: np.ndarray | None = None
) -> Heard:
    """Listen to a recording, or a passage of it; parameters and errors as `measure_audio`."""
    signs: tuple[float, ...] | None = None
    while True:
        decoder = audio.Decoder(
            path, SAMPLE_RATE_HZ, start_s=start_s, length_s=length_s, measure_loudness=False, signs=signs
        )
        collected = Listener()
        for _, piece, _ in audio.spans(decoder):
            if len(piece):
                collected.add(piece)
        facts = decoder.facts
        if facts.signs is None:
            break
        signs = facts.signs  # the channels cancel: once more, another way
    if facts.duration_s < MIN_DURATION_S:
        raise AudioError(f"The recording is {facts.duration_s:.2g} s long; MESS needs at least {MIN_DURATION_S:g} s.")
    if not facts.sounding_s:  # it is measured as the silence that it is: every target says why it has no value
        for start in range(0, facts.n_samples, SAMPLE_RATE_HZ):
            collected.add(np.zeros(min(SAMPLE_RATE_HZ, facts.n_samples - start), dtype=np.float32))
        return Heard(collected.finish(), np.zeros((0, 2)))
    spans_s = np.array(facts.sounding_s)
    return Heard(collected.finish(None if onsets_s is None else joined_s(_checked_onsets(onsets_s), spans_s)), spans_s)


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
    return measure(hear(path, start_s=start_s, length_s=length_s, onsets_s=onsets_s).sound)


def measure_audio_segments(
    path: Path, segment_s: float, hop_s: float, *, sample_rate_hz: int = 24_000
) -> list[dict[str, TargetValue]]:
    """Measure the audio targets that make sense for a few seconds, segment by segment.

    Parameters
    ----------
    path : Path
    segment_s, hop_s : float, seconds
        As for `mess_core.audio.decode.segments`: the last segment ends where the recording ends.
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
    heard = hear(path)
    return [
        measure(heard.between(start_s, end_s), level="segment")
        for start_s, end_s in segment_spans_s(heard.spans_s, segment_s, hop_s, sample_rate_hz)
    ]


def segment_spans_s(spans_s: np.ndarray, segment_s: float, hop_s: float, sample_rate_hz: int = 24_000) -> np.ndarray:
    """Start and end of each segment that `mess_core.audio.decode.segments` makes, seconds, shape (n_segments, 2).

    Parameters
    ----------
    spans_s : ndarray, shape (n_spans, 2)
        Where the recording sounds.

    Examples
    --------
    >>> segment_spans_s(np.array([[0.0, 11.0], [20.0, 22.0]]), 5.0, 2.5)
    array([[ 0. ,  5. ],
           [ 2.5,  7.5],
           [ 5. , 10. ],
           [ 6. , 11. ],
           [20. , 22. ]])
    """
    if not 0 < hop_s <= segment_s:
        raise InputError(f"A hop of {hop_s:g} s was given; expected more than 0 and at most {segment_s:g} s.")
    whole, hop = round(segment_s * sample_rate_hz), round(hop_s * sample_rate_hz)
    rows = [np.zeros((0, 2))]
    for start_s, end_s in spans_s:
        first, n_samples = round(start_s * sample_rate_hz), round((end_s - start_s) * sample_rate_hz)
        segment = min(whole, n_samples)
        starts = np.minimum(np.arange(audio.n_segments(n_samples, segment, hop)) * hop, n_samples - segment)
        rows.append(np.column_stack([starts, starts + segment]) + first)
    return np.concatenate(rows) / sample_rate_hz


def listen(blocks: Iterable[np.ndarray], onsets_s: np.ndarray | None = None) -> Sound:
    """Reduce a stream to what the targets need.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n,), float32, at `SAMPLE_RATE_HZ`
    onsets_s : ndarray, shape (n_onsets,), optional
        As for `measure_audio`.
    """
    listener = Listener()
    for block in blocks:
        listener.add(block)
    return listener.finish(onsets_s)


class Listener:
    """Reduces a stream to what the targets need: `add` each block, then `finish`."""

    def __init__(self) -> None:
        self._loudness, self._spectrum = dynamics.LoudnessStream(), spectrum.SpectrumStream()
        self._flux, self._envelope, self._moments = rhythm.FluxStream(), attack.EnvelopeStream(), MomentStream()
        self._glides, self._deviations = GlideStream(), danceability.DeviationStream()
        self._threads = ThreadpoolController()  # looks at every loaded library: once, not at every block
        self._n_samples = 0

    def add(self, block: np.ndarray) -> None:
        """Take the next samples, shape (n,)."""
        self._n_samples += len(block)
        with self._threads.limit(
            limits=1
        ):  # the products of a block are small: two threads would spend their time waiting
            self._loudness.add_mono(block)
            self._glides.add(self._spectrum.add(block))
            self._deviations.add(block)
            self._flux.add(block)
            self._envelope.add(block)
            self._moments.add(block)

    def finish(self, onsets_s: np.ndarray | None = None) -> Sound:
        """Return what was heard; the onsets as for `measure_audio`."""
        with self._threads.limit(limits=1):
            loudness, flux, moments = self._loudness.finish(), self._flux.finish(), self._moments.finish()
            envelope_db = self._envelope.finish()
            chroma = harmony.chroma_of(moments)
        found_s = rhythm.find_onsets(flux, loudness)
        if onsets_s is not None:
            onsets_s = _checked_onsets(onsets_s)
            onsets_s = onsets_s + rhythm.clock_shift_s(onsets_s, found_s)
        chords_s = found_s if onsets_s is None else onsets_s
        return Sound(
            duration_s=self._n_samples / SAMPLE_RATE_HZ,
            loudness=loudness,
            spectrum=self._spectrum.finish(),
            flux=flux,
            onsets_s=found_s,
            given_onsets_s=onsets_s,
            attacks=attack.find_attacks(envelope_db, attack.refine_onsets(envelope_db, chords_s)),
            moments=moments,
            chroma=chroma,
            glides=self._glides.finish(),
            deviations=self._deviations.finish(),
        )


def measure(sound: Sound, level: str = "track") -> dict[str, TargetValue]:
    """Measure all audio targets of one level ("track" or "segment") from what was heard."""
    chords_s = sound.onsets_s if sound.given_onsets_s is None else sound.given_onsets_s
    is_sounding = sound.moments.is_sounding(sound.loudness)
    values = {
        "duration_s": TargetValue.good(sound.duration_s, 1),
        **spectrum.measure(sound.spectrum, sound.loudness),
        **dynamics.measure(sound.loudness, chords_s, are_onsets_exact=sound.given_onsets_s is not None),
        **rhythm.measure(sound.flux, sound.onsets_s, sound.loudness, sound.duration_s),
        **attack.measure(sound.attacks),
        **harmony.measure(sound.chroma, is_sounding),
        **form.measure(sound.moments, sound.chroma, sound.loudness, sound.duration_s),
    }
    if level == "track":
        values |= key.measure(sound.chroma, is_sounding) | danceability.measure(sound.deviations, sound.loudness)
        colours = sound.moments.colours[is_sounding]
        signs = character.signs(sound.flux, colours, sound.glides, sound.deviations, sound.loudness)
        values |= character.measure(values | signs)
    values |= {entry.target.id: _measure_added(entry, sound) for entry in ADDED.entries if level in entry.target.levels}
    return {id: values[id] for id, target in TARGETS.items() if target.signal == "audio" and level in target.levels}


def _measure_added(entry: TargetEntry, sound: Sound) -> TargetValue:
    """A target of another package; where that fails there is no value, and the rest is measured."""
    try:
        value = entry.measure(sound)
        return value if math.isfinite(value.value) or value.quality == "none" else TargetValue.none("it is not finite")
    except Exception as error:
        return TargetValue.none(of_item(error).message)


def _within(times_s: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """The times within [start_s, end_s), from start_s."""
    return times_s[(times_s >= start_s) & (times_s < end_s)] - start_s


def _checked_onsets(onsets_s: np.ndarray) -> np.ndarray:
    onsets_s = np.asarray(onsets_s, dtype=np.float64)
    if onsets_s.ndim != 1 or not np.isfinite(onsets_s).all() or (np.diff(onsets_s) < 0).any():
        raise InputError(f"Onsets of shape {onsets_s.shape} were given; expected seconds, in order, shape (n_onsets,).")
    return onsets_s
