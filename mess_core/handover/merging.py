"""Data folders of several machines into one, as after `extract --shard`: what each has computed, joined here.

    tracks, libraries, details, edits, where files were seen     what is known here stays, what is not is taken
    embeddings            byte for byte, verified by the hash in their own catalogue; another fingerprint lies apart
    targets, score times  of tracks that were not measured here

It is what `outgoing` writes and `incoming` takes in, without a folder between, and with what only a data folder of
one's own has: where files lie. Nothing here is written over, so a folder that comes twice changes nothing, and a merge
that was stopped goes on. Each embedding is there wholly or not at all. What somebody thought or played is no one's
computation and stays where it was said (`judgements` and `events` hand it over); discoveries and maps are made again.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mess_core.catalogue.catalogue import ALL, SeenFile, Track
from mess_core.embeddings.store import EmbeddingStore
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.imported import info_of
from mess_core.errors import ArtefactMismatchError, InputError, MessError, StorageError
from mess_core.handover.folders import OnProgress, no_progress
from mess_core.handover.incoming import (
    Incoming,
    add_tracks,
    make_known,
    take_in_score_times,
    take_in_targets,
    tracks_in,
)
from mess_core.handover.outgoing import tables_of
from mess_core.handover.parquet import SCORE_TIMES, SEGMENT_TARGETS, TARGETS, TRACKS
from mess_core.storage.database import SCHEMA_VERSION
from mess_core.storage.untrusted import parse_json, printable
from mess_core.words import counted
from mess_core.workspace.workspace import Workspace

TRACKS_AT_ONCE = 5000  # of which all rows are held in memory: some hundred megabytes where every segment was measured


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    n_homes, n_tracks : that came, each once; n_new_tracks : of these new here
    n_embeddings, n_measured : taken in; tracks, for `n_measured`
    n_kept_embeddings, n_kept_measured : that are here already and differ: ours stayed
    apart : encoders that are another version here: their embeddings are kept, and lie apart
    problems : (what, why, what to do) of each item that could not be taken in; the others were
    """

    n_homes: int
    n_tracks: int
    n_new_tracks: int
    n_embeddings: int
    n_measured: int
    n_kept_embeddings: int
    n_kept_measured: int
    apart: tuple[str, ...]
    problems: tuple[tuple[str, str, str], ...]

    @property
    def summary(self) -> str:
        """For people: what came, what stayed as it was, what could not be used."""
        sentences = [
            f"{counted(self.n_homes, 'data folder')}, {counted(self.n_tracks, 'track')}, {self.n_new_tracks} new; taken"
            f" in: {counted(self.n_embeddings, 'embedding')} and the targets of {counted(self.n_measured, 'track')}."
        ]
        if self.n_kept_embeddings or self.n_kept_measured:
            sentences.append(
                f"What is here stays, though another came: {counted(self.n_kept_embeddings, 'embedding')} and the"
                f" targets of {counted(self.n_kept_measured, 'track')}."
            )
        if self.apart:
            sentences.append(f"Made with another version than here, and kept apart: {', '.join(self.apart)}.")
        if self.problems:
            sentences.append(f"Left out: {counted(len(self.problems), 'item')}.")
        return " ".join(sentences)


def merge(into: Workspace, homes: Sequence[Path], on_progress: OnProgress = no_progress) -> Merged:
    """Join data folders with this one.

    Parameters
    ----------
    homes : sequence of Path
        They are only read; one that is named twice counts once.

    Raises
    ------
    InputError
        If one of them is no data folder, or is this one: said before anything is taken in.
    ArtefactMismatchError
        If the catalogue of one was written by another version of MESS, or is not that of its folder.
    StorageError
        If the disk here refuses; what was taken in is kept, and the same merge goes on.
    """
    sources = [_open(home, into) for home in dict.fromkeys(home.expanduser().resolve() for home in homes)]
    seen: set[str] = set()
    n = dict.fromkeys(("new", "embeddings", "measured", "kept_embeddings", "kept_measured"), 0)
    apart: set[str] = set()
    problems: list[tuple[str, str, str]] = []
    n_total = sum(source.catalogue.n_tracks(ALL) + len(_embedded(source)) for source in sources)
    n_done = 0
    for source in sources:
        try:
            encoders = _encoders(source)
            apart.update(make_known(into, list(encoders.values())))
            all_tracks = source.catalogue.tracks(ALL)
            for start in range(0, len(all_tracks), TRACKS_AT_ONCE):
                tracks = all_tracks[start : start + TRACKS_AT_ONCE]
                on_progress(n_done, n_total)
                n_done += len(tracks)
                seen.update(track.track_id for track in tracks)
                for taken in _take_in(into, source, tracks, problems):
                    n["new"] += taken.n_new
                    n["measured"] += taken.n_measured
                    n["kept_measured"] += taken.n_kept
            known = {fingerprint: dict(into.store.known(info)) for fingerprint, info in encoders.items()}
            for track_id, fingerprint, sha256 in _embedded(source):
                on_progress(n_done, n_total)
                n_done += 1
                ours = known.get(fingerprint, {}).get(track_id)
                if ours is not None:
                    n["kept_embeddings"] += ours != sha256
                elif fingerprint in encoders:
                    n["embeddings"] += _take_embedding(into.store, source, track_id, encoders[fingerprint], problems)
        finally:
            source.close()
    on_progress(n_total, n_total)
    return Merged(
        len(sources), len(seen), n["new"], n["embeddings"], n["measured"], n["kept_embeddings"], n["kept_measured"],
        tuple(sorted(apart)), tuple(dict.fromkeys(problems)),
    )  # fmt: skip


def _open(home: Path, into: Workspace) -> Workspace:
    """A data folder to read from, which is not made by being asked for."""
    shown, database = printable(str(home)), into.paths.database.name
    if not (home / database).is_file():
        raise InputError(f"{shown} is no data folder: it holds no {database}.", "Name the --home of another machine.")
    if home == into.paths.root:
        raise InputError(f"{shown} cannot be merged into itself.", "Name the folder to merge --into once.")
    try:
        with contextlib.closing(sqlite3.connect(f"file:{home / database}?mode=ro", uri=True)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise StorageError(f"The catalogue of {shown} cannot be read: {error}.", "Copy it again.") from error
    if version != SCHEMA_VERSION:
        raise ArtefactMismatchError(
            f"The catalogue of {shown} has schema {version}, this MESS reads {SCHEMA_VERSION}.",
            "Let all machines run the same version of MESS; `doctor` there brings an older folder up to date.",
        )
    return Workspace(home)


def _encoders(source: Workspace) -> dict[str, EncoderInfo]:
    """What each fingerprint of a data folder stands for; ArtefactMismatchError where one is not that of its facts."""
    name = source.paths.database.name
    found = {}
    for row in source.database.connection.execute("SELECT fingerprint, facts FROM encoders ORDER BY fingerprint"):
        info = info_of(parse_json(row["facts"], name), name)
        if info.fingerprint != row["fingerprint"]:
            raise ArtefactMismatchError(f"The facts of {info.id} in {source.paths.root} are not what it is named by.")
        found[info.fingerprint] = info
    return found


def _embedded(source: Workspace) -> list[tuple[str, str, str]]:
    """Track, fingerprint and sha256 of every embedding of a track that is in a library, in order."""
    rows = source.database.connection.execute(
        "SELECT track_id, fingerprint, sha256 FROM embeddings WHERE track_id IN (SELECT track_id FROM library_tracks)"
        " ORDER BY track_id, fingerprint"
    )
    return [tuple(row) for row in rows]


# --- tracks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Taken:
    n_new: int
    n_measured: int
    n_kept: int


def _take_in(
    into: Workspace, source: Workspace, tracks: Sequence[Track], problems: list[tuple[str, str, str]]
) -> Iterator[_Taken]:
    """Tracks with all that their rows say; where that cannot be, each by itself, so that one bad one stops none."""
    try:
        yield _take_rows(into, source, tracks)
    except (ArtefactMismatchError, InputError) as error:
        if len(tracks) == 1:
            problems.append((tracks[0].title, error.message, error.hint))
            return
        middle = len(tracks) // 2
        for half in (tracks[:middle], tracks[middle:]):
            yield from _take_in(into, source, half, problems)


def _take_rows(into: Workspace, source: Workspace, tracks: Sequence[Track]) -> _Taken:
    rows = dict(tables_of(source, ALL, tracks))
    coming = tracks_in(rows[TRACKS])
    before = into.catalogue.tracks_of(list(coming))
    for library, track_ids in _memberships(source, coming).items():
        add_tracks(into, library, {track_id: coming[track_id] for track_id in track_ids})
    _take_edits(into, source, [track_id for track_id in coming if track_id not in before])
    into.catalogue.note_seen(_here(each, into, source) for each in source.catalogue.seen(list(coming)))
    n_measured, n_kept = take_in_targets(into, rows[TARGETS], rows[SEGMENT_TARGETS], coming)
    take_in_score_times(into, rows[SCORE_TIMES], coming)
    return _Taken(len(coming) - len(before), n_measured, n_kept)


def _memberships(source: Workspace, coming: dict[str, Incoming]) -> dict[str, list[str]]:
    """Library -> which of these tracks are in it."""
    found: dict[str, list[str]] = {}
    rows = source.database.connection.execute("SELECT library, track_id FROM library_tracks ORDER BY library, track_id")
    for library, track_id in rows:
        if track_id in coming:
            found.setdefault(library, []).append(track_id)
    return found


def _take_edits(into: Workspace, source: Workspace, track_ids: Sequence[str]) -> None:
    """What was written by hand over names of tracks that are new here: it stays when these are read again."""
    edits = source.database.connection.execute("SELECT track_id, field, value FROM edits").fetchall()
    new = set(track_ids)
    with into.database.transaction() as connection:
        connection.executemany(
            "INSERT OR IGNORE INTO edits VALUES (?, ?, ?)", [tuple(row) for row in edits if row["track_id"] in new]
        )


def _here(file: SeenFile, into: Workspace, source: Workspace) -> SeenFile:
    """Where a file was seen, as this data folder says it: what lay within the other may lie within this one, too."""
    if file.root.is_relative_to(source.paths.root):
        within = into.paths.root / file.root.relative_to(source.paths.root)
        if within.is_dir():
            return replace(file, root=within)
    return file


# --- embeddings ---------------------------------------------------------------------------------------------


def _take_embedding(
    store: EmbeddingStore,
    source: Workspace,
    track_id: str,
    info: EncoderInfo,
    problems: list[tuple[str, str, str]],
) -> bool:
    """One embedding, as its catalogue knows it; damage is named, and so is what belongs to no track here."""
    try:
        data = source.store.bytes_of(track_id, info.fingerprint)
    except MessError as error:  # damaged, gone or withheld there
        problems.append((f"{track_id} by {info.id}, in {source.paths.root}", error.message, error.hint))
        return False
    try:
        store.take(track_id, info, data)
    except StorageError:  # the disk here: nothing more can be taken in
        raise
    except MessError as error:
        problems.append((f"{track_id} by {info.id}, in {source.paths.root}", error.message, error.hint))
        return False
    return True
