"""Worlds with a known answer: pieces played by several, each in a way of his own."""

from __future__ import annotations

import numpy as np

from mess_core.learning.course import Course, Source
from mess_core.learning.moments import MomentSet
from mess_core.learning.triplets import rated_triplets


def moments(works: list[str], performers: list[str | None], vectors: np.ndarray) -> MomentSet:
    """One recording each, of which the span is the work."""
    n = len(works)
    ids = tuple(f"r{row}" for row in range(n))
    return MomentSet(ids, ids, tuple(works), tuple(works), tuple(performers), vectors, np.full(n, 5.0))


def course(
    rng: np.random.Generator,
    n_works: int = 12,
    n_players: int = 6,
    *,
    dim: int = 12,
    piece: float = 1.0,
    manner: float = 0.3,
    noise: float = 1.0,
    source: Source = "ratings",
    room: float = 0.0,
) -> Course:
    """What is rated (2 scales) is in two directions of the embedding, a room nobody rates in two others.

    The piece and noise are in all directions.
    """
    rated = rng.standard_normal((n_works * n_players, 2))
    into, of_room = np.random.default_rng(7).standard_normal((2, 2, dim))
    of_piece = np.repeat(piece * rng.standard_normal((n_works, dim)), n_players, axis=0)
    vectors = of_piece + manner * rated @ into + room * rng.standard_normal(rated.shape) @ of_room
    vectors += noise * rng.standard_normal(vectors.shape)
    works = [f"w{work}" for work in range(n_works) for _ in range(n_players)]
    performers = [f"p{player}" for _ in range(n_works) for player in range(n_players)]
    found = moments(works, performers, vectors[:, None].astype(np.float32))
    triplets = rated_triplets(rated, found.codes(found.spans)) if source == "ratings" else None
    return Course(source, found, (dim,), rated, triplets)
