"""Grouped folds as scikit-learn asks for them: the very folds that probing uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator

from mess_core.errors import InputError
from mess_core.probing.folds import assign_folds


class GroupedFolds(BaseCrossValidator):
    """Deals groups to folds as `assign_folds` does; no group is on both sides of a split.

    Parameters
    ----------
    n_splits : int
    n_repeats : int
        Each repeat deals anew.
    seed : int

    Examples
    --------
    >>> groups = ["a", "a", "b", "c"]
    >>> [test.tolist() for _, test in GroupedFolds(3).split(range(4), groups=groups)]
    [[2], [3], [0, 1]]
    """

    def __init__(self, n_splits: int = 5, *, n_repeats: int = 1, seed: int = 0) -> None:
        self.n_splits = n_splits
        self.n_repeats = n_repeats
        self.seed = seed

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Over all repeats."""
        self._check()
        return self.n_splits * self.n_repeats

    def _check(self) -> None:
        """Numbers are looked at where they are used: scikit-learn sets them without asking."""
        for name, least in (("n_splits", 2), ("n_repeats", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                raise InputError(f"{name} is {value!r}, expected a whole number from {least}.")

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows to train on and rows to test on, (n_train,) and (n_test,) int, of each fold.

        Raises
        ------
        InputError
            If there are no groups, not one for each row, or fewer than folds, or a number of the folds cannot be.
        """
        self._check()
        if groups is None:
            raise InputError("Grouped folds need groups.", "Give groups=…: what is never on both sides of a split.")
        if X is not None and len(groups) != len(X):
            raise InputError(f"There are {len(X)} rows and {len(groups)} groups, expected one for each row.")
        for repeat in range(self.n_repeats):
            folds = assign_folds([str(group) for group in groups], self.n_splits, seed=self.seed, repeat=repeat)
            for fold in range(self.n_splits):
                yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
