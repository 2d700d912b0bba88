"""What was evaluated, as far as search goes by it: whether ranks are corrected for hubs.

`evaluation` measures both ways of ranking a library and keeps the figures. It stands on search, which asks nothing of
it: here is where its documents lie, how one is read, and the one question that search has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mess_core.errors import ArtefactMismatchError
from mess_core.search.hubness import HUB_SKEWNESS
from mess_core.storage.files import read_sealed
from mess_core.storage.paths import file_name
from mess_core.workspace.scope import Scope

FORMAT = "mess-evaluation-2"
UNSEALED = ("mess-evaluation-1",)  # the same without a seal
WORK = "work"  # the task that decides


def evaluation_path(scope: Scope, what: str) -> Path:
    """Where an evaluation of a library lies."""
    return scope.workspace.paths.probing / scope.info.folder / f"{file_name(scope.library)}-{what}.json"


def read_evaluation(scope: Scope, what: str) -> dict[str, Any] | None:
    """The document of a kept evaluation; None if there is none that can be read, or only one of another version."""
    try:
        kept = read_sealed(evaluation_path(scope, what), unsealed=UNSEALED)
    except (OSError, ArtefactMismatchError):
        return None
    is_current = kept.get("format") in (FORMAT, *UNSEALED) and kept.get("fingerprint") == scope.info.fingerprint
    return kept if is_current else None


def corrected(measure: str) -> str:
    """What a measure is called with its ranks corrected for hubs."""
    return f"{measure}, CSLS"


def correction_helps(scope: Scope, geometry: str) -> bool:
    """Whether the correction for hubs was seen to help in a library, searched in this geometry."""
    kept = read_evaluation(scope, "similarity")
    try:
        return kept is not None and says_correction_helps(kept["result"], geometry)
    except (KeyError, TypeError):  # not as it was written: as if nobody had looked
        return False


def says_correction_helps(study: Mapping[str, Any], geometry: str) -> bool:
    """Whether a study says so, as it is written: there are hubs, fewer with it, and works are found at least as well.

    False where it did not look at both, or where no work has two performers.
    """
    names = geometry, corrected(geometry)
    if not study["hubness"].keys() >= set(names):
        return False
    before, after = (study["hubness"][name]["skewness"] for name in names)
    found = {
        figure["measure"]: figure["score"]["value"]
        for figure in study["figures"]
        if figure["task"] == WORK and figure["layer"] is None
    }
    found_before, found_after = (found[name] for name in names)
    if found_before is None or found_after is None:
        return False
    return bool(before > HUB_SKEWNESS and after < before and found_after >= found_before)
