"""Play a folder of MIDI by a SoundFont's piano: a second rendering, beside that of our own synthesiser.

    python -m training.render FOLDER --soundfont FILE.sf3

Beside each MIDI file its audio is written, under the same name, so that a collection of MIDI (PercePiano) is added with
it and not rendered: what holds in two timbres is not of one. All files have the same gain, so a performance that is
louder is heard louder. What is there is left as it is: it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import numpy as np
import soundfile

from mess_core.collections.rendering import excerpt
from mess_core.collections.walking import MIDI_SUFFIXES
from mess_core.errors import MessError
from mess_core.notes.midi import read_midi
from mess_core.notes.synthesis import SAMPLE_RATE_HZ
from mess_core.storage.files import write_atomically
from training.passages import Part, Passage
from training.soundfont import SoundFont
from training.voices import FAMILIES, Voice, draw_kit

GRAND_PIANO = {"piano": (0,)}  # General MIDI
GAIN = 0.25  # fortissimo chords with the pedal down then stay below full scale


def render_folder(folder: Path, soundfont: SoundFont) -> tuple[int, list[tuple[str, str]]]:
    """Write what is missing; returns how many files, and which could not be played, with why."""
    n_made, refused = 0, []
    for midi in sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES):
        audio = midi.with_suffix(".flac")
        if audio.is_file():
            continue
        try:
            write_atomically(audio, play(midi, soundfont))
            n_made += 1
        except MessError as error:
            refused.append((midi.name, error.message))
    return n_made, refused


def play(midi: Path, soundfont: SoundFont) -> bytes:
    """A performance as FLAC of 24 bits."""
    notes, pedal, duration_s = excerpt(*read_midi(midi))
    instrument = FAMILIES["piano"][0]
    part = Part(tuple(notes), Voice("piano", instrument), 0.0)
    passage = Passage((part,), tuple(pedal), (), draw_kit(np.random.default_rng(0)), np.zeros(0), 0, duration_s)
    audio = np.clip(GAIN * soundfont.play(passage, np.random.default_rng(0)), -1.0, 1.0)
    data = io.BytesIO()
    soundfile.write(data, audio, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_24")
    return data.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--soundfont", type=Path, required=True, help=".sf2 or .sf3")
    options = parser.parse_args()
    try:
        n_made, refused = render_folder(options.folder, SoundFont(options.soundfont, GRAND_PIANO))
    except MessError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return 1
    print(f"{n_made} files rendered.")
    for name, why in refused:
        print(f"  {name}: {why}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
