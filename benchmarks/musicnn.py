"""How fast MusiCNN is beside what this machine can multiply, decoding included, and how much memory it takes.

    python -m benchmarks.musicnn [--rounds 5] [--seconds 120] [--threads 1 --cpu-time]

The limit is that of one large product. MusiCNN's own are small since its timbral filters are answered frequency by
frequency (7 frames deep), so its share of the limit is lower than it was, and the time, too.

Times real time: seconds of music per second. Other programs disturb a timing in one direction only, so every figure is
the best of several rounds, and limit and network take turns within each round. On a machine that stays busy, processor
time of one thread still tells how near the limit it is; twice that is what two quiet cores do at best.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.decode import write_music
from benchmarks.mert import gemm_gflops, peak_mb, resident_mb
from mess_core.audio.decode import Decoder, segments
from mess_core.embeddings.extraction import ExtractedTrack, WantedTrack, extract, use_all_cores
from mess_core.embeddings.together import Together
from mess_core.encoders.base import Encoder
from mess_core.encoders.musicnn import (
    CONVOLUTION_FRAMES,
    FRAMES_AT_ONCE,
    MSD,
    MTT,
    N_BANDS,
    N_CHANNELS,
    N_FRONT,
    N_PENULTIMATE,
    N_POOLED,
    N_TEMPORAL,
    N_TIMBRAL,
    PATCH_FRAMES,
    TEMPORAL_FRAMES,
    TIMBRAL_BANDS,
    TIMBRAL_FRAMES,
    Musicnn,
)

BATCHES = (1, 4, 8)
BAR, BAR_MB = 100, 250  # times real time on two quiet cores, decoding included; MB above the process
clock = time.perf_counter


def count_gflop() -> tuple[float, float]:
    """Multiplications and additions of a patch in 10^9: as its layers are defined, and as they are computed."""
    positions = {height: N_BANDS - height + 1 for height in TIMBRAL_BANDS}
    defined = sum(n * height for height, n in positions.items()) * TIMBRAL_FRAMES * N_TIMBRAL
    # At each frequency two sums of seven complex numbers, then half the positions from the even and from the odd part.
    n_frequencies = N_BANDS // 2 + 1
    computed = sum(2 * TIMBRAL_FRAMES + -(-n // 2) for n in positions.values()) * 2 * n_frequencies * N_TIMBRAL
    lengths = [sum(TEMPORAL_FRAMES), sum(TEMPORAL_FRAMES) + len(TEMPORAL_FRAMES) * (FRAMES_AT_ONCE - 1)]
    convolutions = CONVOLUTION_FRAMES * (N_FRONT + 2 * N_CHANNELS) * N_CHANNELS
    both = []
    for timbral, length in zip((defined, computed), lengths, strict=True):
        per_frame = timbral + N_BANDS * length * N_TEMPORAL + convolutions
        both.append(2 * (PATCH_FRAMES * per_frame + N_POOLED * N_PENULTIMATE) / 1e9)
    return both[0], both[1]


def seconds(work: Callable[[], object]) -> float:
    start = clock()
    work()
    return clock() - start


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(n).normal(0, 0.1, (n, MTT.segment_samples)).astype(np.float32)


def decode(path: Path) -> None:
    decoder = Decoder(path, MTT.sample_rate_hz, hash_samples=True)
    for _ in segments(decoder, MTT.segment_samples, MTT.hop_samples, MTT.min_samples):
        pass


def embed(path: Path, encoder: Encoder) -> None:
    """As a library is embedded: a thread decodes ahead, the network hears batches."""
    events = list(extract([WantedTrack("a", path.name, path)], encoder))
    assert isinstance(events[-1], ExtractedTrack)


def hear_both(encoders: list[Musicnn]) -> None:
    patches = encoders[0].patches(torch.from_numpy(noise(4)))
    for encoder in encoders:
        encoder.hear(patches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=120, help="of the recordings that are embedded")
    parser.add_argument("--threads", type=int, default=0, help="0 is as many as the app uses")
    parser.add_argument("--cpu-time", action="store_true", help="count processor seconds, for --threads 1")
    options = parser.parse_args()
    use_all_cores()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.cpu_time:
        global clock
        clock = time.process_time
    defined, gflop = count_gflop()
    print(f"{torch.get_num_threads()} threads; a patch of {MTT.segment_s:g} s takes {gflop:.2f} GFLOP, ", end="")
    print(f"instead of {defined:.2f} as its layers are defined")

    encoders = [Musicnn.load(info) for info in (MTT, MSD)]
    encoders[0].encode(noise(1))
    loaded = resident_mb("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        files = {kind: Path(folder) / f"music.{kind.lower()}" for kind in ("MP3", "OGG", "FLAC")}
        for kind, path in files.items():
            write_music(path, kind, options.seconds)
        before = resident_mb("VmRSS")
        memory = peak_mb(lambda: embed(files["MP3"], encoders[0])) - before
        print(f"peak MB above the process: {memory:.0f} (bar {BAR_MB}); loaded it has {loaded:.0f}")

        squares = (1024, 2048)
        shapes = [(N_TIMBRAL, TIMBRAL_FRAMES * TIMBRAL_BANDS[0], 4 * 192), *((size, size, size) for size in squares)]
        limits = dict.fromkeys(shapes, 0.0)
        best: dict[str, float] = {}

        def take(what: str, work: Callable[[], object], of: float) -> None:
            """Seconds for each second of music."""
            best[what] = min(best.get(what, np.inf), seconds(work) / of)

        for _ in range(options.rounds):
            for shape in limits:
                limits[shape] = max(limits[shape], gemm_gflops(*shape))
            for batch in BATCHES:
                waveforms = noise(batch)
                take(f"network, batch {batch}", lambda: encoders[0].encode(waveforms), batch * MTT.segment_s)  # noqa: B023
            take("both networks, one log-mel", lambda: hear_both(encoders), 4 * MTT.segment_s)
            take("log-mel alone", lambda: encoders[0].patches(torch.from_numpy(noise(4))), 4 * MTT.segment_s)
            for kind, path in files.items():
                take(f"{kind}: decoding alone", lambda: decode(path), options.seconds)  # noqa: B023
                for encoder in encoders:
                    take(f"{kind} to vectors, {encoder.info.id}", lambda: embed(path, encoder), options.seconds)  # noqa: B023
                take(f"{kind} to vectors, both together", lambda: embed(path, Together(encoders)), options.seconds)  # noqa: B023

    limit = max(limits.values())
    print("\nfloat32 matrix product       GFLOP/s")
    for (m, k, n), rate in limits.items():
        print(f"  ({m}, {k}) x ({k}, {n})".ljust(29) + f"{rate:7.0f}")
    of_limit = MTT.segment_s / (gflop / limit)
    print(f"\n{'times real time':36}  bar {BAR}; at the limit {of_limit:.0f} without decoding")
    for what, per_second in best.items():
        share = f"{1 / per_second / of_limit:6.0%} of the limit" if what.startswith("network") else ""
        print(f"  {what:34}  {1 / per_second:6.0f}  {share}")


if __name__ == "__main__":
    main()
