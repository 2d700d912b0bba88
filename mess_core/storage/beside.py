"""Arrays beside a document: a sealed JSON that anyone can read names them by their sha256.

They are written first, under a name that ends in their hash: whoever reads the document finds them, and a reader of the
document before finds its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from mess_core.errors import ArtefactMismatchError
from mess_core.storage.files import read_sealed, write_atomically
from mess_core.storage.untrusted import MOST_TENSORS_BYTES, printable, read_untrusted

SUFFIX = ".safetensors"


def beside(path: Path, sha256: str) -> Path:
    """Where the arrays of the document at `path` lie. ArtefactMismatchError if what names them is no hash."""
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        name = printable(path.name)
        raise ArtefactMismatchError(f"{name} names its arrays by {printable(sha256[:40])!r}, expected a sha256.")
    return path.with_name(f"{path.stem}.{sha256[:16]}{SUFFIX}")


def write_beside(path: Path, data: bytes) -> str:
    """Write the arrays of a document that is yet to be written; returns their sha256."""
    sha256 = hashlib.sha256(data).hexdigest()
    write_atomically(beside(path, sha256), data)
    return sha256


def read_beside(path: Path, sha256: str, cure: str) -> bytes:
    """The arrays of a document, verified.

    Raises
    ------
    ArtefactMismatchError
        If they are gone, or are not those that were written.
    """
    arrays = beside(path, sha256)
    name = printable(arrays.name)
    try:
        data = read_untrusted(arrays, MOST_TENSORS_BYTES, cure=cure)
    except FileNotFoundError as error:
        raise ArtefactMismatchError(f"{name} is gone, which belongs to {printable(path.name)}.", cure) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ArtefactMismatchError(f"{name} is damaged: its sha256 changed.", cure)
    return data


def sweep_beside(path: Path, named: Iterable[str]) -> None:
    """Delete arrays of the document at `path` that it names no more; those of other documents stay."""
    kept = {beside(path, sha256) for sha256 in named}
    own = re.compile(rf"{re.escape(path.stem)}\.[0-9a-f]{{16}}{re.escape(SUFFIX)}")  # another's name may go on alike
    for older in path.parent.glob(f"*{SUFFIX}"):
        if own.fullmatch(older.name) and older not in kept:
            with contextlib.suppress(OSError):  # the document is kept; what nothing points to is found by `check`
                older.unlink()


def unnamed_beside(arrays: Iterable[Path], keys: Collection[str], unsealed: Collection[str] = ()) -> list[Path]:
    """Of some files of arrays those that no document names; none of a document that cannot be read.

    Parameters
    ----------
    keys : names of the entries of a document that hold a sha256
    unsealed : formats of before there were seals
    """
    unnamed = []
    named_by: dict[Path, set[str] | None] = {}
    for path in arrays:
        stem, _, sha16 = path.name.removesuffix(SUFFIX).rpartition(".")
        document = path.with_name(f"{stem}.json")
        if document not in named_by:
            named_by[document] = _named(document, keys, unsealed)
        named = named_by[document]
        if named is not None and sha16 not in named:
            unnamed.append(path)
    return unnamed


def _named(document: Path, keys: Collection[str], unsealed: Collection[str]) -> set[str] | None:
    """The beginnings of the hashes that a document names; none if it is gone, None if it cannot be read."""
    try:
        entries = read_sealed(document, unsealed=unsealed)
    except FileNotFoundError:
        return set()
    except (OSError, ArtefactMismatchError):
        return None
    return {str(entries[key])[:16] for key in keys if key in entries}
