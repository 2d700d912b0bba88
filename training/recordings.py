"""Recordings: a passage played in a room, as log-mel frames, with its labels.

    seed -> Music -> two Passages -> dry parts -> mix, drive, room, peak -> log-mel (800, 128) + Labels

The two recordings of one seed are twins: the same music at the same pitch, in other timbres and at another tempo.
What changes from one hearing to the next, such as tilt of the spectrum and noise, is done while training, on the mel
(`batches.py`); a room cannot be.

Log-mel is stored with a floor 20 dB below that of the encoder, because a crop is scaled to its own peak later.

Conventions: audio is mono at 24 kHz; frames as in `labels.py`, mel frames at twice their rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from scipy.signal import oaconvolve

from mess_core.encoders.mel import MEL_HOP_SAMPLES, PEAK_LEVEL, LogMel
from mess_core.encoders.nano import FFT_SAMPLES
from mess_core.notes.synthesis import SAMPLE_RATE_HZ
from training.labels import FRAME_RATE_HZ, Labels, label
from training.passages import PASSAGE_S, Part, Passage, arrange, choose
from training.soundfont import SoundFont
from training.sources import Source, choose_source, read_music
from training.voices import drum, sing

STORED_FLOOR = 1e-8  # of power: 20 dB below the encoder's own
STORED_MIN, STORED_STEP = float(np.log(STORED_FLOOR)), 0.11  # nepers of power: 0.48 dB, so that 255 steps reach +9.6
N_MEL_FRAMES = round(PASSAGE_S * SAMPLE_RATE_HZ / MEL_HOP_SAMPLES)
SOUNDFONT_SHARE = 0.3  # of the arrangements, where there is a SoundFont
ATTEMPTS = 50


@dataclass(frozen=True, eq=False)
class TrainingRecording:
    """One recording, ready to be learned from.

    log_mel : (800, 128) uint8, see `to_bytes`
    peaks : (400,) float16, largest sample around each frame
    music : name of the piece; twins share it
    """

    log_mel: np.ndarray
    peaks: np.ndarray
    labels: Labels
    music: str


def make_twins(
    sources: dict[str, list[Source]], seed: tuple[int, ...], soundfont: SoundFont | None = None
) -> tuple[TrainingRecording, TrainingRecording]:
    """Two recordings of one passage; the same for the same seed."""
    rng = np.random.default_rng(seed)
    for _ in range(ATTEMPTS):
        music = read_music(choose_source(sources, rng))
        choice = choose(music, rng)
        passages = [arrange(music, choice, rng) for _ in range(2)]
        if all(passages):
            first, second = (record(passage, music.name, rng, soundfont) for passage in passages if passage)
            return first, second
    raise RuntimeError(f"No passage with notes in {ATTEMPTS} draws: the sources are nearly empty.")


def record(
    passage: Passage, music: str, rng: np.random.Generator, soundfont: SoundFont | None = None
) -> TrainingRecording:
    """Play a passage, put it in a room, and take its log-mel."""
    uses_soundfont = rng.random() < SOUNDFONT_SHARE and soundfont is not None
    dry = soundfont.play(passage, rng) if uses_soundfont and soundfont else play(passage)
    wet = in_room(_driven(dry, rng), rng)
    audio = wet * (PEAK_LEVEL / max(np.abs(wet).max(), 1e-9))
    labels = label(passage, dry, SAMPLE_RATE_HZ)
    if uses_soundfont:  # whose sound hardly follows velocity
        labels = replace(labels, velocity=np.full_like(labels.velocity, np.nan))
    return TrainingRecording(to_bytes(log_mel(audio)), frame_peaks(audio), labels, music)


def play(passage: Passage) -> np.ndarray:
    """The parts and the drums together, dry, (n_samples,)."""

    def at_level(part: Part) -> np.ndarray:
        return 10 ** (part.gain_db / 20) * sing(part.notes, passage.pedal_of(part), part.voice, passage.duration_s)

    mix = np.sum([at_level(part) for part in passage.parts], axis=0)
    return mix + drum(passage.hits, passage.kit, passage.duration_s) if passage.hits else mix


def _driven(dry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Now and then through an amplifier that bends its peaks."""
    if rng.random() > 0.2:
        return dry
    drive = rng.uniform(0.5, 4.0) / max(np.abs(dry).max(), 1e-9)
    return np.tanh(drive * dry)


def in_room(dry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In a room drawn at random: noise that dies, its treble sooner; one recording in six stays dry."""
    if rng.random() < 1 / 6:
        return dry
    reverberation_s = float(2 ** rng.uniform(-2.3, 1.3))  # 0.2 to 2.5 s
    n_samples = round(min(reverberation_s, 1.5) * SAMPLE_RATE_HZ)
    t_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    frequencies_hz = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE_HZ)
    dark_hz = float(2 ** rng.uniform(10, 13))
    bright = np.fft.irfft(spectrum / (1 + (200 / np.maximum(frequencies_hz, 1)) ** 2), n_samples)
    dark = np.fft.irfft(spectrum / (1 + (frequencies_hz / dark_hz) ** 2), n_samples)
    tail = 0.4 * bright * np.exp(-2.5 * np.log(1000) * t_s / reverberation_s)
    tail += dark * np.exp(-np.log(1000) * t_s / reverberation_s)
    tail *= np.clip((t_s - rng.uniform(0.002, 0.03)) / 0.01, 0, 1)
    tail *= 10 ** (rng.uniform(-20, 2) / 20) / max(np.sqrt(np.sum(tail**2)), 1e-9)
    tail[0] = 1.0
    return oaconvolve(dry, tail)[: len(dry)]


def log_mel(audio: np.ndarray) -> np.ndarray:
    """Natural logarithm of mel power, as the encoder's but for its floor and peak, (800, 128) float32."""
    front_end = _front_end()
    spectra = torch.stft(
        torch.from_numpy(audio.astype(np.float32)),
        FFT_SAMPLES,
        MEL_HOP_SAMPLES,
        window=front_end.window,
        center=True,
        return_complex=True,
    )
    power = (spectra.real.square() + spectra.imag.square()).T @ front_end.filters
    return torch.log(power + STORED_FLOOR).numpy()[:N_MEL_FRAMES]


@lru_cache(maxsize=1)
def _front_end() -> LogMel:
    return LogMel(fft_samples=FFT_SAMPLES)  # its filters take longer to make than a recording's spectrum


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Log-mel in steps of `STORED_STEP` above `STORED_MIN`, uint8."""
    return np.clip(np.rint((values - STORED_MIN) / STORED_STEP), 0, 255).astype(np.uint8)


def from_bytes(stored: torch.Tensor) -> torch.Tensor:
    """Log-mel again, float32."""
    return stored.float() * STORED_STEP + STORED_MIN


def frame_peaks(audio: np.ndarray) -> np.ndarray:
    """Largest absolute sample around each frame, (400,) float16."""
    size = SAMPLE_RATE_HZ // FRAME_RATE_HZ
    n_frames = round(PASSAGE_S * FRAME_RATE_HZ)
    padded = np.pad(np.abs(audio), (size // 2, size))[: n_frames * size]
    return padded.reshape(n_frames, size).max(axis=1).astype(np.float16)
