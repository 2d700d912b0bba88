"""Neighbours: the nearest recordings of one library to a query, each with how near, in what, and compared to what.

One `NeighbourIndex` holds one library by one encoder in one geometry (`geometry.py`). A search goes

    query embedding -> item -> query vector with weights -> nearest rows          rows.py
      -> exact similarity in each part; ranks, corrected for hubs if asked        here
      -> caps, copies, diversity                                                  selection.py
      -> percentiles among pairs of the library                                   percentiles.py

Hubs
----
In many dimensions some points are near to everything. Cross-domain similarity local scaling ranks by
s(q, x) - r(x) / 2, where r(x) is the mean similarity of x to its ten nearest (Conneau et al. 2018): who is near to
everything must be nearer still. The same query vector finds them: candidates are taken until no other can do better.
Where a library is larger than memory, the first two thousand by similarity are put in that order.

Nearness
--------
A nearest neighbour is closer than nearly all pairs by being the nearest, so a percentile among pairs tells neighbours
apart poorly. Nearness places a pair among those that this library's own recordings form with their ten nearest (in a
small library with the nearest tenth of it): 50 is as near as such neighbours usually are, 100 nearer than all of them,
0 further away than any.

Unlike everything
-----------------
The nearest recording may still be far. A query is called strange if it is further from its nearest than 99 % of the
library's own are from theirs of another work. Distance, not cosine: noise, too, points somewhere, but it is far out.
It is strange, too, if its nearest is less alike than all pairs of neighbours here: its nearness, as it is shown, is 0.
It is not, however far out, if its nearest is as alike as neighbours usually are: 50 or more.
"""

from __future__ import annotations

import bisect
import functools
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from mess_core.catalogue.catalogue import FILTERS
from mess_core.encoders.base import EncoderInfo
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, UnknownTrackError
from mess_core.search.copies import NEAR, SAME, is_copy
from mess_core.search.engines.answering import EngineRows
from mess_core.search.engines.contract import Engine, Metadata, Wanted
from mess_core.search.geometry import Geometry
from mess_core.search.percentiles import Percentiles
from mess_core.search.question import Question, check_question
from mess_core.search.rows import FarItems, Kind, RowIndex, kind_for
from mess_core.search.seeds import Seeds, Standing
from mess_core.search.selection import Candidate, Facts, FactsOf, select
from mess_core.storage.far import Rows, search_memory_bytes

HUB_NEIGHBOURS = 10
HUB_REFERENCES = 1000  # seeded recordings that stand for the library when r(x) is measured
N_CORRECTED = 2000  # the first by similarity, which are put in their corrected order where rows are not held
STRANGE_ABOVE = 0.99  # quantile of the library's own least distances
N_TYPICAL = 300  # recordings whose least distance is looked up
FEWEST_TYPICAL = 20  # fewer say nothing of a tail
USUAL_NEARNESS = 50.0  # of recordings and their neighbours: the middle of the scale
N_NEAREST = 32  # by similarity, among which the least distance is
SEED = 0
N_KEPT = 8  # hub corrections, usual percentiles and near pairs, of recent weights
N_TIMED = 50  # lookups, the latest, of which the median says how fast they are
N_USUAL = 100  # recordings whose neighbours say where a neighbour usually stands
USUAL_RANKS = (1, 10)
N_NEIGHBOURS, SHARE_NEIGHBOURS = 10, 0.1  # of a recording that count as its neighbours; in a small library the share
SCANNED_AT_ONCE = 1024  # rows
ROUNDING = 2e-6  # relative, of inner products in single precision
FIRST_PORTION, GROWTH = 32, 16  # rows looked up at first, and how many times more then: a thousand cost hardly more


OnsetsOf = Callable[[str | None], np.ndarray | None]  # of a track, or of the query; None where there is no sound


class _Copies:
    """Tells copies in one search: those near enough are heard, each once."""

    def __init__(self, index: NeighbourIndex, onsets_of: OnsetsOf | None) -> None:
        self._index, self._onsets_of = index, onsets_of
        self._heard: dict[str | None, np.ndarray | None] = {}

    def of_query(self, item: np.ndarray, row: int) -> bool:
        """Whether a row is a copy of the query."""
        (distance,) = self._distances(item, [row])
        return self._is_copy(float(distance), None, row)

    def among(self, row: int, rows: list[int]) -> np.ndarray:
        """Of which of some rows another one is a copy."""
        distances = self._distances(self._index._row(row), rows)
        track_id = self._index.track_ids[row]
        return np.array([self._is_copy(float(d), track_id, other) for d, other in zip(distances, rows, strict=True)])

    def _distances(self, item: np.ndarray, rows: list[int]) -> np.ndarray:
        """What sounds in another key is no copy, however near it is in its own."""
        items = self._index._items(rows)
        distances = self._index.geometry.distances(item, items)
        semitones = self._index.geometry.semitones(item[None], items, np.arange(len(items)))
        return np.where(semitones == 0, distances, np.inf)

    def _is_copy(self, distance: float, track_id: str | None, row: int) -> bool:
        if distance >= NEAR:
            return False
        if distance < SAME and not self._index.geometry.compares_values:
            return True
        one, other = self._onsets(track_id), self._onsets(self._index.track_ids[row])
        return one is not None and other is not None and is_copy(one, other)

    def _onsets(self, track_id: str | None) -> np.ndarray | None:
        if self._onsets_of is None:
            return None
        if track_id not in self._heard:
            self._heard[track_id] = self._onsets_of(track_id)
        return self._heard[track_id]


@dataclass(frozen=True)
class AspectScore:
    """One aspect of one neighbour; `contribution` is weight times similarity, and contributions add up to the total."""

    similarity: float
    percentile: float | None
    weight: float
    contribution: float
    nearness: float | None = None


@dataclass(frozen=True)
class Neighbour:
    """One search result.

    similarity : larger is closer; what it is between is the geometry's
    percentile : share of the library's pairs that are less similar, in percent; None in a library without pairs
    aspects : of the aspects asked for; None if none was
    hearings : percentile in each hearing, where it is as near as in the one in which that is higher; else None
    semitones : by how many it sounds higher than the query, the nearest way round the octave: -5 to 6, 0 being the same
        key; None where keys were not looked at
    words : where something was asked for in words, what each adds to the score, in percent; `similarity` is their sum,
        1 being all, and `percentile` the share of the library that fits less
    nearness : where the pair stands among neighbours, 0 to 100; None in a library too small, of passages and words
    value : where the order is along an aspect, what was measured, in its unit; `similarity` is then where it lies, in
        standard deviations of the library, and `percentile` the share of the library that has less of it
    standings : where the question names several recordings: beside each of them, the query first; `similarity` is then
        the score of `seeds.py`, which is no pair's, so `percentile` and `nearness` are None
    """

    rank: int
    track_id: str
    similarity: float
    percentile: float | None
    aspects: Mapping[str, AspectScore] | None = None
    hearings: Mapping[str, float] | None = None
    words: Mapping[str, float] | None = None
    nearness: float | None = None
    semitones: int | None = None
    standings: tuple[Standing, ...] | None = None
    value: float | None = None


@dataclass(frozen=True)
class FoundNeighbours:
    """What a search found.

    is_strange : the query is unlike everything here; None in a library too small to say, and where it is one of several
    """

    neighbours: tuple[Neighbour, ...]
    is_strange: bool | None


@dataclass(frozen=True, eq=False)
class _Portion:
    """The rows that come first for some seeds.

    parts, totals : (n, n_parts) and (n,), their scores
    bound : no other row has a higher total times the sign of the seeds
    is_all : there is no other row
    """

    n_wanted: int
    rows: np.ndarray
    items: np.ndarray
    parts: np.ndarray
    totals: np.ndarray
    bound: float
    is_all: bool


@dataclass(frozen=True)
class AnsweredBy:
    """What said who is nearest.

    engine : as a person reads it
    median_s : how long it took, of the latest lookups; None if it was not asked
    problem : why it was not the one that was chosen; empty if it was
    recall : what it finds of the nearest, in a sentence; empty where it finds all
    """

    engine: str
    median_s: float | None
    problem: str = ""
    recall: str = ""

    @property
    def words(self) -> str:
        """In a sentence or two.

        Examples
        --------
        >>> AnsweredBy("LanceDB", 0.0123).words
        'Answered by LanceDB, 12.3 ms a lookup.'
        """
        return f"{self.problem} {self.words_of_speed}".strip()

    @property
    def words_of_speed(self) -> str:
        """The last of these, without the problem."""
        how_fast = "" if self.median_s is None else f", {self.median_s * 1e3:.1f} ms a lookup"
        return f"Answered by {self.engine}{how_fast}. {self.recall}".strip()


class Vectors(Protocol):
    """What is compared of a library: an `EmbeddingSet`, or a `MeasuredLibrary`.

    info : of the encoder
    track_ids : in order
    vectors : (n_tracks, n_layers, dim); `FarRows` where they are not in memory
    """

    @property
    def info(self) -> EncoderInfo: ...

    @property
    def track_ids(self) -> tuple[str, ...]: ...

    @property
    def vectors(self) -> Rows: ...


class NeighbourIndex:
    """One library by one encoder in one geometry, ready to be asked; never changed after it was built.

    Parameters
    ----------
    library : Vectors
        At least one track, in order of track id.
    geometry : Geometry
        Made from the same vectors.
    of_segments : Geometry or None
        In which moments are compared; None: in the same.
    works : sequence of str, or None
        What is one work, a name per track: another recording of it is no measure of what is usually near.
    kind : "flat", "hnsw", "ivf", "codes" or None
        None chooses by size.
    open_engine : callable (widths) -> Engine, or None
        What is asked for the nearest; None: FAISS, here. See `EngineRows`.
    metadata : sequence of mapping, or None
        What recordings can be filtered by in it, of each.

    Attributes
    ----------
    recall : str
        What it finds of the nearest, in a sentence; empty where it finds all, or nobody has measured it.
    """

    def __init__(
        self,
        library: Vectors,
        geometry: Geometry,
        works: Sequence[str] | None = None,
        kind: Kind | None = None,
        of_segments: Geometry | None = None,
        open_engine: Callable[[Sequence[int]], Engine] | None = None,
        metadata: Sequence[Metadata] | None = None,
    ) -> None:
        self.info = library.info
        if not library.track_ids:
            raise DataMissingError(
                f"No track of this library has an embedding by {self.info.id} yet.",
                f"python -m mess_core extract --encoder {self.info.id}",
            )
        self.track_ids = library.track_ids
        self.geometry = geometry
        self.of_segments = of_segments or geometry
        vectors = library.vectors
        self._shape = vectors.shape[1:]
        n_columns = geometry.n_columns

        def block(start: int, stop: int) -> np.ndarray:
            return geometry.items(vectors[start:stop])

        far = FarItems(lambda rows: geometry.items(vectors[rows]), geometry.compared)
        kind = kind or kind_for(len(self.track_ids), n_columns, search_memory_bytes())
        if open_engine is None:
            self.rows = RowIndex(len(self.track_ids), n_columns, block, kind, far)
        else:
            open_it = functools.partial(open_engine, [n_columns])
            self.rows = EngineRows(
                self.track_ids, n_columns, block, open_it, metadata, far if kind == "codes" else None
            )
        self.recall = ""
        self._lookups_s: deque[float] = deque(maxlen=N_TIMED)
        self.percentiles = Percentiles(geometry, self.rows)
        self._works = np.unique(list(works or self.track_ids), return_inverse=True)[1]
        self._corrections: dict[bytes, np.ndarray] = {}
        self._coordinates: dict[str, np.ndarray] = {}
        self._usual: dict[tuple[bytes, tuple[int, ...]], dict[int, float]] = {}
        self._near_pairs: dict[bytes, np.ndarray] = {}  # similarities of recordings and their neighbours, sorted

    def __len__(self) -> int:
        return len(self.track_ids)

    def search(
        self,
        query: np.ndarray,
        question: Question | None = None,
        *,
        exclude: Collection[str] = (),
        facts_of: FactsOf = lambda track_ids: {},
        query_facts: Facts | None = None,
        onsets_of: OnsetsOf | None = None,
        corrects_hubs: bool | None = None,
    ) -> FoundNeighbours:
        """The nearest tracks, the nearest first, or the furthest; equal ones in order of track id.

        What the question names to be like or unlike does not come back.

        Parameters
        ----------
        query : ndarray, shape (n_layers, dim)
            A track embedding by the same encoder, or the query's place among measured values.
        question : Question
            k above the library's size returns all tracks.
        exclude : collection of str
            Track ids that must not come back: the query itself.
        facts_of, query_facts : callable (track_ids) -> mapping of id to Facts, and Facts
            What caps and versions go by.
        onsets_of : callable (track_id, or None for the query) -> ndarray or None
            `copies.onsets`, by which copies are told; without, only those whose track embeddings are nearly the same.
        corrects_hubs : bool or None
            What "auto" means; None stands for no.

        Raises
        ------
        InputError
            If the question cannot be meant (`check_question`), or asks for an aspect this geometry does not have.
        UnknownTrackError
            If the question names a track that is not in this index.
        ArtefactMismatchError
            If the query was made by another encoder.
        """
        question = question or Question()
        check_question(question)
        item = self._item(query)
        seeds, weights = self._seeds(item, question), self.weights(question)
        exclude = {*exclude, *question.like, *question.unlike}
        is_corrected = corrects_hubs is True if question.hubs == "auto" else question.hubs == "on"
        is_corrected &= self.geometry.is_linear
        n_first = min(len(self), max(FIRST_PORTION, question.k + len(exclude) + 1))
        wanted = {name: words for name in FILTERS if (words := getattr(question, f"{name}s"))}
        wanted = wanted if self.rows.can_filter else {}
        first = self._portion(seeds, weights, n_first, wanted)
        copies = _Copies(self, onsets_of)
        liked = [self.row_of(track_id) for track_id in question.like]
        chosen = select(
            self._ranked(seeds, weights, first, exclude, is_corrected, wanted),
            question,
            query_facts or Facts(),
            facts_of,
            others=list(facts_of(question.like).values()) if question.like and question.versions == "exclude" else (),
            similarities=lambda row, rows: self.similarity(self._row(row), self._items(rows), weights),
            is_copy=copies.among,
            is_copy_of_query=lambda row: copies.of_query(item, row) or (bool(liked) and any(copies.among(row, liked))),
        )
        neighbours = self._describe(seeds, chosen, weights, question)
        if not seeds.is_single:
            return FoundNeighbours(neighbours, None)
        is_nearest = weights is self.geometry.plain and not seeds.is_reversed and not wanted
        return FoundNeighbours(neighbours, self._is_strange(item, first if is_nearest else None))

    def similarity_of_all(self, query: np.ndarray, question: Question) -> np.ndarray:
        """How alike every track of the library is to a query, (n_tracks,), in their order; errors as `search`."""
        return self._scores_of_all(self._seeds(self._item(query), question), self.weights(question))[1]

    def similarities_among(self, items: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Of items (n, n_columns) with each other, in total, (n, n)."""
        if self.geometry.is_linear:
            return self.geometry.matrix(items, items, weights)
        return np.stack([self.similarity(item, items, weights) for item in items])

    def similarity_to_all(self, item: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Of an item with every track of the library, in total, (n_tracks,)."""
        return self._scores_of_all(self._alone(item), weights)[1]

    def similarity(self, item: np.ndarray, items: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Of an item (n_columns,) with others (n, n_columns), in total, (n,)."""
        return self.geometry.total(self.geometry.similarities(item, items), weights)

    def _seeds(self, item: np.ndarray, question: Question) -> Seeds:
        like, unlike = (
            self._items([self._known(each) for each in named]) for named in (question.like, question.unlike)
        )
        return Seeds.of(item, like, unlike, is_reversed=question.reverse)

    def _known(self, track_id: str) -> int:
        try:
            return self.row_of(track_id)
        except KeyError as error:
            raise UnknownTrackError(
                f"{track_id} is not among what can be found here.", "Name a recording of this library."
            ) from error

    def _scores_of_all(self, seeds: Seeds, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Seeds.score`, of every row."""
        return self._scores_of(self._blocks(), seeds, weights)

    def _scores_of(
        self, blocks: Iterable[np.ndarray], seeds: Seeds, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of rows that are looked at so many at a time."""
        scores = [seeds.score(self.geometry, self.rows.rows(block), weights) for block in blocks]
        return np.concatenate([parts for parts, _ in scores]), np.concatenate([totals for _, totals in scores])

    def weights(self, question: Question) -> np.ndarray:
        """Weights of the geometry's parts, (n_parts,); InputError if it lacks an aspect asked for."""
        asked = question.weights
        if not asked:
            return self.geometry.plain
        missing = [aspect for aspect in asked if aspect not in self.geometry.parts]
        if missing:
            raise InputError(
                f"Nothing can be searched by {missing[0]} here: nothing of it was found in these embeddings, "
                "or nothing is left of it once the aspects to avoid are removed.",
                "Ask for another aspect.",
            )
        return np.array([asked.get(part, 0.0) for part in self.geometry.parts])

    def segment_weights(self, question: Question) -> np.ndarray:
        """Weights of the parts of `of_segments`: those of the question, where it has the same."""
        return self.weights(question) if self.of_segments is self.geometry else self.of_segments.plain

    def row_of(self, track_id: str) -> int:
        """The row of a track of this library; KeyError if it has none."""
        row = bisect.bisect_left(self.track_ids, track_id)
        if row == len(self) or self.track_ids[row] != track_id:
            raise KeyError(track_id)
        return row

    # --- ranking --------------------------------------------------------------------------------------------

    @property
    def answered_by(self) -> AnsweredBy:
        """What says who is nearest here, and how fast it was lately."""
        problem = self.rows.problem if isinstance(self.rows, EngineRows) else ""
        median_s = float(np.median(self._lookups_s)) if self._lookups_s else None
        return AnsweredBy(self.rows.title, median_s, problem, self.recall)

    def _portion(self, seeds: Seeds, weights: np.ndarray, n: int, wanted: Wanted | None = None) -> _Portion:
        """The n rows that the index finds first by each lookup, with their exact scores; or all rows.

        Of rows that say what is wanted, where the index can tell; else of all.
        """
        lookups = seeds.lookups(self.geometry, weights)
        if not lookups:
            parts, totals = self._scores_of_all(seeds, weights)
            none = np.empty((0, self.geometry.n_columns), np.float32)  # all of them are not held twice
            return _Portion(len(self), np.arange(len(self)), none, parts, totals, -np.inf, True)
        self.rows.open()
        found, bounds, is_all = [], [], n == len(self)
        for vector, constant, most in lookups:
            share = np.count_nonzero(vector) / vector.size
            started_s = time.perf_counter()
            products, rows = self.rows.search_any(np.atleast_2d(vector), n, share, wanted)
            self._lookups_s.append(time.perf_counter() - started_s)
            found.append(rows[rows >= 0])
            if wanted and len(rows) < n:  # there are no more of these
                is_all = True
                continue
            bound = float(products[-1]) + constant
            # Far from the mean, large numbers cancel.
            bounds.append(most(bound + ROUNDING * (1.0 + abs(bound) + abs(constant))))
        rows = found[0] if len(found) == 1 else np.unique(np.concatenate(found))
        if self.rows.kind == "codes" and len(rows) > SCANNED_AT_ONCE:  # as many as do not fit are not held
            items = np.empty((0, self.geometry.n_columns), np.float32)
            scores = self._scores_of(_in_blocks(rows), seeds, weights)
        else:
            items = self.rows.rows(rows)
            scores = seeds.score(self.geometry, items, weights)
        return _Portion(n, rows, items, *scores, max(bounds, default=-np.inf), is_all)

    def _ranked(
        self,
        seeds: Seeds,
        weights: np.ndarray,
        portion: _Portion,
        exclude: Collection[str],
        is_corrected: bool,
        wanted: Wanted,
    ) -> Iterator[Candidate]:
        """All tracks, the best first, looked up in growing portions: a candidate comes once no other can be better.

        A correction for hubs is one of every pair: it has the share that the seeds have together, and is turned round
        with them.
        """
        if is_corrected and self.rows.kind == "codes":
            yield from self._corrected_among(seeds, weights, portion, exclude, wanted)
            return
        corrections = None
        if is_corrected:
            corrections = -seeds.sign * float(seeds.shares.sum()) * self._hub_corrections(weights) / 2
        given = set(exclude)
        while True:
            exact = portion.totals
            scores, bound = seeds.sign * exact, portion.bound
            if corrections is not None:
                scores, bound = scores + corrections[portion.rows], bound + corrections.max()
            sure = np.arange(len(scores)) if portion.is_all else np.flatnonzero(scores > bound)
            numbers = (each[sure].tolist() for each in (portion.rows, scores, exact))
            found = [
                Candidate(row, self.track_ids[row], score, similarity, parts)
                for row, score, similarity, parts in zip(*numbers, portion.parts[sure], strict=True)
            ]
            found.sort(key=lambda candidate: (-candidate.score, candidate.track_id))
            for candidate in found:
                if candidate.track_id not in given:
                    given.add(candidate.track_id)
                    yield candidate
            if portion.is_all:
                return
            portion = self._portion(seeds, weights, min(len(self), GROWTH * portion.n_wanted), wanted)

    def _corrected_among(
        self, seeds: Seeds, weights: np.ndarray, portion: _Portion, exclude: Collection[str], wanted: Wanted
    ) -> Iterator[Candidate]:
        """Where rows are not held: the first by similarity in their corrected order, and then all others as they come.

        To correct all would be to read all.
        """
        first = portion
        if portion.n_wanted < N_CORRECTED and not portion.is_all:
            first = self._portion(seeds, weights, min(len(self), N_CORRECTED), wanted)
        usual = self._usual_similarities(first.rows, weights)
        scores = seeds.sign * (first.totals - float(seeds.shares.sum()) * usual / 2)
        order = sorted(range(len(scores)), key=lambda n: (-scores[n], self.track_ids[first.rows[n]]))
        given = {*exclude}
        for n in order:
            track_id = self.track_ids[first.rows[n]]
            if track_id not in given:
                given.add(track_id)
                yield Candidate(int(first.rows[n]), track_id, float(scores[n]), float(first.totals[n]), first.parts[n])
        yield from self._ranked(seeds, weights, first, given, False, wanted)

    def _describe(
        self, seeds: Seeds, chosen: list[Candidate], weights: np.ndarray, question: Question
    ) -> tuple[Neighbour, ...]:
        """Similarity and percentile, in total and in each aspect asked for; of several seeds, beside each."""
        if not chosen:
            return ()
        item, asked = seeds.items[0], question.weights
        standings = self._standings(seeds, chosen, weights, question)
        parts = np.stack([candidate.parts for candidate in chosen])
        percentiles = self.percentiles.of(np.array([c.similarity for c in chosen]), weights)
        hearings: dict[str, np.ndarray] = {}
        if self.geometry.has_hearings and seeds.is_single:
            names = enumerate(self.geometry.parts)
            hearings = {name: self.percentiles.of_part(parts[:, place], place) for place, name in names}
        semitones: list[int | None] = [None] * len(chosen)
        if self.geometry.any_key:
            items = self._items([candidate.row for candidate in chosen])
            semitones = self.geometry.semitones(item[None], items, np.arange(len(items))).tolist()
        places = {aspect: self.geometry.parts.index(aspect) for aspect in asked}
        of_part = {aspect: self.percentiles.of_part(parts[:, place], place) for aspect, place in places.items()}
        nearness = self.nearness(np.array([c.similarity for c in chosen]), weights)
        alone = np.eye(len(weights))
        near_in = {aspect: self.nearness(parts[:, place], alone[place]) for aspect, place in places.items()}
        if not seeds.is_single:  # a score is no pair's
            no_pair = np.full(len(chosen), np.nan)
            percentiles = nearness = no_pair
            of_part, near_in = dict.fromkeys(places, no_pair), dict.fromkeys(places, no_pair)
        neighbours = []
        for number, candidate in enumerate(chosen):
            aspects = {
                aspect: AspectScore(
                    similarity=float(parts[number, place]),
                    percentile=_number(of_part[aspect][number]),
                    weight=float(weights[place]),
                    contribution=float(weights[place] * parts[number, place]),
                    nearness=_number(near_in[aspect][number]),
                )
                for aspect, place in places.items()
            }
            total = sum(score.contribution for score in aspects.values()) if aspects else candidate.similarity
            neighbours.append(
                Neighbour(
                    number + 1,
                    candidate.track_id,
                    total,
                    _number(percentiles[number]),
                    aspects or None,
                    {name: float(of_part[number]) for name, of_part in hearings.items()} or None,
                    nearness=_number(nearness[number]),
                    semitones=semitones[number],
                    standings=standings[number],
                )
            )
        return tuple(neighbours)

    def _standings(
        self, seeds: Seeds, chosen: list[Candidate], weights: np.ndarray, question: Question
    ) -> list[tuple[Standing, ...] | None]:
        """Beside each seed, each pair alone; None where there is but one."""
        if seeds.is_single:
            return [None] * len(chosen)
        items, columns = self._items([candidate.row for candidate in chosen]), []
        for track_id, seed in zip((None, *question.like, *question.unlike), seeds.items, strict=True):
            totals = self.similarity(seed, items, weights)
            figures = zip(totals, self.percentiles.of(totals, weights), self.nearness(totals, weights), strict=True)
            columns.append(
                [
                    Standing(track_id, track_id not in question.unlike, float(total), _number(closer), _number(near))
                    for total, closer, near in figures
                ]
            )
        return list(zip(*columns, strict=True))

    # --- the library as a whole -----------------------------------------------------------------------------

    def nearness(self, similarities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Where pairs stand among this library's own recordings and their neighbours, 0 to 100.

        Parameters
        ----------
        similarities : ndarray, shape (n,)
            In total, by these weights.
        weights : ndarray, shape (n_parts,)

        Returns
        -------
        ndarray, shape (n,)
            Share of a seeded sample of such pairs that is less alike, in percent, those as alike counted by half. NaN
            in a library too small to say.
        """
        if len(self) < FEWEST_TYPICAL:
            return np.full(len(similarities), np.nan)
        key = weights.tobytes()
        if key not in self._near_pairs:
            n = max(1, min(N_NEIGHBOURS, round(SHARE_NEIGHBOURS * (len(self) - 1))))
            totals = np.sort(self._totals_of_nearest(self._sample(N_USUAL), weights, n), axis=1)[:, -n:]
            if len(self._near_pairs) >= N_KEPT:
                self._near_pairs.pop(next(iter(self._near_pairs)))
            self._near_pairs[key] = np.sort(totals[np.isfinite(totals)])
        return standing(similarities, self._near_pairs[key])

    def coordinates(self, aspect: str) -> np.ndarray:
        """Where all tracks lie on the main direction of an aspect, (n_tracks,); errors as `Geometry.coordinate`."""
        return np.concatenate([self.geometry.coordinate(self.rows.rows(own), aspect)[1] for own in self._blocks()])

    def sorted_coordinate(self, aspect: str) -> np.ndarray:
        """The same, ascending."""
        if aspect not in self._coordinates:
            self._coordinates[aspect] = np.sort(self.coordinates(aspect))
        return self._coordinates[aspect]

    def _hub_corrections(self, weights: np.ndarray) -> np.ndarray:
        """r(x) of every track: mean similarity to its ten nearest among a thousand seeded ones, (n_tracks,)."""
        key = weights.tobytes()
        if key not in self._corrections:
            while len(self._corrections) >= N_KEPT:
                self._corrections.pop(next(iter(self._corrections)))
            self._corrections[key] = self._usual_similarities(np.arange(len(self)), weights)
        return self._corrections[key]

    def _usual_similarities(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """r(x) of some tracks, (n,)."""
        references = self._sample(HUB_REFERENCES)
        asked = [self.geometry.query(item, weights) for item in self.rows.rows(references)]
        vectors, constants = np.stack([a[0] for a in asked]), np.array([a[1] for a in asked])
        k = min(HUB_NEIGHBOURS, max(1, len(references) - 1))
        found = np.empty(len(rows))
        for start in range(0, len(rows), 512):
            here = rows[start : start + 512]
            similarities = self.rows.rows(here) @ vectors.T + constants
            similarities[here[:, None] == references[None]] = -np.inf
            nearest = np.partition(similarities, -k, axis=1)[:, -k:]
            found[start : start + 512] = np.where(np.isfinite(nearest), nearest, 0.0).mean(axis=1)
        return found

    @cached_property
    def typical_least(self) -> np.ndarray:
        """Distances of up to 300 tracks to their nearest one of another work, sorted."""
        sample = self._sample(N_TYPICAL)
        items = self.rows.rows(sample)
        found = self._nearest_of_each(items, 2 * N_NEAREST)
        least = []
        for item, work, rows in zip(items, self._works[sample], found, strict=True):
            others = rows[(rows >= 0) & (self._works[rows] != work)][:N_NEAREST]
            if len(others):
                least.append(self.geometry.distances(item, self.rows.rows(others)).min())
        return np.sort(least)

    def _nearest_of_each(self, items: np.ndarray, n: int) -> np.ndarray:
        """Rows nearest to each item by nothing in particular, (n_items, n), or by the product that stands for that."""
        if self.geometry.any_key:
            lookups = [self.geometry.lookups(item, self.geometry.plain)[0] for item in items]
            return np.stack([self.rows.search_any(lookup.vector, n)[1] for lookup in lookups])
        asked = np.stack([self.geometry.query(item, self.geometry.plain)[0] for item in items])
        return self.rows.search(asked, n)[1]  # all at once: one pass over the library

    @cached_property
    def _strange_above(self) -> float | None:
        if len(self.typical_least) < FEWEST_TYPICAL:
            return None
        return float(np.quantile(self.typical_least, STRANGE_ABOVE))

    def usual_percentiles(
        self, question: Question | None = None, ranks: Sequence[int] = USUAL_RANKS
    ) -> dict[int, float]:
        """Where the nearest recording of this library's own recordings usually stands, and the tenth, and so on.

        A nearest neighbour is closer than most pairs by being the nearest: only what is above the usual says something.

        Returns
        -------
        dict
            Rank -> median percentile over a seeded sample of the library; no entry for a rank the library is too small
            for.
        """
        weights = self.weights(question or Question())
        ranks = [rank for rank in ranks if rank < len(self)]
        if not ranks or len(self) < FEWEST_TYPICAL:
            return {}
        key = weights.tobytes(), tuple(ranks)
        if key not in self._usual:
            totals = self._totals_of_nearest(self._sample(N_USUAL), weights, max(ranks))
            nearest = -np.sort(-totals, axis=1)[:, np.array(ranks) - 1]  # (n_sampled, n_ranks)
            usual = np.median(self.percentiles.of(nearest.ravel(), weights).reshape(nearest.shape), axis=0)
            if len(self._usual) >= N_KEPT:
                self._usual.clear()
            self._usual[key] = dict(zip(ranks, map(float, usual), strict=True))
        return self._usual[key]

    def _totals_of_nearest(self, sample: np.ndarray, weights: np.ndarray, n: int) -> np.ndarray:
        """Of some tracks to their n nearest others or more, (n_sampled, n + 1); -inf for themselves."""
        if not self.geometry.is_linear:
            totals = np.full((len(sample), n + 1), -np.inf)
            for place, (row, item) in enumerate(zip(sample, self.rows.rows(sample), strict=True)):
                portion = self._portion(self._alone(item), weights, n + 1)
                of_others = portion.totals[portion.rows != row]
                totals[place, : min(n + 1, len(of_others))] = np.sort(of_others)[::-1][: n + 1]
            return totals
        asked = [self.geometry.query(item, weights) for item in self.rows.rows(sample)]
        vectors = np.stack([vector for vector, _ in asked])
        constants = np.array([constant for _, constant in asked])
        products, rows = self.rows.search(vectors, n + 1)  # all at once: one pass over the library
        is_other = (rows >= 0) & (rows != sample[:, None])
        return np.where(is_other, products + constants[:, None], -np.inf)

    def _is_strange(self, item: np.ndarray, portion: _Portion | None) -> bool | None:
        """`portion`: the nearest by plain weights, if they are known already."""
        if self._strange_above is None:
            return None
        nearest = portion or self._portion(self._alone(item), self.geometry.plain, min(len(self), N_NEAREST))
        totals = nearest.totals
        similar = np.argsort(-totals, kind="stable")[:N_NEAREST]  # of several lookups, the rows come as they are
        nearness = self.nearness(totals[similar[:1]], self.geometry.plain)[0]  # NaN where none is told
        if round(np.nan_to_num(nearness, nan=100.0)) <= 100 * (1 - STRANGE_ABOVE):  # as it is shown
            return True
        if nearness >= USUAL_NEARNESS:
            return False
        items = nearest.items[similar] if len(nearest.items) else self.rows.rows(nearest.rows[similar])
        return bool(self.geometry.distances(item, items).min() > self._strange_above)

    def _blocks(self) -> list[np.ndarray]:
        """All rows, so many at a time."""
        return _in_blocks(np.arange(len(self)))

    def _sample(self, n: int) -> np.ndarray:
        """At most n rows, seeded, in order."""
        if n >= len(self):
            return np.arange(len(self))
        return np.sort(np.random.default_rng(SEED).choice(len(self), n, replace=False))

    # --- from questions to numbers ---------------------------------------------------------------------------

    def _items(self, rows: Sequence[int]) -> np.ndarray:
        return self.rows.rows(np.array(rows, int))

    def _row(self, row: int) -> np.ndarray:
        item: np.ndarray = self._items([row])[0]
        return item

    def _alone(self, item: np.ndarray) -> Seeds:
        return Seeds(item[None], np.ones(1))

    def _item(self, query: np.ndarray) -> np.ndarray:
        if query.shape != self._shape:
            raise ArtefactMismatchError(
                f"The query has shape {query.shape}, this index holds {self._shape} by {self.info.id}.",
                "Extract the query with the same encoder.",
            )
        item: np.ndarray = self.geometry.items(query[None])[0]
        return item


def _in_blocks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + SCANNED_AT_ONCE] for start in range(0, len(rows), SCANNED_AT_ONCE)]


def standing(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Share of sorted numbers that each value exceeds, in percent, equal ones counted by half; NaN among none."""
    if not len(among):
        return np.full(len(values), np.nan)
    slack = ROUNDING * (1.0 + np.abs(values))  # sums of single precision: what differs by less is equal
    counts = np.searchsorted(among, values - slack, "left") + np.searchsorted(among, values + slack, "right")
    share: np.ndarray = 50.0 * counts / len(among)
    return share


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
