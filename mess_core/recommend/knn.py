"""Item to item: what users who have one item also have, as a likeness of items; and a user's items vote.

    has (users, items) -> together = hasᵀ has -> likeness (items, items) -> score of j: Σ likeness over a user's items

Two ways to a likeness, both without gradient and both hard to beat:

    ItemNeighbours   together_ij / (√(together_ii together_jj) + shrinkage); of each item its k nearest count
    Ease             -P_ij / P_jj with P = (hasᵀ has + penalty I)⁻¹: each item as a linear function of all others

Shrinkage takes from pairs that few users have; `fewest_together` leaves them out, which is also how nobody can be told
from a likeness: with 3, no pair of items speaks of one or two users alone.

Memory
------
Neighbours are sparse: 12 bytes for each of k x n_items. Ease is dense, 8 bytes for each of n_items², and twice that
while it is made: 1.6 GB for 10⁴ items, which is as many as it takes.

Source
------
Deshpande & Karypis (2004) for neighbours of items, Bell & Koren (2007) for shrinkage; Steck (2019), Embarrassingly
Shallow Autoencoders. Which of several equally near items are among the k nearest is not said there. Here those of the
lower number are; on LastFM, another choice moves NDCG@10 by .0003, and taking all of them in by .0012.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.columns import Interactions

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_ITEMS_DENSE = 10_000  # 0.8 GB for a likeness, and as much again while it is made
ITEMS_AT_ONCE = 1024


@dataclass(frozen=True)
class ItemNeighbours:
    """Cosine of items by who has them.

    k : of each item, how many nearest count for it
    shrinkage : added below the line; about as many users as it takes to believe a pair by half
    fewest_together : users who must have both of a pair
    """

    k: int = 50
    shrinkage: float = 0.0
    fewest_together: int = 1
    name: str = "itemknn"

    def fit(self, train: Interactions) -> ItemToItem:
        if self.k < 1 or self.shrinkage < 0:
            raise InputError(f"k is {self.k} and shrinkage {self.shrinkage:g}, expected 1 or more, and 0 or more.")
        return ItemToItem(train.has, self.likeness(train.has))

    def likeness(self, has: csr_matrix) -> csr_matrix:
        """(n_items, n_items) sparse, column j holds what counts for j. has : (n_users, n_items) of 0 and 1, sparse"""
        from scipy.sparse import csc_matrix, hstack

        n_items = has.shape[1]
        columns = has.tocsc()
        lengths = np.sqrt(np.asarray(has.sum(axis=0), np.float64).ravel())
        blocks = []
        for start in range(0, n_items, ITEMS_AT_ONCE):
            block = (columns.T @ columns[:, start : start + ITEMS_AT_ONCE]).tocoo()
            row, column, together = block.row, block.col + start, block.data
            counts = (row != column) & (together >= max(self.fewest_together, 1))
            row, column, together = row[counts], column[counts], together[counts]
            value = together / (lengths[row] * lengths[column] + self.shrinkage)
            order = np.lexsort((row, -value, column))
            row, column, value = row[order], column[order], value[order]
            first = np.searchsorted(column, column, side="left")
            nearest = np.arange(len(column)) - first < self.k
            placed = (value[nearest], (row[nearest], column[nearest] - start))
            blocks.append(csc_matrix(placed, shape=(n_items, block.shape[1])))
        return hstack(blocks, format="csr") if blocks else csc_matrix((n_items, n_items)).tocsr()


@dataclass(frozen=True)
class Ease:
    """Each item by a ridge regression on all others. penalty : λ, in users"""

    penalty: float = 100.0
    name: str = "ease"

    def fit(self, train: Interactions) -> ItemToItem:
        if not self.penalty > 0:
            raise InputError(f"The penalty is {self.penalty:g}, expected a number above 0.")
        if (too_many := why_no_ease(train)) is not None:
            raise too_many
        return ItemToItem(train.has, self.likeness(train.has))

    def likeness(self, has: csr_matrix) -> np.ndarray:
        """(n_items, n_items) float64, its diagonal 0. has : (n_users, n_items) of 0 and 1, sparse"""
        from scipy.linalg.lapack import dpotrf, dpotri

        together = np.asfortranarray((has.T @ has).toarray())
        together[np.diag_indices_from(together)] += self.penalty
        root, failed = dpotrf(together, lower=True, overwrite_a=True)
        inverse, failed_too = dpotri(root, lower=True, overwrite_c=True)
        if failed or failed_too:  # the penalty is far below the rounding of the counts
            raise InputError(
                f"A penalty of {self.penalty:g} is too small for these interactions.", "Take a larger one."
            )
        weights: np.ndarray = np.tril(inverse, -1)  # LAPACK fills the lower half alone
        weights += weights.T
        weights /= -np.diag(inverse)
        return weights


def why_no_ease(train: Interactions) -> InputError | None:
    """What keeps Ease from being made of interactions; None where nothing does."""
    if train.n_items <= MOST_ITEMS_DENSE:
        return None
    return InputError(
        f"EASE keeps a number for each pair of items, and takes {MOST_ITEMS_DENSE:,} items at most; here are "
        f"{train.n_items:,}.",
        "Use neighbours (itemknn), or leave out rare items.",
    )


@dataclass(frozen=True, eq=False)
class ItemToItem:
    """A likeness of items, and what users have.

    histories : (n_users, n_items), sparse
    likeness : (n_items, n_items), sparse or dense; what row i adds to the score of column j
    """

    histories: csr_matrix
    likeness: csr_matrix | np.ndarray

    def scores(self, users: np.ndarray) -> np.ndarray:
        found = self.histories[users] @ self.likeness
        return found if isinstance(found, np.ndarray) else found.toarray()
