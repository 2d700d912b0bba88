"""Discovery: probing a library's embeddings for every target, and keeping what was found.

One readable JSON per library, encoder, grouping and level, with everything that it rests on: track ids, hashes of the
embeddings, versions of the targets, seeds. Directions and predictions lie beside it, as arrays. A result is valid for
its encoder until it is replaced.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import numpy as np

from mess_core.catalogue.catalogue import NAMES, Catalogue, Track
from mess_core.config import HOP_S, SEGMENT_S
from mess_core.embeddings.joining import same_time
from mess_core.embeddings.store import EmbeddingStore, TrackEmbedding
from mess_core.encoders.base import EncoderInfo
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.probing.aspects import ASPECTS, AspectEvidence, weigh_aspects
from mess_core.probing.aspects import LABELS as EVIDENCE
from mess_core.probing.columns import Columns, names_kept, read_columns
from mess_core.probing.data import ProbeData
from mess_core.probing.directions import Directions, fit_directions
from mess_core.probing.folds import connect_groups
from mess_core.probing.predictions import predictions_to_bytes, with_predictions, without_predictions
from mess_core.probing.result import Level, ProbeResult, ProbeSettings
from mess_core.spelling import check_name, did_you_mean
from mess_core.storage.beside import beside, read_beside, sweep_beside, unnamed_beside, write_beside
from mess_core.storage.files import read_sealed, write_sealed
from mess_core.storage.kept import Beside, Kind, verify_document
from mess_core.storage.paths import Paths, file_name
from mess_core.storage.provenance import digest, provenance
from mess_core.storage.untrusted import build, printable, understanding
from mess_core.targets.measurements import Measurements, probe_scale, probed_targets
from mess_core.targets.own import OwnTarget
from mess_core.targets.registry import COMPARABLE, TARGETS, VERSIONS
from mess_core.words import counted

FORMAT = "mess-discovery-5"
UNSEALED = ("mess-discovery-2",)  # an early one, without a seal
WITHOUT_PROVENANCE = (*UNSEALED, "mess-discovery-3")  # whose intervals are not read, either: `ProbeResult.from_dict`
EARLIER = (*WITHOUT_PROVENANCE, "mess-discovery-4")  # none has a file of predictions: the document holds them
ARRAYS = ("directions_sha256", "predictions_sha256")  # the entries that name what lies beside a document
PROBE_AGAIN = "Probe again, or measure again: `check --repair` deletes it, nothing else is lost."
MEASURED_OTHERWISE = "How properties are measured has changed since, and what stands here went by the old way"
MIN_TRACKS = 30  # below this, and below as many works as an interval needs, discovery does not run by itself
DENSITY = "onset_density"
RUN_DIGITS = 8
COMPOSER = "composer"  # who is known by it; asked for as a target, it is no leak
NUISANCES = {"track": ("duration_s", "loudness_lufs", "mean_pitch"), "segment": ("loudness_lufs", "mean_pitch")}
# What the document says of a target: its best layer, and R² if the layer, too, is chosen in training.
OF_TARGET = (
    "target", "reason", "best_layer", "best_set", "nested_r2", "nested_r2_low", "nested_r2_high", "p_best", "ceiling",
)  # fmt: skip
# Without a score these are estimates that hardly agree with the truth (benchmarks/midi_targets.py): not probed.
NEED_A_SCORE = ("rubato", "tempo_variability")

Group = str  # one of GROUPS, or a column of the user's own table
GROUPS = ("work", "recording", "performer", "session")
NAMED = (*NAMES, "collection")  # what the catalogue knows of every track, by which can be grouped as well


@dataclass(frozen=True, eq=False)
class Discovery:
    """What was found, and what it rests on.

    row_ids : a track id per row; at segment level `<track id>:<segment>`
    content : hash of the embeddings that were probed
    n_without_work : tracks that are their own work because the catalogue knows none
    directions_sha256 : of the file that holds the directions (`load_directions`)
    predictions_sha256 : of the file that holds what was said of each row (`load_predictions`); empty where `result` has
        it: an earlier version kept it there
    provenance : versions, machine, date, hashes of audio and baselines; empty if an earlier version made it
    """

    library: str
    encoder: str
    fingerprint: str
    group: Group
    level: Level
    row_ids: tuple[str, ...]
    content: str
    target_versions: Mapping[str, int]
    n_tracks: int
    n_without_work: int
    directions_sha256: str
    result: ProbeResult
    aspects: Mapping[str, AspectEvidence]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    predictions_sha256: str = ""

    @property
    def run_id(self) -> str:
        """By which it is asked for: of where its file lies, so that the same asked again has the same."""
        folder = f"{self.encoder.replace(':', '-')}-{self.fingerprint[:8]}"  # as `EncoderInfo.folder`
        return run_id_of(folder, _stem(self.library, self.group, self.level, self.result.settings))

    @property
    def has_evidence(self) -> bool:
        """Whether it shows of any aspect that the encoder tells it: else searches can do nothing with it."""
        return any(aspect.has_evidence for aspect in self.aspects.values())

    @property
    def title(self) -> str:
        """What sets this run apart from others of its library."""
        return " · ".join([self.encoder, self.group, self.level, *in_words(self.result.settings)])

    @property
    def notices(self) -> tuple[str, ...]:
        """What is to be known of its groups, a sentence each."""
        if self.group != "work" or not self.n_without_work:
            return ()
        how_many = "None" if self.n_without_work == self.n_tracks else f"{self.n_without_work:,}"
        of = f"{how_many} of {counted(self.n_tracks, 'track')}"
        if how_many == "None":
            said = f"{of} names its work, so each counts as one"
        else:
            said = f"{of} name no work, so each of these counts as one"
        return (f"{said}: performances of one piece may be on both sides of a split.",)

    def why_again(self, content: str, n_embedded: int, own: Mapping[str, str] = MappingProxyType({})) -> str:
        """Why it should be run again, in a sentence; empty if what it rests on is as it was.

        Parameters
        ----------
        content, n_embedded : str, int
            The embeddings as they are now (`Scope.content`), and of how many tracks.
        own : mapping of name to hash
            Of the targets of one's own that it probed, as they are now.
        """
        if self.content != content:
            now = counted(n_embedded, "embedded track")
            return f"Measured on {self.n_tracks} of now {now}; run it again to include all."
        if self.target_versions != VERSIONS:
            return f"{MEASURED_OTHERWISE}: run it again."
        then = self.provenance.get("own_targets", {})
        if changed := [name for name, content in own.items() if then.get(name) != content]:
            return f"The values of {', '.join(changed)} have changed since: run it again."
        return ""

    def as_document(self) -> dict[str, Any]:
        """The shape of `probe --json`: other programs rely on it; keys may be added, not renamed."""
        return {
            "run": self.run_id,
            "encoder": self.encoder,
            "fingerprint": self.fingerprint,
            "library": self.library,
            "group": self.group,
            "level": self.level,
            "n_tracks": self.n_tracks,
            "n_groups": self.result.n_groups,
            "has_null": self.result.has_null,
            "missing_baselines": list(self.result.missing_baselines),
            "targets": [
                {name: getattr(summary, name) for name in OF_TARGET}
                | {
                    "classes": None if summary.classes is None else asdict(summary.classes),
                    "about": asdict(self.result.about(summary.target)),
                }
                for summary in self.result.targets
            ],
            "cells": [asdict(cell) for cell in self.result.cells],
            "aspects": {name: asdict(evidence) for name, evidence in self.aspects.items()},
            "provenance": dict(self.provenance),
        }


@dataclass(frozen=True, eq=False)
class Gathered:
    """Everything a probe needs, as arrays, and what it rests on."""

    data: ProbeData
    row_ids: tuple[str, ...]
    content: str
    n_tracks: int
    n_without_work: int
    baselines: Mapping[str, str] = field(default_factory=dict)  # name -> fingerprint and hash of its embeddings
    audio: str = ""  # hash of what was heard
    own: Mapping[str, str] = field(default_factory=dict)  # target of one's own -> hash of its values


def gather(
    catalogue: Catalogue,
    store: EmbeddingStore,
    measurements: Measurements,
    library: str,
    info: EncoderInfo,
    controls: Mapping[str, EncoderInfo],
    group: Group,
    level: Level,
    columns: Sequence[str] = (),
    missing: Sequence[str] = (),
    heard: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
    own: Mapping[str, OwnTarget] = MappingProxyType({}),
) -> Gathered:
    """Bring together embeddings, targets, groups and baselines of the tracks that have all of them.

    Parameters
    ----------
    controls : mapping of baseline name to EncoderInfo
        Encoders whose embeddings are baselines; one with as many layers is compared layer by layer.
    columns : sequence of str
        What is probed in place of the measured targets (`columns.py`).
    missing : sequence of str
        Controls that should be here and are not.
    heard : mapping of column to a mapping of track id to number
        Of those columns that no table tells: words, as which recordings are heard.
    own : mapping of column to OwnTarget
        Those columns that are targets of one's own.

    Raises
    ------
    DataMissingError
        If nothing is embedded, or nobody can say when the measured segments begin.
    """
    tracks = [track for track in catalogue.tracks(library) if store.has(track.track_id, info)]
    if not tracks:
        raise DataMissingError(
            f"No track of library {library!r} has an embedding by {info.id} yet.",
            f"python -m mess_core extract --encoder {info.id}",
        )
    track_ids = [track.track_id for track in tracks]
    if level == "track":
        rows = [(track_id, 0) for track_id in track_ids]
        row_ids = tuple(track_ids)
        vectors = store.load(track_ids, info).vectors
        baselines = {name: _squeezed(store.load(track_ids, control).vectors) for name, control in controls.items()}
        values = {target: measurements.values(track_ids, target) for target in probed_targets(level)}
        nuisances = [measurements.values(track_ids, target) for target in NUISANCES[level]]
        for target in NEED_A_SCORE:
            values[target] = measurements.values(track_ids, target, good_only=True)
    else:
        kept = {
            each.id: {track_id: store.read(track_id, each) for track_id in track_ids}
            for each in (info, *controls.values())
        }
        of_encoder = kept[info.id]
        rows = [(track_id, number) for track_id in track_ids for number in range(len(of_encoder[track_id].segments))]
        row_ids = tuple(f"{track_id}:{number}" for track_id, number in rows)
        vectors = np.concatenate([of_encoder[track_id].segments for track_id in track_ids]).astype(np.float32)
        baselines = {
            name: _squeezed(_at_the_same_time(of_encoder, info, kept[control.id], control))
            for name, control in controls.items()
        }
        measured = _measured_at_the_same_time(measurements, info, controls, kept)
        values = {target: measurements.segment_values(measured, target) for target in probed_targets(level)}
        nuisances = [measurements.segment_values(measured, target) for target in NUISANCES[level]]
    others = [column for column in nuisances if np.isfinite(column).any()]
    baselines["nuisances"] = np.stack([*others, values[DENSITY]], axis=1)
    if others:
        baselines["nuisances but density"] = np.stack(others, axis=1)
    details = catalogue.details(library)
    groups = dict(zip(track_ids, groups_of(tracks, group, details), strict=True))
    targets = {target: probe_scale(column, target) for target, column in values.items()}
    asked = Columns()
    if columns:
        asked = read_columns(columns, tracks, details, measurements, heard, own)
        targets = dict(asked.targets)
    described = {target: TARGETS[target] for target in targets if target in TARGETS} | dict(asked.described)
    row_tracks = [track_id for track_id, _ in rows]
    data = ProbeData(
        vectors=vectors,
        targets=targets,
        groups=[groups[track_id] for track_id in row_tracks],
        baselines=baselines,
        identities={} if COMPOSER in columns else _composers({t.track_id: t.composer for t in tracks}, row_tracks),
        tracks=row_tracks if level == "segment" else None,
        not_for={DENSITY: ["nuisances"]},
        conditions=dict.fromkeys(NEED_A_SCORE, "only what was measured with a score counts"),
        missing=tuple(missing),
        ceilings=asked.ceilings,
        classes=asked.classes,
        described=described,
    )
    return Gathered(
        data,
        row_ids,
        store.content(track_ids, info),
        len(tracks),
        sum(not track.work for track in tracks),
        {name: f"{each.fingerprint} {store.content(track_ids, each)}" for name, each in controls.items()},
        digest(track.samples_sha256 or track.sha256 for track in tracks),
        {name: target.content for name, target in own.items()},
    )


def _at_the_same_time(
    own: Mapping[str, TrackEmbedding], info: EncoderInfo, others: Mapping[str, TrackEmbedding], other: EncoderInfo
) -> np.ndarray:
    """For each segment of some tracks, the one another encoder heard then, (n_rows, n_layers, dim); NaN for none."""
    found = []
    for track_id, embedding in own.items():
        there = others[track_id]
        numbers = same_time(embedding.starts_s, info.segment_s, there.starts_s, other.segment_s)
        segments = there.segments[numbers].astype(np.float32)
        segments[numbers < 0] = np.nan
        found.append(segments)
    return np.concatenate(found)


def _measured_at_the_same_time(
    measurements: Measurements,
    info: EncoderInfo,
    controls: Mapping[str, EncoderInfo],
    kept: Mapping[str, Mapping[str, TrackEmbedding]],
) -> list[tuple[str, int]]:
    """For each segment of some tracks the measured one, as track id and number, -1 for none.

    Measured segments are kept by number. When they begin is told by an encoder that cuts as they were cut.
    """
    alike = [each for each in (info, *controls.values()) if (each.segment_s, each.hop_s) == (SEGMENT_S, HOP_S)]
    if not alike:
        raise DataMissingError(
            f"{info.id} hears segments of {info.segment_s:g} s, one every {info.hop_s:g} s; targets were measured on "
            f"segments of {SEGMENT_S:g} s, one every {HOP_S:g} s, and nothing here says when these begin.",
            "Embed the library with a control (python -m mess_core extract --encoder mel), or probe whole tracks.",
        )
    counts = measurements.segment_counts()
    measured = []
    for track_id, embedding in kept[info.id].items():
        n_measured = counts.get(track_id, 0)
        layouts = (kept[each.id][track_id].starts_s for each in alike)
        begins_s = next((starts_s for starts_s in layouts if len(starts_s) == n_measured), np.empty(0))
        numbers = same_time(embedding.starts_s, info.segment_s, begins_s, SEGMENT_S)
        measured += [(track_id, number) for number in numbers.tolist()]
    return measured


def groups_of(
    tracks: Sequence[Track], group: Group, details: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> tuple[str, ...]:
    """The group of each track: what shares a work, a performer or a session is never on both sides of a split.

    `details` by track id, where the group is a column of the user's own table; another name of the catalogue does, too.
    """
    ids = [track.track_id for track in tracks]
    columns: dict[str, list[str | None]] = {
        "recording": [None] * len(ids),
        "work": [f"{track.composer}: {track.work}" if track.work else None for track in tracks],
        "performer": [track.performer for track in tracks],
        "session": [f"{track.performer}, {track.session}" if track.session else track.performer for track in tracks],
    }
    own = [details.get(track_id, {}).get(group) for track_id in ids]
    if group in NAMED and not any(own):
        own = [getattr(track, group) for track in tracks]
    return connect_groups(ids, columns.get(group, own))


def in_words(settings: ProbeSettings) -> list[str]:
    """What sets them apart from the usual ones, one phrase each: "seed 3"."""
    usual = asdict(ProbeSettings())
    return [
        f"{name.removeprefix('n_')} {_brief(value)}" for name, value in asdict(settings).items() if value != usual[name]
    ]


def check_columns(
    catalogue: Catalogue,
    library: str,
    group: Group,
    level: Level,
    columns: Sequence[str],
    own: Collection[str] = (),
) -> None:
    """Refuse a grouping or a column that no track of a library has, and that is no track feature or target of `own`.

    Raises
    ------
    InputError
        With those that there are.
    """
    check_name("level", level, get_args(Level))
    known = catalogue.detail_names(library)
    groups, kept = (*GROUPS, *NAMED), names_kept(catalogue, library) if columns else []
    targets = (*COMPARABLE, *own, *kept)
    needed = [*([] if group in groups else [group]), *(column for column in columns if column not in targets)]
    for column in needed:
        if column not in known:
            there = ", ".join(known) or "none; a mess.csv in the folder gives some"
            also = f" Names that are kept: {', '.join(kept)}." if kept else ""
            also += f" Targets of your own: {', '.join(own)}." if own else ""
            others = groups if column == group else targets
            near = did_you_mean(column, [*known, *others], f"Columns of your table: {there}.{also}")
            raise InputError(f"No track of {library!r} has a column {column!r}.", near)
    if columns and level != "track":
        raise InputError(
            "A column of your table or a track feature tells of whole tracks, not of segments.",
            "Probe it with level track.",
        )


def path_of(
    paths: Paths, library: str, info: EncoderInfo, group: Group, level: Level, settings: ProbeSettings | None = None
) -> Path:
    """Where the result lies; runs with other than the default settings lie beside it, under a hash of theirs."""
    return paths.probing / info.folder / f"{_stem(library, group, level, settings)}.json"


def run_id_of(folder: str, stem: str) -> str:
    """The id of the run whose file lies in that folder of `probing/` under that name."""
    return hashlib.sha256(f"{folder}/{stem}".encode()).hexdigest()[:RUN_DIGITS]


def _stem(library: str, group: Group, level: Level, settings: ProbeSettings | None) -> str:
    """The name of the file without its ending."""
    named = group if group in GROUPS else f"={file_name(group)}"  # no name of a library holds this sign
    name = f"{file_name(library)}-{named}-{level}"
    if settings is not None and settings != ProbeSettings():
        plain = asdict(settings)
        # Runs without these keep the names they had.
        plain = {key: value for key, value in plain.items() if value or key not in ("columns", "without")}
        name += f"-{hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:8]}"
    return name


def kept_paths(paths: Paths, library: str) -> list[Path]:
    """The files of every run that was kept for a library, by any encoder and with any settings."""
    group = f"({'|'.join(GROUPS)}|=[^=]*)"
    name = re.compile(rf"{re.escape(file_name(library))}-{group}-(track|segment)(-[0-9a-f]{{8}})?\.json")
    return sorted(path for path in paths.probing.glob("*/*.json") if name.fullmatch(path.name))


def save(
    paths: Paths, info: EncoderInfo, gathered: Gathered, result: ProbeResult, library: str, group: Group
) -> Discovery:
    """Keep a result, in place of an older one of the same library, encoder, grouping and level.

    What is returned has the predictions, too, which `load` leaves where they are.
    """
    path = path_of(paths, library, info, group, result.level, result.settings)
    directions_sha256 = write_beside(path, fit_directions(gathered.data, result).to_bytes())
    predictions_sha256 = write_beside(path, predictions_to_bytes(result))
    discovery = Discovery(
        library=library,
        encoder=info.id,
        fingerprint=info.fingerprint,
        group=group,
        level=result.level,
        row_ids=gathered.row_ids,
        content=gathered.content,
        target_versions=dict(VERSIONS),
        n_tracks=gathered.n_tracks,
        n_without_work=gathered.n_without_work,
        directions_sha256=directions_sha256,
        predictions_sha256=predictions_sha256,
        result=result,
        aspects=weigh_aspects(result),
        provenance=provenance(audio=gathered.audio, baselines=dict(gathered.baselines), own_targets=dict(gathered.own)),
    )
    plain = {name: getattr(discovery, name) for name in Discovery.__dataclass_fields__}
    plain |= {"format": FORMAT, "result": without_predictions(result).to_dict()}
    plain["aspects"] = {name: asdict(evidence) for name, evidence in discovery.aspects.items()}
    write_sealed(path, plain)
    sweep_beside(path, (directions_sha256, predictions_sha256))
    return discovery


def load_directions(paths: Paths, info: EncoderInfo, discovery: Discovery) -> Directions:
    """The directions of a kept result.

    Raises
    ------
    ArtefactMismatchError
        If the file is gone, damaged, or of another version.
    """
    path = place_of(paths, info, discovery)
    return Directions.from_bytes(read_beside(path, discovery.directions_sha256, "Probe again."))


def load_predictions(path: Path, discovery: Discovery) -> ProbeResult:
    """The result of a discovery kept at `path`, with what was said of each row: values, predictions, folds, groups.

    Raises
    ------
    ArtefactMismatchError
        If the file is gone, damaged, or of another version.
    """
    if not discovery.predictions_sha256:
        return discovery.result
    return with_predictions(discovery.result, read_beside(path, discovery.predictions_sha256, "Probe again."))


def place_of(paths: Paths, info: EncoderInfo, discovery: Discovery) -> Path:
    """Where a discovery by this encoder is kept."""
    settings = discovery.result.settings
    return path_of(paths, discovery.library, info, discovery.group, discovery.level, settings)


def load(
    paths: Paths, library: str, info: EncoderInfo, group: Group, level: Level, settings: ProbeSettings | None = None
) -> Discovery | None:
    """The kept result, or None if there is none.

    Raises
    ------
    ArtefactMismatchError
        If it is damaged or of another version.
    """
    path = path_of(paths, library, info, group, level, settings)
    if not path.is_file():
        return None
    discovery = read(path)
    if discovery.fingerprint != info.fingerprint:
        raise ArtefactMismatchError(f"{path.name} was made by another encoder.", "Probe again.")
    return discovery


def read(path: Path) -> Discovery:
    """A kept result by its path; errors as `load`."""
    cure = "Probe again: python -m mess_core probe"
    plain = read_sealed(path, cure=cure, unsealed=UNSEALED)
    if plain.get("format") not in (FORMAT, *EARLIER):
        raise ArtefactMismatchError(f"{printable(path.name)} was made by another version.", cure)
    return from_document(plain, printable(path.name))


def from_document(plain: Mapping[str, Any], name: str) -> Discovery:
    """The discovery that a kept document describes; ArtefactMismatchError where it says what cannot be."""
    with understanding(name, "Probe again: python -m mess_core probe"):
        entries = {key: value for key, value in plain.items() if key != "format"}
        if not isinstance(entries["group"], str) or entries["level"] not in ("track", "segment"):
            raise ValueError(f"it is grouped by {entries['group']!r}, of level {entries['level']!r}")
        result = ProbeResult.from_dict(entries["result"])
        known: dict[str, Any] = {"result": result}
        aspects = {aspect: _evidence(evidence) for aspect, evidence in entries["aspects"].items()}
        newer = {name: AspectEvidence((), targets, "none") for name, targets in ASPECTS.items() if name not in aspects}
        # Of an earlier version the layers and targets are right, and the labels rest on intervals that were too narrow.
        known["aspects"] = (aspects if result.has_intervals else weigh_aspects(result)) | newer
        known["row_ids"] = _texts(entries["row_ids"])
        known["target_versions"] = dict(entries["target_versions"])
        known["provenance"] = dict(entries.get("provenance", {}))
        return build(Discovery, entries, **known)


def _evidence(plain: Mapping[str, Any]) -> AspectEvidence:
    if not all(type(layer) is int and layer >= 0 for layer in plain["layers"]):
        raise ValueError("a layer is no number")
    if plain["label"] not in EVIDENCE:
        raise ValueError(f"evidence is {plain['label']!r}")
    texts = {name: _texts(plain[name]) for name in ("targets", "searched")}
    return build(AspectEvidence, plain, layers=tuple(plain["layers"]), **texts)


def _texts(plain: Sequence[Any]) -> tuple[str, ...]:
    if isinstance(plain, str) or not all(isinstance(text, str) for text in plain):
        raise TypeError("a name is no text")
    return tuple(plain)


def _brief(value: Any) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        return ", ".join(value)
    if isinstance(value, tuple):
        return f"{value[0]:g}" if len(value) == 1 else f"{value[0]:g}…{value[-1]:g} ({len(value)})"
    return str(value)


def _squeezed(vectors: np.ndarray) -> np.ndarray:
    """(n, 1, d) -> (n, d): a baseline of one layer is the same for every layer."""
    vectors = vectors.astype(np.float32)
    return vectors[:, 0] if vectors.shape[1] == 1 else vectors


def _composers(composer_of: Mapping[str, str | None], row_tracks: Sequence[str]) -> dict[str, np.ndarray]:
    """Composer one-hot: what it tells of a target, a leak could tell too. Only where there are several."""
    names = sorted({name for name in composer_of.values() if name})
    if len(names) < 2:
        return {}
    return {COMPOSER: np.array([[composer_of[track_id] == name for name in names] for track_id in row_tracks], float)}


# --- kept files -----------------------------------------------------------------------------------------------


def is_discovery(path: Path) -> bool:
    """By its name, as `path_of` gives it: evaluations lie in the same folder."""
    return re.search("-(track|segment)(-[0-9a-f]{8})?$", path.stem) is not None


def _understand(path: Path, document: Mapping[str, Any]) -> tuple[Beside, ...]:
    if document.get("format") in (FORMAT, *EARLIER):
        from_document(document, printable(path.name))
    named = (document.get(key) for key in ARRAYS)
    return tuple((beside(path, sha256), sha256) for sha256 in named if isinstance(sha256, str))


def _unnamed(paths: Paths) -> list[Path]:
    """Arrays that no result beside them names."""
    return unnamed_beside(paths.probing.glob("*/*.safetensors"), ARRAYS, UNSEALED)


KEPT = Kind(
    "discovery",
    lambda paths: filter(is_discovery, paths.probing.glob("*/*.json")),
    lambda path: verify_document(path, PROBE_AGAIN, UNSEALED, _understand),
    orphans=_unnamed,
)
