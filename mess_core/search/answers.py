"""Answers: from a question about a library to a list that a person can read.

question, scope     -> plan     which geometry, whose discovery; what the asker should know
plan               -> index    built once, good for every query of the same plan
plan, index, query -> answer   neighbours with titles and paths, and the moments that resemble each other
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr

from mess_core.audio.decode import read_excerpt
from mess_core.catalogue.catalogue import FILTERS, Track
from mess_core.catalogue.frames import metadata_of
from mess_core.embeddings.store import TrackEmbedding
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, MessError, UnknownTrackError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.discovery import Discovery, groups_of, kept_paths
from mess_core.probing.result import ProbeSettings
from mess_core.search import frames
from mess_core.search.along import Dial, dial_of
from mess_core.search.copies import HEARD_S, RATE_HZ, onsets
from mess_core.search.either import geometry_for
from mess_core.search.engines.chosen import FAISS, check_engine, collection_key, engine_of, open_engine
from mess_core.search.evaluated import correction_helps
from mess_core.search.filtered import facts_for
from mess_core.search.frames import PassagePlace
from mess_core.search.geometry import (
    GEOMETRIES,
    DirectionGeometry,
    Geometry,
    LayerGeometry,
    MeasuredGeometry,
    of_segments,
)
from mess_core.search.learned import LearnedGeometry, LearnedMetric, load_metric, require_metric
from mess_core.search.matching import Moment, best_moments, passage_rows
from mess_core.search.measured import MeasuredLibrary, commonly_measured, measured_aspects, measured_library
from mess_core.search.neighbours import AnsweredBy, Neighbour, NeighbourIndex
from mess_core.search.question import Question, check_question
from mess_core.search.recall import keep_recall
from mess_core.search.rows import Kind
from mess_core.search.segments import PassageMatch, SegmentIndex
from mess_core.search.selection import POOL_AT_LEAST, POOL_PER_RESULT, Candidate, Facts, FactsOf, select
from mess_core.search.tagged import require_tags, without_tags
from mess_core.search.track_facts import facts_of
from mess_core.search.words import LIKENESS, parse_words, points_of, ranks, shares_of
from mess_core.storage.dataframe import frame_of
from mess_core.storage.far import Rows, search_memory_bytes
from mess_core.storage.packed import read_packed, write_packed
from mess_core.targets.base import TargetValue
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    import pandas

LOCATED = 10  # the best finds of a passage are heard again: 24 ms of a core each (WAV), 70 ms (Ogg)
USUAL = ("work", ProbeSettings())  # how discovery runs by itself
PASSAGES_BY_FAISS = "Passages are looked for in this process, by FAISS."
LISTENERS = 2  # at a time: most of it is decoding


@dataclass(frozen=True)
class Query:
    """What is compared; `text` is as the person gave it, `values` what was measured of it, empty if nothing was."""

    text: str
    track_id: str
    embedding: TrackEmbedding
    duration_s: float
    facts: Facts = field(default_factory=Facts)
    values: Mapping[str, TargetValue] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Plan:
    """How a question will be answered.

    question : with everything resolved: only aspects that count
    geometry : the name of the one that is searched in, of `GEOMETRIES`
    discovery : whose directions and layers are used; None if none was found or needed
    avoid : targets whose share is taken out
    measured : what was measured of the library, where that is compared; None where embeddings are
    learned : the metric by which it is compared, where one was asked for
    engine : the name of what is asked for the nearest; empty for what was chosen for the library
    notices : what the asker should know, in sentences
    key : changes whenever an index built for this plan would
    """

    scope: Scope
    question: Question
    geometry: str
    discovery: Discovery | None
    avoid: tuple[str, ...]
    notices: tuple[str, ...]
    key: str
    measured: MeasuredLibrary | None = None
    learned: LearnedMetric | None = None
    engine: str = ""

    @property
    def asks(self) -> str:
        """The name of the engine that is asked for the nearest."""
        return self.engine or engine_of(self.scope.workspace, self.scope.library)

    @property
    def index_key(self) -> str:
        """Changes whenever an index built for this plan would, or what it is asked through; names are filtered by."""
        if self.asks == FAISS:
            return self.key
        return f"{self.key}:{self.asks}:{self.scope.workspace.catalogue.content(self.scope.library)}"

    @property
    def kind(self) -> type[Geometry]:
        """The geometry itself."""
        return geometry_for(self.geometry, self.scope.info)

    @property
    def basis(self) -> str:
        """What it ranks by, in a sentence, where that is not the encoder; else empty."""
        told = self.measured or self.learned
        return "" if told is None else told.basis


@dataclass(frozen=True)
class FoundTrack:
    """A neighbour with what the catalogue knows of it; `path` is where its audio is, or was last seen.

    moment : where query and track resemble each other most; None if their segments cannot be read
    """

    neighbour: Neighbour
    track: Track
    path: Path
    moment: Moment | None

    @property
    def row(self) -> dict[str, Any]:
        """Its figures by name, as a row of a table."""
        told = self.neighbour
        row: dict[str, Any] = {
            name: getattr(told, name)
            for name in ("rank", "track_id", "similarity", "percentile", "nearness", "semitones", "value")
        }
        for aspect, score in (told.aspects or {}).items():
            row |= {f"{aspect}:similarity": score.similarity, f"{aspect}:percentile": score.percentile}
        row |= {f"hearing:{name}": share for name, share in (told.hearings or {}).items()}
        row |= {f"word:{name}": share for name, share in (told.words or {}).items()}
        if self.moment is not None:
            row |= {f"moment:{name}": value for name, value in asdict(self.moment).items()}
        return row | {"path": str(self.path)}


@dataclass(frozen=True, eq=False)
class Answer:
    """What was asked, how it was answered, and the nearest tracks.

    query : None where something was asked for in words alone
    kind : the index that was searched
    passage : of the query, from and to in seconds; None if all of it was asked about
    dial : by what all were put in order; None where they were compared with something
    answered_by : what said who is nearest, and how fast; None where nothing was asked for that
    """

    query: Query | None
    plan: Plan
    found: tuple[FoundTrack, ...]
    is_strange: bool | None
    kind: Kind
    passage: tuple[float, float] | None = None
    dial: Dial | None = None
    answered_by: AnsweredBy | None = None

    def to_frame(self) -> pandas.DataFrame:
        """One row an answer: whose query it is, rank and figures, then all that is known of the track."""
        query = {"query": self.asked, "query_track_id": None if self.query is None else self.query.track_id}
        metadata = metadata_of(self.plan.scope.workspace.catalogue, [found.track for found in self.found])
        rows = [query | found.row | told for found, told in zip(self.found, metadata, strict=True)]
        return frame_of(rows, ["query", "query_track_id", "rank", "track_id", "title", "similarity", "percentile"])

    @property
    def notices(self) -> tuple[str, ...]:
        """What to know before trusting it: aspects that cannot be told, recordings left out, a failed engine."""
        problem = self.answered_by.problem if self.answered_by is not None else ""
        return (*self.plan.notices, *([problem] if problem else []))

    @property
    def asked(self) -> str:
        """What was asked, as the person gave it."""
        return self.query.text if self.query is not None else ", ".join(self.plan.question.words)

    @property
    def score_words(self) -> str:
        """What the similarity of a neighbour is, in words."""
        question, kind = self.plan.question, self.plan.kind if self.passage is None else of_segments(self.plan.kind)
        if question.words:
            return "1 is what fits every word best; the shares of the words, and of likeness, add up to it"
        if self.dial is not None:
            return self.dial.words
        if question.like or question.unlike:
            less = ", less half of that mean over what it should not be like" if question.unlike else ""
            return f"the mean over what it should be like{less}, of {kind.words}"
        return kind.words


# --- planning -----------------------------------------------------------------------------------------------


def make_plan(
    scope: Scope,
    question: Question,
    discovery: Discovery | None,
    *,
    is_of_passage: bool = False,
    engine: str = "",
) -> Plan:
    """Decide how a question is answered; `discovery` is that of `Scope.discovery_for_search`.

    `engine` is what is asked for the nearest; by default what was chosen for the library. Passages are looked for here.

    Segments are compared in one layer, from which nothing can be left out: a passage without something is searched
    along directions, unless the layer was asked for.

    Raises
    ------
    InputError
        If the question cannot be meant, or asks for or avoids an aspect of which nothing is known here; if there is no
        such engine.
    DataMissingError
        If "direction" is asked for and nothing was discovered.
    """
    if engine:
        check_engine(engine)
        plan = make_plan(scope, question, discovery, is_of_passage=is_of_passage)
        notice = (PASSAGES_BY_FAISS,) if is_of_passage and engine != FAISS else ()
        return replace(plan, engine=engine, notices=(*plan.notices, *notice))
    scope.require_library()
    check_question(question)
    asked = GEOMETRIES.get(question.geometry)  # None of "auto"
    notices: list[str] = []
    if is_of_passage and (question.like or question.unlike or question.along or question.reverse):
        raise InputError(
            "A passage is looked for by itself, the nearest first.", "Ask about the whole recording, or for that alone."
        )
    if question.along:
        asked, question = _order_along(scope, question, discovery, notices)
    if question.words:
        if is_of_passage:
            raise InputError("Words are asked of whole recordings, not of a passage.", "Ask for one of the two.")
        wishes = parse_words(", ".join(question.words))
        question = replace(question, words=tuple(map(str, wishes)))
        tagged = require_tags(scope.workspace, scope.library)
        if hardly := tagged.hardly_heard([wish.word for wish in wishes if wish.is_wanted]):
            notices.append(f"Nothing here is clearly heard as {' or '.join(hardly)}, so that says little.")
        if question.diversity or question.duplicates != "keep" or question.hubs == "on":
            notices.append("Diversity, near-duplicates and hubs are not looked at when something is asked in words.")
    if question.heard_as or question.words:
        n_tracks = scope.workspace.catalogue.n_tracks(scope.library)
        if sentence := without_tags(require_tags(scope.workspace, scope.library), n_tracks):
            notices.append(sentence)
    if asked is not None and asked.compares_values:
        if not is_of_passage:
            return _plan_by_values(scope.for_aspects, question, notices)
        notices.append("Measured are whole recordings: a passage is compared as the encoder hears it.")
        asked, question = None, replace(question, geometry="auto")
    if question.geometry == LearnedGeometry.name:
        if not is_of_passage:
            return _plan_by_what_was_learned(scope, question, notices)
        notices.append("What was learned compares whole recordings: a passage is compared as the encoder hears it.")
        question = replace(question, geometry="auto")
    geometry: type[Geometry] = LayerGeometry
    if scope.info.explained_by is not None:
        if question.weights or question.avoid or (asked is not None and asked.has_directions):
            by = scope.for_aspects.info.title
            notices.append(f"Aspects are told by {by} alone, so it compares here, not “{scope.info.title}”.")
            scope = scope.for_aspects
        else:
            discovery = None  # its layers are others
    if discovery is None:
        cure = f"python -m mess_core probe --encoder {scope.info.id}, after adding at least 30 recordings of 10 works."
        if asked is not None and asked.has_directions:
            raise DataMissingError(f"Nothing was discovered for {scope.info.id} yet, so there are no directions.", cure)
        if question.avoid:
            raise DataMissingError(
                f"Nothing was discovered for {scope.info.id} yet, so {question.avoid[0]} cannot be left out.", cure
            )
        if question.aspects:
            notices.append("No discovery yet: aspects cannot be told apart, all layers weigh the same.")
        question = replace(question, aspects={}, geometry="layer")
    else:
        geometry = asked or (DirectionGeometry if question.weights else LayerGeometry)
        if is_of_passage and question.avoid and asked is None and not of_segments(geometry).supports_avoid:
            geometry, question = DirectionGeometry, replace(question, geometry="direction")
            notices.append("Without the aspects left out, a passage is searched by all others that have evidence.")
        if geometry.has_directions and not question.weights:
            left_out = set(_targets_of(question.avoid, discovery.aspects))
            known = [
                aspect
                for aspect, evidence in discovery.aspects.items()
                if evidence.has_evidence and not left_out.issuperset(evidence.searched)
            ]
            if not known:
                raise DataMissingError(
                    "No aspect has evidence here, so there is no direction to search in.", "Use the geometry layer."
                )
            question = replace(question, aspects=dict.fromkeys(known, 1.0))
        unknown = AspectEvidence((), (), "none")  # of an aspect that is newer than the discovery
        for aspect in [*question.weights, *question.avoid]:
            evidence = discovery.aspects.get(aspect, unknown)
            if not evidence.searched:
                raise InputError(f"Nothing can be said of {aspect} here: {evidence.reason}.", "Ask for another aspect.")
            if not evidence.has_evidence:
                notices.append(f"There is no evidence for {aspect.replace('_', ' ')} here: {evidence.reason}.")
        if discovery.library != scope.library and (question.weights or question.avoid):
            carried = [(aspect, discovery.aspects[aspect].transfer) for aspect in (*question.weights, *question.avoid)]
            held = ", ".join(f"{aspect} {found.words}" for aspect, found in carried if found is not None)
            how = (
                f"; how well they hold here (rank correlation): {held}" if held else "; not compared with anything here"
            )
            own = kept_paths(scope.workspace.paths, scope.library)
            has_own = any(path.parent.name == scope.info.folder for path in own)
            why = "; its own runs have evidence for nothing that is asked" if has_own else ""
            notices.append(f"Aspects as discovered on the library {discovery.library}{how}{why}.")
        elif (question.weights or question.avoid) and (discovery.group, discovery.result.settings) != USUAL:
            notices.append(f"Aspects as found by the run {discovery.title}.")
    avoid = _targets_of(question.avoid, discovery.aspects if discovery else {})
    rests_on: list[object] = [scope.content, geometry.name, avoid]
    if scope.info.main is not None:
        rests_on.append(scope.info.main)
    if discovery is not None:
        aspects = {aspect: asdict(evidence) for aspect, evidence in discovery.aspects.items()}
        rests_on += [discovery.directions_sha256, aspects]
    key = hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()
    return Plan(scope, question, geometry.name, discovery, avoid, tuple(notices), key)


def _order_along(
    scope: Scope, question: Question, discovery: Discovery | None, notices: list[str]
) -> tuple[type[Geometry] | None, Question]:
    """By which geometry all are put in order along an aspect, and the question that asks for nothing else.

    Where nobody says: along the direction that was discovered for it, or, where that has no evidence, by its values.
    """
    asked, aspect = GEOMETRIES.get(question.geometry), question.along
    if asked is not None and not asked.has_directions:
        raise InputError("Whole layers have no order along an aspect.", "Set how near is measured to auto.")
    if any(name != aspect for name in question.weights):
        notices.append(f"The order is by {aspect.replace('_', ' ')} alone; the other aspects do not count.")
    if question.diversity or question.duplicates != "keep" or question.hubs == "on":
        notices.append("Diversity, near-duplicates and hubs are not looked at in an order along an aspect.")
    question = replace(question, aspects={aspect: 1.0})
    found = None if discovery is None else discovery.aspects.get(aspect)
    is_told = found is not None and found.has_evidence
    if asked is None and not is_told and (discovery is None or measured_aspects(scope.for_aspects)[aspect].searched):
        return MeasuredGeometry, question
    return asked, question


def _plan_by_values(scope: Scope, question: Question, notices: Sequence[str]) -> Plan:
    """How a question is answered by what was measured; recordings that lack a value it needs are left out and named."""
    aspects = measured_aspects(scope)
    if not any(found.searched for found in aspects.values()):
        raise DataMissingError(
            f"Nothing was measured of the recordings of {scope.library!r} yet.",
            f"python -m mess_core targets --library {scope.library}",
        )
    for aspect in [*question.weights, *question.avoid]:
        if not aspects[aspect].searched:
            raise InputError(f"{aspect} was measured in no recording here.", "Ask for another aspect.")
    avoid = _targets_of(question.avoid, aspects)
    if not question.weights:
        known = [name for name in commonly_measured(scope) if not set(avoid).issuperset(aspects[name].searched)]
        if not known:
            raise DataMissingError(
                "No aspect was measured in nearly all recordings here.", "Ask for aspects by name, or measure the rest."
            )
        question = replace(question, aspects=dict.fromkeys(known, 1.0))
    asked = {aspect: aspects[aspect] for aspect in question.weights}
    needed = {target for found in asked.values() for target in found.searched} | set(avoid)
    measured = measured_library(scope, sorted(needed))
    if not measured.track_ids:
        raise DataMissingError(
            f"No recording here has all values that are asked for. {measured.left_out}", "Ask for fewer aspects."
        )
    rests_on = [scope.content, MeasuredGeometry.name, measured.content, avoid, list(asked)]
    key = hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()
    notices = (*notices, measured.left_out) if measured.n_left_out else tuple(notices)
    return Plan(scope, question, MeasuredGeometry.name, None, avoid, notices, key, measured)


def _plan_by_what_was_learned(scope: Scope, question: Question, notices: Sequence[str]) -> Plan:
    """How a question is answered by the metric that was activated; it knows no aspects."""
    learned = load_metric(scope)
    if learned is None and scope.info.explained_by is not None:  # then its encoder may have been taught
        scope = scope.for_aspects
        notices = (*notices, f"{scope.info.title} compares: what was learned was learned with one encoder.")
    if question.weights or question.avoid:
        raise InputError(
            "What was learned compares recordings as a whole, not in single aspects.", "Leave out the aspects."
        )
    learned = learned or require_metric(scope)
    key = hashlib.sha256(json.dumps([scope.content, LearnedGeometry.name, learned.key]).encode()).hexdigest()
    return Plan(scope, question, LearnedGeometry.name, None, (), tuple(notices), key, learned=learned)


def _targets_of(aspects: Sequence[str], known: Mapping[str, AspectEvidence]) -> tuple[str, ...]:
    found = (known[aspect].searched for aspect in aspects if aspect in known)
    return tuple(sorted({target for searched in found for target in searched}))


# --- indexes ------------------------------------------------------------------------------------------------


def build_index(plan: Plan) -> NeighbourIndex:
    """The index of a plan's library in its geometry. What an approximate one misses is measured and kept."""
    tracks = {track.track_id: track for track in plan.scope.tracks}
    embeddings = plan.scope.workspace.store.open(list(tracks), plan.scope.info, search_memory_bytes())
    if plan.measured is not None:
        works = groups_of([tracks[track_id] for track_id in plan.measured.track_ids], "work")
        known = measured_aspects(plan.scope)
        geometry = plan.measured.geometry({aspect: known[aspect] for aspect in plan.question.weights}, plan.avoid)
        of_moments = of_segments(type(geometry)).fit(embeddings.vectors)
        asked = _engine_for(plan, [tracks[track_id] for track_id in plan.measured.track_ids])
        return NeighbourIndex(plan.measured, geometry, works, of_segments=of_moments, **asked)
    works = groups_of([tracks[track_id] for track_id in embeddings.track_ids], "work")
    if not embeddings.track_ids:
        return NeighbourIndex(embeddings, LayerGeometry.fit(np.zeros((1, 1, 1))))  # says what is missing
    asked = _engine_for(plan, [tracks[track_id] for track_id in embeddings.track_ids])
    index = NeighbourIndex(embeddings, _fit(plan.kind, plan, embeddings.vectors), works, **asked)
    if index.rows.kind != "flat":
        index.recall = keep_recall(plan.scope, index, plan.key)[0].words
    return index


def _engine_for(plan: Plan, tracks: Sequence[Track]) -> dict[str, Any]:
    """What an index needs to ask another engine than FAISS; nothing where that answers."""
    name = plan.asks
    if name == FAISS:
        return {}
    metadata = [{name: value for name in FILTERS if (value := getattr(track, name))} for track in tracks]
    open_it = functools.partial(open_engine, plan.scope.workspace.paths, name, collection_key(plan.key))
    return {"open_engine": open_it, "metadata": metadata}


def build_segment_index(plan: Plan) -> SegmentIndex:
    """The segments of a plan's library: in its directions, or in one layer.

    Raises
    ------
    InputError
        If the library has more segments than are searched in a layer, or something is to be left out of one layer.
    """
    kind = of_segments(plan.kind)
    if plan.avoid and not kind.supports_avoid:
        raise InputError(
            f"Passages are searched in one layer, from which {' and '.join(plan.question.avoid)} cannot be left out.",
            "Leave nothing out, or search the whole recording, or set how near is measured to auto.",
        )
    scope = plan.scope
    track_ids = scope.workspace.catalogue.track_ids(scope.library)
    embeddings = scope.workspace.store.open(track_ids, scope.info, search_memory_bytes())
    if not embeddings.track_ids:
        raise DataMissingError(
            f"No track of this library has an embedding by {scope.info.id} yet.",
            f"python -m mess_core extract --encoder {scope.info.id}",
        )
    geometry = _fit(kind, plan, embeddings.vectors)
    counts = scope.workspace.store.segment_counts(embeddings.track_ids, scope.info)
    n_segments = int(counts.sum())
    if kind.most_segments is not None and n_segments > kind.most_segments:
        raise InputError(
            f"This library has {n_segments} segments; passages are searched in a layer up to {kind.most_segments}.",
            "Ask for an aspect, so that directions are searched: they have no limit.",
        )
    folder = scope.workspace.paths.packed
    items = read_packed(folder / f"{plan.key}-segments.npy", (n_segments, geometry.n_columns))
    starts_s = read_packed(folder / f"{plan.key}-starts.npy", (n_segments,))
    if items is None or starts_s is None:
        items, starts_s = np.empty((n_segments, geometry.n_columns), np.float32), np.empty(n_segments, np.float32)
        first = 0
        for track_id, count in zip(embeddings.track_ids, counts, strict=True):
            embedding = scope.embedding(track_id)
            items[first : first + count] = geometry.items(embedding.segments.astype(np.float32))
            starts_s[first : first + count] = embedding.starts_s
            first += count
        write_packed(folder / f"{plan.key}-segments.npy", items)
        write_packed(folder / f"{plan.key}-starts.npy", starts_s)
    return SegmentIndex(embeddings.track_ids, items, starts_s, counts, scope.info.segment_s, geometry)


def _fit(kind: type[Geometry], plan: Plan, vectors: Rows) -> Geometry:
    """The geometry of a plan's library, by what was discovered as far as it needs that."""
    info = plan.scope.info
    if plan.learned is not None and kind is LearnedGeometry:
        return plan.learned.geometry(vectors)
    if plan.discovery is None:
        return kind.fit(vectors, info=info)
    needs_directions = kind.has_directions or plan.avoid
    directions = plan.scope.directions(plan.discovery) if needs_directions else None
    return kind.fit(vectors, plan.discovery.aspects, directions, plan.avoid, info)


# --- answering ----------------------------------------------------------------------------------------------


def answer(index: NeighbourIndex, plan: Plan, query: Query, *, with_moments: bool = True) -> Answer:
    """The tracks that come first for a query; the query itself, byte for byte, never comes back.

    Without moments no segment is read: what takes most of the time where many queries are answered.

    Raises
    ------
    InputError
        If what is asked for leaves nothing to compare, or names the query itself.
    UnknownTrackError, DataMissingError
        If it names a track that is not here, or cannot be compared.
    """
    check_named(index, plan, query)
    if plan.question.words:
        return answer_in_words(plan, index, query)
    if plan.question.along:
        return answer_along(index, plan, query)
    workspace = plan.scope.workspace
    found = index.search(
        vector_of(plan, query),
        plan.question,
        exclude=[query.track_id],
        facts_of=facts_of_plan(plan),
        query_facts=query.facts,
        onsets_of=lambda track_id: _onsets_of(workspace, query, track_id),
        corrects_hubs=correction_helps(plan.scope, plan.geometry),
    )
    moments: list[tuple[Neighbour, Moment | None]] = [(neighbour, None) for neighbour in found.neighbours]
    if with_moments:
        moments = _with_moments(index, plan, query, found.neighbours)
    return Answer(
        query, plan, _found_tracks(workspace, moments), found.is_strange, index.rows.kind,
        answered_by=index.answered_by,
    )  # fmt: skip


def check_named(index: NeighbourIndex, plan: Plan, query: Query) -> None:
    """Refuse as a name beside the query the query itself, and what cannot be compared; errors as `answer`."""
    catalogue, scope = plan.scope.workspace.catalogue, plan.scope
    for track_id in (*plan.question.like, *plan.question.unlike):
        if track_id == query.track_id:
            raise InputError(
                "The query is named once more among what answers should be like or unlike.", "Leave it out."
            )
        if not catalogue.has(track_id):
            raise UnknownTrackError(f"The recording {track_id} is not here, or not any more.", "Name another one.")
        title = catalogue.track(track_id).title
        if track_id not in catalogue.track_ids(scope.library):
            raise UnknownTrackError(f"{title} is not in the library {scope.library}.", "Name a recording of it.")
        if not scope.workspace.store.has(track_id, scope.info):
            raise DataMissingError(
                f"{title} is not embedded yet by {scope.info.id}, so nothing can be like it.",
                f"python -m mess_core extract --encoder {scope.info.id}",
            )
        try:
            index.row_of(track_id)
        except KeyError as error:
            raise DataMissingError(
                f"{title} lacks a measured value that is asked for, so nothing can be like it.",
                "Name another one, or let the encoder compare: geometry layer.",
            ) from error


def answer_along(index: NeighbourIndex, plan: Plan, query: Query | None = None) -> Answer:
    """All tracks in order along an aspect, the least of it first or the most; the query is placed, and not in the list.

    Raises
    ------
    DataMissingError, InputError
        If the query has no place there.
    """
    question, workspace = plan.question, plan.scope.workspace
    query_id = None if query is None else query.track_id
    placed = None if query is None else index.geometry.items(vector_of(plan, query)[None])[0]
    dial, at = dial_of(index, question.along, plan.measured, placed, query_id if query_id in index.track_ids else None)
    percentiles = ranks(at)
    sign = 1 if question.reverse else -1
    order = sorted(range(len(at)), key=lambda row: (-sign * at[row], index.track_ids[row]))
    chosen = select(
        (
            Candidate(row, index.track_ids[row], sign * float(at[row]), float(at[row]))
            for row in order
            if index.track_ids[row] != query_id
        ),
        replace(question, diversity=0.0, duplicates="keep"),
        query.facts if query is not None else Facts(),
        facts_of_plan(plan),
    )
    neighbours = [
        Neighbour(
            rank,
            candidate.track_id,
            candidate.similarity,
            float(percentiles[candidate.row]),
            value=None if plan.measured is None else float(plan.measured.raw_of(dial.target)[candidate.row]),
        )
        for rank, candidate in enumerate(chosen, start=1)
    ]
    with_moments: list[tuple[Neighbour, Moment | None]] = [(neighbour, None) for neighbour in neighbours]
    if query is not None:
        with_moments = _with_moments(index, plan, query, neighbours)
    return Answer(query, plan, _found_tracks(workspace, with_moments), None, index.rows.kind, dial=dial)


def _with_moments(
    index: NeighbourIndex, plan: Plan, query: Query, neighbours: Sequence[Neighbour]
) -> list[tuple[Neighbour, Moment | None]]:
    weights = index.segment_weights(plan.question)
    query_items = index.of_segments.items(query.embedding.segments.astype(np.float32))
    return [
        (neighbour, _best_moment(index, plan, query, query_items, weights, neighbour.track_id))
        for neighbour in neighbours
    ]


def answer_in_words(plan: Plan, index: NeighbourIndex | None = None, query: Query | None = None) -> Answer:
    """What is heard as it is asked for in words, the best first; with a query and the index, like it, too.

    Without tags, or not in the index, a recording cannot be found. The score is that of `words.py`.

    Raises
    ------
    DataMissingError
        If MusiCNN has heard nothing of the library yet.
    InputError
        If the words cannot be meant.
    """
    workspace, question = plan.scope.workspace, plan.question
    if query is None and (question.like or question.unlike):
        raise InputError("Nothing can be like another recording, too, without a query.", "Give a query.")
    wishes = parse_words(", ".join(question.words))
    tagged = require_tags(workspace, plan.scope.library)
    names, rows, likeness = [*map(str, wishes)], np.arange(len(tagged.track_ids)), None
    if index is not None and query is not None:
        named = {query.track_id, *question.like, *question.unlike}
        of_index = {track_id: row for row, track_id in enumerate(index.track_ids) if track_id not in named}
        rows = np.array([row for row, track_id in enumerate(tagged.track_ids) if track_id in of_index], int)
        similarities = index.similarity_of_all(vector_of(plan, query), question)
        likeness = ranks(similarities[[of_index[tagged.track_ids[row]] for row in rows]])
        names.append(LIKENESS)
    shares = shares_of(points_of(tagged, wishes)[rows], likeness)
    scores = shares.sum(axis=1).round(9)  # whatever the order of the words
    order = sorted(range(len(rows)), key=lambda n: (-scores[n], tagged.track_ids[rows[n]]))
    chosen = select(
        (Candidate(n, tagged.track_ids[rows[n]], float(scores[n]), float(scores[n])) for n in order),
        replace(question, diversity=0.0, duplicates="keep"),
        query.facts if query is not None else Facts(),
        facts_of_plan(plan),
    )
    percentiles = ranks(scores)
    neighbours = [
        Neighbour(
            rank,
            candidate.track_id,
            candidate.score / 100,
            float(percentiles[candidate.row]),
            words=dict(zip(names, shares[candidate.row].tolist(), strict=True)),
        )
        for rank, candidate in enumerate(chosen, start=1)
    ]
    with_moments: list[tuple[Neighbour, Moment | None]] = [(neighbour, None) for neighbour in neighbours]
    if index is not None and query is not None:
        with_moments = _with_moments(index, plan, query, neighbours)
    return Answer(query, plan, _found_tracks(workspace, with_moments), None, index.rows.kind if index else "flat")


def facts_of_plan(plan: Plan) -> FactsOf:
    """What selection goes by."""
    return facts_for(plan.scope.workspace, plan.scope.library, plan.question)


def vector_of(plan: Plan, query: Query) -> np.ndarray:
    """What of a query is compared, (n_layers, dim): its embedding, or its place among what was measured.

    Raises
    ------
    DataMissingError, InputError
        If what is asked for was not measured of the query.
    """
    placed: np.ndarray = query.embedding.mean if plan.measured is None else plan.measured.place(query.values)
    return placed


def _onsets_of(workspace: Workspace, query: Query, track_id: str | None) -> np.ndarray | None:
    """What begins when in a track, or in the query; None where its sound is not here, or cannot be read."""
    path = _path_of(workspace, query, track_id)
    try:
        return None if path is None else _onsets(path, track_id or query.track_id)
    except (MessError, OSError):
        return None


def _path_of(workspace: Workspace, query: Query, track_id: str | None) -> Path | None:
    """Where the sound of a track is, or of the query; None where it is not here."""
    try:
        return workspace.catalogue.audio_path(track_id or query.track_id)
    except MessError:  # gone, or a file that is in no library
        return Path(query.text) if track_id is None else None


@functools.lru_cache(maxsize=128)  # 0.2 MB each; a page asks again at every move of a slider
def _onsets(path: Path, content: str) -> np.ndarray:
    """The onsets of a file's beginning; `content` is the id of its track, another one when its bytes are others."""
    audio, rate_hz = read_excerpt(path, 0.0, HEARD_S)
    found = onsets(soxr.resample(audio.mean(axis=1), rate_hz, RATE_HZ))
    found.setflags(write=False)
    return found


def answer_passage(index: SegmentIndex, plan: Plan, query: Query, passage: tuple[float, float]) -> Answer:
    """The tracks that hold something most like a passage of the query, START to END in seconds.

    Raises
    ------
    InputError
        If the passage is not in the query, or what is avoided leaves nothing of an aspect asked for.
    """
    workspace, segments = plan.scope.workspace, query.embedding
    rows = passage_rows(segments.starts_s, plan.scope.info.segment_s, *passage, query.duration_s)
    items = index.geometry.items(segments.segments[rows].astype(np.float32))
    parts = index.geometry.parts
    asked = plan.question.weights if index.geometry.has_directions else {}  # in one layer all aspects are one
    gone = [aspect for aspect in asked if aspect not in parts]
    if gone:
        raise InputError(f"Nothing is left of {gone[0]} once the aspects to avoid are removed.", "Ask for another one.")
    weights = np.array([asked.get(part, 0.0) for part in parts]) if asked else index.geometry.plain
    question = plan.question
    n_pool = max(POOL_AT_LEAST, POOL_PER_RESULT * question.k)
    found = {
        match.track_id: match
        for match in index.search(items, segments.starts_s[rows], weights, n_pool, exclude=[query.track_id])
    }
    chosen = select(
        (
            Candidate(row, match.track_id, match.similarity, match.similarity)
            for row, match in enumerate(found.values())
        ),
        replace(question, diversity=0.0, duplicates="keep", k=max(question.k, LOCATED)),
        query.facts,
        facts_of_plan(plan),
    )
    if question.diversity or question.duplicates != "keep" or question.hubs == "on":
        notice = "Diversity, near-duplicates and hubs are not looked at when a passage is searched."
        plan = replace(plan, notices=(*plan.notices, notice))
    matches = [found[candidate.track_id] for candidate in chosen]
    places = _located(workspace, query, passage, matches[:LOCATED])
    places += [PassagePlace(match.moment, is_copy=False) for match in matches[LOCATED:]]
    order = sorted(range(len(matches)), key=lambda row: not places[row].is_copy)
    if order != list(range(len(matches))):
        notice = "What holds the very same sound comes first, however alike what surrounds it is."
        plan = replace(plan, notices=(*plan.notices, notice))
    with_moments: list[tuple[Neighbour, Moment | None]] = []
    for rank, row in enumerate(order[: question.k], start=1):
        match = matches[row]
        neighbour = Neighbour(rank, match.track_id, match.similarity, match.percentile, semitones=match.semitones)
        with_moments.append((neighbour, places[row].moment))
    return Answer(query, plan, _found_tracks(workspace, with_moments), None, index.rows.kind, passage)


def _located(
    workspace: Workspace, query: Query, passage: tuple[float, float], matches: Sequence[PassageMatch]
) -> list[PassagePlace]:
    """Where a passage begins in each track by its sound; by its segments where the sound is not here.

    What sounds in another key is followed in that key, and is no copy.
    """
    start_s, length_s = passage[0], min(passage[1] - passage[0], frames.LONGEST_S + frames.HOP_S)
    path, paths = _path_of(workspace, query, None), [_path_of(workspace, query, match.track_id) for match in matches]

    def place(match: PassageMatch, its_path: Path | None) -> PassagePlace:
        moment = match.moment
        stretch_s = max(0.0, moment.track_s - frames.AROUND_S)
        stretch_length_s = moment.track_s - stretch_s + min(moment.length_s, 2 * length_s) + frames.AROUND_S
        if path is None or its_path is None:
            return PassagePlace(moment, is_copy=False)
        try:
            heard = pitch_classes_of(path, query.track_id, start_s, length_s)
            stretch = pitch_classes_of(its_path, match.track_id, stretch_s, stretch_length_s)
        except (MessError, OSError):
            return PassagePlace(moment, is_copy=False)
        if not match.semitones:
            return frames.locate(moment, heard, start_s, stretch, stretch_s)
        transposed = np.roll(heard, match.semitones, axis=1)
        return replace(frames.locate(moment, transposed, start_s, stretch, stretch_s), is_copy=False)

    with ThreadPoolExecutor(LISTENERS) as listeners:
        return list(listeners.map(place, matches, paths))


@functools.lru_cache(maxsize=128)  # 50 kB each
def pitch_classes_of(path: Path, content: str, start_s: float, length_s: float) -> np.ndarray:
    """The pitch classes of a passage of a file; `content` as for `_onsets`."""
    audio, rate_hz = read_excerpt(path, start_s, length_s)
    found = frames.pitch_classes(soxr.resample(audio.mean(axis=1), rate_hz, frames.RATE_HZ, quality="LQ"))
    found.setflags(write=False)
    return found


def query_of(scope: Scope, track: Track, text: str = "") -> Query:
    """A catalogued and embedded track as a query."""
    return Query(
        text=text or track.track_id,
        track_id=track.track_id,
        embedding=scope.embedding(track.track_id),
        duration_s=track.duration_s,
        facts=facts_of(scope.workspace, track.track_id),
        values=scope.workspace.measurements.of_track(track.track_id, current_only=True),
    )


def _found_tracks(workspace: Workspace, found: Sequence[tuple[Neighbour, Moment | None]]) -> tuple[FoundTrack, ...]:
    """Neighbours with what the catalogue knows of them, asked for all at once."""
    catalogue, track_ids = workspace.catalogue, [neighbour.track_id for neighbour, _ in found]
    tracks, paths = catalogue.tracks_of(track_ids), catalogue.likely_audio_paths(track_ids)
    return tuple(
        FoundTrack(
            neighbour,
            tracks.get(neighbour.track_id) or catalogue.track(neighbour.track_id),  # its file has changed since
            paths[neighbour.track_id],
            moment,
        )
        for neighbour, moment in found
    )


def _best_moment(
    index: NeighbourIndex,
    plan: Plan,
    query: Query,
    query_items: np.ndarray,
    weights: np.ndarray,
    track_id: str,
) -> Moment | None:
    """Where query and track resemble each other most, as far as it can be in the geometry and weights of the search."""
    try:
        embedding = plan.scope.embedding(track_id)
    except ArtefactMismatchError:
        return None  # damaged since it was indexed; `check` names it
    items = index.of_segments.items(embedding.segments.astype(np.float32))
    similarities = index.of_segments.matrix(query_items, items, weights)
    starts_s = query.embedding.starts_s, embedding.starts_s
    found = best_moments(similarities, *starts_s, plan.scope.info.segment_s, n=1)
    return found[0] if found else None
