"""Saarland Music Data: 50 piano pieces played by students on a player piano, each as audio and as MIDI.

A file is called `Composer_Work_Performer_Date-SMD`: the pianist is a number, and the work may end in two digits, its
movement or its number within the opus. Every piece is there once, so nothing here can be compared across performers.

The folder may be the published archive or a renaming of it; where a piece lies there in several qualities, the best is
taken. The archive's `midi_wav_*` are synthesised from the MIDI and are no recordings.

Source: Müller, Konz, Bogler, Arifi-Müller, Saarland Music Data, ISMIR 2011, late-breaking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mess_core.collections.collection import Collection, Description, Download, Recording
from mess_core.collections.walking import MIDI_SUFFIXES
from mess_core.config import AUDIO_SUFFIXES
from mess_core.errors import InputError

AUDIO_FOLDERS = ("wav-44", "wav_44100_stereo", "wav_22050_mono", "wav", "mp3", ".")  # the best first
MIDI_FOLDERS = ("midi", ".")
STEM = re.compile(
    r"(?P<composer>[^_]+)_(?P<work>[^_]+?)(?:-(?P<part>\d\d))?_(?P<performer>\d{3})_(?P<date>\d{8})-SMD", re.IGNORECASE
)
ONE_SPELLING = {"Rachmaninov": "Rachmaninoff", "Skryabin": "Scriabin"}
NUMBERED = {"Op": "Op.", "No": "No.", "SZ": "Sz."}  # other catalogues are written as in the file name


def _files(folder: Path, suffixes: frozenset[str]) -> Iterator[tuple[str, Path]]:
    """Files named as SMD names them: stem in lower case -> path."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in suffixes and STEM.fullmatch(path.stem) and path.is_file():
                yield path.stem.lower(), path


def _first(folder: Path, names: tuple[str, ...], suffixes: frozenset[str]) -> dict[str, Path]:
    """For every stem its file in the first of the sub-folders that has one."""
    found: dict[str, Path] = {}
    for name in names:
        for stem, path in _files(folder / name, suffixes):
            found.setdefault(stem, path)
    return found


def _is_at(folder: Path) -> bool:
    places = {*AUDIO_FOLDERS, *MIDI_FOLDERS}
    return any(True for name in places for _ in _files(folder / name, AUDIO_SUFFIXES | frozenset(MIDI_SUFFIXES)))


def readable_work(work: str, part: str | None = None) -> str:
    """A work as people write it.

    Examples
    --------
    >>> readable_work("Op027No1", "01"), readable_work("HobXVINo52", "03"), readable_work("BWV849")
    ('Op. 27 No. 1/1', 'Hob XVI No. 52/3', 'BWV 849')
    """
    spaced = re.sub(r"(?<=[a-z\d])(?<!Wo)(?=[A-Z])|(?<=[A-Z])(?<!Wo)(?=[A-Z][a-z])", " ", work)
    spaced = re.sub(r"(?<=[A-Za-z])0*(?=[1-9])", " ", spaced)
    words = [NUMBERED.get(word, word) for word in spaced.replace("-", " - ").split()]
    return " ".join(words) + (f"/{int(part)}" if part else "")


def _recording(audio: Path | None, midi: Path | None) -> Recording:
    named = audio or midi
    match = STEM.fullmatch(named.stem) if named else None
    if match is None:
        raise InputError(f"{named} is not named as SMD names its files.")
    composer = ONE_SPELLING.get(match["composer"], match["composer"])
    title = readable_work(match["work"], match["part"])
    date = match["date"]
    return Recording(
        audio,
        title=f"{composer}: {title}",
        work=f"{composer}: {title}",
        composer=composer,
        performer=f"SMD pianist {match['performer']}",
        instrument="piano",
        session=f"{date[:4]}-{date[4:6]}-{date[6:]}",
        midi=midi,
    )


def _describe(folder: Path) -> Description:
    audio = _first(folder, AUDIO_FOLDERS, AUDIO_SUFFIXES)
    midi = _first(folder, MIDI_FOLDERS, frozenset(MIDI_SUFFIXES))
    if not audio and not midi:
        raise InputError(f"{folder} holds no file of SMD.", f"Expected one of {', '.join(AUDIO_FOLDERS[:-1])} in it.")
    return Description([_recording(audio.get(stem), midi.get(stem)) for stem in sorted({*audio, *midi})])


SMD = Collection(
    id="smd",
    title="Saarland Music Data (SMD)",
    summary="50 piano pieces, 4.7 h, 8 pianists on a player piano: real audio with exactly what was played.",
    is_at=_is_at,
    read=_describe,
    licence="CC BY-NC-SA 3.0",
    homepage="https://www.audiolabs-erlangen.de/resources/MIR/SMD/midi",
    downloads=(
        Download(
            "https://zenodo.org/records/13753319/files/SMD-piano_v2.zip", 3_220_000_000, None, "all audio and MIDI (v2)"
        ),
    ),
)
