"""Plans to begin with: listeners that are planted in a library, by all that has heard it.

It takes two minutes on the demo, shows every part of a study, and its answer is known beforehand (`worlds`): of what is
new only sound tells, of the rest other listeners tell more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.registry import encoder_info
from mess_core.storage.files import write_atomically
from mess_core.storage.paths import Paths, file_name

PLANTED_MODELS = ("random", "popular", "next", "itemknn", "ease", "usermean", "bridge-ridge", "shallow")
EPOCHS = {"shallow": 40}
EVERY_LAYER = 4


def planted_plan(library: str, encoders: Sequence[EncoderInfo], by: str) -> str:
    """The text of a plan.

    Parameters
    ----------
    library : str
    encoders : sequence of EncoderInfo
        Each is tried with all its layers together; the first also with every fourth of its layers.
    by : str
        Id of the encoder by whose ear the planted listeners like what they like.
    """
    lines = [
        "# Listeners planted in a library: each likes the sound of two recordings, and shares a list with a dozen",
        "# others that no sound tells. So it is known what must come out.",
        "k = [10, 20]",
        "seeds = [0]",
        "[data]",
        'format = "planted"',
        f"library = {_quoted(library)}",
        f"encoder = {_quoted(by)}",
    ]
    for number, info in enumerate(encoders):
        lines += ["[[encoder]]", f"id = {_quoted(info.id)}"]
        if number == 0 and info.n_layers > 1:
            for layer in range(0, info.n_layers, EVERY_LAYER):
                lines += ["[[encoder]]", f"id = {_quoted(info.id)}", f"layer = {layer}"]
    for name in PLANTED_MODELS:
        lines += ["[[model]]", f"name = {_quoted(name)}"]
        if name in EPOCHS:
            lines.append(f"most_epochs = {EPOCHS[name]}")
    return "\n".join(lines) + "\n"


def planted_name(library: str) -> str:
    """What the study of listeners planted in a library is called."""
    return f"planted-{file_name(library)}"


def write_planted_plan(paths: Paths, library: str, encoder_ids: Sequence[str], by: str) -> Path:
    """Write it into the data folder; returns where."""
    path = paths.studies / f"{planted_name(library)}.toml"
    infos = [encoder_info(each, paths) for each in encoder_ids]
    write_atomically(path, planted_plan(library, infos, by).encode())
    return path


def _quoted(text: str) -> str:
    """A basic string of TOML: as JSON has it, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
