"""Weights: the trained network in the form in which MESS keeps it, and back.

`nano.safetensors` holds the network in float16 under the names of `mess_core.encoders.nano`, `nano_norm.json` the mean
and deviation of each log-mel band. `weights.json` says what belongs in `NANO.files`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mess_core.encoders import nano
from mess_core.encoders.base import WeightFile
from mess_core.encoders.nano import NANO, NORM, WEIGHTS, Nano
from mess_core.errors import DataMissingError
from mess_core.storage.files import write_atomically

CARD = "weights.json"
SHIPPED = Path(nano.__file__).resolve().parent


def export(network: torch.nn.Module, mean: np.ndarray, std: np.ndarray, folder: Path) -> tuple[WeightFile, WeightFile]:
    """Write weights, norm and card.

    Parameters
    ----------
    mean, std : ndarray, shape (128,)

    Returns
    -------
    (WeightFile, WeightFile)
        As they belong in `NANO.files`.
    """
    from safetensors.torch import save

    state = {name: tensor.detach().cpu().half().contiguous() for name, tensor in network.state_dict().items()}
    norm = {"mean": [float(value) for value in mean], "std": [float(value) for value in std]}
    contents = {WEIGHTS: save(state), NORM: json.dumps(norm).encode()}
    files = []
    for name, data in contents.items():
        write_atomically(folder / name, data)
        files.append(WeightFile(name, len(data), hashlib.sha256(data).hexdigest()))
    write_atomically(folder / CARD, json.dumps([vars(file) for file in files], indent=1).encode())
    return files[0], files[1]


def load(folder: Path = SHIPPED, device: str = "cpu") -> Nano:
    """The encoder with the weights of a folder, by default those that come with MESS.

    Raises
    ------
    DataMissingError, ArtefactMismatchError
        If a file is not there, or not what the folder's card says.
    """
    if folder.resolve() == SHIPPED:
        return Nano.load(device)
    if not (folder / CARD).is_file():
        raise DataMissingError(f"There are no weights in {folder}.", "Give the folder of a run that has ended.")
    files = tuple(WeightFile(**facts) for facts in json.loads((folder / CARD).read_text()))
    return Nano.from_folder(folder, info=replace(NANO, revision=folder.name, files=files), device=device)
