"""A learned metric as a folder for other programs: its numbers, and a card that says what it was trained on.

metric.safetensors    centre, scale, weight_0, bias_0, …: float32
metric.json           what it was taught by, its figure, the encoder's fingerprint
README.md             the same for people, and how to use the numbers in a few lines of NumPy
"""

from __future__ import annotations

import json
from pathlib import Path

from mess_core.errors import InputError
from mess_core.search.learned import SOURCES, LearnedMetric, card_of, metric_bytes, require_metric
from mess_core.storage.files import write_atomically
from mess_core.storage.untrusted import harmless
from mess_core.words import counted
from mess_core.workspace.scope import Scope

NUMBERS, FACTS, CARD = "metric.safetensors", "metric.json", "README.md"
USE = """
```python
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

parts, widths = load_file("metric.safetensors"), json.loads(Path("metric.json").read_text())["widths"]

def points(embeddings):                                    # (n, n_layers, dim), float32
    numbers = embeddings - parts["centre"]
    numbers /= np.linalg.norm(numbers, axis=-1, keepdims=True)
    numbers = np.concatenate([numbers[:, layer, :width] for layer, width in enumerate(widths)], axis=1)
    numbers = numbers * parts["scale"]
    return numbers @ parts["weight_0"] + parts["bias_0"] if "weight_0" in parts else numbers
```
"""


def export_metric(scope: Scope, folder: Path) -> LearnedMetric:
    """Write the metric that was activated for a library; into a folder that is new or empty.

    Raises
    ------
    DataMissingError
        If none was.
    InputError
        If the folder holds something.
    """
    metric = require_metric(scope)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already, and is not empty.", "Name a new folder.")
    write_atomically(folder / NUMBERS, metric_bytes(metric))
    write_atomically(folder / FACTS, json.dumps(card_of(metric), indent=1, allow_nan=False).encode())
    write_atomically(folder / CARD, card(metric, scope.info.licence).encode())
    return metric


def card(metric: LearnedMetric, licence: str) -> str:
    """What people should know of it, in Markdown; names in it are shown as code, for they are untrusted."""
    trained = metric.trained_on
    counts = [
        counted(int(trained[f"n_{noun}s"]), noun)
        for noun in ("recording", "work", "performer")
        if f"n_{noun}s" in trained
    ]
    compared = "minus the squared distance" if metric.transform.is_distance else "the cosine"
    bend = "\nBetween `weight_1` and `weight_2` numbers are standardised per row and bent (GELU), and added.\n"
    return (
        f"# A learned similarity\n\nTaught by {SOURCES.get(metric.source, metric.source)}, in the library "
        f"{_code(metric.library)}: {', '.join(counts)}.\n\n"
        f"* Student: `{metric.student}`. Two recordings are compared by {compared} of their points.\n"
        f"* {metric.figure}\n"
        f"* Encoder: {_code(metric.encoder)}, fingerprint `{metric.fingerprint}`. With any other version it means "
        "nothing.\n"
        f"* Made by MESS {metric.provenance.get('versions', {}).get('mess', '')} on "
        f"{metric.provenance.get('date', '')}. Moments trained on: sha256 `{trained.get('moments_sha256', '')}`.\n"
        f"* Licence of the encoder: {_code(licence)}. Mind those of the recordings it was trained on.\n"
        f"{USE}{bend if len(metric.transform.steps) > 1 else ''}"
    )


def _code(name: str) -> str:
    return f"`{harmless(name).replace('`', chr(39))}`"
