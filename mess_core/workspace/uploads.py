"""Uploads: a file somebody drops on a page, or records there, becomes a track that is in no library.

It is named by its content, never by what its sender called it; the name is kept as a title, which is untrusted text.
The bytes go to disk as they come, so a large file takes no memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import IO

from mess_core.audio.decode import AudioInfo, inspect_audio, waveform_peaks
from mess_core.catalogue.catalogue import NewTrack, Track, track_id_of
from mess_core.config import MAX_UPLOAD_BYTES, MIN_DURATION_S, SILENCE_PEAK, UPLOADS_QUOTA_BYTES
from mess_core.errors import AudioError, InputError, StorageError
from mess_core.storage.files import TMP_SUFFIX, sync_folder
from mess_core.workspace.workspace import Workspace

KEEP_FREE_BYTES = 512 * 1024**2  # an upload never takes the last of the disk
MAX_TITLE = 200


class UploadWriter:
    """Receives one file in pieces: `write` each, then `finish`; `abandon` if it breaks off.

    Parameters
    ----------
    workspace : Workspace
    name : str
        What the sender calls the file.
    announced_bytes : int
        Its size as announced, 0 if it was not.

    Raises
    ------
    InputError
        If it is larger than MESS takes.
    StorageError
        If there is no room for it.
    """

    def __init__(self, workspace: Workspace, name: str, announced_bytes: int = 0) -> None:
        self.workspace = workspace
        self.title = title_of(name)
        self._said = printable_name(name)  # in sentences: as its sender knows it
        self.n_bytes = 0
        self._digest = hashlib.sha256()
        self._check_size(announced_bytes)
        folder = workspace.paths.uploads
        try:
            folder.mkdir(parents=True, exist_ok=True)
            used, free = _used_bytes(folder), shutil.disk_usage(folder).free
        except OSError as error:
            raise _not_stored(error) from error
        if used + announced_bytes > UPLOADS_QUOTA_BYTES:
            raise StorageError(
                f"Uploads already take {used / 1e9:.1f} GB of {UPLOADS_QUOTA_BYTES / 1e9:.0f} GB.",
                "Old ones are forgotten after a week; add what you want to keep to a library.",
            )
        if announced_bytes + KEEP_FREE_BYTES > free:
            raise StorageError("The disk has no room for this file.", "Free some space, then drop it again.")
        try:
            handle, path = tempfile.mkstemp(dir=folder, suffix=TMP_SUFFIX)
        except OSError as error:
            raise _not_stored(error) from error
        self._path = Path(path)
        self._stream: IO[bytes] = os.fdopen(handle, "wb")

    def write(self, piece: bytes) -> None:
        self.n_bytes += len(piece)
        self._check_size(self.n_bytes)
        self._digest.update(piece)
        try:
            self._stream.write(piece)
        except OSError as error:
            raise _not_stored(error) from error

    @property
    def path(self) -> Path:
        """Where it lies until it is finished: under a name of ours, which is swept if it stays behind."""
        return self._path

    @property
    def name(self) -> str:
        """What its sender called it, as it can be printed."""
        return self._said

    def receive(self) -> Track:
        """Check that it is audio, once all of it has come; nothing is registered.

        Raises
        ------
        AudioError
            If it is empty, or no audio that MESS reads.
        """
        if self.n_bytes == 0:
            raise AudioError(f"{self._said!r} is empty.", "Choose a file with sound in it.")
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
        except OSError as error:
            raise _not_stored(error) from error
        info = self._inspect()
        sha256 = self._digest.hexdigest()
        return Track(
            track_id=track_id_of(sha256),
            sha256=sha256,
            title=self.title,
            duration_s=info.duration_s,
            sample_rate_hz=info.sample_rate_hz,
            n_channels=info.n_channels,
            codec=info.codec,
            is_truncated=info.is_truncated,
        )

    def finish(self) -> Track:
        """Check that it is audio, give it its name, and register it."""
        track = self.receive()
        known = self.workspace.catalogue.find_sha256(track.sha256)
        path = self.workspace.paths.uploads / f"{track.sha256}.{track.codec.split()[0].lower()}"
        kept = None if known is None else self.workspace.catalogue.likely_audio_path(known.track_id)
        if known is not None and kept != path and kept is not None and kept.is_file():
            self.abandon()
            return known
        try:
            self._path.replace(path)  # also in place of a copy of ours, which may be damaged
            sync_folder(path.parent)
            self.workspace.catalogue.add(self.workspace.paths.uploads, [NewTrack(track, path)], library=None)
        except StorageError:
            raise
        except OSError as error:
            raise _not_stored(error) from error
        return known or track

    def abandon(self) -> None:
        """Forget what came so far."""
        with contextlib.suppress(OSError):  # what a full disk did not take is tried once more here
            self._stream.close()
        with contextlib.suppress(OSError):  # it is swept later
            self._path.unlink(missing_ok=True)

    def _inspect(self) -> AudioInfo:
        try:
            return self._check_audio(self._path)
        except AudioError as error:  # its temporary name means nothing to the person who sent it
            raise AudioError(error.message.replace(self._path.name, self._said), error.hint) from error

    def _check_audio(self, path: Path) -> AudioInfo:
        return inspect_audio(path)

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > MAX_UPLOAD_BYTES:
            raise InputError(
                f"{self._said!r} is larger than {MAX_UPLOAD_BYTES / 1e9:.0f} GB, the most an upload may be.",
                "Put it into a folder and add that folder on the Library page: nothing is copied then.",
            )


class _RecordingWriter(UploadWriter):
    """Also refuses what an encoder would refuse minutes later: whoever recorded it can do it again now.

    It looks at every sample, which of a few minutes takes a moment; of a large upload it would not.
    """

    def __init__(self, workspace: Workspace, name: str, announced_bytes: int = 0) -> None:
        super().__init__(workspace, name, announced_bytes)
        self._said = self.title  # it was never a file of somebody's

    def _check_audio(self, path: Path) -> AudioInfo:
        info = super()._check_audio(path)
        if info.duration_s < MIN_DURATION_S:
            raise AudioError(
                f"{self.title!r} is {info.duration_s:.2g} s long; MESS needs at least {MIN_DURATION_S:g} s.",
                "Record a longer passage.",
            )
        if waveform_peaks(path, n_bins=1).max() < SILENCE_PEAK:
            raise AudioError(f"{self.title!r} is silent.", "Check that the right microphone is chosen and not muted.")
        return info


def keep_recording(workspace: Workspace, data: bytes, title: str = "") -> Track:
    """Keep what somebody recorded on a page, as an upload is kept; the same bytes twice are one track.

    Parameters
    ----------
    workspace : Workspace
    data : bytes
        An audio file of some minutes at most, such as the WAV of `st.audio_input`.
    title : str
        By default, `recording_title` of now on this machine's clock.

    Returns
    -------
    Track
        In no library yet: `Workspace.keep_upload` adds it to one.

    Raises
    ------
    AudioError
        If it is empty, no audio, too short, or silent.
    InputError, StorageError
        As `UploadWriter`.
    """
    name = f"{title or recording_title(datetime.now())}.wav"  # what follows the last dot is not part of a title
    writer = _RecordingWriter(workspace, name, len(data))
    try:
        writer.write(data)
        return writer.finish()
    finally:
        writer.abandon()


def recording_title(recorded_at: datetime) -> str:
    """Name a recording after its minute: a page that knows its visitor's time zone gives their time."""
    return f"recording {recorded_at:%Y-%m-%d %H:%M}"


def _used_bytes(folder: Path) -> int:
    """What lies there now; other uploads may end while we count."""
    used = 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            used += path.stat().st_size
    return used


def _not_stored(error: OSError) -> StorageError:
    return StorageError(
        f"The upload could not be stored: {error.strerror}.", "Free some disk space, then drop it again."
    )


def title_of(name: str) -> str:
    """A file name as a title: its last part without suffix and control characters, not too long."""
    last = _last_part(name)
    return _printable(last.rsplit(".", 1)[0] or last)[:MAX_TITLE] or "upload"


def printable_name(name: str) -> str:
    """A file name as its sender knows it, with its suffix, where it is spoken of; its end is kept, too."""
    text = _printable(_last_part(name)) or "upload"
    return text if len(text) <= MAX_TITLE else f"{text[: MAX_TITLE // 2]}…{text[-MAX_TITLE // 2 :]}"


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _printable(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable.encode("utf-8", "replace").decode().strip()
