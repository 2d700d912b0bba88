"""Widths: layers of one encoder that are not equally wide.

In memory the layers of an embedding are the rows of one array, as long as the widest of them. What a narrower layer
does not have is 0 there, which counts for nothing in a product, a distance or a straight line. On disk and in an index
layers lie one after the other, without those zeros.

    rows (…, n_layers, dim)  <->  numbers (…, n_numbers)

`widths` says how many of the `dim` numbers each layer has; the widest has them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def without_padding(rows: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Layers one after the other.

    Examples
    --------
    >>> without_padding(np.array([[1, 2, 3], [4, 0, 0]]), (3, 1)).tolist()
    [1, 2, 3, 4]
    """
    if min(widths) == rows.shape[-1]:
        return rows.reshape(*rows.shape[:-2], -1)
    numbers: np.ndarray = rows[..., _is_used(widths, rows.shape[-1])]
    return numbers


def with_padding(numbers: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Each layer in a row of its own.

    Examples
    --------
    >>> with_padding(np.array([1, 2, 3, 4]), (3, 1)).tolist()
    [[1, 2, 3], [4, 0, 0]]
    """
    rows = np.zeros((*numbers.shape[:-1], len(widths), max(widths)), numbers.dtype)
    rows[..., _is_used(widths, max(widths))] = numbers
    return rows


def _is_used(widths: Sequence[int], dim: int) -> np.ndarray:
    """(n_layers, dim) bool"""
    is_used: np.ndarray = np.arange(dim) < np.array(widths)[:, None]
    return is_used
