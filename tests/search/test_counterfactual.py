"""Counterfactual: planted moves are found where they were planted, in size and sign."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search.counterfactual import AspectMoved, Moved, moved
from mess_core.search.geometry import DirectionGeometry, LayerGeometry

TARGET = "spectral_centroid"
EVIDENCE = {"brightness": AspectEvidence((0,), (TARGET,), "high", (TARGET,))}


@pytest.fixture
def library() -> np.ndarray:
    rng = np.random.default_rng(1)
    return (10 + rng.standard_normal((200, 3, 8))).astype(np.float32)  # a large common part, as real embeddings have


def compare(library: np.ndarray, before: np.ndarray, after: np.ndarray, error_sd: float = 0.5) -> Moved:
    weights = np.zeros((1, 3, 8), np.float32)
    weights[0, 0, 0] = 1  # the coordinate is number 0 of layer 0
    directions = Directions((TARGET,), ((0,),), weights, np.zeros((1, 3), np.float32))
    along = DirectionGeometry.fit(library, EVIDENCE, directions)
    return moved(LayerGeometry.fit(library), along, before, after, {TARGET: error_sd})


def test_nothing_moves_where_nothing_changed(library):
    found = compare(library, library[3], library[3])
    assert found.layers == pytest.approx((0, 0, 0), abs=1e-6)
    assert found.aspects[0].difference_sd == 0 and not found.aspects[0].is_beyond
    assert found.sentences()[-1] == "In no aspect does it differ by more than the encoder can be wrong."


def test_the_layer_that_was_turned_round_is_named(library):
    after = library[3].copy()
    after[2] = 2 * library[:, 2].mean(axis=0) - library[3, 2]  # its opposite, seen from the middle of the library
    found = compare(library, library[3], after)
    assert found.layers == pytest.approx((0, 0, 2), abs=1e-4)
    assert (
        found.sentences()[0].startswith("Layer 2 moves most (2.00), layer 0 least (0.00)")
        or "layer 1" in found.sentences()[0]
    )


@pytest.mark.parametrize(("by_sd", "word"), [(1.5, "brighter"), (-2.0, "darker")])
def test_a_move_along_a_direction_is_measured_in_standard_deviations(library, by_sd, word):
    """Of the library; the target is number 0 of layer 0."""
    after = library[3].copy()
    after[0, 0] += by_sd * library[:, 0, 0].std()
    found = compare(library, library[3], after)
    (aspect,) = found.aspects
    assert aspect.difference_sd == pytest.approx(by_sd, abs=1e-3) and aspect.word == word and aspect.is_beyond
    assert f"To this encoder it is otherwise: {word}." in found.sentences()
    assert not compare(library, library[3], after, error_sd=3.0).aspects[0].is_beyond


def test_without_directions_only_layers_are_compared(library):
    found = moved(LayerGeometry.fit(library), None, library[3], library[4], {})
    assert len(found.layers) == 3 and found.aspects == () and len(found.sentences()) == 1


def test_several_are_listed():
    aspects = (
        AspectMoved("a", 3.0, 1.0, "brighter"),
        AspectMoved("b", -2.0, 1.0, "calmer"),
        AspectMoved("c", 1, 2, "x"),
    )
    assert Moved((0.1, 0.2), aspects).sentences()[1] == "To this encoder it is otherwise: brighter, calmer."
