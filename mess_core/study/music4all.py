"""Music4All: a listening log as the split of two published studies, what was heard first and how often.

    user, track, time, newest first ── in pieces ──> (user, track, first play, plays before TEST, plays in all)
      plays before TEST > 0            train, weighed by the plays before TEST
      first play from TEST to END      tested, weighed by the plays to END, if the user has a training row
        items with a training row      hot:  users divided into validation and test
        all others                     cold

What comes back is one row, so an order within a user is an order of discovery. Users are divided, not rows: validation
and test lie in the same months, and no user is in both.

    protocol   train from .. to TEST          TEST to             validation
    2024       2019-02-20 .. 2020-02-20       the end of the log  half of the users of hot rows; nothing cold
    journal    2018-02-01 .. 2019-02-01       2019-03-01          30 % of those without a cold row; the rest is tested

Source
------
Tamm & Aljanaki (2024), Comparative analysis of pretrained audio representations in music recommender systems; their
second study (arXiv 2604.23077) and its code. The log: Moscati et al. (2022), Music4All-Onion.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.columns import HeldOut, Interactions, of_numbers
from mess_core.recommend.splits import hot_and_cold, split_users
from mess_core.storage.untrusted import printable
from mess_core.study.tables import as_whole, column_names, numbered, numbers, pieces

if TYPE_CHECKING:
    import pyarrow as pa

MOST_PAIRS = 8_000_000  # gathered before equal ones are put together: 0.4 GB
USERS, TRACKS = ("user_id", "user"), ("track_id", "song")  # as the log of Onion calls them, and that of the base


@dataclass(frozen=True)
class Dates:
    """Of a split, UTC. share : of the users who can be, that are for validation"""

    start: str
    test: str
    end: str
    share: float
    has_cold: bool


PROTOCOLS = {
    "2024": Dates("2019-02-20", "2020-02-20", "9999-01-01", 0.5, has_cold=False),
    "journal": Dates("2018-02-01", "2019-02-01", "2019-03-01", 0.3, has_cold=True),
}


@dataclass(frozen=True, eq=False)
class Music4AllSplit:
    """The training rows with what is held back; cold is None where a protocol has none."""

    validation: HeldOut
    hot: HeldOut
    cold: HeldOut | None


def split_log(path: Path, dates: Dates, seed: int = 42) -> Music4AllSplit:
    """Read a listening log, and split it.

    Raises
    ------
    InputError
        If it is none, or holds nothing to train or to test.
    """
    train, test = first_plays(path, dates)
    hot, cold = hot_and_cold(HeldOut(train, test, f"first plays from {dates.test} on are tested"))
    if not dates.has_cold:
        return Music4AllSplit(*split_users(hot, dates.share, seed), None)
    has_cold = np.isin(hot.test.user, cold.test.user)  # so few of them that none is spent on validation
    without = HeldOut(hot.train, hot.test.only(~has_cold), hot.how, hot.among)
    validation, _ = split_users(without, dates.share, seed)
    tested = hot.test.only(~np.isin(hot.test.user, validation.test.user))
    return Music4AllSplit(validation, HeldOut(hot.train, tested, hot.how, hot.among), cold)


def first_plays(path: Path, dates: Dates) -> tuple[Interactions, Interactions]:
    """The training rows, and the first plays from TEST on by users who have one; both have the same ids."""
    users: dict[str, int] = {}
    tracks: dict[str, int] = {}
    pairs = _pairs(path, dates, users, tracks)
    user, track, first, n_before, n = (pairs.column(name).to_numpy() for name in pairs.column_names)
    is_train = n_before > 0
    if not is_train.any() or is_train.all():
        raise InputError(
            f"{printable(path.name)} has {int(is_train.sum())} pairs before {dates.test} and "
            f"{int((~is_train).sum())} from then on, expected some of both.",
            "Another protocol has other dates.",
        )
    is_kept = is_train | np.isin(user, user[is_train])
    user, track, first, n_before, n, is_train = (
        each[is_kept] for each in (user, track, first, n_before, n, is_train)
    )  # fmt: skip
    user_ids, user = _in_order(tuple(users), user)
    item_ids, item = _in_order(tuple(tracks), track)

    def rows(of: np.ndarray, weight: np.ndarray) -> Interactions:
        return of_numbers(user_ids, item_ids, user[of], item[of], first[of], weight[of])

    return rows(is_train, n_before), rows(~is_train, n)


def _pairs(path: Path, dates: Dates, users: dict[str, int], tracks: dict[str, int]) -> pa.Table:
    """Of each user and track: the first play, how many there were before TEST, and how many in all."""
    import pyarrow as pa

    start_s, test_s, end_s = (_seconds(date) for date in (dates.start, dates.test, dates.end))
    user, track = _columns(path)
    gathered: list[pa.Table] = []
    n_rows = n_gathered = 0
    for piece in pieces(path, [user, track, "timestamp"]):
        at_s = numbers(piece.column("timestamp"), "timestamp", n_rows, is_time=True)
        is_in = (at_s >= start_s) & (at_s < end_s)
        n_rows += piece.num_rows
        if not is_in.any():
            continue
        kept = piece.filter(pa.array(is_in))
        gathered.append(
            pa.table(
                {
                    "user": numbered(kept.column(user), users, f"{printable(path.name)} has no user"),
                    "track": numbered(kept.column(track), tracks, f"{printable(path.name)} has no track"),
                    "first": at_s[is_in],
                    "n_before": (at_s[is_in] < test_s).astype(np.int64),
                    "n": np.ones(int(is_in.sum()), np.int64),
                }
            )
        )
        n_gathered += gathered[-1].num_rows
        if n_gathered > MOST_PAIRS:
            gathered = [_together(gathered)]
            n_gathered = 0  # what is left are pairs, of which there are far fewer than plays
    if not gathered:
        raise InputError(
            f"{printable(path.name)} has nothing from {dates.start} to {dates.end}.",
            "Another protocol has other dates.",
        )
    return _together(gathered)


def _together(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    whole = pa.concat_tables(tables)
    counted = whole.group_by(["user", "track"]).aggregate([("first", "min"), ("n_before", "sum"), ("n", "sum")])
    return counted.rename_columns(whole.column_names)


def _columns(path: Path) -> tuple[str, str]:
    """How a log calls its users and tracks."""
    names = column_names(path, "\t")
    user, track = (next((name for name in known if name in names), "") for known in (USERS, TRACKS))
    if not (user and track and "timestamp" in names):
        raise InputError(
            f"{printable(path.name)} is no listening log of Music4All: its columns are "
            f"{printable(', '.join(names))[:80]}.",
            "Expected user_id or user, track_id or song, and timestamp, with tabs between, or the same as Parquet.",
        )
    return user, track


def _seconds(date: str) -> float:
    try:
        return datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()
    except ValueError as cause:
        raise InputError(f"{printable(date)!r} is no date.", "Expected one as 2019-02-20.") from cause


def _in_order(ids: tuple[str, ...], number: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Those that occur, numbers by their value and other ids by their letters: the same however a log is ordered."""
    names, number = as_whole(ids, number)
    there = np.unique(number)
    order = sorted(there.tolist(), key=lambda place: (len(names[place]) * names[place].isdecimal(), names[place]))
    place = np.full(len(names), -1)
    place[order] = np.arange(len(order))
    return tuple(names[each] for each in order), place[number]
