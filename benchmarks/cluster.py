"""How fast a cluster of workers on this machine embeds short files, beside a run without one.

    python -m benchmarks.cluster [--files 1000] [--seconds 6] [--encoder nano] [--workers 1 2]

Files per second from the first track that comes to the last, and the seconds before it, in which workers are begun and
weights are read. A run here uses all cores for one stream of tracks; a worker of `nano` takes one core, so two workers
on two cores have what the run here has, and cannot be faster than it by more than it leaves its cores idle.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from mess_core.cluster.settings import LOCAL, ClusterSettings
from mess_core.embeddings.cluster import extract_on_cluster
from mess_core.embeddings.extraction import (
    Event,
    ExtractedTrack,
    WantedTrack,
    cores_per_batch,
    extract,
    use_all_cores,
)
from mess_core.encoders.registry import encoder_ids, load_encoder
from mess_core.storage.paths import Paths

RATE_HZ = 24_000
clock = time.perf_counter


def write_files(folder: Path, n: int, seconds: float) -> list[WantedTrack]:
    """Noise of another seed in each: what is in a file does not matter to how long it takes."""
    tracks = []
    for seed in range(n):
        path = folder / f"{seed}.wav"
        noise = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))
        soundfile.write(path, noise.astype(np.float32), RATE_HZ)
        tracks.append(WantedTrack(path.stem, path.stem, path))
    return tracks


def timed(events: Iterable[Event], began: float) -> tuple[float, float]:
    """Seconds until the first track, and tracks per second from then on."""
    times = [clock() for event in events if isinstance(event, ExtractedTrack)]
    return times[0] - began, (len(times) - 1) / (times[-1] - times[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--encoder", choices=encoder_ids(), default="nano")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    use_all_cores()
    encoder = load_encoder(options.encoder, Paths.default())
    n_cores = cores_per_batch([encoder])
    with tempfile.TemporaryDirectory() as folder:
        tracks = write_files(Path(folder), options.files, options.seconds)
        print(f"{options.files} files of {options.seconds:g} s, {options.encoder}, {n_cores} core(s) for each batch")
        print(f"{'':<12}{'start, s':>10}{'files/s':>10}{'times one worker':>19}")
        start_s, here = timed(extract(tracks, encoder), clock())
        print(f"{'here':<12}{start_s:>10.1f}{here:>10.1f}{'':>19}")
        one = None
        for n_workers in options.workers:
            settings = ClusterSettings(LOCAL, n_workers=n_workers, n_cores=n_cores)
            start_s, speed = timed(extract_on_cluster(tracks, [encoder.info], settings), clock())
            one = one or speed / n_workers
            print(f"{f'{n_workers} worker(s)':<12}{start_s:>10.1f}{speed:>10.1f}{speed / one:>19.2f}", flush=True)


if __name__ == "__main__":
    main()
