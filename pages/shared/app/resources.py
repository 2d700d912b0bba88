"""Everything the pages share between sessions: the data folder, and the indexes built from it.

Keys are plain values that change with the content; never an array, never a model. What comes out is shared by all
sessions and must not be changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.registry import encoder_ids, encoder_info
from mess_core.errors import ArtefactMismatchError
from mess_core.evaluation.kept import Evaluation, What, load_evaluation
from mess_core.learning.ways import Ways, ways_of
from mess_core.probing.discovery import Discovery, kept_paths, load_predictions, path_of, place_of, read
from mess_core.probing.paired import RunComparison, compare_runs
from mess_core.probing.result import ProbeResult
from mess_core.probing.rows import Row, rows_of
from mess_core.search.answers import Plan, build_index, build_segment_index
from mess_core.search.evaluated import evaluation_path
from mess_core.search.learned import LearnedMetric, load_metric, metric_path
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.segments import SegmentIndex
from mess_core.search.tagged import TaggedLibrary, tagged_library
from mess_core.storage.paths import Paths
from mess_core.study.kept import StudyFacts, missing_rows, stamp_of, study_folder
from mess_core.study.table import StudyTable, tabulate
from mess_core.targets.own import own_stamp, own_targets
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

BY_NAME = {Scope: lambda scope: (str(scope.workspace.paths.root), scope.library, scope.info.fingerprint)}


def workspace() -> Workspace:
    """The data folder: MESS_HOME, or `data/`; the same for pages and routes until another one lies in its place."""
    opened = _workspace()
    if opened.database.is_replaced:
        _workspace.clear()
        opened = _workspace()
    return opened


@st.cache_resource(show_spinner=False)
def _workspace() -> Workspace:
    return Workspace()


def close() -> None:
    """Close the data folder, at the end of the server."""
    _workspace().close()


def info(encoder_id: str) -> EncoderInfo:
    """Facts of an encoder."""
    return encoder_info(encoder_id, workspace().paths)


def discovery(scope: Scope) -> Discovery | None:
    """What searches of a library go by; read again when any library's default run, or what is known here, changed."""
    scope = scope.for_aspects
    own = own_discovery(scope)
    if own is not None and own.fingerprint == scope.info.fingerprint and own.has_evidence:
        return own  # which is what `discovery_for_search` gives then, whatever else is known here
    return _discovery_for_search(scope, scope.stamp_of_discovery())


def has_discovery(scope: Scope) -> bool:
    """Whether searches of a library have one to go by: its own does, with evidence or without."""
    own = own_discovery(scope.for_aspects)
    return (own is not None and own.fingerprint == scope.for_aspects.info.fingerprint) or discovery(scope) is not None


def own_discovery(scope: Scope) -> Discovery | None:
    """A library's own discovery, with evidence or without; None where there is none that can be read."""
    path = path_of(workspace().paths, scope.library, scope.info, "work", "track")
    return _discovery(str(path), path.stat().st_mtime_ns) if path.is_file() else None


def evaluation(scope: Scope, what: What) -> Evaluation | None:
    """A kept evaluation of a library; read again when anything in the folder of its encoder was replaced."""
    folder = evaluation_path(scope, what).parent
    return _evaluation(scope, what, folder.stat().st_mtime_ns) if folder.is_dir() else None


def index(plan: Plan) -> NeighbourIndex:
    """The index of a plan; built again when a track is added, removed or extracted again, or discovery ran again."""
    return _index(plan.index_key, plan)


def segment_index(plan: Plan) -> SegmentIndex:
    """The same for the segments."""
    return _segment_index(plan.key, plan)


def ways(scope: Scope, *, is_growing: bool) -> Ways:
    """In what the recordings of a library are compared when somebody judges them; made again when one is added.

    That takes seconds of a large library. While it is being filled, which happens every second then, they are made
    again only when there are twice as many recordings.
    """
    full = (scope.content, *workspace().measurements.stamp())
    return _ways(scope, (scope.n_embedded.bit_length(),) if is_growing else full)


def forget_ways() -> None:
    """A recording is gone that they still know."""
    _ways.clear()


def metric(scope: Scope) -> LearnedMetric | None:
    """What was learned for a library and is active; None where nothing is, or what is cannot be used."""
    path = metric_path(workspace().paths, scope.library, scope.info)
    return _metric(scope, path.stat().st_mtime_ns) if path.is_file() else None


def study_table(study: StudyFacts, test: str, k: int) -> StudyTable:
    """The table of a study; put together again whenever a row of it was run."""
    paths = workspace().paths
    return _study_table(str(study_folder(paths, study.plan.name)), stamp_of(paths, study.plan.name), test, k, study)


def n_missing(study: StudyFacts) -> int:
    """How many rows of a study were not run, or could not be."""
    paths = workspace().paths
    return _n_missing(str(study_folder(paths, study.plan.name)), stamp_of(paths, study.plan.name), study)


def tagged(library: str) -> TaggedLibrary:
    """As what the recordings of a library are heard."""
    with st.spinner("Reading as what the recordings are heard…"):  # shown only where it takes a while
        return tagged_library(workspace(), library)


def discoveries(library: str) -> dict[str, Discovery]:
    """Every kept run of a library, by title; read again when its file changed."""
    found = (_discovery(str(path), path.stat().st_mtime_ns) for path in kept_paths(workspace().paths, library))
    known = {encoder_id: info(encoder_id).fingerprint for encoder_id in encoder_ids(workspace().paths)}
    return {run.title: run for run in found if run is not None and known.get(run.encoder) == run.fingerprint}


def predictions(found: Discovery) -> ProbeResult:
    """What was said of every row of a discovery; read where somebody looks at single rows."""
    return _predictions(found.predictions_sha256, found) if found.predictions_sha256 else found.result


def comparison(found: Discovery, other: Discovery) -> RunComparison:
    """What one run tells better than another; InputError where they are not of the same rows and folds."""
    return _comparison(found.run_id, found.predictions_sha256, other.run_id, other.predictions_sha256, found, other)


def own_target_names() -> list[str]:
    """What the targets of one's own are called; read again when one was brought, replaced or forgotten."""
    paths = workspace().paths
    return _own_target_names(own_stamp(paths), paths)


def rows(found: Discovery) -> dict[int, Row]:
    """What each row of a discovery stands for; read again when one of its tracks was extracted again."""
    encoder, track_ids = info(found.encoder), sorted({row_id.partition(":")[0] for row_id in found.row_ids})
    return _rows(found.content, workspace().store.content(track_ids, encoder), found.level, found.row_ids, encoder)


@st.cache_resource(max_entries=2, show_spinner="Reading what was predicted…")  # of a large library hundreds of MB
def _predictions(sha256: str, _found: Discovery) -> ProbeResult:
    return load_predictions(place_of(workspace().paths, info(_found.encoder), _found), _found)


@st.cache_resource(max_entries=8, show_spinner="Comparing the two runs…")
def _comparison(
    run_id: str, sha256: str, other_id: str, other_sha256: str, _found: Discovery, _other: Discovery
) -> RunComparison:
    return compare_runs(*(replace(each, result=predictions(each)) for each in (_found, _other)))


@st.cache_resource(max_entries=1, show_spinner=False)
def _own_target_names(stamp: tuple[tuple[str, int], ...], _paths: Paths) -> list[str]:
    return list(own_targets(_paths))


@st.cache_resource(max_entries=8, show_spinner=False)
def _rows(probed: str, now: str, level: str, _row_ids: Sequence[str], _info: EncoderInfo) -> dict[int, Row]:
    return rows_of(workspace().store, _row_ids, _info)


@st.cache_resource(max_entries=32, show_spinner=False)
def _discovery(path: str, changed: int) -> Discovery | None:
    try:
        return read(Path(path))
    except ArtefactMismatchError:
        return None  # of another version: probed again when asked for


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_NAME)
def _evaluation(scope: Scope, what: What, changed: int) -> Evaluation | None:
    return load_evaluation(scope, what)


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_NAME)
def _discovery_for_search(scope: Scope, changed: tuple[float | str, ...]) -> Discovery | None:
    return scope.discovery_for_search()


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=BY_NAME)
def _metric(scope: Scope, changed: int) -> LearnedMetric | None:
    try:
        return load_metric(scope)
    except ArtefactMismatchError:
        return None  # of another version: learned again when asked for


@st.cache_resource(max_entries=2, show_spinner="Reading what is compared…", hash_funcs=BY_NAME)
def _ways(scope: Scope, changed: tuple[float | str, ...]) -> Ways:
    return ways_of(scope)


@st.cache_resource(max_entries=16, show_spinner="Putting the table together…")
def _study_table(folder: str, changed: tuple[int, ...], test: str, k: int, _study: StudyFacts) -> StudyTable:
    return tabulate(workspace().paths, _study, test, k)


@st.cache_resource(max_entries=16, show_spinner=False)
def _n_missing(folder: str, changed: tuple[int, ...], _study: StudyFacts) -> int:
    return len(missing_rows(workspace().paths, _study))


@st.cache_resource(max_entries=3, show_spinner="Building the index…")  # 400 MB each at ten thousand MERT tracks
def _index(key: str, _plan: Plan) -> NeighbourIndex:
    return build_index(_plan)


@st.cache_resource(max_entries=2, show_spinner="Gathering segments…")  # 150 MB each at a million segments
def _segment_index(key: str, _plan: Plan) -> SegmentIndex:
    return build_segment_index(_plan)
