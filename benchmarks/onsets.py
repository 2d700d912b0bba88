"""How far onset density can be trusted: against the MIDI of what is heard, by instrument, on works it was not set on.

Run: python -m benchmarks.onsets [--data ../shared/data/perf-midi] [--seconds 30] [--soundfont FILE.sf2]

Two performances of each work of the pack (six of each of Vienna's four excerpts), each on another instrument, are
played by our own synthesiser, or by a SoundFont. The works are halved by a hash of their name: on the one half the
constants of `mess_core/targets/rhythm.py` were set (on both ways of playing), on the other nothing was. The truth is
the chords of the MIDI (notes that begin within 50 ms are one), per second of sounding music as the target is.

Real pianos: recordings whose MIDI is known, if they are there, in passages of 20 s.

The interval of rho counts works (`mess_core/probing/transfer.py`); of fewer than ten works there is none.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from benchmarks.rendered_library import DATA, Plan, plan_library
from mess_core.audio.decode import Decoder
from mess_core.collections.rendering import excerpt
from mess_core.notes.midi import Note, PedalSpan, read_midi
from mess_core.notes.synthesis import INSTRUMENTS, render, sound_ends
from mess_core.probing.transfer import interval
from mess_core.probing.uncertainty import MIN_GROUPS
from mess_core.targets.dynamics import Loudness, LoudnessStream
from mess_core.targets.frames import SAMPLE_RATE_HZ
from mess_core.targets.notes import find_chords
from mess_core.targets.rhythm import FluxStream, clock_shift_s, find_onsets, onset_density

STRUCK = ("piano", "harpsichord", "guitar", "vibraphone")
TOLERANCE_S = 0.05
PASSAGE_S = 20.0
Play = Callable[[Sequence[Note], Sequence[PedalSpan], str, float], np.ndarray]  # notes, pedal, instrument, seconds


@dataclass(frozen=True)
class Row:
    """One recording, or a passage of one."""

    half: str
    work: str
    instrument: str
    true_s: np.ndarray
    found_s: np.ndarray
    loudness: Loudness

    @property
    def densities(self) -> tuple[float, float]:
        """By the MIDI, and as measured."""
        return len(self.true_s) / self.loudness.sounding_s, onset_density(self.found_s, self.loudness).value


def choose(data: Path) -> list[Plan]:
    """A few performances of each work, each on another instrument."""
    of_work = defaultdict(list)
    for plan in plan_library(data, Path()):
        of_work[plan.work].append(plan)
    chosen = []
    for work, plans in of_work.items():
        plans.sort(key=lambda plan: hashlib.sha256(str(plan.source.relative_to(data)).encode()).hexdigest())
        different = {plan.instrument: plan for plan in reversed(plans)}
        chosen += list(different.values())[: 6 if "vienna" in work else 2]
    return sorted(chosen, key=lambda plan: (plan.instrument, plan.source))  # neighbours share cached notes


def half_of(work: str) -> str:
    """Which half of the works it belongs to."""
    return ("set on", "held out")[int(hashlib.sha256(work.encode()).hexdigest(), 16) % 2]


def hear(samples: np.ndarray) -> tuple[np.ndarray, Loudness]:
    """Onsets and loudness of a recording."""
    loudness, flux = LoudnessStream(), FluxStream()
    loudness.add_mono(samples)
    flux.add(samples)
    heard = loudness.finish()
    return find_onsets(flux.finish(), heard), heard


def by_synthesiser(notes: Sequence[Note], pedal: Sequence[PedalSpan], instrument: str, duration_s: float) -> np.ndarray:
    """Our own."""
    return render(notes, pedal, instrument, sample_rate_hz=SAMPLE_RATE_HZ, duration_s=duration_s)


def by_soundfont(path: Path) -> Play:
    """TinySoundFont, whose loudness is linear in velocity and which ignores the pedal (`training.soundfont`)."""
    import tinysoundfont

    def play(notes: Sequence[Note], pedal: Sequence[PedalSpan], instrument: str, duration_s: float) -> np.ndarray:
        synth = tinysoundfont.Synth(samplerate=SAMPLE_RATE_HZ)
        synth.program_select(0, synth.sfload(str(path)), 0, INSTRUMENTS[instrument].program)
        held = sound_ends(notes, pedal if INSTRUMENTS[instrument].has_pedal else ())
        events = [(end_s, 0, note.pitch, 0) for note, end_s in zip(notes, held, strict=True)]
        events += [(note.start_s, 1, note.pitch, max(round(note.velocity**2 / 127), 1)) for note in notes]
        blocks, at = [], 0
        for time_s, is_on, pitch, velocity in [*sorted(events), (duration_s, 0, 0, 0)]:
            until = round(min(time_s, duration_s) * SAMPLE_RATE_HZ)
            if until > at:
                stereo = np.frombuffer(bytes(synth.generate(until - at)), np.float32).reshape(-1, 2)
                blocks.append(stereo.mean(axis=1))
                at = until
            _ = synth.noteon(0, pitch, velocity) if is_on else synth.noteoff(0, pitch)
        return np.concatenate(blocks)

    return play


def rendered(data: Path, seconds: float, play: Play) -> list[Row]:
    """The rows of all chosen performances."""
    rows = []
    for plan in choose(data):
        notes, pedal, duration_s = excerpt(*read_midi(plan.source), seconds)
        true_s = find_chords(np.sort([note.start_s for note in notes])).onset_s
        rows.append(
            Row(
                half_of(plan.work),
                plan.work,
                plan.instrument,
                true_s,
                *hear(play(notes, pedal, plan.instrument, duration_s)),
            )
        )
    return rows


def recorded(data: Path) -> list[Row]:
    """Passages of real recordings beside whose MIDI we have."""
    rows = []
    for path in sorted((data.parent / "real-audio").glob("smd_*-SMD.mp3")):
        midi = data / "smd" / "midi" / f"{path.stem.removeprefix('smd_')}.mid"
        samples = np.concatenate(list(Decoder(path, SAMPLE_RATE_HZ)))
        true_s = find_chords(np.sort([note.start_s for note in read_midi(midi)[0]])).onset_s
        found_s, loudness = hear(samples)
        true_s = true_s + clock_shift_s(true_s, found_s)
        for start_s in np.arange(0, len(samples) / SAMPLE_RATE_HZ - PASSAGE_S, PASSAGE_S):
            end_s = start_s + PASSAGE_S
            true, found = (times_s[(times_s >= start_s) & (times_s < end_s)] for times_s in (true_s, found_s))
            rows.append(Row("recorded", path.stem, "piano", true, found, loudness.between(start_s, end_s)))
    return rows


def n_matched(found_s: np.ndarray, true_s: np.ndarray) -> int:
    """How many of each belong together within the tolerance."""
    found, true, n = 0, 0, 0
    while found < len(found_s) and true < len(true_s):
        apart_s = found_s[found] - true_s[true]
        n += abs(apart_s) <= TOLERANCE_S
        found, true = found + (apart_s <= TOLERANCE_S), true + (apart_s >= -TOLERANCE_S)
    return n


def report(name: str, rows: Sequence[Row]) -> None:
    """One line."""
    true, found = np.array([row.densities for row in rows]).T
    together = sum(n_matched(row.found_s, row.true_s) for row in rows)
    n_true, n_found = (sum(map(len, onsets)) for onsets in zip(*((r.true_s, r.found_s) for r in rows), strict=True))
    works = {row.work for row in rows}
    rho = spearmanr(true, found).statistic if len(rows) > 2 else float("nan")
    within = "none" if len(works) < MIN_GROUPS else "[{:.2f}, {:.2f}]".format(*interval(rho, len(works)))
    print(
        f"{name:32}{len(rows):5}{len(works):7}{rho:8.3f}   {within:12}{np.median(found / true):12.2f}"
        f"{together / n_found:12.2f}{together / n_true:9.2f}"
    )


def main() -> None:
    """Print a table of both halves, and one of real pianos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with manifest.csv")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of an excerpt (default 30)")
    parser.add_argument("--soundfont", type=Path, help="play by this SoundFont (pip install --no-deps tinysoundfont)")
    arguments = parser.parse_args()
    if not (arguments.data / "manifest.csv").is_file():
        raise SystemExit(f"No performances at {arguments.data}: it holds no manifest.csv.")
    print(
        f"{'':32}{'n':>5}{'works':>7}{'rho':>8}   {'95 % interval':12}{'found/true':>12}{'precision':>12}{'recall':>9}"
    )
    with threadpool_limits(1):
        play = by_soundfont(arguments.soundfont) if arguments.soundfont else by_synthesiser
        rows = rendered(arguments.data, arguments.seconds, play)
        for half in ("set on", "held out"):
            own = [row for row in rows if row.half == half]
            report(f"{half}, all", own)
            report(f"{half}, struck", [row for row in own if row.instrument in STRUCK])
            for instrument, played in groupby(own, lambda row: row.instrument):
                report(f"{half}, {instrument}", list(played))
        if real := recorded(arguments.data):
            report("real pianos, 20 s each", real)


if __name__ == "__main__":
    main()
