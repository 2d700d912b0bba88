"""A catalogue out of the files beside it: what sealed files tell is entered again, what they do not tell is said.

    mess.sqlite     as it is, if it can be read and knows anything; else the newest daily copy; else a new one
    uploads/        named by their content: tracks, in the library `recovered`, so that they are not swept
    embeddings/     name their track and encoder. A track that nothing else knows is one without audio, under its id,
                    until its folder is added again
    probing/, learned/    found by name; nothing to do

Names, libraries, edits, opinions and targets are in the catalogue alone.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from mess_core.audio.decode import sha256_file
from mess_core.catalogue.catalogue import TRACK_ID_DIGITS, UNKNOWN_CODEC, NewTrack, Track
from mess_core.collections.opening import read_track
from mess_core.embeddings.store import StoredFacts
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.registry import encoder_ids, encoder_info
from mess_core.errors import MessError, StorageError
from mess_core.storage.database import Database, catalogue_copies
from mess_core.storage.files import TMP_SUFFIX, own_files
from mess_core.words import counted
from mess_core.workspace.workspace import Workspace

RECOVERED = "recovered"  # the library of what was found
TRACK_ID = re.compile(rf"[0-9a-f]{{{TRACK_ID_DIGITS}}}(@[0-9]+-[0-9]+)?")


@dataclass(frozen=True)
class Rebuilt:
    """What was read back. n_nameless : tracks of which only embeddings are known; base : what it was added to"""

    base: str
    n_uploads: int
    n_embeddings: int
    n_nameless: int
    n_other_versions: int
    unusable: tuple[str, ...]

    @property
    def summary(self) -> str:
        """For people: what came back, and what could not."""
        what = f"{counted(self.n_embeddings, 'embedding')} and {counted(self.n_uploads, 'upload')}"
        lines = [f"Read back into {self.base}: {what}."]
        if self.n_nameless:
            lines.append(
                f"Known by embeddings alone, in the library {RECOVERED!r}: {counted(self.n_nameless, 'track')}."
                " Add the folders again, and names and sound are back."
            )
        if self.n_other_versions:
            left = counted(self.n_other_versions, "embedding")
            lines.append(f"Left aside, by encoders that are not in use here: {left}.")
        lines += [f"Not usable: {what}" for what in self.unusable]
        lines.append(
            "Names, libraries, edits, opinions and targets since then are in no other file: they could not be rebuilt."
        )
        return "\n".join(lines)


def rebuild(workspace: Workspace) -> Rebuilt:
    """Make a catalogue that belongs to the files beside it. Deletes nothing; what cannot be read is set aside.

    Raises
    ------
    ArtefactMismatchError
        If the catalogue is of a newer MESS.
    StorageError
        If the disk refuses.
    """
    workspace.custody.is_rebuilding = True
    try:
        workspace.database.close()
        base = _find_base(workspace)
        n_uploads, bad_uploads = _read_uploads(workspace)
        n_embeddings, n_nameless, n_other, bad = _read_embeddings(workspace)
        workspace.custody.adopt(workspace.database.connection)
    finally:
        workspace.custody.is_rebuilding = False
    return Rebuilt(base, n_uploads, n_embeddings, n_nameless, n_other, (*bad_uploads, *bad))


def _find_base(workspace: Workspace) -> str:
    """Put a catalogue in its place that can be read, the best there is; says which."""
    path = workspace.paths.database
    if path.exists() and path.stat().st_size:
        n_known = _n_known(workspace.database)
        if n_known:
            return "the catalogue that is there"
        copies = [copy for copy in catalogue_copies(workspace.paths.root) if _n_known(Database(copy))]
        if n_known == 0 and not copies:
            return "an empty catalogue"
        _set_aside(workspace)
    for copy in catalogue_copies(workspace.paths.root):
        if _n_known(Database(copy)):
            temporary = path.with_name(f"{path.name}.copy{TMP_SUFFIX}")
            try:
                shutil.copy(copy, temporary)
                temporary.chmod(0o600)
                temporary.replace(path)
            except OSError as error:
                message = f"{copy} could not be copied to {path}: {error.strerror}."
                raise StorageError(message, "Free some disk space, then try again.") from error
            return f"the copy of {copy.stem.removeprefix('mess-')}"
    return "a new catalogue"


def _n_known(database: Database) -> int | None:
    """How many tracks a catalogue knows; None if it cannot be read."""
    try:
        connection = database.connection
        if [row[0] for row in connection.execute("PRAGMA integrity_check")] != ["ok"]:
            return None
        return int(connection.execute("SELECT count(*) FROM tracks").fetchone()[0])
    except (StorageError, sqlite3.Error):
        return None
    finally:
        database.close()


def _set_aside(workspace: Workspace) -> None:
    """Rename a catalogue with its log, into the folder of its copies."""
    workspace.database.close()
    aside = workspace.paths.copies / f"set-aside-{time.strftime('%Y-%m-%d-%H%M%S')}{workspace.paths.database.suffix}"
    try:
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        for suffix in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{workspace.paths.database}{suffix}").replace(f"{aside}{suffix}")
    except OSError as error:
        raise StorageError(f"{workspace.paths.database} could not be set aside: {error.strerror}.") from error


def _read_uploads(workspace: Workspace) -> tuple[int, list[str]]:
    known = workspace.catalogue.known_files(workspace.paths.uploads)
    n_read, bad = 0, []
    for path in sorted(own_files(workspace.paths.root, workspace.paths.uploads.glob("*"))):
        if path.suffix == TMP_SUFFIX or path.name in known:
            continue
        try:
            if sha256_file(path) != path.stem:
                bad.append(f"the upload {path.name} is damaged.")
                continue
            new = read_track(path, title=f"upload {path.stem[:8]}")
            workspace.add(workspace.paths.uploads, [NewTrack(new.track, path)], RECOVERED)
            n_read += 1
        except MessError as error:
            bad.append(f"the upload {path.name}: {error.message}")
    return n_read, bad


def _read_embeddings(workspace: Workspace) -> tuple[int, int, int, list[str]]:
    """Enter every embedding that is whole and that no row points to."""
    known_encoders = {info.fingerprint: info for info in _encoders(workspace)}
    connection = workspace.database.connection
    pairs = {tuple(row) for row in connection.execute("SELECT track_id, fingerprint FROM embeddings")}
    tracks = {row[0] for row in connection.execute("SELECT track_id FROM tracks")}
    n_read = n_nameless = n_other = 0
    bad = []
    # The plain name first: another one was written where bytes differed, and may have been replaced since.
    files = own_files(workspace.paths.root, workspace.paths.embeddings.glob("*/*/*.safetensors"))
    for path in sorted(files, key=lambda path: (len(path.name), path)):
        try:
            facts = workspace.store.facts_of_file(path)
        except MessError as error:
            bad.append(error.message)
            continue
        info = known_encoders.get(facts.fingerprint)
        if (facts.track_id, facts.fingerprint) in pairs:
            continue
        if info is None:
            n_other += 1
            continue
        if not TRACK_ID.fullmatch(facts.track_id) or not path.name.startswith(facts.track_id) or not facts.fits(info):
            bad.append(f"the embedding {path.name} is not what its name says.")
            continue
        if facts.track_id not in tracks:
            workspace.catalogue.add_nameless(_nameless(facts, info), RECOVERED)
            tracks.add(facts.track_id)
            n_nameless += 1
        workspace.store.enter(path, info, facts)
        pairs.add((facts.track_id, facts.fingerprint))
        n_read += 1
    return n_read, n_nameless, n_other, bad


def _encoders(workspace: Workspace) -> list[EncoderInfo]:
    found = []
    for encoder_id in encoder_ids(workspace.paths):
        with contextlib.suppress(MessError):
            found.append(encoder_info(encoder_id, workspace.paths))
    return found


def _nameless(facts: StoredFacts, info: EncoderInfo) -> Track:
    """A track of which only an embedding is known: its hash is known in part, its length nearly."""
    return Track(
        track_id=facts.track_id,
        sha256=facts.track_id[:TRACK_ID_DIGITS].ljust(64, "0"),
        title=facts.track_id,
        duration_s=facts.last_start_s + info.segment_s,
        sample_rate_hz=0,
        n_channels=1,
        codec=UNKNOWN_CODEC,
    )
