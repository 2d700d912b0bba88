"""Files that lie elsewhere for another machine: the same folder under another path, or in a store of objects.

    FOLDER=PLACE      /music=/mnt/nfs/music     another path
                      /music=s3://bucket/music  S3 and Google's, by Arrow; everything else by the names of fsspec

A file of a store is copied to the disk of this machine for as long as it is read. Who reads it checks its content: that
it has the name of a file that was there before proves nothing.
"""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mess_core.errors import AudioError, DataMissingError, DependencyMissingError, InputError, StorageError
from mess_core.storage.untrusted import printable

BY_ARROW = ("s3", "gs", "gcs", "hdfs", "abfs", "abfss")  # which pyarrow reads without another package
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Elsewhere:
    """What lies in `folder` on the machine that asks lies at `place` for the machines that read."""

    folder: Path
    place: str

    @property
    def is_store(self) -> bool:
        return "://" in self.place

    @contextlib.contextmanager
    def local(self, path: Path) -> Iterator[Path]:
        """A path at which a file can be read here; a copy, of what lies in a store, is gone afterwards.

        Raises
        ------
        AudioError
            If this one file is not there.
        DataMissingError
            If the whole place is not there, or does not answer.
        StorageError
            If the disk of this machine is full.
        """
        if not path.is_relative_to(self.folder):
            yield path
            return
        name = path.relative_to(self.folder).as_posix()
        if not self.is_store:
            there = Path(self.place) / name
            if not there.exists() and not Path(self.place).is_dir():
                raise _gone(self.place, "it is no folder on that machine.")
            yield there
            return
        files, root = _opened(self.place)
        with tempfile.TemporaryDirectory(prefix="mess-") as folder:
            copy = Path(folder) / path.name
            self._fetch(files, root, name, copy)
            yield copy

    def _fetch(self, files: Any, root: str, name: str, copy: Path) -> None:
        shown = printable(self.place)
        try:
            with files.open(f"{root.rstrip('/')}/{name}", "rb") as theirs, copy.open("wb") as ours:
                while block := theirs.read(2**20):
                    ours.write(block)
        except Exception as error:  # each kind of store has its own
            if isinstance(error, OSError) and error.errno in FULL:
                raise StorageError(
                    f"The disk for temporary files is full: {printable(name)} could not be copied to {copy.parent}.",
                    "Free some space there, or let TMPDIR name another disk.",
                ) from error
            try:
                is_there = files.exists(root)
            except Exception:
                is_there = False
            if not is_there:
                raise _gone(self.place, _first_line(error)) from error
            raise AudioError(f"{printable(name)} could not be read from {shown}: {_first_line(error)}") from error


def _gone(place: str, why: str) -> DataMissingError:
    return DataMissingError(
        f"{printable(place)} does not answer, or is not there any more: {why}",
        "Check its name and who may read it; what was done is kept, and the same command goes on.",
    )


def parse_elsewhere(text: str) -> Elsewhere | None:
    """FOLDER=PLACE as it is typed; None where nothing is.

    Raises
    ------
    InputError
        If it cannot be meant.

    Examples
    --------
    >>> parse_elsewhere("/music=s3://bucket/music").is_store
    True
    """
    if not text:
        return None
    folder, _, place = text.partition("=")
    if not folder or not place or not Path(folder).is_absolute():
        raise InputError(
            f"Where files lie for other machines cannot be {text[:100]!r}.",
            "Expected FOLDER=PLACE: --read-from /music=s3://bucket/music",
        )
    return Elsewhere(Path(folder), place)


def _opened(place: str) -> tuple[Any, str]:
    """The file system of a store, with the interface of fsspec, and the path in it."""
    scheme = place.partition("://")[0]
    try:
        if scheme in BY_ARROW:
            from fsspec.implementations.arrow import ArrowFSWrapper
            from pyarrow.fs import FileSystem

            arrow, path = FileSystem.from_uri(place)
            return ArrowFSWrapper(arrow), path
        import fsspec

        found: tuple[Any, str] = fsspec.core.url_to_fs(place)
        return found
    except ImportError as error:
        raise DependencyMissingError(
            f"{scheme}:// cannot be read here: {_first_line(error)}", f"pip install fsspec[{scheme}]"
        ) from error
    except (ValueError, OSError) as error:
        raise InputError(f"{printable(place)} cannot be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = printable(str(error)).splitlines() or [type(error).__name__]
    return f"{lines[0][:300].rstrip('.')}."
