"""Directions: in every layer, the straight line along which a target grows.

Ridge regression predicts a target as w·x + b. Its weights are a direction in the layer's space, and the prediction is a
coordinate along it: "how bright is this, as far as this layer can tell?" One coordinate per target, averaged over the
layers that tell it best, turns thousands of numbers per recording into a few that have names.

    z_t(x) = mean over the target's best layers l of (w_tl · x_l + b_tl)

with each w, b scaled so that the coordinate has mean 0 and standard deviation 1 on the rows it was fitted on. Layers of
very different size thus count alike.

Source
------
Design of `probing.probe`: alpha and best layers come from there; the fit here uses all rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.errors import ArtefactMismatchError
from mess_core.probing.data import ProbeData, blocks_of, narrowed
from mess_core.probing.result import ProbeResult
from mess_core.probing.ridge import FoldedFeatures, one_blas_thread
from mess_core.storage.untrusted import parse_json, parse_safetensors, tensor_metadata, understanding

FORMAT = "mess-directions-1"


@dataclass(frozen=True, eq=False)
class Projection:
    """Coordinates of some targets, as one matrix product.

    matrix : (n_layers * dim, n_targets) float32; offsets : (n_targets,); shape : (n_layers, dim)
    """

    matrix: np.ndarray
    offsets: np.ndarray
    shape: tuple[int, int]

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """(n_rows, n_layers, dim) -> (n_rows, n_targets) float64."""
        if vectors.shape[1:] != self.shape:
            raise ArtefactMismatchError(
                f"Vectors of shape {vectors.shape[1:]} and directions of shape {self.shape} do not belong together.",
                "Probe again with this encoder.",
            )
        coordinates: np.ndarray = vectors.reshape(len(vectors), -1) @ self.matrix + self.offsets
        return coordinates


@dataclass(frozen=True, eq=False)
class Directions:
    """The directions of every target that could be probed.

    targets : names, n_targets of them
    layers : for each target the layers within one standard error of the best
    weights : (n_targets, n_layers, dim) float32, of every layer
    offsets : (n_targets, n_layers) float32
    """

    targets: tuple[str, ...]
    layers: tuple[tuple[int, ...], ...]
    weights: np.ndarray
    offsets: np.ndarray

    def projection(self, targets: Sequence[str]) -> Projection:
        """What turns vectors into the coordinates of these targets."""
        _, n_layers, dim = self.weights.shape
        matrix = np.zeros((n_layers, dim, len(targets)), np.float32)
        offsets = np.zeros(len(targets))
        for column, target in enumerate(targets):
            number = self.targets.index(target)
            best = list(self.layers[number])
            matrix[best, :, column] = self.weights[number, best] / len(best)
            offsets[column] = self.offsets[number, best].mean()
        return Projection(matrix.reshape(n_layers * dim, -1), offsets, (n_layers, dim))

    def to_bytes(self) -> bytes:
        """As a safetensors file; the same directions give the same bytes."""
        from safetensors.numpy import save

        facts = json.dumps({"format": FORMAT, "targets": self.targets, "layers": self.layers})
        return save({"weights": self.weights, "offsets": self.offsets}, metadata={"mess": facts})

    @classmethod
    def from_bytes(cls, data: bytes) -> Directions:
        """What `to_bytes` wrote.

        Raises
        ------
        ArtefactMismatchError
            If the bytes are of another version, or none of its.
        """
        cure = "Probe again: python -m mess_core probe"
        name = "The file of directions"
        arrays = parse_safetensors(data, name, cure)
        with understanding(name, cure):
            facts = parse_json(tensor_metadata(data, name, cure)["mess"], name, cure)
            if facts["format"] != FORMAT:
                raise ArtefactMismatchError("The directions were made by another version.", cure)
            targets = tuple(str(target) for target in facts["targets"])
            layers = tuple(tuple(int(layer) for layer in best) for best in facts["layers"])
            weights, offsets = arrays["weights"], arrays["offsets"]
            is_whole = weights.ndim == 3 and weights.shape[:2] == offsets.shape and len(targets) == len(layers)
            if not is_whole or len(targets) != len(weights):
                raise ValueError("its parts do not fit each other")
            if any(not 0 <= layer < weights.shape[1] for best in layers for layer in best):
                raise ValueError("it names a layer that is not there")
            return cls(targets, layers, weights, offsets)


@one_blas_thread()
def fit_directions(data: ProbeData, result: ProbeResult) -> Directions:
    """Fit every target in every layer on all rows, with the alphas that probing chose.

    Parameters
    ----------
    data : ProbeData
    result : ProbeResult
        Of `fit_cells` on the same data.

    Returns
    -------
    Directions
        Of the targets that could be probed and are numbers, in the order of `result.targets`.
    """
    blocks, _ = blocks_of(data, result.settings.n_folds)
    probed = [each for each in result.targets if each.best_layer is not None and each.classes is None]
    number_of = {summary.target: number for number, summary in enumerate(probed)}
    _, n_layers, dim = data.vectors.shape
    weights = np.zeros((len(probed), n_layers, dim), np.float32)
    offsets = np.zeros((len(probed), n_layers), np.float32)
    alpha_of = {(cell.layer, cell.target): cell.alpha for cell in result.cells}
    for block in blocks:
        numbers = [number_of[target] for target in block.targets]
        centred = block.values - block.weights @ block.values / block.weights.sum()
        for layer in range(n_layers):
            features = narrowed(data.vectors[block.rows, layer])
            whole = FoldedFeatures(features, np.zeros(len(features), int), block.weights).decompose()
            alphas = np.array([alpha_of[layer, target] for target in block.targets], np.float64)
            told = whole.coefficients(centred, alphas)
            predicted = features @ told
            spread = predicted.std(axis=0)
            is_told = spread > 1e-12
            spread = np.where(is_told, spread, 1.0)
            weights[numbers, layer, : features.shape[1]] = np.where(is_told, told / spread, 0.0).T
            offsets[numbers, layer] = np.where(is_told, -predicted.mean(axis=0) / spread, 0.0)
    return Directions(
        tuple(summary.target for summary in probed), tuple(summary.best_set for summary in probed), weights, offsets
    )
