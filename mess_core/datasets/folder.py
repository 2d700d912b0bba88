"""A folder of music: every audio file below it becomes a track, a MIDI file with the same stem its companion.

Title, performer and composer come from the tags in the file. Tags are untrusted: they are read within bounds, pictures
are skipped, and whatever is wrong with them leaves a file without tags, never without a track.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import SEEK_SET
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from mess_core.audio import inspect_audio, sha256_file
from mess_core.catalogue import NewTrack, Track, readable, track_id_of
from mess_core.config import AUDIO_SUFFIXES as AUDIO_SUFFIXES
from mess_core.datasets.collection import Collection, Description, Recording, tidy
from mess_core.datasets.walking import MIDI_SUFFIXES as MIDI_SUFFIXES
from mess_core.datasets.walking import find_music

if TYPE_CHECKING:
    from tinytag import TinyTag

MOST_TAG_BYTES = 2 * 2**20  # of a file, read for its tags
MOST_TAG_READS = 20_000
TAGS = {"title": "title", "artist": "performer", "composer": "composer"}  # tag -> the catalogue's word


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
    track = Track(
        track_id=track_id_of(sha256),
        sha256=sha256,
        title=title or tags.get("title") or readable(path.stem),
        duration_s=info.duration_s,
        sample_rate_hz=info.sample_rate_hz,
        n_channels=info.n_channels,
        codec=info.codec,
        is_truncated=info.is_truncated,
        performer=tags.get("performer"),
        composer=tags.get("composer"),
    )
    midi = midi_beside(path)
    return NewTrack(track, path, {"midi": midi} if midi else {})


def read_tags(path: Path) -> dict[str, str]:
    """What the tags of an audio file say, by the catalogue's words; empty where they cannot be read."""
    try:
        with path.open("rb") as file:
            tag = _reader().get(path, file_obj=cast(BinaryIO, _Bounded(file)), duration=False, image=False)
        return {name: text for field, name in TAGS.items() if (text := tidy(getattr(tag, field, None)))}
    except Exception:  # whatever a damaged tag does to its reader, the audio may be whole
        return {}


def _reader() -> type[TinyTag]:
    """The reader of tags, told to keep one value of a field: it looks up each further one among all before it."""
    from tinytag import TinyTag

    TinyTag._set_other_field = lambda self, fieldname, value: None  # type: ignore[method-assign]
    return TinyTag


class _Bounded:
    """A file that can be read only so much and so often."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._n_bytes = self._n_reads = 0

    def read(self, size: int = -1) -> bytes:
        room = MOST_TAG_BYTES - self._n_bytes
        data = self._file.read(room + 1 if size < 0 else min(size, room + 1))
        self._n_bytes += len(data)
        self._n_reads += 1
        if self._n_bytes > MOST_TAG_BYTES or self._n_reads > MOST_TAG_READS:
            raise ValueError("more than tags need")
        return data

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


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
