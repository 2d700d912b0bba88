"""Encoders of which only the vectors are here: made by another program, imported from a table (`handover.vectors`).

What is known of one lies in `imported/<name>.json` of the data folder. It embeds nothing new; in everything else it is
an encoder like any other. A name stands for one set of vectors for ever: what is found by it stays what it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mess_core.encoders.base import ADDED_LATER, EncoderInfo, WeightFile
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.storage.files import read_sealed, write_sealed
from mess_core.storage.kept import Kind, verify_document
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import build, printable
from mess_core.words import counted, listed

IMPORTED = "imported:"
FORMAT = "mess-imported-1"
IMPORT_AGAIN = "`check --repair` deletes what is known of these vectors; then import them again under this name."
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # it becomes the name of a folder
ID = re.compile(r"[a-z0-9][a-z0-9._:-]{0,127}")
ID_IN_WORDS = "small letters, digits and . _ -, a letter or digit first"  # the colon parts off what is not one's own
POOLINGS = ("mean", "mean+std")
MOST_LAYERS, MOST_NUMBERS = 1000, 1_000_000  # of a vector
MOST_RATE_HZ, MOST_SEGMENT_S = 1_000_000, 3600.0


def check_name(name: str) -> None:
    """InputError if an imported encoder cannot be called so."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"An encoder cannot be called {name!r}.", "Use up to 64 of: a-z, 0-9, point, hyphen, underscore."
        )


def imported_ids(paths: Paths) -> tuple[str, ...]:
    """The imported encoders of a data folder, in order; one of which nothing can be read is none: `check` names it."""
    return tuple(encoder_id for encoder_id in _ids(paths) if _is_readable(encoder_id, paths))


def _ids(paths: Paths) -> list[str]:
    names = sorted(path.stem for path in paths.imported.glob("*.json") if NAME.fullmatch(path.stem))
    return [f"{IMPORTED}{name}" for name in names]


def _is_readable(encoder_id: str, paths: Paths) -> bool:
    try:
        imported_info(encoder_id, paths)
    except (InputError, ArtefactMismatchError, OSError):
        return False
    return True


def imported_info(encoder_id: str, paths: Paths) -> EncoderInfo:
    """The facts of an imported encoder.

    Raises
    ------
    InputError
        If there is none of that name.
    ArtefactMismatchError
        If what is kept of it is damaged.
    """
    name = encoder_id.removeprefix(IMPORTED)
    path = paths.imported / f"{name}.json"
    if not NAME.fullmatch(name) or not path.is_file():
        known = ", ".join(_ids(paths)) or "none yet"
        raise InputError(f"There is no imported encoder called {encoder_id!r}.", f"Imported are: {known}.")
    document = read_sealed(path, cure=f"Delete {path}, then import the vectors again.")
    return info_of(document.get("encoder"), f"imported/{path.name}")


def keep_imported(info: EncoderInfo, paths: Paths) -> None:
    """Remember an imported encoder.

    Raises
    ------
    InputError
        If the name stands for other vectors already.
    """
    name = info.id.removeprefix(IMPORTED)
    check_name(name)
    if info.id in imported_ids(paths):
        if imported_info(info.id, paths).fingerprint != info.fingerprint:
            raise InputError(f"{info.id} stands for other vectors here already.", "Import these under another name.")
        return
    write_sealed(paths.imported / f"{name}.json", {"format": FORMAT, "encoder": info.facts})


def info_of(facts: object, where: str) -> EncoderInfo:
    """The facts of an encoder as they were written as JSON, by whomever; `where` names the file in an error."""
    try:
        known = {f.name for f in fields(EncoderInfo)}
        if not isinstance(facts, Mapping) or not known.difference(ADDED_LATER) <= facts.keys() <= known:
            raise TypeError("an encoder has other facts")
        files = tuple(build(WeightFile, file) for file in facts["files"])
        info = build(EncoderInfo, facts, files=files, widths=tuple(facts.get("widths", ())))
        if not ID.fullmatch(info.id):
            raise ValueError(f"its id is {printable(info.id)!r}, expected {ID_IN_WORDS}")
        if info.pooling not in POOLINGS:
            raise ValueError(f"{info.id!r} is pooled by {info.pooling!r}, expected {listed(POOLINGS, joint='or')}")
        if not (1 <= info.n_layers <= MOST_LAYERS and 1 <= info.dim <= MOST_NUMBERS):
            raise ValueError(f"it has {counted(info.n_layers, 'layer')} of {counted(info.dim, 'number')}")
        if info.widths and not _are_widths(info):
            raise ValueError(f"its {counted(info.n_layers, 'layer')} cannot be as wide as it says")
        if not 0 <= info.main_layer < info.n_layers:
            raise ValueError(f"it has {counted(info.n_layers, 'layer')}, and {info.main} stands for them")
        if not (0 <= info.sample_rate_hz <= MOST_RATE_HZ and 0 <= info.frame_rate_hz <= MOST_RATE_HZ):
            raise ValueError(f"it hears {info.sample_rate_hz:g} samples a second, tells {info.frame_rate_hz:g}")
        if not (0 < info.hop_s <= MOST_SEGMENT_S and 0 < info.segment_s <= MOST_SEGMENT_S):
            raise ValueError(f"its segments are {info.segment_s:g} s long, {info.hop_s:g} s apart")
    except (TypeError, ValueError) as error:
        raise ArtefactMismatchError(f"{where} describes no encoder: {error}.") from error
    return info


def _are_widths(info: EncoderInfo) -> bool:
    """One for each layer, the widest as wide as it says; of frames pooled to their mean, which keeps zeros last."""
    widths = info.widths
    return (
        len(widths) == info.n_layers
        and all(type(width) is int and width >= 1 for width in widths)
        and max(widths) == info.dim
        and info.pooling == "mean"
    )


def _understand(path: Path, document: Mapping[str, Any]) -> None:
    info_of(document.get("encoder"), f"imported/{printable(path.name)}")


KEPT = Kind(
    "imported encoder",
    lambda paths: paths.imported.glob("*.json"),
    lambda path: verify_document(path, IMPORT_AGAIN, understand=_understand),
)
