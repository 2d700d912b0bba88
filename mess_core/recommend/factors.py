"""Factors: a point for every user and every item, so that their product says who has what; by the package `implicit`.

    minimise  Σ c_ui (has_ui - <x_u, y_i>)² + penalty (|x|² + |y|²),   c_ui = 1 + confidence · weight_ui

All pairs count, those that are not there little: least squares for the users with the items held still, then the other
way round. On one thread with a seed the same rows give the same points.

Source
------
Hu, Koren & Volinsky (2008), Collaborative filtering for implicit feedback datasets.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np

from mess_core.errors import DependencyMissingError
from mess_core.installation import how_to_add
from mess_core.recommend.columns import Interactions


@dataclass(frozen=True)
class ImplicitFactors:
    """Implicit alternating least squares.

    n_factors : numbers of a point
    confidence : how much more what is there counts than what is not
    """

    n_factors: int = 64
    penalty: float = 0.05
    confidence: float = 10.0
    n_iterations: int = 15
    seed: int = 0
    name: str = "als"

    def fit(self, train: Interactions) -> Factors:
        """Learn from interactions.

        Raises
        ------
        DependencyMissingError
            If the package `implicit` is not installed.
        """
        from threadpoolctl import threadpool_limits

        if (missing := why_no_factors()) is not None:
            raise missing
        from implicit.cpu.als import AlternatingLeastSquares

        confident = train.matrix.copy()
        confident.data = 1.0 + self.confidence * confident.data
        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(
                factors=self.n_factors,
                regularization=self.penalty,
                alpha=1.0,  # what is given are the c_ui themselves
                iterations=self.n_iterations,
                num_threads=1,
                random_state=self.seed,
                dtype=np.float64,
            )
            model.fit(confident, show_progress=False)
        return Factors(np.array(model.user_factors), np.array(model.item_factors))


def why_no_factors() -> DependencyMissingError | None:
    """What keeps factors from being learned; None where nothing does."""
    if importlib.util.find_spec("implicit") is not None:
        return None
    return DependencyMissingError(
        "The package implicit, which learns factors, is not installed.", how_to_add("recommenders")
    )


@dataclass(frozen=True, eq=False)
class Factors:
    """Points. users : (n_users, d); items : (n_items, d)"""

    users: np.ndarray
    items: np.ndarray

    def scores(self, users: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.users[users] @ self.items.T
        return found
