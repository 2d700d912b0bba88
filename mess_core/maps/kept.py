"""Kept layouts: a JSON that anyone can read, and beside it the arrays, whose sha256 it holds.

They lie in the cache: what is damaged, or was drawn by another version of MESS or of UMAP, is refused and drawn again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.errors import ArtefactMismatchError, DataMissingError, StorageError
from mess_core.storage.files import read_sealed, write_atomically, write_sealed
from mess_core.storage.kept import MADE_AGAIN, Beside, Kind, verify_document
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import MOST_TENSORS_BYTES, parse_safetensors, read_untrusted, understanding

FORMAT = "mess-map-2"
STABILITY = ".stability"  # of a view: what it has in common with one drawn from another start
CURE = "Draw it again: python -m mess_core map"


def read_view(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What is kept of a view: its facts and its arrays, verified.

    Raises
    ------
    DataMissingError
        If it was not drawn.
    ArtefactMismatchError
        If it is damaged, or was drawn by another version.
    """
    name = f"The map {path.name}"
    try:
        facts = read_sealed(path, name, CURE)
        with understanding(name, CURE):
            if facts["made_by"] != _made_by():
                by = _listed(facts["made_by"])
                raise ArtefactMismatchError(
                    f"{name} was drawn by another version, {by}; this is {_listed(_made_by())}.", CURE
                )
            data = read_untrusted(path.with_suffix(".safetensors"), MOST_TENSORS_BYTES, cure=CURE)
            if hashlib.sha256(data).hexdigest() != facts["sha256"]:
                raise ArtefactMismatchError(f"{name} is damaged: its sha256 changed.", CURE)
        return facts, parse_safetensors(data, name, CURE, is_finite=False)  # no number where nothing could be measured
    except FileNotFoundError as error:
        raise DataMissingError(f"{name} was not drawn yet.", CURE) from error
    except StorageError as error:
        raise ArtefactMismatchError(error.message, CURE) from error


def write_view(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays first: whoever reads the facts finds them."""
    from safetensors.numpy import save

    data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    write_atomically(path.with_suffix(".safetensors"), data)
    plain = {"made_by": _made_by(), **facts, "sha256": hashlib.sha256(data).hexdigest()}
    write_sealed(path, plain)


def _made_by() -> dict[str, str]:
    return {"format": FORMAT, "umap-learn": version("umap-learn")}


def _listed(made_by: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in made_by.items())


# --- kept files -----------------------------------------------------------------------------------------------


def _understand(path: Path, document: Mapping[str, Any]) -> tuple[Beside, ...]:
    sha256 = document.get("sha256")  # the one that names the current map has none
    return ((path.with_suffix(".safetensors"), sha256),) if isinstance(sha256, str) else ()


def _without_document(paths: Paths) -> list[Path]:
    beside = (path for path in paths.maps.rglob("*") if path.suffix in (".safetensors", STABILITY))
    return [path for path in beside if not path.with_suffix(".json").exists()]


KEPT = Kind(
    "map",
    lambda paths: paths.maps.rglob("*.json"),
    lambda path: verify_document(path, MADE_AGAIN, understand=_understand),
    orphans=_without_document,
)
KEPT_STABILITY = Kind(
    "map", lambda paths: paths.maps.rglob(f"*{STABILITY}"), lambda path: verify_document(path, MADE_AGAIN)
)
