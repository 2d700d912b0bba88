"""Kept evaluations: one readable JSON per library, encoder and kind, beside the discoveries, with what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mess_core.errors import ArtefactMismatchError
from mess_core.evaluation.faithfulness import Faithfulness
from mess_core.evaluation.similarity import SimilarityStudy
from mess_core.evaluation.taste import TasteStudy
from mess_core.probing.discovery import MEASURED_OTHERWISE, PROBE_AGAIN
from mess_core.search.evaluated import FORMAT, UNSEALED, evaluation_path, read_evaluation
from mess_core.storage.files import write_sealed
from mess_core.storage.kept import Kind, verify_document
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import build, printable, understanding
from mess_core.targets.registry import VERSIONS
from mess_core.workspace.scope import Scope

What = Literal["faithfulness", "similarity", "taste"]
Result = Faithfulness | SimilarityStudy | TasteStudy
KINDS: dict[What, type[Result]] = {
    "faithfulness": Faithfulness,
    "similarity": SimilarityStudy,
    "taste": TasteStudy,
}
FACTS = ("library", "encoder", "fingerprint", "content", "provenance", "target_versions")  # beside the result


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured.

    content : hash of the embeddings it was measured on
    target_versions : of the formulas by which the targets it rests on were measured; empty if it rests on none, None if
        an earlier version made it
    provenance : what it was made with; empty if an earlier version made it
    """

    library: str
    encoder: str
    fingerprint: str
    content: str
    result: Result
    provenance: Mapping[str, Any] = field(default_factory=dict)
    target_versions: Mapping[str, int] | None = None

    def why_again(self, content: str) -> str:
        """Why it should be measured again, in a sentence; empty if what it rests on is as it was.

        Parameters
        ----------
        content : str
            The embeddings as they are now (`Scope.content`).
        """
        if self.content != content:
            return "Measured before the library changed; measure again to include what is new."
        if self.target_versions is None:
            return (
                "An earlier version made this and did not keep how properties were measured then; measure again to "
                "be sure."
            )
        if self.target_versions and self.target_versions != VERSIONS:
            return f"{MEASURED_OTHERWISE}: measure again."
        return ""

    def as_document(self) -> dict[str, Any]:
        """The shape of `evaluate --json`."""
        return {**{name: getattr(self, name) for name in FACTS}, **self.result.to_dict()}


def save_evaluation(scope: Scope, evaluation: Evaluation, what: What) -> None:
    """Keep an evaluation in place of an older one."""
    plain: Mapping[str, Any] = {**evaluation.as_document(), "format": FORMAT, "result": evaluation.result.to_dict()}
    kept = {name: plain[name] for name in ("format", *FACTS, "result")}
    write_sealed(evaluation_path(scope, what), kept)


def load_evaluation(scope: Scope, what: What) -> Evaluation | None:
    """The kept evaluation; None if there is none, or only one of another version: it is made again when asked for."""
    kept = read_evaluation(scope, what)
    try:
        return evaluation_of(kept, printable(evaluation_path(scope, what).name), what) if kept else None
    except ArtefactMismatchError:
        return None


def evaluation_of(plain: Mapping[str, Any], name: str, what: What) -> Evaluation:
    """The evaluation that a kept document describes; ArtefactMismatchError where it says what cannot be."""
    with understanding(name, "Measure again: python -m mess_core evaluate"):
        entries = {key: value for key, value in plain.items() if key != "format"}
        versions = entries.get("target_versions")
        known = {
            "result": KINDS[what].from_dict(entries["result"]),
            "provenance": dict(entries.get("provenance", {})),
            "target_versions": None if versions is None else dict(versions),
        }
        return build(Evaluation, entries, **known)


# --- kept files -----------------------------------------------------------------------------------------------


def _files(paths: Paths) -> Iterator[Path]:
    for what in KINDS:
        yield from paths.probing.glob(f"*/*-{what}.json")


def _understand(path: Path, document: Mapping[str, Any]) -> None:
    if document.get("format") in (FORMAT, *UNSEALED):
        what = next(what for what in KINDS if path.stem.endswith(f"-{what}"))
        evaluation_of(document, printable(path.name), what)


KEPT = Kind("discovery", _files, lambda path: verify_document(path, PROBE_AGAIN, UNSEALED, _understand))
