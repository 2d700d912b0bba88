"""What teaches, gathered from a library: ratings, performances, works, performers or answers, as a course.

Moments with their embeddings, everything they are compared with, and what the reader of the figures should know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.collections.percepiano import read_ratings
from mess_core.config import RATERS, SPREAD
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.mel import MEL
from mess_core.encoders.musicnn import MTT
from mess_core.encoders.registry import encoder_info
from mess_core.errors import DataMissingError, InputError
from mess_core.handover.judgements import all_judgements
from mess_core.learning.course import DURATION, MEASURED, PLAYED, Course, Source
from mess_core.learning.fields import NAMED, Fields, usable_fields
from mess_core.learning.judging import inattentive
from mess_core.learning.moments import MomentSet, Span, cut_passages, passage_rows
from mess_core.learning.segments import SegmentSet, evenly, most_of_each
from mess_core.learning.teachers import FEWEST_PERFORMANCES
from mess_core.learning.triplets import answers_of, halves_agreement, rated_triplets
from mess_core.probing.discovery import groups_of
from mess_core.targets.base import TargetValue
from mess_core.targets.measurements import probe_scale
from mess_core.targets.registry import NUISANCES, TARGETS
from mess_core.words import counted
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

MOST_EXCERPT_S = 60.0  # a recording without score times counts as a passage of its own up to here
# What teaches expression: how keys are struck, held and placed. Tempo is in how many notes there are in a second.
TEACHING = (
    "velocity_mean", "velocity_std", "velocity_range", "articulation_ratio", "chord_asynchrony", "melody_lead",
    "pedal_ratio", "note_density",
)  # fmt: skip
KNOWN_SHARE = 0.9  # of the recordings whose notes must be known
RIVALS = {"log-mel": MEL.id, "chroma": CHROMA.id, "MusiCNN": MTT.id, "nano": "nano"}


@dataclass(frozen=True, eq=False)
class GatheredCourse:
    """A course, where its moments lie, what its reader should know, and what can be reached."""

    course: Course
    spans: list[Span]
    notices: tuple[str, ...] = ()
    ceiling: float | None = None


def gather(scope: Scope, source: Source, single: Path | None = None, question: str = "") -> GatheredCourse:
    """All that one source teaches of a library.

    `single` is a table of single ratings, for what people reach; of judgements, only those on `question` if one is
    named.

    Raises
    ------
    DataMissingError
        If there is too little of it: embeddings, works, performers, alignments, answers; a sentence says what.
    """
    scope.require_library()
    if scope.info.any_key:
        raise InputError(
            f"{scope.info.title} compares in twelve keys, which cannot be bent by learning.", "Ask for another hearing."
        )
    tracks = scope.embedded_tracks
    if not tracks:
        raise DataMissingError(
            f"No track of library {scope.library!r} has an embedding by {scope.info.id} yet.",
            f"python -m mess_core extract --encoder {scope.info.id}",
        )
    match source:
        case "expression":
            return _expression(scope, tracks)
        case "ratings":
            return _ratings(scope, tracks, single)
        case "judgements":
            return _judgements(scope, tracks, question)
        case _:
            return _labels(scope, tracks, source)


def _labels(scope: Scope, tracks: list[Track], source: Source) -> GatheredCourse:
    """Works and performers teach whole recordings."""
    wholes = _wholes(tracks)
    performers = {track.performer for track in tracks} - {None}
    if source == "performers" and len(performers) < 2:
        named = f"only {next(iter(performers))}" if performers else "nobody"
        raise DataMissingError(
            f"Performers cannot be told apart here: {named} is named as one.", "Add recordings by others, with names."
        )
    if len({span.name for span in wholes}) < 2:
        raise DataMissingError("All recordings here are of one work: nothing can be tested on another.", "Add works.")
    return GatheredCourse(_course(scope, source, wholes, tracks), wholes)


def _ratings(scope: Scope, tracks: list[Track], single: Path | None) -> GatheredCourse:
    """Scales with a spread and a number of raters beside them, as PercePiano has."""
    details = scope.workspace.catalogue.details_of_many([track.track_id for track in tracks])
    names = dict.fromkeys(name for each in details.values() for name in each)
    scales = _scales(names)
    if not scales:
        raise DataMissingError(
            f"No recording of {scope.library!r} was rated.",
            f"Add a table with columns X, X{SPREAD} and X{RATERS}, or the collection PercePiano.",
        )

    profiles = np.array([[_float(details.get(track.track_id, {}).get(scale)) for scale in scales] for track in tracks])
    wholes = _wholes(tracks)
    course = _course(scope, "ratings", wholes, tracks, profiles)
    spans = course.moments.codes(course.moments.spans)
    triplets = rated_triplets(profiles, spans)
    if not len(triplets):
        raise DataMissingError(
            "Nothing rated here is played by three performers, so no two of them can be compared with a third.",
            "Add other performances of the same works.",
        )
    return GatheredCourse(
        replace(course, triplets=triplets), wholes, (), None if single is None else _ceiling(single, tracks, spans)
    )


def _ceiling(path: Path, tracks: list[Track], spans: np.ndarray) -> float | None:
    """What one half of the raters tells of the other; None where none of the single ratings is of what is here."""
    row_of = {f"{track.work}, {track.performer}": row for row, track in enumerate(tracks)}
    names, ratings = read_ratings(path)
    known = np.array([name in row_of for name in names], bool)
    rows = np.array([row_of[name] for name in names if name in row_of], int)
    return halves_agreement(ratings[known], rows, spans, len(tracks)) if len(rows) else None


def questions_of(workspace: Workspace) -> list[str]:
    """What judgements were answers to, each once."""
    return sorted({each.question for each in all_judgements(workspace)})


def _judgements(scope: Scope, tracks: list[Track], question: str) -> GatheredCourse:
    workspace = scope.workspace
    judged = [each for each in all_judgements(workspace) if question in ("", each.question)]
    if question and not judged:
        raise DataMissingError(
            f"Nobody has answered {question!r}.", f"Answered was: {', '.join(questions_of(workspace)) or 'nothing'}."
        )
    row_of = {track.track_id: row for row, track in enumerate(tracks)}
    answers = answers_of(judged, row_of, inattentive(workspace))
    wholes = _wholes(tracks)
    course = replace(_course(scope, "judgements", wholes, tracks), triplets=answers.triplets)
    return GatheredCourse(course, wholes, answers.notices, answers.agreement)


def _expression(scope: Scope, tracks: list[Track]) -> GatheredCourse:
    """The same bars by others, and what of their notes differs."""
    passages = scope.workspace.catalogue.passages
    spans = cut_passages([(track.track_id, passages.of_track(track.track_id)) for track in tracks])
    cut = {span.recording for span in spans}
    short = [track for track in tracks if track.track_id not in cut and track.duration_s <= MOST_EXCERPT_S]
    played: dict[str, set[str]] = {}
    everything = [*spans, *_wholes(short)]
    for span in everything:
        played.setdefault(span.name, set()).add(span.recording)
    wanted = [span for span in everything if len(played[span.name]) >= FEWEST_PERFORMANCES]
    if not wanted:
        raise DataMissingError(
            f"No passage of {scope.library!r} is played by three performers: no recording knows the times of a score "
            "that others know, too, and no short excerpt has that many.",
            "Add performances with alignments (ASAP, Vienna 4x22), then measure: python -m mess_core targets.",
        )
    profiles = _played(scope, wanted)
    is_known = np.isfinite(profiles).all(axis=1)
    kept = [span for span, known in zip(wanted, is_known, strict=True) if known]
    if len({span.name for span in kept}) < 2:
        raise DataMissingError("Of too few passages the notes are known: expression cannot be measured.", "Add MIDI.")
    course = _course(scope, "expression", kept, tracks, profiles[is_known])
    n_out = len(wanted) - len(kept)
    notices = (f"{counted(n_out, 'passage')} left out: their notes are not known.",) if n_out else ()
    return GatheredCourse(course, kept, notices)


def _wholes(tracks: list[Track]) -> list[Span]:
    """Recordings as passages of their own; of one work they are the same span."""
    works = groups_of(tracks, "work")
    return [Span(work, track.track_id, 0.0, track.duration_s) for track, work in zip(tracks, works, strict=True)]


def _played(scope: Scope, spans: list[Span]) -> np.ndarray:
    """What teaches of each passage, by its MIDI, (n, n_scales); NaN where that is not known."""
    from mess_core.targets import midi  # takes scipy, which no page needs

    measurements = scope.workspace.measurements
    found = np.full((len(spans), len(TEACHING)), np.nan)
    by_recording: dict[str, list[int]] = {}
    for row, span in enumerate(spans):
        by_recording.setdefault(span.recording, []).append(row)
    for recording, rows in by_recording.items():
        files = measurements.files(recording)
        if files.midi is None:
            continue
        try:
            performance = midi.read_performance(files.midi)
        except (InputError, OSError):
            continue
        for row in rows:
            span = spans[row]
            is_whole = span.start_s == 0.0 and "@" not in recording and len(rows) == 1
            values: Mapping[str, TargetValue] = (
                midi.measure(performance)
                if is_whole
                else midi.measure(performance, start_s=span.start_s, length_s=span.end_s - span.start_s)
            )
            found[row] = [float(probe_scale(np.array([values[target].value]), target)[0]) for target in TEACHING]
    # A scale that is unknown here and there (no chord, no pedal) says nothing there; one that mostly is, is left out.
    usual = np.isfinite(found).mean(axis=0) >= 0.5
    if not usual.any():
        return np.full((len(spans), 1), np.nan)
    kept = found[:, usual]
    known_rows = np.isfinite(kept).any(axis=1)
    medians = np.nanmedian(kept, axis=0) if known_rows.any() else np.zeros(kept.shape[1])
    filled = np.where(np.isfinite(kept), kept, medians)
    filled[~known_rows] = np.nan
    return filled


def _course(
    scope: Scope, source: Source, spans: list[Span], tracks: list[Track], profiles: np.ndarray | None = None
) -> Course:
    """MomentSet with their embeddings, and everything they are compared with."""
    by_id = {track.track_id: track for track in tracks}
    works = dict(zip(by_id, groups_of(tracks, "work"), strict=True))
    is_of_passages = any(span.start_s or span.end_s < by_id[span.recording].duration_s for span in spans)
    ids = tuple(
        f"{span.recording}#{span.start_s:.3f}-{span.end_s:.3f} {span.name}" if is_of_passages else span.recording
        for span in spans
    )
    moments = MomentSet(
        ids=ids,
        recordings=tuple(span.recording for span in spans),
        spans=tuple(span.name for span in spans),
        works=tuple(works[span.recording] for span in spans),
        performers=tuple(by_id[span.recording].performer for span in spans),
        vectors=_vectors(scope, scope.info, spans),
        durations_s=np.array([span.end_s - span.start_s for span in spans]),
    )
    rivals = {}
    for name, encoder_id in RIVALS.items():
        info = encoder_info(encoder_id, scope.workspace.paths)
        known = scope.workspace.store.known(info)
        if encoder_id != scope.info.id and all(span.recording in known for span in spans):
            rivals[name] = _vectors(scope, info, spans)
    values = {DURATION: np.log(np.maximum(moments.durations_s, 1e-3))[:, None]}
    measured = None if is_of_passages else _measured(scope, moments.recordings)
    if measured is not None:
        values[MEASURED] = measured
    if source == "ratings":  # do people hear what the proxies of expression measure?
        played = _played(scope, spans)
        if np.isfinite(played).all(axis=1).mean() >= KNOWN_SHARE:
            values[PLAYED] = played
    widths = scope.info.widths or (moments.vectors.shape[2],) * moments.vectors.shape[1]
    return Course(
        source, moments, tuple(widths), profiles, None, rivals, values, fields=_fields(scope, source, moments, by_id)
    )


def _fields(scope: Scope, source: Source, moments: MomentSet, by_id: Mapping[str, Track]) -> Fields | None:
    """What the catalogue and the user's own table say of each moment, without what is rated and what is taught."""
    details = scope.workspace.catalogue.details_of_many(list(by_id))
    names = dict.fromkeys(name for each in details.values() for name in each)
    rated = {f"{scale}{end}" for scale in _scales(names) for end in ("", SPREAD, RATERS)}
    columns: dict[str, list[str | None]] = {
        name: [getattr(by_id[recording], name) for recording in moments.recordings] for name in NAMED
    }
    for name in names:
        if name not in rated and name not in columns:
            columns[name] = [details.get(recording, {}).get(name) for recording in moments.recordings]
    taught = {"works": moments.works, "performers": moments.performers}.get(source)
    return usable_fields(columns, source, taught)


def _scales(names: Collection[str]) -> list[str]:
    """The columns that were rated: with a spread and a number of raters beside them."""
    return [name for name in names if f"{name}{SPREAD}" in names and f"{name}{RATERS}" in names]


def _vectors(scope: Scope, info: EncoderInfo, spans: list[Span]) -> np.ndarray:
    """Embeddings of passages, (n, n_layers, dim) float32: of a recording its own, else the mean of its segments."""
    seen = replace(scope, info=info)
    recordings = sorted({span.recording for span in spans})
    whole = scope.workspace.store.load(recordings, info)
    row_of = {track_id: row for row, track_id in enumerate(whole.track_ids)}
    is_whole = _are_wholes(spans)
    vectors = np.empty((len(spans), *whole.vectors.shape[1:]), np.float32)
    for row, span in enumerate(spans):
        if is_whole[row]:
            vectors[row] = whole.vectors[row_of[span.recording]]
            continue
        embedding = seen.embedding(span.recording)
        rows = passage_rows(embedding.starts_s, info.segment_s, span.start_s, span.end_s)
        vectors[row] = embedding.segments[rows].astype(np.float32).mean(axis=0)
    return vectors


def _are_wholes(spans: list[Span]) -> list[bool]:
    """Whether each is all of its recording."""
    counts = Counter(span.recording for span in spans)
    return [counts[span.recording] == 1 and span.start_s == 0.0 for span in spans]


def segments_of(scope: Scope, spans: list[Span]) -> SegmentSet | None:
    """The segments of each moment, as many as fit, evenly chosen; None where none has two."""
    most = most_of_each(len(spans), scope.info.n_numbers)
    found = []
    for span, is_whole in zip(spans, _are_wholes(spans), strict=True):
        embedding = scope.embedding(span.recording)
        rows = np.arange(len(embedding.segments))
        if not is_whole:
            rows = passage_rows(embedding.starts_s, scope.info.segment_s, span.start_s, span.end_s)
        found.append(embedding.segments[rows[evenly(len(rows), most)]])
    segments = SegmentSet(np.concatenate(found), np.array([len(each) for each in found]))
    return segments if segments.has_several else None


def _measured(scope: Scope, recordings: tuple[str, ...]) -> np.ndarray | None:
    """What was measured in the sound of each recording, on the scale of probes; None where too little was."""
    columns = []
    for target in TARGETS.values():
        if target.signal == "audio" and target.tier != "low" and target.id not in NUISANCES[:1]:
            values = probe_scale(scope.workspace.measurements.values(recordings, target.id), target.id)
            if np.isfinite(values).mean() >= 0.9 and np.nanstd(values) > 0:
                columns.append(values)
    return np.stack(columns, axis=1) if columns else None


def _float(text: str | None) -> float:
    try:
        return np.nan if text is None else float(text)
    except ValueError:
        return np.nan
