"""How sure MESS may be: do its intervals cover, how often does it claim what is not there, and what does it find?

    python -m benchmarks.calibrate [--libraries 240]

Libraries are drawn from populations whose truth is known, probed as any other, and counted:

    coverage   how often the 95 % interval of R² holds the R² that such libraries have on average; how wide it is
    false      in how many libraries any of 13 x 22 cells gains over every baseline, where no layer does
    power      in how many of those cells in which a layer does gain, it is said so
    classes    the same of shares that are right, where targets are classes; `--classes` counts these alone

Every row is a population of its own: works of one or several recordings that resemble each other, normal values or
such with heavy tails (Student's t with three degrees of freedom). Everything follows from the seed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mess_core.parallel import work_through
from mess_core.probing import uncertainty
from mess_core.probing.data import ProbeData
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.result import ProbeCell, ProbeResult, ProbeSettings
from mess_core.probing.uncertainty import DEALING, TRAINING

SETTINGS = ProbeSettings(n_permutations=0)
N_LATENT = 8  # what varies between recordings, and all that the planted encoder hears
DIM = 32
N_LAYERS, N_TARGETS = 13, 22
NOISE = (2.2, 1.0, 0.3)  # beside a signal of size 1: R² about .2, .5 and .9 if there are many works
TAILS = ("normal", "heavy")
PLANTED = ("t0", "t1")  # targets in which layers gain
WORK_SHARE = 0.6  # of the variance that recordings of one work have in common


@dataclass(frozen=True)
class Population:
    """Where libraries come from: so many works of so many recordings each, `tails` "normal" or "heavy"."""

    n_works: int
    n_each: int
    tails: str

    @property
    def words(self) -> str:
        return f"{self.n_works} works x {self.n_each}, {self.tails}"

    def groups(self) -> np.ndarray:
        return np.repeat(np.arange(self.n_works), self.n_each)

    def draw(self, rng: np.random.Generator, n_columns: int) -> np.ndarray:
        """Values of mean 0 and variance 1 that recordings of a work share in part, (n_rows, n_columns)."""

        def values(n_rows: int) -> np.ndarray:
            if self.tails == "heavy":
                return rng.standard_t(3, (n_rows, n_columns)) / np.sqrt(3)
            return rng.standard_normal((n_rows, n_columns))

        groups = self.groups()
        return np.sqrt(WORK_SHARE) * values(self.n_works)[groups] + np.sqrt(1 - WORK_SHARE) * values(len(groups))


def view(latent: np.ndarray, rng: np.random.Generator, fixed: np.random.Generator, noise: float = 1.0) -> np.ndarray:
    """Features that show what varies, mixed and noisy, (n_rows, DIM); `fixed` mixes alike in every library."""
    return latent @ fixed.standard_normal((latent.shape[1], DIM)) + noise * rng.standard_normal((len(latent), DIM))


# --- populations ----------------------------------------------------------------------------------------------


def told(population: Population, rng: np.random.Generator) -> ProbeData:
    """One layer, and a target of each strength; the last is noise."""
    fixed = np.random.default_rng(1)
    latent = population.draw(rng, N_LATENT)
    direction = fixed.standard_normal(N_LATENT)
    signal = latent @ direction / np.linalg.norm(direction)
    targets = {f"noise {noise:g}": signal + noise * population.draw(rng, 1)[:, 0] for noise in NOISE}
    targets["nothing"] = population.draw(rng, 1)[:, 0]
    return ProbeData(view(latent, rng, fixed)[:, None], targets, population.groups().astype(str).tolist())


def _family(
    population: Population, rng: np.random.Generator, layers: Callable[[np.ndarray, np.random.Generator], np.ndarray]
) -> ProbeData:
    """13 layers and 22 targets that a log-mel shows as well as anything can, and a baseline of a few nuisances."""
    fixed = np.random.default_rng(2)
    latent = population.draw(rng, N_LATENT)
    mel = view(latent, rng, fixed, 0.5)
    strength = np.geomspace(0.4, 4.0, N_TARGETS)
    signals = latent @ fixed.standard_normal((N_LATENT, N_TARGETS)) / np.sqrt(N_LATENT)
    values = strength * signals + population.draw(rng, N_TARGETS)
    baselines = {"log-mel": mel, "nuisances": latent[:, :1] + rng.standard_normal((len(latent), 3))}
    targets = {f"t{number}": values[:, number] for number in range(N_TARGETS)}
    return ProbeData(layers(mel, fixed), targets, population.groups().astype(str).tolist(), baselines)


def function_of_mel(population: Population, rng: np.random.Generator) -> ProbeData:
    """Null: every layer is a function of log-mel, bent more the higher it is."""

    def layers(mel: np.ndarray, fixed: np.random.Generator) -> np.ndarray:
        mixes = fixed.standard_normal((N_LAYERS, DIM, DIM)) / np.sqrt(DIM)
        bends = np.linspace(0.05, 1.0, N_LAYERS)
        return np.stack([np.tanh(bend * (mel @ mix)) for bend, mix in zip(bends, mixes, strict=True)], axis=1)

    return _family(population, rng, layers)


def another_view(population: Population, rng: np.random.Generator) -> ProbeData:
    """Null: layers and an untrained twin are views of the same, equally good, each with noise of its own."""
    fixed = np.random.default_rng(2)
    latent = population.draw(rng, N_LATENT)
    signals = latent @ fixed.standard_normal((N_LATENT, N_TARGETS)) / np.sqrt(N_LATENT)
    values = np.geomspace(0.4, 4.0, N_TARGETS) * signals + population.draw(rng, N_TARGETS)
    layers = np.stack([view(latent, rng, fixed) for _ in range(N_LAYERS)], axis=1)
    twin = np.stack([view(latent, rng, fixed) for _ in range(N_LAYERS)], axis=1)
    targets = {f"t{number}": values[:, number] for number in range(N_TARGETS)}
    return ProbeData(layers, targets, population.groups().astype(str).tolist(), {"untrained": twin})


def nothing(population: Population, rng: np.random.Generator) -> ProbeData:
    """Null: targets that neither layers nor baseline know anything of."""
    data = another_view(population, rng)
    noise = population.draw(rng, N_TARGETS)
    return replace(data, targets={f"t{number}": noise[:, number] for number in range(N_TARGETS)})


def planted_gain(population: Population, rng: np.random.Generator) -> ProbeData:
    """Layers hear all that varies; log-mel only half of it. Two targets live in the other half, the others in both."""
    fixed = np.random.default_rng(3)
    latent = population.draw(rng, N_LATENT)
    half = N_LATENT // 2
    directions = fixed.standard_normal((N_LATENT, N_TARGETS))
    directions[:half, :2], directions[half:, 2:] = 0.0, 0.0
    signals = latent @ directions / np.linalg.norm(directions, axis=0)
    values = signals + 0.6 * population.draw(rng, N_TARGETS)
    layers = np.stack([view(latent, rng, fixed) for _ in range(N_LAYERS)], axis=1)
    targets = {f"t{number}": values[:, number] for number in range(N_TARGETS)}
    baselines = {"log-mel": view(latent[:, :half], rng, fixed)}
    return ProbeData(layers, targets, population.groups().astype(str).tolist(), baselines)


N_CLASSES = 3
LEANING = np.array([0.6, 0.0, -0.2])  # some classes are commoner
SCORES = ("accuracy", "balanced", "auc")
COARSELY = tuple(float(alpha) for alpha in np.logspace(0, 6, 9))  # three are tried: nulls cost a minute each with all


def told_classes(population: Population, rng: np.random.Generator) -> ProbeData:
    """One layer, and a target of three classes of each strength; the last is noise. Recordings of a work differ."""
    fixed = np.random.default_rng(4)
    latent = population.draw(rng, N_LATENT)
    directions = fixed.standard_normal((N_LATENT, N_CLASSES))
    signals = latent @ directions / np.linalg.norm(directions, axis=0) + LEANING

    def argmax(values: np.ndarray) -> np.ndarray:
        return values.argmax(axis=1).astype(np.float64)

    targets = {f"noise {noise:g}": argmax(signals + noise * population.draw(rng, N_CLASSES)) for noise in NOISE}
    targets["nothing"] = argmax(population.draw(rng, N_CLASSES) + LEANING)
    return ProbeData(
        view(latent, rng, fixed)[:, None], targets, population.groups().astype(str).tolist(),
        classes=dict.fromkeys(targets, ("a", "b", "c")),
    )  # fmt: skip


def classes_in_another_view(population: Population, rng: np.random.Generator) -> ProbeData:
    """Null: four layers and a baseline are views of the same, equally good, and tell three classes alike."""
    data = told_classes(population, rng)
    return replace(
        data,
        vectors=np.concatenate(
            [data.vectors + 0.5 * rng.standard_normal(data.vectors.shape) for _ in range(4)], axis=1
        ),
        baselines={"log-mel": data.vectors[:, 0] + 0.5 * rng.standard_normal(data.vectors[:, 0].shape)},
    )


# --- counting -------------------------------------------------------------------------------------------------

Kind = Callable[[Population, np.random.Generator], ProbeData]
Simulate = Callable[[Kind, Population, int], list[ProbeResult]]


@dataclass(frozen=True)
class Covered:
    """How the intervals of one target do.

    truth : mean R² of such libraries
    coverage : share of intervals that hold it; a truth below 0 is held by whatever reaches down to 0
    n_claims : intervals that begin above 0
    width : median
    """

    truth: float
    coverage: float
    n_claims: int
    width: float


def coverage(population: Population, n_libraries: int, simulate: Simulate) -> dict[str, Covered]:
    """How intervals of R² do, for each target of `told`."""
    results = simulate(told, population, n_libraries)
    found = {}
    for summary in results[0].targets:
        cells = [result.cell(0, summary.target) for result in results]
        truth = float(np.mean([cell.r2 for cell in cells]))
        low, high = (np.array([getattr(cell, end) for cell in cells], float) for end in ("r2_low", "r2_high"))
        is_held = (low <= max(truth, 0.0)) & (truth <= high)
        found[summary.target] = Covered(
            truth, float(is_held.mean()), int((low > 0).sum()), float(np.median(high - low))
        )
    return found


def false_claims(kind: Kind, population: Population, n_libraries: int, simulate: Simulate) -> tuple[int, float]:
    """(number of libraries, share of cells) in which a layer is said to gain over every baseline."""
    claims = np.array([[is_gain(cell) for cell in each.cells] for each in simulate(kind, population, n_libraries)])
    return int(claims.any(axis=1).sum()), float(claims.mean())


def power(population: Population, n_libraries: int, simulate: Simulate) -> tuple[float, float, int]:
    """(median gain, share of planted cells found, number of libraries in which any is)."""
    results = simulate(planted_gain, population, n_libraries)
    planted = [[cell for cell in each.cells if cell.target in PLANTED] for each in results]
    found = np.array([[is_gain(cell) for cell in cells] for cells in planted])
    gain = float(np.median([[cell.gain for cell in cells] for cells in planted]))
    return gain, float(found.mean()), int(found.any(axis=1).sum())


def class_coverage(
    population: Population, n_libraries: int, simulate: Simulate
) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Target -> score -> (mean of such libraries, share of intervals that hold it, median width)."""
    results = simulate(told_classes, population, n_libraries)
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for target in (summary.target for summary in results[0].targets):
        told = [classes for result in results if (classes := result.cell(0, target).classes) is not None]
        for name in SCORES:
            value, low, high = (
                np.array([getattr(each, f"{name}{end}") for each in told], float) for end in ("", "_low", "_high")
            )
            is_held = (low <= value.mean()) & (value.mean() <= high)
            found.setdefault(target, {})[name] = (
                float(value.mean()),
                float(is_held.mean()),
                float(np.median(high - low)),
            )
    return found


def false_classes(population: Population, n_libraries: int) -> tuple[int, int, int]:
    """Libraries in which (noise has p below .05, any layer is said to gain over one as good, noise is encoded)."""
    settings = replace(SETTINGS, n_permutations=199, n_repeats=2, alphas=COARSELY)
    n_significant = n_gains = n_encoded = 0
    for _, outcome in work_through(partial(_null_of_classes, population, settings), range(n_libraries)):
        if isinstance(outcome, Exception):
            raise outcome
        p, gain, encodes = outcome
        n_significant, n_gains, n_encoded = n_significant + (p < 0.05), n_gains + gain, n_encoded + encodes
    return n_significant, n_gains, n_encoded


def _null_of_classes(population: Population, settings: ProbeSettings, number: int) -> tuple[float, bool, bool]:
    rng = np.random.default_rng([number, population.n_works, population.n_each])
    data = classes_in_another_view(population, rng)
    result = add_null(fit_cells(data, settings), data)
    noise = [cell for cell in result.cells if cell.target == "nothing" and cell.p is not None]
    p = result.target("nothing").p_best
    return 1.0 if p is None else p, any(map(is_gain, result.cells)), any(cell.encodes for cell in noise)


def count_classes(n_libraries: int, simulate: Simulate) -> None:
    """Print what intervals of shares cover, and how often chance is taken for more."""
    print(f"\nCoverage of 95 % intervals of {', '.join(SCORES)}, three classes, {n_libraries} libraries a row\n")
    print("| library | told by | " + " | ".join(f"{name} | coverage | width" for name in SCORES) + " |")
    print("|---|---|" + "---:|" * 9)
    populations = [Population(24, 5, "normal"), Population(24, 1, "normal"), Population(60, 5, "normal")]
    for population in populations:
        for target, scores in class_coverage(population, n_libraries, simulate).items():
            cells = " | ".join(f"{truth:.2f} | {held:.3f} | {width:.2f}" for truth, held, width in scores.values())
            print(f"| {population.words} | {target} | {cells} |", flush=True)
    print(f"\nFalse claims of classes, {n_libraries} libraries a row\n")
    print("| library | noise with p < .05 | a gain over what is as good | noise that encodes |\n|---|---:|---:|---:|")
    for population in populations[:1]:
        print(f"| {population.words} | {' | '.join(map(str, false_classes(population, n_libraries)))} |", flush=True)


def is_gain(cell: ProbeCell) -> bool:
    """Whether it is said to exceed every baseline; chance (p) apart, which would make it rarer still."""
    return cell.gain_low is not None and cell.gain_low > 0


def probe_one(
    kind: Kind, population: Population, number: int, seed: int = 0, settings: ProbeSettings = SETTINGS
) -> ProbeResult:
    """One library, made and probed."""
    rng = np.random.default_rng([seed, number, population.n_works, population.n_each])
    return fit_cells(kind(population, rng), settings)


def on_all_cores(seed: int, training: float, dealing: float) -> Simulate:
    """Probe libraries of a population, in processes of their own, with intervals of these factors."""

    def simulate(kind: Kind, population: Population, n_libraries: int) -> list[ProbeResult]:
        one = partial(_probe_with, training, dealing, kind, population, seed)
        results: dict[int, ProbeResult] = {}
        for number, outcome in work_through(one, range(n_libraries)):
            if isinstance(outcome, Exception):
                raise outcome
            results[number] = outcome
        return [results[number] for number in range(n_libraries)]

    return simulate


def _probe_with(
    training: float, dealing: float, kind: Kind, population: Population, seed: int, number: int
) -> ProbeResult:
    uncertainty.TRAINING, uncertainty.DEALING = training, dealing
    return probe_one(kind, population, number, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libraries", type=int, default=240, help="per row of coverage; a quarter for the others")
    parser.add_argument("--classes", action="store_true", help="count those of classes alone; --libraries per row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--training", type=float, default=TRAINING, help="another factor for what training adds")
    parser.add_argument("--dealing", type=float, default=DEALING, help="another for the spread over fold assignments")
    options = parser.parse_args()
    n_few = max(options.libraries // 4, 1)
    started_s = time.monotonic()
    simulate = on_all_cores(options.seed, options.training, options.dealing)
    if options.classes:
        count_classes(options.libraries, simulate)
        print(f"\n{time.monotonic() - started_s:.0f} s; seed {options.seed}")
        return
    print(f"Coverage of 95 % intervals of R², {options.libraries} libraries a row\n")
    print("| library | R² | coverage | width | R² | coverage | width | R² | coverage | width | no signal: above 0 |")
    print("|---|" + "---:|" * 10)
    for population in [Population(n, each, tails) for n in (12, 24, 60) for each in (5, 1) for tails in TAILS]:
        *signals, noise = coverage(population, options.libraries, simulate).values()
        cells = " | ".join(f"{each.truth:.2f} | {each.coverage:.3f} | {each.width:.2f}" for each in signals)
        print(f"| {population.words} | {cells} | {noise.n_claims} |", flush=True)
    print(f"\nFalse claims of a gain, {N_LAYERS} layers x {N_TARGETS} targets, {n_few} libraries a row\n")
    print("| null | library | libraries with one | cells |\n|---|---|---:|---:|")
    for kind in (function_of_mel, another_view, nothing):
        for population in [Population(24, 5, tails) for tails in TAILS]:
            n_false, share = false_claims(kind, population, n_few, simulate)
            print(f"| {kind.__name__} | {population.words} | {n_false} | {share:.4f} |", flush=True)
    print(f"\nPower: gains that are there, {n_few // 2} libraries a row\n")
    print("| library | gain | cells found | libraries with one |\n|---|---:|---:|---:|")
    for n_works in (24, 60, 150):
        population = Population(n_works, 5 if n_works < 150 else 1, "normal")
        gain, share, n_found = power(population, n_few // 2, simulate)
        print(f"| {population.words} | {gain:.2f} | {share:.2f} | {n_found} |", flush=True)
    factors = f"TRAINING {options.training}, DEALING {options.dealing}, seed {options.seed}"
    print(f"\n{time.monotonic() - started_s:.0f} s; {factors}")


if __name__ == "__main__":
    main()
