"""PostgreSQL with pgvector: rows in a database on a server, this machine's or another one's.

Everything lies in the schema `mess`: the table `collections` says which there are, and each has a table rows_KEY with
the columns id, stamp, words (JSON) and v0, v1, …: the row, in pieces that pgvector takes. A change is one transaction:
a process that is killed, or a server that goes, leaves what was there. Writers of one collection wait for each other.

Rows are put in order by an expression that no index of approximate neighbours serves, so all are compared: exact, also
where somebody has made such an index.

Where the server is says MESS_DSN, or, without it, what `serve-db` has started for this data folder (`serving.py`). It
is not kept in the data folder, which may come from somebody else: that would send rows, and a password, wherever it
says.
Passwords are libpq's affair (`~/.pgpass`, PGPASSWORD, or MESS_DSN itself) and are never printed.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mess_core.errors import DependencyMissingError, EngineError
from mess_core.installation import how_to_add
from mess_core.search.engines.contract import Engine, Wanted, stamp_of

if TYPE_CHECKING:
    from psycopg import Connection, sql

DSN_VARIABLE = "MESS_DSN"
FORMAT = 1  # of what lies in the schema
MOST_COLUMNS = 16_000  # of one vector of pgvector
CONNECT_S, ANSWER_S = 5, 60  # waited for a server, and for an answer of it
SET_UP = 0x6D657373  # the lock under which tables are made: "mess"
CURE = f"Check that the server runs, and {DSN_VARIABLE}; `python -m mess_core serve-db` starts one for trying."


class PostgresEngine(Engine):
    """A table of a database, made if it is not there. Parameters beside those of `Engine`: dsn : str, as libpq's"""

    name = "pgvector"
    title = "PostgreSQL with pgvector"
    lasts = True

    def __init__(self, dsn: str, key: str, widths: Sequence[int], names: Sequence[str] = ()) -> None:
        super().__init__(key, widths, names)
        _psycopg()
        self._dsn, self._opened = dsn, None  # type: str, Connection[Any] | None
        ends = [*range(MOST_COLUMNS, self.n_columns, MOST_COLUMNS), self.n_columns]
        self._pieces = [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise

    def _set_up(self) -> None:
        from psycopg import sql

        vectors = [sql.SQL("v{} vector({}) NOT NULL").format(n, p.stop - p.start) for n, p in enumerate(self._pieces)]
        with self._connected() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (SET_UP,))
            connection.execute("CREATE SCHEMA IF NOT EXISTS mess")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS mess.collections (key text PRIMARY KEY, format int NOT NULL,"
                " widths int[] NOT NULL, names text[] NOT NULL, opened timestamptz NOT NULL)"
            )
            connection.execute(
                "INSERT INTO mess.collections VALUES (%s, %s, %s, %s, now())"
                " ON CONFLICT (key) DO UPDATE SET opened = now()",
                (self.key, FORMAT, list(self.widths), list(self.names)),
            )
            found = connection.execute(
                "SELECT format, widths, names FROM mess.collections WHERE key = %s", (self.key,)
            ).fetchone()
            connection.execute(
                sql.SQL(
                    "CREATE TABLE IF NOT EXISTS {} (id text PRIMARY KEY, stamp text NOT NULL, words jsonb NOT NULL, {})"
                ).format(self._table, sql.SQL(", ").join(vectors))
            )
            connection.execute(self._select("id, stamp, words", "LIMIT 0"))  # whether it has what MESS keeps
            kinds = connection.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                " WHERE attrelid = to_regclass(%s) AND attname ~ '^v[0-9]+$' ORDER BY attnum",
                (f"mess.rows_{self.key}",),
            ).fetchall()
        wanted = [(f"v{n}", f"vector({piece.stop - piece.start})") for n, piece in enumerate(self._pieces)]
        if found != (FORMAT, list(self.widths), list(self.names)) or kinds != wanted:
            raise self._other("its columns are others")

    def _other(self, why: str) -> EngineError:
        return EngineError(
            f"The schema mess of {shown(self._dsn)} is not one that this version of MESS made: {why}.",
            f"Name another database in {DSN_VARIABLE}, or, if nothing else uses that schema: DROP SCHEMA mess CASCADE.",
        )

    def __len__(self) -> int:
        from psycopg import sql

        with self._connected() as connection:
            found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(self._table)).fetchone()
        return int(found[0]) if found else 0

    def stamps(self) -> dict[str, str]:
        with self._connected() as connection:
            return dict(connection.execute(self._select("id, stamp")).fetchall())

    def delete(self, ids: Sequence[str]) -> None:
        from psycopg import sql

        with self._connected() as connection, connection.transaction():
            self._wait(connection)
            connection.execute(sql.SQL("DELETE FROM {} WHERE id = ANY(%s)").format(self._table), (list(ids),))

    def drop(self) -> None:
        with self._connected() as connection:
            _drop(connection, self.key)

    def about(self) -> str:
        with self._connected() as connection:
            found = connection.execute(
                "SELECT current_setting('server_version'), extversion FROM pg_extension WHERE extname = 'vector'"
            ).fetchone()
        server, extension = found or ("?", "?")
        return f"pgvector {extension} on PostgreSQL {server.split()[0]}, at {shown(self._dsn)}"

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        from psycopg import sql

        vectors = sql.SQL(", ").join(sql.Identifier(f"v{n}") for n in range(len(self._pieces)))
        statement = sql.SQL("SELECT {} FROM {} JOIN unnest(%s::text[]) WITH ORDINALITY AS asked (id, n) USING (id)"
                            " ORDER BY asked.n").format(vectors, self._table)  # fmt: skip
        with self._connected() as connection:
            found = connection.execute(statement, (list(ids),), binary=True).fetchall()
        if len(found) != len(ids):
            raise EngineError(f"{len(ids) - len(found)} rows that were found are gone from {shown(self._dsn)}.", CURE)
        if not found:
            return np.empty((0, self.n_columns), np.float32)
        return np.stack([np.concatenate([piece.to_numpy() for piece in row]) for row in found]).astype(np.float32)

    def nearest(self, vector: np.ndarray, k: int, wanted: Wanted) -> tuple[list[str], np.ndarray]:
        from pgvector import Vector
        from psycopg import sql

        products = [sql.SQL("-(v{} <#> %s)").format(sql.SQL(str(n))) for n in range(len(self._pieces))]
        says = [sql.SQL("words ->> %s = ANY(%s)")] * len(wanted)
        statement = sql.SQL("SELECT id, {} AS product FROM {} {} {} ORDER BY product DESC LIMIT %s").format(
            sql.SQL(" + ").join(products),
            self._table,
            sql.SQL("WHERE" if says else ""),
            sql.SQL(" AND ").join(says),
        )
        asked: list[Any] = [Vector(vector[piece]) for piece in self._pieces]
        for name, words in wanted.items():
            asked += [name, list(words)]
        with self._connected() as connection:
            found = connection.execute(statement, (*asked, k)).fetchall()
        return [row[0] for row in found], np.array([row[1] for row in found], np.float64)

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def _put(self, ids: Sequence[str], rows: np.ndarray, metadata: Sequence[dict[str, str]]) -> None:
        from pgvector import Vector
        from psycopg import sql
        from psycopg.types.json import Jsonb

        pieces = [f"v{n}" for n in range(len(self._pieces))]
        with self._connected() as connection, connection.transaction():
            self._wait(connection)
            connection.execute(
                sql.SQL("CREATE TEMP TABLE coming (LIKE {} INCLUDING STORAGE) ON COMMIT DROP").format(self._table)
            )
            with connection.cursor() as cursor, cursor.copy("COPY coming FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["text", "text", "jsonb", *["vector"] * len(pieces)])
                for row_id, row, words in zip(ids, rows, metadata, strict=True):
                    vectors = (Vector(row[piece]) for piece in self._pieces)
                    copy.write_row((row_id, stamp_of(words), Jsonb(words), *vectors))
            named = [sql.Identifier(name) for name in ("stamp", "words", *pieces)]
            update = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(name) for name in named)
            connection.execute(
                sql.SQL("INSERT INTO {} SELECT * FROM coming ON CONFLICT (id) DO UPDATE SET {}").format(
                    self._table, update
                )
            )

    # --- the connection -------------------------------------------------------------------------------------

    @property
    def _table(self) -> sql.Identifier:
        from psycopg import sql

        return sql.Identifier("mess", f"rows_{self.key}")

    def _select(self, columns: str, end: str = "") -> sql.Composed:
        from psycopg import sql

        names = sql.SQL(", ").join(map(sql.Identifier, columns.split(", ")))
        return sql.SQL("SELECT {} FROM {} {}").format(names, self._table, sql.SQL(end))

    def _wait(self, connection: Connection[Any]) -> None:
        """For other writers of this collection, until the end of the transaction."""
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (self.key,))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection[Any]]:
        """The connection, opened again where it was lost; what goes wrong on it is an `EngineError`."""
        with self._lock:
            if self._opened is None or self._opened.closed:
                self._opened = connect(self._dsn)
            try:
                with explaining(self._dsn):
                    yield self._opened
            except EngineError:
                if self._opened is not None and self._opened.broken:
                    self.close()
                raise


def connect(dsn: str) -> Connection[Any]:
    """A connection to a server that has pgvector.

    Raises
    ------
    EngineError
        If there is none, within seconds; neither a password nor a DSN that cannot be read is in its words.
    """
    psycopg = _psycopg()
    try:
        psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        raise EngineError(
            f"{DSN_VARIABLE} cannot be read.", "Write: host=NAME dbname=NAME user=NAME, or postgresql://USER@HOST/NAME."
        ) from None
    with explaining(dsn):
        connection: Connection[Any] = psycopg.connect(
            dsn, autocommit=True, connect_timeout=CONNECT_S, application_name="mess", client_encoding="utf8",
            tcp_user_timeout=1000 * ANSWER_S, keepalives_idle=10, keepalives_interval=5, keepalives_count=4,
        )  # fmt: skip
    try:
        with explaining(dsn):
            connection.execute(f"SET statement_timeout = '{ANSWER_S}s'")
            has_vector = connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'").fetchone()
            if not has_vector:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            from pgvector.psycopg import register_vector

            register_vector(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def tidy(dsn: str, most: int) -> int:
    """Drop the collections that were opened longest ago, but the latest `most`; how many."""
    with contextlib.closing(connect(dsn)) as connection, explaining(dsn):
        older = connection.execute(
            "SELECT key FROM mess.collections ORDER BY opened DESC OFFSET %s", (most,)
        ).fetchall()  # fmt: skip
        for (key,) in older:
            _drop(connection, key)
    return len(older)


def _drop(connection: Connection[Any], key: str) -> None:
    from psycopg import sql

    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (SET_UP,))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier("mess", f"rows_{key}")))
        connection.execute("DELETE FROM mess.collections WHERE key = %s", (key,))


def shown(dsn: str) -> str:
    """Where a server is, for a sentence: who and what, without a password.

    Examples
    --------
    >>> shown("host=db.example dbname=music user=me password=secret")  # doctest: +SKIP
    'music on db.example'
    """
    psycopg = _psycopg()
    try:
        facts = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        return "an unreadable address"
    name, host = facts.get("dbname"), facts.get("host") or facts.get("hostaddr") or facts.get("service")
    port = f":{facts['port']}" if facts.get("port") else ""
    return f"{name or 'the database'} on {host or 'the server that libpq takes by default'}{port}"


@contextlib.contextmanager
def explaining(dsn: str) -> Iterator[None]:
    """What a server says, in a sentence, without the password."""
    psycopg = _psycopg()
    try:
        yield
    except psycopg.Error as error:
        raise EngineError(f"{shown(dsn)} does not answer as it should: {_said(error, dsn)}", _cure(error)) from None


def _said(error: Exception, dsn: str) -> str:
    """Its first line, without what is secret."""
    psycopg = _psycopg()
    said = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    with contextlib.suppress(psycopg.Error):
        password = psycopg.conninfo.conninfo_to_dict(dsn).get("password")
        if password:
            said = said.replace(str(password), "…")
    return said.rstrip(".") + "."


def _cure(error: Exception) -> str:
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith(("42", "22")):  # other tables or columns than expected, or no right to them
        return f"The database holds something else, or its user may not change it: name another one in {DSN_VARIABLE}."
    if state == "58P01" or "vector" in str(error).lower():
        return "Install pgvector on the server, or let its administrator run: CREATE EXTENSION vector."
    return CURE


def _psycopg() -> Any:
    try:
        importlib.import_module("pgvector.psycopg")
        return importlib.import_module("psycopg")
    except ImportError as error:
        message = "psycopg and pgvector, which speak to PostgreSQL, are not installed."
        raise DependencyMissingError(message, how_to_add("engines")) from error
