"""Cures as the app says them: the core names commands, and here a button does the same."""

from __future__ import annotations

import re

BUTTONS = {  # how a command begins, the longer first, and what does the same here; others have no button
    "add --render": "add its folder on the Library page, with “Play what has only MIDI” ticked",
    "add": "add a folder on the Library page",
    "demo": "make the demo library on the Library page",
    "extract --encoder hearing:any-key": "press “Listen in any key, too” on the Listen page",
    "extract --encoder hearing:": "press “Listen for sound and style, too” on the Listen page",
    "extract": "embed it on the Library page",
    "targets": "run discovery on the Layers page, which measures first",
    "probe": "run discovery on the Layers page",
    "evaluate taste": "press “Measure it here” on the For You page",
    "evaluate": "press “Measure” on the Layers page",
    "events import": "bring it in under “What you have heard” on the For You page",
    "map": "draw the map on the Map page",
    "path": "choose “A path to …” on the Listen page",
}
# A command ends where its sentence does, or a part of it: a name in it may hold a point, but none before a space.
COMMAND = re.compile(r"python -m mess_core ([a-z]+)((?:[^,.:;)]|[.:](?=\S))*)")


def cure(hint: str) -> str:
    """A cure with the button in place of the command.

    Examples
    --------
    >>> cure("python -m mess_core probe --encoder nano")
    'Run discovery on the Layers page'
    >>> cure("Run: python -m mess_core check, and copy again.")
    'Run: python -m mess_core check, and copy again.'
    """
    said = COMMAND.sub(_button, hint)
    return said[:1].upper() + said[1:] if said != hint else hint


def _button(found: re.Match[str]) -> str:
    command = f"{found[1]}{found[2]}"
    return next((button for begins, button in BUTTONS.items() if command.startswith(begins)), found[0])
