"""A second source of timbre: a SoundFont, played by TinySoundFont. Optional; our own synthesiser is enough.

MuseScore_General (MIT licence; Debian: musescore-general-soundfont-small) is the one that was tried. TinySoundFont
ignores the pedal, so keys are held until the damper falls; its loudness is linear in velocity, so velocities are
squared first; and with this SoundFont loudness does not follow velocity everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.errors import DataMissingError, DependencyMissingError
from mess_core.notes.synthesis import SAMPLE_RATE_HZ, sound_ends
from training.passages import Passage
from training.voices import drum

PROGRAMS = {  # General MIDI, counted from 0
    "piano": (0, 1, 3, 4, 5),
    "plucked": (6, 24, 25, 26, 27, 45, 46, 104, 105, 107),
    "bowed": (40, 41, 42, 48, 49),
    "flute": (72, 73, 74, 75, 79),
    "reed": (64, 65, 66, 68, 69, 70, 71),
    "brass": (56, 57, 58, 60, 61),
    "organ": (16, 17, 18, 19, 20, 21),
    "mallet": (8, 9, 10, 11, 12, 13, 14),
    "voice": (52, 53, 54),
    "bass": (32, 33, 34, 35, 36, 38, 43),
    "synth": (80, 81, 87, 88, 89, 90, 91, 92),
}


class SoundFont:
    """A SoundFont that plays passages.

    Parameters
    ----------
    path : Path, .sf2 or .sf3
    programs : of each family, of which one is drawn

    Raises
    ------
    DataMissingError, DependencyMissingError
        If the file or TinySoundFont is not there.
    """

    def __init__(self, path: Path, programs: Mapping[str, Sequence[int]] = PROGRAMS) -> None:
        self.programs = programs
        try:
            import tinysoundfont
        except ImportError as error:
            raise DependencyMissingError(
                "TinySoundFont is not installed.", "pip install --no-deps tinysoundfont"
            ) from error
        if not path.is_file():
            raise DataMissingError(f"There is no SoundFont {path}.", "Leave --soundfont out: it is optional.")
        self.synth: Any = tinysoundfont.Synth(samplerate=SAMPLE_RATE_HZ)
        self.id = self.synth.sfload(str(path))

    def play(self, passage: Passage, rng: np.random.Generator) -> np.ndarray:
        """The passage, dry; drums are our own. (n_samples,) float64."""
        events: list[tuple[float, int, int, int, int]] = []  # time, 0 off and 1 on, channel, pitch, velocity
        for channel, part in enumerate(passage.parts):
            self.synth.program_select(channel, self.id, 0, int(rng.choice(self.programs[part.voice.family])))
            for note, end_s in zip(part.notes, sound_ends(part.notes, passage.pedal_of(part)), strict=True):
                loud = max(round(note.velocity**2 / 127 * 10 ** (part.gain_db / 20)), 1)
                events += [(note.start_s, 1, channel, note.pitch, loud), (end_s, 0, channel, note.pitch, 0)]
        blocks, at = [], 0
        n_samples = round(passage.duration_s * SAMPLE_RATE_HZ)
        for time_s, is_on, channel, pitch, velocity in [*sorted(events), (passage.duration_s, 0, 0, 0, 0)]:
            until = min(round(time_s * SAMPLE_RATE_HZ), n_samples)
            if until > at:
                stereo = np.frombuffer(bytes(self.synth.generate(until - at)), np.float32).reshape(-1, 2)
                blocks.append(stereo.mean(axis=1, dtype=np.float64))
                at = until
            if is_on:
                self.synth.noteon(channel, pitch, velocity)
            else:
                self.synth.noteoff(channel, pitch)
        self.synth.sounds_off()
        self.synth.generate(SAMPLE_RATE_HZ)  # what still rings would be heard in the next passage
        mix = np.concatenate(blocks)
        if passage.hits:
            mix = mix + np.abs(mix).max() * drum(passage.hits, passage.kit, passage.duration_s)
        return mix
