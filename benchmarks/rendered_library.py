"""Make a library of real performances, rendered to audio: how large it is, and how many times real time making it goes.

    python -m benchmarks.rendered_library [--data ../shared/data/perf-midi] --home DIR [--seconds 60]

Every performance of the pack (manifest.csv: ASAP, SMD, Vienna 4x22) becomes one track of the library `perf-midi` in the
data folder DIR: its first seconds, from 0.15 s before the first note, played by our own synthesiser. Then `extract`,
`targets` and `probe` can be asked about real playing. What is there already is not made again.

The instrument comes from a hash of the file's path, so that it tells neither the work nor the performer. The pedal is
heard on all of them. Beside the audio lies the MIDI of what is heard. There is no score: the written notes of an
excerpt cannot be cut out without knowing where in the score it ends; so timing against a score is not measured.

A performer is a surname (ASAP) or a number (SMD, Vienna): two people of one name are one here. The performances are
CC BY-NC-SA and CC BY (see the pack); so is what is made of them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from mess_core.catalogue.catalogue import NewTrack, Track
from mess_core.collections.demo import ROTATION, VERSION
from mess_core.collections.opening import read_track
from mess_core.collections.rendering import excerpt
from mess_core.notes.midi import read_midi, write_midi
from mess_core.notes.synthesis import INSTRUMENTS, SAMPLE_RATE_HZ, render
from mess_core.storage.files import write_atomically
from mess_core.workspace.workspace import Workspace

DATA = Path(__file__).parents[2] / "shared" / "data" / "perf-midi"
LIBRARY = "perf-midi"
SEED = 0  # another seed gives every performance another instrument
WORKERS = 2
BATCH = 8  # recordings handed to a process at once: neighbours share an instrument and its cached notes

# One piece in two collections is one work; one person in two spellings is one performer.
SAME_WORK = {
    "smd_beethoven_op031no2-01": "asap_beethoven_piano_sonatas_17_1_no_repeat",
    "smd_chopin_op010-03": "vienna_chopin_op10_no3",
    "smd_chopin_op010-04": "asap_chopin_etudes_op_10_4",
}
SAME_PERSON = {
    "Rachmaninov": "Rachmaninoff",
    "Fab": "FaB",
    "Richardson_2013_": "Richardson",
    "Richardson_2015_": "Richardson",
}


@dataclass(frozen=True)
class Plan:
    """One recording to be made."""

    source: Path
    audio: Path
    title: str
    work: str
    composer: str
    performer: str | None
    instrument: str

    @property
    def midi(self) -> Path:
        return self.audio.with_suffix(".mid")


def plan_library(data: Path, folder: Path) -> list[Plan]:
    """One plan for each performance of the manifest, by instrument, so that neighbours share cached notes."""
    with (data / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["role"] == "performance"]
    titles = {row["group_id"]: row["title"].replace("_", " ") for row in rows}
    plans = []
    for row in rows:
        number = int.from_bytes(hashlib.sha256(f"{SEED} {row['file']}".encode()).digest()[:8], "big")
        instrument = ROTATION[number % len(ROTATION)]
        group = SAME_WORK.get(row["group_id"], row["group_id"])
        performer = SAME_PERSON.get(row["performer"], row["performer"]) or None
        plans.append(
            Plan(
                source=data / row["file"],
                audio=folder / f"{row['file'].removesuffix('.mid').replace('/', '--')}--{instrument}.flac",
                title=" · ".join(filter(None, [row["title"].replace("_", " "), performer, instrument])),
                work=f"{titles[group]} ({group})",
                composer=SAME_PERSON.get(row["composer"], row["composer"]),
                performer=performer,
                instrument=instrument,
            )
        )
    return sorted(plans, key=lambda plan: (plan.instrument, plan.audio))


def make(plan: Plan, seconds: float) -> None:
    """Write one recording and its MIDI; the audio last, so that where it is both are."""
    notes, pedal, duration_s = excerpt(*read_midi(plan.source), seconds)
    midi, flac = io.BytesIO(), io.BytesIO()
    write_midi(midi, notes, pedal, program=INSTRUMENTS[plan.instrument].program)
    write_atomically(plan.midi, midi.getvalue())
    audio = render(notes, pedal, plan.instrument, duration_s=duration_s)
    soundfile.write(flac, np.rint(audio * 32767).astype(np.int16), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    write_atomically(plan.audio, flac.getvalue())


def as_track(plan: Plan) -> NewTrack:
    """What the catalogue is told."""
    facts = {name: getattr(plan, name) for name in ("work", "composer", "performer", "instrument")}
    track = Track(**{**vars(read_track(plan.audio, plan.title).track), **facts})
    return NewTrack(track, plan.audio, {"midi": plan.midi})


def main() -> None:
    """Make the library, register it, print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with manifest.csv")
    parser.add_argument("--home", type=Path, required=True, help="data folder that gets the library")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of an excerpt (default 60)")
    arguments = parser.parse_args()
    if not (arguments.data / "manifest.csv").is_file():
        raise SystemExit(f"No performances at {arguments.data}: it holds no manifest.csv.")
    if not arguments.seconds >= 5:
        raise SystemExit(f"An excerpt lasts 5 s at least, got {arguments.seconds:g} s.")
    workspace = Workspace(arguments.home)
    # Another recipe or another length is another folder: nothing that was made is mistaken for what was asked for.
    folder = workspace.paths.root / LIBRARY / f"recipe-{VERSION}-{arguments.seconds:g}s"
    plans = plan_library(arguments.data, folder)
    others = {path for id_ in workspace.catalogue.track_ids(LIBRARY) for path in workspace.catalogue.file_paths(id_)}
    if others - {plan.audio for plan in plans}:
        raise SystemExit(
            f"The library {LIBRARY} holds other recordings. Forget them with:"
            f" python -m mess_core --home {arguments.home} remove {LIBRARY}"
        )

    todo = [plan for plan in plans if not plan.audio.is_file()]
    started_s = time.perf_counter()
    if todo:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(WORKERS, context, initializer=threadpool_limits, initargs=(1,)) as pool:
            for n_done, _ in enumerate(pool.map(make, todo, [arguments.seconds] * len(todo), chunksize=BATCH), 1):
                if n_done % 50 == 0 or n_done == len(todo):
                    print(f"{n_done} of {len(todo)} rendered, {time.perf_counter() - started_s:.0f} s", flush=True)
    rendered_s = time.perf_counter() - started_s
    new = {plan.audio: as_track(plan) for plan in plans}
    workspace.catalogue.add(folder, new.values(), LIBRARY)
    registered_s = time.perf_counter() - started_s - rendered_s

    tracks = [entry.track for entry in new.values()]
    made_s = sum(new[plan.audio].track.duration_s for plan in todo)
    performers = {track.performer for track in tracks} - {None}
    print(f"tracks       {len({track.track_id for track in tracks}):7d}")
    print(f"works        {len({track.work for track in tracks}):7d}")
    print(f"performers   {len(performers):7d}")
    print(f"audio        {sum(track.duration_s for track in tracks) / 60:7.1f} min, {made_s / 60:.1f} of them made now")
    print(f"rendering    {rendered_s:7.1f} s   ({made_s / rendered_s:.0f} times real time, {WORKERS} processes)")
    print(f"registering  {registered_s:7.1f} s")


if __name__ == "__main__":
    main()
