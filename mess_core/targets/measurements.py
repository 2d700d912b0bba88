"""Measured targets: making them for a track, keeping them, and handing them out as arrays.

A value belongs to the content it was measured on and to the formulas that made it; its `version` holds both, so that a
changed formula or a changed MIDI file is noticed and measured again, and nothing else is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mess_core.audio.decode import require_unchanged, sha256_file
from mess_core.catalogue.catalogue import AMONG, Catalogue
from mess_core.catalogue.passages import ScoreTimes
from mess_core.config import HOP_S, SEGMENT_S
from mess_core.errors import AudioError, InputError, of_item
from mess_core.storage.database import Guard
from mess_core.targets.base import TargetValue, transform
from mess_core.targets.registry import TARGETS, VERSIONS

MOST_ASKED = 20_000  # tracks of which values are looked up; of more, those of every track are read


@dataclass(frozen=True)
class Files:
    """What a track is measured on.

    version : of the formulas, and of the files beside the audio (the audio itself is the track's identity); taken
        before measuring, so that a file changed meanwhile is noticed the next time
    sha256 : of the bytes that the audio should have; "": whatever they are
    """

    track_id: str
    audio: Path
    midi: Path | None = None
    score: Path | None = None
    version: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Measured:
    """All targets of one track: of the whole, and of its segments (5 s, hop 2.5 s) in order."""

    track_id: str
    track: dict[str, TargetValue]
    segments: list[dict[str, TargetValue]]
    score_times: tuple[ScoreTimes, ...] = ()  # when the score beside the MIDI is played


def measure_track(files: Files) -> Measured:
    """Measure one track in one pass over its audio. A pure function of its files, for any process.

    A MIDI file that cannot be read makes its targets undefined, with the reason; bad audio raises AudioError.
    """
    from mess_core.targets import audio, midi
    from mess_core.targets.agreement import MIN_AGREEMENT, agreement

    require_unchanged(files.audio, files.sha256)
    heard = audio.hear(files.audio)
    track = audio.measure(heard.sound)
    spans_s = audio.segment_spans_s(heard.spans_s, SEGMENT_S, HOP_S)
    segments = [audio.measure(heard.between(start_s, end_s), level="segment") for start_s, end_s in spans_s]
    score_times: tuple[ScoreTimes, ...] = ()
    try:
        if files.midi is None:
            raise InputError("there is no MIDI beside the audio")
        performance = midi.read_performance(files.midi, score=files.score)
        agreed = agreement(np.unique(performance.notes.onset_s), heard.recorded_s(heard.sound.onsets_s))
        if agreed < MIN_AGREEMENT:
            raise InputError(
                f"the MIDI does not match the audio: their onsets agree by {agreed:.2f} beyond chance, "
                f"expected at least {MIN_AGREEMENT:g}"
            )
        track |= midi.measure(performance)
        if files.score is not None and performance.alignment is not None:
            score = f"score {sha256_file(files.score)[:16]}"
            score_times = (ScoreTimes.of(score, performance.alignment.beat, performance.alignment.beat_s),)
        for (start_s, end_s), values in zip(spans_s, segments, strict=True):
            played = midi.measure(performance, start_s=start_s, length_s=end_s - start_s)
            values |= {target: value for target, value in played.items() if "segment" in TARGETS[target].levels}
    except Exception as error:  # gone since it was listed, not ours to read, or odd: the audio is measured
        reason = of_item(error).message
        missing = [target.id for target in TARGETS.values() if target.signal == "midi"]
        track |= {target: TargetValue.none(reason) for target in missing}
    return Measured(files.track_id, track, segments, score_times)


class Measurements:
    """The measured targets of one data folder."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.database = catalogue.database

    def files(self, track_id: str, others_see: Path | None = None) -> Files:
        """Where a track's audio is, and its MIDI and score if they are there.

        others_see : a folder that is read from elsewhere. Of a track in it whose audio is not here, what was registered
            is taken to be there, and the version is "": only who reads the files can tell.
        """
        audio = self.catalogue.likely_audio_path(track_id)
        folder = None if others_see is None or audio.is_file() or not audio.is_relative_to(others_see) else others_see

        def first(role: str) -> Path | None:
            paths = self.catalogue.file_paths(track_id, role)
            return next((path for path in paths if (path.is_relative_to(folder) if folder else path.is_file())), None)

        midi, score = first("midi"), first("score")
        row = self.database.connection.execute("SELECT sha256 FROM tracks WHERE track_id = ?", (track_id,)).fetchone()
        version, sha256 = "" if folder else version_of(midi, score), row["sha256"] if row else ""
        return Files(track_id, audio, midi, score, version, sha256)

    def missing(self, track_ids: Sequence[str], others_see: Path | None = None) -> list[Files]:
        """Tracks that are not measured with the current formulas on their current files.

        What came measured with another library, and has no audio here, cannot be measured again; what has its audio
        where others see it, can, but whether its MIDI has changed there is not known.

        others_see : as in `files`
        """
        rows = self.database.connection.execute("SELECT DISTINCT track_id, version FROM targets")
        known: dict[str, set[str]] = {}
        for row in rows:
            known.setdefault(row["track_id"], set()).add(row["version"])

        def is_missing(files: Files) -> bool:
            if files.track_id not in known:
                return True
            if not files.version:
                return not all(is_current(version) for version in known[files.track_id])
            return known[files.track_id] != {files.version} and files.audio.exists()

        return [files for track_id in track_ids if is_missing(files := self.files(track_id, others_see))]

    def write(self, files: Files, measured: Measured, guard: Guard) -> None:
        """Keep one track's targets in place of older ones."""
        with self.database.transaction() as connection:
            guard(connection)
            self.catalogue.passages.write(files.track_id, measured.score_times)
            connection.execute("DELETE FROM targets WHERE track_id = ?", (files.track_id,))
            connection.execute("DELETE FROM segment_targets WHERE track_id = ?", (files.track_id,))
            connection.executemany(
                "INSERT INTO targets VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        files.track_id,
                        target,
                        _null(v.value),
                        TARGETS[target].unit,
                        v.quality,
                        v.n_events,
                        v.reason,
                        files.version,
                    )
                    for target, v in measured.track.items()
                ],
            )
            connection.executemany(
                "INSERT INTO segment_targets VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (files.track_id, target, number, _null(value.value), value.quality, files.version)
                    for number, values in enumerate(measured.segments)
                    for target, value in values.items()
                ],
            )

    def stamp(self) -> tuple[int, ...]:
        """Another one, in this process, after values of whole tracks were written."""
        return self.database.remembered.version_of("targets")

    def values(
        self, track_ids: Sequence[str], target: str, *, good_only: bool = False, current_only: bool = False
    ) -> np.ndarray:
        """(n_tracks,) in the target's unit, NaN where undefined or not measured.

        NaN also where weak, if `good_only`; where measured by other formulas than today's, if `current_only`.
        """
        among = list(track_ids) if len(track_ids) <= MOST_ASKED else None
        return _aligned(track_ids, self.by_track(target, good_only=good_only, current_only=current_only, among=among))

    def by_track(
        self,
        target: str,
        *,
        good_only: bool = False,
        current_only: bool = False,
        among: Sequence[str] | None = None,
    ) -> dict[str, float | None]:
        """Of every track of which it was measured, or of some; None where it is undefined, otherwise as `values`."""
        where = "" if among is None else f" AND track_id {AMONG}"
        rows = self.database.connection.execute(
            "SELECT track_id, value FROM targets WHERE target = ? AND (quality = 'good' OR NOT ?)"
            f" AND (NOT ? OR version = ? OR version GLOB ?){where}",
            (target, good_only, current_only, *_versions(), *([] if among is None else [json.dumps(among)])),
        )
        return {row["track_id"]: row["value"] for row in rows}

    def n_known(self, track_ids: Sequence[str], targets: Collection[str], strict: Collection[str]) -> dict[str, int]:
        """Of how many of these tracks each of these targets has a finite value by today's formulas.

        Of those that are `strict` weak values do not count.
        """
        rows = self.database.connection.execute(
            f"SELECT target, count(*) FROM targets WHERE track_id {AMONG} AND target {AMONG} AND abs(value) < 9e999"
            f" AND (quality = 'good' OR target NOT {AMONG}) AND (version = ? OR version GLOB ?) GROUP BY target",
            (*(json.dumps(list(each)) for each in (track_ids, targets, strict)), *_versions()),
        )
        return dict.fromkeys(targets, 0) | dict(map(tuple, rows))

    def of_track(self, track_id: str, *, current_only: bool = False) -> dict[str, TargetValue]:
        """What was measured of one track, by target; empty if nothing was yet, or not by today's formulas if asked."""
        rows = self.database.connection.execute(
            "SELECT * FROM targets WHERE track_id = ? AND (NOT ? OR version = ? OR version GLOB ?)",
            (track_id, current_only, *_versions()),
        )
        return {
            row["target"]: TargetValue(
                math.nan if row["value"] is None else row["value"], row["quality"], row["n_events"], row["reason"]
            )
            for row in rows
        }

    def segment_counts(self) -> dict[str, int]:
        """How many segments of each track are measured; they are numbered in the order of time."""
        rows = self.database.connection.execute(
            "SELECT track_id, max(segment) + 1 AS n FROM segment_targets GROUP BY track_id"
        )
        return {row["track_id"]: row["n"] for row in rows}

    def segment_values(self, segments: Sequence[tuple[str, int]], target: str) -> np.ndarray:
        """(n_segments,) for pairs of track id and segment number."""
        rows = self.database.connection.execute(
            "SELECT track_id, segment, value FROM segment_targets WHERE target = ?", (target,)
        )
        return _aligned(segments, {(row["track_id"], row["segment"]): row["value"] for row in rows})


def probed_targets(level: str) -> list[str]:
    """The targets that make sense at a level, in the order of the registry, without companions."""
    return [target.id for target in TARGETS.values() if level in target.levels and not target.is_companion]


def probe_scale(values: np.ndarray, target: str) -> np.ndarray:
    """Values on the scale on which they are probed."""
    return transform(values, TARGETS[target].transform)


def formulas() -> str:
    """Today's formulas, as the version of every value begins."""
    return " ".join(f"{signal}-{version}" for signal, version in VERSIONS.items())


def _versions() -> tuple[str, str]:
    """Today's, as a version is compared with: without files beside the audio, and, for GLOB, with some."""
    return formulas(), f"{formulas()} *"


def is_current(version: str) -> bool:
    """Whether a value of this version was measured by today's formulas, whatever on."""
    return f"{version} ".startswith(f"{formulas()} ")


def version_of(midi: Path | None, score: Path | None) -> str:
    """Today's formulas, and the files beside the audio that a value rests on."""
    parts = [formulas()]
    for path in (midi, score):
        if path is not None:
            try:
                parts.append(sha256_file(path)[:8])
            except AudioError:  # gone in this moment, or not ours to read: measuring says so
                parts.append("unreadable")
    return " ".join(parts)


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value


def _aligned(keys: Sequence, values: dict) -> np.ndarray:
    return np.array([value if (value := values.get(key)) is not None else np.nan for key in keys], dtype=np.float64)
