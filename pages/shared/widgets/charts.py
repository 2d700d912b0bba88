"""What the figures of all pages share: colours, the camera, and how text and numbers are written in them.

Titles of tracks are untrusted and Plotly renders tags in them, so they are escaped by `plain`.
"""

from __future__ import annotations

import html
from typing import Any

BLUES = "Blues"
SERIES = ("#3559c7", "#e0803a", "#4f9d83", "#b0567a", "#b28a3e", "#6f7bd0", "#8a8f9c")
PALETTE = (  # where seven are not enough: names, recordings
    # told apart by every kind of eye, on a light page and on a dark one (test_map.py): CIE76 above 25 in all of them
    "#3559c7", "#ed9d18", "#13bfaa", "#bf2913", "#a6a6ed", "#844d8c", "#bfaa69", "#8c3843",
    "#2f8fb3", "#7aa33c", "#c96f9b", "#5c6370",  # of what is rarer
)  # fmt: skip
MOST_APART = 8  # of the palette, the first: any two of them are told apart
GREYS = ("#8a8f9c", "#b28a3e", "#4f9d83", "#b0567a", "#6f7bd0")
IMAGE_FORMATS = ("png", "svg")


def camera(image_format: str, name: str) -> dict[str, Any]:
    """Plotly's settings for the camera button above a figure: what kind of file it saves, under which name."""
    return {"toImageButtonOptions": {"format": image_format, "filename": name, "scale": 2}}


def plain(text: str) -> str:
    """Untrusted text, so that Plotly shows it as it is."""
    return html.escape(text, quote=False).replace("$", "&#36;")  # Plotly reads $…$ as a formula


def faded(colour: str, strength: float) -> str:
    """A colour of six digits, so that what lies behind shows through: 1 is all colour, 0 none.

    Examples
    --------
    >>> faded("#c77700", 0.5)
    'rgba(199, 119, 0, 0.500)'
    """
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {strength:.3f})"
