"""How many answers does a listener save where questions are chosen by what they are expected to tell?

    python -m benchmarks.judging [--listeners 24]

Simulated listeners compare recordings in twelve ways that are related to one another, weigh four of them, and guess in
one answer of ten. After every answer their weights are fitted, and asked of 2,000 triplets that were not answered: the
share of which they tell the better one. Questions are chosen

    chance   all by chance: the baseline
    half     every second one by what it is expected to tell, as on Judge, where the other half measures
    active   all so

For what chance tells after 60, 100 and 150 answers it is printed after how many the others tell as much, on average of
all listeners, and the ratio: below 1 answers are saved. All recordings are made up.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from mess_core.learning.questions import N_CANDIDATES
from mess_core.learning.ways import Ways, build_ways
from mess_core.learning.weighing import LAPSE, weigh

N_RECORDINGS, N_WAYS, DIM = 150, 12, 8
SHARED = 0.6  # of the spread of a way's own: how much all of them hear alike
N_WEIGHED, TOTAL_WEIGHT = 4, 6.0  # a difference of a spread in all of them: 99.8 % of the answers, but for guesses
N_ANSWERS, AFTER = 150, (60, 100, 150)
N_TESTED = 2000
KINDS = {"chance": lambda number: False, "half": lambda number: number % 2 == 1, "active": lambda number: True}


def made_up(rng: np.random.Generator) -> Ways:
    """A library that is heard in related ways."""
    shared = rng.standard_normal((N_RECORDINGS, DIM))
    ways = [(f"way {way}", SHARED * shared + rng.standard_normal((N_RECORDINGS, DIM))) for way in range(N_WAYS)]
    return build_ways([str(row) for row in range(N_RECORDINGS)], {"all": ways})


def by_chance(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.stack([rng.permutation(N_RECORDINGS)[:3] for _ in range(n)])


def told(seed: int, kind: str) -> np.ndarray:
    """The share of new triplets that a listener's weights tell before each answer and after the last."""
    rng = np.random.default_rng(seed)
    ways = made_up(rng)
    weights = np.zeros(N_WAYS)
    weights[rng.permutation(N_WAYS)[:N_WEIGHED]] = TOTAL_WEIGHT * rng.dirichlet(np.ones(N_WEIGHED))
    tested = ways.differences(by_chance(rng, N_TESTED))
    is_better = tested @ weights > 0
    asked, answers, shares = np.empty((0, N_WAYS)), np.empty(0, bool), []
    for number in range(N_ANSWERS + 1):
        found = weigh(asked, answers)
        shares.append(float(((tested @ found.weights > 0) == is_better).mean()))
        is_active = KINDS[kind](number)
        differences = ways.differences(by_chance(rng, N_CANDIDATES if is_active else 1))
        if is_active:
            differences = differences[[int(found.information(differences, seed=number).argmax())]]
        probability = LAPSE / 2 + (1 - LAPSE) / (1 + np.exp(-differences @ weights))
        asked, answers = np.vstack([asked, differences]), np.append(answers, rng.random() < probability)
    return np.array(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listeners", type=int, default=24, help="how many are simulated (%(default)s)")
    n_listeners = parser.parse_args().listeners
    start = time.perf_counter()
    curves = {kind: np.mean([told(seed, kind) for seed in range(n_listeners)], axis=0) for kind in KINDS}
    print(f"{n_listeners} listeners, {N_WEIGHED} of {N_WAYS} ways, {LAPSE:.0%} guesses, {os.cpu_count()} processors, "
          f"{time.perf_counter() - start:.0f} s")  # fmt: skip
    print("\nshare told after" + "".join(f"{n:8}" for n in (0, 10, 20, 30, *AFTER)))
    for kind, curve in curves.items():
        print(f"{kind:16}" + "".join(f"{curve[n]:8.3f}" for n in (0, 10, 20, 30, *AFTER)))
    print("\n   chance   share     half   ratio   active   ratio")
    for n in AFTER:
        goal = curves["chance"][n]
        line = f"{n:9}{goal:8.3f}"
        for kind in ("half", "active"):
            reached = np.flatnonzero(curves[kind] >= goal)
            line += f"{reached[0]:9}{reached[0] / n:8.2f}" if len(reached) else f"{'-':>9}{'-':>8}"
        print(line)


if __name__ == "__main__":
    main()
