"""A server of PostgreSQL for the tests, in a folder of its own, on no network; and collections in each engine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mess_core.errors import DependencyMissingError, EngineError
from mess_core.search.engines.contract import Engine
from mess_core.search.engines.flat import FaissEngine
from mess_core.search.engines.lance import LanceEngine
from mess_core.search.engines.postgres import PostgresEngine
from mess_core.search.engines.serving import serve

KEY = "c0ffee" * 4
ENGINES = [
    pytest.param("faiss"),
    pytest.param("lancedb", marks=pytest.mark.slow),
    pytest.param("pgvector", marks=pytest.mark.slow),
]
OTHERS = ENGINES[1:]

Opened = Callable[..., Engine]  # (widths, names=(), key=KEY)


def server_user() -> str | None:
    """PostgreSQL does not run as root."""
    return "nobody" if hasattr(os, "geteuid") and os.geteuid() == 0 else None


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """Which another user can be given; folders of pytest are the runner's alone."""
    folder = Path(tempfile.mkdtemp(prefix="mess-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """Of a server that runs while tests do."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (requirements-engines.txt)")
    pytest.importorskip("pgvector", reason="pgvector is not installed (requirements-engines.txt)")
    folder = Path(tempfile.mkdtemp(prefix="mess-"))
    try:
        with serve(folder, server_user()) as found:
            yield found
    except (DependencyMissingError, EngineError) as error:
        pytest.skip(str(error))
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def opened(request, tmp_path) -> Iterator[Opened]:
    """Opens collections of the engine that a test names by parameter, the same again each time; empty at first."""
    name, kept = request.param, []
    if name == "lancedb":
        pytest.importorskip("lancedb", reason="lancedb is not installed (requirements-engines.txt)")
    address = request.getfixturevalue("dsn") if name == "pgvector" else tmp_path / "lancedb"

    def open_it(widths, names=(), key=KEY) -> Engine:
        kind = {"faiss": FaissEngine, "lancedb": LanceEngine, "pgvector": PostgresEngine}[name]
        kept.append(kind(key, widths, names) if name == "faiss" else kind(address, key, widths, names))
        return kept[-1]

    open_it.name, open_it.address = name, address
    yield open_it
    if name == "pgvector":
        from mess_core.search.engines.postgres import tidy

        tidy(address, 0)
    for engine in kept:
        engine.close()
