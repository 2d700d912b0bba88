"""A scan: what lies in a folder becomes tracks of a library.

    folder -> collection -> recordings      by names and tables alone (`collections`)
    recording, unchanged since last time -> described again: its names and companions may be others now
    recording, new or changed -> opened -> track
    recording without audio -> rendered, if that was asked for -> opened -> track

Commits come once a second: a scan that is killed goes on after the last one. Files whose bytes changed, or that may be
what lay elsewhere, come last and together: only then is it known whether a track that lost its path has another. What
is not there is never deleted: a disk may be unmounted. One file that cannot be read stops nothing.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from mess_core.catalogue.catalogue import Described, Lost, NewTrack, readable
from mess_core.collections.collection import Collection, Description, Recording
from mess_core.collections.folder import FOLDER
from mess_core.collections.manifest import MANIFEST, check_meant, describe_table, is_table
from mess_core.collections.opening import midi_beside, open_recording
from mess_core.collections.playlist import is_playlist, read_playlist
from mess_core.collections.published import AUTO, detect
from mess_core.collections.published import collection as collection_of
from mess_core.collections.walking import MIDI_SUFFIXES, find_music, unread_sentence
from mess_core.errors import InputError, MessError, of_item
from mess_core.storage.database import Guard
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import parse_json_value, printable, understanding
from mess_core.words import counted
from mess_core.workspace.workspace import Workspace, check_path

COMMIT_EVERY_S = 1.0
WITHOUT_WORKS = "None names its work, so each counts as a work of its own: a column work says what belongs together."
MOST_NAMED = 2000  # of what a table or a playlist names and cannot be used: each becomes a row

Progress = Callable[[int, int, str], None]
Refuse = Callable[[str, MessError], None]


@dataclass(frozen=True)
class Scanned:
    """How a scan ended, in numbers of recordings.

    n_silent : have only MIDI, which was not rendered
    unread : files of other kinds that may be music, by kind
    n_unlisted : files of music that the user's own table, or a published collection, does not name
    is_without_works : no recording of a table names its work
    """

    collection: Collection
    n_recordings: int
    n_new: int
    n_known: int
    n_refused: int
    n_silent: int
    unread: Mapping[str, int]
    n_unlisted: int
    is_without_works: bool = False

    @property
    def summary(self) -> str:
        """In a sentence or two."""
        n_registered = self.n_new + self.n_known
        text = f"{n_registered} of {counted(self.n_recordings, 'file')} registered."
        if self.collection is not FOLDER:
            text = f"{self.collection.title}: {n_registered} of {counted(self.n_recordings, 'recording')} registered."
        if self.n_silent:
            have, them = ("has", "it") if self.n_silent == 1 else ("have", "them")
            text += f" {self.n_silent} {have} only MIDI: --render plays {them} with our synthesiser."
        if self.n_unlisted:
            where = "in the table" if self.collection is MANIFEST else "part of it: --dataset folder takes everything"
            text += f" {self.n_unlisted} other {'file is' if self.n_unlisted == 1 else 'files are'} not {where}."
        if self.is_without_works:
            text += f" {WITHOUT_WORKS}"
        return f"{text} {unread_sentence(self.unread)}".strip()


def n_registered(summary: str) -> int:
    """How many recordings are in the library, by the summary of a scan: all that a job keeps of it.

    Examples
    --------
    >>> n_registered("Vienna 4×22: 87 of 88 recordings registered. 3 of 4 others are not in the table.")
    87
    """
    found = re.search(r"(\d+) of [\d,]+ (?:file|recording)s? registered\.", summary)
    return int(found[1]) if found else 0


def scan(
    workspace: Workspace,
    path: Path,
    library: str,
    collection_id: str = AUTO,
    *,
    renders: bool = False,
    columns: Mapping[str, str] = MappingProxyType({}),
    on_progress: Progress = lambda n_done, n_total, name: None,
    on_refused: Refuse = lambda name, error: None,
    guard: Guard | None = None,
) -> Scanned:
    """Register what lies at a path.

    Parameters
    ----------
    path : Path
        A folder, one audio file, a playlist, or a table of recordings.
    collection_id : str
        How its folders and tables are to be read; "auto" judges by them.
    renders : bool
        Whether performances of which there is only MIDI are played by our synthesiser.
    columns : mapping of column to what it holds
        Of the user's own table, where columns are called otherwise than ours; it is remembered with the folder.
    on_progress : callable (n_done, n_total, name)
        Called for every recording; an exception it raises ends the scan, and what was committed stays.
    on_refused : callable (name, error)
        Called for what cannot be used.
    guard : callable, optional
        Called inside every transaction; raises if this scan may write no more.

    Raises
    ------
    InputError
        If there is nothing at the path, or nothing that MESS reads.
    """
    check_path(path)
    table, meant = _meant(workspace, path, columns)
    if table is not None or meant:
        folder = path.parent if path.is_file() else path
        collection, description = MANIFEST, replace(describe_table(folder, table, meant), root=folder)
        remembered = {"table": None if table is None else table.name, "columns": dict(meant)}
        workspace.database.set_setting(_setting_of(folder), json.dumps(remembered))
    else:
        collection, description = _describe(path, collection_id)
    recordings, root, n_refused = description.recordings, description.root or path, len(description.refused)
    for name, why in description.refused[:MOST_NAMED]:
        on_refused(name, InputError(why))
    if n_refused > MOST_NAMED:
        on_refused(f"{n_refused - MOST_NAMED:,} more", InputError("They were refused as well."))
    wanted = recordings if renders else [recording for recording in recordings if recording.audio is not None]
    if not recordings:
        if n_refused:
            raise InputError(f"Nothing that {printable(path.name)} names can be used: {n_refused} refused.")
        raise InputError(f"No audio file lies below {path}. {unread_sentence(description.unread)}".strip())
    known = workspace.catalogue.known_files(root)
    name_of = None if collection is FOLDER else collection.id
    new: list[NewTrack] = []
    old: list[Described] = []
    changed: list[NewTrack] = []
    lost: Lost | None = None
    n_new = n_known = 0
    began_at, committed_s = time.time(), time.monotonic()

    def commit() -> None:
        nonlocal new, old, committed_s
        workspace.add(root, new, library, guard=guard)
        workspace.catalogue.describe(root, old, library, guard=guard)
        new, old, committed_s = [], [], time.monotonic()

    for n_done, recording in enumerate(wanted):
        name = _name(recording, root)
        on_progress(n_done, len(wanted), name)
        try:
            track_id = _unchanged(recording, root, known)
            if track_id is not None:
                old.append(_described(track_id, recording, name_of))
                n_known += 1
            else:
                opened = open_recording(_with_audio(workspace.paths, recording), name_of)
                if lost is None:  # asks the disk for every file of known samples, once, and only if there is a new one
                    lost = workspace.catalogue.lost()
                opened = workspace.with_samples(opened, lost)
                is_alone = set(workspace.catalogue.tracks_at(opened.audio)) <= {opened.track.track_id}
                is_back = opened.track.samples_sha256 in lost.samples
                (new if is_alone and not is_back else changed).append(opened)
                n_new += 1
        except Exception as error:  # whatever is in one file, the others are registered
            n_refused += 1
            on_refused(name, of_item(error))
        if time.monotonic() - committed_s > COMMIT_EVERY_S:
            commit()
    commit()
    workspace.add(root, changed, library, since=began_at, guard=guard)
    workspace.catalogue.forget_moved(root)
    on_progress(len(wanted), len(wanted), "")
    return Scanned(
        collection,
        len(recordings),
        n_new,
        n_known,
        n_refused,
        len(recordings) - len(wanted),
        description.unread,
        description.n_unlisted or (0 if collection in (FOLDER, MANIFEST) else _n_beside(path, recordings)),
        collection is MANIFEST and len(recordings) > 1 and not any(recording.work for recording in recordings),
    )


def _meant(workspace: Workspace, path: Path, columns: Mapping[str, str]) -> tuple[Path | None, Mapping[str, str]]:
    """Which table says what lies at a path, and what its columns hold: as it is said now, or was said before."""
    check_meant(columns)
    if path.is_file():
        if is_table(path):
            return path, columns
        if columns:
            raise InputError(
                f"{printable(path.name)} is no table, so it has no columns.", "Name a table or its folder."
            )
        return None, {}
    if columns:
        return None, columns
    text = workspace.database.setting(_setting_of(path))
    if text is None:
        return None, {}
    with understanding("What was said of a table"):
        said = parse_json_value(text, "what was said of a table")
        table = None if said["table"] is None else path / Path(str(said["table"])).name
        known = {str(column): str(role) for column, role in said["columns"].items()}
        return (table, known) if table is None or table.is_file() else (None, {})


def _setting_of(folder: Path) -> str:
    return f"table of {readable(str(folder.resolve()))}"


def _describe(path: Path, collection_id: str) -> tuple[Collection, Description]:
    """Which collection it is, and what that says of it; a playlist is a folder whose files lie anywhere."""
    if is_playlist(path) and path.is_file():
        return FOLDER, replace(read_playlist(path), root=path.parent)
    if path.is_file():
        is_midi = path.suffix.lower() in MIDI_SUFFIXES
        recording = Recording(None, midi=path) if is_midi else Recording(path)
        return FOLDER, Description([recording], root=path.parent)
    collection = detect(path) if collection_id == AUTO else collection_of(collection_id)
    return collection, collection.read(path)


def _n_beside(path: Path, recordings: Sequence[Recording]) -> int:
    """How many files of music lie in a collection's folder that it does not know."""
    known = {file for each in recordings for file in (each.audio, each.midi, each.score)}
    found = find_music(path)
    return sum(file not in known for file in (*found.audio, *found.midi))


def _unchanged(recording: Recording, root: Path, known: dict[str, tuple[int, int, str]]) -> str | None:
    """The track of a file that has the size and time it had."""
    if recording.audio is None or not recording.audio.is_relative_to(root):
        return None
    seen = known.get(recording.audio.relative_to(root).as_posix())
    if seen is None:
        return None
    size_bytes, mtime_ns, track_id = seen
    try:
        stat = recording.audio.stat()
    except OSError:
        return None  # opening it says what is wrong
    return track_id if (size_bytes, mtime_ns) == (stat.st_size, stat.st_mtime_ns) else None


def _described(track_id: str, recording: Recording, collection: str | None) -> Described:
    names = dict(recording.names) | ({"collection": collection} if collection else {})
    return Described(track_id, names, _companions(recording), tuple(recording.score_times()), recording.details)


def _companions(recording: Recording) -> dict[str, Path]:
    """Files beside the audio, which may have come since it was opened."""
    beside = midi_beside(recording.audio) if recording.audio is not None else None
    found = {"midi": recording.midi or beside, "score": recording.score}
    return {role: path for role, path in found.items() if path is not None and path.is_file()}


def _with_audio(paths: Paths, recording: Recording) -> Recording:
    if recording.audio is not None:
        return recording
    from mess_core.collections.rendering import render_recording

    return render_recording(recording, paths.rendered)


def _name(recording: Recording, root: Path) -> str:
    """Which file it is: two of one name lie in different folders."""
    path = recording.audio or recording.midi
    if path is None:
        return recording.title or "?"
    return printable((path.relative_to(root) if path.is_relative_to(root) else path).as_posix())
