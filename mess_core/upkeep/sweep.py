"""Sweep: what nobody needs any more goes, what nothing points to into the trash, where it can be fetched back from."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from mess_core.embeddings.store import TMP_KEEP_S
from mess_core.errors import StorageError
from mess_core.storage.files import TMP_SUFFIX, own_files
from mess_core.storage.paths import Paths
from mess_core.upkeep.check import KINDS
from mess_core.workspace.workspace import Workspace


def sweep(workspace: Workspace, now: float | None = None) -> None:
    """Forget uploads that joined no library in a week, and put what nothing points to into the trash.

    Also keeps the daily copy of the catalogue, and empties the trash of what has lain there for a month.
    """
    now = time.time() if now is None else now
    with contextlib.suppress(StorageError):  # a full disk: the next sweep tries again, `doctor` says how old it is
        workspace.custody.copy_daily(workspace.database, now)
        workspace.custody.renew(workspace.database)
    workspace.forget_tracks(workspace.catalogue.stale_uploads(now), trash_at=now)
    workspace.store.sweep(now)
    _sweep_kept(workspace.paths, now - TMP_KEEP_S)
    known = {workspace.paths.uploads / name for name in workspace.catalogue.known_files(workspace.paths.uploads)}
    for path in own_files(workspace.paths.root, workspace.paths.uploads.glob("*")):
        with contextlib.suppress(OSError):  # somebody else was faster
            if path not in known and now - path.stat().st_mtime > TMP_KEEP_S:
                path.unlink() if path.suffix == TMP_SUFFIX else workspace.custody.discard(path, now)
    workspace.custody.empty_trash(now)


def _sweep_kept(paths: Paths, older_than: float) -> None:
    """Delete what nothing points to and has not changed since a time (s since the epoch).

    Temporary files of writers that are gone; files beside documents that were never written or are gone.
    """
    for path in own_files(paths.root, _orphans(paths)):
        with contextlib.suppress(OSError):  # somebody else was faster, or it may not be deleted: the next sweep tries
            if path.stat().st_mtime < older_than:  # a younger one may be a write that is under way
                path.unlink()


def _orphans(paths: Paths) -> Iterable[Path]:
    yield from paths.root.glob(f"*{TMP_SUFFIX}")
    for folder in (paths.cache, paths.probing, paths.learned, paths.demo):
        yield from folder.rglob(f"*{TMP_SUFFIX}")
    for kind in KINDS:
        yield from kind.orphans(paths)
