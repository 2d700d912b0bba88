"""MESS, Music Embedding Similarity Search: which recordings are like this one, and how sure are we?

The core knows nothing of the app. It reads audio, runs frozen music encoders, keeps what they say,
and searches it. Each room is one part of the field, each module one noun; open the one that is named after your
question.

    audio (n_samples,)                                             audio/source.py
      -> segments (n_segments, segment_samples)                    audio/decode.py
      -> hidden states (n_segments, n_layers, n_frames, dim)       encoders/
      -> pool frames (n_segments, n_layers, dim)                   embeddings/extraction.py
      -> pool segments (n_layers, dim), one per track              embeddings/extraction.py, kept by embeddings/store.py
      -> neighbours                                                search/answers.py

What people import from here comes when it is first used: `open_library`, `Library`, `Embedder`, `probe_layers`, and for
an encoder of one's own `register_encoder` and `encoder_from_hf`; for scikit-learn `Embed`, `GroupedFolds`, and
`gain_beyond` for what a layer adds beyond a baseline. `__all__` is what is public and keeps its meaning; everything
else may change from one version to the next.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mess_core.embeddings.embedder import Embedder as Embedder
    from mess_core.encoders.own import register_encoder as register_encoder
    from mess_core.encoders.speech import encoder_from_hf as encoder_from_hf
    from mess_core.errors import MessError as MessError
    from mess_core.library import Library as Library
    from mess_core.library import open_library as open_library
    from mess_core.probing.banded import gain_beyond as gain_beyond
    from mess_core.probing.probe import probe_layers as probe_layers
    from mess_core.probing.result import ProbeSettings as ProbeSettings
    from mess_core.probing.splitting import GroupedFolds as GroupedFolds
    from mess_core.workspace.transformer import Embed as Embed

__version__ = "0.1.0"
__all__ = [
    "Embed", "Embedder", "GroupedFolds", "Library", "MessError", "ProbeSettings", "encoder_from_hf", "gain_beyond",
    "open_library", "probe_layers", "register_encoder",
]  # fmt: skip

_WHERE = {
    "Embed": "mess_core.workspace.transformer",
    "Embedder": "mess_core.embeddings.embedder",
    "GroupedFolds": "mess_core.probing.splitting",
    "Library": "mess_core.library",
    "MessError": "mess_core.errors",
    "ProbeSettings": "mess_core.probing.result",
    "encoder_from_hf": "mess_core.encoders.speech",
    "open_library": "mess_core.library",
    "gain_beyond": "mess_core.probing.banded",
    "probe_layers": "mess_core.probing.probe",
    "register_encoder": "mess_core.encoders.own",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mess_core.spelling import did_you_mean

    raise AttributeError(f"module {__name__!r} has no attribute {name!r}. {did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
