"""Labels: what is known of a passage because it was made from notes, frame by frame.

Conventions
-----------
Frames are those of MESS-nano, 25 per second: frame k is centred on k / 25 s. Key 0 of the pitch columns is A0 (21).
A key sounds from its onset until the damper falls. What is undefined is NaN, or the class after the last.

Source
------
Chords: the triad whose tones hold the most of the sounding time around a frame, against what lies outside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from mess_core.encoders.mel import LOG_FLOOR
from mess_core.notes.midi import Note
from mess_core.notes.synthesis import sound_ends
from training.passages import Passage
from training.voices import DRUMS, FAMILY_NAMES, LOWEST

FRAME_RATE_HZ = 25
N_KEYS = 88
N_CHORDS = 25  # 12 major, 12 minor, none
NO_CHORD = 24
CHORD_WINDOW_S = 1.0
SAME_ONSET_S = 0.03  # what begins within this is a chord: articulation looks beyond it
LONGEST_RATIO = 1.5
QUIETEST_DB = -60.0


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of one recording; T frames.

    active, onsets : (T, 88) bool
    velocity : (T,) float32, mean MIDI velocity of what begins in a frame, NaN where nothing does
    articulation : (T,) float32, mean ratio of what begins in a frame, NaN where nothing does
    drums : (T, 3) bool, onsets of kick, snare, hat
    families : (T, n_families) bool, sounding
    loudness : (T,) float32, dB below the loudest frame
    beat : (T,) float32, phase of the beat in [0, 1), NaN where nobody knows it
    chord : (T,) int8, 0..11 major, 12..23 minor, 24 none
    tempo_bpm : float, NaN where nobody knows it
    key : int, 0..11 major, 12..23 minor
    """

    active: np.ndarray
    onsets: np.ndarray
    velocity: np.ndarray
    articulation: np.ndarray
    drums: np.ndarray
    families: np.ndarray
    loudness: np.ndarray
    beat: np.ndarray
    chord: np.ndarray
    tempo_bpm: float
    key: int


def label(passage: Passage, audio: np.ndarray, sample_rate_hz: int) -> Labels:
    """All labels of a passage.

    Parameters
    ----------
    passage : Passage
    audio : ndarray, shape (n_samples,), the passage without room and noise: its loudness is taken from it
    sample_rate_hz : int
    """
    n_frames = round(passage.duration_s * FRAME_RATE_HZ)
    active = np.zeros((n_frames, N_KEYS), bool)
    onsets = np.zeros((n_frames, N_KEYS), bool)
    families = np.zeros((n_frames, len(FAMILY_NAMES)), bool)
    weights = np.zeros((3, n_frames))  # how many begin, their velocities, their articulation
    n_articulated = np.zeros(n_frames)
    for part in passage.parts:
        ratios = articulation_ratios(part.notes)
        ends_s = sound_ends(part.notes, passage.pedal_of(part))
        for note, end_s, ratio in zip(part.notes, ends_s, ratios, strict=True):
            first = frame_of(note.start_s, n_frames)
            last = max(first + 1, min(round(end_s * FRAME_RATE_HZ), n_frames))
            active[first:last, note.pitch - LOWEST] = True
            onsets[first, note.pitch - LOWEST] = True
            families[first:last, FAMILY_NAMES.index(part.voice.family)] = True
            weights[0, first] += 1
            weights[1, first] += note.velocity
            if np.isfinite(ratio):
                n_articulated[first] += 1
                weights[2, first] += ratio
    drums = np.zeros((n_frames, len(DRUMS)), bool)
    for hit in passage.hits:
        drums[frame_of(hit.start_s, n_frames), DRUMS.index(hit.drum)] = True
    beat, tempo_bpm = beat_phase(passage.beats_s, n_frames)
    return Labels(
        active=active,
        onsets=onsets,
        velocity=_mean(weights[1], weights[0]),
        articulation=_mean(weights[2], n_articulated),
        drums=drums,
        families=families,
        loudness=loudness_contour(audio, n_frames, sample_rate_hz),
        beat=beat,
        chord=chords(active),
        tempo_bpm=tempo_bpm,
        key=passage.key,
    )


def frame_of(time_s: float, n_frames: int) -> int:
    """The frame whose centre is nearest."""
    return min(round(time_s * FRAME_RATE_HZ), n_frames - 1)


def articulation_ratios(notes: tuple[Note, ...]) -> np.ndarray:
    """Time held over the time to the next onset of the part, (n_notes,); NaN for the last.

    Examples
    --------
    >>> articulation_ratios((Note(0, 0.5, 60, 64), Note(1, 2, 62, 64))).tolist()
    [0.5, nan]
    """
    starts_s = np.array([note.start_s for note in notes])
    held_s = np.array([note.end_s for note in notes]) - starts_s
    following = np.searchsorted(starts_s, starts_s + SAME_ONSET_S, side="right")
    next_s = np.append(starts_s, np.nan)[following]
    return np.clip(held_s / (next_s - starts_s), 0, LONGEST_RATIO)


def chords(active: np.ndarray) -> np.ndarray:
    """The triad around each frame, (T,) int8.

    Parameters
    ----------
    active : ndarray, shape (T, 88), bool
    """
    chroma = np.zeros((len(active), 12))
    for column in range(N_KEYS):
        chroma[:, (column + LOWEST) % 12] += active[:, column]
    width = round(CHORD_WINDOW_S * FRAME_RATE_HZ)
    chroma = uniform_filter1d(chroma, width, axis=0, mode="constant")
    triads = np.full((24, 12), -0.5)
    for root in range(12):
        for third, row in ((4, root), (3, 12 + root)):
            triads[row, [(root + step) % 12 for step in (0, third, 7)]] = 1.0
    fits = chroma @ triads.T
    best = fits.argmax(axis=1)
    return np.where(fits.max(axis=1) > 1e-9, best, NO_CHORD).astype(np.int8)


def beat_phase(beats_s: np.ndarray, n_frames: int) -> tuple[np.ndarray, float]:
    """Phase of the beat at each frame, and the tempo [bpm] between the beats that are heard."""
    times_s = np.arange(n_frames) / FRAME_RATE_HZ
    heard = beats_s[(beats_s >= 0) & (beats_s <= times_s[-1])]
    if len(heard) < 3:
        return np.full(n_frames, np.nan, np.float32), float("nan")
    position = np.interp(times_s, beats_s, np.arange(len(beats_s)), left=np.nan, right=np.nan)
    return (position % 1).astype(np.float32), float(60 / np.median(np.diff(heard)))


def loudness_contour(audio: np.ndarray, n_frames: int, sample_rate_hz: int) -> np.ndarray:
    """Level of each frame, dB below the loudest, no lower than `QUIETEST_DB`; (T,) float32."""
    size = sample_rate_hz // FRAME_RATE_HZ
    padded = np.pad(audio, (size // 2, size))[: n_frames * size].reshape(n_frames, size)  # centred on the frame
    level = 10 * np.log10((padded**2).mean(axis=1) + LOG_FLOOR**2)
    return np.maximum(level - level.max(), QUIETEST_DB).astype(np.float32)


def _mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)
