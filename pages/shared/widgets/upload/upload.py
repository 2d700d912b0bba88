"""The drop zone: one audio file goes straight to `PUT /upload`, past Streamlit's memory, with its progress shown.

The browser half is `upload.js`. The server answers `{"sha256", "title", "duration_s"}`, or with an error status
`{"error": one sentence, "hint": what to do}`; the browser shows these as text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from mess_core.config import MAX_UPLOAD_BYTES

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "mess_upload",
    html=(_HERE / "upload.html").read_text("utf-8"),
    css=(_HERE / "upload.css").read_text("utf-8"),
    js=(_HERE / "upload.js").read_text("utf-8"),
)


@dataclass(frozen=True)
class Upload:
    """A file that the server has received and read. `title` is untrusted text."""

    sha256: str
    title: str
    duration_s: float


def upload(
    *, key: str, max_bytes: int = MAX_UPLOAD_BYTES, url: str = "/upload", on_upload: Callable[[], None] | None = None
) -> Upload | None:
    """Show the drop zone.

    Parameters
    ----------
    key : str
        Stable from run to run. The upload is forgotten when the page is left: keep its sha256.
    max_bytes : int, bytes
        A larger file is refused in the browser, before anything is sent. The server enforces its own limit.
    url : str
        Path on this server that takes the file.
    on_upload : callable, optional
        Called without arguments before the rerun that a finished upload causes.

    Returns
    -------
    Upload or None
        The latest finished upload, on every run until the next one. Its sha256 comes from the browser:
        look it up before using it.
    """
    result = _component(
        key=key,
        data={"max_bytes": max_bytes, "url": url},
        default={"upload": None},
        on_upload_change=on_upload if on_upload else lambda: None,
    )
    return _read_upload(result.upload)


def _read_upload(raw: Any) -> Upload | None:
    """The browser's message, or None where there is none or it is not one: a browser can send anything."""
    if not isinstance(raw, Mapping):
        return None
    try:
        received = Upload(str(raw["sha256"]), str(raw["title"]), float(raw["duration_s"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    is_sound = _SHA256.fullmatch(received.sha256) is not None and math.isfinite(received.duration_s)
    return received if is_sound else None
