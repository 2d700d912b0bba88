"""Kept evaluations: one readable JSON per library, encoder and kind, beside the discoveries, with what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mess_core.errors import ArtefactMismatchError
from mess_core.evaluation.faithfulness import Faithfulness
from mess_core.evaluation.similarity import SimilarityStudy
from mess_core.probing.discovery import PROBE_AGAIN
from mess_core.search.evaluated import FORMAT, UNSEALED, evaluation_path, read_evaluation
from mess_core.storage.files import write_sealed
from mess_core.storage.kept import Kind, verify_document
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import build, printable, understanding
from mess_core.workspace.scope import Scope

What = Literal["faithfulness", "similarity"]
KINDS: dict[What, type[Faithfulness] | type[SimilarityStudy]] = {
    "faithfulness": Faithfulness,
    "similarity": SimilarityStudy,
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured.

    content : hash of the embeddings it was measured on
    provenance : what it was made with; empty if an earlier version made it
    """

    library: str
    encoder: str
    fingerprint: str
    content: str
    result: Faithfulness | SimilarityStudy
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """The shape of `evaluate --json`."""
        facts = {name: getattr(self, name) for name in ("library", "encoder", "fingerprint", "content", "provenance")}
        return {**facts, **self.result.to_dict()}


def save_evaluation(scope: Scope, evaluation: Evaluation, what: What) -> None:
    """Keep an evaluation in place of an older one."""
    plain: Mapping[str, Any] = {**evaluation.as_document(), "format": FORMAT, "result": evaluation.result.to_dict()}
    names = ("format", "library", "encoder", "fingerprint", "content", "result", "provenance")
    kept = {name: plain[name] for name in names}
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
        made = dict(entries.get("provenance", {}))
        return build(Evaluation, entries, result=KINDS[what].from_dict(entries["result"]), provenance=made)


# --- kept files -----------------------------------------------------------------------------------------------


def _files(paths: Paths) -> Iterator[Path]:
    for what in KINDS:
        yield from paths.probing.glob(f"*/*-{what}.json")


def _understand(path: Path, document: Mapping[str, Any]) -> None:
    if document.get("format") in (FORMAT, *UNSEALED):
        what = next(what for what in KINDS if path.stem.endswith(f"-{what}"))
        evaluation_of(document, printable(path.name), what)


KEPT = Kind("discovery", _files, lambda path: verify_document(path, PROBE_AGAIN, UNSEALED, _understand))
