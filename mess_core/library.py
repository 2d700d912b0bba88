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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.frames import TrackList, metadata_of
from mess_core.catalogue.opinions import ME
from mess_core.embeddings.arrays import EmbeddingTable, Grain, gather_arrays, raw_frames
from mess_core.embeddings.embedder import Embedder
from mess_core.embeddings.hidden_states import RawFrames
from mess_core.encoders.registry import DEFAULT
from mess_core.errors import DataMissingError, InputError, MessError
from mess_core.evaluation.blending import weigh_sources, weights_of
from mess_core.evaluation.relevance import RelevanceStudy
from mess_core.handover.citing import as_bibtex, references
from mess_core.handover.datasets import TakenDataset, annotate, take_hugging_face, take_mirdata
from mess_core.handover.own_targets import TakenTarget, take_target
from mess_core.handover.relevance import study_relevance
from mess_core.handover.vectors import ImportedVectors, take_vectors
from mess_core.learning.course import Source
from mess_core.learning.kept import LearnReport
from mess_core.probing.discovery import Discovery, Group
from mess_core.probing.paired import RunComparison, compare_runs
from mess_core.probing.result import Level, ProbeSettings, check_settings
from mess_core.probing.runs import Run, find_run, kept_runs
from mess_core.recommend.for_you import ForYou, recommend
from mess_core.search.answers import Answer, Plan, Query, answer, build_index, make_plan
from mess_core.search.asking import find_query, find_track
from mess_core.search.inquiry import answer_plan, check_narrowed
from mess_core.search.matching import seconds_of
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.paths import MOST_STEPS, TrackPath, check_length, find_path, question_of_path
from mess_core.search.question import question_of
from mess_core.storage.dataframe import frame_of
from mess_core.storage.jobs import Failure
from mess_core.storage.paths import path_named
from mess_core.words import counted
from mess_core.work.add import AddRequest
from mess_core.work.doing import do_now
from mess_core.work.extract import ExtractRequest
from mess_core.work.learn import LADDER, LearnRequest, report_on
from mess_core.work.probe import ProbeRequest, check_probed
from mess_core.work.request import Request
from mess_core.workspace.scope import Scope, scope_of, scope_to_listen
from mess_core.workspace.workspace import DEMO, Workspace

if TYPE_CHECKING:
    import pandas


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
    if not isinstance(name, str):
        kind = type(name).__name__
        raise InputError(f"A library is a {kind}, expected its name.", "A folder is taken in by library.add(folder).")
    return Library(scope_of(Workspace(path_named(home) if home is not None else None), name, encoder))


class AnswerList(list[Answer]):
    """Answers to many queries, in order; `to_frame` is the table of all of them."""

    def to_frame(self) -> pandas.DataFrame:
        """One row for each answer of each query, as `Answer.to_frame`."""
        import pandas

        frames = [each.to_frame() for each in self if each.found]
        return pandas.concat(frames, ignore_index=True) if frames else frame_of([], ["query", "rank", "track_id"])


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
    def tracks(self) -> TrackList:
        """Its recordings, a list; `tracks.to_frame()` is the table of all that is known of them.

        Raises
        ------
        UnknownTrackError
            If nothing of that name was ever added to.
        """
        self.scope.require_library()
        return TrackList(self.scope.tracks, self.scope.workspace.catalogue)

    def add(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Mapping[str, str] | None = None,
        renders: bool = False,
        progress: bool = False,
    ) -> list[Failure]:
        """Register a file, a folder, a collection or a table of recordings; nothing is copied.

        Parameters
        ----------
        columns : mapping of column to what it holds
            Of a table of your own, where columns are called otherwise: {"file": "audio", "piece": "work"}. All others
            are kept as they are.
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
        place = path_named(path).expanduser().resolve()
        meant = tuple((columns or {}).items())
        return self._do(AddRequest(place, self.scope.library, renders=renders, columns=meant), progress)

    def embed(
        self,
        *,
        device: str | None = None,
        batch_size: int | None = None,
        n_threads: int | None = None,
        keep_raw: bool = False,
        progress: bool = False,
    ) -> list[Failure]:
        """Embed what is not embedded yet; what was done stays if it is interrupted. Returns what could not be done.

        Parameters
        ----------
        device : "cpu", "cuda", "cuda:1", "mps" or None
            None is the fastest there is.
        batch_size : int or None
            Segments at a time; None is what suits the device. Another number may round otherwise in the last digits.
        n_threads : int or None
            Of the processor; None is all of it, or OMP_NUM_THREADS.
        keep_raw : bool
            Also keep every frame, for `embeddings(level="frame")` and `frames`; what was embedded without is again.
        progress : bool
            Show a line on standard error meanwhile.

        Raises
        ------
        InputError
            If there is no such device here, or its driver is missing.
        """
        self.scope.require_library()
        for name, value in (("batch_size", batch_size), ("n_threads", n_threads)):
            if value == 0:
                raise InputError(f"{name} is 0, expected 1 or more.", "None is what suits this machine.")
        request = ExtractRequest(
            self.scope.library, self.scope.info.id,
            device=device or "", batch_size=batch_size or 0, n_threads=n_threads or 0, keep_raw=keep_raw,
        )  # fmt: skip
        return self._do(request, progress)

    def add_dataset(
        self,
        dataset: Any,
        *,
        audio: str = "",
        folder: str | os.PathLike[str] | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> TakenDataset:
        """Register a data set of mirdata, or of Hugging Face (one split with an audio column).

        Parameters
        ----------
        dataset : mirdata.core.Dataset or datasets.Dataset
        audio : str
            The attribute with the path, or the audio column, where that is not plain.
        folder : path or None
            Of Hugging Face: where audio goes that the data set holds as bytes.
        columns : mapping of our name to theirs
            `{"work": "piece_id"}`; what else they say can be probed and grouped by.

        Returns
        -------
        TakenDataset
            `refused` is what was left out, and why.

        Raises
        ------
        InputError
            If it is neither, or no recording of it can be used.
        """
        workspace, library = self.scope.workspace, self.scope.library
        if callable(getattr(dataset, "load_tracks", None)):
            return take_mirdata(workspace, dataset, library, audio=audio or "audio_path", columns=columns)
        where = None if folder is None else Path(folder).expanduser().resolve()
        return take_hugging_face(workspace, dataset, library, column=audio, folder=where, columns=columns)

    def annotate(self, *files: str | os.PathLike[str]) -> tuple[tuple[str, str], ...]:
        """Take in JAMS files, or layers of Sonic Visualiser (`piece.<layer>.csv`), as columns that can be probed.

        Returns
        -------
        tuple of (file, why)
            What was left out.

        Raises
        ------
        InputError
            If none can be used.
        """
        return annotate(self.scope.workspace, self.scope.library, [Path(file) for file in files])[1]

    def take_vectors(
        self,
        name: str,
        vectors: np.ndarray,
        ids: Sequence[str],
        *,
        starts_s: np.ndarray | None = None,
        segment_s: float | None = None,
    ) -> ImportedVectors:
        """Take in vectors of another program as the encoder `imported:<name>`.

        Parameters
        ----------
        vectors : ndarray, shape (n, dim) or (n, n_layers, dim)
        ids : sequence of str
            What each row is of: a track id, a title, or a file name.
        starts_s : ndarray, shape (n,), seconds, or None
            When each row begins in its track: a row is a segment then, and a track has several.
        segment_s : float or None
            How long a row is; None: as long as it is from one to the next.

        Returns
        -------
        ImportedVectors
            `info` is the encoder, for `open_library(…, encoder=info.id)`; `refused` the rows left out, and why.

        Raises
        ------
        InputError
            If they do not fit each other, no row can be used, or the name stands for other vectors.
        """
        return take_vectors(
            self.scope.workspace, name, vectors, ids, self.scope.library, starts_s=starts_s, segment_s=segment_s
        )

    def embeddings(
        self, encoder: str | None = None, level: Grain = "track", layers: int | Sequence[int] | None = None
    ) -> EmbeddingTable:
        """The embeddings of its recordings as an array, `vectors`, with `track_ids` and metadata beside it.

        Parameters
        ----------
        encoder : str or None
            By another encoder than it is heard by.
        level : "track", "segment" or "frame"
            One row a track; a segment, with `starts_s` and `ends_s`; or a frame, where `extract --keep-raw` kept them.
        layers : int, sequence of int or None
            None is all.

        Returns
        -------
        EmbeddingTable
            `vectors` (n_rows, n_layers, dim); `to_frame()` has a row for each, with all that is known of its track.

        Raises
        ------
        InputError
            If there is no such encoder, level or layer.
        DataMissingError
            If frames are asked for and none were kept.
        """
        scope = self._scope_by(encoder)
        catalogue = scope.workspace.catalogue
        scope.require_library()
        table = gather_arrays(scope.workspace.store, catalogue.track_ids(scope.library), scope.info, level, layers)
        known = metadata_of(catalogue, catalogue.tracks_of(sorted(set(table.track_ids))).values())
        return replace(table, metadata={row["track_id"]: row for row in known})

    def frames(self, track_id: str, encoder: str | None = None) -> RawFrames:
        """The frames of one recording that `extract --keep-raw` kept, memory-mapped: `layer(5)`, `times_s`.

        Raises
        ------
        DataMissingError
            If they were not kept.
        """
        scope = self._scope_by(encoder)
        return raw_frames(scope.workspace.store, scope.workspace.catalogue.track(track_id).track_id, scope.info)

    def _scope_by(self, encoder: str | None) -> Scope:
        return self.scope if encoder is None else scope_of(self.scope.workspace, self.scope.library, encoder)

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
        self.scope.require_library()
        check_settings(settings)
        check_probed(self.scope, group, level, settings.columns)
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
        self.scope.require_library()
        return kept_runs(self.scope.workspace.paths, self.scope.library)[0]

    def run(self, run_id: str | Run) -> Run:
        """The run of an id, or of its first digits.

        Raises
        ------
        InputError
            If there is none.
        """
        if isinstance(run_id, Run):
            return run_id
        if not isinstance(run_id, str):
            raise InputError(f"A run is {run_id!r}, expected its id.", "library.runs() lists them.")
        return find_run(self.scope.workspace.paths, run_id)

    def cite(self, run: str = "") -> str:
        """What to cite, as BibTeX: its encoder and data sets, MESS, and for a run of discovery its methods."""
        discovery = self.run(run).discovery if run else None
        return as_bibtex(references(self.scope, discovery))

    def evaluate_relevance(self, table: str | os.PathLike[str] | pandas.DataFrame, k: int = 10) -> RelevanceStudy:
        """Which way of comparing finds what a table says is relevant.

        Parameters
        ----------
        table : path or pandas.DataFrame
            Columns `query, track` (and `gain`); or `track_id, group`; or `anchor, positive, negative`. A recording is
            named by its id, its file or its title.
        k : int
            How many of the nearest Recall and nDCG look at.

        Raises
        ------
        InputError
            If it is no such table.
        DataMissingError
            If none of its recordings is embedded here.
        """
        if type(k) is not int or k < 1:
            raise InputError(f"k is {k!r}, expected a whole number from 1 on.")
        if not hasattr(table, "to_dict"):
            table = path_named(table).expanduser()
        return study_relevance(self.scope, table, k)

    def compare(self, first: str | Run, second: str | Run) -> RunComparison:
        """What one run tells better than another, over the same recordings and folds.

        Raises
        ------
        InputError
            If there is no such run, or they are not of the same recordings, groups and folds.
        """
        return compare_runs(self.run(first).whole, self.run(second).whole)

    def similar(
        self,
        query: str | os.PathLike[str] | Track | None = None,
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
        query : path, track id or Track, or None
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
        asked = question_of(aspects, avoid, k, (words,) if words else (), **question)
        passage = None if passage is None else seconds_of(passage)
        self.scope.require_library()
        check_narrowed(self.scope.workspace, self.scope.library, asked)
        discovery = self.scope.discovery_by_run(run) if run else self.scope.discovery_for_search()
        plan = make_plan(self.scope, asked, discovery, is_of_passage=passage is not None)
        find = (
            None if query is None else lambda plan: self._query(plan.scope, query, measures=plan.measured is not None)
        )
        return answer_plan(plan, find, passage, index_of=self._index_of)

    def similar_to_each(
        self,
        queries: Iterable[str | os.PathLike[str]],
        aspects: Mapping[str, float] | None = None,
        avoid: Sequence[str] = (),
        k: int = 10,
        *,
        with_moments: bool = False,
        **question: Any,
    ) -> AnswerList:
        """The nearest recordings to each of many queries, which are asked of one plan and one index.

        Parameters
        ----------
        queries : iterable of path or track id
        aspects, avoid, k, **question
            As of `similar`.
        with_moments : bool
            Also where query and answer resemble each other most: most of the time that `similar` takes.

        Returns
        -------
        AnswerList
            An `Answer` for each query, in order; `to_frame()` is one table of all.
        """
        if isinstance(queries, str | os.PathLike):
            raise InputError(f"{str(queries)!r} is one query, expected a sequence of them.", "Put it into a list.")
        asked = question_of(aspects, avoid, k, **question)
        check_narrowed(self.scope.workspace, self.scope.library, asked)
        plan = make_plan(self.scope, asked, self.scope.discovery_for_search())
        index = self._index_of(plan)
        return AnswerList(
            answer(
                index, plan, self._query(plan.scope, query, measures=plan.measured is not None),
                with_moments=with_moments,
            )
            for query in queries
        )  # fmt: skip

    def path(
        self,
        beginning: str | os.PathLike[str] | Track,
        end: str | os.PathLike[str] | Track,
        n: int = 8,
        *,
        via: Sequence[str | os.PathLike[str] | Track] = (),
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
        asked = question_of_path(question_of(aspects, avoid, **question))
        self.scope.require_library()
        check_narrowed(self.scope.workspace, self.scope.library, asked)
        if not isinstance(n, int):
            raise InputError(f"n is {n!r}, expected a number of recordings.")
        via = (via,) if isinstance(via, str | os.PathLike | Track) else via
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
        self.scope.require_library()
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
        self.scope.require_library()
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

    def _query(self, scope: Scope, query: str | os.PathLike[str] | Track, *, measures: bool = False) -> Query:
        if isinstance(query, Track):
            return find_track(scope, query.track_id, self._embedder, measures=measures)
        if not isinstance(query, str | os.PathLike):
            cure = "Waveforms are embedded by Embedder.embed, or written to a file first."
            raise InputError(f"A query is a {type(query).__name__}, expected a path or a track id.", cure)
        return find_query(scope, os.fspath(query), self._embedder, measures=measures)

    def _do(self, request: Request, progress: bool) -> list[Failure]:
        job = do_now(self.scope.workspace, request, progress=progress)
        if job.state != "done":
            raise MessError(job.message or f"It was {job.state}.", job.hint)
        return self.scope.workspace.jobs.failures(job.job_id)
