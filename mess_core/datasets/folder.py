"""A folder of music: every audio file below it becomes a track, a MIDI file with the same stem its companion."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mess_core.audio import inspect_audio, sha256_file
from mess_core.catalogue import NewTrack, Track, readable, track_id_of

AUDIO_SUFFIXES = {".wav", ".wave", ".flac", ".ogg", ".oga", ".mp3"}
MIDI_SUFFIXES = (".mid", ".midi")


def audio_files(folder: Path) -> Iterator[Path]:
    """Audio files below a folder by suffix, in order. Links to folders are not followed, so a loop cannot trap us."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
                yield path


def read_track(path: Path, title: str | None = None) -> NewTrack:
    """One file as a track: hash, header, and the MIDI beside it.

    Raises
    ------
    AudioError
        If it is no audio that MESS reads.
    """
    info = inspect_audio(path)
    sha256 = sha256_file(path)
    track = Track(
        track_id=track_id_of(sha256),
        sha256=sha256,
        title=title or readable(path.stem),
        duration_s=info.duration_s,
        sample_rate_hz=info.sample_rate_hz,
        n_channels=info.n_channels,
        codec=info.codec,
        is_truncated=info.is_truncated,
    )
    midi = next((beside for suffix in MIDI_SUFFIXES if (beside := path.with_suffix(suffix)).is_file()), None)
    return NewTrack(track, path, {"midi": midi} if midi else {})
