"""Make the recordings that MESS-nano learns from, and keep them as shards.

    python -m training.data --hours 20 [--work training/work] [--processes 2] [--soundfont PATH]

A shard is 32 pairs of twins, 17 minutes, one .npz of 6 MB; shard n of a seed is always the same. What is there already
is not made again, so the command may be stopped at any time and given once more.

Conventions: arrays have one row per recording; recordings 2 i and 2 i + 1 are twins. Bits are packed along the last
axis. Recordings last 16 s: 800 mel frames, T = 400 frames of labels.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.errors import ArtefactMismatchError, DataMissingError
from mess_core.parallel import process_pool
from mess_core.storage.files import write_atomically
from training.passages import PASSAGE_S
from training.recordings import TrainingRecording, make_twins
from training.soundfont import SoundFont
from training.sources import SHARES, Source, find_sources

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
WORK = ROOT / "training" / "work"
POP909 = SHARED / "pop909"
VIENNA = SHARED / "perf-midi" / "vienna4x22" / "midi"

VERSION = "3"  # of everything that makes a recording: raise it when one would come out otherwise
N_TWINS = 32  # in a shard
HELD_OUT_SEED = 1  # joined to the seed: held-out recordings are drawn apart
PACKED = ("active", "onsets", "drums", "families")


@dataclass(frozen=True)
class DataConfig:
    """What decides every byte of the shards."""

    pop909: Path | None = POP909
    vienna: Path | None = VIENNA
    soundfont: Path | None = None
    demo: bool = False
    seed: int = 0
    held_out: bool = False

    def sources(self) -> dict[str, list[Source]]:
        return find_sources(self.pop909, self.vienna, demo=self.demo, held_out=self.held_out)

    @property
    def identity(self) -> str:
        """Sha256 over the recipe, the names of the sources and the SoundFont; where they lie does not matter."""
        names = {collection: [source.name for source in sources] for collection, sources in self.sources().items()}
        soundfont = self.soundfont.name if self.soundfont else None
        facts = [VERSION, N_TWINS, PASSAGE_S, SHARES, names, soundfont, self.seed, self.held_out]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def make_shard(config: DataConfig, number: int, n_twins: int = N_TWINS) -> dict[str, np.ndarray]:
    """The arrays of one shard; always the same for the same seed and number."""
    import torch

    torch.set_num_threads(1)
    sources = config.sources()
    soundfont = SoundFont(config.soundfont) if config.soundfont else None
    stream = HELD_OUT_SEED if config.held_out else 0
    twins = [make_twins(sources, (config.seed, stream, number, i), soundfont) for i in range(n_twins)]
    return pack([recording for pair in twins for recording in pair])


def pack(recordings: list[TrainingRecording]) -> dict[str, np.ndarray]:
    """Recordings as the arrays of a shard."""
    arrays = {
        "log_mel": np.stack([recording.log_mel for recording in recordings]),
        "peaks": np.stack([recording.peaks for recording in recordings]),
        "music": np.array([recording.music for recording in recordings]),
    }
    for name in asdict(recordings[0].labels):
        values = np.stack([np.asarray(getattr(recording.labels, name)) for recording in recordings])
        if name in PACKED:
            values = np.packbits(values, axis=-1)
        elif values.dtype.kind == "f":
            values = values.astype(np.float16)
        arrays[name] = values
    return arrays


def unpack(arrays: Mapping[str, np.ndarray], name: str, n_columns: int) -> np.ndarray:
    """Bits of a shard again, (n, T, n_columns) bool."""
    bits: np.ndarray = np.unpackbits(arrays[name], axis=-1, count=n_columns).astype(bool)
    return bits


def write_shard(config: DataConfig, folder: Path, number: int) -> float:
    """Make a shard and write it; seconds it took."""
    started_s = time.perf_counter()
    data = io.BytesIO()
    arrays: dict[str, Any] = dict(make_shard(config, number))
    np.savez_compressed(data, **arrays)
    write_atomically(folder / shard_name(number), data.getvalue())
    return time.perf_counter() - started_s


def shard_name(number: int) -> str:
    return f"shard-{number:04d}.npz"


def make_shards(config: DataConfig, folder: Path, n_shards: int, n_processes: int) -> None:
    """Write the shards that are missing.

    Raises
    ------
    ArtefactMismatchError
        If the folder holds shards of another recipe.
    """
    identity = config.identity
    card = folder / "shards.json"
    if card.is_file() and json.loads(card.read_text())["identity"] != identity:
        raise ArtefactMismatchError(
            f"{folder} holds recordings made from other sources or by another recipe.",
            "Delete them, or give another --work.",
        )
    facts = {"identity": identity, "version": VERSION, "seed": config.seed, "shares": SHARES}
    write_atomically(card, json.dumps(facts, indent=1).encode())
    todo = [number for number in range(n_shards) if not (folder / shard_name(number)).is_file()]
    if not todo:
        return
    minutes = 2 * N_TWINS * PASSAGE_S / 60
    started_s = time.perf_counter()
    with process_pool(n_processes) as pool:
        futures = [pool.submit(write_shard, config, folder, number) for number in todo]
        for n_done, future in enumerate(futures, 1):
            future.result()
            took_s = time.perf_counter() - started_s
            print(f"{n_done} of {len(todo)} shards, {60 * minutes * n_done / took_s:.0f} times real time", flush=True)


def find_shards(folder: Path) -> list[Path]:
    """The shards of a folder, in order.

    Raises
    ------
    DataMissingError
        If there are none.
    """
    paths = sorted(folder.glob("shard-*.npz"))
    if not paths:
        raise DataMissingError(f"There are no recordings in {folder}.", "python -m training.data --hours 20")
    return paths


def main() -> None:
    """Make shards for learning, and a few of held-out songs for the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=20.0, help="of recordings (default 20)")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of shards and runs")
    parser.add_argument("--pop909", type=Path, default=POP909, help="folder of MIDI (default: %(default)s)")
    parser.add_argument("--vienna", type=Path, default=VIENNA, help="folder of MIDI (default: %(default)s)")
    parser.add_argument("--demo", action="store_true", help="also learn from the demo pieces, which probes then know")
    parser.add_argument("--soundfont", type=Path, help="an .sf2 or .sf3 under a permissive licence (default: none)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    config = DataConfig(arguments.pop909, arguments.vienna, arguments.soundfont, arguments.demo, arguments.seed)
    n_shards = max(round(arguments.hours * 3600 / (2 * N_TWINS * PASSAGE_S)), 1)
    make_shards(config, arguments.work / "shards", n_shards, arguments.processes)
    held_out = DataConfig(arguments.pop909, None, demo=arguments.demo, seed=arguments.seed, held_out=True)
    make_shards(held_out, arguments.work / "held-out", 2, arguments.processes)


if __name__ == "__main__":
    main()
