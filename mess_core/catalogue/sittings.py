"""Sittings: somebody listens to three clips again and again, and says which of two is more like the third.

    Sitting    who listens, in which library, what is asked, and how often
    Asked      one question of a sitting: three clips, why they were asked, and what was answered, if anything was
    Sittings   those of one data folder

A question is kept before it is heard, under a name that tells nothing, so a reload, another tab or a new server asks
the same one. Its first answer counts, however often it is sent; only who goes back on purpose answers anew. What a
method has returned from is on the disk.

As with opinions, ids stand for content and outlive the tracks they are of.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mess_core.catalogue.comparisons import Comparison
from mess_core.errors import InputError, UnknownTrackError
from mess_core.storage.database import Database
from mess_core.storage.untrusted import parse_json_value, understanding

Purpose = Literal["random", "active", "repeat", "catch"]
Choice = Literal["first", "second", "neither"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
CHOICES: tuple[Choice, ...] = get_args(Choice)
FEWEST_QUESTIONS, MOST_QUESTIONS = 10, 300  # 300 of half a minute are more than two hours
LONGEST_NAME = 60


@dataclass(frozen=True)
class Clip:
    """A stretch of a recording, in its own seconds."""

    track_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Sitting:
    """Somebody's questions in one library.

    question : what is asked, as a person reads it
    encoder : its id; what is compared when questions are chosen
    seed : what all chance of it comes from
    begun_at, ended_at : seconds since 1970; None while it goes on
    """

    sitting_id: int
    listener: str
    library: str
    question: str
    encoder: str
    n_wanted: int
    seed: int
    begun_at: float
    ended_at: float | None = None


@dataclass(frozen=True)
class Asked:
    """One question.

    asked_id : says nothing of what is asked
    number : from 0
    anchor, first, second : the clips; in a catch one of the two is the anchor itself
    purpose : chosen by chance; where models disagree; one of before, turned around; or one with a known answer
    repeats : the number of the question it turns around
    answer : None until it is given
    heard_s : how long each of the three was heard
    """

    asked_id: str
    sitting_id: int
    number: int
    anchor: Clip
    first: Clip
    second: Clip
    purpose: Purpose
    repeats: int | None = None
    answer: Choice | None = None
    answered_at: float | None = None
    heard_s: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def clips(self) -> tuple[Clip, Clip, Clip]:
        return self.anchor, self.first, self.second

    @property
    def is_right(self) -> bool | None:
        """Whether the known answer of a catch was given; None where there is none, or no answer yet."""
        if self.purpose != "catch" or self.answer is None:
            return None
        return self.answer == ("first" if self.first == self.anchor else "second")


class Sittings:
    """The sittings of one data folder."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def begin(self, listener: str, library: str, question: str, encoder: str, n_wanted: int, seed: int) -> Sitting:
        """Begin one; or go on with the one that this listener has open on the same question.

        Raises
        ------
        InputError
            If the listener has no name that can be kept, or the number of questions is out of bounds.
        """
        name = check_listener(listener)
        if not FEWEST_QUESTIONS <= n_wanted <= MOST_QUESTIONS:
            raise InputError(f"{n_wanted} questions were asked for, expected {FEWEST_QUESTIONS} to {MOST_QUESTIONS}.")
        with self.database.transaction() as connection:
            row = connection.execute(
                "SELECT * FROM sittings WHERE listener = ? AND library = ? AND question = ? AND ended_at IS NULL",
                (name, library, question),
            ).fetchone()
            if row is None:
                row = connection.execute(
                    "INSERT INTO sittings (listener, library, question, encoder, n_wanted, seed, begun_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *",
                    (name, library, question, encoder, n_wanted, seed, time.time()),
                ).fetchone()
        return Sitting(*row)

    def all(self, library: str | None = None) -> list[Sitting]:
        """Every sitting of a library, or of all; the oldest first."""
        rows = self.database.connection.execute(
            "SELECT * FROM sittings WHERE ?1 IS NULL OR library = ?1 ORDER BY sitting_id", (library,)
        )
        return [Sitting(*row) for row in rows]

    def find(self, sitting_id: int) -> Sitting | None:
        """A sitting by its number; None if there is none."""
        row = self.database.connection.execute("SELECT * FROM sittings WHERE sitting_id = ?", (sitting_id,)).fetchone()
        return None if row is None else Sitting(*row)

    def extend(self, sitting_id: int, n_more: int) -> None:
        """Ask more than was wanted at first; one that had ended goes on.

        Raises
        ------
        InputError
            If that makes more than `MOST_QUESTIONS`.
        UnknownTrackError
            If it was deleted meanwhile.
        """
        with self.database.transaction() as connection:
            row = connection.execute(
                "UPDATE sittings SET n_wanted = n_wanted + ?, ended_at = NULL WHERE sitting_id = ? RETURNING n_wanted",
                (n_more, sitting_id),
            ).fetchone()
            if row is None:
                raise UnknownTrackError("This sitting was deleted meanwhile.", "Begin another one.")
            if row["n_wanted"] > MOST_QUESTIONS:
                raise InputError(f"A sitting has at most {MOST_QUESTIONS} questions.", "Begin another one.")

    def end(self, sitting_id: int) -> None:
        """Nothing more is asked; a question without an answer is forgotten."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE sittings SET ended_at = ? WHERE sitting_id = ? AND ended_at IS NULL", (time.time(), sitting_id)
            )
            connection.execute("DELETE FROM asked WHERE sitting_id = ? AND answer IS NULL", (sitting_id,))

    def forget(self, listener: str) -> int:
        """Delete everything one listener answered in sittings; returns how many answers that were."""
        with self.database.transaction() as connection:
            n = connection.execute(
                "SELECT count(*) FROM asked JOIN sittings USING (sitting_id) WHERE listener = ? AND answer IS NOT NULL",
                (listener,),
            ).fetchone()[0]
            connection.execute("DELETE FROM sittings WHERE listener = ?", (listener,))
        return int(n)

    # --- questions ------------------------------------------------------------------------------------------

    def questions(self, sitting_id: int) -> list[Asked]:
        """All that were asked in a sitting, in their order."""
        rows = self.database.connection.execute(
            "SELECT * FROM asked WHERE sitting_id = ? ORDER BY number", (sitting_id,)
        )
        return [_read(row) for row in rows]

    def find_question(self, asked_id: str) -> Asked | None:
        """A question by its name; None if there is none."""
        row = self.database.connection.execute("SELECT * FROM asked WHERE asked_id = ?", (asked_id,)).fetchone()
        return None if row is None else _read(row)

    def ask(
        self,
        sitting_id: int,
        number: int,
        clips: Sequence[Clip],
        purpose: Purpose,
        repeats: int | None = None,
    ) -> Asked:
        """Keep a question before it is put; where another tab has put that number already, it is that one.

        Raises
        ------
        UnknownTrackError
            If the sitting was deleted meanwhile.
        """
        spans = json.dumps([[clip.start_s, clip.end_s] for clip in clips])
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO asked (asked_id, sitting_id, number, anchor, first, second, spans_s, purpose,"
                " repeats) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (secrets.token_hex(8), sitting_id, number, *(clip.track_id for clip in clips), spans, purpose, repeats),
            )
            row = connection.execute(
                "SELECT * FROM asked WHERE sitting_id = ? AND number = ?", (sitting_id, number)
            ).fetchone()
        return _read(row)

    def drop(self, asked_id: str) -> None:
        """Forget a question that nobody has answered."""
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM asked WHERE asked_id = ? AND answer IS NULL", (asked_id,))

    def answer(
        self, asked_id: str, choice: str, heard_s: Sequence[float] = (0.0, 0.0, 0.0), *, again: bool = False
    ) -> Asked:
        """Keep an answer. One that was given before stays, unless it is answered `again` on purpose.

        Returns
        -------
        Asked
            With the answer that counts.

        Raises
        ------
        InputError
            If it is no answer.
        UnknownTrackError
            If there is no such question (any more).
        """
        if choice not in CHOICES:
            raise InputError(f"The answer is {str(choice)[:20]!r}, expected one of: {', '.join(CHOICES)}.")
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE asked SET answer = ?, answered_at = ?, heard_s = ? WHERE asked_id = ?"
                " AND (answer IS NULL OR ?)",
                (choice, time.time(), json.dumps([round(float(each), 2) for each in heard_s]), asked_id, again),
            )
            row = connection.execute("SELECT * FROM asked WHERE asked_id = ?", (asked_id,)).fetchone()
        if row is None:
            raise UnknownTrackError(
                "This question is not asked any more.", "Its sitting was ended or deleted; reload the page."
            )
        return _read(row)

    def comparisons(self) -> list[Comparison]:
        """What was answered, as comparisons, the oldest first: what could not be told, and catches, are none."""
        rows = self.database.connection.execute(
            "SELECT asked.*, question, listener FROM asked JOIN sittings USING (sitting_id)"
            " WHERE answer IN ('first', 'second') AND purpose != 'catch' ORDER BY answered_at, sitting_id, number"
        )
        found = []
        for row in rows:
            one, other = (row["first"], row["second"]) if row["answer"] == "first" else (row["second"], row["first"])
            if len({row["anchor"], one, other}) == 3:  # two files may have become one since
                found.append(
                    Comparison(
                        row["anchor"], one, other, row["question"], row["listener"], row["answered_at"], row["answer"]
                    )
                )
        return found


def tidy_listener(name: str) -> str:
    """A name with one space where several stand, and none around it."""
    return " ".join(name.split())


def check_listener(name: str) -> str:
    """A listener's name as it is kept.

    Raises
    ------
    InputError
        If it is empty, too long, or has signs that nobody sees.
    """
    kept = tidy_listener(name)
    if not kept:
        raise InputError("The listener has no name.", f"Write a name of 1 to {LONGEST_NAME} letters.")
    if len(kept) > LONGEST_NAME or not kept.isprintable():
        raise InputError(
            f"{name[:LONGEST_NAME]!r} is no name for a listener.", f"Write a name of 1 to {LONGEST_NAME} letters."
        )
    return kept


def _read(row: sqlite3.Row) -> Asked:
    with understanding(f"Question {row['asked_id']} of the catalogue"):
        spans = parse_json_value(row["spans_s"], "The clips of a question", is_text=False)
        heard = parse_json_value(row["heard_s"], "What was heard of a question", is_text=False)
        anchor, first, second = (
            Clip(row[name], float(start_s), float(end_s))
            for name, (start_s, end_s) in zip(("anchor", "first", "second"), spans, strict=True)
        )
        heard_s = float(heard[0]), float(heard[1]), float(heard[2])
    return Asked(
        row["asked_id"], row["sitting_id"], row["number"], anchor, first, second, row["purpose"], row["repeats"],
        row["answer"], row["answered_at"], heard_s,
    )  # fmt: skip
