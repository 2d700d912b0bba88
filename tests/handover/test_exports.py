"""What is exported stays text: no cell is a formula, an entry of a playlist is one line, odd bytes are replaced."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from mess_core.handover.exports import relative_to, tracks_as_csv, tracks_as_m3u8
from tests.planted import a_track


@pytest.mark.parametrize("title", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", '=1,"\n"'])
def test_no_title_is_a_formula(title):
    """A spreadsheet shows it, with an apostrophe before it; every field of a row, and its row only."""
    track = replace(a_track(0), title=title, work=title, composer=title)
    _, row, *rest = list(csv.reader(io.StringIO(tracks_as_csv([track], {track.track_id: title}))))
    assert rest == [] and row[1] == row[2] == row[3] == row[-1] == f"'{title}"


@pytest.mark.parametrize("title", ["a\nb", "a\r\n#EXTINF:1,x\r\nhttp://example.com", "a\u2028b", "a\x0bb"])
def test_an_entry_of_a_playlist_is_one_line(title):
    track = replace(a_track(0), title=title)
    lines = tracks_as_m3u8([track], {track.track_id: f"/music/{title}.wav"}).splitlines()
    assert len(lines) == 3 and lines[1].startswith("#EXTINF:6,a ") and lines[2].startswith("/music/a ")


def test_a_path_that_is_not_utf8_can_be_saved():
    track = a_track(0)
    path = b"/music/b\xff.wav".decode("utf-8", "surrogateescape")
    for text in (tracks_as_csv([track], {track.track_id: path}), tracks_as_m3u8([track], {track.track_id: path})):
        assert "/music/b?.wav" in text.encode("utf-8").decode()


def test_details_and_albums_are_columns():
    """Those that any track has; a heading is no formula either."""
    tracks = [replace(a_track(0), album="Box"), a_track(1)]
    details = {tracks[1].track_id: {"=era": "late"}}
    heading, first, second = csv.reader(io.StringIO(tracks_as_csv(tracks, {t.track_id: "p" for t in tracks}, details)))
    assert "album" in heading and "conductor" not in heading
    assert (first[heading.index("album")], second[heading.index("'=era")]) == ("Box", "late")


def test_a_playlist_names_files_from_where_it_lies(tmp_path):
    (tmp_path / "lists").mkdir()
    assert relative_to(tmp_path / "lists", tmp_path / "music" / "a.wav") == "../music/a.wav"
    assert relative_to(tmp_path, tmp_path / "#1.wav") == "./#1.wav"
