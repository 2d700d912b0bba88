"""Judgements as tables: comparisons of three recordings, to and from other programs.

    anchor, positive, negative, question, listener, time, side        CSV or Parquet; all but the first three may lack
    MagnaTagATune's comparisons_final.csv                             which of three clips is the odd one out, in votes
    question, anchor, track, strength, n_answers                      out only: what all together say (`aggregate`)

A recording is named by its track id, its title, or its file: the id first, then what its file is called, with or
without folder and ending, then the title. What is not here is counted and passed over; a name that two recordings share
is none.

A vote for the odd one out says two things: of the other two each is more like the other than the odd one is. So each
vote becomes two comparisons.

Source: Law, West, Mandel, Bay & Downie (2009), Evaluation of algorithms using games: the case of music tagging; columns
as in the published file.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mess_core.catalogue.comparisons import QUESTION, SIDES, Comparison
from mess_core.errors import DataMissingError, InputError
from mess_core.handover.naming import PARQUET, RecordingNames, read_rows
from mess_core.learning.aggregate import strengths
from mess_core.learning.judging import listenings
from mess_core.storage.cells import defused
from mess_core.storage.files import write_atomically
from mess_core.storage.untrusted import printable
from mess_core.words import counted
from mess_core.workspace.workspace import Workspace

COLUMNS = ("anchor", "positive", "negative", "question", "listener", "time", "side")
NEEDED = COLUMNS[:3]
STRENGTH_COLUMNS = ("question", "anchor", "track", "strength", "n_answers")
CLIPS = tuple(f"clip{n}_id" for n in (1, 2, 3))
VOTES = tuple(f"clip{n}_numvotes" for n in (1, 2, 3))
CLIP_FILES = tuple(f"clip{n}_mp3_path" for n in (1, 2, 3))
ODD_ONE_OUT = "which is the odd one out?"
MOST_VOTES = 10_000  # for one clip: the file has up to some dozens


@dataclass(frozen=True)
class TakenJudgements:
    """What was taken in.

    n_new : answers that were not here
    n_known : that were
    n_vanished : answers on recordings that are not here
    refused : (row, why) of what is no answer
    """

    n_new: int
    n_known: int
    n_vanished: int
    refused: tuple[tuple[str, str], ...]

    @property
    def summary(self) -> str:
        """In a sentence or two."""
        told = f"{counted(self.n_new, 'judgement')} taken in, {self.n_known:,} known already."
        if self.n_vanished:
            told += f" {counted(self.n_vanished, 'judgement')} left out: their recordings are not in the catalogue."
        return told


def import_judgements(workspace: Workspace, path: Path) -> TakenJudgements:
    """Take in a table of judgements; what is here already, be it from sittings or thumbs, is not taken in twice.

    Raises
    ------
    InputError
        If it is no such table.
    DataMissingError
        If none of its recordings is here.
    """
    rows = read_rows(path)
    columns = {name for row in rows[:1] for name in row[1]}
    is_of_clips = columns >= {*CLIPS, *VOTES}
    if not is_of_clips and not columns >= set(NEEDED):
        raise InputError(
            f"{printable(path.name)} has no columns {', '.join(NEEDED)}.",
            f"Expected these and, if known, {', '.join(COLUMNS[3:])}; or MagnaTagATune's comparisons.",
        )
    known = RecordingNames(workspace)
    found: list[Comparison] = []
    refused: list[tuple[str, str]] = []
    n_vanished = 0
    for number, row in rows:
        try:
            for names, facts in _answers(row, is_of_clips):
                ids = [known.id_of(name) for name in names]
                if None in ids:
                    n_vanished += 1
                else:
                    found.append(Comparison(*ids, **facts))  # type: ignore[arg-type]
        except InputError as error:
            refused.append((f"row {number}", error.message))
    if not found and n_vanished:
        raise DataMissingError(
            f"None of the recordings in {printable(path.name)} is in the catalogue.", "Add their folder first."
        )
    here = {replace(each, judged_at=_seconds(_iso(each.judged_at))) for each in all_judgements(workspace)}
    n_new = workspace.comparisons.add(each for each in found if each not in here)
    return TakenJudgements(n_new, len(found) - n_new, n_vanished, tuple(refused))


def export_judgements(workspace: Workspace, path: Path) -> int:
    """Write all judgements, as Parquet where the name says so, else as CSV; returns how many.

    Thumbs count, too: what somebody liked as an answer is nearer to its query than what they did not like.

    Raises
    ------
    DataMissingError
        If there is none.
    """
    comparisons = all_judgements(workspace)
    if not comparisons:
        raise DataMissingError("Nobody has judged anything yet, so there is nothing to export.", "Judge some first.")
    rows = [
        (each.anchor, each.positive, each.negative, each.question, each.listener, _iso(each.judged_at), each.side)
        for each in comparisons
    ]
    if path.suffix.lower() == PARQUET:
        write_atomically(path, _parquet(rows))
    else:
        stream = io.StringIO(newline="")
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows([defused(cell) for cell in row] for row in rows)
        write_atomically(path, stream.getvalue().encode())
    return len(rows)


def export_strengths(workspace: Workspace, path: Path) -> int:
    """Write what all listeners together say, one row for each recording beside an anchor, as CSV; returns how many.

    Raises
    ------
    DataMissingError
        If nobody has judged anything.
    """
    comparisons = all_judgements(workspace)
    if not comparisons:
        raise DataMissingError("Nobody has judged anything yet, so there is nothing to sum up.", "Judge some first.")
    found = strengths(comparisons, listenings(workspace))
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(STRENGTH_COLUMNS)
    for each in found:
        writer.writerow((each.question, each.anchor, each.track_id, f"{each.strength:.4f}", each.n_answers))
    write_atomically(path, stream.getvalue().encode())
    return len(found)


def all_judgements(workspace: Workspace) -> list[Comparison]:
    """What was taken in, then what was answered in sittings, then thumbs; read again once anybody has written."""

    def read() -> list[Comparison]:
        return [*workspace.comparisons.all(), *workspace.sittings.comparisons(), *pair_votes(workspace)]

    found: list[Comparison] = workspace.database.remembered("all judgements", read)
    return list(found)


def pair_votes(workspace: Workspace) -> list[Comparison]:
    """Thumbs as comparisons: of one query, everything a listener liked against everything he did not."""
    latest: dict[tuple[str, str, str], tuple[str, float]] = {}
    rows = workspace.database.connection.execute(
        "SELECT listener, query_track_id, track_id, verdict, judged_at FROM judgements WHERE query_track_id IS NOT NULL"
        " ORDER BY judgement_id"
    )
    for row in rows:
        latest[row["listener"], row["query_track_id"], row["track_id"]] = row["verdict"], row["judged_at"]
    said: dict[tuple[str, str], dict[str, list[tuple[str, float]]]] = {}
    for (listener, query, track), (verdict, at) in latest.items():
        said.setdefault((listener, query), {}).setdefault(verdict, []).append((track, at))
    return [
        Comparison(query, liked, disliked, "is it a good answer?", listener, max(at, other_at))
        for (listener, query), votes in sorted(said.items())
        for liked, at in votes.get("like", [])
        for disliked, other_at in votes.get("dislike", [])
        if len({query, liked, disliked}) == 3
    ]


def _answers(row: Mapping[str, str], is_of_clips: bool) -> Iterator[tuple[Sequence[str], dict[str, object]]]:
    """Three names and the other facts, for each answer of a row."""
    if not is_of_clips:
        lacking = [name for name in NEEDED if not row.get(name)]
        if lacking:
            raise InputError(f"It says no {' and no '.join(lacking)}.")
        side = row.get("side", "")
        facts = {
            "question": row.get("question") or QUESTION,
            "listener": row.get("listener") or "me",
            "judged_at": _seconds(row.get("time", "")),
            "side": side if side in SIDES else "",
        }
        yield [row[name] for name in NEEDED], facts
        return
    clips = [row.get(path) or row.get(clip, "") for path, clip in zip(CLIP_FILES, CLIPS, strict=True)]
    for odd, votes in enumerate(VOTES):
        one, other = (clip for place, clip in enumerate(clips) if place != odd)
        for vote in range(_count(row.get(votes, ""))):
            # Whose vote it was is not told: each is somebody of his own.
            facts = {"question": ODD_ONE_OUT, "listener": f"MagnaTagATune {row[CLIPS[odd]]} {vote + 1}"}
            yield (one, other, clips[odd]), facts
            yield (other, one, clips[odd]), facts


def _count(text: str) -> int:
    if not text.strip().isdecimal() or int(text) > MOST_VOTES:
        raise InputError(f"{text[:20]!r} is no number of votes.")
    return int(text)


def _seconds(text: str) -> float:
    """Seconds since 1970, of a number or an ISO date; 0 where nothing is said."""
    if not text.strip():
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text.strip())
        except ValueError as error:
            raise InputError(
                f"{text[:40]!r} is no time; expected seconds since 1970, or 2026-05-01T12:00:00."
            ) from error
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise InputError(f"{text[:40]!r} is no time.")
    return seconds


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else ""


def _parquet(rows: Sequence[Sequence[str]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {name: pa.array(column, pa.string()) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}
    )
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()
