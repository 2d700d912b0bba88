"""Banded ridge: what a layer adds beyond what is known otherwise, each with a penalty of its own.

"Layer 5 tells brightness" may say no more than that the spectrum does. One ridge on both together would punish both
alike, and the larger would crowd out the other. So features come in two bands, the base (log-mel, say) and the layer,
and the prediction is

    y = base @ b + layer @ c,   |y - …|² + alpha / (1 - share) |b|² + alpha / share |c|²

that is ridge on the kernel (1 - share) K_base + share K_layer: share 0 is the base alone, share 1 the layer.
Alpha and share are chosen inside each training set, per target, by leaving out the other folds; no group is on both
sides. What the layer adds is R² of both together less R² of the base alone, which may choose its alpha likewise, on the
same rows and folds; its interval is over groups, as that of every gain. `r2_base_part` and `r2_layer_part` divide R² of
both by what each band contributes to the prediction (the product measure); they add up to it.

Source
------
Nunez-Elizalde, Huth & Gallant (2019), "Voxelwise encoding models with non-spherical multivariate normal priors";
Dupré la Tour, Eickenberg, Nunez-Elizalde & Gallant (2022), "Feature-space selection with banded ridge regression".
The grid is exact where they draw at random: there are two bands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.errors import InputError
from mess_core.probing.arguments import as_names, as_numbers, numbers_and_classes
from mess_core.probing.data import ProbeData, blocks_of
from mess_core.probing.folds import assign_folds
from mess_core.probing.result import ALPHAS, ProbeSettings, check_settings
from mess_core.probing.ridge import one_blas_thread
from mess_core.probing.scores import r_squared, squared_sums
from mess_core.probing.uncertainty import MIN_GROUPS, gains, t_quantile
from mess_core.words import counted

SHARES = (0.0, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0)  # of the layer in the kernel
KINDS = ("both", "base", "layer")


@dataclass(frozen=True)
class BandedGain:
    """What a layer adds for one target. None where a target cannot be probed: `reason` says why.

    r2, r2_base, r2_layer : of both bands together, and of each alone, out of fold
    r2_base_part, r2_layer_part : what each contributes to r2
    gain, gain_low, gain_high : r2 less r2_base, with its interval; without one below six groups
    share : of the layer, median over the folds
    """

    target: str
    r2: float | None = None
    r2_base: float | None = None
    r2_layer: float | None = None
    r2_base_part: float | None = None
    r2_layer_part: float | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    share: float | None = None
    n: int = 0
    n_groups: int = 0
    reason: str = ""


@one_blas_thread()
def gain_beyond(
    base: np.ndarray,
    layer: np.ndarray,
    targets: Mapping[str, np.ndarray],
    groups: Sequence[str],
    *,
    alphas: Sequence[float] = ALPHAS,
    shares: Sequence[float] = SHARES,
    n_folds: int = 5,
    n_repeats: int = 1,
    seed: int = 0,
) -> tuple[BandedGain, ...]:
    """What a layer adds beyond a base, for each target.

    Parameters
    ----------
    base : ndarray, shape (n_rows, n_base)
        Log-mel, say: `library.embeddings("mel").vectors[:, 0]`.
    layer : ndarray, shape (n_rows, dim)
    targets : mapping of name to ndarray, shape (n_rows,)
        NaN where a row has none.
    groups : sequence of str, length n_rows
        Never on both sides of a split.
    shares : sequence of float, 0 to 1
        Of the layer, that are tried.

    Raises
    ------
    InputError
        If arrays do not fit each other, are no numbers, or hold NaN where none may be, if a target has classes, or
        settings cannot be used.
    """
    settings = ProbeSettings(tuple(map(float, alphas)), n_folds, n_repeats, 0, 0, seed)
    check_settings(settings)
    bands = [_band(name, each) for name, each in (("base", base), ("layer", layer))]
    values, classes = numbers_and_classes(targets)
    if classes:
        name = next(iter(classes))
        raise InputError(
            f"The target {name!r} has classes, of which there is no gain beyond a base.", "Use probe_layers for it."
        )
    if any(each.ndim != 2 for each in bands) or len(bands[0]) != len(bands[1]):
        raise InputError(f"The bands have the shapes {[each.shape for each in bands]}, expected (n_rows, …) of both.")
    if n_folds < 3:
        raise InputError(f"{n_folds} folds leave none to choose penalties with.", "Use at least 3 folds.")
    tried = sorted({float(share) for share in shares} | {0.0, 1.0})
    if tried[0] < 0 or tried[-1] > 1:
        raise InputError(f"The shares are {list(shares)}, expected numbers from 0 to 1.")
    data = ProbeData(bands[1][:, None].astype(np.float32), values, as_names("groups", groups), {})
    blocks, reasons = blocks_of(data, n_folds)
    found = {target: BandedGain(target, reason=reason) for target, reason in reasons.items()}
    for block in blocks:
        here = [each[block.rows] for each in bands]
        sums: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
        totals, parts, chosen = [], [], []
        for repeat in range(n_repeats):
            folds = assign_folds(block.group_ids.tolist(), n_folds, seed=seed, repeat=repeat)
            said = _predict(here, block.values, folds, np.array(settings.alphas), np.array(tried))
            for kind in KINDS:
                of_groups, total = squared_sums(
                    block.values, said.predicted[kind], said.train_means[folds], block.weights, block.groups
                )
                sums[kind].append(of_groups)
            totals.append(total)
            parts.append(said.parts(block.values, folds))
            chosen.append(said.shares)
        whole = np.stack(totals)
        r2 = {kind: r_squared(np.stack(sums[kind]).sum(axis=(0, 1)), whole.sum(axis=(0, 1))) for kind in KINDS}
        difference = gains(np.stack(sums["both"]), np.stack(sums["base"]), whole)
        low, high = difference.intervals(t_quantile(block.n_groups) if block.n_groups >= MIN_GROUPS else np.nan)
        of_bands, share = np.sum(parts, axis=0) / whole.sum(axis=(0, 1)), np.median(np.concatenate(chosen), axis=0)
        for column, target in enumerate(block.targets):
            found[target] = BandedGain(
                target=target,
                r2=float(r2["both"][column]),
                r2_base=float(r2["base"][column]),
                r2_layer=float(r2["layer"][column]),
                r2_base_part=float(of_bands[0, column]),
                r2_layer_part=float(of_bands[1, column]),
                gain=float(difference.value[column]),
                gain_low=_number(low[column]),
                gain_high=_number(high[column]),
                share=float(share[column]),
                n=len(block.rows),
                n_groups=block.n_groups,
            )
    return tuple(found[target] for target in data.targets)


def _band(name: str, values: object) -> np.ndarray:
    """The features of one band, (n_rows, n_features) float64."""
    band = as_numbers(f"vectors of the {name}", values).astype(np.float64, copy=False)
    if band.ndim == 3:
        cure = f"Choose one of its layers: {name}[:, {min(5, max(band.shape[1] - 1, 0))}]."
        raise InputError(f"The {name} has the shape {band.shape}, expected (n_rows, n_features).", cure)
    if not (is_finite := np.isfinite(band)).all():
        bad = int((~is_finite).reshape(len(band), -1).any(axis=1).sum())
        raise InputError(
            f"The vectors of the {name} of {bad} of {counted(len(band), 'row')} hold NaN or infinity.",
            "Leave these rows out.",
        )
    return band


@dataclass(frozen=True, eq=False)
class _Said:
    """predicted : kind -> (n_rows, n_targets); contributed : (2, n_rows, n_targets), of each band to both"""

    predicted: dict[str, np.ndarray]
    contributed: np.ndarray
    train_means: np.ndarray
    shares: np.ndarray

    def parts(self, values: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """What both explain of the squares, divided between the bands, (2, n_targets)."""
        off_mean = values - self.train_means[folds]
        other = self.contributed[::-1]  # of each band the other one
        explained: np.ndarray = (self.contributed * (2 * off_mean - self.contributed - other)).sum(axis=1)
        return explained


def _predict(
    bands: Sequence[np.ndarray], values: np.ndarray, folds: np.ndarray, alphas: np.ndarray, shares: np.ndarray
) -> _Said:
    """Out of fold, alpha and share chosen by the other folds."""
    n_folds, n_targets = int(folds.max()) + 1, values.shape[1]
    errors = np.zeros((n_folds, len(shares), len(alphas), n_targets))
    for one in range(n_folds):
        for other in range(one + 1, n_folds):
            left = ~np.isin(folds, (one, other))
            for test, judged in ((one, other), (other, one)):
                errors[test] += _errors(bands, values, left, folds == judged, alphas, shares)
    said = {kind: np.empty(values.shape) for kind in KINDS}
    contributed, means = np.empty((2, *values.shape)), np.empty((n_folds, n_targets))
    picked = np.empty((n_folds, n_targets))
    allowed = {"both": np.ones(len(shares), bool), "base": shares == 0, "layer": shares == 1}
    for fold in range(n_folds):
        train, held = folds != fold, folds == fold
        means[fold] = values[train].mean(axis=0)
        kernels, across = _kernels(bands, train, held)
        for kind in KINDS:
            judged = np.where(allowed[kind][:, None, None], errors[fold], np.inf).reshape(-1, n_targets).argmin(axis=0)
            at_share, at_alpha = np.divmod(judged, len(alphas))
            for place in np.unique(at_share):
                columns = np.flatnonzero(at_share == place)
                share = shares[place]
                mixed = (1 - share) * kernels[0] + share * kernels[1]
                eigenvalues, vectors = np.linalg.eigh(mixed)
                rotated = vectors.T @ (values[train][:, columns] - means[fold, columns])
                dual = vectors @ (rotated / (eigenvalues.clip(min=0)[:, None] + alphas[at_alpha[columns]]))
                each = np.stack([(1 - share) * across[0] @ dual, share * across[1] @ dual])
                said[kind][np.ix_(held, columns)] = each.sum(axis=0) + means[fold, columns]
                if kind == "both":
                    contributed[np.ix_(np.arange(2), np.flatnonzero(held), columns)] = each
                    picked[fold, columns] = share
    return _Said(said, contributed, means, picked)


def _errors(
    bands: Sequence[np.ndarray],
    values: np.ndarray,
    train: np.ndarray,
    rows: np.ndarray,
    alphas: np.ndarray,
    shares: np.ndarray,
) -> np.ndarray:
    """Mean squared error on some rows, (n_shares, n_alphas, n_targets)."""
    mean = values[train].mean(axis=0)
    centred, truth = values[train] - mean, values[rows] - mean
    kernels, across = _kernels(bands, train, rows)
    errors = np.empty((len(shares), len(alphas), values.shape[1]))
    for place, share in enumerate(shares):
        eigenvalues, vectors = np.linalg.eigh((1 - share) * kernels[0] + share * kernels[1])
        scores = ((1 - share) * across[0] + share * across[1]) @ vectors
        rotated = vectors.T @ centred
        for number, alpha in enumerate(alphas):
            off = scores @ (rotated / (eigenvalues.clip(min=0)[:, None] + alpha)) - truth
            errors[place, number] = (off**2).mean(axis=0)
    return errors


def _kernels(
    bands: Sequence[np.ndarray], train: np.ndarray, rows: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Of each band, standardised by the training rows: among these, and of some rows with them."""
    kernels, across = [], []
    for band in bands:
        mean, scale = band[train].mean(axis=0), band[train].std(axis=0)
        scale = np.where(scale > np.finfo(float).eps * np.abs(mean) * train.sum(), scale, 1.0)
        inside, outside = (band[train] - mean) / scale, (band[rows] - mean) / scale
        kernels.append(inside @ inside.T)
        across.append(outside @ inside.T)
    return kernels, across


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
