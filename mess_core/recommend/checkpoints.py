"""A checkpoint: what a fit was at after an epoch, so that it can go on from there.

    a JSON document, sealed    what it is a fit of, and what was noted of each epoch
    beside it, safetensors     now.NAME    the module as it is
                               best.NAME   as it was at the best epoch
                               adam.PARAMETER.NAME   Adam's averages of each parameter, by its place

The arrays are written first, under a name with their sha256, and the document that names them after; so whoever is
interrupted leaves the old pair or the new one. A checkpoint may come from elsewhere: nothing in it is run, each array
has the shape of its own, and it is of the same fit or refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mess_core.errors import ArtefactMismatchError
from mess_core.storage.beside import read_beside, sweep_beside, write_beside
from mess_core.storage.files import read_sealed, write_sealed
from mess_core.storage.untrusted import (
    parse_safetensors,
    printable,
    understanding,
)

if TYPE_CHECKING:
    import torch

FORMAT = "mess-epochs-1"
BEGIN_AGAIN = "Delete the checkpoint, or give another file: the fit then begins anew."


def digest(*arrays: np.ndarray) -> str:
    """sha256 of the shapes, kinds and bytes of arrays: what a fit says of its data.

    Examples
    --------
    >>> digest(np.array([0, 1])) == digest(np.array([[0, 1]])), digest(np.array([0, 1])) == digest(np.array([0, 1]))
    (False, True)
    """
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape} {array.dtype.str} ".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def save_checkpoint(
    path: Path,
    about: Mapping[str, Any],
    notes: Sequence[Mapping[str, Any]],
    module: torch.nn.Module,
    best: Mapping[str, torch.Tensor],
    optimiser: torch.optim.Optimizer,
) -> None:
    """Keep a checkpoint in place of an older one.

    Parameters
    ----------
    path : Path
        Of the document, `*.json`.
    about : mapping, as JSON
        What fit it is; the same must be given to go on.
    notes : sequence of mappings, as JSON
        Of each epoch.
    module, best, optimiser
        As they are now; `best` is a state of the module.
    """
    from safetensors.numpy import save

    tensors = {f"now.{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for place, averages in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{place}.{name}": value for name, value in averages.items()}
    data = save({name: np.ascontiguousarray(value.detach().cpu().numpy()) for name, value in tensors.items()})
    sha256 = write_beside(path, data)
    write_sealed(path, {"format": FORMAT, "about": dict(about), "notes": list(notes), "arrays_sha256": sha256})
    sweep_beside(path, [sha256])


def load_checkpoint(
    path: Path, about: Mapping[str, Any], module: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]] | None:
    """Put a module and Adam where they were; returns what was noted, and the best state. None if nothing is kept.

    Raises
    ------
    ArtefactMismatchError
        If it is damaged, of another version, or of another fit. The module is then not to be used.
    """
    name = printable(path.name)
    try:
        document = read_sealed(path, cure=BEGIN_AGAIN)
    except FileNotFoundError:
        return None
    with understanding(name, BEGIN_AGAIN):
        if document.get("format") != FORMAT:
            raise ArtefactMismatchError(f"{name} is no checkpoint of this version.", BEGIN_AGAIN)
        theirs, ours = (
            {key: json.dumps(value, sort_keys=True) for key, value in each.items()}
            for each in (document["about"], about)
        )
        if other := sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key)):
            differing = ", ".join(map(printable, other))
            raise ArtefactMismatchError(f"{name} is of another fit: it differs in {differing}.", BEGIN_AGAIN)
        best = _put_back(_arrays(path, str(document["arrays_sha256"])), module, optimiser)
        return [dict(each) for each in document["notes"]], best


def forget_checkpoint(path: Path) -> None:
    """Take a checkpoint away; its document first, so that nobody reads half of it."""
    path.unlink(missing_ok=True)
    sweep_beside(path, [])


def _arrays(path: Path, sha256: str) -> dict[str, np.ndarray]:
    name = f"The arrays of {printable(path.name)}"
    return parse_safetensors(read_beside(path, sha256, BEGIN_AGAIN), name, BEGIN_AGAIN)


def _put_back(
    arrays: Mapping[str, np.ndarray], module: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Returns the best state."""
    import torch

    parts: dict[str, dict[str, torch.Tensor]] = {"now": {}, "best": {}, "adam": {}}
    for name, array in arrays.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = torch.from_numpy(array)
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    averages: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in parts["adam"].items():
        place, _, what = name.partition(".")
        if what != "step" and value.shape != parameters[int(place)].shape:
            raise ValueError(f"{name} has another shape than its parameter")
        averages.setdefault(int(place), {})[what] = value
    module.load_state_dict(parts["best"])  # of the module, or it raises
    module.load_state_dict(parts["now"])
    optimiser.load_state_dict({**optimiser.state_dict(), "state": averages})
    return parts["best"]
