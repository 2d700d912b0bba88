"""What keys are called. Apart from how they are found, which takes scipy: whoever only asks or shows needs none."""

from __future__ import annotations

KEY = ("key_pitch_class", "mode")  # the targets that together say it, for `key_in_words`
NAMES = ("C", "D-flat", "D", "E-flat", "E", "F", "F-sharp", "G", "A-flat", "A", "B-flat", "B")
NAMES_IN_MINOR = {1: "C-sharp", 8: "G-sharp"}  # where fewer accidentals are written so


def key_in_words(pitch_class: float, mode: float) -> str:
    """A key as musicians write it.

    Parameters
    ----------
    pitch_class : float, 0..11, C first
    mode : float, 1 of major, 0 of minor

    Examples
    --------
    >>> key_in_words(3.0, 0.0), key_in_words(8.0, 1.0), key_in_words(8.0, 0.0)
    ('E-flat minor', 'A-flat major', 'G-sharp minor')
    """
    tonic, is_major = round(pitch_class) % 12, mode >= 0.5
    name = NAMES[tonic] if is_major else NAMES_IN_MINOR.get(tonic, NAMES[tonic])
    return f"{name} {'major' if is_major else 'minor'}"
