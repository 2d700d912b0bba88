"""A playlist (M3U, M3U8) as a list of recordings: the files it names, wherever they lie on this machine."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote, urlsplit

from mess_core.collections.collection import Description, Recording
from mess_core.collections.manifest import is_table
from mess_core.config import AUDIO_SUFFIXES
from mess_core.errors import InputError
from mess_core.storage.legacy_text import decode
from mess_core.storage.untrusted import MOST_PLAYLIST_BYTES, printable, read_untrusted

PLAYLIST_SUFFIXES = (".m3u", ".m3u8")
ELSEWHERE = "It lies on the network; only files on this machine are read."
GONE = "The file that it names is not there."


def is_playlist(path: Path) -> bool:
    """By its name alone."""
    return path.suffix.lower() in PLAYLIST_SUFFIXES


def library_name(path: Path) -> str:
    """What a library is called by default: as its folder or its table's, or its file or playlist without the suffix."""
    resolved = path.resolve()
    if is_table(resolved) and resolved.is_file():
        return resolved.parent.name
    return resolved.stem if is_playlist(resolved) and resolved.is_file() else resolved.name


def read_playlist(path: Path) -> Description:
    """The recordings that a playlist names; what is not a file here is refused by its name.

    Raises
    ------
    InputError
        If it cannot be read as text.
    """
    text = decode(read_untrusted(path, MOST_PLAYLIST_BYTES, error=InputError))
    if text is None:
        raise InputError(f"{printable(path.name)} is in an encoding that cannot be told.", "Save it as UTF-8.")
    found: dict[Path, None] = {}
    refused = []
    for line in text.removeprefix("\ufeff").splitlines():
        entry = line.strip().replace("\0", "")
        if not entry or entry.startswith("#"):
            continue
        try:
            found[_file(path.parent, entry)] = None
        except InputError as error:
            refused.append((printable(entry), error.message))
    return Description([Recording(file) for file in found], refused)


def _file(folder: Path, entry: str) -> Path:
    """The file of an entry; relative to the playlist, with slashes of either kind, percent-encoded or not.

    Raises
    ------
    InputError
        If it is no file on this machine that may be audio.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", entry):  # one letter is a drive
        parts = urlsplit(entry)
        if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost"):
            raise InputError(ELSEWHERE)
        entry = unquote(parts.path)
    slashed = PureWindowsPath(entry).as_posix() if "\\" in entry else entry
    for name in dict.fromkeys((entry, slashed, unquote(slashed))):
        file = folder / name
        try:
            is_there = file.is_file()
        except (OSError, ValueError):
            continue
        if is_there and file.suffix.lower() in AUDIO_SUFFIXES:
            return file
        if is_there:
            raise InputError("It is no audio file.")
    raise InputError(GONE)
