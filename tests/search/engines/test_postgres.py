"""PostgreSQL: where it cannot be used it is one sentence, and no password is in it."""

from __future__ import annotations

import sys
import traceback

import numpy as np
import pytest

from mess_core.errors import DependencyMissingError, EngineError
from mess_core.installation import how_to_add
from mess_core.search.engines.postgres import PostgresEngine, connect, shown, tidy
from mess_core.search.engines.serving import serve
from tests.search.engines.conftest import KEY, server_user

SECRET = "geheim-7f3a"


def test_without_its_packages_it_says_how_to_install_them(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DependencyMissingError, match=how_to_add("engines")):
        PostgresEngine("host=nowhere", KEY, [2])


@pytest.mark.parametrize(
    "address",
    [
        f"host=127.0.0.1 port=1 user=me password={SECRET} dbname=music",
        f"postgresql://me:{SECRET}@127.0.0.1:1/music",
        f"postgresql://me:{SECRET}@127.0.0.1:port/music",
        f"postgresql://me:{SECRET}@127.0.0.1:1/music?{SECRET}",
        f"password={SECRET} host",
        f"{SECRET}",
        f"host=/nonexistent password='{SECRET}' dbname={SECRET}",
        f"service={SECRET}x password={SECRET}",
    ],
)
def test_a_password_is_never_printed(address) -> None:
    """Neither in the sentence, nor in what leads to it, whatever of the address cannot be read or reached."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (requirements-engines.txt)")
    pytest.importorskip("pgvector", reason="pgvector is not installed (requirements-engines.txt)")
    with pytest.raises(EngineError) as caught:
        PostgresEngine(address, KEY, [2])
    told = f"{caught.value} {''.join(traceback.format_exception(caught.value, limit=0))}"
    is_name = f"dbname={SECRET}" in address or f"service={SECRET}" in address  # then it is no secret
    assert is_name or SECRET not in told
    assert "\n" not in caught.value.message and len(caught.value.message) < 500


def test_an_address_is_shown_without_who_and_how() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed (requirements-engines.txt)")
    pytest.importorskip("pgvector", reason="pgvector is not installed (requirements-engines.txt)")
    assert shown(f"postgresql://me:{SECRET}@db.example:5433/music") == "music on db.example:5433"
    assert SECRET not in shown(f"x {SECRET}")


@pytest.fixture
def engine(dsn):
    """A collection of a hundred rows."""
    engine = PostgresEngine(dsn, KEY, [3], ["composer"])
    items = np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32)
    engine.put([f"{n:03d}" for n in range(100)], [items])
    yield engine
    engine.close()
    with connect(dsn) as connection:
        connection.execute("DROP SCHEMA IF EXISTS mess CASCADE")


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        "ALTER TABLE mess.collections DROP COLUMN widths",
        "DROP TABLE mess.collections; CREATE TABLE mess.collections (key int)",
        f"ALTER TABLE mess.rows_{KEY} DROP COLUMN v0",
        f"ALTER TABLE mess.rows_{KEY} DROP COLUMN words",
        f"ALTER TABLE mess.rows_{KEY} ALTER COLUMN v0 TYPE real[]",
        "UPDATE mess.collections SET format = 99",
        "UPDATE mess.collections SET widths = '{1,2}'",
        f"DROP TABLE mess.rows_{KEY}; CREATE VIEW mess.rows_{KEY} AS SELECT 1 AS id",
    ],
)
def test_a_database_of_another_schema_is_refused(engine, dsn, damage) -> None:
    """In a sentence that says what to do, and without a change to it."""
    with connect(dsn) as connection:
        connection.execute(damage)
    with pytest.raises(EngineError) as caught:
        PostgresEngine(dsn, KEY, [3], ["composer"])
    assert caught.value.hint and "\n" not in str(caught.value)


@pytest.mark.slow
def test_who_may_not_write_is_told(engine, dsn) -> None:
    with connect(dsn) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
    try:
        with pytest.raises(EngineError, match="permission denied"):
            PostgresEngine(dsn.replace("user=mess", "user=reader"), KEY, [3], ["composer"])
    finally:
        with connect(dsn) as connection:
            connection.execute("DROP ROLE reader")


@pytest.mark.slow
def test_an_index_that_somebody_made_changes_no_answer(engine, dsn) -> None:
    """It would find some of the nearest only; rows are put in order by what it does not serve."""
    query = [np.ones(3, np.float32)]
    before = engine.search(query, [1.0], 20)
    with connect(dsn) as connection:
        connection.execute(
            f"CREATE INDEX ON mess.rows_{KEY} USING hnsw (v0 vector_ip_ops) WITH (m = 2, ef_construction = 4)"
        )
        connection.execute("ALTER DATABASE postgres SET enable_seqscan = off")
    engine.close()
    try:
        after = engine.search(query, [1.0], 20)
    finally:
        with connect(dsn) as connection:
            connection.execute("ALTER DATABASE postgres RESET enable_seqscan")
    assert before.ids == after.ids and len(after.ids) == 20


@pytest.mark.slow
def test_collections_that_nobody_opens_are_dropped_the_oldest_first(engine, dsn) -> None:
    for n in range(3):
        PostgresEngine(dsn, f"{n:08x}", [2]).close()
    assert tidy(dsn, 2) == 2
    with connect(dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'mess' ORDER BY 1").fetchall()
    assert [row[0] for row in rows] == ["collections", "rows_00000001", "rows_00000002"]
    with pytest.raises(EngineError):
        engine.search([np.ones(3, np.float32)], [1.0], 2)


@pytest.mark.slow
def test_a_server_that_goes_and_comes_back(dsn, own_folder) -> None:
    """Silent meanwhile, one sentence; then the same object answers again, with what was put."""
    items = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    with serve(own_folder, server_user()) as own:
        engine = PostgresEngine(own, KEY, [3])
        engine.put([f"{n:02d}" for n in range(50)], [items])
        before = engine.search([items[3]], [1.0], 5)
    for _ in range(2):
        with pytest.raises(EngineError) as caught:
            engine.search([items[3]], [1.0], 5)
        assert "does not answer" in caught.value.message and "serve-db" in caught.value.hint
    with serve(own_folder, server_user()):
        assert engine.search([items[3]], [1.0], 5).ids == before.ids
        engine.close()
