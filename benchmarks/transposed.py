"""How well is a transposed performance found? The demo library, asked with its own performances in other keys.

    python -m benchmarks.transposed [--home HOME] [--semitones 0 1 -1 3 -3 6]

Of every piece of the demo library, which must be there and embedded (`python -m mess_core extract --encoder
hearing:any-key`, and nano), one performance is played again so many semitones higher and looked for. Beside the hearing
in any key stand the same pitch classes in their own key and the hearing that knows most of music in its own. Chance is
the rank that half of all would have.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from mess_core.collections.demo import PERFORMERS, DemoPlan, perform, plan_demo
from mess_core.library import Library, open_library
from mess_core.notes.synthesis import SAMPLE_RATE_HZ, render
from mess_core.workspace.workspace import DEMO

HEARINGS = ("hearing:any-key", "chroma", "hearing:same-music")


def play(plan: DemoPlan, semitones: int, file: Path) -> None:
    """A performance of the demo library, so many semitones higher."""
    heard = perform(plan)
    notes = [replace(note, pitch=note.pitch + semitones) for note in heard.notes]
    sound = render(notes, heard.pedal, plan.instrument, duration_s=heard.duration_s)
    soundfile.write(file, sound, SAMPLE_RATE_HZ, subtype="PCM_16")


def look_for(plan: DemoPlan, file: Path, library: Library) -> tuple[int, float, int | None]:
    """Rank of the performance itself; average precision of its work by others; semitones it is said to be higher."""
    found = library.similar(file, k=len(library)).found
    itself = next(n for n, each in enumerate(found) if each.track.title == plan.title)
    others = [each.track.work == plan.piece.title for each in found if each is not found[itself]]
    ranks = np.flatnonzero(others) + 1
    precision = float((np.arange(1, len(ranks) + 1) / ranks).mean())
    return itself + 1, precision, found[itself].neighbour.semitones


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, help="data folder; by default as of the app")
    parser.add_argument("--semitones", type=int, nargs="+", default=[0, 1, -1, 3, -3, 6])
    options = parser.parse_args()
    libraries = {hearing: open_library(DEMO, encoder=hearing, home=options.home) for hearing in HEARINGS}
    plans = plan_demo()
    asked = [plans[n + n // len(PERFORMERS) % len(PERFORMERS)] for n in range(0, len(plans), len(PERFORMERS))]
    n_tracks = len(libraries[HEARINGS[0]])
    print(f"{len(asked)} pieces, each once, among {n_tracks} tracks; chance: rank {(n_tracks + 1) / 2:g}")
    print(f"{'semitones':>9}  {'heard by':<20}{'first':>6}{'median rank':>13}{'by others, MAP':>16}{'key told':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for semitones in options.semitones:
            found: dict[str, list[tuple[int, float, int | None]]] = {hearing: [] for hearing in HEARINGS}
            for number, plan in enumerate(asked):
                file = Path(folder) / f"{semitones} {number}.wav"
                play(plan, semitones, file)
                for hearing, library in libraries.items():
                    found[hearing].append(look_for(plan, file, library))
            for hearing, results in found.items():
                ranks = np.array([rank for rank, _, _ in results])
                precision = np.mean([precision for _, precision, _ in results])
                lower = 6 if semitones % 12 == 6 else -semitones
                told = [higher == lower for _, _, higher in results if higher is not None]
                print(
                    f"{semitones:>9}  {hearing:<20}{(ranks == 1).mean():>6.0%}{np.median(ranks):>13g}{precision:>16.2f}"
                    f"{f'{np.mean(told):.0%}' if told else '–':>10}"
                )


if __name__ == "__main__":
    main()
