"""How fast every layer is probed for every target, beside the same with scikit-learn.

Run: python benchmarks/probing.py [--quick]

Each row is one task: 13 layers x 22 targets = 286 probes in 5 folds unless said otherwise, on one BLAS thread. The
scikit-learn column is the plain loop over layers, folds and targets in the same run; where it would take long it is
timed on a few targets of one layer and scaled (marked ~). "off by" is the largest difference between the predictions,
in units of the target's standard deviation. Seconds are of the wall; the machine's own rate for matrix products is
printed first, because everything else follows from it.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mess_core.probing.data import ProbeData
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.result import ALPHAS, ProbeSettings
from mess_core.probing.ridge import FoldedFeatures, Inner, one_blas_thread, predict_out_of_fold

N_LAYERS, N_TARGETS, N_FOLDS = 13, 22, 5
GRID = np.logspace(-2, 7, 25)


def problem(n_rows: int, dim: int, n_layers: int = N_LAYERS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (n_rows, n_layers, dim) of rank about 40, targets (n_rows, n_targets), folds (n_rows,)."""
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((n_rows, 40))
    vectors = np.stack([latent @ rng.standard_normal((40, dim)) for _ in range(n_layers)], axis=1)
    vectors += 0.5 * rng.standard_normal(vectors.shape)
    targets = latent[:, :N_TARGETS] + rng.standard_normal((n_rows, N_TARGETS))
    return vectors.astype(np.float32), targets, np.arange(n_rows) % N_FOLDS


def ours(vectors: np.ndarray, targets: np.ndarray, folds: np.ndarray, alphas: np.ndarray, inner: Inner | None):
    """Out-of-fold predictions, (n_layers, n_rows, n_targets)."""
    return np.stack(
        [
            predict_out_of_fold(FoldedFeatures(vectors[:, layer], folds), targets, alphas, inner=inner).predicted
            for layer in range(vectors.shape[1])
        ]
    )


def theirs(vectors, targets, folds, alphas, inner, n_targets: int) -> np.ndarray:
    """The same with scikit-learn, a model per layer, fold and target."""
    predicted = np.empty((vectors.shape[1], len(targets), n_targets))
    for layer in range(vectors.shape[1]):
        for fold in range(N_FOLDS):
            train, test = folds != fold, folds == fold
            for column in range(n_targets):
                if inner is None:
                    model = make_pipeline(StandardScaler(), Ridge(alphas[0]))
                elif inner == "rows":
                    model = make_pipeline(StandardScaler(), RidgeCV(alphas))
                else:
                    model = GridSearchCV(
                        make_pipeline(StandardScaler(), Ridge()),
                        {"ridge__alpha": alphas},
                        scoring="neg_mean_squared_error",
                        cv=PredefinedSplit(folds[train]),
                    )
                model.fit(vectors[train, layer].astype(np.float64), targets[train, column])
                predicted[layer, test, column] = model.predict(vectors[test, layer].astype(np.float64))
    return predicted


def seconds(function, *arguments, best_of: int = 1):
    """What a call returned and the seconds of its best run."""
    times = []
    for _ in range(best_of):
        start = time.perf_counter()
        result = function(*arguments)
        times.append(time.perf_counter() - start)
    return result, min(times)


def compare(title: str, bar_s: float | None, n_rows: int, dim: int, alphas, inner, *, part: tuple[int, int]) -> None:
    """One row of the table; scikit-learn does `part` = (layers, targets) of the work."""
    n_layers, n_targets = part
    total_layers = 1 if n_rows >= 1000 else N_LAYERS
    vectors, targets, folds = problem(n_rows, dim, total_layers)
    predicted, our_s = seconds(ours, vectors, targets, folds, alphas, inner, best_of=3 if n_rows < 1000 else 1)
    reference, their_s = seconds(theirs, vectors[:, :n_layers], targets, folds, alphas, inner, n_targets)
    scale = total_layers * N_TARGETS / (n_layers * n_targets)
    off = np.abs(reference - predicted[:n_layers, :, :n_targets]).max() / targets.std()
    bar = f"{bar_s:g}" if bar_s else "-"
    mark = "~" if scale > 1 else " "
    line = f"{our_s:8.3f} {bar:>6} {mark}{their_s * scale:9.1f} {their_s * scale / our_s:8.0f} {off:10.1e}"
    print(f"{title:58}{line}", flush=True)


def plain_data(n_rows: int, dim: int) -> ProbeData:
    """Every row a work of its own, two baselines."""
    vectors, targets, _ = problem(n_rows, dim)
    rng = np.random.default_rng(1)
    baselines = {"nuisances": rng.standard_normal((n_rows, 4)), "log-mel": rng.standard_normal((n_rows, 256))}
    named = {f"t{i}": targets[:, i] for i in range(N_TARGETS)}
    return ProbeData(vectors, named, [f"w{i}" for i in range(n_rows)], baselines)


def demo_sized_data() -> ProbeData:
    """Synthetic numbers in the shape of the demo library under nano: 120 tracks of 24 works, with all its baselines.

    Three of the targets are undefined for some tracks, so that four sets of rows are decomposed, not one.
    """
    vectors, targets, _ = problem(120, 192)
    rng = np.random.default_rng(1)
    shapes = {"log-mel": (256,), "MFCC": (120,), "untrained": (N_LAYERS, 192), "nuisances": (4,), "but density": (3,)}
    baselines = {name: rng.standard_normal((120, *shape)) for name, shape in shapes.items()}
    for column, n_defined in enumerate((60, 105, 114)):
        targets[rng.permutation(120)[n_defined:], column] = np.nan
    named = {f"t{i}": targets[:, i] for i in range(N_TARGETS)}
    works = [f"w{track % 24}" for track in range(120)]
    composers = np.eye(14)[[track % 24 % 14 for track in range(120)]]
    return ProbeData(vectors, named, works, baselines, {"composer": composers})


def whole_run(title: str, bar_s: float | None, data: ProbeData, *, n_permutations: int, stage: str) -> None:
    """A row for `fit_cells` (with intervals, nested layer choice and the baselines of `data`) or `add_null`."""
    settings = ProbeSettings(n_permutations=n_permutations)
    result, fit_s = seconds(fit_cells, data, settings, best_of=3 if stage == "fit" else 1)
    took_s = fit_s if stage == "fit" else seconds(add_null, result, data)[1]
    print(f"{title:58}{took_s:8.3f} {f'{bar_s:g}' if bar_s else '-':>6}", flush=True)


def machine_rate() -> None:
    """Matrix products, one thread: what the rest can be measured by."""
    for dtype in (np.float64, np.float32):
        square = np.ones((1000, 1000), dtype)
        _, took_s = seconds(np.matmul, square, square, best_of=5)
        print(f"this machine, one thread, {dtype.__name__}: {2 / took_s:.0f} GFLOP/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of scikit-learn and fewer permutations")
    is_quick = parser.parse_args().quick
    warnings.simplefilter("ignore")  # scikit-learn on ill-conditioned problems
    part = (1, 4) if is_quick else (N_LAYERS, N_TARGETS)
    n_permutations = 100 if is_quick else 1000
    with one_blas_thread():
        machine_rate()
        print(f"\n{'':58}{'MESS s':>8} {'bar s':>6} {'sklearn s':>10} {'ratio':>8} {'off by':>10}")
        for dim in (768, 192):
            end = f"n=50, d={dim}"
            compare(f"286 probes, one alpha, {end}", 0.1, 50, dim, np.array([100.0]), None, part=part)
            compare(f"286 probes, 25 alphas by leaving out rows, {end}", 0.5, 50, dim, GRID, "rows", part=part)
            compare(f"286 probes, 25 alphas by other folds, {end}", 0.5, 50, dim, GRID, "folds", part=(1, 2))
            compare(f"22 targets, 25 alphas by other folds, n=4000, d={dim}", 8, 4000, dim, GRID, "folds", part=(1, 1))
            title = f"all cells with intervals and baselines, {end}"
            whole_run(title, 1, plain_data(50, dim), n_permutations=0, stage="fit")
            title = f"{n_permutations} permutations of all cells, {len(ALPHAS)} alphas, n=120, d={dim}"
            whole_run(title, 30, plain_data(120, dim), n_permutations=n_permutations, stage="null")
        title = "the demo's size: 120 tracks, 24 works, 5 baselines, d=192"
        whole_run(title, 1, demo_sized_data(), n_permutations=0, stage="fit")


if __name__ == "__main__":
    main()
