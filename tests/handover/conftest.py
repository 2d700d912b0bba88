"""What the tests of handing over share."""

from __future__ import annotations

from pathlib import Path

from mess_core.encoders.mel import MEL
from mess_core.encoders.registry import encoder_info
from mess_core.handover.folders import MANIFEST
from mess_core.search.answers import answer, build_index, make_plan, query_of
from mess_core.search.question import Question
from mess_core.storage.files import seal, unseal
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace


def nearest(home: Workspace, track_id: str, library: str = "music", encoder: str = MEL.id, k: int = 10) -> list[tuple]:
    """By the app's default search."""
    info = encoder_info(encoder, home.paths)
    scope = Scope(home, library, info)
    plan = make_plan(scope, Question(k=k), scope.discovery_for_search())
    found = answer(build_index(plan), plan, query_of(scope, home.catalogue.track(track_id))).found
    return [(each.track.track_id, each.neighbour.similarity) for each in found]


def contents(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def forge(folder: Path, **changes: object) -> None:
    """A manifest with a right seal that says something else."""
    document = unseal((folder / MANIFEST).read_bytes(), MANIFEST)
    (folder / MANIFEST).write_bytes(seal({**document, **changes}))
