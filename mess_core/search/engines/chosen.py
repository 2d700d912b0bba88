"""Which engine answers for a library: what somebody chose, kept with the catalogue; FAISS where nobody did."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mess_core import __version__
from mess_core.catalogue.catalogue import FILTERS
from mess_core.errors import EngineError, InputError
from mess_core.search.engines import lance, postgres
from mess_core.search.engines.contract import Engine
from mess_core.search.engines.flat import FaissEngine
from mess_core.search.engines.lance import LanceEngine
from mess_core.search.engines.postgres import DSN_VARIABLE, PostgresEngine
from mess_core.search.engines.serving import dsn_of_served
from mess_core.storage.files import inside
from mess_core.storage.paths import Paths
from mess_core.workspace.workspace import Workspace

ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (FaissEngine, LanceEngine, PostgresEngine)}
FAISS = FaissEngine.name
SETTING = "engine:"  # and the library
MOST_COLLECTIONS = 8  # that an engine keeps, the last opened: a library that changes makes new ones


def engine_of(workspace: Workspace, library: str) -> str:
    """The name of the engine that was chosen for a library; what is no name of one counts as FAISS."""
    kept = workspace.database.setting(f"{SETTING}{library}")
    return kept if kept in ENGINES else FAISS


def keep_engine(workspace: Workspace, library: str, name: str) -> None:
    """Choose an engine for a library.

    Raises
    ------
    InputError
        If there is no such engine.
    """
    check_engine(name)
    workspace.database.set_setting(f"{SETTING}{library}", name)


def check_engine(name: str) -> None:
    """InputError if there is no such engine."""
    if name not in ENGINES:
        raise InputError(f"There is no engine {name[:80]!r}.", f"Known: {', '.join(ENGINES)}.")


def collection_key(plan_key: str) -> str:
    """The key of the collection that holds the rows of a plan; another version of MESS may make other rows."""
    return hashlib.sha256(f"{__version__}:{plan_key}".encode()).hexdigest()[:40]


def open_engine(paths: Paths, name: str, key: str, widths: Sequence[int], names: Sequence[str] = FILTERS) -> Engine:
    """Open a collection in the engine of that name, where this data folder has it.

    Raises
    ------
    EngineError, DependencyMissingError
        If the engine does not answer, or is not installed.
    """
    check_engine(name)
    if name == LanceEngine.name:
        folder = own_folder(paths, paths.lancedb)
        engine: Engine = LanceEngine(folder, key, widths, names)
        lance.tidy(folder, MOST_COLLECTIONS)
        return engine
    if name == PostgresEngine.name:
        dsn = dsn_of(paths)
        engine = PostgresEngine(dsn, key, widths, names)
        postgres.tidy(dsn, MOST_COLLECTIONS)
        return engine
    return FaissEngine(key, widths, names)


def own_folder(paths: Paths, folder: Path) -> Path:
    """A folder of the data folder; ArtefactMismatchError if a link leads out of it, as in one from somebody else."""
    return inside(paths.root, folder.relative_to(paths.root).as_posix())


def dsn_of(paths: Paths) -> str:
    """Where PostgreSQL is: what MESS_DSN says, or what `serve-db` has started.

    Raises
    ------
    EngineError
        If neither is there.
    """
    found = os.environ.get(DSN_VARIABLE, "").strip() or dsn_of_served(own_folder(paths, paths.postgres))
    if not found:
        raise EngineError(
            f"No PostgreSQL server is named: {DSN_VARIABLE} is not set.",
            "Set it (host=NAME dbname=NAME user=NAME), or start one for trying: python -m mess_core serve-db.",
        )
    return found
