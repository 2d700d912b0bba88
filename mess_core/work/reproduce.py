"""Reproducing: a kept result is computed again from this data folder and compared with the file, number by number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.registry import encoder_info
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.evaluation.kept import KINDS, Evaluation, What, evaluation_of
from mess_core.probing.discovery import EARLIER, Discovery, from_document
from mess_core.probing.discovery import FORMAT as DISCOVERY
from mess_core.probing.probe import OnProgress, add_null, fit_cells, no_progress
from mess_core.search.evaluated import FORMAT as EVALUATION
from mess_core.storage.files import read_sealed
from mess_core.storage.provenance import provenance
from mess_core.storage.untrusted import printable
from mess_core.targets.registry import VERSIONS
from mess_core.words import counted
from mess_core.work.evaluate import EVALUATE
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import Workspace

CURE = "Give a file of the data folder's `probing/`."


@dataclass(frozen=True)
class Reproduction:
    """How a result that was computed again compares with the kept one.

    n_numbers, n_different : numbers compared, and those that are not the same to the last digit
    largest, where : the largest difference and the path of its number; infinite where one of the two has none
    changed : what was not the same when the kept one was made: versions, embeddings, measurements
    """

    n_numbers: int
    n_different: int
    largest: float
    where: str
    changed: tuple[str, ...]

    @property
    def is_identical(self) -> bool:
        return self.n_different == 0

    def sentences(self) -> list[str]:
        """What a person wants to know."""
        if self.is_identical:
            said = [f"Identical: all {counted(self.n_numbers, 'number')} to the last digit."]
        else:
            by = "one has none" if math.isinf(self.largest) else f"{self.largest:.2g}"
            said = [
                f"Not identical: {counted(self.n_different, 'number')} of {self.n_numbers:,} differ, by at most {by}, "
                f"in {self.where}."
            ]
        return said + [f"Changed since: {each}." for each in self.changed]


def reproduce(workspace: Workspace, path: Path, on_progress: OnProgress = no_progress) -> Reproduction:
    """Compute a kept discovery or evaluation again; nothing is written.

    Raises
    ------
    InputError
        If the file is no kept result.
    ArtefactMismatchError
        If it is damaged, or of an encoder of another version.
    """
    if not path.is_file():
        raise InputError(f"There is no file {printable(str(path))}.", CURE)
    plain, name = read_sealed(path, cure=CURE), printable(path.name)
    if plain.get("format") in EARLIER:
        raise ArtefactMismatchError(f"{name} was made by an earlier version, which kept no provenance.", "Probe again.")
    if plain.get("format") == DISCOVERY:
        return _discovery(workspace, from_document(plain, name), on_progress)
    what = next((what for what in KINDS if path.stem.endswith(f"-{what}")), None)
    if plain.get("format") != EVALUATION or what is None:
        raise InputError(f"{name} is no kept discovery or evaluation.", CURE)
    return _evaluation(workspace, evaluation_of(plain, name, what), what, on_progress)


def _discovery(workspace: Workspace, kept: Discovery, on_progress: OnProgress) -> Reproduction:
    info, settings = encoder_info(kept.encoder, workspace.paths), kept.result.settings
    if not kept.result.has_null and settings.n_permutations:
        raise InputError("The result is provisional: its discovery has not ended.", "Wait for it, or probe again.")
    gathered = Scope(workspace, kept.library, info).gather(kept.group, kept.level, settings.columns)
    again = add_null(fit_cells(gathered.data, settings, on_progress), gathered.data, on_progress)
    changed = _changed(kept, info, gathered.content)
    then = kept.provenance.get("baselines", {})
    changed += [f"the baseline {name}" for name in then if gathered.baselines.get(name) != then[name]]
    return Reproduction(*_compare(kept.result.to_dict(), again.to_dict()), tuple(changed))


def _evaluation(workspace: Workspace, kept: Evaluation, what: What, on_progress: OnProgress) -> Reproduction:
    scope = scope_of(workspace, kept.library, kept.encoder)
    again = EVALUATE[what](scope, on_progress)
    changed = _changed(kept, scope.info, scope.content)
    return Reproduction(*_compare(kept.result.to_dict(), again.to_dict()), tuple(changed))


def _changed(kept: Discovery | Evaluation, info: EncoderInfo, content: str) -> list[str]:
    """What is not as it was: encoder, embeddings, formulas, versions."""
    changed = []
    if kept.fingerprint != info.fingerprint:
        changed.append(f"the encoder {info.id}")
    if kept.content != content:
        changed.append("the embeddings, or which tracks there are")
    now = provenance()["versions"]
    for package, version in kept.provenance.get("versions", {}).items():
        if now.get(package) != version:
            changed.append(f"{package} {version}, now {now.get(package, 'not here')}")
    then = kept.target_versions or {}
    changed += [f"how {signal} is measured" for signal, version in then.items() if VERSIONS.get(signal) != version]
    return changed


def _compare(old: Any, new: Any) -> tuple[int, int, float, str]:
    """Numbers compared, those that differ, the largest difference, and where."""
    mine, theirs = dict(_numbers(old)), dict(_numbers(new))
    apart = {}
    for where in mine.keys() | theirs.keys():
        one, other = mine.get(where), theirs.get(where)
        if one != other:
            apart[where] = math.inf if one is None or other is None else abs(one - other)
    where = max(sorted(apart), key=apart.__getitem__, default="")
    return len(mine), len(apart), apart.get(where, 0.0), where


def _numbers(value: Any, where: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a document with its path; a cell is named by its target and layer."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _numbers(part, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            named = str(number)
            if isinstance(part, Mapping) and "target" in part:
                named = f"{part['target']}, layer {part['layer']}" if "layer" in part else part["target"]
            yield from _numbers(part, f"{where}[{named}]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield where, float(value)
