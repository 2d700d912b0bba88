"""Counterfactual: what moves in an encoder's ear when a recording is changed in one thing.

Two embeddings of the same music, before and after (`audio.changes`): how far each layer turns, and how far it goes
along the direction of each aspect. What should stay and does not is what the encoder goes by besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mess_core.numbers import number
from mess_core.search.geometry import Geometry, LayerGeometry
from mess_core.targets.registry import target_of


@dataclass(frozen=True)
class AspectMoved:
    """Along one aspect's main direction.

    difference_sd : after minus before, in standard deviations of the library
    error_sd : how wrong such a difference between two recordings can be
    word : "brighter", "calmer", …: what it became
    """

    aspect: str
    difference_sd: float
    error_sd: float
    word: str

    @property
    def is_beyond(self) -> bool:
        """Whether it is more than the encoder can be wrong."""
        return abs(self.difference_sd) > self.error_sd


@dataclass(frozen=True)
class Moved:
    """What a change moved.

    layers : for each layer 1 minus the cosine without the library's common part: 0 is the same, 1 is unrelated
    aspects : those with evidence, the most moved first; empty where nothing was discovered
    """

    layers: tuple[float, ...]
    aspects: tuple[AspectMoved, ...]

    def sentences(self) -> list[str]:
        """What was found, for who listens."""
        most, least = int(np.argmax(self.layers)), int(np.argmin(self.layers))
        by = {layer: number(self.layers[layer]) for layer in (most, least)}
        said = [f"Layer {most} moves most ({by[most]}), layer {least} least ({by[least]})."]
        if len(self.layers) == 1:
            said = [f"It moves by {number(self.layers[0])}."]
        beyond = [each for each in self.aspects if each.is_beyond]
        if beyond:
            said.append(f"To this encoder it is otherwise: {', '.join(each.word for each in beyond)}.")
        elif self.aspects:
            said.append("In no aspect does it differ by more than the encoder can be wrong.")
        return said


def moved(
    layers: LayerGeometry,
    directions: Geometry | None,
    before: np.ndarray,
    after: np.ndarray,
    errors: Mapping[str, float],
) -> Moved:
    """Compare two embeddings of one encoder, each (n_layers, dim).

    Parameters
    ----------
    layers, directions : LayerGeometry, and one that has directions or None
        Of the library that the recording is looked at in.
    before, after : ndarray, shape (n_layers, dim)
    errors : mapping of target to float
        `reasons.errors_of` the discovery.
    """
    one, other = layers.items(before[None]), layers.items(after[None])
    turned = 1.0 - layers.layer_cosines(one, other)[0]
    found = []
    if directions is not None:
        here, there = directions.items(before[None]), directions.items(after[None])
        for place, aspect in enumerate(directions.parts):
            if directions.plain[place] == 0:  # no evidence for it here
                continue
            target, start = directions.coordinate(here, aspect)
            _, end = directions.coordinate(there, aspect)
            difference = float(end[0] - start[0])
            word = target_of(target).words[0 if difference >= 0 else 1]
            found.append(AspectMoved(aspect, difference, errors.get(target, 0.0), word))
    found.sort(key=lambda each: -abs(each.difference_sd))
    return Moved(tuple(turned.tolist()), tuple(found))
