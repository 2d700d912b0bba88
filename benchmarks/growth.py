"""What would ten million rows take, and a thousand million? From what smaller libraries took, and how that grew.

    python -m benchmarks.million --home FOLDER --tracks 100000 300000 1000000 --others
    python -m benchmarks.engines --rows 10000 100000 300000 | tee engines.txt
    python -m benchmarks.growth --home FOLDER [--engines engines.txt] [--rows 1e7 1e9]

For each figure that was measured at several sizes the exponent b of y ~ n^b is printed, a straight line through the
logarithms: below 1 where a part does not grow, above it where caches no longer hold what they held. What passes over
all rows grows by as much for each of them, so further sizes are told by the straight line y = a + b n that is closest
to the measurements, each by its own size, with how far the worst of them is from it. Where memory or the disk gives out
no line goes on: every number beyond the measured ones is on paper.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from benchmarks.million import FIGURES

TIMES = (
    "index s",
    "first s",
    "query ms",
    "query 95 % ms",
    "processor ms",
    "lookup ms",
    "NumPy ms",
    "PQ, four bits, ms",
    "eight bits, ms",
)
BYTES = ("vectors B", "codes B", "catalogue B", "resident B")
SHARES = ("recall, all layers", "recall, one layer", "codes alone, all layers", "PQ, four bits, in 500")
SIZED = re.compile(r"^([\d,]+) rows x (\d+)")
NAME_WIDTH = 44  # of `benchmarks.engines`


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="where `benchmarks.million` has left its figures")
    parser.add_argument("--engines", type=Path, help="what `benchmarks.engines` has printed")
    parser.add_argument("--rows", type=float, nargs="+", default=[1e7, 1e9])
    options = parser.parse_args()
    found = [json.loads(path.read_text("utf-8")) for path in options.home.glob(f"*/{FIGURES}")]
    found.sort(key=lambda each: each["tracks"])
    sizes = [each["tracks"] for each in found]
    print("measured at " + ", ".join(f"{n:,}" for n in sizes))
    for line in lines(found, options.rows):
        print(line)
    if options.engines is not None:
        for line in engine_lines(options.engines.read_text("utf-8"), options.rows):
            print(line)


def lines(found: Sequence[dict[str, float]], rows: Sequence[float]) -> Iterator[str]:
    """Figures of the library larger than memory."""
    for name in TIMES:
        known = [(each["tracks"], each[name]) for each in found if name in each]
        if len(known) > 1:
            yield fitted_line(name, known, rows)
    for name in BYTES:
        known = [(each["tracks"], each[name] / 1e9) for each in found]
        if len(known) > 1:
            yield fitted_line(f"{name.removesuffix(' B')} GB", known, rows)
    for name in SHARES:
        yield f"{name:<28} " + ", ".join(f"{each[name]:.3f}" for each in found if name in each)


def engine_lines(printed: str, rows: Sequence[float]) -> Iterator[str]:
    """Median milliseconds of a query, and bytes, by engine; of the widest run of several."""
    measured: dict[str, list[tuple[float, float, float]]] = {}
    n = 0.0
    for line in printed.splitlines():
        if sized := SIZED.match(line):
            n = float(sized[1].replace(",", ""))
        name, figures = line[:NAME_WIDTH].strip(), line[NAME_WIDTH:].split()
        if n and name and len(figures) == 8:
            measured.setdefault(name, []).append((n, float(figures[2]), float(figures[7])))
    for name, known in measured.items():
        if len(known) > 1:
            yield fitted_line(f"{name.split()[0]} query ms", [(n, ms) for n, ms, _ in known], rows)
            yield fitted_line(f"{name.split()[0]} GB", [(n, mib * 2**20 / 1e9) for n, _, mib in known], rows)


def fitted_line(name: str, known: Sequence[tuple[float, float]], rows: Sequence[float]) -> str:
    """Measured, the exponent, and what follows from the line."""
    sizes, values = np.array(known, float).T
    exponent = np.polyfit(np.log(sizes), np.log(values), 1)[0]
    start, slope = nnls(np.stack([1 / values, sizes / values], axis=1), np.ones(len(values)))[0]
    off = np.abs((start + slope * sizes) / values - 1).max()
    told = ", ".join(f"{value:,.3g}" if value < 10 else f"{value:,.0f}" for value in values)
    beyond = "   ".join(f"{n:.0e}: {start + slope * n:,.0f}" for n in rows)
    return f"{name:<22} {told:<24} n^{exponent:.2f}, line off by {off:4.0%}   {beyond}"


if __name__ == "__main__":
    main()
