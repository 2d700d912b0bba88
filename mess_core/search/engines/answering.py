"""Rows that an engine is asked for, with those of this process beside them: for exact scores, and where it is silent.

The rows of a library lie here as ever (`rows.py`), since percentiles, hubs and strangers are told from all of them. Who
is nearest says the engine, and each that it names is scored from the rows here. So an answer is the same whichever
engine gave it, and where one does not answer, FAISS does: nothing is lost but a sentence.

The collection is opened, and filled where rows are missing, when it is first asked.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from mess_core.errors import EngineError, MessError
from mess_core.search.engines.contract import Engine, Metadata, Wanted, fill, plain
from mess_core.search.rows import FarItems, RowIndex

FEW_ROWS = 1000
RETRY_S = 30.0  # after which an engine that did not answer is asked again
GOES_ON = "FAISS answers in its place."


class EngineRows(RowIndex):
    """Rows that an engine is asked for.

    failure : why it did not answer the last time; None if it did
    n_put : rows that were put when it was opened; None while it was not

    Parameters
    ----------
    ids : sequence of str
        Of the rows, in their order.
    n_columns, block
        As of `RowIndex`.
    open_engine : callable () -> Engine
        The collection of exactly these rows, be it filled or not.
    metadata : sequence of mapping
        Words of each row, by which `wanted` goes.
    far : FarItems or None
        Where rows are not held, as of `RowIndex`.
    """

    can_filter: ClassVar[bool] = True

    def __init__(
        self,
        ids: Sequence[str],
        n_columns: int,
        block: Callable[[int, int], np.ndarray],
        open_engine: Callable[[], Engine],
        metadata: Sequence[Metadata] | None = None,
        far: FarItems | None = None,
    ) -> None:
        super().__init__(len(ids), n_columns, block, "flat" if far is None else "codes", far)
        self._ids, self._metadata, self._open_engine = [plain(row_id) for row_id in ids], metadata, open_engine
        self._row_of = {row_id: row for row, row_id in enumerate(self._ids)}
        self._engine: Engine | None = None
        self._opening, self._not_before = threading.Lock(), 0.0
        self.failure: MessError | None = None
        self.n_put: int | None = None

    @property
    def title(self) -> str:
        return super().title if self._engine is None else self._engine.title

    def search(
        self, queries: np.ndarray, k: int, share: float = 1.0, wanted: Wanted | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As of `RowIndex`; of one query, by the engine. Fewer than k where fewer rows are wanted."""
        is_asked = len(queries) == 1 and 0 < k < max(self.n_rows, FEW_ROWS)  # of many, all are at hand
        if is_asked and (found := self._asked(queries[0], min(k, self.n_rows), wanted)) is not None:
            return found
        return super().search(queries, k, share)

    @property
    def problem(self) -> str:
        """Why it did not answer, in a sentence; empty if it did."""
        error = self.failure
        return "" if error is None else f"{error.message.rstrip('.')}. {GOES_ON} {error.hint}".strip()

    def open(self) -> None:
        """Open and fill the collection, where it is not open; what goes wrong is remembered."""
        if self._engine is None and time.monotonic() >= self._not_before:
            try:
                self._opened()
            except MessError as error:
                self._fell_silent(error)

    def ask(self) -> None:
        """Open and fill the collection now.

        Raises
        ------
        MessError
            If the engine does not answer.
        """
        self._opened()

    def close(self) -> None:
        """Let go of the engine."""
        with self._opening:
            if self._engine is not None:
                self._engine.close()
            self._engine = None

    def about(self) -> str:
        """What answers, with its version."""
        return self._opened().about()

    def _asked(self, query: np.ndarray, k: int, wanted: Wanted | None) -> tuple[np.ndarray, np.ndarray] | None:
        """Products (1, n) and rows (1, n), or None where the engine does not answer."""
        if time.monotonic() < self._not_before:
            return None
        exact = query.astype(np.float64)

        def score(ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
            rows = self.rows(self._places(ids)).astype(np.float64)
            return np.vecdot(rows, exact)[:, None], np.sqrt(np.vecdot(rows, rows))

        try:
            ids, products = self._opened().nearest_exactly(query, k, score, np.ones(1), wanted)
            if len(ids) < k and not wanted:
                raise EngineError("Rows of this library are gone from it.", "Ask again: they are put again then.")
        except MessError as error:
            self._fell_silent(error)
            return None
        self.failure = None
        return products.T, self._places(ids)[None]

    def _fell_silent(self, error: MessError) -> None:
        self.failure = error
        self._not_before = time.monotonic() + RETRY_S
        self.close()

    def _places(self, ids: Sequence[str]) -> np.ndarray:
        try:
            return np.array([self._row_of[row_id] for row_id in ids], int)
        except KeyError as error:
            raise EngineError(
                "Rows of another library are among those of this one.", "Ask again: they are taken out then."
            ) from error

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is None:
                engine = self._open_engine()
                try:
                    self.n_put = fill(engine, self._ids, lambda places: self.rows(np.asarray(places)), self._metadata)
                except BaseException:
                    engine.close()
                    raise
                weakref.finalize(self, engine.close)  # a page forgets an index without a word
                self._engine = engine
            return self._engine
