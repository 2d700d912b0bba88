"""Opening: a file, or a recording as a collection describes it, becomes a track for the catalogue.

The audio is opened: its content is its identity, its header says how long it is, its tags what it is (`tags`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mess_core.audio.decode import inspect_audio, sha256_file
from mess_core.catalogue.catalogue import NewTrack, Track, readable, track_id_of
from mess_core.collections.collection import Recording
from mess_core.collections.tags import read_tags
from mess_core.collections.walking import MIDI_SUFFIXES
from mess_core.errors import InputError

TAGS = ("work", "movement", "composer", "performer", "conductor", "album", "album_artist", "disc")


def open_recording(recording: Recording, collection: str | None) -> NewTrack:
    """Open a recording: hash, header, score times.

    Raises
    ------
    AudioError
        If its audio is none that MESS reads.
    InputError
        If it has no audio.
    """
    if recording.audio is None:
        raise InputError("It has no audio, only MIDI.", "Render it: python -m mess_core add --render")
    new = read_track(recording.audio, recording.title)
    companions = {role: path for role in ("midi", "score") if (path := getattr(recording, role)) is not None}
    return NewTrack(
        replace(new.track, **recording.names, collection=collection),
        new.audio,
        {**new.companions, **companions},
        score_times=tuple(recording.score_times()),
        details=recording.details,
    )


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


def midi_beside(audio: Path) -> Path | None:
    """The MIDI file with the stem of an audio file, if there is one."""
    cases = (case for suffix in MIDI_SUFFIXES for case in (suffix, suffix.upper()))
    return next((found for case in cases if (found := audio.with_suffix(case)).is_file()), None)
