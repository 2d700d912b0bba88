"""Kept files: what lies beside the catalogue and can be found damaged there, kind by kind.

A kind says where its files lie, how one is verified, what to do about a damaged one, and which files of its own nothing
points to any more. It is declared beside the code that writes and reads them; `upkeep` goes through all kinds.

Most are documents, sealed JSON, some with arrays in a second file whose sha256 they hold. The arrays are written first:
whoever reads the document finds them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mess_core.errors import ArtefactMismatchError, StorageError
from mess_core.storage.files import own_files, read_sealed
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import MOST_TENSORS_BYTES, printable, sha256_of, understanding

MADE_AGAIN = "It may be deleted at any time and is made again; `check --repair` deletes it."
UNREADABLE = "Check the disk and the permissions of the data folder."
ASIDE = ".damaged"  # what a file put aside is called at its end

Beside = tuple[Path, str]  # the file of arrays that belongs to a document, and its sha256


@dataclass(frozen=True)
class Problem:
    """One thing that a check found wrong, and what cures it."""

    kind: str
    what: str
    cure: str


def away(path: Path) -> None:
    """Delete a file that can be made again; what is no file has a name that is not its own, and is put aside."""
    if path.is_dir() and not path.is_symlink():
        aside(path)
    else:
        path.unlink(missing_ok=True)


def aside(path: Path) -> None:
    """Rename a file so that nothing reads it; it is not lost."""
    path.replace(path.with_name(f"{path.name}.{time.time_ns()}{ASIDE}"))


def nothing(paths: Paths) -> Iterable[Path]:
    return ()


@dataclass(frozen=True)
class Kind:
    """One kind of kept file.

    name : what `check` calls it
    files : all that are there
    verify : ArtefactMismatchError if a file is not what was written, or says what cannot be; one that another version
        wrote, and is whole, is no problem: it is not read
    cure : what to do about a damaged one
    orphans : files of this kind that nothing points to; the young among them may be a write that is under way
    remove : how a damaged one is got rid of
    """

    name: str
    files: Callable[[Paths], Iterable[Path]]
    verify: Callable[[Path], None]
    cure: str = MADE_AGAIN
    orphans: Callable[[Paths], Iterable[Path]] = nothing
    remove: Callable[[Path], None] = away

    def check(self, paths: Paths, *, repair: bool = False) -> Iterator[Problem]:
        """Verify every file; with `repair`, get rid of what is damaged."""
        for path in own_files(paths.root, sorted(self.files(paths)), of_any_kind=True):
            try:
                self.verify(path)
            except ArtefactMismatchError as error:
                yield Problem(self.name, _placed(paths, path, error.message), error.hint or self.cure)
                if repair:
                    self.remove(path)
            except FileNotFoundError:  # swept or replaced while we looked
                continue
            except StorageError as error:
                yield Problem(self.name, _placed(paths, path, error.message), UNREADABLE)


def verify_document(
    path: Path,
    cure: str,
    unsealed: Iterable[str] = (),
    understand: Callable[[Path, Mapping[str, Any]], Iterable[Beside] | None] = lambda path, document: None,
) -> None:
    """Read a document as those do who use it, and hash what lies beside it.

    Parameters
    ----------
    unsealed : formats of before there were seals
    understand : raises if the document says what cannot be; returns what lies beside it, if anything
    """
    document = read_sealed(path, cure=cure, unsealed=tuple(unsealed))
    with understanding(printable(path.name), cure):
        beside = tuple(understand(path, document) or ())
    for arrays, sha256 in beside:
        try:
            digest = sha256_of(arrays, MOST_TENSORS_BYTES, cure=cure)
        except FileNotFoundError as error:
            raise ArtefactMismatchError(f"{arrays.name} is gone, which belongs to {path.name}.", cure) from error
        if digest != sha256:
            raise ArtefactMismatchError(f"{arrays.name} is damaged: its sha256 changed.", cure)


def _placed(paths: Paths, path: Path, message: str) -> str:
    """A sentence with the folder, or the file, that it is about."""
    named = path.parent if path.name in message else path
    return message if named == paths.root else f"{printable(named.relative_to(paths.root).as_posix())}: {message}"
