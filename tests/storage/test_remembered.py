"""Remembered: never stale, and never larger than it may be."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
import pytest

from mess_core.encoders.mel import MEL
from mess_core.storage import remembered as module
from mess_core.storage.database import COUNTED
from mess_core.storage.remembered import bytes_of
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Shelf:
    points: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Profile:
    shelf: Shelf
    scores: np.ndarray


@pytest.fixture
def remembered(home):
    return home.database.remembered


def made(n_bytes: int):
    return lambda: np.zeros(n_bytes, np.uint8)


def test_what_was_asked_for_longest_ago_is_forgotten_first(remembered, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", remembered.n_bytes + 3500)
    for key in "abc":
        remembered.made_of(key, 0, made(1000))
    assert remembered.made_of("a", 0, made(1)).size == 1000
    remembered.made_of("d", 0, made(1000))
    assert [remembered.made_of(key, 0, made(1)).size for key in "acdb"] == [1000, 1000, 1000, 1]


def test_the_latest_is_kept_however_large_it_is(remembered, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    remembered.made_of("a", 0, made(1000))
    assert remembered.made_of("a", 0, made(1)).size == 1000


def test_what_is_made_of_something_else_is_made_again(remembered):
    remembered.made_of("a", (1, "x"), made(5))
    before = remembered.n_bytes
    assert remembered.made_of("a", (1, "y"), made(7)).size == 7
    assert remembered.n_bytes - before == 2, "the old one is not counted any more"


def test_arrays_count_once_whatever_looks_at_them():
    array = np.zeros((1000, 10))
    views = [array[:500], array.T, array.reshape(-1)]
    assert array.nbytes <= bytes_of(views) <= array.nbytes + 2000


def test_what_something_is_made_of_belongs_to_others(remembered):
    shelf = Shelf(np.zeros(100_000), tuple(f"recording {number}" for number in range(10_000)))
    before = remembered.n_bytes
    remembered.made_of("profile", (shelf, 1), lambda: Profile(shelf, np.zeros(100)))
    assert 800 <= remembered.n_bytes - before <= 3000


def test_long_sequences_are_told_by_a_sample():
    names = tuple(f"recording {number:06}" for number in range(10_000))
    exact = sum(each.__sizeof__() for each in names)
    assert bytes_of(names) == pytest.approx(exact + names.__sizeof__(), rel=0.02)
    by_name = {name: number for number, name in enumerate(names)}
    assert bytes_of(by_name) == pytest.approx(exact + by_name.__sizeof__() + 28 * len(names), rel=0.02)


def reads_of(home, ask) -> set[str]:
    """Which tables are read when `ask` reads."""
    found = set()

    def notice(action, table, *_):
        if action == sqlite3.SQLITE_READ:
            found.add(table)
        return sqlite3.SQLITE_OK

    home.database.remembered.forget()
    home.database.connection.set_authorizer(notice)
    try:
        ask()
    finally:
        home.database.connection.set_authorizer(None)
    return found


@pytest.mark.parametrize(
    "ask",
    [
        lambda home: home.catalogue.libraries(),
        lambda home: home.catalogue.track_ids("music"),
        lambda home: home.catalogue.content("music"),
        lambda home: home.catalogue.n_tracks("music"),
        lambda home: home.catalogue.names_said("music"),
        lambda home: home.catalogue.added_s("music"),
        lambda home: home.catalogue.details("music"),
        lambda home: home.store.known(MEL),
        lambda home: scope_of(home, "music", MEL.id).n_embedded,
    ],
)  # fmt: skip
def test_the_tables_that_are_named_are_all_that_is_read(home, ask, monkeypatch):
    named = []
    original = module.Remembered.__call__

    def call(self, key, read, tables=()):
        named.append(set(tables))
        return original(self, key, read, tables)

    monkeypatch.setattr(module.Remembered, "__call__", call)
    read = reads_of(home, lambda: ask(home))
    assert read and read <= named[0] <= set(COUNTED)
    assert all(within <= named[0] for within in named[1:]), "what is remembered within hangs on no more"


WRITES = {
    "tracks": ["UPDATE tracks SET title = 'x' WHERE track_id = 'a'", "DELETE FROM tracks WHERE track_id = 'a'"],
    "library_tracks": ["INSERT OR REPLACE INTO library_tracks VALUES ('music', 'a')", "DELETE FROM tracks"],
    "details": ["INSERT INTO details VALUES ('a', 'level', '3')", "DELETE FROM tracks"],
    "encoders": ["UPDATE encoders SET seconds_per_segment = 3"],
    "embeddings": ["UPDATE embeddings SET sha256 = 'other'", "DELETE FROM tracks"],
    "targets": ["UPDATE targets SET value = 2", "DELETE FROM tracks"],
}


@pytest.fixture
def rows(home):
    """One row of each table that is counted."""
    with home.database.transaction() as connection:
        for statement in [
            "INSERT INTO tracks (track_id, sha256, title, duration_s, sample_rate_hz, n_channels, codec, is_truncated,"
            " added_at) VALUES ('a', 'a', 'a', 1, 1, 1, 'wav', 0, 0)",
            "INSERT INTO library_tracks VALUES ('music', 'a')",
            "INSERT INTO details VALUES ('a', 'grade', '3')",
            "INSERT INTO encoders VALUES ('f', 'e', '{}', 1)",
            "INSERT INTO embeddings VALUES ('a', 'f', 'p', 's', 1, 1, 0)",
            "INSERT INTO targets VALUES ('a', 't', 1, '', 'good', 1, '', '')",
        ]:
            connection.execute(statement)
    return home


@pytest.mark.parametrize(("table", "statement"), [(table, each) for table in COUNTED for each in WRITES[table]])
def test_whatever_is_written_to_a_table_is_read_again(rows, table, statement):
    """Also by another process, and where rows go with those that they belong to."""
    remembered, asked = rows.database.remembered, []

    def ask():
        return remembered("x", lambda: asked.append(1), (table,))

    ask(), ask()
    assert len(asked) == 1
    other = Workspace(rows.paths.root)
    with other.database.transaction() as connection:
        connection.execute(statement)
    ask(), ask()
    assert len(asked) == 2
    other.close()


def test_what_is_written_elsewhere_is_not_read_again(rows):
    remembered, asked = rows.database.remembered, []
    for _ in range(3):
        remembered("x", lambda: asked.append(1), COUNTED)
        rows.database.set_setting("any", "thing")
        rows.opinions.judge("a", "like")
    assert len(asked) == 1


def test_what_was_taken_back_is_not_remembered(rows):
    remembered = rows.database.remembered

    def title():
        read = rows.database.connection.execute("SELECT title FROM tracks").fetchone
        return remembered("title", lambda: read()[0], ("tracks",))

    assert title() == "a"
    with pytest.raises(KeyError), rows.database.transaction() as connection:
        connection.execute("UPDATE tracks SET title = 'b'")
        assert title() == "b"
        raise KeyError
    assert title() == "a"
