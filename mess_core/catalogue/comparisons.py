"""Comparisons: which of two recordings somebody found more like a third. A similarity is learned from these.

Kept apart from opinions: a thumb says what somebody likes as an answer, a comparison says what is nearer than what. A
comparison is never changed, and outlives the tracks it is about: its ids stand for content, so when a track comes back,
it fits again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mess_core.errors import InputError
from mess_core.storage.database import Database

Side = Literal["first", "second", ""]
SIDES = ("first", "second", "")
QUESTION = "which is more alike?"


@dataclass(frozen=True)
class Comparison:
    """One answer: to the listener, `positive` is more like `anchor` than `negative` is.

    question : what was asked, as a person read it
    judged_at : seconds since 1970
    side : where the chosen one stood among the two; "" where that is not known
    """

    anchor: str
    positive: str
    negative: str
    question: str = QUESTION
    listener: str = "me"
    judged_at: float = 0.0
    side: Side = ""

    def __post_init__(self) -> None:
        if len({self.anchor, self.positive, self.negative}) < 3:
            raise InputError(f"A comparison needs three recordings, and {self.anchor!r} is among them twice.")
        for name in (self.anchor, self.positive, self.negative, self.listener):
            if not isinstance(name, str) or not name:
                raise InputError(f"A recording or listener of a comparison is {name!r}, expected its name.")
        if self.side not in SIDES:
            raise InputError(f"The side is {self.side!r}, expected one of: first, second, or nothing.")


class Comparisons:
    """The comparisons of one data folder. What a method has returned from is on the disk."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, comparisons: Iterable[Comparison]) -> int:
        """Keep answers; one that is there already, to the second, is not kept twice. Returns how many are new."""
        rows = [tuple(vars(each).values()) for each in comparisons]
        with self.database.transaction() as connection:
            before = connection.total_changes
            connection.executemany("INSERT OR IGNORE INTO comparisons VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", rows)
            return connection.total_changes - before

    def all(self) -> list[Comparison]:
        """Every answer, the oldest first."""
        rows = self.database.connection.execute("SELECT * FROM comparisons ORDER BY comparison_id")
        return [_read(row) for row in rows]


def _read(row: sqlite3.Row) -> Comparison:
    return Comparison(*tuple(row)[1:])
