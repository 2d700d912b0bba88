"""How fast a file becomes an embedding, and how much memory that takes. Linux.

python -m training.speed WEIGHTS FOLDER THREADS     what `measure_apart` runs in a process of its own
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

from mess_core.embeddings.extraction import ExtractedTrack, WantedTrack, extract

ROOT = Path(__file__).parents[1]
RATE_HZ = 44_100
SECONDS = 600
ROUNDS = 2


def measure_apart(weights: Path, folder: Path, n_threads: int) -> dict[str, float]:
    """`measure` in a process of its own, so that nothing else is in its memory."""
    command = [sys.executable, "-m", "training.speed", str(weights), str(folder), str(n_threads)]
    found: dict[str, float] = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    return found


def measure(weights: Path, folder: Path, n_threads: int) -> dict[str, float]:
    """Ten minutes of stereo, best of two rounds, after a first short file."""
    import torch

    from training.weights import load

    torch.set_num_threads(n_threads)
    began_s = time.perf_counter()
    encoder = load(weights)
    loaded_s = time.perf_counter() - began_s
    encoder.encode(np.zeros((1, encoder.info.segment_samples), np.float32))
    before = resident_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    long, short = (write_noise(folder / f"noise-{seconds}.wav", seconds) for seconds in (SECONDS, 20))
    list(extract([WantedTrack("short", "short", short)], encoder))
    took_s = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        done = [
            event
            for event in extract([WantedTrack("long", "long", long)], encoder)
            if isinstance(event, ExtractedTrack)
        ]
        took_s.append((time.perf_counter() - began_s) / len(done))
    return {
        "times_real_time": SECONDS / min(took_s),
        "peak_mb": (resident_bytes("VmHWM") - before) / 1e6,
        "load_s": loaded_s,
        "threads": n_threads,
    }


def write_noise(path: Path, seconds: int) -> Path:
    """Stereo noise at CD quality, if it is not there."""
    if not path.is_file():
        second = np.random.default_rng(0).normal(0, 3000, (RATE_HZ, 2)).astype(np.int16)
        with soundfile.SoundFile(path, "w", RATE_HZ, 2, "PCM_16") as file:
            for number in range(seconds):
                file.write(np.roll(second, number * 101, axis=0))
    return path


def resident_bytes(field: str = "VmRSS") -> int:
    """Memory of this process now (VmRSS) or at its peak (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status")


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
