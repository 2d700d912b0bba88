"""Along: a library in order by one aspect, from the least of it to the most, and where the query stands.

    discovered direction   where each recording lies on the main direction of the aspect, by what the encoder hears
    measured value         what was measured of it

Both are given in standard deviations of the library, on the scale on which the aspect is probed, so that the two can be
compared. Nothing is compared with the query: it has its place in the order like every other recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mess_core.numbers import percent
from mess_core.search.measured import MeasuredLibrary
from mess_core.search.neighbours import NeighbourIndex
from mess_core.targets.registry import name_of, target_of


@dataclass(frozen=True)
class Dial:
    """By what a library is put in order.

    aspect, target : what was asked for, and the target whose direction or value stands for it
    more, less : what more of it is, in a word, and less: "brighter", "darker"
    unit : of measured values; None where it is a direction
    query_at : where the query lies, in standard deviations of the library; None without a query
    query_percentile : share of the library, the query left out, that has less of it
    """

    aspect: str
    target: str
    more: str
    less: str
    unit: str | None
    query_at: float | None
    query_percentile: float | None

    @property
    def words(self) -> str:
        """What is said of each recording."""
        what = "measured value" if self.unit is not None else "place on the direction that was discovered"
        return f"{name_of(self.target)}: {what}, in standard deviations of this library"

    @property
    def of_query(self) -> str:
        """Where the query stands, in a sentence; empty without one.

        Examples
        --------
        >>> Dial("brightness", "spectral_centroid", "brighter", "darker", None, 0.4, 63.0).of_query
        'The query is brighter than 63 % of this library.'
        >>> Dial("brightness", "spectral_centroid", "brighter", "darker", None, -3.0, 0.0).of_query
        'The query is darker than all else here.'
        """
        if self.query_percentile is None:
            return ""
        share = self.query_percentile
        word, share = (self.more, share) if share >= 50.0 else (self.less, 100.0 - share)
        than = f"{percent(share)} of this library" if round(share) < 100 else "all else here"
        return f"The query is {word} than {than}."


def dial_of(
    index: NeighbourIndex,
    aspect: str,
    measured: MeasuredLibrary | None,
    query: np.ndarray | None = None,
    query_id: str | None = None,
) -> tuple[Dial, np.ndarray]:
    """By what an index of directions or values is put in order along an aspect, and where each of its tracks lies.

    Parameters
    ----------
    index : NeighbourIndex
        In a geometry that has directions.
    aspect : str
    measured : MeasuredLibrary or None
        Where values are compared.
    query : ndarray, shape (n_columns,), or None
        Its item.
    query_id : str or None
        Its track, if the index holds it: it is not compared with itself.

    Returns
    -------
    dial : Dial
    at : ndarray, shape (n_tracks,), standard deviations of the library

    Raises
    ------
    InputError
        If the geometry has no direction for the aspect.
    """
    at = index.coordinates(aspect)
    item = index.rows.rows(np.array([0])) if query is None else query[None]
    target, place = index.geometry.coordinate(item, aspect)
    more, less = target_of(target).words
    query_at = percentile = None
    if query is not None:
        query_at = float(place[0])
        others = at if query_id is None else np.delete(at, index.row_of(query_id))
        if len(others):
            percentile = float(100.0 * ((others < query_at).mean() + (others == query_at).mean() / 2))
    unit = None if measured is None else target_of(target).unit
    return Dial(aspect, target, more, less, unit, query_at, percentile), at
