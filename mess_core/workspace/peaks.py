"""Peaks: the waveform of a recording as a picture shows it; kept, because it takes a pass over the file."""

from __future__ import annotations

import contextlib

from mess_core.audio.decode import waveform_peaks
from mess_core.catalogue.catalogue import Track
from mess_core.config import PEAKS_BINS
from mess_core.errors import ArtefactMismatchError, StorageError
from mess_core.storage.files import seal, unseal, write_atomically
from mess_core.storage.kept import MADE_AGAIN, Kind, verify_document
from mess_core.storage.untrusted import read_untrusted
from mess_core.workspace.workspace import Workspace

MOST_BYTES = 2**20


def sealed_peaks(workspace: Workspace, track: Track) -> bytes:
    """The sealed document `{"peaks": [0..1, ...], "duration_s": …}` of a whole recording; made where it is missing.

    Raises
    ------
    DataMissingError, AudioError
        If it has to be made and the file is gone, or cannot be read.
    """
    path = workspace.paths.peaks / f"{track.sha256}.json"
    with contextlib.suppress(OSError, ArtefactMismatchError):  # made now, or once more
        data = read_untrusted(path, MOST_BYTES)
        unseal(data, path.name)
        return data
    values = waveform_peaks(workspace.catalogue.audio_path(track.track_id), PEAKS_BINS)
    document = {"peaks": [round(float(value), 4) for value in values], "duration_s": track.duration_s}
    data = seal(document, indent=None)
    with contextlib.suppress(StorageError):  # a full disk only makes the next one slower
        write_atomically(path, data)
    return data


KEPT = Kind("cache", lambda paths: paths.peaks.glob("*.json"), lambda path: verify_document(path, MADE_AGAIN))
