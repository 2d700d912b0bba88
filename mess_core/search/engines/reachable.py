"""Reachable: which engines can be chosen here, told without asking any of them."""

from __future__ import annotations

from importlib.util import find_spec

from mess_core.errors import MessError
from mess_core.search.engines.chosen import FAISS, dsn_of
from mess_core.search.engines.lance import LanceEngine
from mess_core.search.engines.postgres import PostgresEngine
from mess_core.storage.paths import Paths

PACKAGES = {LanceEngine.name: ("lancedb",), PostgresEngine.name: ("psycopg", "pgvector")}


def reachable(paths: Paths) -> list[str]:
    """FAISS, and every engine whose packages are installed; of a server it is known where it is, not that it answers.

    In the order in which they are offered.
    """
    installed = [name for name, packages in PACKAGES.items() if all(find_spec(package) for package in packages)]
    if PostgresEngine.name in installed:
        try:
            dsn_of(paths)
        except MessError:
            installed.remove(PostgresEngine.name)
    return [FAISS, *installed]
