"""Folds: which rows are held out together, so that nothing a probe is tested on was seen in training.

Two tracks that share a recording, a work or a performer's session are not independent. They belong to one group, and a
group is never on both sides of a split. Groups are connected components: if a and b share a work and b and c a
recording, then a, b and c are one group.

Conventions
-----------
A group id is text; a fold is an integer from 0 to n_folds - 1. Both have one entry per row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mess_core.errors import InputError
from mess_core.words import counted


def connect_groups(*columns: Sequence[str | None]) -> tuple[str, ...]:
    """Put rows that share a value in any column into one group.

    Parameters
    ----------
    columns : sequences of str or None, each of length n_rows
        For example recording ids and work ids. None shares nothing. The first column names the groups and has no None.

    Returns
    -------
    tuple of str, length n_rows
        The group of each row, named by the smallest value that its rows have in the first column.

    Examples
    --------
    >>> connect_groups(["a", "b", "c", "d"], ["K. 331", None, "K. 331", None])
    ('a', 'b', 'a', 'd')
    """
    names = list(columns[0]) if columns else []
    if any(len(column) != len(names) for column in columns):
        raise InputError(f"The columns have {[len(column) for column in columns]} rows, expected as many in each.")
    if any(name is None for name in names):
        raise InputError("The first column of groups holds None, expected a name in every row.")

    leader = list(range(len(names)))  # a forest: each row points towards the first row of its group

    def find(row: int) -> int:
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    for column in columns:
        first_with: dict[str, int] = {}
        for row, value in enumerate(column):
            if value is not None:
                one, other = sorted((find(first_with.setdefault(value, row)), find(row)))
                leader[other] = one
    members: dict[int, list[str]] = {}
    for row, name in enumerate(names):
        members.setdefault(find(row), []).append(str(name))
    return tuple(min(members[find(row)]) for row in range(len(names)))


def assign_folds(groups: Sequence[str], n_folds: int, *, seed: int = 0, repeat: int = 0) -> np.ndarray:
    """Deal groups to folds: at random, yet every fold gets about as many groups and about as many rows.

    Groups are sorted by size and dealt in hands of `n_folds`, each hand in random order. A plain greedy assignment
    would balance rows as well, but would return the same folds for every seed when all sizes differ.

    Parameters
    ----------
    groups : sequence of str, length n_rows
    n_folds : int >= 2
    seed, repeat : int
        The same pair gives the same folds, whatever the order of the rows; each repeat deals anew.

    Returns
    -------
    ndarray, shape (n_rows,), int64
        Fold of each row.

    Raises
    ------
    InputError
        If there are fewer groups than folds.
    """
    if n_folds < 2:
        raise InputError(f"{counted(n_folds, 'fold')} asked for, expected at least 2.")
    ids, row_groups, sizes = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    if len(ids) < n_folds:
        raise InputError(
            f"{counted(len(ids), 'group')} cannot fill {counted(n_folds, 'fold')}.",
            "Use fewer folds or a finer grouping.",
        )
    rng = np.random.default_rng([seed, repeat])
    shuffled = rng.permutation(len(ids))
    by_size = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    fold_of_group = np.empty(len(ids), np.int64)
    for start in range(0, len(ids), n_folds):
        hand = by_size[start : start + n_folds]
        fold_of_group[hand] = rng.permutation(n_folds)[: len(hand)]
    folds: np.ndarray = fold_of_group[row_groups]
    return folds
