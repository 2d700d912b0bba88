"""What is kept beside the catalogue, looked after: damage is found and named, what nothing points to is swept.

A kept document is read here as the page reads it, so what would be refused there is named here, with its cure.

    probing/       discoveries with their directions, evaluations      sealed JSON; directions by the hash in theirs
    cache/maps/    maps, which of them is looked at, their stability   sealed JSON; arrays by the hash in theirs
    cache/peaks/, cache/recall/    waveforms, figures of an index      sealed JSON
    cache/raw/     hidden states                                       the hash in their header
    demo/          audio, MIDI, scores and their table                 the hashes in the table
    imported/      what is known of imported encoders                  sealed JSON
    weights.json   chosen folders, hashes seen first                   read as it is used; put aside, not deleted

Nearly all of it can be made again, so repairing is deleting. Embeddings, imported vectors among them, and packed arrays
are `EmbeddingStore.check`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mess_core.config import Paths
from mess_core.embeddings.hidden_states import verify_raw
from mess_core.embeddings.store import Problem
from mess_core.encoders.imported import info_of
from mess_core.encoders.weights import check_memory
from mess_core.errors import ArtefactMismatchError, StorageError
from mess_core.evaluation.kept import FORMAT as EVALUATION
from mess_core.evaluation.kept import KINDS, evaluation_of
from mess_core.evaluation.kept import UNSEALED as UNSEALED_EVALUATIONS
from mess_core.probing.discovery import FORMAT as DISCOVERY
from mess_core.probing.discovery import UNSEALED as UNSEALED_DISCOVERIES
from mess_core.probing.discovery import directions_path, from_document
from mess_core.storage.files import TMP_SUFFIX, own_files, read_sealed
from mess_core.storage.untrusted import MOST_TENSORS_BYTES, printable, sha256_of, understanding

DISCOVERIES, EVALUATIONS = (DISCOVERY, *UNSEALED_DISCOVERIES), (EVALUATION, *UNSEALED_EVALUATIONS)
UNSEALED = (*UNSEALED_DISCOVERIES, *UNSEALED_EVALUATIONS)
PROBE_AGAIN = "Probe again, or measure again: `check --repair` deletes it, nothing else is lost."
IMPORT_AGAIN = "`check --repair` deletes what is known of these vectors; then import them again under this name."
CHOOSE_AGAIN = "`check --repair` puts it aside; then choose the folders of weights again."
DEMO_AGAIN = "Run: python -m mess_core demo. It makes the damaged file again; `check --repair` deletes it."
MADE_AGAIN = "It may be deleted at any time and is made again; `check --repair` deletes it."

ASIDE = ".damaged"  # what a file put aside is called at its end

Arrays = Callable[[Path, dict[str, Any]], tuple[Path, str] | None]  # the file beside a document, and its sha256


def check_kept(paths: Paths, *, repair: bool = False) -> Iterator[Problem]:
    """Verify every file but embeddings and uploads; with `repair`, delete what is damaged.

    A file that was made by another version, and is whole, is no problem: it is not read.
    """
    cache = paths.cache
    documents: list[tuple[str, list[Path], str, Arrays]] = [
        ("discovery", sorted((paths.root / "probing").glob("*/*.json")), PROBE_AGAIN, _directions),
        ("imported encoder", sorted((paths.root / "imported").glob("*.json")), IMPORT_AGAIN, _encoder),
        ("map", sorted((cache / "maps").rglob("*.json")), MADE_AGAIN, _drawn),
        ("map", sorted((cache / "maps").rglob("*.stability")), MADE_AGAIN, _nothing),
        ("cache", sorted(cache.glob("peaks/*.json")) + sorted(cache.glob("recall/*.json")), MADE_AGAIN, _nothing),
    ]
    for kind, files, cure, arrays in documents:
        for path in own_files(paths.root, files, of_any_kind=True):
            try:
                _verify(path, cure, arrays)
            except ArtefactMismatchError as error:
                yield Problem(kind, _placed(paths, path, error.message), error.hint)
                if repair:
                    _away(path)
            except FileNotFoundError:  # swept or replaced while we looked
                continue
            except StorageError as error:
                yield Problem(kind, _placed(paths, path, error.message), UNREADABLE)
    for path in own_files(paths.root, sorted((cache / "raw").rglob("*.safetensors")), of_any_kind=True):
        try:
            verify_raw(path)
        except ArtefactMismatchError as error:
            yield Problem("cache", _placed(paths, path, error.message), MADE_AGAIN)
            if repair:
                _away(path)
        except FileNotFoundError:
            continue
        except StorageError as error:
            yield Problem("cache", _placed(paths, path, error.message), UNREADABLE)
    from mess_core.collections.demo import check_demo  # scipy's signal package: half a second that only a check needs

    for path, what in check_demo(paths.demo):
        if not list(own_files(paths.root, [path], of_any_kind=True)):
            continue
        yield Problem("demo", what, DEMO_AGAIN)
        if repair:
            _away(path)
    try:
        check_memory(paths)
    except StorageError as error:
        yield Problem("weights", error.message, UNREADABLE)
    except ArtefactMismatchError as error:
        yield Problem("weights", error.message, CHOOSE_AGAIN)
        if repair:
            _aside(paths.weights)


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
    for path in own_files(paths.root, orphans):
        try:
            if path.stat().st_mtime < older_than:  # a younger one may be a write that is under way
                path.unlink()
                n_swept += 1
        except OSError:  # somebody else was faster, or it may not be deleted: the next sweep tries again
            continue
    return n_swept


def _verify(path: Path, cure: str, arrays: Arrays) -> None:
    document = read_sealed(path, cure=cure, unsealed=UNSEALED)
    with understanding(printable(path.name), cure):
        beside = arrays(path, document)
    if beside is None:
        return
    try:
        digest = sha256_of(beside[0], MOST_TENSORS_BYTES, cure=cure)
    except FileNotFoundError as error:
        raise ArtefactMismatchError(f"{beside[0].name} is gone, which belongs to {path.name}.", cure) from error
    if digest != beside[1]:
        raise ArtefactMismatchError(f"{beside[0].name} is damaged: its sha256 changed.", cure)


def _directions(path: Path, document: dict[str, Any]) -> tuple[Path, str] | None:
    if document.get("format") in DISCOVERIES:
        from_document(document, printable(path.name))
    elif document.get("format") in EVALUATIONS:
        kind = next((what for what in KINDS if path.stem.endswith(f"-{what}")), None)
        if kind is None:
            raise ValueError("its name says of no kind of evaluation")
        evaluation_of(document, printable(path.name), kind)
    sha256 = document.get("directions_sha256")  # evaluations have none
    return (directions_path(path, sha256), sha256) if isinstance(sha256, str) else None


def _drawn(path: Path, document: dict[str, Any]) -> tuple[Path, str] | None:
    sha256 = document.get("sha256")  # `current.json` has none
    return (path.with_suffix(".safetensors"), sha256) if isinstance(sha256, str) else None


def _encoder(path: Path, document: dict[str, Any]) -> None:
    info_of(document.get("encoder"), f"imported/{printable(path.name)}")


def _nothing(path: Path, document: dict[str, Any]) -> None:
    return None


def _named_directions(folder: Path) -> set[Path]:
    """The directions that the results of a folder name; all of them, if one of these cannot be read."""
    named = set()
    for path in folder.glob("*.json"):
        try:
            sha256 = read_sealed(path, unsealed=UNSEALED).get("directions_sha256")
            if isinstance(sha256, str):
                named.add(directions_path(path, sha256))
        except (OSError, ArtefactMismatchError):
            return set(folder.glob("*.safetensors"))
    return named


def _away(path: Path) -> None:
    """Delete a file that can be made again; what is no file has a name that is not its own, and is put aside."""
    if path.is_dir() and not path.is_symlink():
        _aside(path)
    else:
        path.unlink(missing_ok=True)


def _aside(path: Path) -> None:
    path.replace(path.with_name(f"{path.name}.{time.time_ns()}{ASIDE}"))


def _placed(paths: Paths, path: Path, message: str) -> str:
    named = path.parent if path.name in message else path
    return f"{printable(named.relative_to(paths.root).as_posix())}: {message}"
