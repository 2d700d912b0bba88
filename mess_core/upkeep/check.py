"""Check: every file and row of a data folder verified; what is damaged is named, with its cure, and can be dropped.

    catalogue              integrity, rows that point to nothing, paths that lead out of the folder
    embeddings             the hashes in the catalogue
    kept files             `KINDS`: each declares itself beside the code that writes it
    demo                   the hashes in its table
    uploads, renderings    their names and the catalogue are their hashes

A kept file is read here as the page reads it, so what would be refused there is named here. Nearly all of it can be
made again, so repairing is deleting.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

from mess_core.audio.source import sha256_file
from mess_core.catalogue.catalogue import track_id_of
from mess_core.embeddings import hidden_states
from mess_core.encoders import imported, weights
from mess_core.errors import ArtefactMismatchError, AudioError, StorageError
from mess_core.evaluation import kept as evaluations
from mess_core.learning import kept as learning
from mess_core.maps import kept as maps
from mess_core.probing import discovery
from mess_core.recommend import embedding as sessions
from mess_core.search import learned, recall
from mess_core.storage import packed
from mess_core.storage.database import RESTORE
from mess_core.storage.files import TMP_SUFFIX, inside, own_files
from mess_core.storage.kept import Kind, Problem, away
from mess_core.storage.paths import UPLOADS
from mess_core.storage.untrusted import parse_json_value, understanding
from mess_core.study import kept as studies
from mess_core.targets import own
from mess_core.workspace import peaks
from mess_core.workspace.workspace import Workspace

KINDS: tuple[Kind, ...] = (
    discovery.KEPT, evaluations.KEPT, imported.KEPT, maps.KEPT, maps.KEPT_STABILITY, peaks.KEPT, recall.KEPT,
    hidden_states.KEPT, packed.KEPT, weights.KEPT, learned.KEPT, learning.KEPT, sessions.KEPT, studies.KEPT,
    own.KEPT,
)  # fmt: skip
LAST_CHECK = "last_check"  # the setting that remembers it
DEMO_AGAIN = "Run: python -m mess_core demo. It makes the damaged file again; `check --repair` deletes it."


def check(workspace: Workspace, *, repair: bool = False) -> list[Problem]:
    """Verify every stored array and row, and our copies of uploads; with `repair`, drop what can be made again."""
    problems: list[Problem] = []
    for look in (_check_catalogue, _check_embeddings, _check_kept, _check_demo, _check_uploads, _check_rendered):
        try:
            problems += look(workspace, repair=repair)
        except StorageError as error:  # what cannot be read, or repaired on a full disk: the others still can
            problem = Problem("catalogue", error.message, error.hint)
            problems += [] if problem in problems else [problem]
    with contextlib.suppress(StorageError):  # a disk that takes no more can still be checked
        found = {"at": time.time(), "n_problems": len(problems), "is_repaired": repair}
        workspace.database.set_setting(LAST_CHECK, json.dumps(found))
    return problems


def last_check(workspace: Workspace) -> tuple[float, int] | None:
    """When everything was last verified (s since the epoch), and how many problems are left of it."""
    with contextlib.suppress(ArtefactMismatchError), understanding("What the last check left"):
        found = parse_json_value(workspace.database.setting(LAST_CHECK) or "null", "What the last check left")
        if found is not None:
            return float(found["at"]), 0 if found["is_repaired"] else int(found["n_problems"])
    return None


def _check_catalogue(workspace: Workspace, *, repair: bool) -> Iterator[Problem]:
    connection = workspace.database.connection
    for row in connection.execute("PRAGMA integrity_check"):
        if row[0] != "ok":
            yield Problem("catalogue", str(row[0]), RESTORE)
    for row in connection.execute("PRAGMA foreign_key_check"):
        yield Problem("catalogue", f"A row of {row['table']} points to nothing in {row['parent']}.", RESTORE)
    for error in workspace.catalogue.check_paths(repair=repair):
        yield Problem("catalogue", error.message, error.hint)


def _check_embeddings(workspace: Workspace, *, repair: bool) -> Iterator[Problem]:
    return workspace.store.check(repair=repair)


def _check_kept(workspace: Workspace, *, repair: bool) -> Iterator[Problem]:
    for kind in KINDS:
        yield from kind.check(workspace.paths, repair=repair)


def _check_demo(workspace: Workspace, *, repair: bool) -> Iterator[Problem]:
    from mess_core.collections.demo import check_demo  # scipy's signal package: half a second that only a check needs

    for path, what in check_demo(workspace.paths.demo):
        if not list(own_files(workspace.paths.root, [path], of_any_kind=True)):
            continue
        yield Problem("demo", what, DEMO_AGAIN)
        if repair:
            away(path)


def _check_uploads(workspace: Workspace, *, repair: bool) -> Iterator[Problem]:
    """Our copies: whole, and where the catalogue says."""
    known = workspace.catalogue.known_files(workspace.paths.uploads)
    own = own_files(workspace.paths.root, workspace.paths.uploads.glob("*"), of_any_kind=True)
    there = {path.name for path in own if path.suffix != TMP_SUFFIX}
    for name in sorted(there | known.keys()):
        try:
            path = inside(workspace.paths.root, f"{UPLOADS}/{name}", UPLOADS)
        except ArtefactMismatchError as error:
            if name in there:  # a link; a row was named already
                yield Problem("upload", error.message, "Upload the file again.")
                if repair:
                    (workspace.paths.uploads / name).unlink(missing_ok=True)  # the link, and not what it leads to
            continue
        try:
            if sha256_file(path) == path.stem:
                continue
            what = f"The upload {name} is damaged."
        except AudioError as error:
            what = f"The upload {name} cannot be read: {error.message}"
        yield Problem("upload", what, "Upload the file again.")
        if repair and (path.is_file() or not path.exists()):
            workspace.forget_tracks([known[name][2] if name in known else track_id_of(path.stem)])
            path.unlink(missing_ok=True)


def _check_rendered(workspace: Workspace, *, repair: bool) -> Iterator[Problem]:
    """What was rendered from MIDI is as it was when it was registered."""
    folder = workspace.paths.rendered
    for name, (_, _, track_id) in sorted(workspace.catalogue.known_files(folder).items()):
        try:
            inside(workspace.paths.root, f"{folder.name}/{name}", folder.name)
        except ArtefactMismatchError:  # which was named already
            continue
        try:
            is_whole = sha256_file(folder / name).startswith(track_id.partition("@")[0])
            what = "is damaged: its sha256 changed"
        except AudioError as error:
            is_whole, what = not (folder / name).is_file(), f"cannot be read: {error.message}"
        if is_whole:  # one that is gone is missing music, which the page names
            continue
        yield Problem("rendered", f"{folder.name}/{name} {what}.", "Add its folder again, with --render.")
        if repair:
            for path in (folder / name, (folder / name).with_suffix(".mid")):
                path.unlink(missing_ok=True)
