"""Formats: the forms in which interactions are published, by name. Each is a reader, and what may be said to it.

    read_as("cm100k", path, known=False) -> Reading: interactions, or a split where the format brings its own

    sequences         a line for each user: the user, then the items in order
    table             CSV or Parquet with a row for each interaction; the columns are named
    music4all         a listening log, split by date as in the study: validation, hot and cold
    music4all-split   one file of that split as its authors publish it: rows to test, and nothing to train on
    hetrec-lastfm, ml-1m, cm100k, yambda
                      as their authors give them (`published`)

A new format is a line here. What a format cannot know is left to whoever asks: how to hold back, which encoder.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mess_core.errors import InputError
from mess_core.recommend.columns import HeldOut, Interactions, read_sequences
from mess_core.storage.untrusted import printable
from mess_core.study.music4all import PROTOCOLS, split_log
from mess_core.study.published import (
    YAMBDA_HEARD,
    read_cm100k,
    read_hetrec,
    read_movielens,
    read_yambda,
    split_yambda,
)
from mess_core.study.tables import read_rows

VALIDATION, TEST, HOT, COLD = "validation", "test", "hot", "cold"


@dataclass(frozen=True, eq=False)
class Reading:
    """What a file holds.

    rows : what can be trained on; of a format with its own split, the training rows
    splits : by what they are for (`VALIDATION`, `TEST`, `HOT`, `COLD`); empty: hold back as you like
    trains : whether there is anything to train on; if not, only given rankings can be held against the rows
    """

    rows: Interactions
    splits: Mapping[str, HeldOut] = field(default_factory=dict)
    trains: bool = True


@dataclass(frozen=True)
class Format:
    """A reader. read : callable (path, **options) -> Reading; its keywords are the options, with kinds and defaults"""

    name: str
    summary: str
    read: Callable[..., Reading]

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """What may be said to it, by name."""
        _, *options = inspect.signature(self.read, eval_str=True).parameters.values()
        return {each.name: each for each in options}


def read_as(name: str, path: Path, **options: Any) -> Reading:
    """Read a file of a format.

    Raises
    ------
    InputError
        If there is no such format or option, or the file is none of it.

    Examples
    --------
    >>> read_as("csv", Path("a.csv"))
    Traceback (most recent call last):
    ...
    mess_core.errors.InputError: There is no format 'csv'. Choose one of: sequences, table, music4all, \
music4all-split, hetrec-lastfm, ml-1m, cm100k, yambda.
    """
    if name not in FORMATS:
        raise InputError(f"There is no format {printable(name)!r}.", f"Choose one of: {', '.join(FORMATS)}.")
    known = FORMATS[name].options
    for option, value in options.items():
        if option not in known:
            expected = f"It takes: {', '.join(known)}." if known else "It takes none."
            raise InputError(f"The format {name} takes no option {printable(option)!r}.", expected)
        if not isinstance(value, kind := known[option].annotation):
            expected = getattr(kind, "__name__", str(kind))
            raise InputError(f"{option} is {printable(repr(value))}, expected {expected}.")
    needed = [each.name for each in known.values() if each.default is inspect.Parameter.empty]
    if missing := [option for option in needed if option not in options]:
        raise InputError(f"The format {name} needs {' and '.join(missing)}.", "Say which column holds it.")
    return FORMATS[name].read(path, **options)


# --- one reader each ------------------------------------------------------------------------------------------


def _sequences(path: Path) -> Reading:
    return Reading(read_sequences(path))


def _table(
    path: Path, user: str, item: str, at: str = "", weight: str = "", names: list | tuple = (), separator: str = ""
) -> Reading:
    return Reading(read_rows(path, user, item, at, weight, names=names, separator=separator))


def _music4all(path: Path, protocol: str = "journal", seed: int = 42) -> Reading:
    if protocol not in PROTOCOLS:
        raise InputError(f"There is no protocol {printable(protocol)!r}.", f"Choose one of: {', '.join(PROTOCOLS)}.")
    split = split_log(path, PROTOCOLS[protocol], seed)
    cold = {} if split.cold is None else {COLD: split.cold}
    return Reading(split.hot.train, {VALIDATION: split.validation, HOT: split.hot, **cold})


def _music4all_split(path: Path) -> Reading:
    return Reading(read_rows(path, "user_id", "track_id", "timestamp", "count"), trains=False)


def _hetrec(path: Path) -> Reading:
    return Reading(read_hetrec(path))


def _movielens(path: Path) -> Reading:
    return Reading(read_movielens(path))


def _cm100k(path: Path, known: bool | None = None) -> Reading:
    return Reading(read_cm100k(path, known))


def _yambda(path: Path, organic: bool | None = None, heard: float | int = YAMBDA_HEARD) -> Reading:
    rows = read_yambda(path, organic, heard)
    test = split_yambda(rows)
    return Reading(test.train, {VALIDATION: split_yambda(rows, validation=True), TEST: test})


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format("sequences", "A line for each user: the user, then the items in order.", _sequences),
        Format("table", "CSV or Parquet with a row for each interaction.", _table),
        Format("music4all", "The listening log of Music4All or its Onion, split by date.", _music4all),
        Format("music4all-split", "One file of the split of Music4All that is published.", _music4all_split),
        Format("hetrec-lastfm", "Plays of artists, user_artists.dat of HetRec 2011.", _hetrec),
        Format("ml-1m", "MovieLens-1M: ratings.dat, or ml-1m.txt in order.", _movielens),
        Format("cm100k", "Ratings of tracks that were drawn at random.", _cm100k),
        Format("yambda", "Yambda in its flat form: plays or likes.", _yambda),
    )
}
