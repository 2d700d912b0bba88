"""Playlists in: the files they name, however they are written."""

from __future__ import annotations

from pathlib import Path

from mess_core.collections.playlist import ELSEWHERE, GONE, library_name, read_playlist
from mess_core.workspace.scan import scan


def test_every_spelling_of_a_file_that_is_here(tmp_path: Path, write_wav) -> None:
    """Relative, absolute, with backslashes, percent-encoded, as an address; once each, in order."""
    names = ("b", "a", "Étude 1", "x#1")
    paths = [write_wav(name, seed=n, folder="lists") for n, name in enumerate(names)]
    entries = [
        "#EXTM3U",
        "#EXTINF:3,B",
        "b.wav",
        str(paths[1]),
        ".\\b.wav",
        "%C3%89tude%201.wav",
        paths[3].as_uri(),
        "",
    ]
    (paths[0].parent / "mix.m3u8").write_text("\r\n".join(entries), "utf-8-sig")
    description = read_playlist(paths[0].parent / "mix.m3u8")
    assert [each.audio.name for each in description.recordings] == ["b.wav", "a.wav", "Étude 1.wav", "x#1.wav"]
    assert description.refused == []
    (paths[0].parent / "old.m3u").write_bytes("Étude 1.wav\n".encode("latin-1"))
    assert [each.audio.name for each in read_playlist(paths[0].parent / "old.m3u").recordings] == ["Étude 1.wav"]


def test_what_is_no_file_here_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "a.m3u").write_text("http://radio.example/x.mp3\nC:\\Music\\a.wav\ngone.wav\nnotes.txt\n", "utf-8")
    refused = dict(read_playlist(tmp_path / "a.m3u").refused)
    assert refused.pop("http://radio.example/x.mp3") == ELSEWHERE and refused.pop("notes.txt") == "It is no audio file."
    assert set(refused.values()) == {GONE} and len(refused) == 2


def test_a_playlist_makes_a_library(home, write_wav, tmp_path: Path) -> None:
    """Of what it names, wherever that lies; called after it."""
    paths = [write_wav(name, seed=n, folder=f"f{n}") for n, name in enumerate("abc")]
    playlist = tmp_path / "evening.m3u8"
    playlist.write_text(f"f0/a.wav\n{paths[2]}\nf1/gone.wav\n", "utf-8")
    refused = []
    scanned = scan(home, playlist, library_name(playlist), on_refused=lambda name, error: refused.append(name))
    assert (scanned.n_new, refused) == (2, ["f1/gone.wav"])
    assert sorted(track.title for track in home.catalogue.tracks("evening")) == ["a", "c"]
    assert {home.catalogue.audio_path(t.track_id) for t in home.catalogue.tracks("evening")} == {paths[0], paths[2]}
