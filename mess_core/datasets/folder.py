"""A folder of music: every audio file below it becomes a track, a MIDI file with the same stem its companion.

What it is comes from the tags in the file (`tags`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mess_core.audio import inspect_audio, sha256_file
from mess_core.catalogue import NewTrack, Track, readable, track_id_of
from mess_core.config import AUDIO_SUFFIXES as AUDIO_SUFFIXES
from mess_core.datasets.collection import Collection, Description, Recording
from mess_core.datasets.tags import read_tags
from mess_core.datasets.walking import MIDI_SUFFIXES as MIDI_SUFFIXES
from mess_core.datasets.walking import find_music

TAGS = ("work", "movement", "composer", "performer", "conductor", "album", "album_artist", "disc")


def audio_files(folder: Path) -> Iterator[Path]:
    """Audio files below a folder by suffix, in order."""
    yield from find_music(folder).audio


def beside(path: Path, suffixes: Iterable[str]) -> Path | None:
    """The path itself, or the first file with its stem and one of the suffixes, that is there."""
    candidates = [path, *(path.with_suffix(suffix) for suffix in sorted(suffixes))]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def midi_beside(audio: Path) -> Path | None:
    """The MIDI file with the stem of an audio file, if there is one."""
    cases = (case for suffix in MIDI_SUFFIXES for case in (suffix, suffix.upper()))
    return next((found for case in cases if (found := audio.with_suffix(case)).is_file()), None)


def read_track(path: Path, title: str | None = None) -> NewTrack:
    """One file as a track: hash, header, tags, and the MIDI beside it.

    Parameters
    ----------
    title : str, optional
        Goes before the title among its tags, which goes before the name of the file.

    Raises
    ------
    AudioError
        If it is no audio that MESS reads.
    """
    info = inspect_audio(path)
    sha256 = sha256_file(path)
    tags = read_tags(path)
    facts = Track(
        track_id=track_id_of(sha256),
        sha256=sha256,
        title=title or tags.get("title") or readable(path.stem),
        duration_s=info.duration_s,
        sample_rate_hz=info.sample_rate_hz,
        n_channels=info.n_channels,
        codec=info.codec,
        is_truncated=info.is_truncated,
    )
    named: dict[str, Any] = {name: tags.get(name) for name in TAGS}
    track = replace(facts, **named)
    midi = midi_beside(path)
    return NewTrack(track, path, {"midi": midi} if midi else {})


def _describe(folder: Path) -> Description:
    from mess_core.datasets.manifest import unusable_table

    found = find_music(folder)
    heard = {path.with_suffix("") for path in found.audio}
    silent = [path for path in found.midi if path.with_suffix("") not in heard]
    recordings = [*map(Recording, found.audio), *(Recording(None, midi=path) for path in silent)]
    table = unusable_table(folder)
    return Description(recordings, [table] if table else [], unread=found.unread)


FOLDER = Collection(
    id="folder",
    title="Folder of music",
    summary="Every audio file below a folder, with what its tags say and the MIDI of the same name beside it.",
    is_at=lambda folder: True,
    read=_describe,
)
