"""What is found below a folder, what is left out, and what is counted."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from mess_core.audio.av_source import FORMATS
from mess_core.collections.folder import FOLDER
from mess_core.collections.walking import NO_MUSIC, find_music
from mess_core.config import AUDIO_SUFFIXES
from mess_core.errors import InputError
from mess_core.workspace.scan import scan


def plant(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def found(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_music(folder).audio]


def test_every_kind_that_is_read_is_found(tmp_path: Path) -> None:
    """Whatever the case of its suffix."""
    plant(tmp_path, *(f"a{suffix}" for suffix in AUDIO_SUFFIXES), "B.FLAC")
    assert len(found(tmp_path)) == len(AUDIO_SUFFIXES) + 1


def test_every_format_is_looked_for_by_each_of_its_names() -> None:
    """What FFmpeg calls them; pictures, subtitles, lists, other things of that name and source text are not."""
    names = {suffix for name in FORMATS for suffix in av.ContainerFormat(name, "r").extensions} | {"vob", "asf", "voc"}
    others = {"heif", "heic", "avif", "mks", "psp", "ism", "isma", "ismv", "mj2", "mac", "apl"}
    assert {f".{name}" for name in names - others} <= AUDIO_SUFFIXES
    assert not {suffix.removeprefix(".") for suffix in AUDIO_SUFFIXES} & NO_MUSIC


def test_source_text_is_no_music(tmp_path: Path) -> None:
    """A film of a television has the suffix of TypeScript: it is neither searched nor named as unread."""
    plant(tmp_path, "a.ts", "b.tsx", "c.vob", "d.m2ts")
    assert found(tmp_path) == ["c.vob", "d.m2ts"] and not find_music(tmp_path).unread


def test_hidden_files_bins_and_thumbnails_are_left_out(tmp_path: Path) -> None:
    junk = (".Trash-1000", ".Trashes", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found",
            ".Spotlight-V100", "__MACOSX", ".AppleDouble", "@Recycle", ".git")  # fmt: skip
    plant(tmp_path, "song.wav", "._song.wav", ".hidden.wav", *(f"{name}/files/x.wav" for name in junk))
    assert found(tmp_path) == ["song.wav"]


def test_messignore_as_gitignore(tmp_path: Path) -> None:
    """Patterns, folders, what is taken back, and files of it in folders below."""
    plant(
        tmp_path, "a.wav", "a-take.wav", "stems/b.wav", "x/stems/b.wav", "x/c.wav", "x/d.wav", "y/d.wav", "y/k-take.wav"
    )
    (tmp_path / ".messignore").write_text("# mine\n*-take.wav\nstems/\n/x/d.wav\n", "utf-8")
    assert found(tmp_path) == ["a.wav", "x/c.wav", "y/d.wav"]
    (tmp_path / "y" / ".messignore").write_text("!k-take.wav\nd.*\n", "utf-8")
    assert found(tmp_path) == ["a.wav", "x/c.wav", "y/k-take.wav"]


def test_links_to_folders_are_walked_once(tmp_path: Path) -> None:
    """Another disk is; a loop, a link above the tree or into it gives nothing twice."""
    music, disk = tmp_path / "music", tmp_path / "disk"
    plant(music, "b/x.wav"), plant(disk, "y.wav", "deep/z.wav")
    (music / "a").symlink_to(music / "b"), (music / "up").symlink_to(tmp_path), (music / "self").symlink_to(music)
    (music / "disk").symlink_to(disk), (music / "again").symlink_to(disk / "deep"), (disk / "loop").symlink_to(disk)
    names = found(music)
    assert "b/x.wav" in names and len(names) == 3 and {Path(name).name for name in names} == {"x.wav", "y.wav", "z.wav"}
    (tmp_path / "link").symlink_to(music)
    assert len(find_music(tmp_path / "link").audio) == 3


def test_what_may_be_music_is_counted_by_kind(tmp_path: Path, home) -> None:
    """In one line, also where nothing else is there; pictures, texts and playlists are not."""
    plant(tmp_path / "m", "a.mod", "b.MOD", "c.sf2", "cover.jpg", "a.cue", "rip.log", "list.m3u8", "README", "n.txt")
    assert FOLDER.read(tmp_path / "m").unread == {"mod": 2, "sf2": 1}
    sentence = r"No audio file lies below .*3 files in formats MESS does not read: 2 \.mod, 1 \.sf2\."
    with pytest.raises(InputError, match=sentence):
        scan(home, tmp_path / "m", "music")


def test_midi_without_audio_is_a_recording_that_can_be_played(tmp_path: Path) -> None:
    plant(tmp_path, "a.wav", "a.mid", "b.MID")
    assert [(r.audio and r.audio.name, r.midi and r.midi.name) for r in FOLDER.read(tmp_path).recordings] == [
        ("a.wav", None), (None, "b.MID"),
    ]  # fmt: skip
