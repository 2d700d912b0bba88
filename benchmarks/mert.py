"""How close MERT-95M comes to what this machine can multiply, how much memory it takes, and what bfloat16 would cost.

    python -m benchmarks.mert [--rounds 5] [--threads 1 --cpu-time]

Random weights of the true size, so nothing is downloaded. Other programs disturb a timing in one direction only, so
every figure is the best of several rounds, and limit and model take turns within each round. On a machine that stays
busy, one thread timed by its processor time still tells how near the limit it is.

What holds the rest, float32 on one thread: 85 % of the time are matrix products, and those of MERT's shapes reach 89 to
92 GFLOP/s where the best shape reaches 99, so that with nothing else to do it would come to some 93 %. Attention takes
5 % of the time, the first and the positional convolution together 5 %, GELU 3 %, copies, norms and sums 1.4 %.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mess_core.encoders.mert import CONV_KERNEL, CONV_STRIDE, MERT_95M, Mert, count_frames

BATCHES = (1, 2, 4, 8)
CONV_DIM, FFN_DIM, POS_KERNEL, POS_GROUPS = 512, 3072, 128, 16
clock = time.perf_counter


def count_gflop() -> float:
    """Multiplications and additions for one 5 s segment, in 10^9; norms, GELU and softmax not counted."""
    n_samples, n_in, total = MERT_95M.segment_samples, 1, 0
    for kernel, stride in zip(CONV_KERNEL, CONV_STRIDE, strict=True):
        n_samples = (n_samples - kernel) // stride + 1
        total += n_samples * kernel * n_in * CONV_DIM
        n_in = CONV_DIM
    n_frames, dim = count_frames(MERT_95M.segment_samples), MERT_95M.dim
    total += n_frames * dim * (CONV_DIM + POS_KERNEL * dim // POS_GROUPS)
    total += (MERT_95M.n_layers - 1) * n_frames * dim * (4 * dim + 2 * FFN_DIM + 2 * n_frames)
    return 2 * total / 1e9


def seconds(work: Callable[[], object]) -> float:
    start = clock()
    work()
    return clock() - start


def gemm_shapes() -> list[tuple[int, int, int]]:
    """Products (m, k) x (k, n) that MERT is made of, and a large square for good measure."""
    n_frames, dim = count_frames(MERT_95M.segment_samples), MERT_95M.dim
    shapes = [(n_frames * batch, dim, FFN_DIM) for batch in BATCHES]
    return [*shapes, (n_frames * 8, FFN_DIM, dim), (2063, 2 * CONV_DIM, CONV_DIM), (4096, 4096, 4096)]


def gemm_gflops(m: int, k: int, n: int, kind: torch.dtype = torch.float32) -> float:
    """Measured rate of one product, in 10^9 operations per second."""
    a, b, result = torch.randn(m, k).to(kind), torch.randn(k, n).to(kind), torch.empty(m, n, dtype=kind)
    times = max(1, round(4e10 / (2 * m * k * n)))
    return 2e-9 * m * k * n * times / seconds(lambda: [torch.mm(a, b, out=result) for _ in range(times)])


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(n).normal(0, 0.1, (n, MERT_95M.segment_samples)).astype(np.float32)


def resident_mb(field: str) -> float:
    """VmRSS: resident now; VmHWM: at most since the last reset; Linux only."""
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) / 1024


def peak_mb(work: Callable[[], object]) -> float:
    """Highest resident memory while `work` runs."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again here
    work()
    return resident_mb("VmHWM")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="segments encoded together")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="count processor seconds, for --threads 1")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.cpu_time:
        global clock
        clock = time.process_time
    gflop = count_gflop()
    print(f"{torch.get_num_threads()} threads, {gflop:.1f} GFLOP per {MERT_95M.segment_s:g} s segment")

    exact = Mert.random(MERT_95M, seed=0)
    loaded = resident_mb("VmRSS")
    memory = {batch: peak_mb(lambda batch=batch: exact.encode(noise(batch))) - loaded for batch in options.batches}
    print("peak MB above the loaded model:", ", ".join(f"{mb:.0f} (batch {batch})" for batch, mb in memory.items()))
    coarse = exact.in_precision("bfloat16")

    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    limits = {(precision, shape): 0.0 for precision in kinds for shape in gemm_shapes()}
    best: dict[tuple[str, int], float] = {}
    for _ in range(options.rounds):
        for precision, shape in limits:
            limits[precision, shape] = max(limits[precision, shape], gemm_gflops(*shape, kinds[precision]))
        for encoder in (exact, coarse):
            for batch in options.batches:
                key, segments = (encoder.precision, batch), noise(batch)
                best[key] = min(best.get(key, np.inf), seconds(lambda: encoder.encode(segments)) / batch)  # noqa: B023
    limit = {kind: max(rate for (precision, _), rate in limits.items() if precision == kind) for kind in kinds}

    print("\nmatrix product               GFLOP/s in float32, in bfloat16")
    for m, k, n in gemm_shapes():
        rates = (limits[precision, (m, k, n)] for precision in kinds)
        print(f"  ({m}, {k}) x ({k}, {n})".ljust(29) + "".join(f"{rate:9.0f}" for rate in rates))
    for precision in kinds:
        print(f"\n{precision}: batch  s/segment  GFLOP/s  of the limit ({limit[precision]:.0f})  times float32")
        for batch in options.batches:
            time_s = best[precision, batch]
            print(
                f"{batch:15d}  {time_s:9.3f}  {gflop / time_s:7.0f}  {gflop / time_s / limit[precision]:19.0%}"
                f"  {best['float32', batch] / time_s:13.2f}"
            )

    one, two = exact.encode(noise(2)), coarse.encode(noise(2))
    means = one.mean(2), two.mean(2)
    cosines = (means[0] * means[1]).sum(-1) / np.linalg.norm(means[0], axis=-1) / np.linalg.norm(means[1], axis=-1)
    print("\nbfloat16, by layer: largest difference of a hidden state; lowest cosine of the mean over frames")
    for layer in range(MERT_95M.n_layers):
        print(f"  {layer:2d}  {abs(one[:, layer] - two[:, layer]).max():.4f}  {cosines[:, layer].min():.6f}")


if __name__ == "__main__":
    main()
