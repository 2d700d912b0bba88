"""Tags: of every kind of file, in every encoding, by the conventions of those who write them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from mess_core.collections.tags import _meaning, read_tags

MOVED = {
    "title": "II. Air",
    "work": "Suite in G",
    "movement": "Air",
    "composer": "C",
    "performer": "P",
    "conductor": "D",
}


def id3(frames: list[tuple[str, bytes]], version: int = 4, flags: int = 0) -> bytes:
    """A tag; in version 2.2 names and sizes have three bytes."""
    body = b""
    for name, content in frames:
        n = len(content)
        if version == 2:
            body += name.encode() + n.to_bytes(3, "big") + content
        else:
            size = n if version == 3 else (n >> 21 & 127) << 24 | (n >> 14 & 127) << 16 | (n >> 7 & 127) << 8 | n & 127
            body += name.encode() + size.to_bytes(4, "big") + b"\0\0" + content
    if flags & 0x80:
        body = body.replace(b"\xff", b"\xff\0")
    size7 = bytes(len(body) + 20 >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, flags]) + size7 + body + bytes(20)


def mp3(folder: Path, tag: bytes) -> Path:
    path = folder / "a.mp3"
    path.write_bytes(tag + b"\xff\xfb\x90\x00" + bytes(413))
    return path


def utf8(text: str) -> bytes:
    return b"\x03" + text.encode()


def flac(folder: Path, *comments: bytes) -> Path:
    entries = b"".join(len(each).to_bytes(4, "little") + each for each in comments)
    block = (0).to_bytes(4, "little") + len(comments).to_bytes(4, "little") + entries
    path = folder / "a.flac"
    path.write_bytes(b"fLaC" + bytes([0x84]) + len(block).to_bytes(3, "big") + block)
    return path


def encode(path: Path, codec: str, metadata: dict[str, str], **options: str) -> Path:
    """Half a second of noise, with tags as FFmpeg writes them."""
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(metadata)
        stream = container.add_stream(codec, rate=44_100)
        samples = np.random.default_rng(0).integers(-9000, 9000, (1, 22_528)).astype(np.int16)
        for start in range(0, samples.shape[1], 1024):
            piece = samples[:, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            frame.rate, frame.pts = 44_100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("version", [2, 3, 4])
def test_id3(tmp_path: Path, version: int) -> None:
    """Of each version, as Picard writes them."""
    names = {"TIT2": "TT2", "TPE1": "TP1", "TPE2": "TP2", "TPE3": "TP3", "TCOM": "TCM", "TALB": "TAL", "TPOS": "TPA"}
    values = {"TIT2": "II. Air", "TPE1": "P", "TPE2": "Band", "TPE3": "D", "TCOM": "C", "TALB": "Box", "TPOS": "2/3"}
    frames = [(names[name] if version == 2 else name, b"\x00" + text.encode()) for name, text in values.items()]
    if version > 2:
        frames += [("TXXX", b"\x00WORK\x00Suite in G"), ("MVNM", b"\x00Air")]
    expected = {**MOVED, "album": "Box", "album_artist": "Band", "disc": "2"}
    if version == 2:
        del expected["work"], expected["movement"]
    assert read_tags(mp3(tmp_path, id3(frames, version))) == expected


def test_grouping_is_a_work_only_by_convention(tmp_path: Path) -> None:
    """TIT1 beside GRP1 or a movement is iTunes' work; alone it is a grouping of any kind."""
    tit1 = ("TIT1", utf8("Suite in G"))
    assert "work" not in read_tags(mp3(tmp_path, id3([tit1])))
    for other in (("GRP1", utf8("baroque")), ("MVNM", utf8("Air"))):
        assert read_tags(mp3(tmp_path, id3([tit1, other])))["work"] == "Suite in G"


@pytest.mark.parametrize("version", [2, 3, 4])
def test_unsynchronised(tmp_path: Path, version: int) -> None:
    """A zero after each 255: of the whole tag, or of frames that say so and give their length first."""
    name, other = ("TT2", "TP1") if version == 2 else ("TIT2", "TPE1")
    text = "\ufeffAÿB".encode("utf-16-le")
    tag = id3([(name, b"\x01" + text), (other, b"\x00Ann")], version, 0x80)
    if version == 4:
        content = (b"\x01" + text).replace(b"\xff", b"\xff\0")
        frame = b"TIT2" + bytes([0, 0, 0, len(content) + 4]) + b"\0\x03" + bytes([0, 0, 0, 1 + len(text)]) + content
        body = frame + b"TPE1\0\0\0\x04\0\0\x00Ann"
        tag = b"ID3\x04\0\0" + bytes([0, 0, 0, len(body) + 20]) + body + bytes(20)
    assert read_tags(mp3(tmp_path, tag)) == {"title": "AÿB", "performer": "Ann"}


@pytest.mark.parametrize(
    ("text", "encoding", "flag"),
    [
        ("月の光", "cp932", 0), ("Времена года", "cp1251", 0), ("Prélude", "latin-1", 0), ("Préludes à", "latin-1", 3),
        ("Ноктюрн", "cp1251", 3), ("Für Elise", "utf-8", 0), ("Łódź", "utf-16", 1), ("Sõnajalg", "utf-16", 1),
        ("夜想曲", "utf-8", 3),
    ],
)  # fmt: skip
def test_encodings_of_id3(tmp_path: Path, text: str, encoding: str, flag: int) -> None:
    """What is called Latin-1 or UTF-8 is what was meant; what is Unicode stays as it is."""
    tag = id3([("TIT2", bytes([flag]) + text.encode(encoding))], 3 if flag < 2 else 4)
    assert read_tags(mp3(tmp_path, tag)) == {"title": text}


def test_what_cannot_be_told_is_left_out(tmp_path: Path) -> None:
    """Neither mojibake nor replacement characters: the file's name then stands for the title."""
    tag = id3([("TIT2", b"\x03" + bytes(range(128, 180))), ("TALB", utf8("Box"))])
    assert read_tags(mp3(tmp_path, tag)) == {"album": "Box"}
    assert read_tags(flac(tmp_path, b"TITLE=" + bytes(range(128, 180)), b"ALBUM=Box")) == {"album": "Box"}


def test_vorbis_comments_in_another_encoding(tmp_path: Path) -> None:
    assert read_tags(flac(tmp_path, b"ALBUM=Box", "TITLE=夜想曲".encode())) == {"album": "Box", "title": "夜想曲"}


@pytest.mark.parametrize("field", ["INAM", "IPRD", "IART"])
def test_riff_info_in_latin_1(tmp_path: Path, field: str) -> None:
    """Also where it lies before the sound, as most programs write it."""
    value = "Prélude\0".encode("latin-1")
    info = b"INFO" + field.encode() + len(value).to_bytes(4, "little") + value
    form = b"fmt " + (16).to_bytes(4, "little") + bytes.fromhex("0100010044ac000088580100 0200 1000")
    body = b"WAVE" + form + b"LIST" + len(info).to_bytes(4, "little") + info + b"data\x80\x00\x00\x00" + bytes(128)
    (tmp_path / "a.wav").write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    assert list(read_tags(tmp_path / "a.wav").values()) == ["Prélude"]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.wv", "wavpack"), ("a.mka", "flac"), ("a.opus", "libopus")]
)
def test_other_formats(tmp_path: Path, name: str, codec: str) -> None:
    """MP4, APE tags, Matroska, Opus: the same words."""
    given = {"title": "Prélude", "artist": "Ann", "album": "Box", "composer": "C", "album_artist": "Band"}
    try:
        path = encode(tmp_path / name, codec, given)
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"{codec} cannot be written here: {error}")
    found = read_tags(path)
    assert found["title"] == "Prélude" and found["performer"] == "Ann" and found["album"] == "Box"


@pytest.mark.parametrize(
    ("fields", "performer"),
    [
        ({"artist": "Ann"}, "Ann"), ({"performer": "Ann"}, "Ann"), ({"albumartist": "Ann"}, "Ann"),
        ({"artist": "Bach", "composer": "Bach", "performer": "Ann"}, "Ann"),
        ({"artist": "Bach, J. S.", "composer": "J. S. Bach", "albumartist": "Ann"}, "Ann"),
        ({"artist": "Bach", "performer": "Ann"}, "Ann"),
        ({"artist": "Queen", "performer": "Ann (vocals)"}, "Queen"),
        ({"artist": "Ann", "composer": "Bach", "performer": "Ann (piano)"}, "Ann"),
        ({"composer": "Bach"}, None), ({"artist": "Bach", "composer": "bach"}, None),
    ],
)  # fmt: skip
def test_who_composed_is_never_taken_for_who_plays(fields: dict[str, str], performer: str | None) -> None:
    assert _meaning(fields).get("performer") == performer


def test_absurd_tags_are_harmless(tmp_path: Path) -> None:
    """Empty, endless, of control characters, of a size that lies."""
    frames = [("TIT2", utf8("")), ("TALB", utf8("x" * 100_000)), ("TPE1", utf8("\x1b[31mAnn\x00\u202e"))]
    found = read_tags(mp3(tmp_path, id3(frames)))
    assert found["performer"] == "[31mAnn" and len(found["album"]) == 300 and "title" not in found
    for lie in (b"\x7f\x7f\x7f\x7f", b"\x00\x00\x00\x01"):
        tag = id3([("TIT2", utf8("A"))])
        read_tags(mp3(tmp_path, tag[:6] + lie + tag[10:]))


def ape(*items: tuple[str, bytes, int], n_items: int | None = None) -> bytes:
    """An APEv2 tag without a header: key, value and flags of each item."""
    body = b"".join(
        len(value).to_bytes(4, "little") + flags.to_bytes(4, "little") + key.encode() + b"\0" + value
        for key, value, flags in items
    )
    numbers = (2000, len(body) + 32, len(items) if n_items is None else n_items, 0)
    return body + b"APETAGEX" + b"".join(n.to_bytes(4, "little") for n in numbers) + bytes(8)


LONG = "Étude № 1, whose name is longer than thirty letters"
APE_ITEMS = [
    ("Cover Art (Front)", b"front.jpg\0" + bytes(3_000_000), 2), ("Title", LONG.encode(), 0),
    ("ARTIST", b"Ann\0Bob", 0), ("Composer", b"Chopin", 0), ("Album", b"Box", 0), ("Disc", b"2/3", 0),
]  # fmt: skip
ID3V1 = b"TAG" + LONG.encode("latin-1", "replace")[:30] + b"Ann".ljust(30, b"\0") + b"Box".ljust(30, b"\0") + bytes(35)
LYRICS = b"LYRICSBEGINLYR00003abc" + b"000022" + b"LYRICS200"


@pytest.mark.parametrize("behind", [b"", ID3V1, LYRICS + ID3V1], ids=["nothing", "ID3v1", "lyrics and ID3v1"])
def test_ape_at_the_end_of_an_mp3(tmp_path: Path, behind: bytes) -> None:
    """With a picture before all else, and what ID3v1 cuts off is whole."""
    path = mp3(tmp_path, b"")
    path.write_bytes(path.read_bytes() + ape(*APE_ITEMS) + behind)
    assert read_tags(path) == {"title": LONG, "performer": "Ann", "composer": "Chopin", "album": "Box", "disc": "2"}


def test_id3v2_goes_before_ape(tmp_path: Path) -> None:
    path = mp3(tmp_path, id3([("TIT2", utf8("Mine"))]))
    path.write_bytes(path.read_bytes() + ape(("Title", b"Theirs", 0), ("Composer", b"Chopin", 0)))
    assert read_tags(path) == {"title": "Mine", "composer": "Chopin"}


@pytest.mark.parametrize("size", [0, 31, 40, 2**32 - 1])
def test_an_ape_tag_that_lies_is_harmless(tmp_path: Path, size: int) -> None:
    """About its size, the number of its items and the length of a value."""
    tag = ape(("Title", b"T", 0), n_items=2**32 - 1)
    lying = tag[:-20] + size.to_bytes(4, "little") + tag[-16:]
    for data in (lying, b"\xff\xff\xff\xff" + tag[4:], tag[-32:]):
        path = mp3(tmp_path, b"")
        path.write_bytes(path.read_bytes() + data)
        assert set(read_tags(path)) <= {"title"}
