"""Reproducing: a kept result is computed again from this data folder and compared with the file, number by number.

Discoveries and evaluations lie in the folder `probing/`, maps in `cache/maps/`; the answer to a search is what Listen
saves as JSON, or `similar --json` prints. It holds the query, the question and the library, so it is asked again.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mess_core.collections.opening import read_track
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.registry import encoder_info
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.evaluation.kept import KINDS, Evaluation, What, evaluation_of
from mess_core.handover.exports import as_document
from mess_core.maps.drawing import redraw
from mess_core.probing.discovery import EARLIER as EARLIER_DISCOVERIES
from mess_core.probing.discovery import FORMAT as DISCOVERY
from mess_core.probing.discovery import WITHOUT_PROVENANCE, Discovery, from_document, load_predictions
from mess_core.probing.predictions import without_predictions
from mess_core.probing.probe import OnProgress, add_null, fit_cells, no_progress
from mess_core.search.answers import (
    answer,
    answer_along,
    answer_in_words,
    answer_passage,
    build_index,
    build_segment_index,
    make_plan,
)
from mess_core.search.asking import find_query
from mess_core.search.evaluated import FORMAT as EVALUATION
from mess_core.search.geometry import GEOMETRIES
from mess_core.search.question import Question
from mess_core.search.tagged import heard_words
from mess_core.storage.beside import beside
from mess_core.storage.files import SEAL, read_sealed
from mess_core.storage.provenance import versions
from mess_core.storage.untrusted import (
    MOST_DOCUMENT_BYTES,
    build,
    parse_json,
    printable,
    read_untrusted,
    understanding,
)
from mess_core.targets.registry import VERSIONS
from mess_core.words import counted
from mess_core.work.evaluate import EVALUATE
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import Workspace

CURE = (
    "What can be: a discovery or an evaluation in the data folder's `probing/`, a map in its `cache/maps/`, and an "
    "answer saved as JSON."
)
SHAPES: tuple[tuple[Collection[str], str, str], ...] = (
    (("cells", "aspects"), "what `probe --json` prints", "Give the file of `probing/` itself."),
    (("target_versions", "fingerprint"), "what `evaluate --json` prints", "Give the file of `probing/` itself."),
    (("layers", "encoder"), "what `map --json` prints", "Draw it again: python -m mess_core map."),
    (("steps", "largest_step"), "what `path --json` prints", "Ask for it again: python -m mess_core path."),
    (("files", "encoders"), "the manifest of an export", "Take it in: python -m mess_core import FOLDER."),
)  # entries, what a document with them is, and what to do with it
MAP_CHANGES = {"fingerprint": "the encoder", "content": "the embeddings"}
MAP = ("made_by", "trust")  # entries of a view of a map
ANSWER = ("query_track_id", "request", "results")  # entries of a saved answer


@dataclass(frozen=True)
class Reproduction:
    """How a result that was computed again compares with the kept one.

    n_numbers, n_different : numbers compared, and those that are not the same to the last digit
    largest, where : the largest difference and the path of its number; infinite where one of the two has none
    changed : what was not the same when the kept one was made: versions, embeddings, measurements
    n_found : recordings that an answer names; None if it is no answer
    first_apart : rank from which on it names others; None if it names the same in the same order
    """

    n_numbers: int
    n_different: int
    largest: float
    where: str
    changed: tuple[str, ...]
    n_found: int | None = None
    first_apart: int | None = None

    @property
    def is_identical(self) -> bool:
        return self.n_different == 0 and self.first_apart is None

    def sentences(self) -> list[str]:
        """What a person wants to know."""
        if self.is_identical:
            said = [f"Identical: all {counted(self.n_numbers, 'number')} to the last digit."]
        else:
            by = "one has none" if math.isinf(self.largest) else f"{self.largest:.2g}"
            said = [
                f"Not identical: {counted(self.n_different, 'number')} of {self.n_numbers:,} differ, by at most {by}, "
                f"in {self.where}."
            ]
        if self.n_found is not None and self.first_apart is None:
            said.append(f"The ranks are the same: {counted(self.n_found, 'recording')} in the same order.")
        elif self.first_apart is not None:
            same = self.first_apart - 1
            of_them = f"the first {counted(same, 'recording')} are" if same > 1 else "only the first recording is"
            said.append(f"The ranks differ from {self.first_apart} on" + (f"; {of_them} the same." if same else "."))
        return said + [f"Changed since: {each}." for each in self.changed]


def reproduce(workspace: Workspace, path: Path, on_progress: OnProgress = no_progress) -> Reproduction:
    """Compute a kept discovery, an evaluation, a map or a saved answer again; nothing is written.

    Raises
    ------
    InputError
        If the file is none of them; which it is instead, where that is known. If the query of an answer is gone.
    ArtefactMismatchError
        If it is damaged, or of an encoder of another version.
    """
    if not path.is_file():
        raise InputError(f"There is no file {printable(str(path))}.", CURE)
    name = printable(path.name)
    bare = parse_json(read_untrusted(path, MOST_DOCUMENT_BYTES, cure=CURE), name, CURE)
    if bare.keys() >= set(ANSWER):
        return _answer(workspace, bare, name)
    if bare.keys() >= set(MAP):
        return _map(workspace, path, on_progress)
    for entries, what_it_is, instead in SHAPES:
        if "result" not in bare and bare.keys() >= set(entries):
            raise InputError(f"{name} is {what_it_is}, which is not computed again.", f"{instead} {CURE}")
    if SEAL not in bare and "format" not in bare:
        raise InputError(f"{name} is no result that MESS keeps.", CURE)
    plain = read_sealed(path, cure=CURE, unsealed=WITHOUT_PROVENANCE)
    if plain.get("format") in WITHOUT_PROVENANCE:
        raise ArtefactMismatchError(f"{name} was made by an earlier version, which kept no provenance.", "Probe again.")
    if plain.get("format") in (DISCOVERY, *EARLIER_DISCOVERIES):
        return _discovery(workspace, path, from_document(plain, name), on_progress)
    what = next((what for what in KINDS if path.stem.endswith(f"-{what}")), None)
    if plain.get("format") != EVALUATION or what is None:
        raise InputError(f"{name} is no kept discovery or evaluation.", CURE)
    return _evaluation(workspace, evaluation_of(plain, name, what), what, on_progress)


def _discovery(workspace: Workspace, path: Path, kept: Discovery, on_progress: OnProgress) -> Reproduction:
    """Predictions are compared, too, unless the document was handed on without them."""
    info, settings = encoder_info(kept.encoder, workspace.paths), kept.result.settings
    if not kept.result.has_null and settings.n_permutations:
        raise InputError("The result is provisional: its discovery has not ended.", "Wait for it, or probe again.")
    scope = Scope(workspace, kept.library, info)
    gathered = scope.gather(kept.group, kept.level, settings.columns, heard_words(scope, settings.columns))
    again = add_null(fit_cells(gathered.data, settings, on_progress), gathered.data, on_progress)
    changed = _changed(kept, info, gathered.content)
    then = kept.provenance.get("baselines", {})
    changed += [f"the baseline {name}" for name in then if gathered.baselines.get(name) != then[name]]
    then_found = kept.result
    if kept.predictions_sha256 and beside(path, kept.predictions_sha256).is_file():
        then_found = load_predictions(path, kept)
    elif kept.predictions_sha256:
        again = without_predictions(again)
    old, new = ({**each.to_dict(), "described": {}} for each in (then_found, again))  # words, not figures
    return Reproduction(*_compare(old, new), tuple(changed))


def _discovery_of(scope: Scope, kept: Mapping[str, Any]) -> Discovery | None:
    """What an answer went by, if it says so and that is here; else what searches go by."""
    asked = kept.get("run")
    if isinstance(asked, str):
        with contextlib.suppress(InputError):  # it was removed, or is of another version of the encoder
            return scope.discovery_by_run(asked)
    return scope.discovery_for_search()


def _evaluation(workspace: Workspace, kept: Evaluation, what: What, on_progress: OnProgress) -> Reproduction:
    scope = scope_of(workspace, kept.library, kept.encoder)
    again = EVALUATE[what](scope, on_progress)
    changed = _changed(kept, scope.info, scope.content)
    return Reproduction(*_compare(kept.result.to_dict(), again.to_dict()), tuple(changed))


def _map(workspace: Workspace, path: Path, on_progress: OnProgress) -> Reproduction:
    """One view, and what it started from, drawn again."""
    (then, arrays), (now, again) = redraw(workspace, path, lambda n_done, n_total, _: on_progress(n_done, n_total))
    changed = [what for entry, what in MAP_CHANGES.items() if then.get(entry) != now[entry]]
    made_with = then.get("provenance", {}).get("versions", {})
    changed += _other_versions(made_with if isinstance(made_with, Mapping) else {})
    old, new = (
        {"trust": facts["trust"], "pca_trust": facts["pca_trust"]} | {name: some[name].tolist() for name in arrays}
        for facts, some in ((then, arrays), (now, again))
    )
    return Reproduction(*_compare(old, new), tuple(changed))


def _answer(workspace: Workspace, kept: Mapping[str, Any], name: str) -> Reproduction:
    """The same question to the same library, asked now."""
    with understanding(name, CURE):
        said = {key: kept[key] for key in ("query", "query_track_id", "encoder", "library")}
        question = _question(kept["request"])
        has_no_query = said["query_track_id"] is None and bool(question.words or question.along)
        if has_no_query:
            said["query_track_id"] = ""
        if not all(isinstance(value, str) for value in said.values()):
            raise TypeError("it names a query, an encoder or a library by what is no text")
        passage = None if kept.get("passage_s") is None else (float(kept["passage_s"][0]), float(kept["passage_s"][1]))
        then = [str(found["track_id"]) for found in kept["results"]]
    scope = scope_of(workspace, said["library"], said["encoder"])
    plan = make_plan(scope, question, _discovery_of(scope, kept), is_of_passage=passage is not None)
    if has_no_query:
        again = as_document(answer_along(build_index(plan), plan) if question.along else answer_in_words(plan))
    else:
        query = find_query(scope, _query_text(workspace, said), measures=plan.measured is not None)
        if passage is None:
            again = as_document(answer(build_index(plan), plan, query))
        else:
            again = as_document(answer_passage(build_segment_index(plan), plan, query, passage))
    changed = []
    if kept.get("fingerprint") != scope.info.fingerprint:
        changed.append(f"the encoder {scope.info.id}")
    if "content" not in kept:
        changed.append("what it rests on, perhaps: an earlier version saved it and did not say")
    elif kept["content"] != again["content"]:
        changed.append("the embeddings, or which tracks there are")
    elif kept.get("plan_key") != again["plan_key"]:
        changed.append("what was discovered or measured")
    made_with = kept.get("versions")
    changed += _other_versions(made_with if isinstance(made_with, Mapping) else {})
    now = [found["track_id"] for found in again["results"]]
    pairs = itertools.zip_longest(then, now)
    first_apart = next((rank for rank, (one, other) in enumerate(pairs, start=1) if one != other), None)
    compared = _compare(*([_figures(found) for found in each["results"]] for each in (kept, again)))
    return Reproduction(*compared, tuple(changed), len(then), first_apart)


def _question(request: Mapping[str, Any]) -> Question:
    """The question of a saved answer, with lists as the tuples they were."""
    listed = {
        key: tuple(map(str, value)) for key, value in request.items() if isinstance(value, list) and key != "where"
    }
    where = tuple((str(column), str(value)) for column, value in request.get("where", ()))
    aspects = {str(aspect): float(weight) for aspect, weight in request["aspects"].items()}
    if request["geometry"] not in ("auto", *GEOMETRIES):
        raise ValueError(f"nothing is compared in the geometry {request['geometry']!r}")
    return build(Question, request, **listed, where=where, aspects=aspects)


def _query_text(workspace: Workspace, said: Mapping[str, str]) -> str:
    """What the query is called here: a track id, or the path it was asked by if the very file is still there."""
    if workspace.catalogue.has(said["query_track_id"]):
        return said["query_track_id"]
    path = Path(said["query"]).expanduser()
    if path.is_file() and read_track(path).track.track_id == said["query_track_id"]:
        return str(path)
    raise InputError(
        f"The query {printable(said['query'])} is not in the catalogue, nor is the file there that was asked by.",
        "Add that recording to a library and reproduce the answer again.",
    )


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of one neighbour, but for nearness: it follows from them, and earlier versions did not say it."""
    said = ("similarity", "percentile", "aspects", "words", "moment", "value", "standings")
    figures = {key: found.get(key) for key in said}
    if isinstance(figures["aspects"], Mapping):
        figures["aspects"] = {
            aspect: {key: value for key, value in score.items() if key != "nearness"}
            for aspect, score in figures["aspects"].items()
            if isinstance(score, Mapping)
        }
    return figures


def _changed(kept: Discovery | Evaluation, info: EncoderInfo, content: str) -> list[str]:
    """What is not as it was: encoder, embeddings, formulas, versions."""
    changed = []
    if kept.fingerprint != info.fingerprint:
        changed.append(f"the encoder {info.id}")
    if kept.content != content:
        changed.append("the embeddings, or which tracks there are")
    changed += _other_versions(kept.provenance.get("versions", {}))
    then = kept.target_versions or {}
    changed += [f"how {signal} is measured" for signal, version in then.items() if VERSIONS.get(signal) != version]
    return changed


def _other_versions(then: Mapping[str, Any]) -> list[str]:
    """Packages that are of another version now."""
    now = versions()
    return [
        f"{printable(str(package))} {printable(str(version))}, now {now.get(package, 'not here')}"
        for package, version in then.items()
        if now.get(package) != version
    ]


def _compare(old: Any, new: Any) -> tuple[int, int, float, str]:
    """Numbers compared, those that differ, the largest difference, and where."""
    mine, theirs = dict(_numbers(old)), dict(_numbers(new))
    apart = {}
    for where in mine.keys() | theirs.keys():
        one, other = mine.get(where), theirs.get(where)
        if one != other and not (one is not None and other is not None and math.isnan(one) and math.isnan(other)):
            apart[where] = math.inf if one is None or other is None else abs(one - other)
    where = max(sorted(apart), key=apart.__getitem__, default="")
    return len(mine), len(apart), apart.get(where, 0.0), where


def _numbers(value: Any, where: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a document with its path; a cell is named by its target and layer."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _numbers(part, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            named = str(number)
            if isinstance(part, Mapping) and "target" in part:
                named = f"{part['target']}, layer {part['layer']}" if "layer" in part else part["target"]
            yield from _numbers(part, f"{where}[{named}]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield where, float(value)
