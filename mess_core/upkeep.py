"""What is kept beside the catalogue, looked after: damage is found and named, what nothing points to is swept.

    probing/       discoveries with their directions, evaluations      sealed JSON; directions by the hash in theirs
    cache/maps/    maps, which of them is looked at, their stability   sealed JSON; arrays by the hash in theirs
    cache/peaks/, cache/recall/    waveforms, figures of an index      sealed JSON
    cache/raw/     hidden states                                       the hash in their header

All of it can be made again, so repairing is deleting. Embeddings and packed arrays are `EmbeddingStore.check`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mess_core.config import Paths
from mess_core.discovery import UNSEALED as UNSEALED_DISCOVERIES
from mess_core.discovery import directions_path
from mess_core.embeddings import Problem
from mess_core.errors import ArtefactMismatchError
from mess_core.files import TMP_SUFFIX, unseal
from mess_core.raw import verify_raw

UNSEALED = (*UNSEALED_DISCOVERIES, "mess-evaluation-1")
PROBE_AGAIN = "Probe again, or measure again: `check --repair` deletes it, nothing else is lost."
MADE_AGAIN = "It may be deleted at any time and is made again; `check --repair` deletes it."

Arrays = Callable[[Path, dict[str, Any]], tuple[Path, str] | None]  # the file beside a document, and its sha256


def check_kept(paths: Paths, *, repair: bool = False) -> Iterator[Problem]:
    """Verify every file but embeddings and uploads; with `repair`, delete what is damaged.

    A file that was made by another version, and is whole, is no problem: it is not read.
    """
    cache = paths.cache
    documents: list[tuple[str, list[Path], str, Arrays]] = [
        ("discovery", sorted((paths.root / "probing").glob("*/*.json")), PROBE_AGAIN, _directions),
        ("map", sorted((cache / "maps").rglob("*.json")), MADE_AGAIN, _drawn),
        ("map", sorted((cache / "maps").rglob("*.stability")), MADE_AGAIN, _nothing),
        ("cache", sorted(cache.glob("peaks/*.json")) + sorted(cache.glob("recall/*.json")), MADE_AGAIN, _nothing),
    ]
    for kind, files, cure, arrays in documents:
        for path in files:
            try:
                _verify(path, cure, arrays)
            except ArtefactMismatchError as error:
                yield Problem(kind, _placed(paths, path, error.message), error.hint)
                if repair:
                    path.unlink(missing_ok=True)
            except FileNotFoundError:  # swept or replaced while we looked
                continue
            except OSError as error:
                yield Problem(kind, f"{path.relative_to(paths.root)} cannot be read: {error.strerror}.", UNREADABLE)
    for path in sorted((cache / "raw").rglob("*.safetensors")):
        try:
            verify_raw(path)
        except ArtefactMismatchError as error:
            yield Problem("cache", _placed(paths, path, error.message), MADE_AGAIN)
            if repair:
                path.unlink(missing_ok=True)


UNREADABLE = "Check the disk and the permissions of the data folder."


def sweep_kept(paths: Paths, older_than: float) -> int:
    """Delete what nothing points to and has not changed since a time (s since the epoch); returns how many files.

    Temporary files of writers that are gone; directions and arrays whose document was never written or is gone.
    """
    orphans = [*paths.root.glob(f"*{TMP_SUFFIX}")]
    for folder in (paths.cache, paths.root / "probing", paths.demo):
        orphans += folder.rglob(f"*{TMP_SUFFIX}")
    for path in (paths.cache / "packed").glob("*.sha256"):
        if not path.with_suffix(".npy").exists():
            orphans.append(path)
    for path in (paths.cache / "maps").rglob("*"):
        if path.suffix in (".safetensors", ".stability") and not path.with_suffix(".json").exists():
            orphans.append(path)
    for folder in (paths.root / "probing").glob("*"):
        orphans += set(folder.glob("*.safetensors")) - _named_directions(folder)
    n_swept = 0
    for path in orphans:
        try:
            if path.is_file() and path.stat().st_mtime < older_than:  # a younger one may be a write that is under way
                path.unlink()
                n_swept += 1
        except OSError:  # somebody else was faster, or it may not be deleted: the next sweep tries again
            continue
    return n_swept


def _verify(path: Path, cure: str, arrays: Arrays) -> None:
    document = unseal(path.read_bytes(), path.name, cure, UNSEALED)
    beside = arrays(path, document)
    if beside is None:
        return
    try:
        with beside[0].open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ArtefactMismatchError(f"{beside[0].name} is gone, which belongs to {path.name}.", cure) from error
    if digest != beside[1]:
        raise ArtefactMismatchError(f"{beside[0].name} is damaged: its sha256 changed.", cure)


def _directions(path: Path, document: dict[str, Any]) -> tuple[Path, str] | None:
    sha256 = document.get("directions_sha256")  # evaluations have none
    return (directions_path(path, sha256), sha256) if isinstance(sha256, str) else None


def _drawn(path: Path, document: dict[str, Any]) -> tuple[Path, str] | None:
    sha256 = document.get("sha256")  # `current.json` has none
    return (path.with_suffix(".safetensors"), sha256) if isinstance(sha256, str) else None


def _nothing(path: Path, document: dict[str, Any]) -> None:
    return None


def _named_directions(folder: Path) -> set[Path]:
    """The directions that the results of a folder name; all of them, if one of these cannot be read."""
    named = set()
    for path in folder.glob("*.json"):
        try:
            beside = _directions(path, unseal(path.read_bytes(), path.name, unsealed=UNSEALED))
        except (OSError, ArtefactMismatchError):
            return set(folder.glob("*.safetensors"))
        if beside is not None:
            named.add(beside[0])
    return named


def _placed(paths: Paths, path: Path, message: str) -> str:
    return f"{path.parent.relative_to(paths.root).as_posix()}: {message}"
