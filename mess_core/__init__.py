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

What people import from here comes when it is first used. `__all__` is what is public and keeps its meaning; everything
else may change from one version to the next.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mess_core.embeddings.embedder import Embedder as Embedder
    from mess_core.errors import MessError as MessError
    from mess_core.library import Library as Library
    from mess_core.library import open_library as open_library
    from mess_core.probing.probe import probe_layers as probe_layers
    from mess_core.probing.result import ProbeSettings as ProbeSettings

__version__ = "0.1.0"
__all__ = ["Embedder", "Library", "MessError", "ProbeSettings", "open_library", "probe_layers"]

_WHERE = {
    "Embedder": "mess_core.embeddings.embedder",
    "Library": "mess_core.library",
    "MessError": "mess_core.errors",
    "ProbeSettings": "mess_core.probing.result",
    "open_library": "mess_core.library",
    "probe_layers": "mess_core.probing.probe",
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
