"""Kept evaluations: one readable JSON per library, encoder and kind, beside the discoveries, with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mess_core.config import Paths
from mess_core.encoders.base import EncoderInfo
from mess_core.errors import ArtefactMismatchError
from mess_core.evaluation.faithfulness import Faithfulness
from mess_core.evaluation.similarity import SimilarityStudy
from mess_core.probing.discovery import safe_name
from mess_core.storage.files import read_sealed, seal, write_atomically
from mess_core.storage.untrusted import build, printable, understanding

FORMAT = "mess-evaluation-2"
UNSEALED = ("mess-evaluation-1",)  # the same without a seal

What = Literal["faithfulness", "similarity"]
KINDS: dict[What, type[Faithfulness] | type[SimilarityStudy]] = {
    "faithfulness": Faithfulness,
    "similarity": SimilarityStudy,
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured. content : hash of the embeddings it was measured on"""

    library: str
    encoder: str
    fingerprint: str
    content: str
    result: Faithfulness | SimilarityStudy

    def as_document(self) -> dict[str, Any]:
        """The shape of `evaluate --json`."""
        facts = {name: getattr(self, name) for name in ("library", "encoder", "fingerprint", "content")}
        return {**facts, **self.result.to_dict()}


def save_evaluation(paths: Paths, info: EncoderInfo, evaluation: Evaluation, what: What) -> None:
    """Keep an evaluation in place of an older one."""
    plain: Mapping[str, Any] = {**evaluation.as_document(), "format": FORMAT, "result": evaluation.result.to_dict()}
    kept = {name: plain[name] for name in ("format", "library", "encoder", "fingerprint", "content", "result")}
    write_atomically(_path(paths, evaluation.library, info, what), seal(kept))


def load_evaluation(paths: Paths, library: str, info: EncoderInfo, what: What) -> Evaluation | None:
    """The kept evaluation; None if there is none, or only one of another version: it is made again when asked for."""
    path = _path(paths, library, info, what)
    try:
        kept = read_sealed(path, unsealed=UNSEALED)
        if kept.get("format") not in (FORMAT, *UNSEALED) or kept.get("fingerprint") != info.fingerprint:
            return None
        return evaluation_of(kept, printable(path.name), what)
    except (OSError, ArtefactMismatchError):
        return None


def evaluation_of(plain: Mapping[str, Any], name: str, what: What) -> Evaluation:
    """The evaluation that a kept document describes; ArtefactMismatchError where it says what cannot be."""
    with understanding(name, "Measure again: python -m mess_core evaluate"):
        entries = {key: value for key, value in plain.items() if key != "format"}
        return build(Evaluation, entries, result=KINDS[what].from_dict(entries["result"]))


def csls_helps(paths: Paths, library: str, info: EncoderInfo) -> bool:
    """Whether the correction for hubs was seen to help in a library, as the encoder sees it."""
    kept = load_evaluation(paths, library, info, "similarity")
    return kept is not None and isinstance(kept.result, SimilarityStudy) and kept.result.csls_helps


def _path(paths: Paths, library: str, info: EncoderInfo, what: What) -> Path:
    return paths.root / "probing" / info.folder / f"{safe_name(library)}-{what}.json"
