"""The tags of an audio file, by the catalogue's words: title, work, movement, composer, performer, album and so on.

tinytag reads ID3, Vorbis comments, MP4, RIFF INFO and ASF, FFmpeg the rest (Matroska, …). What is ours: APE tags at the
end of a file, which neither reads behind MP3; ID3 whose bytes are unsynchronised; text in an encoding that nobody wrote
down, or that is not what was written down; and what the fields mean, by the conventions of Picard and of Vorbis
comments. Who composed is never taken for who plays: where ARTIST names the composer, PERFORMER or the album's artist
does.

Tags are untrusted: they are read within bounds, pictures are passed over, and whatever is wrong with them leaves a file
without tags, never without a track.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from functools import cache
from io import SEEK_END, SEEK_SET
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mess_core.collections.collection import tidy
from mess_core.storage.legacy_text import decode, repaired

if TYPE_CHECKING:
    from tinytag import TinyTag

MOST_TAG_BYTES = 2 * 2**20  # of a file, read for its tags
MOST_TAG_READS = 20_000
MOST_ID3_BYTES = 16 * 2**20  # with pictures, where the whole must be read
MOST_VALUE = 2000  # characters looked at
MOST_APE_ITEMS = 1000

# The catalogue's word, or ARTIST and GROUPING, whose meaning depends -> the names that it has in files, the best first.
FIELDS = {
    "title": ("title",),
    "artist": ("artist", "author"),
    "performer": ("performer", "performers", "tmcl", "ipls", "ensemble", "orchestra"),
    "composer": ("composer",),
    "conductor": ("conductor",),
    "album": ("album",),
    "album_artist": ("albumartist", "album_artist", "album artist"),
    "disc": ("disc", "discnumber"),
    "work": ("work",),
    "movement": ("movement_name", "movementname", "movement name"),
    "grouping": ("grouping", "legacy_grouping"),
}
KNOWN = frozenset(name for names in FIELDS.values() for name in names)
NO_PLAYER = {"producer", "engineer", "mix", "mixer", "dj-mix", "arranger", "composer", "lyricist", "conductor"}


def read_tags(path: Path) -> dict[str, str]:
    """What the tags of an audio file say, by the catalogue's words; empty where they cannot be read."""
    try:
        return _meaning(_fields(path))
    except Exception:  # whatever a damaged tag does to its reader, the audio may be whole
        return {}


def _meaning(fields: Mapping[str, str]) -> dict[str, str]:
    """What the fields of a file say, by its conventions."""
    named = {
        word: text for word, names in FIELDS.items() if (text := next((fields[n] for n in names if fields.get(n)), ""))
    }
    artist, performer, composer = (named.pop(name, "") for name in ("artist", "performer", "composer"))
    grouping = named.pop("grouping", "")
    if grouping and "movement" in named:
        named.setdefault("work", grouping)  # iTunes writes them side by side
    is_credit = "(" in performer  # Picard's "Name (instrument)": one of several
    if performer and (not artist or _is_same(artist, composer) or (not composer and not is_credit)):
        artist = performer
    others = (artist, performer, named.get("album_artist", ""))
    player = next((name for name in others if name and not _is_same(name, composer)), "")
    return {**named, **({"composer": composer} if composer else {}), **({"performer": player} if player else {})}


def _is_same(name: str, other: str) -> bool:
    """Whether two names are of one person, in whichever order and case they are written.

    Examples
    --------
    >>> _is_same("Bach, Johann Sebastian", "Johann Sebastian BACH")
    True
    """
    return bool(name) and sorted(re.findall(r"\w+", name.casefold())) == sorted(re.findall(r"\w+", other.casefold()))


def _fields(path: Path) -> dict[str, str]:
    """The fields of a file that are looked at, by their names in lower case, as readable text."""
    from tinytag import TinyTagException

    with path.open("rb") as file:
        try:
            found = dict(_by_tinytag(path, file))
        except TinyTagException:
            found = {}
        found = _with_ape(found, _by_ape(file), is_first=not _begins_with_id3(file))
        if not found or any("\ufffd" in text for text in found.values()):
            raw = _by_ffmpeg(file) if "\ufffd" in "".join(found.values()) or not _is_known(path, file) else {}
            replaced = {data.decode("utf-8", "replace"): data for data in raw.values()}
            found = {name: _text(replaced.get(text, text)) for name, text in found.items()} or {
                name: _text(data) for name, data in raw.items()
            }
    readable = {name: tidy(repaired(text[:MOST_VALUE], is_certain=True)) for name, text in found.items()}
    return {name: text for name, text in readable.items() if text}


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else (decode(value.rstrip(b"\0")) or "")


# --- tinytag ------------------------------------------------------------------------------------------------


def _by_tinytag(path: Path, file: BinaryIO) -> Iterator[tuple[str, str]]:
    tag = _reader().get(path, file_obj=cast(BinaryIO, _plain_id3(file) or _Bounded(file)), duration=False, image=False)
    for name in KNOWN:
        value = getattr(tag, name, None) or next(iter(tag.other.get(name, ())), None)
        if value and name in ("tmcl", "ipls"):
            value = _players(str(value))
        if value:
            yield name, str(value)


def _is_known(path: Path, file: BinaryIO) -> bool:
    """Whether tinytag reads such files; it goes by the name first."""
    file.seek(0)
    return _reader()._get_parser_for_filename(str(path)) is not None


@cache
def _reader() -> type[TinyTag]:
    """The reader of tags, told to keep one value of a field that is looked at: it looks up each among all before it.

    Of ID3 the bytes of a text are decoded here: what is called Latin-1 may be anything, and UTF-8 need not be.
    """
    from tinytag import TinyTag, tinytag

    def keep(self: Any, fieldname: str, value: str) -> None:
        if fieldname in KNOWN and value:
            self.other.setdefault(fieldname, [value])

    def decoded(self: Any, value: bytes, encoding: int | None = None) -> str:
        if encoding in (1, 2):
            return str(original(self, value, encoding))
        text = decode(value.rstrip(b"\0")[: 4 * MOST_VALUE])
        return "" if text is None else text

    original = tinytag._ID3._decode_string
    TinyTag._set_other_field = keep  # type: ignore[method-assign]
    tinytag._ID3._decode_string = decoded  # type: ignore[method-assign]
    return TinyTag


def _players(value: str) -> str:
    r"""Who plays, of a list of instrument, name, instrument, name.

    Examples
    --------
    >>> _players("violin\0Ann\0producer\0Bob\0piano\0Cy")
    'Ann, Cy'
    """
    parts = value.split("\0")
    pairs = zip(parts[::2], parts[1::2], strict=False)
    return ", ".join(name for role, name in pairs if role.strip().lower() not in NO_PLAYER)


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


def _plain_id3(file: BinaryIO) -> io.BytesIO | None:
    """An ID3 tag at the start of a file without unsynchronisation, which is a zero put in after each 255.

    None where the file has no such tag, or one without: it is read as it is.
    """
    file.seek(0)
    header = file.read(10)
    file.seek(0)
    if len(header) < 10 or header[:3] != b"ID3" or header[3] not in (2, 3, 4):
        return None
    size = _number7(header[6:10])
    is_whole = bool(header[5] & 0x80)
    if size > MOST_ID3_BYTES or not (is_whole or header[3] == 4):
        return None
    file.seek(10)
    body = file.read(size)
    file.seek(0)
    if header[3] < 4:
        body = body.replace(b"\xff\x00", b"\xff")
    else:
        plain = _plain_frames(body, is_whole) if not header[5] & 0x40 else None
        if plain is None or plain == body:
            return None
        body = plain
    return io.BytesIO(header[:5] + bytes([header[5] & 0x7F]) + _as_number7(len(body)) + body)


def _plain_frames(body: bytes, is_whole: bool) -> bytes:
    """The frames of ID3v2.4, each of which says for itself whether it is unsynchronised; packed ones are left out."""
    parts, at = [], 0
    while at + 10 <= len(body) and body[at] != 0:
        name, size, flags = body[at : at + 4], _number7(body[at + 4 : at + 8]), body[at + 9]
        content = body[at + 10 : at + 10 + size]
        at += 10 + size
        if flags & 0x0C:  # compressed or encrypted
            continue
        if flags & 0x01:
            content = content[4:]
        if flags & 0x02 or is_whole:
            content = content.replace(b"\xff\x00", b"\xff")
        parts.append(name + _as_number7(len(content)) + b"\0\0" + content)
    return b"".join(parts)


def _number7(data: bytes) -> int:
    return data[0] << 21 | data[1] << 14 | data[2] << 7 | data[3]


def _as_number7(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


# --- APE ----------------------------------------------------------------------------------------------------


def _by_ape(file: BinaryIO) -> dict[str, str]:
    """The fields of an APE tag at the end of a file; ID3v1 and lyrics may lie behind it.

    Source: APEv2 specification, Hydrogenaudio Knowledgebase. An item is: length of the value, flags, key, 0, value.
    """
    end = file.seek(0, SEEK_END)
    if _at(file, end - 128, 3) == b"TAG":
        end -= 128
        lyrics = _at(file, end - 15, 15)
        if lyrics[6:] == b"LYRICS200" and lyrics[:6].isdigit():
            end -= int(lyrics[:6]) + 15
    footer = _at(file, end - 32, 32)
    if footer[:8] != b"APETAGEX" or len(footer) < 32:
        return {}
    size, n_items = (int.from_bytes(footer[a : a + 4], "little") for a in (12, 16))
    at, last = max(end - size, 0), end - 32
    found: dict[str, str] = {}
    for _ in range(min(n_items, MOST_APE_ITEMS)):
        head = _at(file, at, 8 + 256)
        key, nul, _ = head[8:].partition(b"\0")
        if not nul:
            break
        n_bytes, flags = (int.from_bytes(head[a : a + 4], "little") for a in (0, 4))
        start, name = at + 8 + len(key) + 1, key.decode("latin-1").lower()
        at = start + n_bytes
        if at > last:
            break
        if name in KNOWN and not flags & 0x06:  # text, not a picture or an address
            value = _text(_at(file, start, min(n_bytes, 4 * MOST_VALUE)).partition(b"\0")[0])  # the first of several
            found.setdefault(name, value.partition("/")[0] if name == "disc" else value)
    return found


def _with_ape(found: dict[str, str], ape: Mapping[str, str], *, is_first: bool) -> dict[str, str]:
    """Both together; what the other tag cut off, as ID3v1 does after 30 characters, is whole in this one."""
    for name, text in ape.items():
        if text and (is_first or text.startswith(found.get(name, ""))):
            found[name] = text
    return found


def _begins_with_id3(file: BinaryIO) -> bool:
    return _at(file, 0, 3) == b"ID3"


def _at(file: BinaryIO, at: int, size: int) -> bytes:
    """Bytes somewhere in a file; none before its start."""
    if at < 0:
        return b""
    file.seek(at)
    return file.read(size)


# --- FFmpeg -------------------------------------------------------------------------------------------------


def _by_ffmpeg(file: BinaryIO) -> dict[str, bytes]:
    """The bytes of the fields that FFmpeg finds in a file, of whatever format."""
    from mess_core.audio.av_source import metadata_of

    try:
        texts = metadata_of(file)
    except Exception:  # what tinytag found may still be of use
        return {}
    return {
        name.lower(): text.encode("latin-1")[: 4 * MOST_VALUE] for name, text in texts.items() if name.lower() in KNOWN
    }
