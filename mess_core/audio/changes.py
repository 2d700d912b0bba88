"""Changes: the same recording, played higher, faster, brighter, in a hall, in noise; to hear what an encoder goes by.

    samples (n, n_channels) -> pitch -> tempo -> brightness -> hall -> noise -> level -> samples (m, n_channels)

Each is what it says and as little else as can be: pitch and tempo by a phase vocoder, which smears attacks somewhat;
brightness tilts the spectrum about 1 kHz; a hall adds a seeded tail of noise that dies away, half as strong as the
sound itself; noise is white. What would clip is made quieter as a whole.

Source
------
Laroche & Dolson (1999) for the phase vocoder, as in librosa; Polack (1988) for a hall as decaying noise.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from mess_core.errors import InputError

TILTED_ABOUT_HZ, LOWEST_TILTED_HZ, MOST_TILTED_DB = 1000.0, 50.0, 24.0
HALL_SHARE = 0.5  # of the energy of the sound itself
DECAY_DB = 60.0  # that a hall's reverberation time is told by


class Bounds(NamedTuple):
    """Least and most that can be asked for, and what changes nothing."""

    least: float
    most: float
    none: float


BOUNDS = {
    "semitones": Bounds(-12, 12, 0),
    "tempo": Bounds(0.5, 2, 1),
    "tilt_db": Bounds(-6, 6, 0),
    "hall_s": Bounds(0, 5, 0),
    "snr_db": Bounds(0, 60, 60),
    "level_db": Bounds(-40, 12, 0),
}


@dataclass(frozen=True)
class Change:
    """What is done to a recording; checked when made.

    semitones : higher; tempo : times as fast
    tilt_db : brighter, per octave
    hall_s : reverberation time, until the sound has died away by 60 dB
    snr_db : sound above noise; the most that can be asked for is no noise at all
    level_db : louder
    """

    semitones: float = 0.0
    tempo: float = 1.0
    tilt_db: float = 0.0
    hall_s: float = 0.0
    snr_db: float = 60.0
    level_db: float = 0.0

    def __post_init__(self) -> None:
        for name, (least, most, _) in BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(f"{name} is {value:g}, expected {least:g} to {most:g}.")

    @property
    def is_none(self) -> bool:
        return all(getattr(self, each.name) == BOUNDS[each.name].none for each in fields(self))

    @property
    def words(self) -> str:
        """What is done, in words.

        Examples
        --------
        >>> Change(semitones=-1, tempo=1.25, hall_s=2).words
        '1 semitone lower, 1.25 times as fast, in a hall of 2 s'
        >>> Change().words
        'as it is'
        """
        said = []
        if self.semitones:
            unit = "semitone" if abs(self.semitones) == 1 else "semitones"
            said.append(f"{abs(self.semitones):g} {unit} {'higher' if self.semitones > 0 else 'lower'}")
        if self.tempo != 1:
            said.append(f"{self.tempo:g} times as fast")
        if self.tilt_db:
            said.append(f"{'brighter' if self.tilt_db > 0 else 'darker'} by {abs(self.tilt_db):g} dB an octave")
        if self.hall_s:
            said.append(f"in a hall of {self.hall_s:g} s")
        if self.snr_db < BOUNDS["snr_db"].none:
            said.append(f"with noise {self.snr_db:g} dB below it")
        if self.level_db:
            said.append(f"{'louder' if self.level_db > 0 else 'quieter'} by {abs(self.level_db):g} dB")
        return ", ".join(said) or "as it is"


def apply(change: Change, samples: np.ndarray, sample_rate_hz: int, seed: int = 0) -> np.ndarray:
    """The changed recording.

    Parameters
    ----------
    change : Change
    samples : ndarray, shape (n, n_channels), float32
        At least a tenth of a second.
    sample_rate_hz : int
    seed : int
        Of hall and noise.

    Returns
    -------
    ndarray, shape (m, n_channels), float32, at most 1 in size; longer or shorter where tempo or a hall asks for it
    """
    if samples.ndim != 2 or len(samples) < sample_rate_hz / 10:
        raise InputError(f"Samples of shape {samples.shape} were given; expected (n, n_channels), a tenth of a second.")
    rng = np.random.default_rng(seed)
    sound = samples.T.astype(np.float32)
    if change.semitones or change.tempo != 1:
        sound = _replayed(sound, sample_rate_hz, change.semitones, change.tempo)
    if change.tilt_db:
        sound = _tilted(sound, sample_rate_hz, change.tilt_db)
    if change.hall_s:
        sound = _in_hall(sound, sample_rate_hz, change.hall_s, rng)
    if change.snr_db < BOUNDS["snr_db"].none:
        power = float(np.mean(sound.astype(np.float64) ** 2))
        noise = rng.standard_normal(sound.shape)
        sound = sound + np.sqrt(power * 10 ** (-change.snr_db / 10)) * noise
    sound = sound * 10 ** (change.level_db / 20)
    peak = np.abs(sound).max(initial=0.0)
    quiet: np.ndarray = (sound / max(peak, 1.0)).T.astype(np.float32)
    return quiet


def _replayed(sound: np.ndarray, sample_rate_hz: int, semitones: float, tempo: float) -> np.ndarray:
    import librosa

    if semitones:
        sound = librosa.effects.pitch_shift(sound, sr=sample_rate_hz, n_steps=semitones, res_type="soxr_hq")
    if tempo != 1:
        sound = librosa.effects.time_stretch(sound, rate=tempo)
    return sound


def _tilted(sound: np.ndarray, sample_rate_hz: int, tilt_db: float) -> np.ndarray:
    n = sound.shape[1]
    hz = np.fft.rfftfreq(n, 1 / sample_rate_hz).clip(min=LOWEST_TILTED_HZ)
    gain_db = (tilt_db * np.log2(hz / TILTED_ABOUT_HZ)).clip(-MOST_TILTED_DB, MOST_TILTED_DB)
    tilted: np.ndarray = np.fft.irfft(np.fft.rfft(sound) * 10 ** (gain_db / 20), n)
    return tilted


def _in_hall(sound: np.ndarray, sample_rate_hz: int, hall_s: float, rng: np.random.Generator) -> np.ndarray:
    from scipy.signal import fftconvolve

    time_s = np.arange(1, round(hall_s * sample_rate_hz)) / sample_rate_hz
    tail = rng.standard_normal((len(sound), len(time_s))) * 10 ** (-DECAY_DB / 20 * time_s / hall_s)
    tail *= np.sqrt(HALL_SHARE / np.maximum((tail**2).sum(axis=1, keepdims=True), 1e-12))
    response = np.concatenate([np.ones((len(sound), 1)), tail], axis=1)
    heard: np.ndarray = fftconvolve(sound, response, axes=1)
    return heard
