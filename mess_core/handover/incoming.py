"""A library into this data folder: what `outgoing` wrote, verified, joined with what is here.

What is here stays: an embedding, target or name of ours is never written over, and what differs is counted. So two
folders that were filled apart and joined hold what one filled alone does, and importing twice changes nothing.
Each track's embedding, and each table's rows of a few tracks, are there wholly or not at all; a stopped import goes on.
"""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from mess_core.catalogue.catalogue import ALL, NAMES, TRACK_FIELDS, TRACK_ID_DIGITS, Track
from mess_core.catalogue.passages import ScoreTimes
from mess_core.collections.collection import MOST_DETAILS, tidy
from mess_core.config import MAX_DURATION_S
from mess_core.embeddings.store import TrackEmbedding, embedding_of, precision_in
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.imported import IMPORTED, MOST_RATE_HZ, info_of, keep_imported
from mess_core.encoders.registry import encoder_info
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.handover.folders import (
    COPY_AGAIN,
    MANIFEST,
    ListedFile,
    OnProgress,
    no_progress,
    read_manifest,
    verify_file,
    verify_files,
)
from mess_core.handover.outgoing import FORMAT, OLDER, embedding_path
from mess_core.handover.parquet import SCORE_TIMES, SEGMENT_TARGETS, TARGETS, TRACKS, Row, read_table
from mess_core.storage.untrusted import (
    LARGEST,
    MOST_TENSORS_BYTES,
    are_possible,
    build,
    printable,
    read_untrusted,
    understanding,
)
from mess_core.targets.registry import TARGETS as KNOWN_TARGETS
from mess_core.words import counted
from mess_core.workspace.workspace import Workspace

SHA256 = re.compile("[0-9a-f]{64}")
MOST_CHANNELS, MOST_LUFS, MOST_EVENTS = 256, 200.0, 10**9
TRACK_ID = re.compile(rf"[0-9a-f]{{{TRACK_ID_DIGITS}}}(@[0-9]+-[0-9]+)?")
# Ours first: of a known track only what nobody here knew. Length and loudness are known once it was decoded here.
UPSERT_TRACK = (
    f"INSERT INTO tracks ({', '.join(TRACK_FIELDS)}, added_at) VALUES ({', '.join('?' * len(TRACK_FIELDS))}, ?)"
    " ON CONFLICT (track_id) DO UPDATE SET "
    + ", ".join(f"{name} = coalesce({name}, excluded.{name})" for name in (*NAMES, "collection", "loudness_lufs"))
    + ", duration_s = iif(loudness_lufs IS NULL, excluded.duration_s, duration_s)"
    + ", is_truncated = iif(loudness_lufs IS NULL, excluded.is_truncated, is_truncated)"
    + "".join(f", {name} = coalesce({name}, excluded.{name})" for name in ("samples_sha256", "sounding_s", "downmix"))
)
VERSIONS_OF_TARGETS = "SELECT DISTINCT version FROM targets WHERE track_id = ?"


@dataclass(frozen=True)
class Imported:
    """What an import did.

    n_tracks, n_new_tracks, n_without_audio : in the export; of these new here; of these with no audio here
    n_embeddings, n_measured, n_score_times : taken in; tracks, for `n_measured`
    n_kept_embeddings, n_kept_measured : of tracks that were here already and differ: ours stayed
    elsewhere : encoders that are another one here: their embeddings are kept, and searched once these weights are here
    """

    library: str
    n_tracks: int
    n_new_tracks: int
    n_without_audio: int
    n_embeddings: int
    n_measured: int
    n_score_times: int
    n_kept_embeddings: int
    n_kept_measured: int
    elsewhere: tuple[str, ...]

    @property
    def summary(self) -> str:
        """For people: what came, what stayed as it was, what is missing."""
        sentences = [
            f"{counted(self.n_tracks, 'track')} in {self.library!r}, {self.n_new_tracks} new; taken in:"
            f" {_counts(self.n_embeddings, self.n_measured)}."
        ]
        if self.n_kept_embeddings or self.n_kept_measured:
            kept = _counts(self.n_kept_embeddings, self.n_kept_measured)
            sentences.append(f"What is here stays, though another came: {kept}.")
        if self.n_without_audio:
            they = "it" if self.n_without_audio == 1 else "they"
            sentences.append(f"The audio of {self.n_without_audio} is not here: {they} can be found, not heard.")
        if self.elsewhere:
            sentences.append(f"Made with other weights than here: {', '.join(self.elsewhere)}.")
        return " ".join(sentences)


def _counts(n_embeddings: int, n_measured: int) -> str:
    return f"{counted(n_embeddings, 'embedding')} and the targets of {counted(n_measured, 'track')}"


def import_library(
    workspace: Workspace, folder: Path, library: str | None = None, on_progress: OnProgress = no_progress
) -> Imported:
    """Take in an exported library; nothing is taken in before every file was verified.

    Parameters
    ----------
    library : str or None
        The library that the tracks join; None stands for the name they came under.

    Raises
    ------
    ArtefactMismatchError
        If a file is missing, damaged or not what it should be (it is named), or the format is a newer one.
    InputError
        If the manifest names a path outside of the folder.
    """
    document = read_manifest(folder, FORMAT, OLDER)
    files = verify_files(folder, document.get("files"), on_progress)
    for name in (TRACKS, TARGETS, SEGMENT_TARGETS, SCORE_TIMES):
        if name not in files:
            raise ArtefactMismatchError(f"{MANIFEST} lists no {name}.", COPY_AGAIN)
    library = library or _name(document, folder)
    tracks = tracks_in(read_table(folder / TRACKS))
    encoders = _encoders(document)
    elsewhere = make_known(workspace, encoders)

    n_new = add_tracks(workspace, library, tracks)
    n_embeddings = n_kept = 0
    for info in encoders:
        known = workspace.store.known(info)
        listed = {track_id: each for track_id in tracks if (each := files.get(embedding_path(info, track_id)))}
        n_kept += sum(known[track_id] != each.sha256 for track_id, each in listed.items() if track_id in known)
        new = {track_id: each for track_id, each in listed.items() if track_id not in known}
        n_embeddings += _take_in_embeddings(workspace, folder, info, new, on_progress)
    targets, segments = read_table(folder / TARGETS), read_table(folder / SEGMENT_TARGETS)
    n_measured, n_kept_measured = take_in_targets(workspace, targets, segments, tracks)
    n_score_times = take_in_score_times(workspace, read_table(folder / SCORE_TIMES), tracks)
    on_progress(len(tracks), len(tracks))
    n_without_audio = sum(not workspace.catalogue.likely_audio_path(track_id).is_file() for track_id in tracks)
    return Imported(
        library, len(tracks), n_new, n_without_audio, n_embeddings, n_measured, n_score_times, n_kept, n_kept_measured,
        elsewhere,
    )  # fmt: skip


def _name(document: Mapping[str, Any], folder: Path) -> str:
    name = document.get("library")
    return name if isinstance(name, str) and name not in ("", ALL) else folder.resolve().name


# --- tracks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Incoming:
    """A track, its planted truth, and what the user's own table says further of it."""

    track: Track
    planted: Sequence[tuple[str, float]]
    details: Mapping[str, str]


def tracks_in(groups: Iterable[list[Row]]) -> dict[str, Incoming]:
    """Track id -> what the rows of `TRACKS` say of it, in order. ArtefactMismatchError if that cannot be."""
    found = {}
    for rows in groups:
        for *facts, planted, _, details in rows:
            track_id = printable(str(facts[0]))
            with understanding(f"The track {track_id} in {TRACKS}", COPY_AGAIN):
                track = build(Track, dict(zip(TRACK_FIELDS, facts, strict=True)))
                truth = [(str(name), float(value)) for name, value in planted or ()]
                if not is_possible(track) or not all(math.isfinite(value) for _, value in truth):
                    raise ValueError("it says of itself what cannot be")
                further = {tidy(name): tidy(value) for name, value in list(details or ())[:MOST_DETAILS]}
                names: dict[str, Any] = {name: tidy(getattr(track, name)) for name in (*NAMES, "collection")}
                names["title"] = names["title"] or track_id
                known = {name: value for name, value in further.items() if name and value}
                found[track.track_id] = Incoming(replace(track, **names), truth, known)
    return dict(sorted(found.items()))


def is_possible(track: Track) -> bool:
    """Whether there could be such a track; nothing in a table that came from elsewhere is believed."""
    return (
        TRACK_ID.fullmatch(track.track_id) is not None
        and SHA256.fullmatch(track.sha256) is not None
        and track.sha256.startswith(track.track_id[:TRACK_ID_DIGITS])
        and 0 < track.duration_s <= MAX_DURATION_S
        and 1 <= track.sample_rate_hz <= MOST_RATE_HZ
        and 1 <= track.n_channels <= MOST_CHANNELS
        and re.fullmatch(r"\w[\w .()+/,-]{0,99}", track.codec) is not None
        and (track.loudness_lufs is None or abs(track.loudness_lufs) <= MOST_LUFS)
        and (track.samples_sha256 is None or SHA256.fullmatch(track.samples_sha256) is not None)
    )


def add_tracks(workspace: Workspace, library: str, tracks: Mapping[str, Incoming]) -> int:
    """All of them, in one transaction; returns how many were new."""
    workspace.catalogue.add_to_library(library, [])  # refuses a name that cannot be
    n_new = 0
    with workspace.database.transaction() as connection:
        for track_id, each in tracks.items():
            n_new += not connection.execute("SELECT 1 FROM tracks WHERE track_id = ?", (track_id,)).fetchone()
            connection.execute(UPSERT_TRACK, (*(getattr(each.track, name) for name in TRACK_FIELDS), time.time()))
            for table, values in (("planted", each.planted), ("details", each.details.items())):
                rows = [(track_id, name, value) for name, value in values]
                connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?)", rows)
            connection.execute("INSERT OR IGNORE INTO library_tracks VALUES (?, ?)", (library, track_id))
    return n_new


# --- embeddings ---------------------------------------------------------------------------------------------


def _encoders(document: Mapping[str, Any]) -> list[EncoderInfo]:
    """The encoders of a manifest, each with the fingerprint that its facts give."""
    try:
        found = [(info_of(encoder["facts"], MANIFEST), encoder["fingerprint"]) for encoder in document["encoders"]]
    except (KeyError, TypeError) as error:
        raise ArtefactMismatchError(f"{MANIFEST} does not say which encoders there are.", COPY_AGAIN) from error
    for info, fingerprint in found:
        if info.fingerprint != fingerprint:
            raise ArtefactMismatchError(f"The facts of {info.id} in {MANIFEST} are not those it was named by.")
    return [info for info, _ in found]


def make_known(workspace: Workspace, encoders: Sequence[EncoderInfo]) -> tuple[str, ...]:
    """Imported encoders become known here, too; returns the ids that stand for another encoder here, or for none."""
    elsewhere = []
    for info in encoders:
        try:
            if info.id.startswith(IMPORTED):
                keep_imported(info, workspace.paths)
            if encoder_info(info.id, workspace.paths).fingerprint != info.fingerprint:
                elsewhere.append(info.id)
        except InputError:
            elsewhere.append(info.id)
    return tuple(elsewhere)


def _take_in_embeddings(
    workspace: Workspace, folder: Path, info: EncoderInfo, files: Mapping[str, ListedFile], on_progress: OnProgress
) -> int:
    """Embeddings by track id, verified as they are read; returns how many were kept."""
    read = ((track_id, *_embedding(folder, each, info)) for track_id, each in files.items())
    return workspace.store.write_many(info, read, lambda n_done: on_progress(n_done, len(files)))


def _embedding(folder: Path, listed: ListedFile, info: EncoderInfo) -> tuple[TrackEmbedding, dict[str, Any] | None]:
    """A stored embedding, of the shape that its encoder makes, and what it says of its precision."""
    name = printable(listed.path)
    data = read_untrusted(verify_file(folder, listed), MOST_TENSORS_BYTES, name=name, cure=COPY_AGAIN)
    embedding = embedding_of(data, info.widths, name, COPY_AGAIN)
    shapes = embedding.mean.shape, embedding.frame_std.shape
    if shapes != ((info.n_layers, info.embedding_dim), (info.n_layers, info.dim)):
        raise ArtefactMismatchError(f"{name} is none by {info.id}: it is of another shape.", COPY_AGAIN)
    return embedding, precision_in(data)


# --- tables -------------------------------------------------------------------------------------------------


def take_in_targets(
    workspace: Workspace, targets: Iterable[list[Row]], segments: Iterable[list[Row]], tracks: Mapping[str, Any]
) -> tuple[int, int]:
    """Targets of tracks that were not measured here; segments of these. Returns how many were, and how many differ."""
    n_taken = n_kept = 0

    def take(connection: sqlite3.Connection, track_id: str, theirs: list[Row]) -> None:
        nonlocal n_taken, n_kept
        _check_numbers(TARGETS, theirs, value=2, count=5)
        theirs = sorted((row for row in theirs if row[1] in KNOWN_TARGETS), key=lambda row: str(row[1]))
        ours = _ours(connection, "SELECT * FROM targets WHERE track_id = ? ORDER BY target", track_id)
        if ours:
            n_kept += ours != theirs
            return
        connection.executemany("INSERT OR REPLACE INTO targets VALUES (?, ?, ?, ?, ?, ?, ?, ?)", theirs)
        n_taken += bool(theirs)

    def take_segments(connection: sqlite3.Connection, track_id: str, theirs: list[Row]) -> None:
        _check_numbers(SEGMENT_TARGETS, theirs, value=3, count=2)
        versions = {version for (version,) in _ours(connection, VERSIONS_OF_TARGETS, track_id)}
        theirs = [row for row in theirs if row[1] in KNOWN_TARGETS and row[5] in versions]  # made with those taken in
        if not _ours(connection, "SELECT 1 FROM segment_targets WHERE track_id = ? LIMIT 1", track_id):
            connection.executemany("INSERT OR REPLACE INTO segment_targets VALUES (?, ?, ?, ?, ?, ?)", theirs)

    _each_track(workspace, TARGETS, targets, tracks, take)
    _each_track(workspace, SEGMENT_TARGETS, segments, tracks, take_segments)
    return n_taken, n_kept


def _check_numbers(table: str, rows: Sequence[Row], *, value: int, count: int) -> None:
    """Refuse a value that is no number, and a count that counts nothing; both are places in a row."""
    for row in rows:
        is_number = row[value] is None or abs(row[value]) <= LARGEST  # false of NaN and infinity
        if not is_number or not 0 <= row[count] <= MOST_EVENTS:
            raise ArtefactMismatchError(
                f"{table} says of {printable(str(row[0]))} that {printable(str(row[1]))} is {row[value]!r}.",
                COPY_AGAIN,
            )


def take_in_score_times(workspace: Workspace, groups: Iterable[list[Row]], tracks: Mapping[str, Any]) -> int:
    """Score times that were not known here; returns how many were taken in."""
    n_taken = 0

    def take(connection: sqlite3.Connection, track_id: str, theirs: list[Row]) -> None:
        nonlocal n_taken
        ours = {each.score for each in workspace.catalogue.passages.of_track(track_id)}
        try:
            new = [ScoreTimes.of(score, beats, times_s) for _, score, beats, times_s in theirs if score not in ours]
            if not all(are_possible(each.beats) and are_possible(each.times_s) for each in new):
                raise InputError("A beat or its time cannot be.")
        except (InputError, TypeError, ValueError) as error:
            raise ArtefactMismatchError(f"{SCORE_TIMES} holds no score times of {track_id}: {error}") from error
        workspace.catalogue.passages.write(track_id, new)
        n_taken += len(new)

    _each_track(workspace, SCORE_TIMES, groups, tracks, take)
    return n_taken


def _each_track(
    workspace: Workspace,
    table: str,
    groups: Iterable[list[Row]],
    tracks: Mapping[str, Any],
    take: Callable[[sqlite3.Connection, str, list[Row]], None],
) -> None:
    """Hand out the rows of a table, track by track; what is done with a row group is one transaction."""
    for rows in groups:
        with workspace.database.transaction() as connection:
            for track_id, theirs in groupby(rows, key=lambda row: str(row[0])):
                if track_id not in tracks:
                    raise ArtefactMismatchError(f"{table} names {track_id}, which is no track of it.", COPY_AGAIN)
                take(connection, track_id, list(theirs))


def _ours(connection: sqlite3.Connection, query: str, track_id: str) -> list[Row]:
    return [tuple(row) for row in connection.execute(query, (track_id,))]
