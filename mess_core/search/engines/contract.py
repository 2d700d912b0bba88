"""The contract: what search asks of whatever keeps rows and finds those with the largest inner product with a query.

    put(ids, blocks, metadata)                 rows by id, each of several blocks of columns, with words to filter by
    delete(ids)
    search(blocks, weights, k, wanted)         the k nearest, with the product of each block, and their weighted sum

Weights live in the query: block b of a query times its weight is one vector, and the inner product of that with a row
is the sum over blocks of weight times product. So whatever finds inner products exactly gives the exact answer for any
weights, and changing them rebuilds nothing.

What an engine finds is looked at again here. Engines add in single precision, each in an order of its own, and one may
look at a part of the rows only. So a few more than k are asked for, their products are computed in double precision,
and if the last of them might still be as near as the k-th, more are asked for. Equal ones come in order of id.

Ids, words and their names may come from anywhere. An engine never makes them part of a command: they are its
parameters, or values that its own library writes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from mess_core.errors import InputError

SPARE = 8  # rows asked for beyond k
GROWTH = 4  # how many times more, where these do not settle who is among the k nearest
ROUNDING = 2e-6  # of inner products in single precision, relative to the lengths of query and row
BYTES_AT_ONCE = 64 * 2**20  # of rows in one `put`: what a process that is killed has to put again
MOST_NAME = 200  # characters of a word to filter by that are kept
ROWS_COMPARED = 4096  # at a time

Metadata = Mapping[str, str]  # of one row: words by name
Wanted = Mapping[str, Collection[str]]  # what a row must say, one of these by each name; empty for any row

_KEY = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, eq=False)
class FoundRows:
    """The nearest rows, the nearest first.

    parts : (n, n_blocks) float64, products of each block, without its weight
    totals : (n,) float64
    """

    ids: tuple[str, ...]
    parts: np.ndarray
    totals: np.ndarray


class Engine(ABC):
    """The rows of one collection: one library, by one encoder, in one geometry.

    name : as it is asked for
    title : as a person reads it
    lasts : whether what was put is there after the process has ended

    Parameters
    ----------
    key : str
        The collection's, of 8 to 64 hexadecimal digits. Rows of other content have another key.
    widths : sequence of int
        How many columns each block has.
    names : sequence of str
        By what rows can be filtered.

    Raises
    ------
    EngineError
        By any method: if the engine does not answer, or holds something else under this key.
    DependencyMissingError
        If its package is not installed.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    lasts: ClassVar[bool]

    def __init__(self, key: str, widths: Sequence[int], names: Sequence[str] = ()) -> None:
        if not _KEY.fullmatch(key):
            raise InputError(f"{key[:80]!r} is no key of a collection, expected 8 to 64 hexadecimal digits.")
        if not widths or min(widths) < 1:
            raise InputError(f"A row has blocks of {list(widths)} columns, expected at least one of at least 1.")
        self.key, self.widths, self.names = key, tuple(widths), tuple(map(plain, names))
        self._lock = threading.RLock()  # sessions of the app share one engine, and a connection takes one at a time

    @cached_property
    def n_columns(self) -> int:
        return sum(self.widths)

    # --- what an engine does --------------------------------------------------------------------------------

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def stamps(self) -> dict[str, str]:
        """`stamp_of` each row that is there, by id."""

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> None:
        """Forget rows; those that are not there are none."""

    @abstractmethod
    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """Rows as they were put, (n, n_columns) float32, in this order."""

    @abstractmethod
    def nearest(self, vector: np.ndarray, k: int, wanted: Wanted) -> tuple[list[str], np.ndarray]:
        """The k rows that the engine finds, and the products (k,) that it tells, in falling order; fewer if no more."""

    @abstractmethod
    def _put(self, ids: Sequence[str], rows: np.ndarray, metadata: Sequence[dict[str, str]]) -> None:
        """Keep rows (n, n_columns) float32 in place of those of the same ids: all of them or none."""

    @abstractmethod
    def drop(self) -> None:
        """Forget the whole collection."""

    @abstractmethod
    def about(self) -> str:
        """What answers, with its version, and where: without any password."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""

    # --- what is the same for all ---------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, ids: Sequence[str], blocks: Sequence[np.ndarray], metadata: Sequence[Metadata] | None = None) -> None:
        """Keep rows, in place of those of the same ids: all of them or none.

        Parameters
        ----------
        ids : sequence of str
            Each once.
        blocks : sequence of ndarray, shape (n, width)
            One for each of the engine's blocks; finite.
        metadata : sequence of mapping, or None
            Words by name, of each row; names by which nothing is filtered are left out.

        Raises
        ------
        InputError
            If ids repeat, blocks have other shapes, or a number is none.
        """
        ids = list(map(plain, ids))
        if len(set(ids)) < len(ids):
            raise InputError("An id is put twice at once.", "Name each row once.")
        shapes = [block.shape for block in blocks]
        if shapes != [(len(ids), width) for width in self.widths]:
            raise InputError(f"Blocks have the shapes {shapes}, expected {len(ids)} rows of {list(self.widths)}.")
        if metadata is not None and len(metadata) != len(ids):
            raise InputError(f"There are words for {len(metadata)} rows of {len(ids)}.")
        if not ids:
            return
        rows = np.concatenate([np.asarray(block, np.float32) for block in blocks], axis=1)
        if not np.isfinite(rows).all():
            raise InputError("A row holds what is no finite number.", "Run `check`: an embedding may be damaged.")
        words = [{}] * len(ids) if metadata is None else [self.told(each) for each in metadata]
        with self._lock:
            self._put(ids, rows, words)

    def told(self, metadata: Metadata) -> dict[str, str]:
        """Of the words of a row, those that it can be filtered by."""
        known = {plain(name): plain(value) for name, value in metadata.items()}
        return {name: known[name] for name in self.names if name in known}

    def search(
        self, blocks: Sequence[np.ndarray], weights: Sequence[float] | np.ndarray, k: int, wanted: Wanted | None = None
    ) -> FoundRows:
        """The k rows with the largest weighted sum of products; fewer if there are no more.

        Parameters
        ----------
        blocks : sequence of ndarray, shape (width,)
            The query, block by block.
        weights : sequence of float
            One for each block.
        wanted : mapping of name to words, or None
            Only rows that say one of these by each name.

        Raises
        ------
        InputError
            If blocks or weights do not fit, or a filter goes by a name that the collection does not have.
        """
        weights = np.asarray(weights, np.float64)
        shapes = [block.shape for block in blocks]
        if shapes != [(width,) for width in self.widths] or weights.shape != (len(self.widths),):
            raise InputError(f"The query has {shapes} and {len(weights)} weights, expected {list(self.widths)}.")
        places = np.cumsum(self.widths)[:-1]
        asked = [block.astype(np.float64) for block in blocks]

        def score(ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
            """The products of each block (n, n_blocks), and how long each row is (n,)."""
            parts = [np.zeros((0, len(asked)))]
            lengths = [np.zeros(0)]
            for start in range(0, len(ids), ROWS_COMPARED):
                rows = self.rows(ids[start : start + ROWS_COMPARED]).astype(np.float64)
                own = np.split(rows, places, axis=1)
                parts.append(np.stack([np.vecdot(x, q) for x, q in zip(own, asked, strict=True)], axis=1))
                lengths.append(np.sqrt(np.vecdot(rows, rows)))
            return np.concatenate(parts), np.concatenate(lengths)

        vector = np.concatenate([weight * block for weight, block in zip(weights, asked, strict=True)])
        ids, parts = self.nearest_exactly(vector.astype(np.float32), k, score, weights, wanted)
        return FoundRows(tuple(ids), parts, parts @ weights)

    def nearest_exactly(
        self,
        vector: np.ndarray,
        k: int,
        score: Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]],
        weights: np.ndarray,
        wanted: Wanted | None = None,
    ) -> tuple[list[str], np.ndarray]:
        """The k nearest rows and their parts, whatever the engine adds up in which order.

        Parameters
        ----------
        vector : ndarray, shape (n_columns,), float32
        score : callable (ids) -> ndarray (n, n_parts), ndarray (n,)
            Exact products of some rows in each part, and the lengths of the rows.
        weights : ndarray, shape (n_parts,)
        """
        wanted = {plain(name): sorted(map(plain, words)) for name, words in (wanted or {}).items()}
        unknown = [name for name in wanted if name not in self.names]
        if unknown:
            raise InputError(f"Rows cannot be filtered by {unknown[0]!r} here.", f"Known: {', '.join(self.names)}.")
        if k < 1:
            raise InputError(f"k is {k}, expected at least 1.")
        size, n_asked = float(np.linalg.norm(vector.astype(np.float64))), k + SPARE
        while True:
            with self._lock:
                ids, told = self.nearest(vector, n_asked, wanted)
                parts, lengths = score(ids)
            totals = parts @ weights
            order = sorted(range(len(ids)), key=lambda n: (-totals[n], ids[n]))[:k]
            if len(ids) < n_asked:
                break
            slack = ROUNDING * size * float(lengths.max(initial=0.0))
            if float(told.min()) < totals[order[-1]] - slack or not math.isfinite(slack):
                break
            n_asked *= GROWTH
        return [ids[n] for n in order], parts[order]


def fill(
    engine: Engine,
    ids: Sequence[str],
    rows: Callable[[Sequence[int]], np.ndarray],
    metadata: Sequence[Metadata] | None = None,
) -> int:
    """Make a collection hold these rows and no others; how many had to be put.

    What is there already, as after a process was killed, is not put again, but where its words are others.

    Parameters
    ----------
    rows : callable (places among ids) -> ndarray, shape (n, n_columns)
    """
    ids = list(map(plain, ids))
    words: Sequence[Metadata] = metadata or [{}] * len(ids)
    there = engine.stamps()
    missing = [n for n, row_id in enumerate(ids) if there.get(row_id) != stamp_of(engine.told(words[n]))]
    if gone := sorted(there.keys() - set(ids)):
        engine.delete(gone)
    places = np.cumsum(engine.widths)[:-1]
    at_once = max(1, BYTES_AT_ONCE // (4 * engine.n_columns))
    for start in range(0, len(missing), at_once):
        part = missing[start : start + at_once]
        blocks = np.split(np.asarray(rows(part)), places, axis=1)
        engine.put([ids[n] for n in part], blocks, [words[n] for n in part])
    return len(missing)


def stamp_of(words: Metadata) -> str:
    """What tells a row whose words are others."""
    return hashlib.sha256(json.dumps(sorted(words.items())).encode()).hexdigest()[:16]


def plain(text: str) -> str:
    r"""Text that any engine takes: without NUL, without halves of characters, not too long.

    Examples
    --------
    >>> plain("Dvo\u0159\u00e1k\0"), plain("caf\udce9"), len(plain("x" * 999))
    ('Dvořák', 'caf?', 200)
    """
    if len(text) > MOST_NAME:
        text = text[:MOST_NAME]
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
