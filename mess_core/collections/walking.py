"""What lies below a folder: files that may be music, and what else there is, by kind.

Left out are hidden files, the bins and thumbnails that desktop and NAS systems keep, and what a `.messignore` names, in
gitignore's syntax, here or in a folder below. A link to a folder is the user's own and is followed; each real folder is
walked once, so neither a loop nor a link into the tree itself gives anything twice.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mess_core.config import AUDIO_SUFFIXES
from mess_core.errors import MessError
from mess_core.storage.legacy_text import decode
from mess_core.storage.untrusted import read_untrusted

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MIDI_SUFFIXES = (".mid", ".midi")
IGNORE = ".messignore"
MOST_IGNORE_BYTES = 2**20
JUNK_FOLDERS = {
    "@eadir", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "#recycle", "#snapshot", "$recycle.bin",
    "recycler", "recycled", "system volume information", "lost+found", "__macosx", "network trash folder",
    "temporary items", "desktop folder db", "thevolumesettingsfolder",
}  # fmt: skip
_NO_MUSIC = """
jpg jpeg jpe jfif png gif bmp tif tiff webp heic avif svg ico psd pdf ps eps djvu epub txt text md rst rtf doc docx odt
xls xlsx ods ppt pptx csv tsv json jsonl xml html htm css js ts tsx nfo diz log cue toc m3u m3u8 pls xspf asx wpl md5
sfv sha1 sha256 ffp st5 accurip par2 lrc srt sub idx ini cfg conf db sqlite url webloc lnk desktop torrent zip rar 7z
tar gz bz2 xz tgz iso exe dll py ipynb sh bat yaml yml toml parquet feather npy npz h5 hdf5 mat pkl pt pth onnx
safetensors tex bib bak tmp part crdownload lab jams textgrid svl match krn mxl musicxml mscz mscx gp gp5 sib ly abc
mei beats ann asd annotations reapeaks pek als flp rpp
"""
NO_MUSIC = frozenset(_NO_MUSIC.split())  # what lies beside music and is plainly something else
MOST_KINDS = 5  # that a sentence names


@dataclass(frozen=True)
class FoundMusic:
    """Files below a folder, in order.

    audio, midi : those that can be read, by their suffix
    unread : how many others there are of each kind that may be music
    """

    audio: Sequence[Path]
    midi: Sequence[Path]
    unread: Mapping[str, int]


def find_music(folder: Path) -> FoundMusic:
    """Look through a folder and all below it."""
    audio: list[Path] = []
    midi: list[Path] = []
    unread: Counter[str] = Counter()
    for path in _files(folder):
        suffix = path.suffix.lower()
        if suffix in AUDIO_SUFFIXES:
            audio.append(path)
        elif suffix in MIDI_SUFFIXES:
            midi.append(path)
        elif (kind := suffix.removeprefix(".")) and kind not in NO_MUSIC:
            unread[kind] += 1
    return FoundMusic(sorted(audio), sorted(midi), unread)


def unread_sentence(unread: Mapping[str, int]) -> str:
    """What was left out because of its kind, in a sentence; empty where nothing was.

    Examples
    --------
    >>> unread_sentence({"sf2": 1, "mod": 2})
    '3 files in formats MESS does not read: 2 .mod, 1 .sf2.'
    """
    if not unread:
        return ""
    n = sum(unread.values())
    kinds = sorted(unread.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{count} .{kind[:12]}" for kind, count in kinds[:MOST_KINDS])
    more = " and others" if len(kinds) > MOST_KINDS else ""
    return f"{n} {'file' if n == 1 else 'files'} in formats MESS does not read: {named}{more}."


def _files(root: Path) -> list[Path]:
    """Every file that is not left out. Links to folders come last: what they lead to may be walked by then."""
    files: list[Path] = []
    seen: set[tuple[int, int]] = set()
    linked: list[tuple[Path, _Ignored]] = [(root, _Ignored())]
    top = Path(os.path.realpath(root))
    while linked:
        start, above = linked.pop(0)
        real = Path(os.path.realpath(start))
        if start != root and (real.is_relative_to(top) or top.is_relative_to(real)):
            continue  # into the tree, or above it
        waiting = [(start, above)]
        while waiting:
            folder, ignored = waiting.pop()
            try:
                facts = folder.stat()
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:  # not ours to read, or gone
                continue
            if (facts.st_dev, facts.st_ino) in seen:
                continue
            seen.add((facts.st_dev, facts.st_ino))
            ignored = ignored.with_file_of(folder)
            for entry in entries:
                path = folder / entry.name
                try:
                    is_folder, is_file = entry.is_dir(), entry.is_file()
                except OSError:  # a link to itself
                    continue
                if entry.name.startswith(".") or (is_folder and entry.name.lower() in JUNK_FOLDERS):
                    continue
                if ignored.leaves_out(path, is_folder):
                    continue
                if is_folder:
                    (linked if entry.is_symlink() else waiting).append((path, ignored))
                elif is_file:
                    files.append(path)
    return files


@dataclass(frozen=True)
class _Ignored:
    """The `.messignore` files that hold in a folder, the outermost first."""

    specs: tuple[tuple[Path, GitIgnoreSpec], ...] = ()

    def with_file_of(self, folder: Path) -> _Ignored:
        path = folder / IGNORE
        if not path.is_file():
            return self
        from pathspec import GitIgnoreSpec

        try:
            text = decode(read_untrusted(path, MOST_IGNORE_BYTES)) or ""
            return _Ignored((*self.specs, (folder, GitIgnoreSpec.from_lines(text.removeprefix("\ufeff").splitlines()))))
        except (MessError, ValueError):  # one that cannot be read leaves nothing out
            return self

    def leaves_out(self, path: Path, is_folder: bool) -> bool:
        """As git does: the innermost file that says something decides."""
        for folder, spec in reversed(self.specs):
            relative = path.relative_to(folder).as_posix() + "/" * is_folder
            decided = spec.check_file(relative).include
            if decided is not None:
                return decided
        return False


def audio_files(folder: Path) -> Iterator[Path]:
    """Audio files below a folder by suffix, in order."""
    yield from find_music(folder).audio


def beside(path: Path, suffixes: Iterable[str]) -> Path | None:
    """The path itself, or the first file with its stem and one of the suffixes, that is there."""
    candidates = [path, *(path.with_suffix(suffix) for suffix in sorted(suffixes))]
    return next((candidate for candidate in candidates if candidate.is_file()), None)
