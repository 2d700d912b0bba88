"""The colour of each musical dimension, the same in every figure and list: one value per theme.

A colour stands for what a target is about, never for how much of it there is: that is how strong the colour is.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from mess_core.probing.aspects import ASPECTS
from mess_core.targets.registry import OWN, target_of


@dataclass(frozen=True)
class Accent:
    """One colour, as it is written on a light page and on a dark one."""

    light: str
    dark: str

    @property
    def now(self) -> str:
        """On the page as it is shown."""
        return self.dark if is_dark() else self.light

    @property
    def css(self) -> str:
        """For a style sheet, where the browser picks the theme's.

        Examples
        --------
        >>> Accent("#000000", "#ffffff").css
        'light-dark(#000000, #ffffff)'
        """
        return f"light-dark({self.light}, {self.dark})"


GREY = Accent("#6b7280", "#9aa3b2")  # of what belongs to no dimension of ours
ACCENTS = {
    "timbre": Accent("#c77700", "#f2a33c"),
    "rhythm": Accent("#00846b", "#3fc7a6"),
    "dynamics": Accent("#c2456f", "#f07fa4"),
    "harmony": Accent("#7a4fc4", "#b393ff"),
    "articulation": Accent("#2f7fc1", "#6db6f2"),
    "form": Accent("#7d7a1f", "#c9c45c"),
    "expression": Accent("#b0379a", "#ee80d8"),
    OWN: GREY,
}


def is_dark() -> bool:
    """Whether the visitor's theme is dark."""
    return st.context.theme.type == "dark"


def accent_of_dimension(dimension: str) -> Accent:
    """Grey for one that is not ours, as a target of another package may have."""
    return ACCENTS.get(dimension, GREY)


def accent_of_target(target: str) -> Accent:
    """Of the dimension that a target measures; grey for a column of one's own table."""
    return accent_of_dimension(target_of(target).dimension)


def accent_of_aspect(aspect: str) -> Accent:
    """Of the dimension of what measures an aspect; grey for an aspect that nothing measures."""
    targets = ASPECTS.get(aspect, ())
    return accent_of_target(targets[0]) if targets else GREY
