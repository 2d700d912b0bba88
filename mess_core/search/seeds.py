"""Seeds: what rows are compared with, where a question names several recordings: like these, not like those.

    score(x) = mean of s(a, x) over what it should be like  -  1/2 mean of s(b, x) over what it should not be like

Where the similarity is an inner product, so is the score: its query is the same sum of the seeds' queries, one index
answers, exactly, and the score is the same sum in every part. Along directions, where s(q, x) = -|q - x|², this says:

    mean of -|a - x|²                    =  -|x - mean(a)|² + constant       near their mean
    mean of -|a - x|² + 1/2 |b - x|²     =  -1/2 |x - (2 mean(a) - b)|² + constant

so what is found lies around the point that is as far beyond the liked ones as the other one is before them. With the
whole in place of half the squares would cancel, and the best would be the most extreme recording of the library on the
far side, however unlike everything that was named. In a layer, half keeps an unlike recording that resembles the liked
one (a cosine of .9) from cancelling it: what is left is still mostly what was liked.

Where the similarity is no inner product (`either.py`, `transposed.py`), the score is the same mean of what each pair
has in total, and every row is looked at. In either of two hearings, what is alike to one seed in music and to another
in sound has much of both.

Such a score is no pair's, so it has no place among pairs: a neighbour has one for each seed instead (`Standing`).

Source
------
Rocchio (1971), relevance feedback, for adding and subtracting in the query; with the half as above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mess_core.search.geometry import Geometry, Lookup, as_it_is

UNLIKE_SHARE = 0.5  # of the score: what it should not be like, beside what it should
NEAR_FROM = 25.0  # nearness of a pair, from which on the two are called near


@dataclass(frozen=True)
class Standing:
    """One seed of a question beside one neighbour; the pair alone.

    track_id : None of the query
    is_wanted : whether it should be like this seed, or should not
    similarity, percentile, nearness : as of a `Neighbour`
    """

    track_id: str | None
    is_wanted: bool
    similarity: float
    percentile: float | None
    nearness: float | None

    @property
    def is_near(self) -> bool:
        """As neighbours are here; in a library too small to say, nearer than three of four pairs."""
        if self.nearness is not None:
            return self.nearness >= NEAR_FROM
        return self.percentile is not None and self.percentile >= 100.0 - NEAR_FROM


@dataclass(frozen=True, eq=False)
class Seeds:
    """The items that rows are compared with.

    items : (n_seeds, n_columns) float32, the query first, then what it should be like, too, then what it should not
    shares : (n_seeds,) float64, of each one's similarity in the score
    is_reversed : whether the lowest score comes first
    """

    items: np.ndarray
    shares: np.ndarray
    is_reversed: bool = False

    @classmethod
    def of(cls, item: np.ndarray, like: np.ndarray, unlike: np.ndarray, *, is_reversed: bool = False) -> Self:
        """A query (n_columns,), and the items (n, n_columns) of others, none or some."""
        n_like, n_unlike = 1 + len(like), len(unlike)
        shares = [1 / n_like] * n_like + [-UNLIKE_SHARE / n_unlike if n_unlike else 0.0] * n_unlike
        return cls(np.concatenate([item[None], like, unlike]), np.array(shares), is_reversed)

    @property
    def is_single(self) -> bool:
        return len(self.items) == 1

    @property
    def sign(self) -> float:
        """Times the score: larger comes first."""
        return -1.0 if self.is_reversed else 1.0

    def lookups(self, geometry: Geometry, weights: np.ndarray) -> list[Lookup]:
        """By which the first rows are found, of the score times its sign; empty where all must be looked at."""
        if self.is_single and not self.is_reversed:
            return geometry.lookups(self.items[0], weights)
        if not geometry.is_linear:
            return []
        asked = [geometry.query(item, weights) for item in self.items]
        shares = self.sign * self.shares
        vector = (shares @ np.stack([vector for vector, _ in asked]).astype(np.float64)).astype(np.float32)
        return [Lookup(vector, float(shares @ [constant for _, constant in asked]), as_it_is)]

    def score(self, geometry: Geometry, items: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of items (n, n_columns): the score in each part, (n, n_parts), and in total, (n,); before its sign."""
        of_each = [geometry.similarities(seed, items) for seed in self.items]
        parts = sum(share * similarities for share, similarities in zip(self.shares, of_each, strict=True))
        totals = sum(
            share * geometry.total(similarities, weights)
            for share, similarities in zip(self.shares, of_each, strict=True)
        )
        return np.asarray(parts), np.asarray(totals)


def how_alike(standings: Sequence[Standing]) -> str:
    """To which of the seeds a neighbour is near, in words.

    Examples
    --------
    >>> near, far = (Standing("a", True, 0.5, None, nearness) for nearness in (80.0, 3.0))
    >>> apart, close = (Standing("b", False, 0.5, None, nearness) for nearness in (3.0, 70.0))
    >>> how_alike([near, near]), how_alike([near, near, far]), how_alike([far, far])
    ('near to both', 'near to 2 of the 3', 'near to none of the 2')
    >>> how_alike([near, apart]), how_alike([near, close])
    ('near to the query, not to the unwanted one', 'near to the query, though to the unwanted one, too')
    >>> how_alike([far, far, apart]), how_alike([near, apart, close])
    ('near to none of the 2, nor to the unwanted one', 'near to the query, though to 1 of the 2 unwanted ones, too')
    >>> how_alike([far, far, close])
    'near to none of the 2, but to the unwanted one'
    """
    wanted, unwanted = ([each for each in standings if each.is_wanted is is_wanted] for is_wanted in (True, False))
    n_near, n = sum(each.is_near for each in wanted), len(wanted)
    if n == 1:
        said = "near to the query" if n_near else "not near to the query"
    elif n_near == n:
        said = "near to both" if n == 2 else f"near to all {n}"
    else:
        said = f"near to {n_near or 'none'} of the {n}"
    if not unwanted:
        return said
    n_too, n = sum(each.is_near for each in unwanted), len(unwanted)
    the_others = "the unwanted one" if n == 1 else f"the {n} unwanted ones"
    if n_too == 0:
        return f"{said}, {'not' if n_near else 'nor'} to {the_others}"
    of_them = the_others if n_too == n else f"{n_too} of {the_others}"
    return f"{said}, though to {of_them}, too" if n_near else f"{said}, but to {of_them}"
