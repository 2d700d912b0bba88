"""Numbers with their nouns, as sentences need them."""

from __future__ import annotations


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun.

    Examples
    --------
    >>> counted(1, "track"), counted(1200, "track"), counted(2, "library", "libraries")
    ('1 track', '1,200 tracks', '2 libraries')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
