"""Notes -> audio: eight small instruments in one room, for the demo library and for renderings of performance MIDI.

    render_note   one key pressed and never released, at full detail     cached
    render        notes and pedal -> mono audio                          release, pedal, room

Every instrument is the same model with other numbers: a note is a sum of damped sines (modes).

    y(t) = sum_m a_m exp(-d_m t) sin(2 pi f_m t + phase_m)

A struck or plucked string gives each partial a fast and a slow mode, slightly out of tune with each other (Weinreich
1977, the two-stage decay of the piano); a blown or bowed one has undamped modes and starts as 1 - exp(-t/attack), which
is again two modes. So one matrix product makes a whole note: time is cut into blocks, and
sin(block phase + phase within the block) is a product of two small tables (see `_sum_of_modes`).

Conventions
-----------
Times in seconds from the start of the recording, pitches and velocities as in MIDI (60 is C4 = 261.6 Hz; 1..127).
Audio is mono float32, shape (n_samples,), within [-1, 1]. An instrument has one fixed gain: a soft performance is soft.
Nothing here is random: noise comes from fixed seeds, and sums are in float64, so that after rounding to 16 bits
two machines whose BLAS rounds differently still write the same file.

Source: Fletcher & Rossing, The Physics of Musical Instruments (2nd ed. 1998), chapters 9, 12, 16-19, for the orders of
magnitude; the numbers in `INSTRUMENTS` were then set by ear's proxies (spectrum, envelope, loudness).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.signal import oaconvolve

from mess_core.errors import InputError
from mess_core.notes.midi import Note, PedalSpan

if TYPE_CHECKING:
    pass

SAMPLE_RATE_HZ = 24_000  # MERT's rate: the demo library needs no resampling

VELOCITY_STEPS = (12, 28, 44, 60, 76, 92, 108, 124)  # timbre changes in steps, loudness continuously
LEVEL_EXPONENT = 1.3  # amplitude ~ velocity^1.3: velocities 40 and 100 are 10 dB apart, and 3 more by brightness
BLOCK_SAMPLES = 256
FADE_IN_S = 0.002  # short enough for a hammer, long enough not to click
RESTRIKE_S = 0.012  # a key struck again damps its own string this fast
LONGEST_NOTE_S = 32.0
SOFT_LIMIT = 0.6  # below this amplitude nothing is touched; above it bends towards PEAK_LIMIT
PEAK_LIMIT = 0.87  # -1.2 dBFS
ROOM_S = 0.8
ROOM_LEVEL = 0.22  # RMS of the room's answer relative to the direct sound


@dataclass(frozen=True)
class Instrument:
    """The numbers that make the one model sound like this instrument. Values hold at C4 and velocity 64."""

    name: str
    program: int  # General MIDI, counted from 0
    gain_db: float  # set so that the demo library sits near the same loudness on all instruments
    slope: float  # amplitude of partial n falls as n**-slope
    cutoff_hz: float  # above it partials fall 12 dB per octave more
    cutoff_octaves: float  # how far velocity 0 -> 127 moves the cutoff: brightness follows the touch
    release_s: float  # time constant after the key is up
    decay_s: float = 0.0  # time to fall 60 dB; 0 for blown, bowed and piped sound
    decay_tilt: float = 0.0  # how much faster each further partial decays
    attack_s: float = 0.0  # time constant of the beginning, for sustained sound
    ratios: tuple[float, ...] = ()  # frequencies of the modes over the fundamental; harmonic when empty
    even: float = 1.0  # weight of the even partials: small in a cylindrical pipe closed at one end
    pluck: float = 0.0  # where along the string it is plucked; 0: nowhere
    inharmonicity: float = 0.0  # stiffness B: f_n = n f_0 sqrt(1 + B n^2)
    formants: tuple[tuple[float, float], ...] = ()  # (Hz, gain): body resonances an octave wide
    detune_cents: float = 0.0  # between the strings or players of one note
    vibrato_cents: float = 0.0
    tremolo: float = 0.0  # depth of the amplitude modulation, 0..1
    noise_db: float = -120.0  # hammer, pluck or breath, relative to the tone
    noise_s: float = 0.0  # how long the noise lasts; 0: as long as the tone
    noise_band_hz: tuple[float, float] = (500.0, 4000.0)
    has_pedal: bool = False


INSTRUMENTS: dict[str, Instrument] = {
    instrument.name: instrument
    for instrument in (
        Instrument(
            "piano", 0, -11.2, slope=0.8, cutoff_hz=1100, cutoff_octaves=2.6, release_s=0.06, decay_s=9.0,
            decay_tilt=0.16, pluck=0.12, inharmonicity=3.5e-4, detune_cents=1.2, formants=((180, 1.3), (2400, 1.2)),
            noise_db=-30, noise_s=0.03, noise_band_hz=(150, 1800), has_pedal=True,
        ),
        Instrument(
            "harpsichord", 6, -8.2, slope=0.45, cutoff_hz=3600, cutoff_octaves=1.2, release_s=0.05, decay_s=5.0,
            decay_tilt=0.10, pluck=0.17, inharmonicity=5e-5, detune_cents=1.5, formants=((900, 1.4),),
            noise_db=-32, noise_s=0.012, noise_band_hz=(1500, 7000),
        ),
        Instrument(
            "guitar", 24, -10.1, slope=0.9, cutoff_hz=1500, cutoff_octaves=2.2, release_s=0.07, decay_s=4.5,
            decay_tilt=0.35, pluck=0.23, inharmonicity=8e-5, detune_cents=0.5,
            formants=((110, 1.6), (220, 1.8), (420, 1.3)), noise_db=-34, noise_s=0.015, noise_band_hz=(800, 4000),
        ),
        Instrument(
            "strings", 48, -17.2, slope=0.9, cutoff_hz=1900, cutoff_octaves=1.8, release_s=0.12, attack_s=0.05,
            detune_cents=5.0, vibrato_cents=11, formants=((300, 1.4), (550, 1.5), (2600, 1.6)),
            noise_db=-40, noise_band_hz=(1500, 6000),
        ),
        Instrument(
            "flute", 73, -15.9, slope=1.5, cutoff_hz=1500, cutoff_octaves=1.8, release_s=0.07, attack_s=0.03,
            vibrato_cents=8, tremolo=0.06, noise_db=-43, noise_band_hz=(600, 3500),
        ),
        Instrument(
            "clarinet", 71, -16.2, slope=0.8, cutoff_hz=1300, cutoff_octaves=2.0, release_s=0.06, attack_s=0.022,
            even=0.14, vibrato_cents=2, formants=((1400, 1.5),), noise_db=-46, noise_band_hz=(1000, 5000),
        ),
        Instrument(
            "organ", 19, -17.6, slope=0.75, cutoff_hz=2200, cutoff_octaves=1.2, release_s=0.09, attack_s=0.012,
            ratios=(1, 2, 3, 4, 5, 6, 8, 10, 12, 16), detune_cents=2.0,
            noise_db=-34, noise_s=0.03, noise_band_hz=(1000, 4000),
        ),
        Instrument(
            "vibraphone", 11, -11.0, slope=1.5, cutoff_hz=2200, cutoff_octaves=2.4, release_s=0.09, decay_s=5.0,
            decay_tilt=1.4, ratios=(1, 3.98, 10.1, 17.5), detune_cents=0.3, tremolo=0.22,
            noise_db=-36, noise_s=0.008, noise_band_hz=(600, 3000), has_pedal=True,
        ),
    )
}  # fmt: skip


# --- one note ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Modes:
    """Damped sines: frequencies [Hz], decay rates [1/s], amplitudes and phases [rad], each of shape (n_modes,)."""

    frequencies_hz: np.ndarray
    rates: np.ndarray
    amplitudes: np.ndarray
    phases: np.ndarray


def _partials(instrument: Instrument, pitch: int, velocity: int, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies [Hz] and amplitudes of the partials below 0.45 of the rate; their energy is 1."""
    fundamental_hz = 440.0 * 2 ** ((pitch - 69) / 12)
    n = np.arange(1, 49) if not instrument.ratios else np.arange(1, len(instrument.ratios) + 1)
    ratios = np.asarray(instrument.ratios) if instrument.ratios else n.astype(float)
    # Shorter strings are stiffer; divided by partial 1's own stretch, so that the note stays in tune.
    stiffness = instrument.inharmonicity * 2 ** (max(pitch, 45) / 9 - 60 / 9)
    frequencies_hz = fundamental_hz * ratios * np.sqrt((1 + stiffness * ratios**2) / (1 + stiffness))

    amplitudes = n**-instrument.slope * np.where(n % 2 == 0, instrument.even, 1.0)
    if instrument.pluck:
        amplitudes = amplitudes * (0.1 + np.abs(np.sin(np.pi * n * instrument.pluck)))
    # The cutoff rises half as fast as the pitch: high notes are brighter, yet have fewer audible partials.
    cutoff_hz = instrument.cutoff_hz * 2 ** (instrument.cutoff_octaves * (velocity / 127 - 0.5) + (pitch - 60) / 24)
    amplitudes = amplitudes / (1 + (frequencies_hz / cutoff_hz) ** 2)
    for centre_hz, gain in instrument.formants:
        amplitudes = amplitudes * (1 + (gain - 1) * np.exp(-2 * np.log2(frequencies_hz / centre_hz) ** 2))

    audible = frequencies_hz < 0.45 * sample_rate_hz
    frequencies_hz, amplitudes = frequencies_hz[audible], amplitudes[audible]
    return frequencies_hz, amplitudes / max(np.sqrt(np.sum(amplitudes**2)), 1e-9)


def _modes(instrument: Instrument, pitch: int, velocity: int, sample_rate_hz: int) -> _Modes:
    """The partials of a note, each split into the modes that give it its envelope."""
    frequencies_hz, amplitudes = _partials(instrument, pitch, velocity, sample_rate_hz)
    n = np.arange(len(frequencies_hz))
    phases = np.pi * 0.618034 * n**2  # a linear phase would be a mere delay: then all partials peak together
    cents = instrument.detune_cents
    if instrument.decay_s:
        rate = np.log(1000) / (instrument.decay_s * 2 ** ((60 - pitch) / 20))  # low strings ring longer
        rates = rate * (1 + instrument.decay_tilt * n)
        parts = [(0.72, 2.6 * rates, -cents / 3), (0.28, 0.7 * rates, cents)]
    else:
        attack_rates = 1 / (instrument.attack_s * (0.7 + 0.06 * n))  # the upper partials speak later
        voices = [(0.6, -0.4 * cents), (0.5, 0.1 * cents), (0.5, 0.6 * cents)] if cents else [(1.0, 0.0)]
        parts = [(weight * sign, rates, detune) for weight, detune in voices
                 for sign, rates in ((1.0, np.zeros(len(n))), (-1.0, attack_rates))]  # fmt: skip
    return _Modes(
        frequencies_hz=np.concatenate([frequencies_hz * 2 ** (detune / 1200) for _, _, detune in parts]),
        rates=np.concatenate([rates for _, rates, _ in parts]),
        amplitudes=np.concatenate([weight * amplitudes for weight, _, _ in parts]),
        # The two modes of one beginning must share their phase. Voices out of tune with each other must not: in step
        # they would sweep through each other like a flanger.
        phases=np.concatenate([phases * (1 + detune) for _, _, detune in parts]),
    )


def _sum_of_modes(modes: _Modes, n_samples: int, sample_rate_hz: int) -> np.ndarray:
    """Add up damped sines by one matrix product, shape (n_samples,).

    With t = block start + time within the block, exp(z t) = exp(z start) exp(z within) for z = -d + 2 pi i f, and the
    imaginary part of a product of complex numbers is a sum of two real products.
    """
    z = (-modes.rates + 2j * np.pi * modes.frequencies_hz) / sample_rate_hz
    starts = np.arange(0, n_samples, BLOCK_SAMPLES)
    blocks = modes.amplitudes * np.exp(np.outer(starts, z) + 1j * modes.phases)  # (n_blocks, n_modes)
    within = np.exp(np.outer(z, np.arange(BLOCK_SAMPLES)))  # (n_modes, BLOCK_SAMPLES)
    y = np.hstack([blocks.imag, blocks.real]) @ np.vstack([within.real, within.imag])
    return y.reshape(-1)[:n_samples]


def _level(velocity: int) -> float:
    return float((velocity / 127) ** LEVEL_EXPONENT)


@lru_cache(maxsize=32)
def _noise(band_hz: tuple[float, float], sample_rate_hz: int) -> np.ndarray:
    """Two seconds of noise within a band, RMS 1; made by FFT, therefore periodic and free to be repeated."""
    n_samples = 2 * sample_rate_hz
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(n_samples))
    frequencies_hz = np.fft.rfftfreq(n_samples, 1 / sample_rate_hz)
    low, high = band_hz
    spectrum *= 1 / (1 + (low / np.maximum(frequencies_hz, 1.0)) ** 4) / (1 + (frequencies_hz / high) ** 4)
    noise = np.fft.irfft(spectrum, n_samples)
    noise /= noise.std()
    noise.setflags(write=False)
    return noise


def _with_vibrato(y: np.ndarray, instrument: Instrument, pitch: int, sample_rate_hz: int) -> np.ndarray:
    """Bend the time axis to and fro by a few samples; it sets in after a quarter of a second, as players do."""
    t_s = np.arange(len(y)) / sample_rate_hz
    rate_hz = 5.2 + 0.1 * (pitch % 7)  # no two neighbouring notes in step
    wave = np.sin(2 * np.pi * rate_hz * t_s) * np.clip((t_s - 0.2) / 0.4, 0, 1)
    if instrument.vibrato_cents:
        deviation = 2 ** (instrument.vibrato_cents / 1200) - 1
        shift_samples = deviation / (2 * np.pi * rate_hz) * sample_rate_hz * wave
        y = map_coordinates(y, [np.arange(len(y)) + shift_samples], order=3, mode="nearest")
    return y * (1 + instrument.tremolo * wave)


@lru_cache(maxsize=384)
def _cached_note(instrument: Instrument, pitch: int, step: int, n_samples: int, sample_rate_hz: int) -> np.ndarray:
    velocity = VELOCITY_STEPS[step]
    y = _sum_of_modes(_modes(instrument, pitch, velocity, sample_rate_hz), n_samples, sample_rate_hz)
    t_s = np.arange(n_samples) / sample_rate_hz
    if instrument.vibrato_cents or instrument.tremolo:
        y = _with_vibrato(y, instrument, pitch, sample_rate_hz)
    if instrument.noise_db > -100:
        envelope = np.exp(-t_s / instrument.noise_s) if instrument.noise_s else 1 - np.exp(-t_s / instrument.attack_s)
        noise = np.resize(np.roll(_noise(instrument.noise_band_hz, sample_rate_hz), 997 * pitch), n_samples)
        y = y + 10 ** (instrument.noise_db / 20) * envelope * noise
    n_fade = round(FADE_IN_S * sample_rate_hz)
    y[:n_fade] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(n_fade) / n_fade)
    y = (_level(velocity) * 10 ** (instrument.gain_db / 20) * y).astype(np.float32)
    y.setflags(write=False)  # shared by everyone who asks for this note
    return y


def render_note(
    instrument: str, pitch: int, velocity_step: int, duration_s: float, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> np.ndarray:
    """One key held for `duration_s`: no release, no room.

    Parameters
    ----------
    instrument : str, a key of `INSTRUMENTS`
    pitch : int, MIDI note number, 0..127
    velocity_step : int, index into `VELOCITY_STEPS`
    duration_s : float > 0, seconds
    sample_rate_hz : int

    Returns
    -------
    ndarray, shape (n_samples,), float32, read-only: it is shared with later calls

    Examples
    --------
    >>> render_note("piano", 60, 4, duration_s=0.5).shape
    (12000,)
    """
    n_samples = round(duration_s * sample_rate_hz)
    if n_samples < 1:
        raise InputError(f"A note lasts at least one sample, got {duration_s} s.")
    return _cached_note(find_instrument(instrument), pitch, velocity_step, n_samples, sample_rate_hz)


def find_instrument(name: str) -> Instrument:
    """The instrument of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in INSTRUMENTS:
        raise InputError(f"There is no instrument {name!r}.", f"Choose one of {', '.join(INSTRUMENTS)}.")
    return INSTRUMENTS[name]


# --- a performance ----------------------------------------------------------------------------------------


def sound_ends(notes: Sequence[Note], pedal: Sequence[PedalSpan]) -> np.ndarray:
    """When the damper falls on each note: key up, or pedal up after it, at the latest when the key is struck again.

    Returns
    -------
    ndarray, shape (n_notes,), seconds, in the order of `notes`
    """
    ends_s = np.array([note.end_s for note in notes], dtype=float)
    for span in pedal:
        held = (ends_s >= span.start_s) & (ends_s < span.end_s)
        ends_s[held] = span.end_s
    next_start_s: dict[int, float] = {}
    for i in sorted(range(len(notes)), key=lambda i: notes[i].start_s, reverse=True):
        ends_s[i] = min(ends_s[i], next_start_s.get(notes[i].pitch, np.inf))
        next_start_s[notes[i].pitch] = notes[i].start_s
    return ends_s


def _release_s(instrument: Instrument, pitch: int) -> float:
    """Time constant of the damper: heavy bass strings stop later, the top of a piano has no dampers."""
    if instrument.name == "piano" and pitch > 88:
        return 0.6
    return instrument.release_s * 2 ** ((60 - pitch) / 30)


@lru_cache(maxsize=4)
def _room(sample_rate_hz: int) -> np.ndarray:
    """Impulse response of a small wooden room: the direct sound, then noise whose treble dies first."""
    n_samples = round(ROOM_S * sample_rate_hz)
    t_s = np.arange(n_samples) / sample_rate_hz
    rng = np.random.default_rng(2)
    spectra = np.fft.rfft(rng.standard_normal((3, n_samples)))
    frequencies_hz = np.fft.rfftfreq(n_samples, 1 / sample_rate_hz)
    bands = np.digitize(frequencies_hz, (600, 3000))  # low, middle, high
    tail = np.zeros(n_samples)
    for band, reverberation_s in enumerate((0.75, 0.65, 0.4)):
        noise = np.fft.irfft(spectra[band] * (bands == band) * (frequencies_hz > 60), n_samples)
        tail += noise * np.exp(-np.log(1000) * t_s / reverberation_s)
    tail *= np.clip((t_s - 0.008) / 0.012, 0, 1)  # the nearest wall is almost 3 m of sound away
    tail *= np.clip((ROOM_S - t_s) / 0.1, 0, 1)
    tail *= ROOM_LEVEL / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return tail


def _soft_limit(y: np.ndarray) -> np.ndarray:
    """Leave amplitudes below SOFT_LIMIT alone and bend the rest smoothly, never above PEAK_LIMIT."""
    limited = y.copy()
    loud = np.abs(y) > SOFT_LIMIT  # a few of a recording's samples
    room = PEAK_LIMIT - SOFT_LIMIT
    bent = SOFT_LIMIT + room * np.tanh((np.abs(y[loud]) - SOFT_LIMIT) / room)
    limited[loud] = np.sign(y[loud]) * bent
    return limited


def render(
    notes: Sequence[Note],
    pedal: Sequence[PedalSpan] = (),
    instrument: str = "piano",
    *,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    duration_s: float | None = None,
) -> np.ndarray:
    """Play notes on an instrument in a small room.

    Parameters
    ----------
    notes : sequence of Note, in any order
    pedal : sequence of PedalSpan; heard on every instrument, whether or not the real one has a pedal
    instrument : str, a key of `INSTRUMENTS`
    sample_rate_hz : int
    duration_s : float, seconds, or None: as long as the last note and one second of decay

    Returns
    -------
    ndarray, shape (n_samples,), float32; peak at most `PEAK_LIMIT`, not normalised

    Raises
    ------
    InputError
        If the instrument is unknown, or a note ends before it starts or is no MIDI note.
    """
    model = find_instrument(instrument)
    for note in notes:
        is_midi = 0 <= note.pitch <= 127 and 1 <= note.velocity <= 127
        if not (is_midi and 0 <= note.start_s < note.end_s < float("inf")):
            raise InputError(f"{note} cannot be played.", "Pitch 0..127, velocity 1..127, 0 <= start < end.")
    ends_s = sound_ends(notes, pedal)
    if duration_s is None:
        duration_s = float(ends_s.max(initial=0.0)) + 1.0
    y = np.zeros(round(duration_s * sample_rate_hz))
    for note, end_s in zip(notes, ends_s, strict=True):
        release_s = RESTRIKE_S if end_s < note.end_s else _release_s(model, note.pitch)
        _add_note(y, note, end_s, release_s, model, sample_rate_hz)
    y = oaconvolve(y, _room(sample_rate_hz))[: len(y)] if len(y) else y
    y = _soft_limit(y)
    n_fade = min(round(0.03 * sample_rate_hz), len(y))  # a recording may stop before the last note has died
    y[len(y) - n_fade :] *= np.linspace(1, 0, n_fade)
    return y.astype(np.float32)


def _add_note(
    y: np.ndarray, note: Note, end_s: float, release_s: float, instrument: Instrument, sample_rate_hz: int
) -> None:
    """Add one note, with its release, to the mix `y` (our own array, changed in place)."""
    start = round(note.start_s * sample_rate_hz)
    n_held = max(round((end_s - note.start_s) * sample_rate_hz), 1)
    n_release = round(7 * release_s * sample_rate_hz)  # seven time constants: -61 dB
    n_longest = min(len(y) - start, round(LONGEST_NOTE_S * sample_rate_hz))
    n_samples = min(n_held + n_release, n_longest)
    if n_samples <= 0:
        return
    # Cached lengths double from half a second, so that notes of many lengths share few renderings.
    n_cached = sample_rate_hz // 2
    while n_cached < n_samples:
        n_cached *= 2
    step = int(np.argmin(np.abs(np.asarray(VELOCITY_STEPS) - note.velocity)))
    wave = _cached_note(instrument, note.pitch, step, n_cached, sample_rate_hz)[:n_samples]
    gain = _level(note.velocity) / _level(VELOCITY_STEPS[step])
    n_free = min(n_held, n_samples)
    y[start : start + n_free] += gain * wave[:n_free]
    if n_samples > n_free:
        t = np.arange(n_samples - n_free) / n_release
        y[start + n_free : start + n_samples] += gain * wave[n_free:] * np.exp(-7 * t) * (1 - t)
