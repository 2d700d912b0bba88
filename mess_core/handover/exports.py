"""Search results as files that other programs read: a JSON document, a CSV table, an M3U8 playlist.

Titles are untrusted text. A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@`, so such text is quoted with
an apostrophe; a playlist is one line per entry, so line breaks become spaces.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mess_core.catalogue.catalogue import NAMES, Track
from mess_core.encoders.vocabulary import WORDS, raw_names
from mess_core.maps.drawing import MapView
from mess_core.probing.discovery import Discovery
from mess_core.probing.result import ClassScores, ProbeCell
from mess_core.recommend.for_you import ForYou
from mess_core.recommend.reasons import WhyNot
from mess_core.search.answers import Answer
from mess_core.search.paths import TrackPath
from mess_core.search.reasons import Reason, in_one_line
from mess_core.search.tagged import HeardTracks, words_of
from mess_core.storage.cells import defused
from mess_core.storage.files import write_atomically
from mess_core.storage.provenance import versions

COLUMNS = (
    "rank", "track_id", "title", "work", "performer", "instrument", "heard_as", "similarity", "percentile", "path",
)  # fmt: skip
OPTIONAL = ("nearness", "semitones", "value")  # of a neighbour, where the search says it
STANDING_COLUMNS = ("similarity", "percentile", "nearness")  # beside each recording that the question names
ALWAYS = ("title", "work", "composer", "performer", "instrument")
ASPECT_COLUMNS = ("similarity", "percentile", "weight", "contribution")


def as_document(answer: Answer) -> dict[str, Any]:
    """The shape of `similar --json`: other programs rely on it; keys may be added, not renamed."""
    words = _words_of(answer)
    return {
        "query": answer.asked,
        "query_track_id": None if answer.query is None else answer.query.track_id,
        "passage_s": None if answer.passage is None else list(answer.passage),
        "encoder": answer.plan.scope.info.id,
        "fingerprint": answer.plan.scope.info.fingerprint,
        "library": answer.plan.scope.library,
        "content": answer.plan.scope.content,
        "plan_key": answer.plan.key,
        "versions": versions(),
        "geometry": answer.plan.geometry,
        "score": answer.score_words,
        "dial": None if answer.dial is None else asdict(answer.dial),
        "request": asdict(answer.plan.question),
        "basis": answer.plan.basis or None,
        "n_left_out": answer.plan.measured.n_left_out if answer.plan.measured else 0,
        "discovered_on": answer.plan.discovery.library if answer.plan.discovery else None,
        "run": answer.plan.discovery.run_id if answer.plan.discovery else None,
        "index": answer.kind,
        "is_strange": answer.is_strange,
        "notices": list(answer.plan.notices),
        "results": [
            {
                "rank": found.neighbour.rank,
                "track_id": found.track.track_id,
                "title": found.track.title,
                "path": str(found.path),
                "similarity": found.neighbour.similarity,
                "percentile": found.neighbour.percentile,
                "nearness": found.neighbour.nearness,
                "aspects": None
                if found.neighbour.aspects is None
                else {aspect: asdict(score) for aspect, score in found.neighbour.aspects.items()},
                "heard_as": words.get(found.track.track_id),
                "words": None if found.neighbour.words is None else dict(found.neighbour.words),
                "hearings": None if found.neighbour.hearings is None else dict(found.neighbour.hearings),
                "semitones": found.neighbour.semitones,
                "value": found.neighbour.value,
                "standings": None
                if found.neighbour.standings is None
                else [asdict(standing) for standing in found.neighbour.standings],
                "moment": None if found.moment is None else asdict(found.moment),
            }
            for found in answer.found
        ],
    }


def explained_document(answer: Answer, reasons: Mapping[str, Sequence[Reason]]) -> dict[str, Any]:
    """The shape of `similar --explain --json`: `as_document`, and of each result in what it is like the query.

    Parameters
    ----------
    reasons : mapping of track id to sequence of Reason
        Of `search.explaining.explain_neighbours`; none of a track of which nothing can be said.
    """
    document, asked = as_document(answer), list(answer.plan.question.weights)
    for result in document["results"]:
        found = reasons.get(result["track_id"], ())
        result["reasons"] = [asdict(reason) for reason in found]
        result["in_words"] = in_one_line(found, asked=asked, left_out=answer.plan.question.avoid)
    return document


def tags_document(heard: HeardTracks) -> dict[str, Any]:
    """The shape of `tags --json`: other programs rely on it; keys may be added, not renamed."""
    return {
        "library": heard.library,
        "tracks": [
            {
                "track_id": track.track_id,
                "title": track.title,
                "path": str(heard.paths[track.track_id]),
                "tags": dict(zip(raw_names(), heard.raw[row].tolist(), strict=True)),
                "words": {
                    word: {
                        "strength": float(heard.strengths[row, n]),
                        "percentile": float(heard.percentiles[row, n]),
                    }
                    for n, word in enumerate(WORDS)
                },
            }
            for row, track in enumerate(heard.tracks)
        ],
    }


def why_not_document(track_id: str, found: WhyNot, text: str) -> dict[str, Any]:
    """The shape of `recommend --why-not --json`."""
    return {"track_id": track_id, **asdict(found), "text": text}


def recommended_document(found: ForYou) -> dict[str, Any]:
    """The shape of `recommend --json`: other programs rely on it; keys may be added, not renamed."""
    return {
        "listener": found.listener,
        "n_events": found.profile.n_events,
        "library": found.library,
        "encoder": found.encoder,
        "section": found.section.id,
        "title": found.title,
        "definition": found.section.definition,
        "interests": [
            {
                "name": each.name,
                "weight": each.share,
                "medoid": each.medoid.track_id,
                "track_ids": list(each.track_ids),
                "hears": dict(each.hears),
            }
            for each in found.interests
        ],
        "versions": versions(),
        "results": [
            {
                "rank": row.rank,
                "track_id": row.track.track_id,
                "title": row.track.title,
                "path": str(row.path),
                "score": row.chosen.score,
                "place": row.chosen.place,
                "section": found.section.id,
                "source": row.chosen.source,
                "propensity": row.chosen.propensity,
                "interest": row.chosen.interest if row.chosen.interest >= 0 else None,
                "reason": {
                    "kind": row.why.kind,
                    "track_id": row.why.track_id,
                    "aspects": list(row.why.aspects),
                    "text": row.why.text,
                    "drop": None if row.why.carrier is None else row.why.carrier.drop,
                    "share": None if row.why.carrier is None else row.why.carrier.share,
                    "percentile": None if row.why.carrier is None else row.why.carrier.percentile,
                },
            }
            for row in found.found
        ],
    }


def path_document(path: TrackPath) -> dict[str, Any]:
    """The shape of `path --json`: other programs rely on it; keys may be added, not renamed."""
    plan, largest = path.plan, path.largest
    return {
        "stops": [stop.text for stop in path.stops],
        "stop_track_ids": [stop.track_id for stop in path.stops],
        "encoder": plan.scope.info.id,
        "fingerprint": plan.scope.info.fingerprint,
        "library": plan.scope.library,
        "content": plan.scope.content,
        "plan_key": plan.key,
        "versions": versions(),
        "geometry": plan.geometry,
        "score": plan.kind.words,
        "request": asdict(plan.question),
        "basis": plan.basis or None,
        "notices": list(path.notices),
        "largest_step": largest.number,
        "steps": [
            {
                "number": step.number,
                "track_id": step.track.track_id,
                "title": step.track.title,
                "path": str(step.path),
                "is_stop": step.is_stop,
                "similarity": step.similarity,
                "percentile": step.percentile,
                "nearness": step.nearness,
            }
            for step in path.steps
        ],
    }


def path_document_as_json(path: TrackPath) -> str:
    return json.dumps(path_document(path), indent=2, allow_nan=False)


def path_as_csv(path: TrackPath) -> str:
    """One row per recording, with a heading; its numbers are those of the step that leads to it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    columns = ("number", "is_stop", "similarity", "percentile", "nearness")
    writer.writerow([*columns, "track_id", *ALWAYS, "path"])
    for step in path.steps:
        names = (getattr(step.track, name) for name in ("track_id", *ALWAYS))
        cells = [*(getattr(step, column) for column in columns), *map(defused, names), defused(str(step.path))]
        writer.writerow(cells)
    return _text(text.getvalue())


def _words_of(answer: Answer) -> dict[str, list[str]]:
    """As what the neighbours are heard most, of those that MusiCNN has heard."""
    scope = answer.plan.scope
    return words_of(scope.workspace, scope.library, [found.track.track_id for found in answer.found])


def as_json(answer: Answer) -> str:
    return json.dumps(as_document(answer), indent=2, allow_nan=False)


def as_csv(answer: Answer) -> str:
    """One row per neighbour, with a heading."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    aspects, words = list(answer.plan.question.weights), _words_of(answer)
    shares = list(next((found.neighbour.words for found in answer.found if found.neighbour.words), ()))
    of_aspects = [f"{aspect}_{column}" for aspect in aspects for column in ASPECT_COLUMNS]
    known = [name for name in OPTIONAL if any(getattr(found.neighbour, name) is not None for found in answer.found)]
    seeds = next((found.neighbour.standings for found in answer.found if found.neighbour.standings), ())
    beside = [f"{each.track_id or 'query'}_{column}" for each in seeds for column in STANDING_COLUMNS]
    writer.writerow([*COLUMNS, *of_aspects, *(f"{name}_share" for name in shares), *known, *beside])
    for found in answer.found:
        facts = {**vars(found.track), **vars(found.neighbour), "path": str(found.path)}
        facts["heard_as"] = ", ".join(words.get(found.track.track_id, ()))
        scores = found.neighbour.aspects or {}
        cells = [getattr(scores.get(aspect), name, None) for aspect in aspects for name in ASPECT_COLUMNS]
        cells += [(found.neighbour.words or {}).get(name) for name in shares]
        cells += [facts[name] for name in known]
        cells += [getattr(each, column) for each in found.neighbour.standings or () for column in STANDING_COLUMNS]
        writer.writerow([*(defused(facts[column]) for column in COLUMNS), *cells])
    return _text(text.getvalue())


def as_m3u8(answer: Answer | TrackPath | ForYou) -> str:
    """A playlist in the order of the list; any player opens it."""
    paths = {found.track.track_id: str(found.path) for found in answer.found}
    return tracks_as_m3u8([found.track for found in answer.found], paths)


def write_playlist(answer: Answer | TrackPath | ForYou, file: Path) -> None:
    """A playlist beside music: paths are relative to it, where that is possible, so both may be moved together.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    folder = file.expanduser().resolve().parent
    paths = {found.track.track_id: relative_to(folder, found.path) for found in answer.found}
    text = tracks_as_m3u8([found.track for found in answer.found], paths)
    write_atomically(file.expanduser().resolve(), text.encode())


def relative_to(folder: Path, path: Path) -> str:
    """A path as seen from a folder, with slashes; absolute where the two share no disk."""
    try:
        relative = Path(os.path.relpath(path, folder)).as_posix()
        return f"./{relative}" if relative.startswith("#") else relative  # which would be a comment
    except ValueError:  # another drive
        return str(path)


def tracks_as_csv(
    tracks: Sequence[Track], paths: Mapping[str, str], details: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> str:
    """One row per track, with a heading; `paths` and the columns of the user's own table by track id."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    names = [name for name in NAMES if name in ALWAYS or any(getattr(track, name) for track in tracks)]
    columns = ["track_id", *names, "duration_s"]
    own = list(dict.fromkeys(name for track in tracks for name in details.get(track.track_id, {})))
    writer.writerow([*columns, *map(defused, own), "path"])
    for track in tracks:
        said = details.get(track.track_id, {})
        cells = [*(getattr(track, column) for column in columns), *(said.get(name) for name in own)]
        writer.writerow([*map(defused, cells), defused(paths[track.track_id])])
    return _text(text.getvalue())


def tracks_as_m3u8(tracks: Sequence[Track], paths: Mapping[str, str]) -> str:
    """A playlist, in the order given."""
    lines = ["#EXTM3U"]
    for track in tracks:
        lines += [f"#EXTINF:{round(track.duration_s)},{_one_line(track.title)}", _one_line(paths[track.track_id])]
    return _text("\n".join(lines) + "\n")


def map_as_csv(view: MapView, titles: Mapping[str, str]) -> str:
    """One row per track: where it lies, and how much of its neighbourhood the map shows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["track_id", "title", "x", "y", "pca_x", "pca_y", "neighbours_kept", "is_placed"])
    columns = (view.track_ids, view.x, view.y, view.pca_x, view.pca_y, view.preservation, view.is_placed)
    for track_id, *rest in zip(*columns, strict=True):
        writer.writerow([track_id, defused(titles.get(str(track_id), "")), *rest])
    return _text(text.getvalue())


def cells_as_csv(discovery: Discovery) -> str:
    """One row per layer and target; the shares of classes in columns of their own, empty for numbers."""
    text = io.StringIO()
    columns = [column for column in ProbeCell.__dataclass_fields__ if column != "classes"]
    shares = list(ClassScores.__dataclass_fields__)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*columns, *shares])
    for cell in discovery.result.cells:
        told = cell.classes or ClassScores()
        cells = [*(getattr(cell, column) for column in columns), *(getattr(told, share) for share in shares)]
        writer.writerow([defused(each) for each in cells])
    return text.getvalue()


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("\0", " ")


def _text(text: str) -> str:
    """A path that is not UTF-8 cannot be written as text; its odd bytes are replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")
