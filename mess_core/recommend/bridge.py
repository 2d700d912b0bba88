"""The bridge: where an item that nobody has would lie among the tastes of users, told by how it sounds.

    has (users, items) = U S Vᵀ, the largest parts  -> users U √S, items V √S: their product says who has what
    points of sound of items that are had ──learn──> their factors          ridge, or a contrast
    points of sound of items that nobody has ──────> factors of their own, ranked for users like any other

Content says what sounds alike, interactions what the same people like. Where both are known of an item, one can be
learned from the other; then content stands in where interactions are missing. On hot items factors alone are better:
so these keep their own, unless asked (`hot`).

    RidgeBridge     each factor by a ridge regression on the point, its alpha chosen on items left out
    ContrastBridge  a small network: the factors of an item are to be nearer to its own sound than those of others

The ridge keeps how long factors are, which is how many have an item: it also guesses what will be popular. The contrast
knows directions alone, and all its points are of length one.

    contrast = -cos(sound_i, factors_i) / τ + log Σ_{j ≠ i} exp(cos(sound_i, factors_j) / τ)      decoupled

Source
------
Cremonesi, Koren & Turrin (2010) for factors by SVD, which needs no package and no settings; van den Oord, Dieleman &
Schrauwen (2013), Deep content-based music recommendation; Yeh et al. (2022), Decoupled contrastive learning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mess_core.errors import InputError
from mess_core.probing.result import ALPHAS
from mess_core.probing.ridge import FoldedFeatures, one_blas_thread
from mess_core.recommend.checkpoints import digest
from mess_core.recommend.columns import Interactions
from mess_core.recommend.content import InOneSpace, has_point, points_for, user_sums
from mess_core.recommend.factors import Factors
from mess_core.recommend.fitting import Epoch, Keeping, Learning, drawing_from, learn_by_epochs
from mess_core.recommend.shelf import unit

if TYPE_CHECKING:
    import torch

Hot = Literal["own", "predicted"]
N_FOLDS = 5
FEWEST = 2 * N_FOLDS  # items to learn from


@one_blas_thread()
def factors_by_svd(train: Interactions, n_factors: int, seed: int = 0) -> Factors:
    """Users and items by the largest parts of who has what; as many as there can be, if these are fewer."""
    from sklearn.utils.extmath import randomized_svd

    n = min(n_factors, *train.has.shape)
    left, sizes, right = randomized_svd(train.has, n, n_iter=7, random_state=seed)
    left[train.has.getnnz(axis=1) == 0] = 0.0  # rounding, by which items could be put in order
    right[:, train.has.getnnz(axis=0) == 0] = 0.0
    return Factors(left * np.sqrt(sizes), right.T * np.sqrt(sizes))


@dataclass(frozen=True, eq=False)
class RidgeBridge:
    """Factors predicted by ridge.

    points : (n_items, d), zero where an item has none
    hot : whether items that users have keep their own factors, or are predicted like the others
    """

    points: np.ndarray
    n_factors: int = 64
    hot: Hot = "own"
    seed: int = 0
    name: str = "bridge-ridge"

    def fit(self, train: Interactions) -> InOneSpace:
        points, factors, is_learned = _known(self.points, train, self.n_factors, self.seed)
        predicted = predict_by_ridge(points[is_learned], factors.items[is_learned], points, self.seed)
        return _placed(factors.users, factors.items, predicted, points, train, self.hot)


def predict_by_ridge(features: np.ndarray, targets: np.ndarray, wanted: np.ndarray, seed: int = 0) -> np.ndarray:
    """Targets (n, m) of rows of features (n, d), predicted for others (k, d) -> (k, m).

    One alpha for each target, by the mean squared error on folds left out.
    """
    folds = np.random.default_rng(seed).permutation(len(features)) % N_FOLDS
    folded, alphas, every = FoldedFeatures(features, folds), np.array(ALPHAS), np.ones(len(features))
    errors = np.zeros((len(alphas), targets.shape[1]))
    with one_blas_thread():
        for fold in range(N_FOLDS):
            without, is_in = folded.decompose(fold), folds == fold
            mean = targets[without.rows].mean(axis=0)
            rotated = without.rotate(targets[without.rows] - mean)
            errors += without.validate(folded.features[is_in], targets[is_in] - mean, every[is_in], rotated, alphas)
        whole, mean = folded.decompose(), targets.mean(axis=0)
        shrunk = whole.rotate(targets - mean) / (whole.eigenvalues[:, None] + alphas[errors.argmin(axis=0)])
        found: np.ndarray = whole.project(wanted - folded.centre) @ shrunk + mean
    return found


@dataclass(frozen=True, eq=False)
class ContrastBridge:
    """Directions of factors, by a network of two layers.

    points : (n_items, d), zero where an item has none
    width : of the layer between
    temperature : τ
    held_out : share of the items by whose loss it is stopped; 0: after all epochs
    """

    points: np.ndarray
    n_factors: int = 64
    width: int = 256
    temperature: float = 0.1
    hot: Hot = "own"
    held_out: float = 0.1
    learning: Learning = Learning(batch=512, most_epochs=100, patience=16, plateau=5)  # noqa: RUF009  (frozen)
    name: str = "bridge-contrast"

    def fit(self, train: Interactions, keeping: Keeping | None = None) -> BridgeFitted:
        import torch

        points, factors, is_learned = _known(self.points, train, self.n_factors, self.learning.seed)
        mean, spread = points[is_learned].mean(axis=0), points[is_learned].std(axis=0)
        heard = torch.from_numpy((points - mean) / np.where(spread > 1e-6 * (1 + np.abs(mean)), spread, 1.0))
        directions = unit(factors.items.astype(np.float32))
        wanted = torch.from_numpy(directions)
        with drawing_from(self.learning.seed):
            net = torch.nn.Sequential(
                torch.nn.Linear(points.shape[1], self.width),
                torch.nn.ReLU(),
                torch.nn.Linear(self.width, directions.shape[1]),
            )
            order = torch.from_numpy(np.flatnonzero(is_learned))[torch.randperm(int(is_learned.sum()))]
        n_held_out = int(self.held_out * len(order))
        held_out, learned = order[:n_held_out], order[n_held_out:]

        def loss_on(rows: torch.Tensor) -> torch.Tensor:
            return decoupled(net(heard[rows]), wanted[rows], self.temperature)

        settings = {key: value for key, value in vars(self).items() if key not in ("points", "learning")}
        about = {**settings, "points": digest(points), "rows": digest(train.user, train.item)}
        look = (lambda: -float(loss_on(held_out))) if n_held_out > 1 else None
        curve = learn_by_epochs(
            net, len(learned), lambda rows: loss_on(learned[rows]), look, self.learning, about, keeping
        )
        with torch.no_grad():
            predicted = unit(net(heard).numpy())
        placed = _placed(unit(user_sums(directions, train)), directions, predicted, points, train, self.hot)
        return BridgeFitted(placed.users, placed.items, placed.is_known, curve)


@dataclass(frozen=True, eq=False)
class BridgeFitted(InOneSpace):
    """Where users and items lie, and how it was learned."""

    curve: tuple[Epoch, ...]


def decoupled(sound: torch.Tensor, factors: torch.Tensor, temperature: float) -> torch.Tensor:
    """The contrast of rows with each other, mean; both (n, d). A row alone has no others, and its loss is 0."""
    import torch
    from torch.nn import functional

    cosines = functional.normalize(sound, dim=1) @ functional.normalize(factors, dim=1).T / temperature
    if len(cosines) < 2:
        return 0.0 * cosines.sum()
    own = torch.eye(len(cosines), dtype=torch.bool)
    return (torch.logsumexp(cosines.masked_fill(own, -torch.inf), dim=1) - cosines.diagonal()).mean()


def _known(
    points: np.ndarray, train: Interactions, n_factors: int, seed: int
) -> tuple[np.ndarray, Factors, np.ndarray]:
    """Points, factors, and the items of which both are known: (n_items,) bool."""
    found = points_for(points, train)
    is_learned = has_point(found) & (train.has.getnnz(axis=0) > 0)
    if is_learned.sum() < FEWEST:
        raise InputError(
            f"{is_learned.sum()} items are had by somebody and were heard, expected {FEWEST} at least to learn from.",
            "Join points of these items.",
        )
    return found, factors_by_svd(train, n_factors, seed), is_learned


def _placed(
    users: np.ndarray, own: np.ndarray, predicted: np.ndarray, points: np.ndarray, train: Interactions, hot: Hot
) -> InOneSpace:
    """Items where they are known to lie, or where their sound says."""
    is_had = train.has.getnnz(axis=0) > 0
    is_heard = has_point(points)
    keeps = is_had & ~is_heard if hot == "predicted" else is_had
    return InOneSpace(users, np.where(keeps[:, None], own, predicted), is_had | is_heard)
