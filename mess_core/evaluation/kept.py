"""Kept evaluations: one readable JSON per library, encoder and kind, beside the discoveries, with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mess_core.config import Paths
from mess_core.discovery import safe_name
from mess_core.encoders.base import EncoderInfo
from mess_core.errors import ArtefactMismatchError
from mess_core.evaluation.faithfulness import Faithfulness
from mess_core.evaluation.similarity import SimilarityStudy
from mess_core.files import seal, unseal, write_atomically

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
        kept = unseal(path.read_bytes(), path.name, unsealed=UNSEALED)
        if kept["format"] not in (FORMAT, *UNSEALED) or kept["fingerprint"] != info.fingerprint:
            return None
        result = KINDS[what].from_dict(kept["result"])
        return Evaluation(kept["library"], kept["encoder"], kept["fingerprint"], kept["content"], result)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArtefactMismatchError):
        return None


def csls_helps(paths: Paths, library: str, info: EncoderInfo) -> bool:
    """Whether the correction for hubs was seen to help in a library, as the encoder sees it."""
    kept = load_evaluation(paths, library, info, "similarity")
    return kept is not None and isinstance(kept.result, SimilarityStudy) and kept.result.csls_helps


def _path(paths: Paths, library: str, info: EncoderInfo, what: What) -> Path:
    return paths.root / "probing" / info.folder / f"{safe_name(library)}-{what}.json"
