"""How fast a cluster of workers on this machine embeds and measures short files, beside a run without one.

    python -m benchmarks.cluster [--files 1000] [--seconds 6] [--encoder nano] [--workers 1 2] [--only embed]

Files per second from the first track that comes to the last, and the seconds before it, in which workers are begun and
weights are read. A run here uses all cores; a worker of `nano` takes one core, as every worker that measures, so two
workers on two cores have what the run here has, and cannot be faster than it by more than it leaves its cores idle.

Where others use the machine meanwhile, the clock says how busy they were. What they change little is the time that the
workers' processors took (`/proc`, Linux): as much for each file with two workers as with one means that two do twice as
much on cores of their own.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mess_core.cluster.settings import LOCAL, ClusterSettings
from mess_core.embeddings.cluster import extract_on_cluster
from mess_core.embeddings.extraction import ExtractedTrack, WantedTrack, cores_per_batch, extract, use_all_cores
from mess_core.encoders.registry import encoder_ids, load_encoder
from mess_core.parallel import work_through
from mess_core.storage.paths import Paths
from mess_core.targets.cluster import measure_on_cluster
from mess_core.targets.measurements import Files, Measured, measure_track, version_of

RATE_HZ = 24_000
WORKERS = ("ray::Worker", "ray::Measurer")  # as they call themselves
LOOK_EVERY_S = 1.0
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


def of_workers_s() -> float:
    """Processor seconds of the workers of this process so far, as far as they live; NaN without /proc."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, fields = int(path.parent.name), path.read_text().rpartition(")")[2].split()
            name = (path.parent / "cmdline").read_bytes().decode(errors="replace")
        except OSError:  # it has ended
            continue
        parents[pid] = int(fields[1])
        if name.startswith(WORKERS):
            spent[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_ours(pid: int) -> bool:
        while pid and pid != os.getpid():
            pid = parents.get(pid, 0)
        return bool(pid)

    return sum(s for pid, s in spent.items() if is_ours(pid)) if parents else float("nan")


def timed(done: Iterator[bool], began: float) -> tuple[float, float, float, float]:
    """Seconds until the first track; from then on tracks per second, and processor seconds per track.

    Processor seconds of the workers, and of this process, which asks.

    done : whether a track is done, of everything that comes
    """
    times: list[float] = []
    first_s = last_s = looked = 0.0
    n_looked, asked_s = 0, time.process_time()
    for is_done in done:
        if not is_done:
            continue
        times.append(clock())
        asked_s = time.process_time() if len(times) == 1 else asked_s
        if len(times) == 1 or times[-1] - looked > LOOK_EVERY_S:  # workers are gone when all is over
            last_s, looked, n_looked = of_workers_s(), times[-1], len(times)
            first_s = first_s if len(times) > 1 else last_s
    per_track_s = (last_s - first_s) / max(n_looked - 1, 1)
    asking_s = (time.process_time() - asked_s) / max(len(times) - 1, 1)
    return times[0] - began, (len(times) - 1) / (times[-1] - times[0]), per_track_s, asking_s


def compare(
    here: Callable[[], Iterable[Any]],
    on_cluster: Callable[[int], Iterable[Any]],
    is_done: Callable[[Any], bool],
    workers: list[int],
) -> None:
    """Print how fast it is here, and with so many workers beside one."""
    heads = f"{'':<12}{'start, s':>10}{'files/s':>10}{'times one':>11}"
    print(f"{heads}{'CPU ms/file':>13}{'times one by it':>17}{'to ask, ms/file':>17}")
    start_s, speed, *_ = timed(map(is_done, here()), clock())
    print(f"{'here':<12}{start_s:>10.1f}{speed:>10.1f}", flush=True)
    first: tuple[float, float] | None = None
    for n in workers:
        start_s, speed, cpu_s, asking_s = timed(map(is_done, on_cluster(n)), clock())
        first = first or (speed / n, cpu_s)
        by_cpu = n * first[1] / cpu_s if cpu_s else float("nan")
        words = f"{start_s:>10.1f}{speed:>10.1f}{speed / first[0]:>11.2f}{1000 * cpu_s:>13.1f}{by_cpu:>17.2f}"
        print(f"{f'{n} worker(s)':<12}{words}{1000 * asking_s:>17.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--encoder", choices=encoder_ids(), default="nano")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", choices=["embed", "measure"])
    options = parser.parse_args()
    use_all_cores()
    encoder = load_encoder(options.encoder, Paths.default())
    n_cores = cores_per_batch([encoder])
    with tempfile.TemporaryDirectory() as folder:
        tracks = write_files(Path(folder), options.files, options.seconds)
        files = [Files(track.track_id, track.audio, version=version_of(None, None)) for track in tracks]
        what = f"{options.files} files of {options.seconds:g} s"
        if options.only != "measure":
            print(f"{what}, {options.encoder}, {n_cores} core(s) for each batch")
            compare(
                lambda: extract(tracks, encoder),
                lambda n: extract_on_cluster(
                    tracks, [encoder.info], ClusterSettings(LOCAL, n_workers=n, n_cores=n_cores)
                ),
                lambda event: isinstance(event, ExtractedTrack),
                options.workers,
            )
        if options.only != "embed":
            print(f"{what}, measured")
            compare(
                lambda: work_through(measure_track, files),
                lambda n: measure_on_cluster(files, ClusterSettings(LOCAL, n_workers=n)),
                lambda outcome: outcome is not None and isinstance(outcome[1], Measured),
                options.workers,
            )


if __name__ == "__main__":
    main()
