"""A library: a named set of recordings, heard by one encoder. What people import: verbs only.

    library = open_library("chopin", encoder="nano")
    library.add("~/Music/Chopin")
    library.embed(progress=True)
    found = library.similar("query.wav", aspects={"brightness": 1}, k=10)

The command line and the app do the same work through the same requests, on the same data folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.opinions import ME
from mess_core.embeddings.embedder import Embedder
from mess_core.embeddings.store import EmbeddingSet
from mess_core.encoders.registry import DEFAULT
from mess_core.errors import DataMissingError, InputError, MessError
from mess_core.evaluation.blending import weigh_sources, weights_of
from mess_core.evaluation.relevance import RelevanceStudy
from mess_core.handover.citing import as_bibtex, references
from mess_core.handover.own_targets import TakenTarget, take_target
from mess_core.handover.relevance import study_relevance
from mess_core.learning.course import Source
from mess_core.learning.kept import LearnReport
from mess_core.probing.discovery import Discovery, Group
from mess_core.probing.paired import RunComparison, compare_runs
from mess_core.probing.result import Level, ProbeSettings
from mess_core.probing.runs import Run, find_run, kept_runs
from mess_core.recommend.for_you import ForYou, recommend
from mess_core.search.answers import Answer, Plan, Query, build_index, make_plan
from mess_core.search.asking import find_query
from mess_core.search.inquiry import answer_plan
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.paths import MOST_STEPS, TrackPath, check_length, find_path, question_of_path
from mess_core.search.question import Question
from mess_core.storage.jobs import Failure
from mess_core.words import counted
from mess_core.work.add import AddRequest
from mess_core.work.doing import do_now
from mess_core.work.extract import ExtractRequest
from mess_core.work.learn import LADDER, LearnRequest, report_on
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import Request
from mess_core.workspace.scope import Scope, scope_of, scope_to_listen
from mess_core.workspace.workspace import DEMO, Workspace


def open_library(name: str = DEMO, encoder: str = DEFAULT, home: str | os.PathLike[str] | None = None) -> Library:
    """A library by its name, which need not be there yet: `add` makes it.

    Parameters
    ----------
    name : str
        "all" is the union of all libraries.
    encoder : str
        The id of the encoder it is heard by.
    home : path or None
        The data folder; None is `MESS_HOME`, or the usual one.

    Raises
    ------
    InputError
        If there is no such encoder.
    """
    return Library(scope_of(Workspace(Path(home) if home is not None else None), name, encoder))


class Library:
    """A named set of recordings, heard by one encoder; `scope` is what the rest of MESS knows of it."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._index: tuple[str, NeighbourIndex] | None = None  # of the last plan: good for every query of it
        self._embedders: dict[str, Embedder] = {}  # loaded, by id

    def __repr__(self) -> str:
        return f"<Library {self.scope.library!r}, {counted(len(self), 'track')}, heard by {self.scope.info.id}>"

    def __len__(self) -> int:
        return self.scope.workspace.catalogue.n_tracks(self.scope.library)

    @property
    def tracks(self) -> list[Track]:
        """Its recordings."""
        return self.scope.tracks

    def add(self, path: str | os.PathLike[str], *, renders: bool = False, progress: bool = False) -> list[Failure]:
        """Register a file, a folder or a collection; nothing is copied.

        Parameters
        ----------
        renders : bool
            Recordings of which there is only MIDI are played.
        progress : bool
            Show a line on standard error meanwhile.

        Returns
        -------
        list of Failure
            Files that could not be used, and why.

        Raises
        ------
        InputError
            If there is nothing at the path.
        """
        return self._do(AddRequest(Path(path).expanduser().resolve(), self.scope.library, renders=renders), progress)

    def embed(self, *, progress: bool = False) -> list[Failure]:
        """Embed what is not embedded yet; what was done stays if it is interrupted. Returns what could not be done."""
        return self._do(ExtractRequest(self.scope.library, self.scope.info.id), progress)

    def embeddings(self) -> EmbeddingSet:
        """`vectors` (n_tracks, n_layers, dim) of its embedded recordings, `track_ids` beside them."""
        return self.scope.embeddings()

    def add_target(
        self,
        name: str,
        values: Any,
        *,
        signal: str = "audio",
        kind: str = "",
        title: str = "",
        unit: str = "",
        summary: str = "",
    ) -> TakenTarget:
        """Bring a target of one's own: `discover(settings=ProbeSettings(columns=(name,)))` probes it.

        Parameters
        ----------
        name : str
            What it is called; one of that name is replaced.
        values : mapping or pandas Series of track id to value; or callable
            Numbers are told by ridge regression, text by logistic regression as classes. A callable is called once for
            each recording, with its sound, its MIDI or its `Track`, and gives a number, a class or None.
        signal : "audio", "midi" or "track"
            What a callable is given.
        kind : "numbers", "classes" or ""
            By default numbers, if every value is one.

        Returns
        -------
        TakenTarget
            `target` as it is kept, `refused` what gives no value and why.

        Raises
        ------
        InputError
            If no recording has a value.
        """
        return take_target(
            self.scope.workspace, name, values, library=self.scope.library, signal=signal, kind=kind, title=title,
            unit=unit, summary=summary,
        )  # fmt: skip

    def discover(
        self,
        group: Group = "work",
        level: Level = "track",
        settings: ProbeSettings | None = None,
        *,
        progress: bool = False,
    ) -> Discovery:
        """Which layer tells which property, with intervals and baselines; it is kept, and searches go by it.

        Parameters
        ----------
        group : str
            What is never on both sides of a split: "work", "performer", … or a column of the user's own table.
        level : "track" or "segment"

        Raises
        ------
        DataMissingError
            If nothing is embedded yet.
        """
        settings = settings or ProbeSettings()
        self._do(ProbeRequest(self.scope.library, self.scope.info.id, group, level, settings), progress)
        found = self.scope.discovery(group, level, settings)
        if found is None:
            raise DataMissingError(f"Nothing was found in {self.scope.library!r}.", "Probe again.")
        return found

    def runs(self) -> list[Run]:
        """Every kept run of discovery of this library, by any encoder and with any settings.

        Each has `run_id`, `discovery`, `to_frame()`, `to_latex()` and `heatmap(path)`. One that cannot be read is left
        out; `mess runs` and `check` name it.
        """
        return kept_runs(self.scope.workspace.paths, self.scope.library)[0]

    def run(self, run_id: str) -> Run:
        """The run of an id, or of its first digits.

        Raises
        ------
        InputError
            If there is none.
        """
        return find_run(self.scope.workspace.paths, run_id)

    def cite(self, run: str = "") -> str:
        """What to cite, as BibTeX: its encoder and data sets, MESS, and for a run of discovery its methods."""
        discovery = self.run(run).discovery if run else None
        return as_bibtex(references(self.scope, discovery))

    def evaluate_relevance(self, table: str | os.PathLike[str], k: int = 10) -> RelevanceStudy:
        """Which way of comparing finds what a table says is relevant (`mess_core/handover/relevance.py`).

        Raises
        ------
        InputError
            If it is no such table.
        DataMissingError
            If none of its recordings is embedded here.
        """
        return study_relevance(self.scope, Path(table).expanduser(), k)

    def compare(self, first: str, second: str) -> RunComparison:
        """What one run tells better than another, over the same recordings and folds.

        Raises
        ------
        InputError
            If there is no such run, or they are not of the same recordings, groups and folds.
        """
        return compare_runs(self.run(first).discovery, self.run(second).discovery)

    def similar(
        self,
        query: str | os.PathLike[str] | None = None,
        aspects: Mapping[str, float] | None = None,
        avoid: Sequence[str] = (),
        k: int = 10,
        *,
        passage: tuple[float, float] | None = None,
        words: str = "",
        run: str = "",
        **question: Any,
    ) -> Answer:
        """The nearest recordings to a query; or to several, the furthest, or all in order along an aspect.

        Parameters
        ----------
        query : path or track id, or None
            A file is embedded if it is not known, and not kept. None asks by words alone, or along an aspect.
        aspects : mapping of aspect to weight
            What matters, and how much; without any, everything.
        avoid : sequence of aspects
            What must not count.
        k : int
        passage : (start, end), seconds
            Look for these seconds of the query inside other recordings.
        words : str
            What it is to be heard as, too: "solo violin, slow, not piano".
        run : str
            The id of a run of discovery: aspects are what that one found.
        **question
            Whatever else `mess_core.search.question.Question` knows: `like` and `unlike` (track ids), `reverse` (the
            furthest first), `along` (an aspect), `diversity`, `max_per_work`, `composers`, …

        Returns
        -------
        Answer
            `found`, the nearest first, each with `track`, `neighbour.similarity` and `moment`; `found.plan.notices`
            says what the asker should know.

        Raises
        ------
        InputError
            If the question cannot be meant.
        DataMissingError
            If nothing is embedded yet.
        """
        if query is None and not words and not question.get("along"):
            raise InputError("Nothing is asked for.", "Give a query, or words, or an aspect to put all in order along.")
        texts = (words,) if words else ()
        asked = Question(aspects=dict(aspects or {}), avoid=tuple(avoid), k=k, words=texts, **question)
        discovery = self.scope.discovery_by_run(run) if run else self.scope.discovery_for_search()
        plan = make_plan(self.scope, asked, discovery, is_of_passage=passage is not None)
        find = (
            None if query is None else lambda plan: self._query(plan.scope, query, measures=plan.measured is not None)
        )
        return answer_plan(plan, find, passage, index_of=self._index_of)

    def path(
        self,
        beginning: str | os.PathLike[str],
        end: str | os.PathLike[str],
        n: int = 8,
        *,
        via: Sequence[str | os.PathLike[str]] = (),
        aspects: Mapping[str, float] | None = None,
        avoid: Sequence[str] = (),
        **question: Any,
    ) -> TrackPath:
        """A path from one recording to another, each step a small one, none twice, none back.

        Parameters
        ----------
        beginning, end : path or track id
        n : int
            Recordings of the path, both of them among it.
        via : sequence of path or track id
            By way of these, in this order.
        aspects, avoid, **question
            As of `similar`: in what steps are small, and which recordings may be on the path.

        Returns
        -------
        TrackPath
            `steps`, each with its `track` and how near it is to the one before; `largest` is the largest of them.

        Raises
        ------
        InputError
            If there is no such path.
        DataMissingError
            If nothing is embedded yet.
        """
        asked = question_of_path(Question(aspects=dict(aspects or {}), avoid=tuple(avoid), **question))
        plan = make_plan(self.scope, asked, self.scope.discovery_for_search())
        index, named = self._index_of(plan), [beginning, *via, end]
        check_length(n, len(named), MOST_STEPS)
        return find_path(
            index, plan, [self._query(plan.scope, each, measures=plan.measured is not None) for each in named], n
        )

    def recommend(
        self, listener: str = ME, k: int = 20, *, section: str = "quick-picks", surprise: float = 0.5, seed: int = 0
    ) -> ForYou:
        """What a listener may want to hear next, and why.

        Parameters
        ----------
        listener : str
            Whose listening it goes by, as the app keeps it or `events import` took it in.
        k : int
            Rows at most.
        section : str
            Which kind of list, one of `mess_core.recommend.sections.SECTIONS`.
        surprise : float
            0 familiar, 1 surprising.
        seed : int
            Of the few rows that are tries.

        Raises
        ------
        MessError
            If there is no such section, or hardly anything was embedded.
        """
        is_usual = self.scope.info.id == DEFAULT
        scope = scope_to_listen(self.scope.workspace, self.scope.library) if is_usual else self.scope
        return recommend(
            scope, listener, section, k=k, surprise=surprise, seed=seed,
            weights=weights_of(weigh_sources(scope, time.time())), index_of=self._index_of,
        )  # fmt: skip

    def _index_of(self, plan: Plan) -> NeighbourIndex:
        if self._index is None or self._index[0] != plan.index_key:
            self._index = plan.index_key, build_index(plan)
        return self._index[1]

    def learn(
        self,
        source: Source,
        student: str = LADDER,
        *,
        n_seeds: int = 5,
        activate: bool = False,
        progress: bool = False,
    ) -> LearnReport:
        """Teach a similarity, test it on works it has not heard, and say whether it helps.

        Parameters
        ----------
        source : "expression", "works", "performers", "ratings" or "judgements"
            What teaches.
        student : str
            One of them ("layers", "linear", …); "all", or by default as far as each is surely better than those before.
        activate : bool
            `similar(…, geometry="learned")` then finds by the chosen one, if any is.

        Raises
        ------
        MessError
            If there is too little to learn from: a sentence says what.
        """
        self._do(LearnRequest(self.scope.library, self.scope.info.id, source, student, n_seeds, activate), progress)
        self._index = None
        report = report_on(self.scope, source)
        if report is None:
            raise DataMissingError(f"Nothing was learned in {self.scope.library!r}.", "Learn again.")
        return report

    def _embedder(self, encoder_id: str) -> Embedder:
        if encoder_id not in self._embedders:
            self._embedders[encoder_id] = Embedder(encoder_id, home=self.scope.workspace.paths.root)
        return self._embedders[encoder_id]

    def _query(self, scope: Scope, query: str | os.PathLike[str], *, measures: bool = False) -> Query:
        return find_query(scope, os.fspath(query), self._embedder, measures=measures)

    def _do(self, request: Request, progress: bool) -> list[Failure]:
        job = do_now(self.scope.workspace, request, progress=progress)
        if job.state != "done":
            raise MessError(job.message or f"It was {job.state}.", job.hint)
        return self.scope.workspace.jobs.failures(job.job_id)
