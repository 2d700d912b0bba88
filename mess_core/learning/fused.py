"""Fused: search as it is, plus a learned weight for every field of the catalogue that two recordings share.

The weights are those of a conditional logistic regression (McFadden 1974): of the candidates of a training moment, the
one that the teacher finds alike is the more probable the larger similarity and shared fields together are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mess_core.learning.fields import Fields
from mess_core.search.learned import Transform


@dataclass(frozen=True, eq=False)
class Fused:
    """transform : search as it is; names, weights : (n_fields,) of the fields, in the unit of a cosine"""

    transform: Transform
    names: tuple[str, ...]
    weights: np.ndarray

    def similarities(self, vectors: np.ndarray, fields: Fields) -> np.ndarray:
        """Of all with all, (n, n) float64, larger is closer."""
        points = self.transform.points(vectors)
        found = self.transform.similarities(points, points)
        for column, weight in enumerate(self.weights):
            codes = fields.codes[:, column]
            found += weight * ((codes[:, None] == codes) & (codes >= 0))
        return found
