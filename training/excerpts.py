"""Excerpts for evaluation: real performances of many pieces, each pianist of a piece on another instrument.

    render_excerpts   ASAP -> 40 s of each performance as FLAC, once, in a folder
    windows_of        the same -> what a probe is asked about every ten seconds of them

Nothing of this is learned from. The pedal is heard where an instrument has one. Instruments are those of our
synthesiser, which also made most of what is learned from: a network is at home in these timbres. Pieces, playing and
the instruments' exact numbers are new to it. With a SoundFont, families of instruments of the SoundFont take their
place: one that was not learned from is foreign in every respect.

Conventions: an excerpt begins 0.15 s before its first note. Windows are [0, 10), [10, 20), … s.
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from mess_core.collections.demo import LEAD_IN_S
from mess_core.collections.rendering import excerpt
from mess_core.encoders.mel import PEAK_LEVEL
from mess_core.errors import DataMissingError
from mess_core.notes.midi import PedalSpan, read_midi
from mess_core.notes.synthesis import INSTRUMENTS, SAMPLE_RATE_HZ, render
from mess_core.parallel import process_pool
from mess_core.storage.files import write_atomically
from mess_core.targets.midi import measure, prepare
from mess_core.targets.notes import NoteTable
from training.passages import MELODIC, Part, Passage
from training.soundfont import SoundFont
from training.sources import find_key
from training.voices import FAMILIES, Voice, draw_kit

VERSION = "2"  # of the rendering: another one is another folder
EXCERPT_S = 40.0
WINDOW_S = 10.0
FEWEST_BEATS = 4  # in a window, or nothing is asked about its tempo
MEASURED = {  # as the app measures them on MIDI
    "pitch height": "mean_pitch",
    "note density": "note_density",
    "velocity": "velocity_mean",
    "articulation": "articulation_ratio",
}
TARGETS = (*MEASURED, "tempo phase, cos", "tempo phase, sin", "mode")


@dataclass(frozen=True)
class Excerpt:
    """One performance on one instrument, or by one family of a SoundFont."""

    midi: Path
    beats: Path
    audio: Path
    work: str
    performer: str
    instrument: str
    soundfont: Path | None = None


def read_manifest(folder: Path, option: str) -> list[dict[str, str]]:
    """The rows of a pack.

    Raises
    ------
    DataMissingError
        If the pack is not there; the hint names the option that says where it is.
    """
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise DataMissingError(f"There is nothing to evaluate on at {folder}: no manifest.csv.", f"Give {option}.")
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def plan_excerpts(data: Path, folder: Path, soundfont: Path | None = None) -> list[Excerpt]:
    """Every ASAP performance of the pack; no two of a piece share an instrument, no instrument tells the piece."""
    rows = [
        row
        for row in read_manifest(data, "--perf-midi")
        if row["role"] == "performance" and row["collection"] == "asap"
    ]
    names = sorted(MELODIC if soundfont else INSTRUMENTS)
    made = f"asap-{VERSION}-{soundfont.stem}" if soundfont else f"asap-{VERSION}"
    excerpts, seen = [], dict.fromkeys((row["group_id"] for row in rows), 0)
    for row in sorted(rows, key=lambda row: row["file"]):
        work = row["group_id"]
        instrument = names[(int.from_bytes(_digest(work)[:4], "big") + seen[work]) % len(names)]
        seen[work] += 1
        stem = row["file"].removesuffix(".mid").replace("/", "--")
        audio = folder / made / f"{stem}--{instrument}.flac"
        performer = row["performer"].lower()
        excerpts.append(
            Excerpt(data / row["file"], data / row["beats_file"], audio, work, performer, instrument, soundfont)
        )
    return excerpts


def render_excerpts(excerpts: list[Excerpt], n_processes: int) -> None:
    """Make the audio that is missing."""
    todo = sorted((e for e in excerpts if not e.audio.is_file()), key=lambda e: (e.instrument, e.midi))
    if not todo:
        return
    with process_pool(n_processes) as pool:
        for n_done, _ in enumerate(pool.map(_render, todo, chunksize=4), 1):
            if n_done % 50 == 0 or n_done == len(todo):
                print(f"{n_done} of {len(todo)} excerpts rendered", flush=True)


def _render(planned: Excerpt) -> None:
    notes, pedal, duration_s = excerpt(*read_midi(planned.midi), EXCERPT_S)
    instrument = FAMILIES[planned.instrument][0] if planned.soundfont else INSTRUMENTS[planned.instrument]
    heard_pedal = tuple(pedal) if instrument.has_pedal else ()
    if planned.soundfont:
        part = Part(tuple(notes), Voice(planned.instrument, instrument), 0.0)
        audio = _by_soundfont(planned, part, heard_pedal, duration_s)
    else:
        audio = render(notes, heard_pedal, planned.instrument, duration_s=duration_s)
    data = io.BytesIO()
    soundfile.write(data, np.rint(audio * 32767).astype(np.int16), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    write_atomically(planned.audio, data.getvalue())


def _by_soundfont(planned: Excerpt, part: Part, pedal: tuple[PedalSpan, ...], duration_s: float) -> np.ndarray:
    """Any program of the family, the same for the same file."""
    rng = np.random.default_rng(list(_digest(planned.audio.name)[:8]))
    passage = Passage((part,), pedal, (), draw_kit(rng), np.zeros(0), 0, duration_s)
    audio = _soundfont(planned.soundfont).play(passage, rng)
    return audio * (PEAK_LEVEL / max(np.abs(audio).max(), 1e-9))


def _digest(name: str) -> bytes:
    """What looks drawn, always the same for a name."""
    return hashlib.sha256(name.encode()).digest()


@lru_cache(maxsize=1)
def _soundfont(path: Path) -> SoundFont:
    return SoundFont(path)


def windows_of(planned: Excerpt) -> list[dict[str, float]]:
    """What is true of each window of an excerpt, by target; NaN where undefined."""
    played, pedal = read_midi(planned.midi)
    notes, _, duration_s = excerpt(played, pedal, EXCERPT_S)
    beats_s = _read_beats(planned.beats) + LEAD_IN_S - min(note.start_s for note in played)
    performance = prepare(NoteTable.of(notes))
    is_major = 1.0 - find_key(played) // 12
    windows = []
    for start_s in WINDOW_S * np.arange(int(duration_s // WINDOW_S)):
        found = measure(performance, start_s=float(start_s), length_s=WINDOW_S)
        values = [found[target].value for target in MEASURED.values()]
        heard = beats_s[(beats_s >= start_s) & (beats_s < start_s + WINDOW_S)]
        turns = np.log2(60 / np.median(np.diff(heard))) if len(heard) >= FEWEST_BEATS else np.nan
        values += [np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns), is_major]
        windows.append({target: _number(value) for target, value in zip(TARGETS, values, strict=True)})
    return windows


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _read_beats(path: Path) -> np.ndarray:
    """Times of the annotated beats, seconds; tab-separated lines of which a beat's label begins with b or db."""
    if not path.is_file():
        return np.zeros(0)
    lines = (line.split("\t") for line in path.read_text().splitlines() if line.strip())
    return np.array([float(fields[0]) for fields in lines if fields[2].strip().startswith(("b", "db"))])
