"""The collections that MESS knows, and which of them a folder holds."""

from __future__ import annotations

from pathlib import Path

from mess_core.collections.asap import ASAP
from mess_core.collections.collection import Collection
from mess_core.collections.folder import FOLDER
from mess_core.collections.maestro import MAESTRO
from mess_core.collections.manifest import MANIFEST
from mess_core.collections.percepiano import PERCEPIANO
from mess_core.collections.smd import SMD
from mess_core.collections.vienna4x22 import VIENNA
from mess_core.errors import InputError

AUTO = "auto"  # instead of an id: judge by the folder
# In the order in which a folder is asked: the plain folder last, for everything looks like one.
COLLECTIONS: dict[str, Collection] = {
    collection.id: collection for collection in (SMD, MAESTRO, ASAP, VIENNA, PERCEPIANO, MANIFEST, FOLDER)
}


def collection(id: str) -> Collection:
    """The collection of that id.

    Raises
    ------
    InputError
        If there is none.
    """
    if id not in COLLECTIONS:
        raise InputError(f"There is no collection {id!r}.", f"There is: {', '.join(COLLECTIONS)}.")
    return COLLECTIONS[id]


def detect(folder: Path) -> Collection:
    """What a folder holds, judged by names alone.

    Raises
    ------
    InputError
        If it is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", "Name the folder that holds the recordings.")
    return next(each for each in COLLECTIONS.values() if each.is_at(folder))
