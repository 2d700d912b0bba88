"""Names that people write: what is none is refused in a sentence, with the nearest one that is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from mess_core.errors import InputError

MOST_COMPARED = 20_000  # names: more would take a second


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """A hint: the nearest name that there is, or else what there is.

    Parameters
    ----------
    otherwise : str or None
        What is said where none is near; None lists the known names.

    Examples
    --------
    >>> did_you_mean("britness", ["brightness", "tempo"]), did_you_mean("x", ["brightness", "tempo"])
    ('Did you mean brightness?', 'Known: brightness, tempo.')
    >>> did_you_mean("Demo", ["demo"]), did_you_mean("x", [], otherwise="Make one.")
    ('Did you mean demo?', 'Make one.')
    """
    names = list(known)
    folded = {each.casefold(): each for each in reversed(names[:MOST_COMPARED])}
    near = difflib.get_close_matches(name.casefold(), list(folded), 1)
    if near:
        return f"Did you mean {folded[near[0]]}?"
    return f"Known: {', '.join(names) or 'none'}." if otherwise is None else otherwise


def check_name(kind: str, name: str, known: Iterable[str]) -> None:
    """InputError for a name that does not exist, with the nearest one that does.

    Examples
    --------
    >>> check_name("level", "tracks", ["track", "segment"])
    Traceback (most recent call last):
    mess_core.errors.InputError: There is no level 'tracks'. Did you mean track?
    """
    names = list(known)
    if name in names:
        return
    raise InputError(f"There is no {kind} {name!r}.", did_you_mean(str(name), names))
