"""One data folder, opened: its catalogue, its store of embeddings, its jobs, and what needs several of them."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from mess_core.audio.decode import samples_sha256
from mess_core.catalogue.catalogue import (
    Catalogue,
    Lost,
    MissingTrack,
    NewTrack,
    Track,
)
from mess_core.catalogue.comparisons import Comparisons
from mess_core.catalogue.opinions import Opinions
from mess_core.catalogue.sittings import Sittings
from mess_core.embeddings.store import EmbeddingStore
from mess_core.errors import AudioError, InputError, StorageError
from mess_core.storage.custody import Custody
from mess_core.storage.database import Database, Guard
from mess_core.storage.files import own_files
from mess_core.storage.jobs import Jobs
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import printable
from mess_core.targets.measurements import Measurements

DEMO = "demo"
T = TypeVar("T")
ROOM_BYTES = 2**20  # SQLite's log and its index need some of it; with less a catalogue opens for reading alone


class Workspace:
    """One data folder. Cheap to open; safe to share between threads."""

    def __init__(self, root: Path | None = None) -> None:
        self.paths = Paths(root.expanduser().resolve()) if root else Paths.default()
        try:
            if not self.paths.root.is_dir():
                self.paths.root.parent.mkdir(parents=True, exist_ok=True)
                self.paths.root.mkdir(mode=0o700, exist_ok=True)  # it will hold what somebody listened to
        except OSError as error:
            raise StorageError(
                f"The data folder {self.paths.root} cannot be made: {error.strerror}.",
                "Name another one with --home or MESS_HOME.",
            ) from error
        self.custody = Custody(self.paths)
        self.database = Database(self.paths.database, self.custody.watch)
        self.catalogue = Catalogue(self.paths, self.database)
        self.store = EmbeddingStore(self.paths, self.database, self.custody)
        self.measurements = Measurements(self.catalogue)
        self.jobs = Jobs(self.database)
        self.opinions = Opinions(self.database)
        self.comparisons = Comparisons(self.database)
        self.sittings = Sittings(self.database)

    def close(self) -> None:
        """Close what its catalogue was read through, in all threads; used once more, it opens again."""
        self.database.close_all()

    # --- adding ---------------------------------------------------------------------------------------------

    def keep_upload(self, track_id: str, library: str) -> None:
        """An upload joins a library: from now on it is not swept."""
        self.catalogue.add_to_library(library, [track_id])

    def add(
        self,
        root: Path,
        new_tracks: Iterable[NewTrack],
        library: str | None,
        *,
        since: float | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Register tracks, as `Catalogue.add`; what was computed of a file stays where only its tags changed."""
        new_tracks = [self.with_samples(new) for new in new_tracks]
        samples = {new.track.track_id: new.track.samples_sha256 for new in new_tracks}
        carried = {
            (change.old_id, change.new_id): self.store.write_again(change.old_id, change.new_id)
            for change in self.catalogue.changes(new_tracks)
            if samples[change.new_id] is not None
            and self.catalogue.track(change.old_id).samples_sha256 == samples[change.new_id]
        }
        dropped = self.catalogue.add(root, new_tracks, library, carried=carried, since=since, guard=guard)
        self.store.remove_files(dropped)

    def with_samples(self, new: NewTrack, lost: Lost | None = None) -> NewTrack:
        """Decode a file that may be another of known samples, to see whether these are the same.

        It may be the one that lay at its path, or one of the lost of about its length.
        """
        if new.track.samples_sha256 is not None:
            return new
        may_be_lost = lost is not None and lost.may_have(new.track) and not self.catalogue.has(new.track.track_id)
        if may_be_lost or any(old.samples_sha256 for old in self._others_at(new)):
            with contextlib.suppress(AudioError):  # they are not the same then
                return replace(new, track=replace(new.track, samples_sha256=samples_sha256(new.audio)))
        return new

    def _others_at(self, new: NewTrack) -> list[Track]:
        ids = [track_id for track_id in self.catalogue.tracks_at(new.audio) if track_id != new.track.track_id]
        return [self.catalogue.track(track_id) for track_id in ids]

    # --- removing -------------------------------------------------------------------------------------------

    def remove_library(self, library: str) -> int:
        """Forget a library with the embeddings of its tracks; returns how many tracks were forgotten.

        Music files are never touched. The demo's are ours and go too; it can be made again.
        """
        self.catalogue.require_library(library)
        for job in self.jobs.active():
            if library in (job.arguments.get("library"), job.kind):
                self._with_room(partial(self.jobs.cancel, job.job_id))
        forgotten = self._with_room(lambda: self.catalogue.remove_library(library))
        self.forget_tracks(forgotten)
        if library == DEMO:
            self._with_room(lambda: self.database.set_setting("demo", "removed"))
            shutil.rmtree(self.paths.demo, ignore_errors=True)
        return len(forgotten)

    def forget_tracks(self, track_ids: Sequence[str], *, trash_at: float | None = None) -> None:
        """Forget tracks and their embeddings. Their music is not touched, except uploads, which are our copies.

        What waits to embed or measure one of them is cancelled; what does so now finds it gone, and keeps nothing.
        `trash_at` puts uploads into the trash of that moment (s since the epoch) instead of deleting them.
        """
        if not track_ids:
            return
        for job in self.jobs.active():
            if job.arguments.get("track_id") in track_ids:
                self.jobs.cancel(job.job_id)
        embeddings = [path for track_id in track_ids for path in self.store.file_paths(track_id)]
        copies = [path for track_id in track_ids for path in self.catalogue.file_paths(track_id)]
        self._with_room(lambda: self.catalogue.remove_tracks(track_ids))
        for path in embeddings:
            with contextlib.suppress(OSError):  # it is swept later
                path.unlink(missing_ok=True)
        for path in own_files(self.paths.root, copies):
            if path.is_relative_to(self.paths.uploads):  # `file_paths` has none that only seems to
                if trash_at is not None:
                    self.custody.discard(path, trash_at)
                else:
                    with contextlib.suppress(OSError):  # it is swept later
                        path.unlink()

    def missing_files(self, library: str, roots: Collection[Path] = ()) -> list[MissingTrack]:
        """Tracks of which no file is left, to be seen before they are forgotten; see `Catalogue.missing_files`."""
        self.catalogue.require_library(library)
        return self.catalogue.missing_files(library, roots)

    def forget_missing(
        self, library: str, track_ids: Collection[str], roots: Collection[Path] = ()
    ) -> list[MissingTrack]:
        """Forget those of some tracks of which still no file is left; returns them. What was thought of them stays."""
        missing = [each for each in self.missing_files(library, roots) if each.track_id in set(track_ids)]
        self.forget_tracks([each.track_id for each in missing])
        return missing

    def _with_room(self, act: Callable[[], T]) -> T:
        """Do something that makes room; on a full disk, which takes not even that, without the cache."""
        try:
            return act()
        except StorageError as error:
            if "full" not in str(error.__cause__) and shutil.disk_usage(self.paths.root).free > ROOM_BYTES:
                raise
            for path in own_files(self.paths.root, self.paths.packed.glob("*")):
                with contextlib.suppress(OSError):
                    path.unlink()
            self.database.close()  # what found a full disk was opened for reading alone
            return act()


def check_path(path: Path) -> None:
    """InputError if nothing lies at a path that could be registered."""
    shown = printable(str(path))
    try:
        is_there = path.exists()
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}.", "Check the path and its rights.") from error
    if not is_there and (address := _web_address(path)) is not None:
        raise InputError(
            f"{printable(address)} is a web address; MESS reads files on this machine.",
            "Download it first, then name the file or its folder.",
        )
    if not is_there:
        raise InputError(f"There is no file or folder at {shown}.", "Check the path; is the disk mounted?")
    if not (path.is_dir() or path.is_file()):
        raise InputError(f"{shown} is neither a file nor a folder.", "Name a file, or a folder with recordings.")


def _web_address(path: Path) -> str | None:
    """The address that was typed in place of a path, which has made one of its slashes out of two; None of a path.

    Examples
    --------
    >>> _web_address(Path("https://example.com/a.mp3")), _web_address(Path("/music/C:/a.mp3"))
    ('https://example.com/a.mp3', None)
    """
    for number, part in enumerate(path.parts):
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+:", part):  # one letter is a drive
            return f"{part}//{'/'.join(path.parts[number + 1 :])}"
    return None
