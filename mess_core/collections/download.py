"""Fetch a published collection: one file, checked, and unpacked where it is an archive.

    <name without .zip>/    the collection, from the moment it is complete
    <name>.json             the sha256 that the archive had, and whether it was unpacked; the archive itself is deleted

Only the address that the collection names is asked, over https; a redirection may lead to another public host, never
into the network of this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mess_core.collections.collection import Collection, Download
from mess_core.collections.fetching import Fetch, StoppedError, bring, read_facts
from mess_core.collections.unpacking import unpack
from mess_core.errors import ArtefactMismatchError, InputError, MessError, StorageError
from mess_core.storage.files import write_atomically


def download_collection(
    collection: Collection,
    which: Download,
    folder: Path,
    on_progress: Callable[[int, int], None] = lambda done_bytes, total_bytes: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Fetch one of a collection's downloads and unpack it. Ask the user first: the licence is not ours.

    Parameters
    ----------
    folder : Path, made if it does not exist
    on_progress : callable (done_bytes, total_bytes)
        Called after every megabyte. Unpacking counts as many bytes as the download.
    should_stop : callable () -> bool
        Asked after every megabyte; what is here is kept for the next call.

    Returns
    -------
    Path or None
        The folder that now holds the collection, or the file itself where it is no zip; None if it was stopped.

    Raises
    ------
    InputError
        If the download is none of this collection's.
    DataMissingError
        If there is no network, or the server does not have the file.
    ArtefactMismatchError
        If what arrived is not what was published, or the archive would write outside of its folder.
    StorageError
        If the disk is full or refuses.
    """
    from huggingface_hub.utils import WeakFileLock

    if which not in collection.downloads:
        raise InputError(f"{which.url} is no download of {collection.title}.")
    folder = folder.resolve()
    fetch = Fetch(
        which, folder / (which.name or Path(unquote(urlsplit(which.url).path)).name), on_progress, should_stop
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(f"{fetch.path}.lock"):
            if not fetch.path.is_file():
                if fetch.target.exists():
                    return _finished(fetch)
                bring(fetch, collection.title)
            if fetch.is_archive:
                if not fetch.target.exists() and not _unpack(fetch):  # it exists if we were killed just before the end
                    return None
                write_atomically(fetch.record, json.dumps(read_facts(fetch.record) | {"unpacked": True}).encode())
                fetch.path.unlink()
            return fetch.target
    except StoppedError:
        return None
    except OSError as error:
        if isinstance(error, MessError):
            raise
        raise StorageError(
            f"{fetch.path.name} could not be written to {folder}: {error.strerror or error}.",
            "Free some disk space or check the folder's permissions, then start again: what is here is kept.",
        ) from error


def _finished(fetch: Fetch) -> Path:
    """What an earlier call made."""
    if not read_facts(fetch.record).get("unpacked"):
        raise InputError(
            f"There is a folder {fetch.target} already, which was not downloaded by MESS.",
            "Add it as it is, or choose another folder for the download.",
        )
    return fetch.target


def _unpack(fetch: Fetch) -> bool:
    half = fetch.path.stat().st_size
    try:
        return unpack(
            fetch.path, fetch.target, lambda share: fetch.on_progress(round(half * (1 + share)), 2 * half),
            fetch.should_stop,
        )  # fmt: skip
    except ArtefactMismatchError:  # nobody should meet it again
        fetch.path.unlink()
        fetch.record.unlink(missing_ok=True)
        raise
